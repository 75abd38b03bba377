/*
 * wire_decode.c - what comes in: sound messages are read to the bit, and whatever
 * is wrong with a message is named.
 */
#include "wire_fixture.h"

#include <float.h>
#include <stdlib.h>

#include "market/market_data.pb-c.h"
#include "trading/execution.pb-c.h"

static void reads_an_envelope(void)
{
	WireFixture f;
	const uint8_t *data;
	size_t len;
	const TePrediction *p;

	wire_fixture(&f, 2);
	f.predictions[1].prediction_id = (char *)"p2";
	f.predictions[1].generated_at = 0;
	wire_enveloped(&f, &data, &len);
	ok(wire_decode(&f, data, len), "an envelope with a batch is accepted");
	ok(f.out.kind == TE_MESSAGE_PREDICTIONS && !f.out.envelope.bare, "its kind is predictions");
	is_text(f.out.envelope.company_id, "acme", "company");
	is_text(f.out.envelope.user_id, "ann", "user");
	is_text(f.out.envelope.producer_id, "models-1", "producer");
	ok(f.out.envelope.producer_epoch == 7 && f.out.envelope.seq == 42, "epoch and sequence");
	is_text(f.out.envelope.correlation_id, "c-1", "correlation id");
	is_text(f.out.envelope.traceparent, f.envelope.traceparent, "traceparent");
	ok(f.out.envelope.valid_until == TE_NO_TIME, "a time that isn't given is absent");
	ok(f.out.as.batch.count == 2 && f.out.as.batch.fault_count == 0, "two sound predictions");
	is_text(f.out.as.batch.batch_id, "b1", "batch id");
	is_text(f.out.as.batch.model_version, "2026.1", "model version");
	p = &f.out.as.batch.predictions[0];
	is_text(p->prediction_id, "p1", "prediction id");
	is_text(p->symbol, "EURUSD", "symbol");
	ok(p->direction == TE_DIR_BUY, "direction");
	is_exactly(p->current_price, 1.1, "current price");
	is_exactly(p->predicted_price, 1.105, "predicted price");
	is_exactly(p->bid, 1.0999, "bid");
	is_exactly(p->ask, 1.1001, "ask");
	is_exactly(p->confidence, 0.9, "confidence");
	is_exactly(p->volume_confirmation, 0.5, "volume confirmation");
	ok(p->valid_until == TE_NO_TIME, "no validity of its own");
	ok(p->model_count == 1 && p->models[0].direction == TE_DIR_BUY, "one vote");
	is_text(p->models[0].model_id, "ema_cross", "model id");
	is_exactly(p->models[0].weight, 1, "the weight of a vote is 1 unless it is given");
	ok(p->pattern_count == 1 && p->patterns[0].direction == TE_BIAS_BULLISH, "one pattern");
	is_exactly(p->patterns[0].probability, 0.625, "probability");
	ok(f.out.as.batch.horizon[0] == 300 * TE_USEC_PER_SEC, "horizon");
	ok(f.out.as.batch.predictions[1].generated_at == WIRE_NOON,
	   "a prediction without a time has the batch's");
	te_arena_free(&f.arena);
}

static void reads_a_bare_batch(void)
{
	WireFixture f;
	const uint8_t *data;
	size_t len;

	wire_fixture(&f, 1);
	wire_bare(&f, &data, &len);
	ok(wire_decode(&f, data, len) && f.out.envelope.bare, "a batch without envelope is accepted");
	is_text(f.out.envelope.company_id, "acme", "the batch names the company");
	is_text(f.out.envelope.user_id, "ann", "and the user");
	is_text(f.out.envelope.producer_id, "models-1", "and the producer");
	ok(f.out.envelope.seq == 0, "and has no sequence");
	te_arena_free(&f.arena);
}

static void reads_numbers_to_the_bit(void)
{
	static const double numbers[] = {
		DBL_MIN, DBL_TRUE_MIN, DBL_MAX, 0.1,        1.0 / 3.0,
		1.1,     DBL_EPSILON,  1e-300,  1.00000001, 4503599627370497.5};
	WireFixture f;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const uint8_t *data;
		size_t len;
		char name[64];

		wire_fixture(&f, 1);
		SET_PREDICTION(&f.predictions[0], predicted_price, PREDICTED_PRICE, numbers[i]);
		wire_enveloped(&f, &data, &len);
		snprintf(name, sizeof(name), "%a arrives as it was sent", numbers[i]);
		ok(wire_decode(&f, data, len) && f.out.as.batch.fault_count == 0 &&
		       same_bits(f.out.as.batch.predictions[0].predicted_price, numbers[i]),
		   name);
		te_arena_free(&f.arena);
	}
	wire_fixture(&f, 1);
	{
		const uint8_t *data;
		size_t len;

		SET_PREDICTION(&f.predictions[0], confidence, CONFIDENCE, -0.0);
		wire_enveloped(&f, &data, &len);
		ok(wire_decode(&f, data, len) && same_bits(f.out.as.batch.predictions[0].confidence, 0.0),
		   "a confidence of -0 is 0");
	}
	te_arena_free(&f.arena);
}

/* What to spoil, and what the decoder has to say about it. */
typedef void (*Spoil)(WireFixture *f);

#define SPOIL(name, code)                                                                          \
	static void name(WireFixture *f)                                                               \
	{                                                                                              \
		TradingEngine__Prediction *p = &f->predictions[0];                                         \
		(void)p;                                                                                   \
		code;                                                                                      \
	}

SPOIL(no_batch_id, f->batch.batch_id = (char *)"")
SPOIL(no_producer, f->batch.producer_id = (char *)"")
SPOIL(bad_producer, f->batch.producer_id = (char *)"models.1")
SPOIL(no_company, f->batch.company_id = (char *)"")
SPOIL(bad_company, f->batch.company_id = (char *)"ac me")
SPOIL(no_user, f->batch.user_id = (char *)"")
SPOIL(star_user, f->batch.user_id = (char *)"*")
SPOIL(user_of_all, f->batch.company_id = (char *)"_all")
SPOIL(no_time, f->batch.generated_at = 0)
SPOIL(before_1970, f->batch.generated_at = -1)
SPOIL(after_9999, f->batch.generated_at = INT64_C(253402300800000000))
SPOIL(empty, f->batch.n_predictions = 0)
SPOIL(too_many, f->limits.max_predictions = 1)
SPOIL(long_version, f->batch.model_version = te_arena_zalloc(&f->arena, 200);
      memset(f->batch.model_version, 'v', 199))
SPOIL(text_of_batch, f->batch.batch_id = (char *)"b\xff")

static const struct
{
	const char *name;
	Spoil spoil;
	const char *verdict;
} bad_batches[] = {
	{"no batch id", no_batch_id, "MISSING_FIELD batch_id"},
	{"no producer", no_producer, "MISSING_FIELD producer_id"},
	{"a dot in the producer's id", bad_producer, "INVALID_FIELD producer_id"},
	{"no company", no_company, "MISSING_FIELD company_id"},
	{"a space in the company's id", bad_company, "INVALID_FIELD company_id"},
	{"no user", no_user, "MISSING_FIELD user_id"},
	{"a wildcard as user", star_user, "INVALID_FIELD user_id"},
	{"one user of all companies", user_of_all, "INVALID_FIELD user_id"},
	{"no time", no_time, "MISSING_FIELD generated_at"},
	{"a time before 1970", before_1970, "INVALID_FIELD generated_at"},
	{"a time after 9999", after_9999, "INVALID_FIELD generated_at"},
	{"an empty batch", empty, "EMPTY_BATCH predictions"},
	{"more predictions than allowed", too_many, "TOO_MANY predictions"},
	{"a long model version", long_version, "INVALID_FIELD model_version"},
	{"text that isn't UTF-8", text_of_batch, "INVALID_FIELD batch_id"},
};

static void names_what_is_wrong_with_a_batch(void)
{
	for (size_t i = 0; i < sizeof(bad_batches) / sizeof(bad_batches[0]); i++) {
		WireFixture f;
		const uint8_t *data;
		size_t len;

		wire_fixture(&f, 2);
		bad_batches[i].spoil(&f);
		wire_bare(&f, &data, &len);
		wire_decode(&f, data, len);
		is_text(wire_verdict(&f.err), bad_batches[i].verdict, bad_batches[i].name);
		te_arena_free(&f.arena);
	}
}

#define CLEAR(p, field) ((p)->has_##field##_case = 0)

SPOIL(no_prediction_id, p->prediction_id = (char *)"")
SPOIL(long_prediction_id, p->prediction_id = te_arena_zalloc(&f->arena, 130);
      memset(p->prediction_id, 'p', 129))
SPOIL(no_symbol, p->symbol = (char *)"")
SPOIL(dotted_symbol, p->symbol = (char *)"EUR.USD")
SPOIL(long_symbol, p->symbol = (char *)"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456")
SPOIL(no_price, CLEAR(p, current_price))
SPOIL(zero_price, p->current_price = 0)
SPOIL(negative_price, p->current_price = -1.1)
SPOIL(nan_price, p->current_price = NAN)
SPOIL(infinite_price, p->predicted_price = INFINITY)
SPOIL(no_predicted_price, CLEAR(p, predicted_price))
SPOIL(crossed_quotes, p->bid = 1.2)
SPOIL(bid_alone, CLEAR(p, ask))
SPOIL(ask_alone, CLEAR(p, bid))
SPOIL(nan_bid, p->bid = NAN)
SPOIL(no_direction, p->direction = TRADING_ENGINE__DIRECTION__DIRECTION_UNSPECIFIED)
SPOIL(unknown_direction, p->direction = (TradingEngine__Direction)77)
SPOIL(no_confidence, CLEAR(p, confidence))
SPOIL(high_confidence, p->confidence = 1.0000001)
SPOIL(negative_confidence, p->confidence = -0.1)
SPOIL(high_volume, p->volume_confirmation = 2)
SPOIL(bad_horizon, p->horizon_us = -1)
SPOIL(bad_validity, SET_PREDICTION(p, valid_until, VALID_UNTIL, -5))
SPOIL(no_model_id, f->votes[0].model_id = (char *)"")
SPOIL(model_without_side, f->votes[0].direction = TRADING_ENGINE__DIRECTION__DIRECTION_UNSPECIFIED)
SPOIL(model_without_confidence, CLEAR(&f->votes[0], confidence))
SPOIL(model_above_one, f->votes[0].confidence = 1.5)
SPOIL(weightless_model, f->votes[0].weight = 0;
      f->votes[0].has_weight_case = TRADING_ENGINE__MODEL_VOTE__HAS_WEIGHT_WEIGHT)
SPOIL(pattern_without_side, f->patterns[0].direction = TRADING_ENGINE__BIAS__BIAS_UNSPECIFIED)
SPOIL(pattern_below_zero, f->patterns[0].probability = -0.5)
SPOIL(pattern_text, f->patterns[0].name = (char *)"\xc3(")
SPOIL(too_many_votes, f->limits.max_votes = 0)

static const struct
{
	const char *name;
	Spoil spoil;
	const char *verdict;
} bad_predictions[] = {
	{"no prediction id", no_prediction_id, "MISSING_FIELD predictions[0].prediction_id"},
	{"129 characters of prediction id", long_prediction_id,
     "INVALID_FIELD predictions[0].prediction_id"},
	{"no symbol", no_symbol, "MISSING_FIELD predictions[0].symbol"},
	{"a dot in the symbol", dotted_symbol, "INVALID_FIELD predictions[0].symbol"},
	{"33 characters of symbol", long_symbol, "INVALID_FIELD predictions[0].symbol"},
	{"no price", no_price, "MISSING_FIELD predictions[0].current_price"},
	{"price 0", zero_price, "INVALID_FIELD predictions[0].current_price"},
	{"a negative price", negative_price, "INVALID_FIELD predictions[0].current_price"},
	{"a price that isn't a number", nan_price, "INVALID_FIELD predictions[0].current_price"},
	{"an infinite price", infinite_price, "INVALID_FIELD predictions[0].predicted_price"},
	{"no predicted price", no_predicted_price, "MISSING_FIELD predictions[0].predicted_price"},
	{"bid above ask", crossed_quotes, "INVALID_FIELD predictions[0].bid"},
	{"bid without ask", bid_alone, "INVALID_FIELD predictions[0].ask"},
	{"ask without bid", ask_alone, "INVALID_FIELD predictions[0].bid"},
	{"a bid that isn't a number", nan_bid, "INVALID_FIELD predictions[0].bid"},
	{"no direction", no_direction, "MISSING_FIELD predictions[0].direction"},
	{"an unknown direction", unknown_direction, "INVALID_FIELD predictions[0].direction"},
	{"no confidence", no_confidence, "MISSING_FIELD predictions[0].confidence"},
	{"confidence above 1", high_confidence, "INVALID_FIELD predictions[0].confidence"},
	{"confidence below 0", negative_confidence, "INVALID_FIELD predictions[0].confidence"},
	{"volume above 1", high_volume, "INVALID_FIELD predictions[0].volume_confirmation"},
	{"a negative horizon", bad_horizon, "INVALID_FIELD predictions[0].horizon_us"},
	{"valid until before 1970", bad_validity, "INVALID_FIELD predictions[0].valid_until"},
	{"no model id", no_model_id, "MISSING_FIELD predictions[0].models[0].model_id"},
	{"a vote for nothing", model_without_side, "MISSING_FIELD predictions[0].models[0].direction"},
	{"a vote without confidence", model_without_confidence,
     "MISSING_FIELD predictions[0].models[0].confidence"},
	{"a vote above 1", model_above_one, "INVALID_FIELD predictions[0].models[0].confidence"},
	{"a vote of weight 0", weightless_model, "INVALID_FIELD predictions[0].models[0].weight"},
	{"a pattern for nothing", pattern_without_side,
     "MISSING_FIELD predictions[0].patterns[0].direction"},
	{"a pattern below 0", pattern_below_zero,
     "INVALID_FIELD predictions[0].patterns[0].probability"},
	{"a pattern's name that isn't UTF-8", pattern_text,
     "INVALID_FIELD predictions[0].patterns[0].name"},
	{"more votes than allowed", too_many_votes, "TOO_MANY predictions[0].models"},
};

static void a_bad_prediction_spoils_no_neighbour(void)
{
	for (size_t i = 0; i < sizeof(bad_predictions) / sizeof(bad_predictions[0]); i++) {
		WireFixture f;
		const uint8_t *data;
		size_t len;
		const TePredictionBatch *batch = &f.out.as.batch;

		wire_fixture(&f, 2);
		bad_predictions[i].spoil(&f);
		f.predictions[1].prediction_id = (char *)"good";
		if (f.limits.max_votes == 0)
			f.predictions[1].n_models = f.predictions[1].n_patterns = 0;
		wire_enveloped(&f, &data, &len);
		if (!ok(wire_decode(&f, data, len) && batch->count == 2, bad_predictions[i].name)) {
			printf("# %s: %s\n", wire_verdict(&f.err), f.err.detail);
			continue;
		}
		is_text(wire_verdict(&batch->faults[0]), bad_predictions[i].verdict, "is named");
		ok(batch->fault_count == 1 && batch->faults[1].code == TE_WIRE_OK &&
		       strcmp(batch->predictions[1].prediction_id, "good") == 0,
		   "and its neighbour is sound");
		te_arena_free(&f.arena);
	}
}

static void a_malformed_prediction_spoils_no_neighbour(void)
{
	WireFixture f;
	const uint8_t *sound;
	uint8_t *data;
	size_t len;

	wire_fixture(&f, 2);
	wire_bare(&f, &sound, &len);
	data = te_arena_memdup(&f.arena, sound, len);
	/* The first byte inside the first prediction is the tag of its id; a tag of 0 isn't protobuf.
	 */
	for (size_t i = 0; i + 4 < len; i++)
		if (memcmp(data + i, "\x0a\x02p1", 4) == 0) {
			data[i] = 0;
			break;
		}
	ok(wire_decode(&f, data, len), "a batch with a malformed prediction is read");
	is_text(wire_verdict(&f.out.as.batch.faults[0]), "MALFORMED predictions[0]", "which is named");
	ok(f.out.as.batch.faults[1].code == TE_WIRE_OK, "its neighbour is sound");
	te_arena_free(&f.arena);
}

#define SPOIL_ENVELOPE(name, code)                                                                 \
	static void name(WireFixture *f)                                                               \
	{                                                                                              \
		TeEnvelope *e = &f->envelope;                                                              \
		code;                                                                                      \
	}

SPOIL_ENVELOPE(no_kind, e->kind = TE_MESSAGE_NONE)
SPOIL_ENVELOPE(unknown_kind, e->kind = (TeMessageKind)99)
SPOIL_ENVELOPE(output_kind, e->kind = TE_MESSAGE_SIGNALS)
SPOIL_ENVELOPE(other_company, e->company_id = "evil")
SPOIL_ENVELOPE(other_user, e->user_id = "bob")
SPOIL_ENVELOPE(other_producer, e->producer_id = "models-2")
SPOIL_ENVELOPE(empty_company, e->company_id = "")
SPOIL_ENVELOPE(no_epoch, e->producer_epoch = 0)
SPOIL_ENVELOPE(no_seq, e->seq = 0)
SPOIL_ENVELOPE(anonymous, e->producer_id = "")
SPOIL_ENVELOPE(huge_seq, e->seq = UINT64_MAX)
SPOIL_ENVELOPE(huge_epoch, e->producer_epoch = UINT64_MAX)
SPOIL_ENVELOPE(old_timestamp, e->timestamp = -1)
SPOIL_ENVELOPE(long_correlation, char *t = te_arena_zalloc(&f->arena, 200); memset(t, 'c', 199);
               e->correlation_id = t)

static const struct
{
	const char *name;
	Spoil spoil;
	const char *verdict;
} bad_envelopes[] = {
	{"no message type", no_kind, "MISSING_FIELD message_type"},
	{"an unknown message type", unknown_kind, "UNKNOWN_TYPE message_type"},
	{"a type that the engine only sends", output_kind, "UNKNOWN_TYPE message_type"},
	{"another company than the batch", other_company, "MISMATCH company_id"},
	{"another user than the batch", other_user, "MISMATCH user_id"},
	{"another producer than the batch", other_producer, "MISMATCH producer_id"},
	{"no company", empty_company, "MISSING_FIELD company_id"},
	{"a sequence without epoch", no_epoch, "MISSING_FIELD producer_epoch"},
	{"an epoch without sequence", no_seq, "MISSING_FIELD seq"},
	{"a sequence without producer", anonymous, "MISSING_FIELD producer_id"},
	{"a sequence beyond 63 bits", huge_seq, "INVALID_FIELD seq"},
	{"an epoch beyond 63 bits", huge_epoch, "INVALID_FIELD producer_epoch"},
	{"a timestamp before 1970", old_timestamp, "INVALID_FIELD timestamp"},
	{"a long correlation id", long_correlation, "INVALID_FIELD correlation_id"},
};

static void names_what_is_wrong_with_an_envelope(void)
{
	for (size_t i = 0; i < sizeof(bad_envelopes) / sizeof(bad_envelopes[0]); i++) {
		WireFixture f;
		const uint8_t *data;
		size_t len;

		wire_fixture(&f, 1);
		bad_envelopes[i].spoil(&f);
		wire_enveloped(&f, &data, &len);
		wire_decode(&f, data, len);
		is_text(wire_verdict(&f.err), bad_envelopes[i].verdict, bad_envelopes[i].name);
		ok(f.out.envelope.company_id != NULL && f.out.envelope.producer_id != NULL,
		   "texts are never NULL");
		te_arena_free(&f.arena);
	}
}

static void checks_the_hash_of_the_payload(void)
{
	WireFixture f;
	const uint8_t *sound;
	uint8_t *data;
	size_t len;

	wire_fixture(&f, 1);
	wire_enveloped(&f, &sound, &len);
	data = te_arena_memdup(&f.arena, sound, len);
	for (size_t i = 0; i + 2 < len; i++)
		if (memcmp(data + i, "p1", 2) == 0) {
			data[i + 1] = '2';
			break;
		}
	ok(!wire_decode(&f, data, len), "a payload that was changed is refused");
	is_text(wire_verdict(&f.err), "HASH_MISMATCH payload_hash", "by its hash");
	te_arena_free(&f.arena);
}

static void an_unusable_trace_is_left_out(void)
{
	static const char *const traces[] = {
		"",
		"00-4bf9",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"};

	for (size_t i = 0; i < sizeof(traces) / sizeof(traces[0]); i++) {
		WireFixture f;
		const uint8_t *data;
		size_t len;

		wire_fixture(&f, 1);
		f.envelope.traceparent = traces[i];
		wire_enveloped(&f, &data, &len);
		ok(wire_decode(&f, data, len), "the message is accepted");
		is_text(f.out.envelope.traceparent, "", "a traceparent that breaks its rules is left out");
		te_arena_free(&f.arena);
	}
}

static void refuses_what_is_not_a_message(void)
{
	WireFixture f;
	static const uint8_t group[] = {0x0b, 0x0c};
	static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	                                  0xff, 0xff, 0xff, 0xff, 0x01};
	static const uint8_t lying[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x'};
	static const uint8_t wrong_type[] = {0x08, 0x01};
	static const uint8_t twice[] = {0x0a, 0x01, 'a', 0x0a, 0x01, 'b'};
	static const uint8_t zero_byte[] = {0x0a, 0x03, 'a', 0x00, 'b'};
	const struct
	{
		const char *name;
		const uint8_t *data;
		size_t len;
		const char *verdict;
	} cases[] = {
		{"nothing", group, 0, "MALFORMED"},
		{"groups", group, sizeof(group), "MALFORMED"},
		{"an endless number", endless, sizeof(endless), "MALFORMED"},
		{"a length beyond the end", lying, sizeof(lying), "MALFORMED"},
		{"a number where a text belongs", wrong_type, sizeof(wrong_type), "MALFORMED batch_id"},
		{"a field twice", twice, sizeof(twice), "DUPLICATE_FIELD batch_id"},
		{"a zero byte in a text", zero_byte, sizeof(zero_byte), "INVALID_FIELD batch_id"},
	};

	wire_fixture(&f, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ok(!wire_decode(&f, cases[i].data, cases[i].len), cases[i].name);
		is_text(wire_verdict(&f.err), cases[i].verdict, "is named");
	}
	f.limits.max_message = 10;
	ok(!wire_decode(&f, lying, 11), "a message beyond the limit");
	is_text(wire_verdict(&f.err), "TOO_LARGE", "is named");
	te_arena_free(&f.arena);
}

static void keeps_to_its_memory(void)
{
	WireFixture f;
	size_t len = 200000;
	uint8_t *data = malloc(len);
	TeArena small;

	/* Empty predictions: two bytes on the wire each, some hundreds in memory. */
	for (size_t i = 0; i < len; i += 2) {
		data[i] = 0x32;
		data[i + 1] = 0x00;
	}
	wire_fixture(&f, 1);
	ok(!te_decode_predictions(data, len, &f.limits, &f.arena, &f.out.as.batch, &f.err),
	   "100,000 empty predictions are refused");
	te_arena_free(&f.arena);
	{
		const uint8_t *sound;
		size_t sound_len;

		wire_fixture(&f, 4);
		wire_bare(&f, &sound, &sound_len);
		te_arena_init(&small, 512, 1024);
		ok(!te_wire_decode(sound, sound_len, &f.limits, &small, &f.out, &f.err),
		   "a batch that doesn't fit into memory is refused");
		is_text(wire_verdict(&f.err), "NO_MEMORY", "as such");
		ok(small.reserved <= 1024, "within the limit");
	}
	te_arena_free(&small);
	te_arena_free(&f.arena);
	free(data);
}

static void wrap_payload(WireFixture *f, TeMessageKind kind, const ProtobufCMessage *payload,
                         const uint8_t **data, size_t *len)
{
	f->envelope.kind = kind;
	te_message_pack(payload, &f->arena, &f->envelope.payload, &f->envelope.payload_len, &f->err);
	te_envelope_encode(&f->envelope, &f->arena, data, len, &f->err);
}

static const char *tick_verdict(double bid, double ask, double price, const char *symbol,
                                int64_t at, TeTick *out)
{
	TradingEngine__MarketTick tick = TRADING_ENGINE__MARKET_TICK__INIT;
	WireFixture f;
	const uint8_t *data;
	size_t len;

	wire_fixture(&f, 0);
	tick.symbol = (char *)symbol;
	tick.at = at;
	TE_PROTO_SET(TRADING_ENGINE__MARKET_TICK, &tick, bid, BID, bid);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_TICK, &tick, ask, ASK, ask);
	TE_PROTO_SET(TRADING_ENGINE__MARKET_TICK, &tick, price, PRICE, price);
	te_envelope_init(&f.envelope, TE_MESSAGE_TICK);
	wrap_payload(&f, TE_MESSAGE_TICK, &tick.base, &data, &len);
	wire_decode(&f, data, len);
	*out = f.out.as.tick;
	out->symbol = NULL;
	te_arena_free(&f.arena);
	return wire_verdict(&f.err);
}

static void reads_ticks(void)
{
	TeTick tick;

	is_text(tick_verdict(1.1, 1.3, NAN, "EURUSD", WIRE_NOON, &tick), "OK", "a tick with quotes");
	is_near(tick.price, 1.2, 1e-15, "its price is the middle");
	is_text(tick_verdict(NAN, NAN, 1.25, "EURUSD", WIRE_NOON, &tick), "OK", "a tick with a price");
	is_exactly(tick.price, 1.25, "has that price");
	is_text(tick_verdict(NAN, NAN, NAN, "EURUSD", WIRE_NOON, &tick), "MISSING_FIELD payload.price",
	        "a tick without a price");
	is_text(tick_verdict(1.1, NAN, NAN, "EURUSD", WIRE_NOON, &tick), "MISSING_FIELD payload.ask",
	        "half a quote");
	is_text(tick_verdict(1.3, 1.1, NAN, "EURUSD", WIRE_NOON, &tick), "INVALID_FIELD payload.bid",
	        "crossed quotes");
	is_text(tick_verdict(-1, 1.1, NAN, "EURUSD", WIRE_NOON, &tick), "INVALID_FIELD payload.bid",
	        "a negative bid");
	is_text(tick_verdict(1.1, 1.3, NAN, "EUR USD", WIRE_NOON, &tick),
	        "INVALID_FIELD payload.symbol", "a symbol with a space");
	is_text(tick_verdict(1.1, 1.3, NAN, "EURUSD", 0, &tick), "MISSING_FIELD payload.at",
	        "a tick without a time");
	is_text(tick_verdict(DBL_MAX, DBL_MAX, NAN, "EURUSD", WIRE_NOON, &tick), "OK",
	        "the largest quotes");
	is_exactly(tick.price, DBL_MAX, "have a middle too");
}

/* A sound report; a case changes what it is about. */
typedef TradingEngine__ExecutionResult Report;

static Report sound_report(TradingEngine__ExecutionStatus status)
{
	Report x = TRADING_ENGINE__EXECUTION_RESULT__INIT;

	x.execution_id = (char *)"x1";
	x.signal_id = (char *)"018f0000-0000-7001-8002-030405060708";
	x.company_id = (char *)"acme";
	x.user_id = (char *)"ann";
	x.symbol = (char *)"EURUSD";
	x.status = status;
	x.executed_at = WIRE_NOON;
	return x;
}

#define SET(x, field, FIELD, value)                                                                \
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_RESULT, x, field, FIELD, value)
#define STATUS(label) TRADING_ENGINE__EXECUTION_STATUS__EXECUTION_STATUS_##label

static Report fill_report(void)
{
	Report x = sound_report(STATUS(FILLED));

	SET(&x, requested_price, REQUESTED_PRICE, 1.1);
	SET(&x, executed_price, EXECUTED_PRICE, 1.1002);
	SET(&x, executed_size, EXECUTED_SIZE, 0.1);
	SET(&x, commission, COMMISSION, 0.35);
	return x;
}

static Report close_report(void)
{
	Report x = sound_report(STATUS(CLOSED));

	SET(&x, profit, PROFIT, -12.5);
	return x;
}

static bool read_report(WireFixture *f, Report *x)
{
	const uint8_t *data;
	size_t len;

	wrap_payload(f, TE_MESSAGE_EXECUTION, &x->base, &data, &len);
	return wire_decode(f, data, len);
}

static void reads_executions(void)
{
	static const uint8_t id[TE_UUID_BYTES] = {0x01, 0x8f, 0x00, 0x00, 0x00, 0x00, 0x70, 0x01,
	                                          0x80, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
	const TeExecutionReport *r;
	Report x = close_report();
	WireFixture f;

	wire_fixture(&f, 0);
	ok(read_report(&f, &x), "the result of an execution is read");
	r = &f.out.as.execution;
	ok(memcmp(r->signal_id, id, sizeof(id)) == 0, "signal id");
	is_exactly(r->told.profit, -12.5, "a loss");
	ok(isnan(r->told.executed_price) && isnan(r->told.executed_size) && isnan(r->told.commission),
	   "what isn't given is unknown");
	is_text(te_execution_status_enum.labels[r->told.status], "CLOSED", "status");
	ok(r->told.at == WIRE_NOON, "when");

	x = fill_report();
	x.leg = 1;
	x.reason = (char *)"partial";
	x.broker_order_id = (char *)"4711";
	ok(read_report(&f, &x), "a fill is read");
	r = &f.out.as.execution;
	is_exactly(r->told.requested_price, 1.1, "price asked for");
	is_exactly(r->told.executed_price, 1.1002, "price got");
	is_exactly(r->told.executed_size, 0.1, "lots");
	is_exactly(r->told.commission, 0.35, "commission");
	ok(r->leg == 1, "leg");
	is_text(r->reason, "partial", "the broker's words");
	is_text(r->broker_order_id, "4711", "the broker's id");
	te_arena_free(&f.arena);
}

static void knows_a_report_again(void)
{
	Report x = fill_report();
	TeExecutionReport first;
	WireFixture f;

	wire_fixture(&f, 0);
	ok(read_report(&f, &x), "a report");
	first = f.out.as.execution;
	ok(read_report(&f, &x) && te_key_equal(f.out.as.execution.told.id, first.told.id) &&
	       memcmp(f.out.as.execution.content_hash, first.content_hash, TE_SHA256_BYTES) == 0,
	   "has the same key and hash again");
	x.commission = 0.36;
	ok(read_report(&f, &x) && te_key_equal(f.out.as.execution.told.id, first.told.id) &&
	       memcmp(f.out.as.execution.content_hash, first.content_hash, TE_SHA256_BYTES) != 0,
	   "another commission has another hash under the same key");
	x.commission = 0;
	ok(read_report(&f, &x), "no commission");
	first = f.out.as.execution;
	x.commission = -0.0;
	ok(read_report(&f, &x) &&
	       memcmp(f.out.as.execution.content_hash, first.content_hash, TE_SHA256_BYTES) == 0,
	   "there is one zero");
	x.execution_id = (char *)"x2";
	ok(read_report(&f, &x) && !te_key_equal(f.out.as.execution.told.id, first.told.id),
	   "another id has another key");
	te_arena_free(&f.arena);
}

#define LONG_TEXT(name, length)                                                                    \
	char name[(length) + 1];                                                                       \
	memset(name, 'x', length);                                                                     \
	name[length] = '\0'

/* Turned away, and why; "change" is a statement about the report x. */
#define REFUSES(report, change, verdict, name)                                                     \
	do {                                                                                           \
		Report x = report;                                                                         \
		change;                                                                                    \
		read_report(&f, &x);                                                                       \
		is_text(wire_verdict(&f.err), verdict, name);                                              \
	} while (0)

static void names_what_is_wrong_with_a_report(void)
{
	WireFixture f;
	LONG_TEXT(id, TE_NAME_MAX + 1);
	LONG_TEXT(words, 1025);

	wire_fixture(&f, 0);
	REFUSES(fill_report(), x.execution_id = (char *)"", "MISSING_FIELD payload.execution_id",
	        "no execution id");
	REFUSES(fill_report(), x.execution_id = id, "INVALID_FIELD payload.execution_id",
	        "a long execution id");
	REFUSES(fill_report(), x.signal_id = (char *)"", "MISSING_FIELD payload.signal_id",
	        "no signal id");
	REFUSES(fill_report(), x.signal_id = (char *)"018f0000-0000-7001-8002-03040506070",
	        "INVALID_FIELD payload.signal_id", "a cut signal id");
	REFUSES(fill_report(), x.company_id = (char *)"", "MISSING_FIELD payload.company_id",
	        "no company");
	REFUSES(fill_report(), x.company_id = (char *)"beta", "MISMATCH company_id",
	        "a report of another company");
	REFUSES(fill_report(), x.user_id = (char *)"bob", "MISMATCH user_id",
	        "a report of somebody else");
	REFUSES(fill_report(), x.symbol = (char *)"EUR/USD", "INVALID_FIELD payload.symbol",
	        "a symbol that can't be one");
	REFUSES(fill_report(), x.leg = TE_MAX_LEGS, "INVALID_FIELD payload.leg", "a leg too many");
	REFUSES(fill_report(), x.status = STATUS(UNSPECIFIED), "MISSING_FIELD payload.status",
	        "no status");
	REFUSES(fill_report(), x.executed_at = 0, "MISSING_FIELD payload.executed_at", "no time");
	REFUSES(fill_report(), x.executed_at = -1, "INVALID_FIELD payload.executed_at",
	        "a time before 1970");
	REFUSES(fill_report(), x.has_executed_price_case = 0, "MISSING_FIELD payload.executed_price",
	        "FILLED without price");
	REFUSES(fill_report(), x.has_executed_size_case = 0, "MISSING_FIELD payload.executed_size",
	        "FILLED without size");
	REFUSES(fill_report(), x.executed_price = 0, "INVALID_FIELD payload.executed_price",
	        "a price of 0");
	REFUSES(fill_report(), x.requested_price = -1, "INVALID_FIELD payload.requested_price",
	        "a negative price");
	REFUSES(fill_report(), x.executed_price = 1e13, "INVALID_FIELD payload.executed_price",
	        "a price beyond all prices");
	REFUSES(fill_report(), x.executed_size = 0, "INVALID_FIELD payload.executed_size",
	        "a fill of nothing");
	REFUSES(fill_report(), x.executed_size = -0.1, "INVALID_FIELD payload.executed_size",
	        "a negative size");
	REFUSES(fill_report(), x.executed_size = NAN, "INVALID_FIELD payload.executed_size",
	        "a size that is no number");
	REFUSES(fill_report(), x.commission = INFINITY, "INVALID_FIELD payload.commission",
	        "a commission without end");
	REFUSES(fill_report(), x.commission = -2e11, "INVALID_FIELD payload.commission",
	        "a commission beyond all money");
	REFUSES(close_report(), x.has_profit_case = 0, "MISSING_FIELD payload.profit",
	        "CLOSED without profit");
	REFUSES(close_report(), x.profit = 2e11, "INVALID_FIELD payload.profit",
	        "a profit beyond all money");
	REFUSES(close_report(), SET(&x, executed_size, EXECUTED_SIZE, 0),
	        "INVALID_FIELD payload.executed_size", "a close of nothing");
	REFUSES(sound_report(STATUS(REJECTED)), x.reason = words, "INVALID_FIELD payload.reason",
	        "a long reason");
	REFUSES(sound_report(STATUS(CANCELLED)), x.broker_order_id = id,
	        "INVALID_FIELD payload.broker_order_id", "a long order id");
	te_arena_free(&f.arena);
}

int main(void)
{
	reads_an_envelope();
	reads_a_bare_batch();
	reads_numbers_to_the_bit();
	names_what_is_wrong_with_a_batch();
	a_bad_prediction_spoils_no_neighbour();
	a_malformed_prediction_spoils_no_neighbour();
	names_what_is_wrong_with_an_envelope();
	checks_the_hash_of_the_payload();
	an_unusable_trace_is_left_out();
	refuses_what_is_not_a_message();
	keeps_to_its_memory();
	reads_ticks();
	reads_executions();
	knows_a_report_again();
	names_what_is_wrong_with_a_report();
	return done_testing();
}
