/*
 * heap.c - see heap.h.
 */
#include "postgres.h"

#include "engine/heap.h"

#include "nodes/memnodes.h"
#include "utils/memutils.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#define KEPT_MEMORY (16 * 1024 * 1024)  /* at the end of the heap, bytes */
#define MAPPED_MEMORY (4 * 1024 * 1024) /* pieces from this size on are the kernel's again */
#define MEMORY_ARENAS 2                 /* our own, and one for all other threads */

/* What is free in a context of more is not counted, because that means to visit every piece. */
#define LARGE_CONTEXT ((Size)16 * 1024 * 1024)

/*
 * What a batch allocates it frees again.  Left to itself, glibc gives the end of the heap back to
 * the kernel each time, and the next batch pays for page faults: a fifth of the worker's time.
 */
void te_heap_settings(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	/* Threads of the brokers' clients come and go, and would each keep an arena of their own. */
	(void)mallopt(M_ARENA_MAX, MEMORY_ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_MEMORY);
#endif
}

/* What a context and those below it have of the allocator's, and what is free in them. */
static void count_contexts(MemoryContext context, MemoryContextCounters *sum)
{
	if (MemoryContextMemAllocated(context, false) > LARGE_CONTEXT)
		sum->totalspace += MemoryContextMemAllocated(context, false);
	else
		context->methods->stats(context, NULL, NULL, sum, false);
	for (MemoryContext child = context->firstchild; child != NULL; child = child->nextchild)
		count_contexts(child, sum);
}

/* What the allocator has given out, if it can tell; else what the contexts have. */
static int64 allocated(const MemoryContextCounters *contexts)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	/* Where another allocator has taken its place, it knows of nothing. */
	return (int64)Max(info.uordblks + info.hblkhd, contexts->totalspace);
#else
	return (int64)contexts->totalspace;
#endif
}

int64 te_heap_in_use(void)
{
	MemoryContextCounters contexts = {0};

	count_contexts(TopMemoryContext, &contexts);
	return allocated(&contexts) - (int64)contexts.freespace;
}
