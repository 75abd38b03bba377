/*
 * shmem.h - what the launcher, the lanes and other sessions share.
 *
 * Plain data only.  Life (who runs where, in which state, why) is guarded by one
 * LWLock.  Statistics are written by the lane alone, without a lock, and read by
 * anybody: a reader may see one counter before and another after a batch.
 *
 * All of it exists only when the library is in shared_preload_libraries;
 * te_shmem_available() says so, te_require_preload() raises the error.
 */
#ifndef TE_ENGINE_SHMEM_H
#define TE_ENGINE_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "core/breaker.h"
#include "core/types.h"
#include "engine/holds.h"
#include "engine/latency.h"
#include "engine/resend.h"

#define TE_REASON_MAX 256
#define TE_STATE_MAX 32

/* X(symbol suffix, text in trading.stat_workers) */
#define TE_LANE_STATES(X)                                                                          \
	X(FREE, "free")         /* the slot belongs to nobody */                                       \
	X(WAITING, "waiting")   /* no worker: failed, stopped or not to be had; reason says which */   \
	X(STARTING, "starting") /* a worker was asked for, or is connecting and loading */             \
	X(RUNNING, "running")                                                                          \
	X(DRAINING, "draining") /* asked to stop, finishes its batch and what is on its way */         \
	X(FOREIGN, "foreign")   /* a copy of another installation: sends nothing until adopted */      \
	X(HALTED, "halted")     /* as running, but messages of a producer wait for a missing one */

#define TE_LANE_STATE_MEMBER(symbol, text) TE_LANE_##symbol,
typedef enum { TE_LANE_STATES(TE_LANE_STATE_MEMBER) TE_LANE_STATE_COUNT } TeLaneState;
#undef TE_LANE_STATE_MEMBER

/* Counters of a lane since its slot was made or reset.  X(name) */
#define TE_LANE_COUNTERS(X)                                                                        \
	X(batches)     /* transactions that stored a batch */                                          \
	X(messages)    /* input messages applied */                                                    \
	X(predictions) /* predictions in them */                                                       \
	X(evaluations) /* strategy and prediction pairs decided */                                     \
	X(signals)                                                                                     \
	X(commands)           /* execution commands among the messages */                              \
	X(executions)         /* reports of terminals taken */                                         \
	X(unknown_executions) /* of them, those that have no effect */                                 \
	X(ticks)              /* market prices */                                                      \
	X(bars)               /* closed bars */                                                        \
	X(dead_letters)                                                                                \
	X(duplicates)      /* input already applied */                                                 \
	X(stale)           /* input of a producer's older epoch */                                     \
	X(late)            /* numbers that were given up before they came */                           \
	X(conflicts)       /* a sequence again with other content */                                   \
	X(resend_requests) /* producers asked to send missing messages again */                        \
	X(gaps)            /* input gaps recorded */                                                   \
	X(dropped)         /* subjects of other lanes, left undecoded */                               \
	X(published)       /* messages handed to the broker, repeats included */                       \
	X(acknowledged)                                                                                \
	X(republished)                                                                                 \
	X(gap_fills) /* halted or expired messages replaced at publish time */                         \
	X(notifications)                                                                               \
	X(notify_errors)                                                                               \
	X(risk_questions) /* signals that the risk service was asked about */                          \
	X(risk_waits)     /* batches that waited for its answers */                                    \
	X(risk_strays)    /* answers that were late, came twice, or answered nothing */                \
	X(rule_errors)    /* custom rules that could not be evaluated */                               \
	X(errors)         /* batches that failed and were tried again */                               \
	X(news_missing)   /* signals rejected because a calendar of news is required and not there */  \
	X(reloads)        /* loads of strategies and reference data */

/* What is now.  X(name) for a number, T(name) for a TimestampTz, 0 meaning none. */
#define TE_LANE_GAUGES(X, T)                                                                       \
	X(epoch)                                                                                       \
	X(batch_no)                                                                                    \
	X(input_seq)     /* stream sequence applied */                                                 \
	X(input_pending) /* messages of the stream not applied, as far as the broker has told */       \
	X(last_out_seq)                                                                                \
	X(published_seq)                                                                               \
	X(acked_seq)                                                                                   \
	X(in_flight)       /* messages without acknowledgement */                                      \
	X(outbox_pending)  /* committed messages not acknowledged */                                   \
	X(strategies)      /* in the cache */                                                          \
	X(cache_bytes)     /* memory of the cache */                                                   \
	X(memory_bytes)    /* allocated and not freed, by all of the worker */                         \
	X(pending_changes) /* units that a change of many rows has still to bring into it */           \
	X(breakers)        /* of the risk service, that aren't idle */                                 \
	X(symbols)         /* with market state */                                                     \
	X(reserved)        /* open positions and signals without an outcome */                         \
	X(memory_lost)     /* remembered signals that had to go while they were of interest */         \
	X(parked)          /* messages that wait for missing ones before them */                       \
	T(last_input_at)                                                                               \
	T(last_batch_at)                                                                               \
	T(lane_clock) /* greatest generated_at with clock = input */

#define TE_LANE_NUMBER(name) pg_atomic_uint64 name;
typedef struct TeLaneCounters
{
	TE_LANE_COUNTERS(TE_LANE_NUMBER)
	pg_atomic_uint64 outcomes[TE_OUTCOME_COUNT];
} TeLaneCounters;

typedef struct TeLaneGauges
{
	TE_LANE_GAUGES(TE_LANE_NUMBER, TE_LANE_NUMBER)
} TeLaneGauges;
#undef TE_LANE_NUMBER

/* A lane's connection to one broker. */
#define TE_TRANSPORTS(X) X(NATS, "nats") X(KAFKA, "kafka") /* as TeVia */
#define TE_TRANSPORT_MEMBER(symbol, name) TE_TRANSPORT_##symbol,
typedef enum { TE_TRANSPORTS(TE_TRANSPORT_MEMBER) TE_TRANSPORT_COUNT } TeTransportKind;
#undef TE_TRANSPORT_MEMBER

typedef struct TeTransportSlot
{
	char state[TE_STATE_MAX]; /* empty: not configured; lock */
	char server[128];         /* address without user and password; lock */
	TimestampTz since;
	char last_error[TE_REASON_MAX]; /* lock */
	TimestampTz last_error_at;
	pg_atomic_uint64 connects, disconnects, errors, bytes_in;
	pg_atomic_uint64 input_pending, input_stalls;        /* stall.h */
	pg_atomic_uint64 stalled_since;                      /* TimestampTz; 0: input moves */
	pg_atomic_uint64 published, acknowledged, in_flight; /* of output */
	pg_atomic_uint64 route; /* TeRouteState of the lane + 1; 0: not known */
} TeTransportSlot;

/*
 * A circuit breaker around the risk service.  That of a lane is always shown once the service is
 * asked; of companies, those that aren't idle, as far as there is room.
 */
#define TE_BREAKER_SLOTS 64
#define TE_BREAKER_COMPANY_SIZE 65

typedef struct TeBreakerSlot
{
	bool used;                                /* lock */
	char company_id[TE_BREAKER_COMPANY_SIZE]; /* empty: the lane's; lock */
	TeBreakerState state;                     /* lock */
	TeBreakerCause cause;                     /* of the last change; lock */
	TimestampTz since, wait_until;            /* wait_until 0: not OPEN; lock */
	/* since the worker started */
	pg_atomic_uint64 calls, failures, refused, opened;
	pg_atomic_uint64 failures_in_row;
} TeBreakerSlot;

typedef struct TeLaneSlot
{
	/* life: lock */
	Oid dboid; /* InvalidOid: free */
	int lane;
	uint32 generation; /* of the worker that was asked for */
	TeLaneState state;
	TimestampTz since;
	TimestampTz healthy_since; /* 0: never reported RUNNING or FOREIGN in this generation */
	TimestampTz retry_at;
	int failures; /* in a row */
	int pid;      /* 0: no worker */
	PGPROC *proc;
	bool stop_requested;
	char reason[TE_REASON_MAX];
	TeHoldWord hold_word; /* of the worker that runs */
	TeResend resend;

	/* statistics: the lane writes, without lock */
	pg_atomic_uint32 reset_requested;
	TimestampTz reset_at;
	TeLaneCounters counters;
	TeLaneGauges gauges;
	TeLatencies latencies;
	TeTransportSlot transports[TE_TRANSPORT_COUNT];
	TeBreakerSlot breakers[TE_BREAKER_SLOTS];
} TeLaneSlot;

/* Why a database has no workers, or that it has. */
#define TE_DATABASE_STATES(X)                                                                      \
	X(FREE, "free")                                                                                \
	X(READY, "ready")     /* its lanes run or are started */                                       \
	X(HELD, "held")       /* lanes stopped by trading.set_lanes or the like */                     \
	X(BLOCKED, "blocked") /* reason says what is wrong */

#define TE_DATABASE_STATE_MEMBER(symbol, text) TE_DATABASE_##symbol,
typedef enum {
	TE_DATABASE_STATES(TE_DATABASE_STATE_MEMBER) TE_DATABASE_STATE_COUNT
} TeDatabaseState;
#undef TE_DATABASE_STATE_MEMBER

/* A database that has the extension. */
typedef struct TeDatabaseSlot
{
	Oid dboid; /* InvalidOid: free */
	NameData datname;
	TeDatabaseState state;
	TimestampTz since;
	int lanes; /* rows of trading.lanes */
	Oid worker_role;
	int holder_pid; /* session that has the lanes stopped, 0: none */
	char reason[TE_REASON_MAX];
} TeDatabaseSlot;

/* The prober: one at a time. */
typedef enum { TE_PROBE_IDLE, TE_PROBE_ASKED, TE_PROBE_WORKING, TE_PROBE_DONE } TeProbePhase;
typedef enum { TE_PROBE_ABSENT, TE_PROBE_READY, TE_PROBE_BLOCKED } TeProbeVerdict;

typedef struct TeProbe
{
	TeProbePhase phase;
	TeProbeVerdict verdict;
	uint32 generation;
	Oid dboid;
	Oid worker_role;
	int pid;
	int lanes;
	char reason[TE_REASON_MAX];
	char hint[TE_REASON_MAX];
} TeProbe;

#define TE_CHECK_REQUESTS 64

typedef struct TeShmem
{
	LWLock *lock;
	ConditionVariable lane_ended;
	/* launcher: lock */
	int launcher_pid;
	PGPROC *launcher_proc;
	TimestampTz launcher_since;
	char launcher_reason[TE_REASON_MAX]; /* what it can't do now */
	uint32 generation;                   /* of the worker asked for last */
	TeProbe probe;
	int check_count; /* > TE_CHECK_REQUESTS: more than could be kept, look at all */
	Oid checks[TE_CHECK_REQUESTS];

	TeHoldBoard holds;

	int max_lanes;
	/* max_lanes database slots, then max_lanes lane slots, follow */
	TeDatabaseSlot *databases;
	TeLaneSlot *lanes;
} TeShmem;

/* NULL when the library was not preloaded. */
extern TeShmem *te_shmem;

/* Installs the hooks that make the shared memory; from _PG_init while preloading. */
extern void te_shmem_init(void);

extern bool te_shmem_available(void);

/* Error when the library is not in shared_preload_libraries. */
extern void te_require_preload(void);

/* --- a lane's worker --------------------------------------------------- */

/*
 * Take the slot that the launcher filled for this worker, and register the
 * cleanup that gives it back.  First thing in te_lane_main, before connecting.
 * A worker that is not wanted any more ends here, quietly.
 */
extern TeLaneSlot *te_shmem_attach_lane(int slot);

/*
 * Report state and reason (NULL: none); the fast path is that nothing changed.
 * RUNNING and FOREIGN count as healthy: the next failure starts from the shortest delay.
 */
extern void te_lane_report(TeLaneSlot *slot, TeLaneState state, const char *reason);

/* Error text that a failing lane leaves behind for the view. */
extern void te_lane_report_failure(TeLaneSlot *slot, const char *message);

extern void te_lane_report_transport(TeLaneSlot *slot, TeTransportKind kind, const char *state,
                                     const char *server, const char *error);

/* True when somebody waits for the lane to stop: drain, then proc_exit(1). */
extern bool te_lane_stop_requested(const TeLaneSlot *slot);

/* Zeroes the statistics if trading.stat_reset() asked for it; once per turn of the loop. */
extern void te_lane_apply_reset(TeLaneSlot *slot);

/* The lane is the only writer of its numbers, so that no locked instruction is needed. */
static inline void te_count(pg_atomic_uint64 *counter, uint64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

static inline void te_gauge(pg_atomic_uint64 *gauge, int64 value)
{
	pg_atomic_write_u64(gauge, (uint64)value);
}

/* Does the lane decide and send? */
static inline bool te_lane_works(const TeLaneSlot *slot)
{
	return slot->state == TE_LANE_RUNNING || slot->state == TE_LANE_HALTED;
}

/* --- any session ------------------------------------------------------- */

/* Sets the latch of every lane of a database; safe in a commit callback. */
extern void te_shmem_wake_lanes(Oid dboid);

/* Tells the launcher to look at a database now; safe in a commit callback. */
extern void te_shmem_request_check(Oid dboid);

/*
 * Stops the lanes of this database and waits until they are gone, at most
 * timeout_ms (an error when it passes).  They stay away until the end of the
 * transaction, or te_shmem_resume_lanes(); then the launcher looks anew.
 */
extern void te_shmem_stop_lanes(Oid dboid, int timeout_ms);
extern void te_shmem_resume_lanes(Oid dboid);

/* Zeroes a lane's statistics, or asks its worker to; the caller holds the lock exclusively. */
extern void te_shmem_reset_lane(TeLaneSlot *slot);

/* --- launcher and prober ------------------------------------------------ */

extern const char *const te_lane_state_names[TE_LANE_STATE_COUNT];
extern const char *const te_database_state_names[TE_DATABASE_STATE_COUNT];
extern const char *const te_transport_names[TE_TRANSPORT_COUNT];

/* Slot of a lane or database, or NULL; the caller holds the lock. */
extern TeLaneSlot *te_shmem_find_lane(Oid dboid, int lane);
extern TeDatabaseSlot *te_shmem_find_database(Oid dboid);

/* Give a free slot to a lane or database, NULL when none is left; the caller holds the lock
 * exclusively. */
extern TeLaneSlot *te_shmem_add_lane(Oid dboid, int lane);
extern TeDatabaseSlot *te_shmem_add_database(Oid dboid, const char *datname);
/* Asks a lane to stop; the caller holds the lock exclusively. */
extern void te_shmem_request_stop(TeLaneSlot *slot);
/* A lane's worker is gone, or couldn't be started: the next one may start after the delay. */
extern void te_shmem_lane_ended(TeLaneSlot *slot, const char *reason);
extern void te_shmem_set_lane_state(TeLaneSlot *slot, TeLaneState state, const char *reason);
extern void te_shmem_set_database_state(TeDatabaseSlot *db, TeDatabaseState state,
                                        const char *reason);

#endif
