/*
 * packing.c - a run as bytes, which a worker reads in its own memory.
 *
 * Leader and workers are of one build: integers are copied as they are.
 */
#include "postgres.h"

#include "replay/work.h"

#include "lib/stringinfo.h"

static void put_bytes(StringInfo out, const void *data, Size length)
{
	uint32 size = (uint32)length;

	appendBinaryStringInfo(out, (const char *)&size, sizeof(size));
	appendBinaryStringInfo(out, data, (int)length);
}

/* NULL is an empty text: no id is empty. */
static void put_text(StringInfo out, const char *text)
{
	put_bytes(out, text ? text : "", text ? strlen(text) + 1 : 1);
}

bytea *te_replay_pack_run(const TeReplayRun *run)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	put_bytes(&out, run, sizeof(*run));
	put_text(&out, run->company);
	put_text(&out, run->user);
	put_text(&out, run->strategy);
	put_text(&out, run->symbol);
	for (int i = 0; i < run->source_count; i++)
		for (int v = 0; v < run->sources[i].variant_count; v++)
			put_bytes(&out, run->sources[i].variants[v], VARSIZE(run->sources[i].variants[v]));
	SET_VARSIZE(out.data, out.len);
	return (bytea *)out.data;
}

/* The next piece, copied, so that it is aligned. */
static void *get_bytes(const char **at)
{
	uint32 size;
	void *copy;

	memcpy(&size, *at, sizeof(size));
	copy = memcpy(palloc(size), *at + sizeof(size), size);
	*at += sizeof(size) + size;
	return copy;
}

static const char *get_text(const char **at)
{
	char *text = get_bytes(at);

	return text[0] != '\0' ? text : NULL;
}

void te_replay_unpack_run(const char *data, TeReplayRun *run)
{
	const char *at = data;

	*run = *(TeReplayRun *)get_bytes(&at);
	run->company = get_text(&at);
	run->user = get_text(&at);
	run->strategy = get_text(&at);
	run->symbol = get_text(&at);
	for (int i = 0; i < run->source_count; i++) {
		TeReplaySource *source = &run->sources[i];

		source->variants = palloc(sizeof(Jsonb *) * Max(source->variant_count, 1));
		for (int v = 0; v < source->variant_count; v++)
			source->variants[v] = get_bytes(&at);
	}
}
