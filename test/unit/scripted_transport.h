/*
 * scripted_transport.h - a transport over a broker in memory, whose faults follow a script.
 *
 * It keeps the promises of transport/transport.h: anchors at each connection, order, a window,
 * conditional appends, one way to recover.  What a real broker may do to us is a line
 * of a script: "at this time, do that".  Nothing depends on chance or on a clock but `now`.
 *
 *	ScriptedBroker *b = scripted_broker();
 *	scripted_input(b, "trading.predictions.acme.u1", data, length);
 *	scripted_at(b, 5000000, SCRIPT_FREEZE, 0);
 *	TeTransport *t = scripted_transport(b, &config);
 *
 * Several transports may share a broker: that is how a second writer is made.  There are no
 * descriptors to wait for; te_transport_deadline() says when to come again.
 */
#ifndef TE_TEST_SCRIPTED_TRANSPORT_H
#define TE_TEST_SCRIPTED_TRANSPORT_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/anchor.h"
#include "transport/transport.h"

/* A broker's clock: microseconds since 1970 when now is 0. */
#define SCRIPTED_EPOCH INT64_C(1700000000000000)

/* What can happen to a broker.  The argument is a number of messages or of microseconds. */
typedef enum {
	SCRIPT_CUT,           /* all connections are cut, once */
	SCRIPT_DOWN,          /* and none is taken */
	SCRIPT_UP,            /* until here */
	SCRIPT_FREEZE,        /* connections stay, nothing moves */
	SCRIPT_THAW,          /* until here */
	SCRIPT_DELAY_ACKS,    /* from now on acknowledgements take so long */
	SCRIPT_REFUSE,        /* the next so many outputs are refused */
	SCRIPT_DROP_ACKS,     /* the next so many are appended, and nobody is told */
	SCRIPT_LOSE_INPUT,    /* the last so many messages are lost, with the connections */
	SCRIPT_LOSE_OUTPUT,   /* the same of the output */
	SCRIPT_DISCARD_INPUT, /* the first so many are discarded */
	SCRIPT_NEW_INPUT,     /* the stream is deleted and made again, with the connections */
	SCRIPT_NEW_OUTPUT
} ScriptAction;

typedef struct ScriptLine
{
	int64_t at;
	ScriptAction action;
	int64_t argument;
} ScriptLine;

/* A message in a stream. */
typedef struct ScriptedMessage
{
	char *subject, *data, *traceparent;
	size_t len;
	int64_t time;
	/* Of outputs. */
	char installation[TE_TRANSPORT_INSTALLATION_SIZE], hash[TE_TRANSPORT_HASH_SIZE];
	int lane;
	uint64_t epoch, seq, route_epoch;
	bool backfill;
} ScriptedMessage;

/* A mark behind so many outputs. */
typedef struct ScriptedMark
{
	uint64_t behind, route_epoch;
} ScriptedMark;

typedef struct ScriptedStream
{
	int64_t created;
	uint64_t first, last;       /* first is last + 1 when nothing is there */
	ScriptedMessage **messages; /* by seq - 1 */
	size_t capacity;
} ScriptedStream;

typedef struct ScriptedBroker
{
	int64_t now;
	bool up, frozen;
	uint64_t cuts; /* connections older than the newest cut are dead */
	int64_t ack_delay;
	int64_t refusals, dropped_acks;
	ScriptedStream input, output;
	ScriptLine *script;
	size_t script_lines, script_done;
	ScriptedMessage **all; /* ever made: what was handed out may be looked at for ever */
	size_t all_count;
	char **plain_subjects;
	size_t plain_count;
	ScriptedMark *marks;
	size_t mark_count;
	uint64_t probes; /* that were stored */
} ScriptedBroker;

/*----------------------------------------------------------------------
 * The broker
 *----------------------------------------------------------------------*/

static void *scripted_grow(void *array, size_t count, size_t size)
{
	void *grown = count & (count - 1) ? array : realloc(array, (count ? 2 * count : 1) * size);

	if (grown == NULL) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return grown;
}

static char *scripted_copy(const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		exit(1);
	memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

static inline ScriptedBroker *scripted_broker(void)
{
	ScriptedBroker *b = calloc(1, sizeof(*b));

	if (b == NULL)
		exit(1);
	b->up = true;
	b->input = (ScriptedStream){.created = SCRIPTED_EPOCH - 2, .first = 1};
	b->output = (ScriptedStream){.created = SCRIPTED_EPOCH - 1, .first = 1};
	return b;
}

static inline void scripted_broker_free(ScriptedBroker *b)
{
	for (size_t i = 0; i < b->all_count; i++) {
		free(b->all[i]->subject);
		free(b->all[i]->data);
		free(b->all[i]->traceparent);
		free(b->all[i]);
	}
	for (size_t i = 0; i < b->plain_count; i++)
		free(b->plain_subjects[i]);
	free(b->plain_subjects);
	free(b->marks);
	free(b->all);
	free(b->input.messages);
	free(b->output.messages);
	free(b->script);
	free(b);
}

/* Lines may be added in any order, also for times that are over: these happen at once. */
static inline void scripted_at(ScriptedBroker *b, int64_t at, ScriptAction action, int64_t argument)
{
	size_t i = b->script_lines;

	b->script = scripted_grow(b->script, b->script_lines, sizeof(*b->script));
	for (; i > b->script_done && b->script[i - 1].at > at; i--)
		b->script[i] = b->script[i - 1];
	b->script[i] = (ScriptLine){at, action, argument};
	b->script_lines++;
}

static ScriptedMessage *scripted_append(ScriptedBroker *b, ScriptedStream *s, const char *subject,
                                        const void *data, size_t len)
{
	ScriptedMessage *m = calloc(1, sizeof(*m));

	if (m == NULL)
		exit(1);
	m->subject = scripted_copy(subject, strlen(subject));
	m->data = scripted_copy(data, len);
	m->len = len;
	m->time = SCRIPTED_EPOCH + b->now + (int64_t)b->all_count; /* no two are the same */
	b->all = scripted_grow(b->all, b->all_count, sizeof(*b->all));
	b->all[b->all_count++] = m;
	if (s->last == s->capacity) {
		s->messages = scripted_grow(s->messages, s->capacity, sizeof(*s->messages));
		s->capacity = s->capacity ? 2 * s->capacity : 1;
	}
	s->messages[s->last++] = m;
	return m;
}

/* A message arrives in the input stream; returns its sequence. */
static inline uint64_t scripted_input(ScriptedBroker *b, const char *subject, const void *data,
                                      size_t len)
{
	(void)scripted_append(b, &b->input, subject, data, len);
	return b->input.last;
}

/* The message at a place of a stream, or NULL. */
static inline const ScriptedMessage *scripted_at_seq(const ScriptedStream *s, uint64_t seq)
{
	return seq >= s->first && seq <= s->last ? s->messages[seq - 1] : NULL;
}

static void scripted_lose(ScriptedStream *s, int64_t count)
{
	while (count-- > 0 && s->last >= s->first)
		s->last--;
}

static void scripted_renew(ScriptedBroker *b, ScriptedStream *s)
{
	s->created = SCRIPTED_EPOCH + b->now + (int64_t)b->all_count;
	s->first = 1;
	s->last = 0;
}

static void scripted_do(ScriptedBroker *b, const ScriptLine *line)
{
	switch (line->action) {
	case SCRIPT_UP:
		b->up = true;
		return;
	case SCRIPT_FREEZE:
		b->frozen = true;
		return;
	case SCRIPT_THAW:
		b->frozen = false;
		return;
	case SCRIPT_DELAY_ACKS:
		b->ack_delay = line->argument;
		return;
	case SCRIPT_REFUSE:
		b->refusals = line->argument;
		return;
	case SCRIPT_DROP_ACKS:
		b->dropped_acks = line->argument;
		return;
	case SCRIPT_DISCARD_INPUT:
		for (int64_t n = line->argument; n > 0 && b->input.first <= b->input.last; n--)
			b->input.first++;
		return;
	case SCRIPT_DOWN:
		b->up = false;
		break;
	case SCRIPT_LOSE_INPUT:
		scripted_lose(&b->input, line->argument);
		break;
	case SCRIPT_LOSE_OUTPUT:
		scripted_lose(&b->output, line->argument);
		break;
	case SCRIPT_NEW_INPUT:
		scripted_renew(b, &b->input);
		break;
	case SCRIPT_NEW_OUTPUT:
		scripted_renew(b, &b->output);
		break;
	case SCRIPT_CUT:
		break;
	}
	b->cuts++;
}

/* Let everything happen that the script has for a time up to now. */
static inline void scripted_advance(ScriptedBroker *b, int64_t now)
{
	while (b->script_done < b->script_lines && b->script[b->script_done].at <= now) {
		if (b->script[b->script_done].at > b->now)
			b->now = b->script[b->script_done].at;
		scripted_do(b, &b->script[b->script_done++]);
	}
	if (now > b->now)
		b->now = now;
}

/*----------------------------------------------------------------------
 * The transport
 *----------------------------------------------------------------------*/

#define SCRIPTED_HISTORY 16
#define SCRIPTED_WINDOW 4096

/* An output under way. */
typedef struct ScriptedSend
{
	ScriptedMessage message; /* its own copies, until it is in the stream */
	uint64_t expected;       /* the stream's sequence right before it */
	bool arrived, refused, silent;
	int64_t sent_at, ack_at;
} ScriptedSend;

typedef struct Scripted
{
	TeTransport base;
	ScriptedBroker *broker;
	TeTransportConfig config;
	char installation[TE_TRANSPORT_INSTALLATION_SIZE];
	TeTransportStats stats;
	uint64_t connection; /* the broker's cuts when it was made */
	int64_t retry_at, backoff, heard_at;

	/* Input. */
	TeAnchorPosition history[SCRIPTED_HISTORY]; /* newest first */
	int history_count;
	bool in_anchored, in_resumed;
	TeInputAnchor in_anchor;
	TeInputPosition handed;  /* the last message handed out */
	uint64_t next, released; /* handed out are released + 1 .. next - 1 */

	/* Output. */
	bool out_anchored, out_resumed;
	TeOutputAnchor out_anchor;
	uint64_t expected;
	uint64_t last_epoch, last_seq; /* published on this connection */
	ScriptedSend sends[SCRIPTED_WINDOW];
	unsigned send_count;
	TeOutputCursor cursor;

	bool probing, probe_stored, probe_succeeded;
	int64_t probed_at, probe_ack_at;
} Scripted;

static void scripted_poll(TeTransport *t, TeTransportFds *fds)
{
	(void)t;
	*fds = (TeTransportFds){.generation = 1, .fd = -1, .wake_fd = -1};
}

static void scripted_free_send(ScriptedSend *s)
{
	free(s->message.subject);
	free(s->message.data);
	free(s->message.traceparent);
}

static void scripted_set_state(Scripted *s, TeTransportState state, int64_t now)
{
	s->stats.state = state;
	s->stats.since = now;
}

static unsigned scripted_end_probe(Scripted *s, bool succeeded)
{
	if (!s->probing)
		return 0;
	s->probing = false;
	s->probe_succeeded = succeeded;
	return TE_EVENT_PROBED;
}

__attribute__((format(printf, 3, 4))) static unsigned scripted_drop(Scripted *s, int64_t now,
                                                                    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->stats.last_error, sizeof(s->stats.last_error), format, args);
	va_end(args);
	s->stats.errors++;
	s->stats.last_error_at = now;
	if (s->stats.state >= TE_TRANSPORT_CHECKING)
		s->stats.disconnects++;
	else
		s->stats.connect_failures++;
	for (unsigned i = 0; i < s->send_count; i++)
		scripted_free_send(&s->sends[i]);
	s->send_count = s->stats.in_flight = 0;
	s->in_anchored = s->in_resumed = s->out_anchored = s->out_resumed = false;
	s->stats.input_resumed = s->stats.output_resumed = false;
	s->backoff = s->backoff ? 2 * s->backoff : s->config.backoff_min;
	if (s->backoff > s->config.backoff_max)
		s->backoff = s->config.backoff_max;
	s->retry_at = now + s->backoff;
	scripted_set_state(s, TE_TRANSPORT_DISCONNECTED, now);
	return TE_EVENT_DISCONNECTED | scripted_end_probe(s, false);
}

/* The judgement of the core, in the transport's words. */
static void scripted_check_input(Scripted *s)
{
	const ScriptedStream *in = &s->broker->input;
	TeAnchorStream stream = {in->created, in->first, in->last};
	TeAnchorSight sights[SCRIPTED_HISTORY + 1] = {{0}};
	TeAnchorPosition positions[SCRIPTED_HISTORY + 1];
	TeReading reading = {s->handed.seq, s->handed.seq};
	int count = 0;
	TeInputJudgement j;

	if (s->handed.stream_created > 0)
		positions[count++] =
			(TeAnchorPosition){s->handed.stream_created, s->handed.seq, s->handed.message_time};
	for (int i = 0; i < s->history_count; i++)
		positions[count++] = s->history[i];
	while ((j = te_anchor_judge_input(positions, sights, count, reading, &stream)).outcome ==
	       TE_ANCHOR_INPUT_ASK) {
		const ScriptedMessage *m = scripted_at_seq(in, positions[j.ask].seq);

		sights[j.ask].kind = m ? TE_SIGHT_THERE : TE_SIGHT_MISSING;
		sights[j.ask].time = m ? m->time : 0;
	}
	s->in_anchor = (TeInputAnchor){
		.stream_name = "scripted",
		.outcome = j.outcome == TE_ANCHOR_INPUT_SAME    ? TE_INPUT_SAME
	               : j.outcome == TE_ANCHOR_INPUT_FRESH ? TE_INPUT_FRESH
	               : j.outcome == TE_ANCHOR_INPUT_GAP   ? TE_INPUT_GAP
	                                                    : TE_INPUT_LOST_TAIL,
		.stored = s->handed,
		.stream_created = in->created,
		.first_seq = in->first,
		.last_seq = in->last,
		.start_seq = j.reading.resume + 1,
		.lost_from = j.lost_from,
		.lost_to = j.lost_to,
	};
	if (j.outcome == TE_ANCHOR_INPUT_LOST_TAIL && j.matched >= 0)
		s->in_anchor.matched = (TeInputPosition){
			positions[j.matched].identity, positions[j.matched].seq, positions[j.matched].time};
	s->in_anchored = true;
}

static void scripted_check_output(Scripted *s)
{
	const ScriptedStream *out = &s->broker->output;
	const ScriptedMessage *m = scripted_at_seq(out, out->last);

	s->out_anchor = (TeOutputAnchor){
		.stream_created = out->created,
		.last_stream_seq = out->last,
		.found = m != NULL,
	};
	if (m != NULL) {
		s->out_anchor.found_stream_seq = out->last;
		s->out_anchor.lane = m->lane;
		s->out_anchor.epoch = m->epoch;
		s->out_anchor.seq = m->seq;
		memcpy(s->out_anchor.installation, m->installation, sizeof(m->installation));
		memcpy(s->out_anchor.hash, m->hash, sizeof(m->hash));
	}
	s->out_anchored = true;
}

static unsigned scripted_connect(Scripted *s, int64_t now)
{
	if (s->stats.state == TE_TRANSPORT_DISCONNECTED) {
		if (now < s->retry_at)
			return 0;
		scripted_set_state(s, TE_TRANSPORT_CONNECTING, now);
	}
	if (!s->broker->up)
		return scripted_drop(s, now, "no broker listens") & ~(unsigned)TE_EVENT_DISCONNECTED;
	if (s->broker->frozen)
		return now - s->stats.since < s->config.connect_timeout
		           ? 0
		           : scripted_drop(s, now, "no connection within the time limit") &
		                 ~(unsigned)TE_EVENT_DISCONNECTED;
	s->connection = s->broker->cuts;
	s->heard_at = now;
	s->stats.connects++;
	if (s->config.want_input)
		scripted_check_input(s);
	if (s->config.want_output)
		scripted_check_output(s);
	scripted_set_state(s, TE_TRANSPORT_READY, now);
	return TE_EVENT_CONNECTED;
}

/* What was sent reaches the stream, if it is expected there; acknowledgements follow. */
static void scripted_deliver(Scripted *s, int64_t now)
{
	ScriptedStream *out = &s->broker->output;

	for (unsigned i = 0; i < s->send_count; i++) {
		ScriptedSend *send = &s->sends[i];
		ScriptedMessage *m;

		if (send->arrived)
			continue;
		send->arrived = true;
		send->ack_at = now + s->broker->ack_delay;
		send->refused = send->expected != out->last || s->broker->refusals > 0;
		if (s->broker->refusals > 0)
			s->broker->refusals--;
		if (send->refused)
			continue;
		send->silent = s->broker->dropped_acks > 0;
		if (send->silent)
			s->broker->dropped_acks--;
		m = scripted_append(s->broker, out, send->message.subject, send->message.data,
		                    send->message.len);
		if (send->message.traceparent)
			m->traceparent =
				scripted_copy(send->message.traceparent, strlen(send->message.traceparent));
		m->lane = send->message.lane;
		m->epoch = send->message.epoch;
		m->seq = send->message.seq;
		m->route_epoch = send->message.route_epoch;
		m->backfill = send->message.backfill;
		memcpy(m->installation, send->message.installation, sizeof(m->installation));
		memcpy(m->hash, send->message.hash, sizeof(m->hash));
	}
}

static unsigned scripted_take_acks(Scripted *s, int64_t now)
{
	unsigned done = 0, events = 0;

	while (done < s->send_count) {
		const ScriptedSend *send = &s->sends[done];

		if (!send->arrived || send->silent || send->ack_at > now)
			break;
		if (send->refused)
			return scripted_drop(s, now, "output %llu/%llu was refused",
			                     (unsigned long long)send->message.epoch,
			                     (unsigned long long)send->message.seq);
		s->cursor = (TeOutputCursor){send->message.epoch, send->message.seq, send->expected + 1};
		s->stats.acked++;
		s->stats.output_stream_seq = s->cursor.stream_seq;
		scripted_free_send(&s->sends[done++]);
		events = TE_EVENT_ACKED;
	}
	s->send_count -= done;
	s->stats.in_flight = s->send_count;
	memmove(s->sends, s->sends + done, sizeof(s->sends[0]) * s->send_count);
	if (s->send_count > 0 && now - s->sends[0].sent_at >= s->config.ack_timeout)
		return scripted_drop(s, now, "no acknowledgement within the time limit");
	return events;
}

/* A probe is stored beside the outputs; its acknowledgement takes as long as theirs. */
static unsigned scripted_take_probe(Scripted *s, int64_t now)
{
	if (!s->probing)
		return 0;
	if (!s->broker->frozen && !s->probe_stored) {
		s->probe_stored = true;
		s->probe_ack_at = now + s->broker->ack_delay;
		s->broker->probes++;
	}
	if (!s->broker->frozen && s->probe_ack_at <= now)
		return scripted_end_probe(s, true);
	return now - s->probed_at >= s->config.request_timeout ? scripted_end_probe(s, false) : 0;
}

static bool scripted_has_input(const Scripted *s)
{
	return s->in_resumed && s->next <= s->broker->input.last &&
	       s->next - s->released <= (uint64_t)s->config.input_ring;
}

static unsigned scripted_process(TeTransport *t, int64_t now, bool readable, bool writable)
{
	Scripted *s = (Scripted *)t;
	unsigned events = 0;

	(void)readable;
	(void)writable;
	scripted_advance(s->broker, now);
	if (s->stats.state != TE_TRANSPORT_READY)
		events |= scripted_connect(s, now);
	else if (s->connection != s->broker->cuts || !s->broker->up)
		return scripted_drop(s, now, "the broker closed the connection");
	if (s->stats.state != TE_TRANSPORT_READY)
		return events;
	if (!s->broker->frozen) {
		s->heard_at = now;
		scripted_deliver(s, now);
		events |= scripted_take_acks(s, now);
	} else if (s->in_resumed &&
	           now - s->heard_at >= 2 * s->config.heartbeat + s->config.request_timeout)
		return scripted_drop(s, now, "the broker is silent");
	else if (s->send_count > 0 && now - s->sends[0].sent_at >= s->config.ack_timeout)
		return scripted_drop(s, now, "no acknowledgement within the time limit");
	events |= scripted_take_probe(s, now);
	if (s->in_anchored)
		events |= TE_EVENT_INPUT_ANCHOR;
	if (s->out_anchored)
		events |= TE_EVENT_OUTPUT_ANCHOR;
	if (!s->broker->frozen && scripted_has_input(s))
		events |= TE_EVENT_INPUT;
	return events;
}

/* Script and time limits, whichever is next. */
static int64_t scripted_deadline(const TeTransport *t)
{
	const Scripted *s = (const Scripted *)t;
	const ScriptedBroker *b = s->broker;
	int64_t due =
		b->script_done < b->script_lines ? b->script[b->script_done].at : TE_TRANSPORT_NEVER;
	int64_t other = TE_TRANSPORT_NEVER;

	if (s->stats.state == TE_TRANSPORT_DISCONNECTED)
		other = s->retry_at;
	else if (s->stats.state == TE_TRANSPORT_CONNECTING)
		other = s->stats.since + s->config.connect_timeout;
	else if (s->send_count > 0) {
		other = s->sends[0].sent_at + s->config.ack_timeout;
		if (!s->sends[0].arrived || s->sends[0].silent)
			other = b->frozen || s->sends[0].arrived ? other : b->now;
		else if (s->sends[0].ack_at < other)
			other = s->sends[0].ack_at;
	} else if (b->frozen && s->in_resumed)
		other = s->heard_at + 2 * s->config.heartbeat + s->config.request_timeout;
	if (s->probing) {
		int64_t probe = s->probed_at + s->config.request_timeout;

		if (!b->frozen && !s->probe_stored)
			probe = b->now;
		else if (!b->frozen && s->probe_ack_at < probe)
			probe = s->probe_ack_at;
		other = probe < other ? probe : other;
	}
	return other < due ? other : due;
}

static void scripted_seed_input(TeTransport *t, const char *stream_name,
                                const TeInputPosition *newest_first, int count)
{
	Scripted *s = (Scripted *)t;

	(void)stream_name;
	if (count > SCRIPTED_HISTORY)
		count = SCRIPTED_HISTORY;
	for (int i = 0; i < count; i++)
		s->history[i] = (TeAnchorPosition){newest_first[i].stream_created, newest_first[i].seq,
		                                   newest_first[i].message_time};
	s->history_count = count;
	if (count > 0)
		s->handed = newest_first[0];
}

static const TeInputAnchor *scripted_input_anchor(const TeTransport *t)
{
	const Scripted *s = (const Scripted *)t;

	return s->in_anchored ? &s->in_anchor : NULL;
}

static void scripted_resume_input(TeTransport *t, int stream, uint64_t start_seq, int64_t now)
{
	Scripted *s = (Scripted *)t;

	(void)now;
	if (!s->in_anchored || stream != 0)
		return;
	s->in_anchored = false;
	s->in_resumed = s->stats.input_resumed = true;
	s->next = start_seq;
	s->released = start_seq - 1;
}

static bool scripted_next_input(TeTransport *t, TeInputMessage *message)
{
	Scripted *s = (Scripted *)t;
	const ScriptedStream *in = &s->broker->input;
	uint64_t lost_from = s->next;
	const ScriptedMessage *m;

	if (s->stats.state != TE_TRANSPORT_READY || s->broker->frozen || !scripted_has_input(s))
		return false;
	if (s->next < in->first)
		s->next = in->first;
	m = scripted_at_seq(in, s->next);
	if (m == NULL)
		return false;
	*message = (TeInputMessage){
		.subject = m->subject,
		.data = m->data,
		.len = m->len,
		.traceparent = m->traceparent,
		.stream_created = in->created,
		.seq = s->next,
		.message_time = m->time,
		.read_at = s->broker->now,
	};
	if (lost_from < s->next) {
		message->lost_from = lost_from;
		message->lost_to = s->next - 1;
		s->stats.lost += s->next - lost_from;
	}
	s->handed = (TeInputPosition){in->created, s->next, m->time};
	s->next++;
	s->stats.received++;
	s->stats.received_bytes += m->len;
	s->stats.input_seq = s->handed.seq;
	s->stats.input_pending = in->last - s->handed.seq;
	return true;
}

static void scripted_rewind_input(TeTransport *t)
{
	Scripted *s = (Scripted *)t;

	s->next = s->released + 1;
}

static uint64_t scripted_unread(const TeTransport *t, int stream)
{
	const Scripted *s = (const Scripted *)t;

	(void)stream;
	return s->broker->input.last - s->released;
}

static void scripted_release_input(TeTransport *t, unsigned count)
{
	Scripted *s = (Scripted *)t;
	const ScriptedMessage *m;

	for (; count > 0 && s->released + 1 < s->next; count--)
		do
			s->released++;
		while (s->released < s->broker->input.first); /* what was discarded was never handed out */
	m = scripted_at_seq(&s->broker->input, s->released);
	if (m == NULL)
		return;
	memmove(s->history + 1, s->history, sizeof(s->history[0]) * (SCRIPTED_HISTORY - 1));
	s->history[0] = (TeAnchorPosition){s->broker->input.created, s->released, m->time};
	if (s->history_count < SCRIPTED_HISTORY)
		s->history_count++;
}

static const TeOutputAnchor *scripted_output_anchor(const TeTransport *t)
{
	const Scripted *s = (const Scripted *)t;

	return s->out_anchored ? &s->out_anchor : NULL;
}

static void scripted_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now)
{
	Scripted *s = (Scripted *)t;

	(void)now;
	s->out_anchored = false;
	s->out_resumed = s->stats.output_resumed = true;
	s->expected = last_stream_seq;
	s->last_epoch = s->last_seq = 0;
}

static TePublishResult scripted_publish(TeTransport *t, const TeOutputMessage *message, int64_t now)
{
	Scripted *s = (Scripted *)t;
	ScriptedSend *send;

	if (s->stats.state != TE_TRANSPORT_READY || !s->out_resumed)
		return TE_PUBLISH_NOT_READY;
	if (s->send_count >= (unsigned)s->config.output_window || s->send_count >= SCRIPTED_WINDOW)
		return TE_PUBLISH_FULL;
	if ((int64_t)message->len > s->config.output_buffer_bytes)
		return TE_PUBLISH_TOO_LARGE;
	if (s->last_epoch > 0 && message->epoch <= s->last_epoch &&
	    !(message->epoch == s->last_epoch && message->seq == s->last_seq + 1))
		return TE_PUBLISH_BAD_ORDER;
	send = &s->sends[s->send_count++];
	*send = (ScriptedSend){.expected = s->expected++, .sent_at = now};
	send->message.subject = scripted_copy(message->subject, strlen(message->subject));
	send->message.data = scripted_copy(message->data, message->len);
	send->message.len = message->len;
	if (message->traceparent)
		send->message.traceparent =
			scripted_copy(message->traceparent, strlen(message->traceparent));
	send->message.lane = s->config.lane;
	send->message.epoch = s->last_epoch = message->epoch;
	send->message.seq = s->last_seq = message->seq;
	send->message.route_epoch = message->route_epoch;
	send->message.backfill = message->backfill;
	snprintf(send->message.installation, sizeof(send->message.installation), "%s", s->installation);
	snprintf(send->message.hash, sizeof(send->message.hash), "%s", message->hash);
	s->stats.published++;
	s->stats.in_flight = s->send_count;
	return TE_PUBLISH_OK;
}

static bool scripted_publish_plain(TeTransport *t, const char *subject, const void *data,
                                   size_t len)
{
	Scripted *s = (Scripted *)t;
	ScriptedBroker *b = s->broker;

	(void)data;
	(void)len;
	if (s->stats.state != TE_TRANSPORT_READY || b->frozen) {
		s->stats.dropped++;
		return false;
	}
	b->plain_subjects = scripted_grow(b->plain_subjects, b->plain_count, sizeof(char *));
	b->plain_subjects[b->plain_count++] = scripted_copy(subject, strlen(subject));
	return true;
}

static TePublishResult scripted_mark(TeTransport *t, const TeOutputMark *mark, int64_t now)
{
	Scripted *s = (Scripted *)t;
	ScriptedBroker *b = s->broker;

	(void)now;
	if (s->stats.state != TE_TRANSPORT_READY || !s->out_resumed)
		return TE_PUBLISH_NOT_READY;
	b->marks = scripted_grow(b->marks, b->mark_count, sizeof(*b->marks));
	b->marks[b->mark_count++] = (ScriptedMark){s->expected, mark->route_epoch};
	return TE_PUBLISH_OK;
}

static bool scripted_probe(TeTransport *t, int64_t now)
{
	Scripted *s = (Scripted *)t;

	if (s->stats.state != TE_TRANSPORT_READY || s->probing)
		return false;
	s->probing = true;
	s->probe_stored = false;
	s->probed_at = now;
	return true;
}

static bool scripted_probe_result(const TeTransport *t)
{
	return ((const Scripted *)t)->probe_succeeded;
}

static void scripted_flush(TeTransport *t, int64_t now)
{
	Scripted *s = (Scripted *)t;

	scripted_advance(s->broker, now);
	if (s->stats.state == TE_TRANSPORT_READY && s->connection == s->broker->cuts &&
	    !s->broker->frozen)
		scripted_deliver(s, now);
}

static TeOutputCursor scripted_acked(const TeTransport *t)
{
	return ((const Scripted *)t)->cursor;
}

static void scripted_reconnect(TeTransport *t, const char *reason, int64_t now)
{
	Scripted *s = (Scripted *)t;

	(void)scripted_drop(s, now, "%s", reason);
	s->backoff = 0;
	s->retry_at = now;
}

static const TeTransportStats *scripted_stats(TeTransport *t)
{
	Scripted *s = (Scripted *)t;

	s->stats.input_held = (unsigned)(s->next - s->released - (s->next > s->released));
	return &s->stats;
}

static void scripted_destroy(TeTransport *t)
{
	Scripted *s = (Scripted *)t;

	for (unsigned i = 0; i < s->send_count; i++)
		scripted_free_send(&s->sends[i]);
	free(s);
}

static inline TeTransport *scripted_transport(ScriptedBroker *b, const TeTransportConfig *config)
{
	static const TeTransportOps ops = {
		.poll = scripted_poll,
		.deadline = scripted_deadline,
		.process = scripted_process,
		.seed_input = scripted_seed_input,
		.input_anchor = scripted_input_anchor,
		.resume_input = scripted_resume_input,
		.next_input = scripted_next_input,
		.rewind_input = scripted_rewind_input,
		.release_input = scripted_release_input,
		.unread = scripted_unread,
		.output_anchor = scripted_output_anchor,
		.resume_output = scripted_resume_output,
		.publish = scripted_publish,
		.publish_plain = scripted_publish_plain,
		.mark = scripted_mark,
		.probe = scripted_probe,
		.probe_result = scripted_probe_result,
		.flush = scripted_flush,
		.acked = scripted_acked,
		.reconnect = scripted_reconnect,
		.stats = scripted_stats,
		.destroy = scripted_destroy,
	};
	Scripted *s = calloc(1, sizeof(*s));

	if (s == NULL)
		exit(1);
	s->base.ops = &ops;
	s->broker = b;
	s->config = *config;
	snprintf(s->installation, sizeof(s->installation), "%s",
	         config->installation ? config->installation : "");
	snprintf(s->stats.server_url, sizeof(s->stats.server_url), "scripted://");
	return &s->base;
}

#endif
