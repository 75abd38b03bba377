/*
 * The Kafka transport against librdkafka's mock cluster: order over many partitions and two topics,
 * stored positions, brokers that go away, anchors, and what it does to the process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/anchor.h"
#include "transport/transport.h"

#include "clock.h"
#include "tap.h"

#define LANE 1
#define PARTITIONS 4
#define INSTALLATION "0b5a6b0e-7a31-4f4b-9a53-1a2b3c4d5e6f"
#define SEC INT64_C(1000000)

static rd_kafka_t *host; /* of the mock cluster, and the plain producer */
static rd_kafka_mock_cluster_t *cluster;

static void bail_out(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[200];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		bail_out(error);
}

static rd_kafka_t *plain_client(rd_kafka_type_t type)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[200];
	rd_kafka_t *rk;

	set(conf, "log_level", "0");
	if (cluster != NULL)
		set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
	if (type == RD_KAFKA_CONSUMER) {
		set(conf, "group.id", "plain");
		set(conf, "enable.partition.eof", "true");
		set(conf, "enable.auto.commit", "false");
	} else {
		set(conf, "enable.idempotence", "true");
	}
	if ((rk = rd_kafka_new(type, conf, error, sizeof(error))) == NULL)
		bail_out(error);
	return rk;
}

static void start_cluster(int brokers)
{
	static const char *const inputs[] = {"trading.predictions", "trading.market",
	                                     "trading.executions"};
	static const char *const outputs[] = {"trading.signals", "trading.commands", "trading.resent"};

	cluster = NULL;
	host = plain_client(RD_KAFKA_PRODUCER);
	cluster = rd_kafka_mock_cluster_new(host, brokers);
	for (int i = 0; i < 3; i++)
		rd_kafka_mock_topic_create(cluster, inputs[i], PARTITIONS, brokers);
	for (int i = 0; i < 3; i++)
		rd_kafka_mock_topic_create(cluster, outputs[i], 3, brokers);
	rd_kafka_mock_topic_create(cluster, "trading.control", 1, brokers);
}

static void stop_cluster(void)
{
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(host);
}

/* Messages "<from>".."<to>" to a partition, all acknowledged at return. */
static void produce(const char *topic, int partition, int from, int to)
{
	rd_kafka_t *rk = plain_client(RD_KAFKA_PRODUCER);

	for (int i = from; i <= to; i++) {
		char text[32], subject[64];

		snprintf(text, sizeof(text), "%d", i);
		snprintf(subject, sizeof(subject), "%s.acme.u%d", topic, partition);
		if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
		                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		                      RD_KAFKA_V_VALUE(text, strlen(text)),
		                      RD_KAFKA_V_HEADER("te-subject", subject, -1),
		                      RD_KAFKA_V_END) != RD_KAFKA_RESP_ERR_NO_ERROR)
			bail_out("the plain producer's queue is full");
	}
	if (rd_kafka_flush(rk, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
		bail_out("the plain producer's messages were not taken");
	rd_kafka_destroy(rk);
}

/*----------------------------------------------------------------------
 * The caller
 *----------------------------------------------------------------------*/

#define STREAMS (3 * PARTITIONS)

typedef struct Caller
{
	TeTransport *t;
	unsigned events;
	bool hold; /* input is handed out, and neither released nor counted */

	TeInputAnchor anchors[STREAMS]; /* the last of each stream */
	char names[STREAMS][64];
	int anchor_count;            /* in all */
	TeInputPosition at[STREAMS]; /* last message of each */
	int last[STREAMS];           /* the number in it */
	int inputs, out_of_order, wrong_subject;

	uint64_t publish_to, publish_next, epoch;
	TeOutputAnchor output_anchor;
	int output_anchors;
	int64_t slowest; /* inside the transport */
} Caller;

static TeTransport *make_transport(void (*change)(TeTransportConfig *config))
{
	TeTransportConfig config;
	char error[TE_TRANSPORT_ERROR_SIZE] = "";
	TeTransport *t;

	te_transport_config_init(&config);
	config.url = rd_kafka_mock_cluster_bootstraps(cluster);
	config.installation = INSTALLATION;
	config.lane = LANE;
	config.lanes = 2;
	config.replicas = 0;
	config.ack_timeout = 5 * SEC;
	if (change != NULL)
		change(&config);
	t = te_kafka_create(&config, error, sizeof(error));
	if (t == NULL)
		bail_out(error);
	return t;
}

static void caller_init(Caller *c, void (*change)(TeTransportConfig *config))
{
	memset(c, 0, sizeof(*c));
	c->t = make_transport(change);
	c->publish_next = c->epoch = 1;
}

static void answer_anchors(Caller *c)
{
	const TeInputAnchor *anchor;

	while ((anchor = te_transport_input_anchor(c->t)) != NULL) {
		c->anchors[anchor->stream] = *anchor;
		snprintf(c->names[anchor->stream], sizeof(c->names[0]), "%s", anchor->stream_name);
		if (anchor->outcome == TE_INPUT_LOST_TAIL || anchor->outcome == TE_INPUT_FRESH)
			c->last[anchor->stream] = 0;
		c->anchor_count++;
		te_transport_resume_input(c->t, anchor->stream, anchor->start_seq, now_us());
	}
	if (te_transport_output_anchor(c->t) != NULL) {
		c->output_anchor = *te_transport_output_anchor(c->t);
		c->output_anchors++;
		c->publish_next = c->output_anchor.found ? c->output_anchor.seq + 1 : 1;
		/* A store would know the cursor from before this transport. */
		if (c->output_anchor.sparse && te_transport_acked(c->t).seq > 0 &&
		    te_transport_acked(c->t).seq + 1 < c->publish_next)
			c->publish_next = te_transport_acked(c->t).seq + 1;
		te_transport_resume_output(c->t, c->output_anchor.last_stream_seq, now_us());
	}
}

static void count_input(Caller *c, const TeInputMessage *m)
{
	char subject[64];
	int number = atoi(m->data);

	snprintf(subject, sizeof(subject), "%.*s.acme.u%s", (int)strcspn(c->names[m->stream], "/"),
	         c->names[m->stream], strchr(c->names[m->stream], '/') + 1);
	c->wrong_subject += strcmp(m->subject, subject) != 0;
	c->out_of_order += number != c->last[m->stream] + 1;
	c->last[m->stream] = number;
	c->at[m->stream] = (TeInputPosition){m->stream_created, m->seq, m->message_time};
	c->inputs++;
}

static void read_inputs(Caller *c)
{
	TeInputMessage m;
	unsigned count = 0;

	for (; !c->hold && count < 500 && te_transport_next_input(c->t, &m); count++)
		count_input(c, &m);
	te_transport_release_input(c->t, count);
}

/* Every third is a command. */
static TePublishResult publish_one(Caller *c)
{
	char data[32], subject[80];
	TeOutputMessage m = {.subject = subject,
	                     .data = data,
	                     .epoch = c->epoch,
	                     .seq = c->publish_next,
	                     .hash = "abcdef0123456789",
	                     .route_epoch = 3};
	TePublishResult result;

	m.len = (size_t)snprintf(data, sizeof(data), "out %llu", (unsigned long long)m.seq);
	snprintf(subject, sizeof(subject), "trading.%s.%d.acme.u1.EURUSD",
	         m.seq % 3 == 0 ? "commands" : "signals", LANE);
	result = te_transport_publish(c->t, &m, now_us());
	if (result == TE_PUBLISH_OK)
		c->publish_next++;
	return result;
}

static void turn(Caller *c, int ms)
{
	TeTransportFds fds;
	struct pollfd set;
	int64_t deadline = te_transport_deadline(c->t), waited, wait;

	wait = deadline <= now_us() ? 0 : (deadline - now_us()) / 1000 + 1;
	te_transport_poll(c->t, &fds);
	set = (struct pollfd){.fd = fds.wake_fd, .events = POLLIN};
	poll(&set, 1, wait < ms ? (int)wait : ms);
	waited = waited_us();
	c->events |= te_transport_process(c->t, now_us(), false, false);
	answer_anchors(c);
	read_inputs(c);
	while (c->publish_next <= c->publish_to && publish_one(c) == TE_PUBLISH_OK)
		;
	waited = waited_us() - waited;
	if (waited > c->slowest)
		c->slowest = waited;
}

#define UNTIL(c, seconds, condition)                                                               \
	for (int64_t until_ = now_us() + (seconds)*SEC; !(condition) && now_us() < until_;)            \
		turn((c), 20);                                                                             \
	ok((condition), #condition)

static bool running(Caller *c)
{
	const TeTransportStats *stats = te_transport_stats(c->t);

	return stats->state == TE_TRANSPORT_READY && stats->input_resumed && stats->output_resumed;
}

static uint64_t acked(Caller *c)
{
	return te_transport_acked(c->t).seq;
}

/*----------------------------------------------------------------------
 * What is in the topics
 *----------------------------------------------------------------------*/

#define READ_MAX 20000

typedef struct Output
{
	uint64_t first[READ_MAX]; /* first occurrences, in order */
	int count, repeated, disordered, wrong, marks;
	bool seen[READ_MAX];
} Output;

static const char *header(const rd_kafka_message_t *m, const char *name)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;

	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
	    rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return "";
	return value;
}

static void look_at_output(Output *o, const rd_kafka_message_t *m, const char *topic)
{
	uint64_t seq = strtoull(header(m, "te-seq"), NULL, 10);
	char text[32], id[128];

	if (header(m, "te-marker")[0] != '\0') {
		o->marks++;
		return;
	}
	snprintf(text, sizeof(text), "out %llu", (unsigned long long)seq);
	snprintf(id, sizeof(id), "%s/%d/1/%llu", INSTALLATION, LANE, (unsigned long long)seq);
	if (seq == 0 || seq >= READ_MAX || m->len != strlen(text) ||
	    memcmp(m->payload, text, m->len) != 0 || strcmp(header(m, "Nats-Msg-Id"), id) != 0 ||
	    strcmp(header(m, "te-lane"), "1") != 0 || strcmp(header(m, "te-epoch"), "1") != 0 ||
	    strcmp(header(m, "te-route"), "3") != 0 || m->key_len != 4 ||
	    memcmp(m->key, "acme", 4) != 0 || strncmp(header(m, "te-subject"), topic, strlen(topic)) ||
	    (strcmp(topic, "trading.commands") == 0) != (seq % 3 == 0)) {
		o->wrong++;
		return;
	}
	if (o->seen[seq]) {
		o->repeated++;
		return;
	}
	o->seen[seq] = true;
	if (o->count > 0 && o->first[o->count - 1] >= seq)
		o->disordered++;
	o->first[o->count++] = seq;
}

/* The lane's partition of a topic, from start to end. */
static void read_topic(const char *topic, Output *o)
{
	rd_kafka_t *rk = plain_client(RD_KAFKA_CONSUMER);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	bool ended = false;

	memset(o, 0, sizeof(*o));
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_add(list, topic, LANE)->offset = 0;
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	for (int64_t until = now_us() + 20 * SEC; !ended && now_us() < until;) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);

		if (m == NULL)
			continue;
		ended = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			look_at_output(o, m, topic);
		rd_kafka_message_destroy(m);
	}
	if (!ended)
		bail_out("a topic can't be read to its end");
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

/* Is 1..last in the two topics, in order, repeated or not? */
static bool output_is_complete(uint64_t last, bool may_repeat, int marks)
{
	static Output signals, commands;
	uint64_t missing = 0;

	read_topic("trading.signals", &signals);
	read_topic("trading.commands", &commands);
	for (uint64_t seq = 1; seq <= last; seq++)
		missing += !(seq % 3 == 0 ? commands.seen : signals.seen)[seq];
	if (missing + (uint64_t)(signals.wrong + commands.wrong + signals.disordered +
	                         commands.disordered) ==
	        0 &&
	    (may_repeat || signals.repeated + commands.repeated == 0) &&
	    signals.count + commands.count == (int)last && signals.marks >= marks &&
	    commands.marks >= marks)
		return true;
	printf("# missing %llu, wrong %d, disordered %d, repeated %d, counts %d + %d, marks %d, %d\n",
	       (unsigned long long)missing, signals.wrong + commands.wrong,
	       signals.disordered + commands.disordered, signals.repeated + commands.repeated,
	       signals.count, commands.count, signals.marks, commands.marks);
	return false;
}

/*----------------------------------------------------------------------
 * Tests
 *----------------------------------------------------------------------*/

static void test_order(void)
{
	static const char *const topics[] = {"trading.predictions", "trading.market",
	                                     "trading.executions"};
	Caller c;
	TeOutputMark mark = {.data = "mark", .len = 4, .route_epoch = 3};
	bool sorted = true;

	start_cluster(3);
	for (int i = 0; i < 3; i++)
		for (int p = 0; p < PARTITIONS; p++)
			produce(topics[i], p, 1, 500);
	caller_init(&c, NULL);
	ok(te_transport_publish(c.t, &(TeOutputMessage){0}, now_us()) == TE_PUBLISH_NOT_READY,
	   "nothing is published before there is a connection");
	UNTIL(&c, 20, running(&c));
	is_exactly(c.anchor_count, STREAMS, "each partition has an anchor");
	for (int i = 1; i < STREAMS; i++)
		sorted = sorted && strcmp(c.names[i - 1], c.names[i]) < 0;
	ok(sorted, "their streams are in the order of their names");
	ok(c.anchors[0].outcome == TE_INPUT_FRESH && c.anchors[0].start_seq == 1 &&
	       c.anchors[0].last_seq == 500,
	   "one that was never read is FRESH");
	ok(!c.output_anchor.found && c.output_anchor.last_stream_seq == 0, "no output yet");
	UNTIL(&c, 20, c.inputs == STREAMS * 500);
	is_exactly(c.out_of_order, 0, "everything was read, in the order of each partition");
	is_exactly(c.wrong_subject, 0, "with the subject of its header");
	UNTIL(&c, 5, te_transport_stats(c.t)->input_pending == 0);
	ok(te_transport_mark(c.t, &mark, now_us()) == TE_PUBLISH_OK, "a mark");
	c.publish_to = 10000;
	UNTIL(&c, 30, acked(&c) == 10000);
	ok(te_transport_stats(c.t)->in_flight == 0, "nothing is under way any more");
	ok(te_transport_publish_plain(c.t, "trading.control.resend.p1", "x", 1), "a plain message");
	ok(!te_transport_publish_plain(c.t, "trading.other", "x", 1), "that has no topic is dropped");
	ok(!te_transport_probe(c.t, now_us()), "Kafka isn't probed");
	ok(output_is_complete(10000, false, 1), "both topics have each output once, in order, marked");
	printf("# slowest turn %lld us\n", (long long)c.slowest);
	te_transport_destroy(c.t);
}

/* Positions as a store keeps them: another transport goes on behind them. */
static void test_stored_positions(void)
{
	Caller c, d;

	caller_init(&c, NULL);
	c.publish_to = 0;
	UNTIL(&c, 20, c.inputs == STREAMS * 500);
	te_transport_destroy(c.t);
	produce("trading.market", 2, 501, 700);
	caller_init(&d, NULL);
	for (int i = 0; i < STREAMS; i++) {
		te_transport_seed_input(d.t, c.names[i], &c.at[i], 1);
		d.last[i] = c.last[i];
	}
	UNTIL(&d, 20, running(&d));
	for (int i = 0; i < STREAMS; i++)
		if (d.anchors[i].outcome != TE_INPUT_SAME || d.anchors[i].start_seq != 501)
			ok(false, "a stored position is the SAME");
	ok(d.output_anchor.found && d.output_anchor.epoch == 1 && d.output_anchor.seq == 10000 &&
	       d.output_anchor.lane == LANE && strcmp(d.output_anchor.installation, INSTALLATION) == 0,
	   "the output's anchor is the newest message of both topics");
	is_text(d.output_anchor.hash, "abcdef0123456789", "with its hash");
	UNTIL(&d, 20, d.inputs == 200);
	is_exactly(d.out_of_order, 0, "only what is new is read");
	te_transport_destroy(d.t);
}

/* Of two positions the newer has another message: the tail was lost, and written anew. */
static void test_lost_tail(void)
{
	Caller c, d;
	TeInputPosition positions[3];
	int stream = 0;

	caller_init(&c, NULL);
	UNTIL(&c, 20, c.inputs == STREAMS * 500 + 200);
	te_transport_destroy(c.t);
	while (strcmp(c.names[stream], "trading.market/2") != 0)
		stream++;
	positions[0] = positions[1] = positions[2] = c.at[stream];
	positions[0].seq += 10; /* beyond the end */
	positions[1].message_time -= 7000;
	positions[1].seq = 650; /* another time */
	positions[2].seq = 700; /* as it is; a store would have them the other way round */
	caller_init(&d, NULL);
	te_transport_seed_input(d.t, "trading.market/2", positions, 3);
	d.last[stream] = 0;
	UNTIL(&d, 20, running(&d));
	is_text(te_input_outcome_text(d.anchors[stream].outcome), "lost_tail",
	        "a partition that ends before the position");
	is_exactly((double)d.anchors[stream].matched.seq, 700, "the newest position that is there");
	is_exactly((double)d.anchors[stream].start_seq, 701, "is gone on behind");
	te_transport_destroy(d.t);
}

static void test_rewind(void)
{
	Caller c;
	TeInputMessage m;
	int handed = 0;

	caller_init(&c, NULL);
	c.hold = true;
	UNTIL(&c, 20, (c.events & TE_EVENT_INPUT) != 0);
	while (handed < 10 && te_transport_next_input(c.t, &m))
		handed++;
	te_transport_rewind_input(c.t);
	for (int i = 0; i < 4; i++) {
		(void)te_transport_next_input(c.t, &m);
		count_input(&c, &m);
	}
	te_transport_release_input(c.t, 4);
	/* What is not released survives the connection, and is not fetched again. */
	while (handed < 30 && te_transport_next_input(c.t, &m))
		handed++;
	te_transport_reconnect(c.t, "test", now_us());
	te_transport_rewind_input(c.t);
	c.hold = false;
	UNTIL(&c, 20, c.inputs == STREAMS * 500 + 200);
	is_exactly(c.out_of_order, 0, "handed out again, released, fetched: each once, in order");
	is_exactly((double)te_transport_stats(c.t)->connects, 2, "over two connections");
	te_transport_destroy(c.t);
	stop_cluster();
}

static void set_brokers(bool up)
{
	for (int i = 1; i <= 3; i++)
		if (up)
			rd_kafka_mock_broker_set_up(cluster, i);
		else
			rd_kafka_mock_broker_set_down(cluster, i);
}

static void test_outages(void)
{
	Caller c;
	int64_t since;

	start_cluster(3);
	set_brokers(false);
	caller_init(&c, NULL);
	UNTIL(&c, 20, te_transport_stats(c.t)->connect_failures >= 1);
	ok(strstr(te_transport_stats(c.t)->last_error, "127.0.0.1") != NULL,
	   "the error names a broker");
	printf("# %s\n", te_transport_stats(c.t)->last_error);
	since = now_us();
	set_brokers(true);
	UNTIL(&c, 20, running(&c));
	printf("# connected %lld ms after the brokers came up\n", (long long)(now_us() - since) / 1000);
	c.publish_to = 3000;
	for (int round = 0; round < 3; round++) {
		produce("trading.predictions", round, 1, 200);
		UNTIL(&c, 20, acked(&c) > (uint64_t)round * 1000 + 300);
		since = now_us();
		c.events = 0;
		set_brokers(false);
		UNTIL(&c, 20, (c.events & TE_EVENT_DISCONNECTED) != 0);
		printf("# noticed after %lld ms: %s\n", (long long)(now_us() - since) / 1000,
		       te_transport_stats(c.t)->last_error);
		ok(te_transport_stats(c.t)->in_flight == 0, "what was under way is forgotten");
		c.publish_to = (uint64_t)(round + 2) * 1000 + 1000;
		set_brokers(true);
		since = now_us();
		UNTIL(&c, 20, running(&c));
		printf("# back after %lld ms\n", (long long)(now_us() - since) / 1000);
	}
	UNTIL(&c, 30, acked(&c) == c.publish_to);
	UNTIL(&c, 30, c.inputs == 600);
	is_exactly(c.out_of_order, 0, "input came once, in order");
	ok(output_is_complete(c.publish_to, true, 0), "no output is lost, first ones are in order");
	ok(c.slowest < 500000, "no turn took long");
	printf("# slowest turn %lld us\n", (long long)c.slowest);
	te_transport_destroy(c.t);
}

/* Brokers that answer late: librdkafka would wait long, the transport doesn't. */
static void short_ack_timeout(TeTransportConfig *config)
{
	config->ack_timeout = SEC;
}

static void test_silence(void)
{
	Caller c;
	int64_t since;
	uint64_t last;

	caller_init(&c, short_ack_timeout);
	UNTIL(&c, 20, running(&c));
	last = c.publish_next - 1;
	for (int i = 1; i <= 3; i++)
		rd_kafka_mock_broker_set_rtt(cluster, i, 12000);
	since = waited_us();
	c.events = 0;
	c.publish_to = last + 10;
	UNTIL(&c, 20, (c.events & TE_EVENT_DISCONNECTED) != 0);
	ok(waited_us() - since < 3 * SEC, "brokers that don't answer are left soon");
	printf("# after %lld ms: %s\n", (long long)(waited_us() - since) / 1000,
	       te_transport_stats(c.t)->last_error);
	for (int i = 1; i <= 3; i++)
		rd_kafka_mock_broker_set_rtt(cluster, i, 0);
	UNTIL(&c, 60, acked(&c) == last + 10);
	ok(output_is_complete(last + 10, true, 0), "and what they have is completed");
	UNTIL(&c, 20, running(&c));
	for (int i = 1; i <= 3; i++)
		rd_kafka_mock_broker_set_rtt(cluster, i, 30000);
	since = waited_us();
	c.events = 0;
	UNTIL(&c, 30, (c.events & TE_EVENT_DISCONNECTED) != 0);
	ok(waited_us() - since < 10 * SEC, "and noticed without any output");
	printf("# after %lld ms: %s\n", (long long)(waited_us() - since) / 1000,
	       te_transport_stats(c.t)->last_error);
	for (int i = 1; i <= 3; i++)
		rd_kafka_mock_broker_set_rtt(cluster, i, 0);
	te_transport_destroy(c.t);
}

/* Kafka refuses nobody; but a second writer is noticed. */
static void test_second_writer(void)
{
	Caller c;
	rd_kafka_t *rk;

	caller_init(&c, NULL);
	UNTIL(&c, 20, running(&c));
	rk = plain_client(RD_KAFKA_PRODUCER);
	rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("trading.signals"), RD_KAFKA_V_PARTITION(LANE),
	                  RD_KAFKA_V_VALUE("theirs", 6), RD_KAFKA_V_HEADER("te-lane", "1", -1),
	                  RD_KAFKA_V_HEADER("te-epoch", "1", -1),
	                  RD_KAFKA_V_HEADER("te-seq", "999999", -1),
	                  RD_KAFKA_V_HEADER("te-hash", "beef", -1),
	                  RD_KAFKA_V_HEADER("te-installation", "theirs", -1), RD_KAFKA_V_END);
	rd_kafka_flush(rk, 10000);
	rd_kafka_destroy(rk);
	c.events = 0;
	c.output_anchors = 0;
	c.publish_to = c.publish_next;
	UNTIL(&c, 20, c.output_anchors > 0);
	ok(strstr(te_transport_stats(c.t)->last_error, "somebody else writes to trading.signals/1"),
	   "a second writer is noticed");
	is_text(c.output_anchor.installation, "theirs", "and shown by the next anchor");
	te_transport_destroy(c.t);
	stop_cluster();
}

/* Threads and descriptors come and go with the transport; signals are the caller's. */
static int count_entries(const char *folder)
{
	DIR *d = opendir(folder);
	int count = 0;

	while (readdir(d) != NULL)
		count++;
	closedir(d);
	return count;
}

static int open_masks(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(tasks)) != NULL) {
		char path[300], line[128];
		unsigned long long mask = ~0ULL;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid() ||
		    (f = fopen(path, "r")) == NULL)
			continue;
		while (fgets(line, sizeof(line), f) != NULL)
			sscanf(line, "SigBlk: %llx", &mask);
		fclose(f);
		/* all that a handler could be set for by somebody else */
		count += (mask & 0x7ffbfeffULL & ~(1ULL << (SIGIO - 1))) !=
		         (0x7ffbfeffULL & ~(1ULL << (SIGIO - 1)));
	}
	closedir(tasks);
	return count;
}

static void often(TeTransportConfig *config)
{
	config->look_every = SEC / 10;
}

/* The offset behind the last message of the lane's partition. */
static int64_t end_of(rd_kafka_t *rk, const char *topic)
{
	int64_t low, high;

	return rd_kafka_query_watermark_offsets(rk, topic, LANE, &low, &high, 10000) ==
	               RD_KAFKA_RESP_ERR_NO_ERROR
	           ? high
	           : -1;
}

/* Failovers that came and went without an output leave marks, and strangers nothing of ours. */
static void test_end_without_outputs(void)
{
	TeOutputMark mark = {.data = "mark", .len = 4, .route_epoch = 1};
	Caller c;
	rd_kafka_t *rk;

	start_cluster(1);
	caller_init(&c, NULL);
	UNTIL(&c, 20, running(&c));
	for (int i = 0; i < 100; i++)
		if (te_transport_mark(c.t, &mark, now_us()) != TE_PUBLISH_OK)
			bail_out("a mark was refused");
	rk = plain_client(RD_KAFKA_PRODUCER);
	UNTIL(&c, 20, end_of(rk, "trading.signals") == 100 && end_of(rk, "trading.commands") == 100);
	rd_kafka_destroy(rk);
	te_transport_destroy(c.t);
	caller_init(&c, NULL);
	UNTIL(&c, 20, c.output_anchors > 0);
	ok(!c.output_anchor.found && !c.output_anchor.exhausted,
	   "a partition with marks alone is ours, and has no output");
	te_transport_destroy(c.t);
	produce("trading.signals", LANE, 1, 100);
	caller_init(&c, NULL);
	UNTIL(&c, 20, c.output_anchors > 0);
	ok(!c.output_anchor.found && c.output_anchor.exhausted, "one that others have filled isn't");
	te_transport_destroy(c.t);
	stop_cluster();
}

static void test_process(void)
{
	Caller c;
	int threads, fds, masks, turns = 0;

	start_cluster(1);
	threads = count_entries("/proc/self/task");
	fds = count_entries("/proc/self/fd");
	masks = open_masks(); /* the mock cluster's thread has what its maker had */
	caller_init(&c, often);
	UNTIL(&c, 20, running(&c));
	is_exactly(open_masks(), masks, "no thread of its own can receive a signal");
	printf("# %d threads and %d descriptors more\n", count_entries("/proc/self/task") - threads,
	       count_entries("/proc/self/fd") - fds);
	for (int64_t until = now_us() + SEC; now_us() < until; turns++)
		turn(&c, 1000);
	ok(turns < 40, "with nothing to do, next to nothing is done");
	ok(te_transport_stats(c.t)->disconnects == 0, "and looking at the topics changes nothing");
	printf("# %d turns in a second\n", turns);
	for (int i = 0; i < 5; i++) {
		te_transport_reconnect(c.t, "test", now_us());
		UNTIL(&c, 20, running(&c));
	}
	te_transport_destroy(c.t);
	/* A thread that said it is done, and the mock cluster's side of the connections, live on for a
	 * moment. */
	for (int i = 0; i < 500 && (count_entries("/proc/self/fd") > fds ||
	                            count_entries("/proc/self/task") > threads);
	     i++)
		usleep(20000);
	is_exactly(count_entries("/proc/self/task"), threads, "all threads are gone");
	is_exactly(count_entries("/proc/self/fd"), fds, "and all descriptors");
	stop_cluster();
}

static void many_lanes(TeTransportConfig *config)
{
	config->lanes = 4;
}

static void test_settings(void)
{
	TeTransportConfig config;
	char error[TE_TRANSPORT_ERROR_SIZE];
	Caller c;

	te_transport_config_init(&config);
	config.url = "127.0.0.1:1";
	config.installation = INSTALLATION;
	config.security_protocol = "sasl_ssl";
	ok(te_kafka_create(&config, error, sizeof(error)) == NULL &&
	       strstr(error, "needs kafka_sasl_username and kafka_sasl_password_file"),
	   "SASL without a password is refused");
	config.security_protocol = "rot13";
	ok(te_kafka_create(&config, error, sizeof(error)) == NULL &&
	       strstr(error, "security_protocol must be"),
	   "an unknown protocol too");
	config.security_protocol = "plaintext";
	config.tls_ca_file = "/etc/ssl/certs/ca-certificates.crt";
	ok(te_kafka_create(&config, error, sizeof(error)) == NULL && strstr(error, "doesn't encrypt"),
	   "certificates without encryption too");

	/* The mock cluster makes any topic that it is asked about, with four partitions. */
	start_cluster(1);
	caller_init(&c, many_lanes);
	UNTIL(&c, 20, te_transport_stats(c.t)->connect_failures >= 1);
	ok(strstr(te_transport_stats(c.t)->last_error,
	          "cannot add partitions to topic trading.commands"),
	   "a topic that can't have as many partitions as there are lanes is named");
	printf("# %s\n", te_transport_stats(c.t)->last_error);
	te_transport_destroy(c.t);
	stop_cluster();
}

static const char *tls_ca, *password;

static void with_tls(TeTransportConfig *config)
{
	config->security_protocol = password != NULL ? "sasl_ssl" : "ssl";
	config->sasl_mechanism = "SCRAM-SHA-512";
	config->user = password != NULL ? "engine" : NULL;
	config->password_file = password;
	config->tls_ca_file = tls_ca;
}

static void expect_failure(const char *ca, const char *password_file, const char *expected,
                           const char *name)
{
	Caller c;

	tls_ca = ca;
	password = password_file;
	caller_init(&c, with_tls);
	UNTIL(&c, 20, te_transport_stats(c.t)->connect_failures >= 1);
	ok(strstr(te_transport_stats(c.t)->last_error, expected) != NULL, name);
	ok(strstr(te_transport_stats(c.t)->last_error, "open-sesame") == NULL, "without a secret");
	printf("# %s\n", te_transport_stats(c.t)->last_error);
	te_transport_destroy(c.t);
}

static void test_security(void)
{
	char file[] = "/tmp/transport_kafka.XXXXXX";
	int fd = mkstemp(file);

	if (fd < 0 || write(fd, "open-sesame\n", 12) != 12)
		bail_out("cannot write a password file");
	close(fd);
	start_cluster(1);
	expect_failure("/nowhere/ca.pem", NULL, "cannot read kafka_ca_file: No such file",
	               "a CA file that isn't there");
	expect_failure(NULL, "/nowhere/password", "cannot read kafka_sasl_password_file: No such file",
	               "a password file that isn't there");
	/* The mock cluster speaks neither TLS nor SASL: it is refused, and nothing is told it. */
	expect_failure(NULL, NULL,
	               "check kafka_security_protocol and kafka_ca_file: ", "a broker without TLS");
	expect_failure(NULL, file, "check kafka_security_protocol and kafka_ca_file: ",
	               "a password isn't shown to a broker without TLS");
	stop_cluster();
	unlink(file);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	ok(te_kafka_version() != NULL, "librdkafka says its version");
	printf("# librdkafka %s\n", te_kafka_version());
	test_order();
	test_stored_positions();
	test_lost_tail();
	test_rewind();
	test_outages();
	test_silence();
	test_second_writer();
	test_end_without_outputs();
	test_process();
	test_settings();
	test_security();
	return done_testing();
}
