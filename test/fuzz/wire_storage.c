/*
 * wire_storage.c - any bytes as what the engine stored: inputs of a decision, what was
 * done to a signal, an outbox blob, an order in it, the state of a lane, and as a subject.
 */
#include <stdlib.h>
#include <string.h>

#include "core/work.h"
#include "wire/assessment.h"
#include "wire/inputs.h"
#include "wire/order.h"
#include "wire/outbox.h"
#include "wire/state.h"
#include "wire/subject.h"

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* Whatever was advised, a signal never leaves with more risk than it came with. */
static void check_assessed(const TeDecisionInput *in, const TeRiskActions *actions,
                           const TeDecision *asked)
{
	double side = te_direction_sign(asked->signal_type);
	TeRiskAssessment assessment = {0};
	TeDecision d = *asked;

	te_actions_apply(in, actions, &d, &assessment);
	must(assessment.note_count >= 0 && assessment.note_count <= TE_RISK_MOST_NOTES);
	must(d.step_count <= TE_MAX_STEPS);
	if (d.outcome != TE_OUTCOME_SIGNAL) {
		must(assessment.cancelled && d.outcome == TE_OUTCOME_RISK_REJECTED && !d.has_order);
		return;
	}
	must(d.position_size <= asked->position_size && d.position_size > 0);
	must(d.entry_price == asked->entry_price && d.leg_count <= asked->leg_count);
	must(side * (d.stop_loss - asked->stop_loss) >= 0 && side * (d.entry_price - d.stop_loss) > 0);
}

/* Advice as wild as the numbers of the prediction allow. */
static void check_advice(const TeDecisionInput *in, const TeDecision *asked)
{
	const double numbers[] = {NAN,
	                          asked->position_size / 3,
	                          asked->position_size * 3,
	                          asked->stop_loss / 2 + asked->entry_price / 2,
	                          in->prediction->confidence,
	                          in->prediction->current_price,
	                          1e-300};
	const size_t count = sizeof(numbers) / sizeof(numbers[0]);

	for (size_t i = 0; i < count * count; i++) {
		TeRiskReply reply = {.level = TE_RISK_LEVEL_HIGH,
		                     .has_position_size = i % count > 0,
		                     .has_stop_loss = i / count > 0,
		                     .position_size = numbers[i % count],
		                     .stop_loss = numbers[i / count]};
		TeRiskActions actions = {.count = 1};
		TeRiskAdvice advice;
		const char *reason;

		if (te_risk_reply_read(&reply, &advice, &reason) != NULL)
			continue;
		actions.actions[0] = te_action_advice(TE_RISK_STATUS_ASSESSED, &advice);
		check_assessed(in, &actions, asked);
	}
}

/* Inputs that are read, and pass the core's check, are packed to bytes that say the same. */
static void check_inputs(const uint8_t *data, size_t size, TeArena *arena)
{
	TeDecisionInput in, again;
	const uint8_t *packed, *repacked;
	size_t len, relen;
	const char *reason;
	TeDecision decision;

	if (!te_inputs_unpack(data, size, arena, &in, NULL) || te_input_check(&in, &reason) != NULL)
		return;
	te_decide(&in, &decision);
	if (decision.outcome == TE_OUTCOME_SIGNAL)
		check_advice(&in, &decision);
	if (!te_inputs_pack(&in, arena, &packed, &len, NULL))
		return;
	if (!te_inputs_unpack(packed, len, arena, &again, NULL) ||
	    !te_inputs_pack(&again, arena, &repacked, &relen, NULL)) {
		must(arena->exhausted);
		return;
	}
	must(len == relen && memcmp(packed, repacked, len) == 0);
}

static void check_outbox(const uint8_t *data, size_t size)
{
	TeOutboxReader reader;
	TeFrame frame;
	uint64_t last = 0;

	te_outbox_read(&reader, data, size);
	while (te_outbox_next(&reader, &frame, NULL) == 1) {
		must(last == 0 || frame.seq == last + 1);
		must(frame.message >= data && frame.message + frame.message_len <= data + size);
		last = frame.seq;
	}
}

static void check_subject(const uint8_t *data, size_t size)
{
	TeSubject subject;
	char text[TE_SUBJECT_MAX];

	if (!te_subject_parse("trading", (const char *)data, size, &subject, NULL) ||
	    subject.kind == TE_SUBJECT_CONTROL)
		return;
	must(te_subject_format("trading", &subject, text));
	must(strlen(text) == size && memcmp(text, data, size) == 0);
}

/* Actions that are read are packed to bytes that say the same. */
static void check_assessment(const uint8_t *data, size_t size, TeArena *arena)
{
	TeRiskActions actions, again;
	const uint8_t *packed, *repacked;
	size_t len, relen;

	if (!te_assessment_unpack(data, size, arena, &actions, NULL))
		return;
	must(actions.count >= 0 && actions.count <= TE_RISK_MOST_ACTIONS);
	for (int i = 0; i < actions.count; i++) {
		const TeRiskAction *a = &actions.actions[i];

		must((int)a->kind >= 0 && a->kind < TE_RISK_ACTION_COUNT);
		must((int)a->status >= 0 && a->status < TE_RISK_STATUS_COUNT);
		must((int)a->advice.level >= 0 && a->advice.level < TE_RISK_LEVEL_COUNT);
		must((int)a->reason >= 0 && a->reason < TE_RISK_NOTE_COUNT);
	}
	if (!te_assessment_pack(&actions, arena, &packed, &len, NULL) ||
	    !te_assessment_unpack(packed, len, arena, &again, NULL) ||
	    !te_assessment_pack(&again, arena, &repacked, &relen, NULL)) {
		must(arena->exhausted);
		return;
	}
	must(len == relen && memcmp(packed, repacked, len) == 0);
}

static void check_order(const uint8_t *data, size_t size, TeArena *arena)
{
	TeOrder order;

	if (!te_order_read(data, size, arena, &order, NULL))
		return;
	must(order.company_id != NULL && order.user_id != NULL && order.strategy_id != NULL);
	must(order.account_id != NULL && order.symbol != NULL);
	must(order.side >= -1 && order.side <= 1 && !isnan(order.lots));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TeArena arena;
	TeSavedState state;
	TeMarketState market;
	TeDecidedOn *decided_on;
	size_t count;

	if (arena.limit == 0)
		te_arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
	te_arena_reset(&arena);
	check_inputs(data, size, &arena);
	check_assessment(data, size, &arena);
	check_order(data, size, &arena);
	check_outbox(data, size);
	check_subject(data, size);
	te_lane_state_unpack(data, size, &arena, &state, NULL);
	te_market_state_unpack(data, size, &arena, &market, NULL);
	te_markets_unpack(data, size, &arena, &decided_on, &count, NULL);
	return 0;
}
