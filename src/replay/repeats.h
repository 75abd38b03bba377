/*
 * repeats.h - which signals of a run repeat others.
 *
 * The rules are core/duplicates.h's.  The leader of a run judges all of its signals and holds in
 * their order, each strategy and each variant for itself: what one variant says is no
 * repetition for another.  What was recorded of the time before the run counts for all of them.
 */
#ifndef TE_REPLAY_REPEATS_H
#define TE_REPLAY_REPEATS_H

#include "postgres.h"

#include "core/duplicates.h"

/* A signal or hold as the leader has to know it. */
typedef struct TeReplayCandidate
{
	TeKey signal;     /* of company, user, strategy and symbol */
	TeKey prediction; /* of company, user, strategy and prediction_id */
	uint32 series;    /* source and variant; from 1 */
	int64 batch_no;
	TeTime at;
	double entry_price, signal_strength;
	double distance_pips, pip_size;
	int32 window_seconds;
	int8 side;         /* +1 buy, -1 sell, 0 hold */
	uint8 hold_reason; /* TeHoldReason */
	uint8 outcome;     /* TeOutcome, if it is no repetition */
	bool turned_down;  /* RISK_REJECTED only when its group was assessed: until then it was said */
	int32 group;       /* of the batch's recorded candidates, that it was among; -1: not known */
} TeReplayCandidate;

/* Keys of names are made with secrets of the run, so that nobody can choose names that collide. */
typedef struct TeRepeatsSeed
{
	uint64 hi, lo;
} TeRepeatsSeed;

extern TeKey te_repeats_key(const TeRepeatsSeed *seed, const char *company_id, const char *user_id,
                            const char *strategy_id, const char *name);

typedef struct TeRepeats TeRepeats;

extern TeRepeats *te_repeats_create(MemoryContext context);

/* What was recorded before the run, in the order of recording; series 0. */
extern void te_repeats_remember(TeRepeats *r, const TeReplayCandidate *candidate);

/* A position of the prediction was stopped out, as the lane's batch "batch_no" told. */
extern void te_repeats_ban(TeRepeats *r, TeKey prediction, int64 batch_no, TeTime stopped_at);

/* What comes next is of this lane in this epoch. */
extern void te_repeats_enter(TeRepeats *r, int64 epoch, int32 lane);

/* Whether a candidate is a repetition; if not, it is remembered. */
extern bool te_repeats_judge(TeRepeats *r, const TeReplayCandidate *candidate);

#endif
