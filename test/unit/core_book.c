/*
 * core_book.c - open and reserved, added up per scope: against plain lists, with aborts.
 */
#include <stdlib.h>
#include <time.h>

#include "core/book.h"

#include "core_fixture.h"
#include "core_random.h"

static TeBook book;
static void *memory;

static void start(uint32_t entries, uint32_t totals, uint32_t changes)
{
	TeBookLimits limits = {entries, totals, changes};

	free(memory);
	memory = malloc(te_book_size(&limits));
	te_book_init(&book, memory, &limits);
}

static TeKey key(uint64_t n)
{
	return (TeKey){n, n & 3};
}

/* 0.5 lots EURUSD of user 1 in company 100, long EUR (200), short USD (201). */
static TeBookEntry entry(uint64_t id, TeTime expires_at)
{
	return (TeBookEntry){.id = key(id),
	                     .expires_at = expires_at,
	                     .risk = te_book_amount(100),
	                     .notional = te_book_amount(54990),
	                     .margin = te_book_amount(1099.8),
	                     .pending = te_book_lots(0.5),
	                     .tag_count = 4,
	                     .tags = {{key(1), 0}, {key(100), 0}, {key(200), 1}, {key(201), -1}}};
}

static TeBookResult put(TeBookEntry e)
{
	return te_book_put(&book, &e);
}

static void counting(void)
{
	TeBookEntry e = entry(11, NOON);
	TeBookTotals t;

	start(8, 32, 8);
	ok(te_book_totals(&book, key(1)).entries == 0, "nothing is open");
	put(entry(10, NOON + 5));
	put(e);
	t = te_book_totals(&book, key(1));
	ok(t.entries == 2 && te_book_currency(t.risk) == 200,
	   "two signals are reserved, with their risk");
	is_near(te_book_currency(te_book_totals(&book, key(200)).net), 109980, 1e-9, "long EUR");
	is_near(te_book_currency(te_book_totals(&book, key(201)).net), -109980, 1e-9, "short USD");
	te_book_apply(&book);

	e.expires_at = TE_NO_TIME;
	e.risk = te_book_amount(40);
	e.pending = te_book_lots(0.2);
	put(e);
	is_near(te_book_in_lots(te_book_totals(&book, key(1)).pending), 0.7, 1e-12,
	        "what isn't filled of it may still be");
	ok(te_book_totals(&book, key(1)).entries == 2 &&
	       te_book_currency(te_book_totals(&book, key(1)).risk) == 140,
	   "one that is filled takes its own place");
	te_book_discard(&book);
	ok(te_book_currency(te_book_totals(&book, key(1)).risk) == 200 &&
	       te_book_find(&book, key(11))->expires_at == NOON,
	   "an abort puts back what was");
	put(e);
	te_book_apply(&book);
	te_book_expire(&book, NOON + 4);
	ok(te_book_totals(&book, key(100)).entries == 2, "a position doesn't expire");
	te_book_expire(&book, NOON + 5);
	ok(te_book_totals(&book, key(100)).entries == 1 && te_book_find(&book, key(10)) == NULL,
	   "a signal does, at its end");
	te_book_discard(&book);
	ok(te_book_totals(&book, key(100)).entries == 2, "which an abort takes back");
	te_book_remove(&book, key(10));
	te_book_remove(&book, key(11));
	ok(te_book_remove(&book, key(12)) == TE_BOOK_DONE, "taking out what isn't there is nothing");
	t = te_book_totals(&book, key(201));
	ok(t.entries == 0 && t.net == 0 && t.pending == 0 && book.sums_used == 0,
	   "and nothing is left");
}

/* So many amounts that aren't known that their sum is beyond 64 bits. */
/* Half of an order is filled, and nothing more comes: that half is open for good. */
static void staying(void)
{
	TeBookEntry e = entry(1, NOON + 10);
	TeBookTotals t;

	start(4, 16, 8);
	e.pending = te_book_lots(0.5);
	e.stays = true;
	e.left_risk = e.risk / 2;
	e.left_notional = e.notional / 2;
	e.left_margin = e.margin / 2;
	te_book_put(&book, &e);
	te_book_apply(&book);
	te_book_expire(&book, NOON + 9);
	ok(te_book_totals(&book, e.tags[0].key).pending == te_book_lots(0.5),
	   "until it expires all that was asked for counts");
	te_book_expire(&book, NOON + 10);
	t = te_book_totals(&book, e.tags[0].key);
	ok(t.entries == 1 && t.pending == 0, "then it is an open position, and nothing is pending");
	ok(t.risk == e.left_risk && t.notional == e.left_notional && t.margin == e.left_margin,
	   "of what is filled");
	te_book_discard(&book);
	t = te_book_totals(&book, e.tags[0].key);
	ok(t.risk == e.risk && t.pending == e.pending, "an abort brings back what was pending");
	te_book_expire(&book, NOON + 1000000);
	te_book_apply(&book);
	te_book_expire(&book, NOON + 2000000);
	ok(te_book_totals(&book, e.tags[0].key).entries == 1, "what is open never expires");
}

static void unknown_amounts(void)
{
	const uint32_t n = 20000;
	TeBookEntry e = entry(1, NOON);

	start(n, 8, 2 * n);
	e.risk = e.notional = te_book_amount(NAN);
	for (uint32_t i = 0; i < n; i++) {
		e.id = key(1000 + i);
		put(e);
	}
	ok(te_book_currency(te_book_totals(&book, key(1)).risk) > 1e13, "many unknowns are no less");
	ok(te_book_currency(te_book_totals(&book, key(201)).net) < -1e13, "nor on the other side");
	for (uint32_t i = 1; i < n; i++)
		te_book_remove(&book, key(1000 + i));
	is_exactly((double)te_book_totals(&book, key(1)).risk, TE_BOOK_MOST / TE_BOOK_UNIT,
	           "and what remains of them is exact");
}

/* A burst within one batch can't overshoot a limit of 3. */
static void burst(void)
{
	int let = 0;

	start(16, 32, 16);
	for (uint64_t id = 10; id < 20; id++)
		if (te_book_totals(&book, key(1)).entries < 3)
			let += put(entry(id, NOON)) == TE_BOOK_DONE;
	is_exactly(let, 3, "within a batch they count in order");
}

static void bounds(void)
{
	start(3, 5, 3);
	ok(put(entry(10, NOON)) == TE_BOOK_DONE && put(entry(11, NOON)) == TE_BOOK_DONE &&
	       put(entry(12, NOON)) == TE_BOOK_DONE,
	   "room for three");
	ok(put(entry(13, NOON)) == TE_BOOK_NO_CHANGES, "and as many changes");
	ok(te_book_expire(&book, NOON) == TE_BOOK_NO_CHANGES, "expiring is a change too");
	te_book_apply(&book);
	ok(put(entry(13, NOON)) == TE_BOOK_FULL && book.count == 3, "no room for a fourth");
	TeBookEntry other = entry(10, NOON);
	other.tags[0].key = key(7);
	other.tags[1].key = key(8);
	ok(put(other) == TE_BOOK_FULL && te_book_totals(&book, key(1)).entries == 3,
	   "nor for more tags than there is room for");
	ok(te_book_expire(&book, NOON) == TE_BOOK_DONE && book.count == 0, "all expire");

	is_exactly((double)te_book_lots(0.00001), 1000, "lots have eight decimals");
	ok(te_book_lots(-1) == 0 && te_book_in_lots(te_book_lots(NAN)) == TE_BOOK_MOST_LOTS,
	   "fewer than none are none, unknown ones the most");
	is_exactly((double)te_book_amount(0.00004), 0, "amounts have four decimals");
	is_exactly((double)te_book_amount(-0.00006), -1, "rounded");
	ok(te_book_amount(INFINITY) == te_book_amount(NAN) &&
	       te_book_currency(te_book_amount(NAN)) == 1e11,
	   "what isn't known counts as the most");
}

/* --- against a plain list --- */

#define IDS 300
#define TAGS 24

typedef struct Model
{
	bool there[IDS];
	TeBookEntry entries[IDS];
} Model;

static Model now, kept;

static TeBookTotals model_totals(TeKey tag)
{
	TeBookTotals t = {0, 0, 0, 0, 0, 0};

	for (int i = 0; i < IDS; i++)
		for (int k = 0; now.there[i] && k < now.entries[i].tag_count; k++) {
			const TeBookEntry *e = &now.entries[i];

			if (!te_key_equal(e->tags[k].key, tag))
				continue;
			t.entries++;
			t.risk += e->risk;
			t.notional += e->notional;
			t.margin += e->margin;
			t.pending += e->pending;
			t.net += e->tags[k].net * e->notional;
		}
	return t;
}

static int compare_all(void)
{
	int wrong = 0;

	for (uint64_t tag = 0; tag < TAGS; tag++) {
		TeBookTotals want = model_totals(key(tag * 64)), got = te_book_totals(&book, key(tag * 64));

		wrong += memcmp(&want, &got, sizeof(want)) != 0;
	}
	for (uint64_t i = 0; i < IDS; i++)
		wrong += (te_book_find(&book, key(i)) != NULL) != now.there[i];
	return wrong;
}

static void random_put(TeTime at)
{
	int i = below(IDS);
	TeBookEntry e = {.id = key((uint64_t)i),
	                 .expires_at = below(3) ? at + below(500) : TE_NO_TIME,
	                 .risk = te_book_amount(between(0, 1000)),
	                 .notional = te_book_amount(between(0, 1e6)),
	                 .margin = te_book_amount(between(0, 1e4)),
	                 .pending = te_book_lots(between(0, 10)),
	                 .tag_count = below(6)};

	e.stays = below(3) == 0;
	e.left_risk = e.risk / 3;
	e.left_notional = e.notional / 3;
	e.left_margin = e.margin / 3;
	for (int k = 0; k < e.tag_count; k++) /* tags share buckets, none comes twice */
		e.tags[k] = (TeBookTag){key((uint64_t)(k * 4 + below(4)) * 64), (int8_t)(below(3) - 1)};
	if (te_book_put(&book, &e) == TE_BOOK_DONE) {
		now.there[i] = true;
		now.entries[i] = e;
	}
}

/* Other memory, for as much or more than there is; a batch in hand goes on. */
static void move(void)
{
	TeBookLimits limits = {book.count + 1 + (uint32_t)below(100),
	                       book.sums_used + (uint32_t)below(100) + TAGS,
	                       book.changes + 60 + (uint32_t)below(100)};
	void *old = memory;

	if (limits.entries < 200)
		limits.entries = 200;
	if (limits.totals < 2 * TAGS)
		limits.totals = 2 * TAGS;
	memory = malloc(te_book_size(&limits));
	te_book_move(&book, memory, &limits);
	free(old);
}

static void expire_in_model(int i, TeTime at)
{
	TeBookEntry *e = &now.entries[i];

	if (!now.there[i] || e->expires_at == TE_NO_TIME || e->expires_at > at)
		return;
	now.there[i] = e->stays;
	e->risk = e->left_risk;
	e->notional = e->left_notional;
	e->margin = e->left_margin;
	e->pending = 0;
	e->expires_at = TE_NO_TIME;
}

static void property(void)
{
	TeTime at = NOON;
	int wrong = 0, most = 0;

	start(200, 2 * TAGS, 60);
	for (int batch = 0; batch < 4000; batch++) {
		TeTime before = at;

		for (int n = below(20); n > 0; n--)
			switch (below(5)) {
			case 0: {
				int i = below(IDS);

				wrong += te_book_remove(&book, key((uint64_t)i)) != TE_BOOK_DONE;
				now.there[i] = false;
				break;
			}
			case 1:
				at += below(60);
				if (te_book_expire(&book, at) == TE_BOOK_DONE)
					for (int i = 0; i < IDS; i++)
						expire_in_model(i, at);
				else
					n = 1, wrong++;
				break;
			default:
				random_put(at);
				if (below(50) == 0)
					move();
			}
		if ((int)book.count > most)
			most = (int)book.count;
		if (below(3) == 0) {
			te_book_discard(&book);
			now = kept;
			at = before;
		} else {
			te_book_apply(&book);
			kept = now;
		}
		wrong += compare_all();
	}
	ok(wrong == 0, "4,000 random batches, a third aborted: the same as a plain list");
	ok(most > 100, "with many entries");
}

/* --- with much that is open --- */

#define BATCH 100
#define ROUNDS 100
#define USERS 1000

/* Keys as the engine has them: hashes. */
static TeKey hashed(uint64_t n)
{
	return (TeKey){n, n * UINT64_C(0x9e3779b97f4a7c15)};
}

/* The order of one of the users of two hundred companies, in one of fifty symbols. */
static TeBookEntry order(uint64_t id)
{
	TeBookEntry e = entry(id, NOON + (TeTime)(id * 7919 % 100000));
	uint64_t user = id % USERS, company = user % 200, symbol = id % 50;

	e.id = hashed(id);
	e.tag_count = 8;
	e.tags[0] = (TeBookTag){hashed(1000 + user), 0};
	e.tags[1] = (TeBookTag){hashed(10000 + company), 0};
	e.tags[2] = (TeBookTag){hashed(100000 + company * 50 + symbol), 0};
	e.tags[3] = (TeBookTag){hashed(200000 + user * 50 + symbol), 0};
	e.tags[4] = (TeBookTag){hashed(300000 + user), 0};
	e.tags[5] = (TeBookTag){hashed(400000 + user), 1};
	e.tags[6] = (TeBookTag){hashed(500000 + user), -1};
	e.tags[7] = (TeBookTag){hashed(600000 + symbol), 0};
	return e;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Look at all totals of each order, reserve it; then all of them have an outcome. */
static int64_t batch(uint64_t first)
{
	int64_t seen = 0;

	for (uint64_t id = first; id < first + BATCH; id++) {
		TeBookEntry e = order(id);

		for (int k = 0; k < e.tag_count; k++)
			seen += te_book_totals(&book, e.tags[k].key).entries;
		put(e);
	}
	te_book_apply(&book);
	for (uint64_t id = first; id < first + BATCH; id++)
		te_book_remove(&book, hashed(id));
	te_book_apply(&book);
	return seen;
}

/* What a batch costs at the least while so many orders are open. */
static double cost(uint32_t open)
{
	double least = INFINITY;
	int64_t seen = 0;

	start(open + BATCH, 8 * (open + BATCH), BATCH);
	for (uint32_t id = 0; id < open; id++) {
		put(order(id));
		te_book_apply(&book);
	}
	for (uint64_t round = 0; round < ROUNDS; round++) {
		double begun = cpu_seconds(), took;

		seen += batch(open + round * BATCH);
		took = cpu_seconds() - begun;
		if (took < least)
			least = took;
	}
	ok(book.count == open && seen > 0, "all orders are open");
	return least;
}

/* A look at every order would take a hundred times as long; what is left is the processor's cache.
 */
static void much_is_open(void)
{
	double few = cost(500), many = cost(50000);

	printf("# a batch of %d orders: %.1f us with 500 open, %.1f us with 50,000\n", BATCH, few * 1e6,
	       many * 1e6);
	ok(many < 10 * few, "with 50,000 orders open a batch costs what it did with few");
}

int main(void)
{
	counting();
	staying();
	unknown_amounts();
	burst();
	bounds();
	property();
	much_is_open();
	free(memory);
	return done_testing();
}
