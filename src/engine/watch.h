/*
 * watch.h - the databases of the cluster, as the launcher knows them.
 *
 * Which databases there are comes from pg_database; whether the engine is to run in
 * one of them, from a prober: a worker that connects, looks for the extension, and is
 * gone within milliseconds.  Only one runs at a time.  A database is probed
 *   - when it is new to the launcher,
 *   - when a session asks (te_shmem_request_check, at commit of CREATE EXTENSION),
 *   - before a lane that ended is started again,
 *   - again and again while something is wrong with it.
 */
#ifndef TE_ENGINE_WATCH_H
#define TE_ENGINE_WATCH_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "engine/shmem.h"

/* A connectable database. */
typedef struct TeKnownDatabase
{
	Oid dboid; /* key */
	NameData datname;
	TimestampTz probe_at;  /* DT_NOEND: not needed */
	TimestampTz probed_at; /* start of the last probe that gave a verdict */
	int failed_probes;     /* in a row: no verdict, or not sound */
	bool listed;           /* seen in this reading of pg_database */
	bool told_no_slot;     /* logged that there is no slot for it or a lane of it */
} TeKnownDatabase;

extern void te_watch_init(void);

/* Takes what sessions ask for and what the prober found; reads pg_database when that is due. */
extern void te_watch_update(TimestampTz now);

/* Starts the prober for the database that has waited longest. */
extern void te_watch_probe(TimestampTz now);

/* Reads pg_database at the next update. */
extern void te_watch_look(void);

/* When something is due. */
extern TimestampTz te_watch_next(void);

extern TeKnownDatabase *te_watch_find(Oid dboid);
extern void te_watch_probe_soon(TeKnownDatabase *db, TimestampTz at);
extern bool te_watch_is_probed_now(Oid dboid);

/* Logs once that lane slots are short, until they are not. */
extern void te_watch_tell_no_slot(TeKnownDatabase *db, bool missing);

#endif
