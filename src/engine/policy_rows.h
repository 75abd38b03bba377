/*
 * policy_rows.h - what is laid down for a lane's tenants: limits, protections and their locks,
 * switches, rules about news; and when instruments trade.
 *
 * Part of the cache (cache.h): copies of committed rows, as of the snapshot that the cache
 * shows, read again kind by kind when the log of changes names one.  Rows that concern a
 * target are found by its scopes, of which there are at most eight; where a kind has no row of
 * such a scope, nothing is looked up.
 */
#ifndef TE_ENGINE_POLICY_ROWS_H
#define TE_ENGINE_POLICY_ROWS_H

#include "postgres.h"

#include "core/protections.h"
#include "core/sessions.h"

/* X(symbol): kinds of rows with a scope. */
#define TE_POLICY_KINDS(X) X(LIMIT) X(PROTECTION) X(LOCK) X(SWITCH) X(NEWS_RULE)
#define TE_POLICY_KIND_MEMBER(symbol) TE_POLICY_##symbol,
typedef enum { TE_POLICY_KINDS(TE_POLICY_KIND_MEMBER) TE_POLICY_KIND_COUNT } TePolicyKind;

typedef struct TePolicyNews
{
	TeNewsRule rule;
	bool required;
} TePolicyNews;

typedef struct TePolicyProtection
{
	TeProtection protection;
	const char *key;       /* its row's */
	const char *authority; /* and who laid it down */
} TePolicyProtection;

typedef struct TePolicyRow
{
	TeScope scope;
	union
	{
		TeLimits limits;
		TePolicyProtection protection;
		TeLock lock;
		TeTradingState state; /* never ACTIVE: such rows aren't kept */
		TePolicyNews news;
	} as;
	uint32 hash;
	struct TePolicyRow *next;
} TePolicyRow;

typedef struct TePolicyRows TePolicyRows;

extern TePolicyRows *te_policy_rows_create(MemoryContext parent, int lane, int lane_count);

/* A change that the log names; it may be no kind of these. */
extern void te_policy_rows_note(TePolicyRows *rows, const char *kind, const char *company_id);

/* All of it has to be read, whatever the log says. */
extern void te_policy_rows_note_all(TePolicyRows *rows);

/* Read what was noted, aside; in a transaction with SPI connected. */
extern void te_policy_rows_read(TePolicyRows *rows);

/* What was read takes its place. */
extern void te_policy_rows_show(TePolicyRows *rows);

/* --- readers --- */

/* Whom rows are looked for. */
typedef struct TePolicyTarget
{
	TeScope scope;
	uint32 hashes[4]; /* of company, user, strategy, symbol; 0 where there is none */
} TePolicyTarget;

extern TePolicyTarget te_policy_target(const TeScope *scope);

/* Rows of a kind that cover a target, one after the other; NULL: no more. */
typedef struct TePolicySearch
{
	const TePolicyTarget *target;
	TePolicyKind kind;
	uint32 left; /* scopes not yet looked at */
	int scope;   /* that is being looked at, and its hash */
	uint32 hash;
	const TePolicyRow *row;
} TePolicySearch;

extern const TePolicyRow *te_policy_first(const TePolicyRows *rows, TePolicyKind kind,
                                          const TePolicyTarget *target, TePolicySearch *search);
extern const TePolicyRow *te_policy_next(const TePolicyRows *rows, TePolicySearch *search);

static inline const TePolicyRow *te_policy_find(const TePolicyRows *rows, TePolicyKind kind,
                                                const TePolicyTarget *target)
{
	TePolicySearch search;

	return te_policy_first(rows, kind, target, &search);
}

/* Does the kind have any row at all? */
extern bool te_policy_has(const TePolicyRows *rows, TePolicyKind kind);

/* The strictest of the switches that cover a target. */
extern TeTradingState te_policy_state(const TePolicyRows *rows, const TePolicyTarget *target);

/* Does an instrument trade at that time?  One without hours always does, but for its holidays. */
extern bool te_policy_in_session(TePolicyRows *rows, const char *symbol, TeTime at);

/* The part of the calendar that a rule looks at. */
extern TeNewsVerdict te_policy_news(const TePolicyRows *rows, const TeNewsRule *rule,
                                    const char *base, const char *quote, TeTime at,
                                    const TeNewsEvent **event);

#endif
