/*
 * results.c - a lane that takes no executions.
 */
#include "postgres.h"

#include "engine/results.h"

bool te_results_take(TeBatch *batch pg_attribute_unused(),
                     const TeInput *input pg_attribute_unused(),
                     const TeSubject *subject pg_attribute_unused(),
                     const TeMessage *message pg_attribute_unused(), TeWireError *err)
{
	return te_wire_fail(err, TE_WIRE_UNKNOWN_TYPE, "message_type",
	                    "does not belong on this subject");
}

void te_results_store(TeBatch *batch pg_attribute_unused())
{
}

void te_results_committed(TeBatch *batch pg_attribute_unused())
{
}
