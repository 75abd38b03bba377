/*
 * core_breaker.c - the circuit breaker: the spec's numbers, sony/gobreaker's tables, and what
 * holds in every history.
 */
#include <jansson.h>

#include "core/breaker.h"

#include "core_fixture.h"
#include "core_random.h"
#include "core_vectors.h"

#define SECOND TE_USEC_PER_SEC

static TeBreakerSettings settings;
static TeBreaker b;
static TeBreakerChange change;
static TeTime now;

static void start(void)
{
	settings = te_breaker_settings_default;
	now = NOON;
	te_breaker_init(&b, &settings, now);
}

/* One call from beginning to end.  False: refused. */
static bool call(TeCallResult result)
{
	uint64_t ticket;

	if (!te_breaker_ask(&b, &settings, now, &ticket, &change))
		return false;
	te_breaker_report(&b, &settings, now, ticket, result, &change);
	return true;
}

static void calls(int n, TeCallResult result)
{
	for (int i = 0; i < n; i++)
		call(result);
}

static const char *state(void)
{
	return te_breaker_state_enum.labels[te_breaker_state(&b, &settings, now)];
}

static void opens(void)
{
	start();
	calls(4, TE_CALL_FAILED);
	is_text(state(), "CLOSED", "4 failures in a row");
	call(TE_CALL_SUCCEEDED);
	calls(4, TE_CALL_FAILED);
	is_text(state(), "CLOSED", "a success between them starts anew");
	call(TE_CALL_FAILED);
	is_text(state(), "OPEN", "the 5th failure in a row opens");
	ok(change.changed && change.from == TE_BREAKER_CLOSED && change.to == TE_BREAKER_OPEN &&
	       change.cause == TE_BREAKER_CAUSE_CONSECUTIVE_FAILURES && change.at == now &&
	       change.wait == 30 * SECOND,
	   "and the change is told, with cause and wait");
	ok(!call(TE_CALL_SUCCEEDED) && b.refused == 1 && b.opened == 1, "open, it refuses and counts");

	start();
	for (int i = 0; i < 9; i++) {
		call(TE_CALL_FAILED);
		call(TE_CALL_SUCCEEDED);
	}
	call(TE_CALL_FAILED);
	is_text(state(), "CLOSED", "10 of 19 say nothing yet");
	is_near(te_breaker_failure_rate(&b, &settings), 10.0 / 19, 1e-15, "as the rate shows");
	call(TE_CALL_SUCCEEDED);
	is_text(state(), "OPEN", "10 of 20 are 50 %");
	ok(change.cause == TE_BREAKER_CAUSE_FAILURE_RATE, "which is the cause");

	start();
	calls(40, TE_CALL_SUCCEEDED);
	for (int i = 0; i < 9; i++) {
		call(TE_CALL_FAILED);
		call(TE_CALL_SUCCEEDED);
	}
	is_text(state(), "CLOSED", "9 of the last 20 are fewer");
	calls(4, TE_CALL_EXCLUDED);
	is_text(state(), "CLOSED", "calls that are left out don't count");
	call(TE_CALL_FAILED);
	is_text(state(), "OPEN", "only the last 20 count: 10 of them failed");
}

static void recovers(void)
{
	uint64_t probe, second;

	start();
	calls(5, TE_CALL_FAILED);
	now += 30 * SECOND - 1;
	is_text(state(), "OPEN", "open for 30 s");
	ok(!call(TE_CALL_SUCCEEDED), "to the last microsecond");
	now += 1;
	is_text(state(), "HALF_OPEN", "then half open");
	ok(te_breaker_ask(&b, &settings, now, &probe, &change), "a probe is let through");
	ok(change.changed && change.to == TE_BREAKER_HALF_OPEN &&
	       change.cause == TE_BREAKER_CAUSE_WAITED,
	   "the change is told when the probe is asked for");
	ok(!te_breaker_ask(&b, &settings, now, &second, &change), "one at a time");
	te_breaker_report(&b, &settings, now, probe, TE_CALL_SUCCEEDED, &change);
	call(TE_CALL_SUCCEEDED);
	is_text(state(), "HALF_OPEN", "2 successes aren't enough");
	ok(call(TE_CALL_EXCLUDED), "a probe that says nothing");
	is_text(state(), "HALF_OPEN", "changes nothing and frees its place");
	call(TE_CALL_SUCCEEDED);
	is_text(state(), "CLOSED", "3 successes close");
	ok(change.changed && change.cause == TE_BREAKER_CAUSE_PROBES_SUCCEEDED, "and it is told");
	ok(b.counts.calls == 0 && isnan(te_breaker_failure_rate(&b, &settings)), "counts start anew");
}

static void waits_longer(void)
{
	static const int waits[] = {30, 60, 120, 240, 300, 300};
	char name[64];

	start();
	calls(5, TE_CALL_FAILED);
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "the wait before probe %d is %d s", i + 1, waits[i]);
		ok(b.wait == waits[i] * SECOND, name);
		now += waits[i] * SECOND - 1;
		is_text(state(), "OPEN", name);
		now += 1;
		call(TE_CALL_FAILED);
		is_text(state(), "OPEN", "a failed probe opens again");
	}
	now += 300 * SECOND;
	calls(3, TE_CALL_SUCCEEDED);
	calls(5, TE_CALL_FAILED);
	ok(change.wait == 30 * SECOND, "once it was closed, the wait is the first one again");
}

static void late_reports(void)
{
	uint64_t early, probe;

	start();
	te_breaker_ask(&b, &settings, now, &early, &change);
	calls(5, TE_CALL_FAILED);
	te_breaker_report(&b, &settings, now, early, TE_CALL_SUCCEEDED, &change);
	is_text(state(), "OPEN", "a success from before it opened is too late");
	now += 30 * SECOND;
	te_breaker_ask(&b, &settings, now, &probe, &change);
	te_breaker_report(&b, &settings, now, early, TE_CALL_FAILED, &change);
	is_text(state(), "HALF_OPEN", "and so is a failure while it probes");

	now += 30 * SECOND;
	is_text(state(), "OPEN", "a probe that never reports has failed");
	ok(!call(TE_CALL_SUCCEEDED) && b.wait == 60 * SECOND && b.cause == TE_BREAKER_CAUSE_PROBE_LOST,
	   "with a longer wait");
	te_breaker_report(&b, &settings, now, probe, TE_CALL_SUCCEEDED, &change);
	is_text(state(), "OPEN", "and its report counts no more");

	start();
	calls(5, TE_CALL_FAILED);
	now -= 3600 * SECOND;
	ok(!call(TE_CALL_SUCCEEDED), "a clock that was set back");
	now += 30 * SECOND;
	is_text(state(), "HALF_OPEN", "starts the wait again instead of waiting an hour");
}

static void settings_are_checked(void)
{
	const char *reason;

	start();
	ok(te_breaker_settings_check(&settings, &reason) == NULL, "the spec's settings are sound");
	settings.failure_rate = 1.01;
	is_text(te_breaker_settings_check(&settings, &reason), "failure_rate", "a rate above 1");
	start();
	settings.rate_calls = 65;
	is_text(te_breaker_settings_check(&settings, &reason), "rate_calls", "more calls than fit");
	is_text(reason, "must be within 0 and 64", "says why");
	start();
	settings.open_wait_most = 29 * SECOND;
	is_text(te_breaker_settings_check(&settings, &reason), "open_wait_most",
	        "a cap below the wait");
	start();
	settings.wait_factor = NAN;
	is_text(te_breaker_settings_check(&settings, &reason), "wait_factor", "no number");
	start();
	settings.rate_calls = 0;
	settings.rate_least_calls = 0;
	settings.consecutive_failures = 3;
	calls(2, TE_CALL_FAILED);
	call(TE_CALL_SUCCEEDED);
	calls(2, TE_CALL_FAILED);
	is_text(state(), "CLOSED", "without a rate only failures in a row open");
	call(TE_CALL_FAILED);
	is_text(state(), "OPEN", "as many as set");
}

/* gobreaker's definitions: counts per interval, a constant wait, as many probes as successes. */
static void gobreaker_settings(json_t *given)
{
	const char *trip = json_string_value(json_object_get(given, "trip"));
	int probes = (int)json_integer_value(json_object_get(given, "max_half_open_requests"));

	settings = te_breaker_settings_default;
	settings.interval = json_integer_value(json_object_get(given, "interval_ms")) * 1000;
	settings.open_wait = json_integer_value(json_object_get(given, "timeout_ms")) * 1000;
	settings.open_wait_most = settings.open_wait;
	settings.wait_factor = 1;
	settings.probe_limit = INT64_MAX;
	settings.probes = settings.probe_successes = probes;
	if (strcmp(trip, "consecutive_failures>5") == 0) {
		settings.consecutive_failures = 6;
		settings.rate_calls = settings.rate_least_calls = 0;
	} else { /* requests>=3 and ratio>=0.6 */
		settings.consecutive_failures = 0;
		settings.rate_calls = TE_BREAKER_MOST_CALLS;
		settings.rate_least_calls = 3;
		settings.failure_rate = 0.6;
	}
}

static bool same_counts(json_t *want)
{
	const struct
	{
		const char *name;
		uint32_t value;
	} counts[] = {
		{"requests", b.counts.calls},
		{"successes", b.counts.successes},
		{"failures", b.counts.failures},
		{"exclusions", b.counts.excluded},
		{"consecutive_successes", b.counts.consecutive_successes},
		{"consecutive_failures", b.counts.consecutive_failures},
	};

	for (int i = 0; i < 6; i++)
		if (json_integer_value(json_object_get(want, counts[i].name)) != counts[i].value)
			return false;
	return true;
}

/* One step.  Returns how many checks failed. */
static int gobreaker_step(json_t *step, int *checks)
{
	static const char *const states[] = {"closed", "open", "half-open"};
	const char *op = json_string_value(json_object_get(step, "op"));
	json_t *counts = json_object_get(step, "counts");
	TeCallResult result = TE_CALL_SUCCEEDED;

	if (strcmp(op, "sleep") == 0) {
		now += (TeTime)ceil(json_number_value(json_object_get(step, "ms")) * 1000);
		return 0;
	}
	if (strcmp(op, "check") == 0) {
		bool same = strcmp(json_string_value(json_object_get(step, "state")),
		                   states[te_breaker_state(&b, &settings, now)]) == 0;

		*checks += counts != NULL ? 7 : 1;
		return !same || (counts != NULL && !same_counts(counts));
	}
	if (strcmp(op, "fail") == 0)
		result = TE_CALL_FAILED;
	else if (strcmp(op, "exclude") == 0)
		result = TE_CALL_EXCLUDED;
	++*checks;
	return call(result) == json_is_true(json_object_get(step, "refused"));
}

static void gobreaker_vectors(void)
{
	FILE *file = open_vectors("gobreaker_state_machine.json");
	json_t *root, *row, *step;
	size_t i, k;

	if (file == NULL) {
		skip("no gobreaker_state_machine.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, row)
	{
		int checks = 0, wrong = 0;

		gobreaker_settings(json_object_get(row, "settings"));
		now = NOON;
		te_breaker_init(&b, &settings, now);
		json_array_foreach(json_object_get(row, "steps"), k, step)
		{
			int failed = gobreaker_step(step, &checks);

			if (failed)
				printf("# step %zu\n", k);
			wrong += failed;
		}
		ok(wrong == 0 && checks > 20, json_string_value(json_object_get(row, "name")));
	}
	ok(json_array_size(json_object_get(root, "cases")) == 2, "gobreaker's two tables");
	json_decref(root);

	/* And what its test does with goroutines. */
	uint64_t tickets[4];
	bool let[4];

	te_breaker_init(&b, &settings, now);
	calls(3, TE_CALL_FAILED);
	now += settings.open_wait;
	for (int n = 0; n < 4; n++)
		let[n] = te_breaker_ask(&b, &settings, now, &tickets[n], &change);
	ok(let[0] && let[1] && let[2] && !let[3], "of 4 probes at once the fourth is refused");
	for (int n = 0; n < 3; n++)
		te_breaker_report(&b, &settings, now, tickets[n], TE_CALL_SUCCEEDED, &change);
	is_text(state(), "CLOSED", "and the three close it");
}

/* Random histories: what holds after every step. */
static void property(void)
{
	uint64_t under_way[64];
	int count = 0, broken = 0, seen[TE_BREAKER_STATE_COUNT] = {0};
	TeTime opened_at = 0;

	start();
	for (int n = 0; n < 300000; n++) {
		TeBreakerState before = b.state;
		uint64_t ticket;

		now += below(8) == 0 ? below(40) * SECOND : below(2000) * MSEC;
		if (count < 64 && below(2) == 0) {
			bool let = te_breaker_ask(&b, &settings, now, &ticket, &change);

			if (let)
				under_way[count++] = ticket;
			broken += let && b.state == TE_BREAKER_OPEN;
			broken += let && before == TE_BREAKER_OPEN && now - opened_at < 30 * SECOND;
		} else if (count > 0) {
			int i = below(count);

			te_breaker_report(&b, &settings, now, under_way[i],
			                  below(5) < 2 ? TE_CALL_FAILED : TE_CALL_SUCCEEDED, &change);
			under_way[i] = under_way[--count];
		} else
			continue;
		if (change.changed && change.to == TE_BREAKER_OPEN)
			opened_at = now;
		broken += change.changed != (b.state != before);
		broken += b.probing < 0 || b.probing > settings.probes;
		broken += b.wait < settings.open_wait || b.wait > settings.open_wait_most;
		broken += before == TE_BREAKER_OPEN && b.state == TE_BREAKER_CLOSED;
		broken += before == TE_BREAKER_CLOSED && b.state == TE_BREAKER_HALF_OPEN;
		broken += b.state == TE_BREAKER_CLOSED && b.counts.consecutive_failures >= 5;
		seen[b.state]++;
	}
	ok(broken == 0, "never open with a call, never a second probe, never a wrong way, in 300,000 "
	                "steps");
	ok(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000, "through every state");
}

int main(void)
{
	opens();
	recovers();
	waits_longer();
	late_reports();
	settings_are_checked();
	gobreaker_vectors();
	property();
	return done_testing();
}
