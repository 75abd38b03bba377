/*
 * market_state.c - trading.market_state(): the market state over given bars.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "core/market.h"
#include "sql/decision_json.h"
#include "sql/sqltime.h"

PG_FUNCTION_INFO_V1(te_sql_market_state_add);
PG_FUNCTION_INFO_V1(te_sql_market_state_read);

enum { ARG_STATE, ARG_TS, ARG_OPEN, ARG_HIGH, ARG_LOW, ARG_CLOSE, ARG_MAX_GAP };

static const char *const arg_names[] = {"state", "ts", "open", "high", "low", "close", "max_gap"};

typedef struct Aggregate
{
	TeMarketState state;
	TeMarketSettings settings;
} Aggregate;

/* A day is 24 hours here. */
static TeTime read_max_gap(const Interval *gap)
{
	TeTime max_gap;

	if (gap->month != 0)
		te_invalid_value("max_gap", "must not have months or years, whose length varies");
	max_gap = gap->day * USECS_PER_DAY + gap->time;
	if (max_gap <= 0)
		te_invalid_value("max_gap", "must be > 0");
	return max_gap;
}

/* The state before the first bar; without a sixth argument the gap rule is off. */
static Aggregate *begin(FunctionCallInfo fcinfo)
{
	MemoryContext context;
	Aggregate *a;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("market_state_add works only in an aggregate")));
	a = MemoryContextAllocZero(context, sizeof(Aggregate));
	a->settings = te_market_settings_default;
	a->settings.max_gap = 0;
	return a;
}

static TeBar read_bar(FunctionCallInfo fcinfo)
{
	TimestampTz ts = PG_GETARG_TIMESTAMPTZ(ARG_TS);
	TeBar bar = {.open = PG_GETARG_FLOAT8(ARG_OPEN),
	             .high = PG_GETARG_FLOAT8(ARG_HIGH),
	             .low = PG_GETARG_FLOAT8(ARG_LOW),
	             .close = PG_GETARG_FLOAT8(ARG_CLOSE)};
	const char *reason;

	if (TIMESTAMP_NOT_FINITE(ts))
		te_invalid_value("ts", "must be finite");
	bar.start = te_time_from_timestamptz(ts);
	reason = te_bar_check(&bar);
	if (reason != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("invalid bar at %s: %s", timestamptz_to_str(ts), reason)));
	return bar;
}

Datum te_sql_market_state_add(PG_FUNCTION_ARGS)
{
	Aggregate *a =
		PG_ARGISNULL(ARG_STATE) ? begin(fcinfo) : (Aggregate *)PG_GETARG_POINTER(ARG_STATE);
	TeBar bar;

	for (int i = ARG_TS; i < PG_NARGS(); i++) {
		if (PG_ARGISNULL(i))
			te_invalid_value(arg_names[i], "must not be NULL");
	}
	if (PG_NARGS() > ARG_MAX_GAP)
		a->settings.max_gap = read_max_gap(PG_GETARG_INTERVAL_P(ARG_MAX_GAP));
	bar = read_bar(fcinfo);
	if (a->state.bars > 0 && bar.start <= a->state.last_start)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("bars must come in order of \"ts\", each ts once"),
		                errhint("Write market_state(ts, open, high, low, close ORDER BY ts).")));
	te_market_add_bar(&a->state, &bar, &a->settings);
	PG_RETURN_POINTER(a);
}

Datum te_sql_market_state_read(PG_FUNCTION_ARGS)
{
	static const Aggregate no_bars;
	const Aggregate *a = PG_ARGISNULL(0) ? &no_bars : (const Aggregate *)PG_GETARG_POINTER(0);
	TeJsonbWriter w = {0};
	TeMarket market;

	te_market_read(&a->state, &te_market_settings_default, &market);
	te_jsonb_begin_object(&w);
	te_jsonb_put_market_fields(&w, &market);
	te_jsonb_number_field(&w, "ema_slow", te_known(market.ema) ? a->state.ema_slow : NAN);
	te_jsonb_key(&w, "bars");
	te_jsonb_put_integer(&w, a->state.bars);
	te_jsonb_end_object(&w);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(w.result));
}
