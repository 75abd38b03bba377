/*
 * check_strategy.h - what is refused in a row of trading.strategies, and in what stands for one.
 */
#ifndef TE_SQL_CHECK_STRATEGY_H
#define TE_SQL_CHECK_STRATEGY_H

#include "postgres.h"

#include "core/params.h"

/*
 * Raise 23514 with the parameter's name for a value out of range, or for one that doesn't go
 * with another of the row.
 */
extern void te_check_ranges(const TeParamSet *own);

/* The same, and for a text that is no rule. */
extern void te_check_own_params(const TeParamSet *own);

/*
 * Raise 42501: the tier, which has these values, does not allow the value that a row has of
 * parameter p.  allowed_by names the tiers that do; NULL: not known.
 */
extern void te_refuse_beyond_tier(const char *tier, const TeParamSet *has, const TeParamSet *own,
                                  int p, const char *allowed_by) __attribute__((noreturn));

#endif
