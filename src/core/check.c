/*
 * check.c - the ranges of the six inputs.  The first value out of range is named.
 */
#include <string.h>

#include "decide.h"
#include "ticks.h"

/* Years 1 to 9999, so that differences of times never overflow and every time has an RFC 3339 text.
 */
#define FIRST_TIME INT64_C(-62135596800000000)
#define LAST_TIME INT64_C(253402300799999999)

#define MAX_PREDICTION_ID 128
#define MAX_TICKS_PER_PRICE 1e9
#define MIN_TICK_SIZE 1e-8
#define MIN_LOT_STEP 1e-8
#define MAX_LOTS 1e12

/* Prices and ranges are compared with this much room for the noise of a division. */
#define RELATIVE_NOISE 1e-9

static const char *fail(const char **reason, const char *why, const char *key)
{
	*reason = why;
	return key;
}

/* Each returns why a value is not what it has to be, or NULL. */
static const char *above_zero(double x)
{
	return isfinite(x) && x > 0 ? NULL : "must be finite and > 0";
}

static const char *not_negative(double x)
{
	return isfinite(x) && x >= 0 ? NULL : "must be finite and >= 0";
}

static const char *from_0_to_1(double x)
{
	return x >= 0 && x <= 1 ? NULL : "must be from 0 to 1";
}

static const char *above_0_to_1(double x)
{
	return x > 0 && x <= 1 ? NULL : "must be > 0 and <= 1";
}

static const char *a_time(TeTime t)
{
	return t >= FIRST_TIME && t <= LAST_TIME ? NULL : "must be a time of the years 1 to 9999";
}

static const char *a_text(const char *text)
{
	return text != NULL && text[0] != '\0' ? NULL : "must be a text that is not empty";
}

/* Characters of UTF-8: every byte but the continuation bytes. */
static const char *an_id(const char *text)
{
	size_t characters = 0;

	if (text == NULL)
		return "must be a text of 1 to 128 characters";
	for (const char *c = text; *c != '\0' && characters <= MAX_PREDICTION_ID; c++)
		characters += ((unsigned char)*c & 0xC0) != 0x80;
	return characters >= 1 && characters <= MAX_PREDICTION_ID
	           ? NULL
	           : "must be a text of 1 to 128 characters";
}

static const char *a_member(int value, int count)
{
	return value >= 0 && value < count ? NULL : "is unknown";
}

/* Checks a value that has to be there. */
#define CHECK(key, why)                                                                            \
	do {                                                                                           \
		const char *why_ = (why);                                                                  \
		if (why_ != NULL)                                                                          \
			return fail(reason, why_, key);                                                        \
	} while (0)

/* Checks an optional number, which is NAN when it is absent. */
#define CHECK_KNOWN(key, value, test)                                                              \
	do {                                                                                           \
		if (te_known(value))                                                                       \
			CHECK(key, test(value));                                                               \
	} while (0)

static const char *quotes_check(const TePrediction *p, const char **reason)
{
	CHECK_KNOWN("prediction.bid", p->bid, above_zero);
	CHECK_KNOWN("prediction.ask", p->ask, above_zero);
	if (te_known(p->bid) && !te_known(p->ask))
		return fail(reason, "must be given with bid", "prediction.ask");
	if (te_known(p->ask) && !te_known(p->bid))
		return fail(reason, "must be given with ask", "prediction.bid");
	if (p->bid > p->ask)
		return fail(reason, "must not be above ask", "prediction.bid");
	return NULL;
}

static const char *votes_check(const TePrediction *p, const char **reason)
{
	double weights = 0;

	for (int i = 0; i < p->model_count; i++) {
		CHECK("prediction.models.direction",
		      a_member((int)p->models[i].direction, TE_DIRECTION_COUNT));
		CHECK("prediction.models.confidence", from_0_to_1(p->models[i].confidence));
		CHECK("prediction.models.weight", above_zero(p->models[i].weight));
		weights += p->models[i].weight;
	}
	if (!isfinite(weights))
		return fail(reason, "must have a finite sum", "prediction.models.weight");
	for (int i = 0; i < p->pattern_count; i++) {
		CHECK("prediction.patterns.direction",
		      a_member((int)p->patterns[i].direction, TE_BIAS_COUNT));
		CHECK("prediction.patterns.probability", from_0_to_1(p->patterns[i].probability));
	}
	return NULL;
}

const char *te_prediction_check(const TePrediction *p, const char **reason)
{
	const char *key;

	*reason = NULL;
	CHECK("prediction.prediction_id", an_id(p->prediction_id));
	CHECK("prediction.symbol", a_text(p->symbol));
	CHECK("prediction.generated_at", a_time(p->generated_at));
	if (p->valid_until != TE_NO_TIME)
		CHECK("prediction.valid_until", a_time(p->valid_until));
	CHECK("prediction.current_price", above_zero(p->current_price));
	CHECK("prediction.predicted_price", above_zero(p->predicted_price));
	if ((key = quotes_check(p, reason)) != NULL)
		return key;
	CHECK("prediction.direction", a_member((int)p->direction, TE_DIRECTION_COUNT));
	CHECK("prediction.confidence", from_0_to_1(p->confidence));
	CHECK_KNOWN("prediction.volume_confirmation", p->volume_confirmation, from_0_to_1);
	return votes_check(p, reason);
}

const char *te_instrument_check(const TeInstrument *i, double price, const char **reason)
{
	TeGrid lot;

	*reason = NULL;
	CHECK("instrument.symbol", a_text(i->symbol));
	CHECK("instrument.base_currency", a_text(i->base_currency));
	CHECK("instrument.quote_currency", a_text(i->quote_currency));
	CHECK("instrument.pip_size", above_zero(i->pip_size));
	CHECK("instrument.tick_size", above_zero(i->tick_size));
	CHECK("instrument.contract_size", above_zero(i->contract_size));
	CHECK("instrument.lot_min", above_zero(i->lot_min));
	CHECK("instrument.lot_step", above_zero(i->lot_step));
	CHECK("instrument.lot_max", above_zero(i->lot_max));
	CHECK("instrument.min_stop_pips", not_negative(i->min_stop_pips));

	if (i->tick_size < MIN_TICK_SIZE)
		return fail(reason, "must be at least 1e-8", "instrument.tick_size");
	if (!(price / i->tick_size <= MAX_TICKS_PER_PRICE * (1 + RELATIVE_NOISE)))
		return fail(reason, "is too small for the price: more than 1e9 ticks",
		            "instrument.tick_size");
	/* Products of numbers of steps stay far from the ends of the type. */
	if (i->lot_step < MIN_LOT_STEP)
		return fail(reason, "must be at least 1e-8", "instrument.lot_step");
	if (i->lot_max > MAX_LOTS)
		return fail(reason, "must be at most 1e12", "instrument.lot_max");
	lot = te_grid(i->lot_step);
	if (!te_steps_whole(te_grid_steps(&lot, i->lot_min)) ||
	    te_steps_down(te_grid_steps(&lot, i->lot_min)) < 1)
		return fail(reason, "must be a multiple of lot_step", "instrument.lot_min");
	return NULL;
}

const char *te_market_check(const TeMarket *m, const char **reason)
{
	*reason = NULL;
	CHECK("market.regime", a_member((int)m->regime, TE_REGIME_COUNT));
	CHECK("market.trend", a_member((int)m->trend, TE_TREND_COUNT));
	CHECK("market.volatility_ratio", above_zero(m->volatility_ratio));
	CHECK_KNOWN("market.atr", m->atr, not_negative);
	CHECK_KNOWN("market.ema", m->ema, above_zero);
	CHECK_KNOWN("market.spread_pips", m->spread_pips, not_negative);
	return NULL;
}

const char *te_account_check(const TeAccount *a, const char **reason)
{
	*reason = NULL;
	CHECK("account.currency", a_text(a->currency));
	CHECK("account.equity", not_negative(a->equity));
	CHECK("account.open_positions", a->open_positions >= 0 ? NULL : "must be >= 0");
	CHECK_KNOWN("account.hit_rate", a->hit_rate, from_0_to_1);
	CHECK("account.position_size_multiplier", above_0_to_1(a->position_size_multiplier));
	CHECK_KNOWN("account.conversion_rate", a->conversion_rate, above_zero);
	return NULL;
}

/* te_strategy_check names a parameter; here it gets the name of its object. */
static const char *strategy_check(const TeStrategy *s, const char **reason)
{
#define QUALIFIED_NAME(name, ...) "strategy." #name,
	static const char *const keys[TE_PARAM_COUNT] = {TE_STRATEGY_PARAMS(QUALIFIED_NAME)};
#undef QUALIFIED_NAME
	TeParamSet all = {.set = TE_PARAM_BIT(TE_PARAM_COUNT) - 1, .values = *s};
	const char *name = te_strategy_check(&all, reason);

	return name == NULL ? NULL : keys[te_param_find(name)];
}

/* The greatest price that a decision starts from. */
static double greatest_price(const TePrediction *p)
{
	return fmax(fmax(p->current_price, p->predicted_price), p->ask);
}

const char *te_input_check(const TeDecisionInput *in, const char **reason)
{
	const char *key;

	if ((key = te_prediction_check(in->prediction, reason)) != NULL ||
	    (key = strategy_check(in->strategy, reason)) != NULL ||
	    (key = te_market_check(in->market, reason)) != NULL ||
	    (key = te_instrument_check(in->instrument, greatest_price(in->prediction), reason)) !=
	        NULL ||
	    (key = te_account_check(in->account, reason)) != NULL)
		return key;
	if (strcmp(in->instrument->symbol, in->prediction->symbol) != 0)
		return fail(reason, "differs from the prediction's symbol", "instrument.symbol");
	CHECK("at", a_time(in->at));
	return NULL;
}
