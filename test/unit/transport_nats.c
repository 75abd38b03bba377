/*
 * The NATS transport against a real server: order, exactly once over kills, a frozen server, a
 * changed stream, and what it does to the threads and signals of its process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_fixture.h"

#include <nats/nats.h>
#include <openssl/evp.h>

#define INPUT_SUBJECT "trading.predictions.acme.u1"
#define MANY 50000

static Server server;

static void with_secret(TeTransportConfig *config)
{
	static char url[128];

	snprintf(url, sizeof(url), "nats://engine:open-sesame@127.0.0.1:%d", server.port);
	config->url = url;
}

static void test_server_down_at_start(void)
{
	Caller c;
	int64_t start = now_us();

	caller_init(&c, make_transport(&server, with_secret));
	CALLER_UNTIL(&c, 20, te_transport_stats(c.t)->connect_failures >= 5);
	/* 50 to 100 ms, then twice as long each time: at least 50 + 100 + 200 + 400 between five. */
	ok(now_us() - start >= 750000, "a server that is down is tried again, less and less often");
	ok(strstr(te_transport_stats(c.t)->last_error, "127.0.0.1") != NULL,
	   "the error names the server");
	ok(strstr(te_transport_stats(c.t)->last_error, "sesame") == NULL, "and no password");
	printf("# %s\n", te_transport_stats(c.t)->last_error);
	server_start(&server);
	CALLER_UNTIL(&c, 10, caller_running(&c));
	ok(c.last_input_anchor.outcome == TE_INPUT_FRESH && c.last_input_anchor.start_seq == 1,
	   "the first anchor of a new stream is FRESH and starts at 1");
	ok(!c.last_output_anchor.found && c.last_output_anchor.last_stream_seq == 0,
	   "a new output stream has no anchor");
	ok(te_transport_stats(c.t)->server_id[0] == 'N', "the server's id is known");
	ok(strstr(te_transport_stats(c.t)->server_url, "sesame") == NULL,
	   "the URL of the statistics has no password");
	te_transport_destroy(c.t);
}

/* Every thread but this one must have all signals blocked that can be. */
static void test_threads(void)
{
	Caller c;
	DIR *tasks;
	struct dirent *entry;
	int threads = 0, open_masks = 0, turns = 0;

	caller_init(&c, make_transport(&server, NULL));
	CALLER_UNTIL(&c, 10, caller_running(&c));
	(void)entries_in_the_end("/proc/self/task", IDLE_TASKS); /* the connecting thread ends */
	tasks = opendir("/proc/self/task");
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], line[128];
		unsigned long long mask = 0;
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		threads++;
		if (atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		f = fopen(path, "r");
		while (fgets(line, sizeof(line), f) != NULL)
			sscanf(line, "SigBlk: %llx", &mask);
		fclose(f);
		/* all but SIGKILL, SIGSTOP and the two that the C library keeps for itself */
		if (mask != 0xfffffffe7ffbfeffULL)
			open_masks++;
	}
	closedir(tasks);
#ifdef __SANITIZE_THREAD__
	threads--; /* the sanitizer's own */
#endif
	is_exactly(threads, 4, "four threads: ours and three idle ones of libnats");
	is_exactly(open_masks, 0, "no other thread can receive a signal");
	c.events = 0;
	for (int64_t until = now_us() + 300000; now_us() < until; turns++)
		caller_turn(&c, 1000);
	ok(turns < 10, "with nothing to do, nothing is done");
	te_transport_destroy(c.t);
}

static void test_order(void)
{
	Caller c;
	Plain p;
	int64_t start;

	plain_open(&p, &server);
	start = now_us();
	plain_produce(&p, INPUT_SUBJECT, "in", 1, MANY);
	printf("# %d inputs produced in %lld ms\n", MANY, (long long)(now_us() - start) / 1000);
	plain_close(&p);

	caller_init(&c, make_transport(&server, be_patient));
	c.publish_to = MANY;
	start = now_us();
	CALLER_UNTIL(&c, 60, c.inputs >= MANY);
	printf("# read after %lld ms\n", (long long)(now_us() - start) / 1000);
	CALLER_UNTIL(&c, 60, caller_acked(&c) == MANY);
	printf("# written after %lld ms\n", (long long)(now_us() - start) / 1000);
	is_exactly(c.inputs, MANY, "every input came once");
	is_exactly(c.in_out_of_order, 0, "in order");
	is_exactly((double)te_transport_stats(c.t)->lost, 0, "none is missing");
	ok(te_transport_stats(c.t)->disconnects == 0, "on one connection");
	ok(output_is_exactly(&server, MANY, 0), "every output is in the stream once, in order");
	te_transport_destroy(c.t);
}

/* Headers of the last message of the output stream, decoded by the broker's client. */
static void last_output_headers(char *headers, size_t size)
{
	static unsigned char decoded[4096];
	Plain p;
	const char *hdrs;
	size_t len;
	int n;

	plain_open(&p, &server);
	hdrs = strstr(plain_request(&p, "$JS.API.STREAM.MSG.GET.trading_output_0",
	                            "{\"last_by_subj\":\"trading.signals.0.acme.u1.EURUSD\"}"),
	              "\"hdrs\":\"");
	if (hdrs == NULL)
		bail_out("the last output has no headers");
	len = strcspn(hdrs + 8, "\"");
	n = EVP_DecodeBlock(decoded, (const unsigned char *)hdrs + 8, (int)len);
	snprintf(headers, size, "%.*s", n, (const char *)decoded);
	plain_close(&p);
}

static void test_route_headers(void)
{
	Caller c;
	char headers[1024];
	TeOutputMessage m = {.subject = "trading.signals.0.acme.u1.EURUSD",
	                     .data = "routed",
	                     .len = 6,
	                     .epoch = 1,
	                     .hash = "abcdef0123456789",
	                     .route_epoch = 12,
	                     .backfill = true};

	caller_init(&c, make_transport(&server, NULL));
	CALLER_UNTIL(&c, 10, caller_running(&c));
	last_output_headers(headers, sizeof(headers));
	ok(strstr(headers, "te-route") == NULL && strstr(headers, "te-backfill") == NULL,
	   "an output without a route doesn't speak of one");
	m.seq = c.publish_next;
	ok(te_transport_publish(c.t, &m, now_us()) == TE_PUBLISH_OK &&
	       te_transport_mark(c.t, &(TeOutputMark){.data = "", .route_epoch = 12}, now_us()) ==
	           TE_PUBLISH_OK,
	   "NATS keeps no marks");
	CALLER_UNTIL(&c, 10, caller_acked(&c) == m.seq);
	last_output_headers(headers, sizeof(headers));
	ok(strstr(headers, "te-route: 12\r\n") != NULL && strstr(headers, "te-backfill: 1\r\n") != NULL,
	   "route epoch and back-filling are in the headers");
	te_transport_destroy(c.t);
}

/* Two engines of one identity, each of which the broker tells that it has what both send. */
static void test_second_writer(void)
{
	Caller first, second;
	uint64_t duplicates;

	caller_init(&first, make_transport(&server, NULL));
	caller_init(&second, make_transport(&server, NULL));
	CALLER_UNTIL(&first, 10, caller_running(&first));
	CALLER_UNTIL(&second, 10, caller_running(&second));
	first.publish_to = first.publish_next;
	CALLER_UNTIL(&first, 10, caller_acked(&first) == first.publish_to);
	duplicates = te_transport_stats(second.t)->duplicates;
	second.furthest = second.publish_to = second.publish_next;
	CALLER_UNTIL(&second, 10, caller_acked(&second) == second.publish_to);
	ok(te_transport_stats(second.t)->duplicates == duplicates + 1,
	   "what may have been sent before is a repetition");

	first.publish_to++;
	CALLER_UNTIL(&first, 10, caller_acked(&first) == first.publish_to);
	second.events = 0;
	second.publish_to++;
	CALLER_UNTIL(&second, 10, (second.events & TE_EVENT_RIVAL) != 0);
	ok((second.events & TE_EVENT_DISCONNECTED) != 0 &&
	       strncmp(te_transport_stats(second.t)->last_error,
	               "another engine writes as this one: ", 35) == 0,
	   "what was not is a rival's");
	ok(caller_running(&first) && (first.events & TE_EVENT_RIVAL) == 0, "who was first goes on");
	te_transport_destroy(first.t);
	te_transport_destroy(second.t);
}

static void probe_until_known(Caller *c)
{
	c->events = 0;
	ok(te_transport_probe(c->t, now_us()), "a probe begins");
	ok(!te_transport_probe(c->t, now_us()), "no other beside it");
	CALLER_UNTIL(c, 10, (c->events & TE_EVENT_PROBED) != 0);
}

static void test_probe(void)
{
	Caller c;
	Plain p;
	const char *info;

	caller_init(&c, make_transport(&server, NULL));
	ok(!te_transport_probe(c.t, now_us()), "without a connection nothing is probed");
	CALLER_UNTIL(&c, 10, caller_running(&c));
	for (int i = 0; i < 3; i++) {
		probe_until_known(&c);
		ok(te_transport_probe_result(c.t), "and is acknowledged");
	}
	plain_open(&p, &server);
	info = plain_request(&p, "$JS.API.STREAM.INFO.trading_probe", "");
	ok(strstr(info, "\"messages\":1,") != NULL && strstr(info, "\"last_seq\":3,") != NULL,
	   "the stream, which was made, keeps one message of the lane");
	plain_request(&p, "$JS.API.STREAM.DELETE.trading_probe", "");
	plain_request(&p, "$JS.API.STREAM.CREATE.trading_probe",
	              "{\"name\":\"trading_probe\",\"subjects\":[\"other.probe\"]}");
	plain_close(&p);
	te_transport_reconnect(c.t, "test", now_us());
	CALLER_UNTIL(&c, 10, caller_running(&c));
	probe_until_known(&c);
	ok(!te_transport_probe_result(c.t) &&
	       strstr(te_transport_stats(c.t)->last_error, "lacks the subject trading.probe.*") != NULL,
	   "a stream without the subject is named");
	ok(caller_running(&c), "and harms nobody else");

	kill(server.pid, SIGSTOP);
	c.events = 0;
	ok(te_transport_probe(c.t, now_us()), "a probe of a frozen server");
	CALLER_UNTIL(&c, 10, (c.events & TE_EVENT_PROBED) != 0);
	ok(!te_transport_probe_result(c.t), "fails by itself");
	kill(server.pid, SIGCONT);
	te_transport_destroy(c.t);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	server_init(&server);
	test_server_down_at_start();
	test_threads();
	test_order();
	test_route_headers();
	test_second_writer();
	test_probe();
	server_remove(&server);
	nats_CloseAndWait(5000);
	return done_testing();
}
