/*
 * core_market.c - market state against numbers worked out by hand, against
 * Lean's ATR of SPY, and the building of bars.
 */
#include "core/market.h"
#include "core_vectors.h"
#include "tap.h"

#define MINUTE (60 * TE_USEC_PER_SEC)

static TeMarketSettings settings;
static TeMarketState state;
static TeMarket market;
static TeTime now;

static void start(void)
{
	settings = te_market_settings_default;
	memset(&state, 0, sizeof(state));
	now = 0;
}

/* Add the next 5-minute bar. */
static void bar(double open, double high, double low, double close)
{
	TeBar b = {now, open, high, low, close};

	te_market_add_bar(&state, &b, &settings);
	te_market_read(&state, &settings, &market);
	now += 5 * MINUTE;
}

/* A bar without range, so that only its close matters. */
static void close_at(double price)
{
	bar(price, price, price, price);
}

static void before_the_first_bar(void)
{
	start();
	te_market_read(&state, &settings, &market);
	ok(market.regime == TE_REGIME_UNKNOWN && market.trend == TE_TREND_FLAT,
	   "nothing is UNKNOWN and FLAT");
	ok(market.volatility_ratio == 1 && isnan(market.atr) && isnan(market.ema) &&
	       isnan(market.spread_pips),
	   "with ratio 1, without ATR, EMA and spread");
}

static void atr(void)
{
	start();
	bar(100, 103, 99, 100); /* 4: the first true range is high - low */
	for (int i = 1; i < 13; i++)
		bar(100, 101, 99, 100); /* 2 each */
	ok(isnan(market.atr), "no ATR from 13 bars");
	bar(100, 101, 99, 100);
	is_near(market.atr, 30.0 / 14, 1e-15, "the first is the mean of 14 true ranges");
	is_exactly(market.ema, 100, "EMA is known with it");
	bar(108, 110, 107, 109); /* from 100 up to 110 */
	is_near(market.atr, (13 * 30.0 / 14 + 10) / 14, 1e-14,
	        "then Wilder's average, with the jump from the last close");
	bar(101, 102, 100, 101); /* from 109 down to 100 */
	is_near(market.atr, (13 * ((13 * 30.0 / 14 + 10) / 14) + 9) / 14, 1e-14, "in both directions");
}

static void averages(void)
{
	start();
	close_at(100);
	ok(state.ema_fast == 100 && state.ema_slow == 100, "the first close starts both averages");
	close_at(113);
	is_near(state.ema_fast, 102, 1e-13, "EMA 12 moves by 2/13 of the way");
	is_near(state.ema_slow, 100 + 13 * 2.0 / 27, 1e-13, "EMA 26 by 2/27");
}

static void volatility(void)
{
	double fast, slow;

	start();
	close_at(100);
	for (int i = 0; i < 19; i++)
		close_at(i % 2 ? 100 : 100 * exp(0.01));
	is_exactly(market.volatility_ratio, 1, "19 returns: 1");
	ok(state.returns == 19, "20 bars have 19 returns");
	close_at(100); /* every squared return is 0.0001 */
	is_near(market.volatility_ratio, 1, 1e-12, "20: both variances start as their mean");
	close_at(100 * exp(0.02)); /* squared 0.0004 */
	fast = 0.94 * 0.0001 + 0.06 * 0.0004;
	slow = 0.99 * 0.0001 + 0.01 * 0.0004;
	is_near(market.volatility_ratio, sqrt(fast / slow), 1e-12, "then lambda 0.94 and 0.99");

	start();
	for (int i = 0; i < 30; i++)
		close_at(100);
	is_exactly(market.volatility_ratio, 1, "a market that doesn't move has ratio 1");
	is_exactly(market.atr, 0, "and ATR 0");
	ok(market.trend == TE_TREND_FLAT, "and no trend");
}

static void gaps(void)
{
	start();
	close_at(100);
	now += 55 * MINUTE; /* the bars start exactly 60 minutes apart */
	bar(110, 111, 109, 110);
	ok(state.returns == 1, "a gap of exactly 60 minutes doesn't break the chain");
	is_exactly(state.atr, 11, "the true range spans it");

	start();
	close_at(100);
	now += 55 * MINUTE + 1;
	bar(110, 111, 109, 110);
	ok(state.returns == 0 && state.bars == 2, "a longer one does: its return is left out");
	is_exactly(state.atr, 2, "and its true range is high - low");
	is_near(state.ema_fast, 100 + 10 * 2.0 / 13, 1e-13, "the averages go on");

	start();
	settings.max_gap = 0;
	close_at(100);
	now += 600 * MINUTE;
	bar(110, 111, 109, 110);
	ok(state.returns == 1, "without the rule no gap breaks it");
}

/* 60 bars that step by "step" and have a range of "range". */
static void march(double step, double range)
{
	start();
	for (int i = 0; i < 60; i++) {
		double close = 100 + i * step;

		bar(close, close + range / 2, close - range / 2, close);
	}
}

static void trend_and_regime(void)
{
	/*
	 * On a line the averages lag by (n-1)/2 steps: 5.5 and 12.5, so they come to
	 * lie nearly 7 steps apart.
	 */
	march(0.1, 0.2);
	ok(market.trend == TE_TREND_UP, "a rise of half a range per bar is UP");
	ok(market.regime == TE_REGIME_TRENDING, "and TRENDING");
	march(-0.1, 0.2);
	ok(market.trend == TE_TREND_DOWN, "a fall is DOWN");
	march(0.1, 2);
	ok(market.trend == TE_TREND_FLAT, "a rise of a twentieth of the range is FLAT");
	ok(market.regime == TE_REGIME_RANGING, "and RANGING");
	settings.trend_atr = 0.3;
	te_market_read(&state, &settings, &market);
	ok(market.trend == TE_TREND_UP, "unless the setting asks for less");

	start();
	for (int i = 0; i < 49; i++)
		close_at(100 + i % 2);
	ok(market.regime == TE_REGIME_UNKNOWN, "49 bars: UNKNOWN");
	close_at(101);
	ok(market.regime == TE_REGIME_RANGING, "50: known");

	for (int i = 0; i < 10; i++)
		close_at(100 + 5 * (i % 2));
	ok(market.volatility_ratio >= 1.3 && market.regime == TE_REGIME_HIGH_VOLATILITY,
	   "larger steps are HIGH_VOLATILITY");
	start();
	for (int i = 0; i < 50; i++)
		close_at(100 + i % 2);
	for (int i = 0; i < 20; i++)
		close_at(100);
	ok(market.volatility_ratio <= 0.7 && market.regime == TE_REGIME_LOW_VOLATILITY,
	   "none are LOW_VOLATILITY");
}

/* The trend of averages that are this far apart, with an ATR of 2. */
static TeTrend trend_of(double apart, double atr)
{
	start();
	state = (TeMarketState){.bars = 14, .atr = atr, .ema_fast = 100 + apart, .ema_slow = 100};
	te_market_read(&state, &settings, &market);
	return market.trend;
}

static void trend_threshold(void)
{
	ok(trend_of(2, 2) == TE_TREND_FLAT, "averages exactly an ATR apart are FLAT");
	ok(trend_of(2.001, 2) == TE_TREND_UP, "more is UP");
	ok(trend_of(-2, 2) == TE_TREND_FLAT, "and so downwards");
	ok(trend_of(-2.001, 2) == TE_TREND_DOWN, "more is DOWN");
	ok(trend_of(1, 0) == TE_TREND_FLAT, "nothing is a trend with an ATR of 0");
}

/* The regime that settings with the ratio itself as threshold give. */
static void thresholds(void)
{
	march(0.1, 2);
	settings.high_volatility = market.volatility_ratio;
	te_market_read(&state, &settings, &market);
	ok(market.regime == TE_REGIME_HIGH_VOLATILITY,
	   "a ratio at the upper threshold is HIGH_VOLATILITY");
	settings.high_volatility += 1e-6;
	settings.low_volatility = market.volatility_ratio;
	te_market_read(&state, &settings, &market);
	ok(market.regime == TE_REGIME_LOW_VOLATILITY, "one at the lower is LOW_VOLATILITY");
	settings.low_volatility -= 1e-6;
	te_market_read(&state, &settings, &market);
	ok(market.regime == TE_REGIME_RANGING, "between them it is neither");

	start();
	close_at(100);
	for (int i = 0; i < 30; i++)
		close_at(100 + 1e-9 * (i % 2));
	close_at(1e9);
	ok(market.volatility_ratio > 1 && market.volatility_ratio <= 100,
	   "the ratio is held within 0.01 to 100");
}

static void lean_atr(void)
{
	FILE *file = open_vectors("lean_spy_atr14_wilder.csv");
	char line[512];
	int compared = 0, wrong = 0;

	if (file == NULL) {
		skip("no lean_spy_atr14_wilder.csv");
		return;
	}
	start();
	settings.max_gap = 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		TeBar b = {.start = now};
		double expected;
		const char *comma = strchr(line, ',');
		int fields = comma == NULL ? 0
		                           : sscanf(comma, ",%lf,%lf,%lf,%lf,%lf", &b.open, &b.high, &b.low,
		                                    &b.close, &expected);

		if (fields < 4)
			continue;
		te_market_add_bar(&state, &b, &settings);
		te_market_read(&state, &settings, &market);
		now += 1440 * MINUTE;
		if (fields < 5)
			continue;
		compared++;
		if (!(fabs(market.atr - expected) < 5.1e-6) && wrong++ < 5) /* it has 5 decimals */
			printf("# %s# got %.9g\n", line, market.atr);
	}
	fclose(file);
	ok(compared == 488 && wrong == 0, "Lean's Wilder ATR 14 of SPY");
}

static void bar_checks(void)
{
	is_text(te_bar_check(&(TeBar){0, 1, 2, 0.5, 1.5}), NULL, "a bar");
	is_text(te_bar_check(&(TeBar){0, 1, 1, 1, 1}), NULL, "a bar without range");
	is_text(te_bar_check(&(TeBar){0, 1, 2, NAN, 1.5}), "prices must be finite and > 0", "a NaN");
	is_text(te_bar_check(&(TeBar){0, 1, INFINITY, 1, 1.5}), "prices must be finite and > 0",
	        "an infinity");
	is_text(te_bar_check(&(TeBar){0, 1, 2, 0, 1.5}), "prices must be finite and > 0",
	        "a price of 0");
	is_text(te_bar_check(&(TeBar){0, 1, 1, 2, 1}), "high must not be below low", "high below low");
	is_text(te_bar_check(&(TeBar){0, 3, 2, 1, 1}), "open must be between low and high",
	        "open above high");
	is_text(te_bar_check(&(TeBar){0, 1, 2, 1, 0.5}), "close must be between low and high",
	        "close below low");
	is_text(te_bar_check(&(TeBar){TE_NO_TIME, 1, 1, 1, 1}), "has no start", "no start");
}

static bool same_bar(const TeBar *b, TeTime begin, double open, double high, double low,
                     double close)
{
	return b->start == begin && b->open == open && b->high == high && b->low == low &&
	       b->close == close;
}

static void building(void)
{
	TeBarBuilder b;
	TeBar closed;
	TeTime length = 5 * MINUTE, t = 1000 * length;

	te_bar_builder_init(&b);
	ok(!te_bar_builder_add(&b, t + 7, 1.2, length, &closed), "the first price closes nothing");
	ok(!te_bar_builder_add(&b, t + 8, 1.4, length, &closed), "nor does another of its bar");
	ok(!te_bar_builder_add(&b, t + 9, 1.1, length, &closed) &&
	       !te_bar_builder_add(&b, t + 20, 1.3, length, &closed),
	   "nor more");
	ok(!te_bar_builder_add(&b, t + 15, 1.5, length, &closed), "nor one out of order");
	ok(!te_bar_builder_add(&b, t + length - 1, 1.25, length, &closed),
	   "up to its last microsecond");
	ok(te_bar_builder_add(&b, t + length, 1.6, length, &closed), "the next begins a later bar");
	ok(same_bar(&closed, t, 1.2, 1.5, 1.1, 1.25), "open, high, low and close of the finished one");
	ok(!te_bar_builder_add(&b, t + length - 1, 9, length, &closed) && b.late == 1,
	   "a price of a finished bar is late");
	ok(te_bar_builder_add(&b, t + 9 * length, 1.7, length, &closed),
	   "bars without prices don't exist");
	ok(same_bar(&closed, t + length, 1.6, 1.6, 1.6, 1.6), "and the late price left no trace");
	ok(b.last_price == 1.7 && b.last_price_at == t + 9 * length, "the newest price is known");

	te_bar_builder_init(&b);
	te_bar_builder_add(&b, -1, 1, length, &closed);
	ok(b.bar.start == -length, "bars before 1970 start below");
	te_bar_builder_add(&b, t + 9 * length, 1.8, length, &closed);
	ok(b.bar.close == 1.8, "of two prices at one instant the later to arrive is the close");

	te_bar_builder_init(&b);
	te_bar_builder_add(&b, t + 20, 1.3, length, &closed);
	te_bar_builder_add(&b, t + 10, 1.2, length, &closed);
	ok(b.bar.close == 1.3 && b.bar.low == 1.2 && b.last_price == 1.3,
	   "a price out of order widens a bar, and isn't its close");
}

int main(void)
{
	before_the_first_bar();
	atr();
	averages();
	volatility();
	gaps();
	trend_and_regime();
	trend_threshold();
	thresholds();
	lean_atr();
	bar_checks();
	building();
	return done_testing();
}
