/*
 * launcher.c - the one static worker, which starts all others.
 *
 * The launcher is connected to no database.  It knows the databases of the
 * cluster from pg_database, and asks about each of them by a prober: a worker
 * that connects, looks for the extension, and is gone within milliseconds.
 * Only one prober runs at a time.  A database is probed
 *   - when it is new to the launcher,
 *   - when a session asks (te_shmem_request_check, at commit of CREATE EXTENSION),
 *   - before a lane that ended is started again,
 *   - from time to time while something is wrong with it.
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

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#include "engine/database.h"
#include "engine/guc.h"
#include "engine/lane.h"
#include "engine/shmem.h"

#define LIBRARY_NAME "trading_engine"

/* A prober that takes longer hangs on a lock, and must not keep other databases waiting. */
#define PROBE_TIMEOUT_MS 10000
/* A worker that a previous launcher asked for, and that never came. */
#define START_TIMEOUT_MS 30000
/* How soon a database is looked at again that is being copied, altered or dropped. */
#define LOCKED_RETRY_MS 1000

/* What this launcher knows of a connectable database. */
typedef struct Known
{
	Oid dboid; /* key */
	NameData datname;
	TimestampTz probe_at;  /* DT_NOEND: not needed */
	TimestampTz probed_at; /* start of the last probe that gave a verdict */
	int failed_probes;     /* in a row: no verdict, or not sound */
	bool listed;           /* seen in this reading of pg_database */
	bool told_no_slot;     /* logged that there is no slot for it or a lane of it */
} Known;

static HTAB *known_databases;
static TimestampTz look_at; /* when pg_database is read again */
static BackgroundWorkerHandle **lane_handles;
static BackgroundWorkerHandle *probe_handle;
static TimestampTz probe_started;

/* Conditions that are logged once, until they are over. */
static bool no_worker_for_lane, no_worker_for_prober;

#define NO_WORKER "out of background worker slots; raise max_worker_processes"

/* --- registration ------------------------------------------------------------ */

static void describe_worker(BackgroundWorker *worker, const char *function, const char *type)
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

void te_launcher_init(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	describe_worker(&worker, "te_launcher_main", "trading_engine launcher");
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

/* Asks the postmaster for a worker; NULL, logged once and kept for the view, when there is no slot.
 */
static BackgroundWorkerHandle *start_worker(BackgroundWorker *worker, bool *exhausted)
{
	BackgroundWorkerHandle *handle = NULL;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool started = RegisterDynamicBackgroundWorker(worker, &handle);

	MemoryContextSwitchTo(old);
	if (!started && !no_worker_for_lane && !no_worker_for_prober)
		ereport(LOG,
		        (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		         errmsg("trading_engine cannot start a worker: out of background worker slots"),
		         errhint("Raise max_worker_processes and restart the server.")));
	*exhausted = !started;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	strlcpy(te_shmem->launcher_reason, no_worker_for_lane || no_worker_for_prober ? NO_WORKER : "",
	        sizeof(te_shmem->launcher_reason));
	LWLockRelease(te_shmem->lock);
	return handle;
}

/* --- which databases there are ------------------------------------------------- */

/* Is the database in trading_engine.databases, or is that list empty? */
static bool is_enabled(const char *datname)
{
	char *copy = pstrdup(te_guc_databases);
	List *names = NIL;
	ListCell *cell;
	bool enabled;

	if (!SplitIdentifierString(copy, ',', &names))
		return false;
	enabled = names == NIL;
	foreach (cell, names)
		enabled |= strcmp(lfirst(cell), datname) == 0;
	return enabled;
}

static Known *find_known(Oid dboid)
{
	return hash_search(known_databases, &dboid, HASH_FIND, NULL);
}

static void probe_soon(Known *db, TimestampTz at)
{
	db->probe_at = Min(db->probe_at, at);
}

static void note_database(Form_pg_database form)
{
	bool found;
	Known *db = hash_search(known_databases, &form->oid, HASH_ENTER, &found);

	if (!found) {
		db->probe_at = 0;
		db->probed_at = 0;
		db->failed_probes = 0;
		db->told_no_slot = false;
	}
	db->datname = form->datname;
	db->listed = true;
}

/* The caller holds the lock. */
static void request_stop(TeLaneSlot *slot)
{
	slot->stop_requested = true;
	if (slot->proc != NULL)
		SetLatch(&slot->proc->procLatch);
}

/* Gives back the slots of a database; running lanes are asked to stop. True when nothing is left.
 */
static bool release_database(Oid dboid)
{
	TeDatabaseSlot *db;
	bool left = false;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid != dboid)
			continue;
		if (slot->state == TE_LANE_WAITING) {
			slot->dboid = InvalidOid;
			slot->state = TE_LANE_FREE;
			continue;
		}
		left = true;
		request_stop(slot);
	}
	db = te_shmem_find_database(dboid);
	if (db != NULL && !left && db->holder_pid == 0)
		db->dboid = InvalidOid;
	LWLockRelease(te_shmem->lock);
	return !left;
}

/* Forgets databases that are gone, and keeps names of the others up to date in shared memory. */
static void forget_missing(TimestampTz now)
{
	HASH_SEQ_STATUS seq;
	Known *db;

	hash_seq_init(&seq, known_databases);
	while ((db = hash_seq_search(&seq)) != NULL) {
		TeDatabaseSlot *shared;

		if (!db->listed) {
			if (release_database(db->dboid))
				hash_search(known_databases, &db->dboid, HASH_REMOVE, NULL);
			else
				look_at = TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS);
			continue;
		}
		LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
		shared = te_shmem_find_database(db->dboid);
		if (shared != NULL)
			shared->datname = db->datname;
		LWLockRelease(te_shmem->lock);
	}
}

/* Slots whose database this launcher doesn't know: a former launcher's, since dropped. */
static void release_strangers(void)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		Oid lane_of = te_shmem->lanes[i].dboid;
		Oid database = te_shmem->databases[i].dboid;

		if (OidIsValid(lane_of) && find_known(lane_of) == NULL)
			release_database(lane_of);
		if (OidIsValid(database) && find_known(database) == NULL)
			release_database(database);
	}
}

/* Reads pg_database: connectable, no template, not being dropped, enabled. */
static void look_at_databases(TimestampTz now)
{
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;
	HASH_SEQ_STATUS seq;
	Known *db;

	hash_seq_init(&seq, known_databases);
	while ((db = hash_seq_search(&seq)) != NULL)
		db->listed = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		Form_pg_database form = (Form_pg_database)GETSTRUCT(tuple);

		/* A connection limit of -2 marks a database whose DROP was interrupted. */
		if (form->datallowconn && !form->datistemplate && form->datconnlimit != -2 &&
		    is_enabled(NameStr(form->datname)))
			note_database(form);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();

	look_at = TimestampTzPlusMilliseconds(now, te_guc_launcher_naptime * 1000L);
	forget_missing(now);
	release_strangers();
}

/* Takes what other sessions want to be looked at. */
static void take_check_requests(TimestampTz now)
{
	Oid requests[TE_CHECK_REQUESTS];
	int count;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	count = te_shmem->check_count;
	memcpy(requests, te_shmem->checks, sizeof(requests));
	te_shmem->check_count = 0;
	LWLockRelease(te_shmem->lock);
	if (count == 0)
		return;

	/* The database may be younger than our last look. */
	look_at_databases(now);
	for (int i = 0; i < Min(count, TE_CHECK_REQUESTS); i++) {
		Known *db = find_known(requests[i]);

		if (db != NULL)
			probe_soon(db, now);
	}
	if (count > TE_CHECK_REQUESTS) {
		HASH_SEQ_STATUS seq;
		Known *db;

		hash_seq_init(&seq, known_databases);
		while ((db = hash_seq_search(&seq)) != NULL)
			probe_soon(db, now);
	}
}

/* --- the prober ---------------------------------------------------------------- */

typedef enum { DATABASE_FREE, DATABASE_LOCKED, DATABASE_GONE } DatabaseAccess;

/* Is the database being copied, altered or dropped?  Connecting would wait for that. */
static DatabaseAccess database_access(Oid dboid)
{
	DatabaseAccess access = DATABASE_LOCKED;
	LOCKTAG tag;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, dboid, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL) {
		access = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(dboid)) ? DATABASE_FREE
		                                                                     : DATABASE_GONE;
		LockRelease(&tag, RowExclusiveLock, false);
	}
	CommitTransactionCommand();
	return access;
}

static void start_probe(Known *db, TimestampTz now)
{
	BackgroundWorker worker;
	DatabaseAccess access = database_access(db->dboid);
	uint32 generation;

	/* What asks for a probe from here on asks for another one. */
	db->probe_at = DT_NOEND;
	if (access != DATABASE_FREE) {
		probe_soon(db, TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS));
		if (access == DATABASE_GONE)
			look_at = now;
		return;
	}
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	generation = ++te_shmem->generation;
	memset(&te_shmem->probe, 0, sizeof(te_shmem->probe));
	te_shmem->probe.phase = TE_PROBE_ASKED;
	te_shmem->probe.generation = generation;
	te_shmem->probe.dboid = db->dboid;
	LWLockRelease(te_shmem->lock);

	describe_worker(&worker, "te_probe_main", "trading_engine prober");
	worker.bgw_main_arg = UInt32GetDatum(generation);
	worker.bgw_notify_pid = MyProcPid;
	probe_started = now;
	probe_handle = start_worker(&worker, &no_worker_for_prober);
	if (probe_handle == NULL) {
		te_shmem->probe.phase = TE_PROBE_IDLE;
		probe_soon(db, TimestampTzPlusMilliseconds(now, te_guc_restart_delay_max));
	}
}

/* Starts the prober for the database that has waited longest. */
static void start_due_probe(TimestampTz now)
{
	HASH_SEQ_STATUS seq;
	Known *db, *next = NULL;

	if (te_shmem->probe.phase != TE_PROBE_IDLE)
		return;
	hash_seq_init(&seq, known_databases);
	while ((db = hash_seq_search(&seq)) != NULL) {
		if (db->listed && db->probe_at <= now && (next == NULL || db->probe_at < next->probe_at))
			next = db;
	}
	if (next != NULL)
		start_probe(next, now);
}

/* Probes once more after a wait that doubles each time, up to the naptime. */
static void probe_again(Known *db, TimestampTz now)
{
	int64 delay = (int64)LOCKED_RETRY_MS << Min(db->failed_probes, 16);

	db->failed_probes++;
	probe_soon(db, TimestampTzPlusMilliseconds(now, Min(delay, te_guc_launcher_naptime * 1000L)));
}

/* Keeps what the probe found in the database's slot; false when there is none left. */
static bool store_verdict(Known *db, const TeProbe *result, bool *changed)
{
	bool ready = result->verdict == TE_PROBE_READY;
	TeDatabaseSlot *shared;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	shared = te_shmem_find_database(db->dboid);
	if (shared == NULL)
		shared = te_shmem_add_database(db->dboid, NameStr(db->datname));
	if (shared != NULL) {
		*changed = strcmp(shared->reason, result->reason) != 0;
		shared->lanes = ready ? result->lanes : 0;
		shared->worker_role = result->worker_role;
		if (shared->holder_pid == 0)
			te_shmem_set_database_state(shared, ready ? TE_DATABASE_READY : TE_DATABASE_BLOCKED,
			                            result->reason);
	}
	LWLockRelease(te_shmem->lock);
	return shared != NULL;
}

/* Logs once that slots are short, until they are not. */
static void tell_no_slot(Known *db, bool missing)
{
	if (missing && !db->told_no_slot)
		ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		              errmsg("trading_engine has too few lane slots for database \"%s\"",
		                     NameStr(db->datname)),
		              errhint("Raise trading_engine.max_lanes and restart the server.")));
	db->told_no_slot = missing;
}

static void apply_verdict(Known *db, const TeProbe *result, TimestampTz now)
{
	bool changed = false;
	bool placed;

	db->probed_at = probe_started;
	if (result->verdict == TE_PROBE_ABSENT) {
		db->failed_probes = 0;
		if (!release_database(db->dboid))
			probe_soon(db, TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS));
		return;
	}
	placed = store_verdict(db, result, &changed);
	if (changed || result->verdict == TE_PROBE_READY)
		db->failed_probes = 0;
	if (!placed || result->verdict == TE_PROBE_BLOCKED)
		probe_again(db, now);
	if (changed && result->verdict == TE_PROBE_BLOCKED)
		ereport(LOG, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		              errmsg("trading_engine does not run in database \"%s\": %s",
		                     NameStr(db->datname), result->reason),
		              errhint("%s", result->hint)));
	if (!placed)
		tell_no_slot(db, true);
}

/* Looks after the prober: its verdict, its failure, its taking too long. */
static void reap_probe(TimestampTz now)
{
	TeProbe result;
	Known *db;
	pid_t pid;

	if (te_shmem->probe.phase == TE_PROBE_IDLE)
		return;
	/* Also with a verdict it has to be gone: a lane may need its place. */
	if (probe_handle != NULL && GetBackgroundWorkerPid(probe_handle, &pid) != BGWH_STOPPED) {
		if (TimestampDifferenceExceeds(probe_started, now, PROBE_TIMEOUT_MS))
			TerminateBackgroundWorker(probe_handle);
		return;
	}
	LWLockAcquire(te_shmem->lock, LW_SHARED);
	result = te_shmem->probe;
	LWLockRelease(te_shmem->lock);
	if (probe_handle != NULL)
		pfree(probe_handle);
	probe_handle = NULL;
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	te_shmem->probe.phase = TE_PROBE_IDLE;
	LWLockRelease(te_shmem->lock);

	db = find_known(result.dboid);
	if (db == NULL)
		return;
	if (result.phase == TE_PROBE_DONE)
		apply_verdict(db, &result, now);
	else {
		/* The server log has the prober's own error; the database may just be gone. */
		probe_again(db, now);
		look_at = now;
	}
}

/* --- lanes ----------------------------------------------------------------------- */

/* Notices workers that ended before they attached to their slot. */
static void reap_lanes(TimestampTz now)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];
		BackgroundWorkerHandle *handle = lane_handles[i];
		pid_t pid;
		bool stopped;

		/* With a handle the postmaster knows; without one only time tells. */
		if (handle != NULL)
			stopped = GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
		else
			stopped = TimestampDifferenceExceeds(slot->since, now, START_TIMEOUT_MS);
		if (!stopped)
			continue;
		if (handle != NULL)
			pfree(handle);
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

	describe_worker(&worker, "te_lane_main", "trading_engine lane");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "trading_engine lane %d of %s", slot->lane,
	         datname);
	worker.bgw_main_arg = Int32GetDatum(index);
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	lane_handles[index] = start_worker(&worker, &no_worker_for_lane);
	if (lane_handles[index] == NULL) {
		LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
		te_shmem_set_lane_state(slot, TE_LANE_WAITING, NO_WORKER);
		slot->retry_at = TimestampTzPlusMilliseconds(now, te_guc_restart_delay_max);
		LWLockRelease(te_shmem->lock);
	}
}

/* Gives every lane of a sound database a slot, and takes slots of lanes that are no more. */
static void assign_lanes(TeDatabaseSlot *db, Known *known)
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
			request_stop(slot);
	}
	LWLockRelease(te_shmem->lock);

	tell_no_slot(known, missing);
}

/* Starts the lanes of a sound database whose wait is over, if it was probed since they ended. */
static void start_due_lanes(TeDatabaseSlot *db, Known *known, TimestampTz now)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid != db->dboid || slot->state != TE_LANE_WAITING || slot->retry_at > now ||
		    lane_handles[i] != NULL)
			continue;
		if (known->probed_at < slot->since)
			probe_soon(known, now);
		else if (known->probe_at > now)
			start_lane(i, slot, NameStr(db->datname), now);
	}
}

static bool is_probed_now(Oid dboid)
{
	return te_shmem->probe.phase != TE_PROBE_IDLE && te_shmem->probe.dboid == dboid;
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
		Known *known = is_ready(db) ? find_known(db->dboid) : NULL;

		if (known == NULL || !known->listed || known->probed_at == 0 || is_probed_now(db->dboid))
			continue;
		assign_lanes(db, known);
		start_due_lanes(db, known, now);
	}
}

/* --- the loop ------------------------------------------------------------------- */

/* Milliseconds until something is due; ends of workers and requests set the latch. */
static long time_to_sleep(TimestampTz now)
{
	TimestampTz next = look_at;
	HASH_SEQ_STATUS seq;
	Known *db;

	if (te_shmem->probe.phase != TE_PROBE_IDLE)
		next = Min(next, TimestampTzPlusMilliseconds(probe_started, PROBE_TIMEOUT_MS + 1000));
	else {
		hash_seq_init(&seq, known_databases);
		while ((db = hash_seq_search(&seq)) != NULL)
			next = Min(next, db->probe_at);
	}
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
	HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Known), .hcxt = TopMemoryContext};

	known_databases =
		hash_create("trading_engine databases", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
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
	take_check_requests(now);
	if (now >= look_at)
		look_at_databases(now);
	reap_probe(now);
	reap_lanes(now);
	manage_lanes(now);
	start_due_probe(now);
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
			look_at = 0;
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
