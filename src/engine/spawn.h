/*
 * spawn.h - asking the postmaster for workers.
 */
#ifndef TE_ENGINE_SPAWN_H
#define TE_ENGINE_SPAWN_H

#include "postgres.h"

#include "postmaster/bgworker.h"

/* Why a worker that was asked for isn't to be had. */
#define TE_NO_WORKER "out of background worker slots; raise max_worker_processes"

typedef enum { TE_SPAWN_LANE, TE_SPAWN_PROBER, TE_SPAWN_COUNT } TeSpawnKind;

/* A worker of this library that is connected to a database and never restarted by itself. */
extern void te_spawn_describe(BackgroundWorker *worker, const char *function, const char *type);

/*
 * Starts a worker that tells this process when it ends.  NULL when no slot is left:
 * logged once, and shown by trading.stat_launcher until it is over.
 */
extern BackgroundWorkerHandle *te_spawn(BackgroundWorker *worker, TeSpawnKind kind);

#endif
