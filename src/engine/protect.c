/*
 * protect.c - see protect.h.
 */
#include "postgres.h"

#include "engine/protect.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "engine/guc.h"
#include "engine/query.h"
#include "sql/sqltime.h"

/* A protection, whom it is about, and the orders of the batch for which it is asked. */
typedef struct Case
{
	const TePolicyRow *row;
	TeScope owner;
	const char *account; /* NULL: all */
	List *orders;        /* of const TeClosedOrder */
} Case;

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/*
 * Equity is an account's: a protection of it is about the account that has traded, and locks its
 * user.  One of everybody is about each company by itself.
 */
static bool is_about(const Case *c, const TePolicyRow *row, const TeScope *owner,
                     const char *account)
{
	return c->row == row && same(c->owner.company, owner->company) &&
	       same(c->owner.user, owner->user) && same(c->account, account);
}

static bool measures_equity(const TeProtection *p)
{
	return p->kind == TE_PROTECTION_MAX_DRAWDOWN && p->method == TE_DRAWDOWN_EQUITY;
}

static List *add_order(List *cases, const TePolicyRow *row, const TeClosedOrder *order)
{
	bool by_account = measures_equity(&row->as.protection.protection);
	const char *account = by_account ? order->account_id : NULL;
	TeScope owner = row->scope;
	ListCell *cell;
	Case *c;

	owner.company = order->company_id;
	if (by_account)
		owner.user = order->user_id;
	foreach (cell, cases) {
		c = lfirst(cell);
		if (is_about(c, row, &owner, account)) {
			c->orders = lappend(c->orders, (void *)order);
			return cases;
		}
	}
	c = palloc0(sizeof(Case));
	c->row = row;
	c->owner = owner;
	c->account = account;
	c->orders = list_make1((void *)order);
	return lappend(cases, c);
}

static List *find_cases(const TePolicyRows *rows, const TeClosedOrder *closed, int count)
{
	List *cases = NIL;

	for (int i = 0; i < count; i++) {
		TePolicyTarget target = te_policy_target(&(TeScope){.company = closed[i].company_id,
		                                                    .user = closed[i].user_id,
		                                                    .strategy = closed[i].strategy_id,
		                                                    .symbol = closed[i].symbol,
		                                                    .side = closed[i].side});
		TePolicySearch search;

		for (const TePolicyRow *row = te_policy_first(rows, TE_POLICY_PROTECTION, &target, &search);
		     row != NULL; row = te_policy_next(rows, &search))
			cases = add_order(cases, row, &closed[i]);
	}
	return cases;
}

/*----------------------------------------------------------------------
 * What a protection looks at
 *----------------------------------------------------------------------*/

typedef struct History
{
	MemoryContext context; /* of what is kept of rows */
	TeClosedTrade *trades;
	int count, capacity;
	double equity;
} History;

static void read_trade(TeRow *row, void *arg)
{
	History *h = arg;

	if (h->count == h->capacity) {
		h->capacity = Max(32, 2 * h->capacity);
		h->trades = h->trades ? repalloc_huge(h->trades, sizeof(TeClosedTrade) * h->capacity)
		                      : MemoryContextAlloc(h->context, sizeof(TeClosedTrade) * h->capacity);
	}
	h->trades[h->count++] = (TeClosedTrade){
		.symbol = MemoryContextStrdup(h->context, te_row_text(row, "symbol")),
		.side = (int)te_row_int(row, "side"),
		.closed_at = te_row_time(row, "closed_at"),
		.profit_ratio = te_row_double(row, "profit_ratio"),
		.profit = te_row_double(row, "profit"),
		.stopped_out = te_row_bool(row, "stopped_out"),
	};
}

static void read_equity(TeRow *row, void *arg)
{
	((History *)arg)->equity = te_row_double(row, "equity");
}

enum { COMPANY, USER, STRATEGY, SYMBOL, ACCOUNT, SIMULATED, SINCE, FILTER_COUNT };

/* A loss of which no value is known is one all the same. */
static const char trades_sql[] =
	"SELECT t.symbol, t.side, t.closed_at, t.stopped_out, COALESCE(t.profit, 0) AS profit,"
	" COALESCE(t.profit_ratio, CASE WHEN t.profit OPERATOR(pg_catalog.<) 0 THEN -1e-9 ELSE 0 END)"
	" AS profit_ratio FROM trading.trades AS t"
	" WHERE t.company_id OPERATOR(pg_catalog.=) $1"
	"   AND ($2 IS NULL OR t.user_id OPERATOR(pg_catalog.=) $2)"
	"   AND ($3 IS NULL OR t.strategy_id OPERATOR(pg_catalog.=) $3)"
	"   AND ($4 IS NULL OR t.symbol OPERATOR(pg_catalog.=) $4)"
	"   AND ($5 IS NULL OR t.account_id OPERATOR(pg_catalog.=) $5)"
	"   AND t.simulated OPERATOR(pg_catalog.=) $6 AND t.closed_at OPERATOR(pg_catalog.>) $7"
	"   AND t.state OPERATOR(pg_catalog.=) 'CLOSED'"
	" ORDER BY t.closed_at, t.signal_id";

static const char equity_sql[] =
	"SELECT a.equity OPERATOR(pg_catalog.+) (COALESCE((SELECT h.realised"
	"   FROM trading.account_history AS h"
	"  WHERE h.company_id OPERATOR(pg_catalog.=) a.company_id"
	"    AND h.user_id OPERATOR(pg_catalog.=) a.user_id"
	"    AND h.account_id OPERATOR(pg_catalog.=) a.account_id"
	"    AND h.simulated OPERATOR(pg_catalog.=) $6 ORDER BY h.batch_no DESC LIMIT 1), 0)"
	"  OPERATOR(pg_catalog./) 10000.0::pg_catalog.float8) AS equity FROM trading.accounts AS a"
	" WHERE a.company_id OPERATOR(pg_catalog.=) $1 AND a.user_id OPERATOR(pg_catalog.=) $2"
	"   AND a.account_id OPERATOR(pg_catalog.=) $5"
	/* Told apart by their types only; the others are for the other query. */
	"   AND ($3::pg_catalog.text IS NULL OR true) AND ($4::pg_catalog.text IS NULL OR true)"
	"   AND ($7::pg_catalog.timestamptz IS NULL OR true)";

static void set_text(Datum *value, char *null, const char *text)
{
	*null = text == NULL ? 'n' : ' ';
	*value = text == NULL ? (Datum)0 : CStringGetTextDatum(text);
}

/* Of COOL_DOWN, trades that would not lock any more; of the others, those within the lookback. */
static TeTime since(const TeProtection *p, TeTime now)
{
	TeTime span = p->kind != TE_PROTECTION_COOL_DOWN ? p->lookback
	              : p->unlock_minute >= 0            ? 86400 * TE_USEC_PER_SEC
	                                                 : p->lock;

	return now - span;
}

static void read_history(const Case *c, TeTime now, History *h)
{
	const TeProtection *p = &c->row->as.protection.protection;
	Oid types[FILTER_COUNT] = {TEXTOID, TEXTOID, TEXTOID,       TEXTOID,
	                           TEXTOID, BOOLOID, TIMESTAMPTZOID};
	Datum values[FILTER_COUNT];
	char nulls[FILTER_COUNT + 1] = "       ";
	TeQueryArgs args = {FILTER_COUNT, types, values, nulls};

	set_text(&values[COMPANY], &nulls[COMPANY], c->owner.company);
	set_text(&values[USER], &nulls[USER], c->owner.user);
	set_text(&values[STRATEGY], &nulls[STRATEGY], c->owner.strategy);
	set_text(&values[SYMBOL], &nulls[SYMBOL], c->owner.symbol);
	set_text(&values[ACCOUNT], &nulls[ACCOUNT], c->account);
	values[SIMULATED] = BoolGetDatum(te_guc_clock == TE_CLOCK_INPUT);
	values[SINCE] = TimestampTzGetDatum(te_time_to_timestamptz(since(p, now)));
	te_query_each(trades_sql, &args, read_trade, h);
	if (measures_equity(p))
		te_query_each(equity_sql, &args, read_equity, h);
}

/*----------------------------------------------------------------------
 * Locking
 *----------------------------------------------------------------------*/

/* A lock that is there, lifted or not, isn't made again: what was lifted by hand stays so. */
static const char lock_sql[] =
	"INSERT INTO trading.protection_locks (authority, company_id, user_id, strategy_id, symbol,"
	" side, protection, kind, locked_at, locked_until, value, threshold)"
	" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12"
	"  WHERE NOT EXISTS (SELECT FROM trading.protection_locks AS l"
	"   WHERE l.company_id OPERATOR(pg_catalog.=) $2 AND l.protection OPERATOR(pg_catalog.=) $7"
	"     AND l.locked_until OPERATOR(pg_catalog.>=) $10 AND l.user_id IS NOT DISTINCT FROM $3"
	"     AND l.strategy_id IS NOT DISTINCT FROM $4 AND l.symbol IS NOT DISTINCT FROM $5"
	"     AND l.side OPERATOR(pg_catalog.=) $6)";

static void store_lock(const Case *c, const TeLock *lock, TeTime now)
{
	const TePolicyProtection *p = &c->row->as.protection;
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID,        TEXTOID,        TEXTOID,   INT4OID,
	               TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID};
	Datum values[lengthof(types)];
	char nulls[] = "            ";
	TeQueryArgs args = {lengthof(types), types, values, nulls};

	set_text(&values[0], &nulls[0], p->authority);
	set_text(&values[1], &nulls[1], lock->scope.company);
	set_text(&values[2], &nulls[2], lock->scope.user);
	set_text(&values[3], &nulls[3], lock->scope.strategy);
	set_text(&values[4], &nulls[4], lock->scope.symbol);
	values[5] = Int32GetDatum(lock->scope.side);
	set_text(&values[6], &nulls[6], p->key);
	set_text(&values[7], &nulls[7], te_protection_enum.labels[lock->cause]);
	values[8] = TimestampTzGetDatum(te_time_to_timestamptz(now));
	values[9] = TimestampTzGetDatum(te_time_to_timestamptz(lock->until));
	values[10] = Float8GetDatum(lock->value);
	values[11] = Float8GetDatum(lock->threshold);
	(void)te_query_run(lock_sql, &args);
}

/* Has the case been asked about this symbol, and side, for an earlier order? */
static bool was_asked(const Case *c, const TeClosedOrder *order, bool per_side)
{
	ListCell *cell;

	foreach (cell, c->orders) {
		const TeClosedOrder *earlier = lfirst(cell);

		if (earlier == order)
			return false;
		if (strcmp(earlier->symbol, order->symbol) == 0 &&
		    (!per_side || earlier->side == order->side))
			return true;
	}
	return false;
}

static void judge(const Case *c, TeTime now)
{
	const TeProtection *p = &c->row->as.protection.protection;
	History read = {.context = CurrentMemoryContext};
	TeTradeHistory history;
	ListCell *cell;
	TeLock lock;

	read_history(c, now, &read);
	history = (TeTradeHistory){read.trades, read.count, read.equity};
	foreach (cell, c->orders) {
		const TeClosedOrder *order = lfirst(cell);
		bool first = cell == list_head(c->orders);

		if (first || p->only_per_side)
			if (te_protection_locks(p, &c->owner, &history, NULL, order->side, now, &lock))
				store_lock(c, &lock, now);
		if (!was_asked(c, order, p->only_per_side) &&
		    te_protection_locks(p, &c->owner, &history, order->symbol, order->side, now, &lock))
			store_lock(c, &lock, now);
	}
}

void te_protections_apply(const TePolicyRows *rows, const TeClosedOrder *closed, int count,
                          TeTime now)
{
	ListCell *cell;

	if (count == 0 || !te_policy_has(rows, TE_POLICY_PROTECTION))
		return;
	/* Reading queries see what the transaction has written only by a newer snapshot. */
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	foreach (cell, find_cases(rows, closed, count))
		judge(lfirst(cell), now);
	PopActiveSnapshot();
}
