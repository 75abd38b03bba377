/*
 * ledgers.c - accounts and positions, from their newest rows or from all reports.
 */
#include "postgres.h"

#include "engine/ledgers.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Fills that are kept in memory for accounts that had to be folded anew. */
#define KEPT_FILLS 500000

#define POSITION_COLUMNS(X)                                                                        \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(account_id, text)                                                                            \
	X(symbol, text)                                                                                \
	X(simulated, bool)                                                                             \
	X(batch_no, int8)                                                                              \
	X(lane, int4)                                                                                  \
	X(first, bool)                                                                                 \
	X(side, int2)                                                                                  \
	X(lots, float8)                                                                                \
	X(average_open, float8)                                                                        \
	X(average_close, float8)                                                                       \
	X(realised, float8)                                                                            \
	X(total_realised, float8)                                                                      \
	X(total_commission, float8)                                                                    \
	X(opened_at, timestamptz)                                                                      \
	X(closed_at, timestamptz)                                                                      \
	X(fills, int8)                                                                                 \
	X(cycles, int8)                                                                                \
	X(steps, float8) X(closed_steps, float8) X(owed_steps, float8) X(lot_step, float8)

#define ACCOUNT_COLUMNS(X)                                                                         \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(account_id, text)                                                                            \
	X(simulated, bool)                                                                             \
	X(batch_no, int8)                                                                              \
	X(lane, int4)                                                                                  \
	X(realised, int8)                                                                              \
	X(peak, int8)                                                                                  \
	X(settled_peak, int8)                                                                          \
	X(day, date) X(day_start, int8) X(fills, int8) X(last_at, timestamptz) X(last_id, bytea)

#define COLUMN(name, type) {#name, #type},
#define POSITION_MEMBER(name, type) POSITION_##name,
#define ACCOUNT_MEMBER(name, type) ACCOUNT_##name,
enum { POSITION_COLUMNS(POSITION_MEMBER) POSITION_COLUMN_COUNT };
enum { ACCOUNT_COLUMNS(ACCOUNT_MEMBER) ACCOUNT_COLUMN_COUNT };
static const TeColumnSpec position_columns[] = {POSITION_COLUMNS(COLUMN)};
static const TeColumnSpec account_columns[] = {ACCOUNT_COLUMNS(COLUMN)};
static TeRowsSpec position_spec = {
	.table = "trading.position_history",
	.columns = position_columns,
	.column_count = lengthof(position_columns),
};
static TeRowsSpec account_spec = {
	.table = "trading.account_history",
	.columns = account_columns,
	.column_count = lengthof(account_columns),
};

/*----------------------------------------------------------------------
 * The batch's fills, by account
 *----------------------------------------------------------------------*/

typedef struct AccountKey
{
	char company_id[TE_ID_MAX + 1], user_id[TE_ID_MAX + 1], account_id[TE_ID_MAX + 1];
	bool simulated;
} AccountKey;

typedef struct AccountEntry
{
	AccountKey key;
	TeLedgerAccount *account;
} AccountEntry;

static AccountKey key_of(const char *company_id, const char *user_id, const char *account_id,
                         bool simulated)
{
	AccountKey key;

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
		.keysize = sizeof(AccountKey), .entrysize = sizeof(AccountEntry), .hcxt = context};

	*ledgers = (TeLedgers){.context = context};
	ledgers->by_key =
		hash_create("accounts of a batch", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static TeLedgerAccount *account_of(TeLedgers *ledgers, const TeTrade *t)
{
	AccountKey key = key_of(t->company_id, t->user_id, t->account_id, t->simulated);
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

static void add_fill(TeLedgerAccount *a, const TeLedgerFill *fill)
{
	if (a->count == a->capacity) {
		a->capacity = Max(16, 2 * a->capacity);
		a->fills = a->fills ? repalloc(a->fills, sizeof(TeLedgerFill) * a->capacity)
		                    : palloc(sizeof(TeLedgerFill) * a->capacity);
	}
	a->fills[a->count++] = *fill;
}

static void fills_of(const TeTrade *t, const TeExecution *reports, int count, TeFill *fills)
{
	const TeTradeTerms terms = {t->side, t->contract_size, t->conversion_rate};

	te_trade_fills(reports, count, &terms, fills);
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
static bool changes_old(const TeTrade *t, const bool *is_new, const TeFill *fills)
{
	TeExecution *old = palloc(sizeof(TeExecution) * t->count);
	TeFill *before = palloc(sizeof(TeFill) * t->count);
	int count = 0;

	for (int i = 0; i < t->count; i++)
		if (!is_new[i])
			old[count++] = t->reports[i];
	fills_of(t, old, count, before);
	for (int i = 0, o = 0; i < t->count; i++)
		if (!is_new[i] && !same_fill(&fills[i], &before[o++]))
			return true;
	return false;
}

void te_ledgers_add(TeLedgers *ledgers, const TeTrade *t, const bool *is_new)
{
	MemoryContext old = MemoryContextSwitchTo(ledgers->context);
	TeFill *fills = palloc(sizeof(TeFill) * t->count);
	TeLedgerAccount *a = NULL;

	fills_of(t, t->reports, t->count, fills);
	for (int i = 0; i < t->count; i++) {
		const TeLedgerFill fill = {fills[i], t->symbol, t->lot_step, t->contract_size};

		if (!is_new[i] || !te_trade_fill_counts(&t->reports[i]))
			continue;
		a = account_of(ledgers, t);
		add_fill(a, &fill);
	}
	if (a != NULL && changes_old(t, is_new, fills))
		a->anew = true;
	MemoryContextSwitchTo(old);
}

static int compare_fills(const void *x, const void *y)
{
	const TeFill *a = &((const TeLedgerFill *)x)->fill, *b = &((const TeLedgerFill *)y)->fill;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->id.hi != b->id.hi)
		return a->id.hi < b->id.hi ? -1 : 1;
	return (a->id.lo > b->id.lo) - (a->id.lo < b->id.lo);
}

/*----------------------------------------------------------------------
 * Newest rows
 *----------------------------------------------------------------------*/

static Datum text_array(Datum *texts, int count)
{
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum bool_array(Datum *values, int count)
{
	return PointerGetDatum(
		construct_array(values, count, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR));
}

static Datum id_datum(TeKey id)
{
	bytea *bytes = palloc(VARHDRSZ + sizeof(TeKey));

	SET_VARSIZE(bytes, VARHDRSZ + sizeof(TeKey));
	for (int i = 0; i < 8; i++) {
		VARDATA(bytes)[i] = (char)(id.hi >> (56 - 8 * i));
		VARDATA(bytes)[8 + i] = (char)(id.lo >> (56 - 8 * i));
	}
	return PointerGetDatum(bytes);
}

static TeKey id_from(bytea *bytes)
{
	TeKey id = {0, 0};

	for (int i = 0; bytes != NULL && i < 8; i++) {
		id.hi = id.hi << 8 | (uint8_t)VARDATA_ANY(bytes)[i];
		id.lo = id.lo << 8 | (uint8_t)VARDATA_ANY(bytes)[8 + i];
	}
	return id;
}

#define UNIX_EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

static void read_run(TeRow *row, TeAccountRun *run)
{
	run->realised = te_row_int(row, "realised");
	run->settled_peak = te_row_int(row, "settled_peak");
	run->day_start = te_row_int(row, "day_start");
	run->fills = te_row_int(row, "fills");
	run->day = te_row_int(row, "day_number") * TE_USEC_PER_DAY;
	run->last_at = te_row_time(row, "last_at");
	run->last_id = id_from(te_row_bytes(row, "last_id"));
}

static void read_position(TeRow *row, TeLedgerPosition *p)
{
	p->first = false;
	p->lot_step = te_row_double(row, "lot_step");
	p->state = (TePosition){
		.steps = te_row_double(row, "steps"),
		.average_open = te_row_double(row, "average_open"),
		.average_close = te_row_double(row, "average_close"),
		.closed_steps = te_row_double(row, "closed_steps"),
		.side = (int)te_row_int(row, "side"),
		.realised = te_row_double(row, "realised"),
		.total_realised = te_row_double(row, "total_realised"),
		.total_commission = te_row_double(row, "total_commission"),
		.opened_at = te_row_time(row, "opened_at"),
		.closed_at = te_row_time(row, "closed_at"),
		.fills = te_row_int(row, "fills"),
		.cycles = te_row_int(row, "cycles"),
		.owed_steps = te_row_double(row, "owed_steps"),
	};
}

#define ACCOUNT_FIELDS                                                                             \
	" n.batch_no, n.realised, n.settled_peak, n.day_start, n.fills, n.last_at, n.last_id,"         \
	" (n.day OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8 AS day_number"

static TeStatement accounts_query = {
	.sql = "SELECT r.n AS place, h.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
		   "       pg_catalog.unnest($3), pg_catalog.unnest($4))"
		   "       WITH ORDINALITY AS r (company_id, user_id, account_id, simulated, n)"
		   " CROSS JOIN LATERAL (SELECT" ACCOUNT_FIELDS "  FROM trading.account_history AS n"
		   " WHERE n.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND n.user_id OPERATOR(pg_catalog.=) r.user_id"
		   "   AND n.account_id OPERATOR(pg_catalog.=) r.account_id"
		   "   AND n.simulated OPERATOR(pg_catalog.=) r.simulated"
		   " ORDER BY n.batch_no DESC LIMIT 1) AS h",
	.count = 4,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID},
};

static TeStatement positions_query = {
	.sql = "SELECT r.n AS place, h.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
		   "       pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))"
		   "       WITH ORDINALITY AS r (company_id, user_id, account_id, simulated, symbol, n)"
		   " CROSS JOIN LATERAL (SELECT n.* FROM trading.position_history AS n"
		   " WHERE n.company_id OPERATOR(pg_catalog.=) r.company_id"
		   "   AND n.user_id OPERATOR(pg_catalog.=) r.user_id"
		   "   AND n.account_id OPERATOR(pg_catalog.=) r.account_id"
		   "   AND n.simulated OPERATOR(pg_catalog.=) r.simulated"
		   "   AND n.symbol OPERATOR(pg_catalog.=) r.symbol"
		   " ORDER BY n.batch_no DESC LIMIT 1) AS h",
	.count = 5,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID, TEXTARRAYOID},
};

static void take_account(TeRow *row, void *arg)
{
	TeLedgers *ledgers = arg;
	TeLedgerAccount *a = list_nth(ledgers->accounts, (int)te_row_int(row, "place") - 1);

	a->batch_no = te_row_int(row, "batch_no");
	read_run(row, &a->run);
}

/* The positions of a batch, in the order in which they are asked for. */
static void take_position(TeRow *row, void *arg)
{
	TeLedgerPosition **positions = arg;

	read_position(row, positions[te_row_int(row, "place") - 1]);
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

/* A place in the arrays of a query. */
static void set_key(Datum *columns[4], int i, const TeLedgerAccount *a)
{
	columns[0][i] = CStringGetTextDatum(a->company_id);
	columns[1][i] = CStringGetTextDatum(a->user_id);
	columns[2][i] = CStringGetTextDatum(a->account_id);
	columns[3][i] = BoolGetDatum(a->simulated);
}

static void read_accounts(TeLedgers *ledgers)
{
	int count = list_length(ledgers->accounts), i = 0;
	Datum *columns[4], values[4];
	ListCell *cell;

	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * count);
	foreach (cell, ledgers->accounts)
		set_key(columns, i++, lfirst(cell));
	for (int c = 0; c < 3; c++)
		values[c] = text_array(columns[c], count);
	values[3] = bool_array(columns[3], count);
	(void)te_statement_run(&accounts_query, values, take_account, ledgers);
}

/* The positions that the batch's fills are of, with their newest rows. */
static void read_positions(TeLedgers *ledgers)
{
	int count = 0, i = 0;
	Datum *columns[4], *symbols, values[5];
	TeLedgerPosition **positions;
	ListCell *cell, *inner;

	foreach (cell, ledgers->accounts) {
		TeLedgerAccount *a = lfirst(cell);

		for (int f = 0; f < a->count; f++)
			(void)position_of(a, a->fills[f].symbol, a->fills[f].lot_step);
		count += list_length(a->positions);
	}
	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * count);
	symbols = palloc(sizeof(Datum) * count);
	positions = palloc(sizeof(TeLedgerPosition *) * count);
	foreach (cell, ledgers->accounts) {
		TeLedgerAccount *a = lfirst(cell);

		foreach (inner, a->positions) {
			positions[i] = lfirst(inner);
			symbols[i] = CStringGetTextDatum(positions[i]->symbol);
			set_key(columns, i++, a);
		}
	}
	for (int c = 0; c < 3; c++)
		values[c] = text_array(columns[c], count);
	values[3] = bool_array(columns[3], count);
	values[4] = text_array(symbols, count);
	(void)te_statement_run(&positions_query, values, take_position, positions);
}

/*----------------------------------------------------------------------
 * What is kept of accounts that were folded anew
 *----------------------------------------------------------------------*/

typedef struct KeptFill
{
	TeLedgerFill of; /* its symbol is one of the account's own */
	int symbol;
} KeptFill;

/* All fills of an account, in order, as of its row of a batch. */
typedef struct KeptAccount
{
	AccountKey key;
	int64 batch_no; /* if that isn't the account's newest row, this isn't what it says */
	KeptFill *fills;
	int count, capacity;
	char **symbols;
	int symbol_count, symbol_capacity;
} KeptAccount;

static MemoryContext kept_memory; /* of what is kept, and its table */
static HTAB *kept;
static int64 kept_fills;

static void make_room(void)
{
	HASHCTL control = {.keysize = sizeof(AccountKey), .entrysize = sizeof(KeptAccount)};

	if (kept != NULL && kept_fills < KEPT_FILLS)
		return;
	if (kept_memory == NULL)
		kept_memory =
			AllocSetContextCreate(TopMemoryContext, "fills of accounts", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(kept_memory);
	control.hcxt = kept_memory;
	kept = hash_create("fills of accounts", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kept_fills = 0;
}

static int symbol_of(KeptAccount *k, const char *symbol)
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

static void keep_fill(KeptAccount *k, const TeLedgerFill *fill)
{
	KeptFill *place;

	if (k->count == k->capacity) {
		k->capacity = Max(64, 2 * k->capacity);
		k->fills = k->fills ? repalloc_huge(k->fills, sizeof(KeptFill) * k->capacity)
		                    : MemoryContextAllocHuge(kept_memory, sizeof(KeptFill) * k->capacity);
	}
	place = &k->fills[k->count++];
	place->of = *fill;
	place->symbol = symbol_of(k, fill->symbol);
	place->of.symbol = k->symbols[place->symbol];
	kept_fills++;
}

/* Reports of one signal while an account is read, in the order of signals. */
typedef struct Reading
{
	KeptAccount *account;
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
	fills_of(t, t->reports, t->count, fills);
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
		   "   AND x.signal_id OPERATOR(pg_catalog.=) e.signal_id LIMIT 1) AS t"
		   " WHERE e.company_id OPERATOR(pg_catalog.=) $1 AND e.user_id OPERATOR(pg_catalog.=) $2"
		   "   AND e.account_id OPERATOR(pg_catalog.=) $3 AND e.simulated OPERATOR(pg_catalog.=) $4"
		   " ORDER BY e.signal_id",
	.count = 4,
	.types = {TEXTOID, TEXTOID, TEXTOID, BOOLOID},
};

static int compare_kept(const void *x, const void *y)
{
	return compare_fills(&((const KeptFill *)x)->of, &((const KeptFill *)y)->of);
}

/* Everything that the transaction sees of an account, the batch's own reports included. */
static KeptAccount *read_kept(const TeLedgerAccount *a, const AccountKey *key)
{
	Datum values[] = {CStringGetTextDatum(a->company_id), CStringGetTextDatum(a->user_id),
	                  CStringGetTextDatum(a->account_id), BoolGetDatum(a->simulated)};
	Reading r = {.trade = {.memory = CurrentMemoryContext}};
	bool found;

	make_room();
	r.account = hash_search(kept, key, HASH_ENTER, &found);
	if (!found)
		*r.account = (KeptAccount){.key = *key};
	kept_fills -= r.account->count;
	r.account->count = 0;
	r.account->batch_no = 0;
	(void)te_statement_run(&fills_query, values, read_report, &r);
	end_signal(&r);
	qsort(r.account->fills, r.account->count, sizeof(KeptFill), compare_kept);
	return r.account;
}

/* What is kept of an account, if it is what its newest row says. */
static KeptAccount *find_kept(const TeLedgerAccount *a, const AccountKey *key)
{
	KeptAccount *k = kept != NULL ? hash_search(kept, key, HASH_FIND, NULL) : NULL;

	return k != NULL && k->batch_no == a->batch_no && k->batch_no > 0 ? k : NULL;
}

/* The batch's fills, which are in order, among those that are kept. */
static void merge_kept(KeptAccount *k, const TeLedgerAccount *a)
{
	bool in_order = k->count == 0 || compare_fills(&k->fills[k->count - 1].of, &a->fills[0]) < 0;

	for (int i = 0; i < a->count; i++)
		keep_fill(k, &a->fills[i]);
	if (!in_order)
		qsort(k->fills, k->count, sizeof(KeptFill), compare_kept);
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
	const TeFill *first = &a->fills[0].fill;

	if (a->anew || !te_account_run_follows(&a->run, first->at, first->id))
		return false;
	for (int i = 0; i < a->count; i++) {
		const TeLedgerFill *f = &a->fills[i];
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
	for (int i = 0; i < a->count; i++) {
		TeLedgerPosition *p = position_of(a, a->fills[i].symbol, 0);

		fold(&a->run, &p->state, p->lot_step, &a->fills[i]);
	}
}

/* From the first fill to the last, in the smallest steps of each position's signals. */
static void fold_anew(TeLedgerAccount *a, const KeptAccount *k)
{
	TePosition *positions = palloc(sizeof(TePosition) * k->symbol_count);
	double *steps = palloc(sizeof(double) * k->symbol_count);
	ListCell *cell;

	for (int i = 0; i < k->symbol_count; i++) {
		te_position_init(&positions[i]);
		steps[i] = INFINITY;
	}
	for (int i = 0; i < k->count; i++)
		steps[k->fills[i].symbol] = fmin(steps[k->fills[i].symbol], k->fills[i].of.lot_step);
	te_account_run_begin(&a->run);
	for (int i = 0; i < k->count; i++) {
		const KeptFill *f = &k->fills[i];

		fold(&a->run, &positions[f->symbol], steps[f->symbol], &f->of);
	}
	foreach (cell, a->positions) {
		TeLedgerPosition *p = lfirst(cell);

		for (int i = 0; i < k->symbol_count; i++)
			if (strcmp(k->symbols[i], p->symbol) == 0) {
				p->state = positions[i];
				p->lot_step = steps[i];
			}
	}
	pfree(positions);
	pfree(steps);
}

static void settle(TeLedgerAccount *a, int64 batch_no)
{
	AccountKey key = key_of(a->company_id, a->user_id, a->account_id, a->simulated);
	KeptAccount *k = a->anew ? NULL : find_kept(a, &key);

	qsort(a->fills, a->count, sizeof(TeLedgerFill), compare_fills);
	if (k != NULL) {
		k->batch_no = 0; /* until it is what a row says again */
		merge_kept(k, a);
	}
	if (goes_on(a)) {
		fold_on(a);
	} else {
		if (k == NULL)
			k = read_kept(a, &key);
		fold_anew(a, k);
	}
	if (k != NULL)
		k->batch_no = batch_no;
}

/*----------------------------------------------------------------------
 * Rows
 *----------------------------------------------------------------------*/

static void add_account_row(TeRows *rows, const TeLedgerAccount *a, int lane, int64 batch_no)
{
	const TeAccountRun *run = &a->run;
	int row = te_rows_add(rows);

	te_rows_set_text(rows, row, ACCOUNT_company_id, a->company_id);
	te_rows_set_text(rows, row, ACCOUNT_user_id, a->user_id);
	te_rows_set_text(rows, row, ACCOUNT_account_id, a->account_id);
	te_rows_set(rows, row, ACCOUNT_simulated, BoolGetDatum(a->simulated));
	te_rows_set(rows, row, ACCOUNT_batch_no, Int64GetDatum(batch_no));
	te_rows_set(rows, row, ACCOUNT_lane, Int32GetDatum(lane));
	te_rows_set(rows, row, ACCOUNT_realised, Int64GetDatum(run->realised));
	te_rows_set(rows, row, ACCOUNT_peak, Int64GetDatum(te_account_run_peak(run)));
	te_rows_set(rows, row, ACCOUNT_settled_peak, Int64GetDatum(run->settled_peak));
	te_rows_set(rows, row, ACCOUNT_day,
	            DateADTGetDatum((DateADT)(run->day / TE_USEC_PER_DAY - UNIX_EPOCH_DAYS)));
	te_rows_set(rows, row, ACCOUNT_day_start, Int64GetDatum(run->day_start));
	te_rows_set(rows, row, ACCOUNT_fills, Int64GetDatum(run->fills));
	te_rows_set_time(rows, row, ACCOUNT_last_at, run->last_at);
	te_rows_set(rows, row, ACCOUNT_last_id, id_datum(run->last_id));
}

static void add_position_row(TeRows *rows, const TeLedgerAccount *a, const TeLedgerPosition *p,
                             int lane, int64 batch_no)
{
	const TePosition *s = &p->state;
	const TePositionTerms terms = {1, te_grid(p->lot_step)};
	int row = te_rows_add(rows);

	te_rows_set_text(rows, row, POSITION_company_id, a->company_id);
	te_rows_set_text(rows, row, POSITION_user_id, a->user_id);
	te_rows_set_text(rows, row, POSITION_account_id, a->account_id);
	te_rows_set_text(rows, row, POSITION_symbol, p->symbol);
	te_rows_set(rows, row, POSITION_simulated, BoolGetDatum(a->simulated));
	te_rows_set(rows, row, POSITION_batch_no, Int64GetDatum(batch_no));
	te_rows_set(rows, row, POSITION_lane, Int32GetDatum(lane));
	te_rows_set(rows, row, POSITION_first, BoolGetDatum(p->first));
	te_rows_set(rows, row, POSITION_side, Int16GetDatum((int16)s->side));
	te_rows_set_double(rows, row, POSITION_lots, te_position_lots(s, &terms));
	te_rows_set_double(rows, row, POSITION_average_open, s->average_open);
	te_rows_set_double(rows, row, POSITION_average_close, s->average_close);
	te_rows_set_double(rows, row, POSITION_realised, s->realised);
	te_rows_set_double(rows, row, POSITION_total_realised, s->total_realised);
	te_rows_set_double(rows, row, POSITION_total_commission, s->total_commission);
	te_rows_set_time(rows, row, POSITION_opened_at, s->opened_at);
	te_rows_set_time(rows, row, POSITION_closed_at, s->closed_at);
	te_rows_set(rows, row, POSITION_fills, Int64GetDatum(s->fills));
	te_rows_set(rows, row, POSITION_cycles, Int64GetDatum(s->cycles));
	te_rows_set_double(rows, row, POSITION_steps, s->steps);
	te_rows_set_double(rows, row, POSITION_closed_steps, s->closed_steps);
	te_rows_set_double(rows, row, POSITION_owed_steps, s->owed_steps);
	te_rows_set_double(rows, row, POSITION_lot_step, p->lot_step);
}

void te_ledgers_store(TeLedgers *ledgers, int lane, int64 batch_no)
{
	MemoryContext old = MemoryContextSwitchTo(ledgers->context);
	TeRows accounts, positions;
	ListCell *cell, *inner;

	if (ledgers->accounts != NIL) {
		te_rows_init(&accounts, &account_spec, ledgers->context);
		te_rows_init(&positions, &position_spec, ledgers->context);
		read_accounts(ledgers);
		read_positions(ledgers);
		foreach (cell, ledgers->accounts) {
			TeLedgerAccount *a = lfirst(cell);

			settle(a, batch_no);
			add_account_row(&accounts, a, lane, batch_no);
			foreach (inner, a->positions)
				add_position_row(&positions, a, lfirst(inner), lane, batch_no);
		}
		te_rows_insert(&accounts);
		te_rows_insert(&positions);
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

	read_run(row, &run);
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
	" CROSS JOIN LATERAL (SELECT" ACCOUNT_FIELDS "  FROM trading.account_history AS n"             \
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
