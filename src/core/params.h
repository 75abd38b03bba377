/*
 * params.h - the one declaration of every strategy parameter.
 *
 * The list below is the only place where a parameter is spelled out.  The
 * strategy struct, JSON keys, table columns and checks, the merge of tier,
 * user and company, and doc/parameters.md all follow from it.  Wire names in
 * proto/trading/strategy_config.proto are compared with it by a unit test.
 *
 * X(name, KIND, enum, low, low_open, high, MERGE, ENTITLEMENT, doc)
 *   KIND        BOOL, INT, NUMBER, ENUM, SYMBOLS, REGIMES, RULE, WEIGHTS
 *   low, high   range; low_open: low itself is outside
 *   MERGE       how the company's value meets the user's: REPLACE (company
 *               wins), MAX or MIN (the stricter wins), AND, INTERSECT
 *   ENTITLEMENT what the tier has to say: FREELY; CEILING (the tier's own value
 *               bounds it); ADVANCED, CUSTOM, ALGORITHMIC (needs that flag)
 */
#ifndef TE_CORE_PARAMS_H
#define TE_CORE_PARAMS_H

#include "types.h"

#define TE_MAX_LEGS 5
#define TE_WEIGHT_COUNT 5
#define TE_RULE_MAX_BYTES 1024
#define TE_NO_BOUND INFINITY

/* clang-format off */
#define TE_STRATEGY_PARAMS(X) \
	X(enabled, BOOL, NULL, 0, false, 1, AND, FREELY, "strategy takes part in decisions") \
	X(available_instruments, SYMBOLS, NULL, 0, false, 0, INTERSECT, CEILING, "symbols it may trade, or {*} for all") \
	X(min_confidence_threshold, NUMBER, NULL, 0, false, 1, MAX, FREELY, "least confidence of a prediction") \
	X(min_consensus_score, NUMBER, NULL, 0, false, 1, MAX, FREELY, "least consensus of the models") \
	X(max_position_count, INT, NULL, 0, false, 10000, MIN, CEILING, "most open positions") \
	X(pattern_trading_enabled, BOOL, NULL, 0, false, 1, REPLACE, CEILING, "patterns move the signal's level and strength") \
	X(advanced_features_enabled, BOOL, NULL, 0, false, 1, REPLACE, CEILING, "unlocks legs, timing and several strategies per user") \
	X(custom_strategies_enabled, BOOL, NULL, 0, false, 1, REPLACE, CEILING, "unlocks custom_rule") \
	X(algorithmic_execution_enabled, BOOL, NULL, 0, false, 1, REPLACE, CEILING, "unlocks execution_algorithm") \
	X(enable_multi_leg_strategies, BOOL, NULL, 0, false, 1, REPLACE, ADVANCED, "split the position into legs") \
	X(advanced_timing, BOOL, NULL, 0, false, 1, REPLACE, ADVANCED, "wait for a pullback when the price has run away") \
	X(min_pattern_probability, NUMBER, NULL, 0, false, 1, MAX, FREELY, "least probability of a pattern that moves the level") \
	X(volatility_mode, ENUM, &te_volatility_mode_enum, 0, false, 0, REPLACE, FREELY, "what high volatility does to the level") \
	X(trend_following_enabled, BOOL, NULL, 0, false, 1, REPLACE, FREELY, "hold against the trend unless confident") \
	X(counter_trend_confidence_threshold, NUMBER, NULL, 0, false, 1, MAX, FREELY, "least confidence against the trend") \
	X(allowed_regimes, REGIMES, NULL, 0, false, 0, INTERSECT, FREELY, "market regimes it trades in") \
	X(min_market_favorability, NUMBER, NULL, 0, false, 1, MAX, FREELY, "least market favorability") \
	X(max_spread_pips, NUMBER, NULL, 0, true, TE_NO_BOUND, MIN, FREELY, "widest spread, pips") \
	X(max_prediction_age_ms, INT, NULL, 1, false, 86400000, MIN, FREELY, "oldest prediction, milliseconds") \
	X(custom_rule, RULE, NULL, 0, false, TE_RULE_MAX_BYTES, REPLACE, CUSTOM, "SQL/JSON path predicate that must be true") \
	X(strength_weights, WEIGHTS, NULL, 0, false, TE_NO_BOUND, REPLACE, FREELY, "weights of confidence, consensus, pattern, market, volume") \
	X(prefer_market_orders, BOOL, NULL, 0, false, 1, REPLACE, FREELY, "enter at the market rather than by a limit order") \
	X(limit_order_discount_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, REPLACE, FREELY, "BUY limit below the reference, pips") \
	X(limit_order_premium_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, REPLACE, FREELY, "SELL limit above the reference, pips") \
	X(max_limit_deviation_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, MIN, FREELY, "farthest limit from the reference, pips") \
	X(stop_loss_mode, ENUM, &te_stop_loss_mode_enum, 0, false, 0, REPLACE, FREELY, "stop distance in pips or multiples of ATR") \
	X(stop_loss_pips, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "stop distance, pips") \
	X(stop_loss_atr_multiple, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "stop distance, multiples of ATR") \
	X(min_stop_spread_multiple, NUMBER, NULL, 0, false, TE_NO_BOUND, MAX, FREELY, "least stop distance, multiples of the spread") \
	X(take_profit_mode, ENUM, &te_take_profit_mode_enum, 0, false, 0, REPLACE, FREELY, "how the take profit is found") \
	X(take_profit_pips, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "take profit distance, pips") \
	X(reward_risk_ratio, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "take profit distance, multiples of the risk") \
	X(min_reward_risk_ratio, NUMBER, NULL, 0, false, TE_NO_BOUND, MAX, FREELY, "least reward to risk") \
	X(position_sizing, ENUM, &te_position_sizing_enum, 0, false, 0, REPLACE, FREELY, "how the size is found") \
	X(fixed_lot, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "size of FIXED_LOT, lots") \
	X(risk_percent, NUMBER, NULL, 0, true, 100, MIN, FREELY, "equity at risk per trade, percent") \
	X(target_volatility_percent, NUMBER, NULL, 0, true, 100, MIN, FREELY, "equity moved by one ATR, percent") \
	X(kelly_fraction, NUMBER, NULL, 0, true, 1, MIN, FREELY, "fraction of the Kelly bet") \
	X(kelly_max_percent, NUMBER, NULL, 0, true, 100, MIN, FREELY, "most equity at risk with KELLY, percent") \
	X(max_position_size, NUMBER, NULL, 0, true, TE_NO_BOUND, MIN, FREELY, "largest position, lots") \
	X(weak_signal_size_factor, NUMBER, NULL, 0, true, 1, MIN, FREELY, "size of a weak signal relative to a strong one") \
	X(leg_count, INT, NULL, 2, false, TE_MAX_LEGS, REPLACE, FREELY, "legs of a position") \
	X(leg_spacing_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, REPLACE, FREELY, "distance between entries of legs, pips") \
	X(timing_extension_atr, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "distance from EMA 12 that counts as run away, multiples of ATR") \
	X(auto_execute, BOOL, NULL, 0, false, 1, AND, FREELY, "execute signals automatically") \
	X(max_slippage_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, MIN, FREELY, "most slippage accepted by the execution, pips") \
	X(time_in_force, ENUM, &te_time_in_force_enum, 0, false, 0, REPLACE, FREELY, "life of the order; IOC and FOK need prefer_market_orders") \
	X(execution_algorithm, ENUM, &te_algorithm_enum, 0, false, 0, REPLACE, ALGORITHMIC, "how a large order is worked") \
	X(duplicate_window_seconds, INT, NULL, 0, false, 86400, REPLACE, FREELY, "a like signal within this time is a duplicate, seconds") \
	X(duplicate_distance_pips, NUMBER, NULL, 0, false, TE_NO_BOUND, REPLACE, FREELY, "a like signal within this distance is a duplicate, pips") \
	X(signal_ttl_seconds, INT, NULL, 1, false, 86400, REPLACE, FREELY, "life of a signal, seconds") \
	X(twap_slices, INT, NULL, 2, false, 256, REPLACE, FREELY, "most parts of an order that is worked by TWAP") \
	X(twap_seconds, INT, NULL, 1, false, 86400, REPLACE, FREELY, "time over which TWAP spreads an order, seconds") \
	X(iceberg_visible_lots, NUMBER, NULL, 0, true, TE_NO_BOUND, REPLACE, FREELY, "most that ICEBERG shows of an order at a time, lots")
/* clang-format on */

typedef enum {
#define TE_PARAM_MEMBER(name, ...) TE_PARAM_##name,
	TE_STRATEGY_PARAMS(TE_PARAM_MEMBER)
#undef TE_PARAM_MEMBER
		TE_PARAM_COUNT
} TeParam;

_Static_assert(TE_PARAM_COUNT <= 64, "a set of parameters is a 64-bit mask");

typedef enum {
	TE_KIND_BOOL,
	TE_KIND_INT,
	TE_KIND_NUMBER,
	TE_KIND_ENUM,
	TE_KIND_SYMBOLS,
	TE_KIND_REGIMES,
	TE_KIND_RULE,
	TE_KIND_WEIGHTS
} TeParamKind;
typedef enum {
	TE_MERGE_REPLACE,
	TE_MERGE_MAX,
	TE_MERGE_MIN,
	TE_MERGE_AND,
	TE_MERGE_INTERSECT
} TeParamMerge;
typedef enum {
	TE_ENTITLED_FREELY,
	TE_ENTITLED_CEILING,
	TE_ENTITLED_ADVANCED,
	TE_ENTITLED_CUSTOM,
	TE_ENTITLED_ALGORITHMIC
} TeEntitlement;

/* A set of symbols; any: every symbol ("*").  Symbols are sorted and unique. */
typedef struct TeSymbols
{
	bool any;
	int count;
	const char *const *symbols;
} TeSymbols;

#define TE_C_TYPE_BOOL bool
#define TE_C_TYPE_INT int32_t
#define TE_C_TYPE_NUMBER double
#define TE_C_TYPE_ENUM uint8_t
#define TE_C_TYPE_SYMBOLS TeSymbols
#define TE_C_TYPE_REGIMES uint8_t /* bit 1 << TeRegime */
#define TE_C_TYPE_RULE const char *
typedef struct
{
	double w[TE_WEIGHT_COUNT];
} TeWeights;
#define TE_C_TYPE_WEIGHTS TeWeights

/* An effective strategy: what a decision reads.  custom_rule is NULL for none. */
typedef struct TeStrategy
{
#define TE_PARAM_FIELD(name, kind, ...) TE_C_TYPE_##kind name;
	TE_STRATEGY_PARAMS(TE_PARAM_FIELD)
#undef TE_PARAM_FIELD
} TeStrategy;

/* One layer of a strategy: the parameters whose bit (1 << TeParam) is in "set". */
typedef struct TeParamSet
{
	uint64_t set;
	TeStrategy values;
} TeParamSet;

#define TE_PARAM_BIT(p) (UINT64_C(1) << (p))

typedef struct TeParamInfo
{
	const char *name;
	TeParamKind kind;
	const TeEnum *labels; /* of an ENUM */
	double low, high;
	bool low_open;
	TeParamMerge merge;
	TeEntitlement entitlement;
	size_t offset; /* into TeStrategy */
	const char *doc;
} TeParamInfo;

extern const TeParamInfo te_params[TE_PARAM_COUNT];

/* Index of a parameter by name, or -1. */
extern int te_param_find(const char *name);

/* Bytes of a value of a kind within TeStrategy. */
extern size_t te_param_size(TeParamKind kind);

/* Whether two values of a kind have the same bits; of symbols and rules: say the same. */
extern bool te_param_same(TeParamKind kind, const void *a, const void *b);

/* The defaults of spec and README: what a missing key means. */
extern void te_strategy_defaults(TeStrategy *out);

/* The built-in tiers, in this order; the table trading.tiers starts with them. */
typedef enum { TE_TIER_FREE, TE_TIER_PRO, TE_TIER_ENTERPRISE, TE_TIER_COUNT } TeTier;
extern const char *const te_tier_names[TE_TIER_COUNT];
extern void te_tier_defaults(TeTier tier, TeParamSet *out);

/*
 * A value out of its range, or an impossible combination.  Returns NULL when the
 * strategy is sound, else the parameter's name, and a lower-case reason.  Only
 * parameters in "set" are looked at for range; combinations are always checked.
 */
extern const char *te_strategy_check(const TeParamSet *params, const char **reason);

/* The layer that a merged parameter came from. */
#define TE_LAYERS(X) X(DEFAULT) X(TIER) X(USER) X(COMPANY) X(CEILING)
#define TE_LAYER_MEMBER(label) TE_ENUM_MEMBER_(TE_LAYER_, label)
typedef enum { TE_LAYERS(TE_LAYER_MEMBER) TE_LAYER_COUNT } TeLayer;
extern const TeEnum te_layer_enum;

/*
 * Merge tier, user and company into the effective strategy: tier over defaults,
 * user over tier, company over user except that the stricter limit wins, and the
 * tier's entitlements over all.  Every argument but "own" may be empty (set == 0).
 * extra: the user has an earlier strategy, by creation and then by id; unless the
 * company has advanced_features_enabled, by its tier and its own row, it is not enabled.
 * An intersection of symbols is written to "symbols", which has room for as many
 * pointers as the smaller of the sets involved; layer[] may be NULL.
 */
extern void te_strategy_merge(const TeParamSet *tier, const TeParamSet *own,
                              const TeParamSet *company, bool extra, const char **symbols,
                              TeStrategy *out, uint8_t layer[TE_PARAM_COUNT]);

/* What a tier allows: its own values, and the defaults where it is silent. */
extern void te_tier_values(const TeParamSet *tier, TeStrategy *out);

/* The flag that has to be on for a parameter to be set, or -1. */
extern int te_param_unlocked_by(int p);

/*
 * The first parameter that a row sets beyond what the tier allows, or -1.
 * Asking for less than the tier has is always allowed.
 */
extern int te_strategy_beyond_tier(const TeParamSet *tier, const TeParamSet *row);

extern bool te_symbols_contain(const TeSymbols *set, const char *symbol);

#endif
