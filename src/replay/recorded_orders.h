/*
 * recorded_orders.h - how many orders of each account were reserved or open, as time goes on.
 *
 * An order is counted from its signal until its reservation ends, or as its trade turned: a
 * report of batch F counts from the batch after F on.  Numbers of batches go on when the number of
 * lanes changes, so for one company they tell the order whatever its lane was.
 */
#ifndef TE_REPLAY_RECORDED_ORDERS_H
#define TE_REPLAY_RECORDED_ORDERS_H

#include "postgres.h"

#include "lib/pairingheap.h"
#include "utils/hsearch.h"

#include "replay/recorded_rows.h"

#define TE_RECORDED_ACCOUNT_SIZE (3 * TE_ID_SIZE)

/* What an account had made after a batch. */
typedef struct TeRecordedMade
{
	int64 batch_no;
	int64 realised;
} TeRecordedMade;

/* All of it, by one of the clocks. */
typedef struct TeRecordedHistory
{
	bool read;
	int count, capacity;
	int at; /* of those, the ones before the batch at hand */
	TeRecordedMade *made;
} TeRecordedHistory;

/*
 * Orders that the risk service turned down: each was counted until the group of candidates that it
 * was in was assessed.  Those of the last group that had any.
 */
typedef struct TeRecordedHeld
{
	int64 batch_no;
	int32 group;
	int count, capacity;
	TeTime *expire_at;
} TeRecordedHeld;

typedef struct TeRecordedAccount
{
	char key[TE_RECORDED_ACCOUNT_SIZE]; /* company/user/account */
	int64 orders;                       /* reserved or open, but for those held */
	TeRecordedHeld held;
	TeRecordedHistory histories[2]; /* by the system's clock, by the input's */
} TeRecordedAccount;

typedef struct TeRecordedOrders
{
	MemoryContext memory;
	HTAB *accounts;
	pairingheap *by_time, *by_batch;
} TeRecordedOrders;

/* None; everything is in that memory. */
extern void te_recorded_orders_begin(TeRecordedOrders *orders, MemoryContext memory);

extern TeRecordedAccount *te_recorded_orders_account(TeRecordedOrders *orders,
                                                     const char *company_id, const char *user_id,
                                                     const char *account_id);

/* An order that is reserved. */
extern void te_recorded_orders_add(TeRecordedOrders *orders, const TeRecordedOrder *order);

/* One that was turned down when its group was assessed. */
extern void te_recorded_orders_hold(TeRecordedOrders *orders, const TeRecordedRow *row);

/* Of those, the ones that counted still when so many groups of a batch were assessed. */
extern int64 te_recorded_orders_held(const TeRecordedAccount *account, int64 batch_no,
                                     int32 assessed, TeTime now);

/* What reports of batches before this one have done. */
extern void te_recorded_orders_report(TeRecordedOrders *orders, int64 batch_no);

/* Reservations end; a late report may still come. */
extern void te_recorded_orders_expire(TeRecordedOrders *orders, TeTime now);

#endif
