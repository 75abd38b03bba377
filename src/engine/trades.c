/*
 * trades.c - the trades of a batch, from reports to rows.
 */
#include "postgres.h"

#include "engine/trade_rows.h"
#include "engine/trades.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/*----------------------------------------------------------------------
 * Which ones
 *----------------------------------------------------------------------*/

typedef struct TradeEntry
{
	TeKey key;      /* of company and signal */
	TeTrade *trade; /* NULL: the company has no such signal */
	const char *company_id;
	uint8_t signal_id[TE_UUID_BYTES];
} TradeEntry;

static TeKey trade_key(const char *company_id, const uint8_t signal_id[TE_UUID_BYTES])
{
	char text[TE_UUID_BYTES + TE_ID_MAX + 1];
	size_t length = Min(strlen(company_id), TE_ID_MAX);

	memcpy(text, signal_id, TE_UUID_BYTES);
	memcpy(text + TE_UUID_BYTES, company_id, length);
	return te_key_of(text, TE_UUID_BYTES + length);
}

void te_trades_begin(TeTrades *trades, MemoryContext context)
{
	HASHCTL control = {.keysize = sizeof(TeKey), .entrysize = sizeof(TradeEntry), .hcxt = context};

	*trades = (TeTrades){.context = context};
	trades->by_signal =
		hash_create("trades of a batch", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void te_trades_want(TeTrades *trades, const char *company_id,
                    const uint8_t signal_id[TE_UUID_BYTES])
{
	TeKey key = trade_key(company_id, signal_id);
	bool found;
	TradeEntry *entry = hash_search(trades->by_signal, &key, HASH_ENTER, &found);

	if (found)
		return;
	entry->trade = NULL;
	entry->company_id = company_id;
	memcpy(entry->signal_id, signal_id, TE_UUID_BYTES);
}

TeTrade *te_trades_find(const TeTrades *trades, const char *company_id,
                        const uint8_t signal_id[TE_UUID_BYTES])
{
	TeKey key = trade_key(company_id, signal_id);
	const TradeEntry *entry = hash_search(trades->by_signal, &key, HASH_FIND, NULL);

	return entry != NULL ? entry->trade : NULL;
}

/*----------------------------------------------------------------------
 * What there is of them
 *----------------------------------------------------------------------*/

static TeTrade *add_trade(TeTrades *trades, const char *company_id, const uint8_t *signal_id)
{
	TeKey key = trade_key(company_id, signal_id);
	TradeEntry *entry = hash_search(trades->by_signal, &key, HASH_FIND, NULL);

	if (entry == NULL)
		elog(ERROR, "a trade was read that nobody wants");
	if (trades->count == trades->capacity) {
		trades->capacity = Max(64, 2 * trades->capacity);
		trades->trades =
			trades->trades
				? repalloc(trades->trades, sizeof(TeTrade *) * trades->capacity)
				: MemoryContextAlloc(trades->context, sizeof(TeTrade *) * trades->capacity);
	}
	entry->trade = MemoryContextAllocZero(trades->context, sizeof(TeTrade));
	entry->trade->memory = trades->context;
	trades->trades[trades->count++] = entry->trade;
	return entry->trade;
}

static void read_wanted(TeRow *row, TeTrades *trades, void (*read)(TeRow *row, TeTrade *trade))
{
	MemoryContext per_row = CurrentMemoryContext;
	uint8_t id[TE_UUID_BYTES];
	TeTrade *t;

	te_trade_rows_id(row, id);
	t = add_trade(trades, te_row_text(row, "company_id"), id);
	MemoryContextSwitchTo(trades->context);
	read(row, t);
	MemoryContextSwitchTo(per_row);
}

static void read_trade(TeRow *row, void *arg)
{
	read_wanted(row, arg, te_trade_from_row);
}

static void read_signal(TeRow *row, void *arg)
{
	read_wanted(row, arg, te_trade_from_signal);
}

/*
 * A range of one id, in its order: that leaves the index of the ids as the only one that needs no
 * sort.  By a plan of when a table was small any index that begins with company_id would do.
 */
#define OF_SIGNAL(alias)                                                                           \
	" WHERE " alias ".company_id OPERATOR(pg_catalog.=) r.company_id"                              \
	"   AND " alias ".signal_id OPERATOR(pg_catalog.>=) r.signal_id"                               \
	"   AND " alias ".signal_id OPERATOR(pg_catalog.<=) r.signal_id"
#define IN_ORDER(alias) " ORDER BY " alias ".company_id, " alias ".signal_id"

static TeStatement trades_query = {
	.sql = "SELECT t.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		   "       AS r (company_id, signal_id)"
		   " CROSS JOIN LATERAL (SELECT k.* FROM trading.trades AS k" OF_SIGNAL("k")
			   IN_ORDER("k") " LIMIT 1) AS t",
	.count = 2,
	.types = {TEXTARRAYOID, UUIDARRAYOID},
};

/* Here it is the index of signal_id alone, in every partition. */
static TeStatement signals_query = {
	.sql =
		"SELECT s.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		"       AS r (company_id, signal_id)"
		" CROSS JOIN LATERAL (SELECT i.* FROM ("
		"SELECT g.company_id, g.user_id, COALESCE(g.account_id, 'main') AS account_id,"
		"       g.strategy_id, g.symbol, g.prediction_id, g.correlation_id, g.signal_id,"
		"       g.outcome, g.signal_type, g.simulated, g.generated_at, g.decided_at,"
		"       g.batch_no, g.expires_at, g.position_size, g.entry_price, g.stop_loss, g.max_loss,"
		"       g.max_slippage_pips, g.inputs FROM trading.signals AS g"
		" WHERE g.signal_id OPERATOR(pg_catalog.=) r.signal_id OFFSET 0) AS i"
		" WHERE i.company_id OPERATOR(pg_catalog.=) r.company_id LIMIT 1) AS s",
	.count = 2,
	.types = {TEXTARRAYOID, UUIDARRAYOID},
};

/* Look for those that aren't there yet. */
static void read_missing(TeTrades *trades, TeStatement *query, TeRowReader read)
{
	Size wanted = hash_get_num_entries(trades->by_signal);
	Datum *companies = palloc(sizeof(Datum) * wanted), *ids = palloc(sizeof(Datum) * wanted);
	Datum values[2];
	HASH_SEQ_STATUS scan;
	TradeEntry *entry;
	int count = 0;

	hash_seq_init(&scan, trades->by_signal);
	while ((entry = hash_seq_search(&scan)) != NULL) {
		if (entry->trade != NULL)
			continue;
		companies[count] = CStringGetTextDatum(entry->company_id);
		ids[count++] = te_uuid_datum(entry->signal_id);
	}
	if (count == 0)
		return;
	values[0] = te_text_array(companies, count);
	values[1] = te_uuid_array(ids, count);
	(void)te_statement_run(query, values, read, trades);
}

void te_trades_read(TeTrades *trades)
{
	read_missing(trades, &trades_query, read_trade);
	read_missing(trades, &signals_query, read_signal);
}

/*----------------------------------------------------------------------
 * Reports
 *----------------------------------------------------------------------*/

static TeStatement reports_query = {
	.sql = "SELECT r.n, e.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		   "       WITH ORDINALITY AS r (company_id, signal_id, n)"
		   " CROSS JOIN LATERAL ("
		   "SELECT e.execution_id, e.status, e.executed_at, e.requested_price, e.executed_price,"
		   "       e.executed_size, e.profit, e.commission FROM trading.executions AS e" OF_SIGNAL(
			   "e") "   AND e.account_id IS NOT NULL" IN_ORDER("e") " OFFSET 0) AS e",
	.count = 2,
	.types = {TEXTARRAYOID, UUIDARRAYOID},
};

void te_trade_add_report(TeTrade *t, TeRow *row)
{
	char *id = te_row_text(row, "execution_id");

	if (t->count == t->capacity) {
		t->capacity = Max(8, 2 * t->capacity);
		t->reports = t->reports ? repalloc(t->reports, sizeof(TeExecution) * t->capacity)
		                        : MemoryContextAlloc(t->memory, sizeof(TeExecution) * t->capacity);
	}
	t->reports[t->count++] = (TeExecution){
		.id = te_key_of(id, strlen(id)),
		.at = te_row_time(row, "executed_at"),
		.status =
			(TeExecutionStatus)te_enum_value(&te_execution_status_enum, te_row_text(row, "status")),
		.requested_price = te_row_double(row, "requested_price"),
		.executed_price = te_row_double(row, "executed_price"),
		.executed_size = te_row_double(row, "executed_size"),
		.profit = te_row_double(row, "profit"),
		.commission = te_row_double(row, "commission"),
	};
}

static void read_report(TeRow *row, void *arg)
{
	TeTrades *trades = arg;

	te_trade_add_report(trades->trades[te_row_int(row, "n") - 1], row);
}

static void read_reports(TeTrades *trades)
{
	Datum *companies = palloc(sizeof(Datum) * trades->count);
	Datum *ids = palloc(sizeof(Datum) * trades->count);
	Datum values[2];

	for (int i = 0; i < trades->count; i++) {
		companies[i] = CStringGetTextDatum(trades->trades[i]->company_id);
		ids[i] = te_uuid_datum(trades->trades[i]->signal_id);
	}
	values[0] = te_text_array(companies, trades->count);
	values[1] = te_uuid_array(ids, trades->count);
	(void)te_statement_run(&reports_query, values, read_report, trades);
}

/*----------------------------------------------------------------------
 * Rows
 *----------------------------------------------------------------------*/

static void add_turn(TeTrade *t, int64 turn)
{
	Size size = sizeof(int64) * (t->turn_count + 1);

	t->turns = t->turns != NULL ? repalloc(t->turns, size) : MemoryContextAlloc(t->memory, size);
	t->turns[t->turn_count++] = turn;
}

/* In which batches it was opened, ended, stopped out, and began or ceased to count. */
static void number_batches(TeTrade *t, int64 batch_no)
{
	bool counts = te_trade_held(t) > 0;

	if (t->sum.filled > 0 && t->filled_batch_no == 0)
		t->filled_batch_no = batch_no;
	if (!te_trade_has_ended(t->sum.state))
		t->ended_batch_no = 0;
	else if (t->ended_batch_no == 0)
		t->ended_batch_no = batch_no;
	if (t->turn_count == 0 || (t->turns[t->turn_count - 1] > 0) != counts)
		add_turn(t, counts ? batch_no : -batch_no);
	if (t->stopped_out && t->stopped_batch_no == 0) {
		t->stopped_batch_no = batch_no;
		t->stopped_at = t->sum.closed_at;
	}
}

void te_trades_store(TeTrades *trades, int lane, int64 batch_no)
{
	TeRows rows;

	if (trades->count == 0)
		return;
	read_reports(trades);
	te_trade_rows_init(&rows, trades->context);
	for (int i = 0; i < trades->count; i++) {
		TeTrade *t = trades->trades[i];

		if (t->count == 0)
			continue; /* what was reported has no effect */
		te_trade_sum_up(t);
		number_batches(t, batch_no);
		te_trade_rows_add(&rows, t, lane, batch_no);
	}
	te_rows_insert(&rows);
}
