/*
 * protections.h - what locks trading for a while after it went badly.
 *
 * A protection looks at trades that are closed and says until when it locks, if at
 * all.  Locks are kept as rows by the caller, who can lift them.  The rules are
 * those of freqtrade's protections.
 */
#ifndef TE_CORE_PROTECTIONS_H
#define TE_CORE_PROTECTIONS_H

#include "limits.h"

/*
 * COOL_DOWN        a symbol, after its last trade (or stop-out)
 * STOP_LOSS_GUARD  so many stop-outs with less than the required profit: everything,
 *                  and a symbol with so many of its own
 * LOW_PROFIT       a symbol whose trades made less than the required profit together
 * MAX_DRAWDOWN     everything, when profits fell by more than allowed from their peak
 */
#define TE_PROTECTIONS(X) X(COOL_DOWN) X(STOP_LOSS_GUARD) X(LOW_PROFIT) X(MAX_DRAWDOWN)
#define TE_PROTECTION_MEMBER(label) TE_ENUM_MEMBER_(TE_PROTECTION_, label)
typedef enum { TE_PROTECTIONS(TE_PROTECTION_MEMBER) TE_PROTECTION_COUNT } TeProtectionKind;
extern const TeEnum te_protection_enum;

/*
 * SUM_OF_RATIOS: profit ratios are added up, the fall is in the same unit.
 * EQUITY: (peak - equity) / peak of the equity curve.
 */
#define TE_DRAWDOWN_METHODS(X) X(SUM_OF_RATIOS) X(EQUITY)
#define TE_DRAWDOWN_METHOD_MEMBER(label) TE_ENUM_MEMBER_(TE_DRAWDOWN_, label)
typedef enum {
	TE_DRAWDOWN_METHODS(TE_DRAWDOWN_METHOD_MEMBER) TE_DRAWDOWN_METHOD_COUNT
} TeDrawdownMethod;
extern const TeEnum te_drawdown_method_enum;

typedef struct TeProtection
{
	TeProtectionKind kind;
	TeTime lookback;        /* trades closed after now - lookback count; not of COOL_DOWN */
	TeTime lock;            /* how long, from the last of those trades */
	int unlock_minute;      /* instead: until this minute of a day in UTC; -1: not */
	int trade_limit;        /* trades that it takes; not of COOL_DOWN */
	double required_profit; /* ratio: STOP_LOSS_GUARD per trade, LOW_PROFIT in sum */
	double max_drawdown;    /* MAX_DRAWDOWN: broken beyond it */
	TeDrawdownMethod method;
	bool only_per_symbol; /* STOP_LOSS_GUARD: never everything */
	bool only_per_side;   /* locks only the side that went badly */
	bool only_stops;      /* COOL_DOWN: only after a stop-out */
} TeProtection;

/* The first setting out of its range, with a lower-case reason, or NULL. */
extern const char *te_protection_check(const TeProtection *p, const char **reason);

typedef struct TeClosedTrade
{
	const char *symbol;
	int side; /* +1 long, -1 short */
	TeTime closed_at;
	double profit_ratio; /* profit by what was put in */
	double profit;       /* account currency */
	bool stopped_out;
} TeClosedTrade;

/* Trades in order of closed_at, and the equity after the last of them. */
typedef struct TeTradeHistory
{
	const TeClosedTrade *trades;
	int count;
	double equity;
} TeTradeHistory;

typedef struct TeLock
{
	TeScope scope;
	TeProtectionKind cause;
	TeTime until; /* locked before it */
	double value; /* what was measured: trades, ratio or drawdown */
	double threshold;
} TeLock;

/*
 * Whether a protection locks now.  With a symbol: that symbol, of it the side if
 * only_per_side; without (NULL): everything in "owner", the protection's scope.
 */
extern bool te_protection_locks(const TeProtection *p, const TeScope *owner,
                                const TeTradeHistory *history, const char *symbol, int side,
                                TeTime now, TeLock *lock);

/* The lock that holds a target the longest, or NULL. */
extern const TeLock *te_lock_find(const TeLock *locks, int count, const TeScope *target,
                                  TeTime now);

#endif
