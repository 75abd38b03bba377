/*
 * market.c - ATR, averages, volatility, trend and regime from closed bars.
 */
#include "market.h"

#define ATR_BARS 14
#define EMA_FAST_BARS 12
#define EMA_SLOW_BARS 26
#define VARIANCE_RETURNS 20
#define LAMBDA_FAST 0.94
#define LAMBDA_SLOW 0.99
#define RATIO_LEAST 0.01
#define RATIO_MOST 100

/* Ratios this close to a threshold are at it. */
#define RATIO_TOLERANCE 1e-9

const TeMarketSettings te_market_settings_default = {
	.trend_atr = 1,
	.high_volatility = 1.3,
	.low_volatility = 0.7,
	.min_bars = 50,
	.max_gap = 3600 * TE_USEC_PER_SEC,
};

/* The whole way of the price in a bar, with the step from the close before it. */
static double true_range(const TeBar *bar, double last_close)
{
	return fmax(bar->high - bar->low,
	            fmax(fabs(bar->high - last_close), fabs(bar->low - last_close)));
}

/* Wilder's average: the mean of the first 14, then 13 parts old and one part new. */
static void add_range(TeMarketState *state, double range)
{
	if (state->bars < ATR_BARS)
		state->atr += range;
	else
		state->atr = ((ATR_BARS - 1) * state->atr + range) / ATR_BARS;
	if (state->bars == ATR_BARS - 1)
		state->atr /= ATR_BARS;
}

static double ema_next(double ema, double close, int bars)
{
	return ema + 2.0 / (bars + 1) * (close - ema);
}

static double variance_next(double variance, double squared, double lambda)
{
	return lambda * variance + (1 - lambda) * squared;
}

/* Both variances start as the mean of the first 20 squared returns. */
static void add_return(TeMarketState *state, double r)
{
	double squared = r * r;

	if (state->returns < VARIANCE_RETURNS) {
		state->var_slow += squared;
		if (state->returns == VARIANCE_RETURNS - 1)
			state->var_slow /= VARIANCE_RETURNS;
		state->var_fast = state->var_slow;
	} else {
		state->var_fast = variance_next(state->var_fast, squared, LAMBDA_FAST);
		state->var_slow = variance_next(state->var_slow, squared, LAMBDA_SLOW);
	}
	state->returns++;
}

void te_market_add_bar(TeMarketState *state, const TeBar *bar, const TeMarketSettings *settings)
{
	bool first = state->bars == 0;
	bool broken =
		first || (settings->max_gap > 0 && bar->start - state->last_start > settings->max_gap);

	add_range(state, broken ? bar->high - bar->low : true_range(bar, state->last_close));
	if (!broken)
		add_return(state, log(bar->close / state->last_close));
	state->ema_fast = first ? bar->close : ema_next(state->ema_fast, bar->close, EMA_FAST_BARS);
	state->ema_slow = first ? bar->close : ema_next(state->ema_slow, bar->close, EMA_SLOW_BARS);

	state->last_start = bar->start;
	state->last_close = bar->close;
	state->bars++;
}

static double volatility_ratio(const TeMarketState *state)
{
	if (state->returns < VARIANCE_RETURNS || !(state->var_slow > 0))
		return 1;
	return fmin(fmax(sqrt(state->var_fast / state->var_slow), RATIO_LEAST), RATIO_MOST);
}

static TeTrend trend(const TeMarketState *state, double atr, double trend_atr)
{
	double spread = state->ema_fast - state->ema_slow;

	if (!te_known(atr) || atr == 0)
		return TE_TREND_FLAT;
	if (spread > trend_atr * atr)
		return TE_TREND_UP;
	return spread < -trend_atr * atr ? TE_TREND_DOWN : TE_TREND_FLAT;
}

void te_market_read(const TeMarketState *state, const TeMarketSettings *settings, TeMarket *out)
{
	bool ranged = state->bars >= ATR_BARS;

	out->atr = ranged ? state->atr : NAN;
	out->ema = ranged ? state->ema_fast : NAN;
	out->spread_pips = NAN;
	out->volatility_ratio = volatility_ratio(state);
	out->trend = trend(state, out->atr, settings->trend_atr);

	if (state->bars < settings->min_bars)
		out->regime = TE_REGIME_UNKNOWN;
	else if (out->volatility_ratio >= settings->high_volatility - RATIO_TOLERANCE)
		out->regime = TE_REGIME_HIGH_VOLATILITY;
	else if (out->volatility_ratio <= settings->low_volatility + RATIO_TOLERANCE)
		out->regime = TE_REGIME_LOW_VOLATILITY;
	else
		out->regime = out->trend != TE_TREND_FLAT ? TE_REGIME_TRENDING : TE_REGIME_RANGING;
}
