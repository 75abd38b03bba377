/*
 * wire_decode.c - any bytes as an input message: an error that says what, or a
 * message whose every part keeps its promise.
 */
#include "wire/decode.h"

#include <stdlib.h>
#include <string.h>

#include "core/decide.h"
#include "wire/scan.h"

/* What doesn't hold ends the fuzzer. */
static void must(bool condition)
{
	if (!condition)
		abort();
}

static void check_error(const TeWireError *err)
{
	must(err->code > TE_WIRE_OK && err->code < TE_WIRE_CODE_COUNT && err->detail[0] != '\0');
	must(te_utf8_valid((const uint8_t *)err->field, strlen(err->field)));
	must(te_utf8_valid((const uint8_t *)err->detail, strlen(err->detail)));
}

static void check_batch(const TePredictionBatch *b)
{
	size_t faults = 0;

	must(b->count > 0 && te_id_valid(b->company_id) && te_id_valid(b->user_id) &&
	     te_id_valid(b->producer_id));
	for (size_t i = 0; i < b->count; i++) {
		const char *reason;

		if (b->faults[i].code == TE_WIRE_OK) {
			must(te_prediction_check(&b->predictions[i], &reason) == NULL);
			must(te_symbol_valid(b->predictions[i].symbol));
		} else {
			check_error(&b->faults[i]);
			faults++;
		}
	}
	must(faults == b->fault_count);
}

/* Sound as the core asks for, so that it can be summed up as it is. */
static void check_execution(TeExecutionReport *x)
{
	TeGrid lot = te_grid(0.01);
	TeExecutionRepeats repeats;
	TeExecutionSum sum;
	const char *reason;
	int count;

	must(te_id_valid(x->company_id) && te_id_valid(x->user_id) && x->execution_id[0] != '\0');
	must(te_execution_check(&x->told, &reason) == NULL);
	count = te_executions_settle(&x->told, 1, &repeats);
	must(count == 1 && repeats.repeated == 0 && repeats.conflicts == 0);
	te_executions_sum(&x->told, count, 1, 0.0001, &lot, &sum);
	must((int)sum.state >= 0 && sum.state < TE_TRADE_STATE_COUNT);
	must(sum.filled >= 0 && sum.closed >= 0 && isfinite(sum.filled) && isfinite(sum.commission));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TeArena arena;
	TeMessage message;
	TeWireError err = {0};

	if (arena.limit == 0)
		te_arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
	te_arena_reset(&arena);
	if (!te_wire_decode(data, size, &te_wire_limits_default, &arena, &message, &err)) {
		check_error(&err);
		must(message.envelope.company_id != NULL && message.envelope.auth_token != NULL);
	} else if (message.kind == TE_MESSAGE_PREDICTIONS) {
		check_batch(&message.as.batch);
	} else if (message.kind == TE_MESSAGE_TICK) {
		must(message.as.tick.price > 0 && te_symbol_valid(message.as.tick.symbol));
	} else if (message.kind == TE_MESSAGE_EXECUTION) {
		check_execution(&message.as.execution);
	}
	return 0;
}
