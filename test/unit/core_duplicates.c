/*
 * core_duplicates.c - repeated signals, predictions that come again, bans, and the
 * memory below them.
 */
#include <stdlib.h>

#include "core/duplicates.h"

#include "core_fixture.h"
#include "core_random.h"

static const TeDuplicateRule spec_rule = {300, 5, 0.0001};
static const TeDuplicateLimits small = {64, 64, 16, 32};

static TeDuplicates d;
static void *memory;

static void start(const TeDuplicateLimits *limits)
{
	free(memory);
	memory = malloc(te_duplicates_size(limits));
	te_duplicates_init(&d, memory, limits);
}

static TeKey key(uint64_t n)
{
	return (TeKey){n * UINT64_C(0x9e3779b97f4a7c15), n};
}

static TeDuplicateSignal buy(uint64_t n, TeTime seconds, double price)
{
	return (TeDuplicateSignal){key(n), NOON + seconds * TE_USEC_PER_SEC, 1, price, 0};
}

static bool is_duplicate(TeDuplicateSignal s)
{
	return te_duplicates_has_signal(&d, &s, &spec_rule);
}

static TeMemo *add(TeDuplicateSignal s)
{
	return te_duplicates_add_signal(&d, &s, &spec_rule);
}

static void rule(void)
{
	TeDuplicateSignal s;
	TeDuplicateRule changed = spec_rule;

	start(&small);
	ok(!is_duplicate(buy(1, 0, 1.1)), "the first signal is no duplicate");
	add(buy(1, 0, 1.1));
	ok(is_duplicate(buy(1, 0, 1.1)), "the same at the same instant is, before it is committed");
	te_duplicates_apply(&d, NOON);
	ok(is_duplicate(buy(1, 299, 1.1)), "and within the window");
	s = buy(1, 300, 1.1);
	s.at -= 1;
	ok(is_duplicate(s), "up to its last microsecond");
	ok(!is_duplicate(buy(1, 300, 1.1)), "not at its end");
	ok(is_duplicate(buy(1, 1, 1.1005)), "5 pips above");
	ok(is_duplicate(buy(1, 1, 1.0995)), "or 5 pips below is a duplicate");
	ok(is_duplicate(buy(1, 1, 1.1005 + 0.00009e-6)), "noise of less than a millionth is forgiven");
	ok(!is_duplicate(buy(1, 1, 1.10051)), "a tick more isn't");
	ok(!is_duplicate(buy(1, 1, 1.09949)), "on either side");
	ok(!is_duplicate(buy(2, 1, 1.1)), "another key is apart");

	s = buy(1, 1, 1.1);
	s.side = -1;
	ok(!is_duplicate(s), "the other side is");
	s.side = 0;
	ok(!is_duplicate(s), "and so is a hold");

	s = buy(1, 1, 110.05);
	changed.pip_size = 0.01;
	add(buy(1, 1, 110.00));
	ok(te_duplicates_has_signal(&d, &s, &changed), "5 pips of a pip of 0.01");
	changed.window_seconds = 0;
	ok(!te_duplicates_has_signal(&d, &s, &changed), "a window of 0: nothing is a duplicate");
	changed = spec_rule;
	changed.distance_pips = 0;
	s = buy(1, 1, 1.1);
	ok(te_duplicates_has_signal(&d, &s, &changed), "a distance of 0: the very same price");
	s.entry_price = 1.10001;
	ok(!te_duplicates_has_signal(&d, &s, &changed), "and no other");
}

/* A duplicate is not remembered, so a steady stream gives one signal per window. */
static void stream(void)
{
	int signals = 0;

	start(&small);
	for (int second = 0; second < 900; second++)
		if (!is_duplicate(buy(1, second, 1.1))) {
			add(buy(1, second, 1.1));
			te_duplicates_apply(&d, NOON);
			signals++;
		}
	is_exactly(signals, 3, "one signal each 300 s from one prediction per second");
}

static void holds(void)
{
	TeDuplicateSignal s = {key(1), NOON, 0, NAN, TE_HOLD_REASON_NEUTRAL};
	TeMemo *staged;

	start(&small);
	add(s);
	ok(is_duplicate(s), "a hold of the same reason is a duplicate, without any price");
	s.hold_reason = TE_HOLD_REASON_COUNTER_TREND;
	ok(!is_duplicate(s), "one of another reason isn't");
	s.side = 1;
	ok(!is_duplicate(s), "nor is a signal");

	start(&small);
	staged = add(buy(1, 0, 1.1));
	te_duplicates_retype(staged, 0, 99);
	te_duplicates_apply(&d, NOON);
	ok(!is_duplicate(buy(1, 1, 1.1)), "a signal that risk turned into a hold is none any more");
	s = (TeDuplicateSignal){key(1), NOON, 0, NAN, 99};
	ok(is_duplicate(s), "but a hold of that reason");
}

static void clock_steps(void)
{
	start(&small);
	add(buy(1, 1000, 1.1));
	te_duplicates_apply(&d, NOON);
	ok(is_duplicate(buy(1, 900, 1.1)), "a clock set back a little: still a duplicate");
	ok(!is_duplicate(buy(1, 700, 1.1)), "set back by the window: not for ever");
	add(buy(1, 100, 1.2));
	ok(is_duplicate(buy(1, 101, 1.2)), "and the signals since are compared");
}

static void decisions(void)
{
	TeOutcome outcome;

	is_exactly((double)te_decision_life(NAN), 30e6, "30 s without a strength");
	is_exactly((double)te_decision_life(0.25), 30e6, "30 s at 0.25");
	is_exactly((double)te_decision_life(0.2583333), 30e6, "floor(30.999996)");
	is_exactly((double)te_decision_life(0.3), 36e6, "36 s at 0.3");
	is_exactly((double)te_decision_life(0.7), 84e6, "84 s at 0.7, of whatever bits");
	is_exactly((double)te_decision_life(0.7 - 1e-12), 84e6, "and with noise");
	is_exactly((double)te_decision_life(0.999), 119e6, "119 s at 0.999");
	is_exactly((double)te_decision_life(1), 120e6, "120 s at most");

	start(&small);
	ok(!te_duplicates_has_decision(&d, key(7), NOON, &outcome), "nothing is decided yet");
	ok(te_duplicates_add_decision(&d, key(7), NOON, TE_OUTCOME_HOLD, 0.5), "a decision is kept");
	ok(te_duplicates_has_decision(&d, key(7), NOON, &outcome) && outcome == TE_OUTCOME_HOLD,
	   "and found in its own batch, with its outcome");
	te_duplicates_discard(&d);
	ok(!te_duplicates_has_decision(&d, key(7), NOON, &outcome), "an aborted one isn't");
	te_duplicates_add_decision(&d, key(7), NOON, TE_OUTCOME_SIGNAL, 0.5);
	te_duplicates_apply(&d, NOON);
	ok(te_duplicates_has_decision(&d, key(7), NOON + 60 * TE_USEC_PER_SEC - 1, &outcome),
	   "it lives floor(0.5 * 120) seconds");
	ok(!te_duplicates_has_decision(&d, key(7), NOON + 60 * TE_USEC_PER_SEC, &outcome),
	   "and not longer");
	te_duplicates_add_decision(&d, key(7), NOON + 61 * TE_USEC_PER_SEC, TE_OUTCOME_DUPLICATE, NAN);
	ok(te_duplicates_has_decision(&d, key(7), NOON + 62 * TE_USEC_PER_SEC, &outcome) &&
	       outcome == TE_OUTCOME_DUPLICATE,
	   "then it may be decided anew");
}

static void bans(void)
{
	start(&small);
	ok(!te_duplicates_has_ban(&d, key(3), NOON), "no ban at first");
	te_duplicates_add_ban(&d, key(3), NOON);
	te_duplicates_add_ban(&d, key(3), NOON - 3600 * TE_USEC_PER_SEC);
	te_duplicates_apply(&d, NOON);
	ok(te_duplicates_has_ban(&d, key(3), NOON + TE_REENTRY_BAN - 1),
	   "a stopped-out prediction is banned for as long as any prediction is fresh, even when an "
	   "earlier stop is told later");
	ok(!te_duplicates_has_ban(&d, key(4), NOON), "another one isn't");
	for (uint64_t n = 100; n < 100 + 64; n++) {
		add(buy(n, 0, 1.1));
		te_duplicates_apply(&d, NOON);
	}
	ok(te_duplicates_has_ban(&d, key(3), NOON), "signals don't push out a ban");
}

static void bounds(void)
{
	bool full = true;

	start(&small);
	for (uint64_t n = 1; n <= 32; n++)
		full = full && add(buy(n, 0, 1.1)) != NULL;
	ok(full, "room for a batch");
	ok(add(buy(33, 0, 1.1)) == NULL, "no room for more in one batch");
	te_duplicates_apply(&d, NOON);
	for (uint64_t n = 33; n <= 64; n++)
		add(buy(n, 0, 1.1));
	te_duplicates_apply(&d, NOON);
	ok(is_duplicate(buy(1, 1, 1.1)) && d.signals.lost == 0, "the capacity is held in full");
	add(buy(65, 0, 1.1));
	ok(!is_duplicate(buy(1, 1, 1.1)), "a staged one hides the oldest at once");
	te_duplicates_discard(&d);
	ok(is_duplicate(buy(1, 1, 1.1)), "an abort brings it back");
	ok(d.signals.lost == 0, "and loses nothing");
	add(buy(65, 0, 1.1));
	te_duplicates_apply(&d, NOON);
	ok(!is_duplicate(buy(1, 1, 1.1)) && is_duplicate(buy(2, 1, 1.1)),
	   "the oldest is pushed out, the second oldest isn't");
	ok(d.signals.lost == 1, "what was still of interest is counted");
	add(buy(66, 0, 1.1));
	te_duplicates_apply(&d, NOON + 300 * TE_USEC_PER_SEC);
	ok(d.signals.lost == 1, "what wasn't any more, isn't");
}

static void move(const TeDuplicateLimits *limits)
{
	void *old = memory;

	memory = malloc(te_duplicates_size(limits));
	te_duplicates_move(&d, memory, limits);
	free(old);
}

static void growth(void)
{
	TeDuplicateLimits limits = {4, 1, 1, 4};
	int held = 0;

	start(&limits);
	for (uint64_t n = 1; n <= 6; n++) {
		add(buy(n, 0, 1.1));
		te_duplicates_apply(&d, NOON);
	}
	is_exactly((double)d.signals.lost, 2, "six in a memory of four: two are lost");
	add(buy(7, 0, 1.1));
	limits.signals = 64;
	move(&limits);
	ok(!is_duplicate(buy(1, 1, 1.1)) && !is_duplicate(buy(2, 1, 1.1)),
	   "a larger memory has nothing that was lost before");
	ok(is_duplicate(buy(3, 1, 1.1)) && is_duplicate(buy(7, 1, 1.1)),
	   "but all that was kept, and what was staged");
	te_duplicates_discard(&d);
	ok(!is_duplicate(buy(7, 1, 1.1)) && is_duplicate(buy(6, 1, 1.1)), "and it can be discarded");
	for (uint64_t n = 7; n < 7 + 60; n++) {
		add(buy(n, 0, 1.1));
		te_duplicates_apply(&d, NOON);
	}
	for (uint64_t n = 3; n < 7 + 60; n++)
		held += is_duplicate(buy(n, 1, 1.1));
	is_exactly(held, 64, "the new capacity is held in full");
	is_exactly((double)d.signals.lost, 2, "without losing any");
	add(buy(67, 0, 1.1));
	te_duplicates_apply(&d, NOON);
	ok(!is_duplicate(buy(3, 1, 1.1)) && is_duplicate(buy(4, 1, 1.1)), "one more pushes out one");
	is_exactly((double)d.signals.lost, 3, "which is counted");
}

/* The rule over a plain list of everything that was kept. */
typedef struct Model
{
	TeDuplicateSignal all[20000];
	int count, kept;
} Model;

static Model model;

static bool model_has(const TeDuplicateSignal *s, const TeDuplicateRule *r, uint32_t capacity)
{
	int oldest = model.count > (int)capacity ? model.count - (int)capacity : 0;

	for (int i = model.count - 1; i >= oldest; i--) {
		const TeDuplicateSignal *m = &model.all[i];

		if (te_key_equal(m->key, s->key) && m->side == s->side &&
		    s->at - m->at < r->window_seconds * TE_USEC_PER_SEC &&
		    (s->side == 0
		         ? m->hold_reason == s->hold_reason
		         : fabs(m->entry_price - s->entry_price) / r->pip_size <= r->distance_pips + 1e-6))
			return true;
	}
	return false;
}

static TeDuplicateSignal random_signal(TeTime at)
{
	int side = below(3) - 1;

	/* Keys share their low bits, so that buckets hold several of them. */
	return (TeDuplicateSignal){{(uint64_t)below(5), (uint64_t)below(4) << 40},
	                           at,
	                           side,
	                           1.1 + below(40) * 0.0001,
	                           (uint8_t)below(3)};
}

/* Random batches, a third of them aborted, against the list; and again from the kept ones alone. */
static void property(void)
{
	TeDuplicateLimits limits = {48, 1, 1, 16};
	TeTime at = NOON;
	int wrong = 0, duplicates = 0;
	TeDuplicates warm;
	void *other;

	start(&limits);
	model.count = model.kept = 0;
	while (model.kept < 15000) {
		for (int n = below(17); n > 0; n--) {
			TeDuplicateSignal s = random_signal(at += below(20) * TE_USEC_PER_SEC / 4);
			bool found = te_duplicates_has_signal(&d, &s, &spec_rule);

			wrong += found != model_has(&s, &spec_rule, limits.signals);
			duplicates += found;
			if (found)
				continue;
			wrong += add(s) == NULL;
			if (below(40) == 0) {
				limits.batch = (uint32_t)(16 + below(20));
				move(&limits);
			}
			model.all[model.count++] = s;
		}
		if (below(3) == 0) {
			te_duplicates_discard(&d);
			model.count = model.kept;
		} else {
			te_duplicates_apply(&d, at);
			model.kept = model.count;
		}
	}
	ok(wrong == 0 && duplicates > 1000, "15,000 signals in random batches are judged as by a list");

	other = malloc(te_duplicates_size(&limits));
	te_duplicates_init(&warm, other, &limits);
	for (int i = model.count - (int)limits.signals; i < model.count; i++) {
		te_duplicates_add_signal(&warm, &model.all[i], &spec_rule);
		te_duplicates_apply(&warm, at);
	}
	wrong = 0;
	for (int n = 0; n < 10000; n++) {
		TeDuplicateSignal s = random_signal(at + below(300) * TE_USEC_PER_SEC);

		wrong += te_duplicates_has_signal(&warm, &s, &spec_rule) !=
		         te_duplicates_has_signal(&d, &s, &spec_rule);
	}
	is_exactly(wrong, 0, "a memory made from the newest stored rows judges the same");
	free(other);
}

int main(void)
{
	rule();
	stream();
	holds();
	clock_steps();
	decisions();
	bans();
	bounds();
	growth();
	property();
	free(memory);
	return done_testing();
}
