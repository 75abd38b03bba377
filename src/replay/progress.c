/*
 * progress.c - slots of shared memory, one for each run, and trading.read_replay_progress().
 */
#include "postgres.h"

#include "replay/progress.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "engine/cache.h"
#include "engine/shmem.h"
#include "sql/tenant.h"

PG_FUNCTION_INFO_V1(te_sql_read_replay_progress);

#define TRANCHE_NAME "trading_engine replay"

/* Runs that can be watched at a time; one more goes on unwatched. */
#define SLOTS 128

/* Numbers of a run, added to by all its processes. */
#define PROGRESS_COUNTERS(X) X(messages_done) X(predictions_done) X(decisions) X(rows)

typedef struct ProgressSlot
{
	/* lock */
	int pid; /* 0: free */
	Oid dboid;
	char function[NAMEDATALEN];
	char company[TE_ID_SIZE]; /* empty: an administrator's run */
	char user[TE_ID_SIZE];
	TimestampTz started_at;
	TeReplayPhase phase;
	int workers;
	uint64 messages_total, predictions_total;

#define COUNTER(name) pg_atomic_uint64 name;
	PROGRESS_COUNTERS(COUNTER)
#undef COUNTER
} ProgressSlot;

typedef struct ProgressShmem
{
	LWLock *lock;
	ProgressSlot slots[SLOTS];
} ProgressShmem;

static ProgressShmem *shared;
static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static const char *const phase_names[] = {
#define PHASE_NAME(symbol, text) text,
	TE_REPLAY_PHASES(PHASE_NAME)
#undef PHASE_NAME
};

static void request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(sizeof(ProgressShmem));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void startup_shmem(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(TRANCHE_NAME, sizeof(ProgressShmem), &found);
	if (!found) {
		memset(shared, 0, sizeof(ProgressShmem));
		shared->lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
		for (int i = 0; i < SLOTS; i++) {
#define INIT(name) pg_atomic_init_u64(&shared->slots[i].name, 0);
			PROGRESS_COUNTERS(INIT)
#undef INIT
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void te_replay_progress_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/*----------------------------------------------------------------------
 * A run
 *----------------------------------------------------------------------*/

TeReplayProgress te_replay_progress_begin(const char *function, const char *company,
                                          const char *user)
{
	TeReplayProgress progress = 0;

	if (shared == NULL)
		return TE_NO_PROGRESS;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	while (progress < SLOTS && shared->slots[progress].pid != 0)
		progress++;
	if (progress == SLOTS)
		progress = TE_NO_PROGRESS;
	else {
		ProgressSlot *slot = &shared->slots[progress];

		slot->pid = MyProcPid;
		slot->dboid = MyDatabaseId;
		strlcpy(slot->function, function, sizeof(slot->function));
		strlcpy(slot->company, company ? company : "", sizeof(slot->company));
		strlcpy(slot->user, user ? user : "", sizeof(slot->user));
		slot->started_at = GetCurrentTimestamp();
		slot->phase = TE_REPLAY_PHASE_FINDING;
		slot->workers = 0;
		slot->messages_total = slot->predictions_total = 0;
#define RESET(name) pg_atomic_write_u64(&slot->name, 0);
		PROGRESS_COUNTERS(RESET)
#undef RESET
	}
	LWLockRelease(shared->lock);
	return progress;
}

void te_replay_progress_end(TeReplayProgress progress)
{
	if (progress == TE_NO_PROGRESS)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->slots[progress].pid = 0;
	LWLockRelease(shared->lock);
}

void te_replay_progress_phase(TeReplayProgress progress, TeReplayPhase phase)
{
	if (progress == TE_NO_PROGRESS)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->slots[progress].phase = phase;
	LWLockRelease(shared->lock);
}

void te_replay_progress_total(TeReplayProgress progress, uint64 messages, uint64 predictions,
                              int workers)
{
	if (progress == TE_NO_PROGRESS)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->slots[progress].messages_total = messages;
	shared->slots[progress].predictions_total = predictions;
	shared->slots[progress].workers = workers;
	LWLockRelease(shared->lock);
}

void te_replay_progress_add(TeReplayProgress progress, uint64 messages, uint64 predictions,
                            uint64 decisions, uint64 rows)
{
	ProgressSlot *slot;

	if (progress == TE_NO_PROGRESS)
		return;
	slot = &shared->slots[progress];
	pg_atomic_fetch_add_u64(&slot->messages_done, (int64)messages);
	pg_atomic_fetch_add_u64(&slot->predictions_done, (int64)predictions);
	pg_atomic_fetch_add_u64(&slot->decisions, (int64)decisions);
	if (rows > 0)
		pg_atomic_fetch_add_u64(&slot->rows, (int64)rows);
}

/*----------------------------------------------------------------------
 * The view
 *----------------------------------------------------------------------*/

static bool is_visible(const ProgressSlot *slot, bool everything, const TeIdentity *tenant)
{
	if (slot->pid == 0 || slot->dboid != MyDatabaseId)
		return false;
	if (everything)
		return true;
	return strcmp(slot->company, tenant->company) == 0 &&
	       (strcmp(slot->user, tenant->user) == 0 || strcmp(tenant->role, "admin") == 0);
}

static void put_row(ReturnSetInfo *result, ProgressSlot *slot)
{
	Datum values[] = {
		Int32GetDatum(slot->pid),
		CStringGetTextDatum(slot->function),
		CStringGetTextDatum(slot->company),
		CStringGetTextDatum(slot->user),
		CStringGetTextDatum(phase_names[slot->phase]),
		Int32GetDatum(slot->workers),
		Int64GetDatum((int64)pg_atomic_read_u64(&slot->messages_done)),
		Int64GetDatum((int64)slot->messages_total),
		Int64GetDatum((int64)pg_atomic_read_u64(&slot->predictions_done)),
		Int64GetDatum((int64)slot->predictions_total),
		Int64GetDatum((int64)pg_atomic_read_u64(&slot->decisions)),
		Int64GetDatum((int64)pg_atomic_read_u64(&slot->rows)),
		TimestampTzGetDatum(slot->started_at),
	};
	bool nulls[lengthof(values)] = {0};

	nulls[2] = slot->company[0] == '\0';
	nulls[3] = slot->user[0] == '\0';
	/* Before they are found nobody knows how many there are. */
	nulls[7] = nulls[9] = slot->phase == TE_REPLAY_PHASE_FINDING;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* trading.read_replay_progress(): the runs of this database that the session may see. */
Datum te_sql_read_replay_progress(PG_FUNCTION_ARGS)
{
	TeIdentity tenant = {0};
	bool everything;

	te_require_preload();
	everything = te_session_is_admin();
	InitMaterializedSRF(fcinfo, 0);
	if (!everything && !te_session_identity(&tenant))
		return (Datum)0;
	for (int i = 0; i < SLOTS; i++) {
		ProgressSlot slot;

		LWLockAcquire(shared->lock, LW_SHARED);
		slot = shared->slots[i];
		LWLockRelease(shared->lock);
		if (is_visible(&slot, everything, &tenant))
			put_row((ReturnSetInfo *)fcinfo->resultinfo, &slot);
	}
	return (Datum)0;
}
