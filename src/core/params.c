/*
 * params.c - the table of strategy parameters, their defaults and their check.
 */
#include "params.h"

#include <string.h>

#define PARAM_INFO(name, kind, labels, low, low_open, high, merge, entitlement, doc)               \
	{#name,                                                                                        \
	 TE_KIND_##kind,                                                                               \
	 labels,                                                                                       \
	 low,                                                                                          \
	 high,                                                                                         \
	 low_open,                                                                                     \
	 TE_MERGE_##merge,                                                                             \
	 TE_ENTITLED_##entitlement,                                                                    \
	 offsetof(TeStrategy, name),                                                                   \
	 doc},

const TeParamInfo te_params[TE_PARAM_COUNT] = {TE_STRATEGY_PARAMS(PARAM_INFO)};

/* What to say about a value out of range, for each shape that a range can have. */
typedef struct RangeText
{
	const char *closed, *low_open, *at_least, *above;
} RangeText;

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define RANGE_TEXT(name, kind, labels, low, low_open, high, merge, entitlement, doc)               \
	{"must be from " TEXT(low) " to " TEXT(high), "must be > " TEXT(low) " and <= " TEXT(high),    \
	 "must be finite and >= " TEXT(low), "must be finite and > " TEXT(low)},

static const RangeText range_texts[TE_PARAM_COUNT] = {TE_STRATEGY_PARAMS(RANGE_TEXT)};

#define ALL_REGIMES ((1 << TE_REGIME_COUNT) - 1)

int te_param_find(const char *name)
{
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		if (strcmp(te_params[p].name, name) == 0)
			return p;
	return -1;
}

void te_strategy_defaults(TeStrategy *out)
{
	static const TeStrategy defaults = {
		.enabled = true,
		.available_instruments = {.any = true},
		.min_confidence_threshold = 0.7,
		.min_consensus_score = 0.6,
		.max_position_count = 10,
		.min_pattern_probability = 0.6,
		.volatility_mode = TE_VOLATILITY_CONSERVATIVE,
		.trend_following_enabled = true,
		.counter_trend_confidence_threshold = 0.85,
		.allowed_regimes = ALL_REGIMES & ~(1 << TE_REGIME_UNKNOWN),
		.min_market_favorability = 0,
		.max_spread_pips = 3,
		.max_prediction_age_ms = 5000,
		.custom_rule = NULL,
		.strength_weights = {{0.3, 0.25, 0.2, 0.15, 0.1}},
		.limit_order_discount_pips = 2,
		.limit_order_premium_pips = 2,
		.max_limit_deviation_pips = 10,
		.stop_loss_mode = TE_STOP_LOSS_PIPS,
		.stop_loss_pips = 20,
		.stop_loss_atr_multiple = 1.5,
		.min_stop_spread_multiple = 2,
		.take_profit_mode = TE_TAKE_PROFIT_RISK_REWARD,
		.take_profit_pips = 40,
		.reward_risk_ratio = 2,
		.min_reward_risk_ratio = 1,
		.position_sizing = TE_SIZING_RISK_PERCENT,
		.fixed_lot = 0.01,
		.risk_percent = 1,
		.target_volatility_percent = 1,
		.kelly_fraction = 0.25,
		.kelly_max_percent = 2,
		.max_position_size = 10,
		.weak_signal_size_factor = 0.5,
		.leg_count = 3,
		.leg_spacing_pips = 5,
		.timing_extension_atr = 2,
		.max_slippage_pips = 2,
		.time_in_force = TE_TIF_GTC,
		.execution_algorithm = TE_ALGORITHM_NONE,
		.duplicate_window_seconds = 300,
		.duplicate_distance_pips = 5,
		.signal_ttl_seconds = 300,
		.twap_slices = 5,
		.twap_seconds = 300,
		.iceberg_visible_lots = 1,
	};

	*out = defaults;
}

const char *const te_tier_names[TE_TIER_COUNT] = {"FREE", "PRO", "ENTERPRISE"};

/* Each tier's column of the parameter table; everything else is the default's. */
typedef struct TierRow
{
	TeSymbols instruments;
	double min_confidence, min_consensus;
	int32_t max_positions;
	bool pattern, advanced, custom, algorithmic;
} TierRow;

static const char *const free_symbols[] = {"EURUSD", "GBPUSD"};
static const char *const pro_symbols[] = {"AUDUSD", "EURUSD", "GBPUSD", "NZDUSD",
                                          "USDCAD", "USDCHF", "USDJPY"};

#define SYMBOL_LIST(list)                                                                          \
	{                                                                                              \
		false, (int)(sizeof(list) / sizeof((list)[0])), list                                       \
	}

static const TierRow tier_rows[TE_TIER_COUNT] = {
	{SYMBOL_LIST(free_symbols), 0.8, 0.7, 3, false, false, false, false},
	{SYMBOL_LIST(pro_symbols), 0.7, 0.6, 10, true, true, false, false},
	{{true, 0, NULL}, 0.6, 0.5, 50, true, true, true, true},
};

void te_tier_defaults(TeTier tier, TeParamSet *out)
{
	const TierRow *row = &tier_rows[tier];
	TeStrategy *v = &out->values;

	te_strategy_defaults(v);
	out->set = 0;

#define SET(name, value) (v->name = (value), out->set |= TE_PARAM_BIT(TE_PARAM_##name))
	SET(available_instruments, row->instruments);
	SET(min_confidence_threshold, row->min_confidence);
	SET(min_consensus_score, row->min_consensus);
	SET(max_position_count, row->max_positions);
	SET(pattern_trading_enabled, row->pattern);
	SET(advanced_features_enabled, row->advanced);
	SET(custom_strategies_enabled, row->custom);
	SET(algorithmic_execution_enabled, row->algorithmic);
#undef SET
}

static bool number_in_range(const TeParamInfo *info, double x)
{
	return isfinite(x) && (info->low_open ? x > info->low : x >= info->low) && x <= info->high;
}

static const char *range_text(int p)
{
	const TeParamInfo *info = &te_params[p];

	if (isinf(info->high))
		return info->low_open ? range_texts[p].above : range_texts[p].at_least;
	return info->low_open ? range_texts[p].low_open : range_texts[p].closed;
}

static const char *check_symbols(const TeSymbols *s)
{
	for (int i = 0; i < s->count; i++) {
		if (s->symbols[i][0] == '\0')
			return "has an empty symbol";
		if (i > 0 && strcmp(s->symbols[i - 1], s->symbols[i]) >= 0)
			return "must be sorted without duplicates";
	}
	return NULL;
}

static const char *check_weights(const TeWeights *weights)
{
	double sum = 0;

	for (int i = 0; i < TE_WEIGHT_COUNT; i++) {
		if (!isfinite(weights->w[i]) || weights->w[i] < 0)
			return "must be 5 finite numbers >= 0";
		sum += weights->w[i];
	}
	return sum > 0 && isfinite(sum) ? NULL : "must have a finite sum > 0";
}

/* Why one value is out of its range, or NULL. */
static const char *check_value(int p, const TeStrategy *values)
{
	const TeParamInfo *info = &te_params[p];
	const void *field = (const char *)values + info->offset;
	const char *rule;

	switch (info->kind) {
	case TE_KIND_BOOL:
		return NULL;
	case TE_KIND_INT:
		return number_in_range(info, *(const int32_t *)field) ? NULL : range_text(p);
	case TE_KIND_NUMBER:
		return number_in_range(info, *(const double *)field) ? NULL : range_text(p);
	case TE_KIND_ENUM:
		return *(const uint8_t *)field < info->labels->count ? NULL : "is unknown";
	case TE_KIND_REGIMES:
		return *(const uint8_t *)field <= ALL_REGIMES ? NULL : "has an unknown regime";
	case TE_KIND_SYMBOLS:
		return check_symbols(field);
	case TE_KIND_WEIGHTS:
		return check_weights(field);
	case TE_KIND_RULE:
		rule = *(const char *const *)field;
		if (rule == NULL)
			return NULL;
		if (rule[0] == '\0')
			return "must not be empty";
		return strlen(rule) <= TE_RULE_MAX_BYTES
		           ? NULL
		           : "must not be longer than " TEXT(TE_RULE_MAX_BYTES) " bytes";
	}
	return NULL;
}

const char *te_strategy_check(const TeParamSet *params, const char **reason)
{
	const TeStrategy *v = &params->values;
	bool at_market;

	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		if (!(params->set & TE_PARAM_BIT(p)))
			continue;
		*reason = check_value(p, v);
		if (*reason != NULL)
			return te_params[p].name;
	}

	/* An unset prefer_market_orders is the default's false. */
	at_market =
		(params->set & TE_PARAM_BIT(TE_PARAM_prefer_market_orders)) && v->prefer_market_orders;
	if ((params->set & TE_PARAM_BIT(TE_PARAM_time_in_force)) && !at_market &&
	    (v->time_in_force == TE_TIF_IOC || v->time_in_force == TE_TIF_FOK)) {
		*reason = "may be IOC or FOK only with prefer_market_orders";
		return te_params[TE_PARAM_time_in_force].name;
	}

	*reason = NULL;
	return NULL;
}

size_t te_param_size(TeParamKind kind)
{
	switch (kind) {
	case TE_KIND_BOOL:
		return sizeof(TE_C_TYPE_BOOL);
	case TE_KIND_INT:
		return sizeof(TE_C_TYPE_INT);
	case TE_KIND_NUMBER:
		return sizeof(TE_C_TYPE_NUMBER);
	case TE_KIND_ENUM:
		return sizeof(TE_C_TYPE_ENUM);
	case TE_KIND_SYMBOLS:
		return sizeof(TE_C_TYPE_SYMBOLS);
	case TE_KIND_REGIMES:
		return sizeof(TE_C_TYPE_REGIMES);
	case TE_KIND_RULE:
		return sizeof(TE_C_TYPE_RULE);
	case TE_KIND_WEIGHTS:
		return sizeof(TE_C_TYPE_WEIGHTS);
	}
	return 0;
}

static bool same_symbols(const TeSymbols *a, const TeSymbols *b)
{
	if (a->any != b->any || a->count != b->count)
		return false;
	if (a->symbols == b->symbols)
		return true;
	for (int i = 0; i < a->count; i++)
		if (strcmp(a->symbols[i], b->symbols[i]) != 0)
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool te_param_same(TeParamKind kind, const void *a, const void *b)
{
	switch (kind) {
	case TE_KIND_SYMBOLS:
		return same_symbols(a, b);
	case TE_KIND_RULE:
		return same_text(*(const char *const *)a, *(const char *const *)b);
	default:
		/* By bits: -0 isn't 0, so that what is packed comes back as it was. */
		return memcmp(a, b, te_param_size(kind)) == 0;
	}
}
