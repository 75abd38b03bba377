/*
 * wire_fixture.h - a sound message, for tests to change and spoil.
 */
#ifndef TE_TEST_WIRE_FIXTURE_H
#define TE_TEST_WIRE_FIXTURE_H

#include "tap.h"
#include "wire/decode.h"
#include "wire/json.h"
#include "wire/proto.h"

#include "common/envelope.pb-c.h"
#include "ml/ml_predictions.pb-c.h"

#define WIRE_NOON INT64_C(1767268800000000) /* 2026-01-01T12:00:00Z */
#define WIRE_MAX_PREDICTIONS 4

/* A batch of one prediction with one vote and one pattern, and its envelope. */
typedef struct WireFixture
{
	TeArena arena;
	TradingEngine__MLPredictionBatch batch;
	TradingEngine__Prediction *list[WIRE_MAX_PREDICTIONS];
	TradingEngine__Prediction predictions[WIRE_MAX_PREDICTIONS];
	TradingEngine__ModelVote votes[WIRE_MAX_PREDICTIONS];
	TradingEngine__ModelVote *vote_list[WIRE_MAX_PREDICTIONS];
	TradingEngine__PatternPrediction patterns[WIRE_MAX_PREDICTIONS];
	TradingEngine__PatternPrediction *pattern_list[WIRE_MAX_PREDICTIONS];
	TeEnvelope envelope;
	TeWireLimits limits;
	TeMessage out;
	TeWireError err;
} WireFixture;

#define SET_PREDICTION(p, field, FIELD, value)                                                     \
	((p)->field = (value),                                                                         \
	 (p)->has_##field##_case = TRADING_ENGINE__PREDICTION__HAS_##FIELD##_##FIELD)

static inline void wire_prediction(WireFixture *f, int i)
{
	TradingEngine__Prediction *p = &f->predictions[i];

	trading_engine__prediction__init(p);
	trading_engine__model_vote__init(&f->votes[i]);
	trading_engine__pattern_prediction__init(&f->patterns[i]);
	f->votes[i].model_id = (char *)"ema_cross";
	f->votes[i].direction = TRADING_ENGINE__DIRECTION__DIRECTION_BUY;
	f->votes[i].confidence = 0.75;
	f->votes[i].has_confidence_case = TRADING_ENGINE__MODEL_VOTE__HAS_CONFIDENCE_CONFIDENCE;
	f->patterns[i].name = (char *)"HAMMER";
	f->patterns[i].direction = TRADING_ENGINE__BIAS__BIAS_BULLISH;
	f->patterns[i].probability = 0.625;
	f->patterns[i].has_probability_case =
		TRADING_ENGINE__PATTERN_PREDICTION__HAS_PROBABILITY_PROBABILITY;
	p->prediction_id = (char *)"p1";
	p->symbol = (char *)"EURUSD";
	p->generated_at = WIRE_NOON;
	SET_PREDICTION(p, current_price, CURRENT_PRICE, 1.1);
	SET_PREDICTION(p, predicted_price, PREDICTED_PRICE, 1.105);
	SET_PREDICTION(p, bid, BID, 1.0999);
	SET_PREDICTION(p, ask, ASK, 1.1001);
	p->direction = TRADING_ENGINE__DIRECTION__DIRECTION_BUY;
	SET_PREDICTION(p, confidence, CONFIDENCE, 0.9);
	SET_PREDICTION(p, volume_confirmation, VOLUME_CONFIRMATION, 0.5);
	p->n_models = 1;
	p->models = &f->vote_list[i];
	p->n_patterns = 1;
	p->patterns = &f->pattern_list[i];
	p->horizon_us = 300 * TE_USEC_PER_SEC;
	f->list[i] = p;
	f->vote_list[i] = &f->votes[i];
	f->pattern_list[i] = &f->patterns[i];
}

/* Fill in place: the parts point to each other. */
static inline void wire_fixture(WireFixture *f, int predictions)
{
	memset(f, 0, sizeof(*f));
	te_arena_init(&f->arena, 16 * 1024, 16 * 1024 * 1024);
	trading_engine__mlprediction_batch__init(&f->batch);
	f->batch.batch_id = (char *)"b1";
	f->batch.producer_id = (char *)"models-1";
	f->batch.company_id = (char *)"acme";
	f->batch.user_id = (char *)"ann";
	f->batch.generated_at = WIRE_NOON;
	f->batch.model_version = (char *)"2026.1";
	for (int i = 0; i < predictions; i++)
		wire_prediction(f, i);
	f->batch.n_predictions = (size_t)predictions;
	f->batch.predictions = f->list;
	te_envelope_init(&f->envelope, TE_MESSAGE_PREDICTIONS);
	f->envelope.company_id = "acme";
	f->envelope.user_id = "ann";
	f->envelope.producer_id = "models-1";
	f->envelope.producer_epoch = 7;
	f->envelope.seq = 42;
	f->envelope.service_source = "predictor";
	f->envelope.correlation_id = "c-1";
	f->envelope.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	f->envelope.timestamp = WIRE_NOON;
	f->limits = te_wire_limits_default;
}

static inline void wire_bare(WireFixture *f, const uint8_t **data, size_t *len)
{
	te_message_pack(&f->batch.base, &f->arena, data, len, &f->err);
}

static inline void wire_enveloped(WireFixture *f, const uint8_t **data, size_t *len)
{
	wire_bare(f, &f->envelope.payload, &f->envelope.payload_len);
	te_envelope_encode(&f->envelope, &f->arena, data, len, &f->err);
}

static inline bool wire_decode(WireFixture *f, const uint8_t *data, size_t len)
{
	memset(&f->err, 0, sizeof(f->err));
	return te_wire_decode(data, len, &f->limits, &f->arena, &f->out, &f->err);
}

/* Whether two doubles have the same bits. */
static inline bool same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* A generator whose numbers are the same everywhere: splitmix64. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* "CODE field" of an error, so that a failure shows what came instead. */
static inline const char *wire_verdict(const TeWireError *err)
{
	static char text[TE_WIRE_FIELD_MAX + 32];

	snprintf(text, sizeof(text), "%s%s%s", te_wire_code_label(err->code),
	         err->field[0] != '\0' ? " " : "", err->field);
	return text;
}

#endif
