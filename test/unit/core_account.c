/*
 * core_account.c - the run of an account's equity.
 */
#include "core/account.h"
#include "tap.h"

#define NOON (INT64_C(1767614400) * TE_USEC_PER_SEC) /* 2026-01-05T12:00:00Z */
#define HOUR (INT64_C(3600) * TE_USEC_PER_SEC)

static TeAccountRun run;

static void add(TeTime at, uint64_t id, int64_t earned)
{
	te_account_run_add(&run, at, (TeKey){0, id}, earned);
}

static void knows_its_peak(void)
{
	te_account_run_begin(&run);
	ok(te_account_run_peak(&run) == 0, "before the first trade the peak is 0");
	add(NOON, 1, -100);
	ok(run.realised == -100 && te_account_run_peak(&run) == 0, "a loss at first leaves it there");
	add(NOON + 1, 2, 300);
	ok(run.realised == 200 && te_account_run_peak(&run) == 200, "a gain lifts it");
	add(NOON + 2, 3, -50);
	add(NOON + 3, 4, 40);
	ok(run.realised == 190 && te_account_run_peak(&run) == 200, "and it stays");
}

static void takes_an_instant_together(void)
{
	te_account_run_begin(&run);
	add(NOON, 1, 100);
	add(NOON + 1, 2, 500);
	add(NOON + 1, 3, -450);
	ok(te_account_run_peak(&run) == 150, "a gain and a loss of one instant are one step");
	add(NOON + 2, 4, -10);
	ok(te_account_run_peak(&run) == 150 && run.settled_peak == 150, "also afterwards");
}

static void knows_where_its_day_began(void)
{
	te_account_run_begin(&run);
	add(NOON, 1, 100);
	ok(run.day == NOON - 12 * HOUR && run.day_start == 0, "the first day began with nothing");
	add(NOON + 11 * HOUR, 2, 30);
	ok(run.day_start == 0, "a day lasts until midnight");
	add(NOON + 12 * HOUR, 3, -5);
	ok(run.day == NOON + 12 * HOUR && run.day_start == 130, "midnight belongs to the new day");
	add(NOON + 100 * HOUR, 4, 1);
	ok(run.day_start == 125, "days without trades are passed over");
	te_account_run_begin(&run);
	add(-HOUR, 1, 7);
	ok(run.day == -24 * HOUR, "a time before 1970 has its day, too");
}

static void orders_by_time_then_id(void)
{
	te_account_run_begin(&run);
	ok(te_account_run_follows(&run, INT64_MIN + 1, (TeKey){0, 0}), "anything follows nothing");
	te_account_run_add(&run, NOON, (TeKey){5, 5}, 0);
	ok(!te_account_run_follows(&run, NOON - 1, (TeKey){9, 9}), "an earlier one doesn't follow");
	ok(te_account_run_follows(&run, NOON + 1, (TeKey){0, 0}), "a later one does");
	ok(!te_account_run_follows(&run, NOON, (TeKey){5, 5}), "the same doesn't");
	ok(te_account_run_follows(&run, NOON, (TeKey){5, 6}) &&
	       te_account_run_follows(&run, NOON, (TeKey){6, 0}),
	   "of one instant a greater id does");
	ok(!te_account_run_follows(&run, NOON, (TeKey){4, 9}) &&
	       !te_account_run_follows(&run, NOON, (TeKey){5, 4}),
	   "and a lesser one doesn't");
}

int main(void)
{
	knows_its_peak();
	takes_an_instant_together();
	knows_where_its_day_began();
	orders_by_time_then_id();
	return done_testing();
}
