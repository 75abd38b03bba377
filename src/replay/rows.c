/*
 * rows.c - trading.replay(): the decisions of a run as rows.
 *
 * A process that decides makes tuples, the leader puts them into the result, which goes to
 * disk beyond work_mem.
 */
#include "postgres.h"

#include "replay/rows.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "replay/arguments.h"
#include "replay/tuples.h"
#include "sql/decision_json.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/inputs.h"

PG_FUNCTION_INFO_V1(te_sql_replay);

/* Columns of trading.replayed_decision, in their order.  X(name, TYPE) */
#define REPLAY_COLUMNS(X)                                                                          \
	X(lane, INT4)                                                                                  \
	X(batch_no, INT8)                                                                              \
	X(position, INT4)                                                                              \
	X(prediction_index, INT4)                                                                      \
	X(signal_id, UUID)                                                                             \
	X(company_id, TEXT)                                                                            \
	X(user_id, TEXT)                                                                               \
	X(strategy_id, TEXT)                                                                           \
	X(account_id, TEXT)                                                                            \
	X(symbol, TEXT)                                                                                \
	X(prediction_id, TEXT)                                                                         \
	X(batch_id, TEXT)                                                                              \
	X(producer_id, TEXT)                                                                           \
	X(correlation_id, TEXT)                                                                        \
	X(outcome, TEXT)                                                                               \
	X(hold_reason, TEXT)                                                                           \
	X(signal_type, TEXT)                                                                           \
	X(signal_strength, FLOAT8)                                                                     \
	X(consensus_score, FLOAT8)                                                                     \
	X(market_favorability, FLOAT8)                                                                 \
	X(order_type, TEXT)                                                                            \
	X(execution_urgency, TEXT)                                                                     \
	X(entry_price, FLOAT8)                                                                         \
	X(limit_price, FLOAT8)                                                                         \
	X(stop_loss, FLOAT8)                                                                           \
	X(take_profit, FLOAT8)                                                                         \
	X(reward_risk_ratio, FLOAT8)                                                                   \
	X(position_size, FLOAT8)                                                                       \
	X(max_loss, FLOAT8)                                                                            \
	X(timing_strategy, TEXT)                                                                       \
	X(trigger_price, FLOAT8)                                                                       \
	X(expires_at, TIMESTAMPTZ)                                                                     \
	X(auto_execute, BOOL)                                                                          \
	X(max_slippage_pips, FLOAT8)                                                                   \
	X(time_in_force, TEXT)                                                                         \
	X(execution_algorithm, TEXT)                                                                   \
	X(risk_status, TEXT)                                                                           \
	X(risk_level, TEXT)                                                                            \
	X(cancellation_reason, TEXT)                                                                   \
	X(risk_notes, TEXTARRAY)                                                                       \
	X(original_position_size, FLOAT8)                                                              \
	X(original_stop_loss, FLOAT8)                                                                  \
	X(generated_at, TIMESTAMPTZ)                                                                   \
	X(decided_at, TIMESTAMPTZ)                                                                     \
	X(strategy_version, INT8)                                                                      \
	X(legs, JSONB)                                                                                 \
	X(rule_failed, BOOL)                                                                           \
	X(inputs, BYTEA)

enum { REPLAY_COLUMNS(TE_COLUMN_MEMBER) COLUMN_COUNT };
static const TeColumn columns[] = {REPLAY_COLUMNS(TE_COLUMN_SPEC)};

#define INPUTS_BLOCK 8192
#define INPUTS_LIMIT ((size_t)64 * 1024 * 1024)

/* What the leader tells every process. */
typedef struct Parameters
{
	bool with_inputs;
} Parameters;

/* The labels of one enum as text datums. */
typedef struct Labels
{
	Datum *values;
} Labels;

/* A row in the making. */
typedef struct Rows
{
	Parameters parameters;
	TupleDesc descriptor;
	MemoryContext per_row;
	TeArena *arena;
	Labels outcome, hold_reason, direction, order_type, urgency, timing, time_in_force, algorithm;
	Labels risk_status, risk_level;
	Datum values[COLUMN_COUNT];
	bool nulls[COLUMN_COUNT];
} Rows;

/*----------------------------------------------------------------------
 * In every process
 *----------------------------------------------------------------------*/

static Labels make_labels(const TeEnum *e)
{
	Labels labels = {palloc(sizeof(Datum) * e->count)};

	for (int i = 0; i < e->count; i++)
		labels.values[i] = CStringGetTextDatum(e->labels[i]);
	return labels;
}

static void begin(TeReplayProcess *process, const void *parameters, Size length)
{
	Rows *rows = palloc0(sizeof(Rows));

	Assert(length == sizeof(Parameters));
	memcpy(&rows->parameters, parameters, Min(length, sizeof(Parameters)));
	rows->descriptor = CreateTemplateTupleDesc(COLUMN_COUNT);
	for (int i = 0; i < COLUMN_COUNT; i++)
		TupleDescInitEntry(rows->descriptor, (AttrNumber)(i + 1), columns[i].name, columns[i].type,
		                   -1, 0);
	rows->per_row = AllocSetContextCreate(process->context, "replayed row", ALLOCSET_DEFAULT_SIZES);
	rows->arena = te_sql_arena(INPUTS_BLOCK, INPUTS_LIMIT);
	rows->outcome = make_labels(&te_outcome_enum);
	rows->hold_reason = make_labels(&te_hold_reason_enum);
	rows->direction = make_labels(&te_direction_enum);
	rows->order_type = make_labels(&te_order_type_enum);
	rows->urgency = make_labels(&te_urgency_enum);
	rows->timing = make_labels(&te_timing_enum);
	rows->time_in_force = make_labels(&te_time_in_force_enum);
	rows->algorithm = make_labels(&te_algorithm_enum);
	rows->risk_status = make_labels(&te_risk_status_enum);
	rows->risk_level = make_labels(&te_risk_level_enum);
	process->state = rows;
}

static void put(Rows *rows, int column, Datum value)
{
	rows->values[column] = value;
	rows->nulls[column] = false;
}

static void put_text(Rows *rows, int column, const char *text)
{
	put(rows, column, CStringGetTextDatum(text));
}

static void put_text_if_any(Rows *rows, int column, const char *text)
{
	if (text != NULL && text[0] != '\0')
		put_text(rows, column, text);
}

static void put_number(Rows *rows, int column, double value)
{
	if (te_known(value))
		put(rows, column, Float8GetDatum(value));
}

static void put_time(Rows *rows, int column, TeTime time)
{
	if (time != TE_NO_TIME)
		put(rows, column, TimestampTzGetDatum(te_time_to_timestamptz(time)));
}

static void put_label(Rows *rows, int column, const Labels *labels, int value)
{
	put(rows, column, labels->values[value]);
}

static void put_place(Rows *rows, const TeReplayDecision *d)
{
	const TeReplayMessage *message = d->message;

	put(rows, COLUMN_lane, Int32GetDatum(message->lane));
	put(rows, COLUMN_batch_no, Int64GetDatum(message->batch_no));
	put(rows, COLUMN_position, Int32GetDatum(message->position));
	put(rows, COLUMN_prediction_index, Int32GetDatum(d->prediction));
	put_text_if_any(rows, COLUMN_batch_id, message->message->as.batch.batch_id);
	put_text_if_any(rows, COLUMN_producer_id, message->message->envelope.producer_id);
	put_text_if_any(rows, COLUMN_correlation_id, message->correlation_id);
}

static void put_identity(Rows *rows, const TeReplayDecision *d)
{
	const TeCachedStrategy *s = d->strategy;
	const TePrediction *p = d->in->prediction;
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	te_signal_id(d->message->message->envelope.producer_id, p->prediction_id, p->generated_at,
	             s->company_id, s->user_id, s->strategy_id, id->data);
	put(rows, COLUMN_signal_id, UUIDPGetDatum(id));
	put_text(rows, COLUMN_company_id, s->company_id);
	put_text(rows, COLUMN_user_id, s->user_id);
	put_text(rows, COLUMN_strategy_id, s->strategy_id);
	put_text(rows, COLUMN_account_id, d->account_id);
	put_text(rows, COLUMN_symbol, p->symbol);
	put_text(rows, COLUMN_prediction_id, p->prediction_id);
	put_time(rows, COLUMN_generated_at, p->generated_at);
	put_time(rows, COLUMN_decided_at, d->in->at);
	put(rows, COLUMN_strategy_version, Int64GetDatum(s->version));
}

/* A HOLD is of type HOLD also where it ended before a type was found, as in trading.signals. */
static void put_verdict(Rows *rows, const TeDecision *d)
{
	put_label(rows, COLUMN_outcome, &rows->outcome, d->outcome);
	if (d->hold_reason != TE_HOLD_REASON_NONE)
		put_label(rows, COLUMN_hold_reason, &rows->hold_reason, d->hold_reason);
	if (d->has_signal_type || d->outcome == TE_OUTCOME_HOLD)
		put_label(rows, COLUMN_signal_type, &rows->direction,
		          d->has_signal_type ? d->signal_type : TE_DIR_HOLD);
	put_number(rows, COLUMN_signal_strength, d->signal_strength);
	put_number(rows, COLUMN_consensus_score, d->consensus_score);
	put_number(rows, COLUMN_market_favorability, d->market_favorability);
	put_time(rows, COLUMN_expires_at, d->expires_at);
	put(rows, COLUMN_rule_failed, BoolGetDatum(d->rule_failed));
}

static void put_prices(Rows *rows, const TeDecision *d)
{
	if (d->has_order) {
		put_label(rows, COLUMN_order_type, &rows->order_type, d->order_type);
		put_label(rows, COLUMN_execution_urgency, &rows->urgency, d->urgency);
	}
	put_number(rows, COLUMN_entry_price, d->entry_price);
	put_number(rows, COLUMN_limit_price, d->limit_price);
	put_number(rows, COLUMN_stop_loss, d->stop_loss);
	put_number(rows, COLUMN_take_profit, d->take_profit);
	put_number(rows, COLUMN_reward_risk_ratio, d->reward_risk_ratio);
	put_number(rows, COLUMN_position_size, d->position_size);
	put_number(rows, COLUMN_max_loss, d->max_loss);
}

static Datum legs_datum(const TeDecision *d)
{
	TeJsonbWriter w = {0};

	te_jsonb_put_legs(&w, d);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

/* What only a signal has. */
static void put_execution(Rows *rows, const TeDecision *d, const TeStrategy *s)
{
	put_label(rows, COLUMN_timing_strategy, &rows->timing, d->timing);
	put_number(rows, COLUMN_trigger_price, d->trigger_price);
	put(rows, COLUMN_auto_execute, BoolGetDatum(s->auto_execute));
	put_number(rows, COLUMN_max_slippage_pips, s->max_slippage_pips);
	put_label(rows, COLUMN_time_in_force, &rows->time_in_force, d->time_in_force);
	put_label(rows, COLUMN_execution_algorithm, &rows->algorithm, s->execution_algorithm);
	if (d->leg_count > 0)
		put(rows, COLUMN_legs, legs_datum(d));
}

/* What was done to the signal that was recorded. */
static void put_assessment(Rows *rows, const TeReplayDecision *d)
{
	const TeRiskAssessment *a = d->assessment;

	if (a->status == TE_RISK_STATUS_UNSPECIFIED)
		return;
	put_label(rows, COLUMN_risk_status, &rows->risk_status, a->status);
	if (a->level != TE_RISK_LEVEL_UNSPECIFIED)
		put_label(rows, COLUMN_risk_level, &rows->risk_level, a->level);
	if (a->cancelled)
		put_text(rows, COLUMN_cancellation_reason, te_risk_note_texts[a->cancellation]);
	if (d->risk_notes != NULL)
		put(rows, COLUMN_risk_notes, PointerGetDatum(d->risk_notes));
	put_number(rows, COLUMN_original_position_size, a->original_position_size);
	put_number(rows, COLUMN_original_stop_loss, a->original_stop_loss);
}

static void put_inputs(Rows *rows, const TeDecisionInput *in)
{
	const uint8_t *data;
	size_t length;
	TeWireError err;
	bytea *bytes;

	te_arena_reset(rows->arena);
	if (!te_inputs_pack(in, rows->arena, &data, &length, &err))
		elog(ERROR, "could not pack the inputs of a decision: %s", err.detail);
	bytes = palloc(VARHDRSZ + length);
	SET_VARSIZE(bytes, VARHDRSZ + length);
	memcpy(VARDATA(bytes), data, length);
	put(rows, COLUMN_inputs, PointerGetDatum(bytes));
}

static MinimalTuple make_row(Rows *rows, const TeReplayDecision *d)
{
	memset(rows->nulls, true, sizeof(rows->nulls));
	put_place(rows, d);
	put_identity(rows, d);
	put_verdict(rows, d->decision);
	put_prices(rows, d->decision);
	if (d->decision->outcome == TE_OUTCOME_SIGNAL)
		put_execution(rows, d->decision, d->in->strategy);
	if (d->candidate != NULL)
		put_assessment(rows, d);
	if (rows->parameters.with_inputs)
		put_inputs(rows, d->in);
	return te_minimal_tuple(rows->descriptor, rows->values, rows->nulls);
}

/* A repetition may be wanted whatever it would have been. */
static void take(TeReplayProcess *process, const TeReplayDecision *d)
{
	Rows *rows = process->state;
	bool wanted = te_replay_wants(process->run, d->decision->outcome) ||
	              (d->candidate != NULL && te_replay_wants(process->run, TE_OUTCOME_DUPLICATE));
	MemoryContext old = MemoryContextSwitchTo(rows->per_row);

	te_tuple_send_piece(process, d->candidate, wanted ? make_row(rows, d) : NULL);
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->per_row);
}

/*----------------------------------------------------------------------
 * In the leader
 *----------------------------------------------------------------------*/

/* Where the result goes. */
typedef struct RowsResult
{
	uint32 outcomes; /* that are wanted */
	TeTupleResult tuples;
} RowsResult;

/* The row of a signal or hold that turned out to repeat another: nothing was done to it. */
static MinimalTuple as_repetition(TeTupleResult *result, MinimalTuple tuple)
{
	static const int undone[] = {COLUMN_risk_status,
	                             COLUMN_risk_level,
	                             COLUMN_cancellation_reason,
	                             COLUMN_risk_notes,
	                             COLUMN_original_position_size,
	                             COLUMN_original_stop_loss};
	Datum values[COLUMN_COUNT];
	bool nulls[COLUMN_COUNT];

	ExecStoreMinimalTuple(tuple, result->slot, false);
	slot_getallattrs(result->slot);
	memcpy(values, result->slot->tts_values, sizeof(values));
	memcpy(nulls, result->slot->tts_isnull, sizeof(nulls));
	values[COLUMN_outcome] = CStringGetTextDatum(te_outcome_enum.labels[TE_OUTCOME_DUPLICATE]);
	for (int i = 0; i < (int)lengthof(undone); i++)
		nulls[undone[i]] = true;
	tuple = te_minimal_tuple(result->slot->tts_tupleDescriptor, values, nulls);
	ExecClearTuple(result->slot);
	return tuple;
}

static void receive(void *leader, TeRepeats *repeats, const void *data,
                    Size length pg_attribute_unused())
{
	RowsResult *result = leader;
	const TeTuplePiece *piece = data;
	bool repeated = piece->has_candidate && te_repeats_judge(repeats, &piece->candidate);
	TeOutcome outcome = repeated ? TE_OUTCOME_DUPLICATE : (TeOutcome)piece->candidate.outcome;
	MinimalTuple tuple = te_tuple_of_piece(piece);

	if (tuple == NULL ||
	    (piece->has_candidate && (result->outcomes & TE_OUTCOME_BIT(outcome)) == 0))
		return;
	te_tuple_keep(&result->tuples, repeated ? as_repetition(&result->tuples, tuple) : tuple);
}

const TeReplaySink te_replay_rows_sink = {
	.name = "replay",
	.begin = begin,
	.take = take,
	.receive = receive,
};

/* with_inputs comes after the arguments that are common. */
enum { WITH_INPUTS = 10 };

/* trading.replay(): see sql/54_replay.sql. */
Datum te_sql_replay(PG_FUNCTION_ARGS)
{
	Parameters parameters = {.with_inputs =
	                             !PG_ARGISNULL(WITH_INPUTS) && PG_GETARG_BOOL(WITH_INPUTS)};
	TeReplayRun run;
	RowsResult result;

	te_tuple_result_begin(fcinfo, columns, COLUMN_COUNT, &result.tuples);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_read_arguments(fcinfo, &te_replay_all_positions, &run);
	result.outcomes = run.outcomes;
	(void)te_replay_run(&run, &te_replay_rows_sink, &parameters, sizeof(parameters), &result);
	SPI_finish();
	te_tuple_result_end(&result.tuples);
	return (Datum)0;
}
