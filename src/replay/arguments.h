/*
 * arguments.h - what the SQL functions that replay have in common: their arguments.
 *
 * Every check raises an error that names the argument as SQL has it.
 */
#ifndef TE_REPLAY_ARGUMENTS_H
#define TE_REPLAY_ARGUMENTS_H

#include "replay/replay.h"

#include "fmgr.h"

/* The arguments that are common, by their names; a function has them at positions of its own. */
#define TE_REPLAY_ARGUMENTS(X)                                                                     \
	X(from_time)                                                                                   \
	X(to_time)                                                                                     \
	X(changes)                                                                                     \
	X(company_id)                                                                                  \
	X(user_id)                                                                                     \
	X(strategy_id)                                                                                 \
	X(symbol)                                                                                      \
	X(strategies)                                                                                  \
	X(outcomes)                                                                                    \
	X(workers)

typedef struct TeReplayPositions
{
#define TE_REPLAY_POSITION(name) int name;
	TE_REPLAY_ARGUMENTS(TE_REPLAY_POSITION)
#undef TE_REPLAY_POSITION
} TeReplayPositions; /* from 1; 0: the function has no such argument, and its default holds */

/* All of them, in their order. */
extern const TeReplayPositions te_replay_all_positions;

/*
 * Read the arguments of a call into a run with one source, and hold them against the session's
 * identity: a tenant replays its own company, who is not admin of it its own strategies.
 * Names of companies, users and strategies that aren't the tenant's are refused in the same
 * words whether they exist or not.  With SPI connected.
 */
extern void te_replay_read_arguments(FunctionCallInfo fcinfo, const TeReplayPositions *positions,
                                     TeReplayRun *run);

/*
 * Check an object of strategy parameters: unknown keys, types, ranges, the custom rule.
 * "argument" is what errors call it.
 */
extern void te_replay_check_changes(const char *argument, Jsonb *changes);

#endif
