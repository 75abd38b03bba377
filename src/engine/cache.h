/*
 * cache.h - what a decision needs of tenants, instruments, producers and strategies.
 *
 * A copy of committed rows in a process's memory, as of one snapshot: of a lane's companies in
 * its worker, of those that a replay is about in a session.  Changes are found through the log
 * trading.strategy_changes: rows whose visibility differs between two snapshots.  The unit that
 * is read again is a user, a company or a tier, whatever the log names.
 *
 * A strategy is kept as what makes it differ from its tier, and becomes a whole one only for a
 * visit.  Strategies are indexed per symbol, sorted by confidence threshold, so that a
 * prediction touches only those that it can pass.
 */
#ifndef TE_ENGINE_CACHE_H
#define TE_ENGINE_CACHE_H

#include "postgres.h"

#include "core/params.h"
#include "core/recall.h"
#include "engine/rates.h"
#include "sql/rule.h"
#include "wire/arena.h"

#define TE_ID_SIZE 65 /* a company's or user's id, with its NUL */

/* Like an UPDATE of a user's own row: parameters set to a value, parameters set to NULL. */
typedef struct TeVariant
{
	TeParamSet set;
	uint64 unset; /* bits of parameters */
} TeVariant;

/* What a cache holds. */
typedef struct TeCacheScope
{
	int lane; /* -1: companies of every lane */
	int lane_count;
	const char *company, *user, *strategy; /* NULL: all */

	/*
	 * 0: the strategies as they are.  Else every strategy is there once per variant: the user's
	 * own row with the variant's changes, merged like any row.  What its tier does not allow, or
	 * what is out of range, is refused with the error that the UPDATE would raise.
	 */
	int variant_count;
	const TeVariant *variants; /* must live as long as the cache */

	MemoryContext parent; /* the cache ends with it */
} TeCacheScope;

/* Decisions of one strategy since the last flush, by outcome; outlives reloads. */
typedef struct TeTally
{
	const char *key; /* company/user/strategy */
	uint32 slot;
	uint32 counts[TE_OUTCOME_COUNT];
	uint32 rule_errors; /* of CUSTOM_RULE, those whose rule could not be evaluated */
} TeTally;

typedef struct TeCachedCompany TeCachedCompany;

/* What isn't a parameter of a strategy: what was measured of it, and how it follows that. */
typedef struct TeStrategyResults
{
	double hit_rate;                 /* of its closed trades; NAN: too few */
	double position_size_multiplier; /* times that of its account */
	bool follow_model_accuracy;      /* models weigh as much as they were right */
} TeStrategyResults;

/* A strategy while it is visited. */
typedef struct TeCachedStrategy
{
	TeCachedCompany *company;
	const char *company_id, *user_id, *strategy_id;
	int64 version;
	int variant; /* its index within the scope's; 0 without variants */
	const TeStrategy *params;
	const TeAccount *account; /* its row: te_strategy_account() is what the strategy decides with */
	TeStrategyResults results;
	const char *account_id;
	TeKey *account_key; /* a place for a key made of its names; zeros until somebody writes it */
	TeRule *rule;       /* compiled custom_rule, or NULL */
	uint32 slot;        /* the same for as long as the cache isn't brought to another snapshot */
} TeCachedStrategy;

typedef void (*TeStrategyVisitor)(const TeCachedStrategy *strategy, void *arg);

#define TE_PRODUCER_KEY_SIZE (2 * TE_ID_SIZE)

typedef struct TeCachedProducer
{
	char key[TE_PRODUCER_KEY_SIZE]; /* scope (company or _all), '/', producer */
	bool has_token;
	bool halts; /* a missing number is never skipped by itself */
	uint8 token_sha256[32];
} TeCachedProducer;

typedef struct TeCache TeCache;

extern TeCache *te_cache_create(const TeCacheScope *scope);

/*----------------------------------------------------------------------
 * A lane: the rows as they are
 *----------------------------------------------------------------------*/

/* Hear of committed changes, for the life of the process; in a transaction. */
extern void te_cache_watch(TeCache *cache);

/* Is there something to read: a change announced since the last refresh, or one under way? */
extern bool te_cache_stale(const TeCache *cache);

/*
 * Is a change of many rows being read, a slice per refresh?  Until it is there as a whole the
 * cache shows what it showed before, and it may decide.
 */
extern bool te_cache_busy(const TeCache *cache);

/*
 * What is announced from here on is for the refresh after this one. To be called before the
 * transaction's snapshot is taken, because that may not see what is announced later.
 */
extern void te_cache_heed(TeCache *cache);

/*
 * Bring the cache up to date, or nearer to it; in a REPEATABLE READ transaction with SPI
 * connected.  After an error the cache is empty, and the next refresh reads everything.
 */
extern void te_cache_refresh(TeCache *cache);

/*----------------------------------------------------------------------
 * A replay: the rows as they were; with SPI connected, writing nothing
 *----------------------------------------------------------------------*/

/*
 * Bring the cache to a recorded snapshot, later or earlier than the one it shows, of the cluster
 * with this system identifier.  After te_cache_load_current only accounts and instruments are
 * brought there.
 */
extern void te_cache_refresh_at(TeCache *cache, const char *snapshot, int64 system_identifier);

/*
 * Tiers, companies and strategies from now on as this transaction sees them, its own changes
 * included.  Accounts and instruments are those of the snapshot of te_cache_refresh_at, and
 * where that has none, the current ones.
 */
extern void te_cache_load_current(TeCache *cache);

/*----------------------------------------------------------------------
 * Readers
 *----------------------------------------------------------------------*/

/* Text of the snapshot that the cache shows; recorded with every batch. */
extern const char *te_cache_snapshot(const TeCache *cache);

extern const TeInstrument *te_cache_instrument(const TeCache *cache, const char *symbol);
/* What a lane converts currencies with, into those of its accounts; a replay has what was recorded.
 */
extern TeLaneRates *te_cache_rates(const TeCache *cache);

/* The share of a position's value that is bound as margin; NAN where there is no such instrument.
 */
extern double te_cache_margin_rate(const TeCache *cache, const char *symbol);

/* What is laid down for the lane's tenants; a replay has what was recorded. */
struct TePolicyRows;
extern struct TePolicyRows *te_cache_policy(const TeCache *cache);

/* Holds end when the cache shows the switches that they stand for. */
struct TeHolds;
extern void te_cache_set_holds(TeCache *cache, struct TeHolds *holds);

extern TeCachedCompany *te_cache_company(const TeCache *cache, const char *company_id);
extern const char *te_company_id(const TeCachedCompany *company);
extern bool te_company_requires_token(const TeCachedCompany *company);
extern bool te_company_has_user(const TeCachedCompany *company, const char *user_id);
extern const TeCachedProducer *te_cache_producer(const TeCache *cache, const char *scope,
                                                 const char *producer_id);

/* The company's notification channel, once it is known. */
extern const char *te_company_channel(const TeCachedCompany *company);
extern void te_cache_set_channel(TeCache *cache, TeCachedCompany *company, const char *channel);

/* A place for a number of the batch at hand. */
extern int *te_company_scratch(TeCachedCompany *company);

/*
 * Visit the strategies that a prediction concerns, always in the same order, whatever the cache
 * has been through.  For a broadcast: those that trade its symbol and that its confidence
 * reaches (the confidence gate is still the core's), first those that name the symbol, then
 * those that trade all, each by threshold, company, user, strategy and variant.  For a tenant's
 * prediction: those of the company and user (NULL: every user), by user, strategy and variant.
 * What is handed to the visitor is valid for the call.
 */
extern void te_cache_visit_broadcast(TeCache *cache, const TePrediction *prediction,
                                     TeStrategyVisitor visit, void *arg);
extern void te_cache_visit_company(TeCache *cache, const TeCachedCompany *company,
                                   const char *user_id, TeStrategyVisitor visit, void *arg);

/* The account as the strategy decides with it: its own hit rate, and both multipliers. */
extern void te_strategy_account(const TeCachedStrategy *strategy, TeAccount *out);

/*
 * A prediction for a company or "_all" as strategies with follow_model_accuracy decide on it: a
 * copy whose models weigh as trading.model_weights has it, or the prediction itself where none
 * does.
 */
extern const TePrediction *te_cache_weigh(const TeCache *cache, const char *company_id,
                                          const TePrediction *prediction, TeArena *arena);

/* The tally of a strategy that is visited; made when there is none. */
extern TeTally *te_cache_tally(TeCache *cache, const TeCachedStrategy *strategy);
extern void te_cache_visit_tallies(TeCache *cache, void (*visit)(TeTally *tally, void *arg),
                                   void *arg);
extern void te_cache_clear_tallies(TeCache *cache);

extern int64 te_cache_strategy_count(const TeCache *cache);
extern Size te_cache_bytes(const TeCache *cache);
extern int64
te_cache_pending(const TeCache *cache); /* units that are still to be read or applied */

#endif
