/*
 * decide.c - the gates, in their order; the first that fails names the outcome.
 */
#include "decide.h"

#include <string.h>

#include "work.h"

bool te_work_step(TeWork *w, TeOutcome gate, bool passed, const char *check, TeStepValue value,
                  TeStepValue threshold)
{
	TeDecision *out = w->out;

	out->steps[out->step_count++] = (TeStep){gate, passed, check, value, threshold};
	if (!passed)
		out->outcome = gate;
	return passed;
}

void te_work_note(const TeWork *w, const TeNote *note)
{
	w->trace->note(w->trace->context, note);
}

/* Legs and steps count for nothing beyond their number: that is most of the struct. */
static void decision_clear(TeDecision *out)
{
	memset(out, 0, offsetof(TeDecision, legs));
	out->step_count = 0;
	out->signal_strength = NAN;
	out->consensus_score = NAN;
	out->market_favorability = NAN;
	out->entry_price = NAN;
	out->limit_price = NAN;
	out->stop_loss = NAN;
	out->take_profit = NAN;
	out->reward_risk_ratio = NAN;
	out->position_size = NAN;
	out->max_loss = NAN;
	out->trigger_price = NAN;
	out->expires_at = TE_NO_TIME;
}

/* Gates 1 and 2: does this strategy take part at all? */
static bool gate_enabled(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	const char *symbol = w->in->instrument->symbol;

	return te_work_step(w, TE_OUTCOME_DISABLED, s->enabled, NULL, te_step_bool(s->enabled),
	                    te_step_bool(true)) &&
	       te_work_step(w, TE_OUTCOME_INSTRUMENT_NOT_ALLOWED,
	                    te_symbols_contain(&s->available_instruments, symbol), NULL,
	                    te_step_text(symbol), te_step_nothing());
}

/* Gate 3: neither expired, nor too old, nor from more than a second ahead. */
static bool gate_fresh(TeWork *w)
{
	const TePrediction *p = w->in->prediction;
	TeTime age = w->in->at - p->generated_at;
	TeStepValue age_ms = te_step_number((double)age / 1000);
	TeTime most_ms = w->in->strategy->max_prediction_age_ms;

	if (p->valid_until != TE_NO_TIME && w->in->at >= p->valid_until)
		return te_work_step(w, TE_OUTCOME_STALE, false, "valid_until", te_step_time(w->in->at),
		                    te_step_time(p->valid_until));
	if (age < -TE_USEC_PER_SEC)
		return te_work_step(w, TE_OUTCOME_STALE, false, "future_ms", age_ms, te_step_number(-1000));
	return te_work_step(w, TE_OUTCOME_STALE, age <= most_ms * 1000, "age_ms", age_ms,
	                    te_step_number((double)most_ms));
}

/* A prediction that itself says HOLD ends here. */
static bool gate_direction(TeWork *w)
{
	TeDirection direction = w->in->prediction->direction;

	if (direction != TE_DIR_HOLD)
		return true;
	w->out->hold_reason = TE_HOLD_REASON_NEUTRAL;
	return te_work_step(w, TE_OUTCOME_HOLD, false, "direction",
	                    te_step_text(te_direction_enum.labels[direction]), te_step_nothing());
}

/* Gates 4 and 5. */
static bool gate_confidence(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	double confidence = w->in->prediction->confidence;
	double consensus;

	if (!te_work_step(w, TE_OUTCOME_LOW_CONFIDENCE,
	                  !te_ratio_below(confidence, s->min_confidence_threshold), NULL,
	                  te_step_number(confidence), te_step_number(s->min_confidence_threshold)))
		return false;

	consensus = w->out->consensus_score = te_consensus(w);
	return te_work_step(w, TE_OUTCOME_LOW_CONSENSUS,
	                    !te_ratio_below(consensus, s->min_consensus_score), NULL,
	                    te_step_number(consensus), te_step_number(s->min_consensus_score));
}

double te_spread_pips(const TeDecisionInput *in)
{
	const TePrediction *p = in->prediction;

	if (te_known(in->market->spread_pips))
		return in->market->spread_pips;
	return te_known(p->bid) ? (p->ask - p->bid) / in->instrument->pip_size : NAN;
}

/* Gate 6. */
static bool gate_market(TeWork *w)
{
	const TeStrategy *s = w->in->strategy;
	const TeMarket *m = w->in->market;
	TeOutcome gate = TE_OUTCOME_UNFAVORABLE_MARKET;
	double favorability;

	favorability = w->out->market_favorability = te_favorability(m, w->prediction_sign);
	te_note_text(w, TE_PART_MARKET, "regime", te_regime_enum.labels[m->regime],
	             TE_OF_STRATEGY(allowed_regimes), NULL);
	te_note(w, TE_PART_MARKET, "spread_pips", w->spread_pips, TE_OF_STRATEGY(max_spread_pips),
	        te_known(w->spread_pips) ? NULL : "not known: any will do");
	te_note(w, TE_PART_MARKET, "favorability", favorability,
	        TE_OF_STRATEGY(min_market_favorability),
	        m->regime == TE_REGIME_UNKNOWN ? "of an unknown regime" : "of trend and volatility");

	if (!(s->allowed_regimes & (1 << m->regime)))
		return te_work_step(w, gate, false, "regime",
		                    te_step_text(te_regime_enum.labels[m->regime]),
		                    (TeStepValue){TE_STEP_REGIMES, {.regimes = s->allowed_regimes}});
	if (te_known(w->spread_pips) && w->spread_pips > s->max_spread_pips + TE_PIP_TOLERANCE)
		return te_work_step(w, gate, false, "spread_pips", te_step_number(w->spread_pips),
		                    te_step_number(s->max_spread_pips));
	return te_work_step(w, gate, !te_ratio_below(favorability, s->min_market_favorability),
	                    "favorability", te_step_number(favorability),
	                    te_step_number(s->min_market_favorability));
}

/* Gate 7.  It runs only where there is a rule. */
static bool gate_rule(TeWork *w)
{
	const TeDecisionInput *in = w->in;
	const char *rule = in->strategy->custom_rule;
	TeRuleResult result = TE_RULE_ERROR;

	if (rule == NULL)
		return true;
	if (in->evaluate_rule != NULL)
		result = in->evaluate_rule(in->rule_context, in, w->out->consensus_score,
		                           w->out->market_favorability);
	w->out->rule_failed = result == TE_RULE_ERROR;
	return te_work_step(w, TE_OUTCOME_CUSTOM_RULE, result == TE_RULE_TRUE,
	                    result == TE_RULE_ERROR ? "error" : NULL,
	                    te_step_bool(result == TE_RULE_TRUE), te_step_text(rule));
}

/* Gate 11. */
static bool gate_positions(TeWork *w)
{
	int64_t open = w->in->account->open_positions;
	int64_t most = w->in->strategy->max_position_count;

	return te_work_step(w, TE_OUTCOME_MAX_POSITIONS, open < most, NULL,
	                    te_step_number((double)open), te_step_number((double)most));
}

static TeTime expiry(const TeDecisionInput *in)
{
	TeTime expires = in->at + in->strategy->signal_ttl_seconds * TE_USEC_PER_SEC;
	TeTime valid_until = in->prediction->valid_until;

	return valid_until != TE_NO_TIME && valid_until < expires ? valid_until : expires;
}

/* An order that waits for its price can't be immediate or cancel. */
static TeTimeInForce order_time_in_force(const TeWork *w)
{
	TeTimeInForce asked = (TeTimeInForce)w->in->strategy->time_in_force;

	if (w->out->timing == TE_TIMING_WAIT_PULLBACK && (asked == TE_TIF_IOC || asked == TE_TIF_FOK))
		return TE_TIF_GTC;
	return asked;
}

void te_decide_traced(const TeDecisionInput *in, TeDecision *out, const TeTrace *trace)
{
	TeWork w = {.in = in, .out = out, .trace = trace};

	decision_clear(out);
	w.prediction_sign = te_direction_sign(in->prediction->direction);
	w.spread_pips = te_spread_pips(in);
	w.tick = te_grid(in->instrument->tick_size);
	w.lot = te_grid(in->instrument->lot_step);

	if (gate_enabled(&w) && gate_fresh(&w) && gate_direction(&w) && gate_confidence(&w) &&
	    gate_market(&w) && gate_rule(&w) && te_find_signal_type(&w) && te_find_prices(&w) &&
	    te_find_size(&w) && gate_positions(&w)) {
		out->outcome = TE_OUTCOME_SIGNAL;
		out->time_in_force = order_time_in_force(&w);
		te_find_legs(&w);
	} else {
		/* Timing found with the entry belongs to an order, and there will be none. */
		out->timing = TE_TIMING_IMMEDIATE;
		out->trigger_price = NAN;
	}

	if (out->outcome == TE_OUTCOME_SIGNAL || out->outcome == TE_OUTCOME_HOLD)
		out->expires_at = expiry(in);
}

void te_decide(const TeDecisionInput *in, TeDecision *out)
{
	te_decide_traced(in, out, NULL);
}
