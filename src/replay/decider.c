/*
 * decider.c - see decider.h.
 */
#include "postgres.h"

#include "replay/decider.h"

#include "miscadmin.h"

#include "core/rates.h"
#include "core/work.h"
#include "sql/rule.h"
#include "sql/sql_arena.h"

/* A message decodes to a few times its size. */
#define ARENA_BLOCK ((size_t)64 * 1024)
#define ARENA_LIMIT ((size_t)1 << 30)

/* Decisions between two looks at interrupts and at what workers have sent. */
#define DECISIONS_PER_LOOK 512

/* Outcomes of gates that come before the one of confidence, or that one itself. */
#define OUTCOMES_OF_ANY_CONFIDENCE                                                                 \
	(TE_OUTCOME_BIT(TE_OUTCOME_DISABLED) | TE_OUTCOME_BIT(TE_OUTCOME_INSTRUMENT_NOT_ALLOWED) |     \
	 TE_OUTCOME_BIT(TE_OUTCOME_STALE) | TE_OUTCOME_BIT(TE_OUTCOME_LOW_CONFIDENCE))

void te_replay_decider_begin(TeReplayDecider *r, const TeReplayRun *run, const TeReplaySink *sink,
                             TeReplayChannel *channel, const TeRepeatsSeed *seed)
{
	MemoryContext context = CurrentMemoryContext;

	memset(r, 0, sizeof(*r));
	r->callbacks = (TeReplayProcess){.run = run, .context = context, .channel = channel};
	r->run = run;
	r->sink = sink;
	r->channel = channel;
	r->arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	r->every_strategy = (run->outcomes & OUTCOMES_OF_ANY_CONFIDENCE) != 0;
	r->seed = *seed;
	r->recorded = te_recorded_create(context, run);
	te_replay_show_begin(&r->shown, run, context);
	r->now.in = &r->in;
	r->now.decision = &r->decision;
}

void te_replay_decider_end(TeReplayDecider *r)
{
	te_replay_show_end(&r->shown);
}

void te_replay_look_around(TeReplayDecider *r)
{
	r->since_look = 0;
	CHECK_FOR_INTERRUPTS();
	if (r->channel->poll != NULL)
		r->channel->poll(r->channel);
}

/* Outcomes that the account has a part in. */
#define OUTCOMES_BY_ACCOUNT                                                                        \
	(TE_OUTCOME_BIT(TE_OUTCOME_NO_CONVERSION_RATE) |                                               \
	 TE_OUTCOME_BIT(TE_OUTCOME_NEGATIVE_EXPECTANCY) |                                              \
	 TE_OUTCOME_BIT(TE_OUTCOME_POSITION_TOO_SMALL) | TE_OUTCOME_BIT(TE_OUTCOME_MAX_POSITIONS) |    \
	 TE_OUTCOME_BIT(TE_OUTCOME_SIGNAL))

/* What sources and variants are told apart by; from 1. */
static uint32 series_of(const TeReplayDecider *r, const TeCachedStrategy *strategy)
{
	return 1 + (uint32)r->now.source + (uint32)strategy->variant * (uint32)r->run->source_count;
}

/* The strategies that a prediction is for, in the order in which the lane decided. */
static void visit(TeReplayDecider *r, TeCache *cache, TeStrategyVisitor visitor)
{
	const TeReplayMessage *message = r->now.message;
	TePrediction reach = *r->in.prediction;
	TeCachedCompany *company;

	if (strcmp(message->company_id, TE_ALL) == 0) {
		if (r->every_strategy)
			reach.confidence = 1;
		te_cache_visit_broadcast(cache, &reach, visitor, r);
		return;
	}
	company = te_cache_company(cache, message->company_id);
	if (company != NULL)
		te_cache_visit_company(cache, company,
		                       strcmp(message->user_id, TE_ALL) == 0 ? NULL : message->user_id,
		                       visitor, r);
}

static void pass_other(const TeCachedStrategy *strategy, void *arg)
{
	TeReplayDecider *r = arg;

	if (strcmp(strategy->strategy_id, r->run->strategy) == 0)
		te_recorded_own_turn(r->recorded, strategy);
	else
		te_recorded_pass_other(r->recorded, strategy);
}

/* What other strategies of the account had reserved on this prediction when its turn came. */
static void pass_others(TeReplayDecider *r)
{
	r->passed_others = true;
	if (te_recorded_has_others(r->recorded))
		visit(r, r->shown.others, pass_other);
}

/* The account as it was then.  A rate of its own wins; else the one that was known. */
static void see_account(TeReplayDecider *r, const TeCachedStrategy *strategy)
{
	if (r->shown.others != NULL && !r->passed_others)
		pass_others(r);
	te_recorded_account(r->recorded, strategy, series_of(r, strategy), &r->account);
	if (r->rates != NULL && !te_known(r->account.conversion_rate))
		r->account.conversion_rate = te_recorded_rate(r->rates, r->account.currency);
	r->in.account = &r->account;
}

/* The prediction at hand, as a strategy sees it that may follow its models' accuracy. */
static const TePrediction *seen_by(TeReplayDecider *r, const TeCachedStrategy *strategy)
{
	const TeReplayMessage *message = r->now.message;
	const TePrediction *prediction = &message->message->as.batch.predictions[r->now.prediction];

	if (!strategy->results.follow_model_accuracy)
		return prediction;
	if (r->weighed == NULL)
		r->weighed = te_cache_weigh(r->shown.sources[r->now.source].cache, message->company_id,
		                            prediction, r->arena);
	return r->weighed;
}

/*
 * Most decisions end before the account is looked at, and looking costs more than they do: it is
 * seen when it matters, to the decision or to who gets it.
 */
static void make_decision(TeReplayDecider *r, const TeCachedStrategy *strategy)
{
	TeDecision *d = &r->decision;

	r->in.prediction = seen_by(r, strategy);
	r->in.strategy = strategy->params;
	r->in.rule_context = strategy->rule;
	if (strategy->params->custom_rule != NULL)
		see_account(r, strategy);
	else {
		r->in.account = strategy->account;
		te_decide(&r->in, d);
		if ((TE_OUTCOME_BIT(d->outcome) &
		     (OUTCOMES_BY_ACCOUNT | TE_OUTCOMES_OF_CANDIDATES | r->run->outcomes)) == 0)
			return;
		see_account(r, strategy);
		if ((TE_OUTCOME_BIT(d->outcome) & OUTCOMES_BY_ACCOUNT) == 0)
			return;
	}
	te_decide(&r->in, d);
}

/* A signal or hold, with what was done to the one that was recorded. */
static void make_candidate(TeReplayDecider *r, const TeCachedStrategy *strategy)
{
	const TePrediction *p = r->in.prediction;
	const TeRecordedSignal *recorded = NULL;
	TeDecision *d = &r->decision;
	TeReplayCandidate *c = &r->candidate;

	*c = (TeReplayCandidate){
		.signal = te_repeats_key(&r->seed, strategy->company_id, strategy->user_id,
	                             strategy->strategy_id, p->symbol),
		.prediction = te_repeats_key(&r->seed, strategy->company_id, strategy->user_id,
	                                 strategy->strategy_id, p->prediction_id),
		.series = series_of(r, strategy),
		.batch_no = r->now.message->batch_no,
		.at = r->in.at,
		.entry_price = d->entry_price,
		.signal_strength = d->signal_strength,
		.distance_pips = strategy->params->duplicate_distance_pips,
		.pip_size = r->in.instrument->pip_size,
		.window_seconds = strategy->params->duplicate_window_seconds,
		.side = (int8)(d->outcome == TE_OUTCOME_SIGNAL ? te_direction_sign(d->signal_type) : 0),
		.hold_reason = (uint8)d->hold_reason,
	};
	if (d->outcome == TE_OUTCOME_SIGNAL)
		recorded = te_recorded_signal(r->recorded, strategy);
	r->assessment.status = TE_RISK_STATUS_UNSPECIFIED;
	r->now.risk_notes = NULL;
	if (recorded != NULL && recorded->actions.count > 0) {
		memset(&r->assessment, 0, sizeof(r->assessment));
		te_actions_apply(&r->in, &recorded->actions, d, &r->assessment);
		r->now.risk_notes = recorded->notes;
	}
	if (recorded != NULL)
		te_recorded_pass(r->recorded, strategy, c->series);
	c->outcome = (uint8)d->outcome;
	c->turned_down = recorded != NULL && recorded->turned_down;
	c->group = recorded != NULL ? recorded->group : -1;
	r->now.candidate = c;
	r->now.assessment = &r->assessment;
}

static void decide(const TeCachedStrategy *strategy, void *arg)
{
	TeReplayDecider *r = arg;

	make_decision(r, strategy);
	r->decisions++;
	r->now.candidate = NULL;
	if ((TE_OUTCOME_BIT(r->decision.outcome) & TE_OUTCOMES_OF_CANDIDATES) != 0)
		make_candidate(r, strategy);
	if (r->now.candidate != NULL || te_replay_wants(r->run, r->decision.outcome)) {
		r->now.variant = strategy->variant;
		r->now.strategy = strategy;
		r->now.account_id = strategy->account_id;
		r->sink->take(&r->callbacks, &r->now);
	}
	if (++r->since_look >= DECISIONS_PER_LOOK)
		te_replay_look_around(r);
}

static void decide_source(TeReplayDecider *r, int source, const TePrediction *prediction)
{
	const TeReplayMessage *message = r->now.message;
	TeCache *cache = r->shown.sources[source].cache;

	r->now.source = source;
	r->weighed = NULL;
	r->in.instrument = te_cache_instrument(cache, prediction->symbol);
	if (r->in.instrument == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("instrument \"%s\", which batch " INT64_FORMAT
		                       " of lane %d decided on, is not in the history",
		                       prediction->symbol, message->batch_no, message->lane)));
	visit(r, cache, decide);
}

void te_replay_decide(TeReplayDecider *r, int i, const TeDecidedOn *decided_on, TeTime at)
{
	const TePrediction *prediction = &r->now.message->message->as.batch.predictions[i];

	r->now.prediction = i;
	r->passed_others = false;
	r->in = (TeDecisionInput){
		.prediction = prediction,
		.market = decided_on->market,
		.at = at,
		.evaluate_rule = te_rule_evaluate,
	};
	r->rates = decided_on->rates;
	for (int source = 0; source < r->run->source_count; source++)
		decide_source(r, source, prediction);
	if (r->sink->prediction_end != NULL)
		r->sink->prediction_end(&r->callbacks, r->now.message, i);
}
