/*
 * histogram.c - log-linear counts of latencies.
 */
#include "histogram.h"

#include <math.h>

#define EXACT_BITS 6
#define OCTAVE_BITS 5

_Static_assert(TE_HISTOGRAM_EXACT == 1 << EXACT_BITS, "exact buckets");
_Static_assert(TE_HISTOGRAM_PER_OCTAVE == 1 << OCTAVE_BITS, "buckets per octave");

static int highest_bit(uint64_t v)
{
	int bit = 0;

	while (v >>= 1)
		bit++;
	return bit;
}

/* The highest bit chooses the octave, the five below it the bucket in it. */
static int bucket_of(uint64_t v)
{
	int bit, octave, bucket;

	if (v < TE_HISTOGRAM_EXACT)
		return (int)v;
	bit = highest_bit(v);
	octave = bit - EXACT_BITS;
	bucket = TE_HISTOGRAM_EXACT + octave * TE_HISTOGRAM_PER_OCTAVE +
	         (int)((v >> (bit - OCTAVE_BITS)) & (TE_HISTOGRAM_PER_OCTAVE - 1));
	return bucket < TE_HISTOGRAM_BUCKETS ? bucket : TE_HISTOGRAM_BUCKETS - 1;
}

/* The middle of the whole numbers that fall into a bucket. */
static double bucket_middle(int bucket)
{
	int octave, within;
	uint64_t low, width;

	if (bucket < TE_HISTOGRAM_EXACT)
		return bucket;
	octave = (bucket - TE_HISTOGRAM_EXACT) / TE_HISTOGRAM_PER_OCTAVE;
	within = (bucket - TE_HISTOGRAM_EXACT) % TE_HISTOGRAM_PER_OCTAVE;
	width = UINT64_C(1) << (octave + EXACT_BITS - OCTAVE_BITS);
	low = (uint64_t)(TE_HISTOGRAM_PER_OCTAVE + within) * width;
	return (double)low + (double)(width - 1) / 2;
}

void te_histogram_record(TeHistogram *h, int64_t usec)
{
	uint64_t v = usec < 0 ? 0 : (uint64_t)usec;

	h->buckets[bucket_of(v)]++;
	h->sum += v;
	if (v > h->max)
		h->max = v;
	h->count++;
}

double te_histogram_percentile(const TeHistogram *h, double q)
{
	uint64_t total = 0, seen = 0;
	double rank;

	/* Summed here, because a writer may have counted one more meanwhile. */
	for (int i = 0; i < TE_HISTOGRAM_BUCKETS; i++)
		total += h->buckets[i];
	if (total == 0)
		return NAN;
	if (q >= 1)
		return (double)h->max;

	rank = fmax(1, ceil(q * (double)total));
	for (int i = 0; i < TE_HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if ((double)seen >= rank)
			return i == TE_HISTOGRAM_BUCKETS - 1 ? (double)h->max
			                                     : fmin(bucket_middle(i), (double)h->max);
	}
	return (double)h->max;
}

double te_histogram_mean(const TeHistogram *h)
{
	return h->count > 0 ? (double)h->sum / (double)h->count : NAN;
}

void te_histogram_merge(TeHistogram *into, const TeHistogram *from)
{
	for (int i = 0; i < TE_HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
}
