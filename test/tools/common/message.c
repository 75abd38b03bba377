/*
 * message.c - messages of either transport: made from JSON, and shown as JSON.
 */
#include "common/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "market/market_data.pb-c.h"
#include "ml/ml_predictions.pb-c.h"
#include "risk/risk_assessment.pb-c.h"
#include "trading/execution.pb-c.h"
#include "trading/trading_signals.pb-c.h"
#include "wire/envelope.h"
#include "wire/json.h"

#define ARENA_BLOCK (1 << 20)
#define ARENA_LIMIT (1 << 28)

/* Payloads that an envelope can carry. */
static const struct Payload
{
	const char *name;
	TeMessageKind kind;
	const ProtobufCMessageDescriptor *descriptor;
} payloads[] = {
	{"MLPredictionBatch", TE_MESSAGE_PREDICTIONS, &trading_engine__mlprediction_batch__descriptor},
	{"MarketTick", TE_MESSAGE_TICK, &trading_engine__market_tick__descriptor},
	{"ExecutionResult", TE_MESSAGE_EXECUTION, &trading_engine__execution_result__descriptor},
	{"Heartbeat", TE_MESSAGE_HEARTBEAT, &trading_engine__heartbeat__descriptor},
	{"TradingSignalBatch", TE_MESSAGE_SIGNALS, &trading_engine__trading_signal_batch__descriptor},
	{"ExecutionCommand", TE_MESSAGE_COMMAND, &trading_engine__execution_command__descriptor},
	{"GapFill", TE_MESSAGE_GAP_FILL, &trading_engine__gap_fill__descriptor},
	{"RiskAssessmentRequest", TE_MESSAGE_RISK_REQUEST,
     &trading_engine__risk_assessment_request__descriptor},
	{"RiskAssessmentReply", TE_MESSAGE_RISK_REPLY,
     &trading_engine__risk_assessment_reply__descriptor},
	{"ResendRequest", TE_MESSAGE_RESEND, &trading_engine__resend_request__descriptor},
	{"BreakerChange", TE_MESSAGE_BREAKER, &trading_engine__breaker_change__descriptor},
	{"RouteMarker", TE_MESSAGE_ROUTE_MARKER, &trading_engine__route_marker__descriptor},
};

#define PAYLOAD_COUNT (sizeof(payloads) / sizeof(payloads[0]))

static const struct Payload *find_payload(const char *name, TeMessageKind kind)
{
	for (size_t i = 0; i < PAYLOAD_COUNT; i++)
		if (name != NULL ? strcmp(payloads[i].name, name) == 0 : payloads[i].kind == kind)
			return &payloads[i];
	return NULL;
}

/* Arena of the whole program, emptied for each message. */
static TeArena *fresh_arena(void)
{
	static TeArena arena;
	static bool ready;

	if (!ready)
		te_arena_init(&arena, ARENA_BLOCK, ARENA_LIMIT);
	ready = true;
	te_arena_reset(&arena);
	return &arena;
}

static ProtobufCMessage *message_of(const ProtobufCMessageDescriptor *descriptor, json_t *value,
                                    TeArena *arena)
{
	ProtobufCMessage *message = NULL;
	char *text = json_dumps(value, JSON_COMPACT);
	TeWireError error;

	if (text == NULL ||
	    !te_json_to_message(descriptor, text, strlen(text), arena, &message, &error))
		fail("%s: %s: %s", descriptor->short_name, error.field, error.detail);
	free(text);
	return message;
}

static void pack_message(const ProtobufCMessage *message, TeArena *arena, const uint8_t **data,
                         size_t *length)
{
	TeWireError error;

	if (!te_message_pack(message, arena, data, length, &error))
		fail("%s: %s", error.field, error.detail);
}

uint8_t *bytes_of_hex(const char *hex, size_t *length)
{
	size_t count = strlen(hex) / 2;
	uint8_t *bytes = need_memory(malloc(count + 1));

	if (strlen(hex) % 2 != 0)
		usage_error("hex: an odd number of digits");
	for (size_t i = 0; i < count; i++) {
		/* A copy: sscanf measures the whole text that it is given, every time. */
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		unsigned value;

		if (sscanf(digits, "%2x", &value) != 1)
			usage_error("hex: \"%s\" is not a byte", digits);
		bytes[i] = (uint8_t)value;
	}
	*length = count;
	return bytes;
}

/* Put the payload into the envelope that the line describes. */
static void wrap_payload(const struct Payload *payload, json_t *fields, TeArena *arena,
                         const uint8_t **data, size_t *length)
{
	TradingEngine__TradingProcessingEnvelope *envelope;
	json_t *none = json_object();

	envelope = (TradingEngine__TradingProcessingEnvelope *)message_of(
		&trading_engine__trading_processing_envelope__descriptor, fields != NULL ? fields : none,
		arena);
	json_decref(none);
	envelope->payload.data = (uint8_t *)*data;
	envelope->payload.len = *length;
	if (envelope->message_type == TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_UNSPECIFIED)
		envelope->message_type = (TradingEngine__MessageType)payload->kind;
	if (envelope->timestamp == 0)
		envelope->timestamp = wall_clock_us();
	if (envelope->payload_hash.len == 0) {
		envelope->payload_hash.data = te_arena_alloc(arena, TE_SHA256_BYTES);
		envelope->payload_hash.len = TE_SHA256_BYTES;
		if (envelope->payload_hash.data == NULL)
			fail("out of memory");
		te_sha256(*data, *length, envelope->payload_hash.data);
	}
	pack_message(&envelope->base, arena, data, length);
}

/* The bytes that a line describes by type and fields. */
static void line_bytes(json_t *line, TeArena *arena, const uint8_t **data, size_t *length)
{
	const char *type = json_string_value(json_object_get(line, "type"));
	const struct Payload *payload;

	if (type == NULL || (payload = find_payload(type, TE_MESSAGE_NONE)) == NULL)
		usage_error("type: \"%s\" is no message", type != NULL ? type : "");
	pack_message(message_of(payload->descriptor, json_object_get(line, "payload"), arena), arena,
	             data, length);
	if (!json_is_true(json_object_get(line, "bare")))
		wrap_payload(payload, json_object_get(line, "envelope"), arena, data, length);
}

void read_drafts(DraftSender send, void *context)
{
	char *text = NULL;
	size_t room = 0;

	while (getline(&text, &room, stdin) > 0) {
		json_error_t error;
		json_t *line = json_loads(text, 0, &error);
		const char *hex = json_string_value(json_object_get(line, "hex"));
		Draft draft = {.line = line};
		uint8_t *bytes = NULL;

		if (line == NULL)
			usage_error("line: %s", error.text);
		draft.subject = json_string_value(json_object_get(line, "subject"));
		draft.id = json_string_value(json_object_get(line, "id"));
		if (draft.subject == NULL)
			usage_error("line: there is no subject");
		if (hex != NULL)
			draft.data = bytes = bytes_of_hex(hex, &draft.length);
		else
			line_bytes(line, fresh_arena(), &draft.data, &draft.length);
		send(context, &draft);
		free(bytes);
		json_decref(line);
	}
	free(text);
}

static json_t *message_json(const ProtobufCMessage *message, TeArena *arena)
{
	const char *text;
	size_t length;
	TeWireError error;
	json_t *value;

	if (!te_message_to_json(message, arena, &text, &length, &error))
		return json_pack("{s:s}", "error", error.detail);
	value = json_loadb(text, length, 0, NULL);
	return value != NULL ? value : json_pack("{s:s}", "error", "not JSON");
}

/* The envelope with its payload decoded in place of the bytes; NULL when it is none. */
static json_t *envelope_json(const void *data, size_t length)
{
	TeArena *arena = fresh_arena();
	ProtobufCAllocator *allocator = te_arena_protobuf(arena);
	TradingEngine__TradingProcessingEnvelope *envelope =
		trading_engine__trading_processing_envelope__unpack(allocator, length, data);
	const struct Payload *payload;
	ProtobufCMessage *inner = NULL;
	ProtobufCBinaryData bytes;
	json_t *value;

	if (envelope == NULL ||
	    (payload = find_payload(NULL, (TeMessageKind)envelope->message_type)) == NULL)
		return NULL;
	bytes = envelope->payload;
	inner = protobuf_c_message_unpack(payload->descriptor, allocator, bytes.len, bytes.data);
	envelope->payload.len = 0;
	envelope->payload_hash.len = 0;
	value = message_json(&envelope->base, arena);
	json_object_set_new(value, "payload_type", json_string(payload->name));
	if (inner != NULL)
		json_object_set_new(value, "payload", message_json(inner, arena));
	return value;
}

const char *message_header(const Message *message, const char *name)
{
	for (size_t i = 0; i < message->header_count; i++)
		if (strcmp(message->headers[i].name, name) == 0)
			return message->headers[i].value;
	return NULL;
}

json_t *describe_message(const Message *message)
{
	json_t *headers = json_object();
	char hex[65];
	json_t *value, *envelope;

	for (size_t i = 0; i < message->header_count; i++)
		json_object_set_new(headers, message->headers[i].name,
		                    json_string(message->headers[i].value));
	sha256_hex(message->data, message->length, hex);
	value = json_pack("{s:s, s:o, s:I, s:s}", "subject", message->subject, "headers", headers,
	                  "size", (json_int_t)message->length, "sha256", hex);
	if ((envelope = envelope_json(message->data, message->length)) != NULL)
		json_object_set_new(value, "envelope", envelope);
	return value;
}
