/*
 * rows.h - bulk inserts: one INSERT ... SELECT FROM unnest per table and chunk.
 *
 * Rows are gathered column by column in a batch's memory and go to the server as
 * arrays, through row security and partition routing, never a round trip per row.
 */
#ifndef TE_ENGINE_ROWS_H
#define TE_ENGINE_ROWS_H

#include "postgres.h"

#include "executor/spi.h"
#include "wire/identity.h"

typedef struct TeColumnSpec
{
	const char *name;
	const char *type; /* SQL name of the column's type, or one of these: */
} TeColumnSpec;

#define TE_ROWS_LINES "lines"     /* text[], set as lines of a text */
#define TE_ROWS_NUMBERS "numbers" /* bigint[], set as its text */

/* A table and the columns that are written; the plan is prepared at first use. */
typedef struct TeRowsSpec
{
	const char *table; /* schema-qualified */
	const TeColumnSpec *columns;
	int column_count;
	const char *on_conflict; /* target and action, or NULL: a conflict is an error */
	SPIPlanPtr plan;
	Oid *types;
	struct TeElementType *elements;
} TeRowsSpec;

#define TE_ROWS_MAX_COLUMNS 64

/* Rows of one table in one batch. */
typedef struct TeRows
{
	TeRowsSpec *spec;
	MemoryContext context;
	int count, capacity;
	Datum *values; /* column_count x capacity, a column at a time */
	bool *nulls;
} TeRows;

extern void te_rows_init(TeRows *rows, TeRowsSpec *spec, MemoryContext context);

/* Begin a row: every column is NULL until it is set.  Returns its index. */
extern int te_rows_add(TeRows *rows);

extern void te_rows_set(TeRows *rows, int row, int column, Datum value);
extern void te_rows_set_text(TeRows *rows, int row, int column,
                             const char *value); /* NULL: stays NULL */
extern void te_rows_set_bytes(TeRows *rows, int row, int column, const void *data, size_t length);
extern void te_rows_set_double(TeRows *rows, int row, int column,
                               double value); /* NAN: stays NULL */
extern void te_rows_set_time(TeRows *rows, int row, int column,
                             int64_t unix_us); /* TE_NO_TIME: stays NULL */

extern void te_rows_set_uuid(TeRows *rows, int row, int column, const uint8_t id[TE_UUID_BYTES]);

/* For te_rows_set_text: what is empty is not there. */
static inline const char *te_text_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* Insert all rows, in chunks; SPI must be connected. */
extern void te_rows_insert(TeRows *rows);

#endif
