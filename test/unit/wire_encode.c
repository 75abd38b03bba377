/*
 * wire_encode.c - what goes out: signals, commands, gap records and heartbeats say
 * what was decided, and can be read with the generated code.
 */
#include "core/slices.h"
#include "wire/encode.h"

#include "record_fixture.h"
#include "wire_fixture.h"

#include "trading/execution.pb-c.h"
#include "trading/trading_signals.pb-c.h"

typedef struct Encoded
{
	Fixture fixture;
	TeArena arena;
	TeSignalRecord record;
	const uint8_t *data;
	size_t len;
	TeEnvelope envelope;
	TeWireError err;
} Encoded;

static void prepare(Encoded *e)
{
	memset(e, 0, sizeof(*e));
	te_arena_init(&e->arena, 8192, 1024 * 1024);
	fixture(&e->fixture);
	e->record = record_of(&e->fixture);
}

static TradingEngine__TradingSignal *encode_signal(Encoded *e)
{
	TradingEngine__TradingSignalBatch *batch;

	decide(&e->fixture);
	if (!te_encode_signal(&e->record, &e->arena, &e->data, &e->len, &e->err) ||
	    !te_envelope_decode(e->data, e->len, &e->arena, &e->envelope, &e->err))
		return NULL;
	batch = trading_engine__trading_signal_batch__unpack(
		te_arena_protobuf(&e->arena), e->envelope.payload_len, e->envelope.payload);
	return batch != NULL && batch->n_signals == 1 ? batch->signals[0] : NULL;
}

static void a_signal_says_what_was_decided(void)
{
	Encoded e;
	const TradingEngine__TradingSignal *s;

	prepare(&e);
	s = encode_signal(&e);
	if (!ok(s != NULL, "a signal can be read by the generated code"))
		return;
	ok(e.envelope.kind == TE_MESSAGE_SIGNALS, "the envelope says that it is a signal");
	ok(e.envelope.lane == 3 && e.envelope.epoch == 2 && e.envelope.out_seq == 17,
	   "and its lane, epoch and sequence");
	is_text(e.envelope.company_id, "acme", "company");
	is_text(e.envelope.user_id, "ann", "user");
	is_text(e.envelope.correlation_id, "c-1", "the correlation id of the prediction");
	is_text(e.envelope.traceparent, e.record.traceparent, "and its trace");
	is_text(e.envelope.strategy_id, "default", "strategy");
	is_text(e.envelope.service_source, "trading_engine", "source");
	ok(e.envelope.valid_until == e.fixture.out.expires_at, "expiry");
	is_text(s->signal_id, "019b796d-d67b-7a4a-b1ea-6fd9018717f4", "signal id");
	is_text(s->prediction_id, "p1", "prediction id");
	is_text(s->symbol, "EURUSD", "symbol");
	ok(s->decided_at == NOON + 250 && s->generated_at == NOON, "times");
	ok(s->outcome == TRADING_ENGINE__OUTCOME__OUTCOME_SIGNAL, "outcome");
	ok(s->signal_type == TRADING_ENGINE__DIRECTION__DIRECTION_BUY, "type");
	is_exactly(s->confidence, 0.9, "confidence");
	/* The fixture's decision, by hand, is in core_fixture.h. */
	ok(s->entry->order_type == TRADING_ENGINE__ORDER_TYPE__ORDER_TYPE_LIMIT, "a limit order");
	is_exactly(s->entry->entry_price, 1.0998, "entry");
	is_exactly(s->entry->limit_price, 1.0998, "limit");
	ok(s->entry->has_trigger_price_case == 0, "no trigger");
	is_exactly(s->stop_loss, 1.0978, "stop loss");
	is_exactly(s->take_profit, 1.1038, "take profit");
	is_exactly(s->sizing->position_size, 0.5, "size");
	is_near(s->sizing->max_loss, 100, 1e-9, "most that it can lose");
	is_text(s->sizing->currency, "USD", "in this currency");
	ok(s->n_legs == 0 && s->risk == NULL, "no legs, no risk assessment");
	ok(s->execution->time_in_force == TRADING_ENGINE__TIME_IN_FORCE__TIME_IN_FORCE_GTC &&
	       !s->execution->auto_execute,
	   "execution");
	te_arena_free(&e.arena);
}

static void legs_and_risk_go_along(void)
{
	static const char *const notes[] = {"Position size reduced by risk management"};
	Encoded e;
	const TradingEngine__TradingSignal *s;
	double sum = 0;

	prepare(&e);
	e.fixture.s.enable_multi_leg_strategies = true;
	e.record.risk_status = TRADING_ENGINE__RISK_STATUS__RISK_STATUS_ASSESSED;
	e.record.risk_level = TRADING_ENGINE__RISK_LEVEL__RISK_LEVEL_HIGH;
	e.record.original_position_size = 0.7;
	e.record.notes = notes;
	e.record.note_count = 1;
	s = encode_signal(&e);
	if (!ok(s != NULL && s->n_legs == 3, "three legs"))
		return;
	for (size_t i = 0; i < s->n_legs; i++) {
		ok(s->legs[i]->leg == i, "legs are numbered");
		sum += s->legs[i]->position_size;
	}
	is_near(sum, s->sizing->position_size, 1e-12, "their sizes sum up to the signal's");
	ok(s->risk->status == TRADING_ENGINE__RISK_STATUS__RISK_STATUS_ASSESSED, "risk status");
	is_exactly(s->risk->original_position_size, 0.7, "size before the assessment");
	ok(s->risk->has_original_stop_loss_case == 0, "the stop was not changed");
	is_text(s->risk->notes[0], notes[0], "note");
	te_arena_free(&e.arena);
}

static void a_hold_has_no_order(void)
{
	Encoded e;
	const TradingEngine__TradingSignal *s;

	prepare(&e);
	e.fixture.p.direction = TE_DIR_HOLD;
	s = encode_signal(&e);
	if (!ok(s != NULL && s->outcome == TRADING_ENGINE__OUTCOME__OUTCOME_HOLD, "a hold is sent"))
		return;
	ok(s->hold_reason == TRADING_ENGINE__HOLD_REASON__HOLD_REASON_NEUTRAL, "with its reason");
	ok(s->entry == NULL && s->sizing == NULL && s->execution == NULL && s->has_stop_loss_case == 0,
	   "and without an order");
	ok(!te_encode_command(&e.record, &e.arena, &e.data, &e.len, &e.err), "a hold is no command");
	te_arena_free(&e.arena);
}

static void a_command_is_the_order(void)
{
	Encoded e;
	TradingEngine__ExecutionCommand *c;

	prepare(&e);
	e.fixture.s.auto_execute = true;
	decide(&e.fixture);
	ok(te_encode_command(&e.record, &e.arena, &e.data, &e.len, &e.err) &&
	       te_envelope_decode(e.data, e.len, &e.arena, &e.envelope, &e.err) &&
	       e.envelope.kind == TE_MESSAGE_COMMAND,
	   "a command is encoded");
	c = trading_engine__execution_command__unpack(te_arena_protobuf(&e.arena),
	                                              e.envelope.payload_len, e.envelope.payload);
	ok(c != NULL && c->signal_type == TRADING_ENGINE__DIRECTION__DIRECTION_BUY, "to buy");
	is_text(c->signal_id, "019b796d-d67b-7a4a-b1ea-6fd9018717f4", "for this signal");
	is_exactly(c->position_size, 0.5, "this much");
	is_exactly(c->entry->limit_price, 1.0998, "at this price");
	is_exactly(c->stop_loss, 1.0978, "with this stop");
	is_text(c->account_id, "a-1", "on this account");
	ok(c->expires_at == e.fixture.out.expires_at && c->execution->auto_execute, "until then");
	te_arena_free(&e.arena);
}

static TradingEngine__ExecutionCommand *encode_command(Encoded *e)
{
	decide(&e->fixture);
	if (!ok(te_encode_command(&e->record, &e->arena, &e->data, &e->len, &e->err) &&
	            te_envelope_decode(e->data, e->len, &e->arena, &e->envelope, &e->err),
	        "a command is encoded"))
		return NULL;
	return trading_engine__execution_command__unpack(te_arena_protobuf(&e->arena),
	                                                 e->envelope.payload_len, e->envelope.payload);
}

static double sum_of_slices(const TradingEngine__ExecutionCommand *c, uint32_t leg)
{
	double sum = 0;

	for (size_t i = 0; i < c->n_slices; i++)
		if (c->slices[i]->leg == leg)
			sum += c->slices[i]->position_size;
	return sum;
}

static void a_large_order_is_sent_with_its_parts(void)
{
	Encoded e;
	TradingEngine__ExecutionCommand *c;

	prepare(&e);
	c = encode_command(&e);
	ok(c->n_slices == 0, "without an algorithm the order goes out whole");
	e.fixture.s.execution_algorithm = TE_ALGORITHM_TWAP;
	e.fixture.s.twap_slices = 4;
	e.fixture.s.twap_seconds = 120;
	c = encode_command(&e);
	ok(c->n_slices == 4 && c->slices[0]->not_before == e.record.decided_at &&
	       c->slices[3]->not_before == e.record.decided_at + 90 * TE_USEC_PER_SEC,
	   "TWAP: so many parts, at equal distances from the decision on");
	ok(fabs(sum_of_slices(c, 0) - c->position_size) < 1e-9, "they add up to the order");
	e.fixture.s.execution_algorithm = TE_ALGORITHM_ICEBERG;
	e.fixture.s.iceberg_visible_lots = 0.2;
	c = encode_command(&e);
	ok(c->n_slices == 3 && c->slices[0]->not_before == e.record.decided_at &&
	       c->slices[1]->not_before == 0,
	   "ICEBERG: the first at once, the others one after the other");
	ok(fabs(sum_of_slices(c, 0) - c->position_size) < 1e-9, "they add up to the order");
	for (size_t i = 0; i < c->n_slices; i++)
		ok(c->slices[i]->position_size <= 0.2, "no part is larger than what may be seen");
	te_arena_free(&e.arena);
}

static void an_iceberg_of_too_many_parts_shows_more(void)
{
	Encoded e;
	TradingEngine__ExecutionCommand *c;

	prepare(&e);
	e.fixture.s.execution_algorithm = TE_ALGORITHM_ICEBERG;
	e.fixture.s.iceberg_visible_lots = 0.0001;
	e.fixture.s.position_sizing = TE_SIZING_FIXED_LOT;
	e.fixture.s.fixed_lot = 9;
	c = encode_command(&e);
	ok(c->n_slices > 1 && c->n_slices <= TE_MAX_SLICES, "no more parts than a terminal is told");
	ok(fabs(sum_of_slices(c, 0) - 9) < 1e-9, "they add up to the order");
	te_arena_free(&e.arena);
}

static void every_leg_is_worked_by_itself(void)
{
	Encoded e;
	TradingEngine__ExecutionCommand *c;

	prepare(&e);
	e.fixture.s.advanced_features_enabled = e.fixture.s.enable_multi_leg_strategies = true;
	e.fixture.s.leg_count = 2;
	e.fixture.s.execution_algorithm = TE_ALGORITHM_TWAP;
	e.fixture.s.twap_slices = 3;
	c = encode_command(&e);
	if (!ok(c->n_legs == 2 && c->n_slices == 6, "three parts of each of two legs"))
		return;
	for (uint32_t leg = 0; leg < 2; leg++)
		ok(fabs(sum_of_slices(c, leg) - c->legs[leg]->position_size) < 1e-9,
		   "they add up to the leg");
	te_arena_free(&e.arena);
}

static void equal_records_have_equal_bytes(void)
{
	Encoded a, b;

	prepare(&a);
	prepare(&b);
	encode_signal(&a);
	encode_signal(&b);
	ok(a.len == b.len && memcmp(a.data, b.data, a.len) == 0,
	   "the same record gives the same bytes");
	te_arena_free(&a.arena);
	te_arena_free(&b.arena);
}

static void route_markers_name_a_place(void)
{
	static const TeRouteMarker marker = {5, TE_VIA_NATS, TE_VIA_KAFKA, {2, 900}};
	TeArena arena;
	const uint8_t *data;
	size_t len;
	TeEnvelope envelope = {0};
	TradingEngine__RouteMarker *m;
	TeWireError err;

	te_arena_init(&arena, 4096, 65536);
	ok(te_encode_route_marker(3, &marker, NOON, &arena, &data, &len, &err) &&
	       te_envelope_decode(data, len, &arena, &envelope, &err) &&
	       envelope.kind == TE_MESSAGE_ROUTE_MARKER && envelope.lane == 3 && envelope.out_seq == 0,
	   "a route marker has no place of its own in the sequence");
	m = trading_engine__route_marker__unpack(te_arena_protobuf(&arena), envelope.payload_len,
	                                         envelope.payload);
	ok(m != NULL && m->lane == 3 && m->route_epoch == 5 && m->epoch == 2 && m->seq == 900,
	   "it says behind which message a segment begins");
	is_text(m->from, "NATS", "where they went before");
	is_text(m->to, "KAFKA", "and where they go");
	te_arena_free(&arena);
}

static void gap_records_name_what_is_missing(void)
{
	TeArena arena;
	const uint8_t *data;
	size_t len;
	TeEnvelope envelope = {0};
	TradingEngine__GapFill *gap;
	TeWireError err;

	te_arena_init(&arena, 4096, 65536);
	ok(te_encode_gap_fill(3, 2, 10, 17, "EXPIRED", "acme", "ann", NOON, &arena, &data, &len,
	                      &err) &&
	       te_envelope_decode(data, len, &arena, &envelope, &err) &&
	       envelope.kind == TE_MESSAGE_GAP_FILL && envelope.out_seq == 17,
	   "a gap record takes the place of the last missing sequence");
	gap = trading_engine__gap_fill__unpack(te_arena_protobuf(&arena), envelope.payload_len,
	                                       envelope.payload);
	ok(gap != NULL && gap->lane == 3 && gap->epoch == 2 && gap->from == 10 && gap->to == 17,
	   "and names the range");
	is_text(gap->reason, "EXPIRED", "and the reason");
	ok(!te_encode_gap_fill(3, 2, 18, 17, "EXPIRED", "acme", "ann", NOON, &arena, &data, &len, &err),
	   "a range that ends before it begins is refused");
	te_arena_free(&arena);
}

static void heartbeats_are_read_back(void)
{
	WireFixture f;
	const uint8_t *data;
	size_t len;

	wire_fixture(&f, 0);
	ok(te_encode_heartbeat("acme", "_all", "models-1", 7, 99, NOON, &f.arena, &data, &len,
	                       &f.err) &&
	       wire_decode(&f, data, len) && f.out.kind == TE_MESSAGE_HEARTBEAT,
	   "a heartbeat comes back");
	ok(f.out.as.heartbeat.last_seq == 99 && f.out.as.heartbeat.producer_epoch == 7 &&
	       f.out.as.heartbeat.at == NOON,
	   "with epoch and sequence");
	is_text(f.out.as.heartbeat.producer_id, "models-1", "and producer");
	te_arena_free(&f.arena);
}

static void encoding_keeps_to_its_memory(void)
{
	Encoded e;
	TeArena small;

	prepare(&e);
	decide(&e.fixture);
	te_arena_init(&small, 64, 256);
	ok(!te_encode_signal(&e.record, &small, &e.data, &e.len, &e.err),
	   "too little memory is an error");
	is_text(wire_verdict(&e.err), "NO_MEMORY", "that says so");
	te_arena_free(&small);
	te_arena_free(&e.arena);
}

int main(void)
{
	a_signal_says_what_was_decided();
	legs_and_risk_go_along();
	a_hold_has_no_order();
	a_command_is_the_order();
	a_large_order_is_sent_with_its_parts();
	an_iceberg_of_too_many_parts_shows_more();
	every_leg_is_worked_by_itself();
	equal_records_have_equal_bytes();
	gap_records_name_what_is_missing();
	route_markers_name_a_place();
	heartbeats_are_read_back();
	encoding_keeps_to_its_memory();
	return done_testing();
}
