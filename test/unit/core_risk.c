/*
 * core_risk.c - what an assessment does to a signal.  The fixture's signal, by hand: BUY 0.50
 * lots at 1.09980, stop 1.09780, take profit 1.10380, loss 100 USD.
 */
#include "core/risk.h"

#include "core_fixture.h"
#include "core_random.h"

static Fixture f;
static TeRiskAssessment a;

static void signal_now(void)
{
	fixture(&f);
	decide(&f);
}

static TeRiskAdvice advice(double size, double stop)
{
	return (TeRiskAdvice){TE_RISK_LEVEL_MEDIUM, size, stop};
}

static void apply(TeRiskAdvice what)
{
	te_risk_apply(&f.in, TE_RISK_STATUS_ASSESSED, &what, &f.out, &a);
}

static const char *only_note(void)
{
	return a.note_count == 1 ? te_risk_note_enum.labels[a.notes[0].kind] : "not one note";
}

static void sizes(void)
{
	signal_now();
	apply(advice(0.3, NAN));
	is_exactly(f.out.position_size, 0.3, "a smaller size is taken");
	is_near(f.out.max_loss, 60, 1e-12, "with its loss");
	is_text(te_risk_note_texts[a.notes[0].kind], "Position size reduced by risk management",
	        "and noted in the spec's words");
	ok(a.note_count == 1 && a.notes[0].before == 0.5 && a.notes[0].advised == 0.3 &&
	       a.notes[0].after == 0.3,
	   "with the sizes before and after");
	ok(f.out.outcome == TE_OUTCOME_SIGNAL && f.out.stop_loss == 1.0978 && !a.cancelled,
	   "the rest stays");
	ok(last_step(&f)->gate == TE_OUTCOME_RISK_REJECTED && last_step(&f)->passed,
	   "the assessment is a step that passed");
	ok(a.original_position_size == 0.5 && a.original_stop_loss == 1.0978 &&
	       a.status == TE_RISK_STATUS_ASSESSED && a.level == TE_RISK_LEVEL_MEDIUM,
	   "the original is kept, with status and level");

	signal_now();
	apply(advice(0.3789, NAN));
	is_exactly(f.out.position_size, 0.37, "rounded down to the lot step");
	signal_now();
	apply(advice(0.5, NAN));
	ok(f.out.position_size == 0.5 && a.note_count == 0, "the same size is no change");
	signal_now();
	apply(advice(3, NAN));
	ok(f.out.position_size == 0.5 && a.note_count == 0, "and a larger one none");
	signal_now();
	apply(advice(0.01, NAN));
	is_exactly(f.out.position_size, 0.01, "lot_min is enough");
	signal_now();
	apply(advice(0.00999, NAN));
	is_text(te_outcome_enum.labels[f.out.outcome], "RISK_REJECTED", "below lot_min it is rejected");
	is_text(only_note(), "SIZE_TOO_SMALL", "with the reason");
	ok(a.cancelled && f.out.signal_type == TE_DIR_HOLD, "and becomes a hold");
	signal_now();
	apply(advice(0, NAN));
	ok(a.cancelled, "a recommended size of 0 is a rejection");
}

static void stops(void)
{
	signal_now();
	apply(advice(NAN, 1.0988));
	is_exactly(f.out.stop_loss, 1.0988, "a tighter stop is taken");
	is_near(f.out.max_loss, 50, 1e-9, "with its loss");
	is_near(f.out.reward_risk_ratio, 4, 1e-12, "and its ratio");
	ok(a.notes[0].kind == TE_RISK_NOTE_STOP_TIGHTENED && a.notes[0].before == 1.0978 &&
	       a.notes[0].after == 1.0988,
	   "both prices are noted");
	is_exactly(f.out.position_size, 0.5, "the size stays");

	signal_now();
	apply(advice(NAN, 1.098804));
	is_exactly(f.out.stop_loss, 1.09881, "rounded to the tick towards entry");
	signal_now();
	apply(advice(NAN, 1.0977));
	ok(f.out.stop_loss == 1.0978 && f.out.max_loss == 100, "a wider stop is ignored");
	is_text(only_note(), "STOP_WIDER", "and noted");
	ok(a.notes[0].advised == 1.0977 && a.notes[0].after == 1.0978, "with what was recommended");
	signal_now();
	apply(advice(NAN, 1.1008));
	is_exactly(f.out.stop_loss, 1.0978, "a stop on the wrong side is ignored");
	is_text(only_note(), "STOP_WRONG_SIDE", "and noted");
	signal_now();
	apply(advice(NAN, 1.0998));
	is_text(only_note(), "STOP_WRONG_SIDE", "at entry is the wrong side");
	signal_now();
	apply(advice(NAN, 1.0978));
	ok(a.note_count == 0 && f.out.stop_loss == 1.0978, "the same stop is no change");
	signal_now();
	apply(advice(NAN, 1.09780000000001));
	ok(a.note_count == 0, "nor is one with noise");

	fixture(&f);
	f.i.min_stop_pips = 5;
	decide(&f);
	apply(advice(NAN, 1.0996));
	is_exactly(f.out.stop_loss, 1.0993, "closer than min_stop_pips: that distance is taken");
	is_text(only_note(), "STOP_TOO_CLOSE", "and noted");

	fixture(&f);
	f.p.direction = TE_DIR_SELL;
	decide(&f); /* limit 1.1002, stop 1.1022 */
	apply(advice(NAN, 1.1012));
	is_exactly(f.out.stop_loss, 1.1012, "for a SELL the tighter stop is the lower one");
	signal_now();
	f.p.direction = TE_DIR_SELL;
	decide(&f);
	apply(advice(NAN, 1.0992));
	is_text(only_note(), "STOP_WRONG_SIDE", "and the wrong side is below");

	signal_now();
	apply(advice(0.25, 1.0988));
	ok(f.out.position_size == 0.25 && f.out.stop_loss == 1.0988 && a.note_count == 2,
	   "both are taken");
	is_near(f.out.max_loss, 25, 1e-9, "and multiply");
}

static void extreme(void)
{
	signal_now();
	apply((TeRiskAdvice){TE_RISK_LEVEL_EXTREME, 0.3, 1.0988});
	ok(f.out.outcome == TE_OUTCOME_RISK_REJECTED && f.out.signal_type == TE_DIR_HOLD,
	   "EXTREME: a hold");
	is_text(te_risk_note_texts[a.cancellation], "Extreme risk level detected",
	        "with the spec's cancellation reason");
	ok(!f.out.has_order && isnan(f.out.entry_price) && isnan(f.out.position_size) &&
	       isnan(f.out.stop_loss) && isnan(f.out.take_profit) && isnan(f.out.limit_price) &&
	       isnan(f.out.max_loss) && f.out.leg_count == 0,
	   "without anything that could be taken for an order");
	ok(f.out.expires_at != TE_NO_TIME && te_known(f.out.signal_strength), "the rest is there");
	ok(a.original_position_size == 0.5 && a.note_count == 1 && !last_step(&f)->passed,
	   "the original is kept; the step failed");
	for (TeRiskLevel level = TE_RISK_LEVEL_LOW; level < TE_RISK_LEVEL_EXTREME; level++) {
		signal_now();
		apply((TeRiskAdvice){level, NAN, NAN});
		ok(f.out.outcome == TE_OUTCOME_SIGNAL && a.note_count == 0 && a.level == level,
		   te_risk_level_enum.labels[level]);
	}
}

static void replies(void)
{
	static const struct
	{
		TeRiskReply reply;
		const char *wrong;
	} rows[] = {
		{{TE_RISK_LEVEL_LOW, false, false, 0, 0}, NULL},
		{{TE_RISK_LEVEL_HIGH, true, true, 0, 1.1}, NULL},
		{{TE_RISK_LEVEL_UNSPECIFIED, false, false, 0, 0}, "risk_level"},
		{{17, false, false, 0, 0}, "risk_level"},
		{{-1, false, false, 0, 0}, "risk_level"},
		{{TE_RISK_LEVEL_LOW, true, false, NAN, 0}, "sizing.position_size"},
		{{TE_RISK_LEVEL_LOW, true, false, INFINITY, 0}, "sizing.position_size"},
		{{TE_RISK_LEVEL_LOW, true, false, -0.01, 0}, "sizing.position_size"},
		{{TE_RISK_LEVEL_LOW, false, true, 0, NAN}, "stop_loss"},
		{{TE_RISK_LEVEL_LOW, false, true, 0, -1}, "stop_loss"},
		{{TE_RISK_LEVEL_LOW, false, true, 0, 0}, "stop_loss"},
		{{TE_RISK_LEVEL_LOW, false, false, NAN, NAN}, NULL},
	};
	const char *reason;
	TeRiskAdvice read;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_text(te_risk_reply_read(&rows[i].reply, &read, &reason), rows[i].wrong,
		        rows[i].wrong != NULL ? rows[i].wrong : "a sound answer");
	ok(isnan(read.position_size) && isnan(read.stop_loss), "what isn't there is not advised");
}

static void fallbacks(void)
{
	const TeRiskSettings *s = &te_risk_settings_default;
	TeRiskMemory memory = {.at = TE_NO_TIME};
	TeRiskAdvice fall;

	signal_now();
	fall = te_risk_fallback(s, NULL, &f.i, &f.out, NOON);
	ok(fall.position_size == 0.25 && isnan(fall.stop_loss), "conservative: half the size");
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON);
	ok(fall.position_size == 0.25, "nothing remembered: the same");
	f.a.equity = 600;
	decide(&f);
	fall = te_risk_fallback(s, NULL, &f.i, &f.out, NOON);
	ok(f.out.position_size == 0.03 && fall.position_size == 0.01, "half of 0.03 is rounded down");
	f.a.equity = 200;
	decide(&f);
	fall = te_risk_fallback(s, NULL, &f.i, &f.out, NOON);
	is_exactly(fall.position_size, 0.01, "but not below lot_min");
	te_risk_apply(&f.in, TE_RISK_STATUS_ERROR_FALLBACK, &fall, &f.out, &a);
	ok(f.out.outcome == TE_OUTCOME_SIGNAL && a.status == TE_RISK_STATUS_ERROR_FALLBACK,
	   "so a signal of lot_min survives");

	/* The service said: 0.1 of 0.5 lots, stop at three quarters of the distance. */
	signal_now();
	te_risk_remember(&memory, &f.out, &(TeRiskAdvice){TE_RISK_LEVEL_HIGH, 0.1, 1.0983}, NOON);
	f.p.current_price = 1.2; /* limit 1.1998, stop 1.1978 */
	f.a.equity = 20000;
	decide(&f);
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON + 600 * TE_USEC_PER_SEC);
	is_near(fall.position_size, 0.2, 1e-12, "last known: a fifth of the size is the tighter");
	is_near(fall.stop_loss, 1.1983, 1e-12, "and so is its stop, as a share of the distance");
	te_risk_apply(&f.in, TE_RISK_STATUS_FALLBACK_USED, &fall, &f.out, &a);
	ok(f.out.position_size == 0.2 && f.out.stop_loss == 1.1983 && a.level == TE_RISK_LEVEL_HIGH,
	   "both are applied");
	decide(&f);
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON + 600 * TE_USEC_PER_SEC + 1);
	ok(fall.position_size == 0.5 && isnan(fall.stop_loss), "older than 10 minutes: conservative");

	signal_now();
	te_risk_remember(&memory, &f.out, &(TeRiskAdvice){TE_RISK_LEVEL_LOW, 5, 1.09}, NOON);
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON);
	ok(fall.position_size == 0.25 && isnan(fall.stop_loss),
	   "last known was generous: conservative is the tighter");
	te_risk_remember(&memory, &f.out, &(TeRiskAdvice){TE_RISK_LEVEL_LOW, 0.001, NAN}, NOON);
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON);
	te_risk_apply(&f.in, TE_RISK_STATUS_FALLBACK_USED, &fall, &f.out, &a);
	ok(a.cancelled, "a service that rejected goes on rejecting while it is remembered");
	signal_now();
	te_risk_remember(&memory, &f.out, &(TeRiskAdvice){TE_RISK_LEVEL_EXTREME, NAN, NAN}, NOON);
	fall = te_risk_fallback(s, &memory, &f.i, &f.out, NOON);
	te_risk_apply(&f.in, TE_RISK_STATUS_FALLBACK_USED, &fall, &f.out, &a);
	ok(a.cancelled && a.cancellation == TE_RISK_NOTE_EXTREME_RISK, "and so does EXTREME");
}

static void three_legs(double equity)
{
	fixture(&f);
	f.s.enable_multi_leg_strategies = true;
	f.a.equity = equity;
	decide(&f);
}

static bool leg_sizes(double l0, double l1, double l2)
{
	return f.out.legs[0].position_size == l0 && f.out.legs[1].position_size == l1 &&
	       f.out.legs[2].position_size == l2;
}

static void legs(void)
{
	three_legs(10000); /* 0.18, 0.16, 0.16 at 1.09980, 1.09930, 1.09880 */
	ok(f.out.leg_count == 3 && leg_sizes(0.18, 0.16, 0.16), "three legs");
	apply(advice(0.25, NAN));
	ok(f.out.leg_count == 3 && leg_sizes(0.09, 0.08, 0.08), "shrink in proportion");
	three_legs(10000);
	apply(advice(0.24, NAN));
	ok(leg_sizes(0.09, 0.08, 0.07) && f.out.position_size == 0.24,
	   "8.64, 7.68, 7.68 steps: what is left of rounding goes to the first ones");
	three_legs(600);
	apply(advice(0.02, NAN));
	ok(f.out.leg_count == 2 && f.out.legs[0].position_size == 0.01 &&
	       f.out.legs[1].position_size == 0.01 && f.out.position_size == 0.02,
	   "a leg that would be below lot_min is dropped, the furthest first");
	ok(a.notes[0].kind == TE_RISK_NOTE_LEG_DROPPED && a.notes[0].leg == 2 &&
	       a.notes[0].before == 0.01,
	   "and noted");
	three_legs(600);
	apply(advice(0.01, NAN));
	ok(f.out.leg_count == 0 && f.out.position_size == 0.01 && f.out.take_profit == 1.1038,
	   "what is left of one leg is a single order");

	three_legs(10000);
	apply(advice(NAN, 1.0990)); /* above the entry of leg 2 */
	ok(f.out.leg_count == 2 && f.out.legs[1].stop_loss == 1.099 && f.out.legs[0].stop_loss == 1.099,
	   "a stop beyond a leg's entry drops the leg, the others share the stop");
	is_exactly(f.out.position_size, 0.34, "and the position is smaller by it");
	is_near(f.out.max_loss, 27.2, 1e-9, "loss of 0.34 lots at 8 pips");
	three_legs(10000);
	apply(advice(0.1, 1.0997));
	ok(f.out.leg_count == 0 && f.out.position_size == 0.1 && f.out.stop_loss == 1.0997,
	   "all but the first are dropped: a single order");
}

/* An account in base currency is converted at the stop. */
static void base_currency(void)
{
	fixture(&f);
	f.a.currency = "EUR";
	decide(&f);
	apply(advice(NAN, 1.0988));
	is_near(f.out.max_loss, 100 / 1.0988 * f.out.position_size, 1e-9,
	        "loss at the new stop, in base currency");
	fixture(&f);
	f.a.currency = "JPY";
	f.s.position_sizing = TE_SIZING_FIXED_LOT;
	f.s.fixed_lot = 1;
	decide(&f);
	apply(advice(0.5, 1.0988));
	ok(f.out.position_size == 0.5 && isnan(f.out.max_loss), "without a rate no loss is known");
}

/* Money at risk of all orders, in lots times price distance. */
static double open_risk(const TeDecision *d)
{
	double s = d->signal_type > TE_DIR_HOLD ? 1 : -1, sum = 0;

	if (d->leg_count == 0)
		return d->position_size * s * (d->entry_price - d->stop_loss);
	for (int i = 0; i < d->leg_count; i++)
		sum += d->legs[i].position_size * s * (d->legs[i].entry_price - d->legs[i].stop_loss);
	return sum;
}

static const char *broken_promise(const TeDecision *was, const TeRiskAdvice *what)
{
	const TeDecision *d = &f.out;
	double s = was->signal_type > TE_DIR_HOLD ? 1 : -1, sum = 0;
	double advised = s * (was->entry_price - what->stop_loss);
	bool at_least = false;

	for (int i = 0; i < a.note_count; i++)
		at_least = at_least || a.notes[i].kind == TE_RISK_NOTE_STOP_TOO_CLOSE;
	if (a.cancelled)
		return d->outcome == TE_OUTCOME_RISK_REJECTED && d->signal_type == TE_DIR_HOLD &&
		               isnan(d->position_size)
		           ? NULL
		           : "a cancelled signal is a hold";
	if (what->level == TE_RISK_LEVEL_EXTREME)
		return "EXTREME cancels";
	if (!(d->position_size <= was->position_size && d->position_size >= f.i.lot_min * (1 - 1e-9)))
		return "the size is between lot_min and what it was";
	if (d->position_size > what->position_size * (1 + 1e-9) + 1e-6 * f.i.lot_step)
		return "a recommended smaller size is taken";
	if (advised > 1e-9 && s * (d->entry_price - d->stop_loss) > advised + 1.000001e-5 &&
	    !at_least && advised < s * (was->entry_price - was->stop_loss))
		return "a recommended tighter stop is taken, to a tick";
	if (fabs(d->position_size / f.i.lot_step - round(d->position_size / f.i.lot_step)) > 1e-6)
		return "the size is whole steps";
	if (s * (d->stop_loss - was->stop_loss) < 0 || s * (d->entry_price - d->stop_loss) <= 0)
		return "the stop is between entry and where it was";
	if (te_known(was->max_loss) && !(d->max_loss <= was->max_loss * (1 + 1e-12)))
		return "the loss is no greater";
	if (open_risk(d) > open_risk(was) * (1 + 1e-12) + 1e-15)
		return "all orders together risk no more";
	if (d->entry_price != was->entry_price || d->take_profit != was->take_profit)
		return "entry and take profit stay";
	for (int i = 0; i < d->leg_count; i++) {
		sum += d->legs[i].position_size;
		if (!(d->legs[i].position_size >= f.i.lot_min * (1 - 1e-9)) ||
		    d->legs[i].position_size > was->legs[0].position_size + 1e-12 ||
		    d->legs[i].stop_loss != d->stop_loss ||
		    !(s * (d->legs[i].entry_price - d->stop_loss) > 0) ||
		    !(s * (d->legs[i].take_profit - d->legs[i].entry_price) > 0))
			return "every leg is a sound order";
	}
	if (d->leg_count == 1 || d->leg_count > was->leg_count ||
	    (d->leg_count > 0 && fabs(sum - d->position_size) > 1e-9))
		return "legs are several and sum to the size";
	return NULL;
}

static void random_signal(void)
{
	fixture(&f);
	f.p.direction = below(2) ? TE_DIR_BUY : TE_DIR_SELL;
	f.p.current_price = between(0.5, 2);
	f.a.equity = below(4) ? between(200, 50000) : between(200, 2000);
	f.a.currency = below(3) ? "USD" : "EUR";
	f.i.min_stop_pips = below(2) ? 0 : between(0, 15);
	f.i.lot_min = below(2) ? 0.01 : 0.05;
	f.s.enable_multi_leg_strategies = below(4) > 0;
	f.s.leg_count = 2 + below(4);
	f.s.leg_spacing_pips = between(0, 8);
	f.s.prefer_market_orders = below(2);
	if (below(2)) {
		f.p.bid = f.p.current_price;
		f.p.ask = f.p.bid + between(0, 2.5) * 0.0001;
	}
	decide(&f);
}

static void property(void)
{
	int signals = 0, kept = 0, with_legs = 0, tighter = 0;
	const char *broken = NULL;

	for (int n = 0; n < 300000 && broken == NULL; n++) {
		TeRiskAdvice what = {(TeRiskLevel)(1 + below(50) / 12), NAN, NAN};
		TeRiskAdvice fall;
		TeDecision was;

		random_signal();
		if (f.out.outcome != TE_OUTCOME_SIGNAL)
			continue;
		was = f.out;
		signals++;
		if (below(4))
			what.position_size = was.position_size * between(0, 1.3);
		if (below(4))
			what.stop_loss =
				was.entry_price + (was.stop_loss - was.entry_price) * between(-0.2, 1.2);
		if (below(10) == 0) {
			TeRiskMemory memory;

			te_risk_remember(&memory, &was, &what, NOON);
			fall = te_risk_fallback(&te_risk_settings_default, below(2) ? &memory : NULL, &f.i,
			                        &was, NOON);
			if (fall.position_size > fmax(was.position_size / 2, f.i.lot_min) * (1 + 1e-12))
				broken = "a fallback is conservative";
			if (fall.level != TE_RISK_LEVEL_UNSPECIFIED &&
			    (fall.position_size > what.position_size * (1 + 1e-12) || fall.level != what.level))
				broken = "and no more than what was last known";
			what = fall;
		}
		apply(what);
		kept += !a.cancelled;
		with_legs += f.out.leg_count > 0 && f.out.leg_count < was.leg_count;
		tighter += !a.cancelled && f.out.stop_loss != was.stop_loss;
		if (broken == NULL)
			broken = broken_promise(&was, &what);
		if (broken != NULL)
			printf("# after %d: %s\n", n, broken);
	}
	ok(broken == NULL, "never more risk than before, in 300,000 random assessments");
	ok(signals > 200000 && kept > 100000 && with_legs > 5000 && tighter > 50000,
	   "of which many changed something");
}

int main(void)
{
	sizes();
	stops();
	extreme();
	replies();
	fallbacks();
	legs();
	base_currency();
	property();
	return done_testing();
}
