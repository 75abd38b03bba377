/*
 * parking.c - the messages that wait: slots, lists, positions, transactions.
 */
#include "sequence_private.h"

#include <string.h>

/* Waiting, one more on offer, and as many again that the transaction at hand has taken. */
uint32_t te_parking_capacity(const TeSequenceSettings *s)
{
	return 2 * s->most_parked + 2;
}

void te_parking_init(TeParking *p, const TeSequenceSettings *s, TeParked *entries)
{
	memset(p, 0, sizeof(*p));
	p->settings = *s;
	p->entries = entries;
	p->capacity = te_parking_capacity(s);
	p->deadline = INT64_MAX;
	p->request_free_at = p->now = INT64_MIN;
	for (uint32_t slot = p->capacity; slot > 0; slot--) {
		entries[slot - 1] = (TeParked){.status = TE_PARKED_FREE, .next = p->free};
		p->free = slot;
	}
}

void te_parking_configure(TeParking *p, const TeSequenceSettings *s)
{
	TeSequenceSettings *mine = &p->settings;

	mine->resend_after = s->resend_after;
	mine->resend_again = s->resend_again;
	mine->resend_tries = s->resend_tries;
	mine->requests_per_second = s->requests_per_second;
	mine->give_up_after = s->give_up_after;
}

static bool before(uint64_t epoch, uint64_t seq, const TeParked *e)
{
	return epoch != e->epoch ? epoch < e->epoch : seq < e->seq;
}

/* The message that has this number, or 0; *behind: the one that a new one would follow. */
uint32_t te_parked_find(const TeParking *p, const TeSequence *s, uint64_t epoch, uint64_t seq,
                        uint32_t *behind)
{
	uint32_t slot = s->last;

	while (slot != 0 && before(epoch, seq, te_parked_at(p, slot)))
		slot = te_parked_at(p, slot)->prev;
	*behind = slot;
	return slot != 0 && te_parked_at(p, slot)->epoch == epoch && te_parked_at(p, slot)->seq == seq
	           ? slot
	           : 0;
}

void te_parked_hold_position(TeParking *p, int source, uint64_t position)
{
	if (!p->hold[source].any || position < p->hold[source].lowest)
		p->hold[source].lowest = position;
	p->hold[source].any = true;
}

static void loosen_positions(TeParking *p, const TeParked *e)
{
	for (int i = 0; i < e->copy_count; i++)
		if (e->copies[i].position <= p->hold[e->copies[i].source].lowest)
			p->hold[e->copies[i].source].stale = true;
}

/* Put a message into its sequence's list, behind that slot. */
void te_parked_enlist(TeParking *p, uint32_t slot, uint32_t behind)
{
	TeParked *e = te_parked_at(p, slot);
	TeSequence *s = e->sequence;

	e->prev = behind;
	e->next = behind ? te_parked_at(p, behind)->next : s->first;
	*(e->prev ? &te_parked_at(p, e->prev)->next : &s->first) = slot;
	*(e->next ? &te_parked_at(p, e->next)->prev : &s->last) = slot;
	s->parked++;
	s->parked_bytes += e->bytes;
	p->parked++;
	p->parked_bytes += e->bytes;
	for (int i = 0; i < e->copy_count; i++)
		te_parked_hold_position(p, e->copies[i].source, e->copies[i].position);
}

void te_parked_delist(TeParking *p, uint32_t slot)
{
	TeParked *e = te_parked_at(p, slot);
	TeSequence *s = e->sequence;

	*(e->prev ? &te_parked_at(p, e->prev)->next : &s->first) = e->next;
	*(e->next ? &te_parked_at(p, e->next)->prev : &s->last) = e->prev;
	s->parked--;
	s->parked_bytes -= e->bytes;
	p->parked--;
	p->parked_bytes -= e->bytes;
	loosen_positions(p, e);
}

/* Among those that the transaction at hand changes. */
void te_parked_mark(TeParking *p, uint32_t slot)
{
	te_parked_at(p, slot)->was_prev = 0;
	te_parked_at(p, slot)->was_next = p->changed;
	if (p->changed)
		te_parked_at(p, p->changed)->was_prev = slot;
	p->changed = slot;
}

void te_parked_unmark(TeParking *p, uint32_t slot)
{
	TeParked *e = te_parked_at(p, slot);

	*(e->was_prev ? &te_parked_at(p, e->was_prev)->was_next : &p->changed) = e->was_next;
	if (e->was_next)
		te_parked_at(p, e->was_next)->was_prev = e->was_prev;
}

void te_parked_set_free(TeParking *p, uint32_t slot)
{
	te_parked_at(p, slot)->status = TE_PARKED_FREE;
	te_parked_at(p, slot)->copy_count = 0;
	te_parked_at(p, slot)->next = p->free;
	p->free = slot;
}

void te_sequence_touch(TeParking *p, TeSequence *s)
{
	if (s->is_touched)
		return;
	s->is_touched = true;
	s->touched_next = p->touched;
	p->touched = s;
}

void te_sequence_make_ready(TeParking *p, TeSequence *s)
{
	if (s->is_ready)
		return;
	s->is_ready = true;
	s->ready_next = p->ready;
	p->ready = s;
}

/* Is a number missing that only a heartbeat has told of? */
bool te_sequence_has_tail_hole(const TeParking *p, const TeSequence *s)
{
	const TeProducerState *st = &s->staged;

	if (s->tail_epoch != st->epoch || st->next_seq == 0)
		return s->tail_last > 0 && (st->next_seq == 0 || s->tail_epoch > st->epoch);
	return s->tail_last >= st->next_seq &&
	       (s->last == 0 || s->tail_last > te_parked_at(p, s->last)->seq);
}

/* The slot of the sequence's next number, or 0. */
uint32_t te_sequence_next_slot(const TeParking *p, const TeSequence *s)
{
	const TeParked *e = s->first ? te_parked_at(p, s->first) : NULL;

	return e && e->epoch == s->staged.epoch && e->seq == s->staged.next_seq ? s->first : 0;
}

/* Keep the list of sequences that wait for something. */
void te_sequence_note_open(TeParking *p, TeSequence *s)
{
	bool open = s->first != 0 || te_sequence_has_tail_hole(p, s);

	if (open == s->is_open)
		return;
	s->is_open = open;
	if (open) {
		s->open_prev = NULL;
		s->open_next = p->open;
		if (p->open)
			p->open->open_prev = s;
		p->open = s;
		return;
	}
	*(s->open_prev ? &s->open_prev->open_next : &p->open) = s->open_next;
	if (s->open_next)
		s->open_next->open_prev = s->open_prev;
	s->halted = s->told = false;
}

void te_parking_due_by(TeParking *p, TeTime when)
{
	if (when < p->deadline)
		p->deadline = when;
}

/* Everything that is missing before this place may be given up. */
void te_sequence_skip_to(TeParking *p, TeSequence *s, uint64_t epoch, uint64_t below,
                         TeGapReason reason)
{
	s->skip_epoch = epoch;
	s->skip_below = below;
	s->skip_reason = reason;
	te_sequence_touch(p, s);
	te_sequence_make_ready(p, s);
}

/*----------------------------------------------------------------------
 * Positions
 *----------------------------------------------------------------------*/

static void find_hold(TeParking *p, int source)
{
	p->hold[source].any = p->hold[source].stale = false;
	for (TeSequence *s = p->open; s; s = s->open_next)
		for (uint32_t slot = s->first; slot; slot = te_parked_at(p, slot)->next)
			for (int i = 0; i < te_parked_at(p, slot)->copy_count; i++)
				if (te_parked_at(p, slot)->copies[i].source == source)
					te_parked_hold_position(p, source, te_parked_at(p, slot)->copies[i].position);
}

bool te_parking_hold(TeParking *p, int source, uint64_t *position)
{
	if (p->hold[source].stale)
		find_hold(p, source);
	*position = p->hold[source].lowest;
	return p->hold[source].any;
}

void te_parking_forget_source(TeParking *p, int source)
{
	for (uint32_t slot = 1; slot <= p->capacity; slot++) {
		TeParked *e = te_parked_at(p, slot);
		int kept = 0;

		for (int i = 0; i < e->copy_count; i++)
			if (e->copies[i].source != source)
				e->copies[kept++] = e->copies[i];
		e->copy_count = kept;
	}
	p->hold[source].any = p->hold[source].stale = false;
}

TeReading te_reading_after(TeParking *p, int source, TeReading before, uint64_t done)
{
	uint64_t held;
	TeReading after = {.resume = done, .done = done > before.done ? done : before.done};

	if (te_parking_hold(p, source, &held) && held <= after.resume)
		after.resume = held - 1;
	if (after.resume < before.resume)
		after.resume = before.resume;
	return after;
}

/*----------------------------------------------------------------------
 * Transactions
 *----------------------------------------------------------------------*/

/* A sequence whose next number waits has a step to give, whichever transaction takes it. */
static void note_ready(TeParking *p, TeSequence *s)
{
	if (te_sequence_next_slot(p, s) != 0)
		te_sequence_make_ready(p, s);
}

static void end_transaction(TeParking *p)
{
	TeSequence *ready = p->ready;

	p->offered_to = NULL;
	p->ready = NULL;
	while (ready) {
		TeSequence *s = ready;

		ready = s->ready_next;
		s->is_ready = false;
		note_ready(p, s);
	}
	while (p->touched) {
		TeSequence *s = p->touched;

		p->touched = s->touched_next;
		s->is_touched = false;
		s->skip_epoch = s->skip_below = 0;
		te_sequence_note_open(p, s);
		note_ready(p, s);
	}
}

void te_parking_apply(TeParking *p)
{
	for (uint32_t slot; (slot = p->changed) != 0;) {
		te_parked_unmark(p, slot);
		if (te_parked_at(p, slot)->status == TE_PARKED_TAKEN)
			te_parked_set_free(p, slot);
		else
			te_parked_at(p, slot)->status = TE_PARKED_KEPT;
	}
	for (TeSequence *s = p->touched; s; s = s->touched_next)
		s->committed = s->staged;
	end_transaction(p);
}

void te_parking_discard(TeParking *p)
{
	for (uint32_t slot; (slot = p->changed) != 0;) {
		TeParked *e = te_parked_at(p, slot);
		uint32_t behind;

		te_parked_unmark(p, slot);
		if (e->status == TE_PARKED_TAKEN) {
			(void)te_parked_find(p, e->sequence, e->epoch, e->seq, &behind);
			te_parked_enlist(p, slot, behind);
			e->status = TE_PARKED_KEPT;
		} else {
			te_parked_delist(p, slot);
			te_parked_set_free(p, slot);
		}
	}
	for (TeSequence *s = p->touched; s; s = s->touched_next) {
		s->staged = s->committed;
		s->halted = s->told = false;
		te_parking_due_by(p, p->now);
	}
	end_transaction(p);
}

bool te_parking_in_use(const TeParking *p, uint32_t slot)
{
	return te_parked_at(p, slot)->status != TE_PARKED_FREE;
}
