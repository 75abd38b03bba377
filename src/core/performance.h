/*
 * performance.h - all figures of a set of trades, in a form that can be kept and joined.
 *
 * A piece holds the trades of a span of time.  Joining pieces in order of time gives what
 * one piece of all their trades would be, to the bit: sums are exact, the equity curve is in
 * whole units, percentiles come from counts.  Packed, a piece takes some hundred bytes.
 *
 * A trade counts twice, at two times: what it made when it was closed, and how its order went
 * when it was decided.
 */
#ifndef TE_CORE_PERFORMANCE_H
#define TE_CORE_PERFORMANCE_H

#include "curve.h"
#include "histogram.h"
#include "statistics.h"

/* Slippage is counted in thousandths of a pip. */
#define TE_SLIPPAGE_UNITS 1000

/* Losses in a row; break-even trades neither end nor lengthen a run. */
typedef struct TeRun
{
	int64_t before_win; /* losses before the first win */
	int64_t now;        /* losses since the last win */
	int64_t longest;
	bool won;
} TeRun;

/* All zero, but for curve.resize, is no trade yet. */
typedef struct TePerformance
{
	/* By closing. */
	TeTradeSums profits, multiples; /* money; profit over risk, where that is known */
	TeCurve curve;
	TeRun run;
	TeBrier brier;
	bool pending; /* an instant of the curve isn't settled yet */
	TeTime at;
	int64_t together;

	/* By decision. */
	int64_t filled, rejected, cancelled;
	TeHistogram latency;       /* decision to first fill, microseconds */
	TeHistogram worse, better; /* slippage by its sign */
} TePerformance;

/*
 * A closed trade; numbers that aren't known are NAN.  Returns false, and changes nothing, when
 * "at" is before the last one.
 */
extern bool te_performance_close(TePerformance *p, TeTime at, double profit, double r_multiple,
                                 double confidence);

/* What became of an order, with the latency in microseconds; < 0 and NAN: not known. */
typedef enum { TE_ORDER_FILLED, TE_ORDER_REJECTED, TE_ORDER_CANCELLED } TeOrderFate;
extern void te_performance_order(TePerformance *p, TeOrderFate fate, int64_t latency,
                                 double slippage_pips);

/* Pack; "out" has room for te_performance_room() bytes.  Returns how many it took. */
extern size_t te_performance_room(const TePerformance *p);
extern size_t te_performance_pack(TePerformance *p, uint8_t *out);

/* Join a packed piece, whose trades were closed later.  False: these bytes are no piece. */
extern bool te_performance_join(TePerformance *p, const uint8_t *packed, size_t length);

/* Settle the last instant; what reads the curve needs it. */
extern void te_performance_settle(TePerformance *p);

/* The pips that a share q of all fills don't exceed, nearest rank; NAN: none is known. */
extern double te_performance_slippage(const TePerformance *p, double q);

#endif
