/*
 * exposure_load.c - what a lane's exposure was after its last batch, from the tables.
 *
 * The newest signals tell what was said, which predictions were decided, and what is reserved.
 * A company's rows may have been written by another lane, when there were more or fewer; in their
 * order by epoch, batch and ordinal they are those of one lane at a time.
 */
#include "postgres.h"

#include "core/work.h"
#include "engine/exposure.h"
#include "engine/policy.h"
#include "engine/query.h"
#include "sql/sqltime.h"
#include "wire/inputs.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define INPUTS_BYTES ((size_t)64 * 1024 * 1024)

typedef struct Load
{
	TeExposure *exposure;
	const TeCache *cache;
	TeArena arena;
} Load;

/*
 * So many of each lane that there ever was as a memory holds, and one more, by which is seen that
 * there are too many.  Reservations are among them: a signal's life is a day at most, as is the
 * longest window.  For how long a signal is of interest, its strategy says as it is now.
 */
static const char signals_query[] =
	"SELECT s.*,"
	"  CASE WHEN w.strategy_id IS NOT NULL"
	"       THEN COALESCE(o.duplicate_window_seconds, w.duplicate_window_seconds,"
	"                     t.duplicate_window_seconds, $5)"
	"       ELSE 0 END AS window_seconds,"
	"  CASE WHEN s.outcome OPERATOR(pg_catalog.=) 'SIGNAL'"
	"        AND s.expires_at OPERATOR(pg_catalog.>) $4 THEN s.inputs END AS reserved_inputs"
	" FROM (SELECT b.lane FROM trading.batches AS b ORDER BY b.lane DESC LIMIT 1) AS last,"
	" pg_catalog.generate_series(0, last.lane) AS l (lane) CROSS JOIN LATERAL"
	" (SELECT n.* FROM trading.signals AS n WHERE n.lane OPERATOR(pg_catalog.=) l.lane"
	"   ORDER BY n.batch_no DESC, n.ordinal DESC LIMIT $3 OPERATOR(pg_catalog.+) 1) AS s"
	" LEFT JOIN trading.companies AS c ON c.company_id OPERATOR(pg_catalog.=) s.company_id"
	" LEFT JOIN trading.tiers AS t ON t.tier OPERATOR(pg_catalog.=) c.tier"
	" LEFT JOIN trading.strategies AS w ON w.company_id OPERATOR(pg_catalog.=) s.company_id"
	"  AND w.user_id OPERATOR(pg_catalog.=) s.user_id"
	"  AND w.strategy_id OPERATOR(pg_catalog.=) s.strategy_id"
	" LEFT JOIN trading.strategies AS o ON o.company_id OPERATOR(pg_catalog.=) s.company_id"
	"  AND o.user_id OPERATOR(pg_catalog.=) '_all'"
	"  AND o.strategy_id OPERATOR(pg_catalog.=) '_all'"
	" WHERE trading.lane_of(s.company_id, $2) OPERATOR(pg_catalog.=) $1"
	"   AND s.decided_at OPERATOR(pg_catalog.>)"
	"       ($4 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)"
	" ORDER BY s.out_epoch, s.batch_no, s.ordinal";

/* Of an instrument that is gone, all of the value. */
static double margin_rate(const Load *load, const char *symbol)
{
	double rate = te_cache_margin_rate(load->cache, symbol);

	return te_known(rate) ? rate : 1;
}

static int value_of(const TeEnum *e, const char *label)
{
	int value = label != NULL ? te_enum_value(e, label) : 0;

	if (value < 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("trading.signals has an unknown %s \"%s\"", e->name, label)));
	return value;
}

/* The order of a row, from its columns and the inputs of its decision. */
static void reserve(Load *load, TeRow *row, const TeExposureSignal *signal, bytea *inputs)
{
	TeDecision d = {
		.outcome = TE_OUTCOME_SIGNAL,
		.signal_type = (TeDirection)value_of(&te_direction_enum, te_row_text(row, "signal_type")),
		.entry_price = signal->entry_price,
		.position_size = te_row_double(row, "position_size"),
		.max_loss = te_row_double(row, "max_loss"),
		.expires_at = te_row_time(row, "expires_at"),
	};
	TeExposureOrder order;
	TeDecisionInput in;
	TeWireError err;
	uint8_t signal_id[TE_UUID_BYTES];

	te_arena_reset(&load->arena);
	if (!te_uuid_parse(te_row_text(row, "signal_id"), signal_id))
		elog(ERROR, "a signal has an id that is none");
	if (!te_inputs_unpack((uint8_t *)VARDATA_ANY(inputs), VARSIZE_ANY_EXHDR(inputs), &load->arena,
	                      &in, &err))
		ereport(ERROR,
		        (errcode(ERRCODE_DATA_CORRUPTED),
		         errmsg("the inputs of signal %s can't be read", te_row_text(row, "signal_id")),
		         errdetail("%s: %s", err.field, err.detail)));
	te_exposure_order(&in, &d, margin_rate(load, signal->symbol), &order);
	order.company_id = signal->company_id;
	order.user_id = signal->user_id;
	order.strategy_id = signal->strategy_id;
	order.account_id = te_row_text(row, "account_id");
	te_exposure_put(load->exposure, signal_id, &order);
}

static void read_signal(TeRow *row, void *arg)
{
	Load *load = arg;
	bytea *inputs = te_row_bytes(row, "reserved_inputs");
	TeExposureSignal signal = {
		.company_id = te_row_text(row, "company_id"),
		.user_id = te_row_text(row, "user_id"),
		.strategy_id = te_row_text(row, "strategy_id"),
		.symbol = te_row_text(row, "symbol"),
		.prediction_id = te_row_text(row, "prediction_id"),
		.decided_at = te_row_time(row, "decided_at"),
		.outcome = (TeOutcome)value_of(&te_outcome_enum, te_row_text(row, "outcome")),
		.hold_reason =
			(TeHoldReason)value_of(&te_hold_reason_enum, te_row_text(row, "hold_reason")),
		.entry_price = te_row_double(row, "entry_price"),
		.signal_strength = te_row_double(row, "signal_strength"),
		.window_seconds = (int32)te_row_int(row, "window_seconds"),
	};

	if (signal.outcome == TE_OUTCOME_SIGNAL)
		signal.side = te_direction_sign(
			(TeDirection)value_of(&te_direction_enum, te_row_text(row, "signal_type")));
	te_exposure_remember(load->exposure, &signal);
	if (inputs != NULL)
		reserve(load, row, &signal, inputs);
}

void te_exposure_load(TeExposure *e, const TeExposureSource *source)
{
	TeStrategy otherwise;
	Oid types[] = {INT4OID, INT4OID, INT8OID, TIMESTAMPTZOID, INT4OID};
	Datum values[] = {Int32GetDatum(source->lane), Int32GetDatum(source->lane_count),
	                  Int64GetDatum(te_exposure_capacity(e)),
	                  TimestampTzGetDatum(te_time_to_timestamptz(source->now)), (Datum)0};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	Load load = {.exposure = e, .cache = source->cache};

	te_strategy_defaults(&otherwise);
	values[4] = Int32GetDatum(otherwise.duplicate_window_seconds);
	te_arena_init(&load.arena, 64 * 1024, INPUTS_BYTES);
	te_query_each(signals_query, &args, read_signal, &load);
	te_arena_free(&load.arena);
	te_exposure_expire(e, source->now);
	te_exposure_apply(e, source->now);
}
