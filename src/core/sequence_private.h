/*
 * sequence_private.h - what the files of the sequence machine share.  Private to the core.
 *
 * sequence.c: offers and steps.  sequence_time.c: waiting.  parking.c: the lists below.
 */
#ifndef TE_CORE_SEQUENCE_PRIVATE_H
#define TE_CORE_SEQUENCE_PRIVATE_H

#include "sequence.h"

static inline TeParked *te_parked_at(const TeParking *p, uint32_t slot)
{
	return &p->entries[slot - 1];
}

extern uint32_t te_parked_find(const TeParking *p, const TeSequence *s, uint64_t epoch,
                               uint64_t seq, uint32_t *behind);

extern void te_parked_hold_position(TeParking *p, int source, uint64_t position);
extern void te_parked_enlist(TeParking *p, uint32_t slot, uint32_t behind);
extern void te_parked_delist(TeParking *p, uint32_t slot);
extern void te_parked_mark(TeParking *p, uint32_t slot);
extern void te_parked_unmark(TeParking *p, uint32_t slot);
extern void te_parked_set_free(TeParking *p, uint32_t slot);
extern void te_sequence_touch(TeParking *p, TeSequence *s);
extern void te_sequence_make_ready(TeParking *p, TeSequence *s);
extern uint32_t te_sequence_next_slot(const TeParking *p, const TeSequence *s);
extern bool te_sequence_has_tail_hole(const TeParking *p, const TeSequence *s);
extern void te_sequence_note_open(TeParking *p, TeSequence *s);
extern void te_parking_due_by(TeParking *p, TeTime when);
extern void te_sequence_skip_to(TeParking *p, TeSequence *s, uint64_t epoch, uint64_t below,
                                TeGapReason reason);

#endif
