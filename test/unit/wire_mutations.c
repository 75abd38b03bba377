/*
 * wire_mutations.c - damaged messages of every kind: whatever happens to the
 * bytes, decoding ends in an error that says what, or in a message that is sound.
 *
 * Most useful under AddressSanitizer (scripts/sanitize).  The seed is fixed, so a
 * failure can be repeated.
 */
#include "wire_fixture.h"

#include <stdlib.h>

#include "core/decide.h"
#include "wire/encode.h"
#include "wire/inputs.h"
#include "wire/outbox.h"
#include "wire/scan.h"
#include "wire/state.h"

#define ROUNDS 100000
#define MAX_BYTES 4096

/* Flip bits, cut, repeat, swap in numbers that are often too large.  The result has at most
 * MAX_BYTES. */
static size_t mutate(uint8_t *data, size_t len, uint64_t *seed)
{
	static const uint8_t interesting[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

	for (uint64_t n = 1 + next_random(seed) % 4; n > 0; n--) {
		uint64_t random = next_random(seed);
		size_t at = len > 0 ? (size_t)(random >> 16) % len : 0;
		size_t more;

		if (len == 0)
			return 0;
		switch (random % 5) {
		case 0:
			data[at] ^= (uint8_t)(1 << (random >> 8) % 8);
			break;
		case 1:
			len = at;
			break;
		case 2:
			data[at] = interesting[(random >> 8) % sizeof(interesting)];
			break;
		case 3: /* repeat a part of it at its end */
			more = len - at < MAX_BYTES - len ? len - at : MAX_BYTES - len;
			memmove(data + len, data + at, more);
			len += more;
			break;
		default: /* leave a byte out */
			memmove(data + at, data + at + 1, len - at - 1);
			len--;
		}
	}
	return len;
}

static bool error_is_complete(const TeWireError *err)
{
	return err->code > TE_WIRE_OK && err->code < TE_WIRE_CODE_COUNT && err->detail[0] != '\0' &&
	       te_utf8_valid((const uint8_t *)err->field, strlen(err->field)) &&
	       te_utf8_valid((const uint8_t *)err->detail, strlen(err->detail));
}

/* What the engine relies on after decoding. */
static bool message_is_sound(const TeMessage *m)
{
	const TePredictionBatch *b = &m->as.batch;
	size_t faults = 0;

	if (m->kind != TE_MESSAGE_PREDICTIONS)
		return true;
	if (b->count == 0 || !te_id_valid(b->company_id) || !te_id_valid(b->user_id) ||
	    !te_id_valid(b->producer_id))
		return false;
	for (size_t i = 0; i < b->count; i++) {
		const char *reason;

		if (b->faults[i].code != TE_WIRE_OK) {
			faults++;
			if (!error_is_complete(&b->faults[i]) ||
			    strncmp(b->faults[i].field, "predictions[", 12) != 0)
				return false;
		} else if (te_prediction_check(&b->predictions[i], &reason) != NULL ||
		           !te_symbol_valid(b->predictions[i].symbol)) {
			return false;
		}
	}
	return faults == b->fault_count;
}

static void damaged_messages(bool enveloped, const char *name)
{
	WireFixture f;
	const uint8_t *sound;
	size_t len;
	uint64_t seed = enveloped ? 1 : 2;
	uint8_t *copy = malloc(MAX_BYTES);
	int wrong = 0, accepted = 0, refused = 0;

	wire_fixture(&f, 3);
	if (enveloped)
		wire_enveloped(&f, &sound, &len);
	else
		wire_bare(&f, &sound, &len);
	for (int round = 0; round < ROUNDS; round++) {
		TeArena arena;
		TeWireError err = {0};
		TeMessage out;
		size_t size;

		memcpy(copy, sound, len);
		size = mutate(copy, len, &seed);
		/* An exact copy on the heap, so that reading one byte too many is seen. */
		{
			uint8_t *exact = malloc(size > 0 ? size : 1);

			memcpy(exact, copy, size);
			te_arena_init(&arena, 16 * 1024, 256 * 1024);
			if (te_wire_decode(exact, size, &f.limits, &arena, &out, &err)) {
				accepted++;
				wrong += !message_is_sound(&out);
			} else {
				refused++;
				wrong += !error_is_complete(&err);
			}
			te_arena_free(&arena);
			free(exact);
		}
	}
	printf("# %d accepted, %d refused\n", accepted, refused);
	ok(wrong == 0, name);
	ok(refused > ROUNDS / 20, "and many of them are refused");
	te_arena_free(&f.arena);
	free(copy);
}

static void every_truncation(void)
{
	WireFixture f;
	const uint8_t *sound;
	size_t len, accepted = 0;

	wire_fixture(&f, 2);
	wire_enveloped(&f, &sound, &len);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut > 0 ? cut : 1);

		memcpy(exact, sound, cut);
		accepted += wire_decode(&f, exact, cut);
		free(exact);
	}
	/* The sequence fields stand behind the payload; without them the message is still whole. */
	ok(accepted <= 8, "a message cut anywhere is refused, or whole but for what comes last");
	te_arena_free(&f.arena);
}

static void damaged_storage(void)
{
	TeProducerEntry producer = {"acme", "ann", "models-1", {7, 43}};
	TeOpenBarEntry bar = {"EURUSD", {{WIRE_NOON, 1.1, 1.2, 1.0, 1.15}, WIRE_NOON, 1.15, 0}};
	TeSavedState state = {WIRE_NOON, 1, &producer, 1, &bar};
	TeArena arena, kept;
	TeOutboxWriter writer;
	const uint8_t *data;
	size_t len;
	uint64_t seed = 3;
	uint8_t copy[MAX_BYTES];
	int rounds = 0;

	te_arena_init(&kept, 4096, 65536);
	te_arena_init(&arena, 4096, 256 * 1024);
	te_outbox_begin(&writer, &kept);
	for (uint64_t i = 1; i <= 5; i++)
		te_outbox_append(&writer, i, "trading.market.EURUSD", WIRE_NOON, NULL,
		                 (const uint8_t *)"message", 7, NULL);
	te_lane_state_pack(&state, &kept, &data, &len, NULL);
	for (; rounds < ROUNDS / 4; rounds++) {
		TeSavedState back;
		TeMarketState market;
		TeDecisionInput in;
		TeOutboxReader reader;
		TeFrame frame;
		size_t size;

		te_arena_reset(&arena);
		memcpy(copy, data, len);
		size = mutate(copy, len, &seed);
		te_lane_state_unpack(copy, size, &arena, &back, NULL);
		te_market_state_unpack(copy, size, &arena, &market, NULL);
		te_inputs_unpack(copy, size, &arena, &in, NULL);
		memcpy(copy, writer.data, writer.len);
		size = mutate(copy, writer.len, &seed);
		te_outbox_read(&reader, copy, size);
		while (te_outbox_next(&reader, &frame, NULL) == 1)
			continue;
	}
	ok(rounds == ROUNDS / 4, "damaged outbox blobs and states are survived");
	te_arena_free(&arena);
	te_arena_free(&kept);
}

static void damaged_json(void)
{
	WireFixture f;
	const char *json;
	size_t len;
	uint64_t seed = 4;
	uint8_t copy[MAX_BYTES];
	int wrong = 0;
	TeArena arena;

	wire_fixture(&f, 2);
	te_message_to_json(&f.batch.base, &f.arena, &json, &len, NULL);
	te_arena_init(&arena, 4096, 256 * 1024);
	for (int round = 0; round < ROUNDS / 4; round++) {
		ProtobufCMessage *message;
		TeWireError err = {0};
		size_t size;

		te_arena_reset(&arena);
		memcpy(copy, json, len);
		size = mutate(copy, len, &seed);
		if (!te_json_to_message(&trading_engine__mlprediction_batch__descriptor, (const char *)copy,
		                        size, &arena, &message, &err))
			wrong += !error_is_complete(&err);
	}
	ok(wrong == 0, "damaged JSON gives a message or an error that says what");
	te_arena_free(&arena);
	te_arena_free(&f.arena);
}

int main(void)
{
	damaged_messages(true, "100,000 damaged envelopes are sound or refused");
	damaged_messages(false, "100,000 damaged batches are sound or refused");
	every_truncation();
	damaged_storage();
	damaged_json();
	return done_testing();
}
