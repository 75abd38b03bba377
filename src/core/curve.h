/*
 * curve.h - a piece of an equity curve that can be joined to another piece.
 *
 * What has to be known of a piece without knowing where it starts: how far it goes, how
 * high, how deep it falls from where, and when it first reaches a height.  Amounts are whole
 * numbers of 1/10,000 relative to the start of the piece, so joining is exact: pieces that are
 * joined say the same as one piece of all their steps, whatever the pieces.
 *
 * Times are whole minutes, so that what is kept of a piece stays small.
 */
#ifndef TE_CORE_CURVE_H
#define TE_CORE_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

#define TE_CURVE_UNITS 10000 /* of an amount of money */
#define TE_CURVE_MINUTE (60 * TE_USEC_PER_SEC)

/* Amounts are held within this, so that sums stay far from the ends of the type. */
#define TE_CURVE_MOST (INT64_C(1) << 50)

/* Minutes since 1970; TE_CURVE_NEVER: none. */
typedef int32_t TeMinute;
#define TE_CURVE_NEVER INT32_MIN

/* When the curve first stood that high; heights and times ascend.  Two in a minute are one. */
typedef struct TeReach
{
	int64_t height;
	TeMinute at;
} TeReach;

/* The deepest fall from a peak; of falls from lower peaks only those that were less deep. */
typedef struct TeFall
{
	int64_t from, depth;
} TeFall;

/* The longest time from a peak back to it; of higher peaks only those that took less. */
typedef struct TeReturn
{
	int64_t level;
	TeMinute took;
} TeReturn;

#define TE_CURVE_LIST(Type, name)                                                                  \
	struct                                                                                         \
	{                                                                                              \
		Type *items;                                                                               \
		uint32_t count, capacity;                                                                  \
	} name

/* Give "old", NULL at first, "size" bytes; it doesn't fail.  With 0 bytes "old" is freed, and NULL
 * returned. */
typedef void *(*TeCurveResize)(void *old, size_t size);

/* All zero, but for "resize", is a curve that hasn't moved. */
typedef struct TeCurve
{
	TeCurveResize resize;
	bool moved;
	bool sank;         /* with its first step */
	int64_t net, high; /* where it ends; its peak, the start included */
	TeMinute first_at; /* of the first step */
	TeMinute peak_at;  /* last time at the peak; TE_CURVE_NEVER: it sank and wasn't back yet */
	TE_CURVE_LIST(TeReach, reach);
	TE_CURVE_LIST(TeFall, falls);
	TE_CURVE_LIST(TeReturn, returns);
} TeCurve;

/* An amount of money in units: rounded, and held within TE_CURVE_MOST. */
extern int64_t te_curve_units(double money);
extern TeMinute te_curve_minute(TeTime at);

/* A step: all that was closed at one instant.  Steps come in order of time. */
extern void te_curve_step(TeCurve *c, TeMinute at, int64_t amount);

/*
 * Begin a curve, zeroed, where another ends: as high as that was, and as far below its peak.  Its
 * falls are those from then on, the one that it begins in included; its start is that one's.
 */
extern void te_curve_go_on(TeCurve *c, const TeCurve *before);

/* Join a later piece to it. */
extern void te_curve_join(TeCurve *c, const TeCurve *later);

/* Figures of a curve that starts at an equity > 0; fractions of the peak before. */
extern double te_curve_max_drawdown(const TeCurve *c, double equity);
extern double te_curve_drawdown(const TeCurve *c, double equity); /* as it is at the end */
extern double te_curve_max_drawdown_amount(const TeCurve *c);

/* Longest time from a peak until it is reached again; TE_CURVE_NEVER: never was. */
extern TeMinute te_curve_recovery(const TeCurve *c);

#endif
