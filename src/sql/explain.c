/*
 * explain.c - trading.explain_decision(): a decision, and how it came about.
 *
 * The same core decides, with a trace: what comes out beside the decision is every
 * gate with the input that set its threshold, and every number on the way to
 * strength, prices and size.
 */
#include "postgres.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/trace.h"
#include "sql/decision_json.h"

PG_FUNCTION_INFO_V1(te_sql_explain_decision);

/* What a gate looks at, and the key of the input that sets its threshold. */
typedef struct GateCheck
{
	TeOutcome gate;
	const char *check; /* of the core's step; NULL: the gate has only this one */
	const char *quantity;
	const char *source; /* NULL: the rules themselves */
} GateCheck;

static const GateCheck gate_checks[] = {
	{TE_OUTCOME_DISABLED, NULL, "enabled", "strategy.enabled"},
	{TE_OUTCOME_INSTRUMENT_NOT_ALLOWED, NULL, "symbol", "strategy.available_instruments"},
	{TE_OUTCOME_STALE, "valid_until", "at", "prediction.valid_until"},
	{TE_OUTCOME_STALE, "age_ms", "age_ms", "strategy.max_prediction_age_ms"},
	{TE_OUTCOME_HOLD, "direction", "direction", "prediction.direction"},
	{TE_OUTCOME_LOW_CONFIDENCE, NULL, "confidence", "strategy.min_confidence_threshold"},
	{TE_OUTCOME_LOW_CONSENSUS, NULL, "consensus", "strategy.min_consensus_score"},
	{TE_OUTCOME_UNFAVORABLE_MARKET, "regime", "regime", "strategy.allowed_regimes"},
	{TE_OUTCOME_UNFAVORABLE_MARKET, "spread_pips", "spread_pips", "strategy.max_spread_pips"},
	{TE_OUTCOME_UNFAVORABLE_MARKET, "favorability", "favorability",
     "strategy.min_market_favorability"},
	{TE_OUTCOME_CUSTOM_RULE, NULL, "custom_rule", "strategy.custom_rule"},
	{TE_OUTCOME_CUSTOM_RULE, "error", "error in custom_rule", "strategy.custom_rule"},
	{TE_OUTCOME_HOLD, "counter_trend", "confidence against the trend",
     "strategy.counter_trend_confidence_threshold"},
	{TE_OUTCOME_POOR_REWARD_RISK, "reward_pips", "reward_pips", "instrument.min_stop_pips"},
	{TE_OUTCOME_POOR_REWARD_RISK, "reward_risk_ratio", "reward_risk_ratio",
     "strategy.min_reward_risk_ratio"},
	{TE_OUTCOME_NO_CONVERSION_RATE, "conversion_rate", "account currency",
     "instrument.quote_currency"},
	{TE_OUTCOME_POSITION_TOO_SMALL, "position_size", "position_size", "instrument.lot_min"},
	{TE_OUTCOME_MAX_POSITIONS, NULL, "open_positions", "strategy.max_position_count"},
	{TE_OUTCOME_RISK_REJECTED, "position_size", "position_size", "instrument.lot_min"},
};

/* What the core calls it does for the others. */
static GateCheck find_gate_check(const TeStep *step)
{
	for (int i = 0; i < (int)lengthof(gate_checks); i++) {
		const GateCheck *g = &gate_checks[i];

		if (g->gate == step->gate && (g->check == NULL) == (step->check == NULL) &&
		    (g->check == NULL || strcmp(g->check, step->check) == 0))
			return *g;
	}
	return (GateCheck){step->gate, step->check, step->check, NULL};
}

void te_jsonb_put_gates(TeJsonbWriter *w, const TeDecision *d, int first)
{
	te_jsonb_begin_array(w);
	for (int i = first; i < d->step_count; i++) {
		const TeStep *step = &d->steps[i];
		GateCheck check = find_gate_check(step);

		te_jsonb_begin_object(w);
		te_jsonb_text_field(w, "gate", te_outcome_enum.labels[step->gate]);
		te_jsonb_text_field(w, "quantity", check.quantity);
		te_jsonb_key(w, "passed");
		te_jsonb_put_bool(w, step->passed);
		te_jsonb_step_value_field(w, "value", &step->value);
		te_jsonb_step_value_field(w, "threshold", &step->threshold);
		te_jsonb_text_field(w, "source", check.source);
		te_jsonb_end_object(w);
	}
	te_jsonb_end_array(w);
}

/* The trace's sink: the note as an element of the array "derivation". */
static void put_note(void *context, const TeNote *note)
{
	TeJsonbWriter *w = context;

	te_jsonb_begin_object(w);
	te_jsonb_text_field(w, "part", te_part_enum.labels[note->part]);
	te_jsonb_text_field(w, "item", note->item);
	te_jsonb_step_value_field(w, "value", &note->value);
	te_jsonb_number_field(w, "weight", note->weight);
	te_jsonb_text_field(w, "source", note->source);
	te_jsonb_text_field(w, "remark", note->remark);
	te_jsonb_end_object(w);
}

/* explain_decision(prediction, strategy, market, instrument, account, at) */
Datum te_sql_explain_decision(PG_FUNCTION_ARGS)
{
	TeDecisionArguments arguments;
	TeDecision decision;
	TeJsonbWriter w = {0};
	TeTrace trace = {put_note, &w};

	te_read_decision_arguments(fcinfo, &arguments);
	te_jsonb_begin_object(&w);
	te_jsonb_key(&w, "derivation");
	te_jsonb_begin_array(&w);
	te_decide_traced(&arguments.in, &decision, &trace);
	te_jsonb_end_array(&w);
	te_jsonb_key(&w, "gates");
	te_jsonb_put_gates(&w, &decision, 0);
	te_jsonb_key(&w, "core_version");
	te_jsonb_put_integer(&w, TE_CORE_VERSION);
	te_jsonb_key(&w, "decision");
	te_jsonb_put_jsonb(&w, te_jsonb_decision(&arguments.in, &decision));
	te_jsonb_end_object(&w);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(w.result));
}
