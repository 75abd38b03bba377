/*
 * params.h - strategy parameters as values of PostgreSQL: columns and rows.
 *
 * A parameter's column has its name and the type that te_param_type names, and
 * NULL means "not set".
 */
#ifndef TE_SQL_PARAMS_H
#define TE_SQL_PARAMS_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"

#include "core/params.h"

/* Where a row type keeps the parameters: attribute numbers, 0 for "has no such column". */
typedef struct TeParamColumns
{
	AttrNumber attnum[TE_PARAM_COUNT];
} TeParamColumns;

/* Find the columns by name.  Raises 42804 when one has another type than its parameter. */
extern void te_param_columns_resolve(TupleDesc desc, TeParamColumns *out);

/*
 * Read the parameters that a row sets.  Texts and arrays are allocated in the
 * current context.  Raises 23514 with the parameter's name for a value that can't
 * be read (an unknown label, an array with a NULL in it); ranges are left to
 * te_strategy_check.
 */
extern void te_param_set_from_tuple(HeapTuple tuple, TupleDesc desc, const TeParamColumns *columns,
                                    TeParamSet *out);

/* The same for a row that has been taken apart. */
extern void te_param_set_from_values(const Datum *values, const bool *nulls,
                                     const TeParamColumns *columns, TeParamSet *out);

/* The same for a composite datum, and for a composite argument, where NULL sets nothing. */
extern void te_param_set_from_row(HeapTupleHeader row, TeParamSet *out);
extern void te_param_set_from_argument(FunctionCallInfo fcinfo, int argument, TeParamSet *out);

/*
 * The columns of a row type, kept from one call of a function to the next: one
 * slot per argument, and the last one (PG_NARGS()) for the result.
 */
extern const TeParamColumns *te_param_columns_of_call(FunctionCallInfo fcinfo, int slot,
                                                      TupleDesc desc);

/*
 * Raise 23514: invalid value for parameter "<name>": <reason>, with the value that it has in
 * "values" and what the parameter is; the column is named in the error's own field too.
 */
extern void te_param_invalid(const char *name, const char *reason, const TeStrategy *values)
	__attribute__((noreturn));

/* Type of a parameter's column, as SQL text and as oid. */
extern const char *te_param_type(const TeParamInfo *info);
extern Oid te_param_type_oid(const TeParamInfo *info);

/* A parameter's value as the datum of its column; *isnull for a custom_rule that isn't there. */
extern Datum te_param_datum(const TeParamInfo *info, const TeStrategy *s, bool *isnull);

/* A parameter's value as the text that its column's type reads; NULL as above. */
extern char *te_param_text(const TeParamInfo *info, const TeStrategy *s);

/*
 * Make a set of symbols: sorted, each once, "*" alone meaning any.  The array is
 * taken over.  Returns NULL, or a reason.
 */
extern const char *te_symbols_make(const char **symbols, int count, TeSymbols *out);

/* Value of one parameter within a strategy. */
static inline void *te_param_address(const TeParamInfo *info, TeStrategy *s)
{
	return (char *)s + info->offset;
}

static inline const void *te_param_const_address(const TeParamInfo *info, const TeStrategy *s)
{
	return (const char *)s + info->offset;
}

#define te_param_field(info, s, type) (*(type *)te_param_address(info, s))
#define te_param_const_field(info, s, type) (*(type const *)te_param_const_address(info, s))

#endif
