/*
 * wire_storage.c - any bytes as what the engine stored: inputs of a decision, an
 * outbox blob, the state of a lane, and as a subject.
 */
#include <stdlib.h>
#include <string.h>

#include "core/decide.h"
#include "wire/assessment.h"
#include "wire/inputs.h"
#include "wire/outbox.h"
#include "wire/state.h"
#include "wire/subject.h"

static void must(bool condition)
{
	if (!condition)
		abort();
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TeArena arena;
	TeSavedState state;
	TeMarketState market;
	TeDecidedOn *decided_on;
	TeRiskActions actions;
	size_t count;

	if (arena.limit == 0)
		te_arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
	te_arena_reset(&arena);
	check_inputs(data, size, &arena);
	check_outbox(data, size);
	check_subject(data, size);
	te_lane_state_unpack(data, size, &arena, &state, NULL);
	te_market_state_unpack(data, size, &arena, &market, NULL);
	te_assessment_unpack(data, size, &arena, &actions, NULL);
	te_markets_unpack(data, size, &arena, &decided_on, &count, NULL);
	return 0;
}
