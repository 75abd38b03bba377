/*
 * setup.c - what tables and triggers of the schema need from C.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "core/breaker.h"
#include "core/execution.h"
#include "core/params.h"
#include "core/protections.h"
#include "core/risk.h"
#include "core/sequence.h"
#include "engine/shmem.h"
#include "sql/trigger.h"
#include "transport/transport.h"

PG_FUNCTION_INFO_V1(te_sql_version);
PG_FUNCTION_INFO_V1(te_sql_enum_labels);
PG_FUNCTION_INFO_V1(te_sql_announce);
PG_FUNCTION_INFO_V1(te_sql_stop_lanes);

/* Longest wait for the lanes to finish their batches and stop. */
#define STOP_TIMEOUT_MS 30000

Datum te_sql_version(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_TEXT_P(
		cstring_to_text(te_kafka_version() != NULL ? TE_VERSION : TE_VERSION " without Kafka"));
}

static Datum label_array(const char *const *labels, int count)
{
	Datum *elements = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		elements[i] = CStringGetTextDatum(labels[i]);
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* enum_labels(enum text): the core's enums by name, and the tiers. */
Datum te_sql_enum_labels(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *name;
		const TeEnum *labels;
	} enums[] = {
		{"algorithm", &te_algorithm_enum},
		{"bias", &te_bias_enum},
		{"breaker_cause", &te_breaker_cause_enum},
		{"breaker_state", &te_breaker_state_enum},
		{"direction", &te_direction_enum},
		{"drawdown_method", &te_drawdown_method_enum},
		{"execution_status", &te_execution_status_enum},
		{"gap_reason", &te_gap_reason_enum},
		{"hold_reason", &te_hold_reason_enum},
		{"order_type", &te_order_type_enum},
		{"outcome", &te_outcome_enum},
		{"position_sizing", &te_position_sizing_enum},
		{"protection", &te_protection_enum},
		{"regime", &te_regime_enum},
		{"risk_level", &te_risk_level_enum},
		{"risk_status", &te_risk_status_enum},
		{"stop_loss_mode", &te_stop_loss_mode_enum},
		{"take_profit_mode", &te_take_profit_mode_enum},
		{"time_in_force", &te_time_in_force_enum},
		{"timing", &te_timing_enum},
		{"trade_state", &te_trade_state_enum},
		{"trading_state", &te_trading_state_enum},
		{"trend", &te_trend_enum},
		{"urgency", &te_urgency_enum},
		{"volatility_mode", &te_volatility_mode_enum},
	};
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (size_t i = 0; i < lengthof(enums); i++) {
		if (strcmp(enums[i].name, name) == 0)
			PG_RETURN_DATUM(label_array(enums[i].labels->labels, enums[i].labels->count));
	}
	if (strcmp(name, "tier") == 0)
		PG_RETURN_DATUM(label_array(te_tier_names, TE_TIER_COUNT));
	ereport(ERROR,
	        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no enum \"%s\"", name)));
}

/* Has the transaction, or a part of it that was rolled back since, something to tell the lanes? */
static bool wake_at_commit = false;

/*
 * After the locks are released, because XACT_EVENT_COMMIT comes before the transaction's
 * invalidations are sent: a lane that was woken there could look too early, and sleep on.
 */
static void wake_lanes(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
                       void *arg pg_attribute_unused())
{
	if (!wake_at_commit || !is_top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	wake_at_commit = false;
	if (is_commit && te_shmem_available()) {
		te_shmem_wake_lanes(MyDatabaseId);
		te_shmem_request_check(MyDatabaseId);
	}
}

/*
 * Statement trigger on the tables that lanes read: the relcache invalidation says at
 * commit that there is something to read, and the latch wakes a lane that waits.
 */
Datum te_sql_announce(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	CacheInvalidateRelcache(te_trigger_data(fcinfo, "announce")->tg_relation);
	if (!registered) {
		RegisterResourceReleaseCallback(wake_lanes, NULL);
		registered = true;
	}
	wake_at_commit = true;
	PG_RETURN_POINTER(NULL);
}

Datum te_sql_stop_lanes(PG_FUNCTION_ARGS pg_attribute_unused())
{
	/* Without shared memory there are no workers. */
	if (te_shmem_available())
		te_shmem_stop_lanes(MyDatabaseId, STOP_TIMEOUT_MS);
	PG_RETURN_VOID();
}
