/*
 * inputs.c - see inputs.h.
 *
 * A strategy goes field by field of its declaration: te_params says where a
 * parameter is in TeStrategy and of which kind, the descriptor of StrategyConfig
 * where the field of that name is.  So a new parameter needs no line here.
 */
#include "inputs.h"

#include <string.h>

#include "json.h"
#include "proto.h"
#include "scan.h"

#include "trading/decision_inputs.pb-c.h"
#include "trading/strategy_config.pb-c.h"

#define NO_LIMIT SIZE_MAX

static bool no_memory(TeWireError *err)
{
	return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the inputs need too much memory");
}

/* The field of StrategyConfig that carries a parameter.  Looked up once; a unit test knows that all
 * are there. */
static const ProtobufCFieldDescriptor *param_field(int p)
{
	static const ProtobufCFieldDescriptor *fields[TE_PARAM_COUNT];

	if (fields[p] == NULL)
		fields[p] = protobuf_c_message_descriptor_get_field_by_name(
			&trading_engine__strategy_config__descriptor, te_params[p].name);
	return fields[p];
}

/* Whether a parameter has the same bits in both strategies. */
static bool same_param(int p, const TeStrategy *a, const TeStrategy *b)
{
	size_t offset = te_params[p].offset;

	return te_param_same(te_params[p].kind, (const char *)a + offset, (const char *)b + offset);
}

static TradingEngine__SymbolSet *symbols_to_proto(const TeSymbols *set, TeArena *arena)
{
	TradingEngine__SymbolSet *out = te_arena_alloc(arena, sizeof(*out));

	if (out == NULL)
		return NULL;
	trading_engine__symbol_set__init(out);
	out->any = set->any;
	out->n_symbols = (size_t)set->count;
	out->symbols = (char **)set->symbols;
	return out;
}

static TradingEngine__RegimeSet *regimes_to_proto(uint8_t set, TeArena *arena)
{
	TradingEngine__RegimeSet *out = te_arena_alloc(arena, sizeof(*out));

	if (out == NULL)
		return NULL;
	trading_engine__regime_set__init(out);
	out->regimes = te_arena_array(arena, TE_REGIME_COUNT, sizeof(*out->regimes));
	if (out->regimes == NULL)
		return NULL;
	for (int r = 0; r < TE_REGIME_COUNT; r++)
		if ((set & 1 << r) != 0)
			out->regimes[out->n_regimes++] = (TradingEngine__Regime)(r + 1);
	return out;
}

static TradingEngine__StrengthWeights *weights_to_proto(const TeWeights *weights, TeArena *arena)
{
	TradingEngine__StrengthWeights *out = te_arena_alloc(arena, sizeof(*out));
	const double *w = weights->w;

	if (out == NULL)
		return NULL;
	trading_engine__strength_weights__init(out);
	TE_PROTO_SET(TRADING_ENGINE__STRENGTH_WEIGHTS, out, confidence, CONFIDENCE, w[0]);
	TE_PROTO_SET(TRADING_ENGINE__STRENGTH_WEIGHTS, out, consensus, CONSENSUS, w[1]);
	TE_PROTO_SET(TRADING_ENGINE__STRENGTH_WEIGHTS, out, pattern, PATTERN, w[2]);
	TE_PROTO_SET(TRADING_ENGINE__STRENGTH_WEIGHTS, out, market, MARKET, w[3]);
	TE_PROTO_SET(TRADING_ENGINE__STRENGTH_WEIGHTS, out, volume, VOLUME, w[4]);
	return out;
}

/* Set the field of one parameter.  False: no memory. */
static bool param_to_proto(int p, const TeStrategy *strategy, TeArena *arena,
                           TradingEngine__StrategyConfig *out)
{
	const ProtobufCFieldDescriptor *f = param_field(p);
	const char *from = (const char *)strategy + te_params[p].offset;
	void *to = (char *)out + f->offset;
	const void *made;

	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
		*(uint32_t *)((char *)out + f->quantifier_offset) = f->id;
	switch (te_params[p].kind) {
	case TE_KIND_BOOL:
		*(protobuf_c_boolean *)to = *(const bool *)from;
		return true;
	case TE_KIND_INT:
		*(int32_t *)to = *(const int32_t *)from;
		return true;
	case TE_KIND_NUMBER:
		*(double *)to = *(const double *)from;
		return true;
	case TE_KIND_ENUM:
		*(int *)to = *(const uint8_t *)from + 1;
		return true;
	case TE_KIND_RULE:
		*(char **)to = *(char *const *)from;
		return true;
	case TE_KIND_SYMBOLS:
		made = symbols_to_proto((const TeSymbols *)from, arena);
		break;
	case TE_KIND_REGIMES:
		made = regimes_to_proto(*(const uint8_t *)from, arena);
		break;
	case TE_KIND_WEIGHTS:
		made = weights_to_proto((const TeWeights *)from, arena);
		break;
	default:
		return false;
	}
	*(const void **)to = made;
	return made != NULL;
}

static bool strategy_to_proto(const TeStrategy *strategy, TeArena *arena,
                              TradingEngine__StrategyConfig *out)
{
	TeStrategy defaults;

	te_strategy_defaults(&defaults);
	trading_engine__strategy_config__init(out);
	out->defaults_version = TE_DEFAULTS_VERSION;
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		/* "No rule" is an absence of its own, whatever the default. */
		bool absent = te_params[p].kind == TE_KIND_RULE &&
		              *(const char *const *)((const char *)strategy + te_params[p].offset) == NULL;

		if (!absent && !same_param(p, strategy, &defaults) &&
		    !param_to_proto(p, strategy, arena, out))
			return false;
	}
	return true;
}

static bool regimes_from_proto(const TradingEngine__RegimeSet *set, uint8_t *out)
{
	*out = 0;
	for (size_t i = 0; i < set->n_regimes; i++) {
		if (set->regimes[i] == 0)
			return false;
		*out = (uint8_t)(*out | 1 << (set->regimes[i] - 1));
	}
	return true;
}

static bool weights_from_proto(const TradingEngine__StrengthWeights *w, TeWeights *out)
{
	*out =
		(TeWeights){{TE_PROTO_GET(w, confidence), TE_PROTO_GET(w, consensus),
	                 TE_PROTO_GET(w, pattern), TE_PROTO_GET(w, market), TE_PROTO_GET(w, volume)}};
	for (int i = 0; i < TE_WEIGHT_COUNT; i++)
		if (!te_known(out->w[i]))
			return false;
	return true;
}

static void symbols_from_proto(const TradingEngine__SymbolSet *set, TeSymbols *out)
{
	*out = (TeSymbols){.any = set->any,
	                   .count = (int)set->n_symbols,
	                   .symbols = (const char *const *)set->symbols};
}

/* Take the value of a field that is there.  False: it is incomplete. */
static bool param_from_proto(int p, const void *from, TeStrategy *out)
{
	char *to = (char *)out + te_params[p].offset;

	switch (te_params[p].kind) {
	case TE_KIND_BOOL:
		*(bool *)to = *(const protobuf_c_boolean *)from != 0;
		return true;
	case TE_KIND_INT:
		*(int32_t *)to = *(const int32_t *)from;
		return true;
	case TE_KIND_NUMBER:
		*(double *)to = *(const double *)from;
		return true;
	case TE_KIND_ENUM:
		*(uint8_t *)to = (uint8_t)(*(const int *)from - 1);
		return *(const int *)from > 0;
	case TE_KIND_RULE:
		*(const char **)to = *(const char *const *)from;
		return true;
	case TE_KIND_SYMBOLS:
		symbols_from_proto(*(TradingEngine__SymbolSet *const *)from, (TeSymbols *)to);
		return true;
	case TE_KIND_REGIMES:
		return regimes_from_proto(*(TradingEngine__RegimeSet *const *)from, (uint8_t *)to);
	case TE_KIND_WEIGHTS:
		return weights_from_proto(*(TradingEngine__StrengthWeights *const *)from, (TeWeights *)to);
	}
	return false;
}

static bool strategy_from_proto(const TradingEngine__StrategyConfig *s, TeStrategy *out,
                                TeWireError *err)
{
	if (s->defaults_version != TE_DEFAULTS_VERSION)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_VERSION, "defaults_version",
		                    "the defaults of version %u are not known", s->defaults_version);
	te_strategy_defaults(out);
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		const ProtobufCFieldDescriptor *f = param_field(p);
		const void *from = (const char *)s + f->offset;
		bool present = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0
		                   ? *(const uint32_t *)((const char *)s + f->quantifier_offset) == f->id
		                   : *(void *const *)from != NULL;

		if (present && !param_from_proto(p, from, out))
			return te_wire_fail(err, TE_WIRE_INVALID_FIELD, f->name, "is incomplete");
	}
	return true;
}

bool te_strategy_pack(const TeStrategy *strategy, TeArena *arena, const uint8_t **data, size_t *len,
                      TeWireError *err)
{
	TradingEngine__StrategyConfig out;

	if (!strategy_to_proto(strategy, arena, &out))
		return no_memory(err);
	return te_message_pack(&out.base, arena, data, len, err);
}

bool te_strategy_unpack(const uint8_t *data, size_t len, TeArena *arena, TeStrategy *out,
                        TeWireError *err)
{
	TradingEngine__StrategyConfig *s = (TradingEngine__StrategyConfig *)te_scan_unpack(
		&trading_engine__strategy_config__descriptor, data, len, NO_LIMIT, arena, err);

	return s != NULL && strategy_from_proto(s, out, err);
}

static void instrument_to_proto(const TeInstrument *i, TradingEngine__InstrumentSpec *out)
{
	trading_engine__instrument_spec__init(out);
	out->symbol = te_proto_text(i->symbol);
	out->base_currency = te_proto_text(i->base_currency);
	out->quote_currency = te_proto_text(i->quote_currency);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, pip_size, PIP_SIZE, i->pip_size);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, tick_size, TICK_SIZE, i->tick_size);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, contract_size, CONTRACT_SIZE,
	             i->contract_size);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, lot_min, LOT_MIN, i->lot_min);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, lot_step, LOT_STEP, i->lot_step);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, lot_max, LOT_MAX, i->lot_max);
	TE_PROTO_SET(TRADING_ENGINE__INSTRUMENT_SPEC, out, min_stop_pips, MIN_STOP_PIPS,
	             i->min_stop_pips);
}

static void instrument_from_proto(const TradingEngine__InstrumentSpec *i, TeInstrument *out)
{
	*out = (TeInstrument){
		.symbol = i->symbol,
		.base_currency = i->base_currency,
		.quote_currency = i->quote_currency,
		.pip_size = TE_PROTO_GET(i, pip_size),
		.tick_size = TE_PROTO_GET(i, tick_size),
		.contract_size = TE_PROTO_GET(i, contract_size),
		.lot_min = TE_PROTO_GET(i, lot_min),
		.lot_step = TE_PROTO_GET(i, lot_step),
		.lot_max = TE_PROTO_GET(i, lot_max),
		.min_stop_pips = TE_PROTO_GET(i, min_stop_pips),
	};
}

static void account_to_proto(const TeAccount *a, TradingEngine__AccountState *out)
{
	trading_engine__account_state__init(out);
	out->currency = te_proto_text(a->currency);
	out->open_positions = a->open_positions;
	TE_PROTO_SET(TRADING_ENGINE__ACCOUNT_STATE, out, equity, EQUITY, a->equity);
	TE_PROTO_SET(TRADING_ENGINE__ACCOUNT_STATE, out, hit_rate, HIT_RATE, a->hit_rate);
	TE_PROTO_SET(TRADING_ENGINE__ACCOUNT_STATE, out, position_size_multiplier,
	             POSITION_SIZE_MULTIPLIER, a->position_size_multiplier);
	TE_PROTO_SET(TRADING_ENGINE__ACCOUNT_STATE, out, conversion_rate, CONVERSION_RATE,
	             a->conversion_rate);
}

static void account_from_proto(const TradingEngine__AccountState *a, TeAccount *out)
{
	*out = (TeAccount){
		.currency = a->currency,
		.equity = TE_PROTO_GET(a, equity),
		.open_positions = a->open_positions,
		.hit_rate = TE_PROTO_GET(a, hit_rate),
		.position_size_multiplier = TE_PROTO_GET(a, position_size_multiplier),
		.conversion_rate = TE_PROTO_GET(a, conversion_rate),
	};
}

bool te_inputs_pack(const TeDecisionInput *in, TeArena *arena, const uint8_t **data, size_t *len,
                    TeWireError *err)
{
	TradingEngine__DecisionInputs out = TRADING_ENGINE__DECISION_INPUTS__INIT;
	TradingEngine__Prediction prediction;
	TradingEngine__StrategyConfig strategy;
	TradingEngine__MarketCondition market;
	TradingEngine__InstrumentSpec instrument;
	TradingEngine__AccountState account;

	if (!te_prediction_to_proto(in->prediction, arena, &prediction) ||
	    !strategy_to_proto(in->strategy, arena, &strategy))
		return no_memory(err);
	te_market_to_proto(in->market, &market);
	instrument_to_proto(in->instrument, &instrument);
	account_to_proto(in->account, &account);
	out.prediction = &prediction;
	out.strategy = &strategy;
	out.market = &market;
	out.instrument = &instrument;
	out.account = &account;
	out.at = in->at;
	return te_message_pack(&out.base, arena, data, len, err);
}

/* The structs of an unpacked TeDecisionInput. */
typedef struct InputParts
{
	TePrediction prediction;
	TeStrategy strategy;
	TeMarket market;
	TeInstrument instrument;
	TeAccount account;
} InputParts;

/* What decides must not meet an enum that isn't one. */
static bool check_enums(const TradingEngine__DecisionInputs *s, TeWireError *err)
{
	bool sound = s->prediction->direction != 0 && s->market->regime != 0 && s->market->trend != 0;

	for (size_t i = 0; i < s->prediction->n_models; i++)
		sound = sound && s->prediction->models[i]->direction != 0;
	for (size_t i = 0; i < s->prediction->n_patterns; i++)
		sound = sound && s->prediction->patterns[i]->direction != 0;
	return sound || te_wire_fail(err, TE_WIRE_MISSING_FIELD, NULL,
	                             "a direction, regime or trend is missing");
}

bool te_inputs_unpack(const uint8_t *data, size_t len, TeArena *arena, TeDecisionInput *in,
                      TeWireError *err)
{
	TradingEngine__DecisionInputs *s = (TradingEngine__DecisionInputs *)te_scan_unpack(
		&trading_engine__decision_inputs__descriptor, data, len, NO_LIMIT, arena, err);
	InputParts *parts;

	if (s == NULL)
		return false;
	if (s->prediction == NULL || s->strategy == NULL || s->market == NULL ||
	    s->instrument == NULL || s->account == NULL)
		return te_wire_fail(err, TE_WIRE_MISSING_FIELD, NULL, "one of the inputs is missing");
	if (!check_enums(s, err))
		return false;
	if ((parts = te_arena_alloc(arena, sizeof(*parts))) == NULL)
		return no_memory(err);
	if (!strategy_from_proto(s->strategy, &parts->strategy, err)) {
		te_wire_fail_within(err, "strategy");
		return false;
	}
	if (!te_prediction_from_proto(s->prediction, arena, &parts->prediction))
		return no_memory(err);
	te_market_from_proto(s->market, &parts->market);
	instrument_from_proto(s->instrument, &parts->instrument);
	account_from_proto(s->account, &parts->account);
	*in = (TeDecisionInput){
		.prediction = &parts->prediction,
		.strategy = &parts->strategy,
		.market = &parts->market,
		.instrument = &parts->instrument,
		.account = &parts->account,
		.at = s->at,
	};
	return true;
}
