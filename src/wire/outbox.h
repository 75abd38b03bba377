/*
 * outbox.h - the messages of one batch as one blob: column frames of trading.outbox.
 *
 * The blob is the proto message OutboxFrames, written and read frame by frame
 * without a copy.
 */
#ifndef TE_WIRE_OUTBOX_H
#define TE_WIRE_OUTBOX_H

#include "arena.h"
#include "error.h"
#include "subject.h"

typedef struct TeFrame
{
	uint64_t seq; /* > 0, rising */
	char subject[TE_SUBJECT_MAX];
	char traceparent[TE_NAME_MAX + 1]; /* for the header; empty: none */
	TeTime expires_at;                 /* TE_NO_TIME: never */
	const uint8_t *message;
	size_t message_len;
	uint64_t hash; /* te_hash64 of message */
} TeFrame;

typedef struct TeOutboxWriter
{
	TeArena *arena;
	uint8_t *data;
	size_t len, capacity;
	uint32_t count;
	uint64_t first_seq, last_seq;
	TeTime
		expires_at; /* latest of all frames; TE_NO_TIME when one never expires, or there are none */
} TeOutboxWriter;

extern void te_outbox_begin(TeOutboxWriter *writer, TeArena *arena);

/* Append a message; the hash is computed.  False: memory, a sequence that doesn't follow, or an
 * overlong subject. */
extern bool te_outbox_append(TeOutboxWriter *writer, uint64_t seq, const char *subject,
                             TeTime expires_at, const char *traceparent, const uint8_t *message,
                             size_t len, TeWireError *err);

/* The blob is writer->data, writer->len; NULL and 0 without frames. */

typedef struct TeOutboxReader
{
	const uint8_t *at, *end;
	uint64_t last_seq;
} TeOutboxReader;

extern void te_outbox_read(TeOutboxReader *reader, const uint8_t *data, size_t len);

/* 1: a frame (message points into the blob), 0: no more, -1: the blob is damaged. */
extern int te_outbox_next(TeOutboxReader *reader, TeFrame *frame, TeWireError *err);

#endif
