/*
 * database.h - is this database one that a worker should be connected to?
 */
#ifndef TE_ENGINE_DATABASE_H
#define TE_ENGINE_DATABASE_H

#include "postgres.h"

#define TE_EXTENSION_NAME "trading_engine"
#define TE_SCHEMA_NAME "trading"
#define TE_WORKER_ROLE "trading_worker"

/* Entry point of the prober: arg is the generation it was asked with. */
extern PGDLLEXPORT void te_probe_main(Datum main_arg);

typedef enum {
	TE_DATABASE_KEEP,         /* go on */
	TE_DATABASE_NEEDED,       /* CREATE DATABASE ... TEMPLATE, DROP or ALTER DATABASE waits for us:
	                             proc_exit(1) */
	TE_DATABASE_NO_EXTENSION, /* dropped: proc_exit(0) */
	TE_DATABASE_OTHER_VERSION /* the extension was updated past this library: proc_exit(1) */
} TeDatabaseVerdict;

/*
 * Called by a lane about once per second, outside of a transaction.  Opens a short
 * one of its own; looks at the extension only when invalidations say that it may have changed.
 */
extern TeDatabaseVerdict te_database_check(void);

/* Version of the installed extension in palloc'd memory, or NULL; inside a transaction. */
extern char *te_extension_version(Oid *extension_oid);

#endif
