/*
 * takeover.c - see takeover.h.
 */
#include "postgres.h"

#include "engine/session.h"
#include "engine/takeover.h"

/* Input by SQL waits so long for a broker that can't be reached at the start. */
#define ANCHOR_PATIENCE_US INT64_C(5000000)

/* Room for the epochs of a broker that can't be asked; each adoption takes one. */
#define UNSEEN_EPOCHS 1000

bool te_takeover_is_due(const TeOwner *owner, const TePublisher *publisher, int64 waited)
{
	int anchored = te_publisher_anchored(publisher);
	bool patient = waited <= ANCHOR_PATIENCE_US;

	if (owner->adopting)
		return anchored == te_publisher_configured(publisher) || !patient;
	if (owner->ownership == TE_OWNER_SAME)
		return anchored > 0 || !patient; /* input by SQL doesn't wait for a broker that is down */
	return anchored == te_publisher_configured(publisher) || (anchored > 0 && !patient);
}

/*
 * The epoch of an adopted lane: above its own, and above those at the brokers.  One that couldn't
 * be reached shows its own later, which then lies below, too: all before this epoch is behind us.
 */
static void begin_adopted(TeOwner *owner, const TePublisher *publisher)
{
	owner->epoch++;
	owner->inherited = (TePlace){0, 0};
	if (publisher == NULL)
		return;
	owner->epoch = Max(owner->epoch, (int64)te_publisher_broker_epoch(publisher) + 1);
	if (te_publisher_anchored(publisher) < te_publisher_configured(publisher))
		owner->epoch += UNSEEN_EPOCHS;
	owner->predecessor_epoch = owner->epoch - 1;
}

/*
 * That of a promoted standby.  Its primary may live: in one epoch both would write the same
 * identities, each taking the broker's "I have that" for its own success.  With two, the broker
 * refuses the second of them, and what it finds there tells it why.  Of an epoch without output
 * nothing is inherited, so that the primary's first message in it shows the primary.
 */
static void begin_promoted(TeOwner *owner, const TeLanePosition *committed)
{
	if (committed->out_seq > 0 && committed->epoch > owner->predecessor_epoch)
		owner->inherited = (TePlace){(uint64_t)committed->epoch, (uint64_t)committed->out_seq};
	else if (owner->inherited.epoch == 0)
		owner->inherited = (TePlace){(uint64_t)owner->epoch, 0};
	owner->epoch++;
}

static void settle(int lane, const TeOwner *owner)
{
	te_session_begin("taking over the lane");
	te_owner_settle(lane, owner);
	te_session_commit();
}

void te_takeover(int lane, TeOwner *owner, const TePublisher *publisher,
                 const TeLanePosition *committed)
{
	owner->epoch = Max(owner->epoch, committed->epoch);
	if (!owner->adopting && owner->ownership == TE_OWNER_SAME)
		return;
	if (owner->adopting)
		begin_adopted(owner, publisher);
	else if (owner->ownership == TE_OWNER_PROMOTED)
		begin_promoted(owner, committed);
	settle(lane, owner);
	owner->adopting = false;
	owner->ownership = TE_OWNER_SAME;
}
