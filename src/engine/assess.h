/*
 * assess.h - asking the risk service about a batch's signals.
 */
#ifndef TE_ENGINE_ASSESS_H
#define TE_ENGINE_ASSESS_H

#include "postgres.h"

#include "engine/batch.h"

/*
 * Assess all candidates whose outcome is SIGNAL, together and with one deadline, before the
 * transaction opens; what comes of it is done by te_candidate_act.  The caller amends the exposure.
 */
extern void te_assess_batch(TeBatch *batch, TeCandidates *candidates);

#endif
