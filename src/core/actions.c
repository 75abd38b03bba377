/*
 * actions.c - see actions.h.
 */
#include "actions.h"

TeRiskAction te_action_advice(TeRiskStatus status, const TeRiskAdvice *advice)
{
	return (TeRiskAction){.kind = TE_RISK_ACTION_ADVICE,
	                      .status = status,
	                      .advice = *advice,
	                      .lots = NAN,
	                      .value = NAN,
	                      .threshold = NAN};
}

TeRiskAction te_action_limit(const TeLimitFinding *finding)
{
	return (TeRiskAction){.kind = TE_RISK_ACTION_LIMIT,
	                      .status = TE_RISK_STATUS_ASSESSED,
	                      .advice = {TE_RISK_LEVEL_UNSPECIFIED, NAN, NAN},
	                      .lots = finding->lots,
	                      .reason = finding->why,
	                      .value = finding->value,
	                      .threshold = finding->allowed};
}

TeRiskAction te_action_cancel(TeRiskNoteKind reason, double value, double threshold)
{
	return (TeRiskAction){.kind = TE_RISK_ACTION_CANCEL,
	                      .status = TE_RISK_STATUS_ASSESSED,
	                      .advice = {TE_RISK_LEVEL_UNSPECIFIED, NAN, NAN},
	                      .lots = NAN,
	                      .reason = reason,
	                      .value = value,
	                      .threshold = threshold};
}

static void act(const TeDecisionInput *in, const TeRiskAction *a, TeDecision *d,
                TeRiskAssessment *out)
{
	TeLimitFinding finding = {
		.lots = a->lots, .why = a->reason, .value = a->value, .allowed = a->threshold};

	switch (a->kind) {
	case TE_RISK_ACTION_LIMIT:
		te_limits_take(in, &finding, d, out);
		return;
	case TE_RISK_ACTION_CANCEL:
		te_risk_begin(d, a->status, TE_RISK_LEVEL_UNSPECIFIED, out);
		te_risk_cancel(d, out, a->reason, a->value, a->threshold);
		return;
	default:
		te_risk_apply(in, a->status, &a->advice, d, out);
	}
}

void te_action_apply(const TeDecisionInput *in, const TeRiskAction *action, TeDecision *d,
                     TeRiskAssessment *out)
{
	TeRiskAssessment one;

	if (out->status == TE_RISK_STATUS_UNSPECIFIED) {
		act(in, action, d, out);
		return;
	}
	act(in, action, d, &one);
	if (one.status > out->status)
		out->status = one.status;
	if (one.level > out->level)
		out->level = one.level;
	if (one.cancelled) {
		out->cancelled = true;
		out->cancellation = one.cancellation;
	}
	for (int i = 0; i < one.note_count && out->note_count < TE_RISK_MOST_NOTES; i++)
		out->notes[out->note_count++] = one.notes[i];
}

void te_actions_apply(const TeDecisionInput *in, const TeRiskActions *actions, TeDecision *d,
                      TeRiskAssessment *out)
{
	for (int i = 0; i < actions->count && d->outcome == TE_OUTCOME_SIGNAL; i++)
		te_action_apply(in, &actions->actions[i], d, out);
}
