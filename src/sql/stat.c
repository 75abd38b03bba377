/*
 * stat.c - the shared memory as rows: who runs, how much, how fast.
 *
 * A caller sees the lanes of his own database; a member of pg_monitor those of all.
 * Who may call at all is a matter of EXECUTE privilege.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "core/histogram.h"
#include "core/route.h"
#include "engine/shmem.h"

PG_FUNCTION_INFO_V1(te_sql_stat_workers);
PG_FUNCTION_INFO_V1(te_sql_stat_latency);
PG_FUNCTION_INFO_V1(te_sql_stat_transports);
PG_FUNCTION_INFO_V1(te_sql_stat_breakers);
PG_FUNCTION_INFO_V1(te_sql_stat_decisions);
PG_FUNCTION_INFO_V1(te_sql_stat_databases);
PG_FUNCTION_INFO_V1(te_sql_stat_launcher);
PG_FUNCTION_INFO_V1(te_sql_stat_reset);
PG_FUNCTION_INFO_V1(te_sql_request_check);

#define MAX_COLUMNS 64
#define USEC_PER_MSEC 1000.0

/* --- rows ------------------------------------------------------------------------ */

/* A row in the making: columns are put from left to right. */
typedef struct Row
{
	ReturnSetInfo *result;
	int count;
	Datum values[MAX_COLUMNS];
	bool nulls[MAX_COLUMNS];
} Row;

static void begin_rows(Row *row, FunctionCallInfo fcinfo)
{
	te_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	row->result = (ReturnSetInfo *)fcinfo->resultinfo;
	row->count = 0;
}

static void put(Row *row, Datum value, bool isnull)
{
	if (row->count >= MAX_COLUMNS || row->count >= row->result->setDesc->natts)
		elog(ERROR, "too many columns for a row of %d", row->result->setDesc->natts);
	row->values[row->count] = value;
	row->nulls[row->count++] = isnull;
}

static void put_int(Row *row, int value)
{
	put(row, Int32GetDatum(value), false);
}

/* An int where 0 means that there is none, such as a process id. */
static void put_positive(Row *row, int value)
{
	put(row, Int32GetDatum(value), value == 0);
}

static void put_number(Row *row, pg_atomic_uint64 *number)
{
	put(row, Int64GetDatum((int64)pg_atomic_read_u64(number)), false);
}

static void put_time(Row *row, TimestampTz time)
{
	put(row, TimestampTzGetDatum(time), time == 0);
}

static void put_text(Row *row, const char *text)
{
	put(row, CStringGetTextDatum(text), text[0] == '\0');
}

/* By the name of now: the launcher hears of a new one later, and readers look for their own. */
static void put_name(Row *row, const TeDatabaseSlot *db)
{
	const char *name = db != NULL ? get_database_name(db->dboid) : NULL;

	if (db == NULL)
		put(row, (Datum)0, true);
	else
		put(row, CStringGetTextDatum(name != NULL ? name : NameStr(db->datname)), false);
}

static void put_ms(Row *row, double usec)
{
	put(row, Float8GetDatum(usec / USEC_PER_MSEC), isnan(usec));
}

static void end_row(Row *row)
{
	if (row->count != row->result->setDesc->natts)
		elog(ERROR, "row of %d columns where %d are declared", row->count,
		     row->result->setDesc->natts);
	tuplestore_putvalues(row->result->setResult, row->result->setDesc, row->values, row->nulls);
	row->count = 0;
}

/* --- a copy to report from ----------------------------------------------------------- */

/*
 * The slots as they were at one moment.  Rows are made from the copy, because
 * making rows can fail or be interrupted, and must not hold the lock.
 */
typedef struct Copy
{
	int database_count, lane_count;
	TeDatabaseSlot *databases;
	TeLaneSlot *lanes;
} Copy;

static bool is_visible(Oid dboid, bool all)
{
	return OidIsValid(dboid) && (all || dboid == MyDatabaseId);
}

static void copy_slots(Copy *copy)
{
	bool all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	int max = te_shmem->max_lanes;

	copy->databases = palloc(max * sizeof(TeDatabaseSlot));
	copy->lanes = MemoryContextAllocHuge(CurrentMemoryContext, max * sizeof(TeLaneSlot));
	copy->database_count = copy->lane_count = 0;
	LWLockAcquire(te_shmem->lock, LW_SHARED);
	for (int i = 0; i < max; i++) {
		if (is_visible(te_shmem->databases[i].dboid, all))
			copy->databases[copy->database_count++] = te_shmem->databases[i];
		if (is_visible(te_shmem->lanes[i].dboid, all))
			copy->lanes[copy->lane_count++] = te_shmem->lanes[i];
	}
	LWLockRelease(te_shmem->lock);
}

static const TeDatabaseSlot *find_database(const Copy *copy, Oid dboid)
{
	for (int i = 0; i < copy->database_count; i++) {
		if (copy->databases[i].dboid == dboid)
			return &copy->databases[i];
	}
	return NULL;
}

/* The columns that every row about a lane begins with. */
static void begin_lane_row(Row *row, const Copy *copy, const TeLaneSlot *slot)
{
	put_name(row, find_database(copy, slot->dboid));
	put_int(row, slot->lane);
}

/* --- functions ------------------------------------------------------------------------ */

static void put_worker(Row *row, const Copy *copy, TeLaneSlot *slot)
{
	begin_lane_row(row, copy, slot);
	put_positive(row, slot->pid);
	put_text(row, te_lane_state_names[slot->state]);
	put_time(row, slot->since);
	put_text(row, slot->reason);
	put_int(row, slot->failures);
	put_time(row, slot->state == TE_LANE_WAITING ? slot->retry_at : 0);
#define PUT_INTEGER(name) put_number(row, &slot->gauges.name);
#define PUT_TIME(name) put_time(row, (TimestampTz)pg_atomic_read_u64(&slot->gauges.name));
#define PUT_COUNTER(name) put_number(row, &slot->counters.name);
	TE_LANE_GAUGES(PUT_INTEGER, PUT_TIME)
	TE_LANE_COUNTERS(PUT_COUNTER)
#undef PUT_INTEGER
#undef PUT_TIME
#undef PUT_COUNTER
	put_time(row, slot->reset_at);
	end_row(row);
}

/* Lanes of a database that no slot is left for. */
static void put_lanes_without_slot(Row *row, const Copy *copy, const TeDatabaseSlot *db)
{
	for (int lane = 0; lane < db->lanes; lane++) {
		bool has_slot = false;

		for (int i = 0; i < copy->lane_count && !has_slot; i++)
			has_slot = copy->lanes[i].dboid == db->dboid && copy->lanes[i].lane == lane;
		if (has_slot)
			continue;
		put_name(row, db);
		put_int(row, lane);
		put_positive(row, 0);
		put_text(row, te_lane_state_names[TE_LANE_WAITING]);
		put_time(row, db->since);
		put_text(row, "no lane slot is free; raise trading_engine.max_lanes");
		while (row->count < row->result->setDesc->natts)
			put(row, (Datum)0, true);
		end_row(row);
	}
}

/* trading.read_workers(): one row per lane. */
Datum te_sql_stat_workers(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.lane_count; i++)
		put_worker(&row, &copy, &copy.lanes[i]);
	for (int i = 0; i < copy.database_count; i++)
		put_lanes_without_slot(&row, &copy, &copy.databases[i]);
	return (Datum)0;
}

static void put_histogram(Row *row, const char *metric, const TeHistogram *h)
{
	put_text(row, metric);
	put(row, Int64GetDatum((int64)h->count), false);
	put_ms(row, te_histogram_mean(h));
	put_ms(row, te_histogram_percentile(h, 0.5));
	put_ms(row, te_histogram_percentile(h, 0.9));
	put_ms(row, te_histogram_percentile(h, 0.99));
	put_ms(row, te_histogram_percentile(h, 0.999));
	put_ms(row, te_histogram_percentile(h, 1));
	end_row(row);
}

/* trading.read_latency(): per lane and metric; and over all lanes of a database, lane NULL. */
Datum te_sql_stat_latency(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.lane_count; i++) {
		for (int m = 0; m < TE_LATENCY_COUNT; m++) {
			begin_lane_row(&row, &copy, &copy.lanes[i]);
			put_histogram(&row, te_latency_names[m], &copy.lanes[i].latencies.histograms[m]);
		}
	}
	for (int d = 0; d < copy.database_count; d++) {
		for (int m = 0; m < TE_LATENCY_COUNT; m++) {
			TeHistogram sum = {0};

			for (int i = 0; i < copy.lane_count; i++) {
				if (copy.lanes[i].dboid == copy.databases[d].dboid)
					te_histogram_merge(&sum, &copy.lanes[i].latencies.histograms[m]);
			}
			put_name(&row, &copy.databases[d]);
			put(&row, (Datum)0, true);
			put_histogram(&row, te_latency_names[m], &sum);
		}
	}
	return (Datum)0;
}

static const char *route_text(int route)
{
	return route > 0 && route <= TE_ROUTE_STATE_COUNT ? te_route_state_enum.labels[route - 1] : "";
}

/* trading.read_transports(): a lane's connections to brokers. */
Datum te_sql_stat_transports(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.lane_count * TE_TRANSPORT_COUNT; i++) {
		TeLaneSlot *slot = &copy.lanes[i / TE_TRANSPORT_COUNT];
		TeTransportSlot *t = &slot->transports[i % TE_TRANSPORT_COUNT];

		/* Kafka is an addition; of a lane without any broker there is the row of NATS. */
		if (t->state[0] == '\0' && i % TE_TRANSPORT_COUNT == TE_TRANSPORT_KAFKA)
			continue;
		begin_lane_row(&row, &copy, slot);
		put_text(&row, te_transport_names[i % TE_TRANSPORT_COUNT]);
		put_text(&row, t->state[0] != '\0' ? t->state : "not configured");
		put_time(&row, t->since);
		put_text(&row, t->server);
		put_number(&row, &t->connects);
		put_number(&row, &t->disconnects);
		put_number(&row, &t->errors);
		put_number(&row, &t->bytes_in);
		put_number(&row, &t->input_pending);
		put_time(&row, (TimestampTz)pg_atomic_read_u64(&t->stalled_since));
		put_number(&row, &t->input_stalls);
		put_number(&row, &t->published);
		put_number(&row, &t->acknowledged);
		put_number(&row, &t->in_flight);
		put_text(&row, route_text((int)pg_atomic_read_u64(&t->route)));
		put_text(&row, t->last_error);
		put_time(&row, t->last_error_at);
		end_row(&row);
	}
	return (Datum)0;
}

/* trading.read_breakers(): circuit breakers around the risk service. */
Datum te_sql_stat_breakers(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.lane_count * TE_BREAKER_SLOTS; i++) {
		TeLaneSlot *slot = &copy.lanes[i / TE_BREAKER_SLOTS];
		TeBreakerSlot *b = &slot->breakers[i % TE_BREAKER_SLOTS];

		if (!b->used)
			continue;
		begin_lane_row(&row, &copy, slot);
		put_text(&row, b->company_id);
		put_text(&row, te_breaker_state_enum.labels[b->state]);
		put_time(&row, b->since);
		put_text(&row, te_breaker_cause_enum.labels[b->cause]);
		put_time(&row, b->wait_until);
		put_number(&row, &b->calls);
		put_number(&row, &b->failures);
		put_number(&row, &b->failures_in_row);
		put_number(&row, &b->refused);
		put_number(&row, &b->opened);
		end_row(&row);
	}
	return (Datum)0;
}

/* trading.read_decisions(): decisions per outcome since the lane began to count. */
Datum te_sql_stat_decisions(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.lane_count; i++) {
		for (int o = 0; o < TE_OUTCOME_COUNT; o++) {
			begin_lane_row(&row, &copy, &copy.lanes[i]);
			put_text(&row, te_outcome_enum.labels[o]);
			put_number(&row, &copy.lanes[i].counters.outcomes[o]);
			end_row(&row);
		}
	}
	return (Datum)0;
}

/* trading.read_databases(): databases that have the extension, as the launcher sees them. */
Datum te_sql_stat_databases(PG_FUNCTION_ARGS)
{
	Row row;
	Copy copy;

	begin_rows(&row, fcinfo);
	copy_slots(&copy);
	for (int i = 0; i < copy.database_count; i++) {
		TeDatabaseSlot *db = &copy.databases[i];
		int running = 0;

		for (int l = 0; l < copy.lane_count; l++)
			running += copy.lanes[l].dboid == db->dboid && copy.lanes[l].pid != 0;
		put_name(&row, db);
		put_text(&row, te_database_state_names[db->state]);
		put_time(&row, db->since);
		put_text(&row, db->reason);
		put_int(&row, db->lanes);
		put_int(&row, running);
		put_positive(&row, db->holder_pid);
		end_row(&row);
	}
	return (Datum)0;
}

/* trading.read_launcher(): one row. */
Datum te_sql_stat_launcher(PG_FUNCTION_ARGS)
{
	Row row;
	char reason[TE_REASON_MAX];
	TimestampTz since;
	int pid, used = 0;

	begin_rows(&row, fcinfo);
	LWLockAcquire(te_shmem->lock, LW_SHARED);
	pid = te_shmem->launcher_pid;
	since = te_shmem->launcher_since;
	strlcpy(reason, te_shmem->launcher_reason, sizeof(reason));
	for (int i = 0; i < te_shmem->max_lanes; i++)
		used += OidIsValid(te_shmem->lanes[i].dboid);
	LWLockRelease(te_shmem->lock);

	put_positive(&row, pid);
	put_time(&row, pid != 0 ? since : 0);
	put_text(&row, pid != 0 ? reason : "the launcher does not run; see the server log");
	put_int(&row, te_shmem->max_lanes);
	put_int(&row, used);
	end_row(&row);
	return (Datum)0;
}

/* trading.stat_reset(): the lanes of this database begin to count anew. */
Datum te_sql_stat_reset(PG_FUNCTION_ARGS pg_attribute_unused())
{
	te_require_preload();
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < te_shmem->max_lanes; i++) {
		if (te_shmem->lanes[i].dboid == MyDatabaseId)
			te_shmem_reset_lane(&te_shmem->lanes[i]);
	}
	LWLockRelease(te_shmem->lock);
	PG_RETURN_VOID();
}

/* --- asking for workers ------------------------------------------------------------------ */

static bool check_at_commit = false;

static void send_request(XactEvent event, void *arg pg_attribute_unused())
{
	if (!check_at_commit)
		return;
	if (event == XACT_EVENT_COMMIT)
		te_shmem_request_check(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		check_at_commit = false;
}

/* trading.request_check(): at commit the launcher looks at this database. */
Datum te_sql_request_check(PG_FUNCTION_ARGS pg_attribute_unused())
{
	static bool registered = false;

	if (!te_shmem_available()) {
		ereport(WARNING,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("no workers will run: trading_engine is not in shared_preload_libraries"),
		         errhint("Add trading_engine to shared_preload_libraries in postgresql.conf and "
		                 "restart the server.")));
		PG_RETURN_VOID();
	}
	if (!registered) {
		RegisterXactCallback(send_request, NULL);
		registered = true;
	}
	check_at_commit = true;
	PG_RETURN_VOID();
}
