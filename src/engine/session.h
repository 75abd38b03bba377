/*
 * session.h - a worker's transactions: short, with SPI connected and a pinned search_path.
 */
#ifndef TE_ENGINE_SESSION_H
#define TE_ENGINE_SESSION_H

#include "postgres.h"

/* Pin search_path for the life of the worker; once, right after it has connected. */
extern void te_session_init(void);

/* Begin a REPEATABLE READ transaction; "activity" is what pg_stat_activity shows. */
extern void te_session_begin(const char *activity);

/* This transaction's commit waits for the disk, or must not wait, whatever the settings say. */
extern void te_session_durable(void);
extern void te_session_asynchronous(void);

extern void te_session_commit(void);

/*
 * After an error: report it, unless "quiet", abort what is open and be ready for the next
 * transaction.  Ends the process when the extension is gone.
 */
extern void te_session_abort(bool quiet);

#endif
