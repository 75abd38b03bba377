/*
 * pool.c - see pool.h.
 */
#include "postgres.h"

#include "engine/pool.h"

#include "utils/memutils.h"

void te_pool_init(TePool *pool, MemoryContext context)
{
	*pool = (TePool){.context = context};
}

void *te_pool_alloc(TePool *pool, Size size)
{
	int class = (int)((Max(size, 1) + TE_POOL_GRAIN - 1) / TE_POOL_GRAIN);

	if (size > TE_POOL_MAX)
		return MemoryContextAllocHuge(pool->context, size);
	if (pool->slabs[class] == NULL)
		pool->slabs[class] = SlabContextCreate(pool->context, "records", SLAB_DEFAULT_BLOCK_SIZE,
		                                       (Size) class * TE_POOL_GRAIN);
	return MemoryContextAlloc(pool->slabs[class], (Size) class * TE_POOL_GRAIN);
}
