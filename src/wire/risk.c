/*
 * risk.c - see risk.h.
 */
#include "risk.h"

#include <string.h>

#include "encode.h"
#include "json.h"
#include "proto.h"
#include "rules.h"
#include "scan.h"

#include "risk/risk_assessment.pb-c.h"

void te_risk_question_about(const TeDecision *d, TeRiskQuestion *q)
{
	q->signal_type = d->signal_type;
	q->entry_price = d->entry_price;
	q->stop_loss = d->stop_loss;
	q->take_profit = d->take_profit;
	q->position_size = d->position_size;
	q->max_loss = d->max_loss;
}

static bool pack(TeEnvelope *e, const ProtobufCMessage *message, TeArena *arena,
                 const uint8_t **data, size_t *len, TeWireError *err)
{
	return te_message_pack(message, arena, &e->payload, &e->payload_len, err) &&
	       te_envelope_encode(e, arena, data, len, err);
}

/*----------------------------------------------------------------------
 * Questions
 *----------------------------------------------------------------------*/

static void fill_question(const TeRiskQuestion *q, TradingEngine__RiskAssessmentRequest *m)
{
	m->company_id = te_proto_text(q->company_id);
	m->user_id = te_proto_text(q->user_id);
	m->strategy_id = te_proto_text(q->strategy_id);
	m->account_id = te_proto_text(q->account_id);
	m->symbol = te_proto_text(q->symbol);
	m->signal_type = (TradingEngine__Direction)(q->signal_type + 1);
	m->decided_at = te_proto_from_time(q->decided_at);
	m->deadline_at = te_proto_from_time(q->deadline_at);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT_REQUEST, m, entry_price, ENTRY_PRICE,
	             q->entry_price);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT_REQUEST, m, stop_loss, STOP_LOSS, q->stop_loss);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT_REQUEST, m, take_profit, TAKE_PROFIT,
	             q->take_profit);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT_REQUEST, m, equity, EQUITY, q->equity);
}

bool te_encode_risk_question(const TeRiskQuestion *q, TeArena *arena, const uint8_t **data,
                             size_t *len, TeWireError *err)
{
	TradingEngine__RiskAssessmentRequest m = TRADING_ENGINE__RISK_ASSESSMENT_REQUEST__INIT;
	TradingEngine__PositionSizing sizing = TRADING_ENGINE__POSITION_SIZING__INIT;
	char signal_id[TE_UUID_TEXT_SIZE];
	TeEnvelope e;

	te_uuid_text(q->signal_id, signal_id);
	m.signal_id = signal_id;
	fill_question(q, &m);
	sizing.currency = te_proto_text(q->account_currency);
	TE_PROTO_SET(TRADING_ENGINE__POSITION_SIZING, &sizing, position_size, POSITION_SIZE,
	             q->position_size);
	TE_PROTO_SET(TRADING_ENGINE__POSITION_SIZING, &sizing, max_loss, MAX_LOSS, q->max_loss);
	m.sizing = &sizing;
	te_envelope_init(&e, TE_MESSAGE_RISK_REQUEST);
	e.company_id = q->company_id;
	e.user_id = q->user_id;
	e.service_source = TE_SERVICE_NAME;
	e.correlation_id = q->correlation_id;
	e.traceparent = q->traceparent;
	e.tracestate = q->tracestate;
	e.strategy_id = q->strategy_id;
	e.strategy_version = q->strategy_version;
	e.timestamp = q->decided_at;
	e.valid_until = q->deadline_at;
	return pack(&e, &m.base, arena, data, len, err);
}

static bool read_signal_id(const char *text, uint8_t id[TE_UUID_BYTES], TeWireError *err)
{
	if (!te_rule_present("signal_id", text[0] != '\0', err))
		return false;
	return te_uuid_parse(text, id) ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, "signal_id", "is not a UUID");
}

static bool check_question(const TeRiskQuestion *q, TeWireError *err)
{
	if (!te_rule_tenant(q->company_id, q->user_id, err) ||
	    !te_rule_id("strategy_id", q->strategy_id, err) ||
	    !te_rule_symbol("symbol", q->symbol, err) ||
	    !te_rule_text("account_id", q->account_id, TE_NAME_MAX, err) ||
	    !te_rule_text("sizing.currency", q->account_currency, TE_NAME_MAX, err) ||
	    !te_rule_above_zero("entry_price", q->entry_price, err) ||
	    !te_rule_above_zero("stop_loss", q->stop_loss, err) ||
	    !te_rule_above_zero("take_profit", q->take_profit, err) ||
	    !te_rule_above_zero("sizing.position_size", q->position_size, err) ||
	    !te_rule_time("decided_at", q->decided_at, err) ||
	    !te_rule_time("deadline_at", q->deadline_at, err))
		return false;
	return q->signal_type != TE_DIR_HOLD ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, "signal_type", "must buy or sell");
}

bool te_decode_risk_question(const uint8_t *data, size_t len, TeArena *arena, TeRiskQuestion *out,
                             TeWireError *err)
{
	TradingEngine__RiskAssessmentRequest *m;
	TeEnvelope e;

	memset(out, 0, sizeof(*out));
	if (!te_envelope_decode(data, len, arena, &e, err))
		return false;
	if (e.bare || e.kind != TE_MESSAGE_RISK_REQUEST)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_TYPE, "message_type",
		                    "is not that of a risk assessment request");
	m = (TradingEngine__RiskAssessmentRequest *)te_scan_unpack(
		&trading_engine__risk_assessment_request__descriptor, e.payload, e.payload_len, 1, arena,
		err);
	if (m == NULL)
		return false;
	*out = (TeRiskQuestion){
		.company_id = m->company_id,
		.user_id = m->user_id,
		.strategy_id = m->strategy_id,
		.strategy_version = e.strategy_version,
		.account_id = m->account_id,
		.account_currency = m->sizing != NULL ? m->sizing->currency : "",
		.equity = TE_PROTO_GET(m, equity),
		.symbol = m->symbol,
		/* A type that is missing is no direction, as HOLD is none. */
		.signal_type = m->signal_type != 0 ? (TeDirection)((int)m->signal_type - 1) : TE_DIR_HOLD,
		.entry_price = TE_PROTO_GET(m, entry_price),
		.stop_loss = TE_PROTO_GET(m, stop_loss),
		.take_profit = TE_PROTO_GET(m, take_profit),
		.position_size = m->sizing != NULL ? TE_PROTO_GET(m->sizing, position_size) : NAN,
		.max_loss = m->sizing != NULL ? TE_PROTO_GET(m->sizing, max_loss) : NAN,
		.decided_at = m->decided_at,
		.deadline_at = m->deadline_at,
		.correlation_id = e.correlation_id,
		.traceparent = e.traceparent,
		.tracestate = e.tracestate,
	};
	return read_signal_id(m->signal_id, out->signal_id, err) && check_question(out, err);
}

/*----------------------------------------------------------------------
 * Answers
 *----------------------------------------------------------------------*/

bool te_encode_risk_answer(const TeRiskAnswer *answer, const char *service,
                           const char *correlation_id, TeTime at, TeArena *arena,
                           const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__RiskAssessmentReply m = TRADING_ENGINE__RISK_ASSESSMENT_REPLY__INIT;
	TradingEngine__PositionSizing sizing = TRADING_ENGINE__POSITION_SIZING__INIT;
	const TeRiskReply *r = &answer->reply;
	char signal_id[TE_UUID_TEXT_SIZE];
	TeEnvelope e;

	te_uuid_text(answer->signal_id, signal_id);
	m.signal_id = signal_id;
	m.risk_level = (TradingEngine__RiskLevel)r->level;
	m.note = te_proto_text(answer->note);
	/* A number is sent as it is, even one that is none: what it is worth is the reader's part. */
	if (r->has_position_size) {
		sizing.position_size = r->position_size;
		sizing.has_position_size_case =
			TRADING_ENGINE__POSITION_SIZING__HAS_POSITION_SIZE_POSITION_SIZE;
		m.sizing = &sizing;
	}
	if (r->has_stop_loss) {
		m.stop_loss = r->stop_loss;
		m.has_stop_loss_case = TRADING_ENGINE__RISK_ASSESSMENT_REPLY__HAS_STOP_LOSS_STOP_LOSS;
	}
	te_envelope_init(&e, TE_MESSAGE_RISK_REPLY);
	e.service_source = service;
	e.correlation_id = correlation_id;
	e.timestamp = at;
	return pack(&e, &m.base, arena, data, len, err);
}

bool te_decode_risk_answer(const uint8_t *data, size_t len, TeArena *arena, TeRiskAnswer *out,
                           TeWireError *err)
{
	TradingEngine__RiskAssessmentReply *m;
	TeEnvelope e;

	*out = (TeRiskAnswer){.note = ""};
	if (!te_envelope_decode(data, len, arena, &e, err))
		return false;
	if (!e.bare && e.kind != TE_MESSAGE_RISK_REPLY)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_TYPE, "message_type",
		                    "is not that of a risk assessment reply");
	m = (TradingEngine__RiskAssessmentReply *)te_scan_unpack(
		&trading_engine__risk_assessment_reply__descriptor, e.payload, e.payload_len, 1, arena,
		err);
	if (m == NULL || !read_signal_id(m->signal_id, out->signal_id, err) ||
	    !te_rule_text("note", m->note, TE_RISK_NOTE_MAX, err))
		return false;
	out->note = m->note;
	out->reply.level = (int)m->risk_level;
	if (m->sizing != NULL && m->sizing->has_position_size_case != 0) {
		out->reply.has_position_size = true;
		out->reply.position_size = m->sizing->position_size;
	}
	if (m->has_stop_loss_case != 0) {
		out->reply.has_stop_loss = true;
		out->reply.stop_loss = m->stop_loss;
	}
	return true;
}

/*----------------------------------------------------------------------
 * News of the breaker
 *----------------------------------------------------------------------*/

bool te_encode_breaker_change(uint32_t lane, const char *company_id, const TeBreakerChange *change,
                              TeArena *arena, const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__BreakerChange m = TRADING_ENGINE__BREAKER_CHANGE__INIT;
	TeEnvelope e;

	m.lane = lane;
	m.company_id = te_proto_text(company_id);
	m.from = (TradingEngine__BreakerState)(change->from + 1);
	m.to = (TradingEngine__BreakerState)(change->to + 1);
	m.cause = (TradingEngine__BreakerCause)(change->cause + 1);
	m.changed_at = change->at;
	m.wait_us = change->wait;
	te_envelope_init(&e, TE_MESSAGE_BREAKER);
	e.company_id = company_id != NULL ? company_id : TE_ALL;
	e.user_id = TE_ALL;
	e.service_source = TE_SERVICE_NAME;
	e.timestamp = change->at;
	e.lane = lane;
	return pack(&e, &m.base, arena, data, len, err);
}
