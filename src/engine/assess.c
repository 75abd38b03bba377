/*
 * assess.c - a lane without a risk service: signals stand as they were decided.
 */
#include "postgres.h"

#include "engine/assess.h"

void te_assess_batch(TeBatch *batch pg_attribute_unused(),
                     TeCandidates *candidates pg_attribute_unused())
{
}
