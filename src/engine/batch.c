/*
 * batch.c - a batch of messages: intake, and the transaction that stores it.
 */
#include "postgres.h"

#include "core/lane.h"
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
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A batch is stored when it has made so many signals, or filled so much memory. */
#define FULL_SIGNALS 5000
#define FULL_BYTES ((size_t)64 * 1024 * 1024)

/* Models, and patterns, of one prediction. */
#define MAX_VOTES 256

void te_batch_begin(TeBatch *batch, const TeLaneContext *lane, MemoryContext context,
                    TeArena *arena)
{
	*batch = (TeBatch){.lane = lane, .context = context, .arena = arena};
	te_store_init(&batch->rows, context);
	te_outbox_begin(&batch->outbox, arena);
	te_candidates_reset(lane->candidates);
	batch->at = te_time_from_timestamptz(GetCurrentTimestamp());
}

bool te_batch_full(const TeBatch *batch)
{
	return batch->messages >= te_guc_batch_limit || batch->signals >= FULL_SIGNALS ||
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
static void note_read(TeBatch *batch, const TeInput *input)
{
	batch->message_bytes += input->len;
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
	te_count(&batch->lane->slot->counters.dead_letters, 1);
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

void te_batch_add_dead(TeBatch *batch, const TeInput *input, const char *detail)
{
	TeSubject subject = {0};
	TeWireError err;
	Sender sender = {0};

	note_read(batch, input);
	if (te_subject_parse(te_guc_subject_prefix, input->subject, strlen(input->subject), &subject,
	                     &err))
		sender = (Sender){subject.company, subject.user, NULL};
	add_dead_letter(batch, input, &sender, te_wire_code_label(TE_WIRE_STORE_FAILED), detail, -1);
}

void te_batch_add_gap(TeBatch *batch, const char *scope, const char *producer_id, uint64 epoch,
                      uint64 from, uint64 to, const char *reason)
{
	TeRows *rows = &batch->rows.gaps;
	int row = te_rows_add(rows);

	te_rows_set(rows, row, TE_GAP_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_GAP_batch_no,
	            Int64GetDatum(batch->lane->memory->committed.batch_no + 1));
	te_rows_set_text(rows, row, TE_GAP_source, TE_SOURCE_NATS);
	te_rows_set_text(rows, row, TE_GAP_scope, scope);
	te_rows_set_text(rows, row, TE_GAP_producer_id, producer_id);
	te_rows_set(rows, row, TE_GAP_epoch, Int64GetDatum((int64)epoch));
	te_rows_set(rows, row, TE_GAP_from_seq, Int64GetDatum((int64)from));
	te_rows_set(rows, row, TE_GAP_to_seq, Int64GetDatum((int64)to));
	te_rows_set_text(rows, row, TE_GAP_reason, reason);
	te_count(&batch->lane->slot->counters.gaps, 1);
}

/*----------------------------------------------------------------------
 * Authorisation
 *----------------------------------------------------------------------*/

static bool same_tenant(const char *stated, const char *subject)
{
	return stated == NULL || stated[0] == '\0' || strcmp(stated, subject) == 0;
}

static bool token_matches(const TeCachedProducer *producer, const char *token)
{
	uint8_t digest[TE_SHA256_BYTES];

	te_sha256(token, strlen(token), digest);
	return memcmp(digest, producer->token_sha256, sizeof(digest)) == 0;
}

/*
 * Subject, envelope and batch name the same company and user; the producer is on
 * that company's list, or on the broadcast list; the token is right where one is due.
 */
static bool authorise(TeBatch *batch, const TeInput *input, const TeSubject *subject,
                      const TeMessage *message, const char *stated_company, const char *stated_user,
                      TeWireError *err)
{
	const TeEnvelope *envelope = &message->envelope;
	TeCachedCompany *company = te_cache_company(batch->lane->cache, subject->company);
	const TeCachedProducer *producer;
	bool broadcast = strcmp(subject->company, TE_ALL) == 0;

	if (!same_tenant(envelope->company_id, subject->company) ||
	    !same_tenant(stated_company, subject->company))
		return te_wire_fail(err, TE_WIRE_MISMATCH, "company_id", "differs from the subject's");
	if (!same_tenant(envelope->user_id, subject->user) || !same_tenant(stated_user, subject->user))
		return te_wire_fail(err, TE_WIRE_MISMATCH, "user_id", "differs from the subject's");
	if (!broadcast && company == NULL)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_COMPANY, "company_id",
		                    "is not in trading.companies");
	if (!broadcast && strcmp(subject->user, TE_ALL) != 0 &&
	    !te_company_has_user(company, subject->user))
		return te_wire_fail(err, TE_WIRE_UNKNOWN_USER, "user_id", "is not in trading.users");
	if (input->authorised)
		return true;
	producer = te_cache_producer(batch->lane->cache, subject->company, envelope->producer_id);
	if (producer == NULL)
		return te_wire_fail(err, TE_WIRE_NOT_AUTHORISED, "producer_id",
		                    "is not an enabled producer of %s",
		                    broadcast ? "broadcasts" : "this company");
	if ((producer->has_token || (company != NULL && te_company_requires_token(company))) &&
	    !(producer->has_token && token_matches(producer, envelope->auth_token)))
		return te_wire_fail(err, TE_WIRE_NOT_AUTHORISED, "auth_token", "is missing or wrong");
	return true;
}

/*----------------------------------------------------------------------
 * Admission
 *----------------------------------------------------------------------*/

static void record_gaps(TeBatch *batch, const TeSubject *subject, const TeEnvelope *envelope,
                        const TeAdmission *admission)
{
	const char *scope = psprintf("%s/%s", subject->company, subject->user);

	if (admission->abandoned_from > 0)
		te_batch_add_gap(batch, scope, envelope->producer_id, admission->abandoned_epoch,
		                 admission->abandoned_from, admission->abandoned_from, "ABANDONED");
	if (admission->gap_from > 0)
		te_batch_add_gap(batch, scope, envelope->producer_id, envelope->producer_epoch,
		                 admission->gap_from, admission->gap_to, "MISSING");
}

static bool admit_sequence(TeBatch *batch, const TeSubject *subject, const TeEnvelope *envelope,
                           TeWireError *err)
{
	TeMemory *m = batch->lane->memory;
	TeLaneCounters *counters = &batch->lane->slot->counters;
	TeProducerState *state =
		te_memory_producer(m, subject->company, subject->user, envelope->producer_id);
	uint64 key = te_memory_sequence_key(subject->company, subject->user, envelope->producer_id,
	                                    envelope->producer_epoch, envelope->seq);
	uint64 hash = te_sha256_head(envelope->payload_hash), stored;
	bool known = te_memory_seen(m, key, &stored);
	TeAdmission admission = te_admit(state, envelope->producer_epoch, envelope->seq, &hash,
	                                 known ? &stored : NULL, sizeof(stored));

	record_gaps(batch, subject, envelope, &admission);
	switch (admission.verdict) {
	case TE_ADMIT_STALE:
		te_count(&counters->stale, 1);
		break;
	case TE_ADMIT_DUPLICATE:
		te_count(&counters->duplicates, 1);
		break;
	case TE_ADMIT_LATE:
		(void)te_wire_fail(err, TE_WIRE_CONFLICT, "seq", "was recorded as missing before it came");
		te_count(&counters->conflicts, 1);
		break;
	case TE_ADMIT_CONFLICT:
		(void)te_wire_fail(err, TE_WIRE_CONFLICT, "seq", "was used for other content");
		te_count(&counters->conflicts, 1);
		break;
	default:
		te_memory_remember(m, key, hash);
	}
	return te_admit_applies(admission.verdict);
}

/* A producer without sequence is deduplicated by its batch ids, in a window. */
static bool admit_batch_id(TeBatch *batch, const TeSubject *subject, const TeMessage *message)
{
	TeMemory *m = batch->lane->memory;
	uint64 key = te_memory_batch_key(subject->company, subject->user, message->envelope.producer_id,
	                                 message->as.batch.batch_id);
	uint64 stored;

	if (te_memory_seen(m, key, &stored)) {
		te_count(&batch->lane->slot->counters.duplicates, 1);
		return false;
	}
	te_memory_remember(m, key, te_sha256_head(message->envelope.payload_hash));
	return true;
}

/* Does the message take effect?  If not, err says whether that needs a dead letter (code is not
 * OK). */
static bool admit(TeBatch *batch, const TeSubject *subject, const TeMessage *message,
                  TeWireError *err)
{
	if (message->envelope.seq > 0)
		return admit_sequence(batch, subject, &message->envelope, err);
	return admit_batch_id(batch, subject, message);
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

/* Decode, authorise, admit and act; false with err when the message as a whole is turned away. */
static bool take(TeBatch *batch, const TeInput *input, const TeSubject *subject, TeMessage *message,
                 TeWireError *err)
{
	const TeWireLimits limits = {
		.max_message = te_guc_max_message_bytes,
		.max_predictions = te_guc_max_predictions_per_batch,
		.max_votes = MAX_VOTES,
	};

	if (!te_wire_decode(input->data, input->len, &limits, batch->arena, message, err))
		return false;
	if (subject->kind == TE_SUBJECT_MARKET && message->kind == TE_MESSAGE_TICK)
		return te_evaluate_tick(batch, subject, &message->as.tick, err);
	if (subject->kind == TE_SUBJECT_EXECUTIONS && message->kind == TE_MESSAGE_EXECUTION) {
		if (!authorise(batch, input, subject, message, message->as.execution.company_id,
		               message->as.execution.user_id, err))
			return false;
		if (message->envelope.seq > 0 && !admit(batch, subject, message, err))
			return err->code == TE_WIRE_OK;
		return te_results_take(batch, input, subject, message, err);
	}
	if (subject->kind != TE_SUBJECT_PREDICTIONS || message->kind != TE_MESSAGE_PREDICTIONS)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_TYPE, "message_type",
		                    "does not belong on this subject");
	if (!authorise(batch, input, subject, message, message->as.batch.company_id,
	               message->as.batch.user_id, err))
		return false;
	if (!admit(batch, subject, message, err))
		return err->code == TE_WIRE_OK;
	take_predictions(batch, input, subject, message);
	return true;
}

void te_batch_add(TeBatch *batch, const TeInput *input)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TeLaneCounters *counters = &batch->lane->slot->counters;
	TeSubject subject = {0};
	TeMessage *message = te_arena_zalloc(batch->arena, sizeof(TeMessage));
	TeWireError err = {0};
	bool ours, taken;

	if (message == NULL)
		elog(ERROR, "a batch's memory is exhausted");
	taken = te_subject_parse(te_guc_subject_prefix, input->subject, strlen(input->subject),
	                         &subject, &err);
	ours = te_batch_answers_for(batch, &subject);
	note_read(batch, input);
	if (!ours && subject.company[0] != '\0' && strcmp(subject.company, TE_ALL) != 0) {
		te_count(&counters->dropped, 1);
		MemoryContextSwitchTo(old);
		return;
	}
	te_envelope_init(&message->envelope, TE_MESSAGE_NONE);
	taken = taken && take(batch, input, &subject, message, &err);
	if (err.code != TE_WIRE_OK && ours) {
		const Sender sender = {subject.company, subject.user, message->envelope.producer_id};

		add_dead_letter(batch, input, &sender, te_wire_code_label(err.code), describe_error(&err),
		                -1);
	}
	if (taken)
		te_count(&counters->messages, 1);
	MemoryContextSwitchTo(old);
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
	te_rows_set_time(rows, row, TE_BATCH_input_created, m->staged.input.stream_created);
	te_rows_set(rows, row, TE_BATCH_input_incarnation, Int64GetDatum(m->staged.incarnation));
	te_rows_set(rows, row, TE_BATCH_input_seq, Int64GetDatum((int64)m->staged.input.seq));
	if (m->staged.input.seq > 0)
		te_rows_set_time(rows, row, TE_BATCH_input_time, m->staged.input.message_time);
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
	te_rows_set(rows, row, TE_BATCH_messages, Int32GetDatum(batch->messages));
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
	te_exposure_discard(lane->exposure);
	te_candidates_reset(lane->candidates);
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
	MemoryContextSwitchTo(old);
	te_memory_apply(batch->lane->memory);
	if (batch->lane->publisher != NULL)
		te_publisher_committed(batch->lane->publisher, batch->lane->memory->committed.epoch,
		                       batch->frames);
	te_results_committed(batch);
	te_exposure_apply(batch->lane->exposure, batch_time(batch));
	te_assess_recorded(batch->lane);
	if (batch->messages > 0)
		te_latency_record_many(&slot->latencies, TE_LATENCY_READ_TO_COMMIT, batch->message_read_at,
		                       batch->messages, te_monotonic_us());
	te_count(&slot->counters.batches, 1);
	te_count(&slot->counters.predictions, batch->predictions);
	te_count(&slot->counters.signals, batch->signals);
}
