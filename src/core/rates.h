/*
 * rates.h - converts currencies through a graph of current rates.
 *
 * A rate is a price: units of quote per unit of base, with the time of which it is.
 * te_rates_convert looks for a way from one currency to another at an instant over
 * rates that are neither too old nor from the future.  There is a way or there is
 * none: what isn't known is NAN, never 1.
 *
 * Which way is taken depends on the rates alone, not on the order in which they were
 * added, and it is the same way back, so that there and back again is 1 (to rounding):
 *   - the fewest conversions, because each adds half a spread and the age of one more
 *     price: the pair itself, in either direction; else through a third currency; else
 *     through two, which is as far as any real currency is from another (each is quoted
 *     in US dollars or euros);
 *   - between ways of that length the one through USD, then through EUR, then by name:
 *     those are the most liquid markets, whose prices are the best and the newest;
 *   - of several rates of one pair the newest; at the same time the one whose base comes
 *     first by name, then the greater.
 */
#ifndef TE_CORE_RATES_H
#define TE_CORE_RATES_H

#include "types.h"

#define TE_CURRENCY_MAX 16 /* bytes of a currency's name, without NUL */
#define TE_RATE_STEPS_MAX 3

/* A price may be this much ahead of the clock that asks: clocks differ. */
#define TE_RATE_AHEAD TE_USEC_PER_SEC

/* A currency, made by te_rates_add.  "near" is scratch. */
typedef struct TeRateNode
{
	const char *name; /* the caller's; not copied */
	int near[2];
} TeRateNode;

/* A rate of a pair; unusable as long as rate isn't finite and > 0. */
typedef struct TeRateEdge
{
	int base, quote; /* nodes */
	double rate;     /* units of quote per unit of base, or NAN */
	TeTime at;       /* when it was the price */
	TeTime max_age;  /* it isn't used when it is older than this; <= 0: no limit */
} TeRateEdge;

/* The caller gives the memory: a node for each currency, an edge for each rate. */
typedef struct TeRateGraph
{
	TeRateNode *nodes;
	int node_count, node_capacity;
	TeRateEdge *edges;
	int edge_count, edge_capacity;
} TeRateGraph;

/* How a conversion was found: steps edges, the first converts "from". */
typedef struct TeRatePath
{
	int steps; /* 0: the same currency */
	int edges[TE_RATE_STEPS_MAX];
	bool inverse[TE_RATE_STEPS_MAX]; /* from the edge's quote to its base */
} TeRatePath;

/*
 * Add a pair without a rate.  Its edge, to be filled in by the caller now or whenever
 * there is a price, or NULL when the memory is used up.  Edges stay where they are.
 */
extern TeRateEdge *te_rates_add(TeRateGraph *graph, const char *base, const char *quote);

/*
 * Units of "to" per unit of "from" at an instant, or NAN.  The same currency is 1,
 * whether or not there are rates of it.  "path" may be NULL; it is set where there is a way.
 */
extern double te_rates_convert(TeRateGraph *graph, const char *from, const char *to, TeTime at,
                               TeRatePath *path);

/* An account's currency, and how much of it a unit of a prediction's quote currency is. */
typedef struct TeAccountRate
{
	const char *currency;
	double rate; /* > 0 */
} TeAccountRate;

/* What was known when a prediction was decided, ascending by currency. */
typedef struct TeAccountRates
{
	size_t count;
	const TeAccountRate *rates;
} TeAccountRates;

/*
 * conversion_rate of an account in that currency: NAN when none was known, or when none
 * is needed, because it is the instrument's base or quote currency: te_decide() derives
 * those.  rates may be NULL: none were known.
 */
extern double te_recorded_rate(const TeAccountRates *rates, const char *currency);

#endif
