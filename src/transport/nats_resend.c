/*
 * nats_resend.c - outputs once more, to whoever listens.
 *
 * They are plain messages, which the broker doesn't acknowledge.  But it answers in the order in
 * which it reads: when it has answered a question that was put behind them, it has passed them on.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void te_nats_resend_disconnected(TeNats *n)
{
	n->resend.failed = n->resend.failed || n->resend.open;
	n->resend.asking = false;
}

void te_nats_resend_begin(TeTransport *t)
{
	TeNatsResend *r = &((TeNats *)t)->resend;

	r->open = r->failed = r->asking = false;
}

/* <prefix>.resent.<the rest> */
static void resent_subject(const TeNats *n, const char *subject, char out[TE_NATS_SUBJECT_SIZE])
{
	size_t prefix = strlen(n->config->prefix);

	snprintf(out, TE_NATS_SUBJECT_SIZE, "%s.resent%s", n->config->prefix, subject + prefix);
}

static natsStatus send_message(const TeNats *n, const TeOutputMessage *message)
{
	char subject[TE_NATS_SUBJECT_SIZE];
	natsMsg *msg = NULL;
	natsStatus s;

	resent_subject(n, message->subject, subject);
	s = natsMsg_Create(&msg, subject, NULL, message->data, (int)message->len);
	if (s == NATS_OK)
		s = te_nats_set_identity(msg, n, message);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "te-subject", message->subject);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "te-installation", n->config->installation);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "te-resent", "1");
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(n->link->nc, msg);
	natsMsg_Destroy(msg);
	return s;
}

TePublishResult te_nats_resend(TeTransport *t, const TeOutputMessage *message, int64_t now)
{
	TeNats *n = (TeNats *)t;
	TePublishResult result;

	if (n->stats.state != TE_TRANSPORT_READY)
		return TE_PUBLISH_NOT_READY;
	result = te_nats_send_output(n, message, send_message, now);
	if (result != TE_PUBLISH_OK)
		return result;
	n->resend.open = true;
	n->resend.asking = false;
	return TE_PUBLISH_OK;
}

/* The engine may ask about its own stream; what it is told doesn't matter. */
static void ask(TeNats *n, int64_t now)
{
	char subject[TE_NATS_SUBJECT_SIZE], suffix[24];

	n->resend.asking = true;
	n->resend.deadline = now + n->config->request_timeout;
	snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", n->output_name);
	snprintf(suffix, sizeof(suffix), "o%" PRIu64, ++n->resend.id);
	te_nats_send(n, subject, suffix, "", 0, now);
}

void te_nats_resend_reply(TeNats *n, uint64_t id)
{
	if (n->resend.asking && id == n->resend.id)
		n->resend.open = n->resend.asking = false;
}

TeResent te_nats_resent(TeTransport *t, int64_t now)
{
	TeNats *n = (TeNats *)t;
	TeNatsResend *r = &n->resend;

	if (!r->failed && r->open && !r->asking)
		ask(n, now);
	if (!r->failed && r->open && now >= r->deadline)
		r->failed = true;
	return r->failed ? TE_RESENT_FAILED : r->open ? TE_RESENT_WAITING : TE_RESENT_DONE;
}
