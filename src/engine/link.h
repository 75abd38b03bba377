/*
 * link.h - a lane's link to its broker: the transport, its sockets, its events.
 */
#ifndef TE_ENGINE_LINK_H
#define TE_ENGINE_LINK_H

#include "postgres.h"

#include "engine/shmem.h"
#include "transport/transport.h"

typedef struct TeLink TeLink;

/* A link without a broker (trading_engine.nats_url is empty) only waits for the latch. */
extern TeLink *te_link_create(TeLaneSlot *slot, int lane, const char *installation);

/* Are the settings of the connection others than those that it was made with? */
extern bool te_link_outdated(const TeLink *link);

/* NULL without a broker. */
extern TeTransport *te_link_transport(const TeLink *link);

/*
 * Wait for the latch, the sockets or the deadline, whichever comes first, and let the
 * transport do its work.  Returns a set of TeTransportEvent.
 */
extern unsigned te_link_wait(TeLink *link, int64 until_us);

/* Let the transport work without waiting. */
extern unsigned te_link_poll(TeLink *link);

/*
 * Wait until something has come from the broker, at most until the given monotonic time.  For
 * waits of milliseconds outside of te_link_wait: to the microsecond, and deaf to the latch.
 */
extern void te_link_await_replies(TeLink *link, int64 until_us);

/* Show the connection's state in shared memory. */
extern void te_link_report(TeLink *link);

#endif
