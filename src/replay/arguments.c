/*
 * arguments.c - the arguments of a run, and who may run what.
 */
#include "postgres.h"

#include "replay/arguments.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "optimizer/cost.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "engine/query.h"
#include "sql/decision_json.h"
#include "sql/params.h"
#include "sql/rule.h"
#include "sql/sqltime.h"
#include "sql/tenant.h"

/* More processes than this have never made anything faster. */
#define MAX_WORKERS 1024

static const char *const strategies_labels[] = {
#define STRATEGIES_LABEL(symbol, label) label,
	TE_REPLAY_STRATEGIES(STRATEGIES_LABEL)
#undef STRATEGIES_LABEL
};

static const TeEnum strategies_enum = {"strategies", TE_REPLAY_STRATEGIES_COUNT, strategies_labels};

const TeReplayPositions te_replay_all_positions = {
	.from_time = 1,
	.to_time = 2,
	.changes = 3,
	.company_id = 4,
	.user_id = 5,
	.strategy_id = 6,
	.symbol = 7,
	.strategies = 8,
	.outcomes = 9,
	.workers = 10,
};

static void invalid_argument(const char *argument, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("invalid value for argument \"%s\": %s", argument, reason)));
}

/*----------------------------------------------------------------------
 * Changes
 *----------------------------------------------------------------------*/

/*
 * What is out of range here is so in every row.  What depends on other parameters of the row
 * shows when the changes are laid over it.
 */
void te_replay_check_changes(const char *argument, Jsonb *changes)
{
	const uint64 at_market = TE_PARAM_BIT(TE_PARAM_prefer_market_orders);
	TeParamSet set;
	uint64 unset;
	const char *name, *reason;

	te_jsonb_read_changes(argument, changes, &set, &unset);
	if ((set.set & at_market) == 0) {
		set.set |= at_market;
		set.values.prefer_market_orders = true;
	}
	name = te_strategy_check(&set, &reason);
	if (name != NULL)
		te_invalid_value(psprintf("%s.%s", argument, name), reason);
	if (set.values.custom_rule != NULL)
		te_rule_check(set.values.custom_rule, psprintf("%s.custom_rule", argument),
		              ERRCODE_INVALID_PARAMETER_VALUE);
}

/*----------------------------------------------------------------------
 * Reading arguments
 *----------------------------------------------------------------------*/

static bool is_given(FunctionCallInfo fcinfo, int position)
{
	return position > 0 && !PG_ARGISNULL(position - 1);
}

static const char *read_text(FunctionCallInfo fcinfo, int position)
{
	return is_given(fcinfo, position) ? text_to_cstring(PG_GETARG_TEXT_PP(position - 1)) : NULL;
}

static TeTime read_time(FunctionCallInfo fcinfo, int position, const char *argument)
{
	TimestampTz at;

	if (!is_given(fcinfo, position))
		invalid_argument(argument, "must not be NULL");
	at = PG_GETARG_TIMESTAMPTZ(position - 1);
	if (TIMESTAMP_NOT_FINITE(at))
		invalid_argument(argument, "must be finite");
	return te_time_from_timestamptz(at);
}

static void read_range(FunctionCallInfo fcinfo, const TeReplayPositions *at, TeReplayRun *run)
{
	run->from = read_time(fcinfo, at->from_time, "from_time");
	run->to = read_time(fcinfo, at->to_time, "to_time");
	if (run->to < run->from) {
		char *from = pstrdup(timestamptz_to_str(te_time_to_timestamptz(run->from)));
		const char *to = timestamptz_to_str(te_time_to_timestamptz(run->to));

		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("invalid range: argument \"to_time\" is before argument \"from_time\""),
		         errdetail("From %s to %s.", from, to)));
	}
}

static void read_source(FunctionCallInfo fcinfo, const TeReplayPositions *at, TeReplayRun *run)
{
	TeReplaySource *source = &run->sources[0];
	const char *strategies = read_text(fcinfo, at->strategies);
	int value = TE_REPLAY_RECORDED;

	if (strategies != NULL && (value = te_enum_value(&strategies_enum, strategies)) < 0)
		invalid_argument("strategies", "must be \"recorded\" or \"current\"");
	*source = (TeReplaySource){.strategies = (TeReplayStrategies)value};
	run->source_count = 1;
	if (is_given(fcinfo, at->changes)) {
		Jsonb *changes = PG_GETARG_JSONB_P_COPY(at->changes - 1);

		te_replay_check_changes("changes", changes);
		source->variants = palloc(sizeof(Jsonb *));
		source->variants[0] = changes;
		source->variant_count = JB_ROOT_COUNT(changes) > 0 ? 1 : 0;
	}
}

static void read_outcomes(FunctionCallInfo fcinfo, const TeReplayPositions *at, TeReplayRun *run)
{
	Datum *labels;
	bool *nulls;
	int count;

	run->outcomes = TE_OUTCOMES_OF_CANDIDATES;
	if (!is_given(fcinfo, at->outcomes))
		return;
	run->outcomes = 0;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(at->outcomes - 1), TEXTOID, -1, false, TYPALIGN_INT,
	                  &labels, &nulls, &count);
	for (int i = 0; i < count; i++) {
		const char *label = nulls[i] ? NULL : TextDatumGetCString(labels[i]);
		int outcome = label ? te_enum_value(&te_outcome_enum, label) : -1;

		if (label == NULL)
			invalid_argument("outcomes", "must have no NULL in it");
		if (outcome < 0)
			invalid_argument("outcomes", psprintf("unknown outcome \"%s\"", label));
		run->outcomes |= TE_OUTCOME_BIT(outcome);
	}
}

static void read_workers(FunctionCallInfo fcinfo, const TeReplayPositions *at, TeReplayRun *run)
{
	run->workers = max_parallel_workers_per_gather;
	if (!is_given(fcinfo, at->workers))
		return;
	run->workers = PG_GETARG_INT32(at->workers - 1);
	if (run->workers < 0 || run->workers > MAX_WORKERS)
		invalid_argument("workers", psprintf("must be from 0 to %d", MAX_WORKERS));
}

/*----------------------------------------------------------------------
 * Whose
 *----------------------------------------------------------------------*/

static bool exists(const char *query, const char *const *ids, int count)
{
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID};
	Datum values[lengthof(types)];
	char nulls[lengthof(types) + 1] = "   ";
	int status;

	for (int i = 0; i < count; i++) {
		nulls[i] = ids[i] ? ' ' : 'n';
		values[i] = ids[i] ? CStringGetTextDatum(ids[i]) : (Datum)0;
	}
	status = SPI_execute_with_args(query, count, types, values, nulls, true, 1);
	if (status != SPI_OK_SELECT)
		elog(ERROR, "%s: %s", SPI_result_code_string(status), query);
	return SPI_processed > 0;
}

/* The log is asked too: what a run is about may be deleted by now. */
#define KNOWN(table, columns, kind, condition)                                                     \
	"SELECT FROM trading." table " AS t WHERE " condition " UNION ALL "                            \
	"SELECT FROM (SELECT " columns " FROM trading.strategy_changes AS c"                           \
	"  WHERE c.kind OPERATOR(pg_catalog.=) '" kind "') AS t WHERE " condition " LIMIT 1"

#define SAME(column, parameter)                                                                    \
	"(" parameter " IS NULL OR t." column " OPERATOR(pg_catalog.=) " parameter ")"

static void check_names(const TeReplayRun *run)
{
	const char *ids[] = {run->company, run->user, run->strategy};

	if (run->company != NULL &&
	    !exists(KNOWN("companies", "c.company_id", "company", SAME("company_id", "$1")), ids, 1))
		invalid_argument("company_id", psprintf("there is no company \"%s\"", run->company));
	if (run->user != NULL && !exists(KNOWN("users", "c.company_id, c.user_id", "user",
	                                       SAME("company_id", "$1") " AND " SAME("user_id", "$2")),
	                                 ids, 2))
		invalid_argument("user_id", psprintf("there is no user \"%s\"", run->user));
	if (run->strategy != NULL &&
	    !exists(KNOWN("strategies", "c.company_id, c.user_id, c.strategy_id", "strategy",
	                  SAME("company_id",
	                       "$1") " AND " SAME("user_id", "$2") " AND " SAME("strategy_id", "$3")),
	            ids, 3))
		invalid_argument("strategy_id", psprintf("there is no strategy \"%s\"", run->strategy));
	if (run->symbol != NULL &&
	    !exists(KNOWN("instruments", "c.item AS symbol", "instrument", SAME("symbol", "$1")),
	            &run->symbol, 1))
		invalid_argument("symbol", psprintf("there is no instrument \"%s\"", run->symbol));
}

/* For a tenant, what isn't its own doesn't exist. */
static void hold_to_tenant(TeReplayRun *run)
{
	TeIdentity tenant;

	if (te_session_is_admin())
		return;
	if (!te_session_identity(&tenant))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("the session is neither a tenant's nor an administrator's"),
		                errhint("Log in with trading.login().")));
	if (run->company != NULL && strcmp(run->company, tenant.company) != 0)
		invalid_argument("company_id", psprintf("there is no company \"%s\"", run->company));
	run->company = pstrdup(tenant.company);
	if (strcmp(tenant.role, "admin") == 0)
		return;
	if (run->user != NULL && strcmp(run->user, tenant.user) != 0)
		invalid_argument("user_id", psprintf("there is no user \"%s\"", run->user));
	run->user = pstrdup(tenant.user);
}

void te_replay_read_arguments(FunctionCallInfo fcinfo, const TeReplayPositions *positions,
                              TeReplayRun *run)
{
	*run = (TeReplayRun){
		.company = read_text(fcinfo, positions->company_id),
		.user = read_text(fcinfo, positions->user_id),
		.strategy = read_text(fcinfo, positions->strategy_id),
		.symbol = read_text(fcinfo, positions->symbol),
	};
	read_range(fcinfo, positions, run);
	read_source(fcinfo, positions, run);
	read_outcomes(fcinfo, positions, run);
	read_workers(fcinfo, positions, run);
	hold_to_tenant(run);
	check_names(run);
}
