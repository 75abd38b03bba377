/*
 * folds.c - walk-forward evaluation.
 */
#include "postgres.h"

#include "replay/folds.h"

#include "miscadmin.h"
#include "utils/memutils.h"

static const char *const metric_labels[] = {
#define METRIC_LABEL(symbol, label) label,
	TE_METRICS(METRIC_LABEL)
#undef METRIC_LABEL
};

const TeEnum te_metric_enum = {"metric", TE_METRIC_COUNT, metric_labels};

/*----------------------------------------------------------------------
 * Periods
 *----------------------------------------------------------------------*/

TeTime te_walk_boundary(const TeWalk *walk, int i)
{
	int periods = walk->folds + 1;
	TeTime length = walk->to - walk->from;

	return walk->from + length / periods * i + length % periods * i / periods;
}

int te_walk_period(const TeWalk *walk, TeTime at)
{
	int low = 0, high = walk->folds;

	while (low < high) {
		int middle = (low + high + 1) / 2;

		if (te_walk_boundary(walk, middle) <= at)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* By combination, then as they were closed; nothing depends on the order of what is equal here. */
static int compare_trades(const void *x, const void *y)
{
	const TeSweepTrade *a = x, *b = y;

#define COMPARE(field)                                                                             \
	if (a->field != b->field)                                                                      \
	return a->field < b->field ? -1 : 1
	COMPARE(combination);
	COMPARE(closed_at);
	COMPARE(decided_at);
	if (a->profit < b->profit || a->profit > b->profit)
		return a->profit < b->profit ? -1 : 1;
	if (a->r_multiple < b->r_multiple || a->r_multiple > b->r_multiple)
		return a->r_multiple < b->r_multiple ? -1 : 1;
	return 0;
}

void te_walk_sort(TeWalk *walk)
{
	int64 n = 0;

	qsort(walk->trades, walk->trade_count, sizeof(TeSweepTrade), compare_trades);
	for (int c = 0; c <= walk->combinations; c++) {
		while (n < walk->trade_count && walk->trades[n].combination < c)
			n++;
		walk->first[c] = n;
	}
}

/*----------------------------------------------------------------------
 * Figures
 *----------------------------------------------------------------------*/

/* Figures in the making; trades come in order of their closes. */
typedef struct Tally
{
	TeTradeSums money, multiples;
	TeEquityCurve curve;
	bool money_known;
} Tally;

static void tally_begin(const TeWalk *walk, Tally *t)
{
	memset(t, 0, sizeof(*t));
	te_equity_begin(&t->curve, walk->equity);
	t->money_known = walk->one_currency;
}

static void tally_add(Tally *t, const TeSweepTrade *trade)
{
	te_trade_sums_add(&t->multiples, trade->r_multiple);
	if (!te_known(trade->profit))
		t->money_known = false;
	if (!t->money_known)
		return;
	te_trade_sums_add(&t->money, trade->profit);
	(void)te_equity_add(&t->curve, trade->closed_at, trade->profit);
}

static double metric_value(TeMetric metric, const Tally *t, const TeSweepFigures *f)
{
	switch (metric) {
	case TE_METRIC_EXPECTANCY:
		return f->expectancy;
	case TE_METRIC_EXPECTANCY_R:
		return f->expectancy_r;
	case TE_METRIC_TOTAL_PROFIT:
		return f->total_profit;
	case TE_METRIC_WIN_RATE:
		return f->win_rate;
	case TE_METRIC_PROFIT_FACTOR:
		return f->profit_factor;
	case TE_METRIC_SHARPE_RATIO:
		return t->money_known ? te_sharpe(&t->money) : NAN;
	case TE_METRIC_SORTINO_RATIO:
		return t->money_known ? te_sortino(&t->money) : NAN;
	case TE_METRIC_SQN:
		return te_sqn(&t->multiples);
	case TE_METRIC_CALMAR_RATIO:
		return t->money_known && t->curve.start > 0 ? te_calmar(&t->curve) : NAN;
	case TE_METRIC_COUNT:
		break;
	}
	return NAN;
}

/* What was counted besides is in "out" already. */
static void tally_end(const TeWalk *walk, Tally *t, TeSweepFigures *out)
{
	bool money = t->money_known;

	te_equity_end(&t->curve);
	out->trades = t->multiples.trades;
	out->win_rate = te_win_rate(&t->multiples);
	out->expectancy_r = te_expectancy(&t->multiples);
	out->profit_factor = money ? te_profit_factor(&t->money) : NAN;
	out->expectancy = money ? te_expectancy(&t->money) : NAN;
	out->total_profit = money ? te_total(&t->money) : NAN;
	out->max_drawdown = money && walk->equity > 0 ? te_max_drawdown(&t->curve) : NAN;
	out->score = metric_value(walk->metric, t, out);
}

static void count_signals(const TeWalk *walk, int combination, int first, int last,
                          TeSweepFigures *out)
{
	const TeSweepCount *counts = &walk->counts[(int64)combination * (walk->folds + 1)];

	out->signals = out->left_out = 0;
	for (int period = first; period <= last; period++) {
		out->signals += counts[period].signals;
		out->left_out += counts[period].open;
	}
}

/* Trades of a combination that were decided in some periods, and closed by a time. */
static void figures_of(const TeWalk *walk, int combination, int first, int last, TeTime closed_by,
                       TeSweepFigures *out)
{
	Tally tally;

	CHECK_FOR_INTERRUPTS();
	tally_begin(walk, &tally);
	count_signals(walk, combination, first, last, out);
	for (int64 i = walk->first[combination]; i < walk->first[combination + 1]; i++) {
		const TeSweepTrade *trade = &walk->trades[i];

		if (trade->period < first || trade->period > last)
			continue;
		if (trade->closed_at > closed_by)
			out->left_out++;
		else
			tally_add(&tally, trade);
	}
	tally_end(walk, &tally, out);
}

void te_walk_in_sample(const TeWalk *walk, int fold, int combination, TeSweepFigures *out)
{
	figures_of(walk, combination, walk->anchored ? 0 : fold - 1, fold - 1,
	           te_walk_boundary(walk, fold), out);
}

void te_walk_out_of_sample(const TeWalk *walk, int fold, int combination, TeSweepFigures *out)
{
	figures_of(walk, combination, fold, fold, INT64_MAX, out);
}

void te_walk_hindsight(const TeWalk *walk, int combination, TeSweepFigures *out)
{
	figures_of(walk, combination, 1, walk->folds, INT64_MAX, out);
}

static int compare_closes(const void *x, const void *y)
{
	TeSweepTrade a = *(const TeSweepTrade *)x, b = *(const TeSweepTrade *)y;

	/* The combination doesn't matter here. */
	a.combination = b.combination = 0;
	return compare_trades(&a, &b);
}

void te_walk_chained(const TeWalk *walk, const int *chosen, TeSweepFigures *out)
{
	TeSweepTrade *chain;
	int64 count = 0;
	Tally tally;

	*out = (TeSweepFigures){0};
	for (int fold = 1; fold <= walk->folds; fold++)
		if (chosen[fold] >= 0)
			count += walk->first[chosen[fold] + 1] - walk->first[chosen[fold]];
	chain = palloc_extended(sizeof(TeSweepTrade) * Max(count, 1), MCXT_ALLOC_HUGE);
	count = 0;
	for (int fold = 1; fold <= walk->folds; fold++) {
		TeSweepFigures counted;

		if (chosen[fold] < 0)
			continue;
		count_signals(walk, chosen[fold], fold, fold, &counted);
		out->signals += counted.signals;
		out->left_out += counted.left_out;
		for (int64 i = walk->first[chosen[fold]]; i < walk->first[chosen[fold] + 1]; i++)
			if (walk->trades[i].period == fold)
				chain[count++] = walk->trades[i];
	}
	qsort(chain, count, sizeof(TeSweepTrade), compare_closes);
	tally_begin(walk, &tally);
	for (int64 i = 0; i < count; i++)
		tally_add(&tally, &chain[i]);
	tally_end(walk, &tally, out);
	pfree(chain);
}

bool te_walk_better(const TeWalk *walk, const TeSweepFigures *figures, double best)
{
	return figures->trades >= walk->min_trades && te_known(figures->score) &&
	       (!te_known(best) || figures->score > best);
}
