/*
 * adjust.c - the rule of self-adjustment.
 */
#include "adjust.h"

#include "work.h"

const TeAdjustSettings te_adjust_settings_default = {
	.least_trades = 30,
	.least_new_trades = 10,
	.pause = 86400 * TE_USEC_PER_SEC,
	.low_accuracy = 0.6,
	.raise = 0.05,
	.ceiling = 0.95,
	.high_accuracy = 0.8,
	.lower = 0.02,
	.below_default = 0.1,
	.floor = 0.5,
	.high_drawdown = 0.1,
	.low_drawdown = 0.05,
	.size_factor = 0.8,
	.size_floor = 0.2,
	.least_model_votes = 30,
	.least_weight = 0.5,
	.most_weight = 1.5,
};

static bool is_ratio(double x)
{
	return x >= 0 && x <= 1;
}

const char *te_adjust_settings_check(const TeAdjustSettings *s, const char **reason)
{
	const struct
	{
		const char *name;
		double value;
	} ratios[] = {
		{"low_accuracy", s->low_accuracy},
		{"raise", s->raise},
		{"ceiling", s->ceiling},
		{"high_accuracy", s->high_accuracy},
		{"lower", s->lower},
		{"below_default", s->below_default},
		{"floor", s->floor},
		{"high_drawdown", s->high_drawdown},
		{"low_drawdown", s->low_drawdown},
		{"size_factor", s->size_factor},
		{"size_floor", s->size_floor},
		{"least_weight", s->least_weight},
	};

	*reason = "must be above 0";
	if (s->least_trades <= 0)
		return "least_trades";
	if (s->least_new_trades <= 0)
		return "least_new_trades";
	if (s->pause <= 0)
		return "pause";
	if (s->least_model_votes <= 0)
		return "least_model_votes";
	*reason = "must be within 0 and 1";
	for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++)
		if (!is_ratio(ratios[i].value))
			return ratios[i].name;
	*reason = "must be below high_accuracy";
	if (s->low_accuracy >= s->high_accuracy)
		return "low_accuracy";
	*reason = "must be below high_drawdown";
	if (s->low_drawdown >= s->high_drawdown)
		return "low_drawdown";
	*reason = "must not be above ceiling";
	if (s->floor > s->ceiling)
		return "floor";
	*reason = "must be between 0 and 1, both excluded";
	if (s->size_factor <= 0 || s->size_factor >= 1)
		return "size_factor";
	*reason = "must be above 0";
	if (s->size_floor <= 0)
		return "size_floor";
	*reason = "must be a number of at least 1";
	if (!(s->most_weight >= 1 && isfinite(s->most_weight)))
		return "most_weight";
	*reason = NULL;
	return NULL;
}

/* The nearest double to a decimal of nine places, so that 0.7 + 0.05 is 0.75. */
static double tidy(double x)
{
	return round(x * 1e9) / 1e9;
}

static void change(TeAdjustment *out, TeAdjusted what, TeAdjustReason reason, double before,
                   double after, double figure, double limit)
{
	if (before == after)
		return;
	out->changes[out->count++] = (TeAdjustChange){what, reason, before, after, figure, limit};
}

/* A threshold beyond a bound, as somebody may have set it, is never moved back to it. */
static void adjust_threshold(const TeAdjustSettings *s, const TeAdjustState *state,
                             const TeAdjustFigures *f, TeAdjustment *out)
{
	double is = state->threshold;
	double floor = fmax(s->floor, tidy(state->tier_threshold - s->below_default));

	if (!te_known(f->accuracy))
		return;
	if (te_ratio_below(f->accuracy, s->low_accuracy))
		change(out, TE_ADJUSTS_THRESHOLD, TE_ADJUST_REASON_LOW_ACCURACY, is,
		       fmax(is, fmin(tidy(is + s->raise), s->ceiling)), f->accuracy, s->low_accuracy);
	else if (te_ratio_below(s->high_accuracy, f->accuracy))
		change(out, TE_ADJUSTS_THRESHOLD, TE_ADJUST_REASON_HIGH_ACCURACY, is,
		       fmin(is, fmax(tidy(is - s->lower), floor)), f->accuracy, s->high_accuracy);
}

/*
 * A drawdown from which equity has recovered doesn't reduce the size, however deep
 * it was: what is deep stays in the figure for as long as its trades do, and size
 * would fall and rise in turn.
 */
static void adjust_size(const TeAdjustSettings *s, const TeAdjustState *state,
                        const TeAdjustFigures *f, TeAdjustment *out)
{
	double is = state->size_multiplier;
	double now = te_known(f->drawdown) ? f->drawdown : f->max_drawdown;

	if (!te_known(now))
		return;
	if (te_ratio_below(now, s->low_drawdown))
		change(out, TE_ADJUSTS_SIZE, TE_ADJUST_REASON_DRAWDOWN_RECOVERED, is,
		       fmax(is, fmin(tidy(is / s->size_factor), 1)), now, s->low_drawdown);
	else if (te_known(f->max_drawdown) && te_ratio_below(s->high_drawdown, f->max_drawdown))
		change(out, TE_ADJUSTS_SIZE, TE_ADJUST_REASON_HIGH_DRAWDOWN, is,
		       fmin(is, fmax(tidy(is * s->size_factor), s->size_floor)), f->max_drawdown,
		       s->high_drawdown);
}

void te_adjust(const TeAdjustSettings *s, const TeAdjustState *state,
               const TeAdjustFigures *figures, TeTime now, TeAdjustment *out)
{
	bool before = state->last_adjusted_at != TE_NO_TIME;

	*out = (TeAdjustment){.verdict = TE_ADJUST_NOTHING_TO_DO};
	if (state->opted_out)
		out->verdict = TE_ADJUST_OPTED_OUT;
	else if (figures->closed_trades < s->least_trades)
		out->verdict = TE_ADJUST_TOO_FEW_TRADES;
	else if (before && now - state->last_adjusted_at < s->pause)
		out->verdict = TE_ADJUST_TOO_SOON;
	else if (before && figures->new_trades < s->least_new_trades)
		out->verdict = TE_ADJUST_TOO_FEW_NEW_TRADES;
	else {
		adjust_threshold(s, state, figures, out);
		adjust_size(s, state, figures, out);
		if (out->count > 0)
			out->verdict = TE_ADJUST_ADJUSTED;
	}
}

static double *value(TeAdjustState *state, TeAdjusted what)
{
	return what == TE_ADJUSTS_THRESHOLD ? &state->threshold : &state->size_multiplier;
}

void te_adjust_apply(TeAdjustState *state, const TeAdjustment *adjustment, TeTime now)
{
	for (int i = 0; i < adjustment->count; i++)
		*value(state, adjustment->changes[i].what) = adjustment->changes[i].after;
	if (adjustment->count > 0)
		state->last_adjusted_at = now;
}

bool te_adjust_undo(TeAdjustState *state, const TeAdjustment *adjustment)
{
	for (int i = 0; i < adjustment->count; i++)
		if (*value(state, adjustment->changes[i].what) != adjustment->changes[i].after)
			return false;
	for (int i = 0; i < adjustment->count; i++)
		*value(state, adjustment->changes[i].what) = adjustment->changes[i].before;
	return true;
}

double te_model_weight(const TeAdjustSettings *s, double own_weight, int64_t right, int64_t wrong)
{
	double accuracy;

	if (right + wrong < s->least_model_votes)
		return own_weight;
	accuracy = (double)right / (double)(right + wrong);
	return own_weight * fmin(fmax(accuracy / 0.5, s->least_weight), s->most_weight);
}
