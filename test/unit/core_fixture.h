/*
 * core_fixture.h - a sound set of the six inputs, for tests to change.
 *
 * With the default strategy it gives, by hand: a BUY limit 2 pips below 1.10000
 * = 1.09980; stop 20 pips below = 1.09780; take profit at twice the risk =
 * 1.10380; a loss of 0.00200 * 100,000 = 200 USD per lot, so 1 % of 10,000 USD
 * buys 0.50 lots.
 */
#ifndef TE_TEST_CORE_FIXTURE_H
#define TE_TEST_CORE_FIXTURE_H

#include "core/decide.h"
#include "tap.h"

#define NOON INT64_C(1767268800000000) /* 2026-01-01T12:00:00Z */
#define MSEC INT64_C(1000)
#define REGIME_BIT(label) (1 << TE_REGIME_##label)

typedef struct Fixture
{
	TePrediction p;
	TeStrategy s;
	TeMarket m;
	TeInstrument i;
	TeAccount a;
	TeModelVote votes[8];
	TePattern patterns[4];
	TeDecisionInput in;
	TeDecision out;
} Fixture;

/* Fill in place: the input points into the fixture. */
static inline void fixture(Fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->p = (TePrediction){
		.prediction_id = "p1",
		.symbol = "EURUSD",
		.generated_at = NOON,
		.valid_until = TE_NO_TIME,
		.current_price = 1.1,
		.predicted_price = 1.105,
		.bid = NAN,
		.ask = NAN,
		.direction = TE_DIR_BUY,
		.confidence = 0.9,
		.volume_confirmation = NAN,
		.models = f->votes,
		.patterns = f->patterns,
	};
	te_strategy_defaults(&f->s);
	f->s.allowed_regimes |= REGIME_BIT(UNKNOWN);
	f->m = (TeMarket){TE_REGIME_UNKNOWN, TE_TREND_FLAT, 1, NAN, NAN, NAN};
	f->i = (TeInstrument){"EURUSD", "EUR", "USD", 0.0001, 0.00001, 100000, 0.01, 0.01, 100, 0};
	f->a = (TeAccount){"USD", 10000, 0, NAN, 1, NAN};
	f->in = (TeDecisionInput){&f->p, &f->s, &f->m, &f->i, &f->a, NOON, NULL, NULL};
}

static inline void add_vote(Fixture *f, TeDirection direction, double confidence, double weight)
{
	f->votes[f->p.model_count++] = (TeModelVote){"m", direction, confidence, weight};
}

static inline void add_pattern(Fixture *f, TeBias direction, double probability)
{
	f->patterns[f->p.pattern_count++] = (TePattern){"pattern", direction, probability};
}

static inline const TeDecision *decide(Fixture *f)
{
	te_decide(&f->in, &f->out);
	return &f->out;
}

static inline const TeStep *last_step(const Fixture *f)
{
	return &f->out.steps[f->out.step_count - 1];
}

/* The outcome's label, so that a failure shows what came instead. */
static inline const char *outcome(Fixture *f)
{
	return te_outcome_enum.labels[decide(f)->outcome];
}

#define is_outcome(f, want, name) is_text(outcome(f), want, name)

#endif
