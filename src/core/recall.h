/*
 * recall.h - the newest N entries, each under a key, with a batch's own entries staged.
 *
 * Entries are forgotten in the order in which they came, so what is held after
 * a restart that reads the newest N stored rows is what was held before.  A staged
 * entry is found at once; te_recall_apply keeps it, te_recall_discard leaves no
 * trace of it: what it would push out is forgotten only when it is kept.
 *
 * The caller gives the memory.  A key is 128 bits of a hash that nobody can find
 * collisions of (SHA-256), because tenants choose the names that go into it.
 */
#ifndef TE_CORE_RECALL_H
#define TE_CORE_RECALL_H

#include "types.h"

typedef struct TeKey
{
	uint64_t hi, lo;
} TeKey;

static inline bool te_key_equal(TeKey a, TeKey b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* One entry.  What at, until, price, side and code mean is up to who keeps it. */
typedef struct TeMemo
{
	TeKey key;
	TeTime at;
	TeTime until; /* of interest before this */
	double price;
	uint64_t older; /* number of the next older entry of the same bucket; 0: none */
	int8_t side;
	uint8_t code;
} TeMemo;

typedef struct TeRecall
{
	uint32_t capacity; /* entries held */
	uint32_t room;     /* entries that a batch may stage */
	uint32_t buckets;  /* a power of two */
	uint64_t newest;   /* number of the newest entry, staged ones included; the first is 1 */
	uint64_t kept;     /* number of the newest entry that isn't staged */
	uint64_t oldest;   /* no entry before this one came along with the last move; 1 at first */
	uint64_t lost;     /* entries pushed out while they were still of interest */
	TeMemo *memos;     /* capacity + room */
	uint64_t *heads;   /* newest entry of each bucket; 0: none */
} TeRecall;

/* Bytes that a recall of this size needs, aligned as for uint64_t. */
extern size_t te_recall_size(uint32_t capacity, uint32_t room);

/* Lay out an empty recall in that memory; capacity and room are at least 1. */
extern void te_recall_init(TeRecall *r, void *memory, uint32_t capacity, uint32_t room);

/*
 * Move everything to other memory, laid out for a capacity and a room that are no less.  Entries
 * keep their numbers, pointers to them end.
 */
extern void te_recall_move(TeRecall *r, void *memory, uint32_t capacity, uint32_t room);

/* Stage an entry; its number is then r->newest.  NULL: there is no room left. */
extern TeMemo *te_recall_stage(TeRecall *r, TeKey key);

/* The entry of a number, or NULL when it isn't held any more. */
extern TeMemo *te_recall_entry(const TeRecall *r, uint64_t number);

/* The newest entry of a key, or the next older one than "than"; NULL: none. */
extern const TeMemo *te_recall_newest(const TeRecall *r, TeKey key);
extern const TeMemo *te_recall_older(const TeRecall *r, const TeMemo *than);

/* Keep what is staged.  "now" tells which of the entries pushed out were still of interest. */
extern void te_recall_apply(TeRecall *r, TeTime now);

/* Forget what is staged. */
extern void te_recall_discard(TeRecall *r);

#endif
