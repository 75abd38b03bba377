/*
 * gate.h - whether a message that was made may leave now.
 *
 * The last thing that a message passes before a broker, after a crash and after an outage
 * too: the kill switch as trading.trading_switches has it, and switches that are about to be
 * set (holds.h).
 */
#ifndef TE_ENGINE_GATE_H
#define TE_ENGINE_GATE_H

#include "postgres.h"

#include "engine/cache.h"
#include "engine/exposure.h"
#include "engine/holds.h"
#include "wire/outbox.h"

typedef struct TeGate TeGate;

extern TeGate *te_gate_create(const TeCache *cache, const TeExposure *exposure, TeHolds *holds);

/* Has somebody set a switch since the last te_gate_attend? */
extern bool te_gate_is_called(const TeGate *gate);

/* Take note of switches that are being set; the place is that of the last message released. */
extern void te_gate_attend(TeGate *gate, int64 epoch, int64 seq);

/* OPEN: it may leave.  HELD: not while a transaction may still be rolled back.  SHUT: never. */
typedef enum { TE_GATE_OPEN, TE_GATE_HELD, TE_GATE_SHUT } TeGateVerdict;

/*
 * Judge a message.  "now" is monotonic; a message that has been held long enough is shut out.
 */
extern TeGateVerdict te_gate_judge(TeGate *gate, const TeFrame *frame, int64 now);

/*
 * May it leave, beyond doubt?  For messages whose batch isn't committed yet: what they change is
 * not counted in anything that a switch REDUCING looks at.
 */
extern bool te_gate_is_open(TeGate *gate, const TeFrame *frame);

/* When a message that is held is to be looked at again; 0: none is. */
extern int64 te_gate_due(const TeGate *gate);

#endif
