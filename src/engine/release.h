/*
 * release.h - the decision whether a message leaves as it was made.
 *
 * It is taken once, for all transports and for ever, and stored before the message is handed to one
 * (core/route.h): then a record of a gap takes its place, or it leaves with its bytes even if it
 * expires or is halted meanwhile.
 */
#ifndef TE_ENGINE_RELEASE_H
#define TE_ENGINE_RELEASE_H

#include "postgres.h"

#include "engine/gate.h"
#include "engine/outqueue.h"
#include "transport/transport.h"
#include "wire/identity.h"

/*
 * Does all of a batch that is about to be stored leave as it is?  Then its own row releases it.
 * Where more than a look at the switches is needed, the answer is no.
 */
extern bool te_release_at_once(TeGate *gate, const TeBatchFrames *frames);

/* Decided so far about a backlog. */
typedef struct TeRelease
{
	TePlace through; /* everything up to here is decided */
	bool held;       /* what is behind must not be decided yet: te_gate_due() */
	int messages;    /* decided */
	int fill_count;
	TeGapFill *fills; /* in the memory given */
} TeRelease;

/*
 * Decide about what is behind a place, up to another and at most "room" messages.  "now" is
 * monotonic.  What the table has lost is not passed.
 */
extern TeQueueResult te_release_decide(TeOutQueue *queue, TeGate *gate, TePlace after,
                                       TePlace through, uint32 room, int64 now,
                                       MemoryContext memory, TeRelease *release);

/*
 * A message as it leaves: what a transport is given, on its subject under the prefix of now.  The
 * hash's text goes to "hash"; what is encoded lives in the arena until it is reset.
 */
extern void te_release_message(int lane, const TeQueuedMessage *queued, TeArena *arena,
                               char hash[TE_HASH_TEXT_SIZE], TeOutputMessage *message);

#endif
