/*
 * core_signal_type.c - gate 8: patterns, volatility, trend; and signal strength.
 */
#include "core_fixture.h"

static Fixture f;

static const char *type_of(Fixture *fixture)
{
	const TeDecision *d = decide(fixture);

	return d->has_signal_type ? te_direction_enum.labels[d->signal_type] : "none";
}

#define is_type(want, name) is_text(type_of(&f), want, name)

/* Direction, pattern's bias, and the type that comes out. */
static void patterns_move_the_level(void)
{
	static const struct
	{
		TeDirection from;
		TeBias bias;
		const char *to, *name;
	} rows[] = {
		{TE_DIR_BUY, TE_BIAS_BULLISH, "BUY", "BUY can't rise"},
		{TE_DIR_BUY, TE_BIAS_BEARISH, "WEAK_BUY", "a bearish pattern weakens BUY"},
		{TE_DIR_BUY, TE_BIAS_NEUTRAL, "BUY", "a neutral one leaves it"},
		{TE_DIR_WEAK_BUY, TE_BIAS_BULLISH, "BUY", "a bullish one strengthens WEAK_BUY"},
		{TE_DIR_WEAK_BUY, TE_BIAS_BEARISH, "HOLD", "a bearish one ends it"},
		{TE_DIR_WEAK_SELL, TE_BIAS_BULLISH, "HOLD", "a bullish one ends WEAK_SELL"},
		{TE_DIR_WEAK_SELL, TE_BIAS_BEARISH, "SELL", "a bearish one strengthens it"},
		{TE_DIR_SELL, TE_BIAS_BULLISH, "WEAK_SELL", "a bullish one weakens SELL"},
		{TE_DIR_SELL, TE_BIAS_BEARISH, "SELL", "SELL can't fall"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fixture(&f);
		f.p.direction = rows[i].from;
		f.s.pattern_trading_enabled = true;
		add_pattern(&f, rows[i].bias, 0.8);
		is_type(rows[i].to, rows[i].name);
	}

	fixture(&f);
	f.p.direction = TE_DIR_WEAK_BUY;
	add_pattern(&f, TE_BIAS_BULLISH, 0.8);
	is_type("WEAK_BUY", "patterns need pattern_trading_enabled");
	f.s.pattern_trading_enabled = true;
	f.s.min_pattern_probability = 0.8;
	is_type("BUY", "a probability at the threshold counts");
	f.s.min_pattern_probability = 0.8 + 2e-9;
	is_type("WEAK_BUY", "one just below doesn't");

	fixture(&f);
	f.p.direction = TE_DIR_WEAK_BUY;
	f.s.pattern_trading_enabled = true;
	add_pattern(&f, TE_BIAS_BEARISH, 0.7);
	add_pattern(&f, TE_BIAS_BULLISH, 0.8);
	add_pattern(&f, TE_BIAS_BEARISH, 0.8);
	is_type("BUY", "the highest probability counts, the first of equals");
}

static void hold_by_level(void)
{
	fixture(&f);
	f.p.direction = TE_DIR_WEAK_BUY;
	f.s.pattern_trading_enabled = true;
	add_pattern(&f, TE_BIAS_BEARISH, 0.8);
	is_outcome(&f, "HOLD", "level 0 is HOLD");
	ok(f.out.hold_reason == TE_HOLD_REASON_NEUTRAL, "for NEUTRAL");
	ok(f.out.has_signal_type && f.out.signal_type == TE_DIR_HOLD, "with a signal type");
	ok(!isnan(f.out.signal_strength) && !isnan(f.out.market_favorability),
	   "strength and favorability");
	ok(!f.out.has_order && isnan(f.out.entry_price), "and no entry");
	ok(f.out.expires_at == NOON + 300 * TE_USEC_PER_SEC, "and an expiry");
}

static void volatility(void)
{
	static const struct
	{
		TeVolatilityMode mode;
		TeDirection from;
		const char *to, *name;
		double size; /* 0.5 lots, halved where the level is weak before or after */
	} rows[] = {
		{TE_VOLATILITY_CONSERVATIVE, TE_DIR_BUY, "WEAK_BUY", "CONSERVATIVE weakens BUY", 0.25},
		{TE_VOLATILITY_CONSERVATIVE, TE_DIR_SELL, "WEAK_SELL", "CONSERVATIVE weakens SELL", 0.25},
		{TE_VOLATILITY_CONSERVATIVE, TE_DIR_WEAK_BUY, "WEAK_BUY", "CONSERVATIVE leaves WEAK_BUY",
	     0.25},
		{TE_VOLATILITY_AGGRESSIVE, TE_DIR_WEAK_BUY, "BUY", "AGGRESSIVE strengthens WEAK_BUY", 0.25},
		{TE_VOLATILITY_AGGRESSIVE, TE_DIR_WEAK_SELL, "SELL", "AGGRESSIVE strengthens WEAK_SELL",
	     0.25},
		{TE_VOLATILITY_AGGRESSIVE, TE_DIR_BUY, "BUY", "AGGRESSIVE leaves BUY", 0.5},
		{TE_VOLATILITY_NEUTRAL, TE_DIR_BUY, "BUY", "NEUTRAL leaves BUY", 0.5},
		{TE_VOLATILITY_NEUTRAL, TE_DIR_WEAK_SELL, "WEAK_SELL", "NEUTRAL leaves WEAK_SELL", 0.25},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fixture(&f);
		f.m.regime = TE_REGIME_HIGH_VOLATILITY;
		f.p.direction = rows[i].from;
		f.s.volatility_mode = rows[i].mode;
		is_type(rows[i].to, rows[i].name);
		is_exactly(f.out.position_size, rows[i].size,
		           "and sizes it by the weaker of the two levels");
	}
	fixture(&f);
	f.m.regime = TE_REGIME_TRENDING;
	is_type("BUY", "another regime changes nothing");
}

static void trend(void)
{
	fixture(&f);
	f.p.confidence = 0.85;
	f.m.trend = TE_TREND_DOWN;
	is_outcome(&f, "SIGNAL", "confidence at the counter-trend threshold goes against the trend");
	f.p.confidence = 0.85 - 2e-9;
	is_outcome(&f, "HOLD", "just below it holds");
	ok(f.out.hold_reason == TE_HOLD_REASON_COUNTER_TREND, "for COUNTER_TREND");
	is_text(type_of(&f), "HOLD", "with type HOLD");
	is_text(last_step(&f)->check, "counter_trend", "and the step says so");
	f.s.trend_following_enabled = false;
	is_outcome(&f, "SIGNAL", "unless it doesn't follow trends");

	fixture(&f);
	f.p.confidence = 0.8;
	f.m.trend = TE_TREND_UP;
	is_outcome(&f, "SIGNAL", "with the trend there is nothing to ask");
	f.p.direction = TE_DIR_WEAK_SELL;
	is_outcome(&f, "HOLD", "a sale against a rising trend holds");
	f.m.trend = TE_TREND_FLAT;
	is_outcome(&f, "SIGNAL", "a flat trend opposes nobody");

	fixture(&f);
	f.p.confidence = 0.8;
	f.p.direction = TE_DIR_WEAK_BUY;
	f.m.trend = TE_TREND_DOWN;
	f.s.pattern_trading_enabled = true;
	add_pattern(&f, TE_BIAS_BEARISH, 0.9);
	decide(&f);
	ok(f.out.hold_reason == TE_HOLD_REASON_NEUTRAL,
	   "level 0 before the trend is looked at is NEUTRAL");
	f.m.trend = TE_TREND_UP;
	decide(&f);
	ok(f.out.hold_reason == TE_HOLD_REASON_NEUTRAL, "whichever way the trend goes");
}

static void strength(void)
{
	fixture(&f);
	f.m = (TeMarket){TE_REGIME_RANGING, TE_TREND_FLAT, 1, NAN, NAN, NAN};
	f.p.volume_confirmation = 0.4;
	f.s.pattern_trading_enabled = true;
	add_vote(&f, TE_DIR_BUY, 0.8, 1);
	add_vote(&f, TE_DIR_SELL, 0.2, 1);
	add_pattern(&f, TE_BIAS_BULLISH, 0.7);
	decide(&f);
	/* 0.3*0.9 + 0.25*0.8 + 0.2*0.7 + 0.15*0.75 + 0.1*0.4 = 0.27+0.2+0.14+0.1125+0.04 = 0.7625 */
	is_near(f.out.signal_strength, 0.7625, 1e-15, "all five factors");

	f.patterns[0].direction = TE_BIAS_BEARISH;
	f.s.min_pattern_probability = 0.9;
	decide(&f);
	/* 1 - 0.7 = 0.3: 0.7625 - 0.14 + 0.06 */
	is_near(f.out.signal_strength, 0.6825, 1e-15,
	        "a pattern against counts 1 - p, below the threshold too");

	f.patterns[0].direction = TE_BIAS_NEUTRAL;
	decide(&f);
	is_near(f.out.signal_strength, 0.6225 / 0.8, 1e-15, "a neutral pattern is absent");

	f.patterns[0].direction = TE_BIAS_BULLISH;
	f.p.pattern_count = 0;
	f.p.model_count = 0;
	f.p.volume_confirmation = NAN;
	decide(&f);
	/* (0.3*0.9 + 0.15*0.75) / 0.45 = 0.3825 / 0.45 */
	is_near(f.out.signal_strength, 0.85, 1e-15, "absent factors don't shift the weights of others");

	f.m.regime = TE_REGIME_UNKNOWN;
	f.s.strength_weights = (TeWeights){{0, 1, 1, 1, 1}};
	decide(&f);
	is_exactly(f.out.signal_strength, 0, "weights that sum to 0 give strength 0");

	/* A SELL reads its pattern the other way round. */
	fixture(&f);
	f.p.direction = TE_DIR_SELL;
	f.s.pattern_trading_enabled = true;
	f.s.strength_weights = (TeWeights){{0, 0, 1, 0, 0}};
	add_pattern(&f, TE_BIAS_BEARISH, 0.7);
	decide(&f);
	is_near(f.out.signal_strength, 0.7, 1e-15, "a bearish pattern points a SELL's way");
}

int main(void)
{
	patterns_move_the_level();
	hold_by_level();
	volatility();
	trend();
	strength();
	return done_testing();
}
