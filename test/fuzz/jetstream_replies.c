/*
 * jetstream_replies.c - fuzzer: whatever a broker answers, no parser reads outside
 * of it, and what was parsed is within its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "transport/jetstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void parse_json(const char *data, size_t size)
{
	static const TeJsStreamSpec spec = {.name = "s", .subjects = {"t.a.>", "t.b.*", NULL}};
	TeJsStream stream;
	TeJsMessage message;
	TeJsPubAck ack;
	TeJsConsumer consumer;

	if (te_js_parse_stream(data, size, &spec, &stream))
		require(memchr(stream.error.description, '\0', sizeof(stream.error.description)) != NULL);
	if (te_js_parse_message(data, size, &message) && message.from_engine) {
		require(memchr(message.installation, '\0', sizeof(message.installation)) != NULL);
		require(memchr(message.hash, '\0', sizeof(message.hash)) != NULL);
		require(message.lane >= 0);
	}
	if (te_js_parse_pub_ack(data, size, &ack))
		require(memchr(ack.stream, '\0', sizeof(ack.stream)) != NULL);
	te_js_parse_consumer(data, size, &consumer);
}

static void parse_text(const char *text)
{
	TeJsDelivery delivery;
	int64_t time;

	if (te_js_parse_delivery(text, &delivery)) {
		require(delivery.consumer >= text);
		require(delivery.consumer + delivery.consumer_len <= text + strlen(text));
	}
	te_js_parse_time(text, &time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t number;
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	parse_text(text);
	te_js_parse_u64((const char *)data, size, &number);
	parse_json((const char *)data, size);
	free(text);
	return 0;
}
