/*
 * json_fields.h - how fields and enums are told in JSON; for json_read.c and json_write.c.
 */
#ifndef TE_WIRE_JSON_FIELDS_H
#define TE_WIRE_JSON_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* Whether an int64 is a time, which its name says. */
extern bool te_json_is_time(const ProtobufCFieldDescriptor *f);

/* The part of an enum value's name behind the enum's own name: "BUY" of "DIRECTION_BUY". */
extern const char *te_json_enum_label(const ProtobufCEnumDescriptor *e, const char *name);

/* Bytes of one value in a message struct, or of one element of a repeated field. */
extern size_t te_json_element_size(ProtobufCType type);

/* The member of a message struct at an offset of its descriptor. */
#define TE_JSON_MEMBER(type, message, offset) ((type *)(void *)((char *)(message) + (offset)))

/* 64-bit numbers up to here are exact in every JSON reader. */
#define TE_JSON_EXACT INT64_C(9007199254740992)

#endif
