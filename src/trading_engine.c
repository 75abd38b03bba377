/*
 * trading_engine.c - the library's entry.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "engine/guc.h"
#include "engine/launcher.h"
#include "engine/shmem.h"
#include "replay/progress.h"
#include "sql/lock_guard.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/*
 * Loaded by the postmaster, the library brings settings, shared memory, the launcher and a
 * guard over LOCK; loaded later by a session, settings and functions alone.
 */
void _PG_init(void)
{
	te_guc_init();
	if (!process_shared_preload_libraries_in_progress)
		return;
	te_shmem_init();
	te_replay_progress_init();
	te_launcher_init();
	te_lock_guard_init();
}
