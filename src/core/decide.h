/*
 * decide.h - one prediction, one strategy, one market state, one instrument,
 * one account, one instant: one decision.
 *
 * te_decide is a pure function of its input.  The worker, trading.decide(),
 * replay, the benchmarks and the fuzzers all call it.  The rules are written
 * down in doc/decisions.md.
 */
#ifndef TE_CORE_DECIDE_H
#define TE_CORE_DECIDE_H

#include "params.h"

typedef struct TeDecisionInput TeDecisionInput;

/* Version of the rules: grows when the same inputs decide otherwise. */
#define TE_CORE_VERSION 1

/* Answers of a custom rule; a rule that can't be evaluated is reported and counts as not true. */
typedef enum { TE_RULE_TRUE, TE_RULE_NOT_TRUE, TE_RULE_ERROR } TeRuleResult;

/* Evaluates in->strategy->custom_rule over prediction, market, consensus, favorability, account. */
typedef TeRuleResult (*TeRuleEvaluator)(void *context, const TeDecisionInput *in, double consensus,
                                        double favorability);

struct TeDecisionInput
{
	const TePrediction *prediction;
	const TeStrategy *strategy;
	const TeMarket *market;
	const TeInstrument *instrument;
	const TeAccount *account;
	TeTime at;
	TeRuleEvaluator evaluate_rule; /* needed only when a strategy has a custom_rule */
	void *rule_context;
};

/* What a step compared. */
typedef enum {
	TE_STEP_NOTHING,
	TE_STEP_NUMBER,
	TE_STEP_TEXT,
	TE_STEP_BOOL,
	TE_STEP_TIME,
	TE_STEP_REGIMES
} TeStepKind;

typedef struct TeStepValue
{
	TeStepKind kind;
	union
	{
		double number;
		const char *text;
		bool boolean;
		TeTime time;
		uint8_t regimes;
	} as;
} TeStepValue;

/*
 * One gate that ran.  It is named by the outcome that it would cause; "check"
 * says which quantity decided where a gate looks at several, else it is NULL.
 */
typedef struct TeStep
{
	TeOutcome gate;
	bool passed;
	const char *check;
	TeStepValue value;
	TeStepValue threshold;
} TeStep;

#define TE_MAX_STEPS 16

typedef struct TeLeg
{
	TeOrderType order_type;
	double entry_price, stop_loss, take_profit;
	double position_size;
} TeLeg;

/* Numbers that don't apply are NAN, enums whose flag is false mean nothing. */
typedef struct TeDecision
{
	TeOutcome outcome;
	TeHoldReason hold_reason; /* other than NONE: outcome HOLD */
	bool has_signal_type;     /* gate 8 ran */
	bool has_order;           /* an entry was found */
	bool rule_failed;         /* the custom rule could not be evaluated */
	TeDirection signal_type;
	double signal_strength;
	double consensus_score;
	double market_favorability;
	TeOrderType order_type;
	TeUrgency urgency;
	double entry_price, limit_price, stop_loss, take_profit, reward_risk_ratio;
	double position_size; /* lots */
	double max_loss;      /* account currency */
	TeTime expires_at;    /* TE_NO_TIME but on SIGNAL and HOLD */
	TeTiming timing;      /* SIGNAL only, as all below */
	double trigger_price; /* of WAIT_PULLBACK */
	TeTimeInForce time_in_force;
	int leg_count; /* 0: single order */
	TeLeg legs[TE_MAX_LEGS];
	int step_count;
	TeStep steps[TE_MAX_STEPS];
} TeDecision;

/*
 * Decide.  The input must be valid (te_input_check); the strategy is trusted as
 * effective.  Everything in "out" is written, legs and steps as far as there are any.
 */
extern void te_decide(const TeDecisionInput *in, TeDecision *out);

/* The market's spread in pips: the one given, else that of the prediction's quotes, else NAN. */
extern double te_spread_pips(const TeDecisionInput *in);

/*
 * Account currency per unit of quote currency, or NAN.  A rate that is given wins;
 * an account in base currency is converted at the price where the loss is made.
 */
extern double te_conversion_rate(const TeDecisionInput *in, double stop_loss);

/*
 * A value that breaks the ranges of the input table: returns the offending key
 * ("prediction.confidence") and a lower-case reason, or NULL when all is well.
 * te_prediction_check looks at a prediction alone, so that one bad prediction of
 * a batch can be turned away before any strategy is looked at.
 */
extern const char *te_prediction_check(const TePrediction *p, const char **reason);
extern const char *te_instrument_check(const TeInstrument *i, double price, const char **reason);
extern const char *te_market_check(const TeMarket *m, const char **reason);
extern const char *te_account_check(const TeAccount *a, const char **reason);
extern const char *te_input_check(const TeDecisionInput *in, const char **reason);

#endif
