/*
 * assessment.h - what was done to a signal, as a column of its row.
 */
#ifndef TE_WIRE_ASSESSMENT_H
#define TE_WIRE_ASSESSMENT_H

#include "arena.h"
#include "core/actions.h"
#include "error.h"

extern bool te_assessment_pack(const TeRiskActions *actions, TeArena *arena, const uint8_t **data,
                               size_t *len, TeWireError *err);
extern bool te_assessment_unpack(const uint8_t *data, size_t len, TeArena *arena,
                                 TeRiskActions *out, TeWireError *err);

#endif
