/*
 * memory.c - staging and packing what a lane remembers.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/memory.h"
#include "wire/state.h"

#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

/*----------------------------------------------------------------------
 * Identities of messages
 *----------------------------------------------------------------------*/

/* Parts are joined by a byte that no id contains. */
static uint64 hash_parts(const char *company_id, const char *user_id, const char *producer_id,
                         const char *rest)
{
	StringInfoData key;
	uint64 hash;

	initStringInfo(&key);
	appendStringInfo(&key, "%s\n%s\n%s\n%s", company_id, user_id, producer_id, rest);
	hash = te_hash64(key.data, key.len);
	pfree(key.data);
	return hash;
}

uint64 te_memory_sequence_key(const char *company_id, const char *user_id, const char *producer_id,
                              uint64 epoch, uint64 seq)
{
	char rest[64];

	snprintf(rest, sizeof(rest), "s" UINT64_FORMAT "/" UINT64_FORMAT, epoch, seq);
	return hash_parts(company_id, user_id, producer_id, rest);
}

uint64 te_memory_batch_key(const char *company_id, const char *user_id, const char *producer_id,
                           const char *batch_id)
{
	char rest[TE_NAME_MAX + 2];

	snprintf(rest, sizeof(rest), "b%s", batch_id);
	return hash_parts(company_id, user_id, producer_id, rest);
}

bool te_memory_seen(const TeMemory *m, uint64 key, uint64 *hash)
{
	for (int i = 0; i < m->staged_recent_count; i++)
		if (m->staged_recent[i][0] == key) {
			*hash = m->staged_recent[i][1];
			return true;
		}
	return te_recent_find(m->recent, key, hash);
}

void te_memory_remember(TeMemory *m, uint64 key, uint64 hash)
{
	if (m->staged_recent_count == m->staged_recent_capacity) {
		m->staged_recent_capacity = Max(64, 2 * m->staged_recent_capacity);
		m->staged_recent =
			m->staged_recent
				? repalloc(m->staged_recent, sizeof(*m->staged_recent) * m->staged_recent_capacity)
				: MemoryContextAlloc(m->context,
		                             sizeof(*m->staged_recent) * m->staged_recent_capacity);
	}
	m->staged_recent[m->staged_recent_count][0] = key;
	m->staged_recent[m->staged_recent_count][1] = hash;
	m->staged_recent_count++;
}

/*----------------------------------------------------------------------
 * Staging
 *----------------------------------------------------------------------*/

TeLaneProducer *te_memory_producer(TeMemory *m, const char *company_id, const char *user_id,
                                   const char *producer_id)
{
	TeLaneProducer *p;
	char key[sizeof(p->key)];
	bool found;

	snprintf(key, sizeof(key), "%s/%s/%s", company_id, user_id, producer_id);
	p = hash_search(m->producers, key, HASH_ENTER, &found);
	if (!found) {
		memset(&p->sequence, 0, sizeof(p->sequence));
		p->dirty = false;
	}
	return p;
}

TeLaneSymbol *te_memory_symbol_entry(TeMemory *m, const char *symbol)
{
	bool found;
	TeLaneSymbol *s = hash_search(m->symbols, symbol, HASH_ENTER, &found);

	if (!found) {
		te_bar_builder_init(&s->committed.builder);
		memset(&s->committed.market, 0, sizeof(s->committed.market));
		s->staged = s->committed;
		s->dirty = false;
	}
	return s;
}

static List *append(TeMemory *m, List *list, void *entry)
{
	MemoryContext old = MemoryContextSwitchTo(m->context);

	list = lappend(list, entry);
	MemoryContextSwitchTo(old);
	return list;
}

TeLaneProducer *te_memory_known_producer(TeMemory *m, const char *key)
{
	return hash_search(m->producers, key, HASH_FIND, NULL);
}

TeLaneProducer *te_memory_producer_of(TeSequence *sequence)
{
	return (TeLaneProducer *)((char *)sequence - offsetof(TeLaneProducer, sequence));
}

TeProducerName te_memory_producer_name(const TeLaneProducer *producer)
{
	const char *user = strchr(producer->key, '/') + 1;
	TeProducerName name = {.producer = strchr(user, '/') + 1};

	strlcpy(name.company, producer->key, user - producer->key);
	strlcpy(name.scope, producer->key, name.producer - producer->key);
	return name;
}

void te_memory_touch_producer(TeMemory *m, TeLaneProducer *producer)
{
	if (producer->dirty)
		return;
	m->dirty_producers = append(m, m->dirty_producers, producer);
	producer->dirty = true;
}

TeSymbolState *te_memory_symbol(TeMemory *m, const char *symbol)
{
	TeLaneSymbol *s = te_memory_symbol_entry(m, symbol);

	if (!s->dirty) {
		m->dirty_symbols = append(m, m->dirty_symbols, s);
		s->dirty = true;
	}
	return &s->staged;
}

const TeSymbolState *te_memory_peek_symbol(const TeMemory *m, const char *symbol)
{
	TeLaneSymbol *s = hash_search(m->symbols, symbol, HASH_FIND, NULL);

	return s ? &s->staged : NULL;
}

static void forget_staged(TeMemory *m)
{
	list_free(m->dirty_producers);
	list_free(m->dirty_symbols);
	m->dirty_producers = m->dirty_symbols = NIL;
	m->staged_recent_count = 0;
}

/*----------------------------------------------------------------------
 * Sources
 *----------------------------------------------------------------------*/

static void name_source(TeSource *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	strlcpy(s->name, name, sizeof(s->name));
	s->committed.input.stream_created = TE_NO_TIME;
	s->staged = s->committed;
}

int te_memory_source(TeMemory *m, const char *name)
{
	for (int i = 0; i < m->source_count; i++)
		if (strcmp(m->sources[i]->name, name) == 0)
			return i;
	if (m->source_count == TE_PARKING_SOURCES)
		return -1;
	m->sources[m->source_count] = MemoryContextAlloc(m->context, sizeof(TeSource));
	name_source(m->sources[m->source_count], name);
	return m->source_count++;
}

int te_memory_replace_source(TeMemory *m, const char *name)
{
	char *ours = psprintf("%s%s.", TE_SOURCE_KAFKA, te_guc_subject_prefix);
	int n = 1; /* behind NATS */

	while (n < m->source_count && strncmp(m->sources[n]->name, ours, strlen(ours)) == 0)
		n++;
	pfree(ours);
	if (n == m->source_count)
		return -1;
	te_parking_forget_source(&m->parking, n);
	name_source(m->sources[n], name);
	return n;
}

void te_memory_note_readings(TeMemory *m)
{
	for (int i = 0; i < m->source_count; i++) {
		TeSource *s = m->sources[i];
		TeReading before = {s->committed.resume, s->committed.input.seq};

		s->staged.resume = te_reading_after(&m->parking, i, before, s->staged.at).resume;
	}
}

bool te_memory_kafka_moved(const TeMemory *m)
{
	for (int i = 1; i < m->source_count; i++) {
		const TeSource *s = m->sources[i];

		if (s->unsaved || memcmp(&s->staged, &s->committed, sizeof(s->staged)) != 0)
			return true;
	}
	return false;
}

static void remember_position(TeSource *s)
{
	if (s->history_count > 0 && s->history[0].seq == s->committed.input.seq &&
	    s->history[0].stream_created == s->committed.input.stream_created)
		return;
	memmove(s->history + 1, s->history, sizeof(s->history[0]) * (TE_POSITION_HISTORY - 1));
	s->history[0] = s->committed.input;
	s->history_count = Min(s->history_count + 1, TE_POSITION_HISTORY);
}

static void apply_sources(TeMemory *m)
{
	for (int i = 0; i < m->source_count; i++) {
		TeSource *s = m->sources[i];

		s->committed = s->staged;
		s->unsaved = false;
		if (s->committed.input.stream_created != TE_NO_TIME)
			remember_position(s);
	}
}

/*----------------------------------------------------------------------
 * The end of a batch
 *----------------------------------------------------------------------*/

void te_memory_apply(TeMemory *m)
{
	ListCell *cell;

	foreach (cell, m->dirty_producers) {
		TeLaneProducer *p = lfirst(cell);

		p->dirty = false;
	}
	foreach (cell, m->dirty_symbols) {
		TeLaneSymbol *s = lfirst(cell);

		s->committed = s->staged;
		s->dirty = false;
	}
	for (int i = 0; i < m->staged_recent_count; i++)
		te_recent_add(m->recent, m->staged_recent[i][0], m->staged_recent[i][1]);
	m->committed = m->staged;
	te_parking_apply(&m->parking);
	apply_sources(m);
	forget_staged(m);
}

void te_memory_discard(TeMemory *m)
{
	ListCell *cell;

	foreach (cell, m->dirty_producers) {
		TeLaneProducer *p = lfirst(cell);

		p->dirty = false;
	}
	foreach (cell, m->dirty_symbols) {
		TeLaneSymbol *s = lfirst(cell);

		s->staged = s->committed;
		s->dirty = false;
	}
	m->staged = m->committed;
	te_parking_discard(&m->parking);
	for (int i = 0; i < m->source_count; i++)
		m->sources[i]->staged = m->sources[i]->committed;
	forget_staged(m);
}

/*----------------------------------------------------------------------
 * Packing
 *----------------------------------------------------------------------*/

/* Memory of the batch, or an error: nothing of a state may be left out. */
static void *needed(void *memory)
{
	if (memory != NULL)
		return memory;
	ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory packing a lane's state"));
}

/* The parts of the key are split in a copy: company, user and producer end at the slashes. */
static void pack_producer(const TeLaneProducer *p, TeArena *arena, TeSavedState *out)
{
	char *company = needed(te_arena_strdup(arena, p->key));
	char *user = strchr(company, '/') + 1;
	char *producer = strchr(user, '/') + 1;

	user[-1] = producer[-1] = '\0';
	if (p->sequence.staged.next_seq > 0)
		out->producers[out->producer_count++] = (TeProducerEntry){.company_id = company,
		                                                          .user_id = user,
		                                                          .producer_id = producer,
		                                                          .state = p->sequence.staged};
}

static void pack_symbol(const TeLaneSymbol *s, TeSavedState *out)
{
	if (s->staged.builder.bar.start != TE_NO_TIME)
		out->bars[out->bar_count++] =
			(TeOpenBarEntry){.symbol = s->symbol, .builder = s->staged.builder};
}

static void pack_everything(TeMemory *m, TeArena *arena, TeSavedState *out)
{
	HASH_SEQ_STATUS scan;
	TeLaneProducer *p;
	TeLaneSymbol *s;

	hash_seq_init(&scan, m->producers);
	while ((p = hash_seq_search(&scan)) != NULL)
		pack_producer(p, arena, out);
	hash_seq_init(&scan, m->symbols);
	while ((s = hash_seq_search(&scan)) != NULL)
		pack_symbol(s, out);
}

static void pack_changes(TeMemory *m, TeArena *arena, TeSavedState *out)
{
	ListCell *cell;

	foreach (cell, m->dirty_producers)
		pack_producer(lfirst(cell), arena, out);
	foreach (cell, m->dirty_symbols)
		pack_symbol(lfirst(cell), out);
}

void te_memory_pack(TeMemory *m, bool full, TeArena *arena, const uint8_t **data, size_t *length)
{
	long producers = full ? hash_get_num_entries(m->producers) : list_length(m->dirty_producers);
	long symbols = full ? hash_get_num_entries(m->symbols) : list_length(m->dirty_symbols);
	TeSavedState state = {
		.clock = m->staged.clock,
		.producers = needed(te_arena_array(arena, producers, sizeof(TeProducerEntry))),
		.bars = needed(te_arena_array(arena, symbols, sizeof(TeOpenBarEntry))),
	};
	TeWireError err;

	if (full)
		pack_everything(m, arena, &state);
	else
		pack_changes(m, arena, &state);
	if (!te_lane_state_pack(&state, arena, data, length, &err))
		elog(ERROR, "could not pack the lane's state: %s", err.detail);
}
