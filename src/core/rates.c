/*
 * rates.c - see rates.h.
 */
#include "rates.h"

#include <string.h>

/* No rate: of a pair, or from a currency. */
#define NONE (-1)

static int node_of(const TeRateGraph *graph, const char *name)
{
	for (int i = 0; i < graph->node_count; i++)
		if (strcmp(graph->nodes[i].name, name) == 0)
			return i;
	return NONE;
}

static int add_node(TeRateGraph *graph, const char *name)
{
	int node = node_of(graph, name);

	if (node != NONE || graph->node_count == graph->node_capacity)
		return node;
	graph->nodes[graph->node_count].name = name;
	return graph->node_count++;
}

TeRateEdge *te_rates_add(TeRateGraph *graph, const char *base, const char *quote)
{
	int b = add_node(graph, base);
	int q = add_node(graph, quote);

	if (b == NONE || q == NONE || graph->edge_count == graph->edge_capacity)
		return NULL;
	graph->edges[graph->edge_count] =
		(TeRateEdge){.base = b, .quote = q, .rate = NAN, .at = TE_NO_TIME};
	return &graph->edges[graph->edge_count++];
}

/* Is it a price, of the past, and young enough?  Unsigned differences can't overflow. */
static bool is_usable(const TeRateEdge *e, TeTime at)
{
	if (!(e->rate > 0 && isfinite(e->rate)) || e->base == e->quote || e->at == TE_NO_TIME)
		return false;
	if (e->at > at)
		return (uint64_t)e->at - (uint64_t)at <= (uint64_t)TE_RATE_AHEAD;
	return e->max_age <= 0 || (uint64_t)at - (uint64_t)e->at <= (uint64_t)e->max_age;
}

/* Ways through the first are taken before ways through the second. */
static int compare_names(const char *a, const char *b)
{
	static const char *const first[] = {"USD", "EUR"};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		bool is_a = strcmp(a, first[i]) == 0, is_b = strcmp(b, first[i]) == 0;

		if (is_a || is_b)
			return is_b - is_a;
	}
	return strcmp(a, b);
}

/* Of two rates between the same two currencies (the second NONE: there is only one). */
static int better_edge(const TeRateGraph *graph, int candidate, int edge)
{
	const TeRateEdge *c = &graph->edges[candidate], *e;
	int order;

	if (edge == NONE)
		return candidate;
	e = &graph->edges[edge];
	if (c->at != e->at)
		return c->at > e->at ? candidate : edge;
	order = strcmp(graph->nodes[c->base].name, graph->nodes[e->base].name);
	if (order != 0)
		return order < 0 ? candidate : edge;
	return c->rate > e->rate ? candidate : edge;
}

/* The other end of an edge of this currency, or NONE. */
static int other_end(const TeRateEdge *e, int node)
{
	return e->base == node ? e->quote : e->quote == node ? e->base : NONE;
}

/* near[0] of each currency: its best rate with the first end; near[1]: with the second. */
static void look_around(TeRateGraph *graph, const int ends[2], TeTime at)
{
	for (int i = 0; i < graph->node_count; i++)
		graph->nodes[i].near[0] = graph->nodes[i].near[1] = NONE;
	for (int i = 0; i < graph->edge_count; i++)
		for (int k = 0; k < 2; k++) {
			int other = other_end(&graph->edges[i], ends[k]);

			if (other != NONE && is_usable(&graph->edges[i], at))
				graph->nodes[other].near[k] = better_edge(graph, i, graph->nodes[other].near[k]);
		}
}

/* The currency through which two steps go, or NONE. */
static int third_currency(const TeRateGraph *graph)
{
	int best = NONE;

	for (int i = 0; i < graph->node_count; i++) {
		const TeRateNode *n = &graph->nodes[i];

		if (n->near[0] != NONE && n->near[1] != NONE &&
		    (best == NONE || compare_names(n->name, graph->nodes[best].name) < 0))
			best = i;
	}
	return best;
}

/* Three steps: first end - via[0] - via[1] - second end, or an edge of NONE. */
typedef struct Middle
{
	int edge, via[2];
} Middle;

static int compare_middles(const TeRateGraph *graph, const Middle *a, const Middle *b)
{
	int order = compare_names(graph->nodes[a->via[0]].name, graph->nodes[b->via[0]].name);

	return order != 0 ? order
	                  : compare_names(graph->nodes[a->via[1]].name, graph->nodes[b->via[1]].name);
}

static Middle middle_edge(const TeRateGraph *graph, TeTime at)
{
	Middle best = {NONE, {NONE, NONE}};

	for (int i = 0; i < graph->edge_count; i++)
		for (int k = 0; k < 2; k++) {
			const TeRateEdge *e = &graph->edges[i];
			Middle m = {i, {k == 0 ? e->base : e->quote, k == 0 ? e->quote : e->base}};
			int order;

			if (graph->nodes[m.via[0]].near[0] == NONE || graph->nodes[m.via[1]].near[1] == NONE ||
			    !is_usable(e, at))
				continue;
			order = best.edge == NONE ? -1 : compare_middles(graph, &m, &best);
			if (order < 0)
				best = m;
			else if (order == 0)
				best.edge = better_edge(graph, i, best.edge);
		}
	return best;
}

/* The edges from the first end to the second; false: there is no way. */
static bool find_way(TeRateGraph *graph, const int ends[2], TeTime at, TeRatePath *path)
{
	int via;
	Middle middle;

	look_around(graph, ends, at);
	if (graph->nodes[ends[1]].near[0] != NONE) {
		path->steps = 1;
		path->edges[0] = graph->nodes[ends[1]].near[0];
		return true;
	}
	if ((via = third_currency(graph)) != NONE) {
		path->steps = 2;
		path->edges[0] = graph->nodes[via].near[0];
		path->edges[1] = graph->nodes[via].near[1];
		return true;
	}
	middle = middle_edge(graph, at);
	path->steps = 3;
	path->edges[1] = middle.edge;
	if (middle.edge == NONE)
		return false;
	path->edges[0] = graph->nodes[middle.via[0]].near[0];
	path->edges[2] = graph->nodes[middle.via[1]].near[1];
	return true;
}

static void turn_around(TeRatePath *path)
{
	int first = path->edges[0];

	path->edges[0] = path->edges[path->steps - 1];
	path->edges[path->steps - 1] = first;
}

/* Along the path; a division is one rounding, a product with 1/rate would be two. */
static double walk(const TeRateGraph *graph, int from, TeRatePath *path)
{
	double rate = 1;

	for (int i = 0; i < path->steps; i++) {
		const TeRateEdge *e = &graph->edges[path->edges[i]];

		path->inverse[i] = e->base != from;
		rate = path->inverse[i] ? rate / e->rate : rate * e->rate;
		from = other_end(e, from);
	}
	return rate > 0 && isfinite(rate) ? rate : NAN;
}

double te_rates_convert(TeRateGraph *graph, const char *from, const char *to, TeTime at,
                        TeRatePath *path)
{
	TeRatePath way = {0};
	bool forwards = strcmp(from, to) < 0;
	int nodes[] = {node_of(graph, from), node_of(graph, to)};
	double rate;

	if (strcmp(from, to) == 0)
		rate = 1;
	else {
		/* The way is looked for from the lesser name, so that it is the same in both directions. */
		int ends[] = {nodes[!forwards], nodes[forwards]};

		if (nodes[0] == NONE || nodes[1] == NONE || !find_way(graph, ends, at, &way))
			return NAN;
		if (!forwards)
			turn_around(&way);
		rate = walk(graph, nodes[0], &way);
	}
	if (path != NULL)
		*path = way;
	return rate;
}

double te_recorded_rate(const TeAccountRates *rates, const char *currency)
{
	for (size_t i = 0; rates != NULL && i < rates->count; i++)
		if (strcmp(rates->rates[i].currency, currency) == 0)
			return rates->rates[i].rate;
	return NAN;
}
