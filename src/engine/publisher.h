/*
 * publisher.h - from committed batches to the brokers, in order, each message once.
 *
 * The publisher does what the route orders (core/route.h): it stores changes of the route, decides
 * and stores what is released, and hands messages to the transport of the moment.
 * What is sent are the bytes of the outbox, but for messages that had expired or were halted when
 * they were released (release.h): a gap-fill record takes their place.
 */
#ifndef TE_ENGINE_PUBLISHER_H
#define TE_ENGINE_PUBLISHER_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "core/route.h"
#include "engine/gate.h"
#include "engine/memory.h"
#include "engine/outqueue.h"
#include "engine/shmem.h"
#include "transport/transport.h"

typedef struct TePublisher TePublisher;

/* What it is made of. */
typedef struct TePublisherParts
{
	TeLaneSlot *slot;
	int lane;
	const char *installation;
	TeTransport *transports[TE_VIA_COUNT]; /* NULL: not configured */
	TeGate *gate;
	TeOutputPlaces output; /* as the lane's newest row has them */
	TePlace last;          /* committed */
	/*
	 * Store an empty batch with these rows of trading.gap_fills: te_publisher_stage() gives the
	 * place that is released with it.  False: it failed and was reported.
	 */
	bool (*store_release)(void *arg, const TeGapFill *fills, int count);
	void *arg;
} TePublisherParts;

/* Reads the lane's route; in a transaction with SPI connected. */
extern TePublisher *te_publisher_create(const TePublisherParts *parts);

/* Go by the settings of now, which mustn't contradict each other. */
extern void te_publisher_configure(TePublisher *p, int64 now);

/*----------------------------------------------------------------------
 * With each batch
 *----------------------------------------------------------------------*/

/*
 * What the row of a batch stores of the output: where the transports stand, and what it releases.
 * "frames" (of TeBatchFrames) are the batch's messages, all of "epoch".
 */
extern TeOutputPlaces te_publisher_stage(TePublisher *p, int64 epoch, const List *frames);

/* The lane writes in a later epoch from here on: it follows when the one before is sent. */
extern void te_publisher_begin_epoch(TePublisher *p, int64 epoch);

/* It is committed.  Copies what it keeps of the frames. */
extern void te_publisher_committed(TePublisher *p, int64 epoch, const List *frames);

/* Has something moved that no row has? */
extern bool te_publisher_moved(const TePublisher *p);

/*----------------------------------------------------------------------
 * With each turn
 *----------------------------------------------------------------------*/

/* How the end of a broker's stream is judged. */
typedef struct TePublisherOwner
{
	uint64 predecessor_epoch; /* up to it all output, whose ever, is behind us */
	TePlace inherited;        /* where the epochs before ours ended; epoch 0: that isn't known */
	bool adopting; /* the broker may be ahead, or its stream another installation's: an epoch above
	                  its own follows */
} TePublisherOwner;

/*
 * Take note of a transport's events (TeTransportEvent).  Its output anchor is compared with ours.
 * When it, or an answer to what was sent, shows that somebody else writes there, nothing is sent
 * any more and the reason is returned.
 */
extern const char *te_publisher_heed(TePublisher *p, TeVia via, unsigned events,
                                     const TePublisherOwner *owner, int64 now);

/* Transports that are configured, and those of them whose output anchor was found good once. */
extern int te_publisher_configured(const TePublisher *p);
extern int te_publisher_anchored(const TePublisher *p);

/* Do what the route orders; outside of a transaction. */
extern void te_publisher_run(TePublisher *p, int64 now);

/* What keeps output from a broker until somebody looks after it; NULL: nothing. */
extern const char *te_publisher_trouble(const TePublisher *p);

/* When it has to run although nothing happens (monotonic). */
extern int64 te_publisher_due(const TePublisher *p);

/* Committed, and acknowledged by no broker. */
extern int64 te_publisher_pending(const TePublisher *p);

/* The greatest epoch that an anchor has shown at the end of a broker's stream; 0: none. */
extern uint64 te_publisher_broker_epoch(const TePublisher *p);

#endif
