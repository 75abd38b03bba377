/*
 * admission.h - from bytes to messages that may take effect, each once, in its producer's order.
 *
 * A message is read, its sender is authorised, and then it has its turn: at once, where it
 * has no number or the next one; later, where numbers before it are missing; or never,
 * where its number was used.  A message that is no good has its turn too, in which it
 * becomes a dead letter, so that no number is waited for in vain.
 */
#ifndef TE_ENGINE_ADMISSION_H
#define TE_ENGINE_ADMISSION_H

#include "engine/batch.h"

/* A message as far as it is known before its turn. */
typedef struct TeArrival
{
	TeInput input;
	TeSubject subject;
	TeMessage *message;               /* kind NONE: not even its envelope could be read */
	TeWireError fault;                /* code not OK: all that can become of it is a dead letter */
	bool authorised;                  /* the sender may use subject and number */
	bool crashes;                     /* it has ended workers: it is given up in its turn */
	const TeCachedProducer *producer; /* NULL: it came by SQL */
} TeArrival;

/* Decode and authorise; the subject is parsed already. */
extern void te_arrival_read(TeBatch *batch, TeArrival *arrival);

/* Does it have a number that counts? */
extern bool te_arrival_is_sequenced(const TeArrival *arrival);

/*
 * Give a message with a number its turn, or let it wait.  False: there is no room to let it
 * wait, and nothing has happened.
 */
extern bool te_admission_offer(TeBatch *batch, TeArrival *arrival);

/* A message without a number: was its batch's id seen before? */
extern bool te_admission_is_new(TeBatch *batch, const TeArrival *arrival);

/* What a producer says about its newest number. */
extern void te_admission_hear(TeBatch *batch, const TeArrival *arrival);

/*
 * Take the steps that the sequences have to give, as many as the batch has room for;
 * batch->unfinished tells whether some are left for the next batch.
 */
extern void te_admission_proceed(TeBatch *batch);

/* Give up the first hole of a producer's sequence; see TeInput.release. */
extern void te_admission_release(TeBatch *batch, const TeInput *input);

/* The producers' policies have changed: sequences that wait follow them from now on. */
extern void te_admission_follow_policies(const TeLaneContext *lane);

/* It has taken effect: its number, or its batch's id, is used. */
extern void te_admission_remember(TeBatch *batch, const TeArrival *arrival);

#endif
