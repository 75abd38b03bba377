/*
 * assess.h - asking the risk service about a batch's signals.
 *
 * All signals that wait are asked about at once, with one deadline, before the
 * transaction opens.  What comes back is advice; without a sound answer in time
 * the advice is the tighter of conservative parameters and of what the service said
 * about the company of late.  The circuit breaker keeps a service that fails from
 * being waited for (breakers.h).
 */
#ifndef TE_ENGINE_ASSESS_H
#define TE_ENGINE_ASSESS_H

#include "postgres.h"

#include "engine/batch.h"
#include "engine/link.h"

typedef struct TeAssess TeAssess;

/* A lane's; lives as long as the process. */
extern TeAssess *te_assess_create(TeLaneSlot *slot);

/* Remember what the service said before the worker started; in a transaction with SPI connected. */
extern void te_assess_load(TeAssess *a, const TeCache *cache);

/* Ask over this link from now on. */
extern void te_assess_connect(TeAssess *a, TeLink *link);

/*
 * Assess all candidates whose outcome is SIGNAL; what comes of it is done by te_candidate_act.
 * The caller amends the exposure.  Nothing happens without trading_engine.risk_service.
 */
extern void te_assess_batch(TeBatch *batch, TeCandidates *candidates);

/* Add what the batch has to record beside its signals; and, when that is committed, forget it. */
extern void te_assess_record(TeBatch *batch);
extern void te_assess_recorded(const TeLaneContext *lane);

#endif
