/*
 * trade_rows.h - the rows of trading.trades, and what is copied into them of trading.signals.
 */
#ifndef TE_ENGINE_TRADE_ROWS_H
#define TE_ENGINE_TRADE_ROWS_H

#include "postgres.h"

#include "engine/query.h"
#include "engine/rows.h"
#include "engine/trades.h"

/* Column signal_id. */
extern void te_trade_rows_id(TeRow *row, uint8_t id[TE_UUID_BYTES]);

/* Read a row of trading.trades, texts into the memory context of the moment. */
extern void te_trade_from_row(TeRow *row, TeTrade *trade);

/* The same from a row of trading.signals that nothing was reported about yet. */
extern void te_trade_from_signal(TeRow *row, TeTrade *trade);

/* Rows to be written: of trades that there are in place of those. */
extern void te_trade_rows_init(TeRows *rows, MemoryContext context);
extern void te_trade_rows_add(TeRows *rows, const TeTrade *trade, int lane, int64 batch_no);

#endif
