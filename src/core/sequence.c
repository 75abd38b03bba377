/*
 * sequence.c - sequences of producers, and the messages that wait for their turn.
 *
 * A sequence's parked messages are a list in order of (epoch, seq), all behind its
 * next number.  A hole is the room before a message in that list, or, known by a
 * heartbeat only, behind the last.  "since" never decreases along the list: whatever
 * shows that a number is missing shows it for all lower ones too.
 */
#include "sequence_private.h"

const TeSequenceSettings te_sequence_settings_default = {
	.most_parked = 4096,
	.most_parked_bytes = 64 * 1024 * 1024,
	.most_per_producer = 1024,
	.most_bytes_per_producer = 16 * 1024 * 1024,
	.resend_after = TE_USEC_PER_SEC / 5,
	.resend_again = TE_USEC_PER_SEC,
	.resend_tries = 3,
	.requests_per_second = 20,
	.give_up_after = 10 * TE_USEC_PER_SEC,
};

#define LABEL(label) #label,
static const char *const gap_reasons[] = {TE_GAP_REASONS(LABEL)};
#undef LABEL
const TeEnum te_gap_reason_enum = {"gap_reason", TE_GAP_REASON_COUNT, gap_reasons};

/* More would make a scan of all that waits too slow. */
#define MOST_PARKED 1000000

const char *te_sequence_settings_check(const TeSequenceSettings *s, const char **reason,
                                       const char **than)
{
	*than = NULL;
	*reason = "must be at most 1000000";
	if (s->most_parked > MOST_PARKED)
		return "most_parked";
	*reason = "must be above 0";
	if (s->resend_after <= 0)
		return "resend_after";
	if (s->resend_again <= 0)
		return "resend_again";
	*reason = "must be within 0 and 20";
	if (s->resend_tries < 0 || s->resend_tries > 20)
		return "resend_tries";
	*reason = "must be within 1 and 1000000";
	if (s->requests_per_second < 1 || s->requests_per_second > 1000000)
		return "requests_per_second";
	*reason = "must not be above";
	*than = "most_parked";
	if (s->most_per_producer > s->most_parked)
		return "most_per_producer";
	*than = "most_parked_bytes";
	if (s->most_bytes_per_producer > s->most_parked_bytes)
		return "most_bytes_per_producer";
	*reason = "must be at least";
	*than = "resend_after";
	if (s->give_up_after < s->resend_after)
		return "give_up_after";
	*reason = *than = NULL;
	return NULL;
}

/*----------------------------------------------------------------------
 * Holes
 *----------------------------------------------------------------------*/

static void note_tail(TeParking *p, TeSequence *s, uint64_t epoch, uint64_t last_seq, TeTime now)
{
	bool waited = te_sequence_has_tail_hole(p, s);

	if (epoch < s->tail_epoch || (epoch == s->tail_epoch && last_seq <= s->tail_last))
		return;
	waited = waited && epoch == s->tail_epoch;
	s->tail_epoch = epoch;
	s->tail_last = last_seq;
	if (!waited && te_sequence_has_tail_hole(p, s)) {
		s->tail_since = now;
		s->tail_request_at = now + p->settings.resend_after;
		s->tail_tries = 0;
		te_parking_due_by(p, s->tail_request_at);
	}
	te_sequence_note_open(p, s);
}

void te_sequence_heartbeat(TeParking *p, TeSequence *s, uint64_t epoch, uint64_t last_seq,
                           TeTime now)
{
	if (last_seq < 1 || last_seq > TE_ADMIT_MAX_NUMBER || epoch > TE_ADMIT_MAX_NUMBER ||
	    (s->staged.next_seq > 0 && epoch < s->staged.epoch))
		return;
	note_tail(p, s, epoch, last_seq, now);
}

static void skip_first_hole(TeParking *p, TeSequence *s, TeGapReason reason)
{
	if (s->first)
		te_sequence_skip_to(p, s, te_parked_at(p, s->first)->epoch, te_parked_at(p, s->first)->seq,
		                    reason);
	else if (te_sequence_has_tail_hole(p, s))
		te_sequence_skip_to(p, s, s->tail_epoch, s->tail_last + 1, reason);
}

void te_sequence_release(TeParking *p, TeSequence *s)
{
	s->halted = s->told = false;
	skip_first_hole(p, s, TE_GAP_REASON_RELEASED);
}

/*----------------------------------------------------------------------
 * Bounds
 *----------------------------------------------------------------------*/

static bool lane_is_over(const TeParking *p)
{
	return p->parked > p->settings.most_parked || p->parked_bytes > p->settings.most_parked_bytes;
}

static bool is_over(const TeParking *p, const TeSequence *s)
{
	return s->parked > p->settings.most_per_producer ||
	       s->parked_bytes > p->settings.most_bytes_per_producer;
}

/* Whose first hole is given up to make room, or NULL while there is room. */
static TeSequence *find_victim(const TeParking *p, TeSequence *offered_to)
{
	bool by_count = p->parked > p->settings.most_parked;
	TeSequence *largest = NULL;

	if (offered_to && offered_to->first && is_over(p, offered_to) && !offered_to->halts)
		return offered_to;
	if (!lane_is_over(p))
		return NULL;
	for (TeSequence *s = p->open; s; s = s->open_next) {
		if (s->halts || s->first == 0)
			continue;
		if (largest == NULL ||
		    (by_count ? s->parked > largest->parked : s->parked_bytes > largest->parked_bytes))
			largest = s;
	}
	return largest;
}

/* Would a message of a sequence that halts have to wait where there is no room for it? */
static bool must_refuse(const TeParking *p, const TeSequence *s, const TeSequenceMessage *message)
{
	const TeSequenceSettings *limit = &p->settings;

	return s->halts && (message->source < 0 || p->parked + 1 > limit->most_parked ||
	                    p->parked_bytes + message->bytes > limit->most_parked_bytes ||
	                    s->parked + 1 > limit->most_per_producer ||
	                    s->parked_bytes + message->bytes > limit->most_bytes_per_producer);
}

/*----------------------------------------------------------------------
 * Offers
 *----------------------------------------------------------------------*/

/* A number that waits already: from the same source again, or by the other transport. */
static TeAdmitVerdict judge_copy(TeParking *p, TeParked *e, const TeSequenceMessage *message)
{
	if (e->hash != message->hash)
		return TE_ADMIT_CONFLICT;
	if (message->source < 0)
		return TE_ADMIT_DUPLICATE;
	for (int i = 0; i < e->copy_count; i++)
		if (e->copies[i].source == message->source) {
			if (message->position < e->copies[i].position)
				e->copies[i].position = message->position;
			te_parked_hold_position(p, message->source, e->copies[i].position);
			return TE_ADMIT_DUPLICATE;
		}
	if (e->copy_count < TE_PARKED_COPIES) {
		e->copies[e->copy_count].source = message->source;
		e->copies[e->copy_count++].position = message->position;
		te_parked_hold_position(p, message->source, message->position);
	}
	return TE_ADMIT_DUPLICATE;
}

static uint32_t park(TeParking *p, TeSequence *s, const TeSequenceMessage *message, uint32_t behind,
                     TeTime now)
{
	uint32_t slot = p->free;
	TeParked *e = te_parked_at(p, slot);
	uint32_t next = behind ? te_parked_at(p, behind)->next : s->first;

	p->free = e->next;
	*e = (TeParked){
		.sequence = s,
		.epoch = message->epoch,
		.seq = message->seq,
		.hash = message->hash,
		.bytes = message->bytes,
		.since = next ? te_parked_at(p, next)->since : now,
		.expires_at = message->expires_at,
		.status = TE_PARKED_NEW,
	};
	if (message->source >= 0) {
		e->copies[0].source = message->source;
		e->copies[0].position = message->position;
		e->copy_count = 1;
	}
	e->request_at = e->since + p->settings.resend_after;
	te_parking_due_by(p, e->request_at);
	te_parked_enlist(p, slot, behind);
	te_parked_mark(p, slot);
	te_sequence_note_open(p, s);
	return slot;
}

TeAdmitVerdict te_sequence_offer(TeParking *p, TeSequence *s, const TeSequenceMessage *message,
                                 TeTime now)
{
	TeAdmitVerdict verdict = te_admit_judge(&s->staged, message->epoch, message->seq,
	                                        &message->hash, message->stored, sizeof(message->hash));
	uint32_t behind, slot;

	p->now = now;
	if (!te_admit_applies(verdict))
		return verdict;
	te_sequence_touch(p, s);
	p->offered_to = s;
	p->offered_slot = 0;
	te_sequence_make_ready(p, s);
	if (verdict == TE_ADMIT_IN_ORDER)
		return verdict;

	slot = te_parked_find(p, s, message->epoch, message->seq, &behind);
	if (slot != 0) {
		p->offered_to = NULL;
		return judge_copy(p, te_parked_at(p, slot), message);
	}
	if (must_refuse(p, s, message)) {
		p->offered_to = NULL;
		note_tail(p, s, message->epoch, message->seq, now);
		return TE_ADMIT_FULL;
	}
	p->offered_slot = park(p, s, message, behind, now);
	if (message->source < 0)
		te_sequence_skip_to(p, s, message->epoch, message->seq, TE_GAP_REASON_OVERFLOW);
	return verdict;
}

/*----------------------------------------------------------------------
 * Steps
 *----------------------------------------------------------------------*/

static void give_gap(TeSequence *s, uint64_t to, TeGapReason reason, TeSequenceStep *step)
{
	*step = (TeSequenceStep){
		.kind = TE_STEP_GAP,
		.sequence = s,
		.epoch = s->staged.epoch,
		.from = s->staged.next_seq,
		.to = to,
		.reason = reason,
	};
	s->staged.next_seq = to + 1;
	s->halted = s->told = false;
}

static void give_apply(TeParking *p, TeSequence *s, uint32_t slot, TeSequenceStep *step)
{
	bool offered = p->offered_to == s && p->offered_slot == slot;

	*step = (TeSequenceStep){
		.kind = TE_STEP_APPLY,
		.sequence = s,
		.epoch = s->staged.epoch,
		.from = s->staged.next_seq,
		.to = s->staged.next_seq,
		.slot = offered ? 0 : slot,
		.offered = offered,
	};
	s->staged.next_seq++;
	s->halted = s->told = false;
	/* Whoever makes progress isn't stuck behind its newest message. */
	s->tail_since = p->now;
	s->tail_request_at = p->now + p->settings.resend_after;
	if (offered)
		p->offered_to = NULL;
	if (slot == 0)
		return;
	te_parked_delist(p, slot);
	if (te_parked_at(p, slot)->status == TE_PARKED_KEPT) {
		te_parked_at(p, slot)->status = TE_PARKED_TAKEN;
		te_parked_mark(p, slot);
	} else { /* comes again if the transaction fails */
		te_parked_unmark(p, slot);
		te_parked_set_free(p, slot);
	}
}

static void begin_epoch(TeSequence *s, uint64_t epoch, TeSequenceStep *step)
{
	*step = (TeSequenceStep){
		.kind = TE_STEP_EPOCH,
		.sequence = s,
		.epoch = s->staged.epoch,
		.from = s->staged.next_seq,
		.reason = TE_GAP_REASON_ABANDONED,
	};
	s->staged = (TeProducerState){epoch, 1};
}

/* The next step of one sequence; false when it has to wait. */
static bool step_sequence(TeParking *p, TeSequence *s, TeSequenceStep *step)
{
	TeProducerState *st = &s->staged;
	const TeParked *e = s->first ? te_parked_at(p, s->first) : NULL;
	bool may_skip, ends;

	if (p->offered_to == s && p->offered_slot == 0) {
		give_apply(p, s, 0, step);
		return true;
	}
	if (st->next_seq == 0 && (e || s->skip_epoch > 0 || s->skip_below > 0))
		*st = (TeProducerState){e ? e->epoch : s->skip_epoch, 1};
	may_skip = s->skip_epoch == st->epoch && s->skip_below > st->next_seq;
	ends = s->skip_epoch > st->epoch || (s->last && te_parked_at(p, s->last)->epoch > st->epoch);

	if (e && e->epoch == st->epoch) {
		if (e->seq == st->next_seq) {
			give_apply(p, s, s->first, step);
			return true;
		}
		if (!ends && !(may_skip && e->seq <= s->skip_below))
			return false;
		give_gap(s, e->seq - 1, ends ? TE_GAP_REASON_ABANDONED : s->skip_reason, step);
		return true;
	}
	if (ends && s->tail_epoch == st->epoch && s->tail_last >= st->next_seq) {
		give_gap(s, s->tail_last, TE_GAP_REASON_ABANDONED, step);
		return true;
	}
	if (ends) {
		uint64_t next = e ? e->epoch : s->skip_epoch;

		begin_epoch(s, s->tail_epoch > st->epoch && s->tail_epoch < next ? s->tail_epoch : next,
		            step);
		return true;
	}
	if (may_skip && st->next_seq > 0 && e == NULL) {
		give_gap(s, s->skip_below - 1, s->skip_reason, step);
		return true;
	}
	return false;
}

static bool step_alarm(TeSequence *s, TeSequenceStep *step)
{
	if (!s->halted || s->told)
		return false;
	s->told = true;
	*step = (TeSequenceStep){
		.kind = TE_STEP_HALT,
		.sequence = s,
		.epoch = s->staged.epoch,
		.from = s->staged.next_seq,
	};
	return true;
}

/* What is still on offer when nothing else happens waits from now on. */
static bool step_park(TeParking *p, TeSequenceStep *step)
{
	TeSequence *s = p->offered_to;

	if (s == NULL)
		return false;
	*step = (TeSequenceStep){
		.kind = TE_STEP_PARK,
		.sequence = s,
		.epoch = te_parked_at(p, p->offered_slot)->epoch,
		.from = te_parked_at(p, p->offered_slot)->seq,
		.to = te_parked_at(p, p->offered_slot)->seq,
		.slot = p->offered_slot,
		.offered = true,
	};
	p->offered_to = NULL;
	return true;
}

uint32_t te_parking_next(const TeParking *p)
{
	const TeSequence *s = p->ready;
	uint32_t slot = s ? te_sequence_next_slot(p, s) : 0;

	return s && p->offered_to == s && (p->offered_slot == 0 || p->offered_slot == slot) ? 0 : slot;
}

uint32_t te_parking_keep_offered(TeParking *p)
{
	uint32_t slot = p->offered_to ? p->offered_slot : 0;

	if (slot != 0)
		p->offered_to = NULL;
	return slot;
}

bool te_parking_step(TeParking *p, TeSequenceStep *step)
{
	TeSequence *s;

	for (;;) {
		while ((s = p->ready) != NULL) {
			te_sequence_touch(p, s);
			if (step_sequence(p, s, step) || step_alarm(s, step))
				return true;
			p->ready = s->ready_next;
			s->is_ready = false;
			s->skip_epoch = s->skip_below = 0;
			te_sequence_note_open(p, s);
		}
		s = find_victim(p, p->offered_to);
		if (s == NULL)
			break;
		skip_first_hole(p, s, TE_GAP_REASON_OVERFLOW);
	}
	return step_park(p, step);
}
