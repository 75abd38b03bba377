/*
 * envelope.c - see envelope.h.
 */
#include "envelope.h"

#include <string.h>

#include "core/admit.h"
#include "json.h"
#include "proto.h"
#include "rules.h"
#include "scan.h"

#include "common/envelope.pb-c.h"

/* Field numbers that are the envelope's alone; see proto/common/envelope.proto. */
#define FIRST_ENVELOPE_FIELD 16
#define LAST_ENVELOPE_FIELD 63

#define TRACESTATE_MAX 512
#define TOKEN_MAX 8192

void te_envelope_init(TeEnvelope *envelope, TeMessageKind kind)
{
	*envelope = (TeEnvelope){
		.kind = kind,
		.company_id = "",
		.user_id = "",
		.service_source = "",
		.correlation_id = "",
		.traceparent = "",
		.tracestate = "",
		.strategy_id = "",
		.auth_token = "",
		.timestamp = TE_NO_TIME,
		.producer_id = "",
		.produced_at = TE_NO_TIME,
		.valid_until = TE_NO_TIME,
	};
}

static bool is_lower_hex(const char *text, size_t count)
{
	return strspn(text, "0123456789abcdef") >= count;
}

/* Version 00 of W3C Trace Context, and later ones, which begin alike. */
bool te_traceparent_valid(const char *t)
{
	size_t len = strlen(t);

	if (len < 55 || t[2] != '-' || t[35] != '-' || t[52] != '-' || !is_lower_hex(t, 2) ||
	    !is_lower_hex(t + 3, 32) || !is_lower_hex(t + 36, 16) || !is_lower_hex(t + 53, 2))
		return false;
	if (memcmp(t, "ff", 2) == 0 || strspn(t + 3, "0") >= 32 || strspn(t + 36, "0") >= 16)
		return false;
	if (len > TE_NAME_MAX)
		return false;
	return len == 55 || (memcmp(t, "00", 2) != 0 && t[55] == '-');
}

/* A trace that can't be understood is left out, as its specification demands, not an error. */
static void read_trace(const TradingEngine__TraceContext *trace, TeEnvelope *out)
{
	if (trace == NULL || !te_traceparent_valid(trace->traceparent))
		return;
	out->traceparent = trace->traceparent;
	if (strlen(trace->tracestate) <= TRACESTATE_MAX)
		out->tracestate = trace->tracestate;
}

/* Move the generated struct over; nothing is checked here. */
static void read_fields(const TradingEngine__TradingProcessingEnvelope *e, TeEnvelope *out)
{
	out->kind = (TeMessageKind)e->message_type;
	out->company_id = e->company_id;
	out->user_id = e->user_id;
	out->service_source = e->service_source;
	out->correlation_id = e->correlation_id;
	read_trace(e->trace_context, out);
	if (e->strategy_info != NULL) {
		out->strategy_id = e->strategy_info->strategy_id;
		out->strategy_version = e->strategy_info->strategy_version;
	}
	out->auth_token = e->auth_token;
	out->timestamp = te_proto_time(e->timestamp);
	out->producer_id = e->producer_id;
	out->producer_epoch = e->producer_epoch;
	out->seq = e->seq;
	out->produced_at = te_proto_time(e->produced_at);
	out->valid_until = te_proto_time(e->valid_until);
	out->lane = e->lane;
	out->epoch = e->epoch;
	out->out_seq = e->out_seq;
	out->payload = e->payload.len > 0 ? e->payload.data : (const uint8_t *)"";
	out->payload_len = e->payload.len;
}

/* A message about a tenant names it; a tick and a risk reply have none. */
static bool check_tenant(const TeEnvelope *e, TeWireError *err)
{
	bool needed = e->kind != TE_MESSAGE_TICK && e->kind != TE_MESSAGE_RISK_REPLY &&
	              e->kind != TE_MESSAGE_RESEND && e->kind != TE_MESSAGE_GAP_FILL;

	if (!needed && e->company_id[0] == '\0' && e->user_id[0] == '\0')
		return true;
	return te_rule_tenant(e->company_id, e->user_id, err);
}

/* A message that is numbered says by whom, and in which epoch. */
static bool check_sequence(const TeEnvelope *e, TeWireError *err)
{
	if (e->producer_id[0] != '\0' && !te_rule_id("producer_id", e->producer_id, err))
		return false;
	if (e->seq == 0)
		return e->producer_epoch == 0 || te_rule_present("seq", false, err);
	if (!te_rule_present("producer_id", e->producer_id[0] != '\0', err) ||
	    !te_rule_present("producer_epoch", e->producer_epoch != 0, err))
		return false;
	if (e->seq > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "seq", "is too large");
	if (e->producer_epoch > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "producer_epoch", "is too large");
	return true;
}

static bool check_output(const TeEnvelope *e, TeWireError *err)
{
	if (e->lane > INT32_MAX)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "lane", "is too large");
	if (e->epoch > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "epoch", "is too large");
	if (e->out_seq > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "out_seq", "is too large");
	return true;
}

static bool check_times(const TradingEngine__TradingProcessingEnvelope *e, TeWireError *err)
{
	return te_rule_optional_time("timestamp", e->timestamp, err) &&
	       te_rule_optional_time("produced_at", e->produced_at, err) &&
	       te_rule_optional_time("valid_until", e->valid_until, err);
}

static bool check_texts(const TeEnvelope *e, TeWireError *err)
{
	return te_rule_text("service_source", e->service_source, TE_NAME_MAX, err) &&
	       te_rule_text("correlation_id", e->correlation_id, TE_NAME_MAX, err) &&
	       te_rule_text("auth_token", e->auth_token, TOKEN_MAX, err) &&
	       (e->strategy_id[0] == '\0' ||
	        te_rule_id("strategy_info.strategy_id", e->strategy_id, err));
}

/* Hash the payload, and compare with what the sender said. */
static bool check_hash(const ProtobufCBinaryData *said, TeEnvelope *e, TeWireError *err)
{
	te_sha256(e->payload, e->payload_len, e->payload_hash);
	if (said->len == 0)
		return true;
	if (said->len != TE_SHA256_BYTES)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "payload_hash",
		                    "has %zu bytes instead of %d", said->len, TE_SHA256_BYTES);
	return memcmp(said->data, e->payload_hash, TE_SHA256_BYTES) == 0 ||
	       te_wire_fail(err, TE_WIRE_HASH_MISMATCH, "payload_hash",
	                    "is not the SHA-256 of payload");
}

/* 1: an envelope, 0: a bare batch, -1: neither, since it isn't protobuf at all. */
static int looks_like_envelope(const uint8_t *data, size_t len)
{
	TeScan scan;
	TeScanField first;

	te_scan_begin(&scan, data, len);
	if (te_scan_next(&scan, &first) != 1)
		return -1;
	return first.number >= FIRST_ENVELOPE_FIELD && first.number <= LAST_ENVELOPE_FIELD;
}

bool te_envelope_decode(const uint8_t *data, size_t len, TeArena *arena, TeEnvelope *out,
                        TeWireError *err)
{
	TradingEngine__TradingProcessingEnvelope *e;
	int envelope = looks_like_envelope(data, len);

	te_envelope_init(out, TE_MESSAGE_NONE);
	if (len == 0)
		return te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "the message is empty");
	if (envelope < 0)
		return te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "isn't a protobuf message");
	if (envelope == 0) {
		out->bare = true;
		out->kind = TE_MESSAGE_PREDICTIONS;
		out->payload = data;
		out->payload_len = len;
		te_sha256(data, len, out->payload_hash);
		return true;
	}
	e = (TradingEngine__TradingProcessingEnvelope *)te_scan_unpack(
		&trading_engine__trading_processing_envelope__descriptor, data, len, 1, arena, err);
	if (e == NULL) {
		if (err != NULL && strcmp(err->field, "message_type") == 0)
			err->code = TE_WIRE_UNKNOWN_TYPE;
		return false;
	}
	read_fields(e, out);
	return te_rule_present("message_type", out->kind != TE_MESSAGE_NONE, err) &&
	       check_tenant(out, err) && check_times(e, err) && check_texts(out, err) &&
	       check_sequence(out, err) && check_output(out, err) &&
	       check_hash(&e->payload_hash, out, err);
}

bool te_envelope_encode(const TeEnvelope *envelope, TeArena *arena, const uint8_t **data,
                        size_t *len, TeWireError *err)
{
	TradingEngine__TradingProcessingEnvelope e = TRADING_ENGINE__TRADING_PROCESSING_ENVELOPE__INIT;
	TradingEngine__TraceContext trace = TRADING_ENGINE__TRACE_CONTEXT__INIT;
	TradingEngine__StrategyInfo strategy = TRADING_ENGINE__STRATEGY_INFO__INIT;
	uint8_t hash[TE_SHA256_BYTES];

	e.message_type = (TradingEngine__MessageType)envelope->kind;
	e.company_id = te_proto_text(envelope->company_id);
	e.user_id = te_proto_text(envelope->user_id);
	e.service_source = te_proto_text(envelope->service_source);
	e.correlation_id = te_proto_text(envelope->correlation_id);
	e.auth_token = te_proto_text(envelope->auth_token);
	e.timestamp = te_proto_from_time(envelope->timestamp);
	e.producer_id = te_proto_text(envelope->producer_id);
	e.producer_epoch = envelope->producer_epoch;
	e.seq = envelope->seq;
	e.produced_at = te_proto_from_time(envelope->produced_at);
	e.valid_until = te_proto_from_time(envelope->valid_until);
	e.lane = envelope->lane;
	e.epoch = envelope->epoch;
	e.out_seq = envelope->out_seq;
	e.payload.data = (uint8_t *)envelope->payload;
	e.payload.len = envelope->payload_len;
	if (envelope->traceparent != NULL && envelope->traceparent[0] != '\0') {
		trace.traceparent = te_proto_text(envelope->traceparent);
		trace.tracestate = te_proto_text(envelope->tracestate);
		e.trace_context = &trace;
	}
	if (envelope->strategy_id != NULL && envelope->strategy_id[0] != '\0') {
		strategy.strategy_id = te_proto_text(envelope->strategy_id);
		strategy.strategy_version = envelope->strategy_version;
		e.strategy_info = &strategy;
	}
	te_sha256(envelope->payload, envelope->payload_len, hash);
	e.payload_hash.data = hash;
	e.payload_hash.len = sizeof(hash);
	return te_message_pack(&e.base, arena, data, len, err);
}
