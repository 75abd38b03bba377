/*
 * limits.c - scopes, the kill switch and limits.
 */
#include "limits.h"

#include <string.h>

#include "work.h"

static bool name_covers(const char *scope, const char *target)
{
	return scope == NULL || (target != NULL && strcmp(scope, target) == 0);
}

bool te_scope_covers(const TeScope *scope, const TeScope *target)
{
	return name_covers(scope->company, target->company) && name_covers(scope->user, target->user) &&
	       name_covers(scope->strategy, target->strategy) &&
	       name_covers(scope->symbol, target->symbol) &&
	       (scope->side == 0 || scope->side == target->side);
}

const char *te_scope_check(const TeScope *scope)
{
	if (scope->user != NULL && scope->company == NULL)
		return "a user needs its company";
	if (scope->strategy != NULL && scope->user == NULL)
		return "a strategy needs its user";
	return NULL;
}

TeTradingState te_trading_state(const TeSwitch *switches, int count, const TeScope *target)
{
	TeTradingState strictest = TE_TRADING_ACTIVE;

	for (int i = 0; i < count; i++)
		if (switches[i].state > strictest && te_scope_covers(&switches[i].scope, target))
			strictest = switches[i].state;
	return strictest;
}

bool te_trading_permits(TeTradingState state, double position, int side, double lots)
{
	switch (state) {
	case TE_TRADING_ACTIVE:
		return true;
	case TE_TRADING_REDUCING:
		return side * position < 0 && lots <= fabs(position) * (1 + TE_RATIO_TOLERANCE);
	default:
		return false;
	}
}

const TeLimitInfo te_limit_infos[] = {
#define INFO(name, note, doc) {#name, TE_RISK_NOTE_##note, offsetof(TeLimits, name), doc},
	TE_LIMITS(INFO)
#undef INFO
};

_Static_assert(sizeof(TeLimits) == TE_LIMIT_COUNT * sizeof(double), "as many limits as counted");

void te_limits_none(TeLimits *out)
{
	for (int i = 0; i < TE_LIMIT_COUNT; i++)
		*(double *)((char *)out + te_limit_infos[i].offset) = NAN;
}

const char *te_limits_check(const TeLimits *limits, const char **reason)
{
	for (int i = 0; i < TE_LIMIT_COUNT; i++) {
		double limit = *(const double *)((const char *)limits + te_limit_infos[i].offset);

		if (te_known(limit) && !(limit >= 0 && isfinite(limit))) {
			*reason = "must be a number that is not negative";
			return te_limit_infos[i].name;
		}
	}
	*reason = NULL;
	return NULL;
}

double te_drawdown(double peak, double equity)
{
	return peak > 0 ? (peak - equity) / peak : NAN;
}

/* Beyond a limit; what isn't known is beyond every limit. */
static bool beyond(double value, double limit)
{
	return !(value <= limit * (1 + TE_RATIO_TOLERANCE) + TE_RATIO_TOLERANCE);
}

/* A search for the limit that leaves the least room. */
typedef struct Search
{
	TeLimitFinding found;
	int row;
	double size;
} Search;

static void found(Search *s, TeRiskNoteKind why, double lots, double value, double allowed)
{
	if (lots < s->found.lots)
		s->found = (TeLimitFinding){lots, why, s->row, value, allowed};
}

/* A limit on something that the size doesn't change. */
static void check_state(Search *s, TeRiskNoteKind why, double value, double allowed)
{
	if (te_known(allowed) && beyond(value, allowed))
		found(s, why, 0, value, allowed);
}

/* A limit on something that grows by "per_lot" from what it is. */
static void check_growth(Search *s, TeRiskNoteKind why, double is, double per_lot, double allowed)
{
	double value = is + per_lot * s->size;
	double lots = fmax(0, (allowed - is) / per_lot);

	if (!beyond(value, allowed))
		return;
	found(s, why, te_known(lots) ? lots : 0, value, allowed);
}

/*
 * Net exposure to a currency.  Going against it makes it smaller first, and that is
 * welcome even from beyond the limit.
 */
static void check_exposure(Search *s, double net, double per_lot, double allowed)
{
	double direction = per_lot < 0 ? -1 : 1;

	check_growth(s, TE_RISK_NOTE_EXPOSURE, net * direction, fabs(per_lot), allowed);
}

static void check_row(Search *s, const TeLimitRow *row, const TeLotCost *lot)
{
	const TeLimits *l = &row->limits;
	const TeOpenState *o = &row->open;
	double percent = fmax(0, o->equity) / 100;

	check_state(s, TE_RISK_NOTE_OPEN_POSITIONS, (double)o->positions + 1, l->max_open_positions);
	check_state(s, TE_RISK_NOTE_DAILY_LOSS, te_drawdown(o->day_start_equity, o->equity) * 100,
	            l->max_daily_loss_percent);
	check_state(s, TE_RISK_NOTE_DRAWDOWN, te_drawdown(o->peak_equity, o->equity) * 100,
	            l->max_drawdown_percent);
	if (te_known(l->max_open_risk_percent))
		check_growth(s, TE_RISK_NOTE_OPEN_RISK, o->risk, lot->loss,
		             l->max_open_risk_percent * percent);
	if (te_known(l->max_leverage))
		check_growth(s, TE_RISK_NOTE_LEVERAGE, o->notional, lot->notional,
		             l->max_leverage * percent * 100);
	if (te_known(l->min_free_margin_percent))
		check_growth(s, TE_RISK_NOTE_FREE_MARGIN, o->margin, lot->margin,
		             (100 - l->min_free_margin_percent) * percent);
	if (!te_known(l->max_currency_exposure_percent))
		return;
	if (lot->counts_base)
		check_exposure(s, o->base_exposure, lot->side * lot->notional,
		               l->max_currency_exposure_percent * percent);
	if (lot->counts_quote)
		check_exposure(s, o->quote_exposure, -lot->side * lot->notional,
		               l->max_currency_exposure_percent * percent);
}

TeLotCost te_lot_cost(const TeDecisionInput *in, const TeDecision *d, double margin_rate)
{
	const TeInstrument *i = in->instrument;
	double rate = te_conversion_rate(in, d->entry_price);
	TeLotCost lot = {.side = te_direction_sign(d->signal_type)};

	lot.loss = d->max_loss / d->position_size;
	lot.notional = d->entry_price * i->contract_size * rate;
	lot.margin = lot.notional * margin_rate;
	lot.counts_base = strcmp(i->base_currency, in->account->currency) != 0;
	lot.counts_quote = strcmp(i->quote_currency, in->account->currency) != 0;
	return lot;
}

TeLimitFinding te_limits_room(const TeLimitRow *rows, int count, const TeLotCost *lot, double size)
{
	Search s = {.found = {.lots = INFINITY, .value = NAN, .allowed = NAN}, .size = size};

	for (s.row = 0; s.row < count; s.row++)
		check_row(&s, &rows[s.row], lot);
	return s.found;
}

void te_limits_take(const TeDecisionInput *in, const TeLimitFinding *finding, TeDecision *d,
                    TeRiskAssessment *out)
{
	TeGrid grid = te_grid(in->instrument->lot_step);
	TeRiskAdvice advice = {TE_RISK_LEVEL_UNSPECIFIED, NAN, NAN};

	if (isfinite(finding->lots)) {
		double steps = te_steps_down(te_grid_steps(&grid, finding->lots));

		if (steps < te_steps_down(te_grid_steps(&grid, in->instrument->lot_min))) {
			te_risk_begin(d, TE_RISK_STATUS_ASSESSED, TE_RISK_LEVEL_UNSPECIFIED, out);
			te_risk_cancel(d, out, finding->why, finding->value, finding->allowed);
			return;
		}
		advice.position_size = te_grid_value(&grid, steps);
	}
	te_risk_apply(in, TE_RISK_STATUS_ASSESSED, &advice, d, out);
	if (d->position_size < out->original_position_size)
		te_risk_note(out, finding->why, finding->value, finding->allowed, d->position_size);
}

void te_limits_apply(const TeDecisionInput *in, const TeLimitRow *rows, int count,
                     const TeLotCost *lot, TeDecision *d, TeRiskAssessment *out)
{
	TeLimitFinding finding = te_limits_room(rows, count, lot, d->position_size);

	te_limits_take(in, &finding, d, out);
}
