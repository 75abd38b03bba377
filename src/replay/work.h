/*
 * work.h - what the files of the replay engine share: how a run is divided and fed.
 */
#ifndef TE_REPLAY_WORK_H
#define TE_REPLAY_WORK_H

#include "replay/progress.h"
#include "replay/replay.h"

#include "port/atomics.h"
#include "storage/shm_mq.h"

/* Consecutive batches of a lane and epoch, with all their messages of the run. */
typedef struct TeReplayChunk
{
	int64 epoch;
	int32 lane, lane_count;
	int64 first_batch, last_batch;
	TeTime first_at; /* when the first was decided, by the lane's clock */
} TeReplayChunk;

/* The whole of a run's input, by epoch, lane and batch; in the current memory context. */
typedef struct TeReplayChunks
{
	uint32 count;
	TeReplayChunk *chunks;
	uint64 messages, predictions;
} TeReplayChunks;

/* What the processes of a run share; in dynamic shared memory when there are several. */
typedef struct TeReplayShared
{
	pg_atomic_uint32 next_chunk; /* the next that nobody has taken */
	pg_atomic_uint64 decisions;
	uint32 chunk_count;
	int sink; /* index in te_replay_sinks */
	TeReplayProgress progress;
	TeRepeatsSeed seed;
} TeReplayShared;

/* Who has taken a chunk: the leader, or a worker by its number; nobody else writes it. */
#define TE_REPLAY_LEADER (-1)
typedef int16 TeReplayOwner;

/* From a process to the leader: a queue, or in the leader itself the way around it. */
typedef struct TeReplayChannel
{
	int process;                         /* TE_REPLAY_LEADER, or the worker's number */
	shm_mq_handle *queue;                /* NULL in the leader */
	uint32 chunk;                        /* the one at hand, or */
#define TE_REPLAY_NO_CHUNK PG_UINT32_MAX /* all are done: what is sent now has no turn */
	uint64 sent;                         /* pieces, not yet added to the progress */
	bool gone;                           /* the leader takes no more */

	/* In the leader, called ever so often: take in what workers have sent. */
	void (*poll)(struct TeReplayChannel *channel);
} TeReplayChannel;

/* A process is through with its chunk. */
extern void te_replay_end_chunk(TeReplayChannel *channel);

/* All sinks; a run knows its own by the place here. */
extern const TeReplaySink *const te_replay_sinks[];
extern const int te_replay_sink_count;

/* chunks.c: find the messages of a run. */
extern void te_replay_find(const TeReplayRun *run, TeReplayChunks *out);

/* WHERE condition and parameters of a run's messages p and their batches b. */
#define TE_REPLAY_PARAMETERS 4
extern void te_replay_conditions(const TeReplayRun *run, Oid *types, Datum *values, char *nulls);
#define TE_REPLAY_CONDITION                                                                        \
	"    p.decided_at OPERATOR(pg_catalog.>=) $1"                                                  \
	"   AND p.decided_at OPERATOR(pg_catalog.<) $2"                                                \
	"   AND CASE WHEN p.company_id OPERATOR(pg_catalog.=) '_all'"                                  \
	"            THEN $3 IS NULL OR b.lane_count IS NULL"                                          \
	"                 OR trading.lane_of($3, b.lane_count) OPERATOR(pg_catalog.=) p.lane"          \
	"            ELSE ($3 IS NULL OR p.company_id OPERATOR(pg_catalog.=) $3)"                      \
	"                 AND ($4 IS NULL OR p.user_id OPERATOR(pg_catalog.=) '_all'"                  \
	"                      OR p.user_id OPERATOR(pg_catalog.=) $4) END"

/* scan.c: work on chunks until all are taken. */
extern void te_replay_work(TeReplayShared *shared, const TeReplayChunk *chunks,
                           TeReplayOwner *owners, const TeReplayRun *run, const void *parameters,
                           Size length, TeReplayChannel *channel);

/* before.c: what was recorded before a run, for the comparison of its first signals. */
extern void te_replay_remember_before(const TeReplayRun *run, const TeRepeatsSeed *seed,
                                      TeRepeats *repeats);

/* packing.c: a run as bytes, for a worker; what is unpacked is in the current memory context. */
extern bytea *te_replay_pack_run(const TeReplayRun *run);
extern void te_replay_unpack_run(const char *data, TeReplayRun *run);

#endif
