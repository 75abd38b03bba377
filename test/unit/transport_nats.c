/*
 * The NATS transport against a real server: order, exactly once over kills, a frozen server, a
 * changed stream, and what it does to the threads and signals of its process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_fixture.h"

#include <nats/nats.h>

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
	sleep_ms(20); /* the connecting thread ends */
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

	caller_init(&c, make_transport(&server, NULL));
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

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	server_init(&server);
	test_server_down_at_start();
	test_threads();
	test_order();
	server_remove(&server);
	nats_CloseAndWait(5000);
	return done_testing();
}
