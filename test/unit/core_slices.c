/*
 * core_slices.c - orders in parts.
 */
#include "core/slices.h"
#include "core/ticks.h"

#include "core_fixture.h"
#include "core_random.h"

static const TeSliceTerms fx = {0.01, 0.01};
static TeSlice slices[TE_MAX_SLICES];

static void twap(void)
{
	int n = te_slices_twap(&fx, 1, 4, NOON, 60 * TE_USEC_PER_SEC, slices);

	ok(n == 4 && slices[0].lots == 0.25 && slices[3].lots == 0.25, "4 equal slices of one lot");
	ok(slices[0].at == NOON && slices[1].at == NOON + 15 * TE_USEC_PER_SEC &&
	       slices[3].at == NOON + 45 * TE_USEC_PER_SEC,
	   "at equal distances");
	n = te_slices_twap(&fx, 0.1, 3, NOON, 60 * TE_USEC_PER_SEC, slices);
	ok(n == 3 && slices[0].lots == 0.04 && slices[1].lots == 0.03 && slices[2].lots == 0.03,
	   "what doesn't divide goes to the first ones");
	n = te_slices_twap(&(TeSliceTerms){0.01, 0.1}, 0.35, 10, NOON, 60, slices);
	ok(n == 3 && slices[0].lots == 0.12 && slices[2].lots == 0.11, "no slice is below lot_min");
	ok(te_slices_twap(&(TeSliceTerms){0.01, 0.1}, 0.15, 10, NOON, 60, slices) == 1 &&
	       slices[0].lots == 0.15,
	   "if need be it stays whole");
	ok(te_slices_twap(&(TeSliceTerms){0.01, 0.1}, 0.09, 10, NOON, 60, slices) == 0,
	   "an order below lot_min is none");
}

static void iceberg(void)
{
	int n = te_slices_iceberg(&fx, 1, 0.3, NOON, slices);

	ok(n == 4 && slices[0].lots == 0.25, "as few equal parts as are not larger than may be seen");
	ok(slices[0].at == NOON && slices[1].at == TE_NO_TIME, "one after the other");
	ok(te_slices_iceberg(&fx, 0.3, 0.5, NOON, slices) == 1 && slices[0].lots == 0.3,
	   "all of it where all may be seen");
	ok(te_slices_iceberg(&(TeSliceTerms){0.01, 0.1}, 0.15, 0.1, NOON, slices) == 0,
	   "no parts of lot_min that may be seen: none");
	ok(te_slices_iceberg(&fx, 10, 0.01, NOON, slices) == 0, "nor more than there is room for");
}

static void property(void)
{
	int broken = 0, several = 0;

	for (int i = 0; i < 200000; i++) {
		static const double steps[] = {0.01, 0.1, 1, 0.001};
		TeSliceTerms t = {steps[below(4)], 0};
		TeGrid lot = te_grid(t.lot_step);
		double lots, visible, sum = 0;
		bool is_twap = below(2);
		int n;

		t.lot_min = te_grid_value(&lot, 1 + below(10));
		lots = te_grid_value(&lot, below(3000));
		visible = te_grid_value(&lot, below(300));
		n = is_twap ? te_slices_twap(&t, lots, 1 + below(300), NOON, below(1000000), slices)
		            : te_slices_iceberg(&t, lots, visible, NOON, slices);
		for (int k = 0; k < n; k++) {
			sum += te_grid_steps(&lot, slices[k].lots);
			broken += slices[k].lots < t.lot_min * (1 - 1e-12);
			broken += !is_twap && slices[k].lots > visible * (1 + 1e-12);
			broken += is_twap && k > 0 && slices[k].at < slices[k - 1].at;
		}
		broken += n > 0 && fabs(sum - te_grid_steps(&lot, lots)) > 1e-6;
		broken += n == 0 && is_twap && lots >= t.lot_min;
		several += n > 1;
	}
	ok(broken == 0, "200,000 random orders: parts add up, and none is too small or too large");
	ok(several > 100000, "most in several parts");
}

int main(void)
{
	twap();
	iceberg();
	property();
	return done_testing();
}
