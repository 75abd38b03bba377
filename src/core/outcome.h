/*
 * outcome.h - what became of a signal, or would have: a trade judged against bars.
 *
 * Bars are of the mid price, so what happens inside one is not known.  Wherever it
 * matters, the answer is the one that is worse for the trader:
 *
 * - A MARKET order is filled at its entry price when it is decided.  A LIMIT order
 *   is filled at its limit, never better, by the first bar that touches it, out of
 *   those that begin after the decision and before expires_at.
 * - A bar in which a position is opened, the one that holds the decision of a MARKET
 *   order among them, can stop it out at the stop loss, but not reach its take profit.
 * - A later bar that holds both stop loss and take profit stops it out, and a bar
 *   that opens beyond the stop loss does so at its open.  The take profit is filled
 *   at its price, never better.
 * - One buys at mid + spread / 2 and sells at mid - spread / 2, with the spread of
 *   the decision.
 * - Once an order is stopped out, those of the same signal that wait are cancelled.
 */
#ifndef TE_CORE_OUTCOME_H
#define TE_CORE_OUTCOME_H

#include "decide.h"
#include "market.h"

/* OPEN: no end by the last bar, or an order that may still be filled after it. */
#define TE_RESULTS(X) X(NOT_FILLED) X(STOP_LOSS) X(TAKE_PROFIT) X(OPEN)
#define TE_RESULT_MEMBER(label) TE_ENUM_MEMBER_(TE_RESULT_, label)
typedef enum { TE_RESULTS(TE_RESULT_MEMBER) TE_RESULT_COUNT } TeResult;
extern const TeEnum te_result_enum;

/* What has to be known of a signal. */
typedef struct TeTrade
{
	int sign; /* +1 long, -1 short */
	TeTime decided_at;
	TeTime expires_at; /* of LIMIT orders; TE_NO_TIME: never */
	double spread;     /* price units, >= 0 */
	double pip_size, tick_size, contract_size;
	double conversion_rate; /* account currency per unit of quote currency, or NAN */
	int order_count;        /* 1, or the number of legs */
	TeLeg orders[TE_MAX_LEGS];
} TeTrade;

/* The trade of a decision; its outcome must be SIGNAL.  An unknown spread is 0. */
extern void te_trade_of(const TeDecisionInput *in, const TeDecision *d, TeTrade *out);

/* Closed bars of one symbol in order of their starts. */
typedef struct TeBars
{
	const TeBar *bars;
	int count;
	TeTime length; /* of each, > 0 */
} TeBars;

/*
 * What became of an order, or of all orders of a signal together.  Times and prices
 * that there aren't are TE_NO_TIME and NAN.  A bar tells no time: a limit is filled
 * at the start of its bar, the earliest it can have been, and a position is
 * closed at the end of its bar, when it is known.
 */
typedef struct TeOrderOutcome
{
	TeResult result;
	TeTime filled_at, closed_at;
	double size; /* filled, lots */
	double fill_price, exit_price;
	double pips;
	double r_multiple; /* profit over what the stop loss would have cost */
	double profit;     /* account currency; NAN without a rate */
} TeOrderOutcome;

/*
 * Of the whole: NOT_FILLED if nothing was filled, OPEN if anything may still end,
 * STOP_LOSS if any order was stopped out.  Prices and pips are means by size; the
 * R multiple is of the sums.
 */
typedef struct TeTradeOutcome
{
	TeOrderOutcome whole;
	TeOrderOutcome orders[TE_MAX_LEGS];
} TeTradeOutcome;

extern void te_trade_judge(const TeTrade *trade, const TeBars *bars, TeTradeOutcome *out);

/* What keeps a trade from being judged: the key and a lower-case reason, or NULL. */
extern const char *te_trade_check(const TeTrade *trade, const char **reason);

#endif
