/*
 * repeats.c - see repeats.h.
 *
 * Each lane's part of an epoch is judged with memories of its own, which begin with what the
 * epochs before have left: between two epochs a company may go from one lane to another, within an
 * epoch it stays.  Unlike a lane's, these memories grow as long as they would have to forget
 * what is still of interest.
 */
#include "postgres.h"

#include "replay/repeats.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define MEMORY_AT_FIRST 4096
#define BATCH_AT_FIRST 1024

/* Entries of a memory, apart from it. */
typedef struct Memos
{
	TeMemo *memos;
	int64 count, capacity;
} Memos;

typedef struct Remains
{
	Memos signals, decisions;
} Remains;

typedef struct Ban
{
	struct Ban *next; /* of the same prediction */
	int64 batch_no;
	TeTime until;
} Ban;

typedef struct BanEntry
{
	TeKey prediction;
	Ban *bans;
} BanEntry;

/* A signal that the assessment of its group takes back. */
typedef struct TurnedDown
{
	uint64 number;
	int32 group;
} TurnedDown;

struct TeRepeats
{
	MemoryContext context;
	HTAB *bans;

	/* The lane at hand. */
	bool entered;
	int64 epoch;
	int32 lane;
	TeDuplicateLimits limits;
	void *memory;
	TeDuplicates duplicates;
	uint64 first_signal, first_decision; /* the first entries that are the lane's own */
	int64 batch_no;
	int32 group; /* of the last candidate whose group is known */
	TeTime now;
	int turned_down_count, turned_down_capacity;
	TurnedDown *turned_down; /* of the batch */

	Remains earlier;   /* of earlier epochs, and of before the run */
	Remains of_epoch;  /* of lanes of this epoch that are done */
	TeTime epoch_ends; /* the earliest end of those */
};

TeKey te_repeats_key(const TeRepeatsSeed *seed, const char *company_id, const char *user_id,
                     const char *strategy_id, const char *name)
{
	const char *names[] = {company_id, user_id, strategy_id, name};
	TeKey key = {seed->hi, seed->lo};

	for (int i = 0; i < (int)lengthof(names); i++) {
		int length = (int)strlen(names[i]) + 1;

		key.hi = hash_bytes_extended((const unsigned char *)names[i], length, key.hi);
		key.lo = hash_bytes_extended((const unsigned char *)names[i], length, key.lo);
	}
	return key;
}

/* What one series says is another's business only where it is 0. */
static TeKey of_series(TeKey key, uint32 series)
{
	key.lo ^= hash_bytes_uint32_extended(series, key.hi);
	return key;
}

/*----------------------------------------------------------------------
 * Memories
 *----------------------------------------------------------------------*/

static void lay_out(TeRepeats *r)
{
	r->limits = (TeDuplicateLimits){.signals = MEMORY_AT_FIRST,
	                                .decisions = MEMORY_AT_FIRST,
	                                .bans = 1,
	                                .batch = BATCH_AT_FIRST};
	r->memory = MemoryContextAllocHuge(r->context, te_duplicates_size(&r->limits));
	te_duplicates_init(&r->duplicates, r->memory, &r->limits);
}

static void grow(TeRepeats *r, uint32 *limit)
{
	void *old = r->memory;

	if (*limit > PG_INT32_MAX / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the replay makes more signals than can be compared")));
	*limit *= 2;
	r->memory = MemoryContextAllocHuge(r->context, te_duplicates_size(&r->limits));
	te_duplicates_move(&r->duplicates, r->memory, &r->limits);
	pfree(old);
}

/* Whether one more entry would push out one that is still of interest. */
static bool is_full(const TeRepeats *r, const TeRecall *recall)
{
	const TeMemo *oldest;

	if (recall->newest < recall->capacity)
		return false;
	oldest = te_recall_entry(recall, recall->newest - recall->capacity + 1);
	return oldest != NULL && oldest->until > r->now;
}

static void make_room(TeRepeats *r)
{
	if (is_full(r, &r->duplicates.signals))
		grow(r, &r->limits.signals);
	if (is_full(r, &r->duplicates.decisions))
		grow(r, &r->limits.decisions);
}

/* Stage a signal or hold; its number. */
static uint64 add_signal(TeRepeats *r, const TeDuplicateSignal *signal, const TeDuplicateRule *rule)
{
	while (te_duplicates_add_signal(&r->duplicates, signal, rule) == NULL)
		grow(r, &r->limits.batch);
	return r->duplicates.signals.newest;
}

static void add_decision(TeRepeats *r, TeKey prediction, const TeReplayCandidate *c)
{
	while (!te_duplicates_add_decision(&r->duplicates, prediction, c->at, (TeOutcome)c->outcome,
	                                   c->signal_strength))
		grow(r, &r->limits.batch);
}

/*----------------------------------------------------------------------
 * What is left of a lane
 *----------------------------------------------------------------------*/

static void keep_memo(TeRepeats *r, Memos *to, const TeMemo *memo)
{
	if (to->count == to->capacity) {
		to->capacity = to->capacity > 0 ? 2 * to->capacity : 64;
		to->memos = to->memos != NULL
		                ? repalloc_huge(to->memos, sizeof(TeMemo) * to->capacity)
		                : MemoryContextAllocHuge(r->context, sizeof(TeMemo) * to->capacity);
	}
	to->memos[to->count++] = *memo;
}

/* Keep the entries from a number on that are of interest after "now". */
static void keep_recall(TeRepeats *r, Memos *to, const TeRecall *recall, uint64 first)
{
	if (recall->newest >= recall->capacity)
		first = Max(first, recall->newest - recall->capacity + 1);
	for (uint64 number = first; number <= recall->newest; number++) {
		const TeMemo *memo = te_recall_entry(recall, number);

		if (memo != NULL && memo->until > r->now)
			keep_memo(r, to, memo);
	}
}

static void keep_memos(TeRepeats *r, Memos *to, Memos *from, TeTime after)
{
	for (int64 i = 0; i < from->count; i++)
		if (from->memos[i].until > after)
			keep_memo(r, to, &from->memos[i]);
	if (from->memos != NULL)
		pfree(from->memos);
	*from = (Memos){0};
}

static void put_back(TeRepeats *r, TeRecall *recall, uint32 *limit, const Memos *memos)
{
	while (*limit / 2 < memos->count)
		grow(r, limit);
	for (int64 i = 0; i < memos->count; i++) {
		const TeMemo *from = &memos->memos[i];
		TeMemo *to;

		while ((to = te_recall_stage(recall, from->key)) == NULL)
			te_duplicates_apply(&r->duplicates, r->now);
		to->at = from->at;
		to->until = from->until;
		to->price = from->price;
		to->side = from->side;
		to->code = from->code;
	}
	te_duplicates_apply(&r->duplicates, r->now);
}

/*----------------------------------------------------------------------
 * Batches and lanes
 *----------------------------------------------------------------------*/

/* Groups before this one are assessed. */
static void end_groups(TeRepeats *r, int32 before)
{
	int kept = 0;

	for (int i = 0; i < r->turned_down_count; i++) {
		const TurnedDown *t = &r->turned_down[i];
		TeMemo *memo;

		if (t->group >= before) {
			r->turned_down[kept++] = *t;
			continue;
		}
		memo = te_recall_entry(&r->duplicates.signals, t->number);
		if (memo != NULL)
			te_duplicates_retype(memo, 0, TE_HOLD_REASON_NONE);
	}
	r->turned_down_count = kept;
}

static void end_batch(TeRepeats *r)
{
	end_groups(r, PG_INT32_MAX);
	r->group = 0;
	te_duplicates_apply(&r->duplicates, r->now);
}

/*
 * A candidate that wasn't recorded belongs to the group of the one before it: had it come after the
 * assessment, it would have been said, and recorded.  Series come one after another, so that groups
 * begin again with each.
 */
static void go_to_group(TeRepeats *r, int32 group)
{
	if (group < 0)
		return;
	if (group > r->group)
		end_groups(r, group);
	r->group = group;
}

static void note_turned_down(TeRepeats *r, uint64 number, int32 group)
{
	if (r->turned_down_count == r->turned_down_capacity) {
		r->turned_down_capacity = Max(64, 2 * r->turned_down_capacity);
		r->turned_down =
			r->turned_down != NULL
				? repalloc_huge(r->turned_down, sizeof(TurnedDown) * r->turned_down_capacity)
				: MemoryContextAllocHuge(r->context, sizeof(TurnedDown) * r->turned_down_capacity);
	}
	r->turned_down[r->turned_down_count++] = (TurnedDown){number, group};
}

static void leave(TeRepeats *r)
{
	if (!r->entered)
		return;
	end_batch(r);
	keep_recall(r, &r->of_epoch.signals, &r->duplicates.signals, r->first_signal);
	keep_recall(r, &r->of_epoch.decisions, &r->duplicates.decisions, r->first_decision);
	r->epoch_ends = Min(r->epoch_ends, r->now);
	pfree(r->memory);
}

static void begin_epoch(TeRepeats *r)
{
	Remains all = {0};

	keep_memos(r, &all.signals, &r->earlier.signals, r->epoch_ends);
	keep_memos(r, &all.decisions, &r->earlier.decisions, r->epoch_ends);
	keep_memos(r, &all.signals, &r->of_epoch.signals, TE_NO_TIME);
	keep_memos(r, &all.decisions, &r->of_epoch.decisions, TE_NO_TIME);
	r->earlier = all;
	r->epoch_ends = PG_INT64_MAX;
}

void te_repeats_enter(TeRepeats *r, int64 epoch, int32 lane)
{
	bool same_epoch = r->entered && r->epoch == epoch;

	if (same_epoch && r->lane == lane)
		return;
	leave(r);
	if (r->entered && !same_epoch)
		begin_epoch(r);
	r->entered = true;
	r->epoch = epoch;
	r->lane = lane;
	r->batch_no = 0;
	r->now = PG_INT64_MIN;
	lay_out(r);
	put_back(r, &r->duplicates.signals, &r->limits.signals, &r->earlier.signals);
	put_back(r, &r->duplicates.decisions, &r->limits.decisions, &r->earlier.decisions);
	r->first_signal = r->duplicates.signals.newest + 1;
	r->first_decision = r->duplicates.decisions.newest + 1;
}

TeRepeats *te_repeats_create(MemoryContext context)
{
	TeRepeats *r = MemoryContextAllocZero(context, sizeof(TeRepeats));
	HASHCTL control = {.keysize = sizeof(TeKey), .entrysize = sizeof(BanEntry), .hcxt = context};

	r->context = context;
	r->epoch_ends = PG_INT64_MAX;
	r->bans =
		hash_create("stopped-out predictions", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return r;
}

/*----------------------------------------------------------------------
 * Judging
 *----------------------------------------------------------------------*/

void te_repeats_ban(TeRepeats *r, TeKey prediction, int64 batch_no, TeTime stopped_at)
{
	BanEntry *entry;
	bool found;
	Ban *ban = MemoryContextAlloc(r->context, sizeof(Ban));

	entry = hash_search(r->bans, &prediction, HASH_ENTER, &found);
	*ban = (Ban){found ? entry->bans : NULL, batch_no, stopped_at + TE_REENTRY_BAN};
	entry->bans = ban;
}

static bool is_banned(const TeRepeats *r, const TeReplayCandidate *c)
{
	const BanEntry *entry;

	if (hash_get_num_entries(r->bans) == 0)
		return false;
	entry = hash_search(r->bans, &c->prediction, HASH_FIND, NULL);
	for (const Ban *ban = entry != NULL ? entry->bans : NULL; ban != NULL; ban = ban->next)
		if (ban->batch_no < c->batch_no && c->at < ban->until)
			return true;
	return false;
}

static TeDuplicateSignal signal_of(const TeReplayCandidate *c, TeKey key)
{
	return (TeDuplicateSignal){.key = key,
	                           .at = c->at,
	                           .side = c->side,
	                           .entry_price = c->entry_price,
	                           .hold_reason = c->hold_reason};
}

static TeDuplicateRule rule_of(const TeReplayCandidate *c)
{
	return (TeDuplicateRule){.window_seconds = c->window_seconds,
	                         .distance_pips = c->distance_pips,
	                         .pip_size = c->pip_size};
}

/* Whether it repeats what a series has said. */
static bool repeats(const TeRepeats *r, const TeReplayCandidate *c, uint32 series)
{
	TeDuplicateSignal signal = signal_of(c, of_series(c->signal, series));
	TeDuplicateRule rule = rule_of(c);
	TeOutcome outcome;

	return te_duplicates_has_decision(&r->duplicates, of_series(c->prediction, series), c->at,
	                                  &outcome) ||
	       te_duplicates_has_signal(&r->duplicates, &signal, &rule);
}

void te_repeats_remember(TeRepeats *r, const TeReplayCandidate *c)
{
	TeMemo signal = {.key = of_series(c->signal, 0),
	                 .at = c->at,
	                 .until = c->at + c->window_seconds * TE_USEC_PER_SEC,
	                 .price = c->entry_price,
	                 .side = c->side,
	                 .code = c->hold_reason};
	TeMemo decision = {.key = of_series(c->prediction, 0),
	                   .at = c->at,
	                   .until = c->at + te_decision_life(c->signal_strength),
	                   .code = c->outcome};

	if (c->outcome != TE_OUTCOME_RISK_REJECTED)
		keep_memo(r, &r->earlier.signals, &signal);
	keep_memo(r, &r->earlier.decisions, &decision);
}

bool te_repeats_judge(TeRepeats *r, const TeReplayCandidate *c)
{
	TeDuplicateSignal signal = signal_of(c, of_series(c->signal, c->series));
	TeDuplicateRule rule = rule_of(c);

	if (c->batch_no != r->batch_no)
		end_batch(r);
	r->batch_no = c->batch_no;
	go_to_group(r, c->group);
	r->now = Max(r->now, c->at);
	if (is_banned(r, c) || repeats(r, c, c->series) || repeats(r, c, 0))
		return true;
	make_room(r);
	if (c->outcome != TE_OUTCOME_RISK_REJECTED)
		(void)add_signal(r, &signal, &rule);
	else if (c->turned_down)
		note_turned_down(r, add_signal(r, &signal, &rule), c->group);
	add_decision(r, of_series(c->prediction, c->series), c);
	return false;
}
