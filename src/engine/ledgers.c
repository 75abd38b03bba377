/*
 * ledgers.c - accounts and positions: what a batch's fills make of them.
 */
#include "postgres.h"

#include "engine/ledger_rows.h"
#include "engine/ledgers.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/*----------------------------------------------------------------------
 * The batch's fills, by account
 *----------------------------------------------------------------------*/

typedef struct AccountEntry
{
	TeLedgerKey key;
	TeLedgerAccount *account;
} AccountEntry;

static TeLedgerKey key_of(const char *company_id, const char *user_id, const char *account_id,
                          bool simulated)
{
	TeLedgerKey key;

	memset(&key, 0, sizeof(key));
	strlcpy(key.company_id, company_id, sizeof(key.company_id));
	strlcpy(key.user_id, user_id, sizeof(key.user_id));
	strlcpy(key.account_id, account_id, sizeof(key.account_id));
	key.simulated = simulated;
	return key;
}

void te_ledgers_begin(TeLedgers *ledgers, MemoryContext context)
{
	HASHCTL control = {
		.keysize = sizeof(TeLedgerKey), .entrysize = sizeof(AccountEntry), .hcxt = context};

	*ledgers = (TeLedgers){.context = context};
	ledgers->by_key =
		hash_create("accounts of a batch", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static TeLedgerAccount *account_of(TeLedgers *ledgers, const TeTrade *t)
{
	TeLedgerKey key = key_of(t->company_id, t->user_id, t->account_id, t->simulated);
	bool found;
	AccountEntry *entry = hash_search(ledgers->by_key, &key, HASH_ENTER, &found);

	if (!found) {
		entry->account = palloc0(sizeof(TeLedgerAccount));
		entry->account->company_id = t->company_id;
		entry->account->user_id = t->user_id;
		entry->account->account_id = t->account_id;
		entry->account->simulated = t->simulated;
		te_account_run_begin(&entry->account->run);
		ledgers->accounts = lappend(ledgers->accounts, entry->account);
	}
	return entry->account;
}

static TeLedgerPosition *position_of(TeLedgerAccount *a, const char *symbol, double lot_step)
{
	ListCell *cell;
	TeLedgerPosition *p;

	foreach (cell, a->positions) {
		p = lfirst(cell);
		if (strcmp(p->symbol, symbol) == 0)
			return p;
	}
	p = palloc0(sizeof(TeLedgerPosition));
	p->symbol = symbol;
	p->first = true;
	p->lot_step = lot_step;
	te_position_init(&p->state);
	a->positions = lappend(a->positions, p);
	return p;
}

static void add_fill(TeLedgerFills *to, const TeLedgerFill *fill)
{
	if (to->count == to->capacity) {
		to->capacity = Max(16, 2 * to->capacity);
		to->list = to->list ? repalloc(to->list, sizeof(TeLedgerFill) * to->capacity)
		                    : palloc(sizeof(TeLedgerFill) * to->capacity);
	}
	to->list[to->count++] = *fill;
}

static TeLedgerFill fill_of(const TeTrade *t, const TeFill *fill)
{
	return (TeLedgerFill){*fill, t->symbol, t->lot_step, t->contract_size};
}

static bool same_fill(const TeFill *a, const TeFill *b)
{
	return a->lots == b->lots && a->difference == b->difference &&
	       te_known(a->profit) == te_known(b->profit) &&
	       (a->price == b->price || !te_known(a->price));
}

/*
 * What a close does depends on the other reports about its order.  Where a new one changes what an
 * old one did, what was folded from that isn't right any more.
 */
static void add_amended(TeLedgerAccount *a, const TeTrade *t, const bool *is_new,
                        const TeFill *fills)
{
	TeExecution *old = palloc(sizeof(TeExecution) * t->count);
	TeFill *before = palloc(sizeof(TeFill) * t->count);
	int count = 0;

	for (int i = 0; i < t->count; i++)
		if (!is_new[i])
			old[count++] = t->reports[i];
	te_trade_fills(t, old, count, before);
	for (int i = 0, o = 0; i < t->count; i++) {
		const TeLedgerFill fill = fill_of(t, &fills[i]);

		if (!is_new[i] && !same_fill(&fills[i], &before[o++]))
			add_fill(&a->amended, &fill);
	}
}

void te_ledgers_add(TeLedgers *ledgers, const TeTrade *t, const bool *is_new)
{
	MemoryContext old = MemoryContextSwitchTo(ledgers->context);
	TeFill *fills = palloc(sizeof(TeFill) * t->count);
	TeLedgerAccount *a = NULL;

	te_trade_fills(t, t->reports, t->count, fills);
	for (int i = 0; i < t->count; i++) {
		const TeLedgerFill fill = fill_of(t, &fills[i]);

		if (!is_new[i] || !te_trade_fill_counts(&t->reports[i]))
			continue;
		a = account_of(ledgers, t);
		add_fill(&a->fills, &fill);
		(void)position_of(a, fill.symbol, fill.lot_step);
	}
	if (a != NULL)
		add_amended(a, t, is_new, fills);
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * Folding
 *----------------------------------------------------------------------*/

/* Add a fill to its position, and what it earned to the account. */
static void fold(TeAccountRun *run, TePosition *p, double lot_step, const TeLedgerFill *f)
{
	TePositionTerms terms = {f->contract_size, te_grid(lot_step)};
	int64 before = te_book_amount(p->total_realised);

	te_position_add(p, &terms, &f->fill);
	te_account_run_add(run, f->fill.at, f->fill.id, te_book_amount(p->total_realised) - before);
}

/* Does all that is new come after all that was there, in the steps in which that is counted? */
static bool goes_on(TeLedgerAccount *a)
{
	const TeFill *first = &a->fills.list[0].fill;

	if (a->amended.count > 0 || !te_account_run_follows(&a->run, first->at, first->id))
		return false;
	for (int i = 0; i < a->fills.count; i++) {
		const TeLedgerFill *f = &a->fills.list[i];
		TeLedgerPosition *p = position_of(a, f->symbol, f->lot_step);

		if (f->lot_step < p->lot_step) {
			if (!p->first)
				return false;
			p->lot_step = f->lot_step;
		}
	}
	return true;
}

static void fold_on(TeLedgerAccount *a)
{
	for (int i = 0; i < a->fills.count; i++) {
		TeLedgerPosition *p = position_of(a, a->fills.list[i].symbol, 0);

		fold(&a->run, &p->state, p->lot_step, &a->fills.list[i]);
	}
}

/* From the first fill to the last, in the smallest steps of each position's signals. */
static void fold_anew(TeLedgerAccount *a, const TeAccountFills *all)
{
	TePosition *positions = palloc(sizeof(TePosition) * all->symbol_count);
	double *steps = palloc(sizeof(double) * all->symbol_count);
	ListCell *cell;

	for (int i = 0; i < all->symbol_count; i++) {
		te_position_init(&positions[i]);
		steps[i] = INFINITY;
	}
	for (int i = 0; i < all->count; i++)
		steps[all->fills[i].symbol] = fmin(steps[all->fills[i].symbol], all->fills[i].of.lot_step);
	te_account_run_begin(&a->run);
	for (int i = 0; i < all->count; i++) {
		const TeKeptFill *f = &all->fills[i];

		fold(&a->run, &positions[f->symbol], steps[f->symbol], &f->of);
	}
	foreach (cell, a->positions) {
		TeLedgerPosition *p = lfirst(cell);

		for (int i = 0; i < all->symbol_count; i++)
			if (strcmp(all->symbols[i], p->symbol) == 0) {
				p->state = positions[i];
				p->lot_step = steps[i];
			}
	}
	pfree(positions);
	pfree(steps);
}

static int compare_fills(const void *a, const void *b)
{
	return te_ledger_fill_compare(a, b);
}

static void settle(TeLedgerAccount *a, int64 batch_no)
{
	TeLedgerKey key = key_of(a->company_id, a->user_id, a->account_id, a->simulated);
	TeAccountFills *all = te_account_fills_find(&key, a->batch_no);
	bool in_order;

	qsort(a->fills.list, a->fills.count, sizeof(TeLedgerFill), compare_fills);
	in_order = goes_on(a);
	if (all != NULL && in_order && te_account_fills_full()) {
		te_account_fills_forget(all);
		all = NULL;
	}
	if (all != NULL) {
		all->batch_no = 0; /* until it is what a row says again */
		te_account_fills_replace(all, a->amended.list, a->amended.count);
		te_account_fills_merge(all, a->fills.list, a->fills.count);
	}
	if (in_order)
		fold_on(a);
	else {
		if (all == NULL)
			all = te_account_fills_read(&key);
		fold_anew(a, all);
	}
	if (all != NULL)
		all->batch_no = batch_no;
}

void te_ledgers_store(TeLedgers *ledgers, int lane, int64 batch_no)
{
	MemoryContext old = MemoryContextSwitchTo(ledgers->context);
	ListCell *cell;

	if (ledgers->accounts != NIL) {
		te_ledger_rows_read(ledgers);
		foreach (cell, ledgers->accounts)
			settle(lfirst(cell), batch_no);
		te_ledger_rows_insert(ledgers, lane, batch_no);
	}
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * What decisions see
 *----------------------------------------------------------------------*/

static void tell_account(TeExposure *exposure, const char *company_id, const char *user_id,
                         const char *account_id, const TeAccountRun *run)
{
	const TeAccountResults results = {
		.realised = run->realised,
		.peak = te_account_run_peak(run),
		.day_start = run->day_start,
		.day_starts_at = run->day,
	};

	te_exposure_set_results(exposure, company_id, user_id, account_id, &results);
}

void te_ledgers_tell(const TeLedgers *ledgers, TeExposure *exposure, bool simulated)
{
	ListCell *cell, *inner;

	foreach (cell, ledgers->accounts) {
		const TeLedgerAccount *a = lfirst(cell);

		if (a->simulated != simulated)
			continue;
		tell_account(exposure, a->company_id, a->user_id, a->account_id, &a->run);
		foreach (inner, a->positions) {
			const TeLedgerPosition *p = lfirst(inner);
			const TePositionTerms terms = {1, te_grid(p->lot_step)};

			te_exposure_set_position(exposure, a->company_id, a->user_id, a->account_id, p->symbol,
			                         te_position_lots(&p->state, &terms));
		}
	}
}

static void load_account(TeRow *row, void *arg)
{
	TeAccountRun run;

	te_ledger_rows_take_run(row, &run);
	tell_account(arg, te_row_text(row, "company_id"), te_row_text(row, "user_id"),
	             te_row_text(row, "account_id"), &run);
}

static void load_position(TeRow *row, void *arg)
{
	te_exposure_set_position(arg, te_row_text(row, "company_id"), te_row_text(row, "user_id"),
	                         te_row_text(row, "account_id"), te_row_text(row, "symbol"),
	                         te_row_double(row, "lots"));
}

/* Accounts are those of the positions that there are. */
#define LANE_KEYS                                                                                  \
	"  FROM trading.position_history AS k"                                                         \
	" WHERE k.first AND k.simulated OPERATOR(pg_catalog.=) $3"                                     \
	"   AND trading.lane_of(k.company_id, $2) OPERATOR(pg_catalog.=) $1"

#define LOAD_ACCOUNTS                                                                              \
	"SELECT r.company_id, r.user_id, r.account_id, h.*"                                            \
	"  FROM (SELECT DISTINCT k.company_id, k.user_id, k.account_id" LANE_KEYS ") AS r"             \
	" CROSS JOIN LATERAL (SELECT" TE_ACCOUNT_RUN_FIELDS "  FROM trading.account_history AS n"      \
	" WHERE n.company_id OPERATOR(pg_catalog.=) r.company_id"                                      \
	"   AND n.user_id OPERATOR(pg_catalog.=) r.user_id"                                            \
	"   AND n.account_id OPERATOR(pg_catalog.=) r.account_id"                                      \
	"   AND n.simulated OPERATOR(pg_catalog.=) $3"                                                 \
	" ORDER BY n.batch_no DESC LIMIT 1) AS h"

#define LOAD_POSITIONS                                                                             \
	"SELECT r.company_id, r.user_id, r.account_id, r.symbol, h.lots"                               \
	"  FROM (SELECT k.company_id, k.user_id, k.account_id, k.symbol" LANE_KEYS ") AS r"            \
	" CROSS JOIN LATERAL (SELECT n.lots FROM trading.position_history AS n"                        \
	" WHERE n.company_id OPERATOR(pg_catalog.=) r.company_id"                                      \
	"   AND n.user_id OPERATOR(pg_catalog.=) r.user_id"                                            \
	"   AND n.account_id OPERATOR(pg_catalog.=) r.account_id"                                      \
	"   AND n.symbol OPERATOR(pg_catalog.=) r.symbol"                                              \
	"   AND n.simulated OPERATOR(pg_catalog.=) $3"                                                 \
	" ORDER BY n.batch_no DESC LIMIT 1) AS h"                                                      \
	" WHERE h.lots OPERATOR(pg_catalog.<>) 0"

void te_ledgers_load(TeExposure *exposure, int lane, int lane_count, bool simulated)
{
	Oid types[] = {INT4OID, INT4OID, BOOLOID};
	Datum values[] = {Int32GetDatum(lane), Int32GetDatum(lane_count), BoolGetDatum(simulated)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};

	te_query_each(LOAD_ACCOUNTS, &args, load_account, exposure);
	te_query_each(LOAD_POSITIONS, &args, load_position, exposure);
}
