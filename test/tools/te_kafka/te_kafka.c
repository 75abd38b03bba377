/*
 * te_kafka.c - a Kafka client for tests: publish, dump, wait, check.
 *
 *	te_kafka [--brokers HOST:PORT,...] [--config FILE] COMMAND ...
 *
 *	pub-json
 *		publish one message per line of standard input, see publish.c
 *	load SYMBOL[,SYMBOL] --rate N --count N [--batch N] [--company C] [--user U]
 *		publish generated predictions at a steady rate, see common/load.h
 *	dump TOPIC...
 *		every message of the topics as JSON lines, one partition after the other
 *	check TOPIC...
 *		what a careful consumer of the topics would find, see common/check.h; a lane
 *		may have holes here, because Kafka holds only what was sent while it was used
 *	info TOPIC
 *		{"partitions": [{"partition", "low", "high"}, ...], "messages"}
 *	wait TOPIC COUNT [--seconds S]
 *		until a topic holds that many messages
 *	topic TOPIC PARTITIONS, extend TOPIC PARTITIONS, delete TOPIC
 *		make a topic, give it more partitions, delete it (not with the mock cluster,
 *		which can't be asked to)
 *	ready
 *		whether a broker answers
 *
 * Exit status 0: done; 1: it failed, or the check found something; 2: usage.
 * The brokers are also taken from KAFKA_BROKERS.  FILE (or KAFKA_CONFIG) holds further
 * settings of librdkafka, NAME=VALUE on each line, as for SASL and TLS.
 */
#include "te_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

const char *const program_name = "te_kafka";

static void print_message(void *context, const Message *message, const rd_kafka_message_t *raw)
{
	json_t *value = describe_message(message);

	json_object_set_new(value, "topic", json_string(context));
	json_object_set_new(value, "partition", json_integer(raw->partition));
	json_object_set_new(value, "offset", json_integer(raw->offset));
	json_object_set_new(value, "time_us",
	                    json_integer(rd_kafka_message_timestamp(raw, NULL) * 1000));
	if (raw->key != NULL)
		json_object_set_new(value, "key", json_stringn(raw->key, raw->key_len));
	print_json(value);
}

static int command_dump(Arguments *arguments)
{
	rd_kafka_t *consumer = make_client(RD_KAFKA_CONSUMER);

	do {
		char *topic = take_argument(arguments, "TOPIC");

		read_topic(consumer, topic, print_message, topic);
	} while (arguments->count > 0);
	rd_kafka_destroy(consumer);
	return 0;
}

static void check_message(void *context, const Message *message, const rd_kafka_message_t *raw)
{
	(void)raw;
	check_take(context, message);
}

static int command_check(Arguments *arguments)
{
	rd_kafka_t *consumer = make_client(RD_KAFKA_CONSUMER);
	Check *check = check_begin();
	bool clean;

	do
		read_topic(consumer, take_argument(arguments, "TOPIC"), check_message, check);
	while (arguments->count > 0);
	rd_kafka_destroy(consumer);
	print_json(check_end(check, false, &clean));
	return clean ? 0 : 1;
}

/* Messages of a topic by its watermarks; the partitions are appended to a list, where one is given.
 */
static int64_t topic_messages(rd_kafka_t *consumer, const char *topic, json_t *list)
{
	int partitions = count_partitions(consumer, topic);
	int64_t messages = 0;

	for (int partition = 0; partition < partitions; partition++) {
		int64_t low, high;

		watermarks(consumer, topic, partition, &low, &high);
		messages += high - low;
		if (list != NULL)
			json_array_append_new(list, json_pack("{s:i, s:I, s:I}", "partition", partition, "low",
			                                      (json_int_t)low, "high", (json_int_t)high));
	}
	return messages;
}

static int command_info(Arguments *arguments)
{
	rd_kafka_t *consumer = make_client(RD_KAFKA_CONSUMER);
	json_t *list = json_array();
	int64_t messages = topic_messages(consumer, take_argument(arguments, "TOPIC"), list);

	print_json(json_pack("{s:o, s:I}", "partitions", list, "messages", (json_int_t)messages));
	rd_kafka_destroy(consumer);
	return 0;
}

static int command_wait(Arguments *arguments)
{
	double seconds = number_of(take_option(arguments, "seconds"), "--seconds", 60);
	const char *topic = take_argument(arguments, "TOPIC");
	int64_t wanted = (int64_t)number_of(take_argument(arguments, "COUNT"), "COUNT", 0);
	rd_kafka_t *consumer = make_client(RD_KAFKA_CONSUMER);
	double end = seconds_now() + seconds;
	int64_t found;

	while ((found = topic_messages(consumer, topic, NULL)) < wanted) {
		if (seconds_now() > end)
			fail("topic %s holds %lld messages after %g s, not %lld", topic, (long long)found,
			     seconds, (long long)wanted);
		sleep_seconds(0.02);
	}
	printf("%lld\n", (long long)found);
	rd_kafka_destroy(consumer);
	return 0;
}

static int command_ready(Arguments *arguments)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_t *client = make_client(RD_KAFKA_PRODUCER);
	rd_kafka_resp_err_t error = rd_kafka_metadata(client, 1, NULL, &metadata, 2000);

	(void)arguments;
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	rd_kafka_destroy(client);
	return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 1;
}

static const struct Command
{
	const char *name;
	int (*run)(Arguments *arguments);
} commands[] = {
	{"pub-json", command_pub_json}, {"load", command_load},     {"dump", command_dump},
	{"check", command_check},       {"info", command_info},     {"wait", command_wait},
	{"topic", command_topic},       {"extend", command_extend}, {"delete", command_delete},
	{"ready", command_ready},
};

int main(int count, char **values)
{
	Arguments arguments = {count - 1, values + 1};
	const char *name;

	take_kafka_options(&arguments);
	name = take_argument(&arguments, "COMMAND");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0) {
			int status = commands[i].run(&arguments);

			check_all_taken(&arguments);
			return status;
		}
	usage_error("there is no command \"%s\"", name);
}
