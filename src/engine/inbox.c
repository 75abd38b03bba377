/*
 * inbox.c - reading trading.inbox by snapshot.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/inbox.h"
#include "engine/latency.h"
#include "engine/news.h"
#include "engine/query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

typedef struct Waiting
{
	int64 inbox_id;
	char *subject;
	char *release;
	bytea *payload;
	bool authorised, retry;
	int64 read_at;
} Waiting;

struct TeInbox
{
	int lane, lane_count;
	MemoryContext context;  /* lives as long as the worker */
	MemoryContext messages; /* the queue; reset before each read */
	TeNews news;
	char *applied, *read; /* snapshots: all applied; all read.  The same when nothing waits */
	Waiting *queue;
	int first, count;     /* queue[first .. count) waits */
	int filled, capacity; /* while a read is under way */
};

TeInbox *te_inbox_create(int lane, int lane_count, const char *snapshot)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "trading_engine inbox", ALLOCSET_SMALL_SIZES);
	TeInbox *inbox = MemoryContextAllocZero(context, sizeof(TeInbox));

	inbox->lane = lane;
	inbox->lane_count = lane_count;
	inbox->context = context;
	inbox->messages = AllocSetContextCreate(context, "messages", ALLOCSET_DEFAULT_SIZES);
	if (snapshot != NULL)
		inbox->applied = inbox->read = MemoryContextStrdup(context, snapshot);
	te_news_watch(&inbox->news, "inbox");
	return inbox;
}

void te_inbox_heed(TeInbox *inbox)
{
	te_news_heed(&inbox->news);
}

bool te_inbox_stale(const TeInbox *inbox)
{
	return inbox->first == inbox->count && te_news_wait(&inbox->news);
}

static void read_message(TeRow *row, void *arg)
{
	TeInbox *inbox = arg;
	const char *kind = te_row_text(row, "kind");
	const char *subject = te_row_text(row, "subject");
	const char *company_id = te_row_text(row, "company_id");
	const char *user_id = te_row_text(row, "user_id");
	bool is_release = strcmp(kind, "release_gap") == 0;
	MemoryContext old = MemoryContextSwitchTo(inbox->messages);

	if (inbox->filled == inbox->capacity) {
		inbox->capacity = Max(16, 2 * inbox->capacity);
		inbox->queue = inbox->queue ? repalloc(inbox->queue, sizeof(Waiting) * inbox->capacity)
		                            : palloc(sizeof(Waiting) * inbox->capacity);
	}
	inbox->queue[inbox->filled++] = (Waiting){
		.inbox_id = te_row_int(row, "inbox_id"),
		.subject = subject != NULL ? pstrdup(subject)
	                               : psprintf("%s.%s.%s.%s", te_guc_subject_prefix,
	                                          strcmp(kind, "execution") == 0 ? "executions" : kind,
	                                          company_id, user_id),
		.release = is_release
	                   ? psprintf("%s/%s/%s", company_id, user_id, te_row_text(row, "producer_id"))
	                   : NULL,
		.payload = te_row_bytes(row, "payload"),
		.authorised = te_row_bool(row, "authorised"),
		.retry = strcmp(kind, "retry") == 0,
		.read_at = te_monotonic_us(),
	};
	MemoryContextSwitchTo(old);
}

/* Rows for this lane; $1 the lane, $2 the number of lanes, $3 the previous snapshot. */
#define INBOX_QUERY                                                                                \
	"SELECT i.inbox_id, i.kind, i.company_id, i.user_id, i.producer_id, i.subject, i.authorised,"  \
	"       i.payload FROM trading.inbox AS i"                                                     \
	" WHERE (i.company_id OPERATOR(pg_catalog.=) '_all'"                                           \
	"        OR trading.lane_of(i.company_id, $2) OPERATOR(pg_catalog.=) $1)"                      \
	"   AND ($3 IS NULL OR i.xid OPERATOR(pg_catalog.>=)"                                          \
	"                      pg_catalog.pg_snapshot_xmin($3::pg_catalog.pg_snapshot)"                \
	"        AND NOT pg_catalog.pg_visible_in_snapshot(i.xid, $3::pg_catalog.pg_snapshot))"        \
	" ORDER BY i.inbox_id"

/* Nothing waits any more. */
static void note_all_applied(TeInbox *inbox)
{
	if (inbox->applied != NULL && inbox->applied != inbox->read)
		pfree(inbox->applied);
	inbox->applied = inbox->read;
}

void te_inbox_read(TeInbox *inbox)
{
	Oid types[] = {INT4OID, INT4OID, TEXTOID};
	Datum values[] = {Int32GetDatum(inbox->lane), Int32GetDatum(inbox->lane_count),
	                  inbox->read ? CStringGetTextDatum(inbox->read) : (Datum)0};
	char nulls[] = {' ', ' ', inbox->read ? ' ' : 'n', '\0'};
	TeQueryArgs args = {lengthof(types), types, values, nulls};
	const char *snapshot;

	if (inbox->first < inbox->count)
		return;
	MemoryContextReset(inbox->messages);
	inbox->queue = NULL;
	inbox->first = inbox->count = inbox->filled = inbox->capacity = 0;
	snapshot = te_query_snapshot();
	te_query_each(INBOX_QUERY, &args, read_message, inbox);
	inbox->read = MemoryContextStrdup(inbox->context, snapshot);
	inbox->count = inbox->filled;
	te_news_note_read(&inbox->news);
	if (inbox->count == 0)
		note_all_applied(inbox);
}

bool te_inbox_peek(const TeInbox *inbox, int n, TeInput *input)
{
	const Waiting *w;

	if (inbox->first + n >= inbox->count)
		return false;
	w = &inbox->queue[inbox->first + n];
	*input = (TeInput){
		.source = TE_SOURCE_INBOX,
		.origin = -1,
		.seq = w->inbox_id,
		.subject = w->subject,
		.data = w->payload ? (const uint8_t *)VARDATA_ANY(w->payload) : NULL,
		.len = w->payload ? VARSIZE_ANY_EXHDR(w->payload) : 0,
		.read_at = w->read_at,
		.authorised = w->authorised,
		.retry = w->retry,
		.release = w->release,
	};
	return true;
}

void te_inbox_release(TeInbox *inbox, int n)
{
	inbox->first += n;
	if (inbox->first == inbox->count)
		note_all_applied(inbox);
}

const char *te_inbox_snapshot(const TeInbox *inbox, int n)
{
	return inbox->first + n >= inbox->count ? inbox->read : inbox->applied;
}
