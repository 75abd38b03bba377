/*
 * nats_probe.c - does JetStream store what it is given?
 *
 * A probe is a message like an output, in a stream that keeps one of each lane.
 * The output stream itself can't serve: it has nothing in it but outputs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void te_nats_probe_create(TeNats *n)
{
	TeNatsProbe *p = &n->probe;

	snprintf(p->stream, sizeof(p->stream), "%s_probe", n->config->prefix);
	for (char *dot = p->stream; (dot = strchr(dot, '.')) != NULL;)
		*dot = '_';
	snprintf(p->subjects, sizeof(p->subjects), "%s.probe.*", n->config->prefix);
	p->spec = (TeJsStreamSpec){
		.name = p->stream,
		.subjects = {p->subjects},
		.max_bytes = -1,
		.max_per_subject = 1,
		.replicas = n->config->replicas,
		.duplicate_window = n->config->duplicate_window,
	};
}

static void finish(TeNats *n, bool succeeded)
{
	n->probe.step = TE_PROBE_IDLE;
	n->probe.succeeded = succeeded;
	n->events |= TE_EVENT_PROBED;
}

__attribute__((format(printf, 3, 4))) static void fail(TeNats *n, int64_t now, const char *format,
                                                       ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(n->stats.last_error, sizeof(n->stats.last_error), format, arguments);
	va_end(arguments);
	n->stats.last_error_at = now;
	n->stats.errors++;
	finish(n, false);
}

void te_nats_probe_disconnected(TeNats *n)
{
	n->probe.stream_known = false;
	if (n->probe.step != TE_PROBE_IDLE)
		finish(n, false);
}

static void send_step(TeNats *n, int step, const char *subject, const char *body, int64_t now)
{
	char suffix[24];

	n->probe.step = step;
	snprintf(suffix, sizeof(suffix), "s%" PRIu64, ++n->probe.id);
	te_nats_send(n, subject, suffix, body, (int)strlen(body), now);
}

static void send_api(TeNats *n, int step, const char *command, const char *body, int64_t now)
{
	char subject[TE_NATS_SUBJECT_SIZE];

	snprintf(subject, sizeof(subject), "$JS.API.%s.%s", command, n->probe.stream);
	send_step(n, step, subject, body, now);
}

static void store(TeNats *n, int64_t now)
{
	char subject[TE_NATS_SUBJECT_SIZE];

	snprintf(subject, sizeof(subject), "%s.probe.%d", n->config->prefix, n->config->lane);
	send_step(n, TE_PROBE_STORE, subject, "", now);
}

bool te_nats_probe(TeTransport *t, int64_t now)
{
	TeNats *n = (TeNats *)t;

	if (n->stats.state != TE_TRANSPORT_READY || n->probe.step != TE_PROBE_IDLE)
		return false;
	n->probe.deadline = now + n->config->request_timeout;
	if (n->probe.stream_known)
		store(n, now);
	else
		send_api(n, TE_PROBE_INFO, "STREAM.INFO", "", now);
	n->base.ops->flush(t, now);
	return true;
}

bool te_nats_probe_result(const TeTransport *t)
{
	return ((const TeNats *)t)->probe.succeeded;
}

static void make_stream(TeNats *n, int64_t now)
{
	char *body = te_js_build_stream(&n->probe.spec);

	if (body == NULL)
		fail(n, now, "out of memory (probe)");
	else
		send_api(n, TE_PROBE_CREATE, "STREAM.CREATE", body, now);
	free(body);
}

/* INFO and CREATE answer alike. */
static void on_stream(TeNats *n, const TeJsStream *stream, int64_t now)
{
	if (n->probe.step == TE_PROBE_INFO && stream->error.err_code == TE_JS_STREAM_NOT_FOUND) {
		make_stream(n, now);
	} else if (stream->error.code != 0) {
		fail(n, now, "cannot %s stream %s: %s (%d)",
		     n->probe.step == TE_PROBE_INFO ? "look up" : "create", n->probe.stream,
		     stream->error.description, stream->error.err_code);
	} else if (!stream->has_subjects) {
		fail(n, now, "stream %s lacks the subject %s", n->probe.stream, n->probe.subjects);
	} else {
		n->probe.stream_known = true;
		store(n, now);
	}
}

static void on_ack(TeNats *n, const TeJsPubAck *ack, int64_t now)
{
	if (ack->error.code != 0) {
		fail(n, now, "probe refused: %s (%d)", ack->error.description, ack->error.err_code);
	} else if (strcmp(ack->stream, n->probe.stream) != 0) {
		fail(n, now, "probe stored in stream %s instead of %s", ack->stream, n->probe.stream);
	} else {
		finish(n, true);
	}
}

void te_nats_probe_reply(TeNats *n, uint64_t id, const char *data, size_t len, int64_t now)
{
	TeJsStream stream;
	TeJsPubAck ack;

	if (n->probe.step == TE_PROBE_IDLE || id != n->probe.id)
		return;
	if (n->probe.step == TE_PROBE_STORE) {
		if (te_js_parse_pub_ack(data, len, &ack)) {
			on_ack(n, &ack, now);
			return;
		}
	} else if (te_js_parse_stream(data, len, &n->probe.spec, &stream)) {
		on_stream(n, &stream, now);
		return;
	}
	fail(n, now, "answer to a probe not understood");
}

int64_t te_nats_probe_deadline(const TeNats *n)
{
	return n->probe.step != TE_PROBE_IDLE ? n->probe.deadline : TE_TRANSPORT_NEVER;
}

/* The connection stays: input may be well, and what follows is the caller's judgement. */
void te_nats_probe_watch(TeNats *n, int64_t now)
{
	if (now >= te_nats_probe_deadline(n))
		fail(n, now, "a probe was not acknowledged for %lld ms",
		     (long long)(n->config->request_timeout / TE_MSEC));
}
