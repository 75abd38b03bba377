/*
 * decision_json.h - the inputs and the output of a decision as jsonb.
 *
 * Keys are those of doc/decisions.md.  Reading raises 22023 with the key's name
 * for an unknown or missing key and for a value of the wrong type; ranges are
 * the core's business (te_input_check).
 */
#ifndef TE_SQL_DECISION_JSON_H
#define TE_SQL_DECISION_JSON_H

#include "postgres.h"

#include "fmgr.h"

#include "core/decide.h"
#include "sql/jsonb_io.h"

/* Read one input.  Texts and arrays are allocated in the current context. */
extern void te_jsonb_read_prediction(Jsonb *jsonb, TePrediction *out);
extern void te_jsonb_read_market(Jsonb *jsonb, TeMarket *out);
extern void te_jsonb_read_instrument(Jsonb *jsonb, TeInstrument *out);
extern void te_jsonb_read_account(Jsonb *jsonb, TeAccount *out);

/* Read a strategy over the defaults. */
extern void te_jsonb_read_strategy(Jsonb *jsonb, TeStrategy *out);

/*
 * Read what an UPDATE of a strategy's row would set: parameters that are null go to
 * "unset".  Keys are called "argument.key" in errors; ranges are left to te_strategy_check.
 */
extern void te_jsonb_read_changes(const char *argument, Jsonb *jsonb, TeParamSet *set,
                                  uint64 *unset);

/* Write one input as an object; read back it gives the same bits. */
extern void te_jsonb_put_prediction(TeJsonbWriter *w, const TePrediction *p);
extern void te_jsonb_put_market(TeJsonbWriter *w, const TeMarket *m);
extern void te_jsonb_put_market_fields(TeJsonbWriter *w,
                                       const TeMarket *m); /* into an object that is begun */
extern void te_jsonb_put_instrument(TeJsonbWriter *w, const TeInstrument *i);
extern void te_jsonb_put_account(TeJsonbWriter *w, const TeAccount *a);
extern void te_jsonb_put_strategy(TeJsonbWriter *w, const TeStrategy *s);

/* The arguments of trading.decide(), as they were given. */
typedef struct TeDecisionArguments
{
	TePrediction prediction;
	TeStrategy strategy;
	TeMarket market;
	TeInstrument instrument;
	TeAccount account;
	TeDecisionInput in; /* points to the above; the custom rule is compiled */
} TeDecisionArguments;

/* Read and check them: 22023 with the key's name for whatever is wrong. */
extern void te_read_decision_arguments(FunctionCallInfo fcinfo, TeDecisionArguments *out);

/* A key with what a step compared, or neither where that is nothing or infinite. */
extern void te_jsonb_step_value_field(TeJsonbWriter *w, const char *key, const TeStepValue *value);

/* The gates that ran, from the first-th on, as trading.explain_decision() has them, as an array. */
extern void te_jsonb_put_gates(TeJsonbWriter *w, const TeDecision *d, int first);

/* The legs of a signal, as an array. */
extern void te_jsonb_put_legs(TeJsonbWriter *w, const TeDecision *d);

/* The decision as trading.decide() returns it. */
extern Jsonb *te_jsonb_decision(const TeDecisionInput *in, const TeDecision *d);

#endif
