/*
 * envelope.h - the frame around every message, as a plain struct.
 *
 * Texts are never NULL: one that is not there is empty.  Times that are not there
 * are TE_NO_TIME.  On decoding, everything points into the arena.
 */
#ifndef TE_WIRE_ENVELOPE_H
#define TE_WIRE_ENVELOPE_H

#include "arena.h"
#include "error.h"
#include "identity.h"

/* Kinds of message; the values are those of enum MessageType. */
typedef enum {
	TE_MESSAGE_NONE,
	TE_MESSAGE_PREDICTIONS,
	TE_MESSAGE_TICK,
	TE_MESSAGE_EXECUTION,
	TE_MESSAGE_HEARTBEAT,
	TE_MESSAGE_SIGNALS,
	TE_MESSAGE_COMMAND,
	TE_MESSAGE_GAP_FILL,
	TE_MESSAGE_RISK_REQUEST,
	TE_MESSAGE_RISK_REPLY,
	TE_MESSAGE_RESEND,
	TE_MESSAGE_BREAKER,
	TE_MESSAGE_ROUTE_MARKER
} TeMessageKind;

typedef struct TeEnvelope
{
	bool bare; /* an MLPredictionBatch came without envelope; ids are the batch's */
	TeMessageKind kind;
	const char *company_id;
	const char *user_id;
	const char *service_source;
	const char *correlation_id;
	const char *traceparent;
	const char *tracestate;
	const char *strategy_id;
	int64_t strategy_version;
	const char *auth_token;
	TeTime timestamp;

	const char *producer_id;
	uint64_t producer_epoch;
	uint64_t seq; /* 0: the producer doesn't number its messages */
	TeTime produced_at;
	TeTime valid_until;

	uint32_t lane; /* output only, as epoch and out_seq */
	uint64_t epoch;
	uint64_t out_seq;

	const uint8_t *payload;
	size_t payload_len;
	uint8_t payload_hash[TE_SHA256_BYTES]; /* SHA-256 of payload, always there after decoding */
} TeEnvelope;

/* Is this a traceparent of W3C Trace Context? */
extern bool te_traceparent_valid(const char *traceparent);

/* All texts empty, all times absent. */
extern void te_envelope_init(TeEnvelope *envelope, TeMessageKind kind);

/*
 * Read the frame alone: ids, sequence and hash are checked, the payload is not
 * looked into.  A bare batch gives bare = true, payload = data and no ids.  On
 * false, "out" holds what could be read.
 */
extern bool te_envelope_decode(const uint8_t *data, size_t len, TeArena *arena, TeEnvelope *out,
                               TeWireError *err);

/* Pack envelope and payload; payload_hash is computed. */
extern bool te_envelope_encode(const TeEnvelope *envelope, TeArena *arena, const uint8_t **data,
                               size_t *len, TeWireError *err);

#endif
