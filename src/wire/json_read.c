/*
 * json_read.c - JSON to a protobuf message; see json.h.
 */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "json_fields.h"
#include "rfc3339.h"

typedef struct Reader
{
	TeArena *arena;
	TeWireError *err;
} Reader;

static bool no_memory(const Reader *r)
{
	return te_wire_fail(r->err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
}

static bool wrong_type(const Reader *r, const char *wanted)
{
	return te_wire_fail(r->err, TE_WIRE_INVALID_FIELD, NULL, "must be %s", wanted);
}

static bool out_of_range(const Reader *r)
{
	return te_wire_fail(r->err, TE_WIRE_INVALID_FIELD, NULL, "is out of range");
}

/* A decimal number in text, of which every character counts. */
static bool text_to_signed(const char *text, int64_t *out)
{
	char *end;

	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static bool text_to_unsigned(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* A whole number that JSON has as an integer, as a real such as 5.0, or as text. */
static bool read_signed(const Reader *r, const json_t *value, int64_t *out)
{
	double real = json_real_value(value);

	if (json_is_integer(value)) {
		*out = json_integer_value(value);
		return true;
	}
	if (json_is_string(value))
		return text_to_signed(json_string_value(value), out) || wrong_type(r, "a whole number");
	if (!json_is_real(value) || real != floor(real))
		return wrong_type(r, "a whole number");
	if (fabs(real) > (double)TE_JSON_EXACT)
		return out_of_range(r);
	*out = (int64_t)real;
	return true;
}

static bool read_unsigned(const Reader *r, const json_t *value, uint64_t *out)
{
	int64_t number = 0;

	if (json_is_string(value))
		return text_to_unsigned(json_string_value(value), out) ||
		       wrong_type(r, "a whole number >= 0");
	if (!read_signed(r, value, &number))
		return false;
	if (number < 0)
		return out_of_range(r);
	*out = (uint64_t)number;
	return true;
}

static bool read_time(const Reader *r, const json_t *value, int64_t *out)
{
	if (!json_is_string(value) || text_to_signed(json_string_value(value), out))
		return read_signed(r, value, out);
	return te_rfc3339_parse(json_string_value(value), out) ||
	       wrong_type(r, "a time in RFC 3339 with an offset, or microseconds since 1970");
}

static bool read_double(const Reader *r, const json_t *value, double *out)
{
	if (!json_is_number(value))
		return wrong_type(r, "a number");
	*out = json_number_value(value);
	return isfinite(*out) || out_of_range(r);
}

static bool read_float(const Reader *r, const json_t *value, float *out)
{
	double number = 0;

	if (!read_double(r, value, &number))
		return false;
	*out = (float)number;
	return isfinite(*out) || out_of_range(r);
}

static bool read_text(const Reader *r, const json_t *value, char **out)
{
	if (!json_is_string(value))
		return wrong_type(r, "a text");
	*out = te_arena_strndup(r->arena, json_string_value(value), json_string_length(value));
	return *out != NULL || no_memory(r);
}

static bool read_enum(const Reader *r, const ProtobufCEnumDescriptor *e, const json_t *value,
                      int *out)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		return wrong_type(r, "a text");
	for (unsigned i = 0; i < e->n_value_names; i++) {
		const char *name = e->values_by_name[i].name;

		if (strcmp(text, name) == 0 || strcmp(text, te_json_enum_label(e, name)) == 0) {
			*out = e->values[e->values_by_name[i].index].value;
			return true;
		}
	}
	return te_wire_fail(r->err, TE_WIRE_INVALID_FIELD, NULL, "unknown value \"%.64s\"", text);
}

/* Value of a base64 digit, -1 for anything else. */
static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* RFC 4648 with padding; unused bits have to be 0, so that there is one text for one value. */
static bool read_bytes(const Reader *r, const json_t *value, ProtobufCBinaryData *out)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	size_t padding = 0;
	uint32_t bits = 0;

	if (text == NULL)
		return wrong_type(r, "a text in base64");
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	if (len % 4 != 0)
		return wrong_type(r, "a text in base64");
	out->data = te_arena_alloc(r->arena, len / 4 * 3);
	if (out->data == NULL)
		return no_memory(r);
	out->len = 0;
	for (size_t i = 0; i < len; i++) {
		int digit = i < len - padding ? base64_digit(text[i]) : 0;

		if (digit < 0)
			return wrong_type(r, "a text in base64");
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 == 3)
			for (int shift = 16; shift >= 0; shift -= 8)
				out->data[out->len++] = (uint8_t)(bits >> shift);
	}
	for (size_t i = 0; i < padding; i++)
		if (out->data[--out->len] != 0)
			return wrong_type(r, "a text in base64");
	return true;
}

static bool read_message(const Reader *r, const ProtobufCMessageDescriptor *d, const json_t *object,
                         int depth, ProtobufCMessage **out);

static bool read_int32(const Reader *r, const json_t *value, int32_t *out)
{
	int64_t number = 0;

	if (!read_signed(r, value, &number))
		return false;
	if (number < INT32_MIN || number > INT32_MAX)
		return out_of_range(r);
	*out = (int32_t)number;
	return true;
}

static bool read_uint32(const Reader *r, const json_t *value, uint32_t *out)
{
	uint64_t number = 0;

	if (!read_unsigned(r, value, &number))
		return false;
	if (number > UINT32_MAX)
		return out_of_range(r);
	*out = (uint32_t)number;
	return true;
}

static bool read_bool(const Reader *r, const json_t *value, protobuf_c_boolean *out)
{
	if (!json_is_boolean(value))
		return wrong_type(r, "true or false");
	*out = json_is_true(value);
	return true;
}

/* One value of a field, or one element of a repeated field, to where it belongs. */
static bool read_value(const Reader *r, const ProtobufCFieldDescriptor *f, const json_t *value,
                       int depth, void *to)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return read_int32(r, value, to);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return read_uint32(r, value, to);
	case PROTOBUF_C_TYPE_INT64:
		return te_json_is_time(f) ? read_time(r, value, to) : read_signed(r, value, to);
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return read_signed(r, value, to);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_unsigned(r, value, to);
	case PROTOBUF_C_TYPE_FLOAT:
		return read_float(r, value, to);
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_double(r, value, to);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(r, value, to);
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(r, f->descriptor, value, to);
	case PROTOBUF_C_TYPE_STRING:
		return read_text(r, value, to);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(r, value, to);
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_message(r, f->descriptor, value, depth + 1, to);
	}
	return wrong_type(r, "of a known type");
}

static bool read_repeated(const Reader *r, const ProtobufCFieldDescriptor *f, const json_t *array,
                          int depth, ProtobufCMessage *message)
{
	size_t count = json_array_size(array);
	size_t size = te_json_element_size(f->type);
	char *elements;

	if (!json_is_array(array)) {
		wrong_type(r, "an array");
		te_wire_fail_within(r->err, "%s", f->name);
		return false;
	}
	if ((elements = te_arena_array(r->arena, count, size)) == NULL)
		return no_memory(r);
	for (size_t i = 0; i < count; i++)
		if (!read_value(r, f, json_array_get(array, i), depth, elements + i * size)) {
			te_wire_fail_within(r->err, "%s[%zu]", f->name, i);
			return false;
		}
	*TE_JSON_MEMBER(size_t, message, f->quantifier_offset) = count;
	*TE_JSON_MEMBER(void *, message, f->offset) = elements;
	return true;
}

static bool read_field(const Reader *r, const ProtobufCFieldDescriptor *f, const json_t *value,
                       int depth, ProtobufCMessage *message)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return read_repeated(r, f, value, depth, message);
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
		uint32_t *which = TE_JSON_MEMBER(uint32_t, message, f->quantifier_offset);

		if (*which != 0)
			return te_wire_fail(r->err, TE_WIRE_DUPLICATE_FIELD, f->name,
			                    "excludes another field that is there");
		*which = f->id;
	} else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_STRING &&
	           f->type != PROTOBUF_C_TYPE_MESSAGE) {
		*TE_JSON_MEMBER(protobuf_c_boolean, message, f->quantifier_offset) = 1;
	}
	if (!read_value(r, f, value, depth, TE_JSON_MEMBER(void, message, f->offset))) {
		te_wire_fail_within(r->err, "%s", f->name);
		return false;
	}
	return true;
}

static bool read_message(const Reader *r, const ProtobufCMessageDescriptor *d, const json_t *object,
                         int depth, ProtobufCMessage **out)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return wrong_type(r, "an object");
	if (depth >= TE_JSON_MAX_DEPTH)
		return te_wire_fail(r->err, TE_WIRE_TOO_DEEP, NULL, "is nested too deeply");
	if ((*out = te_arena_zalloc(r->arena, d->sizeof_message)) == NULL)
		return no_memory(r);
	d->message_init(*out);
	json_object_foreach((json_t *)object, key, value)
	{
		const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(d, key);

		if (f == NULL)
			return te_wire_fail(r->err, TE_WIRE_UNKNOWN_FIELD, key, "is not a field of %s",
			                    d->short_name);
		if (!read_field(r, f, value, depth, *out))
			return false;
	}
	return true;
}

/* What jansson says; it quotes a key that comes twice as: near '"key"'. */
static bool refuse_json(const json_error_t *error, TeWireError *err)
{
	const char *near = strstr(error->text, " near '\"");
	char key[TE_WIRE_FIELD_MAX] = "";

	if (json_error_code(error) != json_error_duplicate_key)
		return te_wire_fail(err, TE_WIRE_INVALID_JSON, NULL, "line %d, column %d: %s", error->line,
		                    error->column, error->text);
	if (near != NULL) {
		const char *begin = near + strlen(" near '\"");
		size_t len = strcspn(begin, "\"");

		if (len < sizeof(key)) {
			memcpy(key, begin, len);
			key[len] = '\0';
		}
	}
	return te_wire_fail(err, TE_WIRE_DUPLICATE_FIELD, key, "comes twice, at line %d, column %d",
	                    error->line, error->column);
}

bool te_json_to_message(const ProtobufCMessageDescriptor *descriptor, const char *json, size_t len,
                        TeArena *arena, ProtobufCMessage **message, TeWireError *err)
{
	Reader reader = {.arena = arena, .err = err};
	json_error_t error;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	bool sound;

	*message = NULL;
	/* A whole number beyond 64 bits may be a price; where it isn't, reading the field names it. */
	if (root == NULL && json_error_code(&error) == json_error_numeric_overflow)
		root = json_loadb(json, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
	if (root == NULL)
		return refuse_json(&error, err);
	sound = read_message(&reader, descriptor, root, 0, message);
	json_decref(root);
	return sound;
}
