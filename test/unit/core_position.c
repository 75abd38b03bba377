/*
 * core_position.c - positions from fills: own cases, Nautilus' tables, and 100,000 events in
 * any order.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/position.h"

#include "core_fixture.h"
#include "core_random.h"
#include "core_vectors.h"

#define MINUTE (60 * TE_USEC_PER_SEC)
#define ROOM 1024

static TeLedgerEntry memory[ROOM];
static TeLedger ledger;
static TePositionTerms eurusd;

static void start(void)
{
	eurusd = (TePositionTerms){100000, te_grid(0.01)};
	te_ledger_init(&ledger, &eurusd, memory, ROOM);
}

static TeFill fill(uint64_t id, int minute, int side, double lots, double price)
{
	return (TeFill){{0, id}, NOON + minute * MINUTE, side, lots, price, NAN, 0, 1, 0};
}

static const TePosition *after(TeFill f)
{
	te_ledger_add(&ledger, &f);
	return te_ledger_position(&ledger);
}

static double lots(void)
{
	return te_position_lots(te_ledger_position(&ledger), &eurusd);
}

static void netting(void)
{
	const TePosition *p;

	start();
	p = te_ledger_position(&ledger);
	ok(lots() == 0 && p->cycles == 0 && isnan(p->average_open), "flat before the first fill");
	p = after(fill(1, 0, 1, 0.3, 1.1));
	p = after(fill(2, 1, 1, 0.1, 1.104));
	is_near(p->average_open, 1.101, 1e-15, "partial fills are weighted by volume");
	is_exactly(lots(), 0.4, "0.3 + 0.1 is 0.4");
	is_near(te_position_unrealised(p, &eurusd, 1.102, 1), 40, 1e-9, "40 USD at 10 pips");
	is_near(te_position_unrealised(p, &eurusd, 1.102, 150), 6000, 1e-6,
	        "in an account currency that costs 150 of it");
	p = after(fill(3, 2, -1, 0.1, 1.103));
	is_near(p->realised, 20, 1e-9, "a partial close realises its part");
	is_near(p->average_open, 1.101, 1e-15, "and leaves the average");
	p = after(fill(4, 3, -1, 0.2, 1.1005));
	p = after(fill(5, 4, -1, 0.1, 1.101));
	ok(lots() == 0 && p->closed_at == NOON + 4 * MINUTE, "0.4 - 0.1 - 0.2 - 0.1 is flat");
	is_near(p->realised, 10, 1e-9, "20 - 10 + 0");
	is_near(p->average_close, 1.10125, 1e-12, "the closes are weighted too");
	ok(te_position_unrealised(p, &eurusd, 2, 1) == 0, "flat has no open profit");
	p = after(fill(6, 5, -1, 0.2, 1.1));
	ok(p->cycles == 2 && p->side == -1 && p->realised == 0, "a new cycle starts at 0");
	is_near(p->total_realised, 10, 1e-9, "the total goes on");
	is_near(te_position_unrealised(p, &eurusd, 1.101, 1), -20, 1e-9, "a short loses as it rises");
}

static void flips(void)
{
	const TePosition *p;
	TeFill f = fill(2, 1, -1, 0.5, 1.102);

	start();
	after(fill(1, 0, 1, 0.2, 1.1));
	f.commission = 5;
	p = after(f);
	is_exactly(lots(), -0.3, "0.2 long and 0.5 sold is 0.3 short");
	ok(p->cycles == 2 && p->side == -1 && p->average_open == 1.102,
	   "a new cycle at the fill's price");
	is_near(p->realised, -3, 1e-12, "which pays its part of the commission");
	is_near(p->total_realised, 40 - 5, 1e-9, "the old one earned 40 and paid the rest");
	ok(p->opened_at == f.at && p->closed_at == TE_NO_TIME, "opened when the old one closed");
}

static bool same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static bool same_position(const TePosition *a, const TePosition *b)
{
	return same_bits(a->steps, b->steps) && same_bits(a->average_open, b->average_open) &&
	       same_bits(a->average_close, b->average_close) &&
	       same_bits(a->closed_steps, b->closed_steps) && a->side == b->side &&
	       same_bits(a->realised, b->realised) && same_bits(a->total_realised, b->total_realised) &&
	       same_bits(a->total_commission, b->total_commission) && a->opened_at == b->opened_at &&
	       a->closed_at == b->closed_at && a->fills == b->fills && a->cycles == b->cycles &&
	       same_bits(a->owed_steps, b->owed_steps);
}

/* What a terminal says that it made counts, whatever prices say. */
static void told_profit(void)
{
	const TePosition *p;
	TeFill close = fill(2, 1, -1, 0.2, 1.102);

	start();
	after(fill(1, 0, 1, 0.2, 1.1));
	close.profit = 37.5; /* 40 less a swap */
	close.commission = 2;
	close.rate = NAN;
	p = after(close);
	ok(lots() == 0 && p->realised == 35.5, "a told profit is taken, less the commission");

	start();
	after(fill(1, 0, 1, 0.2, 1.1));
	close.price = NAN;
	p = after(close);
	ok(lots() == 0 && p->realised == 35.5, "no price is needed");

	start();
	close = fill(2, -1, -1, 0.2, 1.102); /* by its clock before the fill that it closes */
	close.profit = 37.5;
	p = after(close);
	ok(lots() == 0 && p->owed_steps == -20 && p->total_realised == 37.5,
	   "a close before its fill opens nothing");
	p = after(fill(1, 0, 1, 0.3, 1.1));
	ok(p->owed_steps == 0 && p->total_realised == 37.5, "the fill settles what is owed");
	is_exactly(lots(), 0.1, "and opens the rest");
	p = after(fill(3, 1, -1, 0.4, 1.1));
	is_exactly(lots(), -0.3, "as any other");
}

/* Two opposite orders at once: one closes what the other opened, and each terminal tells its
 * profit. */
static void opposite_orders(void)
{
	const TePosition *p;
	TeFill close;

	start();
	(void)after(fill(1, 0, 1, 0.1, 1.1));
	p = after(fill(2, 1, -1, 0.1, 1.102));
	is_near(p->total_realised, 20, 1e-9, "a sale closes what was bought");
	close = fill(3, 2, -1, 0.1, 1.101);
	close.difference = 9.5 - 10; /* 10 pips are 10 USD; told are 9.5 */
	p = after(close);
	is_exactly(lots(), -0.1, "the close of the first order is a sale");
	is_near(p->total_realised, 19.5, 1e-9, "what is told beyond the prices counts at once");
	p = after(fill(4, 3, 1, 0.1, 1.103));
	is_exactly(lots(), 0, "the close of the second ends it all");
	is_near(p->total_realised, 9.5 - 10, 1e-9, "flat, the profits of both orders have been made");
}

static void ledgers(void)
{
	TeFill f = fill(7, 5, 1, 0.1, 1.2), other = f;
	const TePosition *p;

	start();
	ok(te_ledger_add(&ledger, &f) == TE_FILL_ADDED, "a fill counts");
	ok(te_ledger_add(&ledger, &f) == TE_FILL_REPEATED && lots() == 0.1, "once");
	other.lots = 0.2;
	ok(te_ledger_add(&ledger, &other) == TE_FILL_CONFLICT && lots() == 0.1,
	   "another content under its id doesn't");
	other = f;
	other.at += MINUTE;
	ok(te_ledger_add(&ledger, &other) == TE_FILL_CONFLICT, "nor at another time");
	te_ledger_apply(&ledger);

	f = fill(8, 3, -1, 0.3, 1.1);
	te_ledger_add(&ledger, &f);
	is_exactly(lots(), -0.2, "an earlier one is put before it");
	is_near(te_ledger_position(&ledger)->total_realised, -1000, 1e-9,
	        "short 0.3 at 1.1, 0.1 bought back at 1.2");
	te_ledger_discard(&ledger);
	ok(lots() == 0.1 && te_ledger_position(&ledger)->total_realised == 0,
	   "an abort leaves no trace of it");
	ok(te_ledger_add(&ledger, &f) == TE_FILL_ADDED, "and it may come again");
	te_ledger_apply(&ledger);

	for (uint64_t id = 100; ledger.count < ROOM; id++)
		after(fill(id, (int)id, id % 2 ? 1 : -1, 0.01, 1.1 + (double)id * 1e-5));
	f = fill(99, 2000, 1, 1, 1.1);
	ok(te_ledger_add(&ledger, &f) == TE_FILL_NO_ROOM, "memory is bounded");
	te_ledger_fold(&ledger, NOON + 1000 * MINUTE);
	ok(ledger.count == ROOM - 2, "what isn't committed stays");
	te_ledger_add(&ledger, &f);
	te_ledger_apply(&ledger);
	TePosition before = *te_ledger_position(&ledger);
	te_ledger_fold(&ledger, NOON + 1000 * MINUTE);
	p = te_ledger_position(&ledger);
	ok(ledger.count < ROOM / 2 && same_position(&before, p),
	   "folding makes room and changes no bit");
	f = fill(556, 3000, 1, 1, 1.1);
	ok(te_ledger_add(&ledger, &f) == TE_FILL_ADDED, "there is room");
	f = fill(8, 3, -1, 0.3, 1.1);
	ok(te_ledger_add(&ledger, &f) == TE_FILL_TOO_LATE, "one that was folded is too late");
	f = ledger.last;
	ok(te_ledger_add(&ledger, &f) == TE_FILL_TOO_LATE, "even the last that was folded");
	f = fill(555555, 3, -1, 0.3, 1.1);
	ok(te_ledger_add(&ledger, &f) == TE_FILL_TOO_LATE, "and so is an unknown one from before");
}

static void check(void)
{
	const char *reason;
	TeFill f = fill(1, 0, 1, 0.1, 1.1);

	ok(te_fill_check(&f, &reason) == NULL, "a sound fill");
	f.price = NAN;
	is_text(te_fill_check(&f, &reason), "executed_price", "no price");
	f.profit = 5;
	ok(te_fill_check(&f, &reason) == NULL, "a told profit needs none");
	f.price = -1;
	is_text(te_fill_check(&f, &reason), "executed_price", "a price that is none");
	f = fill(1, 0, 1, 0, 1.1);
	is_text(te_fill_check(&f, &reason), "executed_size", "no size");
	f = fill(1, 0, 0, 1, 1.1);
	is_text(te_fill_check(&f, &reason), "side", "no side");
	f = fill(1, 0, 1, 1, 1.1);
	f.rate = NAN;
	is_text(te_fill_check(&f, &reason), "conversion_rate", "no rate");
	f.rate = 1;
	f.commission = INFINITY;
	is_text(te_fill_check(&f, &reason), "commission", "a commission that is no number");
	f.commission = -0.2;
	ok(te_fill_check(&f, &reason) == NULL, "a rebate");
}

/* --- Nautilus: netting, average price, realised with commissions, starting at 0 from flat --- */

static double number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return strtod(json_string_value(value), NULL);
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static int differs(const char *what, double got, double want, double tolerance)
{
	if (isnan(want) || fabs(got - want) <= tolerance)
		return 0;
	printf("# %s: got %.12g, want %.12g\n", what, got, want);
	return 1;
}

static int nautilus_case(json_t *row)
{
	TePositionTerms terms = {1, te_grid(0.001)};
	double last = number(row, "last");
	double cent = pow(10, -number(row, "money_digits")) * 0.5 + 1e-9;
	json_t *step;
	size_t k;
	int wrong = 0;

	te_ledger_init(&ledger, &terms, memory, ROOM);
	json_array_foreach(json_object_get(row, "steps"), k, step)
	{
		json_t *given = json_object_get(step, "fill"), *want = json_object_get(step, "expect");
		const char *side = json_string_value(json_object_get(given, "side"));
		TeFill f = {{1, k},
		            NOON + (TeTime)k,
		            strcmp(side, "BUY") == 0 ? 1 : -1,
		            number(given, "qty"),
		            number(given, "price"),
		            NAN,
		            number(given, "commission"),
		            1,
		            0};
		const TePosition *p = after(f);
		double open = isnan(last) ? NAN : te_position_unrealised(p, &terms, last, 1);

		wrong += differs("qty", te_position_lots(p, &terms), number(want, "qty"), 1e-9);
		wrong += differs("avg_open", p->average_open, number(want, "avg_open"), 1e-9);
		wrong += differs("avg_close", p->average_close, number(want, "avg_close"), 1e-9);
		wrong += differs("realized", p->realised, number(want, "realized"), cent);
		wrong += differs("unrealized", open, number(want, "unrealized"), cent);
		wrong += differs("total", p->realised + open, number(want, "total"), cent);
		wrong += differs("return", te_position_return(p), number(want, "realized_return"), 1e-12);
	}
	return wrong;
}

static void nautilus_vectors(void)
{
	FILE *file = open_vectors("nautilus_position_pnl.json");
	json_t *root, *row;
	size_t i;

	if (file == NULL) {
		skip("no nautilus_position_pnl.json");
		return;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	json_array_foreach(json_object_get(root, "cases"), i, row)
		ok(nautilus_case(row) == 0, json_string_value(json_object_get(row, "name")));
	ok(i == 16, "Nautilus' 16 positions");
	json_decref(root);
}

/* --- 100,000 events --- */

#define POSITIONS 200
#define EVENTS 100000

typedef struct Event
{
	int position;
	TeFill fill;
} Event;

static Event ordered[EVENTS], told[2 * EVENTS];
static TeLedgerEntry memories[POSITIONS][ROOM];
static TeLedger books[POSITIONS];
static TePosition want[POSITIONS];

/* Fills, partial fills, closes and turns; some closes with a told profit; many at one instant. */
static void make_events(void)
{
	TeTime at = NOON;

	for (int i = 0; i < EVENTS; i++) {
		Event *e = &ordered[i];

		at += below(3) * below(1000);
		e->position = below(POSITIONS);
		e->fill = (TeFill){.id = {next_random(), (uint64_t)i},
		                   .at = at,
		                   .side = below(2) ? 1 : -1,
		                   .lots = (1 + below(200)) / 100.0,
		                   .price = 1 + between(0, 0.2),
		                   .profit = NAN,
		                   .commission = below(3) ? between(0, 3) : 0,
		                   .rate = 1.25};
	}
}

static int by_order(const void *x, const void *y)
{
	const TeFill *a = &((const Event *)x)->fill, *b = &((const Event *)y)->fill;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return (a->id.hi > b->id.hi) - (a->id.hi < b->id.hi);
}

/* Shuffle within a reach, so that most come nearly in order and some far too late. */
static int tell_events(void)
{
	int count = 0;

	for (int i = 0; i < EVENTS; i++)
		for (int copies = 1 + (below(4) == 0) + (below(16) == 0); copies > 0 && count < 2 * EVENTS;
		     copies--)
			told[count++] = ordered[i];
	for (int i = count - 1; i > 0; i--) {
		int reach = below(5) == 0 ? i + 1 : (i < 50 ? i + 1 : 50);
		int k = i - below(reach);
		Event e = told[i];

		told[i] = told[k];
		told[k] = e;
	}
	return count;
}

/* Tell them in batches; a batch that is aborted is told again. */
static int tell(int count)
{
	int wrong = 0;

	for (int from = 0, n; from < count; from += n) {
		n = 1 + below(40);
		if (n > count - from)
			n = count - from;
		for (int attempt = below(5) == 0 ? 2 : 1; attempt > 0; attempt--) {
			for (int i = from; i < from + n; i++) {
				TeFillVerdict v = te_ledger_add(&books[told[i].position], &told[i].fill);

				wrong += v != TE_FILL_ADDED && v != TE_FILL_REPEATED;
			}
			if (below(3) == 0)
				te_ledger_position(&books[told[from].position]);
			for (int i = from; i < from + n; i++)
				if (attempt > 1)
					te_ledger_discard(&books[told[i].position]);
				else
					te_ledger_apply(&books[told[i].position]);
		}
	}
	return wrong;
}

static void any_order(bool with_told_profits)
{
	TePositionTerms terms = {100000, te_grid(0.01)};
	int count, different = 0, unbalanced = 0, turned = 0;

	make_events();
	if (with_told_profits)
		for (int i = 0; i < EVENTS; i++)
			if (below(4) == 0)
				ordered[i].fill.profit = between(-500, 500);
	count = tell_events();
	for (int i = 0; i < POSITIONS; i++) {
		te_ledger_init(&books[i], &terms, memories[i], ROOM);
		te_position_init(&want[i]);
	}
	ok(tell(count) == 0, "every event is taken once");

	qsort(ordered, EVENTS, sizeof(ordered[0]), by_order);
	for (int i = 0; i < EVENTS; i++)
		te_position_add(&want[ordered[i].position], &terms, &ordered[i].fill);
	for (int i = 0; i < POSITIONS; i++) {
		const TePosition *got = te_ledger_position(&books[i]);

		different += !same_position(got, &want[i]);
		turned += got->cycles > 1;
	}
	ok(different == 0, with_told_profits
	                       ? "100,000 events, some with told profits, in any order: the same bits"
	                       : "100,000 events, shuffled and repeated: the same bits as in order");
	ok(turned > POSITIONS * 9 / 10, "through several cycles");
	if (with_told_profits)
		return;

	/* Whatever the averages, money in and out has to add up. */
	for (int i = 0; i < POSITIONS; i++) {
		const TePosition *p = te_ledger_position(&books[i]);
		double cash = 0, size = 0;

		for (int k = 0; k < EVENTS; k++) {
			const TeFill *f = &ordered[k].fill;

			if (ordered[k].position != i)
				continue;
			cash += f->side * f->lots * (1.1 - f->price) * 100000 * 1.25 - f->commission;
			size += f->side * f->lots;
		}
		unbalanced += fabs(size - te_position_lots(p, &terms)) > 1e-6;
		unbalanced +=
			fabs(cash - p->total_realised - te_position_unrealised(p, &terms, 1.1, 1.25)) > 1e-4;
	}
	is_exactly(unbalanced, 0, "and every position's profit is the sum of its cash flows");
}

int main(void)
{
	netting();
	flips();
	told_profit();
	opposite_orders();
	ledgers();
	check();
	nautilus_vectors();
	any_order(false);
	any_order(true);
	return done_testing();
}
