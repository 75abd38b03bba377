/*
 * The window of recent keys: what it holds, and what it forgets.
 */
#include <stdlib.h>

#include "core/recent.h"

#include "tap.h"

/* A generator of well-spread, distinct keys. */
static uint64_t key_of(uint64_t n)
{
	n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return n ^ (n >> 31);
}

static bool holds(const TeRecent *r, uint64_t key, uint64_t expected)
{
	uint64_t value;

	return te_recent_find(r, key, &value) && value == expected;
}

static void test_basics(TeRecent *r)
{
	uint64_t value;

	ok(!te_recent_find(r, 42, &value), "an empty window holds nothing");
	te_recent_add(r, 42, 1);
	ok(holds(r, 42, 1), "what was added is found");
	te_recent_add(r, 42, 2);
	ok(holds(r, 42, 2) && r->count == 1, "a known key takes the new value and no second place");
	te_recent_add(r, 0, 7);
	ok(holds(r, 0, 7) && holds(r, 1, 7), "key 0 is treated as 1");
}

static void test_window(TeRecent *r)
{
	const uint64_t all = 3 * (uint64_t)TE_RECENT_CAPACITY;
	uint64_t value;
	bool newest = true, oldest = true;

	for (uint64_t n = 0; n < all; n++)
		te_recent_add(r, key_of(n), n);
	for (uint64_t n = 0; n < all; n++)
		if (n >= all - TE_RECENT_CAPACITY)
			newest = newest && holds(r, key_of(n), n);
		else
			oldest = oldest && !te_recent_find(r, key_of(n), &value);
	ok(newest, "the newest keys are all held");
	ok(oldest, "older ones are all forgotten");
	ok(r->count == TE_RECENT_CAPACITY, "the window is full");
}

/* Keys that share their home slot, so that every removal has to close gaps in one long run. */
static void test_collisions(TeRecent *r)
{
	bool found = true;

	for (uint64_t n = 1; n <= TE_RECENT_CAPACITY + 100; n++)
		te_recent_add(r, n * TE_RECENT_SLOTS % UINT64_C(0x3fffffffff) + (n % 3), n);
	for (uint64_t n = TE_RECENT_CAPACITY; n <= TE_RECENT_CAPACITY + 100; n++)
		found = found && holds(r, n * TE_RECENT_SLOTS % UINT64_C(0x3fffffffff) + (n % 3), n);
	ok(found, "keys that collide are found after removals among them");
}

int main(void)
{
	TeRecent *r = calloc(1, sizeof(TeRecent));

	if (r == NULL)
		return 1;
	test_basics(r);
	memset(r, 0, sizeof(*r));
	test_window(r);
	memset(r, 0, sizeof(*r));
	test_collisions(r);
	free(r);
	return done_testing();
}
