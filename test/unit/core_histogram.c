/*
 * core_histogram.c - latencies: error bound, percentiles, merge.
 */
#include "core/histogram.h"
#include "tap.h"

static TeHistogram h, other;

/* Greatest relative error of a single value's percentile, over a range of values. */
static double worst_error(int64_t from, int64_t to)
{
	double worst = 0;

	for (int64_t v = from; v <= to; v += 1 + v / 97) {
		memset(&h, 0, sizeof(h));
		te_histogram_record(&h, v);
		te_histogram_record(&h, to * 2); /* so that max doesn't help */
		worst = fmax(worst, fabs(te_histogram_percentile(&h, 0.5) - (double)v) / (double)v);
	}
	return worst;
}

static void errors(void)
{
	is_exactly(worst_error(1, 63), 0, "up to 63 us exact");
	ok(worst_error(64, 100000) <= 0.02, "to 0.1 s within 2 %");
	ok(worst_error(100000, 60000000) <= 0.02, "to 60 s within 2 %");
	ok(sizeof(TeHistogram) < 8192, "and small");
}

static void percentiles(void)
{
	memset(&h, 0, sizeof(h));
	ok(isnan(te_histogram_percentile(&h, 0.5)) && isnan(te_histogram_mean(&h)),
	   "nothing has no percentile and no mean");
	for (int v = 1; v <= 50; v++)
		te_histogram_record(&h, v);
	is_exactly(te_histogram_percentile(&h, 0.5), 25, "the median of 1 to 50, by nearest rank");
	is_exactly(te_histogram_percentile(&h, 0.9), 45, "the 90th percentile");
	is_exactly(te_histogram_percentile(&h, 0.99), 50, "the 99th");
	is_exactly(te_histogram_percentile(&h, 0), 1, "the least");
	is_exactly(te_histogram_percentile(&h, 1), 50, "the greatest");
	is_exactly(te_histogram_mean(&h), 25.5, "the mean");
	ok(h.count == 50 && h.max == 50, "count and max");

	te_histogram_record(&h, 1001);
	is_exactly(te_histogram_percentile(&h, 1), 1001, "max is exact");
	ok(te_histogram_percentile(&h, 0.999) <= 1001, "and no percentile is above it");
}

static void extremes(void)
{
	memset(&h, 0, sizeof(h));
	te_histogram_record(&h, -5);
	te_histogram_record(&h, 0);
	is_exactly(te_histogram_percentile(&h, 0.9), 0, "a negative latency counts as 0");
	te_histogram_record(&h, INT64_MAX / 4);
	is_exactly(te_histogram_percentile(&h, 0.99), (double)(INT64_MAX / 4),
	           "beyond the last bucket max is what is known");
}

static void merging(void)
{
	memset(&h, 0, sizeof(h));
	memset(&other, 0, sizeof(other));
	for (int v = 1; v <= 20; v++)
		te_histogram_record(v % 2 ? &h : &other, v);
	te_histogram_merge(&h, &other);
	ok(h.count == 20 && h.sum == 210 && h.max == 20,
	   "a merge adds counts and sums, and keeps the greater max");
	is_exactly(te_histogram_percentile(&h, 0.5), 10, "and the percentiles are of all");
}

int main(void)
{
	errors();
	percentiles();
	extremes();
	merging();
	return done_testing();
}
