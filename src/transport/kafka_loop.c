#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

/* Events of one process() call and queue; more wait for the next, so that the caller gets its turn.
 */
#define EVENTS_MAX 1000

/* How long the freeing of what is left over may keep te_transport_destroy(). */
#define DESTROY_PATIENCE (1 * TE_SEC)

static void set_state(TeKafka *k, TeTransportState state, int64_t now)
{
	if (k->stats.state != state || k->stats.since == 0)
		k->stats.since = now;
	k->stats.state = state;
}

__attribute__((format(printf, 3, 0))) static void note_error(TeKafka *k, int64_t now,
                                                             const char *format, va_list arguments)
{
	char text[TE_TRANSPORT_ERROR_SIZE];

	vsnprintf(text, sizeof(text), format, arguments);
	memcpy(k->stats.last_error, text, sizeof(text));
	k->stats.last_error_at = now;
	k->stats.errors++;
}

static void forget_link(TeKafka *k)
{
	te_attempt_abandon((TeAttempt *)k->attempt);
	k->attempt = NULL;
	if (k->link != NULL) {
		te_kafka_link_silence(k->link);
		te_kafka_link_release(k->link);
		k->link = NULL;
		k->stats.disconnects++;
		k->events |= TE_EVENT_DISCONNECTED;
	}
	te_kafka_input_disconnected(k);
	te_kafka_output_disconnected(k);
}

void te_kafka_drop(TeKafka *k, int64_t now, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note_error(k, now, format, arguments);
	va_end(arguments);
	if (k->stats.state == TE_TRANSPORT_READY && now - k->ready_at >= k->config->backoff_max)
		k->failures = 0;
	forget_link(k);
	k->retry_at = now + te_backoff(k->config, k->failures++, &k->random);
	set_state(k, TE_TRANSPORT_DISCONNECTED, now);
}

static void start_attempt(TeKafka *k, int64_t now)
{
	char error[TE_TRANSPORT_ERROR_SIZE];
	int count;
	TeKafkaPlace *places = te_kafka_input_places(k, &count);

	snprintf(error, sizeof(error), "out of memory");
	if (places != NULL)
		k->attempt = te_kafka_attempt_start(k->settings, places, count, k->out.acked_end,
		                                    k->wake_fd, error, sizeof(error));
	if (k->attempt == NULL) {
		k->stats.connect_failures++;
		te_kafka_drop(k, now, "%s", error);
		return;
	}
	set_state(k, TE_TRANSPORT_CONNECTING, now);
}

void te_kafka_complain(TeKafka *k, int64_t now, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note_error(k, now, format, arguments);
	va_end(arguments);
}

static void take_link(TeKafka *k, TeKafkaLink *link, TeKafkaCheck *check, int64_t now)
{
	k->link = link;
	k->ready_at = now;
	k->look_at = now + k->config->look_every;
	k->detail[0] = '\0';
	k->stats.connects++;
	memcpy(k->stats.server_id, link->cluster_id, sizeof(k->stats.server_id));
	te_kafka_input_found(k, check);
	te_kafka_output_found(k, check);
	if (check->refusal[0] != '\0')
		te_kafka_complain(k, now, "%s", check->refusal);
	k->events |= TE_EVENT_CONNECTED;
	set_state(k, TE_TRANSPORT_READY, now);
}

static void watch_attempt(TeKafka *k, int64_t now)
{
	char error[TE_TRANSPORT_ERROR_SIZE];
	TeKafkaCheck check;
	TeKafkaLink *link;

	if (!te_kafka_attempt_finish(k->attempt, &link, &check, error, sizeof(error)))
		return;
	k->attempt = NULL;
	if (link == NULL) {
		k->stats.connect_failures++;
		te_kafka_drop(k, now, "%s", error);
		return;
	}
	take_link(k, link, &check, now);
	free(check.found);
}

/*----------------------------------------------------------------------
 * Events
 *----------------------------------------------------------------------*/

/*
 * Of a producer that has nothing to do, an idle connection that its broker closed looks like a
 * broker that is down; the consumer, which always asks for something, knows better.
 */
static bool is_down(const TeKafka *k, bool producer)
{
	return producer ? k->out.oldest < k->out.next || !k->in.reading : true;
}

static void on_error(TeKafka *k, rd_kafka_event_t *event, bool producer, int64_t now)
{
	rd_kafka_t *rk = producer ? k->link->producer : k->link->consumer;
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const char *text = rd_kafka_event_error_string(event);
	char fatal[TE_TRANSPORT_ERROR_SIZE / 2];
	rd_kafka_topic_partition_t *at;

	switch (err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		if ((at = rd_kafka_event_topic_partition(event)) != NULL) {
			te_kafka_input_ended(k, at);
			rd_kafka_topic_partition_destroy(at);
		}
		break;
	case RD_KAFKA_RESP_ERR__FATAL:
		rd_kafka_fatal_error(rk, fatal, sizeof(fatal));
		te_kafka_drop(k, now, "librdkafka gives up: %s", fatal);
		break;
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		if (is_down(k, producer))
			te_kafka_drop(k, now, "no broker can be reached%s%s", k->detail[0] != '\0' ? ": " : "",
			              k->detail);
		break;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
		te_kafka_drop(k, now, "%s", text);
		break;
	default:
		/* One broker of several, or the group's coordinator, which nobody needs. */
		snprintf(k->detail, sizeof(k->detail), "%s", text);
		break;
	}
}

static void on_messages(TeKafka *k, rd_kafka_event_t *event, bool producer, int64_t now)
{
	const TeKafkaLink *link = k->link;
	const rd_kafka_message_t *message;

	while (k->link == link && (message = rd_kafka_event_message_next(event)) != NULL) {
		if (producer)
			te_kafka_output_delivered(k, message, now);
		else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			te_kafka_input_message(k, message, now);
	}
}

/* False when the queue is empty, or the link gone. */
static bool take_event(TeKafka *k, bool producer, int64_t now)
{
	const TeKafkaLink *link = k->link;
	rd_kafka_event_t *event = rd_kafka_queue_poll(producer ? link->produced : link->consumed, 0);

	if (event == NULL)
		return false;
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_DR:
	case RD_KAFKA_EVENT_FETCH:
		on_messages(k, event, producer, now);
		break;
	case RD_KAFKA_EVENT_ERROR:
		on_error(k, event, producer, now);
		break;
	default: /* what librdkafka logs comes as an error as well, where it matters */
		break;
	}
	rd_kafka_event_destroy(event);
	return k->link == link;
}

/*
 * Partitions that were added are read as soon as they are seen, by another link; there are fewer
 * where a topic was made again.  Without outputs
 * under way nothing else notices brokers that have stopped to answer, librdkafka least of all; of
 * several brokers it may have been the one that has, so once is not enough.
 */
static void watch_brokers(TeKafka *k, int64_t now)
{
	int changed = atomic_load(&k->link->changed), unanswered = atomic_load(&k->link->unanswered);
	bool looking = atomic_load(&k->link->looking);

	if (changed != 0) {
		te_kafka_drop(k, now, "topic %s has other partitions than before",
		              k->settings->inputs[changed - 1]);
	} else if (unanswered > 1) {
		te_kafka_drop(k, now, "the brokers don't answer%s%s", k->detail[0] != '\0' ? ": " : "",
		              k->detail);
	} else if (!looking && (now >= k->look_at || unanswered > 0)) {
		k->look_at = now + k->config->look_every;
		te_kafka_link_look(k->link, k->settings);
	}
}

static void process_link(TeKafka *k, int64_t now)
{
	const TeKafkaLink *link = k->link;
	int taken = 0;

	while (taken < EVENTS_MAX && take_event(k, true, now))
		taken++;
	if (k->link != link)
		return;
	k->in.more = taken == EVENTS_MAX;
	for (taken = 0; taken < EVENTS_MAX && te_kafka_input_has_room(k); taken++)
		if (!take_event(k, false, now))
			break;
	if (k->link != link)
		return;
	k->in.more = k->in.more || taken == EVENTS_MAX || !te_kafka_input_has_room(k);
	watch_brokers(k, now);
	if (k->link == link)
		te_kafka_output_watch(k, now);
}

/*----------------------------------------------------------------------
 * The interface
 *----------------------------------------------------------------------*/

static void kafka_poll(TeTransport *t, TeTransportFds *fds)
{
	const TeKafka *k = (const TeKafka *)t;

	*fds = (TeTransportFds){.fd = -1, .wake_fd = k->wake_fd};
}

static int64_t kafka_deadline(const TeTransport *t)
{
	const TeKafka *k = (const TeKafka *)t;
	int64_t deadline;

	if (k->events != 0)
		return 0;
	if (k->attempt != NULL)
		return TE_TRANSPORT_NEVER; /* it always ends, and wakes us */
	if (k->link == NULL)
		return k->retry_at;
	if (k->in.more && te_kafka_input_has_room(k))
		return 0;
	deadline = te_kafka_output_deadline(k);
	if (atomic_load(&k->link->looking)) /* its end wakes us */
		return deadline;
	return deadline < k->look_at ? deadline : k->look_at;
}

static unsigned kafka_process(TeTransport *t, int64_t now, bool readable, bool writable)
{
	TeKafka *k = (TeKafka *)t;
	uint64_t wakes;
	unsigned events;

	(void)readable;
	(void)writable;
	if (read(k->wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		te_kafka_drop(k, now, "cannot read the wake descriptor");
	if (k->attempt != NULL)
		watch_attempt(k, now);
	else if (k->link == NULL && now >= k->retry_at)
		start_attempt(k, now);
	if (k->link != NULL)
		process_link(k, now);

	events = k->events;
	k->events = 0;
	if (k->in.anchors > 0)
		events |= TE_EVENT_INPUT_ANCHOR;
	if (k->out.anchored)
		events |= TE_EVENT_OUTPUT_ANCHOR;
	if (k->in.next < k->in.tail)
		events |= TE_EVENT_INPUT;
	return events;
}

/* librdkafka's threads send by themselves. */
static void kafka_flush(TeTransport *t, int64_t now)
{
	(void)t;
	(void)now;
}

static void kafka_reconnect(TeTransport *t, const char *reason, int64_t now)
{
	TeKafka *k = (TeKafka *)t;

	te_kafka_drop(k, now, "%s", reason);
	k->failures = 0;
	k->retry_at = now;
}

static const TeTransportStats *kafka_stats(TeTransport *t)
{
	TeKafka *k = (TeKafka *)t;

	if (k->attempt != NULL && atomic_load(&k->attempt->checking))
		k->stats.state = TE_TRANSPORT_CHECKING;
	te_kafka_input_look(k);
	k->stats.abandoned = te_leftovers_count(&te_kafka_leftovers);
	k->stats.in_flight = (unsigned)(k->out.next - k->out.oldest);
	k->stats.input_held = (unsigned)(k->in.tail - k->in.head);
	k->stats.input_resumed = k->in.reading;
	k->stats.output_resumed = k->out.resumed;
	return &k->stats;
}

static void kafka_destroy(TeTransport *t)
{
	TeKafka *k = (TeKafka *)t;

	forget_link(k);
	te_leftovers_await(&te_kafka_leftovers, DESTROY_PATIENCE);
	te_kafka_input_destroy(k);
	te_kafka_output_destroy(k);
	if (k->wake_fd >= 0)
		close(k->wake_fd);
	te_kafka_settings_release(k->settings);
	free(k);
}

static const TeTransportOps kafka_ops = {
	.poll = kafka_poll,
	.deadline = kafka_deadline,
	.process = kafka_process,
	.seed_input = te_kafka_seed_input,
	.input_anchor = te_kafka_input_anchor,
	.resume_input = te_kafka_resume_input,
	.next_input = te_kafka_next_input,
	.rewind_input = te_kafka_rewind_input,
	.release_input = te_kafka_release_input,
	.unread = te_kafka_unread,
	.output_anchor = te_kafka_output_anchor,
	.resume_output = te_kafka_resume_output,
	.publish = te_kafka_publish,
	.publish_plain = te_kafka_publish_plain,
	.mark = te_kafka_mark,
	.resend_begin = te_kafka_resend_begin,
	.resend = te_kafka_resend,
	.resent = te_kafka_resent,
	.flush = kafka_flush,
	.acked = te_kafka_acked,
	.reconnect = kafka_reconnect,
	.stats = kafka_stats,
	.destroy = kafka_destroy,
};

const char *te_kafka_version(void)
{
	return rd_kafka_version_str();
}

TeTransport *te_kafka_create(const TeTransportConfig *config, char *error, size_t error_size)
{
	TeKafka *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	k->base.ops = &kafka_ops;
	if ((k->settings = te_kafka_settings_create(config, error, error_size)) == NULL) {
		free(k);
		return NULL;
	}
	k->config = &k->settings->config;
	snprintf(k->stats.server_url, sizeof(k->stats.server_url), "%s", k->config->url);
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->wake_fd < 0 || !te_kafka_input_create(k) || !te_kafka_output_create(k) ||
	    getrandom(&k->random, sizeof(k->random), 0) != (ssize_t)sizeof(k->random)) {
		snprintf(error, error_size, "out of memory or file descriptors");
		kafka_destroy(&k->base);
		return NULL;
	}
	k->random |= 1;
	return &k->base;
}
