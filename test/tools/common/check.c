/*
 * check.c - what a careful consumer of an output stream would find, see check.h.
 */
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

#include "common/output.h"

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
	Output output = output_of(message);
	Key key = {.lane = output.lane, .epoch = output.epoch};

	if (output.kind == OUTPUT_MARKER)
		return;
	check->messages++;
	if (!output.hash_stated)
		check->bad_hashes++;
	if (output.kind == OUTPUT_NONE) {
		check->bad_headers++;
		return;
	}
	memcpy(key.hash, output.hash, sizeof(key.hash));
	for (key.seq = output.first; key.seq <= output.seq; key.seq++)
		note_key(check, &key);
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
