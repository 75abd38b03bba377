/*
 * slices.c - sharing out lot steps.
 */
#include "slices.h"

#include "ticks.h"

/* Equal shares; the first ones get what is left over. */
static int share_out(const TeGrid *lot, double steps, int n, TeSlice out[])
{
	double each = floor(steps / n), left = steps - each * n;

	for (int i = 0; i < n; i++)
		out[i].lots = te_grid_value(lot, each + (i < left ? 1 : 0));
	return n;
}

int te_slices_twap(const TeSliceTerms *terms, double lots, int most, TeTime start, TeTime duration,
                   TeSlice out[TE_MAX_SLICES])
{
	TeGrid lot = te_grid(terms->lot_step);
	double steps = te_steps_down(te_grid_steps(&lot, lots));
	double least = te_steps_up(te_grid_steps(&lot, terms->lot_min));
	int n = most < TE_MAX_SLICES ? most : TE_MAX_SLICES;

	if (steps < least)
		return 0;
	n = n < 1 ? 1 : n;
	n = (int)fmin(n, floor(steps / fmax(least, 1)));
	share_out(&lot, steps, n, out);
	for (int i = 0; i < n; i++)
		out[i].at = start + duration / n * i;
	return n;
}

int te_slices_iceberg(const TeSliceTerms *terms, double lots, double visible, TeTime start,
                      TeSlice out[TE_MAX_SLICES])
{
	TeGrid lot = te_grid(terms->lot_step);
	double steps = te_steps_down(te_grid_steps(&lot, lots));
	double seen = te_steps_down(te_grid_steps(&lot, visible));
	double least = te_steps_up(te_grid_steps(&lot, terms->lot_min));
	double n;

	if (steps < least || seen < fmax(least, 1))
		return 0;
	n = ceil(steps / seen);
	/* Equal parts may be below lot_min where the order is hardly more than what may be seen. */
	while (n > 1 && floor(steps / n) < least)
		n--;
	if (n > TE_MAX_SLICES || ceil(steps / n) > seen)
		return 0;
	share_out(&lot, steps, (int)n, out);
	for (int i = 0; i < (int)n; i++)
		out[i].at = i == 0 ? start : TE_NO_TIME;
	return (int)n;
}
