/*
 * policy.h - what a lane's tenants may do: switches, sessions, locks, news and limits.
 */
#ifndef TE_ENGINE_POLICY_H
#define TE_ENGINE_POLICY_H

#include "postgres.h"

#include "engine/candidate.h"
#include "engine/exposure.h"
#include "engine/policy_rows.h"

/*
 * Hold a signal, which isn't reserved yet, against everything that concerns it: it may become
 * smaller, or RISK_REJECTED, by te_candidate_act.
 */
extern void te_policy_apply(TePolicyRows *rows, const TeExposure *exposure, TeCandidate *candidate);

#endif
