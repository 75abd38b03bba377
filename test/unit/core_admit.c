/*
 * core_admit.c - the admission table, case by case; and lanes.
 */
#include "core/admit.h"
#include "core/lane.h"
#include "tap.h"

static TeProducerState state;
static TeAdmission a;

/* A producer in epoch 5 that sends 8 next. */
static void start(void)
{
	state = (TeProducerState){5, 8};
}

static const char *const names[] = {"IN_ORDER",  "GAP",  "NEW_EPOCH", "STALE",
                                    "DUPLICATE", "LATE", "CONFLICT"};

static const char *verdict(uint64_t epoch, uint64_t seq, const char *hash, const char *stored)
{
	a = te_admit(&state, epoch, seq, hash, stored, 4);
	return names[a.verdict];
}

static bool gap_is(uint64_t from, uint64_t to)
{
	return a.gap_from == from && a.gap_to == to;
}

static bool unmoved(void)
{
	return state.epoch == 5 && state.next_seq == 8 && !te_admit_applies(a.verdict) && gap_is(0, 0);
}

static void in_order(void)
{
	start();
	ok(!te_admit_needs_hash(&state, 5, 8), "the next number needs no hash");
	is_text(verdict(5, 8, "hash", NULL), "IN_ORDER", "the next number is in order");
	ok(te_admit_applies(a.verdict) && gap_is(0, 0) && state.next_seq == 9,
	   "applies, and the state moves on");
}

static void jumps(void)
{
	start();
	is_text(verdict(5, 12, "hash", NULL), "GAP", "a jump is a gap");
	ok(te_admit_applies(a.verdict) && gap_is(8, 11) && state.next_seq == 13,
	   "is applied, and what is missing reported");
	is_text(verdict(5, 9, "hash", NULL), "LATE", "what was missed comes too late");
	ok(!te_admit_applies(a.verdict) && state.next_seq == 13, "and has no effect");
}

static void repeats(void)
{
	start();
	ok(te_admit_needs_hash(&state, 5, 7), "an old number needs the stored hash");
	is_text(verdict(5, 7, "hash", "hash"), "DUPLICATE", "the same content is a duplicate");
	ok(unmoved(), "without effect");
	is_text(verdict(5, 7, "hash", "hasH"), "CONFLICT", "another content is a conflict");
	ok(unmoved(), "without effect");
}

static void epochs(void)
{
	start();
	is_text(verdict(4, 8, "hash", NULL), "STALE", "an epoch that is over is stale");
	ok(unmoved(), "without effect");
	ok(!te_admit_needs_hash(&state, 4, 3) && !te_admit_needs_hash(&state, 6, 3),
	   "other epochs need no hash");

	is_text(verdict(6, 1, "hash", NULL), "NEW_EPOCH", "a higher epoch from 1");
	ok(te_admit_applies(a.verdict) && gap_is(0, 0) && state.epoch == 6 && state.next_seq == 2,
	   "opens without a gap");
	ok(a.abandoned_epoch == 5 && a.abandoned_from == 8, "and says where the old one was given up");

	start();
	is_text(verdict(6, 4, "hash", NULL), "NEW_EPOCH", "a higher epoch later than 1");
	ok(gap_is(1, 3) && state.next_seq == 5, "opens with a gap from 1");

	state = (TeProducerState){0};
	is_text(verdict(0, 1, "hash", NULL), "NEW_EPOCH", "a producer never seen, in epoch 0");
	ok(a.abandoned_from == 0 && state.next_seq == 2, "abandons nothing");
	is_text(verdict(0, 2, "hash", NULL), "IN_ORDER", "and goes on");
}

static void impossible_numbers(void)
{
	start();
	is_text(verdict(5, 0, "hash", NULL), "CONFLICT", "numbers start at 1");
	ok(unmoved(), "0 has no effect");
	is_text(verdict(5, UINT64_MAX, "hash", NULL), "CONFLICT", "a number that can't be stored");
	is_text(verdict(UINT64_MAX, 1, "hash", NULL), "CONFLICT", "an epoch that can't be stored");
	ok(unmoved(), "have no effect");
	is_text(verdict(TE_ADMIT_MAX_NUMBER, TE_ADMIT_MAX_NUMBER, "hash", NULL), "NEW_EPOCH",
	        "the greatest that can be");
}

static void lanes(void)
{
	int counts[8] = {0};
	bool even = true;

	/* FNV-1a of "foobar" is published as 0x85944171f73967e8; MurmurHash3's finalizer takes that to
	 * this. */
	ok(te_lane_of("foobar", 1000003) == UINT64_C(0x2c22194922d1672b) % 1000003,
	   "the hash is FNV-1a, mixed");
	ok(te_lane_of("acme", 1) == 0, "a single lane has all");
	for (int i = 0; i < 8000; i++) {
		char id[32];

		snprintf(id, sizeof(id), "company-%d", i);
		counts[te_lane_of(id, 8)]++;
	}
	for (int i = 0; i < 8; i++)
		even = even && counts[i] > 850 && counts[i] < 1150;
	ok(even, "8,000 companies spread evenly over 8 lanes");

	ok(te_lane_clock(TE_NO_TIME, 5) == 5 && te_lane_clock(7, 5) == 7 && te_lane_clock(5, 7) == 7,
	   "a lane's clock is the greatest generated_at");
}

int main(void)
{
	in_order();
	jumps();
	repeats();
	epochs();
	impossible_numbers();
	lanes();
	return done_testing();
}
