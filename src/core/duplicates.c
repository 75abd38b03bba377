/*
 * duplicates.c - the rules of "Duplicate signals" over three recalls.
 */
#include "duplicates.h"

#include "ticks.h"
#include "work.h"

size_t te_duplicates_size(const TeDuplicateLimits *limits)
{
	return te_recall_size(limits->signals, limits->batch) +
	       te_recall_size(limits->decisions, limits->batch) +
	       te_recall_size(limits->bans, limits->batch);
}

void te_duplicates_init(TeDuplicates *d, void *memory, const TeDuplicateLimits *limits)
{
	char *at = memory;

	te_recall_init(&d->signals, at, limits->signals, limits->batch);
	at += te_recall_size(limits->signals, limits->batch);
	te_recall_init(&d->decisions, at, limits->decisions, limits->batch);
	at += te_recall_size(limits->decisions, limits->batch);
	te_recall_init(&d->bans, at, limits->bans, limits->batch);
}

void te_duplicates_move(TeDuplicates *d, void *memory, const TeDuplicateLimits *limits)
{
	char *at = memory;

	te_recall_move(&d->signals, at, limits->signals, limits->batch);
	at += te_recall_size(limits->signals, limits->batch);
	te_recall_move(&d->decisions, at, limits->decisions, limits->batch);
	at += te_recall_size(limits->decisions, limits->batch);
	te_recall_move(&d->bans, at, limits->bans, limits->batch);
}

static bool alike(const TeMemo *m, const TeDuplicateSignal *signal, const TeDuplicateRule *rule)
{
	if (m->side != signal->side)
		return false;
	if (signal->side == 0)
		return m->code == signal->hold_reason;
	return fabs(m->price - signal->entry_price) / rule->pip_size <=
	       rule->distance_pips + TE_PIP_TOLERANCE;
}

bool te_duplicates_has_signal(const TeDuplicates *d, const TeDuplicateSignal *signal,
                              const TeDuplicateRule *rule)
{
	TeTime window = rule->window_seconds * TE_USEC_PER_SEC;
	const TeMemo *m = te_recall_newest(&d->signals, signal->key);

	for (int n = 0; m != NULL && n < TE_DUPLICATE_MOST_COMPARED; n++) {
		TeTime age = signal->at - m->at;

		if (age >= window) /* and the ones before it are older still */
			return false;
		/* A clock that was set back makes signals of the future; far ones don't count. */
		if (age > -window && alike(m, signal, rule))
			return true;
		m = te_recall_older(&d->signals, m);
	}
	return false;
}

bool te_duplicates_has_decision(const TeDuplicates *d, TeKey prediction, TeTime at,
                                TeOutcome *outcome)
{
	const TeMemo *m = te_recall_newest(&d->decisions, prediction);

	if (m == NULL || at >= m->until)
		return false;
	*outcome = (TeOutcome)m->code;
	return true;
}

bool te_duplicates_has_ban(const TeDuplicates *d, TeKey prediction, TeTime at)
{
	/* Stop-outs of one prediction may be told out of order. */
	for (const TeMemo *m = te_recall_newest(&d->bans, prediction); m != NULL;
	     m = te_recall_older(&d->bans, m))
		if (at < m->until)
			return true;
	return false;
}

TeTime te_decision_life(double signal_strength)
{
	double seconds = te_known(signal_strength) ? te_steps_down(signal_strength * 120) : 0;

	return (TeTime)fmax(30, seconds) * TE_USEC_PER_SEC;
}

TeMemo *te_duplicates_add_signal(TeDuplicates *d, const TeDuplicateSignal *signal,
                                 const TeDuplicateRule *rule)
{
	TeMemo *m = te_recall_stage(&d->signals, signal->key);

	if (m == NULL)
		return NULL;
	m->at = signal->at;
	m->until = signal->at + rule->window_seconds * TE_USEC_PER_SEC;
	m->price = signal->entry_price;
	te_duplicates_retype(m, signal->side, signal->hold_reason);
	return m;
}

void te_duplicates_retype(TeMemo *staged, int side, uint8_t hold_reason)
{
	staged->side = (int8_t)side;
	staged->code = hold_reason;
}

bool te_duplicates_add_decision(TeDuplicates *d, TeKey prediction, TeTime at, TeOutcome outcome,
                                double signal_strength)
{
	TeMemo *m = te_recall_stage(&d->decisions, prediction);

	if (m == NULL)
		return false;
	m->at = at;
	m->until = at + te_decision_life(signal_strength);
	m->code = (uint8_t)outcome;
	return true;
}

bool te_duplicates_add_ban(TeDuplicates *d, TeKey prediction, TeTime stopped_at)
{
	TeMemo *m = te_recall_stage(&d->bans, prediction);

	if (m == NULL)
		return false;
	m->at = stopped_at;
	m->until = stopped_at + TE_REENTRY_BAN;
	return true;
}

void te_duplicates_apply(TeDuplicates *d, TeTime now)
{
	te_recall_apply(&d->signals, now);
	te_recall_apply(&d->decisions, now);
	te_recall_apply(&d->bans, now);
}

void te_duplicates_discard(TeDuplicates *d)
{
	te_recall_discard(&d->signals);
	te_recall_discard(&d->decisions);
	te_recall_discard(&d->bans);
}
