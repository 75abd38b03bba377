/*
 * arena.h - memory of one batch.
 *
 * A bump allocator whose blocks are kept by te_arena_reset and used again, so that
 * after the first few batches decoding and encoding take nothing from the heap.
 * It never takes more than its limit of heap bytes: an allocation beyond that is
 * NULL, and the caller reports NO_MEMORY or TOO_LARGE.  Not thread-safe.
 */
#ifndef TE_WIRE_ARENA_H
#define TE_WIRE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

typedef struct TeArenaBlock TeArenaBlock;

typedef struct TeArena
{
	TeArenaBlock *first;   /* all blocks, those in use first */
	TeArenaBlock *current; /* the block that is being filled; NULL: none in use */
	size_t block_size;
	size_t limit;    /* heap bytes, all blocks together */
	size_t reserved; /* heap bytes held now */
	size_t used;     /* bytes handed out since the last reset */
	bool exhausted;  /* an allocation was refused since the last reset */
	ProtobufCAllocator protobuf;
} TeArena;

/* Takes no memory yet.  The arena must not move afterwards: its allocator points to it. */
extern void te_arena_init(TeArena *arena, size_t block_size, size_t limit);

/* Forget everything that was allocated; blocks are kept. */
extern void te_arena_reset(TeArena *arena);

/* Give every block back.  The arena can be used again. */
extern void te_arena_free(TeArena *arena);

/* Memory aligned for any type, or NULL beyond the limit.  Size 0 gives a unique pointer. */
extern void *te_arena_alloc(TeArena *arena, size_t size);
extern void *te_arena_zalloc(TeArena *arena, size_t size);

/* count * size zeroed bytes; an overflow is NULL. */
extern void *te_arena_array(TeArena *arena, size_t count, size_t size);

extern void *te_arena_memdup(TeArena *arena, const void *data, size_t size);
extern char *te_arena_strdup(TeArena *arena, const char *text);

/* size bytes of text, and a terminator. */
extern char *te_arena_strndup(TeArena *arena, const char *text, size_t size);

/* For protobuf-c; its free does nothing. */
static inline ProtobufCAllocator *te_arena_protobuf(TeArena *arena)
{
	return &arena->protobuf;
}

#endif
