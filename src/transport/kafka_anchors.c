/*
 * kafka_anchors.c - what the ends of the streams look like, compared with what is remembered.
 * Runs in the attempt's thread, with the consumer to itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Messages of others at the end of the lane's partitions that are looked through for ours. */
#define WALK_BACK_MAX 64

static int64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * TE_SEC + ts.tv_nsec / 1000;
}

const char *te_kafka_header(const rd_kafka_headers_t *headers, const char *name)
{
	const void *value = NULL;
	size_t size;

	if (headers == NULL ||
	    rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	return value;
}

/* Kafka counts milliseconds; 0: not known. */
int64_t te_kafka_message_time(const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;
	int64_t ms = rd_kafka_message_timestamp(message, &type);

	return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms <= 0 ? 0 : ms * TE_MSEC;
}

/*----------------------------------------------------------------------
 * Reading pieces of partitions
 *----------------------------------------------------------------------*/

/* A piece: messages from `from` up to before `to`, or to the partition's end. */
typedef struct Look
{
	const char *topic;
	int32_t partition;
	int64_t from, to;
	bool done;
	void (*visit)(void *closure, const rd_kafka_message_t *message);
	void *closure;
} Look;

static Look *find_look(Look *looks, int count, const char *topic, int32_t partition)
{
	for (int i = 0; i < count; i++)
		if (looks[i].partition == partition && strcmp(looks[i].topic, topic) == 0)
			return &looks[i];
	return NULL;
}

static void take_message(Look *looks, int count, const rd_kafka_message_t *message)
{
	Look *look = find_look(looks, count, rd_kafka_topic_name(message->rkt), message->partition);

	if (look == NULL || look->done || message->offset < look->from)
		return;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < look->to)
		look->visit(look->closure, message);
	look->done = message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->offset + 1 >= look->to;
}

/* False when it is an error that looking can't go on with. */
static bool take_event(TeKafkaAttempt *attempt, Look *looks, int count, rd_kafka_event_t *event)
{
	rd_kafka_topic_partition_t *at;
	const rd_kafka_message_t *message;
	Look *look;

	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_FETCH:
		while ((message = rd_kafka_event_message_next(event)) != NULL)
			take_message(looks, count, message);
		return true;
	case RD_KAFKA_EVENT_ERROR:
		at = rd_kafka_event_topic_partition(event);
		look = at != NULL ? find_look(looks, count, at->topic, at->partition) : NULL;
		if (at != NULL)
			rd_kafka_topic_partition_destroy(at);
		if (look == NULL)
			return true;
		look->done = true; /* its end, or what was there is gone meanwhile */
		if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
		    rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
			return true;
		return te_attempt_fail(&attempt->base, "cannot read %s/%d: %s", look->topic,
		                       (int)look->partition, rd_kafka_event_error_string(event));
	default:
		return true;
	}
}

static bool assign(TeKafkaAttempt *attempt, const Look *looks, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	rd_kafka_resp_err_t err;
	int open = 0;

	for (int i = 0; i < count; i++) {
		if (looks[i].done)
			continue;
		rd_kafka_topic_partition_list_add(list, looks[i].topic, looks[i].partition)->offset =
			looks[i].from;
		open++;
	}
	err = rd_kafka_assign(attempt->link->consumer, open > 0 ? list : NULL);
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return te_attempt_fail(&attempt->base, "cannot read: %s", rd_kafka_err2str(err));
	return true;
}

/* Visits what the pieces have.  One with nothing to read is done already. */
static bool look_at(TeKafkaAttempt *attempt, Look *looks, int count)
{
	int64_t until = monotonic_us() + 2 * attempt->settings->config.request_timeout;
	int open = 0;
	bool ok;

	for (int i = 0; i < count; i++)
		open += !looks[i].done;
	if (open == 0)
		return true;
	ok = assign(attempt, looks, count);
	while (ok && open > 0) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(attempt->link->consumed, 100);

		if (event != NULL) {
			ok = take_event(attempt, looks, count, event);
			rd_kafka_event_destroy(event);
		}
		open = 0;
		for (int i = 0; i < count; i++)
			open += !looks[i].done;
		if (ok && open > 0 && (te_attempt_is_abandoned(&attempt->base) || monotonic_us() >= until))
			ok = te_attempt_fail(&attempt->base, "the brokers don't let messages be read");
	}
	for (int i = 0; i < count; i++)
		looks[i].done = true;
	return assign(attempt, looks, count) && ok;
}

/* The offsets of `which` (beginning or end) of all these partitions, in one question. */
static bool ask_offsets(TeKafkaAttempt *attempt, rd_kafka_topic_partition_list_t *list,
                        int64_t which)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = which;
	if (list->cnt == 0)
		return true;
	err =
		rd_kafka_offsets_for_times(attempt->link->consumer, list,
	                               (int)(2 * attempt->settings->config.request_timeout / TE_MSEC));
	for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
		err = list->elems[i].err;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return te_attempt_fail(&attempt->base, "cannot ask for the ends of partitions: %s",
		                       rd_kafka_err2str(err));
	return true;
}

/*----------------------------------------------------------------------
 * Input
 *----------------------------------------------------------------------*/

/* What is being judged about a stream. */
typedef struct Case
{
	TeAnchorStream stream;
	TeAnchorPosition positions[TE_KAFKA_HISTORY + 1];
	TeAnchorSight sights[TE_KAFKA_HISTORY + 1];
	int count;
	TeReading reading;
	TeInputPosition stored;
	TeInputJudgement judgement;
} Case;

static void see(void *closure, const rd_kafka_message_t *message)
{
	Case *c = closure;
	TeAnchorSight *sight = &c->sights[c->judgement.ask];

	if (message->offset + 1 != (int64_t)c->positions[c->judgement.ask].seq)
		return;
	*sight = (TeAnchorSight){TE_SIGHT_THERE, te_kafka_message_time(message)};
}

static void remember_positions(Case *c, const TeKafkaPlace *place)
{
	c->stored = place->handed;
	c->reading = (TeReading){place->handed.seq, place->handed.seq};
	if (place->handed.stream_created > 0)
		c->positions[c->count++] = (TeAnchorPosition){
			place->handed.stream_created, place->handed.seq, place->handed.message_time};
	for (int i = 0; i < place->history_count; i++)
		c->positions[c->count++] =
			(TeAnchorPosition){place->history[i].stream_created, place->history[i].seq,
		                       place->history[i].message_time};
}

/* One round: judge all; what has to be looked at is looked at together.  *again: not yet settled.
 */
static bool judge_round(TeKafkaAttempt *attempt, Case *cases, int count, bool *again)
{
	Look looks[TE_TRANSPORT_STREAMS_MAX];
	int open = 0;

	for (int i = 0; i < count; i++) {
		Case *c = &cases[i];
		int64_t offset;

		c->judgement =
			te_anchor_judge_input(c->positions, c->sights, c->count, c->reading, &c->stream);
		if (c->judgement.outcome != TE_ANCHOR_INPUT_ASK)
			continue;
		c->sights[c->judgement.ask].kind = TE_SIGHT_MISSING;
		offset = (int64_t)c->positions[c->judgement.ask].seq - 1;
		looks[open++] = (Look){
			.topic = attempt->settings->inputs[attempt->check.found[i].topic],
			.partition = attempt->check.found[i].partition,
			.from = offset,
			.to = offset + 1,
			.visit = see,
			.closure = c,
		};
	}
	*again = open > 0;
	return look_at(attempt, looks, open);
}

static void fill_anchor(TeInputAnchor *anchor, const Case *c)
{
	static const TeInputOutcome outcomes[] = {
		[TE_ANCHOR_INPUT_SAME] = TE_INPUT_SAME,
		[TE_ANCHOR_INPUT_FRESH] = TE_INPUT_FRESH,
		[TE_ANCHOR_INPUT_LOST_TAIL] = TE_INPUT_LOST_TAIL,
		[TE_ANCHOR_INPUT_GAP] = TE_INPUT_GAP,
	};
	const TeInputJudgement *j = &c->judgement;

	*anchor = (TeInputAnchor){
		.outcome = outcomes[j->outcome],
		.stored = c->stored,
		.stream_created = c->stream.identity,
		.first_seq = c->stream.first,
		.last_seq = c->stream.last,
		.start_seq = j->reading.resume + 1,
		.lost_from = j->lost_from,
		.lost_to = j->lost_to,
	};
	if (j->outcome == TE_ANCHOR_INPUT_LOST_TAIL && j->matched >= 0)
		anchor->matched =
			(TeInputPosition){c->positions[j->matched].identity, c->positions[j->matched].seq,
		                      c->positions[j->matched].time};
}

/* The ends of all streams, into the cases. */
static bool read_ends(TeKafkaAttempt *attempt, Case *cases, int count)
{
	const TeKafkaFound *found = attempt->check.found;
	const char(*topics)[TE_KAFKA_TOPIC_SIZE] = attempt->settings->inputs;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	int64_t low[TE_TRANSPORT_STREAMS_MAX];
	bool ok;

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, topics[found[i].topic], found[i].partition);
	ok = ask_offsets(attempt, list, RD_KAFKA_OFFSET_BEGINNING);
	for (int i = 0; i < count; i++)
		low[i] = list->elems[i].offset;
	ok = ok && ask_offsets(attempt, list, RD_KAFKA_OFFSET_END);
	for (int i = 0; ok && i < count; i++) {
		cases[i].stream = te_anchor_kafka_stream(te_anchor_kafka_identity(attempt->link->cluster_id,
		                                                                  topics[found[i].topic],
		                                                                  found[i].partition),
		                                         low[i], list->elems[i].offset);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return ok;
}

static bool judge(TeKafkaAttempt *attempt, Case *cases, int count)
{
	bool again = true;

	if (!read_ends(attempt, cases, count))
		return false;
	for (int i = 0; i < count; i++)
		for (int p = 0; p < attempt->place_count; p++)
			if (strcmp(attempt->places[p].name, attempt->check.found[i].name) == 0)
				remember_positions(&cases[i], &attempt->places[p]);
	while (again)
		if (!judge_round(attempt, cases, count, &again))
			return false;
	for (int i = 0; i < count; i++)
		fill_anchor(&attempt->check.found[i].anchor, &cases[i]);
	return true;
}

bool te_kafka_check_input(TeKafkaAttempt *attempt)
{
	const TeKafkaSettings *settings = attempt->settings;
	TeKafkaCheck *check = &attempt->check;
	int count = 0;
	Case *cases;
	bool ok;

	if (!settings->config.want_input)
		return true;
	for (int i = 0; i < TE_KAFKA_INPUTS; i++)
		count += attempt->link->partitions[i];
	if (count > TE_TRANSPORT_STREAMS_MAX) {
		snprintf(check->refusal, sizeof(check->refusal),
		         "input is not read: its topics have %d partitions, more than %d", count,
		         TE_TRANSPORT_STREAMS_MAX);
		return true;
	}
	check->found = calloc((size_t)count, sizeof(*check->found));
	cases = calloc((size_t)count, sizeof(*cases));
	if (check->found == NULL || cases == NULL) {
		free(cases);
		return te_attempt_fail(&attempt->base, "out of memory");
	}
	for (int i = 0; i < TE_KAFKA_INPUTS; i++)
		for (int32_t p = 0; p < attempt->link->partitions[i]; p++) {
			TeKafkaFound *found = &check->found[check->found_count];

			check->found_count++;
			found->topic = i;
			found->partition = p;
			snprintf(found->name, sizeof(found->name), "%s/%d", settings->inputs[i], (int)p);
		}
	ok = judge(attempt, cases, check->found_count);
	free(cases);
	return ok;
}

/*----------------------------------------------------------------------
 * Output
 *----------------------------------------------------------------------*/

static bool read_number(const rd_kafka_headers_t *headers, const char *name, uint64_t *out)
{
	const char *text = te_kafka_header(headers, name);
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &end, 10);
	return *end == '\0';
}

static bool copy_header(char *out, size_t size, const rd_kafka_headers_t *headers, const char *name)
{
	const char *text = te_kafka_header(headers, name);

	if (text == NULL || text[0] == '\0' || strlen(text) >= size)
		return false;
	memcpy(out, text, strlen(text) + 1);
	return true;
}

/* The end of one of the lane's partitions. */
typedef struct OutputEnd
{
	TeOutputAnchor anchor;
	const char *installation; /* ours */
	bool marked;              /* a mark of ours was seen */
} OutputEnd;

/* Is b the one that tells more?  A stranger in our epoch or a later one; else the greater place. */
static bool tells_more(const TeOutputAnchor *a, const TeOutputAnchor *b, const char *installation)
{
	bool strange_a = strcmp(a->installation, installation) != 0;
	bool strange_b = strcmp(b->installation, installation) != 0;

	if (a->found != b->found)
		return b->found;
	if (strange_a != strange_b && a->epoch == b->epoch)
		return strange_b;
	return b->epoch > a->epoch || (b->epoch == a->epoch && b->seq > a->seq);
}

/* A mark has no place in the sequence, but tells that the partition is ours. */
static bool is_our_mark(const OutputEnd *end, const rd_kafka_headers_t *headers)
{
	const char *installation = te_kafka_header(headers, "te-installation");

	return te_kafka_header(headers, "te-marker") != NULL && installation != NULL &&
	       strcmp(installation, end->installation) == 0;
}

/*
 * What an engine writes; an incomplete or malformed set is somebody else's message.  Not the
 * newest counts but the one that tells most: Kafka refuses nobody, so behind a stranger's message
 * there may be ours.
 */
static void visit_output(void *closure, const rd_kafka_message_t *message)
{
	OutputEnd *end = closure;
	TeOutputAnchor *anchor = &end->anchor, seen = *anchor;
	rd_kafka_headers_t *headers = NULL;
	uint64_t lane;

	anchor->skipped++;
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
	    !read_number(headers, "te-lane", &lane) || lane != (uint64_t)anchor->lane)
		return;
	end->marked = end->marked || is_our_mark(end, headers);
	if (!read_number(headers, "te-epoch", &seen.epoch) ||
	    !read_number(headers, "te-seq", &seen.seq) ||
	    !copy_header(seen.hash, sizeof(seen.hash), headers, "te-hash") ||
	    !copy_header(seen.installation, sizeof(seen.installation), headers, "te-installation"))
		return;
	seen.found = true;
	seen.found_stream_seq = (uint64_t)message->offset + 1;
	if (tells_more(anchor, &seen, end->installation))
		*anchor = seen;
	anchor->skipped = 0;
}

/*
 * Of the lane's two partitions what tells most, which is the greater place.  Where a partition
 * ends before what it has acknowledged to this transport, the lesser: what lies between is to be
 * sent again.
 */
static void join_ends(TeKafkaAttempt *attempt, const OutputEnd ends[TE_KAFKA_OUTPUTS])
{
	TeKafkaCheck *check = &attempt->check;
	const int64_t *next = check->output_next;
	bool second = tells_more(&ends[0].anchor, &ends[1].anchor, ends[0].installation);
	bool torn = false;

	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		torn = torn || next[i] < attempt->acked_end[i];
	check->output = ends[torn ? !second : second].anchor;
	check->output.sparse = true;
	check->output.last_stream_seq = (uint64_t)(next[0] > next[1] ? next[0] : next[1]);
	check->output.exhausted =
		!check->output.found && !torn && (ends[0].anchor.exhausted || ends[1].anchor.exhausted);
}

/* The lane's partitions: their first offsets and the next ones. */
static bool read_output_ends(TeKafkaAttempt *attempt, int64_t first[TE_KAFKA_OUTPUTS],
                             int64_t next[TE_KAFKA_OUTPUTS])
{
	const TeKafkaSettings *settings = attempt->settings;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TE_KAFKA_OUTPUTS);
	bool ok;

	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		rd_kafka_topic_partition_list_add(list, settings->outputs[i], settings->config.lane);
	ok = ask_offsets(attempt, list, RD_KAFKA_OFFSET_BEGINNING);
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		first[i] = list->elems[i].offset;
	ok = ok && ask_offsets(attempt, list, RD_KAFKA_OFFSET_END);
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		next[i] = list->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(list);
	return ok;
}

bool te_kafka_check_output(TeKafkaAttempt *attempt)
{
	const TeKafkaSettings *settings = attempt->settings;
	int lane = settings->config.lane;
	int64_t first[TE_KAFKA_OUTPUTS], *next = attempt->check.output_next;
	OutputEnd ends[TE_KAFKA_OUTPUTS];
	Look looks[TE_KAFKA_OUTPUTS];

	if (!settings->config.want_output)
		return true;
	if (!read_output_ends(attempt, first, next))
		return false;
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++) {
		bool all = next[i] - WALK_BACK_MAX <= first[i];

		ends[i] = (OutputEnd){
			.anchor = {.stream_created = te_anchor_kafka_identity(
						   attempt->link->cluster_id, settings->outputs[TE_KAFKA_SIGNALS], lane),
		               .lane = lane},
			.installation = settings->config.installation,
		};
		looks[i] = (Look){
			.topic = settings->outputs[i],
			.partition = lane,
			.from = all ? first[i] : next[i] - WALK_BACK_MAX,
			.to = next[i],
			.done = next[i] <= first[i],
			.visit = visit_output,
			.closure = &ends[i],
		};
	}
	if (!look_at(attempt, looks, TE_KAFKA_OUTPUTS))
		return false;
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		ends[i].anchor.exhausted =
			!ends[i].anchor.found && !ends[i].marked && looks[i].from > first[i];
	join_ends(attempt, ends);
	return true;
}
