/*
 * batch.c - a batch of messages: intake, and the transaction that stores it.
 */
#include "postgres.h"

#include "core/lane.h"
#include "engine/admission.h"
#include "engine/assess.h"
#include "engine/batch.h"
#include "engine/evaluate.h"
#include "engine/guc.h"
#include "engine/results.h"
#include "wire/state.h"
#include "sql/sqltime.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A batch is stored when it has made so many signals, or filled so much memory. */
#define FULL_SIGNALS 5000
#define FULL_BYTES ((size_t)64 * 1024 * 1024)

void te_batch_begin(TeBatch *batch, const TeLaneContext *lane, MemoryContext context,
                    TeArena *arena)
{
	*batch = (TeBatch){.lane = lane, .context = context, .arena = arena};
	te_store_init(&batch->rows, context);
	te_outbox_begin(&batch->outbox, arena);
	te_candidates_reset(lane->candidates);
	batch->at = te_time_from_timestamptz(GetCurrentTimestamp());
	batch->now = te_monotonic_us();
}

bool te_batch_full(const TeBatch *batch)
{
	return batch->messages >= (batch->single ? 1 : te_guc_batch_limit) ||
	       batch->signals >= FULL_SIGNALS ||
	       batch->arena->used + batch->message_bytes >= FULL_BYTES;
}

bool te_batch_ends_before(const TeBatch *batch, const char *subject)
{
	TeSubject parts;
	TeWireError err;

	return batch->executions > 0 &&
	       te_subject_parse(te_guc_subject_prefix, subject, strlen(subject), &parts, &err) &&
	       parts.kind == TE_SUBJECT_PREDICTIONS;
}

/* Count a message in, with the time at which it was read, for the latency of the commit. */
void te_batch_note_read(TeBatch *batch, const TeInput *input)
{
	batch->message_bytes += input->len;
	batch->read += !input->repeat;
	if (batch->messages == batch->message_read_at_capacity) {
		batch->message_read_at_capacity = Max(64, 2 * batch->message_read_at_capacity);
		batch->message_read_at =
			batch->message_read_at
				? repalloc(batch->message_read_at, sizeof(int64) * batch->message_read_at_capacity)
				: MemoryContextAlloc(batch->context,
		                             sizeof(int64) * batch->message_read_at_capacity);
	}
	batch->message_read_at[batch->messages++] = input->read_at;
}

/*----------------------------------------------------------------------
 * Dead letters and gaps
 *----------------------------------------------------------------------*/

/* Who a message is from and for, as far as that is known. */
typedef struct Sender
{
	const char *company_id, *user_id, *producer_id;
} Sender;

static void add_dead_row(TeBatch *batch, TeRows *rows, const TeInput *input, const Sender *sender,
                         const char *reason, const char *detail, int prediction_index)
{
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_DEAD_LETTER_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_DEAD_LETTER_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_source, input->source);
	te_rows_set(rows, row, TE_DEAD_LETTER_input_seq, Int64GetDatum(input->seq));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_subject, te_text_or_null(input->subject));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_company_id, te_text_or_null(sender->company_id));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_user_id, te_text_or_null(sender->user_id));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_producer_id, te_text_or_null(sender->producer_id));
	te_rows_set_text(rows, row, TE_DEAD_LETTER_reason, reason);
	te_rows_set_text(rows, row, TE_DEAD_LETTER_detail, detail);
	if (prediction_index >= 0)
		te_rows_set(rows, row, TE_DEAD_LETTER_prediction_index, Int32GetDatum(prediction_index));
	te_rows_set_bytes(rows, row, TE_DEAD_LETTER_message, input->data, input->len);
	batch->counts.dead_letters++;
}

static void add_dead_letter(TeBatch *batch, const TeInput *input, const Sender *sender,
                            const char *reason, const char *detail, int prediction_index)
{
	add_dead_row(batch, &batch->rows.dead_letters, input, sender, reason, detail, prediction_index);
}

static const char *describe_error(const TeWireError *err)
{
	return err->field[0] ? psprintf("%s: %s", err->field, err->detail) : err->detail;
}

void te_batch_dead_letter(TeBatch *batch, TeRows *rows, const TeInput *input,
                          const char *company_id, const char *user_id, const char *producer_id,
                          const TeWireError *err)
{
	const Sender sender = {company_id, user_id, producer_id};

	add_dead_row(batch, rows, input, &sender, te_wire_code_label(err->code), describe_error(err),
	             -1);
}

void te_batch_add_gap(TeBatch *batch, const TeBatchGap *gap)
{
	TeRows *rows = &batch->rows.gaps;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_GAP_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_GAP_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set_text(rows, row, TE_GAP_source, gap->source);
	te_rows_set_text(rows, row, TE_GAP_scope, gap->scope);
	te_rows_set_text(rows, row, TE_GAP_producer_id, gap->producer_id);
	te_rows_set(rows, row, TE_GAP_epoch, Int64GetDatum((int64)gap->epoch));
	te_rows_set(rows, row, TE_GAP_from_seq, Int64GetDatum((int64)gap->from));
	te_rows_set(rows, row, TE_GAP_to_seq, Int64GetDatum((int64)gap->to));
	te_rows_set_text(rows, row, TE_GAP_reason, gap->reason);
	batch->counts.gaps++;
}

/*----------------------------------------------------------------------
 * Intake
 *----------------------------------------------------------------------*/

static void record_predictions(TeBatch *batch, const TeInput *input, const TeSubject *subject,
                               const TeMessage *message, const TeEvaluation *evaluation)
{
	const TeEnvelope *envelope = &message->envelope;
	TeRows *rows = &batch->rows.messages;
	int row = te_rows_add(rows);
	const uint8_t *markets;
	size_t length;
	TeWireError err;

	te_rows_set(rows, row, TE_MESSAGE_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_MESSAGE_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set(rows, row, TE_MESSAGE_position, Int32GetDatum(evaluation->position));
	te_rows_set_text(rows, row, TE_MESSAGE_source, input->source);
	te_rows_set(rows, row, TE_MESSAGE_input_seq, Int64GetDatum(input->seq));
	te_rows_set_text(rows, row, TE_MESSAGE_subject, input->subject);
	te_rows_set_text(rows, row, TE_MESSAGE_company_id, subject->company);
	te_rows_set_text(rows, row, TE_MESSAGE_user_id, subject->user);
	te_rows_set_text(rows, row, TE_MESSAGE_batch_id, message->as.batch.batch_id);
	te_rows_set_text(rows, row, TE_MESSAGE_producer_id, envelope->producer_id);
	te_rows_set(rows, row, TE_MESSAGE_producer_epoch,
	            Int64GetDatum((int64)envelope->producer_epoch));
	te_rows_set(rows, row, TE_MESSAGE_producer_seq, Int64GetDatum((int64)envelope->seq));
	te_rows_set_bytes(rows, row, TE_MESSAGE_payload_hash, envelope->payload_hash,
	                  sizeof(envelope->payload_hash));
	te_rows_set_text(rows, row, TE_MESSAGE_correlation_id, evaluation->correlation_id);
	te_rows_set(rows, row, TE_MESSAGE_predictions, Int32GetDatum((int32)message->as.batch.count));
	te_rows_set_time(rows, row, TE_MESSAGE_decided_at, evaluation->begun_at);
	te_rows_set_bytes(rows, row, TE_MESSAGE_message, input->data, input->len);
	if (!te_markets_pack(evaluation->decided_on, message->as.batch.count, batch->arena, &markets,
	                     &length, &err))
		elog(ERROR, "could not pack market states: %s", err.detail);
	te_rows_set_bytes(rows, row, TE_MESSAGE_market, markets, length);
}

static void take_predictions(TeBatch *batch, const TeInput *input, const TeSubject *subject,
                             const TeMessage *message)
{
	const TePredictionBatch *predictions = &message->as.batch;
	const Sender sender = {subject->company, subject->user, message->envelope.producer_id};
	TeEvaluation evaluation;

	te_evaluate_begin(&evaluation, batch, input, subject, message);
	for (size_t i = 0; i < predictions->count; i++) {
		TeWireError err = predictions->faults[i];

		/* Thousands of predictions for thousands of strategies are seconds of work. */
		CHECK_FOR_INTERRUPTS();
		if (err.code == TE_WIRE_OK)
			(void)te_evaluate_prediction(&evaluation, i, &err);
		if (err.code != TE_WIRE_OK && te_batch_answers_for(batch, subject))
			add_dead_letter(batch, input, &sender, te_wire_code_label(err.code),
			                describe_error(&err), (int)i);
	}
	record_predictions(batch, input, subject, message, &evaluation);
	batch->predictions += (int)predictions->count;
}

/*
 * What every lane reads, one of them reports: the company's, or the first for
 * broadcasts and for subjects that name nobody.
 */
bool te_batch_answers_for(const TeBatch *batch, const TeSubject *subject)
{
	if (subject->company[0] == '\0' || strcmp(subject->company, TE_ALL) == 0)
		return batch->lane->lane == 0;
	return te_lane_of(subject->company, batch->lane->lane_count) == (uint32_t)batch->lane->lane;
}

void te_batch_turn_away(TeBatch *batch, const TeArrival *a)
{
	const Sender sender = {a->subject.company, a->subject.user, a->message->envelope.producer_id};

	if (te_batch_answers_for(batch, &a->subject))
		add_dead_letter(batch, &a->input, &sender, te_wire_code_label(a->fault.code),
		                describe_error(&a->fault), -1);
}

/* What couldn't be stored, or ended the worker, is this lane's to report, whoever it is for. */
static void keep_poison(TeBatch *batch, const TeArrival *a, TeWireCode code, const char *detail)
{
	const Sender sender = {a->subject.company, a->subject.user, a->message->envelope.producer_id};

	add_dead_letter(batch, &a->input, &sender, te_wire_code_label(code), detail, -1);
}

/* Its turn: what the message is for happens; false with err when it can't. */
static bool act(TeBatch *batch, const TeArrival *a, TeWireError *err)
{
	switch (a->message->kind) {
	case TE_MESSAGE_TICK:
		return te_evaluate_tick(batch, &a->subject, &a->message->as.tick, err);
	case TE_MESSAGE_EXECUTION:
		return te_results_take(batch, &a->input, &a->subject, a->message, err);
	case TE_MESSAGE_HEARTBEAT:
		te_admission_hear(batch, a);
		return true;
	default:
		take_predictions(batch, &a->input, &a->subject, a->message);
		return true;
	}
}

void te_batch_apply(TeBatch *batch, TeArrival *a)
{
	te_batch_note_read(batch, &a->input);
	if (a->crashes) {
		te_crash_marker_give_up(batch->lane->marker);
		keep_poison(batch, a, TE_WIRE_CRASHED,
		            "the worker ended twice when it was at this message");
	} else if (batch->poison != NULL)
		keep_poison(batch, a, TE_WIRE_STORE_FAILED, batch->poison);
	else if (a->fault.code == TE_WIRE_OK && act(batch, a, &a->fault)) {
		te_admission_remember(batch, a);
		batch->counts.messages++;
	} else
		te_batch_turn_away(batch, a);
}

/* What ended the worker while it was read is not looked into again. */
void te_batch_read(TeBatch *batch, TeArrival *a)
{
	TeCrashMarker *marker = batch->lane->marker;
	TeCrashVerdict verdict = te_crash_marker_note(marker, a->input.source, a->input.seq);

	a->message = te_arena_zalloc(batch->arena, sizeof(TeMessage));
	if (a->message == NULL)
		elog(ERROR, "a batch's memory is exhausted");
	te_envelope_init(&a->message->envelope, TE_MESSAGE_NONE);
	a->crashes = verdict != TE_CRASH_INNOCENT;
	if (te_subject_parse(te_guc_subject_prefix, a->input.subject, strlen(a->input.subject),
	                     &a->subject, &a->fault) &&
	    verdict != TE_CRASH_GIVE_UP_UNREAD)
		te_arrival_read(batch, a);
	te_crash_marker_read(marker);
}

/* Is it about a company whose messages another lane takes? */
static bool is_foreign(const TeBatch *batch, const TeInput *input)
{
	TeSubject subject = {0};
	TeWireError err;

	return te_subject_parse(te_guc_subject_prefix, input->subject, strlen(input->subject), &subject,
	                        &err) &&
	       subject.company[0] != '\0' && strcmp(subject.company, TE_ALL) != 0 &&
	       !te_batch_answers_for(batch, &subject);
}

/* A message without a number.  What is read again was dealt with when it came first. */
static void take_unnumbered(TeBatch *batch, TeArrival *a)
{
	bool known = a->fault.code == TE_WIRE_OK && a->message->kind == TE_MESSAGE_PREDICTIONS &&
	             !a->input.repeat && !te_admission_is_new(batch, a);

	if (a->input.repeat || known)
		te_batch_note_read(batch, &a->input);
	else
		te_batch_apply(batch, a);
}

bool te_batch_add(TeBatch *batch, const TeInput *input)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TeArrival *a;
	bool taken = true;

	if (is_foreign(batch, input)) {
		te_batch_note_read(batch, input);
		batch->counts.dropped++;
	} else {
		a = palloc0(sizeof(TeArrival));
		a->input = *input;
		te_batch_read(batch, a);
		if (te_arrival_is_sequenced(a))
			taken = te_admission_offer(batch, a);
		else
			take_unnumbered(batch, a);
	}
	MemoryContextSwitchTo(old);
	return taken;
}

/*----------------------------------------------------------------------
 * Storing
 *----------------------------------------------------------------------*/

void te_batch_close_frames(TeBatch *batch)
{
	TeBatchFrames *frames;
	TeRows *rows = &batch->rows.outbox;
	int row;

	if (batch->outbox.count == 0)
		return;
	frames = MemoryContextAlloc(batch->context, sizeof(TeBatchFrames));
	*frames = (TeBatchFrames){
		.first_seq = (int64)batch->outbox.first_seq,
		.last_seq = (int64)batch->outbox.last_seq,
		.data = batch->outbox.data,
		.len = batch->outbox.len,
		.read_at = batch->read_at,
	};
	batch->frames = lappend(batch->frames, frames);
	row = te_rows_add(rows);
	te_rows_set(rows, row, TE_OUTBOX_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_OUTBOX_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set(rows, row, TE_OUTBOX_epoch, Int64GetDatum(batch->lane->memory->staged.epoch));
	te_rows_set(rows, row, TE_OUTBOX_first_seq, Int64GetDatum(frames->first_seq));
	te_rows_set(rows, row, TE_OUTBOX_last_seq, Int64GetDatum(frames->last_seq));
	te_rows_set_bytes(rows, row, TE_OUTBOX_frames, frames->data, frames->len);
	te_rows_set_time(rows, row, TE_OUTBOX_expires_at, batch->outbox.expires_at);
	te_outbox_begin(&batch->outbox, batch->arena);
	batch->read_at = NULL;
	batch->read_at_count = batch->read_at_capacity = 0;
}

static Datum snapshot_datum(const char *text)
{
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text));
}

void te_batch_add_gap_fill(TeBatch *batch, const TeGapFill *fill)
{
	TeRows *rows = &batch->rows.gap_fills;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_FILL_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_FILL_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set(rows, row, TE_FILL_epoch, Int64GetDatum((int64)fill->place.epoch));
	te_rows_set(rows, row, TE_FILL_seq, Int64GetDatum((int64)fill->place.seq));
	te_rows_set_text(rows, row, TE_FILL_reason, te_gap_fill_enum.labels[fill->reason]);
}

/* Where the output stands, as columns of the batch's row. */
static void add_output(TeRows *rows, int row, const TeOutputPlaces *output)
{
	const TeRouteCursors *c = &output->cursors;
	const TePlace *nats = &c->acked[TE_VIA_NATS], *kafka = &c->acked[TE_VIA_KAFKA];

	te_rows_set(rows, row, TE_BATCH_publish_epoch, Int64GetDatum((int64)nats->epoch));
	te_rows_set(rows, row, TE_BATCH_publish_seq, Int64GetDatum((int64)nats->seq));
	te_rows_set_time(rows, row, TE_BATCH_publish_created,
	                 output->stream_created > 0 ? output->stream_created : TE_NO_TIME);
	te_rows_set(rows, row, TE_BATCH_publish_stream_seq, Int64GetDatum((int64)output->stream_seq));
	te_rows_set(rows, row, TE_BATCH_kafka_epoch, Int64GetDatum((int64)kafka->epoch));
	te_rows_set(rows, row, TE_BATCH_kafka_seq, Int64GetDatum((int64)kafka->seq));
	te_rows_set(rows, row, TE_BATCH_released_epoch, Int64GetDatum((int64)c->released.epoch));
	te_rows_set(rows, row, TE_BATCH_released_seq, Int64GetDatum((int64)c->released.seq));
}

/* Positions of Kafka's partitions, as trading.input_positions shows them. */
static void add_kafka_positions(TeBatch *batch, int row)
{
	const TeMemory *m = batch->lane->memory;
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 1; i < m->source_count; i++) {
		const TeSourcePosition *p = &m->sources[i]->staged;

		if (p->input.stream_created == TE_NO_TIME)
			continue;
		appendStringInfoString(&text, text.len > 0 ? ", {\"source\": " : "{\"source\": ");
		escape_json(&text, m->sources[i]->name);
		appendStringInfo(&text,
		                 ", \"identity\": " INT64_FORMAT ", \"incarnation\": " INT64_FORMAT
		                 ", \"done\": " UINT64_FORMAT ", \"resume\": " UINT64_FORMAT
		                 ", \"message_time\": " INT64_FORMAT "}",
		                 p->input.stream_created, p->incarnation, p->input.seq, p->resume,
		                 p->input.message_time);
	}
	te_rows_set(&batch->rows.batch, row, TE_BATCH_kafka_positions,
	            DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("[%s]", text.data))));
}

/* How far the streams were read; that of NATS in columns of its own. */
static void add_positions(TeBatch *batch, int row, bool full)
{
	TeRows *rows = &batch->rows.batch;
	TeMemory *m = batch->lane->memory;
	const TeSourcePosition *p = &m->sources[0]->staged;

	te_memory_note_readings(m);
	te_rows_set_time(rows, row, TE_BATCH_input_created, p->input.stream_created);
	te_rows_set(rows, row, TE_BATCH_input_incarnation, Int64GetDatum(p->incarnation));
	te_rows_set(rows, row, TE_BATCH_input_seq, Int64GetDatum((int64)p->input.seq));
	if (p->resume < p->input.seq)
		te_rows_set(rows, row, TE_BATCH_input_resume, Int64GetDatum((int64)p->resume));
	if (p->input.seq > 0)
		te_rows_set_time(rows, row, TE_BATCH_input_time, p->input.message_time);
	if (te_memory_kafka_moved(m) || (full && m->source_count > 1))
		add_kafka_positions(batch, row);
}

static void add_batch_row(TeBatch *batch, const char *inbox_snapshot)
{
	TeMemory *m = batch->lane->memory;
	TePublisher *publisher = batch->lane->publisher;
	TeOutputPlaces output =
		publisher ? te_publisher_stage(publisher, m->staged.epoch, batch->frames) : m->output;
	TeRows *rows = &batch->rows.batch;
	int row = te_rows_add(rows);
	bool full =
		m->committed.batch_no == 0 || (m->committed.batch_no + 1) % TE_STATE_FULL_EVERY == 0;
	const uint8_t *state;
	size_t length;

	m->staged.batch_no = m->committed.batch_no + 1;
	te_memory_pack(m, full, batch->arena, &state, &length);
	te_rows_set(rows, row, TE_BATCH_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_BATCH_batch_no, Int64GetDatum(m->staged.batch_no));
	te_rows_set(rows, row, TE_BATCH_epoch, Int64GetDatum(m->staged.epoch));
	te_rows_set(rows, row, TE_BATCH_lane_count, Int32GetDatum(batch->lane->lane_count));
	te_rows_set_time(rows, row, TE_BATCH_decided_at, batch->at);
	add_positions(batch, row, full);
	if (m->staged.out_seq > m->committed.out_seq && m->staged.epoch == m->committed.epoch)
		te_rows_set(rows, row, TE_BATCH_first_out_seq, Int64GetDatum(m->committed.out_seq + 1));
	te_rows_set(rows, row, TE_BATCH_last_out_seq, Int64GetDatum(m->staged.out_seq));
	add_output(rows, row, &output);
	te_rows_set(rows, row, TE_BATCH_system_identifier, Int64GetDatum((int64)GetSystemIdentifier()));
	te_rows_set(rows, row, TE_BATCH_change_snapshot,
	            snapshot_datum(te_cache_snapshot(batch->lane->cache)));
	if (inbox_snapshot != NULL)
		te_rows_set(rows, row, TE_BATCH_inbox_snapshot, snapshot_datum(inbox_snapshot));
	te_rows_set_time(rows, row, TE_BATCH_lane_clock, m->staged.clock);
	te_rows_set(rows, row, TE_BATCH_messages, Int32GetDatum(batch->read));
	te_rows_set(rows, row, TE_BATCH_predictions, Int32GetDatum(batch->predictions));
	te_rows_set(rows, row, TE_BATCH_signals, Int32GetDatum(batch->signals));
	te_rows_set(rows, row, TE_BATCH_state_full, BoolGetDatum(full));
	te_rows_set_bytes(rows, row, TE_BATCH_state, state, length);
}

static void store_results(void *batch)
{
	te_results_store(batch);
}

/* The clock that windows and reservations end by. */
static TeTime batch_time(const TeBatch *batch)
{
	return te_guc_clock == TE_CLOCK_INPUT ? batch->lane->memory->staged.clock : batch->at;
}

void te_batch_discard(const TeLaneContext *lane)
{
	te_memory_discard(lane->memory);
	te_waiting_settle(lane->waiting);
	te_exposure_discard(lane->exposure);
	te_candidates_reset(lane->candidates);
	te_counts_discard(lane->counts);
}

static void count_committed(TeBatch *batch)
{
	TeLaneCounters *counters = &batch->lane->slot->counters;

	batch->counts.batches = 1;
	batch->counts.predictions = (uint64)batch->predictions;
	batch->counts.signals = (uint64)batch->signals;
	/* Most are zero, and an atomic addition isn't free. */
#define ADD_COUNT(name)                                                                            \
	if (batch->counts.name > 0)                                                                    \
		te_count(&counters->name, batch->counts.name);
	TE_LANE_COUNTERS(ADD_COUNT)
#undef ADD_COUNT
	for (int i = 0; i < TE_OUTCOME_COUNT; i++)
		if (batch->counts.outcomes[i] > 0)
			te_count(&counters->outcomes[i], batch->counts.outcomes[i]);
	te_counts_apply(batch->lane->counts);
}

void te_batch_store(TeBatch *batch, const char *inbox_snapshot)
{
	TeLaneSlot *slot = batch->lane->slot;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	te_evaluate_settle(batch);
	te_batch_close_frames(batch);
	add_batch_row(batch, inbox_snapshot);
	te_assess_record(batch);
	te_store_commit(&batch->rows, &slot->latencies, store_results, batch);
	count_committed(batch);
	MemoryContextSwitchTo(old);
	te_memory_apply(batch->lane->memory);
	te_waiting_settle(batch->lane->waiting);
	if (batch->lane->publisher != NULL)
		te_publisher_committed(batch->lane->publisher, batch->lane->memory->committed.epoch,
		                       batch->frames);
	te_results_committed(batch);
	te_exposure_apply(batch->lane->exposure, batch_time(batch));
	te_assess_recorded(batch->lane);
	if (batch->messages > 0)
		te_latency_record_many(&slot->latencies, TE_LATENCY_READ_TO_COMMIT, batch->message_read_at,
		                       batch->messages, te_monotonic_us());
}
