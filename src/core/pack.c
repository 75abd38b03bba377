/*
 * pack.c - see pack.h.
 */
#include "pack.h"

#include <string.h>

/* TeSymbols as it is packed: the pointer and the count, which is ANY for "*". */
#define ANY (-1)
#define RULE_SIZE (sizeof(const char *))
#define SYMBOLS_SIZE (sizeof(const char *const *) + sizeof(int32_t))

/* Bytes of a value of each kind, within a strategy and packed. */
static size_t value_size(TeParamKind kind)
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
		return RULE_SIZE;
	case TE_KIND_WEIGHTS:
		return sizeof(TE_C_TYPE_WEIGHTS);
	}
	return 0;
}

static size_t packed_value_size(TeParamKind kind)
{
	return kind == TE_KIND_SYMBOLS ? SYMBOLS_SIZE : value_size(kind);
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

static bool same_rule(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_value(TeParamKind kind, const void *a, const void *b)
{
	switch (kind) {
	case TE_KIND_SYMBOLS:
		return same_symbols(a, b);
	case TE_KIND_RULE:
		return same_rule(*(const char *const *)a, *(const char *const *)b);
	default:
		/* By bits: what is unpacked is what was packed, -0 too. */
		return memcmp(a, b, value_size(kind)) == 0;
	}
}

static const void *value_of(const TeStrategy *s, int p)
{
	return (const char *)s + te_params[p].offset;
}

void te_params_difference(const TeStrategy *base, const TeStrategy *strategy, TeParamSet *out)
{
	out->set = 0;
	out->values = *strategy;
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		if (!same_value(te_params[p].kind, value_of(base, p), value_of(strategy, p)))
			out->set |= TE_PARAM_BIT(p);
}

void te_params_take(TeParamSet *set, TeParam param, const TeStrategy *from)
{
	memcpy((char *)&set->values + te_params[param].offset, value_of(from, param),
	       value_size(te_params[param].kind));
	set->set |= TE_PARAM_BIT(param);
}

static size_t size_of_mask(uint64_t mask)
{
	size_t size = sizeof(uint64_t);

	for (; mask != 0; mask &= mask - 1)
		size += packed_value_size(te_params[__builtin_ctzll(mask)].kind);
	return size;
}

size_t te_params_packed_size(const TeParamSet *set)
{
	return size_of_mask(set->set);
}

static void pack_symbols(const TeSymbols *symbols, uint8_t *out)
{
	int32_t count = symbols->any ? ANY : symbols->count;

	memcpy(out, &symbols->symbols, sizeof(symbols->symbols));
	memcpy(out + sizeof(symbols->symbols), &count, sizeof(count));
}

void te_params_pack(const TeParamSet *set, uint8_t *out)
{
	memcpy(out, &set->set, sizeof(set->set));
	out += sizeof(set->set);
	for (uint64_t mask = set->set; mask != 0; mask &= mask - 1) {
		int p = __builtin_ctzll(mask);
		size_t size = packed_value_size(te_params[p].kind);

		if (te_params[p].kind == TE_KIND_SYMBOLS)
			pack_symbols(value_of(&set->values, p), out);
		else
			memcpy(out, value_of(&set->values, p), size);
		out += size;
	}
}

uint64_t te_params_packed_mask(const uint8_t *packed)
{
	uint64_t mask;

	memcpy(&mask, packed, sizeof(mask));
	return mask;
}

size_t te_params_packed_length(const uint8_t *packed)
{
	return size_of_mask(te_params_packed_mask(packed));
}

static void overlay_symbols(const uint8_t *packed, TeSymbols *out)
{
	int32_t count;

	memcpy(&out->symbols, packed, sizeof(out->symbols));
	memcpy(&count, packed + sizeof(out->symbols), sizeof(count));
	out->any = count == ANY;
	out->count = out->any ? 0 : count;
}

void te_params_overlay(const uint8_t *packed, TeStrategy *out)
{
	uint64_t mask = te_params_packed_mask(packed);

	packed += sizeof(mask);
	for (; mask != 0; mask &= mask - 1) {
		int p = __builtin_ctzll(mask);
		char *to = (char *)out + te_params[p].offset;

		/* Sizes that the compiler knows: this runs for every decision. */
		switch (te_params[p].kind) {
		case TE_KIND_BOOL:
		case TE_KIND_ENUM:
		case TE_KIND_REGIMES:
			*to = (char)*packed;
			packed += 1;
			break;
		case TE_KIND_INT:
			memcpy(to, packed, sizeof(TE_C_TYPE_INT));
			packed += sizeof(TE_C_TYPE_INT);
			break;
		case TE_KIND_NUMBER:
			memcpy(to, packed, sizeof(TE_C_TYPE_NUMBER));
			packed += sizeof(TE_C_TYPE_NUMBER);
			break;
		case TE_KIND_SYMBOLS:
			overlay_symbols(packed, (TeSymbols *)to);
			packed += SYMBOLS_SIZE;
			break;
		case TE_KIND_RULE:
			/* cppcheck-suppress pointerSize ; the value is a pointer */
			memcpy(to, packed, RULE_SIZE);
			packed += RULE_SIZE;
			break;
		case TE_KIND_WEIGHTS:
			memcpy(to, packed, sizeof(TE_C_TYPE_WEIGHTS));
			packed += sizeof(TE_C_TYPE_WEIGHTS);
			break;
		}
	}
}
