/*
 * wire_json.c - JSON to messages and back.
 */
#include "wire_fixture.h"

#include <float.h>

#include "trading/execution.pb-c.h"
#include "trading/storage.pb-c.h"
#include "trading/strategy_config.pb-c.h"

typedef struct JsonCase
{
	const ProtobufCMessageDescriptor *type;
	const char *in;
	const char *out; /* JSON that it gives, or the verdict */
} JsonCase;

#define BATCH &trading_engine__mlprediction_batch__descriptor
#define PREDICTION &trading_engine__prediction__descriptor
#define ENVELOPE &trading_engine__trading_processing_envelope__descriptor
#define STRATEGY &trading_engine__strategy_config__descriptor
#define STATE &trading_engine__lane_state__descriptor
#define FRAME &trading_engine__outbox_frame__descriptor
#define MARKETS &trading_engine__market_states__descriptor

static const JsonCase sound[] = {
	{BATCH, "{}", "{}"},
	{BATCH, "{\"batch_id\":\"b1\",\"generated_at\":\"2026-01-01T13:00:00+01:00\"}",
     "{\"batch_id\":\"b1\",\"generated_at\":\"2026-01-01T12:00:00.000000Z\"}"},
	{BATCH, "{\"generated_at\":1767268800000000}",
     "{\"generated_at\":\"2026-01-01T12:00:00.000000Z\"}"},
	{BATCH, "{\"generated_at\":\"1767268800000000\"}",
     "{\"generated_at\":\"2026-01-01T12:00:00.000000Z\"}"},
	{BATCH, "{\"predictions\":[{\"symbol\":\"EURUSD\"},{}]}",
     "{\"predictions\":[{\"symbol\":\"EURUSD\"},{}]}"},
	{PREDICTION, "{\"direction\":\"WEAK_BUY\"}", "{\"direction\":\"WEAK_BUY\"}"},
	{PREDICTION, "{\"direction\":\"DIRECTION_WEAK_BUY\"}", "{\"direction\":\"WEAK_BUY\"}"},
	{PREDICTION, "{\"current_price\":1.1,\"bid\":0,\"confidence\":1}",
     "{\"current_price\":1.1,\"bid\":0,\"confidence\":1}"},
	{PREDICTION, "{\"current_price\":-0.0}", "{\"current_price\":-0.0}"},
	{PREDICTION, "{\"current_price\":5e-324}", "{\"current_price\":4.94065645841247e-324}"},
	{PREDICTION, "{\"current_price\":0.1,\"bid\":0.30000000000000004}",
     "{\"current_price\":0.1,\"bid\":0.30000000000000004}"},
	{PREDICTION, "{\"current_price\":100000000000000000000,\"horizon_us\":5}",
     "{\"current_price\":1e+20,\"horizon_us\":5}"},
	{PREDICTION, "{\"horizon_us\":5.0}", "{\"horizon_us\":5}"},
	{PREDICTION, "{\"horizon_us\":\"9223372036854775807\"}",
     "{\"horizon_us\":\"9223372036854775807\"}"},
	{PREDICTION, "{\"horizon_us\":-9007199254740992}", "{\"horizon_us\":-9007199254740992}"},
	{PREDICTION, "{\"prediction_id\":\"a\\\"\\\\\\n\\u00e4\\ud83d\\ude00\"}",
     "{\"prediction_id\":\"a\\\"\\\\\\u000a\xc3\xa4\xf0\x9f\x98\x80\"}"},
	{ENVELOPE, "{\"seq\":\"18446744073709551615\",\"lane\":4294967295}",
     "{\"seq\":\"18446744073709551615\",\"lane\":4294967295}"},
	{ENVELOPE, "{\"payload\":\"\"}", "{}"},
	{ENVELOPE, "{\"payload\":\"AA==\"}", "{\"payload\":\"AA==\"}"},
	{ENVELOPE, "{\"payload\":\"AP8=\"}", "{\"payload\":\"AP8=\"}"},
	{ENVELOPE, "{\"payload\":\"+/+/\"}", "{\"payload\":\"+/+/\"}"},
	{ENVELOPE, "{\"message_type\":\"ML_PREDICTIONS\",\"trace_context\":{\"tracestate\":\"x\"}}",
     "{\"message_type\":\"ML_PREDICTIONS\",\"trace_context\":{\"tracestate\":\"x\"}}"},
	{STRATEGY, "{\"enabled\":false,\"max_position_count\":-2147483648}",
     "{\"enabled\":false,\"max_position_count\":-2147483648}"},
	{STRATEGY, "{\"allowed_regimes\":{\"regimes\":[\"TRENDING\",\"REGIME_RANGING\"]}}",
     "{\"allowed_regimes\":{\"regimes\":[\"TRENDING\",\"RANGING\"]}}"},
	{STRATEGY, "{\"stop_loss_mode\":\"ATR\",\"custom_rule\":\"\"}",
     "{\"custom_rule\":\"\",\"stop_loss_mode\":\"ATR\"}"},
	{STATE, "{\"clock\":\"1970-01-01T00:00:00Z\"}", "{\"clock\":\"1970-01-01T00:00:00.000000Z\"}"},
	{FRAME, "{\"hash\":\"12297829382473034410\",\"seq\":1}",
     "{\"seq\":1,\"hash\":\"12297829382473034410\"}"},
	{MARKETS, "{\"condition_of\":[0,1,4294967295]}", "{\"condition_of\":[0,1,4294967295]}"},
	{BATCH, " { \"batch_id\" : \"b\" } ", "{\"batch_id\":\"b\"}"},
};

static const JsonCase bad[] = {
	{BATCH, "", "INVALID_JSON"},
	{BATCH, "{", "INVALID_JSON"},
	{BATCH, "{} {}", "INVALID_JSON"},
	{BATCH, "[]", "INVALID_FIELD"},
	{BATCH, "{\"batch_id\":\"\xff\"}", "INVALID_JSON"},
	{BATCH, "{\"batch_id\":\"a\\u0000b\"}", "INVALID_JSON"},
	{BATCH, "{\"nonsense\":1}", "UNKNOWN_FIELD nonsense"},
	{BATCH, "{\"batch_id\":null}", "INVALID_FIELD batch_id"},
	{BATCH, "{\"batch_id\":5}", "INVALID_FIELD batch_id"},
	{BATCH, "{\"batch_id\":\"a\",\"batch_id\":\"b\"}", "DUPLICATE_FIELD batch_id"},
	{BATCH, "{\"generated_at\":\"now\"}", "INVALID_FIELD generated_at"},
	{BATCH, "{\"generated_at\":\"2026-01-01T12:00:00\"}", "INVALID_FIELD generated_at"},
	{BATCH, "{\"generated_at\":1.5}", "INVALID_FIELD generated_at"},
	{BATCH, "{\"generated_at\":1e300}", "INVALID_FIELD generated_at"},
	{BATCH, "{\"predictions\":{}}", "INVALID_FIELD predictions"},
	{BATCH, "{\"predictions\":[{},5]}", "INVALID_FIELD predictions[1]"},
	{BATCH, "{\"predictions\":[null]}", "INVALID_FIELD predictions[0]"},
	{BATCH, "{\"predictions\":[{},{\"confidence\":\"high\"}]}",
     "INVALID_FIELD predictions[1].confidence"},
	{BATCH, "{\"predictions\":[{\"models\":[{\"wait\":1}]}]}",
     "UNKNOWN_FIELD predictions[0].models[0].wait"},
	{BATCH, "{\"predictions\":[{\"direction\":\"UP\"}]}", "INVALID_FIELD predictions[0].direction"},
	{PREDICTION, "{\"direction\":5}", "INVALID_FIELD direction"},
	{PREDICTION, "{\"direction\":\"buy\"}", "INVALID_FIELD direction"},
	{PREDICTION, "{\"current_price\":1e999}", "INVALID_JSON"},
	{PREDICTION, "{\"current_price\":NaN}", "INVALID_JSON"},
	{PREDICTION, "{\"current_price\":\"1.1\"}", "INVALID_FIELD current_price"},
	{PREDICTION, "{\"horizon_us\":\"9223372036854775808\"}", "INVALID_FIELD horizon_us"},
	{PREDICTION, "{\"horizon_us\":\" 5\"}", "INVALID_FIELD horizon_us"},
	{PREDICTION, "{\"horizon_us\":\"5x\"}", "INVALID_FIELD horizon_us"},
	{PREDICTION, "{\"horizon_us\":\"\"}", "INVALID_FIELD horizon_us"},
	{ENVELOPE, "{\"seq\":-1}", "INVALID_FIELD seq"},
	{ENVELOPE, "{\"seq\":\"-1\"}", "INVALID_FIELD seq"},
	{ENVELOPE, "{\"seq\":\"18446744073709551616\"}", "INVALID_FIELD seq"},
	{ENVELOPE, "{\"seq\":18446744073709551616}", "INVALID_FIELD seq"},
	{ENVELOPE, "{\"lane\":4294967296}", "INVALID_FIELD lane"},
	{ENVELOPE, "{\"lane\":true}", "INVALID_FIELD lane"},
	{ENVELOPE, "{\"payload\":\"A\"}", "INVALID_FIELD payload"},
	{ENVELOPE, "{\"payload\":\"A===\"}", "INVALID_FIELD payload"},
	{ENVELOPE, "{\"payload\":\"AB==\"}", "INVALID_FIELD payload"},
	{ENVELOPE, "{\"payload\":\"AA=A\"}", "INVALID_FIELD payload"},
	{ENVELOPE, "{\"payload\":\"A A=\"}", "INVALID_FIELD payload"},
	{STRATEGY, "{\"max_position_count\":2147483648}", "INVALID_FIELD max_position_count"},
	{STRATEGY, "{\"max_position_count\":1.5}", "INVALID_FIELD max_position_count"},
	{STRATEGY, "{\"enabled\":1}", "INVALID_FIELD enabled"},
	{STRATEGY, "{\"available_instruments\":[\"EURUSD\"]}", "INVALID_FIELD available_instruments"},
	{STRATEGY, "{\"available_instruments\":{\"symbols\":[1]}}",
     "INVALID_FIELD available_instruments.symbols[0]"},
};

static void sound_json_goes_both_ways(void)
{
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		TeArena arena;
		ProtobufCMessage *message;
		TeWireError err;
		const char *out;
		size_t len;

		te_arena_init(&arena, 1024, 1024 * 1024);
		if (ok(te_json_to_message(sound[i].type, sound[i].in, strlen(sound[i].in), &arena, &message,
		                          &err),
		       sound[i].in)) {
			ok(te_message_to_json(message, &arena, &out, &len, &err) && strlen(out) == len,
			   "is written");
			is_text(out, sound[i].out, "as");
		} else {
			printf("# %s: %s\n", wire_verdict(&err), err.detail);
		}
		te_arena_free(&arena);
	}
}

static void bad_json_is_named(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		TeArena arena;
		ProtobufCMessage *message;
		TeWireError err = {0};

		te_arena_init(&arena, 1024, 1024 * 1024);
		te_json_to_message(bad[i].type, bad[i].in, strlen(bad[i].in), &arena, &message, &err);
		is_text(wire_verdict(&err), bad[i].out, bad[i].in);
		te_arena_free(&arena);
	}
}

/* JSON of a batch is what the decoder takes: by way of the wire format it is the same batch. */
static void json_gives_the_bytes_of_the_wire(void)
{
	WireFixture f;
	const uint8_t *sent, *made = NULL;
	size_t sent_len, made_len = 0, json_len;
	const char *json;
	ProtobufCMessage *message;

	wire_fixture(&f, 2);
	wire_bare(&f, &sent, &sent_len);
	ok(te_message_to_json(&f.batch.base, &f.arena, &json, &json_len, &f.err), "a batch as JSON");
	if (!ok(te_json_to_message(BATCH, json, json_len, &f.arena, &message, &f.err) &&
	            te_message_pack(message, &f.arena, &made, &made_len, &f.err),
	        "and back to a message"))
		return;
	ok(made_len == sent_len && memcmp(made, sent, sent_len) == 0, "has the same bytes");
	te_arena_free(&f.arena);
}

static void every_double_comes_back(void)
{
	uint64_t seed = 42;
	int lost = 0;
	TeArena arena;

	te_arena_init(&arena, 4096, 1024 * 1024);
	for (int i = 0; i < 20000; i++) {
		TradingEngine__Prediction p = TRADING_ENGINE__PREDICTION__INIT;
		uint64_t bits = next_random(&seed);
		ProtobufCMessage *message;
		const char *json;
		size_t len;

		memcpy(&p.bid, &bits, sizeof(bits));
		p.has_bid_case = TRADING_ENGINE__PREDICTION__HAS_BID_BID;
		if (!isfinite(p.bid))
			continue;
		te_arena_reset(&arena);
		lost += !te_message_to_json(&p.base, &arena, &json, &len, NULL) ||
		        !te_json_to_message(PREDICTION, json, len, &arena, &message, NULL) ||
		        !same_bits(((TradingEngine__Prediction *)message)->bid, p.bid);
	}
	ok(lost == 0, "20,000 random numbers come back to the bit");
	te_arena_free(&arena);
}

static void only_json_can_be_written(void)
{
	TradingEngine__Prediction p = TRADING_ENGINE__PREDICTION__INIT;
	TeArena arena;
	const char *json;
	size_t len;
	TeWireError err;

	te_arena_init(&arena, 4096, 65536);
	SET_PREDICTION(&p, bid, BID, NAN);
	ok(!te_message_to_json(&p.base, &arena, &json, &len, &err), "NaN has no JSON");
	is_text(wire_verdict(&err), "INVALID_FIELD bid", "is named");
	p.has_bid_case = 0;
	p.symbol = (char *)"\xc3";
	ok(!te_message_to_json(&p.base, &arena, &json, &len, &err), "nor has text that isn't UTF-8");
	is_text(wire_verdict(&err), "INVALID_FIELD symbol", "is named");
	p.symbol = (char *)"EURUSD";
	p.direction = (TradingEngine__Direction)99;
	ok(!te_message_to_json(&p.base, &arena, &json, &len, &err), "nor has an unknown value");
	is_text(wire_verdict(&err), "INVALID_FIELD direction", "is named");
	te_arena_free(&arena);
	te_arena_init(&arena, 16, 64);
	ok(!te_json_to_message(PREDICTION, "{}", 2, &arena, (ProtobufCMessage *[1]){NULL}, &err),
	   "a message that doesn't fit into memory is refused");
	is_text(wire_verdict(&err), "NO_MEMORY", "is named");
	te_arena_free(&arena);
}

int main(void)
{
	sound_json_goes_both_ways();
	bad_json_is_named();
	json_gives_the_bytes_of_the_wire();
	every_double_comes_back();
	only_json_can_be_written();
	return done_testing();
}
