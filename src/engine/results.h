/*
 * results.h - executions on their way to rows, trades and positions.
 */
#ifndef TE_ENGINE_RESULTS_H
#define TE_ENGINE_RESULTS_H

#include "postgres.h"

#include "engine/batch.h"

/*
 * Take a report that came in; false with err when it is turned away.  batch->executions counts
 * those that were taken: such a batch ends before the next predictions.
 */
extern bool te_results_take(TeBatch *batch, const TeInput *input, const TeSubject *subject,
                            const TeMessage *message, TeWireError *err);

/* Write the batch's reports and what follows from them; in the batch's transaction. */
extern void te_results_store(TeBatch *batch);

/* After the commit: stage it in the lane's exposure, which is applied next. */
extern void te_results_committed(TeBatch *batch);

/*
 * Tell it what there was after the last batch: open trades, stopped-out predictions, accounts and
 * positions.  After te_exposure_load, whose reservations may have had their outcome since; in a
 * transaction with SPI connected.
 */
extern void te_results_load(TeExposure *exposure, const TeCache *cache, int lane, int lane_count,
                            TeTime now);

#endif
