/*
 * performance.c - figures of trades as pieces that are kept and joined.
 *
 * Packed: a version, then the fields in the order of write_piece(); whole numbers as
 * variable-length integers (signed ones in zigzag), lists as differences.
 */
#include "performance.h"

#include <math.h>
#include <string.h>

#define PACKED_VERSION 1
#define VARINT_MOST 10

/*----------------------------------------------------------------------
 * Adding
 *----------------------------------------------------------------------*/

static void run_add(TeRun *run, double x)
{
	if (x > 0) {
		run->won = true;
		run->now = 0;
	} else if (x < 0) {
		run->now++;
		run->before_win += !run->won;
	}
	if (run->now > run->longest)
		run->longest = run->now;
}

static void run_join(TeRun *run, const TeRun *later)
{
	int64_t across = run->now + later->before_win;

	if (later->longest > run->longest)
		run->longest = later->longest;
	if (across > run->longest)
		run->longest = across;
	if (!run->won)
		run->before_win += later->before_win;
	run->now = later->won ? later->now : across;
	run->won |= later->won;
}

static bool usable(double x)
{
	return fabs(x) <= TE_STATISTICS_MOST;
}

void te_performance_settle(TePerformance *p)
{
	if (p->pending)
		te_curve_step(&p->curve, te_curve_minute(p->at), p->together);
	p->pending = false;
	p->together = 0;
}

bool te_performance_close(TePerformance *p, TeTime at, double profit, double r_multiple,
                          double confidence)
{
	if (!usable(profit))
		return true;
	if (p->pending && at < p->at)
		return false;
	if (p->pending && at > p->at)
		te_performance_settle(p);
	p->pending = true;
	p->at = at;
	p->together += te_curve_units(profit);
	te_trade_sums_add(&p->profits, profit);
	if (usable(r_multiple))
		te_trade_sums_add(&p->multiples, r_multiple);
	run_add(&p->run, profit);
	if (confidence >= 0 && confidence <= 1 && profit != 0)
		te_brier_add(&p->brier, confidence, profit > 0);
	return true;
}

void te_performance_order(TePerformance *p, TeOrderFate fate, int64_t latency, double slippage_pips)
{
	int64_t units;

	if (fate == TE_ORDER_REJECTED)
		p->rejected++;
	if (fate == TE_ORDER_CANCELLED)
		p->cancelled++;
	if (fate != TE_ORDER_FILLED)
		return;
	p->filled++;
	if (latency >= 0)
		te_histogram_record(&p->latency, latency);
	if (!(fabs(slippage_pips) < 1e9))
		return;
	units = llround(slippage_pips * TE_SLIPPAGE_UNITS);
	if (units >= 0)
		te_histogram_record(&p->worse, units);
	else
		te_histogram_record(&p->better, -units);
}

double te_performance_slippage(const TePerformance *p, double q)
{
	double better = (double)p->better.count, all = better + (double)p->worse.count;
	double rank = fmax(1, ceil(q * all));

	if (all == 0)
		return NAN;
	if (rank > better)
		return te_histogram_percentile(&p->worse, (rank - better - 0.5) / (double)p->worse.count) /
		       TE_SLIPPAGE_UNITS;
	/* The k-th from below is the k-th greatest improvement. */
	return -te_histogram_percentile(&p->better, (better - rank + 0.5) / better) / TE_SLIPPAGE_UNITS;
}

/*----------------------------------------------------------------------
 * Packing
 *----------------------------------------------------------------------*/

static uint8_t *put(uint8_t *out, uint64_t x)
{
	for (; x > 0x7f; x >>= 7)
		*out++ = (uint8_t)(x | 0x80);
	*out++ = (uint8_t)x;
	return out;
}

static uint8_t *put_signed(uint8_t *out, int64_t x)
{
	return put(out, (uint64_t)x << 1 ^ -(uint64_t)(x < 0));
}

static uint8_t *put_double(uint8_t *out, double x)
{
	memcpy(out, &x, sizeof(x));
	return out + sizeof(x);
}

static uint8_t *put_sums(uint8_t *out, const TeTradeSums *s)
{
	out = put(out, (uint64_t)s->trades);
	if (s->trades == 0)
		return out;
	out = put(out, (uint64_t)s->wins);
	out = put(out, (uint64_t)s->losses);
	out = put_double(out, s->least);
	out = put_double(out, s->greatest);
	out += te_exact_pack(&s->gain, out);
	out += te_exact_pack(&s->loss, out);
	out += te_exact_pack(&s->gain_squares, out);
	return out + te_exact_pack(&s->loss_squares, out);
}

static uint8_t *put_curve(uint8_t *out, const TeCurve *c)
{
	int64_t before = 0;
	TeMinute minute = c->first_at;

	out = put(out, c->moved ? (c->sank ? 2 : 1) : 0);
	if (!c->moved)
		return out;
	out = put_signed(out, c->net);
	out = put(out, (uint64_t)c->high);
	out = put_signed(out, c->first_at);
	out = put(out, c->peak_at == TE_CURVE_NEVER ? 0 : (uint64_t)c->peak_at - (uint64_t)minute + 1);
	out = put(out, c->reach.count);
	for (uint32_t i = 0; i < c->reach.count; i++) {
		out = put(out, (uint64_t)(c->reach.items[i].height - before));
		out = put(out, (uint64_t)((int64_t)c->reach.items[i].at - minute));
		before = c->reach.items[i].height;
		minute = c->reach.items[i].at;
	}
	out = put(out, c->falls.count);
	for (uint32_t i = 0; i < c->falls.count; i++) {
		out = put(out, (uint64_t)c->falls.items[i].from);
		out = put(out, (uint64_t)c->falls.items[i].depth);
	}
	out = put(out, c->returns.count);
	for (uint32_t i = 0; i < c->returns.count; i++) {
		out = put(out, (uint64_t)c->returns.items[i].level);
		out = put(out, (uint64_t)c->returns.items[i].took);
	}
	return out;
}

static int used_buckets(const TeHistogram *h)
{
	int used = 0;

	for (int i = 0; h->count > 0 && i < TE_HISTOGRAM_BUCKETS; i++)
		used += h->buckets[i] > 0;
	return used;
}

static uint8_t *put_histogram(uint8_t *out, const TeHistogram *h)
{
	int before = 0;

	out = put(out, (uint64_t)used_buckets(h));
	if (h->count == 0)
		return out;
	out = put(out, h->sum);
	out = put(out, h->max);
	for (int i = 0; i < TE_HISTOGRAM_BUCKETS; i++) {
		if (h->buckets[i] == 0)
			continue;
		out = put(out, (uint64_t)(i - before));
		out = put(out, h->buckets[i]);
		before = i;
	}
	return out;
}

/* More than write_piece() takes without lists and histograms. */
#define FIXED_ROOM (64 * VARINT_MOST + 9 * TE_EXACT_PACKED_MOST)

size_t te_performance_room(const TePerformance *p)
{
	size_t pairs = (size_t)p->curve.reach.count + p->curve.falls.count + p->curve.returns.count + 1;

	pairs += (size_t)used_buckets(&p->latency) + (size_t)used_buckets(&p->worse) +
	         (size_t)used_buckets(&p->better);
	return FIXED_ROOM + 2 * VARINT_MOST * pairs;
}

static uint8_t *write_piece(uint8_t *out, const TePerformance *p)
{
	out = put(out, PACKED_VERSION);
	out = put_sums(out, &p->profits);
	out = put_sums(out, &p->multiples);
	out = put_curve(out, &p->curve);
	out = put(out, (uint64_t)p->run.before_win);
	out = put(out, (uint64_t)p->run.now);
	out = put(out, (uint64_t)p->run.longest);
	out = put(out, p->run.won);
	out = put(out, (uint64_t)p->brier.count);
	out += te_exact_pack(&p->brier.squares, out);
	out = put(out, (uint64_t)p->filled);
	out = put(out, (uint64_t)p->rejected);
	out = put(out, (uint64_t)p->cancelled);
	out = put_histogram(out, &p->latency);
	out = put_histogram(out, &p->worse);
	return put_histogram(out, &p->better);
}

size_t te_performance_pack(TePerformance *p, uint8_t *out)
{
	te_performance_settle(p);
	return (size_t)(write_piece(out, p) - out);
}

/*----------------------------------------------------------------------
 * Joining packed pieces; nothing in the bytes is trusted
 *----------------------------------------------------------------------*/

typedef struct Reader
{
	const uint8_t *at, *end;
	bool bad;
} Reader;

static uint64_t get(Reader *r)
{
	uint64_t x = 0;

	for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;

		x |= (uint64_t)(byte & 0x7f) << shift;
		if (byte <= 0x7f)
			return x;
	}
	r->bad = true;
	return 0;
}

/* A whole number from 0 to "most". */
static int64_t get_count(Reader *r, int64_t most)
{
	uint64_t x = get(r);

	if (x > (uint64_t)most) {
		r->bad = true;
		return 0;
	}
	return (int64_t)x;
}

static int64_t get_signed(Reader *r, int64_t most)
{
	uint64_t x = get(r);
	int64_t value = (int64_t)(x >> 1) ^ -(int64_t)(x & 1);

	if (value > most || value < -most) {
		r->bad = true;
		return 0;
	}
	return value;
}

static double get_double(Reader *r)
{
	double x = 0;

	if (r->end - r->at < (ptrdiff_t)sizeof(x)) {
		r->bad = true;
		return 0;
	}
	memcpy(&x, r->at, sizeof(x));
	r->at += sizeof(x);
	if (!usable(x))
		r->bad = true;
	return x;
}

static void get_sum(Reader *r, TeExactSum *sum)
{
	size_t took = r->bad ? 0 : te_exact_add_packed(sum, r->at, (size_t)(r->end - r->at));

	r->at += took;
	r->bad |= took == 0;
}

/* More trades, or anything else that is counted, than there can be. */
#define COUNT_MOST (INT64_C(1) << 48)

static void join_sums(Reader *r, TeTradeSums *s)
{
	int64_t trades = get_count(r, COUNT_MOST);
	double least, greatest;

	if (trades == 0)
		return;
	s->wins += get_count(r, trades);
	s->losses += get_count(r, trades);
	least = get_double(r);
	greatest = get_double(r);
	s->least = s->trades == 0 ? least : fmin(s->least, least);
	s->greatest = s->trades == 0 ? greatest : fmax(s->greatest, greatest);
	s->trades += trades;
	get_sum(r, &s->gain);
	get_sum(r, &s->loss);
	get_sum(r, &s->gain_squares);
	get_sum(r, &s->loss_squares);
}

/* How many pairs follow; each takes two bytes at least. */
static uint32_t get_pairs(Reader *r)
{
	return (uint32_t)get_count(r, (r->end - r->at) / 2);
}

#define MAKE_LIST(c, list, size)                                                                   \
	do {                                                                                           \
		(c)->list.capacity = (size);                                                               \
		if ((size) > 0)                                                                            \
			(c)->list.items = (c)->resize(NULL, (size) * sizeof(*(c)->list.items));                \
	} while (0)

static void read_curve(Reader *r, TeCurve *c)
{
	int64_t flags = get_count(r, 2), height = 0, minute, peak;
	uint32_t count;

	if (flags == 0)
		return;
	c->moved = true;
	c->sank = flags == 2;
	c->net = get_signed(r, TE_CURVE_MOST);
	c->high = get_count(r, TE_CURVE_MOST);
	minute = get_signed(r, INT32_MAX);
	c->first_at = (TeMinute)minute;
	peak = get_count(r, UINT32_MAX);
	c->peak_at =
		peak == 0 || minute + peak - 1 > INT32_MAX ? TE_CURVE_NEVER : (TeMinute)(minute + peak - 1);
	count = get_pairs(r);
	MAKE_LIST(c, reach, count);
	while (c->reach.count < count && !r->bad) {
		height += get_count(r, TE_CURVE_MOST - height);
		minute += get_count(r, INT32_MAX - minute);
		c->reach.items[c->reach.count++] = (TeReach){height, (TeMinute)minute};
	}
	count = get_pairs(r);
	MAKE_LIST(c, falls, count);
	while (c->falls.count < count && !r->bad) {
		TeFall fall = {.from = get_count(r, TE_CURVE_MOST)};

		fall.depth = get_count(r, 2 * TE_CURVE_MOST);
		c->falls.items[c->falls.count++] = fall;
	}
	count = get_pairs(r);
	MAKE_LIST(c, returns, count);
	while (c->returns.count < count && !r->bad) {
		TeReturn again = {.level = get_count(r, TE_CURVE_MOST)};

		again.took = (TeMinute)get_count(r, INT32_MAX);
		c->returns.items[c->returns.count++] = again;
	}
	/* The peak is the last height that was reached, or else the start. */
	r->bad |= c->net > c->high ||
	          c->high != (c->reach.count > 0 ? c->reach.items[c->reach.count - 1].height : 0);
}

static void join_curve(Reader *r, TeCurve *c)
{
	TeCurve later = {.resize = c->resize};

	read_curve(r, &later);
	if (!r->bad)
		te_curve_join(c, &later);
	/* Of no bytes: given back. */
	if (later.reach.items != NULL)
		(void)c->resize(later.reach.items, 0);
	if (later.falls.items != NULL)
		(void)c->resize(later.falls.items, 0);
	if (later.returns.items != NULL)
		(void)c->resize(later.returns.items, 0);
}

static void join_run(Reader *r, TeRun *run)
{
	TeRun later = {.before_win = get_count(r, COUNT_MOST)};

	later.now = get_count(r, COUNT_MOST);
	later.longest = get_count(r, COUNT_MOST);
	later.won = get_count(r, 1) == 1;
	run_join(run, &later);
}

static void join_histogram(Reader *r, TeHistogram *h)
{
	int64_t used = get_count(r, TE_HISTOGRAM_BUCKETS), bucket = 0;
	uint64_t max;

	if (used == 0)
		return;
	h->sum += get(r);
	max = get(r);
	if (max > h->max)
		h->max = max;
	for (int64_t i = 0; i < used && !r->bad; i++) {
		int64_t step = get_count(r, TE_HISTOGRAM_BUCKETS - 1 - bucket);
		int64_t count = get_count(r, COUNT_MOST);

		/* As it is written: each bucket once, and none that is empty. */
		r->bad |= count == 0 || (i > 0 && step == 0);
		bucket += step;
		h->buckets[bucket] += (uint64_t)count;
		h->count += (uint64_t)count;
	}
}

bool te_performance_join(TePerformance *p, const uint8_t *packed, size_t length)
{
	Reader r = {packed, packed + length, false};

	te_performance_settle(p);
	if (get_count(&r, PACKED_VERSION) != PACKED_VERSION)
		return false;
	join_sums(&r, &p->profits);
	join_sums(&r, &p->multiples);
	join_curve(&r, &p->curve);
	join_run(&r, &p->run);
	p->brier.count += get_count(&r, COUNT_MOST);
	get_sum(&r, &p->brier.squares);
	p->filled += get_count(&r, COUNT_MOST);
	p->rejected += get_count(&r, COUNT_MOST);
	p->cancelled += get_count(&r, COUNT_MOST);
	join_histogram(&r, &p->latency);
	join_histogram(&r, &p->worse);
	join_histogram(&r, &p->better);
	return !r.bad && r.at == r.end;
}
