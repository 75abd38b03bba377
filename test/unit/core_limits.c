/*
 * core_limits.c - scopes, the kill switch, built-in limits.
 */
#include <jansson.h>

#include "core/limits.h"

#include "core_fixture.h"
#include "core_random.h"
#include "core_vectors.h"

static const TeScope target = {"acme", "ann", "trend", "EURUSD", 1};

static void scopes(void)
{
	static const struct
	{
		TeScope scope;
		bool covers;
		const char *name;
	} rows[] = {
		{{NULL, NULL, NULL, NULL, 0}, true, "all"},
		{{"acme", NULL, NULL, NULL, 0}, true, "its company"},
		{{"other", NULL, NULL, NULL, 0}, false, "another company"},
		{{"acme", "ann", NULL, NULL, 0}, true, "its user"},
		{{"other", "ann", NULL, NULL, 0}, false, "a user of that name elsewhere"},
		{{"acme", "ann", "trend", NULL, 0}, true, "its strategy"},
		{{"acme", "ann", "mean", NULL, 0}, false, "another strategy"},
		{{NULL, NULL, NULL, "EURUSD", 0}, true, "its symbol everywhere"},
		{{"acme", NULL, NULL, "USDJPY", 0}, false, "another symbol of the company"},
		{{"acme", "ann", "trend", "EURUSD", 1}, true, "itself"},
		{{NULL, NULL, NULL, NULL, -1}, false, "the other side"},
	};
	TeScope without_strategy = {"acme", "ann", NULL, "EURUSD", 1};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(te_scope_covers(&rows[i].scope, &target) == rows[i].covers, rows[i].name);
	ok(!te_scope_covers(&rows[5].scope, &without_strategy),
	   "what has no strategy isn't within the scope of one");
	ok(te_scope_check(&target) == NULL, "a sound scope");
	is_text(te_scope_check(&(TeScope){NULL, "ann", NULL, NULL, 0}), "a user needs its company",
	        "a user alone");
	is_text(te_scope_check(&(TeScope){"acme", NULL, "trend", NULL, 0}), "a strategy needs its user",
	        "a strategy alone");
}

static void kill_switch(void)
{
	const TeSwitch switches[] = {
		{{NULL, NULL, NULL, NULL, 0}, TE_TRADING_ACTIVE},
		{{"acme", NULL, NULL, NULL, 0}, TE_TRADING_REDUCING},
		{{"acme", "ann", "trend", NULL, 0}, TE_TRADING_ACTIVE},
		{{NULL, NULL, NULL, "USDJPY", 0}, TE_TRADING_HALTED},
	};
	TeScope yen = target, other = {"other", "bob", "s", "EURUSD", 1};

	yen.symbol = "USDJPY";
	is_text(te_trading_state_enum.labels[te_trading_state(switches, 4, &target)], "REDUCING",
	        "the company's REDUCING beats the strategy's ACTIVE");
	is_text(te_trading_state_enum.labels[te_trading_state(switches, 4, &yen)], "HALTED",
	        "the symbol's HALTED beats both");
	is_text(te_trading_state_enum.labels[te_trading_state(switches, 4, &other)], "ACTIVE",
	        "other companies aren't concerned");
	is_text(te_trading_state_enum.labels[te_trading_state(NULL, 0, &target)], "ACTIVE",
	        "without switches all is active");

	ok(te_trading_permits(TE_TRADING_ACTIVE, 0, 1, 5), "ACTIVE: everything");
	ok(!te_trading_permits(TE_TRADING_HALTED, 1, -1, 1), "HALTED: nothing, not even a close");
	ok(te_trading_permits(TE_TRADING_REDUCING, 1, -1, 0.4), "REDUCING: a partial close");
	ok(te_trading_permits(TE_TRADING_REDUCING, -1, 1, 1), "a whole close");
	ok(!te_trading_permits(TE_TRADING_REDUCING, 1, -1, 1.01), "no turning round");
	ok(!te_trading_permits(TE_TRADING_REDUCING, 1, 1, 0.01), "no more of the same side");
	ok(!te_trading_permits(TE_TRADING_REDUCING, 0, 1, 0.01), "no opening");
}

/* One row over a sound account; a lot costs 200 at its stop, is worth 110,000, binds 2,200. */
static TeLimitRow row;
static const TeLotCost lot = {1, 200, 110000, 2200, true, false};

static void start(void)
{
	te_limits_none(&row.limits);
	row.open = (TeOpenState){
		.equity = 10000, .day_start_equity = 10000, .peak_equity = 10000, .positions = 0};
}

/* Lots that fit of 0.5. */
static double room(TeRiskNoteKind *why)
{
	TeLimitFinding f = te_limits_room(&row, 1, &lot, 0.5);

	*why = f.why;
	return f.lots;
}

#define is_room(lots, kind, name)                                                                  \
	do {                                                                                           \
		TeRiskNoteKind why_;                                                                       \
		is_near(room(&why_), lots, 1e-9, name);                                                    \
		is_text(te_risk_note_enum.labels[why_], #kind, name);                                      \
	} while (0)
#define is_unlimited(name)                                                                         \
	do {                                                                                           \
		TeRiskNoteKind why_;                                                                       \
		ok(isinf(room(&why_)), name);                                                              \
	} while (0)

static void counted_limits(void)
{
	start();
	is_unlimited("no limits");
	row.limits.max_open_positions = 3;
	row.open.positions = 2;
	is_unlimited("the third of three positions");
	row.open.positions = 3;
	is_room(0, OPEN_POSITIONS, "not the fourth");
	row.limits.max_open_positions = 0;
	row.open.positions = 0;
	is_room(0, OPEN_POSITIONS, "none of none");

	start();
	row.limits.max_daily_loss_percent = 3;
	row.open.equity = 9700;
	is_unlimited("a daily loss at the limit");
	row.open.equity = 9699.99;
	is_room(0, DAILY_LOSS, "a cent beyond it");
	row.open.day_start_equity = 9500;
	is_unlimited("counted from the day's own start");
	row.open.day_start_equity = 0;
	is_room(0, DAILY_LOSS, "a day that began with nothing has no percent");

	start();
	row.limits.max_drawdown_percent = 10;
	row.open.equity = 9000;
	is_unlimited("a drawdown at the limit");
	row.open.peak_equity = 10000.01;
	is_room(0, DRAWDOWN, "from a higher peak it's beyond");
}

static void sized_limits(void)
{
	start();
	row.limits.max_open_risk_percent = 2; /* 200 */
	row.open.risk = 100;
	is_unlimited("100 + 100 of 200 at risk");
	row.open.risk = 120;
	is_room(0.4, OPEN_RISK, "80 are left, at 200 per lot");
	row.open.risk = 250;
	is_room(0, OPEN_RISK, "nothing is left beyond it");

	start();
	row.limits.max_leverage = 5; /* 50,000 */
	is_room(50000.0 / 110000, LEVERAGE, "value of 5 times the equity");
	row.limits.max_leverage = 5.5;
	is_unlimited("55,000 of 55,000");
	row.open.notional = 1;
	is_room(54999.0 / 110000, LEVERAGE, "what is open counts");

	start();
	row.limits.min_free_margin_percent = 90; /* 1,000 may be bound */
	is_room(1000.0 / 2200, FREE_MARGIN, "margin of a tenth of the equity");
	row.limits.min_free_margin_percent = 89;
	is_unlimited("1,100 of 1,100");

	start();
	row.limits.max_currency_exposure_percent = 500; /* 50,000 */
	is_room(50000.0 / 110000, EXPOSURE, "net exposure to the base currency");
	row.open.base_exposure = 20000;
	is_room(30000.0 / 110000, EXPOSURE, "what is open counts");
	row.open.base_exposure = -20000;
	is_unlimited("and hedges");
	row.open.base_exposure = -70000;
	is_unlimited("back from beyond the limit on the other side is welcome");
	row.open.quote_exposure = 1e9;
	is_unlimited("the account's own currency isn't exposed");

	start();
	row.limits.max_open_risk_percent = 2;
	row.open.equity = 0;
	is_room(0, OPEN_RISK, "no equity, no room");
	row.open.equity = -5;
	is_room(0, OPEN_RISK, "nor with less");
	row.open.equity = NAN;
	is_room(0, OPEN_RISK, "nor where it isn't known");
	start();
	row.limits.max_open_risk_percent = 2;
	row.open.risk = NAN;
	is_room(0, OPEN_RISK, "nor where the open risk isn't");
}

static void strictest(void)
{
	TeLimitRow rows[3];
	TeLimitFinding f;

	start();
	rows[0] = rows[1] = rows[2] = row;
	rows[0].limits.max_open_risk_percent = 0.8; /* 0.4 lots */
	rows[1].limits.max_leverage = 2.2;          /* 0.2 lots */
	rows[2].limits.max_open_risk_percent = 0.6; /* 0.3 lots */
	f = te_limits_room(rows, 3, &lot, 0.5);
	ok(f.row == 1 && f.why == TE_RISK_NOTE_LEVERAGE, "of several rows the strictest wins");
	is_near(f.lots, 0.2, 1e-12, "with its room");
	is_near(f.value, 55000, 1e-9, "and what there would be");
	is_near(f.allowed, 22000, 1e-9, "and what it allows");
}

static void check(void)
{
	const char *reason;

	start();
	ok(te_limits_check(&row.limits, &reason) == NULL, "no limits are sound");
	row.limits.max_leverage = 30;
	ok(te_limits_check(&row.limits, &reason) == NULL, "and so is one");
	row.limits.max_drawdown_percent = -1;
	is_text(te_limits_check(&row.limits, &reason), "max_drawdown_percent", "a negative one isn't");
	row.limits.max_drawdown_percent = INFINITY;
	is_text(te_limits_check(&row.limits, &reason), "max_drawdown_percent", "nor an infinite one");
}

static Fixture f;
static TeRiskAssessment a;

static void applied(void)
{
	TeLotCost cost;

	fixture(&f);
	decide(&f); /* 0.50 lots at 1.0998, 200 per lot */
	cost = te_lot_cost(&f.in, &f.out, 0.02);
	ok(cost.side == 1 && cost.counts_base && !cost.counts_quote, "long EUR for a USD account");
	is_near(cost.loss, 200, 1e-9, "a lot loses 200");
	is_near(cost.notional, 109980, 1e-9, "is worth 109,980");
	is_near(cost.margin, 2199.6, 1e-9, "and binds 2 % of it");

	start();
	row.limits.max_open_risk_percent = 0.755;
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	is_exactly(f.out.position_size, 0.37, "75.5 of 200 per lot: 0.3775, rounded down");
	ok(a.status == TE_RISK_STATUS_ASSESSED && a.note_count == 2 &&
	       a.notes[0].kind == TE_RISK_NOTE_SIZE_REDUCED &&
	       a.notes[1].kind == TE_RISK_NOTE_OPEN_RISK,
	   "noted with the limit");
	ok(a.notes[1].after == 0.37, "and what was taken");
	is_near(a.notes[1].before, 100, 1e-9, "of what there would be");

	decide(&f);
	row.limits.max_open_risk_percent = 0.0199;
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	ok(a.cancelled && a.cancellation == TE_RISK_NOTE_OPEN_RISK &&
	       f.out.outcome == TE_OUTCOME_RISK_REJECTED,
	   "without room for lot_min it is rejected, for that reason");
	decide(&f);
	row.limits.max_open_risk_percent = 0.02;
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	ok(f.out.position_size == 0.01, "exactly lot_min");
	decide(&f);
	row.limits.max_open_risk_percent = 1;
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	ok(f.out.position_size == 0.5 && a.note_count == 0, "exactly at the limit: as it was");

	fixture(&f);
	f.a.currency = "JPY";
	f.s.position_sizing = TE_SIZING_FIXED_LOT;
	decide(&f);
	cost = te_lot_cost(&f.in, &f.out, 0.02);
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	ok(a.cancelled, "a loss that isn't known can't be within a limit");
	decide(&f);
	te_limits_none(&row.limits);
	te_limits_apply(&f.in, &row, 1, &cost, &f.out, &a);
	ok(!a.cancelled, "without limits it needn't be");
}

/* Lean: at exactly 10 % of the portfolio nothing is liquidated, at one dollar more it is. */
static void lean_vectors(void)
{
	FILE *file = open_vectors("lean_max_drawdown_portfolio.json");
	json_t *root, *case_;
	double start_value;
	size_t i;
	int wrong = 0;

	if (file == NULL) {
		skip("no lean_max_drawdown_portfolio.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	start_value = json_number_value(json_object_get(root, "start_value"));
	start();
	row.limits.max_drawdown_percent = json_number_value(json_object_get(root, "limit")) * 100;
	row.open.peak_equity = start_value;
	json_array_foreach(json_object_get(root, "cases"), i, case_)
	{
		TeRiskNoteKind why;

		row.open.equity = start_value + json_number_value(json_object_get(case_, "pnl"));
		wrong += (room(&why) == 0) != json_is_true(json_object_get(case_, "liquidate"));
	}
	ok(i == 4 && wrong == 0, "Lean's maximum drawdown of a portfolio: broken only beyond it");
	json_decref(root);
}

/* After a signal of the size that fits, no limit is broken; a step more would break one. */
static void property(void)
{
	int broken = 0, reduced = 0;

	for (int n = 0; n < 200000; n++) {
		TeLimitRow r;
		TeLotCost l = {below(2) ? 1 : -1, between(1, 500), between(1000, 200000), 0,
		               below(2),          below(2)};
		double size = between(0.01, 3), used, beyond;
		TeLimitFinding found;

		l.margin = l.notional * between(0.01, 0.2);
		te_limits_none(&r.limits);
		if (below(2))
			r.limits.max_open_risk_percent = between(0, 10);
		if (below(2))
			r.limits.max_leverage = between(0, 30);
		if (below(2))
			r.limits.min_free_margin_percent = between(0, 100);
		if (below(2))
			r.limits.max_currency_exposure_percent = between(0, 2000);
		r.open = (TeOpenState){.equity = between(1000, 50000),
		                       .day_start_equity = 1,
		                       .peak_equity = 1,
		                       .risk = between(0, 1000),
		                       .notional = between(0, 300000),
		                       .margin = between(0, 5000),
		                       .base_exposure = between(-200000, 200000),
		                       .quote_exposure = between(-200000, 200000)};
		found = te_limits_room(&r, 1, &l, size);
		broken += !(found.lots >= 0);
		if (isinf(found.lots))
			continue;
		broken += found.lots > size * (1 + 1e-6);
		if (found.lots == 0)
			continue;
		reduced++;
		used = found.lots * (1 - 1e-7);
		beyond = found.lots + 0.001;
		broken += isfinite(te_limits_room(&r, 1, &l, used).lots);
		broken += isinf(te_limits_room(&r, 1, &l, beyond).lots);
	}
	ok(broken == 0, "what fits breaks no limit, more of it would, in 200,000 random states");
	ok(reduced > 20000, "of which many have some room");
}

int main(void)
{
	scopes();
	kill_switch();
	counted_limits();
	sized_limits();
	strictest();
	check();
	applied();
	lean_vectors();
	property();
	return done_testing();
}
