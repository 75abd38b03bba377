/*
 * scan.c - see scan.h.
 */
#include "scan.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Deeper than any message of proto/; none of them contains itself. */
#define MAX_DEPTH 12
#define MAX_FIELDS 80

bool te_utf8_valid(const uint8_t *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint8_t c = text[i];
		uint8_t low = 0x80, high = 0xBF; /* bounds of the second byte */
		size_t more;

		if (c == 0)
			return false;
		if (c < 0x80) {
			i++;
			continue;
		}
		if (c >= 0xC2 && c <= 0xDF)
			more = 1;
		else if (c >= 0xE0 && c <= 0xEF)
			more = 2;
		else if (c >= 0xF0 && c <= 0xF4)
			more = 3;
		else
			return false;
		if (c == 0xE0)
			low = 0xA0; /* shorter form exists */
		else if (c == 0xED)
			high = 0x9F; /* surrogates */
		else if (c == 0xF0)
			low = 0x90;
		else if (c == 0xF4)
			high = 0x8F; /* beyond U+10FFFF */
		if (len - i <= more || text[i + 1] < low || text[i + 1] > high)
			return false;
		for (size_t k = 2; k <= more; k++)
			if ((text[i + k] & 0xC0) != 0x80)
				return false;
		i += more + 1;
	}
	return true;
}

void te_scan_begin(TeScan *scan, const uint8_t *data, size_t len)
{
	scan->at = data;
	scan->end = len > 0 ? data + len : data;
}

static bool varint(TeScan *scan, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (scan->at == scan->end)
			return false;
		byte = *scan->at++;
		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if ((byte & 0x80) == 0) {
			*out = value;
			return true;
		}
	}
	return false;
}

static bool fixed(TeScan *scan, unsigned bytes, uint64_t *out)
{
	if ((size_t)(scan->end - scan->at) < bytes)
		return false;
	*out = 0;
	for (unsigned i = 0; i < bytes; i++)
		*out |= (uint64_t)scan->at[i] << (8 * i);
	scan->at += bytes;
	return true;
}

static bool field_value(TeScan *scan, TeScanField *field)
{
	switch (field->type) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		return varint(scan, &field->value);
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		return fixed(scan, 8, &field->value);
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		return fixed(scan, 4, &field->value);
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!varint(scan, &field->value) || field->value > (uint64_t)(scan->end - scan->at))
			return false;
		field->data = scan->at;
		field->len = (size_t)field->value;
		scan->at += field->len;
		return true;
	}
	return false; /* groups, which proto3 doesn't have, and numbers that mean nothing */
}

int te_scan_next(TeScan *scan, TeScanField *field)
{
	uint64_t tag;

	if (scan->at == scan->end)
		return 0;
	memset(field, 0, sizeof(*field));
	field->begin = scan->at;
	/* A tag has 29 bits of number and 3 of type; protobuf-c reads five bytes of it. */
	if (!varint(scan, &tag) || tag > UINT32_MAX || tag >> 3 == 0 || scan->at - field->begin > 5)
		return -1;
	field->number = (uint32_t)(tag >> 3);
	field->type = (ProtobufCWireType)(tag & 7);
	return field_value(scan, field) ? 1 : -1;
}

static ProtobufCWireType wire_type_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return PROTOBUF_C_WIRE_TYPE_32BIT;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return PROTOBUF_C_WIRE_TYPE_64BIT;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	default:
		return PROTOBUF_C_WIRE_TYPE_VARINT;
	}
}

/* Name the field (and the element of a repeated one) in an error that speaks of what is in it. */
static bool within(const ProtobufCFieldDescriptor *f, size_t index, TeWireError *err)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		te_wire_fail_within(err, "%s[%zu]", f->name, index);
	else
		te_wire_fail_within(err, "%s", f->name);
	return false;
}

/* A number: whether its value is one that the type has. */
static bool check_number(const ProtobufCFieldDescriptor *f, uint64_t value, TeWireError *err)
{
	double d;
	float s;
	uint32_t bits;

	switch (f->type) {
	case PROTOBUF_C_TYPE_DOUBLE:
		memcpy(&d, &value, sizeof(d));
		return isfinite(d) ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "is not a finite number");
	case PROTOBUF_C_TYPE_FLOAT:
		bits = (uint32_t)value;
		memcpy(&s, &bits, sizeof(s));
		return isfinite(s) ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "is not a finite number");
	case PROTOBUF_C_TYPE_ENUM:
		if ((int64_t)value >= INT32_MIN && (int64_t)value <= INT32_MAX &&
		    protobuf_c_enum_descriptor_get_value(f->descriptor, (int)(int64_t)value) != NULL)
			return true;
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "unknown value %" PRId64,
		                    (int64_t)value);
	case PROTOBUF_C_TYPE_BOOL:
		return value <= 1 ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "is neither true nor false");
	case PROTOBUF_C_TYPE_INT32:
		return ((int64_t)value >= INT32_MIN && (int64_t)value <= INT32_MAX) ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "has more than 32 bits");
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		return value <= UINT32_MAX ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "has more than 32 bits");
	default:
		return true;
	}
}

/* Elements of a packed field; "count" goes on from where it is. */
static bool check_packed(const ProtobufCFieldDescriptor *f, const TeScanField *field, size_t *count,
                         size_t max_repeated, TeWireError *err)
{
	ProtobufCWireType type = wire_type_of(f->type);
	TeScan scan;

	te_scan_begin(&scan, field->data, field->len);
	while (scan.at < scan.end) {
		TeScanField element = {.type = type};

		if (*count >= max_repeated)
			return te_wire_fail(err, TE_WIRE_TOO_MANY, f->name, "more than %zu elements",
			                    max_repeated);
		if (!field_value(&scan, &element)) {
			te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "is cut off");
			return within(f, *count, err);
		}
		if (!check_number(f, element.value, err))
			return within(f, *count, err);
		++*count;
	}
	return true;
}

static bool check_message(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len,
                          size_t max_repeated, int depth, TeWireError *err);

static bool check_element(const ProtobufCFieldDescriptor *f, const TeScanField *field,
                          size_t max_repeated, int depth, TeWireError *err)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return te_utf8_valid(field->data, field->len) ||
		       te_wire_fail(err, TE_WIRE_INVALID_FIELD, NULL, "is not valid UTF-8 text");
	case PROTOBUF_C_TYPE_BYTES:
		return true;
	case PROTOBUF_C_TYPE_MESSAGE:
		return check_message(f->descriptor, field->data, field->len, max_repeated, depth + 1, err);
	default:
		return check_number(f, field->value, err);
	}
}

/* One field that the descriptor knows; "count" is how often it came before. */
static bool check_field(const ProtobufCFieldDescriptor *f, const TeScanField *field, size_t *count,
                        size_t max_repeated, int depth, TeWireError *err)
{
	bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
	ProtobufCWireType type = wire_type_of(f->type);

	if (repeated && type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
	    field->type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		return check_packed(f, field, count, max_repeated, err);
	if (field->type != type)
		return te_wire_fail(err, TE_WIRE_MALFORMED, f->name, "has another type");
	if (*count >= 1 && !repeated)
		return te_wire_fail(err, TE_WIRE_DUPLICATE_FIELD, f->name, "comes twice");
	if (repeated && *count >= max_repeated)
		return te_wire_fail(err, TE_WIRE_TOO_MANY, f->name, "more than %zu elements", max_repeated);
	if (!check_element(f, field, max_repeated, depth, err))
		return within(f, *count, err);
	++*count;
	return true;
}

static bool check_message(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len,
                          size_t max_repeated, int depth, TeWireError *err)
{
	size_t counts[MAX_FIELDS] = {0};
	TeScanField field;
	TeScan scan;
	int got;

	if (depth > MAX_DEPTH || d->n_fields > MAX_FIELDS)
		return te_wire_fail(err, TE_WIRE_TOO_DEEP, NULL, "is nested too deeply");
	te_scan_begin(&scan, data, len);
	while ((got = te_scan_next(&scan, &field)) == 1) {
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field(d, field.number);

		if (f != NULL && !check_field(f, &field, &counts[f - d->fields], max_repeated, depth, err))
			return false;
	}
	return got == 0 || te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "isn't a protobuf message");
}

bool te_scan_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t len,
                   size_t max_repeated, TeWireError *err)
{
	return check_message(descriptor, data, len, max_repeated, 0, err);
}

ProtobufCMessage *te_scan_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                                 size_t len, size_t max_repeated, TeArena *arena, TeWireError *err)
{
	ProtobufCMessage *message;

	if (!te_scan_check(descriptor, data, len, max_repeated, err))
		return NULL;
	message = protobuf_c_message_unpack(descriptor, te_arena_protobuf(arena), len, data);
	if (message == NULL) {
		if (arena->exhausted)
			te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
		else
			te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "isn't a protobuf message");
	}
	return message;
}
