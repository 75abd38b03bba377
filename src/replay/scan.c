/*
 * scan.c - one process's part of a run: stored messages to decisions.
 *
 * Each chunk is one query over its batches.  A message is decoded once, and every prediction
 * of it that was decided then is decided for every source of strategies.  What was refused
 * then (an unknown symbol, a fault) has no market recorded, and stays refused.
 */
#include "postgres.h"

#include "replay/work.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/lane.h"
#include "core/rates.h"
#include "core/work.h"
#include "replay/recorded.h"
#include "sql/decision_json.h"
#include "sql/rule.h"
#include "sql/sql_arena.h"
#include "sql/sqltime.h"
#include "wire/state.h"

/* Rows that are fetched at a time: messages can have a megabyte. */
#define FETCH_ROWS 64

/* A message decodes to a few times its size. */
#define ARENA_BLOCK ((size_t)64 * 1024)
#define ARENA_LIMIT ((size_t)1 << 30)

/* Decisions between two looks at interrupts and at what workers have sent. */
#define DECISIONS_PER_LOOK 512

/* What was taken in keeps within the limits of its time, whatever they are now. */
static const TeWireLimits no_limits = {SIZE_MAX, SIZE_MAX, SIZE_MAX};

/* Columns of the query, in its order. */
enum {
	COLUMN_batch_no = 1,
	COLUMN_position,
	COLUMN_company_id,
	COLUMN_user_id,
	COLUMN_correlation_id,
	COLUMN_decided_at,
	COLUMN_message,
	COLUMN_market,
	COLUMN_batch_found,
	COLUMN_batch_decided_at,
	COLUMN_lane_count,
	COLUMN_snapshot,
	COLUMN_system
};

static const char chunk_query[] =
	"SELECT p.batch_no, p.position, p.company_id, p.user_id, p.correlation_id, p.decided_at,"
	"       p.message, p.market, b.lane IS NOT NULL, b.decided_at,"
	"       COALESCE(b.lane_count, (SELECT pg_catalog.count(*) FROM trading.lanes)::integer),"
	"       b.change_snapshot, b.system_identifier"
	"  FROM trading.prediction_batches AS p"
	"  LEFT JOIN trading.batches AS b"
	"    ON b.lane OPERATOR(pg_catalog.=) p.lane AND b.batch_no OPERATOR(pg_catalog.=) p.batch_no"
	"   AND b.lane OPERATOR(pg_catalog.=) $5"
	"   AND b.batch_no OPERATOR(pg_catalog.>=) $6 AND b.batch_no OPERATOR(pg_catalog.<=) $7"
	" WHERE p.lane OPERATOR(pg_catalog.=) $5"
	"   AND p.batch_no OPERATOR(pg_catalog.>=) $6 AND p.batch_no OPERATOR(pg_catalog.<=) $7"
	"   AND " TE_REPLAY_CONDITION " ORDER BY p.batch_no, p.position";

#define QUERY_PARAMETERS (TE_REPLAY_PARAMETERS + 3)

/* Strategies of one source for the lane at hand. */
typedef struct Source
{
	TeCache *cache;
	TeVariant *variants;
} Source;

typedef struct Process
{
	TeReplayProcess callbacks; /* what callbacks get */
	const TeReplayRun *run;
	const TeReplaySink *sink;
	TeReplayChannel *channel;
	TeReplayProgress progress;
	MemoryContext per_row;
	TeArena *arena; /* of a message */
	SPIPlanPtr plan;
	bool every_strategy; /* outcomes are wanted that no confidence is needed for */
	uint64 decisions;
	TeRepeatsSeed seed;
	TeRecorded *recorded;

	/* The strategies, and what they show. */
	Source sources[TE_REPLAY_SOURCES];
	TeCache *others;      /* of a run of one strategy: all of its users', as recorded; else NULL */
	MemoryContext caches; /* of the lane at hand */
	int lane, lane_count; /* -1: none yet */
	struct varlena *snapshot;
	bool has_snapshot;
	int64 system;

	/* The prediction at hand. */
	TeReplayDecision now;
	TeDecisionInput in;
	TeAccount account;
	TeDecision decision;
	TeRiskAssessment assessment;
	TeReplayCandidate candidate;
	const TePrediction *weighed; /* see seen_by */
	const TeAccountRates *rates;
	bool passed_others;
	uint64 since_look;
} Process;

static void out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory reading a message")));
}

/*----------------------------------------------------------------------
 * The strategies
 *----------------------------------------------------------------------*/

/* The variants of a source as the cache takes them; they live as long as the run. */
static TeVariant *read_variants(const TeReplaySource *source, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TeVariant *variants = palloc0(sizeof(TeVariant) * Max(source->variant_count, 1));

	for (int v = 0; v < source->variant_count; v++)
		te_jsonb_read_changes("changes", source->variants[v], &variants[v].set, &variants[v].unset);
	MemoryContextSwitchTo(old);
	return variants;
}

/*
 * Hold the variants of a run without messages against the rows as they are, as an UPDATE would
 * be: where there are messages, the rows that decided them are asked.
 */
void te_replay_check_variants(const TeReplayRun *run)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "variants of a replay", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < run->source_count; i++) {
		TeCacheScope scope = {
			.lane = -1,
			.company = run->company,
			.user = run->user,
			.strategy = run->strategy,
			.variant_count = run->sources[i].variant_count,
			.variants = read_variants(&run->sources[i], context),
			.parent = context,
		};

		if (scope.variant_count > 0)
			te_cache_load_current(te_cache_create(&scope));
	}
	MemoryContextDelete(context);
}

/* Another lane, or another number of lanes: other companies. */
static void open_lane(Process *process, int lane, int lane_count)
{
	const TeReplayRun *run = process->run;

	if (lane == process->lane && lane_count == process->lane_count)
		return;
	MemoryContextReset(process->caches);
	process->lane = -1;
	process->snapshot = NULL;
	process->has_snapshot = false;
	for (int i = 0; i < run->source_count; i++) {
		TeCacheScope scope = {
			.lane = lane,
			.lane_count = lane_count,
			.company = run->company,
			.user = run->user,
			.strategy = run->strategy,
			.variant_count = run->sources[i].variant_count,
			.variants = process->sources[i].variants,
			.parent = process->caches,
		};

		process->sources[i].cache = te_cache_create(&scope);
		if (run->sources[i].strategies == TE_REPLAY_CURRENT)
			te_cache_load_current(process->sources[i].cache);
	}
	if (run->strategy != NULL) {
		TeCacheScope scope = {
			.lane = lane,
			.lane_count = lane_count,
			.company = run->company,
			.user = run->user,
			.parent = process->caches,
		};

		process->others = te_cache_create(&scope);
	}
	process->lane = lane;
	process->lane_count = lane_count;
}

static bool same_snapshot(const Process *process, const struct varlena *snapshot, int64 system)
{
	return process->has_snapshot && process->system == system &&
	       VARSIZE_ANY(process->snapshot) == VARSIZE_ANY(snapshot) &&
	       memcmp(process->snapshot, snapshot, VARSIZE_ANY(snapshot)) == 0;
}

static void keep_snapshot(Process *process, const struct varlena *snapshot, int64 system)
{
	if (process->snapshot != NULL)
		pfree(process->snapshot);
	process->snapshot = MemoryContextAlloc(process->caches, VARSIZE_ANY(snapshot));
	memcpy(process->snapshot, snapshot, VARSIZE_ANY(snapshot));
	process->system = system;
	process->has_snapshot = true;
}

/* Bring every source to what a batch saw. */
static void show_snapshot(Process *process, struct varlena *snapshot, int64 system)
{
	char *text;

	if (same_snapshot(process, snapshot, system))
		return;
	text = OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, PointerGetDatum(snapshot));
	for (int i = 0; i < process->run->source_count; i++)
		te_cache_refresh_at(process->sources[i].cache, text, system);
	if (process->others != NULL)
		te_cache_refresh_at(process->others, text, system);
	keep_snapshot(process, snapshot, system);
}

/* Of a batch that is gone, or that a restored dump has stripped, nobody knows what it saw. */
static void no_snapshot(const Process *process, int64 batch_no)
{
	for (int i = 0; i < process->run->source_count; i++)
		if (process->run->sources[i].strategies == TE_REPLAY_RECORDED)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("batch " INT64_FORMAT
			                       " of lane %d does not say which strategies it saw",
			                       batch_no, process->lane),
			                errhint("Replay with strategies => 'current', or a later range.")));
}

/*----------------------------------------------------------------------
 * Deciding
 *----------------------------------------------------------------------*/

static void look_around(Process *process)
{
	process->since_look = 0;
	CHECK_FOR_INTERRUPTS();
	if (process->channel->poll != NULL)
		process->channel->poll(process->channel);
}

/* Outcomes that the account has a part in. */
#define OUTCOMES_BY_ACCOUNT                                                                        \
	(TE_OUTCOME_BIT(TE_OUTCOME_NO_CONVERSION_RATE) |                                               \
	 TE_OUTCOME_BIT(TE_OUTCOME_NEGATIVE_EXPECTANCY) |                                              \
	 TE_OUTCOME_BIT(TE_OUTCOME_POSITION_TOO_SMALL) | TE_OUTCOME_BIT(TE_OUTCOME_MAX_POSITIONS) |    \
	 TE_OUTCOME_BIT(TE_OUTCOME_SIGNAL))

/* What sources and variants are told apart by; from 1. */
static uint32 series_of(const Process *process, const TeCachedStrategy *strategy)
{
	return 1 + (uint32)process->now.source +
	       (uint32)strategy->variant * (uint32)process->run->source_count;
}

/* The strategies that a prediction is for, in the order in which the lane decided. */
static void visit(Process *process, TeCache *cache, TeStrategyVisitor visitor)
{
	const TeReplayMessage *message = process->now.message;
	TePrediction reach = *process->in.prediction;
	TeCachedCompany *company;

	if (strcmp(message->company_id, TE_ALL) == 0) {
		if (process->every_strategy)
			reach.confidence = 1;
		te_cache_visit_broadcast(cache, &reach, visitor, process);
		return;
	}
	company = te_cache_company(cache, message->company_id);
	if (company != NULL)
		te_cache_visit_company(cache, company,
		                       strcmp(message->user_id, TE_ALL) == 0 ? NULL : message->user_id,
		                       visitor, process);
}

static void pass_other(const TeCachedStrategy *strategy, void *arg)
{
	Process *process = arg;

	if (strcmp(strategy->strategy_id, process->run->strategy) == 0)
		te_recorded_own_turn(process->recorded, strategy);
	else
		te_recorded_pass_other(process->recorded, strategy);
}

/* What other strategies of the account had reserved on this prediction when its turn came. */
static void pass_others(Process *process)
{
	process->passed_others = true;
	if (te_recorded_has_others(process->recorded))
		visit(process, process->others, pass_other);
}

/* The account as it was then.  A rate of its own wins; else the one that was known. */
static void see_account(Process *process, const TeCachedStrategy *strategy)
{
	if (process->others != NULL && !process->passed_others)
		pass_others(process);
	te_recorded_account(process->recorded, strategy, series_of(process, strategy),
	                    &process->account);
	if (process->rates != NULL && !te_known(process->account.conversion_rate))
		process->account.conversion_rate =
			te_recorded_rate(process->rates, process->account.currency);
	process->in.account = &process->account;
}

/* The prediction at hand, as a strategy sees it that may follow its models' accuracy. */
static const TePrediction *seen_by(Process *process, const TeCachedStrategy *strategy)
{
	const TeReplayMessage *message = process->now.message;
	const TePrediction *prediction =
		&message->message->as.batch.predictions[process->now.prediction];

	if (!strategy->results.follow_model_accuracy)
		return prediction;
	if (process->weighed == NULL)
		process->weighed = te_cache_weigh(process->sources[process->now.source].cache,
		                                  message->company_id, prediction, process->arena);
	return process->weighed;
}

/*
 * Most decisions end before the account is looked at, and looking costs more than they do: it is
 * seen when it matters, to the decision or to who gets it.
 */
static void make_decision(Process *process, const TeCachedStrategy *strategy)
{
	TeDecision *d = &process->decision;

	process->in.prediction = seen_by(process, strategy);
	process->in.strategy = strategy->params;
	process->in.rule_context = strategy->rule;
	if (strategy->params->custom_rule != NULL)
		see_account(process, strategy);
	else {
		process->in.account = strategy->account;
		te_decide(&process->in, d);
		if ((TE_OUTCOME_BIT(d->outcome) &
		     (OUTCOMES_BY_ACCOUNT | TE_OUTCOMES_OF_CANDIDATES | process->run->outcomes)) == 0)
			return;
		see_account(process, strategy);
		if ((TE_OUTCOME_BIT(d->outcome) & OUTCOMES_BY_ACCOUNT) == 0)
			return;
	}
	te_decide(&process->in, d);
}

/* A signal or hold, with what was done to the one that was recorded. */
static void make_candidate(Process *process, const TeCachedStrategy *strategy)
{
	const TePrediction *p = process->in.prediction;
	const TeRecordedSignal *recorded = NULL;
	TeDecision *d = &process->decision;
	TeReplayCandidate *c = &process->candidate;

	*c = (TeReplayCandidate){
		.signal = te_repeats_key(&process->seed, strategy->company_id, strategy->user_id,
	                             strategy->strategy_id, p->symbol),
		.prediction = te_repeats_key(&process->seed, strategy->company_id, strategy->user_id,
	                                 strategy->strategy_id, p->prediction_id),
		.series = series_of(process, strategy),
		.batch_no = process->now.message->batch_no,
		.at = process->in.at,
		.entry_price = d->entry_price,
		.signal_strength = d->signal_strength,
		.distance_pips = strategy->params->duplicate_distance_pips,
		.pip_size = process->in.instrument->pip_size,
		.window_seconds = strategy->params->duplicate_window_seconds,
		.side = (int8)(d->outcome == TE_OUTCOME_SIGNAL ? te_direction_sign(d->signal_type) : 0),
		.hold_reason = (uint8)d->hold_reason,
	};
	if (d->outcome == TE_OUTCOME_SIGNAL)
		recorded = te_recorded_signal(process->recorded, strategy);
	process->assessment.status = TE_RISK_STATUS_UNSPECIFIED;
	process->now.risk_notes = NULL;
	if (recorded != NULL && recorded->actions.count > 0) {
		memset(&process->assessment, 0, sizeof(process->assessment));
		te_actions_apply(&process->in, &recorded->actions, d, &process->assessment);
		process->now.risk_notes = recorded->notes;
	}
	if (recorded != NULL)
		te_recorded_pass(process->recorded, strategy, c->series);
	c->outcome = (uint8)d->outcome;
	c->turned_down = recorded != NULL && recorded->turned_down;
	process->now.candidate = c;
	process->now.assessment = &process->assessment;
}

static void decide(const TeCachedStrategy *strategy, void *arg)
{
	Process *process = arg;

	make_decision(process, strategy);
	process->decisions++;
	process->now.candidate = NULL;
	if ((TE_OUTCOME_BIT(process->decision.outcome) & TE_OUTCOMES_OF_CANDIDATES) != 0)
		make_candidate(process, strategy);
	if (process->now.candidate != NULL ||
	    te_replay_wants(process->run, process->decision.outcome)) {
		process->now.variant = strategy->variant;
		process->now.strategy = strategy;
		process->now.account_id = strategy->account_id;
		process->sink->take(&process->callbacks, &process->now);
	}
	if (++process->since_look >= DECISIONS_PER_LOOK)
		look_around(process);
}

static void decide_source(Process *process, int source, const TePrediction *prediction)
{
	const TeReplayMessage *message = process->now.message;
	TeCache *cache = process->sources[source].cache;

	process->now.source = source;
	process->weighed = NULL;
	process->in.instrument = te_cache_instrument(cache, prediction->symbol);
	if (process->in.instrument == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("instrument \"%s\", which batch " INT64_FORMAT
		                       " of lane %d decided on, is not in the history",
		                       prediction->symbol, message->batch_no, message->lane)));
	visit(process, cache, decide);
}

static void run_prediction(Process *process, int i, const TeDecidedOn *decided_on, TeTime at)
{
	const TePrediction *prediction = &process->now.message->message->as.batch.predictions[i];

	process->now.prediction = i;
	process->passed_others = false;
	process->in = (TeDecisionInput){
		.prediction = prediction,
		.market = decided_on->market,
		.at = at,
		.evaluate_rule = te_rule_evaluate,
	};
	process->rates = decided_on->rates;
	for (int source = 0; source < process->run->source_count; source++)
		decide_source(process, source, prediction);
	if (process->sink->prediction_end != NULL)
		process->sink->prediction_end(&process->callbacks, process->now.message, i);
}

/*----------------------------------------------------------------------
 * Messages
 *----------------------------------------------------------------------*/

/* A row of the query; its values are in the per-row memory. */
typedef struct MessageRow
{
	HeapTuple tuple;
	TupleDesc columns;
} MessageRow;

static Datum column(const MessageRow *row, int number, bool *isnull)
{
	bool ignored;

	return SPI_getbinval(row->tuple, row->columns, number, isnull ? isnull : &ignored);
}

static TeTime time_column(const MessageRow *row, int number)
{
	bool isnull;
	Datum value = column(row, number, &isnull);

	return isnull ? TE_NO_TIME : te_time_from_timestamptz(DatumGetTimestampTz(value));
}

static const char *text_column(const MessageRow *row, int number)
{
	bool isnull;
	Datum value = column(row, number, &isnull);

	return isnull ? "" : TextDatumGetCString(value);
}

static void unreadable(const TeReplayMessage *place, const char *what, const TeWireError *err)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
	                errmsg("%s %d of batch " INT64_FORMAT " of lane %d can't be read", what,
	                       place->position, place->batch_no, place->lane),
	                errdetail("%s%s%s", err->field, err->field[0] ? ": " : "", err->detail)));
}

static const TeMessage *decode(Process *process, const MessageRow *row,
                               const TeReplayMessage *place)
{
	bytea *bytes = DatumGetByteaPP(column(row, COLUMN_message, NULL));
	TeMessage *message = te_arena_zalloc(process->arena, sizeof(TeMessage));
	TeWireError err = {0};

	if (message == NULL)
		out_of_memory();
	if (!te_wire_decode((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &no_limits,
	                    process->arena, message, &err))
		unreadable(place, "message", &err);
	return message;
}

/* What each prediction was decided on; NULL when none was. */
static const TeDecidedOn *unpack_markets(Process *process, const MessageRow *row,
                                         const TeReplayMessage *place)
{
	bool isnull;
	Datum value = column(row, COLUMN_market, &isnull);
	TeDecidedOn *decided_on;
	size_t count;
	TeWireError err = {0};
	bytea *bytes;

	if (isnull)
		return NULL;
	bytes = DatumGetByteaPP(value);
	if (!te_markets_unpack((const uint8_t *)VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
	                       process->arena, &decided_on, &count, &err))
		unreadable(place, "market state of message", &err);
	if (count != place->message->as.batch.count) {
		(void)te_wire_fail(&err, TE_WIRE_INVALID_FIELD, "condition_of",
		                   "has another length than the batch");
		unreadable(place, "market state of message", &err);
	}
	return decided_on;
}

/*
 * Decide the predictions of a message.  The row has the clock before the first of them; a
 * lane that goes by the input's clock moves it on with each that it decides, while the
 * system's clock stands for the whole batch, whose row has it too.
 */
static void run_predictions(Process *process, const MessageRow *row, const TeDecidedOn *decided_on)
{
	const TePredictionBatch *batch = &process->now.message->message->as.batch;
	const char *symbol = process->run->symbol;
	TeTime at = time_column(row, COLUMN_decided_at);
	bool clock_moves = at != time_column(row, COLUMN_batch_decided_at);

	te_recorded_message(process->recorded, process->now.message->batch_no,
	                    process->now.message->position, batch, clock_moves);
	for (size_t i = 0; i < batch->count; i++) {
		if (decided_on[i].market == NULL)
			continue;
		if (batch->faults[i].code != TE_WIRE_OK)
			unreadable(process->now.message, "message", &batch->faults[i]);
		if (clock_moves)
			at = te_lane_clock(at, batch->predictions[i].generated_at);
		if (symbol != NULL && strcmp(symbol, batch->predictions[i].symbol) != 0)
			continue;
		te_recorded_prediction(process->recorded, (int)i, at);
		run_prediction(process, (int)i, &decided_on[i], at);
	}
}

static void show_strategies(Process *process, const MessageRow *row, const TeReplayMessage *place)
{
	bool no_batch, stripped;
	Datum snapshot = column(row, COLUMN_snapshot, &stripped);

	no_batch = !DatumGetBool(column(row, COLUMN_batch_found, NULL));
	open_lane(process, place->lane, DatumGetInt32(column(row, COLUMN_lane_count, NULL)));
	if (no_batch || stripped)
		no_snapshot(process, place->batch_no);
	else
		show_snapshot(process, PG_DETOAST_DATUM_PACKED(snapshot),
		              DatumGetInt64(column(row, COLUMN_system, NULL)));
}

static void run_message(Process *process, int lane, const MessageRow *row)
{
	TeReplayMessage message = {
		.lane = lane,
		.batch_no = DatumGetInt64(column(row, COLUMN_batch_no, NULL)),
		.position = DatumGetInt32(column(row, COLUMN_position, NULL)),
		.company_id = text_column(row, COLUMN_company_id),
		.user_id = text_column(row, COLUMN_user_id),
		.correlation_id = text_column(row, COLUMN_correlation_id),
	};
	const TeDecidedOn *decided_on;
	uint64 decisions = process->decisions;

	te_arena_reset(process->arena);
	message.message = decode(process, row, &message);
	decided_on = unpack_markets(process, row, &message);
	process->now.message = &message;
	if (decided_on != NULL) {
		show_strategies(process, row, &message);
		run_predictions(process, row, decided_on);
	}
	if (process->sink->message_end != NULL)
		process->sink->message_end(&process->callbacks, &message);
	look_around(process);
	te_replay_progress_add(process->progress, 1, message.message->as.batch.count,
	                       process->decisions - decisions, process->channel->sent);
	process->channel->sent = 0;
}

/*----------------------------------------------------------------------
 * Chunks
 *----------------------------------------------------------------------*/

static void run_rows(Process *process, int lane)
{
	/* Reading strategies runs queries of its own. */
	SPITupleTable *rows = SPI_tuptable;
	uint64 count = SPI_processed;

	for (uint64 i = 0; i < count && !process->channel->gone; i++) {
		MessageRow row = {rows->vals[i], rows->tupdesc};
		MemoryContext old = MemoryContextSwitchTo(process->per_row);

		run_message(process, lane, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(process->per_row);
	}
	SPI_freetuptable(rows);
}

static void run_chunk(Process *process, const TeReplayChunk *chunk, Datum *values,
                      const char *nulls)
{
	TeRecordedRange range = {
		.epoch = chunk->epoch,
		.lane = chunk->lane,
		.lane_count = chunk->lane_count,
		.first_batch = chunk->first_batch,
		.last_batch = chunk->last_batch,
		.first_at = chunk->first_at,
	};
	Portal portal;

	te_recorded_open(process->recorded, &range);
	values[TE_REPLAY_PARAMETERS] = Int32GetDatum(chunk->lane);
	values[TE_REPLAY_PARAMETERS + 1] = Int64GetDatum(chunk->first_batch);
	values[TE_REPLAY_PARAMETERS + 2] = Int64GetDatum(chunk->last_batch);
	portal = SPI_cursor_open(NULL, process->plan, values, nulls, true);
	do {
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0) {
			SPI_freetuptable(SPI_tuptable);
			break;
		}
		run_rows(process, chunk->lane);
	} while (!process->channel->gone);
	SPI_cursor_close(portal);
}

static void run_chunks(Process *process, TeReplayShared *shared, const TeReplayChunk *chunks,
                       TeReplayOwner *owners)
{
	Oid types[QUERY_PARAMETERS];
	Datum values[QUERY_PARAMETERS];
	char nulls[QUERY_PARAMETERS + 1] = {0};

	te_replay_conditions(process->run, types, values, nulls);
	types[TE_REPLAY_PARAMETERS] = INT4OID;
	types[TE_REPLAY_PARAMETERS + 1] = types[TE_REPLAY_PARAMETERS + 2] = INT8OID;
	memset(nulls + TE_REPLAY_PARAMETERS, ' ', 3);
	process->plan = SPI_prepare(chunk_query, QUERY_PARAMETERS, types);
	if (process->plan == NULL)
		elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), chunk_query);
	while (!process->channel->gone) {
		uint32 chunk = pg_atomic_fetch_add_u32(&shared->next_chunk, 1);

		if (chunk >= shared->chunk_count)
			break;
		owners[chunk] = (TeReplayOwner)process->channel->process;
		process->channel->chunk = chunk;
		run_chunk(process, &chunks[chunk], values, nulls);
		if (process->sink->chunk_end != NULL)
			process->sink->chunk_end(&process->callbacks);
		te_replay_end_chunk(process->channel);
	}
}

/* Outcomes of gates that come before the one of confidence, or that one itself. */
#define OUTCOMES_OF_ANY_CONFIDENCE                                                                 \
	(TE_OUTCOME_BIT(TE_OUTCOME_DISABLED) | TE_OUTCOME_BIT(TE_OUTCOME_INSTRUMENT_NOT_ALLOWED) |     \
	 TE_OUTCOME_BIT(TE_OUTCOME_STALE) | TE_OUTCOME_BIT(TE_OUTCOME_LOW_CONFIDENCE))

void te_replay_work(TeReplayShared *shared, const TeReplayChunk *chunks, TeReplayOwner *owners,
                    const TeReplayRun *run, const void *parameters, Size length,
                    TeReplayChannel *channel)
{
	Process *process = palloc0(sizeof(Process));
	MemoryContext context = CurrentMemoryContext;

	process->callbacks = (TeReplayProcess){.run = run, .context = context, .channel = channel};
	process->run = run;
	process->sink = te_replay_sinks[shared->sink];
	process->channel = channel;
	process->progress = shared->progress;
	process->per_row = AllocSetContextCreate(context, "replayed message", ALLOCSET_DEFAULT_SIZES);
	process->caches = AllocSetContextCreate(context, "replayed strategies", ALLOCSET_DEFAULT_SIZES);
	process->arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	process->every_strategy = (run->outcomes & OUTCOMES_OF_ANY_CONFIDENCE) != 0;
	process->lane = -1;
	process->seed = shared->seed;
	process->recorded = te_recorded_create(context, run);
	process->now.in = &process->in;
	process->now.decision = &process->decision;
	for (int i = 0; i < run->source_count; i++)
		process->sources[i].variants = read_variants(&run->sources[i], context);

	if (process->sink->begin != NULL)
		process->sink->begin(&process->callbacks, parameters, length);
	run_chunks(process, shared, chunks, owners);
	channel->chunk = TE_REPLAY_NO_CHUNK;
	if (process->sink->end != NULL)
		process->sink->end(&process->callbacks);
	te_replay_progress_add(process->progress, 0, 0, 0, channel->sent);
	channel->sent = 0;
	pg_atomic_fetch_add_u64(&shared->decisions, (int64)process->decisions);
	MemoryContextDelete(process->caches);
	MemoryContextDelete(process->per_row);
}
