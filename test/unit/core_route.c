/*
 * core_route.c - the output route: every transition, what may be sent when, and a link
 * that comes and goes each second.
 */
#include "core/route.h"

#include "core_random.h"
#include "tap.h"

#define MSEC INT64_C(1000)
#define SEC TE_USEC_PER_SEC

static TeRouteSettings settings;
static TeRoute route;
static TeTime now;

static TePlace place(uint64_t seq)
{
	return (TePlace){1, seq};
}

static const char *state(void)
{
	return te_route_state_enum.labels[route.record.state];
}

static const char *cause(void)
{
	return te_route_cause_enum.labels[route.record.cause];
}

/* Do what is ordered; messages that are sent are acknowledged at once where that is wanted. */
static bool acknowledging[TE_VIA_COUNT];
static uint64_t sent_nats, sent_kafka, backfilled, marks, probes, reconnects;
static TeRouteMarker marker;

static void send_all(const TeRouteOrder *order)
{
	uint64_t n = order->after.seq;

	for (uint32_t i = 0; i < order->room && n < order->through.seq; i++) {
		te_route_sent(&route, order->via, place(++n), now);
		*(order->via == TE_VIA_NATS ? &sent_nats : &sent_kafka) = n;
		backfilled += order->backfill;
	}
	if (acknowledging[order->via])
		te_route_acked(&route, order->via, place(n), now);
}

static void work(void)
{
	TeRouteOrder order;

	for (int turn = 0; turn < 1000; turn++) {
		te_route_next(&route, now, &order);
		switch (order.kind) {
		case TE_ORDER_NOTHING:
			return;
		case TE_ORDER_RECONNECT:
			reconnects++;
			te_route_down(&route, order.via, now);
			break;
		case TE_ORDER_STORE:
			te_route_stored(&route, route.record.version);
			break;
		case TE_ORDER_RELEASE:
			te_route_released(&route, order.through);
			break;
		case TE_ORDER_SEND:
			send_all(&order);
			break;
		case TE_ORDER_MARK:
			marks++;
			marker = order.marker;
			te_route_marked(&route);
			break;
		case TE_ORDER_PROBE:
			probes++;
			te_route_probing(&route, now);
			te_route_probed(&route, true, now);
			break;
		}
		if (order.kind == TE_ORDER_SEND && !acknowledging[order.via])
			return;
	}
}

/* Time passes in small steps, with all that is to be done. */
static void pass(TeTime length)
{
	TeTime until = now + length;

	while (now < until) {
		TeTime due = te_route_deadline(&route);

		now = due > now && due < until ? due : now + 50 * MSEC < until ? now + 50 * MSEC : until;
		te_route_tick(&route, now);
		work();
	}
}

static void fresh(void)
{
	TeRouteCursors cursors = {0};

	settings = te_route_settings_default;
	now = 1000 * SEC;
	acknowledging[0] = acknowledging[1] = true;
	sent_nats = sent_kafka = backfilled = marks = probes = reconnects = 0;
	te_route_init(&route, &settings, NULL, &cursors, place(0), 1, now);
}

/* On NATS, ten messages sent and acknowledged; Kafka is there. */
static void on_nats(void)
{
	fresh();
	te_route_up(&route, TE_VIA_NATS, place(0), now);
	te_route_up(&route, TE_VIA_KAFKA, place(0), now);
	te_route_committed(&route, place(10));
	work();
}

/* On Kafka, with message 20 sent; NATS has up to 10, is down. */
static void on_kafka(void)
{
	on_nats();
	te_route_down(&route, TE_VIA_NATS, now);
	te_route_committed(&route, place(20));
	pass(3 * SEC);
}

static void settings_are_checked(void)
{
	const char *reason, *than;

#define NAMES(change, key)                                                                         \
	do {                                                                                           \
		settings = te_route_settings_default;                                                      \
		change;                                                                                    \
		is_text(te_route_settings_check(&settings, &reason, &than), key, #change);                 \
	} while (0)
	NAMES((void)0, NULL);
	NAMES(settings.window = 0, "window");
	NAMES(settings.release_ahead = 0, "release_ahead");
	NAMES(settings.ack_limit = 0, "ack_limit");
	NAMES(settings.suspect_limit = 0, "suspect_limit");
	NAMES(settings.kafka_limit = 0, "kafka_limit");
	NAMES(settings.failed_probes = 0, "failed_probes");
	NAMES(settings.dwell = 0, "dwell");
	NAMES(settings.dwell_most = settings.dwell - 1, "dwell_most");
	NAMES(settings.probe_wait = 0, "probe_wait");
	NAMES(settings.probe_wait_most = 1, "probe_wait_most");
	NAMES(settings.probe_limit = 0, "probe_limit");
	NAMES(settings.probe_successes = 0, "probe_successes");
	NAMES(settings.probe_span = -1, "probe_span");
	NAMES(settings.drain_limit = 0, "drain_limit");
#undef NAMES
	settings = te_route_settings_default;
	settings.dwell_most = settings.dwell - 1;
	(void)te_route_settings_check(&settings, &reason, &than);
	is_text(reason, "must be at least", "how two contradict each other");
	is_text(than, "dwell", "and which");
}

/* Settings that are changed while messages go to Kafka, and NATS is well again. */
static void settings_are_changed(void)
{
	on_kafka();
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	settings.dwell = settings.dwell_most = 3600 * SEC;
	te_route_configure(&route, &settings, now);
	pass(240 * SEC);
	is_text(state(), "KAFKA", "a longer dwell time counts at once");
	settings.dwell = 5 * SEC;
	settings.probe_span = 0;
	settings.probe_wait = 1 * SEC;
	te_route_configure(&route, &settings, now);
	pass(10 * SEC);
	is_text(state(), "NATS", "and so does a shorter one, with faster probes");

	on_kafka();
	route.record.dwell = 600 * SEC;
	settings.dwell_most = 60 * SEC;
	te_route_configure(&route, &settings, now);
	ok(route.record.dwell == 60 * SEC,
	   "a dwell time that was doubled stays, within the new bounds");

	on_kafka();
	route.probe_at = now + 50 * SEC;
	settings.probe_wait = settings.probe_wait_most = 2 * SEC;
	te_route_configure(&route, &settings, now);
	ok(route.probe_at <= now + 3 * SEC, "a probe that is planned comes as early as the next would");
}

static void starts(void)
{
	TeRouteOrder order;

	fresh();
	is_text(state(), "SUSPECT", "a route starts without trust");
	te_route_committed(&route, place(5));
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_STORE, "a state is stored first");
	te_route_stored(&route, route.record.version);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_NOTHING, "nothing is sent to nobody");
	te_route_up(&route, TE_VIA_NATS, place(0), now);
	is_text(state(), "NATS", "a connection ends that");
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_STORE, "this is stored too");
	te_route_stored(&route, route.record.version);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_RELEASE && order.through.seq == 5, "a backlog is released first");
	te_route_released(&route, place(3));
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_SEND && order.via == TE_VIA_NATS && order.after.seq == 0 &&
	       order.through.seq == 3 && !order.backfill && order.room == 1000,
	   "then as much is sent as was released");
	work();
	ok(sent_nats == 5 && te_route_in_flight(&route, TE_VIA_NATS) == 0, "then the rest");
	ok(route.record.route_epoch == 1, "in the first route epoch");
	ok(te_route_release_with(&route, place(6)).seq == 6, "a fresh batch releases itself");
}

static void windows(void)
{
	TeRouteOrder order;

	on_nats();
	acknowledging[TE_VIA_NATS] = false;
	te_route_committed(&route, place(5010));
	te_route_released(&route, place(5010));
	work();
	ok(te_route_in_flight(&route, TE_VIA_NATS) == 1000, "the window bounds what is under way");
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_NOTHING, "then nothing more is sent");
	te_route_acked(&route, TE_VIA_NATS, place(510), now);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_SEND && order.room == 500 && order.after.seq == 1010 && order.alone,
	   "until there is room");
	te_route_acked(&route, TE_VIA_NATS, place(400), now);
	te_route_acked(&route, TE_VIA_NATS, place(9999), now);
	ok(te_route_cursors(&route).acked[TE_VIA_NATS].seq == 510,
	   "an acknowledgement that comes late, or of what was never sent, changes nothing");
	ok(te_route_release_with(&route, place(5011)).seq == 5010,
	   "behind a backlog nothing is released");
}

static void suspects(void)
{
	on_nats();
	acknowledging[TE_VIA_NATS] = false;
	te_route_committed(&route, place(11));
	work();
	pass(990 * MSEC);
	is_text(state(), "NATS", "an acknowledgement may take a second");
	pass(20 * MSEC);
	is_text(state(), "SUSPECT", "no longer");
	is_text(cause(), "NO_ACK", "and says why");
	ok(reconnects == 1, "the connection is made anew");
	te_route_committed(&route, place(12));
	work();
	ok(sent_nats == 11, "nothing new is sent meanwhile");
	acknowledging[TE_VIA_NATS] = true;
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	work();
	is_text(state(), "NATS", "back when it is healthy");
	ok(sent_nats == 12 && te_route_cursors(&route).acked[0].seq == 12,
	   "what was unknown is repeated");
	ok(route.record.route_epoch == 1, "that is no switch");

	on_nats();
	te_route_probed(&route, false, now);
	is_text(state(), "NATS", "one failed probe isn't");
	te_route_probed(&route, false, now);
	is_text(cause(), "PROBES_FAILED", "two are");
}

/* A broker that is too small for a message which the other one may have. */
static void refuses(void)
{
	TeTime dwell;

	on_nats();
	te_route_down(&route, TE_VIA_KAFKA, now);
	te_route_refused(&route, TE_VIA_NATS, now);
	is_text(state(), "NATS", "where NATS is too small and Kafka is away, output waits");
	te_route_up(&route, TE_VIA_KAFKA, place(10), now);
	te_route_refused(&route, TE_VIA_NATS, now);
	is_text(state(), "KAFKA", "when it is there, output goes on that way");
	is_text(cause(), "REFUSED", "and says why");

	on_kafka();
	te_route_refused(&route, TE_VIA_KAFKA, now);
	is_text(state(), "KAFKA", "where Kafka is too small, output waits for the return");
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	acknowledging[TE_VIA_NATS] = false;
	dwell = route.record.dwell;
	for (int i = 0; i < 2000 && route.record.state != TE_ROUTE_DRAIN_BACK; i++)
		pass(50 * MSEC);
	te_route_refused(&route, TE_VIA_NATS, now);
	is_text(state(), "KAFKA", "a NATS that is too small ends a return at once");
	ok(route.record.dwell == 2 * dwell, "the next one comes later");
}

/* What Kafka was handed, and said nothing to, is known to the next worker. */
static void handed_to_kafka(void)
{
	TeRouteRecord stored;
	TeRouteCursors cursors;

	on_kafka();
	acknowledging[TE_VIA_KAFKA] = false;
	te_route_committed(&route, place(25));
	work();
	ok(sent_kafka == 25, "Kafka is handed messages");
	pass(6 * SEC);
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	te_route_tick(&route, now);
	is_text(state(), "NATS", "and is left because it says nothing");
	stored = route.record;
	cursors = te_route_cursors(&route);
	ok(cursors.acked[TE_VIA_KAFKA].seq == 20, "its cursor stays where it was");
	te_route_init(&route, &settings, &stored, &cursors, place(25), 1, now);
	ok(route.peers[TE_VIA_KAFKA].furthest.seq == 25,
	   "after a restart it may still have all that it was handed");
}

/* The oldest counts, though newer acknowledgements come. */
static void trickles(void)
{
	on_nats();
	acknowledging[TE_VIA_NATS] = false;
	te_route_committed(&route, place(1000));
	work();
	for (int i = 1; i < 20; i++) {
		pass(100 * MSEC);
		te_route_acked(&route, TE_VIA_NATS, place(10 + (uint64_t)i), now);
	}
	is_text(state(), "SUSPECT", "acknowledgements that trickle in are no health");
}

/* Connected again and again, but nothing is ever acknowledged. */
static void hangs(void)
{
	TeTime begun;

	on_nats();
	acknowledging[TE_VIA_NATS] = false;
	te_route_committed(&route, place(11));
	work();
	begun = now;
	while (route.record.state != TE_ROUTE_KAFKA && now < begun + 20 * SEC) {
		pass(50 * MSEC);
		if (!route.peers[TE_VIA_NATS].up)
			te_route_up(&route, TE_VIA_NATS, place(10), now);
	}
	ok(now - begun < 5 * SEC, "a broker that only connects is left within five seconds");
	ok(sent_kafka == 11, "and Kafka has the message");
}

static void fails_over(void)
{
	TeRouteOrder order;
	uint64_t version;

	on_nats();
	te_route_down(&route, TE_VIA_NATS, now);
	is_text(cause(), "DISCONNECTED", "a cut is trouble");
	te_route_committed(&route, place(20));
	pass(2990 * MSEC);
	is_text(state(), "SUSPECT", "which is waited for");
	now += 10 * MSEC;
	te_route_tick(&route, now);
	is_text(state(), "KAFKA", "for three seconds");
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_STORE && route.record.route_epoch == 2, "a new route epoch");
	te_route_stored(&route, route.record.version);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_MARK && order.marker.route_epoch == 2 &&
	       order.marker.from_via == TE_VIA_NATS && order.marker.to_via == TE_VIA_KAFKA &&
	       order.marker.place.seq == 10,
	   "a marker comes first");
	work();
	ok(sent_kafka == 20 && te_route_cursors(&route).acked[TE_VIA_KAFKA].seq == 20,
	   "then all that NATS hasn't acknowledged");
	te_route_acked(&route, TE_VIA_NATS, place(10), now);
	pass(20 * SEC);
	ok(probes == 0, "NATS isn't probed yet");
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	pass(11 * SEC);
	is_text(state(), "HALF_OPEN", "after the dwell time it is");
	version = route.record.version;
	te_route_committed(&route, place(30));
	work();
	ok(sent_kafka == 30, "Kafka goes on meanwhile");
	pass(25 * SEC);
	ok(probes >= 5 && route.record.version == version, "five answers are not enough");
	pass(20 * SEC);
	is_text(state(), "NATS", "30 seconds of them are");
	ok(backfilled == 20 && sent_nats == 30, "NATS got all that it had missed");
	ok(route.record.route_epoch == 3 && marks == 2 && marker.to_via == TE_VIA_NATS &&
	       marker.place.seq == 30,
	   "in a new route epoch; the segment on Kafka has an end marker");
	ok(route.switches == 2, "two switches in all");
}

static void half_open_fails(void)
{
	on_kafka();
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	pass(40 * SEC);
	is_text(state(), "HALF_OPEN", "NATS is probed");
	te_route_down(&route, TE_VIA_NATS, now);
	is_text(state(), "KAFKA", "one failure is enough to go back");
	ok(route.record.route_epoch == 2 && route.switches == 1, "which is no switch");
	ok(route.probe_at - now >= 7500 * MSEC, "the next probe comes later");
	te_route_probing(&route, now);
	on_kafka();
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	pass(31 * SEC);
	te_route_probing(&route, now);
	now += 2 * SEC;
	te_route_tick(&route, now);
	is_text(cause(), "PROBE_FAILED", "silence is a failure");
}

static void draining_fails(void)
{
	TeTime dwell;

	on_kafka();
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	acknowledging[TE_VIA_NATS] = false;
	dwell = route.record.dwell;
	for (int i = 0; i < 2000 && route.record.state != TE_ROUTE_DRAIN_BACK; i++)
		pass(50 * MSEC);
	is_text(state(), "DRAIN_BACK", "NATS is being filled");
	ok(route.record.cut.seq == 20, "up to the cut");
	te_route_committed(&route, place(25));
	work();
	ok(sent_nats == 20 && sent_kafka == 20, "new messages wait");
	te_route_acked(&route, TE_VIA_NATS, place(15), now);
	te_route_down(&route, TE_VIA_NATS, now);
	is_text(state(), "KAFKA", "a cut ends it");
	work();
	ok(sent_kafka == 25, "Kafka goes on behind the cut");
	ok(route.record.dwell == 2 * dwell && route.record.route_epoch == 2,
	   "the dwell time is doubled");
	acknowledging[TE_VIA_NATS] = true;
	te_route_up(&route, TE_VIA_NATS, place(15), now);
	backfilled = 0;
	pass(110 * SEC);
	is_text(state(), "NATS", "the next attempt succeeds");
	ok(backfilled == 10, "and begins where the first ended");
}

static void both_dead(void)
{
	on_kafka();
	acknowledging[TE_VIA_KAFKA] = false;
	te_route_committed(&route, place(21));
	work();
	pass(5100 * MSEC);
	is_text(state(), "NONE", "Kafka is given up after five seconds without delivery");
	te_route_committed(&route, place(3000));
	pass(600 * SEC);
	ok(sent_kafka == 21, "nothing is sent");
	ok(route.released.seq < 3000, "and nothing is released: what expires needn't leave");
	acknowledging[TE_VIA_KAFKA] = true;
	te_route_up(&route, TE_VIA_KAFKA, place(20), now);
	work();
	is_text(state(), "KAFKA", "the first that comes back");
	ok(sent_kafka == 3000 && route.record.route_epoch == 2, "goes on, in the same route epoch");

	te_route_down(&route, TE_VIA_KAFKA, now);
	te_route_committed(&route, place(3010));
	pass(6 * SEC);
	te_route_up(&route, TE_VIA_NATS, place(10), now);
	work();
	is_text(state(), "NATS", "or the other");
	ok(sent_nats == 3010 && route.record.route_epoch == 3, "with everything that it has missed");
}

static void lost_tail(void)
{
	on_nats();
	te_route_down(&route, TE_VIA_NATS, now);
	te_route_up(&route, TE_VIA_NATS, place(4), now);
	work();
	ok(te_route_cursors(&route).acked[0].seq == 10 && sent_nats == 10,
	   "what the broker lost is sent again");
}

static void restarts(void)
{
	TeRouteRecord stored;
	TeRouteCursors cursors;

	on_kafka();
	stored = route.record;
	cursors = te_route_cursors(&route);
	cursors.acked[TE_VIA_KAFKA] = place(15);
	te_route_init(&route, &settings, &stored, &cursors, place(22), 1, now);
	is_text(state(), "KAFKA", "a restart goes on where it was");
	ok(route.record.route_epoch == 2 && route.record.version > stored.version, "in its epoch");
	sent_kafka = marks = 0;
	te_route_up(&route, TE_VIA_KAFKA, place(15), now);
	work();
	ok(sent_kafka == 22 && marks == 1, "behind its cursor, with the marker once more");

	stored.state = TE_ROUTE_NATS;
	stored.via = TE_VIA_NATS;
	te_route_init(&route, &settings, &stored, &cursors, place(22), 1, now);
	te_route_up(&route, TE_VIA_KAFKA, place(0), now);
	pass(3100 * MSEC);
	is_text(state(), "KAFKA", "a broker that is away at the start is left too");
	ok(route.record.route_epoch == 3, "with a switch");
}

static void one_transport(void)
{
	TeRouteCursors cursors = {0};

	fresh();
	settings.has_via[TE_VIA_KAFKA] = false;
	te_route_init(&route, &settings, NULL, &cursors, place(0), 1, now);
	te_route_committed(&route, place(7));
	pass(60 * SEC);
	is_text(state(), "NONE", "without Kafka there is nobody else");
	te_route_up(&route, TE_VIA_NATS, place(0), now);
	work();
	ok(sent_nats == 7 && route.record.route_epoch == 1, "NATS alone never switches");

	fresh();
	settings.has_via[TE_VIA_NATS] = false;
	te_route_init(&route, &settings, NULL, &cursors, place(0), 1, now);
	te_route_committed(&route, place(7));
	te_route_up(&route, TE_VIA_KAFKA, place(0), now);
	pass(100 * SEC);
	ok(sent_kafka == 7 && probes == 0, "and so does Kafka alone");
}

/* An epoch of the output ends at 50, another has begun. */
static void epochs_of_output(void)
{
	TeRouteCursors cursors = {.acked = {{1, 48}, {0, 0}}, .released = {1, 50}};
	TeRouteOrder order;

	fresh();
	te_route_init(&route, &settings, NULL, &cursors, (TePlace){2, 0}, 1, now);
	te_route_up(&route, TE_VIA_NATS, (TePlace){1, 48}, now);
	te_route_stored(&route, route.record.version);
	te_route_sent(&route, TE_VIA_NATS, (TePlace){1, 49}, now);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_SEND && order.alone && order.through.epoch == 1,
	   "the old epoch is sent to its end");
	te_route_sent(&route, TE_VIA_NATS, (TePlace){1, 50}, now);
	te_route_acked(&route, TE_VIA_NATS, (TePlace){1, 50}, now);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_RELEASE && order.through.epoch == 2, "the new one is released");
	te_route_released(&route, order.through);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_SEND && !order.alone && order.through.epoch == 2 &&
	       order.through.seq == 0,
	   "and may begin");
	te_route_nothing_until(&route, TE_VIA_NATS, order.through);
	te_route_next(&route, now, &order);
	ok(order.kind == TE_ORDER_NOTHING, "though it has nothing yet");
	te_route_committed(&route, (TePlace){2, 1});
	te_route_released(&route, (TePlace){2, 1});
	te_route_sent(&route, TE_VIA_NATS, (TePlace){2, 1}, now);
	ok(te_route_in_flight(&route, TE_VIA_NATS) == 1, "its first message is under way");
	te_route_acked(&route, TE_VIA_NATS, (TePlace){2, 1}, now);
	ok(te_route_in_flight(&route, TE_VIA_NATS) == 0, "and acknowledged");
	ok(te_route_release_with(&route, (TePlace){2, 2}).seq == 2,
	   "the next is released by its batch");
}

/* Connected for a second, cut for a second, for an hour, under load or without. */
static void toggles(bool load)
{
	TeTime last_switch = now;
	uint64_t seq = 10, switches;
	bool calm = true;

	on_nats();
	switches = route.switches;
	last_switch = now - 3600 * SEC;
	for (int second = 0; second < 3600; second++) {
		if (second % 2)
			te_route_up(&route, TE_VIA_NATS, te_route_cursors(&route).acked[0], now);
		else
			te_route_down(&route, TE_VIA_NATS, now);
		for (int i = 0; i < 20; i++) {
			if (load)
				te_route_committed(&route, place(++seq));
			work();
			pass(50 * MSEC);
			if (route.switches != switches) {
				calm =
					calm && route.switches == switches + 1 && now - last_switch >= settings.dwell;
				switches = route.switches;
				last_switch = now;
			}
		}
	}
	ok(calm, load ? "a toggling link: at most one switch per dwell time, under load"
	              : "and without load");
}

/* Any jump of the clock, in any state: no switch without cause. */
static void clock_jumps(void)
{
	static const TeTime jumps[] = {-86400 * SEC, -3600 * SEC, 3600 * SEC, 86400 * SEC};
	bool calm = true, back = true;

	for (int i = 0; i < 4; i++) {
		on_nats();
		now += jumps[i];
		te_route_tick(&route, now);
		work();
		calm = calm && route.record.state == TE_ROUTE_NATS;
		on_kafka();
		now += jumps[i];
		te_route_up(&route, TE_VIA_NATS, place(10), now);
		pass(240 * SEC);
		back = back && route.record.state == TE_ROUTE_NATS && sent_nats == 20;
	}
	ok(calm, "a clock that jumps is no trouble where nothing is under way");
	ok(back, "nor is it in the way of a return");
}

int main(void)
{
	settings_are_checked();
	settings_are_changed();
	starts();
	windows();
	suspects();
	refuses();
	handed_to_kafka();
	trickles();
	hangs();
	fails_over();
	half_open_fails();
	draining_fails();
	both_dead();
	lost_tail();
	restarts();
	one_transport();
	epochs_of_output();
	toggles(true);
	toggles(false);
	clock_jumps();
	return done_testing();
}
