/*
 * news.c - see news.h.
 */
#include "postgres.h"

#include "engine/news.h"

#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

static void on_relcache_invalidation(Datum arg, Oid relation)
{
	TeNews *news = (TeNews *)DatumGetPointer(arg);

	/* No relation stands for all: some invalidations were missed. */
	if (relation == news->relation || !OidIsValid(relation))
		news->announced = true;
}

void te_news_watch(TeNews *news, const char *table)
{
	news->relation = get_relname_relid(table, get_namespace_oid("trading", false));
	news->announced = true;
	CacheRegisterRelcacheCallback(on_relcache_invalidation, PointerGetDatum(news));
}
