/*
 * latency.h - what a lane measures, as histograms in its slot of shared memory.
 *
 * Times are taken from a monotonic clock and recorded in microseconds.
 */
#ifndef TE_ENGINE_LATENCY_H
#define TE_ENGINE_LATENCY_H

#include "postgres.h"

#include "portability/instr_time.h"

#include "core/histogram.h"

/* X(symbol suffix, name in trading.stat_latency) */
#define TE_LATENCIES(X)                                                                            \
	X(READ_TO_COMMIT, "read to commit")                                                            \
	X(READ_TO_PUBLISH, "read to publish")                                                          \
	X(READ_TO_ACK, "read to acknowledge")                                                          \
	X(DECIDE, "decide")                                                                            \
	X(ASSESS, "assess") /* what a batch waits for the risk service */                              \
	X(STORE, "store")                                                                              \
	X(COMMIT, "commit")                                                                            \
	X(NOTIFY, "notify")                                                                            \
	X(REFRESH, "refresh") /* what a change of strategies keeps the lane from deciding */

#define TE_LATENCY_MEMBER(symbol, name) TE_LATENCY_##symbol,
typedef enum { TE_LATENCIES(TE_LATENCY_MEMBER) TE_LATENCY_COUNT } TeLatency;
#undef TE_LATENCY_MEMBER

extern const char *const te_latency_names[TE_LATENCY_COUNT];

typedef struct TeLatencies
{
	TeHistogram histograms[TE_LATENCY_COUNT];
} TeLatencies;

/* Microseconds on a clock that never jumps; comparable within one boot of the machine. */
static inline int64 te_monotonic_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64)INSTR_TIME_GET_MICROSEC(now);
}

/* Records the time from start, and from each of count starts, to end. */
extern void te_latency_record(TeLatencies *l, TeLatency what, int64 start_us, int64 end_us);
extern void te_latency_record_many(TeLatencies *l, TeLatency what, const int64 *start_us, int count,
                                   int64 end_us);

#endif
