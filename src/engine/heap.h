/*
 * heap.h - memory of a lane's process: what of it is in use, and what is kept.
 *
 * How much the kernel has given says little about a process that runs for months: it is what was
 * ever needed at once, and rises whenever a page of that is touched for the first time.  What is in
 * use, allocated and not freed, rises only with what is remembered, or with a leak.
 */
#ifndef TE_ENGINE_HEAP_H
#define TE_ENGINE_HEAP_H

#include "postgres.h"

/* Once, before anything else is allocated: how the C library treats what is freed. */
extern void te_heap_settings(void);

/*
 * Bytes that the process has allocated and not freed: by the C library's allocator, where that can
 * tell, and by PostgreSQL's memory contexts, less what is free in these.  Takes some 0.1 ms.
 */
extern int64 te_heap_in_use(void);

#endif
