/*
 * intake.h - what a lane takes in: which messages, from where, and up to which position.
 *
 * A batch is gathered from the inbox and from the transports' input.  What was taken is
 * let go when its transaction is durable (te_intake_committed); when it failed, nothing
 * was taken (te_intake_failed): all of it comes again, one by one where a message is
 * suspected, and one that fails alone becomes a dead letter.
 *
 * The output's part of a lane's turn, and the turns themselves, are in work.c.
 */
#ifndef TE_ENGINE_INTAKE_H
#define TE_ENGINE_INTAKE_H

#include "postgres.h"

#include "engine/batch.h"
#include "transport/transport.h"

typedef struct TeIntake TeIntake;

/* Reads what the inbox has; in a transaction with SPI connected.  The context must stay. */
extern TeIntake *te_intake_create(TeLaneContext *context);

/* Have the bounds of what waits changed, which memory is made for? */
extern bool te_intake_outdated(const TeIntake *intake);

/* Go by the settings of now, which mustn't contradict each other. */
extern void te_intake_configure(TeIntake *intake);

/* From here on the transport brings input; before its first process(). */
extern void te_intake_attach(TeIntake *intake, TeTransport *transport, TeTransportKind kind);

/* Let input flow that waits for the judgement of an anchor; the lane must be settled. */
extern void te_intake_resume(TeIntake *intake);

/* Has a commit been announced that the inbox has to be read for? */
extern bool te_intake_stale(const TeIntake *intake);

/* What is announced from here on is for the next read; before the snapshot is taken. */
extern void te_intake_heed(TeIntake *intake);

/* Read the inbox, if it is stale; as te_inbox_read. */
extern void te_intake_read(TeIntake *intake);

/* Take what is there into the batch; false when there is nothing to store. */
extern bool te_intake_gather(TeIntake *intake, TeBatch *batch);

/* When to gather although nothing has come (monotonic). */
extern int64 te_intake_due(const TeIntake *intake);

/* Are there messages whose turn has come? */
extern bool te_intake_more(const TeIntake *intake);

/*
 * Which missing message holds up its producer's sequence, though it can't come any more by itself,
 * and what isn't read because of it; NULL: none.  Valid until the next call.
 */
extern const char *te_intake_halt(TeIntake *intake);

/* Messages that the last gathering took. */
extern int te_intake_taken(const TeIntake *intake);

/* The inbox rows that are read once the batch at hand is committed. */
extern const char *te_intake_snapshot(const TeIntake *intake);

/* The inbox rows that were read, between batches. */
extern const char *te_intake_applied(const TeIntake *intake);

extern void te_intake_committed(TeIntake *intake);

/* Does input move?  See stall.h. */
extern void te_intake_watch(TeIntake *intake, int64 now);

/*
 * Nothing of the batch has happened, because of "error".  "blameless": the reason isn't in any
 * message.  True when it is worth trying again at once, in another way than before.
 */
extern bool te_intake_failed(TeIntake *intake, const ErrorData *error, bool blameless);

/* Are messages of a failed batch still to be tried? */
extern bool te_intake_retrying(const TeIntake *intake);

#endif
