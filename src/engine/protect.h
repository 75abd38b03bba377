/*
 * protect.h - protections look at trades that have closed, and lock.
 *
 * What they measure is in trading.trades, which the batch has brought up to date; locks are
 * rows of trading.protection_locks, written with the batch.  They hold from the next batch on.
 */
#ifndef TE_ENGINE_PROTECT_H
#define TE_ENGINE_PROTECT_H

#include "postgres.h"

#include "engine/policy_rows.h"

/* An order that has closed. */
typedef struct TeClosedOrder
{
	const char *company_id, *user_id, *account_id, *strategy_id, *symbol;
	int side; /* +1 bought, -1 sold */
} TeClosedOrder;

/*
 * Lock what the protections that cover these orders say; in the batch's transaction, with SPI
 * connected.  "now" is the lane's clock.
 */
extern void te_protections_apply(const TePolicyRows *rows, const TeClosedOrder *closed, int count,
                                 TeTime now);

#endif
