/*
 * outbox.c - see outbox.h.
 *
 * Field numbers are those of OutboxFrames and OutboxFrame in proto/trading/storage.proto;
 * a unit test reads what is written here with the generated code.
 */
#include "outbox.h"

#include <inttypes.h>
#include <string.h>

#include "identity.h"
#include "scan.h"

#define FRAMES_FIELD 1
#define SEQ_FIELD 1
#define SUBJECT_FIELD 2
#define MESSAGE_FIELD 3
#define HASH_FIELD 4
#define EXPIRES_FIELD 5
#define TRACEPARENT_FIELD 6

#define FIRST_CAPACITY 4096
/* Tags, numbers and lengths of one frame. */
#define FRAME_OVERHEAD 64

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *put_tag(uint8_t *at, unsigned field, ProtobufCWireType type)
{
	return put_varint(at, (uint64_t)(field << 3 | type));
}

static uint8_t *put_bytes(uint8_t *at, unsigned field, const void *data, size_t len)
{
	at = put_tag(at, field, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
	at = put_varint(at, len);
	if (len > 0)
		memcpy(at, data, len);
	return at + len;
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;

	for (; value >= 0x80; value >>= 7)
		size++;
	return size;
}

void te_outbox_begin(TeOutboxWriter *writer, TeArena *arena)
{
	*writer = (TeOutboxWriter){.arena = arena, .expires_at = TE_NO_TIME};
}

/* Room for "more" bytes; the blob moves to twice the space. */
static bool reserve(TeOutboxWriter *writer, size_t more)
{
	size_t capacity = writer->capacity > 0 ? writer->capacity : FIRST_CAPACITY;
	uint8_t *data;

	if (writer->capacity - writer->len >= more)
		return true;
	if (more > SIZE_MAX / 4 || writer->len > SIZE_MAX / 4)
		return false;
	while (capacity - writer->len < more)
		capacity *= 2;
	if ((data = te_arena_alloc(writer->arena, capacity)) == NULL)
		return false;
	if (writer->len > 0)
		memcpy(data, writer->data, writer->len);
	writer->data = data;
	writer->capacity = capacity;
	return true;
}

/* The blob is dead when its last frame is; one that never expires keeps it for ever. */
static void note_expiry(TeOutboxWriter *writer, TeTime expires_at)
{
	if (writer->count == 0)
		writer->expires_at = expires_at;
	else if (writer->expires_at != TE_NO_TIME &&
	         (expires_at == TE_NO_TIME || expires_at > writer->expires_at))
		writer->expires_at = expires_at;
}

bool te_outbox_append(TeOutboxWriter *writer, uint64_t seq, const char *subject, TeTime expires_at,
                      const char *traceparent, const uint8_t *message, size_t len, TeWireError *err)
{
	size_t subject_len = strlen(subject);
	size_t trace_len = traceparent != NULL ? strlen(traceparent) : 0;
	uint64_t hash = te_hash64(message, len);
	int64_t expires = expires_at != TE_NO_TIME ? expires_at : 0;
	size_t size;
	uint8_t *at;

	if (seq == 0 || (writer->count > 0 && seq != writer->last_seq + 1))
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "seq",
		                    "%" PRIu64 " doesn't follow %" PRIu64, seq, writer->last_seq);
	if (subject_len == 0 || subject_len >= TE_SUBJECT_MAX)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "subject", "has %zu bytes", subject_len);
	if (trace_len > TE_NAME_MAX)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "traceparent", "has %zu bytes", trace_len);
	if (len > UINT32_MAX || !reserve(writer, len + subject_len + trace_len + FRAME_OVERHEAD))
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the batch needs too much memory");

	size = 1 + varint_size(seq) + 1 + varint_size(subject_len) + subject_len + 1 +
	       varint_size(len) + len + 1 + 8 +
	       (expires != 0 ? 1 + varint_size((uint64_t)expires) : 0) +
	       (trace_len > 0 ? 1 + varint_size(trace_len) + trace_len : 0);
	at = put_tag(writer->data + writer->len, FRAMES_FIELD, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
	at = put_varint(at, size);
	at = put_tag(at, SEQ_FIELD, PROTOBUF_C_WIRE_TYPE_VARINT);
	at = put_varint(at, seq);
	at = put_bytes(at, SUBJECT_FIELD, subject, subject_len);
	at = put_bytes(at, MESSAGE_FIELD, message, len);
	at = put_tag(at, HASH_FIELD, PROTOBUF_C_WIRE_TYPE_64BIT);
	for (int i = 0; i < 8; i++)
		*at++ = (uint8_t)(hash >> (8 * i));
	if (expires != 0) {
		at = put_tag(at, EXPIRES_FIELD, PROTOBUF_C_WIRE_TYPE_VARINT);
		at = put_varint(at, (uint64_t)expires);
	}
	if (trace_len > 0)
		at = put_bytes(at, TRACEPARENT_FIELD, traceparent, trace_len);
	writer->len = (size_t)(at - writer->data);

	note_expiry(writer, expires_at);
	if (writer->count++ == 0)
		writer->first_seq = seq;
	writer->last_seq = seq;
	return true;
}

void te_outbox_read(TeOutboxReader *reader, const uint8_t *data, size_t len)
{
	*reader = (TeOutboxReader){.at = data, .end = len > 0 ? data + len : data};
}

static bool read_text(const TeScanField *field, char *out, size_t size)
{
	if (field->type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || field->len >= size ||
	    !te_utf8_valid(field->data, field->len))
		return false;
	memcpy(out, field->data, field->len);
	out[field->len] = '\0';
	return true;
}

static bool read_field(const TeScanField *field, TeFrame *frame)
{
	switch (field->number) {
	case SEQ_FIELD:
		frame->seq = field->value;
		return field->type == PROTOBUF_C_WIRE_TYPE_VARINT;
	case SUBJECT_FIELD:
		return read_text(field, frame->subject, sizeof(frame->subject));
	case MESSAGE_FIELD:
		frame->message = field->data;
		frame->message_len = field->len;
		return field->type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	case HASH_FIELD:
		frame->hash = field->value;
		return field->type == PROTOBUF_C_WIRE_TYPE_64BIT;
	case EXPIRES_FIELD:
		frame->expires_at = field->value != 0 ? (TeTime)field->value : TE_NO_TIME;
		return field->type == PROTOBUF_C_WIRE_TYPE_VARINT;
	case TRACEPARENT_FIELD:
		return read_text(field, frame->traceparent, sizeof(frame->traceparent));
	default:
		return true;
	}
}

/* The fields of one frame, and whether they are what was written. */
static bool read_frame(const TeScanField *outer, uint64_t last_seq, TeFrame *frame)
{
	TeScan scan;
	TeScanField field;
	int got;

	te_scan_begin(&scan, outer->data, outer->len);
	while ((got = te_scan_next(&scan, &field)) == 1)
		if (!read_field(&field, frame))
			return false;
	return got == 0 && frame->message != NULL && frame->subject[0] != '\0' && frame->seq != 0 &&
	       (last_seq == 0 || frame->seq == last_seq + 1) &&
	       te_hash64(frame->message, frame->message_len) == frame->hash;
}

int te_outbox_next(TeOutboxReader *reader, TeFrame *frame, TeWireError *err)
{
	TeScan scan = {.at = reader->at, .end = reader->end};
	TeScanField field;
	int got = te_scan_next(&scan, &field);

	memset(frame, 0, sizeof(*frame));
	frame->expires_at = TE_NO_TIME;
	if (got == 0)
		return 0;
	if (got < 0 || field.number != FRAMES_FIELD ||
	    field.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
	    !read_frame(&field, reader->last_seq, frame)) {
		te_wire_fail(err, TE_WIRE_MALFORMED, "frames",
		             "the frame after sequence %" PRIu64 " is damaged", reader->last_seq);
		return -1;
	}
	reader->at = scan.at;
	reader->last_seq = frame->seq;
	return 1;
}
