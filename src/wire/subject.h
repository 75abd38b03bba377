/*
 * subject.h - the subjects of doc/contracts.md, taken apart and put together.
 *
 *   <prefix>.predictions.<company|_all>.<user|_all>
 *   <prefix>.market.<symbol>
 *   <prefix>.executions.<company>.<user>
 *   <prefix>.signals.<lane>.<company>.<user>.<symbol>
 *   <prefix>.commands.<lane>.<company>.<user>
 *   <prefix>.risk.assess
 *   <prefix>.control.<anything>
 *
 * A prefix may have several tokens ("prod.trading").
 */
#ifndef TE_WIRE_SUBJECT_H
#define TE_WIRE_SUBJECT_H

#include <stdint.h>

#include "error.h"
#include "identity.h"

#define TE_SUBJECT_PREFIX_MAX 64
#define TE_SUBJECT_MAX 320 /* with terminator */

typedef enum {
	TE_SUBJECT_PREDICTIONS,
	TE_SUBJECT_MARKET,
	TE_SUBJECT_EXECUTIONS,
	TE_SUBJECT_SIGNALS,
	TE_SUBJECT_COMMANDS,
	TE_SUBJECT_RISK,
	TE_SUBJECT_CONTROL
} TeSubjectKind;

/* Fields that a kind doesn't have are empty, lane is 0. */
typedef struct TeSubject
{
	TeSubjectKind kind;
	uint32_t lane;
	char company[TE_ID_MAX + 1];
	char user[TE_ID_MAX + 1];
	char symbol[TE_SYMBOL_MAX + 1];
} TeSubject;

/* 1 to 64 bytes, tokens of [A-Za-z0-9_-] separated by dots. */
extern bool te_subject_prefix_valid(const char *prefix);

/* "_all" as company demands "_all" as user; it appears in predictions only. */
extern bool te_subject_parse(const char *prefix, const char *subject, size_t len, TeSubject *out,
                             TeWireError *err);

/* One of output (signals, commands), whatever prefix it was made under. */
extern bool te_subject_parse_output(const char *subject, TeSubject *out, TeWireError *err);

/* The subject of "parts"; false when a part is not valid, or for CONTROL, which has no fixed form.
 */
extern bool te_subject_format(const char *prefix, const TeSubject *parts, char out[TE_SUBJECT_MAX]);

#endif
