/*
 * votes.c - what a stored message says about prices, as rows to be scored.
 *
 * Each sound prediction gives a row for the whole of it, with an empty model_id, and one for
 * every model that was asked.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/decode.h"

PG_FUNCTION_INFO_V1(te_sql_decode_votes);

#define ARENA_BLOCK (64 * 1024)
#define ARENA_LIMIT ((size_t)1024 * 1024 * 1024)

enum {
	COLUMN_PREDICTION_ID,
	COLUMN_SYMBOL,
	COLUMN_GENERATED_AT,
	COLUMN_HORIZON,
	COLUMN_PRICE,
	COLUMN_SPREAD,
	COLUMN_MODEL_ID,
	COLUMN_SIDE,
	COLUMN_CONFIDENCE,
	COLUMN_COUNT
};

static int side_of(TeDirection direction)
{
	return (direction > TE_DIR_HOLD) - (direction < TE_DIR_HOLD);
}

static void put_vote(ReturnSetInfo *result, Datum *values, bool *nulls, const char *model_id,
                     TeDirection direction, double confidence)
{
	values[COLUMN_MODEL_ID] = CStringGetTextDatum(model_id);
	values[COLUMN_SIDE] = Int32GetDatum(side_of(direction));
	values[COLUMN_CONFIDENCE] = Float8GetDatum(confidence);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void put_prediction(ReturnSetInfo *result, const TePrediction *p, TeTime horizon)
{
	bool quoted = te_known(p->bid) && te_known(p->ask);
	Datum values[COLUMN_COUNT] = {
		[COLUMN_PREDICTION_ID] = CStringGetTextDatum(p->prediction_id),
		[COLUMN_SYMBOL] = CStringGetTextDatum(p->symbol),
		[COLUMN_GENERATED_AT] = TimestampTzGetDatum(te_time_to_timestamptz(p->generated_at)),
		[COLUMN_HORIZON] = Int64GetDatum(horizon),
		[COLUMN_PRICE] = Float8GetDatum(quoted ? (p->bid + p->ask) / 2 : p->current_price),
		[COLUMN_SPREAD] = Float8GetDatum(quoted ? p->ask - p->bid : 0),
	};
	bool nulls[COLUMN_COUNT] = {[COLUMN_SPREAD] = !quoted};

	put_vote(result, values, nulls, "", p->direction, p->confidence);
	for (int i = 0; i < p->model_count; i++)
		put_vote(result, values, nulls, p->models[i].model_id, p->models[i].direction,
		         p->models[i].confidence);
}

/* decode_votes(message): a row per prediction and model; see the columns above. */
Datum te_sql_decode_votes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	/* As when it came: how many may come at once was judged then. */
	TeWireLimits limits = {SIZE_MAX, SIZE_MAX, te_wire_limits_default.max_votes};
	TeMessage *message = palloc(sizeof(TeMessage));
	const TePredictionBatch *batch = &message->as.batch;
	TeWireError error = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (!te_wire_decode((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &limits,
	                    te_sql_arena(ARENA_BLOCK, ARENA_LIMIT), message, &error) ||
	    message->kind != TE_MESSAGE_PREDICTIONS) {
		/* The lanes store what they have read; if it is damaged, others are scored all the same. */
		ereport(WARNING,
		        (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a stored message can't be read")));
		return (Datum)0;
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->faults[i].code == TE_WIRE_OK)
			put_prediction(result, &batch->predictions[i], batch->horizon[i]);
	}
	return (Datum)0;
}
