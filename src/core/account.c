/*
 * account.c - the run of an account's equity.
 */
#include "account.h"

void te_account_run_begin(TeAccountRun *a)
{
	*a = (TeAccountRun){.day = TE_NO_TIME, .last_at = TE_NO_TIME};
}

bool te_account_run_follows(const TeAccountRun *a, TeTime at, TeKey id)
{
	if (a->fills == 0 || at != a->last_at)
		return a->fills == 0 || at > a->last_at;
	return id.hi != a->last_id.hi ? id.hi > a->last_id.hi : id.lo > a->last_id.lo;
}

static TeTime midnight(TeTime at)
{
	TeTime since = at % TE_USEC_PER_DAY;

	return at - (since < 0 ? since + TE_USEC_PER_DAY : since);
}

void te_account_run_add(TeAccountRun *a, TeTime at, TeKey id, int64_t earned)
{
	if (a->fills == 0 || at != a->last_at)
		a->settled_peak = te_account_run_peak(a);
	if (a->fills == 0 || midnight(at) != a->day) {
		a->day = midnight(at);
		a->day_start = a->realised;
	}
	a->realised += earned;
	a->last_at = at;
	a->last_id = id;
	a->fills++;
}

int64_t te_account_run_peak(const TeAccountRun *a)
{
	return a->realised > a->settled_peak ? a->realised : a->settled_peak;
}
