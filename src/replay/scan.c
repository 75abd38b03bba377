/*
 * scan.c - one process's part of a run: stored messages to decisions.
 *
 * Each chunk is one query over its batches.  A message is decoded once, and every prediction
 * of it that was decided then is decided for every source of strategies.  What was refused
 * then (an unknown symbol, a fault) has no market recorded, and stays refused.
 */
#include "postgres.h"

#include "replay/decider.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/lane.h"
#include "sql/sqltime.h"

/* Rows that are fetched at a time: messages can have a megabyte. */
#define FETCH_ROWS 64

/* What was taken in keeps within the limits of its time, whatever they are now. */
static const TeWireLimits no_limits = {SIZE_MAX, SIZE_MAX, SIZE_MAX};

/* Columns of the query, in its order. */
enum {
	COLUMN_batch_no = 1,
	COLUMN_position,
	COLUMN_company_id,
	COLUMN_user_id,
	COLUMN_correlation_id,
	COLUMN_decided_at,
	COLUMN_message,
	COLUMN_market,
	COLUMN_batch_found,
	COLUMN_batch_decided_at,
	COLUMN_lane_count,
	COLUMN_snapshot,
	COLUMN_system
};

static const char chunk_query[] =
	"SELECT p.batch_no, p.position, p.company_id, p.user_id, p.correlation_id, p.decided_at,"
	"       p.message, p.market, b.lane IS NOT NULL, b.decided_at,"
	"       COALESCE(b.lane_count, (SELECT pg_catalog.count(*) FROM trading.lanes)::integer),"
	"       b.change_snapshot, b.system_identifier"
	"  FROM trading.prediction_batches AS p"
	"  LEFT JOIN trading.batches AS b"
	"    ON b.lane OPERATOR(pg_catalog.=) p.lane AND b.batch_no OPERATOR(pg_catalog.=) p.batch_no"
	"   AND b.lane OPERATOR(pg_catalog.=) $5"
	"   AND b.batch_no OPERATOR(pg_catalog.>=) $6 AND b.batch_no OPERATOR(pg_catalog.<=) $7"
	" WHERE p.lane OPERATOR(pg_catalog.=) $5"
	"   AND p.batch_no OPERATOR(pg_catalog.>=) $6 AND p.batch_no OPERATOR(pg_catalog.<=) $7"
	"   AND " TE_REPLAY_CONDITION " ORDER BY p.batch_no, p.position";

#define QUERY_PARAMETERS (TE_REPLAY_PARAMETERS + 3)

typedef struct Process
{
	TeReplayDecider decider;
	TeReplayProgress progress;
	MemoryContext per_row;
	SPIPlanPtr plan;
} Process;

static void out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory reading a message")));
}

/*----------------------------------------------------------------------
 * Messages
 *----------------------------------------------------------------------*/

/* A row of the query; its values are in the per-row memory. */
typedef struct MessageRow
{
	HeapTuple tuple;
	TupleDesc columns;
} MessageRow;

static Datum column(const MessageRow *row, int number, bool *isnull)
{
	bool ignored;

	return SPI_getbinval(row->tuple, row->columns, number, isnull ? isnull : &ignored);
}

static TeTime time_column(const MessageRow *row, int number)
{
	bool isnull;
	Datum value = column(row, number, &isnull);

	return isnull ? TE_NO_TIME : te_time_from_timestamptz(DatumGetTimestampTz(value));
}

static const char *text_column(const MessageRow *row, int number)
{
	bool isnull;
	Datum value = column(row, number, &isnull);

	return isnull ? "" : TextDatumGetCString(value);
}

static void unreadable(const TeReplayMessage *place, const char *what, const TeWireError *err)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
	                errmsg("%s %d of batch " INT64_FORMAT " of lane %d can't be read", what,
	                       place->position, place->batch_no, place->lane),
	                errdetail("%s%s%s", err->field, err->field[0] ? ": " : "", err->detail)));
}

static const TeMessage *decode(Process *process, const MessageRow *row,
                               const TeReplayMessage *place)
{
	bytea *bytes = DatumGetByteaPP(column(row, COLUMN_message, NULL));
	TeMessage *message = te_arena_zalloc(process->decider.arena, sizeof(TeMessage));
	TeWireError err = {0};

	if (message == NULL)
		out_of_memory();
	if (!te_wire_decode((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &no_limits,
	                    process->decider.arena, message, &err))
		unreadable(place, "message", &err);
	return message;
}

/* What each prediction was decided on; NULL when none was. */
static const TeDecidedOn *unpack_markets(Process *process, const MessageRow *row,
                                         const TeReplayMessage *place)
{
	bool isnull;
	Datum value = column(row, COLUMN_market, &isnull);
	TeDecidedOn *decided_on;
	size_t count;
	TeWireError err = {0};
	bytea *bytes;

	if (isnull)
		return NULL;
	bytes = DatumGetByteaPP(value);
	if (!te_markets_unpack((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
	                       process->decider.arena, &decided_on, &count, &err))
		unreadable(place, "market state of message", &err);
	if (count != place->message->as.batch.count) {
		(void)te_wire_fail(&err, TE_WIRE_INVALID_FIELD, "condition_of",
		                   "has another length than the batch");
		unreadable(place, "market state of message", &err);
	}
	return decided_on;
}

/*
 * Decide the predictions of a message.  The row has the clock before the first of them; a
 * lane that goes by the input's clock moves it on with each that it decides, while the
 * system's clock stands for the whole batch, whose row has it too.
 */
static void run_predictions(Process *process, const MessageRow *row, const TeDecidedOn *decided_on)
{
	const TePredictionBatch *batch = &process->decider.now.message->message->as.batch;
	const char *symbol = process->decider.run->symbol;
	TeTime at = time_column(row, COLUMN_decided_at);
	bool clock_moves = at != time_column(row, COLUMN_batch_decided_at);

	te_recorded_message(process->decider.recorded, process->decider.now.message->batch_no,
	                    process->decider.now.message->position, batch, clock_moves);
	for (size_t i = 0; i < batch->count; i++) {
		if (decided_on[i].market == NULL)
			continue;
		if (batch->faults[i].code != TE_WIRE_OK)
			unreadable(process->decider.now.message, "message", &batch->faults[i]);
		if (clock_moves)
			at = te_lane_clock(at, batch->predictions[i].generated_at);
		if (symbol != NULL && strcmp(symbol, batch->predictions[i].symbol) != 0)
			continue;
		te_recorded_prediction(process->decider.recorded, (int)i, at);
		te_replay_decide(&process->decider, (int)i, &decided_on[i], at);
	}
}

static void show_strategies(Process *process, const MessageRow *row, const TeReplayMessage *place)
{
	TeReplayShown *shown = &process->decider.shown;
	bool no_batch, stripped;
	Datum snapshot = column(row, COLUMN_snapshot, &stripped);

	no_batch = !DatumGetBool(column(row, COLUMN_batch_found, NULL));
	te_replay_show_lane(shown, place->lane, DatumGetInt32(column(row, COLUMN_lane_count, NULL)));
	if (no_batch || stripped)
		te_replay_show_unknown(shown, place->batch_no);
	else
		te_replay_show_snapshot(shown, PG_DETOAST_DATUM_PACKED(snapshot),
		                        DatumGetInt64(column(row, COLUMN_system, NULL)));
}

static void run_message(Process *process, int lane, const MessageRow *row)
{
	TeReplayMessage message = {
		.lane = lane,
		.batch_no = DatumGetInt64(column(row, COLUMN_batch_no, NULL)),
		.position = DatumGetInt32(column(row, COLUMN_position, NULL)),
		.company_id = text_column(row, COLUMN_company_id),
		.user_id = text_column(row, COLUMN_user_id),
		.correlation_id = text_column(row, COLUMN_correlation_id),
	};
	const TeDecidedOn *decided_on;
	uint64 decisions = process->decider.decisions;

	te_arena_reset(process->decider.arena);
	message.message = decode(process, row, &message);
	decided_on = unpack_markets(process, row, &message);
	process->decider.now.message = &message;
	if (decided_on != NULL) {
		show_strategies(process, row, &message);
		run_predictions(process, row, decided_on);
	}
	if (process->decider.sink->message_end != NULL)
		process->decider.sink->message_end(&process->decider.callbacks, &message);
	te_replay_look_around(&process->decider);
	te_replay_progress_add(process->progress, 1, message.message->as.batch.count,
	                       process->decider.decisions - decisions, process->decider.channel->sent);
	process->decider.channel->sent = 0;
}

/*----------------------------------------------------------------------
 * Chunks
 *----------------------------------------------------------------------*/

static void run_rows(Process *process, int lane)
{
	/* Reading strategies runs queries of its own. */
	SPITupleTable *rows = SPI_tuptable;
	uint64 count = SPI_processed;

	for (uint64 i = 0; i < count && !process->decider.channel->gone; i++) {
		MessageRow row = {rows->vals[i], rows->tupdesc};
		MemoryContext old = MemoryContextSwitchTo(process->per_row);

		run_message(process, lane, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(process->per_row);
	}
	SPI_freetuptable(rows);
}

static void run_chunk(Process *process, const TeReplayChunk *chunk, Datum *values,
                      const char *nulls)
{
	TeRecordedRange range = {
		.epoch = chunk->epoch,
		.lane = chunk->lane,
		.lane_count = chunk->lane_count,
		.first_batch = chunk->first_batch,
		.last_batch = chunk->last_batch,
		.first_at = chunk->first_at,
	};
	Portal portal;

	te_recorded_open(process->decider.recorded, &range);
	values[TE_REPLAY_PARAMETERS] = Int32GetDatum(chunk->lane);
	values[TE_REPLAY_PARAMETERS + 1] = Int64GetDatum(chunk->first_batch);
	values[TE_REPLAY_PARAMETERS + 2] = Int64GetDatum(chunk->last_batch);
	portal = SPI_cursor_open(NULL, process->plan, values, nulls, true);
	do {
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0) {
			SPI_freetuptable(SPI_tuptable);
			break;
		}
		run_rows(process, chunk->lane);
	} while (!process->decider.channel->gone);
	SPI_cursor_close(portal);
}

static void run_chunks(Process *process, TeReplayShared *shared, const TeReplayChunk *chunks,
                       TeReplayOwner *owners)
{
	Oid types[QUERY_PARAMETERS];
	Datum values[QUERY_PARAMETERS];
	char nulls[QUERY_PARAMETERS + 1] = {0};

	te_replay_conditions(process->decider.run, types, values, nulls);
	types[TE_REPLAY_PARAMETERS] = INT4OID;
	types[TE_REPLAY_PARAMETERS + 1] = types[TE_REPLAY_PARAMETERS + 2] = INT8OID;
	memset(nulls + TE_REPLAY_PARAMETERS, ' ', 3);
	process->plan = SPI_prepare(chunk_query, QUERY_PARAMETERS, types);
	if (process->plan == NULL)
		elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), chunk_query);
	while (!process->decider.channel->gone) {
		uint32 chunk = pg_atomic_fetch_add_u32(&shared->next_chunk, 1);

		if (chunk >= shared->chunk_count)
			break;
		owners[chunk] = (TeReplayOwner)process->decider.channel->process;
		process->decider.channel->chunk = chunk;
		run_chunk(process, &chunks[chunk], values, nulls);
		if (process->decider.sink->chunk_end != NULL)
			process->decider.sink->chunk_end(&process->decider.callbacks);
		te_replay_end_chunk(process->decider.channel);
	}
}

void te_replay_work(TeReplayShared *shared, const TeReplayChunk *chunks, TeReplayOwner *owners,
                    const TeReplayRun *run, const void *parameters, Size length,
                    TeReplayChannel *channel)
{
	Process *process = palloc0(sizeof(Process));
	TeReplayDecider *decider = &process->decider;
	const TeReplaySink *sink = te_replay_sinks[shared->sink];

	te_replay_decider_begin(decider, run, sink, channel, &shared->seed);
	process->progress = shared->progress;
	process->per_row =
		AllocSetContextCreate(CurrentMemoryContext, "replayed message", ALLOCSET_DEFAULT_SIZES);
	if (sink->begin != NULL)
		sink->begin(&decider->callbacks, parameters, length);
	run_chunks(process, shared, chunks, owners);
	channel->chunk = TE_REPLAY_NO_CHUNK;
	if (sink->end != NULL)
		sink->end(&decider->callbacks);
	te_replay_progress_add(process->progress, 0, 0, 0, channel->sent);
	channel->sent = 0;
	pg_atomic_fetch_add_u64(&shared->decisions, (int64)decider->decisions);
	te_replay_decider_end(decider);
	MemoryContextDelete(process->per_row);
}
