/*
 * merge.c - trading.merge_strategy(): tier, user's row and company's row made one.
 *
 * The result's columns are those that the function was declared with: every one
 * that is named like a parameter is filled, and "layers" says for each parameter
 * which layer it came from.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "sql/jsonb_io.h"
#include "sql/params.h"

PG_FUNCTION_INFO_V1(te_sql_merge_strategy);

enum { ARG_TIER, ARG_OWN, ARG_COMPANY, ARG_EXTRA };

static Datum layers_datum(const uint8_t layer[TE_PARAM_COUNT])
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	for (int p = 0; p < TE_PARAM_COUNT; p++)
		te_jsonb_text_field(&w, te_params[p].name, te_layer_enum.labels[layer[p]]);
	te_jsonb_end_object(&w);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

/* Room for the symbols of any intersection. */
static const char **symbol_room(const TeParamSet *a, const TeParamSet *b, const TeParamSet *c)
{
	int most =
		Max(a->values.available_instruments.count,
	        Max(b->values.available_instruments.count, c->values.available_instruments.count));

	return palloc_array(const char *, Max(most, 1));
}

Datum te_sql_merge_strategy(PG_FUNCTION_ARGS)
{
	TeParamSet tier, own, company;
	TeStrategy merged;
	uint8_t layer[TE_PARAM_COUNT];
	TupleDesc desc;
	const TeParamColumns *columns;
	Datum *values;
	bool *nulls;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "merge_strategy must be declared with its columns");
	te_param_set_from_argument(fcinfo, ARG_TIER, &tier);
	te_param_set_from_argument(fcinfo, ARG_OWN, &own);
	te_param_set_from_argument(fcinfo, ARG_COMPANY, &company);
	te_strategy_merge(&tier, &own, &company, !PG_ARGISNULL(ARG_EXTRA) && PG_GETARG_BOOL(ARG_EXTRA),
	                  symbol_room(&tier, &own, &company), &merged, layer);

	desc = BlessTupleDesc(desc);
	columns = te_param_columns_of_call(fcinfo, PG_NARGS(), desc);
	values = palloc0_array(Datum, desc->natts);
	nulls = palloc_array(bool, desc->natts);
	memset(nulls, true, desc->natts * sizeof(bool));
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		int i = columns->attnum[p] - 1;

		if (i >= 0)
			values[i] = te_param_datum(&te_params[p], &merged, &nulls[i]);
	}
	for (int i = 0; i < desc->natts; i++) {
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), "layers") != 0)
			continue;
		values[i] = layers_datum(layer);
		nulls[i] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
