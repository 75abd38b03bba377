/*
 * wire_inputs.c - the inputs of a decision survive storage to the bit, and the
 * contracts name what the core names.
 */
#include "wire/inputs.h"

#include <float.h>

#include "core_fixture.h"
#include "wire_fixture.h"

#include "trading/decision_inputs.pb-c.h"
#include "trading/storage.pb-c.h"
#include "trading/strategy_config.pb-c.h"

static void parameters_have_their_names(void)
{
	const ProtobufCMessageDescriptor *d = &trading_engine__strategy_config__descriptor;

	for (int p = 0; p < TE_PARAM_COUNT; p++)
		ok(protobuf_c_message_descriptor_get_field_by_name(d, te_params[p].name) != NULL,
		   te_params[p].name);
	for (unsigned i = 0; i < d->n_fields; i++)
		ok(te_param_find(d->fields[i].name) >= 0 ||
		       strcmp(d->fields[i].name, "defaults_version") == 0,
		   d->fields[i].name);
}

/* Value v of an enum of the core is value v + 1 on the wire, with the enum's name before the label.
 */
static bool same_labels(const ProtobufCEnumDescriptor *d, const TeEnum *e, const char *prefix)
{
	bool same = d->n_values == (unsigned)e->count + 1;

	for (int v = 0; same && v < e->count; v++) {
		const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(d, v + 1);
		char name[64];

		snprintf(name, sizeof(name), "%s_%s", prefix, e->labels[v]);
		same = value != NULL && strcmp(value->name, name) == 0;
	}
	return same;
}

#define ENUM(type, core, prefix)                                                                   \
	ok(same_labels(&trading_engine__##type##__descriptor, &te_##core##_enum, prefix),              \
	   "enum " #type " has the core's labels")

static void enums_have_their_labels(void)
{
	ENUM(direction, direction, "DIRECTION");
	ENUM(bias, bias, "BIAS");
	ENUM(regime, regime, "REGIME");
	ENUM(trend, trend, "TREND");
	ENUM(volatility_mode, volatility_mode, "VOLATILITY_MODE");
	ENUM(stop_loss_mode, stop_loss_mode, "STOP_LOSS_MODE");
	ENUM(take_profit_mode, take_profit_mode, "TAKE_PROFIT_MODE");
	ENUM(sizing_mode, position_sizing, "SIZING_MODE");
	ENUM(time_in_force, time_in_force, "TIME_IN_FORCE");
	ENUM(execution_algorithm, algorithm, "EXECUTION_ALGORITHM");
	ENUM(order_type, order_type, "ORDER_TYPE");
	ENUM(execution_urgency, urgency, "EXECUTION_URGENCY");
	ENUM(timing_strategy, timing, "TIMING_STRATEGY");
	ENUM(hold_reason, hold_reason, "HOLD_REASON");
	ENUM(outcome, outcome, "OUTCOME");
}

/*
 * Stored inputs leave out what has its default, so the defaults of a version never
 * change.  The texts are the table of doc/parameters.md; when they have to change,
 * TE_DEFAULTS_VERSION changes with them.
 */
static void defaults_are_those_of_their_version(void)
{
	TeStrategy s;

	te_strategy_defaults(&s);
	ok(TE_DEFAULTS_VERSION == 1, "these are the defaults of version 1");
	ok(s.enabled && s.available_instruments.any && s.trend_following_enabled,
	   "switches that are on");
	ok(!s.pattern_trading_enabled && !s.advanced_features_enabled && !s.custom_strategies_enabled &&
	       !s.algorithmic_execution_enabled && !s.enable_multi_leg_strategies &&
	       !s.advanced_timing && !s.prefer_market_orders && !s.auto_execute,
	   "switches that are off");
	is_exactly(s.min_confidence_threshold, 0.7, "min_confidence_threshold");
	is_exactly(s.min_consensus_score, 0.6, "min_consensus_score");
	ok(s.max_position_count == 10 && s.max_prediction_age_ms == 5000 && s.leg_count == 3 &&
	       s.duplicate_window_seconds == 300 && s.signal_ttl_seconds == 300 && s.twap_slices == 5 &&
	       s.twap_seconds == 300 && s.iceberg_visible_lots == 1,
	   "whole numbers");
	is_exactly(s.min_pattern_probability, 0.6, "min_pattern_probability");
	is_exactly(s.counter_trend_confidence_threshold, 0.85, "counter_trend_confidence_threshold");
	is_exactly(s.min_market_favorability, 0, "min_market_favorability");
	is_exactly(s.max_spread_pips, 3, "max_spread_pips");
	ok(s.custom_rule == NULL, "custom_rule");
	ok(s.strength_weights.w[0] == 0.3 && s.strength_weights.w[1] == 0.25 &&
	       s.strength_weights.w[2] == 0.2 && s.strength_weights.w[3] == 0.15 &&
	       s.strength_weights.w[4] == 0.1,
	   "strength_weights");
	is_exactly(s.limit_order_discount_pips, 2, "limit_order_discount_pips");
	is_exactly(s.limit_order_premium_pips, 2, "limit_order_premium_pips");
	is_exactly(s.max_limit_deviation_pips, 10, "max_limit_deviation_pips");
	is_exactly(s.stop_loss_pips, 20, "stop_loss_pips");
	is_exactly(s.stop_loss_atr_multiple, 1.5, "stop_loss_atr_multiple");
	is_exactly(s.min_stop_spread_multiple, 2, "min_stop_spread_multiple");
	is_exactly(s.take_profit_pips, 40, "take_profit_pips");
	is_exactly(s.reward_risk_ratio, 2, "reward_risk_ratio");
	is_exactly(s.min_reward_risk_ratio, 1, "min_reward_risk_ratio");
	is_exactly(s.fixed_lot, 0.01, "fixed_lot");
	is_exactly(s.risk_percent, 1, "risk_percent");
	is_exactly(s.target_volatility_percent, 1, "target_volatility_percent");
	is_exactly(s.kelly_fraction, 0.25, "kelly_fraction");
	is_exactly(s.kelly_max_percent, 2, "kelly_max_percent");
	is_exactly(s.max_position_size, 10, "max_position_size");
	is_exactly(s.weak_signal_size_factor, 0.5, "weak_signal_size_factor");
	is_exactly(s.leg_spacing_pips, 5, "leg_spacing_pips");
	is_exactly(s.timing_extension_atr, 2, "timing_extension_atr");
	is_exactly(s.max_slippage_pips, 2, "max_slippage_pips");
	is_exactly(s.duplicate_distance_pips, 5, "duplicate_distance_pips");
	ok(s.volatility_mode == TE_VOLATILITY_CONSERVATIVE && s.stop_loss_mode == TE_STOP_LOSS_PIPS &&
	       s.take_profit_mode == TE_TAKE_PROFIT_RISK_REWARD &&
	       s.position_sizing == TE_SIZING_RISK_PERCENT && s.time_in_force == TE_TIF_GTC &&
	       s.execution_algorithm == TE_ALGORITHM_NONE,
	   "modes");
	ok(s.allowed_regimes == (REGIME_BIT(RANGING) | REGIME_BIT(TRENDING) |
	                         REGIME_BIT(LOW_VOLATILITY) | REGIME_BIT(HIGH_VOLATILITY)),
	   "allowed_regimes");
}

static bool same_optional(double a, double b)
{
	return (isnan(a) && isnan(b)) || same_bits(a, b);
}

static bool same_prediction(const TePrediction *a, const TePrediction *b)
{
	bool same = strcmp(a->prediction_id, b->prediction_id) == 0 &&
	            strcmp(a->symbol, b->symbol) == 0 && a->generated_at == b->generated_at &&
	            a->valid_until == b->valid_until && same_bits(a->current_price, b->current_price) &&
	            same_bits(a->predicted_price, b->predicted_price) &&
	            same_optional(a->bid, b->bid) && same_optional(a->ask, b->ask) &&
	            a->direction == b->direction && same_bits(a->confidence, b->confidence) &&
	            same_optional(a->volume_confirmation, b->volume_confirmation) &&
	            a->model_count == b->model_count && a->pattern_count == b->pattern_count;

	for (int i = 0; same && i < a->model_count; i++)
		same = strcmp(a->models[i].model_id, b->models[i].model_id) == 0 &&
		       a->models[i].direction == b->models[i].direction &&
		       same_bits(a->models[i].confidence, b->models[i].confidence) &&
		       same_bits(a->models[i].weight, b->models[i].weight);
	for (int i = 0; same && i < a->pattern_count; i++)
		same = strcmp(a->patterns[i].name, b->patterns[i].name) == 0 &&
		       a->patterns[i].direction == b->patterns[i].direction &&
		       same_bits(a->patterns[i].probability, b->patterns[i].probability);
	return same;
}

static bool same_symbol_sets(const TeSymbols *a, const TeSymbols *b)
{
	bool same = a->any == b->any && a->count == b->count;

	for (int i = 0; same && i < a->count; i++)
		same = strcmp(a->symbols[i], b->symbols[i]) == 0;
	return same;
}

/* The name of the first parameter that differs, or NULL. */
static const char *strategy_difference(const TeStrategy *a, const TeStrategy *b)
{
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		const char *x = (const char *)a + te_params[p].offset;
		const char *y = (const char *)b + te_params[p].offset;
		const char *text[2];
		bool same = true;

		switch (te_params[p].kind) {
		case TE_KIND_BOOL:
			same = memcmp(x, y, sizeof(bool)) == 0;
			break;
		case TE_KIND_INT:
			same = memcmp(x, y, sizeof(int32_t)) == 0;
			break;
		case TE_KIND_NUMBER:
			same = memcmp(x, y, sizeof(double)) == 0;
			break;
		case TE_KIND_WEIGHTS:
			same = memcmp(x, y, sizeof(TeWeights)) == 0;
			break;
		case TE_KIND_ENUM:
		case TE_KIND_REGIMES:
			same = *x == *y;
			break;
		case TE_KIND_SYMBOLS:
			same = same_symbol_sets((const TeSymbols *)x, (const TeSymbols *)y);
			break;
		case TE_KIND_RULE:
			memcpy(&text[0], x, sizeof(text[0]));
			memcpy(&text[1], y, sizeof(text[1]));
			same = text[0] == NULL || text[1] == NULL ? text[0] == text[1]
			                                          : strcmp(text[0], text[1]) == 0;
			break;
		}
		if (!same)
			return te_params[p].name;
	}
	return NULL;
}

/* Pack and unpack; true when every struct comes back to the bit. */
static bool survives(TeDecisionInput *in, TeArena *arena, TeDecisionInput *back, size_t *len)
{
	const uint8_t *data;
	TeWireError err = {0};

	if (!te_inputs_pack(in, arena, &data, len, &err) ||
	    !te_inputs_unpack(data, *len, arena, back, &err)) {
		printf("# %s: %s\n", wire_verdict(&err), err.detail);
		return false;
	}
	return same_prediction(in->prediction, back->prediction) &&
	       strategy_difference(in->strategy, back->strategy) == NULL &&
	       in->market->regime == back->market->regime && in->market->trend == back->market->trend &&
	       same_optional(in->market->volatility_ratio, back->market->volatility_ratio) &&
	       same_optional(in->market->atr, back->market->atr) &&
	       same_optional(in->market->ema, back->market->ema) &&
	       same_optional(in->market->spread_pips, back->market->spread_pips) &&
	       strcmp(in->instrument->symbol, back->instrument->symbol) == 0 &&
	       strcmp(in->instrument->base_currency, back->instrument->base_currency) == 0 &&
	       strcmp(in->instrument->quote_currency, back->instrument->quote_currency) == 0 &&
	       memcmp(&in->instrument->pip_size, &back->instrument->pip_size, 7 * sizeof(double)) ==
	           0 &&
	       strcmp(in->account->currency, back->account->currency) == 0 &&
	       same_bits(in->account->equity, back->account->equity) &&
	       in->account->open_positions == back->account->open_positions &&
	       same_optional(in->account->hit_rate, back->account->hit_rate) &&
	       same_bits(in->account->position_size_multiplier,
	                 back->account->position_size_multiplier) &&
	       same_optional(in->account->conversion_rate, back->account->conversion_rate) &&
	       in->at == back->at;
}

static void defaults_take_no_space(void)
{
	Fixture f;
	TeArena arena;
	TeDecisionInput back;
	const uint8_t *data;
	size_t len, strategy_len;

	fixture(&f);
	te_strategy_defaults(&f.s);
	te_arena_init(&arena, 4096, 1024 * 1024);
	ok(survives(&f.in, &arena, &back, &len), "inputs with the default strategy survive");
	ok(te_strategy_pack(&f.s, &arena, &data, &strategy_len, NULL) && strategy_len <= 4,
	   "the default strategy is its version alone");
	ok(len < 250, "and the inputs are compact");
	te_arena_free(&arena);
}

/* Random bits that are a finite number, of every magnitude, zeros and denormals too. */
static double random_double(uint64_t *seed)
{
	double value;

	do {
		uint64_t bits = next_random(seed);

		if (bits % 16 == 0)
			bits &= UINT64_C(0x800FFFFFFFFFFFFF); /* denormal */
		else if (bits % 16 == 1)
			bits &= UINT64_C(0x8000000000000000); /* zero of either sign */
		memcpy(&value, &bits, sizeof(value));
	} while (!isfinite(value));
	return value;
}

static double random_optional(uint64_t *seed)
{
	return next_random(seed) % 3 == 0 ? NAN : random_double(seed);
}

/* A bool, or a number that the wire sees as such; the core's ranges don't matter here. */
static void random_strategy(TeStrategy *s, uint64_t *seed)
{
	static const char *const symbols[] = {"AUDUSD", "EURUSD", "XAUUSD"};
	static const char *const rules[] = {"$.consensus > 0.5", "", "$.x == \"\xc3\xa4\""};

	te_strategy_defaults(s);
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		char *to = (char *)s + te_params[p].offset;
		uint64_t choice = next_random(seed);
		double number = random_double(seed);
		int32_t whole = (int32_t)(uint32_t)choice;

		if (choice % 4 == 0)
			continue;
		switch (te_params[p].kind) {
		case TE_KIND_BOOL:
			*(bool *)to = (choice >> 8) % 2 == 0;
			break;
		case TE_KIND_INT:
			memcpy(to, &whole, sizeof(whole));
			break;
		case TE_KIND_NUMBER:
			memcpy(to, &number, sizeof(number));
			break;
		case TE_KIND_ENUM:
			*(uint8_t *)to = (uint8_t)((choice >> 8) % (uint64_t)te_params[p].labels->count);
			break;
		case TE_KIND_REGIMES:
			*(uint8_t *)to = (uint8_t)((choice >> 8) % (1 << TE_REGIME_COUNT));
			break;
		case TE_KIND_SYMBOLS:
			s->available_instruments = (TeSymbols){false, (int)((choice >> 8) % 4), symbols};
			break;
		case TE_KIND_RULE:
			s->custom_rule = rules[(choice >> 8) % 3];
			break;
		case TE_KIND_WEIGHTS:
			for (int i = 0; i < TE_WEIGHT_COUNT; i++)
				s->strength_weights.w[i] = random_double(seed);
			break;
		}
	}
}

static void random_inputs(Fixture *f, uint64_t *seed)
{
	fixture(f);
	f->p.generated_at = (TeTime)next_random(seed);
	f->p.valid_until = next_random(seed) % 2 == 0 ? TE_NO_TIME : (TeTime)(next_random(seed) % 3);
	f->p.current_price = random_double(seed);
	f->p.predicted_price = random_double(seed);
	f->p.bid = random_optional(seed);
	f->p.ask = random_optional(seed);
	f->p.direction = (TeDirection)(next_random(seed) % TE_DIRECTION_COUNT);
	f->p.confidence = random_double(seed);
	f->p.volume_confirmation = random_optional(seed);
	for (uint64_t i = next_random(seed) % 8; i > 0; i--)
		add_vote(f, (TeDirection)(next_random(seed) % TE_DIRECTION_COUNT), random_double(seed),
		         random_double(seed));
	for (uint64_t i = next_random(seed) % 4; i > 0; i--)
		add_pattern(f, (TeBias)(next_random(seed) % TE_BIAS_COUNT), random_double(seed));
	random_strategy(&f->s, seed);
	f->m = (TeMarket){(TeRegime)(next_random(seed) % TE_REGIME_COUNT),
	                  (TeTrend)(next_random(seed) % TE_TREND_COUNT),
	                  random_double(seed),
	                  random_optional(seed),
	                  random_optional(seed),
	                  random_optional(seed)};
	f->i.pip_size = random_double(seed);
	f->i.tick_size = random_double(seed);
	f->i.contract_size = random_double(seed);
	f->i.lot_min = random_double(seed);
	f->i.lot_step = random_double(seed);
	f->i.lot_max = random_double(seed);
	f->i.min_stop_pips = random_double(seed);
	f->a.equity = random_double(seed);
	f->a.open_positions = (int64_t)next_random(seed);
	f->a.hit_rate = random_optional(seed);
	f->a.position_size_multiplier = random_double(seed);
	f->a.conversion_rate = random_optional(seed);
	f->in.at = (TeTime)next_random(seed);
}

static void any_inputs_survive_to_the_bit(void)
{
	uint64_t seed = 20260101;
	TeArena arena;
	int lost = 0;

	te_arena_init(&arena, 64 * 1024, 1024 * 1024);
	for (int round = 0; round < 20000; round++) {
		Fixture f;
		TeDecisionInput back;
		size_t len;

		random_inputs(&f, &seed);
		te_arena_reset(&arena);
		if (!survives(&f.in, &arena, &back, &len) && lost++ < 5)
			printf("# lost in round %d\n", round);
	}
	ok(lost == 0,
	   "20,000 random inputs, denormals and zeros of both signs too, come back to the bit");
	te_arena_free(&arena);
}

static bool same_decision(const TeDecision *a, const TeDecision *b)
{
	return a->outcome == b->outcome && same_optional(a->entry_price, b->entry_price) &&
	       same_optional(a->stop_loss, b->stop_loss) &&
	       same_optional(a->take_profit, b->take_profit) &&
	       same_optional(a->position_size, b->position_size) &&
	       same_optional(a->signal_strength, b->signal_strength) && a->leg_count == b->leg_count &&
	       a->expires_at == b->expires_at;
}

static void a_stored_decision_can_be_recomputed(void)
{
	Fixture f;
	TeArena arena;
	TeDecisionInput back;
	TeDecision again;
	size_t len;

	fixture(&f);
	add_vote(&f, TE_DIR_BUY, 0.8, 2);
	add_vote(&f, TE_DIR_SELL, 0.3, 1);
	add_pattern(&f, TE_BIAS_BULLISH, 0.7);
	f.s.enable_multi_leg_strategies = true;
	f.s.risk_percent = 1.7;
	decide(&f);
	te_arena_init(&arena, 4096, 1024 * 1024);
	ok(f.out.outcome == TE_OUTCOME_SIGNAL && f.out.leg_count == 3, "a signal of three legs");
	ok(survives(&f.in, &arena, &back, &len), "its inputs survive");
	te_decide(&back, &again);
	ok(same_decision(&f.out, &again), "and give the same decision");
	te_arena_free(&arena);
}

static const char *unpack_verdict(const ProtobufCMessage *message)
{
	TeArena arena;
	TeDecisionInput in;
	TeWireError err = {0};
	const uint8_t *data;
	size_t len;

	te_arena_init(&arena, 4096, 1024 * 1024);
	te_message_pack(message, &arena, &data, &len, &err);
	te_inputs_unpack(data, len, &arena, &in, &err);
	te_arena_free(&arena);
	return wire_verdict(&err);
}

static void refuses_inputs_that_it_cannot_know(void)
{
	TradingEngine__DecisionInputs inputs = TRADING_ENGINE__DECISION_INPUTS__INIT;
	TradingEngine__StrategyConfig strategy = TRADING_ENGINE__STRATEGY_CONFIG__INIT;
	TradingEngine__MarketCondition market = TRADING_ENGINE__MARKET_CONDITION__INIT;
	TradingEngine__InstrumentSpec instrument = TRADING_ENGINE__INSTRUMENT_SPEC__INIT;
	TradingEngine__AccountState account = TRADING_ENGINE__ACCOUNT_STATE__INIT;
	WireFixture f;

	wire_fixture(&f, 1);
	is_text(unpack_verdict(&inputs.base), "MISSING_FIELD", "inputs that are missing");
	strategy.defaults_version = TE_DEFAULTS_VERSION;
	market.regime = TRADING_ENGINE__REGIME__REGIME_RANGING;
	market.trend = TRADING_ENGINE__TREND__TREND_FLAT;
	inputs.prediction = &f.predictions[0];
	inputs.strategy = &strategy;
	inputs.market = &market;
	inputs.instrument = &instrument;
	inputs.account = &account;
	is_text(unpack_verdict(&inputs.base), "OK", "inputs that are there");
	strategy.defaults_version = TE_DEFAULTS_VERSION + 1;
	is_text(unpack_verdict(&inputs.base), "UNKNOWN_VERSION strategy.defaults_version",
	        "defaults of a later version");
	strategy.defaults_version = TE_DEFAULTS_VERSION;
	strategy.stop_loss_mode = (TradingEngine__StopLossMode)0;
	strategy.has_stop_loss_mode_case =
		TRADING_ENGINE__STRATEGY_CONFIG__HAS_STOP_LOSS_MODE_STOP_LOSS_MODE;
	is_text(unpack_verdict(&inputs.base), "INVALID_FIELD strategy.stop_loss_mode",
	        "a mode that isn't one");
	strategy.has_stop_loss_mode_case = 0;
	market.regime = (TradingEngine__Regime)0;
	is_text(unpack_verdict(&inputs.base), "MISSING_FIELD", "a market without regime");
	te_arena_free(&f.arena);
}

int main(void)
{
	parameters_have_their_names();
	enums_have_their_labels();
	defaults_are_those_of_their_version();
	defaults_take_no_space();
	any_inputs_survive_to_the_bit();
	a_stored_decision_can_be_recomputed();
	refuses_inputs_that_it_cannot_know();
	return done_testing();
}
