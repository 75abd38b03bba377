/*
 * sizing.c - gate 10: the position's size in lots.
 */
#include <string.h>

#include "work.h"

double te_conversion_rate(const TeDecisionInput *in, double stop_loss)
{
	const TeAccount *a = in->account;
	const TeInstrument *i = in->instrument;

	if (te_known(a->conversion_rate))
		return a->conversion_rate;
	if (strcmp(a->currency, i->quote_currency) == 0)
		return 1;
	if (strcmp(a->currency, i->base_currency) == 0)
		return 1 / stop_loss;
	return NAN;
}

/* What the sizing mode asks for, in lots; NAN when the expectancy is negative. */
static double wanted_lots(TeWork *w, double rate, double loss_per_lot, double *edge)
{
	const TeStrategy *s = w->in->strategy;
	const TeAccount *a = w->in->account;
	double atr = w->in->market->atr;
	double by_risk = a->equity * s->risk_percent / 100 / loss_per_lot;
	double p;

	switch ((TePositionSizing)s->position_sizing) {
	case TE_SIZING_FIXED_LOT:
		return s->fixed_lot;
	case TE_SIZING_VOLATILITY_TARGET:
		if (!(te_known(atr) && atr > 0))
			return by_risk;
		return fmin(a->equity * s->target_volatility_percent / 100 /
		                (atr * w->in->instrument->contract_size * rate),
		            by_risk);
	case TE_SIZING_KELLY:
		p = te_known(a->hit_rate) ? a->hit_rate : w->in->prediction->confidence;
		*edge = p - (1 - p) / w->out->reward_risk_ratio;
		if (*edge <= TE_RATIO_TOLERANCE)
			return NAN;
		return a->equity * fmin(s->kelly_fraction * *edge, s->kelly_max_percent / 100) /
		       loss_per_lot;
	default:
		return by_risk;
	}
}

bool te_find_size(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	const TeInstrument *i = w->in->instrument;
	TeDecision *out = w->out;
	bool fixed = s->position_sizing == TE_SIZING_FIXED_LOT;
	double rate = te_conversion_rate(w->in, out->stop_loss);
	double loss_per_lot = te_grid_value(&w->tick, w->risk) * i->contract_size * rate;
	double edge = NAN, size;

	if (!fixed && !te_known(rate))
		return te_work_step(w, TE_OUTCOME_NO_CONVERSION_RATE, false, "conversion_rate",
		                    te_step_text(w->in->account->currency),
		                    te_step_text(i->quote_currency));

	size = wanted_lots(w, rate, loss_per_lot, &edge);
	if (te_known(edge) && edge <= TE_RATIO_TOLERANCE)
		return te_work_step(w, TE_OUTCOME_NEGATIVE_EXPECTANCY, false, "kelly", te_step_number(edge),
		                    te_step_number(0));

	size *= w->in->account->position_size_multiplier;
	if (w->weak && !fixed)
		size *= s->weak_signal_size_factor;
	if (!(size > 0)) /* nothing, or nothing to divide by */
		size = 0;
	size = fmin(fmin(size, s->max_position_size), i->lot_max);

	w->lots = te_steps_down(te_grid_steps(&w->lot, size));
	out->position_size = te_grid_value(&w->lot, w->lots);
	if (isfinite(loss_per_lot * out->position_size)) /* not without a rate */
		out->max_loss = loss_per_lot * out->position_size;

	return te_work_step(w, TE_OUTCOME_POSITION_TOO_SMALL,
	                    w->lots >= te_steps_down(te_grid_steps(&w->lot, i->lot_min)),
	                    "position_size", te_step_number(out->position_size),
	                    te_step_number(i->lot_min));
}
