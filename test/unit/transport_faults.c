/*
 * Everything that can go wrong with a broker, done to a real one.  Each test ends with a full
 * account: what was read, what the stream holds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_fixture.h"

#include <nats/nats.h>

#define INPUT_SUBJECT "trading.predictions.acme.u1"
#define INPUT_STREAM "trading_input"
#define OUTPUT_STREAM "trading_output_0"

static Server server;

static void start_fresh(void)
{
	server_init(&server);
	server_start(&server);
}

static void produce(int from, int to)
{
	Plain p;

	plain_open(&p, &server);
	plain_produce(&p, INPUT_SUBJECT, "in", from, to);
	plain_close(&p);
}

static void api(const char *subject, const char *body)
{
	Plain p;
	const char *answer;

	plain_open(&p, &server);
	answer = plain_request(&p, subject, body);
	if (strstr(answer, "\"error\"") != NULL)
		bail_out("%s: %s", subject, answer);
	plain_close(&p);
}

/* A caller on a transport whose streams exist and which is running. */
static void open_caller(Caller *c, void (*change)(TeTransportConfig *config))
{
	caller_init(c, make_transport(&server, change));
	CALLER_UNTIL(c, 10, caller_running(c));
}

/*
 * The broker dies in the middle of both directions, again and again.  A producer adds inputs
 * between the deaths; outputs are published all the time.
 */
static void test_kill(void)
{
	enum { ROUNDS = 8, INPUTS = 4000, OUTPUTS = 40000 };
	Caller c;
	int produced = 0, descriptors, threads;

	start_fresh();
	open_caller(&c, NULL);
	threads = entries_in_the_end("/proc/self/task", IDLE_TASKS); /* the connecting thread ends */
	descriptors = count_entries("/proc/self/fd");
	c.publish_to = OUTPUTS;
	for (int round = 1; round <= ROUNDS; round++) {
		uint64_t acked = caller_acked(&c);
		int64_t listening;

		produce(produced + 1, produced + INPUTS);
		produced += INPUTS;
		c.read_inputs = round % 2 == 0; /* half of the deaths find messages in the ring */
		for (int64_t until = now_us() + 1000000;
		     caller_acked(&c) < acked + 2000 && caller_acked(&c) < OUTPUTS && now_us() < until;)
			caller_turn(&c, 5);
		c.read_inputs = true;
		server_kill(&server);
		for (int i = 0; i < 20; i++)
			caller_turn(&c, 5);
		server_start(&server);
		listening = now_us();
		while (!caller_running(&c) && now_us() < listening + 20000000)
			caller_turn(&c, 20);
		if (!ok(now_us() - listening < 8000000,
		        "runs again within seconds after the broker listens"))
			printf("# %lld ms\n", (long long)(now_us() - listening) / 1000);
	}
	CALLER_UNTIL(&c, 20, c.inputs >= produced);
	CALLER_UNTIL(&c, 20, caller_acked(&c) == OUTPUTS);
	is_exactly(c.inputs, produced, "every input was read once over all deaths");
	is_exactly(c.in_out_of_order, 0, "and in order");
	ok(te_transport_stats(c.t)->disconnects >= ROUNDS, "each death was noticed");
	ok(output_is_exactly(&server, OUTPUTS, 0), "every output is there once, in order");
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "same",
	        "the position was found again");
	is_exactly(entries_in_the_end("/proc/self/task", threads), threads, "no thread is left");
	is_exactly(entries_in_the_end("/proc/self/fd", descriptors), descriptors,
	           "no descriptor leaked");
	te_transport_destroy(c.t);
	server_remove(&server);
}

static void with_small_times(TeTransportConfig *config)
{
	config->heartbeat = 200000;
	config->request_timeout = 500000;
	config->ack_timeout = 500000;
	config->connect_timeout = 600000;
}

static bool gave_up(Caller *c)
{
	return strstr(te_transport_stats(c->t)->last_error, "give") != NULL ||
	       te_transport_stats(c->t)->connect_failures > 0;
}

/* A frozen broker, with socket buffers that fill up, never holds the caller. */
static void test_frozen_output(void)
{
	enum { BEFORE = 100, OUTPUTS = 3000, PADDING = 20000 };
	Caller c;
	int64_t frozen, waited, noticed;

	start_fresh();
	open_caller(&c, with_small_times);
	c.padding = PADDING;
	c.publish_to = BEFORE;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == BEFORE);
	kill(server.pid, SIGSTOP);
	c.publish_to = OUTPUTS;
	c.slowest = 0;
	c.events = 0;
	frozen = now_us();
	waited = waited_us();
	while (!(c.events & TE_EVENT_DISCONNECTED) && now_us() < frozen + 20000000)
		caller_turn(&c, 20);
	noticed = waited_us() - waited;
	printf("# noticed after %lld ms, %u in flight before\n", (long long)noticed / 1000,
	       (unsigned)(c.publish_next - BEFORE));
	ok(noticed < 2000000, "a frozen broker is noticed by its missing acknowledgements");
	for (int64_t until = now_us() + 2500000; now_us() < until;)
		caller_turn(&c, 20);
	printf("# slowest call %lld us\n", (long long)c.slowest);
	ok(c.slowest < 1000000, "no call waited for the frozen broker");
	for (int64_t until = now_us() + 20000000; !gave_up(&c) && now_us() < until;)
		caller_turn(&c, 20);
	ok(gave_up(&c), "attempts to reach it are given up");
	kill(server.pid, SIGCONT);
	CALLER_UNTIL(&c, 20, caller_acked(&c) == OUTPUTS);
	ok(output_is_exactly(&server, OUTPUTS, PADDING), "every output is there once, in order");
	te_transport_destroy(c.t);
	server_remove(&server);
}

/* One output is too few to be left in any buffer: leaving the broker takes no time either. */
static void test_frozen_single_output(void)
{
	Caller c;
	int64_t frozen;

	start_fresh();
	open_caller(&c, with_small_times);
	c.publish_to = 1;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 1);
	kill(server.pid, SIGSTOP);
	c.publish_to = 2;
	c.slowest = 0;
	c.events = 0;
	frozen = now_us();
	while (!(c.events & TE_EVENT_DISCONNECTED) && now_us() < frozen + 20000000)
		caller_turn(&c, 20);
	printf("# slowest call %lld us\n", (long long)c.slowest);
	ok(c.slowest < 400000,
	   "with nothing left to write, no call waits to part from a frozen broker");
	te_transport_destroy(c.t);
	kill(server.pid, SIGCONT);
	server_remove(&server);
}

/* With nothing to publish, the missing heartbeats of the input tell. */
static void test_frozen_idle(void)
{
	Caller c;
	int64_t frozen, waited, noticed, gone;

	start_fresh();
	open_caller(&c, with_small_times);
	caller_turn(&c, 20);
	for (int64_t until = now_us() + 1500000; now_us() < until;)
		caller_turn(&c, 20);
	ok(te_transport_stats(c.t)->disconnects == 0, "an idle connection stays up");
	kill(server.pid, SIGSTOP);
	c.events = 0;
	frozen = now_us();
	waited = waited_us();
	while (!(c.events & TE_EVENT_DISCONNECTED) && now_us() < frozen + 20000000)
		caller_turn(&c, 20);
	noticed = waited_us() - waited;
	ok(noticed < 2500000, "a frozen broker is noticed by its missing heartbeats");
	printf("# noticed after %lld ms\n", (long long)noticed / 1000);
	for (int64_t until = now_us() + 500000; now_us() < until;)
		caller_turn(&c, 20);
	gone = waited_us();
	te_transport_destroy(c.t);
	ok(waited_us() - gone < 400000, "destroying doesn't wait for the frozen broker");
	kill(server.pid, SIGCONT);
	server_remove(&server);
}

static void with_position(Caller *c, TeInputPosition position)
{
	te_transport_seed_input(c->t, NULL, &position, 1);
}

/* What the broker discarded while nobody read is reported to the message. */
static void test_purge(void)
{
	Caller c;
	TeInputPosition position;

	start_fresh();
	open_caller(&c, NULL);
	produce(1, 100);
	CALLER_UNTIL(&c, 10, c.inputs == 100);
	position = c.position;
	te_transport_destroy(c.t);
	produce(101, 300);
	api("$JS.API.STREAM.PURGE." INPUT_STREAM, "{\"seq\":251}");

	caller_init(&c, make_transport(&server, NULL));
	with_position(&c, position);
	c.in_last = 250;
	CALLER_UNTIL(&c, 10, c.inputs == 50);
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "gap", "a purge is a GAP");
	is_exactly((double)c.last_input_anchor.lost_from, 101, "that begins after the position");
	is_exactly((double)c.last_input_anchor.lost_to, 250, "and ends before what is left");
	is_exactly((double)c.last_input_anchor.start_seq, 251, "where reading goes on");
	is_exactly(c.in_out_of_order, 0, "without repeating or losing more");
	is_exactly((double)c.lost_from, 0, "the range is not reported a second time");

	/* Holes that appear while it runs: messages deleted one by one. */
	c.read_inputs = false;
	produce(301, 310);
	CALLER_UNTIL(&c, 10, te_transport_stats(c.t)->input_held == 10);
	te_transport_destroy(c.t);
	api("$JS.API.STREAM.MSG.DELETE." INPUT_STREAM, "{\"seq\":304}");
	api("$JS.API.STREAM.MSG.DELETE." INPUT_STREAM, "{\"seq\":305}");
	position = c.position;
	caller_init(&c, make_transport(&server, NULL));
	with_position(&c, position);
	c.in_last = 300;
	CALLER_UNTIL(&c, 10, c.inputs == 8);
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "same", "a hole is no GAP");
	is_exactly((double)c.lost_from, 304, "the message behind a hole says where it begins");
	is_exactly((double)c.lost_to, 305, "and where it ends");
	is_exactly((double)te_transport_stats(c.t)->lost, 2, "and the missing are counted");
	is_exactly(c.in_last, 310, "reading went on");
	te_transport_destroy(c.t);
	server_remove(&server);
}

/* A stream of the same name is not the same stream. */
static void test_recreated(void)
{
	Caller c;
	int64_t created;

	start_fresh();
	open_caller(&c, with_small_times);
	produce(1, 50);
	c.publish_to = 50;
	CALLER_UNTIL(&c, 10, c.inputs == 50 && caller_acked(&c) == 50);
	created = c.last_input_anchor.stream_created;
	ok(created == c.position.stream_created, "a message names the stream that it came from");
	api("$JS.API.STREAM.DELETE." INPUT_STREAM, "");
	c.in_last = 0;
	CALLER_UNTIL(&c, 10, c.input_anchors == 2);
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "fresh",
	        "a stream that was made anew is FRESH");
	ok(c.last_input_anchor.stream_created != created, "with another time of creation");
	is_exactly((double)c.last_input_anchor.stored.seq, 50, "the old position is told");
	is_exactly((double)c.last_input_anchor.start_seq, 1, "reading starts at 1");
	CALLER_UNTIL(&c, 10, caller_running(&c));
	produce(1, 20);
	CALLER_UNTIL(&c, 10, c.inputs == 70);
	is_exactly(c.in_out_of_order, 0, "every message of the new stream is read");

	api("$JS.API.STREAM.DELETE." OUTPUT_STREAM, "");
	c.publish_to = 60; /* the first of them finds no stream */
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 60);
	ok(!c.last_output_anchor.found, "an output stream that was made anew has no anchor");
	ok(output_is_exactly(&server, 60, 0), "and is filled again from the first output");
	te_transport_destroy(c.t);
	server_remove(&server);
}

/* The broker lost the end of its file: sequences will be used again for other content. */
static void test_lost_tail(void)
{
	Caller c;
	TeInputPosition positions[3], wrong;

	start_fresh();
	open_caller(&c, NULL);
	produce(1, 30);
	CALLER_UNTIL(&c, 10, c.inputs == 30);
	positions[0] = positions[1] = positions[2] = c.position;
	te_transport_destroy(c.t);

	/* Committed at 90 and 60, which the broker has lost, and at 30, which it still has. */
	positions[0].seq = 90;
	positions[1].seq = 60;
	caller_init(&c, make_transport(&server, NULL));
	te_transport_seed_input(c.t, NULL, positions, 3);
	c.in_last = 30;
	produce(31, 40);
	CALLER_UNTIL(&c, 10, c.inputs == 10);
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "lost_tail",
	        "a stream that ends before the position lost its tail");
	is_exactly((double)c.last_input_anchor.matched.seq, 30,
	           "the newest position that it still has is found");
	is_exactly((double)c.last_input_anchor.start_seq, 31, "reading goes on behind that");
	is_exactly(c.in_out_of_order, 0, "the new messages are read");
	te_transport_destroy(c.t);

	/* The sequence exists, but it is another message now, and no older position is known. */
	wrong = c.position;
	wrong.seq = 35;
	wrong.message_time -= 5000000;
	caller_init(&c, make_transport(&server, NULL));
	with_position(&c, wrong);
	CALLER_UNTIL(&c, 10, c.inputs == 40);
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "lost_tail",
	        "another message at the position is a lost tail too");
	is_exactly((double)c.last_input_anchor.matched.seq, 0, "nothing that is known matches");
	is_exactly((double)c.last_input_anchor.start_seq, 1, "so it is read from the start");
	te_transport_destroy(c.t);
	server_remove(&server);
}

/* Somebody else wrote to the output stream: the chain stops before the next message lands. */
static void test_second_writer(void)
{
	Caller c, zombie;

	start_fresh();
	open_caller(&c, NULL);
	c.publish_to = 10;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 10);
	{
		Plain p;

		plain_open(&p, &server);
		plain_produce(&p, "trading.signals.0.mallory.u.X", "foreign", 1, 2);
		plain_close(&p);
	}
	c.publish_to = 20;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 20);
	is_exactly((double)te_transport_stats(c.t)->disconnects, 1, "the chain broke once");
	ok(strstr(te_transport_stats(c.t)->last_error, "wrong last sequence") != NULL,
	   "because the stream had moved");
	is_exactly((double)c.last_output_anchor.skipped, 2, "messages of others are skipped");
	is_exactly((double)c.last_output_anchor.seq, 10, "our last output is found behind them");
	is_exactly((double)c.last_output_anchor.last_stream_seq, 12, "the stream's end is told");
	is_text(c.last_output_anchor.hash, "abcdef0123456789", "with its hash");
	is_text(c.last_output_anchor.installation, "0b5a6b0e-7a31-4f4b-9a53-1a2b3c4d5e6f",
	        "and its installation");

	/* Two engines that both believe they own the lane: only one can be right about the end. */
	open_caller(&zombie, NULL);
	zombie.auto_resume = false;
	zombie.publish_next = 900;
	zombie.publish_to = 901;
	c.publish_to = 30;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 30);
	CALLER_UNTIL(&zombie, 10, te_transport_stats(zombie.t)->disconnects == 1);
	is_exactly((double)caller_acked(&zombie), 0, "a writer that is behind lands nothing");
	te_transport_destroy(zombie.t);
	te_transport_destroy(c.t);
	server_remove(&server);
}

static void with_little_memory(TeTransportConfig *config)
{
	config->input_ring = 16;
	config->output_window = 4;
}

/* Credit and window are what bounds memory; released and acknowledged, they come back. */
static void test_bounds(void)
{
	Caller c;
	TeInputMessage m;
	TeOutputMessage out = {.subject = "trading.signals.0.a.u.X",
	                       .data = "x",
	                       .len = 1,
	                       .epoch = 1,
	                       .seq = 1,
	                       .hash = "00"};
	char *huge = calloc(1, 9 * 1024 * 1024);
	int full = 0;

	start_fresh();
	open_caller(&c, with_little_memory);
	c.read_inputs = false;
	produce(1, 100);
	CALLER_UNTIL(&c, 10, te_transport_stats(c.t)->input_held == 16);
	for (int64_t until = now_us() + 400000; now_us() < until;)
		caller_turn(&c, 20);
	is_exactly(te_transport_stats(c.t)->input_held, 16, "the ring fills to its size, no further");
	for (int i = 1; i <= 5; i++)
		ok(te_transport_next_input(c.t, &m) && m.seq == (uint64_t)i, "the next message");
	te_transport_rewind_input(c.t);
	ok(te_transport_next_input(c.t, &m) && m.seq == 1, "after a rewind the first comes again");
	te_transport_release_input(c.t, 100);
	is_exactly(te_transport_stats(c.t)->input_held, 15, "only what was handed out can be released");
	c.read_inputs = true;
	c.in_last = 1;
	CALLER_UNTIL(&c, 10, c.in_last == 100);
	is_exactly(c.in_out_of_order, 0, "the rest flows through the small ring in order");

	while (te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_OK) {
		out.seq++;
		full++;
	}
	is_exactly(full, 4, "the window takes its size");
	ok(te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_FULL, "and then is full");
	out.seq = 7;
	ok(te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_BAD_ORDER,
	   "a sequence that doesn't follow is refused");
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 4);
	out.seq = 5;
	out.data = huge;
	out.len = 9 * 1024 * 1024;
	ok(te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_TOO_LARGE,
	   "more than the broker takes is refused");
	out.len = 8 * 1024 * 1024 - 10;
	ok(te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_TOO_LARGE, "headers count as well");
	out.len = 1;
	ok(te_transport_publish(c.t, &out, now_us()) == TE_PUBLISH_OK, "and nothing is lost by that");
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 5);
	ok(te_transport_publish_plain(c.t, "trading.control.heartbeat", "x", 1),
	   "a plain message is sent");
	te_transport_destroy(c.t);
	free(huge);
	server_remove(&server);
}

static void with_small_buffer(TeTransportConfig *config)
{
	config->input_buffer_bytes = 1;
	be_patient(config);
}

/* The input buffer is bounded in bytes, but never below two of the largest messages. */
static void test_large_inputs(void)
{
	enum { COUNT = 40, SIZE = 3 * 1024 * 1024 };
	Caller c;
	Plain p;
	char *data = malloc(SIZE);
	size_t header_len, len;
	unsigned most = 0;

	start_fresh();
	open_caller(&c, with_small_buffer);
	plain_open(&p, &server);
	memset(data, ' ', SIZE);
	for (int i = 1; i <= COUNT; i++) {
		data[snprintf(data, 20, "in %d", i)] = ' ';
		plain_text(&p, "PUB " INPUT_SUBJECT " plain.a %d\r\n", SIZE);
		plain_write(&p, data, SIZE);
		plain_text(&p, "\r\n");
		plain_message(&p, &header_len, &len);
	}
	plain_close(&p);
	c.read_inputs = false;
	CALLER_UNTIL(&c, 10, te_transport_stats(c.t)->input_held >= 1);
	for (int64_t until = now_us() + 500000; now_us() < until;) {
		caller_turn(&c, 20);
		if (te_transport_stats(c.t)->input_held > most)
			most = te_transport_stats(c.t)->input_held;
	}
	printf("# %u messages of 3 MB held\n", most);
	ok(most >= 1 && most <= 6, "large messages are held only up to the bound in bytes");
	c.read_inputs = true;
	CALLER_UNTIL(&c, 20, c.inputs == COUNT);
	is_exactly(c.in_out_of_order, 0, "and all come through in order");
	is_exactly((double)te_transport_stats(c.t)->disconnects, 0, "on one connection");
	te_transport_destroy(c.t);
	free(data);
	server_remove(&server);
}

/* Something listens and says nothing: the attempt is given up, and its thread comes back. */
static void test_silent_listener(void)
{
	Caller c;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t until;

	memset(&server, 0, sizeof(server));
	server.port = free_port();
	snprintf(server.url, sizeof(server.url), "nats://127.0.0.1:%d", server.port);
	address.sin_port = htons((uint16_t)server.port);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0)
		bail_out("cannot listen");
	caller_init(&c, make_transport(&server, with_small_times));
	for (until = now_us() + 2500000; now_us() < until;)
		caller_turn(&c, 20);
	CALLER_UNTIL(&c, 20, te_transport_stats(c.t)->connect_failures >= 2); /* it is given up */
	ok(te_transport_stats(c.t)->abandoned <= 4, "few threads hang");
	ok(c.slowest < 400000, "no call waits for it");
	printf("# %s; %u abandoned\n", te_transport_stats(c.t)->last_error,
	       te_transport_stats(c.t)->abandoned);
	te_transport_destroy(c.t);
	close(fd);
	caller_init(&c, make_transport(&server, NULL));
	for (until = now_us() + 20000000; te_transport_stats(c.t)->abandoned > 0 && now_us() < until;)
		sleep_ms(10);
	is_exactly(te_transport_stats(c.t)->abandoned, 0, "every thread comes back in the end");
	te_transport_destroy(c.t);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	test_kill();
	test_frozen_output();
	test_frozen_single_output();
	test_frozen_idle();
	test_purge();
	test_recreated();
	test_lost_tail();
	test_second_writer();
	test_bounds();
	test_large_inputs();
	test_silent_listener();
	nats_CloseAndWait(5000);
	return done_testing();
}
