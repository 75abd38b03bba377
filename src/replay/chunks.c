/*
 * chunks.c - which batches a run is about, cut into pieces of work.
 */
#include "postgres.h"

#include "replay/work.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/query.h"
#include "sql/sqltime.h"

/*
 * Predictions of a chunk, at least.  Small enough that processes finish together, large
 * enough that a query for each costs next to nothing.
 */
#define CHUNK_PREDICTIONS 256

typedef struct Finder
{
	TeReplayChunks *out;
	MemoryContext context;
	uint32 capacity;
	int64 predictions; /* in the chunk at hand */
} Finder;

void te_replay_conditions(const TeReplayRun *run, Oid *types, Datum *values, char *nulls)
{
	types[0] = types[1] = TIMESTAMPTZOID;
	types[2] = types[3] = TEXTOID;
	values[0] = TimestampTzGetDatum(te_time_to_timestamptz(run->from));
	values[1] = TimestampTzGetDatum(te_time_to_timestamptz(run->to));
	values[2] = run->company ? CStringGetTextDatum(run->company) : (Datum)0;
	values[3] = run->user ? CStringGetTextDatum(run->user) : (Datum)0;
	nulls[0] = nulls[1] = ' ';
	nulls[2] = run->company ? ' ' : 'n';
	nulls[3] = run->user ? ' ' : 'n';
}

static void begin_chunk(Finder *finder, const TeReplayChunk *first)
{
	TeReplayChunks *out = finder->out;

	if (out->chunks == NULL || out->count == finder->capacity) {
		finder->capacity = finder->capacity ? 2 * finder->capacity : 64;
		out->chunks =
			out->chunks
				? repalloc_huge(out->chunks, sizeof(TeReplayChunk) * finder->capacity)
				: MemoryContextAlloc(finder->context, sizeof(TeReplayChunk) * finder->capacity);
	}
	finder->predictions = 0;
	out->chunks[out->count++] = *first;
}

static void read_batch(TeRow *row, void *arg)
{
	Finder *finder = arg;
	TeReplayChunks *out = finder->out;
	TeReplayChunk batch = {
		.epoch = te_row_int(row, "epoch"),
		.lane = (int32)te_row_int(row, "lane"),
		.lane_count = (int32)te_row_int(row, "lane_count"),
		.first_at = te_row_time(row, "first_at"),
	};
	int64 predictions = te_row_int(row, "predictions");
	TeReplayChunk *chunk = out->count > 0 ? &out->chunks[out->count - 1] : NULL;

	batch.first_batch = batch.last_batch = te_row_int(row, "batch_no");
	if (chunk == NULL || chunk->lane != batch.lane || chunk->epoch != batch.epoch ||
	    finder->predictions >= CHUNK_PREDICTIONS)
		begin_chunk(finder, &batch);
	else
		chunk->last_batch = batch.last_batch;
	finder->predictions += predictions;
	out->messages += (uint64)te_row_int(row, "messages");
	out->predictions += (uint64)predictions;
}

void te_replay_find(const TeReplayRun *run, TeReplayChunks *out)
{
	Oid types[TE_REPLAY_PARAMETERS];
	Datum values[TE_REPLAY_PARAMETERS];
	char nulls[TE_REPLAY_PARAMETERS + 1] = {0};
	TeQueryArgs args = {TE_REPLAY_PARAMETERS, types, values, nulls};
	Finder finder = {.out = out, .context = CurrentMemoryContext};

	*out = (TeReplayChunks){0};
	te_replay_conditions(run, types, values, nulls);
	te_query_each(
		"SELECT COALESCE(b.epoch, 0) AS epoch, p.lane, p.batch_no,"
		"       COALESCE(b.lane_count, (SELECT pg_catalog.count(*) FROM trading.lanes))"
		"         AS lane_count,"
		"       pg_catalog.min(p.decided_at) AS first_at, pg_catalog.count(*) AS messages,"
		"       pg_catalog.sum(p.predictions) AS predictions"
		"  FROM trading.prediction_batches AS p"
		"  LEFT JOIN trading.batches AS b USING (lane, batch_no)"
		" WHERE " TE_REPLAY_CONDITION " GROUP BY b.epoch, p.lane, p.batch_no, b.lane_count"
		" ORDER BY 1, 2, 3",
		&args, read_batch, &finder);
}
