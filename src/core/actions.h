/*
 * actions.h - what is done to a signal after its gates, as something that can be kept and done
 * again.
 *
 * Limits, switches and risk services change a signal by actions alone, one after the
 * other.  An action holds all that it depends on beside the decision and its input, so the
 * same actions on the same decision give the same signal, to the bit: that is how a
 * replay shows what was sent without asking anybody.
 */
#ifndef TE_CORE_ACTIONS_H
#define TE_CORE_ACTIONS_H

#include "limits.h"

/* ADVICE: te_risk_apply.  LIMIT: te_limits_take.  CANCEL: te_risk_cancel. */
#define TE_RISK_ACTIONS(X) X(ADVICE) X(LIMIT) X(CANCEL)
#define TE_RISK_ACTION_MEMBER(label) TE_ENUM_MEMBER_(TE_RISK_ACTION_, label)
typedef enum { TE_RISK_ACTIONS(TE_RISK_ACTION_MEMBER) TE_RISK_ACTION_COUNT } TeRiskActionKind;

/* What a kind doesn't have is NAN, UNSPECIFIED or 0. */
typedef struct TeRiskAction
{
	TeRiskActionKind kind;
	TeRiskStatus status;
	TeRiskAdvice advice;     /* of ADVICE */
	double lots;             /* of LIMIT: that fit; INFINITY: all */
	TeRiskNoteKind reason;   /* of LIMIT and CANCEL */
	double value, threshold; /* of LIMIT and CANCEL; NAN where there is none */
} TeRiskAction;

/* The built-in limits and a risk service, each once, and room for one more. */
#define TE_RISK_MOST_ACTIONS 3

typedef struct TeRiskActions
{
	int count;
	TeRiskAction actions[TE_RISK_MOST_ACTIONS];
} TeRiskActions;

extern TeRiskAction te_action_advice(TeRiskStatus status, const TeRiskAdvice *advice);
extern TeRiskAction te_action_limit(const TeLimitFinding *finding);
extern TeRiskAction te_action_cancel(TeRiskNoteKind reason, double value, double threshold);

/*
 * Do it to a decision whose outcome is SIGNAL.  "out" tells about all actions together: what
 * the signal was before the first one, every note, the gravest status and level.  Before the
 * first action it is all zeros.
 */
extern void te_action_apply(const TeDecisionInput *in, const TeRiskAction *action, TeDecision *d,
                            TeRiskAssessment *out);

/* Do all of them, up to the one that cancels. */
extern void te_actions_apply(const TeDecisionInput *in, const TeRiskActions *actions, TeDecision *d,
                             TeRiskAssessment *out);

#endif
