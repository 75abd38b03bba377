/*
 * resend.h - sending once more what a consumer has lost: trading.resend().
 *
 * A session leaves a request in the lane's slot of shared memory, the lane sends the exact bytes
 * again, outside of its output stream's sequence: by a plain publish to NATS, on the
 * subject of the message with "resent" behind the prefix.  Neither is stored.
 */
#ifndef TE_ENGINE_RESEND_H
#define TE_ENGINE_RESEND_H

#include "postgres.h"

#include "port/atomics.h"

#include "engine/outqueue.h"
#include "transport/transport.h"

/* Messages that one request may be about. */
#define TE_RESEND_MOST 10000

#define TE_RESEND_ERROR_SIZE 128

/* In a lane's slot; guarded by the lock of shared memory but for the two counts. */
typedef struct TeResend
{
	pg_atomic_uint64 asked, done; /* requests; more asked than done: one waits */
	int64 epoch;                  /* 0: the lane's own */
	int64 from_seq, to_seq;
	/* the answer to the last one */
	int sent;
	char error[TE_RESEND_ERROR_SIZE];
} TeResend;

extern void te_resend_init(TeResend *resend);

/* --- a session --- */

/*
 * Ask a lane of this database, and wait for it.  Returns how many messages it has sent; an error
 * when it doesn't run, or couldn't.
 */
extern int te_resend_ask(int lane, int64 epoch, int64 from_seq, int64 to_seq);

/* --- a lane --- */

/*
 * Serve a request that waits, as far as its messages are released; outside of a transaction.  The
 * transport is NULL without NATS.
 */
extern void te_resend_serve(TeResend *resend, int lane, TeOutQueue *queue, TePlace released,
                            TeTransport *nats);

#endif
