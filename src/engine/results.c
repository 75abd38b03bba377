/*
 * results.c - reports of terminals: what is new of them is stored, and what follows from it.
 *
 * The table decides what is new, for ever: the lane is the only writer of its companies' rows, so
 * that what it doesn't find there, nobody has stored.
 */
#include "postgres.h"

#include "engine/execution_rows.h"
#include "engine/guc.h"
#include "engine/notify.h"
#include "engine/ledgers.h"
#include "engine/protect.h"
#include "engine/results.h"
#include "engine/trade_rows.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* The reports of a batch, and what they did. */
struct TeResults
{
	List *reports; /* of TeReport */
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
	TeReport *r;

	if (te_guc_clock == TE_CLOCK_SYSTEM && told->told.at > batch->at + TE_EXECUTION_MAX_AHEAD)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "executed_at", TE_EXECUTION_AHEAD_TEXT);
	if (batch->results == NULL)
		batch->results = palloc0(sizeof(struct TeResults));
	r = palloc0(sizeof(TeReport));
	*r = (TeReport){
		.input = *input,
		.told = told,
		.producer_id = message->envelope.producer_id,
		.correlation_id = message->envelope.correlation_id,
		.position = batch->messages - 1,
	};
	batch->results->reports = lappend(batch->results->reports, r);
	batch->executions++;
	batch->counts.executions++;
	return true;
}

/*----------------------------------------------------------------------
 * What is new
 *----------------------------------------------------------------------*/

typedef struct IdEntry
{
	TeKey key; /* of company, user and execution */
	TeReport *first;
} IdEntry;

static TeKey id_key(const TeExecutionReport *told)
{
	const char *text = psprintf("%s/%s/%s", told->company_id, told->user_id, told->execution_id);

	return te_key_of(text, strlen(text));
}

/* A conflicting report is kept as a dead letter, and counted where its id is. */
static void note_old(TeBatch *batch, TeRows *dead, TeReport *r, const uint8_t *stored_hash)
{
	TeWireError err = {0};

	r->old = true;
	if (memcmp(r->told->content_hash, stored_hash, TE_SHA256_BYTES) == 0) {
		batch->counts.duplicates++;
		return;
	}
	batch->counts.conflicts++;
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
		TeReport *r = lfirst(cell);
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

typedef struct Known
{
	TeBatch *batch;
	TeRows *dead;
} Known;

static void take_known(TeReport *r, const uint8_t *stored_hash, void *arg)
{
	const Known *known = arg;

	note_old(known->batch, known->dead, r, stored_hash);
}

static void drop_known(TeBatch *batch, TeRows *dead)
{
	Known known = {batch, dead};

	te_execution_rows_find(batch->results->reports, take_known, &known);
	te_execution_rows_add_conflicts(batch->results->reports);
}

/*----------------------------------------------------------------------
 * What it is about
 *----------------------------------------------------------------------*/

/* Whose signal it is; another user's is as unknown as none. */
static void find_trade(TeBatch *batch, TeReport *r)
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
		batch->counts.unknown_executions++;
}

static void find_trades(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	ListCell *cell;

	te_trades_begin(&results->trades, batch->context);
	foreach (cell, results->reports) {
		const TeReport *r = lfirst(cell);

		if (!r->old)
			te_trades_want(&results->trades, r->told->company_id, r->told->signal_id);
	}
	te_trades_read(&results->trades);
	foreach (cell, results->reports) {
		TeReport *r = lfirst(cell);

		if (!r->old)
			find_trade(batch, r);
	}
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
		const TeReport *r = lfirst(cell);
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
	te_execution_rows_insert(results->reports, lane, batch_no);
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
}

static void tell_ban(TeExposure *exposure, const TeTrade *t)
{
	te_exposure_ban(exposure, t->company_id, t->user_id, t->strategy_id, t->prediction_id,
	                t->stopped_at);
}

static void announce(TeBatch *batch, const TeTrade *t)
{
	TeCachedCompany *company = te_cache_company(batch->lane->cache, t->company_id);

	if (company != NULL)
		te_notify_add(batch, company, TE_NOTICE_TRADE, t->signal_id);
}

void te_results_committed(TeBatch *batch)
{
	struct TeResults *results = batch->results;
	TeExposure *exposure = batch->lane->exposure;

	if (results == NULL)
		return;
	for (int i = 0; i < results->trades.count; i++) {
		const TeTrade *t = results->trades.trades[i];

		if (t->count == 0)
			continue;
		announce(batch, t);
		if (t->simulated != lane_is_simulated())
			continue;
		tell_trade(exposure, batch->lane->cache, t);
		if (t->stopped_batch_no == batch->lane->memory->committed.batch_no)
			tell_ban(exposure, t);
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
	tell_trade(load->exposure, load->cache, &t);
	if (t.stopped_batch_no > 0)
		tell_ban(load->exposure, &t);
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
	"        OR t.stopped_at OPERATOR(pg_catalog.>) day.begins)"                                   \
	" ORDER BY t.stopped_at"

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
