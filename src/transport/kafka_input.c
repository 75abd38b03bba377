#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static TeKafkaSlot *slot_at(const TeKafkaInput *in, uint64_t counter)
{
	return &in->ring[counter % in->capacity];
}

bool te_kafka_input_create(TeKafka *k)
{
	k->in.capacity = (uint64_t)k->config->input_ring;
	k->in.ring = calloc(k->in.capacity, sizeof(TeKafkaSlot));
	k->in.streams = calloc(TE_TRANSPORT_STREAMS_MAX, sizeof(TeKafkaStream));
	return k->in.ring != NULL && k->in.streams != NULL;
}

static void free_slot(TeKafkaInput *in, TeKafkaSlot *slot)
{
	in->held_bytes -= (int64_t)slot->bytes;
	in->streams[slot->stream].held--;
	free(slot->subject);
	slot->subject = NULL;
}

/* Frees the newest messages, down to this counter. */
static void discard_from(TeKafkaInput *in, uint64_t counter)
{
	while (in->tail > counter)
		free_slot(in, slot_at(in, --in->tail));
}

void te_kafka_input_destroy(TeKafka *k)
{
	if (k->in.ring != NULL)
		discard_from(&k->in, k->in.head);
	free(k->in.ring);
	free(k->in.streams);
	free(k->in.seeds);
}

/* What the caller has not seen is fetched again; what it has seen stays until it is released. */
void te_kafka_input_disconnected(TeKafka *k)
{
	TeKafkaInput *in = &k->in;

	if (in->ring != NULL)
		discard_from(in, in->high);
	for (int i = 0; i < in->stream_count; i++)
		in->streams[i].found = in->streams[i].anchored = false;
	in->anchors = 0;
	in->reading = in->more = false;
}

void te_kafka_seed_input(TeTransport *t, const char *stream_name,
                         const TeInputPosition *newest_first, int count)
{
	TeKafkaInput *in = &((TeKafka *)t)->in;
	TeKafkaPlace *seeds, *seed;

	if (stream_name == NULL || count <= 0 || strlen(stream_name) >= sizeof(in->seeds[0].name))
		return;
	seeds = realloc(in->seeds, (size_t)(in->seed_count + 1) * sizeof(*seeds));
	if (seeds == NULL)
		return;
	in->seeds = seeds;
	seed = &seeds[in->seed_count++];
	*seed = (TeKafkaPlace){.handed = newest_first[0]};
	snprintf(seed->name, sizeof(seed->name), "%s", stream_name);
	seed->history_count = count < TE_KAFKA_HISTORY ? count : TE_KAFKA_HISTORY;
	for (int i = 0; i < seed->history_count; i++)
		seed->history[i] = newest_first[i];
}

/* Everything that is known about positions, for a check. */
TeKafkaPlace *te_kafka_input_places(const TeKafka *k, int *count)
{
	const TeKafkaInput *in = &k->in;
	TeKafkaPlace *places = calloc((size_t)(in->stream_count + in->seed_count) + 1, sizeof(*places));

	*count = 0;
	for (int i = 0; places != NULL && i < in->stream_count; i++)
		places[(*count)++] = in->streams[i].place;
	for (int i = 0; places != NULL && i < in->seed_count; i++)
		places[(*count)++] = in->seeds[i];
	return places;
}

/* The stream of this name; one that was never seen before begins with its seed, if it has one. */
static TeKafkaStream *find_stream(TeKafkaInput *in, const TeKafkaFound *found)
{
	TeKafkaStream *stream;

	for (int i = 0; i < in->stream_count; i++)
		if (strcmp(in->streams[i].place.name, found->name) == 0)
			return &in->streams[i];
	if (in->stream_count == TE_TRANSPORT_STREAMS_MAX)
		return NULL;
	stream = &in->streams[in->stream_count++];
	*stream = (TeKafkaStream){.topic = found->topic, .partition = found->partition};
	memcpy(stream->place.name, found->name, sizeof(found->name));
	for (int i = 0; i < in->seed_count; i++)
		if (strcmp(in->seeds[i].name, found->name) == 0) {
			stream->place = in->seeds[i];
			in->seeds[i] = in->seeds[--in->seed_count];
		}
	return stream;
}

void te_kafka_input_found(TeKafka *k, const TeKafkaCheck *check)
{
	TeKafkaInput *in = &k->in;

	for (int i = 0; i < check->found_count; i++) {
		TeKafkaStream *stream = find_stream(in, &check->found[i]);

		if (stream == NULL)
			continue;
		stream->found = stream->anchored = true;
		stream->anchor = check->found[i].anchor;
		stream->anchor.stream = (int)(stream - in->streams);
		stream->anchor.stream_name = stream->place.name;
		stream->end = stream->anchor.last_seq;
		in->anchors++;
	}
}

const TeInputAnchor *te_kafka_input_anchor(const TeTransport *t)
{
	const TeKafkaInput *in = &((const TeKafka *)t)->in;

	for (int i = 0; in->anchors > 0 && i < in->stream_count; i++)
		if (in->streams[i].anchored)
			return &in->streams[i].anchor;
	return NULL;
}

/* Positions of a partition, or of a part of it, that is no more can't be gone back to. */
static void prune_history(TeKafkaStream *stream, uint64_t start_seq)
{
	TeKafkaPlace *place = &stream->place;
	int kept = 0;

	for (int i = 0; i < place->history_count; i++)
		if (place->history[i].stream_created == stream->anchor.stream_created &&
		    place->history[i].seq < start_seq)
			place->history[kept++] = place->history[i];
	place->history_count = kept;
}

/* All at once: librdkafka is told of all partitions together. */
static void start_reading(TeKafka *k, int64_t now)
{
	TeKafkaInput *in = &k->in;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(in->stream_count);
	rd_kafka_resp_err_t err;

	for (int i = 0; i < in->stream_count; i++) {
		const TeKafkaStream *stream = &in->streams[i];

		if (stream->found)
			rd_kafka_topic_partition_list_add(list, k->settings->inputs[stream->topic],
			                                  stream->partition)
				->offset = (int64_t)stream->expected - 1;
	}
	err = rd_kafka_assign(k->link->consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	in->reading = in->more = true;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		te_kafka_drop(k, now, "cannot read input: %s", rd_kafka_err2str(err));
}

void te_kafka_resume_input(TeTransport *t, int stream_index, uint64_t start_seq, int64_t now)
{
	TeKafka *k = (TeKafka *)t;
	TeKafkaInput *in = &k->in;
	TeKafkaStream *stream = &in->streams[stream_index];
	TeInputPosition before = {.seq = start_seq - 1};

	if (stream_index < 0 || stream_index >= in->stream_count || !stream->anchored || start_seq == 0)
		return;
	before.stream_created = stream->anchor.stream_created;
	if (stream->anchor.outcome == TE_INPUT_SAME && before.seq == stream->place.handed.seq)
		before.message_time = stream->place.handed.message_time;
	else if (stream->anchor.matched.seq != 0 && before.seq == stream->anchor.matched.seq)
		before.message_time = stream->anchor.matched.message_time;
	stream->anchored = false;
	stream->place.handed = before;
	stream->expected = start_seq;
	stream->last = before.seq;
	prune_history(stream, start_seq);
	if (--in->anchors == 0)
		start_reading(k, now);
}

bool te_kafka_input_has_room(const TeKafka *k)
{
	const TeKafkaInput *in = &k->in;

	return in->tail - in->head < in->capacity && in->held_bytes < k->config->input_buffer_bytes;
}

static TeKafkaStream *stream_of(const TeKafka *k, const char *topic, int32_t partition)
{
	for (int i = 0; i < k->in.stream_count; i++) {
		TeKafkaStream *stream = &k->in.streams[i];

		if (stream->found && stream->partition == partition &&
		    strcmp(k->settings->inputs[stream->topic], topic) == 0)
			return stream;
	}
	return NULL;
}

/* Appends a text with its zero; where it is, or NULL for none. */
static char *append_text(char **to, const char *text)
{
	size_t size = text != NULL ? strlen(text) + 1 : 0;
	char *at = *to;

	if (text == NULL)
		return NULL;
	memcpy(at, text, size);
	*to += size;
	return at;
}

static size_t text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

/* Copies a message into one block of memory, so that it doesn't depend on the link. */
static bool fill_slot(TeKafkaSlot *slot, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers = NULL;
	const char *subject, *id, *trace;
	char *at;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		headers = NULL;
	subject = te_kafka_header(headers, "te-subject");
	if (subject == NULL)
		subject = rd_kafka_topic_name(message->rkt); /* no subject: what it is nobody knows */
	id = te_kafka_header(headers, "Nats-Msg-Id");
	trace = te_kafka_header(headers, "traceparent");
	slot->len = message->payload != NULL ? message->len : 0;
	slot->bytes = text_size(subject) + text_size(id) + text_size(trace) + slot->len + 1;
	if ((at = malloc(slot->bytes)) == NULL)
		return false;
	slot->subject = append_text(&at, subject);
	slot->message_id = append_text(&at, id);
	slot->traceparent = append_text(&at, trace);
	slot->data = at;
	if (slot->len > 0)
		memcpy(at, message->payload, slot->len);
	at[slot->len] = '\0';
	return true;
}

/*
 * Offsets increase, but not always by one: what a transaction left behind, and what was compacted,
 * has none.  So a hole is no loss; messages that are gone before they were read are told by an
 * error about the offset.
 */
void te_kafka_input_message(TeKafka *k, const rd_kafka_message_t *message, int64_t now)
{
	TeKafkaInput *in = &k->in;
	TeKafkaStream *stream = stream_of(k, rd_kafka_topic_name(message->rkt), message->partition);
	uint64_t seq = (uint64_t)message->offset + 1;
	TeKafkaSlot *slot = slot_at(in, in->tail);

	if (stream == NULL || !in->reading || seq < stream->expected)
		return;
	if (!fill_slot(slot, message)) {
		te_kafka_drop(k, now, "out of memory");
		return;
	}
	slot->stream = (int)(stream - in->streams);
	slot->seq = seq;
	slot->time = te_kafka_message_time(message);
	slot->read_at = now;
	slot->stream_created = stream->anchor.stream_created;
	in->tail++;
	in->held_bytes += (int64_t)slot->bytes;
	stream->held++;
	stream->expected = seq + 1;
	stream->last = seq;
	if (stream->end < seq)
		stream->end = seq;
	k->stats.received++;
	k->stats.received_bytes += slot->bytes;
}

/* What is left before the end of a partition is no message: marks of transactions have offsets. */
void te_kafka_input_ended(TeKafka *k, const rd_kafka_topic_partition_t *at)
{
	TeKafkaStream *stream = stream_of(k, at->topic, at->partition);

	if (stream != NULL && at->offset > 0 && (uint64_t)at->offset > stream->last)
		stream->last = (uint64_t)at->offset;
}

/* Messages that the broker has, and that didn't come yet. */
static uint64_t pending_of(const TeKafkaStream *stream)
{
	return stream->end > stream->last ? stream->end - stream->last : 0;
}

uint64_t te_kafka_unread(const TeTransport *t, int stream)
{
	const TeKafkaStream *s = &((const TeKafka *)t)->in.streams[stream];

	return s->found ? pending_of(s) + s->held : 0;
}

void te_kafka_input_look(TeKafka *k)
{
	uint64_t pending = 0;

	for (int i = 0; i < k->in.stream_count; i++) {
		TeKafkaStream *stream = &k->in.streams[i];
		int64_t low, high;

		if (!stream->found)
			continue;
		if (k->in.reading &&
		    rd_kafka_get_watermark_offsets(k->link->consumer, k->settings->inputs[stream->topic],
		                                   stream->partition, &low,
		                                   &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
		    high > 0 && (uint64_t)high > stream->end)
			stream->end = (uint64_t)high;
		pending += pending_of(stream);
	}
	k->stats.input_pending = pending;
}

bool te_kafka_next_input(TeTransport *t, TeInputMessage *message)
{
	TeKafka *k = (TeKafka *)t;
	TeKafkaInput *in = &k->in;
	const TeKafkaSlot *slot;

	if (in->next == in->tail)
		return false;
	slot = slot_at(in, in->next++);
	*message = (TeInputMessage){
		.subject = slot->subject,
		.data = slot->data,
		.len = slot->len,
		.message_id = slot->message_id,
		.traceparent = slot->traceparent,
		.stream = slot->stream,
		.stream_created = slot->stream_created,
		.seq = slot->seq,
		.message_time = slot->time,
		.read_at = slot->read_at,
	};
	if (in->next > in->high) {
		in->high = in->next;
		in->streams[slot->stream].place.handed =
			(TeInputPosition){slot->stream_created, slot->seq, slot->time};
		k->stats.input_seq = slot->seq;
	}
	return true;
}

void te_kafka_rewind_input(TeTransport *t)
{
	TeKafkaInput *in = &((TeKafka *)t)->in;

	in->next = in->head;
}

static void remember(TeKafkaPlace *place, TeInputPosition position)
{
	if (place->history_count < TE_KAFKA_HISTORY)
		place->history_count++;
	memmove(&place->history[1], &place->history[0],
	        (size_t)(place->history_count - 1) * sizeof(place->history[0]));
	place->history[0] = position;
}

void te_kafka_release_input(TeTransport *t, unsigned count)
{
	TeKafkaInput *in = &((TeKafka *)t)->in;

	for (; count > 0 && in->head < in->next; count--) {
		TeKafkaSlot *slot = slot_at(in, in->head++);

		in->streams[slot->stream].newest =
			(TeInputPosition){slot->stream_created, slot->seq, slot->time};
		free_slot(in, slot);
	}
	for (int i = 0; i < in->stream_count; i++) {
		TeKafkaStream *stream = &in->streams[i];

		if (stream->newest.seq != 0)
			remember(&stream->place, stream->newest);
		stream->newest.seq = 0;
	}
}
