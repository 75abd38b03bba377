/*
 * lines.c - messages as lines for COPY, see te_consumer.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "ml/ml_predictions.pb-c.h"
#include "te_consumer.h"
#include "trading/execution.pb-c.h"
#include "wire/outbox.h"

typedef TradingEngine__TradingProcessingEnvelope Envelope;

static const char *const kinds[] = {
	[OUTPUT_NONE] = "NONE",
	[OUTPUT_MESSAGE] = "MESSAGE",
	[OUTPUT_GAP_FILL] = "GAP_FILL",
	[OUTPUT_MARKER] = "MARKER",
};

/* A column of COPY's text format, what isn't printable as a question mark; NULL or empty: \N. */
static void put_text(FILE *file, const char *text, char end)
{
	if (text == NULL || *text == '\0')
		fputs("\\N", file);
	else
		for (; *text != '\0'; text++)
			if (*text < ' ' || *text > '~' || *text == '\\')
				fputc('?', file);
			else
				fputc(*text, file);
	fputc(end, file);
}

static void put_number(FILE *file, uint64_t number, char end)
{
	fprintf(file, "%" PRIu64 "%c", number, end);
}

static void put_place(FILE *file, const Place *place)
{
	put_text(file, place->via, '\t');
	put_text(file, place->name, '\t');
	put_number(file, place->position, '\t');
}

void write_output(FILE *file, const Place *place, const Message *message, const Output *output)
{
	const char *id = message_header(message, "Nats-Msg-Id");
	char installation[TE_UUID_TEXT_SIZE] = "";

	if (id != NULL && strlen(id) >= sizeof(installation) && id[sizeof(installation) - 1] == '/')
		memcpy(installation, id, sizeof(installation) - 1);
	put_place(file, place);
	put_text(file, kinds[output->kind], '\t');
	put_number(file, output->lane, '\t');
	put_number(file, output->epoch, '\t');
	put_number(file, output->first, '\t');
	put_number(file, output->seq, '\t');
	put_text(file, output->hash, '\t');
	put_text(file, output->hash_stated ? "t" : "f", '\t');
	put_text(file, output->reason, '\t');
	put_text(file, output->signal_id, '\t');
	put_text(file, installation, '\t');
	put_text(file, message_header(message, "te-route"), '\t');
	put_text(file, message_header(message, "te-backfill"), '\n');
}

/* What identifies a payload without a sequence: batch_id or execution_id; allocated, or NULL. */
static char *payload_id(TradingEngine__MessageType type, size_t length, const uint8_t *data)
{
	char *id = NULL;

	if (type == TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_ML_PREDICTIONS) {
		TradingEngine__MLPredictionBatch *batch =
			trading_engine__mlprediction_batch__unpack(NULL, length, data);

		if (batch != NULL)
			id = strdup(batch->batch_id);
		trading_engine__mlprediction_batch__free_unpacked(batch, NULL);
	} else if (type == TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_EXECUTION_RESULT) {
		TradingEngine__ExecutionResult *result =
			trading_engine__execution_result__unpack(NULL, length, data);

		if (result != NULL)
			id = strdup(result->execution_id);
		trading_engine__execution_result__free_unpacked(result, NULL);
	}
	return id;
}

/* "predictions", "market", "executions" or "other", and who it is for, of a subject. */
static const char *take_apart(const char *subject, char *company, char *user, size_t size)
{
	static const char *const parts[] = {"predictions", "market", "executions"};

	*company = *user = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char word[32];
		const char *at;

		snprintf(word, sizeof(word), ".%s.", parts[i]);
		if ((at = strstr(subject, word)) == NULL)
			continue;
		at += strlen(word);
		snprintf(company, size, "%.*s", (int)strcspn(at, "."), at);
		if (at[strcspn(at, ".")] == '.')
			snprintf(user, size, "%s", at + strcspn(at, ".") + 1);
		return parts[i];
	}
	return "other";
}

/* An envelope's fields have numbers of their own; everything else is taken for a bare batch. */
static bool is_envelope(const Message *message)
{
	const uint8_t *data = message->data;

	return message->length > 1 && (data[0] & 0x80) != 0;
}

void write_input(FILE *file, const Place *place, const Message *message)
{
	char company[256], user[256], message_hash[65], payload_hash[65];
	const char *kind = take_apart(message->subject, company, user, sizeof(company));
	Envelope *envelope = NULL;
	char *id = NULL;

	sha256_hex(message->data, message->length, message_hash);
	if (is_envelope(message)) {
		envelope = trading_engine__trading_processing_envelope__unpack(NULL, message->length,
		                                                               message->data);
		if (envelope != NULL) {
			sha256_hex(envelope->payload.data, envelope->payload.len, payload_hash);
			id = payload_id(envelope->message_type, envelope->payload.len, envelope->payload.data);
		}
	} else {
		memcpy(payload_hash, message_hash, sizeof(payload_hash));
		id = payload_id(TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_ML_PREDICTIONS, message->length,
		                message->data);
	}
	put_place(file, place);
	put_text(file, message->subject, '\t');
	put_text(file, kind, '\t');
	put_text(file, company, '\t');
	put_text(file, user, '\t');
	put_text(file, envelope != NULL ? envelope->producer_id : NULL, '\t');
	put_number(file, envelope != NULL ? envelope->producer_epoch : 0, '\t');
	put_number(file, envelope != NULL ? envelope->seq : 0, '\t');
	put_text(file, id != NULL ? payload_hash : NULL, '\t');
	put_text(file, id, '\t');
	put_text(file, message_hash, '\n');
	free(id);
	trading_engine__trading_processing_envelope__free_unpacked(envelope, NULL);
}

/* One line of frames: lane, epoch, hexadecimal digits. */
static void write_frames_of(char *line)
{
	char *lane = strtok(line, "\t"), *epoch = strtok(NULL, "\t"), *hex = strtok(NULL, "\t\n");
	TeOutboxReader reader;
	TeWireError error;
	TeFrame frame;
	uint8_t *bytes;
	size_t length;
	int got;

	if (hex == NULL)
		usage_error("frames: a line has three columns");
	bytes = bytes_of_hex(hex, &length);
	te_outbox_read(&reader, bytes, length);
	while ((got = te_outbox_next(&reader, &frame, &error)) > 0) {
		char hash[TE_HASH_TEXT_SIZE];

		te_hash_text(te_hash64(frame.message, frame.message_len), hash);
		printf("%s\t%s\t%" PRIu64 "\t%s\n", lane, epoch, frame.seq, hash);
	}
	if (got < 0)
		fail("frames of lane %s, epoch %s: %s", lane, epoch, error.detail);
	free(bytes);
}

void write_frames(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0)
		write_frames_of(line);
	free(line);
}
