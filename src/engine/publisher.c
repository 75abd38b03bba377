/*
 * publisher.c - see publisher.h.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/latency.h"
#include "engine/output_anchor.h"
#include "engine/publisher.h"
#include "engine/release.h"
#include "engine/route_rows.h"
#include "engine/session.h"

#include "common/pg_prng.h"
#include "utils/memutils.h"

/* Orders followed in one turn; the worker has other duties. */
#define ORDERS_AT_ONCE 16

/* After a failure to store something, as work.c does. */
#define RETRY_MIN_US INT64_C(100000)
#define RETRY_MAX_US INT64_C(5000000)

#define ARENA_BLOCK ((size_t)16 * 1024)
#define ARENA_LIMIT ((size_t)16 * 1024 * 1024)

/* One transport, as the publisher sees it. */
typedef struct Outlet
{
	TeTransport *transport; /* NULL: not configured */
	bool anchored;          /* its anchor was found good once */
} Outlet;

struct TePublisher
{
	TePublisherParts parts;
	TeLaneSlot *slot;
	MemoryContext scratch;
	TeOutQueue *queue;
	TeRoute route;
	Outlet outlets[TE_VIA_COUNT];
	TeRouteCursors stored, staged;
	TePlace deciding; /* released by the batch that is being stored; else that of the route */
	uint64 broker_epoch;
	bool torn; /* what comes next is lost; until the next anchor there is nothing to send */
	bool busy; /* there was more to do than one turn takes */
	bool held; /* what is next to be released waits for the end of a transaction */
	int64 retry_at, retry_delay;
	TeArena arena; /* for gap-fill records */
};

/*----------------------------------------------------------------------
 * Start
 *----------------------------------------------------------------------*/

static TeRouteSettings settings(const TePublisherParts *parts)
{
	TeRouteSettings s = te_route_settings_default;

	for (int via = 0; via < TE_VIA_COUNT; via++)
		s.has_via[via] = parts->transports[via] != NULL;
	s.window = (uint32_t)te_guc_publish_window;
	s.ack_limit = te_guc_publish_ack_timeout * INT64_C(1000);
	return s;
}

TePublisher *te_publisher_create(const TePublisherParts *parts)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "trading_engine publisher", ALLOCSET_DEFAULT_SIZES);
	TePublisher *p = MemoryContextAllocZero(context, sizeof(TePublisher));
	TeRouteSettings s = settings(parts);
	TeRouteRecord record;
	bool found = te_route_read(parts->lane, &record);

	p->parts = *parts;
	p->slot = parts->slot;
	p->parts.installation = MemoryContextStrdup(context, parts->installation);
	p->scratch = AllocSetContextCreate(context, "release", ALLOCSET_DEFAULT_SIZES);
	p->queue = te_out_queue_create(parts->lane, parts->last, context);
	for (int via = 0; via < TE_VIA_COUNT; via++)
		p->outlets[via].transport = parts->transports[via];
	p->stored = p->staged = parts->cursors;
	te_arena_init(&p->arena, ARENA_BLOCK, ARENA_LIMIT);
	te_route_init(&p->route, &s, found ? &record : NULL, &parts->cursors, parts->last,
	              pg_prng_uint64(&pg_global_prng_state), te_monotonic_us());
	return p;
}

/*----------------------------------------------------------------------
 * With each batch
 *----------------------------------------------------------------------*/

/* Sessions that set switches are told what is released: nothing else of theirs leaves. */
static void attend(TePublisher *p, TePlace released)
{
	if (te_gate_is_called(p->parts.gate))
		te_gate_attend(p->parts.gate, (int64)released.epoch, (int64)released.seq);
}

TeRouteCursors te_publisher_stage(TePublisher *p, int64 epoch, const List *frames)
{
	const TeBatchFrames *last = frames != NIL ? llast(frames) : NULL;
	TePlace released = p->route.released, end;
	ListCell *cell;

	if (te_place_compare(p->deciding, released) > 0)
		released = p->deciding;
	else if (last != NULL) {
		end = (TePlace){(uint64_t)epoch, (uint64_t)last->last_seq};
		released = te_route_release_with(&p->route, end);
		attend(p, released);
		foreach (cell, frames)
			if (te_place_compare(released, p->route.released) > 0 &&
			    !te_release_at_once(p->parts.gate, lfirst(cell)))
				released = p->route.released;
	}
	p->staged = te_route_cursors(&p->route);
	p->staged.released = released;
	return p->staged;
}

void te_publisher_committed(TePublisher *p, int64 epoch, const List *frames)
{
	ListCell *cell;

	foreach (cell, frames)
		te_out_queue_add(p->queue, epoch, lfirst(cell));
	te_route_committed(&p->route, te_out_queue_last(p->queue));
	te_route_released(&p->route, p->staged.released);
	p->stored = p->staged;
}

bool te_publisher_moved(const TePublisher *p)
{
	TeRouteCursors now = te_route_cursors(&p->route);

	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (te_place_compare(now.acked[via], p->stored.acked[via]) != 0)
			return true;
	return te_place_compare(now.released, p->stored.released) != 0;
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
	TePlace acked = p->route.peers[p->route.record.via].acked;

	te_out_queue_forget(p->queue,
	                    te_place_compare(acked, p->route.released) < 0 ? acked : p->route.released,
	                    record_acknowledged, p);
}

static void heed_acknowledgements(TePublisher *p, TeVia via, int64 now)
{
	TeOutputCursor acked = te_transport_acked(p->outlets[via].transport);
	TePlace before = p->route.peers[via].acked, after;

	te_route_acked(&p->route, via, (TePlace){acked.epoch, acked.seq}, now);
	after = p->route.peers[via].acked;
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
		.predecessor_epoch = owner->predecessor_epoch,
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
	if (j.outcome != TE_ANCHOR_OUTPUT_SAME && j.outcome != TE_ANCHOR_OUTPUT_FIRST)
		ereport(LOG,
		        errmsg("lane %d: the output on %s has another end: %s", p->parts.lane,
		               te_via_enum.labels[via], te_anchor_output_enum.labels[j.outcome]),
		        errdetail("It goes on behind " UINT64_FORMAT "/" UINT64_FORMAT ".", j.has.epoch,
		                  j.has.seq));
	outlet->anchored = true;
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

	/* What was acknowledged before the anchor was judged may have been lost since. */
	if ((events & TE_EVENT_ACKED) && p->route.peers[via].up)
		heed_acknowledgements(p, via, now);
	if (events & TE_EVENT_DISCONNECTED)
		te_route_down(&p->route, via, now);
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

/*----------------------------------------------------------------------
 * Storing
 *----------------------------------------------------------------------*/

/* Nothing is sent until it can be stored. */
static void store_failed(TePublisher *p)
{
	p->retry_delay = Min(Max(2 * p->retry_delay, RETRY_MIN_US), RETRY_MAX_US);
	p->retry_at = te_monotonic_us() + p->retry_delay;
}

static bool store_route(TePublisher *p)
{
	bool volatile done = false;

	PG_TRY();
	{
		te_route_store(p->parts.lane, &p->route.record);
		done = true;
	}
	PG_CATCH();
	{
		/* Somebody else writes this lane's rows. */
		if (geterrcode() == ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(TopMemoryContext);
		te_session_abort(false);
		te_count(&p->slot->counters.errors, 1);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	if (!done) {
		store_failed(p);
		return false;
	}
	te_route_stored(&p->route, p->route.record.version);
	return true;
}

/* Store what is replaced, and how far that was decided. */
static bool store_release(TePublisher *p, TePlace through, const TeGapFill *fills, int count)
{
	bool stored;

	p->deciding = through;
	stored = p->parts.store_release(p->parts.arg, fills, count);
	p->deciding = (TePlace){0, 0};
	if (!stored) {
		store_failed(p);
		return false;
	}
	for (int i = 0; i < count; i++)
		te_out_queue_replace(p->queue, &fills[i]);
	te_count(&p->slot->counters.gap_fills, count);
	return true;
}

/* Messages that were committed are gone from the outbox before the broker had them. */
static bool report_torn(TePublisher *p, TePlace after)
{
	p->torn = true;
	ereport(WARNING, errcode(ERRCODE_DATA_CORRUPTED),
	        errmsg("output of lane %d after " UINT64_FORMAT "/" UINT64_FORMAT
	               " is neither at the broker nor in trading.outbox",
	               p->parts.lane, after.epoch, after.seq),
	        errhint("Restore the rows, or call trading.adopt(%d) to go on in a new epoch.",
	                p->parts.lane));
	te_lane_report(p->slot, TE_LANE_RUNNING, "the outbox lacks what the broker hasn't got");
	return false;
}

static bool release(TePublisher *p, const TeRouteOrder *order, int64 now)
{
	TeRelease r;
	TeQueueResult result;
	bool done = true;

	attend(p, p->route.released);
	MemoryContextReset(p->scratch);
	result = te_release_decide(p->queue, p->parts.gate, order->after, order->through, order->room,
	                           now, p->scratch, &r);
	p->held = r.held;
	if (r.messages > 0)
		done = store_release(p, r.through, r.fills, r.fill_count);
	else
		te_route_released(&p->route, r.through);
	if (result == TE_QUEUE_TORN && r.messages == 0)
		return report_torn(p, order->after);
	return done && te_place_compare(r.through, order->after) > 0;
}

/*----------------------------------------------------------------------
 * Sending
 *----------------------------------------------------------------------*/

/*
 * No broker takes it, so none has it: a record takes its place though it was released.  Kafka
 * takes no larger messages than NATS, as long as nobody changes that.
 */
static bool replace_too_large(TePublisher *p, const TeQueuedMessage *queued)
{
	TeGapFill fill = {queued->place, TE_GAP_FILL_TOO_LARGE};

	ereport(WARNING, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
	        errmsg("message " UINT64_FORMAT "/" UINT64_FORMAT
	               " of lane %d is larger than the broker takes",
	               queued->place.epoch, queued->place.seq, p->parts.lane),
	        errdetail("It has %zu bytes; a gap-fill record takes its place.",
	                  queued->frame->message_len));
	return store_release(p, p->route.released, &fill, 1);
}

static TePublishResult hand_over(TePublisher *p, const TeRouteOrder *order,
                                 const TeQueuedMessage *queued, int64 now)
{
	char hash[TE_HASH_TEXT_SIZE];
	TeOutputMessage message;
	TePublishResult result;

	te_release_message(p->parts.lane, queued, &p->arena, hash, &message);
	result = te_transport_publish(p->outlets[order->via].transport, &message, now);
	if (result == TE_PUBLISH_BAD_ORDER)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg("the outbox of lane %d has a hole before message " UINT64_FORMAT
		               "/" UINT64_FORMAT,
		               p->parts.lane, queued->place.epoch, queued->place.seq));
	return result;
}

static void note_sent(TePublisher *p, TeVia via, const TeQueuedMessage *queued, int64 now)
{
	bool again = te_place_compare(queued->place, p->route.peers[via].furthest) <= 0;
	const int64 *read_at;
	int count;

	te_route_sent(&p->route, via, queued->place, now);
	te_count(&p->slot->counters.published, 1);
	if (again) {
		te_count(&p->slot->counters.republished, 1);
		return;
	}
	if (queued->last_of_batch && (read_at = te_out_queue_times(p->queue, via, &count)) != NULL)
		te_latency_record_many(&p->slot->latencies, TE_LATENCY_READ_TO_PUBLISH, read_at, count,
		                       te_monotonic_us());
}

/* Hand over what is ordered; false when the transport takes no more, or has to acknowledge first.
 */
static bool send(TePublisher *p, const TeRouteOrder *order, int64 now)
{
	TePlace after = order->after;

	for (uint32_t sent = 0; sent < order->room; sent++) {
		TeQueuedMessage m;
		TeQueueResult found = te_out_queue_next(p->queue, order->via, after, &m);
		TePublishResult result;

		if (found == TE_QUEUE_TORN)
			return report_torn(p, after);
		if (found != TE_QUEUE_MESSAGE || te_place_compare(m.place, order->through) > 0) {
			if (sent > 0 || order->alone || found == TE_QUEUE_FULL)
				return sent > 0;
			te_route_nothing_until(&p->route, order->via, order->through);
			return true;
		}
		/* An epoch is acknowledged to its end before the next one begins. */
		if (m.place.epoch != after.epoch && (order->alone || sent > 0))
			return false;
		result = hand_over(p, order, &m, now);
		if (result == TE_PUBLISH_TOO_LARGE && m.replaced == TE_GAP_FILL_NONE)
			return replace_too_large(p, &m);
		if (result != TE_PUBLISH_OK)
			return false;
		note_sent(p, order->via, &m, now);
		after = m.place;
	}
	return true;
}

/* True: something was done, there may be more. */
static bool follow(TePublisher *p, int64 now)
{
	TeRouteOrder order;

	te_route_next(&p->route, now, &order);
	switch (order.kind) {
	case TE_ORDER_RECONNECT:
		te_transport_reconnect(p->outlets[order.via].transport, "its output doesn't move on", now);
		te_route_down(&p->route, order.via, now);
		return true;
	case TE_ORDER_STORE:
		return store_route(p);
	case TE_ORDER_RELEASE:
		return !p->torn && release(p, &order, now);
	case TE_ORDER_SEND:
		return !p->torn && send(p, &order, now);
	default:
		return false;
	}
}

void te_publisher_run(TePublisher *p, int64 now)
{
	int orders = 0;

	p->held = false;
	attend(p, p->route.released);
	te_route_tick(&p->route, now);
	if (now >= p->retry_at) {
		p->retry_at = 0;
		while (orders < ORDERS_AT_ONCE && follow(p, now))
			orders++;
		if (p->retry_at == 0)
			p->retry_delay = 0;
	}
	p->busy = orders == ORDERS_AT_ONCE;
	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (p->outlets[via].transport != NULL)
			te_transport_flush(p->outlets[via].transport, now);
	te_gauge(&p->slot->gauges.published_seq, (int64)p->route.peers[p->route.record.via].sent.seq);
	te_gauge(&p->slot->gauges.acked_seq, (int64)p->route.peers[p->route.record.via].acked.seq);
	te_gauge(&p->slot->gauges.outbox_pending, te_publisher_pending(p));
}

int64 te_publisher_due(const TePublisher *p)
{
	int64 due = te_route_deadline(&p->route);

	if (p->busy)
		return 0;
	if (p->held)
		due = Min(due, te_gate_due(p->parts.gate));
	return p->retry_at > 0 ? Min(due, p->retry_at) : due;
}

int64 te_publisher_pending(const TePublisher *p)
{
	const TeRoutePeer *nats = &p->route.peers[TE_VIA_NATS], *kafka = &p->route.peers[TE_VIA_KAFKA];
	TePlace acked = te_place_compare(nats->acked, kafka->acked) > 0 ? nats->acked : kafka->acked;
	TePlace last = te_out_queue_last(p->queue);

	return te_place_compare(acked, last) < 0 ? (int64)distance(acked, last) : 0;
}
