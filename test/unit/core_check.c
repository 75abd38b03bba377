/*
 * core_check.c - every range of the inputs: the key that is named, and the limits
 * that still pass.
 */
#include "core_fixture.h"

static Fixture f;

/* The key that the check names after one change to a sound input, or NULL. */
static const char *named_key(void)
{
	const char *reason, *key = te_input_check(&f.in, &reason);

	return (key == NULL) == (reason == NULL) ? key
	                                         : "a key without a reason, or the other way round";
}

#define NAMES(change, key)                                                                         \
	do {                                                                                           \
		fixture(&f);                                                                               \
		change;                                                                                    \
		is_text(named_key(), key, #change);                                                        \
	} while (0)

#define PASSES(change) NAMES(change, NULL)

static char long_id[140];

static void id_of(int characters, const char *character)
{
	long_id[0] = '\0';
	for (int i = 0; i < characters; i++)
		strcat(long_id, character);
	f.p.prediction_id = long_id;
}

static void predictions(void)
{
	PASSES((void)0);
	NAMES(f.p.prediction_id = NULL, "prediction.prediction_id");
	NAMES(f.p.prediction_id = "", "prediction.prediction_id");
	PASSES(id_of(128, "x"));
	NAMES(id_of(129, "x"), "prediction.prediction_id");
	PASSES(id_of(64, "\xc3\xa4"));
	NAMES(f.p.symbol = "", "prediction.symbol");
	NAMES(f.p.generated_at = TE_NO_TIME, "prediction.generated_at");
	NAMES(f.p.generated_at = INT64_MAX, "prediction.generated_at");
	NAMES(f.p.valid_until = INT64_MAX, "prediction.valid_until");
	NAMES(f.p.current_price = 0, "prediction.current_price");
	NAMES(f.p.current_price = NAN, "prediction.current_price");
	NAMES(f.p.current_price = INFINITY, "prediction.current_price");
	NAMES(f.p.predicted_price = -1, "prediction.predicted_price");
	NAMES(f.p.bid = 1.1, "prediction.ask");
	NAMES(f.p.ask = 1.1, "prediction.bid");
	PASSES(f.p.bid = f.p.ask = 1.1);
	NAMES((f.p.bid = 1.2, f.p.ask = 1.1), "prediction.bid");
	NAMES((f.p.bid = 0, f.p.ask = 1.1), "prediction.bid");
	NAMES((f.p.bid = 1.1, f.p.ask = INFINITY), "prediction.ask");
	NAMES(f.p.direction = (TeDirection)5, "prediction.direction");
	PASSES(f.p.confidence = 0);
	PASSES(f.p.confidence = 1);
	NAMES(f.p.confidence = 1.0000001, "prediction.confidence");
	NAMES(f.p.confidence = NAN, "prediction.confidence");
	NAMES(f.p.volume_confirmation = -0.1, "prediction.volume_confirmation");
	PASSES(add_vote(&f, TE_DIR_BUY, 1, 0.001));
	NAMES(add_vote(&f, TE_DIR_BUY, 1.1, 1), "prediction.models.confidence");
	NAMES(add_vote(&f, TE_DIR_BUY, 1, 0), "prediction.models.weight");
	NAMES((add_vote(&f, TE_DIR_BUY, 1, 1e308), add_vote(&f, TE_DIR_BUY, 1, 1e308)),
	      "prediction.models.weight");
	NAMES(add_vote(&f, (TeDirection)-1, 1, 1), "prediction.models.direction");
	NAMES(add_pattern(&f, TE_BIAS_BULLISH, NAN), "prediction.patterns.probability");
	NAMES(add_pattern(&f, (TeBias)3, 0.5), "prediction.patterns.direction");
}

static void markets(void)
{
	NAMES(f.m.regime = (TeRegime)5, "market.regime");
	NAMES(f.m.trend = (TeTrend)3, "market.trend");
	NAMES(f.m.volatility_ratio = 0, "market.volatility_ratio");
	NAMES(f.m.volatility_ratio = NAN, "market.volatility_ratio");
	PASSES(f.m.atr = 0);
	NAMES(f.m.atr = -1, "market.atr");
	NAMES(f.m.ema = 0, "market.ema");
	PASSES(f.m.spread_pips = 0);
	NAMES(f.m.spread_pips = INFINITY, "market.spread_pips");
}

static void instruments(void)
{
	NAMES(f.i.symbol = "GBPUSD", "instrument.symbol");
	NAMES(f.i.symbol = NULL, "instrument.symbol");
	NAMES(f.i.base_currency = "", "instrument.base_currency");
	NAMES(f.i.quote_currency = NULL, "instrument.quote_currency");
	NAMES(f.i.pip_size = 0, "instrument.pip_size");
	NAMES(f.i.tick_size = -1, "instrument.tick_size");
	NAMES(f.i.contract_size = NAN, "instrument.contract_size");
	NAMES(f.i.lot_min = 0, "instrument.lot_min");
	NAMES(f.i.lot_min = 0.015, "instrument.lot_min");
	PASSES((f.i.lot_min = 0.3, f.i.lot_step = 0.1));
	NAMES((f.i.lot_min = 1e-12, f.i.lot_step = 1), "instrument.lot_min");
	NAMES(f.i.lot_step = 0, "instrument.lot_step");
	NAMES((f.i.lot_min = 9e-9, f.i.lot_step = 9e-9), "instrument.lot_step");
	PASSES((f.i.lot_min = 1e-8, f.i.lot_step = 1e-8));
	NAMES(f.i.lot_max = 0, "instrument.lot_max");
	NAMES(f.i.lot_max = 1.1e12, "instrument.lot_max");
	PASSES(f.i.lot_max = 1e12);
	NAMES(f.i.min_stop_pips = -1, "instrument.min_stop_pips");
	PASSES(f.i.tick_size = 1e-8);
	NAMES(f.i.tick_size = 9e-9, "instrument.tick_size");
	PASSES((f.i.tick_size = 1e-8, f.p.current_price = 10));
	NAMES((f.i.tick_size = 1e-8, f.p.current_price = 10.001), "instrument.tick_size");
	NAMES((f.i.tick_size = 1e-8, f.p.predicted_price = 11), "instrument.tick_size");
	NAMES((f.i.tick_size = 1e-8, f.p.bid = 1, f.p.ask = 11), "instrument.tick_size");
}

static void accounts(void)
{
	NAMES(f.a.currency = "", "account.currency");
	PASSES(f.a.equity = 0);
	NAMES(f.a.equity = -1, "account.equity");
	NAMES(f.a.equity = NAN, "account.equity");
	NAMES(f.a.open_positions = -1, "account.open_positions");
	PASSES(f.a.hit_rate = 0);
	NAMES(f.a.hit_rate = 1.1, "account.hit_rate");
	NAMES(f.a.position_size_multiplier = 0, "account.position_size_multiplier");
	NAMES(f.a.position_size_multiplier = 1.1, "account.position_size_multiplier");
	NAMES(f.a.position_size_multiplier = NAN, "account.position_size_multiplier");
	NAMES(f.a.conversion_rate = 0, "account.conversion_rate");
}

static void the_rest(void)
{
	NAMES(f.s.risk_percent = 0, "strategy.risk_percent");
	NAMES(f.s.time_in_force = TE_TIF_IOC, "strategy.time_in_force");
	NAMES(f.in.at = TE_NO_TIME, "at");
}

/* Values at the edge of a double end in an outcome, never in a NaN that is shown or in a size out
 * of nothing. */
static void absurd_but_legal(void)
{
	fixture(&f);
	f.i.contract_size = 1e308;
	f.a.conversion_rate = 1e308;
	is_outcome(&f, "POSITION_TOO_SMALL", "an infinite loss per lot leaves no size");
	is_exactly(f.out.max_loss, NAN, "and no loss to show");
	f.a.equity = 0;
	is_outcome(&f, "POSITION_TOO_SMALL", "nor does nothing by infinity");

	fixture(&f);
	f.i.contract_size = f.a.conversion_rate = 1e-300;
	f.a.equity = 0;
	is_outcome(&f, "POSITION_TOO_SMALL", "nor nothing by nothing");

	fixture(&f);
	f.s.stop_loss_pips = 1e308;
	f.i.pip_size = 1e5;
	f.p.direction = TE_DIR_SELL;
	f.s.min_reward_risk_ratio = 0;
	is_outcome(&f, "POOR_REWARD_RISK", "an infinite stop is no price");
}

int main(void)
{
	predictions();
	markets();
	instruments();
	accounts();
	the_rest();
	absurd_but_legal();
	return done_testing();
}
