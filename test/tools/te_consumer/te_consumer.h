/*
 * te_consumer.h - parts of the checker, see te_consumer.c.
 */
#ifndef TE_TEST_CONSUMER_PROGRAM_H
#define TE_TEST_CONSUMER_PROGRAM_H

#include <stdio.h>

#include "common/output.h"

/* Where a message was read: a stream of NATS, or a topic and partition of Kafka. */
typedef struct Place
{
	const char *via;  /* "nats" or "kafka" */
	const char *name; /* of the stream, or "<topic>/<partition>" */
	uint64_t position;
} Place;

/*
 * A message as a line that PostgreSQL's COPY reads.  Outputs:
 *	via, place, position, kind, lane, epoch, first, seq, hash, stated, reason, signal_id,
 *	installation, route, backfill
 * inputs:
 *	via, place, position, subject, kind, company, user, producer, epoch, seq, payload_hash,
 *	id (batch_id or execution_id), message_hash
 * with \N for what a message doesn't have.
 */
extern void write_output(FILE *file, const Place *place, const Message *message,
                         const Output *output);
extern void write_input(FILE *file, const Place *place, const Message *message);

/* Standard input, lines of (lane, epoch, frames of trading.outbox in hexadecimal digits), to
 * standard output, a line (lane, epoch, seq, hash) for each message in them. */
extern void write_frames(void);

#endif
