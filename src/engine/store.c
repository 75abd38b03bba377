/*
 * store.c - the one transaction of a batch.
 */
#include "postgres.h"

#include "engine/session.h"
#include "engine/store.h"

#define COLUMN(name, type) {#name, #type},
#define SPEC(member, sql_name, list, prefix)                                                       \
	static const TeColumnSpec member##_columns[] = {list(COLUMN)};                                 \
	static TeRowsSpec member##_spec = {                                                            \
		.table = "trading." #sql_name,                                                             \
		.columns = member##_columns,                                                               \
		.column_count = lengthof(member##_columns),                                                \
	};
TE_BATCH_TABLES(SPEC)

void te_store_init(TeBatchRows *rows, MemoryContext context)
{
#define INIT(member, ...) te_rows_init(&rows->member, &member##_spec, context);
	TE_BATCH_TABLES(INIT)
}

void te_store_commit(TeBatchRows *rows, TeLatencies *latencies, void (*more)(void *arg), void *arg)
{
	int64 begun = te_monotonic_us(), stored;

	te_session_begin("writing a batch");
	/* What is published must survive a crash, whatever the role's or database's setting is. */
	te_session_durable();
#define INSERT(member, ...) te_rows_insert(&rows->member);
	TE_BATCH_TABLES(INSERT)
	more(arg);
	stored = te_monotonic_us();
	te_session_commit();
	te_latency_record(latencies, TE_LATENCY_STORE, begun, stored);
	te_latency_record(latencies, TE_LATENCY_COMMIT, stored, te_monotonic_us());
}
