/*
 * replay.h - stored predictions through the same core again.
 *
 * A run reads the messages of trading.prediction_batches whose lane clock is in
 * [from, to), decodes each once, and decides every prediction that was decided then,
 * for the strategies of its sources: as they were recorded, or as this transaction has
 * them, each with any number of variants.  What comes of it goes to a sink, in the
 * process that decided; what the sink has to say to the leader goes through te_replay_send.
 *
 * A run shares its work between this process and parallel workers, which see what this
 * transaction sees, its own changes included.  Messages are handed out in chunks of
 * consecutive batches of one lane.  What the processes send reaches the leader's part of the sink
 * in the order of (epoch, lane, batch_no, position, prediction), and within a prediction in the
 * order in which the lane decided, however many workers there are.
 *
 * What depends on earlier decisions:
 *   - positions, reservations and results of accounts are what was recorded (recorded.h), and so
 *     is what limits and risk services did to a signal;
 *   - whether a signal repeats another is found out anew, for every strategy and variant by its own
 *     signals (repeats.h), by the leader, because it needs them in their order.
 */
#ifndef TE_REPLAY_REPLAY_H
#define TE_REPLAY_REPLAY_H

#include "postgres.h"

#include "utils/array.h"
#include "utils/jsonb.h"

#include "core/actions.h"
#include "core/decide.h"
#include "engine/cache.h"
#include "replay/repeats.h"
#include "wire/decode.h"

/* Where the strategies of a run come from; the labels are those of argument "strategies". */
#define TE_REPLAY_STRATEGIES(X)                                                                    \
	X(RECORDED, "recorded") /* as each batch had them: its change_snapshot */                      \
	X(CURRENT, "current")   /* as this transaction has them; accounts, instruments as recorded */
#define TE_REPLAY_STRATEGIES_MEMBER(symbol, label) TE_REPLAY_##symbol,
typedef enum {
	TE_REPLAY_STRATEGIES(TE_REPLAY_STRATEGIES_MEMBER) TE_REPLAY_STRATEGIES_COUNT
} TeReplayStrategies;
#undef TE_REPLAY_STRATEGIES_MEMBER

/*
 * Strategies of a run.  Every variant is an object of strategy parameters, laid over the
 * user's own row as an UPDATE would; null: not set.  No variants: the strategies as they are.
 */
typedef struct TeReplaySource
{
	TeReplayStrategies strategies;
	int variant_count;
	Jsonb **variants;
} TeReplaySource;

#define TE_REPLAY_SOURCES 2

/* Outcomes as a set. */
#define TE_OUTCOME_BIT(outcome) (UINT32_C(1) << (outcome))
#define TE_OUTCOMES_ALL (TE_OUTCOME_BIT(TE_OUTCOME_COUNT) - 1)

typedef struct TeReplayRun
{
	TeTime from, to;                       /* of the lane's clock, half-open */
	const char *company, *user, *strategy; /* NULL: all */
	const char *symbol;                    /* NULL: all */
	int source_count;
	TeReplaySource sources[TE_REPLAY_SOURCES];
	uint32 outcomes; /* others aren't given to the sink, unless they are candidates */
	int workers;     /* parallel workers, at most */
} TeReplayRun;

/* A message of a run.  Lives until the sink's message_end. */
typedef struct TeReplayMessage
{
	int32 lane;
	int64 batch_no;
	int32 position;
	const char *company_id, *user_id; /* whom it was for, or _all */
	const char *correlation_id;
	const TeMessage *message; /* decoded */
} TeReplayMessage;

/* One decision, for the call; the strategy's texts and slot until prediction_end. */
typedef struct TeReplayDecision
{
	const TeReplayMessage *message;
	int prediction;                   /* index in the message */
	int source;                       /* index in the run's sources */
	int variant;                      /* index in the source's variants, or 0 */
	const TeCachedStrategy *strategy; /* whose it is, and its version */
	const TeDecisionInput *in;
	const TeDecision *decision; /* after what was done to the recorded signal */

	/*
	 * Of SIGNAL, HOLD and RISK_REJECTED, else NULL: for the leader, who has to be told of every
	 * one of them, wanted or not, and says whether it is a repetition.
	 */
	const TeReplayCandidate *candidate;
	const char *account_id;
	const TeRiskAssessment *assessment; /* status UNSPECIFIED: nothing was done */
	ArrayType *risk_notes;              /* in words, as recorded; NULL: none */
} TeReplayDecision;

/* Outcomes that candidates have. */
#define TE_OUTCOMES_OF_CANDIDATES                                                                  \
	(TE_OUTCOME_BIT(TE_OUTCOME_SIGNAL) | TE_OUTCOME_BIT(TE_OUTCOME_HOLD) |                         \
	 TE_OUTCOME_BIT(TE_OUTCOME_RISK_REJECTED))

/* Whether the caller has asked for decisions of an outcome. */
static inline bool te_replay_wants(const TeReplayRun *run, TeOutcome outcome)
{
	return (run->outcomes & TE_OUTCOME_BIT(outcome)) != 0;
}

/* A process's part in a run; the sink's state of that process is in "state". */
typedef struct TeReplayProcess
{
	const TeReplayRun *run;
	MemoryContext context; /* of the run */
	void *state;
	struct TeReplayChannel *channel; /* to the leader */
} TeReplayProcess;

/*
 * What a run's decisions are good for.  Sinks are listed in sinks.c, because workers find
 * them by their place there.  "parameters" are bytes that the leader gives to every process.
 * Callbacks may be NULL but for take.
 */
typedef struct TeReplaySink
{
	const char *name; /* in trading.stat_progress_replay */

	/* In every process that decides. */
	void (*begin)(TeReplayProcess *process, const void *parameters, Size length);
	void (*take)(TeReplayProcess *process, const TeReplayDecision *decision);
	void (*prediction_end)(TeReplayProcess *process, const TeReplayMessage *message,
	                       int prediction);
	void (*message_end)(TeReplayProcess *process, const TeReplayMessage *message);
	void (*chunk_end)(TeReplayProcess *process); /* what was gathered of it must be sent now */
	void (*end)(TeReplayProcess *process);       /* after the last chunk */

	/*
	 * In the leader: a piece that a process sent, aligned, in a memory context that is reset after
	 * it.  Every candidate in it must be judged by te_repeats_judge, in their order.
	 */
	void (*receive)(void *leader, TeRepeats *repeats, const void *data, Size length);
} TeReplaySink;

/* Hand bytes to the leader; in the leader itself that is a call of "receive". */
extern void te_replay_send(TeReplayProcess *process, const void *data, Size length);

/*
 * Run.  In the leader, in a transaction with an active snapshot, with SPI connected, as the
 * owner of the extension.  "leader" goes to the sink's receive.  Returns the number of
 * decisions made.  Errors of workers are raised here, with the worker's message.
 */
extern uint64 te_replay_run(const TeReplayRun *run, const TeReplaySink *sink,
                            const void *parameters, Size length, void *leader);

#endif
