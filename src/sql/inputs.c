/*
 * inputs.c - trading.decision_inputs(): what a stored signal was decided from.
 */
#include "postgres.h"

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/decision_json.h"
#include "sql/sql_arena.h"
#include "wire/inputs.h"

PG_FUNCTION_INFO_V1(te_sql_decision_inputs);

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

/* decision_inputs(inputs bytea) */
Datum te_sql_decision_inputs(PG_FUNCTION_ARGS)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	TeDecisionInput in;
	TeWireError error;

	if (!te_inputs_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
	                      te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), &in, &error))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no inputs of a decision: %s%s%s", error.field,
		                       error.field[0] != '\0' ? ": " : "", error.detail)));
	/* Message DecisionInputs has no presence for it, and nothing was decided at the epoch. */
	if (in.at == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no inputs of a decision: at: is missing")));
	PG_RETURN_JSONB_P(inputs_object(&in));
}
