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

static void note_conversion(const TeWork *w, double rate)
{
	const TeAccount *a = w->in->account;
	bool given = te_known(a->conversion_rate);

	te_note(w, TE_PART_SIZE, "conversion_rate", rate,
	        given ? TE_OF_ACCOUNT(conversion_rate) : TE_OF_ACCOUNT(currency),
	        given             ? NULL
	        : !te_known(rate) ? "not known"
	        : strcmp(a->currency, w->in->instrument->quote_currency) == 0
	            ? "the quote currency"
	            : "the base currency: 1 / stop loss");
}

/*
 * What the sizing mode asks for, in lots; NAN when the expectancy is negative.  "source"
 * is by risk until something else decides.
 */
static double wanted_lots(TeWork *w, double rate, double loss_per_lot, double *edge,
                          const char **source)
{
	const TeStrategy *s = w->in->strategy;
	const TeAccount *a = w->in->account;
	double atr = w->in->market->atr;
	double by_risk = a->equity * s->risk_percent / 100 / loss_per_lot;
	double by_volatility, p;

	switch ((TePositionSizing)s->position_sizing) {
	case TE_SIZING_FIXED_LOT:
		*source = TE_OF_STRATEGY(fixed_lot);
		return s->fixed_lot;
	case TE_SIZING_VOLATILITY_TARGET:
		if (!(te_known(atr) && atr > 0))
			return by_risk;
		by_volatility = a->equity * s->target_volatility_percent / 100 /
		                (atr * w->in->instrument->contract_size * rate);
		te_note(w, TE_PART_SIZE, "by_volatility", by_volatility,
		        TE_OF_STRATEGY(target_volatility_percent),
		        "equity x percent / (ATR x contract x rate)");
		te_note(w, TE_PART_SIZE, "by_risk", by_risk, TE_OF_STRATEGY(risk_percent),
		        "not more than this");
		if (by_volatility < by_risk)
			*source = TE_OF_STRATEGY(target_volatility_percent);
		return fmin(by_volatility, by_risk);
	case TE_SIZING_KELLY:
		p = te_known(a->hit_rate) ? a->hit_rate : w->in->prediction->confidence;
		*edge = p - (1 - p) / w->out->reward_risk_ratio;
		te_note(w, TE_PART_SIZE, "win_probability", p,
		        te_known(a->hit_rate) ? TE_OF_ACCOUNT(hit_rate) : TE_OF_PREDICTION(confidence),
		        NULL);
		te_note(w, TE_PART_SIZE, "kelly", *edge, NULL, "p - (1 - p) / reward_risk_ratio");
		if (*edge <= TE_RATIO_TOLERANCE)
			return NAN;
		*source = s->kelly_fraction * *edge < s->kelly_max_percent / 100
		              ? TE_OF_STRATEGY(kelly_fraction)
		              : TE_OF_STRATEGY(kelly_max_percent);
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
	const char *source = TE_OF_STRATEGY(risk_percent); /* what decided */
	double edge = NAN, size;

	note_conversion(w, rate);
	if (!fixed && !te_known(rate))
		return te_work_step(w, TE_OUTCOME_NO_CONVERSION_RATE, false, "conversion_rate",
		                    te_step_text(w->in->account->currency),
		                    te_step_text(i->quote_currency));

	te_note(w, TE_PART_SIZE, "loss_per_lot", loss_per_lot, NULL,
	        "risk x contract size x conversion rate, account currency");
	size = wanted_lots(w, rate, loss_per_lot, &edge, &source);
	if (te_known(edge) && edge <= TE_RATIO_TOLERANCE)
		return te_work_step(w, TE_OUTCOME_NEGATIVE_EXPECTANCY, false, "kelly", te_step_number(edge),
		                    te_step_number(0));

	te_note(w, TE_PART_SIZE, "asked", size, source,
	        te_position_sizing_enum.labels[s->position_sizing]);
	size *= w->in->account->position_size_multiplier;
	te_note(w, TE_PART_SIZE, "after_multiplier", size, TE_OF_ACCOUNT(position_size_multiplier),
	        NULL);
	if (w->weak && !fixed) {
		size *= s->weak_signal_size_factor;
		te_note(w, TE_PART_SIZE, "after_weak_signal", size, TE_OF_STRATEGY(weak_signal_size_factor),
		        NULL);
	}
	if (!(size > 0)) /* nothing, or nothing to divide by */
		size = 0;
	if (size > s->max_position_size || size > i->lot_max)
		te_note(w, TE_PART_SIZE, "at_most", fmin(s->max_position_size, i->lot_max),
		        s->max_position_size <= i->lot_max ? TE_OF_STRATEGY(max_position_size)
		                                           : TE_OF_INSTRUMENT(lot_max),
		        NULL);
	size = fmin(fmin(size, s->max_position_size), i->lot_max);

	w->lots = te_steps_down(te_grid_steps(&w->lot, size));
	out->position_size = te_grid_value(&w->lot, w->lots);
	if (isfinite(loss_per_lot * out->position_size)) /* not without a rate */
		out->max_loss = loss_per_lot * out->position_size;
	te_note(w, TE_PART_SIZE, "unrounded", size, NULL, NULL);
	te_note(w, TE_PART_SIZE, "position_size", out->position_size, TE_OF_INSTRUMENT(lot_step),
	        "rounded down to the lot step");
	te_note(w, TE_PART_SIZE, "max_loss", out->max_loss, NULL, "at the stop, account currency");

	return te_work_step(w, TE_OUTCOME_POSITION_TOO_SMALL,
	                    w->lots >= te_steps_down(te_grid_steps(&w->lot, i->lot_min)),
	                    "position_size", te_step_number(out->position_size),
	                    te_step_number(i->lot_min));
}
