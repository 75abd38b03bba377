/*
 * core_performance.c - any bytes as a piece of performance, by itself and between others.
 *
 * What is taken is written to bytes that are taken again and say the same, and its figures
 * are numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "core/performance.h"

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void *resize(void *old, size_t size)
{
	void *items;

	if (size == 0) {
		free(old);
		return NULL;
	}
	items = realloc(old, size);
	must(items != NULL);
	return items;
}

static void drop(TePerformance *p)
{
	free(p->curve.reach.items);
	free(p->curve.falls.items);
	free(p->curve.returns.items);
}

static uint8_t *packed(TePerformance *p, size_t *length)
{
	uint8_t *out = malloc(te_performance_room(p));

	must(out != NULL);
	*length = te_performance_pack(p, out);
	must(*length <= te_performance_room(p));
	return out;
}

static void check_figures(const TePerformance *p)
{
	must(!isnan(te_performance_slippage(p, 0.5)) || p->worse.count + p->better.count == 0);
	must(p->profits.wins + p->profits.losses >= 0 && p->run.longest >= 0);
	must(p->curve.net <= p->curve.high);
}

/* A piece, then one trade more, then the piece again, in case it is taken. */
static void check_between(const uint8_t *data, size_t size)
{
	TePerformance p = {.curve.resize = resize};

	if (te_performance_join(&p, data, size)) {
		te_performance_close(&p, INT64_C(1767268800000000), -2.5, NAN, 0.5);
		te_performance_order(&p, TE_ORDER_FILLED, 1000, -0.5);
		must(te_performance_join(&p, data, size));
		check_figures(&p);
	}
	drop(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TePerformance in = {.curve.resize = resize}, again = {.curve.resize = resize};
	uint8_t *first, *second;
	size_t length, relength;

	if (te_performance_join(&in, data, size)) {
		check_figures(&in);
		first = packed(&in, &length);
		must(te_performance_join(&again, first, length));
		second = packed(&again, &relength);
		must(length == relength && memcmp(first, second, length) == 0);
		free(first);
		free(second);
		check_between(data, size);
	}
	drop(&in);
	drop(&again);
	return 0;
}
