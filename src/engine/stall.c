/*
 * stall.c - the alarm of input that doesn't move.
 */
#include "postgres.h"

#include "engine/stall.h"

/* Longer than any batch takes, and than brokers take to elect a leader. */
#define PATIENCE_US INT64_C(30000000)

static void begin(TeStall *stall, TeLaneSlot *slot, TeTransportKind kind, const char *stream,
                  uint64 unread)
{
	stall->told = true;
	te_count(&slot->transports[kind].input_stalls, 1);
	ereport(
		WARNING, errmsg("input of lane %d from %s does not move", slot->lane, stream),
		errdetail("Messages are unread (" UINT64_FORMAT
	              ", as far as the broker has told), and for 30 s none was taken; the last one "
	              "was " UINT64_FORMAT ".",
	              unread, stall->at),
		errhint("Look at the reason of the lane in trading.stat_workers; where there is none, at "
	            "the log of the broker, and at the next message of the stream."));
}

void te_stall_look(TeStall *stall, TeLaneSlot *slot, TeTransportKind kind, const char *stream,
                   uint64 unread, uint64 at, int64 now)
{
	if (unread == 0 || at != stall->at) {
		if (stall->told)
			ereport(LOG, errmsg("input of lane %d from %s moves again", slot->lane, stream));
		*stall = (TeStall){.at = at};
	} else if (stall->since == 0)
		stall->since = now;
	else if (!stall->told && now - stall->since >= PATIENCE_US)
		begin(stall, slot, kind, stream, unread);
}
