/*
 * submit.c - trading.submit(): predictions by SQL, without a broker.
 *
 * See door.h for what a door is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "ml/ml_predictions.pb-c.h"

#include "engine/guc.h"
#include "sql/door.h"
#include "sql/sql_arena.h"
#include "wire/json.h"

PG_FUNCTION_INFO_V1(te_sql_submit);

typedef TradingEngine__MLPredictionBatch Batch;

#define ARENA_BLOCK (64 * 1024)
/* A batch in memory is some times its size on the wire. */
#define ARENA_FACTOR 16

static const TeDoorWords words = {
	.own_company = "Predictions can only be for your own company.",
	.no_viewer = "A viewer can't submit predictions.",
	.own_user = "Only an admin of the company can predict for other users.",
};

/* The first prediction of a symbol that isn't in trading.instruments is an error. */
static void check_symbols(const TePredictionBatch *batch)
{
	Datum *symbols = palloc(batch->count * sizeof(Datum));
	Oid type = TEXTARRAYOID;
	Datum value;

	for (size_t i = 0; i < batch->count; i++)
		symbols[i] = CStringGetTextDatum(batch->predictions[i].symbol);
	value = PointerGetDatum(
		construct_array(symbols, (int)batch->count, TEXTOID, -1, false, TYPALIGN_INT));
	if (SPI_execute_with_args("SELECT p.n, p.symbol"
	                          "  FROM pg_catalog.unnest($1) WITH ORDINALITY AS p (symbol, n)"
	                          " WHERE NOT EXISTS (SELECT FROM trading.instruments AS i"
	                          "                    WHERE i.symbol OPERATOR(pg_catalog.=) p.symbol)"
	                          " ORDER BY p.n LIMIT 1",
	                          1, &type, &value, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up symbols");
	if (SPI_processed > 0) {
		bool isnull;
		int64 n =
			DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));

		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("invalid batch of predictions: predictions[" INT64_FORMAT
		                "].symbol: unknown symbol \"%s\"",
		                n - 1, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2))));
	}
}

static pg_uuid_t *make_uuid(void)
{
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

	if (!pg_strong_random(uuid->data, UUID_LEN))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not make a random id")));
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40; /* version 4, random */
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80; /* variant of RFC 4122 */
	return uuid;
}

/* What the batch leaves out and the session knows. */
static void fill_in(Batch *batch, const TeIdentity *id, char *correlation_id)
{
	if (batch->company_id[0] == '\0' && id != NULL)
		batch->company_id = pstrdup(id->company);
	if (batch->user_id[0] == '\0' && id != NULL)
		batch->user_id = pstrdup(id->user);
	if (batch->producer_id[0] == '\0')
		batch->producer_id = TE_DOOR_SOURCE;
	if (batch->batch_id[0] == '\0')
		batch->batch_id = correlation_id;
}

/* The envelope as a lane will read it. */
static bytea *make_envelope(const TeDoor *door, const Batch *batch, const char *correlation_id,
                            TeArena *arena)
{
	TeEnvelope envelope;
	TeMessage *message = palloc(sizeof(TeMessage));
	TeWireError err = {0};
	bytea *result;

	te_envelope_init(&envelope, TE_MESSAGE_PREDICTIONS);
	envelope.company_id = batch->company_id;
	envelope.user_id = batch->user_id;
	envelope.correlation_id = correlation_id;
	envelope.producer_id = batch->producer_id;
	if (!te_message_pack(&batch->base, arena, &envelope.payload, &envelope.payload_len, &err))
		te_door_refuse(door, &err);
	result = te_door_pack(door, &envelope, arena, message);
	for (size_t i = 0; i < message->as.batch.count; i++) {
		if (message->as.batch.faults[i].code != TE_WIRE_OK)
			te_door_refuse(door, &message->as.batch.faults[i]);
	}
	check_symbols(&message->as.batch);
	return result;
}

/* submit(batch jsonb): the correlation id of what comes of the batch. */
Datum te_sql_submit(PG_FUNCTION_ARGS)
{
	Jsonb *json = PG_GETARG_JSONB_P(0);
	pg_uuid_t *id = make_uuid();
	TeDoor door;
	TeArena *arena;
	TeWireError err = {0};
	ProtobufCMessage *message;
	Batch *batch;
	Datum company_id, user_id, envelope;
	char *text, *correlation_id;

	te_door_open(&door, "predictions", "batch of predictions");
	arena = te_sql_arena(ARENA_BLOCK, (size_t)te_guc_max_message_bytes * ARENA_FACTOR);
	text = JsonbToCString(NULL, &json->root, VARSIZE(json));
	if (!te_json_to_message(&trading_engine__mlprediction_batch__descriptor, text, strlen(text),
	                        arena, &message, &err))
		te_door_refuse(&door, &err);
	batch = (Batch *)message;
	correlation_id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
	fill_in(batch, door.is_tenant ? &door.identity : NULL, correlation_id);
	te_door_authorise(&door, batch->company_id, batch->user_id, &words);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	envelope = PointerGetDatum(make_envelope(&door, batch, correlation_id, arena));
	te_door_check_addressee(&door, batch->company_id, batch->user_id);
	company_id = CStringGetTextDatum(batch->company_id);
	user_id = CStringGetTextDatum(batch->user_id);
	te_door_insert("predictions", 1, &company_id, &user_id, &envelope);
	SPI_finish();
	PG_RETURN_UUID_P(id);
}
