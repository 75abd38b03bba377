/*
 * ticks.c - rounding to ticks and lot steps.
 */
#include "ticks.h"

#include <float.h>
#include <math.h>

/*
 * The inverse of a decimal step such as 0.00001 is off by a few ulp, which for
 * small steps is more than 1e-9; both count as whole.
 */
TeGrid te_grid(double step)
{
	TeGrid g = {step, 0};
	double inverse = 1 / step;
	double whole = round(inverse);
	double off = fabs(inverse - whole);

	if (whole >= 1 && (off <= 1e-9 || off <= 4 * DBL_EPSILON * whole))
		g.per_unit = whole;
	return g;
}

/* Multiplying by a whole inverse rounds once, dividing by an inexact step twice. */
double te_grid_steps(const TeGrid *g, double value)
{
	return g->per_unit > 0 ? value * g->per_unit : value / g->step;
}

double te_grid_value(const TeGrid *g, double n)
{
	return g->per_unit > 0 ? n / g->per_unit : n * g->step;
}

bool te_steps_whole(double steps)
{
	return fabs(steps - round(steps)) <= TE_TICK_SNAP;
}

double te_steps_down(double steps)
{
	return te_steps_whole(steps) ? round(steps) : floor(steps);
}

double te_steps_up(double steps)
{
	return te_steps_whole(steps) ? round(steps) : ceil(steps);
}

/* Adding 0 turns a negative zero into a plain one. */
double te_steps_to_zero(double steps)
{
	return (te_steps_whole(steps) ? round(steps) : trunc(steps)) + 0.0;
}
