/*
 * what_if.c - trading.what_if(): decisions that differ between two runs.
 *
 * Both decisions of a strategy on a prediction are made in the same process.  They are
 * kept until the prediction's end, and then paired by strategy.
 */
#include "postgres.h"

#include "replay/trades.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "replay/arguments.h"
#include "replay/judge.h"
#include "replay/tuples.h"
#include "sql/decision_json.h"

PG_FUNCTION_INFO_V1(te_sql_what_if);

/* What is shown of both decisions; ONE(name, TYPE), BOTH(name, TYPE). */
#define WHAT_IF_COLUMNS(ONE, BOTH)                                                                 \
	ONE(difference, TEXT)                                                                          \
	ONE(changed, TEXTARRAY)                                                                        \
	ONE(gate, JSONB)                                                                               \
	ONE(lane, INT4)                                                                                \
	ONE(batch_no, INT8)                                                                            \
	ONE(position, INT4)                                                                            \
	ONE(prediction_index, INT4)                                                                    \
	ONE(decided_at, TIMESTAMPTZ)                                                                   \
	ONE(company_id, TEXT)                                                                          \
	ONE(user_id, TEXT)                                                                             \
	ONE(strategy_id, TEXT)                                                                         \
	ONE(symbol, TEXT)                                                                              \
	ONE(prediction_id, TEXT)                                                                       \
	ONE(confidence, FLOAT8)                                                                        \
	ONE(currency, TEXT)                                                                            \
	BOTH(outcome, TEXT)                                                                            \
	BOTH(signal_type, TEXT)                                                                        \
	BOTH(order_type, TEXT)                                                                         \
	BOTH(entry_price, FLOAT8)                                                                      \
	BOTH(stop_loss, FLOAT8)                                                                        \
	BOTH(take_profit, FLOAT8)                                                                      \
	BOTH(position_size, FLOAT8)                                                                    \
	BOTH(result, TEXT)                                                                             \
	BOTH(closed_at, TIMESTAMPTZ)                                                                   \
	BOTH(pips, FLOAT8)                                                                             \
	BOTH(r_multiple, FLOAT8)                                                                       \
	BOTH(profit, FLOAT8)

#define ONE_MEMBER(name, type) COLUMN_##name,
#define BOTH_MEMBER(name, type) COLUMN_##name, COLUMN_##name##_after,
enum { WHAT_IF_COLUMNS(ONE_MEMBER, BOTH_MEMBER) COLUMN_COUNT };

static const TeColumn columns[] = {
#define ONE_SPEC(name, type) {#name, type##OID},
#define BOTH_SPEC(name, type) {#name "_before", type##OID}, {#name "_after", type##OID},
	WHAT_IF_COLUMNS(ONE_SPEC, BOTH_SPEC)
#undef ONE_SPEC
#undef BOTH_SPEC
};

/* A decision of an outcome that the caller wants to know of. */
typedef struct Wanted
{
	TeDecision decision;
	TeTrade trade; /* of a SIGNAL */
	bool auto_execute;
	double max_slippage_pips;
	TeAlgorithm algorithm;
	const char *currency;
} Wanted;

/* One side's decision; its gate is the last that ran. */
typedef struct Half
{
	const char *company_id, *user_id, *strategy_id;
	TeSide side;
	TeOutcome outcome;
	TeStep gate;
	TeTime at;
	Wanted *wanted; /* or NULL */
} Half;

typedef struct WhatIf
{
	uint32 outcomes; /* wanted ones */
	TeTupleWriter *writer;
	TeJudge *judge;

	/* The prediction at hand. */
	MemoryContext per_prediction;
	Half *halves;
	int count, capacity;
	bool any_wanted;
} WhatIf;

/*----------------------------------------------------------------------
 * Gathering
 *----------------------------------------------------------------------*/

#define FIRST_CAPACITY 256

static void begin(TeReplayProcess *process, const void *parameters, Size length)
{
	WhatIf *w = palloc0(sizeof(WhatIf));

	Assert(length == sizeof(uint32));
	memcpy(&w->outcomes, parameters, Min(length, sizeof(uint32)));
	w->writer = te_tuple_writer(process->context, columns, COLUMN_COUNT);
	w->judge = te_judge_create(process->context, process->run->from);
	w->per_prediction = AllocSetContextCreate(process->context, "what-if", ALLOCSET_DEFAULT_SIZES);
	w->capacity = FIRST_CAPACITY;
	w->halves = MemoryContextAlloc(process->context, sizeof(Half) * w->capacity);
	process->state = w;
}

static Wanted *want(const TeReplayDecision *d)
{
	Wanted *wanted = palloc0(sizeof(Wanted));

	wanted->decision = *d->decision;
	if (d->decision->outcome == TE_OUTCOME_SIGNAL)
		te_trade_of(d->in, d->decision, &wanted->trade);
	wanted->auto_execute = d->in->strategy->auto_execute;
	wanted->max_slippage_pips = d->in->strategy->max_slippage_pips;
	wanted->algorithm = (TeAlgorithm)d->in->strategy->execution_algorithm;
	wanted->currency = pstrdup(d->in->account->currency);
	return wanted;
}

/* Texts of a step belong to its inputs. */
static TeStepValue keep_value(TeStepValue value)
{
	if (value.kind == TE_STEP_TEXT && value.as.text != NULL)
		value.as.text = pstrdup(value.as.text);
	return value;
}

static TeStep keep_gate(const TeDecision *d)
{
	TeStep gate = {.gate = d->outcome};

	if (d->step_count > 0)
		gate = d->steps[d->step_count - 1];
	gate.value = keep_value(gate.value);
	gate.threshold = keep_value(gate.threshold);
	return gate;
}

static void take(TeReplayProcess *process, const TeReplayDecision *d)
{
	WhatIf *w = process->state;
	MemoryContext old = MemoryContextSwitchTo(w->per_prediction);
	Half *half;

	if (w->count == w->capacity) {
		w->capacity *= 2;
		w->halves = repalloc_huge(w->halves, sizeof(Half) * w->capacity);
	}
	half = &w->halves[w->count++];
	*half = (Half){
		.company_id = pstrdup(d->strategy->company_id),
		.user_id = pstrdup(d->strategy->user_id),
		.strategy_id = pstrdup(d->strategy->strategy_id),
		.side = te_replay_side(process->run, d),
		.outcome = d->decision->outcome,
		.gate = keep_gate(d->decision),
		.at = d->in->at,
	};
	if ((w->outcomes & TE_OUTCOME_BIT(half->outcome)) != 0) {
		half->wanted = want(d);
		w->any_wanted = true;
	}
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * Comparing
 *----------------------------------------------------------------------*/

static bool differ(double a, double b)
{
	return a != b && !(isnan(a) && isnan(b));
}

static bool legs_differ(const TeDecision *a, const TeDecision *b)
{
	if (a->leg_count != b->leg_count)
		return true;
	for (int i = 0; i < a->leg_count; i++) {
		const TeLeg *x = &a->legs[i], *y = &b->legs[i];

		if (x->order_type != y->order_type || x->entry_price != y->entry_price ||
		    x->stop_loss != y->stop_loss || x->take_profit != y->take_profit ||
		    x->position_size != y->position_size)
			return true;
	}
	return false;
}

/* Columns of a decision, as trading.signals calls them, in which two differ. */
static int changed_columns(const Wanted *before, const Wanted *after, Datum *names)
{
	const TeDecision *a = &before->decision, *b = &after->decision;
	bool signals = a->outcome == TE_OUTCOME_SIGNAL && b->outcome == TE_OUTCOME_SIGNAL;
	int count = 0;

#define CHANGED(name, condition)                                                                   \
	if (condition)                                                                                 \
	names[count++] = CStringGetTextDatum(name)
#define NUMBER_CHANGED(name) CHANGED(#name, differ(a->name, b->name))
	CHANGED("outcome", a->outcome != b->outcome);
	CHANGED("hold_reason", a->hold_reason != b->hold_reason);
	CHANGED("signal_type", a->has_signal_type != b->has_signal_type ||
	                           (a->has_signal_type && a->signal_type != b->signal_type));
	NUMBER_CHANGED(signal_strength);
	NUMBER_CHANGED(consensus_score);
	NUMBER_CHANGED(market_favorability);
	CHANGED("order_type", a->has_order && b->has_order && a->order_type != b->order_type);
	NUMBER_CHANGED(entry_price);
	NUMBER_CHANGED(limit_price);
	NUMBER_CHANGED(stop_loss);
	NUMBER_CHANGED(take_profit);
	NUMBER_CHANGED(reward_risk_ratio);
	NUMBER_CHANGED(position_size);
	NUMBER_CHANGED(max_loss);
	CHANGED("expires_at", a->expires_at != b->expires_at);
	CHANGED("timing_strategy", signals && a->timing != b->timing);
	NUMBER_CHANGED(trigger_price);
	CHANGED("time_in_force", signals && a->time_in_force != b->time_in_force);
	CHANGED("legs", signals && legs_differ(a, b));
	CHANGED("auto_execute", signals && before->auto_execute != after->auto_execute);
	CHANGED("max_slippage_pips",
	        signals && differ(before->max_slippage_pips, after->max_slippage_pips));
	CHANGED("execution_algorithm", signals && before->algorithm != after->algorithm);
#undef NUMBER_CHANGED
#undef CHANGED
	return count;
}

#define MOST_CHANGED 32

static Datum text_array(Datum *texts, int count)
{
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*----------------------------------------------------------------------
 * Rows
 *----------------------------------------------------------------------*/

/* The gate that one of the two didn't pass. */
static Datum gate_datum(const TeStep *gate)
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	te_jsonb_text_field(&w, "gate", te_outcome_enum.labels[gate->gate]);
	te_jsonb_text_field(&w, "check", gate->check);
	te_jsonb_step_value_field(&w, "value", &gate->value);
	te_jsonb_step_value_field(&w, "threshold", &gate->threshold);
	te_jsonb_end_object(&w);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

static void put_wanted(WhatIf *w, const TeReplayMessage *message, const char *symbol,
                       const Wanted *wanted, int side)
{
	const TeDecision *d = &wanted->decision;
	TeTradeOutcome outcome;

	te_tuple_text(w->writer, COLUMN_currency, wanted->currency);
	if (d->has_signal_type || d->outcome == TE_OUTCOME_HOLD)
		te_tuple_label(w->writer, COLUMN_signal_type + side, &te_direction_enum,
		               d->has_signal_type ? d->signal_type : TE_DIR_HOLD);
	if (d->has_order)
		te_tuple_label(w->writer, COLUMN_order_type + side, &te_order_type_enum, d->order_type);
	te_tuple_number(w->writer, COLUMN_entry_price + side, d->entry_price);
	te_tuple_number(w->writer, COLUMN_stop_loss + side, d->stop_loss);
	te_tuple_number(w->writer, COLUMN_take_profit + side, d->take_profit);
	te_tuple_number(w->writer, COLUMN_position_size + side, d->position_size);
	if (d->outcome != TE_OUTCOME_SIGNAL)
		return;
	te_judge(w->judge, message->lane, symbol, &wanted->trade, &outcome);
	te_tuple_label(w->writer, COLUMN_result + side, &te_result_enum, outcome.whole.result);
	te_tuple_time(w->writer, COLUMN_closed_at + side, outcome.whole.closed_at);
	te_tuple_number(w->writer, COLUMN_pips + side, outcome.whole.pips);
	te_tuple_number(w->writer, COLUMN_r_multiple + side, outcome.whole.r_multiple);
	te_tuple_number(w->writer, COLUMN_profit + side, outcome.whole.profit);
}

static void put_place(WhatIf *w, const TeReplayMessage *message, int prediction, const Half *half)
{
	const TePrediction *p = &message->message->as.batch.predictions[prediction];

	te_tuple_put(w->writer, COLUMN_lane, Int32GetDatum(message->lane));
	te_tuple_put(w->writer, COLUMN_batch_no, Int64GetDatum(message->batch_no));
	te_tuple_put(w->writer, COLUMN_position, Int32GetDatum(message->position));
	te_tuple_put(w->writer, COLUMN_prediction_index, Int32GetDatum(prediction));
	te_tuple_time(w->writer, COLUMN_decided_at, half->at);
	te_tuple_text(w->writer, COLUMN_company_id, half->company_id);
	te_tuple_text(w->writer, COLUMN_user_id, half->user_id);
	te_tuple_text(w->writer, COLUMN_strategy_id, half->strategy_id);
	te_tuple_text(w->writer, COLUMN_symbol, p->symbol);
	te_tuple_text(w->writer, COLUMN_prediction_id, p->prediction_id);
	te_tuple_number(w->writer, COLUMN_confidence, p->confidence);
}

/*
 * The outcome of a side that made no decision.  Where both sides have the same rows, the
 * strategy is there and doesn't trade the symbol; else it may not have been there at all.
 */
static void put_outcome(WhatIf *w, const TeReplayRun *run, const Half *half, int side)
{
	if (half != NULL)
		te_tuple_label(w->writer, COLUMN_outcome + side, &te_outcome_enum, half->outcome);
	else if (run->source_count == 1)
		te_tuple_label(w->writer, COLUMN_outcome + side, &te_outcome_enum,
		               TE_OUTCOME_INSTRUMENT_NOT_ALLOWED);
}

/* A row for a pair that differs; sides[] may have one NULL. */
static void emit(TeReplayProcess *process, const TeReplayMessage *message, int prediction,
                 const Half *const sides[TE_SIDES])
{
	WhatIf *w = process->state;
	const Half *before = sides[TE_BEFORE], *after = sides[TE_AFTER];
	const Half *any = before != NULL ? before : after, *failed;
	bool in_before = before != NULL && before->wanted != NULL;
	bool in_after = after != NULL && after->wanted != NULL;
	const char *symbol = message->message->as.batch.predictions[prediction].symbol;
	Datum names[MOST_CHANGED];
	int changed = 1;
	MemoryContext old;

	if (!in_before && !in_after)
		return;
	old = te_tuple_begin(w->writer);
	if (in_before && in_after)
		changed = changed_columns(before->wanted, after->wanted, names);
	else
		names[0] = CStringGetTextDatum("outcome");
	if (changed == 0) {
		MemoryContextSwitchTo(old);
		MemoryContextReset(w->writer->per_row);
		return;
	}
	te_tuple_text(w->writer, COLUMN_difference,
	              in_before && in_after ? "CHANGED"
	              : in_after            ? "GAINED"
	                                    : "LOST");
	te_tuple_put(w->writer, COLUMN_changed, text_array(names, changed));
	failed = in_before && in_after ? NULL : in_after ? before : after;
	if (failed != NULL)
		te_tuple_put(w->writer, COLUMN_gate, gate_datum(&failed->gate));
	put_place(w, message, prediction, any);
	for (int side = 0; side < TE_SIDES; side++) {
		put_outcome(w, process->run, sides[side], side);
		if (sides[side] != NULL && sides[side]->wanted != NULL)
			put_wanted(w, message, symbol, sides[side]->wanted, side);
	}
	te_tuple_send(w->writer, process, old);
}

/*----------------------------------------------------------------------
 * Pairing
 *----------------------------------------------------------------------*/

static int compare_strategies(const Half *a, const Half *b)
{
	int order = strcmp(a->company_id, b->company_id);

	if (order == 0)
		order = strcmp(a->user_id, b->user_id);
	return order != 0 ? order : strcmp(a->strategy_id, b->strategy_id);
}

static int compare_halves(const void *x, const void *y)
{
	const Half *a = x, *b = y;
	int order = compare_strategies(a, b);

	return order != 0 ? order : (int)a->side - (int)b->side;
}

static void prediction_end(TeReplayProcess *process, const TeReplayMessage *message, int prediction)
{
	WhatIf *w = process->state;

	if (w->any_wanted)
		qsort(w->halves, w->count, sizeof(Half), compare_halves);
	for (int i = 0; w->any_wanted && i < w->count;) {
		const Half *sides[TE_SIDES] = {NULL, NULL};
		int first = i;

		do
			sides[w->halves[i].side] = &w->halves[i];
		while (++i < w->count && compare_strategies(&w->halves[first], &w->halves[i]) == 0);
		emit(process, message, prediction, sides);
	}
	w->count = 0;
	w->any_wanted = false;
	MemoryContextReset(w->per_prediction);
}

const TeReplaySink te_replay_what_if_sink = {
	.name = "what_if",
	.begin = begin,
	.take = take,
	.prediction_end = prediction_end,
	.receive = te_tuple_receive,
};

/* trading.what_if(): see sql/57_what_if.sql. */
Datum te_sql_what_if(PG_FUNCTION_ARGS)
{
	TeTupleResult result;
	TeReplayRun run;
	uint32 wanted;

	te_tuple_result_begin(fcinfo, columns, COLUMN_COUNT, &result);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_read_arguments(fcinfo, &te_replay_all_positions, &run);
	wanted = run.outcomes;
	/* Of a signal that is gained or lost, the other decision is needed too. */
	run.outcomes = TE_OUTCOMES_ALL;
	te_replay_compare(&run);
	(void)te_replay_run(&run, &te_replay_what_if_sink, &wanted, sizeof(wanted), &result);
	SPI_finish();
	te_tuple_result_end(&result);
	return (Datum)0;
}
