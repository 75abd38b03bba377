/*
 * intake.c - gathering batches from inbox and transports.
 *
 * A transport hands its messages out in one order, over all of its streams; how far each
 * stream was read is in the lane's memory (TeSource).  What a restart reads again is marked
 * as a repeat.
 */
#include "postgres.h"

#include "core/anchor.h"
#include "engine/admission.h"
#include "engine/guc.h"
#include "engine/inbox.h"
#include "engine/intake.h"
#include "engine/latency.h"
#include "engine/settings.h"
#include "engine/stall.h"
#include "sql/sqltime.h"
#include "wire/encode.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Requests to producers that one look at what is missing makes. */
#define MOST_REQUESTS 32

/* A transport whose next message there is no room for is tried again so soon. */
#define BLOCKED_US INT64_C(100000)

#define REQUEST_ARENA ((size_t)1 << 20)

/* A transport's streams, and what the batch at hand has taken from them. */
typedef struct Feed
{
	TeTransport *transport;
	TeTransportKind kind;
	struct
	{
		int source;          /* number; -1: not seen since the worker's start */
		int64 since;         /* what came off the socket before is of a stream that is no more */
		uint64 reread_until; /* it was read before the worker's start */
		TeStall stall;
	} streams[TE_TRANSPORT_STREAMS_MAX];
	bool crowded; /* it has more streams than there is room for, and that was told */
	int taken;
	bool held;            /* the next message was looked at, and left for the next batch */
	int64 blocked_until;  /* there was no room for it; 0: there was */
	uint32 blocked_count; /* so many messages waited then */
} Feed;

/* Messages of a stream that will never be read. */
typedef struct Lost
{
	int source;
	uint64 from, to;
} Lost;

struct TeIntake
{
	const TeLaneContext *context;
	TeInbox *inbox;
	Feed feeds[TE_TRANSPORT_COUNT];
	int feed_count;
	int inbox_taken;
	List *lost;    /* of Lost: the next batch has to record it */
	bool restated; /* an anchor has changed where a stream stands: likewise */
	bool changed;  /* policies may have: look again */
	char halt[TE_REASON_MAX];

	/* After a failure. */
	const TeBatch *batch; /* at hand */
	int single;           /* so many messages are taken one by one */
	bool poisoned;        /* the next one failed alone: keep it as a dead letter */
	char poison[256];     /* why */
};

/* What sources are called; the name of a stream of Kafka follows. */
static const char *const labels[] = {
	[TE_TRANSPORT_NATS] = TE_SOURCE_NATS,
	[TE_TRANSPORT_KAFKA] = TE_SOURCE_KAFKA,
};

TeIntake *te_intake_create(TeLaneContext *context)
{
	TeIntake *intake = MemoryContextAllocZero(TopMemoryContext, sizeof(TeIntake));

	intake->context = context;
	context->marker = te_crash_marker_open(context->lane, &intake->single);
	intake->inbox =
		te_inbox_create(context->lane, context->lane_count, context->memory->inbox_snapshot);
	te_inbox_read(intake->inbox);
	return intake;
}

bool te_intake_outdated(const TeIntake *intake)
{
	const TeSequenceSettings *made = &intake->context->memory->parking.settings;
	TeSequenceSettings now = te_settings_sequences();

	return made->most_parked != now.most_parked ||
	       made->most_parked_bytes != now.most_parked_bytes ||
	       made->most_per_producer != now.most_per_producer ||
	       made->most_bytes_per_producer != now.most_bytes_per_producer;
}

void te_intake_configure(TeIntake *intake)
{
	TeSequenceSettings now = te_settings_sequences();

	te_parking_configure(&intake->context->memory->parking, &now);
	intake->changed = true;
}

/* The name by which a transport knows the stream of this source; NULL: it isn't one of its. */
static const char *stream_of(const Feed *feed, const TeSource *source)
{
	size_t label = strlen(labels[feed->kind]);

	if (strncmp(source->name, labels[feed->kind], label) != 0)
		return NULL;
	return source->name + label;
}

void te_intake_attach(TeIntake *intake, TeTransport *transport, TeTransportKind kind)
{
	const TeMemory *m = intake->context->memory;
	Feed *feed = &intake->feeds[intake->feed_count++];

	feed->transport = transport;
	feed->kind = kind;
	for (int i = 0; i < TE_TRANSPORT_STREAMS_MAX; i++)
		feed->streams[i].source = -1;
	for (int i = 0; i < m->source_count; i++) {
		const TeSource *source = m->sources[i];
		const char *stream = stream_of(feed, source);

		if (stream != NULL && source->history_count > 0)
			te_transport_seed_input(transport, stream, source->history, source->history_count);
	}
}

/*----------------------------------------------------------------------
 * Anchors
 *----------------------------------------------------------------------*/

/*
 * Judge a stream by what the transport has found out about positions: the stored one, and the
 * newest older one that matches.  One that lies beyond, while the lane reads again, wasn't asked
 * for.
 */
static TeInputJudgement judge(const TeInputAnchor *anchor, const TeInputPosition *committed,
                              TeReading reading)
{
	const TeAnchorStream stream = {anchor->stream_created, anchor->first_seq, anchor->last_seq};
	const TeInputPosition *known[3];
	TeAnchorPosition positions[3];
	TeAnchorSight sights[3];
	int count = 0;

	if (committed->stream_created == anchor->stored.stream_created &&
	    committed->seq > anchor->stored.seq) {
		sights[count] = (TeAnchorSight){TE_SIGHT_MISSING, 0};
		known[count++] = committed;
	}
	if (anchor->stored.seq > 0) {
		bool there = anchor->outcome != TE_INPUT_LOST_TAIL;

		sights[count] =
			(TeAnchorSight){there ? TE_SIGHT_THERE : TE_SIGHT_MISSING, anchor->stored.message_time};
		known[count++] = &anchor->stored;
	}
	if (anchor->matched.seq > 0) {
		sights[count] = (TeAnchorSight){TE_SIGHT_THERE, anchor->matched.message_time};
		known[count++] = &anchor->matched;
	}
	for (int i = 0; i < count; i++)
		positions[i] =
			(TeAnchorPosition){known[i]->stream_created, known[i]->seq, known[i]->message_time};
	/* Another message at the position counts as much as another time of it. */
	if (count > 0 && known[0] == &anchor->stored && anchor->outcome == TE_INPUT_LOST_TAIL)
		sights[0] = (TeAnchorSight){TE_SIGHT_THERE, anchor->stored.message_time + 1};
	return te_anchor_judge_input(positions, sights, count, reading, &stream);
}

static void note_lost(TeIntake *intake, int source, const TeInputJudgement *j)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Lost *lost = palloc(sizeof(Lost));

	*lost = (Lost){source, j->lost_from, j->lost_to};
	intake->lost = lappend(intake->lost, lost);
	MemoryContextSwitchTo(old);
}

static bool is_kept(const TeInputJudgement *j)
{
	return j->outcome == TE_ANCHOR_INPUT_SAME || j->outcome == TE_ANCHOR_INPUT_GAP;
}

/* Reading goes on elsewhere than right behind what was read; the next batch's row says so. */
static void restate(TeIntake *intake, int n, const TeInputAnchor *anchor, const TeInputJudgement *j)
{
	TeSource *source = intake->context->memory->sources[n];
	TeSourcePosition *p = &source->committed;

	if (p->input.seq != j->reading.done || !is_kept(j))
		p->input.message_time = j->outcome == TE_ANCHOR_INPUT_LOST_TAIL && j->matched >= 0
		                            ? anchor->matched.message_time
		                            : 0;
	p->input.stream_created = anchor->stream_created;
	p->input.seq = j->reading.done;
	p->resume = j->reading.resume;
	p->incarnation += j->new_incarnation;
	source->unsaved = true;
	if (j->new_incarnation || j->lost_from > 0)
		intake->restated = true;
	if (j->lost_from > 0)
		note_lost(intake, n, j);
}

/*
 * After a start reading goes on at the first message that waited; after a mere reconnect those are
 * in memory, and it goes on where it was.  What was handed out by then, and not committed, comes
 * again before.
 */
static void resume_stream(TeIntake *intake, Feed *feed, const TeInputAnchor *anchor, int n)
{
	TeMemory *m = intake->context->memory;
	TeSourcePosition *p = &m->sources[n]->committed;
	bool reconnected = feed->streams[anchor->stream].source >= 0;
	TeReading reading = {p->resume, p->input.seq};
	TeInputJudgement j;
	uint64 start;

	if (reconnected && anchor->stored.stream_created == p->input.stream_created)
		reading.done = Max(reading.done, anchor->stored.seq);
	j = judge(anchor, &p->input, reading);
	if (j.outcome != TE_ANCHOR_INPUT_SAME)
		restate(intake, n, anchor, &j);
	if (reconnected && is_kept(&j))
		start = Max(anchor->stored.seq + 1, anchor->first_seq);
	else {
		p->at = p->resume;
		start = p->resume + 1;
		feed->streams[anchor->stream].reread_until = p->input.seq;
	}
	m->sources[n]->staged = *p;
	if (!is_kept(&j)) {
		te_parking_forget_source(&m->parking, n);
		feed->streams[anchor->stream].since = te_monotonic_us();
	}
	feed->streams[anchor->stream].source = n;
	te_transport_resume_input(feed->transport, anchor->stream, start, te_monotonic_us());
}

void te_intake_resume(TeIntake *intake)
{
	for (int i = 0; i < intake->feed_count; i++) {
		Feed *feed = &intake->feeds[i];
		const TeInputAnchor *anchor;

		while ((anchor = te_transport_input_anchor(feed->transport)) != NULL) {
			bool named = feed->kind != TE_TRANSPORT_NATS;
			char *name = psprintf("%s%s", labels[feed->kind], named ? anchor->stream_name : "");
			int n = te_memory_source(intake->context->memory, name);

			if (n < 0)
				n = te_memory_replace_source(intake->context->memory, name);
			if (n < 0) {
				if (!feed->crowded)
					ereport(WARNING,
					        errmsg("lane %d knows more input streams than there is room for",
					               intake->context->lane),
					        errdetail("%s and what follows it is not read.", name));
				feed->crowded = true;
				pfree(name);
				break;
			}
			pfree(name);
			resume_stream(intake, feed, anchor, n);
		}
	}
}

/* What the anchors have found out goes into the first batch after them. */
static void record_anchors(TeIntake *intake, TeBatch *batch)
{
	ListCell *cell;

	foreach (cell, intake->lost) {
		const Lost *lost = lfirst(cell);

		te_batch_add_gap(
			batch, &(TeBatchGap){.source = intake->context->memory->sources[lost->source]->name,
		                         .from = lost->from,
		                         .to = lost->to,
		                         .reason = "DISCARDED"});
	}
}

/*----------------------------------------------------------------------
 * The inbox
 *----------------------------------------------------------------------*/

bool te_intake_stale(const TeIntake *intake)
{
	return te_inbox_stale(intake->inbox);
}

void te_intake_heed(TeIntake *intake)
{
	te_inbox_heed(intake->inbox);
	intake->changed = true;
}

void te_intake_read(TeIntake *intake)
{
	if (te_inbox_stale(intake->inbox))
		te_inbox_read(intake->inbox);
}

const char *te_intake_snapshot(const TeIntake *intake)
{
	return te_inbox_snapshot(intake->inbox, intake->inbox_taken);
}

/*----------------------------------------------------------------------
 * What is missing
 *----------------------------------------------------------------------*/

/* Does nothing unread wait anywhere, as far as can be known? */
static bool is_caught_up(const TeIntake *intake)
{
	TeInput input;

	for (int i = 0; i < intake->feed_count; i++) {
		const TeTransportStats *stats = te_transport_stats(intake->feeds[i].transport);

		if (stats->state != TE_TRANSPORT_READY || !stats->input_resumed ||
		    stats->input_pending > 0 || stats->input_held > 0)
			return false;
	}
	return !te_inbox_peek(intake->inbox, 0, &input);
}

/* Wherever the producer listens: what is lost on the way is asked for again. */
static void ask_for(TeIntake *intake, const TeResendRequest *request)
{
	TeProducerName name = te_memory_producer_name(te_memory_producer_of(request->sequence));
	const char *user = strchr(name.scope, '/') + 1;
	char *subject = psprintf("%s.control.resend.%s", te_guc_subject_prefix, name.producer);
	const uint8_t *data;
	size_t len;
	TeArena arena;
	TeWireError err;

	te_arena_init(&arena, 4096, REQUEST_ARENA);
	if (!te_encode_resend_request(name.company, user, name.producer, request->epoch, request->from,
	                              request->to, te_time_from_timestamptz(GetCurrentTimestamp()),
	                              &arena, &data, &len, &err))
		elog(ERROR, "could not pack a request: %s", err.detail);
	for (int i = 0; i < intake->feed_count; i++)
		(void)te_transport_publish_plain(intake->feeds[i].transport, subject, data, len);
	te_arena_free(&arena);
	pfree(subject);
	te_count(&intake->context->slot->counters.resend_requests, 1);
}

/* Let time pass for what is missing. */
static void keep_time(TeIntake *intake, TeBatch *batch)
{
	TeParking *parking = &intake->context->memory->parking;
	TeResendRequest requests[MOST_REQUESTS];
	int n;

	if (parking->open == NULL || (!intake->changed && batch->now < te_parking_deadline(parking)))
		return;
	if (intake->changed)
		te_admission_follow_policies(intake->context);
	intake->changed = false;
	n = te_parking_tick(parking, batch->now, is_caught_up(intake), requests, MOST_REQUESTS);
	for (int i = 0; i < n; i++)
		ask_for(intake, &requests[i]);
}

int64 te_intake_due(const TeIntake *intake)
{
	int64 due = te_parking_deadline(&intake->context->memory->parking);

	for (int i = 0; i < intake->feed_count; i++)
		if (intake->feeds[i].blocked_until > 0)
			due = Min(due, intake->feeds[i].blocked_until);
	return due;
}

/* "; <transport> is not read ...", for each that has a message for which there is no room. */
static void append_blocked(TeIntake *intake, size_t used)
{
	for (int i = 0; i < intake->feed_count; i++) {
		const Feed *feed = &intake->feeds[i];

		if (feed->blocked_until > 0 && used < sizeof(intake->halt))
			used += (size_t)snprintf(intake->halt + used, sizeof(intake->halt) - used,
			                         "; %s is not read any more, %u messages wait",
			                         te_transport_names[feed->kind],
			                         intake->context->memory->parking.parked);
	}
}

const char *te_intake_halt(TeIntake *intake)
{
	const TeParking *parking = &intake->context->memory->parking;

	for (TeSequence *s = parking->open; s != NULL; s = s->open_next)
		if (s->halted) {
			append_blocked(intake,
			               (size_t)snprintf(intake->halt, sizeof(intake->halt),
			                                "message " UINT64_FORMAT " of epoch " UINT64_FORMAT
			                                " of producer %s is missing, and must not be skipped",
			                                s->committed.next_seq, s->committed.epoch,
			                                te_memory_producer_of(s)->key));
			return intake->halt;
		}
	return NULL;
}

const char *te_intake_applied(const TeIntake *intake)
{
	return te_inbox_snapshot(intake->inbox, 0);
}

/*----------------------------------------------------------------------
 * Gathering
 *----------------------------------------------------------------------*/

int te_intake_taken(const TeIntake *intake)
{
	int taken = intake->inbox_taken;

	for (int i = 0; i < intake->feed_count; i++)
		taken += intake->feeds[i].taken;
	return taken;
}

/* False when the batch ends before this message, or there is no room for it. */
static bool take_message(TeIntake *intake, Feed *feed, TeBatch *batch,
                         const TeInputMessage *message)
{
	TeMemory *m = intake->context->memory;
	TeSource *source = m->sources[feed->streams[message->stream].source];
	TeSourcePosition *p = &source->staged;
	bool gone = message->read_at < feed->streams[message->stream].since;
	const TeInput input = {
		.source = source->name,
		.origin = gone ? -1 : feed->streams[message->stream].source,
		.seq = (int64)message->seq,
		.subject = message->subject,
		.data = message->data,
		.len = message->len,
		.traceparent = message->traceparent,
		.read_at = message->read_at,
		.repeat = !gone && message->seq <= feed->streams[message->stream].reread_until,
	};

	if (te_batch_ends_before(batch, message->subject))
		return false;
	if (!te_batch_add(batch, &input)) {
		feed->blocked_until = batch->now + BLOCKED_US;
		feed->blocked_count = m->parking.parked;
		return false;
	}
	feed->taken++;
	if (gone)
		return true;
	p->at = message->seq;
	if (message->seq > p->input.seq)
		p->input = (TeInputPosition){
			.stream_created = message->stream_created,
			.seq = message->seq,
			.message_time = message->message_time,
		};
	if (message->lost_from > 0 && !input.repeat)
		te_batch_add_gap(batch, &(TeBatchGap){.source = source->name,
		                                      .from = message->lost_from,
		                                      .to = message->lost_to,
		                                      .reason = "DISCARDED"});
	return true;
}

static bool has_room(const TeBatch *batch)
{
	return !batch->unfinished && !te_batch_full(batch);
}

/* Is there still no room for the message that the feed was stopped at? */
static bool is_blocked(Feed *feed, const TeBatch *batch)
{
	if (feed->blocked_until > batch->now &&
	    batch->lane->memory->parking.parked >= feed->blocked_count)
		return true;
	feed->blocked_until = 0;
	return false;
}

static void drain(TeIntake *intake, Feed *feed, TeBatch *batch)
{
	TeInputMessage message;

	if (is_blocked(feed, batch))
		return;
	while (!feed->held && has_room(batch) && te_transport_next_input(feed->transport, &message)) {
		CHECK_FOR_INTERRUPTS();
		feed->held = !take_message(intake, feed, batch, &message);
	}
}

static void drain_inbox(TeIntake *intake, TeBatch *batch)
{
	TeInput input;

	while (has_room(batch) && te_inbox_peek(intake->inbox, intake->inbox_taken, &input) &&
	       !te_batch_ends_before(batch, input.subject)) {
		if (input.release != NULL)
			te_admission_release(batch, &input);
		else if (!te_batch_add(batch, &input))
			elog(ERROR, "input by SQL was to wait");
		intake->inbox_taken++;
	}
}

/* What was looked at and left is the next to come. */
static void rewind_held(TeIntake *intake)
{
	for (int i = 0; i < intake->feed_count; i++)
		if (intake->feeds[i].held) {
			te_transport_rewind_input(intake->feeds[i].transport);
			intake->feeds[i].held = false;
		}
}

bool te_intake_gather(TeIntake *intake, TeBatch *batch)
{
	intake->batch = batch;
	intake->inbox_taken = 0;
	for (int i = 0; i < intake->feed_count; i++) {
		intake->feeds[i].taken = 0;
		intake->feeds[i].held = false;
	}
	batch->single = intake->single > 0;
	batch->poison = intake->poisoned ? intake->poison : NULL;
	record_anchors(intake, batch);
	keep_time(intake, batch);
	te_admission_proceed(batch);
	drain_inbox(intake, batch);
	for (int i = 0; i < intake->feed_count; i++)
		drain(intake, &intake->feeds[i], batch);
	if (te_intake_taken(intake) > 0 || batch->steps > 0 || intake->restated)
		return true;
	te_crash_marker_end(intake->context->marker, false, 0);
	rewind_held(intake);
	return false;
}

/*----------------------------------------------------------------------
 * What became of it
 *----------------------------------------------------------------------*/

static void forget_lost(TeIntake *intake)
{
	list_free_deep(intake->lost);
	intake->lost = NIL;
	intake->restated = false;
}

void te_intake_committed(TeIntake *intake)
{
	int settled;

	if (intake->batch == NULL)
		return;
	/* What waits is as suspect as before. */
	settled = intake->batch->messages - intake->batch->parked;
	te_crash_marker_end(intake->context->marker, true, settled);
	forget_lost(intake);
	if (settled > 0)
		intake->poisoned = false;
	intake->single = Max(0, intake->single - settled);
	te_inbox_release(intake->inbox, intake->inbox_taken);
	for (int i = 0; i < intake->feed_count; i++) {
		Feed *feed = &intake->feeds[i];

		if (feed->taken > 0)
			te_transport_release_input(feed->transport, feed->taken);
	}
	rewind_held(intake);
	intake->batch = NULL;
}

bool te_intake_failed(TeIntake *intake, const ErrorData *error, bool blameless)
{
	int messages = intake->batch != NULL ? intake->batch->messages : 0;

	te_crash_marker_end(intake->context->marker, false, messages);
	intake->batch = NULL;
	for (int i = 0; i < intake->feed_count; i++)
		te_transport_rewind_input(intake->feeds[i].transport);
	if (blameless || messages == 0 || intake->poisoned)
		return false;
	if (messages > 1)
		intake->single = messages;
	else {
		intake->poisoned = true;
		strlcpy(intake->poison, error->message, sizeof(intake->poison));
	}
	return true;
}

bool te_intake_retrying(const TeIntake *intake)
{
	return intake->single > 0 || intake->poisoned;
}

bool te_intake_more(const TeIntake *intake)
{
	return te_parking_next(&intake->context->memory->parking) != 0;
}

/*----------------------------------------------------------------------
 * What doesn't move
 *----------------------------------------------------------------------*/

/* A connection that is down, or still being checked, is shown as such. */
static bool is_reading(TeTransport *transport)
{
	const TeTransportStats *stats = te_transport_stats(transport);

	return stats->state == TE_TRANSPORT_READY && stats->input_resumed;
}

void te_intake_watch(TeIntake *intake, int64 now)
{
	const TeLaneContext *c = intake->context;

	for (int i = 0; i < intake->feed_count; i++) {
		Feed *feed = &intake->feeds[i];
		bool reading = is_reading(feed->transport);
		int64 since = 0;

		for (int n = 0; n < TE_TRANSPORT_STREAMS_MAX; n++) {
			TeStall *stall = &feed->streams[n].stall;
			const TeSource *source;

			if (feed->streams[n].source < 0)
				continue;
			source = c->memory->sources[feed->streams[n].source];
			te_stall_look(stall, c->slot, feed->kind, source->name,
			              reading ? te_transport_unread(feed->transport, n) : 0,
			              source->committed.at, now);
			if (stall->told && (since == 0 || stall->since < since))
				since = stall->since;
		}
		te_gauge(&c->slot->transports[feed->kind].stalled_since,
		         since > 0 ? GetCurrentTimestamp() - (now - since) : 0);
	}
}
