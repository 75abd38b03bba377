/*
 * explain_message.c - what a stored message of predictions holds, as rows.
 *
 * trading.decode_predictions() reads the message as the lanes do, and
 * trading.decode_markets() what each of its predictions was decided on.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/decision_json.h"
#include "sql/sql_arena.h"
#include "wire/decode.h"
#include "wire/state.h"

PG_FUNCTION_INFO_V1(te_sql_decode_predictions);
PG_FUNCTION_INFO_V1(te_sql_decode_markets);

#define ARENA_BLOCK (64 * 1024)
/* A message in memory is some times its size on the wire; one that needs more is hostile. */
#define ARENA_LIMIT ((size_t)1024 * 1024 * 1024)

static void __attribute__((noreturn)) refuse(const char *what, const TeWireError *error)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
	                errmsg("%s: %s%s%s", what, error->field, error->field[0] != '\0' ? ": " : "",
	                       error->detail)));
}

static Datum prediction_datum(const TePrediction *prediction)
{
	TeJsonbWriter w = {0};

	te_jsonb_put_prediction(&w, prediction);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

static Datum fault_datum(const TeWireError *fault)
{
	return CStringGetTextDatum(psprintf("%s: %s%s%s", te_wire_code_label(fault->code), fault->field,
	                                    fault->field[0] != '\0' ? ": " : "", fault->detail));
}

/* decode_predictions(message bytea): index, prediction_id, prediction (NULL when it is unsound),
 * fault */
Datum te_sql_decode_predictions(PG_FUNCTION_ARGS)
{
	enum { COLUMN_INDEX, COLUMN_ID, COLUMN_PREDICTION, COLUMN_FAULT, COLUMN_COUNT };
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	/* How many may come at once was judged when they came; votes make a prediction unsound. */
	TeWireLimits limits = {SIZE_MAX, SIZE_MAX, te_wire_limits_default.max_votes};
	TeMessage *message = palloc(sizeof(TeMessage));
	const TePredictionBatch *batch = &message->as.batch;
	TeWireError error = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (!te_wire_decode((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &limits,
	                    te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), message, &error))
		refuse("no message of predictions", &error);
	if (message->kind != TE_MESSAGE_PREDICTIONS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		                errmsg("no message of predictions: it is of another type")));

	for (size_t i = 0; i < batch->count; i++) {
		bool sound = batch->faults[i].code == TE_WIRE_OK;
		Datum values[COLUMN_COUNT] = {Int32GetDatum((int32)i)};
		const char *id = batch->predictions[i].prediction_id;
		bool nulls[COLUMN_COUNT] = {false, id == NULL || id[0] == '\0', !sound, sound};

		if (!nulls[COLUMN_ID])
			values[COLUMN_ID] = CStringGetTextDatum(id);
		if (sound)
			values[COLUMN_PREDICTION] = prediction_datum(&batch->predictions[i]);
		else
			values[COLUMN_FAULT] = fault_datum(&batch->faults[i]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum)0;
}

static Datum market_datum(const TeMarket *market)
{
	TeJsonbWriter w = {0};

	te_jsonb_put_market(&w, market);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

static Datum rates_datum(const TeAccountRates *rates)
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	for (size_t i = 0; rates != NULL && i < rates->count; i++)
		te_jsonb_number_field(&w, rates->rates[i].currency, rates->rates[i].rate);
	te_jsonb_end_object(&w);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

/* decode_markets(market bytea): index, market (NULL: not decided), rates by account currency */
Datum te_sql_decode_markets(PG_FUNCTION_ARGS)
{
	enum { COLUMN_INDEX, COLUMN_MARKET, COLUMN_RATES, COLUMN_COUNT };
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	TeDecidedOn *decided_on;
	TeWireError error = {0};
	size_t count;

	InitMaterializedSRF(fcinfo, 0);
	if (!te_markets_unpack((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
	                       te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), &decided_on, &count, &error))
		refuse("no market states", &error);
	for (size_t i = 0; i < count; i++) {
		bool decided = decided_on[i].market != NULL;
		Datum values[COLUMN_COUNT] = {Int32GetDatum((int32)i)};
		bool nulls[COLUMN_COUNT] = {false, !decided, false};

		if (decided)
			values[COLUMN_MARKET] = market_datum(decided_on[i].market);
		values[COLUMN_RATES] = rates_datum(decided_on[i].rates);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum)0;
}
