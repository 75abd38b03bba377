/*
 * slices.h - a large order in parts.
 *
 * TWAP: equal parts at equal distances over a time.  ICEBERG: one part after the
 * other, none larger than what may be seen; each follows when the one before is filled.
 * Parts are whole lot steps of at least lot_min, and add up to the order exactly.
 */
#ifndef TE_CORE_SLICES_H
#define TE_CORE_SLICES_H

#include "types.h"

#define TE_MAX_SLICES 256

typedef struct TeSlice
{
	double lots;
	TeTime at; /* not before; TE_NO_TIME: when the one before is filled */
} TeSlice;

typedef struct TeSliceTerms
{
	double lot_step, lot_min;
} TeSliceTerms;

/*
 * At most so many slices over [start, start + duration), as many as leave each at
 * least lot_min.  What doesn't divide goes to the first ones, a lot step each.
 * Returns the number of slices; 0: the order itself is below lot_min.
 */
extern int te_slices_twap(const TeSliceTerms *terms, double lots, int most, TeTime start,
                          TeTime duration, TeSlice out[TE_MAX_SLICES]);

/*
 * Slices of at most "visible" lots, the first at once.  0: the order or what may be
 * seen is below lot_min, or it takes more than TE_MAX_SLICES.
 */
extern int te_slices_iceberg(const TeSliceTerms *terms, double lots, double visible, TeTime start,
                             TeSlice out[TE_MAX_SLICES]);

#endif
