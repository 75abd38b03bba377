/*
 * record.c - rows and frames of settled candidates.
 */
#include "postgres.h"

#include "core/decide.h"
#include "engine/guc.h"
#include "engine/notify.h"
#include "engine/record.h"
#include "sql/sqltime.h"
#include "wire/assessment.h"
#include "wire/encode.h"
#include "wire/inputs.h"

#include "utils/memutils.h"

/* A row of trading.outbox is closed at this size. */
#define FRAMES_BYTES ((size_t)4 * 1024 * 1024)

static const char *label(const TeEnum *e, int value)
{
	return e->labels[value];
}

static bool is_simulated(void)
{
	return te_guc_clock == TE_CLOCK_INPUT;
}

/*----------------------------------------------------------------------
 * What was done to it, in words
 *----------------------------------------------------------------------*/

/* Notes of an assessment and the service's own words. */
typedef struct Notes
{
	int count;
	const char *lines[TE_RISK_MOST_NOTES + 1];
	char text[TE_RISK_MOST_NOTES][TE_CANDIDATE_NOTE_MAX];
} Notes;

static void write_notes(const TeCandidate *c, Notes *out)
{
	out->count = 0;
	for (int i = 0; i < c->assessment.note_count; i++) {
		te_candidate_note(&c->assessment.notes[i], out->text[i]);
		out->lines[out->count++] = out->text[i];
	}
	if (c->service_note[0] != '\0')
		out->lines[out->count++] = c->service_note;
}

static const char *cancellation_of(const TeCandidate *c)
{
	return c->assessment.cancelled ? te_risk_note_texts[c->assessment.cancellation] : NULL;
}

/*----------------------------------------------------------------------
 * The row
 *----------------------------------------------------------------------*/

/* Columns that a decision of outcome SIGNAL has, and others may have in part. */
static void set_order_columns(TeRows *rows, int row, const TeDecision *d, const TeStrategy *s)
{
	te_rows_set_text(rows, row, TE_SIGNAL_order_type, label(&te_order_type_enum, d->order_type));
	te_rows_set_text(rows, row, TE_SIGNAL_execution_urgency, label(&te_urgency_enum, d->urgency));
	te_rows_set_double(rows, row, TE_SIGNAL_entry_price, d->entry_price);
	te_rows_set_double(rows, row, TE_SIGNAL_limit_price, d->limit_price);
	te_rows_set_double(rows, row, TE_SIGNAL_stop_loss, d->stop_loss);
	te_rows_set_double(rows, row, TE_SIGNAL_take_profit, d->take_profit);
	te_rows_set_double(rows, row, TE_SIGNAL_reward_risk_ratio, d->reward_risk_ratio);
	te_rows_set_double(rows, row, TE_SIGNAL_position_size, d->position_size);
	te_rows_set_double(rows, row, TE_SIGNAL_max_loss, d->max_loss);
	te_rows_set_text(rows, row, TE_SIGNAL_timing_strategy, label(&te_timing_enum, d->timing));
	te_rows_set_double(rows, row, TE_SIGNAL_trigger_price, d->trigger_price);
	te_rows_set(rows, row, TE_SIGNAL_auto_execute, BoolGetDatum(s->auto_execute));
	te_rows_set_double(rows, row, TE_SIGNAL_max_slippage_pips, s->max_slippage_pips);
	te_rows_set_text(rows, row, TE_SIGNAL_time_in_force,
	                 label(&te_time_in_force_enum, d->time_in_force));
	te_rows_set_text(rows, row, TE_SIGNAL_execution_algorithm,
	                 label(&te_algorithm_enum, s->execution_algorithm));
}

static void set_decision_columns(TeRows *rows, int row, const TeDecision *d)
{
	/* A prediction to hold ends before a type is found: it is HOLD by its outcome. */
	TeDirection type = d->has_signal_type ? d->signal_type : TE_DIR_HOLD;

	te_rows_set_text(rows, row, TE_SIGNAL_outcome, label(&te_outcome_enum, d->outcome));
	if (d->hold_reason != TE_HOLD_REASON_NONE)
		te_rows_set_text(rows, row, TE_SIGNAL_hold_reason,
		                 label(&te_hold_reason_enum, d->hold_reason));
	te_rows_set_text(rows, row, TE_SIGNAL_signal_type, label(&te_direction_enum, type));
	te_rows_set_double(rows, row, TE_SIGNAL_signal_strength, d->signal_strength);
	te_rows_set_double(rows, row, TE_SIGNAL_consensus_score, d->consensus_score);
	te_rows_set_double(rows, row, TE_SIGNAL_market_favorability, d->market_favorability);
	te_rows_set_time(rows, row, TE_SIGNAL_expires_at, d->expires_at);
}

static void set_risk_columns(TeBatch *batch, TeRows *rows, int row, const TeCandidate *c)
{
	const TeRiskAssessment *a = &c->assessment;
	StringInfoData lines;
	const uint8_t *packed;
	size_t length;
	TeWireError err;
	Notes notes;

	if (a->status == TE_RISK_STATUS_UNSPECIFIED)
		return;
	te_rows_set_text(rows, row, TE_SIGNAL_risk_status, label(&te_risk_status_enum, a->status));
	if (a->level != TE_RISK_LEVEL_UNSPECIFIED)
		te_rows_set_text(rows, row, TE_SIGNAL_risk_level, label(&te_risk_level_enum, a->level));
	te_rows_set_text(rows, row, TE_SIGNAL_cancellation_reason, cancellation_of(c));
	te_rows_set_double(rows, row, TE_SIGNAL_original_position_size, a->original_position_size);
	te_rows_set_double(rows, row, TE_SIGNAL_original_stop_loss, a->original_stop_loss);
	if (!te_assessment_pack(&c->actions, batch->arena, &packed, &length, &err))
		elog(ERROR, "could not pack an assessment: %s", err.detail);
	te_rows_set_bytes(rows, row, TE_SIGNAL_assessment, packed, length);
	write_notes(c, &notes);
	if (notes.count == 0)
		return;
	initStringInfo(&lines);
	for (int i = 0; i < notes.count; i++)
		appendStringInfo(&lines, "%s%s", i > 0 ? "\n" : "", notes.lines[i]);
	te_rows_set_text(rows, row, TE_SIGNAL_risk_notes, lines.data);
	pfree(lines.data);
}

static void add_legs(TeBatch *batch, const TeCandidate *c)
{
	TeRows *rows = &batch->rows.legs;
	const TeDecision *d = &c->decision;

	for (int i = 0; i < d->leg_count; i++) {
		const TeLeg *leg = &d->legs[i];
		int row = te_rows_add(rows);

		te_rows_set_uuid(rows, row, TE_LEG_signal_id, c->signal_id);
		te_rows_set_text(rows, row, TE_LEG_company_id, c->of.company_id);
		te_rows_set_text(rows, row, TE_LEG_user_id, c->of.user_id);
		te_rows_set(rows, row, TE_LEG_leg, Int32GetDatum(i));
		te_rows_set_text(rows, row, TE_LEG_order_type, label(&te_order_type_enum, leg->order_type));
		te_rows_set_double(rows, row, TE_LEG_entry_price, leg->entry_price);
		te_rows_set_double(rows, row, TE_LEG_stop_loss, leg->stop_loss);
		te_rows_set_double(rows, row, TE_LEG_take_profit, leg->take_profit);
		te_rows_set_double(rows, row, TE_LEG_position_size, leg->position_size);
	}
}

/* Where the signal comes from, and its places in the lane. */
static void set_origin_columns(TeBatch *batch, TeRows *rows, int row, const TeCandidate *c)
{
	const TeMemory *m = batch->lane->memory;
	const TePredictionBatch *predictions = &c->message->as.batch;

	te_rows_set(rows, row, TE_SIGNAL_lane, Int32GetDatum(batch->lane->lane));
	te_rows_set(rows, row, TE_SIGNAL_batch_no, Int64GetDatum(m->committed.batch_no + 1));
	te_rows_set(rows, row, TE_SIGNAL_position, Int32GetDatum(c->position));
	te_rows_set(rows, row, TE_SIGNAL_ordinal, Int32GetDatum(row));
	te_rows_set(rows, row, TE_SIGNAL_out_epoch, Int64GetDatum(m->staged.epoch));
	te_rows_set_uuid(rows, row, TE_SIGNAL_signal_id, c->signal_id);
	te_rows_set_text(rows, row, TE_SIGNAL_company_id, c->of.company_id);
	te_rows_set_text(rows, row, TE_SIGNAL_user_id, c->of.user_id);
	te_rows_set_text(rows, row, TE_SIGNAL_account_id, c->of.account_id);
	te_rows_set_text(rows, row, TE_SIGNAL_strategy_id, c->of.strategy_id);
	te_rows_set_text(rows, row, TE_SIGNAL_symbol, c->in.prediction->symbol);
	te_rows_set_text(rows, row, TE_SIGNAL_prediction_id, c->in.prediction->prediction_id);
	te_rows_set_text(rows, row, TE_SIGNAL_batch_id, predictions->batch_id);
	te_rows_set_text(rows, row, TE_SIGNAL_producer_id, c->message->envelope.producer_id);
	te_rows_set_text(rows, row, TE_SIGNAL_correlation_id, c->correlation_id);
	te_rows_set_time(rows, row, TE_SIGNAL_generated_at, c->in.prediction->generated_at);
	te_rows_set_time(rows, row, TE_SIGNAL_decided_at, c->in.at);
	te_rows_set(rows, row, TE_SIGNAL_simulated, BoolGetDatum(is_simulated()));
	te_rows_set(rows, row, TE_SIGNAL_strategy_version, Int64GetDatum(c->of.version));
	te_rows_set(rows, row, TE_SIGNAL_core_version, Int32GetDatum(TE_CORE_VERSION));
}

static void add_row(TeBatch *batch, const TeCandidate *c, int64 out_seq, int64 command_seq)
{
	TeRows *rows = &batch->rows.signals;
	int row = te_rows_add(rows);
	const uint8_t *inputs;
	size_t length;
	TeWireError err;

	set_origin_columns(batch, rows, row, c);
	if (out_seq > 0)
		te_rows_set(rows, row, TE_SIGNAL_out_seq, Int64GetDatum(out_seq));
	if (command_seq > 0)
		te_rows_set(rows, row, TE_SIGNAL_command_seq, Int64GetDatum(command_seq));
	set_decision_columns(rows, row, &c->decision);
	if (c->decision.outcome == TE_OUTCOME_SIGNAL)
		set_order_columns(rows, row, &c->decision, &c->strategy);
	set_risk_columns(batch, rows, row, c);
	if (!te_inputs_pack(&c->in, batch->arena, &inputs, &length, &err))
		elog(ERROR, "could not pack the inputs of a decision: %s", err.detail);
	te_rows_set_bytes(rows, row, TE_SIGNAL_inputs, inputs, length);
	add_legs(batch, c);
}

/*----------------------------------------------------------------------
 * Messages
 *----------------------------------------------------------------------*/

static void note_frame_read(TeBatch *batch, int64 read_at)
{
	if (batch->read_at_count == batch->read_at_capacity) {
		batch->read_at_capacity = Max(64, 2 * batch->read_at_capacity);
		batch->read_at =
			batch->read_at
				? repalloc(batch->read_at, sizeof(int64) * batch->read_at_capacity)
				: MemoryContextAlloc(batch->context, sizeof(int64) * batch->read_at_capacity);
	}
	batch->read_at[batch->read_at_count++] = read_at;
}

/* What a message says, but for its place. */
static void fill_record(TeBatch *batch, const TeCandidate *c, const Notes *notes,
                        TeSignalRecord *out)
{
	const TeMessage *message = c->message;
	const TeRiskAssessment *a = &c->assessment;
	bool assessed = a->status != TE_RISK_STATUS_UNSPECIFIED;

	*out = (TeSignalRecord){
		.lane = (uint32_t)batch->lane->lane,
		.epoch = (uint64_t)batch->lane->memory->staged.epoch,
		.company_id = c->of.company_id,
		.user_id = c->of.user_id,
		.strategy_id = c->of.strategy_id,
		.strategy_version = c->of.version,
		.account_id = c->of.account_id,
		.account_currency = c->account.currency,
		.batch_id = message->as.batch.batch_id,
		.producer_id = message->envelope.producer_id,
		.correlation_id = c->correlation_id,
		.traceparent = c->traceparent,
		.tracestate = message->envelope.tracestate,
		.batch_predictions = (uint32_t)message->as.batch.count,
		.decision_latency = is_simulated() ? 0 : te_monotonic_us() - c->read_at,
		.prediction = c->in.prediction,
		.strategy = &c->strategy,
		.instrument = c->in.instrument,
		.decision = &c->decision,
		.decided_at = c->in.at,
		.simulated = is_simulated(),
		.core_version = CppAsString2(TE_CORE_VERSION),
		.risk_status = a->status,
		.risk_level = a->level,
		.original_position_size = assessed ? a->original_position_size : NAN,
		.original_stop_loss = assessed ? a->original_stop_loss : NAN,
		.cancellation_reason = cancellation_of(c),
		.note_count = (size_t)notes->count,
		.notes = notes->lines,
	};
	memcpy(out->signal_id, c->signal_id, TE_UUID_BYTES);
}

typedef bool (*Encoder)(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                        size_t *len, TeWireError *err);

/* Give a message its place in the lane's output, and encode it for good. */
static int64 add_frame(TeBatch *batch, const TeCandidate *c, TeSignalRecord *record,
                       TeSubjectKind kind, Encoder encode)
{
	TeSubject subject = {.kind = kind, .lane = (uint32_t)batch->lane->lane};
	char text[TE_SUBJECT_MAX];
	const uint8_t *data;
	size_t length;
	TeWireError err;

	record->seq = (uint64_t)++batch->lane->memory->staged.out_seq;
	strlcpy(subject.company, c->of.company_id, sizeof(subject.company));
	strlcpy(subject.user, c->of.user_id, sizeof(subject.user));
	if (kind == TE_SUBJECT_SIGNALS)
		strlcpy(subject.symbol, c->in.prediction->symbol, sizeof(subject.symbol));
	if (!te_subject_format(te_guc_subject_prefix, &subject, text) ||
	    !encode(record, batch->arena, &data, &length, &err) ||
	    !te_outbox_append(&batch->outbox, record->seq, text, c->decision.expires_at,
	                      record->traceparent, data, length, &err))
		elog(ERROR, "could not encode a signal: %s", err.detail);
	note_frame_read(batch, c->read_at);
	if (batch->outbox.len >= FRAMES_BYTES)
		te_batch_close_frames(batch);
	return (int64)record->seq;
}

/* Whether a decision of this outcome is sent, or only recorded. */
static bool is_published(const TeBatch *batch, const TeDecision *d)
{
	return batch->lane->publishing && (d->outcome == TE_OUTCOME_SIGNAL || te_guc_publish_holds);
}

/* History is not to be traded. */
static bool is_commanded(const TeCandidate *c)
{
	return c->decision.outcome == TE_OUTCOME_SIGNAL && c->strategy.auto_execute && !is_simulated();
}

void te_record_candidate(TeBatch *batch, const TeCandidate *c)
{
	int64 out_seq = 0, command_seq = 0;

	if (is_published(batch, &c->decision)) {
		TeSignalRecord record;
		Notes notes;

		write_notes(c, &notes);
		fill_record(batch, c, &notes, &record);
		out_seq = add_frame(batch, c, &record, TE_SUBJECT_SIGNALS, te_encode_signal);
		if (is_commanded(c)) {
			command_seq = add_frame(batch, c, &record, TE_SUBJECT_COMMANDS, te_encode_command);
			batch->counts.commands++;
		}
	}
	add_row(batch, c, out_seq, command_seq);
	te_notify_add(batch, c->of.company, TE_NOTICE_SIGNAL, c->signal_id);
}
