/*
 * rates.c - trading.find_rate(): the lanes' conversion of currencies, over given rates.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/rates.h"
#include "sql/decision_json.h"
#include "sql/sqltime.h"

PG_FUNCTION_INFO_V1(te_sql_find_rate);

enum { ARG_FROM, ARG_TO, ARG_AT, ARG_BASE, ARG_QUOTE, ARG_RATE, ARG_TIME, ARG_MAX_AGE, ARG_COUNT };

static const char *const arg_names[ARG_COUNT] = {"from_currency",   "to_currency",      "at",
                                                 "base_currencies", "quote_currencies", "rates",
                                                 "times",           "max_ages"};

/* The elements of an array argument; all arrays must have the length of the first. */
static Datum *elements(FunctionCallInfo fcinfo, int arg, Oid type, int width, bool by_value,
                       char align, int *count)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(arg);
	Datum *values;
	int n;

	if (array_contains_nulls(array))
		te_invalid_value(arg_names[arg], "must not contain NULL");
	deconstruct_array(array, type, width, by_value, align, &values, NULL, &n);
	if (arg != ARG_BASE && n != *count)
		te_invalid_value(arg_names[arg], "must have as many elements as \"base_currencies\"");
	*count = n;
	return values;
}

static TeTime finite_time(const char *name, Datum at)
{
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(at)))
		te_invalid_value(name, "must be finite");
	return te_time_from_timestamptz(DatumGetTimestampTz(at));
}

static void read_graph(FunctionCallInfo fcinfo, TeRateGraph *graph)
{
	int count = 0;
	Datum *bases = elements(fcinfo, ARG_BASE, TEXTOID, -1, false, TYPALIGN_INT, &count);
	Datum *quotes = elements(fcinfo, ARG_QUOTE, TEXTOID, -1, false, TYPALIGN_INT, &count);
	Datum *rates = elements(fcinfo, ARG_RATE, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
	                        TYPALIGN_DOUBLE, &count);
	Datum *times = elements(fcinfo, ARG_TIME, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL,
	                        TYPALIGN_DOUBLE, &count);
	Datum *max_ages = elements(fcinfo, ARG_MAX_AGE, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
	                           TYPALIGN_DOUBLE, &count);

	*graph = (TeRateGraph){
		.nodes = palloc(sizeof(TeRateNode) * (2 * count + 1)),
		.node_capacity = 2 * count,
		.edges = palloc(sizeof(TeRateEdge) * (count + 1)),
		.edge_capacity = count,
	};
	for (int i = 0; i < count; i++) {
		TeRateEdge *e;

		CHECK_FOR_INTERRUPTS(); /* each is looked for among all before it */
		e = te_rates_add(graph, TextDatumGetCString(bases[i]), TextDatumGetCString(quotes[i]));
		e->rate = DatumGetFloat8(rates[i]);
		e->at = finite_time(arg_names[ARG_TIME], times[i]);
		e->max_age = DatumGetInt64(max_ages[i]);
	}
}

/* The currencies that a path passes. */
static ArrayType *currencies(const TeRateGraph *graph, const TeRatePath *path, const char *from)
{
	Datum names[TE_RATE_STEPS_MAX + 1] = {CStringGetTextDatum(from)};

	for (int i = 0; i < path->steps; i++) {
		const TeRateEdge *e = &graph->edges[path->edges[i]];

		names[i + 1] =
			CStringGetTextDatum(graph->nodes[path->inverse[i] ? e->base : e->quote].name);
	}
	return construct_array(names, path->steps + 1, TEXTOID, -1, false, TYPALIGN_INT);
}

/* Where in the arguments its rates stand, from 1. */
static ArrayType *positions(const TeRatePath *path)
{
	Datum steps[TE_RATE_STEPS_MAX];

	for (int i = 0; i < path->steps; i++)
		steps[i] = Int32GetDatum(path->edges[i] + 1);
	return construct_array(steps, path->steps, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

Datum te_sql_find_rate(PG_FUNCTION_ARGS)
{
	char *from = text_to_cstring(PG_GETARG_TEXT_PP(ARG_FROM));
	char *to = text_to_cstring(PG_GETARG_TEXT_PP(ARG_TO));
	TeTime at = finite_time(arg_names[ARG_AT], PG_GETARG_DATUM(ARG_AT));
	TeTime oldest = TE_NO_TIME;
	TeRateGraph graph;
	TeRatePath path;
	TupleDesc descriptor;
	Datum values[4] = {0};
	bool nulls[4] = {true, true, true, true};
	double rate;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_graph(fcinfo, &graph);
	rate = te_rates_convert(&graph, from, to, at, &path);
	if (te_known(rate)) {
		values[0] = Float8GetDatum(rate);
		values[1] = PointerGetDatum(currencies(&graph, &path, from));
		values[2] = PointerGetDatum(positions(&path));
		nulls[0] = nulls[1] = nulls[2] = false;
		for (int i = 0; i < path.steps; i++)
			if (oldest == TE_NO_TIME || graph.edges[path.edges[i]].at < oldest)
				oldest = graph.edges[path.edges[i]].at;
		nulls[3] = oldest == TE_NO_TIME;
		if (!nulls[3])
			values[3] = TimestampTzGetDatum(te_time_to_timestamptz(oldest));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
