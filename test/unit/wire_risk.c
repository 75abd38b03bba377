/*
 * wire_risk.c - questions to a risk service, answers of every kind, news of its breaker.
 */
#include "wire/risk.h"

#include "core_fixture.h"
#include "core_random.h"
#include "wire/json.h"

#include "common/envelope.pb-c.h"
#include "risk/risk_assessment.pb-c.h"

static const uint8_t ID[TE_UUID_BYTES] = {0x01, 0x9b, 0x79, 0x6d, 0xd6, 0x7b, 0x7a, 0x4a,
                                          0xb1, 0xea, 0x6f, 0xd9, 0x01, 0x87, 0x17, 0xf4};

static TeArena arena;
static const uint8_t *data;
static size_t len;
static TeWireError err;

static TeRiskQuestion question(void)
{
	static Fixture f;
	TeRiskQuestion q = {
		.company_id = "acme",
		.user_id = "ann",
		.strategy_id = "trend",
		.strategy_version = 7,
		.account_id = "a-1",
		.account_currency = "USD",
		.equity = 10000,
		.symbol = "EURUSD",
		.decided_at = NOON,
		.deadline_at = NOON + 2000,
		.correlation_id = "c-1",
		.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	};

	fixture(&f);
	decide(&f);
	memcpy(q.signal_id, ID, sizeof(ID));
	te_risk_question_about(&f.out, &q);
	return q;
}

static void test_question(void)
{
	TeRiskQuestion q = question(), again;

	ok(te_encode_risk_question(&q, &arena, &data, &len, &err), "a question can be encoded");
	ok(te_decode_risk_question(data, len, &arena, &again, &err), "and decoded");
	ok(memcmp(again.signal_id, ID, sizeof(ID)) == 0, "it is about the signal");
	is_text(again.company_id, "acme", "of the company");
	is_text(again.strategy_id, "trend", "and its strategy");
	is_exactly((double)again.strategy_version, 7, "of that version");
	is_text(again.account_id, "a-1", "for the account");
	is_exactly(again.equity, 10000, "with that equity");
	is_exactly(again.position_size, q.position_size, "over the size");
	is_exactly(again.stop_loss, q.stop_loss, "with the stop");
	is_exactly(again.max_loss, q.max_loss, "and what it can lose");
	is_exactly((double)again.deadline_at, NOON + 2000, "to be answered by the deadline");
	ok(again.signal_type == q.signal_type, "the side is that of the signal");
	is_text(again.correlation_id, "c-1", "the correlation id goes along");
	is_text(again.traceparent, q.traceparent, "and so does the trace");

	q.equity = q.max_loss = NAN;
	q.account_id = NULL;
	ok(te_encode_risk_question(&q, &arena, &data, &len, &err) &&
	       te_decode_risk_question(data, len, &arena, &again, &err) && isnan(again.equity) &&
	       isnan(again.max_loss) && again.account_id[0] == '\0',
	   "what isn't known is absent");
	q.position_size = NAN;
	ok(te_encode_risk_question(&q, &arena, &data, &len, &err) &&
	       !te_decode_risk_question(data, len, &arena, &again, &err),
	   "a question without a size is none");
	is_text(err.field, "sizing.position_size", "and the field is named");
}

static TeRiskAnswer answer(int level, double size, double stop)
{
	TeRiskAnswer a = {.reply = {level, !isnan(size), !isnan(stop), size, stop}, .note = "because"};

	memcpy(a.signal_id, ID, sizeof(ID));
	return a;
}

static bool round_trip(const TeRiskAnswer *a, TeRiskAnswer *out)
{
	return te_encode_risk_answer(a, "risk", "c-1", NOON, &arena, &data, &len, &err) &&
	       te_decode_risk_answer(data, len, &arena, out, &err);
}

static void test_answers(void)
{
	TeRiskAnswer a = answer(TE_RISK_LEVEL_HIGH, 0.3, 1.09), out;

	ok(round_trip(&a, &out), "an answer is understood");
	ok(memcmp(out.signal_id, ID, sizeof(ID)) == 0 && out.reply.level == TE_RISK_LEVEL_HIGH,
	   "signal and level");
	ok(out.reply.has_position_size && out.reply.position_size == 0.3, "size");
	ok(out.reply.has_stop_loss && out.reply.stop_loss == 1.09, "stop");
	is_text(out.note, "because", "note");
	a = answer(TE_RISK_LEVEL_LOW, NAN, NAN);
	ok(round_trip(&a, &out) && !out.reply.has_position_size && !out.reply.has_stop_loss,
	   "an answer may recommend nothing");
	a = answer(TE_RISK_LEVEL_LOW, 0, NAN);
	ok(round_trip(&a, &out) && out.reply.has_position_size && out.reply.position_size == 0,
	   "a size of 0 isn't the same as none");
	a = answer(TE_RISK_LEVEL_LOW, -1, -2);
	ok(round_trip(&a, &out) && out.reply.position_size == -1 && out.reply.stop_loss == -2,
	   "what a number is worth is judged by te_risk_reply_read");
	a = answer(0, 0.3, NAN);
	ok(round_trip(&a, &out) && out.reply.level == 0, "and so is a missing level");
}

static void refused(const TeRiskAnswer *a, TeWireCode code, const char *field, const char *name)
{
	TeRiskAnswer out;

	ok(!round_trip(a, &out) && err.code == code, name);
	is_text(err.field, field, "the field is named");
}

static void test_bad_answers(void)
{
	static char note[TE_RISK_NOTE_MAX + 2];
	TeRiskAnswer a = answer(TE_RISK_LEVEL_LOW, NAN, NAN), out;

	a.reply.has_position_size = true;
	refused(&a, TE_WIRE_INVALID_FIELD, "sizing.position_size", "NaN is no size");
	a.reply.position_size = INFINITY;
	refused(&a, TE_WIRE_INVALID_FIELD, "sizing.position_size", "nor is infinity");
	a = answer(TE_RISK_LEVEL_LOW, 1, NAN);
	a.reply.has_stop_loss = true;
	refused(&a, TE_WIRE_INVALID_FIELD, "stop_loss", "NaN is no stop");
	a = answer(9, 1, NAN);
	refused(&a, TE_WIRE_INVALID_FIELD, "risk_level", "a level that nobody knows");
	a = answer(TE_RISK_LEVEL_LOW, 1, NAN);
	memset(note, 'x', sizeof(note) - 1);
	a.note = note;
	refused(&a, TE_WIRE_INVALID_FIELD, "note", "a note that is too long");

	ok(!te_decode_risk_answer((const uint8_t *)"", 0, &arena, &out, &err), "nothing is no answer");
	ok(!te_decode_risk_answer((const uint8_t *)"no idea", 7, &arena, &out, &err), "nor is a text");
}

static void test_bare_answers(void)
{
	TradingEngine__RiskAssessmentReply m = TRADING_ENGINE__RISK_ASSESSMENT_REPLY__INIT;
	TeRiskQuestion q = question();
	TeRiskAnswer out;

	m.signal_id = (char *)"019b796d-d67b-7a4a-b1ea-6fd9018717f4";
	m.risk_level = TRADING_ENGINE__RISK_LEVEL__RISK_LEVEL_MEDIUM;
	ok(te_message_pack(&m.base, &arena, &data, &len, &err) &&
	       te_decode_risk_answer(data, len, &arena, &out, &err) &&
	       memcmp(out.signal_id, ID, sizeof(ID)) == 0 && out.reply.level == TE_RISK_LEVEL_MEDIUM,
	   "an answer without an envelope is one");
	m.signal_id = (char *)"";
	ok(te_message_pack(&m.base, &arena, &data, &len, &err) &&
	       !te_decode_risk_answer(data, len, &arena, &out, &err) &&
	       err.code == TE_WIRE_MISSING_FIELD,
	   "an answer about no signal is none");
	m.signal_id = (char *)"019b796d";
	ok(te_message_pack(&m.base, &arena, &data, &len, &err) &&
	       !te_decode_risk_answer(data, len, &arena, &out, &err) &&
	       strcmp(err.field, "signal_id") == 0,
	   "a signal has a UUID");
	ok(te_encode_risk_question(&q, &arena, &data, &len, &err) &&
	       !te_decode_risk_answer(data, len, &arena, &out, &err) &&
	       err.code == TE_WIRE_UNKNOWN_TYPE,
	   "a question is no answer");
}

/* Whatever bytes come, they are refused with a field and a reason, or understood. */
static void test_any_bytes(void)
{
	TeRiskAnswer a = answer(TE_RISK_LEVEL_HIGH, 0.3, 1.09), out;
	static uint8_t sound[512], bytes[512];
	size_t size;
	int unexplained = 0, other = 0;

	round_trip(&a, &out);
	size = len;
	memcpy(sound, data, size);
	for (size_t cut = 0; cut < size; cut++) {
		te_arena_reset(&arena);
		if (te_decode_risk_answer(sound, cut, &arena, &out, &err) &&
		    (out.reply.level != a.reply.level || out.reply.position_size != 0.3 ||
		     out.reply.stop_loss != 1.09))
			other++;
	}
	is_exactly(other, 0, "no beginning of an answer says anything else than all of it");
	for (int i = 0; i < 100000; i++) {
		te_arena_reset(&arena);
		memcpy(bytes, sound, size);
		for (int n = 1 + (int)below(4); n > 0; n--)
			bytes[below((int)size)] = (uint8_t)below(256);
		err = (TeWireError){0};
		if (!te_decode_risk_answer(bytes, size, &arena, &out, &err) &&
		    (err.code == TE_WIRE_OK || err.detail[0] == '\0'))
			unexplained++;
	}
	is_exactly(unexplained, 0, "a damaged answer is refused with a reason");
}

static void test_breaker_change(void)
{
	TeBreakerChange change = {
		true, TE_BREAKER_CLOSED, TE_BREAKER_OPEN, TE_BREAKER_CAUSE_CONSECUTIVE_FAILURES,
		NOON, 30000000};
	TradingEngine__BreakerChange *m;
	TeEnvelope e;

	ok(te_encode_breaker_change(3, "acme", &change, &arena, &data, &len, &err) &&
	       te_envelope_decode(data, len, &arena, &e, &err),
	   "news of a breaker are in an envelope");
	is_exactly(e.kind, TE_MESSAGE_BREAKER, "of their own type");
	m = trading_engine__breaker_change__unpack(NULL, e.payload_len, e.payload);
	ok(m != NULL && m->lane == 3 && strcmp(m->company_id, "acme") == 0, "lane and company");
	ok(m != NULL && m->from == TRADING_ENGINE__BREAKER_STATE__BREAKER_STATE_CLOSED &&
	       m->to == TRADING_ENGINE__BREAKER_STATE__BREAKER_STATE_OPEN &&
	       m->cause == TRADING_ENGINE__BREAKER_CAUSE__BREAKER_CAUSE_CONSECUTIVE_FAILURES,
	   "from, to and why");
	ok(m != NULL && m->changed_at == NOON && m->wait_us == 30000000, "when, and for how long");
	trading_engine__breaker_change__free_unpacked(m, NULL);
	ok(te_encode_breaker_change(3, NULL, &change, &arena, &data, &len, &err) &&
	       te_envelope_decode(data, len, &arena, &e, &err) && strcmp(e.company_id, TE_ALL) == 0,
	   "a lane's breaker is everybody's");
}

/* The core counts from 0, the wire from 1; the names are the same. */
static void test_names(void)
{
	bool equal = true;

	for (int i = 0; i < TE_BREAKER_STATE_COUNT; i++) {
		const ProtobufCEnumValue *v =
			protobuf_c_enum_descriptor_get_value(&trading_engine__breaker_state__descriptor, i + 1);

		equal = equal && v != NULL &&
		        strcmp(v->name + strlen("BREAKER_STATE_"), te_breaker_state_enum.labels[i]) == 0;
	}
	for (int i = 0; i < TE_BREAKER_CAUSE_COUNT; i++) {
		const ProtobufCEnumValue *v =
			protobuf_c_enum_descriptor_get_value(&trading_engine__breaker_cause__descriptor, i + 1);

		equal = equal && v != NULL &&
		        strcmp(v->name + strlen("BREAKER_CAUSE_"), te_breaker_cause_enum.labels[i]) == 0;
	}
	for (int i = 0; i < TE_RISK_LEVEL_COUNT; i++) {
		const ProtobufCEnumValue *v =
			protobuf_c_enum_descriptor_get_value(&trading_engine__risk_level__descriptor, i);

		equal = equal && v != NULL &&
		        strcmp(v->name + strlen("RISK_LEVEL_"), te_risk_level_enum.labels[i]) == 0;
	}
	ok(equal, "states, causes and levels have the same names on the wire as in the core");
}

int main(void)
{
	te_arena_init(&arena, 8192, 1024 * 1024);
	test_question();
	test_answers();
	test_bad_answers();
	test_bare_answers();
	test_any_bytes();
	test_breaker_change();
	test_names();
	return done_testing();
}
