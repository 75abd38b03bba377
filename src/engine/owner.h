/*
 * owner.h - is this installation the one that the lane belongs to?
 *
 * A copy of the database (a restored dump, a snapshot, a clone) has the lane's rows
 * and would publish other content under identities that are used.  So the lane's
 * row names its owner, and whoever isn't the owner stays silent until somebody
 * calls trading.adopt().
 */
#ifndef TE_ENGINE_OWNER_H
#define TE_ENGINE_OWNER_H

#include "postgres.h"

#include "core/route.h"

typedef enum {
	TE_OWNER_SAME,     /* go on */
	TE_OWNER_PROMOTED, /* same cluster on a later timeline: go on in a new epoch, if the broker
	                      isn't ahead of us */
	TE_OWNER_FOREIGN   /* a copy: send nothing */
} TeOwnership;

typedef struct TeOwner
{
	TeOwnership ownership;
	char reason[256]; /* why it is not SAME */
	int lane_count;
	int64 epoch;
	bool adopting; /* trading.adopt() was called, the epoch above the broker's is still to be begun
	                */
	int64 predecessor_epoch; /* up to it all output, whose ever, is behind us */
	TePlace inherited;       /* where the epochs before ours ended; epoch 0: that isn't known */
	char installation[40];
} TeOwner;

/*
 * Take the lane for this session, so that no second worker of this database writes it.
 * Tenants can't take this lock: it is on the extension, not an advisory key.  False when
 * somebody else has it; in a transaction.
 */
extern bool te_owner_lock(int lane);

/* Read and compare; in a transaction with SPI connected. */
extern void te_owner_read(int lane, TeOwner *owner);

/* Record this system as the owner, with what "owner" has of epochs; in a transaction with SPI
 * connected. */
extern void te_owner_settle(int lane, const TeOwner *owner);

#endif
