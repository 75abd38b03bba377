/*
 * gate.c - see gate.h.
 */
#include "postgres.h"

#include "engine/gate.h"

#include "utils/memutils.h"

#include "engine/policy_rows.h"
#include "wire/order.h"
#include "wire/subject.h"

#define ARENA_BLOCK ((size_t)16 * 1024)
#define ARENA_LIMIT ((size_t)64 * 1024 * 1024)

/* The end of a transaction wakes the lane; should that get lost, it looks itself. */
#define LOOK_AGAIN_US INT64_C(100000)

struct TeGate
{
	const TeCache *cache;
	TeHolds *holds;
	const TeExposure *exposure;
	int64 held_since; /* the message at hand; 0: it isn't held */
	int64 due;
	TeArena arena;
};

TeGate *te_gate_create(const TeCache *cache, const TeExposure *exposure, TeHolds *holds)
{
	TeGate *gate = MemoryContextAllocZero(TopMemoryContext, sizeof(TeGate));

	gate->cache = cache;
	gate->exposure = exposure;
	gate->holds = holds;
	te_arena_init(&gate->arena, ARENA_BLOCK, ARENA_LIMIT);
	return gate;
}

bool te_gate_is_called(const TeGate *gate)
{
	return te_holds_changed(gate->holds);
}

void te_gate_attend(TeGate *gate, int64 epoch, int64 seq)
{
	te_holds_read(gate->holds, epoch, seq);
}

int64 te_gate_due(const TeGate *gate)
{
	return gate->due;
}

/* An order may leave; a hold (signal) does no harm unless all is halted. */
static bool permits(const TeGate *gate, TeTradingState state, const TeOrder *order)
{
	double position, pending;

	if (state != TE_TRADING_REDUCING)
		return state == TE_TRADING_ACTIVE;
	if (order->side == 0)
		return true;
	position = te_exposure_position(gate->exposure, order->company_id, order->user_id,
	                                order->account_id, order->symbol);
	/* The order is among what isn't filled, unless it has expired since. */
	pending = te_exposure_pending(gate->exposure, order->company_id, order->user_id,
	                              order->account_id, order->symbol, order->side);
	return te_trading_permits(state, position, order->side, Max(order->lots, pending));
}

/*
 * The order itself, where a switch may concern it by what the subject doesn't tell.  Whatever
 * can't be read is taken for an order of everything, so that it can be halted.
 */
static void read_order(TeGate *gate, const TeFrame *frame, TeOrder *order)
{
	TeSubject subject;
	TeWireError err;

	te_arena_reset(&gate->arena);
	if (te_order_read(frame->message, frame->message_len, &gate->arena, order, &err))
		return;
	if (!te_subject_parse_output(frame->subject, &subject, &err))
		elog(ERROR, "outbox message " UINT64_FORMAT " has a bad subject: %s", frame->seq,
		     err.detail);
	*order = (TeOrder){
		.company_id = te_arena_strdup(&gate->arena, subject.company),
		.user_id = te_arena_strdup(&gate->arena, subject.user),
		.strategy_id = "",
		.account_id = "",
		.symbol = te_arena_strdup(&gate->arena, subject.symbol),
		.side = 1,
		.lots = INFINITY,
	};
}

static TeGateVerdict hold(TeGate *gate, int64 now)
{
	if (gate->held_since == 0)
		gate->held_since = now;
	if (now - gate->held_since >= TE_HOLD_PATIENCE_US)
		return TE_GATE_SHUT;
	gate->due = Min(now + LOOK_AGAIN_US, gate->held_since + TE_HOLD_PATIENCE_US);
	return TE_GATE_HELD;
}

/* Is there anything that a message could be stopped by? */
static bool watches(const TeGate *gate)
{
	return !te_holds_empty(gate->holds) ||
	       te_policy_has(te_cache_policy(gate->cache), TE_POLICY_SWITCH);
}

/* The order in a message, and the strictest states that cover it: rows are among those that count.
 */
static TeHeld look_up(TeGate *gate, const TeFrame *frame, TeOrder *order)
{
	TePolicyTarget target;
	TeHeld held;

	read_order(gate, frame, order);
	target = te_policy_target(&(TeScope){.company = order->company_id,
	                                     .user = order->user_id,
	                                     .strategy = order->strategy_id,
	                                     .symbol = order->symbol});
	held = te_holds_judge(gate->holds, &target.scope);
	held.counts = Max(te_policy_state(te_cache_policy(gate->cache), &target), held.counts);
	return held;
}

bool te_gate_is_open(TeGate *gate, const TeFrame *frame)
{
	TeOrder order;
	TeHeld held;

	if (!watches(gate))
		return true;
	held = look_up(gate, frame, &order);
	return held.counts == TE_TRADING_ACTIVE && held.pending == TE_TRADING_ACTIVE;
}

TeGateVerdict te_gate_judge(TeGate *gate, const TeFrame *frame, int64 now)
{
	TeGateVerdict verdict = TE_GATE_OPEN;
	TeOrder order;
	TeHeld held;

	gate->due = 0;
	if (!watches(gate))
		return TE_GATE_OPEN;
	held = look_up(gate, frame, &order);
	if (!permits(gate, held.counts, &order))
		verdict = TE_GATE_SHUT;
	else if (!permits(gate, held.pending, &order))
		verdict = hold(gate, now);
	if (verdict != TE_GATE_HELD)
		gate->held_since = 0;
	return verdict;
}
