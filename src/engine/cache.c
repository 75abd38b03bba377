/*
 * cache.c - what readers of the cache call.
 */
#include "postgres.h"

#include "engine/cache_private.h"

#include "utils/memutils.h"

/* A strategy that just fails its threshold may be visited, one that passes never withheld. */
#define CONFIDENCE_SLACK 1e-8

/* So many entries ahead, what an entry leads to is fetched into the processor's cache. */
#define PREFETCH 8

/*----------------------------------------------------------------------
 * Life
 *----------------------------------------------------------------------*/

static const char *copy_text(MemoryContext context, const char *text)
{
	return text != NULL ? MemoryContextStrdup(context, text) : NULL;
}

TeCache *te_cache_create(const TeCacheScope *scope)
{
	MemoryContext context = AllocSetContextCreate(scope->parent, "trading_engine strategy cache",
	                                              ALLOCSET_DEFAULT_SIZES);
	TeCache *cache = MemoryContextAllocZero(context, sizeof(TeCache));

	cache->context = context;
	cache->scope = *scope;
	cache->scope.company = copy_text(context, scope->company);
	cache->scope.user = copy_text(context, scope->user);
	cache->scope.strategy = copy_text(context, scope->strategy);
	cache->data = AllocSetContextCreate(context, "strategies", ALLOCSET_DEFAULT_SIZES);
	cache->rates = te_lane_rates_create(context);
	cache->policy = te_policy_rows_create(context, scope->lane, scope->lane_count);
	cache->tally_context = AllocSetContextCreate(context, "tallies", ALLOCSET_DEFAULT_SIZES);
	te_cache_empty(cache);
	te_cache_clear_tallies(cache);
	return cache;
}

/* As if nothing had ever been read. */
void te_cache_empty(TeCache *cache)
{
	MemoryContext data = cache->data;

	MemoryContextReset(data);
	te_lane_rates_forget(cache->rates);
	cache->loaded = false;
	te_pool_init(&cache->pool, data);
	cache->tiers = te_cache_key_table("tiers", TE_ID_SIZE, sizeof(TierEntry), data);
	cache->companies = te_cache_text_table("companies", sizeof(CompanyEntry), data);
	cache->instruments =
		te_cache_key_table("instruments", TE_SYMBOL_SIZE, sizeof(CacheInstrument), data);
	cache->producers =
		te_cache_key_table("producers", TE_PRODUCER_KEY_SIZE, sizeof(TeCachedProducer), data);
	cache->symbols = te_cache_key_table("symbols", TE_SYMBOL_SIZE, sizeof(CacheIndex), data);
	cache->sets = te_cache_set_table(data);
	cache->rules = te_cache_rule_table(data);
	cache->any = (CacheIndex){0};
	cache->slots = NULL;
	cache->slot_count = cache->slot_capacity = 0;
	cache->free_slots = NULL;
	cache->free_slot_count = cache->free_slot_capacity = 0;
	cache->weights = NULL;
	cache->weight_context = NULL;
	cache->dead = NULL;
	cache->garbage = NULL;
	cache->garbage_count = cache->garbage_capacity = 0;
	cache->strategy_count = 0;
}

void te_cache_watch(TeCache *cache)
{
	te_news_watch(&cache->news, "strategy_changes");
}

bool te_cache_stale(const TeCache *cache)
{
	return te_news_wait(&cache->news) || !cache->loaded || cache->in_progress ||
	       te_cache_busy(cache);
}

void te_cache_heed(TeCache *cache)
{
	te_news_heed(&cache->news);
}

const char *te_cache_snapshot(const TeCache *cache)
{
	return cache->snapshot;
}

int64 te_cache_strategy_count(const TeCache *cache)
{
	return cache->strategy_count;
}

Size te_cache_bytes(const TeCache *cache)
{
	return MemoryContextMemAllocated(cache->context, true);
}

/*----------------------------------------------------------------------
 * Look-ups
 *----------------------------------------------------------------------*/

const TeInstrument *te_cache_instrument(const TeCache *cache, const char *symbol)
{
	CacheInstrument *c = hash_search(cache->instruments, symbol, HASH_FIND, NULL);

	return c != NULL ? &c->instrument : NULL;
}

double te_cache_margin_rate(const TeCache *cache, const char *symbol)
{
	CacheInstrument *c = hash_search(cache->instruments, symbol, HASH_FIND, NULL);

	return c != NULL ? c->margin_rate : NAN;
}

TePolicyRows *te_cache_policy(const TeCache *cache)
{
	return cache->policy;
}

void te_cache_set_holds(TeCache *cache, TeHolds *holds)
{
	cache->holds = holds;
}

TeLaneRates *te_cache_rates(const TeCache *cache)
{
	return cache->rates;
}

TeCachedCompany *te_cache_company(const TeCache *cache, const char *company_id)
{
	CompanyEntry *entry = hash_search(cache->companies, &company_id, HASH_FIND, NULL);

	return entry != NULL ? entry->company : NULL;
}

const char *te_company_id(const TeCachedCompany *company)
{
	return company->company_id;
}

bool te_company_requires_token(const TeCachedCompany *company)
{
	return company->require_token;
}

bool te_company_has_user(const TeCachedCompany *company, const char *user_id)
{
	return te_cache_user_place(company, user_id) != NULL;
}

const char *te_company_channel(const TeCachedCompany *company)
{
	return company->channel;
}

void te_cache_set_channel(TeCache *cache, TeCachedCompany *company, const char *channel)
{
	Size length = strlen(channel) + 1;

	company->channel = memcpy(te_pool_alloc(&cache->pool, length), channel, length);
}

int *te_company_scratch(TeCachedCompany *company)
{
	return &company->scratch;
}

const TeCachedProducer *te_cache_producer(const TeCache *cache, const char *scope,
                                          const char *producer_id)
{
	char key[TE_PRODUCER_KEY_SIZE];

	snprintf(key, sizeof(key), "%s/%s", scope, producer_id);
	return hash_search(cache->producers, key, HASH_FIND, NULL);
}

/*----------------------------------------------------------------------
 * Visits
 *----------------------------------------------------------------------*/

/* Make a strategy whole, for one visit; false when its exact threshold is out of reach. */
static bool open_strategy(TeCache *cache, const CacheStrategy *s, double reach,
                          TeCachedStrategy *out)
{
	TeCachedCompany *company = s->user->company;

	te_cache_expand(company->tier, s, &cache->expanded);
	if (cache->expanded.min_confidence_threshold > reach)
		return false;
	*out = (TeCachedStrategy){
		.company = company,
		.company_id = company->company_id,
		.user_id = s->user->user_id,
		.strategy_id = te_cache_strategy_id(s),
		.version = s->version,
		.variant = s->variant,
		.params = &cache->expanded,
		.account = &s->account->account,
		.results = te_cache_results(s),
		.account_id = te_cache_account_id(s->account),
		.account_key = &s->account->key,
		.rule = te_cache_rule_of(cache->expanded.custom_rule),
		.slot = s->slot,
	};
	return true;
}

void te_strategy_account(const TeCachedStrategy *strategy, TeAccount *out)
{
	*out = *strategy->account;
	out->hit_rate = strategy->results.hit_rate;
	out->position_size_multiplier *= strategy->results.position_size_multiplier;
}

static void visit_index(TeCache *cache, const CacheIndex *index, double reach,
                        TeStrategyVisitor visit, void *arg)
{
	TeCachedStrategy strategy;

	for (int i = 0; index != NULL && i < index->count && index->entries[i].threshold <= reach;
	     i++) {
		if (i + PREFETCH < index->count)
			__builtin_prefetch(cache->slots[index->entries[i + PREFETCH].slot]);
		if (open_strategy(cache, cache->slots[index->entries[i].slot], reach, &strategy))
			visit(&strategy, arg);
	}
}

/* A prediction to hold concerns all. */
static double reach_of(const TePrediction *prediction)
{
	return prediction->direction == TE_DIR_HOLD ? INFINITY
	                                            : prediction->confidence + CONFIDENCE_SLACK;
}

void te_cache_visit_broadcast(TeCache *cache, const TePrediction *prediction,
                              TeStrategyVisitor visit, void *arg)
{
	double reach = reach_of(prediction);

	visit_index(cache, te_cache_index_find(cache, prediction->symbol), reach, visit, arg);
	visit_index(cache, &cache->any, reach, visit, arg);
}

static void visit_user(TeCache *cache, const CacheUser *user, TeStrategyVisitor visit, void *arg)
{
	TeCachedStrategy strategy;

	for (const CacheStrategy *s = user->strategies; s != NULL; s = s->next)
		if (open_strategy(cache, s, INFINITY, &strategy))
			visit(&strategy, arg);
}

void te_cache_visit_company(TeCache *cache, const TeCachedCompany *company, const char *user_id,
                            TeStrategyVisitor visit, void *arg)
{
	CacheUser **place;

	if (user_id == NULL) {
		for (int i = 0; i < company->user_count; i++)
			visit_user(cache, company->users[i], visit, arg);
		return;
	}
	place = te_cache_user_place(company, user_id);
	if (place != NULL)
		visit_user(cache, *place, visit, arg);
}

/*----------------------------------------------------------------------
 * Tallies
 *----------------------------------------------------------------------*/

static TeTally *make_tally(TeCache *cache, const TeCachedStrategy *s)
{
	char buffer[3 * TE_ID_SIZE];
	const char *key = buffer;
	bool found;
	TeTally *tally;

	snprintf(buffer, sizeof(buffer), "%s/%s/%s", s->company_id, s->user_id, s->strategy_id);
	tally = hash_search(cache->tallies, &key, HASH_FIND, &found);
	if (!found) {
		key = MemoryContextStrdup(cache->tally_context, buffer);
		tally = hash_search(cache->tallies, &key, HASH_ENTER, NULL);
		memset(tally->counts, 0, sizeof(tally->counts));
		tally->rule_errors = 0;
	}
	tally->slot = s->slot;
	return tally;
}

TeTally *te_cache_tally(TeCache *cache, const TeCachedStrategy *strategy)
{
	CacheStrategy *s = cache->slots[strategy->slot];

	if (s->tally == NULL)
		s->tally = make_tally(cache, strategy);
	return s->tally;
}

void te_cache_visit_tallies(TeCache *cache, void (*visit)(TeTally *tally, void *arg), void *arg)
{
	HASH_SEQ_STATUS scan;
	TeTally *tally;

	hash_seq_init(&scan, cache->tallies);
	while ((tally = hash_seq_search(&scan)) != NULL)
		visit(tally, arg);
}

static void forget_tally(TeTally *tally, void *arg)
{
	TeCache *cache = arg;

	if (tally->slot < cache->slot_count && cache->slots[tally->slot] != NULL &&
	    cache->slots[tally->slot]->tally == tally)
		cache->slots[tally->slot]->tally = NULL;
}

void te_cache_clear_tallies(TeCache *cache)
{
	if (cache->tallies != NULL)
		te_cache_visit_tallies(cache, forget_tally, cache);
	MemoryContextReset(cache->tally_context);
	cache->tallies = te_cache_text_table("tallies", sizeof(TeTally), cache->tally_context);
}
