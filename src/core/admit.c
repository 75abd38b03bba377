/*
 * admit.c - what the number of a message means, and admission over a single transport.
 */
#include "admit.h"

#include <string.h>

static bool possible(uint64_t epoch, uint64_t seq)
{
	return seq >= 1 && seq <= TE_ADMIT_MAX_NUMBER && epoch <= TE_ADMIT_MAX_NUMBER;
}

static bool known(const TeProducerState *state)
{
	return state->next_seq > 0;
}

bool te_admit_needs_hash(const TeProducerState *state, uint64_t epoch, uint64_t seq)
{
	return possible(epoch, seq) && known(state) && epoch == state->epoch && seq < state->next_seq;
}

bool te_admit_applies(TeAdmitVerdict verdict)
{
	return verdict == TE_ADMIT_IN_ORDER || verdict == TE_ADMIT_GAP || verdict == TE_ADMIT_NEW_EPOCH;
}

/* A number that was passed already. */
static TeAdmitVerdict judge_old(const void *hash, const void *stored, size_t hash_length)
{
	if (stored == NULL)
		return TE_ADMIT_LATE;
	return memcmp(hash, stored, hash_length) == 0 ? TE_ADMIT_DUPLICATE : TE_ADMIT_CONFLICT;
}

TeAdmitVerdict te_admit_judge(const TeProducerState *state, uint64_t epoch, uint64_t seq,
                              const void *hash, const void *stored, size_t hash_length)
{
	if (!possible(epoch, seq))
		return TE_ADMIT_CONFLICT;
	if (!known(state) || epoch > state->epoch)
		return TE_ADMIT_NEW_EPOCH;
	if (epoch < state->epoch)
		return TE_ADMIT_STALE;
	if (seq < state->next_seq)
		return judge_old(hash, stored, hash_length);
	return seq == state->next_seq ? TE_ADMIT_IN_ORDER : TE_ADMIT_GAP;
}

TeAdmission te_admit(TeProducerState *state, uint64_t epoch, uint64_t seq, const void *hash,
                     const void *stored, size_t hash_length)
{
	TeAdmission a = {
		.verdict = te_admit_judge(state, epoch, seq, hash, stored, hash_length),
	};
	uint64_t expected = state->next_seq;

	if (!te_admit_applies(a.verdict))
		return a;
	if (a.verdict == TE_ADMIT_NEW_EPOCH) {
		if (known(state)) {
			a.abandoned_epoch = state->epoch;
			a.abandoned_from = state->next_seq;
		}
		expected = 1;
	}
	if (seq > expected) {
		a.gap_from = expected;
		a.gap_to = seq - 1;
	}
	state->epoch = epoch;
	state->next_seq = seq + 1;
	return a;
}
