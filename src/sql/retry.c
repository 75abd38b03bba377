/*
 * retry.c - trading.one_prediction(): the part of a message that is tried again.
 *
 * Where one prediction of a message was refused, its neighbours have taken effect: only that
 * one may come again.  It gets a batch id of its own, so that it is told apart from the
 * message, and from itself.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "ml/ml_predictions.pb-c.h"

#include "sql/sql_arena.h"
#include "wire/decode.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/scan.h"

PG_FUNCTION_INFO_V1(te_sql_one_prediction);

#define ARENA_BLOCK (64 * 1024)
#define ARENA_LIMIT ((size_t)1024 * 1024 * 1024)

static void __attribute__((noreturn)) refuse(const TeWireError *error)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
	                errmsg("no message of predictions: %s%s%s", error->field,
	                       error->field[0] != '\0' ? ": " : "", error->detail)));
}

/* The id is cut where it would be too long. */
static char *name_part(const char *batch_id, int32 index)
{
	char *suffix = psprintf("#%d", index);

	return psprintf("%.*s%s", (int)(TE_NAME_MAX - strlen(suffix)), batch_id, suffix);
}

/* one_prediction(message bytea, index integer) */
Datum te_sql_one_prediction(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	int32 index = PG_GETARG_INT32(1);
	TeArena *arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	TradingEngine__MLPredictionBatch *batch;
	TeEnvelope envelope;
	TeWireError error = {0};
	const uint8_t *data;
	size_t len;
	bytea *result;

	if (!te_envelope_decode((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), arena,
	                        &envelope, &error))
		refuse(&error);
	batch = (TradingEngine__MLPredictionBatch *)te_scan_unpack(
		&trading_engine__mlprediction_batch__descriptor, envelope.payload, envelope.payload_len,
		SIZE_MAX, arena, &error);
	if (batch == NULL)
		refuse(&error);
	if (index < 0 || (size_t)index >= batch->n_predictions)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("index %d is not within the %zu predictions", index,
		                       batch->n_predictions)));
	batch->predictions += index;
	batch->n_predictions = 1;
	batch->batch_id = name_part(batch->batch_id, index);
	if (!te_message_pack(&batch->base, arena, &data, &len, &error))
		refuse(&error);
	if (!envelope.bare) {
		envelope.payload = data;
		envelope.payload_len = len;
		envelope.seq = envelope.producer_epoch = 0;
		if (!te_envelope_encode(&envelope, arena, &data, &len, &error))
			refuse(&error);
	}
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	PG_RETURN_BYTEA_P(result);
}
