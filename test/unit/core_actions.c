/*
 * core_actions.c - what is done to a signal is kept, and done again to the same bit.
 */
#include "core/actions.h"
#include "wire/assessment.h"

#include "core_fixture.h"
#include "core_random.h"

static Fixture f;

static void signal_now(void)
{
	fixture(&f);
	decide(&f);
}

static TeRiskAction advise(double size, double stop)
{
	TeRiskAdvice advice = {TE_RISK_LEVEL_MEDIUM, size, stop};

	return te_action_advice(TE_RISK_STATUS_ASSESSED, &advice);
}

static TeRiskAction limit(double lots)
{
	TeLimitFinding finding = {
		.lots = lots, .why = TE_RISK_NOTE_LEVERAGE, .value = 31.5, .allowed = 30};

	return te_action_limit(&finding);
}

static void apply(TeRiskAssessment *a, TeRiskAction action)
{
	te_action_apply(&f.in, &action, &f.out, a);
}

static void several_actions_are_told_together(void)
{
	TeRiskAssessment a = {0};

	signal_now();
	apply(&a, limit(0.4));
	is_exactly(f.out.position_size, 0.4, "a limit leaves room for 0.4 of 0.5 lots");
	apply(&a, advise(0.2, NAN));
	is_exactly(f.out.position_size, 0.2, "then the service recommends 0.2");
	is_exactly(a.original_position_size, 0.5, "before all of it there were 0.5");
	ok(a.status == TE_RISK_STATUS_ASSESSED && a.level == TE_RISK_LEVEL_MEDIUM,
	   "status and level are the gravest");
	ok(a.note_count == 3 && a.notes[0].kind == TE_RISK_NOTE_SIZE_REDUCED &&
	       a.notes[1].kind == TE_RISK_NOTE_LEVERAGE && a.notes[2].after == 0.2,
	   "each is noted, in order");
	apply(&a, te_action_cancel(TE_RISK_NOTE_HALTED, NAN, NAN));
	ok(f.out.outcome == TE_OUTCOME_RISK_REJECTED && a.cancelled &&
	       a.cancellation == TE_RISK_NOTE_HALTED && a.original_position_size == 0.5,
	   "a signal that was made smaller can still be turned into a hold");
}

/* Random actions on a random signal: packed, unpacked and done again they give the same. */
static void what_is_kept_is_done_again(void)
{
	TeArena arena;
	int wrong = 0, changed = 0;

	te_arena_init(&arena, 4096, 1024 * 1024);
	for (int n = 0; n < 5000; n++) {
		TeRiskActions actions = {.count = 1 + below(TE_RISK_MOST_ACTIONS)}, again;
		TeRiskAssessment one = {0}, two = {0};
		TeDecision before, after;
		const uint8_t *data;
		size_t len;
		TeWireError err;

		te_arena_reset(&arena);
		fixture(&f);
		f.a.equity = between(1000, 100000);
		decide(&f);
		before = f.out;
		for (int i = 0; i < actions.count; i++)
			actions.actions[i] =
				below(3) == 0 ? limit(below(4) == 0 ? INFINITY : between(0, 2))
				: below(9) == 0
					? te_action_cancel(TE_RISK_NOTE_DRAWDOWN, between(5, 20), between(5, 20))
					: advise(below(3) == 0 ? NAN : between(0, 2),
			                 below(2) == 0 ? NAN : between(1.09, 1.11));
		te_actions_apply(&f.in, &actions, &f.out, &one);
		after = f.out;
		changed +=
			after.position_size != before.position_size || after.stop_loss != before.stop_loss;
		if (!te_assessment_pack(&actions, &arena, &data, &len, &err) ||
		    !te_assessment_unpack(data, len, &arena, &again, &err)) {
			wrong++;
			continue;
		}
		f.out = before;
		te_actions_apply(&f.in, &again, &f.out, &two);
		wrong += memcmp(&f.out, &after, offsetof(TeDecision, legs)) != 0 ||
		         f.out.step_count != after.step_count || one.note_count != two.note_count ||
		         one.status != two.status || one.level != two.level ||
		         one.cancelled != two.cancelled || one.cancellation != two.cancellation;
	}
	ok(wrong == 0, "5,000 times the same decision, to the bit");
	ok(changed > 2000, "and most of them were changed");
	te_arena_free(&arena);
}

static void what_is_no_assessment_is_refused(void)
{
	TeArena arena;
	TeRiskActions actions;
	TeWireError err;
	static const uint8_t none[] = {0x0a, 0x02, 0x10, 0x01};
	static const uint8_t words[] = {0x0a, 0x06, 0x08, 0x03, 0x3a, 0x02, 'n', 'o'};

	te_arena_init(&arena, 4096, 1024 * 1024);
	ok(te_assessment_unpack(NULL, 0, &arena, &actions, &err) && actions.count == 0,
	   "nothing was done to a signal");
	ok(!te_assessment_unpack(none, sizeof(none), &arena, &actions, &err),
	   "an action without a kind");
	is_text(err.field, "kind", "is named");
	ok(!te_assessment_unpack(words, sizeof(words), &arena, &actions, &err),
	   "a reason that isn't known");
	is_text(err.field, "reason", "is named");
	te_arena_free(&arena);
}

int main(void)
{
	several_actions_are_told_together();
	what_is_kept_is_done_again();
	what_is_no_assessment_is_refused();
	return done_testing();
}
