/*
 * te_nats.c - a NATS client for tests and the demo: publish, dump, wait, check.
 *
 *	te_nats [--url URL] COMMAND ...
 *
 *	pub SUBJECT [--hex HEX | --file FILE | --text TEXT] [--id ID] [--core]
 *		publish one message (default: standard input), print the acknowledgement
 *	pub-json
 *		publish one message per line of standard input, see common/message.h
 *	sub SUBJECT [--count N] [--seconds S]
 *		print messages as they come, as JSON lines
 *	stream-info STREAM
 *	stream-dump STREAM [--from SEQ]
 *		every message of a stream as JSON lines
 *	stream-check STREAM
 *		what a careful consumer would find, see common/check.h
 *	wait STREAM COUNT [--seconds S]
 *		until a stream holds that many messages
 *	js-api SUBJECT [JSON]
 *		one request to the broker's API, its answer on standard output
 *	load SYMBOL[,SYMBOL] --rate N --count N [--batch N] [--company C] [--user U]
 *		publish generated predictions at a steady rate, see common/load.h
 *
 * Exit status 0: done; 1: it failed, or the check found something; 2: usage.
 * The URL is also taken from NATS_URL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "te_nats.h"

#define API_TIMEOUT_MS 5000
#define MAX_HEADERS 64

const char *const program_name = "te_nats";

static const struct Command
{
	const char *name;
	int (*run)(Client *client, Arguments *arguments);
} commands[] = {
	{"pub", command_pub},
	{"pub-json", command_pub_json},
	{"sub", command_sub},
	{"stream-info", command_stream_info},
	{"stream-dump", command_stream_dump},
	{"stream-check", command_stream_check},
	{"wait", command_wait},
	{"js-api", command_js_api},
	{"load", command_load},
};

void check_status(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		fail("%s: %s", what, natsStatus_GetText(status));
}

json_t *request_api(Client *client, const char *subject, json_t *body)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	natsMsg *reply = NULL;
	const char *data;
	size_t length;
	json_t *answer;
	json_error_t error;

	check_status(natsConnection_Request(&reply, client->connection, subject, text,
	                                    text != NULL ? (int)strlen(text) : 0, API_TIMEOUT_MS),
	             subject);
	data = natsMsg_GetData(reply);
	length = (size_t)natsMsg_GetDataLength(reply);
	answer = json_loadb(data, length, 0, &error);
	/* A broker may count below zero and say 18446744073709551615. */
	if (answer == NULL)
		answer = json_loadb(data, length, JSON_DECODE_INT_AS_REAL, &error);
	natsMsg_Destroy(reply);
	free(text);
	json_decref(body);
	if (answer == NULL)
		fail("%s: the answer is not JSON: %s", subject, error.text);
	return answer;
}

json_t *stream_info(Client *client, const char *stream)
{
	char subject[256];

	snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", stream);
	return request_api(client, subject, NULL);
}

static uint64_t stream_messages(json_t *info, const char *member)
{
	json_t *state = json_object_get(info, "state");

	return (uint64_t)json_integer_value(json_object_get(state, member));
}

int command_stream_info(Client *client, Arguments *arguments)
{
	json_t *info = stream_info(client, take_argument(arguments, "STREAM"));
	int status = json_object_get(info, "error") != NULL;

	print_json(info);
	return status;
}

int command_js_api(Client *client, Arguments *arguments)
{
	const char *subject = take_argument(arguments, "SUBJECT");
	json_t *body = NULL;
	json_error_t error;
	json_t *answer;
	int status;

	if (arguments->count > 0 &&
	    (body = json_loads(take_argument(arguments, "JSON"), 0, &error)) == NULL)
		usage_error("JSON: %s", error.text);
	answer = request_api(client, subject, body);
	status = json_object_get(answer, "error") != NULL;
	print_json(answer);
	return status;
}

int command_wait(Client *client, Arguments *arguments)
{
	double seconds = number_of(take_option(arguments, "seconds"), "--seconds", 60);
	const char *stream = take_argument(arguments, "STREAM");
	uint64_t wanted = (uint64_t)number_of(take_argument(arguments, "COUNT"), "COUNT", 0);
	double end = seconds_now() + seconds;
	uint64_t found;

	for (;;) {
		json_t *info = stream_info(client, stream);

		found = stream_messages(info, "messages");
		json_decref(info);
		if (found >= wanted) {
			printf("%llu\n", (unsigned long long)found);
			return 0;
		}
		if (seconds_now() > end)
			fail("stream %s holds %llu messages after %g s, not %llu", stream,
			     (unsigned long long)found, seconds, (unsigned long long)wanted);
		nats_Sleep(20);
	}
}

void visit_message(natsMsg *message, StreamVisitor visit, void *context)
{
	Header headers[MAX_HEADERS];
	Message seen = {.subject = natsMsg_GetSubject(message),
	                .headers = headers,
	                .data = natsMsg_GetData(message),
	                .length = (size_t)natsMsg_GetDataLength(message)};
	jsMsgMetaData *meta = NULL;
	const char **keys = NULL;
	int count = 0;

	if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK)
		count = 0;
	for (int i = 0; i < count && seen.header_count < MAX_HEADERS; i++) {
		headers[seen.header_count].name = keys[i];
		if (natsMsgHeader_Get(message, keys[i], &headers[seen.header_count].value) == NATS_OK)
			seen.header_count++;
	}
	if (natsMsg_GetMetaData(&meta, message) != NATS_OK)
		meta = NULL;
	visit(context, &seen, meta != NULL ? meta->Sequence.Stream : 0,
	      meta != NULL ? meta->Timestamp : 0);
	jsMsgMetaData_Destroy(meta);
	free((void *)keys);
}

/*
 * Read with an ordered consumer: it has no state on the broker, and the library
 * makes it anew when it sees a hole.
 */
void read_stream(Client *client, const char *stream, uint64_t from, StreamVisitor visit,
                 void *context)
{
	json_t *info = stream_info(client, stream);
	uint64_t first = stream_messages(info, "first_seq");
	uint64_t last = stream_messages(info, "last_seq");
	bool empty = stream_messages(info, "messages") == 0;
	natsSubscription *subscription = NULL;
	jsSubOptions options;
	uint64_t seq = 0;

	if (json_object_get(info, "error") != NULL)
		fail("stream %s: %s", stream,
		     json_string_value(json_object_get(json_object_get(info, "error"), "description")));
	json_decref(info);
	if (from < first)
		from = first;
	if (empty || from > last)
		return;

	jsSubOptions_Init(&options);
	options.Stream = stream;
	options.Ordered = true;
	options.Config.DeliverPolicy = js_DeliverByStartSequence;
	options.Config.OptStartSeq = from;
	check_status(js_SubscribeSync(&subscription, client->stream, ">", NULL, &options, NULL),
	             stream);
	while (seq < last) {
		natsMsg *message = NULL;
		jsMsgMetaData *meta = NULL;

		check_status(natsSubscription_NextMsg(&message, subscription, API_TIMEOUT_MS), stream);
		check_status(natsMsg_GetMetaData(&meta, message), stream);
		seq = meta->Sequence.Stream;
		jsMsgMetaData_Destroy(meta);
		visit_message(message, visit, context);
		natsMsg_Destroy(message);
	}
	natsSubscription_Destroy(subscription);
}

static void connect_client(Client *client, const char *url)
{
	natsOptions *options = NULL;

	check_status(natsOptions_Create(&options), "options");
	check_status(natsOptions_SetURL(options, url), url);
	check_status(natsOptions_SetName(options, "te_nats"), "name");
	check_status(natsOptions_SetMaxReconnect(options, 0), "options");
	check_status(natsConnection_Connect(&client->connection, options), url);
	natsOptions_Destroy(options);
	check_status(natsConnection_JetStream(&client->stream, client->connection, NULL), "JetStream");
}

int main(int count, char **values)
{
	Arguments arguments = {count - 1, values + 1};
	const char *url = take_option(&arguments, "url");
	const char *name = take_argument(&arguments, "COMMAND");
	Client client = {NULL, NULL};

	if (url == NULL && (url = getenv("NATS_URL")) == NULL)
		url = NATS_DEFAULT_URL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int status;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		connect_client(&client, url);
		status = commands[i].run(&client, &arguments);
		check_all_taken(&arguments);
		jsCtx_Destroy(client.stream);
		natsConnection_Destroy(client.connection);
		nats_CloseAndWait(1000);
		return status;
	}
	usage_error("there is no command \"%s\"", name);
}
