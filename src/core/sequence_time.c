/*
 * sequence_time.c - what time brings about: requests for what is missing, and giving up.
 */
#include "sequence_private.h"

/* A clock that ran back makes waiting start anew. */
static void not_after(TeTime *since, TeTime now)
{
	if (*since > now)
		*since = now;
}

/* When a hole that was seen then, before a message that is worth something until then, is due. */
static TeTime due_at(const TeParking *p, TeTime since, TeTime expires_at)
{
	TeTime due = since + p->settings.give_up_after;

	if (expires_at != TE_NO_TIME && expires_at < due)
		due = expires_at;
	if (due < since + p->settings.resend_after)
		due = since + p->settings.resend_after;
	return due;
}

typedef struct Requests
{
	TeResendRequest *list;
	int count, most;
} Requests;

/* A second's worth of requests may go out at once, after that they are spread evenly. */
static bool may_request(TeParking *p, const Requests *r, TeTime now)
{
	TeTime cost = TE_USEC_PER_SEC / p->settings.requests_per_second;

	if (r->count >= r->most)
		return false;
	if (p->request_free_at < now)
		p->request_free_at = now;
	if (p->request_free_at - now > TE_USEC_PER_SEC)
		p->request_free_at = now + TE_USEC_PER_SEC; /* the clock ran back */
	if (p->request_free_at + cost - now > TE_USEC_PER_SEC)
		return false;
	p->request_free_at += cost;
	return true;
}

/* Ask for a hole when it is time to, and note when to look at it again. */
static void pursue(TeParking *p, const TeResendRequest *hole, TeTime *request_at, int *tries,
                   Requests *r, TeTime now)
{
	TeTime again = now + p->settings.resend_after;

	if (*request_at > now + (p->settings.resend_again << p->settings.resend_tries))
		*request_at = again; /* the clock ran back */
	if (*tries >= p->settings.resend_tries)
		return;
	if (*request_at <= now && may_request(p, r, now)) {
		r->list[r->count++] = *hole;
		p->requests++;
		*request_at = now + (p->settings.resend_again << *tries);
		(*tries)++;
	}
	if (*tries < p->settings.resend_tries)
		te_parking_due_by(p, *request_at > now ? *request_at : again);
}

/* The holes before parked messages; returns the number below which all are due, or 0. */
static uint64_t tick_holes(TeParking *p, TeSequence *s, TeTime now, Requests *r)
{
	uint64_t expected = s->staged.next_seq, below = 0;
	bool all_due = true;

	for (uint32_t slot = s->first; slot; slot = te_parked_at(p, slot)->next) {
		TeParked *e = te_parked_at(p, slot);
		TeResendRequest hole = {s, e->epoch, expected, e->seq - 1};
		TeTime due;

		not_after(&e->since, now);
		due = due_at(p, e->since, e->expires_at);
		if (e->seq > expected) {
			if (all_due && due <= now)
				below = e->seq;
			else
				all_due = false;
			if (due > now)
				te_parking_due_by(p, due);
			if (below != e->seq || s->halts)
				pursue(p, &hole, &e->request_at, &e->tries, r, now);
		}
		expected = e->seq + 1;
	}
	return below;
}

/* The hole behind the newest message; true: it is due. */
static bool tick_tail(TeParking *p, TeSequence *s, TeTime now, bool caught_up, Requests *r)
{
	uint64_t from = 1;
	TeTime due;

	if (!caught_up) {
		s->tail_since = now;
		s->tail_request_at = now + p->settings.resend_after;
	}
	not_after(&s->tail_since, now);
	if (s->tail_epoch == s->staged.epoch && s->staged.next_seq > 0)
		from = s->last ? te_parked_at(p, s->last)->seq + 1 : s->staged.next_seq;
	due = due_at(p, s->tail_since, TE_NO_TIME);
	if (due <= now)
		return true;
	te_parking_due_by(p, due);
	pursue(p, &(TeResendRequest){s, s->tail_epoch, from, s->tail_last}, &s->tail_request_at,
	       &s->tail_tries, r, now);
	return false;
}

static void tick_sequence(TeParking *p, TeSequence *s, TeTime now, bool caught_up, Requests *r)
{
	uint64_t below = tick_holes(p, s, now, r);
	bool tail_due = te_sequence_has_tail_hole(p, s) && tick_tail(p, s, now, caught_up, r);

	/* The hole behind the last message is the last to go. */
	if (tail_due && s->first != 0 && below != te_parked_at(p, s->last)->seq) {
		tail_due = false;
		te_parking_due_by(p, now + p->settings.resend_after);
	}
	if (!below && !tail_due)
		return;
	if (s->halts) {
		s->halted = true;
		if (!s->told)
			te_sequence_make_ready(p, s);
	} else if (tail_due)
		te_sequence_skip_to(p, s, s->tail_epoch, s->tail_last + 1, TE_GAP_REASON_MISSING);
	else
		te_sequence_skip_to(p, s, s->staged.epoch, below, TE_GAP_REASON_MISSING);
}

int te_parking_tick(TeParking *p, TeTime now, bool caught_up, TeResendRequest *requests, int most)
{
	Requests r = {.list = requests, .most = most};

	p->now = now;
	p->deadline = INT64_MAX;
	for (TeSequence *s = p->open; s; s = s->open_next)
		tick_sequence(p, s, now, caught_up, &r);
	return r.count;
}

TeTime te_parking_deadline(const TeParking *p)
{
	return p->open ? p->deadline : INT64_MAX;
}
