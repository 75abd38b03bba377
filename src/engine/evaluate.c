/*
 * evaluate.c - from a prediction to signals: market state, candidates, decisions.
 */
#include "postgres.h"

#include "core/decide.h"
#include "core/lane.h"
#include "engine/evaluate.h"
#include "engine/guc.h"
#include "sql/sqltime.h"
#include "sql/rule.h"
#include "wire/encode.h"
#include "wire/inputs.h"
#include "wire/state.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A row of trading.outbox is closed at this size. */
#define FRAMES_BYTES ((size_t)4 * 1024 * 1024)

/*----------------------------------------------------------------------
 * Market state
 *----------------------------------------------------------------------*/

static TeMarketSettings market_settings(void)
{
	return (TeMarketSettings){
		.trend_atr = te_guc_trend_atr,
		.high_volatility = te_guc_high_volatility,
		.low_volatility = te_guc_low_volatility,
		.min_bars = te_guc_min_bars,
		.max_gap = te_guc_market_max_gap * TE_USEC_PER_SEC,
	};
}

static void record_bar(TeBatch *batch, const char *symbol, const TeBar *bar)
{
	TeRows *rows = &batch->rows.bars;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_BAR_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set_text(rows, row, TE_BAR_symbol, symbol);
	te_rows_set_time(rows, row, TE_BAR_bar_start, bar->start);
	te_rows_set_double(rows, row, TE_BAR_open, bar->open);
	te_rows_set_double(rows, row, TE_BAR_high, bar->high);
	te_rows_set_double(rows, row, TE_BAR_low, bar->low);
	te_rows_set_double(rows, row, TE_BAR_close, bar->close);
	te_count(&batch->lane->slot->counters.bars, 1);
}

static void record_condition(TeBatch *batch, const char *symbol, const TeMarketState *state,
                             const TeMarket *market)
{
	TeRows *rows = &batch->rows.conditions;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_CONDITION_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set_text(rows, row, TE_CONDITION_symbol, symbol);
	te_rows_set_time(rows, row, TE_CONDITION_bar_start, state->last_start);
	te_rows_set_text(rows, row, TE_CONDITION_regime, te_regime_enum.labels[market->regime]);
	te_rows_set_text(rows, row, TE_CONDITION_trend, te_trend_enum.labels[market->trend]);
	te_rows_set_double(rows, row, TE_CONDITION_volatility_ratio, market->volatility_ratio);
	te_rows_set(rows, row, TE_CONDITION_bars, Int64GetDatum(state->bars));
	te_rows_set_double(rows, row, TE_CONDITION_last_close, state->last_close);
	te_rows_set_double(rows, row, TE_CONDITION_atr, state->atr);
	te_rows_set_double(rows, row, TE_CONDITION_ema_fast, state->ema_fast);
	te_rows_set_double(rows, row, TE_CONDITION_ema_slow, state->ema_slow);
	te_rows_set(rows, row, TE_CONDITION_returns, Int64GetDatum(state->returns));
	te_rows_set_double(rows, row, TE_CONDITION_var_fast, state->var_fast);
	te_rows_set_double(rows, row, TE_CONDITION_var_slow, state->var_slow);
}

/* From a clock that is ahead of ours: it would keep later prices out of the bar. */
static bool from_the_future(const TeBatch *batch, TeTime at)
{
	return te_guc_clock == TE_CLOCK_SYSTEM && at > batch->at + TE_USEC_PER_SEC;
}

/* A price that everybody sees moves the symbol's market state. */
static void take_price(TeBatch *batch, const char *symbol, TeTime at, double price)
{
	TeSymbolState *s = te_memory_symbol(batch->lane->memory, symbol);
	TeMarketSettings settings = market_settings();
	TeMarket market;
	TeBar closed;

	if (!te_bar_builder_add(&s->builder, at, price, te_guc_bar_length * TE_USEC_PER_SEC, &closed))
		return;
	te_market_add_bar(&s->market, &closed, &settings);
	te_market_read(&s->market, &settings, &market);
	record_bar(batch, symbol, &closed);
	record_condition(batch, symbol, &s->market, &market);
}

/* The market that a decision at this instant sees; prices that are too old tell nothing. */
static void read_market(TeBatch *batch, const char *symbol, TeTime at, TeMarket *market)
{
	const TeSymbolState *s = te_memory_peek_symbol(batch->lane->memory, symbol);
	TeMarketSettings settings = market_settings();
	TeMarketState unknown;

	if (s != NULL && (te_guc_market_max_age == 0 ||
	                  at - s->builder.last_price_at <= te_guc_market_max_age * INT64_C(1000))) {
		te_market_read(&s->market, &settings, market);
		return;
	}
	memset(&unknown, 0, sizeof(unknown));
	te_market_read(&unknown, &settings, market);
}

bool te_evaluate_tick(TeBatch *batch, const TeSubject *subject, const TeTick *tick,
                      TeWireError *err)
{
	TeMemory *m = batch->lane->memory;

	if (strcmp(tick->symbol, subject->symbol) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "symbol", "differs from the subject's");
	if (te_cache_instrument(batch->lane->cache, tick->symbol) == NULL)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_SYMBOL, "symbol", "is not in trading.instruments");
	if (from_the_future(batch, tick->at))
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "at",
		                    "is more than a second in the future");
	m->staged.clock = te_lane_clock(m->staged.clock, tick->at);
	take_price(batch, tick->symbol, tick->at, tick->price);
	te_count(&batch->lane->slot->counters.ticks, 1);
	return true;
}

/*----------------------------------------------------------------------
 * Recording a signal
 *----------------------------------------------------------------------*/

static const char *label(const TeEnum *e, int value)
{
	return e->labels[value];
}

/* Columns that a decision of outcome SIGNAL has, and others may have in part. */
static void set_order_columns(TeRows *rows, int row, const TeDecision *d, const TeStrategy *s)
{
	te_rows_set_text(rows, row, TE_SIGNAL_order_type, label(&te_order_type_enum, d->order_type));
	te_rows_set_text(rows, row, TE_SIGNAL_execution_urgency, label(&te_urgency_enum, d->urgency));
	te_rows_set_double(rows, row, TE_SIGNAL_entry_price, d->entry_price);
	te_rows_set_double(rows, row, TE_SIGNAL_limit_price, d->limit_price);
	te_rows_set_double(rows, row, TE_SIGNAL_stop_loss, d->stop_loss);
	te_rows_set_double(rows, row, TE_SIGNAL_take_profit, d->take_profit);
	te_rows_set_double(rows, row, TE_SIGNAL_reward_risk_ratio, d->reward_risk_ratio);
	te_rows_set_double(rows, row, TE_SIGNAL_position_size, d->position_size);
	te_rows_set_double(rows, row, TE_SIGNAL_max_loss, d->max_loss);
	te_rows_set_text(rows, row, TE_SIGNAL_timing_strategy, label(&te_timing_enum, d->timing));
	te_rows_set_double(rows, row, TE_SIGNAL_trigger_price, d->trigger_price);
	te_rows_set(rows, row, TE_SIGNAL_auto_execute, BoolGetDatum(s->auto_execute));
	te_rows_set_double(rows, row, TE_SIGNAL_max_slippage_pips, s->max_slippage_pips);
	te_rows_set_text(rows, row, TE_SIGNAL_time_in_force,
	                 label(&te_time_in_force_enum, d->time_in_force));
	te_rows_set_text(rows, row, TE_SIGNAL_execution_algorithm,
	                 label(&te_algorithm_enum, s->execution_algorithm));
}

static void set_decision_columns(TeRows *rows, int row, const TeDecision *d)
{
	/* A prediction to hold ends before a type is found: it is HOLD by its outcome. */
	TeDirection type = d->has_signal_type ? d->signal_type : TE_DIR_HOLD;

	te_rows_set_text(rows, row, TE_SIGNAL_outcome, label(&te_outcome_enum, d->outcome));
	if (d->hold_reason != TE_HOLD_REASON_NONE)
		te_rows_set_text(rows, row, TE_SIGNAL_hold_reason,
		                 label(&te_hold_reason_enum, d->hold_reason));
	te_rows_set_text(rows, row, TE_SIGNAL_signal_type, label(&te_direction_enum, type));
	te_rows_set_double(rows, row, TE_SIGNAL_signal_strength, d->signal_strength);
	te_rows_set_double(rows, row, TE_SIGNAL_consensus_score, d->consensus_score);
	te_rows_set_double(rows, row, TE_SIGNAL_market_favorability, d->market_favorability);
	te_rows_set_time(rows, row, TE_SIGNAL_expires_at, d->expires_at);
}

static Datum uuid_datum(TeBatch *batch, const uint8_t id[TE_UUID_BYTES])
{
	pg_uuid_t *uuid = MemoryContextAlloc(batch->context, sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

static void record_legs(TeBatch *batch, const TeCachedStrategy *s, const uint8_t id[TE_UUID_BYTES],
                        const TeDecision *d)
{
	TeRows *rows = &batch->rows.legs;

	for (int i = 0; i < d->leg_count; i++) {
		const TeLeg *leg = &d->legs[i];
		int row = te_rows_add(rows);

		te_rows_set(rows, row, TE_LEG_signal_id, uuid_datum(batch, id));
		te_rows_set_text(rows, row, TE_LEG_company_id, s->company_id);
		te_rows_set_text(rows, row, TE_LEG_user_id, s->user_id);
		te_rows_set(rows, row, TE_LEG_leg, Int32GetDatum(i));
		te_rows_set_text(rows, row, TE_LEG_order_type, label(&te_order_type_enum, leg->order_type));
		te_rows_set_double(rows, row, TE_LEG_entry_price, leg->entry_price);
		te_rows_set_double(rows, row, TE_LEG_stop_loss, leg->stop_loss);
		te_rows_set_double(rows, row, TE_LEG_take_profit, leg->take_profit);
		te_rows_set_double(rows, row, TE_LEG_position_size, leg->position_size);
	}
}

static void record_signal_row(TeEvaluation *e, const TeCachedStrategy *s, const TeDecisionInput *in,
                              const TeDecision *d, const uint8_t id[TE_UUID_BYTES], int64 out_seq)
{
	TeBatch *batch = e->batch;
	TeRows *rows = &batch->rows.signals;
	int row = te_rows_add(rows);
	const uint8_t *inputs;
	size_t length;
	TeWireError err;

	te_rows_set(rows, row, TE_SIGNAL_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_SIGNAL_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set(rows, row, TE_SIGNAL_position, Int32GetDatum(e->position));
	te_rows_set(rows, row, TE_SIGNAL_out_epoch, Int64GetDatum(batch->lane->memory->staged.epoch));
	if (out_seq > 0)
		te_rows_set(rows, row, TE_SIGNAL_out_seq, Int64GetDatum(out_seq));
	te_rows_set(rows, row, TE_SIGNAL_signal_id, uuid_datum(batch, id));
	te_rows_set_text(rows, row, TE_SIGNAL_company_id, s->company_id);
	te_rows_set_text(rows, row, TE_SIGNAL_user_id, s->user_id);
	te_rows_set_text(rows, row, TE_SIGNAL_strategy_id, s->strategy_id);
	te_rows_set_text(rows, row, TE_SIGNAL_symbol, in->prediction->symbol);
	te_rows_set_text(rows, row, TE_SIGNAL_prediction_id, in->prediction->prediction_id);
	te_rows_set_text(rows, row, TE_SIGNAL_batch_id, e->message->as.batch.batch_id);
	te_rows_set_text(rows, row, TE_SIGNAL_producer_id, e->message->envelope.producer_id);
	te_rows_set_text(rows, row, TE_SIGNAL_correlation_id, e->correlation_id);
	set_decision_columns(rows, row, d);
	if (d->outcome == TE_OUTCOME_SIGNAL)
		set_order_columns(rows, row, d, in->strategy);
	te_rows_set_time(rows, row, TE_SIGNAL_generated_at, in->prediction->generated_at);
	te_rows_set_time(rows, row, TE_SIGNAL_decided_at, in->at);
	te_rows_set(rows, row, TE_SIGNAL_simulated, BoolGetDatum(te_guc_clock == TE_CLOCK_INPUT));
	te_rows_set(rows, row, TE_SIGNAL_strategy_version, Int64GetDatum(s->version));
	te_rows_set(rows, row, TE_SIGNAL_core_version, Int32GetDatum(TE_CORE_VERSION));
	if (!te_inputs_pack(in, batch->arena, &inputs, &length, &err))
		elog(ERROR, "could not pack the inputs of a decision: %s", err.detail);
	te_rows_set_bytes(rows, row, TE_SIGNAL_inputs, inputs, length);
	record_legs(batch, s, id, d);
}

static void note_frame_read(TeBatch *batch, int64 read_at)
{
	if (batch->read_at_count == batch->read_at_capacity) {
		batch->read_at_capacity = Max(64, 2 * batch->read_at_capacity);
		batch->read_at =
			batch->read_at
				? repalloc(batch->read_at, sizeof(int64) * batch->read_at_capacity)
				: MemoryContextAlloc(batch->context, sizeof(int64) * batch->read_at_capacity);
	}
	batch->read_at[batch->read_at_count++] = read_at;
}

/* Give the signal its place in the lane's output, and encode it for good. */
static int64 add_frame(TeEvaluation *e, const TeCachedStrategy *s, const TeDecisionInput *in,
                       const TeDecision *d, const uint8_t id[TE_UUID_BYTES])
{
	TeBatch *batch = e->batch;
	TeLanePosition *staged = &batch->lane->memory->staged;
	TeSubject subject = {.kind = TE_SUBJECT_SIGNALS, .lane = (uint32_t)batch->lane->lane};
	TeSignalRecord record = {
		.lane = (uint32_t)batch->lane->lane,
		.epoch = (uint64_t)staged->epoch,
		.seq = (uint64_t)++staged->out_seq,
		.company_id = s->company_id,
		.user_id = s->user_id,
		.strategy_id = s->strategy_id,
		.strategy_version = s->version,
		.account_currency = in->account->currency,
		.batch_id = e->message->as.batch.batch_id,
		.producer_id = e->message->envelope.producer_id,
		.correlation_id = e->correlation_id,
		.traceparent = e->traceparent,
		.tracestate = e->message->envelope.tracestate,
		.batch_predictions = (uint32_t)e->message->as.batch.count,
		.decision_latency =
			te_guc_clock == TE_CLOCK_INPUT ? 0 : te_monotonic_us() - e->input->read_at,
		.prediction = in->prediction,
		.strategy = in->strategy,
		.decision = d,
		.decided_at = in->at,
		.simulated = te_guc_clock == TE_CLOCK_INPUT,
		.core_version = CppAsString2(TE_CORE_VERSION),
		.original_position_size = NAN,
		.original_stop_loss = NAN,
	};
	char text[TE_SUBJECT_MAX];
	const uint8_t *data;
	size_t length;
	TeWireError err;

	memcpy(record.signal_id, id, TE_UUID_BYTES);
	strlcpy(subject.company, s->company_id, sizeof(subject.company));
	strlcpy(subject.user, s->user_id, sizeof(subject.user));
	strlcpy(subject.symbol, in->prediction->symbol, sizeof(subject.symbol));
	if (!te_subject_format(te_guc_subject_prefix, &subject, text) ||
	    !te_encode_signal(&record, batch->arena, &data, &length, &err) ||
	    !te_outbox_append(&batch->outbox, record.seq, text, d->expires_at, record.traceparent, data,
	                      length, &err))
		elog(ERROR, "could not encode a signal: %s", err.detail);
	note_frame_read(batch, e->input->read_at);
	if (batch->outbox.len >= FRAMES_BYTES)
		te_batch_close_frames(batch);
	return (int64)record.seq;
}

static void add_to_notice(TeBatch *batch, TeCachedCompany *company, const uint8_t id[TE_UUID_BYTES])
{
	int *place = te_company_scratch(company);
	TeNotice *notice =
		*place < list_length(batch->notices) ? list_nth(batch->notices, *place) : NULL;

	if (notice == NULL || notice->company != company) {
		notice = MemoryContextAllocZero(batch->context, sizeof(TeNotice));
		notice->company = company;
		notice->signal_ids = MemoryContextAlloc(batch->context, TE_NOTICE_IDS * TE_UUID_BYTES);
		*place = list_length(batch->notices);
		batch->notices = lappend(batch->notices, notice);
	}
	if (notice->count < TE_NOTICE_IDS)
		memcpy(notice->signal_ids[notice->count], id, TE_UUID_BYTES);
	notice->count++;
}

/* Whether a decision of this outcome is sent, or only recorded. */
static bool is_published(const TeBatch *batch, const TeDecision *d)
{
	return batch->lane->publishing && (d->outcome == TE_OUTCOME_SIGNAL || te_guc_publish_holds);
}

static void record_signal(TeEvaluation *e, const TeCachedStrategy *s, const TeDecisionInput *in,
                          const TeDecision *d)
{
	uint8_t id[TE_UUID_BYTES];
	int64 out_seq = 0;

	te_signal_id(e->message->envelope.producer_id, in->prediction->prediction_id,
	             in->prediction->generated_at, s->company_id, s->user_id, s->strategy_id, id);
	if (is_published(e->batch, d))
		out_seq = add_frame(e, s, in, d, id);
	record_signal_row(e, s, in, d, id, out_seq);
	add_to_notice(e->batch, s->company, id);
	e->batch->signals++;
}

/*----------------------------------------------------------------------
 * Deciding
 *----------------------------------------------------------------------*/

/* A prediction and what all strategies see of it. */
typedef struct Question
{
	TeEvaluation *evaluation;
	const TePrediction *prediction;
	const TeInstrument *instrument;
	const TeMarket *market;
} Question;

static void decide(const TeCachedStrategy *s, void *arg)
{
	const Question *q = arg;
	TeEvaluation *e = q->evaluation;
	TeBatch *batch = e->batch;
	TeLaneCounters *counters = &batch->lane->slot->counters;
	TeAccount account;
	TeDecisionInput in = {
		.prediction = q->prediction,
		.strategy = s->params,
		.market = q->market,
		.instrument = q->instrument,
		.account = &account,
		.at = e->at,
		.evaluate_rule = te_rule_evaluate,
		.rule_context = s->rule,
	};
	TeDecision decision;

	te_strategy_account(s, &account);
	if (!te_known(account.conversion_rate))
		account.conversion_rate = te_recorded_rate(e->rates, account.currency);
	te_decide(&in, &decision);
	te_counts_decision(batch->lane->counts, te_cache_tally(batch->lane->cache, s), &decision);
	te_count(&counters->evaluations, 1);
	te_count(&counters->outcomes[decision.outcome], 1);
	if (decision.rule_failed)
		te_count(&counters->rule_errors, 1);
	if (decision.outcome == TE_OUTCOME_SIGNAL || decision.outcome == TE_OUTCOME_HOLD)
		record_signal(e, s, &in, &decision);
}

static void decide_all(TeEvaluation *e, const TePrediction *prediction,
                       const TeInstrument *instrument, const TeMarket *market)
{
	TeCache *cache = e->batch->lane->cache;
	const char *company_id = e->subject->company, *user_id = e->subject->user;
	Question q = {e, prediction, instrument, market};

	if (strcmp(company_id, TE_ALL) == 0)
		te_cache_visit_broadcast(cache, prediction, decide, &q);
	else
		te_cache_visit_company(cache, te_cache_company(cache, company_id),
		                       strcmp(user_id, TE_ALL) == 0 ? NULL : user_id, decide, &q);
}

void te_evaluate_begin(TeEvaluation *e, TeBatch *batch, const TeInput *input,
                       const TeSubject *subject, const TeMessage *message)
{
	TeMemory *m = batch->lane->memory;
	const char *correlation_id = message->envelope.correlation_id;
	const char *traceparent = message->envelope.traceparent;

	if (traceparent[0] == '\0' && input->traceparent != NULL &&
	    te_traceparent_valid(input->traceparent))
		traceparent = input->traceparent;

	*e = (TeEvaluation){
		.batch = batch,
		.input = input,
		.subject = subject,
		.message = message,
		.position = batch->rows.messages.count,
		.traceparent = traceparent,
		.correlation_id = correlation_id[0] ? correlation_id : message->as.batch.batch_id,
		.decided_on = te_arena_array(batch->arena, message->as.batch.count, sizeof(TeDecidedOn)),
	};
	if (e->decided_on == NULL)
		elog(ERROR, "a batch's memory is exhausted");
	m->staged.clock = te_lane_clock(m->staged.clock, message->as.batch.generated_at);
	e->begun_at = e->at = te_guc_clock == TE_CLOCK_INPUT ? m->staged.clock : batch->at;
}

bool te_evaluate_prediction(TeEvaluation *e, size_t i, TeWireError *err)
{
	const TePrediction *p = &e->message->as.batch.predictions[i];
	const TeLaneContext *lane = e->batch->lane;
	const TeInstrument *instrument = te_cache_instrument(lane->cache, p->symbol);
	bool broadcast = strcmp(e->subject->company, TE_ALL) == 0;
	char field[TE_WIRE_FIELD_MAX];
	const char *key, *reason;
	TeMarket *market;
	int64 begun = te_monotonic_us();

	snprintf(field, sizeof(field), "predictions[%zu].symbol", i);
	if (instrument == NULL)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_SYMBOL, field,
		                    "\"%s\" is not in trading.instruments", p->symbol);
	snprintf(field, sizeof(field), "predictions[%zu].current_price", i);
	if ((key = te_instrument_check(instrument, p->current_price, &reason)) != NULL)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, field, "%s: %s", key, reason);
	lane->memory->staged.clock = te_lane_clock(lane->memory->staged.clock, p->generated_at);
	if (te_guc_clock == TE_CLOCK_INPUT)
		e->at = lane->memory->staged.clock;
	if (broadcast && !from_the_future(e->batch, p->generated_at))
		take_price(e->batch, p->symbol, p->generated_at,
		           te_known(p->bid) ? (p->bid + p->ask) / 2 : p->current_price);
	market = te_arena_alloc(e->batch->arena, sizeof(TeMarket));
	if (market == NULL)
		elog(ERROR, "a batch's memory is exhausted");
	read_market(e->batch, p->symbol, e->at, market);
	e->rates = te_lane_rates_read(te_cache_rates(lane->cache), lane->memory, instrument, e->at,
	                              e->batch->arena);
	e->decided_on[i] = (TeDecidedOn){market, e->rates};
	te_counts_prediction(lane->counts, e->subject->company, e->subject->user, p->symbol,
	                     p->confidence);
	decide_all(e, p, instrument, market);
	te_latency_record(&lane->slot->latencies, TE_LATENCY_DECIDE, begun, te_monotonic_us());
	return true;
}
