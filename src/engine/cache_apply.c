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
	bool companies_change;
	List *untidy;  /* companies whose users want sorting */
	List *added;   /* users that are new */
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

CacheUser **te_cache_user_place(const TeCachedCompany *company, const char *user_id)
{
	int place = place_of_user(company, user_id);

	if (place < company->user_sorted && strcmp(company->users[place]->user_id, user_id) == 0)
		return &company->users[place];
	return NULL;
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
		pfree(c->users);
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

static void insert_users(Apply *apply)
{
	ListCell *cell;

	foreach (cell, apply->added) {
		CacheUser *user = lfirst(cell);

		insert_user(apply, user->company, user);
	}
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

/* To be freed when there is time. */
static void discard_user(TeCache *cache, CacheUser *user)
{
	if (cache->garbage_count == cache->garbage_capacity) {
		cache->garbage_capacity = Max(64, 2 * cache->garbage_capacity);
		cache->garbage =
			cache->garbage
				? repalloc_huge(cache->garbage, sizeof(CacheUser *) * cache->garbage_capacity)
				: MemoryContextAlloc(cache->data, sizeof(CacheUser *) * cache->garbage_capacity);
	}
	cache->garbage[cache->garbage_count++] = user;
}

/* Strategies and all, where the user was or is new. */
static void replace_user(Apply *apply, TeCachedCompany *c, const StagedUser *staged)
{
	TeCache *cache = apply->cache;
	CacheUser *old = staged->place != NULL ? *staged->place : NULL, *user = staged->user;
	const StagedCompany *change =
		apply->companies_change ? te_cache_staged_company(cache, c->company_id) : NULL;

	user->company = c;
	change_strategies(apply, c->tier, old, change != NULL ? change->tier : c->tier, user);
	if (old == NULL)
		apply->added = lappend(apply->added, user); /* places are good until all is done */
	else {
		*staged->place = user;
		discard_user(cache, old);
	}
}

static void apply_user(Apply *apply, const StagedUser *staged)
{
	TeCache *cache = apply->cache;
	TeCachedCompany *c = staged->company;

	if (!staged->valid)
		elog(ERROR, "a staged user was not read again");
	if (c == NULL) { /* a new one */
		char company_id[TE_ID_SIZE];

		strlcpy(company_id, staged->key, strcspn(staged->key, "\001") + 1);
		c = te_cache_company(cache, company_id);
	}
	if (staged->user == NULL) {
		if (staged->place != NULL)
			drop_user(apply, c, *staged->place);
	} else if (c == NULL || (staged->accounts_only && staged->place == NULL))
		te_cache_free_user(cache, staged->user);
	else if (staged->accounts_only)
		change_accounts(apply, *staged->place, staged->user);
	else
		replace_user(apply, c, staged);
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
	c->margin_rate = staged->margin_rate;
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
	te_cache_apply_weights(apply->cache);
}

/*----------------------------------------------------------------------
 * All of it
 *----------------------------------------------------------------------*/

static int compare_staged(const void *left, const void *right)
{
	return strcmp((*(StagedUser *const *)left)->key, (*(StagedUser *const *)right)->key);
}

/* They come in order but for stragglers, of users that changed while others were read. */
static StagedUser **sorted_users(Apply *apply)
{
	CachePending *p = apply->pending;
	long n = p->order_count, prefix = Min(n, 1), first = 0, second, i = 0;
	StagedUser **sorted;

	while (prefix < n && strcmp(p->order[prefix - 1]->key, p->order[prefix]->key) < 0)
		prefix++;
	if (prefix == n)
		return p->order;
	qsort(p->order + prefix, n - prefix, sizeof(StagedUser *), compare_staged);
	sorted = MemoryContextAllocHuge(apply->context, sizeof(StagedUser *) * n);
	second = prefix;
	while (first < prefix || second < n) {
		bool take_first = second == n || (first < prefix &&
		                                  strcmp(p->order[first]->key, p->order[second]->key) < 0);

		sorted[i++] = take_first ? p->order[first++] : p->order[second++];
	}
	return sorted;
}

/* Fetch into the processor's cache what is changed soon. */
static void prefetch_user(const StagedUser *staged)
{
	__builtin_prefetch(staged->user);
	if (staged->place != NULL)
		__builtin_prefetch(*staged->place);
}

static void prefetch_strategies(const StagedUser *staged)
{
	if (staged->user != NULL)
		__builtin_prefetch(staged->user->strategies);
	if (staged->place != NULL)
		__builtin_prefetch((*staged->place)->strategies);
}

static void apply_users(Apply *apply)
{
	long count = apply->pending->order_count;
	StagedUser **users = sorted_users(apply);

	for (long i = 0; i < count; i++) {
		if (i + 16 < count)
			prefetch_user(users[i + 16]);
		if (i + 8 < count)
			prefetch_strategies(users[i + 8]);
		apply_user(apply, users[i]);
	}
}

void te_cache_apply(TeCache *cache)
{
	Apply apply = {.cache = cache, .pending = cache->pending, .context = cache->pending->context};
	MemoryContext old = MemoryContextSwitchTo(apply.context);
	List *dropped;
	ListCell *cell;

	apply.bulk = cache->pending->order_count > BULK_USERS;
	apply.companies_change = hash_get_num_entries(cache->pending->staged_companies) > 0;
	te_cache_index_begin(cache, apply.bulk);
	add_companies(&apply);
	apply_users(&apply);
	dropped = change_companies(&apply);
	te_cache_index_settle(cache);
	release_slots(&apply);
	insert_users(&apply);
	foreach (cell, apply.untidy)
		tidy(&apply, lfirst(cell));
	foreach (cell, dropped)
		te_cache_free_company(cache, lfirst(cell));
	change_tiers(&apply);
	change_reference_data(&apply);
	MemoryContextSwitchTo(old);
}
