/*
 * outqueue.c - see outqueue.h.
 *
 * The list holds consecutive batches.  A reader that stands before its head (a broker has less than
 * it had) makes it begin anew from the table; one at its end lets it grow from there.
 */
#include "postgres.h"

#include "engine/outqueue.h"
#include "engine/query.h"
#include "engine/session.h"

#include "catalog/pg_type.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

/* Bytes of frames kept in memory; the rest waits in the table. */
#define QUEUE_BYTES (16 * 1024 * 1024)

/* Read from the table at once: rows, and bytes before the last of them. */
#define FETCH_ROWS 256
#define FETCH_BYTES (4 * 1024 * 1024)

#define LABEL(label) #label,
static const char *const reasons[] = {TE_GAP_FILL_REASONS(LABEL)};
#undef LABEL
const TeEnum te_gap_fill_enum = {"gap_fill", TE_GAP_FILL_COUNT, reasons};

typedef struct QueuedBatch
{
	dlist_node node;
	int64 epoch, first_seq, last_seq;
	size_t length;
	int64 *read_at;    /* per message; NULL when read from the table */
	uint8_t *replaced; /* per message: its TeGapFillReason; NULL: none is */
	char frames[FLEXIBLE_ARRAY_MEMBER];
} QueuedBatch;

/* A place in a batch: "frame" is the first one behind "before". */
typedef struct Reader
{
	QueuedBatch *batch; /* NULL: nowhere */
	TeOutboxReader at;  /* stands behind the frame */
	int64 before;
	TeFrame frame;
} Reader;

struct TeOutQueue
{
	MemoryContext context;
	int lane;
	dlist_head list;
	size_t bytes;
	TePlace end;  /* of the list, or where it would begin */
	TePlace last; /* committed */
	Reader readers[TE_READER_COUNT];
	QueuedBatch *found; /* by te_out_queue_find */
	Reader finder;
};

TeOutQueue *te_out_queue_create(int lane, TePlace last, MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "trading_engine output", ALLOCSET_DEFAULT_SIZES);
	TeOutQueue *queue = MemoryContextAllocZero(context, sizeof(TeOutQueue));

	queue->context = context;
	queue->lane = lane;
	queue->end = queue->last = last;
	dlist_init(&queue->list);
	return queue;
}

TePlace te_out_queue_last(const TeOutQueue *queue)
{
	return queue->last;
}

/*----------------------------------------------------------------------
 * Batches
 *----------------------------------------------------------------------*/

static int count_of(const QueuedBatch *b)
{
	return (int)(b->last_seq - b->first_seq + 1);
}

static TePlace end_of(const QueuedBatch *b)
{
	return (TePlace){(uint64_t)b->epoch, (uint64_t)b->last_seq};
}

/* Is the place right before this batch, or inside it? */
static bool continues(TePlace place, const QueuedBatch *b)
{
	return place.epoch == (uint64_t)b->epoch ? (int64)place.seq >= b->first_seq - 1
	                                         : b->first_seq == 1;
}

static QueuedBatch *make_batch(TeOutQueue *queue, int64 epoch, const TeBatchFrames *f)
{
	QueuedBatch *b = MemoryContextAllocExtended(
		queue->context, offsetof(QueuedBatch, frames) + f->len, MCXT_ALLOC_HUGE);

	b->epoch = epoch;
	b->first_seq = f->first_seq;
	b->last_seq = f->last_seq;
	b->length = f->len;
	b->replaced = NULL;
	b->read_at = NULL;
	if (f->read_at != NULL) {
		b->read_at = MemoryContextAlloc(queue->context, sizeof(int64) * count_of(b));
		memcpy(b->read_at, f->read_at, sizeof(int64) * count_of(b));
	}
	memcpy(b->frames, f->data, f->len);
	return b;
}

static void free_batch(QueuedBatch *b)
{
	if (b->read_at != NULL)
		pfree(b->read_at);
	if (b->replaced != NULL)
		pfree(b->replaced);
	pfree(b);
}

static void push(TeOutQueue *queue, QueuedBatch *b)
{
	dlist_push_tail(&queue->list, &b->node);
	queue->bytes += b->length;
	queue->end = end_of(b);
}

static QueuedBatch *head(TeOutQueue *queue)
{
	return dlist_is_empty(&queue->list) ? NULL
	                                    : dlist_head_element(QueuedBatch, node, &queue->list);
}

static void drop_head(TeOutQueue *queue)
{
	QueuedBatch *b = head(queue);

	for (int i = 0; i < TE_READER_COUNT; i++)
		if (queue->readers[i].batch == b)
			queue->readers[i].batch = NULL;
	dlist_delete(&b->node);
	queue->bytes -= b->length;
	free_batch(b);
}

void te_out_queue_add(TeOutQueue *queue, int64 epoch, const TeBatchFrames *frames)
{
	bool gapless = te_place_compare(queue->end, queue->last) == 0;

	queue->last = (TePlace){(uint64_t)epoch, (uint64_t)frames->last_seq};
	/* A batch that doesn't follow the list, or for which there is no room, waits in the table. */
	if (gapless && queue->bytes + frames->len <= QUEUE_BYTES)
		push(queue, make_batch(queue, epoch, frames));
}

/* The list ends before it: the first batch is read from the table, as after a restart. */
void te_out_queue_begin_epoch(TeOutQueue *queue, int64 epoch)
{
	queue->last = (TePlace){(uint64_t)epoch, 0};
}

void te_out_queue_forget(TeOutQueue *queue, TePlace place, TeOutFreed freed, void *arg)
{
	QueuedBatch *b;

	while ((b = head(queue)) != NULL && te_place_compare(end_of(b), place) <= 0) {
		if (b->read_at != NULL)
			freed(arg, b->read_at, count_of(b));
		drop_head(queue);
	}
}

static void mark_replaced(TeOutQueue *queue, QueuedBatch *b, uint64 seq, TeGapFillReason reason)
{
	if (b->replaced == NULL)
		b->replaced = MemoryContextAllocZero(queue->context, count_of(b));
	b->replaced[(int64)seq - b->first_seq] = (uint8_t)reason;
}

static QueuedBatch *batch_with(dlist_head *list, TePlace place)
{
	dlist_iter iter;

	dlist_foreach(iter, list)
	{
		QueuedBatch *b = dlist_container(QueuedBatch, node, iter.cur);

		if ((uint64_t)b->epoch == place.epoch && (int64)place.seq >= b->first_seq &&
		    (int64)place.seq <= b->last_seq)
			return b;
	}
	return NULL;
}

void te_out_queue_replace(TeOutQueue *queue, const TeGapFill *fill)
{
	QueuedBatch *b = batch_with(&queue->list, fill->place);

	if (b != NULL)
		mark_replaced(queue, b, fill->place.seq, fill->reason);
}

/*----------------------------------------------------------------------
 * Reading back from the tables
 *----------------------------------------------------------------------*/

typedef struct Fetch
{
	TeOutQueue *queue;
	dlist_head found;
} Fetch;

static void read_outbox(TeRow *row, void *arg)
{
	Fetch *fetch = arg;
	bytea *frames = te_row_bytes(row, "frames");
	TeBatchFrames f = {
		.first_seq = te_row_int(row, "first_seq"),
		.last_seq = te_row_int(row, "last_seq"),
		.data = (const uint8_t *)VARDATA_ANY(frames),
		.len = VARSIZE_ANY_EXHDR(frames),
	};

	dlist_push_tail(&fetch->found, &make_batch(fetch->queue, te_row_int(row, "epoch"), &f)->node);
}

static void read_gap_fill(TeRow *row, void *arg)
{
	Fetch *fetch = arg;
	TePlace place = {(uint64_t)te_row_int(row, "epoch"), (uint64_t)te_row_int(row, "seq")};
	QueuedBatch *b = batch_with(&fetch->found, place);
	const char *label = te_row_text(row, "reason");
	int reason = TE_GAP_FILL_NONE;

	for (int i = 0; i < TE_GAP_FILL_COUNT; i++)
		if (strcmp(label, reasons[i]) == 0)
			reason = i;
	if (b != NULL)
		mark_replaced(fetch->queue, b, place.seq, (TeGapFillReason)reason);
}

/* Batches that follow a place, and what is replaced in them. */
static void fetch_behind(Fetch *fetch, TePlace after, int rows)
{
	TeOutQueue *queue = fetch->queue;
	Oid types[] = {INT4OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum values[] = {Int32GetDatum(queue->lane), Int64GetDatum((int64)after.epoch),
	                  Int64GetDatum((int64)after.seq), Int64GetDatum(rows),
	                  Int64GetDatum(FETCH_BYTES)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};

	dlist_init(&fetch->found);
	te_session_begin("reading the outbox");
	te_query_each(
		"SELECT w.epoch, w.first_seq, w.last_seq, w.frames FROM"
		" (SELECT n.*, pg_catalog.sum(n.bytes) OVER (ORDER BY n.epoch, n.last_seq) AS bytes_with"
		"    FROM (SELECT o.epoch, o.first_seq, o.last_seq, o.frames,"
		"                 pg_catalog.octet_length(o.frames)::pg_catalog.int8 AS bytes"
		"            FROM trading.outbox AS o WHERE o.lane OPERATOR(pg_catalog.=) $1"
		"             AND ROW(o.epoch, o.last_seq) OPERATOR(pg_catalog.>) ROW($2, $3)"
		"           ORDER BY o.epoch, o.last_seq LIMIT $4) AS n) AS w"
		" WHERE w.bytes_with OPERATOR(pg_catalog.-) w.bytes OPERATOR(pg_catalog.<) $5"
		" ORDER BY w.epoch, w.last_seq",
		&args, read_outbox, fetch);
	if (!dlist_is_empty(&fetch->found)) {
		QueuedBatch *tail = dlist_tail_element(QueuedBatch, node, &fetch->found);

		values[3] = Int64GetDatum(tail->epoch);
		values[4] = Int64GetDatum(tail->last_seq);
		te_query_each("SELECT g.epoch, g.seq, g.reason FROM trading.gap_fills AS g"
		              " WHERE g.lane OPERATOR(pg_catalog.=) $1"
		              "   AND ROW(g.epoch, g.seq) OPERATOR(pg_catalog.>) ROW($2, $3)"
		              "   AND ROW(g.epoch, g.seq) OPERATOR(pg_catalog.<=) ROW($4, $5)",
		              &args, read_gap_fill, fetch);
	}
	te_session_commit();
}

/* Let the list grow behind its end, or begin anew behind another place. */
static void extend(TeOutQueue *queue, TePlace after)
{
	Fetch fetch = {.queue = queue};

	if (te_place_compare(after, queue->end) != 0) {
		while (head(queue) != NULL)
			drop_head(queue);
		queue->end = after;
	}
	fetch_behind(&fetch, after, FETCH_ROWS);
	while (!dlist_is_empty(&fetch.found)) {
		QueuedBatch *b = dlist_container(QueuedBatch, node, dlist_pop_head_node(&fetch.found));

		if (continues(queue->end, b))
			push(queue, b);
		else
			free_batch(b); /* behind a hole: who comes to it finds that it is torn */
	}
}

/*----------------------------------------------------------------------
 * Readers
 *----------------------------------------------------------------------*/

/* The next frame of the reader's batch; false when there is none. */
static bool read_frame(Reader *r)
{
	TeWireError err;
	int found;

	r->before = r->before < 0 ? 0 : (int64)r->frame.seq;
	found = te_outbox_next(&r->at, &r->frame, &err);
	if (found < 0)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg("outbox messages " INT64_FORMAT ".." INT64_FORMAT " can't be read",
		               r->batch->first_seq, r->batch->last_seq),
		        errdetail_internal("%s", err.detail));
	return found > 0;
}

/* Have the first frame behind a sequence of the batch at hand. */
static void seek(Reader *r, QueuedBatch *b, int64 seq)
{
	if (r->batch != b || r->before > seq) {
		r->batch = b;
		r->before = -1; /* no frame was read */
		te_outbox_read(&r->at, (uint8_t *)b->frames, b->length);
		r->frame.seq = 0;
	}
	while ((int64)r->frame.seq <= seq)
		if (!read_frame(r))
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
			        errmsg("outbox messages " INT64_FORMAT ".." INT64_FORMAT
			               " lack what is behind " INT64_FORMAT,
			               b->first_seq, b->last_seq, seq));
}

static void show(const Reader *r, TeQueuedMessage *m)
{
	const QueuedBatch *b = r->batch;

	*m = (TeQueuedMessage){
		.place = {(uint64_t)b->epoch, r->frame.seq},
		.frame = &r->frame,
		.replaced = b->replaced == NULL
	                    ? TE_GAP_FILL_NONE
	                    : (TeGapFillReason)b->replaced[(int64)r->frame.seq - b->first_seq],
		.last_of_batch = (int64)r->frame.seq == b->last_seq,
	};
}

/* The batch in memory that has what is right behind a place, or NULL. */
static QueuedBatch *batch_behind(TeOutQueue *queue, const Reader *r, TePlace after)
{
	dlist_iter iter;

	/* Mostly it is the one that was read last, or the next. */
	if (r->batch != NULL && te_place_compare(after, end_of(r->batch)) < 0 &&
	    continues(after, r->batch))
		return r->batch;
	if (r->batch != NULL && te_place_compare(after, end_of(r->batch)) == 0)
		return dlist_has_next(&queue->list, &r->batch->node)
		           ? dlist_container(QueuedBatch, node,
		                             dlist_next_node(&queue->list, &r->batch->node))
		           : NULL;
	dlist_foreach(iter, &queue->list)
	{
		QueuedBatch *b = dlist_container(QueuedBatch, node, iter.cur);

		if (te_place_compare(end_of(b), after) > 0)
			return continues(after, b) ? b : NULL;
	}
	return NULL;
}

TeQueueResult te_out_queue_next(TeOutQueue *queue, int reader, TePlace after,
                                TeQueuedMessage *message)
{
	Reader *r = &queue->readers[reader];
	QueuedBatch *b;

	if (te_place_compare(after, queue->last) >= 0)
		return TE_QUEUE_END;
	b = batch_behind(queue, r, after);
	if (b == NULL && queue->bytes >= QUEUE_BYTES && te_place_compare(after, queue->end) == 0)
		return TE_QUEUE_FULL;
	if (b == NULL) {
		extend(queue, after);
		b = batch_behind(queue, r, after);
	}
	if (b == NULL)
		return queue->last.seq == 0 ? TE_QUEUE_END : TE_QUEUE_TORN;
	seek(r, b, after.epoch == (uint64_t)b->epoch ? (int64)after.seq : 0);
	show(r, message);
	return TE_QUEUE_MESSAGE;
}

const int64 *te_out_queue_times(const TeOutQueue *queue, int reader, int *count)
{
	const QueuedBatch *b = queue->readers[reader].batch;

	*count = b != NULL && b->read_at != NULL ? count_of(b) : 0;
	return *count > 0 ? b->read_at : NULL;
}

bool te_out_queue_find(TeOutQueue *queue, TePlace place, TeQueuedMessage *message)
{
	Fetch fetch = {.queue = queue};
	QueuedBatch *b;

	fetch_behind(&fetch, (TePlace){place.epoch, place.seq - 1}, 1);
	if (queue->found != NULL)
		free_batch(queue->found);
	queue->found = NULL;
	if (dlist_is_empty(&fetch.found))
		return false;
	b = queue->found = dlist_container(QueuedBatch, node, dlist_pop_head_node(&fetch.found));
	if ((uint64_t)b->epoch != place.epoch || (int64)place.seq < b->first_seq)
		return false;
	queue->finder.batch = NULL;
	seek(&queue->finder, b, (int64)place.seq - 1);
	show(&queue->finder, message);
	return true;
}

/* Show what a batch has behind a place; false when no more is wanted. */
static bool scan_batch(QueuedBatch *b, TePlace after, TePlace through, TeOutShow show_one,
                       void *arg)
{
	int64 seq = after.epoch == (uint64_t)b->epoch ? (int64)after.seq : 0;
	Reader r = {0};

	for (seq = Max(seq, b->first_seq - 1); seq < b->last_seq; seq++) {
		TeQueuedMessage m;

		seek(&r, b, seq);
		show(&r, &m);
		if (te_place_compare(m.place, through) > 0 || !show_one(arg, &m))
			return false;
	}
	return true;
}

void te_out_queue_scan(TeOutQueue *queue, TePlace after, TePlace through, TeOutShow show_one,
                       void *arg)
{
	bool more = true;

	while (more && te_place_compare(after, through) < 0) {
		Fetch fetch = {.queue = queue};

		fetch_behind(&fetch, after, FETCH_ROWS);
		more = !dlist_is_empty(&fetch.found);
		while (!dlist_is_empty(&fetch.found)) {
			QueuedBatch *b = dlist_container(QueuedBatch, node, dlist_pop_head_node(&fetch.found));

			more = more && scan_batch(b, after, through, show_one, arg);
			after = end_of(b);
			free_batch(b);
		}
	}
}
