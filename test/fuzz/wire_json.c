/*
 * wire_json.c - any bytes as the JSON of a batch: an error that says what, or a
 * message that is the same after it was written and read again.
 */
#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

#include "ml/ml_predictions.pb-c.h"

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* Write it, read that, and compare on the wire. */
static void check_round_trip(const ProtobufCMessage *message, TeArena *arena)
{
	const uint8_t *first, *second;
	size_t first_len, second_len, json_len;
	const char *json;
	ProtobufCMessage *again;
	TeWireError err;

	if (!te_message_pack(message, arena, &first, &first_len, &err) ||
	    !te_message_to_json(message, arena, &json, &json_len, &err)) {
		must(err.code == TE_WIRE_NO_MEMORY);
		return;
	}
	if (!te_json_to_message(message->descriptor, json, json_len, arena, &again, &err) ||
	    !te_message_pack(again, arena, &second, &second_len, &err)) {
		must(err.code == TE_WIRE_NO_MEMORY);
		return;
	}
	must(first_len == second_len && memcmp(first, second, first_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TeArena arena;
	ProtobufCMessage *message;
	TeWireError err = {0};

	if (arena.limit == 0)
		te_arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
	te_arena_reset(&arena);
	if (te_json_to_message(&trading_engine__mlprediction_batch__descriptor, (const char *)data,
	                       size, &arena, &message, &err))
		check_round_trip(message, &arena);
	else
		must(err.code != TE_WIRE_OK && err.detail[0] != '\0');
	return 0;
}
