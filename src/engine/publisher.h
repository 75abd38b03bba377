/*
 * publisher.h - from committed batches to the broker, in order, each message once.
 *
 * Batches are handed over after their commit and kept in memory up to a bound;
 * what does not fit is read again from trading.outbox when its turn comes.  The
 * cursor is the last (epoch, seq) that the broker has acknowledged without a gap
 * before it.  What is sent are the bytes of the outbox, but for messages that
 * have expired or are halted (gate.h): a gap-fill record takes their place.
 */
#ifndef TE_ENGINE_PUBLISHER_H
#define TE_ENGINE_PUBLISHER_H

#include "postgres.h"

#include "engine/gate.h"
#include "engine/shmem.h"
#include "transport/transport.h"

/* A place in the lane's output. */
typedef struct TeOutPlace
{
	int64 epoch, seq;
} TeOutPlace;

static inline int te_out_compare(TeOutPlace a, TeOutPlace b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

typedef struct TePublisher TePublisher;

extern TePublisher *te_publisher_create(TeLaneSlot *slot, int lane, const char *installation,
                                        TeTransport *transport, TeGate *gate, TeOutPlace cursor,
                                        TeOutPlace last);

/*
 * A committed batch: messages epoch, first_seq..last_seq.  read_at (one per message,
 * monotonic) is for latency only.  Copies what it keeps.
 */
extern void te_publisher_add(TePublisher *p, int64 epoch, int64 first_seq, int64 last_seq,
                             const void *frames, size_t length, const int64 *read_at);

/*
 * Compare the broker's last message with ours and go on behind it.  When it shows
 * that another engine wrote there, in a later epoch than predecessor_epoch if it is of
 * another installation, nothing is resumed and the reason is returned.
 * When the lane is being adopted, the broker may be ahead, or its stream another
 * installation's: an epoch above its own follows.
 */
extern const char *te_publisher_resume(TePublisher *p, int64 predecessor_epoch, bool adopting,
                                       int64 now);

/* The connection is gone: nothing is sent until the next resume. */
extern void te_publisher_suspend(TePublisher *p);

/* Send what can be sent and note what was acknowledged; outside of a transaction. */
extern void te_publisher_run(TePublisher *p, int64 now);

/* When it has to run although nothing happens (monotonic), because it keeps a message back; 0: not.
 */
extern int64 te_publisher_due(const TePublisher *p);

extern TeOutPlace te_publisher_cursor(const TePublisher *p);

/* Committed, not yet acknowledged. */
extern int64 te_publisher_pending(const TePublisher *p);

/* What the last anchor showed at the end of the broker's stream; epoch 0: nothing. */
extern TeOutPlace te_publisher_broker_last(const TePublisher *p);

#endif
