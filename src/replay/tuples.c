/*
 * tuples.c - rows of a run's result.
 */
#include "postgres.h"

#include "replay/tuples.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "sql/sqltime.h"

TeTupleWriter *te_tuple_writer(MemoryContext context, const TeColumn *columns, int count)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TeTupleWriter *w = palloc(sizeof(TeTupleWriter));

	w->descriptor = CreateTemplateTupleDesc(count);
	for (int i = 0; i < count; i++)
		TupleDescInitEntry(w->descriptor, (AttrNumber)(i + 1), columns[i].name, columns[i].type, -1,
		                   0);
	w->per_row = AllocSetContextCreate(context, "row of a result", ALLOCSET_DEFAULT_SIZES);
	w->values = palloc(sizeof(Datum) * count);
	w->nulls = palloc(sizeof(bool) * count);
	MemoryContextSwitchTo(old);
	return w;
}

MemoryContext te_tuple_begin(TeTupleWriter *w)
{
	memset(w->nulls, true, sizeof(bool) * w->descriptor->natts);
	return MemoryContextSwitchTo(w->per_row);
}

MinimalTuple te_minimal_tuple(TupleDesc descriptor, const Datum *values, const bool *nulls)
{
#if PG_VERSION_NUM >= 180000
	return heap_form_minimal_tuple(descriptor, values, nulls, 0);
#else
	return heap_form_minimal_tuple(descriptor, (Datum *)values, (bool *)nulls);
#endif
}

MinimalTuple te_tuple_form(const TeTupleWriter *w)
{
	return te_minimal_tuple(w->descriptor, w->values, w->nulls);
}

void te_tuple_end(TeTupleWriter *w, MemoryContext old)
{
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->per_row);
}

#define PIECE_SIZE MAXALIGN(sizeof(TeTuplePiece))

void te_tuple_send_piece(TeReplayProcess *process, const TeReplayCandidate *candidate,
                         MinimalTuple row)
{
	Size length = PIECE_SIZE + (row != NULL ? row->t_len : 0);
	TeTuplePiece *piece = palloc0(length);

	piece->has_candidate = candidate != NULL;
	piece->has_row = row != NULL;
	if (candidate != NULL)
		piece->candidate = *candidate;
	if (row != NULL)
		memcpy((char *)piece + PIECE_SIZE, row, row->t_len);
	te_replay_send(process, piece, length);
	pfree(piece);
}

MinimalTuple te_tuple_of_piece(const TeTuplePiece *piece)
{
	return piece->has_row ? (MinimalTuple)((char *)piece + PIECE_SIZE) : NULL;
}

void te_tuple_put(TeTupleWriter *w, int column, Datum value)
{
	w->values[column] = value;
	w->nulls[column] = false;
}

void te_tuple_text(TeTupleWriter *w, int column, const char *text)
{
	te_tuple_put(w, column, CStringGetTextDatum(text));
}

void te_tuple_number(TeTupleWriter *w, int column, double value)
{
	if (te_known(value))
		te_tuple_put(w, column, Float8GetDatum(value));
}

void te_tuple_time(TeTupleWriter *w, int column, TeTime time)
{
	if (time != TE_NO_TIME)
		te_tuple_put(w, column, TimestampTzGetDatum(te_time_to_timestamptz(time)));
}

void te_tuple_label(TeTupleWriter *w, int column, const TeEnum *labels, int value)
{
	te_tuple_text(w, column, labels->labels[value]);
}

/* The type in SQL and the list of columns say the same; a library of another version might not. */
static void check_result(TupleDesc descriptor, const TeColumn *columns, int count)
{
	bool same = descriptor->natts == count;

	for (int i = 0; same && i < count; i++)
		same = TupleDescAttr(descriptor, i)->atttypid == columns[i].type &&
		       strcmp(NameStr(TupleDescAttr(descriptor, i)->attname), columns[i].name) == 0;
	if (!same)
		elog(ERROR, "the function's result is not what the library returns");
}

void te_tuple_result_begin(FunctionCallInfo fcinfo, const TeColumn *columns, int count,
                           TeTupleResult *result)
{
	ReturnSetInfo *set;

	InitMaterializedSRF(fcinfo, 0);
	set = (ReturnSetInfo *)fcinfo->resultinfo;
	check_result(set->setDesc, columns, count);
	result->store = set->setResult;
	result->slot = MakeSingleTupleTableSlot(set->setDesc, &TTSOpsMinimalTuple);
}

void te_tuple_result_end(TeTupleResult *result)
{
	ExecDropSingleTupleTableSlot(result->slot);
}

void te_tuple_keep(TeTupleResult *result, MinimalTuple row)
{
	ExecStoreMinimalTuple(row, result->slot, false);
	tuplestore_puttupleslot(result->store, result->slot);
	ExecClearTuple(result->slot);
}
