/*
 * load.h - predictions at a steady rate, for tests of behaviour under load.
 *
 * Every symbol follows a slow sine around its start, so directions and prices
 * change, and a run is the same each time.  Batches are sequenced and published
 * without waiting for one acknowledgement before the next.
 *
 *	load SYMBOL[,SYMBOL] --rate PREDICTIONS_PER_SECOND --count PREDICTIONS
 *		[--batch N] [--company C] [--user U] [--prefix P] [--producer NAME]
 *		[--epoch E]
 *
 * The epoch is the wall clock at the start, in microseconds, unless it is given.  What is
 * sent follows from it and the other options: two loads with one epoch, one for each
 * transport, send the same bytes.
 */
#ifndef TE_TEST_LOAD_H
#define TE_TEST_LOAD_H

#include "common/tool.h"

/* Hand over one message; its id is that of the batch. */
typedef void (*LoadSender)(void *context, const char *subject, const char *company, const char *id,
                           const uint8_t *data, size_t length);

typedef struct LoadResult
{
	uint64_t predictions, batches, epoch;
	double started; /* seconds_now() */
} LoadResult;

extern LoadResult run_load(Arguments *arguments, LoadSender send, void *context);
/* The summary, once everything is acknowledged or refused; the exit status. */
extern int finish_load(const LoadResult *result, uint64_t refused);

#endif
