/*
 * clock.h - time that passes, and time that is spent waiting.
 */
#ifndef TE_TEST_CLOCK_H
#define TE_TEST_CLOCK_H

#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Time that this thread has neither worked nor been ready to: it was waiting for something.  So
 * measured, other work on the machine doesn't count, nor instruments that make all work many
 * times slower.  Where the kernel doesn't say, all time counts. */
static inline int64_t waited_us(void)
{
	int64_t now = now_us(), worked = 0, ready = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "r");

	if (file != NULL) {
		if (fscanf(file, "%" SCNd64 " %" SCNd64, &worked, &ready) != 2)
			worked = ready = 0;
		fclose(file);
	}
	return now - (worked + ready) / 1000;
}

static inline void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

#endif
