/*
 * nats_request.c - questions to a service, and its replies.
 *
 * Replies come on a subscription of their own, so that "nobody listens" about a
 * question can't be taken for an answer of JetStream's.  libnats says it without
 * saying to which question.  The broker says it in the order of the questions, so
 * it is about the oldest one without an answer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A question that has no answer for so long gets none; it only stands in the way. */
#define STALE_AFTER (5 * TE_SEC)

static TeNatsQuestion *question_at(const TeNatsQuestions *q, uint64_t token)
{
	return &q->ring[token % TE_NATS_QUESTIONS];
}

bool te_nats_questions_create(TeNats *n)
{
	n->questions.ring = calloc(TE_NATS_QUESTIONS, sizeof(TeNatsQuestion));
	n->questions.oldest = n->questions.next = 1;
	return n->questions.ring != NULL;
}

static void release_reply(TeNatsQuestions *q)
{
	natsMsg_Destroy(q->reply);
	q->reply = NULL;
}

void te_nats_questions_destroy(TeNats *n)
{
	release_reply(&n->questions);
	free(n->questions.ring);
}

/* Tokens go on: a reply can't be taken for one to a question of another connection. */
void te_nats_questions_disconnected(TeNats *n)
{
	n->questions.oldest = n->questions.next;
	n->questions.waiting = 0;
}

static void settle(TeNatsQuestions *q, TeNatsQuestion *question)
{
	if (question->state == TE_QUESTION_WAITING)
		q->waiting--;
	question->state = TE_QUESTION_SETTLED;
	while (q->oldest < q->next && question_at(q, q->oldest)->state == TE_QUESTION_SETTLED)
		q->oldest++;
}

/* Room for one more: what is too old, or the oldest when all places are taken, goes. */
static void make_room(TeNatsQuestions *q, int64_t now)
{
	while (q->oldest < q->next && (q->next - q->oldest >= TE_NATS_QUESTIONS ||
	                               now - question_at(q, q->oldest)->asked_at >= STALE_AFTER))
		settle(q, question_at(q, q->oldest));
}

uint64_t te_nats_ask(TeTransport *t, const char *subject, const void *data, size_t len, int64_t now)
{
	TeNats *n = (TeNats *)t;
	TeNatsQuestions *q = &n->questions;
	char reply[TE_NATS_SUBJECT_SIZE];

	if (n->link == NULL || len > (size_t)n->link->max_payload ||
	    natsConnection_Buffered(n->link->nc) >= n->config->output_buffer_bytes)
		return 0;
	make_room(q, now);
	snprintf(reply, sizeof(reply), "%s.%" PRIu64, n->link->reply_inbox, q->next);
	if (natsConnection_PublishRequest(n->link->nc, subject, reply, data, (int)len) != NATS_OK)
		return 0;
	*question_at(q, q->next) = (TeNatsQuestion){.asked_at = now, .state = TE_QUESTION_WAITING};
	q->waiting++;
	n->stats.questions++;
	return q->next++;
}

unsigned te_nats_unanswered(const TeTransport *t)
{
	return ((const TeNats *)t)->questions.waiting;
}

void te_nats_give_up(TeTransport *t)
{
	TeNatsQuestions *q = &((TeNats *)t)->questions;

	for (uint64_t token = q->oldest; q->waiting > 0 && token < q->next; token++) {
		TeNatsQuestion *question = question_at(q, token);

		if (question->state == TE_QUESTION_WAITING) {
			question->state = TE_QUESTION_GIVEN_UP;
			q->waiting--;
		}
	}
	release_reply(q);
}

/* The question that a message answers, or NULL: late, again, or nothing that we asked. */
static TeNatsQuestion *question_of(TeNats *n, natsMsg *msg, uint64_t *token)
{
	const TeNatsQuestions *q = &n->questions;
	const char *subject = natsMsg_GetSubject(msg);
	const char *number = subject + n->link->reply_inbox_len + 1;

	/* The subscription lets nothing through that doesn't begin with the inbox and a dot. */
	if (strlen(subject) <= n->link->reply_inbox_len + 1 ||
	    !te_js_parse_u64(number, strlen(number), token) || *token < q->oldest || *token >= q->next)
		return NULL;
	return question_at(q, *token);
}

/* Nobody listens: so says the broker about the oldest question.  Its token, or 0. */
static uint64_t take_refusal(TeNatsQuestions *q)
{
	uint64_t token = q->oldest;
	bool waited;

	if (token == q->next)
		return 0;
	waited = question_at(q, token)->state == TE_QUESTION_WAITING;
	settle(q, question_at(q, token));
	return waited ? token : 0;
}

/* One message of the subscription.  True when it is an answer that somebody waits for. */
static bool take_message(TeNats *n, TeReply *reply)
{
	TeNatsQuestions *q = &n->questions;
	TeNatsQuestion *question;
	natsMsg *msg = NULL;
	natsStatus s = natsSubscription_NextMsg(&msg, n->link->replies, 0);

	if (s == NATS_NO_RESPONDERS) {
		*reply = (TeReply){.token = take_refusal(q), .nobody = true};
		n->stats.strays += reply->token == 0;
		return reply->token != 0;
	}
	if (s != NATS_OK)
		return false;
	question = question_of(n, msg, &reply->token);
	if (question == NULL || question->state != TE_QUESTION_WAITING) {
		n->stats.strays++;
		if (question != NULL)
			settle(q, question);
		natsMsg_Destroy(msg);
		return false;
	}
	settle(q, question);
	n->stats.replies++;
	q->reply = msg;
	reply->nobody = false;
	reply->data = natsMsg_GetData(msg);
	reply->len = (size_t)natsMsg_GetDataLength(msg);
	return true;
}

bool te_nats_next_reply(TeTransport *t, TeReply *reply)
{
	TeNats *n = (TeNats *)t;
	uint64_t count = 0;

	release_reply(&n->questions);
	if (n->link == NULL)
		return false;
	natsSubscription_QueuedMsgs(n->link->replies, &count);
	while (count-- > 0)
		if (take_message(n, reply))
			return true;
	return false;
}

void te_nats_discard_replies(TeNats *n)
{
	TeReply reply;

	while (n->questions.waiting == 0 && te_nats_next_reply(&n->base, &reply))
		;
}
