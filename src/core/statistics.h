/*
 * statistics.h - figures of trades and of predictions.
 *
 * A figure without enough data is NAN: fewer than two trades, nothing to divide
 * by.  Definitions and their sources are in doc/statistics.md.
 *
 * Three families: sums over trades, which don't depend on their order and are
 * exact until they are read; the equity curve, which takes trades in order of
 * their closes and adds from left to right; scores of probabilities.
 */
#ifndef TE_CORE_STATISTICS_H
#define TE_CORE_STATISTICS_H

#include <stdbool.h>

#include "exact_sum.h"
#include "types.h"

/* Profits, returns or R multiples must be within this, so that their squares are finite. */
#define TE_STATISTICS_MOST 1e150

/* All zero is no trade yet.  Plain data: may be copied and moved between processes. */
typedef struct TeTradeSums
{
	int64_t trades, wins, losses; /* break-even trades are neither */
	double least, greatest;
	TeExactSum gain, loss; /* the loss is positive */
	TeExactSum gain_squares, loss_squares;
} TeTradeSums;

extern void te_trade_sums_add(TeTradeSums *s, double x);
extern void te_trade_sums_merge(TeTradeSums *s, const TeTradeSums *other);

extern double te_total(const TeTradeSums *s);
extern double te_win_rate(const TeTradeSums *s);      /* wins / (wins + losses) */
extern double te_profit_factor(const TeTradeSums *s); /* gross profit / gross loss */
extern double te_payoff_ratio(const TeTradeSums *s);  /* mean win / mean loss */
extern double te_expectancy(const TeTradeSums *s);    /* mean */
extern double te_deviation(const TeTradeSums *s);     /* sample standard deviation */
extern double te_sharpe(const TeTradeSums *s);        /* mean / sample standard deviation */
extern double te_sortino(const TeTradeSums *s);       /* mean / sqrt(mean of min(x, 0)^2) */
extern double te_sqn(const TeTradeSums *s);           /* sqrt(trades) * Sharpe */

/*
 * The equity curve: starts at a given equity, and moves by what is closed at one
 * instant, all of it together.
 */
typedef struct TeEquityCurve
{
	double start, equity, peak;
	double max_drawdown;        /* fraction of the peak before it */
	double max_drawdown_amount; /* money */
	int64_t trades;
	bool started;    /* there is an instant in progress */
	TeTime at;       /* of that instant */
	double together; /* what is closed at it so far */
	TeTime peak_at;
	bool below;      /* the peak */
	TeTime recovery; /* the longest so far; TE_NO_TIME: none */
} TeEquityCurve;

extern void te_equity_begin(TeEquityCurve *c, double equity);

/* Returns false, and leaves the curve as it was, when "at" is before the last close. */
extern bool te_equity_add(TeEquityCurve *c, TeTime at, double profit);

/* Settle the instant in progress; the figures below need it. */
extern void te_equity_end(TeEquityCurve *c);

extern double te_max_drawdown(const TeEquityCurve *c);
/* (peak - equity) / peak as it is at the end; NAN with fewer than 2 trades. */
extern double te_present_drawdown(const TeEquityCurve *c);
extern double te_max_drawdown_amount(const TeEquityCurve *c);
extern double te_calmar(const TeEquityCurve *c); /* return / max drawdown, not annualised */

/* Longest time from a peak to its recovery; TE_NO_TIME: none recovered. */
extern TeTime te_recovery_time(const TeEquityCurve *c);

/* Whether a drawdown breaks a limit: at the limit it doesn't. */
extern bool te_drawdown_breaks(double drawdown, double limit);

/* Longest run of losses; a break-even trade neither ends nor lengthens it. */
typedef struct TeStreak
{
	int64_t trades, now, longest;
} TeStreak;

extern void te_streak_add(TeStreak *s, double x);

/* Brier score: mean of (confidence - (right ? 1 : 0))^2. */
typedef struct TeBrier
{
	int64_t count;
	TeExactSum squares;
} TeBrier;

extern void te_brier_add(TeBrier *b, double confidence, bool right);
extern void te_brier_merge(TeBrier *b, const TeBrier *other);
extern double te_brier_score(const TeBrier *b);

/* One bin of a reliability diagram. */
typedef struct TeBin
{
	int64_t count, right;
	TeExactSum confidence;
} TeBin;

/* Which of so many equal bins of [0, 1]; an edge belongs to the bin above it, 1 to the last. */
extern int te_bin_of(double confidence, int bins);
extern void te_bin_add(TeBin *b, double confidence, bool right);
extern void te_bin_merge(TeBin *b, const TeBin *other);

#endif
