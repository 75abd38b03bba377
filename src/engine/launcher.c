/*
 * launcher.c - the one static worker, which starts all others.
 *
 * The launcher is connected to no database.  watch.c tells it which databases there
 * are and what a prober found in them:
 *
 *               no extension                          lane ended, delay over
 *   (new) ──> probe ──────────> forgotten      ┌──────────────────────────────┐
 *               │                              v                              │
 *               ├── sound ──────────────> lanes WAITING ──> STARTING ──> RUNNING
 *               └── not sound ──> BLOCKED ──> probed again
 *
 * The state of lanes and databases is in shared memory, so that a launcher that
 * starts anew (after a crash or pg_terminate_backend) finds what still runs.
 */
#include "engine/launcher.h"

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

#include "engine/guc.h"
#include "engine/lane.h"
#include "engine/shmem.h"
#include "engine/spawn.h"
#include "engine/watch.h"

/* A worker that a previous launcher asked for, and that never came. */
#define START_TIMEOUT_MS 30000

static BackgroundWorkerHandle **lane_handles;

void te_launcher_init(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	te_spawn_describe(&worker, "te_launcher_main", "trading_engine launcher");
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

/* --- lanes ----------------------------------------------------------------------- */

/*
 * Is the worker that was asked for gone?  With a handle the postmaster knows; a
 * former launcher's either attaches to its slot in time, or never came to be.
 */
static bool has_ended(int index, TimestampTz now)
{
	const TeLaneSlot *slot = &te_shmem->lanes[index];
	pid_t pid;

	if (lane_handles[index] != NULL)
		return GetBackgroundWorkerPid(lane_handles[index], &pid) == BGWH_STOPPED;
	return slot->state == TE_LANE_STARTING && slot->pid == 0 &&
	       TimestampDifferenceExceeds(slot->since, now, START_TIMEOUT_MS);
}

/* Drops handles of workers that ended, and notices those that never attached to their slot. */
static void reap_lanes(TimestampTz now)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (!has_ended(i, now))
			continue;
		if (lane_handles[i] != NULL)
			pfree(lane_handles[i]);
		lane_handles[i] = NULL;
		LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
		if (OidIsValid(slot->dboid) && slot->state == TE_LANE_STARTING && slot->pid == 0)
			te_shmem_lane_ended(slot, "worker did not start");
		LWLockRelease(te_shmem->lock);
	}
}

static void start_lane(int index, TeLaneSlot *slot, const char *datname, TimestampTz now)
{
	BackgroundWorker worker;
	uint32 generation;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	generation = ++te_shmem->generation;
	slot->generation = generation;
	te_shmem_set_lane_state(slot, TE_LANE_STARTING, NULL);
	LWLockRelease(te_shmem->lock);

	te_spawn_describe(&worker, "te_lane_main", "trading_engine lane");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "trading_engine lane %d of %s", slot->lane,
	         datname);
	worker.bgw_main_arg = Int32GetDatum(index);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	lane_handles[index] = te_spawn(&worker, TE_SPAWN_LANE);
	if (lane_handles[index] == NULL) {
		LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
		te_shmem_set_lane_state(slot, TE_LANE_WAITING, TE_NO_WORKER);
		slot->retry_at = TimestampTzPlusMilliseconds(now, te_guc_restart_delay_max);
		LWLockRelease(te_shmem->lock);
	}
}

/* Gives every lane of a sound database a slot, and takes slots of lanes that are no more. */
static void assign_lanes(TeDatabaseSlot *db, TeKnownDatabase *known)
{
	bool missing = false;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	for (int lane = 0; lane < db->lanes; lane++) {
		if (te_shmem_find_lane(db->dboid, lane) == NULL &&
		    te_shmem_add_lane(db->dboid, lane) == NULL)
			missing = true;
	}
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid != db->dboid || slot->lane < db->lanes)
			continue;
		if (slot->state == TE_LANE_WAITING) {
			slot->dboid = InvalidOid;
			slot->state = TE_LANE_FREE;
		} else
			te_shmem_request_stop(slot);
	}
	LWLockRelease(te_shmem->lock);

	te_watch_tell_no_slot(known, missing);
}

/* Starts the lanes of a sound database whose wait is over, if it was probed since they ended. */
static void start_due_lanes(TeDatabaseSlot *db, TeKnownDatabase *known, TimestampTz now)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid != db->dboid || slot->state != TE_LANE_WAITING || slot->retry_at > now ||
		    lane_handles[i] != NULL)
			continue;
		if (known->probed_at < slot->since)
			te_watch_probe_soon(known, now);
		else if (known->probe_at > now)
			start_lane(i, slot, NameStr(db->datname), now);
	}
}

/* May lanes of the database start, after all that sessions have asked for is done? */
static bool is_ready(const TeDatabaseSlot *db)
{
	bool ready;

	LWLockAcquire(te_shmem->lock, LW_SHARED);
	ready = OidIsValid(db->dboid) && db->state == TE_DATABASE_READY && te_shmem->check_count == 0;
	LWLockRelease(te_shmem->lock);
	return ready;
}

static void manage_lanes(TimestampTz now)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeDatabaseSlot *db = &te_shmem->databases[i];
		TeKnownDatabase *known = is_ready(db) ? te_watch_find(db->dboid) : NULL;

		if (known == NULL || !known->listed || known->probed_at == 0 ||
		    te_watch_is_probed_now(db->dboid))
			continue;
		assign_lanes(db, known);
		start_due_lanes(db, known, now);
	}
}

/* --- the loop ------------------------------------------------------------------- */

/* Milliseconds until something is due; ends of workers and requests set the latch. */
static long time_to_sleep(TimestampTz now)
{
	TimestampTz next = te_watch_next();

	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (OidIsValid(slot->dboid) && slot->state == TE_LANE_WAITING && slot->retry_at > now)
			next = Min(next, slot->retry_at);
	}
	return TimestampDifferenceMilliseconds(now, next);
}

static void detach_launcher(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	if (te_shmem->launcher_pid == MyProcPid) {
		te_shmem->launcher_pid = 0;
		te_shmem->launcher_proc = NULL;
	}
	LWLockRelease(te_shmem->lock);
}

static void attach_launcher(void)
{
	before_shmem_exit(detach_launcher, (Datum)0);
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	te_shmem->launcher_pid = MyProcPid;
	te_shmem->launcher_proc = MyProc;
	te_shmem->launcher_since = GetCurrentTimestamp();
	te_shmem->launcher_reason[0] = '\0';
	/* A former launcher's prober finds another generation and ends. */
	te_shmem->probe.phase = TE_PROBE_IDLE;
	te_shmem->probe.generation = ++te_shmem->generation;
	LWLockRelease(te_shmem->lock);
}

static void init_launcher(void)
{
	te_watch_init();
	lane_handles =
		MemoryContextAllocZero(TopMemoryContext, te_shmem->max_lanes * sizeof(*lane_handles));
	attach_launcher();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "trading_engine launcher", PGC_USERSET, PGC_S_SESSION);
}

static void run_turn(TimestampTz now)
{
	te_watch_update(now);
	reap_lanes(now);
	manage_lanes(now);
	te_watch_probe(now);
}

void te_launcher_main(Datum main_arg pg_attribute_unused())
{
	init_launcher();
	for (;;) {
		TimestampTz now;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending) {
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			te_watch_look();
		}
		now = GetCurrentTimestamp();
		pgstat_report_activity(STATE_RUNNING, NULL);
		run_turn(now);
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
		                time_to_sleep(now), PG_WAIT_EXTENSION);
	}
}
