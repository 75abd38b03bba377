/*
 * recorded_rows.h - reading what was recorded about signals.
 */
#ifndef TE_REPLAY_RECORDED_ROWS_H
#define TE_REPLAY_RECORDED_ROWS_H

#include "postgres.h"

#include "executor/spi.h"

#include "replay/recorded.h"
#include "wire/arena.h"

/* An order: a signal that was reserved, and in which batches it was counted or not from then on. */
typedef struct TeRecordedOrder
{
	const char *company_id, *user_id, *account_id;
	TeTime expires_at; /* of its reservation */
	int turn_count;
	const int64 *turns; /* trades.turns */
} TeRecordedOrder;

/* A row of trading.signals that isn't a hold's. */
typedef struct TeRecordedRow
{
	int64 batch_no;
	int32 position;
	int32 group; /* of its batch's candidates, that were assessed together; from 0 */
	bool ends_group;
	int prediction; /* index in the message, the reader's to find; -1 */
	const char *strategy_id, *prediction_id;
	TeRecordedOrder order;
	TeRecordedSignal signal;
} TeRecordedRow;

typedef struct TeRecordedReader
{
	const TeReplayRun *run;
	TeArena *arena;
	SPIPlanPtr first_plan, next_plan, history_plan;
} TeRecordedReader;

/* In the memory context of the moment; with SPI connected as long as it is used. */
extern void te_recorded_reader_begin(TeRecordedReader *reader, const TeReplayRun *run);

/*
 * What is given to callbacks is theirs, in the memory context of the moment of the call: orders
 * that were there, or may yet be counted, before the first batch of a range; signals of its lane of
 * batches after "after" until the range's last, in their order; what an account had made after each
 * batch that touched it.
 */
typedef void (*TeRecordedOrderTaker)(const TeRecordedOrder *order, void *arg);
extern void te_recorded_read_first(const TeRecordedReader *reader, const TeRecordedRange *range,
                                   TeRecordedOrderTaker take, void *arg);

typedef void (*TeRecordedRowTaker)(const TeRecordedRow *row, void *arg);
extern void te_recorded_read_next(const TeRecordedReader *reader, const TeRecordedRange *range,
                                  int64 after, TeRecordedRowTaker take, void *arg);

typedef void (*TeRecordedMadeTaker)(int64 batch_no, int64 realised, void *arg);
extern void te_recorded_read_history(const TeRecordedReader *reader, const TeCachedStrategy *s,
                                     bool simulated, TeRecordedMadeTaker take, void *arg);

#endif
