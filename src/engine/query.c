/*
 * query.c - reading rows by SPI.
 */
#include "postgres.h"

#include "engine/query.h"
#include "sql/sqltime.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define FETCH_ROWS 1000

void te_query_each(const char *sql, const TeQueryArgs *args, TeRowReader read, void *arg)
{
	static const TeQueryArgs none = {0};
	MemoryContext per_row, caller = CurrentMemoryContext;
	TeRowColumns columns = {0};
	Portal portal;

	if (args == NULL)
		args = &none;
	portal = SPI_cursor_open_with_args(NULL, sql, args->count, args->types, args->values,
	                                   args->nulls, true, 0);
	per_row = AllocSetContextCreate(caller, "row", ALLOCSET_DEFAULT_SIZES);
	for (;;) {
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0) {
			/* It has memory of its own, which would add up in a replay of many batches. */
			SPI_freetuptable(SPI_tuptable);
			break;
		}
		columns.descriptor = SPI_tuptable->tupdesc;
		te_param_columns_resolve(columns.descriptor, &columns.params);
		for (uint64 i = 0; i < SPI_processed; i++) {
			TeRow row = {SPI_tuptable->vals[i], &columns};

			MemoryContextSwitchTo(per_row);
			read(&row, arg);
			MemoryContextReset(per_row);
		}
		MemoryContextSwitchTo(caller);
		SPI_freetuptable(SPI_tuptable);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(per_row);
	SPI_cursor_close(portal);
}

char *te_query_snapshot(void)
{
	static const char sql[] = "SELECT pg_catalog.pg_current_snapshot()";

	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "expected one row from: %s", sql);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

uint64 te_query_run(const char *sql, const TeQueryArgs *args)
{
	int status =
		SPI_execute_with_args(sql, args->count, args->types, args->values, args->nulls, false, 0);

	if (status < 0)
		elog(ERROR, "%s: %s", SPI_result_code_string(status), sql);
	return SPI_processed;
}

uint64 te_statement_run(TeStatement *statement, Datum *values, TeRowReader read, void *arg)
{
	MemoryContext per_row, caller = CurrentMemoryContext;
	TeRowColumns columns = {0};
	SPITupleTable *table;
	uint64 processed;
	int status;

	if (statement->plan == NULL) {
		statement->plan = SPI_prepare(statement->sql, statement->count, statement->types);
		if (statement->plan == NULL || SPI_keepplan(statement->plan) != 0)
			elog(ERROR, "could not prepare: %s", statement->sql);
	}
	status = SPI_execute_plan(statement->plan, values, NULL, false, 0);
	if (status < 0)
		elog(ERROR, "%s: %s", SPI_result_code_string(status), statement->sql);
	processed = SPI_processed;
	table = SPI_tuptable;
	if (table == NULL)
		return processed;
	columns.descriptor = table->tupdesc;
	per_row = AllocSetContextCreate(caller, "row", ALLOCSET_DEFAULT_SIZES);
	for (uint64 i = 0; read != NULL && i < processed; i++) {
		TeRow row = {table->vals[i], &columns};

		MemoryContextSwitchTo(per_row);
		read(&row, arg);
		MemoryContextReset(per_row);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(per_row);
	SPI_freetuptable(table);
	return processed;
}

Datum te_text_array(Datum *texts, int count)
{
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum te_bool_array(Datum *values, int count)
{
	return PointerGetDatum(
		construct_array(values, count, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR));
}

Datum te_int4_array(Datum *values, int count)
{
	return PointerGetDatum(
		construct_array(values, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

Datum te_uuid_array(Datum *ids, int count)
{
	return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

Datum te_uuid_datum(const uint8_t id[TE_UUID_BYTES])
{
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

/* A column's value; isnull tells whether it has one. */
static Datum value_of(TeRow *row, const char *column, bool *isnull)
{
	int number = SPI_fnumber(row->columns->descriptor, column);

	if (number <= 0)
		elog(ERROR, "no column \"%s\" in the result", column);
	return heap_getattr(row->tuple, number, row->columns->descriptor, isnull);
}

char *te_row_text(TeRow *row, const char *column)
{
	TupleDesc descriptor = row->columns->descriptor;
	bool isnull;
	Datum value = value_of(row, column, &isnull);

	if (!isnull && SPI_gettypeid(descriptor, SPI_fnumber(descriptor, column)) == TEXTOID)
		return TextDatumGetCString(value);
	return SPI_getvalue(row->tuple, descriptor, SPI_fnumber(descriptor, column));
}

double te_row_double(TeRow *row, const char *column)
{
	bool isnull;
	Datum value = value_of(row, column, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

int64 te_row_int(TeRow *row, const char *column)
{
	bool isnull;
	int number = SPI_fnumber(row->columns->descriptor, column);
	Datum value = value_of(row, column, &isnull);

	if (isnull)
		return 0;
	return SPI_gettypeid(row->columns->descriptor, number) == INT4OID ? DatumGetInt32(value)
	                                                                  : DatumGetInt64(value);
}

bool te_row_bool(TeRow *row, const char *column)
{
	bool isnull;
	Datum value = value_of(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

bytea *te_row_bytes(TeRow *row, const char *column)
{
	bool isnull;
	Datum value = value_of(row, column, &isnull);

	return isnull ? NULL : DatumGetByteaPCopy(value);
}

int te_row_numbers(TeRow *row, const char *column, int64 **numbers)
{
	bool isnull;
	Datum value = value_of(row, column, &isnull);
	ArrayType *array = isnull ? NULL : DatumGetArrayTypeP(value);
	int count = isnull ? 0 : ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	*numbers = NULL;
	if (count > 0) {
		*numbers = palloc(sizeof(int64) * count);
		memcpy(*numbers, ARR_DATA_PTR(array), sizeof(int64) * count);
	}
	return count;
}

int64_t te_row_time(TeRow *row, const char *column)
{
	bool isnull;
	Datum value = value_of(row, column, &isnull);

	return isnull ? TE_NO_TIME : te_time_from_timestamptz(DatumGetTimestampTz(value));
}
