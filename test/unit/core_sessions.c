/*
 * core_sessions.c - New York's clocks and week, holidays, news.
 */
#include <stdlib.h>
#include <time.h>

#include "core/sessions.h"

#include "core_fixture.h"
#include "core_random.h"

#define MINUTE (60 * TE_USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* UTC, from the C library's calendar. */
static TeTime utc(int year, int month, int day, int hour, int minute)
{
	struct tm t = {.tm_year = year - 1900,
	               .tm_mon = month - 1,
	               .tm_mday = day,
	               .tm_hour = hour,
	               .tm_min = minute};

	return (TeTime)timegm(&t) * TE_USEC_PER_SEC;
}

static void clocks(void)
{
	ok(te_new_york_offset(utc(2026, 3, 8, 6, 59)) == -5 * HOUR, "winter until 8 March 2026, 2:00");
	ok(te_new_york_offset(utc(2026, 3, 8, 7, 0)) == -4 * HOUR, "then summer");
	ok(te_new_york_offset(utc(2026, 11, 1, 5, 59)) == -4 * HOUR, "until 1 November, 2:00");
	ok(te_new_york_offset(utc(2026, 11, 1, 6, 0)) == -5 * HOUR, "then winter");
	ok(te_new_york_offset(utc(2006, 3, 20, 0, 0)) == -5 * HOUR, "before 2007 from April on");
	ok(te_new_york_offset(utc(2006, 10, 28, 0, 0)) == -4 * HOUR, "to the end of October");
}

/* The system's own zone data, where it is there. */
static void zone_data(void)
{
	struct tm t;
	time_t probe = 1783000000; /* July 2026 */
	int wrong = 0;

	setenv("TZ", "America/New_York", 1);
	tzset();
	localtime_r(&probe, &t);
	if (t.tm_gmtoff != -4 * 3600) {
		skip("no zone data");
		return;
	}
	for (TeTime at = utc(1987, 6, 1, 0, 0); at < utc(2037, 1, 1, 0, 0); at += 47 * MINUTE) {
		time_t seconds = (time_t)(at / TE_USEC_PER_SEC);

		localtime_r(&seconds, &t);
		wrong += te_new_york_offset(at) != t.tm_gmtoff * TE_USEC_PER_SEC ||
		         te_new_york_minute(at) != t.tm_wday * 1440 + t.tm_hour * 60 + t.tm_min;
	}
	is_exactly(wrong, 0, "every 47 minutes from 1987 to 2036: as the zone data say");
}

static void fx_week(void)
{
	TeClosure christmas = {utc(2026, 12, 25, 0, 0), utc(2026, 12, 26, 0, 0)};
	TeSessions s = {&te_fx_week, 1, &christmas, 1};
	TeWeekWindow lunch[] = {{1440 + 570, 1440 + 720}, {1440 + 780, 1440 + 960}};
	TeSessions two = {lunch, 2, NULL, 0};

	ok(te_sessions_open(&s, utc(2026, 3, 6, 22, 0) - 1), "open until Friday 17:00, 22:00 UTC");
	ok(!te_sessions_open(&s, utc(2026, 3, 6, 22, 0)), "then closed");
	ok(!te_sessions_open(&s, utc(2026, 3, 7, 12, 0)), "Saturday");
	ok(!te_sessions_open(&s, utc(2026, 3, 8, 21, 0) - 1),
	   "until Sunday 17:00, in summer 21:00 UTC");
	ok(te_sessions_open(&s, utc(2026, 3, 8, 21, 0)), "then open");
	ok(!te_sessions_open(&s, utc(2026, 3, 13, 21, 0)), "the next Friday ends by summer time");
	ok(te_sessions_open(&s, utc(2026, 3, 11, 3, 0)), "open in the middle of the night");
	ok(te_sessions_open(&s, utc(2026, 12, 25, 0, 0) - 1), "open until the holiday");
	ok(!te_sessions_open(&s, utc(2026, 12, 25, 0, 0)), "closed on it");
	ok(!te_sessions_open(&two, utc(2026, 3, 9, 13, 29)), "before a session of 9:30 on Monday");
	ok(te_sessions_open(&two, utc(2026, 3, 9, 13, 30)), "in it");
	ok(!te_sessions_open(&two, utc(2026, 3, 9, 16, 30)), "at lunch");
	ok(te_sessions_open(&two, utc(2026, 3, 9, 17, 0)), "after it");
	s.window_count = 0;
	ok(!te_sessions_open(&s, utc(2026, 3, 11, 3, 0)), "without hours never open");
}

static void news(void)
{
	const TeNewsEvent events[] = {
		{NOON, "USD", 3}, {NOON + 2 * HOUR, "JPY", 3}, {NOON + 3 * HOUR, "EUR", 1}};
	TeNewsCalendar calendar = {NOON - DAY, NOON + DAY, events, 3}, none = {0, 0, NULL, 0};
	TeNewsRule rule = {30 * MINUTE, 15 * MINUTE, 2};
	const TeNewsEvent *event;

	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON - 30 * MINUTE - 1, &event) ==
	       TE_NEWS_CLEAR,
	   "clear until 30 minutes before");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON - 30 * MINUTE, &event) ==
	           TE_NEWS_BLOCKED &&
	       event == &events[0],
	   "blocked from then on");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + 15 * MINUTE - 1, &event) ==
	       TE_NEWS_BLOCKED,
	   "to 15 minutes after");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + 15 * MINUTE, &event) == TE_NEWS_CLEAR &&
	       event == NULL,
	   "then clear");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + 2 * HOUR, &event) == TE_NEWS_CLEAR,
	   "other currencies' news don't matter");
	ok(te_news_judge(&calendar, &rule, "USD", "JPY", NOON + 2 * HOUR, &event) == TE_NEWS_BLOCKED,
	   "those of the quote currency do");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + 3 * HOUR, &event) == TE_NEWS_CLEAR,
	   "nor those of low impact");
	ok(te_news_judge(&none, &rule, "EUR", "USD", NOON, &event) == TE_NEWS_MISSING,
	   "no calendar isn't no news");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + DAY - 30 * MINUTE, &event) ==
	       TE_NEWS_MISSING,
	   "nor is one that ends within the 30 minutes");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON + DAY - 30 * MINUTE - 1, &event) ==
	       TE_NEWS_CLEAR,
	   "up to there it reaches");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON - DAY + 15 * MINUTE - 2, &event) ==
	       TE_NEWS_MISSING,
	   "nor one that begins too late");
	ok(te_news_judge(&calendar, &rule, "EUR", "USD", NOON - DAY + 15 * MINUTE - 1, &event) ==
	       TE_NEWS_CLEAR,
	   "from there on it does");
}

int main(void)
{
	clocks();
	zone_data();
	fx_week();
	news();
	return done_testing();
}
