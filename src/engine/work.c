/*
 * work.c - the turns of a lane's worker.
 *
 * A turn waits for input, an acknowledgement, a change or a timer, then
 *   - brings cache and inbox up to date, if a commit elsewhere announced something;
 *   - takes all input that is there into one batch, stores it, commits;
 *   - publishes what is committed and sends notifications.
 *
 * What is taken in, up to which position, and how the messages of a batch that failed are
 * tried again, is said in intake.c.  Here are the order of the turn, the transaction, and
 * the output: its anchor, the cursor, the publisher.
 *
 * When a batch fails, nothing of it has happened.  Where the server is the reason (disk full,
 * shutdown, a lock), the worker waits and tries again.
 */
#include "postgres.h"

#include "engine/assess.h"
#include "engine/batch.h"
#include "engine/guc.h"
#include "engine/intake.h"
#include "engine/link.h"
#include "engine/notify.h"
#include "engine/owner.h"
#include "engine/publisher.h"
#include "engine/query.h"
#include "engine/results.h"
#include "engine/session.h"
#include "engine/settings.h"
#include "engine/takeover.h"
#include "engine/work.h"
#include "sql/sqltime.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/errcodes.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ARENA_BLOCK ((size_t)256 * 1024)
#define ARENA_LIMIT ((size_t)1 << 30)

#define RETRY_MIN_US INT64_C(100000)
#define RETRY_MAX_US INT64_C(5000000)

/* A cursor that has moved is stored so soon when no batch takes it along. */
#define CURSOR_IDLE_US INT64_C(1000000)

/* Partitions and counts are looked after so often. */
#define UPKEEP_US INT64_C(10000000)
#define PARTITIONS_US INT64_C(3600000000)

struct TeWork
{
	TeLaneContext context;
	TeOwner owner;
	TeLink *link;
	TeHolds *holds;
	TeIntake *intake;
	MemoryContext batch_memory, release_memory;
	TeArena arena, release_arena;
	int64 started_at;

	bool settled;                /* the lane is ours beyond doubt: input may be taken */
	bool halted;                 /* and is shown so */
	bool troubled;               /* a reason is shown that something failed for */
	char failure[TE_REASON_MAX]; /* of the last attempt() that failed */

	char *contradiction;        /* of settings that were not taken at a reload; NULL: none were */
	const char *output_trouble; /* what the publisher waits for; NULL: nothing */

	/* After a failure. */
	int64 retry_at, retry_delay;

	int64 stored_at, upkeep_at, partitions_at;
};

/*----------------------------------------------------------------------
 * Start
 *----------------------------------------------------------------------*/

static void ensure_partitions(TeWork *work pg_attribute_unused())
{
	static const TeQueryArgs none = {0};

	te_session_begin("making partitions");
	(void)te_query_run("SELECT trading.ensure_partitions()", &none);
	te_session_commit();
}

static void show_cache(const TeWork *work)
{
	TeLaneGauges *gauges = &work->context.slot->gauges;
	const TeCache *cache = work->context.cache;

	te_gauge(&gauges->strategies, te_cache_strategy_count(cache));
	te_gauge(&gauges->cache_bytes, (int64)te_cache_bytes(cache));
	te_gauge(&gauges->pending_changes, te_cache_pending(cache));
}

/* Where the clock of decisions stands. */
static TeTime lane_time(const TeMemory *m)
{
	return te_guc_clock == TE_CLOCK_SYSTEM    ? te_time_from_timestamptz(GetCurrentTimestamp())
	       : m->committed.clock != TE_NO_TIME ? m->committed.clock
	                                          : 0;
}

static void load(TeWork *work, TeLaneSlot *slot)
{
	TeLaneContext *c = &work->context;
	TeMemory *m = te_memory_load(slot->lane);
	int64 begun;

	c->lane = slot->lane;
	c->lane_count = work->owner.lane_count;
	c->slot = slot;
	c->memory = m;
	c->counts = te_counts_create(slot->lane);
	c->candidates = te_candidates_create(TopMemoryContext);
	c->exposure = te_exposure_create(TopMemoryContext, te_guc_signal_memory, te_guc_ban_memory);
	c->cache = te_cache_create(
		&(TeCacheScope){.lane = c->lane, .lane_count = c->lane_count, .parent = TopMemoryContext});
	te_cache_watch(c->cache);
	work->holds = te_holds_create(slot);
	te_cache_set_holds(c->cache, work->holds);
	c->publishing = te_guc_nats_url[0] != '\0' || te_guc_kafka_brokers[0] != '\0';
	begun = te_monotonic_us();
	te_cache_refresh(c->cache);
	te_latency_record(&slot->latencies, TE_LATENCY_REFRESH, begun, te_monotonic_us());
	show_cache(work);
	te_exposure_load(c->exposure, &(TeExposureSource){.lane = c->lane,
	                                                  .lane_count = c->lane_count,
	                                                  .now = lane_time(m),
	                                                  .cache = c->cache});
	te_results_load(c->exposure, c->cache, c->lane, c->lane_count, lane_time(m));
	c->assess = te_assess_create(slot);
	te_assess_load(c->assess, c->cache);
	c->waiting = te_waiting_create(&m->parking);
	work->intake = te_intake_create(c);
}

/* Begin an epoch: the output sequence starts again. */
static void begin_epoch(TeWork *work, int64 epoch)
{
	TeLanePosition *p = &work->context.memory->committed;

	if (p->epoch == epoch)
		return;
	p->epoch = epoch;
	p->out_seq = 0;
	work->context.memory->staged = *p;
	if (work->context.publisher != NULL)
		te_publisher_begin_epoch(work->context.publisher, epoch);
}

/* Somebody has to look after a lane in which something is missing that must not be skipped. */
static void report(TeWork *work, const char *reason)
{
	const char *halt = te_intake_halt(work->intake);

	te_lane_report(work->context.slot, halt ? TE_LANE_HALTED : TE_LANE_RUNNING,
	               halt                  ? halt
	               : reason              ? reason
	               : work->contradiction ? work->contradiction
	                                     : work->output_trouble);
	work->halted = halt != NULL;
	work->troubled = false;
}

/* Send what can be sent, and say what keeps output back. */
static void publish(TeWork *work)
{
	const char *trouble;

	te_publisher_run(work->context.publisher, te_monotonic_us());
	trouble = te_publisher_trouble(work->context.publisher);
	if (trouble == work->output_trouble)
		return;
	work->output_trouble = trouble;
	if (!work->troubled)
		report(work, NULL);
}

/* Until something of the same kind succeeds. */
static void report_trouble(TeWork *work, const char *message)
{
	report(work, message);
	work->troubled = true;
}

/* The lane is ours: by its row, or because the broker has nothing that we don't. */
static void take_over(TeWork *work)
{
	TeLaneContext *c = &work->context;

	te_takeover(c->lane, &work->owner, c->publisher, &c->memory->committed);
	begin_epoch(work, work->owner.epoch);
	work->settled = true;
	report(work, NULL);
}

static void attach_input(TeWork *work)
{
	for (TeVia via = TE_VIA_NATS; via <= TE_VIA_KAFKA; via++) {
		TeTransport *transport = te_link_transport(work->link, via);

		if (transport != NULL)
			te_intake_attach(work->intake, transport, (TeTransportKind)via);
	}
}

static bool store_release(void *arg, const TeGapFill *fills, int count);

static void create_publisher(TeWork *work)
{
	TeLaneContext *c = &work->context;
	TeMemory *m = c->memory;

	te_session_begin("reading the route");
	c->publisher = te_publisher_create(&(TePublisherParts){
		.slot = c->slot,
		.lane = c->lane,
		.installation = work->owner.installation,
		.transports = {te_link_transport(work->link, TE_VIA_NATS),
	                   te_link_transport(work->link, TE_VIA_KAFKA)},
		.gate = te_gate_create(c->cache, c->exposure, work->holds),
		.output = m->output,
		.last = {(uint64_t)m->committed.epoch, (uint64_t)m->committed.out_seq},
		.store_release = store_release,
		.arg = work,
	});
	te_session_commit();
}

TeWork *te_work_start(TeLaneSlot *slot)
{
	TeWork *work = MemoryContextAllocZero(TopMemoryContext, sizeof(TeWork));

	te_settings_require();
	/* In a transaction of its own: what the lane's last worker committed before it let go of the
	 * lock must be in the snapshot that is read afterwards. */
	te_session_begin("taking the lane's lock");
	if (!te_owner_lock(slot->lane))
		ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE),
		        errmsg("another session has lane %d", slot->lane));
	te_session_commit();
	te_session_begin("loading the lane");
	te_owner_read(slot->lane, &work->owner);
	if (work->owner.ownership == TE_OWNER_FOREIGN) {
		te_session_commit();
		te_lane_report(slot, TE_LANE_FOREIGN, work->owner.reason);
		return NULL;
	}
	load(work, slot);
	te_session_commit();
	ensure_partitions(work);

	work->started_at = work->stored_at = te_monotonic_us();
	work->upkeep_at = work->started_at + UPKEEP_US;
	work->partitions_at = work->started_at + PARTITIONS_US;
	work->batch_memory =
		AllocSetContextCreate(TopMemoryContext, "trading_engine batch", ALLOCSET_DEFAULT_SIZES);
	te_arena_init(&work->arena, ARENA_BLOCK, ARENA_LIMIT);
	work->release_memory =
		AllocSetContextCreate(TopMemoryContext, "trading_engine release", ALLOCSET_DEFAULT_SIZES);
	te_arena_init(&work->release_arena, ARENA_BLOCK, ARENA_LIMIT);
	work->link = te_link_create(slot, slot->lane, work->owner.lane_count, work->owner.installation);
	te_assess_connect(work->context.assess, work->link);
	attach_input(work);
	if (!te_link_has_broker(work->link)) {
		take_over(work);
		return work;
	}
	create_publisher(work);
	te_lane_report(slot, TE_LANE_STARTING, "waits for the broker");
	return work;
}

bool te_work_adopted(TeLaneSlot *slot)
{
	TeOwner owner;

	te_session_begin("waiting for trading.adopt()");
	te_owner_read(slot->lane, &owner);
	te_session_commit();
	return owner.adopting;
}

/*----------------------------------------------------------------------
 * Broker events
 *----------------------------------------------------------------------*/

/* False when a broker shows that the lane isn't ours. */
static bool handle_events(TeWork *work, const TeLinkEvents *events)
{
	TePublisherOwner owner = {(uint64)work->owner.predecessor_epoch, work->owner.inherited,
	                          work->owner.adopting};
	const char *reason;

	if (work->context.publisher == NULL)
		return true;
	for (int via = 0; via < TE_VIA_COUNT; via++) {
		if (te_link_transport(work->link, (TeVia)via) == NULL)
			continue;
		reason = te_publisher_heed(work->context.publisher, (TeVia)via, events->of[via], &owner,
		                           te_monotonic_us());
		if (reason != NULL) {
			te_lane_report(work->context.slot, TE_LANE_FOREIGN, reason);
			return false;
		}
	}
	if (!work->settled && te_takeover_is_due(&work->owner, work->context.publisher,
	                                         te_monotonic_us() - work->started_at))
		take_over(work);
	if (work->settled)
		te_intake_resume(work->intake);
	return true;
}

/*----------------------------------------------------------------------
 * Batches
 *----------------------------------------------------------------------*/

/* "No partition of relation found": a check violation without a constraint. */
static bool lacks_partition(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_CHECK_VIOLATION && error->constraint_name == NULL;
}

/* The batch's number is taken: what this worker remembers of the lane isn't its newest state. */
static bool lane_moved_on(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->table_name != NULL &&
	       strncmp(error->table_name, "batches_n", strlen("batches_n")) == 0;
}

/* Errors that have nothing to do with what was being stored: worth another try. */
static bool is_transient(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
	case ERRCODE_CONNECTION_EXCEPTION:
	case ERRCODE_TRANSACTION_ROLLBACK:
	case ERRCODE_INSUFFICIENT_RESOURCES:
	case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
	case ERRCODE_OPERATOR_INTERVENTION:
	case ERRCODE_SYSTEM_ERROR:
	case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: /* a missing table or privilege */
		return true;
	default:
		return error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION || lacks_partition(error);
	}
}

/* A place that has moved, and that no batch has taken along. */
static bool cursor_is_due(const TeWork *work)
{
	return work->context.publisher != NULL && te_publisher_moved(work->context.publisher) &&
	       te_monotonic_us() - work->stored_at >= CURSOR_IDLE_US;
}

/* After the commit: what was staged is what is. */
static void batch_committed(TeWork *work)
{
	work->stored_at = te_monotonic_us();
	te_gauge(&work->context.slot->gauges.last_batch_at, GetCurrentTimestamp());
	if (te_intake_taken(work->intake) > 0)
		te_gauge(&work->context.slot->gauges.last_input_at, GetCurrentTimestamp());
	work->retry_delay = 0;
	te_intake_committed(work->intake);
}

/* End the transaction that failed, and say why. */
static ErrorData *end_failed(TeWork *work)
{
	ErrorData *error;

	MemoryContextSwitchTo(work->batch_memory);
	error = CopyErrorData();
	te_session_abort(false);
	if (lane_moved_on(error))
		ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
		        errmsg("lane %d has batches of another writer: starting anew", work->context.lane));
	te_count(&work->context.slot->counters.errors, 1);
	report_trouble(work, error->message);
	if (lacks_partition(error))
		work->partitions_at = work->upkeep_at = 0;
	return error;
}

/* Nothing of the batch has happened; decide when it is tried again. */
static void batch_failed(TeWork *work, const ErrorData *error)
{
	te_batch_discard(&work->context);
	if (te_intake_failed(work->intake, error, is_transient(error)))
		return;
	work->retry_delay = Min(RETRY_MAX_US, Max(RETRY_MIN_US, 2 * work->retry_delay));
	work->retry_at = te_monotonic_us() + work->retry_delay;
}

/* A batch without input, which records what was decided about a backlog of output. */
static bool store_release(void *arg, const TeGapFill *fills, int count)
{
	TeWork *work = arg;
	TeBatch batch;
	bool volatile stored = false;

	MemoryContextReset(work->release_memory);
	te_arena_reset(&work->release_arena);
	PG_TRY();
	{
		te_batch_begin(&batch, &work->context, work->release_memory, &work->release_arena);
		for (int i = 0; i < count; i++)
			te_batch_add_gap_fill(&batch, &fills[i]);
		te_batch_store(&batch, te_intake_applied(work->intake));
		stored = true;
	}
	PG_CATCH();
	{
		(void)end_failed(work);
		te_batch_discard(&work->context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	if (stored)
		work->stored_at = te_monotonic_us();
	return stored;
}

/* Take what is there into one batch and store it; false when there was nothing. */
static bool run_batch(TeWork *work)
{
	TeBatch batch;
	bool volatile stored = false;
	int64 batch_no;

	MemoryContextReset(work->batch_memory);
	te_arena_reset(&work->arena);
	PG_TRY();
	{
		te_batch_begin(&batch, &work->context, work->batch_memory, &work->arena);
		if (te_intake_gather(work->intake, &batch) || cursor_is_due(work)) {
			te_batch_store(&batch, te_intake_snapshot(work->intake));
			stored = true;
		}
	}
	PG_CATCH();
	{
		batch_failed(work, end_failed(work));
		return false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	if (!stored) {
		te_batch_discard(&work->context);
		if (work->halted) /* there may be less room than before */
			report(work, NULL);
		return false;
	}
	batch_committed(work);
	batch_no = work->context.memory->committed.batch_no; /* the publisher may store others */
	if (batch.steps > 0 || work->halted || work->troubled)
		report(work, NULL);
	if (work->context.publisher != NULL)
		publish(work);
	te_notify_batch(&batch, batch_no);
	return te_intake_taken(work->intake) > 0 || te_intake_more(work->intake);
}

/*----------------------------------------------------------------------
 * Upkeep
 *----------------------------------------------------------------------*/

static void refresh(TeWork *work)
{
	TeLaneSlot *slot = work->context.slot;
	int64 begun = te_monotonic_us();

	te_cache_heed(work->context.cache);
	te_intake_heed(work->intake);
	te_session_begin("reading changes");
	if (te_cache_stale(work->context.cache)) {
		te_cache_refresh(work->context.cache);
		te_count(&slot->counters.reloads, 1);
		te_latency_record(&slot->latencies, TE_LATENCY_REFRESH, begun, te_monotonic_us());
		show_cache(work);
	}
	te_intake_read(work->intake);
	te_session_commit();
}

static void flush_counts(TeWork *work)
{
	te_counts_flush(work->context.counts, work->context.cache);
}

/* Run something whose failure is no reason to stop: it is reported and tried again later. */
static bool attempt(TeWork *work, void (*action)(TeWork *work))
{
	bool volatile done = false;

	PG_TRY();
	{
		action(work);
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		strlcpy(work->failure, error->message, sizeof(work->failure));
		FreeErrorData(error);
		te_session_abort(false);
		te_count(&work->context.slot->counters.errors, 1);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(TopMemoryContext);
	return done;
}

/* Nothing is decided by a cache that is known to be old; false: it is still old. */
static bool be_fresh(TeWork *work)
{
	bool fresh = !te_cache_stale(work->context.cache) && !te_intake_stale(work->intake);

	if (fresh)
		return true;
	fresh = attempt(work, refresh);
	if (work->settled && !fresh)
		report_trouble(work, work->failure);
	else if (work->settled && work->troubled)
		report(work, NULL);
	return fresh;
}

static void upkeep(TeWork *work, int64 now)
{
	if (now < work->upkeep_at)
		return;
	work->upkeep_at = now + UPKEEP_US;
	if (te_counts_due(work->context.counts))
		(void)attempt(work, flush_counts);
	if (now >= work->partitions_at && attempt(work, ensure_partitions))
		work->partitions_at = now + PARTITIONS_US;
}

static void show(TeWork *work)
{
	TeLaneSlot *slot = work->context.slot;
	const TeMemory *m = work->context.memory;
	TeExposureFigures exposure = te_exposure_figures(work->context.exposure);

	te_gauge(&slot->gauges.epoch, m->committed.epoch);
	te_gauge(&slot->gauges.batch_no, m->committed.batch_no);
	te_gauge(&slot->gauges.input_seq, (int64)m->sources[0]->committed.input.seq);
	te_gauge(&slot->gauges.parked, m->parking.parked);
	te_gauge(&slot->gauges.last_out_seq, m->committed.out_seq);
	te_gauge(&slot->gauges.symbols, hash_get_num_entries(m->symbols));
	te_gauge(&slot->gauges.reserved, exposure.reserved);
	te_gauge(&slot->gauges.memory_lost, exposure.lost);
	if (m->committed.clock != TE_NO_TIME)
		te_gauge(&slot->gauges.lane_clock, te_time_to_timestamptz(m->committed.clock));
	te_link_report(work->link);
	te_intake_watch(work->intake, te_monotonic_us());
}

int64 te_work_kept_memory(const TeWork *work)
{
	return (int64)(work->arena.reserved + work->release_arena.reserved);
}

bool te_work_turn(TeWork *work, int64 until_us)
{
	TeLinkEvents events;
	int64 now;

	until_us = Min(until_us, work->upkeep_at);
	if (work->context.publisher != NULL && work->settled)
		until_us = Min(until_us, te_publisher_due(work->context.publisher));
	if (work->settled && work->retry_at == 0)
		until_us = Min(until_us, te_intake_due(work->intake));
	if (work->retry_at > 0)
		until_us = Min(until_us, work->retry_at);
	else if (te_cache_busy(work->context.cache))
		until_us = 0; /* the next slice of what has changed is due */
	events = te_link_wait(work->link, until_us);
	for (;;) {
		bool more = false;

		CHECK_FOR_INTERRUPTS();
		if (!handle_events(work, &events))
			return false;
		now = te_monotonic_us();
		AcceptInvalidationMessages();
		if (now >= work->retry_at) {
			work->retry_at = 0;
			if (!be_fresh(work))
				work->retry_at = now + RETRY_MAX_US;
			else if (work->settled)
				more = run_batch(work) || (work->retry_at == 0 && te_intake_retrying(work->intake));
		}
		if (work->context.publisher != NULL) {
			if (work->settled)
				publish(work);
		} else if (te_holds_changed(work->holds))
			te_holds_read(work->holds, work->context.memory->committed.epoch,
			              work->context.memory->committed.out_seq);
		upkeep(work, now);
		show(work);
		/* The caller has duties of its own, however much input there is. */
		if (!more || now >= until_us)
			return true;
		events = te_link_poll(work->link);
	}
}

/* Say once that settings are not taken, for as long as they contradict each other. */
static void refuse_settings(TeWork *work, char *contradiction)
{
	if (work->contradiction != NULL && strcmp(work->contradiction, contradiction) == 0)
		return;
	ereport(WARNING, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg_internal("%s", contradiction),
	        errdetail("Lane %d goes on with the settings that it has.", work->context.lane));
	if (work->contradiction != NULL)
		pfree(work->contradiction);
	work->contradiction = MemoryContextStrdup(TopMemoryContext, contradiction);
}

static void forget_contradiction(TeWork *work)
{
	if (work->contradiction == NULL)
		return;
	pfree(work->contradiction);
	work->contradiction = NULL;
}

bool te_work_reload(TeWork *work)
{
	char *contradiction = te_settings_contradiction();

	if (contradiction != NULL)
		refuse_settings(work, contradiction);
	else {
		forget_contradiction(work);
		if (te_link_outdated(work->link) || te_intake_outdated(work->intake))
			return false;
		te_intake_configure(work->intake);
		if (work->context.publisher != NULL)
			te_publisher_configure(work->context.publisher, te_monotonic_us());
	}
	if (work->settled)
		report(work, NULL);
	return true;
}

void te_work_finish(TeWork *work)
{
	(void)attempt(work, flush_counts);
}
