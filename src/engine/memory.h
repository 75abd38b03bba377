/*
 * memory.h - what one lane remembers between batches, and how that survives.
 *
 * Everything here is a cache of committed rows: the newest rows of trading.batches
 * and the newest market condition of each symbol.  While a batch is worked on, its
 * changes are staged beside the committed values; te_memory_apply makes them the
 * committed ones after the commit, te_memory_discard forgets them.
 */
#ifndef TE_ENGINE_MEMORY_H
#define TE_ENGINE_MEMORY_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/hsearch.h"

#include "core/market.h"
#include "core/recent.h"
#include "core/route.h"
#include "core/sequence.h"
#include "transport/transport.h"
#include "wire/arena.h"
#include "wire/identity.h"

/* Every so many batches the whole state is stored, in between only what a batch changed. */
#define TE_STATE_FULL_EVERY 64

/* Positions of a source that its transport may go back to. */
#define TE_POSITION_HISTORY 16

/* A producer's sequence for one tenant (a company's user, or _all). */
typedef struct TeLaneProducer
{
	char key[3 * (TE_ID_MAX + 1)]; /* company, user and producer, joined by '/' */
	TeSequence sequence;
	bool dirty;
} TeLaneProducer;

/* The parts of a producer's key. */
typedef struct TeProducerName
{
	char scope[2 * (TE_ID_MAX + 1)]; /* company and user, joined by '/' */
	char company[TE_ID_MAX + 1];
	const char *producer; /* in the key */
} TeProducerName;

/* Market state of a symbol, and the bar in progress. */
typedef struct TeSymbolState
{
	TeBarBuilder builder;
	TeMarketState market;
} TeSymbolState;

typedef struct TeLaneSymbol
{
	char symbol[TE_SYMBOL_MAX + 1];
	TeSymbolState committed, staged;
	bool dirty;
} TeLaneSymbol;

/* What moves with every batch. */
typedef struct TeLanePosition
{
	int64 batch_no;
	int64 epoch;   /* of the output sequence */
	int64 out_seq; /* last given out */
	TeTime clock;  /* greatest generated_at seen; TE_NO_TIME before the first */
} TeLanePosition;

/* Where the output stands, as a row of trading.batches has it. */
typedef struct TeOutputPlaces
{
	TeRouteCursors cursors;
	int64 stream_created; /* of NATS' output stream; 0: it was never seen */
	uint64 stream_seq;    /* of the cursor's message there */
} TeOutputPlaces;

/*
 * How far an input stream was read.  A message that waits for its turn is in memory only: a
 * restart reads again what is behind "resume", and knows by "input" what it has had.
 */
typedef struct TeSourcePosition
{
	TeInputPosition input; /* everything up to it was read; stream_created TE_NO_TIME: nothing */
	uint64 resume;         /* <= input.seq */
	uint64 at;             /* the last message taken; below input.seq while reading again */
	int64 incarnation;     /* how often another stream, or another tail of it, took the place of the
	                          first */
} TeSourcePosition;

/* An input stream. */
typedef struct TeSource
{
	char name[TE_TRANSPORT_NAME_SIZE]; /* in the tables: TE_SOURCE_NATS, or TE_SOURCE_KAFKA and
	                                      "topic/partition" */
	TeSourcePosition committed, staged;
	bool unsaved; /* committed is what an anchor has found out: no row has it yet */
	TeInputPosition history[TE_POSITION_HISTORY]; /* newest first */
	int history_count;
} TeSource;

/* Where a message came from; the labels are those of the tables. */
#define TE_SOURCE_NATS "nats"
#define TE_SOURCE_KAFKA "kafka:"
#define TE_SOURCE_INBOX "inbox"

typedef struct TeMemory
{
	int lane;
	MemoryContext context;
	TeLanePosition committed, staged;
	char *inbox_snapshot; /* inbox rows that it shows have been taken; NULL: none yet */
	HTAB *producers, *symbols;
	TeRecent *recent; /* messages applied: key is their identity, value the hash of their payload */
	List *dirty_producers, *dirty_symbols;
	uint64 (*staged_recent)[2];
	int staged_recent_count, staged_recent_capacity;
	TeParking parking;
	TeSource *sources[TE_PARKING_SOURCES]; /* the first is NATS's; numbered as for the parking */
	int source_count;
	TeOutputPlaces output; /* as the row that was loaded has them */
} TeMemory;

/* Read the lane's memory; in a transaction with SPI connected. */
extern TeMemory *te_memory_load(int lane);

/* The sequence of a producer, made when it is new. */
extern TeLaneProducer *te_memory_producer(TeMemory *m, const char *company_id, const char *user_id,
                                          const char *producer_id);
/* One that has been seen, by its key, or NULL. */
extern TeLaneProducer *te_memory_known_producer(TeMemory *m, const char *key);
extern TeLaneProducer *te_memory_producer_of(TeSequence *sequence);
extern TeProducerName te_memory_producer_name(const TeLaneProducer *producer);

/* The batch changes the sequence of this producer: its row has to tell. */
extern void te_memory_touch_producer(TeMemory *m, TeLaneProducer *producer);

/* The number of the source of this name, made when it is new; -1: there are too many. */
extern int te_memory_source(TeMemory *m, const char *name);

/*
 * When there is room for no more: in the place of a partition that only another prefix would read,
 * which is forgotten.  -1: there is none.
 */
extern int te_memory_replace_source(TeMemory *m, const char *name);

/* Before the batch's row is made: how far a restart has to go back in each source. */
extern void te_memory_note_readings(TeMemory *m);

/* Has this batch moved a source beside NATS's? */
extern bool te_memory_kafka_moved(const TeMemory *m);

/* What is known of a symbol, made when it is new. */
extern TeLaneSymbol *te_memory_symbol_entry(TeMemory *m, const char *symbol);

/* The staged value of a symbol, for this batch to change. */
extern TeSymbolState *te_memory_symbol(TeMemory *m, const char *symbol);

/* The market state of a symbol as this batch sees it, or NULL when no price was ever seen. */
extern const TeSymbolState *te_memory_peek_symbol(const TeMemory *m, const char *symbol);

/* Has a message of this identity been applied, by this batch or before?  The head of its
 * payload's digest goes to "hash". */
extern bool te_memory_seen(const TeMemory *m, uint64 key, uint64 *hash);
extern void te_memory_remember(TeMemory *m, uint64 key, uint64 hash);

/* Identity of a message by its producer's sequence, or by its batch id. */
extern uint64 te_memory_sequence_key(const char *company_id, const char *user_id,
                                     const char *producer_id, uint64 epoch, uint64 seq);
extern uint64 te_memory_batch_key(const char *company_id, const char *user_id,
                                  const char *producer_id, const char *batch_id);

/* The bytes for the batch's row: everything, or what this batch changed. */
extern void te_memory_pack(TeMemory *m, bool full, TeArena *arena, const uint8_t **data,
                           size_t *length);

extern void te_memory_apply(TeMemory *m);
extern void te_memory_discard(TeMemory *m);

#endif
