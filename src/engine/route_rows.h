/*
 * route_rows.h - the lane's route in trading.routes.
 */
#ifndef TE_ENGINE_ROUTE_ROWS_H
#define TE_ENGINE_ROUTE_ROWS_H

#include "postgres.h"

#include "core/route.h"

/* The newest record of a lane; false: it has none.  In a transaction with SPI connected. */
extern bool te_route_read(int lane, TeRouteRecord *record);

/* Store a record, durably, in a transaction of its own. */
extern void te_route_store(int lane, const TeRouteRecord *record);

/*
 * Right before the first message that trading.outbox has of a lane, else "last".  In a transaction
 * with SPI connected.
 */
extern TePlace te_route_oldest(int lane, TePlace last);

#endif
