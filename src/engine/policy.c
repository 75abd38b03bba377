/*
 * policy.c - a lane without rows of policy: nothing applies.
 */
#include "postgres.h"

#include "engine/policy.h"

struct TePolicy
{
	MemoryContext context;
};

TePolicy *te_policy_create(MemoryContext context)
{
	TePolicy *policy = MemoryContextAllocZero(context, sizeof(TePolicy));

	policy->context = context;
	return policy;
}

void te_policy_apply(const TePolicy *policy pg_attribute_unused(),
                     const TeExposure *exposure pg_attribute_unused(),
                     TeCandidate *candidate pg_attribute_unused())
{
}

double te_policy_margin_rate(const TePolicy *policy pg_attribute_unused(),
                             const char *symbol pg_attribute_unused())
{
	return 1;
}
