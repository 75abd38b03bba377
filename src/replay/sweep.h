/*
 * sweep.h - many variants over one history: the sink of trading.sweep().
 */
#ifndef TE_REPLAY_SWEEP_H
#define TE_REPLAY_SWEEP_H

#include "replay/replay.h"

extern const TeReplaySink te_replay_sweep_sink;

#endif
