/*
 * check.h - what a careful consumer of an output stream would find.
 *
 * A consumer knows every message by (lane, epoch, seq) of its headers.  It takes
 * the first of each, and expects them without a hole and in order, with the
 * epoch and content that the headers say.  A gap-fill record stands for the range
 * that it names.  Found are
 *
 *	messages     in the stream
 *	distinct     keys, gap-filled ones included
 *	duplicates   messages whose key was there before, with the same content
 *	conflicts    keys that came with two contents
 *	gaps         keys that never came, from 1 to the last one of each epoch
 *	disorder     first occurrences behind a later key
 *	bad_hashes   content that is not that of header te-hash
 *	bad_headers  no or other identity than the envelope's
 *
 * and it is clean unless conflicts, disorder, bad_hashes, bad_headers or, where the stream
 * is said to be complete, gaps are more than 0.
 */
#ifndef TE_TEST_CHECK_H
#define TE_TEST_CHECK_H

#include "common/message.h"

typedef struct Check Check;

extern Check *check_begin(void);
extern void check_take(Check *check, const Message *message);
/* What was found, as a JSON object; frees the check.  complete: gaps count. */
extern json_t *check_end(Check *check, bool complete, bool *clean);

#endif
