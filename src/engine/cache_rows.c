/*
 * cache_rows.c - rows to records, into what is staged.
 *
 * The rows come from the tables or, for a replay, from the log as of a snapshot: the queries are
 * the same, only the source of the rows differs.
 */
#include "postgres.h"

#include "core/pack.h"
#include "engine/cache_private.h"
#include "engine/query.h"
#include "sql/check_strategy.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/*----------------------------------------------------------------------
 * Queries
 *----------------------------------------------------------------------*/

/* Kinds of rows, as the log calls them, and their tables. */
typedef struct RowKind
{
	const char *kind, *table;
	bool follows_snapshot; /* also in SOURCE_CURRENT */
} RowKind;

static const RowKind tier_rows = {"tier", "trading.tiers", false};
static const RowKind company_rows = {"company", "trading.companies", false};
static const RowKind user_rows = {"user", "trading.users", false};
static const RowKind strategy_rows = {"strategy", "trading.strategies", false};
static const RowKind account_rows = {"account", "trading.accounts", true};
static const RowKind instrument_rows = {"instrument", "trading.instruments", true};
static const RowKind weight_rows = {"model_weight", "trading.model_weights", true};
static const RowKind producer_rows = {"producer", "trading.producers", false};

/* Parameters of every query. */
enum {
	PARAM_LANE,     /* $1 */
	PARAM_LANES,    /* $2 */
	PARAM_KEYS,     /* $3: companies, tiers, symbols; NULL: all */
	PARAM_USERS,    /* $4: with $3, pair by pair */
	PARAM_SNAPSHOT, /* $5 */
	PARAM_SYSTEM,   /* $6 */
	PARAM_COMPANY,  /* $7: of the scope, or NULL */
	PARAM_USER,     /* $8 */
	PARAM_COUNT
};

#define OF_SCOPE                                                                                   \
	" WHERE ($1 OPERATOR(pg_catalog.<) 0"                                                          \
	"        OR trading.lane_of(x.company_id, $2) OPERATOR(pg_catalog.=) $1)"                      \
	"   AND ($7 IS NULL OR x.company_id OPERATOR(pg_catalog.=) $7)"
#define OF_USER " AND ($8 IS NULL OR x.user_id OPERATOR(pg_catalog.=) $8)"
#define OF_COMPANIES " AND ($3 IS NULL OR x.company_id OPERATOR(pg_catalog.=) ANY ($3))"
#define WITH_KEYS(column) " WHERE ($3 IS NULL OR x." column " OPERATOR(pg_catalog.=) ANY ($3))"
#define OF_PAIRS                                                                                   \
	" JOIN ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) AS k (company_id, user_id)"    \
	"   ON x.company_id OPERATOR(pg_catalog.=) k.company_id"                                       \
	"  AND x.user_id OPERATOR(pg_catalog.=) k.user_id"

typedef struct Keys
{
	ArrayType *keys, *users;
} Keys;

/*
 * Rows that are asked for by key are found by an index, whatever the statistics of a table say that
 * has just been filled.  To be undone by AtEOXact_GUC.
 */
static int prefer_indexes(void)
{
	static const char *const settings[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin"};
	int level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(settings); i++)
		(void)set_config_option(settings[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
		                        true, 0, false);
	return level;
}

/* Rows of a kind from the tables, or from the log where "from_log". */
static void query(TeCache *cache, const RowKind *rows, bool from_log, const char *columns,
                  const char *conditions, const Keys *keys, TeRowReader read, void *arg)
{
	Oid types[PARAM_COUNT] = {INT4OID, INT4OID, TEXTARRAYOID, TEXTARRAYOID,
	                          TEXTOID, INT8OID, TEXTOID,      TEXTOID};
	Datum values[PARAM_COUNT] = {0};
	char nulls[PARAM_COUNT + 1] = "        ";
	TeQueryArgs args = {PARAM_COUNT, types, values, nulls};
	const TeCacheScope *scope = &cache->scope;
	bool by_company = rows != &tier_rows && rows != &instrument_rows && rows != &weight_rows;
	StringInfoData sql;
	int level = 0;

	values[PARAM_LANE] = Int32GetDatum(scope->lane);
	values[PARAM_LANES] = Int32GetDatum(Max(scope->lane_count, 1));
	values[PARAM_KEYS] = PointerGetDatum(keys->keys);
	values[PARAM_USERS] = PointerGetDatum(keys->users);
	values[PARAM_SYSTEM] = Int64GetDatum(cache->at_system);
	if (cache->at_snapshot != NULL)
		values[PARAM_SNAPSHOT] = CStringGetTextDatum(cache->at_snapshot);
	if (scope->company != NULL)
		values[PARAM_COMPANY] = CStringGetTextDatum(scope->company);
	if (scope->user != NULL)
		values[PARAM_USER] = CStringGetTextDatum(scope->user);
	for (int i = PARAM_KEYS; i < PARAM_COUNT; i++)
		if (i != PARAM_SYSTEM && values[i] == (Datum)0)
			nulls[i] = 'n';

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM ", columns);
	if (from_log)
		appendStringInfo(
			&sql,
			"trading.rows_at('%s', $5::pg_catalog.pg_snapshot, $6, %s) AS h (row_data)"
			" CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::%s, h.row_data) AS x",
			rows->kind,
			!by_company              ? "NULL"
			: keys->keys != NULL     ? "$3"
			: scope->company != NULL ? "ARRAY[$7]"
									 : "NULL",
			rows->table);
	else
		appendStringInfo(&sql, "%s AS x", rows->table);
	appendStringInfoString(&sql, conditions);
	if (keys->keys != NULL)
		level = prefer_indexes();
	te_query_each(sql.data, &args, read, arg);
	if (keys->keys != NULL)
		AtEOXact_GUC(true, level);
	pfree(sql.data);
}

/* Where the current rows stand in for those that a snapshot hasn't got, the latter come last. */
static void read_rows(TeCache *cache, const RowKind *rows, const char *columns,
                      const char *conditions, const Keys *keys, TeRowReader read, void *arg)
{
	bool from_log =
		cache->source == SOURCE_LOG || (cache->source == SOURCE_CURRENT && rows->follows_snapshot);

	if (cache->source != SOURCE_LOG)
		query(cache, rows, false, columns, conditions, keys, read, arg);
	if (from_log && cache->at_snapshot != NULL)
		query(cache, rows, true, columns, conditions, keys, read, arg);
}

/*----------------------------------------------------------------------
 * Tiers and companies
 *----------------------------------------------------------------------*/

static void read_tier(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	StagedTier *staged =
		hash_search(cache->pending->staged_tiers, te_row_text(row, "tier"), HASH_ENTER, NULL);
	TeParamSet params;

	te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params, &params);
	staged->tier = te_cache_make_tier(cache, staged->name, &params);
	staged->tier->rank = (int)te_row_int(row, "rank");
}

void te_cache_read_tiers(TeCache *cache, ArrayType *names)
{
	Keys keys = {.keys = names};

	read_rows(cache, &tier_rows, "x.*", WITH_KEYS("tier"), &keys, read_tier, cache);
}

static void read_company(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	StagedCompany *staged = hash_search(cache->pending->staged_companies,
	                                    te_row_text(row, "company_id"), HASH_ENTER, NULL);
	const char *tier = te_row_text(row, "tier");

	staged->exists = true;
	staged->require_token = te_row_bool(row, "require_token");
	staged->override = NULL;
	staged->tier = te_cache_tier(cache, tier);
	if (staged->tier == NULL)
		elog(ERROR, "company \"%s\" has the unknown tier \"%s\"", staged->company_id, tier);
}

static void read_override(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	StagedCompany *staged = te_cache_staged_company(cache, te_row_text(row, "company_id"));
	TeParamSet params;

	if (staged == NULL || !staged->exists)
		return;
	te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params, &params);
	if (params.set != 0)
		staged->override = te_cache_pack(cache, &params);
}

void te_cache_read_companies(TeCache *cache, ArrayType *companies)
{
	Keys keys = {.keys = companies};

	read_rows(cache, &company_rows, "x.company_id, x.tier, x.require_token", OF_SCOPE OF_COMPANIES,
	          &keys, read_company, cache);
	read_rows(cache, &strategy_rows, "x.*",
	          OF_SCOPE OF_COMPANIES " AND x.user_id OPERATOR(pg_catalog.=) '_all'", &keys,
	          read_override, cache);
}

/*----------------------------------------------------------------------
 * Users and what belongs to them
 *----------------------------------------------------------------------*/

/* Rows come company by company, user by user: what is known of those at hand. */
typedef struct UserReader
{
	TeCache *cache;
	char company_id[TE_ID_SIZE], user_id[TE_ID_SIZE];
	CacheUser *user; /* NULL: not wanted */
	const CacheTier *tier;
	TeParamSet override;
	bool extra; /* an earlier strategy of the user has been read */
	bool whole; /* it is read as a whole: every user is wanted */
} UserReader;

/* The tier and the company's row that its users' strategies are merged with. */
static void turn_to_company(UserReader *reader, const char *company_id)
{
	TeCache *cache = reader->cache;
	const StagedCompany *staged = te_cache_staged_company(cache, company_id);
	const TeCachedCompany *cached = te_cache_company(cache, company_id);
	const uint8 *override;

	strlcpy(reader->company_id, company_id, sizeof(reader->company_id));
	reader->user_id[0] = '\0';
	reader->tier = NULL;
	reader->override.set = 0;
	if (staged == NULL && cached == NULL)
		return;
	if (staged != NULL && !staged->exists)
		return;
	reader->tier = staged != NULL ? staged->tier : cached->tier;
	override = staged != NULL ? staged->override : cached->override;
	if (override == NULL)
		return;
	reader->override.set = te_params_packed_mask(override);
	te_params_overlay(override, &reader->override.values);
}

/* Turn to the row's user; false when it isn't wanted. */
static bool turn_to_user(UserReader *reader, TeRow *row)
{
	const char *company_id = te_row_text(row, "company_id");
	const char *user_id = te_row_text(row, "user_id");

	if (strcmp(company_id, reader->company_id) != 0)
		turn_to_company(reader, company_id);
	if (strcmp(user_id, reader->user_id) != 0) {
		StagedUser *staged = te_cache_staged_user(reader->cache, company_id, user_id);

		strlcpy(reader->user_id, user_id, sizeof(reader->user_id));
		reader->extra = false;
		reader->user = staged != NULL ? staged->user : NULL;
	}
	return reader->user != NULL && reader->tier != NULL;
}

static void read_user(TeRow *row, void *arg)
{
	UserReader *reader = arg;
	TeCache *cache = reader->cache;
	const char *company_id = te_row_text(row, "company_id");
	const char *user_id = te_row_text(row, "user_id");
	StagedUser *staged = reader->whole ? te_cache_stage_user(cache, company_id, user_id, false)
	                                   : te_cache_staged_user(cache, company_id, user_id);

	if (staged != NULL && staged->user == NULL)
		staged->user = te_cache_make_user(cache, user_id);
}

static void read_account(TeRow *row, void *arg)
{
	UserReader *reader = arg;
	const char *account_id = te_row_text(row, "account_id");
	CacheAccount *known;
	TeAccount account = {
		.currency = te_row_text(row, "currency"),
		.equity = te_row_double(row, "equity"),
		.open_positions = te_row_int(row, "open_positions"),
		.hit_rate = NAN,
		.position_size_multiplier = te_row_double(row, "position_size_multiplier"),
		.conversion_rate = te_row_double(row, "conversion_rate"),
	};

	if (!turn_to_user(reader, row))
		return;
	if (reader->cache->source == SOURCE_TABLES && !te_known(account.conversion_rate))
		te_lane_rates_want(reader->cache->rates, account.currency);
	known = te_cache_find_account(reader->user, account_id);
	if (known != NULL) /* a current one, which the snapshot's replaces */
		te_cache_remove_account(reader->user, known);
	(void)te_cache_add_account(reader->cache, reader->user, account_id, &account);
}

static void merge(UserReader *reader, const TeParamSet *own, TeStrategy *out)
{
	int room = Max(reader->tier->params.values.available_instruments.count,
	               Max(own->values.available_instruments.count,
	                   reader->override.values.available_instruments.count));
	const char **symbols = palloc(sizeof(char *) * Max(room, 1));

	te_strategy_merge(&reader->tier->params, own, &reader->override, reader->extra, symbols, out,
	                  NULL);
}

/* "PRO, ENTERPRISE": the tiers that allow one parameter's value, by rank. */
static const char *tiers_that_allow(TeCache *cache, const TeParamSet *own, int p)
{
	TeParamSet one = {.set = TE_PARAM_BIT(p), .values = own->values};
	List *tiers = te_cache_tiers(cache);
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, tiers) {
		const CacheTier *tier = lfirst(cell);

		if (te_strategy_beyond_tier(&tier->params, &one) < 0)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", tier->name);
	}
	return names.len > 0 ? names.data : "none";
}

/* The user's own row as the variant's UPDATE would leave it. */
static void vary(UserReader *reader, const TeVariant *variant, const TeParamSet *own,
                 TeParamSet *out)
{
	int p;

	*out = *own;
	out->set &= ~variant->unset;
	for (uint64 mask = variant->set.set; mask != 0; mask &= mask - 1)
		te_params_take(out, (TeParam)__builtin_ctzll(mask), &variant->set.values);
	te_check_own_params(out);
	p = te_strategy_beyond_tier(&reader->tier->params, out);
	if (p >= 0)
		te_refuse_beyond_tier(reader->tier->name, &reader->tier->params, out, p,
		                      tiers_that_allow(reader->cache, out, p));
}

/* A version of before there were such columns has none of them. */
static TeStrategyResults read_results(TeRow *row)
{
	double multiplier = te_row_double(row, "position_size_multiplier");

	return (TeStrategyResults){
		.hit_rate = te_row_double(row, "hit_rate"),
		.position_size_multiplier = te_known(multiplier) ? multiplier : 1,
		.follow_model_accuracy = te_row_bool(row, "follow_model_accuracy"),
	};
}

static void read_strategy(TeRow *row, void *arg)
{
	UserReader *reader = arg;
	TeCache *cache = reader->cache;
	const char *strategy_id, *wanted = cache->scope.strategy;
	CacheAccount *account;
	TeParamSet own;
	int64 version;

	if (!turn_to_user(reader, row))
		return;
	strategy_id = te_row_text(row, "strategy_id");
	account = te_cache_find_account(reader->user, te_row_text(row, "account_id"));
	if (account != NULL && (wanted == NULL || strcmp(strategy_id, wanted) == 0)) {
		TeStrategyResults results = read_results(row);

		version = te_row_int(row, "version");
		te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params, &own);
		for (int i = 0; i < Max(1, cache->scope.variant_count); i++) {
			TeParamSet varied = own;
			TeStrategy effective;

			if (cache->scope.variant_count > 0)
				vary(reader, &cache->scope.variants[i], &own, &varied);
			merge(reader, &varied, &effective);
			te_cache_add_strategy(cache, reader->user, reader->tier, strategy_id, i, version,
			                      account, &results, &effective);
		}
	}
	reader->extra = true;
}

#define ACCOUNT_COLUMNS                                                                            \
	"x.company_id, x.user_id, x.account_id, x.currency, x.equity, x.open_positions,"               \
	" x.position_size_multiplier, x.conversion_rate"
#define BY_USER " ORDER BY x.company_id, x.user_id"
/* A user's first strategy is told from the others by the order. */
#define BY_STRATEGY BY_USER ", x.created_at, x.strategy_id COLLATE \"C\""

/* Read what belongs to users, who are staged already, or all where keys are NULL. */
static void read_users(TeCache *cache, const Keys *keys)
{
	UserReader reader = {.cache = cache, .whole = keys->keys == NULL};
	const char *which = reader.whole ? OF_SCOPE OF_USER : OF_PAIRS " WHERE true";

	read_rows(cache, &user_rows, "x.company_id, x.user_id", psprintf("%s" BY_USER, which), keys,
	          read_user, &reader);
	read_rows(cache, &account_rows, ACCOUNT_COLUMNS, psprintf("%s" BY_USER, which), keys,
	          read_account, &reader);
	reader.company_id[0] = '\0';
	read_rows(cache, &strategy_rows, "x.*",
	          psprintf("%s AND x.user_id OPERATOR(pg_catalog.<>) '_all'" BY_STRATEGY, which), keys,
	          read_strategy, &reader);
}

void te_cache_read_users(TeCache *cache, ArrayType *companies, ArrayType *users)
{
	Keys keys = {companies, users};

	read_users(cache, &keys);
}

/* Accounts alone, of users that are staged so. */
void te_cache_read_accounts(TeCache *cache, ArrayType *companies, ArrayType *users)
{
	UserReader reader = {.cache = cache};
	Keys keys = {companies, users};

	read_rows(cache, &account_rows, ACCOUNT_COLUMNS, OF_PAIRS BY_USER, &keys, read_account,
	          &reader);
}

/*----------------------------------------------------------------------
 * Instruments and producers
 *----------------------------------------------------------------------*/

static CacheInstrument *stage_instrument(TeCache *cache, const char *symbol)
{
	CachePending *p = cache->pending;
	MemoryContext old = MemoryContextSwitchTo(p->context);
	CacheInstrument *c = palloc0(sizeof(CacheInstrument));

	strlcpy(c->symbol, symbol, sizeof(c->symbol));
	p->staged_instruments = lappend(p->staged_instruments, c);
	MemoryContextSwitchTo(old);
	return c;
}

static void read_instrument(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	CacheInstrument *c = stage_instrument(cache, te_row_text(row, "symbol"));

	c->margin_rate = te_row_double(row, "margin_rate");
	c->instrument = (TeInstrument){
		.symbol = c->symbol,
		.base_currency = MemoryContextStrdup(cache->data, te_row_text(row, "base_currency")),
		.quote_currency = MemoryContextStrdup(cache->data, te_row_text(row, "quote_currency")),
		.pip_size = te_row_double(row, "pip_size"),
		.tick_size = te_row_double(row, "tick_size"),
		.contract_size = te_row_double(row, "contract_size"),
		.lot_min = te_row_double(row, "lot_min"),
		.lot_step = te_row_double(row, "lot_step"),
		.lot_max = te_row_double(row, "lot_max"),
		.min_stop_pips = te_row_double(row, "min_stop_pips"),
	};
}

/* A symbol that is asked for and not there is staged as gone, before its row. */
void te_cache_read_instruments(TeCache *cache, ArrayType *symbols)
{
	Keys keys = {.keys = symbols};

	if (symbols != NULL) {
		Datum *elements;
		int n;

		deconstruct_array(symbols, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
		for (int i = 0; i < n; i++)
			(void)stage_instrument(cache, TextDatumGetCString(elements[i]));
	}
	read_rows(cache, &instrument_rows, "x.*", WITH_KEYS("symbol"), &keys, read_instrument, cache);
}

static StagedProducer *stage_producer(TeCache *cache, const char *scope, const char *producer_id)
{
	CachePending *p = cache->pending;
	MemoryContext old = MemoryContextSwitchTo(p->context);
	StagedProducer *s = palloc0(sizeof(StagedProducer));

	snprintf(s->producer.key, sizeof(s->producer.key), "%s/%s", scope, producer_id);
	p->staged_producers = lappend(p->staged_producers, s);
	MemoryContextSwitchTo(old);
	return s;
}

static void read_producer(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	StagedProducer *s =
		stage_producer(cache, te_row_text(row, "company_id"), te_row_text(row, "producer_id"));
	bytea *token = te_row_bytes(row, "token_sha256");

	s->exists = true;
	s->producer.halts = strcmp(te_row_text(row, "on_gap"), "halt") == 0;
	s->producer.has_token =
		token != NULL && VARSIZE_ANY_EXHDR(token) == sizeof(s->producer.token_sha256);
	if (s->producer.has_token)
		memcpy(s->producer.token_sha256, VARDATA_ANY(token), sizeof(s->producer.token_sha256));
}

/* Pairs of scope and producer; NULL: all.  A replay asks no producer for its token. */
void te_cache_read_producers(TeCache *cache, ArrayType *scopes, ArrayType *producers)
{
	Keys keys = {scopes, producers};

	if (cache->source != SOURCE_TABLES)
		return;
	if (scopes != NULL) {
		Datum *scope, *producer;
		int n;

		deconstruct_array(scopes, TEXTOID, -1, false, TYPALIGN_INT, &scope, NULL, &n);
		deconstruct_array(producers, TEXTOID, -1, false, TYPALIGN_INT, &producer, NULL, &n);
		for (int i = 0; i < n; i++)
			(void)stage_producer(cache, TextDatumGetCString(scope[i]),
			                     TextDatumGetCString(producer[i]));
	}
	read_rows(cache, &producer_rows, "x.company_id, x.producer_id, x.token_sha256, x.on_gap",
	          scopes == NULL
	              ? " WHERE x.enabled"
	              : " JOIN ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4))"
	                "        AS k (company_id, producer_id)"
	                "   ON x.company_id OPERATOR(pg_catalog.=) k.company_id"
	                "  AND x.producer_id OPERATOR(pg_catalog.=) k.producer_id WHERE x.enabled",
	          &keys, read_producer, cache);
}

/* All weights of the scope, and those for everybody. */
void te_cache_query_weights(TeCache *cache, TeRowReader read, void *arg)
{
	Keys all = {0};

	read_rows(cache, &weight_rows, "x.company_id, x.model_id, x.symbol, x.factor",
	          " WHERE x.company_id OPERATOR(pg_catalog.=) '_all' OR ("
	          "($1 OPERATOR(pg_catalog.<) 0"
	          "  OR trading.lane_of(x.company_id, $2) OPERATOR(pg_catalog.=) $1)"
	          " AND ($7 IS NULL OR x.company_id OPERATOR(pg_catalog.=) $7))",
	          &all, read, arg);
}

void te_cache_read_everything(TeCache *cache)
{
	Keys all = {0};

	te_cache_read_tiers(cache, NULL);
	te_cache_read_companies(cache, NULL);
	read_users(cache, &all);
	te_cache_read_instruments(cache, NULL);
	te_cache_read_producers(cache, NULL, NULL);
	te_cache_read_weights(cache);
	if (cache->source != SOURCE_TABLES)
		return;
	te_lane_rates_load(cache->rates);
	te_policy_rows_note_all(cache->policy);
	te_policy_rows_read(cache->policy);
}
