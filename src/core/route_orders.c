/*
 * route_orders.c - what is to be done in the state of the moment.
 */
#include "route_private.h"

static void note_sent(TeRoute *r, TeVia via, TePlace place, TeTime now)
{
	TeRoutePeer *peer = &r->peers[via];

	peer->sent = place;
	peer->furthest = later(peer->furthest, place);
	/* When all marks are taken the first is older than the limit. */
	if (peer->mark_count == TE_ROUTE_MARKS)
		return;
	if (peer->mark_count > 0 &&
	    !is_over(peer->marks[peer->mark_count - 1].at, te_route_limit_of(r, via) / 8, now))
		return;
	peer->marks[peer->mark_count].place = place;
	peer->marks[peer->mark_count++].at = now;
}

/* The transport that messages go to in this state, if any does. */
static bool sends_to(const TeRoute *r, TeTime now, TeVia *via)
{
	switch (r->record.state) {
	case TE_ROUTE_NATS:
		*via = TE_VIA_NATS;
		return te_route_is_well(r, TE_VIA_NATS);
	case TE_ROUTE_KAFKA:
	case TE_ROUTE_HALF_OPEN:
		*via = TE_VIA_KAFKA;
		return te_route_is_well(r, TE_VIA_KAFKA);
	case TE_ROUTE_DRAIN_BACK:
		/* The segment ends when Kafka has said what became of it. */
		*via = TE_VIA_NATS;
		return te_route_is_well(r, TE_VIA_NATS) &&
		       (in_flight(&r->peers[TE_VIA_KAFKA]) == 0 || te_route_kafka_is_dead(r, now));
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
	bool sending = (r->record.state == TE_ROUTE_NATS && te_route_is_well(r, TE_VIA_NATS)) ||
	               ((r->record.state == TE_ROUTE_KAFKA || r->record.state == TE_ROUTE_HALF_OPEN) &&
	                peer->up && !peer->stalled);
	bool close = last.epoch == peer->acked.epoch &&
	             last.seq <= peer->acked.seq + r->settings.release_ahead &&
	             at_most(r->last, r->released);

	return sending && close ? last : r->released;
}

TeRouteCursors te_route_cursors(const TeRoute *r)
{
	return (TeRouteCursors){
		.acked = {r->peers[TE_VIA_NATS].acked, r->peers[TE_VIA_KAFKA].acked},
		.released = r->released,
	};
}
