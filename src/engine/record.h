/*
 * record.h - a candidate that is settled becomes a row, and messages to be sent.
 */
#ifndef TE_ENGINE_RECORD_H
#define TE_ENGINE_RECORD_H

#include "postgres.h"

#include "engine/batch.h"

/*
 * Its row of trading.signals with legs, its place in the lane's output, the message on
 * signals.*, and for an approved signal of a strategy with auto_execute the command on commands.*
 */
extern void te_record_candidate(TeBatch *batch, const TeCandidate *c);

#endif
