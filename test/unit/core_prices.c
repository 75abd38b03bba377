/*
 * core_prices.c - gate 9: timing, entry, stop loss, take profit, reward to risk.
 * The numbers are worked out by hand; the fixture says from what.
 */
#include "core_fixture.h"

static Fixture f;

/* Quotes 1.2 pips apart around 1.10001. */
static void quotes(void)
{
	f.p.bid = 1.09995;
	f.p.ask = 1.10007;
}

static void plain(void)
{
	fixture(&f);
	is_outcome(&f, "SIGNAL", "the fixture is a signal");
	ok(f.out.order_type == TE_ORDER_LIMIT && f.out.urgency == TE_URGENCY_PATIENT, "LIMIT, PATIENT");
	is_exactly(f.out.entry_price, 1.0998, "entry 2 pips below");
	is_exactly(f.out.limit_price, 1.0998, "which is the limit");
	is_exactly(f.out.stop_loss, 1.0978, "stop 20 pips below that");
	is_exactly(f.out.take_profit, 1.1038, "take profit at twice the risk");
	is_exactly(f.out.reward_risk_ratio, 2, "a ratio of 2");

	f.p.direction = TE_DIR_SELL;
	decide(&f);
	is_exactly(f.out.entry_price, 1.1002, "a SELL rests 2 pips above");
	is_exactly(f.out.stop_loss, 1.1022, "its stop is above");
	is_exactly(f.out.take_profit, 1.0962, "its take profit below");
}

static void limit_entries(void)
{
	fixture(&f);
	f.p.current_price = 1.100004;
	decide(&f);
	is_exactly(f.out.entry_price, 1.0998, "a BUY limit is rounded down");
	f.p.direction = TE_DIR_SELL;
	decide(&f);
	is_exactly(f.out.entry_price, 1.10021, "a SELL limit is rounded up");

	fixture(&f);
	quotes();
	decide(&f);
	is_exactly(f.out.entry_price, 1.09975, "with quotes a BUY rests below the bid");
	f.p.direction = TE_DIR_SELL;
	f.s.limit_order_premium_pips = 3;
	decide(&f);
	is_exactly(f.out.entry_price, 1.10037, "a SELL above the ask, by its premium");

	fixture(&f);
	f.s.limit_order_discount_pips = 20;
	decide(&f);
	is_exactly(f.out.entry_price, 1.099, "not further than max_limit_deviation_pips");
	f.s.max_limit_deviation_pips = 0;
	decide(&f);
	is_exactly(f.out.entry_price, 1.1, "0 is at the reference");
}

static void market_entries(void)
{
	fixture(&f);
	f.s.prefer_market_orders = true;
	f.p.current_price = 1.100004;
	decide(&f);
	ok(f.out.order_type == TE_ORDER_MARKET && f.out.urgency == TE_URGENCY_IMMEDIATE,
	   "MARKET, IMMEDIATE");
	is_exactly(f.out.entry_price, 1.10001, "a BUY is rounded up");
	is_exactly(f.out.limit_price, NAN, "and has no limit");
	f.p.direction = TE_DIR_SELL;
	decide(&f);
	is_exactly(f.out.entry_price, 1.1, "a SELL is rounded down");

	quotes();
	decide(&f);
	is_exactly(f.out.entry_price, 1.09995, "with quotes a SELL gets the bid");
	f.p.direction = TE_DIR_BUY;
	decide(&f);
	is_exactly(f.out.entry_price, 1.10007, "a BUY pays the ask");
	is_exactly(f.out.stop_loss, 1.09807, "and its stop is measured from there");
}

/* A BUY LIMIT at 1.09980 and how far its stop is away, in ticks. */
static double stop_ticks(double pips)
{
	f.s.stop_loss_pips = pips;
	decide(&f);
	return round((f.out.entry_price - f.out.stop_loss) * 100000);
}

static void stops(void)
{
	fixture(&f);
	is_exactly(stop_ticks(20.04), 200, "200.4 ticks are rounded towards entry");
	is_exactly(stop_ticks(0.01), 1, "a stop is at least a tick away");
	f.i.min_stop_pips = 20.04;
	is_exactly(stop_ticks(20.04), 201, "but a tick further out where the instrument wants 200.4");
	f.i.min_stop_pips = 5;
	is_exactly(stop_ticks(4.9), 50, "min_stop_pips is the least");
	is_exactly(stop_ticks(5), 50, "and may be met exactly");
	is_exactly(stop_ticks(5.1), 51, "and passed by a tick");

	fixture(&f);
	f.m.spread_pips = 0.33;
	is_exactly(stop_ticks(0.1), 7, "twice 3.3 ticks of spread need 7");
	f.s.min_stop_spread_multiple = 0;
	is_exactly(stop_ticks(0.1), 1, "unless the multiple is 0");

	fixture(&f);
	quotes();
	is_exactly(stop_ticks(1), 24, "quotes 12 ticks apart need 24");
	f.m.spread_pips = 1;
	is_exactly(stop_ticks(1), 20, "an explicit spread wins");
	f.m.spread_pips = NAN;
	f.s.prefer_market_orders = true;
	is_exactly(stop_ticks(1), 36, "a market order crosses the spread as well");
	f.m.spread_pips = 1;
	is_exactly(stop_ticks(1), 32, "that of the quotes, whatever the spread is said to be");
	f.p.bid = f.p.ask = NAN;
	is_exactly(stop_ticks(1), 20, "and without quotes doesn't");

	fixture(&f);
	f.s.stop_loss_mode = TE_STOP_LOSS_ATR;
	f.m.atr = 0.00123; /* 1.5 * 123 = 184.5 ticks */
	decide(&f);
	is_exactly(f.out.stop_loss, 1.09796, "an ATR stop, towards entry");
	is_exactly(f.out.take_profit, 1.10348, "the take profit follows from the rounded risk");
	f.m.atr = 0;
	decide(&f);
	is_exactly(f.out.stop_loss, 1.0978, "an ATR of 0 is as PIPS");
	f.m.atr = NAN;
	decide(&f);
	is_exactly(f.out.stop_loss, 1.0978, "and so is none");

	fixture(&f);
	f.p.direction = TE_DIR_SELL;
	f.s.stop_loss_pips = 20.04;
	decide(&f);
	is_exactly(f.out.stop_loss, 1.1022, "the stop of a SELL is rounded down, towards entry");
}

static void targets(void)
{
	fixture(&f);
	f.s.take_profit_mode = TE_TAKE_PROFIT_PIPS;
	f.s.take_profit_pips = 30.07;
	decide(&f);
	is_exactly(f.out.take_profit, 1.1028, "PIPS, towards entry");
	is_exactly(f.out.reward_risk_ratio, 1.5, "300 ticks for 200");

	fixture(&f);
	f.s.take_profit_mode = TE_TAKE_PROFIT_PREDICTED_PRICE;
	f.p.predicted_price = 1.105007;
	decide(&f);
	is_exactly(f.out.take_profit, 1.105, "PREDICTED_PRICE, towards entry");
	is_exactly(f.out.reward_risk_ratio, 2.6, "520 ticks for 200");
	f.p.direction = TE_DIR_SELL;
	f.p.predicted_price = 1.094993;
	decide(&f);
	is_exactly(f.out.take_profit, 1.095, "of a SELL it is rounded up");

	fixture(&f);
	f.s.reward_risk_ratio = 1.333;
	decide(&f);
	is_exactly(f.out.take_profit, 1.10246, "RISK_REWARD: 266.6 ticks become 266");
	is_exactly(f.out.reward_risk_ratio, 1.33, "and that is the ratio shown");
}

/* The outcome when the take profit is the predicted price. */
static const char *predicting(double price)
{
	f.s.take_profit_mode = TE_TAKE_PROFIT_PREDICTED_PRICE;
	f.p.predicted_price = price;
	return outcome(&f);
}

static void poor_rewards(void)
{
	fixture(&f);
	is_text(predicting(1.10179), "SIGNAL", "199 ticks for 200: a tick is forgiven");
	is_text(predicting(1.10178), "POOR_REWARD_RISK", "198 are too few");
	is_text(last_step(&f)->check, "reward_risk_ratio", "and the ratio is named");
	is_exactly(f.out.take_profit, 1.10178, "prices are there");
	is_exactly(f.out.reward_risk_ratio, 0.99, "and the ratio");
	ok(isnan(f.out.position_size) && f.out.expires_at == TE_NO_TIME, "but no size and no expiry");

	f.s.min_reward_risk_ratio = 0;
	is_text(predicting(1.09981), "SIGNAL", "without a least ratio a tick is enough");
	is_text(predicting(1.0998), "POOR_REWARD_RISK", "nothing isn't");
	is_text(last_step(&f)->check, "reward_pips", "and the reward is named");
	ok(!signbit(f.out.reward_risk_ratio), "a ratio of 0 has no sign");
	is_text(predicting(1.09), "POOR_REWARD_RISK", "nor is a price on the wrong side");
	is_exactly(f.out.reward_risk_ratio, -4.9, "980 ticks behind for 200");
	f.i.min_stop_pips = 1;
	is_text(predicting(1.0999), "SIGNAL", "10 ticks where min_stop_pips is 1");
	is_text(predicting(1.09989), "POOR_REWARD_RISK", "9 are too few");

	fixture(&f);
	f.p.current_price = 0.0002;
	is_outcome(&f, "POOR_REWARD_RISK", "an entry of 0");
	is_text(last_step(&f)->check, "entry_price", "is named");
	ok(!f.out.has_order && isnan(f.out.entry_price), "and gives no prices");
	f.p.current_price = 0.0022;
	is_outcome(&f, "POOR_REWARD_RISK", "a stop of 0");
	is_text(last_step(&f)->check, "stop_loss", "is named");
	is_exactly(f.out.entry_price, 0.002, "with the entry shown");
	is_exactly(f.out.stop_loss, NAN, "and no stop");
	f.p.current_price = 0.00221;
	is_outcome(&f, "SIGNAL", "a tick more is enough");
	is_exactly(f.out.stop_loss, 0.00001, "for a stop of a tick");
	f.p.direction = TE_DIR_SELL;
	f.p.current_price = 0.0038;
	is_outcome(&f, "POOR_REWARD_RISK", "a SELL's take profit of 0");
	is_text(last_step(&f)->check, "take_profit", "is named");
	f.p.current_price = 0.00381;
	is_outcome(&f, "SIGNAL", "a tick more is enough");
}

static void other_instruments(void)
{
	fixture(&f);
	f.p.current_price = 150.123;
	f.i.base_currency = "USD";
	f.i.quote_currency = "JPY";
	f.i.pip_size = 0.01;
	f.i.tick_size = 0.001;
	decide(&f);
	is_exactly(f.out.entry_price, 150.103, "USDJPY: a pip is 0.01");
	is_exactly(f.out.stop_loss, 149.903, "and 20 pips are 0.2");
	is_exactly(f.out.take_profit, 150.503, "and 40 are 0.4");

	fixture(&f);
	f.p.current_price = 4500.3;
	f.i.pip_size = 1;
	f.i.tick_size = 0.25;
	decide(&f);
	is_exactly(f.out.entry_price, 4498.25, "an index in quarters");
	is_exactly(f.out.stop_loss, 4478.25, "and its stop");

	fixture(&f);
	f.p.current_price = 61.7;
	f.i.pip_size = 0.3;
	f.i.tick_size = 0.3; /* 1/0.3 isn't whole */
	decide(&f);
	is_exactly(f.out.entry_price, 203 * 0.3,
	           "a step without a whole inverse: 61.1 is 203.67 of 0.3");
	is_exactly(f.out.stop_loss, 183 * 0.3, "and 20 of them below");
}

/* A price of 1.10000 with an average below it and an ATR of 10 pips; 20 pips are too far. */
static void extended(double ema)
{
	fixture(&f);
	f.s.advanced_timing = true;
	f.m.atr = 0.001;
	f.m.ema = ema;
	decide(&f);
}

static void timing(void)
{
	extended(1.098);
	ok(f.out.timing == TE_TIMING_IMMEDIATE, "exactly at the extension is IMMEDIATE");
	is_exactly(f.out.entry_price, 1.0998, "with the usual entry");
	extended(1.09799);
	ok(f.out.timing == TE_TIMING_WAIT_PULLBACK, "a tick further is WAIT_PULLBACK");
	is_exactly(f.out.trigger_price, 1.09999, "with the extension as trigger");

	extended(1.097004);
	is_exactly(f.out.trigger_price, 1.099, "the trigger is rounded as a limit");
	ok(f.out.entry_price == 1.099 && f.out.limit_price == 1.099, "and is entry and limit");
	ok(f.out.order_type == TE_ORDER_LIMIT && f.out.urgency == TE_URGENCY_PATIENT, "LIMIT, PATIENT");
	is_exactly(f.out.stop_loss, 1.097, "the stop is measured from it");
	is_exactly(f.out.take_profit, 1.103, "and the take profit");

	f.s.prefer_market_orders = true;
	f.s.time_in_force = TE_TIF_FOK;
	decide(&f);
	ok(f.out.order_type == TE_ORDER_LIMIT && f.out.time_in_force == TE_TIF_GTC,
	   "market orders wait too, and GTC");
	f.s.time_in_force = TE_TIF_DAY;
	decide(&f);
	ok(f.out.time_in_force == TE_TIF_DAY, "DAY stays DAY");
	quotes();
	f.s.stop_loss_pips = 1;
	decide(&f);
	is_exactly(f.out.stop_loss, 1.09876, "a waiting order has no spread to cross: 24 ticks");

	extended(1.097);
	f.a.open_positions = 10;
	is_outcome(&f, "MAX_POSITIONS", "without a signal");
	ok(f.out.timing == TE_TIMING_IMMEDIATE && isnan(f.out.trigger_price), "there is no timing");
	is_exactly(f.out.entry_price, 1.099, "but the price that it gave");

	extended(1.103);
	ok(f.out.timing == TE_TIMING_IMMEDIATE, "a BUY below its average is IMMEDIATE");
	f.p.direction = TE_DIR_SELL;
	decide(&f);
	is_exactly(f.out.trigger_price, 1.101, "a SELL waits below a high average");

	extended(1.097);
	f.s.advanced_timing = false;
	decide(&f);
	ok(f.out.timing == TE_TIMING_IMMEDIATE, "timing needs advanced_timing");
	f.s.advanced_timing = true;
	f.m.atr = 0;
	decide(&f);
	ok(f.out.timing == TE_TIMING_IMMEDIATE, "and an ATR");
	f.m.atr = 0.001;
	f.m.ema = NAN;
	decide(&f);
	ok(f.out.timing == TE_TIMING_IMMEDIATE && isnan(f.out.trigger_price), "and an average");
}

int main(void)
{
	plain();
	limit_entries();
	market_entries();
	stops();
	targets();
	poor_rewards();
	other_instruments();
	timing();
	return done_testing();
}
