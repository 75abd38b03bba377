/*
 * cache_refresh.c - from one snapshot to another.
 *
 * The log tells which rows differ between the two; what belongs to them is read again and
 * staged, and then takes the place of what is there.
 *
 * A lane reads in slices.  A slice is a transaction: first the log, a page of it at a time, then
 * as much as it may of what the log names.  What is staged is as of the slice's snapshot, and
 * what changes after that is named by the log again.  So when the log is read to its end and
 * nothing is left to be read, what is staged and what is cached are together as of the slice's
 * snapshot, and only then it is applied.  Few changes are a single slice.
 */
#include "postgres.h"

#include "core/pack.h"
#include "engine/cache_private.h"
#include "engine/query.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* What a slice reads at most: rows of the log, users or companies. */
#define LOG_PAGE 5000
#define SLICE_UNITS 500

/* Replaced users that a slice frees. */
#define GARBAGE_PAGE 2000

/*----------------------------------------------------------------------
 * What has to be read
 *----------------------------------------------------------------------*/

/* A row of the log. */
static void read_change(TeRow *row, void *arg)
{
	TeCache *cache = arg;
	CachePending *p = cache->pending;
	const char *kind = te_row_text(row, "kind");
	const char *company_id = te_row_text(row, "company_id");
	const char *user_id = te_row_text(row, "user_id");
	const char *item = te_row_text(row, "item");
	bool current = cache->source == SOURCE_CURRENT;

	if (cache->source == SOURCE_TABLES)
		te_policy_rows_note(cache->policy, kind, company_id);
	if (strcmp(kind, "account") == 0)
		te_cache_mark_user(cache, company_id, user_id, true);
	else if (strcmp(kind, "instrument") == 0)
		(void)hash_search(p->instruments, item, HASH_ENTER, NULL);
	else if (strcmp(kind, "rate") == 0)
		p->rates = true;
	else if (strcmp(kind, "model_weight") == 0)
		p->weights_wanted = true;
	else if (current)
		return; /* the rest is as this transaction sees it */
	else if (strcmp(kind, "strategy") == 0 && strcmp(user_id, "_all") != 0)
		te_cache_mark_user(cache, company_id, user_id, false);
	else if (strcmp(kind, "user") == 0)
		te_cache_mark_user(cache, company_id, user_id, false);
	else if (strcmp(kind, "company") == 0 || strcmp(kind, "strategy") == 0)
		te_cache_mark_company(cache, company_id);
	else if (strcmp(kind, "tier") == 0)
		(void)hash_search(p->tiers, item, HASH_ENTER, NULL);
	else if (strcmp(kind, "producer") == 0) {
		char key[TE_PRODUCER_KEY_SIZE];

		snprintf(key, sizeof(key), "%s/%s", company_id, item);
		(void)hash_search(p->producers, key, HASH_ENTER, NULL);
	} else if (strcmp(kind, "all") == 0)
		p->everything = true;
}

/*----------------------------------------------------------------------
 * Reading it
 *----------------------------------------------------------------------*/

/* Up to "limit" keys of a table, which are taken out of it; NULL when there is none. */
static ArrayType *take_keys(HTAB *table, int limit)
{
	HASH_SEQ_STATUS scan;
	const char *key;
	Datum *keys;
	int n = 0;

	limit = (int)Min(limit, hash_get_num_entries(table));
	if (limit == 0)
		return NULL;
	keys = palloc(sizeof(Datum) * limit);
	hash_seq_init(&scan, table);
	while (n < limit && (key = hash_seq_search(&scan)) != NULL) {
		keys[n++] = CStringGetTextDatum(key);
		(void)hash_search(table, key, HASH_REMOVE, NULL);
	}
	if (n == limit)
		hash_seq_term(&scan);
	return construct_array(keys, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* Keys that are two ids with a separator between them, as two arrays. */
typedef struct Pairs
{
	ArrayBuildState *left, *right;
} Pairs;

static void add_pair(Pairs *pairs, const char *left, Size left_length, const char *right)
{
	pairs->left =
		accumArrayResult(pairs->left, PointerGetDatum(cstring_to_text_with_len(left, left_length)),
	                     false, TEXTOID, CurrentMemoryContext);
	pairs->right = accumArrayResult(pairs->right, CStringGetTextDatum(right), false, TEXTOID,
	                                CurrentMemoryContext);
}

static ArrayType *array_of(ArrayBuildState *state)
{
	return DatumGetArrayTypeP(makeArrayResult(state, CurrentMemoryContext));
}

/* Companies of the tiers at hand are read again. */
static void read_tiers(TeCache *cache)
{
	ArrayType *names = take_keys(cache->pending->tiers, PG_INT32_MAX);
	HASH_SEQ_STATUS scan;
	CompanyEntry *entry;
	StagedCompany *company;
	StagedTier *staged;
	Datum *elements;
	int n;

	if (names == NULL)
		return;
	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++) {
		const char *name = TextDatumGetCString(elements[i]);
		bool found;

		hash_seq_init(&scan, cache->pending->staged_companies);
		while ((company = hash_seq_search(&scan)) != NULL)
			if (company->exists && company->tier != NULL &&
			    strcmp(company->tier->name, name) == 0) {
				company->tier = NULL; /* until it is read again */
				te_cache_mark_company(cache, company->company_id);
			}
		staged = hash_search(cache->pending->staged_tiers, name, HASH_ENTER, &found);
		if (found && staged->tier != NULL)
			te_cache_free_tier(cache, staged->tier);
		staged->tier = NULL;
	}
	te_cache_read_tiers(cache, names);
	hash_seq_init(&scan, cache->companies);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (hash_search(cache->pending->staged_tiers, entry->company->tier->name, HASH_FIND, NULL))
			te_cache_mark_company(cache, entry->company_id);
}

static bool same_override(const uint8 *a, const uint8 *b)
{
	Size length;

	if (a == NULL || b == NULL)
		return a == b;
	length = te_params_packed_length(a);
	return length == te_params_packed_length(b) && memcmp(a, b, length) == 0;
}

/* Companies, and which of them have their users merged anew. */
static void read_companies(TeCache *cache, int limit)
{
	ArrayType *ids = take_keys(cache->pending->companies, limit);
	Datum *elements;
	int n;

	if (ids == NULL)
		return;
	deconstruct_array(ids, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++) {
		bool found;
		StagedCompany *staged = hash_search(cache->pending->staged_companies,
		                                    TextDatumGetCString(elements[i]), HASH_ENTER, &found);

		if (found && staged->exists)
			te_cache_free_packed(cache, staged->override);
		staged->exists = false;
		staged->override = NULL;
	}
	te_cache_read_companies(cache, ids);
	for (int i = 0; i < n; i++) {
		const char *id = TextDatumGetCString(elements[i]);
		const StagedCompany *staged = te_cache_staged_company(cache, id);
		const TeCachedCompany *c = te_cache_company(cache, id);

		if (!staged->exists)
			continue; /* what was its users' is deleted, and the log says so */
		if (c == NULL || c->tier != staged->tier || !same_override(c->override, staged->override))
			te_cache_mark_users_of(cache, id);
	}
}

static int compare_keys(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Users are read in their order: neighbours share pages, and what is staged is sorted. */
static void queue_users(CachePending *p)
{
	HASH_SEQ_STATUS scan;
	DirtyUser *dirty;

	if (p->queue != NULL)
		pfree(p->queue);
	p->queue = MemoryContextAllocHuge(p->context, sizeof(char *) * hash_get_num_entries(p->users));
	p->queue_next = p->queue_count = 0;
	hash_seq_init(&scan, p->users);
	while ((dirty = hash_seq_search(&scan)) != NULL)
		p->queue[p->queue_count++] = dirty->key;
	qsort(p->queue, p->queue_count, sizeof(char *), compare_keys);
}

/* Stage the user of a key, to be read with others. */
static void take_user(TeCache *cache, const char *key, Pairs *whole, Pairs *accounts)
{
	Size length = strcspn(key, "\001");
	const char *user_id = key + length + 1;
	char company_id[TE_ID_SIZE];
	DirtyUser *dirty = hash_search(cache->pending->users, &key, HASH_FIND, NULL);
	bool accounts_only = dirty->accounts_only;
	StagedUser *staged;

	(void)hash_search(cache->pending->users, &key, HASH_REMOVE, NULL);
	strlcpy(company_id, key, length + 1);
	staged = te_cache_stage_user(cache, company_id, user_id, accounts_only);
	if (accounts_only)
		staged->user = te_cache_make_user(cache, user_id);
	add_pair(accounts_only ? accounts : whole, key, length, user_id);
}

static void read_users(TeCache *cache, int limit)
{
	CachePending *p = cache->pending;
	Pairs whole = {0}, accounts = {0};

	if (hash_get_num_entries(p->users) == 0)
		return;
	if (p->queue_next == p->queue_count)
		queue_users(p);
	for (; p->queue_next < p->queue_count && limit > 0; limit--)
		take_user(cache, p->queue[p->queue_next++], &whole, &accounts);
	if (whole.left != NULL)
		te_cache_read_users(cache, array_of(whole.left), array_of(whole.right));
	if (accounts.left != NULL)
		te_cache_read_accounts(cache, array_of(accounts.left), array_of(accounts.right));
}

static void read_reference_data(TeCache *cache)
{
	ArrayType *symbols = take_keys(cache->pending->instruments, PG_INT32_MAX);
	HASH_SEQ_STATUS scan;
	const char *key;
	Pairs producers = {0};

	if (symbols != NULL)
		te_cache_read_instruments(cache, symbols);
	/* The pairs that can be converted are those of the instruments. */
	if (cache->source == SOURCE_TABLES && (cache->pending->rates || symbols != NULL))
		te_lane_rates_load(cache->rates);
	cache->pending->rates = false;
	if (cache->pending->weights_wanted)
		te_cache_read_weights(cache);
	te_policy_rows_read(cache->policy);
	hash_seq_init(&scan, cache->pending->producers);
	while ((key = hash_seq_search(&scan)) != NULL) {
		const char *producer = strchr(key, '/') + 1;

		add_pair(&producers, key, producer - key - 1, producer);
		(void)hash_search(cache->pending->producers, key, HASH_REMOVE, NULL);
	}
	if (producers.left != NULL)
		te_cache_read_producers(cache, array_of(producers.left), array_of(producers.right));
}

/* Read what has to be read, so many users or companies of it; is that all? */
static bool read_pending(TeCache *cache, int limit)
{
	CachePending *p = cache->pending;

	read_tiers(cache);
	read_companies(cache, limit);
	if (hash_get_num_entries(p->companies) > 0)
		return false;
	read_users(cache, limit);
	if (hash_get_num_entries(p->users) > 0)
		return false;
	read_reference_data(cache);
	return true;
}

/*----------------------------------------------------------------------
 * The log
 *----------------------------------------------------------------------*/

typedef struct LogPage
{
	TeCache *cache;
	int rows;
} LogPage;

static void read_log_row(TeRow *row, void *arg)
{
	LogPage *page = arg;
	CachePending *p = page->cache->pending;

	strlcpy(p->page_xid, te_row_text(row, "xid"), sizeof(p->page_xid));
	p->page_change = te_row_int(row, "change_id");
	page->rows++;
	read_change(row, page->cache);
}

#define LOG_COLUMNS "SELECT c.xid, c.change_id, c.kind, c.company_id, c.user_id, c.item"

/* clang-format off */
#define LOG_PAGE_OF(transactions) \
	LOG_COLUMNS \
	" FROM trading.strategy_changes AS c" \
	" WHERE c.system_identifier OPERATOR(pg_catalog.=) $6" \
	"   AND c.xid OPERATOR" transactions \
	"   AND pg_catalog.pg_visible_in_snapshot(c.xid, $2::pg_catalog.pg_snapshot)" \
	"   AND ($3 IS NULL OR ROW(c.xid, c.change_id) OPERATOR(pg_catalog.>)" \
	"                      ROW($3::pg_catalog.xid8, $4))" \
	" ORDER BY c.system_identifier, c.xid, c.change_id LIMIT $5"

/*
 * What a snapshot ($1) could not see: the rows of each transaction that was running then, and of
 * those that began later.  Looking at all since the oldest running one would be simpler, but while
 * one runs for hours these are many.
 */
static const char log_page_sql[] =
	"SELECT r.* FROM pg_catalog.pg_snapshot_xip($1::pg_catalog.pg_snapshot) AS x (xid)"
	" CROSS JOIN LATERAL (" LOG_PAGE_OF("(pg_catalog.=) x.xid") ") AS r"
	" UNION ALL ("
	LOG_PAGE_OF("(pg_catalog.>=) pg_catalog.pg_snapshot_xmax($1::pg_catalog.pg_snapshot)")
	") ORDER BY 1, 2 LIMIT $5";
/* clang-format on */

/* Read on in the log, a page at most; has it been read up to this snapshot? */
static bool read_log(TeCache *cache, const char *now)
{
	CachePending *p = cache->pending;
	LogPage page = {.cache = cache};
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT4OID, INT8OID};
	Datum values[6];
	char nulls[] = "      ";
	TeQueryArgs args = {6, types, values, nulls};

	if (p->target == NULL) {
		p->target = MemoryContextStrdup(p->context, now);
		p->page_xid[0] = '\0';
	}
	values[0] = CStringGetTextDatum(p->seen);
	values[1] = CStringGetTextDatum(p->target);
	values[2] = CStringGetTextDatum(p->page_xid);
	nulls[2] = p->page_xid[0] == '\0' ? 'n' : ' ';
	values[3] = Int64GetDatum(p->page_change);
	values[4] = Int32GetDatum(LOG_PAGE);
	values[5] = Int64GetDatum((int64)GetSystemIdentifier());
	te_query_each(log_page_sql, &args, read_log_row, &page);
	if (page.rows == LOG_PAGE)
		return false;
	pfree(p->seen);
	p->seen = p->target;
	p->target = NULL;
	return strcmp(p->seen, now) == 0;
}

static void read_difference_row(TeRow *row, void *arg)
{
	read_change(row, arg);
}

/* Between the oldest transaction that one of them ($1, $2) could not see and the newest that one
 * could. */
static const char difference_sql[] =
	LOG_COLUMNS " FROM trading.strategy_changes AS c"
				" WHERE c.system_identifier OPERATOR(pg_catalog.=) $3"
				"   AND c.xid OPERATOR(pg_catalog.>=)"
				"       LEAST(pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot),"
				"             pg_catalog.pg_snapshot_xmin($2::pg_catalog.pg_snapshot))"
				"   AND c.xid OPERATOR(pg_catalog.<)"
				"       GREATEST(pg_catalog.pg_snapshot_xmax($1::pg_catalog.pg_snapshot),"
				"                pg_catalog.pg_snapshot_xmax($2::pg_catalog.pg_snapshot))"
				"   AND pg_catalog.pg_visible_in_snapshot(c.xid, $1::pg_catalog.pg_snapshot)"
				"       OPERATOR(pg_catalog.<>)"
				"       pg_catalog.pg_visible_in_snapshot(c.xid, $2::pg_catalog.pg_snapshot)";

/* What differs between the snapshot that is shown and another one, earlier or later. */
static void read_difference(TeCache *cache, const char *from, const char *to)
{
	Oid types[] = {TEXTOID, TEXTOID, INT8OID};
	Datum values[] = {CStringGetTextDatum(from), CStringGetTextDatum(to),
	                  Int64GetDatum(cache->at_system)};
	TeQueryArgs args = {3, types, values, NULL};

	te_query_each(difference_sql, &args, read_difference_row, cache);
}

/*----------------------------------------------------------------------
 * Refreshing
 *----------------------------------------------------------------------*/

/* What is staged becomes what is shown. */
static void show(TeCache *cache, const char *snapshot)
{
	te_cache_apply(cache);
	te_policy_rows_show(cache->policy);
	if (cache->holds != NULL)
		te_holds_settle(cache->holds, GetActiveSnapshot());
	te_cache_end_pending(cache);
	snapshot = MemoryContextStrdup(cache->context, snapshot);
	if (cache->snapshot != NULL)
		pfree(cache->snapshot);
	cache->snapshot = (char *)snapshot;
	cache->loaded = true;
}

static void read_all(TeCache *cache)
{
	te_cache_end_pending(cache);
	te_cache_empty(cache);
	cache->pending = te_cache_make_pending(cache);
	te_cache_read_everything(cache);
}

static void collect_garbage(TeCache *cache)
{
	for (int i = 0; i < GARBAGE_PAGE && cache->garbage_count > 0; i++)
		te_cache_free_user(cache, cache->garbage[--cache->garbage_count]);
	if (cache->garbage_count > 0 || cache->garbage == NULL)
		return;
	pfree(cache->garbage);
	cache->garbage = NULL;
	cache->garbage_capacity = 0;
}

void te_cache_refresh(TeCache *cache)
{
	char *now = te_query_snapshot();
	bool failed = cache->in_progress;
	bool log_is_read;

	if (!failed && cache->garbage_count > 0) {
		collect_garbage(cache);
		if (cache->loaded && cache->pending == NULL && !te_news_wait(&cache->news))
			return;
	}
	cache->in_progress = true;
	if (failed || !cache->loaded) {
		read_all(cache);
		show(cache, now);
		te_news_note_read(&cache->news);
		cache->in_progress = false;
		return;
	}
	if (cache->pending == NULL) {
		cache->pending = te_cache_make_pending(cache);
		cache->pending->seen = MemoryContextStrdup(cache->pending->context, cache->snapshot);
	}
	log_is_read = read_log(cache, now);
	if (log_is_read)
		te_news_note_read(&cache->news);
	if (cache->pending->everything && log_is_read) {
		read_all(cache);
		show(cache, now);
	} else if (log_is_read && read_pending(cache, SLICE_UNITS))
		show(cache, now);
	cache->in_progress = false;
}

void te_cache_refresh_at(TeCache *cache, const char *snapshot, int64 system_identifier)
{
	bool failed = cache->in_progress;
	bool first = cache->at_snapshot == NULL || cache->at_system != system_identifier;
	const char *from = cache->at_snapshot;

	if (cache->loaded && !failed && !first && strcmp(cache->at_snapshot, snapshot) == 0)
		return;
	cache->in_progress = true;
	if (cache->source == SOURCE_TABLES)
		cache->source = SOURCE_LOG;
	cache->at_snapshot = MemoryContextStrdup(cache->context, snapshot);
	cache->at_system = system_identifier;
	if (failed || first || !cache->loaded)
		read_all(cache);
	else {
		cache->pending = te_cache_make_pending(cache);
		read_difference(cache, from, snapshot);
		if (cache->pending->everything)
			read_all(cache);
		else
			(void)read_pending(cache, PG_INT32_MAX);
	}
	show(cache, snapshot);
	while (cache->garbage_count > 0)
		collect_garbage(cache);
	if (from != NULL)
		pfree((char *)from);
	cache->in_progress = false;
}

void te_cache_load_current(TeCache *cache)
{
	cache->in_progress = true;
	cache->source = SOURCE_CURRENT;
	read_all(cache);
	show(cache, te_query_snapshot());
	cache->in_progress = false;
}
