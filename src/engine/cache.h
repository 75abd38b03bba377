/*
 * cache.h - what a lane knows of tenants, instruments, producers and strategies.
 *
 * A copy of committed rows in the worker's memory.  It holds the companies of one
 * lane.  Changes are found through the log trading.strategy_changes: a relcache
 * invalidation says only that there is something to read, and what is read are
 * the rows that the previous snapshot could not see.  Strategies are indexed per
 * symbol, sorted by confidence threshold, so that a prediction touches only those
 * that it can pass.
 */
#ifndef TE_ENGINE_CACHE_H
#define TE_ENGINE_CACHE_H

#include "postgres.h"

#include "core/params.h"
#include "engine/rates.h"
#include "sql/rule.h"

#define TE_ID_SIZE 65 /* a company's or user's id, with its NUL */
#define TE_CHANNEL_SIZE 64

typedef struct TeCachedCompany TeCachedCompany;

/* Decisions of one strategy since the last flush, by outcome; outlives reloads. */
typedef struct TeTally
{
	char key[3 * TE_ID_SIZE]; /* company, user and strategy, each followed by '/' */
	uint32 counts[TE_OUTCOME_COUNT];
	uint32 rule_errors; /* of CUSTOM_RULE, those whose rule could not be evaluated */
	bool dirty;
} TeTally;

typedef struct TeCachedStrategy
{
	TeCachedCompany *company;
	const char *user_id;
	const char *strategy_id;
	int64 version;
	TeStrategy params;
	TeAccount account;
	TeRule *rule; /* compiled custom_rule, or NULL */
	TeTally *tally;
} TeCachedStrategy;

struct TeCachedCompany
{
	char company_id[TE_ID_SIZE]; /* hash key */
	MemoryContext context;
	char channel[TE_CHANNEL_SIZE]; /* its own NOTIFY channel */
	int notice;                    /* scratch of a batch: index of its notice */
	bool require_token;
	int user_count;
	char **users; /* sorted */
	int strategy_count;
	TeCachedStrategy *strategies; /* sorted by user and id */
};

/* One entry of a symbol's index, ascending by threshold, then by tenant. */
typedef struct TeIndexEntry
{
	double threshold;
	TeCachedStrategy *strategy;
} TeIndexEntry;

typedef struct TeStrategyIndex
{
	char symbol[33]; /* hash key */
	int count, capacity;
	TeIndexEntry *entries;
} TeStrategyIndex;

typedef struct TeCachedProducer
{
	char key[2 * TE_ID_SIZE + 64]; /* scope (company or _all), '/', producer */
	bool has_token;
	uint8 token_sha256[32];
} TeCachedProducer;

typedef struct TeCache TeCache;

extern TeCache *te_cache_create(int lane, int lane_count);

/* Has a committed change been announced since the last refresh? */
extern bool te_cache_stale(const TeCache *cache);

/*
 * What is announced from here on is for the refresh after this one. To be called before the
 * transaction's snapshot is taken, because that may not see what is announced later.
 */
extern void te_cache_heed(TeCache *cache);

/*
 * Bring the cache up to date; in a REPEATABLE READ transaction with SPI connected.
 * On an error the cache is marked as empty and the next refresh reads everything.
 */
extern void te_cache_refresh(TeCache *cache);

/* Text of the snapshot that the cache shows; recorded with every batch. */
extern const char *te_cache_snapshot(const TeCache *cache);

extern const TeInstrument *te_cache_instrument(const TeCache *cache, const char *symbol);
/* What the lane converts currencies with, into those of its accounts. */
extern TeLaneRates *te_cache_rates(const TeCache *cache);

extern TeCachedCompany *te_cache_company(const TeCache *cache, const char *company_id);
extern bool te_cache_has_user(const TeCachedCompany *company, const char *user_id);
extern const TeCachedProducer *te_cache_producer(const TeCache *cache, const char *scope,
                                                 const char *producer_id);

/* Strategies that name the symbol; te_cache_any: those that trade every symbol. */
extern const TeStrategyIndex *te_cache_symbol(const TeCache *cache, const char *symbol);
extern const TeStrategyIndex *te_cache_any(const TeCache *cache);

/* Visit the tallies that changed; the visitor clears them. */
extern void te_cache_tallies(TeCache *cache, void (*visit)(TeTally *tally, void *arg), void *arg);

extern int te_cache_strategy_count(const TeCache *cache);

#endif
