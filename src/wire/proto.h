/*
 * proto.h - between generated structs and core structs.
 *
 * An optional double is NAN when it is absent; an enum of the core is the proto
 * value minus one, because proto's 0 means "not given".
 */
#ifndef TE_WIRE_PROTO_H
#define TE_WIRE_PROTO_H

#include "arena.h"
#include "core/params.h"
#include "error.h"

#include "market/market_data.pb-c.h"
#include "ml/ml_predictions.pb-c.h"

/* Value of an optional double, NAN without. */
#define TE_PROTO_GET(message, field) ((message)->has_##field##_case != 0 ? (message)->field : NAN)

/*
 * Set an optional double unless it is NAN.  MESSAGE is the prefix of the generated
 * constants (TRADING_ENGINE__PREDICTION), FIELD the field's name in capitals.
 */
#define TE_PROTO_SET(MESSAGE, message, field, FIELD, value)                                        \
	do {                                                                                           \
		double value_ = (value);                                                                   \
		if (te_known(value_)) {                                                                    \
			(message)->field = value_;                                                             \
			(message)->has_##field##_case = MESSAGE##__HAS_##FIELD##_##FIELD;                      \
		}                                                                                          \
	} while (0)

/* protobuf-c's texts aren't const, though packing only reads them. */
static inline char *te_proto_text(const char *text)
{
	return (char *)(text != NULL ? text : "");
}

/* The time of a field in which 0 means none. */
static inline TeTime te_proto_time(int64_t value)
{
	return value != 0 ? value : TE_NO_TIME;
}

static inline int64_t te_proto_from_time(TeTime at)
{
	return at != TE_NO_TIME ? at : 0;
}

/* Votes and patterns are new arrays in the arena, texts are shared.  False: no memory. */
extern bool te_prediction_to_proto(const TePrediction *p, TeArena *arena,
                                   TradingEngine__Prediction *out);
extern bool te_prediction_from_proto(const TradingEngine__Prediction *p, TeArena *arena,
                                     TePrediction *out);

extern void te_market_to_proto(const TeMarket *m, TradingEngine__MarketCondition *out);
extern void te_market_from_proto(const TradingEngine__MarketCondition *m, TeMarket *out);

#endif
