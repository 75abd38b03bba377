/*
 * crash_marker.h - which input the worker was at when it died.
 *
 * A message that ends the process would end the next worker, too, and so on for ever.  So a
 * small file in the data directory says what is under way.  It is a mapping of memory: it
 * survives the process, not the machine, and costs nothing.
 *
 * A fault of the process (a violation of memory, an assertion) is noted by the signal that it
 * raises.  Then what was under way is tried message by message, and one that raises a fault
 * alone is given up.  Where it was read without a fault, that can be done again: its number
 * is used up.  That a worker was killed from outside proves nothing, unless
 * it happens again and again at the same place: then it counts like a fault (the kernel ends
 * processes that use up its memory).
 */
#ifndef TE_ENGINE_CRASH_MARKER_H
#define TE_ENGINE_CRASH_MARKER_H

#include "postgres.h"

typedef struct TeCrashMarker TeCrashMarker;

/*
 * Open the lane's file.  Without it (NULL) the lane works, unprotected.  "suspects": so many
 * messages have to be taken one by one; 0: the last worker ended in peace.
 */
extern TeCrashMarker *te_crash_marker_open(int lane, int *suspects);

/* What is to become of a message. */
typedef enum {
	TE_CRASH_INNOCENT,
	TE_CRASH_GIVE_UP,       /* it ends workers, though they can read it */
	TE_CRASH_GIVE_UP_UNREAD /* or when they read it */
} TeCrashVerdict;

/* This message of the batch at hand comes next. */
extern TeCrashVerdict te_crash_marker_note(TeCrashMarker *marker, const char *source, int64 seq);

/* The message that was noted last has been read. */
extern void te_crash_marker_read(TeCrashMarker *marker);

/* The batch at hand gives up the message that has to be. */
extern void te_crash_marker_give_up(TeCrashMarker *marker);

/* Nothing is under way: the batch was stored, or has failed in an orderly way. */
extern void te_crash_marker_end(TeCrashMarker *marker, bool stored, int messages);

/* For the launcher: remove the files of databases that are no more.  Outside of a transaction. */
extern void te_crash_marker_remove_strays(void);

#endif
