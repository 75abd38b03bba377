/*
 * sqltime.h - between the core's microseconds since 1970 and PostgreSQL's since 2000.
 */
#ifndef TE_SQL_SQLTIME_H
#define TE_SQL_SQLTIME_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "core/types.h"

#define TE_POSTGRES_EPOCH ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Of a finite timestamp.  PostgreSQL's end 29 years later than ours, in the year 294276. */
static inline TeTime te_time_from_timestamptz(TimestampTz at)
{
	return Min(at, PG_INT64_MAX - TE_POSTGRES_EPOCH) + TE_POSTGRES_EPOCH;
}

static inline TimestampTz te_time_to_timestamptz(TeTime time)
{
	return time - TE_POSTGRES_EPOCH;
}

#endif
