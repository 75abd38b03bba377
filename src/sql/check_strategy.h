/*
 * check_strategy.h - what is refused in a row of trading.strategies, and in what stands for one.
 */
#ifndef TE_SQL_CHECK_STRATEGY_H
#define TE_SQL_CHECK_STRATEGY_H

#include "postgres.h"

#include "core/params.h"

/* Raise 23514 with the parameter's name for a value out of range or a text that is no rule. */
extern void te_check_own_params(const TeParamSet *own);

/*
 * Raise 42501: the tier does not allow the value of parameter p.  allowed_by names the tiers
 * that do; NULL: not known.
 */
extern void te_refuse_beyond_tier(const char *tier, int p, const char *allowed_by)
	__attribute__((noreturn));

#endif
