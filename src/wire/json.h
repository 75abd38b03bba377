/*
 * json.h - JSON to protobuf messages and back, by descriptor.
 *
 * Keys are the field names of proto/.  Enums are written by name, with or without
 * the prefix that repeats the enum's name ("BUY" or "DIRECTION_BUY"); 64-bit
 * integers as number or decimal text; bytes in base64; an int64 whose name is
 * "at", "timestamp" or "clock", or ends in "_at" or "_until" is a time: microseconds
 * since 1970 or RFC 3339 text.  Output has short enum names, times as RFC 3339
 * text in UTC, integers beyond 2^53 as text, and leaves out what has its default.
 *
 * Strict: an unknown or repeated key, a wrong type, a number out of range or that
 * isn't whole where it must be, invalid UTF-8, two members of one oneof, null, or
 * nesting beyond the limit is an error that names the path.
 */
#ifndef TE_WIRE_JSON_H
#define TE_WIRE_JSON_H

#include "arena.h"
#include "error.h"

#define TE_JSON_MAX_DEPTH 16

/* The message is in the arena; jansson's own memory is given back before the return. */
extern bool te_json_to_message(const ProtobufCMessageDescriptor *descriptor, const char *json,
                               size_t len, TeArena *arena, ProtobufCMessage **message,
                               TeWireError *err);

/* One line of JSON in the arena, with terminator. */
extern bool te_message_to_json(const ProtobufCMessage *message, TeArena *arena, const char **json,
                               size_t *len, TeWireError *err);

/* Serialise a message into the arena. */
extern bool te_message_pack(const ProtobufCMessage *message, TeArena *arena, const uint8_t **data,
                            size_t *len, TeWireError *err);

#endif
