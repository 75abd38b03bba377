/*
 * te_kafka.h - parts of the test client, see te_kafka.c.
 */
#ifndef TE_TEST_KAFKA_H
#define TE_TEST_KAFKA_H

#include "kafka_client/kafka_client.h"

/* Publishing; each waits for the acknowledgements. */
extern int command_pub_json(Arguments *arguments);
extern int command_load(Arguments *arguments);

/* Topics. */
extern int command_topic(Arguments *arguments);
extern int command_extend(Arguments *arguments);
extern int command_delete(Arguments *arguments);

#endif
