/*
 * holds.h - switches that take effect before their transaction commits.
 *
 * A session that halts a scope writes a hold to shared memory.  Each lane looks there before
 * every message that it hands to a broker, and leaves its word: the last message before it
 * took note.  So whatever the session is told is above everything of the scope that leaves.
 *
 * While the transaction runs, the lane keeps back what the hold covers, and what comes after
 * it, for a while (TE_HOLD_PATIENCE_US); after that, and for a hold of a tenant at once, it is
 * replaced like what is halted: nobody holds up the output of others.  A rollback ends the
 * hold.  After a commit it counts until the lane's copy of trading.trading_switches shows the
 * row, so that there is no moment in between.
 */
#ifndef TE_ENGINE_HOLDS_H
#define TE_ENGINE_HOLDS_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "utils/snapshot.h"

#include "core/limits.h"

#define TE_HOLD_PATIENCE_US INT64_C(2000000)

/* Places on the board; tenants take none of the last ones, and no company takes all of those. */
#define TE_HOLDS 256
#define TE_HOLDS_OF_TENANTS 224
#define TE_HOLDS_OF_COMPANY 16

#define TE_HOLD_NAME_SIZE 65

/* Plain data.  Empty names: all. */
typedef struct TeHold
{
	Oid dboid; /* InvalidOid: free */
	TransactionId xid;
	uint64 generation;
	bool of_tenant;
	TeTradingState state;
	char company[TE_HOLD_NAME_SIZE], user[TE_HOLD_NAME_SIZE], strategy[TE_HOLD_NAME_SIZE];
	char symbol[TE_HOLD_NAME_SIZE];
} TeHold;

/* In shared memory, guarded by its lock but for the generation, which counts the holds made. */
typedef struct TeHoldBoard
{
	pg_atomic_uint64 generation;
	ConditionVariable noted;
	TeHold holds[TE_HOLDS];
} TeHoldBoard;

/* A lane's word: what it had handed over when it took note of a generation. */
typedef struct TeHoldWord
{
	uint64 generation;
	int64 epoch, seq;
} TeHoldWord;

extern void te_holds_init_board(TeHoldBoard *board);

/* --- a session that sets switches --- */

/*
 * Hold a scope until the end of the (sub)transaction.  False when there is no room: then the
 * switch takes effect after the commit.
 */
extern bool te_hold_scope(const TeScope *scope, TeTradingState state, bool of_tenant);

/*
 * Did this transaction set a switch that found no room, and that isn't rolled back?  Then no lane's
 * word is about it.
 */
extern bool te_hold_lacks_room(void);

/*
 * Wait, at most so long, until the lanes (-1: all) of this database that run have taken note
 * of all holds there are.
 */
extern void te_hold_wait(int lane, int timeout_ms);

/* A lane's word about the holds that there were when the transaction last set one; false: it has
 * given none. */
extern bool te_hold_word(int lane, TeHoldWord *word);

/* --- a lane --- */

struct TeLaneSlot;
typedef struct TeHolds TeHolds;

extern TeHolds *te_holds_create(struct TeLaneSlot *slot);

/* Has the board changed since it was last read? */
extern bool te_holds_changed(const TeHolds *holds);

/* Read the board, and leave the word: the last message handed over. */
extern void te_holds_read(TeHolds *holds, int64 epoch, int64 seq);

/* Are there none? */
extern bool te_holds_empty(const TeHolds *holds);

/*
 * The strictest state of the holds that cover a target: of those that count, and of those
 * whose transaction may still be rolled back.
 */
typedef struct TeHeld
{
	TeTradingState counts, pending;
} TeHeld;

extern TeHeld te_holds_judge(const TeHolds *holds, const TeScope *target);

/* Forget holds that were rolled back, and those whose rows the snapshot shows. */
extern void te_holds_settle(TeHolds *holds, Snapshot shown);

#endif
