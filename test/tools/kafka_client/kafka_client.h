/*
 * kafka_client.h - connecting to Kafka, reading a topic.
 */
#ifndef TE_TEST_KAFKA_CLIENT_H
#define TE_TEST_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "common/message.h"

/* How long a broker may take to answer. */
#define KAFKA_TIMEOUT_MS 30000

/* --brokers and --config, or KAFKA_BROKERS and KAFKA_CONFIG; false where no broker is named. */
extern bool take_kafka_options(Arguments *arguments);

/* A client as the command line and the environment describe it; ends the program where it can't. */
extern rd_kafka_t *make_client(rd_kafka_type_t type);
/* Partitions of a topic, 0 where there is none. */
extern int count_partitions(rd_kafka_t *client, const char *topic);
/* The first offset of a partition, and the next to be given out. */
extern void watermarks(rd_kafka_t *client, const char *topic, int partition, int64_t *low,
                       int64_t *high);

/* Called for every message of a topic, one partition after the other, to its present end. */
typedef void (*TopicVisitor)(void *context, const Message *message, const rd_kafka_message_t *raw);
extern void read_topic(rd_kafka_t *consumer, const char *topic, TopicVisitor visit, void *context);

#endif
