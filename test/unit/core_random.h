/*
 * core_random.h - random numbers that are the same in every run.
 */
#ifndef TE_TEST_CORE_RANDOM_H
#define TE_TEST_CORE_RANDOM_H

#include <stdint.h>

static uint64_t random_seed = 20120201;

static inline uint64_t next_random(void)
{
	random_seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	uint64_t z = random_seed;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. n - 1 */
static inline int below(int n)
{
	return (int)(next_random() % (uint64_t)n);
}

static inline double between(double low, double high)
{
	return low + (high - low) * ((double)(next_random() >> 11) * 0x1p-53);
}

#endif
