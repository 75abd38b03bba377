/*
 * pool.h - memory for many small records.
 *
 * One slab context for each size, in steps of eight bytes: records lie side by side without
 * being rounded to a power of two, and a block whose records are all freed is given back.
 */
#ifndef TE_ENGINE_POOL_H
#define TE_ENGINE_POOL_H

#include "postgres.h"

#define TE_POOL_GRAIN 8
#define TE_POOL_MAX 512 /* larger records are allocated one by one */

typedef struct TePool
{
	MemoryContext context;                                /* that the pool ends with */
	MemoryContext slabs[TE_POOL_MAX / TE_POOL_GRAIN + 1]; /* NULL: none of that size yet */
} TePool;

extern void te_pool_init(TePool *pool, MemoryContext context);

/* To be freed by pfree. */
extern void *te_pool_alloc(TePool *pool, Size size);

#endif
