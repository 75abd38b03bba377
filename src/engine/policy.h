/*
 * policy.h - what a lane's tenants may do: switches, sessions, news, locks and limits.
 */
#ifndef TE_ENGINE_POLICY_H
#define TE_ENGINE_POLICY_H

#include "postgres.h"

#include "engine/candidate.h"
#include "engine/exposure.h"

typedef struct TePolicy TePolicy;

/* With no row at all: everything is let through.  Lives as long as the context. */
extern TePolicy *te_policy_create(MemoryContext context);

/*
 * Hold a signal, which isn't reserved yet, against everything that concerns it: it may become
 * smaller, or RISK_REJECTED, by te_candidate_act.
 */
extern void te_policy_apply(const TePolicy *policy, const TeExposure *exposure,
                            TeCandidate *candidate);

/* The share of a position's value that is bound as margin; 1 where nothing is said. */
extern double te_policy_margin_rate(const TePolicy *policy, const char *symbol);

#endif
