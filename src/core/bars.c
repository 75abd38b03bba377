/*
 * bars.c - bars of the mid price, built price by price.
 */
#include "market.h"

static bool is_price(double x)
{
	return isfinite(x) && x > 0;
}

const char *te_bar_check(const TeBar *bar)
{
	if (bar->start == TE_NO_TIME)
		return "has no start";
	if (!is_price(bar->open) || !is_price(bar->high) || !is_price(bar->low) ||
	    !is_price(bar->close))
		return "prices must be finite and > 0";
	if (bar->high < bar->low)
		return "high must not be below low";
	if (bar->open > bar->high || bar->open < bar->low)
		return "open must be between low and high";
	if (bar->close > bar->high || bar->close < bar->low)
		return "close must be between low and high";
	return NULL;
}

void te_bar_builder_init(TeBarBuilder *b)
{
	*b = (TeBarBuilder){.bar.start = TE_NO_TIME, .last_price_at = TE_NO_TIME};
}

/* The start of the bar that a time belongs to; bars are counted from 1970. */
static TeTime bar_start(TeTime at, TeTime length)
{
	TeTime into = at % length;

	return at - (into < 0 ? into + length : into);
}

bool te_bar_builder_add(TeBarBuilder *b, TeTime at, double price, TeTime length, TeBar *closed)
{
	TeTime start = bar_start(at, length);
	bool finished = b->bar.start != TE_NO_TIME && start > b->bar.start;

	if (b->bar.start != TE_NO_TIME && start < b->bar.start) {
		b->late++;
		return false;
	}
	if (finished)
		*closed = b->bar;
	if (start != b->bar.start)
		b->bar = (TeBar){start, price, price, price, price};

	b->bar.high = fmax(b->bar.high, price);
	b->bar.low = fmin(b->bar.low, price);

	/* Prices that arrive out of order widen the bar; the newest is its close. */
	if (finished || at >= b->last_price_at) {
		b->bar.close = price;
		b->last_price_at = at;
		b->last_price = price;
	}
	return finished;
}
