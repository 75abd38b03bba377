/*
 * breaker.h - a circuit breaker around a service that is asked.
 *
 *            failures in a row, or failure rate
 *   CLOSED ------------------------------------> OPEN, refuses for a while
 *      ^                                          |  ^
 *      | enough successes                waited   |  | a failure; the wait is doubled
 *      +------------------- HALF_OPEN <-----------+--+
 *                           a probe at a time
 *
 * Each call is asked for and then reported, with the ticket that it got.  A report
 * from before the last change of state counts for nothing.  "now" comes from a
 * clock that doesn't run back; if it does, waiting starts again.
 */
#ifndef TE_CORE_BREAKER_H
#define TE_CORE_BREAKER_H

#include "types.h"

#define TE_BREAKER_STATES(X) X(CLOSED) X(OPEN) X(HALF_OPEN)
#define TE_BREAKER_STATE_MEMBER(label) TE_ENUM_MEMBER_(TE_BREAKER_, label)
typedef enum { TE_BREAKER_STATES(TE_BREAKER_STATE_MEMBER) TE_BREAKER_STATE_COUNT } TeBreakerState;
extern const TeEnum te_breaker_state_enum;

/* Why a state was left. */
#define TE_BREAKER_CAUSES(X)                                                                       \
	X(NONE)                                                                                        \
	X(CONSECUTIVE_FAILURES)                                                                        \
	X(FAILURE_RATE) X(WAITED) X(PROBE_FAILED) X(PROBE_LOST) X(PROBES_SUCCEEDED)
#define TE_BREAKER_CAUSE_MEMBER(label) TE_ENUM_MEMBER_(TE_BREAKER_CAUSE_, label)
typedef enum { TE_BREAKER_CAUSES(TE_BREAKER_CAUSE_MEMBER) TE_BREAKER_CAUSE_COUNT } TeBreakerCause;
extern const TeEnum te_breaker_cause_enum;

#define TE_BREAKER_MOST_CALLS 64 /* the failure rate is over at most so many */

/* te_breaker_settings_default has the spec's numbers. */
typedef struct TeBreakerSettings
{
	int consecutive_failures; /* that open it (5); 0: they don't */
	int rate_calls;           /* the failure rate is over the last so many calls (20); 0: none */
	int rate_least_calls;     /* and looked at from so many calls on (20) */
	double failure_rate;      /* that opens it, 0..1 (0.5) */
	TeTime interval;          /* CLOSED, counts start anew after each (0: never) */
	TeTime open_wait;         /* before the first probe (30 s) */
	double wait_factor;       /* per failed probe (2) */
	TeTime open_wait_most;    /* (5 min) */
	int probes;               /* at a time (1) */
	int probe_successes;      /* that close it (3) */
	TeTime probe_limit;       /* a probe without a report for so long has failed (30 s) */
} TeBreakerSettings;

extern const TeBreakerSettings te_breaker_settings_default;

/* The first setting out of its range, with a lower-case reason, or NULL. */
extern const char *te_breaker_settings_check(const TeBreakerSettings *s, const char **reason);

/* Since the last change of state. */
typedef struct TeBreakerCounts
{
	uint32_t calls; /* with those under way */
	uint32_t successes, failures, excluded;
	uint32_t consecutive_successes, consecutive_failures;
} TeBreakerCounts;

/* Plain data; te_breaker_init makes it CLOSED. */
typedef struct TeBreaker
{
	TeBreakerState state;
	TeBreakerCause cause; /* of the last change */
	TeTime since;         /* of the last change, or of the interval */
	TeTime wait;          /* of OPEN */
	TeTime last_probe;    /* when the newest probe was let through */
	int probing;          /* probes under way */
	uint64_t generation;
	TeBreakerCounts counts;
	uint64_t history; /* the last calls: bit 0 is the newest; set: failed */
	int history_calls;
	uint64_t opened, refused; /* ever */
} TeBreaker;

/* A change of state, for log and subscribers. */
typedef struct TeBreakerChange
{
	bool changed;
	TeBreakerState from, to;
	TeBreakerCause cause;
	TeTime at;
	TeTime wait; /* to OPEN: until a probe is let through */
} TeBreakerChange;

typedef enum { TE_CALL_SUCCEEDED, TE_CALL_FAILED, TE_CALL_EXCLUDED } TeCallResult;

extern void te_breaker_init(TeBreaker *b, const TeBreakerSettings *s, TeTime now);

/*
 * May a call be made?  True: make it, and report it with *ticket.  False: it is
 * refused.  Asking is what turns OPEN into HALF_OPEN once the wait is over.
 */
extern bool te_breaker_ask(TeBreaker *b, const TeBreakerSettings *s, TeTime now, uint64_t *ticket,
                           TeBreakerChange *change);

/*
 * Report how a call ended.  EXCLUDED is a call that says nothing about the service,
 * such as one that we gave up ourselves.
 */
extern void te_breaker_report(TeBreaker *b, const TeBreakerSettings *s, TeTime now, uint64_t ticket,
                              TeCallResult result, TeBreakerChange *change);

/* The state as it would be found by asking now, which changes nothing. */
extern TeBreakerState te_breaker_state(const TeBreaker *b, const TeBreakerSettings *s, TeTime now);

/* Share of failures among the last calls that count for the rate; NAN without any. */
extern double te_breaker_failure_rate(const TeBreaker *b, const TeBreakerSettings *s);

#endif
