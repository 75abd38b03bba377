/*
 * decision_output.c - a decision as the jsonb that trading.decide() returns.
 *
 * A key that doesn't apply is absent.
 */
#include "sql/decision_json.h"

void te_jsonb_step_value_field(TeJsonbWriter *w, const char *key, const TeStepValue *value)
{
	/* An absurd parameter can lead to an infinite price, which JSON can't say. */
	if (value->kind == TE_STEP_NOTHING ||
	    (value->kind == TE_STEP_NUMBER && !isfinite(value->as.number)))
		return;
	te_jsonb_key(w, key);
	switch (value->kind) {
	case TE_STEP_NOTHING:
		break;
	case TE_STEP_NUMBER:
		te_jsonb_put_number(w, value->as.number);
		break;
	case TE_STEP_TEXT:
		te_jsonb_put_text(w, value->as.text);
		break;
	case TE_STEP_BOOL:
		te_jsonb_put_bool(w, value->as.boolean);
		break;
	case TE_STEP_TIME:
		te_jsonb_put_time(w, value->as.time);
		break;
	case TE_STEP_REGIMES:
		te_jsonb_put_regimes(w, value->as.regimes);
		break;
	}
}

static void put_steps(TeJsonbWriter *w, const TeDecision *d)
{
	te_jsonb_key(w, "steps");
	te_jsonb_begin_array(w);
	for (int i = 0; i < d->step_count; i++) {
		const TeStep *step = &d->steps[i];

		te_jsonb_begin_object(w);
		te_jsonb_text_field(w, "gate", te_outcome_enum.labels[step->gate]);
		te_jsonb_key(w, "passed");
		te_jsonb_put_bool(w, step->passed);
		te_jsonb_text_field(w, "check", step->check);
		te_jsonb_step_value_field(w, "value", &step->value);
		te_jsonb_step_value_field(w, "threshold", &step->threshold);
		te_jsonb_end_object(w);
	}
	te_jsonb_end_array(w);
}

void te_jsonb_put_legs(TeJsonbWriter *w, const TeDecision *d)
{
	te_jsonb_begin_array(w);
	for (int i = 0; i < d->leg_count; i++) {
		const TeLeg *leg = &d->legs[i];

		te_jsonb_begin_object(w);
		te_jsonb_key(w, "leg");
		te_jsonb_put_integer(w, i);
		te_jsonb_text_field(w, "order_type", te_order_type_enum.labels[leg->order_type]);
		te_jsonb_number_field(w, "entry_price", leg->entry_price);
		te_jsonb_number_field(w, "stop_loss", leg->stop_loss);
		te_jsonb_number_field(w, "take_profit", leg->take_profit);
		te_jsonb_number_field(w, "position_size", leg->position_size);
		te_jsonb_end_object(w);
	}
	te_jsonb_end_array(w);
}

/* What only a signal has: how and when it is to be executed. */
static void put_execution(TeJsonbWriter *w, const TeStrategy *s, const TeDecision *d)
{
	te_jsonb_text_field(w, "timing_strategy", te_timing_enum.labels[d->timing]);
	te_jsonb_number_field(w, "trigger_price", d->trigger_price);
	if (d->leg_count > 0) {
		te_jsonb_key(w, "legs");
		te_jsonb_put_legs(w, d);
	}
	te_jsonb_key(w, "execution");
	te_jsonb_begin_object(w);
	te_jsonb_key(w, "auto_execute");
	te_jsonb_put_bool(w, s->auto_execute);
	te_jsonb_number_field(w, "max_slippage_pips", s->max_slippage_pips);
	te_jsonb_text_field(w, "time_in_force", te_time_in_force_enum.labels[d->time_in_force]);
	te_jsonb_text_field(w, "execution_algorithm", te_algorithm_enum.labels[s->execution_algorithm]);
	te_jsonb_end_object(w);
}

Jsonb *te_jsonb_decision(const TeDecisionInput *in, const TeDecision *d)
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	te_jsonb_text_field(&w, "outcome", te_outcome_enum.labels[d->outcome]);
	if (d->hold_reason != TE_HOLD_REASON_NONE)
		te_jsonb_text_field(&w, "hold_reason", te_hold_reason_enum.labels[d->hold_reason]);
	if (d->has_signal_type)
		te_jsonb_text_field(&w, "signal_type", te_direction_enum.labels[d->signal_type]);
	te_jsonb_number_field(&w, "signal_strength", d->signal_strength);
	te_jsonb_number_field(&w, "consensus_score", d->consensus_score);
	te_jsonb_number_field(&w, "market_favorability", d->market_favorability);
	if (d->has_order) {
		te_jsonb_text_field(&w, "order_type", te_order_type_enum.labels[d->order_type]);
		te_jsonb_text_field(&w, "execution_urgency", te_urgency_enum.labels[d->urgency]);
	}
	te_jsonb_number_field(&w, "entry_price", d->entry_price);
	te_jsonb_number_field(&w, "limit_price", d->limit_price);
	te_jsonb_number_field(&w, "stop_loss", d->stop_loss);
	te_jsonb_number_field(&w, "take_profit", d->take_profit);
	te_jsonb_number_field(&w, "reward_risk_ratio", d->reward_risk_ratio);
	te_jsonb_number_field(&w, "position_size", d->position_size);
	te_jsonb_number_field(&w, "max_loss", d->max_loss);
	te_jsonb_time_field(&w, "expires_at", d->expires_at);
	if (d->outcome == TE_OUTCOME_SIGNAL)
		put_execution(&w, in->strategy, d);
	put_steps(&w, d);
	te_jsonb_end_object(&w);
	return JsonbValueToJsonb(w.result);
}
