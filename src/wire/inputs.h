/*
 * inputs.h - the six inputs of a decision as one compact message, bit exact.
 *
 * Parameters that have their default are left out; the message says which set of
 * defaults that is, and an unknown set is refused (UNKNOWN_VERSION) rather than
 * filled with other values than those that decided.
 */
#ifndef TE_WIRE_INPUTS_H
#define TE_WIRE_INPUTS_H

#include "arena.h"
#include "core/decide.h"
#include "error.h"

/* Grows with every change of te_strategy_defaults; a unit test compares the defaults with this
 * version's. */
#define TE_DEFAULTS_VERSION 1

/* Pack all but the rule callback. */
extern bool te_inputs_pack(const TeDecisionInput *in, TeArena *arena, const uint8_t **data,
                           size_t *len, TeWireError *err);

/*
 * All that "in" points to is in the arena; evaluate_rule and rule_context are NULL.
 * Types and enums are checked, ranges are not: that is te_input_check.
 */
extern bool te_inputs_unpack(const uint8_t *data, size_t len, TeArena *arena, TeDecisionInput *in,
                             TeWireError *err);

/* A strategy alone (message StrategyConfig). */
extern bool te_strategy_pack(const TeStrategy *strategy, TeArena *arena, const uint8_t **data,
                             size_t *len, TeWireError *err);
extern bool te_strategy_unpack(const uint8_t *data, size_t len, TeArena *arena, TeStrategy *out,
                               TeWireError *err);

#endif
