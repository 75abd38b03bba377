/*
 * kafka_broker.c - Kafka for tests: librdkafka's mock cluster as a process.
 *
 *	kafka_broker [--brokers N]
 *
 * Listens on ports of 127.0.0.1 that the system chooses, and prints them on its first
 * line: HOST:PORT,...  Everything is in memory: a partition keeps its newest 5 MB, and
 * nothing outlives the process, which ends with its standard input.  A topic that is
 * asked for and isn't there is made, with four partitions.
 *
 * Commands, a line each on standard input, answered by "ok" or "error: ...":
 *
 *	topic NAME PARTITIONS    make a topic
 *	down [BROKER]            stop listening, cut the connections (all brokers, or one)
 *	up [BROKER]              listen again, on the same port
 *	rtt MILLISECONDS         delay every answer
 *	error API CODE [COUNT]   the next COUNT (1) requests of that kind fail; API is
 *	                         produce, fetch, list_offsets, metadata or init_producer_id,
 *	                         CODE as librdkafka names it, such as REQUEST_TIMED_OUT
 *	topic_error NAME CODE    every request for the topic fails; NO_ERROR ends it
 *	clear                    forget errors that are still to come
 *
 * A broker that neither answers nor closes its connections: stop the process by a signal.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/tool.h"

#define MAX_WORDS 8
#define MAX_ERRORS 10000

const char *const program_name = "kafka_broker";

typedef struct Broker
{
	rd_kafka_mock_cluster_t *cluster;
	int brokers;
} Broker;

static const struct Api
{
	const char *name;
	int16_t key; /* of Kafka's protocol */
} apis[] = {
	{"produce", 0},  {"fetch", 1},          {"list_offsets", 2},
	{"metadata", 3}, {"create_topics", 19}, {"init_producer_id", 22},
};

static int api_key(const char *name)
{
	for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); i++)
		if (strcmp(apis[i].name, name) == 0)
			return apis[i].key;
	return -1;
}

static bool error_code(const char *name, rd_kafka_resp_err_t *code)
{
	const struct rd_kafka_err_desc *errors;
	size_t count;

	rd_kafka_get_err_descs(&errors, &count);
	for (size_t i = 0; i < count; i++)
		if (errors[i].name != NULL && strcasecmp(errors[i].name, name) == 0) {
			*code = errors[i].code;
			return true;
		}
	return false;
}

/* Do something to the broker that is named, or to all. */
static const char *for_brokers(Broker *broker, const char *name,
                               rd_kafka_resp_err_t (*act)(rd_kafka_mock_cluster_t *, int32_t))
{
	int only = name != NULL ? atoi(name) : 0;

	if (name != NULL && (only < 1 || only > broker->brokers))
		return "there is no such broker";
	for (int id = 1; id <= broker->brokers; id++)
		if ((only == 0 || only == id) && act(broker->cluster, id) != RD_KAFKA_RESP_ERR_NO_ERROR)
			return "refused";
	return NULL;
}

static const char *inject_errors(Broker *broker, const char *api, const char *code, int count)
{
	int key = api_key(api);
	rd_kafka_resp_err_t error;

	if (key < 0)
		return "there is no such API";
	if (!error_code(code, &error))
		return "there is no such code";
	if (count < 1 || count > MAX_ERRORS)
		return "the count is 1 to 10000";
	while (count-- > 0)
		rd_kafka_mock_push_request_errors(broker->cluster, (int16_t)key, 1, error);
	return NULL;
}

static void clear_errors(Broker *broker)
{
	for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); i++)
		rd_kafka_mock_clear_request_errors(broker->cluster, apis[i].key);
}

static const char *set_rtt(Broker *broker, int milliseconds)
{
	for (int id = 1; id <= broker->brokers; id++)
		if (rd_kafka_mock_broker_set_rtt(broker->cluster, id, milliseconds) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
			return "refused";
	return NULL;
}

static const char *set_topic_error(Broker *broker, const char *topic, const char *code)
{
	rd_kafka_resp_err_t error;

	if (!error_code(code, &error))
		return "there is no such code";
	rd_kafka_mock_topic_set_error(broker->cluster, topic, error);
	return NULL;
}

/* Do a command; the answer is what is wrong with it, or NULL. */
static const char *obey(Broker *broker, char **words, int count)
{
	const char *command = words[0];

	if (strcmp(command, "topic") == 0 && count == 3)
		return rd_kafka_mock_topic_create(broker->cluster, words[1], atoi(words[2]),
		                                  broker->brokers) == RD_KAFKA_RESP_ERR_NO_ERROR
		           ? NULL
		           : "refused: it is there already, or has no partition";
	if (strcmp(command, "down") == 0 && count <= 2)
		return for_brokers(broker, count == 2 ? words[1] : NULL, rd_kafka_mock_broker_set_down);
	if (strcmp(command, "up") == 0 && count <= 2)
		return for_brokers(broker, count == 2 ? words[1] : NULL, rd_kafka_mock_broker_set_up);
	if (strcmp(command, "rtt") == 0 && count == 2)
		return set_rtt(broker, atoi(words[1]));
	if (strcmp(command, "error") == 0 && (count == 3 || count == 4))
		return inject_errors(broker, words[1], words[2], count == 4 ? atoi(words[3]) : 1);
	if (strcmp(command, "topic_error") == 0 && count == 3)
		return set_topic_error(broker, words[1], words[2]);
	if (strcmp(command, "clear") == 0 && count == 1) {
		clear_errors(broker);
		return NULL;
	}
	return "unknown command, or a wrong number of words";
}

static void obey_lines(Broker *broker)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		char *words[MAX_WORDS];
		const char *problem;
		int count = 0;

		for (char *word = strtok(line, " \t\r\n"); word != NULL && count < MAX_WORDS;
		     word = strtok(NULL, " \t\r\n"))
			words[count++] = word;
		if (count == 0)
			continue;
		problem = obey(broker, words, count);
		if (problem != NULL)
			printf("error: %s\n", problem);
		else
			puts("ok");
		fflush(stdout);
	}
	free(line);
}

int main(int count, char **values)
{
	Arguments arguments = {count - 1, values + 1};
	Broker broker = {.brokers = (int)number_of(take_option(&arguments, "brokers"), "--brokers", 1)};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;
	char error[256];

	check_all_taken(&arguments);
	if (broker.brokers < 1)
		usage_error("there is at least one broker");
	/* The cluster that belongs to a client answers in the background; nobody uses the client. */
	rd_kafka_conf_set(conf, "log_level", "2", error, sizeof(error));
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (client == NULL)
		fail("%s", error);
	broker.cluster = rd_kafka_mock_cluster_new(client, broker.brokers);
	if (broker.cluster == NULL)
		fail("there is no mock cluster");
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(broker.cluster));
	fflush(stdout);
	obey_lines(&broker);
	rd_kafka_mock_cluster_destroy(broker.cluster);
	rd_kafka_destroy(client);
	return 0;
}
