/*
 * core_sizing.c - gate 10 and legs.  A lot of the fixture loses 200 USD at its stop.
 */
#include "core_fixture.h"

static Fixture f;

/* The size in lots, or NAN. */
static double size(void)
{
	return decide(&f)->position_size;
}

static void by_risk(void)
{
	fixture(&f);
	is_exactly(size(), 0.5, "1 % of 10,000 at 200 per lot");
	is_exactly(f.out.max_loss, 100, "loses 100");
	f.a.equity = 1234;
	is_exactly(size(), 0.06, "0.0617 is rounded down");
	is_near(f.out.max_loss, 12, 1e-12, "and max_loss is of the rounded size");
	f.a.equity = 200;
	is_exactly(size(), 0.01, "the least size is enough");
	f.a.equity = 199.9999;
	is_exactly(size(), 0.01, "within 1e-6 of a step is that step");
	f.a.equity = 199.99;
	is_outcome(&f, "POSITION_TOO_SMALL", "less isn't");
	is_exactly(f.out.position_size, 0, "and shows what was left");
	f.a.equity = 0;
	is_outcome(&f, "POSITION_TOO_SMALL", "no equity, no position");

	fixture(&f);
	f.i.lot_min = 0.5;
	is_outcome(&f, "SIGNAL", "exactly lot_min");
	f.i.lot_min = 0.51;
	is_outcome(&f, "POSITION_TOO_SMALL", "a step below lot_min");

	fixture(&f);
	f.s.risk_percent = 100;
	is_exactly(size(), 10, "not more than max_position_size");
	f.i.lot_max = 7.5;
	is_exactly(size(), 7.5, "not more than lot_max");
	f.s.max_position_size = 0.456;
	is_exactly(size(), 0.45, "a limit is rounded down to a step too");

	fixture(&f);
	f.a.position_size_multiplier = 0.5;
	is_exactly(size(), 0.25, "the account's multiplier");
	f.p.direction = TE_DIR_WEAK_BUY;
	is_exactly(size(), 0.12, "and the weak factor: 0.125");
	f.s.weak_signal_size_factor = 1;
	is_exactly(size(), 0.25, "a factor of 1 changes nothing");
}

static void fixed(void)
{
	fixture(&f);
	f.s.position_sizing = TE_SIZING_FIXED_LOT;
	f.s.fixed_lot = 0.039;
	is_exactly(size(), 0.03, "FIXED_LOT, rounded down");
	is_near(f.out.max_loss, 6, 1e-12, "with its loss");
	f.p.direction = TE_DIR_WEAK_BUY;
	is_exactly(size(), 0.03, "isn't scaled for weak types");
	f.a.position_size_multiplier = 0.5;
	is_exactly(size(), 0.01, "but by the multiplier: 0.0195");
	f.a.currency = "JPY";
	is_outcome(&f, "SIGNAL", "needs no rate");
	is_exactly(f.out.max_loss, NAN, "and then has no loss to show");
}

static void by_volatility(void)
{
	fixture(&f);
	f.s.position_sizing = TE_SIZING_VOLATILITY_TARGET;
	f.m.atr = 0.004;
	is_exactly(size(), 0.25, "100 USD per ATR of 400 per lot");
	f.m.atr = 0.001;
	is_exactly(size(), 0.5, "not more than RISK_PERCENT gives");
	f.m.atr = 0.004;
	f.a.conversion_rate = 2;
	is_exactly(size(), 0.12, "in account currency: 100 per ATR of 800 per lot");
	f.a.conversion_rate = NAN;
	f.m.atr = 0;
	is_exactly(size(), 0.5, "an ATR of 0 is as RISK_PERCENT");
	f.m.atr = NAN;
	is_exactly(size(), 0.5, "and so is none");
}

static void by_kelly(void)
{
	fixture(&f);
	f.s.position_sizing = TE_SIZING_KELLY;
	f.s.kelly_max_percent = 100;
	f.a.hit_rate = 0.4; /* f = 0.4 - 0.6/2 = 0.1, a quarter of it 2.5 % of 10,000 = 250 */
	is_exactly(size(), 1.25, "a quarter of the Kelly bet");
	f.s.kelly_max_percent = 2;
	is_exactly(size(), 1, "not more than kelly_max_percent");
	f.a.hit_rate = NAN;
	f.s.kelly_max_percent = 100;
	f.a.equity = 1000; /* f = 0.9 - 0.1/2 = 0.85, a quarter 0.2125 of 1,000 */
	is_exactly(size(), 1.06, "without a hit rate the confidence: 1.0625");
	f.a.hit_rate = 1.0 / 3;
	is_outcome(&f, "NEGATIVE_EXPECTANCY", "an edge of 0 is none");
	is_text(last_step(&f)->check, "kelly", "and is named");
	is_exactly(f.out.position_size, NAN, "without a size");
	f.a.hit_rate = 0.3;
	is_outcome(&f, "NEGATIVE_EXPECTANCY", "nor is one below it");
	f.a.hit_rate = 0;
	is_outcome(&f, "NEGATIVE_EXPECTANCY", "a measured hit rate of 0 is known");
}

static void conversion(void)
{
	fixture(&f);
	f.a.currency = "JPY";
	is_outcome(&f, "NO_CONVERSION_RATE", "neither base nor quote, and no rate");
	ok(f.out.has_order && isnan(f.out.position_size), "prices are there, a size isn't");
	f.s.position_sizing = TE_SIZING_KELLY;
	f.a.hit_rate = 0;
	is_outcome(&f, "NO_CONVERSION_RATE", "the rate is missed before the edge");
	f.s.position_sizing = TE_SIZING_RISK_PERCENT;
	f.a.equity = 1000000;
	f.a.conversion_rate = 150; /* 10,000 JPY at 30,000 per lot */
	is_exactly(size(), 0.33, "with a rate it is sized");
	is_near(f.out.max_loss, 9900, 1e-9, "and its loss is in account currency");

	fixture(&f);
	f.a.currency = "EUR";
	is_exactly(size(), 0.54, "in base currency at the stop: 100 / (200 / 1.0978) = 0.5489");
	is_near(f.out.max_loss, 200 / 1.0978 * 0.54, 1e-12, "and the loss too");
	f.a.conversion_rate = 1;
	is_exactly(size(), 0.5, "an explicit rate wins");

	fixture(&f);
	f.a.conversion_rate = 2;
	is_exactly(size(), 0.25, "over the quote currency too");
}

/* What legs are expected: sizes, entries, take profits. */
static bool legs_are(int count, const double sizes[], const double entries[],
                     const double targets[])
{
	bool same = f.out.leg_count == count;
	double sum = 0;

	for (int i = 0; same && i < count; i++) {
		const TeLeg *leg = &f.out.legs[i];

		same = leg->position_size == sizes[i] && leg->entry_price == entries[i] &&
		       leg->take_profit == targets[i] && leg->stop_loss == f.out.stop_loss &&
		       leg->order_type == (i == 0 ? f.out.order_type : TE_ORDER_LIMIT);
		sum += leg->position_size;
	}
	if (!same)
		for (int i = 0; i < f.out.leg_count; i++)
			printf("# leg %d: %.17g at %.17g to %.17g\n", i, f.out.legs[i].position_size,
			       f.out.legs[i].entry_price, f.out.legs[i].take_profit);
	return same && (count == 0 || fabs(sum - f.out.position_size) < 1e-12);
}

#define LIST(...) ((const double[]){__VA_ARGS__})

/* 0.50 lots at 1.09980, stop 1.09780, take profit 400 ticks away. */
static void with_legs(int count, double spacing)
{
	fixture(&f);
	f.s.enable_multi_leg_strategies = true;
	f.s.leg_count = count;
	f.s.leg_spacing_pips = spacing;
}

static void legs(void)
{
	with_legs(3, 5);
	decide(&f);
	ok(legs_are(3, LIST(0.18, 0.16, 0.16), LIST(1.0998, 1.0993, 1.0988),
	            LIST(1.10113, 1.10246, 1.1038)),
	   "three legs: a third each, the rest on leg 0; 133, 266 and 400 ticks");
	is_exactly(f.out.take_profit, 1.1038, "the signal keeps its own take profit");

	f.s.enable_multi_leg_strategies = false;
	decide(&f);
	ok(legs_are(0, NULL, NULL, NULL), "legs need enable_multi_leg_strategies");

	with_legs(3, 0.33);
	decide(&f);
	ok(legs_are(3, LIST(0.18, 0.16, 0.16), LIST(1.0998, 1.09976, 1.09973),
	            LIST(1.10113, 1.10246, 1.1038)),
	   "entries of legs are rounded as limits: 3.3 and 6.6 ticks become 4 and 7");

	with_legs(3, 5);
	f.p.direction = TE_DIR_SELL;
	f.s.prefer_market_orders = true;
	decide(&f);
	ok(legs_are(3, LIST(0.18, 0.16, 0.16), LIST(1.1, 1.1005, 1.101), LIST(1.09867, 1.09734, 1.096)),
	   "a SELL: leg 0 MARKET, the others LIMIT above");
}

static void fewer_legs(void)
{
	with_legs(3, 5);
	f.a.equity = 400;
	decide(&f);
	ok(legs_are(2, LIST(0.01, 0.01), LIST(1.0998, 1.0993), LIST(1.1018, 1.1038)),
	   "0.02 lots make two legs, at halves of the way");
	f.a.equity = 200;
	decide(&f);
	ok(legs_are(0, NULL, NULL, NULL), "0.01 lots make none");

	with_legs(5, 0);
	f.i.lot_min = 0.1;
	f.s.max_position_size = 0.45;
	decide(&f);
	ok(legs_are(4, LIST(0.12, 0.11, 0.11, 0.11), LIST(1.0998, 1.0998, 1.0998, 1.0998),
	            LIST(1.1008, 1.1018, 1.1028, 1.1038)),
	   "every leg has at least lot_min");
}

static void dropped_legs(void)
{
	with_legs(3, 10);
	decide(&f);
	ok(legs_are(2, LIST(0.34, 0.16), LIST(1.0998, 1.0988), LIST(1.10113, 1.10246)),
	   "a leg at the stop is dropped, its size goes to leg 0");
	with_legs(3, 20);
	decide(&f);
	ok(legs_are(0, NULL, NULL, NULL), "a single leg is no leg");

	with_legs(3, 5);
	f.i.min_stop_pips = 10;
	decide(&f);
	ok(f.out.leg_count == 3, "a leg exactly the least distance from the stop stays");
	f.i.min_stop_pips = 10.1;
	decide(&f);
	ok(f.out.leg_count == 2, "a tick nearer is dropped");

	with_legs(3, 0);
	f.s.take_profit_mode = TE_TAKE_PROFIT_PIPS;
	f.s.min_reward_risk_ratio = 0;
	f.s.take_profit_pips = 0.3;
	decide(&f);
	ok(f.out.leg_count == 3, "leg 0's take profit a tick away is enough");
	f.s.take_profit_pips = 0.2;
	decide(&f);
	ok(f.out.outcome == TE_OUTCOME_SIGNAL && f.out.leg_count == 0, "less, and there are no legs");

	/* 18*133 + 16*266 + 16*400 + 50 = 13,100 lot-ticks for 50*200 = 10,000 */
	with_legs(3, 0);
	f.s.min_reward_risk_ratio = 1.31;
	decide(&f);
	ok(f.out.leg_count == 3, "legs that together just pay");
	f.s.min_reward_risk_ratio = 1.3101;
	decide(&f);
	ok(f.out.outcome == TE_OUTCOME_SIGNAL && f.out.leg_count == 0, "and that don't");
}

int main(void)
{
	by_risk();
	fixed();
	by_volatility();
	by_kelly();
	conversion();
	legs();
	fewer_legs();
	dropped_legs();
	return done_testing();
}
