/*
 * judge.c - bars of trading.market_bars in memory, and trades held against them.
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
#define FIRST_CAPACITY 256

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

static void read_bars(const TeJudge *judge, BarsEntry *entry)
{
	static const char sql[] =
		"SELECT b.bar_start, b.open, b.high, b.low, b.close FROM trading.market_bars AS b"
		" WHERE b.lane OPERATOR(pg_catalog.=) $1 AND b.symbol OPERATOR(pg_catalog.=) $2"
		"   AND b.bar_start OPERATOR(pg_catalog.>=) $3 ORDER BY b.bar_start";
	Oid types[] = {INT4OID, TEXTOID, TIMESTAMPTZOID};
	Datum values[] = {Int32GetDatum(entry->key.lane), CStringGetTextDatum(entry->key.symbol),
	                  TimestampTzGetDatum(judge->from)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};

	entry->count = 0;
	entry->capacity = FIRST_CAPACITY;
	entry->bars = MemoryContextAllocHuge(judge->context, sizeof(TeBar) * entry->capacity);
	te_query_each(sql, &args, read_bar, entry);
}

void te_judge(TeJudge *judge, int32 lane, const char *symbol, const TeTrade *trade,
              TeTradeOutcome *out)
{
	BarsKey key = {.lane = lane};
	BarsEntry *entry;
	bool found;

	strlcpy(key.symbol, symbol, SYMBOL_SIZE);
	entry = hash_search(judge->entries, &key, HASH_ENTER, &found);
	if (!found)
		read_bars(judge, entry);
	te_trade_judge(trade, &(TeBars){entry->bars, entry->count, te_guc_bar_length * TE_USEC_PER_SEC},
	               out);
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
