/*
 * publisher.c - see publisher.h.
 */
#include "postgres.h"

#include "engine/latency.h"
#include "engine/output_anchor.h"
#include "engine/publisher_private.h"
#include "engine/release.h"
#include "engine/route_rows.h"
#include "engine/settings.h"

#include "common/pg_prng.h"
#include "utils/memutils.h"

/* Orders followed in one turn; the worker has other duties. */
#define ORDERS_AT_ONCE 16

/* A deadline that has passed is looked at again after this. */
#define LOOK_AGAIN_US INT64_C(10000)

#define ARENA_BLOCK ((size_t)16 * 1024)
#define ARENA_LIMIT ((size_t)16 * 1024 * 1024)

/*----------------------------------------------------------------------
 * Start
 *----------------------------------------------------------------------*/

static TeRouteSettings settings(const Outlet outlets[TE_VIA_COUNT])
{
	TeRouteSettings s = te_settings_route();

	for (int via = 0; via < TE_VIA_COUNT; via++)
		s.has_via[via] = outlets[via].transport != NULL;
	return s;
}

TePublisher *te_publisher_create(const TePublisherParts *parts)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "trading_engine publisher", ALLOCSET_DEFAULT_SIZES);
	TePublisher *p = MemoryContextAllocZero(context, sizeof(TePublisher));
	TeRouteSettings s;
	TeRouteRecord record;
	bool found = te_route_read(parts->lane, &record);

	p->parts = *parts;
	p->slot = parts->slot;
	p->parts.installation = MemoryContextStrdup(context, parts->installation);
	p->scratch = AllocSetContextCreate(context, "release", ALLOCSET_DEFAULT_SIZES);
	p->queue = te_out_queue_create(parts->lane, parts->last, context);
	for (int via = 0; via < TE_VIA_COUNT; via++)
		p->outlets[via].transport = parts->transports[via];
	s = settings(p->outlets);
	p->stored = p->staged = parts->output;
	p->stream_created = parts->output.stream_created;
	p->stream_seq = parts->output.stream_seq;
	te_arena_init(&p->arena, ARENA_BLOCK, ARENA_LIMIT);
	te_route_init(&p->route, &s, found ? &record : NULL, &parts->output.cursors, parts->last,
	              pg_prng_uint64(&pg_global_prng_state), te_monotonic_us());
	return p;
}

void te_publisher_configure(TePublisher *p, int64 now)
{
	TeRouteSettings s = settings(p->outlets);

	te_route_configure(&p->route, &s, now);
	p->probe_at = Min(p->probe_at, now + s.probe_wait);
}

/*----------------------------------------------------------------------
 * With each batch
 *----------------------------------------------------------------------*/

/* Sessions that set switches are told what is released: nothing else of theirs leaves. */
void te_publisher_attend(TePublisher *p, TePlace released)
{
	if (te_gate_is_called(p->parts.gate))
		te_gate_attend(p->parts.gate, (int64)released.epoch, (int64)released.seq);
}

TeOutputPlaces te_publisher_stage(TePublisher *p, int64 epoch, const List *frames)
{
	const TeBatchFrames *last = frames != NIL ? llast(frames) : NULL;
	TePlace released = p->route.released, end;
	ListCell *cell;

	if (te_place_compare(p->deciding, released) > 0)
		released = p->deciding;
	else if (last != NULL) {
		end = (TePlace){(uint64_t)epoch, (uint64_t)last->last_seq};
		released = te_route_release_with(&p->route, end);
		te_publisher_attend(p, released);
		foreach (cell, frames)
			if (te_place_compare(released, p->route.released) > 0 &&
			    !te_release_at_once(p->parts.gate, lfirst(cell)))
				released = p->route.released;
	}
	p->staged = (TeOutputPlaces){
		.cursors = te_route_cursors(&p->route),
		.stream_created = p->stream_created,
		.stream_seq = p->stream_seq,
	};
	p->staged.cursors.released = released;
	return p->staged;
}

void te_publisher_begin_epoch(TePublisher *p, int64 epoch)
{
	te_out_queue_begin_epoch(p->queue, epoch);
	te_route_committed(&p->route, te_out_queue_last(p->queue));
}

void te_publisher_committed(TePublisher *p, int64 epoch, const List *frames)
{
	ListCell *cell;

	foreach (cell, frames)
		te_out_queue_add(p->queue, epoch, lfirst(cell));
	te_route_committed(&p->route, te_out_queue_last(p->queue));
	te_route_released(&p->route, p->staged.cursors.released);
	p->stored = p->staged;
}

bool te_publisher_moved(const TePublisher *p)
{
	TeRouteCursors now = te_route_cursors(&p->route);

	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (te_place_compare(now.acked[via], p->stored.cursors.acked[via]) != 0)
			return true;
	return te_place_compare(now.released, p->stored.cursors.released) != 0;
}

/*----------------------------------------------------------------------
 * Events of the transports
 *----------------------------------------------------------------------*/

static uint64 distance(TePlace from, TePlace to)
{
	return to.epoch == from.epoch ? to.seq - from.seq : to.seq;
}

static void record_acknowledged(void *arg, const int64 *read_at, int count)
{
	TePublisher *p = arg;

	te_latency_record_many(&p->slot->latencies, TE_LATENCY_READ_TO_ACK, read_at, count,
	                       te_monotonic_us());
}

/* What the transport of the moment has acknowledged is needed no more; the table has it. */
static void forget(TePublisher *p)
{
	TeVia via = p->route.record.state == TE_ROUTE_DRAIN_BACK ? TE_VIA_NATS : p->route.record.via;
	TePlace acked = p->route.peers[via].acked;

	te_out_queue_forget(p->queue,
	                    te_place_compare(acked, p->route.released) < 0 ? acked : p->route.released,
	                    record_acknowledged, p);
}

static void heed_acknowledgements(TePublisher *p, TeVia via, int64 now)
{
	TeOutputCursor acked = te_transport_acked(p->outlets[via].transport);
	TePlace before = p->route.peers[via].acked, after;

	te_route_acked(&p->route, via, (TePlace){acked.epoch, acked.seq}, now);
	p->probe_at = now + p->route.settings.probe_wait;
	after = p->route.peers[via].acked;
	if (via == TE_VIA_NATS)
		p->stream_seq = acked.stream_seq;
	if (te_place_compare(after, before) > 0)
		te_count(&p->slot->counters.acknowledged, distance(before, after));
	forget(p);
}

static const char *judge(TePublisher *p, TeVia via, const TePublisherOwner *owner, int64 now)
{
	Outlet *outlet = &p->outlets[via];
	const TeOutputAnchor *anchor = te_transport_output_anchor(outlet->transport);
	TeOutputSide side = {
		.installation = p->parts.installation,
		.lane = p->parts.lane,
		.cursor = te_route_cursors(&p->route).acked[via],
		.stream_created = via == TE_VIA_NATS ? p->stream_created : 0,
		.stream_seq = p->stream_seq,
		.predecessor_epoch = owner->predecessor_epoch,
		.inherited = owner->inherited,
		.adopting = owner->adopting,
	};
	TeOutputJudgement j = te_output_anchor_judge(p->queue, &side, anchor);
	TePlace last = te_out_queue_last(p->queue);

	if (j.outcome == TE_ANCHOR_OUTPUT_FOREIGN)
		return psprintf("%s (%s has " UINT64_FORMAT "/" UINT64_FORMAT
		                ", the database " UINT64_FORMAT "/" UINT64_FORMAT ")",
		                j.reason, te_via_enum.labels[via], anchor->epoch, anchor->seq, last.epoch,
		                last.seq);
	if (anchor->found)
		p->broker_epoch = Max(p->broker_epoch, anchor->epoch);
	/* What NATS had before Kafka took over isn't there: its end says little else. */
	if (via == TE_VIA_NATS && j.outcome != TE_ANCHOR_OUTPUT_SAME &&
	    j.outcome != TE_ANCHOR_OUTPUT_FIRST)
		ereport(LOG,
		        errmsg("lane %d: the output on %s has another end: %s", p->parts.lane,
		               te_via_enum.labels[via], te_anchor_output_enum.labels[j.outcome]),
		        errdetail("It goes on behind " UINT64_FORMAT "/" UINT64_FORMAT ".", j.has.epoch,
		                  j.has.seq));
	if (via == TE_VIA_NATS) {
		p->stream_created = anchor->stream_created;
		p->stream_seq = anchor->last_stream_seq;
	}
	outlet->anchored = true;
	outlet->committed = last;
	p->torn = false;
	te_transport_resume_output(outlet->transport, anchor->last_stream_seq, now);
	te_route_up(&p->route, via, j.has, now);
	forget(p);
	return NULL;
}

const char *te_publisher_heed(TePublisher *p, TeVia via, unsigned events,
                              const TePublisherOwner *owner, int64 now)
{
	TeTransport *transport = p->outlets[via].transport;

	p->inherited = owner->inherited;
	/* What was acknowledged before the anchor was judged may have been lost since. */
	if ((events & TE_EVENT_ACKED) && p->route.peers[via].up)
		heed_acknowledgements(p, via, now);
	if ((events & TE_EVENT_PROBED) && via == TE_VIA_NATS) {
		p->probing = false;
		te_route_probed(&p->route, te_transport_probe_result(transport), now);
	}
	if (events & TE_EVENT_DISCONNECTED)
		te_route_down(&p->route, via, now);
	if (events & TE_EVENT_RIVAL)
		return pstrdup(te_transport_stats(transport)->last_error);
	if ((events & TE_EVENT_OUTPUT_ANCHOR) && te_transport_output_anchor(transport) != NULL)
		return judge(p, via, owner, now);
	return NULL;
}

int te_publisher_configured(const TePublisher *p)
{
	return (p->outlets[TE_VIA_NATS].transport != NULL) +
	       (p->outlets[TE_VIA_KAFKA].transport != NULL);
}

int te_publisher_anchored(const TePublisher *p)
{
	return p->outlets[TE_VIA_NATS].anchored + p->outlets[TE_VIA_KAFKA].anchored;
}

uint64 te_publisher_broker_epoch(const TePublisher *p)
{
	return p->broker_epoch;
}

void te_publisher_run(TePublisher *p, int64 now)
{
	int orders = 0;

	p->held = false;
	p->ran_at = now;
	te_publisher_attend(p, p->route.released);
	te_route_tick(&p->route, now);
	if (now >= p->retry_at) {
		p->retry_at = 0;
		while (orders < ORDERS_AT_ONCE && te_publisher_follow(p, now))
			orders++;
		if (p->retry_at == 0)
			p->retry_delay = 0;
	}
	te_publisher_watch(p, now);
	te_resend_serve(&p->resender,
	                &(TeResendParts){
						.resend = &p->slot->resend,
						.lane = p->parts.lane,
						.queue = p->queue,
						.route = &p->route,
						.transports = p->parts.transports,
					},
	                now);
	p->busy = orders == ORDERS_AT_ONCE ||
	          (p->resender.sending && !p->resender.sent_all && !p->resender.pausing);
	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (p->outlets[via].transport != NULL)
			te_transport_flush(p->outlets[via].transport, now);
	for (int kind = 0; kind < TE_TRANSPORT_COUNT; kind++)
		te_gauge(&p->slot->transports[kind].route, p->route.record.state + 1);
	te_gauge(&p->slot->gauges.published_seq, (int64)p->route.peers[p->route.record.via].sent.seq);
	te_gauge(&p->slot->gauges.acked_seq, (int64)p->route.peers[p->route.record.via].acked.seq);
	te_gauge(&p->slot->gauges.outbox_pending, te_publisher_pending(p));
}

int64 te_publisher_due(const TePublisher *p)
{
	int64 due = te_route_deadline(&p->route);

	if (p->busy)
		return 0;
	if (p->retry_at > 0)
		return p->retry_at;
	if (p->held)
		due = Min(due, te_gate_due(p->parts.gate));
	if (te_publisher_watches(p))
		due = Min(due, p->probe_at);
	if (p->resender.sending)
		due = p->ran_at;
	/* What is due and could not be done waits for something else. */
	return due > p->ran_at ? due : p->ran_at + LOOK_AGAIN_US;
}

int64 te_publisher_pending(const TePublisher *p)
{
	const TeRoutePeer *nats = &p->route.peers[TE_VIA_NATS], *kafka = &p->route.peers[TE_VIA_KAFKA];
	TePlace acked = te_place_compare(nats->acked, kafka->acked) > 0 ? nats->acked : kafka->acked;
	TePlace last = te_out_queue_last(p->queue);

	if (te_place_compare(acked, last) >= 0)
		return 0;
	if (te_place_compare(acked, p->inherited) < 0 && te_place_compare(p->inherited, last) < 0)
		return (int64)(distance(acked, p->inherited) + distance(p->inherited, last));
	return (int64)distance(acked, last);
}
