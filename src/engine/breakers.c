/*
 * breakers.c - see breakers.h.
 */
#include "postgres.h"

#include "engine/breakers.h"
#include "engine/guc.h"
#include "sql/sqltime.h"
#include "wire/identity.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

StaticAssertDecl(TE_BREAKER_COMPANY_SIZE == TE_ID_MAX + 1, "a company's id fits");

/* Changes that wait for a batch; more than that, of which the log tells, are not recorded. */
#define CHANGES_MOST 1024

/* In the hash by company; the lane's own has an empty name. */
typedef struct TeLaneBreaker
{
	char company_id[TE_BREAKER_COMPANY_SIZE];
	TeBreaker breaker;
	uint64 calls, failures; /* ever, without excluded ones */
	int shown_at;           /* place in shared memory, or -1 */
	bool touched;           /* since it was shown */
	struct TeLaneBreaker *next_touched;
} TeLaneBreaker;

typedef struct PendingChange
{
	char company_id[TE_BREAKER_COMPANY_SIZE];
	TeBreakerChange change;
} PendingChange;

struct TeBreakers
{
	TeLaneSlot *slot;
	TeBreakerListener listener;
	void *context;
	HTAB *by_company;
	TeLaneBreaker *touched; /* to be shown */
	int64 busy;             /* breakers that aren't idle */
	int change_count;
	PendingChange changes[CHANGES_MOST];
};

static TeBreakerSettings settings(void)
{
	TeBreakerSettings s = te_breaker_settings_default;

	s.consecutive_failures = te_guc_risk_breaker_failures;
	s.rate_calls = s.rate_least_calls = te_guc_risk_breaker_calls;
	s.failure_rate = te_guc_risk_breaker_failure_rate;
	s.interval = te_guc_risk_breaker_interval * INT64_C(1000);
	s.probe_limit = te_guc_risk_breaker_probe_limit * INT64_C(1000);
	s.open_wait = te_guc_risk_breaker_wait * INT64_C(1000);
	s.open_wait_most = Max(s.open_wait, te_guc_risk_breaker_wait_max * INT64_C(1000));
	s.wait_factor = te_guc_risk_breaker_wait_factor;
	s.probes = te_guc_risk_breaker_probes;
	s.probe_successes = te_guc_risk_breaker_successes;
	return s;
}

/* What another worker of the lane has left there is not ours. */
static void clear_slots(TeLaneSlot *slot)
{
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < TE_BREAKER_SLOTS; i++)
		slot->breakers[i].used = false;
	LWLockRelease(te_shmem->lock);
	te_gauge(&slot->gauges.breakers, 0);
}

TeBreakers *te_breakers_create(TeLaneSlot *slot, TeBreakerListener listener, void *context)
{
	TeBreakers *all = MemoryContextAllocZero(TopMemoryContext, sizeof(TeBreakers));
	HASHCTL ctl = {
		.keysize = TE_BREAKER_COMPANY_SIZE,
		.entrysize = sizeof(TeLaneBreaker),
		.hcxt = TopMemoryContext,
	};

	all->slot = slot;
	all->listener = listener;
	all->context = context;
	all->by_company = hash_create("breakers", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	clear_slots(slot);
	return all;
}

/* It is as a new one would be, but for successes. */
static bool is_idle(const TeLaneBreaker *b)
{
	return b->breaker.state == TE_BREAKER_CLOSED && b->breaker.history == 0;
}

static const char *company_of(const char *company_id)
{
	return company_id[0] != '\0' ? company_id : NULL;
}

static TeLaneBreaker *find(TeBreakers *all, const char *company_id, const TeBreakerSettings *s,
                           TeTime now)
{
	const char *key = te_guc_risk_breaker_scope == TE_BREAKER_SCOPE_COMPANY ? company_id : "";
	bool found;
	TeLaneBreaker *b = hash_search(all->by_company, key, HASH_ENTER, &found);

	if (!found) {
		b->calls = b->failures = 0;
		b->shown_at = -1;
		b->touched = false;
		te_breaker_init(&b->breaker, s, now);
	}
	return b;
}

static void touch(TeBreakers *all, TeLaneBreaker *b)
{
	if (b->touched)
		return;
	b->touched = true;
	b->next_touched = all->touched;
	all->touched = b;
}

static void tell(TeBreakers *all, const TeLaneBreaker *b, const TeBreakerChange *change)
{
	const char *company_id = company_of(b->company_id);

	if (!change->changed)
		return;
	ereport(LOG,
	        errmsg("circuit breaker of the risk service%s%s: %s after %s",
	               company_id ? " for company " : "", company_id ? company_id : "",
	               te_breaker_state_enum.labels[change->to],
	               te_breaker_state_enum.labels[change->from]),
	        errdetail_internal("%s", te_breaker_cause_enum.labels[change->cause]),
	        change->to == TE_BREAKER_OPEN
	            ? errhint("Signals leave with conservative parameters; the service is asked again "
	                      "after " INT64_FORMAT " ms.",
	                      change->wait / 1000)
	            : 0);
	if (all->change_count < CHANGES_MOST) {
		PendingChange *pending = &all->changes[all->change_count++];

		strlcpy(pending->company_id, b->company_id, sizeof(pending->company_id));
		pending->change = *change;
	}
	all->listener(all->context, company_id, change);
}

bool te_breakers_ask(TeBreakers *all, const char *company_id, TeTime now, TeBreakerCall *call)
{
	TeBreakerSettings s = settings();
	TeLaneBreaker *b = find(all, company_id, &s, now);
	TeBreakerChange change;
	bool idle = is_idle(b), may = te_breaker_ask(&b->breaker, &s, now, &call->ticket, &change);

	all->busy += idle - is_idle(b);
	call->breaker = may ? b : NULL;
	touch(all, b);
	tell(all, b, &change);
	return may;
}

void te_breakers_report(TeBreakers *all, const TeBreakerCall *call, TeCallResult result, TeTime now)
{
	TeBreakerSettings s = settings();
	TeLaneBreaker *b = call->breaker;
	TeBreakerChange change;
	bool idle = is_idle(b);

	b->calls += result != TE_CALL_EXCLUDED;
	b->failures += result == TE_CALL_FAILED;
	te_breaker_report(&b->breaker, &s, now, call->ticket, result, &change);
	all->busy += idle - is_idle(b);
	touch(all, b);
	tell(all, b, &change);
}

/*----------------------------------------------------------------------
 * Shared memory
 *----------------------------------------------------------------------*/

/* The lane's own breaker is always of interest, a company's while it isn't idle. */
static bool wants_slot(const TeLaneBreaker *b)
{
	return b->company_id[0] == '\0' || !is_idle(b);
}

/* Give a breaker a place, or take it back; the caller holds the lock. */
static void move_in_or_out(TeLaneSlot *slot, TeLaneBreaker *b)
{
	if (!wants_slot(b)) {
		if (b->shown_at >= 0)
			slot->breakers[b->shown_at].used = false;
		b->shown_at = -1;
		return;
	}
	for (int i = 0; b->shown_at < 0 && i < TE_BREAKER_SLOTS; i++) {
		if (slot->breakers[i].used)
			continue;
		slot->breakers[i].used = true;
		strlcpy(slot->breakers[i].company_id, b->company_id, TE_BREAKER_COMPANY_SIZE);
		b->shown_at = i;
	}
}

static void show(TeLaneSlot *slot, TeLaneBreaker *b)
{
	TeBreakerSlot *shown;
	TimestampTz since = te_time_to_timestamptz(b->breaker.since);
	bool moves = wants_slot(b) != (b->shown_at >= 0);

	if (moves) {
		LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
		move_in_or_out(slot, b);
		LWLockRelease(te_shmem->lock);
	}
	if (b->shown_at < 0)
		return;
	shown = &slot->breakers[b->shown_at];
	te_gauge(&shown->calls, (int64)b->calls);
	te_gauge(&shown->failures, (int64)b->failures);
	te_gauge(&shown->refused, (int64)b->breaker.refused);
	te_gauge(&shown->opened, (int64)b->breaker.opened);
	te_gauge(&shown->failures_in_row, b->breaker.counts.consecutive_failures);
	if (!moves && shown->state == b->breaker.state && shown->since == since)
		return;
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	shown->state = b->breaker.state;
	shown->cause = b->breaker.cause;
	shown->since = since;
	shown->wait_until = b->breaker.state == TE_BREAKER_OPEN
	                        ? te_time_to_timestamptz(b->breaker.since + b->breaker.wait)
	                        : 0;
	LWLockRelease(te_shmem->lock);
}

void te_breakers_show(TeBreakers *all)
{
	while (all->touched != NULL) {
		TeLaneBreaker *b = all->touched;

		all->touched = b->next_touched;
		b->touched = false;
		show(all->slot, b);
	}
	te_gauge(&all->slot->gauges.breakers, all->busy);
}

/*----------------------------------------------------------------------
 * Rows
 *----------------------------------------------------------------------*/

void te_breakers_record(const TeBreakers *all, TeBatchRows *batch, int64 batch_no)
{
	TeRows *rows = &batch->breaker_changes;

	for (int i = 0; i < all->change_count; i++) {
		const PendingChange *pending = &all->changes[i];
		const TeBreakerChange *change = &pending->change;
		int row = te_rows_add(rows);

		te_rows_set(rows, row, TE_BREAKER_lane, Int32GetDatum(all->slot->lane));
		te_rows_set(rows, row, TE_BREAKER_batch_no, Int64GetDatum(batch_no));
		te_rows_set_text(rows, row, TE_BREAKER_company_id, company_of(pending->company_id));
		te_rows_set_time(rows, row, TE_BREAKER_changed_at, change->at);
		te_rows_set_text(rows, row, TE_BREAKER_from_state,
		                 te_breaker_state_enum.labels[change->from]);
		te_rows_set_text(rows, row, TE_BREAKER_to_state, te_breaker_state_enum.labels[change->to]);
		te_rows_set_text(rows, row, TE_BREAKER_cause, te_breaker_cause_enum.labels[change->cause]);
		if (change->to == TE_BREAKER_OPEN)
			te_rows_set_time(rows, row, TE_BREAKER_wait_until, change->at + change->wait);
	}
}

void te_breakers_recorded(TeBreakers *all)
{
	all->change_count = 0;
}
