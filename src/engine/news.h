/*
 * news.h - commits that concern a table, as its announce trigger tells of them.
 *
 * The trigger's relcache invalidation says only that there is something to read.  What
 * is announced before the reader's snapshot is taken, the snapshot shows; what is
 * announced later is for the next read.
 */
#ifndef TE_ENGINE_NEWS_H
#define TE_ENGINE_NEWS_H

#include "postgres.h"

typedef struct TeNews
{
	Oid relation;
	bool announced; /* since it was last heeded */
	bool unread;    /* heeded, but not read: a read that failed is tried again */
} TeNews;

/*
 * Hear of commits that concern a table of schema trading, for the life of the process;
 * in a transaction.  There is something to read at once.
 */
extern void te_news_watch(TeNews *news, const char *table);

/* To be called before the snapshot of the read is taken. */
static inline void te_news_heed(TeNews *news)
{
	news->unread |= news->announced;
	news->announced = false;
}

static inline void te_news_note_read(TeNews *news)
{
	news->unread = false;
}

static inline bool te_news_wait(const TeNews *news)
{
	return news->announced || news->unread;
}

#endif
