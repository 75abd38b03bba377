/*
 * notify.c - notifications, after the commit and apart from it.
 *
 * NOTIFY takes a lock of the whole cluster at commit and can fail (a full queue).
 * Neither may touch what was decided.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/notify.h"
#include "engine/session.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"

#define COMMON_CHANNEL "trading_signals"

/* Ids of a kind that one notification carries at most; its payload is bounded by the server. */
#define MOST_IDS 95

typedef struct TeNoticeIds
{
	int count; /* more than are kept */
	uint8_t (*ids)[TE_UUID_BYTES];
} TeNoticeIds;

typedef struct TeNotice
{
	TeCachedCompany *company;
	TeNoticeIds of[TE_NOTICE_KINDS];
} TeNotice;

void te_notify_add(TeBatch *batch, TeCachedCompany *company, TeNoticeKind kind,
                   const uint8_t signal_id[TE_UUID_BYTES])
{
	int *place = te_company_scratch(company);
	TeNotice *notice =
		*place < list_length(batch->notices) ? list_nth(batch->notices, *place) : NULL;
	TeNoticeIds *to;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (notice == NULL || notice->company != company) {
		notice = palloc0(sizeof(TeNotice));
		notice->company = company;
		*place = list_length(batch->notices);
		batch->notices = lappend(batch->notices, notice);
	}
	to = &notice->of[kind];
	if (to->ids == NULL)
		to->ids = palloc(MOST_IDS * TE_UUID_BYTES);
	if (to->count < MOST_IDS)
		memcpy(to->ids[to->count], signal_id, TE_UUID_BYTES);
	to->count++;
	MemoryContextSwitchTo(old);
}

/* The company's own channel: a keyed hash, asked for once. */
static const char *channel_of(const TeBatch *batch, TeCachedCompany *company)
{
	static const char sql[] = "SELECT trading.channel_of($1)";
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(te_company_id(company))};

	if (te_company_channel(company) != NULL)
		return te_company_channel(company);
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 1) != SPI_OK_SELECT ||
	    SPI_processed != 1)
		elog(ERROR, "expected one row from: %s", sql);
	te_cache_set_channel(batch->lane->cache, company,
	                     SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	return te_company_channel(company);
}

static void append_ids(StringInfo payload, const char *name, const TeNoticeIds *ids)
{
	appendStringInfo(payload, ", \"%s\": [", name);
	for (int i = 0; i < Min(ids->count, MOST_IDS); i++) {
		char text[TE_UUID_TEXT_SIZE];

		te_uuid_text(ids->ids[i], text);
		appendStringInfo(payload, "%s\"%s\"", i ? ", " : "", text);
	}
	appendStringInfoChar(payload, ']');
}

static void notify_company(const TeBatch *batch, const TeNotice *notice, int64 batch_no)
{
	const TeNoticeIds *signals = &notice->of[TE_NOTICE_SIGNAL];
	const TeNoticeIds *trades = &notice->of[TE_NOTICE_TRADE];
	bool more = signals->count > MOST_IDS || trades->count > MOST_IDS;
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"lane\": %d, \"batch_no\": " INT64_FORMAT, batch->lane->lane,
	                 batch_no);
	append_ids(&payload, "signals", signals);
	if (trades->count > 0)
		append_ids(&payload, "trades", trades);
	appendStringInfo(&payload, ", \"more\": %s}", more ? "true" : "false");
	Async_Notify(channel_of(batch, notice->company), payload.data);
	pfree(payload.data);
}

static void send_all(const TeBatch *batch, int64 batch_no)
{
	char payload[64];
	ListCell *cell;

	te_session_begin("sending notifications");
	te_session_asynchronous();
	snprintf(payload, sizeof(payload), "{\"lane\": %d, \"batch_no\": " INT64_FORMAT "}",
	         batch->lane->lane, batch_no);
	Async_Notify(COMMON_CHANNEL, payload);
	foreach (cell, batch->notices)
		notify_company(batch, lfirst(cell), batch_no);
	te_session_commit();
}

void te_notify_batch(const TeBatch *batch, int64 batch_no)
{
	TeLaneSlot *slot = batch->lane->slot;
	static bool failing; /* logged once, then counted */
	MemoryContext old = CurrentMemoryContext;
	int64 begun = te_monotonic_us();

	if (!te_guc_notify || batch->notices == NIL)
		return;
	MemoryContextSwitchTo(batch->context);
	PG_TRY();
	{
		send_all(batch, batch_no);
		failing = false;
		te_count(&slot->counters.notifications, 1 + list_length(batch->notices));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(batch->context);
		te_session_abort(failing);
		failing = true;
		te_count(&slot->counters.notify_errors, 1);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	te_latency_record(&slot->latencies, TE_LATENCY_NOTIFY, begun, te_monotonic_us());
}
