/*
 * core_ticks.c - rounding to ticks and lot steps.
 */
#include <jansson.h>

#include "core/ticks.h"
#include "core_vectors.h"
#include "tap.h"

static double down(double value, double step)
{
	TeGrid g = te_grid(step);

	return te_grid_value(&g, te_steps_down(te_grid_steps(&g, value)));
}

static double up(double value, double step)
{
	TeGrid g = te_grid(step);

	return te_grid_value(&g, te_steps_up(te_grid_steps(&g, value)));
}

static double to_zero(double value, double step)
{
	TeGrid g = te_grid(step);

	return te_grid_value(&g, te_steps_to_zero(te_grid_steps(&g, value)));
}

static void rounding_table(void)
{
	static const struct
	{
		double value, step, down, up;
	} rows[] = {
		{1.123456, 0.00001, 1.12345, 1.12346},
		{1.1, 0.00001, 1.1, 1.1},
		{1.100000000005, 0.00001, 1.1, 1.1},    /* half a millionth of a tick above */
		{1.099999999995, 0.00001, 1.1, 1.1},    /* and below */
		{1.10000000002, 0.00001, 1.1, 1.10001}, /* two millionths aren't noise */
		{1.09999999998, 0.00001, 1.09999, 1.1},
		{0.1 + 0.2, 0.1, 0.3, 0.3},
		{150.1239, 0.001, 150.123, 150.124},
		{4500.3, 0.25, 4500.25, 4500.5},
		{1234.5, 5, 1230, 1235},
		{64968.891, 0.01, 64968.89, 64968.9},
		{0.00000013, 0.00000005, 0.0000001, 0.00000015},
		{9.99999999, 0.00000001, 9.99999999, 9.99999999}, /* nearly 1e9 ticks */
		{-1.5, 1, -2, -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[100];

		snprintf(name, sizeof(name), "%.12g down to a multiple of %g", rows[i].value, rows[i].step);
		is_exactly(down(rows[i].value, rows[i].step), rows[i].down, name);
		snprintf(name, sizeof(name), "%.12g up to a multiple of %g", rows[i].value, rows[i].step);
		is_exactly(up(rows[i].value, rows[i].step), rows[i].up, name);
	}
	is_exactly(to_zero(1.9, 1), 1, "towards zero from above");
	is_exactly(to_zero(-1.9, 1), -1, "and from below");
	ok(!signbit(to_zero(-0.3, 1)), "without a negative zero");
}

/* Every tick of a range is the double that its decimal is. */
static void every_tick_is_its_decimal(void)
{
	static const int decimals[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

	for (size_t d = 0; d < sizeof(decimals) / sizeof(decimals[0]); d++) {
		char text[40];
		TeGrid g;
		int wrong = 0;

		snprintf(text, sizeof(text), "1e-%d", decimals[d]);
		g = te_grid(strtod(text, NULL));
		for (long n = 1; n < 200000; n += 7) {
			double value;

			snprintf(text, sizeof(text), "%lde-%d", n, decimals[d]);
			value = strtod(text, NULL);
			wrong += te_grid_value(&g, (double)n) != value ||
			         te_steps_down(te_grid_steps(&g, value)) != (double)n ||
			         te_steps_up(te_grid_steps(&g, value)) != (double)n;
		}
		snprintf(text, sizeof(text), "ticks of %d decimals", decimals[d]);
		is_exactly(wrong, 0, text);
	}
}

/* freqtrade's table has rows for decimal places, ticks and significant digits, and for rounding to
 * nearest. */
static void freqtrade_vectors(void)
{
	FILE *file = open_vectors("freqtrade_price_rounding.csv");
	char line[512];
	int tried = 0, wrong = 0;

	if (file == NULL) {
		skip("no freqtrade_price_rounding.csv");
		return;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		double price, precision, expected, got;
		char mode[32], rounding[32];

		if (sscanf(line, "%lf,%31[^,],%lf,%lf,%31s", &price, mode, &precision, &expected,
		           rounding) != 5 ||
		    strcmp(mode, "SIGNIFICANT_DIGITS") == 0 || strcmp(rounding, "ROUND") == 0)
			continue;
		if (strcmp(mode, "DECIMAL_PLACES") == 0) {
			char step[32];

			snprintf(step, sizeof(step), "1e-%d", (int)precision);
			precision = strtod(step, NULL);
		}
		got = strcmp(rounding, "ROUND_UP") == 0 ? up(price, precision) : down(price, precision);
		tried++;
		if (got != expected) {
			wrong++;
			printf("# %s# got %.17g\n", line, got);
		}
	}
	fclose(file);
	ok(tried >= 30 && wrong == 0, "freqtrade's rounding up and down");
}

/* Lean truncates sizes towards zero, and forgives float noise. */
static void lean_vectors(void)
{
	FILE *file = open_vectors("lean_order_rounding.json");
	json_t *root, *cases, *row;
	size_t i;
	int wrong = 0;

	if (file == NULL) {
		skip("no lean_order_rounding.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	cases = json_object_get(root, "size_cases");
	json_array_foreach(cases, i, row)
	{
		double step = strtod(json_string_value(json_object_get(row, "lot_step")), NULL);
		double quantity = strtod(json_string_value(json_object_get(row, "quantity")), NULL);
		double expected = strtod(json_string_value(json_object_get(row, "expected")), NULL);

		wrong += to_zero(quantity, step) != expected;
	}
	ok(json_array_size(cases) == 10 && wrong == 0, "Lean's truncation of sizes");
	json_decref(root);
}

int main(void)
{
	rounding_table();
	every_tick_is_its_decimal();
	freqtrade_vectors();
	lean_vectors();
	return done_testing();
}
