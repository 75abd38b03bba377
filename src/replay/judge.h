/*
 * judge.h - what would have become of a run's signals, by the closed bars of their lane.
 *
 * A run decides within its range; its signals are judged with every bar that there is
 * after it.
 */
#ifndef TE_REPLAY_JUDGE_H
#define TE_REPLAY_JUDGE_H

#include "replay/replay.h"

#include "core/outcome.h"

typedef struct TeJudge TeJudge;

/* Bars that end before "from" are not needed.  Lives as long as the memory context. */
extern TeJudge *te_judge_create(MemoryContext context, TeTime from);

/* Judge a trade in a symbol.  Bars are read when they are first asked for, by SPI. */
extern void te_judge(TeJudge *judge, int32 lane, const char *symbol, const TeTrade *trade,
                     TeTradeOutcome *out);

/*
 * A run that compares: the strategies as they were recorded, and those that the arguments
 * ask for.  te_replay_side says which of the two a decision belongs to.
 */
typedef enum { TE_BEFORE, TE_AFTER, TE_SIDES } TeSide;

extern void te_replay_compare(TeReplayRun *run);

static inline TeSide te_replay_side(const TeReplayRun *run, const TeReplayDecision *d)
{
	return (run->source_count > 1 ? d->source : d->variant) == 0 ? TE_BEFORE : TE_AFTER;
}

#endif
