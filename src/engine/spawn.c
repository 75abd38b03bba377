/*
 * spawn.c - asking the postmaster for workers.
 */
#include "engine/spawn.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/shmem.h"

#define LIBRARY_NAME "trading_engine"

/* Kinds of workers that the last attempt found no slot for. */
static bool exhausted[TE_SPAWN_COUNT];

static bool any_exhausted(void)
{
	return exhausted[TE_SPAWN_LANE] || exhausted[TE_SPAWN_PROBER];
}

void te_spawn_describe(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, LIBRARY_NAME, sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, type, sizeof(worker->bgw_type));
	strlcpy(worker->bgw_name, type, sizeof(worker->bgw_name));
}

BackgroundWorkerHandle *te_spawn(BackgroundWorker *worker, TeSpawnKind kind)
{
	BackgroundWorkerHandle *handle = NULL;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool started;

	worker->bgw_notify_pid = MyProcPid;
	started = RegisterDynamicBackgroundWorker(worker, &handle);
	MemoryContextSwitchTo(old);
	if (!started && !any_exhausted())
		ereport(LOG,
		        (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		         errmsg("trading_engine cannot start a worker: out of background worker slots"),
		         errhint("Raise max_worker_processes and restart the server.")));
	exhausted[kind] = !started;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	strlcpy(te_shmem->launcher_reason, any_exhausted() ? TE_NO_WORKER : "",
	        sizeof(te_shmem->launcher_reason));
	LWLockRelease(te_shmem->lock);
	return handle;
}
