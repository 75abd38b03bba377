/*
 * work.h - a decision in progress: what the phases of te_decide hand on to each
 * other.  Private to the core.
 */
#ifndef TE_CORE_WORK_H
#define TE_CORE_WORK_H

#include "decide.h"
#include "ticks.h"
#include "trace.h"

/* Ratios and probabilities this close are equal: 3 of 5 equal votes is not below 0.6. */
#define TE_RATIO_TOLERANCE 1e-9

/* Spreads this close, in pips, are equal. */
#define TE_PIP_TOLERANCE 1e-6

typedef struct TeWork
{
	const TeDecisionInput *in;
	TeDecision *out;
	const TeTrace *trace; /* or NULL: nobody wants to know */

	int prediction_sign; /* -1, 0, +1 */
	double spread_pips;  /* or NAN */

	int sign;  /* of the level: +1 long, -1 short */
	bool weak; /* the level was weak before or after the volatility rule */

	TeGrid tick;
	TeGrid lot;

	/* Of the order, in ticks. */
	double entry;
	double stop;
	double risk;
	double least;  /* stop distance; not whole */
	double target; /* take profit distance before rounding; not whole */

	double lots; /* position size, in lot steps */
} TeWork;

static inline int te_direction_sign(TeDirection d)
{
	return (d > TE_DIR_HOLD) - (d < TE_DIR_HOLD);
}

static inline bool te_ratio_below(double ratio, double threshold)
{
	return ratio < threshold - TE_RATIO_TOLERANCE;
}

/* A distance in ticks that is short of another. */
static inline bool te_ticks_short(double ticks, double least)
{
	return ticks < least - TE_TICK_TOLERANCE;
}

/* A price is finite and above 0. */
static inline bool te_is_price(double x)
{
	return isfinite(x) && x > 0;
}

static inline TeStepValue te_step_number(double x)
{
	return (TeStepValue){TE_STEP_NUMBER, {.number = x}};
}

static inline TeStepValue te_step_text(const char *text)
{
	return (TeStepValue){TE_STEP_TEXT, {.text = text}};
}

static inline TeStepValue te_step_bool(bool b)
{
	return (TeStepValue){TE_STEP_BOOL, {.boolean = b}};
}

static inline TeStepValue te_step_time(TeTime t)
{
	return (TeStepValue){TE_STEP_TIME, {.time = t}};
}

static inline TeStepValue te_step_nothing(void)
{
	return (TeStepValue){TE_STEP_NOTHING, {.number = 0}};
}

/*
 * Record a gate that ran.  Returns "passed"; when it is false, the gate becomes
 * the outcome.
 */
extern bool te_work_step(TeWork *w, TeOutcome gate, bool passed, const char *check,
                         TeStepValue value, TeStepValue threshold);

/* The key of an input that a note refers to; the compiler checks that there is such a field. */
#define TE_KEY_OF_(object, type, field) ((void)sizeof(((type *)0)->field), #object "." #field)
#define TE_OF_PREDICTION(field) TE_KEY_OF_(prediction, TePrediction, field)
#define TE_OF_STRATEGY(field) TE_KEY_OF_(strategy, TeStrategy, field)
#define TE_OF_MARKET(field) TE_KEY_OF_(market, TeMarket, field)
#define TE_OF_INSTRUMENT(field) TE_KEY_OF_(instrument, TeInstrument, field)
#define TE_OF_ACCOUNT(field) TE_KEY_OF_(account, TeAccount, field)

/* Tell the trace, if there is one. */
extern void te_work_note(const TeWork *w, const TeNote *note);

static inline void te_note(const TeWork *w, TePart part, const char *item, double value,
                           const char *source, const char *remark)
{
	if (w->trace != NULL)
		te_work_note(w, &(TeNote){part, item, te_step_number(value), NAN, source, remark});
}

static inline void te_note_weighted(const TeWork *w, TePart part, const char *item, double value,
                                    double weight, const char *remark)
{
	if (w->trace != NULL)
		te_work_note(w, &(TeNote){part, item, te_step_number(value), weight, NULL, remark});
}

static inline void te_note_text(const TeWork *w, TePart part, const char *item, const char *value,
                                const char *source, const char *remark)
{
	if (w->trace != NULL)
		te_work_note(w, &(TeNote){part, item, te_step_text(value), NAN, source, remark});
}

/* The phases.  Those that return bool say whether the decision goes on. */
extern double te_consensus(const TeWork *w);
extern double te_favorability(const TeMarket *m, int prediction_sign);
extern bool te_find_signal_type(TeWork *w);
extern bool te_find_prices(TeWork *w);
extern bool te_find_size(TeWork *w);
extern void te_find_legs(TeWork *w);

/*
 * The least stop distance, in ticks; it depends on the order's type.  The stop of a
 * long is measured from the bid, so a market order with quotes has the spread to
 * cross as well.
 */
extern double te_least_stop(const TeWork *w);

/* Round a price in ticks away from the market: a BUY limit down, a SELL limit up. */
extern double te_round_limit(int sign, double ticks);

#endif
