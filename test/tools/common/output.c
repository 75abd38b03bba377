/*
 * output.c - an engine's output message: which place in its lane's sequence it has.
 */
#include "common/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "trading/execution.pb-c.h"
#include "trading/trading_signals.pb-c.h"

typedef TradingEngine__TradingProcessingEnvelope Envelope;

bool message_number(const Message *message, const char *name, uint64_t *value)
{
	const char *text = message_header(message, name);
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 10);
	return *end == '\0';
}

static void read_gap_fill(const Envelope *envelope, Output *output)
{
	TradingEngine__GapFill *fill =
		trading_engine__gap_fill__unpack(NULL, envelope->payload.len, envelope->payload.data);

	output->kind = OUTPUT_NONE;
	if (fill != NULL && fill->lane == output->lane && fill->epoch == output->epoch &&
	    fill->to == output->seq && fill->from > 0 && fill->from <= fill->to) {
		output->kind = OUTPUT_GAP_FILL;
		output->first = fill->from;
		snprintf(output->reason, sizeof(output->reason), "%s", fill->reason);
	}
	trading_engine__gap_fill__free_unpacked(fill, NULL);
}

static void read_signal(const Envelope *envelope, Output *output)
{
	TradingEngine__TradingSignalBatch *batch = trading_engine__trading_signal_batch__unpack(
		NULL, envelope->payload.len, envelope->payload.data);

	if (batch == NULL || batch->n_signals != 1)
		output->kind = OUTPUT_NONE;
	else
		snprintf(output->signal_id, sizeof(output->signal_id), "%s", batch->signals[0]->signal_id);
	trading_engine__trading_signal_batch__free_unpacked(batch, NULL);
}

static void read_command(const Envelope *envelope, Output *output)
{
	TradingEngine__ExecutionCommand *command = trading_engine__execution_command__unpack(
		NULL, envelope->payload.len, envelope->payload.data);

	if (command == NULL)
		output->kind = OUTPUT_NONE;
	else
		snprintf(output->signal_id, sizeof(output->signal_id), "%s", command->signal_id);
	trading_engine__execution_command__free_unpacked(command, NULL);
}

static void read_payload(const Envelope *envelope, Output *output)
{
	switch (envelope->message_type) {
	case TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_GAP_FILL:
		read_gap_fill(envelope, output);
		break;
	case TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_TRADING_SIGNALS:
		read_signal(envelope, output);
		break;
	case TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_EXECUTION_COMMAND:
		read_command(envelope, output);
		break;
	default:
		output->kind = OUTPUT_NONE;
	}
}

Output output_of(const Message *message)
{
	const char *stated = message_header(message, "te-hash");
	Output output = {.kind = OUTPUT_NONE};
	Envelope *envelope =
		trading_engine__trading_processing_envelope__unpack(NULL, message->length, message->data);

	te_hash_text(te_hash64(message->data, message->length), output.hash);
	output.hash_stated = stated != NULL && strcmp(stated, output.hash) == 0;
	if (envelope == NULL)
		return output;
	if (envelope->message_type == TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_ROUTE_MARKER)
		output.kind = OUTPUT_MARKER;
	else if (message_number(message, "te-lane", &output.lane) &&
	         message_number(message, "te-epoch", &output.epoch) &&
	         message_number(message, "te-seq", &output.seq) && output.seq > 0 &&
	         envelope->lane == output.lane && envelope->epoch == output.epoch &&
	         envelope->out_seq == output.seq) {
		output.kind = OUTPUT_MESSAGE;
		output.first = output.seq;
		read_payload(envelope, &output);
	}
	trading_engine__trading_processing_envelope__free_unpacked(envelope, NULL);
	return output;
}
