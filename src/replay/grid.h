/*
 * grid.h - the combinations of parameter values that a sweep tries.
 */
#ifndef TE_REPLAY_GRID_H
#define TE_REPLAY_GRID_H

#include "postgres.h"

#include "utils/jsonb.h"

/* More would be fitting the past by brute force. */
#define TE_GRID_MOST 10000

typedef struct TeParameterGrid
{
	int count;
	Jsonb **combinations; /* objects of parameters, the last key's values changing fastest */
} TeParameterGrid;

/*
 * Read argument "grid": an object of arrays of values.  What is no such thing, a value out of
 * range, and one that a tier of the company's (NULL: of any company's) does not allow are errors
 * that name parameter and value.  With SPI connected.
 */
extern void te_grid_read(Jsonb *grid, const char *company, TeParameterGrid *out);

#endif
