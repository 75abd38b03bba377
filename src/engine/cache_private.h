/*
 * cache_private.h - what the files of the cache share.
 *
 *   cache.c          what readers call
 *   cache_refresh.c  from one snapshot to another: the log, what has to be read, in slices
 *   cache_pending.c  what has to be read, and what is staged
 *   cache_rows.c     rows to records, from the tables or from the log
 *   cache_apply.c    records that were read take the place of those that are there
 *   cache_index.c    strategies per symbol
 *   cache_records.c  making and freeing records
 *   cache_weights.c  weights of models
 */
#ifndef TE_ENGINE_CACHE_PRIVATE_H
#define TE_ENGINE_CACHE_PRIVATE_H

#include "engine/cache.h"
#include "engine/holds.h"
#include "engine/news.h"
#include "engine/policy_rows.h"
#include "engine/pool.h"
#include "engine/query.h"

#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/hsearch.h"

#define TE_SYMBOL_SIZE 33

/* A set of symbols, one for all strategies that have it.  What a strategy keeps is "symbols". */
typedef struct CacheSymbols
{
	const char *key; /* the symbols, joined by ',' */
	int references;
	int count;
	const char *symbols[FLEXIBLE_ARRAY_MEMBER];
} CacheSymbols;

/* A custom rule, one for all strategies that have it.  What a strategy keeps is "text". */
typedef struct CacheRule
{
	TeRule *rule;
	int references;
	char text[FLEXIBLE_ARRAY_MEMBER];
} CacheRule;

typedef struct CacheTier
{
	char name[TE_ID_SIZE];
	int rank;
	TeParamSet params;
	TeStrategy base; /* of a user and a company that set nothing */
} CacheTier;

typedef struct CacheAccount
{
	struct CacheAccount *next;        /* of the same user */
	TeAccount account;                /* its currency is in "text" */
	TeKey key;                        /* of its names, once it was asked for; else zeros */
	char text[FLEXIBLE_ARRAY_MEMBER]; /* account_id, NUL, currency, NUL */
} CacheAccount;

typedef struct CacheUser CacheUser;

typedef struct CacheStrategy
{
	CacheUser *user;
	CacheAccount *account;
	struct CacheStrategy *next; /* of the same user, by id and variant */
	TeTally *tally;             /* NULL: nothing was counted since the last flush */
	int64 version;
	uint32 slot;
	uint16 variant;
	uint16 id_offset;
	uint8 results; /* bits of what is there of TeStrategyResults */
	/* packed difference to the tier's base; numbers of "results"; then the id, NUL */
	uint8 data[FLEXIBLE_ARRAY_MEMBER];
} CacheStrategy;

struct CacheUser
{
	TeCachedCompany *company; /* NULL: not applied yet, or dropped */
	CacheAccount *accounts;
	CacheStrategy *strategies;
	char user_id[FLEXIBLE_ARRAY_MEMBER];
};

struct TeCachedCompany
{
	CacheTier *tier;
	uint8 *override; /* packed parameters of the company's row, or NULL */
	CacheUser *
		*users; /* the first user_sorted by id, the others come on top while changes are applied */
	int user_count, user_sorted, user_capacity;
	bool untidy;   /* users are dropped or unsorted */
	char *channel; /* of its notifications; NULL until the first one */
	int scratch;
	bool require_token;
	char company_id[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct CompanyEntry
{
	const char *company_id; /* hash key */
	TeCachedCompany *company;
} CompanyEntry;

typedef struct TierEntry
{
	char name[TE_ID_SIZE];
	CacheTier *tier;
} TierEntry;

typedef struct CacheInstrument
{
	char symbol[TE_SYMBOL_SIZE];
	double margin_rate;
	TeInstrument instrument; /* while it is staged: symbol is NULL where there is none any more */
} CacheInstrument;

/* What is staged of a producer. */
typedef struct StagedProducer
{
	bool exists;
	TeCachedProducer producer;
} StagedProducer;

/* One entry of a symbol's index; the threshold is rounded down, so that it never withholds. */
typedef struct CacheIndexEntry
{
	float threshold;
	uint32 slot;
} CacheIndexEntry;

/* An entry to be; rank: its place among the additions, by company, user, strategy and variant. */
typedef struct CacheAddition
{
	CacheIndexEntry entry;
	uint32 rank;
} CacheAddition;

typedef struct CacheIndex
{
	char symbol[TE_SYMBOL_SIZE]; /* hash key; empty: every symbol */
	bool touched;                /* by changes that aren't merged in yet */
	int count, capacity;
	CacheIndexEntry *entries;
	int added, added_capacity;
	CacheAddition *additions; /* to be merged in */
} CacheIndex;

/* Where rows come from. */
typedef enum {
	SOURCE_TABLES,  /* as the transaction sees them */
	SOURCE_LOG,     /* as of cache->at_snapshot */
	SOURCE_CURRENT, /* accounts and instruments as of cache->at_snapshot, the rest from the tables
	                 */
} CacheSource;

/* What is read, and waits to take its place. */
typedef struct StagedTier
{
	char name[TE_ID_SIZE];
	CacheTier *tier; /* NULL: there is none any more */
} StagedTier;

typedef struct StagedCompany
{
	char company_id[TE_ID_SIZE];
	bool exists;
	bool require_token;
	CacheTier *tier;
	uint8 *override;
} StagedCompany;

typedef struct StagedUser
{
	const char *key;          /* company, \\001, user: sorts like the two */
	TeCachedCompany *company; /* where it goes; NULL: the company isn't there yet */
	CacheUser **place;        /* whom it replaces; NULL: nobody */
	CacheUser *user;          /* NULL: there is none any more */
	bool accounts_only;       /* "user" has accounts, the strategies stay */
	bool valid;               /* false: it has to be read again */
} StagedUser;

typedef struct DirtyUser
{
	const char *key; /* as of StagedUser */
	bool accounts_only;
} DirtyUser;

typedef struct CachePending
{
	MemoryContext context;
	char *seen;        /* the log is read up to this snapshot */
	char *target;      /* and is being read up to this one; or NULL */
	char page_xid[24]; /* last row of the log that was read on the way */
	int64 page_change;
	bool everything;     /* read all again, whatever the log says */
	bool weights_wanted; /* weights of models have to be read */
	bool weights_read;
	MemoryContext weight_context;
	HTAB *weights; /* NULL: there are none */
	bool rates;    /* what currencies are converted with has to be read */
	HTAB *tiers, *companies, *instruments, *producers; /* keys of rows to read */
	HTAB *users;                                       /* of DirtyUser */
	const char **queue;                                /* keys of users, in their order */
	long queue_next, queue_count;
	HTAB *staged_tiers, *staged_companies, *staged_users;
	StagedUser **order; /* the staged users as they came */
	long order_count, order_capacity;
	List *staged_instruments; /* of CacheInstrument */
	List *staged_producers;   /* of StagedProducer */
} CachePending;

struct TeCache
{
	TeCacheScope scope;
	TeNews news;
	bool loaded;      /* it shows "snapshot" */
	bool in_progress; /* a refresh has begun; still set at the next one: it failed */
	CacheSource source;
	char *at_snapshot; /* of SOURCE_LOG and SOURCE_CURRENT; NULL: none yet */
	int64 at_system;

	MemoryContext context; /* of the cache's life */
	MemoryContext data;    /* of everything below; reset when all is read again */
	TePool pool;           /* in data */
	HTAB *tiers, *companies, *instruments, *producers, *symbols, *sets, *rules;
	CacheIndex any;
	CacheStrategy **slots;
	uint32 slot_count, slot_capacity;
	uint32 *free_slots; /* a stack */
	uint32 free_slot_count, free_slot_capacity;
	bool bulk;   /* changes of the index are collected, to be merged in at the end */
	uint8 *dead; /* of a bulk: a bit per slot whose entries are to be dropped */
	int64 strategy_count;
	CacheUser **garbage; /* users that were replaced, to be freed bit by bit */
	long garbage_count, garbage_capacity;
	MemoryContext weight_context; /* in data; NULL: no model has a weight */
	HTAB *weights;
	TeLaneRates *rates; /* of SOURCE_TABLES */
	TePolicyRows *policy;
	TeHolds *holds; /* NULL: none */
	char *snapshot; /* that it shows */
	CachePending *pending;

	MemoryContext tally_context;
	HTAB *tallies;

	TeStrategy expanded; /* the strategy that is visited */
};

/* A hash table whose keys are texts of any length: "const char *" stands first in an entry. */
extern HTAB *te_cache_text_table(const char *name, Size entry_size, MemoryContext context);

/* The same with keys of at most key_size - 1 bytes, which stand in the entry. */
extern HTAB *te_cache_key_table(const char *name, Size key_size, Size entry_size,
                                MemoryContext context);

/* cache.c */
extern void te_cache_empty(TeCache *cache);

/* cache_records.c */
extern HTAB *te_cache_set_table(MemoryContext context);
extern HTAB *te_cache_rule_table(MemoryContext context);
extern void te_cache_own_params(TeCache *cache, TeParamSet *params);
extern void te_cache_disown_params(TeCache *cache, uint64 mask, const TeStrategy *values);
extern TeRule *te_cache_rule_of(const char *text);
extern uint8 *te_cache_pack(TeCache *cache, const TeParamSet *params);
extern void te_cache_free_packed(TeCache *cache, uint8 *packed);
extern CacheTier *te_cache_make_tier(TeCache *cache, const char *name, const TeParamSet *params);
extern void te_cache_free_tier(TeCache *cache, CacheTier *tier);
extern TeCachedCompany *te_cache_make_company(TeCache *cache, const char *company_id);
extern void te_cache_free_company(TeCache *cache, TeCachedCompany *company);
extern CacheUser *te_cache_make_user(TeCache *cache, const char *user_id);
extern void te_cache_free_user(TeCache *cache, CacheUser *user);
extern CacheAccount *te_cache_add_account(TeCache *cache, CacheUser *user, const char *account_id,
                                          const TeAccount *account);
extern void te_cache_remove_account(CacheUser *user, CacheAccount *account);
extern CacheAccount *te_cache_find_account(const CacheUser *user, const char *account_id);
extern void te_cache_add_strategy(TeCache *cache, CacheUser *user, const CacheTier *tier,
                                  const char *strategy_id, int variant, int64 version,
                                  CacheAccount *account, const TeStrategyResults *results,
                                  const TeStrategy *effective);
extern void te_cache_free_strategy(TeCache *cache, CacheStrategy *strategy);
extern void te_cache_expand(const CacheTier *tier, const CacheStrategy *strategy, TeStrategy *out);
extern TeStrategyResults te_cache_results(const CacheStrategy *strategy);

static inline const char *te_cache_strategy_id(const CacheStrategy *s)
{
	return (const char *)s->data + s->id_offset;
}

static inline const char *te_cache_account_id(const CacheAccount *a)
{
	return a->text;
}

/* cache_rows.c: read into cache->pending what it says is to be read. */
extern void te_cache_read_everything(TeCache *cache);
extern void te_cache_read_tiers(TeCache *cache, ArrayType *names);
extern void te_cache_read_companies(TeCache *cache, ArrayType *companies);
extern void te_cache_read_users(TeCache *cache, ArrayType *companies, ArrayType *users);
extern void te_cache_read_accounts(TeCache *cache, ArrayType *companies, ArrayType *users);
extern void te_cache_read_instruments(TeCache *cache, ArrayType *symbols);
extern void te_cache_read_producers(TeCache *cache, ArrayType *scopes, ArrayType *producers);
extern void te_cache_query_weights(TeCache *cache, TeRowReader read, void *arg);

/* cache_weights.c */
extern void te_cache_read_weights(TeCache *cache);
extern void te_cache_apply_weights(TeCache *cache);

/* cache_pending.c */
extern CachePending *te_cache_make_pending(TeCache *cache);
extern void te_cache_end_pending(TeCache *cache);
extern void te_cache_mark_user(TeCache *cache, const char *company_id, const char *user_id,
                               bool accounts_only);
extern void te_cache_mark_company(TeCache *cache, const char *company_id);
extern void te_cache_mark_users_of(TeCache *cache, const char *company_id);
extern CacheTier *te_cache_tier(const TeCache *cache, const char *name);
extern List *te_cache_tiers(const TeCache *cache);
extern StagedUser *te_cache_staged_user(const TeCache *cache, const char *company_id,
                                        const char *user_id);
extern StagedCompany *te_cache_staged_company(const TeCache *cache, const char *company_id);
extern StagedUser *te_cache_stage_user(TeCache *cache, const char *company_id, const char *user_id,
                                       bool accounts_only);

/* cache_apply.c */
extern void te_cache_apply(TeCache *cache);
extern CacheUser **te_cache_user_place(const TeCachedCompany *company, const char *user_id);

/* cache_index.c */
extern CacheIndex *te_cache_index_find(const TeCache *cache, const char *symbol);
extern float te_cache_index_threshold(double threshold);
/* Of many changes (bulk), additions come by company, user, strategy and variant. */
extern void te_cache_index_begin(TeCache *cache, bool bulk);
extern void te_cache_index_add(TeCache *cache, const TeStrategy *params, uint32 slot);
extern void te_cache_index_drop(TeCache *cache, const TeStrategy *params, uint32 slot);
extern void te_cache_index_settle(TeCache *cache);

#endif
