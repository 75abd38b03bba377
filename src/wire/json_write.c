/*
 * json_write.c - a protobuf message to JSON; see json.h.
 */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "rfc3339.h"
#include "scan.h"

#define FIRST_CAPACITY 1024
#define NUMBER_SIZE 40

/* Text that grows in the arena. */
typedef struct Writer
{
	TeArena *arena;
	TeWireError *err;
	char *text;
	size_t len, capacity;
} Writer;

static bool put(Writer *w, const char *text, size_t len)
{
	if (w->capacity - w->len <= len) {
		size_t capacity = w->capacity > 0 ? w->capacity : FIRST_CAPACITY;
		char *grown;

		while (capacity - w->len <= len) {
			if (capacity > SIZE_MAX / 2)
				return te_wire_fail(w->err, TE_WIRE_NO_MEMORY, NULL, "the text is too long");
			capacity *= 2;
		}
		if ((grown = te_arena_alloc(w->arena, capacity)) == NULL)
			return te_wire_fail(w->err, TE_WIRE_NO_MEMORY, NULL, "the text is too long");
		if (w->len > 0)
			memcpy(grown, w->text, w->len);
		w->text = grown;
		w->capacity = capacity;
	}
	memcpy(w->text + w->len, text, len);
	w->len += len;
	w->text[w->len] = '\0';
	return true;
}

static bool put_text(Writer *w, const char *text)
{
	return put(w, text, strlen(text));
}

static bool put_quoted(Writer *w, const char *text)
{
	size_t len = strlen(text);
	size_t begin = 0;

	if (!te_utf8_valid((const uint8_t *)text, len))
		return te_wire_fail(w->err, TE_WIRE_INVALID_FIELD, NULL, "is not valid UTF-8 text");
	if (!put(w, "\"", 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		char escape[8];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (c < 0x20)
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)c);
		else
			snprintf(escape, sizeof(escape), "\\%c", c);
		if (!put(w, text + begin, i - begin) || !put_text(w, escape))
			return false;
		begin = i + 1;
	}
	return put(w, text + begin, len - begin) && put(w, "\"", 1);
}

/* A text that reads back as the same number, with 17 digits only where it needs them. */
static bool put_double(Writer *w, double value)
{
	char text[NUMBER_SIZE];

	if (!isfinite(value))
		return te_wire_fail(w->err, TE_WIRE_INVALID_FIELD, NULL, "is not a finite number");
	if (value == 0)
		return put_text(w, signbit(value) ? "-0.0" : "0");
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return put_text(w, text);
}

static bool put_float(Writer *w, float value)
{
	char text[NUMBER_SIZE];

	if (!isfinite(value))
		return te_wire_fail(w->err, TE_WIRE_INVALID_FIELD, NULL, "is not a finite number");
	if (value == 0)
		return put_text(w, signbit(value) ? "-0.0" : "0");
	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	return put_text(w, text);
}

/* As a number while every reader has it exactly, beyond that as text. */
static bool put_signed(Writer *w, int64_t value)
{
	char text[NUMBER_SIZE];
	const char *quote = value > TE_JSON_EXACT || value < -TE_JSON_EXACT ? "\"" : "";

	snprintf(text, sizeof(text), "%s%" PRId64 "%s", quote, value, quote);
	return put_text(w, text);
}

static bool put_unsigned(Writer *w, uint64_t value)
{
	char text[NUMBER_SIZE];
	const char *quote = value > (uint64_t)TE_JSON_EXACT ? "\"" : "";

	snprintf(text, sizeof(text), "%s%" PRIu64 "%s", quote, value, quote);
	return put_text(w, text);
}

static bool put_time(Writer *w, int64_t value)
{
	char text[TE_RFC3339_SIZE];

	return te_rfc3339_format(value, text) ? put_quoted(w, text) : put_signed(w, value);
}

static bool put_enum(Writer *w, const ProtobufCEnumDescriptor *e, int value)
{
	const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(e, value);

	if (found == NULL)
		return te_wire_fail(w->err, TE_WIRE_INVALID_FIELD, NULL, "unknown value %d", value);
	return put_quoted(w, te_json_enum_label(e, found->name));
}

static bool put_bytes(Writer *w, const ProtobufCBinaryData *bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *at = bytes->data;
	size_t left = bytes->len;

	if (!put(w, "\"", 1))
		return false;
	while (left > 0) {
		size_t n = left < 3 ? left : 3;
		uint32_t bits = (uint32_t)at[0] << 16 | (n > 1 ? (uint32_t)at[1] << 8 : 0) |
		                (n > 2 ? (uint32_t)at[2] : 0);
		char four[4] = {digits[bits >> 18 & 63], digits[bits >> 12 & 63],
		                n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '='};

		if (!put(w, four, sizeof(four)))
			return false;
		at += n;
		left -= n;
	}
	return put(w, "\"", 1);
}

static bool put_message(Writer *w, const ProtobufCMessage *message, int depth);

static bool put_value(Writer *w, const ProtobufCFieldDescriptor *f, const void *at, int depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return put_signed(w, *(const int32_t *)at);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return put_unsigned(w, *(const uint32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
		return te_json_is_time(f) ? put_time(w, *(const int64_t *)at)
		                          : put_signed(w, *(const int64_t *)at);
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return put_signed(w, *(const int64_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return put_unsigned(w, *(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return put_float(w, *(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return put_double(w, *(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return put_text(w, *(const protobuf_c_boolean *)at ? "true" : "false");
	case PROTOBUF_C_TYPE_ENUM:
		return put_enum(w, f->descriptor, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING:
		return put_quoted(w, *(const char *const *)at);
	case PROTOBUF_C_TYPE_BYTES:
		return put_bytes(w, at);
	case PROTOBUF_C_TYPE_MESSAGE:
		return put_message(w, *(ProtobufCMessage *const *)at, depth + 1);
	}
	return te_wire_fail(w->err, TE_WIRE_INVALID_FIELD, NULL, "has no known type");
}

/* Whether a field of proto3 without presence has its default, and is left out. */
static bool is_default(const ProtobufCFieldDescriptor *f, const void *at)
{
	static const char zeros[8];

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return *(const char *const *)at == NULL || **(const char *const *)at == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)at)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(ProtobufCMessage *const *)at == NULL;
	default:
		return memcmp(at, zeros, te_json_element_size(f->type)) == 0;
	}
}

static bool is_present(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message)
{
	const void *at = TE_JSON_MEMBER(const void, message, f->offset);

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *TE_JSON_MEMBER(const size_t, message, f->quantifier_offset) > 0;
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
		return *TE_JSON_MEMBER(const uint32_t, message, f->quantifier_offset) == f->id;
	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_STRING &&
	    f->type != PROTOBUF_C_TYPE_MESSAGE)
		return *TE_JSON_MEMBER(const protobuf_c_boolean, message, f->quantifier_offset) != 0;
	return !is_default(f, at);
}

static bool put_array(Writer *w, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message,
                      int depth)
{
	size_t count = *TE_JSON_MEMBER(const size_t, message, f->quantifier_offset);
	const char *elements = *TE_JSON_MEMBER(const char *const, message, f->offset);

	if (!put(w, "[", 1))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && !put(w, ",", 1))
			return false;
		if (!put_value(w, f, elements + i * te_json_element_size(f->type), depth)) {
			te_wire_fail_within(w->err, "%s[%zu]", f->name, i);
			return false;
		}
	}
	return put(w, "]", 1);
}

static bool put_field(Writer *w, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message,
                      int depth)
{
	if (!put_quoted(w, f->name) || !put(w, ":", 1))
		return false;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return put_array(w, f, message, depth);
	if (put_value(w, f, TE_JSON_MEMBER(const void, message, f->offset), depth))
		return true;
	te_wire_fail_within(w->err, "%s", f->name);
	return false;
}

static bool put_message(Writer *w, const ProtobufCMessage *message, int depth)
{
	const ProtobufCMessageDescriptor *d = message->descriptor;
	bool first = true;

	if (depth >= TE_JSON_MAX_DEPTH)
		return te_wire_fail(w->err, TE_WIRE_TOO_DEEP, NULL, "is nested too deeply");
	if (!put(w, "{", 1))
		return false;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		if (!is_present(f, message))
			continue;
		if ((!first && !put(w, ",", 1)) || !put_field(w, f, message, depth))
			return false;
		first = false;
	}
	return put(w, "}", 1);
}

bool te_message_to_json(const ProtobufCMessage *message, TeArena *arena, const char **json,
                        size_t *len, TeWireError *err)
{
	Writer writer = {.arena = arena, .err = err};

	if (!put_message(&writer, message, 0))
		return false;
	*json = writer.text;
	*len = writer.len;
	return true;
}
