/*
 * folds.h - walk-forward evaluation: choose in-sample, judge out-of-sample.
 *
 * The range is cut into folds + 1 periods of equal length.  For fold k the sample is what
 * comes before period k (all of it, or the one period before), and period k is out of the
 * sample.  A trade belongs to the period in which it was decided.  In-sample a trade
 * counts only if it was closed by the end of the sample: what became of it later nobody
 * could know.
 */
#ifndef TE_REPLAY_FOLDS_H
#define TE_REPLAY_FOLDS_H

#include "postgres.h"

#include "core/statistics.h"

#define TE_FOLDS_MOST 100

/* A trade that is closed. */
typedef struct TeSweepTrade
{
	int32 combination;
	int32 period; /* in which it was decided */
	TeTime decided_at, closed_at;
	double profit; /* or NAN */
	double r_multiple;
} TeSweepTrade;

/* Signals of a combination that were decided in one period. */
typedef struct TeSweepCount
{
	int32 signals, open;
} TeSweepCount;

/* Figures of one combination over some trades. */
typedef struct TeSweepFigures
{
	int64 signals;
	int64 left_out; /* in-sample: not closed by its end; out-of-sample: open */
	int64 trades;
	double win_rate, profit_factor, expectancy, expectancy_r, total_profit, max_drawdown;
	double score; /* of the metric that chooses */
} TeSweepFigures;

/* What a combination can be chosen by; the labels are those of argument "metric". */
#define TE_METRICS(X)                                                                              \
	X(EXPECTANCY, "expectancy")                                                                    \
	X(EXPECTANCY_R, "expectancy_r")                                                                \
	X(TOTAL_PROFIT, "total_profit")                                                                \
	X(WIN_RATE, "win_rate")                                                                        \
	X(PROFIT_FACTOR, "profit_factor")                                                              \
	X(SHARPE_RATIO, "sharpe_ratio")                                                                \
	X(SORTINO_RATIO, "sortino_ratio")                                                              \
	X(SQN, "sqn")                                                                                  \
	X(CALMAR_RATIO, "calmar_ratio")
#define TE_METRIC_MEMBER(symbol, label) TE_METRIC_##symbol,
typedef enum { TE_METRICS(TE_METRIC_MEMBER) TE_METRIC_COUNT } TeMetric;
#undef TE_METRIC_MEMBER
extern const TeEnum te_metric_enum;

typedef struct TeWalk
{
	TeTime from, to;
	int folds;
	bool anchored; /* the sample begins at "from" */
	TeMetric metric;
	int64 min_trades;  /* in-sample, to be chosen */
	double equity;     /* that equity curves start with; 0: not known */
	bool one_currency; /* else there are no figures in money */
	int combinations;
	int64 trade_count;
	TeSweepTrade *trades; /* sorted by te_walk_sort */
	TeSweepCount *counts; /* [combination * (folds + 1) + period] */
	int64 *first;         /* of each combination in trades, and the end of the last */
} TeWalk;

/* Where period "i" begins; i = folds + 1 is the end of the last. */
extern TeTime te_walk_boundary(const TeWalk *walk, int i);
extern int te_walk_period(const TeWalk *walk, TeTime at);

/* Put the trades into order and find each combination's; walk->first must have room for
 * combinations + 1. */
extern void te_walk_sort(TeWalk *walk);

/* Of a combination, in and out of the sample of a fold, from 1. */
extern void te_walk_in_sample(const TeWalk *walk, int fold, int combination, TeSweepFigures *out);
extern void te_walk_out_of_sample(const TeWalk *walk, int fold, int combination,
                                  TeSweepFigures *out);

/* Of a combination over all that was out of a sample. */
extern void te_walk_hindsight(const TeWalk *walk, int combination, TeSweepFigures *out);

/* Of the combinations chosen for each fold (-1: none; chosen[0] isn't used), out of the sample, one
 * after the other. */
extern void te_walk_chained(const TeWalk *walk, const int *chosen, TeSweepFigures *out);

/* Whether a combination with these figures is chosen over one whose score is "best" (NAN: none
 * yet). */
extern bool te_walk_better(const TeWalk *walk, const TeSweepFigures *figures, double best);

#endif
