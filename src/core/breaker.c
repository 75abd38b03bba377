/*
 * breaker.c - the circuit breaker's state machine.
 */
#include "breaker.h"

#include <string.h>

#include "work.h"

const TeBreakerSettings te_breaker_settings_default = {
	.consecutive_failures = 5,
	.rate_calls = 20,
	.rate_least_calls = 20,
	.failure_rate = 0.5,
	.interval = 0,
	.open_wait = 30 * TE_USEC_PER_SEC,
	.wait_factor = 2,
	.open_wait_most = 300 * TE_USEC_PER_SEC,
	.probes = 1,
	.probe_successes = 3,
	.probe_limit = 30 * TE_USEC_PER_SEC,
};

const char *te_breaker_settings_check(const TeBreakerSettings *s, const char **reason)
{
	*reason = "must not be negative";
	if (s->consecutive_failures < 0)
		return "consecutive_failures";
	if (s->interval < 0)
		return "interval";
	*reason = "must be within 0 and 64";
	if (s->rate_calls < 0 || s->rate_calls > TE_BREAKER_MOST_CALLS)
		return "rate_calls";
	*reason = "must be within 0 and rate_calls";
	if (s->rate_least_calls < 0 || s->rate_least_calls > s->rate_calls)
		return "rate_least_calls";
	*reason = "must be above 0 and at most 1";
	if (!(s->failure_rate > 0 && s->failure_rate <= 1))
		return "failure_rate";
	*reason = "must be above 0";
	if (s->open_wait <= 0)
		return "open_wait";
	if (s->probe_limit <= 0)
		return "probe_limit";
	if (s->probes <= 0)
		return "probes";
	if (s->probe_successes <= 0)
		return "probe_successes";
	*reason = "must be at least 1";
	if (!(s->wait_factor >= 1 && isfinite(s->wait_factor)))
		return "wait_factor";
	*reason = "must be at least open_wait";
	if (s->open_wait_most < s->open_wait)
		return "open_wait_most";
	*reason = NULL;
	return NULL;
}

/* Begin a generation: what is counted is counted from here, and calls under way count no more. */
static void begin(TeBreaker *b, TeTime now)
{
	b->generation++;
	b->since = now;
	b->probing = 0;
	memset(&b->counts, 0, sizeof(b->counts));
	b->history = 0;
	b->history_calls = 0;
}

void te_breaker_init(TeBreaker *b, const TeBreakerSettings *s, TeTime now)
{
	*b = (TeBreaker){.state = TE_BREAKER_CLOSED, .wait = s->open_wait};
	begin(b, now);
}

static void turn(TeBreaker *b, TeBreakerState to, TeBreakerCause cause, TeTime now,
                 TeBreakerChange *change)
{
	*change = (TeBreakerChange){true, b->state, to, cause, now, 0};
	if (to == TE_BREAKER_OPEN) {
		change->wait = b->wait;
		b->opened++;
	}
	b->state = to;
	b->cause = cause;
	begin(b, now);
}

/* A probe has failed: open again, for longer. */
static void reopen(TeBreaker *b, const TeBreakerSettings *s, TeBreakerCause cause, TeTime now,
                   TeBreakerChange *change)
{
	b->wait = (TeTime)fmin((double)b->wait * s->wait_factor, (double)s->open_wait_most);
	turn(b, TE_BREAKER_OPEN, cause, now, change);
}

/* Whether so much time is over since then. */
static bool is_over(TeTime since, TeTime length, TeTime now)
{
	return now >= since && now - since >= length;
}

TeBreakerState te_breaker_state(const TeBreaker *b, const TeBreakerSettings *s, TeTime now)
{
	if (b->state == TE_BREAKER_OPEN && is_over(b->since, b->wait, now))
		return TE_BREAKER_HALF_OPEN;
	if (b->state == TE_BREAKER_HALF_OPEN && b->probing > 0 &&
	    is_over(b->last_probe, s->probe_limit, now))
		return TE_BREAKER_OPEN;
	return b->state;
}

/* What time alone brings about. */
static void pass_time(TeBreaker *b, const TeBreakerSettings *s, TeTime now, TeBreakerChange *change)
{
	if (now < b->since)
		b->since = now;
	if (now < b->last_probe)
		b->last_probe = now;

	if (b->state == TE_BREAKER_CLOSED && s->interval > 0 && is_over(b->since, s->interval, now))
		begin(b, now);
	else if (b->state == TE_BREAKER_OPEN && is_over(b->since, b->wait, now))
		turn(b, TE_BREAKER_HALF_OPEN, TE_BREAKER_CAUSE_WAITED, now, change);
	else if (te_breaker_state(b, s, now) != b->state)
		reopen(b, s, TE_BREAKER_CAUSE_PROBE_LOST, now, change);
}

bool te_breaker_ask(TeBreaker *b, const TeBreakerSettings *s, TeTime now, uint64_t *ticket,
                    TeBreakerChange *change)
{
	*change = (TeBreakerChange){.changed = false};
	pass_time(b, s, now, change);

	if (b->state == TE_BREAKER_OPEN ||
	    (b->state == TE_BREAKER_HALF_OPEN && b->probing >= s->probes)) {
		b->refused++;
		return false;
	}
	if (b->state == TE_BREAKER_HALF_OPEN) {
		b->probing++;
		b->last_probe = now;
	}
	b->counts.calls++;
	*ticket = b->generation;
	return true;
}

static void count(TeBreaker *b, TeCallResult result)
{
	TeBreakerCounts *c = &b->counts;

	switch (result) {
	case TE_CALL_SUCCEEDED:
		c->successes++;
		c->consecutive_successes++;
		c->consecutive_failures = 0;
		break;
	case TE_CALL_FAILED:
		c->failures++;
		c->consecutive_failures++;
		c->consecutive_successes = 0;
		break;
	case TE_CALL_EXCLUDED:
		c->excluded++;
		return;
	}
	b->history = b->history << 1 | (result == TE_CALL_FAILED);
	if (b->history_calls < TE_BREAKER_MOST_CALLS)
		b->history_calls++;
}

/* How many calls the rate is over. */
static int rated_calls(const TeBreaker *b, const TeBreakerSettings *s)
{
	return b->history_calls < s->rate_calls ? b->history_calls : s->rate_calls;
}

double te_breaker_failure_rate(const TeBreaker *b, const TeBreakerSettings *s)
{
	int calls = rated_calls(b, s), failed = 0;

	for (int i = 0; i < calls; i++)
		failed += b->history >> i & 1;
	return calls > 0 ? (double)failed / calls : NAN;
}

/* What opens a closed breaker. */
static TeBreakerCause cause_to_open(const TeBreaker *b, const TeBreakerSettings *s)
{
	int calls = rated_calls(b, s);

	if (s->consecutive_failures > 0 &&
	    b->counts.consecutive_failures >= (uint32_t)s->consecutive_failures)
		return TE_BREAKER_CAUSE_CONSECUTIVE_FAILURES;
	if (calls > 0 && calls >= s->rate_least_calls &&
	    !te_ratio_below(te_breaker_failure_rate(b, s), s->failure_rate))
		return TE_BREAKER_CAUSE_FAILURE_RATE;
	return TE_BREAKER_CAUSE_NONE;
}

void te_breaker_report(TeBreaker *b, const TeBreakerSettings *s, TeTime now, uint64_t ticket,
                       TeCallResult result, TeBreakerChange *change)
{
	TeBreakerCause cause;

	*change = (TeBreakerChange){.changed = false};
	/* A probe's own answer counts, however late, as long as nobody has given it up. */
	if (b->state != TE_BREAKER_HALF_OPEN)
		pass_time(b, s, now, change);
	if (ticket != b->generation)
		return;
	count(b, result);

	if (b->state == TE_BREAKER_CLOSED) {
		cause = cause_to_open(b, s);
		if (cause == TE_BREAKER_CAUSE_NONE)
			return;
		b->wait = s->open_wait;
		turn(b, TE_BREAKER_OPEN, cause, now, change);
	} else if (b->state == TE_BREAKER_HALF_OPEN) {
		b->probing--;
		if (result == TE_CALL_FAILED)
			reopen(b, s, TE_BREAKER_CAUSE_PROBE_FAILED, now, change);
		else if (b->counts.consecutive_successes >= (uint32_t)s->probe_successes)
			turn(b, TE_BREAKER_CLOSED, TE_BREAKER_CAUSE_PROBES_SUCCEEDED, now, change);
	}
}
