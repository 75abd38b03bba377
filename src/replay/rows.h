/*
 * rows.h - decisions of a run as rows: the sink of trading.replay().
 */
#ifndef TE_REPLAY_ROWS_H
#define TE_REPLAY_ROWS_H

#include "replay/replay.h"

extern const TeReplaySink te_replay_rows_sink;

#endif
