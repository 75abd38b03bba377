/*
 * trades.c - from reports to trades.
 */
#include "postgres.h"

#include "core/decide.h"
#include "core/work.h"
#include "engine/trades.h"
#include "wire/inputs.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

/* The inputs of one decision. */
#define INPUTS_BLOCK ((size_t)64 * 1024)
#define INPUTS_LIMIT ((size_t)64 * 1024 * 1024)

/* A pip's fraction that is no distance. */
#define PIP_TOLERANCE 1e-6

#define TRADE_COLUMNS(X)                                                                           \
	X(company_id, text)                                                                            \
	X(signal_id, uuid)                                                                             \
	X(user_id, text)                                                                               \
	X(account_id, text)                                                                            \
	X(strategy_id, text)                                                                           \
	X(symbol, text)                                                                                \
	X(side, int2)                                                                                  \
	X(prediction_id, text)                                                                         \
	X(correlation_id, text)                                                                        \
	X(simulated, bool)                                                                             \
	X(generated_at, timestamptz)                                                                   \
	X(decided_at, timestamptz)                                                                     \
	X(confidence, float8)                                                                          \
	X(position_size, float8)                                                                       \
	X(entry_price, float8)                                                                         \
	X(stop_loss, float8)                                                                           \
	X(risk, float8)                                                                                \
	X(max_slippage_pips, float8)                                                                   \
	X(pip_size, float8)                                                                            \
	X(lot_step, float8)                                                                            \
	X(contract_size, float8)                                                                       \
	X(currency, text)                                                                              \
	X(base_currency, text)                                                                         \
	X(quote_currency, text)                                                                        \
	X(conversion_rate, float8)                                                                     \
	X(notional, float8)                                                                            \
	X(state, text)                                                                                 \
	X(filled, float8)                                                                              \
	X(closed, float8)                                                                              \
	X(average_price, float8)                                                                       \
	X(average_close, float8)                                                                       \
	X(entry_slippage_pips, float8)                                                                 \
	X(exit_slippage_pips, float8)                                                                  \
	X(profit, float8)                                                                              \
	X(commission, float8)                                                                          \
	X(r_multiple, float8)                                                                          \
	X(profit_ratio, float8)                                                                        \
	X(latency_ms, float8)                                                                          \
	X(filled_at, timestamptz)                                                                      \
	X(closed_at, timestamptz)                                                                      \
	X(working, bool)                                                                               \
	X(stopped_out, bool)                                                                           \
	X(reports, int4)                                                                               \
	X(lane, int4) X(filled_batch_no, int8) X(ended_batch_no, int8) X(batch_no, int8)

#define COLUMN(name, type) {#name, #type},
#define MEMBER(name, type) TRADE_##name,
enum { TRADE_COLUMNS(MEMBER) TRADE_COLUMN_COUNT };
static const TeColumnSpec trade_columns[] = {TRADE_COLUMNS(COLUMN)};

/* What the signal says never changes. */
#define CHANGES(X)                                                                                 \
	X(state)                                                                                       \
	X(filled)                                                                                      \
	X(closed)                                                                                      \
	X(average_price)                                                                               \
	X(average_close)                                                                               \
	X(entry_slippage_pips)                                                                         \
	X(exit_slippage_pips)                                                                          \
	X(profit)                                                                                      \
	X(commission)                                                                                  \
	X(r_multiple)                                                                                  \
	X(profit_ratio)                                                                                \
	X(latency_ms)                                                                                  \
	X(filled_at)                                                                                   \
	X(closed_at)                                                                                   \
	X(working)                                                                                     \
	X(stopped_out)                                                                                 \
	X(reports) X(lane) X(filled_batch_no) X(ended_batch_no) X(batch_no)
#define CHANGE(name) #name " = excluded." #name ", "

static TeRowsSpec trade_spec = {
	.table = "trading.trades",
	.columns = trade_columns,
	.column_count = lengthof(trade_columns),
	.on_conflict =
		"(company_id, signal_id) DO UPDATE SET " CHANGES(CHANGE) "updated_at = excluded.updated_at",
};

/*----------------------------------------------------------------------
 * The trades of a batch
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

static Datum uuid_datum(const uint8_t id[TE_UUID_BYTES])
{
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

static Datum text_array(Datum *texts, int count)
{
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum uuid_array(Datum *ids, int count)
{
	return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

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

static void read_id(TeRow *row, uint8_t id[TE_UUID_BYTES])
{
	if (!te_uuid_parse(te_row_text(row, "signal_id"), id))
		elog(ERROR, "a signal has an id that is none");
}

void te_trade_from_row(TeRow *row, TeTrade *t)
{
	t->company_id = te_row_text(row, "company_id");
	t->user_id = te_row_text(row, "user_id");
	t->account_id = te_row_text(row, "account_id");
	t->strategy_id = te_row_text(row, "strategy_id");
	t->symbol = te_row_text(row, "symbol");
	t->prediction_id = te_row_text(row, "prediction_id");
	t->correlation_id = te_row_text(row, "correlation_id");
	read_id(row, t->signal_id);
	t->side = (int)te_row_int(row, "side");
	t->simulated = te_row_bool(row, "simulated");
	t->generated_at = te_row_time(row, "generated_at");
	t->decided_at = te_row_time(row, "decided_at");
	t->confidence = te_row_double(row, "confidence");
	t->position_size = te_row_double(row, "position_size");
	t->entry_price = te_row_double(row, "entry_price");
	t->stop_loss = te_row_double(row, "stop_loss");
	t->risk = te_row_double(row, "risk");
	t->max_slippage_pips = te_row_double(row, "max_slippage_pips");
	t->pip_size = te_row_double(row, "pip_size");
	t->lot_step = te_row_double(row, "lot_step");
	t->contract_size = te_row_double(row, "contract_size");
	t->currency = te_row_text(row, "currency");
	t->base_currency = te_row_text(row, "base_currency");
	t->quote_currency = te_row_text(row, "quote_currency");
	t->conversion_rate = te_row_double(row, "conversion_rate");
	t->notional = te_row_double(row, "notional");
	t->sum.state = (TeTradeState)te_enum_value(&te_trade_state_enum, te_row_text(row, "state"));
	t->sum.filled = te_row_double(row, "filled");
	t->sum.closed = te_row_double(row, "closed");
	t->sum.closed_at = te_row_time(row, "closed_at");
	t->working = te_row_bool(row, "working");
	t->stopped_out = t->was_stopped = te_row_bool(row, "stopped_out");
	t->filled_batch_no = te_row_int(row, "filled_batch_no");
	t->ended_batch_no = te_row_int(row, "ended_batch_no");
}

/* What there is of a row's signal only in the inputs of its decision. */
static void read_inputs(TeRow *row, TeTrade *t)
{
	bytea *packed = te_row_bytes(row, "inputs");
	TeDecision d = {
		.outcome = TE_OUTCOME_SIGNAL,
		.signal_type =
			(TeDirection)te_enum_value(&te_direction_enum, te_row_text(row, "signal_type")),
		.entry_price = t->entry_price,
		.stop_loss = t->stop_loss,
		.position_size = t->position_size,
		.max_loss = t->risk,
		.expires_at = TE_NO_TIME,
	};
	TeExposureOrder order;
	TeDecisionInput in;
	TeWireError err;
	TeArena arena;
	MemoryContext per_row = CurrentMemoryContext;

	te_arena_init(&arena, INPUTS_BLOCK, INPUTS_LIMIT);
	if (!te_inputs_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed), &arena,
	                      &in, &err)) {
		char *reason = psprintf("%s: %s", err.field, err.detail);

		te_arena_free(&arena);
		ereport(ERROR,
		        (errcode(ERRCODE_DATA_CORRUPTED),
		         errmsg("the inputs of signal %s can't be read", te_row_text(row, "signal_id")),
		         errdetail("%s", reason)));
	}
	te_exposure_order(&in, &d, 1, &order);
	MemoryContextSwitchTo(t->memory);
	t->side = order.side;
	t->confidence = in.prediction->confidence;
	t->pip_size = in.instrument->pip_size;
	t->lot_step = in.instrument->lot_step;
	t->contract_size = in.instrument->contract_size;
	t->currency = pstrdup(in.account->currency);
	t->base_currency = pstrdup(in.instrument->base_currency);
	t->quote_currency = pstrdup(in.instrument->quote_currency);
	t->conversion_rate = te_conversion_rate(&in, t->stop_loss);
	t->notional = order.notional;
	MemoryContextSwitchTo(per_row);
	te_arena_free(&arena);
}

static void read_trade(TeRow *row, void *arg)
{
	TeTrades *trades = arg;
	MemoryContext per_row = CurrentMemoryContext;
	uint8_t id[TE_UUID_BYTES];
	TeTrade *t;

	read_id(row, id);
	t = add_trade(trades, te_row_text(row, "company_id"), id);
	MemoryContextSwitchTo(trades->context);
	te_trade_from_row(row, t);
	MemoryContextSwitchTo(per_row);
}

static void read_signal(TeRow *row, void *arg)
{
	TeTrades *trades = arg;
	MemoryContext per_row = CurrentMemoryContext;
	uint8_t id[TE_UUID_BYTES];
	TeTrade *t;

	read_id(row, id);
	t = add_trade(trades, te_row_text(row, "company_id"), id);
	MemoryContextSwitchTo(trades->context);
	memcpy(t->signal_id, id, sizeof(id));
	t->company_id = te_row_text(row, "company_id");
	t->user_id = te_row_text(row, "user_id");
	t->account_id = te_row_text(row, "account_id");
	t->strategy_id = te_row_text(row, "strategy_id");
	t->symbol = te_row_text(row, "symbol");
	t->prediction_id = te_row_text(row, "prediction_id");
	t->correlation_id = te_row_text(row, "correlation_id");
	t->simulated = te_row_bool(row, "simulated");
	t->generated_at = te_row_time(row, "generated_at");
	t->decided_at = te_row_time(row, "decided_at");
	t->position_size = te_row_double(row, "position_size");
	t->entry_price = te_row_double(row, "entry_price");
	t->stop_loss = te_row_double(row, "stop_loss");
	t->risk = te_row_double(row, "max_loss");
	t->max_slippage_pips = te_row_double(row, "max_slippage_pips");
	MemoryContextSwitchTo(per_row);
	if (strcmp(te_row_text(row, "outcome"), "SIGNAL") == 0)
		read_inputs(row, t);
	else
		t->flag = "NO_ORDER";
}

/* LIMIT keeps each of these a look-up by index, whatever the planner thinks of the table. */
static TeStatement trades_query = {
	.sql = "SELECT t.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		   "       AS r (company_id, signal_id)"
		   " CROSS JOIN LATERAL ("
		   "SELECT t.* FROM trading.trades AS t"
		   " WHERE t.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND t.signal_id OPERATOR(pg_catalog.=) r.signal_id LIMIT 1) AS t",
	.count = 2,
	.types = {TEXTARRAYOID, UUIDARRAYOID},
};

static TeStatement signals_query = {
	.sql = "SELECT s.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		   "       AS r (company_id, signal_id)"
		   " CROSS JOIN LATERAL ("
		   "SELECT g.company_id, g.user_id, COALESCE(g.account_id, 'main') AS account_id,"
		   "       g.strategy_id, g.symbol, g.prediction_id, g.correlation_id, g.signal_id,"
		   "       g.outcome, g.signal_type, g.simulated, g.generated_at, g.decided_at,"
		   "       g.position_size, g.entry_price, g.stop_loss, g.max_loss, g.max_slippage_pips,"
		   "       g.inputs FROM trading.signals AS g"
		   " WHERE g.signal_id OPERATOR(pg_catalog.=) r.signal_id"
		   "   AND g.company_id OPERATOR(pg_catalog.=) r.company_id LIMIT 1) AS s",
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
		ids[count++] = uuid_datum(entry->signal_id);
	}
	if (count == 0)
		return;
	values[0] = text_array(companies, count);
	values[1] = uuid_array(ids, count);
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
		   "       e.executed_size, e.profit, e.commission FROM trading.executions AS e"
		   " WHERE e.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND e.signal_id OPERATOR(pg_catalog.=) r.signal_id"
		   "   AND e.account_id IS NOT NULL OFFSET 0) AS e",
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
		ids[i] = uuid_datum(trades->trades[i]->signal_id);
	}
	values[0] = text_array(companies, trades->count);
	values[1] = uuid_array(ids, trades->count);
	(void)te_statement_run(&reports_query, values, read_report, trades);
}

/*----------------------------------------------------------------------
 * Sums
 *----------------------------------------------------------------------*/

/*
 * A close at the stop loss or beyond it, or nearer to it than the slippage that the signal accepts.
 * Where no close tells a price: all that the fills had at risk is lost.
 */
static bool was_stopped_out(const TeTrade *t)
{
	bool any_price = false;
	double slack =
		t->pip_size * ((te_known(t->max_slippage_pips) ? t->max_slippage_pips : 0) + PIP_TOLERANCE);

	for (int i = 0; i < t->count; i++) {
		const TeExecution *e = &t->reports[i];

		if (e->status != TE_EXECUTION_CLOSED || !te_known(e->executed_price))
			continue;
		any_price = true;
		if (te_known(t->stop_loss) && t->side * (e->executed_price - t->stop_loss) <= slack)
			return true;
	}
	return !any_price && te_known(t->risk) && t->risk > 0 && t->sum.filled > 0 &&
	       te_known(t->sum.profit) &&
	       t->sum.profit <= -t->risk * (t->sum.filled / t->position_size);
}

static void sum_up(TeTrade *t)
{
	TeGrid lot = te_grid(t->lot_step);
	TeExecutionRepeats repeats;

	t->count = te_executions_settle(t->reports, t->count, &repeats);
	te_executions_sum(t->reports, t->count, t->side, t->pip_size, &lot, &t->sum);
	t->working = true;
	for (int i = 0; i < t->count; i++)
		t->working = t->working && t->reports[i].status == TE_EXECUTION_PARTIALLY_FILLED;
	t->stopped_out = was_stopped_out(t);
}

/* Figures that follow from the sum; NAN where there is nothing to divide by. */
typedef struct Figures
{
	double profit, r_multiple, profit_ratio, latency_ms;
} Figures;

static double ratio(double x, double y)
{
	return te_known(y) && y > 0 ? x / y : NAN;
}

static Figures figures_of(const TeTrade *t)
{
	const TeExecutionSum *s = &t->sum;
	Figures f = {s->profit - s->commission, NAN, NAN, NAN};

	if (te_known(f.profit) && s->filled > 0) {
		f.r_multiple = ratio(f.profit, t->risk * (s->filled / t->position_size));
		f.profit_ratio =
			ratio(f.profit, s->filled * t->contract_size * s->average_price * t->conversion_rate);
	}
	if (s->filled_at != TE_NO_TIME)
		f.latency_ms = (double)(s->filled_at - t->generated_at) / 1000;
	return f;
}

static bool has_ended(TeTradeState state)
{
	return state == TE_TRADE_STATE_CLOSED || state == TE_TRADE_STATE_REJECTED ||
	       state == TE_TRADE_STATE_CANCELLED;
}

static void set_signal_columns(TeRows *rows, int row, const TeTrade *t)
{
	te_rows_set_text(rows, row, TRADE_company_id, t->company_id);
	te_rows_set(rows, row, TRADE_signal_id, uuid_datum(t->signal_id));
	te_rows_set_text(rows, row, TRADE_user_id, t->user_id);
	te_rows_set_text(rows, row, TRADE_account_id, t->account_id);
	te_rows_set_text(rows, row, TRADE_strategy_id, t->strategy_id);
	te_rows_set_text(rows, row, TRADE_symbol, t->symbol);
	te_rows_set(rows, row, TRADE_side, Int16GetDatum((int16)t->side));
	te_rows_set_text(rows, row, TRADE_prediction_id, t->prediction_id);
	te_rows_set_text(rows, row, TRADE_correlation_id, t->correlation_id);
	te_rows_set(rows, row, TRADE_simulated, BoolGetDatum(t->simulated));
	te_rows_set_time(rows, row, TRADE_generated_at, t->generated_at);
	te_rows_set_time(rows, row, TRADE_decided_at, t->decided_at);
	te_rows_set_double(rows, row, TRADE_confidence, t->confidence);
	te_rows_set_double(rows, row, TRADE_position_size, t->position_size);
	te_rows_set_double(rows, row, TRADE_entry_price, t->entry_price);
	te_rows_set_double(rows, row, TRADE_stop_loss, t->stop_loss);
	te_rows_set_double(rows, row, TRADE_risk, t->risk);
	te_rows_set_double(rows, row, TRADE_max_slippage_pips, t->max_slippage_pips);
	te_rows_set_double(rows, row, TRADE_pip_size, t->pip_size);
	te_rows_set_double(rows, row, TRADE_lot_step, t->lot_step);
	te_rows_set_double(rows, row, TRADE_contract_size, t->contract_size);
	te_rows_set_text(rows, row, TRADE_currency, t->currency);
	te_rows_set_text(rows, row, TRADE_base_currency, t->base_currency);
	te_rows_set_text(rows, row, TRADE_quote_currency, t->quote_currency);
	te_rows_set_double(rows, row, TRADE_conversion_rate, t->conversion_rate);
	te_rows_set_double(rows, row, TRADE_notional, t->notional);
}

static void set_result_columns(TeRows *rows, int row, const TeTrade *t)
{
	const TeExecutionSum *s = &t->sum;
	Figures f = figures_of(t);

	te_rows_set_text(rows, row, TRADE_state, te_trade_state_enum.labels[s->state]);
	te_rows_set_double(rows, row, TRADE_filled, s->filled);
	te_rows_set_double(rows, row, TRADE_closed, s->closed);
	te_rows_set_double(rows, row, TRADE_average_price, s->average_price);
	te_rows_set_double(rows, row, TRADE_average_close, s->average_close);
	te_rows_set_double(rows, row, TRADE_entry_slippage_pips, s->entry_slippage_pips);
	te_rows_set_double(rows, row, TRADE_exit_slippage_pips, s->exit_slippage_pips);
	te_rows_set_double(rows, row, TRADE_profit, f.profit);
	te_rows_set_double(rows, row, TRADE_commission, s->commission);
	te_rows_set_double(rows, row, TRADE_r_multiple, f.r_multiple);
	te_rows_set_double(rows, row, TRADE_profit_ratio, f.profit_ratio);
	te_rows_set_double(rows, row, TRADE_latency_ms, f.latency_ms);
	te_rows_set_time(rows, row, TRADE_filled_at, s->filled_at);
	te_rows_set_time(rows, row, TRADE_closed_at, s->closed_at);
	te_rows_set(rows, row, TRADE_working, BoolGetDatum(t->working));
	te_rows_set(rows, row, TRADE_stopped_out, BoolGetDatum(t->stopped_out));
	te_rows_set(rows, row, TRADE_reports, Int32GetDatum(t->count));
}

static void add_row(TeRows *rows, TeTrade *t, int lane, int64 batch_no)
{
	int row = te_rows_add(rows);

	if (t->sum.filled > 0 && t->filled_batch_no == 0)
		t->filled_batch_no = batch_no;
	if (!has_ended(t->sum.state))
		t->ended_batch_no = 0;
	else if (t->ended_batch_no == 0)
		t->ended_batch_no = batch_no;
	set_signal_columns(rows, row, t);
	set_result_columns(rows, row, t);
	te_rows_set(rows, row, TRADE_lane, Int32GetDatum(lane));
	if (t->filled_batch_no > 0)
		te_rows_set(rows, row, TRADE_filled_batch_no, Int64GetDatum(t->filled_batch_no));
	if (t->ended_batch_no > 0)
		te_rows_set(rows, row, TRADE_ended_batch_no, Int64GetDatum(t->ended_batch_no));
	te_rows_set(rows, row, TRADE_batch_no, Int64GetDatum(batch_no));
}

void te_trades_store(TeTrades *trades, int lane, int64 batch_no)
{
	TeRows rows;

	if (trades->count == 0)
		return;
	read_reports(trades);
	te_rows_init(&rows, &trade_spec, trades->context);
	for (int i = 0; i < trades->count; i++) {
		TeTrade *t = trades->trades[i];

		if (t->count == 0)
			continue; /* what was reported has no effect */
		sum_up(t);
		add_row(&rows, t, lane, batch_no);
	}
	te_rows_insert(&rows);
}

/*----------------------------------------------------------------------
 * Effects
 *----------------------------------------------------------------------*/

static bool is_fill(const TeExecution *e)
{
	return e->status == TE_EXECUTION_FILLED || e->status == TE_EXECUTION_PARTIALLY_FILLED;
}

bool te_trade_fill_counts(const TeExecution *e)
{
	return is_fill(e) || e->status == TE_EXECUTION_CLOSED ||
	       (te_known(e->commission) && e->commission != 0);
}

/* No lot step is as small. */
#define LEAST_LOTS 1e-9

/* What is filled of an order, and its mean price. */
static double filled_lots(const TeExecution *reports, int count, double *price)
{
	double lots = 0, cost = 0;

	for (int i = 0; i < count; i++)
		if (is_fill(&reports[i])) {
			lots += reports[i].executed_size;
			cost += reports[i].executed_size * reports[i].executed_price;
		}
	*price = lots > 0 ? cost / lots : NAN;
	return lots;
}

/* What the sized closes leave to those that say no size. */
static double unsized_lots(const TeExecution *reports, int count, double filled)
{
	for (int i = 0; i < count; i++)
		if (reports[i].status == TE_EXECUTION_CLOSED && te_known(reports[i].executed_size))
			filled -= reports[i].executed_size;
	return fmax(filled, 0);
}

static void close_fill(const TeExecution *e, const TeTradeTerms *terms, double opened, double lots,
                       TeFill *f)
{
	f->side = -terms->side;
	f->lots = lots;
	if (lots == 0) {
		/* Nothing is filled that it could close, as far as is known: what is told counts. */
		f->price = NAN;
		f->profit = e->profit;
		return;
	}
	f->price = te_known(e->executed_price) ? e->executed_price : opened;
	f->difference =
		e->profit - terms->side * (f->price - opened) * lots * terms->contract_size * f->rate;
}

void te_trade_fills(const TeExecution *reports, int count, const TeTradeTerms *terms, TeFill *out)
{
	double opened, open = filled_lots(reports, count, &opened);
	double unsized = unsized_lots(reports, count, open);

	for (int i = 0; i < count; i++) {
		const TeExecution *e = &reports[i];
		TeFill *f = &out[i];

		*f = (TeFill){
			.id = e->id,
			.at = e->at,
			.side = terms->side,
			.lots = e->executed_size,
			.price = e->executed_price,
			.profit = NAN,
			.commission = te_known(e->commission) ? e->commission : 0,
			.rate = te_known(terms->rate) ? terms->rate : 0,
		};
		if (e->status == TE_EXECUTION_CLOSED) {
			bool sized = te_known(e->executed_size);
			double lots = fmin(open, sized ? e->executed_size : unsized);

			if (lots < LEAST_LOTS)
				lots = 0; /* what is left of a difference of doubles */
			open -= lots;
			unsized -= sized ? 0 : lots;
			close_fill(e, terms, opened, lots, f);
		} else if (!is_fill(e)) {
			/* An order that wasn't filled may have cost something. */
			f->lots = 0;
			f->price = NAN;
			f->profit = 0;
		}
	}
}

bool te_trade_order(const TeTrade *t, double margin_rate, TeExposureOrder *out)
{
	double held =
		(t->working ? fmax(t->sum.filled, t->position_size) : t->sum.filled) - t->sum.closed;
	double share = held / t->position_size;

	if (has_ended(t->sum.state) || share <= 0)
		return false;
	*out = (TeExposureOrder){
		.company_id = t->company_id,
		.user_id = t->user_id,
		.strategy_id = t->strategy_id,
		.account_id = t->account_id,
		.symbol = t->symbol,
		.base_currency = t->base_currency,
		.quote_currency = t->quote_currency,
		.account_currency = t->currency,
		.side = t->side,
		.risk = t->risk * share,
		.notional = t->notional * share,
		.margin = t->notional * share * margin_rate,
		.pending_lots = t->working ? fmax(t->position_size - t->sum.filled, 0) : 0,
		.expires_at = TE_NO_TIME,
	};
	return true;
}
