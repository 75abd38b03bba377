/*
 * outqueue.h - a lane's committed messages, in order, for whoever sends them.
 *
 * Batches are added after their commit and kept in memory up to a bound; what isn't there is read
 * again from trading.outbox when its turn comes.  There are three readers, each with a
 * place of its own: one for each transport, and one that decides what is released.
 */
#ifndef TE_ENGINE_OUTQUEUE_H
#define TE_ENGINE_OUTQUEUE_H

#include "postgres.h"

#include "core/route.h"
#include "wire/outbox.h"

/* A piece of a batch's output: one row of trading.outbox. */
typedef struct TeBatchFrames
{
	int64 first_seq, last_seq;
	const uint8_t *data;
	size_t len;
	const int64 *read_at; /* per message, monotonic; for latency only */
} TeBatchFrames;

/* Why a record of a gap goes out in place of a message; the labels are those of the table. */
#define TE_GAP_FILL_REASONS(X) X(NONE) X(EXPIRED) X(HALTED) X(TOO_LARGE)
#define TE_GAP_FILL_MEMBER(label) TE_ENUM_MEMBER_(TE_GAP_FILL_, label)
typedef enum { TE_GAP_FILL_REASONS(TE_GAP_FILL_MEMBER) TE_GAP_FILL_COUNT } TeGapFillReason;
extern const TeEnum te_gap_fill_enum;

/* A message that is replaced. */
typedef struct TeGapFill
{
	TePlace place;
	TeGapFillReason reason;
} TeGapFill;

/* Readers: those of the transports, and the one ahead of them. */
enum { TE_READER_RELEASE = TE_VIA_COUNT, TE_READER_COUNT };

typedef struct TeQueuedMessage
{
	TePlace place;
	const TeFrame *frame;
	TeGapFillReason replaced; /* NONE: it leaves as it is */
	bool last_of_batch;       /* of its row of trading.outbox */
} TeQueuedMessage;

typedef enum {
	TE_QUEUE_MESSAGE,
	TE_QUEUE_END,  /* nothing is behind the place */
	TE_QUEUE_FULL, /* what follows doesn't fit into memory until something is acknowledged */
	TE_QUEUE_TORN  /* what follows was committed, and is gone */
} TeQueueResult;

typedef struct TeOutQueue TeOutQueue;

/* "last" is the last message committed; nothing is in memory yet. */
extern TeOutQueue *te_out_queue_create(int lane, TePlace last, MemoryContext parent);

/* What is committed from here on is of a later epoch, which has nothing yet. */
extern void te_out_queue_begin_epoch(TeOutQueue *queue, int64 epoch);

/* The next committed piece.  Copies what it keeps. */
extern void te_out_queue_add(TeOutQueue *queue, int64 epoch, const TeBatchFrames *frames);

/* Right behind "after"; outside of a transaction.  Valid until the next call for this reader. */
extern TeQueueResult te_out_queue_next(TeOutQueue *queue, int reader, TePlace after,
                                       TeQueuedMessage *message);

/* It is stored that these are replaced. */
extern void te_out_queue_replace(TeOutQueue *queue, const TeGapFill *fill);

/* Forgets pieces up to here; "freed" is told of each with its times of reading, where known. */
typedef void (*TeOutFreed)(void *arg, const int64 *read_at, int count);
extern void te_out_queue_forget(TeOutQueue *queue, TePlace place, TeOutFreed freed, void *arg);

/* When the messages of the reader's piece were read (one per message), or NULL; count to "count" */
extern const int64 *te_out_queue_times(const TeOutQueue *queue, int reader, int *count);

extern TePlace te_out_queue_last(const TeOutQueue *queue);

/*
 * Every message behind a place up to another, from the table; outside of a transaction.  "show"
 * ends it by returning false.
 */
typedef bool (*TeOutShow)(void *arg, const TeQueuedMessage *message);
extern void te_out_queue_scan(TeOutQueue *queue, TePlace after, TePlace through, TeOutShow show,
                              void *arg);

/* One message, from the table: for the comparison with a broker's.  False: it isn't there. */
extern bool te_out_queue_find(TeOutQueue *queue, TePlace place, TeQueuedMessage *message);

#endif
