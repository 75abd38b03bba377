#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Abandoned attempts and links that hang in being freed.  With more we wait for one to end. */
#define LEFTOVERS_MAX 8

/* A wait for the brokers that can be abandoned, in slices. */
#define SLICE_MS 250

/*----------------------------------------------------------------------
 * Leftovers
 *----------------------------------------------------------------------*/

static pthread_mutex_t leftovers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t leftovers_changed = PTHREAD_COND_INITIALIZER;
static unsigned leftovers;

static void count_leftover(int change)
{
	pthread_mutex_lock(&leftovers_lock);
	leftovers = (unsigned)((int)leftovers + change);
	pthread_cond_broadcast(&leftovers_changed);
	pthread_mutex_unlock(&leftovers_lock);
}

unsigned te_kafka_leftovers(void)
{
	unsigned count;

	pthread_mutex_lock(&leftovers_lock);
	count = leftovers;
	pthread_mutex_unlock(&leftovers_lock);
	return count;
}

void te_kafka_await_leftovers(int64_t microseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += microseconds / TE_SEC;
	until.tv_nsec += microseconds % TE_SEC * 1000;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&leftovers_lock);
	while (leftovers > 0 &&
	       pthread_cond_timedwait(&leftovers_changed, &leftovers_lock, &until) == 0)
		;
	pthread_mutex_unlock(&leftovers_lock);
}

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
	count_leftover(-1);
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
	count_leftover(1);
	if (te_thread_start(NULL, free_link_main, link) != 0)
		count_leftover(-1);
}

/* A link that is looked at. */
typedef struct Looking
{
	TeKafkaLink *link;
	TeKafkaSettings *settings;
} Looking;

/* Does an input topic have more partitions than when the link was made? */
static void note_growth(const Looking *looking, const struct rd_kafka_metadata *metadata)
{
	TeKafkaLink *link = looking->link;

	for (int t = 0; t < metadata->topic_cnt; t++)
		for (int i = 0; i < TE_KAFKA_INPUTS; i++)
			if (strcmp(metadata->topics[t].topic, looking->settings->inputs[i]) == 0 &&
			    metadata->topics[t].partition_cnt > link->partitions[i])
				atomic_store(&link->grown, 1 + i);
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
		note_growth(looking, metadata);
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
	count_leftover(-1);
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
	count_leftover(1); /* whoever waits for the link to be gone waits for this too */
	if (te_thread_start(NULL, look_main, looking) == 0)
		return;
	atomic_store(&link->looking, false);
	atomic_fetch_sub(&link->refs, 1);
	te_kafka_settings_release(settings);
	free(looking);
	count_leftover(-1);
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
		return te_kafka_attempt_fail(attempt, "out of memory");
	attempt->link = link;
	atomic_init(&link->refs, 1);
	atomic_init(&link->looking, false);
	atomic_init(&link->grown, 0);
	atomic_init(&link->unanswered, 0);
	link->wake_fd = fcntl(attempt->wake_fd, F_DUPFD_CLOEXEC, 0);
	if (link->wake_fd < 0)
		return te_kafka_attempt_fail(attempt, "no descriptor: %s", strerrordesc_np(errno));
	link->producer =
		make_instance(attempt->settings, RD_KAFKA_PRODUCER, attempt->error, sizeof(attempt->error));
	if (link->producer == NULL)
		return false;
	link->consumer =
		make_instance(attempt->settings, RD_KAFKA_CONSUMER, attempt->error, sizeof(attempt->error));
	if (link->consumer == NULL)
		return false;
	rd_kafka_poll_set_consumer(link->consumer);
	link->produced = rd_kafka_queue_get_main(link->producer);
	link->consumed = rd_kafka_queue_get_consumer(link->consumer);
	return true;
}

/*----------------------------------------------------------------------
 * Attempts.  One has two owners, the thread and the transport; whoever comes second frees it.
 *----------------------------------------------------------------------*/

typedef enum { ATTEMPT_RUNNING, ATTEMPT_DONE, ATTEMPT_ABANDONED } AttemptState;

static void free_attempt(TeKafkaAttempt *attempt)
{
	te_kafka_link_release(attempt->link);
	te_kafka_settings_release(attempt->settings);
	free(attempt->check.found);
	free(attempt->places);
	free(attempt);
}

bool te_kafka_attempt_fail(TeKafkaAttempt *attempt, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(attempt->error, sizeof(attempt->error), format, arguments);
	va_end(arguments);
	return false;
}

/* What librdkafka said last about this link, or empty. */
static void read_complaints(TeKafkaLink *link, char *text, size_t size)
{
	rd_kafka_queue_t *queues[] = {link->produced, link->consumed};

	text[0] = '\0';
	for (int i = 0; i < 2; i++) {
		rd_kafka_event_t *event;

		while ((event = rd_kafka_queue_poll(queues[i], 0)) != NULL) {
			const char *fac, *str;
			int level;

			if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
			    rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
				snprintf(text, size, ": %s", rd_kafka_event_error_string(event));
			else if (text[0] == '\0' && rd_kafka_event_log(event, &fac, &str, &level) == 0)
				snprintf(text, size, ": %s", str);
			rd_kafka_event_destroy(event);
		}
	}
}

/*
 * The cluster's id.  It comes with the first metadata; asking for these makes librdkafka connect
 * at once, asking for the id alone would wait for it to do that by itself.
 */
static bool reach_cluster(TeKafkaAttempt *attempt)
{
	const TeTransportConfig *config = &attempt->settings->config;
	char complaint[TE_TRANSPORT_ERROR_SIZE / 2];
	char *id = NULL;

	for (int64_t waited = 0; waited < config->connect_timeout && id == NULL;
	     waited += SLICE_MS * TE_MSEC) {
		const struct rd_kafka_metadata *metadata = NULL;

		if (atomic_load(&attempt->abandoned))
			return false;
		if (rd_kafka_metadata(attempt->link->consumer, 0, NULL, &metadata, SLICE_MS) ==
		    RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_metadata_destroy(metadata);
			id = rd_kafka_clusterid(attempt->link->consumer, SLICE_MS);
		}
	}
	if (id == NULL) {
		read_complaints(attempt->link, complaint, sizeof(complaint));
		return te_kafka_attempt_fail(attempt, "cannot connect to %s%s", config->url, complaint);
	}
	snprintf(attempt->link->cluster_id, sizeof(attempt->link->cluster_id), "%s", id);
	rd_kafka_mem_free(attempt->link->consumer, id);
	return true;
}

static void run_attempt(TeKafkaAttempt *attempt)
{
	static const uint64_t one = 1;
	TeKafkaLink *link;

	if (!make_link(attempt) || !reach_cluster(attempt))
		return;
	atomic_store(&attempt->checking, true);
	if (!te_kafka_check_topics(attempt) || !te_kafka_check_input(attempt) ||
	    !te_kafka_check_output(attempt))
		return;
	link = attempt->link;
	rd_kafka_queue_io_event_enable(link->produced, link->wake_fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(link->consumed, link->wake_fd, &one, sizeof(one));
	attempt->error[0] = '\0';
}

static void *attempt_main(void *argument)
{
	TeKafkaAttempt *attempt = argument;
	int wake_fd = attempt->wake_fd;
	uint64_t one = 1;

	snprintf(attempt->error, sizeof(attempt->error), "abandoned");
	run_attempt(attempt);
	if (atomic_exchange(&attempt->state, ATTEMPT_DONE) == ATTEMPT_ABANDONED) {
		free_attempt(attempt);
		count_leftover(-1);
	} else if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full, so the loop is awake anyway. */
	}
	close(wake_fd);
	return NULL;
}

TeKafkaAttempt *te_kafka_attempt_start(TeKafkaSettings *settings, TeKafkaPlace *places,
                                       int place_count, const int64_t *acked_end, int wake_fd,
                                       char *error, size_t size)
{
	TeKafkaAttempt *attempt;
	int failed;

	if (te_kafka_leftovers() >= LEFTOVERS_MAX || (attempt = calloc(1, sizeof(*attempt))) == NULL) {
		snprintf(error, size, "%d earlier connections still hang, or memory ran out",
		         LEFTOVERS_MAX);
		free(places);
		return NULL;
	}
	atomic_init(&attempt->state, ATTEMPT_RUNNING);
	atomic_init(&attempt->abandoned, false);
	atomic_init(&attempt->checking, false);
	attempt->settings = te_kafka_settings_ref(settings);
	attempt->places = places;
	attempt->place_count = place_count;
	memcpy(attempt->acked_end, acked_end, sizeof(attempt->acked_end));
	attempt->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
	failed = attempt->wake_fd < 0 ? errno : te_thread_start(NULL, attempt_main, attempt);
	if (failed != 0) {
		snprintf(error, size, "cannot start a thread to connect: %s", strerrordesc_np(failed));
		if (attempt->wake_fd >= 0)
			close(attempt->wake_fd);
		free_attempt(attempt);
		return NULL;
	}
	return attempt;
}

bool te_kafka_attempt_finish(TeKafkaAttempt *attempt, TeKafkaLink **link, TeKafkaCheck *check,
                             char *error, size_t size)
{
	if (atomic_load(&attempt->state) != ATTEMPT_DONE)
		return false;
	*link = NULL;
	snprintf(error, size, "%s", attempt->error);
	if (attempt->error[0] == '\0') {
		*link = attempt->link;
		attempt->link = NULL;
		*check = attempt->check;
		attempt->check.found = NULL;
	}
	free_attempt(attempt);
	return true;
}

void te_kafka_attempt_abandon(TeKafkaAttempt *attempt)
{
	if (attempt == NULL)
		return;
	count_leftover(1);
	atomic_store(&attempt->abandoned, true);
	if (atomic_exchange(&attempt->state, ATTEMPT_ABANDONED) == ATTEMPT_DONE) {
		free_attempt(attempt);
		count_leftover(-1);
	}
}
