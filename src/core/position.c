/*
 * position.c - netting, profit and loss, and the ledger.
 */
#include "position.h"

#include <string.h>

#include "work.h"

const char *te_fill_check(const TeFill *f, const char **reason)
{
	bool told = te_known(f->profit);

	*reason = "must be known";
	if (f->at == TE_NO_TIME)
		return "executed_at";
	*reason = "must be +1 or -1";
	if (f->side != 1 && f->side != -1)
		return "side";
	*reason = "must be a number above 0";
	if (!te_is_price(f->lots))
		return "executed_size";
	if (!te_is_price(f->price) && !(told && isnan(f->price)))
		return "executed_price";
	if (!te_is_price(f->rate) && !(told && isnan(f->rate)))
		return "conversion_rate";
	*reason = "must be a number";
	if (told && !isfinite(f->profit))
		return "profit";
	if (!isfinite(f->commission))
		return "commission";
	*reason = NULL;
	return NULL;
}

void te_position_init(TePosition *p)
{
	*p = (TePosition){.average_open = NAN,
	                  .average_close = NAN,
	                  .opened_at = TE_NO_TIME,
	                  .closed_at = TE_NO_TIME};
}

/* A number of steps; noise about a whole one is taken off. */
static double snap(double steps)
{
	return te_steps_whole(steps) ? round(steps) + 0.0 : steps;
}

/* The mean of what was there and what is added, by size. */
static double mean(double average, double steps, double price, double added)
{
	return steps > 0 ? (average * steps + price * added) / (steps + added) : price;
}

static void earn(TePosition *p, double amount)
{
	p->realised += amount;
	p->total_realised += amount;
}

static void open_steps(TePosition *p, const TeFill *f, double steps)
{
	if (p->steps == 0) {
		p->cycles++;
		p->side = f->side;
		p->realised = 0;
		p->closed_steps = 0;
		p->average_close = NAN;
		p->opened_at = f->at;
		p->closed_at = TE_NO_TIME;
	}
	p->average_open = mean(p->average_open, fabs(p->steps), f->price, steps);
	p->steps = snap(p->steps + f->side * steps);
}

/* Close so many steps; profit that is told is the caller's to add. */
static void close_steps(TePosition *p, const TePositionTerms *terms, const TeFill *f, double steps)
{
	double price = te_known(f->price) ? f->price : p->average_open;

	if (!te_known(f->profit))
		earn(p, p->side * (price - p->average_open) * te_grid_value(&terms->lot, steps) *
		            terms->contract_size * f->rate);
	p->average_close = mean(p->average_close, p->closed_steps, price, steps);
	p->closed_steps = snap(p->closed_steps + steps);
	p->steps = snap(p->steps + f->side * steps);
	if (p->steps == 0)
		p->closed_at = f->at;
}

void te_position_add(TePosition *p, const TePositionTerms *terms, const TeFill *f)
{
	double all = snap(te_grid_steps(&terms->lot, f->lots)), left = all, closes = 0;

	p->fills++;
	p->total_commission += f->commission;
	earn(p, f->difference);

	if (p->owed_steps * f->side < 0 && !te_known(f->profit)) {
		double settles = fmin(fabs(p->owed_steps), left);

		p->owed_steps = snap(p->owed_steps + f->side * settles);
		left = snap(left - settles);
		if (left == 0) {
			earn(p, -f->commission);
			return;
		}
	}
	if (p->steps * f->side < 0 && left > 0) {
		closes = fmin(fabs(p->steps), left);
		close_steps(p, terms, f, closes);
		left = snap(left - closes);
	}
	if (te_known(f->profit)) {
		earn(p, f->profit - f->commission);
		p->owed_steps = snap(p->owed_steps + f->side * left);
		return;
	}
	/* What turns a position round pays its commission for both parts. */
	if (closes > 0)
		earn(p, -(f->commission * ((all - left) / all)));
	if (left > 0) {
		open_steps(p, f, left);
		earn(p, -(closes > 0 ? f->commission * (left / all) : f->commission));
	}
}

double te_position_lots(const TePosition *p, const TePositionTerms *terms)
{
	return te_grid_value(&terms->lot, p->steps);
}

double te_position_unrealised(const TePosition *p, const TePositionTerms *terms, double price,
                              double rate)
{
	if (p->steps == 0)
		return 0;
	return (price - p->average_open) * te_position_lots(p, terms) * terms->contract_size * rate;
}

double te_position_return(const TePosition *p)
{
	return p->side * (p->average_close - p->average_open) / p->average_open;
}

/* --- the ledger --- */

void te_ledger_init(TeLedger *l, const TePositionTerms *terms, TeLedgerEntry *memory,
                    uint32_t capacity)
{
	*l = (TeLedger){.terms = *terms, .capacity = capacity, .entries = memory};
	l->last.at = TE_NO_TIME;
	te_position_init(&l->base);
	te_position_init(&l->position);
}

/* Order of fills: by time, then by id, so that there is one order only. */
static int compare(const TeFill *a, const TeFill *b)
{
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->id.hi != b->id.hi)
		return a->id.hi < b->id.hi ? -1 : 1;
	return (a->id.lo > b->id.lo) - (a->id.lo < b->id.lo);
}

static bool same_number(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static bool same_fill(const TeFill *a, const TeFill *b)
{
	return a->at == b->at && a->side == b->side && a->lots == b->lots &&
	       same_number(a->price, b->price) && same_number(a->profit, b->profit) &&
	       a->commission == b->commission && a->difference == b->difference;
}

/* The place of a fill: how many entries come before it. */
static uint32_t place(const TeLedger *l, const TeFill *f)
{
	uint32_t low = 0, high = l->count;

	if (high > 0 && compare(&l->entries[high - 1].fill, f) < 0)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare(&l->entries[middle].fill, f) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The position has to be folded anew if an entry before "index" changes. */
static void touch(TeLedger *l, uint32_t index)
{
	if (index >= l->folded)
		return;
	l->position = l->base;
	l->folded = 0;
}

TeFillVerdict te_ledger_add(TeLedger *l, const TeFill *f)
{
	uint32_t index;

	for (uint32_t i = l->count; i-- > 0;)
		if (te_key_equal(l->entries[i].fill.id, f->id))
			return same_fill(&l->entries[i].fill, f) ? TE_FILL_REPEATED : TE_FILL_CONFLICT;
	if (l->last.at != TE_NO_TIME && compare(f, &l->last) <= 0)
		return TE_FILL_TOO_LATE;
	if (l->count >= l->capacity)
		return TE_FILL_NO_ROOM;

	index = place(l, f);
	memmove(&l->entries[index + 1], &l->entries[index], (l->count - index) * sizeof(l->entries[0]));
	l->entries[index] = (TeLedgerEntry){*f, true};
	l->count++;
	touch(l, index);
	return TE_FILL_ADDED;
}

const TePosition *te_ledger_position(TeLedger *l)
{
	for (; l->folded < l->count; l->folded++)
		te_position_add(&l->position, &l->terms, &l->entries[l->folded].fill);
	return &l->position;
}

void te_ledger_apply(TeLedger *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		l->entries[i].staged = false;
}

void te_ledger_discard(TeLedger *l)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < l->count; i++)
		if (l->entries[i].staged)
			touch(l, i);
		else
			l->entries[left++] = l->entries[i];
	l->count = left;
}

void te_ledger_fold(TeLedger *l, TeTime horizon)
{
	uint32_t n = 0;

	while (n < l->count && l->entries[n].fill.at < horizon && !l->entries[n].staged)
		te_position_add(&l->base, &l->terms, &l->entries[n++].fill);
	if (n == 0)
		return;
	l->last = l->entries[n - 1].fill;
	l->count -= n;
	memmove(&l->entries[0], &l->entries[n], l->count * sizeof(l->entries[0]));
	l->position = l->base;
	l->folded = 0;
}
