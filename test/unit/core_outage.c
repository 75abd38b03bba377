/*
 * core_outage.c - a risk service that fails and recovers: breaker, memory, fallback and
 * assessment together, as a worker uses them.
 */
#include "core/breaker.h"
#include "core/risk.h"

#include "core_fixture.h"
#include "core_random.h"

#define SECOND TE_USEC_PER_SEC
#define DEADLINE (2 * MSEC)

static Fixture f;
static TeBreaker breaker;
static TeBreakerChange change;
static TeRiskMemory memory;
static TeTime now, waited; /* for the service, for the signal in hand */

/* What a tenant's service is like just now. */
typedef enum { ANSWERS, IS_SLOW, TALKS_NONSENSE, IS_AWAY } Service;

/* The share of the size that an answering service grants, and its stop's share. */
static double size_share, stop_share;
static TeRiskLevel level;

/* One question.  False: no sound answer within the deadline. */
static bool ask(Service service, TeRiskAdvice *advice)
{
	double distance = f.out.entry_price - f.out.stop_loss;
	TeRiskReply reply = {(int)level, true, true, f.out.position_size * size_share,
	                     f.out.entry_price - distance * stop_share};
	const char *reason;

	waited += service == ANSWERS || service == TALKS_NONSENSE ? MSEC / 2 : DEADLINE;
	if (service == TALKS_NONSENSE)
		*(below(2) ? &reply.position_size : &reply.stop_loss) = below(2) ? NAN : -1;
	return (service == ANSWERS || service == TALKS_NONSENSE) &&
	       te_risk_reply_read(&reply, advice, &reason) == NULL;
}

/* Assess the signal in hand as a worker does. */
static void assess(Service service, TeRiskAssessment *a)
{
	TeRiskStatus status = TE_RISK_STATUS_FALLBACK_USED;
	TeRiskAdvice advice;
	uint64_t ticket;
	bool answered = false;

	waited = 0;
	if (te_breaker_ask(&breaker, &te_breaker_settings_default, now, &ticket, &change)) {
		answered = ask(service, &advice);
		te_breaker_report(&breaker, &te_breaker_settings_default, now, ticket,
		                  answered ? TE_CALL_SUCCEEDED : TE_CALL_FAILED, &change);
		status = answered ? TE_RISK_STATUS_ASSESSED : TE_RISK_STATUS_ERROR_FALLBACK;
	}
	if (answered)
		te_risk_remember(&memory, &f.out, &advice, now);
	else
		advice = te_risk_fallback(&te_risk_settings_default, &memory, &f.i, &f.out, now);
	te_risk_apply(&f.in, status, &advice, &f.out, a);
}

static void new_signal(void)
{
	fixture(&f);
	f.p.current_price = between(0.8, 1.5);
	f.a.equity = between(1000, 100000);
	decide(&f);
}

/* Step by step: what a person sees during an outage of a minute. */
static void story(void)
{
	TeRiskAssessment a;
	int asked = 0;

	now = NOON;
	memory.at = TE_NO_TIME;
	te_breaker_init(&breaker, &te_breaker_settings_default, now);
	level = TE_RISK_LEVEL_LOW;
	size_share = 0.3;
	stop_share = 1;

	new_signal();
	f.a.equity = 10000;
	decide(&f);
	assess(ANSWERS, &a);
	ok(a.status == TE_RISK_STATUS_ASSESSED && f.out.position_size == 0.15, "the service says 30 %");
	for (int i = 0; i < 5; i++) {
		now += SECOND;
		decide(&f);
		assess(IS_AWAY, &a);
		ok(a.status == TE_RISK_STATUS_ERROR_FALLBACK && f.out.position_size == 0.15 &&
		       waited == DEADLINE,
		   "the first calls of an outage wait for the deadline, and the tighter is taken");
	}
	ok(change.changed && change.to == TE_BREAKER_OPEN, "the fifth opens the breaker");
	for (int i = 0; i < 29; i++) {
		now += SECOND;
		decide(&f);
		assess(IS_AWAY, &a);
		asked += waited > 0;
		if (a.status != TE_RISK_STATUS_FALLBACK_USED || f.out.position_size != 0.15)
			asked = -1000;
	}
	is_exactly(asked, 0, "then nobody waits");
	now += SECOND;
	decide(&f);
	assess(ANSWERS, &a);
	ok(a.status == TE_RISK_STATUS_ASSESSED && breaker.state == TE_BREAKER_HALF_OPEN,
	   "after 30 s one is asked again");
	for (int i = 0; i < 2; i++) {
		decide(&f);
		assess(ANSWERS, &a);
	}
	ok(breaker.state == TE_BREAKER_CLOSED, "three answers close it");

	memory.at = now - 601 * SECOND;
	decide(&f);
	assess(IS_SLOW, &a);
	ok(f.out.position_size == 0.25, "what was said more than 10 minutes ago counts no more");
}

/* Whether a signal left with more than the tighter of last known and conservative. */
static bool too_much(const TeDecision *was, const TeRiskAssessment *a, const TeRiskMemory *known)
{
	bool young = known->at != TE_NO_TIME && now - known->at <= 600 * SECOND;
	double most = fmax(was->position_size / 2, f.i.lot_min), distance;

	if (a->cancelled)
		return false;
	if (young && known->level == TE_RISK_LEVEL_EXTREME)
		return true;
	if (young)
		most = fmin(most, was->position_size * known->size_share);
	distance = (was->entry_price - was->stop_loss) * (young ? known->stop_share : 1);
	return f.out.position_size > most * (1 + 1e-9) + 1e-8 ||
	       f.out.entry_price - f.out.stop_loss > fmax(distance, f.i.tick_size) + 1e-9;
}

static void property(void)
{
	int broken = 0, fallbacks = 0, kept = 0, opened;
	Service service = ANSWERS;

	now = NOON;
	memory.at = TE_NO_TIME;
	te_breaker_init(&breaker, &te_breaker_settings_default, now);
	for (int i = 0; i < 300000; i++) {
		TeRiskMemory known = memory;
		TeRiskAssessment a;
		TeDecision was;
		bool was_open;

		now += below(200) == 0 ? below(1000) * SECOND : below(2 * (int)SECOND);
		if (below(60) == 0)
			service = (Service)below(4);
		level = (TeRiskLevel)(1 + below(60) / 18);
		size_share = between(0, 1.5);
		stop_share = between(0.05, 1.5);

		new_signal();
		was = f.out;
		was_open = te_breaker_state(&breaker, &te_breaker_settings_default, now) == TE_BREAKER_OPEN;
		assess(service, &a);
		broken += waited > DEADLINE;
		broken += was_open && waited > 0;
		broken += was_open && a.status != TE_RISK_STATUS_FALLBACK_USED;
		if (a.status == TE_RISK_STATUS_ASSESSED)
			continue;
		fallbacks++;
		kept += !a.cancelled;
		broken += too_much(&was, &a, &known);
	}
	opened = (int)breaker.opened;
	ok(broken == 0, "300,000 signals: none waits longer than the deadline, none while the breaker "
	                "is open, none without an answer leaves with more than the tighter of both");
	ok(opened > 300 && fallbacks > 50000 && kept > 20000, "through many outages");
}

int main(void)
{
	story();
	property();
	return done_testing();
}
