/*
 * execution.h - what became of one order, from the reports about it.
 *
 * Reports may come twice, late and in any order: they are put in order and each
 * id is counted once before anything is summed, so what comes out depends on the
 * set of reports alone.
 */
#ifndef TE_CORE_EXECUTION_H
#define TE_CORE_EXECUTION_H

#include "recall.h"
#include "ticks.h"

#define TE_EXECUTION_STATUSES(X)                                                                   \
	X(UNSPECIFIED) X(FILLED) X(PARTIALLY_FILLED) X(REJECTED) X(CANCELLED) X(CLOSED)
#define TE_EXECUTION_STATUS_MEMBER(label) TE_ENUM_MEMBER_(TE_EXECUTION_, label)
typedef enum {
	TE_EXECUTION_STATUSES(TE_EXECUTION_STATUS_MEMBER) TE_EXECUTION_STATUS_COUNT
} TeExecutionStatus;
extern const TeEnum te_execution_status_enum;

/* A terminal's report.  Numbers that it doesn't have are NAN. */
typedef struct TeExecution
{
	TeKey id;  /* of the execution_id */
	TeTime at; /* executed_at */
	TeExecutionStatus status;
	double requested_price, executed_price;
	double executed_size; /* lots filled by this report; of CLOSED: lots closed, NAN: all */
	double profit;        /* account currency, of CLOSED */
	double commission;    /* account currency, a cost is positive */
} TeExecution;

/* Lots were added. */
static inline bool te_execution_is_fill(const TeExecution *e)
{
	return e->status == TE_EXECUTION_FILLED || e->status == TE_EXECUTION_PARTIALLY_FILLED;
}

/* The first field that isn't sound, with a lower-case reason, or NULL. */
extern const char *te_execution_check(const TeExecution *e, const char **reason);

/* How many reports were left out, and why. */
typedef struct TeExecutionRepeats
{
	int repeated;  /* the same id and content again */
	int conflicts; /* another content under a known id: the one that is first in order counts */
} TeExecutionRepeats;

/* Put reports in order of time, then of id, each id once.  Returns how many are left. */
extern int te_executions_settle(TeExecution *list, int count, TeExecutionRepeats *repeats);

/*
 * PENDING    nothing is filled yet
 * OPEN       filled, at least in part, and not all of it closed
 * CLOSED     a CLOSED report has come, and everything that was filled is closed
 * REJECTED, CANCELLED  and nothing was filled
 */
#define TE_TRADE_STATES(X) X(PENDING) X(OPEN) X(CLOSED) X(REJECTED) X(CANCELLED)
#define TE_TRADE_STATE_MEMBER(label) TE_ENUM_MEMBER_(TE_TRADE_STATE_, label)
typedef enum { TE_TRADE_STATES(TE_TRADE_STATE_MEMBER) TE_TRADE_STATE_COUNT } TeTradeState;
extern const TeEnum te_trade_state_enum;

/* What became of the order.  Figures without data are NAN, times TE_NO_TIME. */
typedef struct TeExecutionSum
{
	TeTradeState state;
	double filled, closed;      /* lots */
	double average_price;       /* of fills, weighted by volume */
	double average_close;       /* of closes that tell their price */
	double entry_slippage_pips; /* side * (executed - requested) / pip: positive is worse */
	double exit_slippage_pips;  /* of closes, positive is worse too */
	double profit;              /* told by closes */
	double commission;          /* of all reports */
	TeTime filled_at;           /* first fill */
	TeTime closed_at;           /* the close that made it CLOSED, or the last one */
} TeExecutionSum;

/* Sum up settled reports about an order of a side (+1, -1). */
extern void te_executions_sum(const TeExecution *list, int count, int side, double pip_size,
                              const TeGrid *lot, TeExecutionSum *out);

#endif
