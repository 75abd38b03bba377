/*
 * recent.c - a window over the last keys: open addressing with linear probing and a ring for age.
 */
#include "core/recent.h"

/* Keys are hashes, so their own bits spread them. */
static uint32_t home(uint64_t key)
{
	return (uint32_t)(key ^ (key >> 32)) & (TE_RECENT_SLOTS - 1);
}

static uint32_t next(uint32_t slot)
{
	return (slot + 1) & (TE_RECENT_SLOTS - 1);
}

/* The slot of a key, or the free slot where it would go. */
static uint32_t locate(const TeRecent *r, uint64_t key)
{
	uint32_t slot = home(key);

	while (r->slots[slot].key != 0 && r->slots[slot].key != key)
		slot = next(slot);
	return slot;
}

bool te_recent_find(const TeRecent *r, uint64_t key, uint64_t *value)
{
	uint32_t slot = locate(r, key ? key : 1);

	if (r->slots[slot].key == 0)
		return false;
	*value = r->slots[slot].value;
	return true;
}

/* Free a key's slot and close the gap, so that probes of later keys still find them. */
static void forget(TeRecent *r, uint64_t key)
{
	uint32_t hole = locate(r, key);

	for (uint32_t slot = next(hole); r->slots[slot].key != 0; slot = next(slot)) {
		uint32_t wanted = home(r->slots[slot].key);

		/* Does the key's probe path, wanted..slot, cover the hole? */
		if (((slot - wanted) & (TE_RECENT_SLOTS - 1)) >= ((slot - hole) & (TE_RECENT_SLOTS - 1))) {
			r->slots[hole] = r->slots[slot];
			hole = slot;
		}
	}
	r->slots[hole].key = 0;
}

void te_recent_add(TeRecent *r, uint64_t key, uint64_t value)
{
	uint32_t slot;

	if (key == 0)
		key = 1;
	slot = locate(r, key);
	if (r->slots[slot].key == key) {
		r->slots[slot].value = value;
		return;
	}
	if (r->count == TE_RECENT_CAPACITY) {
		forget(r, r->ring[r->oldest]);
		slot = locate(r, key);
	} else
		r->count++;
	r->ring[r->oldest] = key;
	r->oldest = (r->oldest + 1) % TE_RECENT_CAPACITY;
	r->slots[slot].key = key;
	r->slots[slot].value = value;
}
