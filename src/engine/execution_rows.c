/*
 * execution_rows.c - see execution_rows.h.
 */
#include "postgres.h"

#include "engine/execution_rows.h"
#include "engine/guc.h"
#include "engine/query.h"
#include "engine/rows.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define EXECUTION_COLUMNS(X)                                                                       \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(execution_id, text)                                                                          \
	X(signal_id, uuid)                                                                             \
	X(account_id, text)                                                                            \
	X(symbol, text)                                                                                \
	X(leg, int4)                                                                                   \
	X(status, text)                                                                                \
	X(requested_price, float8)                                                                     \
	X(executed_price, float8)                                                                      \
	X(executed_size, float8)                                                                       \
	X(profit, float8)                                                                              \
	X(commission, float8)                                                                          \
	X(executed_at, timestamptz)                                                                    \
	X(reason, text)                                                                                \
	X(broker_order_id, text)                                                                       \
	X(side, int2)                                                                                  \
	X(conversion_rate, float8)                                                                     \
	X(flag, text)                                                                                  \
	X(conflicts, int4)                                                                             \
	X(simulated, bool)                                                                             \
	X(content_hash, bytea)                                                                         \
	X(source, text)                                                                                \
	X(input_seq, int8)                                                                             \
	X(producer_id, text)                                                                           \
	X(correlation_id, text) X(lane, int4) X(batch_no, int8) X(position, int4)

#define COLUMN(name, type) {#name, #type},
#define MEMBER(name, type) EXECUTION_##name,
enum { EXECUTION_COLUMNS(MEMBER) EXECUTION_COLUMN_COUNT };
static const TeColumnSpec execution_columns[] = {EXECUTION_COLUMNS(COLUMN)};
static TeRowsSpec execution_spec = {
	.table = "trading.executions",
	.columns = execution_columns,
	.column_count = lengthof(execution_columns),
};

/*----------------------------------------------------------------------
 * What is there
 *----------------------------------------------------------------------*/

/*
 * A range of one id, in its order: that leaves the primary key as the only index that needs no
 * sort.  By a plan of when the table was small another one would do as well, which finds all that
 * a user has ever reported.
 */
#define BY_NAME                                                                                    \
	" WHERE k.company_id OPERATOR(pg_catalog.=) r.company_id"                                      \
	"   AND k.user_id OPERATOR(pg_catalog.=) r.user_id"                                            \
	"   AND k.execution_id OPERATOR(pg_catalog.>=) r.execution_id"                                 \
	"   AND k.execution_id OPERATOR(pg_catalog.<=) r.execution_id"                                 \
	" ORDER BY k.company_id, k.user_id, k.execution_id LIMIT 1"

static TeStatement known_query = {
	.sql = "SELECT r.n, e.content_hash"
		   "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		   "       WITH ORDINALITY AS r (company_id, user_id, execution_id, n)"
		   " CROSS JOIN LATERAL ("
		   "SELECT k.content_hash FROM trading.executions AS k" BY_NAME ") AS e",
	.count = 3,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID},
};

static TeStatement conflicts_update = {
	.sql = "UPDATE trading.executions AS e"
		   "   SET conflicts = e.conflicts OPERATOR(pg_catalog.+) c.conflicts"
		   "  FROM (SELECT r.conflicts, x.ctid"
		   "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
		   "       pg_catalog.unnest($4)) AS r (company_id, user_id, execution_id, conflicts)"
		   " CROSS JOIN LATERAL ("
		   "SELECT k.ctid FROM trading.executions AS k" BY_NAME ") AS x) AS c"
		   " WHERE e.ctid OPERATOR(pg_catalog.=) c.ctid",
	.count = 4,
	.types = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID},
};

/* Names of reports as arrays for a statement. */
typedef struct Names
{
	Datum *companies, *users, *executions, *conflicts;
	int count;
} Names;

static Names names_for(int count)
{
	return (Names){palloc(sizeof(Datum) * count), palloc(sizeof(Datum) * count),
	               palloc(sizeof(Datum) * count), palloc(sizeof(Datum) * count), 0};
}

static void add_name(Names *names, const TeReport *r)
{
	int i = names->count++;

	names->companies[i] = CStringGetTextDatum(r->told->company_id);
	names->users[i] = CStringGetTextDatum(r->told->user_id);
	names->executions[i] = CStringGetTextDatum(r->told->execution_id);
	names->conflicts[i] = Int32GetDatum(r->conflicts);
}

static void make_arrays(const Names *names, Datum values[4])
{
	values[0] = te_text_array(names->companies, names->count);
	values[1] = te_text_array(names->users, names->count);
	values[2] = te_text_array(names->executions, names->count);
	values[3] = te_int4_array(names->conflicts, names->count);
}

typedef struct Known
{
	TeReport **asked;
	MemoryContext context;
	TeReportReader read;
	void *arg;
} Known;

static void take_known(TeRow *row, void *arg)
{
	const Known *known = arg;
	bytea *hash = te_row_bytes(row, "content_hash");
	MemoryContext per_row = MemoryContextSwitchTo(known->context);

	known->read(known->asked[te_row_int(row, "n") - 1], (const uint8_t *)VARDATA_ANY(hash),
	            known->arg);
	MemoryContextSwitchTo(per_row);
}

void te_execution_rows_find(const List *reports, TeReportReader read, void *arg)
{
	int count = list_length(reports);
	Names names = names_for(count);
	Known known = {palloc(sizeof(TeReport *) * count), CurrentMemoryContext, read, arg};
	Datum values[4];
	ListCell *cell;

	foreach (cell, reports) {
		TeReport *r = lfirst(cell);

		if (r->old)
			continue;
		known.asked[names.count] = r;
		add_name(&names, r);
	}
	make_arrays(&names, values);
	(void)te_statement_run(&known_query, values, take_known, &known);
}

void te_execution_rows_add_conflicts(const List *reports)
{
	Names names = names_for(list_length(reports));
	Datum values[4];
	ListCell *cell;

	foreach (cell, reports) {
		const TeReport *r = lfirst(cell);

		if (r->old && r->conflicts > 0)
			add_name(&names, r);
	}
	if (names.count == 0)
		return;
	make_arrays(&names, values);
	(void)te_statement_run(&conflicts_update, values, NULL, NULL);
}

/*----------------------------------------------------------------------
 * What is new
 *----------------------------------------------------------------------*/

/* What a report did: 1 bought, -1 sold, 0 nothing. */
static int side_of(const TeReport *r)
{
	switch (r->told->told.status) {
	case TE_EXECUTION_FILLED:
	case TE_EXECUTION_PARTIALLY_FILLED:
		return r->trade->side;
	case TE_EXECUTION_CLOSED:
		return -r->trade->side;
	default:
		return 0;
	}
}

static void set_told_columns(TeRows *rows, int row, const TeExecutionReport *x)
{
	const TeExecution *e = &x->told;

	te_rows_set_text(rows, row, EXECUTION_company_id, x->company_id);
	te_rows_set_text(rows, row, EXECUTION_user_id, x->user_id);
	te_rows_set_text(rows, row, EXECUTION_execution_id, x->execution_id);
	te_rows_set_uuid(rows, row, EXECUTION_signal_id, x->signal_id);
	te_rows_set_text(rows, row, EXECUTION_symbol, x->symbol);
	te_rows_set(rows, row, EXECUTION_leg, Int32GetDatum((int32)x->leg));
	te_rows_set_text(rows, row, EXECUTION_status, te_execution_status_enum.labels[e->status]);
	te_rows_set_double(rows, row, EXECUTION_requested_price, e->requested_price);
	te_rows_set_double(rows, row, EXECUTION_executed_price, e->executed_price);
	te_rows_set_double(rows, row, EXECUTION_executed_size, e->executed_size);
	te_rows_set_double(rows, row, EXECUTION_profit, e->profit);
	te_rows_set_double(rows, row, EXECUTION_commission, e->commission);
	te_rows_set_time(rows, row, EXECUTION_executed_at, e->at);
	te_rows_set_text(rows, row, EXECUTION_reason, te_text_or_null(x->reason));
	te_rows_set_text(rows, row, EXECUTION_broker_order_id, te_text_or_null(x->broker_order_id));
	te_rows_set_bytes(rows, row, EXECUTION_content_hash, x->content_hash, TE_SHA256_BYTES);
}

static void add_execution(TeRows *rows, const TeReport *r, int lane, int64 batch_no)
{
	const char *correlation_id = te_text_or_null(r->correlation_id);
	int row = te_rows_add(rows);
	bool simulated = te_guc_clock == TE_CLOCK_INPUT;

	set_told_columns(rows, row, r->told);
	if (r->trade != NULL) {
		simulated = r->trade->simulated;
		te_rows_set_text(rows, row, EXECUTION_account_id, r->trade->account_id);
		te_rows_set_double(rows, row, EXECUTION_conversion_rate, r->trade->conversion_rate);
		if (side_of(r) != 0)
			te_rows_set(rows, row, EXECUTION_side, Int16GetDatum((int16)side_of(r)));
		if (correlation_id == NULL)
			correlation_id = r->trade->correlation_id;
	}
	te_rows_set_text(rows, row, EXECUTION_flag, r->flag);
	te_rows_set(rows, row, EXECUTION_conflicts, Int32GetDatum(r->conflicts));
	te_rows_set(rows, row, EXECUTION_simulated, BoolGetDatum(simulated));
	te_rows_set_text(rows, row, EXECUTION_source, r->input.source);
	te_rows_set(rows, row, EXECUTION_input_seq, Int64GetDatum(r->input.seq));
	te_rows_set_text(rows, row, EXECUTION_producer_id, te_text_or_null(r->producer_id));
	te_rows_set_text(rows, row, EXECUTION_correlation_id, correlation_id);
	te_rows_set(rows, row, EXECUTION_lane, Int32GetDatum(lane));
	te_rows_set(rows, row, EXECUTION_batch_no, Int64GetDatum(batch_no));
	te_rows_set(rows, row, EXECUTION_position, Int32GetDatum(r->position));
}

void te_execution_rows_insert(const List *reports, int lane, int64 batch_no)
{
	TeRows rows;
	ListCell *cell;

	te_rows_init(&rows, &execution_spec, CurrentMemoryContext);
	foreach (cell, reports) {
		const TeReport *r = lfirst(cell);

		if (!r->old)
			add_execution(&rows, r, lane, batch_no);
	}
	te_rows_insert(&rows);
}
