/*
 * core_protections.c - what locks after it went badly: own cases, and freqtrade's tables.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/protections.h"

#include "core_fixture.h"
#include "core_vectors.h"

#define MINUTE (60 * TE_USEC_PER_SEC)

static const TeScope nobody = {NULL, NULL, NULL, NULL, 0};

static TeProtection sound(TeProtectionKind kind)
{
	return (TeProtection){.kind = kind,
	                      .lookback = 60 * MINUTE,
	                      .lock = 30 * MINUTE,
	                      .unlock_minute = -1,
	                      .trade_limit = 2,
	                      .max_drawdown = 0.1};
}

static TeClosedTrade stop_out(const char *symbol, int minutes_ago)
{
	return (TeClosedTrade){symbol, 1, NOON - minutes_ago * MINUTE, -0.01, -100, true};
}

static void cool_down(void)
{
	TeClosedTrade trades[] = {stop_out("EURUSD", 40), stop_out("EURUSD", 20)};
	TeTradeHistory h = {trades, 2, 10000};
	TeProtection p = sound(TE_PROTECTION_COOL_DOWN);
	TeScope owner = {"acme", "ann", NULL, NULL, 0};
	TeLock lock;

	ok(te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock), "locked after a stop-out");
	ok(lock.until == NOON + 10 * MINUTE && lock.cause == TE_PROTECTION_COOL_DOWN,
	   "until 30 minutes after the last one");
	is_text(lock.scope.symbol, "EURUSD", "the symbol");
	is_text(lock.scope.company, "acme", "of the protection's owner");
	ok(lock.scope.side == 0, "on both sides");
	ok(!te_protection_locks(&p, &owner, &h, "USDJPY", 1, NOON, &lock), "another symbol is free");
	ok(!te_protection_locks(&p, &owner, &h, NULL, 0, NOON, &lock), "and so is the rest");
	ok(te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON + 10 * MINUTE - 1, &lock),
	   "locked to the last microsecond");
	ok(!te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON + 10 * MINUTE, &lock), "then free");

	trades[1].stopped_out = false;
	ok(te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock), "after any trade");
	p.only_stops = true;
	ok(!te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock), "or after stop-outs only");
	p.only_stops = false;
	p.unlock_minute = 17 * 60;
	te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock);
	ok(lock.until == NOON + 300 * MINUTE, "or until a time of day");
	p.unlock_minute = 11 * 60 + 40;
	ok(!te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock),
	   "which is over where the trade closed at that minute");
	p.unlock_minute = 11 * 60 + 39;
	te_protection_locks(&p, &owner, &h, "EURUSD", 1, NOON, &lock);
	ok(lock.until == NOON - 21 * MINUTE + 1440 * MINUTE, "and the next day's where it is past");
}

static void drawdown(void)
{
	TeClosedTrade trades[] = {stop_out("EURUSD", 50), stop_out("USDJPY", 40),
	                          stop_out("USDJPY", 40), stop_out("GBPUSD", 30)};
	TeTradeHistory h = {trades, 4, 9000};
	TeProtection p = sound(TE_PROTECTION_MAX_DRAWDOWN);
	TeLock lock;

	p.method = TE_DRAWDOWN_EQUITY;
	trades[0].profit = -500; /* 10,000 to 9,500 */
	trades[1].profit = -700;
	trades[2].profit = +600; /* together 9,400 */
	trades[3].profit = -400; /* 9,000: exactly 10 % */
	ok(!te_protection_locks(&p, &nobody, &h, NULL, 0, NOON - 1, &lock),
	   "at the limit, with what closed at one instant summed first");
	trades[3].profit = -401;
	h.equity = 8999;
	ok(te_protection_locks(&p, &nobody, &h, NULL, 0, NOON - 1, &lock), "beyond it");
	is_near(lock.value, 0.1001, 1e-12, "with what was measured");
	is_near(lock.threshold, 0.1, 1e-12, "and allowed");
	ok(lock.until == NOON, "until 30 minutes after the last close");
}

static void guard_sides(void)
{
	TeClosedTrade trades[] = {stop_out("EURUSD", 30), stop_out("USDJPY", 20)};
	TeTradeHistory h = {trades, 2, 9000};
	TeProtection p = sound(TE_PROTECTION_STOP_LOSS_GUARD);
	TeLock lock;

	ok(te_protection_locks(&p, &nobody, &h, NULL, 1, NOON, &lock), "two stop-outs lock everything");
	p.lock = 120 * MINUTE;
	ok(te_protection_locks(&p, &nobody, &h, NULL, 1, NOON + 30 * MINUTE - 1, &lock),
	   "within the lookback");
	ok(!te_protection_locks(&p, &nobody, &h, NULL, 1, NOON + 30 * MINUTE, &lock),
	   "a stop-out from a whole lookback ago counts no more");
	p.lock = 30 * MINUTE;
	p.only_per_side = true;
	ok(te_protection_locks(&p, &nobody, &h, NULL, 1, NOON, &lock) && lock.scope.side == 1,
	   "or their side");
	ok(!te_protection_locks(&p, &nobody, &h, NULL, -1, NOON, &lock), "and not the other");
	trades[1].profit_ratio = 0;
	ok(!te_protection_locks(&p, &nobody, &h, NULL, 1, NOON, &lock),
	   "a stop at break-even isn't below the required profit");
}

static void locks(void)
{
	const TeLock rows[] = {
		{{"acme", NULL, NULL, "EURUSD", 0}, TE_PROTECTION_COOL_DOWN, NOON + 5, 0, 0},
		{{"acme", NULL, NULL, NULL, 1}, TE_PROTECTION_LOW_PROFIT, NOON + 9, 0, 0},
		{{"other", NULL, NULL, NULL, 0}, TE_PROTECTION_MAX_DRAWDOWN, NOON + 99, 0, 0},
	};
	TeScope long_ = {"acme", "ann", "s", "EURUSD", 1}, short_ = long_;

	short_.side = -1;
	ok(te_lock_find(rows, 3, &long_, NOON) == &rows[1], "the lock that holds the longest");
	ok(te_lock_find(rows, 3, &short_, NOON) == &rows[0], "of those that concern it");
	ok(te_lock_find(rows, 3, &short_, NOON + 5) == NULL, "until its end");
}

static void check(void)
{
	const char *reason;
	TeProtection p = sound(TE_PROTECTION_MAX_DRAWDOWN);

	ok(te_protection_check(&p, &reason) == NULL, "a sound protection");
	p.max_drawdown = NAN;
	is_text(te_protection_check(&p, &reason), "max_drawdown", "a drawdown that is no number");
	p = sound(TE_PROTECTION_LOW_PROFIT);
	p.lookback = 0;
	is_text(te_protection_check(&p, &reason), "lookback", "no lookback");
	p = sound(TE_PROTECTION_COOL_DOWN);
	p.lookback = 0;
	ok(te_protection_check(&p, &reason) == NULL, "which a cool-down doesn't need");
	p.lock = 0;
	is_text(te_protection_check(&p, &reason), "lock", "no time to lock for");
	p.unlock_minute = 1440;
	is_text(te_protection_check(&p, &reason), "unlock_minute", "a minute that no day has");
}

/* --- freqtrade --- */

static TeClosedTrade trades[32];
static int trade_count;
static TeTime now;
static TeProtection p;
static TeTime candle; /* freqtrade rounds the end of a lock up to the next candle; 0: it doesn't */
static struct
{
	char symbol[8];
	TeTime until;
} kept[8];
static int kept_count;

static TeTime instant(const char *text)
{
	int day, hour, minute;

	if (text == NULL || sscanf(text, "2024-05-%dT%d:%d:00Z", &day, &hour, &minute) != 3)
		return TE_NO_TIME;
	return (INT64_C(19844) + day) * 1440 * MINUTE + (hour * 60 + minute) * MINUTE;
}

static TeTime minutes(json_t *conf, const char *key)
{
	return json_integer_value(json_object_get(conf, key)) * MINUTE;
}

static void read_protection(const char *name, json_t *conf)
{
	const char *unlock = json_string_value(json_object_get(conf, "unlock_at"));
	int hour, minute;

	p = (TeProtection){.lookback = minutes(conf, "lookback_min"),
	                   .lock = minutes(conf, "stop_min"),
	                   .unlock_minute = -1,
	                   .method = TE_DRAWDOWN_SUM_OF_RATIOS};
	if (strcmp(name, "StoplossGuard") == 0)
		p.kind = TE_PROTECTION_STOP_LOSS_GUARD;
	else if (strcmp(name, "CooldownPeriod") == 0)
		p.kind = TE_PROTECTION_COOL_DOWN;
	else if (strcmp(name, "LowProfitPairs") == 0)
		p.kind = TE_PROTECTION_LOW_PROFIT;
	else
		p.kind = TE_PROTECTION_MAX_DRAWDOWN;
	p.trade_limit = (int)json_integer_value(json_object_get(conf, "trade_limit"));
	p.required_profit = json_number_value(json_object_get(conf, "required_profit"));
	p.max_drawdown = json_number_value(json_object_get(conf, "max_allowed_drawdown"));
	p.only_per_symbol = json_is_true(json_object_get(conf, "only_per_pair"));
	p.only_per_side = json_is_true(json_object_get(conf, "only_per_side"));
	if (unlock != NULL && sscanf(unlock, "%d:%d", &hour, &minute) == 2)
		p.unlock_minute = hour * 60 + minute;
	candle = minutes(conf, "candle_min");
}

static int by_close(const void *x, const void *y)
{
	const TeClosedTrade *a = x, *b = y;

	return (a->closed_at > b->closed_at) - (a->closed_at < b->closed_at);
}

static void add_trade(json_t *add)
{
	TeClosedTrade *t = &trades[trade_count++];
	const char *side = json_string_value(json_object_get(add, "side"));
	const char *exit = json_string_value(json_object_get(add, "exit"));
	TeTime at = instant(json_string_value(json_object_get(add, "closed_at")));
	TeTime ago = json_integer_value(json_object_get(add, "closed_ago")) * MINUTE;

	*t = (TeClosedTrade){
		.symbol = json_string_value(json_object_get(add, "pair")),
		.side = side != NULL && strcmp(side, "short") == 0 ? -1 : 1,
		.closed_at = at != TE_NO_TIME ? at : now - ago,
		.profit_ratio = json_number_value(json_object_get(add, "profit")),
		.stopped_out = exit != NULL && strcmp(exit, "stop_loss") == 0,
	};
	qsort(trades, (size_t)trade_count, sizeof(trades[0]), by_close);
}

/* Locked now?  Locks outlive what they were made from, as freqtrade keeps them. */
static bool locked(const char *symbol, int side, TeLock *lock)
{
	TeTradeHistory h = {trades, trade_count, NAN};
	const char *name = symbol != NULL ? symbol : "*";

	if (te_protection_locks(&p, &nobody, &h, symbol, side, now, lock)) {
		TeTime until = candle > 0 ? (lock->until / candle + 1) * candle : lock->until;
		int i = 0;

		while (i < kept_count && strcmp(kept[i].symbol, name) != 0)
			i++;
		if (i == kept_count)
			kept_count++;
		snprintf(kept[i].symbol, sizeof(kept[i].symbol), "%s", name);
		kept[i].until = until;
		return true;
	}
	for (int i = 0; candle > 0 && i < kept_count; i++)
		if (strcmp(kept[i].symbol, name) == 0 && now < kept[i].until)
			return true;
	return false;
}

/* "XRP/long": that side is locked.  An asterisk: both are, by one lock. */
static bool side_locked(const char *key)
{
	char symbol[8];
	const char *slash = strchr(key, '/');
	TeLock lock;

	snprintf(symbol, sizeof(symbol), "%.*s", (int)(slash - key), key);
	if (strcmp(slash, "/*") == 0)
		return locked(symbol, 1, &lock) && lock.scope.side == 0;
	return locked(symbol, strcmp(slash, "/long") == 0 ? 1 : -1, &lock);
}

static int freqtrade_step(json_t *step, int *checks)
{
	json_t *add = json_object_get(step, "add"), *value, *one;
	json_t *global = json_object_get(step, "global_lock");
	json_t *end = json_object_get(step, "lock_end_from_now_min");
	TeTime at = instant(json_string_value(json_object_get(step, "now")));
	const char *key;
	TeLock lock;
	size_t i;
	int wrong = 0;

	if (at != TE_NO_TIME)
		now = at;
	if (json_is_array(add)) {
		json_array_foreach(add, i, one) add_trade(one);
	} else if (add != NULL)
		add_trade(add);

	if (global != NULL) {
		++*checks;
		wrong += locked(NULL, 1, &lock) != json_is_true(global);
	}
	if (end != NULL) {
		++*checks;
		wrong += !locked(NULL, 1, &lock) || lock.until != now + json_integer_value(end) * MINUTE;
	}
	json_object_foreach(json_object_get(step, "pair_lock"), key, value)
	{
		++*checks;
		wrong += locked(key, 1, &lock) != json_is_true(value);
	}
	json_object_foreach(json_object_get(step, "pair_side_lock"), key, value)
	{
		++*checks;
		wrong += side_locked(key) != json_is_true(value);
	}
	return wrong;
}

static void freqtrade_vectors(void)
{
	FILE *file = open_vectors("freqtrade_protections.json");
	json_t *root, *row, *step;
	size_t i, k;
	int all = 0;

	if (file == NULL) {
		skip("no freqtrade_protections.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, row)
	{
		const char *name = json_string_value(json_object_get(row, "protection"));
		int wrong = 0, checks = 0;

		read_protection(name, json_object_get(row, "conf"));
		now = NOON;
		trade_count = kept_count = 0;
		json_array_foreach(json_object_get(row, "steps"), k, step)
		{
			int failed = freqtrade_step(step, &checks);

			if (failed)
				printf("# case %zu, step %zu\n", i, k);
			wrong += failed;
		}
		ok(wrong == 0 && checks > 0, name);
		all += checks;
	}
	ok(i == 8 && all >= 40, "all of freqtrade's tables");
	printf("# %d checks\n", all);
	json_decref(root);
}

int main(void)
{
	cool_down();
	drawdown();
	guard_sides();
	locks();
	check();
	freqtrade_vectors();
	return done_testing();
}
