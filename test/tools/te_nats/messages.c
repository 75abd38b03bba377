/*
 * messages.c - publishing to NATS, and what is there as JSON.
 *
 * A line of pub-json is as common/message.h says, with
 *
 *	core      true: without JetStream, not acknowledged
 *	headers   further headers, an object of texts
 *
 * One line of answer each: {"stream", "seq", "duplicate"} or {"error"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "te_nats.h"

/* Publish through JetStream and wait for the acknowledgement; NULL and *error where it refuses. */
static json_t *publish_acknowledged(Client *client, natsMsg *message, const char *id,
                                    const char **error)
{
	jsPubOptions options;
	jsPubAck *ack = NULL;
	natsStatus status;
	json_t *answer;

	jsPubOptions_Init(&options);
	options.MsgId = id;
	status = js_PublishMsg(&ack, client->stream, message, &options, NULL);
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
static bool publish_and_tell(Client *client, const Draft *draft, bool core, json_t *headers)
{
	const char *error = NULL, *name;
	json_t *answer = NULL, *value;
	natsMsg *message = NULL;

	check_status(natsMsg_Create(&message, draft->subject, NULL, (const char *)draft->data,
	                            (int)draft->length),
	             draft->subject);
	json_object_foreach(headers, name, value)
		check_status(natsMsgHeader_Set(message, name, json_string_value(value)), name);
	if (core) {
		check_status(natsConnection_PublishMsg(client->connection, message), draft->subject);
		check_status(natsConnection_FlushTimeout(client->connection, NATS_PATIENCE_MS),
		             draft->subject);
		answer = json_object();
	} else
		answer = publish_acknowledged(client, message, draft->id, &error);
	natsMsg_Destroy(message);
	if (answer == NULL)
		answer = json_pack("{s:s}", "error", error);
	print_json(answer);
	return error == NULL;
}

static uint8_t *read_all(FILE *file, size_t *length)
{
	size_t room = 1 << 16;
	uint8_t *data = need_memory(malloc(room));

	*length = 0;
	for (;;) {
		*length += fread(data + *length, 1, room - *length, file);
		if (*length < room)
			return data;
		data = need_memory(realloc(data, room *= 2));
	}
}

int command_pub(Client *client, Arguments *arguments)
{
	const char *hex = take_option(arguments, "hex");
	const char *path = take_option(arguments, "file");
	const char *text = take_option(arguments, "text");
	bool core = take_flag(arguments, "core");
	Draft draft = {.id = take_option(arguments, "id")};
	uint8_t *read = NULL;
	bool done;

	draft.subject = take_argument(arguments, "SUBJECT");
	if (hex != NULL)
		draft.data = read = bytes_of_hex(hex, &draft.length);
	else if (text != NULL) {
		draft.data = (const uint8_t *)text;
		draft.length = strlen(text);
	} else {
		FILE *file = path != NULL ? fopen(path, "rb") : stdin;

		if (file == NULL)
			fail("%s: can't be read", path);
		draft.data = read = read_all(file, &draft.length);
		if (file != stdin)
			fclose(file);
	}
	done = publish_and_tell(client, &draft, core, NULL);
	free(read);
	return done ? 0 : 1;
}

typedef struct Publishing
{
	Client *client;
	bool refused;
} Publishing;

static void publish_draft(void *context, const Draft *draft)
{
	Publishing *publishing = context;

	if (!publish_and_tell(publishing->client, draft,
	                      json_is_true(json_object_get(draft->line, "core")),
	                      json_object_get(draft->line, "headers")))
		publishing->refused = true;
}

int command_pub_json(Client *client, Arguments *arguments)
{
	Publishing publishing = {client, false};

	(void)arguments;
	read_drafts(publish_draft, &publishing);
	return publishing.refused ? 1 : 0;
}

static json_t *hex_of_bytes(const uint8_t *data, size_t length)
{
	char *text = need_memory(malloc(2 * length + 1));
	json_t *value;

	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	value = json_stringn(text, 2 * length);
	free(text);
	return value;
}

static void print_stream_message(void *context, const Message *message, uint64_t seq,
                                 int64_t time_ns)
{
	json_t *value = describe_message(message);
	const bool *hex = context;

	if (*hex)
		json_object_set_new(value, "hex", hex_of_bytes(message->data, message->length));
	json_object_set_new(value, "seq", json_integer((json_int_t)seq));
	json_object_set_new(value, "time_us", json_integer(time_ns / 1000));
	print_json(value);
}

int command_stream_dump(Client *client, Arguments *arguments)
{
	double from = number_of(take_option(arguments, "from"), "--from", 1);
	bool hex = take_flag(arguments, "hex");

	read_stream(client, take_argument(arguments, "STREAM"), (uint64_t)from, print_stream_message,
	            &hex);
	return 0;
}

static void print_message(void *context, const Message *message, uint64_t seq, int64_t time_ns)
{
	(void)context;
	(void)seq;
	(void)time_ns;
	print_json(describe_message(message));
}

int command_sub(Client *client, Arguments *arguments)
{
	uint64_t count = (uint64_t)number_of(take_option(arguments, "count"), "--count", 0);
	double seconds = number_of(take_option(arguments, "seconds"), "--seconds", 1e9);
	const char *subject = take_argument(arguments, "SUBJECT");
	double end = seconds_now() + seconds;
	natsSubscription *subscription = NULL;

	check_status(natsConnection_SubscribeSync(&subscription, client->connection, subject), subject);
	check_status(natsConnection_FlushTimeout(client->connection, NATS_PATIENCE_MS), subject);
	for (uint64_t seen = 0; count == 0 || seen < count;) {
		natsMsg *message = NULL;
		natsStatus status = natsSubscription_NextMsg(&message, subscription, 200);

		if (status == NATS_OK) {
			visit_message(message, print_message, NULL);
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

static void check_stream_message(void *context, const Message *message, uint64_t seq,
                                 int64_t time_ns)
{
	(void)seq;
	(void)time_ns;
	check_take(context, message);
}

int command_stream_check(Client *client, Arguments *arguments)
{
	Check *check = check_begin();
	bool clean;

	read_stream(client, take_argument(arguments, "STREAM"), 1, check_stream_message, check);
	print_json(check_end(check, true, &clean));
	return clean ? 0 : 1;
}
