/*
 * cache.c - the lane's copy of committed rows, kept up to date by the change log.
 *
 * Every company has a memory context of its own, so that a change of one strategy
 * costs a reload of its company, not of the lane.  A refresh replaces companies and all
 * that belongs to them, between batches: nobody keeps a pointer to one from batch to batch.
 */
#include "postgres.h"

#include "engine/cache.h"
#include "engine/news.h"
#include "engine/query.h"
#include "sql/params.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

struct TeCache
{
	int lane, lane_count;
	TeNews changes; /* of trading.strategy_changes */
	bool loaded;
	bool index_stale;
	MemoryContext context;        /* everything below */
	MemoryContext tiers_context;  /* reset at each reload of the tiers */
	MemoryContext shared_context; /* instruments and producers */
	HTAB *tiers, *companies, *instruments, *producers, *symbols, *tallies;
	TeLaneRates *rates;
	TeStrategyIndex any;
	char *snapshot;
	int strategy_count;
};

typedef struct CachedTier
{
	char tier[TE_ID_SIZE];
	TeParamSet params;
} CachedTier;

typedef struct CachedInstrument
{
	char symbol[33];
	TeInstrument instrument;
} CachedInstrument;

static HTAB *string_table(TeCache *cache, const char *name, Size key_size, Size entry_size)
{
	HASHCTL control = {.keysize = key_size, .entrysize = entry_size, .hcxt = cache->context};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

TeCache *te_cache_create(int lane, int lane_count)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trading_engine strategy cache",
	                                              ALLOCSET_DEFAULT_SIZES);
	TeCache *cache = MemoryContextAllocZero(context, sizeof(TeCache));

	cache->lane = lane;
	cache->lane_count = lane_count;
	cache->context = context;
	cache->tiers_context = AllocSetContextCreate(context, "tiers", ALLOCSET_SMALL_SIZES);
	cache->shared_context = AllocSetContextCreate(context, "instruments", ALLOCSET_DEFAULT_SIZES);
	cache->tiers = string_table(cache, "tiers", TE_ID_SIZE, sizeof(CachedTier));
	cache->companies = string_table(cache, "companies", TE_ID_SIZE, sizeof(TeCachedCompany));
	cache->instruments = string_table(cache, "instruments", 33, sizeof(CachedInstrument));
	cache->producers = string_table(cache, "producers", sizeof(((TeCachedProducer *)0)->key),
	                                sizeof(TeCachedProducer));
	cache->symbols = string_table(cache, "symbols", 33, sizeof(TeStrategyIndex));
	cache->tallies = string_table(cache, "tallies", sizeof(((TeTally *)0)->key), sizeof(TeTally));

	cache->rates = te_lane_rates_create(context);
	te_news_watch(&cache->changes, "strategy_changes");
	return cache;
}

bool te_cache_stale(const TeCache *cache)
{
	return te_news_wait(&cache->changes) || !cache->loaded;
}

const char *te_cache_snapshot(const TeCache *cache)
{
	return cache->snapshot;
}

int te_cache_strategy_count(const TeCache *cache)
{
	return cache->strategy_count;
}

/*----------------------------------------------------------------------
 * Reading rows
 *----------------------------------------------------------------------*/

static void clear_table(HTAB *table)
{
	HASH_SEQ_STATUS scan;
	void *entry;

	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		(void)hash_search(table, entry, HASH_REMOVE, NULL); /* keys stand first */
}

static void read_tier(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	CachedTier *tier = hash_search(cache->tiers, te_row_text(row, "tier"), HASH_ENTER, NULL);
	MemoryContext old = MemoryContextSwitchTo(cache->tiers_context);

	te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params,
	                        &tier->params);
	MemoryContextSwitchTo(old);
}

static void read_instrument(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	CachedInstrument *c =
		hash_search(cache->instruments, te_row_text(row, "symbol"), HASH_ENTER, NULL);
	MemoryContext old = MemoryContextSwitchTo(cache->shared_context);

	c->instrument = (TeInstrument){
		.symbol = c->symbol,
		.base_currency = pstrdup(te_row_text(row, "base_currency")),
		.quote_currency = pstrdup(te_row_text(row, "quote_currency")),
		.pip_size = te_row_double(row, "pip_size"),
		.tick_size = te_row_double(row, "tick_size"),
		.contract_size = te_row_double(row, "contract_size"),
		.lot_min = te_row_double(row, "lot_min"),
		.lot_step = te_row_double(row, "lot_step"),
		.lot_max = te_row_double(row, "lot_max"),
		.min_stop_pips = te_row_double(row, "min_stop_pips"),
	};
	MemoryContextSwitchTo(old);
}

static void producer_key(char *key, Size size, const char *scope, const char *producer_id)
{
	snprintf(key, size, "%s/%s", scope, producer_id);
}

static void read_producer(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	TeCachedProducer *p;
	char key[sizeof(p->key)];
	bytea *token = te_row_bytes(row, "token_sha256");

	producer_key(key, sizeof(key), te_row_text(row, "company_id"), te_row_text(row, "producer_id"));
	p = hash_search(cache->producers, key, HASH_ENTER, NULL);
	p->has_token = token != NULL && VARSIZE_ANY_EXHDR(token) == sizeof(p->token_sha256);
	if (p->has_token)
		memcpy(p->token_sha256, VARDATA_ANY(token), sizeof(p->token_sha256));
}

/* While the rows of some companies are read: what is known of the one at hand. */
typedef struct CompanyReader
{
	TeCache *cache;
	TeCachedCompany *company;
	const CachedTier *tier;
	TeParamSet override;
	int capacity; /* room in the array that grows */
} CompanyReader;

static void read_company(TeRow *row, void *arg)
{
	CompanyReader *reader = arg;
	TeCache *cache = reader->cache;
	const char *id = te_row_text(row, "company_id");
	const char *channel = te_row_text(row, "channel");
	bool require_token = te_row_bool(row, "require_token");
	MemoryContext context = AllocSetContextCreate(cache->context, "company", ALLOCSET_SMALL_SIZES);
	bool found;
	TeCachedCompany *c = hash_search(cache->companies, id, HASH_ENTER, &found);

	/* Nothing can fail from here on: whatever is in the table can be dropped from it. */
	Assert(!found);
	c->context = context;
	c->require_token = require_token;
	strlcpy(c->channel, channel, sizeof(c->channel));
	c->notice = 0;
	c->user_count = c->strategy_count = 0;
	c->users = NULL;
	c->strategies = NULL;
}

/* The company of a row, which are read in the order of companies. */
static TeCachedCompany *company_of(CompanyReader *reader, TeRow *row)
{
	const char *id = te_row_text(row, "company_id");

	if (reader->company == NULL || strcmp(reader->company->company_id, id) != 0) {
		reader->company = hash_search(reader->cache->companies, id, HASH_FIND, NULL);
		reader->override.set = 0;
		reader->capacity = 0;
	}
	return reader->company;
}

static void read_user(TeRow *row, void *arg)
{
	CompanyReader *reader = arg;
	TeCachedCompany *c = company_of(reader, row);
	MemoryContext old = MemoryContextSwitchTo(c->context);

	if (c->user_count == reader->capacity) {
		reader->capacity = reader->capacity ? 2 * reader->capacity : 4;
		c->users = c->users ? repalloc(c->users, sizeof(char *) * reader->capacity)
		                    : palloc(sizeof(char *) * reader->capacity);
	}
	c->users[c->user_count++] = pstrdup(te_row_text(row, "user_id"));
	MemoryContextSwitchTo(old);
}

static TeTally *tally_of(TeCache *cache, const char *company, const char *user,
                         const char *strategy)
{
	TeTally *tally;
	char key[sizeof(tally->key)];
	bool found;

	snprintf(key, sizeof(key), "%s/%s/%s", company, user, strategy);
	tally = hash_search(cache->tallies, key, HASH_ENTER, &found);
	if (!found)
		memset((char *)tally + sizeof(tally->key), 0, sizeof(*tally) - sizeof(tally->key));
	return tally;
}

/* Merge the layers of a strategy; the symbols of an intersection live with the company. */
static void merge(const CompanyReader *reader, const TeParamSet *own, bool extra, TeStrategy *out)
{
	int room = Max(reader->tier->params.values.available_instruments.count,
	               Max(own->values.available_instruments.count,
	                   reader->override.values.available_instruments.count));
	const char **symbols = palloc(sizeof(char *) * Max(room, 1));

	te_strategy_merge(&reader->tier->params, own, &reader->override, extra, symbols, out, NULL);
}

static void read_account(TeCache *cache, TeRow *row, TeAccount *account)
{
	*account = (TeAccount){
		.currency = pstrdup(te_row_text(row, "account_currency")),
		.equity = te_row_double(row, "account_equity"),
		.open_positions = te_row_int(row, "account_open_positions"),
		.hit_rate = NAN,
		.position_size_multiplier = te_row_double(row, "account_multiplier"),
		.conversion_rate = te_row_double(row, "account_conversion_rate"),
	};
	if (!te_known(account->conversion_rate))
		te_lane_rates_want(cache->rates, account->currency);
}

static void read_strategy(TeRow *row, void *arg)
{
	CompanyReader *reader = arg;
	TeCachedCompany *c = company_of(reader, row);
	const char *user_id = te_row_text(row, "user_id");
	MemoryContext old = MemoryContextSwitchTo(c->context);
	TeCachedStrategy *s;
	TeParamSet own;

	reader->tier = hash_search(reader->cache->tiers, te_row_text(row, "tier"), HASH_FIND, NULL);
	te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params, &own);
	if (strcmp(user_id, "_all") == 0) {
		reader->override = own; /* sorts before the company's users: see the query */
		MemoryContextSwitchTo(old);
		return;
	}
	if (c->strategy_count == reader->capacity) {
		reader->capacity = reader->capacity ? 2 * reader->capacity : 2;
		c->strategies = c->strategies
		                    ? repalloc(c->strategies, sizeof(TeCachedStrategy) * reader->capacity)
		                    : palloc(sizeof(TeCachedStrategy) * reader->capacity);
	}
	s = &c->strategies[c->strategy_count++];
	s->company = c;
	s->user_id = pstrdup(user_id);
	s->strategy_id = pstrdup(te_row_text(row, "strategy_id"));
	s->version = te_row_int(row, "version");
	merge(reader, &own, te_row_bool(row, "extra"), &s->params);
	read_account(reader->cache, row, &s->account);
	s->rule = s->params.custom_rule ? te_rule_compile(s->params.custom_rule, c->context) : NULL;
	s->tally = tally_of(reader->cache, c->company_id, s->user_id, s->strategy_id);
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * Loading
 *----------------------------------------------------------------------*/

static void load_tiers(TeCache *cache)
{
	clear_table(cache->tiers);
	MemoryContextReset(cache->tiers_context);
	te_query_each("SELECT t.* FROM trading.tiers AS t", NULL, read_tier, cache);
}

static void load_shared(TeCache *cache)
{
	clear_table(cache->instruments);
	clear_table(cache->producers);
	MemoryContextReset(cache->shared_context);
	te_query_each("SELECT i.* FROM trading.instruments AS i", NULL, read_instrument, cache);
	te_query_each("SELECT p.company_id, p.producer_id, p.token_sha256"
	              "  FROM trading.producers AS p WHERE p.enabled",
	              NULL, read_producer, cache);
	te_lane_rates_load(cache->rates);
}

static void drop_company(TeCache *cache, TeCachedCompany *c)
{
	cache->strategy_count -= c->strategy_count;
	MemoryContextDelete(c->context);
	(void)hash_search(cache->companies, c->company_id, HASH_REMOVE, NULL);
}

/* Companies of this lane; $1 the lane, $2 the number of lanes, $3 NULL or the ids wanted. */
#define OF_THIS_LANE                                                                               \
	" WHERE trading.lane_of(c.company_id, $2) OPERATOR(pg_catalog.=) $1"                           \
	"   AND ($3 IS NULL OR c.company_id OPERATOR(pg_catalog.=) ANY ($3))"

/* Read the companies in "ids", or all of the lane when it is NULL. */
static void load_companies(TeCache *cache, ArrayType *ids)
{
	Oid types[] = {INT4OID, INT4OID, TEXTARRAYOID};
	Datum values[] = {Int32GetDatum(cache->lane), Int32GetDatum(cache->lane_count),
	                  PointerGetDatum(ids)};
	char nulls[] = {' ', ' ', ids ? ' ' : 'n', '\0'};
	TeQueryArgs args = {3, types, values, nulls};
	CompanyReader reader = {.cache = cache};
	HASH_SEQ_STATUS scan;
	TeCachedCompany *c;

	te_query_each("SELECT c.company_id, c.require_token,"
	              "       trading.channel_of(c.company_id) AS channel"
	              "  FROM trading.companies AS c" OF_THIS_LANE,
	              &args, read_company, &reader);
	te_query_each(
		"SELECT u.company_id, u.user_id"
		"  FROM trading.users AS u JOIN trading.companies AS c USING (company_id)" OF_THIS_LANE
		" ORDER BY u.company_id COLLATE \"C\", u.user_id COLLATE \"C\"",
		&args, read_user, &reader);
	reader = (CompanyReader){.cache = cache};
	te_query_each(
		"SELECT s.*, c.tier, a.currency AS account_currency,"
		"       a.equity AS account_equity, a.open_positions AS account_open_positions,"
		"       a.position_size_multiplier AS account_multiplier,"
		"       a.conversion_rate AS account_conversion_rate,"
		"       EXISTS (SELECT FROM trading.strategies AS f"
		"                WHERE f.company_id OPERATOR(pg_catalog.=) s.company_id"
		"                  AND f.user_id OPERATOR(pg_catalog.=) s.user_id"
		"                  AND (f.created_at, f.strategy_id COLLATE \"C\")"
		"                      OPERATOR(pg_catalog.<) (s.created_at, s.strategy_id COLLATE \"C\"))"
		"         AS extra"
		"  FROM trading.strategies AS s JOIN trading.companies AS c USING (company_id)"
		"  LEFT JOIN trading.accounts AS a USING (company_id, user_id, account_id)" OF_THIS_LANE
		"   AND (a.account_id IS NOT NULL OR s.user_id OPERATOR(pg_catalog.=) '_all')"
		" ORDER BY s.company_id COLLATE \"C\","
		"          s.user_id OPERATOR(pg_catalog.<>) '_all',"
		"          s.user_id COLLATE \"C\", s.strategy_id COLLATE \"C\"",
		&args, read_strategy, &reader);

	cache->strategy_count = 0;
	hash_seq_init(&scan, cache->companies);
	while ((c = hash_seq_search(&scan)) != NULL)
		cache->strategy_count += c->strategy_count;
	cache->index_stale = true;
}

static void load_all(TeCache *cache)
{
	HASH_SEQ_STATUS scan;
	TeCachedCompany *c;

	hash_seq_init(&scan, cache->companies);
	while ((c = hash_seq_search(&scan)) != NULL)
		drop_company(cache, c);
	te_lane_rates_forget(cache->rates);
	load_tiers(cache);
	load_shared(cache);
	load_companies(cache, NULL);
}

/* What the log says has changed since the previous snapshot. */
typedef struct Changes
{
	bool everything, shared;
	MemoryContext context; /* of the array */
	ArrayBuildState *companies;
} Changes;

static void read_change(TeRow *row, void *arg)
{
	Changes *changes = arg;
	const char *kind = te_row_text(row, "kind");
	const char *company_id = te_row_text(row, "company_id");

	if (strcmp(kind, "instrument") == 0 || strcmp(kind, "producer") == 0 ||
	    strcmp(kind, "rate") == 0)
		changes->shared = true;
	else if (company_id == NULL)
		changes->everything = true;
	else
		changes->companies = accumArrayResult(changes->companies, CStringGetTextDatum(company_id),
		                                      false, TEXTOID, changes->context);
}

static void apply_changes(TeCache *cache, const Changes *changes)
{
	ArrayType *ids;
	Datum *elements;
	int n;

	if (changes->everything) {
		load_all(cache);
		return;
	}
	if (changes->shared)
		load_shared(cache);
	if (changes->companies == NULL)
		return;
	ids = DatumGetArrayTypeP(makeArrayResult(changes->companies, CurrentMemoryContext));
	deconstruct_array(ids, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++) {
		TeCachedCompany *c = te_cache_company(cache, TextDatumGetCString(elements[i]));

		if (c != NULL)
			drop_company(cache, c);
	}
	load_companies(cache, ids);
}

/*----------------------------------------------------------------------
 * The index
 *----------------------------------------------------------------------*/

static void index_add(TeCache *cache, TeStrategyIndex *index, TeCachedStrategy *strategy)
{
	if (index->count == index->capacity) {
		int capacity = index->capacity ? 2 * index->capacity : 8;

		index->entries = index->entries
		                     ? repalloc_huge(index->entries, sizeof(TeIndexEntry) * capacity)
		                     : MemoryContextAlloc(cache->context, sizeof(TeIndexEntry) * capacity);
		index->capacity = capacity;
	}
	index->entries[index->count++] =
		(TeIndexEntry){strategy->params.min_confidence_threshold, strategy};
}

static int compare_entries(const void *left, const void *right)
{
	const TeIndexEntry *a = left, *b = right;
	int order;

	if (a->threshold != b->threshold)
		return a->threshold < b->threshold ? -1 : 1;
	if ((order = strcmp(a->strategy->company->company_id, b->strategy->company->company_id)) != 0 ||
	    (order = strcmp(a->strategy->user_id, b->strategy->user_id)) != 0)
		return order;
	return strcmp(a->strategy->strategy_id, b->strategy->strategy_id);
}

static TeStrategyIndex *index_of(TeCache *cache, const char *symbol)
{
	bool found;
	TeStrategyIndex *index = hash_search(cache->symbols, symbol, HASH_ENTER, &found);

	if (!found) {
		index->count = index->capacity = 0;
		index->entries = NULL;
	}
	return index;
}

static void index_strategy(TeCache *cache, TeCachedStrategy *s)
{
	const TeSymbols *symbols = &s->params.available_instruments;

	if (symbols->any)
		index_add(cache, &cache->any, s);
	else
		for (int i = 0; i < symbols->count; i++)
			index_add(cache, index_of(cache, symbols->symbols[i]), s);
}

static void rebuild_index(TeCache *cache)
{
	HASH_SEQ_STATUS scan;
	TeStrategyIndex *index;
	TeCachedCompany *c;

	cache->any.count = 0;
	hash_seq_init(&scan, cache->symbols);
	while ((index = hash_seq_search(&scan)) != NULL)
		index->count = 0;
	hash_seq_init(&scan, cache->companies);
	while ((c = hash_seq_search(&scan)) != NULL)
		for (int i = 0; i < c->strategy_count; i++)
			index_strategy(cache, &c->strategies[i]);

	qsort(cache->any.entries, cache->any.count, sizeof(TeIndexEntry), compare_entries);
	hash_seq_init(&scan, cache->symbols);
	while ((index = hash_seq_search(&scan)) != NULL)
		qsort(index->entries, index->count, sizeof(TeIndexEntry), compare_entries);
	cache->index_stale = false;
}

/*----------------------------------------------------------------------
 * Refresh and look-ups
 *----------------------------------------------------------------------*/

void te_cache_heed(TeCache *cache)
{
	te_news_heed(&cache->changes);
}

void te_cache_refresh(TeCache *cache)
{
	char *snapshot = te_query_snapshot();
	bool was_loaded = cache->loaded;

	cache->loaded = false;
	if (!was_loaded)
		load_all(cache);
	else {
		Oid types[] = {TEXTOID, INT8OID};
		Datum values[] = {CStringGetTextDatum(cache->snapshot),
		                  Int64GetDatum((int64)GetSystemIdentifier())};
		TeQueryArgs args = {2, types, values, NULL};
		Changes changes = {.context = CurrentMemoryContext};

		te_query_each(
			"SELECT c.kind, c.company_id FROM trading.strategy_changes AS c"
			" WHERE c.system_identifier OPERATOR(pg_catalog.=) $2"
			"   AND c.xid OPERATOR(pg_catalog.>=)"
			"       pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)"
			"   AND NOT pg_catalog.pg_visible_in_snapshot(c.xid, $1::pg_catalog.pg_snapshot)",
			&args, read_change, &changes);
		apply_changes(cache, &changes);
	}
	if (cache->index_stale)
		rebuild_index(cache);
	snapshot = MemoryContextStrdup(cache->context, snapshot);
	if (cache->snapshot != NULL)
		pfree(cache->snapshot);
	cache->snapshot = snapshot;
	cache->loaded = true;
	te_news_note_read(&cache->changes);
}

const TeInstrument *te_cache_instrument(const TeCache *cache, const char *symbol)
{
	CachedInstrument *c = hash_search(cache->instruments, symbol, HASH_FIND, NULL);

	return c ? &c->instrument : NULL;
}

TeLaneRates *te_cache_rates(const TeCache *cache)
{
	return cache->rates;
}

TeCachedCompany *te_cache_company(const TeCache *cache, const char *company_id)
{
	return hash_search(cache->companies, company_id, HASH_FIND, NULL);
}

static int compare_ids(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

bool te_cache_has_user(const TeCachedCompany *company, const char *user_id)
{
	return bsearch(&user_id, company->users, company->user_count, sizeof(char *), compare_ids) !=
	       NULL;
}

const TeCachedProducer *te_cache_producer(const TeCache *cache, const char *scope,
                                          const char *producer_id)
{
	char key[sizeof(((TeCachedProducer *)0)->key)];

	producer_key(key, sizeof(key), scope, producer_id);
	return hash_search(cache->producers, key, HASH_FIND, NULL);
}

const TeStrategyIndex *te_cache_symbol(const TeCache *cache, const char *symbol)
{
	return hash_search(cache->symbols, symbol, HASH_FIND, NULL);
}

const TeStrategyIndex *te_cache_any(const TeCache *cache)
{
	return &cache->any;
}

void te_cache_tallies(TeCache *cache, void (*visit)(TeTally *tally, void *arg), void *arg)
{
	HASH_SEQ_STATUS scan;
	TeTally *tally;

	hash_seq_init(&scan, cache->tallies);
	while ((tally = hash_seq_search(&scan)) != NULL)
		if (tally->dirty)
			visit(tally, arg);
}
