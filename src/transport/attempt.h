/*
 * attempt.h - one try to reach a broker, in a thread of its own.
 *
 * An attempt is the first member of a transport's own structure.  It has two owners, the thread
 * and the transport; whoever comes second frees it.  One that hangs, in a name lookup, say, is
 * abandoned: its thread frees it when it comes back, and until then it counts as a leftover.
 */
#ifndef TE_TRANSPORT_ATTEMPT_H
#define TE_TRANSPORT_ATTEMPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "common.h"

/* What is no longer wanted and not yet gone. */
typedef struct TeLeftovers
{
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned count;
} TeLeftovers;

#define TE_LEFTOVERS_NONE                                                                          \
	{                                                                                              \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
	}

void te_leftovers_add(TeLeftovers *leftovers, int change);
unsigned te_leftovers_count(TeLeftovers *leftovers);
/* Waits until there are none, or so long. */
void te_leftovers_await(TeLeftovers *leftovers, int64_t microseconds);

typedef struct TeAttempt TeAttempt;
struct TeAttempt
{
	/* Set by the transport before the start. */
	void (*run)(TeAttempt *attempt); /* in the thread */
	void (*release)(TeAttempt *attempt);
	TeLeftovers *leftovers;

	atomic_int state;
	int wake_fd; /* the thread's own copy */
	char error[TE_TRANSPORT_ERROR_SIZE];
};

/* False with `error` set when no thread could be started: then the attempt is freed. */
bool te_attempt_start(TeAttempt *attempt, int wake_fd, char *error, size_t size);
/* Its thread has ended, so that it is the transport's alone, to look at and to release. */
bool te_attempt_is_done(const TeAttempt *attempt);
/* Gives up waiting.  NULL is fine. */
void te_attempt_abandon(TeAttempt *attempt);
/* For its thread: nobody waits any more. */
bool te_attempt_is_abandoned(const TeAttempt *attempt);
/* For its thread: notes why it fails, and returns false. */
bool te_attempt_fail(TeAttempt *attempt, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
