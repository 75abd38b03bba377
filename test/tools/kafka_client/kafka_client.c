/*
 * kafka_client.c - connecting to Kafka, reading a topic.
 */
#include "kafka_client/kafka_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 64

static const char *brokers, *config_file;

bool take_kafka_options(Arguments *arguments)
{
	if ((brokers = take_option(arguments, "brokers")) == NULL)
		brokers = getenv("KAFKA_BROKERS");
	if ((config_file = take_option(arguments, "config")) == NULL)
		config_file = getenv("KAFKA_CONFIG");
	return brokers != NULL;
}

static void set_option(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		usage_error("%s=%s: %s", name, value, error);
}

static void read_config(rd_kafka_conf_t *conf, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[1024];

	if (file == NULL)
		fail("%s: can't be read", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		char *value = strchr(line, '=');

		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (value == NULL)
			usage_error("%s: \"%s\" is not NAME=VALUE", path, line);
		*value = '\0';
		set_option(conf, line, value + 1);
	}
	fclose(file);
}

rd_kafka_t *make_client(rd_kafka_type_t type)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;
	char error[256];

	if (brokers == NULL)
		usage_error("neither --brokers nor KAFKA_BROKERS says where the brokers are");
	set_option(conf, "client.id", program_name);
	set_option(conf, "bootstrap.servers", brokers);
	set_option(conf, "reconnect.backoff.max.ms", "500");
	if (type == RD_KAFKA_CONSUMER) {
		set_option(conf, "group.id", program_name);
		set_option(conf, "enable.auto.commit", "false");
		set_option(conf, "auto.offset.reset", "error");
		set_option(conf, "enable.partition.eof", "true");
		set_option(conf, "check.crcs", "true");
		set_option(conf, "fetch.wait.max.ms", "50");
	} else {
		rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
		set_option(conf, "enable.idempotence", "true");
		set_option(conf, "linger.ms", "0");
		set_option(conf, "message.timeout.ms", "30000");
		set_option(conf, "message.max.bytes", "100000000");
	}
	if (config_file != NULL)
		read_config(conf, config_file);
	client = rd_kafka_new(type, conf, error, sizeof(error));
	if (client == NULL)
		fail("%s", error);
	if (type == RD_KAFKA_CONSUMER)
		rd_kafka_poll_set_consumer(client);
	return client;
}

int count_partitions(rd_kafka_t *client, const char *topic)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
	rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, KAFKA_TIMEOUT_MS);
	int count;

	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s: %s", topic, rd_kafka_err2str(error));
	count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(handle);
	return count;
}

void watermarks(rd_kafka_t *client, const char *topic, int partition, int64_t *low, int64_t *high)
{
	rd_kafka_resp_err_t error =
		rd_kafka_query_watermark_offsets(client, topic, partition, low, high, KAFKA_TIMEOUT_MS);

	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s/%d: %s", topic, partition, rd_kafka_err2str(error));
}

/* The subject is a header; what has none is told by its topic. */
static void visit_raw(const rd_kafka_message_t *raw, const char *topic, TopicVisitor visit,
                      void *context)
{
	Header headers[MAX_HEADERS];
	Message message = {
		.subject = topic, .headers = headers, .data = raw->payload, .length = raw->len};
	rd_kafka_headers_t *list = NULL;
	const void *value;
	size_t size;

	if (rd_kafka_message_headers(raw, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
		while (message.header_count < MAX_HEADERS &&
		       rd_kafka_header_get_all(list, message.header_count,
		                               &headers[message.header_count].name, &value,
		                               &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
			/* librdkafka puts a zero behind each value. */
			headers[message.header_count++].value = value != NULL ? value : "";
	if (message_header(&message, "te-subject") != NULL)
		message.subject = message_header(&message, "te-subject");
	visit(context, &message, raw);
}

static void read_partition(rd_kafka_t *consumer, const char *topic, int partition,
                           TopicVisitor visit, void *context)
{
	double end = seconds_now() + KAFKA_TIMEOUT_MS / 1000.0;
	rd_kafka_topic_partition_list_t *list;
	int64_t low, high, next;

	watermarks(consumer, topic, partition, &low, &high);
	if (low >= high)
		return;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = low;
	rd_kafka_assign(consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	for (next = low; next < high;) {
		rd_kafka_message_t *raw = rd_kafka_consumer_poll(consumer, 200);

		if (seconds_now() > end)
			fail("%s/%d: nothing behind offset %lld of %lld", topic, partition, (long long)next - 1,
			     (long long)high - 1);
		if (raw == NULL)
			continue;
		if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR && raw->partition == partition) {
			if (raw->offset < high)
				visit_raw(raw, topic, visit, context);
			next = raw->offset + 1;
			end = seconds_now() + KAFKA_TIMEOUT_MS / 1000.0;
		} else if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			/* What is last may be a mark of the broker's, which is no message. */
			next = raw->offset;
		rd_kafka_message_destroy(raw);
	}
	rd_kafka_assign(consumer, NULL);
}

void read_topic(rd_kafka_t *consumer, const char *topic, TopicVisitor visit, void *context)
{
	int partitions = count_partitions(consumer, topic);

	for (int partition = 0; partition < partitions; partition++)
		read_partition(consumer, topic, partition, visit, context);
}
