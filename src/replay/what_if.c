/*
 * what_if.c - trading.what_if(): decisions that differ between two runs.
 *
 * Both decisions of a strategy on a prediction are made in the same process.  They are
 * kept until the prediction's end, and then paired by strategy.  The leader, who knows which
 * of them repeat earlier ones, compares the two.
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

/* A decision but for its steps, as it goes from process to process. */
#define DECISION_SIZE offsetof(TeDecision, steps)

/* One side of a strategy's decision on a prediction. */
typedef struct Side
{
	bool there;         /* it decided */
	bool has_candidate; /* it may turn out to be a repetition */
	TeOutcome outcome;
	TeReplayCandidate candidate;

	/* Of candidates, and of what the caller wants. */
	bool auto_execute;
	TeAlgorithm algorithm;
	double max_slippage_pips;
	TeOrderOutcome result; /* of a SIGNAL */
	char decision[DECISION_SIZE] pg_attribute_aligned(8);
} Side;

/* The texts of a pair, in their order. */
enum { TEXT_company, TEXT_user, TEXT_strategy, TEXT_symbol, TEXT_prediction, TEXT_currency, TEXTS };

/* Both sides; the texts follow, and then the gate that only one of them passed, as jsonb. */
typedef struct Pair
{
	int32 lane;
	int64 batch_no;
	int32 position, prediction;
	TeTime at;
	double confidence;
	Side sides[TE_SIDES];
	uint32 texts_size, gate_size;
} Pair;

/* One side's decision while it waits for the other; its gate is the last that ran. */
typedef struct Half
{
	const char *company_id, *user_id, *strategy_id, *currency;
	TeSide number;
	TeTime at;
	TeOutcome outcome;
	TeStep gate;
	Side *side; /* of candidates, and of what the caller wants */
} Half;

/* In a process that decides. */
typedef struct WhatIf
{
	uint32 outcomes; /* wanted ones */
	TeJudge *judge;

	/* The prediction at hand. */
	MemoryContext per_prediction;
	Half *halves;
	int count, capacity;
	bool any; /* one of them is a candidate, or wanted */
} WhatIf;

/* In the leader. */
typedef struct Leader
{
	uint32 outcomes;
	bool one_source; /* both sides have the same rows */
	TeTupleWriter *writer;
	TeTupleResult tuples;
} Leader;

/*----------------------------------------------------------------------
 * Gathering
 *----------------------------------------------------------------------*/

#define FIRST_CAPACITY 256

static void begin(TeReplayProcess *process, const void *parameters, Size length)
{
	WhatIf *w = palloc0(sizeof(WhatIf));

	Assert(length == sizeof(uint32));
	memcpy(&w->outcomes, parameters, Min(length, sizeof(uint32)));
	w->judge = te_judge_create(process->context, process->run->from);
	w->per_prediction = AllocSetContextCreate(process->context, "what-if", ALLOCSET_DEFAULT_SIZES);
	w->capacity = FIRST_CAPACITY;
	w->halves = MemoryContextAlloc(process->context, sizeof(Half) * w->capacity);
	process->state = w;
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

static Side *make_side(WhatIf *w, const TeReplayDecision *d)
{
	Side *side = palloc0(sizeof(Side));
	TeTradeOutcome outcome;
	TeTrade trade;

	side->has_candidate = d->candidate != NULL;
	if (d->candidate != NULL)
		side->candidate = *d->candidate;
	memcpy(side->decision, d->decision, DECISION_SIZE);
	side->auto_execute = d->in->strategy->auto_execute;
	side->max_slippage_pips = d->in->strategy->max_slippage_pips;
	side->algorithm = (TeAlgorithm)d->in->strategy->execution_algorithm;
	if (d->decision->outcome == TE_OUTCOME_SIGNAL) {
		te_trade_of(d->in, d->decision, &trade);
		te_judge(w->judge, d->message->lane, d->in->prediction->symbol, &trade, &outcome);
		side->result = outcome.whole;
	}
	return side;
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
		.currency = pstrdup(d->in->account->currency),
		.number = te_replay_side(process->run, d),
		.at = d->in->at,
		.outcome = d->decision->outcome,
		.gate = keep_gate(d->decision),
	};
	if (d->candidate != NULL || (w->outcomes & TE_OUTCOME_BIT(half->outcome)) != 0) {
		half->side = make_side(w, d);
		w->any = true;
	}
	MemoryContextSwitchTo(old);
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

	return order != 0 ? order : (int)a->number - (int)b->number;
}

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

static bool is_wanted(uint32 outcomes, const Half *half)
{
	return half != NULL && (outcomes & TE_OUTCOME_BIT(half->outcome)) != 0;
}

/* Send a pair, one of which may be NULL, if the leader has to know of it. */
static void send_pair(TeReplayProcess *process, const TeReplayMessage *message, int prediction,
                      const Half *const halves[TE_SIDES])
{
	WhatIf *w = process->state;
	const Half *any = halves[TE_BEFORE] != NULL ? halves[TE_BEFORE] : halves[TE_AFTER];
	const TePrediction *p = &message->message->as.batch.predictions[prediction];
	const char *texts[TEXTS] = {any->company_id, any->user_id,     any->strategy_id,
	                            p->symbol,       p->prediction_id, any->currency};
	bool before = is_wanted(w->outcomes, halves[TE_BEFORE]);
	bool after = is_wanted(w->outcomes, halves[TE_AFTER]);
	const Half *failed = before == after ? NULL : halves[before ? TE_AFTER : TE_BEFORE];
	Pair pair = {
		.lane = message->lane,
		.batch_no = message->batch_no,
		.position = message->position,
		.prediction = prediction,
		.at = any->at,
		.confidence = p->confidence,
	};
	bool needed = before || after;
	StringInfoData out;

	for (int i = 0; i < TE_SIDES; i++) {
		if (halves[i] == NULL)
			continue;
		if (halves[i]->side != NULL)
			pair.sides[i] = *halves[i]->side;
		pair.sides[i].there = true;
		pair.sides[i].outcome = halves[i]->outcome;
		needed = needed || pair.sides[i].has_candidate;
	}
	if (!needed)
		return;
	initStringInfo(&out);
	appendBinaryStringInfo(&out, (char *)&pair, sizeof(pair));
	for (int i = 0; i < TEXTS; i++)
		appendBinaryStringInfo(&out, texts[i], (int)strlen(texts[i]) + 1);
	appendStringInfoSpaces(&out, (int)(MAXALIGN(out.len) - out.len));
	pair.texts_size = (uint32)(out.len - sizeof(pair));
	if (failed != NULL) {
		Jsonb *gate = DatumGetJsonbP(gate_datum(&failed->gate));

		pair.gate_size = VARSIZE(gate);
		appendBinaryStringInfo(&out, (char *)gate, (int)pair.gate_size);
	}
	memcpy(out.data, &pair, sizeof(pair));
	te_replay_send(process, out.data, out.len);
}

static void prediction_end(TeReplayProcess *process, const TeReplayMessage *message, int prediction)
{
	WhatIf *w = process->state;
	MemoryContext old = MemoryContextSwitchTo(w->per_prediction);

	if (w->any)
		qsort(w->halves, w->count, sizeof(Half), compare_halves);
	for (int i = 0; w->any && i < w->count;) {
		const Half *sides[TE_SIDES] = {NULL, NULL};
		const Half *first = &w->halves[i];

		do
			sides[w->halves[i].number] = &w->halves[i];
		while (++i < w->count && compare_strategies(first, &w->halves[i]) == 0);
		send_pair(process, message, prediction, sides);
	}
	w->count = 0;
	w->any = false;
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->per_prediction);
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
static int changed_columns(const Side *before, const Side *after, const TeDecision *a,
                           const TeDecision *b, Datum *names)
{
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
 * Rows, in the leader
 *----------------------------------------------------------------------*/

static void put_side(TeTupleWriter *w, const Side *side, const TeDecision *d, int number)
{
	const TeOrderOutcome *result = &side->result;

	if (d->has_signal_type || d->outcome == TE_OUTCOME_HOLD)
		te_tuple_label(w, COLUMN_signal_type + number, &te_direction_enum,
		               d->has_signal_type ? d->signal_type : TE_DIR_HOLD);
	if (d->has_order)
		te_tuple_label(w, COLUMN_order_type + number, &te_order_type_enum, d->order_type);
	te_tuple_number(w, COLUMN_entry_price + number, d->entry_price);
	te_tuple_number(w, COLUMN_stop_loss + number, d->stop_loss);
	te_tuple_number(w, COLUMN_take_profit + number, d->take_profit);
	te_tuple_number(w, COLUMN_position_size + number, d->position_size);
	if (side->outcome != TE_OUTCOME_SIGNAL)
		return;
	te_tuple_label(w, COLUMN_result + number, &te_result_enum, result->result);
	te_tuple_time(w, COLUMN_closed_at + number, result->closed_at);
	te_tuple_number(w, COLUMN_pips + number, result->pips);
	te_tuple_number(w, COLUMN_r_multiple + number, result->r_multiple);
	te_tuple_number(w, COLUMN_profit + number, result->profit);
}

static void put_place(TeTupleWriter *w, const Pair *pair)
{
	static const int columns_of_texts[TEXTS] = {
		[TEXT_company] = COLUMN_company_id,       [TEXT_user] = COLUMN_user_id,
		[TEXT_strategy] = COLUMN_strategy_id,     [TEXT_symbol] = COLUMN_symbol,
		[TEXT_prediction] = COLUMN_prediction_id, [TEXT_currency] = COLUMN_currency};
	const char *text = (const char *)(pair + 1);

	te_tuple_put(w, COLUMN_lane, Int32GetDatum(pair->lane));
	te_tuple_put(w, COLUMN_batch_no, Int64GetDatum(pair->batch_no));
	te_tuple_put(w, COLUMN_position, Int32GetDatum(pair->position));
	te_tuple_put(w, COLUMN_prediction_index, Int32GetDatum(pair->prediction));
	te_tuple_time(w, COLUMN_decided_at, pair->at);
	te_tuple_number(w, COLUMN_confidence, pair->confidence);
	for (int i = 0; i < TEXTS; i++, text += strlen(text) + 1)
		te_tuple_text(w, columns_of_texts[i], text);
}

/*
 * The outcome of a side that made no decision.  Where both sides have the same rows, the
 * strategy is there and doesn't trade the symbol; else it may not have been there at all.
 */
static void put_outcome(const Leader *leader, const Side *side, int number)
{
	if (side->there)
		te_tuple_label(leader->writer, COLUMN_outcome + number, &te_outcome_enum, side->outcome);
	else if (leader->one_source)
		te_tuple_label(leader->writer, COLUMN_outcome + number, &te_outcome_enum,
		               TE_OUTCOME_INSTRUMENT_NOT_ALLOWED);
}

/* The gate that kept one side from what the other has. */
static void put_gate(const Leader *leader, const Pair *pair, const Side *failed)
{
	static const TeStep repetition = {.gate = TE_OUTCOME_DUPLICATE};

	if (failed->there && failed->outcome == TE_OUTCOME_DUPLICATE)
		te_tuple_put(leader->writer, COLUMN_gate, gate_datum(&repetition));
	else if (failed->there && pair->gate_size > 0)
		te_tuple_put(leader->writer, COLUMN_gate,
		             PointerGetDatum((const char *)(pair + 1) + pair->texts_size));
}

/* The columns of a pair; whether it makes a row. */
static bool put_pair(const Leader *leader, const Pair *pair, const Side sides[TE_SIDES])
{
	bool wanted[TE_SIDES];
	TeDecision decisions[TE_SIDES];
	Datum names[MOST_CHANGED];
	int changed = 1;

	for (int i = 0; i < TE_SIDES; i++) {
		wanted[i] = sides[i].there && (leader->outcomes & TE_OUTCOME_BIT(sides[i].outcome)) != 0;
		memcpy(&decisions[i], sides[i].decision, DECISION_SIZE);
		decisions[i].outcome = sides[i].outcome;
	}
	if (!wanted[TE_BEFORE] && !wanted[TE_AFTER])
		return false;
	if (wanted[TE_BEFORE] && wanted[TE_AFTER])
		changed = changed_columns(&sides[TE_BEFORE], &sides[TE_AFTER], &decisions[TE_BEFORE],
		                          &decisions[TE_AFTER], names);
	else {
		names[0] = CStringGetTextDatum("outcome");
		put_gate(leader, pair, &sides[wanted[TE_BEFORE] ? TE_AFTER : TE_BEFORE]);
	}
	if (changed == 0)
		return false;
	te_tuple_text(leader->writer, COLUMN_difference,
	              wanted[TE_BEFORE] && wanted[TE_AFTER] ? "CHANGED"
	              : wanted[TE_AFTER]                    ? "GAINED"
	                                                    : "LOST");
	te_tuple_put(leader->writer, COLUMN_changed, text_array(names, changed));
	put_place(leader->writer, pair);
	for (int i = 0; i < TE_SIDES; i++) {
		put_outcome(leader, &sides[i], i);
		if (wanted[i])
			put_side(leader->writer, &sides[i], &decisions[i], i);
	}
	return true;
}

static void receive(void *argument, TeRepeats *repeats, const void *data,
                    Size length pg_attribute_unused())
{
	Leader *leader = argument;
	const Pair *pair = data;
	Side sides[TE_SIDES];
	MemoryContext old;

	for (int i = 0; i < TE_SIDES; i++) {
		sides[i] = pair->sides[i];
		if (sides[i].has_candidate && te_repeats_judge(repeats, &sides[i].candidate))
			sides[i].outcome = TE_OUTCOME_DUPLICATE;
	}
	old = te_tuple_begin(leader->writer);
	if (put_pair(leader, pair, sides))
		te_tuple_keep(&leader->tuples, te_tuple_form(leader->writer));
	te_tuple_end(leader->writer, old);
}

const TeReplaySink te_replay_what_if_sink = {
	.name = "what_if",
	.begin = begin,
	.take = take,
	.prediction_end = prediction_end,
	.receive = receive,
};

/* trading.what_if(): see sql/57_what_if.sql. */
Datum te_sql_what_if(PG_FUNCTION_ARGS)
{
	Leader leader = {0};
	TeReplayRun run;

	te_tuple_result_begin(fcinfo, columns, COLUMN_COUNT, &leader.tuples);
	leader.writer = te_tuple_writer(CurrentMemoryContext, columns, COLUMN_COUNT);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_read_arguments(fcinfo, &te_replay_all_positions, &run);
	leader.outcomes = run.outcomes;
	/* Of a signal that is gained or lost, the other decision is needed too. */
	run.outcomes = TE_OUTCOMES_ALL;
	te_replay_compare(&run);
	leader.one_source = run.source_count == 1;
	(void)te_replay_run(&run, &te_replay_what_if_sink, &leader.outcomes, sizeof(leader.outcomes),
	                    &leader);
	SPI_finish();
	te_tuple_result_end(&leader.tuples);
	return (Datum)0;
}
