/*
 * protect.c - see protect.h.
 *
 * However many protections cover the orders of a batch, there are three statements: one reads
 * the trades that they look at, one the equity of accounts, one writes the locks.  Trades are
 * read once for each user, or company, that protections are about; what each protection looks
 * at is picked from them in memory.
 */
#include "postgres.h"

#include "engine/protect.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "engine/cache.h"
#include "engine/guc.h"
#include "engine/query.h"
#include "sql/sqltime.h"
#include "wire/identity.h"

/* A trade, and what protections about a part of the user's trades need to know of it. */
typedef struct PooledTrade
{
	TeClosedTrade trade;
	const char *strategy, *account;
} PooledTrade;

/* Trades of a user, or of a whole company (user NULL), in order of their close. */
typedef struct Pool
{
	int number;
	const char *company, *user;
	TeTime since; /* those closed after it */
	PooledTrade *trades;
	int count, capacity;
} Pool;

/* What a protection is asked about: a symbol or everything (NULL), orders of a side. */
typedef struct Question
{
	const char *symbol;
	int side;
} Question;

/* A protection, and whom it is about. */
typedef struct Case
{
	const TePolicyRow *row;
	TeScope owner;
	const char *account; /* NULL: all */
	Pool *pool;
	double equity;   /* of the account; NAN: not of interest, or not known */
	List *questions; /* of Question */
} Case;

/* A lock to be written. */
typedef struct Struck
{
	const Case *of;
	TeLock lock;
} Struck;

typedef struct PoolEntry
{
	char owner[2 * TE_ID_SIZE]; /* hash key: company/user */
	Pool *pool;
} PoolEntry;

typedef struct CaseKey
{
	const TePolicyRow *row;
	char owner[3 * TE_ID_SIZE]; /* company/user/account */
} CaseKey;

typedef struct CaseEntry
{
	CaseKey key;
	Case *of;
} CaseEntry;

typedef struct AskedKey
{
	const Case *of;
	int side;
	char symbol[TE_SYMBOL_MAX + 1]; /* "": everything */
} AskedKey;

typedef struct Protect
{
	MemoryContext context;
	TeTime now;
	HTAB *pools_by_owner, *cases_by_key, *asked;
	List *pools, *cases, *struck;
} Protect;

/*----------------------------------------------------------------------
 * What is asked
 *----------------------------------------------------------------------*/

static HTAB *table_of(const char *name, Size key_size, Size entry_size, int flags)
{
	HASHCTL control = {.keysize = key_size, .entrysize = entry_size, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_CONTEXT | flags);
}

static const char *name_or_all(const char *name)
{
	return name != NULL ? name : "";
}

static bool measures_equity(const TeProtection *p)
{
	return p->kind == TE_PROTECTION_MAX_DRAWDOWN && p->method == TE_DRAWDOWN_EQUITY;
}

/* Of COOL_DOWN, trades that would not lock any more; of the others, those within the lookback. */
static TeTime since(const TeProtection *p, TeTime now)
{
	TeTime span = p->kind != TE_PROTECTION_COOL_DOWN ? p->lookback
	              : p->unlock_minute >= 0            ? 86400 * TE_USEC_PER_SEC
	                                                 : p->lock;

	return now - span;
}

static Pool *find_pool(Protect *all, const TeScope *owner, TeTime from)
{
	char key[2 * TE_ID_SIZE];
	PoolEntry *entry;
	bool found;

	snprintf(key, sizeof(key), "%s/%s", owner->company, name_or_all(owner->user));
	entry = hash_search(all->pools_by_owner, key, HASH_ENTER, &found);
	if (!found) {
		entry->pool = palloc0(sizeof(Pool));
		entry->pool->number = list_length(all->pools);
		entry->pool->company = owner->company;
		entry->pool->user = owner->user;
		entry->pool->since = from;
		all->pools = lappend(all->pools, entry->pool);
	}
	entry->pool->since = Min(entry->pool->since, from);
	return entry->pool;
}

/*
 * Equity is an account's: a protection of it is about the account that has traded, and locks its
 * user.  One of everybody is about each company by itself.
 */
static Case *find_case(Protect *all, const TePolicyRow *row, const TeClosedOrder *order)
{
	bool by_account = measures_equity(&row->as.protection.protection);
	const char *account = by_account ? order->account_id : NULL;
	TeScope owner = row->scope;
	CaseKey key;
	CaseEntry *entry;
	bool found;

	owner.company = order->company_id;
	if (by_account)
		owner.user = order->user_id;
	MemSet(&key, 0, sizeof(key));
	key.row = row;
	snprintf(key.owner, sizeof(key.owner), "%s/%s/%s", owner.company, name_or_all(owner.user),
	         name_or_all(account));
	entry = hash_search(all->cases_by_key, &key, HASH_ENTER, &found);
	if (!found) {
		entry->of = palloc0(sizeof(Case));
		*entry->of = (Case){.row = row, .owner = owner, .account = account, .equity = NAN};
		entry->of->pool = find_pool(all, &owner, since(&row->as.protection.protection, all->now));
		all->cases = lappend(all->cases, entry->of);
	}
	return entry->of;
}

/* Every question once, in the order of the orders that lead to it. */
static void ask(Protect *all, Case *of, const char *symbol, int side)
{
	bool per_side = of->row->as.protection.protection.only_per_side;
	AskedKey key;
	Question *question;
	bool found;

	MemSet(&key, 0, sizeof(key));
	key.of = of;
	key.side = per_side ? side : 0;
	strlcpy(key.symbol, name_or_all(symbol), sizeof(key.symbol));
	(void)hash_search(all->asked, &key, HASH_ENTER, &found);
	if (found)
		return;
	question = palloc(sizeof(Question));
	*question = (Question){symbol, side};
	of->questions = lappend(of->questions, question);
}

static void find_cases(Protect *all, const TePolicyRows *rows, const TeClosedOrder *order)
{
	TePolicyTarget target = te_policy_target(&(TeScope){.company = order->company_id,
	                                                    .user = order->user_id,
	                                                    .strategy = order->strategy_id,
	                                                    .symbol = order->symbol,
	                                                    .side = order->side});
	TePolicySearch search;

	for (const TePolicyRow *row = te_policy_first(rows, TE_POLICY_PROTECTION, &target, &search);
	     row != NULL; row = te_policy_next(rows, &search)) {
		Case *of = find_case(all, row, order);

		ask(all, of, NULL, order->side);
		ask(all, of, order->symbol, order->side);
	}
}

/*----------------------------------------------------------------------
 * What protections look at
 *----------------------------------------------------------------------*/

/* Arrays that become the columns of a statement's unnest(). */
typedef struct Columns
{
	MemoryContext context;
	ArrayBuildState *arrays[12];
	Oid types[12], elements[12];
	int count;
} Columns;

static Columns columns_of(int count, const Oid *elements, const Oid *types)
{
	Columns columns = {.context = CurrentMemoryContext, .count = count};

	for (int i = 0; i < count; i++) {
		columns.elements[i] = elements[i];
		columns.types[i] = types[i];
		columns.arrays[i] = initArrayResult(elements[i], columns.context, false);
	}
	return columns;
}

static void add_value(Columns *columns, int i, Datum value, bool is_null)
{
	columns->arrays[i] = accumArrayResult(columns->arrays[i], value, is_null, columns->elements[i],
	                                      columns->context);
}

static void add_text(Columns *columns, int i, const char *text)
{
	add_value(columns, i, text != NULL ? CStringGetTextDatum(text) : (Datum)0, text == NULL);
}

static void add_int(Columns *columns, int i, int value)
{
	add_value(columns, i, Int32GetDatum(value), false);
}

static void add_double(Columns *columns, int i, double value)
{
	add_value(columns, i, Float8GetDatum(value), false);
}

static void add_time(Columns *columns, int i, TeTime value)
{
	add_value(columns, i, TimestampTzGetDatum(te_time_to_timestamptz(value)), false);
}

static void get_values(Columns *columns, Datum *values)
{
	for (int i = 0; i < columns->count; i++)
		values[i] = makeArrayResult(columns->arrays[i], columns->context);
}

static void read_trade(TeRow *row, void *arg)
{
	Protect *all = arg;
	Pool *pool = list_nth(all->pools, (int)te_row_int(row, "pool"));
	MemoryContext old = MemoryContextSwitchTo(all->context);

	if (pool->count == pool->capacity) {
		pool->capacity = Max(32, 2 * pool->capacity);
		pool->trades = pool->trades
		                   ? repalloc_huge(pool->trades, sizeof(PooledTrade) * pool->capacity)
		                   : palloc(sizeof(PooledTrade) * pool->capacity);
	}
	pool->trades[pool->count++] = (PooledTrade){
		.trade = {.symbol = te_row_text(row, "symbol"),
	              .side = (int)te_row_int(row, "side"),
	              .closed_at = te_row_time(row, "closed_at"),
	              .profit_ratio = te_row_double(row, "profit_ratio"),
	              .profit = te_row_double(row, "profit"),
	              .stopped_out = te_row_bool(row, "stopped_out")},
		.strategy = te_row_text(row, "strategy_id"),
		.account = te_row_text(row, "account_id"),
	};
	MemoryContextSwitchTo(old);
}

#define TRADES_OF(condition)                                                                       \
	"SELECT p.pool, t.symbol, t.side, t.closed_at, t.stopped_out, t.strategy_id, t.account_id,"    \
	" t.signal_id, COALESCE(t.profit, 0) AS profit, COALESCE(t.profit_ratio,"                      \
	" CASE WHEN t.profit OPERATOR(pg_catalog.<) 0 THEN -1e-9 ELSE 0 END) AS profit_ratio"          \
	" FROM pools AS p JOIN trading.trades AS t"                                                    \
	"   ON t.company_id OPERATOR(pg_catalog.=) p.company_id AND " condition                        \
	"  AND t.closed_at OPERATOR(pg_catalog.>) p.since"                                             \
	" WHERE t.simulated OPERATOR(pg_catalog.=) $5 AND t.state OPERATOR(pg_catalog.=) 'CLOSED'"

/* A loss of which no value is known is one all the same. */
static const char trades_sql[] =
	"WITH pools AS (SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
	"  pg_catalog.unnest($3), pg_catalog.unnest($4)) AS p (pool, company_id, user_id, "
	"since)) " TRADES_OF("t.user_id OPERATOR(pg_catalog.=) p.user_id") " UNION ALL " TRADES_OF(
		"p.user_id IS NULL") " ORDER BY pool, closed_at, signal_id";

static void read_trades(Protect *all)
{
	static const Oid elements[] = {INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	static const Oid arrays[] = {INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID};
	Columns columns = columns_of(lengthof(elements), elements, arrays);
	Oid types[lengthof(elements) + 1];
	Datum values[lengthof(elements) + 1];
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	ListCell *cell;

	foreach (cell, all->pools) {
		const Pool *pool = lfirst(cell);

		add_int(&columns, 0, pool->number);
		add_text(&columns, 1, pool->company);
		add_text(&columns, 2, pool->user);
		add_time(&columns, 3, pool->since);
	}
	memcpy(types, arrays, sizeof(arrays));
	types[columns.count] = BOOLOID;
	get_values(&columns, values);
	values[columns.count] = BoolGetDatum(te_guc_clock == TE_CLOCK_INPUT);
	te_query_each(trades_sql, &args, read_trade, all);
}

static void read_equity(TeRow *row, void *arg)
{
	Case *of = list_nth(((Protect *)arg)->cases, (int)te_row_int(row, "n"));

	of->equity = te_row_double(row, "equity");
}

static const char equity_sql[] =
	"SELECT k.n, a.equity OPERATOR(pg_catalog.+) (COALESCE((SELECT h.realised"
	"   FROM trading.account_history AS h"
	"  WHERE h.company_id OPERATOR(pg_catalog.=) a.company_id"
	"    AND h.user_id OPERATOR(pg_catalog.=) a.user_id"
	"    AND h.account_id OPERATOR(pg_catalog.=) a.account_id"
	"    AND h.simulated OPERATOR(pg_catalog.=) $5 ORDER BY h.batch_no DESC LIMIT 1), 0)"
	"  OPERATOR(pg_catalog./) 10000.0::pg_catalog.float8) AS equity"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
	"  pg_catalog.unnest($4)) AS k (n, company_id, user_id, account_id)"
	" JOIN trading.accounts AS a ON a.company_id OPERATOR(pg_catalog.=) k.company_id"
	"  AND a.user_id OPERATOR(pg_catalog.=) k.user_id"
	"  AND a.account_id OPERATOR(pg_catalog.=) k.account_id";

static void read_equities(Protect *all)
{
	static const Oid elements[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID};
	static const Oid arrays[] = {INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID};
	Columns columns = columns_of(lengthof(elements), elements, arrays);
	Oid types[lengthof(elements) + 1];
	Datum values[lengthof(elements) + 1];
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	ListCell *cell;
	bool any = false;

	foreach (cell, all->cases) {
		const Case *of = lfirst(cell);

		if (of->account == NULL)
			continue;
		any = true;
		add_int(&columns, 0, foreach_current_index(cell));
		add_text(&columns, 1, of->owner.company);
		add_text(&columns, 2, of->owner.user);
		add_text(&columns, 3, of->account);
	}
	if (!any)
		return;
	memcpy(types, arrays, sizeof(arrays));
	types[columns.count] = BOOLOID;
	get_values(&columns, values);
	values[columns.count] = BoolGetDatum(te_guc_clock == TE_CLOCK_INPUT);
	te_query_each(equity_sql, &args, read_equity, all);
}

/*----------------------------------------------------------------------
 * Judging
 *----------------------------------------------------------------------*/

static bool is_or_all(const char *wanted, const char *name)
{
	return wanted == NULL || strcmp(wanted, name) == 0;
}

/* What a protection looks at: all trades by time, and by symbol, then time. */
typedef struct Sight
{
	TeClosedTrade *trades, *by_symbol;
	int count;
} Sight;

static int compare_symbols(const void *a, const void *b)
{
	const TeClosedTrade *x = *(const TeClosedTrade *const *)a,
						*y = *(const TeClosedTrade *const *)b;
	int order = strcmp(x->symbol, y->symbol);

	return order != 0 ? order : (x > y) - (x < y);
}

static void sort_by_symbol(Sight *sight)
{
	const TeClosedTrade **order =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(*order) * Max(sight->count, 1));

	for (int i = 0; i < sight->count; i++)
		order[i] = &sight->trades[i];
	qsort(order, sight->count, sizeof(*order), compare_symbols);
	for (int i = 0; i < sight->count; i++)
		sight->by_symbol[i] = *order[i];
	pfree(order);
}

static Sight look(const Case *of, TeTime now)
{
	TeTime after = since(&of->row->as.protection.protection, now);
	const Pool *pool = of->pool;
	Size size = sizeof(TeClosedTrade) * Max(pool->count, 1);
	Sight sight = {MemoryContextAllocHuge(CurrentMemoryContext, size),
	               MemoryContextAllocHuge(CurrentMemoryContext, size), 0};

	for (int i = 0; i < pool->count; i++) {
		const PooledTrade *t = &pool->trades[i];

		if (t->trade.closed_at > after && is_or_all(of->owner.strategy, t->strategy) &&
		    is_or_all(of->owner.symbol, t->trade.symbol) && is_or_all(of->account, t->account))
			sight.trades[sight.count++] = t->trade;
	}
	sort_by_symbol(&sight);
	return sight;
}

/* The first trade of that symbol, or of a later one. */
static int first_of(const Sight *sight, const char *symbol)
{
	int low = 0, high = sight->count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (strcmp(sight->by_symbol[middle].symbol, symbol) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static TeTradeHistory history_of(const Sight *sight, const char *symbol, double equity)
{
	int first, end;

	if (symbol == NULL)
		return (TeTradeHistory){sight->trades, sight->count, equity};
	first = end = first_of(sight, symbol);
	while (end < sight->count && strcmp(sight->by_symbol[end].symbol, symbol) == 0)
		end++;
	return (TeTradeHistory){sight->by_symbol + first, end - first, equity};
}

/*
 * Of a protection that is about one symbol, everything and that symbol are the same: one lock of
 * a side is enough, unless the second is longer.  It has four questions at most.
 */
static bool is_struck(const Protect *all, int first, const Case *of, const TeLock *lock)
{
	if (of->owner.symbol == NULL)
		return false;
	for (int i = first; i < list_length(all->struck); i++) {
		const TeLock *earlier = &((const Struck *)list_nth(all->struck, i))->lock;

		if (earlier->scope.side == lock->scope.side && earlier->until >= lock->until)
			return true;
	}
	return false;
}

static void judge(Protect *all, const Case *of)
{
	const TeProtection *p = &of->row->as.protection.protection;
	Sight sight = look(of, all->now);
	int first = list_length(all->struck);
	ListCell *cell;

	foreach (cell, of->questions) {
		const Question *question = lfirst(cell);
		TeTradeHistory history = history_of(&sight, question->symbol, of->equity);
		Struck *struck;
		TeLock lock;

		if (!te_protection_locks(p, &of->owner, &history, question->symbol, question->side,
		                         all->now, &lock) ||
		    is_struck(all, first, of, &lock))
			continue;
		struck = palloc(sizeof(Struck));
		*struck = (Struck){of, lock};
		all->struck = lappend(all->struck, struck);
	}
	pfree(sight.trades);
	pfree(sight.by_symbol);
}

/*----------------------------------------------------------------------
 * Locking
 *----------------------------------------------------------------------*/

/* X(column, type): of a lock */
#define LOCK_COLUMNS(X)                                                                            \
	X(authority, TEXT)                                                                             \
	X(company_id, TEXT)                                                                            \
	X(user_id, TEXT)                                                                               \
	X(strategy_id, TEXT)                                                                           \
	X(symbol, TEXT)                                                                                \
	X(side, INT4)                                                                                  \
	X(protection, TEXT)                                                                            \
	X(kind, TEXT)                                                                                  \
	X(locked_at, TIMESTAMPTZ)                                                                      \
	X(locked_until, TIMESTAMPTZ)                                                                   \
	X(value, FLOAT8)                                                                               \
	X(threshold, FLOAT8)
#define LOCK_MEMBER(column, type) LOCK_##column,
#define LOCK_ELEMENT(column, type) type##OID,
#define LOCK_ARRAY(column, type) type##ARRAYOID,
enum { LOCK_COLUMNS(LOCK_MEMBER) LOCK_COLUMN_COUNT };

/* A lock that is there, lifted or not, isn't made again: what was lifted by hand stays so. */
static const char lock_sql[] =
	"INSERT INTO trading.protection_locks (authority, company_id, user_id, strategy_id, symbol,"
	" side, protection, kind, locked_at, locked_until, value, threshold)"
	" SELECT k.authority, k.company_id, k.user_id, k.strategy_id, k.symbol, k.side, k.protection,"
	"        k.kind, k.locked_at, k.locked_until, k.value, k.threshold"
	"   FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
	"     pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6),"
	"     pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9),"
	"     pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12))"
	"   WITH ORDINALITY AS k (authority, company_id, user_id, strategy_id, symbol, side,"
	"     protection, kind, locked_at, locked_until, value, threshold, n)"
	"  WHERE NOT EXISTS (SELECT FROM trading.protection_locks AS l"
	"   WHERE l.company_id OPERATOR(pg_catalog.=) k.company_id"
	"     AND l.protection OPERATOR(pg_catalog.=) k.protection"
	"     AND l.locked_until OPERATOR(pg_catalog.>=) k.locked_until"
	"     AND l.user_id IS NOT DISTINCT FROM k.user_id"
	"     AND l.strategy_id IS NOT DISTINCT FROM k.strategy_id"
	"     AND l.symbol IS NOT DISTINCT FROM k.symbol AND l.side OPERATOR(pg_catalog.=) k.side)"
	"  ORDER BY k.n";

static void store_locks(const Protect *all)
{
	static const Oid elements[] = {LOCK_COLUMNS(LOCK_ELEMENT)};
	static Oid arrays[] = {LOCK_COLUMNS(LOCK_ARRAY)};
	Columns columns = columns_of(LOCK_COLUMN_COUNT, elements, arrays);
	Datum values[LOCK_COLUMN_COUNT];
	TeQueryArgs args = {LOCK_COLUMN_COUNT, arrays, values, NULL};
	ListCell *cell;

	foreach (cell, all->struck) {
		const Struck *struck = lfirst(cell);
		const TePolicyProtection *p = &struck->of->row->as.protection;
		const TeLock *lock = &struck->lock;

		add_text(&columns, LOCK_authority, p->authority);
		add_text(&columns, LOCK_company_id, lock->scope.company);
		add_text(&columns, LOCK_user_id, lock->scope.user);
		add_text(&columns, LOCK_strategy_id, lock->scope.strategy);
		add_text(&columns, LOCK_symbol, lock->scope.symbol);
		add_int(&columns, LOCK_side, lock->scope.side);
		add_text(&columns, LOCK_protection, p->key);
		add_text(&columns, LOCK_kind, te_protection_enum.labels[lock->cause]);
		add_time(&columns, LOCK_locked_at, all->now);
		add_time(&columns, LOCK_locked_until, lock->until);
		add_double(&columns, LOCK_value, lock->value);
		add_double(&columns, LOCK_threshold, lock->threshold);
	}
	get_values(&columns, values);
	(void)te_query_run(lock_sql, &args);
}

void te_protections_apply(const TePolicyRows *rows, const TeClosedOrder *closed, int count,
                          TeTime now)
{
	Protect all = {.context = CurrentMemoryContext, .now = now};
	ListCell *cell;

	if (count == 0 || !te_policy_has(rows, TE_POLICY_PROTECTION))
		return;
	all.pools_by_owner =
		table_of("trades of protections", 2 * TE_ID_SIZE, sizeof(PoolEntry), HASH_STRINGS);
	all.cases_by_key = table_of("protections", sizeof(CaseKey), sizeof(CaseEntry), HASH_BLOBS);
	all.asked = table_of("questions", sizeof(AskedKey), sizeof(AskedKey), HASH_BLOBS);
	for (int i = 0; i < count; i++)
		find_cases(&all, rows, &closed[i]);
	if (all.cases == NIL)
		return;
	/* Reading queries see what the transaction has written only by a newer snapshot. */
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	read_trades(&all);
	read_equities(&all);
	foreach (cell, all.cases)
		judge(&all, lfirst(cell));
	if (all.struck != NIL)
		store_locks(&all);
	PopActiveSnapshot();
}
