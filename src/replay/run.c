/*
 * run.c - a run from the leader's side: its input, its workers, and what they send.
 *
 * The leader works on chunks like everybody else, and takes in what workers have sent
 * between two decisions, so that nobody waits for long.  Pieces of the chunk whose turn it is
 * go to the sink at once; others are held until it is theirs, up to work_mem: then only the
 * process that has the chunk whose turn it is gets on, which is always one.  An error, here or
 * in a worker, ends the transaction or subtransaction, and with it the workers and their memory.
 */
#include "postgres.h"

#include "replay/shown.h"
#include "replay/work.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shm_toc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define LIBRARY "$libdir/trading_engine"
#define WORKER_MAIN "te_replay_worker_main"

/* Room for rows on their way from a worker; it waits when it is full. */
#define QUEUE_BYTES ((Size)1024 * 1024)

/* Keys of the shared memory's table of contents. */
enum {
	KEY_SHARED = 1,
	KEY_CHUNKS,
	KEY_OWNERS,
	KEY_RUN,
	KEY_PARAMETERS,
	KEY_PARAMETERS_LENGTH,
	KEY_QUEUES
};

extern PGDLLEXPORT void te_replay_worker_main(dsm_segment *segment, shm_toc *toc);

/* What comes before a piece on its way. */
typedef struct PieceHeader
{
	uint32 chunk;
	uint32 ends_chunk; /* there is no piece, and none comes of this chunk any more */
} PieceHeader;

StaticAssertDecl(sizeof(PieceHeader) == MAXALIGN(sizeof(PieceHeader)), "pieces stay aligned");

/* A piece that came before its turn. */
typedef struct HeldPiece
{
	struct HeldPiece *next;
	Size length;
	char data[FLEXIBLE_ARRAY_MEMBER];
} HeldPiece;

#define HELD_PIECE_SIZE(length) (MAXALIGN(offsetof(HeldPiece, data)) + (length))
#define HELD_PIECE_DATA(piece) ((char *)(piece) + MAXALIGN(offsetof(HeldPiece, data)))

/* Of a chunk that nobody has taken. */
#define NOBODY ((TeReplayOwner)-2)

typedef struct HeldChunk
{
	uint32 chunk; /* hash key */
	bool complete;
	MemoryContext context;
	HeldPiece *first, *last;
} HeldChunk;

/* The leader's end of it all. */
typedef struct Leader
{
	TeReplayChannel channel; /* first: poll() gets it */
	const TeReplaySink *sink;
	void *argument;
	TeRepeats *repeats;
	MemoryContext context, per_piece;
	int open; /* queues that may still bring something */
	int queue_count;
	shm_mq_handle **queues; /* NULL: closed */

	uint32 chunk_count;
	const TeReplayChunk *chunks;
	const volatile TeReplayOwner *owners;
	uint32 next; /* the chunk whose turn it is */
	HTAB *held;
	Size held_size;
} Leader;

/*----------------------------------------------------------------------
 * The leader's order
 *----------------------------------------------------------------------*/

static void receive(Leader *leader, const void *data, Size length)
{
	MemoryContext old = MemoryContextSwitchTo(leader->per_piece);

	leader->sink->receive(leader->argument, leader->repeats, data, length);
	MemoryContextSwitchTo(old);
	MemoryContextReset(leader->per_piece);
}

/* It is this chunk's turn. */
static void enter(Leader *leader, uint32 chunk)
{
	leader->next = chunk;
	if (chunk < leader->chunk_count)
		te_repeats_enter(leader->repeats, leader->chunks[chunk].epoch, leader->chunks[chunk].lane);
}

static HeldChunk *held_chunk(Leader *leader, uint32 chunk)
{
	bool found;
	HeldChunk *held = hash_search(leader->held, &chunk, HASH_ENTER, &found);

	if (!found) {
		held->complete = false;
		held->context =
			AllocSetContextCreate(leader->context, "replayed chunk", ALLOCSET_DEFAULT_SIZES);
		held->first = held->last = NULL;
	}
	return held;
}

static void hold(Leader *leader, const PieceHeader *header, const void *data, Size length)
{
	HeldChunk *held = held_chunk(leader, header->chunk);
	HeldPiece *piece;

	if (header->ends_chunk) {
		held->complete = true;
		return;
	}
	piece = MemoryContextAllocHuge(held->context, HELD_PIECE_SIZE(length));
	piece->next = NULL;
	piece->length = length;
	memcpy(HELD_PIECE_DATA(piece), data, length);
	if (held->first == NULL)
		held->first = piece;
	else
		held->last->next = piece;
	held->last = piece;
	leader->held_size += HELD_PIECE_SIZE(length);
}

/* What is held of the chunk whose turn it is.  Whether that was all of it. */
static bool release(Leader *leader)
{
	HeldChunk *held = hash_search(leader->held, &leader->next, HASH_FIND, NULL);
	bool complete;

	if (held == NULL)
		return false;
	for (const HeldPiece *piece = held->first; piece != NULL; piece = piece->next) {
		receive(leader, HELD_PIECE_DATA(piece), piece->length);
		leader->held_size -= HELD_PIECE_SIZE(piece->length);
	}
	complete = held->complete;
	MemoryContextDelete(held->context);
	(void)hash_search(leader->held, &leader->next, HASH_REMOVE, NULL);
	return complete;
}

static void arrive(Leader *leader, const PieceHeader *header, const void *data, Size length)
{
	if (header->chunk == TE_REPLAY_NO_CHUNK)
		receive(leader, data, length);
	else if (header->chunk != leader->next)
		hold(leader, header, data, length);
	else if (!header->ends_chunk)
		receive(leader, data, length);
	else
		do
			enter(leader, leader->next + 1);
		while (release(leader));
}

static bool holds_too_much(const Leader *leader)
{
	return leader->held_size > (Size)work_mem * 1024;
}

/*----------------------------------------------------------------------
 * From a process to the leader
 *----------------------------------------------------------------------*/

/* Take in all that one worker has sent, as far as there is room.  Whether there was anything. */
static bool drain(Leader *leader, int i)
{
	bool any = false;
	Size length;
	void *data;

	while (leader->queues[i] != NULL &&
	       (!holds_too_much(leader) || leader->owners[leader->next] == i)) {
		switch (shm_mq_receive(leader->queues[i], &length, &data, true)) {
		case SHM_MQ_SUCCESS:
			arrive(leader, data, (char *)data + sizeof(PieceHeader), length - sizeof(PieceHeader));
			any = true;
			break;
		case SHM_MQ_WOULD_BLOCK:
			return any;
		case SHM_MQ_DETACHED:
			shm_mq_detach(leader->queues[i]);
			leader->queues[i] = NULL;
			leader->open--;
			break;
		}
	}
	return any;
}

static bool drain_all(Leader *leader)
{
	bool any = false;

	for (int i = 0; i < leader->queue_count; i++)
		any = drain(leader, i) || any;
	return any;
}

static void poll_queues(TeReplayChannel *channel)
{
	(void)drain_all((Leader *)channel);
}

static void wait_for_workers(void)
{
	(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

static void drain_to_the_end(Leader *leader)
{
	for (;;) {
		CHECK_FOR_INTERRUPTS();
		if (drain_all(leader))
			continue;
		if (leader->open == 0)
			break;
		wait_for_workers();
	}
}

/* The leader's own pieces have their turn like the others', and no more room. */
static void send_to_self(Leader *leader, const PieceHeader *header, const void *data, Size length)
{
	arrive(leader, header, data, length);
	while (holds_too_much(leader) && header->chunk != TE_REPLAY_NO_CHUNK &&
	       leader->next < header->chunk) {
		CHECK_FOR_INTERRUPTS();
		if (!drain_all(leader))
			wait_for_workers();
	}
}

static void send_to_leader(TeReplayChannel *channel, bool ends_chunk, const void *data, Size length)
{
	PieceHeader header = {channel->chunk, ends_chunk};
	shm_mq_iovec parts[] = {{(const char *)&header, sizeof(header)}, {data, length}};

	if (channel->gone)
		return;
	if (channel->queue == NULL)
		send_to_self((Leader *)channel, &header, data, length);
	else if (shm_mq_sendv(channel->queue, parts, ends_chunk ? 1 : 2, false, ends_chunk) !=
	         SHM_MQ_SUCCESS)
		channel->gone = true;
}

void te_replay_send(TeReplayProcess *process, const void *data, Size length)
{
	process->channel->sent++;
	send_to_leader(process->channel, false, data, length);
}

void te_replay_end_chunk(TeReplayChannel *channel)
{
	send_to_leader(channel, true, NULL, 0);
}

/*----------------------------------------------------------------------
 * Workers
 *----------------------------------------------------------------------*/

/* What every process needs to know, as it lies in shared memory. */
typedef struct Contents
{
	TeReplayShared *shared;
	TeReplayChunk *chunks;
	TeReplayOwner *owners; /* of the chunks */
	bytea *run;
	const void *parameters;
	Size length; /* of the parameters */
} Contents;

static void estimate(ParallelContext *context, Size size)
{
	shm_toc_estimate_chunk(&context->estimator, size);
	shm_toc_estimate_keys(&context->estimator, 1);
}

static void *put(ParallelContext *context, int key, const void *data, Size size)
{
	void *copy = shm_toc_allocate(context->toc, Max(size, 1));

	if (data != NULL)
		memcpy(copy, data, size);
	shm_toc_insert(context->toc, key, copy);
	return copy;
}

static Size chunks_size(const TeReplayShared *shared)
{
	return mul_size(shared->chunk_count, sizeof(TeReplayChunk));
}

static Size owners_size(const TeReplayShared *shared)
{
	return mul_size(shared->chunk_count, sizeof(TeReplayOwner));
}

/* Copy the contents to where workers can see them; the leader goes on with that copy. */
static void share(ParallelContext *context, Contents *contents)
{
	contents->shared = put(context, KEY_SHARED, contents->shared, sizeof(TeReplayShared));
	contents->chunks = put(context, KEY_CHUNKS, contents->chunks, chunks_size(contents->shared));
	contents->owners = put(context, KEY_OWNERS, contents->owners, owners_size(contents->shared));
	(void)put(context, KEY_RUN, VARDATA(contents->run), VARSIZE(contents->run) - VARHDRSZ);
	(void)put(context, KEY_PARAMETERS, contents->parameters, contents->length);
	(void)put(context, KEY_PARAMETERS_LENGTH, &contents->length, sizeof(Size));
}

static void make_queues(ParallelContext *context, Leader *leader)
{
	char *space = put(context, KEY_QUEUES, NULL, mul_size(QUEUE_BYTES, context->nworkers));

	leader->queues = palloc0(sizeof(shm_mq_handle *) * Max(context->nworkers, 1));
	for (int i = 0; i < context->nworkers; i++) {
		shm_mq *queue = shm_mq_create(space + i * QUEUE_BYTES, QUEUE_BYTES);

		shm_mq_set_receiver(queue, MyProc);
		leader->queues[i] = shm_mq_attach(queue, context->seg, NULL);
	}
}

static ParallelContext *launch(Contents *contents, int workers, Leader *leader)
{
	ParallelContext *context = CreateParallelContext(LIBRARY, WORKER_MAIN, workers);

	estimate(context, sizeof(TeReplayShared));
	estimate(context, chunks_size(contents->shared));
	estimate(context, Max(owners_size(contents->shared), 1));
	estimate(context, VARSIZE(contents->run));
	estimate(context, Max(contents->length, 1));
	estimate(context, sizeof(Size));
	estimate(context, mul_size(QUEUE_BYTES, workers));
	InitializeParallelDSM(context);
	share(context, contents);
	make_queues(context, leader);
	LaunchParallelWorkers(context);

	leader->queue_count = leader->open = context->nworkers_launched;
	for (int i = 0; i < leader->queue_count; i++)
		shm_mq_set_handle(leader->queues[i], context->worker[i].bgwhandle);
	return context;
}

/* A worker's main function; its transaction and its snapshot are copies of the leader's. */
void te_replay_worker_main(dsm_segment *segment, shm_toc *toc)
{
	TeReplayShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	char *space = shm_toc_lookup(toc, KEY_QUEUES, false);
	shm_mq *queue = (shm_mq *)(space + ParallelWorkerNumber * QUEUE_BYTES);
	TeReplayChannel channel = {.process = ParallelWorkerNumber};
	TeReplayRun run;

	shm_mq_set_sender(queue, MyProc);
	channel.queue = shm_mq_attach(queue, segment, NULL);
	if (shared->sink < 0 || shared->sink >= te_replay_sink_count)
		elog(ERROR, "unknown sink %d of a replay", shared->sink);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_unpack_run(shm_toc_lookup(toc, KEY_RUN, false), &run);
	te_replay_work(shared, shm_toc_lookup(toc, KEY_CHUNKS, false),
	               shm_toc_lookup(toc, KEY_OWNERS, false), &run,
	               shm_toc_lookup(toc, KEY_PARAMETERS, false),
	               *(Size *)shm_toc_lookup(toc, KEY_PARAMETERS_LENGTH, false), &channel);
	SPI_finish();
	/* This sends what is still in the queue's buffer. */
	shm_mq_detach(channel.queue);
}

/*----------------------------------------------------------------------
 * A run
 *----------------------------------------------------------------------*/

static int sink_number(const TeReplaySink *sink)
{
	for (int i = 0; i < te_replay_sink_count; i++)
		if (te_replay_sinks[i] == sink)
			return i;
	elog(ERROR, "sink \"%s\" is not in the list of sinks", sink->name);
}

static void work(Contents *contents, const TeReplayRun *run, Leader *leader)
{
	leader->chunk_count = contents->shared->chunk_count;
	leader->chunks = contents->chunks;
	leader->owners = contents->owners;
	enter(leader, 0);
	te_replay_work(contents->shared, contents->chunks, contents->owners, run, contents->parameters,
	               contents->length, &leader->channel);
}

static void work_with_workers(Contents *contents, const TeReplayRun *run, Leader *leader,
                              int workers, TeReplayProgress progress)
{
	ParallelContext *context;
	Contents own = *contents;

	EnterParallelMode();
	context = launch(contents, workers, leader);
	leader->channel.poll = poll_queues;
	work(contents, run, leader);
	te_replay_progress_phase(progress, TE_REPLAY_PHASE_FINISHING);
	drain_to_the_end(leader);
	WaitForParallelWorkersToFinish(context);
	pg_atomic_write_u64(&own.shared->decisions, pg_atomic_read_u64(&contents->shared->decisions));
	DestroyParallelContext(context);
	ExitParallelMode();
	*contents = own;
}

/*
 * Workers of a worker there can't be, and inside of a parallel query this process has its share.
 * More than the server starts would only take memory for their queues.
 */
static int useful_workers(const TeReplayRun *run, uint32 chunks)
{
	if (run->workers == 0 || chunks <= 1 || IsInParallelMode())
		return 0;
	return (int)Min((uint32)Min(run->workers, max_parallel_workers), chunks - 1);
}

static uint64 run_watched(const TeReplayRun *run, const TeReplaySink *sink, const void *parameters,
                          Size length, void *argument, TeReplayProgress progress)
{
	TeReplayChunks chunks;
	TeReplayShared shared = {.sink = sink_number(sink), .progress = progress};
	Contents contents = {.shared = &shared, .parameters = parameters, .length = length};
	HASHCTL held = {
		.keysize = sizeof(uint32), .entrysize = sizeof(HeldChunk), .hcxt = CurrentMemoryContext};
	Leader leader = {
		.channel = {.process = TE_REPLAY_LEADER},
		.sink = sink,
		.argument = argument,
		.repeats = te_repeats_create(CurrentMemoryContext),
		.context = CurrentMemoryContext,
		.per_piece =
			AllocSetContextCreate(CurrentMemoryContext, "replayed piece", ALLOCSET_DEFAULT_SIZES),
		.held = hash_create("chunks before their turn", 16, &held,
	                        HASH_ELEM | HASH_BLOBS | HASH_CONTEXT),
	};
	int workers;

	te_replay_find(run, &chunks);
	if (chunks.count == 0)
		te_replay_check_variants(run);
	pg_atomic_init_u32(&shared.next_chunk, 0);
	pg_atomic_init_u64(&shared.decisions, 0);
	shared.chunk_count = chunks.count;
	if (!pg_strong_random(&shared.seed, sizeof(shared.seed)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random keys")));
	if (chunks.count > 0)
		te_replay_remember_before(run, &shared.seed, leader.repeats);
	contents.chunks = chunks.chunks;
	contents.owners = palloc(Max(owners_size(&shared), 1));
	for (uint32 i = 0; i < chunks.count; i++)
		contents.owners[i] = NOBODY;
	contents.run = te_replay_pack_run(run);
	workers = useful_workers(run, chunks.count);
	te_replay_progress_total(progress, chunks.messages, chunks.predictions, workers);
	te_replay_progress_phase(progress, TE_REPLAY_PHASE_DECIDING);
	if (workers > 0)
		work_with_workers(&contents, run, &leader, workers, progress);
	else
		work(&contents, run, &leader);
	ereport(DEBUG1, (errmsg_internal("%s: " UINT64_FORMAT " messages, " UINT64_FORMAT
	                                 " predictions, " UINT64_FORMAT " decisions",
	                                 sink->name, chunks.messages, chunks.predictions,
	                                 pg_atomic_read_u64(&shared.decisions))));
	return pg_atomic_read_u64(&shared.decisions);
}

static void end_progress(int code pg_attribute_unused(), Datum progress)
{
	te_replay_progress_end(DatumGetInt32(progress));
}

uint64 te_replay_run(const TeReplayRun *run, const TeReplaySink *sink, const void *parameters,
                     Size length, void *leader)
{
	TeReplayProgress progress = te_replay_progress_begin(sink->name, run->company, run->user);
	uint64 decisions;

	PG_ENSURE_ERROR_CLEANUP(end_progress, Int32GetDatum(progress));
	{
		decisions = run_watched(run, sink, parameters, length, leader, progress);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_progress, Int32GetDatum(progress));
	te_replay_progress_end(progress);
	return decisions;
}
