/*
 * output_anchor.c - see output_anchor.h.
 */
#include "postgres.h"

#include "engine/output_anchor.h"
#include "engine/release.h"
#include "engine/route_rows.h"
#include "engine/session.h"

/* Has the outbox other bytes for this place than the broker's?  A record of a gap is taken as it
 * is. */
static int compare_hash(TeOutQueue *queue, TePlace place, const char *hash)
{
	TeQueuedMessage queued;
	char ours[TE_HASH_TEXT_SIZE];

	if (place.seq == 0 || te_place_compare(place, te_out_queue_last(queue)) > 0 ||
	    !te_out_queue_find(queue, place, &queued) || queued.replaced != TE_GAP_FILL_NONE)
		return TE_HASH_UNCHECKED;
	te_hash_text(queued.frame->hash, ours);
	return strcmp(ours, hash) == 0 ? TE_HASH_SAME : TE_HASH_OTHER;
}

static TePlace read_oldest(TeOutQueue *queue, int lane)
{
	TePlace oldest;

	te_session_begin("looking for the start of the outbox");
	oldest = te_route_oldest(lane, te_out_queue_last(queue));
	te_session_commit();
	return oldest;
}

/*
 * The stream that acknowledged our last message has no message of ours any more, but is no shorter:
 * they were too old for it.
 */
static bool is_aged(const TeOutputSide *ours, const TeOutputAnchor *anchor)
{
	return !anchor->found && !anchor->exhausted && !ours->adopting && ours->stream_created > 0 &&
	       ours->stream_created == anchor->stream_created && ours->stream_seq > 0 &&
	       ours->stream_seq <= anchor->last_stream_seq;
}

TeOutputJudgement te_output_anchor_judge(TeOutQueue *queue, const TeOutputSide *ours,
                                         const TeOutputAnchor *anchor)
{
	TeOutputSeen seen = {
		.identity = anchor->stream_created,
		.found = anchor->found,
		.exhausted = anchor->exhausted,
		.installation = anchor->installation,
		.lane = anchor->lane,
		.place = {anchor->epoch, anchor->seq},
	};
	TeOutputStored stored = {
		.installation = ours->installation,
		.lane = ours->lane,
		.identity = anchor->stream_created,
		.cursor = ours->cursor,
		.last = te_out_queue_last(queue),
		.oldest = read_oldest(queue, ours->lane),
		.predecessor_epoch = ours->predecessor_epoch,
		.inherited = ours->inherited,
		.adopting = ours->adopting,
	};
	TeOutputJudgement j;

	if (is_aged(ours, anchor))
		return (TeOutputJudgement){.outcome = TE_ANCHOR_OUTPUT_SAME, .has = ours->cursor};
	if (seen.found && strcmp(seen.installation, ours->installation) == 0)
		seen.hash = compare_hash(queue, seen.place, anchor->hash);
	j = te_anchor_judge_output(&stored, &seen);
	if (anchor->sparse && j.outcome == TE_ANCHOR_OUTPUT_ACKS_LOST)
		j.has = ours->cursor;
	return j;
}
