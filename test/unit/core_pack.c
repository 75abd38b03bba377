/*
 * core_pack.c - a strategy comes back out of its difference to any other, bit for bit.
 */
#include <stdlib.h>

#include "core/pack.h"
#include "tap.h"

#define ROUNDS 20000

static uint64_t state = 88172645463325252u;

/* xorshift: the same numbers every time. */
static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

static const char *const pairs[] = {"AUDUSD", "EURUSD", "GBPUSD", "USDJPY"};
static const char *const others[] = {"AUDUSD", "EURUSD", "GBPUSD", "USDCHF"};
static const char *const rules[] = {NULL, "$.consensus > 0.5", "$.consensus > 0.6"};

static const double numbers[] = {0, -0.0, 0.1, 0.7, 1e-300, 12345.678, 1e9};

static TeSymbols some_symbols(void)
{
	switch (below(4)) {
	case 0:
		return (TeSymbols){.any = true};
	case 1:
		return (TeSymbols){.count = (int)below(5), .symbols = pairs};
	case 2:
		return (TeSymbols){.count = (int)below(5), .symbols = others};
	default:
		return (TeSymbols){0};
	}
}

static void randomize(TeStrategy *s, int p)
{
	void *field = (char *)s + te_params[p].offset;

	switch (te_params[p].kind) {
	case TE_KIND_BOOL:
		*(bool *)field = below(2);
		break;
	case TE_KIND_INT:
		*(int32_t *)field = (int32_t)below(100000) - 50000;
		break;
	case TE_KIND_NUMBER:
		*(double *)field = numbers[below(7)];
		break;
	case TE_KIND_ENUM:
	case TE_KIND_REGIMES:
		*(uint8_t *)field = (uint8_t)below(4);
		break;
	case TE_KIND_SYMBOLS:
		*(TeSymbols *)field = some_symbols();
		break;
	case TE_KIND_RULE:
		*(const char **)field = rules[below(3)];
		break;
	case TE_KIND_WEIGHTS:
		for (int i = 0; i < TE_WEIGHT_COUNT; i++)
			((TeWeights *)field)->w[i] = numbers[below(7)];
		break;
	}
}

/* Some parameters become others; the mask says which were written, not which differ. */
static void change(TeStrategy *s, uint32_t one_in)
{
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		if (below(one_in) == 0)
			randomize(s, p);
}

static bool same_symbols(const TeSymbols *a, const TeSymbols *b)
{
	if (a->any != b->any || a->count != b->count)
		return false;
	for (int i = 0; i < a->count; i++)
		if (strcmp(a->symbols[i], b->symbols[i]) != 0)
			return false;
	return true;
}

#define SAME_BOOL(x, y) ((x) == (y))
#define SAME_INT(x, y) ((x) == (y))
#define SAME_NUMBER(x, y) (memcmp(&(x), &(y), sizeof(x)) == 0)
#define SAME_ENUM(x, y) ((x) == (y))
#define SAME_REGIMES(x, y) ((x) == (y))
#define SAME_SYMBOLS(x, y) same_symbols(&(x), &(y))
#define SAME_RULE(x, y) (((x) == NULL) == ((y) == NULL) && ((x) == NULL || strcmp((x), (y)) == 0))
#define SAME_WEIGHTS(x, y) (memcmp(&(x), &(y), sizeof(x)) == 0)

/* The mask of the parameters in which two strategies differ, field by field. */
static uint64_t differences(const TeStrategy *a, const TeStrategy *b)
{
	uint64_t mask = 0;

#define COMPARE(name, kind, ...)                                                                   \
	if (!SAME_##kind(a->name, b->name))                                                            \
		mask |= TE_PARAM_BIT(TE_PARAM_##name);
	TE_STRATEGY_PARAMS(COMPARE)
#undef COMPARE
	return mask;
}

static void any_difference(void)
{
	bool masks = true, sizes = true, values = true, pairs_kept = true;

	for (int round = 0; round < ROUNDS; round++) {
		TeStrategy base, strategy, back;
		TeParamSet difference;
		uint8_t *packed;
		size_t size;

		te_strategy_defaults(&base);
		change(&base, 3);
		strategy = base;
		change(&strategy, 1 + below(20));
		te_params_difference(&base, &strategy, &difference);
		masks &= difference.set == differences(&base, &strategy);
		size = te_params_packed_size(&difference);
		packed = malloc(size + 1);
		packed[size] = 0xa5;
		te_params_pack(&difference, packed);
		sizes &= packed[size] == 0xa5 && te_params_packed_length(packed) == size &&
		         te_params_packed_mask(packed) == difference.set;
		back = base;
		te_params_overlay(packed, &back);
		values &= differences(&back, &strategy) == 0;
		/* The symbols and rule that were packed, not copies of them. */
		if (difference.set & TE_PARAM_BIT(TE_PARAM_available_instruments))
			pairs_kept &=
				back.available_instruments.any ||
				back.available_instruments.symbols == strategy.available_instruments.symbols;
		if (difference.set & TE_PARAM_BIT(TE_PARAM_custom_rule))
			pairs_kept &= back.custom_rule == strategy.custom_rule;
		free(packed);
	}
	ok(masks, "a difference names the parameters that differ, and no other");
	ok(sizes, "it takes the room that was asked for");
	ok(values, "laid over its base it gives the strategy, bit for bit");
	ok(pairs_kept, "with the pointers that were packed");
}

static void sizes(void)
{
	TeStrategy base, strategy;
	TeParamSet difference, set = {0};

	te_strategy_defaults(&base);
	strategy = base;
	te_params_difference(&base, &strategy, &difference);
	ok(difference.set == 0 && te_params_packed_size(&difference) == 8,
	   "no difference takes the mask");
	strategy.risk_percent = 2;
	strategy.enabled = false;
	strategy.max_position_count = 3;
	te_params_difference(&base, &strategy, &difference);
	ok(te_params_packed_size(&difference) == 8 + 8 + 1 + 4,
	   "a number, a bool and an integer their own");

	te_params_take(&set, TE_PARAM_risk_percent, &strategy);
	te_params_take(&set, TE_PARAM_available_instruments, &strategy);
	ok(set.set == (TE_PARAM_BIT(TE_PARAM_risk_percent) |
	               TE_PARAM_BIT(TE_PARAM_available_instruments)) &&
	       set.values.risk_percent == 2 && set.values.available_instruments.any,
	   "parameters are taken over one by one");
}

int main(void)
{
	any_difference();
	sizes();
	return done_testing();
}
