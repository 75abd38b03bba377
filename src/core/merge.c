/*
 * merge.c - the effective strategy out of tier, user's row and company's row.
 */
#include <string.h>

#include "params.h"

static const void *param_get(const TeStrategy *s, int p)
{
	return (const char *)s + te_params[p].offset;
}

static void param_copy(TeStrategy *to, int p, const void *value)
{
	memcpy((char *)to + te_params[p].offset, value, te_param_size(te_params[p].kind));
}

bool te_symbols_contain(const TeSymbols *set, const char *symbol)
{
	int low = 0, high = set->count;

	if (set->any)
		return true;
	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = strcmp(symbol, set->symbols[middle]);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static bool symbols_within(const TeSymbols *set, const TeSymbols *bound)
{
	if (bound->any)
		return true;
	if (set->any)
		return false;
	for (int i = 0; i < set->count; i++)
		if (!te_symbols_contain(bound, set->symbols[i]))
			return false;
	return true;
}

/*
 * Intersect two sets.  A set that lies within the other is the result as it is;
 * else the result is written to "room", which may be the array of "a" itself.
 */
static TeSymbols symbols_intersect(const TeSymbols *a, const TeSymbols *b, const char **room)
{
	int count = 0;

	if (symbols_within(a, b))
		return *a;
	if (symbols_within(b, a))
		return *b;
	for (int i = 0; i < a->count && count < b->count; i++)
		if (te_symbols_contain(b, a->symbols[i]))
			room[count++] = a->symbols[i];
	return (TeSymbols){false, count, room};
}

/* A number of either kind, for comparisons. */
static double number_of(TeParamKind kind, const void *value)
{
	return kind == TE_KIND_INT ? *(const int32_t *)value : *(const double *)value;
}

/* The company's set meets the user's.  Returns whether it took something away. */
static bool meet_regimes(uint8_t *mine, const uint8_t *company)
{
	uint8_t common = *mine & *company;
	bool less = common != *mine;

	*mine = common;
	return less;
}

static bool meet_symbols(TeSymbols *mine, const TeSymbols *company, const char **symbols)
{
	bool less = !symbols_within(mine, company);

	*mine = symbols_intersect(mine, company, symbols);
	return less;
}

/*
 * The company's value meets the user's, which is in "out".  Returns whether the
 * company's decided.
 */
static bool meet_company(TeStrategy *out, int p, const void *company, const char **symbols)
{
	const TeParamInfo *info = &te_params[p];
	void *mine = (char *)out + info->offset;

	switch (info->merge) {
	case TE_MERGE_REPLACE:
		break;
	case TE_MERGE_MAX:
		if (number_of(info->kind, mine) > number_of(info->kind, company))
			return false;
		break;
	case TE_MERGE_MIN:
		if (number_of(info->kind, mine) < number_of(info->kind, company))
			return false;
		break;
	case TE_MERGE_AND:
		if (!*(bool *)mine)
			return false;
		break;
	case TE_MERGE_INTERSECT:
		return info->kind == TE_KIND_REGIMES ? meet_regimes(mine, company)
		                                     : meet_symbols(mine, company, symbols);
	}
	param_copy(out, p, company);
	return true;
}

int te_param_unlocked_by(int p)
{
	switch (te_params[p].entitlement) {
	case TE_ENTITLED_FREELY:
	case TE_ENTITLED_CEILING:
		return -1;
	case TE_ENTITLED_ADVANCED:
		return TE_PARAM_advanced_features_enabled;
	case TE_ENTITLED_CUSTOM:
		return TE_PARAM_custom_strategies_enabled;
	case TE_ENTITLED_ALGORITHMIC:
		return TE_PARAM_algorithmic_execution_enabled;
	}
	return -1;
}

/* Whether a strategy has the flag that a parameter needs. */
static bool unlocked(const TeStrategy *bound, int p)
{
	return *(const bool *)param_get(bound, te_param_unlocked_by(p));
}

/* Whether a strategy's value of a parameter exceeds what the bound has. */
static bool exceeds(const TeStrategy *values, int p, const TeStrategy *bound)
{
	const TeParamInfo *info = &te_params[p];
	const void *value = param_get(values, p), *limit = param_get(bound, p);

	switch (info->entitlement) {
	case TE_ENTITLED_FREELY:
		return false;
	case TE_ENTITLED_CEILING:
		if (info->kind == TE_KIND_BOOL)
			return *(const bool *)value && !*(const bool *)limit;
		if (info->kind == TE_KIND_SYMBOLS)
			return !symbols_within(value, limit);
		return number_of(info->kind, value) > number_of(info->kind, limit);
	case TE_ENTITLED_ADVANCED:
		return *(const bool *)value && !unlocked(bound, p);
	case TE_ENTITLED_CUSTOM:
		return *(const char *const *)value != NULL && !unlocked(bound, p);
	case TE_ENTITLED_ALGORITHMIC:
		return *(const uint8_t *)value != TE_ALGORITHM_NONE && !unlocked(bound, p);
	}
	return false;
}

/* Bring a value that exceeds down to the bound. */
static void lower(TeStrategy *out, int p, const TeStrategy *bound, const char **symbols)
{
	const TeParamInfo *info = &te_params[p];
	TeStrategy without;

	if (info->kind == TE_KIND_SYMBOLS)
		out->available_instruments =
			symbols_intersect(&out->available_instruments, &bound->available_instruments, symbols);
	else if (info->entitlement == TE_ENTITLED_CEILING)
		param_copy(out, p, param_get(bound, p));
	else {
		/* A feature that isn't unlocked is as if never set: all of them are off by default. */
		te_strategy_defaults(&without);
		param_copy(out, p, param_get(&without, p));
	}
}

void te_tier_values(const TeParamSet *tier, TeStrategy *out)
{
	te_strategy_defaults(out);
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		if (tier->set & TE_PARAM_BIT(p))
			param_copy(out, p, param_get(&tier->values, p));
}

/* Whether a company may have several strategies per user, whatever one of these says of itself. */
static bool has_advanced_features(const TeStrategy *tier, const TeParamSet *company)
{
	return tier->advanced_features_enabled &&
	       (!(company->set & TE_PARAM_BIT(TE_PARAM_advanced_features_enabled)) ||
	        company->values.advanced_features_enabled);
}

void te_strategy_merge(const TeParamSet *tier, const TeParamSet *own, const TeParamSet *company,
                       bool extra, const char **symbols, TeStrategy *out,
                       uint8_t layer[TE_PARAM_COUNT])
{
	TeStrategy base, bound;
	uint8_t from[TE_PARAM_COUNT];

	te_tier_values(tier, &base);
	*out = base;

	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		bool set_own = own->set & TE_PARAM_BIT(p), set_company = company->set & TE_PARAM_BIT(p);

		from[p] = (tier->set & TE_PARAM_BIT(p)) ? TE_LAYER_TIER : TE_LAYER_DEFAULT;
		if (set_own) {
			param_copy(out, p, param_get(&own->values, p));
			from[p] = TE_LAYER_USER;
		}
		if (set_company) {
			const void *theirs = param_get(&company->values, p);

			if (!set_own) {
				param_copy(out, p, theirs);
				from[p] = TE_LAYER_COMPANY;
			} else if (meet_company(out, p, theirs, symbols))
				from[p] = TE_LAYER_COMPANY;
		}
	}

	/* Flags that unlock come before what they unlock, so that a flag a row turned off locks too. */
	bound = base;
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		if (exceeds(out, p, &bound)) {
			lower(out, p, &base, symbols);
			from[p] = TE_LAYER_CEILING;
		}
		if (te_params[p].entitlement == TE_ENTITLED_CEILING)
			param_copy(&bound, p, param_get(out, p));
	}

	if (extra && out->enabled && !has_advanced_features(&base, company)) {
		out->enabled = false;
		from[TE_PARAM_enabled] = TE_LAYER_CEILING;
	}

	/* One layer may ask for IOC or FOK and a later one take the market orders away. */
	if (!out->prefer_market_orders &&
	    (out->time_in_force == TE_TIF_IOC || out->time_in_force == TE_TIF_FOK)) {
		out->time_in_force = TE_TIF_GTC;
		from[TE_PARAM_time_in_force] = from[TE_PARAM_prefer_market_orders];
	}

	if (layer != NULL)
		memcpy(layer, from, sizeof(from));
}

int te_strategy_beyond_tier(const TeParamSet *tier, const TeParamSet *row)
{
	TeStrategy bound;

	te_tier_values(tier, &bound);
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		if ((row->set & TE_PARAM_BIT(p)) && exceeds(&row->values, p, &bound))
			return p;
	return -1;
}
