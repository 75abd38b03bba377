/*
 * rfc3339.h - timestamps of RFC 3339, read strictly and written one way.
 *
 * PostgreSQL's own input depends on TimeZone and DateStyle and knows 'now' and
 * 'infinity'; a decision may depend on none of these.
 */
#ifndef TE_SQL_RFC3339_H
#define TE_SQL_RFC3339_H

#include "core/types.h"

/* The first and the last instant that four digits of a year can write. */
#define TE_RFC3339_FIRST INT64_C(-62135596800000000) /* 0001-01-01T00:00:00Z */
#define TE_RFC3339_LAST INT64_C(253402300799999999)  /* 9999-12-31T23:59:59.999999Z */

/* "2012-02-01T00:00:00.000000Z" and its end. */
#define TE_RFC3339_SIZE 28

/*
 * Read a timestamp with 'T' (or 't') and an offset.  Digits of a second beyond
 * the sixth are cut off, so that rounding never makes a prediction younger than
 * it is.  A leap second (":60") has no place on the time line and is refused.
 * Returns false when the text is anything else.
 */
extern bool te_rfc3339_parse(const char *text, size_t length, TeTime *out);

/* Write a time between FIRST and LAST, in UTC with six digits. */
extern void te_rfc3339_format(TeTime time, char out[TE_RFC3339_SIZE]);

#endif
