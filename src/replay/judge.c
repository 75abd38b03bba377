/*
 * judge.c - bars of trading.market_bars in memory, and trades held against them.
 *
 * Bars are read on as far as some trade needs them to come to its end, more and more at a time:
 * an outcome other than OPEN is final, whatever follows.
 */
#include "postgres.h"

#include "replay/judge.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/guc.h"
#include "engine/query.h"
#include "sql/sqltime.h"

#define SYMBOL_SIZE 64

/* Bars that are read at a time: at first, and at most. */
#define FIRST_READ 512
#define MOST_READ 65536

typedef struct BarsKey
{
	int32 lane;
	char symbol[SYMBOL_SIZE];
} BarsKey;

typedef struct BarsEntry
{
	BarsKey key;
	TeBar *bars;
	int count, capacity;
	int next_read; /* how many bars to ask for; 0: there are no more */
} BarsEntry;

struct TeJudge
{
	MemoryContext context;
	TimestampTz from;
	HTAB *entries;
};

TeJudge *te_judge_create(MemoryContext context, TeTime from)
{
	TeJudge *judge = MemoryContextAlloc(context, sizeof(TeJudge));
	HASHCTL control = {.keysize = sizeof(BarsKey), .entrysize = sizeof(BarsEntry), .hcxt = context};

	judge->context = context;
	judge->from = te_time_to_timestamptz(from) - te_guc_bar_length * USECS_PER_SEC;
	judge->entries =
		hash_create("bars of a replay", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return judge;
}

static void read_bar(TeRow *row, void *arg)
{
	BarsEntry *entry = arg;

	if (entry->count == entry->capacity) {
		entry->capacity *= 2;
		entry->bars = repalloc_huge(entry->bars, sizeof(TeBar) * entry->capacity);
	}
	entry->bars[entry->count++] =
		(TeBar){te_row_time(row, "bar_start"), te_row_double(row, "open"),
	            te_row_double(row, "high"), te_row_double(row, "low"), te_row_double(row, "close")};
}

/* Read the bars that follow those that are there. */
static void read_on(const TeJudge *judge, BarsEntry *entry)
{
	static const char sql[] =
		"SELECT b.bar_start, b.open, b.high, b.low, b.close FROM trading.market_bars AS b"
		" WHERE b.lane OPERATOR(pg_catalog.=) $1 AND b.symbol OPERATOR(pg_catalog.=) $2"
		"   AND b.bar_start OPERATOR(pg_catalog.>=) $3 ORDER BY b.bar_start LIMIT $4";
	TimestampTz from = entry->count == 0
	                       ? judge->from
	                       : te_time_to_timestamptz(entry->bars[entry->count - 1].start) + 1;
	Oid types[] = {INT4OID, TEXTOID, TIMESTAMPTZOID, INT8OID};
	Datum values[] = {Int32GetDatum(entry->key.lane), CStringGetTextDatum(entry->key.symbol),
	                  TimestampTzGetDatum(from), Int64GetDatum(entry->next_read)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	int before = entry->count;

	te_query_each(sql, &args, read_bar, entry);
	entry->next_read =
		entry->count - before < entry->next_read ? 0 : Min(2 * entry->next_read, MOST_READ);
}

static BarsEntry *find_bars(const TeJudge *judge, int32 lane, const char *symbol)
{
	BarsKey key = {.lane = lane};
	BarsEntry *entry;
	bool found;

	strlcpy(key.symbol, symbol, SYMBOL_SIZE);
	entry = hash_search(judge->entries, &key, HASH_ENTER, &found);
	if (!found) {
		entry->count = 0;
		entry->capacity = entry->next_read = FIRST_READ;
		entry->bars = MemoryContextAllocHuge(judge->context, sizeof(TeBar) * entry->capacity);
		read_on(judge, entry);
	}
	return entry;
}

void te_judge(TeJudge *judge, int32 lane, const char *symbol, const TeTrade *trade,
              TeTradeOutcome *out)
{
	BarsEntry *entry = find_bars(judge, lane, symbol);

	for (;;) {
		TeBars bars = {entry->bars, entry->count, te_guc_bar_length * TE_USEC_PER_SEC};

		te_trade_judge(trade, &bars, out);
		if (out->whole.result != TE_RESULT_OPEN || entry->next_read == 0)
			break;
		read_on(judge, entry);
	}
}

void te_replay_compare(TeReplayRun *run)
{
	Jsonb *nothing = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	TeReplaySource asked = run->sources[0];

	if (asked.strategies == TE_REPLAY_RECORDED) {
		run->sources[0].variants = palloc(sizeof(Jsonb *) * TE_SIDES);
		run->sources[0].variants[TE_BEFORE] = nothing;
		run->sources[0].variants[TE_AFTER] = asked.variant_count > 0 ? asked.variants[0] : nothing;
		run->sources[0].variant_count = TE_SIDES;
		return;
	}
	run->sources[TE_BEFORE] = (TeReplaySource){.strategies = TE_REPLAY_RECORDED};
	run->sources[TE_AFTER] = asked;
	run->source_count = TE_SIDES;
}
