/*
 * stall.h - input that is there, and that nobody takes.
 *
 * A connection may be well, and its input stand still all the same: a broker that can't get past a
 * message of its own, a partition whose leader doesn't answer, a lane that can't store what
 * it has read.  Whatever the reason, it looks like this: messages are unread, and for half a
 * minute none of them was taken.
 */
#ifndef TE_ENGINE_STALL_H
#define TE_ENGINE_STALL_H

#include "postgres.h"

#include "engine/shmem.h"

/* Of one input stream. */
typedef struct TeStall
{
	uint64 at;   /* the last message taken */
	int64 since; /* no other was taken, although some were there (monotonic); 0: it moves */
	bool told;   /* for too long */
} TeStall;

/*
 * Look at a stream, of which "unread" messages are known, and "at" was taken last.  A stall is
 * logged and counted when it is noticed, and logged when it is over.
 */
extern void te_stall_look(TeStall *stall, TeLaneSlot *slot, TeTransportKind kind,
                          const char *stream, uint64 unread, uint64 at, int64 now);

#endif
