/*
 * exposure.h - what a lane's tenants have open, reserved and said of late.
 *
 * One place for everything that makes a decision depend on earlier ones:
 *   - signals, holds and decided predictions of late, and stopped-out predictions
 * (core/duplicates.h);
 *   - open positions and signals that have neither expired nor an outcome (core/book.h);
 *   - what accounts have made so far, and what they are net in a symbol.
 * A lane has one, and so has a replay, which fills it with what was recorded.
 *
 * A batch stages what it adds; te_exposure_apply keeps it after the commit,
 * te_exposure_discard forgets it.  Memory grows with the batch.
 */
#ifndef TE_ENGINE_EXPOSURE_H
#define TE_ENGINE_EXPOSURE_H

#include "postgres.h"

#include "core/book.h"
#include "core/duplicates.h"
#include "engine/cache.h"
#include "engine/candidate.h"

typedef struct TeExposure TeExposure;

/*
 * Empty; lives as long as the context.  "signals" and "bans" are how many signals and holds (and as
 * many decided predictions), and how many stopped-out predictions, are remembered.
 */
extern TeExposure *te_exposure_create(MemoryContext context, uint32 signals, uint32 bans);

/*
 * Read what a lane had after its last batch; in a transaction with SPI connected.  "now" is the
 * clock that windows and reservations end by.
 */
typedef struct TeExposureSource
{
	int lane, lane_count;
	TeTime now;
	const TeCache *cache; /* of which the margin rates are */
} TeExposureSource;
extern void te_exposure_load(TeExposure *e, const TeExposureSource *source);

/* How many signals are remembered. */
extern uint32 te_exposure_capacity(const TeExposure *e);

/*----------------------------------------------------------------------
 * What a decision sees
 *----------------------------------------------------------------------*/

/* An account with what it has made and with its orders, reserved ones among them. */
static inline void te_account_add(TeAccount *account, int64 realised, int64 orders)
{
	account->equity = Max(0, account->equity + te_book_currency(realised));
	account->open_positions += orders;
}

/*
 * The account of a strategy as a decision sees it now: equity with what was realised, open
 * positions with what is reserved, the strategy's own hit rate and multiplier.
 */
extern void te_exposure_account(const TeExposure *e, const TeCachedStrategy *s, TeAccount *out);

/*----------------------------------------------------------------------
 * Repetitions
 *----------------------------------------------------------------------*/

/*
 * Whether a candidate repeats what was said: its prediction is decided for the strategy, or was
 * stopped out, or a like signal is within the window.
 */
extern bool te_exposure_repeats(const TeExposure *e, const TeCandidate *c);

/*
 * Stage a candidate that doesn't, as it is after switches and limits: it is remembered, and a
 * signal reserved.
 */
extern void te_exposure_take(TeExposure *e, TeCandidate *c);

/* The assessment of a candidate that was taken has changed it: a smaller one, or none at all. */
extern void te_exposure_amend(TeExposure *e, TeCandidate *c);

/* The same from a recorded row, in the order of recording; in place of te_exposure_take. */
typedef struct TeExposureSignal
{
	const char *company_id, *user_id, *strategy_id, *symbol, *prediction_id;
	TeTime decided_at;
	TeOutcome outcome; /* SIGNAL, HOLD or RISK_REJECTED */
	TeHoldReason hold_reason;
	int side;           /* +1 buy, -1 sell, 0 hold */
	double entry_price; /* NAN of a hold */
	double signal_strength;
	int32 window_seconds; /* of the strategy then */
} TeExposureSignal;
extern void te_exposure_remember(TeExposure *e, const TeExposureSignal *signal);

/* A position of the prediction was stopped out: its strategy never takes it again. */
extern void te_exposure_ban(TeExposure *e, const char *company_id, const char *user_id,
                            const char *strategy_id, const char *prediction_id, TeTime stopped_at);

/*----------------------------------------------------------------------
 * What is open and reserved
 *----------------------------------------------------------------------*/

/* An order that is reserved or open, as it counts in the book; amounts in account currency. */
typedef struct TeExposureOrder
{
	const char *company_id, *user_id, *strategy_id, *account_id, *symbol;
	const char *base_currency, *quote_currency, *account_currency;
	int side;                      /* +1 long, -1 short */
	double risk, notional, margin; /* lost at the stop; value; bound.  NAN: not known */
	double pending_lots;           /* not filled yet, and still may be */
	TeTime expires_at;             /* TE_NO_TIME: never, because all that may be is filled */
	double left;                   /* share of it that is left then, for good; 0: none, it goes */
} TeExposureOrder;

/* What a decision comes to as an order; names but those of its instrument are the caller's. */
extern void te_exposure_order(const TeDecisionInput *in, const TeDecision *d, double margin_rate,
                              TeExposureOrder *out);

/* Put it into the book in place of what is there of the signal; and take it out. */
extern void te_exposure_put(TeExposure *e, const uint8_t signal_id[TE_UUID_BYTES],
                            const TeExposureOrder *order);
extern void te_exposure_remove(TeExposure *e, const uint8_t signal_id[TE_UUID_BYTES]);
extern const TeBookEntry *te_exposure_find(const TeExposure *e,
                                           const uint8_t signal_id[TE_UUID_BYTES]);

/* Reservations end at their expiry. */
extern void te_exposure_expire(TeExposure *e, TeTime now);

/*
 * Totals of a scope.  Without user and strategy: of the company; a strategy needs a user.  symbol
 * NULL: all.  "account_id" with a user instead of a strategy: of that account.  A currency
 * (with neither symbol, strategy nor account): its "net" is the net exposure to it.
 */
typedef struct TeExposureScope
{
	const char *company_id, *user_id, *strategy_id, *account_id, *symbol, *currency;
} TeExposureScope;
extern TeBookTotals te_exposure_totals(const TeExposure *e, const TeExposureScope *scope);

/*----------------------------------------------------------------------
 * Results; they count at once, so the caller tells them after the commit
 *----------------------------------------------------------------------*/

/* What an account has made; whole numbers of TE_BOOK_UNIT of its currency. */
typedef struct TeAccountResults
{
	int64 realised;       /* over all positions */
	int64 peak;           /* greatest "realised" so far, never below 0 */
	int64 day_start;      /* "realised" when the day began */
	TeTime day_starts_at; /* TE_NO_TIME: no trade yet */
} TeAccountResults;

extern TeAccountResults te_exposure_results(const TeExposure *e, const char *company_id,
                                            const char *user_id, const char *account_id);
extern void te_exposure_set_results(TeExposure *e, const char *company_id, const char *user_id,
                                    const char *account_id, const TeAccountResults *results);

/* Net lots of an account in a symbol, < 0 for short. */
extern double te_exposure_position(const TeExposure *e, const char *company_id, const char *user_id,
                                   const char *account_id, const char *symbol);
extern void te_exposure_set_position(TeExposure *e, const char *company_id, const char *user_id,
                                     const char *account_id, const char *symbol, double lots);

/* Lots of an account's orders of a side in a symbol that aren't filled yet and still may be. */
extern double te_exposure_pending(const TeExposure *e, const char *company_id, const char *user_id,
                                  const char *account_id, const char *symbol, int side);

/*----------------------------------------------------------------------
 * Staging
 *----------------------------------------------------------------------*/

extern void te_exposure_apply(TeExposure *e, TeTime now);
extern void te_exposure_discard(TeExposure *e);

/* For trading.stat_workers. */
typedef struct TeExposureFigures
{
	int64 reserved; /* entries of the book */
	int64 lost;     /* entries of the memories that had to go while they were of interest */
	int64 bytes;
} TeExposureFigures;
extern TeExposureFigures te_exposure_figures(const TeExposure *e);

#endif
