/*
 * release.c - see release.h.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/release.h"
#include "sql/sqltime.h"
#include "wire/encode.h"
#include "wire/subject.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Simulated time never expires a message: it would depend on how fast history is run. */
static bool expired(const TeFrame *frame)
{
	return te_guc_clock == TE_CLOCK_SYSTEM && frame->expires_at != TE_NO_TIME &&
	       frame->expires_at <= te_time_from_timestamptz(GetCurrentTimestamp());
}

bool te_release_at_once(TeGate *gate, const TeBatchFrames *frames)
{
	TeOutboxReader reader;
	TeFrame frame;
	TeWireError err;
	int found;

	te_outbox_read(&reader, frames->data, frames->len);
	while ((found = te_outbox_next(&reader, &frame, &err)) > 0)
		if (expired(&frame) || !te_gate_is_open(gate, &frame))
			return false;
	return found == 0;
}

TeQueueResult te_release_decide(TeOutQueue *queue, TeGate *gate, TePlace after, TePlace through,
                                uint32 room, int64 now, MemoryContext memory, TeRelease *release)
{
	TeQueueResult result = TE_QUEUE_END;
	TeQueuedMessage m;
	int capacity = 0;

	*release = (TeRelease){.through = after};
	while (room-- > 0 && te_place_compare(release->through, through) < 0 &&
	       (result = te_out_queue_next(queue, TE_READER_RELEASE, release->through, &m)) ==
	           TE_QUEUE_MESSAGE) {
		TeGateVerdict verdict = TE_GATE_SHUT;
		TeGapFillReason reason = TE_GAP_FILL_EXPIRED;

		if (!expired(m.frame)) {
			verdict = te_gate_judge(gate, m.frame, now);
			reason = TE_GAP_FILL_HALTED;
		}
		if (verdict == TE_GATE_HELD) {
			release->held = true;
			break;
		}
		if (verdict == TE_GATE_SHUT) {
			if (release->fill_count == capacity) {
				capacity = Max(64, 2 * capacity);
				release->fills = release->fills
				                     ? repalloc(release->fills, sizeof(TeGapFill) * capacity)
				                     : MemoryContextAlloc(memory, sizeof(TeGapFill) * capacity);
			}
			release->fills[release->fill_count++] = (TeGapFill){m.place, reason};
		}
		release->through = m.place;
		release->messages++;
	}
	/* An epoch that ended before, or one that has nothing yet: there is nothing to decide about. */
	if (result == TE_QUEUE_END && !release->held)
		release->through = through;
	return result;
}

/* The subject under the prefix of now: a message may have been made under another one. */
static const char *subject_of(const TeSubject *subject, TeArena *arena)
{
	char text[TE_SUBJECT_MAX];

	if (!te_subject_format(te_guc_subject_prefix, subject, text))
		elog(ERROR, "could not put a subject together");
	return te_arena_strdup(arena, text);
}

static bool has_prefix(const char *subject)
{
	size_t len = strlen(te_guc_subject_prefix);

	return strncmp(subject, te_guc_subject_prefix, len) == 0 && subject[len] == '.';
}

/*
 * A record that the sequence has no message, for a reason, goes out in the message's place.  Its
 * time is that of the message's expiry, so that it has the same bytes whenever it is sent again.
 */
static void replace(int lane, const TeQueuedMessage *queued, const TeSubject *subject,
                    TeArena *arena, TeOutputMessage *message)
{
	const TeFrame *frame = queued->frame;
	const uint8_t *data;
	TeWireError err;

	if (!te_encode_gap_fill((uint32_t)lane, queued->place.epoch, frame->seq, frame->seq,
	                        te_gap_fill_enum.labels[queued->replaced], subject->company,
	                        subject->user, frame->expires_at, arena, &data, &message->len, &err))
		elog(ERROR, "could not encode a gap-fill record: %s", err.detail);
	message->data = data;
}

void te_release_message(int lane, const TeQueuedMessage *queued, TeArena *arena,
                        char hash[TE_HASH_TEXT_SIZE], TeOutputMessage *message)
{
	const TeFrame *frame = queued->frame;
	bool moved = !has_prefix(frame->subject);
	TeSubject subject;
	TeWireError err;

	*message = (TeOutputMessage){
		.subject = frame->subject,
		.data = frame->message,
		.len = frame->message_len,
		.epoch = queued->place.epoch,
		.seq = queued->place.seq,
		.hash = hash,
		.traceparent = frame->traceparent[0] ? frame->traceparent : NULL,
	};
	te_hash_text(frame->hash, hash);
	if (!moved && queued->replaced == TE_GAP_FILL_NONE)
		return;
	te_arena_reset(arena);
	if (!te_subject_parse_output(frame->subject, &subject, &err))
		elog(ERROR, "outbox message " UINT64_FORMAT " has a bad subject: %s", frame->seq,
		     err.detail);
	if (moved)
		message->subject = subject_of(&subject, arena);
	if (queued->replaced == TE_GAP_FILL_NONE)
		return;
	replace(lane, queued, &subject, arena, message);
	te_hash_text(te_hash64(message->data, message->len), hash);
}
