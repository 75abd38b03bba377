/*
 * consumer.c - the reference consumer, see consumer.h.
 */
#include "consumer.h"

#include <stdlib.h>
#include <string.h>

/* One lane's sequence in one epoch. */
typedef struct Sequence
{
	uint64_t lane, epoch;
	uint64_t next;   /* everything before it has taken effect */
	Output *waiting; /* in order, none twice */
	size_t waiting_count, waiting_room;
	char (*hashes)[TE_HASH_TEXT_SIZE]; /* of the newest places, by seq % CONSUMER_HASHES */
} Sequence;

struct Consumer
{
	ConsumerEffect effect;
	void *context;
	Sequence *sequences;
	size_t count;
};

Consumer *consumer_begin(ConsumerEffect effect, void *context)
{
	Consumer *consumer = need_memory(calloc(1, sizeof(Consumer)));

	consumer->effect = effect;
	consumer->context = context;
	return consumer;
}

/* A lane and epoch that is new begins with 1. */
static Sequence *find_sequence(Consumer *consumer, uint64_t lane, uint64_t epoch)
{
	Sequence *sequence = consumer->sequences;

	for (size_t i = 0; i < consumer->count; i++, sequence++)
		if (sequence->lane == lane && sequence->epoch == epoch)
			return sequence;
	consumer->sequences =
		need_memory(realloc(consumer->sequences, (consumer->count + 1) * sizeof(Sequence)));
	sequence = &consumer->sequences[consumer->count++];
	*sequence = (Sequence){.lane = lane, .epoch = epoch, .next = 1};
	sequence->hashes = need_memory(calloc(CONSUMER_HASHES, TE_HASH_TEXT_SIZE));
	return sequence;
}

/* A message, or all places of a gap-fill. */
static void consume(Consumer *consumer, Sequence *sequence, const Output *output)
{
	for (; sequence->next <= output->seq; sequence->next++) {
		memcpy(sequence->hashes[sequence->next % CONSUMER_HASHES], output->hash, TE_HASH_TEXT_SIZE);
		consumer->effect(consumer->context, sequence->lane, sequence->epoch, sequence->next,
		                 output);
	}
}

static Verdict take_known(const Sequence *sequence, const Output *output)
{
	bool remembered = output->seq + CONSUMER_HASHES >= sequence->next;

	return remembered && strcmp(sequence->hashes[output->seq % CONSUMER_HASHES], output->hash) != 0
	           ? CONFLICT
	           : REPEATED;
}

/* Keep what comes too early in its order. */
static Verdict take_early(Sequence *sequence, const Output *output)
{
	size_t at = sequence->waiting_count;

	while (at > 0 && sequence->waiting[at - 1].seq > output->seq)
		at--;
	if (at > 0 && sequence->waiting[at - 1].seq == output->seq)
		return strcmp(sequence->waiting[at - 1].hash, output->hash) == 0 ? REPEATED : CONFLICT;
	if (sequence->waiting_count == sequence->waiting_room) {
		sequence->waiting_room = sequence->waiting_room ? 2 * sequence->waiting_room : 64;
		sequence->waiting =
			need_memory(realloc(sequence->waiting, sequence->waiting_room * sizeof(Output)));
	}
	memmove(sequence->waiting + at + 1, sequence->waiting + at,
	        (sequence->waiting_count - at) * sizeof(Output));
	sequence->waiting[at] = *output;
	sequence->waiting_count++;
	return WAITING;
}

Verdict consumer_take(Consumer *consumer, const Output *output)
{
	Sequence *sequence;
	size_t taken = 0;

	if (output->kind == OUTPUT_MARKER)
		return PASSED;
	if (output->kind == OUTPUT_NONE || !output->hash_stated)
		return REFUSED;
	sequence = find_sequence(consumer, output->lane, output->epoch);
	if (output->seq < sequence->next)
		return take_known(sequence, output);
	if (output->first > sequence->next)
		return take_early(sequence, output);
	/* A gap-fill that begins before the next number says that another one was sent first. */
	if (output->first < sequence->next)
		return CONFLICT;
	consume(consumer, sequence, output);
	while (taken < sequence->waiting_count && sequence->waiting[taken].first == sequence->next)
		consume(consumer, sequence, &sequence->waiting[taken++]);
	if (taken > 0) {
		sequence->waiting_count -= taken;
		memmove(sequence->waiting, sequence->waiting + taken,
		        sequence->waiting_count * sizeof(Output));
	}
	return CONSUMED;
}

void consumer_holes(const Consumer *consumer,
                    void (*hole)(void *context, uint64_t lane, uint64_t epoch, uint64_t from,
                                 uint64_t to),
                    void *context)
{
	for (size_t i = 0; i < consumer->count; i++) {
		const Sequence *sequence = &consumer->sequences[i];
		uint64_t next = sequence->next;

		for (size_t w = 0; w < sequence->waiting_count; w++) {
			const Output *waiting = &sequence->waiting[w];

			if (waiting->first > next)
				hole(context, sequence->lane, sequence->epoch, next, waiting->first - 1);
			next = waiting->seq + 1;
		}
	}
}

void consumer_end(Consumer *consumer)
{
	for (size_t i = 0; i < consumer->count; i++) {
		free(consumer->sequences[i].waiting);
		free(consumer->sequences[i].hashes);
	}
	free(consumer->sequences);
	free(consumer);
}
