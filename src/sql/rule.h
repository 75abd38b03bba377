/*
 * rule.h - a strategy's custom rule: an SQL/JSON path predicate.
 *
 * A rule sees one object with the keys prediction, market, consensus,
 * favorability and account; doc/decisions.md says what a rule may use.
 */
#ifndef TE_SQL_RULE_H
#define TE_SQL_RULE_H

#include "postgres.h"

#include "core/decide.h"

typedef struct TeRule TeRule;

/*
 * Raise an error with the given code and the name of the key if the text is not
 * a rule: not a predicate, too long, or with a part that would make its cost or
 * its answer unforeseeable.
 */
extern void te_rule_check(const char *text, const char *key, int sqlstate);

/*
 * Compile a rule into a context of its own below "parent"; raises 22023 when it
 * is no rule.  A rule holds no reference to catalogs or to a transaction.
 */
extern TeRule *te_rule_compile(const char *text, MemoryContext parent);
extern void te_rule_free(TeRule *rule);

/*
 * The TeRuleEvaluator: rule_context of the input is the TeRule.  Whatever the
 * rule stumbles over is TE_RULE_ERROR.  Works outside of a transaction and
 * leaves no memory behind.  Only what has nothing to do with the rule (out of
 * memory, cancel) is raised as an error.
 */
extern TeRuleResult te_rule_evaluate(void *rule_context, const TeDecisionInput *in,
                                     double consensus, double favorability);

#endif
