/*
 * publisher_private.h - what the files of the publisher share.
 *
 * publisher.c: batches, events of the transports, the turn.  publisher_orders.c: what the route
 * orders.
 */
#ifndef TE_ENGINE_PUBLISHER_PRIVATE_H
#define TE_ENGINE_PUBLISHER_PRIVATE_H

#include "postgres.h"

#include "engine/publisher.h"
#include "engine/resend.h"
#include "wire/arena.h"

/* One transport, as the publisher sees it. */
typedef struct Outlet
{
	TeTransport *transport; /* NULL: not configured */
	bool anchored;          /* its anchor was found good once */
	TePlace committed; /* when it was last: up to here the broker may have what it hasn't shown */
} Outlet;

struct TePublisher
{
	TePublisherParts parts;
	TeLaneSlot *slot;
	MemoryContext scratch;
	TeOutQueue *queue;
	TeRoute route;
	Outlet outlets[TE_VIA_COUNT];
	TeOutputPlaces stored, staged;
	int64 stream_created; /* of NATS' output stream, and where the cursor is in it */
	uint64 stream_seq;
	TePlace inherited; /* where the epochs before ours ended */
	TePlace deciding;  /* released by the batch that is being stored; else that of the route */
	uint64 broker_epoch;
	bool torn;        /* what comes next is lost; until the next anchor there is nothing to send */
	bool busy;        /* there was more to do than one turn takes */
	TePlace oversize; /* a message that a broker is too small for, told last */
	TeVia oversize_via;
	bool oversize_waits; /* the other one may have it, so it can't be replaced */
	bool held;           /* what is next to be released waits for the end of a transaction */
	int64 ran_at, retry_at, retry_delay;
	bool probing;   /* of NATS while it has nothing to acknowledge */
	int64 probe_at; /* when the next of these is due */
	TeResender resender;
	TeArena arena; /* for gap-fill records and markers */
};

/* Sessions that set switches are told what is released: nothing else of theirs leaves. */
extern void te_publisher_attend(TePublisher *p, TePlace released);

/* Do what the route orders first.  True: something was done, there may be more. */
extern bool te_publisher_follow(TePublisher *p, int64 now);

/* Ask NATS whether it is alive, when nothing else shows that. */
extern void te_publisher_watch(TePublisher *p, int64 now);
extern bool te_publisher_watches(const TePublisher *p);

#endif
