/*
 * evaluate.h - one message's predictions against the lane's strategies.
 */
#ifndef TE_ENGINE_EVALUATE_H
#define TE_ENGINE_EVALUATE_H

#include "engine/batch.h"
#include "wire/state.h"

typedef struct TeEvaluation
{
	TeBatch *batch;
	const TeInput *input;
	const TeSubject *subject;
	const TeMessage *message;
	int position;    /* of the message within the batch */
	TeTime begun_at; /* the lane's clock before the first prediction */
	TeTime at;       /* and now */
	const char *correlation_id;
	const char *traceparent;     /* of the envelope, else of the headers; may be empty */
	TeDecidedOn *decided_on;     /* per prediction */
	const TeAccountRates *rates; /* of the prediction at hand */
} TeEvaluation;

extern void te_evaluate_begin(TeEvaluation *e, TeBatch *batch, const TeInput *input,
                              const TeSubject *subject, const TeMessage *message);

/*
 * Decide prediction i for every strategy that it concerns; signals go to the batch.
 * False with err when the prediction can't be used here (unknown symbol).
 */
extern bool te_evaluate_prediction(TeEvaluation *e, size_t i, TeWireError *err);

/*
 * Assess and record the candidates that wait; the batch ends with it, and so does a group that
 * is full.
 */
extern void te_evaluate_settle(TeBatch *batch);

/* A market price: moves market state, decides nothing. */
extern bool te_evaluate_tick(TeBatch *batch, const TeSubject *subject, const TeTick *tick,
                             TeWireError *err);

#endif
