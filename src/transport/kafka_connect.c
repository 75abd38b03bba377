#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Abandoned attempts and links that hang in being freed.  With more we wait for one to end. */
#define LEFTOVERS_MAX 8

/* A wait for the brokers that can be abandoned, in slices. */
#define SLICE_MS 250

TeLeftovers te_kafka_leftovers = TE_LEFTOVERS_NONE;

/*----------------------------------------------------------------------
 * Links
 *----------------------------------------------------------------------*/

/* Messages that are queued are dropped: where they go on is the next link's to find out. */
static void free_link(TeKafkaLink *link)
{
	if (link->produced != NULL)
		rd_kafka_queue_destroy(link->produced);
	if (link->consumed != NULL)
		rd_kafka_queue_destroy(link->consumed);
	if (link->consumer != NULL)
		rd_kafka_destroy_flags(link->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	if (link->producer != NULL)
		rd_kafka_destroy(link->producer);
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	free(link);
}

static void *free_link_main(void *argument)
{
	free_link(argument);
	te_leftovers_add(&te_kafka_leftovers, -1);
	return NULL;
}

void te_kafka_link_silence(TeKafkaLink *link)
{
	if (link->produced != NULL)
		rd_kafka_queue_io_event_enable(link->produced, -1, NULL, 0);
	if (link->consumed != NULL)
		rd_kafka_queue_io_event_enable(link->consumed, -1, NULL, 0);
}

/* Freeing waits for librdkafka's threads.  Without a thread to do that the memory is given up. */
void te_kafka_link_release(TeKafkaLink *link)
{
	if (link == NULL || atomic_fetch_sub(&link->refs, 1) > 1)
		return;
	te_kafka_link_silence(link);
	te_leftovers_add(&te_kafka_leftovers, 1);
	if (te_thread_start(NULL, free_link_main, link) != 0)
		te_leftovers_add(&te_kafka_leftovers, -1);
}

/* A link that is looked at. */
typedef struct Looking
{
	TeKafkaLink *link;
	TeKafkaSettings *settings;
} Looking;

/* Has an input topic other partitions than when the link was made? */
static void note_partitions(const Looking *looking, const struct rd_kafka_metadata *metadata)
{
	TeKafkaLink *link = looking->link;

	for (int t = 0; t < metadata->topic_cnt; t++)
		for (int i = 0; i < TE_KAFKA_INPUTS; i++)
			if (strcmp(metadata->topics[t].topic, looking->settings->inputs[i]) == 0 &&
			    metadata->topics[t].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
			    metadata->topics[t].partition_cnt != link->partitions[i])
				atomic_store(&link->changed, 1 + i);
}

/* The topics that the consumer knows are those that it reads. */
static void *look_main(void *argument)
{
	Looking *looking = argument;
	TeKafkaLink *link = looking->link;
	int timeout = (int)(looking->settings->config.request_timeout / TE_MSEC);
	const struct rd_kafka_metadata *metadata = NULL;
	uint64_t one = 1;

	if (rd_kafka_metadata(link->consumer, 0, NULL, &metadata, timeout) ==
	    RD_KAFKA_RESP_ERR_NO_ERROR) {
		atomic_store(&link->unanswered, 0);
		note_partitions(looking, metadata);
		rd_kafka_metadata_destroy(metadata);
	} else {
		atomic_fetch_add(&link->unanswered, 1);
	}
	atomic_store(&link->looking, false);
	if (write(link->wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full, so the loop is awake anyway. */
	}
	te_kafka_settings_release(looking->settings);
	te_kafka_link_release(link);
	free(looking);
	te_leftovers_add(&te_kafka_leftovers, -1);
	return NULL;
}

void te_kafka_link_look(TeKafkaLink *link, TeKafkaSettings *settings)
{
	Looking *looking = atomic_load(&link->looking) ? NULL : calloc(1, sizeof(*looking));

	if (looking == NULL)
		return;
	atomic_store(&link->looking, true);
	atomic_fetch_add(&link->refs, 1);
	*looking = (Looking){link, te_kafka_settings_ref(settings)};
	te_leftovers_add(&te_kafka_leftovers,
	                 1); /* whoever waits for the link to be gone waits for this too */
	if (te_thread_start(NULL, look_main, looking) == 0)
		return;
	atomic_store(&link->looking, false);
	atomic_fetch_sub(&link->refs, 1);
	te_kafka_settings_release(settings);
	free(looking);
	te_leftovers_add(&te_kafka_leftovers, -1);
}

static rd_kafka_t *make_instance(const TeKafkaSettings *settings, rd_kafka_type_t type, char *error,
                                 size_t size)
{
	rd_kafka_conf_t *conf = te_kafka_conf(settings, type, error, size);
	rd_kafka_t *rk;

	if (conf == NULL)
		return NULL;
	if ((rk = rd_kafka_new(type, conf, error, size)) == NULL) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_set_log_queue(rk, NULL);
	return rk;
}

static bool make_link(TeKafkaAttempt *attempt)
{
	TeKafkaLink *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return te_attempt_fail(&attempt->base, "out of memory");
	attempt->link = link;
	atomic_init(&link->refs, 1);
	atomic_init(&link->looking, false);
	atomic_init(&link->changed, 0);
	atomic_init(&link->unanswered, 0);
	link->wake_fd = fcntl(attempt->base.wake_fd, F_DUPFD_CLOEXEC, 0);
	if (link->wake_fd < 0)
		return te_attempt_fail(&attempt->base, "no descriptor: %s", strerrordesc_np(errno));
	link->producer = make_instance(attempt->settings, RD_KAFKA_PRODUCER, attempt->base.error,
	                               sizeof(attempt->base.error));
	if (link->producer == NULL)
		return false;
	link->consumer = make_instance(attempt->settings, RD_KAFKA_CONSUMER, attempt->base.error,
	                               sizeof(attempt->base.error));
	if (link->consumer == NULL)
		return false;
	rd_kafka_poll_set_consumer(link->consumer);
	link->produced = rd_kafka_queue_get_main(link->producer);
	link->consumed = rd_kafka_queue_get_consumer(link->consumer);
	return true;
}

/*----------------------------------------------------------------------
 * Attempts
 *----------------------------------------------------------------------*/

static void release_attempt(TeAttempt *base)
{
	TeKafkaAttempt *attempt = (TeKafkaAttempt *)base;

	te_kafka_link_release(attempt->link);
	te_kafka_settings_release(attempt->settings);
	free(attempt->check.found);
	free(attempt->places);
	free(attempt);
}

/* The settings that an error may come from, or empty. */
static const char *name_settings(rd_kafka_resp_err_t err, const char *text,
                                 const TeTransportConfig *config)
{
	if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
		return ", check kafka_sasl_mechanism, kafka_sasl_username and kafka_sasl_password_file";
	if (err != RD_KAFKA_RESP_ERR__SSL && strstr(text, "SSL") == NULL)
		return "";
	return config->tls_cert_file != NULL
	           ? ", check kafka_ca_file, kafka_cert_file and kafka_key_file"
	           : ", check kafka_security_protocol and kafka_ca_file";
}

/* How much an event of librdkafka's tells: nothing, a word of its log, an error, one with a cause.
 */
typedef enum { TELLS_NOTHING, TELLS_LOG, TELLS_ERROR, TELLS_CAUSE } Telling;

/* The event's text, when it tells as much as the one before. */
static Telling read_event(rd_kafka_event_t *event, const TeTransportConfig *config, Telling before,
                          char *text, size_t size)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const char *words, *settings, *fac;
	Telling telling;
	int level;

	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
	    err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		words = rd_kafka_event_error_string(event);
		settings = name_settings(err, words, config);
		telling = settings[0] != '\0' ? TELLS_CAUSE : TELLS_ERROR;
	} else if (rd_kafka_event_log(event, &fac, &words, &level) == 0) {
		settings = "";
		telling = TELLS_LOG;
	} else {
		return before;
	}
	if (telling < before)
		return before;
	snprintf(text, size, "%s: %s", settings, words);
	return telling;
}

/*
 * The most telling thing that librdkafka said last about this link, or empty.  How long it took is
 * cut off: the same complaint is the same text.
 */
static void read_complaints(TeKafkaLink *link, const TeTransportConfig *config, char *text,
                            size_t size)
{
	rd_kafka_queue_t *queues[] = {link->produced, link->consumed};
	Telling telling = TELLS_NOTHING;
	char *after;

	text[0] = '\0';
	for (int i = 0; i < 2; i++) {
		rd_kafka_event_t *event;

		while ((event = rd_kafka_queue_poll(queues[i], 0)) != NULL) {
			telling = read_event(event, config, telling, text, size);
			rd_kafka_event_destroy(event);
		}
	}
	if ((after = strstr(text, " (after ")) != NULL)
		*after = '\0';
}

/*
 * The cluster's id.  It comes with the first metadata; asking for these makes librdkafka connect
 * at once, asking for the id alone would wait for it to do that by itself.
 */
static bool reach_cluster(TeKafkaAttempt *attempt)
{
	const TeTransportConfig *config = &attempt->settings->config;
	char complaint[TE_TRANSPORT_ERROR_SIZE];
	char *id = NULL;

	for (int64_t waited = 0; waited < config->connect_timeout && id == NULL;
	     waited += SLICE_MS * TE_MSEC) {
		const struct rd_kafka_metadata *metadata = NULL;

		if (te_attempt_is_abandoned(&attempt->base))
			return false;
		if (rd_kafka_metadata(attempt->link->consumer, 0, NULL, &metadata, SLICE_MS) ==
		    RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_metadata_destroy(metadata);
			id = rd_kafka_clusterid(attempt->link->consumer, SLICE_MS);
		}
	}
	if (id == NULL) {
		read_complaints(attempt->link, config, complaint, sizeof(complaint));
		return te_attempt_fail(&attempt->base, "cannot connect to %s%s", config->url, complaint);
	}
	snprintf(attempt->link->cluster_id, sizeof(attempt->link->cluster_id), "%s", id);
	rd_kafka_mem_free(attempt->link->consumer, id);
	return true;
}

static bool make_checked_link(TeKafkaAttempt *attempt)
{
	if (!te_credentials_check_tls(&attempt->settings->config, &te_kafka_names, attempt->base.error,
	                              sizeof(attempt->base.error)) ||
	    !make_link(attempt) || !reach_cluster(attempt))
		return false;
	atomic_store(&attempt->checking, true);
	return te_kafka_check_topics(attempt) && te_kafka_check_input(attempt) &&
	       te_kafka_check_output(attempt);
}

static void run_attempt(TeAttempt *base)
{
	static const uint64_t one = 1;
	TeKafkaAttempt *attempt = (TeKafkaAttempt *)base;
	TeKafkaLink *link;

	te_attempt_fail(base, "abandoned");
	if (!make_checked_link(attempt))
		return;
	link = attempt->link;
	rd_kafka_queue_io_event_enable(link->produced, link->wake_fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(link->consumed, link->wake_fd, &one, sizeof(one));
	base->error[0] = '\0';
}

TeKafkaAttempt *te_kafka_attempt_start(TeKafkaSettings *settings, TeKafkaPlace *places,
                                       int place_count, const int64_t *acked_end, int wake_fd,
                                       char *error, size_t size)
{
	TeKafkaAttempt *attempt;

	if (te_leftovers_count(&te_kafka_leftovers) >= LEFTOVERS_MAX ||
	    (attempt = calloc(1, sizeof(*attempt))) == NULL) {
		snprintf(error, size, "%d earlier connections still hang, or memory ran out",
		         LEFTOVERS_MAX);
		free(places);
		return NULL;
	}
	attempt->base.run = run_attempt;
	attempt->base.release = release_attempt;
	attempt->base.leftovers = &te_kafka_leftovers;
	atomic_init(&attempt->checking, false);
	attempt->settings = te_kafka_settings_ref(settings);
	attempt->places = places;
	attempt->place_count = place_count;
	memcpy(attempt->acked_end, acked_end, sizeof(attempt->acked_end));
	return te_attempt_start(&attempt->base, wake_fd, error, size) ? attempt : NULL;
}

bool te_kafka_attempt_finish(TeKafkaAttempt *attempt, TeKafkaLink **link, TeKafkaCheck *check,
                             char *error, size_t size)
{
	if (!te_attempt_is_done(&attempt->base))
		return false;
	*link = NULL;
	snprintf(error, size, "%s", attempt->base.error);
	if (error[0] == '\0') {
		*link = attempt->link;
		attempt->link = NULL;
		*check = attempt->check;
		attempt->check.found = NULL;
	}
	release_attempt(&attempt->base);
	return true;
}
