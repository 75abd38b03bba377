/*
 * batch.h - from input messages to the rows and frames of one transaction.
 *
 * te_batch_add decodes, authorises, admits and decides; bad input becomes a dead
 * letter and never an error.  Nothing is written until te_batch_store, whose commit
 * is durable; until then everything that the batch changed is staged in the lane's
 * memory, and te_memory_discard forgets it.
 */
#ifndef TE_ENGINE_BATCH_H
#define TE_ENGINE_BATCH_H

#include "postgres.h"

#include "engine/cache.h"
#include "engine/candidate.h"
#include "engine/counts.h"
#include "engine/exposure.h"
#include "engine/memory.h"
#include "engine/policy.h"
#include "engine/publisher.h"
#include "engine/shmem.h"
#include "engine/store.h"
#include "wire/decode.h"
#include "wire/outbox.h"
#include "wire/subject.h"

/* Who decides: the same for all batches of a worker. */
typedef struct TeLaneContext
{
	int lane, lane_count;
	TeLaneSlot *slot;
	TeCache *cache;
	TeMemory *memory;
	TeExposure *exposure;
	TeCandidates *candidates; /* of the batch at hand */
	struct TeAssess *assess;  /* NULL: there is no risk service to ask */
	TeCounts *counts;
	TePublisher *publisher; /* NULL: nothing was ever sent, nothing will be */
	bool publishing;        /* a broker is configured: signals get an output sequence and a frame */
} TeLaneContext;

/* Where a message came from; the labels are those of the tables. */
#define TE_SOURCE_NATS "nats"
#define TE_SOURCE_INBOX "inbox"

typedef struct TeInput
{
	const char *source;
	int64 seq;           /* position in the stream, or inbox_id */
	const char *subject; /* of an inbox row: the subject that it stands for */
	const uint8_t *data;
	size_t len;
	const char *traceparent; /* from the headers, or NULL */
	int64 read_at;           /* monotonic microseconds */
	bool authorised;         /* by trading.submit(); otherwise producer and token are looked at */
} TeInput;


typedef struct TeBatch
{
	const TeLaneContext *lane;
	MemoryContext context;
	TeArena *arena;
	TeBatchRows rows;
	TeOutboxWriter outbox;
	int messages, predictions, signals, executions;
	size_t message_bytes; /* as they came in; rows keep a copy of them */
	TeTime at;            /* of the system's clock; one for the batch */
	int64 *read_at;       /* of the messages in the frames not yet closed */
	int read_at_count, read_at_capacity;
	int64 *message_read_at; /* of every message */
	int message_read_at_capacity;
	List *frames;              /* of TeBatchFrames */
	List *notices;             /* of TeNotice: notify.h */
	struct TeResults *results; /* of executions; NULL: there are none */
} TeBatch;

/* An empty batch; context and arena are reset by the caller between batches. */
extern void te_batch_begin(TeBatch *batch, const TeLaneContext *lane, MemoryContext context,
                           TeArena *arena);

extern void te_batch_add(TeBatch *batch, const TeInput *input);

/* Is this lane the one that reports what is wrong with messages of the subject? */
extern bool te_batch_answers_for(const TeBatch *batch, const TeSubject *subject);

/* Make what is in the outbox writer a row of trading.outbox, and begin another. */
extern void te_batch_close_frames(TeBatch *batch);

/* A message that can't be stored, whatever is tried: keep it as a dead letter. */
extern void te_batch_add_dead(TeBatch *batch, const TeInput *input, const char *detail);

/* A message that is turned away, as a row of trading.dead_letters. */
extern void te_batch_dead_letter(TeBatch *batch, TeRows *rows, const TeInput *input,
                                 const char *company_id, const char *user_id,
                                 const char *producer_id, const TeWireError *err);

/* A range of the input that will never be read. */
extern void te_batch_add_gap(TeBatch *batch, const char *scope, const char *producer_id,
                             uint64 epoch, uint64 from, uint64 to, const char *reason);

/*
 * Has the batch to end before this message?  After executions no prediction is decided in the same
 * batch, because what follows from them counts from their commit on.
 */
extern bool te_batch_ends_before(const TeBatch *batch, const char *subject);

/* Is it time to store?  Under load a batch takes all that is waiting, up to this. */
extern bool te_batch_full(const TeBatch *batch);

/* A message that was released, and is replaced by a record of a gap. */
extern void te_batch_add_gap_fill(TeBatch *batch, const TeGapFill *fill);

/* Write and commit.  inbox_snapshot is what the lane has read of the inbox. */
extern void te_batch_store(TeBatch *batch, const char *inbox_snapshot);

/* Nothing of the batch has happened: forget what it staged. */
extern void te_batch_discard(const TeLaneContext *lane);

#endif
