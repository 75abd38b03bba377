/*
 * core_performance.c - pieces of performance: figures worked out by hand, and random trades
 * cut into random pieces, packed and joined, against one piece of them all and against the
 * plain figures of statistics.h.
 */
#include <stdlib.h>

#include "core/performance.h"
#include "core_random.h"
#include "tap.h"

#define EQUITY 10000.0
#define MOST_TRADES 400

static void *resize(void *old, size_t size)
{
	void *memory;

	if (size == 0) {
		free(old);
		return NULL;
	}
	memory = realloc(old, size);
	if (memory == NULL)
		abort();
	return memory;
}

static void start(TePerformance *p)
{
	memset(p, 0, sizeof(*p));
	p->curve.resize = resize;
}

static void finish(TePerformance *p)
{
	free(p->curve.reach.items);
	free(p->curve.falls.items);
	free(p->curve.returns.items);
}

static uint8_t *packed_piece(TePerformance *p, size_t *length)
{
	uint8_t *bytes = resize(NULL, te_performance_room(p));

	*length = te_performance_pack(p, bytes);
	return bytes;
}

/* Steps an hour apart, cut before step "cut". */
static void curve_of(TePerformance *p, int cut, int count, const double *profits)
{
	TePerformance part;
	uint8_t *bytes;
	size_t length;

	start(p);
	for (int i = 0; i < count;) {
		start(&part);
		do {
			te_performance_close(&part, i * 60 * TE_CURVE_MINUTE, profits[i], NAN, NAN);
			i++;
		} while (i < count && i != cut);
		bytes = packed_piece(&part, &length);
		ok(te_performance_join(p, bytes, length), "a packed piece is joined");
		free(bytes);
		finish(&part);
	}
}

#define CURVE(p, cut, ...)                                                                         \
	curve_of(p, cut, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),                      \
	         (double[]){__VA_ARGS__})

static void by_hand(void)
{
	TePerformance p;

	for (int cut = 0; cut < 7; cut++) {
		/* 10000 10200 9700 9600 10100 10200 9180 */
		CURVE(&p, cut, 200, -500, -100, 500, 100, -1020);
		is_near(te_curve_max_drawdown(&p.curve, EQUITY), 0.1, 1e-15, "10200 to 9180 is 10 %");
		is_near(te_curve_drawdown(&p.curve, EQUITY), 0.1, 1e-15, "and as deep at the end");
		is_exactly(te_curve_max_drawdown_amount(&p.curve), 1020, "in money");
		is_exactly(te_curve_recovery(&p.curve), 240, "back at the peak after four hours");
		is_exactly((double)p.run.longest, 2, "two losses in a row");
		finish(&p);

		/* From the start down, and back exactly to it. */
		CURVE(&p, cut, -300, -200, 100, 400, -50, 60);
		is_near(te_curve_max_drawdown(&p.curve, EQUITY), 0.05, 1e-15, "the start is a peak");
		is_exactly(te_curve_recovery(&p.curve), 180, "recovery from the start: since the first");
		finish(&p);

		/* Twice at the peak: the last time counts. */
		CURVE(&p, cut, 100, -10, 10, -10, 5, 5);
		is_exactly(te_curve_recovery(&p.curve), 180, "from the last time at the peak");
		finish(&p);

		/* More than everything is lost below a lower peak than the one before. */
		CURVE(&p, cut, 1000, -500, 100, -11000, 20, -1);
		is_near(te_curve_max_drawdown(&p.curve, EQUITY), 11400 / 11000.0, 1e-15,
		        "more than everything");
		is_exactly(te_curve_recovery(&p.curve), TE_CURVE_NEVER, "never recovered");
		finish(&p);
	}
}

typedef struct Trade
{
	TeTime at;
	double profit, multiple, confidence, slippage;
	int64_t latency;
	TeOrderFate fate;
} Trade;

static int make_trades(Trade *trades)
{
	int count = 1 + below(MOST_TRADES);
	TeTime at = (TeTime)below(1000000) * TE_USEC_PER_SEC - 500000 * TE_USEC_PER_SEC;
	int step = below(2) ? 200 : 20000; /* seconds between closes, at most */
	double drift = between(-3, 3);

	for (int i = 0; i < count; i++) {
		at += below(4) == 0 ? 0 : below(step) * TE_USEC_PER_SEC;
		trades[i] = (Trade){
			.at = at,
			.profit = below(8) == 0 ? 0 : round((between(-20, 20) + drift) * 100) / 100,
			.multiple = below(5) == 0 ? NAN : between(-1, 3),
			.confidence = between(0, 1),
			.slippage = below(6) == 0 ? NAN : (below(40) - 12) / 10.0,
			.latency = below(6) == 0 ? -1 : below(3000000),
			.fate = (TeOrderFate)below(3),
		};
	}
	return count;
}

static void add(TePerformance *p, const Trade *t)
{
	te_performance_close(p, t->at, t->profit, t->multiple, t->confidence);
	te_performance_order(p, t->fate, t->latency, t->slippage);
}

/* Pieces may be cut only between instants, and are joined left to right or by twos. */
static void joined(TePerformance *p, const Trade *trades, int count, int pieces)
{
	TePerformance part;
	uint8_t *bytes;
	size_t length;

	start(&part);
	for (int i = 0; i < count; i++) {
		if (i > 0 && trades[i].at > trades[i - 1].at && below(count) < pieces) {
			bytes = packed_piece(&part, &length);
			te_performance_join(p, bytes, length);
			free(bytes);
			finish(&part);
			start(&part);
		}
		add(&part, &trades[i]);
	}
	bytes = packed_piece(&part, &length);
	te_performance_join(p, bytes, length);
	free(bytes);
	finish(&part);
}

/* Longest recovery by its definition, in minutes, from amounts in whole units. */
static double plain_recovery(const Trade *trades, int count)
{
	int64_t equity = 0, peak = 0;
	TeMinute peak_at = te_curve_minute(trades[0].at);
	bool under = false;
	double longest = TE_CURVE_NEVER;

	for (int i = 0; i < count; i++) {
		TeMinute minute = te_curve_minute(trades[i].at);

		equity += te_curve_units(trades[i].profit);
		if (i + 1 < count && trades[i + 1].at == trades[i].at)
			continue;
		if (equity < peak) {
			under = true;
			continue;
		}
		if (under)
			longest = fmax(longest, minute - peak_at);
		under = false;
		peak = equity;
		peak_at = minute;
	}
	return longest;
}

static bool near(double a, double b)
{
	return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-12 * (1 + fabs(b));
}

/*
 * The curve that goes on where that of the first trades ended, against the whole one step by step.
 * Cut where time moves on, as an instant moves the curve once.
 */
static const char *goes_on(const Trade *trades, int count)
{
	TePerformance before, after;
	TeCurve curve = {.resize = resize};
	int cut = count > 0 ? below(count) : 0;
	double equity = EQUITY, peak = EQUITY, deepest = 0;
	const char *what = NULL;

	while (cut > 0 && cut < count && trades[cut].at == trades[cut - 1].at)
		cut++;
	start(&before);
	start(&after);
	for (int i = 0; i < count; i++)
		add(i < cut ? &before : &after, &trades[i]);
	te_performance_settle(&before);
	te_performance_settle(&after);
	te_curve_go_on(&curve, &before.curve);
	te_curve_join(&curve, &after.curve);
	for (int i = 0; i < count; i++) {
		equity += trades[i].profit;
		if (i + 1 < count && trades[i + 1].at == trades[i].at)
			continue;
		peak = fmax(peak, equity);
		if (i + 1 >= cut)
			deepest = fmax(deepest, (peak - equity) / peak);
	}
	if (fabs(te_curve_max_drawdown(&curve, EQUITY) - deepest) > 1e-9)
		what = "maximum drawdown of a curve that goes on";
	else if (fabs(te_curve_drawdown(&curve, EQUITY) - (peak - equity) / peak) > 1e-9)
		what = "drawdown of a curve that goes on";
	resize(curve.reach.items, 0);
	resize(curve.falls.items, 0);
	resize(curve.returns.items, 0);
	finish(&before);
	finish(&after);
	return what;
}

/* One set of random trades; says what differs, or NULL. */
static const char *differs(void)
{
	static Trade trades[MOST_TRADES];
	static TePerformance whole, pieces, twice;
	TeEquityCurve curve;
	TeStreak streak = {0};
	int count = make_trades(trades);
	uint8_t *a, *b;
	size_t a_length, b_length;
	const char *what = NULL;

	start(&whole);
	start(&pieces);
	start(&twice);
	te_equity_begin(&curve, EQUITY);
	for (int i = 0; i < count; i++) {
		add(&whole, &trades[i]);
		te_equity_add(&curve, trades[i].at, trades[i].profit);
		te_streak_add(&streak, trades[i].profit);
	}
	te_equity_end(&curve);
	joined(&pieces, trades, count, 1 + below(20));

	/* Pieces of pieces, as months are made of days. */
	a = packed_piece(&pieces, &a_length);
	te_performance_join(&twice, a, a_length);
	free(a);

	a = packed_piece(&whole, &a_length);
	b = packed_piece(&twice, &b_length);
	if (a_length != b_length || memcmp(a, b, a_length) != 0)
		what = "bytes of the whole and of its joined pieces";
	else if (!near(te_curve_max_drawdown(&twice.curve, EQUITY), curve.max_drawdown))
		what = "maximum drawdown";
	else if (!near(te_curve_max_drawdown_amount(&twice.curve), curve.max_drawdown_amount))
		what = "maximum drawdown in money";
	else if (te_curve_recovery(&twice.curve) != plain_recovery(trades, count))
		what = "recovery";
	else if (twice.run.longest != streak.longest)
		what = "losing streak";
	else
		what = goes_on(trades, count);
	free(a);
	free(b);
	finish(&whole);
	finish(&pieces);
	finish(&twice);
	return what;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void slippages(void)
{
	static const double shares[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1};
	TePerformance p;
	double x[1000];
	int wrong = 0;

	start(&p);
	for (int i = 0; i < 1000; i++) {
		x[i] = (below(200) - 60) / 10.0;
		te_performance_order(&p, TE_ORDER_FILLED, -1, x[i]);
	}
	qsort(x, 1000, sizeof(x[0]), by_number);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		double want = x[(int)ceil(shares[i] * 1000) - 1];

		wrong += fabs(te_performance_slippage(&p, shares[i]) - want) > 0.016 * fabs(want);
	}
	is_exactly(wrong, 0, "percentiles of slippage are within 1.6 % of the nearest rank");
	finish(&p);
}

/* Bytes that aren't a piece, or were one before something hit them. */
static void hostile(void)
{
	static Trade trades[MOST_TRADES];
	TePerformance p, into;
	uint8_t *bytes, *broken;
	size_t length;
	int accepted = 0;

	start(&p);
	for (int i = 0, count = make_trades(trades); i < count; i++)
		add(&p, &trades[i]);
	bytes = packed_piece(&p, &length);
	for (size_t cut = 0; cut < length; cut++) {
		start(&into);
		broken = resize(NULL, cut + 1); /* so that a sanitizer sees its end */
		memcpy(broken, bytes, cut);
		accepted += te_performance_join(&into, broken, cut);
		free(broken);
		finish(&into);
	}
	is_exactly(accepted, 0, "a piece that is cut short is refused");
	for (int n = 0; n < 20000; n++) {
		start(&into);
		broken = resize(NULL, length);
		memcpy(broken, bytes, length);
		for (int k = 1 + below(4); k > 0; k--)
			broken[below((int)length)] = (uint8_t)next_random();
		accepted += te_performance_join(&into, broken, length);
		free(broken);
		finish(&into);
	}
	ok(accepted < 20000, "random changes are survived");
	free(bytes);
	finish(&p);
}

/* What no writer writes: a bucket twice, or an empty one. */
static void unwritten(void)
{
	static const uint8_t sound[] = {1, 1, 1, 1, 1, 0, 0}; /* used, sum, max, step, count */
	static const uint8_t twice[] = {2, 1, 1, 1, 1, 0, 1, 0, 0};
	static const uint8_t empty[] = {1, 1, 1, 1, 0, 0, 0};
	static const struct
	{
		const uint8_t *tail;
		size_t length;
		const char *what;
	} cases[] = {{sound, sizeof(sound), "a histogram as it is written is taken"},
	             {twice, sizeof(twice), "one with a bucket twice is refused"},
	             {empty, sizeof(empty), "one with an empty bucket is refused"}};
	TePerformance p, into;
	uint8_t *bytes;
	size_t length;

	start(&p);
	te_performance_order(&p, TE_ORDER_FILLED, 1, NAN);
	bytes = packed_piece(&p, &length);
	ok(memcmp(bytes + length - sizeof(sound), sound, sizeof(sound)) == 0, "histograms come last");
	bytes = resize(bytes, length + sizeof(twice));
	for (int i = 0; i < 3; i++) {
		memcpy(bytes + length - sizeof(sound), cases[i].tail, cases[i].length);
		start(&into);
		ok(te_performance_join(&into, bytes, length - sizeof(sound) + cases[i].length) == (i == 0),
		   cases[i].what);
		finish(&into);
	}
	free(bytes);
	finish(&p);
}

int main(void)
{
	const char *what = NULL;
	TePerformance p;
	int n;

	by_hand();
	for (n = 0; n < 3000 && what == NULL; n++)
		what = differs();
	if (what != NULL)
		printf("# set %d: %s\n", n, what);
	ok(what == NULL, "3000 sets of random trades: joined pieces are the whole, to the byte");
	slippages();
	hostile();
	unwritten();

	start(&p);
	ok(te_performance_close(&p, 10, 1, NAN, NAN) && !te_performance_close(&p, 9, 1, NAN, NAN),
	   "trades out of order are refused");
	finish(&p);
	return done_testing();
}
