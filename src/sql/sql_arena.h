/*
 * sql_arena.h - an arena that ends with a memory context.
 */
#ifndef TE_SQL_ARENA_H
#define TE_SQL_ARENA_H

#include "wire/arena.h"

/*
 * An arena that is given back with the current memory context, whatever happens: what is
 * in it lives no longer than that.
 */
extern TeArena *te_sql_arena(size_t block, size_t limit);

#endif
