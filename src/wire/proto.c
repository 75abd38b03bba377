/*
 * proto.c - see proto.h.
 */
#include "proto.h"

static bool votes_to_proto(const TePrediction *p, TeArena *arena, TradingEngine__Prediction *out)
{
	size_t count = (size_t)p->model_count;
	TradingEngine__ModelVote *votes = te_arena_array(arena, count, sizeof(*votes));

	out->models = te_arena_array(arena, count, sizeof(*out->models));
	if (votes == NULL || out->models == NULL)
		return false;
	out->n_models = count;
	for (size_t i = 0; i < count; i++) {
		const TeModelVote *v = &p->models[i];

		trading_engine__model_vote__init(&votes[i]);
		votes[i].model_id = te_proto_text(v->model_id);
		votes[i].direction = (TradingEngine__Direction)(v->direction + 1);
		TE_PROTO_SET(TRADING_ENGINE__MODEL_VOTE, &votes[i], confidence, CONFIDENCE, v->confidence);
		TE_PROTO_SET(TRADING_ENGINE__MODEL_VOTE, &votes[i], weight, WEIGHT, v->weight);
		out->models[i] = &votes[i];
	}
	return true;
}

static bool patterns_to_proto(const TePrediction *p, TeArena *arena, TradingEngine__Prediction *out)
{
	size_t count = (size_t)p->pattern_count;
	TradingEngine__PatternPrediction *patterns = te_arena_array(arena, count, sizeof(*patterns));

	out->patterns = te_arena_array(arena, count, sizeof(*out->patterns));
	if (patterns == NULL || out->patterns == NULL)
		return false;
	out->n_patterns = count;
	for (size_t i = 0; i < count; i++) {
		const TePattern *t = &p->patterns[i];

		trading_engine__pattern_prediction__init(&patterns[i]);
		patterns[i].name = te_proto_text(t->name);
		patterns[i].direction = (TradingEngine__Bias)(t->direction + 1);
		TE_PROTO_SET(TRADING_ENGINE__PATTERN_PREDICTION, &patterns[i], probability, PROBABILITY,
		             t->probability);
		out->patterns[i] = &patterns[i];
	}
	return true;
}

bool te_prediction_to_proto(const TePrediction *p, TeArena *arena, TradingEngine__Prediction *out)
{
	trading_engine__prediction__init(out);
	out->prediction_id = te_proto_text(p->prediction_id);
	out->symbol = te_proto_text(p->symbol);
	out->generated_at = p->generated_at;
	if (p->valid_until != TE_NO_TIME) {
		out->valid_until = p->valid_until;
		out->has_valid_until_case = TRADING_ENGINE__PREDICTION__HAS_VALID_UNTIL_VALID_UNTIL;
	}
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, current_price, CURRENT_PRICE, p->current_price);
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, predicted_price, PREDICTED_PRICE,
	             p->predicted_price);
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, bid, BID, p->bid);
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, ask, ASK, p->ask);
	out->direction = (TradingEngine__Direction)(p->direction + 1);
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, confidence, CONFIDENCE, p->confidence);
	TE_PROTO_SET(TRADING_ENGINE__PREDICTION, out, volume_confirmation, VOLUME_CONFIRMATION,
	             p->volume_confirmation);
	return votes_to_proto(p, arena, out) && patterns_to_proto(p, arena, out);
}

bool te_prediction_from_proto(const TradingEngine__Prediction *p, TeArena *arena, TePrediction *out)
{
	TeModelVote *models = te_arena_array(arena, p->n_models, sizeof(*models));
	TePattern *patterns = te_arena_array(arena, p->n_patterns, sizeof(*patterns));

	if (models == NULL || patterns == NULL)
		return false;
	for (size_t i = 0; i < p->n_models; i++) {
		const TradingEngine__ModelVote *v = p->models[i];

		models[i].model_id = v->model_id;
		models[i].direction = (TeDirection)((int)v->direction - 1);
		models[i].confidence = TE_PROTO_GET(v, confidence);
		models[i].weight = v->has_weight_case != 0 ? v->weight : 1.0;
	}
	for (size_t i = 0; i < p->n_patterns; i++) {
		const TradingEngine__PatternPrediction *t = p->patterns[i];

		patterns[i].name = t->name;
		patterns[i].direction = (TeBias)((int)t->direction - 1);
		patterns[i].probability = TE_PROTO_GET(t, probability);
	}
	*out = (TePrediction){
		.prediction_id = p->prediction_id,
		.symbol = p->symbol,
		.generated_at = p->generated_at,
		.valid_until = p->has_valid_until_case != 0 ? p->valid_until : TE_NO_TIME,
		.current_price = TE_PROTO_GET(p, current_price),
		.predicted_price = TE_PROTO_GET(p, predicted_price),
		.bid = TE_PROTO_GET(p, bid),
		.ask = TE_PROTO_GET(p, ask),
		.direction = (TeDirection)((int)p->direction - 1),
		.confidence = TE_PROTO_GET(p, confidence),
		.volume_confirmation = TE_PROTO_GET(p, volume_confirmation),
		.model_count = (int)p->n_models,
		.models = models,
		.pattern_count = (int)p->n_patterns,
		.patterns = patterns,
	};
	return true;
}

void te_market_to_proto(const TeMarket *m, TradingEngine__MarketCondition *out)
{
	trading_engine__market_condition__init(out);
	out->regime = (TradingEngine__Regime)(m->regime + 1);
	out->trend = (TradingEngine__Trend)(m->trend + 1);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_CONDITION, out, volatility_ratio, VOLATILITY_RATIO,
	             m->volatility_ratio);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_CONDITION, out, atr, ATR, m->atr);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_CONDITION, out, ema, EMA, m->ema);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_CONDITION, out, spread_pips, SPREAD_PIPS, m->spread_pips);
}

void te_market_from_proto(const TradingEngine__MarketCondition *m, TeMarket *out)
{
	*out = (TeMarket){
		.regime = (TeRegime)((int)m->regime - 1),
		.trend = (TeTrend)((int)m->trend - 1),
		.volatility_ratio = TE_PROTO_GET(m, volatility_ratio),
		.atr = TE_PROTO_GET(m, atr),
		.ema = TE_PROTO_GET(m, ema),
		.spread_pips = TE_PROTO_GET(m, spread_pips),
	};
}
