/*
 * publish.c - publishing to Kafka as the engine expects it.
 *
 * A message goes to the topic <prefix>.<kind> of its subject <prefix>.<kind>.<...>, with
 * the subject in header te-subject, and what follows the kind first (company, symbol or
 * producer) as key, which decides the partition.
 *
 * A line of pub-json is as common/message.h says, with
 *
 *	topic      another topic
 *	partition  this partition
 *	headers    further headers, an object of texts; te-subject: null leaves it out
 *
 * All lines are sent, in order, then one line of answer each is printed:
 * {"topic", "partition", "offset"} or {"error"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/load.h"
#include "te_kafka.h"

typedef struct Publisher
{
	rd_kafka_t *producer;
	rd_kafka_queue_t *reports;
	json_t **answers; /* by the order of sending; NULL: not known yet */
	size_t count, room;
	uint64_t refused;
} Publisher;

/* What became of one message; its number is its opaque pointer. */
static void note_delivery(Publisher *publisher, const rd_kafka_message_t *message)
{
	size_t number = (size_t)(uintptr_t)message->_private;

	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		publisher->refused++;
		publisher->answers[number] = json_pack("{s:s}", "error", rd_kafka_err2str(message->err));
	} else
		publisher->answers[number] =
			json_pack("{s:s, s:i, s:I}", "topic", rd_kafka_topic_name(message->rkt), "partition",
		              (int)message->partition, "offset", (json_int_t)message->offset);
}

/* Take the reports that have come. */
static void serve(Publisher *publisher, int wait_ms)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(publisher->reports, wait_ms);
	const rd_kafka_message_t *message;

	if (event == NULL)
		return;
	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
		while ((message = rd_kafka_event_message_next(event)) != NULL)
			note_delivery(publisher, message);
	rd_kafka_event_destroy(event);
}

static void send_bytes(Publisher *publisher, const char *topic, int partition, const char *key,
                       rd_kafka_headers_t *headers, const uint8_t *data, size_t length)
{
	size_t key_length = strlen(key);
	rd_kafka_resp_err_t error;

	if (publisher->count == publisher->room) {
		publisher->room = publisher->room ? publisher->room * 2 : 1024;
		publisher->answers =
			need_memory(realloc(publisher->answers, publisher->room * sizeof(json_t *)));
	}
	publisher->answers[publisher->count] = NULL;
	for (;;) {
		error = rd_kafka_producev(
			publisher->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
			RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE((void *)(uintptr_t)data, length),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
			RD_KAFKA_V_OPAQUE((void *)(uintptr_t)publisher->count), RD_KAFKA_V_END);
		if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		serve(publisher, 100);
	}
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
		publisher->answers[publisher->count] = json_pack("{s:s}", "error", rd_kafka_err2str(error));
		publisher->refused++;
		rd_kafka_headers_destroy(headers);
	}
	publisher->count++;
	serve(publisher, 0);
}

/* Topic and key of a subject: <prefix>.<kind>.<key>.<...>; the prefix may have dots. */
static void place_of_subject(const char *subject, char *topic, char *key, size_t size)
{
	static const char *const kinds[] = {".predictions.", ".market.", ".executions.", ".control."};

	snprintf(topic, size, "%s", subject);
	key[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char *at = strstr(topic, kinds[i]);

		if (at == NULL)
			continue;
		at += strlen(kinds[i]);
		snprintf(key, size, "%.*s", (int)strcspn(at, "."), at);
		at[-1] = '\0';
		return;
	}
}

static rd_kafka_headers_t *headers_of(const Draft *draft)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
	json_t *more = json_object_get(draft->line, "headers");
	const char *name;
	json_t *value;

	if (json_object_get(more, "te-subject") == NULL)
		rd_kafka_header_add(headers, "te-subject", -1, draft->subject, -1);
	if (draft->id != NULL)
		rd_kafka_header_add(headers, "Nats-Msg-Id", -1, draft->id, -1);
	json_object_foreach(more, name, value) if (json_is_string(value))
		rd_kafka_header_add(headers, name, -1, json_string_value(value), -1);
	return headers;
}

static void send_draft(void *context, const Draft *draft)
{
	const char *other = json_string_value(json_object_get(draft->line, "topic"));
	json_t *partition = json_object_get(draft->line, "partition");
	char topic[512], key[512];

	place_of_subject(draft->subject, topic, key, sizeof(topic));
	send_bytes(context, other != NULL ? other : topic,
	           json_is_integer(partition) ? (int)json_integer_value(partition)
	                                      : RD_KAFKA_PARTITION_UA,
	           key, headers_of(draft), draft->data, draft->length);
}

static void send_batch(void *context, const char *subject, const char *company, const char *id,
                       const uint8_t *data, size_t length)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
	char topic[512], key[512];

	place_of_subject(subject, topic, key, sizeof(topic));
	rd_kafka_header_add(headers, "te-subject", -1, subject, -1);
	rd_kafka_header_add(headers, "Nats-Msg-Id", -1, id, -1);
	send_bytes(context, topic, RD_KAFKA_PARTITION_UA, company, headers, data, length);
}

static void begin(Publisher *publisher)
{
	*publisher = (Publisher){.producer = make_client(RD_KAFKA_PRODUCER)};
	publisher->reports = rd_kafka_queue_get_main(publisher->producer);
}

/* Wait for what is under way; frees the answers, which are printed where that is asked for. */
static void finish(Publisher *publisher, bool print)
{
	for (size_t i = 0; i < publisher->count; i++) {
		while (publisher->answers[i] == NULL)
			serve(publisher, 100);
		if (print)
			print_json(publisher->answers[i]);
		else
			json_decref(publisher->answers[i]);
	}
	free(publisher->answers);
	rd_kafka_queue_destroy(publisher->reports);
	rd_kafka_destroy(publisher->producer);
}

int command_pub_json(Arguments *arguments)
{
	Publisher publisher;

	(void)arguments;
	begin(&publisher);
	read_drafts(send_draft, &publisher);
	finish(&publisher, true);
	return publisher.refused == 0 ? 0 : 1;
}

int command_load(Arguments *arguments)
{
	Publisher publisher;
	LoadResult result;

	begin(&publisher);
	result = run_load(arguments, send_batch, &publisher);
	finish(&publisher, false);
	return finish_load(&result, publisher.refused);
}
