/*
 * route_time.c - what time brings about on the output route, and when.
 */
#include "route_private.h"

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
		te_route_go_suspect(r, TE_ROUTE_CAUSE_DISCONNECTED, now);
	else if (te_route_is_late(r, TE_VIA_NATS, now))
		te_route_go_suspect(r, TE_ROUTE_CAUSE_NO_ACK, now);
	else if (is_over(r->since, 2 * r->settings.ack_limit, now))
		r->trouble_since = TE_ROUTE_NEVER;
}

static void tick_suspect(TeRoute *r, TeTime now)
{
	if (is_over(r->trouble_since, r->settings.suspect_limit, now) &&
	    (r->settings.has_via[TE_VIA_KAFKA] || !te_route_is_well(r, TE_VIA_NATS))) {
		if (r->peers[TE_VIA_KAFKA].up)
			te_route_go_kafka(r, TE_ROUTE_CAUSE_SUSPECT_TOO_LONG, now);
		else
			te_route_enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_SUSPECT_TOO_LONG, now);
	} else if (te_route_is_well(r, TE_VIA_NATS))
		te_route_go_nats(r, TE_ROUTE_CAUSE_ACKS_RESUMED, now);
}

static void tick_kafka(TeRoute *r, TeTime now)
{
	if (te_route_kafka_is_dead(r, now)) {
		r->peers[TE_VIA_KAFKA].stalled = true;
		te_route_enter(r, TE_ROUTE_NONE, TE_ROUTE_CAUSE_KAFKA_LOST, now);
	} else if (r->record.state == TE_ROUTE_KAFKA && r->settings.has_via[TE_VIA_NATS] &&
	           is_over(r->switched_at, r->record.dwell, now) && now >= r->probe_at) {
		if (r->peers[TE_VIA_NATS].up)
			te_route_enter(r, TE_ROUTE_HALF_OPEN, TE_ROUTE_CAUSE_DWELL_OVER, now);
		else
			te_route_plan_probe(r, now);
	}
	if (r->record.state == TE_ROUTE_HALF_OPEN && r->probing &&
	    is_over(r->probing_since, r->settings.probe_limit, now))
		te_route_fail_probe(r, now);
}

static void tick_drain_back(TeRoute *r, TeTime now)
{
	TeRoutePeer *nats = &r->peers[TE_VIA_NATS];

	if (at_most(r->record.cut, nats->acked))
		te_route_go_nats(r, TE_ROUTE_CAUSE_DRAINED, now);
	else if (!te_route_is_well(r, TE_VIA_NATS) || te_route_is_late(r, TE_VIA_NATS, now))
		te_route_give_up_draining(r, TE_ROUTE_CAUSE_DRAIN_FAILED, now);
	else if (is_over(r->since, r->settings.drain_limit, now))
		te_route_give_up_draining(r, TE_ROUTE_CAUSE_DRAIN_TOO_LONG, now);
}

static void tick_none(TeRoute *r, TeTime now)
{
	if (te_route_is_well(r, TE_VIA_NATS))
		te_route_go_nats(r, TE_ROUTE_CAUSE_FIRST_UP, now);
	else if (te_route_is_well(r, TE_VIA_KAFKA))
		te_route_go_kafka(r, TE_ROUTE_CAUSE_FIRST_UP, now);
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
	TeTime sent = te_route_oldest_sent(r, via);

	return sent == INT64_MAX ? sent : sent + te_route_limit_of(r, via);
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
