/*
 * watch.c - the databases of the cluster, and the prober.
 */
#include "engine/watch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "engine/crash_marker.h"
#include "engine/database.h"
#include "engine/guc.h"
#include "engine/spawn.h"

/* A prober that takes longer hangs on a lock, and must not keep other databases waiting. */
#define PROBE_TIMEOUT_MS 10000
/* How soon a database is looked at again that is being copied, altered or dropped. */
#define LOCKED_RETRY_MS 1000

static HTAB *known_databases;
static TimestampTz look_at; /* when pg_database is read again */
static bool strays = true;  /* a database may have left files behind */
static BackgroundWorkerHandle *probe_handle;
static TimestampTz probe_started;

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

TeKnownDatabase *te_watch_find(Oid dboid)
{
	return hash_search(known_databases, &dboid, HASH_FIND, NULL);
}

void te_watch_probe_soon(TeKnownDatabase *db, TimestampTz at)
{
	db->probe_at = Min(db->probe_at, at);
}

static void note_database(Form_pg_database form)
{
	bool found;
	TeKnownDatabase *db = hash_search(known_databases, &form->oid, HASH_ENTER, &found);

	if (!found) {
		db->probe_at = 0;
		db->probed_at = 0;
		db->failed_probes = 0;
		db->told_no_slot = false;
	}
	db->datname = form->datname;
	db->listed = true;
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
		te_shmem_request_stop(slot);
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
	TeKnownDatabase *db;

	hash_seq_init(&seq, known_databases);
	while ((db = hash_seq_search(&seq)) != NULL) {
		TeDatabaseSlot *shared;

		if (!db->listed) {
			if (release_database(db->dboid)) {
				hash_search(known_databases, &db->dboid, HASH_REMOVE, NULL);
				strays = true;
			} else
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

		if (OidIsValid(lane_of) && te_watch_find(lane_of) == NULL)
			release_database(lane_of);
		if (OidIsValid(database) && te_watch_find(database) == NULL)
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
	TeKnownDatabase *db;

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
	if (strays)
		te_crash_marker_remove_strays();
	strays = false;
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
		TeKnownDatabase *db = te_watch_find(requests[i]);

		if (db != NULL)
			te_watch_probe_soon(db, now);
	}
	if (count > TE_CHECK_REQUESTS) {
		HASH_SEQ_STATUS seq;
		TeKnownDatabase *db;

		hash_seq_init(&seq, known_databases);
		while ((db = hash_seq_search(&seq)) != NULL)
			te_watch_probe_soon(db, now);
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

static void start_probe(TeKnownDatabase *db, TimestampTz now)
{
	BackgroundWorker worker;
	DatabaseAccess access = database_access(db->dboid);
	uint32 generation;

	/* What asks for a probe from here on asks for another one. */
	db->probe_at = DT_NOEND;
	if (access != DATABASE_FREE) {
		te_watch_probe_soon(db, TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS));
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

	te_spawn_describe(&worker, "te_probe_main", "trading_engine prober");
	worker.bgw_main_arg = UInt32GetDatum(generation);
	probe_started = now;
	probe_handle = te_spawn(&worker, TE_SPAWN_PROBER);
	if (probe_handle == NULL) {
		te_shmem->probe.phase = TE_PROBE_IDLE;
		te_watch_probe_soon(db, TimestampTzPlusMilliseconds(now, te_guc_restart_delay_max));
	}
}

/* Starts the prober for the database that has waited longest. */
void te_watch_probe(TimestampTz now)
{
	HASH_SEQ_STATUS seq;
	TeKnownDatabase *db, *next = NULL;

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
static void probe_again(TeKnownDatabase *db, TimestampTz now)
{
	int64 delay = (int64)LOCKED_RETRY_MS << Min(db->failed_probes, 16);

	db->failed_probes++;
	te_watch_probe_soon(
		db, TimestampTzPlusMilliseconds(now, Min(delay, te_guc_launcher_naptime * 1000L)));
}

/* Keeps what the probe found in the database's slot; false when there is none left. */
static bool store_verdict(TeKnownDatabase *db, const TeProbe *result, bool *changed)
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
void te_watch_tell_no_slot(TeKnownDatabase *db, bool missing)
{
	if (missing && !db->told_no_slot)
		ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		              errmsg("trading_engine has too few lane slots for database \"%s\"",
		                     NameStr(db->datname)),
		              errhint("Raise trading_engine.max_lanes and restart the server.")));
	db->told_no_slot = missing;
}

static void apply_verdict(TeKnownDatabase *db, const TeProbe *result, TimestampTz now)
{
	bool changed = false;
	bool placed;

	db->probed_at = probe_started;
	if (result->verdict == TE_PROBE_ABSENT) {
		db->failed_probes = 0;
		if (!release_database(db->dboid))
			te_watch_probe_soon(db, TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS));
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
		te_watch_tell_no_slot(db, true);
}

/* Looks after the prober: its verdict, its failure, its taking too long. */
static void reap_probe(TimestampTz now)
{
	TeProbe result;
	TeKnownDatabase *db;
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

	db = te_watch_find(result.dboid);
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

bool te_watch_is_probed_now(Oid dboid)
{
	return te_shmem->probe.phase != TE_PROBE_IDLE && te_shmem->probe.dboid == dboid;
}

/* --- for the launcher ------------------------------------------------------------ */

void te_watch_init(void)
{
	HASHCTL ctl = {
		.keysize = sizeof(Oid), .entrysize = sizeof(TeKnownDatabase), .hcxt = TopMemoryContext};

	known_databases =
		hash_create("trading_engine databases", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void te_watch_update(TimestampTz now)
{
	take_check_requests(now);
	if (now >= look_at)
		look_at_databases(now);
	reap_probe(now);
}

void te_watch_look(void)
{
	look_at = 0;
}

TimestampTz te_watch_next(void)
{
	TimestampTz next = look_at;
	HASH_SEQ_STATUS seq;
	TeKnownDatabase *db;

	/* The prober's end sets the latch; no other starts before. */
	if (te_shmem->probe.phase != TE_PROBE_IDLE)
		return Min(next, TimestampTzPlusMilliseconds(probe_started, PROBE_TIMEOUT_MS + 1000));
	hash_seq_init(&seq, known_databases);
	while ((db = hash_seq_search(&seq)) != NULL)
		next = Min(next, db->probe_at);
	return next;
}
