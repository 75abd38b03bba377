/*
 * entry.c - gate 9: timing, entry, stop loss and take profit.
 *
 * Prices become whole ticks as soon as they are known, and distances are counted
 * in ticks from there, so that 1.1234 - 1.1214 is 20 pips and not a bit less.
 */
#include "work.h"

static bool poor(TeWork *w, const char *check, double value, double threshold)
{
	return te_work_step(w, TE_OUTCOME_POOR_REWARD_RISK, false, check, te_step_number(value),
	                    te_step_number(threshold));
}

double te_round_limit(int sign, double ticks)
{
	return sign > 0 ? te_steps_down(ticks) : te_steps_up(ticks);
}

static double in_ticks(const TeWork *w, double distance)
{
	return te_grid_steps(&w->tick, distance);
}

/* How many ticks a distance in pips is. */
static double pips_in_ticks(const TeWork *w, double pips)
{
	return in_ticks(w, pips * w->in->instrument->pip_size);
}

/*
 * Where a pullback is waited for, when the price has run away from its average
 * by more than the strategy accepts; else NAN.
 */
static double pullback_price(const TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	const TeMarket *m = w->in->market;
	double extension;

	if (!s->advanced_timing || !(te_known(m->atr) && m->atr > 0) || !te_known(m->ema))
		return NAN;
	extension = s->timing_extension_atr * m->atr;
	if (!te_ticks_short(in_ticks(w, extension),
	                    in_ticks(w, w->sign * (w->in->prediction->current_price - m->ema))))
		return NAN;
	te_note(w, TE_PART_ENTRY, "ema", m->ema, TE_OF_MARKET(ema), "the price has run away from it");
	te_note(w, TE_PART_ENTRY, "extension", extension, TE_OF_STRATEGY(timing_extension_atr),
	        "distance that is waited for, multiple of ATR");
	return m->ema + w->sign * extension;
}

/* A market order pays the far side of the spread. */
static double market_price(const TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	double price = !te_known(p->bid) ? p->current_price : w->sign > 0 ? p->ask : p->bid;

	te_note(w, TE_PART_ENTRY, "reference", price,
	        !te_known(p->bid) ? TE_OF_PREDICTION(current_price)
	        : w->sign > 0     ? TE_OF_PREDICTION(ask)
	                          : TE_OF_PREDICTION(bid),
	        "a market order pays the far side of the spread");
	return price;
}

/* A passive order rests on its own side, a little away from it. */
static double limit_price(const TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	const TeStrategy *s = w->in->strategy;
	double reference = p->current_price;
	double asked = w->sign > 0 ? s->limit_order_discount_pips : s->limit_order_premium_pips;
	double pips = fmin(asked, s->max_limit_deviation_pips);

	if (te_known(p->bid))
		reference = w->sign > 0 ? p->bid : p->ask;
	te_note(w, TE_PART_ENTRY, "reference", reference,
	        !te_known(p->bid) ? TE_OF_PREDICTION(current_price)
	        : w->sign > 0     ? TE_OF_PREDICTION(bid)
	                          : TE_OF_PREDICTION(ask),
	        "a passive order rests on its own side");
	te_note(w, TE_PART_ENTRY, "distance_pips", pips,
	        pips < asked  ? TE_OF_STRATEGY(max_limit_deviation_pips)
	        : w->sign > 0 ? TE_OF_STRATEGY(limit_order_discount_pips)
	                      : TE_OF_STRATEGY(limit_order_premium_pips),
	        pips < asked ? "less than asked for" : NULL);
	return reference - w->sign * (pips * w->in->instrument->pip_size);
}

/* Order type and entry price. */
static bool find_entry(TeWork *w)
{
	TeDecision *out = w->out;
	double pullback = pullback_price(w);
	double wanted, price;

	if (te_known(pullback))
		out->timing = TE_TIMING_WAIT_PULLBACK;
	if (!te_known(pullback) && w->in->strategy->prefer_market_orders) {
		double ticks;

		wanted = market_price(w);
		ticks = in_ticks(w, wanted);
		out->order_type = TE_ORDER_MARKET;
		out->urgency = TE_URGENCY_IMMEDIATE;
		w->entry = w->sign > 0 ? te_steps_up(ticks) : te_steps_down(ticks);
	} else {
		wanted = te_known(pullback) ? pullback : limit_price(w);
		out->order_type = TE_ORDER_LIMIT;
		out->urgency = TE_URGENCY_PATIENT;
		w->entry = te_round_limit(w->sign, in_ticks(w, wanted));
	}

	price = te_grid_value(&w->tick, w->entry);
	te_note(w, TE_PART_ENTRY, "unrounded", wanted, NULL, NULL);
	te_note(w, TE_PART_ENTRY, "entry_price", price,
	        te_known(pullback) ? TE_OF_STRATEGY(advanced_timing)
	                           : TE_OF_STRATEGY(prefer_market_orders),
	        te_order_type_enum.labels[out->order_type]);
	if (!te_is_price(price))
		return poor(w, "entry_price", price, 0);
	out->has_order = true;
	out->entry_price = price;
	if (out->order_type == TE_ORDER_LIMIT)
		out->limit_price = price;
	if (te_known(pullback))
		out->trigger_price = price;
	return true;
}

double te_least_stop(const TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	double least = fmax(pips_in_ticks(w, w->in->instrument->min_stop_pips), 1);
	const char *from = least > 1 ? TE_OF_INSTRUMENT(min_stop_pips) : TE_OF_INSTRUMENT(tick_size);
	bool crosses = w->out->order_type == TE_ORDER_MARKET && te_known(p->bid);

	if (te_known(w->spread_pips)) {
		/* Quotes are used as they are, not by way of pips. */
		double spread = te_known(w->in->market->spread_pips) ? pips_in_ticks(w, w->spread_pips)
		                                                     : in_ticks(w, p->ask - p->bid);
		double by_spread = w->in->strategy->min_stop_spread_multiple * spread;

		if (by_spread > least)
			from = TE_OF_STRATEGY(min_stop_spread_multiple);
		least = fmax(least, by_spread);
	}
	if (crosses)
		least += in_ticks(w, p->ask - p->bid);
	te_note(w, TE_PART_STOP_LOSS, "least_distance", te_grid_value(&w->tick, least), from,
	        crosses ? "with the spread that a market order crosses" : NULL);
	return least;
}

static bool find_stop(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	double atr = w->in->market->atr;
	bool by_atr = s->stop_loss_mode == TE_STOP_LOSS_ATR && te_known(atr) && atr > 0;
	double distance, price;

	distance =
		by_atr ? in_ticks(w, s->stop_loss_atr_multiple * atr) : pips_in_ticks(w, s->stop_loss_pips);
	te_note(w, TE_PART_STOP_LOSS, "asked_distance", te_grid_value(&w->tick, distance),
	        by_atr ? TE_OF_STRATEGY(stop_loss_atr_multiple) : TE_OF_STRATEGY(stop_loss_pips),
	        by_atr == (s->stop_loss_mode == TE_STOP_LOSS_ATR)
	            ? NULL
	            : "in pips, because ATR is not known");
	w->least = te_least_stop(w);

	/* Towards entry, so never more risk than asked for, unless that is too near. */
	w->risk = te_steps_to_zero(fmax(distance, w->least));
	if (te_ticks_short(w->risk, w->least))
		w->risk += 1;
	w->stop = w->entry - w->sign * w->risk;

	price = te_grid_value(&w->tick, w->stop);
	te_note(w, TE_PART_STOP_LOSS, "unrounded",
	        te_grid_value(&w->tick, w->entry - w->sign * fmax(distance, w->least)), NULL,
	        distance < w->least ? "the least distance" : NULL);
	te_note(w, TE_PART_STOP_LOSS, "stop_loss", price, NULL, NULL);
	te_note(w, TE_PART_STOP_LOSS, "risk", te_grid_value(&w->tick, w->risk), NULL,
	        "distance of the rounded prices");
	if (!te_is_price(price))
		return poor(w, "stop_loss", price, 0);
	w->out->stop_loss = price;
	return true;
}

/* The take profit's distance in ticks, not rounded; negative when it lies behind the entry. */
static double target_distance(const TeWork *w)
{
	const TeStrategy *s = w->in->strategy;

	switch ((TeTakeProfitMode)s->take_profit_mode) {
	case TE_TAKE_PROFIT_PIPS:
		return pips_in_ticks(w, s->take_profit_pips);
	case TE_TAKE_PROFIT_PREDICTED_PRICE:
		return w->sign * (in_ticks(w, w->in->prediction->predicted_price) - w->entry);
	default:
		return s->reward_risk_ratio * w->risk;
	}
}

static const char *target_source(const TeStrategy *s)
{
	switch ((TeTakeProfitMode)s->take_profit_mode) {
	case TE_TAKE_PROFIT_PIPS:
		return TE_OF_STRATEGY(take_profit_pips);
	case TE_TAKE_PROFIT_PREDICTED_PRICE:
		return TE_OF_PREDICTION(predicted_price);
	default:
		return TE_OF_STRATEGY(reward_risk_ratio);
	}
}

static bool find_target(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	TeDecision *out = w->out;
	double least_reward = fmax(1, pips_in_ticks(w, w->in->instrument->min_stop_pips));
	double ticks_per_pip = pips_in_ticks(w, 1);
	double reward, price;

	w->target = target_distance(w);
	reward = te_steps_to_zero(w->target);
	price = te_grid_value(&w->tick, w->entry + w->sign * reward);
	te_note(w, TE_PART_TAKE_PROFIT, "asked_distance", te_grid_value(&w->tick, w->target),
	        target_source(s), te_take_profit_mode_enum.labels[s->take_profit_mode]);
	te_note(w, TE_PART_TAKE_PROFIT, "unrounded",
	        te_grid_value(&w->tick, w->entry + w->sign * w->target), NULL, NULL);
	te_note(w, TE_PART_TAKE_PROFIT, "take_profit", price, NULL, NULL);
	te_note(w, TE_PART_TAKE_PROFIT, "reward", te_grid_value(&w->tick, reward), NULL,
	        "distance of the rounded prices");
	te_note(w, TE_PART_TAKE_PROFIT, "reward_risk_ratio", reward / w->risk, NULL, NULL);
	if (!te_is_price(price))
		return poor(w, "take_profit", price, 0);
	out->take_profit = price;
	out->reward_risk_ratio = reward / w->risk;

	if (te_ticks_short(reward, least_reward))
		return poor(w, "reward_pips", reward / ticks_per_pip, least_reward / ticks_per_pip);

	/* A tick of rounding is forgiven. */
	return te_work_step(w, TE_OUTCOME_POOR_REWARD_RISK,
	                    !te_ticks_short(reward + 1, s->min_reward_risk_ratio * w->risk),
	                    "reward_risk_ratio", te_step_number(out->reward_risk_ratio),
	                    te_step_number(s->min_reward_risk_ratio));
}

bool te_find_prices(TeWork *w)
{
	return find_entry(w) && find_stop(w) && find_target(w);
}
