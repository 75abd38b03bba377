/*
 * waiting.h - copies of messages that came before their turn.
 *
 * The parking (core/sequence.h) says which messages wait, under which slot; their bytes
 * are here.  A copy stays until the transaction that takes it is durable.
 */
#ifndef TE_ENGINE_WAITING_H
#define TE_ENGINE_WAITING_H

#include "postgres.h"

#include "core/sequence.h"

struct TeInput;

typedef struct TeWaiting TeWaiting;

extern TeWaiting *te_waiting_create(const TeParking *parking);

/* Keep a copy under this slot; one that is there belongs to a message taken by this transaction. */
extern void te_waiting_keep(TeWaiting *w, uint32 slot, const struct TeInput *input);

/* The copy under a slot; lives until te_waiting_settle(). */
extern const struct TeInput *te_waiting_at(const TeWaiting *w, uint32 slot);

/* The slot's message was taken by the transaction at hand. */
extern void te_waiting_take(TeWaiting *w, uint32 slot);

/* After te_parking_apply() or te_parking_discard(): free what waits no more. */
extern void te_waiting_settle(TeWaiting *w);

#endif
