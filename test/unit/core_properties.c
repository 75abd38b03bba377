/*
 * core_properties.c - what holds for every decision, over random inputs, most of
 * them sensible and some at the edge of what is legal.
 */
#include "core_fixture.h"

#define ROUNDS 200000

static Fixture f;
static uint64_t seed = 20120201;

static uint64_t next_random(void)
{
	seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	uint64_t z = seed;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int below(int n)
{
	return (int)(next_random() % (uint64_t)n);
}

static double between(double low, double high)
{
	return low + (high - low) * ((double)(next_random() >> 11) * 0x1p-53);
}

/* A number > 0 of any size, rarely; else one within the given range. */
static double positive(double low, double high)
{
	static const double edges[] = {5e-324, 1e-300, 1e-8, 1, 1e9, 1e300, 1.7e308};

	return below(50) == 0 ? edges[below(7)] : between(low, high);
}

static void random_strategy(TeStrategy *s)
{
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		const TeParamInfo *info = &te_params[p];
		void *field = (char *)s + info->offset;

		if (below(3) == 0)
			continue;
		switch (info->kind) {
		case TE_KIND_BOOL:
			*(bool *)field = p == TE_PARAM_enabled || below(2);
			break;
		case TE_KIND_INT:
			if (p == TE_PARAM_leg_count)
				*(int32_t *)field = 2 + below(4);
			break;
		case TE_KIND_ENUM:
			*(uint8_t *)field = (uint8_t)below(info->labels->count);
			break;
		case TE_KIND_NUMBER:
			if (!isinf(info->high))
				*(double *)field = info->high * between(0.001, 0.6);
			else
				*(double *)field = positive(0.01, 30);
			break;
		default:
			break;
		}
	}
	if (!s->prefer_market_orders)
		s->time_in_force = (uint8_t)below(2);
}

static void random_input(void)
{
	static const double ticks[] = {0.00001, 0.0001, 0.001, 0.01, 0.25, 1, 0.3};
	static const char *const currencies[] = {"USD", "EUR", "JPY"};
	double price;

	fixture(&f);
	f.i.tick_size = ticks[below(7)];
	f.i.pip_size = f.i.tick_size * (below(2) ? 10 : 1);
	price = f.i.tick_size * between(1, below(4) ? 200000 : 200);
	f.p.current_price = price;
	f.p.predicted_price = price * between(0.9, 1.1);
	if (below(2)) {
		f.p.bid = price * between(0.9999, 1);
		f.p.ask = f.p.bid + f.i.pip_size * between(0, 3);
	}
	f.p.direction = (TeDirection)below(TE_DIRECTION_COUNT);
	f.p.confidence = between(0, 1);
	for (int i = below(4); i > 0; i--)
		add_vote(&f, (TeDirection)below(TE_DIRECTION_COUNT), between(0, 1), positive(0.1, 3) / 16);
	for (int i = below(3); i > 0; i--)
		add_pattern(&f, (TeBias)below(TE_BIAS_COUNT), between(0, 1));
	f.m = (TeMarket){(TeRegime)below(TE_REGIME_COUNT),
	                 (TeTrend)below(TE_TREND_COUNT),
	                 positive(0.3, 3),
	                 below(3) ? f.i.pip_size * positive(0, 30) : NAN,
	                 below(3) ? price * between(0.9, 1.1) : NAN,
	                 below(4) ? NAN : between(0, 4)};
	f.i.contract_size = positive(1, 100000);
	f.i.min_stop_pips = below(3) ? 0 : between(0, 30);
	f.a.currency = currencies[below(3)];
	f.a.equity = below(20) ? positive(100, 1e6) : 0;
	f.a.hit_rate = below(2) ? NAN : between(0, 1);
	f.a.conversion_rate = below(3) ? NAN : positive(0.01, 150);
	random_strategy(&f.s);
}

static bool whole_steps(double value, double step)
{
	double n = round(value / step);

	return fabs(value / step - n) <= 1e-6 * fmax(1, n * 1e-6);
}

/* What a signal promises.  Returns the promise that is broken, or NULL. */
static const char *broken_promise(void)
{
	const TeDecision *d = &f.out;
	double s = d->signal_type > TE_DIR_HOLD ? 1 : -1, sum = 0;

	if (!(d->entry_price > 0 && d->stop_loss > 0 && d->take_profit > 0) || isinf(d->entry_price) ||
	    isinf(d->stop_loss) || isinf(d->take_profit))
		return "prices are finite and > 0";
	if (!(s * (d->entry_price - d->stop_loss) > 0 && s * (d->take_profit - d->entry_price) > 0))
		return "the stop is behind the entry, the take profit before it";
	if ((d->order_type == TE_ORDER_LIMIT) != te_known(d->limit_price) ||
	    (te_known(d->limit_price) && d->limit_price != d->entry_price))
		return "a limit order's entry is its limit";
	if (!(d->reward_risk_ratio > 0) || isinf(d->reward_risk_ratio))
		return "the ratio is finite and > 0";
	if (!(d->position_size >= f.i.lot_min && d->position_size <= f.i.lot_max &&
	      d->position_size <= f.s.max_position_size))
		return "the size is within its limits";
	if (!whole_steps(d->position_size, f.i.lot_step))
		return "the size is whole steps";
	if (!(d->signal_strength >= 0 && d->signal_strength <= 1))
		return "strength is within 0 and 1";
	if (f.s.position_sizing == TE_SIZING_RISK_PERCENT &&
	    d->max_loss > f.a.equity * f.s.risk_percent / 100 * (1 + 1e-4))
		return "RISK_PERCENT risks no more than asked for";
	if ((d->timing == TE_TIMING_WAIT_PULLBACK) != te_known(d->trigger_price))
		return "who waits has a trigger";
	for (int i = 0; i < d->leg_count; i++) {
		const TeLeg *leg = &d->legs[i];

		if (!(leg->position_size >= f.i.lot_min * (1 - 1e-9)) || leg->stop_loss != d->stop_loss ||
		    !(s * (leg->entry_price - leg->stop_loss) > 0) ||
		    !(s * (leg->take_profit - leg->entry_price) > 0))
			return "every leg is a sound order";
		sum += leg->position_size;
	}
	if (d->leg_count == 1 || (d->leg_count > 0 && fabs(sum - d->position_size) > 1e-9))
		return "legs are several and sum to the size";
	return NULL;
}

static bool same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Two values of steps; texts are literals or the input's, so the pointers are the same. */
static bool same_value(const TeStepValue *a, const TeStepValue *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case TE_STEP_NUMBER:
		return same_bits(a->as.number, b->as.number);
	case TE_STEP_TEXT:
		return a->as.text == b->as.text;
	case TE_STEP_BOOL:
		return a->as.boolean == b->as.boolean;
	case TE_STEP_TIME:
		return a->as.time == b->as.time;
	case TE_STEP_REGIMES:
		return a->as.regimes == b->as.regimes;
	case TE_STEP_NOTHING:
		return true;
	}
	return false;
}

static bool same_steps(const TeDecision *a, const TeDecision *b)
{
	bool same = a->step_count == b->step_count;

	for (int i = 0; same && i < a->step_count; i++) {
		const TeStep *x = &a->steps[i], *y = &b->steps[i];

		same = x->gate == y->gate && x->passed == y->passed && x->check == y->check &&
		       same_value(&x->value, &y->value) && same_value(&x->threshold, &y->threshold);
	}
	return same;
}

static bool same_legs(const TeDecision *a, const TeDecision *b)
{
	bool same = a->leg_count == b->leg_count;

	for (int i = 0; same && i < a->leg_count; i++) {
		const TeLeg *x = &a->legs[i], *y = &b->legs[i];

		same = x->order_type == y->order_type && same_bits(x->entry_price, y->entry_price) &&
		       same_bits(x->stop_loss, y->stop_loss) && same_bits(x->take_profit, y->take_profit) &&
		       same_bits(x->position_size, y->position_size);
	}
	return same;
}

/* Field by field, because the padding between fields is anybody's. */
static bool same_decision(const TeDecision *a, const TeDecision *b)
{
	return a->outcome == b->outcome && a->hold_reason == b->hold_reason &&
	       a->has_signal_type == b->has_signal_type && a->has_order == b->has_order &&
	       a->rule_failed == b->rule_failed && a->signal_type == b->signal_type &&
	       same_bits(a->signal_strength, b->signal_strength) &&
	       same_bits(a->consensus_score, b->consensus_score) &&
	       same_bits(a->market_favorability, b->market_favorability) &&
	       a->order_type == b->order_type && a->urgency == b->urgency &&
	       same_bits(a->entry_price, b->entry_price) && same_bits(a->limit_price, b->limit_price) &&
	       same_bits(a->stop_loss, b->stop_loss) && same_bits(a->take_profit, b->take_profit) &&
	       same_bits(a->reward_risk_ratio, b->reward_risk_ratio) &&
	       same_bits(a->position_size, b->position_size) && same_bits(a->max_loss, b->max_loss) &&
	       a->expires_at == b->expires_at && a->timing == b->timing &&
	       same_bits(a->trigger_price, b->trigger_price) && a->time_in_force == b->time_in_force &&
	       same_legs(a, b) && same_steps(a, b);
}

/* What every decision promises. */
static const char *broken_form(void)
{
	static TeDecision again;
	const TeDecision *d = &f.out;
	const TeStep *last = last_step(&f);

	memset(&again, 0xA5, sizeof(again)); /* what was there before must not show through */
	te_decide(&f.in, &again);
	if (!same_decision(&again, d))
		return "the same input gives the same bits";
	if (d->step_count < 1 || d->step_count > TE_MAX_STEPS)
		return "steps fit";
	for (int i = 0; i < d->step_count - 1; i++)
		if (!d->steps[i].passed)
			return "only the last step can fail";
	if (last->passed != (d->outcome == TE_OUTCOME_SIGNAL) ||
	    (!last->passed && last->gate != d->outcome))
		return "the failing step names the outcome";
	if ((d->expires_at != TE_NO_TIME) !=
	    (d->outcome == TE_OUTCOME_SIGNAL || d->outcome == TE_OUTCOME_HOLD))
		return "signals and holds expire";
	if ((d->hold_reason != TE_HOLD_REASON_NONE) != (d->outcome == TE_OUTCOME_HOLD))
		return "holds have a reason";
	if (isinf(d->max_loss) || isinf(d->position_size) || d->position_size < 0)
		return "size and loss are finite";
	return d->outcome == TE_OUTCOME_SIGNAL ? broken_promise() : NULL;
}

int main(void)
{
	int outcomes[TE_OUTCOME_COUNT] = {0}, legs = 0, invalid = 0;
	const char *broken = NULL;

	for (int i = 0; i < ROUNDS && broken == NULL; i++) {
		const char *reason;

		random_input();
		if (te_input_check(&f.in, &reason) != NULL) {
			invalid++;
			continue;
		}
		outcomes[decide(&f)->outcome]++;
		legs += f.out.leg_count > 0;
		broken = broken_form();
		if (broken != NULL)
			printf("# round %d: %s %g, stop %g, target %g, %g lots\n", i,
			       te_outcome_enum.labels[f.out.outcome], f.out.entry_price, f.out.stop_loss,
			       f.out.take_profit, f.out.position_size);
	}
	is_text(broken, NULL, "no decision breaks a promise");
	for (int o = 0; o < TE_OUTCOME_COUNT; o++)
		printf("# %s: %d\n", te_outcome_enum.labels[o], outcomes[o]);
	printf("# with legs: %d, invalid: %d\n", legs, invalid);
	ok(outcomes[TE_OUTCOME_SIGNAL] > 1000 && legs > 100 && invalid < ROUNDS / 2,
	   "and there were enough of them to say so");
	return done_testing();
}
