/*
 * counts.h - decisions per strategy and predictions per confidence, minute by minute.
 *
 * They are statistics: kept in the worker's memory, written once a minute and when
 * the worker is stopped on request, so that a crash loses some.  What a batch counts is staged
 * until it is committed.  Between batches the cache may change, within one it must not.  Strategies
 * that a prediction doesn't reach because of their threshold are not touched; their LOW_CONFIDENCE
 * decisions follow from the predictions per confidence.
 */
#ifndef TE_ENGINE_COUNTS_H
#define TE_ENGINE_COUNTS_H

#include "postgres.h"

#include "core/decide.h"
#include "engine/cache.h"

typedef struct TeCounts TeCounts;

extern TeCounts *te_counts_create(int lane);

extern void te_counts_decision(TeCounts *counts, TeTally *tally, const TeDecision *decision);

/* A prediction whose strategies were found by the index; company and user may be _all. */
extern void te_counts_prediction(TeCounts *counts, const char *company_id, const char *user_id,
                                 const char *symbol, double confidence);

/* The batch is committed, or it failed. */
extern void te_counts_apply(TeCounts *counts);
extern void te_counts_discard(TeCounts *counts);

/* Is there something to write, and has the minute passed? */
extern bool te_counts_due(const TeCounts *counts);

/* Write and clear, in a transaction of its own. */
extern void te_counts_flush(TeCounts *counts, TeCache *cache);

#endif
