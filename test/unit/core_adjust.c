/*
 * core_adjust.c - self-adjustment: the spec's numbers, its edges, and thousands of random series.
 */
#include "core/adjust.h"
#include "core/statistics.h"

#include "core_fixture.h"
#include "core_random.h"

#define DAY (86400 * TE_USEC_PER_SEC)

static const TeAdjustSettings *spec = &te_adjust_settings_default;
static TeAdjustState state;
static TeAdjustFigures figures;
static TeAdjustment done;

/* A PRO strategy with enough trades, and nothing to adjust. */
static void start(void)
{
	state = (TeAdjustState){false, 0.7, 0.7, 1, TE_NO_TIME};
	figures = (TeAdjustFigures){100, 100, 0.7, 0.02, 0.02};
}

static const char *verdict(void)
{
	te_adjust(spec, &state, &figures, NOON, &done);
	return te_adjust_verdict_enum.labels[done.verdict];
}

/* The value that the only change leads to, or NAN. */
static double changed_to(void)
{
	verdict();
	return done.count == 1 ? done.changes[0].after : NAN;
}

static void when(void)
{
	start();
	is_text(verdict(), "NOTHING_TO_DO", "between the thresholds nothing moves");
	figures.accuracy = 0.5;
	is_text(verdict(), "ADJUSTED", "low accuracy");
	figures.closed_trades = 29;
	is_text(verdict(), "TOO_FEW_TRADES", "29 trades say nothing");
	figures.closed_trades = 30;
	is_text(verdict(), "ADJUSTED", "30 do");
	state.last_adjusted_at = NOON - DAY + 1;
	is_text(verdict(), "TOO_SOON", "once per 24 h");
	state.last_adjusted_at = NOON - DAY;
	is_text(verdict(), "ADJUSTED", "after 24 h again");
	figures.new_trades = 9;
	is_text(verdict(), "TOO_FEW_NEW_TRADES", "9 trades since");
	figures.new_trades = 10;
	is_text(verdict(), "ADJUSTED", "10 trades since");
	state.last_adjusted_at = TE_NO_TIME;
	figures.new_trades = 0;
	is_text(verdict(), "ADJUSTED", "the first time needs no new ones");
	state.opted_out = true;
	is_text(verdict(), "OPTED_OUT", "a strategy can opt out");
}

/* What an accuracy makes of a threshold, with the tier's; 0: nothing. */
static const struct
{
	double accuracy, tier, threshold, after;
	const char *name;
} thresholds[] = {
	{0.5999, 0.7, 0.7, 0.75, "accuracy below 0.6: + 0.05"},
	{18.0 / 30, 0.7, 0.7, 0, "exactly 0.6 isn't below"},
	{0.6 - 1e-10, 0.7, 0.7, 0, "nor is noise"},
	{24.0 / 30, 0.7, 0.7, 0, "exactly 0.8 isn't above"},
	{0.81, 0.7, 0.7, 0.68, "above 0.8: - 0.02"},
	{NAN, 0.7, 0.7, 0, "no accuracy, no change"},
	{0.1, 0.7, 0.93, 0.95, "the ceiling is 0.95"},
	{0.1, 0.7, 0.95, 0, "at it nothing moves"},
	{0.1, 0.7, 0.97, 0, "what was set above it isn't lowered to it"},
	{0.9, 0.7, 0.61, 0.6, "the floor is the tier's default less 0.1"},
	{0.9, 0.7, 0.6, 0, "at it nothing moves"},
	{0.9, 0.7, 0.4, 0, "what was set below it isn't raised to it"},
	{0.9, 0.55, 0.51, 0.5, "and never below 0.5"},
	{0.9, 0.8, 0.71, 0.7, "of FREE 0.7"},
};

static void threshold(void)
{
	start();
	for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
		figures.accuracy = thresholds[i].accuracy;
		state.tier_threshold = thresholds[i].tier;
		state.threshold = thresholds[i].threshold;
		if (thresholds[i].after > 0)
			is_exactly(changed_to(), thresholds[i].after, thresholds[i].name);
		else
			is_text(verdict(), "NOTHING_TO_DO", thresholds[i].name);
	}
	start();
	figures.accuracy = 0.5999;
	verdict();
	ok(done.changes[0].what == TE_ADJUSTS_THRESHOLD && done.changes[0].before == 0.7 &&
	       done.changes[0].reason == TE_ADJUST_REASON_LOW_ACCURACY &&
	       done.changes[0].figure == 0.5999 && done.changes[0].limit == 0.6,
	   "with its evidence");
}

static void size(void)
{
	static const double down[] = {0.8, 0.64, 0.512, 0.4096, 0.32768, 0.262144, 0.2097152, 0.2};
	static const double up[] = {0.25, 0.3125, 0.390625, 0.488281250, 0.610351563, 0.762939454};

	start();
	figures.max_drawdown = figures.drawdown = 0.1;
	is_text(verdict(), "NOTHING_TO_DO", "a drawdown of 10 % isn't above 10 %");
	figures.max_drawdown = figures.drawdown = 0.11;
	for (int i = 0; i < 8; i++) {
		is_exactly(changed_to(), down[i], "the size times 0.8, down to 0.2");
		state.size_multiplier = down[i];
	}
	is_text(verdict(), "NOTHING_TO_DO", "not further");
	figures.drawdown = 0.05;
	figures.max_drawdown = 0.09;
	is_text(verdict(), "NOTHING_TO_DO", "5 % isn't under 5 %");
	figures.drawdown = 0.0499;
	for (int i = 0; i < 6; i++) {
		is_near(changed_to(), up[i], 1e-12, "then divided by 0.8");
		state.size_multiplier = done.changes[0].after;
	}
	is_near(changed_to(), 0.9536743175, 1e-9, "and again");
	state.size_multiplier = done.changes[0].after;
	is_exactly(changed_to(), 1, "up to 1");
	state.size_multiplier = 1;
	is_text(verdict(), "NOTHING_TO_DO", "not further");

	figures.max_drawdown = 0.2;
	figures.drawdown = 0.01;
	is_text(verdict(), "NOTHING_TO_DO", "a deep drawdown that has recovered reduces nothing");
	state.size_multiplier = 0.8;
	is_exactly(changed_to(), 1, "and gives back what it took");
	figures.drawdown = NAN;
	is_exactly(changed_to(), 0.64, "the deepest stands for the present one where that isn't known");
	figures.max_drawdown = NAN;
	is_text(verdict(), "NOTHING_TO_DO", "without any figure nothing moves");
	state.size_multiplier = 0.1;
	figures.max_drawdown = 0.5;
	is_text(verdict(), "NOTHING_TO_DO", "what was set below the floor isn't raised by a loss");
}

static void both_and_back(void)
{
	TeAdjustState before;
	TeAdjustment both;

	start();
	figures.accuracy = 0.3;
	figures.max_drawdown = figures.drawdown = 0.3;
	state.threshold = 0.7123456789012345;
	state.size_multiplier = 0.77777777777777779;
	before = state;
	verdict();
	both = done;
	ok(both.count == 2, "one adjustment may change both");
	te_adjust_apply(&state, &both, NOON);
	ok(state.threshold == 0.762345679 && state.last_adjusted_at == NOON, "applied");
	ok(te_adjust_undo(&state, &both) && state.threshold == before.threshold &&
	       state.size_multiplier == before.size_multiplier,
	   "undone to the bit");
	ok(state.last_adjusted_at == NOON, "the pause stays, so that it isn't done again at once");
	is_text(verdict(), "TOO_SOON", "as a look at once shows");
	ok(!te_adjust_undo(&state, &both), "undone once");
	te_adjust_apply(&state, &both, NOON);
	state.threshold = 0.8;
	ok(!te_adjust_undo(&state, &both) && state.size_multiplier == both.changes[1].after,
	   "what was set by hand since isn't overwritten, nor is half of it undone");
}

static void weights(void)
{
	is_exactly(te_model_weight(spec, 2, 29, 0), 2, "29 votes: its own weight");
	is_exactly(te_model_weight(spec, 2, 15, 15), 2, "as good as a coin: its own weight");
	is_near(te_model_weight(spec, 2, 18, 12), 2.4, 1e-12, "0.6 right: times 1.2");
	is_exactly(te_model_weight(spec, 2, 30, 0), 3, "not more than 1.5 times");
	is_exactly(te_model_weight(spec, 2, 0, 30), 1, "not less than half");
}

static void settings(void)
{
	TeAdjustSettings s = *spec;
	const char *reason;

	ok(te_adjust_settings_check(&s, &reason) == NULL, "the spec's settings are sound");
	s.low_accuracy = 0.8;
	is_text(te_adjust_settings_check(&s, &reason), "low_accuracy", "no gap, no hysteresis");
	s = *spec;
	s.low_drawdown = 0.1;
	is_text(te_adjust_settings_check(&s, &reason), "low_drawdown", "nor for drawdowns");
	s = *spec;
	s.size_factor = 1;
	is_text(te_adjust_settings_check(&s, &reason), "size_factor", "a factor that does nothing");
	s = *spec;
	s.ceiling = NAN;
	is_text(te_adjust_settings_check(&s, &reason), "ceiling", "no number");
}

#define SERIES 3000
#define TRADES 400
#define WINDOW 100

typedef struct Row
{
	TeTime at;
	TeAdjustment adjustment;
	TeAdjustState before;
} Row;

static double profits[TRADES];
static TeTime closes[TRADES];
static Row rows[TRADES];

/* The figures of the last trades, by the same functions that the engine uses. */
static void measure(int count, int since)
{
	int from = count > WINDOW ? count - WINDOW : 0;
	TeTradeSums sums = {0};
	TeEquityCurve curve;
	double equity = 10000;

	for (int i = 0; i < from; i++)
		equity += profits[i];
	te_equity_begin(&curve, equity);
	for (int i = from; i < count; i++) {
		te_trade_sums_add(&sums, profits[i]);
		te_equity_add(&curve, closes[i], profits[i]);
	}
	te_equity_end(&curve);
	figures = (TeAdjustFigures){count - from, count - since, te_win_rate(&sums),
	                            te_max_drawdown(&curve), (curve.peak - curve.equity) / curve.peak};
}

/* One series from beginning to end, then undone.  Returns how many promises were broken. */
static int series(int *adjusted)
{
	double luck = between(0.2, 0.95), tier = below(3) == 0 ? 0.8 : 0.6 + below(2) * 0.1;
	double floor = fmax(0.5, tier - 0.1) - 1e-9;
	TeTime now = NOON;
	int count = 0, since = 0, broken = 0;

	state = (TeAdjustState){false, between(floor + 2e-9, 0.95), tier, between(0.2, 1), TE_NO_TIME};
	for (int i = 0; i < TRADES; i++) {
		if (below(100) == 0)
			luck = between(0.2, 0.95);
		now += below(6) * 3600 * TE_USEC_PER_SEC;
		closes[i] = now;
		profits[i] = between(0, 300) * (between(0, 1) < luck ? 1 : below(20) ? -1 : 0);
		measure(i + 1, since);
		te_adjust(spec, &state, &figures, now, &done);
		broken += (done.verdict == TE_ADJUST_ADJUSTED) != (done.count > 0);
		if (done.count == 0)
			continue;
		broken += figures.closed_trades < 30;
		broken += count > 0 && now - rows[count - 1].at < DAY;
		broken += count > 0 && i + 1 - since < 10;
		rows[count++] = (Row){now, done, state};
		te_adjust_apply(&state, &done, now);
		since = i + 1;
		broken += state.threshold < floor || state.threshold > 0.95;
		broken += state.size_multiplier < 0.2 || state.size_multiplier > 1;
	}
	*adjusted += count;
	while (count-- > 0) {
		broken += !te_adjust_undo(&state, &rows[count].adjustment);
		broken += memcmp(&state.threshold, &rows[count].before.threshold, sizeof(double)) != 0 ||
		          memcmp(&state.size_multiplier, &rows[count].before.size_multiplier,
		                 sizeof(double)) != 0;
	}
	return broken;
}

static void property(void)
{
	int broken = 0, adjusted = 0;

	for (int i = 0; i < SERIES; i++)
		broken += series(&adjusted);
	ok(broken == 0, "3,000 random series of 400 trades: never out of bounds, never twice in a "
	                "window, always undone to the bit");
	ok(adjusted > 5 * SERIES, "with many adjustments each");
}

int main(void)
{
	when();
	threshold();
	size();
	both_and_back();
	weights();
	settings();
	property();
	return done_testing();
}
