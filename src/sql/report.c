/*
 * report.c - trading.report_execution(): what became of orders, by SQL.
 *
 * What a report leaves out and its signal says is filled in, as far as the session may
 * see the signal.  A report about an unknown signal is taken, too: it is kept and flagged.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "trading/execution.pb-c.h"

#include "engine/guc.h"
#include "sql/door.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/json.h"

PG_FUNCTION_INFO_V1(te_sql_report_execution);
PG_FUNCTION_INFO_V1(te_sql_report_executions);

typedef TradingEngine__ExecutionResult Report;

#define ARENA_BLOCK ((size_t)64 * 1024)
#define ARENA_LIMIT ((size_t)1 << 30)

static const TeDoorWords words = {
	.own_company = "Executions can only be reported for your own company.",
	.no_viewer = "A viewer can't report executions.",
	.own_user = "Only an admin of the company can report executions of other users.",
};

/* Reports on their way into the inbox. */
typedef struct Reports
{
	TeDoor door;
	TeArena *arena;
	bool several; /* an array: errors say which of them */
	int count;
	Report **reports;
	Datum *companies, *users, *envelopes;
} Reports;

static void refuse(Reports *r, const char *field, const char *detail)
{
	TeWireError err = {0};

	(void)te_wire_fail(&err, TE_WIRE_INVALID_FIELD, field, "%s", detail);
	te_door_refuse(&r->door, &err);
}

static void read_report(Reports *r, int i, JsonbContainer *json, int size)
{
	ProtobufCMessage *message;
	TeWireError err = {0};
	char *text = JsonbToCString(NULL, json, size);

	if (!te_json_to_message(&trading_engine__execution_result__descriptor, text, strlen(text),
	                        r->arena, &message, &err))
		te_door_refuse(&r->door, &err);
	pfree(text);
	r->reports[i] = (Report *)message;
}

static void begin(Reports *r, int count)
{
	r->count = count;
	r->arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	r->reports = palloc(sizeof(Report *) * count);
	r->companies = palloc(sizeof(Datum) * count);
	r->users = palloc(sizeof(Datum) * count);
	r->envelopes = palloc(sizeof(Datum) * count);
}

/*----------------------------------------------------------------------
 * Signals
 *----------------------------------------------------------------------*/

/* The signals that reports name, whose company and user the session may know; $2 and $3 say so. */
#define SIGNALS_QUERY                                                                              \
	"SELECT r.n, s.company_id, s.user_id, s.symbol"                                                \
	"  FROM pg_catalog.unnest($1) WITH ORDINALITY AS r (signal_id, n)"                             \
	" CROSS JOIN LATERAL ("                                                                        \
	"SELECT g.company_id, g.user_id, g.symbol FROM trading.signals AS g"                           \
	" WHERE g.signal_id OPERATOR(pg_catalog.=) r.signal_id"                                        \
	"   AND ($2 IS NULL OR g.company_id OPERATOR(pg_catalog.=) $2)"                                \
	"   AND ($3 IS NULL OR g.user_id OPERATOR(pg_catalog.=) $3)"                                   \
	" LIMIT 1) AS s"

static char *text_of(HeapTuple tuple, TupleDesc descriptor, int column)
{
	return SPI_getvalue(tuple, descriptor, column);
}

static bool is_missing(const char *text)
{
	return text[0] == '\0';
}

/* Fill in what the report leaves out; what it says differently is its own affair, but the symbol.
 */
static void fill_in_signal(Reports *r, int i, HeapTuple tuple, TupleDesc descriptor)
{
	Report *x = r->reports[i];
	char *symbol = text_of(tuple, descriptor, 4);
	bool same;

	if (is_missing(x->company_id))
		x->company_id = text_of(tuple, descriptor, 2);
	if (is_missing(x->user_id))
		x->user_id = text_of(tuple, descriptor, 3);
	same = strcmp(x->company_id, text_of(tuple, descriptor, 2)) == 0 &&
	       strcmp(x->user_id, text_of(tuple, descriptor, 3)) == 0;
	if (!same)
		return;
	if (is_missing(x->symbol))
		x->symbol = symbol;
	r->door.index = r->several ? i : -1;
	if (strcmp(x->symbol, symbol) != 0)
		refuse(r, "symbol", psprintf("differs from the signal's, \"%s\"", symbol));
}

static void fill_in_signals(Reports *r)
{
	const TeDoor *door = &r->door;
	bool own_company = !door->is_admin;
	bool own_user = own_company && strcmp(door->identity.role, "admin") != 0;
	Datum *ids = palloc(sizeof(Datum) * r->count);
	int *which = palloc(sizeof(int) * r->count), count = 0;
	Oid types[] = {UUIDARRAYOID, TEXTOID, TEXTOID};
	Datum values[3];
	char nulls[] = {' ', own_company ? ' ' : 'n', own_user ? ' ' : 'n', '\0'};

	for (int i = 0; i < r->count; i++) {
		pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

		if (!te_uuid_parse(r->reports[i]->signal_id, id->data))
			continue;
		which[count] = i;
		ids[count++] = UUIDPGetDatum(id);
	}
	values[0] =
		PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[1] = own_company ? CStringGetTextDatum(door->identity.company) : (Datum)0;
	values[2] = own_user ? CStringGetTextDatum(door->identity.user) : (Datum)0;
	if (SPI_execute_with_args(SIGNALS_QUERY, 3, types, values, nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up signals");
	for (uint64 i = 0; i < SPI_processed; i++) {
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull;
		int64 n = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));

		fill_in_signal(r, which[n - 1], tuple, SPI_tuptable->tupdesc);
	}
}

/*----------------------------------------------------------------------
 * Into the inbox
 *----------------------------------------------------------------------*/

/* A time zone taken for UTC is found out here, not by figures that come out wrong. */
static void check_time(Reports *r, TeTime executed_at)
{
	if (te_guc_clock == TE_CLOCK_SYSTEM &&
	    executed_at > te_time_from_timestamptz(GetCurrentTimestamp()) + TE_EXECUTION_MAX_AHEAD)
		refuse(r, "executed_at", TE_EXECUTION_AHEAD_TEXT);
}

static void submit_report(Reports *r, int i)
{
	Report *x = r->reports[i];
	TeMessage *message = palloc(sizeof(TeMessage));
	TeEnvelope envelope;
	TeWireError err = {0};

	if (is_missing(x->company_id) && r->door.is_tenant)
		x->company_id = unconstify(char *, r->door.identity.company);
	if (is_missing(x->user_id) && r->door.is_tenant)
		x->user_id = unconstify(char *, r->door.identity.user);
	te_door_authorise(&r->door, x->company_id, x->user_id, &words);
	if (strcmp(x->company_id, TE_ALL) == 0)
		refuse(r, "company_id", "must be a company's, as orders are");
	if (strcmp(x->user_id, TE_ALL) == 0)
		refuse(r, "user_id", "must be a user's, as orders are");
	if (is_missing(x->symbol) && !is_missing(x->signal_id))
		refuse(r, "symbol", "is missing, and the signal isn't known");
	te_envelope_init(&envelope, TE_MESSAGE_EXECUTION);
	envelope.company_id = x->company_id;
	envelope.user_id = x->user_id;
	envelope.producer_id = TE_DOOR_SOURCE;
	if (!te_message_pack(&x->base, r->arena, &envelope.payload, &envelope.payload_len, &err))
		te_door_refuse(&r->door, &err);
	r->envelopes[i] = PointerGetDatum(te_door_pack(&r->door, &envelope, r->arena, message));
	check_time(r, message->as.execution.told.at);
	r->companies[i] = CStringGetTextDatum(x->company_id);
	r->users[i] = CStringGetTextDatum(x->user_id);
	pfree(message);
}

/* Users are looked up once for reports in a row that are of the same one. */
static void check_addressees(Reports *r)
{
	const Report *last = NULL;

	for (int i = 0; i < r->count; i++) {
		const Report *x = r->reports[i];

		r->door.index = r->several ? i : -1;
		if (last == NULL || strcmp(x->company_id, last->company_id) != 0 ||
		    strcmp(x->user_id, last->user_id) != 0)
			te_door_check_addressee(&r->door, x->company_id, x->user_id);
		last = x;
	}
}

static void submit(Reports *r)
{
	if (r->count == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	fill_in_signals(r);
	for (int i = 0; i < r->count; i++) {
		r->door.index = r->several ? i : -1;
		submit_report(r, i);
	}
	check_addressees(r);
	te_door_insert("execution", r->count, r->companies, r->users, r->envelopes);
	SPI_finish();
}

/* report_execution(report jsonb): one report, an ExecutionResult as JSON. */
Datum te_sql_report_execution(PG_FUNCTION_ARGS)
{
	Jsonb *json = PG_GETARG_JSONB_P(0);
	Reports r = {0};

	te_door_open(&r.door, "executions", "execution");
	begin(&r, 1);
	read_report(&r, 0, &json->root, VARSIZE(json));
	submit(&r);
	PG_RETURN_VOID();
}

/* report_executions(reports jsonb): an array of them; how many there are. */
Datum te_sql_report_executions(PG_FUNCTION_ARGS)
{
	Jsonb *json = PG_GETARG_JSONB_P(0);
	Reports r = {0};

	te_door_open(&r.door, "executions", "execution");
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		refuse(&r, "", "must be an array");
	r.several = true;
	begin(&r, JB_ROOT_COUNT(json));
	for (int i = 0; i < r.count; i++) {
		JsonbValue *element = getIthJsonbValueFromContainer(&json->root, i);

		r.door.index = i;
		if (element->type != jbvBinary)
			refuse(&r, "", "must be an object");
		read_report(&r, i, element->val.binary.data, element->val.binary.len);
	}
	submit(&r);
	PG_RETURN_INT32(r.count);
}
