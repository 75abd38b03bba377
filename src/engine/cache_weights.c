/*
 * cache_weights.c - how much models weigh for the strategies that follow their accuracy.
 *
 * Weights belong to who a prediction is for: a company, or everybody.  So all strategies that
 * follow see the same copy of it.  There are few, and they change together: when one does, all are
 * read again.
 */
#include "postgres.h"

#include "engine/cache_private.h"
#include "engine/query.h"

#include "utils/memutils.h"

#define ANY_SYMBOL "*"

typedef struct CacheWeight
{
	const char *key; /* company, \001, model, \001, symbol */
	double factor;
} CacheWeight;

static char *weight_key(const char *company_id, const char *model_id, const char *symbol)
{
	return psprintf("%s\001%s\001%s", company_id, model_id, symbol);
}

static void read_weight(TeRow *row, void *arg)
{
	CachePending *p = arg;
	MemoryContext old;
	CacheWeight *weight;
	char *key;
	bool found;

	if (p->weights == NULL) {
		p->weight_context =
			AllocSetContextCreate(p->context, "weights of models", ALLOCSET_SMALL_SIZES);
		p->weights = te_cache_text_table("weights", sizeof(CacheWeight), p->weight_context);
	}
	old = MemoryContextSwitchTo(p->weight_context);
	key = weight_key(te_row_text(row, "company_id"), te_row_text(row, "model_id"),
	                 te_row_text(row, "symbol"));
	/* A current one may be there already, which the snapshot's replaces. */
	weight = hash_search(p->weights, &key, HASH_ENTER, &found);
	weight->factor = te_row_double(row, "factor");
	MemoryContextSwitchTo(old);
}

void te_cache_read_weights(TeCache *cache)
{
	CachePending *p = cache->pending;

	if (p->weight_context != NULL)
		MemoryContextDelete(p->weight_context);
	p->weight_context = NULL;
	p->weights = NULL;
	te_cache_query_weights(cache, read_weight, p);
	p->weights_wanted = false;
	p->weights_read = true;
}

void te_cache_apply_weights(TeCache *cache)
{
	CachePending *p = cache->pending;

	if (!p->weights_read)
		return;
	if (cache->weight_context != NULL)
		MemoryContextDelete(cache->weight_context);
	cache->weights = p->weights;
	cache->weight_context = p->weight_context;
	if (p->weight_context != NULL)
		MemoryContextSetParent(p->weight_context, cache->data);
	p->weight_context = NULL;
	p->weights = NULL;
	p->weights_read = false;
}

static const CacheWeight *find_weight(const TeCache *cache, const char *company_id,
                                      const char *model_id, const char *symbol)
{
	char *key = weight_key(company_id, model_id, symbol);
	const CacheWeight *weight = hash_search(cache->weights, &key, HASH_FIND, NULL);

	pfree(key);
	return weight;
}

static double factor_of(const TeCache *cache, const char *company_id, const char *model_id,
                        const char *symbol)
{
	const CacheWeight *weight = find_weight(cache, company_id, model_id, symbol);

	if (weight == NULL)
		weight = find_weight(cache, company_id, model_id, ANY_SYMBOL);
	return weight != NULL ? weight->factor : 1;
}

const TePrediction *te_cache_weigh(const TeCache *cache, const char *company_id,
                                   const TePrediction *prediction, TeArena *arena)
{
	TePrediction *copy;
	TeModelVote *votes;

	if (cache->weights == NULL || prediction->model_count == 0)
		return prediction;
	copy = te_arena_alloc(arena, sizeof(TePrediction));
	votes = te_arena_array(arena, (size_t)prediction->model_count, sizeof(TeModelVote));
	if (copy == NULL || votes == NULL)
		elog(ERROR, "the memory of a message is exhausted");
	*copy = *prediction;
	copy->models = votes;
	for (int i = 0; i < prediction->model_count; i++) {
		votes[i] = prediction->models[i];
		votes[i].weight *= factor_of(cache, company_id, votes[i].model_id, prediction->symbol);
	}
	return copy;
}
