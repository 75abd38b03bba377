/*
 * query.h - reading rows by SPI, a cursor's worth at a time, by column name.
 */
#ifndef TE_ENGINE_QUERY_H
#define TE_ENGINE_QUERY_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "sql/params.h"
#include "wire/identity.h"

/* Positions of a result's columns, resolved once per query. */
typedef struct TeRowColumns
{
	TupleDesc descriptor;
	TeParamColumns params; /* of the strategy parameters among them */
} TeRowColumns;

typedef struct TeRow
{
	HeapTuple tuple;
	const TeRowColumns *columns;
} TeRow;

typedef struct TeQueryArgs
{
	int count;
	Oid *types;
	Datum *values;
	const char *nulls; /* as in SPI: 'n' for NULL; may be NULL */
} TeQueryArgs;

typedef void (*TeRowReader)(TeRow *row, void *arg);

/*
 * Run a query and hand every row to "read"; SPI must be connected.  The row is
 * freed afterwards; texts and bytes are copies in the memory context of the moment.
 */
extern void te_query_each(const char *sql, const TeQueryArgs *args, TeRowReader read, void *arg);

/* The transaction's snapshot as text, in the caller's memory. */
extern char *te_query_snapshot(void);

/* Run a statement for its effect and return the rows that it touched. */
extern uint64 te_query_run(const char *sql, const TeQueryArgs *args);

/* A statement of one text for the life of the process, prepared at first use. */
typedef struct TeStatement
{
	const char *sql;
	int count; /* of parameters */
	Oid types[8];
	SPIPlanPtr plan;
} TeStatement;

/*
 * Run it, and hand every row to "read" as te_query_each does (NULL: there is none).  It sees what
 * the transaction has written.  Returns how many rows there were, or were touched.
 */
extern uint64 te_statement_run(TeStatement *statement, Datum *values, TeRowReader read, void *arg);

/* Arrays as parameters, and what is in them; in the memory context of the moment. */
extern Datum te_text_array(Datum *texts, int count);
extern Datum te_bool_array(Datum *values, int count);
extern Datum te_int4_array(Datum *values, int count);
extern Datum te_uuid_array(Datum *ids, int count);
extern Datum te_uuid_datum(const uint8_t id[TE_UUID_BYTES]);

/*
 * Values by column name; NULL is NULL, NAN, 0 or false.  A missing column is a bug.
 * Text is the output of the column's type, whatever that is.
 */
extern char *te_row_text(TeRow *row, const char *column);
extern double te_row_double(TeRow *row, const char *column);
extern int64 te_row_int(TeRow *row, const char *column);
extern bool te_row_bool(TeRow *row, const char *column);
extern bytea *te_row_bytes(TeRow *row, const char *column);

/* Of a bigint[] without NULLs: how many, and a copy of them; none: NULL. */
extern int te_row_numbers(TeRow *row, const char *column, int64 **numbers);
extern int64_t te_row_time(TeRow *row, const char *column);

#endif
