/*
 * adjust.c - the rule of self-adjustment for SQL: trading.adjustment(), trading.model_weight().
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/adjust.h"
#include "engine/guc.h"
#include "sql/jsonb_io.h"
#include "sql/sqltime.h"

PG_FUNCTION_INFO_V1(te_sql_adjustment);
PG_FUNCTION_INFO_V1(te_sql_model_weight);

/* The settings as they are now; an error where they contradict each other. */
static TeAdjustSettings settings(void)
{
	TeAdjustSettings s = {
		.least_trades = te_guc_adjust_least_trades,
		.least_new_trades = te_guc_adjust_least_new_trades,
		.pause = (int64)te_guc_adjust_pause * TE_USEC_PER_SEC,
		.low_accuracy = te_guc_adjust_low_accuracy,
		.raise = te_guc_adjust_raise,
		.ceiling = te_guc_adjust_ceiling,
		.high_accuracy = te_guc_adjust_high_accuracy,
		.lower = te_guc_adjust_lower,
		.below_default = te_guc_adjust_below_default,
		.floor = te_guc_adjust_floor,
		.high_drawdown = te_guc_adjust_high_drawdown,
		.low_drawdown = te_guc_adjust_low_drawdown,
		.size_factor = te_guc_adjust_size_factor,
		.size_floor = te_guc_adjust_size_floor,
		.least_model_votes = te_guc_adjust_least_model_votes,
		.least_weight = te_guc_adjust_least_weight,
		.most_weight = te_guc_adjust_most_weight,
	};
	const char *reason, *wrong = te_adjust_settings_check(&s, &reason);

	if (wrong != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("trading_engine.adjust_%s %s", wrong, reason)));
	return s;
}

enum {
	ARG_OPTED_OUT,
	ARG_THRESHOLD,
	ARG_TIER_THRESHOLD,
	ARG_SIZE,
	ARG_LAST,
	ARG_CLOSED,
	ARG_NEW,
	ARG_ACCURACY,
	ARG_MAX_DRAWDOWN,
	ARG_DRAWDOWN,
	ARG_AT,
	ARG_COUNT
};

static const char *const arg_names[ARG_COUNT] = {"opted_out",
                                                 "threshold",
                                                 "tier_threshold",
                                                 "size_multiplier",
                                                 "last_adjusted_at",
                                                 "closed_trades",
                                                 "new_trades",
                                                 "accuracy",
                                                 "max_drawdown",
                                                 "drawdown",
                                                 "at"};

/* A number within 0 and 1; NAN for NULL where that may be. */
static double share(FunctionCallInfo fcinfo, int arg, bool required)
{
	double x;

	if (PG_ARGISNULL(arg)) {
		if (required)
			te_invalid_value(arg_names[arg], "must not be NULL");
		return NAN;
	}
	x = PG_GETARG_FLOAT8(arg);
	if (!(x >= 0 && x <= 1))
		te_invalid_value(arg_names[arg], "must be within 0 and 1");
	return x;
}

static int64 count_of(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg) || PG_GETARG_INT64(arg) < 0)
		te_invalid_value(arg_names[arg], "must be 0 or more");
	return PG_GETARG_INT64(arg);
}

static TeTime time_of(FunctionCallInfo fcinfo, int arg)
{
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(arg)))
		te_invalid_value(arg_names[arg], "must be finite");
	return te_time_from_timestamptz(PG_GETARG_TIMESTAMPTZ(arg));
}

static void read_state(FunctionCallInfo fcinfo, TeAdjustState *state)
{
	if (PG_ARGISNULL(ARG_OPTED_OUT))
		te_invalid_value(arg_names[ARG_OPTED_OUT], "must not be NULL");
	*state = (TeAdjustState){
		.opted_out = PG_GETARG_BOOL(ARG_OPTED_OUT),
		.threshold = share(fcinfo, ARG_THRESHOLD, false),
		.tier_threshold = share(fcinfo, ARG_TIER_THRESHOLD, true),
		.size_multiplier = share(fcinfo, ARG_SIZE, true),
		.last_adjusted_at = PG_ARGISNULL(ARG_LAST) ? TE_NO_TIME : time_of(fcinfo, ARG_LAST),
	};
}

/* Without a threshold of its own, accuracy moves none. */
static void read_figures(FunctionCallInfo fcinfo, const TeAdjustState *state,
                         TeAdjustFigures *figures)
{
	*figures = (TeAdjustFigures){
		.closed_trades = count_of(fcinfo, ARG_CLOSED),
		.new_trades = count_of(fcinfo, ARG_NEW),
		.accuracy = share(fcinfo, ARG_ACCURACY, false),
		.max_drawdown = PG_ARGISNULL(ARG_MAX_DRAWDOWN) ? NAN : PG_GETARG_FLOAT8(ARG_MAX_DRAWDOWN),
		.drawdown = PG_ARGISNULL(ARG_DRAWDOWN) ? NAN : PG_GETARG_FLOAT8(ARG_DRAWDOWN),
	};
	if (!te_known(state->threshold))
		figures->accuracy = NAN;
}

/* verdict, and of threshold and size: after, reason, limit. */
#define COLUMNS_OF_CHANGE 3

Datum te_sql_adjustment(PG_FUNCTION_ARGS)
{
	TeAdjustSettings s = settings();
	TeAdjustState state;
	TeAdjustFigures figures;
	TeAdjustment adjustment;
	TupleDesc desc;
	Datum values[1 + 2 * COLUMNS_OF_CHANGE] = {0};
	bool nulls[lengthof(values)];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
	    desc->natts != lengthof(values))
		elog(ERROR, "adjustment must be declared with its columns");
	if (PG_ARGISNULL(ARG_AT))
		te_invalid_value(arg_names[ARG_AT], "must not be NULL");
	read_state(fcinfo, &state);
	read_figures(fcinfo, &state, &figures);
	te_adjust(&s, &state, &figures, time_of(fcinfo, ARG_AT), &adjustment);

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum(te_adjust_verdict_enum.labels[adjustment.verdict]);
	nulls[0] = false;
	for (int i = 0; i < adjustment.count; i++) {
		const TeAdjustChange *change = &adjustment.changes[i];
		int at = 1 + COLUMNS_OF_CHANGE * (change->what == TE_ADJUSTS_SIZE);

		values[at] = Float8GetDatum(change->after);
		values[at + 1] = CStringGetTextDatum(te_adjust_reason_enum.labels[change->reason]);
		values[at + 2] = Float8GetDatum(change->limit);
		memset(nulls + at, false, COLUMNS_OF_CHANGE * sizeof(bool));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* model_weight(right_votes, wrong_votes): of a model whose own weight is 1. */
Datum te_sql_model_weight(PG_FUNCTION_ARGS)
{
	TeAdjustSettings s = settings();
	int64 right = PG_GETARG_INT64(0), wrong = PG_GETARG_INT64(1);

	if (right < 0)
		te_invalid_value("right_votes", "must be 0 or more");
	if (wrong < 0)
		te_invalid_value("wrong_votes", "must be 0 or more");
	PG_RETURN_FLOAT8(te_model_weight(&s, 1, right, wrong));
}
