#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With TLS a write may wait for the socket, so little is left to wait with. */
#define TLS_FLUSH_BYTES 65536

static TeNatsFlight *flight_at(const TeNatsOutput *out, uint64_t index)
{
	return &out->window[index % out->capacity];
}

bool te_nats_output_create(TeNats *n)
{
	n->out.capacity = (uint64_t)n->config->output_window;
	n->out.window = calloc(n->out.capacity, sizeof(TeNatsFlight));
	return n->out.window != NULL;
}

void te_nats_output_destroy(TeNats *n)
{
	free(n->out.window);
}

void te_nats_output_disconnected(TeNats *n)
{
	n->out.anchored = n->out.resumed = false;
	n->out.oldest = n->out.next = n->out.flushed = 0;
}

const TeOutputAnchor *te_nats_output_anchor(const TeTransport *t)
{
	const TeNatsOutput *out = &((const TeNats *)t)->out;

	return out->anchored ? &out->anchor : NULL;
}

void te_nats_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now)
{
	TeNatsOutput *out = &((TeNats *)t)->out;

	(void)now;
	if (!out->anchored)
		return;
	out->anchored = false;
	out->resumed = true;
	out->base_seq = last_stream_seq;
	out->oldest = out->next = out->flushed = 0;
	out->last_epoch = out->last_seq = 0;
}

TeOutputCursor te_nats_acked(const TeTransport *t)
{
	return ((const TeNats *)t)->out.acked;
}

static natsStatus set_number(natsMsg *msg, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return natsMsgHeader_Set(msg, key, text);
}

/* <installation>/<lane>/<epoch>/<seq>: what the broker recognises a repetition by. */
static natsStatus set_id(natsMsg *msg, const char *key, const TeNats *n, uint64_t epoch,
                         uint64_t seq)
{
	char id[TE_NATS_SUBJECT_SIZE];

	snprintf(id, sizeof(id), "%s/%d/%" PRIu64 "/%" PRIu64, n->config->installation, n->config->lane,
	         epoch, seq);
	return natsMsgHeader_Set(msg, key, id);
}

/* The identity that outlives the broker's memory of ids. */
natsStatus te_nats_set_identity(natsMsg *msg, const TeNats *n, const TeOutputMessage *message)
{
	natsStatus s = set_number(msg, "te-lane", (uint64_t)n->config->lane);

	if (s == NATS_OK)
		s = set_number(msg, "te-epoch", message->epoch);
	if (s == NATS_OK)
		s = set_number(msg, "te-seq", message->seq);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "te-hash", message->hash);
	if (s == NATS_OK && message->traceparent != NULL)
		s = natsMsgHeader_Set(msg, "traceparent", message->traceparent);
	return s;
}

/*
 * The broker refuses what isn't the exact successor.  The first message of a connection is bound
 * to the stream's last sequence (the broker may have forgotten the id of an old message); all
 * later ones to the id before them as well: by sequence alone, the third of a series would land
 * when its two predecessors were refused because somebody else had written two messages.
 */
static natsStatus set_headers(natsMsg *msg, const TeNats *n, const TeOutputMessage *message)
{
	const TeNatsOutput *out = &n->out;
	natsStatus s = set_id(msg, "Nats-Msg-Id", n, message->epoch, message->seq);

	if (s == NATS_OK)
		s = set_number(msg, "Nats-Expected-Last-Sequence", out->base_seq + out->next);
	if (s == NATS_OK && out->next > 0)
		s = set_id(msg, "Nats-Expected-Last-Msg-Id", n, out->last_epoch, out->last_seq);
	if (s == NATS_OK)
		s = te_nats_set_identity(msg, n, message);
	if (s == NATS_OK && message->route_epoch != 0)
		s = set_number(msg, "te-route", message->route_epoch);
	if (s == NATS_OK && message->backfill)
		s = natsMsgHeader_Set(msg, "te-backfill", "1");
	return s;
}

static bool follows(const TeNatsOutput *out, const TeOutputMessage *message)
{
	if (message->hash == NULL || message->hash[0] == '\0' ||
	    strlen(message->hash) >= TE_TRANSPORT_HASH_SIZE)
		return false;
	if (out->next == 0)
		return true;
	return message->epoch > out->last_epoch ||
	       (message->epoch == out->last_epoch && message->seq == out->last_seq + 1);
}

static natsStatus send_message(const TeNats *n, const TeOutputMessage *message)
{
	char reply[TE_NATS_SUBJECT_SIZE];
	natsMsg *msg = NULL;
	natsStatus s;

	snprintf(reply, sizeof(reply), "%s.a%" PRIu64, n->link->inbox, n->out.next);
	s = natsMsg_Create(&msg, message->subject, reply, message->data, (int)message->len);
	if (s == NATS_OK)
		s = set_headers(msg, n, message);
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(n->link->nc, msg);
	natsMsg_Destroy(msg);
	return s;
}

TePublishResult te_nats_send_output(TeNats *n, const TeOutputMessage *message,
                                    natsStatus (*send)(const TeNats *, const TeOutputMessage *),
                                    int64_t now)
{
	natsStatus s;

	if (natsConnection_Buffered(n->link->nc) >= n->config->output_buffer_bytes)
		return TE_PUBLISH_FULL;
	if (message->len > (size_t)n->link->max_payload)
		return TE_PUBLISH_TOO_LARGE;
	s = send(n, message);
	if (s == NATS_MAX_PAYLOAD)
		return TE_PUBLISH_TOO_LARGE;
	if (s != NATS_OK) {
		te_nats_drop(n, now, "cannot publish: %s", natsStatus_GetText(s));
		return TE_PUBLISH_NOT_READY;
	}
	return TE_PUBLISH_OK;
}

TePublishResult te_nats_publish(TeTransport *t, const TeOutputMessage *message, int64_t now)
{
	TeNats *n = (TeNats *)t;
	TeNatsOutput *out = &n->out;
	TePublishResult result;

	if (!out->resumed)
		return TE_PUBLISH_NOT_READY;
	if (!follows(out, message))
		return TE_PUBLISH_BAD_ORDER;
	if (out->next - out->oldest >= out->capacity)
		return TE_PUBLISH_FULL;
	result = te_nats_send_output(n, message, send_message, now);
	if (result != TE_PUBLISH_OK)
		return result;
	*flight_at(out, out->next++) = (TeNatsFlight){
		.epoch = message->epoch,
		.seq = message->seq,
		.sent_at = now,
		.maybe_sent = message->maybe_sent,
	};
	out->last_epoch = message->epoch;
	out->last_seq = message->seq;
	n->stats.published++;
	if (n->link->tls && natsConnection_Buffered(n->link->nc) > TLS_FLUSH_BYTES)
		n->base.ops->flush(t, now);
	return TE_PUBLISH_OK;
}

/* Moves the cursor over everything that is acknowledged without a hole. */
static void advance(TeNats *n)
{
	TeNatsOutput *out = &n->out;

	while (out->oldest < out->next && flight_at(out, out->oldest)->acked) {
		const TeNatsFlight *flight = flight_at(out, out->oldest++);

		out->acked = (TeOutputCursor){flight->epoch, flight->seq, out->base_seq + out->oldest};
		n->stats.output_stream_seq = out->acked.stream_seq;
		n->stats.acked++;
		n->events |= TE_EVENT_ACKED;
	}
}

/* Sent for the first time, and there before.  Its content may be ours or not: the identity isn't.
 */
static void note_rival(TeNats *n, const TeNatsFlight *flight, int64_t now)
{
	te_nats_drop(n, now,
	             "another engine writes as this one: output %" PRIu64 "/%" PRIu64
	             " was there before it was sent",
	             flight->epoch, flight->seq);
	n->events |= TE_EVENT_RIVAL;
}

void te_nats_output_ack(TeNats *n, uint64_t index, const char *data, size_t len, int64_t now)
{
	TeNatsOutput *out = &n->out;
	TeJsPubAck ack;

	if (!out->resumed || index < out->oldest || index >= out->next)
		return;
	if (!te_js_parse_pub_ack(data, len, &ack)) {
		te_nats_drop(n, now, "acknowledgement not understood");
	} else if (ack.error.code != 0) {
		te_nats_drop(n, now, "output refused: %s (%d)", ack.error.description, ack.error.err_code);
	} else if (ack.seq != out->base_seq + index + 1 ||
	           strcmp(ack.stream, n->output_spec.name) != 0) {
		te_nats_drop(n, now, "output stored as %s:%" PRIu64 " instead of %s:%" PRIu64, ack.stream,
		             ack.seq, n->output_spec.name, out->base_seq + index + 1);
	} else if (ack.duplicate && !flight_at(out, index)->maybe_sent) {
		note_rival(n, flight_at(out, index), now);
	} else {
		n->stats.duplicates += ack.duplicate;
		flight_at(out, index)->acked = true;
		advance(n);
	}
}

int64_t te_nats_output_deadline(const TeNats *n)
{
	const TeNatsOutput *out = &n->out;

	if (out->oldest == out->next)
		return TE_TRANSPORT_NEVER;
	return flight_at(out, out->oldest)->sent_at + n->config->ack_timeout;
}

/* An acknowledgement can be waited for since the message left, not since it was made. */
void te_nats_output_flushed(TeNats *n, int64_t now)
{
	TeNatsOutput *out = &n->out;

	for (; out->flushed < out->next; out->flushed++)
		flight_at(out, out->flushed)->sent_at = now;
}

/* A connection that is up proves nothing: only acknowledgements do. */
void te_nats_output_watch(TeNats *n, int64_t now)
{
	if (now >= te_nats_output_deadline(n))
		te_nats_drop(n, now, "no acknowledgement for %lld ms, %" PRIu64 " outputs in flight",
		             (long long)(n->config->ack_timeout / TE_MSEC), n->out.next - n->out.oldest);
}
