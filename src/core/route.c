/*
 * route.c - the state machine of a lane's output.
 */
#include "route.h"

#include <string.h>

#define NEVER INT64_MIN

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

const char *te_route_settings_check(const TeRouteSettings *s, const char **reason)
{
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
	*reason = "must be at least dwell";
	if (s->dwell_most < s->dwell)
		return "dwell_most";
	*reason = "must be at least probe_wait";
	if (s->probe_wait_most < s->probe_wait)
		return "probe_wait_most";
	*reason = NULL;
	return NULL;
}

static bool at_most(TePlace a, TePlace b)
{
	return te_place_compare(a, b) <= 0;
}

static TePlace later(TePlace a, TePlace b)
{
	return at_most(a, b) ? b : a;
}

static bool is_over(TeTime since, TeTime length, TeTime now)
{
	return now - since >= length;
}

/*----------------------------------------------------------------------
 * A transport
 *----------------------------------------------------------------------*/

/* Those of an epoch are 1, 2, ...; of the one before, all are acknowledged when another begins. */
static uint64_t in_flight(const TeRoutePeer *peer)
{
	if (at_most(peer->sent, peer->acked))
		return 0;
	return peer->sent.epoch == peer->acked.epoch ? peer->sent.seq - peer->acked.seq
	                                             : peer->sent.seq;
}

uint64_t te_route_in_flight(const TeRoute *r, TeVia via)
{
	return in_flight(&r->peers[via]);
}

static TeTime limit_of(const TeRoute *r, TeVia via)
{
	return via == TE_VIA_NATS ? r->settings.ack_limit : r->settings.kafka_limit;
}

/*
 * When the oldest message under way was sent, to an eighth of the limit; INT64_MAX: there is
 * none.  Of a mark that is acknowledged itself only the interval that it begins is known.
 */
static TeTime oldest_sent(const TeRoute *r, TeVia via)
{
	const TeRoutePeer *peer = &r->peers[via];

	if (peer->mark_count == 0)
		return INT64_MAX;
	return at_most(peer->marks[0].place, peer->acked) ? peer->marks[0].at + limit_of(r, via) / 8
	                                                  : peer->marks[0].at;
}

static void note_sent(TeRoute *r, TeVia via, TePlace place, TeTime now)
{
	TeRoutePeer *peer = &r->peers[via];

	peer->sent = place;
	peer->furthest = later(peer->furthest, place);
	/* When all marks are taken the first is older than the limit. */
	if (peer->mark_count == TE_ROUTE_MARKS)
		return;
	if (peer->mark_count > 0 &&
	    !is_over(peer->marks[peer->mark_count - 1].at, limit_of(r, via) / 8, now))
		return;
	peer->marks[peer->mark_count].place = place;
	peer->marks[peer->mark_count++].at = now;
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

static bool is_late(const TeRoute *r, TeVia via, TeTime now)
{
	TeTime sent = oldest_sent(r, via);

	return sent != INT64_MAX && is_over(sent, limit_of(r, via), now);
}

static bool nats_is_well(const TeRoute *r)
{
	return r->peers[TE_VIA_NATS].up && !r->peers[TE_VIA_NATS].stalled;
}

/* librdkafka reconnects by itself, so it is given some time. */
static bool kafka_is_dead(const TeRoute *r, TeTime now)
{
	const TeRoutePeer *kafka = &r->peers[TE_VIA_KAFKA];

	if (!kafka->up)
		return is_over(kafka->down_since, r->settings.kafka_limit, now);
	return kafka->stalled || is_late(r, TE_VIA_KAFKA, now);
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
static void plan_probe(TeRoute *r, TeTime now)
{
	TeTime wait = r->probe_wait;

	r->probe_at = now + wait * 3 / 4 + (TeTime)(next_random(r) % (uint64_t)(wait / 2 + 1));
}

static void enter(TeRoute *r, TeRouteState state, TeRouteCause cause, TeTime now)
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
	}
	if (r->record.via == via && r->record.route_epoch > 0)
		return;
	r->marker = (TeRouteMarker){
		.route_epoch = r->record.route_epoch + 1,
		.from_via = r->record.via,
		.to_via = via,
		.place = via == TE_VIA_KAFKA ? kafka->acked : kafka->furthest,
	};
	r->marker_due = r->record.route_epoch > 0 || via == TE_VIA_KAFKA;
	if (via == TE_VIA_KAFKA && r->switched_at != NEVER) {
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

static void go_nats(TeRoute *r, TeRouteCause cause, TeTime now)
{
	switch_to(r, TE_VIA_NATS, now);
	enter(r, TE_ROUTE_NATS, cause, now);
}

static void go_kafka(TeRoute *r, TeRouteCause cause, TeTime now)
{
	switch_to(r, TE_VIA_KAFKA, now);
	r->probe_wait = r->settings.probe_wait;
	r->probe_at = now;
	r->trouble_since = NEVER;
	enter(r, TE_ROUTE_KAFKA, cause, now);
}

static void go_suspect(TeRoute *r, TeRouteCause cause, TeTime now)
{
	r->peers[TE_VIA_NATS].stalled = true;
	if (r->trouble_since == NEVER)
		r->trouble_since = now;
	enter(r, TE_ROUTE_SUSPECT, cause, now);
}

/* Back to Kafka from DRAIN_BACK: the next attempt comes later. */
static void give_up_draining(TeRoute *r, TeRouteCause cause, TeTime now)
{
	TeTime doubled = 2 * r->record.dwell;

	r->record.dwell = doubled < r->settings.dwell_most ? doubled : r->settings.dwell_most;
	r->switched_at = now;
	r->peers[TE_VIA_NATS].stalled = true;
	plan_probe(r, now);
	enter(r, kafka_is_dead(r, now) ? TE_ROUTE_NONE : TE_ROUTE_KAFKA, cause, now);
}

static void fail_probe(TeRoute *r, TeTime now)
{
	r->probing = false;
	r->probe_wait = 2 * r->probe_wait < r->settings.probe_wait_most ? 2 * r->probe_wait
	                                                                : r->settings.probe_wait_most;
	plan_probe(r, now);
	enter(r, TE_ROUTE_KAFKA, TE_ROUTE_CAUSE_PROBE_FAILED, now);
}

/*----------------------------------------------------------------------
 * Time
 *----------------------------------------------------------------------*/

static void not_after(TeTime *since, TeTime now)
{
	if (*since > now)
		*since = now;
}

/* A clock that ran back makes waiting start anew. */
static void adapt_to_clock(TeRoute *r, TeTime now)
{
	TeTime farthest = now + r->settings.probe_wait_most * 2;

	not_after(&r->since, now);
	not_after(&r->switched_at, now);
	not_after(&r->trouble_since, now);
	not_after(&r->first_success_at, now);
	not_after(&r->probing_since, now);
	if (r->probe_at > farthest)
		r->probe_at = farthest;
	for (int via = 0; via < TE_VIA_COUNT; via++) {
		not_after(&r->peers[via].down_since, now);
		for (int i = 0; i < r->peers[via].mark_count; i++)
			not_after(&r->peers[via].marks[i].at, now);
	}
}

static void tick_nats(TeRoute *r, TeTime now)
{
	if (!r->peers[TE_VIA_NATS].up)
		go_suspect(r, TE_ROUTE_CAUSE_DISCONNECTED, now);
	else if (is_late(r, TE_VIA_NATS, now))
		go_suspect(r, TE_ROUTE_CAUSE_NO_ACK, now);
	else if (is_over(r->since, 2 * r->settings.ack_limit, now))
		r->trouble_since = NEVER;
}

static void tick_suspect(TeRoute *r, TeTime now)
{
	if (is_over(r->trouble_since, r->settings.suspect_limit, now) &&
	    (r->settings.has_via[TE_VIA_KAFKA] || !nats_is_well(r))) {
		if (r->peers[TE_VIA_KAFKA].up)
			go_kafka(r, TE_ROUTE_CAUSE_SUSPECT_TOO_LONG, now);
		else
			enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_SUSPECT_TOO_LONG, now);
	} else if (nats_is_well(r))
		go_nats(r, TE_ROUTE_CAUSE_ACKS_RESUMED, now);
}

static void tick_kafka(TeRoute *r, TeTime now)
{
	if (kafka_is_dead(r, now)) {
		r->peers[TE_VIA_KAFKA].stalled = true;
		enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_KAFKA_LOST, now);
	} else if (r->record.state == TE_ROUTE_KAFKA && r->settings.has_via[TE_VIA_NATS] &&
	           is_over(r->switched_at, r->record.dwell, now) && now >= r->probe_at) {
		if (r->peers[TE_VIA_NATS].up)
			enter(r, TE_ROUTE_HALF_OPEN, TE_ROUTE_CAUSE_DWELL_OVER, now);
		else
			plan_probe(r, now);
	}
	if (r->record.state == TE_ROUTE_HALF_OPEN && r->probing &&
	    is_over(r->probing_since, r->settings.probe_limit, now))
		fail_probe(r, now);
}

static void tick_drain_back(TeRoute *r, TeTime now)
{
	TeRoutePeer *nats = &r->peers[TE_VIA_NATS];

	if (at_most(r->record.cut, nats->acked))
		go_nats(r, TE_ROUTE_CAUSE_DRAINED, now);
	else if (!nats_is_well(r) || is_late(r, TE_VIA_NATS, now))
		give_up_draining(r, TE_ROUTE_CAUSE_DRAIN_FAILED, now);
	else if (is_over(r->since, r->settings.drain_limit, now))
		give_up_draining(r, TE_ROUTE_CAUSE_DRAIN_TOO_LONG, now);
}

static void tick_none(TeRoute *r, TeTime now)
{
	if (nats_is_well(r))
		go_nats(r, TE_ROUTE_CAUSE_FIRST_UP, now);
	else if (r->peers[TE_VIA_KAFKA].up && !r->peers[TE_VIA_KAFKA].stalled)
		go_kafka(r, TE_ROUTE_CAUSE_FIRST_UP, now);
}

void te_route_tick(TeRoute *r, TeTime now)
{
	adapt_to_clock(r, now);
	switch (r->record.state) {
	case TE_ROUTE_NATS:
		tick_nats(r, now);
		break;
	case TE_ROUTE_SUSPECT:
		tick_suspect(r, now);
		break;
	case TE_ROUTE_KAFKA:
	case TE_ROUTE_HALF_OPEN:
		tick_kafka(r, now);
		break;
	case TE_ROUTE_DRAIN_BACK:
		tick_drain_back(r, now);
		break;
	default:
		tick_none(r, now);
	}
}

static TeTime earlier(TeTime a, TeTime b)
{
	return a < b ? a : b;
}

/* When the oldest message under way is due. */
static TeTime ack_deadline(const TeRoute *r, TeVia via)
{
	TeTime sent = oldest_sent(r, via);

	return sent == INT64_MAX ? sent : sent + limit_of(r, via);
}

TeTime te_route_deadline(const TeRoute *r)
{
	const TeRoutePeer *kafka = &r->peers[TE_VIA_KAFKA];
	TeTime due = INT64_MAX;

	switch (r->record.state) {
	case TE_ROUTE_NATS:
		return ack_deadline(r, TE_VIA_NATS);
	case TE_ROUTE_SUSPECT:
		return r->trouble_since + r->settings.suspect_limit;
	case TE_ROUTE_DRAIN_BACK:
		due = earlier(ack_deadline(r, TE_VIA_NATS), ack_deadline(r, TE_VIA_KAFKA));
		return earlier(due, r->since + r->settings.drain_limit);
	case TE_ROUTE_NONE:
		return INT64_MAX;
	default:
		break;
	}
	due = kafka->up ? ack_deadline(r, TE_VIA_KAFKA) : kafka->down_since + r->settings.kafka_limit;
	if (r->record.state == TE_ROUTE_HALF_OPEN)
		return earlier(due, r->probing ? r->probing_since + r->settings.probe_limit : r->probe_at);
	if (!r->settings.has_via[TE_VIA_NATS])
		return due;
	if (r->probe_at > r->switched_at + r->record.dwell)
		return earlier(due, r->probe_at);
	return earlier(due, r->switched_at + r->record.dwell);
}

/*----------------------------------------------------------------------
 * What happens
 *----------------------------------------------------------------------*/

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
	if (r->record.dwell < s->dwell)
		r->record.dwell = s->dwell;
	r->stored_version = r->record.version;
	r->last = last;
	r->released = cursors->released;
	r->random = seed;
	r->probe_wait = s->probe_wait;
	r->probe_at = now;
	r->switched_at = stored ? now : NEVER;
	r->trouble_since = NEVER;
	r->first_success_at = r->probing_since = now;
	for (int via = 0; via < TE_VIA_COUNT; via++)
		r->peers[via] = (TeRoutePeer){
			.down_since = now,
			.acked = cursors->acked[via],
			.sent = cursors->acked[via],
			.furthest = cursors->released,
		};
	/* Unless Kafka was in use, it has nothing that is behind its cursor. */
	if (r->record.via == TE_VIA_NATS)
		r->peers[TE_VIA_KAFKA].furthest = cursors->acked[TE_VIA_KAFKA];
	if (was == TE_ROUTE_KAFKA || was == TE_ROUTE_HALF_OPEN || was == TE_ROUTE_DRAIN_BACK) {
		/* The segment on Kafka goes on; its marker may have been lost. */
		r->marker = (TeRouteMarker){
			.route_epoch = r->record.route_epoch,
			.from_via = TE_VIA_NATS,
			.to_via = TE_VIA_KAFKA,
			.place = r->record.from,
		};
		r->marker_due = true;
		enter(r, TE_ROUTE_KAFKA, TE_ROUTE_CAUSE_STARTED, now);
	} else if (s->has_via[TE_VIA_NATS])
		go_suspect(r, TE_ROUTE_CAUSE_STARTED, now);
	else
		enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_STARTED, now);
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
		fail_probe(r, now);
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
	if (peer->up && !is_late(r, via, now)) {
		peer->stalled = false;
		if (via == TE_VIA_NATS)
			r->trouble_since = r->record.state == TE_ROUTE_SUSPECT ? now : NEVER;
	}
	te_route_tick(r, now);
}

void te_route_refused(TeRoute *r, TeVia via, TeTime now)
{
	r->peers[via].stalled = true;
	if (via == TE_VIA_NATS && r->record.state == TE_ROUTE_NATS)
		go_suspect(r, TE_ROUTE_CAUSE_REFUSED, now);
	te_route_tick(r, now);
}

void te_route_probed(TeRoute *r, bool success, TeTime now)
{
	r->probe_failures = success ? 0 : r->probe_failures + 1;
	if (r->record.state == TE_ROUTE_NATS && r->probe_failures >= r->settings.failed_probes) {
		r->probe_failures = 0;
		go_suspect(r, TE_ROUTE_CAUSE_PROBES_FAILED, now);
	}
	if (r->record.state != TE_ROUTE_HALF_OPEN || !r->probing)
		return;
	if (!success || !r->peers[TE_VIA_NATS].up) {
		fail_probe(r, now);
		return;
	}
	r->probing = false;
	r->probe_wait = r->settings.probe_wait;
	plan_probe(r, now);
	if (r->probe_successes++ == 0)
		r->first_success_at = now;
	if (r->probe_successes < r->settings.probe_successes ||
	    !is_over(r->first_success_at, r->settings.probe_span, now))
		return;
	r->peers[TE_VIA_NATS].stalled = false;
	/* What was ever handed over may still arrive, from an older connection. */
	r->record.cut = r->peers[TE_VIA_KAFKA].furthest;
	enter(r, TE_ROUTE_DRAIN_BACK, TE_ROUTE_CAUSE_PROBES_SUCCEEDED, now);
	te_route_tick(r, now);
}

/*----------------------------------------------------------------------
 * What to do
 *----------------------------------------------------------------------*/

/* The transport that messages go to in this state, if any does. */
static bool sends_to(const TeRoute *r, TeTime now, TeVia *via)
{
	switch (r->record.state) {
	case TE_ROUTE_NATS:
		*via = TE_VIA_NATS;
		return nats_is_well(r);
	case TE_ROUTE_KAFKA:
	case TE_ROUTE_HALF_OPEN:
		*via = TE_VIA_KAFKA;
		return r->peers[TE_VIA_KAFKA].up && !r->peers[TE_VIA_KAFKA].stalled;
	case TE_ROUTE_DRAIN_BACK:
		/* The segment ends when Kafka has said what became of it. */
		*via = TE_VIA_NATS;
		return nats_is_well(r) &&
		       (in_flight(&r->peers[TE_VIA_KAFKA]) == 0 || kafka_is_dead(r, now));
	default:
		return false;
	}
}

static void order_messages(const TeRoute *r, TeVia via, TeRouteOrder *order)
{
	const TeRoutePeer *peer = &r->peers[via], *kafka = &r->peers[TE_VIA_KAFKA];
	uint64_t under_way = in_flight(peer);
	TePlace end = r->record.state == TE_ROUTE_DRAIN_BACK ? r->record.cut : r->last;

	if (at_most(end, peer->sent) || under_way >= r->settings.window)
		return;
	if (at_most(r->released, peer->sent)) {
		order->kind = TE_ORDER_RELEASE;
		order->after = r->released;
		order->through = r->last;
		order->room = r->settings.release_ahead;
		return;
	}
	order->kind = TE_ORDER_SEND;
	order->after = peer->sent;
	order->through = at_most(end, r->released) ? end : r->released;
	order->room = r->settings.window - (uint32_t)under_way;
	order->alone = under_way > 0;
	if (via == TE_VIA_NATS && te_place_compare(peer->sent, kafka->furthest) < 0) {
		order->backfill = true;
		if (at_most(kafka->furthest, order->through))
			order->through = kafka->furthest;
	}
}

void te_route_next(const TeRoute *r, TeTime now, TeRouteOrder *order)
{
	TeVia via;

	*order = (TeRouteOrder){.kind = TE_ORDER_NOTHING, .route_epoch = r->record.route_epoch};
	for (int i = 0; i < TE_VIA_COUNT; i++)
		if (r->peers[i].up && r->peers[i].stalled) {
			order->kind = TE_ORDER_RECONNECT;
			order->via = (TeVia)i;
			return;
		}
	if (r->stored_version < r->record.version) {
		order->kind = TE_ORDER_STORE;
		return;
	}
	if (r->marker_due && r->peers[TE_VIA_KAFKA].up) {
		order->kind = TE_ORDER_MARK;
		order->via = TE_VIA_KAFKA;
		order->marker = r->marker;
		return;
	}
	if (r->record.state == TE_ROUTE_HALF_OPEN && !r->probing && now >= r->probe_at &&
	    r->peers[TE_VIA_NATS].up) {
		order->kind = TE_ORDER_PROBE;
		order->via = TE_VIA_NATS;
		return;
	}
	if (sends_to(r, now, &via)) {
		order->via = via;
		order_messages(r, via, order);
	}
}

void te_route_stored(TeRoute *r, uint64_t version)
{
	if (version > r->stored_version)
		r->stored_version = version;
}

void te_route_released(TeRoute *r, TePlace place)
{
	r->released = later(r->released, place);
}

void te_route_sent(TeRoute *r, TeVia via, TePlace place, TeTime now)
{
	note_sent(r, via, place, now);
}

void te_route_nothing_until(TeRoute *r, TeVia via, TePlace place)
{
	TeRoutePeer *peer = &r->peers[via];

	if (in_flight(peer) == 0)
		peer->sent = peer->acked = later(peer->sent, place);
	peer->furthest = later(peer->furthest, place);
}

void te_route_marked(TeRoute *r)
{
	r->marker_due = false;
}

void te_route_probing(TeRoute *r, TeTime now)
{
	r->probing = true;
	r->probing_since = now;
}

TePlace te_route_release_with(const TeRoute *r, TePlace last)
{
	TeVia via = r->record.via;
	const TeRoutePeer *peer = &r->peers[via];
	bool sending = (r->record.state == TE_ROUTE_NATS && nats_is_well(r)) ||
	               ((r->record.state == TE_ROUTE_KAFKA || r->record.state == TE_ROUTE_HALF_OPEN) &&
	                peer->up && !peer->stalled);
	bool close = last.epoch == peer->acked.epoch &&
	             last.seq <= peer->acked.seq + r->settings.window && at_most(r->last, r->released);

	return sending && close ? last : r->released;
}

TeRouteCursors te_route_cursors(const TeRoute *r)
{
	return (TeRouteCursors){
		.acked = {r->peers[TE_VIA_NATS].acked, r->peers[TE_VIA_KAFKA].acked},
		.released = r->released,
	};
}
