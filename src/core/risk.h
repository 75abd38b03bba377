/*
 * risk.h - what an assessment does to a signal.
 *
 * Advice comes from a risk service, from the built-in limits, or, when the service
 * can't be asked, from what it said of late and from conservative numbers.
 * Whatever it says, a signal never leaves with more risk than it came with: no
 * order is larger, no stop is wider, and legs that no longer fit are dropped.
 */
#ifndef TE_CORE_RISK_H
#define TE_CORE_RISK_H

#include "decide.h"

#define TE_RISK_LEVELS(X) X(UNSPECIFIED) X(LOW) X(MEDIUM) X(HIGH) X(EXTREME)
#define TE_RISK_LEVEL_MEMBER(label) TE_ENUM_MEMBER_(TE_RISK_LEVEL_, label)
typedef enum { TE_RISK_LEVELS(TE_RISK_LEVEL_MEMBER) TE_RISK_LEVEL_COUNT } TeRiskLevel;
extern const TeEnum te_risk_level_enum;

#define TE_RISK_STATUSES(X) X(UNSPECIFIED) X(ASSESSED) X(FALLBACK_USED) X(ERROR_FALLBACK)
#define TE_RISK_STATUS_MEMBER(label) TE_ENUM_MEMBER_(TE_RISK_STATUS_, label)
typedef enum { TE_RISK_STATUSES(TE_RISK_STATUS_MEMBER) TE_RISK_STATUS_COUNT } TeRiskStatus;
extern const TeEnum te_risk_status_enum;

/*
 * What was done, with the words for people.  From EXTREME_RISK on they can cancel a
 * signal, and then the text is its cancellation_reason; a limit that leaves room for
 * a smaller size is noted beside SIZE_REDUCED.
 */
#define TE_RISK_NOTES(X)                                                                           \
	X(SIZE_REDUCED, "Position size reduced by risk management")                                    \
	X(STOP_TIGHTENED, "Stop loss tightened by risk management")                                    \
	X(STOP_TOO_CLOSE, "Recommended stop loss too close to entry: least distance taken")            \
	X(STOP_WIDER, "Recommended stop loss ignored: wider than the signal's")                        \
	X(STOP_WRONG_SIDE, "Recommended stop loss ignored: on the wrong side of entry")                \
	X(LEG_DROPPED, "Leg dropped by risk management")                                               \
	X(EXTREME_RISK, "Extreme risk level detected")                                                 \
	X(SIZE_TOO_SMALL, "Position size too small after risk assessment")                             \
	X(OPEN_POSITIONS, "Limit of open positions reached")                                           \
	X(OPEN_RISK, "Limit of open risk reached")                                                     \
	X(EXPOSURE, "Limit of exposure to a currency reached")                                         \
	X(LEVERAGE, "Limit of leverage reached")                                                       \
	X(FREE_MARGIN, "Not enough free margin")                                                       \
	X(DAILY_LOSS, "Daily loss limit broken")                                                       \
	X(DRAWDOWN, "Maximum drawdown limit broken")                                                   \
	X(LOCKED, "Locked by a protection")                                                            \
	X(REDUCING, "Only orders that reduce a position are let through")                              \
	X(HALTED, "Trading is halted")                                                                 \
	X(SESSION_CLOSED, "The market is closed")                                                      \
	X(NEWS, "News are due or just out")                                                            \
	X(NEWS_MISSING, "The calendar of news that is required is missing")
#define TE_RISK_NOTE_MEMBER(label, text) TE_ENUM_MEMBER_(TE_RISK_NOTE_, label)
typedef enum { TE_RISK_NOTES(TE_RISK_NOTE_MEMBER) TE_RISK_NOTE_COUNT } TeRiskNoteKind;
extern const TeEnum te_risk_note_enum;
extern const char *const te_risk_note_texts[TE_RISK_NOTE_COUNT];

/* One thing that was done.  Numbers that don't apply are NAN. */
typedef struct TeRiskNote
{
	TeRiskNoteKind kind;
	double before;  /* the signal's (leg's) size or stop; of a limit: what there would be */
	double advised; /* what was recommended; of a limit: what it allows */
	double after;   /* what was taken */
	int leg;        /* of LEG_DROPPED: its number before the assessment */
} TeRiskNote;

/* Each leg but the first is dropped once; stop and size may change twice, by limits and by advice.
 */
#define TE_RISK_MOST_NOTES (TE_MAX_LEGS + 8)

/* What became of a signal, beside the decision itself. */
typedef struct TeRiskAssessment
{
	TeRiskStatus status;
	TeRiskLevel level;
	bool cancelled; /* the decision is RISK_REJECTED, of type HOLD ... */
	TeRiskNoteKind cancellation;
	double original_position_size, original_stop_loss, original_max_loss;
	int note_count;
	TeRiskNote notes[TE_RISK_MOST_NOTES];
} TeRiskAssessment;

/* Add a note. */
extern TeRiskNote *te_risk_note(TeRiskAssessment *a, TeRiskNoteKind kind, double before,
                                double advised, double after);

/* What is recommended.  NAN: nothing is said about it. */
typedef struct TeRiskAdvice
{
	TeRiskLevel level;
	double position_size; /* lots, >= 0 */
	double stop_loss;     /* > 0 */
} TeRiskAdvice;

/* A service's answer as it came; a number that is there may be anything. */
typedef struct TeRiskReply
{
	int level; /* of TeRiskLevel, or no such number */
	bool has_position_size, has_stop_loss;
	double position_size, stop_loss;
} TeRiskReply;

/*
 * Read an answer.  NULL when it is sound, else the field that isn't, with a
 * lower-case reason; then the call has failed.
 */
extern const char *te_risk_reply_read(const TeRiskReply *reply, TeRiskAdvice *out,
                                      const char **reason);

/* A tenant's last known parameters, as shares of what was asked.  at TE_NO_TIME: none. */
typedef struct TeRiskMemory
{
	TeTime at;
	TeRiskLevel level;
	double size_share; /* 0..1 of the size that was asked about */
	double stop_share; /* 0..1 of the stop distance */
} TeRiskMemory;

/* Remember advice about a decision, as it was before the advice was applied. */
extern void te_risk_remember(TeRiskMemory *memory, const TeDecision *d, const TeRiskAdvice *advice,
                             TeTime at);

typedef struct TeRiskSettings
{
	double conservative_share; /* of the size, without a service (0.5) */
	TeTime memory_life;        /* last known parameters aren't used when older (10 min) */
} TeRiskSettings;

extern const TeRiskSettings te_risk_settings_default;

/*
 * Advice without a service: conservative parameters (the size's share rounded down,
 * but not below lot_min; no other stop), and, where "memory" isn't NULL and is young
 * enough, the tighter of both, field by field.
 */
extern TeRiskAdvice te_risk_fallback(const TeRiskSettings *s, const TeRiskMemory *memory,
                                     const TeInstrument *i, const TeDecision *d, TeTime now);

/*
 * Apply advice to a decision whose outcome is SIGNAL:
 *   - EXTREME: the signal becomes a HOLD;
 *   - a smaller size is taken, rounded down to the lot step; below lot_min the
 *     signal becomes a HOLD.  Legs shrink in proportion, none grows;
 *   - a tighter stop on the right side of entry is taken, rounded towards entry, not
 *     closer than the decision's own least distance; a leg that would be closer to
 *     it than that is dropped, and the position is smaller by its size.
 * "in" is the decision's input.  The decision gets a step RISK_REJECTED.
 */
extern void te_risk_apply(const TeDecisionInput *in, TeRiskStatus status,
                          const TeRiskAdvice *advice, TeDecision *d, TeRiskAssessment *out);

/*
 * Turn a signal into a HOLD for another reason that cancels.  "value" and
 * "threshold" are shown with the step and the note; NAN where there is none.
 * "out" must have been begun by te_risk_begin or te_risk_apply.
 */
extern void te_risk_begin(const TeDecision *d, TeRiskStatus status, TeRiskLevel level,
                          TeRiskAssessment *out);
extern void te_risk_cancel(TeDecision *d, TeRiskAssessment *out, TeRiskNoteKind reason,
                           double value, double threshold);

#endif
