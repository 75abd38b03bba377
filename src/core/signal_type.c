/*
 * signal_type.c - consensus, favorability, the signal's level and its strength.
 */
#include "work.h"

#define LEVEL(direction) ((int)(direction) - (int)TE_DIR_HOLD)

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/*
 * The share of the weighted confidence that points the prediction's way.  Without
 * models, or when none of them has any confidence, the prediction's own.
 */
double te_consensus(const TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	int sign = te_direction_sign(p->direction);
	double all = 0, agreeing = 0, consensus;

	for (int i = 0; i < p->model_count; i++) {
		const TeModelVote *vote = &p->models[i];
		double weight = vote->weight * vote->confidence;

		all += weight;
		if (te_direction_sign(vote->direction) == sign)
			agreeing += weight;
		te_note_weighted(w, TE_PART_CONSENSUS, vote->model_id, vote->confidence, vote->weight,
		                 te_direction_enum.labels[vote->direction]);
	}
	consensus = all > 0 ? agreeing / all : p->confidence;
	te_note(w, TE_PART_CONSENSUS, "consensus", consensus, NULL,
	        all > 0               ? "share of the weighted confidence that agrees"
	        : p->model_count == 0 ? "without models: the prediction's confidence"
	                              : "no model has confidence: the prediction's own");
	return consensus;
}

/* How well trend and volatility suit a prediction, 0..1; 0.5 when nothing is known. */
double te_favorability(const TeMarket *m, int prediction_sign)
{
	int trend = (m->trend == TE_TREND_UP) - (m->trend == TE_TREND_DOWN);
	double calm;

	if (m->regime == TE_REGIME_UNKNOWN)
		return 0.5;
	calm = 1 - 2 * fmin(1, fabs(log(m->volatility_ratio)) / log(3));
	return clamp(0.5 + 0.25 * (trend * prediction_sign) + 0.25 * calm, 0, 1);
}

/* The pattern with the highest probability, the first of equals, or NULL. */
static const TePattern *strongest_pattern(const TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	const TePattern *best = NULL;

	if (!w->in->strategy->pattern_trading_enabled)
		return NULL;
	for (int i = 0; i < p->pattern_count; i++)
		if (best == NULL || p->patterns[i].probability > best->probability)
			best = &p->patterns[i];
	return best;
}

static int bias_sign(TeBias bias)
{
	return (bias == TE_BIAS_BULLISH) - (bias == TE_BIAS_BEARISH);
}

/*
 * Weighted mean of the factors that are present: a missing one never shifts
 * another's weight.
 */
static double signal_strength(const TeWork *w, const TePattern *pattern)
{
	const TePrediction *p = w->in->prediction;
	static const char *const names[TE_WEIGHT_COUNT] = {"confidence", "consensus", "pattern",
	                                                   "market", "volume"};
	const double *weight = w->in->strategy->strength_weights.w;
	int bias = pattern != NULL ? bias_sign(pattern->direction) : 0;
	double factor[TE_WEIGHT_COUNT] = {p->confidence, NAN, NAN, NAN, p->volume_confirmation};
	double sum = 0, weights = 0;

	if (p->model_count > 0)
		factor[1] = w->out->consensus_score;
	if (bias != 0)
		factor[2] = bias == w->prediction_sign ? pattern->probability : 1 - pattern->probability;
	if (w->in->market->regime != TE_REGIME_UNKNOWN)
		factor[3] = w->out->market_favorability;

	for (int i = 0; i < TE_WEIGHT_COUNT; i++) {
		if (te_known(factor[i])) {
			sum += weight[i] * factor[i];
			weights += weight[i];
		}
		te_note_weighted(w, TE_PART_STRENGTH, names[i], factor[i], weight[i],
		                 te_known(factor[i]) ? NULL : "absent, its weight doesn't count");
	}
	return weights > 0 ? clamp(sum / weights, 0, 1) : 0;
}

/* Step b: the strongest pattern moves the level by one. */
static int level_after_pattern(const TeWork *w, int level, const TePattern *pattern)
{
	if (pattern == NULL ||
	    te_ratio_below(pattern->probability, w->in->strategy->min_pattern_probability))
		return level;
	level += bias_sign(pattern->direction);
	return level > 2 ? 2 : level < -2 ? -2 : level;
}

/* Step c: high volatility weakens or strengthens. */
static int level_after_volatility(const TeWork *w, int level)
{
	if (w->in->market->regime != TE_REGIME_HIGH_VOLATILITY)
		return level;
	switch ((TeVolatilityMode)w->in->strategy->volatility_mode) {
	case TE_VOLATILITY_CONSERVATIVE:
		return level == 2 ? 1 : level == -2 ? -1 : level;
	case TE_VOLATILITY_AGGRESSIVE:
		return level * 2 > 2 ? 2 : level * 2 < -2 ? -2 : level * 2;
	default:
		return level;
	}
}

/* Step d: whether the strategy holds because the trend is against the level. */
static bool against_trend(const TeWork *w, int level)
{
	const TeStrategy *s = w->in->strategy;
	TeTrend trend = w->in->market->trend;

	return s->trend_following_enabled &&
	       ((trend == TE_TREND_UP && level < 0) || (trend == TE_TREND_DOWN && level > 0)) &&
	       te_ratio_below(w->in->prediction->confidence, s->counter_trend_confidence_threshold);
}

static const char *level_label(int level)
{
	return te_direction_enum.labels[level + (int)TE_DIR_HOLD];
}

/* How the level moved from the prediction's direction, step by step. */
static void note_levels(const TeWork *w, const TePattern *pattern, int before, int level,
                        bool counter)
{
	const TeStrategy *s = w->in->strategy;
	bool volatile_market = w->in->market->regime == TE_REGIME_HIGH_VOLATILITY;
	bool probable =
		pattern != NULL && !te_ratio_below(pattern->probability, s->min_pattern_probability);

	te_note_text(w, TE_PART_LEVEL, "prediction",
	             te_direction_enum.labels[w->in->prediction->direction],
	             TE_OF_PREDICTION(direction), NULL);
	if (pattern != NULL)
		te_note_weighted(w, TE_PART_LEVEL, pattern->name, pattern->probability, NAN,
		                 te_bias_enum.labels[pattern->direction]);
	if (s->pattern_trading_enabled)
		te_note_text(w, TE_PART_LEVEL, "after_pattern", level_label(before),
		             TE_OF_STRATEGY(min_pattern_probability),
		             probable          ? "the most probable pattern moves the level"
		             : pattern != NULL ? "the most probable pattern is not probable enough"
		                               : "no pattern");
	te_note_text(w, TE_PART_LEVEL, "after_volatility", level_label(level),
	             TE_OF_STRATEGY(volatility_mode),
	             volatile_market ? "high volatility" : "volatility is not high");
	te_note_text(w, TE_PART_LEVEL, "after_trend", level_label(counter ? 0 : level),
	             TE_OF_STRATEGY(trend_following_enabled),
	             counter ? "against the trend, and not confident enough"
	             : s->trend_following_enabled
	                 ? "the trend doesn't oppose it, or it is confident enough"
	                 : "trends are not looked at");
}

/* Gate 8: a level of 0 is a signal of type HOLD, without an entry. */
bool te_find_signal_type(TeWork *w)
{
	const TePattern *pattern = strongest_pattern(w);
	int before = level_after_pattern(w, LEVEL(w->in->prediction->direction), pattern);
	int level = level_after_volatility(w, before);
	TeDecision *out = w->out;
	bool counter = against_trend(w, level);

	w->weak = before == 1 || before == -1 || level == 1 || level == -1;
	if (w->trace != NULL)
		note_levels(w, pattern, before, level, counter);
	if (counter)
		level = 0;
	w->sign = (level > 0) - (level < 0);

	out->has_signal_type = true;
	out->signal_type = (TeDirection)(level + (int)TE_DIR_HOLD);
	out->signal_strength = signal_strength(w, pattern);
	te_note(w, TE_PART_STRENGTH, "signal_strength", out->signal_strength,
	        TE_OF_STRATEGY(strength_weights), "weighted mean of the factors that are there");

	if (counter) {
		out->hold_reason = TE_HOLD_REASON_COUNTER_TREND;
		return te_work_step(w, TE_OUTCOME_HOLD, false, "counter_trend",
		                    te_step_number(w->in->prediction->confidence),
		                    te_step_number(w->in->strategy->counter_trend_confidence_threshold));
	}
	if (level == 0)
		out->hold_reason = TE_HOLD_REASON_NEUTRAL;
	return te_work_step(w, TE_OUTCOME_HOLD, level != 0, "signal_type",
	                    te_step_text(te_direction_enum.labels[out->signal_type]),
	                    te_step_nothing());
}
