/*
 * tuples.h - rows of a run's result: made in every process, put into the result by the leader.
 */
#ifndef TE_REPLAY_TUPLES_H
#define TE_REPLAY_TUPLES_H

#include "replay/replay.h"

#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/tuplestore.h"

typedef struct TeColumn
{
	const char *name;
	Oid type;
} TeColumn;

/* A list X(name, type) of columns as the members of an enum, and as their TeColumn. */
#define TE_COLUMN_MEMBER(name, type) COLUMN_##name,
#define TE_COLUMN_SPEC(name, type) {#name, type##OID},

/* Makes rows; values are gone when the row is sent. */
typedef struct TeTupleWriter
{
	TupleDesc descriptor;
	MemoryContext per_row;
	Datum *values;
	bool *nulls;
} TeTupleWriter;

extern TeTupleWriter *te_tuple_writer(MemoryContext context, const TeColumn *columns, int count);

/* Between this and te_tuple_form, in per_row's memory, columns are put; the others are NULL. */
extern MemoryContext te_tuple_begin(TeTupleWriter *w);
extern MinimalTuple te_tuple_form(const TeTupleWriter *w);
extern void te_tuple_end(TeTupleWriter *w, MemoryContext old);

extern void te_tuple_put(TeTupleWriter *w, int column, Datum value);
extern void te_tuple_text(TeTupleWriter *w, int column, const char *text);
extern void te_tuple_number(TeTupleWriter *w, int column, double value); /* NAN: NULL */
extern void te_tuple_time(TeTupleWriter *w, int column, TeTime time);    /* TE_NO_TIME: NULL */
extern void te_tuple_label(TeTupleWriter *w, int column, const TeEnum *labels, int value);

/* The same of any values, in the current memory. */
extern MinimalTuple te_minimal_tuple(TupleDesc descriptor, const Datum *values, const bool *nulls);

/* What comes of a decision: the candidate, if it is one, and a row, if it may be wanted. */
typedef struct TeTuplePiece
{
	bool has_candidate, has_row;
	TeReplayCandidate candidate;
} TeTuplePiece;

extern void te_tuple_send_piece(TeReplayProcess *process, const TeReplayCandidate *candidate,
                                MinimalTuple row);
extern MinimalTuple te_tuple_of_piece(const TeTuplePiece *piece);

/* The result of a set-returning function. */
typedef struct TeTupleResult
{
	Tuplestorestate *store;
	TupleTableSlot *slot;
} TeTupleResult;

/* Begin it; the function's result type must have these columns. */
extern void te_tuple_result_begin(FunctionCallInfo fcinfo, const TeColumn *columns, int count,
                                  TeTupleResult *result);
extern void te_tuple_result_end(TeTupleResult *result);

/* Put a row. */
extern void te_tuple_keep(TeTupleResult *result, MinimalTuple row);

#endif
