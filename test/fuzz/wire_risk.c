/*
 * wire_risk.c - any bytes as a risk service's answer, and as a question to it.
 *
 * What is read is written to bytes that say the same, and what is taken for advice is
 * within its ranges.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/risk.h"

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* A number and what became of it, NAN being itself. */
static bool same(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static void check_answer(const uint8_t *data, size_t size, TeArena *arena)
{
	TeRiskAnswer in, again;
	TeRiskAdvice advice;
	TeWireError err = {0};
	const uint8_t *packed;
	const char *reason;
	size_t len;

	if (!te_decode_risk_answer(data, size, arena, &in, &err)) {
		must(err.code != TE_WIRE_OK && err.detail[0] != '\0');
		return;
	}
	must(strlen(in.note) <= TE_RISK_NOTE_MAX);
	if (te_risk_reply_read(&in.reply, &advice, &reason) == NULL) {
		must(advice.level > TE_RISK_LEVEL_UNSPECIFIED && advice.level < TE_RISK_LEVEL_COUNT);
		must(!(advice.position_size < 0) && !isinf(advice.position_size));
		must(!(advice.stop_loss <= 0) && !isinf(advice.stop_loss));
	} else {
		must(reason != NULL);
	}
	if (!te_encode_risk_answer(&in, "service", "", 1, arena, &packed, &len, NULL) ||
	    !te_decode_risk_answer(packed, len, arena, &again, NULL)) {
		must(arena->exhausted);
		return;
	}
	must(memcmp(in.signal_id, again.signal_id, TE_UUID_BYTES) == 0);
	must(in.reply.level == again.reply.level && strcmp(in.note, again.note) == 0);
	must(in.reply.has_position_size == again.reply.has_position_size &&
	     same(in.reply.position_size, again.reply.position_size));
	must(in.reply.has_stop_loss == again.reply.has_stop_loss &&
	     same(in.reply.stop_loss, again.reply.stop_loss));
}

static void check_question(const uint8_t *data, size_t size, TeArena *arena)
{
	TeRiskQuestion in, again;
	const uint8_t *packed;
	size_t len;

	if (!te_decode_risk_question(data, size, arena, &in, NULL))
		return;
	if (!te_encode_risk_question(&in, arena, &packed, &len, NULL) ||
	    !te_decode_risk_question(packed, len, arena, &again, NULL)) {
		must(arena->exhausted);
		return;
	}
	must(memcmp(in.signal_id, again.signal_id, TE_UUID_BYTES) == 0);
	must(strcmp(in.company_id, again.company_id) == 0 && strcmp(in.symbol, again.symbol) == 0);
	must(in.signal_type == again.signal_type && in.deadline_at == again.deadline_at);
	must(same(in.position_size, again.position_size) && same(in.stop_loss, again.stop_loss));
	must(same(in.equity, again.equity) && same(in.max_loss, again.max_loss));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TeArena arena;

	if (arena.limit == 0)
		te_arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
	te_arena_reset(&arena);
	check_answer(data, size, &arena);
	check_question(data, size, &arena);
	return 0;
}
