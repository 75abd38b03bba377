/*
 * trades.c - trading.what_if_trades(): every signal, before and after, and what would have
 * become of it.
 */
#include "postgres.h"

#include "replay/trades.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "replay/arguments.h"
#include "replay/judge.h"
#include "replay/tuples.h"

PG_FUNCTION_INFO_V1(te_sql_what_if_trades);

/* X(name, TYPE) */
#define TRADE_COLUMNS(X)                                                                           \
	X(run, TEXT)                                                                                   \
	X(lane, INT4)                                                                                  \
	X(batch_no, INT8)                                                                              \
	X(position, INT4)                                                                              \
	X(prediction_index, INT4)                                                                      \
	X(decided_at, TIMESTAMPTZ)                                                                     \
	X(company_id, TEXT)                                                                            \
	X(user_id, TEXT)                                                                               \
	X(strategy_id, TEXT)                                                                           \
	X(strategy_version, INT8)                                                                      \
	X(symbol, TEXT)                                                                                \
	X(prediction_id, TEXT)                                                                         \
	X(confidence, FLOAT8)                                                                          \
	X(signal_type, TEXT)                                                                           \
	X(order_type, TEXT)                                                                            \
	X(entry_price, FLOAT8)                                                                         \
	X(stop_loss, FLOAT8)                                                                           \
	X(take_profit, FLOAT8)                                                                         \
	X(position_size, FLOAT8)                                                                       \
	X(expires_at, TIMESTAMPTZ)                                                                     \
	X(spread_pips, FLOAT8)                                                                         \
	X(currency, TEXT)                                                                              \
	X(equity, FLOAT8)                                                                              \
	X(result, TEXT)                                                                                \
	X(filled_at, TIMESTAMPTZ)                                                                      \
	X(closed_at, TIMESTAMPTZ)                                                                      \
	X(filled_size, FLOAT8)                                                                         \
	X(fill_price, FLOAT8)                                                                          \
	X(exit_price, FLOAT8)                                                                          \
	X(pips, FLOAT8)                                                                                \
	X(r_multiple, FLOAT8)                                                                          \
	X(profit, FLOAT8)

enum { TRADE_COLUMNS(TE_COLUMN_MEMBER) COLUMN_COUNT };
static const TeColumn columns[] = {TRADE_COLUMNS(TE_COLUMN_SPEC)};

static const char *const side_names[TE_SIDES] = {"before", "after"};

typedef struct Trades
{
	TeTupleWriter *writer;
	TeJudge *judge;
} Trades;

static void begin(TeReplayProcess *process, const void *parameters pg_attribute_unused(),
                  Size length pg_attribute_unused())
{
	Trades *trades = palloc(sizeof(Trades));

	trades->writer = te_tuple_writer(process->context, columns, COLUMN_COUNT);
	trades->judge = te_judge_create(process->context, process->run->from);
	process->state = trades;
}

static void put_signal(TeTupleWriter *w, const TeReplayDecision *d)
{
	const TeCachedStrategy *s = d->strategy;
	const TeDecision *decision = d->decision;

	te_tuple_put(w, COLUMN_lane, Int32GetDatum(d->message->lane));
	te_tuple_put(w, COLUMN_batch_no, Int64GetDatum(d->message->batch_no));
	te_tuple_put(w, COLUMN_position, Int32GetDatum(d->message->position));
	te_tuple_put(w, COLUMN_prediction_index, Int32GetDatum(d->prediction));
	te_tuple_time(w, COLUMN_decided_at, d->in->at);
	te_tuple_text(w, COLUMN_company_id, s->company_id);
	te_tuple_text(w, COLUMN_user_id, s->user_id);
	te_tuple_text(w, COLUMN_strategy_id, s->strategy_id);
	te_tuple_put(w, COLUMN_strategy_version, Int64GetDatum(s->version));
	te_tuple_text(w, COLUMN_symbol, d->in->prediction->symbol);
	te_tuple_text(w, COLUMN_prediction_id, d->in->prediction->prediction_id);
	te_tuple_number(w, COLUMN_confidence, d->in->prediction->confidence);
	te_tuple_label(w, COLUMN_signal_type, &te_direction_enum, decision->signal_type);
	te_tuple_label(w, COLUMN_order_type, &te_order_type_enum, decision->order_type);
	te_tuple_number(w, COLUMN_entry_price, decision->entry_price);
	te_tuple_number(w, COLUMN_stop_loss, decision->stop_loss);
	te_tuple_number(w, COLUMN_take_profit, decision->take_profit);
	te_tuple_number(w, COLUMN_position_size, decision->position_size);
	te_tuple_time(w, COLUMN_expires_at, decision->expires_at);
	te_tuple_number(w, COLUMN_spread_pips, te_spread_pips(d->in));
	te_tuple_text(w, COLUMN_currency, d->in->account->currency);
	te_tuple_number(w, COLUMN_equity, d->in->account->equity);
}

static void put_outcome(TeTupleWriter *w, const TeOrderOutcome *o)
{
	te_tuple_label(w, COLUMN_result, &te_result_enum, o->result);
	te_tuple_time(w, COLUMN_filled_at, o->filled_at);
	te_tuple_time(w, COLUMN_closed_at, o->closed_at);
	te_tuple_number(w, COLUMN_filled_size, o->size);
	te_tuple_number(w, COLUMN_fill_price, o->fill_price);
	te_tuple_number(w, COLUMN_exit_price, o->exit_price);
	te_tuple_number(w, COLUMN_pips, o->pips);
	te_tuple_number(w, COLUMN_r_multiple, o->r_multiple);
	te_tuple_number(w, COLUMN_profit, o->profit);
}

/* A signal's row; the leader leaves it out if it repeats another. */
static MinimalTuple make_row(TeReplayProcess *process, const TeReplayDecision *d)
{
	Trades *trades = process->state;
	TeTradeOutcome outcome;
	TeTrade trade;

	te_trade_of(d->in, d->decision, &trade);
	te_judge(trades->judge, d->message->lane, d->in->prediction->symbol, &trade, &outcome);
	te_tuple_text(trades->writer, COLUMN_run, side_names[te_replay_side(process->run, d)]);
	put_signal(trades->writer, d);
	put_outcome(trades->writer, &outcome.whole);
	return te_tuple_form(trades->writer);
}

static void take(TeReplayProcess *process, const TeReplayDecision *d)
{
	Trades *trades = process->state;
	MemoryContext old = te_tuple_begin(trades->writer);
	bool wanted = d->decision->outcome == TE_OUTCOME_SIGNAL;

	te_tuple_send_piece(process, d->candidate, wanted ? make_row(process, d) : NULL);
	te_tuple_end(trades->writer, old);
}

static void receive(void *leader, TeRepeats *repeats, const void *data,
                    Size length pg_attribute_unused())
{
	const TeTuplePiece *piece = data;
	bool repeated = te_repeats_judge(repeats, &piece->candidate);
	MinimalTuple row = te_tuple_of_piece(piece);

	if (row != NULL && !repeated)
		te_tuple_keep(leader, row);
}

const TeReplaySink te_replay_trades_sink = {
	.name = "what_if_trades",
	.begin = begin,
	.take = take,
	.receive = receive,
};

static const TeReplayPositions positions = {
	.from_time = 1,
	.to_time = 2,
	.changes = 3,
	.company_id = 4,
	.user_id = 5,
	.strategy_id = 6,
	.symbol = 7,
	.strategies = 8,
	.workers = 9,
};

/* trading.what_if_trades(): see sql/57_what_if.sql. */
Datum te_sql_what_if_trades(PG_FUNCTION_ARGS)
{
	TeTupleResult result;
	TeReplayRun run;

	te_tuple_result_begin(fcinfo, columns, COLUMN_COUNT, &result);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_read_arguments(fcinfo, &positions, &run);
	run.outcomes = TE_OUTCOME_BIT(TE_OUTCOME_SIGNAL);
	te_replay_compare(&run);
	(void)te_replay_run(&run, &te_replay_trades_sink, NULL, 0, &result);
	SPI_finish();
	te_tuple_result_end(&result);
	return (Datum)0;
}
