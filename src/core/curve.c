/*
 * curve.c - pieces of equity curves, and how they are joined.
 */
#include "curve.h"

#include <math.h>

#define GROW(c, list)                                                                              \
	do {                                                                                           \
		if ((c)->list.items == NULL || (c)->list.count == (c)->list.capacity) {                    \
			(c)->list.capacity = (c)->list.capacity ? 2 * (c)->list.capacity : 8;                  \
			(c)->list.items =                                                                      \
				(c)->resize((c)->list.items, (c)->list.capacity * sizeof(*(c)->list.items));       \
		}                                                                                          \
	} while (0)

static int64_t held(int64_t amount)
{
	if (amount > TE_CURVE_MOST)
		return TE_CURVE_MOST;
	return amount < -TE_CURVE_MOST ? -TE_CURVE_MOST : amount;
}

int64_t te_curve_units(double money)
{
	double units = money * TE_CURVE_UNITS;

	if (!(fabs(units) < (double)TE_CURVE_MOST))
		return units > 0 ? TE_CURVE_MOST : -TE_CURVE_MOST;
	return llround(units);
}

TeMinute te_curve_minute(TeTime at)
{
	TeTime minute = at / TE_CURVE_MINUTE;

	if (minute * TE_CURVE_MINUTE > at)
		minute--; /* division rounds towards 1970 */
	if (minute > INT32_MAX)
		return INT32_MAX;
	return minute <= TE_CURVE_NEVER ? TE_CURVE_NEVER + 1 : (TeMinute)minute;
}

static void add_reach(TeCurve *c, int64_t height, TeMinute at)
{
	TeReach *last = c->reach.count > 0 ? &c->reach.items[c->reach.count - 1] : NULL;

	if (last != NULL && height <= last->height)
		return;
	if (last != NULL && last->at == at) {
		last->height = height;
		return;
	}
	GROW(c, reach);
	c->reach.items[c->reach.count++] = (TeReach){height, at};
}

/* Levels come in ascending order. */
static void add_fall(TeCurve *c, int64_t from, int64_t depth)
{
	TeFall *last = c->falls.count > 0 ? &c->falls.items[c->falls.count - 1] : NULL;

	if (last != NULL && depth <= last->depth)
		return;
	if (last != NULL && last->from == from) {
		last->depth = depth;
		return;
	}
	GROW(c, falls);
	c->falls.items[c->falls.count++] = (TeFall){from, depth};
}

static void add_return(TeCurve *c, int64_t level, TeMinute took)
{
	while (c->returns.count > 0 && c->returns.items[c->returns.count - 1].took <= took)
		c->returns.count--;
	GROW(c, returns);
	c->returns.items[c->returns.count++] = (TeReturn){level, took};
}

void te_curve_step(TeCurve *c, TeMinute at, int64_t amount)
{
	bool below = c->net < c->high;

	if (!c->moved) {
		c->moved = true;
		c->sank = amount < 0;
		c->first_at = at;
		c->peak_at = TE_CURVE_NEVER;
	}
	c->net = held(c->net + amount);
	if (c->net < c->high) {
		add_fall(c, c->high, c->high - c->net);
		return;
	}
	/* A return to the start, of which nobody here knows when it was left, is in "reach". */
	if (below && c->peak_at != TE_CURVE_NEVER)
		add_return(c, c->high, at - c->peak_at);
	add_reach(c, c->net, at);
	c->high = c->net;
	c->peak_at = at;
}

void te_curve_go_on(TeCurve *c, const TeCurve *before)
{
	if (!before->moved)
		return;
	c->moved = true;
	c->sank = before->sank && before->reach.count == 0; /* and hasn't been back at the start */
	c->first_at = before->first_at;
	c->peak_at = before->peak_at;
	c->net = before->net;
	c->high = before->high;
	if (c->net < c->high)
		add_fall(c, c->high, c->high - c->net);
}

/* The first time that a curve stands at least so high; NULL: it never does. */
static const TeReach *first_reach(const TeCurve *c, int64_t height)
{
	uint32_t low = 0, high = c->reach.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (c->reach.items[middle].height >= height)
			high = middle;
		else
			low = middle + 1;
	}
	return low < c->reach.count ? &c->reach.items[low] : NULL;
}

/*
 * What fell from below the peak of the earlier piece fell from that peak in truth; of those
 * only the lowest point counts.
 */
static void join_falls(TeCurve *c, const TeCurve *later, int64_t gap)
{
	int64_t lowest = 0;

	for (uint32_t i = 0; i < later->falls.count; i++) {
		TeFall fall = later->falls.items[i];

		if (fall.from >= gap)
			break;
		if (fall.from - fall.depth < lowest)
			lowest = fall.from - fall.depth;
	}
	if (gap > lowest && gap > 0)
		add_fall(c, c->high, gap - lowest);
	for (uint32_t i = 0; i < later->falls.count; i++) {
		TeFall fall = later->falls.items[i];

		if (fall.from >= gap)
			add_fall(c, held(c->net + fall.from), fall.depth);
	}
}

void te_curve_join(TeCurve *c, const TeCurve *later)
{
	int64_t gap = c->high - c->net;
	const TeReach *back = first_reach(later, gap);

	if (!later->moved)
		return;
	if (!c->moved) {
		c->sank = later->sank;
		c->first_at = later->first_at;
		c->peak_at = TE_CURVE_NEVER;
	}
	join_falls(c, later, gap);

	/* Below the peak when the later piece begins, or from its first step on. */
	if (back != NULL && c->peak_at != TE_CURVE_NEVER && (gap > 0 || later->sank))
		add_return(c, c->high, back->at - c->peak_at);
	for (uint32_t i = 0; i < later->returns.count; i++) {
		TeReturn again = later->returns.items[i];

		if (again.level >= gap)
			add_return(c, held(c->net + again.level), again.took);
	}
	for (const TeReach *r = back; r != NULL && r < later->reach.items + later->reach.count; r++)
		add_reach(c, held(c->net + r->height), r->at);
	if (back != NULL) {
		c->high = held(c->net + later->high);
		c->peak_at = later->peak_at;
	}
	c->net = held(c->net + later->net);
	c->moved = true;
}

double te_curve_max_drawdown(const TeCurve *c, double equity)
{
	double most = 0;

	for (uint32_t i = 0; i < c->falls.count; i++) {
		TeFall fall = c->falls.items[i];

		most = fmax(most, (double)fall.depth / (equity * TE_CURVE_UNITS + (double)fall.from));
	}
	return most;
}

double te_curve_drawdown(const TeCurve *c, double equity)
{
	return (double)(c->high - c->net) / (equity * TE_CURVE_UNITS + (double)c->high);
}

double te_curve_max_drawdown_amount(const TeCurve *c)
{
	return c->falls.count > 0 ? (double)c->falls.items[c->falls.count - 1].depth / TE_CURVE_UNITS
	                          : 0;
}

TeMinute te_curve_recovery(const TeCurve *c)
{
	TeMinute longest = c->returns.count > 0 ? c->returns.items[0].took : TE_CURVE_NEVER;

	/* Out of a drawdown from the start: the time since the first step. */
	if (c->sank && c->reach.count > 0 && c->reach.items[0].at - c->first_at > longest)
		longest = c->reach.items[0].at - c->first_at;
	return longest;
}
