/*
 * core_vectors.h - other projects' numbers, which lie beside the checkout and
 * aren't part of it.
 */
#ifndef TE_TEST_CORE_VECTORS_H
#define TE_TEST_CORE_VECTORS_H

#include <stdio.h>
#include <stdlib.h>

/* Open ../shared/vectors/<name>, or that of TE_SHARED; NULL when it isn't there. */
static inline FILE *open_vectors(const char *name)
{
	const char *shared = getenv("TE_SHARED");
	char path[4096];

	snprintf(path, sizeof(path), "%s/vectors/%s", shared != NULL ? shared : "../shared", name);
	return fopen(path, "r");
}

#endif
