/*
 * memory.c - loading, staging and packing what a lane remembers.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/memory.h"
#include "engine/query.h"
#include "engine/settings.h"
#include "sql/sqltime.h"
#include "wire/state.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define STATE_ARENA_BYTES ((size_t)1 << 30)

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

static TeLaneProducer *producer_entry(TeMemory *m, const char *company_id, const char *user_id,
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

static TeLaneSymbol *symbol_entry(TeMemory *m, const char *symbol)
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

TeLaneProducer *te_memory_producer(TeMemory *m, const char *company_id, const char *user_id,
                                   const char *producer_id)
{
	return producer_entry(m, company_id, user_id, producer_id);
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
	TeLaneSymbol *s = symbol_entry(m, symbol);

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

/*----------------------------------------------------------------------
 * Loading
 *----------------------------------------------------------------------*/

static TePlace place_of(TeRow *row, const char *epoch, const char *seq)
{
	return (TePlace){(uint64_t)te_row_int(row, epoch), (uint64_t)te_row_int(row, seq)};
}

static void read_newest_batch(TeRow *row, void *arg)
{
	TeMemory *m = arg;
	char *snapshot = te_row_text(row, "inbox_snapshot");
	TeTime created = te_row_time(row, "publish_created");

	m->committed = (TeLanePosition){
		.batch_no = te_row_int(row, "batch_no"),
		.epoch = te_row_int(row, "epoch"),
		.out_seq = te_row_int(row, "last_out_seq"),
		.clock = te_row_time(row, "lane_clock"),
	};
	m->output = (TeOutputPlaces){
		.cursors = {.acked = {place_of(row, "publish_epoch", "publish_seq"),
	                          place_of(row, "kafka_epoch", "kafka_seq")},
	                .released = place_of(row, "released_epoch", "released_seq")},
		.stream_created = created != TE_NO_TIME ? created : 0,
		.stream_seq = (uint64)te_row_int(row, "publish_stream_seq"),
	};
	if (snapshot != NULL)
		m->inbox_snapshot = MemoryContextStrdup(m->context, snapshot);
}

/* Newest first. */
static void add_position(TeSource *s, TeInputPosition position, TeRow *row)
{
	if (s->history_count == 0) {
		s->committed.input = position;
		s->committed.incarnation = te_row_int(row, "incarnation");
		s->committed.resume = s->committed.at = te_row_int(row, "resume");
	}
	if (s->history_count < TE_POSITION_HISTORY)
		s->history[s->history_count++] = position;
}

static void read_position(TeRow *row, void *arg)
{
	TeMemory *m = arg;
	TeInputPosition position = {
		.stream_created = te_row_time(row, "created"),
		.seq = te_row_int(row, "done"),
		.message_time = te_row_time(row, "message_time"),
	};

	if (position.stream_created != TE_NO_TIME) /* else nothing had been read yet */
		add_position(m->sources[0], position, row);
}

/* Of a stream that there is no more room for, nothing is known. */
static void read_kafka_position(TeRow *row, void *arg)
{
	TeMemory *m = arg;
	int n = te_memory_source(m, te_row_text(row, "source"));
	TeInputPosition position = {
		.stream_created = te_row_int(row, "identity"),
		.seq = te_row_int(row, "done"),
		.message_time = te_row_int(row, "message_time"),
	};

	if (n >= 0)
		add_position(m->sources[n], position, row);
}

static void read_state(TeRow *row, void *arg)
{
	TeMemory *m = arg;
	bytea *bytes = te_row_bytes(row, "state");
	TeArena arena;
	TeSavedState state;
	TeWireError err;

	if (bytes == NULL)
		return;
	te_arena_init(&arena, 64 * 1024, STATE_ARENA_BYTES);
	if (!te_lane_state_unpack((uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &arena,
	                          &state, &err)) {
		te_arena_free(&arena);
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg("state of lane %d can't be read", m->lane),
		        errdetail("%s: %s", err.field, err.detail));
	}
	for (size_t i = 0; i < state.producer_count; i++) {
		TeProducerEntry *e = &state.producers[i];
		TeLaneProducer *p = producer_entry(m, e->company_id, e->user_id, e->producer_id);

		p->sequence.committed = p->sequence.staged = e->state;
	}
	for (size_t i = 0; i < state.bar_count; i++) {
		TeLaneSymbol *s = symbol_entry(m, state.bars[i].symbol);

		s->committed.builder = s->staged.builder = state.bars[i].builder;
	}
	te_arena_free(&arena);
}

static void read_condition(TeRow *row, void *arg)
{
	TeLaneSymbol *s = symbol_entry(arg, te_row_text(row, "symbol"));

	s->committed.market = s->staged.market = (TeMarketState){
		.bars = te_row_int(row, "bars"),
		.last_start = te_row_time(row, "bar_start"),
		.last_close = te_row_double(row, "last_close"),
		.atr = te_row_double(row, "atr"),
		.ema_fast = te_row_double(row, "ema_fast"),
		.ema_slow = te_row_double(row, "ema_slow"),
		.returns = te_row_int(row, "returns"),
		.var_fast = te_row_double(row, "var_fast"),
		.var_slow = te_row_double(row, "var_slow"),
	};
}

static void read_applied(TeRow *row, void *arg)
{
	TeMemory *m = arg;
	const char *company_id = te_row_text(row, "company_id");
	const char *user_id = te_row_text(row, "user_id");
	const char *producer_id = te_row_text(row, "producer_id");
	uint64 seq = te_row_int(row, "producer_seq");
	bytea *sha256 = te_row_bytes(row, "payload_hash");

	te_recent_add(m->recent,
	              seq > 0 ? te_memory_sequence_key(company_id, user_id, producer_id,
	                                               te_row_int(row, "producer_epoch"), seq)
	                      : te_memory_batch_key(company_id, user_id, producer_id,
	                                            te_row_text(row, "batch_id")),
	              te_sha256_head((uint8_t *)VARDATA_ANY(sha256)));
}

static HTAB *make_table(TeMemory *m, const char *name, Size key_size, Size entry_size)
{
	HASHCTL control = {.keysize = key_size, .entrysize = entry_size, .hcxt = m->context};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static void make_parking(TeMemory *m)
{
	TeSequenceSettings settings = te_settings_sequences();

	te_parking_init(
		&m->parking, &settings,
		MemoryContextAllocHuge(m->context, sizeof(TeParked) * te_parking_capacity(&settings)));
}

/*
 * Positions of the streams, newest first.  Those of Kafka's are in the rows that moved one, and in
 * those that have the whole state.
 */
static void read_positions(TeMemory *m, const TeQueryArgs *by_lane)
{
	te_query_each("SELECT r.created, r.done, r.message_time, r.resume, r.incarnation"
	              "  FROM (SELECT b.input_created AS created, b.input_seq AS done,"
	              "               b.input_time AS message_time, COALESCE(b.input_resume, "
	              "b.input_seq) AS resume,"
	              "               b.input_incarnation AS incarnation, b.batch_no,"
	              "               pg_catalog.lag(b.input_seq) OVER newest AS later"
	              "          FROM (SELECT n.* FROM trading.batches AS n"
	              "                 WHERE n.lane OPERATOR(pg_catalog.=) $1"
	              "                 ORDER BY n.batch_no DESC LIMIT 256) AS b"
	              "        WINDOW newest AS (ORDER BY b.batch_no DESC)) AS r"
	              " WHERE r.later IS NULL OR r.later OPERATOR(pg_catalog.<>) r.done"
	              " ORDER BY r.batch_no DESC",
	              by_lane, read_position, m);
	te_query_each(
		"SELECT p.source, p.identity, p.done, p.message_time, p.resume, p.incarnation"
		"  FROM (SELECT n.batch_no, n.kafka_positions FROM trading.batches AS n"
		"         WHERE n.lane OPERATOR(pg_catalog.=) $1 ORDER BY n.batch_no DESC LIMIT 256) AS b"
		" CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(b.kafka_positions)"
		"  AS p (source text, identity int8, done int8, message_time int8, resume int8,"
		"        incarnation int8)"
		" ORDER BY b.batch_no DESC, p.source",
		by_lane, read_kafka_position, m);
	for (int i = 0; i < m->source_count; i++)
		m->sources[i]->staged = m->sources[i]->committed;
}

TeMemory *te_memory_load(int lane)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trading_engine lane memory",
	                                              ALLOCSET_DEFAULT_SIZES);
	TeMemory *m = MemoryContextAllocZero(context, sizeof(TeMemory));
	Oid types[] = {INT4OID, INT4OID};
	Datum values[] = {Int32GetDatum(lane), Int32GetDatum(TE_RECENT_CAPACITY)};
	TeQueryArgs by_lane = {1, types, values, NULL};
	TeQueryArgs with_limit = {2, types, values, NULL};

	m->lane = lane;
	m->context = context;
	m->committed.clock = TE_NO_TIME;
	make_parking(m);
	(void)te_memory_source(m, TE_SOURCE_NATS);
	m->producers =
		make_table(m, "producers", sizeof(((TeLaneProducer *)0)->key), sizeof(TeLaneProducer));
	m->symbols =
		make_table(m, "symbols", sizeof(((TeLaneSymbol *)0)->symbol), sizeof(TeLaneSymbol));
	m->recent = MemoryContextAllocHuge(context, sizeof(TeRecent));
	memset(m->recent, 0, sizeof(TeRecent));

	te_query_each("SELECT b.* FROM trading.batches AS b WHERE b.lane OPERATOR(pg_catalog.=) $1"
	              " ORDER BY b.batch_no DESC LIMIT 1",
	              &by_lane, read_newest_batch, m);
	read_positions(m, &by_lane);
	te_query_each("SELECT b.state FROM trading.batches AS b WHERE b.lane OPERATOR(pg_catalog.=) $1"
	              "   AND b.batch_no OPERATOR(pg_catalog.>=)"
	              "       (SELECT f.batch_no FROM trading.batches AS f"
	              "         WHERE f.lane OPERATOR(pg_catalog.=) $1 AND f.state_full"
	              "         ORDER BY f.batch_no DESC LIMIT 1)"
	              " ORDER BY b.batch_no",
	              &by_lane, read_state, m);
	te_query_each(
		"SELECT c.* FROM trading.instruments AS i CROSS JOIN LATERAL"
		" (SELECT n.* FROM trading.market_conditions AS n"
		"   WHERE n.lane OPERATOR(pg_catalog.=) $1 AND n.symbol OPERATOR(pg_catalog.=) i.symbol"
		"   ORDER BY n.bar_start DESC LIMIT 1) AS c",
		&by_lane, read_condition, m);
	te_query_each(
		"SELECT r.* FROM (SELECT p.company_id, p.user_id, p.producer_id, p.producer_epoch,"
		"       p.producer_seq, p.batch_id, p.payload_hash, p.batch_no, p.position"
		"  FROM trading.prediction_batches AS p WHERE p.lane OPERATOR(pg_catalog.=) $1"
		" ORDER BY p.batch_no DESC, p.position DESC LIMIT $2) AS r"
		" ORDER BY r.batch_no, r.position",
		&with_limit, read_applied, m);
	m->staged = m->committed;
	return m;
}
