/*
 * progress.h - how far the runs of all sessions are, in shared memory.
 *
 * Without the library in shared_preload_libraries there is no such memory: a run goes on
 * all the same, and nobody can watch it.
 */
#ifndef TE_REPLAY_PROGRESS_H
#define TE_REPLAY_PROGRESS_H

#include "postgres.h"

/* X(symbol suffix, text in trading.stat_progress_replay) */
#define TE_REPLAY_PHASES(X)                                                                        \
	X(FINDING, "finding messages")                                                                 \
	X(DECIDING, "deciding")                                                                        \
	X(FINISHING, "finishing") /* the last results of workers are taken in */
#define TE_REPLAY_PHASE_MEMBER(symbol, text) TE_REPLAY_PHASE_##symbol,
typedef enum { TE_REPLAY_PHASES(TE_REPLAY_PHASE_MEMBER) TE_REPLAY_PHASE_COUNT } TeReplayPhase;
#undef TE_REPLAY_PHASE_MEMBER

/* A run as it is watched; TE_NO_PROGRESS: it isn't. */
typedef int TeReplayProgress;
#define TE_NO_PROGRESS (-1)

/* Installs the hooks that make the shared memory; from _PG_init while preloading. */
extern void te_replay_progress_init(void);

/*
 * Show a run of this session to whoever may see it: administrators, and the tenant
 * whose run it is (company NULL: an administrator's).  It must be ended, also after an error.
 */
extern TeReplayProgress te_replay_progress_begin(const char *function, const char *company,
                                                 const char *user);
extern void te_replay_progress_end(TeReplayProgress progress);

extern void te_replay_progress_phase(TeReplayProgress progress, TeReplayPhase phase);
extern void te_replay_progress_total(TeReplayProgress progress, uint64 messages, uint64 predictions,
                                     int workers);

/* What one more message came to; by any process of the run. */
extern void te_replay_progress_add(TeReplayProgress progress, uint64 messages, uint64 predictions,
                                   uint64 decisions, uint64 rows);

#endif
