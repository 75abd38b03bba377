/*
 * account_fills.c - see account_fills.h.
 */
#include "postgres.h"

#include "engine/account_fills.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Fills that a lane keeps. */
#define KEPT_FILLS 500000

/*----------------------------------------------------------------------
 * Keeping
 *----------------------------------------------------------------------*/

static MemoryContext kept_memory; /* of what is kept, and its table */
static HTAB *kept;
static int64 kept_fills;

bool te_account_fills_full(void)
{
	return kept_fills >= KEPT_FILLS;
}

/* Forget all of them where there are too many. */
static void make_room(void)
{
	HASHCTL control = {.keysize = sizeof(TeLedgerKey), .entrysize = sizeof(TeAccountFills)};

	if (kept != NULL && !te_account_fills_full())
		return;
	if (kept_memory == NULL)
		kept_memory =
			AllocSetContextCreate(TopMemoryContext, "fills of accounts", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(kept_memory);
	control.hcxt = kept_memory;
	kept = hash_create("fills of accounts", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kept_fills = 0;
}

static int symbol_of(TeAccountFills *k, const char *symbol)
{
	for (int i = 0; i < k->symbol_count; i++)
		if (strcmp(k->symbols[i], symbol) == 0)
			return i;
	if (k->symbol_count == k->symbol_capacity) {
		k->symbol_capacity = Max(8, 2 * k->symbol_capacity);
		k->symbols = k->symbols
		                 ? repalloc(k->symbols, sizeof(char *) * k->symbol_capacity)
		                 : MemoryContextAlloc(kept_memory, sizeof(char *) * k->symbol_capacity);
	}
	k->symbols[k->symbol_count] = MemoryContextStrdup(kept_memory, symbol);
	return k->symbol_count++;
}

static void keep_fill(TeAccountFills *k, const TeLedgerFill *fill)
{
	TeKeptFill *place;

	if (k->count == k->capacity) {
		k->capacity = Max(64, 2 * k->capacity);
		k->fills = k->fills ? repalloc_huge(k->fills, sizeof(TeKeptFill) * k->capacity)
		                    : MemoryContextAllocHuge(kept_memory, sizeof(TeKeptFill) * k->capacity);
	}
	place = &k->fills[k->count++];
	place->of = *fill;
	place->symbol = symbol_of(k, fill->symbol);
	place->of.symbol = k->symbols[place->symbol];
	kept_fills++;
}

int te_ledger_fill_compare(const TeLedgerFill *x, const TeLedgerFill *y)
{
	const TeFill *a = &x->fill, *b = &y->fill;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->id.hi != b->id.hi)
		return a->id.hi < b->id.hi ? -1 : 1;
	return (a->id.lo > b->id.lo) - (a->id.lo < b->id.lo);
}

static int compare_kept(const void *x, const void *y)
{
	return te_ledger_fill_compare(&((const TeKeptFill *)x)->of, &((const TeKeptFill *)y)->of);
}

TeAccountFills *te_account_fills_find(const TeLedgerKey *key, int64 batch_no)
{
	TeAccountFills *all = kept != NULL ? hash_search(kept, key, HASH_FIND, NULL) : NULL;

	if (all == NULL || all->batch_no == 0)
		return NULL;
	if (all->batch_no == batch_no)
		return all;
	/* They are of a batch that came to nothing, whose number another one gets. */
	all->batch_no = 0;
	return NULL;
}

void te_account_fills_forget(TeAccountFills *all)
{
	TeLedgerKey key = all->key;

	kept_fills -= all->count;
	if (all->fills != NULL)
		pfree(all->fills);
	for (int i = 0; i < all->symbol_count; i++)
		pfree(all->symbols[i]);
	if (all->symbols != NULL)
		pfree(all->symbols);
	(void)hash_search(kept, &key, HASH_REMOVE, NULL);
}

void te_account_fills_replace(TeAccountFills *all, const TeLedgerFill *fills, int count)
{
	for (int i = 0; i < count; i++) {
		const TeKeptFill wanted = {.of = fills[i]};
		TeKeptFill *place =
			bsearch(&wanted, all->fills, all->count, sizeof(TeKeptFill), compare_kept);

		if (place == NULL)
			elog(ERROR, "a report that was stored isn't among those of its account");
		place->of.fill = fills[i].fill;
	}
}

void te_account_fills_merge(TeAccountFills *all, const TeLedgerFill *fills, int count)
{
	int old = all->count, place;
	TeKeptFill *added;

	for (int i = 0; i < count; i++)
		keep_fill(all, &fills[i]);
	if (old == 0 || count == 0 || compare_kept(&all->fills[old - 1], &all->fills[old]) < 0)
		return;
	added = palloc(sizeof(TeKeptFill) * count);
	memcpy(added, &all->fills[old], sizeof(TeKeptFill) * count);
	/* From the last one down; what is left when all new ones have their place is in its own. */
	for (place = all->count - 1; count > 0; place--) {
		bool takes_old = old > 0 && compare_kept(&all->fills[old - 1], &added[count - 1]) > 0;

		all->fills[place] = takes_old ? all->fills[--old] : added[--count];
	}
	pfree(added);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

/* Reports of one signal while an account is read, in the order of signals. */
typedef struct Reading
{
	TeAccountFills *account;
	TeTrade trade; /* its signal and reports */
	char symbol[TE_SYMBOL_MAX + 1];
} Reading;

static void end_signal(Reading *r)
{
	TeTrade *t = &r->trade;
	TeFill *fills;
	TeExecutionRepeats repeats;

	if (t->count == 0)
		return;
	t->count = te_executions_settle(t->reports, t->count, &repeats);
	fills = palloc(sizeof(TeFill) * t->count);
	te_trade_fills(t, t->reports, t->count, fills);
	for (int i = 0; i < t->count; i++) {
		const TeLedgerFill fill = {fills[i], r->symbol, t->lot_step, t->contract_size};

		if (te_trade_fill_counts(&t->reports[i]))
			keep_fill(r->account, &fill);
	}
	pfree(fills);
	t->count = 0;
}

static void read_report(TeRow *row, void *arg)
{
	Reading *r = arg;
	TeTrade *t = &r->trade;
	bytea *id = te_row_bytes(row, "signal");

	if (memcmp(VARDATA_ANY(id), t->signal_id, TE_UUID_BYTES) != 0) {
		end_signal(r);
		memcpy(t->signal_id, VARDATA_ANY(id), TE_UUID_BYTES);
		strlcpy(r->symbol, te_row_text(row, "symbol"), sizeof(r->symbol));
		t->side = (int)te_row_int(row, "side");
		t->conversion_rate = te_row_double(row, "conversion_rate");
		t->lot_step = te_row_double(row, "lot_step");
		t->contract_size = te_row_double(row, "contract_size");
	}
	te_trade_add_report(t, row);
}

/* Reports of a signal together; trading.trades has what there is to know of it. */
static TeStatement fills_query = {
	.sql = "SELECT pg_catalog.uuid_send(e.signal_id) AS signal, e.execution_id, e.status,"
		   "       e.executed_at, e.requested_price, e.executed_price, e.executed_size, e.profit,"
		   "       e.commission, t.symbol, t.side, t.conversion_rate, t.lot_step, t.contract_size"
		   "  FROM trading.executions AS e CROSS JOIN LATERAL ("
		   "SELECT x.* FROM trading.trades AS x"
		   " WHERE x.company_id OPERATOR(pg_catalog.=) e.company_id"
		   "   AND x.signal_id OPERATOR(pg_catalog.>=) e.signal_id"
		   "   AND x.signal_id OPERATOR(pg_catalog.<=) e.signal_id"
		   " ORDER BY x.company_id, x.signal_id LIMIT 1) AS t"
		   " WHERE e.company_id OPERATOR(pg_catalog.=) $1 AND e.user_id OPERATOR(pg_catalog.=) $2"
		   "   AND e.account_id OPERATOR(pg_catalog.=) $3 AND e.simulated OPERATOR(pg_catalog.=) $4"
		   " ORDER BY e.signal_id",
	.count = 4,
	.types = {TEXTOID, TEXTOID, TEXTOID, BOOLOID},
};

TeAccountFills *te_account_fills_read(const TeLedgerKey *key)
{
	Datum values[] = {CStringGetTextDatum(key->company_id), CStringGetTextDatum(key->user_id),
	                  CStringGetTextDatum(key->account_id), BoolGetDatum(key->simulated)};
	Reading r = {.trade = {.memory = CurrentMemoryContext}};
	bool found;

	make_room();
	r.account = hash_search(kept, key, HASH_ENTER, &found);
	if (!found)
		*r.account = (TeAccountFills){.key = *key};
	kept_fills -= r.account->count;
	r.account->count = 0;
	r.account->batch_no = 0;
	(void)te_statement_run(&fills_query, values, read_report, &r);
	end_signal(&r);
	qsort(r.account->fills, r.account->count, sizeof(TeKeptFill), compare_kept);
	return r.account;
}
