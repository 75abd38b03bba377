/*
 * kafka_none.c - what stands for Kafka in a library that was built without librdkafka.
 */
#include "transport.h"

#include <stdio.h>

TeTransport *te_kafka_create(const TeTransportConfig *config, char *error, size_t error_size)
{
	(void)config;
	snprintf(error, error_size, "this library was built without Kafka (librdkafka)");
	return NULL;
}

const char *te_kafka_version(void)
{
	return NULL;
}
