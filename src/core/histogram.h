/*
 * histogram.h - latencies of one writer, in microseconds, as counts.
 *
 * Plain data without pointers, so that it can live in shared memory.  Values up
 * to 63 us are exact; above, 32 buckets for each doubling keep a percentile
 * within 1.6 % of the true value, up to 134 s.  A greater value is counted in
 * the last bucket; "max" stays exact.  A reader beside the writer may see a value
 * counted in one field and not yet in another, never anything worse.
 */
#ifndef TE_CORE_HISTOGRAM_H
#define TE_CORE_HISTOGRAM_H

#include <stdint.h>

#define TE_HISTOGRAM_EXACT 64 /* values below this have a bucket each */
#define TE_HISTOGRAM_PER_OCTAVE 32
#define TE_HISTOGRAM_OCTAVES 21 /* 2^6 to 2^27 us */
#define TE_HISTOGRAM_BUCKETS (TE_HISTOGRAM_EXACT + TE_HISTOGRAM_OCTAVES * TE_HISTOGRAM_PER_OCTAVE)

/* All zero is empty. */
typedef struct TeHistogram
{
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t buckets[TE_HISTOGRAM_BUCKETS];
} TeHistogram;

/* Count one value; a negative one, as of a clock that was set back, counts as 0. */
extern void te_histogram_record(TeHistogram *h, int64_t usec);

/*
 * The value that a share "q" (0..1) of all values doesn't exceed: the nearest
 * rank's bucket, by its middle.  NAN when the histogram is empty; q = 1 is "max".
 */
extern double te_histogram_percentile(const TeHistogram *h, double q);

/* Mean in microseconds, or NAN. */
extern double te_histogram_mean(const TeHistogram *h);

extern void te_histogram_merge(TeHistogram *into, const TeHistogram *from);

#endif
