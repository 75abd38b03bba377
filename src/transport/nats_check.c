#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages of others at the end of the output stream that are looked through for ours. */
#define WALK_BACK_MAX 64

static const char *const ask_texts[] = {
	[TE_ASK_NOTHING] = "nothing",
	[TE_ASK_INPUT_INFO] = "input STREAM.INFO",
	[TE_ASK_INPUT_CREATE] = "input STREAM.CREATE",
	[TE_ASK_INPUT_POSITION] = "input STREAM.MSG.GET",
	[TE_ASK_INPUT_LOOK] = "input STREAM.INFO",
	[TE_ASK_OUTPUT_INFO] = "output STREAM.INFO",
	[TE_ASK_OUTPUT_CREATE] = "output STREAM.CREATE",
	[TE_ASK_OUTPUT_LAST] = "output STREAM.MSG.GET",
	[TE_ASK_CONSUMER_CREATE] = "CONSUMER.CREATE",
	[TE_ASK_CONSUMER_INFO] = "CONSUMER.INFO",
};

const char *te_nats_ask_text(TeNatsAsk ask)
{
	return ask_texts[ask];
}

/* Sends $JS.API.<command>.<name>; body may be NULL. */
static void ask(TeNats *n, TeNatsAsk what, const char *command, const char *name, const char *body,
                int64_t now)
{
	char subject[TE_NATS_SUBJECT_SIZE], suffix[24];

	n->ask = what;
	n->ask_deadline = now + n->config->request_timeout;
	snprintf(subject, sizeof(subject), "$JS.API.%s.%s", command, name);
	snprintf(suffix, sizeof(suffix), "r%llu", (unsigned long long)++n->ask_id);
	te_nats_send(n, subject, suffix, body, body != NULL ? (int)strlen(body) : 0, now);
}

static void ask_message(TeNats *n, TeNatsAsk what, const char *stream, uint64_t seq, int64_t now)
{
	char body[48];

	snprintf(body, sizeof(body), "{\"seq\":%llu}", (unsigned long long)seq);
	ask(n, what, "STREAM.MSG.GET", stream, body, now);
}

/* For requests whose text is built in memory. */
static void ask_built(TeNats *n, TeNatsAsk what, const char *command, const char *name, char *body,
                      int64_t now)
{
	if (body == NULL)
		te_nats_drop(n, now, "out of memory (%s)", ask_texts[what]);
	else
		ask(n, what, command, name, body, now);
	free(body);
}

/* Both anchors are known, and the API is free for what the caller decides. */
static void finish(TeNats *n, int64_t now)
{
	n->in.anchored = n->config->want_input;
	n->out.anchored = n->config->want_output;
	n->ready_at = now;
	te_nats_set_state(n, TE_TRANSPORT_READY, now);
}

static void check_output(TeNats *n, int64_t now)
{
	if (n->config->want_output)
		ask(n, TE_ASK_OUTPUT_INFO, "STREAM.INFO", n->output_spec.name, NULL, now);
	else
		finish(n, now);
}

void te_nats_check_start(TeNats *n, int64_t now)
{
	if (n->config->want_input) {
		te_nats_input_delete_consumer(n);
		ask(n, TE_ASK_INPUT_INFO, "STREAM.INFO", n->input_spec.name, NULL, now);
	} else {
		check_output(n, now);
	}
}

static void anchor_input(TeNats *n, TeInputOutcome outcome, uint64_t start_seq, uint64_t lost_from,
                         int64_t now)
{
	TeInputAnchor *anchor = &n->in.anchor;

	anchor->outcome = outcome;
	anchor->start_seq = start_seq;
	if (lost_from != 0 && lost_from < start_seq) {
		anchor->lost_from = lost_from;
		anchor->lost_to = start_seq - 1;
	}
	check_output(n, now);
}

/* The next older committed position that the stream may still have; from there, or from its start.
 */
static void walk_back(TeNats *n, int64_t now)
{
	TeNatsInput *in = &n->in;
	const TeInputAnchor *anchor = &in->anchor;

	while (++in->history_probe < in->history_count) {
		const TeInputPosition *p = &in->history[in->history_probe];

		if (p->stream_created == anchor->stream_created && p->seq < anchor->stored.seq &&
		    p->seq >= anchor->first_seq && p->seq <= anchor->last_seq && p->message_time > 0) {
			ask_message(n, TE_ASK_INPUT_POSITION, n->input_spec.name, p->seq, now);
			return;
		}
	}
	anchor_input(n, TE_INPUT_LOST_TAIL, anchor->first_seq, 0, now);
}

/* Compares the stream with the position that was read last. */
static void judge_input(TeNats *n, const TeJsStream *stream, int64_t now)
{
	TeInputAnchor *anchor = &n->in.anchor;
	const TeInputPosition *stored = &n->in.handed;

	*anchor = (TeInputAnchor){
		.stream_name = n->input_spec.name,
		.stored = *stored,
		.stream_created = stream->created,
		.first_seq = stream->first_seq,
		.last_seq = stream->last_seq,
	};
	n->in.history_probe = -1;
	if (stored->stream_created <= 0)
		anchor_input(n, TE_INPUT_FRESH, stream->first_seq, 0, now);
	else if (stored->stream_created != stream->created)
		anchor_input(n, TE_INPUT_FRESH, stream->first_seq, 1, now);
	else if (stream->last_seq < stored->seq)
		walk_back(n, now);
	else if (stream->first_seq > stored->seq + 1)
		anchor_input(n, TE_INPUT_GAP, stream->first_seq, stored->seq + 1, now);
	else if (stream->first_seq == stored->seq + 1 || stored->message_time <= 0)
		anchor_input(n, TE_INPUT_SAME, stored->seq + 1, 0, now);
	else
		ask_message(n, TE_ASK_INPUT_POSITION, n->input_spec.name, stored->seq, now);
}

/* The message at the position: ours when it has the same time.  One that was deleted proves
 * nothing. */
static void on_position(TeNats *n, const TeJsMessage *message, int64_t now)
{
	TeNatsInput *in = &n->in;
	bool first = in->history_probe < 0;
	const TeInputPosition *probed = first ? &in->anchor.stored : &in->history[in->history_probe];
	bool missing = message->error.code != 0;

	if (missing && message->error.err_code != TE_JS_MESSAGE_NOT_FOUND) {
		te_nats_drop(n, now, "cannot read message %llu of stream %s: %s",
		             (unsigned long long)probed->seq, n->input_spec.name,
		             message->error.description);
		return;
	}
	if (!missing && message->time != probed->message_time) {
		walk_back(n, now);
	} else if (first) {
		anchor_input(n, TE_INPUT_SAME, probed->seq + 1, 0, now);
	} else if (missing) {
		walk_back(n, now);
	} else {
		in->anchor.matched = *probed;
		anchor_input(n, TE_INPUT_LOST_TAIL, probed->seq + 1, 0, now);
	}
}

static void judge_output(TeNats *n, const TeJsStream *stream, int64_t now)
{
	n->out.anchor = (TeOutputAnchor){
		.stream_created = stream->created,
		.last_stream_seq = stream->last_seq,
	};
	n->out.first_seq = stream->first_seq;
	n->out.probe_seq = stream->last_seq;
	if (stream->messages == 0)
		finish(n, now);
	else
		ask_message(n, TE_ASK_OUTPUT_LAST, n->output_spec.name, n->out.probe_seq, now);
}

static void on_output_message(TeNats *n, const TeJsMessage *message, int64_t now)
{
	TeOutputAnchor *anchor = &n->out.anchor;

	if (message->error.code != 0 && message->error.err_code != TE_JS_MESSAGE_NOT_FOUND) {
		te_nats_drop(n, now, "cannot read message %llu of stream %s: %s",
		             (unsigned long long)n->out.probe_seq, n->output_spec.name,
		             message->error.description);
		return;
	}
	if (message->error.code == 0 && message->from_engine && message->lane == n->config->lane) {
		anchor->found = true;
		anchor->found_stream_seq = message->seq;
		anchor->lane = message->lane;
		anchor->epoch = message->out_epoch;
		anchor->seq = message->out_seq;
		memcpy(anchor->installation, message->installation, sizeof(anchor->installation));
		memcpy(anchor->hash, message->hash, sizeof(anchor->hash));
		finish(n, now);
		return;
	}
	anchor->skipped++;
	anchor->exhausted = anchor->skipped >= WALK_BACK_MAX && n->out.probe_seq > n->out.first_seq;
	if (n->out.probe_seq <= n->out.first_seq || anchor->exhausted)
		finish(n, now);
	else
		ask_message(n, TE_ASK_OUTPUT_LAST, n->output_spec.name, --n->out.probe_seq, now);
}

/* INFO and CREATE answer alike. */
static void on_stream(TeNats *n, TeNatsAsk what, const TeJsStreamSpec *spec,
                      const TeJsStream *stream, int64_t now)
{
	bool input = what == TE_ASK_INPUT_INFO || what == TE_ASK_INPUT_CREATE;
	bool info = what == TE_ASK_INPUT_INFO || what == TE_ASK_OUTPUT_INFO;
	bool create = what == TE_ASK_INPUT_CREATE || what == TE_ASK_OUTPUT_CREATE;

	if (info && stream->error.err_code == TE_JS_STREAM_NOT_FOUND)
		ask_built(n, input ? TE_ASK_INPUT_CREATE : TE_ASK_OUTPUT_CREATE, "STREAM.CREATE",
		          spec->name, te_js_build_stream(spec), now);
	else if (stream->error.code != 0)
		te_nats_drop(n, now, "cannot %s stream %s: %s (%d)", create ? "create" : "look up",
		             spec->name, stream->error.description, stream->error.err_code);
	else if (!stream->keeps_by_limits)
		te_nats_drop(n, now, "stream %s does not have retention \"limits\": reading would delete",
		             spec->name);
	else if (!stream->has_subjects)
		te_nats_drop(n, now, "stream %s lacks a subject that the engine needs, such as %s",
		             spec->name, spec->subjects[0]);
	else if (what == TE_ASK_INPUT_LOOK)
		te_nats_input_looked(n, stream, now);
	else if (input)
		judge_input(n, stream, now);
	else
		judge_output(n, stream, now);
}

static void on_consumer(TeNats *n, TeNatsAsk what, const TeJsConsumer *consumer, int64_t now)
{
	if (consumer->error.code != 0)
		te_nats_drop(n, now, "%s: %s (%d)", ask_texts[what], consumer->error.description,
		             consumer->error.err_code);
	else if (what == TE_ASK_CONSUMER_CREATE)
		te_nats_input_consume(n, now);
	else
		te_nats_input_probed(n, consumer->waiting, now);
}

void te_nats_ask_consumer(TeNats *n, uint64_t start_seq, int64_t now)
{
	char name[TE_TRANSPORT_NAME_SIZE * 2];

	snprintf(n->in.consumer, sizeof(n->in.consumer), "te_%.8s_%d_%08lx", n->config->installation,
	         n->config->lane, (unsigned long)(te_random_next(&n->random) >> 32));
	snprintf(name, sizeof(name), "%s.%s", n->input_spec.name, n->in.consumer);
	ask_built(n, TE_ASK_CONSUMER_CREATE, "CONSUMER.CREATE", name,
	          te_js_build_consumer(n->input_spec.name, n->in.consumer, start_seq), now);
}

void te_nats_ask_look(TeNats *n, int64_t now)
{
	ask(n, TE_ASK_INPUT_LOOK, "STREAM.INFO", n->input_spec.name, NULL, now);
}

void te_nats_ask_probe(TeNats *n, int64_t now)
{
	char name[TE_TRANSPORT_NAME_SIZE * 2];

	snprintf(name, sizeof(name), "%s.%s", n->input_spec.name, n->in.consumer);
	ask(n, TE_ASK_CONSUMER_INFO, "CONSUMER.INFO", name, NULL, now);
}

void te_nats_check_reply(TeNats *n, uint64_t id, const char *data, size_t len, int64_t now)
{
	TeNatsAsk what = n->ask;
	TeJsStream stream;
	TeJsMessage message;
	TeJsConsumer consumer;
	bool ok = false;

	if (what == TE_ASK_NOTHING || id != n->ask_id)
		return;
	n->ask = TE_ASK_NOTHING;
	switch (what) {
	case TE_ASK_NOTHING:
		return;
	case TE_ASK_INPUT_INFO:
	case TE_ASK_INPUT_CREATE:
	case TE_ASK_INPUT_LOOK:
		if ((ok = te_js_parse_stream(data, len, &n->input_spec, &stream)))
			on_stream(n, what, &n->input_spec, &stream, now);
		break;
	case TE_ASK_OUTPUT_INFO:
	case TE_ASK_OUTPUT_CREATE:
		if ((ok = te_js_parse_stream(data, len, &n->output_spec, &stream)))
			on_stream(n, what, &n->output_spec, &stream, now);
		break;
	case TE_ASK_INPUT_POSITION:
		if ((ok = te_js_parse_message(data, len, &message)))
			on_position(n, &message, now);
		break;
	case TE_ASK_OUTPUT_LAST:
		if ((ok = te_js_parse_message(data, len, &message)))
			on_output_message(n, &message, now);
		break;
	case TE_ASK_CONSUMER_CREATE:
	case TE_ASK_CONSUMER_INFO:
		if ((ok = te_js_parse_consumer(data, len, &consumer)))
			on_consumer(n, what, &consumer, now);
		break;
	}
	if (!ok)
		te_nats_drop(n, now, "answer not understood (%s)", ask_texts[what]);
}
