/*
 * exact_sum.c - a fixed-point accumulator as wide as the range of doubles.
 */
#include <math.h>
#include <string.h>

#include "exact_sum.h"

#define CHUNK_BITS 32
#define CHUNK_MASK INT64_C(0xffffffff)
#define LEAST_EXPONENT 1074 /* the least double is 2^-1074 */
#define MANTISSA_BITS 52

/* Every term moves a chunk by less than 2^32, so 2^30 of them can't overflow it. */
#define MAX_PENDING (INT64_C(1) << 30)

/* Bring every chunk but the last into [0, 2^32); the value stays. */
static void propagate(TeExactSum *sum)
{
	for (int i = 0; i + 1 < TE_EXACT_CHUNKS; i++) {
		int64_t rest = sum->chunk[i] & CHUNK_MASK;

		sum->chunk[i + 1] += (sum->chunk[i] - rest) / (INT64_C(1) << CHUNK_BITS);
		sum->chunk[i] = rest;
	}
	sum->pending = 1; /* what is left in a chunk is less than a term */
}

void te_exact_add(TeExactSum *sum, double x)
{
	uint64_t bits, mantissa, low, high;
	int exponent, first, shift;
	int64_t sign;

	memcpy(&bits, &x, sizeof(bits));
	mantissa = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);
	exponent = (int)(bits >> MANTISSA_BITS) & 0x7ff;
	sign = bits >> 63 ? -1 : 1;
	if (exponent == 0)
		exponent = 1;
	else
		mantissa |= UINT64_C(1) << MANTISSA_BITS;

	first = (exponent - 1) / CHUNK_BITS;
	shift = (exponent - 1) % CHUNK_BITS;
	low = mantissa << shift;
	high = shift > 0 ? mantissa >> (64 - shift) : 0;

	if (sum->pending >= MAX_PENDING)
		propagate(sum);
	sum->chunk[first] += sign * (int64_t)(low & CHUNK_MASK);
	sum->chunk[first + 1] += sign * (int64_t)(low >> CHUNK_BITS);
	sum->chunk[first + 2] += sign * (int64_t)high;
	sum->pending++;
}

void te_exact_add_square(TeExactSum *sum, double x)
{
	double square = x * x;

	te_exact_add(sum, square);
	te_exact_add(sum, fma(x, x, -square));
}

void te_exact_merge(TeExactSum *sum, const TeExactSum *other)
{
	TeExactSum more = *other;

	propagate(&more);
	propagate(sum);
	for (int i = 0; i < TE_EXACT_CHUNKS; i++)
		sum->chunk[i] += more.chunk[i];
	sum->pending += more.pending;
}

/* Index of the first chunk that isn't 0, number of chunks from there to the last one, chunks. */
size_t te_exact_pack(const TeExactSum *sum, uint8_t out[TE_EXACT_PACKED_MOST])
{
	TeExactSum s = *sum;
	int first = 0, last = TE_EXACT_CHUNKS - 1;
	size_t length = 2;

	propagate(&s);
	while (last >= 0 && s.chunk[last] == 0)
		last--;
	while (first <= last && s.chunk[first] == 0)
		first++;
	out[0] = (uint8_t)first;
	out[1] = (uint8_t)(last - first + 1);
	if (last < 0)
		out[0] = out[1] = 0;
	for (int i = first; i <= last; i++) {
		uint32_t chunk = (uint32_t)s.chunk[i];

		for (int k = 0; k < 4; k++)
			out[length++] = (uint8_t)(chunk >> (8 * k));
	}
	return length;
}

size_t te_exact_add_packed(TeExactSum *sum, const uint8_t *packed, size_t length)
{
	size_t first, count;

	if (length < 2)
		return 0;
	first = packed[0];
	count = packed[1];
	if (first + count > TE_EXACT_CHUNKS || length < 2 + 4 * count)
		return 0;
	if (sum->pending >= MAX_PENDING)
		propagate(sum);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *p = packed + 2 + 4 * i;

		sum->chunk[first + i] += (int64_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 |
		                                   (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
	}
	sum->pending++;
	return 2 + 4 * count;
}

double te_exact_value(const TeExactSum *sum)
{
	TeExactSum s = *sum;
	uint64_t top, rest, fraction;
	bool negative, sticky;
	int i, zeros;

	propagate(&s);
	negative = s.chunk[TE_EXACT_CHUNKS - 1] < 0;
	if (negative) {
		for (i = 0; i < TE_EXACT_CHUNKS; i++)
			s.chunk[i] = -s.chunk[i];
		propagate(&s);
	}
	for (i = TE_EXACT_CHUNKS - 1; i >= 0 && s.chunk[i] == 0; i--)
		;
	if (i < 0)
		return 0;

	/* The 64 bits from the highest that is set, and whether anything lies below them. */
	top = (uint64_t)s.chunk[i] << CHUNK_BITS | (i > 0 ? (uint64_t)s.chunk[i - 1] : 0);
	for (zeros = 0; !(top >> 63); zeros++)
		top <<= 1;
	rest = i > 1 ? (uint64_t)s.chunk[i - 2] << zeros : 0;
	top |= rest >> CHUNK_BITS;
	sticky = (rest & CHUNK_MASK) != 0;
	for (int k = i - 3; k >= 0 && !sticky; k--)
		sticky = s.chunk[k] != 0;

	/* Round to 53 bits, half to even. */
	fraction = top & 0x7ff;
	top >>= 11;
	if (fraction > 0x400 || (fraction == 0x400 && (sticky || top & 1)))
		top++;
	return ldexp(negative ? -(double)top : (double)top,
	             CHUNK_BITS * (i - 1) - LEAST_EXPONENT - zeros + 11);
}

TeDouble2 te_exact_value2(const TeExactSum *sum)
{
	TeExactSum rest = *sum;
	TeDouble2 value = {.high = te_exact_value(sum)};

	if (isfinite(value.high)) {
		te_exact_add(&rest, -value.high);
		value.low = te_exact_value(&rest);
	}
	return value;
}
