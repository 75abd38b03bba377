/*
 * adjust.h - a strategy that adjusts itself to its results, within bounds.
 *
 * Only two numbers move: the strategy's min_confidence_threshold and its position
 * size multiplier.  te_adjust says what would be done and why, which is a dry run
 * as well; the caller stores every change with its evidence, and can undo it to
 * the bit.
 */
#ifndef TE_CORE_ADJUST_H
#define TE_CORE_ADJUST_H

#include "types.h"

/* te_adjust_settings_default has the spec's numbers. */
typedef struct TeAdjustSettings
{
	int64_t least_trades;      /* closed, before anything is adjusted (30) */
	int64_t least_new_trades;  /* closed since the last adjustment (10) */
	TeTime pause;              /* between adjustments (24 h) */
	double low_accuracy;       /* below it the threshold is raised (0.6) */
	double raise;              /* by (0.05) */
	double ceiling;            /* not above (0.95) */
	double high_accuracy;      /* above it the threshold is lowered (0.8) */
	double lower;              /* by (0.02) */
	double below_default;      /* not more than this below the tier's default (0.1) */
	double floor;              /* nor ever below (0.5) */
	double high_drawdown;      /* above it the size is reduced (0.1) */
	double low_drawdown;       /* back under it the size grows again, up to 1 (0.05) */
	double size_factor;        /* by which; growing divides by it (0.8) */
	double size_floor;         /* not below (0.2) */
	int64_t least_model_votes; /* scored votes before a model's weight follows (30) */
	double least_weight;       /* of a model, relative to its own (0.5) */
	double most_weight;        /* (1.5) */
} TeAdjustSettings;

extern const TeAdjustSettings te_adjust_settings_default;

/* The first setting out of its range, with a lower-case reason, or NULL. */
extern const char *te_adjust_settings_check(const TeAdjustSettings *s, const char **reason);

/* The evidence; NAN where there isn't enough data. */
typedef struct TeAdjustFigures
{
	int64_t closed_trades; /* that the figures are of */
	int64_t new_trades;    /* closed since the last adjustment */
	double accuracy;       /* wins / (wins + losses) */
	double max_drawdown;   /* 0..1 */
	double drawdown;       /* as it is now, 0..1; NAN: max_drawdown stands for it */
} TeAdjustFigures;

typedef struct TeAdjustState
{
	bool opted_out;
	double threshold;        /* min_confidence_threshold */
	double tier_threshold;   /* the tier's default of it */
	double size_multiplier;  /* 0 < x <= 1 */
	TeTime last_adjusted_at; /* TE_NO_TIME: never; undoing doesn't change it */
} TeAdjustState;

#define TE_ADJUST_VERDICTS(X)                                                                      \
	X(ADJUSTED) X(OPTED_OUT) X(TOO_FEW_TRADES) X(TOO_SOON) X(TOO_FEW_NEW_TRADES) X(NOTHING_TO_DO)
#define TE_ADJUST_VERDICT_MEMBER(label) TE_ENUM_MEMBER_(TE_ADJUST_, label)
typedef enum {
	TE_ADJUST_VERDICTS(TE_ADJUST_VERDICT_MEMBER) TE_ADJUST_VERDICT_COUNT
} TeAdjustVerdict;
extern const TeEnum te_adjust_verdict_enum;

#define TE_ADJUST_REASONS(X) X(LOW_ACCURACY) X(HIGH_ACCURACY) X(HIGH_DRAWDOWN) X(DRAWDOWN_RECOVERED)
#define TE_ADJUST_REASON_MEMBER(label) TE_ENUM_MEMBER_(TE_ADJUST_REASON_, label)
typedef enum { TE_ADJUST_REASONS(TE_ADJUST_REASON_MEMBER) TE_ADJUST_REASON_COUNT } TeAdjustReason;
extern const TeEnum te_adjust_reason_enum;

typedef enum { TE_ADJUSTS_THRESHOLD, TE_ADJUSTS_SIZE } TeAdjusted;

typedef struct TeAdjustChange
{
	TeAdjusted what;
	TeAdjustReason reason;
	double before, after;
	double figure; /* what was measured */
	double limit;  /* what it broke */
} TeAdjustChange;

/* An adjustment: one threshold change and one size change at most. */
typedef struct TeAdjustment
{
	TeAdjustVerdict verdict;
	int count;
	TeAdjustChange changes[2];
} TeAdjustment;

extern void te_adjust(const TeAdjustSettings *s, const TeAdjustState *state,
                      const TeAdjustFigures *figures, TeTime now, TeAdjustment *out);

/* Put the changes into the state, as the caller puts them into its rows. */
extern void te_adjust_apply(TeAdjustState *state, const TeAdjustment *adjustment, TeTime now);

/*
 * Undo an adjustment: its former values to the bit.  False, and nothing is changed,
 * when a value isn't the adjustment's any more: a later one has to be undone
 * first, or somebody has set it by hand.
 */
extern bool te_adjust_undo(TeAdjustState *state, const TeAdjustment *adjustment);

/*
 * A model's weight in the consensus by its scored votes: its own weight times
 * accuracy / 0.5, bounded.  It follows from its own weight and the score alone,
 * so that it can be recomputed, and is its own weight with too few votes.
 */
extern double te_model_weight(const TeAdjustSettings *s, double own_weight, int64_t right,
                              int64_t wrong);

#endif
