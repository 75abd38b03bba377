/*
 * pool.c - see pool.h.
 */
#include "postgres.h"

#include "engine/pool.h"

#include "utils/memutils.h"

#define BLOCK_BYTES ((Size)32 * 1024)

static int class_of(Size size)
{
	return (int)((Max(size, 1) + TE_POOL_GRAIN - 1) / TE_POOL_GRAIN);
}

void te_pool_init(TePool *pool, MemoryContext context)
{
	*pool = (TePool){.context = context};
}

/* What is left of the block at hand becomes a free record of its size. */
static void begin_block(TePool *pool)
{
	char *block = MemoryContextAlloc(pool->context, BLOCK_BYTES);

	if (pool->next < pool->end)
		te_pool_free(pool, pool->next, pool->end - pool->next);
	pool->next = block;
	pool->end = block + BLOCK_BYTES;
}

void *te_pool_alloc(TePool *pool, Size size)
{
	int class = class_of(size);
	void *record;

	if (size > TE_POOL_MAX)
		return MemoryContextAllocHuge(pool->context, size);
	record = pool->free[class];
	if (record != NULL) {
		pool->free[class] = *(void **)record;
		return record;
	}
	if (pool->end - pool->next < class * TE_POOL_GRAIN)
		begin_block(pool);
	record = pool->next;
	pool->next += class * TE_POOL_GRAIN;
	return record;
}

void te_pool_free(TePool *pool, void *record, Size size)
{
	int class = class_of(size);

	if (size > TE_POOL_MAX) {
		pfree(record);
		return;
	}
	*(void **)record = pool->free[class];
	pool->free[class] = record;
}
