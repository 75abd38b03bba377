/*
 * synthetic.c - a made-up market, the same for the same seed.
 *
 * A bar is made of steps of five seconds.  Their variance follows GARCH(1,1),
 * v' = omega + alpha r^2 + beta v, around the level of a regime, and their noise is
 * Student's t with 5 degrees of freedom, scaled to variance 1.  Regimes change on
 * average every few hours: quiet ones pull the price back to where they began,
 * trending ones drift, turbulent ones do neither but move three times as much.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "source.h"

#define STEPS_PER_BAR 12
#define GARCH_ALPHA 0.06
#define GARCH_BETA 0.92
/* Standard deviation of a quiet step's log return: about 0.9 pip a minute on EURUSD. */
#define QUIET_STEP 2.2e-5
#define DEGREES_OF_FREEDOM 5

typedef struct Regime
{
	double level;     /* volatility, multiples of QUIET_STEP */
	double drift;     /* of a step, multiples of its volatility; the sign is drawn */
	double reversion; /* share of the distance to the anchor that a step closes */
	double mean_bars; /* how long it lasts */
} Regime;

static const Regime regimes[] = {
	{1.0, 0.00, 0.004, 300},
	{1.3, 0.08, 0.000, 150},
	{3.0, 0.00, 0.000, 60},
};

#define REGIME_COUNT ((int)(sizeof(regimes) / sizeof(regimes[0])))

typedef struct SyntheticSource
{
	BarSource source;
	uint64_t random;
	double price, anchor, tick;
	double variance; /* of a step's log return */
	int regime;
	double drift_sign;
	TeTime start;
} SyntheticSource;

/* SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for prices. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Uniform in (0, 1). */
static double uniform(SyntheticSource *s)
{
	return ((double)(next_random(&s->random) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(SyntheticSource *s)
{
	double radius = sqrt(-2 * log(uniform(s)));

	return radius * cos(6.283185307179586 * uniform(s));
}

/* Student's t, scaled to variance 1. */
static double fat_tailed(SyntheticSource *s)
{
	double sum = 0;
	double z = normal(s);

	for (int i = 0; i < DEGREES_OF_FREEDOM; i++) {
		double x = normal(s);

		sum += x * x;
	}
	return z / sqrt(sum / DEGREES_OF_FREEDOM) *
	       sqrt((DEGREES_OF_FREEDOM - 2.0) / DEGREES_OF_FREEDOM);
}

static void change_regime(SyntheticSource *s)
{
	s->regime =
		(s->regime + 1 + (int)(next_random(&s->random) % (REGIME_COUNT - 1))) % REGIME_COUNT;
	s->drift_sign = uniform(s) < 0.5 ? -1 : 1;
	s->anchor = s->price;
}

static void make_step(SyntheticSource *s)
{
	const Regime *regime = &regimes[s->regime];
	double level = regime->level * QUIET_STEP;
	double omega = (1 - GARCH_ALPHA - GARCH_BETA) * level * level;
	double volatility = sqrt(s->variance);
	double shock = volatility * fat_tailed(s);
	double move = shock + s->drift_sign * regime->drift * volatility +
	              regime->reversion * log(s->anchor / s->price);

	s->variance = omega + GARCH_ALPHA * shock * shock + GARCH_BETA * s->variance;
	s->price *= exp(move);
}

static double round_to_tick(const SyntheticSource *s, double price)
{
	double ticks = round(price / s->tick);

	return fmax(1, ticks) / round(1 / s->tick);
}

static bool synthetic_next(BarSource *source, Bar *bar)
{
	SyntheticSource *s = (SyntheticSource *)source;
	double stress;

	if (uniform(s) < 1 / regimes[s->regime].mean_bars)
		change_regime(s);
	bar->start = s->start;
	bar->open = bar->high = bar->low = round_to_tick(s, s->price);
	for (int i = 0; i < STEPS_PER_BAR; i++) {
		make_step(s);
		bar->close = round_to_tick(s, s->price);
		bar->high = fmax(bar->high, bar->close);
		bar->low = fmin(bar->low, bar->close);
	}
	/* Spreads widen and volume grows with volatility. */
	stress = sqrt(s->variance) / QUIET_STEP;
	bar->spread = s->tick * round(5 + 4 * stress);
	bar->volume = round(100 * stress * exp(0.3 * normal(s)));
	s->start += BAR_LENGTH;
	return true;
}

static void synthetic_close(BarSource *source)
{
	free(source);
}

BarSource *bar_source_synthetic(uint64_t seed, double price, double tick, TeTime start)
{
	SyntheticSource *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		fputs("predictor: out of memory\n", stderr);
		exit(1);
	}
	s->source.next = synthetic_next;
	s->source.close = synthetic_close;
	s->random = seed;
	s->price = s->anchor = price;
	s->tick = tick;
	s->variance = QUIET_STEP * QUIET_STEP;
	s->drift_sign = 1;
	s->start = start;
	return &s->source;
}

/* Usual prices; what isn't here begins at 1. */
static const struct SymbolPrice
{
	const char *symbol;
	double price, tick;
} symbol_prices[] = {
	{"EURUSD", 1.085, 1e-5},  {"GBPUSD", 1.265, 1e-5},   {"AUDUSD", 0.655, 1e-5},
	{"NZDUSD", 0.605, 1e-5},  {"USDCAD", 1.360, 1e-5},   {"USDCHF", 0.885, 1e-5},
	{"USDJPY", 150.0, 1e-3},  {"EURJPY", 163.0, 1e-3},   {"GBPJPY", 190.0, 1e-3},
	{"XAUUSD", 2300.0, 1e-2}, {"BTCUSD", 60000.0, 1e-2},
};

static const struct SymbolPrice *find_symbol(const char *symbol)
{
	for (size_t i = 0; i < sizeof(symbol_prices) / sizeof(symbol_prices[0]); i++)
		if (strcmp(symbol_prices[i].symbol, symbol) == 0)
			return &symbol_prices[i];
	return NULL;
}

double symbol_price(const char *symbol)
{
	const struct SymbolPrice *known = find_symbol(symbol);

	return known != NULL ? known->price : 1;
}

double symbol_tick(const char *symbol)
{
	const struct SymbolPrice *known = find_symbol(symbol);

	return known != NULL ? known->tick : 1e-5;
}
