/*
 * recall.c - entries in a ring, chained by bucket from newest to oldest.
 *
 * The ring has room for a batch beyond its capacity, so a staged entry overwrites
 * nothing that is held without it.  A chain ends where it reaches an entry that
 * is too old to be held; nothing is ever taken out of a chain but by discarding,
 * in the reverse order of staging.
 */
#include "recall.h"

#include <string.h>

static uint32_t buckets_for(uint32_t capacity)
{
	uint32_t n = 16;

	while (n < capacity && n < UINT32_C(1) << 31)
		n *= 2;
	return n;
}

size_t te_recall_size(uint32_t capacity, uint32_t room)
{
	return ((size_t)capacity + room) * sizeof(TeMemo) + buckets_for(capacity) * sizeof(uint64_t);
}

void te_recall_init(TeRecall *r, void *memory, uint32_t capacity, uint32_t room)
{
	*r = (TeRecall){
		.capacity = capacity, .room = room, .buckets = buckets_for(capacity), .oldest = 1};
	r->memos = memory;
	r->heads = (uint64_t *)(r->memos + capacity + room);
	/* Entries are written before they are read, so memory that isn't needed is never touched. */
	memset(r->heads, 0, r->buckets * sizeof(uint64_t));
}

static uint64_t *head_of(const TeRecall *r, TeKey key)
{
	return &r->heads[(key.lo ^ (key.hi >> 32)) & (r->buckets - 1)];
}

static TeMemo *memo(const TeRecall *r, uint64_t number)
{
	return &r->memos[number % ((uint64_t)r->capacity + r->room)];
}

/* Whether an entry of that number is still held. */
static bool held(const TeRecall *r, uint64_t number)
{
	return number >= r->oldest && number + r->capacity > r->newest;
}

TeMemo *te_recall_entry(const TeRecall *r, uint64_t number)
{
	return number <= r->newest && held(r, number) ? memo(r, number) : NULL;
}

void te_recall_move(TeRecall *r, void *memory, uint32_t capacity, uint32_t room)
{
	TeRecall from = *r;
	/* What staged entries would push out comes back when they are discarded. */
	uint64_t first = from.kept > from.capacity ? from.kept - from.capacity + 1 : 1;

	if (first < from.oldest)
		first = from.oldest;
	te_recall_init(r, memory, capacity, room);
	r->oldest = first;
	r->kept = from.kept;
	r->lost = from.lost;
	r->newest = from.newest;
	for (uint64_t number = first; number <= from.newest; number++) {
		uint64_t *head = head_of(r, memo(&from, number)->key);

		*memo(r, number) = *memo(&from, number);
		memo(r, number)->older = *head;
		*head = number;
	}
}

/* The first entry of the key in a chain that starts with that number. */
static const TeMemo *find(const TeRecall *r, uint64_t number, TeKey key)
{
	for (; held(r, number); number = memo(r, number)->older)
		if (te_key_equal(memo(r, number)->key, key))
			return memo(r, number);
	return NULL;
}

const TeMemo *te_recall_newest(const TeRecall *r, TeKey key)
{
	return find(r, *head_of(r, key), key);
}

const TeMemo *te_recall_older(const TeRecall *r, const TeMemo *than)
{
	return find(r, than->older, than->key);
}

TeMemo *te_recall_stage(TeRecall *r, TeKey key)
{
	uint64_t *head = head_of(r, key);
	TeMemo *m;

	if (r->newest - r->kept >= r->room)
		return NULL;
	m = memo(r, ++r->newest);
	*m = (TeMemo){.key = key, .older = *head};
	*head = r->newest;
	return m;
}

void te_recall_apply(TeRecall *r, TeTime now)
{
	for (uint64_t number = r->kept + 1; number <= r->newest; number++)
		if (number >= r->oldest + r->capacity && memo(r, number - r->capacity)->until > now)
			r->lost++;
	r->kept = r->newest;
}

void te_recall_discard(TeRecall *r)
{
	for (; r->newest > r->kept; r->newest--) {
		const TeMemo *m = memo(r, r->newest);

		*head_of(r, m->key) = m->older;
	}
}
