/*
 * protections.c - cool-down, stop-loss guard, low-profit symbols, maximum drawdown.
 */
#include "protections.h"

#include <string.h>

#include "statistics.h"
#include "work.h"

#define MINUTE (60 * TE_USEC_PER_SEC)
#define DAY (1440 * MINUTE)

const char *te_protection_check(const TeProtection *p, const char **reason)
{
	*reason = "must be above 0";
	if (p->kind != TE_PROTECTION_COOL_DOWN && p->lookback <= 0)
		return "lookback";
	if (p->kind != TE_PROTECTION_COOL_DOWN && p->trade_limit <= 0)
		return "trade_limit";
	if (p->unlock_minute < 0 && p->lock <= 0)
		return "lock";
	*reason = "must be within 0 and 1439";
	if (p->unlock_minute >= 1440)
		return "unlock_minute";
	*reason = "must be a number";
	if (!isfinite(p->required_profit))
		return "required_profit";
	*reason = "must be a number that is not negative";
	if (p->kind == TE_PROTECTION_MAX_DRAWDOWN &&
	    !(p->max_drawdown >= 0 && isfinite(p->max_drawdown)))
		return "max_drawdown";
	*reason = NULL;
	return NULL;
}

/* The first time of day "minute" that isn't before t. */
static TeTime next_minute(TeTime t, int minute)
{
	TeTime of_day = (t % DAY + DAY) % DAY;
	TeTime then = t - of_day + minute * MINUTE;

	return then < t ? then + DAY : then;
}

/* One look at the trades. */
typedef struct Look
{
	const TeProtection *p;
	const TeTradeHistory *history;
	const char *symbol; /* NULL: all */
	int side;
	TeTime after; /* trades closed after this */
	TeTime last;  /* close of those that count, or TE_NO_TIME */
	int count;
} Look;

static bool counts(Look *l, const TeClosedTrade *t)
{
	if (t->closed_at <= l->after || (l->symbol != NULL && strcmp(t->symbol, l->symbol) != 0))
		return false;
	switch (l->p->kind) {
	case TE_PROTECTION_COOL_DOWN:
		return !l->p->only_stops || t->stopped_out;
	case TE_PROTECTION_STOP_LOSS_GUARD:
		return t->stopped_out && t->profit_ratio < l->p->required_profit &&
		       (!l->p->only_per_side || t->side == l->side);
	default:
		return true;
	}
}

/* The sum of ratios, of one side if the protection is per side. */
static double sum_of_profit(Look *l)
{
	double sum = 0;

	for (int i = 0; i < l->history->count; i++) {
		const TeClosedTrade *t = &l->history->trades[i];

		if (counts(l, t) && (!l->p->only_per_side || t->side == l->side))
			sum += t->profit_ratio;
	}
	return sum;
}

/* The deepest fall of the equity curve, or of the curve of summed ratios. */
static double deepest_fall(Look *l)
{
	const TeTradeHistory *h = l->history;
	bool by_equity = l->p->method == TE_DRAWDOWN_EQUITY;
	double start = by_equity ? h->equity : 0;
	TeEquityCurve curve;

	for (int i = 0; by_equity && i < h->count; i++)
		if (counts(l, &h->trades[i]))
			start -= h->trades[i].profit;
	te_equity_begin(&curve, start);
	for (int i = 0; i < h->count; i++) {
		const TeClosedTrade *t = &h->trades[i];

		if (counts(l, t))
			te_equity_add(&curve, t->closed_at, by_equity ? t->profit : t->profit_ratio);
	}
	te_equity_end(&curve);
	return by_equity ? curve.max_drawdown : curve.max_drawdown_amount;
}

/* Whether the protection's condition holds, and what was measured. */
static bool strikes(Look *l, double *value, double *threshold)
{
	const TeProtection *p = l->p;

	*value = l->count;
	*threshold = p->trade_limit;
	if (p->kind == TE_PROTECTION_COOL_DOWN)
		return l->count > 0;
	if (l->count < p->trade_limit)
		return false;
	if (p->kind == TE_PROTECTION_LOW_PROFIT) {
		*value = sum_of_profit(l);
		*threshold = p->required_profit;
		return te_ratio_below(*value, *threshold);
	}
	if (p->kind == TE_PROTECTION_MAX_DRAWDOWN) {
		*value = deepest_fall(l);
		*threshold = p->max_drawdown;
		return te_ratio_below(*threshold, *value);
	}
	return true;
}

/* Whether the protection has anything to say about a symbol, or about everything. */
static bool is_asked(const TeProtection *p, const char *symbol)
{
	switch (p->kind) {
	case TE_PROTECTION_STOP_LOSS_GUARD:
		return symbol != NULL || !p->only_per_symbol;
	case TE_PROTECTION_MAX_DRAWDOWN:
		return symbol == NULL;
	default:
		return symbol != NULL;
	}
}

bool te_protection_locks(const TeProtection *p, const TeScope *owner, const TeTradeHistory *history,
                         const char *symbol, int side, TeTime now, TeLock *lock)
{
	Look l = {p, history, symbol, side, now - p->lookback, TE_NO_TIME, 0};
	double value, threshold;
	TeTime until;

	if (!is_asked(p, symbol))
		return false;
	if (p->kind == TE_PROTECTION_COOL_DOWN)
		l.after = TE_NO_TIME;
	for (int i = 0; i < history->count; i++)
		if (counts(&l, &history->trades[i])) {
			l.count++;
			if (history->trades[i].closed_at > l.last)
				l.last = history->trades[i].closed_at;
		}
	if (!strikes(&l, &value, &threshold) || l.last == TE_NO_TIME)
		return false;

	until = p->unlock_minute >= 0 ? next_minute(l.last, p->unlock_minute) : l.last + p->lock;
	if (until <= now)
		return false;
	*lock = (TeLock){*owner, p->kind, until, value, threshold};
	if (symbol != NULL)
		lock->scope.symbol = symbol;
	if (p->only_per_side)
		lock->scope.side = side;
	return true;
}

const TeLock *te_lock_find(const TeLock *locks, int count, const TeScope *target, TeTime now)
{
	const TeLock *longest = NULL;

	for (int i = 0; i < count; i++)
		if (now < locks[i].until && te_scope_covers(&locks[i].scope, target) &&
		    (longest == NULL || locks[i].until > longest->until))
			longest = &locks[i];
	return longest;
}
