/*
 * ledger_rows.c - see ledger_rows.h.
 */
#include "postgres.h"

#include "engine/ledger_rows.h"
#include "engine/rows.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"

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
 * Newest rows
 *----------------------------------------------------------------------*/

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

void te_ledger_rows_take_run(TeRow *row, TeAccountRun *run)
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

static TeStatement accounts_query = {
	.sql = "SELECT r.n AS place, h.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
		   "       pg_catalog.unnest($3), pg_catalog.unnest($4))"
		   "       WITH ORDINALITY AS r (company_id, user_id, account_id, simulated, n)"
		   " CROSS JOIN LATERAL (SELECT" TE_ACCOUNT_RUN_FIELDS "  FROM trading.account_history AS n"
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
	te_ledger_rows_take_run(row, &a->run);
}

/* The positions of a batch, in the order in which they are asked for. */
static void take_position(TeRow *row, void *arg)
{
	TeLedgerPosition **positions = arg;

	read_position(row, positions[te_row_int(row, "place") - 1]);
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
		values[c] = te_text_array(columns[c], count);
	values[3] = te_bool_array(columns[3], count);
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
		values[c] = te_text_array(columns[c], count);
	values[3] = te_bool_array(columns[3], count);
	values[4] = te_text_array(symbols, count);
	(void)te_statement_run(&positions_query, values, take_position, positions);
}

void te_ledger_rows_read(TeLedgers *ledgers)
{
	read_accounts(ledgers);
	read_positions(ledgers);
}

/*----------------------------------------------------------------------
 * New rows
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

void te_ledger_rows_insert(const TeLedgers *ledgers, int lane, int64 batch_no)
{
	TeRows accounts, positions;
	ListCell *cell, *inner;

	te_rows_init(&accounts, &account_spec, ledgers->context);
	te_rows_init(&positions, &position_spec, ledgers->context);
	foreach (cell, ledgers->accounts) {
		const TeLedgerAccount *a = lfirst(cell);

		add_account_row(&accounts, a, lane, batch_no);
		foreach (inner, a->positions)
			add_position_row(&positions, a, lfirst(inner), lane, batch_no);
	}
	te_rows_insert(&accounts);
	te_rows_insert(&positions);
}
