/*
 * sweep.h - many variants over one history: the sink of trading.sweep(), and its rows.
 */
#ifndef TE_REPLAY_SWEEP_H
#define TE_REPLAY_SWEEP_H

#include "replay/folds.h"
#include "replay/grid.h"
#include "replay/replay.h"
#include "replay/tuples.h"

extern const TeReplaySink te_replay_sweep_sink;

/* Begin the result of trading.sweep(), and put its rows: a sorted walk over a grid's combinations.
 */
extern void te_sweep_result_begin(FunctionCallInfo fcinfo, TeTupleResult *result);
extern void te_sweep_report(const TeWalk *walk, const TeParameterGrid *grid, TeTupleResult *result);

#endif
