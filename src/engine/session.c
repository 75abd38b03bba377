/*
 * session.c - a worker's transactions.
 */
#include "postgres.h"

#include "engine/database.h"
#include "engine/session.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static void set_for_process(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

void te_session_init(void)
{
	set_for_process("search_path", "pg_catalog, pg_temp");
	/* The role's or database's settings must not bend what a batch writes. */
	set_for_process("row_security", "on");
	set_for_process("session_replication_role", "origin");
	set_for_process("default_transaction_read_only", "off");
	/* In a deadlock with DROP EXTENSION or the like, the lane gives way: it tries again. */
	set_for_process("deadlock_timeout", "100ms");
	/* A worker's statements are short, whatever the planner thinks of their rows. */
	set_for_process("jit", "off");
	set_for_process("statement_timeout", "0");
	set_for_process("idle_in_transaction_session_timeout", "0");
}

void te_session_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void te_session_durable(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		(void)set_config_option("synchronous_commit", "on", PGC_SUSET, PGC_S_SESSION,
		                        GUC_ACTION_LOCAL, true, 0, false);
}

void te_session_asynchronous(void)
{
	(void)set_config_option("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
	                        true, 0, false);
}

void te_session_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void te_session_abort(bool quiet)
{
	AbortCurrentTransaction();
	/* A statement that waited for DROP EXTENSION fails of what isn't there any more. */
	if (te_database_check() == TE_DATABASE_NO_EXTENSION)
		proc_exit(0);
	if (!quiet)
		EmitErrorReport();
	FlushErrorState();
	pgstat_report_activity(STATE_IDLE, NULL);
}
