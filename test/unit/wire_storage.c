/*
 * wire_storage.c - outbox blobs and the state of a lane survive storage.
 */
#include "wire/outbox.h"
#include "wire/state.h"

#include "wire_fixture.h"

#include "trading/storage.pb-c.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define FRAME_COUNT 100

/* FRAME_COUNT messages of growing size, the first with sequence 5. */
static void fill_outbox(TeOutboxWriter *writer, TeArena *arena)
{
	te_outbox_begin(writer, arena);
	for (unsigned i = 0; i < FRAME_COUNT; i++) {
		uint8_t message[FRAME_COUNT * 7];
		char subject[64];

		memset(message, (int)i, sizeof(message));
		snprintf(subject, sizeof(subject), "trading.signals.0.acme.u%u.EURUSD", i);
		te_outbox_append(writer, 5 + i, subject, WIRE_NOON + i, i % 2 ? TRACE : NULL, message,
		                 i * 7, NULL);
	}
}

static void frames_come_back_in_order(void)
{
	TeArena arena;
	TeOutboxWriter writer;
	TeOutboxReader reader;
	TeFrame frame;
	unsigned i = 0, wrong = 0;
	int got;

	te_arena_init(&arena, 1024, 1024 * 1024);
	fill_outbox(&writer, &arena);
	ok(writer.count == FRAME_COUNT && writer.first_seq == 5 && writer.last_seq == 104,
	   "the writer knows what it wrote");
	ok(writer.expires_at == WIRE_NOON + FRAME_COUNT - 1, "and when the last message expires");
	te_outbox_read(&reader, writer.data, writer.len);
	for (; (got = te_outbox_next(&reader, &frame, NULL)) == 1; i++) {
		char subject[64];

		snprintf(subject, sizeof(subject), "trading.signals.0.acme.u%u.EURUSD", i);
		wrong += frame.seq != 5 + i || frame.expires_at != WIRE_NOON + (TeTime)i ||
		         frame.message_len != (size_t)i * 7 || strcmp(frame.subject, subject) != 0 ||
		         strcmp(frame.traceparent, i % 2 ? TRACE : "") != 0 ||
		         frame.hash != te_hash64(frame.message, frame.message_len);
		for (size_t k = 0; k < frame.message_len; k++)
			wrong += frame.message[k] != i;
	}
	ok(got == 0 && i == FRAME_COUNT, "every frame comes back");
	ok(wrong == 0, "as it was");
	te_arena_free(&arena);
}

static void the_blob_is_the_message_of_the_contract(void)
{
	TeArena arena;
	TeOutboxWriter writer;
	TradingEngine__OutboxFrames *frames;

	te_arena_init(&arena, 1024, 1024 * 1024);
	fill_outbox(&writer, &arena);
	frames =
		trading_engine__outbox_frames__unpack(te_arena_protobuf(&arena), writer.len, writer.data);
	if (!ok(frames != NULL && frames->n_frames == FRAME_COUNT, "generated code reads the blob"))
		return;
	ok(frames->frames[9]->seq == 14 && frames->frames[9]->message.len == 63 &&
	       frames->frames[9]->expires_at == WIRE_NOON + 9 &&
	       frames->frames[9]->hash == te_hash64(frames->frames[9]->message.data, 63),
	   "with all its fields");
	is_text(frames->frames[9]->traceparent, TRACE, "with its trace");
	is_text(frames->frames[9]->subject, "trading.signals.0.acme.u9.EURUSD", "and the subject");
	te_arena_free(&arena);
}

static void damage_is_noticed(void)
{
	TeArena arena;
	TeOutboxWriter writer;
	uint8_t *blob;
	size_t unnoticed = 0;

	te_arena_init(&arena, 1024, 1024 * 1024);
	te_outbox_begin(&writer, &arena);
	te_outbox_append(&writer, 1, "trading.market.EURUSD", TE_NO_TIME, NULL,
	                 (const uint8_t *)"first", 5, NULL);
	te_outbox_append(&writer, 2, "trading.market.EURUSD", TE_NO_TIME, NULL,
	                 (const uint8_t *)"second", 6, NULL);
	blob = te_arena_memdup(&arena, writer.data, writer.len);
	for (size_t i = 0; i < writer.len; i++) {
		TeOutboxReader reader;
		TeFrame frame;
		size_t frames = 0;

		/* Cut after i bytes: never two frames. */
		te_outbox_read(&reader, blob, i);
		while (te_outbox_next(&reader, &frame, NULL) == 1)
			frames++;
		unnoticed += frames > 1;
	}
	ok(unnoticed == 0, "a blob that was cut gives no frame that isn't whole");
	for (size_t i = 0; i + 5 < writer.len; i++)
		if (memcmp(blob + i, "first", 5) == 0) {
			TeOutboxReader reader;
			TeFrame frame;
			TeWireError err;

			blob[i] ^= 1;
			te_outbox_read(&reader, blob, writer.len);
			ok(te_outbox_next(&reader, &frame, &err) == -1,
			   "a message that was changed is refused");
			is_text(wire_verdict(&err), "MALFORMED frames", "as damage");
		}
	te_arena_free(&arena);
}

static void sequences_have_no_gaps(void)
{
	TeArena arena;
	TeOutboxWriter writer;
	TeWireError err;
	char long_subject[TE_SUBJECT_MAX + 1];

	te_arena_init(&arena, 1024, 1024 * 1024);
	te_outbox_begin(&writer, &arena);
	ok(writer.data == NULL && writer.len == 0, "an empty outbox has no bytes");
	ok(!te_outbox_append(&writer, 0, "s", TE_NO_TIME, NULL, NULL, 0, &err),
	   "sequence 0 is refused");
	ok(te_outbox_append(&writer, 7, "s", WIRE_NOON, NULL, NULL, 0, &err),
	   "any other may be the first");
	ok(!te_outbox_append(&writer, 9, "s", TE_NO_TIME, NULL, NULL, 0, &err), "a jump is refused");
	ok(!te_outbox_append(&writer, 7, "s", TE_NO_TIME, NULL, NULL, 0, &err),
	   "a repetition is refused");
	memset(long_subject, 's', sizeof(long_subject));
	long_subject[TE_SUBJECT_MAX] = '\0';
	ok(!te_outbox_append(&writer, 8, long_subject, TE_NO_TIME, NULL, NULL, 0, &err),
	   "an overlong subject is refused");
	ok(writer.count == 1 && writer.last_seq == 7 && writer.expires_at == WIRE_NOON,
	   "what is refused changes nothing");
	ok(te_outbox_append(&writer, 8, "s", TE_NO_TIME, NULL, NULL, 0, &err) &&
	       writer.expires_at == TE_NO_TIME,
	   "a message that never expires keeps the blob for ever");
	te_arena_free(&arena);
}

static void lane_state_survives(void)
{
	TeProducerEntry producers[] = {{"acme", "ann", "models-1", {7, 43}},
	                               {"_all", "_all", "models-2", {INT64_MAX, INT64_MAX}}};
	TeOpenBarEntry bars[2] = {
		{"EURUSD", {{WIRE_NOON, 1.1, 1.2, 1.0, 1.15}, WIRE_NOON + 5, 1.15, 3}},
		{"XAUUSD", {{0}, 0, 0, 0}}};
	TeSavedState state = {WIRE_NOON, 2, producers, 2, bars};
	TeSavedState back;
	TeArena arena;
	const uint8_t *data;
	size_t len;

	te_bar_builder_init(&bars[1].builder);
	te_arena_init(&arena, 4096, 65536);
	if (!ok(te_lane_state_pack(&state, &arena, &data, &len, NULL) &&
	            te_lane_state_unpack(data, len, &arena, &back, NULL),
	        "the state of a lane comes back"))
		return;
	ok(back.clock == WIRE_NOON && back.producer_count == 2 && back.bar_count == 2, "its clock");
	is_text(back.producers[0].company_id, "acme", "its producers: company");
	is_text(back.producers[0].user_id, "ann", "user");
	is_text(back.producers[0].producer_id, "models-1", "id");
	ok(back.producers[0].state.epoch == 7 && back.producers[0].state.next_seq == 43, "sequence");
	ok(back.producers[1].state.epoch == INT64_MAX && back.producers[1].state.next_seq == INT64_MAX,
	   "the largest sequence");
	is_text(back.bars[0].symbol, "EURUSD", "its bars: symbol");
	ok(back.bars[0].builder.bar.start == WIRE_NOON &&
	       same_bits(back.bars[0].builder.bar.high, 1.2) &&
	       same_bits(back.bars[0].builder.bar.close, 1.15) &&
	       back.bars[0].builder.last_price_at == WIRE_NOON + 5 &&
	       same_bits(back.bars[0].builder.last_price, 1.15) && back.bars[0].builder.late == 3,
	   "prices");
	ok(back.bars[1].builder.bar.start == bars[1].builder.bar.start &&
	       back.bars[1].builder.last_price_at == bars[1].builder.last_price_at,
	   "a bar without a price stays without");
	state = (TeSavedState){TE_NO_TIME, 0, NULL, 0, NULL};
	ok(te_lane_state_pack(&state, &arena, &data, &len, NULL) && len == 0 &&
	       te_lane_state_unpack(data, len, &arena, &back, NULL) && back.clock == TE_NO_TIME &&
	       back.producer_count == 0,
	   "the first state is empty");
	te_arena_free(&arena);
}

static void markets_of_a_batch_survive(void)
{
	TeMarket eur = {TE_REGIME_TRENDING, TE_TREND_UP, 1.25, 0.0007, 1.1012, NAN};
	TeMarket jpy = {TE_REGIME_UNKNOWN, TE_TREND_FLAT, 1, NAN, NAN, 0.8};
	TeMarket eur_again = eur;
	const TeDecidedOn in[] = {{&eur, NULL}, {&jpy, NULL}, {NULL, NULL}, {&eur_again, NULL}};
	TeDecidedOn *back;
	TeArena arena;
	const uint8_t *data;
	size_t len, count;

	te_arena_init(&arena, 4096, 65536);
	if (!ok(te_markets_pack(in, 4, &arena, &data, &len, NULL) &&
	            te_markets_unpack(data, len, &arena, &back, &count, NULL) && count == 4,
	        "the markets of a batch come back"))
		return;
	ok(back[0].market->regime == TE_REGIME_TRENDING && back[0].market->trend == TE_TREND_UP &&
	       same_bits(back[0].market->atr, 0.0007) && isnan(back[0].market->spread_pips),
	   "one market");
	ok(back[1].market->regime == TE_REGIME_UNKNOWN && isnan(back[1].market->ema) &&
	       same_bits(back[1].market->spread_pips, 0.8),
	   "another");
	ok(back[2].market == NULL, "none stays none");
	ok(back[3].market == back[0].market, "equal markets are stored once");
	ok(back[0].rates == NULL && back[3].rates == NULL, "without rates there are none");
	te_arena_free(&arena);
}

static void rates_of_a_batch_survive(void)
{
	TeMarket market = {TE_REGIME_UNKNOWN, TE_TREND_FLAT, 1, NAN, NAN, NAN};
	TeAccountRate two[] = {{"CHF", 0.89}, {"JPY", 110.01}}, one[] = {{"CHF", 1 / 3.0}},
				  again[] = {{"CHF", 0.89}, {"JPY", 110.01}};
	TeAccountRates a = {2, two}, b = {1, one}, c = {2, again}, nothing = {0, NULL};
	const TeDecidedOn in[] = {
		{&market, &nothing}, {&market, &a}, {NULL, NULL}, {&market, &b}, {&market, &c}};
	TeDecidedOn *back;
	TeArena arena;
	const uint8_t *data;
	size_t len, count;

	te_arena_init(&arena, 4096, 65536);
	if (!ok(te_markets_pack(in, 5, &arena, &data, &len, NULL) &&
	            te_markets_unpack(data, len, &arena, &back, &count, NULL) && count == 5,
	        "the rates of a batch come back"))
		return;
	ok(back[0].rates == NULL && back[2].rates == NULL && back[2].market == NULL,
	   "no rates are no rates");
	ok(same_bits(te_recorded_rate(back[1].rates, "CHF"), 0.89) &&
	       same_bits(te_recorded_rate(back[1].rates, "JPY"), 110.01),
	   "two currencies, to the bit");
	ok(same_bits(te_recorded_rate(back[3].rates, "CHF"), 1 / 3.0) &&
	       isnan(te_recorded_rate(back[3].rates, "JPY")),
	   "a currency that isn't there is unknown");
	ok(isnan(te_recorded_rate(back[0].rates, "CHF")), "and so is any without rates");
	ok(back[4].rates == back[1].rates, "equal rates are stored once");

	two[0].rate = 0;
	ok(te_markets_pack(in, 5, &arena, &data, &len, NULL) &&
	       !te_markets_unpack(data, len, &arena, &back, &count, NULL),
	   "a rate of 0 is refused");
	te_arena_free(&arena);
}

static void accumulated_market_state_survives(void)
{
	TeMarketState state = {0}, back;
	TeArena arena;
	const uint8_t *data;
	size_t len;
	uint64_t seed = 7;
	double close = 1.1;

	te_arena_init(&arena, 4096, 1024 * 1024);
	ok(te_market_state_pack(&state, &arena, &data, &len, NULL) &&
	       te_market_state_unpack(data, len, &arena, &back, NULL) &&
	       memcmp(&state, &back, sizeof(state)) == 0,
	   "the state before the first bar comes back");
	for (int i = 0; i < 200; i++) {
		TeBar bar = {WIRE_NOON + i * 300 * TE_USEC_PER_SEC, close, close + 0.001, close - 0.001, 0};

		close += ((double)(next_random(&seed) % 2001) - 1000) * 1e-6;
		bar.close = close;
		te_market_add_bar(&state, &bar, &te_market_settings_default);
	}
	ok(te_market_state_pack(&state, &arena, &data, &len, NULL) &&
	       te_market_state_unpack(data, len, &arena, &back, NULL) &&
	       memcmp(&state, &back, sizeof(state)) == 0,
	   "the state after 200 bars comes back to the bit");
	te_arena_free(&arena);
}

int main(void)
{
	frames_come_back_in_order();
	the_blob_is_the_message_of_the_contract();
	damage_is_noticed();
	sequences_have_no_gaps();
	lane_state_survives();
	markets_of_a_batch_survive();
	rates_of_a_batch_survive();
	accumulated_market_state_survives();
	return done_testing();
}
