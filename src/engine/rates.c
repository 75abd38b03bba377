/*
 * rates.c - see rates.h.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/query.h"
#include "engine/rates.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

/* One edge of the graph, and where its rate comes from. */
typedef struct RateSource
{
	char *base, *quote;
	char *symbol;               /* an instrument; NULL: a row of trading.rates */
	const TeSymbolState *state; /* of the symbol; NULL: no price was seen yet */
	double rate;                /* of the row */
	TeTime as_of;
	int64 max_age; /* of the row, in microseconds; -1: the setting */
	TeRateEdge *edge;
} RateSource;

struct TeLaneRates
{
	MemoryContext context; /* for good */
	MemoryContext sources_context;
	const TeMemory *memory; /* that the sources' states belong to */
	RateSource *sources;
	int source_count;
	TeRateGraph graph;
	char (*wanted)[TE_CURRENCY_MAX + 1]; /* sorted */
	int wanted_count, wanted_capacity;
};

TeLaneRates *te_lane_rates_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "rates", ALLOCSET_SMALL_SIZES);
	TeLaneRates *rates = MemoryContextAllocZero(context, sizeof(TeLaneRates));

	rates->context = context;
	rates->sources_context = AllocSetContextCreate(context, "rate sources", ALLOCSET_SMALL_SIZES);
	return rates;
}

/*----------------------------------------------------------------------
 * Loading
 *----------------------------------------------------------------------*/

/* The sources read so far; rows are read in a context of their own. */
typedef struct SourceReader
{
	MemoryContext context;
	List *sources;
} SourceReader;

static RateSource *read_pair(TeRow *row, SourceReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	RateSource *source = palloc0(sizeof(RateSource));

	source->base = te_row_text(row, "base_currency");
	source->quote = te_row_text(row, "quote_currency");
	reader->sources = lappend(reader->sources, source);
	MemoryContextSwitchTo(old);
	return source;
}

static void read_instrument(TeRow *row, void *arg)
{
	SourceReader *reader = arg;

	read_pair(row, reader)->symbol =
		MemoryContextStrdup(reader->context, te_row_text(row, "symbol"));
}

static void read_rate(TeRow *row, void *arg)
{
	RateSource *source = read_pair(row, arg);

	source->rate = te_row_double(row, "rate");
	source->as_of = te_row_time(row, "as_of");
	source->max_age = te_row_int(row, "max_age_us");
}

/* Make the graph of the sources, in the current memory context. */
static void build_graph(TeLaneRates *rates, List *sources)
{
	int count = list_length(sources);
	ListCell *cell;

	rates->graph = (TeRateGraph){
		.nodes = palloc(sizeof(TeRateNode) * 2 * Max(count, 1)),
		.node_capacity = 2 * count,
		.edges = palloc(sizeof(TeRateEdge) * Max(count, 1)),
		.edge_capacity = count,
	};
	rates->sources = palloc(sizeof(RateSource) * Max(count, 1));
	foreach (cell, sources) {
		RateSource *s = &rates->sources[rates->source_count++];

		*s = *(RateSource *)lfirst(cell);
		s->edge = te_rates_add(&rates->graph, s->base, s->quote);
	}
}

void te_lane_rates_load(TeLaneRates *rates)
{
	SourceReader reader = {rates->sources_context, NIL};
	MemoryContext old;

	rates->source_count = 0;
	rates->sources = NULL;
	rates->graph = (TeRateGraph){0};
	MemoryContextReset(rates->sources_context);

	/* An index has the same points in every currency that it is quoted in: not a rate. */
	te_query_each(
		"SELECT i.symbol, i.base_currency, i.quote_currency"
		"  FROM trading.instruments AS i"
		" WHERE i.asset_class OPERATOR(pg_catalog.=) ANY (ARRAY['forex', 'metal', 'crypto'])",
		NULL, read_instrument, &reader);
	te_query_each("SELECT r.base_currency, r.quote_currency, r.rate, r.as_of,"
	              "       COALESCE((EXTRACT(EPOCH FROM r.max_age) OPERATOR(pg_catalog.*) 1000000)"
	              "                ::pg_catalog.int8, -1) AS max_age_us"
	              "  FROM trading.rates AS r",
	              NULL, read_rate, &reader);

	old = MemoryContextSwitchTo(rates->sources_context);
	build_graph(rates, reader.sources);
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * The currencies that are wanted
 *----------------------------------------------------------------------*/

void te_lane_rates_want(TeLaneRates *rates, const char *currency)
{
	int place = 0;

	while (place < rates->wanted_count && strcmp(rates->wanted[place], currency) < 0)
		place++;
	if (place < rates->wanted_count && strcmp(rates->wanted[place], currency) == 0)
		return;
	if (rates->wanted_count == rates->wanted_capacity) {
		int capacity = Max(8, 2 * rates->wanted_capacity);

		rates->wanted = rates->wanted
		                    ? repalloc(rates->wanted, sizeof(*rates->wanted) * capacity)
		                    : MemoryContextAlloc(rates->context, sizeof(*rates->wanted) * capacity);
		rates->wanted_capacity = capacity;
	}
	memmove(rates->wanted + place + 1, rates->wanted + place,
	        sizeof(*rates->wanted) * (rates->wanted_count - place));
	strlcpy(rates->wanted[place], currency, sizeof(*rates->wanted));
	rates->wanted_count++;
}

void te_lane_rates_forget(TeLaneRates *rates)
{
	rates->wanted_count = 0;
}

/*----------------------------------------------------------------------
 * Rates of an instant
 *----------------------------------------------------------------------*/

/* Bring the edges up to the prices that this batch sees. */
static void take_prices(TeLaneRates *rates, const TeMemory *memory)
{
	TeTime max_age = te_guc_rate_max_age * INT64_C(1000);

	for (int i = 0; i < rates->source_count; i++) {
		RateSource *s = &rates->sources[i];

		if (rates->memory != memory)
			s->state = NULL;
		if (s->symbol == NULL) {
			s->edge->rate = s->rate;
			s->edge->at = s->as_of;
			s->edge->max_age = s->max_age < 0 ? max_age : s->max_age;
			continue;
		}
		if (s->state == NULL)
			s->state = te_memory_peek_symbol(memory, s->symbol);
		if (s->state != NULL) {
			s->edge->rate = s->state->builder.last_price;
			s->edge->at = s->state->builder.last_price_at;
			s->edge->max_age = max_age;
		}
	}
	rates->memory = memory;
}

const TeAccountRates *te_lane_rates_read(TeLaneRates *rates, const TeMemory *memory,
                                         const TeInstrument *instrument, TeTime at, TeArena *arena)
{
	TeAccountRates *result;
	TeAccountRate *list;
	size_t count = 0;

	if (rates->wanted_count == 0 ||
	    (rates->wanted_count == 1 && (strcmp(rates->wanted[0], instrument->base_currency) == 0 ||
	                                  strcmp(rates->wanted[0], instrument->quote_currency) == 0)))
		return NULL;
	take_prices(rates, memory);
	result = te_arena_alloc(arena, sizeof(*result));
	list = te_arena_array(arena, rates->wanted_count, sizeof(*list));
	if (result == NULL || list == NULL)
		elog(ERROR, "a batch's memory is exhausted");
	for (int i = 0; i < rates->wanted_count; i++) {
		const char *currency = rates->wanted[i];
		double rate;

		if (strcmp(currency, instrument->base_currency) == 0 ||
		    strcmp(currency, instrument->quote_currency) == 0)
			continue;
		rate = te_rates_convert(&rates->graph, instrument->quote_currency, currency, at, NULL);
		if (te_known(rate))
			list[count++] = (TeAccountRate){currency, rate};
	}
	*result = (TeAccountRates){count, list};
	return count > 0 ? result : NULL;
}
