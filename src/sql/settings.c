/*
 * settings.c - trading.settings_contradiction().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "engine/settings.h"

PG_FUNCTION_INFO_V1(te_sql_settings_contradiction);

/* settings_contradiction(): which settings contradict each other, as this session sees them */
Datum te_sql_settings_contradiction(PG_FUNCTION_ARGS)
{
	char *contradiction = te_settings_contradiction();

	if (contradiction == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(contradiction));
}
