/*
 * decider.h - one process's decisions on the predictions of a run.
 *
 * A prediction is decided for every strategy that it was for, of every source, with what was
 * recorded of accounts and with what was done to the recorded signal.
 */
#ifndef TE_REPLAY_DECIDER_H
#define TE_REPLAY_DECIDER_H

#include "postgres.h"

#include "replay/recorded.h"
#include "replay/shown.h"
#include "replay/work.h"
#include "wire/state.h"

typedef struct TeReplayDecider
{
	TeReplayProcess callbacks; /* what callbacks get */
	const TeReplayRun *run;
	const TeReplaySink *sink;
	TeReplayChannel *channel;
	TeArena *arena;      /* of the message at hand */
	bool every_strategy; /* outcomes are wanted that no confidence is needed for */
	uint64 decisions;
	TeRepeatsSeed seed;
	TeRecorded *recorded;
	TeReplayShown shown;

	/* The prediction at hand. */
	TeReplayDecision now; /* its message is the caller's to set */
	TeDecisionInput in;
	TeAccount account;
	TeDecision decision;
	TeRiskAssessment assessment;
	TeReplayCandidate candidate;
	const TePrediction *weighed; /* see seen_by */
	const TeAccountRates *rates;
	bool passed_others;
	uint64 since_look;
} TeReplayDecider;

/* With SPI connected as long as it is used; run, sink and channel live as long. */
extern void te_replay_decider_begin(TeReplayDecider *r, const TeReplayRun *run,
                                    const TeReplaySink *sink, TeReplayChannel *channel,
                                    const TeRepeatsSeed *seed);
extern void te_replay_decider_end(TeReplayDecider *r);

/*
 * Decide a prediction of the message at hand, at a time.  The strategies that the batch saw are
 * shown, and "recorded" is at that prediction.
 */
extern void te_replay_decide(TeReplayDecider *r, int prediction, const TeDecidedOn *decided_on,
                             TeTime at);

/* Look at interrupts and at what workers have sent; it does so itself now and then. */
extern void te_replay_look_around(TeReplayDecider *r);

#endif
