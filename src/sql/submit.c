/*
 * submit.c - trading.submit(): predictions by SQL, without a broker.
 *
 * What comes in is turned into the very bytes that a broker would have brought, an
 * envelope with an MLPredictionBatch, and read back by the lanes' own decoder, so
 * that whatever a lane would make a dead letter of is an error here and now.  The
 * row in trading.inbox belongs to the caller's transaction.
 *
 * Runs as the owner of the extension: it may write to the inbox, tenants may not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "ml/ml_predictions.pb-c.h"

#include "engine/guc.h"
#include "engine/shmem.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "sql/tenant.h"
#include "wire/decode.h"
#include "wire/json.h"

PG_FUNCTION_INFO_V1(te_sql_submit);

typedef TradingEngine__MLPredictionBatch Batch;

/* Says where a batch came from, and who made it where it doesn't say. */
#define SQL_SOURCE "sql"

/* How the decoder names a field of the batch within its envelope. */
#define ENVELOPE_PREFIX "payload."

#define ARENA_BLOCK (64 * 1024)
/* A batch in memory is some times its size on the wire. */
#define ARENA_FACTOR 16

static void __attribute__((noreturn)) report(const TeWireError *err)
{
	int code = err->code == TE_WIRE_NO_MEMORY || err->code == TE_WIRE_TOO_LARGE ||
	                   err->code == TE_WIRE_TOO_MANY
	               ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
	               : ERRCODE_INVALID_PARAMETER_VALUE;

	const char *field = err->field;

	/* The envelope around the batch is ours: who submits knows nothing of it. */
	if (strncmp(field, ENVELOPE_PREFIX, strlen(ENVELOPE_PREFIX)) == 0)
		field += strlen(ENVELOPE_PREFIX);
	if (field[0] == '\0')
		ereport(ERROR, (errcode(code), errmsg("invalid batch of predictions: %s", err->detail)));
	ereport(ERROR,
	        (errcode(code), errmsg("invalid batch of predictions: %s: %s", field, err->detail)));
}

static void __attribute__((noreturn)) forbid(const char *field, const char *value, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	                errmsg("permission denied for predictions with %s \"%s\"", field, value),
	                errdetail("%s", why)));
}

/* A tenant speaks for its own company, and for itself unless it is the company's admin. */
static void authorise_tenant(const Batch *batch, const TeIdentity *id)
{
	if (strcmp(batch->company_id, id->company) != 0)
		forbid("company_id", batch->company_id, "Predictions can only be for your own company.");
	if (strcmp(id->role, "viewer") == 0)
		forbid("company_id", batch->company_id, "A viewer can't submit predictions.");
	if (strcmp(batch->user_id, id->user) != 0 && strcmp(id->role, "admin") != 0)
		forbid("user_id", batch->user_id,
		       "Only an admin of the company can predict for other users.");
}

/* True when "query" over two texts has a row; SPI is connected. */
static bool has_row(const char *query, const char *a, const char *b)
{
	Oid types[] = {TEXTOID, TEXTOID};
	Datum values[] = {CStringGetTextDatum(a), CStringGetTextDatum(b)};

	if (SPI_execute_with_args(query, 2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for \"%s\"", a);
	return SPI_processed > 0;
}

/* A batch for nobody would only become a dead letter. */
static void check_addressee(const Batch *batch)
{
	if (strcmp(batch->company_id, TE_ALL) != 0 &&
	    !has_row("SELECT FROM trading.companies AS c"
	             " WHERE c.company_id OPERATOR(pg_catalog.=) $1 AND $2 IS NOT NULL",
	             batch->company_id, batch->user_id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("invalid batch of predictions: company_id: unknown company \"%s\"",
		                       batch->company_id)));
	if (strcmp(batch->user_id, TE_ALL) != 0 &&
	    !has_row("SELECT FROM trading.users AS u"
	             " WHERE u.company_id OPERATOR(pg_catalog.=) $1"
	             "   AND u.user_id OPERATOR(pg_catalog.=) $2",
	             batch->company_id, batch->user_id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("invalid batch of predictions: user_id: unknown user \"%s\"",
		                       batch->user_id)));
}

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
		batch->producer_id = SQL_SOURCE;
	if (batch->batch_id[0] == '\0')
		batch->batch_id = correlation_id;
}

/* The envelope as a lane will read it; it is read back here, so that its faults are errors now. */
static bytea *make_envelope(const Batch *batch, const char *correlation_id, TeArena *arena)
{
	TeWireLimits limits = te_wire_limits_default;
	TeEnvelope envelope;
	TeMessage *message = palloc(sizeof(TeMessage));
	TeWireError err = {0};
	const uint8_t *data;
	size_t len;
	bytea *result;

	te_envelope_init(&envelope, TE_MESSAGE_PREDICTIONS);
	envelope.company_id = batch->company_id;
	envelope.user_id = batch->user_id;
	envelope.service_source = SQL_SOURCE;
	envelope.correlation_id = correlation_id;
	envelope.producer_id = batch->producer_id;
	envelope.timestamp = te_time_from_timestamptz(GetCurrentTimestamp());
	if (!te_message_pack(&batch->base, arena, &envelope.payload, &envelope.payload_len, &err) ||
	    !te_envelope_encode(&envelope, arena, &data, &len, &err))
		report(&err);

	limits.max_message = te_guc_max_message_bytes;
	limits.max_predictions = te_guc_max_predictions_per_batch;
	if (!te_wire_decode(data, len, &limits, arena, message, &err))
		report(&err);
	for (size_t i = 0; i < message->as.batch.count; i++) {
		if (message->as.batch.faults[i].code != TE_WIRE_OK)
			report(&message->as.batch.faults[i]);
	}
	check_symbols(&message->as.batch);

	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

static void insert_into_inbox(const Batch *batch, bytea *envelope)
{
	Oid types[] = {TEXTOID, TEXTOID, BYTEAOID, NAMEOID};
	NameData submitter;
	Datum values[4];

	namestrcpy(&submitter, GetUserNameFromId(GetSessionUserId(), false));
	values[0] = CStringGetTextDatum(batch->company_id);
	values[1] = CStringGetTextDatum(batch->user_id);
	values[2] = PointerGetDatum(envelope);
	values[3] = NameGetDatum(&submitter);
	if (SPI_execute_with_args("INSERT INTO trading.inbox"
	                          " (kind, company_id, user_id, payload, submitted_by)"
	                          " VALUES ('predictions', $1, $2, $3, $4)",
	                          4, types, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into trading.inbox");
}

/* submit(batch jsonb): the correlation id of what comes of the batch. */
Datum te_sql_submit(PG_FUNCTION_ARGS)
{
	Jsonb *json = PG_GETARG_JSONB_P(0);
	pg_uuid_t *id = make_uuid();
	TeArena *arena;
	TeIdentity identity;
	TeWireError err = {0};
	ProtobufCMessage *message;
	Batch *batch;
	bytea *envelope;
	char *text, *correlation_id;
	bool is_admin, is_tenant;

	te_require_preload();
	is_admin = te_session_is_admin();
	is_tenant = te_session_identity(&identity);
	if (!is_admin && !is_tenant)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied for predictions"),
		                errdetail("The session is no user of a company.")));

	arena = te_sql_arena(ARENA_BLOCK, (size_t)te_guc_max_message_bytes * ARENA_FACTOR);
	text = JsonbToCString(NULL, &json->root, VARSIZE(json));
	if (!te_json_to_message(&trading_engine__mlprediction_batch__descriptor, text, strlen(text),
	                        arena, &message, &err))
		report(&err);
	batch = (Batch *)message;
	correlation_id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
	fill_in(batch, is_tenant ? &identity : NULL, correlation_id);
	if (!is_admin)
		authorise_tenant(batch, &identity);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	envelope = make_envelope(batch, correlation_id, arena);
	check_addressee(batch);
	insert_into_inbox(batch, envelope);
	SPI_finish();
	PG_RETURN_UUID_P(id);
}
