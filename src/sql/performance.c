/*
 * performance.c - pieces of performance in SQL: made from trades, joined, read.
 *
 * trading.performance_piece() and trading.performance_joined() are aggregates whose result is a
 * packed piece; trading.performance_figures() reads one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/performance.h"
#include "sql/jsonb_io.h"
#include "sql/sqltime.h"

PG_FUNCTION_INFO_V1(te_sql_performance_add);
PG_FUNCTION_INFO_V1(te_sql_performance_join);
PG_FUNCTION_INFO_V1(te_sql_performance_pack);
PG_FUNCTION_INFO_V1(te_sql_performance_net);
PG_FUNCTION_INFO_V1(te_sql_performance_figures);

/* A curve's lists live in the memory context that is current. */
static void *resize(void *old, size_t size)
{
	if (size == 0) {
		pfree(old);
		return NULL;
	}
	return old != NULL ? repalloc_huge(old, size)
	                   : MemoryContextAllocHuge(CurrentMemoryContext, size);
}

static TePerformance *make_piece(void)
{
	TePerformance *piece = palloc0(sizeof(TePerformance));

	piece->curve.resize = resize;
	return piece;
}

/* The aggregate's state and, to be left with MemoryContextSwitchTo, its memory. */
static TePerformance *begin(FunctionCallInfo fcinfo, MemoryContext *old)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("the parts of an aggregate work only in it")));
	*old = MemoryContextSwitchTo(context);
	return PG_ARGISNULL(0) ? make_piece() : (TePerformance *)PG_GETARG_POINTER(0);
}

static double number(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NAN : PG_GETARG_FLOAT8(i);
}

static TeOrderFate fate_of(FunctionCallInfo fcinfo, int i)
{
	const char *fate = text_to_cstring(PG_GETARG_TEXT_PP(i));

	if (strcmp(fate, "FILLED") == 0)
		return TE_ORDER_FILLED;
	if (strcmp(fate, "REJECTED") == 0)
		return TE_ORDER_REJECTED;
	if (strcmp(fate, "CANCELLED") == 0)
		return TE_ORDER_CANCELLED;
	te_invalid_value("fate", "must be FILLED, REJECTED or CANCELLED");
}

enum {
	ADD_STATE,
	ADD_CLOSED_AT,
	ADD_PROFIT,
	ADD_MULTIPLE,
	ADD_CONFIDENCE,
	ADD_FATE,
	ADD_LATENCY,
	ADD_SLIPPAGE
};

/* performance_add(state, closed_at, profit, r_multiple, confidence, fate, latency_ms, slippage) */
Datum te_sql_performance_add(PG_FUNCTION_ARGS)
{
	MemoryContext old;
	TePerformance *piece = begin(fcinfo, &old);

	if (!PG_ARGISNULL(ADD_CLOSED_AT) && !PG_ARGISNULL(ADD_PROFIT)) {
		TimestampTz at = PG_GETARG_TIMESTAMPTZ(ADD_CLOSED_AT);

		if (TIMESTAMP_NOT_FINITE(at))
			te_invalid_value("closed_at", "must be finite");
		if (!te_performance_close(piece, te_time_from_timestamptz(at), PG_GETARG_FLOAT8(ADD_PROFIT),
		                          number(fcinfo, ADD_MULTIPLE), number(fcinfo, ADD_CONFIDENCE)))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("trades must come in order of \"closed_at\""),
			                errhint("Write performance_piece(... ORDER BY closed_at).")));
	}
	if (!PG_ARGISNULL(ADD_FATE)) {
		double latency = number(fcinfo, ADD_LATENCY) * 1000; /* ms */

		te_performance_order(piece, fate_of(fcinfo, ADD_FATE),
		                     latency >= 0 && latency < 1e15 ? llround(latency) : -1,
		                     number(fcinfo, ADD_SLIPPAGE));
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(piece);
}

static void join(TePerformance *piece, bytea *packed)
{
	if (!te_performance_join(piece, (const uint8_t *)VARDATA_ANY(packed),
	                         VARSIZE_ANY_EXHDR(packed)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("\"piece\" isn't one that trading.performance_piece() made")));
}

/* performance_join(state, piece) */
Datum te_sql_performance_join(PG_FUNCTION_ARGS)
{
	MemoryContext old;
	TePerformance *piece = begin(fcinfo, &old);

	if (!PG_ARGISNULL(1))
		join(piece, PG_GETARG_BYTEA_PP(1));
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(piece);
}

/* The final function of both aggregates. */
Datum te_sql_performance_pack(PG_FUNCTION_ARGS)
{
	MemoryContext old;
	TePerformance *piece;
	bytea *packed;
	Size length;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	piece = begin(fcinfo, &old);
	te_performance_settle(piece); /* may make a list longer, in the state's memory */
	MemoryContextSwitchTo(old);
	packed = MemoryContextAllocHuge(CurrentMemoryContext, VARHDRSZ + te_performance_room(piece));
	length = VARHDRSZ + te_performance_pack(piece, (uint8_t *)VARDATA(packed));
	if (!AllocSizeIsValid(length))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("a piece of performance would be larger than 1 GB")));
	packed = repalloc_huge(packed, length);
	SET_VARSIZE(packed, length);
	PG_RETURN_BYTEA_P(packed);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

/* A row in the making, in the order of the result's columns. */
typedef struct Figures
{
	int count;
	Datum values[40];
	bool nulls[40];
} Figures;

static void put(Figures *f, Datum value, bool known)
{
	f->values[f->count] = value;
	f->nulls[f->count++] = !known;
}

static void put_count(Figures *f, int64 count)
{
	put(f, Int64GetDatum(count), true);
}

static void put_number(Figures *f, double x)
{
	put(f, Float8GetDatum(x), isfinite(x));
}

static void put_minutes(Figures *f, TeMinute minutes)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->day = minutes / MINS_PER_HOUR / HOURS_PER_DAY;
	interval->time = (int64)(minutes % (MINS_PER_HOUR * HOURS_PER_DAY)) * USECS_PER_MINUTE;
	put(f, IntervalPGetDatum(interval), minutes != TE_CURVE_NEVER);
}

static void put_sums(Figures *f, const TePerformance *p)
{
	const TeTradeSums *sums = &p->profits;
	bool any = sums->trades > 0;

	put_count(f, sums->trades);
	put_count(f, sums->wins);
	put_count(f, sums->losses);
	put_number(f, te_win_rate(sums));
	put_number(f, te_total(sums));
	put_number(f, any ? te_exact_value(&sums->gain) : NAN);
	put_number(f, any ? te_exact_value(&sums->loss) : NAN);
	put_number(f, te_profit_factor(sums));
	put_number(f, te_payoff_ratio(sums));
	put_number(f, te_expectancy(sums));
	put_number(f, te_sharpe(sums));
	put_number(f, te_sortino(sums));
	put_number(f, te_sqn(&p->multiples));
	put_number(f, p->brier.count >= 2 ? te_brier_score(&p->brier) : NAN);
}

/*
 * Figures of the equity curve need an equity to start from; NAN: it isn't known.  The curve begins
 * there, goes through what was before, and what is told is of it from then on.
 */
static void put_curve(Figures *f, const TePerformance *p, const TePerformance *before,
                      double equity)
{
	bool enough = p->profits.trades >= 2, known = enough && equity > 0;
	double gain = (double)p->curve.net / (equity * TE_CURVE_UNITS + (double)before->curve.net);
	TeCurve curve = {.resize = resize};
	double deepest;

	te_curve_go_on(&curve, &before->curve);
	te_curve_join(&curve, &p->curve);
	deepest = known ? te_curve_max_drawdown(&curve, equity) : NAN;
	put_number(f, deepest > 0 ? gain / deepest : NAN);
	put_number(f, deepest);
	put_number(f, enough ? te_curve_max_drawdown_amount(&curve) : NAN);
	put_number(f, known ? te_curve_drawdown(&curve, equity) : NAN);
	put(f, Int64GetDatum(p->run.longest), enough);
	put_minutes(f, enough ? te_curve_recovery(&curve) : TE_CURVE_NEVER);
}

static void put_orders(Figures *f, const TePerformance *p)
{
	static const double shares[] = {0.5, 0.9, 0.99};
	int64 orders = p->filled + p->rejected + p->cancelled;
	bool latencies = p->latency.count >= 2, slippages = p->worse.count + p->better.count >= 2;

	put_count(f, p->filled);
	put_count(f, p->rejected);
	put_count(f, p->cancelled);
	put_number(f, orders >= 2 ? (double)p->filled / (double)orders : NAN);
	for (size_t i = 0; i < lengthof(shares); i++)
		put_number(f, latencies ? te_histogram_percentile(&p->latency, shares[i]) / 1000 : NAN);
	for (size_t i = 0; i < lengthof(shares); i++)
		put_number(f, slippages ? te_performance_slippage(p, shares[i]) : NAN);
}

/* performance_net(piece) */
Datum te_sql_performance_net(PG_FUNCTION_ARGS)
{
	TePerformance *piece = make_piece();

	if (!PG_ARGISNULL(0))
		join(piece, PG_GETARG_BYTEA_PP(0));
	PG_RETURN_INT64(piece->curve.net);
}

/* performance_figures(piece, equity, before) */
Datum te_sql_performance_figures(PG_FUNCTION_ARGS)
{
	double equity = number(fcinfo, 1);
	TePerformance *piece = make_piece(), *before = make_piece();
	Figures f = {0};
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!PG_ARGISNULL(0))
		join(piece, PG_GETARG_BYTEA_PP(0));
	if (!PG_ARGISNULL(2))
		join(before, PG_GETARG_BYTEA_PP(2));
	put_sums(&f, piece);
	put_curve(&f, piece, before, equity);
	put_orders(&f, piece);
	if (descriptor->natts != f.count)
		elog(ERROR, "trading.performance_figures() isn't what the library returns");
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), f.values, f.nulls)));
}
