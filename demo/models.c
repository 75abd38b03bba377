/*
 * models.c - five rules and one model that learns, and how they are combined.
 *
 * A rule gives a score, positive for up.  Divided by the root of its own mean
 * square it is z, "how strong for this rule", and its confidence is logistic in
 * |z|: a score of one standard deviation is 0.75.  The sixth model is a logistic
 * regression on the rules' z, trained online on what the price did; its confidence
 * is its probability.
 *
 * Every direction is judged HORIZON bars later.  The hit rate that comes of it is
 * the model's weight: one that is right more often counts for more.  The ensemble's
 * probability is the weighted mean of the votes' log-odds, sharpened because the
 * mean of several opinions is less decided than they justify (Satopaa et al. 2014,
 * "Combining multiple probability predictions using a simple logit model").
 */
#include "models.h"

#include <string.h>

#define EMA_FAST (2.0 / 13)
#define EMA_SLOW (2.0 / 27)
#define WILDER (1.0 / 14)
#define BREAKOUT_BARS 20
#define MOMENTUM_BARS 10
#define MEAN_BARS 20

#define SCORE_DECAY 0.998
#define HIT_DECAY 0.995
#define VOLUME_DECAY 0.95
#define SLOPE 1.1    /* of confidence in |z| */
#define LEAST_Z 0.25 /* a weaker score is no opinion */
#define LEARNING_RATE 0.01
#define SHRINKAGE 1e-4
#define SHARPENING 1.4
#define STRONG 0.62 /* BUY and SELL from this probability on */
#define WEAK 0.52   /* below it, HOLD */

static const char *const model_names[MODEL_COUNT] = {
	"ema_cross_12_26", "rsi_14", "breakout_20", "momentum_10", "mean_reversion_20", "online_logit",
};

static double logistic(double x)
{
	return 1 / (1 + exp(-x));
}

static double log_odds(double p)
{
	return log(p / (1 - p));
}

static const Bar *newest(const Ensemble *e, int back)
{
	return &e->bars[e->bar_count - 1 - back];
}

/* Mean and standard deviation of the newest closes. */
static void close_statistics(const Ensemble *e, int count, double *mean, double *deviation)
{
	double sum = 0, squares = 0;

	for (int i = 0; i < count; i++)
		sum += newest(e, i)->close;
	*mean = sum / count;
	for (int i = 0; i < count; i++) {
		double distance = newest(e, i)->close - *mean;

		squares += distance * distance;
	}
	*deviation = sqrt(squares / count);
}

/* The trend goes on: the fast average is above the slow one. */
static double score_ema_cross(const Ensemble *e)
{
	return (e->ema_fast - e->ema_slow) / e->atr;
}

/* What has risen too much falls: 50 - RSI, outside of 40..60. */
static double score_rsi(const Ensemble *e)
{
	double sum = e->average_gain + e->average_loss;
	double rsi = sum > 0 ? 100 * e->average_gain / sum : 50;

	return fabs(rsi - 50) < 10 ? 0 : (50 - rsi) / 50;
}

/* The close has left the channel of the bars before. */
static double score_breakout(const Ensemble *e)
{
	double high = -INFINITY, low = INFINITY, close = newest(e, 0)->close;

	for (int i = 1; i <= BREAKOUT_BARS; i++) {
		high = fmax(high, newest(e, i)->high);
		low = fmin(low, newest(e, i)->low);
	}
	return close > high ? (close - high) / e->atr : close < low ? (close - low) / e->atr : 0;
}

/* The move of the last bars, in units of a random walk's. */
static double score_momentum(const Ensemble *e)
{
	return (newest(e, 0)->close - newest(e, MOMENTUM_BARS)->close) / (e->atr * sqrt(MOMENTUM_BARS));
}

/* The price returns to its mean: distance in standard deviations, beyond one. */
static double score_mean_reversion(const Ensemble *e)
{
	double mean, deviation, distance;

	close_statistics(e, MEAN_BARS, &mean, &deviation);
	distance = deviation > 0 ? (mean - newest(e, 0)->close) / deviation : 0;
	return fabs(distance) < 1 ? 0 : distance;
}

static double (*const rules[RULE_MODELS])(const Ensemble *) = {
	score_ema_cross, score_rsi, score_breakout, score_momentum, score_mean_reversion,
};

static double true_range(const Bar *bar, double close_before)
{
	return fmax(bar->high, close_before) - fmin(bar->low, close_before);
}

/* Bring averages and history up to date. */
static void take_bar(Ensemble *e, const Bar *bar)
{
	double before = e->bar_count > 0 ? newest(e, 0)->close : bar->open;
	double change = bar->close - before;

	if (e->bars_seen == 0) {
		e->ema_fast = e->ema_slow = bar->close;
		e->atr = bar->high - bar->low;
		e->mean_volume = bar->volume;
	}
	e->ema_fast += EMA_FAST * (bar->close - e->ema_fast);
	e->ema_slow += EMA_SLOW * (bar->close - e->ema_slow);
	e->average_gain += WILDER * (fmax(change, 0) - e->average_gain);
	e->average_loss += WILDER * (fmax(-change, 0) - e->average_loss);
	e->atr += WILDER * (true_range(bar, before) - e->atr);
	e->mean_volume = VOLUME_DECAY * e->mean_volume + (1 - VOLUME_DECAY) * bar->volume;
	if (e->bar_count == HISTORY)
		memmove(e->bars, e->bars + 1, sizeof(Bar) * (HISTORY - 1));
	else
		e->bar_count++;
	e->bars[e->bar_count - 1] = *bar;
	e->bars_seen++;
}

/* The price has shown who was right HORIZON bars ago: hit rates, and a step of gradient descent. */
static void judge(Ensemble *e, const Verdict *past, double close)
{
	double move = close - past->close;
	double predicted = 0, error;

	if (move == 0)
		return;
	for (int m = 0; m < MODEL_COUNT; m++) {
		bool up = past->directions[m] > TE_DIR_HOLD;

		if (past->directions[m] != TE_DIR_HOLD)
			e->models[m].hit_rate =
				HIT_DECAY * e->models[m].hit_rate + (1 - HIT_DECAY) * (up == (move > 0));
	}
	for (int i = 0; i <= RULE_MODELS; i++)
		predicted += e->logit[i] * past->features[i];
	error = (move > 0) - logistic(predicted);
	for (int i = 0; i <= RULE_MODELS; i++)
		e->logit[i] += LEARNING_RATE * (error * past->features[i] - SHRINKAGE * e->logit[i]);
}

static void vote_of_rule(ModelRecord *model, double score)
{
	model->mean_square = SCORE_DECAY * model->mean_square + (1 - SCORE_DECAY) * score * score;
	model->z = model->mean_square > 0 ? score / sqrt(model->mean_square) : 0;
	if (fabs(model->z) < LEAST_Z)
		model->direction = TE_DIR_HOLD;
	else
		model->direction = model->z > 0 ? TE_DIR_BUY : TE_DIR_SELL;
	model->confidence = logistic(SLOPE * fmin(fabs(model->z), 4));
}

/* Bounded, so that one wild score can't throw the coefficients off. */
static void fill_features(const Ensemble *e, double features[RULE_MODELS + 1])
{
	for (int m = 0; m < RULE_MODELS; m++)
		features[m] = tanh(e->models[m].z / 2);
	features[RULE_MODELS] = 1;
}

static void vote_of_logit(Ensemble *e, const double features[RULE_MODELS + 1])
{
	ModelRecord *model = &e->models[MODEL_LOGIT];
	double sum = 0, p;

	for (int i = 0; i <= RULE_MODELS; i++)
		sum += e->logit[i] * features[i];
	p = logistic(sum);
	model->z = sum;
	model->confidence = fmax(p, 1 - p);
	if (model->confidence < WEAK)
		model->direction = TE_DIR_HOLD;
	else
		model->direction = p > 0.5 ? TE_DIR_BUY : TE_DIR_SELL;
}

static void combine(Ensemble *e, Forecast *out)
{
	double sum = 0, weights = 0, p;

	for (int m = 0; m < MODEL_COUNT; m++) {
		ModelRecord *model = &e->models[m];
		int sign = (model->direction > TE_DIR_HOLD) - (model->direction < TE_DIR_HOLD);

		model->weight = fmin(2, fmax(0.25, 1 + 6 * (model->hit_rate - 0.5)));
		out->votes[m] =
			(TeModelVote){model_names[m], model->direction, model->confidence, model->weight};
		if (sign == 0)
			continue;
		sum += model->weight * sign * log_odds(fmin(model->confidence, 0.99));
		weights += model->weight;
	}
	p = logistic(weights > 0 ? SHARPENING * sum / weights : 0);
	out->confidence = fmax(p, 1 - p);
	if (out->confidence < WEAK)
		out->direction = TE_DIR_HOLD;
	else if (out->confidence < STRONG)
		out->direction = p > 0.5 ? TE_DIR_WEAK_BUY : TE_DIR_WEAK_SELL;
	else
		out->direction = p > 0.5 ? TE_DIR_BUY : TE_DIR_SELL;
	/* A sure forecast expects the usual move of so many bars, an unsure one nothing. */
	out->price = newest(e, 0)->close + (2 * p - 1) * e->atr * sqrt(HORIZON);
}

bool ensemble_add(Ensemble *e, const Bar *bar, Forecast *out)
{
	Verdict *verdict = &e->verdicts[e->bars_seen % HORIZON];
	bool judged = e->bars_seen >= WARM_UP / 2 + HORIZON;
	double volume_ratio;

	if (e->bars_seen == 0)
		for (int m = 0; m < MODEL_COUNT; m++)
			e->models[m].hit_rate = 0.5;
	take_bar(e, bar);
	if (judged)
		judge(e, verdict, bar->close);
	if (e->bars_seen < WARM_UP / 2 || !(e->atr > 0))
		return false;

	for (int m = 0; m < RULE_MODELS; m++)
		vote_of_rule(&e->models[m], rules[m](e));
	fill_features(e, verdict->features);
	vote_of_logit(e, verdict->features);
	verdict->close = bar->close;
	for (int m = 0; m < MODEL_COUNT; m++)
		verdict->directions[m] = e->models[m].direction;
	if (e->bars_seen < WARM_UP)
		return false;

	combine(e, out);
	out->pattern_count = find_patterns(e->bars, e->bar_count, e->atr, out->patterns);
	/* Usual volume says nothing (0.5), double volume 0.8. */
	volume_ratio = bar->volume / e->mean_volume;
	out->volume_confirmation = volume_ratio * volume_ratio / (1 + volume_ratio * volume_ratio);
	return true;
}
