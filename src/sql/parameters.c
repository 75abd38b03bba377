/*
 * parameters.c - trading.strategy_parameters(): the core's list of parameters as rows.
 *
 * The tables' columns, their checks and their comments, and the columns of
 * trading.merge_strategy() are generated from it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "sql/params.h"

PG_FUNCTION_INFO_V1(te_sql_strategy_parameters);

/* Labels of the core's own enums, which SQL sees only here. */
static const char *const merge_labels[] = {[TE_MERGE_REPLACE] = "REPLACE",
                                           [TE_MERGE_MAX] = "MAX",
                                           [TE_MERGE_MIN] = "MIN",
                                           [TE_MERGE_AND] = "AND",
                                           [TE_MERGE_INTERSECT] = "INTERSECT"};
static const char *const entitlement_labels[] = {[TE_ENTITLED_FREELY] = "FREELY",
                                                 [TE_ENTITLED_CEILING] = "CEILING",
                                                 [TE_ENTITLED_ADVANCED] = "ADVANCED",
                                                 [TE_ENTITLED_CUSTOM] = "CUSTOM",
                                                 [TE_ENTITLED_ALGORITHMIC] = "ALGORITHMIC"};

enum {
	COLUMN_NAME,
	COLUMN_SQL_TYPE,
	COLUMN_DEFAULT,
	COLUMN_LOW,
	COLUMN_LOW_OPEN,
	COLUMN_HIGH,
	COLUMN_LABELS,
	COLUMN_MERGE,
	COLUMN_ENTITLEMENT,
	COLUMN_FREE,
	COLUMN_PRO,
	COLUMN_ENTERPRISE,
	COLUMN_CHECK,
	COLUMN_DOC,
	COLUMN_COUNT
};

StaticAssertDecl(COLUMN_ENTERPRISE - COLUMN_FREE + 1 == TE_TIER_COUNT, "one column per tier");

static const TeEnum *labels_of(const TeParamInfo *info)
{
	return info->kind == TE_KIND_REGIMES ? &te_regime_enum : info->labels;
}

static Datum label_array(const TeEnum *labels)
{
	Datum *elements = palloc_array(Datum, labels->count);

	for (int i = 0; i < labels->count; i++)
		elements[i] = CStringGetTextDatum(labels->labels[i]);
	return PointerGetDatum(
		construct_array(elements, labels->count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* "ARRAY['A', 'B']"; labels need no escaping. */
static void append_labels(StringInfo out, const TeEnum *labels)
{
	appendStringInfoString(out, "ARRAY[");
	for (int i = 0; i < labels->count; i++)
		appendStringInfo(out, "%s'%s'", i > 0 ? ", " : "", labels->labels[i]);
	appendStringInfoString(out, "]");
}

/* "x >= 0 AND x <= 1".  NaN is above infinity, so an upper bound keeps it out as well. */
static void append_range(StringInfo out, const TeParamInfo *info)
{
	appendStringInfo(out, "%s %s %.15g AND %s ", info->name, info->low_open ? ">" : ">=", info->low,
	                 info->name);
	if (isinf(info->high))
		appendStringInfoString(out, "< 'Infinity'");
	else
		appendStringInfo(out, "<= %.15g", info->high);
}

/* The CHECK expression of a parameter's column: the part of te_strategy_check that SQL can say. */
static char *check_expression(const TeParamInfo *info)
{
	StringInfoData out;

	initStringInfo(&out);
	switch (info->kind) {
	case TE_KIND_BOOL:
		appendStringInfoString(&out, "true");
		break;
	case TE_KIND_INT:
	case TE_KIND_NUMBER:
		append_range(&out, info);
		break;
	case TE_KIND_ENUM:
		appendStringInfo(&out, "%s = ANY (", info->name);
		append_labels(&out, info->labels);
		appendStringInfoString(&out, ")");
		break;
	case TE_KIND_REGIMES:
		appendStringInfo(&out, "COALESCE(array_ndims(%1$s), 1) = 1 AND %1$s <@ ", info->name);
		append_labels(&out, &te_regime_enum);
		break;
	case TE_KIND_SYMBOLS:
		appendStringInfo(&out,
		                 "COALESCE(array_ndims(%1$s), 1) = 1 AND array_position(%1$s, NULL) IS "
		                 "NULL AND '' <> ALL (%1$s)"
		                 " AND ('*' <> ALL (%1$s) OR %1$s = '{*}')",
		                 info->name);
		break;
	case TE_KIND_RULE:
		appendStringInfo(&out, "octet_length(%s) BETWEEN 1 AND %d", info->name, TE_RULE_MAX_BYTES);
		break;
	case TE_KIND_WEIGHTS:
		appendStringInfo(&out,
		                 "array_ndims(%1$s) = 1 AND array_length(%1$s, 1) = %2$d AND "
		                 "array_position(%1$s, NULL) IS NULL"
		                 " AND 0 <= ALL (%1$s) AND 'Infinity' > ALL (%1$s) AND 0 < ANY (%1$s)",
		                 info->name, TE_WEIGHT_COUNT);
		break;
	}
	return out.data;
}

/* Texts are NULL where the value is. */
static void set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text == NULL ? (Datum)0 : CStringGetTextDatum(text);
}

static void set_range(Datum *values, bool *nulls, const TeParamInfo *info)
{
	bool number = info->kind == TE_KIND_INT || info->kind == TE_KIND_NUMBER;

	nulls[COLUMN_LOW] = nulls[COLUMN_LOW_OPEN] = !number;
	nulls[COLUMN_HIGH] = !number || isinf(info->high);
	values[COLUMN_LOW] = Float8GetDatum(info->low);
	values[COLUMN_LOW_OPEN] = BoolGetDatum(info->low_open);
	values[COLUMN_HIGH] = Float8GetDatum(info->high);
}

Datum te_sql_strategy_parameters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
	TeStrategy defaults;
	TeParamSet tiers[TE_TIER_COUNT];

	InitMaterializedSRF(fcinfo, 0);
	te_strategy_defaults(&defaults);
	for (int t = 0; t < TE_TIER_COUNT; t++)
		te_tier_defaults(t, &tiers[t]);

	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		const TeParamInfo *info = &te_params[p];
		Datum values[COLUMN_COUNT];
		bool nulls[COLUMN_COUNT];

		set_text(values, nulls, COLUMN_NAME, info->name);
		set_text(values, nulls, COLUMN_SQL_TYPE, te_param_type(info));
		set_text(values, nulls, COLUMN_DEFAULT, te_param_text(info, &defaults));
		set_range(values, nulls, info);
		nulls[COLUMN_LABELS] = labels_of(info) == NULL;
		values[COLUMN_LABELS] = nulls[COLUMN_LABELS] ? (Datum)0 : label_array(labels_of(info));
		set_text(values, nulls, COLUMN_MERGE, merge_labels[info->merge]);
		set_text(values, nulls, COLUMN_ENTITLEMENT, entitlement_labels[info->entitlement]);
		for (int t = 0; t < TE_TIER_COUNT; t++)
			set_text(values, nulls, COLUMN_FREE + t,
			         tiers[t].set & TE_PARAM_BIT(p) ? te_param_text(info, &tiers[t].values) : NULL);
		set_text(values, nulls, COLUMN_CHECK, check_expression(info));
		set_text(values, nulls, COLUMN_DOC, info->doc);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum)0;
}
