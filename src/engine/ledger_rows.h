/*
 * ledger_rows.h - the rows of account_history and position_history.
 */
#ifndef TE_ENGINE_LEDGER_ROWS_H
#define TE_ENGINE_LEDGER_ROWS_H

#include "postgres.h"

#include "engine/ledgers.h"
#include "engine/query.h"

/* Read the newest rows of a batch's accounts and of their positions, where there are any. */
extern void te_ledger_rows_read(TeLedgers *ledgers);

/* Write those that follow from the batch. */
extern void te_ledger_rows_insert(const TeLedgers *ledgers, int lane, int64 batch_no);

/* Columns of account_history AS n that tell an account's run, and the run of such a row. */
#define TE_ACCOUNT_RUN_FIELDS                                                                      \
	" n.batch_no, n.realised, n.settled_peak, n.day_start, n.fills, n.last_at, n.last_id,"         \
	" (n.day OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8 AS day_number"

extern void te_ledger_rows_take_run(TeRow *row, TeAccountRun *run);

#endif
