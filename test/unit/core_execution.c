/*
 * core_execution.c - what became of an order: any order of reports, volume-weighted figures.
 */
#include <jansson.h>

#include "core/execution.h"

#include "core_fixture.h"
#include "core_random.h"
#include "core_vectors.h"

static TeExecution list[4096];
static int count;
static TeExecutionRepeats repeats;
static TeExecutionSum sum;

static TeExecution report(uint64_t id, int second, TeExecutionStatus status, double size,
                          double price)
{
	return (TeExecution){{0, id}, NOON + second * TE_USEC_PER_SEC, status, 1.1, price, size, NAN,
	                     NAN};
}

static TeExecution closed(uint64_t id, int second, double size, double price, double profit)
{
	TeExecution e = report(id, second, TE_EXECUTION_CLOSED, size, price);

	e.profit = profit;
	return e;
}

static const char *settle(int side)
{
	TeGrid lot = te_grid(0.01);

	count = te_executions_settle(list, count, &repeats);
	te_executions_sum(list, count, side, 0.0001, &lot, &sum);
	return te_trade_state_enum.labels[sum.state];
}

static void tell(TeExecution e)
{
	list[count++] = e;
}

static void life(void)
{
	count = 0;
	is_text(settle(1), "PENDING", "nothing is told");
	ok(isnan(sum.average_price) && isnan(sum.profit) && sum.filled == 0, "and nothing known");
	tell(report(1, 0, TE_EXECUTION_PARTIALLY_FILLED, 0.1, 1.1001));
	is_text(settle(1), "OPEN", "filled in part");
	tell(report(2, 1, TE_EXECUTION_FILLED, 0.2, 1.1004));
	settle(1);
	is_exactly(sum.filled, 0.3, "0.1 + 0.2 is 0.3");
	is_near(sum.average_price, 1.1003, 1e-12, "weighted by volume");
	is_near(sum.entry_slippage_pips, 3, 1e-9, "bought 3 pips dearer than asked: worse");
	ok(sum.filled_at == NOON, "since the first fill");
	settle(-1);
	is_near(sum.entry_slippage_pips, -3, 1e-9, "sold 3 pips dearer: better");
	tell(closed(3, 2, 0.1, 1.105, 40));
	is_text(settle(1), "OPEN", "closed in part");
	tell(closed(4, 3, 0.2, 1.102, 30));
	is_text(settle(1), "CLOSED", "closed");
	ok(sum.profit == 70 && sum.closed == 0.3 && sum.closed_at == NOON + 3 * TE_USEC_PER_SEC,
	   "with the profit of both");
	is_near(sum.average_close, 1.103, 1e-12, "at their average");
	is_near(sum.exit_slippage_pips, -30, 1e-9, "sold dearer than asked: better");
	tell(report(5, 1, TE_EXECUTION_PARTIALLY_FILLED, 0.1, 1.1));
	is_text(settle(1), "OPEN", "a late fill opens it again");
	tell(closed(6, 4, NAN, NAN, -5));
	is_text(settle(1), "CLOSED", "a close without a size closes all");
	ok(sum.profit == 65 && sum.closed == 0.4, "all that was filled");

	count = 0;
	tell(closed(1, 0, 0.1, 1.1, 7));
	is_text(settle(1), "CLOSED", "a close whose fill is not told yet");
	tell(report(2, -1, TE_EXECUTION_FILLED, 0.1, 1.09));
	is_text(settle(1), "CLOSED", "and after it is");

	count = 0;
	tell(report(1, 5, TE_EXECUTION_FILLED, 0.1, 1.1));
	tell(report(9, 0, TE_EXECUTION_PARTIALLY_FILLED, 0.1, 1.1));
	settle(1);
	ok(sum.filled_at == NOON && list[0].id.lo == 9, "reports are in order of time, not of id");

	count = 0;
	tell(report(1, 0, TE_EXECUTION_CANCELLED, NAN, NAN));
	is_text(settle(1), "CANCELLED", "cancelled");
	tell(report(2, -1, TE_EXECUTION_PARTIALLY_FILLED, 0.1, 1.1));
	is_text(settle(1), "OPEN", "only the rest was cancelled");
	count = 0;
	tell(report(1, 0, TE_EXECUTION_REJECTED, NAN, NAN));
	is_text(settle(1), "REJECTED", "rejected");
}

static void once(void)
{
	TeExecution e = report(1, 0, TE_EXECUTION_FILLED, 0.1, 1.1), other = e;

	other.executed_size = 0.2;
	e.commission = other.commission = 2;
	count = 0;
	tell(e);
	tell(e);
	tell(e);
	settle(1);
	ok(count == 1 && repeats.repeated == 2 && repeats.conflicts == 0 && sum.filled == 0.1 &&
	       sum.commission == 2,
	   "a report that comes three times counts once");
	count = 0;
	tell(other);
	tell(e);
	settle(1);
	ok(count == 1 && repeats.conflicts == 1 && sum.filled == 0.1, "of two contents one counts");
	count = 0;
	tell(e);
	tell(other);
	settle(1);
	ok(sum.filled == 0.1, "the same one in the other order");
}

static void check(void)
{
	const char *reason;
	TeExecution e = report(1, 0, TE_EXECUTION_FILLED, 0.1, 1.1);

	ok(te_execution_check(&e, &reason) == NULL, "a sound fill");
	e.executed_price = NAN;
	is_text(te_execution_check(&e, &reason), "executed_price", "a fill without a price");
	e = report(1, 0, TE_EXECUTION_FILLED, 0, 1.1);
	is_text(te_execution_check(&e, &reason), "executed_size", "a fill of nothing");
	e = report(1, 0, TE_EXECUTION_UNSPECIFIED, 1, 1.1);
	is_text(te_execution_check(&e, &reason), "status", "no status");
	e = report(1, 0, TE_EXECUTION_CLOSED, 1, 1.1);
	is_text(te_execution_check(&e, &reason), "profit", "a close without a profit");
	e.profit = -4;
	e.executed_size = e.executed_price = NAN;
	ok(te_execution_check(&e, &reason) == NULL, "a close needs nothing else");
	e = report(1, 0, TE_EXECUTION_REJECTED, NAN, NAN);
	ok(te_execution_check(&e, &reason) == NULL, "a rejection needs nothing");
	e.at = TE_NO_TIME;
	is_text(te_execution_check(&e, &reason), "executed_at", "but a time");
}

/* blotter's shortfall: positive is a cost.  Fills against the decision price, what wasn't traded
 * against the end price, fees. */
static void shortfall_vectors(void)
{
	FILE *file = open_vectors("implementation_shortfall.json");
	json_t *root, *row, *fill;
	TeGrid unit = te_grid(1);
	size_t i, k;

	if (file == NULL) {
		skip("no implementation_shortfall.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, row)
	{
		double decision = json_number_value(json_object_get(row, "decision"));
		double end = json_number_value(json_object_get(row, "end"));
		double fees = json_number_value(json_object_get(row, "fees"));
		json_t *wanted = json_object_get(row, "order_qty");
		double left;

		count = 0;
		json_array_foreach(json_object_get(row, "fills"), k, fill)
		{
			TeExecution e = report(k, (int)k, TE_EXECUTION_PARTIALLY_FILLED,
			                       json_number_value(json_array_get(fill, 1)),
			                       json_number_value(json_array_get(fill, 0)));

			e.requested_price = decision;
			e.commission = fees / (double)json_array_size(json_object_get(row, "fills"));
			tell(e);
		}
		count = te_executions_settle(list, count, &repeats);
		te_executions_sum(list, count, 1, 1, &unit, &sum);
		left = wanted != NULL ? json_number_value(wanted) - sum.filled : 0;
		is_near(sum.entry_slippage_pips * sum.filled + left * (end - decision) + sum.commission,
		        json_number_value(json_object_get(row, "shortfall")), 1e-9,
		        json_string_value(json_object_get(row, "method")));
	}
	ok(i == 2, "both of blotter's shortfalls");
	json_decref(root);
}

static bool same_sum(const TeExecutionSum *a, const TeExecutionSum *b)
{
	const double x[] = {a->filled,
	                    a->closed,
	                    a->average_price,
	                    a->average_close,
	                    a->entry_slippage_pips,
	                    a->exit_slippage_pips,
	                    a->profit,
	                    a->commission};
	const double y[] = {b->filled,
	                    b->closed,
	                    b->average_price,
	                    b->average_close,
	                    b->entry_slippage_pips,
	                    b->exit_slippage_pips,
	                    b->profit,
	                    b->commission};

	for (int i = 0; i < 8; i++)
		if (x[i] != y[i] && !(isnan(x[i]) && isnan(y[i])))
			return false;
	return a->state == b->state && a->filled_at == b->filled_at && a->closed_at == b->closed_at;
}

/* Orders with random reports, told shuffled and repeated, 100,000 reports in all. */
static void property(void)
{
	int told = 0, different = 0, states[TE_TRADE_STATE_COUNT] = {0};

	while (told < 100000) {
		TeExecution all[20];
		int n = 1 + below(20), side = below(2) ? 1 : -1;
		TeExecutionSum want;

		for (int i = 0; i < n; i++) {
			all[i] = report(next_random(), below(10),
			                (TeExecutionStatus)(1 + below(TE_EXECUTION_STATUS_COUNT - 1)),
			                (1 + below(50)) / 100.0, between(1, 1.2));
			if (below(3) == 0)
				all[i].commission = between(0, 5);
			if (all[i].status == TE_EXECUTION_CLOSED)
				all[i].profit = between(-100, 100);
			list[i] = all[i];
		}
		count = n;
		settle(side);
		want = sum;
		states[sum.state]++;

		count = 0;
		for (int i = 0; i < n; i++)
			for (int copies = 1 + below(3); copies > 0; copies--)
				tell(all[i]);
		for (int i = count - 1; i > 0; i--) {
			int k = below(i + 1);
			TeExecution e = list[i];

			list[i] = list[k];
			list[k] = e;
		}
		told += count;
		settle(side);
		different += count != n || repeats.conflicts != 0 || !same_sum(&want, &sum);
	}
	is_exactly(different, 0, "100,000 reports, shuffled and repeated: the same figures to the bit");
	ok(states[TE_TRADE_STATE_OPEN] > 100 && states[TE_TRADE_STATE_CLOSED] > 100 &&
	       states[TE_TRADE_STATE_REJECTED] > 10 && states[TE_TRADE_STATE_CANCELLED] > 10,
	   "in every state");
}

int main(void)
{
	life();
	once();
	check();
	shortfall_vectors();
	property();
	return done_testing();
}
