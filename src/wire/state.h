/*
 * state.h - what a lane remembers, as columns of its rows.
 *
 * trading.batches.state is either everything (state_full) or what one batch
 * changed; both have the same form, and a later entry of the same key wins.
 */
#ifndef TE_WIRE_STATE_H
#define TE_WIRE_STATE_H

#include "arena.h"
#include "core/admit.h"
#include "core/market.h"
#include "core/rates.h"
#include "error.h"

/* Where the sequence of one producer stands for one tenant. */
typedef struct TeProducerEntry
{
	const char *company_id;
	const char *user_id;
	const char *producer_id;
	TeProducerState state;
} TeProducerEntry;

typedef struct TeOpenBarEntry
{
	const char *symbol;
	TeBarBuilder builder;
} TeOpenBarEntry;

typedef struct TeSavedState
{
	TeTime clock; /* TE_NO_TIME: not running yet */
	size_t producer_count;
	TeProducerEntry *producers;
	size_t bar_count;
	TeOpenBarEntry *bars;
} TeSavedState;

extern bool te_lane_state_pack(const TeSavedState *state, TeArena *arena, const uint8_t **data,
                               size_t *len, TeWireError *err);
extern bool te_lane_state_unpack(const uint8_t *data, size_t len, TeArena *arena, TeSavedState *out,
                                 TeWireError *err);

/* What prediction i was decided on: its market (NULL: it was not decided), and the rates of
 * accounts (NULL: none were known). */
typedef struct TeDecidedOn
{
	const TeMarket *market;
	const TeAccountRates *rates;
} TeDecidedOn;

/* Column market of trading.prediction_batches, one entry for each prediction of the message. */
extern bool te_markets_pack(const TeDecidedOn *decided_on, size_t count, TeArena *arena,
                            const uint8_t **data, size_t *len, TeWireError *err);
extern bool te_markets_unpack(const uint8_t *data, size_t len, TeArena *arena,
                              TeDecidedOn **decided_on, size_t *count, TeWireError *err);

/* The accumulated state of one symbol. */
extern bool te_market_state_pack(const TeMarketState *state, TeArena *arena, const uint8_t **data,
                                 size_t *len, TeWireError *err);
extern bool te_market_state_unpack(const uint8_t *data, size_t len, TeArena *arena,
                                   TeMarketState *out, TeWireError *err);

#endif
