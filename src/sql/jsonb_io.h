/*
 * jsonb_io.h - between jsonb and plain C values, without losing a bit.
 *
 * A number is read as the double nearest to its decimal text, and written as
 * the shortest decimal that reads back as the same double.
 */
#ifndef TE_SQL_JSONB_IO_H
#define TE_SQL_JSONB_IO_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "core/types.h"

/* Raise 22023: invalid value for "<key>": <reason>. */
extern void te_invalid_value(const char *key, const char *reason) __attribute__((noreturn));

/* Raise 22023: unknown key "<key>". */
extern void te_unknown_key(const char *key) __attribute__((noreturn));

/* Read a value of the named key, or raise 22023. */
extern double te_jsonb_number(const char *key, const JsonbValue *value);
extern int64 te_jsonb_integer(const char *key, const JsonbValue *value);
extern bool te_jsonb_bool(const char *key, const JsonbValue *value);
extern char *te_jsonb_text(const char *key, const JsonbValue *value);
extern TeTime te_jsonb_time(const char *key, const JsonbValue *value);
extern int te_jsonb_enum(const char *key, const JsonbValue *value, const TeEnum *labels);
extern JsonbContainer *te_jsonb_object(const char *key, const JsonbValue *value);
extern JsonbContainer *te_jsonb_array(const char *key, const JsonbValue *value);

/* The root of a jsonb argument that has to be an object. */
extern JsonbContainer *te_jsonb_root_object(const char *key, Jsonb *jsonb);

/* A jsonb value in the making. */
typedef struct TeJsonbWriter
{
	JsonbParseState *state;
	JsonbValue *result;
} TeJsonbWriter;

extern void te_jsonb_begin_object(TeJsonbWriter *w);
extern void te_jsonb_end_object(TeJsonbWriter *w);
extern void te_jsonb_begin_array(TeJsonbWriter *w);
extern void te_jsonb_end_array(TeJsonbWriter *w);
extern void te_jsonb_key(TeJsonbWriter *w, const char *key);

/* A value: after te_jsonb_key in an object, by itself in an array. */
extern void te_jsonb_put_number(TeJsonbWriter *w, double value);
extern void te_jsonb_put_integer(TeJsonbWriter *w, int64 value);
extern void te_jsonb_put_bool(TeJsonbWriter *w, bool value);
extern void te_jsonb_put_text(TeJsonbWriter *w, const char *value);
extern void te_jsonb_put_time(TeJsonbWriter *w, TeTime value);
extern void te_jsonb_put_regimes(TeJsonbWriter *w, uint8 regimes);
extern void te_jsonb_put_jsonb(TeJsonbWriter *w, Jsonb *value);

/* A key with its value, or neither when the value is absent (NAN, NULL, TE_NO_TIME). */
extern void te_jsonb_number_field(TeJsonbWriter *w, const char *key, double value);
extern void te_jsonb_text_field(TeJsonbWriter *w, const char *key, const char *value);
extern void te_jsonb_time_field(TeJsonbWriter *w, const char *key, TeTime value);

#endif
