/*
 * core_gates.c - gates 1 to 8, 11 and 12: every outcome, each threshold met
 * exactly and missed by the smallest amount, and what each outcome carries.
 */
#include "core_fixture.h"

static Fixture f;

static void the_plain_case(void)
{
	fixture(&f);
	is_outcome(&f, "SIGNAL", "a sound prediction is a signal");
	ok(f.out.signal_type == TE_DIR_BUY, "its type is the prediction's direction");
	is_exactly(f.out.consensus_score, 0.9, "without models consensus is the confidence");
	is_exactly(f.out.market_favorability, 0.5, "an unknown market has favorability 0.5");
	is_near(f.out.signal_strength, 0.9, 1e-15, "strength is the only factor present: confidence");
	ok(f.out.expires_at == NOON + 300 * TE_USEC_PER_SEC, "it expires after signal_ttl_seconds");
	ok(f.out.hold_reason == TE_HOLD_REASON_NONE && f.out.has_order,
	   "it has an order, and no reason to hold");
	ok(f.out.timing == TE_TIMING_IMMEDIATE && isnan(f.out.trigger_price), "timing is IMMEDIATE");
	ok(f.out.time_in_force == TE_TIF_GTC && f.out.leg_count == 0, "it is GTC and single");

	static const TeOutcome gates[] = {
		TE_OUTCOME_DISABLED,       TE_OUTCOME_INSTRUMENT_NOT_ALLOWED, TE_OUTCOME_STALE,
		TE_OUTCOME_LOW_CONFIDENCE, TE_OUTCOME_LOW_CONSENSUS,          TE_OUTCOME_UNFAVORABLE_MARKET,
		TE_OUTCOME_HOLD,           TE_OUTCOME_POOR_REWARD_RISK,       TE_OUTCOME_POSITION_TOO_SMALL,
		TE_OUTCOME_MAX_POSITIONS,
	};
	bool same = f.out.step_count == (int)(sizeof(gates) / sizeof(gates[0]));
	for (int i = 0; same && i < f.out.step_count; i++)
		same = f.out.steps[i].gate == gates[i] && f.out.steps[i].passed;
	ok(same, "every gate that ran has one step, in order");
}

/* What an early outcome doesn't have. */
static bool nothing_from(const TeDecision *d, int gate)
{
	return (gate > 5 || isnan(d->consensus_score)) && (gate > 6 || isnan(d->market_favorability)) &&
	       (gate > 8 || (!d->has_signal_type && isnan(d->signal_strength))) &&
	       (gate > 9 || (!d->has_order && isnan(d->entry_price) && isnan(d->stop_loss) &&
	                     isnan(d->take_profit) && isnan(d->reward_risk_ratio))) &&
	       isnan(d->position_size) && isnan(d->max_loss);
}

static void enabled_and_instrument(void)
{
	static const char *const others[] = {"GBPUSD", "USDJPY"};
	static const char *const with[] = {"AUDUSD", "EURUSD", "GBPUSD"};

	fixture(&f);
	f.s.enabled = false;
	is_outcome(&f, "DISABLED", "a strategy that isn't enabled");
	ok(f.out.step_count == 1 && !f.out.steps[0].passed, "stops at the first gate");
	ok(nothing_from(&f.out, 1) && f.out.expires_at == TE_NO_TIME, "with nothing computed");

	fixture(&f);
	f.s.available_instruments = (TeSymbols){false, 2, others};
	is_outcome(&f, "INSTRUMENT_NOT_ALLOWED", "a symbol outside the set");
	is_text(last_step(&f)->value.as.text, "EURUSD", "is named by the step");
	f.s.available_instruments = (TeSymbols){false, 3, with};
	is_outcome(&f, "SIGNAL", "a symbol inside the set");
	f.s.available_instruments = (TeSymbols){false, 0, NULL};
	is_outcome(&f, "INSTRUMENT_NOT_ALLOWED", "the empty set allows nothing");
}

static void staleness(void)
{
	fixture(&f);
	f.in.at = NOON + 5000 * MSEC;
	is_outcome(&f, "SIGNAL", "exactly max_prediction_age_ms old is fresh");
	f.in.at++;
	is_outcome(&f, "STALE", "a microsecond older is stale");
	is_text(last_step(&f)->check, "age_ms", "for its age");
	is_exactly(last_step(&f)->value.as.number, 5000.001, "shown in milliseconds");
	ok(nothing_from(&f.out, 3), "with nothing computed");

	fixture(&f);
	f.p.valid_until = NOON + 1;
	is_outcome(&f, "SIGNAL", "a microsecond before valid_until is fresh");
	ok(f.out.expires_at == NOON + 1, "and the signal expires not later than valid_until");
	f.in.at = NOON + 1;
	is_outcome(&f, "STALE", "at valid_until it is stale");
	is_text(last_step(&f)->check, "valid_until", "for its validity");

	fixture(&f);
	f.in.at = NOON - TE_USEC_PER_SEC;
	is_outcome(&f, "SIGNAL", "one second from the future is tolerated");
	f.in.at--;
	is_outcome(&f, "STALE", "more is stale");
	is_text(last_step(&f)->check, "future_ms", "for being from the future");
}

static void early_hold(void)
{
	fixture(&f);
	f.p.direction = TE_DIR_HOLD;
	f.p.confidence = 0.1;
	is_outcome(&f, "HOLD", "a prediction of HOLD ends before its confidence is looked at");
	ok(f.out.hold_reason == TE_HOLD_REASON_NEUTRAL, "its reason is NEUTRAL");
	ok(nothing_from(&f.out, 3), "it has no consensus, favorability, signal type or strength");
	ok(f.out.expires_at == NOON + 300 * TE_USEC_PER_SEC, "it expires");
	ok(last_step(&f)->gate == TE_OUTCOME_HOLD && !last_step(&f)->passed, "its last step is HOLD");
	f.in.at = NOON + 6000 * MSEC;
	is_outcome(&f, "STALE", "but a stale one is stale");
}

static void confidence_and_consensus(void)
{
	fixture(&f);
	f.p.confidence = 0.7;
	is_outcome(&f, "SIGNAL", "confidence at the threshold passes");
	f.p.confidence = 0.7 - 2e-9;
	is_outcome(&f, "LOW_CONFIDENCE", "confidence just below fails");
	f.p.confidence = 0.7 - 5e-10;
	is_outcome(&f, "SIGNAL", "confidence within the tolerance passes");
	f.p.confidence = 0.5;
	decide(&f);
	ok(nothing_from(&f.out, 4), "LOW_CONFIDENCE has no consensus");

	fixture(&f);
	for (int i = 0; i < 5; i++)
		add_vote(&f, i < 3 ? TE_DIR_BUY : TE_DIR_SELL, 0.1, 1);
	is_outcome(&f, "SIGNAL", "3 of 5 equal votes is not below 0.6");
	is_near(f.out.consensus_score, 0.6, 1e-15, "consensus is 0.6");
	f.s.min_consensus_score = 0.61;
	is_outcome(&f, "LOW_CONSENSUS", "but below 0.61");
	is_near(f.out.consensus_score, 0.6, 1e-15, "which the outcome shows");
	ok(nothing_from(&f.out, 6), "without favorability");

	fixture(&f);
	f.s.min_consensus_score = 0;
	add_vote(&f, TE_DIR_WEAK_BUY, 0.8, 2); /* 1.6 agrees: only the sign counts */
	add_vote(&f, TE_DIR_HOLD, 0.5, 1);     /* 0.5 doesn't */
	add_vote(&f, TE_DIR_SELL, 0.3, 3);     /* 0.9 doesn't */
	decide(&f);
	is_near(f.out.consensus_score, 1.6 / 3.0, 1e-15,
	        "votes weigh weight times confidence; HOLD agrees with nobody");

	fixture(&f);
	add_vote(&f, TE_DIR_SELL, 0, 1);
	is_outcome(&f, "SIGNAL", "votes without any confidence leave the prediction's own");
	is_exactly(f.out.consensus_score, 0.9, "as consensus");
}

static void regime_and_spread(void)
{
	fixture(&f);
	f.s.allowed_regimes = REGIME_BIT(TRENDING);
	is_outcome(&f, "UNFAVORABLE_MARKET", "a regime that isn't allowed");
	is_text(last_step(&f)->check, "regime", "is named");
	is_exactly(f.out.market_favorability, 0.5, "favorability is there from gate 6 on");
	ok(nothing_from(&f.out, 7), "and nothing after it");

	te_strategy_defaults(&f.s);
	is_outcome(&f, "UNFAVORABLE_MARKET", "UNKNOWN isn't allowed by default");
	for (int r = TE_REGIME_RANGING; r < TE_REGIME_COUNT; r++) {
		f.m.regime = (TeRegime)r;
		is_outcome(&f, "SIGNAL", te_regime_enum.labels[r]);
	}

	fixture(&f);
	f.m.spread_pips = 3;
	is_outcome(&f, "SIGNAL", "a spread at the limit passes");
	f.m.spread_pips = 3.0000005;
	is_outcome(&f, "SIGNAL", "a spread within the tolerance passes");
	f.m.spread_pips = 3.000002;
	is_outcome(&f, "UNFAVORABLE_MARKET", "a wider spread fails");
	is_text(last_step(&f)->check, "spread_pips", "and is named");

	fixture(&f);
	f.p.bid = 1.1;
	f.p.ask = 1.1003; /* 3 pips, in doubles a little more */
	is_outcome(&f, "SIGNAL", "quotes 3 pips apart pass");
	f.p.ask = 1.10031;
	is_outcome(&f, "UNFAVORABLE_MARKET", "a tick further apart they fail");
	f.m.spread_pips = 1;
	is_outcome(&f, "SIGNAL", "an explicit spread wins over the quotes");
}

/* Favorability of one market, seen by a BUY. */
static double favorability(TeTrend trend, double ratio)
{
	fixture(&f);
	f.m = (TeMarket){TE_REGIME_TRENDING, trend, ratio, NAN, NAN, NAN};
	f.s.trend_following_enabled = false;
	decide(&f);
	return f.out.market_favorability;
}

static void favorable_market(void)
{
	is_near(favorability(TE_TREND_UP, 1), 1, 1e-15,
	        "with the trend in a calm market: 0.5 + 0.25 + 0.25");
	is_near(favorability(TE_TREND_FLAT, 1), 0.75, 1e-15, "without a trend: 0.75");
	is_near(favorability(TE_TREND_DOWN, 1), 0.5, 1e-15, "against the trend: 0.5");
	is_near(favorability(TE_TREND_FLAT, 3), 0.25, 1e-15, "a ratio of 3 takes v to -1");
	is_near(favorability(TE_TREND_FLAT, 1.0 / 3), 0.25, 1e-15, "and so does 1/3");
	is_near(favorability(TE_TREND_FLAT, 50), 0.25, 1e-15, "and more doesn't go below");
	is_near(favorability(TE_TREND_DOWN, 9), 0, 1e-15, "the worst is 0");
	is_near(favorability(TE_TREND_FLAT, sqrt(3)), 0.5, 1e-15, "the square root of 3 is half way");

	fixture(&f);
	f.m = (TeMarket){TE_REGIME_RANGING, TE_TREND_FLAT, 1, NAN, NAN, NAN};
	f.s.min_market_favorability = 0.75;
	is_outcome(&f, "SIGNAL", "favorability at the threshold passes");
	f.s.min_market_favorability = 0.75 + 2e-9;
	is_outcome(&f, "UNFAVORABLE_MARKET", "just below fails");
	is_text(last_step(&f)->check, "favorability", "and is named");
}

static TeRuleResult fixed_answer(void *context, const TeDecisionInput *in, double consensus,
                                 double favorability)
{
	TeRuleResult *answer = context;

	ok(in == &f.in && consensus == 0.9 && favorability == 0.5,
	   "the rule sees input, consensus and favorability");
	return *answer;
}

static void custom_rule(void)
{
	TeRuleResult answer = TE_RULE_TRUE;

	fixture(&f);
	f.s.custom_rule = "$.consensus > 0.5";
	f.in.evaluate_rule = fixed_answer;
	f.in.rule_context = &answer;
	is_outcome(&f, "SIGNAL", "a rule that is true passes");
	ok(f.out.steps[6].gate == TE_OUTCOME_CUSTOM_RULE && f.out.steps[6].value.as.boolean,
	   "and its step says true");
	answer = TE_RULE_NOT_TRUE;
	is_outcome(&f, "CUSTOM_RULE", "one that isn't fails");
	ok(!f.out.rule_failed && nothing_from(&f.out, 8), "without a signal type");
	ok(!last_step(&f)->value.as.boolean, "its step says false");
	is_text(last_step(&f)->threshold.as.text, "$.consensus > 0.5", "the step shows the rule");
	answer = TE_RULE_ERROR;
	is_outcome(&f, "CUSTOM_RULE", "one that can't be evaluated counts as not true");
	ok(f.out.rule_failed, "and is reported");
	f.in.evaluate_rule = NULL;
	is_outcome(&f, "CUSTOM_RULE", "and so is one that nobody evaluates");
}

static void positions(void)
{
	fixture(&f);
	f.a.open_positions = 9;
	is_outcome(&f, "SIGNAL", "below max_position_count");
	f.a.open_positions = 10;
	is_outcome(&f, "MAX_POSITIONS", "at max_position_count");
	is_exactly(f.out.position_size, 0.5, "the size was computed before");
	ok(f.out.expires_at == TE_NO_TIME, "it doesn't expire");
	f.s.max_position_count = 0;
	f.a.open_positions = 0;
	is_outcome(&f, "MAX_POSITIONS", "none are allowed");
}

int main(void)
{
	the_plain_case();
	enabled_and_instrument();
	staleness();
	early_hold();
	confidence_and_consensus();
	regime_and_spread();
	favorable_market();
	custom_rule();
	positions();
	return done_testing();
}
