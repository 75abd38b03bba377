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
#include "engine/crash_marker.h"
#include "engine/exposure.h"
#include "engine/memory.h"
#include "engine/policy.h"
#include "engine/publisher.h"
#include "engine/shmem.h"
#include "engine/store.h"
#include "engine/waiting.h"
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
	TeWaiting *waiting;       /* messages that came before their turn */
	TeCrashMarker *marker;    /* says which are under way; NULL: nothing does */
	TeCounts *counts;
	TePublisher *publisher; /* NULL: nothing was ever sent, nothing will be */
	bool publishing;        /* a broker is configured: signals get an output sequence and a frame */
} TeLaneContext;

typedef struct TeInput
{
	const char *source;  /* label in the tables; lives as long as the worker */
	int origin;          /* number of the source; -1: it can't be read again from there */
	int64 seq;           /* position in the stream, or inbox_id */
	const char *subject; /* of an inbox row: the subject that it stands for */
	const uint8_t *data;
	size_t len;
	const char *traceparent; /* from the headers, or NULL */
	int64 read_at;           /* monotonic microseconds */
	bool authorised;         /* by trading.submit(); otherwise producer and token are looked at */
	bool repeat;             /* it was read, and counted, before: it has waited, or a restart reads
	                            it again for what was to wait */
	bool retry;              /* a dead letter that is tried again */
	const char *release;     /* no message: the first hole of this producer is given up by hand; its
	                            company, user and id, joined by '/' */
} TeInput;

/* What its counters are raised by when the batch is committed; an attempt counts nothing. */
typedef struct TeBatchCounts
{
#define TE_BATCH_COUNT(name) uint64 name;
	TE_LANE_COUNTERS(TE_BATCH_COUNT)
#undef TE_BATCH_COUNT
	uint64 outcomes[TE_OUTCOME_COUNT];
} TeBatchCounts;

typedef struct TeBatch
{
	const TeLaneContext *lane;
	MemoryContext context;
	TeArena *arena;
	TeBatchRows rows;
	TeOutboxWriter outbox;
	bool single;               /* no more than one message is to take effect */
	const char *poison;        /* not NULL: whose turn it is couldn't be stored, for this reason */
	struct TeArrival *offered; /* in admission, and not yet settled */
	bool unfinished;           /* messages that waited are left for the next batch */
	int steps;                 /* of sequences, that it has taken */
	int messages, predictions, signals, executions;
	int parked;           /* of the messages, those that wait for their turn from here on */
	int read;             /* of the messages, those that are no repeats */
	size_t message_bytes; /* as they came in; rows keep a copy of them */
	TeTime at;            /* of the system's clock; one for the batch */
	int64 now;            /* the same moment in monotonic microseconds */
	int64 *read_at;       /* of the messages in the frames not yet closed */
	int read_at_count, read_at_capacity;
	int64 *message_read_at; /* of every message */
	int message_read_at_capacity;
	List *frames;              /* of TeBatchFrames */
	List *notices;             /* of TeNotice: notify.h */
	struct TeResults *results; /* of executions; NULL: there are none */
	TeBatchCounts counts;
} TeBatch;

/* An empty batch; context and arena are reset by the caller between batches. */
extern void te_batch_begin(TeBatch *batch, const TeLaneContext *lane, MemoryContext context,
                           TeArena *arena);

/*
 * Take a message.  False: it would have to wait for its turn, and there is no room for it; nothing
 * has happened.  When batch->unfinished is set, nothing more may be added.
 */
extern bool te_batch_add(TeBatch *batch, const TeInput *input);

/* For admission.h: read a message that has its turn; let it take effect, or become a dead letter;
 * turn it away without a turn; count it in. */
extern void te_batch_read(TeBatch *batch, struct TeArrival *arrival);
extern void te_batch_apply(TeBatch *batch, struct TeArrival *arrival);
extern void te_batch_turn_away(TeBatch *batch, const struct TeArrival *arrival);
extern void te_batch_note_read(TeBatch *batch, const TeInput *input);

/* Is this lane the one that reports what is wrong with messages of the subject? */
extern bool te_batch_answers_for(const TeBatch *batch, const TeSubject *subject);

/* Make what is in the outbox writer a row of trading.outbox, and begin another. */
extern void te_batch_close_frames(TeBatch *batch);

/* A message that is turned away, as a row of trading.dead_letters. */
extern void te_batch_dead_letter(TeBatch *batch, TeRows *rows, const TeInput *input,
                                 const char *company_id, const char *user_id,
                                 const char *producer_id, const TeWireError *err);

/* A range of the input that will never be read. */
typedef struct TeBatchGap
{
	const char *source; /* of the stream, or TE_SOURCE_PRODUCER */
	const char *scope, *producer_id;
	uint64 epoch, from, to;
	const char *reason;
} TeBatchGap;

/* Numbers of a producer, whichever way they should have come. */
#define TE_SOURCE_PRODUCER "producer"

extern void te_batch_add_gap(TeBatch *batch, const TeBatchGap *gap);

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
