/*
 * decide.c - trading.decide(): the SQL door to te_decide().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "sql/decision_json.h"
#include "sql/rule.h"
#include "sql/sqltime.h"

PG_FUNCTION_INFO_V1(te_sql_decide);

/* Position of the arguments, and their names in messages. */
enum { ARG_PREDICTION, ARG_STRATEGY, ARG_MARKET, ARG_INSTRUMENT, ARG_ACCOUNT, ARG_AT, ARG_COUNT };

static const char *const arg_names[ARG_COUNT] = {"prediction", "strategy", "market",
                                                 "instrument", "account",  "at"};

static TeTime read_at(TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		te_invalid_value("at", "must be finite");
	return te_time_from_timestamptz(at);
}

void te_read_decision_arguments(FunctionCallInfo fcinfo, TeDecisionArguments *out)
{
	const char *key, *reason;

	for (int i = 0; i < ARG_COUNT; i++) {
		if (PG_ARGISNULL(i))
			te_invalid_value(arg_names[i], "must not be NULL");
	}
	te_jsonb_read_prediction(PG_GETARG_JSONB_P(ARG_PREDICTION), &out->prediction);
	te_jsonb_read_strategy(PG_GETARG_JSONB_P(ARG_STRATEGY), &out->strategy);
	te_jsonb_read_market(PG_GETARG_JSONB_P(ARG_MARKET), &out->market);
	te_jsonb_read_instrument(PG_GETARG_JSONB_P(ARG_INSTRUMENT), &out->instrument);
	te_jsonb_read_account(PG_GETARG_JSONB_P(ARG_ACCOUNT), &out->account);
	out->in = (TeDecisionInput){
		.prediction = &out->prediction,
		.strategy = &out->strategy,
		.market = &out->market,
		.instrument = &out->instrument,
		.account = &out->account,
		.at = read_at(PG_GETARG_TIMESTAMPTZ(ARG_AT)),
		.evaluate_rule = te_rule_evaluate,
	};
	key = te_input_check(&out->in, &reason);
	if (key != NULL)
		te_invalid_value(key, reason);
	if (out->strategy.custom_rule != NULL)
		out->in.rule_context = te_rule_compile(out->strategy.custom_rule, CurrentMemoryContext);
}

Datum te_sql_decide(PG_FUNCTION_ARGS)
{
	TeDecisionArguments arguments;
	TeDecision decision;

	te_read_decision_arguments(fcinfo, &arguments);
	te_decide(&arguments.in, &decision);
	PG_RETURN_JSONB_P(te_jsonb_decision(&arguments.in, &decision));
}
