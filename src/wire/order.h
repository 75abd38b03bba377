/*
 * order.h - what a message of ours asks for: whose order it is, of what, which side, how large.
 *
 * For whoever decides whether a message that was made earlier may still leave.
 */
#ifndef TE_WIRE_ORDER_H
#define TE_WIRE_ORDER_H

#include "envelope.h"

/* Texts are never NULL. */
typedef struct TeOrder
{
	const char *company_id, *user_id, *strategy_id, *account_id, *symbol;
	int side;    /* +1 buy, -1 sell; 0: a hold, which asks for nothing */
	double lots; /* 0 of a hold */
} TeOrder;

/*
 * Of a message of one signal, or of a command; false with err where it is neither, or where what an
 * order has to say isn't there.  Points into the arena.
 */
extern bool te_order_read(const uint8_t *message, size_t length, TeArena *arena, TeOrder *out,
                          TeWireError *err);

#endif
