/*
 * transport_scripted.c - the scripted transport keeps the promises of transport.h, so that what is
 * tested over it is tested over a transport.
 */
#include "scripted_transport.h"

#include "tap.h"

#define MSEC INT64_C(1000)
#define SEC INT64_C(1000000)

static ScriptedBroker *broker;
static TeTransport *t;
static TeTransportConfig config;
static int64_t now;

static TeTransport *writer(const char *installation)
{
	te_transport_config_init(&config);
	config.installation = installation;
	config.lane = 1;
	config.output_window = 4;
	return scripted_transport(broker, &config);
}

static void start(void)
{
	now = 0;
	broker = scripted_broker();
	t = writer("ours");
}

static void end(void)
{
	te_transport_destroy(t);
	scripted_broker_free(broker);
}

static unsigned process(void)
{
	return te_transport_process(t, now, true, true);
}

/* Connected, both directions resumed where the anchors say. */
static void run(TeTransport *transport)
{
	unsigned events = te_transport_process(transport, now, true, true);

	while (!(events & TE_EVENT_OUTPUT_ANCHOR)) {
		now = te_transport_deadline(transport);
		events = te_transport_process(transport, now, true, true);
	}
	te_transport_resume_input(transport, 0, te_transport_input_anchor(transport)->start_seq, now);
	te_transport_resume_output(transport, te_transport_output_anchor(transport)->last_stream_seq,
	                           now);
}

static TePublishResult publish(TeTransport *transport, uint64_t epoch, uint64_t seq)
{
	char text[32];
	TeOutputMessage m = {.subject = "trading.signals.1.acme.u1.EURUSD", .epoch = epoch, .seq = seq};

	m.len = (size_t)snprintf(text, sizeof(text), "%d/%d", (int)epoch, (int)seq);
	m.data = text;
	m.hash = text;
	return te_transport_publish(transport, &m, now);
}

/* Read all that is there; the newest sequence, and how many. */
static int read_all(uint64_t *last)
{
	TeInputMessage m;
	int n = 0;

	while (te_transport_next_input(t, &m)) {
		*last = m.seq;
		n++;
	}
	return n;
}

static void inputs(int count)
{
	for (int i = 0; i < count; i++)
		(void)scripted_input(broker, "trading.predictions.acme.u1", "text", 4);
}

static void connecting(void)
{
	start();
	scripted_at(broker, 0, SCRIPT_DOWN, 0);
	scripted_at(broker, 500 * MSEC, SCRIPT_UP, 0);
	ok(process() == 0, "a broker that is down");
	ok(te_transport_stats(t)->state == TE_TRANSPORT_DISCONNECTED &&
	       te_transport_stats(t)->connect_failures == 1,
	   "is not connected");
	ok(te_transport_deadline(t) == 100 * MSEC, "and tried again");
	now = 100 * MSEC;
	(void)process();
	ok(te_transport_deadline(t) == 300 * MSEC, "less and less often");
	ok(publish(t, 1, 1) == TE_PUBLISH_NOT_READY, "nothing is sent meanwhile");
	run(t);
	ok(now == 700 * MSEC && te_transport_stats(t)->connects == 1, "until it is there");
	ok(te_transport_input_anchor(t) == NULL, "an anchor is gone when it was answered");
	end();
}

static void reading(void)
{
	uint64_t last = 0;

	start();
	inputs(3);
	ok(process() == (TE_EVENT_CONNECTED | TE_EVENT_INPUT_ANCHOR | TE_EVENT_OUTPUT_ANCHOR),
	   "both anchors wait");
	ok(te_transport_input_anchor(t)->outcome == TE_INPUT_FRESH, "nothing was read before");
	ok(read_all(&last) == 0, "nor is anything handed out before the input is resumed");
	run(t);
	ok(process() & TE_EVENT_INPUT, "there is input");
	ok(read_all(&last) == 3 && last == 3, "all of it, in order");
	te_transport_release_input(t, 1);
	te_transport_rewind_input(t);
	ok(read_all(&last) == 2, "what wasn't released comes again");
	te_transport_release_input(t, 2);
	scripted_at(broker, now, SCRIPT_CUT, 0);
	ok(process() == TE_EVENT_DISCONNECTED, "a cut");
	inputs(2);
	run(t);
	ok(read_all(&last) == 2 && last == 5, "reading goes on behind it");
	end();
}

static void damaged_input(void)
{
	uint64_t last = 0;
	TeInputMessage m;

	start();
	inputs(10);
	run(t);
	for (int i = 0; i < 10; i++) {
		(void)te_transport_next_input(t, &m);
		te_transport_release_input(t, 1);
	}
	scripted_at(broker, now, SCRIPT_LOSE_INPUT, 4);
	(void)process();
	inputs(6); /* 7 to 12, numbers that were read with other content */
	now += SEC;
	(void)process();
	ok(te_transport_input_anchor(t)->outcome == TE_INPUT_LOST_TAIL &&
	       te_transport_input_anchor(t)->matched.seq == 6,
	   "a lost tail is seen though its numbers are used again");
	run(t);
	ok(read_all(&last) == 6 && last == 12, "and nothing new is missed");

	inputs(5);
	scripted_at(broker, now, SCRIPT_DISCARD_INPUT, 14);
	(void)process();
	ok(te_transport_next_input(t, &m) && m.seq == 15 && m.lost_from == 13 && m.lost_to == 14,
	   "what is discarded unread is named by the next message");
	scripted_at(broker, now, SCRIPT_NEW_INPUT, 0);
	(void)process();
	inputs(1);
	now += 5 * SEC;
	(void)process();
	ok(te_transport_input_anchor(t)->outcome == TE_INPUT_FRESH, "a stream made anew is seen");
	run(t);
	ok(read_all(&last) == 1 && last == 1, "and read from its start");
	end();
}

static void writing(void)
{
	start();
	run(t);
	ok(publish(t, 1, 1) == TE_PUBLISH_OK && publish(t, 1, 2) == TE_PUBLISH_OK, "two messages");
	ok(publish(t, 1, 4) == TE_PUBLISH_BAD_ORDER, "a hole is refused");
	ok(publish(t, 1, 3) == TE_PUBLISH_OK && publish(t, 2, 1) == TE_PUBLISH_OK, "an epoch begins");
	ok(publish(t, 2, 2) == TE_PUBLISH_FULL, "the window is full");
	ok(process() & TE_EVENT_ACKED, "acknowledgements come");
	ok(te_transport_acked(t).epoch == 2 && te_transport_acked(t).seq == 1 &&
	       te_transport_acked(t).stream_seq == 4,
	   "for all of them");
	ok(strcmp(scripted_at_seq(&broker->output, 3)->data, "1/3") == 0, "the stream has their bytes");

	scripted_at(broker, now, SCRIPT_DROP_ACKS, 1);
	(void)process();
	ok(publish(t, 2, 2) == TE_PUBLISH_OK, "one whose acknowledgement is lost");
	(void)process();
	now += SEC;
	ok(process() == TE_EVENT_DISCONNECTED, "ends the connection");
	now += SEC;
	(void)process();
	ok(te_transport_output_anchor(t)->epoch == 2 && te_transport_output_anchor(t)->seq == 2,
	   "the anchor has it");
	run(t);
	scripted_at(broker, now, SCRIPT_REFUSE, 1);
	(void)process();
	(void)publish(t, 2, 3);
	ok(process() == TE_EVENT_DISCONNECTED && broker->output.last == 5, "an error does so too");
	scripted_at(broker, now, SCRIPT_LOSE_OUTPUT, 2);
	now += SEC;
	(void)process();
	run(t);
	ok(broker->output.last == 3, "a lost tail is gone");
	end();
}

static void frozen(void)
{
	uint64_t last;

	start();
	run(t);
	scripted_at(broker, now, SCRIPT_FREEZE, 0);
	(void)process();
	inputs(1);
	ok(read_all(&last) == 0, "a frozen broker gives nothing");
	(void)publish(t, 1, 1);
	now += 999 * MSEC;
	ok(process() == 0, "takes nothing");
	now += MSEC;
	ok(process() == TE_EVENT_DISCONNECTED, "and is left after a second without acknowledgement");
	now += 100 * MSEC;
	(void)process();
	now += 3 * SEC;
	(void)process();
	ok(te_transport_stats(t)->connect_failures == 1, "connecting takes its time and fails");
	scripted_at(broker, now, SCRIPT_THAW, 0);
	run(t);
	ok(broker->output.last == 0, "what was under way is lost");
	scripted_at(broker, now, SCRIPT_FREEZE, 0);
	(void)process();
	now = te_transport_deadline(t);
	ok(process() == TE_EVENT_DISCONNECTED, "silence is noticed without output too");
	end();
}

static void two_writers(void)
{
	TeTransport *other;

	start();
	other = writer("theirs");
	run(t);
	run(other);
	(void)publish(t, 1, 1);
	(void)process();
	(void)publish(other, 1, 1);
	ok(te_transport_process(other, now, true, true) == TE_EVENT_DISCONNECTED &&
	       broker->output.last == 1,
	   "of two writers one is refused");
	now += SEC;
	(void)te_transport_process(other, now, true, true);
	is_text(te_transport_output_anchor(other)->installation, "ours", "and learns of the other");
	te_transport_destroy(other);
	ok(te_transport_publish_plain(t, "trading.control.heartbeat", "", 0) &&
	       broker->plain_count == 1,
	   "plain messages pass");
	te_transport_reconnect(t, "settings changed", now);
	ok(!te_transport_publish_plain(t, "trading.control.heartbeat", "", 0), "or are dropped");
	is_text(te_transport_stats(t)->last_error, "settings changed", "the reason is kept");
	end();
}

static void probing(void)
{
	TeOutputMark mark = {.data = "mark", .len = 4, .route_epoch = 7};

	start();
	ok(!te_transport_probe(t, now), "without a connection nothing is probed");
	ok(te_transport_mark(t, &mark, now) == TE_PUBLISH_NOT_READY, "nor marked");
	run(t);
	ok(te_transport_probe(t, now) && !te_transport_probe(t, now), "one probe at a time");
	ok(process() == TE_EVENT_PROBED && te_transport_probe_result(t) && broker->probes == 1,
	   "is acknowledged");
	scripted_at(broker, now, SCRIPT_FREEZE, 0);
	(void)process();
	(void)te_transport_probe(t, now);
	now += 2 * SEC - 1;
	ok(!(process() & TE_EVENT_PROBED), "a frozen broker");
	now++;
	ok(process() & TE_EVENT_PROBED && !te_transport_probe_result(t), "doesn't answer in time");
	scripted_at(broker, now, SCRIPT_THAW, 0);
	(void)process();
	(void)te_transport_probe(t, now);
	scripted_at(broker, now, SCRIPT_CUT, 0);
	ok(process() == (TE_EVENT_DISCONNECTED | TE_EVENT_PROBED) && !te_transport_probe_result(t),
	   "a lost connection fails the probe");
	run(t);
	(void)publish(t, 1, 1);
	ok(te_transport_mark(t, &mark, now) == TE_PUBLISH_OK && broker->mark_count == 1 &&
	       broker->marks[0].behind == 1 && broker->marks[0].route_epoch == 7,
	   "a mark lies behind what was published before it");
	end();
}

int main(void)
{
	connecting();
	reading();
	damaged_input();
	writing();
	frozen();
	two_writers();
	probing();
	return done_testing();
}
