/*
 * policy.c - from what is laid down for a signal to what becomes of it.
 */
#include "postgres.h"

#include "engine/policy.h"

#include "core/work.h"

/* A candidate that is held against rows. */
typedef struct Question
{
	TePolicyRows *rows;
	const TeExposure *exposure;
	TeCandidate *c;
	TePolicyTarget target;
	bool reduces; /* it is let through because it makes an open position smaller */
} Question;

/* Turn it away; false, so that the rest isn't asked. */
static bool reject(Question *q, TeRiskNoteKind reason, double value, double threshold)
{
	TeRiskAction action = te_action_cancel(reason, value, threshold);

	te_candidate_act(q->c, &action);
	return false;
}

static bool pass_switches(Question *q)
{
	TeTradingState state = te_policy_state(q->rows, &q->target);
	const TeCachedStrategy *of = &q->c->of;
	double lots = q->c->decision.position_size, position, pending;

	if (state == TE_TRADING_ACTIVE)
		return true;
	if (state == TE_TRADING_HALTED)
		return reject(q, TE_RISK_NOTE_HALTED, NAN, NAN);
	position = te_exposure_position(q->exposure, of->company_id, of->user_id, of->account_id,
	                                q->target.scope.symbol);
	/* Together with what was ordered before and isn't filled, it must not turn it round. */
	pending = te_exposure_pending(q->exposure, of->company_id, of->user_id, of->account_id,
	                              q->target.scope.symbol, q->target.scope.side);
	q->reduces = te_trading_permits(state, position, q->target.scope.side, pending + lots);
	return q->reduces || reject(q, TE_RISK_NOTE_REDUCING, pending + lots, fabs(position));
}

static bool pass_sessions(Question *q)
{
	return te_policy_in_session(q->rows, q->target.scope.symbol, q->c->in.at) ||
	       reject(q, TE_RISK_NOTE_SESSION_CLOSED, NAN, NAN);
}

static bool pass_locks(Question *q)
{
	TePolicySearch search;

	for (const TePolicyRow *row = te_policy_first(q->rows, TE_POLICY_LOCK, &q->target, &search);
	     row != NULL; row = te_policy_next(q->rows, &search))
		if (q->c->in.at < row->as.lock.until)
			return reject(q, TE_RISK_NOTE_LOCKED, row->as.lock.value, row->as.lock.threshold);
	return true;
}

static bool pass_news(Question *q)
{
	const TeInstrument *i = q->c->in.instrument;
	TePolicySearch search;

	for (const TePolicyRow *row =
	         te_policy_first(q->rows, TE_POLICY_NEWS_RULE, &q->target, &search);
	     row != NULL; row = te_policy_next(q->rows, &search)) {
		const TeNewsEvent *event;
		TeNewsVerdict verdict = te_policy_news(q->rows, &row->as.news.rule, i->base_currency,
		                                       i->quote_currency, q->c->in.at, &event);

		if (verdict == TE_NEWS_BLOCKED)
			return reject(q, TE_RISK_NOTE_NEWS, event->impact, row->as.news.rule.least_impact);
		if (verdict == TE_NEWS_MISSING && row->as.news.required)
			return reject(q, TE_RISK_NOTE_NEWS_MISSING, NAN, NAN);
	}
	return true;
}

/*----------------------------------------------------------------------
 * Limits
 *----------------------------------------------------------------------*/

/* In the book, of the scope within the signal's company. */
static TeBookTotals totals_of(const Question *q, const char *user, const char *strategy,
                              const char *account, const char *symbol)
{
	return te_exposure_totals(q->exposure, &(TeExposureScope){.company_id = q->c->of.company_id,
	                                                          .user_id = user,
	                                                          .strategy_id = strategy,
	                                                          .account_id = account,
	                                                          .symbol = symbol});
}

static int64 positions(const Question *q, const TeScope *scope)
{
	const TeCachedStrategy *of = &q->c->of;
	int64 open = totals_of(q, scope->user, scope->strategy, NULL, scope->symbol).entries;

	/* What the account has beside, nobody knows of which strategy or symbol. */
	if (scope->strategy == NULL && scope->symbol == NULL)
		open += q->c->account.open_positions -
		        totals_of(q, of->user_id, NULL, of->account_id, NULL).entries;
	return open;
}

/* Money of different accounts isn't one pot: what is a share of equity is one account's. */
static TeBookTotals amounts(const Question *q, const TeScope *scope)
{
	const TeCachedStrategy *of = &q->c->of;
	bool of_account = scope->strategy == NULL && scope->symbol == NULL;

	return totals_of(q, of->user_id, scope->strategy, of_account ? of->account_id : NULL,
	                 scope->symbol);
}

static double exposure_to(const Question *q, const char *currency)
{
	const TeCachedStrategy *of = &q->c->of;
	TeBookTotals totals =
		te_exposure_totals(q->exposure, &(TeExposureScope){.company_id = of->company_id,
	                                                       .user_id = of->user_id,
	                                                       .currency = currency});

	return te_book_currency(totals.net);
}

static void read_equity(const Question *q, TeOpenState *open)
{
	const TeCachedStrategy *of = &q->c->of;
	TeAccountResults r =
		te_exposure_results(q->exposure, of->company_id, of->user_id, of->account_id);
	double began_with = q->c->account.equity - te_book_currency(r.realised);
	bool today =
		r.day_starts_at != TE_NO_TIME && q->c->in.at - r.day_starts_at < 86400 * TE_USEC_PER_SEC;

	open->equity = q->c->account.equity;
	open->peak_equity = began_with + te_book_currency(r.peak);
	open->day_start_equity = today ? began_with + te_book_currency(r.day_start) : open->equity;
}

static TeOpenState open_state(const Question *q, const TePolicyRow *row)
{
	const TeInstrument *i = q->c->in.instrument;
	TeBookTotals totals = amounts(q, &row->scope);
	TeOpenState open = {
		.positions = positions(q, &row->scope),
		.risk = te_book_currency(totals.risk),
		.notional = te_book_currency(totals.notional),
		.margin = te_book_currency(totals.margin),
	};

	if (te_known(row->as.limits.max_currency_exposure_percent)) {
		open.base_exposure = exposure_to(q, i->base_currency);
		open.quote_exposure = exposure_to(q, i->quote_currency);
	}
	read_equity(q, &open);
	return open;
}

/* The strictest row takes what it leaves room for. */
static void apply_limits(Question *q)
{
	TeCandidate *c = q->c;
	TeLimitFinding strictest = {.lots = INFINITY};
	TePolicySearch search;
	TeLotCost lot;

	if (!te_policy_has(q->rows, TE_POLICY_LIMIT))
		return;
	lot = te_lot_cost(&c->in, &c->decision, c->margin_rate);
	for (const TePolicyRow *row = te_policy_first(q->rows, TE_POLICY_LIMIT, &q->target, &search);
	     row != NULL; row = te_policy_next(q->rows, &search)) {
		TeLimitRow limits = {row->as.limits, open_state(q, row)};
		TeLimitFinding f = te_limits_room(&limits, 1, &lot, c->decision.position_size);

		if (f.lots < strictest.lots)
			strictest = f;
	}
	if (isfinite(strictest.lots)) {
		TeRiskAction action = te_action_limit(&strictest);

		te_candidate_act(c, &action);
	}
}

void te_policy_apply(TePolicyRows *rows, const TeExposure *exposure, TeCandidate *c)
{
	Question q = {.rows = rows, .exposure = exposure, .c = c};

	q.target = te_policy_target(&(TeScope){.company = c->of.company_id,
	                                       .user = c->of.user_id,
	                                       .strategy = c->of.strategy_id,
	                                       .symbol = c->in.instrument->symbol,
	                                       .side = te_direction_sign(c->decision.signal_type)});
	if (pass_switches(&q) && pass_sessions(&q) && pass_locks(&q) && pass_news(&q) && !q.reduces)
		apply_limits(&q);
}
