/*
 * scan.h - the wire format itself, looked at before protobuf-c unpacks it.
 *
 * protobuf-c copies what it is given: text that isn't UTF-8 or has a zero byte in
 * it, enum values that nobody knows, infinite numbers, a field that comes twice and
 * is merged.  te_scan_check turns all of that away and names the field, so that
 * unpacking afterwards can only fail for want of memory.
 */
#ifndef TE_WIRE_SCAN_H
#define TE_WIRE_SCAN_H

#include <stdint.h>

#include "arena.h"
#include "error.h"

typedef struct TeScanField
{
	uint32_t number;
	ProtobufCWireType type;
	uint64_t value;      /* VARINT, 64BIT, 32BIT */
	const uint8_t *data; /* LENGTH_PREFIXED */
	size_t len;
	const uint8_t *begin; /* of the whole field, tag included */
} TeScanField;

typedef struct TeScan
{
	const uint8_t *at, *end;
} TeScan;

extern void te_scan_begin(TeScan *scan, const uint8_t *data, size_t len);

/* 1: a field, 0: the end, -1: malformed. */
extern int te_scan_next(TeScan *scan, TeScanField *field);

/*
 * Check a message and all messages in it; no repeated field may have more than
 * max_repeated elements.  Fields that the descriptor doesn't know are passed over.
 */
extern bool te_scan_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                          size_t len, size_t max_repeated, TeWireError *err);

/* te_scan_check, then unpack into the arena. */
extern ProtobufCMessage *te_scan_unpack(const ProtobufCMessageDescriptor *descriptor,
                                        const uint8_t *data, size_t len, size_t max_repeated,
                                        TeArena *arena, TeWireError *err);

/* Whether text is UTF-8 (RFC 3629) without a zero byte. */
extern bool te_utf8_valid(const uint8_t *text, size_t len);

#endif
