/*
 * latency.c - recording of latencies.
 */
#include "engine/latency.h"

#define LATENCY_NAME(symbol, name) name,
const char *const te_latency_names[] = {TE_LATENCIES(LATENCY_NAME)};
#undef LATENCY_NAME

void te_latency_record(TeLatencies *l, TeLatency what, int64 start_us, int64 end_us)
{
	te_histogram_record(&l->histograms[what], end_us - start_us);
}

void te_latency_record_many(TeLatencies *l, TeLatency what, const int64 *start_us, int count,
                            int64 end_us)
{
	for (int i = 0; i < count; i++)
		te_latency_record(l, what, start_us[i], end_us);
}
