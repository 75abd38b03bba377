#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define TICK_NSEC 250000000L

struct TeNatsGuard
{
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int fd; /* -1: nothing to guard */
	bool stopping;
	atomic_uint_fast64_t calls; /* odd while the caller is inside libnats */
};

/* Waits for one tick; false when the guard should end. */
static bool wait_tick(TeNatsGuard *guard)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_NSEC;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	if (!guard->stopping)
		pthread_cond_timedwait(&guard->changed, &guard->lock, &until);
	return !guard->stopping;
}

/* A call that was there one tick ago and still is has waited for the broker for too long. */
static void *guard_main(void *argument)
{
	TeNatsGuard *guard = argument;
	uint64_t before = 0;

	pthread_mutex_lock(&guard->lock);
	while (wait_tick(guard)) {
		uint64_t calls = atomic_load(&guard->calls);

		if (calls % 2 == 1 && calls == before && guard->fd >= 0)
			shutdown(guard->fd, SHUT_RDWR);
		before = calls;
	}
	pthread_mutex_unlock(&guard->lock);
	return NULL;
}

TeNatsGuard *te_nats_guard_start(int fd)
{
	TeNatsGuard *guard = calloc(1, sizeof(*guard));
	pthread_condattr_t attributes;

	if (guard == NULL)
		return NULL;
	guard->fd = fd;
	atomic_init(&guard->calls, 0);
	pthread_mutex_init(&guard->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&guard->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (te_thread_start(&guard->thread, guard_main, guard) != 0) {
		pthread_cond_destroy(&guard->changed);
		pthread_mutex_destroy(&guard->lock);
		free(guard);
		return NULL;
	}
	return guard;
}

void te_nats_guard_enter(TeNatsGuard *guard)
{
	if (guard != NULL)
		atomic_fetch_add(&guard->calls, 1);
}

void te_nats_guard_leave(TeNatsGuard *guard)
{
	if (guard != NULL)
		atomic_fetch_add(&guard->calls, 1);
}

void te_nats_guard_forget(TeNatsGuard *guard)
{
	if (guard == NULL)
		return;
	pthread_mutex_lock(&guard->lock);
	guard->fd = -1;
	pthread_mutex_unlock(&guard->lock);
}

void te_nats_guard_stop(TeNatsGuard *guard)
{
	if (guard == NULL)
		return;
	pthread_mutex_lock(&guard->lock);
	guard->stopping = true;
	pthread_cond_signal(&guard->changed);
	pthread_mutex_unlock(&guard->lock);
	pthread_join(guard->thread, NULL);
	pthread_cond_destroy(&guard->changed);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
}
