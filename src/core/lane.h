/*
 * lane.h - which lane owns a company, and a lane's clock.
 */
#ifndef TE_CORE_LANE_H
#define TE_CORE_LANE_H

#include <stdint.h>

#include "types.h"

/*
 * The lane of a company, 0 .. lane_count - 1: 64-bit FNV-1a of the bytes of its
 * id, mixed by the finalizer of MurmurHash3 (FNV's low bits are weak for ids that
 * differ in their last character), modulo the number of lanes.  Stored rows
 * depend on it: it never changes.
 */
extern uint32_t te_lane_of(const char *company_id, uint32_t lane_count);

/* The lane's clock after a prediction: its greatest generated_at.  TE_NO_TIME: not started. */
static inline TeTime te_lane_clock(TeTime clock, TeTime generated_at)
{
	return generated_at > clock ? generated_at : clock;
}

#endif
