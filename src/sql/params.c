/*
 * params.c - strategy parameters as values of PostgreSQL.
 */
#include "sql/params.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "lib/qunique.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct ColumnType
{
	Oid oid;
	const char *name;
} ColumnType;

static const ColumnType column_types[] = {
	[TE_KIND_BOOL] = {BOOLOID, "boolean"},
	[TE_KIND_INT] = {INT4OID, "integer"},
	[TE_KIND_NUMBER] = {FLOAT8OID, "double precision"},
	[TE_KIND_ENUM] = {TEXTOID, "text"},
	[TE_KIND_SYMBOLS] = {TEXTARRAYOID, "text[]"},
	[TE_KIND_REGIMES] = {TEXTARRAYOID, "text[]"},
	[TE_KIND_RULE] = {TEXTOID, "text"},
	[TE_KIND_WEIGHTS] = {FLOAT8ARRAYOID, "double precision[]"},
};

const char *te_param_type(const TeParamInfo *info)
{
	return column_types[info->kind].name;
}

Oid te_param_type_oid(const TeParamInfo *info)
{
	return column_types[info->kind].oid;
}

void te_param_columns_resolve(TupleDesc desc, TeParamColumns *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < desc->natts; i++) {
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		int p = attribute->attisdropped ? -1 : te_param_find(NameStr(attribute->attname));

		if (p < 0)
			continue;
		if (attribute->atttypid != te_param_type_oid(&te_params[p]))
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
			                errmsg("column \"%s\" must be of type %s", te_params[p].name,
			                       te_param_type(&te_params[p]))));
		out->attnum[p] = attribute->attnum;
	}
}

static int compare_symbols(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *te_symbols_make(const char **symbols, int count, TeSymbols *out)
{
	*out = (TeSymbols){0};
	for (int i = 0; i < count; i++) {
		if (symbols[i][0] == '\0')
			return "must not contain an empty symbol";
		if (strcmp(symbols[i], "*") == 0)
			out->any = true;
	}
	if (out->any)
		return count == 1 ? NULL : "must have \"*\" alone";
	qsort(symbols, count, sizeof(*symbols), compare_symbols);
	out->count = qunique(symbols, count, sizeof(*symbols), compare_symbols);
	out->symbols = symbols;
	return NULL;
}

/* More than anybody trades: every version of a row holds the whole array. */
#define MAX_ELEMENTS 1000

/* The elements of a one-dimensional array without NULLs, or NULL and a reason. */
static Datum *array_elements(Datum value, Oid type, int *count, const char **reason)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Datum *elements;

	if (ARR_NDIM(array) > 1) {
		*reason = "must have one dimension";
		return NULL;
	}
	if (array_contains_nulls(array)) {
		*reason = "must not contain NULL";
		return NULL;
	}
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) > MAX_ELEMENTS) {
		*reason = psprintf("must not have more than %d elements", MAX_ELEMENTS);
		return NULL;
	}
	if (type == TEXTOID)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, count);
	else
		deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
		                  &elements, NULL, count);
	return elements;
}

static const char *read_symbols(Datum value, TeSymbols *out)
{
	const char *reason = NULL;
	int count;
	Datum *elements = array_elements(value, TEXTOID, &count, &reason);
	const char **symbols;

	if (elements == NULL)
		return reason;
	symbols = palloc_array(const char *, Max(count, 1));
	for (int i = 0; i < count; i++)
		symbols[i] = TextDatumGetCString(elements[i]);
	return te_symbols_make(symbols, count, out);
}

static const char *read_regimes(Datum value, uint8 *out)
{
	const char *reason = NULL;
	int count;
	Datum *elements = array_elements(value, TEXTOID, &count, &reason);

	if (elements == NULL)
		return reason;
	*out = 0;
	for (int i = 0; i < count; i++) {
		int regime = te_enum_value(&te_regime_enum, TextDatumGetCString(elements[i]));

		if (regime < 0)
			return "must contain only names of regimes";
		*out |= 1 << regime;
	}
	return NULL;
}

static const char *read_weights(Datum value, TeWeights *out)
{
	const char *reason = NULL;
	int count;
	Datum *elements = array_elements(value, FLOAT8OID, &count, &reason);

	if (elements == NULL)
		return reason;
	if (count != TE_WEIGHT_COUNT)
		return psprintf("must have %d elements", TE_WEIGHT_COUNT);
	for (int i = 0; i < count; i++)
		out->w[i] = DatumGetFloat8(elements[i]);
	return NULL;
}

static const char *read_label(Datum value, const TeEnum *labels, uint8 *out)
{
	int number = te_enum_value(labels, TextDatumGetCString(value));

	if (number < 0)
		return psprintf("is no %s", labels->name);
	*out = number;
	return NULL;
}

/* Read one column's value; returns a reason when it can't be read. */
static const char *read_value(const TeParamInfo *info, Datum value, TeStrategy *s)
{
	switch (info->kind) {
	case TE_KIND_BOOL:
		te_param_field(info, s, bool) = DatumGetBool(value);
		return NULL;
	case TE_KIND_INT:
		te_param_field(info, s, int32_t) = DatumGetInt32(value);
		return NULL;
	case TE_KIND_NUMBER:
		te_param_field(info, s, double) = DatumGetFloat8(value);
		return NULL;
	case TE_KIND_ENUM:
		return read_label(value, info->labels, &te_param_field(info, s, uint8_t));
	case TE_KIND_SYMBOLS:
		return read_symbols(value, &te_param_field(info, s, TeSymbols));
	case TE_KIND_REGIMES:
		return read_regimes(value, &te_param_field(info, s, uint8_t));
	case TE_KIND_RULE:
		te_param_field(info, s, const char *) = TextDatumGetCString(value);
		return NULL;
	case TE_KIND_WEIGHTS:
		return read_weights(value, &te_param_field(info, s, TeWeights));
	}
	pg_unreachable();
}

/* Values are shown up to here. */
#define SHOWN_BYTES 200

static const char *shorten(char *text)
{
	size_t length = strlen(text);

	if (length <= SHOWN_BYTES)
		return length > 0 ? text : "empty";
	text[pg_mbcliplen(text, length, SHOWN_BYTES)] = '\0';
	return psprintf("%s...", text);
}

static char *datum_text(const TeParamInfo *info, Datum value)
{
	Oid output;
	bool varlena;

	getTypeOutputInfo(te_param_type_oid(info), &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

/* What a parameter is, and the labels that it may have. */
static char *hint(const TeParamInfo *info)
{
	const TeEnum *labels = info->kind == TE_KIND_REGIMES ? &te_regime_enum : info->labels;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s: %s.", info->name, info->doc);
	for (int i = 0; labels != NULL && i < labels->count; i++)
		appendStringInfo(&text, "%s%s%s", i == 0 ? " Possible: " : ", ", labels->labels[i],
		                 i == labels->count - 1 ? "." : "");
	return text.data;
}

static void __attribute__((noreturn))
refuse(const TeParamInfo *info, const char *reason, char *value)
{
	ereport(ERROR,
	        (errcode(ERRCODE_CHECK_VIOLATION),
	         errmsg("invalid value for parameter \"%s\": %s", info->name, reason),
	         value != NULL ? errdetail("The value is %s.", shorten(value)) : 0,
	         errhint("%s", hint(info)), err_generic_string(PG_DIAG_COLUMN_NAME, info->name)));
}

void te_param_invalid(const char *name, const char *reason, const TeStrategy *values)
{
	const TeParamInfo *info = &te_params[te_param_find(name)];

	refuse(info, reason, te_param_text(info, values));
}

void te_param_set_from_values(const Datum *values, const bool *nulls, const TeParamColumns *columns,
                              TeParamSet *out)
{
	memset(out, 0, sizeof(*out));
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		int i = columns->attnum[p] - 1;
		const char *reason;

		if (i < 0 || nulls[i])
			continue;
		reason = read_value(&te_params[p], values[i], &out->values);
		if (reason != NULL)
			refuse(&te_params[p], reason, datum_text(&te_params[p], values[i]));
		out->set |= TE_PARAM_BIT(p);
	}
}

void te_param_set_from_tuple(HeapTuple tuple, TupleDesc desc, const TeParamColumns *columns,
                             TeParamSet *out)
{
	Datum *values = palloc_array(Datum, desc->natts);
	bool *nulls = palloc_array(bool, desc->natts);

	heap_deform_tuple(tuple, desc, values, nulls);
	te_param_set_from_values(values, nulls, columns, out);
	pfree(values);
	pfree(nulls);
}

static TupleDesc row_type(HeapTupleHeader row)
{
	return lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
}

static void read_row(HeapTupleHeader row, TupleDesc desc, const TeParamColumns *columns,
                     TeParamSet *out)
{
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};

	te_param_set_from_tuple(&tuple, desc, columns, out);
}

void te_param_set_from_row(HeapTupleHeader row, TeParamSet *out)
{
	TupleDesc desc = row_type(row);
	TeParamColumns columns;

	te_param_columns_resolve(desc, &columns);
	read_row(row, desc, &columns, out);
	ReleaseTupleDesc(desc);
}

typedef struct CachedColumns
{
	uint64 identifier; /* of the row type as it is now; 0: none yet */
	TeParamColumns columns;
} CachedColumns;

const TeParamColumns *te_param_columns_of_call(FunctionCallInfo fcinfo, int slot, TupleDesc desc)
{
	uint64 identifier = assign_record_type_identifier(desc->tdtypeid, desc->tdtypmod);
	CachedColumns *cache = fcinfo->flinfo->fn_extra;

	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(
			fcinfo->flinfo->fn_mcxt, (PG_NARGS() + 1) * sizeof(CachedColumns));
	cache += slot;
	if (cache->identifier != identifier) {
		te_param_columns_resolve(desc, &cache->columns);
		cache->identifier = identifier;
	}
	return &cache->columns;
}

void te_param_set_from_argument(FunctionCallInfo fcinfo, int argument, TeParamSet *out)
{
	HeapTupleHeader row;
	TupleDesc desc;

	if (PG_ARGISNULL(argument)) {
		*out = (TeParamSet){0};
		return;
	}
	row = PG_GETARG_HEAPTUPLEHEADER(argument);
	desc = row_type(row);
	read_row(row, desc, te_param_columns_of_call(fcinfo, argument, desc), out);
	ReleaseTupleDesc(desc);
}

static Datum text_array(Datum *elements, int count)
{
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum symbols_datum(const TeSymbols *symbols)
{
	Datum any = CStringGetTextDatum("*");
	Datum *elements;

	if (symbols->any)
		return text_array(&any, 1);
	elements = palloc_array(Datum, Max(symbols->count, 1));
	for (int i = 0; i < symbols->count; i++)
		elements[i] = CStringGetTextDatum(symbols->symbols[i]);
	return text_array(elements, symbols->count);
}

static Datum regimes_datum(uint8 regimes)
{
	Datum elements[TE_REGIME_COUNT];
	int count = 0;

	for (int i = 0; i < TE_REGIME_COUNT; i++) {
		if (regimes & (1 << i))
			elements[count++] = CStringGetTextDatum(te_regime_enum.labels[i]);
	}
	return text_array(elements, count);
}

static Datum weights_datum(const TeWeights *weights)
{
	Datum elements[TE_WEIGHT_COUNT];

	for (int i = 0; i < TE_WEIGHT_COUNT; i++)
		elements[i] = Float8GetDatum(weights->w[i]);
	return PointerGetDatum(construct_array(elements, TE_WEIGHT_COUNT, FLOAT8OID, sizeof(float8),
	                                       FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum te_param_datum(const TeParamInfo *info, const TeStrategy *s, bool *isnull)
{
	const char *rule;

	*isnull = false;
	switch (info->kind) {
	case TE_KIND_BOOL:
		return BoolGetDatum(te_param_const_field(info, s, bool));
	case TE_KIND_INT:
		return Int32GetDatum(te_param_const_field(info, s, int32_t));
	case TE_KIND_NUMBER:
		return Float8GetDatum(te_param_const_field(info, s, double));
	case TE_KIND_ENUM:
		return CStringGetTextDatum(info->labels->labels[te_param_const_field(info, s, uint8_t)]);
	case TE_KIND_SYMBOLS:
		return symbols_datum(&te_param_const_field(info, s, TeSymbols));
	case TE_KIND_REGIMES:
		return regimes_datum(te_param_const_field(info, s, uint8_t));
	case TE_KIND_RULE:
		rule = te_param_const_field(info, s, const char *);
		*isnull = rule == NULL;
		return *isnull ? (Datum)0 : CStringGetTextDatum(rule);
	case TE_KIND_WEIGHTS:
		return weights_datum(&te_param_const_field(info, s, TeWeights));
	}
	pg_unreachable();
}

char *te_param_text(const TeParamInfo *info, const TeStrategy *s)
{
	Datum value;
	bool isnull;

	if (info->kind == TE_KIND_BOOL)
		return pstrdup(te_param_const_field(info, s, bool) ? "true" : "false");
	value = te_param_datum(info, s, &isnull);
	return isnull ? NULL : datum_text(info, value);
}
