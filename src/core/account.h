/*
 * account.h - what an account has made, in order of time: its peak, and where its day began.
 *
 * Amounts are whole numbers of TE_BOOK_UNIT of the account's currency.  Like a position, an
 * account is the fold of its fills in order of time, then of id, over all its positions.
 */
#ifndef TE_CORE_ACCOUNT_H
#define TE_CORE_ACCOUNT_H

#include "book.h"

#define TE_USEC_PER_DAY (INT64_C(86400) * TE_USEC_PER_SEC)

typedef struct TeAccountRun
{
	int64_t realised;
	int64_t settled_peak; /* the most before the last instant; at least 0 */
	int64_t day_start;    /* realised when "day" began */
	TeTime day;           /* of the last fill, UTC: its midnight; TE_NO_TIME: none yet */
	TeTime last_at;       /* of the last fill; TE_NO_TIME: none yet */
	TeKey last_id;
	int64_t fills;
} TeAccountRun;

extern void te_account_run_begin(TeAccountRun *a);

/* Is a fill later than all that were added? */
extern bool te_account_run_follows(const TeAccountRun *a, TeTime at, TeKey id);

/* Add a fill that is, and what it earned. */
extern void te_account_run_add(TeAccountRun *a, TeTime at, TeKey id, int64_t earned);

/* The most that was realised after any instant, all of it taken together; at least 0. */
extern int64_t te_account_run_peak(const TeAccountRun *a);

#endif
