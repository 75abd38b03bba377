/*
 * topics.c - making, extending and deleting topics.  The mock cluster can't be asked to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "te_kafka.h"

/* A producer that asks, and the answer. */
typedef struct Admin
{
	rd_kafka_t *client;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;
} Admin;

static Admin begin(void)
{
	Admin admin = {.client = make_client(RD_KAFKA_PRODUCER)};

	admin.queue = rd_kafka_queue_new(admin.client);
	return admin;
}

/* The results that the answer has; ends the program where it is an error. */
static const rd_kafka_topic_result_t **results_of(const Admin *admin, size_t *count)
{
	switch (rd_kafka_event_type(admin->event)) {
	case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
		return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(admin->event),
		                                           count);
	case RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT:
		return rd_kafka_CreatePartitions_result_topics(
			rd_kafka_event_CreatePartitions_result(admin->event), count);
	default:
		return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(admin->event),
		                                           count);
	}
}

static int finish(Admin *admin, const char *name)
{
	const rd_kafka_topic_result_t **results;
	size_t count = 0;

	admin->event = rd_kafka_queue_poll(admin->queue, KAFKA_TIMEOUT_MS);
	if (admin->event == NULL)
		fail("%s: no answer", name);
	if (rd_kafka_event_error(admin->event) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s: %s", name, rd_kafka_event_error_string(admin->event));
	results = results_of(admin, &count);
	if (count != 1)
		fail("%s: %zu results", name, count);
	if (rd_kafka_topic_result_error(results[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s: %s", name, rd_kafka_topic_result_error_string(results[0]));
	rd_kafka_event_destroy(admin->event);
	rd_kafka_queue_destroy(admin->queue);
	rd_kafka_destroy(admin->client);
	return 0;
}

static int take_partitions(Arguments *arguments)
{
	return (int)number_of(take_argument(arguments, "PARTITIONS"), "PARTITIONS", 1);
}

int command_topic(Arguments *arguments)
{
	const char *name = take_argument(arguments, "TOPIC");
	int partitions = take_partitions(arguments), status;
	char error[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, error, sizeof(error));
	Admin admin = begin();

	if (topic == NULL)
		fail("%s: %s", name, error);
	rd_kafka_CreateTopics(admin.client, &topic, 1, NULL, admin.queue);
	status = finish(&admin, name);
	rd_kafka_NewTopic_destroy(topic);
	return status;
}

int command_extend(Arguments *arguments)
{
	const char *name = take_argument(arguments, "TOPIC");
	int partitions = take_partitions(arguments), status;
	char error[256];
	rd_kafka_NewPartitions_t *more =
		rd_kafka_NewPartitions_new(name, (size_t)partitions, error, sizeof(error));
	Admin admin = begin();

	if (more == NULL)
		fail("%s: %s", name, error);
	rd_kafka_CreatePartitions(admin.client, &more, 1, NULL, admin.queue);
	status = finish(&admin, name);
	rd_kafka_NewPartitions_destroy(more);
	return status;
}

int command_delete(Arguments *arguments)
{
	const char *name = take_argument(arguments, "TOPIC");
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
	Admin admin = begin();
	int status;

	rd_kafka_DeleteTopics(admin.client, &topic, 1, NULL, admin.queue);
	status = finish(&admin, name);
	rd_kafka_DeleteTopic_destroy(topic);
	return status;
}
