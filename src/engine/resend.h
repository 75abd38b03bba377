/*
 * resend.h - sending once more what a consumer has lost: trading.resend().
 *
 * A session leaves a request in the lane's slot of shared memory, and waits.  The lane sends the
 * exact bytes again, with their identity, outside of its output's sequence
 * (te_transport_resend): by the transport that its output takes, or by the other one where that
 * isn't well.  Nothing of it is stored.
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
	TeVia via; /* by which */
	char error[TE_RESEND_ERROR_SIZE];
} TeResend;

extern void te_resend_init(TeResend *resend);

/* --- a session --- */

/*
 * Ask a lane of this database, and wait for it.  Returns how many messages the broker has taken,
 * and which; an error when the lane doesn't run, or couldn't.
 */
extern int te_resend_ask(int lane, int64_t epoch, int64_t from_seq, int64_t to_seq, TeVia *via);

/* --- a lane --- */

/* What is being sent again. */
typedef struct TeResender
{
	bool sending;   /* a request is being served */
	bool sent_all;  /* and waits for the broker's word */
	bool pausing;   /* the transport takes no more at the moment */
	unsigned tried; /* transports, a set of bits */
	TeVia via;
	TePlace next; /* behind this place it goes on */
	TePlace through;
	int sent;
} TeResender;

/* What it takes to serve. */
typedef struct TeResendParts
{
	TeResend *resend;
	int lane;
	TeOutQueue *queue;
	const TeRoute *route;
	TeTransport *const *transports; /* of each TeVia; NULL: not configured */
} TeResendParts;

/* Serve a request that waits, as far as its messages are released; outside of a transaction. */
extern void te_resend_serve(TeResender *resender, const TeResendParts *parts, int64_t now);

#endif
