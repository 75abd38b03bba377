/*
 * statistics.c - figures of trades and of predictions.
 */
#include <math.h>

#include "statistics.h"

/* Ratios this close are equal, and an equity this close to its peak has reached it. */
#define RATIO_TOLERANCE 1e-9

/* A figure of trades needs two. */
static bool enough(int64_t trades)
{
	return trades >= 2;
}

/* A quotient, NAN where there is nothing to divide by. */
static double ratio(double a, double b)
{
	return b > 0 ? a / b : NAN;
}

void te_trade_sums_add(TeTradeSums *s, double x)
{
	s->least = s->trades == 0 ? x : fmin(s->least, x);
	s->greatest = s->trades == 0 ? x : fmax(s->greatest, x);
	s->trades++;
	if (x > 0) {
		s->wins++;
		te_exact_add(&s->gain, x);
		te_exact_add_square(&s->gain_squares, x);
	} else if (x < 0) {
		s->losses++;
		te_exact_add(&s->loss, -x);
		te_exact_add_square(&s->loss_squares, x);
	}
}

void te_trade_sums_merge(TeTradeSums *s, const TeTradeSums *other)
{
	if (other->trades == 0)
		return;
	s->least = s->trades == 0 ? other->least : fmin(s->least, other->least);
	s->greatest = s->trades == 0 ? other->greatest : fmax(s->greatest, other->greatest);
	s->trades += other->trades;
	s->wins += other->wins;
	s->losses += other->losses;
	te_exact_merge(&s->gain, &other->gain);
	te_exact_merge(&s->loss, &other->loss);
	te_exact_merge(&s->gain_squares, &other->gain_squares);
	te_exact_merge(&s->loss_squares, &other->loss_squares);
}

/* Gains less losses, to about 106 bits. */
static TeDouble2 net(const TeTradeSums *s)
{
	TeExactSum sum = {.pending = 0}, loss = s->loss;

	for (int i = 0; i < TE_EXACT_CHUNKS; i++)
		loss.chunk[i] = -loss.chunk[i];
	te_exact_merge(&sum, &s->gain);
	te_exact_merge(&sum, &loss);
	return te_exact_value2(&sum);
}

double te_total(const TeTradeSums *s)
{
	return s->trades > 0 ? net(s).high : NAN;
}

double te_win_rate(const TeTradeSums *s)
{
	return enough(s->trades) ? ratio((double)s->wins, (double)(s->wins + s->losses)) : NAN;
}

double te_profit_factor(const TeTradeSums *s)
{
	return enough(s->trades) ? ratio(te_exact_value(&s->gain), te_exact_value(&s->loss)) : NAN;
}

double te_payoff_ratio(const TeTradeSums *s)
{
	if (!enough(s->trades) || s->wins == 0 || s->losses == 0)
		return NAN;
	return (te_exact_value(&s->gain) / (double)s->wins) /
	       (te_exact_value(&s->loss) / (double)s->losses);
}

double te_expectancy(const TeTradeSums *s)
{
	return enough(s->trades) ? net(s).high / (double)s->trades : NAN;
}

/* a * b without rounding. */
static TeDouble2 product(double a, double b)
{
	TeDouble2 p = {.high = a * b};

	p.low = fma(a, b, -p.high);
	return p;
}

/*
 * The sample variance is (n * squares - sum^2) / (n * (n - 1)); the difference is
 * taken in twice the precision, because its terms can be nearly equal.
 */
double te_deviation(const TeTradeSums *s)
{
	double n = (double)s->trades, high, back, low;
	TeExactSum both = s->gain_squares;
	TeDouble2 squares, sum = net(s), a, b;

	if (!enough(s->trades))
		return NAN;
	if (s->least == s->greatest)
		return 0;
	te_exact_merge(&both, &s->loss_squares);
	squares = te_exact_value2(&both);
	a = product(n, squares.high);
	a.low += n * squares.low;
	b = product(sum.high, sum.high);
	b.low += 2 * sum.high * sum.low;

	high = a.high - b.high;
	back = high - a.high;
	low = (a.high - (high - back)) - (b.high + back) + (a.low - b.low);
	return sqrt(fmax(high + low, 0) / n / (n - 1));
}

double te_sharpe(const TeTradeSums *s)
{
	return ratio(te_expectancy(s), te_deviation(s));
}

double te_sortino(const TeTradeSums *s)
{
	double downside = sqrt(te_exact_value(&s->loss_squares) / (double)s->trades);

	return ratio(te_expectancy(s), downside);
}

double te_sqn(const TeTradeSums *s)
{
	return sqrt((double)s->trades) * te_sharpe(s);
}

void te_equity_begin(TeEquityCurve *c, double equity)
{
	*c = (TeEquityCurve){.start = equity,
	                     .equity = equity,
	                     .peak = equity,
	                     .at = TE_NO_TIME,
	                     .peak_at = TE_NO_TIME,
	                     .recovery = TE_NO_TIME};
}

/* The curve moves by all that was closed at one instant. */
static void settle(TeEquityCurve *c)
{
	c->equity += c->together;
	c->together = 0;
	if (c->equity >= c->peak - RATIO_TOLERANCE * c->peak) {
		if (c->below && (c->recovery == TE_NO_TIME || c->at - c->peak_at > c->recovery))
			c->recovery = c->at - c->peak_at;
		c->below = false;
		c->peak = fmax(c->peak, c->equity);
		c->peak_at = c->at;
		return;
	}
	c->below = true;
	c->max_drawdown = fmax(c->max_drawdown, (c->peak - c->equity) / c->peak);
	c->max_drawdown_amount = fmax(c->max_drawdown_amount, c->peak - c->equity);
}

bool te_equity_add(TeEquityCurve *c, TeTime at, double profit)
{
	if (c->started && at < c->at)
		return false;
	if (c->started && at > c->at)
		settle(c);
	if (!c->started)
		c->peak_at = at; /* nobody knows how long before it the curve began */
	c->started = true;
	c->at = at;
	c->together += profit;
	c->trades++;
	return true;
}

void te_equity_end(TeEquityCurve *c)
{
	if (c->started)
		settle(c);
}

double te_max_drawdown(const TeEquityCurve *c)
{
	return enough(c->trades) ? c->max_drawdown : NAN;
}

double te_present_drawdown(const TeEquityCurve *c)
{
	return enough(c->trades) ? (c->peak - c->equity) / c->peak : NAN;
}

double te_max_drawdown_amount(const TeEquityCurve *c)
{
	return enough(c->trades) ? c->max_drawdown_amount : NAN;
}

double te_calmar(const TeEquityCurve *c)
{
	return ratio((c->equity - c->start) / c->start, te_max_drawdown(c));
}

TeTime te_recovery_time(const TeEquityCurve *c)
{
	return enough(c->trades) ? c->recovery : TE_NO_TIME;
}

bool te_drawdown_breaks(double drawdown, double limit)
{
	return drawdown > limit + RATIO_TOLERANCE;
}

void te_streak_add(TeStreak *s, double x)
{
	s->trades++;
	if (x < 0)
		s->now++;
	else if (x > 0)
		s->now = 0;
	if (s->now > s->longest)
		s->longest = s->now;
}

void te_brier_add(TeBrier *b, double confidence, bool right)
{
	b->count++;
	te_exact_add_square(&b->squares, confidence - (right ? 1 : 0));
}

void te_brier_merge(TeBrier *b, const TeBrier *other)
{
	b->count += other->count;
	te_exact_merge(&b->squares, &other->squares);
}

double te_brier_score(const TeBrier *b)
{
	return b->count > 0 ? te_exact_value(&b->squares) / (double)b->count : NAN;
}

int te_bin_of(double confidence, int bins)
{
	int bin = (int)(confidence * bins + RATIO_TOLERANCE);

	return bin < bins ? bin : bins - 1;
}

void te_bin_add(TeBin *b, double confidence, bool right)
{
	b->count++;
	b->right += right;
	te_exact_add(&b->confidence, confidence);
}

void te_bin_merge(TeBin *b, const TeBin *other)
{
	b->count += other->count;
	b->right += other->right;
	te_exact_merge(&b->confidence, &other->confidence);
}
