/*
 * check.c - what a careful consumer of a signals stream would find.
 *
 * A consumer knows every message by (lane, epoch, seq) of its headers.  It takes
 * the first of each, and expects them without a hole and in order, with the
 * epoch and content that the headers say.  A gap-fill record stands for the range
 * that it names.  Prints
 *
 *	messages     in the stream
 *	distinct     keys, gap-filled ones included
 *	duplicates   messages whose key was there before, with the same content
 *	conflicts    keys that came with two contents
 *	gaps         keys that never came before a later one did
 *	disorder     first occurrences behind a later key
 *	bad_hashes   content that is not that of header te-hash
 *	bad_headers  no or other identity than the envelope's
 *
 * and exits with 1 unless conflicts, gaps, disorder, bad_hashes and bad_headers are 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "te_nats.h"
#include "wire/identity.h"

typedef struct Key
{
	uint64_t lane, epoch, seq;
	char hash[TE_HASH_TEXT_SIZE];
} Key;

typedef struct Check
{
	Key *keys; /* in order of arrival, without duplicates */
	size_t count, room;
	int64_t messages, distinct, duplicates, conflicts, gaps, disorder, bad_hashes, bad_headers;
} Check;

static bool header_number(natsMsg *message, const char *name, uint64_t *value)
{
	const char *text = NULL;
	char *end;

	if (natsMsgHeader_Get(message, name, &text) != NATS_OK || *text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 10);
	return *end == '\0';
}

/* Where a key is, or would be: epochs rise, and sequences within them. */
static int compare_keys(const Key *a, uint64_t lane, uint64_t epoch, uint64_t seq)
{
	if (a->lane != lane)
		return a->lane < lane ? -1 : 1;
	if (a->epoch != epoch)
		return a->epoch < epoch ? -1 : 1;
	return a->seq < seq ? -1 : a->seq > seq;
}

static Key *find_key(Check *check, uint64_t lane, uint64_t epoch, uint64_t seq, size_t *place)
{
	size_t low = 0, high = check->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare_keys(&check->keys[middle], lane, epoch, seq);

		if (order == 0)
			return &check->keys[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low;
	return NULL;
}

static void add_key(Check *check, size_t place, const Key *key)
{
	if (check->count == check->room) {
		check->room = check->room ? check->room * 2 : 1024;
		check->keys = realloc(check->keys, check->room * sizeof(Key));
		if (check->keys == NULL)
			fail("out of memory");
	}
	memmove(check->keys + place + 1, check->keys + place, (check->count - place) * sizeof(Key));
	check->keys[place] = *key;
	check->count++;
}

static void note_key(Check *check, const Key *key)
{
	size_t place = 0;
	Key *known = find_key(check, key->lane, key->epoch, key->seq, &place);

	if (known != NULL) {
		if (strcmp(known->hash, key->hash) == 0)
			check->duplicates++;
		else
			check->conflicts++;
		return;
	}
	if (place < check->count)
		check->disorder++;
	add_key(check, place, key);
	check->distinct++;
}

/* Sequences of one lane and epoch start at 1 and have no hole. */
static void count_gaps(Check *check)
{
	for (size_t i = 0; i < check->count; i++) {
		const Key *key = &check->keys[i];
		const Key *before = i > 0 ? &check->keys[i - 1] : NULL;
		bool follows = before != NULL && before->lane == key->lane && before->epoch == key->epoch;

		check->gaps += (int64_t)(key->seq - (follows ? before->seq : 0)) - 1;
	}
}

static void check_message(void *context, natsMsg *message, uint64_t seq, int64_t time_ns)
{
	Check *check = context;
	const uint8_t *data = (const uint8_t *)natsMsg_GetData(message);
	size_t length = (size_t)natsMsg_GetDataLength(message);
	TradingEngine__TradingProcessingEnvelope *envelope;
	const char *hash = NULL;
	Key key;

	(void)seq;
	(void)time_ns;
	check->messages++;
	te_hash_text(te_hash64(data, length), key.hash);
	if (natsMsgHeader_Get(message, "te-hash", &hash) != NATS_OK || strcmp(hash, key.hash) != 0)
		check->bad_hashes++;
	envelope = trading_engine__trading_processing_envelope__unpack(NULL, length, data);
	if (!header_number(message, "te-lane", &key.lane) ||
	    !header_number(message, "te-epoch", &key.epoch) ||
	    !header_number(message, "te-seq", &key.seq) || envelope == NULL ||
	    envelope->lane != key.lane || envelope->epoch != key.epoch || envelope->out_seq != key.seq)
		check->bad_headers++;
	else if (envelope->message_type == TRADING_ENGINE__MESSAGE_TYPE__MESSAGE_TYPE_GAP_FILL) {
		TradingEngine__GapFill *fill =
			trading_engine__gap_fill__unpack(NULL, envelope->payload.len, envelope->payload.data);

		if (fill == NULL || fill->to != key.seq || fill->from > fill->to)
			check->bad_headers++;
		else
			for (key.seq = fill->from; key.seq <= fill->to; key.seq++)
				note_key(check, &key);
		trading_engine__gap_fill__free_unpacked(fill, NULL);
	} else
		note_key(check, &key);
	trading_engine__trading_processing_envelope__free_unpacked(envelope, NULL);
}

int command_stream_check(Client *client, Arguments *arguments)
{
	Check check = {0};
	bool clean;

	read_stream(client, take_argument(arguments, "STREAM"), 1, check_message, &check);
	count_gaps(&check);
	free(check.keys);
	print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
	                     (json_int_t)check.messages, "distinct", (json_int_t)check.distinct,
	                     "duplicates", (json_int_t)check.duplicates, "conflicts",
	                     (json_int_t)check.conflicts, "gaps", (json_int_t)check.gaps, "disorder",
	                     (json_int_t)check.disorder, "bad_hashes", (json_int_t)check.bad_hashes,
	                     "bad_headers", (json_int_t)check.bad_headers));
	clean = check.conflicts == 0 && check.gaps == 0 && check.disorder == 0 &&
	        check.bad_hashes == 0 && check.bad_headers == 0;
	return clean ? 0 : 1;
}
