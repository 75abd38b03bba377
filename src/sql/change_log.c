/*
 * change_log.c - the triggers that write the log of versions, trading.strategy_changes.
 *
 * A row of the log holds the row that it is about as jsonb, without what is NULL or
 * secret, written so that reading it gives the same bits whatever the session's settings
 * were.  For one key the log's order is the order of commits: who writes a row holds its
 * lock, or its place in the unique index, from before the log is written until the end of
 * the transaction.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "engine/rows.h"
#include "sql/jsonb_io.h"
#include "sql/sqltime.h"
#include "sql/tenant.h"
#include "sql/trigger.h"

PG_FUNCTION_INFO_V1(te_sql_log_changes);
PG_FUNCTION_INFO_V1(te_sql_log_truncate);
PG_FUNCTION_INFO_V1(te_sql_row_image);

#define LOG_COLUMNS(X)                                                                             \
	X(system_identifier, int8)                                                                     \
	X(kind, text)                                                                                  \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(strategy_id, text)                                                                           \
	X(item, text)                                                                                  \
	X(operation, text)                                                                             \
	X(version, int8)                                                                               \
	X(row_data, jsonb)                                                                             \
	X(changed_at, timestamptz)                                                                     \
	X(changed_as, text)

#define LOG_MEMBER(name, type) LOG_##name,
enum { LOG_COLUMNS(LOG_MEMBER) LOG_COLUMN_COUNT };
#define LOG_SPEC(name, type) {#name, #type},
static const TeColumnSpec log_columns[] = {LOG_COLUMNS(LOG_SPEC)};

static TeRowsSpec log_spec = {
	.table = "trading.strategy_changes",
	.columns = log_columns,
	.column_count = lengthof(log_columns),
};

/* Arguments of the triggers; a key column that a table doesn't have is ''. */
enum { ARG_KIND, ARG_COMPANY, ARG_USER, ARG_STRATEGY, ARG_ITEM, ARG_SECRET, ARG_COUNT };
#define KEY_COUNT (ARG_ITEM - ARG_COMPANY + 1)
StaticAssertDecl(LOG_item - LOG_company_id + 1 == KEY_COUNT, "keys stand side by side");

/* Rows written at a time, which bounds the memory that a bulk change takes. */
#define FLUSH_ROWS 1000

/* A log in the making: of one statement on one table. */
typedef struct ChangeLog
{
	TupleDesc desc;
	Datum kind;
	AttrNumber key[KEY_COUNT]; /* 0: none */
	AttrNumber version;        /* 0: none */
	AttrNumber secret;         /* 0: none */
	TimestampTz now;
	bool is_tenant;
	Datum tenant;
	MemoryContext context; /* of the rows, emptied when they are written */
	TeRows rows;
} ChangeLog;

/*----------------------------------------------------------------------
 * Images of rows
 *----------------------------------------------------------------------*/

static void put_value(TeJsonbWriter *w, Oid type, Datum value);

static void put_array(TeJsonbWriter *w, ArrayType *array)
{
	Oid element = ARR_ELEMTYPE(array);
	int16 length;
	bool by_value;
	char align;
	Datum *values;
	int count;

	get_typlenbyvalalign(element, &length, &by_value, &align);
	deconstruct_array(array, element, length, by_value, align, &values, NULL, &count);
	te_jsonb_begin_array(w);
	for (int i = 0; i < count; i++)
		put_value(w, element, values[i]);
	te_jsonb_end_array(w);
}

/* Arrays of arrays, of NULLs, or that don't begin at 1 are written in their own notation. */
static bool is_plain_array(Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);

	return ARR_NDIM(array) == 0 ||
	       (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] == 1 && !array_contains_nulls(array));
}

/* As text: what isn't said to be written otherwise, and a number that jsonb doesn't have. */
static void put_as_text(TeJsonbWriter *w, Oid type, Datum value)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	te_jsonb_put_text(w, OidOutputFunctionCall(output, value));
}

static void put_value(TeJsonbWriter *w, Oid type, Datum value)
{
	switch (type) {
	case BOOLOID:
		te_jsonb_put_bool(w, DatumGetBool(value));
		return;
	case INT4OID:
		te_jsonb_put_integer(w, DatumGetInt32(value));
		return;
	case INT8OID:
		te_jsonb_put_integer(w, DatumGetInt64(value));
		return;
	case FLOAT8OID:
		/* jsonb has neither -0, NaN nor infinities. */
		if (isfinite(DatumGetFloat8(value)) &&
		    !(DatumGetFloat8(value) == 0 && signbit(DatumGetFloat8(value))))
			te_jsonb_put_number(w, DatumGetFloat8(value));
		else
			put_as_text(w, type, value);
		return;
	case TEXTOID:
		te_jsonb_put_text(w, TextDatumGetCString(value));
		return;
	case TIMESTAMPTZOID:
		if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
			put_as_text(w, type, value);
		else
			te_jsonb_put_time(w, te_time_from_timestamptz(DatumGetTimestampTz(value)));
		return;
	case TEXTARRAYOID:
	case FLOAT8ARRAYOID:
		if (is_plain_array(value)) {
			put_array(w, DatumGetArrayTypeP(value));
			return;
		}
		break;
	}
	put_as_text(w, type, value);
}

/* A row as jsonb, without NULLs and without the column of that number. */
static Datum row_image(TupleTableSlot *slot, AttrNumber secret)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	TeJsonbWriter w = {0};

	slot_getallattrs(slot);
	te_jsonb_begin_object(&w);
	for (int i = 0; i < desc->natts; i++) {
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || slot->tts_isnull[i] || i + 1 == secret)
			continue;
		te_jsonb_key(&w, NameStr(attribute->attname));
		put_value(&w, attribute->atttypid, slot->tts_values[i]);
	}
	te_jsonb_end_object(&w);
	return JsonbPGetDatum(JsonbValueToJsonb(w.result));
}

/*----------------------------------------------------------------------
 * Writing
 *----------------------------------------------------------------------*/

/* Column of that name; 0 for the name ''.  With a type, it has to be of that. */
static AttrNumber column_number(Relation relation, const char *name, Oid type)
{
	AttrNumber number = name[0] == '\0' ? 0 : get_attnum(RelationGetRelid(relation), name);

	if (number == InvalidAttrNumber && name[0] != '\0')
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
		                errmsg("column \"%s\" of relation \"%s\" does not exist", name,
		                       RelationGetRelationName(relation))));
	if (number != 0 && OidIsValid(type) &&
	    TupleDescAttr(RelationGetDescr(relation), number - 1)->atttypid != type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
		                errmsg("column \"%s\" of relation \"%s\" is not of type %s", name,
		                       RelationGetRelationName(relation), format_type_be(type))));
	return number;
}

static void begin_rows(ChangeLog *log)
{
	MemoryContextReset(log->context);
	te_rows_init(&log->rows, &log_spec, log->context);
}

static void begin_log(ChangeLog *log, TriggerData *trigger)
{
	Relation relation = trigger->tg_relation;
	char **args = trigger->tg_trigger->tgargs;
	TeIdentity id;

	if (trigger->tg_trigger->tgnargs != ARG_COUNT)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("a trigger of the log takes %d arguments", ARG_COUNT)));
	log->desc = RelationGetDescr(relation);
	log->kind = CStringGetTextDatum(args[ARG_KIND]);
	for (int k = 0; k < KEY_COUNT; k++)
		log->key[k] = column_number(relation, args[ARG_COMPANY + k], TEXTOID);
	log->version = args[ARG_STRATEGY][0] != '\0' ? column_number(relation, "version", INT8OID) : 0;
	log->secret = column_number(relation, args[ARG_SECRET], InvalidOid);
	log->now = GetCurrentTimestamp();
	log->is_tenant = te_session_identity(&id);
	if (log->is_tenant)
		log->tenant = CStringGetTextDatum(psprintf("%s/%s", id.company, id.user));
	log->context =
		AllocSetContextCreate(CurrentMemoryContext, "change log", ALLOCSET_DEFAULT_SIZES);
	begin_rows(log);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void add_row(ChangeLog *log, TupleTableSlot *slot, const char *operation)
{
	MemoryContext old = MemoryContextSwitchTo(log->context);
	TeRows *rows = &log->rows;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, LOG_system_identifier, Int64GetDatum((int64)GetSystemIdentifier()));
	te_rows_set(rows, row, LOG_kind, log->kind);
	te_rows_set_text(rows, row, LOG_operation, operation);
	te_rows_set(rows, row, LOG_changed_at, TimestampTzGetDatum(log->now));
	if (log->is_tenant)
		te_rows_set(rows, row, LOG_changed_as, log->tenant);
	for (int k = 0; k < KEY_COUNT; k++) {
		bool is_null;
		Datum key = log->key[k] != 0 ? slot_getattr(slot, log->key[k], &is_null) : 0;

		if (log->key[k] != 0 && !is_null)
			te_rows_set(rows, row, LOG_company_id + k, datumCopy(key, false, -1));
	}
	if (log->version != 0) {
		bool is_null;
		Datum version = slot_getattr(slot, log->version, &is_null);

		te_rows_set(rows, row, LOG_version, version);
	}
	if (operation[0] != 'D')
		te_rows_set(rows, row, LOG_row_data, row_image(slot, log->secret));
	MemoryContextSwitchTo(old);

	if (rows->count == FLUSH_ROWS) {
		te_rows_insert(rows);
		begin_rows(log);
	}
}

static void end_log(ChangeLog *log)
{
	te_rows_insert(&log->rows);
	SPI_finish();
	MemoryContextDelete(log->context);
}

/*----------------------------------------------------------------------
 * Rows of a statement
 *----------------------------------------------------------------------*/

static TupleTableSlot *begin_scan(const ChangeLog *log, Tuplestorestate *store)
{
	tuplestore_select_read_pointer(store, tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND));
	tuplestore_rescan(store);
	return MakeSingleTupleTableSlot(log->desc, &TTSOpsMinimalTuple);
}

static void log_store(ChangeLog *log, Tuplestorestate *store, const char *operation)
{
	TupleTableSlot *slot = begin_scan(log, store);

	while (tuplestore_gettupleslot(store, true, false, slot))
		add_row(log, slot, operation);
	ExecDropSingleTupleTableSlot(slot);
}

static bool same_key(const ChangeLog *log, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int k = 0; k < KEY_COUNT; k++) {
		bool a_null, b_null;
		Datum left, right;

		if (log->key[k] == 0)
			continue;
		left = slot_getattr(a, log->key[k], &a_null);
		right = slot_getattr(b, log->key[k], &b_null);
		if (a_null != b_null || (!a_null && !datum_image_eq(left, right, false, -1)))
			return false;
	}
	return true;
}

/*
 * The two stores of an UPDATE hold the same rows in the same order.  A row with another key is
 * another thing: the old one ends, and a new one begins.  All ends come first, because keys can
 * be exchanged.
 */
static void log_update(ChangeLog *log, Tuplestorestate *old_rows, Tuplestorestate *new_rows)
{
	for (int pass = 0; pass < 2; pass++) {
		TupleTableSlot *before = begin_scan(log, old_rows);
		TupleTableSlot *after = begin_scan(log, new_rows);

		while (tuplestore_gettupleslot(old_rows, true, false, before)) {
			if (!tuplestore_gettupleslot(new_rows, true, false, after))
				elog(ERROR, "an update has more old rows than new ones");
			if (pass == 0 && !same_key(log, before, after))
				add_row(log, before, "DELETE");
			else if (pass == 1)
				add_row(log, after, same_key(log, before, after) ? "UPDATE" : "INSERT");
		}
		ExecDropSingleTupleTableSlot(before);
		ExecDropSingleTupleTableSlot(after);
	}
}

/* AFTER STATEMENT, with transition tables. */
Datum te_sql_log_changes(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = te_trigger_data(fcinfo, "log_changes");
	Tuplestorestate *old_rows = trigger->tg_oldtable, *new_rows = trigger->tg_newtable;
	ChangeLog log;

	if (old_rows == NULL && new_rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("trading.log_changes() needs transition tables")));
	if (tuplestore_tuple_count(new_rows != NULL ? new_rows : old_rows) == 0)
		return PointerGetDatum(NULL);
	begin_log(&log, trigger);
	if (old_rows == NULL)
		log_store(&log, new_rows, "INSERT");
	else if (new_rows == NULL)
		log_store(&log, old_rows, "DELETE");
	else
		log_update(&log, old_rows, new_rows);
	end_log(&log);
	return PointerGetDatum(NULL);
}

/*
 * BEFORE TRUNCATE: the table is locked, so that what is committed now is what goes, whatever the
 * transaction's own snapshot shows.
 */
Datum te_sql_log_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = te_trigger_data(fcinfo, "log_truncate");
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(trigger->tg_relation, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(trigger->tg_relation, NULL);
	ChangeLog log;

	begin_log(&log, trigger);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		add_row(&log, slot, "DELETE");
	end_log(&log);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return PointerGetDatum(NULL);
}

/* row_image(r record, secret name): what the log says of a row. */
Datum te_sql_row_image(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	const char *secret = NameStr(*PG_GETARG_NAME(1));
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	AttrNumber hidden = 0;
	Datum image;

	ItemPointerSetInvalid(&tuple.t_self);
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), secret) == 0)
			hidden = i + 1;
	ExecStoreHeapTuple(&tuple, slot, false);
	image = row_image(slot, hidden);
	ExecDropSingleTupleTableSlot(slot);
	ReleaseTupleDesc(desc);
	PG_RETURN_DATUM(image);
}
