/*
 * ledgers.h - positions and accounts: the rows of position_history and account_history.
 *
 * A position is the fold of its fills in order of time, an account the fold of those of all its
 * positions.  A batch whose fills are all later than what an account has goes on from its newest
 * rows.  Else the account is folded anew from all its fills (account_fills.h).
 */
#ifndef TE_ENGINE_LEDGERS_H
#define TE_ENGINE_LEDGERS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "core/account.h"
#include "engine/account_fills.h"

/* A position that a batch has touched. */
typedef struct TeLedgerPosition
{
	const char *symbol;
	bool first; /* it has no row yet */
	double lot_step;
	TePosition state;
} TeLedgerPosition;

typedef struct TeLedgerFills
{
	TeLedgerFill *list;
	int count, capacity;
} TeLedgerFills;

/* An account that a batch has touched. */
typedef struct TeLedgerAccount
{
	const char *company_id, *user_id, *account_id;
	bool simulated;
	int64 batch_no;        /* of its newest row; 0: none */
	TeAccountRun run;      /* after the batch, once settled */
	List *positions;       /* of TeLedgerPosition */
	TeLedgerFills fills;   /* that are new */
	TeLedgerFills amended; /* older ones that do something else now */
} TeLedgerAccount;

typedef struct TeLedgers
{
	MemoryContext context; /* of the batch */
	List *accounts;        /* of TeLedgerAccount */
	HTAB *by_key;
} TeLedgers;

extern void te_ledgers_begin(TeLedgers *ledgers, MemoryContext context);

/*
 * Fills of a trade that are new: those of its reports for which "is_new" is true, one for one.
 * The trade must live as long as the batch.
 */
extern void te_ledgers_add(TeLedgers *ledgers, const TeTrade *trade, const bool *is_new);

/* Bring all accounts up to date and write their rows. */
extern void te_ledgers_store(TeLedgers *ledgers, int lane, int64 batch_no);

/* What a lane's accounts and positions were after its last batch. */
extern void te_ledgers_load(TeExposure *exposure, int lane, int lane_count, bool simulated);

/* After the commit: tell the lane's exposure of accounts that are simulated, or not. */
extern void te_ledgers_tell(const TeLedgers *ledgers, TeExposure *exposure, bool simulated);

#endif
