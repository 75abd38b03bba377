/*
 * breakers.h - a lane's circuit breakers around the risk service.
 *
 * One for the lane, or one per company, as trading_engine.risk_breaker_scope says.
 * They live as long as the worker.  Time is the system's, also where decisions go by
 * the input's: the waits are for a service that runs now.
 *
 * Every change of state is logged, kept until a batch has recorded it, and shown in
 * shared memory.
 */
#ifndef TE_ENGINE_BREAKERS_H
#define TE_ENGINE_BREAKERS_H

#include "postgres.h"

#include "core/breaker.h"
#include "engine/shmem.h"
#include "engine/store.h"

typedef struct TeBreakers TeBreakers;

/* A call that was let through. */
typedef struct TeBreakerCall
{
	struct TeLaneBreaker *breaker; /* NULL: it was refused */
	uint64_t ticket;
} TeBreakerCall;

/* Told of each change of state; company_id NULL: of the lane's breaker. */
typedef void (*TeBreakerListener)(void *context, const char *company_id,
                                  const TeBreakerChange *change);

extern TeBreakers *te_breakers_create(TeLaneSlot *slot, TeBreakerListener listener, void *context);

/* May the service be asked about a signal of the company?  If so, the call must be reported. */
extern bool te_breakers_ask(TeBreakers *all, const char *company_id, TeTime now,
                            TeBreakerCall *call);
extern void te_breakers_report(TeBreakers *all, const TeBreakerCall *call, TeCallResult result,
                               TeTime now);

/* Bring what shared memory shows up to date. */
extern void te_breakers_show(TeBreakers *all);

/* Add rows for the changes that aren't recorded yet; and, after the commit, forget them. */
extern void te_breakers_record(const TeBreakers *all, TeBatchRows *rows, int64 batch_no);
extern void te_breakers_recorded(TeBreakers *all);

#endif
