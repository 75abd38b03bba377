/*
 * times.h - between the core's microseconds since 1970 and the server's timestamps.
 */
#ifndef TE_ENGINE_TIMES_H
#define TE_ENGINE_TIMES_H

#include "datatype/timestamp.h"

#include "core/types.h"

#define TE_EPOCH_SHIFT_US \
	((int64_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64_C(86400) * TE_USEC_PER_SEC)

static inline TimestampTz
te_time_to_timestamp(TeTime unix_us)
{
	return unix_us - TE_EPOCH_SHIFT_US;
}

static inline TeTime
te_timestamp_to_time(TimestampTz timestamp)
{
	return timestamp + TE_EPOCH_SHIFT_US;
}


#endif
