/*
 * assess.c - see assess.h.
 *
 * What happens to a question:
 *
 *	breaker refuses ------------------------> FALLBACK_USED
 *	can't be sent (no connection) ----------> ERROR_FALLBACK, says nothing about the service
 *	nobody listens, or the deadline passes -> ERROR_FALLBACK, a failure
 *	an answer that isn't sound -------------> ERROR_FALLBACK, a failure
 *	a sound answer -------------------------> ASSESSED, remembered for the company
 *
 * Questions are idempotent by signal id: a batch that fails asks again when its
 * messages are tried again.
 */
#include "postgres.h"

#include "engine/assess.h"
#include "engine/breakers.h"
#include "engine/guc.h"
#include "engine/query.h"
#include "sql/sqltime.h"
#include "wire/assessment.h"
#include "wire/risk.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "catalog/pg_type.h"

#define ARENA_BLOCK ((size_t)8 * 1024)
#define ARENA_LIMIT ((size_t)1024 * 1024)

/* What the service said of a company last. */
typedef struct CompanyMemory
{
	char company_id[TE_ID_MAX + 1];
	TeRiskMemory memory;
} CompanyMemory;

struct TeAssess
{
	TeLaneSlot *slot;
	TeLink *link; /* NULL: not connected yet */
	TeBreakers *breakers;
	HTAB *memory;  /* of CompanyMemory */
	TeArena arena; /* for news of the breakers */
	char subject[TE_SUBJECT_MAX], control[TE_SUBJECT_MAX];
	TeTime batch_at; /* the batch that waited last, by its time */
	int64 waited;    /* so long, microseconds */
	bool complained; /* since the last sound answer */
};

/* A question about a candidate. */
typedef struct Call
{
	TeCandidate *candidate;
	TeBreakerCall breaker; /* breaker NULL: refused */
	bool asked, answered;  /* soundly */
	TeRiskAdvice advice;
} Call;

/* The calls of a group. */
typedef struct Calls
{
	TeAssess *a;
	TeBatch *batch;
	TeTransport *transport; /* NULL: there is no broker */
	TeTime now;             /* the system's */
	int64 begun, until;     /* monotonic */
	int count;
	Call *calls;
	uint64 first_token; /* tokens of the group follow each other */
	int asked;
	int *by_token; /* which call, per token from the first on */
} Calls;

/*----------------------------------------------------------------------
 * Start
 *----------------------------------------------------------------------*/

/* Whoever listens hears of a change of state. */
static void publish_change(void *context, const char *company_id, const TeBreakerChange *change)
{
	TeAssess *a = context;
	TeTransport *transport = a->link != NULL ? te_link_transport(a->link, TE_VIA_NATS) : NULL;
	const uint8_t *data;
	size_t length;
	TeWireError err;

	if (transport == NULL)
		return;
	te_arena_reset(&a->arena);
	if (!te_encode_breaker_change((uint32_t)a->slot->lane, company_id, change, &a->arena, &data,
	                              &length, &err))
		elog(ERROR, "could not encode a change of a circuit breaker: %s", err.detail);
	(void)te_transport_publish_plain(transport, a->control, data, length);
}

TeAssess *te_assess_create(TeLaneSlot *slot)
{
	TeAssess *a = MemoryContextAllocZero(TopMemoryContext, sizeof(TeAssess));
	HASHCTL ctl = {
		.keysize = TE_ID_MAX + 1,
		.entrysize = sizeof(CompanyMemory),
		.hcxt = TopMemoryContext,
	};

	a->slot = slot;
	a->batch_at = TE_NO_TIME;
	a->breakers = te_breakers_create(slot, publish_change, a);
	a->memory = hash_create("risk memory", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	te_arena_init(&a->arena, ARENA_BLOCK, ARENA_LIMIT);
	return a;
}

void te_assess_connect(TeAssess *a, TeLink *link)
{
	TeSubject subject = {.kind = TE_SUBJECT_RISK};

	if (!te_subject_format(te_guc_subject_prefix, &subject, a->subject))
		elog(ERROR, "no subject follows from prefix \"%s\"", te_guc_subject_prefix);
	snprintf(a->control, sizeof(a->control), "%s.control.breaker", te_guc_subject_prefix);
	a->link = link;
}

static CompanyMemory *memory_of(TeAssess *a, const char *company_id)
{
	bool found;
	CompanyMemory *m = hash_search(a->memory, company_id, HASH_ENTER, &found);

	if (!found)
		m->memory = (TeRiskMemory){.at = TE_NO_TIME};
	return m;
}

/* What te_assess_load is about. */
typedef struct Loading
{
	TeAssess *a;
	const TeCache *cache;
	TeArena arena;
} Loading;

/*
 * The row has the advice as it was given, and the signal as it was before anything was done to it.
 * Where limits had made it smaller before the service was asked, the share comes out smaller than
 * it was.
 */
static void load_memory(TeRow *row, void *arg)
{
	Loading *loading = arg;
	const char *company_id = te_row_text(row, "company_id");
	bytea *packed = te_row_bytes(row, "assessment");
	TeRiskActions actions;
	TeDecision d = {
		.entry_price = te_row_double(row, "entry_price"),
		.stop_loss = te_row_double(row, "original_stop_loss"),
		.position_size = te_row_double(row, "original_position_size"),
	};
	TeWireError err;

	te_arena_reset(&loading->arena);
	if (te_cache_company(loading->cache, company_id) == NULL || packed == NULL)
		return;
	if (!te_assessment_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
	                          &loading->arena, &actions, &err))
		elog(ERROR, "could not read an assessment: %s", err.detail);
	d.signal_type = d.entry_price < d.stop_loss ? TE_DIR_SELL : TE_DIR_BUY;
	for (int i = 0; i < actions.count; i++) {
		const TeRiskAction *action = &actions.actions[i];

		if (action->kind == TE_RISK_ACTION_ADVICE && action->status == TE_RISK_STATUS_ASSESSED)
			te_risk_remember(&memory_of(loading->a, company_id)->memory, &d, &action->advice,
			                 te_row_time(row, "decided_at"));
	}
}

void te_assess_load(TeAssess *a, const TeCache *cache)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(te_guc_risk_memory_life)};
	TeQueryArgs args = {.count = 1, .types = types, .values = values};
	Loading loading = {.a = a, .cache = cache};

	if (!te_guc_risk_service || te_guc_risk_memory_life == 0)
		return;
	te_arena_init(&loading.arena, ARENA_BLOCK, ARENA_LIMIT);
	te_query_each(
		"SELECT DISTINCT ON (s.company_id) s.company_id, s.decided_at, s.assessment,"
		" s.original_position_size, s.original_stop_loss, s.entry_price"
		" FROM trading.signals AS s"
		" WHERE s.recorded_at OPERATOR(pg_catalog.>)"
		"       (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $1))"
		" AND s.risk_status OPERATOR(pg_catalog.=) 'ASSESSED' AND s.risk_level IS NOT NULL"
		" ORDER BY s.company_id, s.recorded_at DESC, s.batch_no DESC, s.ordinal DESC",
		&args, load_memory, &loading);
	te_arena_free(&loading.arena);
}

/*----------------------------------------------------------------------
 * Asking
 *----------------------------------------------------------------------*/

static bool encode_question(const Calls *c, const TeCandidate *candidate, const uint8_t **data,
                            size_t *length)
{
	const TeCachedStrategy *of = &candidate->of;
	TeRiskQuestion q = {
		.company_id = of->company_id,
		.user_id = of->user_id,
		.strategy_id = of->strategy_id,
		.strategy_version = of->version,
		.account_id = of->account_id,
		.account_currency = candidate->account.currency,
		.equity = candidate->account.equity,
		.symbol = candidate->in.prediction->symbol,
		.decided_at = candidate->in.at,
		.deadline_at = c->now + (c->until - c->begun),
		.correlation_id = candidate->correlation_id,
		.traceparent = candidate->traceparent,
		.tracestate = candidate->message->envelope.tracestate,
	};
	TeWireError err;

	memcpy(q.signal_id, candidate->signal_id, TE_UUID_BYTES);
	te_risk_question_about(&candidate->decision, &q);
	if (!te_encode_risk_question(&q, c->batch->arena, data, length, &err))
		elog(ERROR, "could not encode a question to the risk service: %s", err.detail);
	return true;
}

static void ask(Calls *c, TeCandidate *candidate)
{
	Call *call = &c->calls[c->count++];
	const uint8_t *data;
	size_t length;
	uint64 token = 0;

	*call = (Call){.candidate = candidate};
	if (!te_breakers_ask(c->a->breakers, candidate->of.company_id, c->now, &call->breaker))
		return;
	if (c->transport != NULL && c->until > c->begun &&
	    encode_question(c, candidate, &data, &length))
		token = te_transport_ask(c->transport, c->a->subject, data, length, c->begun);
	if (token == 0)
		return;
	if (c->asked == 0)
		c->first_token = token;
	c->by_token[c->asked++] = c->count - 1;
	call->asked = true;
}

/* The service's own words, as one line of a row. */
static void keep_note(TeCandidate *candidate, const char *note)
{
	size_t room = sizeof(candidate->service_note) - 1;
	size_t length = strlen(note);

	if (length > room) {
		/* Not within a character. */
		for (length = room; length > 0 && (note[length] & 0xC0) == 0x80; length--)
			;
	}
	for (size_t i = 0; i < length; i++)
		candidate->service_note[i] = (unsigned char)note[i] < ' ' ? ' ' : note[i];
	candidate->service_note[length] = '\0';
}

/* Said once, until the service answers soundly again. */
static void complain(TeAssess *a, const char *field, const char *reason)
{
	if (!a->complained)
		ereport(LOG, errmsg("the risk service's answer can't be used"),
		        errdetail_internal("%s: %s", field[0] ? field : "message", reason));
	a->complained = true;
}

static void take_reply(Calls *c, const TeReply *reply)
{
	uint64 place = reply->token - c->first_token;
	TeRiskAnswer answer;
	TeWireError err;
	const char *field, *reason;
	Call *call;

	if (reply->token < c->first_token || place >= (uint64)c->asked)
		return;
	call = &c->calls[c->by_token[place]];
	if (reply->nobody)
		complain(c->a, c->a->subject, "nobody listens");
	else if (!te_decode_risk_answer(reply->data, reply->len, c->batch->arena, &answer, &err))
		complain(c->a, err.field, err.detail);
	else if (memcmp(answer.signal_id, call->candidate->signal_id, TE_UUID_BYTES) != 0)
		complain(c->a, "signal_id", "is not that of the question");
	else if ((field = te_risk_reply_read(&answer.reply, &call->advice, &reason)) != NULL)
		complain(c->a, field, reason);
	else {
		call->answered = true;
		c->a->complained = false;
		keep_note(call->candidate, answer.note);
	}
}

/* Until every question has its answer, the deadline has passed, or the connection is gone. */
static void await(Calls *c)
{
	TeReply reply;

	for (;;) {
		te_transport_read_replies(c->transport, te_monotonic_us());
		while (te_transport_next_reply(c->transport, &reply))
			take_reply(c, &reply);
		if (te_transport_unanswered(c->transport) == 0 || te_monotonic_us() >= c->until)
			break;
		te_link_await_replies(c->a->link, c->until);
		CHECK_FOR_INTERRUPTS();
	}
	te_transport_give_up(c->transport);
}

/*----------------------------------------------------------------------
 * Judging
 *----------------------------------------------------------------------*/

static TeRiskSettings risk_settings(void)
{
	return (TeRiskSettings){
		.conservative_share = te_guc_risk_conservative_share,
		.memory_life = te_guc_risk_memory_life * TE_USEC_PER_SEC,
	};
}

/* What a call tells about the service. */
static TeCallResult result_of(const Call *call, bool lost)
{
	if (call->answered)
		return TE_CALL_SUCCEEDED;
	return call->asked && !lost ? TE_CALL_FAILED : TE_CALL_EXCLUDED;
}

static void judge(Calls *c, Call *call, bool lost, TeTime now)
{
	TeCandidate *candidate = call->candidate;
	CompanyMemory *m = memory_of(c->a, candidate->of.company_id);
	TeRiskSettings settings = risk_settings();
	TeRiskStatus status = TE_RISK_STATUS_FALLBACK_USED;
	TeRiskAction action;

	if (call->breaker.breaker != NULL) {
		te_breakers_report(c->a->breakers, &call->breaker, result_of(call, lost), now);
		status = call->answered ? TE_RISK_STATUS_ASSESSED : TE_RISK_STATUS_ERROR_FALLBACK;
	}
	if (call->answered)
		te_risk_remember(&m->memory, &candidate->decision, &call->advice, candidate->in.at);
	else
		call->advice = te_risk_fallback(&settings, &m->memory, candidate->in.instrument,
		                                &candidate->decision, candidate->in.at);
	action = te_action_advice(status, &call->advice);
	te_candidate_act(candidate, &action);
}

/* What is left of the deadline: groups of one batch share it. */
static int64 time_left(TeAssess *a, const TeBatch *batch)
{
	if (a->batch_at != batch->at) {
		a->batch_at = batch->at;
		a->waited = 0;
	}
	return (int64)(te_guc_risk_deadline * 1000) - a->waited;
}

static Calls begin_calls(TeAssess *a, TeBatch *batch, int count)
{
	Calls c = {
		.a = a,
		.batch = batch,
		.transport = a->link != NULL ? te_link_transport(a->link, TE_VIA_NATS) : NULL,
		.now = te_time_from_timestamptz(GetCurrentTimestamp()),
		.begun = te_monotonic_us(),
		.calls = MemoryContextAlloc(batch->context, sizeof(Call) * count),
		.by_token = MemoryContextAlloc(batch->context, sizeof(int) * count),
	};

	c.until = c.begun + time_left(a, batch);
	return c;
}

/* Ask, and wait for the answers.  Returns whether the connection broke meanwhile. */
static bool call_service(Calls *c, TeCandidates *candidates)
{
	TeAssess *a = c->a;
	uint64 disconnects = 0;
	int64 took;

	if (c->transport != NULL) {
		te_transport_give_up(c->transport); /* what an error has left unanswered */
		disconnects = te_transport_stats(c->transport)->disconnects;
	}
	for (int i = 0; i < te_candidates_count(candidates); i++) {
		TeCandidate *candidate = te_candidates_get(candidates, i);

		if (candidate->decision.outcome == TE_OUTCOME_SIGNAL)
			ask(c, candidate);
	}
	if (c->asked == 0)
		return false;
	await(c);
	took = te_monotonic_us() - c->begun;
	a->waited += took;
	te_count(&a->slot->counters.risk_questions, (uint64)c->asked);
	te_count(&a->slot->counters.risk_waits, 1);
	te_latency_record(&a->slot->latencies, TE_LATENCY_ASSESS, c->begun, c->begun + took);
	return te_transport_stats(c->transport)->disconnects != disconnects;
}

void te_assess_batch(TeBatch *batch, TeCandidates *candidates)
{
	TeAssess *a = batch->lane->assess;
	int count = te_candidates_count(candidates);
	Calls calls;
	TeTime now;
	bool lost;

	if (!te_guc_risk_service || a == NULL || count == 0)
		return;
	calls = begin_calls(a, batch, count);
	lost = call_service(&calls, candidates);
	now = te_time_from_timestamptz(GetCurrentTimestamp());
	for (int i = 0; i < calls.count; i++)
		judge(&calls, &calls.calls[i], lost, now);
	te_breakers_show(a->breakers);
}

void te_assess_record(TeBatch *batch)
{
	const TeLaneContext *lane = batch->lane;

	if (lane->assess != NULL)
		te_breakers_record(lane->assess->breakers, &batch->rows,
		                   lane->memory->committed.batch_no + 1);
}

void te_assess_recorded(const TeLaneContext *lane)
{
	if (lane->assess != NULL)
		te_breakers_recorded(lane->assess->breakers);
}
