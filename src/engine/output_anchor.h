/*
 * output_anchor.h - the end of a broker's output stream against what the database has.
 */
#ifndef TE_ENGINE_OUTPUT_ANCHOR_H
#define TE_ENGINE_OUTPUT_ANCHOR_H

#include "postgres.h"

#include "core/anchor.h"
#include "engine/outqueue.h"
#include "transport/transport.h"

typedef struct TeOutputSide
{
	const char *installation;
	int lane;
	TePlace cursor;       /* acknowledged by this broker */
	int64 stream_created; /* of the stream that has it; 0: that is not known */
	uint64 stream_seq;    /* its message there */
	uint64 predecessor_epoch;
	TePlace inherited;
	bool adopting;
} TeOutputSide;

/* Judge an anchor; reads the outbox, outside of a transaction. */
extern TeOutputJudgement te_output_anchor_judge(TeOutQueue *queue, const TeOutputSide *ours,
                                                const TeOutputAnchor *anchor);

#endif
