/*
 * evaluate.c - from a prediction to signals: market state, candidates, decisions.
 */
#include "postgres.h"

#include "core/decide.h"
#include "core/lane.h"
#include "engine/assess.h"
#include "engine/evaluate.h"
#include "engine/guc.h"
#include "engine/record.h"
#include "sql/rule.h"
#include "wire/state.h"

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
	batch->counts.bars++;
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
	batch->counts.ticks++;
	return true;
}

/*----------------------------------------------------------------------
 * Deciding
 *----------------------------------------------------------------------*/

/* A prediction and what all strategies see of it. */
typedef struct Question
{
	TeEvaluation *evaluation;
	int index; /* of the prediction within the message */
	const TePrediction *prediction;
	const TeInstrument *instrument;
	const TeMarket *market;
	const TePrediction
		*weighed; /* as those see it who follow its models' accuracy; NULL: nobody yet */
} Question;

static void count_decision(TeBatch *batch, const TeCachedStrategy *s, const TeDecision *d)
{
	te_counts_decision(batch->lane->counts, te_cache_tally(batch->lane->cache, s), d);
	batch->counts.outcomes[d->outcome]++;
}

/* Make a candidate independent of the visit; what it then points to lasts until the batch ends. */
static void fill_candidate(TeCandidate *c, const Question *q, const TeCachedStrategy *s)
{
	const TeEvaluation *e = q->evaluation;

	c->of = *s;
	c->strategy = *s->params;
	c->of.params = c->in.strategy = &c->strategy;
	c->of.account = &c->account;
	c->message = e->message;
	c->position = e->position;
	c->prediction = q->index;
	c->margin_rate = te_cache_margin_rate(e->batch->lane->cache, q->instrument->symbol);
	c->correlation_id = e->correlation_id;
	c->traceparent = e->traceparent;
	c->read_at = e->input->read_at;
	te_signal_id(e->message->envelope.producer_id, q->prediction->prediction_id,
	             q->prediction->generated_at, s->company_id, s->user_id, s->strategy_id,
	             c->signal_id);
}

/* A signal or hold: what depends on earlier ones, in this order and at once. */
static void take_candidate(TeCandidate *c, const Question *q, const TeCachedStrategy *s)
{
	TeBatch *batch = q->evaluation->batch;
	const TeLaneContext *lane = batch->lane;

	fill_candidate(c, q, s);
	if (te_exposure_repeats(lane->exposure, c)) {
		c->decision.outcome = TE_OUTCOME_DUPLICATE;
		count_decision(batch, s, &c->decision);
		return;
	}
	if (c->decision.outcome == TE_OUTCOME_SIGNAL)
		te_policy_apply(te_cache_policy(lane->cache), lane->exposure, c);
	if (c->assessment.cancelled && c->assessment.cancellation == TE_RISK_NOTE_NEWS_MISSING)
		batch->counts.news_missing++;
	te_exposure_take(lane->exposure, c);
	te_candidates_keep(lane->candidates);
	batch->signals++;
	if (te_candidates_count(lane->candidates) == TE_CANDIDATES_MOST)
		te_evaluate_settle(batch);
}

static const TePrediction *seen_by(Question *q, const TeCachedStrategy *s)
{
	TeBatch *batch = q->evaluation->batch;

	if (!s->results.follow_model_accuracy)
		return q->prediction;
	if (q->weighed == NULL)
		q->weighed = te_cache_weigh(batch->lane->cache, q->evaluation->subject->company,
		                            q->prediction, batch->arena);
	return q->weighed;
}

static void decide(const TeCachedStrategy *s, void *arg)
{
	Question *q = arg;
	TeEvaluation *e = q->evaluation;
	TeBatch *batch = e->batch;
	TeCandidate *c = te_candidates_next(batch->lane->candidates);

	te_exposure_account(batch->lane->exposure, s, &c->account);
	c->in = (TeDecisionInput){
		.prediction = seen_by(q, s),
		.strategy = s->params,
		.market = q->market,
		.instrument = q->instrument,
		.account = &c->account,
		.at = e->at,
		.evaluate_rule = te_rule_evaluate,
		.rule_context = s->rule,
	};
	if (!te_known(c->account.conversion_rate))
		c->account.conversion_rate = te_recorded_rate(e->rates, c->account.currency);
	te_decide(&c->in, &c->decision);
	batch->counts.evaluations++;
	if (c->decision.rule_failed)
		batch->counts.rule_errors++;
	if (c->decision.outcome == TE_OUTCOME_SIGNAL || c->decision.outcome == TE_OUTCOME_HOLD)
		take_candidate(c, q, s);
	else
		count_decision(batch, s, &c->decision);
}

void te_evaluate_settle(TeBatch *batch)
{
	TeCandidates *candidates = batch->lane->candidates;

	te_assess_batch(batch, candidates);
	for (int i = 0; i < te_candidates_count(candidates); i++) {
		TeCandidate *c = te_candidates_get(candidates, i);

		te_exposure_amend(batch->lane->exposure, c);
		count_decision(batch, &c->of, &c->decision);
		te_record_candidate(batch, c);
	}
	te_candidates_reset(candidates);
}

static void decide_all(TeEvaluation *e, int index, const TeInstrument *instrument,
                       const TeMarket *market)
{
	TeCache *cache = e->batch->lane->cache;
	const char *company_id = e->subject->company, *user_id = e->subject->user;
	const TePrediction *prediction = &e->message->as.batch.predictions[index];
	Question q = {e, index, prediction, instrument, market, NULL};

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
	te_exposure_expire(lane->exposure, e->at);
	decide_all(e, (int)i, instrument, market);
	te_latency_record(&lane->slot->latencies, TE_LATENCY_DECIDE, begun, te_monotonic_us());
	return true;
}
