/*
 * trades.h - what became of signals: the rows of trading.trades.
 *
 * A trade is the sum of the reports about its signal.  What it needs of the signal is copied
 * into its row, so that it outlives trading.signals.
 */
#ifndef TE_ENGINE_TRADES_H
#define TE_ENGINE_TRADES_H

#include "postgres.h"

#include "core/execution.h"
#include "core/position.h"
#include "engine/exposure.h"
#include "engine/query.h"
#include "wire/identity.h"

typedef struct TeTrade
{
	/* Of the signal; flag says why nothing can be reported about it, as trading.executions does. */
	const char *company_id, *user_id, *account_id, *strategy_id, *symbol;
	const char *prediction_id, *correlation_id;
	uint8_t signal_id[TE_UUID_BYTES];
	const char *flag;
	int side;
	bool simulated;
	TeTime generated_at, decided_at, expires_at;
	int64 decided_batch_no;
	double confidence, position_size, entry_price, stop_loss, risk, max_slippage_pips;
	double pip_size, lot_step, contract_size, conversion_rate, notional;
	const char *currency, *base_currency, *quote_currency;

	/* Of its reports, those of the batch included; settled. */
	MemoryContext memory; /* that they are in */
	TeExecution *reports;
	int count, capacity;
	TeExecutionSum sum;
	bool working, stopped_out;

	/* Of its row: batches, 0 for none; turns are those of trading.trades. */
	int64 filled_batch_no, ended_batch_no;
	int turn_count;
	int64 *turns;
	TeTime stopped_at;
	int64 stopped_batch_no;
} TeTrade;

/* Trades of a batch. */
typedef struct TeTrades
{
	MemoryContext context; /* of the batch */
	TeTrade **trades;
	int count, capacity;
	HTAB *by_signal;
} TeTrades;

extern void te_trades_begin(TeTrades *trades, MemoryContext context);

/* A trade of this signal is wanted; what it points to must live as long as the batch. */
extern void te_trades_want(TeTrades *trades, const char *company_id,
                           const uint8_t signal_id[TE_UUID_BYTES]);

/* Read those that are wanted, from trading.trades or else trading.signals. */
extern void te_trades_read(TeTrades *trades);

/* NULL: the company has no such signal. */
extern TeTrade *te_trades_find(const TeTrades *trades, const char *company_id,
                               const uint8_t signal_id[TE_UUID_BYTES]);

/*
 * Once the batch's reports are in trading.executions: sum up what there is of each trade,
 * and write its row.
 */
extern void te_trades_store(TeTrades *trades, int lane, int64 batch_no);

/* Add a row of trading.executions to a trade's reports. */
extern void te_trade_add_report(TeTrade *trade, TeRow *row);

/* Settle them and sum them up. */
extern void te_trade_sum_up(TeTrade *trade);

/* Figures that follow from the sum; NAN where there is nothing to divide by. */
typedef struct TeTradeFigures
{
	double profit, r_multiple, profit_ratio, latency_ms;
} TeTradeFigures;
extern TeTradeFigures te_trade_figures(const TeTrade *trade);

static inline bool te_trade_has_ended(TeTradeState state)
{
	return state == TE_TRADE_STATE_CLOSED || state == TE_TRADE_STATE_REJECTED ||
	       state == TE_TRADE_STATE_CANCELLED;
}

/*
 * What settled reports about an order, all or some of a trade's, do to a position, one for one in
 * out[].  A close is a fill of the other side, at its price or else at the order's own: of opposite
 * orders on one account one closes what the other opened.  What its terminal's profit is above
 * that of its prices is told with it, so that an account that is flat has made what its
 * terminals say.  Closes take what is filled in their order, one that says no size all that the
 * sized ones leave; beyond what is filled there is nothing to close.
 */
extern void te_trade_fills(const TeTrade *trade, const TeExecution *reports, int count,
                           TeFill *out);

/* Whether a report's fill is anything to a position. */
extern bool te_trade_fill_counts(const TeExecution *e);

/*
 * What isn't filled of an order counts until so long after its signal's expiry: an order that was
 * begun in time may go on, and no algorithm takes longer than a day.
 */
#define TE_ORDER_GRACE (INT64_C(86400) * TE_USEC_PER_SEC)

/* Lots of it that are open or may still be filled; <= 0: it doesn't count as a position. */
extern double te_trade_held(const TeTrade *trade);

/* The same as it counts in the book; false: it doesn't. */
extern bool te_trade_order(const TeTrade *trade, double margin_rate, TeExposureOrder *out);

#endif
