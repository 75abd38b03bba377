/*
 * json.c - what reading and writing JSON share; see json.h.
 */
#include "json.h"

#include <string.h>

#include "json_fields.h"

bool te_json_is_time(const ProtobufCFieldDescriptor *f)
{
	static const char *const names[] = {"at", "timestamp", "clock"};
	static const char *const endings[] = {"_at", "_until"};
	size_t len = strlen(f->name);

	if (f->type != PROTOBUF_C_TYPE_INT64)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(f->name, names[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t ending = strlen(endings[i]);

		if (len > ending && strcmp(f->name + len - ending, endings[i]) == 0)
			return true;
	}
	return false;
}

size_t te_json_element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	default:
		return 4;
	}
}

/* VOLATILITY_MODE of enum VolatilityMode: capitals and digits as they are, "_" before each later
 * capital. */
const char *te_json_enum_label(const ProtobufCEnumDescriptor *e, const char *name)
{
	const char *label = name;

	for (const char *c = e->short_name; *c != '\0'; c++) {
		bool capital = *c >= 'A' && *c <= 'Z';
		char expected = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);

		if (capital && c != e->short_name && *label++ != '_')
			return name;
		if (*label++ != expected)
			return name;
	}
	return label[0] == '_' && label[1] != '\0' ? label + 1 : name;
}

bool te_message_pack(const ProtobufCMessage *message, TeArena *arena, const uint8_t **data,
                     size_t *len, TeWireError *err)
{
	uint8_t *packed;

	*len = protobuf_c_message_get_packed_size(message);
	packed = te_arena_alloc(arena, *len);
	*data = packed;
	if (packed == NULL)
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
	protobuf_c_message_pack(message, packed);
	return true;
}
