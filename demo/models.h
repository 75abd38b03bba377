/*
 * models.h - an ensemble of models that predict the price 15 bars ahead.
 */
#ifndef TE_DEMO_MODELS_H
#define TE_DEMO_MODELS_H

#include "bars.h"
#include "patterns.h"

#define HORIZON 15 /* bars */
#define HISTORY 64 /* bars that models look back at */
#define WARM_UP 60 /* bars before the first prediction */

typedef enum {
	MODEL_EMA_CROSS,
	MODEL_RSI,
	MODEL_BREAKOUT,
	MODEL_MOMENTUM,
	MODEL_MEAN_REVERSION,
	RULE_MODELS,
	MODEL_LOGIT = RULE_MODELS,
	MODEL_COUNT
} Model;

/* One model: how strong its scores usually are, and how often it was right. */
typedef struct ModelRecord
{
	double mean_square; /* of its scores, exponentially weighted */
	double hit_rate;    /* of its directions, exponentially weighted */
	double z;           /* newest score in its own standard deviations; > 0: up */
	TeDirection direction;
	double confidence; /* in that direction */
	double weight;
} ModelRecord;

/* What was said about the bar HORIZON ago, to be judged by today's close. */
typedef struct Verdict
{
	double close;
	TeDirection directions[MODEL_COUNT];
	double features[RULE_MODELS + 1];
} Verdict;

/* The ensemble's state for one symbol.  All zero is its beginning. */
typedef struct Ensemble
{
	Bar bars[HISTORY]; /* oldest first */
	int bar_count;
	int64_t bars_seen;
	double ema_fast, ema_slow, average_gain, average_loss, atr, mean_volume;
	double logit[RULE_MODELS + 1]; /* coefficients, and the constant last */
	ModelRecord models[MODEL_COUNT];
	Verdict verdicts[HORIZON];
} Ensemble;

/* What the ensemble says after a bar. */
typedef struct Forecast
{
	TeDirection direction;
	double confidence;          /* probability of that direction */
	double price;               /* expected at the horizon */
	double volume_confirmation; /* or NAN */
	TeModelVote votes[MODEL_COUNT];
	int pattern_count;
	TePattern patterns[MAX_PATTERNS];
} Forecast;

/* Take in a closed bar; false while the ensemble warms up. */
extern bool ensemble_add(Ensemble *e, const Bar *bar, Forecast *out);

#endif
