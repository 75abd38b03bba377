/*
 * core_rates.c - conversion through a graph of rates.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/rates.h"
#include "core_fixture.h"
#include "core_vectors.h"

#include <jansson.h>

#define MAX 64

static TeRateNode nodes[MAX];
static TeRateEdge edges[MAX];
static TeRateGraph graph;
static TeRatePath path;

static void empty(void)
{
	graph = (TeRateGraph){nodes, 0, MAX, edges, 0, MAX};
}

static TeRateEdge *add(const char *base, const char *quote, double rate)
{
	TeRateEdge *e = te_rates_add(&graph, base, quote);

	if (e != NULL) {
		e->rate = rate;
		e->at = NOON;
	}
	return e;
}

static double convert(const char *from, const char *to)
{
	return te_rates_convert(&graph, from, to, NOON, &path);
}

static void ways(void)
{
	empty();
	is_exactly(convert("USD", "USD"), 1, "the same currency is 1, without any rate");
	is_exactly(convert("USD", "JPY"), NAN, "unknown currencies have no rate");
	add("EUR", "USD", 1.25);
	is_exactly(convert("EUR", "USD"), 1.25, "the pair itself");
	ok(path.steps == 1 && path.edges[0] == 0 && !path.inverse[0], "in one step");
	is_exactly(convert("USD", "EUR"), 0.8, "the other way round");
	ok(path.steps == 1 && path.edges[0] == 0 && path.inverse[0], "in one step, inverse");
	is_exactly(convert("EUR", "XXX"), NAN, "a currency without rates");
	add("USD", "JPY", 100);
	is_exactly(convert("EUR", "JPY"), 125, "through a third");
	ok(path.steps == 2 && path.edges[0] == 0 && path.edges[1] == 1, "in two steps");
	is_exactly(convert("JPY", "EUR"), 0.008, "and back");
	ok(path.steps == 2 && path.edges[0] == 1 && path.edges[1] == 0 && path.inverse[0],
	   "the same way");
	add("EUR", "CZK", 25);
	is_exactly(convert("CZK", "JPY"), 5, "through two: CZK, EUR, USD, JPY");
	ok(path.steps == 3, "in three steps");
	add("JPY", "KRW", 10);
	is_exactly(convert("CZK", "KRW"), NAN, "but not through three");
	is_exactly(convert("KRW", "CZK"), NAN, "in no direction");
	is_exactly(te_rates_convert(&graph, "EUR", "JPY", NOON, NULL), 125, "nobody has to ask how");
}

static void choice(void)
{
	empty();
	add("GBP", "AUD", 2.001);
	add("AUD", "JPY", 101);
	add("GBP", "EUR", 1.25);
	add("EUR", "JPY", 120);
	is_exactly(convert("GBP", "JPY"), 150, "through EUR before AUD");
	add("GBP", "USD", 1.5);
	add("USD", "JPY", 110);
	is_exactly(convert("GBP", "JPY"), 165, "through USD before EUR");
	is_near(convert("JPY", "GBP") * 165, 1, 1e-15, "and back");
	add("JPY", "GBP", 0.008);
	is_exactly(convert("GBP", "JPY"), 125, "one step before two");

	empty();
	add("GBP", "CHF", 1.25);
	add("CHF", "JPY", 100);
	add("GBP", "AUD", 2);
	add("AUD", "JPY", 100);
	is_exactly(convert("GBP", "JPY"), 200, "else by name: AUD before CHF");

	empty();
	add("PLN", "EUR", 0.25);
	add("PLN", "USD", 0.3);
	add("EUR", "USD", 1.25);
	add("USD", "ZAR", 16);
	add("EUR", "ZAR", 20)->at -= 1;
	is_exactly(convert("PLN", "ZAR"), 0.3 * 16, "two steps through USD");
	add("ZAR", "BWP", 0.75);
	add("CHF", "PLN", 4);
	is_exactly(convert("BWP", "PLN"), 1 / 0.75 / 16 / 0.3,
	           "of three steps those through USD and the newest rates");
}

static void of_one_pair(void)
{
	TeRateEdge *newer;

	empty();
	add("EUR", "USD", 1.1);
	newer = add("EUR", "USD", 1.2);
	newer->at += 1;
	is_exactly(convert("EUR", "USD"), 1.2, "the newest rate of a pair");
	newer->at -= 2;
	is_exactly(convert("EUR", "USD"), 1.1, "not the last that was added");
	newer->at += 1;
	is_exactly(convert("EUR", "USD"), 1.2, "the greater of the same time");
	add("USD", "EUR", 0.5);
	is_exactly(convert("EUR", "USD"), 1.2, "that of the base which is first by name");
	is_exactly(convert("USD", "EUR"), 1 / 1.2, "in both directions");
	add("USD", "EUR", 0.5)->at += 1;
	is_exactly(convert("EUR", "USD"), 2, "a newer one wins, whichever way it is quoted");
}

static void age(void)
{
	TeRateEdge *e;

	empty();
	e = add("EUR", "USD", 1.25);
	e->max_age = 1000;
	is_exactly(te_rates_convert(&graph, "EUR", "USD", NOON + 1000, NULL), 1.25,
	           "as old as allowed");
	is_exactly(te_rates_convert(&graph, "EUR", "USD", NOON + 1001, NULL), NAN,
	           "a microsecond more");
	e->max_age = 0;
	is_exactly(te_rates_convert(&graph, "EUR", "USD", INT64_MAX, NULL), 1.25, "no limit");
	is_exactly(te_rates_convert(&graph, "EUR", "USD", NOON - TE_RATE_AHEAD, NULL), 1.25,
	           "a second ahead is a clock's error");
	is_exactly(te_rates_convert(&graph, "EUR", "USD", NOON - TE_RATE_AHEAD - 1, NULL), NAN,
	           "more is the future");
	is_exactly(te_rates_convert(&graph, "EUR", "USD", INT64_MIN + 1, NULL), NAN,
	           "at the beginning of time");
	e->max_age = INT64_MAX;
	e->at = INT64_MIN + 1;
	is_exactly(te_rates_convert(&graph, "EUR", "USD", INT64_MAX, NULL), NAN,
	           "an age that no difference of two times can hold");
	e->at = TE_NO_TIME;
	e->max_age = 0;
	is_exactly(convert("EUR", "USD"), NAN, "without a time it isn't a price");

	empty();
	add("EUR", "USD", 1.25)->max_age = 10;
	add("USD", "JPY", 100)->max_age = 5;
	is_exactly(te_rates_convert(&graph, "EUR", "JPY", NOON + 5, NULL), 125, "each step by its age");
	is_exactly(te_rates_convert(&graph, "EUR", "JPY", NOON + 6, NULL), NAN,
	           "one stale step is enough");
	add("EUR", "JPY", 120)->max_age = 1;
	add("EUR", "GBP", 0.8)->max_age = 10;
	add("GBP", "JPY", 150)->max_age = 10;
	is_exactly(te_rates_convert(&graph, "EUR", "JPY", NOON + 6, NULL), 120,
	           "a stale way gives way to a fresh one");
}

static void no_rates(void)
{
	static const double wrong[] = {NAN, 0, -1.1, INFINITY, -INFINITY};
	TeRateEdge *e;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		empty();
		add("EUR", "USD", wrong[i]);
		is_exactly(convert("EUR", "USD"), NAN, "what isn't a price is no rate");
		is_exactly(convert("USD", "EUR"), NAN, "nor its inverse");
	}
	empty();
	add("EUR", "EUR", 2);
	is_exactly(convert("EUR", "EUR"), 1, "a currency in itself is 1, whatever is said");
	add("AAA", "BBB", 1e300);
	add("BBB", "CCC", 1e300);
	is_exactly(convert("AAA", "CCC"), NAN, "a product that overflows is no rate");
	is_exactly(convert("CCC", "AAA"), NAN, "nor one that vanishes");

	graph = (TeRateGraph){nodes, 0, 2, edges, 0, 2};
	ok(add("EUR", "USD", 1.25) != NULL && add("USD", "EUR", 0.5) != NULL, "it fits");
	ok(add("EUR", "USD", 1) == NULL, "an edge too many");
	graph.edge_capacity = MAX;
	ok((e = add("EUR", "JPY", 1)) == NULL && graph.edge_count == 2, "a currency too many");
	is_exactly(convert("EUR", "JPY"), NAN, "isn't known");
}

/*----------------------------------------------------------------------
 * Properties, over random graphs
 *----------------------------------------------------------------------*/

#define ROUNDS 3000
#define CURRENCIES 9

static const char *const names[CURRENCIES] = {"USD", "EUR", "GBP", "JPY", "CHF",
                                              "AUD", "CZK", "PLN", "XAU"};
static uint64_t random_state = 88172645463325252;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 16) % n);
}

typedef struct RandomRate
{
	const char *base, *quote;
	double rate;
	TeTime at, max_age;
} RandomRate;

static int random_rates(RandomRate *out)
{
	int count = 1 + (int)random_below(20);

	for (int i = 0; i < count; i++)
		out[i] = (RandomRate){names[random_below(CURRENCIES)], names[random_below(CURRENCIES)],
		                      0.01 + random_below(100000) * 1e-3, NOON - random_below(4),
		                      (TeTime)random_below(4)};
	return count;
}

static void load(const RandomRate *rates, int count)
{
	empty();
	for (int i = 0; i < count; i++) {
		TeRateEdge *e = te_rates_add(&graph, rates[i].base, rates[i].quote);

		e->rate = rates[i].rate;
		e->at = rates[i].at;
		e->max_age = rates[i].max_age;
	}
}

static void shuffle(RandomRate *rates, int count)
{
	for (int i = count - 1; i > 0; i--) {
		int k = (int)random_below((unsigned)i + 1);
		RandomRate r = rates[i];

		rates[i] = rates[k];
		rates[k] = r;
	}
}

static bool fresh(const RandomRate *r)
{
	return r->max_age == 0 || NOON - r->at <= r->max_age;
}

/* The least number of conversions, found another way: by matrices of what is reachable. */
static int distance(const RandomRate *rates, int count, int from, int to)
{
	bool reach[CURRENCIES] = {false}, next[CURRENCIES];

	reach[from] = true;
	for (int steps = 0; steps <= TE_RATE_STEPS_MAX; steps++) {
		if (reach[to])
			return steps;
		memcpy(next, reach, sizeof(next));
		for (int i = 0; i < count; i++)
			for (int a = 0; fresh(&rates[i]) && a < CURRENCIES; a++)
				for (int b = 0; b < CURRENCIES; b++)
					if (reach[a] && ((rates[i].base == names[a] && rates[i].quote == names[b]) ||
					                 (rates[i].base == names[b] && rates[i].quote == names[a])))
						next[b] = true;
		memcpy(reach, next, sizeof(reach));
	}
	return -1;
}

/* Does the path lead from one to the other over fresh rates, and is the result its product? */
static bool path_holds(const char *from, const char *to, double rate)
{
	double product = 1;

	for (int i = 0; i < path.steps; i++) {
		const TeRateEdge *e = &graph.edges[path.edges[i]];
		const char *begins = graph.nodes[path.inverse[i] ? e->quote : e->base].name;

		if (strcmp(begins, from) != 0 || (e->max_age > 0 && NOON - e->at > e->max_age))
			return false;
		from = graph.nodes[path.inverse[i] ? e->base : e->quote].name;
		product = path.inverse[i] ? product / e->rate : product * e->rate;
	}
	return strcmp(from, to) == 0 && product == rate;
}

static void properties(void)
{
	int long_ways = 0, none = 0;
	bool inverse = true, ordered = true, shortest = true, sound = true;

	for (int round = 0; round < ROUNDS; round++) {
		RandomRate rates[20];
		int count = random_rates(rates);

		for (int i = 0; i < 5; i++) {
			int a = (int)random_below(CURRENCIES), b = (int)random_below(CURRENCIES), d;
			double there, back, again;

			load(rates, count);
			back = convert(names[b], names[a]);
			there = convert(names[a], names[b]);
			d = distance(rates, count, a, b);
			shortest &= d < 0 ? isnan(there) : !isnan(there) && path.steps == d;
			sound &= isnan(there) || path_holds(names[a], names[b], there);
			inverse &= isnan(there) ? isnan(back) : fabs(there * back - 1) < 1e-14;
			long_ways += d == 3;
			none += d < 0;

			shuffle(rates, count);
			load(rates, count);
			again = convert(names[a], names[b]);
			ordered &= memcmp(&there, &again, sizeof(double)) == 0;
		}
	}
	ok(inverse, "there and back again is 1");
	ok(ordered, "the order of the rates changes no bit");
	ok(shortest, "the way is as short as any, and is found if there is one");
	ok(sound, "the rate is the product along its way, over fresh rates");
	ok(long_ways > 100 && none > 1000, "long ways and none at all were among them");
}

/*----------------------------------------------------------------------
 * Other projects' numbers
 *----------------------------------------------------------------------*/

static json_t *load_vectors(const char *name)
{
	FILE *file = open_vectors(name);
	json_t *root;

	if (file == NULL) {
		skip("no external vectors here");
		return NULL;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	ok(root != NULL, name);
	return root;
}

static double mid(const json_t *quote)
{
	return (json_number_value(json_array_get(quote, 0)) +
	        json_number_value(json_array_get(quote, 1))) /
	       2;
}

/* Quotes of pairs "EUR/USD"; the names are cut in place, they live as long as the JSON. */
static void load_quotes(json_t *quotes, const char *side, char (*pairs)[2][4])
{
	const char *pair;
	json_t *quote;
	int i = 0;

	empty();
	json_object_foreach(quotes, pair, quote)
	{
		memcpy(pairs[i][0], pair, 3);
		memcpy(pairs[i][1], pair + 4, 3);
		pairs[i][0][3] = pairs[i][1][3] = '\0';
		add(pairs[i][0], pairs[i][1],
		    strcmp(side, "mid") == 0
		        ? mid(quote)
		        : json_number_value(json_array_get(quote, strcmp(side, "ask") == 0)));
		i++;
	}
}

static void nautilus_case(json_t *quotes, const json_t *c)
{
	char pairs[16][2][4], name[64];
	json_t *side = json_object_get(c, "side");
	const char *from = json_string_value(json_object_get(c, "frm"));
	const char *to = json_string_value(json_object_get(c, "to"));
	json_t *expected = json_object_get(c, "expected");

	load_quotes(quotes, side != NULL ? json_string_value(side) : "mid", pairs);
	snprintf(name, sizeof(name), "nautilus: %s to %s", from, to);
	is_near(convert(from, to), json_is_null(expected) ? NAN : json_number_value(expected),
	        1e-15 * fabs(json_number_value(expected)), name);
}

static void nautilus(void)
{
	json_t *root = load_vectors("nautilus_xrate.json"), *c;
	size_t i;

	if (root == NULL)
		return;
	json_array_foreach(json_object_get(root, "cases"), i, c)
		nautilus_case(json_object_get(root, "quotes"), c);
	json_array_foreach(json_object_get(root, "extra"), i, c)
		nautilus_case(json_object_get(c, "quotes"), c);
	json_decref(root);
}

static void lean(void)
{
	json_t *root = load_vectors("lean_currency_conversion.json"), *c, *rate;
	const char *currency;
	size_t i;

	if (root == NULL)
		return;
	json_array_foreach(json_object_get(root, "cases"), i, c)
	{
		const char *from = json_string_value(json_object_get(c, "frm"));
		const char *to = json_string_value(json_object_get(c, "to"));
		double amount = atof(json_string_value(json_object_get(c, "amount")));
		double expected = atof(json_string_value(json_object_get(c, "expected")));
		char name[64];

		empty();
		json_object_foreach(json_object_get(c, "rates_to_usd"), currency, rate)
			add(currency, "USD", atof(json_string_value(rate)));
		snprintf(name, sizeof(name), "Lean: %s to %s", from, to);
		is_near(amount * convert(from, to), expected, 1e-14 * expected, name);
	}
	json_decref(root);
}

/* Value of a pip of some units: units * pip * rate from quote currency to the account's. */
static void pip_values(void)
{
	json_t *root = load_vectors("pip_value_examples.json"), *c;
	size_t i;

	if (root == NULL)
		return;
	json_array_foreach(json_object_get(root, "cases"), i, c)
	{
		const char *pair = json_string_value(json_object_get(c, "pair"));
		json_t *pip = json_object_get(c, "pip") != NULL ? json_object_get(c, "pip")
		                                                : json_object_get(c, "point");
		json_t *expected = json_object_get(c, "expected");
		json_t *given = json_object_get(c, "quote_to_account");

		if (expected == NULL || pip == NULL)
			continue; /* profits, which aren't about rates */
		empty();
		if (given != NULL)
			add("JPY", "USD", json_number_value(given));
		else
			add("USD", "JPY", json_number_value(json_object_get(c, "price")));
		is_near(json_number_value(json_object_get(c, "units")) * json_number_value(pip) *
		            convert("JPY", "USD"),
		        json_number_value(expected), json_number_value(json_object_get(c, "tol")), pair);
	}
	json_decref(root);
}

int main(void)
{
	ways();
	choice();
	of_one_pair();
	age();
	no_rates();
	properties();
	nautilus();
	lean();
	pip_values();
	return done_testing();
}
