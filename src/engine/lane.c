/*
 * lane.c - a lane's worker: its life.
 */
#include "engine/lane.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "engine/database.h"
#include "engine/heap.h"
#include "engine/latency.h"
#include "engine/session.h"
#include "engine/shmem.h"
#include "engine/work.h"

#include <unistd.h>

/* How long a statement that needs the database for itself may have to wait for us. */
#define DATABASE_CHECK_US INT64_C(1000000)

/* How often it is looked what memory is in use. */
#define MEMORY_CHECK_US INT64_C(1000000)

/* Connects to the slot's database as the worker role. */
static void connect_lane(const TeLaneSlot *slot)
{
	TeDatabaseSlot *db;
	Oid role = InvalidOid;
	char name[NAMEDATALEN];

	LWLockAcquire(te_shmem->lock, LW_SHARED);
	db = te_shmem_find_database(slot->dboid);
	if (db != NULL)
		role = db->worker_role;
	LWLockRelease(te_shmem->lock);
	/* Without a role the connection would be the superuser's. */
	if (!OidIsValid(role))
		proc_exit(1);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(slot->dboid, role, 0);

	snprintf(name, sizeof(name), "trading_engine lane %d", slot->lane);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_SESSION);
}

static void end_lane(TeLaneSlot *slot, const char *reason, int code)
{
	te_lane_report_failure(slot, reason);
	proc_exit(code);
}

/* Ends the worker when its database or extension is wanted away. */
static void check_database(TeLaneSlot *slot)
{
	switch (te_database_check()) {
	case TE_DATABASE_KEEP:
		return;
	case TE_DATABASE_NEEDED:
		end_lane(slot, "the database is being copied, dropped or altered", 1);
		break;
	case TE_DATABASE_NO_EXTENSION:
		end_lane(slot, "the extension was dropped", 0);
		break;
	case TE_DATABASE_OTHER_VERSION:
		end_lane(slot, "the extension has another version than the library", 1);
		break;
	}
}

/* What every turn begins with, whatever the lane does. */
static void attend(TeLaneSlot *slot, TeWork *work)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending) {
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		if (work != NULL && !te_work_reload(work)) {
			te_lane_report_failure(slot, "settings have changed: starting anew");
			te_work_finish(work);
			proc_exit(1);
		}
	}
	if (te_lane_stop_requested(slot)) {
		te_lane_report(slot, TE_LANE_DRAINING, "stopped on request");
		if (work != NULL)
			te_work_finish(work);
		proc_exit(1);
	}
	te_lane_apply_reset(slot);
}

/* A lane of another installation does nothing but wait to be adopted. */
static void wait_for_adoption(TeLaneSlot *slot, TeWork *work)
{
	pgstat_report_activity(STATE_IDLE, NULL);
	while (!te_work_adopted(slot)) {
		attend(slot, work);
		check_database(slot);
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000,
		                PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	end_lane(slot, "the lane was adopted: starting anew", 1);
}

static void run_lane(TeLaneSlot *slot)
{
	TeWork *work = te_work_start(slot);
	int64 check_at = 0, memory_at = 0;

	while (work != NULL) {
		attend(slot, work);
		if (te_monotonic_us() >= check_at) {
			check_database(slot);
			check_at = te_monotonic_us() + DATABASE_CHECK_US;
		}
		if (te_monotonic_us() >= memory_at) {
			te_gauge(&slot->gauges.memory_bytes, te_heap_in_use() - te_work_kept_memory(work));
			memory_at = te_monotonic_us() + MEMORY_CHECK_US;
		}
		if (!te_work_turn(work, check_at))
			break;
	}
	wait_for_adoption(slot, work);
}

/*
 * A statement that waited for DROP EXTENSION fails of what isn't there any more:
 * no error of the lane's, and nothing to be started again for.
 */
static void end_of_error(TeLaneSlot *slot)
{
	ErrorData *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	te_lane_report_failure(slot, error->message);
	AbortCurrentTransaction();
	if (te_database_check() == TE_DATABASE_NO_EXTENSION)
		end_lane(slot, "the extension was dropped", 0);
	ReThrowError(error);
}

/*
 * A thread may still be connecting: the handlers of exit(), by which OpenSSL frees what that thread
 * works with, would crash it, and all other backends with it.
 */
static void leave_at_once(int code, Datum arg pg_attribute_unused())
{
	_exit(code);
}

void te_lane_main(Datum main_arg)
{
	TeLaneSlot *slot = te_shmem_attach_lane(DatumGetInt32(main_arg));

	on_proc_exit(leave_at_once, 0); /* the first to be registered is the last to be called */
	te_heap_settings();
	connect_lane(slot);
	te_session_init();
	PG_TRY();
	{
		run_lane(slot);
	}
	PG_CATCH();
	{
		end_of_error(slot);
	}
	PG_END_TRY();
}
