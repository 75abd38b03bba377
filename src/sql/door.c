/*
 * door.c - who may put what into trading.inbox, and how it gets there.
 */
#include "postgres.h"

#include "sql/door.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "engine/guc.h"
#include "engine/shmem.h"
#include "sql/sqltime.h"

/* How the decoder names a field of the message within its envelope. */
#define ENVELOPE_PREFIX "payload."

void te_door_open(TeDoor *door, const char *what, const char *message)
{
	te_require_preload();
	*door = (TeDoor){.what = what, .message = message, .index = -1};
	door->is_admin = te_session_is_admin();
	door->is_tenant = te_session_identity(&door->identity);
	if (!door->is_admin && !door->is_tenant)
		ereport(ERROR,
		        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for %s", what),
		         errdetail("The session is no user of a company.")));
}

void te_door_refuse(const TeDoor *door, const TeWireError *err)
{
	int code = err->code == TE_WIRE_NO_MEMORY || err->code == TE_WIRE_TOO_LARGE ||
	                   err->code == TE_WIRE_TOO_MANY
	               ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
	               : ERRCODE_INVALID_PARAMETER_VALUE;
	const char *field = err->field;

	/* The envelope around the message is ours: who sends it knows nothing of it. */
	if (strncmp(field, ENVELOPE_PREFIX, strlen(ENVELOPE_PREFIX)) == 0)
		field += strlen(ENVELOPE_PREFIX);
	if (door->index >= 0)
		field = psprintf("[%d]%s%s", door->index, field[0] ? "." : "", field);
	if (field[0] == '\0')
		ereport(ERROR, (errcode(code), errmsg("invalid %s: %s", door->message, err->detail)));
	ereport(ERROR,
	        (errcode(code), errmsg("invalid %s: %s: %s", door->message, field, err->detail)));
}

void te_door_forbid(const TeDoor *door, const char *field, const char *value, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	                errmsg("permission denied for %s with %s \"%s\"", door->what, field, value),
	                errdetail("%s", why)));
}

void te_door_authorise(const TeDoor *door, const char *company_id, const char *user_id,
                       const TeDoorWords *words)
{
	const TeIdentity *id = &door->identity;

	if (door->is_admin)
		return;
	if (strcmp(company_id, id->company) != 0)
		te_door_forbid(door, "company_id", company_id, words->own_company);
	if (strcmp(id->role, "viewer") == 0)
		te_door_forbid(door, "company_id", company_id, words->no_viewer);
	if (strcmp(user_id, id->user) != 0 && strcmp(id->role, "admin") != 0)
		te_door_forbid(door, "user_id", user_id, words->own_user);
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

static void refuse_unknown(const TeDoor *door, const char *field, const char *what,
                           const char *value)
{
	TeWireError err = {0};

	(void)te_wire_fail(&err, TE_WIRE_INVALID_FIELD, field, "unknown %s \"%s\"", what, value);
	te_door_refuse(door, &err);
}

void te_door_check_addressee(const TeDoor *door, const char *company_id, const char *user_id)
{
	if (strcmp(company_id, TE_ALL) != 0 &&
	    !has_row("SELECT FROM trading.companies AS c"
	             " WHERE c.company_id OPERATOR(pg_catalog.=) $1 AND $2 IS NOT NULL",
	             company_id, user_id))
		refuse_unknown(door, "company_id", "company", company_id);
	if (strcmp(user_id, TE_ALL) != 0 && !has_row("SELECT FROM trading.users AS u"
	                                             " WHERE u.company_id OPERATOR(pg_catalog.=) $1"
	                                             "   AND u.user_id OPERATOR(pg_catalog.=) $2",
	                                             company_id, user_id))
		refuse_unknown(door, "user_id", "user", user_id);
}

bytea *te_door_pack(const TeDoor *door, TeEnvelope *envelope, TeArena *arena, TeMessage *message)
{
	TeWireLimits limits = te_wire_limits_default;
	TeWireError err = {0};
	const uint8_t *data;
	size_t len;
	bytea *result;

	envelope->service_source = TE_DOOR_SOURCE;
	envelope->timestamp = te_time_from_timestamptz(GetCurrentTimestamp());
	if (!te_envelope_encode(envelope, arena, &data, &len, &err))
		te_door_refuse(door, &err);
	limits.max_message = te_guc_max_message_bytes;
	limits.max_predictions = te_guc_max_predictions_per_batch;
	if (!te_wire_decode(data, len, &limits, arena, message, &err))
		te_door_refuse(door, &err);
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

void te_door_insert(const char *kind, int count, Datum *companies, Datum *users, Datum *envelopes)
{
	Oid types[] = {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, NAMEOID};
	NameData submitter;
	Datum values[] = {
		CStringGetTextDatum(kind),
		PointerGetDatum(construct_array(companies, count, TEXTOID, -1, false, TYPALIGN_INT)),
		PointerGetDatum(construct_array(users, count, TEXTOID, -1, false, TYPALIGN_INT)),
		PointerGetDatum(construct_array(envelopes, count, BYTEAOID, -1, false, TYPALIGN_INT)),
		NameGetDatum(&submitter),
	};

	namestrcpy(&submitter, GetUserNameFromId(GetSessionUserId(), false));
	if (SPI_execute_with_args(
			"INSERT INTO trading.inbox (kind, company_id, user_id, payload, submitted_by)"
			" SELECT $1, m.company_id, m.user_id, m.payload, $5"
			"   FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3),"
			"                   pg_catalog.unnest($4)) WITH ORDINALITY"
			"        AS m (company_id, user_id, payload, n)"
			"  ORDER BY m.n",
			5, types, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into trading.inbox");
}
