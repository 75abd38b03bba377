/*
 * check_strategy.c - what the guard triggers ask before a strategy is stored:
 * trading.check_strategy() and trading.check_rule().
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "sql/check_strategy.h"
#include "sql/params.h"
#include "sql/rule.h"

PG_FUNCTION_INFO_V1(te_sql_check_strategy);
PG_FUNCTION_INFO_V1(te_sql_check_rule);

enum { ARG_TIER, ARG_OWN, ARG_TIERS };

/* The text in column "tier" of a row of trading.tiers. */
static const char *tier_name(HeapTupleHeader row)
{
	bool isnull;
	Datum name = GetAttributeByName(row, "tier", &isnull);

	return isnull ? "?" : TextDatumGetCString(name);
}

/* "PRO, ENTERPRISE": the tiers among the given rows that allow one parameter's value, or "none". */
static char *tiers_that_allow(ArrayType *tiers, const TeParamSet *own, int p)
{
	TeParamSet one = {.set = TE_PARAM_BIT(p), .values = own->values};
	StringInfoData names;
	Datum *rows;
	bool *nulls;
	int count;

	initStringInfo(&names);
	deconstruct_array(tiers, ARR_ELEMTYPE(tiers), -1, false, TYPALIGN_DOUBLE, &rows, &nulls,
	                  &count);
	for (int i = 0; i < count; i++) {
		HeapTupleHeader row;
		TeParamSet tier;

		if (nulls[i])
			continue;
		row = DatumGetHeapTupleHeader(rows[i]);
		te_param_set_from_row(row, &tier);
		if (te_strategy_beyond_tier(&tier, &one) < 0)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", tier_name(row));
	}
	return names.len > 0 ? names.data : pstrdup("none");
}

void te_check_ranges(const TeParamSet *own)
{
	const char *reason;
	const char *name = te_strategy_check(own, &reason);

	if (name != NULL)
		te_param_invalid(name, reason, &own->values);
}

void te_check_own_params(const TeParamSet *own)
{
	te_check_ranges(own);
	if ((own->set & TE_PARAM_BIT(TE_PARAM_custom_rule)) && own->values.custom_rule != NULL)
		te_rule_check(own->values.custom_rule, "custom_rule", ERRCODE_CHECK_VIOLATION);
}

/* What a tier has of a parameter, and what was asked for. */
static char *tier_detail(const char *tier, const TeParamSet *has, const TeParamSet *own, int p)
{
	const TeParamInfo *info = &te_params[p];
	int flag = te_param_unlocked_by(p);
	TeStrategy values;

	if (flag >= 0)
		return psprintf("It needs %s, which tier %s does not have.", te_params[flag].name, tier);
	te_tier_values(has, &values);
	return psprintf("The value is %s; tier %s has %s%s.", te_param_text(info, &own->values), tier,
	                info->kind == TE_KIND_INT ? "at most " : "", te_param_text(info, &values));
}

void te_refuse_beyond_tier(const char *tier, const TeParamSet *has, const TeParamSet *own, int p,
                           const char *allowed_by)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	                errmsg("tier %s does not allow this value of \"%s\"%s", tier, te_params[p].name,
	                       allowed_by ? psprintf("; tiers that do: %s", allowed_by) : ""),
	                errdetail("%s", tier_detail(tier, has, own, p)),
	                err_generic_string(PG_DIAG_COLUMN_NAME, te_params[p].name)));
}

/* check_strategy(tier record, own record, tiers record[]): ranges first, then what the tier allows.
 */
Datum te_sql_check_strategy(PG_FUNCTION_ARGS)
{
	TeParamSet own, tier;
	int p;

	te_param_set_from_argument(fcinfo, ARG_OWN, &own);
	te_check_own_params(&own);
	te_param_set_from_argument(fcinfo, ARG_TIER, &tier);
	p = te_strategy_beyond_tier(&tier, &own);
	if (p >= 0)
		te_refuse_beyond_tier(
			PG_ARGISNULL(ARG_TIER) ? "(none)" : tier_name(PG_GETARG_HEAPTUPLEHEADER(ARG_TIER)),
			&tier, &own, p,
			PG_ARGISNULL(ARG_TIERS) ? NULL
									: tiers_that_allow(PG_GETARG_ARRAYTYPE_P(ARG_TIERS), &own, p));
	PG_RETURN_VOID();
}

/* check_rule(rule text): true, or an error that says why it is no rule. */
Datum te_sql_check_rule(PG_FUNCTION_ARGS)
{
	te_rule_check(text_to_cstring(PG_GETARG_TEXT_PP(0)), "custom_rule",
	              ERRCODE_INVALID_PARAMETER_VALUE);
	PG_RETURN_BOOL(true);
}
