/*
 * risk.c - applying an assessment to a signal.
 *
 * Sizes are counted in lot steps and prices in ticks, as in the decision.
 */
#include "risk.h"

#include <string.h>

#include "work.h"

const TeRiskSettings te_risk_settings_default = {0.5, 600 * TE_USEC_PER_SEC};

const char *te_risk_reply_read(const TeRiskReply *reply, TeRiskAdvice *out, const char **reason)
{
	*out = (TeRiskAdvice){TE_RISK_LEVEL_UNSPECIFIED, NAN, NAN};
	if (reply->level <= TE_RISK_LEVEL_UNSPECIFIED || reply->level >= TE_RISK_LEVEL_COUNT) {
		*reason = "is not a risk level";
		return "risk_level";
	}
	if (reply->has_position_size &&
	    !(isfinite(reply->position_size) && reply->position_size >= 0)) {
		*reason = "must be a number that is not negative";
		return "sizing.position_size";
	}
	if (reply->has_stop_loss && !te_is_price(reply->stop_loss)) {
		*reason = "must be a number above 0";
		return "stop_loss";
	}
	out->level = (TeRiskLevel)reply->level;
	if (reply->has_position_size)
		out->position_size = reply->position_size;
	if (reply->has_stop_loss)
		out->stop_loss = reply->stop_loss;
	*reason = NULL;
	return NULL;
}

/* +1 long, -1 short. */
static double sign_of(const TeDecision *d)
{
	return te_direction_sign(d->signal_type);
}

void te_risk_remember(TeRiskMemory *memory, const TeDecision *d, const TeRiskAdvice *advice,
                      TeTime at)
{
	double distance = sign_of(d) * (d->entry_price - advice->stop_loss);

	*memory = (TeRiskMemory){at, advice->level, 1, 1};
	if (te_known(advice->position_size))
		memory->size_share = fmin(1, advice->position_size / d->position_size);
	if (te_known(distance) && distance > 0)
		memory->stop_share = fmin(1, distance / (sign_of(d) * (d->entry_price - d->stop_loss)));
}

TeRiskAdvice te_risk_fallback(const TeRiskSettings *s, const TeRiskMemory *memory,
                              const TeInstrument *i, const TeDecision *d, TeTime now)
{
	TeGrid lot = te_grid(i->lot_step);
	double share = te_steps_down(te_grid_steps(&lot, d->position_size * s->conservative_share));
	TeRiskAdvice advice = {TE_RISK_LEVEL_UNSPECIFIED, fmax(te_grid_value(&lot, share), i->lot_min),
	                       NAN};

	if (memory == NULL || memory->at == TE_NO_TIME || now - memory->at > s->memory_life)
		return advice;
	advice.level = memory->level;
	advice.position_size = fmin(advice.position_size, d->position_size * memory->size_share);
	if (memory->stop_share < 1)
		advice.stop_loss = d->entry_price - (d->entry_price - d->stop_loss) * memory->stop_share;
	return advice;
}

TeRiskNote *te_risk_note(TeRiskAssessment *a, TeRiskNoteKind kind, double before, double advised,
                         double after)
{
	TeRiskNote *n = &a->notes[a->note_count++];

	*n = (TeRiskNote){kind, before, advised, after, 0};
	return n;
}

void te_risk_begin(const TeDecision *d, TeRiskStatus status, TeRiskLevel level,
                   TeRiskAssessment *out)
{
	memset(out, 0, sizeof(*out));
	out->status = status;
	out->level = level;
	out->original_position_size = d->position_size;
	out->original_stop_loss = d->stop_loss;
	out->original_max_loss = d->max_loss;
}

static TeStepValue step_value(double x)
{
	return te_known(x) ? te_step_number(x) : te_step_nothing();
}

/* A HOLD has no order: nobody can take it for one. */
void te_risk_cancel(TeDecision *d, TeRiskAssessment *out, TeRiskNoteKind reason, double value,
                    double threshold)
{
	TeWork w = {.out = d};

	te_work_step(&w, TE_OUTCOME_RISK_REJECTED, false, te_risk_note_enum.labels[reason],
	             step_value(value), step_value(threshold));
	te_risk_note(out, reason, value, threshold, NAN);
	out->cancelled = true;
	out->cancellation = reason;
	d->signal_type = TE_DIR_HOLD;
	d->has_order = false;
	d->entry_price = d->limit_price = d->stop_loss = d->take_profit = NAN;
	d->reward_risk_ratio = d->position_size = d->max_loss = NAN;
	d->timing = TE_TIMING_IMMEDIATE;
	d->trigger_price = NAN;
	d->leg_count = 0;
}

/* A signal under assessment. */
typedef struct Order
{
	TeWork w; /* entry, stop, risk and lots of the signal */
	TeRiskAssessment *note;
	int count; /* legs, or 1 */
	double entries[TE_MAX_LEGS], lots[TE_MAX_LEGS];
	int numbers[TE_MAX_LEGS]; /* of the legs before the assessment */
} Order;

static double whole(double steps)
{
	return te_steps_whole(steps) ? round(steps) : steps;
}

static double in_ticks(const Order *o, double price)
{
	return whole(te_grid_steps(&o->w.tick, price));
}

static double in_lots(const Order *o, double size)
{
	return whole(te_grid_steps(&o->w.lot, size));
}

static void read_order(Order *o, const TeDecisionInput *in, TeDecision *d, TeRiskAssessment *out)
{
	TeWork *w = &o->w;

	*w = (TeWork){.in = in, .out = d, .sign = te_direction_sign(d->signal_type)};
	w->spread_pips = te_spread_pips(in);
	w->tick = te_grid(in->instrument->tick_size);
	w->lot = te_grid(in->instrument->lot_step);
	w->entry = in_ticks(o, d->entry_price);
	w->stop = in_ticks(o, d->stop_loss);
	w->risk = w->sign * (w->entry - w->stop);
	w->least = te_least_stop(w);
	w->lots = in_lots(o, d->position_size);
	o->note = out;
	o->count = d->leg_count > 0 ? d->leg_count : 1;
	for (int i = 0; i < o->count; i++) {
		o->entries[i] = d->leg_count > 0 ? in_ticks(o, d->legs[i].entry_price) : w->entry;
		o->lots[i] = d->leg_count > 0 ? in_lots(o, d->legs[i].position_size) : w->lots;
		o->numbers[i] = i;
	}
}

static double total(const Order *o)
{
	double sum = 0;

	for (int i = 0; i < o->count; i++)
		sum += o->lots[i];
	return sum;
}

/* Drop leg i; leg 0 is the signal's own order and stays. */
static void drop_leg(Order *o, int i)
{
	double size = te_grid_value(&o->w.lot, o->lots[i]);

	te_risk_note(o->note, TE_RISK_NOTE_LEG_DROPPED, size, NAN, 0)->leg = o->numbers[i];
	for (o->count--; i < o->count; i++) {
		o->entries[i] = o->entries[i + 1];
		o->lots[i] = o->lots[i + 1];
		o->numbers[i] = o->numbers[i + 1];
	}
}

/* Take a stop that is tighter.  Returns whether the stop has changed. */
static bool take_stop(Order *o, double advised)
{
	TeWork *w = &o->w;
	double before = w->out->stop_loss;
	double distance = w->sign * (w->entry - te_grid_steps(&w->tick, advised));
	double risk;

	if (!te_known(advised))
		return false;
	if (!te_ticks_short(0, distance)) {
		te_risk_note(o->note, TE_RISK_NOTE_STOP_WRONG_SIDE, before, advised, before);
		return false;
	}
	if (!te_ticks_short(distance, w->risk)) {
		if (te_ticks_short(w->risk, distance))
			te_risk_note(o->note, TE_RISK_NOTE_STOP_WIDER, before, advised, before);
		return false;
	}
	risk = te_steps_to_zero(distance);
	if (te_ticks_short(risk, w->least))
		risk = fmin(te_steps_up(w->least), w->risk);

	w->risk = risk;
	w->stop = w->entry - w->sign * risk;
	te_risk_note(o->note,
	             te_ticks_short(distance, w->least) ? TE_RISK_NOTE_STOP_TOO_CLOSE
	                                                : TE_RISK_NOTE_STOP_TIGHTENED,
	             before, advised, te_grid_value(&w->tick, w->stop));
	for (int i = o->count - 1; i > 0; i--)
		if (te_ticks_short(w->sign * (o->entries[i] - w->stop), w->least))
			drop_leg(o, i);
	return true;
}

/*
 * Share "lots" out over the first n legs, in proportion to what they have.  What
 * rounding down leaves goes to the first ones, a step each.  So none grows: where
 * anything is left, every leg has lost a step at least.  Returns whether every leg
 * has at least "least".
 */
static bool share_out(const Order *o, int n, double lots, double least, double shares[])
{
	double all = 0, left;

	for (int i = 0; i < n; i++)
		all += o->lots[i];
	left = lots = fmin(lots, all);
	for (int i = 0; i < n; i++) {
		shares[i] = floor(o->lots[i] * lots / all);
		left -= shares[i];
	}
	for (int i = 0; i < n && left >= 1; i++, left--)
		shares[i] += 1;
	for (int i = 0; i < n; i++)
		if (shares[i] < least)
			return false;
	return true;
}

/* Shrink to that many lots.  Legs that would be too small are dropped, the furthest first. */
static void shrink(Order *o, double lots, double least)
{
	double shares[TE_MAX_LEGS];

	while (!share_out(o, o->count, lots, least, shares) && o->count > 1)
		drop_leg(o, o->count - 1);
	memcpy(o->lots, shares, sizeof(double) * (size_t)o->count);
}

/* Write the changed order back. */
static void write_order(const Order *o, bool had_legs)
{
	const TeWork *w = &o->w;
	TeDecision *d = w->out;
	double rate;

	d->stop_loss = te_grid_value(&w->tick, w->stop);
	d->position_size = te_grid_value(&w->lot, total(o));
	d->reward_risk_ratio = w->sign * (in_ticks(o, d->take_profit) - w->entry) / w->risk;
	rate = te_conversion_rate(w->in, d->stop_loss);
	if (te_known(d->max_loss))
		d->max_loss = te_grid_value(&w->tick, w->risk) * w->in->instrument->contract_size * rate *
		              d->position_size;
	if (!had_legs)
		return;
	d->leg_count = o->count > 1 ? o->count : 0;
	for (int i = 0; i < o->count; i++) {
		d->legs[i] = d->legs[o->numbers[i]];
		d->legs[i].stop_loss = d->stop_loss;
		d->legs[i].position_size = te_grid_value(&w->lot, o->lots[i]);
	}
}

void te_risk_apply(const TeDecisionInput *in, TeRiskStatus status, const TeRiskAdvice *advice,
                   TeDecision *d, TeRiskAssessment *out)
{
	Order o;
	double least, lots;
	bool changed;

	te_risk_begin(d, status, advice->level, out);
	if (advice->level == TE_RISK_LEVEL_EXTREME) {
		te_risk_cancel(d, out, TE_RISK_NOTE_EXTREME_RISK, NAN, NAN);
		return;
	}

	read_order(&o, in, d, out);
	least = te_steps_down(te_grid_steps(&o.w.lot, in->instrument->lot_min));
	lots = o.w.lots;
	if (te_known(advice->position_size))
		lots = fmin(lots, te_steps_down(te_grid_steps(&o.w.lot, advice->position_size)));
	if (lots < least) {
		te_risk_cancel(d, out, TE_RISK_NOTE_SIZE_TOO_SMALL, te_grid_value(&o.w.lot, lots),
		               in->instrument->lot_min);
		return;
	}

	changed = take_stop(&o, advice->stop_loss);
	if (lots < o.w.lots) {
		shrink(&o, lots, least);
		te_risk_note(out, TE_RISK_NOTE_SIZE_REDUCED, out->original_position_size,
		             advice->position_size, te_grid_value(&o.w.lot, total(&o)));
		changed = true;
	}
	if (changed)
		write_order(&o, d->leg_count > 0);
	te_work_step(&o.w, TE_OUTCOME_RISK_REJECTED, true, "position_size",
	             te_step_number(d->position_size), te_step_number(in->instrument->lot_min));
}
