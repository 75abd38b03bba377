/*
 * recent.h - the last N keys seen, each with a value: a first-in, first-out window.
 *
 * The lane recognises repeated messages with it: key is a hash of the message's
 * identity, value a hash of its content.  The caller gives the memory.
 */
#ifndef TE_CORE_RECENT_H
#define TE_CORE_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#define TE_RECENT_CAPACITY 65536 /* keys remembered */
#define TE_RECENT_SLOTS (2 * TE_RECENT_CAPACITY)

typedef struct TeRecent
{
	uint32_t oldest; /* position in the ring of the next key to be forgotten */
	uint32_t count;
	uint64_t ring[TE_RECENT_CAPACITY];
	struct
	{
		uint64_t key; /* 0: free */
		uint64_t value;
	} slots[TE_RECENT_SLOTS];
} TeRecent;

/* Zeroed memory is an empty window.  A key of 0 is treated as 1. */
extern bool te_recent_find(const TeRecent *r, uint64_t key, uint64_t *value);

/* Remember a key; the oldest is forgotten when the window is full.  A known key keeps its place. */
extern void te_recent_add(TeRecent *r, uint64_t key, uint64_t value);

#endif
