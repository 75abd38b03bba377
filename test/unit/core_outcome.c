/*
 * core_outcome.c - trades judged against bars worked out by hand, then over
 * thousands of random ones: what is true of a long is true of its mirror image, and
 * worse conditions never give better results.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core_fixture.h"
#include "core_vectors.h"

#include "core/outcome.h"

#define MINUTE (60 * TE_USEC_PER_SEC)
#define BAR (5 * MINUTE)
#define MAX_BARS 64

static TeBar bars[MAX_BARS];
static TeBars history;
static TeTrade trade;
static TeTradeOutcome out;

/*
 * A BUY at 1.10000, stop 1.09800 (20 pips), take profit 1.10400 (40 pips), 0.5 lots
 * of 100,000, in an account of the quote currency, decided at 12:02.  So a stop
 * costs 0.00200 * 0.5 * 100,000 = 100, and the take profit brings 200.
 */
static void begin(TeOrderType type)
{
	history = (TeBars){bars, 0, BAR};
	trade = (TeTrade){
		.sign = 1,
		.decided_at = NOON + 2 * MINUTE,
		.expires_at = NOON + 12 * MINUTE,
		.pip_size = 0.0001,
		.tick_size = 0.00001,
		.contract_size = 100000,
		.conversion_rate = 1,
		.order_count = 1,
		.orders = {{type, 1.1, 1.098, 1.104, 0.5}},
	};
}

/* The bar that begins so many minutes after noon. */
static void bar(int minute, double open, double high, double low, double close)
{
	bars[history.count++] = (TeBar){NOON + minute * MINUTE, open, high, low, close};
}

static const char *judge(void)
{
	te_trade_judge(&trade, &history, &out);
	return te_result_enum.labels[out.whole.result];
}

/* Whole minutes after noon, or -1. */
static int minutes(TeTime at)
{
	return at == TE_NO_TIME ? -1 : (int)((at - NOON) / MINUTE);
}

static void market_orders(void)
{
	begin(TE_ORDER_MARKET);
	bar(0, 1.1, 1.101, 1.099, 1.1);
	bar(5, 1.1, 1.102, 1.099, 1.1015);
	bar(10, 1.1015, 1.1045, 1.101, 1.104);
	bar(15, 1.104, 1.104, 1.09, 1.09);
	is_text(judge(), "TAKE_PROFIT", "the take profit is reached before the stop");
	ok(minutes(out.whole.filled_at) == 2, "a market order is filled when it is decided");
	ok(minutes(out.whole.closed_at) == 15, "and closed at the end of the bar that ends it");
	is_exactly(out.whole.fill_price, 1.1, "filled at its entry price");
	is_exactly(out.whole.exit_price, 1.104, "closed at the take profit, not at the bar's high");
	is_near(out.whole.pips, 40, 1e-9, "40 pips");
	is_near(out.whole.r_multiple, 2, 1e-9, "0.004 / 0.002 = 2 R");
	is_near(out.whole.profit, 200, 1e-9, "0.004 * 0.5 * 100,000 = 200");

	begin(TE_ORDER_MARKET);
	bar(0, 1.1, 1.101, 1.099, 1.1);
	bar(5, 1.1, 1.102, 1.0979, 1.1);
	bar(10, 1.1, 1.105, 1.1, 1.105);
	is_text(judge(), "STOP_LOSS", "the stop is reached before the take profit");
	is_exactly(out.whole.exit_price, 1.098, "closed at the stop, not at the bar's low");
	is_near(out.whole.pips, -20, 1e-9, "-20 pips");
	is_near(out.whole.r_multiple, -1, 1e-9, "-1 R");
	is_near(out.whole.profit, -100, 1e-9, "-0.002 * 0.5 * 100,000 = -100");

	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.104, 1.098, 1.1);
	is_text(judge(), "STOP_LOSS", "a bar that holds both is the stop");
	begin(TE_ORDER_MARKET);
	bar(5, 1.105, 1.105, 1.098, 1.1);
	is_text(judge(), "STOP_LOSS", "even if it opens beyond the take profit");
	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.104, 1.0981, 1.1);
	is_text(judge(), "TAKE_PROFIT", "a high exactly at the take profit reaches it");
	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.10399, 1.098, 1.1);
	is_text(judge(), "STOP_LOSS", "a low exactly at the stop reaches it");
	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.10399, 1.09801, 1.1);
	is_text(judge(), "OPEN", "a tick short of both is neither");
	ok(minutes(out.whole.filled_at) == 2 && out.whole.closed_at == TE_NO_TIME,
	   "an open trade is filled and not closed");
	ok(isnan(out.whole.profit) && isnan(out.whole.pips) && isnan(out.whole.r_multiple) &&
	       isnan(out.whole.exit_price),
	   "and has no figures");
	begin(TE_ORDER_MARKET);
	is_text(judge(), "OPEN", "without bars every market order is open");

	begin(TE_ORDER_MARKET);
	trade.conversion_rate = 0.8;
	bar(5, 1.1, 1.105, 1.1, 1.1);
	judge();
	is_near(out.whole.profit, 160, 1e-9, "profit is converted: 200 * 0.8");
	trade.conversion_rate = NAN;
	is_text(judge(), "TAKE_PROFIT", "without a rate there is a result");
	ok(isnan(out.whole.profit) && te_known(out.whole.r_multiple), "and an R multiple, no profit");
}

static void bar_of_the_decision(void)
{
	begin(TE_ORDER_MARKET);
	bar(0, 1.1, 1.105, 1.099, 1.1);
	is_text(judge(), "OPEN", "the bar of the decision can't reach the take profit");
	begin(TE_ORDER_MARKET);
	bar(0, 1.1, 1.101, 1.098, 1.1);
	bar(5, 1.1, 1.105, 1.1, 1.1);
	is_text(judge(), "STOP_LOSS", "but the stop");
	ok(minutes(out.whole.closed_at) == 5, "closed at its end");
	begin(TE_ORDER_MARKET);
	bar(0, 1.09, 1.101, 1.09, 1.1);
	judge();
	is_exactly(out.whole.exit_price, 1.098, "at the stop: its open was before the decision");
	begin(TE_ORDER_MARKET);
	bar(-5, 1.1, 1.101, 1.09, 1.1);
	bar(5, 1.1, 1.105, 1.1, 1.1);
	is_text(judge(), "TAKE_PROFIT", "a bar that had ended before it counts for nothing");
	begin(TE_ORDER_MARKET);
	trade.decided_at = NOON + 5 * MINUTE;
	bar(0, 1.1, 1.101, 1.09, 1.1);
	bar(5, 1.1, 1.105, 1.1, 1.1);
	is_text(judge(), "OPEN", "decided at the very start of a bar: that is its bar");
	begin(TE_ORDER_LIMIT);
	bar(0, 1.1, 1.101, 1.09, 1.1);
	is_text(judge(), "OPEN", "a limit isn't filled in the bar of its decision");
	ok(out.whole.filled_at == TE_NO_TIME && out.whole.size == 0, "it still waits at the last bar");
}

static void limit_orders(void)
{
	begin(TE_ORDER_LIMIT);
	bar(0, 1.101, 1.101, 1.101, 1.101);
	bar(5, 1.101, 1.102, 1.1, 1.101);
	bar(10, 1.101, 1.104, 1.1, 1.104);
	is_text(judge(), "TAKE_PROFIT", "a limit that is touched is filled");
	ok(minutes(out.whole.filled_at) == 5, "at the start of its bar at the earliest");
	ok(minutes(out.whole.closed_at) == 15, "and ends in a later one");

	begin(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.102, 1.10001, 1.101);
	bar(15, 1.101, 1.102, 1.09, 1.101);
	is_text(judge(), "NOT_FILLED", "a tick short of the limit, then expired");
	ok(out.whole.filled_at == TE_NO_TIME && isnan(out.whole.profit), "nothing happened");
	begin(TE_ORDER_LIMIT);
	bar(10, 1.101, 1.102, 1.1, 1.101);
	is_text(judge(), "OPEN", "a bar that begins before the order expires can fill it");
	ok(minutes(out.whole.filled_at) == 10, "filled and open");
	begin(TE_ORDER_LIMIT);
	trade.expires_at = NOON + 10 * MINUTE;
	bar(10, 1.101, 1.102, 1.1, 1.101);
	is_text(judge(), "NOT_FILLED", "one that begins when it expires can't");
	begin(TE_ORDER_LIMIT);
	trade.expires_at = TE_NO_TIME;
	bar(60 * 24 * 30, 1.101, 1.102, 1.1, 1.101);
	is_text(judge(), "OPEN", "an order that doesn't expire is filled a month later");

	begin(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.105, 1.1, 1.101);
	is_text(judge(), "OPEN", "the bar of the fill can't reach the take profit");
	begin(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.102, 1.098, 1.101);
	is_text(judge(), "STOP_LOSS", "but the stop");
	is_exactly(out.whole.exit_price, 1.098, "at its price");
	begin(TE_ORDER_LIMIT);
	bar(5, 1.097, 1.1, 1.096, 1.1);
	judge();
	ok(out.whole.result == TE_RESULT_STOP_LOSS && out.whole.fill_price == 1.1 &&
	       out.whole.exit_price == 1.098,
	   "a bar that opens beyond limit and stop: filled at the limit, stopped at the stop");
	begin(TE_ORDER_LIMIT);
	bar(5, 1.099, 1.1, 1.0985, 1.1);
	bar(10, 1.1, 1.104, 1.1, 1.1);
	judge();
	is_exactly(out.whole.fill_price, 1.1, "a better open is no better fill");
}

static void gaps(void)
{
	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.1, 1.099, 1.099);
	bar(10, 1.095, 1.096, 1.094, 1.096);
	is_text(judge(), "STOP_LOSS", "a gap through the stop");
	is_exactly(out.whole.exit_price, 1.095, "is closed at the open");
	is_near(out.whole.pips, -50, 1e-9, "which is worse: -50 pips");
	is_near(out.whole.r_multiple, -2.5, 1e-9, "-2.5 R");
	is_near(out.whole.profit, -250, 1e-9, "-0.005 * 0.5 * 100,000 = -250");

	begin(TE_ORDER_MARKET);
	bar(5, 1.1, 1.101, 1.1, 1.1);
	bar(10, 1.11, 1.111, 1.109, 1.11);
	is_text(judge(), "TAKE_PROFIT", "a gap through the take profit");
	is_exactly(out.whole.exit_price, 1.104, "isn't better than its price");
}

/* 1 pip of spread: half a pip on each side of the mid. */
static void spread(void)
{
	begin(TE_ORDER_MARKET);
	trade.spread = 0.0001;
	bar(5, 1.1, 1.104, 1.0991, 1.1);
	is_text(judge(), "OPEN", "a long sells at the bid: a mid at the take profit isn't enough");
	bars[0].high = 1.10405;
	is_text(judge(), "TAKE_PROFIT", "half a spread more is");
	bars[0].low = 1.09805;
	is_text(judge(), "STOP_LOSS", "a mid half a spread above the stop is the stop");
	is_exactly(out.whole.exit_price, 1.098, "at its price");
	begin(TE_ORDER_MARKET);
	trade.spread = 0.0001;
	bar(5, 1.095, 1.095, 1.094, 1.095);
	judge();
	is_near(out.whole.exit_price, 1.09495, 1e-12, "a gap is closed at the bid of the open");

	begin(TE_ORDER_LIMIT);
	trade.spread = 0.0001;
	bar(5, 1.101, 1.102, 1.1, 1.101);
	bar(20, 1.101, 1.102, 1.1, 1.101);
	is_text(judge(), "NOT_FILLED", "a long buys at the ask: a mid at the limit isn't enough");
	bars[0].low = 1.09995;
	is_text(judge(), "OPEN", "half a spread less is");

	begin(TE_ORDER_MARKET);
	trade.sign = -1;
	trade.spread = 0.0001;
	trade.orders[0].stop_loss = 1.102;
	trade.orders[0].take_profit = 1.096;
	bar(5, 1.1, 1.1015, 1.096, 1.1);
	is_text(judge(), "OPEN", "a short buys back at the ask");
	bars[0].low = 1.09595;
	is_text(judge(), "TAKE_PROFIT", "half a spread below");
	bars[0].high = 1.10195;
	is_text(judge(), "STOP_LOSS", "and is stopped half a spread above");
	is_near(out.whole.profit, -100, 1e-9, "it costs 100 as well");
}

/*
 * Legs of 0.3, 0.1 and 0.1 lots at 1.1000, 1.0995 and 1.0990, the stop of all at
 * 1.0980, take profits at 1.1020, 1.1040 and 1.1060.
 */
static void begin_legs(TeOrderType type)
{
	begin(type);
	trade.order_count = 3;
	trade.orders[0] = (TeLeg){type, 1.1, 1.098, 1.102, 0.3};
	trade.orders[1] = (TeLeg){TE_ORDER_LIMIT, 1.0995, 1.098, 1.104, 0.1};
	trade.orders[2] = (TeLeg){TE_ORDER_LIMIT, 1.099, 1.098, 1.106, 0.1};
}

static void legs(void)
{
	begin_legs(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.1015, 1.0995, 1.101); /* fills legs 0 and 1 */
	bar(10, 1.101, 1.103, 1.1, 1.103);    /* ends leg 0 */
	bar(15, 1.103, 1.105, 1.103, 1.105);  /* ends leg 1; leg 2 has expired */
	is_text(judge(), "TAKE_PROFIT", "legs end each by itself");
	is_text(te_result_enum.labels[out.orders[2].result], "NOT_FILLED", "or aren't filled");
	ok(minutes(out.orders[0].closed_at) == 15 && minutes(out.orders[1].closed_at) == 20,
	   "each at its time");
	ok(minutes(out.whole.filled_at) == 5 && minutes(out.whole.closed_at) == 20,
	   "the whole from the first fill to the last close");
	is_near(out.orders[0].profit, 60, 1e-9, "0.0020 * 0.3 * 100,000 = 60");
	is_near(out.orders[1].profit, 45, 1e-9, "0.0045 * 0.1 * 100,000 = 45");
	is_near(out.whole.profit, 105, 1e-9, "together 105");
	is_near(out.whole.size, 0.4, 1e-12, "of 0.4 lots");
	is_near(out.whole.pips, (0.3 * 20 + 0.1 * 45) / 0.4, 1e-9, "a mean of 26.25 pips");
	is_near(out.whole.r_multiple, 105.0 / (60 + 15), 1e-9,
	        "against a risk of 0.0020 * 0.3 + 0.0015 * 0.1, times 100,000: 1.4 R");
	is_near(out.whole.fill_price, (0.3 * 1.1 + 0.1 * 1.0995) / 0.4, 1e-12, "mean price in");
	is_near(out.whole.exit_price, (0.3 * 1.102 + 0.1 * 1.104) / 0.4, 1e-12, "mean price out");

	begin_legs(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.1015, 1.097, 1.098);
	is_text(judge(), "STOP_LOSS", "a fall through all entries to the stop");
	is_near(out.whole.profit, -60 - 15 - 10, 1e-9, "stops all legs: -60 - 15 - 10");
	is_near(out.whole.r_multiple, -1, 1e-9, "-1 R");

	begin_legs(TE_ORDER_MARKET);
	bar(0, 1.1, 1.101, 1.098, 1.1);
	bar(5, 1.1, 1.1, 1.099, 1.1);
	is_text(judge(), "STOP_LOSS", "leg 0 is stopped in the bar of the decision");
	ok(out.orders[1].result == TE_RESULT_NOT_FILLED && out.orders[2].result == TE_RESULT_NOT_FILLED,
	   "which cancels what waits");
	is_near(out.whole.profit, -60, 1e-9, "so only leg 0 loses");

	begin_legs(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.1015, 1.0995, 1.101);
	bar(10, 1.101, 1.103, 1.1, 1.103);
	bar(15, 1.103, 1.1035, 1.1, 1.1);
	bar(20, 1.1, 1.1, 1.0979, 1.098);
	is_text(judge(), "STOP_LOSS", "leg 0 wins, then leg 1 is stopped: the whole is a STOP_LOSS");
	is_near(out.whole.profit, 60 - 15, 1e-9, "that still made 45");
	history.count = 3;
	is_text(judge(), "OPEN", "while one leg is open the whole is");
	ok(isnan(out.whole.profit) && te_known(out.orders[0].profit), "its profit is not known yet");

	begin_legs(TE_ORDER_LIMIT);
	bar(5, 1.101, 1.1015, 1.1005, 1.101);
	bar(15, 1.101, 1.1015, 1.0995, 1.101);
	is_text(judge(), "NOT_FILLED", "no leg is filled");
}

static void from_a_decision(void)
{
	Fixture f;

	fixture(&f);
	is_outcome(&f, "SIGNAL", "the fixture is a signal");
	te_trade_of(&f.in, &f.out, &trade);
	ok(trade.sign == 1 && trade.order_count == 1 && trade.spread == 0 &&
	       trade.conversion_rate == 1 && trade.orders[0].entry_price == 1.0998 &&
	       trade.orders[0].stop_loss == 1.0978 && trade.orders[0].take_profit == 1.1038 &&
	       trade.orders[0].position_size == 0.5,
	   "its trade has the decision's prices");
	ok(trade.decided_at == NOON && trade.expires_at == NOON + 300 * TE_USEC_PER_SEC, "and times");

	fixture(&f);
	f.p.direction = TE_DIR_SELL;
	f.p.bid = 1.09995;
	f.p.ask = 1.10005;
	f.a.currency = "EUR";
	f.s.enable_multi_leg_strategies = true;
	is_outcome(&f, "SIGNAL", "a short in legs");
	te_trade_of(&f.in, &f.out, &trade);
	ok(trade.sign == -1 && trade.order_count == 3 && trade.orders[2].take_profit > 0,
	   "has an order for each leg");
	is_near(trade.spread, 0.0001, 1e-12, "the quotes' spread");
	is_exactly(trade.conversion_rate, 1 / f.out.stop_loss,
	           "an account in base currency is converted at the stop");
}

/* Profits that brokers' pages give for a move from entry to exit, in quote currency. */
static void published_profits(void)
{
	FILE *file = open_vectors("pip_value_examples.json");
	json_t *root = file != NULL ? json_loadf(file, 0, NULL) : NULL;
	const json_t *test;
	size_t i;

	if (file == NULL) {
		skip("pip_value_examples.json");
		return;
	}
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, test)
	{
		double entry = json_number_value(json_object_get(test, "entry"));
		double exit = json_number_value(json_object_get(test, "exit"));
		double lots = json_number_value(json_object_get(test, "lots"));
		double contract = json_number_value(json_object_get(test, lots > 0 ? "contract" : "units"));
		const json_t *want =
			json_object_get(test, lots > 0 ? "expected_pnl_quote" : "expected_pnl");

		if (!(entry > 0))
			continue;
		begin(TE_ORDER_MARKET);
		trade.contract_size = contract;
		trade.orders[0] =
			(TeLeg){TE_ORDER_MARKET, entry, entry * 0.99, entry * 1.01, lots > 0 ? lots : 1};
		*(exit > entry ? &trade.orders[0].take_profit : &trade.orders[0].stop_loss) = exit;
		bar(5, exit, exit, exit, exit);
		judge();
		is_near(out.whole.profit, json_number_value(want), 1e-6,
		        json_string_value(json_object_get(test, "source")));
	}
	json_decref(root);
}

static void checks(void)
{
	const char *reason;

	begin(TE_ORDER_LIMIT);
	ok(te_trade_check(&trade, &reason) == NULL, "a sound trade");
	trade.orders[0].stop_loss = 1.1;
	is_text(te_trade_check(&trade, &reason), "stop_loss", "a stop at the entry");
	trade.orders[0].stop_loss = 1.098;
	trade.sign = -1;
	is_text(te_trade_check(&trade, &reason), "stop_loss", "or on the wrong side");
	begin(TE_ORDER_LIMIT);
	trade.orders[0].take_profit = 1.0999;
	is_text(te_trade_check(&trade, &reason), "take_profit", "a take profit that loses");
	begin(TE_ORDER_LIMIT);
	trade.spread = NAN;
	is_text(te_trade_check(&trade, &reason), "spread_pips", "a spread that is no number");
	begin(TE_ORDER_LIMIT);
	trade.pip_size = 0;
	is_text(te_trade_check(&trade, &reason), "pip_size", "no pip");
}

/* Random trades over random walks, in whole ticks around 1.1. */

static int below(int n)
{
	return rand() % n;
}

static double ticks(int n)
{
	return (110000 + n) / 100000.0;
}

static void random_bars(int mirror)
{
	int price = 0;

	history = (TeBars){bars, 1 + below(MAX_BARS - 1), BAR};
	for (int i = 0; i < history.count; i++) {
		int open = price + (below(8) == 0 ? below(201) - 100 : 0), close = open + below(121) - 60;
		int high = (open > close ? open : close) + below(40);
		int low = (open < close ? open : close) - below(40);

		bars[i] =
			(TeBar){NOON + (i - 2) * BAR, ticks(mirror * open), ticks(mirror > 0 ? high : -low),
		            ticks(mirror > 0 ? low : -high), ticks(mirror * close)};
		price = close;
	}
}

static void random_trade(int sign)
{
	int spread = 2 * below(10), count = 1 + below(3), stop = 60 + below(100);

	trade = (TeTrade){
		.sign = sign,
		.decided_at = NOON + below(1000) * TE_USEC_PER_SEC,
		.spread = spread / 100000.0,
		.pip_size = 0.0001,
		.tick_size = 0.00001,
		.contract_size = 100000,
		.conversion_rate = 1,
		.order_count = count,
	};
	trade.expires_at = trade.decided_at + below(5000) * TE_USEC_PER_SEC;
	for (int i = 0; i < count; i++) {
		int entry = -20 * i - below(20);

		trade.orders[i] = (TeLeg){i > 0 || below(2) ? TE_ORDER_LIMIT : TE_ORDER_MARKET,
		                          ticks(sign * entry), ticks(sign * -stop),
		                          ticks(sign * (entry + 20 + below(150))), (1 + below(9)) / 10.0};
	}
}

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-6 * (1 + fabs(a));
}

static void mirror_images(void)
{
	int seen[TE_RESULT_COUNT] = {0};
	bool alike = true;

	for (unsigned seed = 1; seed <= 20000 && alike; seed++) {
		TeTradeOutcome first;

		srand(seed);
		random_bars(1);
		random_trade(1);
		judge();
		first = out;
		srand(seed);
		random_bars(-1);
		random_trade(-1);
		judge();
		alike = first.whole.result == out.whole.result &&
		        first.whole.filled_at == out.whole.filled_at &&
		        first.whole.closed_at == out.whole.closed_at &&
		        same(first.whole.pips, out.whole.pips) &&
		        same(first.whole.r_multiple, out.whole.r_multiple) &&
		        same(first.whole.profit, out.whole.profit);
		if (!alike)
			printf("# seed %u\n", seed);
		seen[first.whole.result]++;
	}
	ok(alike, "a short is the mirror image of a long, 20,000 times");
	for (int i = 0; i < TE_RESULT_COUNT; i++)
		ok(seen[i] > 500, te_result_enum.labels[i]);
}

/* What has to hold for any trade, whatever the bars. */
static bool sound(void)
{
	const TeOrderOutcome *w = &out.whole;
	bool closed = w->result == TE_RESULT_STOP_LOSS || w->result == TE_RESULT_TAKE_PROFIT;

	if (closed != te_known(w->profit) || closed != (w->closed_at != TE_NO_TIME))
		return false;
	if (w->result == TE_RESULT_NOT_FILLED && (w->filled_at != TE_NO_TIME || w->size > 0))
		return false;
	if (closed && (w->filled_at < trade.decided_at || w->closed_at <= w->filled_at))
		return false;
	for (int i = 0; i < trade.order_count; i++) {
		const TeOrderOutcome *o = &out.orders[i];
		double beyond = trade.sign * (o->exit_price - trade.orders[i].stop_loss);

		if (o->result == TE_RESULT_TAKE_PROFIT && o->exit_price != trade.orders[i].take_profit)
			return false;
		if (o->result == TE_RESULT_STOP_LOSS && !(beyond <= 0))
			return false;
	}
	return true;
}

static void monotonic(void)
{
	bool all_sound = true, stop = true, target = true, wider = true, longer = true, more = true;

	for (unsigned seed = 1; seed <= 20000; seed++) {
		TeTradeOutcome first;
		TeTrade original;

		srand(seed);
		random_bars(1);
		random_trade(1);
		trade.order_count = 1;
		original = trade;
		judge();
		first = out;
		all_sound = all_sound && sound();

		trade.orders[0].stop_loss -= 0.0005;
		judge();
		stop = stop && (first.whole.result != TE_RESULT_TAKE_PROFIT ||
		                out.whole.result == TE_RESULT_TAKE_PROFIT);
		trade = original;
		trade.orders[0].take_profit += 0.0005;
		judge();
		target = target && (first.whole.result != TE_RESULT_STOP_LOSS ||
		                    out.whole.result == TE_RESULT_STOP_LOSS);
		trade = original;
		trade.spread += 0.0002;
		judge();
		wider = wider && !(first.whole.result == TE_RESULT_STOP_LOSS &&
		                   out.whole.result == TE_RESULT_TAKE_PROFIT &&
		                   trade.orders[0].order_type == TE_ORDER_MARKET);
		wider = wider && !(first.whole.result == TE_RESULT_NOT_FILLED && out.whole.size > 0);
		trade = original;
		trade.expires_at += BAR;
		judge();
		longer = longer && (first.whole.size == 0 || out.whole.result == first.whole.result);
		trade = original;
		if (first.whole.result == TE_RESULT_STOP_LOSS ||
		    first.whole.result == TE_RESULT_TAKE_PROFIT) {
			history.count = MAX_BARS; /* what follows the end changes nothing */
			for (int i = 1; i < MAX_BARS; i++)
				if (bars[i].start <= bars[i - 1].start ||
				    bars[i].start + BAR > first.whole.closed_at)
					bars[i] = (TeBar){bars[i - 1].start + BAR, 1, 2, 0.5, 1};
			judge();
			more = more && out.whole.result == first.whole.result &&
			       out.whole.profit == first.whole.profit;
		}
	}
	ok(all_sound, "closed trades have figures, others don't, and no stop fills better than asked");
	ok(stop, "a wider stop turns no take profit into a loss");
	ok(target, "a farther take profit turns no loss into a gain");
	ok(wider, "a wider spread turns no loss into a gain, and fills nothing more");
	ok(longer, "an order that lives longer keeps the result that it had");
	ok(more, "what happens after the end changes nothing");
}

int main(void)
{
	market_orders();
	bar_of_the_decision();
	limit_orders();
	gaps();
	spread();
	legs();
	from_a_decision();
	published_profits();
	checks();
	mirror_images();
	monotonic();
	return done_testing();
}
