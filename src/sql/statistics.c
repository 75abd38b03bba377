/*
 * statistics.c - aggregates that give figures of trades and of predictions.
 *
 * A row whose figure isn't known (NULL) is left out; one that can't be right is an
 * error.  A figure without enough data is NULL.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/statistics.h"
#include "sql/jsonb_io.h"
#include "sql/sqltime.h"

#define MAX_BINS 1000

/* The aggregate's memory; the functions work nowhere else. */
static MemoryContext aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("the parts of an aggregate work only in it")));
	return context;
}

/* The state, made when there is none yet. */
static void *state_of(FunctionCallInfo fcinfo, Size size)
{
	MemoryContext context = aggregate_context(fcinfo);

	return PG_ARGISNULL(0) ? MemoryContextAllocZero(context, size) : PG_GETARG_POINTER(0);
}

/* States are plain data, whose bytes mean the same to another process of the server. */
static bytea *pack(const void *state, Size size)
{
	bytea *packed = palloc(VARHDRSZ + size);

	SET_VARSIZE(packed, VARHDRSZ + size);
	memcpy(VARDATA(packed), state, size);
	return packed;
}

static void *unpack(FunctionCallInfo fcinfo)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	Size size = VARSIZE_ANY_EXHDR(packed);
	void *state;

	aggregate_context(fcinfo);
	state = palloc(size);
	memcpy(state, VARDATA_ANY(packed), size);
	return state;
}

static double finite_number(const char *key, double x)
{
	if (!(fabs(x) <= TE_STATISTICS_MOST))
		te_invalid_value(key, "must be a finite number within 1e150");
	return x;
}

static double probability(const char *key, double x)
{
	if (!(x >= 0 && x <= 1))
		te_invalid_value(key, "must be from 0 to 1");
	return x;
}

#define RETURN_FIGURE(figure)                                                                      \
	do {                                                                                           \
		double x_ = (figure);                                                                      \
		if (!isfinite(x_))                                                                         \
			PG_RETURN_NULL();                                                                      \
		PG_RETURN_FLOAT8(x_);                                                                      \
	} while (0)

/*
 * The functions of a state that can be merged: transition is written by hand.
 */
#define MERGEABLE(prefix, Type, merge)                                                             \
	PG_FUNCTION_INFO_V1(prefix##_merge);                                                           \
	Datum prefix##_merge(PG_FUNCTION_ARGS)                                                         \
	{                                                                                              \
		Type *state = state_of(fcinfo, sizeof(Type));                                              \
		if (!PG_ARGISNULL(1))                                                                      \
			merge(state, (const Type *)PG_GETARG_POINTER(1));                                      \
		PG_RETURN_POINTER(state);                                                                  \
	}                                                                                              \
	PG_FUNCTION_INFO_V1(prefix##_pack);                                                            \
	Datum prefix##_pack(PG_FUNCTION_ARGS)                                                          \
	{                                                                                              \
		aggregate_context(fcinfo);                                                                 \
		PG_RETURN_BYTEA_P(pack(PG_GETARG_POINTER(0), sizeof(Type)));                               \
	}                                                                                              \
	PG_FUNCTION_INFO_V1(prefix##_unpack);                                                          \
	Datum prefix##_unpack(PG_FUNCTION_ARGS)                                                        \
	{                                                                                              \
		PG_RETURN_POINTER(unpack(fcinfo));                                                         \
	}

#define FIGURE(prefix, figure, Type)                                                               \
	PG_FUNCTION_INFO_V1(prefix##_##figure);                                                        \
	Datum prefix##_##figure(PG_FUNCTION_ARGS)                                                      \
	{                                                                                              \
		if (PG_ARGISNULL(0))                                                                       \
			PG_RETURN_NULL();                                                                      \
		RETURN_FIGURE(te_##figure((const Type *)PG_GETARG_POINTER(0)));                            \
	}

/* Sums over trades. */

PG_FUNCTION_INFO_V1(te_sql_trades_add);
Datum te_sql_trades_add(PG_FUNCTION_ARGS)
{
	TeTradeSums *sums = state_of(fcinfo, sizeof(TeTradeSums));

	if (!PG_ARGISNULL(1))
		te_trade_sums_add(sums, finite_number("profit", PG_GETARG_FLOAT8(1)));
	PG_RETURN_POINTER(sums);
}

MERGEABLE(te_sql_trades, TeTradeSums, te_trade_sums_merge)
FIGURE(te_sql_trades, win_rate, TeTradeSums)
FIGURE(te_sql_trades, profit_factor, TeTradeSums)
FIGURE(te_sql_trades, payoff_ratio, TeTradeSums)
FIGURE(te_sql_trades, expectancy, TeTradeSums)
FIGURE(te_sql_trades, sharpe, TeTradeSums)
FIGURE(te_sql_trades, sortino, TeTradeSums)
FIGURE(te_sql_trades, sqn, TeTradeSums)

/* The equity curve. */

enum { EQUITY_STATE, EQUITY_PROFIT, EQUITY_CLOSED_AT, EQUITY_START };

static void begin_curve(TeEquityCurve *curve, double equity)
{
	if (!(finite_number("equity", equity) > 0))
		te_invalid_value("equity", "must be > 0");
	if (curve->start == 0)
		te_equity_begin(curve, equity);
	else if (curve->start != equity)
		te_invalid_value("equity",
		                 "must be the same in every row: the equity before the first trade");
}

PG_FUNCTION_INFO_V1(te_sql_equity_add);
Datum te_sql_equity_add(PG_FUNCTION_ARGS)
{
	TeEquityCurve *curve = state_of(fcinfo, sizeof(TeEquityCurve));
	TimestampTz at;

	if (PG_ARGISNULL(EQUITY_PROFIT))
		PG_RETURN_POINTER(curve);
	if (PG_ARGISNULL(EQUITY_CLOSED_AT))
		te_invalid_value("closed_at", "must not be NULL where profit isn't");
	if (PG_ARGISNULL(EQUITY_START))
		te_invalid_value("equity", "must not be NULL where profit isn't");
	at = PG_GETARG_TIMESTAMPTZ(EQUITY_CLOSED_AT);
	if (TIMESTAMP_NOT_FINITE(at))
		te_invalid_value("closed_at", "must be finite");
	begin_curve(curve, PG_GETARG_FLOAT8(EQUITY_START));
	if (!te_equity_add(curve, te_time_from_timestamptz(at),
	                   finite_number("profit", PG_GETARG_FLOAT8(EQUITY_PROFIT))))
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("trades must come in order of \"closed_at\""),
		         errhint("Write max_drawdown(profit, closed_at, equity ORDER BY closed_at).")));
	PG_RETURN_POINTER(curve);
}

/* The curve after its last instant, of no trades at all without a state. */
static TeEquityCurve finished_curve(FunctionCallInfo fcinfo)
{
	TeEquityCurve curve = {.trades = 0};

	if (!PG_ARGISNULL(0))
		curve = *(const TeEquityCurve *)PG_GETARG_POINTER(0);
	te_equity_end(&curve);
	return curve;
}

#define CURVE_FIGURE(figure)                                                                       \
	PG_FUNCTION_INFO_V1(te_sql_equity_##figure);                                                   \
	Datum te_sql_equity_##figure(PG_FUNCTION_ARGS)                                                 \
	{                                                                                              \
		TeEquityCurve curve = finished_curve(fcinfo);                                              \
		RETURN_FIGURE(te_##figure(&curve));                                                        \
	}

CURVE_FIGURE(max_drawdown)
CURVE_FIGURE(present_drawdown)
CURVE_FIGURE(max_drawdown_amount)
CURVE_FIGURE(calmar)

PG_FUNCTION_INFO_V1(te_sql_equity_recovery_time);
Datum te_sql_equity_recovery_time(PG_FUNCTION_ARGS)
{
	TeEquityCurve curve = finished_curve(fcinfo);
	TeTime time = te_recovery_time(&curve);
	Interval *interval;

	if (time == TE_NO_TIME)
		PG_RETURN_NULL();
	interval = palloc0(sizeof(Interval));
	interval->day = (int32)(time / USECS_PER_DAY);
	interval->time = time % USECS_PER_DAY;
	PG_RETURN_INTERVAL_P(interval);
}

/* The losing streak. */

PG_FUNCTION_INFO_V1(te_sql_streak_add);
Datum te_sql_streak_add(PG_FUNCTION_ARGS)
{
	TeStreak *streak = state_of(fcinfo, sizeof(TeStreak));

	if (!PG_ARGISNULL(1))
		te_streak_add(streak, finite_number("profit", PG_GETARG_FLOAT8(1)));
	PG_RETURN_POINTER(streak);
}

PG_FUNCTION_INFO_V1(te_sql_streak_longest);
Datum te_sql_streak_longest(PG_FUNCTION_ARGS)
{
	const TeStreak *streak = PG_ARGISNULL(0) ? NULL : (const TeStreak *)PG_GETARG_POINTER(0);

	if (streak == NULL || streak->trades < 2)
		PG_RETURN_NULL();
	PG_RETURN_INT64(streak->longest);
}

/* The Brier score. */

PG_FUNCTION_INFO_V1(te_sql_brier_add);
Datum te_sql_brier_add(PG_FUNCTION_ARGS)
{
	TeBrier *brier = state_of(fcinfo, sizeof(TeBrier));

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
		te_brier_add(brier, probability("confidence", PG_GETARG_FLOAT8(1)), PG_GETARG_BOOL(2));
	PG_RETURN_POINTER(brier);
}

MERGEABLE(te_sql_brier, TeBrier, te_brier_merge)
FIGURE(te_sql_brier, brier_score, TeBrier)

/* Reliability: a bin for each part of [0, 1]. */

enum { BINS_STATE, BINS_CONFIDENCE, BINS_RIGHT, BINS_COUNT };

typedef struct Bins
{
	int count;
	TeBin bin[FLEXIBLE_ARRAY_MEMBER];
} Bins;

static Size bins_size(int count)
{
	return offsetof(Bins, bin) + (Size)count * sizeof(TeBin);
}

static Bins *begin_bins(FunctionCallInfo fcinfo, int count)
{
	Bins *bins;

	if (count < 1 || count > MAX_BINS)
		te_invalid_value("bins", "must be from 1 to 1000");
	bins = state_of(fcinfo, bins_size(count));
	if (bins->count != 0 && bins->count != count)
		te_invalid_value("bins", "must be the same in every row");
	bins->count = count;
	return bins;
}

PG_FUNCTION_INFO_V1(te_sql_reliability_add);
Datum te_sql_reliability_add(PG_FUNCTION_ARGS)
{
	Bins *bins;
	double confidence;

	if (PG_NARGS() > BINS_COUNT && PG_ARGISNULL(BINS_COUNT))
		te_invalid_value("bins", "must not be NULL");
	bins = begin_bins(fcinfo, PG_NARGS() > BINS_COUNT ? PG_GETARG_INT32(BINS_COUNT) : 10);
	if (PG_ARGISNULL(BINS_CONFIDENCE) || PG_ARGISNULL(BINS_RIGHT))
		PG_RETURN_POINTER(bins);
	confidence = probability("confidence", PG_GETARG_FLOAT8(BINS_CONFIDENCE));
	te_bin_add(&bins->bin[te_bin_of(confidence, bins->count)], confidence,
	           PG_GETARG_BOOL(BINS_RIGHT));
	PG_RETURN_POINTER(bins);
}

PG_FUNCTION_INFO_V1(te_sql_reliability_merge);
Datum te_sql_reliability_merge(PG_FUNCTION_ARGS)
{
	const Bins *other = PG_ARGISNULL(1) ? NULL : (const Bins *)PG_GETARG_POINTER(1);
	Bins *bins = PG_ARGISNULL(0) ? NULL : (Bins *)PG_GETARG_POINTER(0);

	if (other != NULL) {
		bins = begin_bins(fcinfo, other->count);
		for (int i = 0; i < bins->count; i++)
			te_bin_merge(&bins->bin[i], &other->bin[i]);
	}
	if (bins == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(bins);
}

PG_FUNCTION_INFO_V1(te_sql_reliability_pack);
Datum te_sql_reliability_pack(PG_FUNCTION_ARGS)
{
	const Bins *bins = (const Bins *)PG_GETARG_POINTER(0);

	aggregate_context(fcinfo);
	PG_RETURN_BYTEA_P(pack(bins, bins_size(bins->count)));
}

PG_FUNCTION_INFO_V1(te_sql_reliability_unpack);
Datum te_sql_reliability_unpack(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(unpack(fcinfo));
}

static void put_bin(TeJsonbWriter *w, const TeBin *bin, int i, int count)
{
	te_jsonb_begin_object(w);
	te_jsonb_number_field(w, "low", (double)i / count);
	te_jsonb_number_field(w, "high", (double)(i + 1) / count);
	te_jsonb_key(w, "count");
	te_jsonb_put_integer(w, bin->count);
	te_jsonb_number_field(w, "mean_confidence",
	                      te_exact_value(&bin->confidence) / (double)bin->count);
	te_jsonb_number_field(w, "hit_rate", (double)bin->right / (double)bin->count);
	te_jsonb_end_object(w);
}

PG_FUNCTION_INFO_V1(te_sql_reliability_read);
Datum te_sql_reliability_read(PG_FUNCTION_ARGS)
{
	const Bins *bins = PG_ARGISNULL(0) ? NULL : (const Bins *)PG_GETARG_POINTER(0);
	TeJsonbWriter w = {0};

	te_jsonb_begin_array(&w);
	for (int i = 0; bins != NULL && i < bins->count; i++) {
		if (bins->bin[i].count > 0)
			put_bin(&w, &bins->bin[i], i, bins->count);
	}
	te_jsonb_end_array(&w);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(w.result));
}
