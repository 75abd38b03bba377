/*
 * Questions to a service over a real server: answered, late, twice, by nobody, and across the
 * end of a connection.  The service speaks the protocol by hand.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_fixture.h"

#include <nats/nats.h>

#define SUBJECT "trading.risk.assess"
#define MANY 2000

static Server server;

/* A question as the service got it. */
typedef struct Question
{
	char reply[128];
	char data[64];
} Question;

static Question next_question(Plain *p)
{
	Question q = {"", ""};
	size_t len;

	for (;;) {
		char *line = plain_line(p);

		if (strcmp(line, "PING") == 0)
			plain_text(p, "PONG\r\n");
		if (sscanf(line, "MSG " SUBJECT " 7 %127s %zu", q.reply, &len) == 2)
			break;
	}
	while (p->end - p->start < len + 2)
		plain_fill(p);
	memcpy(q.data, p->buffer + p->start, len < sizeof(q.data) - 1 ? len : sizeof(q.data) - 1);
	p->start += len + 2;
	return q;
}

static void answer(Plain *p, const char *reply, const char *text)
{
	plain_text(p, "PUB %s %zu\r\n%s\r\n", reply, strlen(text), text);
}

/* Everything written before has been handled by the server. */
static void settle_plain(Plain *p)
{
	plain_text(p, "PING\r\n");
	while (strcmp(plain_line(p), "PONG") != 0)
		;
}

static void listen_for_questions(Plain *p)
{
	plain_open(p, &server);
	plain_text(p, "SUB " SUBJECT " 7\r\n");
	settle_plain(p);
}

static uint64_t ask(Caller *c, const char *text)
{
	return te_transport_ask(c->t, SUBJECT, text, strlen(text), now_us());
}

/* The next reply within ten seconds, taken the way a caller does that waits for nothing else. */
static bool await_reply(Caller *c, TeReply *reply)
{
	for (int64_t until = now_us() + 10000000; now_us() < until;) {
		TeTransportFds fds;
		struct pollfd set;

		te_transport_read_replies(c->t, now_us());
		if (te_transport_next_reply(c->t, reply))
			return true;
		if (te_transport_unanswered(c->t) == 0)
			return false;
		te_transport_poll(c->t, &fds);
		set = (struct pollfd){.fd = fds.fd, .events = POLLIN};
		poll(&set, 1, 10);
	}
	return false;
}

static bool reply_is(const TeReply *reply, uint64_t token, const char *text)
{
	return reply->token == token && !reply->nobody && reply->len == strlen(text) &&
	       memcmp(reply->data, text, reply->len) == 0;
}

static const TeTransportStats *stats(Caller *c)
{
	return te_transport_stats(c->t);
}

static void test_without_connection(void)
{
	Caller c;
	TeReply reply;

	caller_init(&c, make_transport(&server, NULL));
	is_exactly((double)ask(&c, "anybody?"), 0, "nothing can be asked before there is a connection");
	is_exactly(te_transport_unanswered(c.t), 0, "and nothing is waited for");
	ok(!te_transport_next_reply(c.t, &reply), "there is no reply");
	te_transport_read_replies(c.t, now_us());
	te_transport_give_up(c.t);
	te_transport_destroy(c.t);
}

static void test_nobody_listens(Caller *c)
{
	TeReply reply;
	uint64_t tokens[20];
	int refused = 0;

	for (int i = 0; i < 20; i++)
		tokens[i] = ask(c, "anybody?");
	for (int i = 0; i < 20 && await_reply(c, &reply); i++)
		refused += reply.nobody && reply.token == tokens[i];
	is_exactly(refused, 20, "where nobody listens, every question is refused, in order");
	is_exactly(te_transport_unanswered(c->t), 0, "at once");
	ok(stats(c)->disconnects == 0, "and the connection stays");
}

static void test_answers(Caller *c, Plain *service)
{
	uint64_t first = ask(c, "one"), second = ask(c, "two"), third = ask(c, "three");
	Question q[3];
	TeReply reply;

	ok(first > 0 && first < second && second < third, "tokens grow");
	te_transport_read_replies(c->t, now_us());
	for (int i = 0; i < 3; i++)
		q[i] = next_question(service);
	is_text(q[1].data, "two", "a question arrives as it was asked");
	answer(service, q[2].reply, "3");
	answer(service, q[0].reply, "1");
	answer(service, q[0].reply, "1 again");
	ok(await_reply(c, &reply) && reply_is(&reply, third, "3"), "replies come in any order");
	ok(await_reply(c, &reply) && reply_is(&reply, first, "1"), "each with its token");
	answer(service, q[1].reply, "");
	ok(await_reply(c, &reply) && reply_is(&reply, second, ""), "an empty reply is one, too");
	is_exactly((double)stats(c)->strays, 1, "a second reply to a question is counted");
	is_exactly((double)stats(c)->replies, 3, "and not handed out");
}

static void test_late_and_foreign(Caller *c, Plain *service)
{
	uint64_t token = ask(c, "slow"), strays = stats(c)->strays;
	Question slow, q;
	TeReply reply;
	char elsewhere[200];

	te_transport_read_replies(c->t, now_us());
	slow = next_question(service);
	te_transport_give_up(c->t);
	is_exactly(te_transport_unanswered(c->t), 0, "who gives up waits for nothing");
	token = ask(c, "next");
	te_transport_read_replies(c->t, now_us());
	q = next_question(service);
	answer(service, slow.reply, "late");
	snprintf(elsewhere, sizeof(elsewhere), "%.*s999999", (int)(strrchr(q.reply, '.') + 1 - q.reply),
	         q.reply);
	answer(service, elsewhere, "to a question that nobody asked");
	snprintf(elsewhere, sizeof(elsewhere), "%.*sx", (int)(strrchr(q.reply, '.') + 1 - q.reply),
	         q.reply);
	answer(service, elsewhere, "to no question at all");
	answer(service, q.reply, "in time");
	ok(await_reply(c, &reply) && reply_is(&reply, token, "in time"),
	   "a late reply isn't taken for one to the next question");
	is_exactly((double)(stats(c)->strays - strays), 3, "what answers nothing is counted");
}

/* A refusal that comes after giving up isn't taken for one of a later question. */
static void test_late_refusal(Caller *c, Plain *service)
{
	TeReply reply;
	uint64_t token;
	Question q;

	plain_text(service, "UNSUB 7\r\n");
	settle_plain(service);
	ask(c, "gone");
	te_transport_give_up(c->t);
	te_transport_flush(c->t, now_us());
	sleep_ms(50);
	plain_text(service, "SUB " SUBJECT " 7\r\n");
	settle_plain(service);
	token = ask(c, "back");
	te_transport_read_replies(c->t, now_us());
	do /* a slow server refuses nobody, but hands out both */
		q = next_question(service);
	while (strcmp(q.data, "back") != 0);
	answer(service, q.reply, "here");
	ok(await_reply(c, &reply) && reply_is(&reply, token, "here"),
	   "a late refusal is not about the next question");
}

static void test_many(Caller *c, Plain *service)
{
	static Question q[MANY];
	static bool seen[MANY];
	TeReply reply;
	uint64_t first = ask(c, "0");
	int right = 0;

	for (int i = 1; i < MANY; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		ask(c, text);
	}
	te_transport_read_replies(c->t, now_us());
	for (int i = 0; i < MANY; i++)
		q[i] = next_question(service);
	for (int i = MANY - 1; i >= 0; i--)
		answer(service, q[i].reply, q[i].data);
	for (int i = 0; i < MANY && await_reply(c, &reply); i++) {
		uint64_t number = reply.token - first;

		if (number < MANY && !seen[number] && atoi(reply.data) == (int)number)
			right++;
		seen[number % MANY] = true;
	}
	is_exactly(right, MANY, "thousands are asked at once, and each gets its own reply");
}

/* More questions than are remembered: the oldest are forgotten, the newest are answered. */
static void test_more_than_remembered(Caller *c, Plain *service)
{
	enum { ASKED = 20000 };
	Question q = {"", ""};
	TeReply reply;
	uint64_t last = 0;

	for (int i = 0; i < ASKED; i++)
		last = ask(c, i == ASKED - 1 ? "last" : "x");
	ok(te_transport_unanswered(c->t) < ASKED, "the memory of questions is bounded");
	while (strcmp(q.data, "last") != 0) {
		te_transport_read_replies(c->t, now_us());
		q = next_question(service);
	}
	answer(service, q.reply, "yes");
	ok(await_reply(c, &reply) && reply_is(&reply, last, "yes"), "the newest question has a place");
	te_transport_give_up(c->t);
}

/* Replies without end to nobody: they are thrown away, and the rest goes on. */
static void test_flood(Caller *c, Plain *service)
{
	uint64_t strays = stats(c)->strays;
	TeReply reply;
	Question q;

	ask(c, "once");
	te_transport_read_replies(c->t, now_us());
	q = next_question(service);
	answer(service, q.reply, "once");
	ok(await_reply(c, &reply), "a service answers");
	for (int i = 0; i < 20000; i++)
		answer(service, q.reply, "and again");
	settle_plain(service);
	CALLER_UNTIL(c, 10, stats(c)->strays - strays >= 10000);
	ask(c, "still there?");
	te_transport_read_replies(c->t, now_us());
	q = next_question(service);
	answer(service, q.reply, "yes");
	ok(await_reply(c, &reply) && reply.len == 3, "after a flood of replies, questions work");
	ok(stats(c)->disconnects == 0, "on the same connection");
}

static void test_too_large(Caller *c)
{
	size_t size = 16 * 1024 * 1024;
	char *large = calloc(1, size);

	is_exactly((double)te_transport_ask(c->t, SUBJECT, large, size, now_us()), 0,
	           "a question larger than the server takes isn't asked");
	free(large);
}

/* Input, output and questions on one connection. */
static void test_beside_the_streams(Caller *c, Plain *service)
{
	Plain producer;
	int answered = 0;

	plain_open(&producer, &server);
	for (int i = 0; i < 200; i++) {
		TeReply reply;
		Question q;

		plain_produce(&producer, "trading.predictions.acme.u1", "in", i + 1, i + 1);
		c->publish_to = (uint64_t)i + 1;
		ask(c, "beside");
		te_transport_read_replies(c->t, now_us());
		q = next_question(service);
		answer(service, q.reply, "yes");
		answered += await_reply(c, &reply);
		caller_turn(c, 0);
	}
	is_exactly(answered, 200, "every question was answered");
	CALLER_UNTIL(c, 10, c->inputs == 200 && caller_acked(c) == 200);
	is_exactly(c->in_out_of_order, 0, "and no input was lost or came twice");
	plain_close(&producer);
}

static void test_connection_lost(Caller *c)
{
	uint64_t before = ask(c, "the last words"), after;
	TeReply reply;

	server_kill(&server);
	ok(!await_reply(c, &reply), "when the server dies, nobody answers");
	is_exactly(te_transport_unanswered(c->t), 0, "nor is anything waited for");
	is_exactly((double)ask(c, "anybody?"), 0, "nothing can be asked");
	c->events = 0;
	caller_turn(c, 0);
	ok((c->events & TE_EVENT_DISCONNECTED) != 0, "the next turn is told what happened");
	server_start(&server);
	CALLER_UNTIL(c, 20, caller_running(c));
	after = ask(c, "again");
	ok(after > before, "tokens go on after a reconnect");
	ok(await_reply(c, &reply) && reply.nobody && reply.token == after,
	   "a question of another connection isn't answered by it");
}

int main(void)
{
	Caller c;
	Plain service;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	server_init(&server);
	test_without_connection();
	server_start(&server);
	caller_init(&c, make_transport(&server, NULL));
	CALLER_UNTIL(&c, 10, caller_running(&c));
	test_nobody_listens(&c);
	listen_for_questions(&service);
	test_answers(&c, &service);
	test_late_and_foreign(&c, &service);
	test_late_refusal(&c, &service);
	test_many(&c, &service);
	test_more_than_remembered(&c, &service);
	test_flood(&c, &service);
	test_too_large(&c);
	test_beside_the_streams(&c, &service);
	plain_close(&service);
	test_connection_lost(&c);
	te_transport_destroy(c.t);
	server_remove(&server);
	nats_CloseAndWait(5000);
	return done_testing();
}
