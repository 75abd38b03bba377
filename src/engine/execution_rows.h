/*
 * execution_rows.h - the rows of trading.executions.
 */
#ifndef TE_ENGINE_EXECUTION_ROWS_H
#define TE_ENGINE_EXECUTION_ROWS_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "engine/batch.h"
#include "engine/trades.h"

/* A report that came in. */
typedef struct TeReport
{
	TeInput input;
	const TeExecutionReport *told;
	const char *producer_id, *correlation_id;
	int position;   /* of its message in the batch */
	bool old;       /* what it tells is stored, or in this batch, before it */
	int conflicts;  /* of those, with another content */
	TeTrade *trade; /* NULL: it has no effect */
	const char *flag;
} TeReport;

/* Give those reports that aren't old, but are stored, to "read", with the hash of what is stored.
 */
typedef void (*TeReportReader)(TeReport *report, const uint8_t *stored_hash, void *arg);
extern void te_execution_rows_find(const List *reports, TeReportReader read, void *arg);

/* Count conflicts of old reports where their ids are stored. */
extern void te_execution_rows_add_conflicts(const List *reports);

/* Write those that aren't old. */
extern void te_execution_rows_insert(const List *reports, int lane, int64 batch_no);

#endif
