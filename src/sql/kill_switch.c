/*
 * kill_switch.c - what SQL needs of limits and the kill switch.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/lane.h"
#include "core/limits.h"
#include "engine/holds.h"
#include "engine/shmem.h"
#include "sql/jsonb_io.h"
#include "sql/tenant.h"
#include "sql/trigger.h"

PG_FUNCTION_INFO_V1(te_sql_limit_columns);
PG_FUNCTION_INFO_V1(te_sql_hold_switch);
PG_FUNCTION_INFO_V1(te_sql_held_lanes);

/* A lane that runs takes note between two messages; one that doesn't in that time isn't asked. */
#define NOTE_TIMEOUT_MS 5000

/* limit_columns(): name, doc */
Datum te_sql_limit_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < TE_LIMIT_COUNT; i++) {
		Datum values[] = {CStringGetTextDatum(te_limit_infos[i].name),
		                  CStringGetTextDatum(te_limit_infos[i].doc)};
		bool nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum)0;
}

static const char *column(const TriggerData *trigger, HeapTuple row, const char *name)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	int number = SPI_fnumber(desc, name);

	if (number <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
		                errmsg("column \"%s\" of relation \"%s\" does not exist", name,
		                       RelationGetRelationName(trigger->tg_relation))));
	return SPI_getvalue(row, desc, number);
}

/* AFTER INSERT OR UPDATE FOR EACH ROW of trading.trading_switches. */
Datum te_sql_hold_switch(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = te_trigger_data(fcinfo, "hold_switch");
	HeapTuple row =
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	int state = te_enum_value(&te_trading_state_enum, column(trigger, row, "state"));
	TeScope scope = {
		.company = column(trigger, row, "company_id"),
		.user = column(trigger, row, "user_id"),
		.strategy = column(trigger, row, "strategy_id"),
		.symbol = column(trigger, row, "symbol"),
	};
	TeIdentity id;

	if (state > TE_TRADING_ACTIVE)
		(void)te_hold_scope(&scope, (TeTradingState)state, te_session_identity(&id));
	return PointerGetDatum(NULL);
}

/* The last message that each lane has committed, as anybody would see it now. */
#define COMMITTED                                                                                  \
	"SELECT l.lane, COALESCE(b.epoch, l.epoch), COALESCE(b.last_out_seq, 0)"                       \
	"  FROM trading.lanes AS l"                                                                    \
	"  LEFT JOIN LATERAL (SELECT n.epoch, n.last_out_seq FROM trading.batches AS n"                \
	"                      WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b ON true"   \
	" ORDER BY l.lane"

static int64 number(int row, int field)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, field, &is_null);

	return field == 1 ? DatumGetInt32(value) : DatumGetInt64(value);
}

static void read_committed(void)
{
	/* What a lane sends it has committed before: no older snapshot will do. */
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(COMMITTED, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read where the lanes stand");
	PopActiveSnapshot();
}

static void put_lane(ReturnSetInfo *result, int row)
{
	int lane = (int)number(row, 1);
	TeHoldWord word;
	Datum values[3];
	bool nulls[] = {false, false, false};

	if (!te_hold_word(lane, &word)) {
		word.epoch = number(row, 2);
		word.seq = number(row, 3);
	}
	values[0] = Int32GetDatum(lane);
	values[1] = Int64GetDatum(word.epoch);
	values[2] = Int64GetDatum(word.seq);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* held_lanes(company text): lane, epoch, sequence */
Datum te_sql_held_lanes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
	const char *company = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	TeIdentity id;

	if (!te_session_is_admin() &&
	    !(te_session_identity(&id) && company != NULL && strcmp(company, id.company) == 0))
		ereport(ERROR,
		        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("company must be your own")));
	if (te_hold_lacks_room())
		ereport(ERROR,
		        (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		         errmsg("too many switches are being set in transactions that have not ended"),
		         errhint("Halt a larger scope instead, or UPDATE trading.trading_switches, which "
		                 "takes effect once it is committed.")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_committed();
	if (SPI_processed > 0) {
		uint32 lanes = (uint32)SPI_processed;
		int only = company != NULL ? (int)te_lane_of(company, lanes) : -1;

		te_hold_wait(only, NOTE_TIMEOUT_MS);
		read_committed();
		for (uint32 i = 0; i < lanes && i < SPI_processed; i++)
			if (only < 0 || number((int)i, 1) == only)
				put_lane(result, (int)i);
	}
	SPI_finish();
	return (Datum)0;
}
