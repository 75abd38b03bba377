/*
 * publisher.c - the lane's outgoing queue.
 *
 * The queue holds consecutive batches.  Its head may start behind the next message
 * to send (the broker went back, or memory was short): then the batches in between
 * come from trading.outbox.  Its tail may end before the last committed message:
 * then what follows comes from there when the queue has run empty.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/latency.h"
#include "engine/publisher.h"
#include "engine/query.h"
#include "engine/session.h"
#include "sql/sqltime.h"
#include "wire/encode.h"
#include "wire/outbox.h"
#include "wire/subject.h"

#include "catalog/pg_type.h"
#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Bytes of frames kept in memory; the rest waits in the table. */
#define QUEUE_BYTES (16 * 1024 * 1024)
#define FETCH_ROWS 16

typedef struct QueuedBatch
{
	dlist_node node;
	int64 epoch, first_seq, last_seq;
	size_t length;
	int64 *read_at;        /* per message; NULL when read from the table */
	bool sent_once;        /* its last message has been handed out */
	TeOutboxReader reader; /* stands behind the frame that was read last */
	bool has_frame;        /* "frame" was read and not yet sent */
	TeFrame frame;
	char frames[FLEXIBLE_ARRAY_MEMBER];
} QueuedBatch;

struct TePublisher
{
	MemoryContext context;
	TeLaneSlot *slot;
	TeTransport *transport;
	TeGate *gate;
	int lane;
	char installation[TE_TRANSPORT_INSTALLATION_SIZE];
	dlist_head queue;
	size_t queued_bytes;
	TeOutPlace cursor;   /* acknowledged without a gap */
	TeOutPlace sent;     /* last handed to the transport since it was resumed */
	TeOutPlace furthest; /* last ever handed to the transport: later is a repeat */
	TeOutPlace last;     /* last committed */
	TeOutPlace broker_last;
	TeOutPlace delivered; /* last that a broker ever had: its content is settled */
	TeOutPlace
		stale_ack; /* the transport's cursor when it was resumed; says nothing of this stream */
	bool resumed;
	bool anchored; /* it was resumed once: how far a predecessor came is known */
	bool torn;     /* what comes next is lost; until the next anchor there is nothing to send */
	TeArena arena; /* for gap-fill records */
};

TePublisher *te_publisher_create(TeLaneSlot *slot, int lane, const char *installation,
                                 TeTransport *transport, TeGate *gate, TeOutPlace cursor,
                                 TeOutPlace last)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "trading_engine publisher", ALLOCSET_DEFAULT_SIZES);
	TePublisher *p = MemoryContextAllocZero(context, sizeof(TePublisher));

	p->context = context;
	p->slot = slot;
	p->transport = transport;
	p->gate = gate;
	p->lane = lane;
	strlcpy(p->installation, installation, sizeof(p->installation));
	dlist_init(&p->queue);
	p->cursor = p->sent = p->furthest = p->delivered = cursor;
	p->last = last;
	te_arena_init(&p->arena, 16 * 1024, QUEUE_BYTES);
	return p;
}

static QueuedBatch *make_batch(TePublisher *p, int64 epoch, int64 first_seq, int64 last_seq,
                               const void *frames, size_t length, const int64 *read_at)
{
	int64 n = last_seq - first_seq + 1;
	QueuedBatch *b = MemoryContextAllocExtended(p->context, offsetof(QueuedBatch, frames) + length,
	                                            MCXT_ALLOC_HUGE);

	b->epoch = epoch;
	b->first_seq = first_seq;
	b->last_seq = last_seq;
	b->length = length;
	b->sent_once = b->has_frame = false;
	b->read_at = NULL;
	if (read_at != NULL) {
		b->read_at = MemoryContextAlloc(p->context, sizeof(int64) * n);
		memcpy(b->read_at, read_at, sizeof(int64) * n);
	}
	memcpy(b->frames, frames, length);
	te_outbox_read(&b->reader, (uint8_t *)b->frames, length);
	p->queued_bytes += length;
	return b;
}

static void free_batch(TePublisher *p, QueuedBatch *b)
{
	dlist_delete(&b->node);
	p->queued_bytes -= b->length;
	if (b->read_at != NULL)
		pfree(b->read_at);
	pfree(b);
}

static QueuedBatch *first_batch(TePublisher *p)
{
	return dlist_is_empty(&p->queue) ? NULL : dlist_head_element(QueuedBatch, node, &p->queue);
}

static TeOutPlace end_of(const QueuedBatch *b)
{
	return (TeOutPlace){b->epoch, b->last_seq};
}

/* The first batch in memory of which something is still to be sent, or NULL. */
static QueuedBatch *first_unsent(TePublisher *p)
{
	dlist_iter iter;

	dlist_foreach(iter, &p->queue)
	{
		QueuedBatch *b = dlist_container(QueuedBatch, node, iter.cur);

		if (te_out_compare(end_of(b), p->sent) > 0)
			return b;
	}
	return NULL;
}

/* Is the place right before this batch, or inside it? */
static bool continues(TeOutPlace place, const QueuedBatch *b)
{
	return place.epoch == b->epoch ? place.seq >= b->first_seq - 1 : b->first_seq == 1;
}

void te_publisher_add(TePublisher *p, int64 epoch, int64 first_seq, int64 last_seq,
                      const void *frames, size_t length, const int64 *read_at)
{
	TeOutPlace tail = dlist_is_empty(&p->queue)
	                      ? p->sent
	                      : end_of(dlist_tail_element(QueuedBatch, node, &p->queue));
	bool gapless = te_out_compare(tail, p->last) == 0;

	p->last = (TeOutPlace){epoch, last_seq};
	/* A batch that doesn't follow the tail, or for which there is no room, waits in the table. */
	if (!gapless || p->queued_bytes + length > QUEUE_BYTES)
		return;
	dlist_push_tail(&p->queue,
	                &make_batch(p, epoch, first_seq, last_seq, frames, length, read_at)->node);
}

/*----------------------------------------------------------------------
 * Reading back from the table
 *----------------------------------------------------------------------*/

typedef struct Fetch
{
	TePublisher *p;
	TeOutPlace before; /* a later batch, which is in memory already */
	dlist_head found;
} Fetch;

static void read_outbox(TeRow *row, void *arg)
{
	Fetch *fetch = arg;
	TeOutPlace first = {te_row_int(row, "epoch"), te_row_int(row, "first_seq")};
	bytea *frames = te_row_bytes(row, "frames");

	if (te_out_compare(first, fetch->before) < 0)
		dlist_push_tail(&fetch->found,
		                &make_batch(fetch->p, first.epoch, first.seq, te_row_int(row, "last_seq"),
		                            VARDATA_ANY(frames), VARSIZE_ANY_EXHDR(frames), NULL)
		                     ->node);
}

/* Put batches that follow what was sent into the queue, before "later" or at its end. */
static void fetch_from_outbox(TePublisher *p, QueuedBatch *later)
{
	Oid types[] = {INT4OID, INT8OID, INT8OID, INT4OID};
	Datum values[] = {Int32GetDatum(p->lane), Int64GetDatum(p->sent.epoch),
	                  Int64GetDatum(p->sent.seq), Int32GetDatum(FETCH_ROWS)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	Fetch fetch = {.p = p, .before = {PG_INT64_MAX, PG_INT64_MAX}};

	if (later != NULL)
		fetch.before = (TeOutPlace){later->epoch, later->first_seq};
	dlist_init(&fetch.found);
	te_session_begin("reading the outbox");
	te_query_each("SELECT o.epoch, o.first_seq, o.last_seq, o.frames FROM trading.outbox AS o"
	              " WHERE o.lane OPERATOR(pg_catalog.=) $1"
	              "   AND ROW(o.epoch, o.last_seq) OPERATOR(pg_catalog.>) ROW($2, $3)"
	              " ORDER BY o.epoch, o.first_seq LIMIT $4",
	              &args, read_outbox, &fetch);
	te_session_commit();
	while (!dlist_is_empty(&fetch.found)) {
		dlist_node *node = dlist_pop_head_node(&fetch.found);

		if (later != NULL)
			dlist_insert_before(&later->node, node);
		else
			dlist_push_tail(&p->queue, node);
	}
}

/*----------------------------------------------------------------------
 * Sending
 *----------------------------------------------------------------------*/

/*
 * A message whose time has passed is replaced by a record that says so, unless a broker
 * had it once: one identity, one content.  Simulated time never expires a message: it
 * would depend on how fast history is run.
 */
static bool expired(const TeFrame *frame)
{
	return te_guc_clock == TE_CLOCK_SYSTEM && frame->expires_at != TE_NO_TIME &&
	       frame->expires_at <= te_time_from_timestamptz(GetCurrentTimestamp());
}

/*
 * A record that the sequence has no message, for a reason, goes out in the message's place.  Its
 * time is that of the message's expiry, so that it has the same bytes whenever it is sent again.
 */
static void replace_by_gap_fill(TePublisher *p, const TeFrame *frame, const char *reason,
                                TeOutputMessage *message, char hash[TE_HASH_TEXT_SIZE])
{
	TeSubject subject;
	const uint8_t *data;
	TeWireError err;

	te_arena_reset(&p->arena);
	if (!te_subject_parse(te_guc_subject_prefix, frame->subject, strlen(frame->subject), &subject,
	                      &err) ||
	    !te_encode_gap_fill((uint32_t)p->lane, message->epoch, frame->seq, frame->seq, reason,
	                        subject.company, subject.user, frame->expires_at, &p->arena, &data,
	                        &message->len, &err))
		elog(ERROR, "could not encode a gap-fill record: %s", err.detail);
	message->data = data;
	te_hash_text(te_hash64(data, message->len), hash);
}

/* Sessions that set switches are told what has left before: nothing that was handed over later. */
static void attend(TePublisher *p)
{
	TeOutPlace word = p->anchored ? p->furthest : p->last;

	if (te_gate_is_called(p->gate))
		te_gate_attend(p->gate, word.epoch, word.seq);
}

static TePublishResult send_frame(TePublisher *p, int64 epoch, const TeFrame *frame, int64 now)
{
	TeOutPlace place = {epoch, (int64)frame->seq};
	char hash[TE_HASH_TEXT_SIZE];
	TeOutputMessage message = {
		.subject = frame->subject,
		.data = frame->message,
		.len = frame->message_len,
		.epoch = (uint64_t)epoch,
		.seq = frame->seq,
		.hash = hash,
		.traceparent = frame->traceparent[0] ? frame->traceparent : NULL,
	};
	TePublishResult result;

	te_hash_text(frame->hash, hash);
	attend(p);
	if (te_out_compare(place, p->delivered) > 0) {
		TeGateVerdict verdict = te_gate_judge(p->gate, frame, now);

		if (expired(frame))
			replace_by_gap_fill(p, frame, "EXPIRED", &message, hash);
		else if (verdict == TE_GATE_HELD)
			return TE_PUBLISH_NOT_READY;
		else if (verdict == TE_GATE_SHUT)
			replace_by_gap_fill(p, frame, "HALTED", &message, hash);
	}
	result = te_transport_publish(p->transport, &message, now);
	if (result == TE_PUBLISH_TOO_LARGE && message.data == frame->message) {
		replace_by_gap_fill(p, frame, "TOO_LARGE", &message, hash);
		result = te_transport_publish(p->transport, &message, now);
	}
	if (result == TE_PUBLISH_BAD_ORDER)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg("the outbox of lane %d has a hole before message " INT64_FORMAT
		               "/" UINT64_FORMAT,
		               p->lane, epoch, frame->seq));
	if (result == TE_PUBLISH_OK && message.data != frame->message)
		te_count(&p->slot->counters.gap_fills, 1);
	return result;
}

/* Messages that were committed are gone from the outbox before the broker had them. */
static void report_torn(TePublisher *p)
{
	p->torn = true;
	ereport(
		WARNING, errcode(ERRCODE_DATA_CORRUPTED),
		errmsg("output of lane %d after " INT64_FORMAT "/" INT64_FORMAT
	           " is neither at the broker nor in trading.outbox",
	           p->lane, p->sent.epoch, p->sent.seq),
		errhint("Restore the rows, or call trading.adopt(%d) to go on in a new epoch.", p->lane));
	te_lane_report(p->slot, TE_LANE_RUNNING, "the outbox lacks what the broker hasn't got");
}

/* The next batch to send from, in memory; NULL when all that is committed has been sent. */
static QueuedBatch *next_batch(TePublisher *p)
{
	QueuedBatch *b;

	if (te_out_compare(p->sent, p->last) >= 0 || p->torn)
		return NULL;
	b = first_unsent(p);
	if (b == NULL || !continues(p->sent, b)) {
		fetch_from_outbox(p, b);
		b = first_unsent(p);
	}
	if (b != NULL && continues(p->sent, b))
		return b;
	if (b == NULL && p->last.seq == 0)
		p->sent = p->last; /* an epoch in which nothing was sent yet */
	else
		report_torn(p);
	return NULL;
}

static void note_handed_over(TePublisher *p, QueuedBatch *b, int64 now)
{
	if (b->sent_once)
		return;
	b->sent_once = true;
	if (b->read_at != NULL)
		te_latency_record_many(&p->slot->latencies, TE_LATENCY_READ_TO_PUBLISH, b->read_at,
		                       (int)(b->last_seq - b->first_seq + 1), now);
}

/* Have the next frame of a batch at hand; false when there is none. */
static bool read_frame(QueuedBatch *b)
{
	TeWireError err;
	int found = b->has_frame ? 1 : te_outbox_next(&b->reader, &b->frame, &err);

	if (found < 0)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg("outbox messages " INT64_FORMAT ".." INT64_FORMAT " can't be read",
		               b->first_seq, b->last_seq),
		        errdetail_internal("%s", err.detail));
	b->has_frame = found > 0;
	return b->has_frame;
}

/* Send what is left of a batch; false when the transport takes no more. */
static bool send_batch(TePublisher *p, QueuedBatch *b, int64 now)
{
	while (read_frame(b)) {
		TeOutPlace place = {b->epoch, (int64)b->frame.seq};

		if (te_out_compare(place, p->sent) > 0) {
			TePublishResult result = send_frame(p, b->epoch, &b->frame, now);

			if (result != TE_PUBLISH_OK)
				return false;
			p->sent = place;
			te_count(&p->slot->counters.published, 1);
			if (te_out_compare(place, p->furthest) > 0)
				p->furthest = place;
			else
				te_count(&p->slot->counters.republished, 1);
		}
		b->has_frame = false;
	}
	note_handed_over(p, b, te_monotonic_us());
	return true;
}

static void note_acknowledged(TePublisher *p)
{
	TeOutputCursor acked = te_transport_acked(p->transport);
	TeOutPlace place = {(int64)acked.epoch, (int64)acked.seq};
	QueuedBatch *b;

	if (te_out_compare(place, p->cursor) <= 0 || te_out_compare(place, p->stale_ack) <= 0)
		return;
	te_count(&p->slot->counters.acknowledged,
	         place.epoch == p->cursor.epoch ? place.seq - p->cursor.seq : place.seq);
	p->cursor = place;
	if (te_out_compare(place, p->delivered) > 0)
		p->delivered = place;
	while ((b = first_batch(p)) != NULL && te_out_compare(end_of(b), place) <= 0) {
		if (b->read_at != NULL)
			te_latency_record_many(&p->slot->latencies, TE_LATENCY_READ_TO_ACK, b->read_at,
			                       (int)(b->last_seq - b->first_seq + 1), te_monotonic_us());
		free_batch(p, b);
	}
}

void te_publisher_run(TePublisher *p, int64 now)
{
	QueuedBatch *b;

	attend(p);
	note_acknowledged(p);
	while (p->resumed && (b = next_batch(p)) != NULL && send_batch(p, b, now))
		;
	te_transport_flush(p->transport, now);
	te_gauge(&p->slot->gauges.published_seq, p->sent.seq);
	te_gauge(&p->slot->gauges.acked_seq, p->cursor.seq);
	te_gauge(&p->slot->gauges.outbox_pending, te_publisher_pending(p));
}

/*----------------------------------------------------------------------
 * Anchors
 *----------------------------------------------------------------------*/

/* Go back, or on, to the place behind which the broker's stream ends. */
static void rewind_to(TePublisher *p, TeOutPlace place)
{
	dlist_iter iter;
	QueuedBatch *head = first_batch(p);

	p->sent = place;
	/* What an earlier epoch still has to send stands before the queue's, in the table only. */
	if (head != NULL && head->epoch != place.epoch)
		for (; head != NULL; head = first_batch(p))
			free_batch(p, head);
	dlist_foreach(iter, &p->queue)
	{
		QueuedBatch *b = dlist_container(QueuedBatch, node, iter.cur);

		te_outbox_read(&b->reader, (uint8_t *)b->frames, b->length);
		b->has_frame = false;
	}
}

const char *te_publisher_resume(TePublisher *p, int64 predecessor_epoch, bool adopting, int64 now)
{
	const TeOutputAnchor *anchor = te_transport_output_anchor(p->transport);
	TeOutPlace place = {(int64)anchor->epoch, (int64)anchor->seq};

	if (anchor->found && strcmp(anchor->installation, p->installation) != 0) {
		if (!adopting && place.epoch > predecessor_epoch)
			return "another installation writes to this lane's output stream";
		if (adopting)
			p->cursor = p->last; /* what was left to send is of an epoch that ends here */
		p->broker_last = place;
	} else if (anchor->found) {
		p->broker_last = place;
		if (!adopting && te_out_compare(place, p->last) > 0)
			return psprintf("the broker has output " INT64_FORMAT "/" INT64_FORMAT
			                ", this database ends at " INT64_FORMAT "/" INT64_FORMAT,
			                place.epoch, place.seq, p->last.epoch, p->last.seq);
		/* The stream is the truth: behind the cursor it lost messages, beyond it acknowledgements
		 * got lost. */
		p->cursor = place;
		if (te_out_compare(place, p->last) > 0)
			p->last = place;
	}
	if (te_out_compare(p->cursor, p->delivered) > 0)
		p->delivered = p->cursor;
	if (te_out_compare(p->cursor, p->furthest) > 0)
		p->furthest = p->cursor;
	p->anchored = true;
	p->stale_ack = (TeOutPlace){(int64)te_transport_acked(p->transport).epoch,
	                            (int64)te_transport_acked(p->transport).seq};
	rewind_to(p, p->cursor);
	p->torn = false;
	te_transport_resume_output(p->transport, anchor->last_stream_seq, now);
	p->resumed = true;
	return NULL;
}

void te_publisher_suspend(TePublisher *p)
{
	p->resumed = false;
}

int64 te_publisher_due(const TePublisher *p)
{
	return p->resumed ? te_gate_due(p->gate) : 0;
}

TeOutPlace te_publisher_cursor(const TePublisher *p)
{
	return p->cursor;
}

int64 te_publisher_pending(const TePublisher *p)
{
	return p->last.epoch == p->cursor.epoch ? p->last.seq - p->cursor.seq : p->last.seq;
}

TeOutPlace te_publisher_broker_last(const TePublisher *p)
{
	return p->broker_last;
}
