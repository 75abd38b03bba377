/*
 * cache_apply.c - records that were read take the place of those that are there, all at once.
 *
 * A strategy that stays keeps its slot, so that an index changes only where its threshold or its
 * symbols do.
 */
#include "postgres.h"

#include "core/pack.h"
#include "engine/cache_private.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

/* More changed users than this are merged into the indexes in one pass. */
#define BULK_USERS 64

typedef struct Apply
{
	TeCache *cache;
	CachePending *pending;
	bool bulk;
	List *untidy;  /* companies whose users want sorting */
	uint32 *freed; /* slots; they are used again when no index has them any more */
	int freed_count, freed_capacity;
	MemoryContext context;
} Apply;

/*----------------------------------------------------------------------
 * Slots
 *----------------------------------------------------------------------*/

static uint32 take_slot(TeCache *cache)
{
	if (cache->free_slot_count > 0)
		return cache->free_slots[--cache->free_slot_count];
	if (cache->slot_count == cache->slot_capacity) {
		uint32 capacity = cache->slot_capacity + Max(64, cache->slot_capacity / 4);

		cache->slots = cache->slots
		                   ? repalloc_huge(cache->slots, sizeof(CacheStrategy *) * capacity)
		                   : MemoryContextAlloc(cache->data, sizeof(CacheStrategy *) * capacity);
		cache->slot_capacity = capacity;
	}
	return cache->slot_count++;
}

static void give_slot(Apply *apply, uint32 slot)
{
	if (apply->freed_count == apply->freed_capacity) {
		apply->freed_capacity = Max(64, 2 * apply->freed_capacity);
		apply->freed =
			apply->freed
				? repalloc_huge(apply->freed, sizeof(uint32) * apply->freed_capacity)
				: MemoryContextAlloc(apply->context, sizeof(uint32) * apply->freed_capacity);
	}
	apply->freed[apply->freed_count++] = slot;
}

static void release_slots(Apply *apply)
{
	TeCache *cache = apply->cache;
	uint32 needed = cache->free_slot_count + apply->freed_count;

	if (needed > cache->free_slot_capacity) {
		cache->free_slots = cache->free_slots
		                        ? repalloc_huge(cache->free_slots, sizeof(uint32) * needed)
		                        : MemoryContextAlloc(cache->data, sizeof(uint32) * needed);
		cache->free_slot_capacity = needed;
	}
	if (apply->freed_count > 0)
		memcpy(cache->free_slots + cache->free_slot_count, apply->freed,
		       sizeof(uint32) * apply->freed_count);
	cache->free_slot_count = needed;
}

/*----------------------------------------------------------------------
 * Strategies
 *----------------------------------------------------------------------*/

static void add_strategy(Apply *apply, const CacheTier *tier, CacheStrategy *s)
{
	TeCache *cache = apply->cache;
	TeStrategy params;

	s->slot = take_slot(cache);
	cache->slots[s->slot] = s;
	te_cache_expand(tier, s, &params);
	te_cache_index_add(cache, &params, s->slot);
	cache->strategy_count++;
}

static void drop_strategy(Apply *apply, const CacheTier *tier, const CacheStrategy *s)
{
	TeCache *cache = apply->cache;
	TeStrategy params;

	te_cache_expand(tier, s, &params);
	te_cache_index_drop(cache, &params, s->slot);
	cache->slots[s->slot] = NULL;
	give_slot(apply, s->slot);
	cache->strategy_count--;
}

/* Sets of symbols are shared: the same set has the same pointer. */
static bool same_places(const TeStrategy *a, const TeStrategy *b)
{
	const TeSymbols *x = &a->available_instruments, *y = &b->available_instruments;

	return x->any == y->any && x->symbols == y->symbols &&
	       te_cache_index_threshold(a->min_confidence_threshold) ==
	           te_cache_index_threshold(b->min_confidence_threshold);
}

static void replace_strategy(Apply *apply, const CacheTier *old_tier, const CacheStrategy *old,
                             const CacheTier *tier, CacheStrategy *s)
{
	TeCache *cache = apply->cache;
	TeStrategy before, after;
	bool moves;

	te_cache_expand(old_tier, old, &before);
	te_cache_expand(tier, s, &after);
	moves = !same_places(&before, &after);
	s->slot = old->slot;
	s->tally = old->tally;
	if (moves)
		te_cache_index_drop(cache, &before, s->slot);
	cache->slots[s->slot] = s;
	if (moves)
		te_cache_index_add(cache, &after, s->slot);
}

static int compare_strategies(const CacheStrategy *a, const CacheStrategy *b)
{
	int order = strcmp(te_cache_strategy_id(a), te_cache_strategy_id(b));

	return order != 0 ? order : a->variant - b->variant;
}

/* Both lists are sorted. */
static void change_strategies(Apply *apply, const CacheTier *old_tier, const CacheUser *old,
                              const CacheTier *tier, const CacheUser *user)
{
	CacheStrategy *o = old != NULL ? old->strategies : NULL, *s = user->strategies;

	while (o != NULL || s != NULL) {
		int order = o == NULL ? 1 : s == NULL ? -1 : compare_strategies(o, s);

		if (order < 0)
			drop_strategy(apply, old_tier, o);
		else if (order > 0)
			add_strategy(apply, tier, s);
		else
			replace_strategy(apply, old_tier, o, tier, s);
		if (order <= 0)
			o = o->next;
		if (order >= 0)
			s = s->next;
	}
}

/*----------------------------------------------------------------------
 * Users
 *----------------------------------------------------------------------*/

static int place_of_user(const TeCachedCompany *company, const char *user_id)
{
	int low = 0, high = company->user_sorted;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (strcmp(company->users[middle]->user_id, user_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static CacheUser **user_place(const TeCachedCompany *company, const char *user_id)
{
	int place = place_of_user(company, user_id);

	if (place < company->user_sorted && strcmp(company->users[place]->user_id, user_id) == 0)
		return &company->users[place];
	return NULL;
}

CacheUser *te_cache_find_user(const TeCachedCompany *company, const char *user_id)
{
	CacheUser **place = user_place(company, user_id);

	return place != NULL ? *place : NULL;
}

static void make_room_for_user(TeCache *cache, TeCachedCompany *c)
{
	int capacity = c->user_capacity + Max(1, c->user_capacity / 4);
	CacheUser **users;

	if (c->user_count < c->user_capacity)
		return;
	users = te_pool_alloc(&cache->pool, sizeof(CacheUser *) * capacity);
	if (c->users != NULL) {
		memcpy(users, c->users, sizeof(CacheUser *) * c->user_count);
		te_pool_free(&cache->pool, c->users, sizeof(CacheUser *) * c->user_capacity);
	}
	c->users = users;
	c->user_capacity = capacity;
}

static void make_untidy(Apply *apply, TeCachedCompany *c)
{
	MemoryContext old;

	if (c->untidy)
		return;
	c->untidy = true;
	old = MemoryContextSwitchTo(apply->context);
	apply->untidy = lappend(apply->untidy, c);
	MemoryContextSwitchTo(old);
}

static void insert_user(Apply *apply, TeCachedCompany *c, CacheUser *user)
{
	int place;

	make_room_for_user(apply->cache, c);
	place = c->user_sorted == c->user_count ? place_of_user(c, user->user_id) : c->user_count;
	if (place < c->user_count && apply->bulk)
		place = c->user_count; /* it is sorted in later */
	if (place == c->user_sorted && place == c->user_count)
		c->user_sorted++;
	else if (place == c->user_count)
		make_untidy(apply, c);
	else {
		memmove(&c->users[place + 1], &c->users[place],
		        sizeof(CacheUser *) * (c->user_count - place));
		c->user_sorted++;
	}
	c->users[place] = user;
	c->user_count++;
}

/* Its place among the company's users is taken away later. */
static void drop_user(Apply *apply, TeCachedCompany *c, CacheUser *user)
{
	for (CacheStrategy *s = user->strategies; s != NULL; s = s->next)
		drop_strategy(apply, c->tier, s);
	user->company = NULL;
	make_untidy(apply, c);
}

static int compare_users(const void *left, const void *right)
{
	return strcmp((*(CacheUser *const *)left)->user_id, (*(CacheUser *const *)right)->user_id);
}

static void tidy(Apply *apply, TeCachedCompany *c)
{
	int kept = 0;
	bool unsorted = c->user_sorted < c->user_count;

	for (int i = 0; i < c->user_count; i++) {
		if (c->users[i]->company != NULL)
			c->users[kept++] = c->users[i];
		else
			te_cache_free_user(apply->cache, c->users[i]);
	}
	c->user_count = c->user_sorted = kept;
	if (unsorted)
		qsort(c->users, kept, sizeof(CacheUser *), compare_users);
	c->untidy = false;
}

/* Equity and the like: the strategies stay as they are. */
static void change_accounts(Apply *apply, CacheUser *user, CacheUser *accounts)
{
	CacheAccount *old;

	for (CacheStrategy *s = user->strategies; s != NULL; s = s->next) {
		s->account = te_cache_find_account(accounts, te_cache_account_id(s->account));
		if (s->account == NULL)
			elog(ERROR, "a strategy of user \"%s\" is without its account", user->user_id);
	}
	old = user->accounts;
	user->accounts = accounts->accounts;
	accounts->accounts = old;
	te_cache_free_user(apply->cache, accounts);
}

static void apply_user(Apply *apply, const StagedUser *staged)
{
	TeCache *cache = apply->cache;
	char company_id[TE_ID_SIZE];
	const char *user_id = strchr(staged->key, '\001') + 1;
	TeCachedCompany *c;
	StagedCompany *change;
	CacheUser **place, *old;

	strlcpy(company_id, staged->key, Min((Size)(user_id - staged->key), sizeof(company_id)));
	c = te_cache_company(cache, company_id);
	if (c == NULL) {
		if (staged->user != NULL)
			te_cache_free_user(cache, staged->user);
		return;
	}
	place = user_place(c, user_id);
	if (place != NULL && (*place)->company == NULL)
		elog(ERROR, "user \"%s\" is staged twice", user_id);
	if (staged->user == NULL) {
		if (place != NULL)
			drop_user(apply, c, *place);
		return;
	}
	if (staged->accounts_only) {
		if (place != NULL)
			change_accounts(apply, *place, staged->user);
		else
			te_cache_free_user(cache, staged->user);
		return;
	}
	old = place != NULL ? *place : NULL;
	change = te_cache_staged_company(cache, company_id);
	staged->user->company = c;
	change_strategies(apply, c->tier, old, change != NULL ? change->tier : c->tier, staged->user);
	if (old == NULL)
		insert_user(apply, c, staged->user);
	else {
		*place = staged->user;
		te_cache_free_user(cache, old);
	}
}

/*----------------------------------------------------------------------
 * Companies and tiers
 *----------------------------------------------------------------------*/

static void add_company(TeCache *cache, const StagedCompany *staged)
{
	TeCachedCompany *c = te_cache_make_company(cache, staged->company_id);
	const char *key = c->company_id;
	CompanyEntry *entry = hash_search(cache->companies, &key, HASH_ENTER, NULL);

	entry->company = c;
	c->tier = staged->tier;
}

static void drop_company(Apply *apply, TeCachedCompany *c)
{
	const char *key = c->company_id;

	for (int i = 0; i < c->user_count; i++)
		if (c->users[i]->company != NULL)
			drop_user(apply, c, c->users[i]);
	(void)hash_search(apply->cache->companies, &key, HASH_REMOVE, NULL);
}

static void add_companies(Apply *apply)
{
	HASH_SEQ_STATUS scan;
	StagedCompany *staged;

	hash_seq_init(&scan, apply->pending->staged_companies);
	while ((staged = hash_seq_search(&scan)) != NULL)
		if (staged->exists && te_cache_company(apply->cache, staged->company_id) == NULL)
			add_company(apply->cache, staged);
}

/* After the users: their old strategies are differences to the old tier. */
static List *change_companies(Apply *apply)
{
	HASH_SEQ_STATUS scan;
	StagedCompany *staged;
	List *dropped = NIL;

	hash_seq_init(&scan, apply->pending->staged_companies);
	while ((staged = hash_seq_search(&scan)) != NULL) {
		TeCachedCompany *c = te_cache_company(apply->cache, staged->company_id);

		if (staged->exists) {
			c->tier = staged->tier;
			c->require_token = staged->require_token;
			te_cache_free_packed(apply->cache, c->override);
			c->override = staged->override;
		} else if (c != NULL) {
			drop_company(apply, c);
			dropped = lappend(dropped, c);
		}
	}
	return dropped;
}

static void change_tiers(Apply *apply)
{
	TeCache *cache = apply->cache;
	HASH_SEQ_STATUS scan;
	StagedTier *staged;

	hash_seq_init(&scan, apply->pending->staged_tiers);
	while ((staged = hash_seq_search(&scan)) != NULL) {
		bool found;
		TierEntry *entry = hash_search(cache->tiers, staged->name, HASH_ENTER, &found);

		if (found)
			te_cache_free_tier(cache, entry->tier);
		entry->tier = staged->tier;
		if (staged->tier == NULL)
			(void)hash_search(cache->tiers, staged->name, HASH_REMOVE, NULL);
	}
}

/*----------------------------------------------------------------------
 * Instruments and producers
 *----------------------------------------------------------------------*/

static void change_instrument(TeCache *cache, const CacheInstrument *staged)
{
	bool found;
	CacheInstrument *c = hash_search(cache->instruments, staged->symbol, HASH_ENTER, &found);

	if (found) {
		pfree((char *)c->instrument.base_currency);
		pfree((char *)c->instrument.quote_currency);
	}
	c->instrument = staged->instrument;
	if (staged->instrument.symbol == NULL)
		(void)hash_search(cache->instruments, staged->symbol, HASH_REMOVE, NULL);
	else
		c->instrument.symbol = c->symbol;
}

static void change_producer(TeCache *cache, const StagedProducer *staged)
{
	const char *key = staged->producer.key;

	if (staged->exists)
		*(TeCachedProducer *)hash_search(cache->producers, key, HASH_ENTER, NULL) =
			staged->producer;
	else
		(void)hash_search(cache->producers, key, HASH_REMOVE, NULL);
}

static void change_reference_data(Apply *apply)
{
	ListCell *cell;

	foreach (cell, apply->pending->staged_instruments)
		change_instrument(apply->cache, lfirst(cell));
	foreach (cell, apply->pending->staged_producers)
		change_producer(apply->cache, lfirst(cell));
}

/*----------------------------------------------------------------------
 * All of it
 *----------------------------------------------------------------------*/

static int compare_staged(const void *left, const void *right)
{
	return strcmp((*(StagedUser *const *)left)->key, (*(StagedUser *const *)right)->key);
}

static StagedUser **sorted_users(Apply *apply, long *count)
{
	HTAB *table = apply->pending->staged_users;
	long n = hash_get_num_entries(table), i = 0;
	StagedUser **users = MemoryContextAllocHuge(apply->context, sizeof(StagedUser *) * Max(n, 1));
	StagedUser *user;
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, table);
	while ((user = hash_seq_search(&scan)) != NULL)
		users[i++] = user;
	qsort(users, n, sizeof(StagedUser *), compare_staged);
	*count = n;
	return users;
}

void te_cache_apply(TeCache *cache)
{
	Apply apply = {.cache = cache, .pending = cache->pending, .context = cache->pending->context};
	MemoryContext old = MemoryContextSwitchTo(apply.context);
	long count;
	StagedUser **users = sorted_users(&apply, &count);
	List *dropped;
	ListCell *cell;

	apply.bulk = count > BULK_USERS;
	te_cache_index_begin(cache, apply.bulk);
	add_companies(&apply);
	for (long i = 0; i < count; i++)
		apply_user(&apply, users[i]);
	dropped = change_companies(&apply);
	te_cache_index_settle(cache);
	release_slots(&apply);
	foreach (cell, apply.untidy)
		tidy(&apply, lfirst(cell));
	foreach (cell, dropped)
		te_cache_free_company(cache, lfirst(cell));
	change_tiers(&apply);
	change_reference_data(&apply);
	MemoryContextSwitchTo(old);
}
