/*
 * candidate.h - a decision of outcome SIGNAL or HOLD on its way to its row and its messages.
 *
 * In its turn, at once and in order, a candidate is compared with what the lane remembers,
 * held against switches and limits, and reserved.  Then it waits: a batch's candidates are
 * assessed together (te_assess_batch), and recorded in their order.  What is decided later in the
 * batch sees them as they were reserved.
 *
 * Candidates live in chunks that are used again from one group to the next, so that a
 * broadcast that makes 100,000 signals takes no more memory than one that fills a group.
 */
#ifndef TE_ENGINE_CANDIDATE_H
#define TE_ENGINE_CANDIDATE_H

#include "postgres.h"

#include "core/actions.h"
#include "core/recall.h"
#include "engine/cache.h"
#include "wire/decode.h"
#include "wire/identity.h"

/* So many wait to be assessed together at most. */
#define TE_CANDIDATES_MOST 5000

typedef struct TeCandidate
{
	/*
	 * Names, company, version and slot as of the visit; params and account are the copies below.
	 * What they point to stays as it is until the cache is refreshed, which is after the batch.
	 */
	TeCachedStrategy of;
	TeStrategy strategy;
	TeAccount account;

	const TeMessage *message;
	int position;       /* of the message within the batch */
	int prediction;     /* index of the prediction within the message */
	double margin_rate; /* share of the position's value that is bound */
	const char *correlation_id;
	const char *traceparent; /* may be empty */
	int64 read_at;

	TeDecisionInput in;
	TeDecision decision;
	TeRiskActions actions;       /* what was done to it */
	TeRiskAssessment assessment; /* what that came to; status UNSPECIFIED: nothing was */
	char service_note[256];      /* the risk service's own words, one line, or empty */

	uint8_t signal_id[TE_UUID_BYTES];
	uint64 memo;   /* its entry in the memory of signals; 0: none */
	bool reserved; /* it is in the book */
} TeCandidate;

typedef struct TeCandidates TeCandidates;

/* None yet; lives as long as the context. */
extern TeCandidates *te_candidates_create(MemoryContext context);

/* The next free one, with nothing in it; it is one of the group only after te_candidates_keep. */
extern TeCandidate *te_candidates_next(TeCandidates *all);
extern void te_candidates_keep(TeCandidates *all);

extern int te_candidates_count(const TeCandidates *all);
extern TeCandidate *te_candidates_get(const TeCandidates *all, int i);

/* The group is recorded, or given up. */
extern void te_candidates_reset(TeCandidates *all);

/* Do something to a candidate whose outcome is SIGNAL, in a way that can be recorded. */
extern void te_candidate_act(TeCandidate *c, const TeRiskAction *action);

/* What a row says about it: a short line for each thing that was done. */
#define TE_CANDIDATE_NOTE_MAX 200
extern void te_candidate_note(const TeRiskNote *note, char text[TE_CANDIDATE_NOTE_MAX]);

#endif
