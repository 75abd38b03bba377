#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a message costs beside its data, for requests that are bounded in bytes. */
#define OVERHEAD 65536

/* Where nothing comes, the broker is asked so often whether there is something to come. */
#define LOOK_EVERY (10 * TE_SEC)

static TeNatsSlot *slot_at(const TeNatsInput *in, uint64_t counter)
{
	return &in->ring[counter % in->capacity];
}

bool te_nats_input_create(TeNats *n)
{
	n->in.capacity = (uint64_t)n->config->input_ring;
	n->in.ring = calloc(n->in.capacity, sizeof(TeNatsSlot));
	return n->in.ring != NULL;
}

/* Frees the newest messages, down to this counter. */
static void discard_from(TeNatsInput *in, uint64_t counter)
{
	while (in->tail > counter) {
		TeNatsSlot *slot = slot_at(in, --in->tail);

		in->held_bytes -= (int64_t)slot->bytes;
		natsMsg_Destroy(slot->msg);
	}
}

void te_nats_input_destroy(TeNats *n)
{
	if (n->in.ring != NULL)
		discard_from(&n->in, n->in.head);
	free(n->in.ring);
}

/* What the caller has not seen is fetched again; what it has seen stays until it is released. */
void te_nats_input_disconnected(TeNats *n)
{
	TeNatsInput *in = &n->in;

	if (in->ring != NULL)
		discard_from(in, in->high);
	in->anchored = in->resumed = in->consuming = false;
	in->credit = 0;
	in->credit_bytes = 0;
}

void te_nats_seed_input(TeTransport *t, const char *stream_name,
                        const TeInputPosition *newest_first, int count)
{
	TeNatsInput *in = &((TeNats *)t)->in;

	(void)stream_name;
	in->history_count = count < TE_NATS_HISTORY ? count : TE_NATS_HISTORY;
	if (in->history_count < 0)
		in->history_count = 0;
	for (int i = 0; i < in->history_count; i++)
		in->history[i] = newest_first[i];
	if (count > 0)
		in->handed = newest_first[0];
}

const TeInputAnchor *te_nats_input_anchor(const TeTransport *t)
{
	const TeNatsInput *in = &((const TeNats *)t)->in;

	return in->anchored ? &in->anchor : NULL;
}

/* Positions of a stream, or of a part of it, that is no more can't be gone back to. */
static void prune_history(TeNatsInput *in, uint64_t start_seq)
{
	int kept = 0;

	for (int i = 0; i < in->history_count; i++)
		if (in->history[i].stream_created == in->anchor.stream_created &&
		    in->history[i].seq < start_seq)
			in->history[kept++] = in->history[i];
	in->history_count = kept;
}

void te_nats_resume_input(TeTransport *t, int stream, uint64_t start_seq, int64_t now)
{
	TeNats *n = (TeNats *)t;
	TeNatsInput *in = &n->in;
	TeInputPosition before = {.stream_created = in->anchor.stream_created, .seq = start_seq - 1};

	if (!in->anchored || stream != 0 || start_seq == 0)
		return;
	if (in->anchor.outcome == TE_INPUT_SAME && before.seq == in->handed.seq)
		before.message_time = in->handed.message_time;
	else if (in->anchor.matched.seq != 0 && before.seq == in->anchor.matched.seq)
		before.message_time = in->anchor.matched.message_time;
	in->anchored = false;
	in->resumed = true;
	in->handed = before;
	in->expected_seq = start_seq;
	prune_history(in, start_seq);
	te_nats_ask_consumer(n, start_seq, now);
	n->base.ops->flush(t, now);
}

void te_nats_input_consume(TeNats *n, int64_t now)
{
	n->in.consuming = true;
	n->in.expected_delivery = 1;
	n->in.heard_at = now;
	n->in.looked_at = now - LOOK_EVERY;
	te_nats_input_pull(n, now);
}

void te_nats_input_delete_consumer(TeNats *n)
{
	char subject[TE_NATS_SUBJECT_SIZE * 2];

	if (n->in.consumer[0] == '\0')
		return;
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DELETE.%s.%s", n->input_spec.name,
	         n->in.consumer);
	n->in.consumer[0] = '\0';
	(void)natsConnection_PublishRequest(n->link->nc, subject, n->link->inbox, NULL, 0);
}

/*
 * Asks for as many messages as the ring can take, once that is a quarter of it.  Credit that is
 * out plus messages that are held never exceed the ring; the same for bytes, where what a finished
 * request left unused is known only when all credit has come back.
 */
void te_nats_input_pull(TeNats *n, int64_t now)
{
	TeNatsInput *in = &n->in;
	uint64_t room = in->capacity - (in->tail - in->head) - in->credit;
	int64_t largest, bytes, budget = n->config->input_buffer_bytes;
	int64_t expires = 30 * TE_SEC;
	char subject[TE_NATS_SUBJECT_SIZE * 2], suffix[24], body[192];
	int len;

	if (!in->consuming || room < in->capacity / 4)
		return;
	if (in->credit == 0)
		in->credit_bytes = 0;
	largest = n->link->max_payload + OVERHEAD;
	if (budget < 2 * largest)
		budget = 2 * largest;
	bytes = budget - in->held_bytes - in->credit_bytes;
	if (bytes < largest)
		return;
	if (bytes / 2 >= largest)
		bytes /= 2;
	if (expires < 4 * n->config->heartbeat)
		expires = 4 * n->config->heartbeat;
	if (in->credit == 0)
		in->heard_at = now;
	in->credit += room;
	in->credit_bytes += bytes;
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s.%s", n->input_spec.name,
	         in->consumer);
	snprintf(suffix, sizeof(suffix), "p%llu", (unsigned long long)++in->pulls);
	len = snprintf(body, sizeof(body),
	               "{\"batch\":%llu,\"max_bytes\":%lld,\"expires\":%lld,\"idle_heartbeat\":%lld}",
	               (unsigned long long)room, (long long)bytes, (long long)expires * 1000,
	               (long long)n->config->heartbeat * 1000);
	te_nats_send(n, subject, suffix, body, len, now);
}

/*
 * The consumer counts its deliveries.  A jump of that count means that one was lost on the way; a
 * jump of the stream's sequence alone means that the stream has lost messages.
 */
static bool check_delivery(TeNats *n, const char *reply, TeJsDelivery *d, int64_t now)
{
	TeNatsInput *in = &n->in;

	if (reply == NULL || !te_js_parse_delivery(reply, d) ||
	    d->consumer_len != strlen(in->consumer) ||
	    memcmp(d->consumer, in->consumer, d->consumer_len) != 0) {
		te_nats_drop(n, now, "a message came that the input consumer did not send");
		return false;
	}
	if (d->consumer_seq != in->expected_delivery || d->stream_seq < in->expected_seq) {
		te_nats_drop(n, now, "input delivery %llu (message %llu) came instead of %llu (from %llu)",
		             (unsigned long long)d->consumer_seq, (unsigned long long)d->stream_seq,
		             (unsigned long long)in->expected_delivery,
		             (unsigned long long)in->expected_seq);
		return false;
	}
	if (in->credit == 0 || in->tail - in->head >= in->capacity) {
		te_nats_drop(n, now, "the broker sent more input than was asked for");
		return false;
	}
	return true;
}

void te_nats_input_message(TeNats *n, natsMsg *msg, int64_t now)
{
	TeNatsInput *in = &n->in;
	const char *reply = natsMsg_GetReply(msg);
	TeJsDelivery d;
	TeNatsSlot *slot;

	if (!in->consuming || !check_delivery(n, reply, &d, now)) {
		natsMsg_Destroy(msg);
		return;
	}
	slot = slot_at(in, in->tail++);
	*slot = (TeNatsSlot){
		.msg = msg,
		.seq = d.stream_seq,
		.lost_from = d.stream_seq > in->expected_seq ? in->expected_seq : 0,
		.time = d.time,
		.read_at = now,
		.stream_created = in->anchor.stream_created,
		.bytes =
			(size_t)natsMsg_GetDataLength(msg) + strlen(natsMsg_GetSubject(msg)) + strlen(reply),
	};
	in->expected_seq = d.stream_seq + 1;
	in->expected_delivery++;
	in->heard_at = now;
	in->held_bytes += (int64_t)slot->bytes;
	in->credit--;
	in->credit_bytes -= (int64_t)slot->bytes;
	n->stats.received++;
	n->stats.input_pending = d.pending;
	in->looked_at = now;
	n->stats.received_bytes += slot->bytes;
}

/* A number from a header of a status message. */
static bool status_number(natsMsg *msg, const char *key, uint64_t *out)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK && value != NULL &&
	       te_js_parse_u64(value, strlen(value), out);
}

/*
 * 100 is a heartbeat.  408 and the 409s about size or batch end a request early and say how much
 * of it is left; whatever else the broker says, the consumer is not to be relied on.
 */
void te_nats_input_status(TeNats *n, natsMsg *msg, int64_t now)
{
	TeNatsInput *in = &n->in;
	const char *status = NULL, *description = NULL;
	uint64_t messages, bytes;

	natsMsgHeader_Get(msg, "Status", &status);
	natsMsgHeader_Get(msg, "Description", &description);
	if (status == NULL || !in->consuming)
		return;
	in->heard_at = now;
	if (strcmp(status, "100") == 0)
		return;
	if ((strcmp(status, "408") != 0 && strcmp(status, "409") != 0) ||
	    !status_number(msg, "Nats-Pending-Messages", &messages) ||
	    !status_number(msg, "Nats-Pending-Bytes", &bytes) || messages > in->credit) {
		te_nats_drop(n, now, "input consumer: %s %s", status,
		             description != NULL ? description : "");
		return;
	}
	in->credit -= messages;
	in->credit_bytes -= (int64_t)bytes;
}

static bool is_silent(const TeNats *n, int64_t now)
{
	return n->in.credit > 0 && now >= n->in.heard_at + 2 * n->config->heartbeat;
}

int64_t te_nats_input_deadline(const TeNats *n)
{
	const TeNatsInput *in = &n->in;
	int64_t look = in->looked_at + LOOK_EVERY;
	int64_t silent = in->heard_at + 2 * n->config->heartbeat;

	if (!in->consuming || n->ask != TE_ASK_NOTHING)
		return TE_TRANSPORT_NEVER;
	return in->credit > 0 && silent < look ? silent : look;
}

/* A request to a consumer that is gone is answered by silence. */
void te_nats_input_watch(TeNats *n, int64_t now)
{
	if (now < te_nats_input_deadline(n))
		return;
	if (is_silent(n, now))
		te_nats_ask_probe(n, now);
	else
		te_nats_ask_look(n, now);
}

/* The consumer is there; when it holds no request, the credit that we count on is gone. */
void te_nats_input_probed(TeNats *n, uint64_t waiting, int64_t now)
{
	n->in.heard_at = now;
	if (waiting == 0)
		n->in.credit = 0;
}

/*
 * What the stream has behind the last message received.  The consumer's own count isn't to be
 * relied on: nats-server 2.9 takes a message that it fails to read for delivered.
 */
void te_nats_input_looked(TeNats *n, const TeJsStream *stream, int64_t now)
{
	uint64_t received = n->in.expected_seq - 1;
	uint64_t behind = stream->last_seq > received ? stream->last_seq - received : 0;

	behind -= behind < stream->deleted ? behind : stream->deleted;
	n->stats.input_pending = behind < stream->messages ? behind : stream->messages;
	n->in.looked_at = now;
}

/* A header's value, or NULL; it lives as long as the message. */
static const char *header(natsMsg *msg, const char *key)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : NULL;
}

bool te_nats_next_input(TeTransport *t, TeInputMessage *message)
{
	TeNats *n = (TeNats *)t;
	TeNatsInput *in = &n->in;
	const TeNatsSlot *slot;

	if (in->next == in->tail)
		return false;
	slot = slot_at(in, in->next++);
	*message = (TeInputMessage){
		.subject = natsMsg_GetSubject(slot->msg),
		.data = natsMsg_GetData(slot->msg),
		.len = (size_t)natsMsg_GetDataLength(slot->msg),
		.message_id = header(slot->msg, "Nats-Msg-Id"),
		.traceparent = header(slot->msg, "traceparent"),
		.stream_created = slot->stream_created,
		.seq = slot->seq,
		.message_time = slot->time,
		.read_at = slot->read_at,
		.lost_from = slot->lost_from,
		.lost_to = slot->lost_from != 0 ? slot->seq - 1 : 0,
	};
	if (in->next > in->high) {
		in->high = in->next;
		in->handed = (TeInputPosition){slot->stream_created, slot->seq, slot->time};
		n->stats.input_seq = slot->seq;
		if (slot->lost_from != 0)
			n->stats.lost += slot->seq - slot->lost_from;
	}
	return true;
}

uint64_t te_nats_unread(const TeTransport *t, int stream)
{
	const TeNats *n = (const TeNats *)t;

	(void)stream;
	return n->stats.input_pending + (n->in.tail - n->in.head);
}

void te_nats_rewind_input(TeTransport *t)
{
	TeNatsInput *in = &((TeNats *)t)->in;

	in->next = in->head;
}

static void remember(TeNatsInput *in, TeInputPosition position)
{
	if (in->history_count < TE_NATS_HISTORY)
		in->history_count++;
	memmove(&in->history[1], &in->history[0],
	        (size_t)(in->history_count - 1) * sizeof(in->history[0]));
	in->history[0] = position;
}

void te_nats_release_input(TeTransport *t, unsigned count)
{
	TeNatsInput *in = &((TeNats *)t)->in;
	TeInputPosition last = {0};

	for (; count > 0 && in->head < in->next; count--) {
		TeNatsSlot *slot = slot_at(in, in->head++);

		last = (TeInputPosition){slot->stream_created, slot->seq, slot->time};
		in->held_bytes -= (int64_t)slot->bytes;
		natsMsg_Destroy(slot->msg);
		slot->msg = NULL;
	}
	if (last.seq != 0)
		remember(in, last);
}
