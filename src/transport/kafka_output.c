#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static TeKafkaFlight *flight_at(const TeKafkaOutput *out, uint64_t index)
{
	return &out->window[index % out->capacity];
}

bool te_kafka_output_create(TeKafka *k)
{
	k->out.capacity = (uint64_t)k->config->output_window;
	k->out.window = calloc(k->out.capacity, sizeof(TeKafkaFlight));
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		k->out.marks[i] = (TeKafkaFlight){.output = (uint8_t)i, .is_mark = true};
	k->out.resend = (TeKafkaFlight){.is_resent = true};
	return k->out.window != NULL;
}

void te_kafka_output_destroy(TeKafka *k)
{
	free(k->out.window);
}

void te_kafka_output_disconnected(TeKafka *k)
{
	k->out.anchored = k->out.resumed = false;
	k->out.oldest = k->out.next = 0;
	k->out.resend_failed = k->out.resend_failed || k->out.resending > 0;
	k->out.resending = 0;
}

void te_kafka_output_found(TeKafka *k, const TeKafkaCheck *check)
{
	TeKafkaOutput *out = &k->out;

	if (!k->config->want_output)
		return;
	out->anchor = check->output;
	out->anchored = true;
	memcpy(out->next_offset, check->output_next, sizeof(out->next_offset));
}

const TeOutputAnchor *te_kafka_output_anchor(const TeTransport *t)
{
	const TeKafkaOutput *out = &((const TeKafka *)t)->out;

	return out->anchored ? &out->anchor : NULL;
}

void te_kafka_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now)
{
	TeKafkaOutput *out = &((TeKafka *)t)->out;

	(void)last_stream_seq;
	(void)now;
	if (!out->anchored)
		return;
	out->anchored = false;
	out->resumed = true;
	out->oldest = out->next = 0;
	out->last_epoch = out->last_seq = 0;
	out->marked = false;
}

TeOutputCursor te_kafka_acked(const TeTransport *t)
{
	return ((const TeKafka *)t)->out.acked;
}

static void add_text(rd_kafka_headers_t *headers, const char *name, const char *value)
{
	if (value != NULL)
		rd_kafka_header_add(headers, name, -1, value, -1);
}

static void add_number(rd_kafka_headers_t *headers, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	rd_kafka_header_add(headers, name, -1, text, -1);
}

/* Takes the headers. */
static rd_kafka_resp_err_t produce(const TeKafka *k, const TeKafkaAddress *address,
                                   int32_t partition, const void *data, size_t len,
                                   rd_kafka_headers_t *headers, TeKafkaFlight *flight)
{
	rd_kafka_resp_err_t err = rd_kafka_producev(
		k->link->producer, RD_KAFKA_V_TOPIC(address->topic), RD_KAFKA_V_PARTITION(partition),
		RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)data, len),
		RD_KAFKA_V_KEY(address->key, address->key_len), RD_KAFKA_V_HEADERS(headers),
		RD_KAFKA_V_OPAQUE(flight), RD_KAFKA_V_END);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return err;
}

static rd_kafka_headers_t *output_headers(const TeKafka *k, const TeOutputMessage *message)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(10);
	char id[TE_TRANSPORT_NAME_SIZE];

	snprintf(id, sizeof(id), "%s/%d/%" PRIu64 "/%" PRIu64, k->config->installation, k->config->lane,
	         message->epoch, message->seq);
	add_text(headers, "te-subject", message->subject);
	add_number(headers, "te-lane", (uint64_t)k->config->lane);
	add_number(headers, "te-epoch", message->epoch);
	add_number(headers, "te-seq", message->seq);
	add_text(headers, "te-hash", message->hash);
	add_text(headers, "te-installation", k->config->installation);
	if (message->route_epoch != 0)
		add_number(headers, "te-route", message->route_epoch);
	if (message->backfill)
		add_text(headers, "te-backfill", "1");
	add_text(headers, "Nats-Msg-Id", id);
	add_text(headers, "traceparent", message->traceparent);
	return headers;
}

static bool follows(const TeKafkaOutput *out, const TeOutputMessage *message)
{
	if (message->hash == NULL || message->hash[0] == '\0' ||
	    strlen(message->hash) >= TE_TRANSPORT_HASH_SIZE)
		return false;
	if (out->next == 0 || message->epoch > out->last_epoch)
		return true;
	if (message->epoch < out->last_epoch || message->seq <= out->last_seq)
		return false;
	return out->marked || message->seq == out->last_seq + 1;
}

static TePublishResult judge_produced(TeKafka *k, rd_kafka_resp_err_t err, int64_t now)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return TE_PUBLISH_OK;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return TE_PUBLISH_FULL;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		return TE_PUBLISH_TOO_LARGE;
	default:
		te_kafka_drop(k, now, "cannot publish: %s", rd_kafka_err2str(err));
		return TE_PUBLISH_NOT_READY;
	}
}

TePublishResult te_kafka_publish(TeTransport *t, const TeOutputMessage *message, int64_t now)
{
	TeKafka *k = (TeKafka *)t;
	TeKafkaOutput *out = &k->out;
	TeKafkaFlight *flight = flight_at(out, out->next);
	TeKafkaAddress address;
	TePublishResult result;

	if (!out->resumed)
		return TE_PUBLISH_NOT_READY;
	if (!follows(out, message) || !te_kafka_address(k->settings, message->subject, &address) ||
	    address.output < 0)
		return TE_PUBLISH_BAD_ORDER;
	if (out->too_large != 0 && message->len >= out->too_large)
		return TE_PUBLISH_TOO_LARGE;
	if (out->next - out->oldest >= (out->alone > 0 ? 1 : out->capacity))
		return TE_PUBLISH_FULL;
	*flight = (TeKafkaFlight){
		.epoch = message->epoch,
		.seq = message->seq,
		.sent_at = now,
		.output = (uint8_t)address.output,
	};
	result = judge_produced(k,
	                        produce(k, &address, k->config->lane, message->data, message->len,
	                                output_headers(k, message), flight),
	                        now);
	if (result != TE_PUBLISH_OK)
		return result;
	out->next++;
	out->marked = false;
	out->last_epoch = message->epoch;
	out->last_seq = message->seq;
	k->stats.published++;
	return TE_PUBLISH_OK;
}

/* In both topics, so that whoever reads one of them knows. */
TePublishResult te_kafka_mark(TeTransport *t, const TeOutputMark *mark, int64_t now)
{
	TeKafka *k = (TeKafka *)t;
	TePublishResult result = k->out.resumed ? TE_PUBLISH_OK : TE_PUBLISH_NOT_READY;

	for (int i = 0; result == TE_PUBLISH_OK && i < TE_KAFKA_OUTPUTS; i++) {
		TeKafkaAddress address = {k->settings->outputs[i], i, NULL, 0};
		rd_kafka_headers_t *headers = rd_kafka_headers_new(4);

		add_number(headers, "te-lane", (uint64_t)k->config->lane);
		add_text(headers, "te-installation", k->config->installation);
		add_number(headers, "te-route", mark->route_epoch);
		add_text(headers, "te-marker", "1");
		result = judge_produced(
			k,
			produce(k, &address, k->config->lane, mark->data, mark->len, headers, &k->out.marks[i]),
			now);
	}
	/* What was between two segments is with the other transport. */
	if (result == TE_PUBLISH_OK)
		k->out.marked = true;
	return result;
}

void te_kafka_resend_begin(TeTransport *t)
{
	TeKafkaOutput *out = &((TeKafka *)t)->out;

	out->resending = 0;
	out->resend_failed = false;
}

/* In a topic of its own, so that what the ends of the others say stays true. */
TePublishResult te_kafka_resend(TeTransport *t, const TeOutputMessage *message, int64_t now)
{
	TeKafka *k = (TeKafka *)t;
	rd_kafka_headers_t *headers;
	TeKafkaAddress address;
	TePublishResult result;

	if (!k->out.resumed)
		return TE_PUBLISH_NOT_READY;
	if (!te_kafka_address(k->settings, message->subject, &address))
		return TE_PUBLISH_BAD_ORDER;
	address.topic = k->settings->resent;
	headers = output_headers(k, message);
	add_text(headers, "te-resent", "1");
	result = judge_produced(
		k,
		produce(k, &address, k->config->lane, message->data, message->len, headers, &k->out.resend),
		now);
	if (result == TE_PUBLISH_OK)
		k->out.resending++;
	return result;
}

TeResent te_kafka_resent(TeTransport *t, int64_t now)
{
	const TeKafkaOutput *out = &((TeKafka *)t)->out;

	(void)now;
	if (out->resend_failed)
		return TE_RESENT_FAILED;
	return out->resending > 0 ? TE_RESENT_WAITING : TE_RESENT_DONE;
}

/* Of one that was given up, a report may still come: it is of no link that is there. */
static void resend_delivered(TeKafka *k, const rd_kafka_message_t *message, int64_t now)
{
	TeKafkaOutput *out = &k->out;

	if (out->resending > 0)
		out->resending--;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	out->resend_failed = true;
	te_kafka_complain(k, now, "an output was not sent again: %s", rd_kafka_err2str(message->err));
}

/* What there is a topic for; the rest is news for whoever listens, which NATS is for. */
bool te_kafka_publish_plain(TeTransport *t, const char *subject, const void *data, size_t len)
{
	TeKafka *k = (TeKafka *)t;
	rd_kafka_headers_t *headers;
	TeKafkaAddress address;

	if (k->link != NULL && te_kafka_address(k->settings, subject, &address) && address.output < 0) {
		headers = rd_kafka_headers_new(1);
		add_text(headers, "te-subject", subject);
		if (produce(k, &address, RD_KAFKA_PARTITION_UA, data, len, headers, NULL) ==
		    RD_KAFKA_RESP_ERR_NO_ERROR)
			return true;
	}
	k->stats.dropped++;
	return false;
}

/* Moves the cursor over everything that is acknowledged without a hole. */
static void advance(TeKafka *k)
{
	TeKafkaOutput *out = &k->out;

	while (out->oldest < out->next && flight_at(out, out->oldest)->acked) {
		const TeKafkaFlight *flight = flight_at(out, out->oldest++);

		out->acked = (TeOutputCursor){flight->epoch, flight->seq, (uint64_t)(flight->offset + 1)};
		k->stats.output_stream_seq = out->acked.stream_seq;
		k->stats.acked++;
		k->events |= TE_EVENT_ACKED;
	}
}

/*
 * In the lane's partition nobody else writes, so offsets follow each other.  Kafka refuses no
 * second writer: this is how one is noticed, and the next check tells who it is.
 */
static void check_offset(TeKafka *k, uint8_t output, int64_t offset, int64_t now)
{
	int64_t *next = &k->out.next_offset[output];

	if (*next >= 0 && offset >= 0 && offset != *next)
		te_kafka_drop(k, now, "somebody else writes to %s/%d: offset %lld instead of %lld",
		              k->settings->outputs[output], k->config->lane, (long long)offset,
		              (long long)*next);
	else
		*next = offset >= 0 ? offset + 1 : -1;
}

/*
 * librdkafka sends messages in batches, and the limit is the batch's: only of a message that went
 * alone it is known that it is too large.  So what was under way goes again, one by one.
 */
static void note_too_large(TeKafkaOutput *out, const rd_kafka_message_t *message)
{
	if (out->next - out->oldest == 1)
		out->too_large = message->len;
	else
		out->alone = out->next - out->oldest;
}

void te_kafka_output_delivered(TeKafka *k, const rd_kafka_message_t *message, int64_t now)
{
	TeKafkaOutput *out = &k->out;
	TeKafkaFlight *flight = message->_private;

	if (flight == NULL || !out->resumed)
		return;
	if (flight->is_resent) {
		resend_delivered(k, message, now);
		return;
	}
	if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !flight->is_mark)
		note_too_large(out, message);
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		te_kafka_drop(k, now, "output %" PRIu64 "/%" PRIu64 " was not delivered: %s", flight->epoch,
		              flight->seq, rd_kafka_err2str(message->err));
		return;
	}
	if (message->offset >= 0)
		out->acked_end[flight->output] = message->offset + 1;
	if (!flight->is_mark) {
		flight->acked = true;
		flight->offset = message->offset;
		out->alone -= out->alone > 0;
		advance(k);
	}
	check_offset(k, flight->output, message->offset, now);
}

int64_t te_kafka_output_deadline(const TeKafka *k)
{
	const TeKafkaOutput *out = &k->out;

	if (out->oldest == out->next)
		return TE_TRANSPORT_NEVER;
	return flight_at(out, out->oldest)->sent_at + k->config->ack_timeout;
}

/* librdkafka's own time limit comes late when it waits to connect. */
void te_kafka_output_watch(TeKafka *k, int64_t now)
{
	if (now >= te_kafka_output_deadline(k))
		te_kafka_drop(k, now, "no acknowledgement for %lld ms, %" PRIu64 " outputs in flight%s%s",
		              (long long)(k->config->ack_timeout / TE_MSEC), k->out.next - k->out.oldest,
		              k->detail[0] != '\0' ? ": " : "", k->detail);
}
