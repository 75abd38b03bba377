/*
 * limits.h - built-in limits, protections that lock for a while, and the kill switch.
 *
 * A limit is broken only beyond it, not at it.  Of several rows that concern a
 * signal (of the company, the user, the symbol, ...) the strictest wins.
 */
#ifndef TE_CORE_LIMITS_H
#define TE_CORE_LIMITS_H

#include "risk.h"

/*
 * Whom something concerns.  NULL: all; side 0: both.  Ids mean something only
 * within what is above them, so a user needs a company, a strategy needs a user.
 */
typedef struct TeScope
{
	const char *company, *user, *strategy, *symbol;
	int side; /* +1 long, -1 short */
} TeScope;

/* Whether everything that the target is is within the scope. */
extern bool te_scope_covers(const TeScope *scope, const TeScope *target);

/* Why a scope can't be, or NULL. */
extern const char *te_scope_check(const TeScope *scope);

/* --- the kill switch --- */

/* From lenient to strict. */
#define TE_TRADING_STATES(X) X(ACTIVE) X(REDUCING) X(HALTED)
#define TE_TRADING_STATE_MEMBER(label) TE_ENUM_MEMBER_(TE_TRADING_, label)
typedef enum { TE_TRADING_STATES(TE_TRADING_STATE_MEMBER) TE_TRADING_STATE_COUNT } TeTradingState;
extern const TeEnum te_trading_state_enum;

typedef struct TeSwitch
{
	TeScope scope;
	TeTradingState state;
} TeSwitch;

/* The strictest state of the switches that cover the target; ACTIVE without any. */
extern TeTradingState te_trading_state(const TeSwitch *switches, int count, const TeScope *target);

/*
 * Whether an order may leave: ACTIVE all, HALTED none, REDUCING those that make an
 * open position smaller without turning it round.  "position" is what is open in
 * lots, < 0 for short; side and lots are the order's.
 */
extern bool te_trading_permits(TeTradingState state, double position, int side, double lots);

/* --- limits --- */

/*
 * X(name, note, doc).  NAN: no such limit.  Percent are of equity, in account currency.
 */
/* clang-format off */
#define TE_LIMITS(X) \
	X(max_open_positions, OPEN_POSITIONS, "most open positions, reserved signals among them") \
	X(max_open_risk_percent, OPEN_RISK, "most that all open positions lose at their stops, percent of equity") \
	X(max_currency_exposure_percent, EXPOSURE, "most net exposure to any one currency but the account's, percent of equity") \
	X(max_leverage, LEVERAGE, "most value of all positions, multiples of equity") \
	X(min_free_margin_percent, FREE_MARGIN, "least equity that isn't bound as margin, percent of equity") \
	X(max_daily_loss_percent, DAILY_LOSS, "most loss since the day began, percent of the equity it began with") \
	X(max_drawdown_percent, DRAWDOWN, "most fall from the highest equity, percent of it")
/* clang-format on */

typedef struct TeLimits
{
#define TE_LIMIT_FIELD(name, ...) double name;
	TE_LIMITS(TE_LIMIT_FIELD)
#undef TE_LIMIT_FIELD
} TeLimits;

typedef struct TeLimitInfo
{
	const char *name;
	TeRiskNoteKind note; /* what is said when it is reached */
	size_t offset;       /* into TeLimits */
	const char *doc;
} TeLimitInfo;

#define TE_LIMIT_COUNT 7
extern const TeLimitInfo te_limit_infos[TE_LIMIT_COUNT];

/* No limit at all. */
extern void te_limits_none(TeLimits *out);

/* The first limit out of its range (negative, infinite), or NULL. */
extern const char *te_limits_check(const TeLimits *limits, const char **reason);

/*
 * What is open within a row's scope, signals that have neither expired nor an
 * outcome yet (reserved) included.  Amounts in account currency; a NAN is not known.
 */
typedef struct TeOpenState
{
	double equity;
	double day_start_equity;
	double peak_equity;
	int64_t positions;
	double risk;           /* lost if every stop is hit */
	double notional;       /* value of all positions, long and short alike */
	double margin;         /* bound */
	double base_exposure;  /* net, in the signal's base currency; short is negative */
	double quote_exposure; /* and in its quote currency */
} TeOpenState;

/* What a lot of the signal adds.  Amounts in account currency; a NAN is not known. */
typedef struct TeLotCost
{
	int side;         /* +1 long, -1 short */
	double loss;      /* at its stop */
	double notional;  /* value */
	double margin;    /* bound: value times the instrument's margin rate */
	bool counts_base; /* the base currency isn't the account's, so it is exposed */
	bool counts_quote;
} TeLotCost;

/* What a lot of a decision adds; margin_rate 0.02 is a leverage of 50. */
extern TeLotCost te_lot_cost(const TeDecisionInput *in, const TeDecision *d, double margin_rate);

typedef struct TeLimitRow
{
	TeLimits limits;
	TeOpenState open;
} TeLimitRow;

/* The limit that leaves the least room. */
typedef struct TeLimitFinding
{
	double lots;        /* that fit, not rounded; INFINITY: no limit holds */
	TeRiskNoteKind why; /* the limit, where lots is finite */
	int row;
	double value;   /* what there would be, with the whole size */
	double allowed; /* what the limit allows */
} TeLimitFinding;

/* How much of a signal of that size fits within all rows. */
extern TeLimitFinding te_limits_room(const TeLimitRow *rows, int count, const TeLotCost *lot,
                                     double size);

/*
 * Take what was found: as much as fits; without room for lot_min, or with a limit that the
 * size doesn't help, the signal becomes a HOLD.
 */
extern void te_limits_take(const TeDecisionInput *in, const TeLimitFinding *finding, TeDecision *d,
                           TeRiskAssessment *out);

/* Assess a signal by the limits: find how much fits, and take it. */
extern void te_limits_apply(const TeDecisionInput *in, const TeLimitRow *rows, int count,
                            const TeLotCost *lot, TeDecision *d, TeRiskAssessment *out);

/* Fall from a peak, 0..; NAN where the peak isn't > 0. */
extern double te_drawdown(double peak, double equity);

#endif
