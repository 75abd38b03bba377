/*
 * core_statistics.c - figures of trades against numbers worked out by hand, against
 * exact integers, and against the numbers of Lean and scikit-learn.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/statistics.h"
#include "core_vectors.h"
#include "tap.h"

#define HOUR (3600 * TE_USEC_PER_SEC)
#define DAY (24 * HOUR)

static TeTradeSums sums;
static TeEquityCurve curve;

static void add(int count, const double *x)
{
	memset(&sums, 0, sizeof(sums));
	for (int i = 0; i < count; i++)
		te_trade_sums_add(&sums, x[i]);
}

#define TRADES(...)                                                                                \
	add((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

/* The equity curve of profits that are closed an hour after each other. */
static void run(double equity, int count, const double *x)
{
	te_equity_begin(&curve, equity);
	for (int i = 0; i < count; i++)
		te_equity_add(&curve, i * HOUR, x[i]);
	te_equity_end(&curve);
}

#define CURVE(equity, ...)                                                                         \
	run(equity, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static double exactly(int count, const double *x)
{
	TeExactSum sum = {.pending = 0};

	for (int i = 0; i < count; i++)
		te_exact_add(&sum, x[i]);
	return te_exact_value(&sum);
}

#define SUM(...)                                                                                   \
	exactly((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static void exact_sums(void)
{
	TeExactSum sum = {.pending = 0}, half = {.pending = 0};
	TeDouble2 two;

	is_exactly(SUM(0), 0, "nothing");
	is_exactly(SUM(0.1), 0.1, "one term is itself");
	is_exactly(SUM(-0.1), -0.1, "a negative one too");
	is_exactly(SUM(1e308, 1, -1e308), 1, "what is small survives what is large");
	is_exactly(SUM(1, 1e-300, -1), 1e-300, "by 300 digits");
	is_exactly(SUM(4.9e-324, 4.9e-324), 9.9e-324, "the least doubles");
	is_exactly(SUM(2.2250738585072014e-308, -4.9e-324), 2.225073858507201e-308,
	           "from normal down to subnormal");
	is_exactly(SUM(0.1, 0.2, 0.3), 0.6, "0.1 + 0.2 + 0.3 is rounded once");
	is_exactly(SUM(0.3, 0.1, 0.2), SUM(0.1, 0.2, 0.3), "in any order");
	/* 2^53 + 1 lies between two doubles: to the even one, and up when anything is beyond it. */
	is_exactly(SUM(9007199254740992, 1), 9007199254740992, "half rounds to even, down");
	is_exactly(SUM(9007199254740994, 1), 9007199254740996, "and up");
	is_exactly(SUM(9007199254740992, 1, 1e-300), 9007199254740994, "more than half rounds up");
	is_exactly(SUM(-9007199254740992, -1, -1e-300), -9007199254740994, "so with a minus");
	ok(isinf(SUM(1.7e308, 1.7e308)), "a sum beyond the doubles is infinite");
	is_exactly(SUM(1.7e308, 1.7e308, -1.7e308), 1.7e308, "unless it comes back");

	for (int i = 0; i < 10; i++)
		te_exact_add(&sum, 0.1);
	is_exactly(te_exact_value(&sum), 1, "ten times 0.1 is 1 to the nearest double");
	two = te_exact_value2(&sum);
	is_exactly(two.low, 0x1p-54, "and 2^-54 more, as 0.1 is a little more than a tenth");
	half = sum;
	te_exact_merge(&sum, &half);
	is_exactly(te_exact_value(&sum), 2, "two sums merge into theirs");
}

/* Random terms: any order and any split gives the same bits; whole numbers give exact sums. */
static void any_order(void)
{
	bool same = true, right = true;

	srand(1);
	for (int round = 0; round < 300; round++) {
		double x[100];
		int64_t sum = 0;
		TeTradeSums one = {0}, a = {0}, b = {0};

		for (int i = 0; i < 100; i++) {
			int64_t cents = rand() % 2000001 - 1000000;

			sum += cents;
			x[i] = (double)cents * (round % 2 ? 1 : 0.01);
			te_trade_sums_add(&one, x[i]);
		}
		if (round % 2)
			right = right && te_total(&one) == (double)sum;
		for (int i = 99; i >= 0; i--)
			te_trade_sums_add(rand() % 2 ? &a : &b, x[i]);
		te_trade_sums_merge(&a, &b);
		same = same && te_total(&a) == te_total(&one) && te_sharpe(&a) == te_sharpe(&one) &&
		       te_sortino(&a) == te_sortino(&one) && te_sqn(&a) == te_sqn(&one) &&
		       te_profit_factor(&a) == te_profit_factor(&one) &&
		       te_payoff_ratio(&a) == te_payoff_ratio(&one) && te_win_rate(&a) == te_win_rate(&one);
	}
	ok(same, "figures don't depend on order or split, to the bit");
	ok(right, "and sums of whole numbers are right");
}

static void figures(void)
{
	TRADES(20, -10, 30, 0, -20, 40);
	ok(sums.trades == 6 && sums.wins == 3 && sums.losses == 2, "wins, losses, one break-even");
	is_exactly(te_total(&sums), 60, "total");
	is_exactly(te_win_rate(&sums), 0.6, "3 of 5: break-even is left out");
	is_exactly(te_profit_factor(&sums), 3, "90 / 30");
	is_exactly(te_payoff_ratio(&sums), 2, "mean win 30 / mean loss 15");
	is_exactly(te_expectancy(&sums), 10, "60 / 6: break-even counts here");
	/* squares: 400 + 100 + 900 + 0 + 400 + 1600 = 3400; 3400 - 6 * 100 = 2800; / 5 = 560 */
	is_near(te_deviation(&sums), sqrt(560), 1e-13, "sample standard deviation");
	is_near(te_sharpe(&sums), 10 / sqrt(560), 1e-15, "Sharpe per trade");
	/* squares of losses: 100 + 400 = 500, over all 6 trades */
	is_near(te_sortino(&sums), 10 / sqrt(500.0 / 6), 1e-15, "Sortino per trade");
	is_near(te_sqn(&sums), sqrt(6) * 10 / sqrt(560), 1e-14, "SQN");

	TRADES(1000000000.1, 1000000000.2, 1000000000.3);
	is_near(te_deviation(&sums), 0.1, 1e-7, "a deviation a ten-billionth of the mean is found");
	TRADES(3e-5, 3e-5, 3e-5);
	is_exactly(te_deviation(&sums), 0, "equal trades have none");
}

static void too_little(void)
{
	memset(&sums, 0, sizeof(sums));
	ok(isnan(te_total(&sums)) && isnan(te_win_rate(&sums)) && isnan(te_profit_factor(&sums)) &&
	       isnan(te_payoff_ratio(&sums)) && isnan(te_expectancy(&sums)) &&
	       isnan(te_deviation(&sums)) && isnan(te_sharpe(&sums)) && isnan(te_sortino(&sums)) &&
	       isnan(te_sqn(&sums)),
	   "no trade has no figure");
	TRADES(5);
	ok(isnan(te_win_rate(&sums)) && isnan(te_profit_factor(&sums)) &&
	       isnan(te_payoff_ratio(&sums)) && isnan(te_expectancy(&sums)) &&
	       isnan(te_deviation(&sums)) && isnan(te_sharpe(&sums)) && isnan(te_sortino(&sums)) &&
	       isnan(te_sqn(&sums)),
	   "nor has one");
	is_exactly(te_total(&sums), 5, "but a total");
	TRADES(5, 7);
	ok(isnan(te_profit_factor(&sums)) && isnan(te_payoff_ratio(&sums)) && isnan(te_sortino(&sums)),
	   "no losses: no profit factor, payoff ratio or Sortino");
	is_exactly(te_win_rate(&sums), 1, "but a win rate");
	TRADES(-5, -7);
	is_exactly(te_profit_factor(&sums), 0, "no gain is a profit factor of 0");
	ok(isnan(te_payoff_ratio(&sums)), "but there is no mean win");
	TRADES(-5, -5);
	ok(isnan(te_sharpe(&sums)) && isnan(te_sqn(&sums)), "no variance: no Sharpe, no SQN");
	is_exactly(te_sortino(&sums), -1, "but Sortino: -5 / 5");
	TRADES(0, 0);
	ok(isnan(te_win_rate(&sums)) && te_expectancy(&sums) == 0,
	   "break-even trades alone have an expectancy and no win rate");
}

static void drawdowns(void)
{
	CURVE(1000, 100, -220, -110, 400, -117);
	/* 1100, 880, 770, 1170, 1053: 330 / 1100 = 0.3, 117 / 1170 = 0.1 */
	is_near(te_max_drawdown(&curve), 0.3, 1e-15, "from the peak of 1100 to 770");
	is_near(te_max_drawdown_amount(&curve), 330, 1e-12, "330 in money");
	is_near(te_calmar(&curve), 0.053 / 0.3, 1e-14, "a return of 5.3 % over it");
	ok(te_recovery_time(&curve) == 3 * HOUR, "recovered three hours after the peak");

	CURVE(1000, -100, 50);
	is_near(te_max_drawdown(&curve), 0.1, 1e-15, "the start is the first peak");
	CURVE(100, -50, 950, -100);
	is_near(te_max_drawdown(&curve), 0.5, 1e-15, "the largest fraction");
	is_near(te_max_drawdown_amount(&curve), 100, 1e-12, "needn't be the largest amount");
	CURVE(100, -150, 10);
	is_near(te_max_drawdown(&curve), 1.5, 1e-15, "more than everything can be lost");
	CURVE(100, 10, 20);
	is_exactly(te_max_drawdown(&curve), 0, "a curve that only rises has a drawdown of 0");
	ok(isnan(te_calmar(&curve)) && te_recovery_time(&curve) == TE_NO_TIME,
	   "no Calmar, and nothing to recover from");
	CURVE(100, -10);
	ok(isnan(te_max_drawdown(&curve)) && isnan(te_max_drawdown_amount(&curve)) &&
	       isnan(te_calmar(&curve)),
	   "one trade has no drawdown figure");

	te_equity_begin(&curve, 1000);
	te_equity_add(&curve, 0, -100);
	te_equity_add(&curve, 0, 100);
	te_equity_add(&curve, HOUR, -50);
	te_equity_end(&curve);
	is_near(te_max_drawdown(&curve), 0.05, 1e-15, "closes of one instant are summed first");
	ok(!te_equity_add(&curve, 0, 1), "a close before the last is refused");
	ok(curve.trades == 3, "and not counted");

	CURVE(1000, 0.1, 0.2, -0.3, 0.3, 0.1);
	is_near(te_max_drawdown(&curve), 0.3 / 1000.3, 1e-12, "cents");
	ok(te_recovery_time(&curve) == 2 * HOUR,
	   "a curve that is back but for the noise of addition has recovered");
	ok(!te_drawdown_breaks(0.1, 0.1) && te_drawdown_breaks(0.10001, 0.1),
	   "a limit is broken beyond it, not at it");
	ok(!te_drawdown_breaks((1000 - 900.0000000001) / 1000 + 1e-13, 0.1), "nor by noise");
}

static int streak(int count, const double *x)
{
	TeStreak s = {0};

	for (int i = 0; i < count; i++)
		te_streak_add(&s, x[i]);
	return (int)s.longest;
}

#define STREAK(...)                                                                                \
	streak((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static void streaks(void)
{
	ok(STREAK(-1, -1, 1, -1, -1, -1, 1) == 3, "the longest run of losses");
	ok(STREAK(-1, -1, 0, -1) == 3, "a break-even trade doesn't end it, nor count");
	ok(STREAK(1, 2, 0) == 0, "no loss, no streak");
}

static void scores(void)
{
	TeBrier b = {0};

	ok(isnan(te_brier_score(&b)), "nothing has no Brier score");
	te_brier_add(&b, 0.75, true);
	te_brier_add(&b, 0.75, false);
	is_exactly(te_brier_score(&b), (0.0625 + 0.5625) / 2, "0.25 and 0.75 off");
	ok(te_bin_of(0, 10) == 0 && te_bin_of(0.0999, 10) == 0 && te_bin_of(0.1, 10) == 1 &&
	       te_bin_of(0.9999, 10) == 9 && te_bin_of(1, 10) == 9,
	   "an edge belongs to the bin above, 1 to the last");
	ok(te_bin_of(0.29, 100) == 29 && te_bin_of(0.57, 100) == 57 && te_bin_of(0.7, 10) == 7,
	   "also where the product is a little short");
}

/* Other projects' numbers, each by its own definition. */

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static json_t *vectors(const char *name)
{
	FILE *file = open_vectors(name);
	json_t *root;

	if (file == NULL) {
		skip(name);
		return NULL;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	ok(root != NULL, name);
	return root;
}

/* Lean says 0 where there is too little, and 10 for a ratio without losses. */
static bool lean(double got, double want, double without)
{
	return isnan(got) ? want == without : fabs(got - want) <= 1e-12 * (1 + fabs(want));
}

static void lean_trades(const json_t *test)
{
	const json_t *want = json_object_get(test, "expected"), *t;
	TeTradeSums losers = {0};
	TeStreak losing = {0};
	double no_losses, downside;
	size_t i;
	char name[200];

	memset(&sums, 0, sizeof(sums));
	te_equity_begin(&curve, 1e6);
	json_array_foreach(json_object_get(test, "trades"), i, t)
	{
		double profit = number(t, "ProfitLoss");

		te_trade_sums_add(&sums, profit);
		te_streak_add(&losing, profit);
		if (profit < 0)
			te_trade_sums_add(&losers, profit);
		te_equity_add(&curve, (TeTime)i, profit); /* Lean takes trades one after the other */
	}
	te_equity_end(&curve);
	no_losses = sums.trades > 0 ? 10 : 0;
	downside = te_deviation(&losers); /* Lean: of losing trades about their own mean */
	if (downside == 0)
		downside = NAN;

	snprintf(name, sizeof(name), "Lean %s", json_string_value(json_object_get(test, "name")));
	ok(sums.wins == number(want, "NumberOfWinningTrades") &&
	       sums.losses == number(want, "NumberOfLosingTrades") &&
	       lean(te_total(&sums), number(want, "TotalProfitLoss"), 0) &&
	       lean(te_win_rate(&sums), number(want, "WinRate"), 0) &&
	       lean(te_expectancy(&sums), number(want, "AverageProfitLoss"), 0),
	   name);
	ok(lean(te_profit_factor(&sums), number(want, "ProfitFactor"), no_losses) &&
	       lean(te_payoff_ratio(&sums), number(want, "ProfitLossRatio"), 0),
	   "  profit factor and payoff ratio");
	ok(lean(te_deviation(&sums), number(want, "ProfitLossStandardDeviation"), 0) &&
	       lean(te_sharpe(&sums), number(want, "SharpeRatio"), 0),
	   "  standard deviation and Sharpe");
	ok(lean(te_expectancy(&sums) / downside, number(want, "SortinoRatio"), 0),
	   "  Sortino, as Lean has it");
	is_near(-curve.max_drawdown_amount, number(want, "MaximumClosedTradeDrawdown"), 1e-6,
	        "  drawdown");
	ok(losing.longest == number(want, "MaxConsecutiveLosingTrades"), "  losing streak");
	if (curve.max_drawdown_amount > 0)
		is_near(te_total(&sums) / curve.max_drawdown_amount,
		        number(want, "ProfitToMaxDrawdownRatio"), 1e-9, "  profit to drawdown");
}

static void lean_recovery(const json_t *test)
{
	const json_t *equity = json_object_get(test, "daily_equity"), *e;
	double before = 0;
	size_t i;

	te_equity_begin(&curve, json_number_value(json_array_get(equity, 0)));
	json_array_foreach(equity, i, e)
	{
		te_equity_add(&curve, (TeTime)i * DAY, i > 0 ? json_number_value(e) - before : 0);
		before = json_number_value(e);
	}
	te_equity_end(&curve);
	is_near(curve.recovery == TE_NO_TIME ? 0 : (double)curve.recovery / DAY,
	        number(test, "expected_recovery_days"), 0,
	        json_string_value(json_object_get(test, "name")));
}

static void lean_limit(const json_t *root, const json_t *test)
{
	te_equity_begin(&curve, number(root, "start_value"));
	te_equity_add(&curve, 0, number(test, "pnl"));
	te_equity_end(&curve);
	ok(te_drawdown_breaks(curve.max_drawdown, number(root, "limit")) ==
	       json_is_true(json_object_get(test, "liquidate")),
	   "Lean's limit of drawdown");
}

static void sklearn_bins(const json_t *test)
{
	const json_t *y = json_object_get(test, "y"), *p = json_object_get(test, "p"), *e;
	int bins = (int)number(test, "bins"), filled = 0;
	TeBin bin[10] = {0};
	size_t i;

	json_array_foreach(p, i, e)
	{
		double confidence = json_number_value(e);

		te_bin_add(&bin[te_bin_of(confidence, bins)], confidence,
		           json_number_value(json_array_get(y, i)) == 1);
	}
	for (int k = 0; k < bins; k++) {
		if (bin[k].count == 0)
			continue;
		is_near((double)bin[k].right / (double)bin[k].count,
		        json_number_value(json_array_get(json_object_get(test, "frac_pos"), filled)), 1e-12,
		        "scikit-learn's reliability: hit rate");
		is_near(te_exact_value(&bin[k].confidence) / (double)bin[k].count,
		        json_number_value(json_array_get(json_object_get(test, "mean_pred"), filled)),
		        1e-12, "mean confidence");
		filled++;
	}
}

static void sklearn(const json_t *test)
{
	const char *stat = json_string_value(json_object_get(test, "stat"));
	const json_t *want = json_object_get(test, "expected"), *e;
	TeBrier b = {0};
	size_t i;

	if (strcmp(stat, "reliability_uniform") == 0)
		sklearn_bins(test);
	if (strcmp(stat, "brier") != 0)
		return;
	json_array_foreach(json_object_get(test, "p"), i, e)
		te_brier_add(&b, json_number_value(e),
	                 json_number_value(json_array_get(json_object_get(test, "y"), i)) == 1);
	/* One is given as text: ||y-p||^2/n = 0.02541666... */
	is_near(te_brier_score(&b),
	        json_is_string(want) ? atof(strrchr(json_string_value(want), ' '))
	                             : json_number_value(want),
	        json_is_string(want) ? 1e-8 : 1e-12, "scikit-learn's Brier score");
}

static void other_projects(void)
{
	json_t *root;
	const json_t *test;
	size_t i;

	if ((root = vectors("lean_trade_statistics.json")) != NULL)
		json_array_foreach(json_object_get(root, "cases"), i, test) lean_trades(test);
	json_decref(root);
	if ((root = vectors("lean_drawdown_recovery.json")) != NULL)
		json_array_foreach(json_object_get(root, "cases"), i, test) lean_recovery(test);
	json_decref(root);
	if ((root = vectors("lean_max_drawdown_portfolio.json")) != NULL)
		json_array_foreach(json_object_get(root, "cases"), i, test) lean_limit(root, test);
	json_decref(root);
	if ((root = vectors("sklearn_brier_calibration.json")) != NULL)
		json_array_foreach(json_object_get(root, "cases"), i, test) sklearn(test);
	json_decref(root);
}

int main(void)
{
	exact_sums();
	any_order();
	figures();
	too_little();
	drawdowns();
	streaks();
	scores();
	other_projects();
	return done_testing();
}
