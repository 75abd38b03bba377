/*
 * begin_early.c - lets AddressSanitizer begin before everything else.
 *
 * It begins with the first allocation.  In a PostgreSQL server that is one of libgpg-error's, which
 * holds a lock of gettext that the sanitizer then waits for.  Linked with -z initfirst.
 */
#include <stdlib.h>

__attribute__((constructor)) static void begin(void)
{
	free(malloc(1));
}
