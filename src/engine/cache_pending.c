/*
 * cache_pending.c - what has to be read, and what was read and waits to be applied.
 *
 * A user, a company or a tier that changes while it is staged is read again.
 */
#include "postgres.h"

#include "core/lane.h"
#include "engine/cache_private.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

/*----------------------------------------------------------------------
 * What is pending
 *----------------------------------------------------------------------*/

CachePending *te_cache_make_pending(TeCache *cache)
{
	MemoryContext context =
		AllocSetContextCreate(cache->context, "pending changes", ALLOCSET_DEFAULT_SIZES);
	CachePending *p = MemoryContextAllocZero(context, sizeof(CachePending));

	p->context = context;
	p->tiers = te_cache_key_table("tiers to read", TE_ID_SIZE, TE_ID_SIZE, context);
	p->companies = te_cache_key_table("companies to read", TE_ID_SIZE, TE_ID_SIZE, context);
	p->instruments =
		te_cache_key_table("instruments to read", TE_SYMBOL_SIZE, TE_SYMBOL_SIZE, context);
	p->producers = te_cache_key_table("producers to read", TE_PRODUCER_KEY_SIZE,
	                                  TE_PRODUCER_KEY_SIZE, context);
	p->users = te_cache_text_table("users to read", sizeof(DirtyUser), context);
	p->staged_tiers = te_cache_key_table("staged tiers", TE_ID_SIZE, sizeof(StagedTier), context);
	p->staged_companies =
		te_cache_key_table("staged companies", TE_ID_SIZE, sizeof(StagedCompany), context);
	p->staged_users = te_cache_text_table("staged users", sizeof(StagedUser), context);
	return p;
}

void te_cache_end_pending(TeCache *cache)
{
	if (cache->pending != NULL)
		MemoryContextDelete(cache->pending->context);
	cache->pending = NULL;
}

bool te_cache_busy(const TeCache *cache)
{
	return cache->pending != NULL || cache->garbage_count > 0;
}

int64 te_cache_pending(const TeCache *cache)
{
	const CachePending *p = cache->pending;

	if (p == NULL)
		return 0;
	return hash_get_num_entries(p->users) + hash_get_num_entries(p->companies) +
	       hash_get_num_entries(p->tiers) + hash_get_num_entries(p->staged_users);
}

/* company, \001, user, in the caller's memory: sorts like company, then user. */
static char *user_key(const char *company_id, const char *user_id)
{
	return psprintf("%s\001%s", company_id, user_id);
}

CacheTier *te_cache_tier(const TeCache *cache, const char *name)
{
	StagedTier *staged =
		cache->pending ? hash_search(cache->pending->staged_tiers, name, HASH_FIND, NULL) : NULL;
	TierEntry *entry;

	if (staged != NULL)
		return staged->tier;
	entry = hash_search(cache->tiers, name, HASH_FIND, NULL);
	return entry != NULL ? entry->tier : NULL;
}

static int compare_tiers(const ListCell *left, const ListCell *right)
{
	return ((const CacheTier *)lfirst(left))->rank - ((const CacheTier *)lfirst(right))->rank;
}

/* All tiers as they will be, by rank. */
List *te_cache_tiers(const TeCache *cache)
{
	HASH_SEQ_STATUS scan;
	TierEntry *entry;
	StagedTier *staged;
	List *tiers = NIL;

	hash_seq_init(&scan, cache->tiers);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (te_cache_tier(cache, entry->name) == entry->tier)
			tiers = lappend(tiers, entry->tier);
	hash_seq_init(&scan, cache->pending->staged_tiers);
	while ((staged = hash_seq_search(&scan)) != NULL)
		if (staged->tier != NULL)
			tiers = lappend(tiers, staged->tier);
	list_sort(tiers, compare_tiers);
	return tiers;
}

StagedCompany *te_cache_staged_company(const TeCache *cache, const char *company_id)
{
	return hash_search(cache->pending->staged_companies, company_id, HASH_FIND, NULL);
}

StagedUser *te_cache_staged_user(const TeCache *cache, const char *company_id, const char *user_id)
{
	char *key = user_key(company_id, user_id);
	StagedUser *staged = hash_search(cache->pending->staged_users, &key, HASH_FIND, NULL);

	pfree(key);
	return staged != NULL && staged->valid ? staged : NULL;
}

static void append_staged(CachePending *p, StagedUser *staged)
{
	if (p->order_count == p->order_capacity) {
		p->order_capacity = Max(64, 2 * p->order_capacity);
		p->order = p->order
		               ? repalloc_huge(p->order, sizeof(StagedUser *) * p->order_capacity)
		               : MemoryContextAlloc(p->context, sizeof(StagedUser *) * p->order_capacity);
	}
	p->order[p->order_count++] = staged;
}

StagedUser *te_cache_stage_user(TeCache *cache, const char *company_id, const char *user_id,
                                bool accounts_only)
{
	CachePending *p = cache->pending;
	MemoryContext old = MemoryContextSwitchTo(p->context);
	char *key = user_key(company_id, user_id);
	bool found;
	StagedUser *staged = hash_search(p->staged_users, &key, HASH_ENTER, &found);

	if (found)
		pfree(key);
	else {
		staged->company = te_cache_company(cache, company_id);
		staged->place =
			staged->company != NULL ? te_cache_user_place(staged->company, user_id) : NULL;
		staged->valid = false;
		append_staged(p, staged);
	}
	if (!staged->valid)
		staged->user = NULL;
	staged->valid = true;
	staged->accounts_only = accounts_only;
	MemoryContextSwitchTo(old);
	return staged;
}

/*----------------------------------------------------------------------
 * What has to be read
 *----------------------------------------------------------------------*/

/* Is the company one that the cache holds, or would hold? */
static bool in_scope(const TeCache *cache, const char *company_id, const char *user_id)
{
	const TeCacheScope *scope = &cache->scope;

	if (scope->company != NULL && strcmp(scope->company, company_id) != 0)
		return false;
	if (scope->user != NULL && user_id != NULL && strcmp(scope->user, user_id) != 0)
		return false;
	return scope->lane < 0 ||
	       te_lane_of(company_id, (uint32)scope->lane_count) == (uint32)scope->lane;
}

static void unstage_user(TeCache *cache, StagedUser *staged)
{
	if (staged->user != NULL)
		te_cache_free_user(cache, staged->user);
	staged->user = NULL;
	staged->valid = false;
}

/* A user, or its accounts alone, has to be read; what was read of it is old. */
void te_cache_mark_user(TeCache *cache, const char *company_id, const char *user_id,
                        bool accounts_only)
{
	CachePending *p = cache->pending;
	MemoryContext old;
	StagedUser *staged;
	DirtyUser *dirty;
	char *key;
	bool found;

	if (!in_scope(cache, company_id, user_id))
		return;
	old = MemoryContextSwitchTo(p->context);
	key = user_key(company_id, user_id);
	staged = hash_search(p->staged_users, &key, HASH_FIND, NULL);
	if (staged != NULL && staged->valid) {
		accounts_only &= staged->accounts_only;
		unstage_user(cache, staged);
	}
	dirty = hash_search(p->users, &key, HASH_ENTER, &found);
	if (found) {
		dirty->accounts_only &= accounts_only;
		pfree(key);
	} else
		dirty->accounts_only = accounts_only;
	MemoryContextSwitchTo(old);
}

void te_cache_mark_company(TeCache *cache, const char *company_id)
{
	if (in_scope(cache, company_id, NULL))
		(void)hash_search(cache->pending->companies, company_id, HASH_ENTER, NULL);
}

/* All users of a company are merged anew. */
void te_cache_mark_users_of(TeCache *cache, const char *company_id)
{
	const TeCachedCompany *c = te_cache_company(cache, company_id);
	Size length = strlen(company_id);
	HASH_SEQ_STATUS scan;
	StagedUser *staged;

	for (int i = 0; c != NULL && i < c->user_count; i++)
		te_cache_mark_user(cache, company_id, c->users[i]->user_id, false);
	/* Those that are new. */
	hash_seq_init(&scan, cache->pending->staged_users);
	while ((staged = hash_seq_search(&scan)) != NULL)
		if (staged->valid && strncmp(staged->key, company_id, length) == 0 &&
		    staged->key[length] == '\001')
			te_cache_mark_user(cache, company_id, staged->key + length + 1, false);
}
