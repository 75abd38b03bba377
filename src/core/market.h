/*
 * market.h - market state of one symbol from bars of the mid price.
 *
 * ATR 14 (Wilder), EMA 12 and 26, fast and slow variance of log returns, and
 * from them trend and regime.  Only closed bars move the state, so it is a pure
 * function of the closed bars.  The formulas are in doc/decisions.md.
 */
#ifndef TE_CORE_MARKET_H
#define TE_CORE_MARKET_H

#include "types.h"

typedef struct TeBar
{
	TeTime start;
	double open, high, low, close;
} TeBar;

/* The constants of trend and regime; te_market_settings_default has the spec's. */
typedef struct TeMarketSettings
{
	double trend_atr;       /* trend when EMA 12 and 26 are this many ATR apart (1) */
	double high_volatility; /* ratio (1.3) */
	double low_volatility;  /* ratio (0.7) */
	int64_t min_bars;       /* closed bars before a regime is known (50) */
	TeTime max_gap;         /* a longer gap between bars breaks the chain; <= 0: never (60 min) */
} TeMarketSettings;

extern const TeMarketSettings te_market_settings_default;

/* All zero is the state before the first bar.  Plain data: may be copied and compared. */
typedef struct TeMarketState
{
	int64_t bars; /* closed bars seen */
	TeTime last_start;
	double last_close;
	double atr; /* a running sum of true ranges until 14 are there */
	double ema_fast, ema_slow;
	int64_t returns;           /* squared returns seen */
	double var_fast, var_slow; /* a running sum until 20 are there */
} TeMarketState;

/* Add a closed bar; bars come in order of start. */
extern void te_market_add_bar(TeMarketState *state, const TeBar *bar,
                              const TeMarketSettings *settings);

/* The market object of a decision (spread is left absent). */
extern void te_market_read(const TeMarketState *state, const TeMarketSettings *settings,
                           TeMarket *out);

/* Reason why a bar is not a bar (not finite, not > 0, high < low, ...), or NULL. */
extern const char *te_bar_check(const TeBar *bar);

/*
 * A bar in progress.  te_bar_builder_add folds one price into it; when the price
 * begins a later bar, the finished one is written to "closed" and true returned.
 * A price older than the bar in progress is counted in "late" and left out.
 */
typedef struct TeBarBuilder
{
	TeBar bar; /* bar.start == TE_NO_TIME: no price yet */
	TeTime last_price_at;
	double last_price;
	int64_t late;
} TeBarBuilder;

extern void te_bar_builder_init(TeBarBuilder *b);
extern bool te_bar_builder_add(TeBarBuilder *b, TeTime at, double price, TeTime length,
                               TeBar *closed);

#endif
