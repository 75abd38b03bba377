/*
 * types.h - the six inputs of a decision, and its output.
 *
 * Everything here is plain data.  The core never allocates, reads a clock or
 * does I/O: the caller owns every pointer for as long as the call lasts.
 *
 * Units: prices in quote currency per unit of base, sizes in lots, distances
 * named "pips" in multiples of the instrument's pip_size, ratios and
 * probabilities in [0, 1], times in microseconds since 1970-01-01 UTC.
 * An optional double is NAN when it is absent, an optional time is TE_NO_TIME.
 */
#ifndef TE_CORE_TYPES_H
#define TE_CORE_TYPES_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t TeTime;

#define TE_NO_TIME INT64_MIN
#define TE_USEC_PER_SEC INT64_C(1000000)

/* An optional double is there unless it is NAN; inputs never carry a NAN value. */
#define te_known(x) (!isnan(x))

/*
 * Enums.  X(symbol suffix, label): the label is the text in SQL and JSON, and
 * the position is the value, so that labels need no table of their own.
 */
#define TE_DIRECTIONS(X) X(SELL) X(WEAK_SELL) X(HOLD) X(WEAK_BUY) X(BUY)
#define TE_BIASES(X) X(BULLISH) X(BEARISH) X(NEUTRAL)
#define TE_REGIMES(X) X(UNKNOWN) X(RANGING) X(TRENDING) X(LOW_VOLATILITY) X(HIGH_VOLATILITY)
#define TE_TRENDS(X) X(UP) X(DOWN) X(FLAT)
#define TE_VOLATILITY_MODES(X) X(CONSERVATIVE) X(NEUTRAL) X(AGGRESSIVE)
#define TE_STOP_LOSS_MODES(X) X(PIPS) X(ATR)
#define TE_TAKE_PROFIT_MODES(X) X(PIPS) X(RISK_REWARD) X(PREDICTED_PRICE)
#define TE_POSITION_SIZINGS(X) X(FIXED_LOT) X(RISK_PERCENT) X(VOLATILITY_TARGET) X(KELLY)
#define TE_TIMES_IN_FORCE(X) X(GTC) X(DAY) X(IOC) X(FOK)
#define TE_ALGORITHMS(X) X(NONE) X(TWAP) X(ICEBERG)
#define TE_ORDER_TYPES(X) X(MARKET) X(LIMIT)
#define TE_URGENCIES(X) X(IMMEDIATE) X(PATIENT)
#define TE_TIMINGS(X) X(IMMEDIATE) X(WAIT_PULLBACK)
#define TE_HOLD_REASONS(X) X(NONE) X(NEUTRAL) X(COUNTER_TREND)
#define TE_OUTCOMES(X)                                                                             \
	X(SIGNAL)                                                                                      \
	X(HOLD)                                                                                        \
	X(DISABLED)                                                                                    \
	X(INSTRUMENT_NOT_ALLOWED)                                                                      \
	X(STALE)                                                                                       \
	X(LOW_CONFIDENCE)                                                                              \
	X(LOW_CONSENSUS)                                                                               \
	X(UNFAVORABLE_MARKET)                                                                          \
	X(CUSTOM_RULE)                                                                                 \
	X(POOR_REWARD_RISK)                                                                            \
	X(NO_CONVERSION_RATE)                                                                          \
	X(NEGATIVE_EXPECTANCY) X(POSITION_TOO_SMALL) X(MAX_POSITIONS) X(DUPLICATE) X(RISK_REJECTED)

#define TE_ENUM_MEMBER_(prefix, label) prefix##label,
#define TE_DIRECTION_MEMBER(label) TE_ENUM_MEMBER_(TE_DIR_, label)
#define TE_BIAS_MEMBER(label) TE_ENUM_MEMBER_(TE_BIAS_, label)
#define TE_REGIME_MEMBER(label) TE_ENUM_MEMBER_(TE_REGIME_, label)
#define TE_TREND_MEMBER(label) TE_ENUM_MEMBER_(TE_TREND_, label)
#define TE_VOLATILITY_MODE_MEMBER(label) TE_ENUM_MEMBER_(TE_VOLATILITY_, label)
#define TE_STOP_LOSS_MODE_MEMBER(label) TE_ENUM_MEMBER_(TE_STOP_LOSS_, label)
#define TE_TAKE_PROFIT_MODE_MEMBER(label) TE_ENUM_MEMBER_(TE_TAKE_PROFIT_, label)
#define TE_POSITION_SIZING_MEMBER(label) TE_ENUM_MEMBER_(TE_SIZING_, label)
#define TE_TIME_IN_FORCE_MEMBER(label) TE_ENUM_MEMBER_(TE_TIF_, label)
#define TE_ALGORITHM_MEMBER(label) TE_ENUM_MEMBER_(TE_ALGORITHM_, label)
#define TE_ORDER_TYPE_MEMBER(label) TE_ENUM_MEMBER_(TE_ORDER_, label)
#define TE_URGENCY_MEMBER(label) TE_ENUM_MEMBER_(TE_URGENCY_, label)
#define TE_TIMING_MEMBER(label) TE_ENUM_MEMBER_(TE_TIMING_, label)
#define TE_HOLD_REASON_MEMBER(label) TE_ENUM_MEMBER_(TE_HOLD_REASON_, label)
#define TE_OUTCOME_MEMBER(label) TE_ENUM_MEMBER_(TE_OUTCOME_, label)

typedef enum { TE_DIRECTIONS(TE_DIRECTION_MEMBER) TE_DIRECTION_COUNT } TeDirection;
typedef enum { TE_BIASES(TE_BIAS_MEMBER) TE_BIAS_COUNT } TeBias;
typedef enum { TE_REGIMES(TE_REGIME_MEMBER) TE_REGIME_COUNT } TeRegime;
typedef enum { TE_TRENDS(TE_TREND_MEMBER) TE_TREND_COUNT } TeTrend;
typedef enum {
	TE_VOLATILITY_MODES(TE_VOLATILITY_MODE_MEMBER) TE_VOLATILITY_MODE_COUNT
} TeVolatilityMode;
typedef enum {
	TE_STOP_LOSS_MODES(TE_STOP_LOSS_MODE_MEMBER) TE_STOP_LOSS_MODE_COUNT
} TeStopLossMode;
typedef enum {
	TE_TAKE_PROFIT_MODES(TE_TAKE_PROFIT_MODE_MEMBER) TE_TAKE_PROFIT_MODE_COUNT
} TeTakeProfitMode;
typedef enum {
	TE_POSITION_SIZINGS(TE_POSITION_SIZING_MEMBER) TE_POSITION_SIZING_COUNT
} TePositionSizing;
typedef enum { TE_TIMES_IN_FORCE(TE_TIME_IN_FORCE_MEMBER) TE_TIME_IN_FORCE_COUNT } TeTimeInForce;
typedef enum { TE_ALGORITHMS(TE_ALGORITHM_MEMBER) TE_ALGORITHM_COUNT } TeAlgorithm;
typedef enum { TE_ORDER_TYPES(TE_ORDER_TYPE_MEMBER) TE_ORDER_TYPE_COUNT } TeOrderType;
typedef enum { TE_URGENCIES(TE_URGENCY_MEMBER) TE_URGENCY_COUNT } TeUrgency;
typedef enum { TE_TIMINGS(TE_TIMING_MEMBER) TE_TIMING_COUNT } TeTiming;
typedef enum { TE_HOLD_REASONS(TE_HOLD_REASON_MEMBER) TE_HOLD_REASON_COUNT } TeHoldReason;
typedef enum { TE_OUTCOMES(TE_OUTCOME_MEMBER) TE_OUTCOME_COUNT } TeOutcome;

/* The labels of one enum, in the order of its values. */
typedef struct TeEnum
{
	const char *name; /* as in "unknown direction" */
	int count;
	const char *const *labels;
} TeEnum;

extern const TeEnum te_direction_enum, te_bias_enum, te_regime_enum, te_trend_enum,
	te_volatility_mode_enum, te_stop_loss_mode_enum, te_take_profit_mode_enum,
	te_position_sizing_enum, te_time_in_force_enum, te_algorithm_enum, te_order_type_enum,
	te_urgency_enum, te_timing_enum, te_hold_reason_enum, te_outcome_enum;

/* Value of a label (exact case), or -1. */
extern int te_enum_value(const TeEnum *e, const char *label);

typedef struct TeModelVote
{
	const char *model_id;
	TeDirection direction;
	double confidence; /* 0..1 */
	double weight;     /* > 0; 1 unless given */
} TeModelVote;

typedef struct TePattern
{
	const char *name;
	TeBias direction;
	double probability; /* 0..1 */
} TePattern;

typedef struct TePrediction
{
	const char *prediction_id;
	const char *symbol;
	TeTime generated_at;
	TeTime valid_until; /* TE_NO_TIME: no limit of its own */
	double current_price;
	double predicted_price;
	double bid, ask; /* both or neither */
	TeDirection direction;
	double confidence;
	double volume_confirmation; /* 0..1, or NAN */
	int model_count;
	const TeModelVote *models;
	int pattern_count;
	const TePattern *patterns;
} TePrediction;

typedef struct TeMarket
{
	TeRegime regime;
	TeTrend trend;
	double volatility_ratio; /* > 0 */
	double atr;              /* price units, or NAN */
	double ema;              /* EMA 12 of closes, or NAN */
	double spread_pips;      /* or NAN: from bid and ask if given */
} TeMarket;

typedef struct TeInstrument
{
	const char *symbol;
	const char *base_currency;
	const char *quote_currency;
	double pip_size;
	double tick_size;
	double contract_size; /* units of base per lot */
	double lot_min, lot_step, lot_max;
	double min_stop_pips;
} TeInstrument;

typedef struct TeAccount
{
	const char *currency;
	double equity;                   /* account currency, >= 0 */
	int64_t open_positions;          /* >= 0 */
	double hit_rate;                 /* 0..1, or NAN */
	double position_size_multiplier; /* 0 < x <= 1 */
	double conversion_rate;          /* account currency per unit of quote currency, or NAN */
} TeAccount;

#endif
