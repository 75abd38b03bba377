/*
 * route_private.h - what the files of the output route share.  Private to the core.
 *
 * route.c: transports, changes of state, what happens.  route_time.c: what time brings
 * about.  route_orders.c: what is to be done.
 */
#ifndef TE_CORE_ROUTE_PRIVATE_H
#define TE_CORE_ROUTE_PRIVATE_H

#include "route.h"

/* A time that never was. */
#define TE_ROUTE_NEVER INT64_MIN

static inline bool at_most(TePlace a, TePlace b)
{
	return te_place_compare(a, b) <= 0;
}

static inline TePlace later(TePlace a, TePlace b)
{
	return at_most(a, b) ? b : a;
}

static inline bool is_over(TeTime since, TeTime length, TeTime now)
{
	return now - since >= length;
}

/* Those of an epoch are 1, 2, ...; of the one before, all are acknowledged when another begins. */
static inline uint64_t in_flight(const TeRoutePeer *peer)
{
	if (at_most(peer->sent, peer->acked))
		return 0;
	return peer->sent.epoch == peer->acked.epoch ? peer->sent.seq - peer->acked.seq
	                                             : peer->sent.seq;
}

static inline TeTime te_route_limit_of(const TeRoute *r, TeVia via)
{
	return via == TE_VIA_NATS ? r->settings.ack_limit : r->settings.kafka_limit;
}

/* A transport. */
extern TeTime te_route_oldest_sent(const TeRoute *r, TeVia via);
extern bool te_route_is_late(const TeRoute *r, TeVia via, TeTime now);
extern bool te_route_kafka_is_dead(const TeRoute *r, TeTime now);

/* Changes of state. */
extern void te_route_plan_probe(TeRoute *r, TeTime now);
extern void te_route_enter(TeRoute *r, TeRouteState state, TeRouteCause cause, TeTime now);
extern void te_route_go_nats(TeRoute *r, TeRouteCause cause, TeTime now);
extern void te_route_go_kafka(TeRoute *r, TeRouteCause cause, TeTime now);
extern void te_route_go_suspect(TeRoute *r, TeRouteCause cause, TeTime now);
extern void te_route_give_up_draining(TeRoute *r, TeRouteCause cause, TeTime now);
extern void te_route_fail_probe(TeRoute *r, TeTime now);

#endif
