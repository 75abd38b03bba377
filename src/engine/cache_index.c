/*
 * cache_index.c - strategies per symbol, by threshold.
 *
 * Two layers: a strategy that names its symbols has an entry in the index of each, one that
 * trades all has one entry in the index "any".  Entries are eight bytes, sorted by threshold,
 * company, user, strategy and variant, so that the order doesn't depend on how they got there.
 *
 * Few changes are made one by one, by binary search.  Of many, what is dropped is marked, what
 * is added is collected, and one pass per index merges them.
 */
#include "postgres.h"

#include "engine/cache_private.h"

#include "utils/memutils.h"

#include <math.h>

float te_cache_index_threshold(double threshold)
{
	float rounded = (float)threshold;

	return (double)rounded > threshold ? nextafterf(rounded, -INFINITY) : rounded;
}

CacheIndex *te_cache_index_find(const TeCache *cache, const char *symbol)
{
	return hash_search(cache->symbols, symbol, HASH_FIND, NULL);
}

static CacheIndex *index_of(TeCache *cache, const char *symbol)
{
	bool found;
	CacheIndex *index = hash_search(cache->symbols, symbol, HASH_ENTER, &found);

	if (!found)
		memset((char *)index + sizeof(index->symbol), 0, sizeof(*index) - sizeof(index->symbol));
	return index;
}

static int compare_slots(const TeCache *cache, uint32 left, uint32 right)
{
	const CacheStrategy *a = cache->slots[left], *b = cache->slots[right];
	int order;

	if (a == b)
		return 0;
	if (a->user != b->user) {
		if (a->user->company != b->user->company &&
		    (order = strcmp(a->user->company->company_id, b->user->company->company_id)) != 0)
			return order;
		if ((order = strcmp(a->user->user_id, b->user->user_id)) != 0)
			return order;
	}
	if ((order = strcmp(te_cache_strategy_id(a), te_cache_strategy_id(b))) != 0)
		return order;
	return a->variant - b->variant;
}

static int compare_entries(const TeCache *cache, const CacheIndexEntry *a, const CacheIndexEntry *b)
{
	if (a->threshold != b->threshold)
		return a->threshold < b->threshold ? -1 : 1;
	return compare_slots(cache, a->slot, b->slot);
}

/* The place of an entry, or where it belongs. */
static int place_of(const TeCache *cache, const CacheIndex *index, const CacheIndexEntry *entry)
{
	int low = 0, high = index->count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (compare_entries(cache, &index->entries[middle], entry) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void make_room(TeCache *cache, CacheIndex *index)
{
	int capacity;

	if (index->count < index->capacity)
		return;
	/* Half as much again while it is small, an eighth when that is much memory. */
	capacity = index->capacity + Max(8, index->capacity / (index->capacity < 4096 ? 2 : 8));
	index->entries = index->entries
	                     ? repalloc_huge(index->entries, sizeof(CacheIndexEntry) * capacity)
	                     : MemoryContextAlloc(cache->data, sizeof(CacheIndexEntry) * capacity);
	index->capacity = capacity;
}

static void insert(TeCache *cache, CacheIndex *index, CacheIndexEntry entry)
{
	int place;

	make_room(cache, index);
	place = place_of(cache, index, &entry);
	memmove(&index->entries[place + 1], &index->entries[place],
	        sizeof(CacheIndexEntry) * (index->count - place));
	index->entries[place] = entry;
	index->count++;
}

static void take_out(TeCache *cache, CacheIndex *index, CacheIndexEntry entry)
{
	int place = place_of(cache, index, &entry);

	if (place >= index->count || index->entries[place].slot != entry.slot)
		elog(ERROR, "a strategy isn't in the index of symbol \"%s\"", index->symbol);
	index->count--;
	memmove(&index->entries[place], &index->entries[place + 1],
	        sizeof(CacheIndexEntry) * (index->count - place));
}

static void collect(TeCache *cache, CacheIndex *index, CacheIndexEntry entry)
{
	if (index->added == index->added_capacity) {
		int capacity = Max(64, 2 * index->added_capacity);

		index->additions = index->additions
		                       ? repalloc_huge(index->additions, sizeof(CacheAddition) * capacity)
		                       : MemoryContextAlloc(cache->data, sizeof(CacheAddition) * capacity);
		index->added_capacity = capacity;
	}
	index->additions[index->added] = (CacheAddition){entry, (uint32)index->added};
	index->added++;
	index->touched = true;
}

typedef void (*IndexChange)(TeCache *cache, CacheIndex *index, CacheIndexEntry entry);

static void for_each_index(TeCache *cache, const TeStrategy *params, uint32 slot,
                           IndexChange change)
{
	const TeSymbols *symbols = &params->available_instruments;
	CacheIndexEntry entry = {te_cache_index_threshold(params->min_confidence_threshold), slot};

	if (symbols->any)
		change(cache, &cache->any, entry);
	else
		for (int i = 0; i < symbols->count; i++)
			if (strlen(symbols->symbols[i]) < TE_SYMBOL_SIZE) /* no instrument has a longer one */
				change(cache, index_of(cache, symbols->symbols[i]), entry);
}

static void touch(TeCache *cache pg_attribute_unused(), CacheIndex *index,
                  CacheIndexEntry entry pg_attribute_unused())
{
	index->touched = true;
}

static bool is_dead(const TeCache *cache, uint32 slot)
{
	return cache->dead[slot / 8] & (1 << slot % 8);
}

void te_cache_index_begin(TeCache *cache, bool bulk)
{
	cache->bulk = bulk;
	if (bulk)
		cache->dead = MemoryContextAllocZero(cache->data, cache->slot_count / 8 + 1);
}

void te_cache_index_add(TeCache *cache, const TeStrategy *params, uint32 slot)
{
	for_each_index(cache, params, slot, cache->bulk ? collect : insert);
}

void te_cache_index_drop(TeCache *cache, const TeStrategy *params, uint32 slot)
{
	for_each_index(cache, params, slot, cache->bulk ? touch : take_out);
	if (cache->bulk)
		cache->dead[slot / 8] |= 1 << slot % 8;
}

static int compare_additions(const void *left, const void *right)
{
	const CacheAddition *a = left, *b = right;

	if (a->entry.threshold != b->entry.threshold)
		return a->entry.threshold < b->entry.threshold ? -1 : 1;
	return a->rank < b->rank ? -1 : 1;
}

/* Old entries that are still good, and the additions, in order. */
static void merge(TeCache *cache, CacheIndex *index)
{
	int total = index->count + index->added, kept = 0, next = 0;
	CacheIndexEntry *entries =
		MemoryContextAllocHuge(cache->data, sizeof(CacheIndexEntry) * Max(total, 1));

	qsort(index->additions, index->added, sizeof(CacheAddition), compare_additions);
	for (int i = 0; i < index->count; i++) {
		if (is_dead(cache, index->entries[i].slot))
			continue;
		while (next < index->added &&
		       compare_entries(cache, &index->additions[next].entry, &index->entries[i]) < 0)
			entries[kept++] = index->additions[next++].entry;
		entries[kept++] = index->entries[i];
	}
	while (next < index->added)
		entries[kept++] = index->additions[next++].entry;

	if (index->entries != NULL)
		pfree(index->entries);
	if (index->additions != NULL)
		pfree(index->additions);
	/* What was dropped is given back when it is worth it. */
	index->capacity = kept < total - total / 8 ? Max(kept, 1) : Max(total, 1);
	index->entries = repalloc_huge(entries, sizeof(CacheIndexEntry) * index->capacity);
	index->count = kept;
	index->additions = NULL;
	index->added = index->added_capacity = 0;
	index->touched = false;
}

void te_cache_index_settle(TeCache *cache)
{
	HASH_SEQ_STATUS scan;
	CacheIndex *index;

	if (!cache->bulk)
		return;
	if (cache->any.touched)
		merge(cache, &cache->any);
	hash_seq_init(&scan, cache->symbols);
	while ((index = hash_seq_search(&scan)) != NULL)
		if (index->touched)
			merge(cache, index);
	pfree(cache->dead);
	cache->dead = NULL;
	cache->bulk = false;
}
