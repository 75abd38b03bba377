/*
 * rates.h - what a lane converts currencies with.
 *
 * The graph has a pair for every instrument whose price is an exchange rate, at the
 * newest price that the lane has seen of it, and one for every row of trading.rates.
 * Prices are read where the lane keeps them, so that a batch which is rolled back,
 * and a restart, leave nothing to put right.
 */
#ifndef TE_ENGINE_RATES_H
#define TE_ENGINE_RATES_H

#include "postgres.h"

#include "core/rates.h"
#include "engine/memory.h"

typedef struct TeLaneRates TeLaneRates;

extern TeLaneRates *te_lane_rates_create(MemoryContext parent);

/* Read instruments and trading.rates anew; in a transaction with SPI connected. */
extern void te_lane_rates_load(TeLaneRates *rates);

/* Accounts in this currency, without a conversion rate of their own, are to be had rates for. */
extern void te_lane_rates_want(TeLaneRates *rates, const char *currency);

/* Nobody wants a currency any more. */
extern void te_lane_rates_forget(TeLaneRates *rates);

/*
 * The rates, at this instant, from the instrument's quote currency to all wanted currencies
 * but its own two, in the arena.  NULL: none is wanted or known.
 */
extern const TeAccountRates *te_lane_rates_read(TeLaneRates *rates, const TeMemory *memory,
                                                const TeInstrument *instrument, TeTime at,
                                                TeArena *arena);

#endif
