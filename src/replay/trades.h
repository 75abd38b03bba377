/*
 * trades.h - the sinks that judge signals: rows of trades, and differences between two runs.
 */
#ifndef TE_REPLAY_TRADES_H
#define TE_REPLAY_TRADES_H

#include "replay/replay.h"

extern const TeReplaySink te_replay_trades_sink;
extern const TeReplaySink te_replay_what_if_sink;

#endif
