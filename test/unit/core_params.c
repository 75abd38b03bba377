/*
 * core_params.c - the table of parameters, defaults, tiers, ranges and the merge.
 */
#include "core/params.h"
#include "tap.h"

#define BIT(name) TE_PARAM_BIT(TE_PARAM_##name)
#define SET(row, name, value) ((row).values.name = (value), (row).set |= BIT(name))
#define SYMBOLS(...)                                                                               \
	((TeSymbols){false, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),       \
	             (const char *[]){__VA_ARGS__}})

static TeParamSet tier, own, company;
static const char *room[16];
static TeStrategy merged;
static uint8_t layer[TE_PARAM_COUNT];
static bool extra;

static void start(TeTier t)
{
	te_tier_defaults(t, &tier);
	own = company = (TeParamSet){0};
	extra = false;
}

static void merge(void)
{
	te_strategy_merge(&tier, &own, &company, extra, room, &merged, layer);
}

/* The layer's label of one parameter. */
#define from(name) (te_layer_enum.labels[layer[TE_PARAM_##name]])

static bool has_symbols(const TeSymbols *s, int count, const char *const symbols[])
{
	bool same = !s->any && s->count == count;

	for (int i = 0; same && i < count; i++)
		same = strcmp(s->symbols[i], symbols[i]) == 0;
	return same;
}

static void the_table(void)
{
	TeStrategy s;
	TeParamSet all;
	const char *reason;

	ok(TE_PARAM_COUNT == 54, "54 parameters, as the contract has");
	ok(te_param_find("risk_percent") == TE_PARAM_risk_percent && te_param_find("risk") == -1,
	   "are found by name");
	is_text(te_params[TE_PARAM_volatility_mode].labels->labels[0], "CONSERVATIVE",
	        "an enum has its labels");

	te_strategy_defaults(&s);
	all = (TeParamSet){TE_PARAM_BIT(TE_PARAM_COUNT) - 1, s};
	is_text(te_strategy_check(&all, &reason), NULL, "the defaults are sound");
	ok(reason == NULL, "and there is no reason");

	/* The defaults of the contract, in the order of its table. */
	ok(s.enabled && s.available_instruments.any && s.min_confidence_threshold == 0.7 &&
	       s.min_consensus_score == 0.6 && s.max_position_count == 10,
	   "defaults: thresholds");
	ok(!s.pattern_trading_enabled && !s.advanced_features_enabled && !s.custom_strategies_enabled &&
	       !s.algorithmic_execution_enabled && !s.enable_multi_leg_strategies && !s.advanced_timing,
	   "defaults: features are off");
	ok(s.min_pattern_probability == 0.6 && s.volatility_mode == TE_VOLATILITY_CONSERVATIVE &&
	       s.trend_following_enabled && s.counter_trend_confidence_threshold == 0.85 &&
	       s.allowed_regimes == 0x1E && s.min_market_favorability == 0 && s.max_spread_pips == 3 &&
	       s.max_prediction_age_ms == 5000 && s.custom_rule == NULL,
	   "defaults: signal type and market");
	ok(s.strength_weights.w[0] == 0.3 && s.strength_weights.w[1] == 0.25 &&
	       s.strength_weights.w[2] == 0.2 && s.strength_weights.w[3] == 0.15 &&
	       s.strength_weights.w[4] == 0.1,
	   "defaults: weights");
	ok(!s.prefer_market_orders && s.limit_order_discount_pips == 2 &&
	       s.limit_order_premium_pips == 2 && s.max_limit_deviation_pips == 10 &&
	       s.stop_loss_mode == TE_STOP_LOSS_PIPS && s.stop_loss_pips == 20 &&
	       s.stop_loss_atr_multiple == 1.5 && s.min_stop_spread_multiple == 2 &&
	       s.take_profit_mode == TE_TAKE_PROFIT_RISK_REWARD && s.take_profit_pips == 40 &&
	       s.reward_risk_ratio == 2 && s.min_reward_risk_ratio == 1,
	   "defaults: entry and exits");
	ok(s.position_sizing == TE_SIZING_RISK_PERCENT && s.fixed_lot == 0.01 && s.risk_percent == 1 &&
	       s.target_volatility_percent == 1 && s.kelly_fraction == 0.25 &&
	       s.kelly_max_percent == 2 && s.max_position_size == 10 &&
	       s.weak_signal_size_factor == 0.5,
	   "defaults: sizing");
	ok(s.leg_count == 3 && s.leg_spacing_pips == 5 && s.timing_extension_atr == 2 &&
	       !s.auto_execute && s.max_slippage_pips == 2 && s.time_in_force == TE_TIF_GTC &&
	       s.execution_algorithm == TE_ALGORITHM_NONE && s.duplicate_window_seconds == 300 &&
	       s.duplicate_distance_pips == 5 && s.signal_ttl_seconds == 300 && s.twap_slices == 5 &&
	       s.twap_seconds == 300 && s.iceberg_visible_lots == 1,
	   "defaults: legs and execution");
}

static void tiers(void)
{
	start(TE_TIER_FREE);
	merge();
	ok(has_symbols(&merged.available_instruments, 2, (const char *[]){"EURUSD", "GBPUSD"}),
	   "FREE trades two pairs");
	ok(merged.min_confidence_threshold == 0.8 && merged.min_consensus_score == 0.7 &&
	       merged.max_position_count == 3 && !merged.pattern_trading_enabled &&
	       !merged.advanced_features_enabled,
	   "FREE's column");
	is_text(from(max_position_count), "TIER", "comes from the tier");
	is_text(from(risk_percent), "DEFAULT", "and the rest from the defaults");

	start(TE_TIER_PRO);
	merge();
	ok(merged.available_instruments.count == 7 &&
	       te_symbols_contain(&merged.available_instruments, "NZDUSD") &&
	       !te_symbols_contain(&merged.available_instruments, "EURGBP"),
	   "PRO trades the majors");
	ok(merged.min_confidence_threshold == 0.7 && merged.min_consensus_score == 0.6 &&
	       merged.max_position_count == 10 && merged.pattern_trading_enabled &&
	       merged.advanced_features_enabled && !merged.custom_strategies_enabled &&
	       !merged.algorithmic_execution_enabled,
	   "PRO's column");

	start(TE_TIER_ENTERPRISE);
	merge();
	ok(merged.available_instruments.any &&
	       te_symbols_contain(&merged.available_instruments, "XAUUSD"),
	   "ENTERPRISE trades all");
	ok(merged.min_confidence_threshold == 0.6 && merged.min_consensus_score == 0.5 &&
	       merged.max_position_count == 50 && merged.pattern_trading_enabled &&
	       merged.advanced_features_enabled && merged.custom_strategies_enabled &&
	       merged.algorithmic_execution_enabled,
	   "ENTERPRISE's column");
}

static void layers(void)
{
	start(TE_TIER_PRO);
	SET(own, min_confidence_threshold, 0.75);
	SET(own, stop_loss_pips, 30);
	merge();
	ok(merged.min_confidence_threshold == 0.75 && merged.stop_loss_pips == 30,
	   "the user's row over the tier");
	is_text(from(stop_loss_pips), "USER", "is the layer");
	SET(own, min_confidence_threshold, 0.5);
	merge();
	is_exactly(merged.min_confidence_threshold, 0.5,
	           "a tier's threshold is a default, not a ceiling");

	start(TE_TIER_PRO);
	SET(company, min_confidence_threshold, 0.5);
	SET(company, stop_loss_pips, 25);
	merge();
	ok(merged.min_confidence_threshold == 0.5 && merged.stop_loss_pips == 25,
	   "the company's row over the tier");
	is_text(from(min_confidence_threshold), "COMPANY", "is the layer");
	SET(own, stop_loss_pips, 30);
	merge();
	is_exactly(merged.stop_loss_pips, 25, "the company wins over the user");
	is_text(from(stop_loss_pips), "COMPANY", "and is the layer");
}

static void ties(void)
{
	start(TE_TIER_PRO);
	SET(own, risk_percent, 2);
	SET(company, risk_percent, 2);
	SET(own, min_consensus_score, 0.8);
	SET(company, min_consensus_score, 0.8);
	merge();
	is_text(from(risk_percent), "COMPANY", "of two equal limits the company's counts");
	is_text(from(min_consensus_score), "COMPANY", "whichever way is stricter");
}

/* The user's and the company's value of a limit, and the one that wins. */
#define STRICTER(name, loose, strict)                                                              \
	do {                                                                                           \
		start(TE_TIER_ENTERPRISE);                                                                 \
		SET(own, name, strict);                                                                    \
		SET(company, name, loose);                                                                 \
		merge();                                                                                   \
		ok(merged.name == (strict) && layer[TE_PARAM_##name] == TE_LAYER_USER,                     \
		   #name ": a user may be more careful");                                                  \
		SET(own, name, loose);                                                                     \
		SET(company, name, strict);                                                                \
		merge();                                                                                   \
		ok(merged.name == (strict) && layer[TE_PARAM_##name] == TE_LAYER_COMPANY,                  \
		   #name ": but not less");                                                                \
	} while (0)

static void the_stricter_wins(void)
{
	STRICTER(min_confidence_threshold, 0.6, 0.9);
	STRICTER(min_consensus_score, 0.6, 0.9);
	STRICTER(min_pattern_probability, 0.6, 0.9);
	STRICTER(counter_trend_confidence_threshold, 0.6, 0.9);
	STRICTER(min_market_favorability, 0.1, 0.4);
	STRICTER(min_stop_spread_multiple, 1, 3);
	STRICTER(min_reward_risk_ratio, 1, 2);
	STRICTER(max_position_count, 20, 5);
	STRICTER(max_spread_pips, 3, 1);
	STRICTER(max_prediction_age_ms, 5000, 100);
	STRICTER(max_limit_deviation_pips, 9, 4);
	STRICTER(max_position_size, 9, 4);
	STRICTER(max_slippage_pips, 3, 1);
	STRICTER(risk_percent, 2, 1);
	STRICTER(target_volatility_percent, 2, 1);
	STRICTER(kelly_fraction, 0.5, 0.25);
	STRICTER(kelly_max_percent, 5, 2);
	STRICTER(weak_signal_size_factor, 0.9, 0.5);
	STRICTER(enabled, true, false);
	STRICTER(auto_execute, true, false);
}

static void sets_are_intersected(void)
{
	start(TE_TIER_ENTERPRISE);
	SET(own, allowed_regimes, 1 << TE_REGIME_TRENDING | 1 << TE_REGIME_RANGING);
	SET(company, allowed_regimes, 1 << TE_REGIME_TRENDING | 1 << TE_REGIME_LOW_VOLATILITY);
	SET(own, available_instruments, SYMBOLS("AUDUSD", "EURUSD", "USDJPY"));
	SET(company, available_instruments, SYMBOLS("EURUSD", "GBPUSD", "USDJPY"));
	merge();
	ok(merged.allowed_regimes == 1 << TE_REGIME_TRENDING, "regimes of user and company");
	ok(has_symbols(&merged.available_instruments, 2, (const char *[]){"EURUSD", "USDJPY"}),
	   "symbols of user and company");
	ok(own.values.available_instruments.count == 3, "the user's own set isn't touched");

	te_tier_defaults(TE_TIER_FREE, &tier);
	merge();
	ok(has_symbols(&merged.available_instruments, 1, (const char *[]){"EURUSD"}),
	   "and of the tier");
	is_text(from(available_instruments), "CEILING", "which is the ceiling");

	start(TE_TIER_FREE);
	SET(company, available_instruments, ((TeSymbols){.any = true}));
	merge();
	ok(merged.available_instruments.count == 2, "all symbols are all of the tier's");

	start(TE_TIER_PRO);
	SET(own, available_instruments, SYMBOLS("XAUUSD"));
	merge();
	ok(has_symbols(&merged.available_instruments, 0, NULL),
	   "nothing in common is the empty set, not all");
}

static void ceilings(void)
{
	start(TE_TIER_FREE);
	SET(own, max_position_count, 8);
	SET(company, max_position_count, 5);
	SET(company, pattern_trading_enabled, true);
	SET(own, advanced_features_enabled, true);
	SET(own, enable_multi_leg_strategies, true);
	SET(own, advanced_timing, true);
	SET(company, custom_strategies_enabled, true);
	SET(company, custom_rule, "$.consensus > 0");
	SET(company, algorithmic_execution_enabled, true);
	SET(company, execution_algorithm, TE_ALGORITHM_TWAP);
	merge();
	ok(merged.max_position_count == 3, "max_position_count is the smallest of all");
	ok(!merged.pattern_trading_enabled && !merged.advanced_features_enabled &&
	       !merged.custom_strategies_enabled && !merged.algorithmic_execution_enabled,
	   "no row lifts a flag");
	ok(!merged.enable_multi_leg_strategies && !merged.advanced_timing,
	   "legs and timing need advanced features");
	ok(merged.custom_rule == NULL && merged.execution_algorithm == TE_ALGORITHM_NONE,
	   "rule and algorithm need their flags");
	is_text(from(custom_rule), "CEILING", "the layer says so");

	te_tier_defaults(TE_TIER_ENTERPRISE, &tier);
	merge();
	ok(merged.max_position_count == 5 && merged.enable_multi_leg_strategies &&
	       merged.advanced_timing && merged.custom_rule != NULL &&
	       merged.execution_algorithm == TE_ALGORITHM_TWAP,
	   "ENTERPRISE has it all");

	SET(own, advanced_features_enabled, false);
	merge();
	ok(!merged.advanced_features_enabled && !merged.enable_multi_leg_strategies,
	   "a flag that a row turns off locks too");

	tier = (TeParamSet){0};
	own = (TeParamSet){0};
	SET(own, custom_rule, "$.consensus > 0");
	company = (TeParamSet){0};
	merge();
	ok(merged.custom_rule == NULL, "a tier that is silent unlocks nothing");
}

static void extra_strategies(void)
{
	start(TE_TIER_FREE);
	extra = true;
	merge();
	ok(!merged.enabled, "FREE has one strategy per user");
	is_text(from(enabled), "CEILING", "which is the ceiling");
	SET(own, enabled, false);
	merge();
	is_text(from(enabled), "USER", "what was off already isn't lowered");

	start(TE_TIER_PRO);
	extra = true;
	SET(own, advanced_features_enabled, false);
	merge();
	ok(merged.enabled, "PRO has several, also where one does without advanced features");
	SET(company, advanced_features_enabled, true);
	merge();
	ok(merged.enabled, "and where the company says so too");
	SET(company, advanced_features_enabled, false);
	SET(own, advanced_features_enabled, true);
	merge();
	ok(!merged.enabled, "but not where the company does without");
	extra = false;
	merge();
	ok(merged.enabled, "of which the first stays");
}

static void time_in_force(void)
{
	start(TE_TIER_PRO);
	SET(own, prefer_market_orders, true);
	SET(own, time_in_force, TE_TIF_IOC);
	merge();
	ok(merged.time_in_force == TE_TIF_IOC, "IOC with market orders");
	SET(company, prefer_market_orders, false);
	merge();
	ok(merged.time_in_force == TE_TIF_GTC, "GTC when the company takes them away");
}

static void beyond_the_tier(void)
{
	start(TE_TIER_FREE);
	is_exactly(te_strategy_beyond_tier(&tier, &own), -1, "an empty row asks for nothing");
	SET(own, max_position_count, 3);
	SET(own, available_instruments, SYMBOLS("EURUSD"));
	SET(own, pattern_trading_enabled, false);
	SET(own, enable_multi_leg_strategies, false);
	SET(own, execution_algorithm, TE_ALGORITHM_NONE);
	SET(own, min_confidence_threshold, 0.1);
	is_exactly(te_strategy_beyond_tier(&tier, &own), -1, "what the tier has is allowed");

#define BEYOND(name, value)                                                                        \
	do {                                                                                           \
		own = (TeParamSet){0};                                                                     \
		SET(own, name, value);                                                                     \
		is_exactly(te_strategy_beyond_tier(&tier, &own), TE_PARAM_##name,                          \
		           #name " is beyond FREE");                                                       \
	} while (0)
	BEYOND(available_instruments, SYMBOLS("EURUSD", "USDJPY"));
	BEYOND(available_instruments, ((TeSymbols){.any = true}));
	BEYOND(max_position_count, 4);
	BEYOND(pattern_trading_enabled, true);
	BEYOND(advanced_features_enabled, true);
	BEYOND(custom_strategies_enabled, true);
	BEYOND(algorithmic_execution_enabled, true);
	BEYOND(enable_multi_leg_strategies, true);
	BEYOND(advanced_timing, true);
	BEYOND(custom_rule, "$.consensus > 0");
	BEYOND(execution_algorithm, TE_ALGORITHM_ICEBERG);

	te_tier_defaults(TE_TIER_ENTERPRISE, &tier);
	is_exactly(te_strategy_beyond_tier(&tier, &own), -1, "and not beyond ENTERPRISE");
}

/* What the check says about a row, and that it names the parameter. */
static void expect_reason(const TeParamSet *row, const char *param, const char *want,
                          const char *name)
{
	const char *why, *key = te_strategy_check(row, &why);

	is_text(why, want, name);
	is_text(key, want == NULL ? NULL : param, "names it");
}

#define REASON(name, value, want)                                                                  \
	do {                                                                                           \
		TeParamSet one = {0};                                                                      \
		SET(one, name, value);                                                                     \
		expect_reason(&one, #name, want, #name " = " #value);                                      \
	} while (0)

#define SOUND ((const char *)NULL)

static void ranges(void)
{
	char rule[TE_RULE_MAX_BYTES + 2];

	REASON(min_confidence_threshold, 0, SOUND);
	REASON(min_confidence_threshold, 1, SOUND);
	REASON(min_confidence_threshold, 1.0000001, "must be from 0 to 1");
	REASON(min_confidence_threshold, -0.1, "must be from 0 to 1");
	REASON(min_confidence_threshold, NAN, "must be from 0 to 1");
	REASON(max_position_count, 10000, SOUND);
	REASON(max_position_count, 10001, "must be from 0 to 10000");
	REASON(max_prediction_age_ms, 0, "must be from 1 to 86400000");
	REASON(max_spread_pips, 0, "must be finite and > 0");
	REASON(max_spread_pips, INFINITY, "must be finite and > 0");
	REASON(max_slippage_pips, 0, SOUND);
	REASON(max_slippage_pips, -1, "must be finite and >= 0");
	REASON(risk_percent, 100, SOUND);
	REASON(risk_percent, 0, "must be > 0 and <= 100");
	REASON(kelly_fraction, 1.1, "must be > 0 and <= 1");
	REASON(leg_count, 1, "must be from 2 to 5");
	REASON(leg_count, 5, SOUND);
	REASON(signal_ttl_seconds, 86401, "must be from 1 to 86400");
	REASON(twap_slices, 1, "must be from 2 to 256");
	REASON(twap_seconds, 0, "must be from 1 to 86400");
	REASON(iceberg_visible_lots, 0, "must be finite and > 0");
	REASON(volatility_mode, 3, "is unknown");
	REASON(allowed_regimes, 0, SOUND);
	REASON(allowed_regimes, 32, "has an unknown regime");
	REASON(available_instruments, SYMBOLS("EURUSD", "AUDUSD"), "must be sorted without duplicates");
	REASON(available_instruments, SYMBOLS(""), "has an empty symbol");
	REASON(strength_weights, ((TeWeights){{0, 0, 0, 0, 0}}), "must have a finite sum > 0");
	REASON(strength_weights, ((TeWeights){{0, 0, 0, 0, 1}}), SOUND);
	REASON(strength_weights, ((TeWeights){{1, -1, 1, 1, 1}}), "must be 5 finite numbers >= 0");
	REASON(strength_weights, ((TeWeights){{1e308, 1e308, 0, 0, 0}}), "must have a finite sum > 0");
	REASON(custom_rule, "", "must not be empty");
	memset(rule, 'x', sizeof(rule) - 1);
	rule[sizeof(rule) - 1] = '\0';
	REASON(custom_rule, rule, "must not be longer than 1024 bytes");
	REASON(custom_rule, rule + 1, SOUND);
	REASON(time_in_force, TE_TIF_DAY, SOUND);
	REASON(time_in_force, TE_TIF_IOC, "may be IOC or FOK only with prefer_market_orders");

	own = (TeParamSet){0};
	SET(own, time_in_force, TE_TIF_FOK);
	SET(own, prefer_market_orders, true);
	const char *why;
	is_text(te_strategy_check(&own, &why), NULL, "FOK with market orders");
}

static void enums(void)
{
	is_exactly(te_enum_value(&te_direction_enum, "WEAK_SELL"), TE_DIR_WEAK_SELL, "a label's value");
	is_exactly(te_enum_value(&te_direction_enum, "weak_sell"), -1, "in its exact case");
	is_exactly(te_enum_value(&te_outcome_enum, "RISK_REJECTED"), TE_OUTCOME_RISK_REJECTED,
	           "the last outcome");
	is_exactly(te_outcome_enum.count, 16, "16 outcomes");
	is_text(te_time_in_force_enum.labels[TE_TIF_FOK], "FOK", "a value's label");
}

int main(void)
{
	the_table();
	tiers();
	layers();
	ties();
	the_stricter_wins();
	sets_are_intersected();
	ceilings();
	extra_strategies();
	time_in_force();
	beyond_the_tier();
	ranges();
	enums();
	return done_testing();
}
