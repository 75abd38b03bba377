/*
 * pool.h - memory for many small records of known size.
 *
 * Records lie side by side, without a header and without rounding to a power of two; a
 * record that is freed makes room for the next one of its size.
 */
#ifndef TE_ENGINE_POOL_H
#define TE_ENGINE_POOL_H

#include "postgres.h"

#define TE_POOL_GRAIN 8
#define TE_POOL_MAX 1024 /* larger records are allocated one by one */

typedef struct TePool
{
	MemoryContext context; /* that its blocks are in, and end with */
	char *next, *end;      /* of the block at hand */
	void *free[TE_POOL_MAX / TE_POOL_GRAIN + 1];
} TePool;

extern void te_pool_init(TePool *pool, MemoryContext context);
extern void *te_pool_alloc(TePool *pool, Size size);
extern void te_pool_free(TePool *pool, void *record, Size size);

#endif
