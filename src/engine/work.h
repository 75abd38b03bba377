/*
 * work.h - what a lane's worker does, turn by turn.
 */
#ifndef TE_ENGINE_WORK_H
#define TE_ENGINE_WORK_H

#include "postgres.h"

#include "engine/shmem.h"

typedef struct TeWork TeWork;

/*
 * Load what the lane knows and get ready.  NULL when the lane belongs to another
 * installation: then it is reported as FOREIGN, and the worker only waits for
 * te_work_adopted.
 */
extern TeWork *te_work_start(TeLaneSlot *slot);

/*
 * One turn: wait for something to do, at most until the given monotonic time, and do it.
 * False when the broker shows that the lane belongs to another installation.
 */
extern bool te_work_turn(TeWork *work, int64 until_us);

/* Bytes that are kept for batches to come: what the largest so far took. */
extern int64 te_work_kept_memory(const TeWork *work);

/*
 * The configuration was read anew: go by it.  What contradicts itself is not taken.  False when
 * settings have changed that need a new start.
 */
extern bool te_work_reload(TeWork *work);

/* Has trading.adopt() made a lane that was FOREIGN ours?  Then the worker starts anew. */
extern bool te_work_adopted(TeLaneSlot *slot);

/* Write what is only in memory, before the worker ends on request. */
extern void te_work_finish(TeWork *work);

#endif
