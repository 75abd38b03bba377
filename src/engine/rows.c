/*
 * rows.c - bulk inserts through prepared plans over arrays.
 */
#include "postgres.h"

#include "core/types.h"
#include "engine/rows.h"
#include "sql/sqltime.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Rows per INSERT: bounds the arrays (1 GB each) whatever a batch holds. */
#define CHUNK_ROWS 1000

typedef struct TeElementType
{
	Oid oid;
	int16 length;
	bool by_value;
	char align;
} TeElementType;

/* Prepare the INSERT of a table; lives until the process ends. */
static void prepare(TeRowsSpec *spec)
{
	MemoryContext old;
	StringInfoData names, params, values, aliases;

	Assert(spec->column_count <= TE_ROWS_MAX_COLUMNS);
	old = MemoryContextSwitchTo(TopMemoryContext);
	spec->types = palloc(sizeof(Oid) * spec->column_count);
	spec->elements = palloc(sizeof(TeElementType) * spec->column_count);
	MemoryContextSwitchTo(old);

	initStringInfo(&names);
	initStringInfo(&params);
	initStringInfo(&values);
	initStringInfo(&aliases);
	for (int i = 0; i < spec->column_count; i++) {
		TeElementType *e = &spec->elements[i];
		const char *value = "%sv.c%d";
		const char *type = spec->columns[i].type;
		int32 typmod;

		if (strcmp(type, TE_ROWS_LINES) == 0) {
			value = "%spg_catalog.string_to_array(v.c%d, E'\\n')";
			type = "pg_catalog.text";
		} else if (strcmp(type, TE_ROWS_NUMBERS) == 0) {
			value = "%sv.c%d::pg_catalog.int8[]";
			type = "pg_catalog.text";
		}
#if PG_VERSION_NUM >= 160000
		(void)parseTypeString(type, &e->oid, &typmod, NULL);
#else
		parseTypeString(type, &e->oid, &typmod, false);
#endif
		get_typlenbyvalalign(e->oid, &e->length, &e->by_value, &e->align);
		spec->types[i] = get_array_type(e->oid);
		appendStringInfo(&names, "%s%s", i ? ", " : "", spec->columns[i].name);
		appendStringInfo(&params, "%spg_catalog.unnest($%d)", i ? ", " : "", i + 1);
		appendStringInfo(&aliases, "%sc%d", i ? ", " : "", i);
		appendStringInfo(&values, value, i ? ", " : "", i);
	}
	spec->plan =
		SPI_prepare(psprintf("INSERT INTO %s (%s) SELECT %s FROM ROWS FROM (%s) AS v (%s)%s%s",
	                         spec->table, names.data, values.data, params.data, aliases.data,
	                         spec->on_conflict ? " ON CONFLICT " : "",
	                         spec->on_conflict ? spec->on_conflict : ""),
	                spec->column_count, spec->types);
	if (spec->plan == NULL || SPI_keepplan(spec->plan) != 0)
		elog(ERROR, "could not prepare the insert into %s", spec->table);
}

void te_rows_init(TeRows *rows, TeRowsSpec *spec, MemoryContext context)
{
	*rows = (TeRows){.spec = spec, .context = context};
}

int te_rows_add(TeRows *rows)
{
	int columns = rows->spec->column_count;

	if (rows->count == rows->capacity) {
		int capacity = rows->capacity ? rows->capacity * 2 : 16;
		Datum *values = MemoryContextAllocExtended(
			rows->context, sizeof(Datum) * columns * capacity, MCXT_ALLOC_HUGE);
		bool *nulls = MemoryContextAllocExtended(rows->context, sizeof(bool) * columns * capacity,
		                                         MCXT_ALLOC_HUGE);

		for (int c = 0; rows->count > 0 && c < columns; c++) {
			memcpy(values + (size_t)c * capacity, rows->values + (size_t)c * rows->capacity,
			       sizeof(Datum) * rows->count);
			memcpy(nulls + (size_t)c * capacity, rows->nulls + (size_t)c * rows->capacity,
			       rows->count);
		}
		if (rows->capacity > 0) {
			pfree(rows->values);
			pfree(rows->nulls);
		}
		rows->values = values;
		rows->nulls = nulls;
		rows->capacity = capacity;
	}
	for (int c = 0; c < columns; c++)
		rows->nulls[(size_t)c * rows->capacity + rows->count] = true;
	return rows->count++;
}

void te_rows_set(TeRows *rows, int row, int column, Datum value)
{
	size_t at = (size_t)column * rows->capacity + row;

	rows->values[at] = value;
	rows->nulls[at] = false;
}

void te_rows_set_bytes(TeRows *rows, int row, int column, const void *data, size_t length)
{
	struct varlena *copy =
		MemoryContextAllocExtended(rows->context, VARHDRSZ + length, MCXT_ALLOC_HUGE);

	SET_VARSIZE(copy, VARHDRSZ + length);
	memcpy(VARDATA(copy), data, length);
	te_rows_set(rows, row, column, PointerGetDatum(copy));
}

void te_rows_set_text(TeRows *rows, int row, int column, const char *value)
{
	if (value != NULL)
		te_rows_set_bytes(rows, row, column, value, strlen(value));
}

void te_rows_set_double(TeRows *rows, int row, int column, double value)
{
	if (te_known(value))
		te_rows_set(rows, row, column, Float8GetDatum(value));
}

void te_rows_set_time(TeRows *rows, int row, int column, int64_t unix_us)
{
	if (unix_us != TE_NO_TIME)
		te_rows_set(rows, row, column, TimestampTzGetDatum(te_time_to_timestamptz(unix_us)));
}

void te_rows_set_uuid(TeRows *rows, int row, int column, const uint8_t id[TE_UUID_BYTES])
{
	pg_uuid_t *uuid = MemoryContextAlloc(rows->context, sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	te_rows_set(rows, row, column, UUIDPGetDatum(uuid));
}

void te_rows_insert(TeRows *rows)
{
	TeRowsSpec *spec = rows->spec;
	Datum arrays[TE_ROWS_MAX_COLUMNS];

	if (rows->count == 0)
		return;
	if (spec->plan == NULL)
		prepare(spec);
	for (int first = 0; first < rows->count; first += CHUNK_ROWS) {
		int n = Min(CHUNK_ROWS, rows->count - first);
		int lower = 1;
		int status;

		for (int c = 0; c < spec->column_count; c++) {
			TeElementType *e = &spec->elements[c];
			size_t at = (size_t)c * rows->capacity + first;

			arrays[c] = PointerGetDatum(construct_md_array(rows->values + at, rows->nulls + at, 1,
			                                               &n, &lower, e->oid, e->length,
			                                               e->by_value, e->align));
		}
		status = SPI_execute_plan(spec->plan, arrays, NULL, false, 0);
		if (status != SPI_OK_INSERT || SPI_processed != (uint64)n)
			elog(ERROR, "insert into %s: status %d, " UINT64_FORMAT " of %d rows", spec->table,
			     status, (uint64)SPI_processed, n);
		for (int c = 0; c < spec->column_count; c++)
			pfree(DatumGetPointer(arrays[c]));
	}
}
