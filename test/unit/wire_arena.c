/*
 * wire_arena.c - memory of a batch: limits, reuse, alignment.
 */
#include "wire/arena.h"

#include <stdlib.h>

#include "tap.h"

static void hands_out_aligned_memory_that_does_not_overlap(void)
{
	TeArena arena;
	unsigned char *blocks[200];
	bool aligned = true, intact = true;

	te_arena_init(&arena, 1024, 1024 * 1024);
	for (size_t i = 0; i < 200; i++) {
		blocks[i] = te_arena_alloc(&arena, i);
		aligned = aligned && (uintptr_t)blocks[i] % _Alignof(max_align_t) == 0;
		memset(blocks[i], (int)i, i);
	}
	for (size_t i = 0; i < 200; i++)
		for (size_t k = 0; k < i; k++)
			intact = intact && blocks[i][k] == i;
	ok(aligned, "every allocation is aligned for any type");
	ok(intact, "allocations don't overlap");
	te_arena_free(&arena);
	ok(arena.reserved == 0, "after te_arena_free nothing is held");
}

static void takes_nothing_from_the_heap_after_warming_up(void)
{
	TeArena arena;
	size_t after_first, rounds = 0;

	te_arena_init(&arena, 4096, 1024 * 1024);
	for (int i = 0; i < 100; i++)
		te_arena_alloc(&arena, 500);
	te_arena_alloc(&arena, 50000);
	after_first = arena.reserved;
	for (; rounds < 50; rounds++) {
		te_arena_reset(&arena);
		for (int i = 0; i < 100; i++)
			te_arena_alloc(&arena, 500);
		te_arena_alloc(&arena, 50000);
		if (arena.reserved != after_first)
			break;
	}
	ok(rounds == 50, "the same work again needs no new block");
	te_arena_free(&arena);
}

static void keeps_to_its_limit(void)
{
	TeArena arena;
	int got = 0;

	te_arena_init(&arena, 1024, 10000);
	while (te_arena_alloc(&arena, 900) != NULL && got < 1000)
		got++;
	ok(got > 5 && got < 12, "allocations beyond the limit are refused");
	ok(arena.reserved <= 10000, "the heap bytes held stay within the limit");
	ok(arena.exhausted, "and the arena says so");
	te_arena_reset(&arena);
	ok(!arena.exhausted && te_arena_alloc(&arena, 900) != NULL,
	   "after a reset there is room again");
	te_arena_reset(&arena);
	ok(te_arena_alloc(&arena, 8000) != NULL,
	   "one large allocation fits where small blocks took the limit before");
	ok(arena.reserved <= 10000, "because waiting blocks were given back");
	ok(te_arena_alloc(&arena, 20000) == NULL, "one beyond the limit is refused");
	te_arena_free(&arena);
}

static void refuses_sizes_that_overflow(void)
{
	TeArena arena;

	te_arena_init(&arena, 1024, SIZE_MAX);
	ok(te_arena_alloc(&arena, SIZE_MAX) == NULL, "SIZE_MAX bytes");
	ok(te_arena_alloc(&arena, SIZE_MAX - 8) == NULL, "nearly SIZE_MAX bytes");
	ok(te_arena_array(&arena, SIZE_MAX / 4, 8) == NULL, "an array whose size overflows");
	te_arena_free(&arena);
}

static void copies_texts(void)
{
	TeArena arena;

	te_arena_init(&arena, 64, 4096);
	is_text(te_arena_strdup(&arena, "EURUSD"), "EURUSD", "strdup");
	is_text(te_arena_strndup(&arena, "EURUSD", 3), "EUR", "strndup ends the text");
	is_text(te_arena_strndup(&arena, NULL, 0), "", "strndup of nothing");
	ok(te_arena_alloc(&arena, 0) != te_arena_alloc(&arena, 0), "empty allocations differ");
	te_arena_free(&arena);
}

int main(void)
{
	hands_out_aligned_memory_that_does_not_overlap();
	takes_nothing_from_the_heap_after_warming_up();
	keeps_to_its_limit();
	refuses_sizes_that_overflow();
	copies_texts();
	return done_testing();
}
