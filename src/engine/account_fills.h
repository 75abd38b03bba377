/*
 * account_fills.h - all fills of accounts that had to be folded anew, kept in memory.
 *
 * What comes late seldom comes alone: an account's fills are read once from trading.executions,
 * and then go along with what its batches add.  A lane keeps as many as it has room for.
 */
#ifndef TE_ENGINE_ACCOUNT_FILLS_H
#define TE_ENGINE_ACCOUNT_FILLS_H

#include "postgres.h"

#include "core/position.h"
#include "engine/trades.h"

typedef struct TeLedgerKey
{
	char company_id[TE_ID_MAX + 1], user_id[TE_ID_MAX + 1], account_id[TE_ID_MAX + 1];
	bool simulated;
} TeLedgerKey;

/* A fill of an account, with what it takes to add it to its position. */
typedef struct TeLedgerFill
{
	TeFill fill;
	const char *symbol;
	double lot_step, contract_size;
} TeLedgerFill;

/* In order of time, then of id. */
extern int te_ledger_fill_compare(const TeLedgerFill *a, const TeLedgerFill *b);

typedef struct TeKeptFill
{
	TeLedgerFill of; /* its symbol is one of the account's own */
	int symbol;      /* index of it */
} TeKeptFill;

/* All fills of an account, in order. */
typedef struct TeAccountFills
{
	TeLedgerKey key;
	int64 batch_no; /* of the account's row that they lead to; the caller sets it.  0: none */
	TeKeptFill *fills;
	int count, capacity;
	char **symbols;
	int symbol_count, symbol_capacity;
} TeAccountFills;

/* What is kept of an account whose newest row is of this batch; NULL: nothing that leads to it. */
extern TeAccountFills *te_account_fills_find(const TeLedgerKey *key, int64 batch_no);

/* Read all that the transaction sees, the batch's own reports included. */
extern TeAccountFills *te_account_fills_read(const TeLedgerKey *key);

/* Whether more are kept than there is room for; and: an account's are needed no more. */
extern bool te_account_fills_full(void);
extern void te_account_fills_forget(TeAccountFills *all);

/* Other effects of reports that are there already. */
extern void te_account_fills_replace(TeAccountFills *all, const TeLedgerFill *fills, int count);

/* New ones, in order. */
extern void te_account_fills_merge(TeAccountFills *all, const TeLedgerFill *fills, int count);

#endif
