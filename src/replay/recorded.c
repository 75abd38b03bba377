/*
 * recorded.c - see recorded.h.
 *
 * Every order that was reserved or open is one entry, with the time at which its reservation ends
 * and the batches whose reports filled and ended it.  A report of batch F counts from
 * the batch after F on, a signal from the one after it on.  Numbers of batches go on when the
 * number of lanes changes, so for one company they tell the order whatever its lane was.
 *
 * Nothing is read before somebody asks: where no decision comes as far as a position's size, a
 * chunk costs nothing.
 */
#include "postgres.h"

#include "replay/recorded.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/pairingheap.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "engine/exposure.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/assessment.h"

#define FETCH_ROWS 1000
#define NEVER PG_INT64_MAX /* a batch that doesn't come */
#define ACCOUNT_KEY_SIZE (3 * TE_ID_SIZE)
#define ARENA_BLOCK ((size_t)8 * 1024)
#define ARENA_LIMIT ((size_t)1 << 20)

/* What an account had made after a batch. */
typedef struct Made
{
	int64 batch_no;
	int64 realised;
} Made;

/* All of it, by one of the clocks. */
typedef struct History
{
	bool read;
	int count, capacity;
	int at; /* of those, the ones before the batch at hand */
	Made *made;
} History;

typedef struct Account
{
	char key[ACCOUNT_KEY_SIZE]; /* company/user/account */
	int64 orders;               /* reserved or open */
	History histories[2];       /* by the system's clock, by the input's */
} Account;

typedef struct Order
{
	pairingheap_node by_time, by_batch;
	Account *account;
	TeTime expires_at;
	int64 filled, ended; /* batches, or NEVER */
	bool counted, expires, is_filled;
} Order;

/* A recorded signal of the chunk at hand. */
typedef struct Row
{
	int64 batch_no;
	int32 position;
	int prediction; /* index in the message; -1: not found in it */
	const char *company_id, *user_id, *strategy_id, *account_id, *prediction_id;
	TeTime expires_at;
	int64 filled, ended;
	TeRecordedSignal signal;
} Row;

/* How many signals of an account a series has passed on the prediction at hand. */
typedef struct PassKey
{
	Account *account;
	uint64 series;
} PassKey;

typedef struct Pass
{
	PassKey key;
	int64 count;
	bool done; /* of OTHERS: what comes now comes later */
} Pass;

/* Signals of strategies that the run isn't about; a series of their own. */
#define OTHERS 0

struct TeRecorded
{
	const TeReplayRun *run;
	MemoryContext context, of_lane, of_chunk;
	TeArena *arena;
	SPIPlanPtr first_plan, next_plan, history_plan;

	/* How far it is read. */
	bool pending; /* the range at hand isn't read yet */
	TeRecordedRange range;
	bool begun; /* something of this lane and epoch is read, up to: */
	int64 read_to;

	/* The lane at hand. */
	HTAB *accounts, *passes;
	pairingheap *by_time, *by_batch;

	/* The chunk at hand. */
	Row *rows;
	int64 row_count, row_capacity;
	int64 put; /* rows before this one are in the heaps */
	const Row **sorted;
	int sorted_count, sorted_capacity; /* of the prediction at hand, by names */

	/* The place at hand. */
	int64 batch_no;
	int32 position;
	const TePredictionBatch *predictions;
	bool simulated;
	int prediction;
	TeTime at;
};

/*----------------------------------------------------------------------
 * Queries
 *----------------------------------------------------------------------*/

#define OF_RUN(alias)                                                                              \
	"   AND ($1 IS NULL OR " alias ".company_id OPERATOR(pg_catalog.=) $1)"                        \
	"   AND ($2 IS NULL OR " alias ".user_id OPERATOR(pg_catalog.=) $2)"

#define WITH_TRADE                                                                                 \
	"  LEFT JOIN trading.trades AS t"                                                              \
	"    ON t.company_id OPERATOR(pg_catalog.=) s.company_id"                                      \
	"   AND t.signal_id OPERATOR(pg_catalog.=) s.signal_id"

/* Orders that were there before batch $3 of lane $4 of $5, first decided at $6. */
static const char first_query[] =
	"SELECT s.company_id, s.user_id, s.account_id, s.expires_at, t.filled_batch_no, "
	"t.ended_batch_no"
	"  FROM (SELECT pg_catalog.min(p.batch_no) AS first FROM trading.prediction_batches AS p"
	"         WHERE p.decided_at OPERATOR(pg_catalog.>)"
	"               ($6 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)) AS day,"
	"       (SELECT pg_catalog.max(b.lane) AS last FROM trading.batches AS b) AS lanes,"
	"       pg_catalog.generate_series(0, lanes.last) AS l (lane)"
	"  JOIN trading.signals AS s ON s.lane OPERATOR(pg_catalog.=) l.lane" WITH_TRADE
	" WHERE s.batch_no OPERATOR(pg_catalog.>=) day.first"
	"   AND s.batch_no OPERATOR(pg_catalog.<) $3"
	"   AND s.outcome OPERATOR(pg_catalog.=) 'SIGNAL'"
	"   AND s.expires_at OPERATOR(pg_catalog.>) $6"
	"   AND (t.filled_batch_no IS NULL OR t.filled_batch_no OPERATOR(pg_catalog.>=) $3)"
	"   AND (t.ended_batch_no IS NULL OR t.ended_batch_no OPERATOR(pg_catalog.>=) $3)"
	"   AND trading.lane_of(s.company_id, $5) OPERATOR(pg_catalog.=) $4" OF_RUN("s") //
	" UNION ALL "
	"SELECT t.company_id, t.user_id, t.account_id, NULL, t.filled_batch_no, t.ended_batch_no"
	"  FROM trading.trades AS t"
	" WHERE t.filled_batch_no OPERATOR(pg_catalog.<) $3"
	"   AND (t.ended_batch_no IS NULL OR t.ended_batch_no OPERATOR(pg_catalog.>=) $3)"
	"   AND trading.lane_of(t.company_id, $5) OPERATOR(pg_catalog.=) $4" OF_RUN("t") //
	/* What had expired by then, and is filled only later. */
	" UNION ALL "
	"SELECT t.company_id, t.user_id, t.account_id, $6, t.filled_batch_no, t.ended_batch_no"
	"  FROM trading.trades AS t"
	" WHERE t.filled_batch_no OPERATOR(pg_catalog.>=) $3"
	"   AND (t.ended_batch_no IS NULL OR t.ended_batch_no OPERATOR(pg_catalog.>=) $3)"
	"   AND NOT EXISTS (SELECT FROM trading.signals AS s"
	"        WHERE s.signal_id OPERATOR(pg_catalog.=) t.signal_id"
	"          AND s.company_id OPERATOR(pg_catalog.=) t.company_id"
	"          AND (s.batch_no OPERATOR(pg_catalog.>=) $3"
	"               OR s.expires_at OPERATOR(pg_catalog.>) $6))"
	"   AND trading.lane_of(t.company_id, $5) OPERATOR(pg_catalog.=) $4" OF_RUN("t");

enum {
	FIRST_company_id = 1,
	FIRST_user_id,
	FIRST_account_id,
	FIRST_expires_at,
	FIRST_filled,
	FIRST_ended
};

/* Signals of batches ($3, $4] of lane $5, as they were before they were assessed. */
static const char next_query[] =
	"SELECT s.company_id, s.user_id, s.account_id, s.expires_at, t.filled_batch_no, "
	"t.ended_batch_no,"
	"       s.batch_no, s.position, s.strategy_id, s.prediction_id,"
	"       s.outcome OPERATOR(pg_catalog.=) 'SIGNAL', s.assessment, s.risk_notes"
	"  FROM trading.signals AS s" WITH_TRADE " WHERE s.lane OPERATOR(pg_catalog.=) $5"
	"   AND s.batch_no OPERATOR(pg_catalog.>) $3 AND s.batch_no OPERATOR(pg_catalog.<=) $4"
	"   AND s.outcome OPERATOR(pg_catalog.<>) 'HOLD'" OF_RUN("s") //
	" ORDER BY s.batch_no, s.ordinal";

enum {
	NEXT_batch_no = FIRST_ended + 1,
	NEXT_position,
	NEXT_strategy_id,
	NEXT_prediction_id,
	NEXT_is_signal,
	NEXT_assessment,
	NEXT_notes
};

static const char history_query[] =
	"SELECT h.batch_no, h.realised FROM trading.account_history AS h"
	" WHERE h.company_id OPERATOR(pg_catalog.=) $1 AND h.user_id OPERATOR(pg_catalog.=) $2"
	"   AND h.account_id OPERATOR(pg_catalog.=) $3 AND h.simulated OPERATOR(pg_catalog.=) $4"
	" ORDER BY h.batch_no";

static SPIPlanPtr prepare(const char *query, int count, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(query, count, types);

	if (plan == NULL)
		elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), query);
	return plan;
}

typedef void (*RowReader)(TeRecorded *r, HeapTuple tuple, TupleDesc columns, void *arg);

static void read_rows(TeRecorded *r, SPIPlanPtr plan, Datum *values, const char *nulls,
                      RowReader read, void *arg)
{
	Portal portal = SPI_cursor_open(NULL, plan, values, nulls, true);

	for (;;) {
		SPITupleTable *rows;
		uint64 count;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		rows = SPI_tuptable;
		count = SPI_processed;
		for (uint64 i = 0; i < count; i++)
			read(r, rows->vals[i], rows->tupdesc, arg);
		SPI_freetuptable(rows);
		if (count == 0)
			break;
	}
	SPI_cursor_close(portal);
}

static Datum value_of(HeapTuple tuple, TupleDesc columns, int number, bool *isnull)
{
	return SPI_getbinval(tuple, columns, number, isnull);
}

static int64 number_of(HeapTuple tuple, TupleDesc columns, int number, int64 otherwise)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

static TeTime time_of(HeapTuple tuple, TupleDesc columns, int number)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? TE_NO_TIME : te_time_from_timestamptz(DatumGetTimestampTz(value));
}

static const char *text_of(HeapTuple tuple, TupleDesc columns, int number)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? "" : TextDatumGetCString(value);
}

/*----------------------------------------------------------------------
 * Orders
 *----------------------------------------------------------------------*/

static Account *find_account(TeRecorded *r, const char *company_id, const char *user_id,
                             const char *account_id)
{
	char key[ACCOUNT_KEY_SIZE];
	Account *account;
	bool found;

	snprintf(key, sizeof(key), "%s/%s/%s", company_id, user_id, account_id);
	account = hash_search(r->accounts, key, HASH_ENTER, &found);
	if (!found) {
		account->orders = 0;
		memset(account->histories, 0, sizeof(account->histories));
	}
	return account;
}

static int64 next_batch(const Order *o)
{
	return o->is_filled ? o->ended : Min(o->filled, o->ended);
}

/* The first one is on top. */
static int compare_times(const pairingheap_node *a, const pairingheap_node *b,
                         void *arg pg_attribute_unused())
{
	TeTime x = pairingheap_const_container(Order, by_time, a)->expires_at;
	TeTime y = pairingheap_const_container(Order, by_time, b)->expires_at;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int compare_batches(const pairingheap_node *a, const pairingheap_node *b,
                           void *arg pg_attribute_unused())
{
	int64 x = next_batch(pairingheap_const_container(Order, by_batch, a));
	int64 y = next_batch(pairingheap_const_container(Order, by_batch, b));

	return x < y ? 1 : x > y ? -1 : 0;
}

static void count_order(Order *o, bool counted)
{
	if (o->counted != counted)
		o->account->orders += counted ? 1 : -1;
	o->counted = counted;
}

/* Of an order that is in the heap of batches or was taken out of it. */
static void wait_for_batch(TeRecorded *r, Order *o)
{
	if (next_batch(o) != NEVER)
		pairingheap_add(r->by_batch, &o->by_batch);
	else if (o->is_filled)
		pfree(o); /* open to the end: it stays counted */
}

static void no_longer_expires(TeRecorded *r, Order *o)
{
	if (o->expires)
		pairingheap_remove(r->by_time, &o->by_time);
	o->expires = false;
}

/* An order that is there: reserved until then (TE_NO_TIME: open), filled and ended in batches. */
static void add_order(TeRecorded *r, Account *account, TeTime expires_at, int64 filled, int64 ended)
{
	Order *o = MemoryContextAlloc(r->of_lane, sizeof(Order));

	*o = (Order){.account = account, .expires_at = expires_at, .filled = filled, .ended = ended};
	o->is_filled = expires_at == TE_NO_TIME;
	o->expires = !o->is_filled;
	count_order(o, true);
	if (o->expires)
		pairingheap_add(r->by_time, &o->by_time);
	wait_for_batch(r, o);
}

/* What reports of batches before this one have done. */
static void take_reports(TeRecorded *r, int64 batch_no)
{
	while (!pairingheap_is_empty(r->by_batch)) {
		Order *o = pairingheap_container(Order, by_batch, pairingheap_first(r->by_batch));
		int64 reported = next_batch(o);

		if (reported >= batch_no)
			break;
		(void)pairingheap_remove_first(r->by_batch);
		no_longer_expires(r, o);
		if (reported == o->ended) {
			count_order(o, false);
			pfree(o);
			continue;
		}
		/* Also one whose reservation had ended. */
		o->is_filled = true;
		count_order(o, true);
		wait_for_batch(r, o);
	}
}

/* Reservations end; a late report may still come. */
static void expire(TeRecorded *r, TeTime now)
{
	while (!pairingheap_is_empty(r->by_time)) {
		Order *o = pairingheap_container(Order, by_time, pairingheap_first(r->by_time));

		if (o->expires_at > now)
			break;
		no_longer_expires(r, o);
		count_order(o, false);
		if (next_batch(o) == NEVER)
			pfree(o);
	}
}

static void put_row(TeRecorded *r, const Row *row)
{
	if (row->signal.reserved)
		add_order(r, find_account(r, row->company_id, row->user_id, row->account_id),
		          row->expires_at, row->filled, row->ended);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

static void read_first(TeRecorded *r, HeapTuple tuple, TupleDesc columns,
                       void *arg pg_attribute_unused())
{
	Account *account = find_account(r, text_of(tuple, columns, FIRST_company_id),
	                                text_of(tuple, columns, FIRST_user_id),
	                                text_of(tuple, columns, FIRST_account_id));

	add_order(r, account, time_of(tuple, columns, FIRST_expires_at),
	          number_of(tuple, columns, FIRST_filled, NEVER),
	          number_of(tuple, columns, FIRST_ended, NEVER));
}

static void read_assessment(TeRecorded *r, HeapTuple tuple, TupleDesc columns,
                            TeRecordedSignal *out)
{
	bool isnull;
	Datum value = value_of(tuple, columns, NEXT_assessment, &isnull);
	TeWireError err = {0};
	bytea *bytes;

	out->actions.count = 0;
	out->notes = NULL;
	if (isnull)
		return;
	bytes = DatumGetByteaPP(value);
	te_arena_reset(r->arena);
	if (!te_assessment_unpack((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
	                          r->arena, &out->actions, &err))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("the assessment of a signal of batch " INT64_FORMAT
		                       " of lane %d can't be read",
		                       number_of(tuple, columns, NEXT_batch_no, 0), r->range.lane),
		                errdetail("%s: %s", err.field, err.detail)));
	value = value_of(tuple, columns, NEXT_notes, &isnull);
	if (!isnull)
		out->notes = DatumGetArrayTypePCopy(value);
}

/* Limits and switches act before a signal is counted, advice comes when the batch is assessed. */
static bool advised(const TeRiskActions *actions)
{
	return actions->count > 0 && actions->actions[actions->count - 1].kind == TE_RISK_ACTION_ADVICE;
}

static void read_next(TeRecorded *r, HeapTuple tuple, TupleDesc columns,
                      void *arg pg_attribute_unused())
{
	MemoryContext old = MemoryContextSwitchTo(r->of_chunk);
	bool isnull;
	bool is_signal = DatumGetBool(value_of(tuple, columns, NEXT_is_signal, &isnull));
	Row *row;

	if (r->row_count == r->row_capacity) {
		r->row_capacity = Max(256, 2 * r->row_capacity);
		r->rows = r->rows != NULL ? repalloc_huge(r->rows, sizeof(Row) * r->row_capacity)
		                          : palloc_extended(sizeof(Row) * r->row_capacity, MCXT_ALLOC_HUGE);
	}
	row = &r->rows[r->row_count];
	*row = (Row){
		.batch_no = number_of(tuple, columns, NEXT_batch_no, 0),
		.position = DatumGetInt32(value_of(tuple, columns, NEXT_position, &isnull)),
		.prediction = -1,
		.company_id = text_of(tuple, columns, FIRST_company_id),
		.user_id = text_of(tuple, columns, FIRST_user_id),
		.strategy_id = text_of(tuple, columns, NEXT_strategy_id),
		.account_id = text_of(tuple, columns, FIRST_account_id),
		.prediction_id = text_of(tuple, columns, NEXT_prediction_id),
		.expires_at = time_of(tuple, columns, FIRST_expires_at),
		.filled = number_of(tuple, columns, FIRST_filled, NEVER),
		.ended = number_of(tuple, columns, FIRST_ended, NEVER),
	};
	read_assessment(r, tuple, columns, &row->signal);
	row->signal.turned_down = !is_signal && advised(&row->signal.actions);
	row->signal.reserved = is_signal || row->signal.turned_down;
	if (row->signal.turned_down)
		row->ended = row->batch_no;
	if (row->batch_no >= r->range.first_batch)
		r->row_count++;
	else
		put_row(r, row);
	MemoryContextSwitchTo(old);
}

static void read_history(TeRecorded *r, HeapTuple tuple, TupleDesc columns, void *arg)
{
	History *h = arg;

	if (h->count == h->capacity) {
		h->capacity = Max(16, 2 * h->capacity);
		h->made = h->made != NULL ? repalloc_huge(h->made, sizeof(Made) * h->capacity)
		                          : MemoryContextAllocHuge(r->of_lane, sizeof(Made) * h->capacity);
	}
	h->made[h->count++] = (Made){number_of(tuple, columns, 1, 0), number_of(tuple, columns, 2, 0)};
}

static void run_conditions(const TeReplayRun *run, Datum *values, char *nulls)
{
	values[0] = run->company != NULL ? CStringGetTextDatum(run->company) : (Datum)0;
	values[1] = run->user != NULL ? CStringGetTextDatum(run->user) : (Datum)0;
	nulls[0] = run->company != NULL ? ' ' : 'n';
	nulls[1] = run->user != NULL ? ' ' : 'n';
}

/* Begin a lane: what was there before the range. */
static void begin_lane(TeRecorded *r)
{
	HASHCTL accounts = {
		.keysize = ACCOUNT_KEY_SIZE, .entrysize = sizeof(Account), .hcxt = r->of_lane};
	HASHCTL passes = {.keysize = sizeof(PassKey), .entrysize = sizeof(Pass), .hcxt = r->of_lane};
	const TeRecordedRange *range = &r->range;
	MemoryContext old = MemoryContextSwitchTo(r->of_lane);
	Datum values[6];
	char nulls[] = "      ";

	r->accounts =
		hash_create("recorded accounts", 64, &accounts, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	r->passes = hash_create("passed signals", 16, &passes, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	r->by_time = pairingheap_allocate(compare_times, NULL);
	r->by_batch = pairingheap_allocate(compare_batches, NULL);
	MemoryContextSwitchTo(old);

	run_conditions(r->run, values, nulls);
	values[2] = Int64GetDatum(range->first_batch);
	values[3] = Int32GetDatum(range->lane);
	values[4] = Int32GetDatum(range->lane_count);
	values[5] = TimestampTzGetDatum(te_time_to_timestamptz(range->first_at));
	read_rows(r, r->first_plan, values, nulls, read_first, NULL);
	r->begun = true;
	r->read_to = range->first_batch - 1;
}

static void read_range(TeRecorded *r)
{
	MemoryContext old;
	Datum values[5];
	char nulls[] = "     ";

	MemoryContextReset(r->of_chunk);
	r->rows = NULL;
	r->row_count = r->row_capacity = r->put = 0;
	r->sorted_count = r->sorted_capacity = 0;
	r->sorted = NULL;
	old = MemoryContextSwitchTo(r->of_chunk);
	if (!r->begun)
		begin_lane(r);
	run_conditions(r->run, values, nulls);
	values[2] = Int64GetDatum(r->read_to);
	values[3] = Int64GetDatum(r->range.last_batch);
	values[4] = Int32GetDatum(r->range.lane);
	read_rows(r, r->next_plan, values, nulls, read_next, NULL);
	r->read_to = r->range.last_batch;
	take_reports(r, r->range.first_batch);
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * The place
 *----------------------------------------------------------------------*/

static void forget_passes(TeRecorded *r)
{
	HASH_SEQ_STATUS all;
	Pass *pass;

	if (hash_get_num_entries(r->passes) == 0)
		return;
	hash_seq_init(&all, r->passes);
	while ((pass = hash_seq_search(&all)) != NULL)
		(void)hash_search(r->passes, &pass->key, HASH_REMOVE, NULL);
}

/* Find the predictions of a message's rows, which are in their order. */
static void match_rows(TeRecorded *r)
{
	const TePredictionBatch *batch = r->predictions;
	size_t next = 0;

	for (int64 i = r->put; i < r->row_count; i++) {
		Row *row = &r->rows[i];
		size_t found = next;

		if (row->batch_no != r->batch_no || row->position != r->position)
			break;
		while (found < batch->count &&
		       (batch->faults[found].code != TE_WIRE_OK ||
		        strcmp(batch->predictions[found].prediction_id, row->prediction_id) != 0))
			found++;
		if (found == batch->count)
			continue;
		row->prediction = (int)found;
		next = found;
	}
}

static void go_to_message(TeRecorded *r)
{
	forget_passes(r);
	for (; r->put < r->row_count; r->put++) {
		const Row *row = &r->rows[r->put];

		if (row->batch_no > r->batch_no ||
		    (row->batch_no == r->batch_no && row->position >= r->position))
			break;
		put_row(r, row);
	}
	take_reports(r, r->batch_no);
	match_rows(r);
}

static int compare_names(const Row *row, const char *company_id, const char *user_id,
                         const char *strategy_id)
{
	int order = strcmp(row->company_id, company_id);

	if (order == 0)
		order = strcmp(row->user_id, user_id);
	return order != 0 ? order : strcmp(row->strategy_id, strategy_id);
}

static int compare_rows(const void *a, const void *b)
{
	const Row *x = *(const Row *const *)a, *y = *(const Row *const *)b;

	return compare_names(x, y->company_id, y->user_id, y->strategy_id);
}

static void go_to_prediction(TeRecorded *r)
{
	forget_passes(r);
	r->sorted_count = 0;
	for (int64 i = r->put; i < r->row_count; i++) {
		const Row *row = &r->rows[i];

		if (row->batch_no != r->batch_no || row->position != r->position ||
		    row->prediction > r->prediction)
			break;
		if (row->prediction < r->prediction) {
			put_row(r, row);
			r->put = i + 1;
			continue;
		}
		if (r->sorted_count == r->sorted_capacity) {
			r->sorted_capacity = Max(64, 2 * r->sorted_capacity);
			r->sorted =
				r->sorted != NULL
					? repalloc_huge(r->sorted, sizeof(Row *) * r->sorted_capacity)
					: MemoryContextAllocHuge(r->of_chunk, sizeof(Row *) * r->sorted_capacity);
		}
		r->sorted[r->sorted_count++] = row;
	}
	if (r->sorted_count > 1)
		qsort(r->sorted, r->sorted_count, sizeof(Row *), compare_rows);
	expire(r, r->at);
}

/* Read what is at hand, if it isn't, and go to the place. */
static void be_there(TeRecorded *r)
{
	if (!r->pending)
		return;
	r->pending = false;
	read_range(r);
	go_to_message(r);
	go_to_prediction(r);
}

void te_recorded_open(TeRecorded *r, const TeRecordedRange *range)
{
	for (; r->put < r->row_count; r->put++)
		put_row(r, &r->rows[r->put]);
	if (r->begun && (r->range.epoch != range->epoch || r->range.lane != range->lane)) {
		MemoryContextReset(r->of_lane);
		r->begun = false;
	}
	r->range = *range;
	r->pending = true;
}

void te_recorded_message(TeRecorded *r, int64 batch_no, int32 position,
                         const TePredictionBatch *predictions, bool simulated)
{
	r->batch_no = batch_no;
	r->position = position;
	r->predictions = predictions;
	r->simulated = simulated;
	r->prediction = 0;
	if (!r->pending)
		go_to_message(r);
}

void te_recorded_prediction(TeRecorded *r, int prediction, TeTime at)
{
	r->prediction = prediction;
	r->at = at;
	if (!r->pending)
		go_to_prediction(r);
}

/*----------------------------------------------------------------------
 * What was
 *----------------------------------------------------------------------*/

static int64 realised(TeRecorded *r, Account *account, const TeCachedStrategy *s)
{
	History *h = &account->histories[r->simulated];

	if (!h->read) {
		Datum values[] = {CStringGetTextDatum(s->company_id), CStringGetTextDatum(s->user_id),
		                  CStringGetTextDatum(s->account_id), BoolGetDatum(r->simulated)};

		h->read = true;
		read_rows(r, r->history_plan, values, NULL, read_history, h);
	}
	while (h->at < h->count && h->made[h->at].batch_no < r->batch_no)
		h->at++;
	return h->at > 0 ? h->made[h->at - 1].realised : 0;
}

static int64 passed(const TeRecorded *r, Account *account, uint32 series)
{
	PassKey key = {account, series};
	const Pass *pass;

	if (hash_get_num_entries(r->passes) == 0)
		return 0;
	pass = hash_search(r->passes, &key, HASH_FIND, NULL);
	return pass != NULL ? pass->count : 0;
}

void te_recorded_account(TeRecorded *r, const TeCachedStrategy *s, uint32 series, TeAccount *out)
{
	Account *account;

	be_there(r);
	account = find_account(r, s->company_id, s->user_id, s->account_id);
	te_strategy_account(s, out);
	te_account_add(out, realised(r, account, s),
	               account->orders + passed(r, account, OTHERS) + passed(r, account, series));
}

static const Row *find_row(const TeRecorded *r, const TeCachedStrategy *s)
{
	int low = 0, high = r->sorted_count;

	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = compare_names(r->sorted[middle], s->company_id, s->user_id, s->strategy_id);

		if (order == 0)
			return r->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const TeRecordedSignal *te_recorded_signal(TeRecorded *r, const TeCachedStrategy *s)
{
	const Row *row;

	be_there(r);
	row = find_row(r, s);
	return row != NULL ? &row->signal : NULL;
}

static Pass *find_pass(TeRecorded *r, Account *account, uint32 series)
{
	PassKey key = {account, series};
	bool found;
	Pass *pass = hash_search(r->passes, &key, HASH_ENTER, &found);

	if (!found) {
		pass->count = 0;
		pass->done = false;
	}
	return pass;
}

void te_recorded_pass(TeRecorded *r, const TeCachedStrategy *s, uint32 series)
{
	const Row *row = find_row(r, s);

	if (row == NULL || !row->signal.reserved)
		return;
	find_pass(r, find_account(r, row->company_id, row->user_id, row->account_id), series)->count++;
}

bool te_recorded_has_others(TeRecorded *r)
{
	be_there(r);
	for (int i = 0; i < r->sorted_count; i++)
		if (strcmp(r->sorted[i]->strategy_id, r->run->strategy) != 0)
			return true;
	return false;
}

void te_recorded_pass_other(TeRecorded *r, const TeCachedStrategy *s)
{
	const Row *row = find_row(r, s);
	Pass *pass;

	if (row == NULL || !row->signal.reserved)
		return;
	pass = find_pass(r, find_account(r, row->company_id, row->user_id, row->account_id), OTHERS);
	if (!pass->done)
		pass->count++;
}

void te_recorded_own_turn(TeRecorded *r, const TeCachedStrategy *s)
{
	find_pass(r, find_account(r, s->company_id, s->user_id, s->account_id), OTHERS)->done = true;
}

TeRecorded *te_recorded_create(MemoryContext context, const TeReplayRun *run)
{
	TeRecorded *r = MemoryContextAllocZero(context, sizeof(TeRecorded));
	Oid first_types[] = {TEXTOID, TEXTOID, INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID};
	Oid next_types[] = {TEXTOID, TEXTOID, INT8OID, INT8OID, INT4OID};
	Oid history_types[] = {TEXTOID, TEXTOID, TEXTOID, BOOLOID};

	r->run = run;
	r->context = context;
	r->of_lane = AllocSetContextCreate(context, "recorded orders", ALLOCSET_DEFAULT_SIZES);
	r->of_chunk = AllocSetContextCreate(context, "recorded signals", ALLOCSET_DEFAULT_SIZES);
	r->arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	r->first_plan = prepare(first_query, lengthof(first_types), first_types);
	r->next_plan = prepare(next_query, lengthof(next_types), next_types);
	r->history_plan = prepare(history_query, lengthof(history_types), history_types);
	return r;
}
