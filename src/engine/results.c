/*
 * results.c - reports of terminals: what is new of them is stored, and what follows from it.
 *
 * The table decides what is new, for ever: the lane is the only writer of its companies' rows, so
 * that what it doesn't find there, nobody has stored.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/ledgers.h"
#include "engine/protect.h"
#include "engine/results.h"
#include "engine/trades.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#define EXECUTION_COLUMNS(X)                                                                       \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(execution_id, text)                                                                          \
	X(signal_id, uuid)                                                                             \
	X(account_id, text)                                                                            \
	X(symbol, text)                                                                                \
	X(leg, int4)                                                                                   \
	X(status, text)                                                                                \
	X(requested_price, float8)                                                                     \
	X(executed_price, float8)                                                                      \
	X(executed_size, float8)                                                                       \
	X(profit, float8)                                                                              \
	X(commission, float8)                                                                          \
	X(executed_at, timestamptz)                                                                    \
	X(reason, text)                                                                                \
	X(broker_order_id, text)                                                                       \
	X(side, int2)                                                                                  \
	X(conversion_rate, float8)                                                                     \
	X(flag, text)                                                                                  \
	X(conflicts, int4)                                                                             \
	X(simulated, bool)                                                                             \
	X(content_hash, bytea)                                                                         \
	X(source, text)                                                                                \
	X(input_seq, int8)                                                                             \
	X(producer_id, text)                                                                           \
	X(correlation_id, text) X(lane, int4) X(batch_no, int8) X(position, int4)

#define COLUMN(name, type) {#name, #type},
#define MEMBER(name, type) EXECUTION_##name,
enum { EXECUTION_COLUMNS(MEMBER) EXECUTION_COLUMN_COUNT };
static const TeColumnSpec execution_columns[] = {EXECUTION_COLUMNS(COLUMN)};
static TeRowsSpec execution_spec = {
	.table = "trading.executions",
	.columns = execution_columns,
	.column_count = lengthof(execution_columns),
};

/* A report that came in. */
typedef struct Report
{
	TeInput input;
	const TeExecutionReport *told;
	const char *producer_id, *correlation_id;
	int position;   /* of its message in the batch */
	bool old;       /* what it tells is stored, or in this batch, before it */
	int conflicts;  /* of those, with another content */
	TeTrade *trade; /* NULL: it has no effect */
	const char *flag;
} Report;

/* The reports of a batch, and what they did. */
struct TeResults
{
	List *reports; /* of Report */
	TeTrades trades;
	TeLedgers ledgers;
};

/*----------------------------------------------------------------------
 * Intake
 *----------------------------------------------------------------------*/

bool te_results_take(TeBatch *batch, const TeInput *input,
                     const TeSubject *subject pg_attribute_unused(), const TeMessage *message,
                     TeWireError *err)
{
	const TeExecutionReport *told = &message->as.execution;
	Report *r;

	if (te_guc_clock == TE_CLOCK_SYSTEM && told->told.at > batch->at + TE_EXECUTION_MAX_AHEAD)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "executed_at", TE_EXECUTION_AHEAD_TEXT);
	if (batch->results == NULL)
		batch->results = palloc0(sizeof(struct TeResults));
	r = palloc0(sizeof(Report));
	*r = (Report){
		.input = *input,
		.told = told,
		.producer_id = message->envelope.producer_id,
		.correlation_id = message->envelope.correlation_id,
		.position = batch->messages - 1,
	};
	batch->results->reports = lappend(batch->results->reports, r);
	batch->executions++;
	te_count(&batch->lane->slot->counters.executions, 1);
	return true;
}

/*----------------------------------------------------------------------
 * What is new
 *----------------------------------------------------------------------*/

typedef struct IdEntry
{
	TeKey key; /* of company, user and execution */
	Report *first;
} IdEntry;

static TeKey id_key(const TeExecutionReport *told)
{
	const char *text = psprintf("%s/%s/%s", told->company_id, told->user_id, told->execution_id);

	return te_key_of(text, strlen(text));
}

/* A conflicting report is kept as a dead letter, and counted where its id is. */
static void note_old(TeBatch *batch, TeRows *dead, Report *r, const uint8_t *stored_hash)
{
	TeLaneCounters *counters = &batch->lane->slot->counters;
	TeWireError err = {0};

	r->old = true;
	if (memcmp(r->told->content_hash, stored_hash, TE_SHA256_BYTES) == 0) {
		te_count(&counters->duplicates, 1);
		return;
	}
	te_count(&counters->conflicts, 1);
	r->conflicts++;
	(void)te_wire_fail(&err, TE_WIRE_CONFLICT, "execution_id", "was used for other content");
	te_batch_dead_letter(batch, dead, &r->input, r->told->company_id, r->told->user_id,
	                     r->producer_id, &err);
}

/* Of several with one id in the batch the first counts. */
static void drop_repeated(TeBatch *batch, TeRows *dead)
{
	HASHCTL control = {
		.keysize = sizeof(TeKey), .entrysize = sizeof(IdEntry), .hcxt = batch->context};
	HTAB *ids =
		hash_create("executions of a batch", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell *cell;

	foreach (cell, batch->results->reports) {
		Report *r = lfirst(cell);
		TeKey key = id_key(r->told);
		bool found;
		IdEntry *entry = hash_search(ids, &key, HASH_ENTER, &found);

		if (!found) {
			entry->first = r;
			continue;
		}
		note_old(batch, dead, r, entry->first->told->content_hash);
		entry->first->conflicts += r->conflicts;
		r->conflicts = 0;
	}
}

static TeStatement known_query = {
	.sql = "SELECT r.n, e.content_hash"
		   "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		   "       WITH ORDINALITY AS r (company_id, user_id, execution_id, n)"
		   " CROSS JOIN LATERAL (SELECT e.content_hash FROM trading.executions AS e"
		   " WHERE e.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND e.user_id OPERATOR(pg_catalog.=) r.user_id"
		   "   AND e.execution_id OPERATOR(pg_catalog.=) r.execution_id LIMIT 1) AS e",
	.count = 3,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID},
};

static TeStatement conflicts_update = {
	.sql = "UPDATE trading.executions AS e"
		   "   SET conflicts = e.conflicts OPERATOR(pg_catalog.+) r.conflicts"
		   "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
		   "       pg_catalog.unnest($4)) AS r (company_id, user_id, execution_id, conflicts)"
		   " WHERE e.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND e.user_id OPERATOR(pg_catalog.=) r.user_id"
		   "   AND e.execution_id OPERATOR(pg_catalog.=) r.execution_id",
	.count = 4,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID},
};

/* Names of reports as arrays for a statement. */
typedef struct Names
{
	Datum *companies, *users, *executions, *conflicts;
	int count;
} Names;

static Names names_for(int count)
{
	return (Names){palloc(sizeof(Datum) * count), palloc(sizeof(Datum) * count),
	               palloc(sizeof(Datum) * count), palloc(sizeof(Datum) * count), 0};
}

static void add_name(Names *names, const Report *r)
{
	int i = names->count++;

	names->companies[i] = CStringGetTextDatum(r->told->company_id);
	names->users[i] = CStringGetTextDatum(r->told->user_id);
	names->executions[i] = CStringGetTextDatum(r->told->execution_id);
	names->conflicts[i] = Int32GetDatum(r->conflicts);
}

static void make_arrays(const Names *names, Datum values[4])
{
	int n = names->count;

	values[0] =
		PointerGetDatum(construct_array(names->companies, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(names->users, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] =
		PointerGetDatum(construct_array(names->executions, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[3] = PointerGetDatum(
		construct_array(names->conflicts, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

typedef struct Known
{
	TeBatch *batch;
	TeRows *dead;
	Report **asked;
	Names conflicts;
} Known;

static void take_known(TeRow *row, void *arg)
{
	Known *known = arg;
	Report *r = known->asked[te_row_int(row, "n") - 1];
	bytea *hash = te_row_bytes(row, "content_hash");
	MemoryContext per_row = MemoryContextSwitchTo(known->batch->context);

	note_old(known->batch, known->dead, r, (const uint8_t *)VARDATA_ANY(hash));
	if (r->conflicts > 0)
		add_name(&known->conflicts, r);
	MemoryContextSwitchTo(per_row);
}

static void drop_known(TeBatch *batch, TeRows *dead)
{
	List *reports = batch->results->reports;
	Names names = names_for(list_length(reports));
	Known known = {batch, dead, palloc(sizeof(Report *) * list_length(reports)),
	               names_for(list_length(reports))};
	Datum values[4];
	ListCell *cell;

	foreach (cell, reports) {
		Report *r = lfirst(cell);

		if (r->old)
			continue;
		known.asked[names.count] = r;
		add_name(&names, r);
	}
	make_arrays(&names, values);
	(void)te_statement_run(&known_query, values, take_known, &known);
	if (known.conflicts.count == 0)
		return;
	make_arrays(&known.conflicts, values);
	(void)te_statement_run(&conflicts_update, values, NULL, NULL);
}

/*----------------------------------------------------------------------
 * What it is about
 *----------------------------------------------------------------------*/

/* Whose signal it is; another user's is as unknown as none. */
static void find_trade(TeBatch *batch, Report *r)
{
	TeTrade *t = te_trades_find(&batch->results->trades, r->told->company_id, r->told->signal_id);

	if (t == NULL || strcmp(t->user_id, r->told->user_id) != 0)
		r->flag = "UNKNOWN_SIGNAL";
	else if (t->flag != NULL)
		r->flag = t->flag;
	else if (strcmp(t->symbol, r->told->symbol) != 0)
		r->flag = "OTHER_SYMBOL";
	else
		r->trade = t;
	if (r->flag != NULL)
		te_count(&batch->lane->slot->counters.unknown_executions, 1);
}

static void find_trades(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	ListCell *cell;

	te_trades_begin(&results->trades, batch->context);
	foreach (cell, results->reports) {
		const Report *r = lfirst(cell);

		if (!r->old)
			te_trades_want(&results->trades, r->told->company_id, r->told->signal_id);
	}
	te_trades_read(&results->trades);
	foreach (cell, results->reports) {
		Report *r = lfirst(cell);

		if (!r->old)
			find_trade(batch, r);
	}
}

static Datum uuid_datum(const uint8_t id[TE_UUID_BYTES])
{
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

/* What a report did: 1 bought, -1 sold, 0 nothing. */
static int side_of(const Report *r)
{
	switch (r->told->told.status) {
	case TE_EXECUTION_FILLED:
	case TE_EXECUTION_PARTIALLY_FILLED:
		return r->trade->side;
	case TE_EXECUTION_CLOSED:
		return -r->trade->side;
	default:
		return 0;
	}
}

static void set_told_columns(TeRows *rows, int row, const TeExecutionReport *x)
{
	const TeExecution *e = &x->told;

	te_rows_set_text(rows, row, EXECUTION_company_id, x->company_id);
	te_rows_set_text(rows, row, EXECUTION_user_id, x->user_id);
	te_rows_set_text(rows, row, EXECUTION_execution_id, x->execution_id);
	te_rows_set(rows, row, EXECUTION_signal_id, uuid_datum(x->signal_id));
	te_rows_set_text(rows, row, EXECUTION_symbol, x->symbol);
	te_rows_set(rows, row, EXECUTION_leg, Int32GetDatum((int32)x->leg));
	te_rows_set_text(rows, row, EXECUTION_status, te_execution_status_enum.labels[e->status]);
	te_rows_set_double(rows, row, EXECUTION_requested_price, e->requested_price);
	te_rows_set_double(rows, row, EXECUTION_executed_price, e->executed_price);
	te_rows_set_double(rows, row, EXECUTION_executed_size, e->executed_size);
	te_rows_set_double(rows, row, EXECUTION_profit, e->profit);
	te_rows_set_double(rows, row, EXECUTION_commission, e->commission);
	te_rows_set_time(rows, row, EXECUTION_executed_at, e->at);
	te_rows_set_text(rows, row, EXECUTION_reason, te_text_or_null(x->reason));
	te_rows_set_text(rows, row, EXECUTION_broker_order_id, te_text_or_null(x->broker_order_id));
	te_rows_set_bytes(rows, row, EXECUTION_content_hash, x->content_hash, TE_SHA256_BYTES);
}

static void add_execution(TeBatch *batch, TeRows *rows, const Report *r)
{
	const char *correlation_id = te_text_or_null(r->correlation_id);
	int row = te_rows_add(rows);
	bool simulated = te_guc_clock == TE_CLOCK_INPUT;

	set_told_columns(rows, row, r->told);
	if (r->trade != NULL) {
		simulated = r->trade->simulated;
		te_rows_set_text(rows, row, EXECUTION_account_id, r->trade->account_id);
		te_rows_set_double(rows, row, EXECUTION_conversion_rate, r->trade->conversion_rate);
		if (side_of(r) != 0)
			te_rows_set(rows, row, EXECUTION_side, Int16GetDatum((int16)side_of(r)));
		if (correlation_id == NULL)
			correlation_id = r->trade->correlation_id;
	}
	te_rows_set_text(rows, row, EXECUTION_flag, r->flag);
	te_rows_set(rows, row, EXECUTION_conflicts, Int32GetDatum(r->conflicts));
	te_rows_set(rows, row, EXECUTION_simulated, BoolGetDatum(simulated));
	te_rows_set_text(rows, row, EXECUTION_source, r->input.source);
	te_rows_set(rows, row, EXECUTION_input_seq, Int64GetDatum(r->input.seq));
	te_rows_set_text(rows, row, EXECUTION_producer_id, te_text_or_null(r->producer_id));
	te_rows_set_text(rows, row, EXECUTION_correlation_id, correlation_id);
	te_rows_set(rows, row, EXECUTION_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, EXECUTION_batch_no, Int64GetDatum(batch->lane->memory->staged.batch_no));
	te_rows_set(rows, row, EXECUTION_position, Int32GetDatum(r->position));
}

static void store_executions(TeBatch *batch)
{
	TeRows rows;
	ListCell *cell;

	te_rows_init(&rows, &execution_spec, batch->context);
	foreach (cell, batch->results->reports) {
		const Report *r = lfirst(cell);

		if (!r->old)
			add_execution(batch, &rows, r);
	}
	te_rows_insert(&rows);
}

/*----------------------------------------------------------------------
 * What follows from it
 *----------------------------------------------------------------------*/

static int find_report(const TeTrade *t, TeKey id)
{
	for (int i = 0; i < t->count; i++)
		if (te_key_equal(t->reports[i].id, id))
			return i;
	elog(ERROR, "a report that was stored isn't there");
}

typedef struct NewReports
{
	const TeTrade *trade; /* key */
	bool *is_new;
} NewReports;

/* Tell the ledgers which of each trade's reports are new. */
static void add_fills(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	HASHCTL control = {
		.keysize = sizeof(TeTrade *), .entrysize = sizeof(NewReports), .hcxt = batch->context};
	HTAB *all = hash_create("new reports", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell *cell;

	foreach (cell, results->reports) {
		const Report *r = lfirst(cell);
		bool found;
		NewReports *n;

		if (r->trade == NULL)
			continue;
		n = hash_search(all, &r->trade, HASH_ENTER, &found);
		if (!found)
			n->is_new = palloc0(sizeof(bool) * r->trade->count);
		n->is_new[find_report(r->trade, r->told->told.id)] = true;
	}
	for (int i = 0; i < results->trades.count; i++) {
		TeTrade *t = results->trades.trades[i];
		const NewReports *n = hash_search(all, &t, HASH_FIND, NULL);

		if (n != NULL)
			te_ledgers_add(&results->ledgers, t, n->is_new);
	}
}

static bool lane_is_simulated(void)
{
	return te_guc_clock == TE_CLOCK_INPUT;
}

/* Orders that the batch has closed may have protections lock. */
static void protect(TeBatch *batch, int64 batch_no)
{
	const TeTrades *trades = &batch->results->trades;
	TeClosedOrder *closed = palloc(sizeof(TeClosedOrder) * Max(trades->count, 1));
	int count = 0;

	for (int i = 0; i < trades->count; i++) {
		const TeTrade *t = trades->trades[i];

		if (t->sum.state == TE_TRADE_STATE_CLOSED && t->ended_batch_no == batch_no &&
		    t->simulated == lane_is_simulated())
			closed[count++] = (TeClosedOrder){t->company_id,  t->user_id, t->account_id,
			                                  t->strategy_id, t->symbol,  t->side};
	}
	te_protections_apply(te_cache_policy(batch->lane->cache), closed, count,
	                     lane_is_simulated() ? batch->lane->memory->staged.clock : batch->at);
}

static void store(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	int lane = batch->lane->lane;
	int64 batch_no = batch->lane->memory->staged.batch_no;
	TeRows dead;

	te_rows_init(&dead, batch->rows.dead_letters.spec, batch->context);
	drop_repeated(batch, &dead);
	drop_known(batch, &dead);
	te_rows_insert(&dead);
	find_trades(batch);
	store_executions(batch);
	te_trades_store(&results->trades, lane, batch_no);
	te_ledgers_begin(&results->ledgers, batch->context);
	add_fills(batch);
	te_ledgers_store(&results->ledgers, lane, batch_no);
	protect(batch, batch_no);
}

void te_results_store(TeBatch *batch)
{
	MemoryContext old;
	int nest_level;

	if (batch->results == NULL)
		return;
	/* Plans are made while the tables are small; they are to be good when they aren't. */
	nest_level = NewGUCNestLevel();
	(void)set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
	                        true, 0, false);
	old = MemoryContextSwitchTo(batch->context);
	store(batch);
	MemoryContextSwitchTo(old);
	AtEOXact_GUC(true, nest_level);
}

/*----------------------------------------------------------------------
 * What decisions see
 *----------------------------------------------------------------------*/

/* Of an instrument that isn't there any more, all of the value counts. */
static double margin_rate(const TeCache *cache, const char *symbol)
{
	double rate = te_cache_margin_rate(cache, symbol);

	return isnan(rate) ? 1 : rate;
}

static void tell_trade(TeExposure *exposure, const TeCache *cache, const TeTrade *t)
{
	TeExposureOrder order;

	if (te_trade_order(t, margin_rate(cache, t->symbol), &order))
		te_exposure_put(exposure, t->signal_id, &order);
	else
		te_exposure_remove(exposure, t->signal_id);
	if (t->stopped_out && !t->was_stopped)
		te_exposure_ban(exposure, t->company_id, t->user_id, t->strategy_id, t->prediction_id,
		                t->sum.closed_at);
}

void te_results_committed(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	TeExposure *exposure = batch->lane->exposure;

	if (results == NULL)
		return;
	for (int i = 0; i < results->trades.count; i++) {
		const TeTrade *t = results->trades.trades[i];

		if (t->count > 0 && t->simulated == lane_is_simulated())
			tell_trade(exposure, batch->lane->cache, t);
	}
	te_ledgers_tell(&results->ledgers, exposure, lane_is_simulated());
}

/*----------------------------------------------------------------------
 * After a start
 *----------------------------------------------------------------------*/

typedef struct Load
{
	TeExposure *exposure;
	const TeCache *cache;
} Load;

static void load_trade(TeRow *row, void *arg)
{
	const Load *load = arg;
	TeTrade t = {0};

	te_trade_from_row(row, &t);
	t.was_stopped = false;
	tell_trade(load->exposure, load->cache, &t);
}

/*
 * Trades that are open, and those that have ended and whose signals may still be reserved, or
 * whose predictions may still come: a signal lives a day at most.
 */
#define LOAD_TRADES                                                                                \
	"SELECT t.* FROM trading.trades AS t, "                                                        \
	"       (SELECT $4 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval) AS day (begins)"       \
	" WHERE trading.lane_of(t.company_id, $2) OPERATOR(pg_catalog.=) $1"                           \
	"   AND t.simulated OPERATOR(pg_catalog.=) $3"                                                 \
	"   AND (t.state OPERATOR(pg_catalog.=) 'OPEN'"                                                \
	"        OR t.decided_at OPERATOR(pg_catalog.>) day.begins"                                    \
	"        OR t.stopped_out AND t.closed_at OPERATOR(pg_catalog.>) day.begins)"                  \
	" ORDER BY t.closed_at"

void te_results_load(TeExposure *exposure, const TeCache *cache, int lane, int lane_count,
                     TeTime now)
{
	Oid types[] = {INT4OID, INT4OID, BOOLOID, TIMESTAMPTZOID};
	Datum values[] = {Int32GetDatum(lane), Int32GetDatum(lane_count),
	                  BoolGetDatum(lane_is_simulated()),
	                  TimestampTzGetDatum(te_time_to_timestamptz(now))};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	Load load = {exposure, cache};

	te_query_each(LOAD_TRADES, &args, load_trade, &load);
	te_ledgers_load(exposure, lane, lane_count, lane_is_simulated());
	te_exposure_apply(exposure, now);
}
