/*
 * state.c - see state.h.
 */
#include "state.h"

#include <string.h>

#include "json.h"
#include "proto.h"
#include "scan.h"

#include "trading/storage.pb-c.h"

/* What the engine wrote itself is bounded by memory alone. */
#define NO_LIMIT SIZE_MAX

static bool no_memory(TeWireError *err)
{
	return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the state needs too much memory");
}

static bool producers_to_proto(const TeSavedState *state, TeArena *arena,
                               TradingEngine__LaneState *out)
{
	size_t count = state->producer_count;
	TradingEngine__ProducerSequence *list = te_arena_array(arena, count, sizeof(*list));

	out->producers = te_arena_array(arena, count, sizeof(*out->producers));
	if (list == NULL || out->producers == NULL)
		return false;
	out->n_producers = count;
	for (size_t i = 0; i < count; i++) {
		const TeProducerEntry *p = &state->producers[i];

		trading_engine__producer_sequence__init(&list[i]);
		list[i].company_id = te_proto_text(p->company_id);
		list[i].user_id = te_proto_text(p->user_id);
		list[i].producer_id = te_proto_text(p->producer_id);
		list[i].epoch = p->state.epoch;
		list[i].next_seq = p->state.next_seq;
		out->producers[i] = &list[i];
	}
	return true;
}

typedef struct BarPair
{
	TradingEngine__OpenBar open;
	TradingEngine__MarketBar bar;
} BarPair;

/* A builder without a price has no bar; TE_NO_TIME is kept as it is, for exactness. */
static void bar_to_proto(const TeOpenBarEntry *entry, BarPair *out)
{
	const TeBarBuilder *b = &entry->builder;
	TradingEngine__MarketBar *bar = &out->bar;
	TradingEngine__OpenBar *open = &out->open;

	trading_engine__market_bar__init(bar);
	trading_engine__open_bar__init(open);
	bar->symbol = te_proto_text(entry->symbol);
	bar->start_at = b->bar.start;
	TE_PROTO_SET(TRADING_ENGINE__MARKET_BAR, bar, open, OPEN, b->bar.open);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_BAR, bar, high, HIGH, b->bar.high);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_BAR, bar, low, LOW, b->bar.low);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_BAR, bar, close, CLOSE, b->bar.close);
	open->bar = bar;
	open->last_price_at = b->last_price_at;
	TE_PROTO_SET(TRADING_ENGINE__OPEN_BAR, open, last_price, LAST_PRICE, b->last_price);
	open->late = b->late;
}

static bool bars_to_proto(const TeSavedState *state, TeArena *arena, TradingEngine__LaneState *out)
{
	size_t count = state->bar_count;
	BarPair *list = te_arena_array(arena, count, sizeof(*list));

	out->open_bars = te_arena_array(arena, count, sizeof(*out->open_bars));
	if (list == NULL || out->open_bars == NULL)
		return false;
	out->n_open_bars = count;
	for (size_t i = 0; i < count; i++) {
		bar_to_proto(&state->bars[i], &list[i]);
		out->open_bars[i] = &list[i].open;
	}
	return true;
}

bool te_lane_state_pack(const TeSavedState *state, TeArena *arena, const uint8_t **data,
                        size_t *len, TeWireError *err)
{
	TradingEngine__LaneState out = TRADING_ENGINE__LANE_STATE__INIT;

	if (!producers_to_proto(state, arena, &out) || !bars_to_proto(state, arena, &out))
		return no_memory(err);
	if (state->clock != TE_NO_TIME) {
		out.clock = state->clock;
		out.has_clock_case = TRADING_ENGINE__LANE_STATE__HAS_CLOCK_CLOCK;
	}
	return te_message_pack(&out.base, arena, data, len, err);
}

static void producer_from_proto(const TradingEngine__ProducerSequence *p, TeProducerEntry *out)
{
	*out = (TeProducerEntry){
		.company_id = p->company_id,
		.user_id = p->user_id,
		.producer_id = p->producer_id,
		.state = {.epoch = p->epoch, .next_seq = p->next_seq},
	};
}

static bool bar_from_proto(const TradingEngine__OpenBar *open, TeOpenBarEntry *out)
{
	const TradingEngine__MarketBar *bar = open->bar;

	if (bar == NULL)
		return false;
	*out = (TeOpenBarEntry){
		.symbol = bar->symbol,
		.builder = {.bar = {.start = bar->start_at,
	                        .open = TE_PROTO_GET(bar, open),
	                        .high = TE_PROTO_GET(bar, high),
	                        .low = TE_PROTO_GET(bar, low),
	                        .close = TE_PROTO_GET(bar, close)},
	                .last_price_at = open->last_price_at,
	                .last_price = TE_PROTO_GET(open, last_price),
	                .late = open->late},
	};
	return true;
}

bool te_lane_state_unpack(const uint8_t *data, size_t len, TeArena *arena, TeSavedState *out,
                          TeWireError *err)
{
	TradingEngine__LaneState *s = (TradingEngine__LaneState *)te_scan_unpack(
		&trading_engine__lane_state__descriptor, data, len, NO_LIMIT, arena, err);

	if (s == NULL)
		return false;
	*out = (TeSavedState){
		.clock = s->has_clock_case != 0 ? s->clock : TE_NO_TIME,
		.producer_count = s->n_producers,
		.producers = te_arena_array(arena, s->n_producers, sizeof(*out->producers)),
		.bar_count = s->n_open_bars,
		.bars = te_arena_array(arena, s->n_open_bars, sizeof(*out->bars)),
	};
	if (out->producers == NULL || out->bars == NULL)
		return no_memory(err);
	for (size_t i = 0; i < s->n_producers; i++)
		producer_from_proto(s->producers[i], &out->producers[i]);
	for (size_t i = 0; i < s->n_open_bars; i++)
		if (!bar_from_proto(s->open_bars[i], &out->bars[i]))
			return te_wire_fail(err, TE_WIRE_MISSING_FIELD, "open_bars.bar", "is missing");
	return true;
}

static bool same_market(const TeMarket *a, const TeMarket *b)
{
	return a->regime == b->regime && a->trend == b->trend &&
	       memcmp(&a->volatility_ratio, &b->volatility_ratio, sizeof(double)) == 0 &&
	       memcmp(&a->atr, &b->atr, sizeof(double)) == 0 &&
	       memcmp(&a->ema, &b->ema, sizeof(double)) == 0 &&
	       memcmp(&a->spread_pips, &b->spread_pips, sizeof(double)) == 0;
}

/* Predictions of one symbol share their market; a batch has few symbols. */
static bool conditions_to_proto(const TeDecidedOn *in, size_t count, TeArena *arena,
                                TradingEngine__MarketStates *out)
{
	TradingEngine__MarketCondition *list = te_arena_array(arena, count, sizeof(*list));
	const TeMarket **distinct = te_arena_array(arena, count, sizeof(*distinct));

	out->condition_of = te_arena_array(arena, count, sizeof(*out->condition_of));
	out->conditions = te_arena_array(arena, count, sizeof(*out->conditions));
	if (list == NULL || distinct == NULL || out->condition_of == NULL || out->conditions == NULL)
		return false;
	out->n_condition_of = count;
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		if (in[i].market == NULL)
			continue;
		while (k < out->n_conditions && !same_market(distinct[k], in[i].market))
			k++;
		if (k == out->n_conditions) {
			te_market_to_proto(in[i].market, &list[k]);
			distinct[k] = in[i].market;
			out->conditions[k] = &list[k];
			out->n_conditions++;
		}
		out->condition_of[i] = (uint32_t)k + 1;
	}
	return true;
}

static bool same_rates(const TeAccountRates *a, const TeAccountRates *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = strcmp(a->rates[i].currency, b->rates[i].currency) == 0 &&
		       memcmp(&a->rates[i].rate, &b->rates[i].rate, sizeof(double)) == 0;
	return same;
}

static bool account_rates_to_proto(const TeAccountRates *in, TeArena *arena,
                                   TradingEngine__AccountRates *out)
{
	TradingEngine__AccountRate *list = te_arena_array(arena, in->count, sizeof(*list));

	trading_engine__account_rates__init(out);
	out->rates = te_arena_array(arena, in->count, sizeof(*out->rates));
	if (list == NULL || out->rates == NULL)
		return false;
	out->n_rates = in->count;
	for (size_t i = 0; i < in->count; i++) {
		trading_engine__account_rate__init(&list[i]);
		list[i].currency = te_proto_text(in->rates[i].currency);
		list[i].rate = in->rates[i].rate;
		out->rates[i] = &list[i];
	}
	return true;
}

/* Rates move with every price, so that only those of the moment are likely to come again. */
#define RATES_SEARCHED 32

/* Most lanes need no rates at all, and then nothing is stored of them. */
static bool rates_to_proto(const TeDecidedOn *in, size_t count, TeArena *arena,
                           TradingEngine__MarketStates *out)
{
	TradingEngine__AccountRates *list = te_arena_array(arena, count, sizeof(*list));
	const TeAccountRates **distinct = te_arena_array(arena, count, sizeof(*distinct));

	out->rates_of = te_arena_array(arena, count, sizeof(*out->rates_of));
	out->rates = te_arena_array(arena, count, sizeof(*out->rates));
	if (list == NULL || distinct == NULL || out->rates_of == NULL || out->rates == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t k = out->n_rates > RATES_SEARCHED ? out->n_rates - RATES_SEARCHED : 0;

		if (in[i].rates == NULL || in[i].rates->count == 0)
			continue;
		while (k < out->n_rates && !same_rates(distinct[k], in[i].rates))
			k++;
		if (k == out->n_rates) {
			if (!account_rates_to_proto(in[i].rates, arena, &list[k]))
				return false;
			distinct[k] = in[i].rates;
			out->rates[k] = &list[k];
			out->n_rates++;
		}
		out->rates_of[i] = (uint32_t)k + 1;
		out->n_rates_of = count;
	}
	return true;
}

bool te_markets_pack(const TeDecidedOn *decided_on, size_t count, TeArena *arena,
                     const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__MarketStates out = TRADING_ENGINE__MARKET_STATES__INIT;

	if (!conditions_to_proto(decided_on, count, arena, &out) ||
	    !rates_to_proto(decided_on, count, arena, &out))
		return no_memory(err);
	return te_message_pack(&out.base, arena, data, len, err);
}

static bool conditions_from_proto(const TradingEngine__MarketStates *s, TeArena *arena,
                                  TeDecidedOn *out, TeWireError *err)
{
	TeMarket *list = te_arena_array(arena, s->n_conditions, sizeof(*list));

	if (list == NULL)
		return no_memory(err);
	for (size_t i = 0; i < s->n_conditions; i++) {
		if (s->conditions[i]->regime == 0 || s->conditions[i]->trend == 0)
			return te_wire_fail(err, TE_WIRE_MISSING_FIELD, "conditions",
			                    "regime or trend is missing");
		te_market_from_proto(s->conditions[i], &list[i]);
	}
	for (size_t i = 0; i < s->n_condition_of; i++) {
		uint32_t k = s->condition_of[i];

		if (k > s->n_conditions)
			return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "condition_of",
			                    "there is no condition %u", k);
		out[i].market = k > 0 ? &list[k - 1] : NULL;
	}
	return true;
}

static bool account_rates_from_proto(const TradingEngine__AccountRates *in, TeArena *arena,
                                     TeAccountRates *out, TeWireError *err)
{
	TeAccountRate *list = te_arena_array(arena, in->n_rates, sizeof(*list));

	if (list == NULL)
		return no_memory(err);
	for (size_t i = 0; i < in->n_rates; i++) {
		if (!(in->rates[i]->rate > 0))
			return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "rates.rate", "is not > 0");
		list[i] = (TeAccountRate){in->rates[i]->currency, in->rates[i]->rate};
	}
	*out = (TeAccountRates){in->n_rates, list};
	return true;
}

static bool rates_from_proto(const TradingEngine__MarketStates *s, TeArena *arena, TeDecidedOn *out,
                             TeWireError *err)
{
	TeAccountRates *list = te_arena_array(arena, s->n_rates, sizeof(*list));

	if (list == NULL)
		return no_memory(err);
	if (s->n_rates_of != 0 && s->n_rates_of != s->n_condition_of)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "rates_of",
		                    "has another length than condition_of");
	for (size_t i = 0; i < s->n_rates; i++)
		if (!account_rates_from_proto(s->rates[i], arena, &list[i], err))
			return false;
	for (size_t i = 0; i < s->n_rates_of; i++) {
		uint32_t k = s->rates_of[i];

		if (k > s->n_rates)
			return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "rates_of", "there are no rates %u", k);
		out[i].rates = k > 0 ? &list[k - 1] : NULL;
	}
	return true;
}

bool te_markets_unpack(const uint8_t *data, size_t len, TeArena *arena, TeDecidedOn **decided_on,
                       size_t *count, TeWireError *err)
{
	TradingEngine__MarketStates *s = (TradingEngine__MarketStates *)te_scan_unpack(
		&trading_engine__market_states__descriptor, data, len, NO_LIMIT, arena, err);

	if (s == NULL)
		return false;
	*count = s->n_condition_of;
	*decided_on = te_arena_array(arena, *count, sizeof(**decided_on));
	if (*decided_on == NULL)
		return no_memory(err);
	return conditions_from_proto(s, arena, *decided_on, err) &&
	       rates_from_proto(s, arena, *decided_on, err);
}

bool te_market_state_pack(const TeMarketState *state, TeArena *arena, const uint8_t **data,
                          size_t *len, TeWireError *err)
{
	TradingEngine__MarketAccumulator out = TRADING_ENGINE__MARKET_ACCUMULATOR__INIT;

	out.bars = state->bars;
	out.last_start_at = state->last_start;
	out.returns = state->returns;
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, last_close, LAST_CLOSE,
	             state->last_close);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, atr, ATR, state->atr);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, ema_fast, EMA_FAST, state->ema_fast);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, ema_slow, EMA_SLOW, state->ema_slow);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, var_fast, VAR_FAST, state->var_fast);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_ACCUMULATOR, &out, var_slow, VAR_SLOW, state->var_slow);
	return te_message_pack(&out.base, arena, data, len, err);
}

bool te_market_state_unpack(const uint8_t *data, size_t len, TeArena *arena, TeMarketState *out,
                            TeWireError *err)
{
	TradingEngine__MarketAccumulator *s = (TradingEngine__MarketAccumulator *)te_scan_unpack(
		&trading_engine__market_accumulator__descriptor, data, len, NO_LIMIT, arena, err);

	if (s == NULL)
		return false;
	*out = (TeMarketState){
		.bars = s->bars,
		.last_start = s->last_start_at,
		.last_close = TE_PROTO_GET(s, last_close),
		.atr = TE_PROTO_GET(s, atr),
		.ema_fast = TE_PROTO_GET(s, ema_fast),
		.ema_slow = TE_PROTO_GET(s, ema_slow),
		.returns = s->returns,
		.var_fast = TE_PROTO_GET(s, var_fast),
		.var_slow = TE_PROTO_GET(s, var_slow),
	};
	return true;
}
