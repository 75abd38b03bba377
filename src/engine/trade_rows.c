/*
 * trade_rows.c - see trade_rows.h.
 */
#include "postgres.h"

#include "core/decide.h"
#include "core/work.h"
#include "engine/trade_rows.h"
#include "wire/inputs.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

/* The inputs of one decision. */
#define INPUTS_BLOCK ((size_t)64 * 1024)
#define INPUTS_LIMIT ((size_t)64 * 1024 * 1024)

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
	X(decided_batch_no, int8)                                                                      \
	X(expires_at, timestamptz)                                                                     \
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
	X(lane, int4)                                                                                  \
	X(filled_batch_no, int8)                                                                       \
	X(ended_batch_no, int8)                                                                        \
	X(turns, numbers) X(stopped_at, timestamptz) X(stopped_batch_no, int8) X(batch_no, int8)

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
	X(reports)                                                                                     \
	X(lane)                                                                                        \
	X(filled_batch_no) X(ended_batch_no) X(turns) X(stopped_at) X(stopped_batch_no) X(batch_no)
#define CHANGE(name) #name " = excluded." #name ", "

static TeRowsSpec trade_spec = {
	.table = "trading.trades",
	.columns = trade_columns,
	.column_count = lengthof(trade_columns),
	.on_conflict =
		"(company_id, signal_id) DO UPDATE SET " CHANGES(CHANGE) "updated_at = excluded.updated_at",
};

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

void te_trade_rows_id(TeRow *row, uint8_t id[TE_UUID_BYTES])
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
	te_trade_rows_id(row, t->signal_id);
	t->side = (int)te_row_int(row, "side");
	t->simulated = te_row_bool(row, "simulated");
	t->generated_at = te_row_time(row, "generated_at");
	t->decided_at = te_row_time(row, "decided_at");
	t->decided_batch_no = te_row_int(row, "decided_batch_no");
	t->expires_at = te_row_time(row, "expires_at");
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
	t->stopped_out = te_row_bool(row, "stopped_out");
	t->filled_batch_no = te_row_int(row, "filled_batch_no");
	t->ended_batch_no = te_row_int(row, "ended_batch_no");
	t->turn_count = te_row_numbers(row, "turns", &t->turns);
	t->stopped_at = te_row_time(row, "stopped_at");
	t->stopped_batch_no = te_row_int(row, "stopped_batch_no");
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

void te_trade_from_signal(TeRow *row, TeTrade *t)
{
	te_trade_rows_id(row, t->signal_id);
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
	t->decided_batch_no = te_row_int(row, "batch_no");
	t->expires_at = te_row_time(row, "expires_at");
	t->stopped_at = TE_NO_TIME;
	t->position_size = te_row_double(row, "position_size");
	t->entry_price = te_row_double(row, "entry_price");
	t->stop_loss = te_row_double(row, "stop_loss");
	t->risk = te_row_double(row, "max_loss");
	t->max_slippage_pips = te_row_double(row, "max_slippage_pips");
	if (strcmp(te_row_text(row, "outcome"), "SIGNAL") == 0)
		read_inputs(row, t);
	else
		t->flag = "NO_ORDER";
}

/*----------------------------------------------------------------------
 * Writing
 *----------------------------------------------------------------------*/

static void set_signal_columns(TeRows *rows, int row, const TeTrade *t)
{
	te_rows_set_text(rows, row, TRADE_company_id, t->company_id);
	te_rows_set_uuid(rows, row, TRADE_signal_id, t->signal_id);
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
	te_rows_set(rows, row, TRADE_decided_batch_no, Int64GetDatum(t->decided_batch_no));
	te_rows_set_time(rows, row, TRADE_expires_at, t->expires_at);
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
	TeTradeFigures f = te_trade_figures(t);

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

void te_trade_rows_init(TeRows *rows, MemoryContext context)
{
	te_rows_init(rows, &trade_spec, context);
}

static void set_turns(TeRows *rows, int row, const TeTrade *t)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < t->turn_count; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? "," : "{", t->turns[i]);
	appendStringInfoString(&text, t->turn_count > 0 ? "}" : "{}");
	te_rows_set_text(rows, row, TRADE_turns, text.data);
	pfree(text.data);
}

void te_trade_rows_add(TeRows *rows, const TeTrade *t, int lane, int64 batch_no)
{
	int row = te_rows_add(rows);

	set_signal_columns(rows, row, t);
	set_result_columns(rows, row, t);
	te_rows_set(rows, row, TRADE_lane, Int32GetDatum(lane));
	if (t->filled_batch_no > 0)
		te_rows_set(rows, row, TRADE_filled_batch_no, Int64GetDatum(t->filled_batch_no));
	if (t->ended_batch_no > 0)
		te_rows_set(rows, row, TRADE_ended_batch_no, Int64GetDatum(t->ended_batch_no));
	set_turns(rows, row, t);
	te_rows_set_time(rows, row, TRADE_stopped_at, t->stopped_at);
	if (t->stopped_batch_no > 0)
		te_rows_set(rows, row, TRADE_stopped_batch_no, Int64GetDatum(t->stopped_batch_no));
	te_rows_set(rows, row, TRADE_batch_no, Int64GetDatum(batch_no));
}
