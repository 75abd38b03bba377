/*
 * resend.c - trading.resend().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "engine/resend.h"
#include "engine/shmem.h"

PG_FUNCTION_INFO_V1(te_sql_resend);

/* resend(lane integer, from_seq bigint, to_seq bigint, epoch bigint): sent, missing, transport */
Datum te_sql_resend(PG_FUNCTION_ARGS)
{
	int32 lane;
	int64 from_seq, to_seq, epoch = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	TupleDesc shape;
	Datum values[3];
	bool nulls[3] = {false};
	int sent;
	TeVia via;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			        errmsg("lane, from_seq and to_seq must not be NULL"));
	lane = PG_GETARG_INT32(0);
	from_seq = PG_GETARG_INT64(1);
	to_seq = PG_GETARG_INT64(2);
	if (from_seq < 1 || to_seq < from_seq || to_seq - from_seq >= TE_RESEND_MOST)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("from_seq and to_seq must be a range of 1 to %d messages", TE_RESEND_MOST));
	if (!PG_ARGISNULL(3) && epoch < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("epoch must be above 0"));
	te_require_preload();
	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "trading.resend() must return a row");
	sent = te_resend_ask(lane, epoch, from_seq, to_seq, &via);
	values[0] = Int32GetDatum(sent);
	values[1] = Int32GetDatum((int32)(to_seq - from_seq + 1) - sent);
	values[2] = CStringGetTextDatum(te_via_enum.labels[via]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
