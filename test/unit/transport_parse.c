/*
 * The texts of JetStream's API: answers as nats-server 2.9.10 and 2.10 wrote them, and everything
 * that could come instead.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/jetstream.h"

#include "tap.h"

#define STREAM_INFO                                                                                \
	"{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\",\"total\":0,\"config\":{"         \
	"\"name\":\"t_in\",\"subjects\":[\"t.p.\\u003e\",\"t.m.\\u003e\"],\"retention\":\"limits\","   \
	"\"discard\":\"old\"},\"created\":\"2026-11-22T17:59:51.592846729Z\",\"state\":{"              \
	"\"messages\":6,\"bytes\":300,\"first_seq\":3,\"last_seq\":8,\"consumer_count\":0}}"
#define EMPTY_STREAM                                                                               \
	"{\"config\":{\"subjects\":[\"t.p.>\"],\"retention\":\"interest\"},"                           \
	"\"created\":\"2026-11-22T17:59:51Z\","                                                        \
	"\"state\":{\"messages\":0,\"first_seq\":0,\"last_seq\":41}}"
#define NOT_FOUND                                                                                  \
	"{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\",\"error\":{\"code\":404,"         \
	"\"err_code\":10059,\"description\":\"stream not found\"},\"total\":0}"

#define ENGINE_MESSAGE                                                                             \
	"{\"message\":{\"seq\":4,\"hdrs\":\"TkFUUy8xLjANCnRlLWxhbmU6IDANCg==\","                       \
	"\"time\":\"2026-11-22T18:02:54.6Z\"}}"

static const TeJsStreamSpec spec = {.name = "t_in", .subjects = {"t.p.>", "t.m.>"}};

static void test_stream(void)
{
	TeJsStream s;

	ok(te_js_parse_stream(STREAM_INFO, strlen(STREAM_INFO), &spec, &s), "STREAM.INFO");
	ok(s.error.code == 0 && s.messages == 6 && s.first_seq == 3 && s.last_seq == 8, "its state");
	is_exactly((double)s.created, 1795370391592846.0, "its creation, to the microsecond");
	ok(s.keeps_by_limits && s.has_subjects, "its configuration");
	ok(te_js_parse_stream(EMPTY_STREAM, strlen(EMPTY_STREAM), &spec, &s), "an empty stream");
	is_exactly((double)s.first_seq, 42, "would begin behind its last message");
	ok(!s.keeps_by_limits && !s.has_subjects, "other retention, a subject missing");
	ok(te_js_parse_stream(NOT_FOUND, strlen(NOT_FOUND), &spec, &s), "an error is an answer");
	is_exactly(s.error.err_code, TE_JS_STREAM_NOT_FOUND, "with its number");
	is_text(s.error.description, "stream not found", "and its text");
	ok(!te_js_parse_stream("{}", 2, &spec, &s), "an empty object is none");
	ok(!te_js_parse_stream("[]", 2, &spec, &s), "nor an array");
	ok(!te_js_parse_stream("", 0, &spec, &s), "nor nothing");
	ok(!te_js_parse_stream(STREAM_INFO, strlen(STREAM_INFO) - 1, &spec, &s), "nor a part");
}

/* Standard base64, to make answers with headers. */
static void encode_base64(const char *text, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 3) {
		unsigned n = (unsigned)(unsigned char)text[i] << 16;

		if (i + 1 < len)
			n |= (unsigned)(unsigned char)text[i + 1] << 8;
		if (i + 2 < len)
			n |= (unsigned char)text[i + 2];
		*out++ = digits[n >> 18];
		*out++ = digits[n >> 12 & 63];
		*out++ = i + 1 < len ? digits[n >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[n & 63] : '=';
	}
	*out = '\0';
}

static bool parse_with_headers(const char *headers, TeJsMessage *m)
{
	char encoded[1024], text[2048];

	encode_base64(headers, encoded);
	snprintf(text, sizeof(text),
	         "{\"message\":{\"subject\":\"x\",\"seq\":4,\"hdrs\":\"%s\",\"data\":\"eA==\","
	         "\"time\":\"2026-11-22T18:02:54.679672045Z\"}}",
	         encoded);
	return te_js_parse_message(text, strlen(text), m);
}

static void test_message(void)
{
	static const char plain[] = "{\"type\":\"io.nats.jetstream.api.v1.stream_msg_get_response\","
								"\"message\":{\"subject\":\"t.p.x\",\"seq\":6,\"data\":\"YWJj\","
								"\"time\":\"2026-11-22T17:59:52.805497267Z\"}}";
	static const char gone[] = "{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no "
							   "message found\"}}";
	TeJsMessage m;

	ok(te_js_parse_message(plain, strlen(plain), &m) && m.seq == 6 && !m.from_engine,
	   "STREAM.MSG.GET without headers");
	is_exactly((double)m.time, 1795370392805497.0, "its time");
	ok(te_js_parse_message(gone, strlen(gone), &m) && m.error.err_code == TE_JS_MESSAGE_NOT_FOUND,
	   "no message");
	ok(parse_with_headers("NATS/1.0\r\nNats-Msg-Id: in-st/3/7/99\r\nte-lane: 3\r\nte-epoch: 7\r\n"
	                      "te-seq: 99\r\nte-hash: beef\r\n\r\n",
	                      &m) &&
	       m.from_engine,
	   "a message that an engine wrote");
	ok(m.lane == 3 && m.out_epoch == 7 && m.out_seq == 99, "lane, epoch and sequence");
	is_text(m.installation, "in-st", "installation");
	is_text(m.hash, "beef", "hash");
	ok(parse_with_headers("NATS/1.0\r\nNats-Msg-Id: a/3/7/99\r\nte-lane: 3\r\nte-epoch: 7\r\n"
	                      "te-seq: -1\r\nte-hash: beef\r\n\r\n",
	                      &m) &&
	       !m.from_engine,
	   "a malformed sequence is somebody else's");
	ok(parse_with_headers(
		   "NATS/1.0\r\nte-lane: 3\r\nte-epoch: 7\r\nte-seq: 1\r\nte-hash: b\r\n\r\n", &m) &&
	       !m.from_engine,
	   "and so is a message without id");
	ok(parse_with_headers("NATS/1.0\r\nNats-Msg-Id: noslash\r\nte-lane: 3\r\nte-epoch: 7\r\n"
	                      "te-seq: 1\r\nte-hash: b\r\n\r\n",
	                      &m) &&
	       !m.from_engine,
	   "or with another kind of id");
	ok(!te_js_parse_message("{\"message\":{\"seq\":1,\"time\":\"2026-11-22T18:02:54Z\","
	                        "\"hdrs\":\"***\"}}",
	                        68, &m),
	   "headers that aren't base64 are not understood");
}

static void test_pub_ack(void)
{
	static const char stored[] = "{\"stream\":\"o\", \"seq\":3}";
	static const char repeated[] = "{\"stream\":\"o\", \"seq\":2,\"duplicate\": true}";
	static const char refused[] = "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":"
								  "\"wrong last sequence: 3\"},\"stream\":\"o\",\"seq\":0}";
	static const char domain[] =
		"{\"stream\":\"o\",\"domain\":\"hub\",\"seq\":18446744073709551615}";
	TeJsPubAck a;

	ok(te_js_parse_pub_ack(stored, strlen(stored), &a) && a.seq == 3 && !a.duplicate, "stored");
	is_text(a.stream, "o", "in which stream");
	ok(te_js_parse_pub_ack(repeated, strlen(repeated), &a) && a.seq == 2 && a.duplicate,
	   "repeated");
	ok(te_js_parse_pub_ack(refused, strlen(refused), &a) && a.error.err_code == 10071, "refused");
	ok(!te_js_parse_pub_ack(domain, strlen(domain), &a),
	   "a sequence beyond all numbers is refused");
	ok(!te_js_parse_pub_ack("{\"stream\":\"o\"}", 14, &a), "no sequence");
	ok(!te_js_parse_pub_ack("{\"seq\":1}", 9, &a), "no stream");
	ok(!te_js_parse_pub_ack("+OK", 3, &a), "no JSON");
}

static void test_delivery(void)
{
	TeJsDelivery d;

	ok(te_js_parse_delivery("$JS.ACK.t_in.cons1.1.23.12.1795370392805476206.4", &d),
	   "a reply subject of nine tokens");
	ok(d.stream_seq == 23 && d.consumer_seq == 12 && d.time == 1795370392805476, "its numbers");
	ok(d.consumer_len == 5 && memcmp(d.consumer, "cons1", 5) == 0, "its consumer");
	ok(te_js_parse_delivery("$JS.ACK.hub.acc.t_in.c.1.23.12.1795370392805476206.4", &d) &&
	       d.consumer_len == 1 && d.stream_seq == 23,
	   "one with domain and account");
	ok(te_js_parse_delivery("$JS.ACK._.acc.t_in.c.1.23.12.1795370392805476206.4.x", &d) &&
	       d.consumer_seq == 12,
	   "one with a token more");
	ok(!te_js_parse_delivery("$JS.ACK.t_in.cons1.1.23.12.1795370392805476206", &d), "too short");
	ok(!te_js_parse_delivery("$JS.ACK.a.t_in.cons1.1.23.12.1795370392805476206.4", &d),
	   "ten tokens are no form");
	ok(!te_js_parse_delivery("$JS.ACK.1.2.3.4.5.6.7.8.9.10.11.12.13.14", &d), "too long");
	ok(!te_js_parse_delivery("$JS.NAK.t_in.cons1.1.23.12.1795370392805476206.4", &d), "no ACK");
	ok(!te_js_parse_delivery("$JS.ACK.t_in.cons1.1.x.12.1795370392805476206.4", &d), "no number");
	ok(!te_js_parse_delivery("$JS.ACK.t_in.cons1.1.0.12.1795370392805476206.4", &d), "no sequence");
	ok(!te_js_parse_delivery("$JS.ACK.t_in..1.2.12.1795370392805476206.4", &d), "no consumer");
	ok(!te_js_parse_delivery("", &d), "nothing");
}

static void test_times(void)
{
	int64_t t;

	/* By date(1): date -u -d ... +%s */
	ok(te_js_parse_time("1970-01-01T00:00:00Z", &t) && t == 0, "the epoch");
	ok(te_js_parse_time("2000-02-29T23:59:59.5Z", &t) && t == INT64_C(951868799500000),
	   "a leap day");
	ok(te_js_parse_time("1999-12-31T23:59:59Z", &t) && t == INT64_C(946684799000000),
	   "a year's end");
	ok(te_js_parse_time("2024-03-01T00:00:00+02:00", &t) && t == INT64_C(1709244000000000),
	   "an offset");
	ok(te_js_parse_time("2024-03-01T00:00:00-00:30", &t) && t == INT64_C(1709253000000000),
	   "an offset to the west");
	ok(te_js_parse_time("2026-11-22T17:59:51.592846729Z", &t) && t == INT64_C(1795370391592846),
	   "nanoseconds are truncated");
	ok(te_js_parse_time("0001-01-01T00:00:00Z", &t) && t == INT64_C(-62135596800000000),
	   "Go's zero time");
	ok(!te_js_parse_time("2024-13-01T00:00:00Z", &t), "no month 13");
	ok(!te_js_parse_time("2024-01-01 00:00:00Z", &t), "no T");
	ok(!te_js_parse_time("2024-01-01T00:00:00", &t), "no zone");
	ok(!te_js_parse_time("2024-01-01T00:00:00.Z", &t), "no decimals after the point");
	ok(!te_js_parse_time("2024-01-01T00:00:00Zx", &t), "something behind it");
	ok(!te_js_parse_time("", &t), "nothing");
}

static void test_numbers(void)
{
	uint64_t n;

	ok(te_js_parse_u64("18446744073709551615", 20, &n) && n == UINT64_MAX, "the greatest number");
	ok(!te_js_parse_u64("18446744073709551616", 20, &n), "one more is too much");
	ok(te_js_parse_u64("0012x", 4, &n) && n == 12, "only so many bytes");
	ok(!te_js_parse_u64("-1", 2, &n) && !te_js_parse_u64(" 1", 2, &n) &&
	       !te_js_parse_u64("", 0, &n),
	   "digits only");
}

static void test_requests(void)
{
	TeJsStreamSpec s = {.name = "o\"1",
	                    .subjects = {"a.>", "b.>", "c.>"},
	                    .discard_new = true,
	                    .max_age = INT64_C(604800000000),
	                    .duplicate_window = INT64_C(120000000),
	                    .max_bytes = -1,
	                    .replicas = 3};
	char *text = te_js_build_stream(&s);
	json_t *json = json_loads(text, 0, NULL);

	is_text(json_string_value(json_object_get(json, "name")), "o\"1", "names are quoted");
	is_text(json_string_value(json_object_get(json, "discard")), "new", "what to do when full");
	is_exactly((double)json_integer_value(json_object_get(json, "max_age")), 604800e9,
	           "durations are nanoseconds");
	is_exactly((double)json_array_size(json_object_get(json, "subjects")), 3, "all subjects");
	json_decref(json);
	free(text);

	text = te_js_build_consumer("t_in", "c1", 17);
	json = json_loads(text, 0, NULL);
	json_t *config = json_object_get(json, "config");
	is_exactly((double)json_integer_value(json_object_get(config, "opt_start_seq")), 17,
	           "a consumer begins where it is told");
	is_text(json_string_value(json_object_get(config, "ack_policy")), "none",
	        "and needs no acknowledgement");
	json_decref(json);
	free(text);
}

/* Answers with bytes changed, cut and doubled: nothing may crash, and the sanitizers watch. */
static void test_damage(void)
{
	static const char *const seeds[] = {STREAM_INFO,
	                                    EMPTY_STREAM,
	                                    NOT_FOUND,
	                                    "{\"stream\":\"o\", \"seq\":2,\"duplicate\": true}",
	                                    "$JS.ACK.hub.acc.t_in.c.1.23.12.1795370392805476206.4",
	                                    ENGINE_MESSAGE};
	uint32_t random = 20240229;
	unsigned understood = 0;

	for (int round = 0; round < 60000; round++) {
		const char *seed = seeds[round % 6];
		size_t len = strlen(seed);
		char *text = malloc(len + 1); /* exactly as large, so that reading past it is seen */
		TeJsStream stream;
		TeJsMessage message;
		TeJsPubAck ack;
		TeJsConsumer consumer;
		TeJsDelivery delivery;
		int64_t time;

		memcpy(text, seed, len + 1);
		for (int i = round % 4; i >= 0; i--) {
			random = random * 1664525 + 1013904223;
			text[(random >> 8) % len] = (char)(random >> 24);
		}
		len -= (random >> 4) % (len / 2) * (round % 3 == 0);
		text[len] = '\0';
		understood += te_js_parse_stream(text, len, &spec, &stream);
		understood += te_js_parse_message(text, len, &message);
		understood += te_js_parse_pub_ack(text, len, &ack);
		understood += te_js_parse_consumer(text, len, &consumer);
		understood += te_js_parse_delivery(text, &delivery);
		understood += te_js_parse_time(text, &time);
		free(text);
	}
	printf("# %u of 360000 understood\n", understood);
	ok(understood > 0 && understood < 60000, "damaged answers are mostly refused, and never harm");
}

int main(void)
{
	test_stream();
	test_message();
	test_pub_ack();
	test_delivery();
	test_times();
	test_numbers();
	test_requests();
	test_damage();
	return done_testing();
}
