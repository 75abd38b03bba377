/*
 * check.c - what a careful consumer of an output stream would find, see check.h.
 */
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

#include "common/envelope.pb-c.h"
#include "wire/identity.h"

typedef struct Key
{
	uint64_t lane, epoch, seq;
	char hash[TE_HASH_TEXT_SIZE];
} Key;

struct Check
{
	Key *keys; /* in order of arrival, without duplicates */
	size_t count, room;
	int64_t messages, distinct, duplicates, conflicts, gaps, disorder, bad_hashes, bad_headers;
};

static bool header_number(const Message *message, const char *name, uint64_t *value)
{
	const char *text = message_header(message, name);
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
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
		check->keys = need_memory(realloc(check->keys, check->room * sizeof(Key)));
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

Check *check_begin(void)
{
	return need_memory(calloc(1, sizeof(Check)));
}

void check_take(Check *check, const Message *message)
{
	const char *hash = message_header(message, "te-hash");
	TradingEngine__TradingProcessingEnvelope *envelope;
	Key key;

	check->messages++;
	te_hash_text(te_hash64(message->data, message->length), key.hash);
	if (hash == NULL || strcmp(hash, key.hash) != 0)
		check->bad_hashes++;
	envelope =
		trading_engine__trading_processing_envelope__unpack(NULL, message->length, message->data);
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

json_t *check_end(Check *check, bool complete, bool *clean)
{
	json_t *found;

	count_gaps(check);
	found = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
	                  (json_int_t)check->messages, "distinct", (json_int_t)check->distinct,
	                  "duplicates", (json_int_t)check->duplicates, "conflicts",
	                  (json_int_t)check->conflicts, "gaps", (json_int_t)check->gaps, "disorder",
	                  (json_int_t)check->disorder, "bad_hashes", (json_int_t)check->bad_hashes,
	                  "bad_headers", (json_int_t)check->bad_headers);
	*clean = check->conflicts == 0 && check->disorder == 0 && check->bad_hashes == 0 &&
	         check->bad_headers == 0 && !(complete && check->gaps != 0);
	free(check->keys);
	free(check);
	return found;
}
