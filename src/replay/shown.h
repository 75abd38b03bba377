/*
 * shown.h - the strategies of a run's sources, as a batch of the run saw them.
 */
#ifndef TE_REPLAY_SHOWN_H
#define TE_REPLAY_SHOWN_H

#include "postgres.h"

#include "engine/cache.h"
#include "replay/replay.h"

/* Strategies of one source for the lane at hand. */
typedef struct TeShownSource
{
	TeCache *cache;
	TeVariant *variants;
} TeShownSource;

typedef struct TeReplayShown
{
	const TeReplayRun *run;
	TeShownSource sources[TE_REPLAY_SOURCES];
	TeCache *others;      /* of a run of one strategy: all of its users', as recorded; else NULL */
	MemoryContext memory; /* of the lane at hand */
	int lane, lane_count; /* -1: none yet */
	struct varlena *snapshot;
	bool has_snapshot;
	int64 system;
} TeReplayShown;

extern void te_replay_show_begin(TeReplayShown *shown, const TeReplayRun *run,
                                 MemoryContext context);
extern void te_replay_show_end(TeReplayShown *shown);

/* Go to a lane of so many: other companies. */
extern void te_replay_show_lane(TeReplayShown *shown, int lane, int lane_count);

/* Bring every source to what a batch saw. */
extern void te_replay_show_snapshot(TeReplayShown *shown, struct varlena *snapshot, int64 system);

/* Of a batch that is gone, or that a restored dump has stripped, nobody knows what it saw. */
extern void te_replay_show_unknown(const TeReplayShown *shown, int64 batch_no);

/*
 * Hold the variants of a run without messages against the rows as they are, as an UPDATE would
 * be: where there are messages, the rows that decided them are asked.
 */
extern void te_replay_check_variants(const TeReplayRun *run);

#endif
