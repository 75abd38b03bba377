/*
 * patterns.h - candle patterns of the newest bars.
 */
#ifndef TE_DEMO_PATTERNS_H
#define TE_DEMO_PATTERNS_H

#include "bars.h"

#define MAX_PATTERNS 8

/*
 * Finds the patterns that end with the newest of "count" bars (oldest first), and
 * returns how many.  A pattern's probability says how clear its shape is, from 0.5
 * (just about) to 1.  atr is the usual range of a bar, > 0.
 */
extern int find_patterns(const Bar *bars, int count, double atr, TePattern found[MAX_PATTERNS]);

#endif
