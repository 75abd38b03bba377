/*
 * exact_sum.h - sums of doubles without rounding until they are read.
 *
 * The accumulator is a fixed-point number that spans all finite doubles, so a sum
 * doesn't depend on the order of its terms, nor on how parallel workers share
 * them (R. M. Neal, "Fast exact summation using small and large superaccumulators",
 * 2015).  Terms must be finite.
 */
#ifndef TE_CORE_EXACT_SUM_H
#define TE_CORE_EXACT_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TE_EXACT_CHUNKS 68

/* All zero is an empty sum.  Plain data: may be copied.  Chunk i counts units of 2^(32 i - 1074).
 */
typedef struct TeExactSum
{
	int64_t chunk[TE_EXACT_CHUNKS];
	int64_t pending; /* terms since carries were last propagated */
} TeExactSum;

extern void te_exact_add(TeExactSum *sum, double x);

/* Add x * x, exactly unless it is below 1e-290. */
extern void te_exact_add_square(TeExactSum *sum, double x);

extern void te_exact_merge(TeExactSum *sum, const TeExactSum *other);

/* A sum that isn't negative as bytes, few when its terms are of like size. */
#define TE_EXACT_PACKED_MOST (2 + 4 * TE_EXACT_CHUNKS)
extern size_t te_exact_pack(const TeExactSum *sum, uint8_t out[TE_EXACT_PACKED_MOST]);

/* Add a packed sum.  Returns how many bytes it took, 0 when they are no sum. */
extern size_t te_exact_add_packed(TeExactSum *sum, const uint8_t *packed, size_t length);

/* The double nearest to the sum. */
extern double te_exact_value(const TeExactSum *sum);

/* The sum as an unevaluated sum of two doubles, about 106 bits. */
typedef struct TeDouble2
{
	double high, low;
} TeDouble2;

extern TeDouble2 te_exact_value2(const TeExactSum *sum);

#endif
