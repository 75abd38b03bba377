/*
 * nats_client.c - connecting to NATS, asking JetStream, reading a stream.
 */
#include "nats_client/nats_client.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 64

void check_status(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		fail("%s: %s", what, natsStatus_GetText(status));
}

/* By the variables that the nats program has for it. */
static void identify(natsOptions *options)
{
	const char *credentials = getenv("NATS_CREDS"), *cert = getenv("NATS_CERT"),
			   *key = getenv("NATS_KEY");

	if (credentials != NULL)
		check_status(natsOptions_SetUserCredentialsFromFiles(options, credentials, NULL),
		             "NATS_CREDS");
	if (cert != NULL && key != NULL)
		check_status(natsOptions_LoadCertificatesChain(options, cert, key),
		             "NATS_CERT and NATS_KEY");
}

void connect_client(Client *client, const char *url)
{
	natsOptions *options = NULL;
	jsOptions stream;

	check_status(natsOptions_Create(&options), "options");
	check_status(natsOptions_SetURL(options, url), url);
	check_status(natsOptions_SetName(options, program_name), "name");
	check_status(natsOptions_SetMaxReconnect(options, 0), "options");
	check_status(natsOptions_SetTimeout(options, NATS_PATIENCE_MS), "options");
	identify(options);
	check_status(natsConnection_Connect(&client->connection, options), url);
	natsOptions_Destroy(options);
	jsOptions_Init(&stream);
	stream.Wait = NATS_PATIENCE_MS;
	check_status(natsConnection_JetStream(&client->stream, client->connection, &stream),
	             "JetStream");
}

void close_client(Client *client)
{
	jsCtx_Destroy(client->stream);
	natsConnection_Destroy(client->connection);
	nats_CloseAndWait(1000);
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
	                                    text != NULL ? (int)strlen(text) : 0, NATS_PATIENCE_MS),
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

uint64_t stream_number(json_t *info, const char *member)
{
	json_t *state = json_object_get(info, "state");

	return (uint64_t)json_integer_value(json_object_get(state, member));
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
	uint64_t first = stream_number(info, "first_seq");
	uint64_t last = stream_number(info, "last_seq");
	bool empty = stream_number(info, "messages") == 0;
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
	/* The library reads faster than a visitor may take it. */
	check_status(natsSubscription_SetPendingLimits(subscription, -1, -1), stream);
	while (seq < last) {
		natsMsg *message = NULL;
		jsMsgMetaData *meta = NULL;

		check_status(natsSubscription_NextMsg(&message, subscription, NATS_PATIENCE_MS), stream);
		check_status(natsMsg_GetMetaData(&meta, message), stream);
		seq = meta->Sequence.Stream;
		jsMsgMetaData_Destroy(meta);
		visit_message(message, visit, context);
		natsMsg_Destroy(message);
	}
	natsSubscription_Destroy(subscription);
}
