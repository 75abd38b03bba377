/*
 * decode.h - bytes of an input message to core structs.
 *
 * Nothing in the bytes is trusted: lengths, UTF-8, enums, numbers and ids are
 * checked before use, and an error names the field.  A prediction that is wrong
 * doesn't spoil its neighbours: the batch is decoded, and that prediction carries
 * a fault.  Everything in the result points into the arena.
 */
#ifndef TE_WIRE_DECODE_H
#define TE_WIRE_DECODE_H

#include "core/execution.h"
#include "envelope.h"

typedef struct TeWireLimits
{
	size_t max_message;     /* bytes of a message; TOO_LARGE */
	size_t max_predictions; /* of a batch; TOO_MANY */
	size_t max_votes;       /* models, and patterns, of one prediction; TOO_MANY */
} TeWireLimits;

/* 1 MB, 1,000 predictions, 256 votes. */
extern const TeWireLimits te_wire_limits_default;

typedef struct TePredictionBatch
{
	const char *batch_id;
	const char *producer_id;
	const char *company_id; /* or "_all" */
	const char *user_id;    /* or "_all" */
	const char *model_version;
	TeTime generated_at;
	size_t count;
	TePrediction *predictions;
	TeTime *horizon; /* of each prediction, microseconds, 0: not said */
	TeWireError
		*faults; /* of each prediction; code TE_WIRE_OK: sound.  Field is "predictions[i].x" */
	size_t fault_count;
} TePredictionBatch;

typedef struct TeTick
{
	const char *symbol;
	double bid, ask; /* both or neither */
	double price;    /* mid of the quotes, or the price given */
	TeTime at;
} TeTick;

/* A terminal's report about a signal's order. */
typedef struct TeExecutionReport
{
	const char *execution_id;
	uint8_t signal_id[TE_UUID_BYTES];
	const char *company_id;
	const char *user_id;
	const char *symbol;
	uint32_t leg;
	TeExecution told; /* sound by te_execution_check; id is the head of execution_id's SHA-256 */
	const char *reason;
	const char *broker_order_id;
	uint8_t content_hash[TE_SHA256_BYTES]; /* the same for the same fields, however packed */
} TeExecutionReport;

/* With the system's clock, a report of what is to happen later than this is turned away. */
#define TE_EXECUTION_MAX_AHEAD (INT64_C(3600) * TE_USEC_PER_SEC)
#define TE_EXECUTION_AHEAD_TEXT "is more than an hour in the future"

typedef struct TeHeartbeat
{
	const char *producer_id;
	uint64_t producer_epoch;
	uint64_t last_seq;
	TeTime at;
	const char *company_id;
	const char *user_id;
} TeHeartbeat;

typedef struct TeMessage
{
	TeMessageKind kind;
	TeEnvelope envelope;
	union
	{
		TePredictionBatch batch;
		TeTick tick;
		TeExecutionReport execution;
		TeHeartbeat heartbeat;
	} as;
} TeMessage;

/*
 * Decode an envelope or a bare MLPredictionBatch.  Kinds that the engine only sends
 * are UNKNOWN_TYPE.  On false, "out" holds what could be read of the envelope
 * (texts never NULL), so that a dead letter can say whose it was.
 */
extern bool te_wire_decode(const uint8_t *data, size_t len, const TeWireLimits *limits,
                           TeArena *arena, TeMessage *out, TeWireError *err);

/* The same for a payload that is known to be an MLPredictionBatch. */
extern bool te_decode_predictions(const uint8_t *data, size_t len, const TeWireLimits *limits,
                                  TeArena *arena, TePredictionBatch *out, TeWireError *err);

#endif
