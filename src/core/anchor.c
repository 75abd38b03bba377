/*
 * anchor.c - comparing brokers' streams with what is remembered of them.
 */
#include "anchor.h"

#include <string.h>

#define LABEL(label) #label,
static const char *const inputs[] = {TE_ANCHOR_INPUTS(LABEL)};
static const char *const outputs[] = {TE_ANCHOR_OUTPUTS(LABEL)};
#undef LABEL
const TeEnum te_anchor_input_enum = {"anchor_input", TE_ANCHOR_INPUT_COUNT, inputs};
const TeEnum te_anchor_output_enum = {"anchor_output", TE_ANCHOR_OUTPUT_COUNT, outputs};

/*----------------------------------------------------------------------
 * Kafka
 *----------------------------------------------------------------------*/

/* 64-bit FNV-1a, of the bytes with their zero. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	while (*text++ != '\0');
	return hash;
}

int64_t te_anchor_kafka_identity(const char *cluster_id, const char *topic, int32_t partition)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = hash_text(hash_text(hash, cluster_id), topic);
	for (int byte = 0; byte < 4; byte++)
		hash = (hash ^ ((uint32_t)partition >> 8 * byte & 255)) * UINT64_C(0x100000001b3);
	hash &= INT64_MAX;
	return hash > 0 ? (int64_t)hash : 1;
}

TeAnchorStream te_anchor_kafka_stream(int64_t identity, int64_t low, int64_t high)
{
	return (TeAnchorStream){identity, (uint64_t)low + 1, (uint64_t)high};
}

/*----------------------------------------------------------------------
 * Input
 *----------------------------------------------------------------------*/

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Another stream, or none before: from its start. */
static TeInputJudgement judge_fresh(const TeAnchorStream *stream, bool replaced)
{
	TeInputJudgement j = {
		.outcome = TE_ANCHOR_INPUT_FRESH,
		.matched = -1,
		.new_incarnation = replaced,
		.reading = {stream->first - 1, stream->first - 1},
	};

	/* Of a stream that we never read, what it had before we came is nobody's loss. */
	if (replaced && stream->first > 1) {
		j.lost_from = 1;
		j.lost_to = stream->first - 1;
	}
	return j;
}

/* May the stream have the message of this position? */
static bool is_within(const TeAnchorPosition *p, const TeAnchorStream *stream)
{
	return p->identity == stream->identity && p->seq >= stream->first && p->seq <= stream->last &&
	       p->time > 0;
}

/*
 * The newest position is gone: go on behind the newest older one that is still there.  What was
 * read behind it comes no more, or other messages have its numbers; what comes twice is known by
 * its producer's sequence.
 */
static TeInputJudgement judge_lost_tail(const TeAnchorPosition *newest_first,
                                        const TeAnchorSight *sights, int count, TeReading reading,
                                        const TeAnchorStream *stream)
{
	TeInputJudgement j = {
		.outcome = TE_ANCHOR_INPUT_LOST_TAIL,
		.matched = -1,
		.new_incarnation = true,
	};
	uint64_t end = stream->first - 1;

	for (int i = 1; i < count && j.matched < 0; i++) {
		if (newest_first[i].seq >= newest_first[0].seq || !is_within(&newest_first[i], stream))
			continue;
		if (sights[i].kind == TE_SIGHT_UNASKED)
			return (TeInputJudgement){.outcome = TE_ANCHOR_INPUT_ASK, .ask = i, .matched = -1};
		if (sights[i].kind == TE_SIGHT_THERE && sights[i].time == newest_first[i].time)
			j.matched = i;
	}
	if (j.matched >= 0)
		end = newest_first[j.matched].seq;
	j.reading = (TeReading){.resume = least(reading.resume, end), .done = end};
	if (j.reading.resume < stream->first - 1)
		j.reading.resume = stream->first - 1;
	return j;
}

TeInputJudgement te_anchor_judge_input(const TeAnchorPosition *newest_first,
                                       const TeAnchorSight *sights, int count, TeReading reading,
                                       const TeAnchorStream *stream)
{
	const TeAnchorPosition *newest = newest_first;
	TeInputJudgement same = {.outcome = TE_ANCHOR_INPUT_SAME, .matched = 0, .reading = reading};

	if (count == 0 || newest->identity <= 0)
		return judge_fresh(stream, false);
	if (newest->identity != stream->identity)
		return judge_fresh(stream, true);
	if (stream->last < newest->seq)
		return judge_lost_tail(newest_first, sights, count, reading, stream);
	if (is_within(newest, stream)) {
		if (sights[0].kind == TE_SIGHT_UNASKED)
			return (TeInputJudgement){.outcome = TE_ANCHOR_INPUT_ASK, .ask = 0, .matched = -1};
		/* One that was deleted, or is no message at all (Kafka's control records), proves nothing.
		 */
		if (sights[0].kind == TE_SIGHT_THERE && sights[0].time != newest->time)
			return judge_lost_tail(newest_first, sights, count, reading, stream);
	}
	if (stream->first > reading.resume + 1) {
		same.outcome = TE_ANCHOR_INPUT_GAP;
		same.reading.resume = stream->first - 1;
		if (same.reading.done < same.reading.resume) {
			same.lost_from = reading.done + 1;
			same.lost_to = same.reading.done = same.reading.resume;
		}
	}
	return same;
}

bool te_anchor_consumer_is_good(const TeAnchorConsumer *consumer, TeReading reading,
                                const TeAnchorStream *stream)
{
	return consumer->exists && consumer->delivered <= stream->last &&
	       consumer->ack_floor <= reading.resume && consumer->delivered <= reading.done;
}

/*----------------------------------------------------------------------
 * Output
 *----------------------------------------------------------------------*/

static TeOutputJudgement foreign(const char *reason)
{
	return (TeOutputJudgement){.outcome = TE_ANCHOR_OUTPUT_FOREIGN, .reason = reason};
}

/* The stream has no message of this lane. */
static TeOutputJudgement judge_nothing(const TeOutputStored *stored, const TeOutputSeen *seen)
{
	if (seen->exhausted)
		return foreign("others fill this lane's output stream");
	if (stored->cursor.seq == 0)
		return (TeOutputJudgement){.outcome = TE_ANCHOR_OUTPUT_FIRST, .has = stored->cursor};
	return (TeOutputJudgement){
		.outcome = stored->identity == seen->identity ? TE_ANCHOR_OUTPUT_TAIL_LOST
	                                                  : TE_ANCHOR_OUTPUT_RECREATED,
		.has = stored->oldest,
	};
}

/* What is there was written before the lane became ours: ours begins behind it. */
static TeOutputJudgement judge_predecessor(const TeOutputStored *stored)
{
	TePlace start = {stored->predecessor_epoch + 1, 0};
	TeOutputJudgement j = {.outcome = TE_ANCHOR_OUTPUT_FIRST, .has = start};

	if (te_place_compare(stored->oldest, start) > 0)
		j.has = stored->oldest;
	if (te_place_compare(stored->cursor, j.has) > 0)
		j.outcome = TE_ANCHOR_OUTPUT_TAIL_LOST;
	return j;
}

/* The lane is about to begin an epoch of its own: all that it has is behind it. */
static TeOutputJudgement judge_adopted(const TeOutputStored *stored, const TeOutputSeen *seen)
{
	TeOutputJudgement j = {.outcome = TE_ANCHOR_OUTPUT_SAME, .has = stored->last};

	if (strcmp(seen->installation, stored->installation) != 0)
		j.outcome = TE_ANCHOR_OUTPUT_FIRST;
	else if (te_place_compare(seen->place, stored->last) > 0)
		j.has = seen->place;
	return j;
}

/*
 * Is it of an earlier epoch, and not what our epoch was begun upon?  The primary, beside which a
 * standby was promoted, wrote it, or another engine that went on in the epoch that ours has left.
 */
static bool is_of_outlived_primary(const TeOutputStored *stored, TePlace place)
{
	return stored->inherited.epoch > 0 && place.epoch < stored->last.epoch &&
	       te_place_compare(place, stored->inherited) > 0;
}

TeOutputJudgement te_anchor_judge_output(const TeOutputStored *stored, const TeOutputSeen *seen)
{
	TeOutputJudgement j = {.outcome = TE_ANCHOR_OUTPUT_SAME, .has = seen->place};
	int order = te_place_compare(seen->place, stored->cursor);

	if (!seen->found)
		return judge_nothing(stored, seen);
	if (seen->lane != stored->lane)
		return foreign("another lane writes to this lane's output stream");
	if (stored->adopting)
		return judge_adopted(stored, seen);
	if (seen->place.epoch <= stored->predecessor_epoch)
		return judge_predecessor(stored);
	if (strcmp(seen->installation, stored->installation) != 0)
		return foreign("another installation writes to this lane's output stream");
	if (te_place_compare(seen->place, stored->last) > 0 ||
	    is_of_outlived_primary(stored, seen->place))
		return foreign("the broker has output that this database doesn't know");
	if (seen->hash == TE_HASH_OTHER)
		return foreign("the broker has other content under an identity of this database");
	if (order != 0)
		j.outcome = order < 0 ? TE_ANCHOR_OUTPUT_TAIL_LOST : TE_ANCHOR_OUTPUT_ACKS_LOST;
	return j;
}
