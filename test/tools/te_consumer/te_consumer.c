/*
 * te_consumer.c - reads the whole of both transports as the reference consumer does, and
 * says what came of it.
 *
 *	te_consumer [--url NATS] [--brokers KAFKA [--config FILE]] --lanes N
 *		[--prefix trading] [--output trading_output] [--input trading_input]
 *		[--lines FOLDER]
 *
 * The lanes' outputs are the streams <output>_<lane> and the topics <prefix>.signals and
 * <prefix>.commands; what was sent again on request is in the stream <prefix>_resent (where
 *somebody keeps it) and the topic <prefix>.resent, and is read last.  They are given to a consumer
 *from both in turns, to another all of NATS first, to a third all of Kafka: what takes effect must
 *be the same. Prints a JSON object about the first
 *
 *	read       messages: {"nats", "kafka", "resent"}
 *	consumed   places that took effect, each once and in order
 *	given_up   those of them that a gap-fill stands for
 *	repeated   messages that had taken effect before
 *	markers    of the route
 *	conflicts  messages with the number of another content
 *	refused    messages without identity, or with another content than they say
 *	holes      places that never came: [[lane, epoch, from, to], ...]
 *	same       whether the same took effect in each order of reading
 *
 * and exits with 1 unless it is the same, and conflicts, refused and holes are none.  With --lines
 *it also writes outputs.tsv and inputs.tsv (all of the input stream and topics) to a folder, see
 * te_consumer.h; test/t/faults.sql compares these with the tables.
 *
 *	te_consumer --frames
 *
 * says which messages rows of trading.outbox hold, see te_consumer.h.
 */
#include "te_consumer.h"

#include <stdlib.h>
#include <string.h>

#include "consumer.h"
#include "kafka_client/kafka_client.h"
#include "nats_client/nats_client.h"

#define MAX_LANES 1024

const char *const program_name = "te_consumer";

typedef struct Read
{
	Output *outputs;
	size_t count, room;
} Read;

typedef struct Program
{
	const char *url, *prefix, *output, *input;
	bool kafka;
	int lanes;
	FILE *outputs, *inputs; /* NULL: not asked for */
	Read nats, kafka_read, resent;
} Program;

typedef enum { IN_TURNS, NATS_FIRST, KAFKA_FIRST } Order;

/* What one consumer made of it. */
typedef struct Outcome
{
	int64_t consumed, given_up, repeated, markers, conflicts, refused;
	json_t *holes;
	/* A line for each place that took effect: lane, epoch, seq, hash. */
	char (*effects)[96];
	size_t count, room;
} Outcome;

/* Where the messages that are being read come from. */
typedef struct Reading
{
	Program *program;
	Read *into; /* NULL: input */
	const char *name;
} Reading;

static void note_output(Reading *reading, const Place *place, const Message *message)
{
	Read *read = reading->into;
	Output output = output_of(message);

	if (reading->program->outputs != NULL && read != &reading->program->resent)
		write_output(reading->program->outputs, place, message, &output);
	if (read->count == read->room) {
		read->room = read->room ? read->room * 2 : 1024;
		read->outputs = need_memory(realloc(read->outputs, read->room * sizeof(Output)));
	}
	read->outputs[read->count++] = output;
}

static void note_message(Reading *reading, const Place *place, const Message *message)
{
	if (reading->into != NULL)
		note_output(reading, place, message);
	else
		write_input(reading->program->inputs, place, message);
}

static void note_nats(void *context, const Message *message, uint64_t seq, int64_t time_ns)
{
	Reading *reading = context;
	Place place = {"nats", reading->name, seq};

	(void)time_ns;
	note_message(reading, &place, message);
}

static void note_kafka(void *context, const Message *message, const rd_kafka_message_t *raw)
{
	Reading *reading = context;
	char name[512];
	Place place = {"kafka", name, (uint64_t)raw->offset + 1};

	snprintf(name, sizeof(name), "%s/%d", reading->name, (int)raw->partition);
	note_message(reading, &place, message);
}

/* A stream that isn't there holds nothing. */
static void read_nats(Program *program, Client *client, const char *stream, Read *into)
{
	Reading reading = {program, into, stream};
	json_t *info = stream_info(client, stream);

	if (json_object_get(info, "error") == NULL)
		read_stream(client, stream, 1, note_nats, &reading);
	json_decref(info);
}

static void read_all_of_nats(Program *program)
{
	Client client = {NULL, NULL};
	char resent[256];

	connect_client(&client, program->url);
	for (int lane = 0; lane < program->lanes; lane++) {
		char stream[256];

		snprintf(stream, sizeof(stream), "%s_%d", program->output, lane);
		read_nats(program, &client, stream, &program->nats);
	}
	snprintf(resent, sizeof(resent), "%s_resent", program->prefix);
	read_nats(program, &client, resent, &program->resent);
	if (program->inputs != NULL)
		read_nats(program, &client, program->input, NULL);
	close_client(&client);
}

static void read_kafka(Program *program, rd_kafka_t *consumer, const char *kind, Read *into)
{
	char topic[256];
	Reading reading = {program, into, topic};

	snprintf(topic, sizeof(topic), "%s.%s", program->prefix, kind);
	read_topic(consumer, topic, note_kafka, &reading);
}

static void read_all_of_kafka(Program *program)
{
	rd_kafka_t *consumer = make_client(RD_KAFKA_CONSUMER);

	read_kafka(program, consumer, "signals", &program->kafka_read);
	read_kafka(program, consumer, "commands", &program->kafka_read);
	read_kafka(program, consumer, "resent", &program->resent);
	if (program->inputs != NULL) {
		read_kafka(program, consumer, "predictions", NULL);
		read_kafka(program, consumer, "market", NULL);
		read_kafka(program, consumer, "executions", NULL);
	}
	rd_kafka_destroy(consumer);
}

/*----------------------------------------------------------------------
 * Consuming
 *----------------------------------------------------------------------*/

static void note_effect(void *context, uint64_t lane, uint64_t epoch, uint64_t seq,
                        const Output *output)
{
	Outcome *outcome = context;

	outcome->consumed++;
	if (output->kind == OUTPUT_GAP_FILL)
		outcome->given_up++;
	if (outcome->count == outcome->room) {
		outcome->room = outcome->room ? outcome->room * 2 : 1024;
		outcome->effects =
			need_memory(realloc(outcome->effects, outcome->room * sizeof(outcome->effects[0])));
	}
	snprintf(outcome->effects[outcome->count++], sizeof(outcome->effects[0]),
	         "%020llu/%020llu/%020llu/%s", (unsigned long long)lane, (unsigned long long)epoch,
	         (unsigned long long)seq, output->hash);
}

static void note_hole(void *context, uint64_t lane, uint64_t epoch, uint64_t from, uint64_t to)
{
	Outcome *outcome = context;

	json_array_append_new(outcome->holes,
	                      json_pack("[I, I, I, I]", (json_int_t)lane, (json_int_t)epoch,
	                                (json_int_t)from, (json_int_t)to));
}

static void consume_one(Outcome *outcome, Consumer *consumer, const Output *output)
{
	switch (consumer_take(consumer, output)) {
	case REPEATED:
		outcome->repeated++;
		break;
	case CONFLICT:
		outcome->conflicts++;
		break;
	case REFUSED:
		outcome->refused++;
		break;
	case PASSED:
		outcome->markers++;
		break;
	case CONSUMED:
	case WAITING:
		break;
	}
}

static int compare_effects(const void *a, const void *b)
{
	return strcmp(a, b);
}

static Outcome consume_all(const Program *program, Order order)
{
	Outcome outcome = {.holes = json_array()};
	Consumer *consumer = consumer_begin(note_effect, &outcome);
	const Read *first = order == KAFKA_FIRST ? &program->kafka_read : &program->nats;
	const Read *second = order == KAFKA_FIRST ? &program->nats : &program->kafka_read;
	size_t a = 0, b = 0;

	while (a < first->count || b < second->count) {
		if (a < first->count)
			consume_one(&outcome, consumer, &first->outputs[a++]);
		if (b < second->count && (order == IN_TURNS || a == first->count))
			consume_one(&outcome, consumer, &second->outputs[b++]);
	}
	for (size_t i = 0; i < program->resent.count; i++)
		consume_one(&outcome, consumer, &program->resent.outputs[i]);
	consumer_holes(consumer, note_hole, &outcome);
	consumer_end(consumer);
	if (outcome.count > 0)
		qsort(outcome.effects, outcome.count, sizeof(outcome.effects[0]), compare_effects);
	return outcome;
}

static bool same_effects(const Outcome *a, const Outcome *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->effects[i], b->effects[i]) != 0)
			return false;
	return true;
}

static int print_summary(const Program *program)
{
	Outcome turns = consume_all(program, IN_TURNS);
	Outcome nats = consume_all(program, NATS_FIRST);
	Outcome kafka = consume_all(program, KAFKA_FIRST);
	bool same = same_effects(&turns, &nats) && same_effects(&turns, &kafka);
	bool clean =
		same && turns.conflicts == 0 && turns.refused == 0 && json_array_size(turns.holes) == 0;

	print_json(json_pack(
		"{s:{s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:b}", "read", "nats",
		(json_int_t)program->nats.count, "kafka", (json_int_t)program->kafka_read.count, "resent",
		(json_int_t)program->resent.count, "consumed", (json_int_t)turns.consumed, "given_up",
		(json_int_t)turns.given_up, "repeated", (json_int_t)turns.repeated, "markers",
		(json_int_t)turns.markers, "conflicts", (json_int_t)turns.conflicts, "refused",
		(json_int_t)turns.refused, "holes", turns.holes, "same", (int)same));
	for (size_t i = 0; i < 3; i++) {
		Outcome *outcome = i == 0 ? &turns : i == 1 ? &nats : &kafka;

		json_decref(outcome->holes);
		free(outcome->effects);
	}
	return clean ? 0 : 1;
}

/*----------------------------------------------------------------------
 * The command line
 *----------------------------------------------------------------------*/

static FILE *open_lines(const char *folder, const char *name)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.tsv", folder, name);
	if ((file = fopen(path, "w")) == NULL)
		fail("%s: can't be written", path);
	return file;
}

static const char *option_or(Arguments *arguments, const char *name, const char *otherwise)
{
	const char *value = take_option(arguments, name);

	return value != NULL ? value : otherwise;
}

static void read_command_line(Program *program, Arguments *arguments)
{
	const char *lines = take_option(arguments, "lines");

	program->url = take_option(arguments, "url");
	program->kafka = take_kafka_options(arguments);
	program->prefix = option_or(arguments, "prefix", "trading");
	program->output = option_or(arguments, "output", "trading_output");
	program->input = option_or(arguments, "input", "trading_input");
	program->lanes = (int)number_of(take_option(arguments, "lanes"), "--lanes", 0);
	check_all_taken(arguments);
	if (program->lanes < 1 || program->lanes > MAX_LANES)
		usage_error("--lanes is 1 to %d", MAX_LANES);
	if (program->url == NULL && !program->kafka)
		usage_error("neither --url nor --brokers says what to read");
	if (lines != NULL) {
		program->outputs = open_lines(lines, "outputs");
		program->inputs = open_lines(lines, "inputs");
	}
}

static void close_lines(FILE *file)
{
	if (file != NULL && fclose(file) != 0)
		fail("the lines can't be written");
}

int main(int count, char **values)
{
	Arguments arguments = {count - 1, values + 1};
	Program program = {0};
	int status;

	if (take_flag(&arguments, "frames")) {
		check_all_taken(&arguments);
		write_frames();
		return 0;
	}
	read_command_line(&program, &arguments);
	if (program.url != NULL)
		read_all_of_nats(&program);
	if (program.kafka)
		read_all_of_kafka(&program);
	close_lines(program.outputs);
	close_lines(program.inputs);
	status = print_summary(&program);
	free(program.nats.outputs);
	free(program.kafka_read.outputs);
	free(program.resent.outputs);
	return status;
}
