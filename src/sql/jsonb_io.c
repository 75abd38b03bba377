/*
 * jsonb_io.c - between jsonb and plain C values.
 */
#include "sql/jsonb_io.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "wire/rfc3339.h"

void te_invalid_value(const char *key, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("invalid value for \"%s\": %s", key, reason)));
}

void te_unknown_key(const char *key)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown key \"%s\"", key)));
}

static const char *type_name(const JsonbValue *value)
{
	switch (value->type) {
	case jbvNull:
		return "null";
	case jbvString:
		return "a string";
	case jbvNumeric:
		return "a number";
	case jbvBool:
		return "a boolean";
	case jbvBinary:
		return JsonContainerIsObject(value->val.binary.data) ? "an object" : "an array";
	default:
		return "something else";
	}
}

static void wrong_type(const char *key, const char *wanted, const JsonbValue *value)
{
	ereport(ERROR,
	        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	         errmsg("invalid value for \"%s\": must be %s, not %s", key, wanted, type_name(value)),
	         value->type == jbvNull
	             ? errhint("Leave out a key that has no value; jsonb_strip_nulls() does so.")
	             : 0));
}

static char *number_text(const char *key, const char *wanted, const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		wrong_type(key, wanted, value);
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
}

double te_jsonb_number(const char *key, const JsonbValue *value)
{
	double number = strtod(number_text(key, "a number", value), NULL);

	if (!isfinite(number))
		te_invalid_value(key, "must be in the range of double precision");
	return number;
}

/* An integer; one beyond 64 bits saturates, because no range reaches that far. */
int64 te_jsonb_integer(const char *key, const JsonbValue *value)
{
	const char *text = number_text(key, "an integer", value);
	const char *point = strchr(text, '.');
	double number;

	if (point != NULL && point[1 + strspn(point + 1, "0")] != '\0')
		te_invalid_value(key, "must be an integer");
	number = strtod(text, NULL);
	if (number >= 9223372036854775808.0)
		return PG_INT64_MAX;
	if (number < -9223372036854775808.0)
		return PG_INT64_MIN;
	return strtoll(text, NULL, 10);
}

bool te_jsonb_bool(const char *key, const JsonbValue *value)
{
	if (value->type != jbvBool)
		wrong_type(key, "a boolean", value);
	return value->val.boolean;
}

char *te_jsonb_text(const char *key, const JsonbValue *value)
{
	if (value->type != jbvString)
		wrong_type(key, "a string", value);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

TeTime te_jsonb_time(const char *key, const JsonbValue *value)
{
	TeTime time;

	if (value->type != jbvString)
		wrong_type(key, "a timestamp string", value);
	if (!te_rfc3339_parse(te_jsonb_text(key, value), &time))
		te_invalid_value(
			key, "must be an RFC 3339 timestamp with an offset and at most six digits of a second, "
				 "such as 2012-02-01T00:00:00Z");
	return time;
}

int te_jsonb_enum(const char *key, const JsonbValue *value, const TeEnum *labels)
{
	int number = te_enum_value(labels, te_jsonb_text(key, value));
	StringInfoData reason;

	if (number >= 0)
		return number;
	initStringInfo(&reason);
	appendStringInfoString(&reason, "must be one of ");
	for (int i = 0; i < labels->count; i++)
		appendStringInfo(&reason, "%s%s", i > 0 ? ", " : "", labels->labels[i]);
	te_invalid_value(key, reason.data);
}

JsonbContainer *te_jsonb_object(const char *key, const JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		wrong_type(key, "an object", value);
	return value->val.binary.data;
}

JsonbContainer *te_jsonb_array(const char *key, const JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		wrong_type(key, "an array", value);
	return value->val.binary.data;
}

JsonbContainer *te_jsonb_root_object(const char *key, Jsonb *jsonb)
{
	JsonbValue value;

	if (JB_ROOT_IS_SCALAR(jsonb)) {
		JsonbExtractScalar(&jsonb->root, &value);
		wrong_type(key, "an object", &value);
	}
	value.type = jbvBinary;
	value.val.binary.data = &jsonb->root;
	return te_jsonb_object(key, &value);
}

/* Add a finished value, as a field's value or as an element, whichever the place asks for. */
static void put(TeJsonbWriter *w, JsonbValue *value)
{
	bool in_array = w->state->contVal.type == jbvArray;

	pushJsonbValue(&w->state, in_array ? WJB_ELEM : WJB_VALUE, value);
}

void te_jsonb_begin_object(TeJsonbWriter *w)
{
	pushJsonbValue(&w->state, WJB_BEGIN_OBJECT, NULL);
}

void te_jsonb_end_object(TeJsonbWriter *w)
{
	w->result = pushJsonbValue(&w->state, WJB_END_OBJECT, NULL);
}

void te_jsonb_begin_array(TeJsonbWriter *w)
{
	pushJsonbValue(&w->state, WJB_BEGIN_ARRAY, NULL);
}

void te_jsonb_end_array(TeJsonbWriter *w)
{
	w->result = pushJsonbValue(&w->state, WJB_END_ARRAY, NULL);
}

/* The text is referred to, not copied, until the jsonb is made. */
static JsonbValue string_value(const char *text)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	return value;
}

void te_jsonb_key(TeJsonbWriter *w, const char *key)
{
	JsonbValue value = string_value(key);

	pushJsonbValue(&w->state, WJB_KEY, &value);
}

static void put_numeric(TeJsonbWriter *w, char *text)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = DatumGetNumeric(DirectFunctionCall3(
		numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	put(w, &value);
}

void te_jsonb_put_number(TeJsonbWriter *w, double value)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (!isfinite(value))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
		                errmsg("a result is beyond double precision")));
	double_to_shortest_decimal_buf(value, text);
	put_numeric(w, text);
}

void te_jsonb_put_integer(TeJsonbWriter *w, int64 value)
{
	JsonbValue number = {.type = jbvNumeric};

	number.val.numeric = int64_to_numeric(value);
	put(w, &number);
}

void te_jsonb_put_bool(TeJsonbWriter *w, bool value)
{
	JsonbValue boolean = {.type = jbvBool};

	boolean.val.boolean = value;
	put(w, &boolean);
}

void te_jsonb_put_text(TeJsonbWriter *w, const char *text)
{
	JsonbValue value = string_value(text);

	put(w, &value);
}

void te_jsonb_put_time(TeJsonbWriter *w, TeTime time)
{
	char *text = palloc(TE_RFC3339_SIZE);

	if (!te_rfc3339_format(time, text))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
		                errmsg("a time is beyond the year 9999")));
	te_jsonb_put_text(w, text);
}

void te_jsonb_put_regimes(TeJsonbWriter *w, uint8 regimes)
{
	te_jsonb_begin_array(w);
	for (int i = 0; i < te_regime_enum.count; i++) {
		if (regimes & (1 << i))
			te_jsonb_put_text(w, te_regime_enum.labels[i]);
	}
	te_jsonb_end_array(w);
}

void te_jsonb_put_jsonb(TeJsonbWriter *w, Jsonb *value)
{
	JsonbValue binary;

	binary.type = jbvBinary;
	binary.val.binary.data = &value->root;
	binary.val.binary.len = VARSIZE(value) - VARHDRSZ;
	pushJsonbValue(&w->state, WJB_VALUE, &binary);
}

void te_jsonb_number_field(TeJsonbWriter *w, const char *key, double value)
{
	if (!te_known(value))
		return;
	te_jsonb_key(w, key);
	te_jsonb_put_number(w, value);
}

void te_jsonb_text_field(TeJsonbWriter *w, const char *key, const char *value)
{
	if (value == NULL)
		return;
	te_jsonb_key(w, key);
	te_jsonb_put_text(w, value);
}

void te_jsonb_time_field(TeJsonbWriter *w, const char *key, TeTime value)
{
	if (value == TE_NO_TIME)
		return;
	te_jsonb_key(w, key);
	te_jsonb_put_time(w, value);
}
