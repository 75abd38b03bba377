/*
 * trace.h - how a decision came to its numbers.
 *
 * te_decide_traced is te_decide, and tells a sink about every number on the way
 * to strength, prices and size, in the order in which they were found.  The
 * worker gives no sink.
 */
#ifndef TE_CORE_TRACE_H
#define TE_CORE_TRACE_H

#include "decide.h"

/* What a note is about. */
#define TE_PARTS(X)                                                                                \
	X(CONSENSUS) X(MARKET) X(LEVEL) X(STRENGTH) X(ENTRY) X(STOP_LOSS) X(TAKE_PROFIT) X(SIZE) X(LEGS)
#define TE_PART_MEMBER(label) TE_ENUM_MEMBER_(TE_PART_, label)
typedef enum { TE_PARTS(TE_PART_MEMBER) TE_PART_COUNT } TePart;
extern const TeEnum te_part_enum;

typedef struct TeNote
{
	TePart part;
	const char *item;   /* "unrounded", or the name of a model */
	TeStepValue value;  /* NUMBER that is NAN: not there */
	double weight;      /* of a vote or a factor, else NAN */
	const char *source; /* key of the input that it comes from ("strategy.fixed_lot"), or NULL */
	const char *remark; /* what else there is to say, or NULL */
} TeNote;

typedef struct TeTrace
{
	void (*note)(void *context, const TeNote *note);
	void *context;
} TeTrace;

/* Texts of a note live as long as the input. */
extern void te_decide_traced(const TeDecisionInput *in, TeDecision *out, const TeTrace *trace);

#endif
