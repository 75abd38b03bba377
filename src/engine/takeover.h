/*
 * takeover.h - when a lane becomes ours, and in which epoch it goes on.
 */
#ifndef TE_ENGINE_TAKEOVER_H
#define TE_ENGINE_TAKEOVER_H

#include "postgres.h"

#include "engine/memory.h"
#include "engine/owner.h"
#include "engine/publisher.h"

/*
 * Is the lane ours beyond doubt, "waited" microseconds after its worker has started?  That of a
 * promoted standby is when every broker has shown where its output ends; one that can't be reached
 * for some time is not waited for, and stops the lane later if it has what this database doesn't
 * know.  Only when none can be reached it waits, unless somebody has said that the lane is ours.
 */
extern bool te_takeover_is_due(const TeOwner *owner, const TePublisher *publisher, int64 waited);

/*
 * It is: "owner" gets the epoch to write in, which is stored where anything of the owner has
 * changed.  "publisher" is NULL without brokers; "committed" is what the newest batch says.
 * Outside of a transaction.
 */
extern void te_takeover(int lane, TeOwner *owner, const TePublisher *publisher,
                        const TeLanePosition *committed);

#endif
