/*
 * error.c - see error.h.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL(label) #label,
static const char *const labels[TE_WIRE_CODE_COUNT] = {TE_WIRE_CODES(LABEL)};

const char *te_wire_code_label(TeWireCode code)
{
	return (unsigned)code < TE_WIRE_CODE_COUNT ? labels[code] : "UNKNOWN";
}

/* Replace a character that the cut left incomplete, so that the text stays valid UTF-8. */
static void mend_cut_text(char *text, size_t size)
{
	size_t len = strlen(text);
	size_t start = len;

	if (len + 1 < size)
		return;
	while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xC0)
		text[start - 1] = '\0';
}

bool te_wire_fail(TeWireError *err, TeWireCode code, const char *field, const char *detail, ...)
{
	va_list args;

	if (err == NULL)
		return false;
	err->code = code;
	snprintf(err->field, sizeof(err->field), "%s", field != NULL ? field : "");
	mend_cut_text(err->field, sizeof(err->field));
	va_start(args, detail);
	vsnprintf(err->detail, sizeof(err->detail), detail, args);
	va_end(args);
	mend_cut_text(err->detail, sizeof(err->detail));
	return false;
}

void te_wire_fail_within(TeWireError *err, const char *prefix, ...)
{
	char inner[TE_WIRE_FIELD_MAX];
	char outer[TE_WIRE_FIELD_MAX];
	va_list args;
	size_t used;

	if (err == NULL)
		return;
	memcpy(inner, err->field, sizeof(inner));
	va_start(args, prefix);
	vsnprintf(outer, sizeof(outer), prefix, args);
	va_end(args);
	snprintf(err->field, sizeof(err->field), "%s", outer);
	used = strlen(err->field);
	if (inner[0] != '\0')
		snprintf(err->field + used, sizeof(err->field) - used, "%s%s", inner[0] == '[' ? "" : ".",
		         inner);
	mend_cut_text(err->field, sizeof(err->field));
}
