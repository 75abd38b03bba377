/*
 * kafka_topics.c - the topics: those that are missing are made, those with too few
 * partitions for the lanes get more.  Runs in the attempt's thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A topic that was made is looked for again so often: its metadata spread slowly. */
#define LOOK_AGAIN_US 50000

int32_t te_kafka_count_partitions(rd_kafka_t *rk, const char *topic, int64_t timeout, char *error,
                                  size_t size)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	rd_kafka_resp_err_t err;
	int32_t count = 0;

	if (rkt == NULL) {
		snprintf(error, size, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
		return -1;
	}
	err = rd_kafka_metadata(rk, 0, rkt, &metadata, (int)(timeout / TE_MSEC));
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
		err = metadata->topics[0].err;
		count = metadata->topics[0].partition_cnt;
	}
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
		count = 0;
	} else if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(error, size, "cannot look up topic %s: %s", topic, rd_kafka_err2str(err));
		count = -1;
	}
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(rkt);
	return count;
}

/* The result of one topic; "already there" is as good as made: another lane was faster. */
static bool judge_result(TeKafkaAttempt *attempt, const char *what, const char *topic,
                         rd_kafka_event_t *event, const rd_kafka_topic_result_t **results,
                         size_t count)
{
	rd_kafka_resp_err_t err =
		event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *text = event != NULL ? rd_kafka_event_error_string(event) : "no answer";

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && count == 1) {
		err = rd_kafka_topic_result_error(results[0]);
		text = rd_kafka_topic_result_error_string(results[0]);
	}
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return true;
	return te_attempt_fail(&attempt->base, "cannot %s topic %s: %s", what, topic,
	                       text != NULL ? text : rd_kafka_err2str(err));
}

static rd_kafka_AdminOptions_t *options_for(const TeKafkaAttempt *attempt, rd_kafka_admin_op_t op)
{
	int timeout = (int)(attempt->settings->config.request_timeout / TE_MSEC);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(attempt->link->producer, op);
	char error[128];

	rd_kafka_AdminOptions_set_request_timeout(options, timeout, error, sizeof(error));
	rd_kafka_AdminOptions_set_operation_timeout(options, timeout, error, sizeof(error));
	return options;
}

static bool make_topic(TeKafkaAttempt *attempt, const char *topic, int32_t partitions)
{
	const TeTransportConfig *config = &attempt->settings->config;
	rd_kafka_t *rk = attempt->link->producer;
	rd_kafka_AdminOptions_t *options = options_for(attempt, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	char text[TE_TRANSPORT_ERROR_SIZE];
	const rd_kafka_topic_result_t **results = NULL;
	rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(
		topic, partitions, config->replicas > 0 ? config->replicas : -1, text, sizeof(text));
	rd_kafka_event_t *event = NULL;
	size_t count = 0;
	bool ok = made != NULL || te_attempt_fail(&attempt->base, "topic %s: %s", topic, text);

	if (ok) {
		rd_kafka_CreateTopics(rk, &made, 1, options, queue);
		event = rd_kafka_queue_poll(queue, (int)(2 * config->request_timeout / TE_MSEC));
		if (event != NULL)
			results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
			                                              &count);
		ok = judge_result(attempt, "create", topic, event, results, count);
		rd_kafka_NewTopic_destroy(made);
	}
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return ok;
}

static bool extend_topic(TeKafkaAttempt *attempt, const char *topic, int32_t partitions)
{
	rd_kafka_t *rk = attempt->link->producer;
	rd_kafka_AdminOptions_t *options = options_for(attempt, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	char text[TE_TRANSPORT_ERROR_SIZE];
	const rd_kafka_topic_result_t **results = NULL;
	rd_kafka_NewPartitions_t *more =
		rd_kafka_NewPartitions_new(topic, (size_t)partitions, text, sizeof(text));
	rd_kafka_event_t *event = NULL;
	size_t count = 0;
	bool ok = more != NULL || te_attempt_fail(&attempt->base, "topic %s: %s", topic, text);

	if (ok) {
		rd_kafka_CreatePartitions(rk, &more, 1, options, queue);
		event = rd_kafka_queue_poll(queue,
		                            (int)(2 * attempt->settings->config.request_timeout / TE_MSEC));
		if (event != NULL)
			results = rd_kafka_CreatePartitions_result_topics(
				rd_kafka_event_CreatePartitions_result(event), &count);
		ok = judge_result(attempt, "add partitions to", topic, event, results, count);
		rd_kafka_NewPartitions_destroy(more);
	}
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return ok;
}

/* Until the topic has so many partitions; -1 with the error set when it never does. */
static int32_t wait_for_partitions(TeKafkaAttempt *attempt, const char *topic, int32_t wanted)
{
	int64_t timeout = attempt->settings->config.request_timeout;
	int32_t count = -1;

	for (int64_t waited = 0; waited <= timeout; waited += LOOK_AGAIN_US) {
		if (te_attempt_is_abandoned(&attempt->base))
			return -1;
		count = te_kafka_count_partitions(attempt->link->consumer, topic, timeout,
		                                  attempt->base.error, sizeof(attempt->base.error));
		if (count < 0 || count >= wanted)
			return count;
		usleep(LOOK_AGAIN_US);
	}
	te_attempt_fail(&attempt->base, "topic %s has %d partitions instead of %d", topic, (int)count,
	                (int)wanted);
	return -1;
}

/* Its partitions, at least `wanted`; -1 when it can't have them. */
static int32_t ensure_topic(TeKafkaAttempt *attempt, const char *topic, int32_t wanted)
{
	int32_t count = te_kafka_count_partitions(attempt->link->consumer, topic,
	                                          attempt->settings->config.request_timeout,
	                                          attempt->base.error, sizeof(attempt->base.error));

	if (count < 0 || count >= wanted)
		return count;
	if (count == 0 ? !make_topic(attempt, topic, wanted) : !extend_topic(attempt, topic, wanted))
		return -1;
	return wait_for_partitions(attempt, topic, wanted);
}

bool te_kafka_check_topics(TeKafkaAttempt *attempt)
{
	const TeKafkaSettings *settings = attempt->settings;
	const TeTransportConfig *config = &settings->config;
	int32_t lanes = config->lanes > config->lane ? config->lanes : config->lane + 1;

	for (int i = 0; config->want_output && i < TE_KAFKA_OUTPUTS; i++)
		if (ensure_topic(attempt, settings->outputs[i], lanes) < 0)
			return false;
	for (int i = 0; config->want_input && i < TE_KAFKA_INPUTS; i++)
		if ((attempt->link->partitions[i] = ensure_topic(attempt, settings->inputs[i], 1)) < 0)
			return false;
	if (config->want_output && ensure_topic(attempt, settings->resent, lanes) < 0)
		return false;
	return ensure_topic(attempt, settings->control, 1) > 0;
}
