/*
 * route.c - the state machine of a lane's output.
 */
#include "route_private.h"

#include <string.h>

const TeRouteSettings te_route_settings_default = {
	.has_via = {true, true},
	.window = 1000,
	.release_ahead = 4000,
	.ack_limit = TE_USEC_PER_SEC,
	.suspect_limit = 3 * TE_USEC_PER_SEC,
	.kafka_limit = 5 * TE_USEC_PER_SEC,
	.failed_probes = 2,
	.dwell = 30 * TE_USEC_PER_SEC,
	.dwell_most = 600 * TE_USEC_PER_SEC,
	.probe_wait = 5 * TE_USEC_PER_SEC,
	.probe_wait_most = 60 * TE_USEC_PER_SEC,
	.probe_limit = 2 * TE_USEC_PER_SEC,
	.probe_successes = 5,
	.probe_span = 30 * TE_USEC_PER_SEC,
	.drain_limit = 30 * TE_USEC_PER_SEC,
};

#define LABEL(label) #label,
static const char *const states[] = {TE_ROUTE_STATES(LABEL)};
static const char *const causes[] = {TE_ROUTE_CAUSES(LABEL)};
static const char *const vias[] = {TE_VIAS(LABEL)};
#undef LABEL
const TeEnum te_route_state_enum = {"route_state", TE_ROUTE_STATE_COUNT, states};
const TeEnum te_route_cause_enum = {"route_cause", TE_ROUTE_CAUSE_COUNT, causes};
const TeEnum te_via_enum = {"via", TE_VIA_COUNT, vias};

const char *te_route_settings_check(const TeRouteSettings *s, const char **reason,
                                    const char **than)
{
	*than = NULL;
	*reason = "must be above 0";
	if (s->window == 0)
		return "window";
	if (s->release_ahead == 0)
		return "release_ahead";
	if (s->ack_limit <= 0)
		return "ack_limit";
	if (s->suspect_limit <= 0)
		return "suspect_limit";
	if (s->kafka_limit <= 0)
		return "kafka_limit";
	if (s->failed_probes <= 0)
		return "failed_probes";
	if (s->dwell <= 0)
		return "dwell";
	if (s->probe_wait <= 0)
		return "probe_wait";
	if (s->probe_limit <= 0)
		return "probe_limit";
	if (s->probe_successes <= 0)
		return "probe_successes";
	if (s->drain_limit <= 0)
		return "drain_limit";
	*reason = "must not be negative";
	if (s->probe_span < 0)
		return "probe_span";
	*reason = "must be at least";
	*than = "dwell";
	if (s->dwell_most < s->dwell)
		return "dwell_most";
	*than = "probe_wait";
	if (s->probe_wait_most < s->probe_wait)
		return "probe_wait_most";
	*reason = *than = NULL;
	return NULL;
}

/*----------------------------------------------------------------------
 * A transport
 *----------------------------------------------------------------------*/

uint64_t te_route_in_flight(const TeRoute *r, TeVia via)
{
	return in_flight(&r->peers[via]);
}

/*
 * When the oldest message under way was sent, to an eighth of the limit; INT64_MAX: there is
 * none.  Of a mark that is acknowledged itself only the interval that it begins is known.
 */
TeTime te_route_oldest_sent(const TeRoute *r, TeVia via)
{
	const TeRoutePeer *peer = &r->peers[via];

	if (peer->mark_count == 0)
		return INT64_MAX;
	return at_most(peer->marks[0].place, peer->acked)
	           ? peer->marks[0].at + te_route_limit_of(r, via) / 8
	           : peer->marks[0].at;
}

static void drop_marks(TeRoutePeer *peer)
{
	int done = 0;

	if (in_flight(peer) == 0) {
		peer->mark_count = 0;
		return;
	}
	while (done + 1 < peer->mark_count && at_most(peer->marks[done + 1].place, peer->acked))
		done++;
	peer->mark_count -= done;
	memmove(peer->marks, peer->marks + done, sizeof(peer->marks[0]) * (size_t)peer->mark_count);
}

bool te_route_is_late(const TeRoute *r, TeVia via, TeTime now)
{
	TeTime sent = te_route_oldest_sent(r, via);

	return sent != INT64_MAX && is_over(sent, te_route_limit_of(r, via), now);
}

bool te_route_is_well(const TeRoute *r, TeVia via)
{
	return r->peers[via].up && !r->peers[via].stalled;
}

/* librdkafka reconnects by itself, so it is given some time. */
bool te_route_kafka_is_dead(const TeRoute *r, TeTime now)
{
	const TeRoutePeer *kafka = &r->peers[TE_VIA_KAFKA];

	if (!kafka->up)
		return is_over(kafka->down_since, r->settings.kafka_limit, now);
	return kafka->stalled || te_route_is_late(r, TE_VIA_KAFKA, now);
}

/*----------------------------------------------------------------------
 * Changes of state
 *----------------------------------------------------------------------*/

static uint64_t next_random(TeRoute *r)
{
	uint64_t z = r->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The next probe, after the wait less or more a quarter, so that lanes don't probe together. */
void te_route_plan_probe(TeRoute *r, TeTime now)
{
	TeTime wait = r->probe_wait;

	r->probe_at = now + wait * 3 / 4 + (TeTime)(next_random(r) % (uint64_t)(wait / 2 + 1));
}

void te_route_enter(TeRoute *r, TeRouteState state, TeRouteCause cause, TeTime now)
{
	r->record.version++;
	r->record.state = state;
	r->record.cause = cause;
	r->since = now;
	r->probing = false;
	if (state == TE_ROUTE_HALF_OPEN) {
		r->probe_successes = 0;
		r->probe_at = now;
	}
}

/* Another transport sends from now on, unless it is the one that did before. */
static void switch_to(TeRoute *r, TeVia via, TeTime now)
{
	TeRoutePeer *kafka = &r->peers[TE_VIA_KAFKA], *nats = &r->peers[TE_VIA_NATS];

	if (via == TE_VIA_KAFKA) {
		/* What NATS hasn't acknowledged, but for what Kafka delivered earlier already. */
		kafka->acked = later(kafka->acked, nats->acked);
		kafka->sent = kafka->acked;
		kafka->mark_count = 0;
	} else
		r->record.cut = later(r->record.cut, kafka->furthest);
	if (r->record.via == via && r->record.route_epoch > 0)
		return;
	r->marker = (TeRouteMarker){
		.route_epoch = r->record.route_epoch + 1,
		.from_via = r->record.via,
		.to_via = via,
		.place = via == TE_VIA_KAFKA ? kafka->acked : kafka->furthest,
	};
	r->marker_due = r->record.route_epoch > 0 || via == TE_VIA_KAFKA;
	if (via == TE_VIA_KAFKA && r->switched_at != TE_ROUTE_NEVER) {
		/* A return to NATS that didn't last makes the next one later. */
		bool lasted = is_over(r->switched_at, 2 * r->record.dwell, now);
		TeTime doubled = 2 * r->record.dwell;

		r->record.dwell = lasted                             ? r->settings.dwell
		                  : doubled < r->settings.dwell_most ? doubled
		                                                     : r->settings.dwell_most;
	}
	r->record.route_epoch++;
	r->record.via = via;
	r->record.from = via == TE_VIA_KAFKA ? kafka->acked : nats->acked;
	r->switched_at = now;
	r->switches++;
}

void te_route_go_nats(TeRoute *r, TeRouteCause cause, TeTime now)
{
	switch_to(r, TE_VIA_NATS, now);
	te_route_enter(r, TE_ROUTE_NATS, cause, now);
}

void te_route_go_kafka(TeRoute *r, TeRouteCause cause, TeTime now)
{
	switch_to(r, TE_VIA_KAFKA, now);
	r->probe_wait = r->settings.probe_wait;
	r->probe_at = now;
	r->trouble_since = TE_ROUTE_NEVER;
	te_route_enter(r, TE_ROUTE_KAFKA, cause, now);
}

void te_route_go_suspect(TeRoute *r, TeRouteCause cause, TeTime now)
{
	r->peers[TE_VIA_NATS].stalled = true;
	if (r->trouble_since == TE_ROUTE_NEVER)
		r->trouble_since = now;
	te_route_enter(r, TE_ROUTE_SUSPECT, cause, now);
}

/* Back to Kafka from DRAIN_BACK: the next attempt comes later. */
void te_route_give_up_draining(TeRoute *r, TeRouteCause cause, TeTime now)
{
	TeTime doubled = 2 * r->record.dwell;

	r->record.dwell = doubled < r->settings.dwell_most ? doubled : r->settings.dwell_most;
	r->switched_at = now;
	r->peers[TE_VIA_NATS].stalled = true;
	te_route_plan_probe(r, now);
	te_route_enter(r, te_route_kafka_is_dead(r, now) ? TE_ROUTE_NONE : TE_ROUTE_KAFKA, cause, now);
}

void te_route_fail_probe(TeRoute *r, TeTime now)
{
	r->probing = false;
	r->probe_wait = 2 * r->probe_wait < r->settings.probe_wait_most ? 2 * r->probe_wait
	                                                                : r->settings.probe_wait_most;
	te_route_plan_probe(r, now);
	te_route_enter(r, TE_ROUTE_KAFKA, TE_ROUTE_CAUSE_PROBE_FAILED, now);
}

/*----------------------------------------------------------------------
 * What happens
 *----------------------------------------------------------------------*/

static TeTime within(TeTime value, TeTime least, TeTime most)
{
	return value < least ? least : value > most ? most : value;
}

void te_route_init(TeRoute *r, const TeRouteSettings *s, const TeRouteRecord *stored,
                   const TeRouteCursors *cursors, TePlace last, uint64_t seed, TeTime now)
{
	TeRouteState was = stored ? stored->state : TE_ROUTE_NATS;

	memset(r, 0, sizeof(*r));
	r->settings = *s;
	if (stored)
		r->record = *stored;
	else
		r->record.via = s->has_via[TE_VIA_NATS] ? TE_VIA_NATS : TE_VIA_KAFKA;
	if (r->record.route_epoch == 0)
		r->record.route_epoch = 1;
	r->record.dwell = within(r->record.dwell, s->dwell, s->dwell_most);
	r->stored_version = r->record.version;
	r->last = last;
	r->released = cursors->released;
	r->random = seed;
	r->probe_wait = s->probe_wait;
	r->probe_at = now;
	r->switched_at = stored ? now : TE_ROUTE_NEVER;
	r->trouble_since = TE_ROUTE_NEVER;
	r->first_success_at = r->probing_since = now;
	for (int via = 0; via < TE_VIA_COUNT; via++)
		r->peers[via] = (TeRoutePeer){
			.down_since = now,
			.acked = cursors->acked[via],
			.sent = cursors->acked[via],
			.furthest = cursors->released,
		};
	/* Unless Kafka was in use, it has nothing behind what it was handed when it last was. */
	if (r->record.via == TE_VIA_NATS)
		r->peers[TE_VIA_KAFKA].furthest = later(cursors->acked[TE_VIA_KAFKA], r->record.cut);
	if (was == TE_ROUTE_KAFKA || was == TE_ROUTE_HALF_OPEN || was == TE_ROUTE_DRAIN_BACK) {
		/* The segment on Kafka goes on; its marker may have been lost. */
		r->marker = (TeRouteMarker){
			.route_epoch = r->record.route_epoch,
			.from_via = TE_VIA_NATS,
			.to_via = TE_VIA_KAFKA,
			.place = r->record.from,
		};
		r->marker_due = true;
		te_route_enter(r, TE_ROUTE_KAFKA, TE_ROUTE_CAUSE_STARTED, now);
	} else if (s->has_via[TE_VIA_NATS])
		te_route_go_suspect(r, TE_ROUTE_CAUSE_STARTED, now);
	else
		te_route_enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_STARTED, now);
}

/* What was never doubled is that of the new settings; the rest stays, within their bounds. */
void te_route_configure(TeRoute *r, const TeRouteSettings *s, TeTime now)
{
	TeTime dwell = r->record.dwell == r->settings.dwell ? s->dwell : r->record.dwell;
	TeTime wait = r->probe_wait == r->settings.probe_wait ? s->probe_wait : r->probe_wait;

	r->settings = *s;
	r->record.dwell = within(dwell, s->dwell, s->dwell_most);
	r->probe_wait = within(wait, s->probe_wait, s->probe_wait_most);
	if (r->probe_at > now + r->probe_wait * 5 / 4)
		te_route_plan_probe(r, now);
}

void te_route_committed(TeRoute *r, TePlace last)
{
	r->last = later(r->last, last);
}

void te_route_up(TeRoute *r, TeVia via, TePlace has, TeTime now)
{
	TeRoutePeer *peer = &r->peers[via];

	peer->up = true;
	peer->stalled = false;
	/* Kafka's cursor also covers what went to NATS before the segment began. */
	peer->acked =
		via == TE_VIA_KAFKA ? later(has, r->record.via == via ? r->record.from : has) : has;
	peer->sent = peer->acked;
	peer->furthest = later(peer->furthest, has);
	peer->mark_count = 0;
	te_route_tick(r, now);
}

void te_route_down(TeRoute *r, TeVia via, TeTime now)
{
	if (!r->peers[via].up)
		return;
	r->peers[via].up = false;
	r->peers[via].down_since = now;
	if (via == TE_VIA_NATS && r->record.state == TE_ROUTE_HALF_OPEN)
		te_route_fail_probe(r, now);
	te_route_tick(r, now);
}

void te_route_acked(TeRoute *r, TeVia via, TePlace place, TeTime now)
{
	TeRoutePeer *peer = &r->peers[via];

	if (at_most(place, peer->acked) || !at_most(place, peer->furthest))
		return;
	peer->acked = place;
	peer->sent = later(peer->sent, place);
	drop_marks(peer);
	/* Acknowledgements that trickle in are no health. */
	if (peer->up && !te_route_is_late(r, via, now)) {
		peer->stalled = false;
		if (via == TE_VIA_NATS)
			r->trouble_since = r->record.state == TE_ROUTE_SUSPECT ? now : TE_ROUTE_NEVER;
	}
	te_route_tick(r, now);
}

void te_route_refused(TeRoute *r, TeVia via, TeTime now)
{
	/* From Kafka the way leads back by itself. */
	if (via != TE_VIA_NATS || !te_route_is_well(r, TE_VIA_KAFKA))
		return;
	if (r->record.state == TE_ROUTE_NATS)
		te_route_go_kafka(r, TE_ROUTE_CAUSE_REFUSED, now);
	else if (r->record.state == TE_ROUTE_DRAIN_BACK)
		te_route_give_up_draining(r, TE_ROUTE_CAUSE_REFUSED, now);
	te_route_tick(r, now);
}

void te_route_probed(TeRoute *r, bool success, TeTime now)
{
	r->probe_failures = success ? 0 : r->probe_failures + 1;
	if (r->record.state == TE_ROUTE_NATS && r->probe_failures >= r->settings.failed_probes) {
		r->probe_failures = 0;
		te_route_go_suspect(r, TE_ROUTE_CAUSE_PROBES_FAILED, now);
	}
	if (r->record.state != TE_ROUTE_HALF_OPEN || !r->probing)
		return;
	if (!success || !r->peers[TE_VIA_NATS].up) {
		te_route_fail_probe(r, now);
		return;
	}
	r->probing = false;
	r->probe_wait = r->settings.probe_wait;
	te_route_plan_probe(r, now);
	if (r->probe_successes++ == 0)
		r->first_success_at = now;
	if (r->probe_successes < r->settings.probe_successes ||
	    !is_over(r->first_success_at, r->settings.probe_span, now))
		return;
	r->peers[TE_VIA_NATS].stalled = false;
	/* What was ever handed over may still arrive, from an older connection. */
	r->record.cut = r->peers[TE_VIA_KAFKA].furthest;
	te_route_enter(r, TE_ROUTE_DRAIN_BACK, TE_ROUTE_CAUSE_PROBES_SUCCEEDED, now);
	te_route_tick(r, now);
}
