/*
 * trade_effects.c - what the reports of a trade come to: its sum, its fills, its order in the book.
 */
#include "postgres.h"

#include "engine/trades.h"

/* A pip's fraction that is no distance. */
#define PIP_TOLERANCE 1e-6

/* No lot step is as small. */
#define LEAST_LOTS 1e-9

/*----------------------------------------------------------------------
 * Sums
 *----------------------------------------------------------------------*/

/*
 * A close at the stop loss or beyond it, or nearer to it than the slippage that the signal accepts.
 * Where no close tells a price: all that the fills had at risk is lost.
 */
static bool was_stopped_out(const TeTrade *t)
{
	bool any_price = false;
	double slack =
		t->pip_size * ((te_known(t->max_slippage_pips) ? t->max_slippage_pips : 0) + PIP_TOLERANCE);

	for (int i = 0; i < t->count; i++) {
		const TeExecution *e = &t->reports[i];

		if (e->status != TE_EXECUTION_CLOSED || !te_known(e->executed_price))
			continue;
		any_price = true;
		if (te_known(t->stop_loss) && t->side * (e->executed_price - t->stop_loss) <= slack)
			return true;
	}
	return !any_price && te_known(t->risk) && t->risk > 0 && t->sum.filled > 0 &&
	       te_known(t->sum.profit) &&
	       t->sum.profit <= -t->risk * (t->sum.filled / t->position_size);
}

void te_trade_sum_up(TeTrade *t)
{
	TeGrid lot = te_grid(t->lot_step);
	TeExecutionRepeats repeats;

	t->count = te_executions_settle(t->reports, t->count, &repeats);
	te_executions_sum(t->reports, t->count, t->side, t->pip_size, &lot, &t->sum);
	t->working = true;
	for (int i = 0; i < t->count; i++)
		t->working = t->working && t->reports[i].status == TE_EXECUTION_PARTIALLY_FILLED;
	t->stopped_out = was_stopped_out(t);
}

static double ratio(double x, double y)
{
	return te_known(y) && y > 0 ? x / y : NAN;
}

TeTradeFigures te_trade_figures(const TeTrade *t)
{
	const TeExecutionSum *s = &t->sum;
	TeTradeFigures f = {s->profit - s->commission, NAN, NAN, NAN};

	if (te_known(f.profit) && s->filled > 0) {
		f.r_multiple = ratio(f.profit, t->risk * (s->filled / t->position_size));
		f.profit_ratio =
			ratio(f.profit, s->filled * t->contract_size * s->average_price * t->conversion_rate);
	}
	if (s->filled_at != TE_NO_TIME)
		f.latency_ms = (double)(s->filled_at - t->generated_at) / 1000;
	return f;
}

/*----------------------------------------------------------------------
 * Fills
 *----------------------------------------------------------------------*/

bool te_trade_fill_counts(const TeExecution *e)
{
	return te_execution_is_fill(e) || e->status == TE_EXECUTION_CLOSED ||
	       (te_known(e->commission) && e->commission != 0);
}

/* What is filled of an order, and its mean price. */
static double filled_lots(const TeExecution *reports, int count, double *price)
{
	double lots = 0, cost = 0;

	for (int i = 0; i < count; i++)
		if (te_execution_is_fill(&reports[i])) {
			lots += reports[i].executed_size;
			cost += reports[i].executed_size * reports[i].executed_price;
		}
	*price = lots > 0 ? cost / lots : NAN;
	return lots;
}

/* What the sized closes leave to those that say no size. */
static double unsized_lots(const TeExecution *reports, int count, double filled)
{
	for (int i = 0; i < count; i++)
		if (reports[i].status == TE_EXECUTION_CLOSED && te_known(reports[i].executed_size))
			filled -= reports[i].executed_size;
	return fmax(filled, 0);
}

static void close_fill(const TeExecution *e, const TeTrade *t, double opened, double lots,
                       TeFill *f)
{
	f->side = -t->side;
	f->lots = lots;
	if (lots == 0) {
		/* Nothing is filled that it could close, as far as is known: what is told counts. */
		f->price = NAN;
		f->profit = e->profit;
		return;
	}
	f->price = te_known(e->executed_price) ? e->executed_price : opened;
	f->difference = e->profit - t->side * (f->price - opened) * lots * t->contract_size * f->rate;
}

void te_trade_fills(const TeTrade *t, const TeExecution *reports, int count, TeFill *out)
{
	double opened, open = filled_lots(reports, count, &opened);
	double unsized = unsized_lots(reports, count, open);

	for (int i = 0; i < count; i++) {
		const TeExecution *e = &reports[i];
		TeFill *f = &out[i];

		*f = (TeFill){
			.id = e->id,
			.at = e->at,
			.side = t->side,
			.lots = e->executed_size,
			.price = e->executed_price,
			.profit = NAN,
			.commission = te_known(e->commission) ? e->commission : 0,
			.rate = te_known(t->conversion_rate) ? t->conversion_rate : 0,
		};
		if (e->status == TE_EXECUTION_CLOSED) {
			bool sized = te_known(e->executed_size);
			double lots = fmin(open, sized ? e->executed_size : unsized);

			if (lots < LEAST_LOTS)
				lots = 0; /* what is left of a difference of doubles */
			open -= lots;
			unsized -= sized ? 0 : lots;
			close_fill(e, t, opened, lots, f);
		} else if (!te_execution_is_fill(e)) {
			/* An order that wasn't filled may have cost something. */
			f->lots = 0;
			f->price = NAN;
			f->profit = 0;
		}
	}
}

/*----------------------------------------------------------------------
 * The book
 *----------------------------------------------------------------------*/

static double open_lots(const TeTrade *t)
{
	return t->sum.filled - t->sum.closed;
}

double te_trade_held(const TeTrade *t)
{
	if (te_trade_has_ended(t->sum.state))
		return 0;
	return t->working ? fmax(t->sum.filled, t->position_size) - t->sum.closed : open_lots(t);
}

bool te_trade_order(const TeTrade *t, double margin_rate, TeExposureOrder *out)
{
	double held = te_trade_held(t), share = held / t->position_size;
	double pending = t->working ? fmax(t->position_size - t->sum.filled, 0) : 0;

	if (!(share > 0))
		return false;
	*out = (TeExposureOrder){
		.company_id = t->company_id,
		.user_id = t->user_id,
		.strategy_id = t->strategy_id,
		.account_id = t->account_id,
		.symbol = t->symbol,
		.base_currency = t->base_currency,
		.quote_currency = t->quote_currency,
		.account_currency = t->currency,
		.side = t->side,
		.risk = t->risk * share,
		.notional = t->notional * share,
		.margin = t->notional * share * margin_rate,
		.pending_lots = pending,
		.expires_at = TE_NO_TIME,
	};
	if (pending > 0 && t->expires_at != TE_NO_TIME) {
		out->expires_at = t->expires_at + TE_ORDER_GRACE;
		out->left = fmax(open_lots(t), 0) / held;
	}
	return true;
}
