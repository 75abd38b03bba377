/*
 * lane_of.c - trading.lane_of(): the SQL door to te_lane_of().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/lane.h"
#include "sql/jsonb_io.h"

PG_FUNCTION_INFO_V1(te_sql_lane_of);

/* lane_of(company text, lanes integer) */
Datum te_sql_lane_of(PG_FUNCTION_ARGS)
{
	char *company = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32 lanes = PG_GETARG_INT32(1);

	if (lanes < 1)
		te_invalid_value("lanes", "must be at least 1");
	PG_RETURN_INT32(te_lane_of(company, lanes));
}
