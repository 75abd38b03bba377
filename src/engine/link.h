/*
 * link.h - a lane's links to its brokers: the transports, their sockets, their events.
 */
#ifndef TE_ENGINE_LINK_H
#define TE_ENGINE_LINK_H

#include "postgres.h"

#include "core/route.h"
#include "engine/shmem.h"
#include "transport/transport.h"

typedef struct TeLink TeLink;

/* Sets of TeTransportEvent. */
typedef struct TeLinkEvents
{
	unsigned of[TE_VIA_COUNT];
} TeLinkEvents;

/*
 * A transport whose address is not set isn't made; without any, the link only waits for the latch.
 * lanes: how many the database has.  What keeps Kafka from being set up (a file that can't be
 * read, a library built without it) is shown and logged: the lane goes on with NATS.
 */
extern TeLink *te_link_create(TeLaneSlot *slot, int lane, int lanes, const char *installation);

/* Are the settings of the connections others than those that they were made with? */
extern bool te_link_outdated(const TeLink *link);

/* NULL where there is none. */
extern TeTransport *te_link_transport(const TeLink *link, TeVia via);

/* Is there any transport? */
extern bool te_link_has_broker(const TeLink *link);

/*
 * Wait for the latch, the sockets or the deadline, whichever comes first, and let the
 * transports do their work.
 */
extern TeLinkEvents te_link_wait(TeLink *link, int64 until_us);

/* Let the transports work without waiting. */
extern TeLinkEvents te_link_poll(TeLink *link);

/*
 * Wait until something has come from NATS, which must be there, at most until the given monotonic
 * time.  For waits of milliseconds outside of te_link_wait: to the microsecond, and deaf to the
 * latch.
 */
extern void te_link_await_replies(TeLink *link, int64 until_us);

/* Show the connections' state in shared memory. */
extern void te_link_report(TeLink *link);

#endif
