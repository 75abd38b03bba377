/*
 * sinks.c - the sinks that there are.  A worker finds its own by the place in the list.
 */
#include "postgres.h"

#include "replay/rows.h"
#include "replay/sweep.h"
#include "replay/trades.h"
#include "replay/work.h"

const TeReplaySink *const te_replay_sinks[] = {
	&te_replay_rows_sink,
	&te_replay_trades_sink,
	&te_replay_what_if_sink,
	&te_replay_sweep_sink,
};

const int te_replay_sink_count = lengthof(te_replay_sinks);
