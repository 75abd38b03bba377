/*
 * trigger.h - what functions of triggers begin with.
 */
#ifndef TE_SQL_TRIGGER_H
#define TE_SQL_TRIGGER_H

#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/rel.h"

/* The call's trigger.  Raises 39P01 when the function, whose name that is, isn't called by one. */
static inline TriggerData *te_trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("trading.%s() must be called as a trigger", name)));
	return (TriggerData *)fcinfo->context;
}

/* A column of the trigger's table; raises 42703 when there is none of that name. */
static inline AttrNumber te_trigger_column(Relation relation, const char *name)
{
	AttrNumber number = SPI_fnumber(RelationGetDescr(relation), name);

	if (number <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
		                errmsg("table \"%s\" has no column \"%s\"",
		                       RelationGetRelationName(relation), name)));
	return number;
}

#endif
