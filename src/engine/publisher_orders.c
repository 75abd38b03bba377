/*
 * publisher_orders.c - doing what the route orders.
 */
#include "postgres.h"

#include "engine/latency.h"
#include "engine/publisher_private.h"
#include "engine/release.h"
#include "engine/route_rows.h"
#include "engine/session.h"
#include "sql/sqltime.h"
#include "wire/encode.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

/* After a failure to store something, as work.c does. */
#define RETRY_MIN_US INT64_C(100000)
#define RETRY_MAX_US INT64_C(5000000)

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
	return false;
}

static bool release(TePublisher *p, const TeRouteOrder *order, int64 now)
{
	TeRelease r;
	TeQueueResult result;
	bool done = true;

	te_publisher_attend(p, p->route.released);
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

/* May the other broker have it?  Then it must stay as it is. */
static bool may_be_elsewhere(const TePublisher *p, TeVia via, TePlace place)
{
	TeVia other = via == TE_VIA_NATS ? TE_VIA_KAFKA : TE_VIA_NATS;

	return p->outlets[other].transport != NULL &&
	       te_place_compare(place, p->route.peers[other].furthest) <= 0;
}

/*
 * A record takes the place of what is larger than the broker takes, though it was released: no
 * broker has it.  Where the other one may have it, output waits until that one can be asked, or
 * goes on that way.
 */
static bool replace_too_large(TePublisher *p, TeVia via, const TeQueuedMessage *queued, int64 now)
{
	TeGapFill fill = {queued->place, TE_GAP_FILL_TOO_LARGE};
	bool waits = may_be_elsewhere(p, via, queued->place);

	if (te_place_compare(queued->place, p->oversize) != 0)
		ereport(
			WARNING, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("message " UINT64_FORMAT "/" UINT64_FORMAT " of lane %d is larger than %s takes",
		           queued->place.epoch, queued->place.seq, p->parts.lane, te_via_enum.labels[via]),
			waits ? errdetail("It has %zu bytes; the other broker may have it, so output waits for "
		                      "that one.",
		                      queued->frame->message_len)
				  : errdetail("It has %zu bytes; a gap-fill record takes its place.",
		                      queued->frame->message_len),
			errhint("Let the brokers take larger messages."));
	p->oversize = queued->place;
	p->oversize_via = via;
	p->oversize_waits = waits;
	if (!waits)
		return store_release(p, p->route.released, &fill, 1);
	te_route_refused(&p->route, via, now);
	return false;
}

const char *te_publisher_trouble(const TePublisher *p)
{
	static const char *const too_large[TE_VIA_COUNT] = {
		"an output is larger than NATS takes, and Kafka may have it",
		"an output is larger than Kafka takes, and NATS may have it",
	};

	if (p->torn)
		return "the outbox lacks what the broker hasn't got";
	/* Whichever is too small: NATS gets everything in the end. */
	if (p->oversize_waits && te_place_compare(p->route.peers[TE_VIA_NATS].acked, p->oversize) < 0)
		return too_large[p->oversize_via];
	return NULL;
}

static TePublishResult hand_over(TePublisher *p, const TeRouteOrder *order,
                                 const TeQueuedMessage *queued, int64 now)
{
	const Outlet *outlet = &p->outlets[order->via];
	char hash[TE_HASH_TEXT_SIZE];
	TeOutputMessage message;
	TePublishResult result;

	te_release_message(p->parts.lane, queued, &p->arena, hash, &message);
	message.route_epoch = order->route_epoch;
	message.backfill = order->backfill;
	message.maybe_sent = te_place_compare(queued->place, outlet->committed) <= 0 ||
	                     te_place_compare(queued->place, p->route.peers[order->via].furthest) <= 0;
	result = te_transport_publish(outlet->transport, &message, now);
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
			return replace_too_large(p, order->via, &m, now);
		if (result != TE_PUBLISH_OK)
			return false;
		note_sent(p, order->via, &m, now);
		after = m.place;
	}
	return true;
}

/*----------------------------------------------------------------------
 * Markers and probes
 *----------------------------------------------------------------------*/

/* Tell consumers of Kafka where the segment begins or ended. */
static bool mark(TePublisher *p, const TeRouteOrder *order, int64 now)
{
	TeOutputMark m = {.route_epoch = order->marker.route_epoch};
	const uint8_t *data;
	TeWireError err;

	te_arena_reset(&p->arena);
	if (!te_encode_route_marker((uint32_t)p->parts.lane, &order->marker,
	                            te_time_from_timestamptz(GetCurrentTimestamp()), &p->arena, &data,
	                            &m.len, &err))
		elog(ERROR, "could not encode a marker of the route: %s", err.detail);
	m.data = data;
	if (te_transport_mark(p->outlets[order->via].transport, &m, now) != TE_PUBLISH_OK)
		return false;
	te_route_marked(&p->route);
	return true;
}

static bool probe(TePublisher *p, int64 now)
{
	te_route_probing(&p->route, now);
	if (!te_transport_probe(p->outlets[TE_VIA_NATS].transport, now))
		te_route_probed(&p->route, false, now);
	return true;
}

/*
 * NATS is in use, has nothing to acknowledge, and there is Kafka: so that a broker which hangs is
 * noticed before the next signal, it is asked now and then.
 */
bool te_publisher_watches(const TePublisher *p)
{
	return p->route.record.state == TE_ROUTE_NATS && p->outlets[TE_VIA_KAFKA].transport != NULL &&
	       p->route.peers[TE_VIA_NATS].up && te_route_in_flight(&p->route, TE_VIA_NATS) == 0;
}

void te_publisher_watch(TePublisher *p, int64 now)
{
	if (!te_publisher_watches(p) || now < p->probe_at)
		return;
	p->probe_at = now + p->route.settings.probe_wait;
	if (!p->probing)
		p->probing = te_transport_probe(p->outlets[TE_VIA_NATS].transport, now);
}

/*----------------------------------------------------------------------
 * Orders
 *----------------------------------------------------------------------*/

/* True: something was done, there may be more. */
bool te_publisher_follow(TePublisher *p, int64 now)
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
	case TE_ORDER_MARK:
		return mark(p, &order, now);
	case TE_ORDER_PROBE:
		return probe(p, now);
	case TE_ORDER_NOTHING:
		break;
	}
	return false;
}
