/*
 * database.c - the prober, and a lane's questions about its own database.
 *
 * The prober connects to one database as the bootstrap superuser, looks at
 * catalogs and at trading.lanes, writes its verdict to shared memory and ends.
 * It runs no SQL, so that nothing that a database's owner defines can act with
 * its rights.
 */
#include "engine/database.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "engine/shmem.h"

#ifndef TE_VERSION
#error "TE_VERSION is default_version of trading_engine.control, passed by the Makefile"
#endif

/* Set by invalidations that come with DROP and ALTER EXTENSION. */
static bool extension_may_have_changed = true;
static bool callbacks_registered = false;
static Oid known_extension = InvalidOid;

char *te_extension_version(Oid *extension_oid)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
	            CStringGetDatum(TE_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple)) {
		bool isnull;
		Datum value =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		version = isnull ? pstrdup("") : TextDatumGetCString(value);
		*extension_oid = ((Form_pg_extension)GETSTRUCT(tuple))->oid;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/* --- a lane ------------------------------------------------------------------ */

static void on_relation_change(Datum arg pg_attribute_unused(), Oid relid pg_attribute_unused())
{
	extension_may_have_changed = true;
}

static void on_function_change(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
                               uint32 hashvalue pg_attribute_unused())
{
	extension_may_have_changed = true;
}

/* Does CREATE DATABASE ... TEMPLATE, DROP DATABASE or the like hold our database? */
static bool database_is_needed(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}

/* The extension that was there at first must still be the same. */
static TeDatabaseVerdict check_extension(void)
{
	Oid oid = InvalidOid;
	char *version;

	extension_may_have_changed = false;
	version = te_extension_version(&oid);
	if (version == NULL || (OidIsValid(known_extension) && oid != known_extension))
		return TE_DATABASE_NO_EXTENSION;
	known_extension = oid;
	return strcmp(version, TE_VERSION) == 0 ? TE_DATABASE_KEEP : TE_DATABASE_OTHER_VERSION;
}

TeDatabaseVerdict te_database_check(void)
{
	TeDatabaseVerdict verdict = TE_DATABASE_KEEP;

	if (!callbacks_registered) {
		CacheRegisterRelcacheCallback(on_relation_change, (Datum)0);
		CacheRegisterSyscacheCallback(PROCOID, on_function_change, (Datum)0);
		callbacks_registered = true;
	}
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (database_is_needed())
		verdict = TE_DATABASE_NEEDED;
	else if (extension_may_have_changed)
		verdict = check_extension();
	CommitTransactionCommand();
	return verdict;
}

/* --- the prober ---------------------------------------------------------------- */

static void block(TeProbe *result, const char *hint, const char *fmt, ...)
	pg_attribute_printf(3, 4);

static void block(TeProbe *result, const char *hint, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(result->reason, sizeof(result->reason), fmt, args);
	va_end(args);
	strlcpy(result->hint, hint, sizeof(result->hint));
	result->verdict = TE_PROBE_BLOCKED;
}

/* The role that lanes connect as must exist, may log in and has no more rights than it needs. */
static bool check_worker_role(TeProbe *result)
{
	HeapTuple tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(TE_WORKER_ROLE));
	Form_pg_authid role;
	bool can_connect;

	if (!HeapTupleIsValid(tuple)) {
		block(result, "Run SELECT trading.setup() as superuser.", "role \"%s\" does not exist",
		      TE_WORKER_ROLE);
		return false;
	}
	role = (Form_pg_authid)GETSTRUCT(tuple);
	result->worker_role = role->oid;
#if PG_VERSION_NUM >= 160000
	can_connect =
		object_aclcheck(DatabaseRelationId, MyDatabaseId, role->oid, ACL_CONNECT) == ACLCHECK_OK;
#else
	can_connect = pg_database_aclcheck(MyDatabaseId, role->oid, ACL_CONNECT) == ACLCHECK_OK;
#endif
	if (role->rolsuper || role->rolbypassrls)
		block(result, "Run ALTER ROLE " TE_WORKER_ROLE " NOSUPERUSER NOBYPASSRLS.",
		      "role \"%s\" bypasses row security", TE_WORKER_ROLE);
	else if (!role->rolcanlogin)
		block(result, "Run ALTER ROLE " TE_WORKER_ROLE " LOGIN.",
		      "role \"%s\" is not permitted to log in", TE_WORKER_ROLE);
	else if (!can_connect)
		block(result, "Run GRANT CONNECT ON DATABASE to it.",
		      "role \"%s\" has no CONNECT privilege", TE_WORKER_ROLE);
	ReleaseSysCache(tuple);
	return result->verdict != TE_PROBE_BLOCKED;
}

/* Counts the rows of trading.lanes, whose lanes must be 0 .. n-1. */
static void count_lanes(TeProbe *result, Relation rel)
{
	AttrNumber attno = get_attnum(RelationGetRelid(rel), "lane");
	TupleTableSlot *slot;
	TableScanDesc scan;
	int count = 0, highest = -1;

	if (attno == InvalidAttrNumber ||
	    TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid != INT4OID) {
		block(result, "Run SELECT trading.setup() as superuser.",
		      "table trading.lanes has no integer column lane");
		return;
	}
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
		bool isnull;
		int lane = DatumGetInt32(slot_getattr(slot, attno, &isnull));

		count++;
		highest = Max(highest, isnull ? INT_MAX : lane);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);

	if (count == 0)
		block(result, "Run SELECT trading.setup() as superuser.", "table trading.lanes is empty");
	else if (highest != count - 1)
		block(result, "Run SELECT trading.set_lanes(n).",
		      "lanes in table trading.lanes are not 0 to %d", count - 1);
	else {
		result->verdict = TE_PROBE_READY;
		result->lanes = count;
	}
}

static void read_lanes(TeProbe *result)
{
	Oid schema = get_namespace_oid(TE_SCHEMA_NAME, true);
	Oid relid = OidIsValid(schema) ? get_relname_relid("lanes", schema) : InvalidOid;
	Relation rel = OidIsValid(relid) ? try_relation_open(relid, AccessShareLock) : NULL;

	if (rel == NULL || rel->rd_rel->relkind != RELKIND_RELATION)
		block(result, "Run SELECT trading.setup() as superuser.",
		      "table trading.lanes does not exist");
	else
		count_lanes(result, rel);
	if (rel != NULL)
		relation_close(rel, AccessShareLock);
}

static void probe(TeProbe *result)
{
	Oid extension;
	char *version = te_extension_version(&extension);

	result->verdict = TE_PROBE_ABSENT;
	if (version == NULL)
		return;
	if (strcmp(version, TE_VERSION) != 0)
		block(result,
		      "Run ALTER EXTENSION trading_engine UPDATE, or restart the server with the library "
		      "that fits.",
		      "extension is at version %s, library at version %s", version, TE_VERSION);
	else if (check_worker_role(result))
		read_lanes(result);
}

static void detach_probe(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	if (te_shmem->probe.pid == MyProcPid)
		te_shmem->probe.pid = 0;
	if (te_shmem->launcher_proc != NULL)
		SetLatch(&te_shmem->launcher_proc->procLatch);
	LWLockRelease(te_shmem->lock);
}

void te_probe_main(Datum main_arg)
{
	uint32 generation = DatumGetUInt32(main_arg);
	TeProbe result;

	before_shmem_exit(detach_probe, (Datum)0);
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	result = te_shmem->probe;
	if (result.generation == generation && result.phase == TE_PROBE_ASKED) {
		te_shmem->probe.phase = TE_PROBE_WORKING;
		te_shmem->probe.pid = MyProcPid;
	}
	LWLockRelease(te_shmem->lock);
	if (result.generation != generation || result.phase != TE_PROBE_ASKED)
		proc_exit(0);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(result.dboid, InvalidOid, 0);
	pgstat_report_activity(STATE_RUNNING, "looking for extension " TE_EXTENSION_NAME);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	probe(&result);
	PopActiveSnapshot();
	CommitTransactionCommand();

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	if (te_shmem->probe.generation == generation && te_shmem->probe.pid == MyProcPid) {
		result.phase = TE_PROBE_DONE;
		result.pid = 0;
		te_shmem->probe = result;
	}
	LWLockRelease(te_shmem->lock);
	proc_exit(0);
}
