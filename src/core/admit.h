/*
 * admit.h - which message of a producer takes effect.
 *
 * A producer numbers its messages 1, 2, ... without gaps, per tenant scope, within
 * an epoch that it raises whenever it loses count.  te_admit_judge says what a
 * number means.  Where several transports bring the same messages, sequence.h lets
 * those that come too early wait; te_admit is for one transport, which delivers in
 * order, possibly twice, so that a jump means loss: it is applied at once, and the
 * missing range reported.
 */
#ifndef TE_CORE_ADMIT_H
#define TE_CORE_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One producer in one tenant scope.  All zero: never seen.  Plain data: may be copied to stage it.
 */
typedef struct TeProducerState
{
	uint64_t epoch;
	uint64_t next_seq; /* expected next; 0: never seen */
} TeProducerState;

typedef enum {
	TE_ADMIT_IN_ORDER,  /* apply */
	TE_ADMIT_GAP,       /* apply; gap_from..gap_to are missing */
	TE_ADMIT_NEW_EPOCH, /* apply; gap_from..gap_to are missing when the epoch didn't start at 1 */
	TE_ADMIT_STALE,     /* of an epoch that is over: no effect, count */
	TE_ADMIT_DUPLICATE, /* seen, with the same content: no effect */
	TE_ADMIT_LATE, /* below next, but nothing is stored under it: it was missed. No effect, count */
	TE_ADMIT_CONFLICT, /* another content under a number that was used, or an impossible number:
	                      dead letter, alarm */
	TE_ADMIT_FULL      /* of sequence.h only: no room to let it wait; nothing has happened, offer it
	                      again later */
} TeAdmitVerdict;

typedef struct TeAdmission
{
	TeAdmitVerdict verdict;
	uint64_t gap_from, gap_to; /* missing in the message's epoch; both 0: none */
	uint64_t abandoned_epoch;  /* NEW_EPOCH of a known producer: the epoch that ended ... */
	uint64_t abandoned_from;   /* ... and the first number of it that will not come; 0: none */
} TeAdmission;

/* Epochs and numbers are stored as bigint. */
#define TE_ADMIT_MAX_NUMBER ((uint64_t)INT64_MAX - 1)

/* Whether te_admit needs the hash stored under this number to judge. */
extern bool te_admit_needs_hash(const TeProducerState *state, uint64_t epoch, uint64_t seq);

/* Judge a message by its number: any verdict but FULL.  The arguments are those of te_admit. */
extern TeAdmitVerdict te_admit_judge(const TeProducerState *state, uint64_t epoch, uint64_t seq,
                                     const void *hash, const void *stored, size_t hash_length);

/*
 * Judge a message and move the state on.  "stored" is the hash that is recorded
 * under (epoch, seq), or NULL when there is none; it is looked at only where
 * te_admit_needs_hash says so.
 */
extern TeAdmission te_admit(TeProducerState *state, uint64_t epoch, uint64_t seq, const void *hash,
                            const void *stored, size_t hash_length);

/* Whether a verdict lets the message take effect. */
extern bool te_admit_applies(TeAdmitVerdict verdict);

#endif
