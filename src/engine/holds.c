/*
 * holds.c - see holds.h.
 */
#include "engine/holds.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "engine/shmem.h"

void te_holds_init_board(TeHoldBoard *board)
{
	memset(board, 0, sizeof(*board));
	pg_atomic_init_u64(&board->generation, 0);
	ConditionVariableInit(&board->noted);
}

/*----------------------------------------------------------------------
 * A session
 *----------------------------------------------------------------------*/

/* Generation of the last hold that this session has made; 0: none. */
static uint64 last_generation = 0;

/* The transaction has holds, whose end the lanes want to hear of. */
static bool has_holds = false;

/* The outermost (sub)transaction that wanted a hold for which there was no room, if any. */
static SubTransactionId lacking = InvalidSubTransactionId;

static void on_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (!has_holds || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	has_holds = false;
	lacking = InvalidSubTransactionId;
	te_shmem_wake_lanes(MyDatabaseId);
}

static void on_subtransaction_end(SubXactEvent event, SubTransactionId mine,
                                  SubTransactionId parent, void *arg pg_attribute_unused())
{
	if (!has_holds || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	if (lacking == mine)
		lacking = event == SUBXACT_EVENT_COMMIT_SUB ? parent : InvalidSubTransactionId;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		te_shmem_wake_lanes(MyDatabaseId);
}

static void hear_of_ends(void)
{
	static bool registered = false;

	has_holds = true;
	if (registered)
		return;
	RegisterXactCallback(on_transaction_end, NULL);
	RegisterSubXactCallback(on_subtransaction_end, NULL);
	registered = true;
}

/* A lane that runs and has not read the board since; the caller holds the lock. */
static bool has_to_note(const TeLaneSlot *slot, Oid dboid, uint64 generation)
{
	return slot->dboid == dboid && slot->pid != 0 && slot->hold_word.generation < generation;
}

/* A hold that has ended, and that every lane knows to have been there, is of no more use. */
static bool is_free(const TeHold *hold)
{
	if (!OidIsValid(hold->dboid))
		return true;
	if (TransactionIdIsInProgress(hold->xid))
		return false;
	for (int i = 0; i < te_shmem->max_lanes; i++)
		if (has_to_note(&te_shmem->lanes[i], hold->dboid, hold->generation))
			return false;
	return true;
}

/* Whoever fills the places in a transaction that stays open leaves some to other companies. */
static TeHold *find_place(bool of_tenant, const char *company)
{
	TeHold *place = NULL;
	int own = 0;

	for (int i = 0; i < (of_tenant ? TE_HOLDS_OF_TENANTS : TE_HOLDS); i++) {
		TeHold *hold = &te_shmem->holds.holds[i];

		if (is_free(hold)) {
			place = place != NULL ? place : hold;
			if (!of_tenant)
				break;
		} else if (of_tenant && hold->of_tenant && strcmp(hold->company, company) == 0 &&
		           ++own == TE_HOLDS_OF_COMPANY)
			return NULL;
	}
	return place;
}

static void copy_name(char to[TE_HOLD_NAME_SIZE], const char *from)
{
	strlcpy(to, from != NULL ? from : "", TE_HOLD_NAME_SIZE);
}

bool te_hold_scope(const TeScope *scope, TeTradingState state, bool of_tenant)
{
	TransactionId xid = GetCurrentTransactionId();
	TeHold *hold;

	if (!te_shmem_available())
		return false;
	hear_of_ends();
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	hold = find_place(of_tenant, scope->company != NULL ? scope->company : "");
	if (hold != NULL) {
		hold->dboid = MyDatabaseId;
		hold->xid = xid;
		hold->of_tenant = of_tenant;
		hold->state = state;
		copy_name(hold->company, scope->company);
		copy_name(hold->user, scope->user);
		copy_name(hold->strategy, scope->strategy);
		copy_name(hold->symbol, scope->symbol);
		last_generation = hold->generation = pg_atomic_read_u64(&te_shmem->holds.generation) + 1;
		/* The lock's release lets no lane see the count before the hold. */
		pg_atomic_write_u64(&te_shmem->holds.generation, hold->generation);
	}
	LWLockRelease(te_shmem->lock);
	if (hold != NULL)
		te_shmem_wake_lanes(MyDatabaseId);
	else if (lacking == InvalidSubTransactionId)
		lacking = GetCurrentSubTransactionId();
	return hold != NULL;
}

bool te_hold_lacks_room(void)
{
	return lacking != InvalidSubTransactionId;
}

static bool all_noted(int lane)
{
	bool noted = true;

	LWLockAcquire(te_shmem->lock, LW_SHARED);
	for (int i = 0; i < te_shmem->max_lanes && noted; i++) {
		const TeLaneSlot *slot = &te_shmem->lanes[i];

		noted = (lane >= 0 && slot->lane != lane) || !te_lane_works(slot) ||
		        !has_to_note(slot, MyDatabaseId, last_generation);
	}
	LWLockRelease(te_shmem->lock);
	return noted;
}

void te_hold_wait(int lane, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);

	if (!te_shmem_available())
		return;
	ConditionVariablePrepareToSleep(&te_shmem->holds.noted);
	while (!all_noted(lane)) {
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			break;
		/* A lane that ends says nothing here. */
		ConditionVariableTimedSleep(&te_shmem->holds.noted, Min(left, 100), PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

bool te_hold_word(int lane, TeHoldWord *word)
{
	const TeLaneSlot *slot;
	bool given = false;

	if (!te_shmem_available() || last_generation == 0)
		return false;
	LWLockAcquire(te_shmem->lock, LW_SHARED);
	slot = te_shmem_find_lane(MyDatabaseId, lane);
	if (slot != NULL && slot->pid != 0 && slot->hold_word.generation >= last_generation) {
		*word = slot->hold_word;
		given = true;
	}
	LWLockRelease(te_shmem->lock);
	return given;
}

/*----------------------------------------------------------------------
 * A lane
 *----------------------------------------------------------------------*/

struct TeHolds
{
	TeLaneSlot *slot;
	uint64 generation; /* of the board that was read */
	int count;
	TeHold holds[TE_HOLDS];
};

TeHolds *te_holds_create(TeLaneSlot *slot)
{
	TeHolds *holds = MemoryContextAllocZero(TopMemoryContext, sizeof(TeHolds));

	holds->slot = slot;
	return holds;
}

bool te_holds_changed(const TeHolds *holds)
{
	pg_read_barrier();
	return pg_atomic_read_u64(&te_shmem->holds.generation) != holds->generation;
}

bool te_holds_empty(const TeHolds *holds)
{
	return holds->count == 0;
}

/* What the board has that is newer, behind what is kept of it. */
static void take_new(TeHolds *holds)
{
	for (int i = 0; i < TE_HOLDS; i++) {
		const TeHold *hold = &te_shmem->holds.holds[i];

		if (hold->dboid != MyDatabaseId || hold->generation <= holds->generation)
			continue;
		if (holds->count < TE_HOLDS)
			holds->holds[holds->count++] = *hold;
		else {
			/* As good as never: more of them ended just now than there is room for.  The last
			 * one then stands for all. */
			TeHold *last = &holds->holds[TE_HOLDS - 1];

			last->state = Max(last->state, hold->state);
			last->xid = hold->xid;
			last->company[0] = last->user[0] = last->strategy[0] = last->symbol[0] = '\0';
		}
	}
}

void te_holds_read(TeHolds *holds, int64 epoch, int64 seq)
{
	te_holds_settle(holds, NULL);
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	take_new(holds);
	holds->generation = pg_atomic_read_u64(&te_shmem->holds.generation);
	holds->slot->hold_word = (TeHoldWord){holds->generation, epoch, seq};
	LWLockRelease(te_shmem->lock);
	ConditionVariableBroadcast(&te_shmem->holds.noted);
}

static const char *name_or_all(const char *name)
{
	return name[0] != '\0' ? name : NULL;
}

static bool covers(const TeHold *hold, const TeScope *target)
{
	TeScope scope = {
		.company = name_or_all(hold->company),
		.user = name_or_all(hold->user),
		.strategy = name_or_all(hold->strategy),
		.symbol = name_or_all(hold->symbol),
	};

	return te_scope_covers(&scope, target);
}

TeHeld te_holds_judge(const TeHolds *holds, const TeScope *target)
{
	TeHeld held = {TE_TRADING_ACTIVE, TE_TRADING_ACTIVE};

	for (int i = 0; i < holds->count; i++) {
		const TeHold *hold = &holds->holds[i];

		if (!covers(hold, target))
			continue;
		if (TransactionIdIsInProgress(hold->xid)) {
			if (hold->of_tenant)
				held.counts = Max(held.counts, hold->state);
			held.pending = Max(held.pending, hold->state);
		} else if (TransactionIdDidCommit(hold->xid))
			held.counts = Max(held.counts, hold->state);
	}
	return held;
}

static bool has_ended(const TeHold *hold, Snapshot shown)
{
	if (TransactionIdIsInProgress(hold->xid))
		return false;
	if (!TransactionIdDidCommit(hold->xid))
		return true;
	return shown != NULL && !XidInMVCCSnapshot(hold->xid, shown);
}

void te_holds_settle(TeHolds *holds, Snapshot shown)
{
	int kept = 0;

	for (int i = 0; i < holds->count; i++)
		if (!has_ended(&holds->holds[i], shown))
			holds->holds[kept++] = holds->holds[i];
	holds->count = kept;
}
