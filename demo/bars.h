/*
 * bars.h - one-minute bars, from a file or made up.
 */
#ifndef TE_DEMO_BARS_H
#define TE_DEMO_BARS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

#define BAR_LENGTH (60 * TE_USEC_PER_SEC)

/* A bar of the mid price.  Spread and volume are NAN where the source has none. */
typedef struct Bar
{
	TeTime start;
	double open, high, low, close;
	double spread; /* ask - bid at the close */
	double volume;
} Bar;

typedef struct BarSource BarSource;

/*
 * A CSV file, plain or gzipped, with a header.  Columns "timestamp" and either open,
 * high, low, close or bid_open ... ask_close; "volume" if there is one.  Exits with a
 * message that names file and line when something is wrong.
 */
extern BarSource *bar_source_open(const char *path);

/*
 * A made-up market: returns are GARCH(1,1) with fat tails, in regimes that last for
 * hours (quiet and mean-reverting, trending, turbulent).  The same seed gives the
 * same bars.
 */
extern BarSource *bar_source_synthetic(uint64_t seed, double price, double tick, TeTime start);

/* The next bar; false at the end (a synthetic source has none). */
extern bool bar_source_next(BarSource *source, Bar *bar);

extern void bar_source_close(BarSource *source);

/* A usual price and the tick of a symbol. */
extern double symbol_price(const char *symbol);
extern double symbol_tick(const char *symbol);

#endif
