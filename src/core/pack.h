/*
 * pack.h - a set of parameters in as few bytes as it needs.
 *
 * A strategy differs from what its tier says in a few parameters only.  Those are what is kept
 * of it: a mask, then the values of the parameters in it, in the order of the list, unaligned.
 * Pointers (symbols, rules) are kept as they are: who packs them keeps what they point to.
 */
#ifndef TE_CORE_PACK_H
#define TE_CORE_PACK_H

#include "params.h"

/* The parameters in which a strategy differs from "base", and their values. */
extern void te_params_difference(const TeStrategy *base, const TeStrategy *strategy,
                                 TeParamSet *out);

/* Take a parameter's value over into a set. */
extern void te_params_take(TeParamSet *set, TeParam param, const TeStrategy *from);

/* Bytes that a set takes, and writing it to so many. */
extern size_t te_params_packed_size(const TeParamSet *set);
extern void te_params_pack(const TeParamSet *set, uint8_t *out);

/* The mask of a packed set, and its size. */
extern uint64_t te_params_packed_mask(const uint8_t *packed);
extern size_t te_params_packed_length(const uint8_t *packed);

/* Write the packed values over those of a strategy; the others stay. */
extern void te_params_overlay(const uint8_t *packed, TeStrategy *out);

#endif
