/*
 * counts.c - counting decisions and predictions.
 */
#include "postgres.h"

#include "engine/counts.h"
#include "engine/rows.h"
#include "engine/session.h"
#include "wire/identity.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CONFIDENCES 101 /* hundredths, rounded down */
#define CONFIDENCE_SLACK 1e-9

#define STAGED_ROOM 1024 /* at first */

typedef struct ConfidenceCounts
{
	char key[2 * (TE_ID_MAX + 1) + TE_SYMBOL_MAX + 1]; /* company, user and symbol, joined by '/' */
	uint32 counts[CONFIDENCES];
} ConfidenceCounts;

struct TeCounts
{
	int lane;
	TimestampTz minute; /* that is being counted; 0: nothing was counted yet */
	HTAB *confidences;

	/* What the batch adds one to, once it is committed. */
	uint32 **staged;
	Size staged_count, staged_room;
};

static const TeColumnSpec decision_columns[] = {
	{"company_id", "text"}, {"user_id", "text"}, {"strategy_id", "text"}, {"minute", "timestamptz"},
	{"outcome", "text"},    {"lane", "int4"},    {"decisions", "int8"},   {"rule_errors", "int8"},
};
static const TeColumnSpec confidence_columns[] = {
	{"company_id", "text"}, {"user_id", "text"}, {"symbol", "text"},      {"minute", "timestamptz"},
	{"confidence", "int2"}, {"lane", "int4"},    {"predictions", "int8"},
};

/* A worker that is started twice in a minute adds to what the first has written. */
static TeRowsSpec decision_spec = {
	.table = "trading.decision_counts AS t",
	.columns = decision_columns,
	.column_count = lengthof(decision_columns),
	.on_conflict =
		"(company_id, user_id, strategy_id, minute, outcome, lane)"
		" DO UPDATE SET decisions = t.decisions OPERATOR(pg_catalog.+) EXCLUDED.decisions,"
		"               rule_errors = t.rule_errors OPERATOR(pg_catalog.+) EXCLUDED.rule_errors",
};
static TeRowsSpec confidence_spec = {
	.table = "trading.confidence_counts AS t",
	.columns = confidence_columns,
	.column_count = lengthof(confidence_columns),
	.on_conflict =
		"(company_id, user_id, symbol, minute, confidence, lane)"
		" DO UPDATE SET predictions = t.predictions OPERATOR(pg_catalog.+) EXCLUDED.predictions",
};

static TimestampTz this_minute(void)
{
	TimestampTz now = GetCurrentTimestamp();

	return now - now % USECS_PER_MINUTE;
}

TeCounts *te_counts_create(int lane)
{
	TeCounts *counts = MemoryContextAllocZero(TopMemoryContext, sizeof(TeCounts));
	HASHCTL control = {.keysize = sizeof(((ConfidenceCounts *)0)->key),
	                   .entrysize = sizeof(ConfidenceCounts)};

	counts->lane = lane;
	counts->confidences = hash_create("confidences", 64, &control, HASH_ELEM | HASH_STRINGS);
	counts->staged_room = STAGED_ROOM;
	counts->staged = MemoryContextAlloc(TopMemoryContext, STAGED_ROOM * sizeof(uint32 *));
	return counts;
}

static inline void stage(TeCounts *counts, uint32 *count)
{
	if (counts->staged_count == counts->staged_room) {
		counts->staged = repalloc_huge(counts->staged, 2 * counts->staged_room * sizeof(uint32 *));
		counts->staged_room *= 2;
	}
	counts->staged[counts->staged_count++] = count;
}

void te_counts_decision(TeCounts *counts, TeTally *tally, const TeDecision *decision)
{
	stage(counts, &tally->counts[decision->outcome]);
	if (decision->rule_failed)
		stage(counts, &tally->rule_errors);
}

void te_counts_prediction(TeCounts *counts, const char *company_id, const char *user_id,
                          const char *symbol, double confidence)
{
	ConfidenceCounts *c;
	char key[sizeof(c->key)];
	bool found;

	snprintf(key, sizeof(key), "%s/%s/%s", company_id, user_id, symbol);
	c = hash_search(counts->confidences, key, HASH_ENTER, &found);
	if (!found)
		memset(c->counts, 0, sizeof(c->counts));
	/* 0.29 * 100 is a little less than 29. */
	stage(counts, &c->counts[(int)(confidence * 100 + CONFIDENCE_SLACK)]);
}

void te_counts_apply(TeCounts *counts)
{
	if (counts->staged_count > 0 && counts->minute == 0)
		counts->minute = this_minute();
	for (Size i = 0; i < counts->staged_count; i++)
		(*counts->staged[i])++;
	counts->staged_count = 0;
}

void te_counts_discard(TeCounts *counts)
{
	counts->staged_count = 0;
}

bool te_counts_due(const TeCounts *counts)
{
	return counts->minute != 0 && counts->minute != this_minute();
}

/* Split "a/b/c"; the parts end where the slashes were. */
static void split(char *key, char **a, char **b, char **c)
{
	*a = key;
	*b = strchr(*a, '/');
	*(*b)++ = '\0';
	*c = strchr(*b, '/');
	*(*c)++ = '\0';
}

typedef struct Flush
{
	TeCounts *counts;
	TeRows rows;
} Flush;

static int add_row(Flush *flush, const char *key, int64 count)
{
	char *company, *user, *last;
	int row = te_rows_add(&flush->rows);

	split(pstrdup(key), &company, &user, &last);
	te_rows_set_text(&flush->rows, row, 0, company);
	te_rows_set_text(&flush->rows, row, 1, user);
	te_rows_set_text(&flush->rows, row, 2, last);
	te_rows_set(&flush->rows, row, 3, TimestampTzGetDatum(flush->counts->minute));
	te_rows_set(&flush->rows, row, 5, Int32GetDatum(flush->counts->lane));
	te_rows_set(&flush->rows, row, 6, Int64GetDatum(count));
	return row;
}

static void flush_tally(TeTally *tally, void *arg)
{
	Flush *flush = arg;
	TeRows *rows = &flush->rows;

	for (int outcome = 0; outcome < TE_OUTCOME_COUNT; outcome++) {
		/* A rule that fails is the gate that decides. */
		uint32 rule_errors = outcome == TE_OUTCOME_CUSTOM_RULE ? tally->rule_errors : 0;
		int row;

		if (tally->counts[outcome] == 0)
			continue;
		row = add_row(flush, tally->key, tally->counts[outcome]);
		te_rows_set_text(rows, row, 4, te_outcome_enum.labels[outcome]);
		te_rows_set(rows, row, 7, Int64GetDatum(rule_errors));
	}
}

static void flush_confidences(Flush *flush)
{
	HASH_SEQ_STATUS scan;
	ConfidenceCounts *c;

	hash_seq_init(&scan, flush->counts->confidences);
	while ((c = hash_seq_search(&scan)) != NULL)
		for (int i = 0; i < CONFIDENCES; i++)
			if (c->counts[i] > 0)
				te_rows_set(&flush->rows, add_row(flush, c->key, c->counts[i]), 4,
				            Int16GetDatum(i));
}

/* They aren't kept for later: users times symbols are too many. */
static void clear_confidences(TeCounts *counts)
{
	HASH_SEQ_STATUS scan;
	ConfidenceCounts *c;

	hash_seq_init(&scan, counts->confidences);
	while ((c = hash_seq_search(&scan)) != NULL)
		(void)hash_search(counts->confidences, c->key, HASH_REMOVE, NULL);
}

void te_counts_flush(TeCounts *counts, TeCache *cache)
{
	Flush decisions = {.counts = counts}, confidences = {.counts = counts};

	if (counts->minute == 0)
		return;
	te_session_begin("writing decision counts");
	te_session_asynchronous();
	te_rows_init(&decisions.rows, &decision_spec, CurrentMemoryContext);
	te_rows_init(&confidences.rows, &confidence_spec, CurrentMemoryContext);
	te_cache_visit_tallies(cache, flush_tally, &decisions);
	flush_confidences(&confidences);
	te_rows_insert(&decisions.rows);
	te_rows_insert(&confidences.rows);
	te_session_commit();
	te_cache_clear_tallies(cache);
	clear_confidences(counts);
	counts->minute = 0;
}
