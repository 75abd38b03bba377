/*
 * recorded_rows.c - see recorded_rows.h.
 */
#include "postgres.h"

#include "replay/recorded_rows.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "engine/candidate.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/assessment.h"

#define FETCH_ROWS 1000
#define ARENA_BLOCK ((size_t)8 * 1024)
#define ARENA_LIMIT ((size_t)1 << 20)

/*----------------------------------------------------------------------
 * Queries
 *----------------------------------------------------------------------*/

#define OF_RUN(alias)                                                                              \
	"   AND ($1 IS NULL OR " alias ".company_id OPERATOR(pg_catalog.=) $1)"                        \
	"   AND ($2 IS NULL OR " alias ".user_id OPERATOR(pg_catalog.=) $2)"

#define WITH_TRADE                                                                                 \
	"  LEFT JOIN trading.trades AS t"                                                              \
	"    ON t.company_id OPERATOR(pg_catalog.=) s.company_id"                                      \
	"   AND t.signal_id OPERATOR(pg_catalog.=) s.signal_id"

/*
 * Orders of before batch $3 of lane $4 of $5, first decided at $6: signals that nothing was
 * reported about and that haven't expired, and trades that hadn't ended for good.
 */
static const char first_query[] =
	"SELECT s.company_id, s.user_id, s.account_id, s.expires_at, NULL::pg_catalog.int8[]"
	"  FROM (SELECT pg_catalog.min(p.batch_no) AS first FROM trading.prediction_batches AS p"
	"         WHERE p.decided_at OPERATOR(pg_catalog.>)"
	"               ($6 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)) AS day,"
	"       (SELECT pg_catalog.max(b.lane) AS last FROM trading.batches AS b) AS lanes,"
	"       pg_catalog.generate_series(0, lanes.last) AS l (lane)"
	"  JOIN trading.signals AS s ON s.lane OPERATOR(pg_catalog.=) l.lane" WITH_TRADE
	" WHERE s.batch_no OPERATOR(pg_catalog.>=) day.first"
	"   AND s.batch_no OPERATOR(pg_catalog.<) $3"
	"   AND s.outcome OPERATOR(pg_catalog.=) 'SIGNAL'"
	"   AND s.expires_at OPERATOR(pg_catalog.>) $6 AND t.signal_id IS NULL"
	"   AND trading.lane_of(s.company_id, $5) OPERATOR(pg_catalog.=) $4" OF_RUN("s") //
	" UNION ALL "
	"SELECT t.company_id, t.user_id, t.account_id, t.expires_at, t.turns"
	"  FROM trading.trades AS t"
	" WHERE t.decided_batch_no OPERATOR(pg_catalog.<) $3"
	"   AND (t.ended_batch_no IS NULL OR t.ended_batch_no OPERATOR(pg_catalog.>=) $3)"
	"   AND trading.lane_of(t.company_id, $5) OPERATOR(pg_catalog.=) $4" OF_RUN("t");

enum { FIRST_company_id = 1, FIRST_user_id, FIRST_account_id, FIRST_expires_at, FIRST_turns };

/* Signals of batches ($3, $4] of lane $5, as they were before they were assessed. */
static const char next_query[] =
	"SELECT s.company_id, s.user_id, s.account_id, s.expires_at, t.turns,"
	"       s.batch_no, s.position, s.ordinal, s.strategy_id, s.prediction_id,"
	"       s.outcome OPERATOR(pg_catalog.=) 'SIGNAL', s.assessment, s.risk_notes"
	"  FROM trading.signals AS s" WITH_TRADE " WHERE s.lane OPERATOR(pg_catalog.=) $5"
	"   AND s.batch_no OPERATOR(pg_catalog.>) $3 AND s.batch_no OPERATOR(pg_catalog.<=) $4"
	"   AND s.outcome OPERATOR(pg_catalog.<>) 'HOLD'" OF_RUN("s") //
	" ORDER BY s.batch_no, s.ordinal";

enum {
	NEXT_batch_no = FIRST_turns + 1,
	NEXT_position,
	NEXT_ordinal,
	NEXT_strategy_id,
	NEXT_prediction_id,
	NEXT_is_signal,
	NEXT_assessment,
	NEXT_notes
};

static const char history_query[] =
	"SELECT h.batch_no, h.realised FROM trading.account_history AS h"
	" WHERE h.company_id OPERATOR(pg_catalog.=) $1 AND h.user_id OPERATOR(pg_catalog.=) $2"
	"   AND h.account_id OPERATOR(pg_catalog.=) $3 AND h.simulated OPERATOR(pg_catalog.=) $4"
	" ORDER BY h.batch_no";

static SPIPlanPtr prepare(const char *query, int count, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(query, count, types);

	if (plan == NULL)
		elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), query);
	return plan;
}

typedef void (*RowReader)(HeapTuple tuple, TupleDesc columns, void *arg);

static void read_rows(SPIPlanPtr plan, Datum *values, const char *nulls, RowReader read, void *arg)
{
	Portal portal = SPI_cursor_open(NULL, plan, values, nulls, true);

	for (;;) {
		SPITupleTable *rows;
		uint64 count;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		rows = SPI_tuptable;
		count = SPI_processed;
		for (uint64 i = 0; i < count; i++)
			read(rows->vals[i], rows->tupdesc, arg);
		SPI_freetuptable(rows);
		if (count == 0)
			break;
	}
	SPI_cursor_close(portal);
}

static Datum value_of(HeapTuple tuple, TupleDesc columns, int number, bool *isnull)
{
	return SPI_getbinval(tuple, columns, number, isnull);
}

static int64 number_of(HeapTuple tuple, TupleDesc columns, int number, int64 otherwise)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

static TeTime time_of(HeapTuple tuple, TupleDesc columns, int number)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? TE_NO_TIME : te_time_from_timestamptz(DatumGetTimestampTz(value));
}

static const char *text_of(HeapTuple tuple, TupleDesc columns, int number)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? "" : TextDatumGetCString(value);
}

static int32 small_number_of(HeapTuple tuple, TupleDesc columns, int number)
{
	bool isnull;
	Datum value = value_of(tuple, columns, number, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/*----------------------------------------------------------------------
 * Rows
 *----------------------------------------------------------------------*/

/* Where callbacks are called. */
typedef struct Reading
{
	const TeRecordedReader *reader;
	int32 lane;
	TeRecordedOrderTaker take_order;
	TeRecordedRowTaker take_row;
	TeRecordedMadeTaker take_made;
	void *arg;
} Reading;

static TeRecordedOrder order_of(HeapTuple tuple, TupleDesc columns)
{
	TeRecordedOrder order = {
		.company_id = text_of(tuple, columns, FIRST_company_id),
		.user_id = text_of(tuple, columns, FIRST_user_id),
		.account_id = text_of(tuple, columns, FIRST_account_id),
		.expires_at = time_of(tuple, columns, FIRST_expires_at),
	};
	bool isnull;
	Datum value = value_of(tuple, columns, FIRST_turns, &isnull);

	if (!isnull) {
		ArrayType *array = DatumGetArrayTypePCopy(value);

		order.turn_count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		order.turns = (const int64 *)ARR_DATA_PTR(array);
	}
	return order;
}

static void read_first(HeapTuple tuple, TupleDesc columns, void *arg)
{
	const Reading *reading = arg;
	TeRecordedOrder order = order_of(tuple, columns);

	reading->take_order(&order, reading->arg);
}

static void read_assessment(const TeRecordedReader *reader, int32 lane, HeapTuple tuple,
                            TupleDesc columns, TeRecordedSignal *out)
{
	bool isnull;
	Datum value = value_of(tuple, columns, NEXT_assessment, &isnull);
	TeWireError err = {0};
	bytea *bytes;

	if (isnull)
		return;
	bytes = DatumGetByteaPP(value);
	te_arena_reset(reader->arena);
	if (!te_assessment_unpack((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
	                          reader->arena, &out->actions, &err))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("the assessment of a signal of batch " INT64_FORMAT
		                       " of lane %d can't be read",
		                       number_of(tuple, columns, NEXT_batch_no, 0), lane),
		                errdetail("%s: %s", err.field, err.detail)));
	value = value_of(tuple, columns, NEXT_notes, &isnull);
	if (!isnull)
		out->notes = DatumGetArrayTypePCopy(value);
}

/* Limits and switches act before a signal is counted, advice comes when the batch is assessed. */
static bool advised(const TeRiskActions *actions)
{
	return actions->count > 0 && actions->actions[actions->count - 1].kind == TE_RISK_ACTION_ADVICE;
}

static void read_next(HeapTuple tuple, TupleDesc columns, void *arg)
{
	const Reading *reading = arg;
	bool isnull;
	bool is_signal = DatumGetBool(value_of(tuple, columns, NEXT_is_signal, &isnull));
	int32 ordinal = small_number_of(tuple, columns, NEXT_ordinal);
	TeRecordedRow row = {
		.batch_no = number_of(tuple, columns, NEXT_batch_no, 0),
		.position = small_number_of(tuple, columns, NEXT_position),
		.group = ordinal / TE_CANDIDATES_MOST,
		.ends_group = ordinal % TE_CANDIDATES_MOST == TE_CANDIDATES_MOST - 1,
		.prediction = -1,
		.strategy_id = text_of(tuple, columns, NEXT_strategy_id),
		.prediction_id = text_of(tuple, columns, NEXT_prediction_id),
		.order = order_of(tuple, columns),
	};

	read_assessment(reading->reader, reading->lane, tuple, columns, &row.signal);
	row.signal.group = row.group;
	row.signal.turned_down = !is_signal && advised(&row.signal.actions);
	row.signal.reserved = is_signal || row.signal.turned_down;
	reading->take_row(&row, reading->arg);
}

static void read_history(HeapTuple tuple, TupleDesc columns, void *arg)
{
	const Reading *reading = arg;

	reading->take_made(number_of(tuple, columns, 1, 0), number_of(tuple, columns, 2, 0),
	                   reading->arg);
}

/*----------------------------------------------------------------------
 * The reader
 *----------------------------------------------------------------------*/

static void run_conditions(const TeReplayRun *run, Datum *values, char *nulls)
{
	values[0] = run->company != NULL ? CStringGetTextDatum(run->company) : (Datum)0;
	values[1] = run->user != NULL ? CStringGetTextDatum(run->user) : (Datum)0;
	nulls[0] = run->company != NULL ? ' ' : 'n';
	nulls[1] = run->user != NULL ? ' ' : 'n';
}

void te_recorded_read_first(const TeRecordedReader *reader, const TeRecordedRange *range,
                            TeRecordedOrderTaker take, void *arg)
{
	Reading reading = {.reader = reader, .take_order = take, .arg = arg};
	Datum values[6];
	char nulls[] = "      ";

	run_conditions(reader->run, values, nulls);
	values[2] = Int64GetDatum(range->first_batch);
	values[3] = Int32GetDatum(range->lane);
	values[4] = Int32GetDatum(range->lane_count);
	values[5] = TimestampTzGetDatum(te_time_to_timestamptz(range->first_at));
	read_rows(reader->first_plan, values, nulls, read_first, &reading);
}

void te_recorded_read_next(const TeRecordedReader *reader, const TeRecordedRange *range,
                           int64 after, TeRecordedRowTaker take, void *arg)
{
	Reading reading = {.reader = reader, .lane = range->lane, .take_row = take, .arg = arg};
	Datum values[5];
	char nulls[] = "     ";

	run_conditions(reader->run, values, nulls);
	values[2] = Int64GetDatum(after);
	values[3] = Int64GetDatum(range->last_batch);
	values[4] = Int32GetDatum(range->lane);
	read_rows(reader->next_plan, values, nulls, read_next, &reading);
}

void te_recorded_read_history(const TeRecordedReader *reader, const TeCachedStrategy *s,
                              bool simulated, TeRecordedMadeTaker take, void *arg)
{
	Reading reading = {.reader = reader, .take_made = take, .arg = arg};
	Datum values[] = {CStringGetTextDatum(s->company_id), CStringGetTextDatum(s->user_id),
	                  CStringGetTextDatum(s->account_id), BoolGetDatum(simulated)};

	read_rows(reader->history_plan, values, NULL, read_history, &reading);
}

void te_recorded_reader_begin(TeRecordedReader *reader, const TeReplayRun *run)
{
	Oid first_types[] = {TEXTOID, TEXTOID, INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID};
	Oid next_types[] = {TEXTOID, TEXTOID, INT8OID, INT8OID, INT4OID};
	Oid history_types[] = {TEXTOID, TEXTOID, TEXTOID, BOOLOID};

	reader->run = run;
	reader->arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	reader->first_plan = prepare(first_query, lengthof(first_types), first_types);
	reader->next_plan = prepare(next_query, lengthof(next_types), next_types);
	reader->history_plan = prepare(history_query, lengthof(history_types), history_types);
}
