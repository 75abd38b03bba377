/*
 * sessions.h - when an instrument trades, and when news keep us out.
 *
 * Weeks are those of New York, where the FX day ends at 17:00, with its daylight
 * saving time.  All windows are half-open: from inside, until outside.
 */
#ifndef TE_CORE_SESSIONS_H
#define TE_CORE_SESSIONS_H

#include "types.h"

#define TE_MINUTES_PER_WEEK (7 * 1440)

/* Minutes since Sunday 00:00 in New York, 0 <= from < until <= TE_MINUTES_PER_WEEK. */
typedef struct TeWeekWindow
{
	int from, until;
} TeWeekWindow;

/* Sunday 17:00 to Friday 17:00. */
extern const TeWeekWindow te_fx_week;

/* How far New York's clocks are ahead of UTC: -5 h, or -4 h in summer (rules since 1987). */
extern TeTime te_new_york_offset(TeTime at);

/* Minute of the week in New York, 0 .. TE_MINUTES_PER_WEEK - 1. */
extern int te_new_york_minute(TeTime at);

/* When everything is closed, such as a holiday. */
typedef struct TeClosure
{
	TeTime from, until;
} TeClosure;

/* Trading hours of an instrument. */
typedef struct TeSessions
{
	const TeWeekWindow *windows;
	int window_count;
	const TeClosure *closures;
	int closure_count;
} TeSessions;

extern bool te_sessions_open(const TeSessions *s, TeTime at);

/* One event of the economic calendar. */
typedef struct TeNewsEvent
{
	TeTime at;
	const char *currency;
	int impact; /* 1 low, 2 medium, 3 high */
} TeNewsEvent;

/* The calendar as far as it is known: every event in [from, until) is there. */
typedef struct TeNewsCalendar
{
	TeTime from, until;      /* from >= until: there is none */
	const TeNewsEvent *news; /* in any order */
	int count;
} TeNewsCalendar;

typedef struct TeNewsRule
{
	TeTime before, after; /* nothing in [event - before, event + after) */
	int least_impact;
} TeNewsRule;

/*
 * CLEAR, BLOCKED by an event of one of both currencies, or MISSING: the calendar
 * doesn't reach as far as the rule looks, which is not the same as no news.
 */
typedef enum { TE_NEWS_CLEAR, TE_NEWS_BLOCKED, TE_NEWS_MISSING } TeNewsVerdict;

/* *event is the one that blocks, or NULL. */
extern TeNewsVerdict te_news_judge(const TeNewsCalendar *calendar, const TeNewsRule *rule,
                                   const char *base, const char *quote, TeTime at,
                                   const TeNewsEvent **event);

#endif
