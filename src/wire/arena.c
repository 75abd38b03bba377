/*
 * arena.c - see arena.h.
 *
 * Blocks form one list: those before and at "current" are in use, the rest wait.
 * An allocation that doesn't fit into the current block takes the first waiting
 * block that is large enough, moved up behind the current one, so that no block is
 * passed over.  When a new block would break the limit, waiting blocks are given
 * back first.
 */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct TeArenaBlock
{
	TeArenaBlock *next;
	size_t size; /* bytes of data */
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

#define ALIGNMENT alignof(max_align_t)

/* Tell AddressSanitizer what has not been handed out, so that it sees overruns inside a block too.
 */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define HIDE(address, size) __asan_poison_memory_region(address, size)
#define SHOW(address, size) __asan_unpoison_memory_region(address, size)
#define GUARD ALIGNMENT /* unused bytes behind each allocation */
#else
#define HIDE(address, size) ((void)0)
#define SHOW(address, size) ((void)0)
#define GUARD 0
#endif

static void *protobuf_alloc(void *arena, size_t size)
{
	return te_arena_alloc(arena, size);
}

static void protobuf_free(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

void te_arena_init(TeArena *arena, size_t block_size, size_t limit)
{
	memset(arena, 0, sizeof(*arena));
	arena->block_size = block_size;
	arena->limit = limit;
	arena->protobuf = (ProtobufCAllocator){
		.alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = arena};
}

void te_arena_reset(TeArena *arena)
{
	arena->current = NULL;
	arena->used = 0;
	arena->exhausted = false;
}

static void free_block(TeArena *arena, TeArenaBlock *block)
{
	SHOW(block->data, block->size);
	arena->reserved -= sizeof(*block) + block->size;
	free(block);
}

/* Where the first waiting block hangs. */
static TeArenaBlock **waiting_blocks(TeArena *arena)
{
	return arena->current != NULL ? &arena->current->next : &arena->first;
}

static void free_waiting_blocks(TeArena *arena)
{
	TeArenaBlock **link = waiting_blocks(arena);

	while (*link != NULL) {
		TeArenaBlock *block = *link;

		*link = block->next;
		free_block(arena, block);
	}
}

void te_arena_free(TeArena *arena)
{
	te_arena_reset(arena);
	free_waiting_blocks(arena);
}

/* A waiting block with room for size bytes, taken out of the list; NULL when there is none. */
static TeArenaBlock *take_waiting_block(TeArena *arena, size_t size)
{
	for (TeArenaBlock **link = waiting_blocks(arena); *link != NULL; link = &(*link)->next)
		if ((*link)->size >= size) {
			TeArenaBlock *block = *link;

			*link = block->next;
			return block;
		}
	return NULL;
}

static TeArenaBlock *new_block(TeArena *arena, size_t size)
{
	TeArenaBlock *block;

	if (size < arena->block_size)
		size = arena->block_size;
	if (size > arena->limit || sizeof(*block) + size > arena->limit)
		return NULL;
	if (arena->reserved + sizeof(*block) + size > arena->limit)
		free_waiting_blocks(arena);
	if (arena->reserved + sizeof(*block) + size > arena->limit)
		return NULL;
	block = malloc(sizeof(*block) + size);
	if (block == NULL)
		return NULL;
	block->size = size;
	arena->reserved += sizeof(*block) + size;
	return block;
}

/* Make a block with room for size bytes the current one. */
static bool next_block(TeArena *arena, size_t size)
{
	TeArenaBlock *block = take_waiting_block(arena, size);
	TeArenaBlock **link;

	if (block == NULL && (block = new_block(arena, size)) == NULL)
		return false;
	link = waiting_blocks(arena);
	block->next = *link;
	*link = block;
	block->used = 0;
	HIDE(block->data, block->size);
	arena->current = block;
	return true;
}

void *te_arena_alloc(TeArena *arena, size_t size)
{
	size_t need = size > 0 ? size : 1;
	void *result;

	if (need > SIZE_MAX - GUARD - (ALIGNMENT - 1)) {
		arena->exhausted = true;
		return NULL;
	}
	need = (need + GUARD + (ALIGNMENT - 1)) & ~(ALIGNMENT - 1);
	if ((arena->current == NULL || arena->current->size - arena->current->used < need) &&
	    !next_block(arena, need)) {
		arena->exhausted = true;
		return NULL;
	}
	result = arena->current->data + arena->current->used;
	arena->current->used += need;
	arena->used += need;
	SHOW(result, size);
	return result;
}

void *te_arena_zalloc(TeArena *arena, size_t size)
{
	void *result = te_arena_alloc(arena, size);

	return result != NULL ? memset(result, 0, size) : NULL;
}

void *te_arena_array(TeArena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size) {
		arena->exhausted = true;
		return NULL;
	}
	return te_arena_zalloc(arena, count * size);
}

void *te_arena_memdup(TeArena *arena, const void *data, size_t size)
{
	void *result = te_arena_alloc(arena, size);

	if (result != NULL && size > 0)
		memcpy(result, data, size);
	return result;
}

char *te_arena_strndup(TeArena *arena, const char *text, size_t size)
{
	char *result = size < SIZE_MAX ? te_arena_alloc(arena, size + 1) : NULL;

	if (result == NULL)
		return NULL;
	if (size > 0)
		memcpy(result, text, size);
	result[size] = '\0';
	return result;
}

char *te_arena_strdup(TeArena *arena, const char *text)
{
	return te_arena_strndup(arena, text, strlen(text));
}
