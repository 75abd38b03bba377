/*
 * memory_load.c - a lane's memory, read from the tables when its worker starts.
 */
#include "postgres.h"

#include "engine/memory.h"
#include "engine/query.h"
#include "engine/settings.h"
#include "wire/state.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define STATE_ARENA_BYTES ((size_t)1 << 30)

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
		TeLaneProducer *p = te_memory_producer(m, e->company_id, e->user_id, e->producer_id);

		p->sequence.committed = p->sequence.staged = e->state;
	}
	for (size_t i = 0; i < state.bar_count; i++) {
		TeLaneSymbol *s = te_memory_symbol_entry(m, state.bars[i].symbol);

		s->committed.builder = s->staged.builder = state.bars[i].builder;
	}
	te_arena_free(&arena);
}

static void read_condition(TeRow *row, void *arg)
{
	TeLaneSymbol *s = te_memory_symbol_entry(arg, te_row_text(row, "symbol"));

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

#define IDENTITY                                                                                   \
	"n.company_id, n.user_id, n.producer_id, n.producer_epoch, n.producer_seq, n.batch_id,"        \
	" n.payload_hash, n.batch_no, n.position"

/*
 * Messages that were applied, up to the window's size, oldest first.  After trading.set_lanes()
 * those of companies that were on other lanes then are among them, until the window is full of
 * newer ones.
 */
static void read_window(TeMemory *m)
{
	Oid types[] = {INT4OID, INT4OID};
	Datum values[] = {Int32GetDatum(m->lane), Int32GetDatum(TE_RECENT_CAPACITY)};
	TeQueryArgs with_limit = {2, types, values, NULL};

	m->recent = MemoryContextAllocHuge(m->context, sizeof(TeRecent));
	memset(m->recent, 0, sizeof(TeRecent));
	te_query_each(
		"WITH cut AS MATERIALIZED ("
		"SELECT l.first_batch_no, (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM trading.lanes) "
		"AS lanes"
		"  FROM trading.lanes AS l"
		" WHERE l.lane OPERATOR(pg_catalog.=) $1 AND l.first_batch_no OPERATOR(pg_catalog.>) 0"
		"   AND (SELECT pg_catalog.count(*) FROM"
		"        (SELECT FROM trading.prediction_batches AS n"
		"          WHERE n.lane OPERATOR(pg_catalog.=) $1"
		"            AND n.batch_no OPERATOR(pg_catalog.>=) l.first_batch_no LIMIT $2) AS since)"
		"       OPERATOR(pg_catalog.<) $2)"
		" SELECT r.* FROM"
		" (SELECT n.* FROM cut AS c"
		"   CROSS JOIN LATERAL pg_catalog.generate_series(0,"
		"         (SELECT pg_catalog.max(n.lane) FROM trading.prediction_batches AS n)) AS old "
		"(lane)"
		"   CROSS JOIN LATERAL"
		"        (SELECT " IDENTITY ", n.lane, n.recorded_at FROM trading.prediction_batches AS n"
		"          WHERE n.lane OPERATOR(pg_catalog.=) old.lane"
		"            AND n.batch_no OPERATOR(pg_catalog.<) c.first_batch_no"
		"          ORDER BY n.batch_no DESC, n.position DESC LIMIT $2) AS n"
		"  WHERE n.company_id OPERATOR(pg_catalog.=) '" TE_ALL "'"
		"     OR trading.lane_of(n.company_id, c.lanes) OPERATOR(pg_catalog.=) $1"
		"  ORDER BY n.recorded_at DESC LIMIT $2) AS r"
		" ORDER BY r.recorded_at, r.lane, r.batch_no, r.position",
		&with_limit, read_applied, m);
	te_query_each("SELECT r.* FROM (SELECT " IDENTITY " FROM trading.prediction_batches AS n"
	              " WHERE n.lane OPERATOR(pg_catalog.=) $1"
	              "   AND n.batch_no OPERATOR(pg_catalog.>=) (SELECT l.first_batch_no"
	              "       FROM trading.lanes AS l WHERE l.lane OPERATOR(pg_catalog.=) $1)"
	              " ORDER BY n.batch_no DESC, n.position DESC LIMIT $2) AS r"
	              " ORDER BY r.batch_no, r.position",
	              &with_limit, read_applied, m);
}

TeMemory *te_memory_load(int lane)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trading_engine lane memory",
	                                              ALLOCSET_DEFAULT_SIZES);
	TeMemory *m = MemoryContextAllocZero(context, sizeof(TeMemory));
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(lane)};
	TeQueryArgs by_lane = {1, types, values, NULL};

	m->lane = lane;
	m->context = context;
	m->committed.clock = TE_NO_TIME;
	make_parking(m);
	(void)te_memory_source(m, TE_SOURCE_NATS);
	m->producers =
		make_table(m, "producers", sizeof(((TeLaneProducer *)0)->key), sizeof(TeLaneProducer));
	m->symbols =
		make_table(m, "symbols", sizeof(((TeLaneSymbol *)0)->symbol), sizeof(TeLaneSymbol));
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
	read_window(m);
	m->staged = m->committed;
	return m;
}
