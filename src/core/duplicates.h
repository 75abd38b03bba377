/*
 * duplicates.h - signals that repeat themselves, and predictions that come again.
 *
 * A lane remembers three things: the signals and holds of late (DUPLICATE), the
 * predictions decided of late per strategy (decided once), and the predictions
 * whose position was stopped out (never entered again).  Each has its own memory,
 * so that none can push out another.
 *
 * A batch stages what it adds; later signals of the same batch see it.  After a
 * restart the same memory is made by adding the stored rows in their order.
 */
#ifndef TE_CORE_DUPLICATES_H
#define TE_CORE_DUPLICATES_H

#include "recall.h"

/* A signal is compared with at most so many of its key, the newest ones. */
#define TE_DUPLICATE_MOST_COMPARED 1024

/*
 * How long a stopped-out prediction is banned: no strategy takes a prediction that
 * is older than a day, so after that it is STALE.
 */
#define TE_REENTRY_BAN (INT64_C(86400) * TE_USEC_PER_SEC)

/* How many of each are remembered, and how many a batch may add. */
typedef struct TeDuplicateLimits
{
	uint32_t signals, decisions, bans;
	uint32_t batch;
} TeDuplicateLimits;

typedef struct TeDuplicates
{
	TeRecall signals;   /* key: company, user, strategy, symbol */
	TeRecall decisions; /* key: company, user, strategy, prediction_id */
	TeRecall bans;      /* key: as of decisions */
} TeDuplicates;

/* A signal or hold as far as it can be a duplicate. */
typedef struct TeDuplicateSignal
{
	TeKey key; /* company, user, strategy, symbol */
	TeTime at; /* by the lane's clock */
	int side;  /* +1 buy, -1 sell, 0 hold */
	double entry_price;
	uint8_t hold_reason; /* of a hold: what it is compared by */
} TeDuplicateSignal;

/* The strategy's own words for "alike", and the instrument's pip. */
typedef struct TeDuplicateRule
{
	int32_t window_seconds;
	double distance_pips;
	double pip_size;
} TeDuplicateRule;

extern size_t te_duplicates_size(const TeDuplicateLimits *limits);

/* Lay out an empty memory in that many bytes, aligned as for uint64_t. */
extern void te_duplicates_init(TeDuplicates *d, void *memory, const TeDuplicateLimits *limits);

/* Move to other memory, laid out for limits that are no less. */
extern void te_duplicates_move(TeDuplicates *d, void *memory, const TeDuplicateLimits *limits);

/*
 * Whether an earlier signal of the key is like this one: same side, less than the
 * window apart, entries at most the distance apart; of holds: the same reason.
 * A window of 0 means that nothing is a duplicate.  Duplicates themselves aren't
 * remembered, so they don't prolong the window.
 */
extern bool te_duplicates_has_signal(const TeDuplicates *d, const TeDuplicateSignal *signal,
                                     const TeDuplicateRule *rule);

/* Whether the prediction is decided already for the strategy; *outcome says how. */
extern bool te_duplicates_has_decision(const TeDuplicates *d, TeKey prediction, TeTime at,
                                       TeOutcome *outcome);

/* Whether a position of this prediction was stopped out. */
extern bool te_duplicates_has_ban(const TeDuplicates *d, TeKey prediction, TeTime at);

/* How long a decision is remembered: max(30, floor(strength * 120)) seconds; NAN: 30. */
extern TeTime te_decision_life(double signal_strength);

/*
 * Stage.  False (NULL) where the batch has no room left: it has to end before the
 * prediction in hand.  A staged signal that risk assessment turns into a hold is
 * told so by te_duplicates_retype, before the batch is applied.
 */
extern TeMemo *te_duplicates_add_signal(TeDuplicates *d, const TeDuplicateSignal *signal,
                                        const TeDuplicateRule *rule);
extern void te_duplicates_retype(TeMemo *staged, int side, uint8_t hold_reason);
extern bool te_duplicates_add_decision(TeDuplicates *d, TeKey prediction, TeTime at,
                                       TeOutcome outcome, double signal_strength);
extern bool te_duplicates_add_ban(TeDuplicates *d, TeKey prediction, TeTime stopped_at);

/* After the commit, and after an abort. */
extern void te_duplicates_apply(TeDuplicates *d, TeTime now);
extern void te_duplicates_discard(TeDuplicates *d);

#endif
