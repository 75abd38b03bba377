/*
 * error.h - why a message was turned away.
 *
 * Every function of src/wire that can fail fills a TeWireError and returns false.
 * The code is what is counted and stored (trading.dead_letters.reason), field says
 * where ("predictions[3].confidence", empty when the whole message is meant), and
 * detail is a lower-case sentence without period for a person.
 */
#ifndef TE_WIRE_ERROR_H
#define TE_WIRE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Codes.  The label is stored, so codes are only ever added.  Those of the last
 * line are never raised here: they are the engine's own reasons for a dead letter.
 */
/* clang-format off */
#define TE_WIRE_CODES(X) \
	X(OK) X(MALFORMED) X(UNKNOWN_TYPE) X(MISSING_FIELD) X(INVALID_FIELD) X(UNKNOWN_FIELD) \
	X(DUPLICATE_FIELD) X(MISMATCH) X(HASH_MISMATCH) X(EMPTY_BATCH) X(TOO_MANY) X(TOO_LARGE) \
	X(TOO_DEEP) X(INVALID_JSON) X(UNKNOWN_VERSION) X(INVALID_SUBJECT) X(NO_MEMORY) \
	X(NOT_AUTHORISED) X(UNKNOWN_COMPANY) X(UNKNOWN_USER) X(UNKNOWN_SYMBOL) X(CONFLICT) X(STORE_FAILED) X(CRASHED)
/* clang-format on */

#define TE_WIRE_CODE_MEMBER(label) TE_WIRE_##label,
typedef enum { TE_WIRE_CODES(TE_WIRE_CODE_MEMBER) TE_WIRE_CODE_COUNT } TeWireCode;

#define TE_WIRE_FIELD_MAX 128
#define TE_WIRE_DETAIL_MAX 192

typedef struct TeWireError
{
	TeWireCode code;
	char field[TE_WIRE_FIELD_MAX];
	char detail[TE_WIRE_DETAIL_MAX];
} TeWireError;

/* "INVALID_FIELD" and so on. */
extern const char *te_wire_code_label(TeWireCode code);

/* Fill err (which may be NULL) and return false.  Field may be NULL; text that is too long is cut.
 */
extern bool te_wire_fail(TeWireError *err, TeWireCode code, const char *field, const char *detail,
                         ...) __attribute__((format(printf, 4, 5)));

/* Put "prefix" before the field of err: "predictions[3]" and "confidence" give
 * "predictions[3].confidence". */
extern void te_wire_fail_within(TeWireError *err, const char *prefix, ...)
	__attribute__((format(printf, 2, 3)));

#endif
