/*
 * shmem.c - the shared memory: its making, the life of lane slots, wake-ups.
 */
#include "engine/shmem.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "engine/guc.h"

#define TRANCHE_NAME "trading_engine"

TeShmem *te_shmem = NULL;

#define STATE_NAME(symbol, text) text,
const char *const te_lane_state_names[] = {TE_LANE_STATES(STATE_NAME)};
const char *const te_database_state_names[] = {TE_DATABASE_STATES(STATE_NAME)};
const char *const te_transport_names[] = {TE_TRANSPORTS(STATE_NAME)};
#undef STATE_NAME

static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

/* The database whose lanes this session has stopped. */
static Oid held_database = InvalidOid;
static bool hold_callback_registered = false;

/* --- making -------------------------------------------------------------- */

static Size databases_offset(void)
{
	return MAXALIGN(sizeof(TeShmem));
}

static Size lanes_offset(void)
{
	return add_size(databases_offset(),
	                MAXALIGN(mul_size(te_guc_max_lanes, sizeof(TeDatabaseSlot))));
}

static Size shmem_size(void)
{
	return add_size(lanes_offset(), mul_size(te_guc_max_lanes, sizeof(TeLaneSlot)));
}

static void request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

/* Numbers of a lane that begins, or begins anew, to count. */
static void init_statistics(TeLaneSlot *slot)
{
#define INIT_COUNTER(name) pg_atomic_init_u64(&slot->counters.name, 0);
#define INIT_GAUGE(name) pg_atomic_init_u64(&slot->gauges.name, 0);
	TE_LANE_COUNTERS(INIT_COUNTER)
	TE_LANE_GAUGES(INIT_GAUGE, INIT_GAUGE)
#undef INIT_COUNTER
#undef INIT_GAUGE
	for (int i = 0; i < TE_OUTCOME_COUNT; i++)
		pg_atomic_init_u64(&slot->counters.outcomes[i], 0);
	for (int i = 0; i < TE_TRANSPORT_COUNT; i++) {
		TeTransportSlot *t = &slot->transports[i];

		pg_atomic_init_u64(&t->connects, 0);
		pg_atomic_init_u64(&t->disconnects, 0);
		pg_atomic_init_u64(&t->errors, 0);
		pg_atomic_init_u64(&t->bytes_in, 0);
		pg_atomic_init_u64(&t->input_pending, 0);
		pg_atomic_init_u64(&t->input_stalls, 0);
		pg_atomic_init_u64(&t->stalled_since, 0);
		pg_atomic_init_u64(&t->published, 0);
		pg_atomic_init_u64(&t->acknowledged, 0);
		pg_atomic_init_u64(&t->in_flight, 0);
		pg_atomic_init_u64(&t->route, 0);
	}
	pg_atomic_init_u32(&slot->reset_requested, 0);
	slot->reset_at = GetCurrentTimestamp();
}

static void init_lane_slot(TeLaneSlot *slot)
{
	memset(slot, 0, sizeof(*slot));
	te_resend_init(&slot->resend);
	init_statistics(slot);
	for (int i = 0; i < TE_BREAKER_SLOTS; i++) {
		TeBreakerSlot *b = &slot->breakers[i];

		pg_atomic_init_u64(&b->calls, 0);
		pg_atomic_init_u64(&b->failures, 0);
		pg_atomic_init_u64(&b->refused, 0);
		pg_atomic_init_u64(&b->opened, 0);
		pg_atomic_init_u64(&b->failures_in_row, 0);
	}
}

static void startup_shmem(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	te_shmem = ShmemInitStruct(TRANCHE_NAME, shmem_size(), &found);
	if (!found) {
		memset(te_shmem, 0, lanes_offset());
		te_shmem->lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
		te_shmem->max_lanes = te_guc_max_lanes;
		te_shmem->databases = (TeDatabaseSlot *)((char *)te_shmem + databases_offset());
		te_shmem->lanes = (TeLaneSlot *)((char *)te_shmem + lanes_offset());
		ConditionVariableInit(&te_shmem->lane_ended);
		te_holds_init_board(&te_shmem->holds);
		for (int i = 0; i < te_shmem->max_lanes; i++)
			init_lane_slot(&te_shmem->lanes[i]);
	}
	LWLockRelease(AddinShmemInitLock);
}

void te_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

bool te_shmem_available(void)
{
	return te_shmem != NULL;
}

void te_require_preload(void)
{
	if (te_shmem != NULL)
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	                errmsg("trading_engine must be loaded via shared_preload_libraries"),
	                errhint("Add trading_engine to shared_preload_libraries in postgresql.conf and "
	                        "restart the server.")));
}

/* --- slots ----------------------------------------------------------------- */

TeLaneSlot *te_shmem_find_lane(Oid dboid, int lane)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid == dboid && slot->lane == lane)
			return slot;
	}
	return NULL;
}

TeDatabaseSlot *te_shmem_find_database(Oid dboid)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		if (te_shmem->databases[i].dboid == dboid)
			return &te_shmem->databases[i];
	}
	return NULL;
}

TeLaneSlot *te_shmem_add_lane(Oid dboid, int lane)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (OidIsValid(slot->dboid))
			continue;
		init_lane_slot(slot);
		slot->dboid = dboid;
		slot->lane = lane;
		te_shmem_set_lane_state(slot, TE_LANE_WAITING, NULL);
		return slot;
	}
	return NULL;
}

TeDatabaseSlot *te_shmem_add_database(Oid dboid, const char *datname)
{
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeDatabaseSlot *db = &te_shmem->databases[i];

		if (OidIsValid(db->dboid))
			continue;
		memset(db, 0, sizeof(*db));
		db->dboid = dboid;
		namestrcpy(&db->datname, datname);
		return db;
	}
	return NULL;
}

void te_shmem_set_lane_state(TeLaneSlot *slot, TeLaneState state, const char *reason)
{
	if (slot->state != state)
		slot->since = GetCurrentTimestamp();
	slot->state = state;
	strlcpy(slot->reason, reason ? reason : "", sizeof(slot->reason));
}

void te_shmem_set_database_state(TeDatabaseSlot *db, TeDatabaseState state, const char *reason)
{
	if (db->state != state)
		db->since = GetCurrentTimestamp();
	db->state = state;
	strlcpy(db->reason, reason ? reason : "", sizeof(db->reason));
}

/* Wait before the next start: doubled with each failure in a row. */
static TimestampTz next_start(int failures, TimestampTz now)
{
	int64 delay = te_guc_restart_delay;

	while (failures-- > 0 && delay < te_guc_restart_delay_max)
		delay *= 2;
	return TimestampTzPlusMilliseconds(now, Min(delay, te_guc_restart_delay_max));
}

void te_shmem_lane_ended(TeLaneSlot *slot, const char *reason)
{
	TimestampTz now = GetCurrentTimestamp();

	/* A run that lasted longer than the longest delay counts as sound. */
	if (slot->healthy_since != 0 &&
	    TimestampDifferenceExceeds(slot->healthy_since, now, te_guc_restart_delay_max))
		slot->failures = 0;
	slot->retry_at = next_start(slot->failures, now);
	slot->failures++;
	slot->pid = 0;
	slot->proc = NULL;
	slot->stop_requested = false;
	te_shmem_set_lane_state(slot, TE_LANE_WAITING, reason);
}

/* The caller holds the lock. */
static void wake_launcher(void)
{
	if (te_shmem->launcher_proc != NULL)
		SetLatch(&te_shmem->launcher_proc->procLatch);
}

void te_shmem_request_stop(TeLaneSlot *slot)
{
	slot->stop_requested = true;
	if (slot->proc != NULL)
		SetLatch(&slot->proc->procLatch);
}

/* --- a lane's worker ------------------------------------------------------- */

static void detach_lane(int code, Datum arg)
{
	TeLaneSlot *slot = (TeLaneSlot *)DatumGetPointer(arg);

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	if (slot->pid == MyProcPid) {
		char reason[TE_REASON_MAX];

		if (slot->reason[0] != '\0')
			strlcpy(reason, slot->reason, sizeof(reason));
		else
			snprintf(reason, sizeof(reason), "worker ended with exit code %d", code);
		te_shmem_lane_ended(slot, reason);
		for (int i = 0; i < TE_TRANSPORT_COUNT; i++) {
			if (slot->transports[i].state[0] != '\0')
				strlcpy(slot->transports[i].state, "closed", TE_STATE_MAX);
		}
		wake_launcher();
	}
	LWLockRelease(te_shmem->lock);
	ConditionVariableBroadcast(&te_shmem->lane_ended);
}

TeLaneSlot *te_shmem_attach_lane(int index)
{
	TeLaneSlot *slot;
	TeDatabaseSlot *db;
	uint32 generation;
	bool wanted;

	Assert(index >= 0 && index < te_shmem->max_lanes);
	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	slot = &te_shmem->lanes[index];

	before_shmem_exit(detach_lane, PointerGetDatum(slot));
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	db = te_shmem_find_database(slot->dboid);
	wanted = OidIsValid(slot->dboid) && slot->generation == generation && slot->pid == 0 &&
	         slot->state == TE_LANE_STARTING && db != NULL && db->holder_pid == 0;
	if (wanted) {
		slot->pid = MyProcPid;
		slot->proc = MyProc;
		slot->healthy_since = 0;
		slot->stop_requested = false;
		slot->hold_word = (TeHoldWord){0};
	}
	LWLockRelease(te_shmem->lock);
	if (!wanted)
		proc_exit(0);
	return slot;
}

void te_lane_report(TeLaneSlot *slot, TeLaneState state, const char *reason)
{
	if (slot->state == state && strncmp(slot->reason, reason ? reason : "", TE_REASON_MAX - 1) == 0)
		return;
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	te_shmem_set_lane_state(slot, state, reason);
	if (state != TE_LANE_STARTING && slot->healthy_since == 0)
		slot->healthy_since = slot->since;
	LWLockRelease(te_shmem->lock);
}

void te_lane_report_failure(TeLaneSlot *slot, const char *message)
{
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	strlcpy(slot->reason, message, sizeof(slot->reason));
	LWLockRelease(te_shmem->lock);
}

void te_lane_report_transport(TeLaneSlot *slot, TeTransportKind kind, const char *state,
                              const char *server, const char *error)
{
	TeTransportSlot *t = &slot->transports[kind];
	TimestampTz now;

	if (strcmp(t->state, state) == 0 && strncmp(t->server, server, sizeof(t->server) - 1) == 0 &&
	    strncmp(t->last_error, error, sizeof(t->last_error) - 1) == 0)
		return;
	now = GetCurrentTimestamp();
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	if (strcmp(t->state, state) != 0)
		t->since = now;
	strlcpy(t->state, state, sizeof(t->state));
	strlcpy(t->server, server, sizeof(t->server));
	if (strncmp(t->last_error, error, sizeof(t->last_error) - 1) != 0) {
		strlcpy(t->last_error, error, sizeof(t->last_error));
		t->last_error_at = error[0] != '\0' ? now : 0;
	}
	LWLockRelease(te_shmem->lock);
}

bool te_lane_stop_requested(const TeLaneSlot *slot)
{
	return *(volatile const bool *)&slot->stop_requested;
}

static void reset_statistics(TeLaneSlot *slot)
{
	memset(&slot->latencies, 0, sizeof(slot->latencies));
#define ZERO_COUNTER(name) pg_atomic_write_u64(&slot->counters.name, 0);
	TE_LANE_COUNTERS(ZERO_COUNTER)
#undef ZERO_COUNTER
	for (int i = 0; i < TE_OUTCOME_COUNT; i++)
		pg_atomic_write_u64(&slot->counters.outcomes[i], 0);
	slot->reset_at = GetCurrentTimestamp();
	pg_atomic_write_u32(&slot->reset_requested, 0);
}

void te_lane_apply_reset(TeLaneSlot *slot)
{
	if (pg_atomic_read_u32(&slot->reset_requested) != 0)
		reset_statistics(slot);
}

/* --- any session ----------------------------------------------------------- */

void te_shmem_reset_lane(TeLaneSlot *slot)
{
	if (slot->proc == NULL)
		reset_statistics(slot);
	else {
		pg_atomic_write_u32(&slot->reset_requested, 1);
		SetLatch(&slot->proc->procLatch);
	}
}

void te_shmem_wake_lanes(Oid dboid)
{
	if (te_shmem == NULL)
		return;
	LWLockAcquire(te_shmem->lock, LW_SHARED);
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		TeLaneSlot *slot = &te_shmem->lanes[i];

		if (slot->dboid == dboid && slot->proc != NULL)
			SetLatch(&slot->proc->procLatch);
	}
	LWLockRelease(te_shmem->lock);
}

/* The caller holds the lock exclusively. */
static void add_check_request(Oid dboid)
{
	if (te_shmem->check_count < TE_CHECK_REQUESTS)
		te_shmem->checks[te_shmem->check_count] = dboid;
	if (te_shmem->check_count <= TE_CHECK_REQUESTS)
		te_shmem->check_count++;
	wake_launcher();
}

void te_shmem_request_check(Oid dboid)
{
	if (te_shmem == NULL)
		return;
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	add_check_request(dboid);
	LWLockRelease(te_shmem->lock);
}

/* The end of the transaction ends the hold, whatever the end was. */
static void release_hold(XactEvent event, void *arg pg_attribute_unused())
{
	if (OidIsValid(held_database) && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT))
		te_shmem_resume_lanes(held_database);
}

/* Marks the database as held by this session, and asks its lanes to stop. */
static void take_hold(Oid dboid, const char *datname)
{
	TeDatabaseSlot *db;
	int other = 0;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	db = te_shmem_find_database(dboid);
	if (db == NULL)
		db = te_shmem_add_database(dboid, datname);
	if (db != NULL)
		other = db->holder_pid;
	if (db != NULL && (other == 0 || other == MyProcPid)) {
		db->holder_pid = MyProcPid;
		te_shmem_set_database_state(db, TE_DATABASE_HELD, NULL);
		for (int i = 0; i < te_shmem->max_lanes; i++) {
			TeLaneSlot *slot = &te_shmem->lanes[i];

			if (slot->dboid == dboid && slot->pid != 0)
				te_shmem_request_stop(slot);
		}
		held_database = dboid;
	}
	LWLockRelease(te_shmem->lock);

	if (db == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many databases with trading_engine"),
		                errhint("Raise trading_engine.max_lanes and restart the server.")));
	if (other != 0 && other != MyProcPid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
		                errmsg("process %d has stopped the lanes of this database", other)));
}

static bool any_lane_runs(Oid dboid)
{
	bool runs = false;

	LWLockAcquire(te_shmem->lock, LW_SHARED);
	for (int i = 0; i < te_shmem->max_lanes && !runs; i++)
		runs = te_shmem->lanes[i].dboid == dboid && te_shmem->lanes[i].pid != 0;
	LWLockRelease(te_shmem->lock);
	return runs;
}

void te_shmem_stop_lanes(Oid dboid, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);

	te_require_preload();
	if (!hold_callback_registered) {
		RegisterXactCallback(release_hold, NULL);
		hold_callback_registered = true;
	}
	take_hold(dboid, get_database_name(dboid));

	ConditionVariablePrepareToSleep(&te_shmem->lane_ended);
	while (any_lane_runs(dboid)) {
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
			                errmsg("lanes did not stop within %d ms", timeout_ms)));
		ConditionVariableTimedSleep(&te_shmem->lane_ended, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

void te_shmem_resume_lanes(Oid dboid)
{
	TeDatabaseSlot *db;

	if (te_shmem == NULL)
		return;
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	db = te_shmem_find_database(dboid);
	if (db != NULL && db->holder_pid == MyProcPid) {
		db->holder_pid = 0;
		te_shmem_set_database_state(db, TE_DATABASE_READY, NULL);
		for (int i = 0; i < te_shmem->max_lanes; i++) {
			if (te_shmem->lanes[i].dboid == dboid) {
				te_shmem->lanes[i].failures = 0;
				te_shmem->lanes[i].retry_at = 0;
			}
		}
	}
	/* With the lock still held, so that no lane starts before the launcher has looked. */
	add_check_request(dboid);
	LWLockRelease(te_shmem->lock);
	if (held_database == dboid)
		held_database = InvalidOid;
}
