/*
 * te_kafka.h - parts of the test client, see te_kafka.c.
 */
#ifndef TE_TEST_KAFKA_H
#define TE_TEST_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "common/message.h"

/* How long a broker may take to answer. */
#define KAFKA_TIMEOUT_MS 10000

/* A client as the command line and the environment describe it; ends the program where it can't. */
extern rd_kafka_t *make_client(rd_kafka_type_t type);
/* Partitions of a topic, 0 where there is none. */
extern int count_partitions(rd_kafka_t *client, const char *topic);

/* Called for every message of a topic, one partition after the other, to its present end. */
typedef void (*TopicVisitor)(void *context, const Message *message, const rd_kafka_message_t *raw);
extern void read_topic(rd_kafka_t *consumer, const char *topic, TopicVisitor visit, void *context);

/* Publishing; each waits for the acknowledgements. */
extern int command_pub_json(Arguments *arguments);
extern int command_load(Arguments *arguments);

#endif
