/*
 * sessions.c - New York's week, holidays, news.
 */
#include "sessions.h"

#include <string.h>

#define MINUTE (60 * TE_USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const TeWeekWindow te_fx_week = {17 * 60, 5 * 1440 + 17 * 60};

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Day number of a civil date, from 1970-01-01; the months are counted from March on. */
static int64_t day_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_divide(y, 400), of_era = y - era * 400;
	int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t year_of(int64_t day)
{
	int64_t year = 1970 + floor_divide(day * 400, 146097);

	while (day < day_of(year, 1, 1))
		year--;
	while (day >= day_of(year + 1, 1, 1))
		year++;
	return year;
}

/* 0 is Sunday; 1970-01-01 was a Thursday. */
static int weekday_of(int64_t day)
{
	return (int)(((day + 4) % 7 + 7) % 7);
}

/* The first Sunday that isn't before a date. */
static int64_t sunday_from(int64_t year, int month, int day)
{
	int64_t first = day_of(year, month, day);

	return first + (7 - weekday_of(first)) % 7;
}

/* Clocks change at 02:00 of their own time: 07:00 UTC in spring, 06:00 UTC in autumn. */
TeTime te_new_york_offset(TeTime at)
{
	int64_t year = year_of(floor_divide(at, DAY));
	bool now = year >= 2007; /* the Energy Policy Act of 2005 */
	int64_t spring = now ? sunday_from(year, 3, 8) : sunday_from(year, 4, 1);
	int64_t autumn = now ? sunday_from(year, 11, 1) : sunday_from(year, 10, 25);
	bool summer = at >= spring * DAY + 7 * HOUR && at < autumn * DAY + 6 * HOUR;

	return summer ? -4 * HOUR : -5 * HOUR;
}

int te_new_york_minute(TeTime at)
{
	TeTime local = at + te_new_york_offset(at);
	int64_t day = floor_divide(local, DAY);

	return weekday_of(day) * 1440 + (int)((local - day * DAY) / MINUTE);
}

bool te_sessions_open(const TeSessions *s, TeTime at)
{
	int minute = te_new_york_minute(at);
	bool open = false;

	for (int i = 0; i < s->window_count && !open; i++)
		open = minute >= s->windows[i].from && minute < s->windows[i].until;
	for (int i = 0; i < s->closure_count && open; i++)
		open = at < s->closures[i].from || at >= s->closures[i].until;
	return open;
}

TeNewsVerdict te_news_judge(const TeNewsCalendar *calendar, const TeNewsRule *rule,
                            const char *base, const char *quote, TeTime at,
                            const TeNewsEvent **event)
{
	*event = NULL;
	for (int i = 0; i < calendar->count; i++) {
		const TeNewsEvent *n = &calendar->news[i];

		if (n->impact >= rule->least_impact && at >= n->at - rule->before &&
		    at < n->at + rule->after &&
		    (strcmp(n->currency, base) == 0 || strcmp(n->currency, quote) == 0)) {
			*event = n;
			return TE_NEWS_BLOCKED;
		}
	}
	/* An event blocks now if it is in (at - after, at + before]. */
	if (at - rule->after + 1 < calendar->from || at + rule->before >= calendar->until)
		return TE_NEWS_MISSING;
	return TE_NEWS_CLEAR;
}
