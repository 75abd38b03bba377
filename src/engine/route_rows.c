/*
 * route_rows.c - see route_rows.h.
 */
#include "postgres.h"

#include "engine/query.h"
#include "engine/route_rows.h"
#include "engine/session.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static TePlace place_of(TeRow *row, const char *epoch, const char *seq)
{
	return (TePlace){(uint64_t)te_row_int(row, epoch), (uint64_t)te_row_int(row, seq)};
}

/* A label that this version doesn't know was written by a later one. */
static int value_of(const TeEnum *e, TeRow *row, const char *column)
{
	const char *label = te_row_text(row, column);

	for (int i = 0; i < e->count; i++)
		if (strcmp(e->labels[i], label) == 0)
			return i;
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
	        errmsg("unknown %s in trading.routes: %s", e->name, label));
}

typedef struct Newest
{
	TeRouteRecord *record;
	bool found;
} Newest;

static void read_record(TeRow *row, void *arg)
{
	Newest *newest = arg;

	newest->found = true;
	*newest->record = (TeRouteRecord){
		.version = (uint64_t)te_row_int(row, "version"),
		.route_epoch = (uint64_t)te_row_int(row, "route_epoch"),
		.state = (TeRouteState)value_of(&te_route_state_enum, row, "state"),
		.cause = (TeRouteCause)value_of(&te_route_cause_enum, row, "cause"),
		.via = (TeVia)value_of(&te_via_enum, row, "via"),
		.from = place_of(row, "from_epoch", "from_seq"),
		.cut = place_of(row, "cut_epoch", "cut_seq"),
		.dwell = te_row_int(row, "dwell_us"),
	};
}

bool te_route_read(int lane, TeRouteRecord *record)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(lane)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	Newest newest = {record, false};

	te_query_each("SELECT r.*, (EXTRACT(epoch FROM r.dwell) OPERATOR(pg_catalog.*) 1000000)"
	              "       ::pg_catalog.int8 AS dwell_us"
	              "  FROM trading.routes AS r WHERE r.lane OPERATOR(pg_catalog.=) $1"
	              " ORDER BY r.version DESC LIMIT 1",
	              &args, read_record, &newest);
	return newest.found;
}

void te_route_store(int lane, const TeRouteRecord *r)
{
	Oid types[] = {INT4OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
	               INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum values[lengthof(types)];
	TeQueryArgs args = {lengthof(types), types, values, NULL};

	te_session_begin("storing the route");
	te_session_durable();
	values[0] = Int32GetDatum(lane);
	values[1] = Int64GetDatum((int64)r->version);
	values[2] = Int64GetDatum((int64)r->route_epoch);
	values[3] = CStringGetTextDatum(te_route_state_enum.labels[r->state]);
	values[4] = CStringGetTextDatum(te_route_cause_enum.labels[r->cause]);
	values[5] = CStringGetTextDatum(te_via_enum.labels[r->via]);
	values[6] = Int64GetDatum((int64)r->from.epoch);
	values[7] = Int64GetDatum((int64)r->from.seq);
	values[8] = Int64GetDatum((int64)r->cut.epoch);
	values[9] = Int64GetDatum((int64)r->cut.seq);
	values[10] = Int64GetDatum(r->dwell);
	(void)te_query_run("INSERT INTO trading.routes (lane, version, route_epoch, state, cause, via,"
	                   "       from_epoch, from_seq, cut_epoch, cut_seq, dwell)"
	                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
	                   "         $11 OPERATOR(pg_catalog.*) '1 microsecond'::pg_catalog.interval)",
	                   &args);
	te_session_commit();
}

static void read_oldest(TeRow *row, void *arg)
{
	TePlace first = place_of(row, "epoch", "first_seq");

	*(TePlace *)arg = (TePlace){first.epoch, first.seq - 1};
}

TePlace te_route_oldest(int lane, TePlace last)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(lane)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};
	TePlace oldest = last;

	te_query_each("SELECT o.epoch, o.first_seq FROM trading.outbox AS o"
	              " WHERE o.lane OPERATOR(pg_catalog.=) $1 ORDER BY o.epoch, o.last_seq LIMIT 1",
	              &args, read_oldest, &oldest);
	return oldest;
}
