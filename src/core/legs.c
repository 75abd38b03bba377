/*
 * legs.c - split a signal's position into legs at staggered prices.
 *
 * Leg 0 is the signal's own order.  The others rest further from the market and
 * aim further; all share the stop.
 */
#include <string.h>

#include "work.h"

typedef struct Leg
{
	double entry, target, lots; /* entry and target in ticks, lots in steps */
} Leg;

/* How many ticks a leg's take profit is beyond its own entry. */
static double leg_reward(const TeWork *w, const Leg *leg)
{
	return w->sign * (leg->target - leg->entry);
}

static double leg_risk(const TeWork *w, const Leg *leg)
{
	return w->sign * (leg->entry - w->stop);
}

/* The reward of all legs against their risk, in lot steps times ticks. */
static bool legs_pay(const TeWork *w, const Leg *legs, int count)
{
	double reward = 0, risk = 0;

	for (int i = 0; i < count; i++) {
		reward += legs[i].lots * leg_reward(w, &legs[i]);
		risk += legs[i].lots * leg_risk(w, &legs[i]);
	}
	return reward + w->lots >=
	       w->in->strategy->min_reward_risk_ratio * risk - TE_TICK_TOLERANCE * w->lots;
}

/* Split into at most "n" legs.  Returns how many are left after the unfit ones are dropped. */
static int split(const TeWork *w, int n, double per_leg, Leg legs[TE_MAX_LEGS])
{
	double spacing = w->in->strategy->leg_spacing_pips * w->in->instrument->pip_size;
	int count = 1;

	legs[0] = (Leg){w->entry, w->entry + w->sign * te_steps_to_zero(w->target * 1 / n), w->lots};
	for (int i = 1; i < n; i++) {
		Leg leg;

		leg.entry =
			te_round_limit(w->sign, w->entry - w->sign * te_grid_steps(&w->tick, i * spacing));
		leg.target = w->entry + w->sign * te_steps_to_zero(w->target * (i + 1) / n);
		leg.lots = per_leg;
		if (te_ticks_short(leg_risk(w, &leg), w->least) || te_ticks_short(leg_reward(w, &leg), 1))
			continue;
		legs[0].lots -= per_leg;
		legs[count++] = leg;
	}
	return count;
}

void te_find_legs(TeWork *w)
{
	TeDecision *out = w->out;
	Leg legs[TE_MAX_LEGS];
	double least_lots = te_steps_down(te_grid_steps(&w->lot, w->in->instrument->lot_min));
	int n = w->in->strategy->leg_count;
	int count;

	if (!w->in->strategy->enable_multi_leg_strategies)
		return;
	while (n > 1 && floor(w->lots / n) < least_lots)
		n--;
	te_note(w, TE_PART_LEGS, "legs_of_lot_min", n, TE_OF_STRATEGY(leg_count),
	        n < w->in->strategy->leg_count ? "the size is too small for more" : NULL);
	if (n < 2)
		return;

	count = split(w, n, floor(w->lots / n), legs);
	if (count < 2 || te_ticks_short(leg_reward(w, &legs[0]), 1) || !legs_pay(w, legs, count)) {
		te_note(
			w, TE_PART_LEGS, "legs", 0, TE_OF_STRATEGY(min_reward_risk_ratio),
			"a single order: as legs it would not pay, or only one is far enough from the stop");
		return;
	}
	te_note(w, TE_PART_LEGS, "legs", count, TE_OF_STRATEGY(leg_spacing_pips),
	        count < n ? "the others are too close to the stop or to the take profit" : NULL);

	out->leg_count = count;
	for (int i = 0; i < count; i++)
		out->legs[i] = (TeLeg){
			.order_type = i == 0 ? out->order_type : TE_ORDER_LIMIT,
			.entry_price = te_grid_value(&w->tick, legs[i].entry),
			.stop_loss = out->stop_loss,
			.take_profit = te_grid_value(&w->tick, legs[i].target),
			.position_size = te_grid_value(&w->lot, legs[i].lots),
		};
}
