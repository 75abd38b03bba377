/*
 * inputs.c - a stored signal made again: trading.decision_inputs() shows what it was decided from,
 * trading.assessed_decision() decides and does to it what was done then.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/decision_json.h"
#include "sql/rule.h"
#include "sql/sql_arena.h"
#include "wire/assessment.h"
#include "wire/inputs.h"

PG_FUNCTION_INFO_V1(te_sql_decision_inputs);
PG_FUNCTION_INFO_V1(te_sql_assessed_decision);

/* Inputs are a few kilobytes; what needs more than this is nothing that we packed. */
#define ARENA_BLOCK 8192
#define ARENA_LIMIT ((size_t)64 * 1024 * 1024)

/* The arguments of trading.decide(), by name. */
static Jsonb *inputs_object(const TeDecisionInput *in)
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	te_jsonb_key(&w, "prediction");
	te_jsonb_put_prediction(&w, in->prediction);
	te_jsonb_key(&w, "strategy");
	te_jsonb_put_strategy(&w, in->strategy);
	te_jsonb_key(&w, "market");
	te_jsonb_put_market(&w, in->market);
	te_jsonb_key(&w, "instrument");
	te_jsonb_put_instrument(&w, in->instrument);
	te_jsonb_key(&w, "account");
	te_jsonb_put_account(&w, in->account);
	te_jsonb_time_field(&w, "at", in->at);
	te_jsonb_end_object(&w);
	return JsonbValueToJsonb(w.result);
}

static void unpack(bytea *packed, TeDecisionInput *in)
{
	TeWireError error;

	if (!te_inputs_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
	                      te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), in, &error))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no inputs of a decision: %s%s%s", error.field,
		                       error.field[0] != '\0' ? ": " : "", error.detail)));
	/* Message DecisionInputs has no presence for it, and nothing was decided at the epoch. */
	if (in->at == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no inputs of a decision: at: is missing")));
}

/* decision_inputs(inputs bytea) */
Datum te_sql_decision_inputs(PG_FUNCTION_ARGS)
{
	TeDecisionInput in;

	unpack(PG_GETARG_BYTEA_PP(0), &in);
	PG_RETURN_JSONB_P(inputs_object(&in));
}

/*----------------------------------------------------------------------
 * With what was done to it
 *----------------------------------------------------------------------*/

static void unpack_actions(bytea *packed, TeRiskActions *actions)
{
	TeWireError error;

	if (!te_assessment_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
	                          te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), actions, &error))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no assessment of a signal: %s%s%s", error.field,
		                       error.field[0] != '\0' ? ": " : "", error.detail)));
}

static void put_notes(TeJsonbWriter *w, const TeRiskAssessment *a)
{
	te_jsonb_key(w, "notes");
	te_jsonb_begin_array(w);
	for (int i = 0; i < a->note_count; i++) {
		const TeRiskNote *note = &a->notes[i];

		te_jsonb_begin_object(w);
		te_jsonb_text_field(w, "note", te_risk_note_enum.labels[note->kind]);
		te_jsonb_text_field(w, "text", te_risk_note_texts[note->kind]);
		te_jsonb_number_field(w, "before", note->before);
		te_jsonb_number_field(w, "advised", note->advised);
		te_jsonb_number_field(w, "after", note->after);
		if (note->kind == TE_RISK_NOTE_LEG_DROPPED) {
			te_jsonb_key(w, "leg");
			te_jsonb_put_integer(w, note->leg);
		}
		te_jsonb_end_object(w);
	}
	te_jsonb_end_array(w);
}

static void put_assessment(TeJsonbWriter *w, const TeRiskAssessment *a)
{
	te_jsonb_begin_object(w);
	te_jsonb_text_field(w, "risk_status", te_risk_status_enum.labels[a->status]);
	if (a->level != TE_RISK_LEVEL_UNSPECIFIED)
		te_jsonb_text_field(w, "risk_level", te_risk_level_enum.labels[a->level]);
	if (a->cancelled)
		te_jsonb_text_field(w, "cancellation_reason", te_risk_note_texts[a->cancellation]);
	te_jsonb_number_field(w, "original_position_size", a->original_position_size);
	te_jsonb_number_field(w, "original_stop_loss", a->original_stop_loss);
	te_jsonb_number_field(w, "original_max_loss", a->original_max_loss);
	put_notes(w, a);
	te_jsonb_end_object(w);
}

/* assessed_decision(inputs bytea, assessment bytea): the decision, the assessment, its gates */
Datum te_sql_assessed_decision(PG_FUNCTION_ARGS)
{
	TeJsonbWriter w = {0};
	TeRiskAssessment assessment = {0};
	TeRiskActions actions = {0};
	TeDecisionInput in;
	TeDecision decision;
	int gates;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	unpack(PG_GETARG_BYTEA_PP(0), &in);
	in.evaluate_rule = te_rule_evaluate;
	if (in.strategy->custom_rule != NULL)
		in.rule_context = te_rule_compile(in.strategy->custom_rule, CurrentMemoryContext);
	te_decide(&in, &decision);
	gates = decision.step_count;
	if (!PG_ARGISNULL(1)) {
		unpack_actions(PG_GETARG_BYTEA_PP(1), &actions);
		te_actions_apply(&in, &actions, &decision, &assessment);
	}
	te_jsonb_begin_object(&w);
	te_jsonb_key(&w, "decision");
	te_jsonb_put_jsonb(&w, te_jsonb_decision(&in, &decision));
	if (assessment.status != TE_RISK_STATUS_UNSPECIFIED) {
		te_jsonb_key(&w, "assessment");
		put_assessment(&w, &assessment);
		te_jsonb_key(&w, "gates");
		te_jsonb_put_gates(&w, &decision, gates);
	}
	te_jsonb_end_object(&w);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(w.result));
}
