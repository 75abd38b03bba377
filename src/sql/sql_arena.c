/*
 * sql_arena.c - see sql_arena.h.
 */
#include "postgres.h"

#include "sql/sql_arena.h"

#include "utils/memutils.h"

static void free_arena(void *arena)
{
	te_arena_free(arena);
}

TeArena *te_sql_arena(size_t block, size_t limit)
{
	TeArena *arena = palloc0(sizeof(TeArena));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	te_arena_init(arena, block, limit);
	callback->func = free_arena;
	callback->arg = arena;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return arena;
}
