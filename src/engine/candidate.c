/*
 * candidate.c - the group of candidates, in chunks.
 */
#include "postgres.h"

#include "engine/candidate.h"

#include "utils/memutils.h"

#define CHUNK 50
#define CHUNKS (TE_CANDIDATES_MOST / CHUNK)

StaticAssertDecl(TE_CANDIDATES_MOST % CHUNK == 0, "a group is whole chunks");

struct TeCandidates
{
	MemoryContext context;
	int count;
	TeCandidate *chunks[CHUNKS];
};

TeCandidates *te_candidates_create(MemoryContext context)
{
	TeCandidates *all = MemoryContextAllocZero(context, sizeof(TeCandidates));

	all->context = context;
	return all;
}

int te_candidates_count(const TeCandidates *all)
{
	return all->count;
}

TeCandidate *te_candidates_get(const TeCandidates *all, int i)
{
	return &all->chunks[i / CHUNK][i % CHUNK];
}

TeCandidate *te_candidates_next(TeCandidates *all)
{
	TeCandidate **chunk = &all->chunks[all->count / CHUNK];
	TeCandidate *c;

	Assert(all->count < TE_CANDIDATES_MOST);
	if (*chunk == NULL)
		*chunk = MemoryContextAlloc(all->context, sizeof(TeCandidate) * CHUNK);
	c = te_candidates_get(all, all->count);
	/* Most of it is written anyway. */
	c->actions.count = 0;
	memset(&c->assessment, 0, offsetof(TeRiskAssessment, notes));
	c->service_note[0] = '\0';
	c->memo = 0;
	c->reserved = false;
	return c;
}

void te_candidates_keep(TeCandidates *all)
{
	all->count++;
}

void te_candidates_reset(TeCandidates *all)
{
	all->count = 0;
}

void te_candidate_act(TeCandidate *c, const TeRiskAction *action)
{
	if (c->decision.outcome != TE_OUTCOME_SIGNAL)
		return;
	if (c->actions.count == TE_RISK_MOST_ACTIONS)
		elog(ERROR, "more than %d things are done to a signal", TE_RISK_MOST_ACTIONS);
	c->actions.actions[c->actions.count++] = *action;
	te_action_apply(&c->in, action, &c->decision, &c->assessment);
}

void te_candidate_note(const TeRiskNote *note, char text[TE_CANDIDATE_NOTE_MAX])
{
	const char *words = te_risk_note_texts[note->kind];
	char *end = text + snprintf(text, TE_CANDIDATE_NOTE_MAX, "%s", words);
	Size room = TE_CANDIDATE_NOTE_MAX - (end - text);

	if (note->kind >= TE_RISK_NOTE_SIZE_TOO_SMALL) {
		/* What there would be, and what is allowed. */
		if (te_known(note->before) && te_known(note->advised))
			snprintf(end, room, ": %.10g, allowed %.10g", note->before, note->advised);
	} else if (note->kind == TE_RISK_NOTE_LEG_DROPPED)
		snprintf(end, room, ": leg %d", note->leg);
	else if (te_known(note->before) && te_known(note->after) && note->before != note->after)
		snprintf(end, room, ": %.10g to %.10g", note->before, note->after);
	else if (te_known(note->advised))
		snprintf(end, room, ": %.10g", note->advised);
}
