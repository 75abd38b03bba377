/*
 * rule_cost.h - how much the evaluation of a custom rule may take.
 */
#ifndef TE_SQL_RULE_COST_H
#define TE_SQL_RULE_COST_H

#include "postgres.h"

#include "utils/jsonpath.h"

/*
 * Steps that a rule takes at most, for a prediction with as many models and patterns as one
 * may have.  Known from the rule's text alone, so that what is stored can be afforded.
 */
extern double te_rule_cost(JsonPathItem *root);

/* The most that a rule may take: enough to compare every model with every other once. */
#define TE_RULE_MAX_COST 300000

#endif
