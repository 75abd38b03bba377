/*
 * recorded.h - what was recorded about signals: what a replay's decisions see of their past.
 *
 * At the point of a run that a process is at, this knows of every account how many orders were
 * reserved or open and what it had made, and of a signal that was recorded what was done to it.
 * It goes by what was recorded, whatever the run decides otherwise.
 *
 * A process moves on through its chunks; what lies between two of them is read, and not decided.
 */
#ifndef TE_REPLAY_RECORDED_H
#define TE_REPLAY_RECORDED_H

#include "postgres.h"

#include "core/actions.h"
#include "engine/cache.h"
#include "replay/replay.h"
#include "utils/array.h"
#include "wire/decode.h"

/* A row of trading.signals that was a signal before it was assessed. */
typedef struct TeRecordedSignal
{
	TeRiskActions actions; /* count 0: nothing was done to it */
	ArrayType *notes;      /* column risk_notes; NULL: none */
	bool reserved;         /* it was counted as an order, at least until its batch was assessed */
	bool turned_down;      /* only that assessment made a hold of it */
	int32 group;           /* of its batch's candidates, that were assessed together; from 0 */
} TeRecordedSignal;

typedef struct TeRecorded TeRecorded;

/* Nothing yet; with SPI connected as long as it is used. */
extern TeRecorded *te_recorded_create(MemoryContext context, const TeReplayRun *run);

/* Batches of a lane, the next after those before; "epoch" begins anew, and so does a lane. */
typedef struct TeRecordedRange
{
	int64 epoch;
	int32 lane, lane_count;
	int64 first_batch, last_batch;
	TeTime first_at; /* when the first was decided */
} TeRecordedRange;
extern void te_recorded_open(TeRecorded *r, const TeRecordedRange *range);

/* Go to a message of the range; "simulated": it was decided by the input's clock. */
extern void te_recorded_message(TeRecorded *r, int64 batch_no, int32 position,
                                const TePredictionBatch *predictions, bool simulated);

/* Go to one of its predictions. */
extern void te_recorded_prediction(TeRecorded *r, int prediction, TeTime at);

/*
 * The account of a strategy as it was for this prediction.  "series" tells sources and variants
 * apart, which don't see each other within a prediction.
 */
extern void te_recorded_account(TeRecorded *r, const TeCachedStrategy *strategy, uint32 series,
                                TeAccount *out);

/* The strategy's signal on this prediction, or NULL; and: it was passed by a series. */
extern const TeRecordedSignal *te_recorded_signal(TeRecorded *r, const TeCachedStrategy *strategy);
extern void te_recorded_pass(TeRecorded *r, const TeCachedStrategy *strategy, uint32 series);

/*
 * For a run of one strategy: whether others have signals on this prediction that may have come
 * before its own; one of them, in their order; and: it is the strategy's own turn.  What has been
 * passed until then counts for every series.
 */
extern bool te_recorded_has_others(TeRecorded *r);
extern void te_recorded_pass_other(TeRecorded *r, const TeCachedStrategy *strategy);
extern void te_recorded_own_turn(TeRecorded *r, const TeCachedStrategy *strategy);

#endif
