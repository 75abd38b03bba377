/*
 * core_sizing_vectors.c - position sizes of RISK_PERCENT against Nautilus' fixed-risk sizer.
 *
 * Its definition: equity * risk * (1 - 2 * commission) / exchange_rate / |entry - stop| units, not
 * more than a hard limit, shared out over "units" orders, rounded down to a batch, not more than
 * the instrument's greatest quantity.  Here a lot is a unit: batch = lot step, commission and
 * orders are taken out of equity beforehand, the hard limit is max_position_size.
 */
#include <jansson.h>

#include "core_fixture.h"
#include "core_vectors.h"

static Fixture f;

static double number(json_t *row, const char *key, double otherwise)
{
	json_t *value = json_object_get(row, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* An order that is bought at "entry" with that stop, sized by RISK_PERCENT. */
static void order(double tick, double entry, double stop)
{
	fixture(&f);
	f.s.prefer_market_orders = true;
	f.p.current_price = entry;
	f.i.tick_size = tick;
	f.i.pip_size = 10 * tick;
	f.i.contract_size = 1;
	f.s.stop_loss_pips = (entry - stop) / f.i.pip_size;
	f.s.max_position_size = 1e15;
}

/* The size, or NAN where the input isn't one that is decided. */
static double size_of(json_t *row)
{
	double commission = number(row, "commission_rate", 0), orders = number(row, "units", 1);
	const char *reason;

	order(number(row, "tick", NAN), number(row, "entry", NAN), number(row, "stop_loss", NAN));
	f.i.lot_step = f.i.lot_min = number(row, "unit_batch_size", NAN);
	f.i.lot_max = number(row, "max_quantity", 1e12);
	f.s.max_position_size = number(row, "hard_limit", 1e15);
	f.s.risk_percent = number(row, "risk", NAN) * 100;
	f.a.equity = number(row, "equity", NAN) * (1 - 2 * commission) / orders;
	f.a.conversion_rate = number(row, "exchange_rate", NAN);
	if (te_input_check(&f.in, &reason) != NULL || !(f.s.stop_loss_pips > 0))
		return NAN;
	return decide(&f)->position_size;
}

int main(void)
{
	FILE *file = open_vectors("nautilus_fixed_risk_sizer.json");
	json_t *root, *row;
	int refused = 0;
	size_t i;

	if (file == NULL) {
		skip("no nautilus_fixed_risk_sizer.json");
		return done_testing();
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));
		double want = number(row, "expected_quantity", NAN), got = size_of(row);

		/* A rate of 0 and a stop at entry are no inputs here; there they size to 0. */
		if (isnan(got)) {
			refused++;
			ok(want == 0, name);
			continue;
		}
		is_exactly(got, want, name);
		if (want == 0)
			is_outcome(&f, "POSITION_TOO_SMALL", "and nothing is ordered");
	}
	ok(i == 21 && refused == 4, "all 21, of which 4 aren't inputs");

	row = json_array_get(json_object_get(root, "added_after_snapshot"), 0);
	order(0.01, 100, 100 - number(row, "stop_distance", NAN));
	f.i.contract_size = number(row, "multiplier", NAN);
	f.i.lot_step = f.i.lot_min = 1;
	f.s.risk_percent = number(row, "risk", NAN) * 100;
	f.a.equity = number(row, "equity", NAN);
	f.i.lot_max = 1e9;
	is_exactly(decide(&f)->position_size, number(row, "expected_contracts", NAN),
	           "a contract of 1,000 units loses 1,000 times as much");
	json_decref(root);
	return done_testing();
}
