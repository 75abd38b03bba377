/*
 * outcome.c - a trade judged against bars.
 */
#include "outcome.h"
#include "ticks.h"

/* The bar in which something happens; what never does has an index beyond every bar. */
#define NEVER INT32_MAX

/* A trade seen from its own side: prices that are good for it are high. */
typedef struct Judge
{
	const TeTrade *trade;
	const TeBars *bars;
	double half;      /* of the spread */
	double tolerance; /* prices this close are equal */
	int first;        /* bar that begins after the decision */
} Judge;

/* An order's way through the bars. */
typedef struct Path
{
	int filled, closed; /* bars; the decision itself counts as bar first - 1 */
} Path;

void te_trade_of(const TeDecisionInput *in, const TeDecision *d, TeTrade *out)
{
	double spread = te_spread_pips(in);

	out->sign = d->signal_type > TE_DIR_HOLD ? 1 : -1;
	out->decided_at = in->at;
	out->expires_at = d->expires_at;
	out->spread = te_known(spread) ? spread * in->instrument->pip_size : 0;
	out->pip_size = in->instrument->pip_size;
	out->tick_size = in->instrument->tick_size;
	out->contract_size = in->instrument->contract_size;
	out->conversion_rate = te_conversion_rate(in, d->stop_loss);
	out->order_count = d->leg_count > 0 ? d->leg_count : 1;
	if (d->leg_count == 0)
		out->orders[0] =
			(TeLeg){d->order_type, d->entry_price, d->stop_loss, d->take_profit, d->position_size};
	for (int i = 0; i < d->leg_count; i++)
		out->orders[i] = d->legs[i];
}

/* The first bar that begins after a time. */
static int first_after(const TeBars *bars, TeTime at)
{
	int low = 0, high = bars->count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (bars->bars[middle].start > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The prices of a bar at which the position can be left, and an order to open it filled. */
static double worst_exit(const Judge *j, const TeBar *bar)
{
	return j->trade->sign > 0 ? bar->low - j->half : bar->high + j->half;
}

static double best_exit(const Judge *j, const TeBar *bar)
{
	return j->trade->sign > 0 ? bar->high - j->half : bar->low + j->half;
}

static double best_entry(const Judge *j, const TeBar *bar)
{
	return j->trade->sign > 0 ? bar->low + j->half : bar->high - j->half;
}

/* Whether a price has come down to another, seen from the trade's side. */
static bool falls_to(const Judge *j, double price, double to)
{
	return j->trade->sign * (price - to) <= j->tolerance;
}

static bool rises_to(const Judge *j, double price, double to)
{
	return j->trade->sign * (price - to) >= -j->tolerance;
}

static bool holds(const TeBars *bars, int bar, TeTime at)
{
	return bar >= 0 && at < bars->bars[bar].start + bars->length;
}

/* The bar that fills a limit order; -1: none did, and none will. */
static int limit_filled(const Judge *j, const TeLeg *order)
{
	TeTime expires_at = j->trade->expires_at;

	for (int i = j->first; i < j->bars->count; i++) {
		const TeBar *bar = &j->bars->bars[i];

		if (expires_at != TE_NO_TIME && bar->start >= expires_at)
			return -1;
		if (falls_to(j, best_entry(j, bar), order->entry_price))
			return i;
	}
	return NEVER;
}

static TeResult follow(const Judge *j, const TeLeg *order, Path *path)
{
	bool market = order->order_type == TE_ORDER_MARKET;
	int opened = market ? j->first - 1 : limit_filled(j, order);

	path->filled = opened;
	path->closed = NEVER;
	if (!market && opened < 0)
		return TE_RESULT_NOT_FILLED;
	if (opened == NEVER)
		return TE_RESULT_OPEN;

	/* A market order may have been decided between two bars. */
	if ((!market || holds(j->bars, opened, j->trade->decided_at)) &&
	    falls_to(j, worst_exit(j, &j->bars->bars[opened]), order->stop_loss)) {
		path->closed = opened;
		return TE_RESULT_STOP_LOSS;
	}
	for (int i = opened + 1; i < j->bars->count; i++) {
		const TeBar *bar = &j->bars->bars[i];

		if (falls_to(j, worst_exit(j, bar), order->stop_loss)) {
			path->closed = i;
			return TE_RESULT_STOP_LOSS;
		}
		if (rises_to(j, best_exit(j, bar), order->take_profit)) {
			path->closed = i;
			return TE_RESULT_TAKE_PROFIT;
		}
	}
	return TE_RESULT_OPEN;
}

/* A stop loss is filled at its price, or at the open of a bar that begins beyond it. */
static double stop_price(const Judge *j, const TeLeg *order, const Path *path)
{
	double open = j->bars->bars[path->closed].open - j->trade->sign * j->half;

	if (path->closed > path->filled && j->trade->sign * (open - order->stop_loss) < 0)
		return open;
	return order->stop_loss;
}

static void describe(const Judge *j, const TeLeg *order, const Path *path, TeOrderOutcome *out)
{
	const TeTrade *t = j->trade;
	bool market = order->order_type == TE_ORDER_MARKET;
	double move;

	if (out->result == TE_RESULT_NOT_FILLED || path->filled == NEVER)
		return;
	out->filled_at = market ? t->decided_at : j->bars->bars[path->filled].start;
	out->fill_price = order->entry_price;
	out->size = order->position_size;
	if (out->result == TE_RESULT_OPEN)
		return;
	out->closed_at = j->bars->bars[path->closed].start + j->bars->length;
	out->exit_price =
		out->result == TE_RESULT_STOP_LOSS ? stop_price(j, order, path) : order->take_profit;
	move = t->sign * (out->exit_price - out->fill_price);
	out->pips = move / t->pip_size;
	out->r_multiple = move / fabs(order->entry_price - order->stop_loss);
	out->profit = move * out->size * t->contract_size * t->conversion_rate;
}

static TeResult whole_result(const TeTrade *t, const TeTradeOutcome *out)
{
	TeResult result = TE_RESULT_NOT_FILLED;

	for (int i = 0; i < t->order_count; i++) {
		TeResult r = out->orders[i].result;

		if (r == TE_RESULT_OPEN)
			return r;
		if (r == TE_RESULT_STOP_LOSS || result == TE_RESULT_NOT_FILLED)
			result = r;
	}
	return result;
}

/* All orders of a signal together. */
static void sum_up(const TeTrade *t, TeTradeOutcome *out)
{
	TeOrderOutcome *whole = &out->whole;
	double entry = 0, exit = 0, pips = 0, reward = 0, risk = 0, profit = 0;

	if (t->order_count == 1) {
		*whole = out->orders[0];
		return;
	}
	whole->result = whole_result(t, out);
	for (int i = 0; i < t->order_count; i++) {
		const TeOrderOutcome *o = &out->orders[i];

		if (o->filled_at == TE_NO_TIME)
			continue;
		if (whole->filled_at == TE_NO_TIME || o->filled_at < whole->filled_at)
			whole->filled_at = o->filled_at;
		if (o->closed_at > whole->closed_at)
			whole->closed_at = o->closed_at;
		whole->size += o->size;
		entry += o->size * o->fill_price;
		exit += o->size * o->exit_price;
		pips += o->size * o->pips;
		reward += o->size * t->sign * (o->exit_price - o->fill_price);
		risk += o->size * fabs(t->orders[i].entry_price - t->orders[i].stop_loss);
		profit += o->profit;
	}
	if (whole->size > 0)
		whole->fill_price = entry / whole->size;
	if (whole->result == TE_RESULT_OPEN || whole->result == TE_RESULT_NOT_FILLED) {
		whole->closed_at = TE_NO_TIME;
		return;
	}
	whole->exit_price = exit / whole->size;
	whole->pips = pips / whole->size;
	whole->r_multiple = reward / risk;
	whole->profit = profit;
}

void te_trade_judge(const TeTrade *trade, const TeBars *bars, TeTradeOutcome *out)
{
	static const TeOrderOutcome nothing = {
		TE_RESULT_NOT_FILLED, TE_NO_TIME, TE_NO_TIME, 0, NAN, NAN, NAN, NAN, NAN};
	Judge j = {.trade = trade,
	           .bars = bars,
	           .half = trade->spread / 2,
	           .tolerance = TE_TICK_TOLERANCE * trade->tick_size};
	Path paths[TE_MAX_LEGS];
	int stopped = NEVER;

	j.first = first_after(bars, trade->decided_at);
	out->whole = nothing;
	for (int i = 0; i < trade->order_count; i++) {
		out->orders[i] = nothing;
		out->orders[i].result = follow(&j, &trade->orders[i], &paths[i]);
		if (out->orders[i].result == TE_RESULT_STOP_LOSS && paths[i].closed < stopped)
			stopped = paths[i].closed;
	}
	for (int i = 0; i < trade->order_count; i++) {
		if (stopped != NEVER && paths[i].filled > stopped)
			out->orders[i].result = TE_RESULT_NOT_FILLED;
		describe(&j, &trade->orders[i], &paths[i], &out->orders[i]);
	}
	sum_up(trade, out);
}

static bool is_price(double x)
{
	return isfinite(x) && x > 0;
}

static const char *order_check(const TeTrade *t, const TeLeg *order, const char **reason)
{
	*reason = "must be finite and > 0";
	if (!is_price(order->entry_price))
		return "entry_price";
	if (!is_price(order->stop_loss))
		return "stop_loss";
	if (!is_price(order->take_profit))
		return "take_profit";
	if (!is_price(order->position_size))
		return "position_size";
	*reason = "must lie on the losing side of entry_price";
	if (!(t->sign * (order->entry_price - order->stop_loss) > 0))
		return "stop_loss";
	*reason = "must lie on the winning side of entry_price";
	if (!(t->sign * (order->take_profit - order->entry_price) > 0))
		return "take_profit";
	return NULL;
}

const char *te_trade_check(const TeTrade *trade, const char **reason)
{
	const char *key = NULL;

	*reason = "must be finite and > 0";
	if (!is_price(trade->pip_size))
		return "pip_size";
	if (!is_price(trade->tick_size))
		return "tick_size";
	if (!is_price(trade->contract_size))
		return "contract_size";
	if (te_known(trade->conversion_rate) && !is_price(trade->conversion_rate))
		return "conversion_rate";
	*reason = "must be finite and >= 0";
	if (!(isfinite(trade->spread) && trade->spread >= 0))
		return "spread_pips";
	for (int i = 0; i < trade->order_count && key == NULL; i++)
		key = order_check(trade, &trade->orders[i], reason);
	return key;
}
