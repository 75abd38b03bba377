/*
 * rfc3339.h - timestamps as text: "2025-03-14T09:26:53.589793Z".
 */
#ifndef TE_WIRE_RFC3339_H
#define TE_WIRE_RFC3339_H

#include "core/types.h"

#define TE_RFC3339_SIZE 32 /* with terminator */

/*
 * Read a date-time with an offset (Z or +hh:mm), years 0001 to 9999, at most 6
 * digits of a second.  False for anything else, a leap second included.
 */
extern bool te_rfc3339_parse(const char *text, TeTime *out);

/* UTC with Z and six digits.  False outside years 0001 to 9999. */
extern bool te_rfc3339_format(TeTime at, char text[TE_RFC3339_SIZE]);

#endif
