/*
 * execution.c - order, count once, sum.
 */
#include "execution.h"

#include "work.h"

static bool is_absent_or_price(double x)
{
	return isnan(x) || te_is_price(x);
}

const char *te_execution_check(const TeExecution *e, const char **reason)
{
	bool fill = te_execution_is_fill(e), close = e->status == TE_EXECUTION_CLOSED;

	*reason = "is not an execution status";
	if (e->status <= TE_EXECUTION_UNSPECIFIED || e->status >= TE_EXECUTION_STATUS_COUNT)
		return "status";
	*reason = "must be known";
	if (e->at == TE_NO_TIME)
		return "executed_at";
	*reason = "must be a number above 0";
	if (fill ? !te_is_price(e->executed_price) : !is_absent_or_price(e->executed_price))
		return "executed_price";
	if (!is_absent_or_price(e->requested_price))
		return "requested_price";
	if (fill ? !te_is_price(e->executed_size) : close && !is_absent_or_price(e->executed_size))
		return "executed_size";
	*reason = "must be a number";
	if (close ? !isfinite(e->profit) : isinf(e->profit))
		return "profit";
	if (isinf(e->commission))
		return "commission";
	*reason = NULL;
	return NULL;
}

static int compare_numbers(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return (a > b) - (a < b);
}

/* By id, then by everything else, so that of several contents the same one is always first. */
static int compare_reports(const TeExecution *a, const TeExecution *b)
{
	const double x[] = {a->executed_size, a->executed_price, a->requested_price, a->profit,
	                    a->commission};
	const double y[] = {b->executed_size, b->executed_price, b->requested_price, b->profit,
	                    b->commission};

	if (a->id.hi != b->id.hi)
		return a->id.hi < b->id.hi ? -1 : 1;
	if (a->id.lo != b->id.lo)
		return a->id.lo < b->id.lo ? -1 : 1;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->status != b->status)
		return a->status < b->status ? -1 : 1;
	for (int i = 0; i < 5; i++)
		if (compare_numbers(x[i], y[i]) != 0)
			return compare_numbers(x[i], y[i]);
	return 0;
}

static int compare_times(const TeExecution *a, const TeExecution *b)
{
	return a->at != b->at ? (a->at < b->at ? -1 : 1) : compare_reports(a, b);
}

/* Let list[root] sink to its place in the heap. */
static void sink(TeExecution *list, int root, int count,
                 int (*compare)(const TeExecution *, const TeExecution *))
{
	TeExecution e = list[root];

	for (int child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && compare(&list[child], &list[child + 1]) < 0)
			child++;
		if (compare(&e, &list[child]) >= 0)
			break;
		list[root] = list[child];
	}
	list[root] = e;
}

/* Heapsort, because qsort may allocate. */
static void sort(TeExecution *list, int count,
                 int (*compare)(const TeExecution *, const TeExecution *))
{
	for (int root = count / 2; root-- > 0;)
		sink(list, root, count, compare);
	while (--count > 0) {
		TeExecution greatest = list[0];

		list[0] = list[count];
		list[count] = greatest;
		sink(list, 0, count, compare);
	}
}

int te_executions_settle(TeExecution *list, int count, TeExecutionRepeats *repeats)
{
	int left = 0;

	*repeats = (TeExecutionRepeats){0, 0};
	sort(list, count, compare_reports);
	for (int i = 0; i < count; i++) {
		if (left == 0 || !te_key_equal(list[left - 1].id, list[i].id))
			list[left++] = list[i];
		else if (compare_reports(&list[left - 1], &list[i]) == 0)
			repeats->repeated++;
		else
			repeats->conflicts++;
	}
	sort(list, left, compare_times);
	return left;
}

/* A mean that is weighted by volume; NAN while nothing is added. */
typedef struct Mean
{
	double sum, size;
} Mean;

static void add(Mean *m, double value, double size)
{
	if (te_known(value)) {
		m->sum += value * size;
		m->size += size;
	}
}

static double mean(const Mean *m)
{
	return m->size > 0 ? m->sum / m->size : NAN;
}

/* What has been added up so far. */
typedef struct Sums
{
	TeExecutionSum *out;
	const TeGrid *lot;
	int side;
	double pip;
	double filled, closed; /* in lot steps */
	bool closed_all;       /* a close that says no size */
	bool any_close;
	Mean price, close, entry_slip, exit_slip;
} Sums;

/* Sizes are lot steps, so that 0.1 + 0.2 closes 0.3. */
static double in_steps(const Sums *s, double size)
{
	double steps = te_grid_steps(s->lot, size);

	return te_steps_whole(steps) ? round(steps) : steps;
}

static double slippage(const Sums *s, const TeExecution *e, int side)
{
	return side * (e->executed_price - e->requested_price) / s->pip;
}

static void add_fill(Sums *s, const TeExecution *e)
{
	s->filled += in_steps(s, e->executed_size);
	add(&s->price, e->executed_price, e->executed_size);
	add(&s->entry_slip, slippage(s, e, s->side), e->executed_size);
	if (s->out->filled_at == TE_NO_TIME)
		s->out->filled_at = e->at;
}

static void add_close(Sums *s, const TeExecution *e)
{
	/* A close that says no size weighs as much as a lot. */
	double size = te_known(e->executed_size) ? e->executed_size : 1;

	s->any_close = true;
	if (te_known(e->executed_size))
		s->closed += in_steps(s, e->executed_size);
	else
		s->closed_all = true;
	add(&s->close, e->executed_price, size);
	add(&s->exit_slip, slippage(s, e, -s->side), size);
	s->out->profit = (te_known(s->out->profit) ? s->out->profit : 0) + e->profit;
	s->out->closed_at = e->at;
}

static TeTradeState state_of(const Sums *s, bool rejected, bool cancelled)
{
	if (s->any_close && (s->closed_all || s->closed >= s->filled - TE_TICK_TOLERANCE))
		return TE_TRADE_STATE_CLOSED;
	if (s->filled > 0 || s->any_close)
		return TE_TRADE_STATE_OPEN;
	if (rejected)
		return TE_TRADE_STATE_REJECTED;
	return cancelled ? TE_TRADE_STATE_CANCELLED : TE_TRADE_STATE_PENDING;
}

void te_executions_sum(const TeExecution *list, int count, int side, double pip_size,
                       const TeGrid *lot, TeExecutionSum *out)
{
	Sums s = {.out = out, .lot = lot, .side = side, .pip = pip_size};
	bool rejected = false, cancelled = false;

	*out = (TeExecutionSum){.profit = NAN, .filled_at = TE_NO_TIME, .closed_at = TE_NO_TIME};
	for (int i = 0; i < count; i++) {
		const TeExecution *e = &list[i];

		if (te_known(e->commission))
			out->commission += e->commission;
		if (te_execution_is_fill(e))
			add_fill(&s, e);
		else if (e->status == TE_EXECUTION_CLOSED)
			add_close(&s, e);
		rejected = rejected || e->status == TE_EXECUTION_REJECTED;
		cancelled = cancelled || e->status == TE_EXECUTION_CANCELLED;
	}
	out->state = state_of(&s, rejected, cancelled);
	out->filled = te_grid_value(lot, s.filled);
	out->closed = te_grid_value(lot, s.closed_all ? fmax(s.closed, s.filled) : s.closed);
	out->average_price = mean(&s.price);
	out->average_close = mean(&s.close);
	out->entry_slippage_pips = mean(&s.entry_slip);
	out->exit_slippage_pips = mean(&s.exit_slip);
}
