#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void te_leftovers_add(TeLeftovers *leftovers, int change)
{
	pthread_mutex_lock(&leftovers->lock);
	leftovers->count = (unsigned)((int)leftovers->count + change);
	pthread_cond_broadcast(&leftovers->changed);
	pthread_mutex_unlock(&leftovers->lock);
}

unsigned te_leftovers_count(TeLeftovers *leftovers)
{
	unsigned count;

	pthread_mutex_lock(&leftovers->lock);
	count = leftovers->count;
	pthread_mutex_unlock(&leftovers->lock);
	return count;
}

void te_leftovers_await(TeLeftovers *leftovers, int64_t microseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += microseconds / TE_SEC;
	until.tv_nsec += microseconds % TE_SEC * 1000;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&leftovers->lock);
	while (leftovers->count > 0 &&
	       pthread_cond_timedwait(&leftovers->changed, &leftovers->lock, &until) == 0)
		;
	pthread_mutex_unlock(&leftovers->lock);
}

typedef enum { ATTEMPT_RUNNING, ATTEMPT_DONE, ATTEMPT_ABANDONED } AttemptState;

static void *attempt_main(void *argument)
{
	TeAttempt *attempt = argument;
	TeLeftovers *leftovers = attempt->leftovers;
	int wake_fd = attempt->wake_fd; /* it may be gone when we wake its transport */
	uint64_t one = 1;

	attempt->run(attempt);
	if (atomic_exchange(&attempt->state, ATTEMPT_DONE) == ATTEMPT_ABANDONED) {
		attempt->release(attempt);
		te_leftovers_add(leftovers, -1);
	} else if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full, so the loop is awake anyway. */
	}
	close(wake_fd);
	return NULL;
}

bool te_attempt_start(TeAttempt *attempt, int wake_fd, char *error, size_t size)
{
	int failed;

	atomic_init(&attempt->state, ATTEMPT_RUNNING);
	attempt->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
	failed = attempt->wake_fd < 0 ? errno : te_thread_start(NULL, attempt_main, attempt);
	if (failed == 0)
		return true;
	snprintf(error, size, "cannot start a thread to connect: %s", strerrordesc_np(failed));
	if (attempt->wake_fd >= 0)
		close(attempt->wake_fd);
	attempt->release(attempt);
	return false;
}

bool te_attempt_is_done(const TeAttempt *attempt)
{
	return atomic_load(&attempt->state) == ATTEMPT_DONE;
}

void te_attempt_abandon(TeAttempt *attempt)
{
	TeLeftovers *leftovers;

	if (attempt == NULL)
		return;
	leftovers = attempt->leftovers;
	te_leftovers_add(leftovers, 1);
	if (atomic_exchange(&attempt->state, ATTEMPT_ABANDONED) == ATTEMPT_DONE) {
		attempt->release(attempt);
		te_leftovers_add(leftovers, -1);
	}
}

bool te_attempt_is_abandoned(const TeAttempt *attempt)
{
	return atomic_load(&attempt->state) == ATTEMPT_ABANDONED;
}

bool te_attempt_fail(TeAttempt *attempt, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(attempt->error, sizeof(attempt->error), format, arguments);
	va_end(arguments);
	return false;
}
