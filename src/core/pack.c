/*
 * pack.c - see pack.h.
 */
#include "pack.h"

#include <string.h>

/* TeSymbols as it is packed: the pointer and the count, which is ANY for "*". */
#define ANY (-1)
#define SYMBOLS_SIZE (sizeof(const char *const *) + sizeof(int32_t))

/* Bytes of a packed value of each kind. */
static size_t packed_value_size(TeParamKind kind)
{
	return kind == TE_KIND_SYMBOLS ? SYMBOLS_SIZE : te_param_size(kind);
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
		if (!te_param_same(te_params[p].kind, value_of(base, p), value_of(strategy, p)))
			out->set |= TE_PARAM_BIT(p);
}

void te_params_take(TeParamSet *set, TeParam param, const TeStrategy *from)
{
	memcpy((char *)&set->values + te_params[param].offset, value_of(from, param),
	       te_param_size(te_params[param].kind));
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
			memcpy(to, packed, sizeof(TE_C_TYPE_RULE));
			packed += sizeof(TE_C_TYPE_RULE);
			break;
		case TE_KIND_WEIGHTS:
			memcpy(to, packed, sizeof(TE_C_TYPE_WEIGHTS));
			packed += sizeof(TE_C_TYPE_WEIGHTS);
			break;
		}
	}
}
