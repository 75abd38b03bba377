/*
 * before.c - what was recorded before a run: its first signals may repeat it.
 */
#include "postgres.h"

#include "replay/work.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/work.h"
#include "engine/query.h"
#include "sql/sqltime.h"

/* No window is longer. */
#define LONGEST_WINDOW 86400

typedef struct Before
{
	const TeRepeatsSeed *seed;
	TeRepeats *repeats;
	MemoryContext per_row;
} Before;

static int value_of(const TeEnum *e, const char *label)
{
	int value = label != NULL ? te_enum_value(e, label) : 0;

	if (value < 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("trading.signals has an unknown %s \"%s\"", e->name, label)));
	return value;
}

static TeKey key_of(const Before *before, TeRow *row, const char *column)
{
	return te_repeats_key(before->seed, te_row_text(row, "company_id"), te_row_text(row, "user_id"),
	                      te_row_text(row, "strategy_id"), te_row_text(row, column));
}

static void read_signal(TeRow *row, void *arg)
{
	const Before *before = arg;
	MemoryContext old = MemoryContextSwitchTo(before->per_row);
	TeDirection type = (TeDirection)value_of(&te_direction_enum, te_row_text(row, "signal_type"));
	TeReplayCandidate candidate = {
		.signal = key_of(before, row, "symbol"),
		.prediction = key_of(before, row, "prediction_id"),
		.batch_no = te_row_int(row, "batch_no"),
		.at = te_row_time(row, "decided_at"),
		.entry_price = te_row_double(row, "entry_price"),
		.signal_strength = te_row_double(row, "signal_strength"),
		.window_seconds = LONGEST_WINDOW,
		.outcome = (uint8)value_of(&te_outcome_enum, te_row_text(row, "outcome")),
		.hold_reason = (uint8)value_of(&te_hold_reason_enum, te_row_text(row, "hold_reason")),
	};

	candidate.side = (int8)(candidate.outcome == TE_OUTCOME_SIGNAL ? te_direction_sign(type) : 0);
	te_repeats_remember(before->repeats, &candidate);
	MemoryContextSwitchTo(old);
	MemoryContextReset(before->per_row);
}

static void read_stop_out(TeRow *row, void *arg)
{
	const Before *before = arg;

	te_repeats_ban(before->repeats, key_of(before, row, "prediction_id"),
	               te_row_int(row, "stopped_batch_no"), te_row_time(row, "stopped_at"));
}

/* A signal belongs to the time of its message, which a run has as a whole or not at all. */
void te_replay_remember_before(const TeReplayRun *run, const TeRepeatsSeed *seed,
                               TeRepeats *repeats)
{
	static const char signals[] =
		/* The messages first: there are few of them before the run, and many in it. */
		"WITH p AS MATERIALIZED ("
		"  SELECT q.lane, q.batch_no, q.position FROM trading.prediction_batches AS q"
		"   WHERE q.decided_at OPERATOR(pg_catalog.>=)"
		"         ($1 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)"
		"     AND q.decided_at OPERATOR(pg_catalog.<) $1)"
		"SELECT s.company_id, s.user_id, s.strategy_id, s.symbol, s.prediction_id, s.batch_no,"
		"       s.decided_at, s.outcome, s.hold_reason, s.signal_type, s.entry_price,"
		"       s.signal_strength"
		"  FROM p JOIN trading.signals AS s ON s.lane OPERATOR(pg_catalog.=) p.lane"
		"   AND s.batch_no OPERATOR(pg_catalog.=) p.batch_no"
		"   AND s.position OPERATOR(pg_catalog.=) p.position"
		" WHERE true"
		"   AND ($2 IS NULL OR s.company_id OPERATOR(pg_catalog.=) $2)"
		"   AND ($3 IS NULL OR s.user_id OPERATOR(pg_catalog.=) $3)"
		"   AND ($4 IS NULL OR s.strategy_id OPERATOR(pg_catalog.=) $4)"
		" ORDER BY s.out_epoch, s.batch_no, s.ordinal";
	static const char stop_outs[] =
		"SELECT t.company_id, t.user_id, t.strategy_id, t.prediction_id, t.stopped_at,"
		"       t.stopped_batch_no"
		"  FROM trading.trades AS t"
		" WHERE t.stopped_at OPERATOR(pg_catalog.>=)"
		"       ($1 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)"
		"   AND ($2 IS NULL OR t.company_id OPERATOR(pg_catalog.=) $2)"
		"   AND ($3 IS NULL OR t.user_id OPERATOR(pg_catalog.=) $3)"
		"   AND ($4 IS NULL OR t.strategy_id OPERATOR(pg_catalog.=) $4)";
	const char *ids[] = {run->company, run->user, run->strategy};
	Oid types[] = {TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID};
	Datum values[lengthof(types)];
	char nulls[] = "    ";
	TeQueryArgs args = {lengthof(types), types, values, nulls};
	Before before = {
		.seed = seed,
		.repeats = repeats,
		.per_row =
			AllocSetContextCreate(CurrentMemoryContext, "recorded signal", ALLOCSET_DEFAULT_SIZES),
	};

	values[0] = TimestampTzGetDatum(te_time_to_timestamptz(run->from));
	for (int i = 0; i < (int)lengthof(ids); i++) {
		values[i + 1] = ids[i] != NULL ? CStringGetTextDatum(ids[i]) : (Datum)0;
		nulls[i + 1] = ids[i] != NULL ? ' ' : 'n';
	}
	te_query_each(signals, &args, read_signal, &before);
	te_query_each(stop_outs, &args, read_stop_out, &before);
	MemoryContextDelete(before.per_row);
}
