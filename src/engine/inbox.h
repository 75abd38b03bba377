/*
 * inbox.h - input that came by SQL.
 *
 * Rows of trading.inbox are found by snapshot: those that the previous one couldn't
 * see.  A later inbox_id can commit first, so ids say nothing about what was read.
 */
#ifndef TE_ENGINE_INBOX_H
#define TE_ENGINE_INBOX_H

#include "postgres.h"

#include "engine/batch.h"

typedef struct TeInbox TeInbox;

/* "snapshot": what the lane's newest batch says was read, or NULL. */
extern TeInbox *te_inbox_create(int lane, int lane_count, const char *snapshot);

/* Has a commit been announced since the last read, and is everything applied that was read? */
extern bool te_inbox_stale(const TeInbox *inbox);

/* What is announced from here on is for the next read; before the snapshot is taken. */
extern void te_inbox_heed(TeInbox *inbox);

/*
 * Queue what is new, unless messages of the last read still wait: so a crash repeats at most one
 * read, and a stream of submissions without end doesn't stay in memory.  In a REPEATABLE READ
 * transaction with SPI connected.
 */
extern void te_inbox_read(TeInbox *inbox);

/* The n-th message that waits, from 0; false when there are fewer. */
extern bool te_inbox_peek(const TeInbox *inbox, int n, TeInput *input);

/* The first n messages are committed. */
extern void te_inbox_release(TeInbox *inbox, int n);

/*
 * The snapshot to record with a batch that takes the first n messages: the newest one
 * when nothing stays behind, else the one before, so that the rest is read again after a crash.
 */
extern const char *te_inbox_snapshot(const TeInbox *inbox, int n);

#endif
