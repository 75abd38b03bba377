/*
 * hours.h - when instruments trade: rows of trading.instrument_sessions and market_holidays.
 *
 * The same rules as those of trading.sessions(): a session opens by the clocks of its zone, and
 * both its ends are made an instant by them.  Needs no transaction once it is loaded.
 */
#ifndef TE_ENGINE_HOURS_H
#define TE_ENGINE_HOURS_H

#include "postgres.h"

#include "core/types.h"

typedef struct TeHours TeHours;

extern TeHours *te_hours_create(MemoryContext parent);

/* NULL is fine. */
extern void te_hours_free(TeHours *hours);

/* Read all rows; in a transaction with SPI connected. */
extern void te_hours_load(TeHours *hours);

/* An instrument without sessions trades always, but for its holidays. */
extern bool te_hours_open(TeHours *hours, const char *symbol, TeTime at);

#endif
