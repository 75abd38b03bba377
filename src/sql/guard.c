/*
 * guard.c - the triggers that keep the rows of strategies and tiers within the rules.
 *
 * Before a row is stored, its own values are judged, ahead of the columns' CHECK constraints,
 * so that the error says what is allowed.  Row-level security judges the row later: what comes
 * before it must look at nothing but the row itself, and its errors must speak of nothing else.
 * What needs to look further is in guard_tier.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "engine/cache.h"
#include "sql/check_strategy.h"
#include "sql/params.h"
#include "sql/tenant.h"
#include "sql/trigger.h"

PG_FUNCTION_INFO_V1(te_sql_guard_parameters);
PG_FUNCTION_INFO_V1(te_sql_guard_strategy);

static TriggerData *before_row(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = te_trigger_data(fcinfo, name);

	if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
	    TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
		        (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		         errmsg("trading.%s() must be fired before INSERT or UPDATE, for each row", name)));
	return trigger;
}

/* The row that is going to be stored. */
static HeapTuple row_of(const TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
	                                                  : trigger->tg_trigtuple;
}

/* Is one column's value, a varlena, the same in both rows? */
static bool unchanged(HeapTuple before, HeapTuple after, TupleDesc desc, AttrNumber number)
{
	bool before_null, after_null;
	Datum left = heap_getattr(before, number, desc, &before_null);
	Datum right = heap_getattr(after, number, desc, &after_null);

	return before_null == after_null && (before_null || datum_image_eq(left, right, false, -1));
}

/* Errors about a column name its table. */
static void name_table(void *arg)
{
	if (geterrcode() == ERRCODE_CHECK_VIOLATION)
		err_generic_string(PG_DIAG_TABLE_NAME, RelationGetRelationName((Relation)arg));
}

/* BEFORE INSERT OR UPDATE FOR EACH ROW, of any table that has parameters. */
Datum te_sql_guard_parameters(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = before_row(fcinfo, "guard_parameters");
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	const TeParamColumns *columns = te_param_columns_of_call(fcinfo, 0, desc);
	AttrNumber rule = columns->attnum[TE_PARAM_custom_rule];
	ErrorContextCallback callback = {error_context_stack, name_table, trigger->tg_relation};
	HeapTuple row = row_of(trigger);
	TeParamSet own;

	error_context_stack = &callback;
	te_param_set_from_tuple(row, desc, columns, &own);
	/* Reading a rule costs more than everything else together. */
	if (rule > 0 && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
	    unchanged(trigger->tg_trigtuple, row, desc, rule))
		te_check_ranges(&own);
	else
		te_check_own_params(&own);
	error_context_stack = callback.previous;
	return PointerGetDatum(row);
}

#define KEY_COLUMNS 3 /* company, user and strategy */

/* What a statement's rows have in common. */
typedef struct StrategyGuard
{
	AttrNumber company_id, user_id, strategy_id, version, created_at, updated_at;
	bool is_tenant; /* looked up for INSERT only */
	TeIdentity tenant;
} StrategyGuard;

static void look_up_tenant(StrategyGuard *guard, MemoryContext context)
{
	TeIdentity id;

	guard->is_tenant = te_session_identity(&id);
	if (guard->is_tenant)
		guard->tenant = (TeIdentity){MemoryContextStrdup(context, id.company),
		                             MemoryContextStrdup(context, id.user),
		                             MemoryContextStrdup(context, id.role)};
}

static const StrategyGuard *strategy_guard(FunctionCallInfo fcinfo, const TriggerData *trigger)
{
	Relation relation = trigger->tg_relation;
	StrategyGuard *guard = fcinfo->flinfo->fn_extra;

	if (guard != NULL)
		return guard;
	guard = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(*guard));
	guard->company_id = te_trigger_column(relation, "company_id");
	guard->user_id = te_trigger_column(relation, "user_id");
	guard->strategy_id = te_trigger_column(relation, "strategy_id");
	guard->version = te_trigger_column(relation, "version");
	guard->created_at = te_trigger_column(relation, "created_at");
	guard->updated_at = te_trigger_column(relation, "updated_at");
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		look_up_tenant(guard, fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = guard;
	return guard;
}

/*
 * Will row-level security let the session write a row of this user?  What it won't may not be
 * looked up, lest one learns of another's strategies by how long that takes.
 */
static bool may_write(const StrategyGuard *guard, const char *company, const char *user)
{
	const TeIdentity *id = &guard->tenant;

	return !guard->is_tenant || (strcmp(company, id->company) == 0 &&
	                             (strcmp(user, id->user) == 0 || strcmp(id->role, "admin") == 0));
}

static SPIPlanPtr prepare(SPIPlanPtr *plan, const char *sql)
{
	static Oid types[KEY_COLUMNS] = {TEXTOID, TEXTOID, TEXTOID};

	if (*plan == NULL) {
		SPIPlanPtr made = SPI_prepare_cursor(sql, KEY_COLUMNS, types, CURSOR_OPT_GENERIC_PLAN);

		if (made == NULL)
			elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), sql);
		SPI_keepplan(made);
		*plan = made;
	}
	return *plan;
}

/* The newest version that the log has of a strategy; 0: it has never been there. */
static int64 logged_version(Datum key[KEY_COLUMNS])
{
	static SPIPlanPtr plan;
	bool isnull;

	if (SPI_execute_plan(prepare(&plan,
	                             "SELECT c.version FROM trading.strategy_changes AS c"
	                             " WHERE c.kind OPERATOR(pg_catalog.=) 'strategy'"
	                             "   AND c.company_id OPERATOR(pg_catalog.=) $1"
	                             "   AND c.user_id OPERATOR(pg_catalog.=) $2"
	                             "   AND c.strategy_id OPERATOR(pg_catalog.=) $3 AND c.item IS NULL"
	                             " ORDER BY c.change_id DESC LIMIT 1"),
	                     key, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the version of a strategy");
	if (SPI_processed == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Wait for whoever is deleting the strategy now. */
static void wait_for_deletion(Datum key[KEY_COLUMNS])
{
	static SPIPlanPtr plan;

	if (SPI_execute_plan(prepare(&plan, "SELECT FROM trading.strategies AS s"
	                                    " WHERE s.company_id OPERATOR(pg_catalog.=) $1"
	                                    "   AND s.user_id OPERATOR(pg_catalog.=) $2"
	                                    "   AND s.strategy_id OPERATOR(pg_catalog.=) $3"
	                                    "   FOR NO KEY UPDATE"),
	                     key, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock a strategy");
}

/*
 * The version that a new strategy begins with.  One that is deleted and made again goes on
 * counting, so that a version is one content for ever.
 */
static int64 first_version(const StrategyGuard *guard, Datum key[KEY_COLUMNS])
{
	int64 version = 0;

	if (!may_write(guard, TextDatumGetCString(key[0]), TextDatumGetCString(key[1])))
		return 1;
	SPI_connect();
	if (logged_version(key) > 0) {
		wait_for_deletion(key);
		version = logged_version(key);
	}
	SPI_finish();
	return version + 1;
}

static void refuse_new_key(void)
{
	ereport(ERROR, (errcode(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION),
	                errmsg("company_id, user_id and strategy_id of a strategy can't be changed"),
	                errhint("Insert a new strategy and delete this one.")));
}

/* BEFORE INSERT OR UPDATE FOR EACH ROW: keeps the key, counts versions. */
Datum te_sql_guard_strategy(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = before_row(fcinfo, "guard_strategy");
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	const StrategyGuard *guard = strategy_guard(fcinfo, trigger);
	HeapTuple row = row_of(trigger), old = trigger->tg_trigtuple;
	AttrNumber key[KEY_COLUMNS] = {guard->company_id, guard->user_id, guard->strategy_id};
	int numbers[] = {guard->version, guard->created_at, guard->updated_at};
	Datum values[lengthof(numbers)];
	bool nulls[lengthof(numbers)] = {0};

	values[1] = values[2] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event)) {
		for (int i = 0; i < KEY_COLUMNS; i++)
			if (!unchanged(old, row, desc, key[i]))
				refuse_new_key();
		values[0] = heap_getattr(old, guard->version, desc, &nulls[0]);
		values[0] = Int64GetDatum(DatumGetInt64(values[0]) + 1);
		values[1] = heap_getattr(old, guard->created_at, desc, &nulls[1]);
	} else {
		Datum ids[KEY_COLUMNS];
		bool incomplete = false;

		for (int i = 0; i < KEY_COLUMNS; i++) {
			bool isnull;

			ids[i] = heap_getattr(row, key[i], desc, &isnull);
			incomplete |= isnull; /* NOT NULL says it better */
		}
		values[0] = Int64GetDatum(incomplete ? 1 : first_version(guard, ids));
	}
	return PointerGetDatum(
		heap_modify_tuple_by_cols(row, desc, lengthof(numbers), numbers, values, nulls));
}
