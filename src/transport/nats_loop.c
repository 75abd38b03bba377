#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

/* Reads of one process() call; more waits for the next, so that the caller gets its turn. */
#define READS_MAX 16

void te_nats_set_state(TeNats *n, TeTransportState state, int64_t now)
{
	if (n->stats.state != state || n->stats.since == 0)
		n->stats.since = now;
	n->stats.state = state;
}

/* A round goes once through all URLs. */
static int64_t backoff(TeNats *n)
{
	return te_backoff(n->config, n->failures / (unsigned)te_nats_settings_urls(n->settings),
	                  &n->random);
}

static void forget_connection(TeNats *n)
{
	te_attempt_abandon((TeAttempt *)n->attempt);
	n->attempt = NULL;
	if (n->link != NULL) {
		te_nats_link_close(n->link);
		n->link = NULL;
		n->generation++;
		n->stats.disconnects++;
		n->events |= TE_EVENT_FDS | TE_EVENT_DISCONNECTED;
	}
	n->ask = TE_ASK_NOTHING;
	te_nats_input_disconnected(n);
	te_nats_output_disconnected(n);
	te_nats_probe_disconnected(n);
	te_nats_resend_disconnected(n);
	te_nats_questions_disconnected(n);
}

void te_nats_drop(TeNats *n, int64_t now, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(n->stats.last_error, sizeof(n->stats.last_error), format, arguments);
	va_end(arguments);
	te_nats_redact(n->stats.last_error);
	n->stats.last_error_at = now;
	n->stats.errors++;

	if (n->stats.state == TE_TRANSPORT_READY && now - n->ready_at >= n->config->backoff_max)
		n->failures = 0;
	forget_connection(n);
	n->retry_at = now + backoff(n);
	n->failures++;
	te_nats_set_state(n, TE_TRANSPORT_DISCONNECTED, now);
}

bool te_nats_send(TeNats *n, const char *subject, const char *suffix, const char *data, int len,
                  int64_t now)
{
	char reply[TE_NATS_SUBJECT_SIZE];
	natsStatus s;

	snprintf(reply, sizeof(reply), "%s.%s", n->link->inbox, suffix);
	s = natsConnection_PublishRequest(n->link->nc, subject, reply, data, len);
	if (s != NATS_OK)
		te_nats_drop(n, now, "cannot send %s: %s", subject, natsStatus_GetText(s));
	return s == NATS_OK;
}

/* One attempt at a time, at the next URL. */
static void start_attempt(TeNats *n, int64_t now)
{
	char error[TE_TRANSPORT_ERROR_SIZE];
	int url = (int)(n->next_url++ % (unsigned)te_nats_settings_urls(n->settings));

	n->attempt = te_nats_attempt_start(n->settings, url, n->wake_fd, error, sizeof(error));
	if (n->attempt == NULL) {
		n->stats.connect_failures++;
		te_nats_drop(n, now, "%s", error);
		return;
	}
	n->attempt_deadline = now + n->config->connect_timeout;
	te_nats_set_state(n, TE_TRANSPORT_CONNECTING, now);
}

static void take_connection(TeNats *n, TeNatsLink *link, int64_t now)
{
	n->link = link;
	n->generation++;
	n->stats.connects++;
	memcpy(n->stats.server_url, link->server_url, sizeof(n->stats.server_url));
	memcpy(n->stats.server_id, link->server_id, sizeof(n->stats.server_id));
	n->events |= TE_EVENT_FDS | TE_EVENT_CONNECTED;
	te_nats_set_state(n, TE_TRANSPORT_CHECKING, now);
	te_nats_check_start(n, now);
}

static void watch_attempt(TeNats *n, int64_t now)
{
	char error[TE_TRANSPORT_ERROR_SIZE];
	TeNatsLink *link = NULL;

	if (te_nats_attempt_finish(n->attempt, &link, error, sizeof(error))) {
		n->attempt = NULL;
		if (link != NULL) {
			take_connection(n, link, now);
			return;
		}
		n->stats.connect_failures++;
		te_nats_drop(n, now, "%s", error);
	} else if (now >= n->attempt_deadline) {
		n->stats.connect_failures++;
		te_nats_drop(n, now, "connection attempt given up after %lld ms",
		             (long long)(n->config->connect_timeout / TE_MSEC));
	}
}

/* libnats noticed that the connection is gone. */
static void drop_closed(TeNats *n, int64_t now)
{
	const char *text = NULL;
	natsStatus s = natsConnection_GetLastError(n->link->nc, &text);
	char detail[TE_TRANSPORT_ERROR_SIZE];

	snprintf(detail, sizeof(detail), "%s",
	         text != NULL && text[0] != '\0' ? text : natsStatus_GetText(s));
	te_nats_drop(n, now, "connection to %s closed: %s", n->stats.server_url, detail);
}

/* Replies carry our inbox as subject; delivered messages keep the subject they were stored under.
 */
static void dispatch(TeNats *n, natsMsg *msg, int64_t now)
{
	const char *subject = natsMsg_GetSubject(msg);
	const char *suffix = subject + n->link->inbox_len + 1;
	uint64_t number;

	if (strncmp(subject, n->link->inbox, n->link->inbox_len) != 0 ||
	    subject[n->link->inbox_len] != '.') {
		te_nats_input_message(n, msg, now);
		return;
	}
	if (te_js_parse_u64(suffix + (*suffix != '\0'), strlen(suffix) - (*suffix != '\0'), &number)) {
		const char *data = natsMsg_GetData(msg);
		size_t len = (size_t)natsMsg_GetDataLength(msg);

		if (*suffix == 'a')
			te_nats_output_ack(n, number, data, len, now);
		else if (*suffix == 'r')
			te_nats_check_reply(n, number, data, len, now);
		else if (*suffix == 'p')
			te_nats_input_status(n, msg, now);
		else if (*suffix == 's')
			te_nats_probe_reply(n, number, data, len, now);
		else if (*suffix == 'o')
			te_nats_resend_reply(n, number);
	}
	natsMsg_Destroy(msg);
}

static void dispatch_all(TeNats *n, int64_t now)
{
	TeNatsLink *link = n->link;
	uint64_t count = 0;

	natsSubscription_QueuedMsgs(link->sub, &count);
	while (count-- > 0 && n->link == link) {
		natsMsg *msg = NULL;
		natsStatus s = natsSubscription_NextMsg(&msg, link->sub, 0);

		if (s == NATS_OK)
			dispatch(n, msg, now);
		else if (s == NATS_NO_RESPONDERS)
			te_nats_drop(n, now,
			             "no answer: JetStream is not enabled for this account, "
			             "or no stream has the subject");
		else
			te_nats_drop(n, now, "cannot take a message: %s", natsStatus_GetText(s));
	}
	if (n->link == link)
		te_nats_discard_replies(n);
}

static bool socket_is(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

/* True when the socket has nothing more, so that missing answers are really missing. */
static bool read_socket(TeNats *n, bool readable, int reads, int64_t now)
{
	for (int i = 0; i < reads; i++) {
		if ((i > 0 || !readable) && !socket_is(n->link->fd, POLLIN))
			return true;
		te_nats_link_read(n->link);
		dispatch_all(n, now);
		if (n->link == NULL)
			return false;
		if (n->link->fd < 0) {
			drop_closed(n, now);
			return false;
		}
	}
	return false;
}

static void nats_flush(TeTransport *t, int64_t now)
{
	TeNats *n = (TeNats *)t;

	if (n->link == NULL || !n->link->want_write)
		return;
	/* With TLS a write waits until the socket takes it. */
	if (n->link->tls && !socket_is(n->link->fd, POLLOUT))
		return;
	te_nats_link_write(n->link);
	if (n->link->fd < 0)
		drop_closed(n, now);
	else
		te_nats_output_flushed(n, now);
}

/*
 * Events stay for the next process().  A little at a time: who waits for replies has no time for a
 * flood of input.
 */
static void nats_read_replies(TeTransport *t, int64_t now)
{
	TeNats *n = (TeNats *)t;

	nats_flush(t, now);
	if (n->link != NULL)
		read_socket(n, false, 1, now);
}

static void watch_ask(TeNats *n, int64_t now)
{
	if (n->ask != TE_ASK_NOTHING && now >= n->ask_deadline)
		te_nats_drop(n, now, "JetStream does not answer (%s)", te_nats_ask_text(n->ask));
}

static int64_t nats_deadline(const TeTransport *t)
{
	const TeNats *n = (const TeNats *)t;
	int64_t deadline, other;

	if (n->events != 0)
		return 0;
	if (n->attempt != NULL)
		return n->attempt_deadline;
	if (n->link == NULL)
		return n->retry_at;
	deadline = n->ask != TE_ASK_NOTHING ? n->ask_deadline : TE_TRANSPORT_NEVER;
	if ((other = te_nats_input_deadline(n)) < deadline)
		deadline = other;
	if ((other = te_nats_output_deadline(n)) < deadline)
		deadline = other;
	if ((other = te_nats_probe_deadline(n)) < deadline)
		deadline = other;
	return deadline;
}

/* Timers are judged only when everything that has arrived was read: a slow caller is no failure. */
static void process_link(TeNats *n, bool readable, int64_t now)
{
	nats_flush(&n->base, now);
	if (n->link == NULL)
		return;
	if ((readable || now >= nats_deadline(&n->base)) && read_socket(n, readable, READS_MAX, now)) {
		te_nats_probe_watch(n, now);
		watch_ask(n, now);
		if (n->link != NULL)
			te_nats_input_watch(n, now);
		if (n->link != NULL)
			te_nats_output_watch(n, now);
	}
	if (n->link != NULL)
		te_nats_input_pull(n, now);
	nats_flush(&n->base, now);
}

static unsigned nats_process(TeTransport *t, int64_t now, bool readable, bool writable)
{
	TeNats *n = (TeNats *)t;
	uint64_t wakes;
	unsigned events;

	(void)writable; /* whether there is something to write is known, and trying is cheap */
	/* Always: a thread may wake us after its result was seen. */
	if (read(n->wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		te_nats_drop(n, now, "cannot read the wake descriptor");
	if (n->attempt != NULL)
		watch_attempt(n, now);
	else if (n->link == NULL && now >= n->retry_at)
		start_attempt(n, now);
	if (n->link != NULL)
		process_link(n, readable, now);

	events = n->events;
	n->events = 0;
	if (n->in.anchored)
		events |= TE_EVENT_INPUT_ANCHOR;
	if (n->out.anchored)
		events |= TE_EVENT_OUTPUT_ANCHOR;
	if (n->in.next < n->in.tail)
		events |= TE_EVENT_INPUT;
	return events;
}

static void nats_poll(TeTransport *t, TeTransportFds *fds)
{
	const TeNats *n = (const TeNats *)t;

	fds->generation = n->generation;
	fds->fd = n->link != NULL ? n->link->fd : -1;
	fds->want_write = n->link != NULL && n->link->want_write;
	fds->wake_fd = n->wake_fd;
}

static bool nats_publish_plain(TeTransport *t, const char *subject, const void *data, size_t len)
{
	TeNats *n = (TeNats *)t;

	if (n->link != NULL && len <= (size_t)n->link->max_payload &&
	    natsConnection_Buffered(n->link->nc) < n->config->output_buffer_bytes &&
	    natsConnection_Publish(n->link->nc, subject, data, (int)len) == NATS_OK)
		return true;
	n->stats.dropped++;
	return false;
}

static void nats_reconnect(TeTransport *t, const char *reason, int64_t now)
{
	TeNats *n = (TeNats *)t;

	te_nats_drop(n, now, "%s", reason);
	n->failures = 0;
	n->retry_at = now;
}

static const TeTransportStats *nats_stats(TeTransport *t)
{
	TeNats *n = (TeNats *)t;

	n->stats.abandoned = te_leftovers_count(&te_nats_leftovers);
	n->stats.in_flight = (unsigned)(n->out.next - n->out.oldest);
	n->stats.input_held = (unsigned)(n->in.tail - n->in.head);
	n->stats.input_resumed = n->in.resumed;
	n->stats.output_resumed = n->out.resumed;
	return &n->stats;
}

static void nats_destroy(TeTransport *t)
{
	TeNats *n = (TeNats *)t;

	if (n->link != NULL && n->in.consumer[0] != '\0') {
		te_nats_input_delete_consumer(n);
		if (!n->link->tls || socket_is(n->link->fd, POLLOUT))
			te_nats_link_write(n->link);
	}
	forget_connection(n);
	te_nats_input_destroy(n);
	te_nats_output_destroy(n);
	te_nats_questions_destroy(n);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	te_nats_settings_release(n->settings);
	free(n);
}

static const TeTransportOps nats_ops = {
	.poll = nats_poll,
	.deadline = nats_deadline,
	.process = nats_process,
	.seed_input = te_nats_seed_input,
	.input_anchor = te_nats_input_anchor,
	.resume_input = te_nats_resume_input,
	.next_input = te_nats_next_input,
	.rewind_input = te_nats_rewind_input,
	.release_input = te_nats_release_input,
	.unread = te_nats_unread,
	.output_anchor = te_nats_output_anchor,
	.resume_output = te_nats_resume_output,
	.publish = te_nats_publish,
	.publish_plain = nats_publish_plain,
	.resend_begin = te_nats_resend_begin,
	.resend = te_nats_resend,
	.resent = te_nats_resent,
	.probe = te_nats_probe,
	.probe_result = te_nats_probe_result,
	.ask = te_nats_ask,
	.read_replies = nats_read_replies,
	.next_reply = te_nats_next_reply,
	.unanswered = te_nats_unanswered,
	.give_up = te_nats_give_up,
	.flush = nats_flush,
	.acked = te_nats_acked,
	.reconnect = nats_reconnect,
	.stats = nats_stats,
	.destroy = nats_destroy,
};

/* Names and subjects of both streams, from the prefix and the lane. */
static void describe_streams(TeNats *n)
{
	static const char *const inputs[] = {"predictions", "market", "executions"};
	static const char *const outputs[] = {"signals", "commands"};
	const TeTransportConfig *c = n->config;

	for (int i = 0; i < 3; i++) {
		snprintf(n->subjects[i], TE_NATS_SUBJECT_SIZE, "%s.%s.>", c->prefix, inputs[i]);
		n->input_spec.subjects[i] = n->subjects[i];
	}
	for (int i = 0; i < 2; i++) {
		snprintf(n->subjects[3 + i], TE_NATS_SUBJECT_SIZE, "%s.%s.%d.>", c->prefix, outputs[i],
		         c->lane);
		n->output_spec.subjects[i] = n->subjects[3 + i];
	}
	snprintf(n->input_name, sizeof(n->input_name), "%s_input", c->prefix);
	snprintf(n->output_name, sizeof(n->output_name), "%s_output_%d", c->prefix, c->lane);
	for (char *p = n->input_name; (p = strchr(p, '.')) != NULL;)
		*p = '_';
	for (char *p = n->output_name; (p = strchr(p, '.')) != NULL;)
		*p = '_';
	n->input_spec.name = c->input_stream != NULL ? c->input_stream : n->input_name;
	n->input_spec.max_age = c->input_max_age;
	n->input_spec.max_bytes = c->input_max_bytes;
	n->output_spec.name = c->output_stream != NULL ? c->output_stream : n->output_name;
	n->output_spec.discard_new = true;
	n->output_spec.max_age = c->output_max_age;
	n->output_spec.max_bytes = c->output_max_bytes;
	n->input_spec.duplicate_window = n->output_spec.duplicate_window = c->duplicate_window;
	n->input_spec.replicas = n->output_spec.replicas = c->replicas;
}

TeTransport *te_nats_create(const TeTransportConfig *config, char *error, size_t error_size)
{
	TeNats *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	n->base.ops = &nats_ops;
	n->wake_fd = -1;
	if ((n->settings = te_nats_settings_create(config, error, error_size)) == NULL) {
		free(n);
		return NULL;
	}
	n->config = te_nats_settings_config(n->settings);
	describe_streams(n);
	te_nats_probe_create(n);
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->wake_fd < 0 || !te_nats_input_create(n) || !te_nats_output_create(n) ||
	    !te_nats_questions_create(n) ||
	    getrandom(&n->random, sizeof(n->random), 0) != (ssize_t)sizeof(n->random)) {
		snprintf(error, error_size, "out of memory or file descriptors");
		nats_destroy(&n->base);
		return NULL;
	}
	n->random |= 1;
	return &n->base;
}
