/*
 * consumer.h - the reference consumer: every output of the engine once and in order, from
 * however many transports, in whatever order they are read.
 *
 * What it keeps is small: for each lane and epoch the next number that it expects, the
 * messages that came too early, and hashes of the newest ones, to notice when a number is
 * used for two contents, which must never happen.  A consumer that stores its effects
 * stores the next numbers with them, in one transaction.
 *
 * doc/consumers.md explains it, and says what a consumer does that reads only a share.
 */
#ifndef TE_TEST_CONSUMER_H
#define TE_TEST_CONSUMER_H

#include "common/output.h"

/* So many places back, a repetition's content is compared. */
#define CONSUMER_HASHES 65536

typedef enum {
	CONSUMED, /* took effect, and so did what waited for it */
	REPEATED, /* had taken effect before */
	WAITING, /* comes too early: something before it is still to come, maybe by another transport */
	CONFLICT, /* has the number of another content */
	PASSED,   /* is no output: a marker */
	REFUSED   /* has no identity, or not the content that it says */
} Verdict;

typedef struct Consumer Consumer;

/* A place takes effect: the message's, or one that a gap-fill gives up (reason is not empty). */
typedef void (*ConsumerEffect)(void *context, uint64_t lane, uint64_t epoch, uint64_t seq,
                               const Output *output);

extern Consumer *consumer_begin(ConsumerEffect effect, void *context);
extern Verdict consumer_take(Consumer *consumer, const Output *output);
/* Calls for each hole: places that something waits for. */
extern void consumer_holes(const Consumer *consumer,
                           void (*hole)(void *context, uint64_t lane, uint64_t epoch, uint64_t from,
                                        uint64_t to),
                           void *context);
extern void consumer_end(Consumer *consumer);

#endif
