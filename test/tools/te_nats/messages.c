/*
 * messages.c - publishing, and messages as JSON.
 *
 * A line of pub-json is an object:
 *
 *	subject   where to
 *	type      message of proto/, such as "MLPredictionBatch"; with
 *	payload   its fields, and
 *	envelope  fields of TradingProcessingEnvelope; what is missing of
 *	          message_type, payload_hash and timestamp is filled in
 *	bare      true: the payload without an envelope
 *	hex       instead of type: these bytes
 *	id        Nats-Msg-Id
 *	core      true: without JetStream, not acknowledged
 *
 * One line of answer each: {"stream", "seq", "duplicate"} or {"error"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "market/market_data.pb-c.h"
#include "ml/ml_predictions.pb-c.h"
#include "risk/risk_assessment.pb-c.h"
#include "te_nats.h"
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

static int64_t wall_clock_us(void)
{
	return nats_NowInNanoSeconds() / 1000;
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

static void parse_hex(const char *hex, TeArena *arena, const uint8_t **data, size_t *length)
{
	size_t count = strlen(hex) / 2;
	uint8_t *bytes = te_arena_alloc(arena, count + 1);

	if (strlen(hex) % 2 != 0 || bytes == NULL)
		usage_error("hex: an odd number of digits");
	for (size_t i = 0; i < count; i++) {
		/* A copy: sscanf measures the whole text that it is given, every time. */
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		unsigned value;

		if (sscanf(digits, "%2x", &value) != 1)
			usage_error("hex: \"%s\" is not a byte", digits);
		bytes[i] = (uint8_t)value;
	}
	*data = bytes;
	*length = count;
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

/* The bytes that a line describes. */
static void line_bytes(json_t *line, TeArena *arena, const uint8_t **data, size_t *length)
{
	const char *hex = json_string_value(json_object_get(line, "hex"));
	const char *type = json_string_value(json_object_get(line, "type"));
	const struct Payload *payload;

	if (hex != NULL) {
		parse_hex(hex, arena, data, length);
		return;
	}
	if (type == NULL || (payload = find_payload(type, TE_MESSAGE_NONE)) == NULL)
		usage_error("type: \"%s\" is no message", type != NULL ? type : "");
	pack_message(message_of(payload->descriptor, json_object_get(line, "payload"), arena), arena,
	             data, length);
	if (!json_is_true(json_object_get(line, "bare")))
		wrap_payload(payload, json_object_get(line, "envelope"), arena, data, length);
}

json_t *publish_acknowledged(Client *client, const char *subject, const void *data, size_t length,
                             const char *id, const char **error)
{
	jsPubOptions options;
	jsPubAck *ack = NULL;
	natsStatus status;
	json_t *answer;

	jsPubOptions_Init(&options);
	options.MsgId = id;
	status = js_Publish(&ack, client->stream, subject, data, (int)length, &options, NULL);
	if (status != NATS_OK) {
		*error = natsStatus_GetText(status);
		return NULL;
	}
	answer = json_pack("{s:s, s:I, s:b}", "stream", ack->Stream, "seq", (json_int_t)ack->Sequence,
	                   "duplicate", (int)ack->Duplicate);
	jsPubAck_Destroy(ack);
	return answer;
}

/* Publish and print the answer; false when the broker refused. */
static bool publish_and_tell(Client *client, const char *subject, const void *data, size_t length,
                             const char *id, bool core)
{
	const char *error = NULL;
	json_t *answer;

	if (core) {
		check_status(natsConnection_Publish(client->connection, subject, data, (int)length),
		             subject);
		check_status(natsConnection_FlushTimeout(client->connection, 5000), subject);
		answer = json_object();
	} else
		answer = publish_acknowledged(client, subject, data, length, id, &error);
	if (answer == NULL)
		answer = json_pack("{s:s}", "error", error);
	print_json(answer);
	return error == NULL;
}

static char *read_all(FILE *file, size_t *length)
{
	size_t room = 1 << 16;
	char *data = malloc(room);

	*length = 0;
	while (data != NULL) {
		*length += fread(data + *length, 1, room - *length, file);
		if (*length < room)
			return data;
		data = realloc(data, room *= 2);
	}
	fail("out of memory");
}

int command_pub(Client *client, Arguments *arguments)
{
	const char *hex = take_option(arguments, "hex");
	const char *path = take_option(arguments, "file");
	const char *text = take_option(arguments, "text");
	const char *id = take_option(arguments, "id");
	bool core = take_flag(arguments, "core");
	const char *subject = take_argument(arguments, "SUBJECT");
	const uint8_t *data;
	char *read = NULL;
	size_t length;
	bool done;

	if (hex != NULL)
		parse_hex(hex, fresh_arena(), &data, &length);
	else if (text != NULL) {
		data = (const uint8_t *)text;
		length = strlen(text);
	} else {
		FILE *file = path != NULL ? fopen(path, "rb") : stdin;

		if (file == NULL)
			fail("%s: can't be read", path);
		data = (const uint8_t *)(read = read_all(file, &length));
		if (file != stdin)
			fclose(file);
	}
	done = publish_and_tell(client, subject, data, length, id, core);
	free(read);
	return done ? 0 : 1;
}

int command_pub_json(Client *client, Arguments *arguments)
{
	char *text = NULL;
	size_t room = 0;
	int status = 0;

	(void)arguments;
	while (getline(&text, &room, stdin) > 0) {
		TeArena *arena = fresh_arena();
		json_error_t error;
		json_t *line = json_loads(text, 0, &error);
		const char *subject = json_string_value(json_object_get(line, "subject"));
		const uint8_t *data;
		size_t length;

		if (line == NULL)
			usage_error("line: %s", error.text);
		if (subject == NULL)
			usage_error("line: there is no subject");
		line_bytes(line, arena, &data, &length);
		if (!publish_and_tell(client, subject, data, length,
		                      json_string_value(json_object_get(line, "id")),
		                      json_is_true(json_object_get(line, "core"))))
			status = 1;
		json_decref(line);
	}
	free(text);
	return status;
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

static json_t *headers_json(natsMsg *message)
{
	json_t *headers = json_object();
	const char **keys = NULL;
	int count = 0;

	if (natsMsgHeader_Keys(message, &keys, &count) == NATS_OK)
		for (int i = 0; i < count; i++) {
			const char *value = NULL;

			if (natsMsgHeader_Get(message, keys[i], &value) == NATS_OK)
				json_object_set_new(headers, keys[i], json_string(value));
		}
	free((void *)keys);
	return headers;
}

json_t *describe_message(natsMsg *message)
{
	size_t length = (size_t)natsMsg_GetDataLength(message);
	char hex[65];
	json_t *value, *envelope;

	sha256_hex(natsMsg_GetData(message), length, hex);
	value = json_pack("{s:s, s:o, s:I, s:s}", "subject", natsMsg_GetSubject(message), "headers",
	                  headers_json(message), "size", (json_int_t)length, "sha256", hex);
	if ((envelope = envelope_json(natsMsg_GetData(message), length)) != NULL)
		json_object_set_new(value, "envelope", envelope);
	return value;
}

static void print_stream_message(void *context, natsMsg *message, uint64_t seq, int64_t time_ns)
{
	json_t *value = describe_message(message);

	(void)context;
	json_object_set_new(value, "seq", json_integer((json_int_t)seq));
	json_object_set_new(value, "time_us", json_integer(time_ns / 1000));
	print_json(value);
}

int command_stream_dump(Client *client, Arguments *arguments)
{
	double from = number_of(take_option(arguments, "from"), "--from", 1);

	read_stream(client, take_argument(arguments, "STREAM"), (uint64_t)from, print_stream_message,
	            NULL);
	return 0;
}

int command_sub(Client *client, Arguments *arguments)
{
	uint64_t count = (uint64_t)number_of(take_option(arguments, "count"), "--count", 0);
	double seconds = number_of(take_option(arguments, "seconds"), "--seconds", 1e9);
	const char *subject = take_argument(arguments, "SUBJECT");
	double end = seconds_now() + seconds;
	natsSubscription *subscription = NULL;

	check_status(natsConnection_SubscribeSync(&subscription, client->connection, subject), subject);
	check_status(natsConnection_FlushTimeout(client->connection, 5000), subject);
	for (uint64_t seen = 0; count == 0 || seen < count;) {
		natsMsg *message = NULL;
		natsStatus status = natsSubscription_NextMsg(&message, subscription, 200);

		if (status == NATS_OK) {
			print_json(describe_message(message));
			natsMsg_Destroy(message);
			seen++;
		} else if (status != NATS_TIMEOUT)
			check_status(status, subject);
		if (seconds_now() > end) {
			if (count != 0 && seen < count)
				fail("%llu of %llu messages after %g s", (unsigned long long)seen,
				     (unsigned long long)count, seconds);
			break;
		}
	}
	natsSubscription_Destroy(subscription);
	return 0;
}
