/*
 * ticks.h - prices as whole numbers of ticks, sizes as whole numbers of lot steps.
 *
 * Whole numbers are kept in doubles, exact up to 2^53, so that an absurd input
 * gives an absurd number instead of undefined behaviour.
 */
#ifndef TE_CORE_TICKS_H
#define TE_CORE_TICKS_H

#include <stdbool.h>

/* A quotient this close to a whole number is that number. */
#define TE_TICK_SNAP 1e-6

/* Two distances this close, in ticks, are equal. */
#define TE_TICK_TOLERANCE 1e-6

/* Multiples of a step: a tick size or a lot step. */
typedef struct TeGrid
{
	double step;
	double per_unit; /* 1 / step where that is a whole number, else 0 */
} TeGrid;

extern TeGrid te_grid(double step);

/* How many steps a value is; not rounded. */
extern double te_grid_steps(const TeGrid *g, double value);

/* The nearest double to the decimal that n steps are. */
extern double te_grid_value(const TeGrid *g, double n);

/* Snap a number of steps, then round it down, up, or towards zero. */
extern double te_steps_down(double steps);
extern double te_steps_up(double steps);
extern double te_steps_to_zero(double steps);

/* Whether a number of steps is whole after snapping. */
extern bool te_steps_whole(double steps);

#endif
