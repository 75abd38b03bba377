/*
 * route_scripted.c - the output route over two scripted transports: failover and return, a link
 * that toggles, lost tails, crashes, a second writer; every message of the outbox in the end
 * on NATS, once, in order.
 */
#include "core/anchor.h"
#include "core/route.h"

#include "scripted_transport.h"
#include "tap.h"

#define MSEC INT64_C(1000)
#define SEC TE_USEC_PER_SEC
#define STEP (10 * MSEC)

/* What survives a crash. */
typedef struct Stored
{
	TeRouteRecord record;
	TeRouteCursors cursors;
	int64_t identity;
	uint64_t last; /* committed */
} Stored;

/* A lane's publisher: what a worker does between its batches. */
typedef struct Lane
{
	const char *installation;
	Stored stored;
	TeRoute route;
	TeTransport *transports[TE_VIA_COUNT];
	bool foreign;
	const char *reason;
	int64_t kafka_at; /* when Kafka had its first message */
} Lane;

static ScriptedBroker *brokers[TE_VIA_COUNT];
static int64_t now;

static TePlace place(uint64_t seq)
{
	return (TePlace){1, seq};
}

static void lane_start(Lane *lane)
{
	TeTransportConfig config;

	te_transport_config_init(&config);
	config.installation = lane->installation;
	config.want_input = false;
	for (int via = 0; via < TE_VIA_COUNT; via++)
		lane->transports[via] = scripted_transport(brokers[via], &config);
	te_route_init(&lane->route, &te_route_settings_default,
	              lane->stored.record.version ? &lane->stored.record : NULL, &lane->stored.cursors,
	              place(lane->stored.last), 1, now);
}

static void lane_stop(Lane *lane)
{
	for (int via = 0; via < TE_VIA_COUNT; via++)
		te_transport_destroy(lane->transports[via]);
}

static void begin(Lane *lane)
{
	*lane = (Lane){.installation = "ours"};
	now = 100 * SEC;
	for (int via = 0; via < TE_VIA_COUNT; via++)
		brokers[via] = scripted_broker();
	lane_start(lane);
}

static void end(Lane *lane)
{
	lane_stop(lane);
	for (int via = 0; via < TE_VIA_COUNT; via++)
		scripted_broker_free(brokers[via]);
}

/* A batch of messages is committed, and released as its row says. */
static void commit(Lane *lane, uint64_t count)
{
	TePlace released;

	lane->stored.last += count;
	released = te_route_release_with(&lane->route, place(lane->stored.last));
	lane->stored.cursors = te_route_cursors(&lane->route);
	lane->stored.cursors.released = released;
	te_route_committed(&lane->route, place(lane->stored.last));
	te_route_released(&lane->route, released);
}

/* The end of the broker's stream, judged. */
static void judge_anchor(Lane *lane, TeVia via)
{
	TeTransport *t = lane->transports[via];
	const TeOutputAnchor *anchor = te_transport_output_anchor(t);
	TeOutputStored stored = {
		.installation = lane->installation,
		.identity = lane->stored.identity,
		.cursor = te_route_cursors(&lane->route).acked[via],
		.last = place(lane->stored.last),
		.oldest = place(0),
	};
	TeOutputSeen seen = {
		.identity = anchor->stream_created,
		.found = anchor->found,
		.exhausted = anchor->exhausted,
		.installation = anchor->installation,
		.lane = anchor->lane,
		.place = {anchor->epoch, anchor->seq},
	};
	TeOutputJudgement j = te_anchor_judge_output(&stored, &seen);

	if (j.outcome == TE_ANCHOR_OUTPUT_FOREIGN) {
		lane->foreign = true;
		lane->reason = j.reason;
		return;
	}
	lane->stored.identity = via == TE_VIA_NATS ? anchor->stream_created : lane->stored.identity;
	te_transport_resume_output(t, anchor->last_stream_seq, now);
	te_route_up(&lane->route, via, j.has, now);
}

static void send_ordered(Lane *lane, const TeRouteOrder *order)
{
	char text[32];
	uint64_t seq = order->after.seq;
	TeOutputMessage m = {.subject = "trading.signals.0.acme.u1.EURUSD", .data = text, .hash = text};

	if (order->through.seq == 0)
		te_route_nothing_until(&lane->route, order->via, order->through);
	for (uint32_t i = 0; i < order->room && seq < order->through.seq; i++) {
		seq++;
		m.len = (size_t)snprintf(text, sizeof(text), "message %d", (int)seq);
		m.epoch = 1;
		m.seq = seq;
		if (te_transport_publish(lane->transports[order->via], &m, now) != TE_PUBLISH_OK)
			return;
		te_route_sent(&lane->route, order->via, place(seq), now);
		if (order->via == TE_VIA_KAFKA && lane->kafka_at == 0)
			lane->kafka_at = now;
	}
}

static void probe(Lane *lane)
{
	te_route_probing(&lane->route, now);
	if (!te_transport_probe(lane->transports[TE_VIA_NATS], now))
		te_route_probed(&lane->route, false, now);
}

/* True: something was done, there may be more. */
static bool follow_order(Lane *lane)
{
	TeRouteOrder order;

	te_route_next(&lane->route, now, &order);
	switch (order.kind) {
	case TE_ORDER_NOTHING:
		return false;
	case TE_ORDER_RECONNECT:
		te_transport_reconnect(lane->transports[order.via], "the route distrusts it", now);
		te_route_down(&lane->route, order.via, now);
		break;
	case TE_ORDER_STORE:
		lane->stored.record = lane->route.record;
		te_route_stored(&lane->route, lane->route.record.version);
		break;
	case TE_ORDER_RELEASE:
		lane->stored.cursors.released = order.through;
		te_route_released(&lane->route, order.through);
		break;
	case TE_ORDER_SEND:
		send_ordered(lane, &order);
		te_transport_flush(lane->transports[order.via], now);
		return order.room > 0 && te_route_in_flight(&lane->route, order.via) == 0;
	case TE_ORDER_MARK:
		te_route_marked(&lane->route);
		break;
	case TE_ORDER_PROBE:
		probe(lane);
		break;
	}
	return true;
}

static void turn(Lane *lane)
{
	if (lane->foreign)
		return;
	for (int via = 0; via < TE_VIA_COUNT; via++) {
		TeTransport *t = lane->transports[via];
		unsigned events = te_transport_process(t, now, true, true);

		if (events & TE_EVENT_DISCONNECTED)
			te_route_down(&lane->route, (TeVia)via, now);
		if (events & TE_EVENT_OUTPUT_ANCHOR)
			judge_anchor(lane, (TeVia)via);
		if (events & TE_EVENT_ACKED)
			te_route_acked(&lane->route, (TeVia)via, place(te_transport_acked(t).seq), now);
		if (events & TE_EVENT_PROBED)
			te_route_probed(&lane->route, te_transport_probe_result(t), now);
	}
	te_route_tick(&lane->route, now);
	for (int i = 0; i < 100 && !lane->foreign && follow_order(lane); i++)
		;
}

/* So long; some messages are committed in each second. */
static void run(Lane *lane, int64_t length, uint64_t each_second)
{
	for (int64_t until = now + length; now < until; now += STEP) {
		if (each_second > 0 && now % (SEC / (int64_t)each_second) < STEP)
			commit(lane, 1);
		turn(lane);
	}
}

static const char *state(const Lane *lane)
{
	return te_route_state_enum.labels[lane->route.record.state];
}

/* Is the outbox, up to its end, what the stream has? */
static bool complete(const Lane *lane)
{
	const ScriptedStream *out = &brokers[TE_VIA_NATS]->output;
	char text[32];

	if (out->last != lane->stored.last)
		return false;
	for (uint64_t seq = 1; seq <= out->last; seq++) {
		snprintf(text, sizeof(text), "message %d", (int)seq);
		if (out->messages[seq - 1]->seq != seq || strcmp(out->messages[seq - 1]->data, text) != 0)
			return false;
	}
	return true;
}

static void frozen_nats(void)
{
	Lane lane;
	int64_t frozen_at;

	begin(&lane);
	run(&lane, 5 * SEC, 20);
	is_text(state(&lane), "NATS", "all is well");
	frozen_at = now;
	scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_FREEZE, 0);
	run(&lane, 20 * SEC, 20);
	is_text(state(&lane), "KAFKA", "NATS is frozen");
	ok(lane.kafka_at - frozen_at < 5 * SEC, "Kafka has the first message within five seconds");
	printf("# after %d ms\n", (int)((lane.kafka_at - frozen_at) / MSEC));
	scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_THAW, 0);
	run(&lane, 120 * SEC, 20);
	is_text(state(&lane), "NATS", "and back");
	run(&lane, SEC, 0);
	ok(complete(&lane), "without loss, repetition or disorder");
	ok(lane.route.switches == 2, "two switches");
	end(&lane);
}

static void toggling_link(void)
{
	Lane lane;
	uint64_t switches = 0;
	int64_t switched_at = 0;
	bool calm = true;

	begin(&lane);
	for (int second = 0; second < 300; second++) {
		scripted_at(brokers[TE_VIA_NATS], now, second % 2 ? SCRIPT_UP : SCRIPT_DOWN, 0);
		for (int i = 0; i < 10; i++) {
			run(&lane, 100 * MSEC, 20);
			if (lane.route.switches == switches)
				continue;
			calm = calm && (switches == 0 || now - switched_at >= 30 * SEC);
			switches = lane.route.switches;
			switched_at = now;
		}
	}
	ok(calm, "a link that toggles each second: at most one switch per dwell time");
	printf("# %d switches in 300 s\n", (int)switches);
	scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_UP, 0);
	run(&lane, 700 * SEC, 1);
	run(&lane, 5 * SEC, 0);
	ok(complete(&lane), "and nothing is lost");
	end(&lane);
}

static void crashes(void)
{
	Lane lane;
	bool good = true;

	begin(&lane);
	scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_DELAY_ACKS, 300 * MSEC);
	for (int n = 0; n < 50; n++) {
		run(&lane, (100 + 37 * n) * MSEC, 50);
		lane_stop(&lane);
		if (n % 7 == 3)
			scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_LOSE_OUTPUT, 20);
		now += 200 * MSEC;
		lane_start(&lane);
	}
	run(&lane, 200 * SEC, 1);
	run(&lane, 5 * SEC, 0);
	good = complete(&lane);
	ok(good, "fifty crashes and some lost tails: NATS has every message once, in order");
	end(&lane);
}

static void both_down(void)
{
	Lane lane;

	begin(&lane);
	run(&lane, 2 * SEC, 10);
	for (int via = 0; via < TE_VIA_COUNT; via++)
		scripted_at(brokers[via], now, SCRIPT_DOWN, 0);
	run(&lane, 600 * SEC, 10);
	is_text(state(&lane), "NONE", "both are down for ten minutes");
	ok(te_route_in_flight(&lane.route, TE_VIA_NATS) <= 1000, "what is under way is bounded");
	scripted_at(brokers[TE_VIA_KAFKA], now, SCRIPT_UP, 0);
	run(&lane, 10 * SEC, 10);
	ok(brokers[TE_VIA_KAFKA]->output.last >= 6000, "the first that is back has the backlog");
	scripted_at(brokers[TE_VIA_NATS], now, SCRIPT_UP, 0);
	run(&lane, 120 * SEC, 10);
	run(&lane, SEC, 0);
	ok(complete(&lane), "and in the end NATS has all of it");
	end(&lane);
}

/* A copy of the database that was taken some time ago is started beside the lane. */
static void second_engine(void)
{
	Lane lane, copy;
	uint64_t had;

	begin(&lane);
	run(&lane, 5 * SEC, 10);
	copy = (Lane){.installation = "ours", .stored = lane.stored};
	run(&lane, 5 * SEC, 10);
	had = brokers[TE_VIA_NATS]->output.last;
	lane_start(&copy);
	run(&copy, 60 * SEC, 10);
	ok(copy.foreign, "a copy that lags is foreign");
	is_text(copy.reason, "the broker has output that this database doesn't know", "it says why");
	ok(brokers[TE_VIA_NATS]->output.last == had && brokers[TE_VIA_KAFKA]->output.last == 0,
	   "and has sent nothing, to neither");
	lane_stop(&copy);

	copy = (Lane){.installation = "theirs", .stored = lane.stored};
	lane_start(&copy);
	run(&copy, 60 * SEC, 10);
	ok(copy.foreign && brokers[TE_VIA_NATS]->output.last == had, "another installation too");
	lane_stop(&copy);
	run(&lane, 60 * SEC, 10);
	run(&lane, SEC, 0);
	ok(complete(&lane), "the lane itself goes on");
	end(&lane);
}

int main(void)
{
	frozen_nats();
	toggling_link();
	crashes();
	both_down();
	second_engine();
	return done_testing();
}
