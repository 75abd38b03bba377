/*
 * admission.c - who may send, and whose turn it is.
 */
#include "postgres.h"

#include "engine/admission.h"
#include "engine/guc.h"
#include "engine/waiting.h"

#include "miscadmin.h"

/* Models, and patterns, of one prediction. */
#define MAX_VOTES 256

/* What a message that waits costs beside its bytes. */
#define WAITING_OVERHEAD 512

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

/* Subject and what the message states name the same company and user. */
static bool check_tenant(const TeSubject *subject, const char *company, const char *user,
                         TeWireError *err)
{
	if (!same_tenant(company, subject->company))
		return te_wire_fail(err, TE_WIRE_MISMATCH, "company_id", "differs from the subject's");
	if (!same_tenant(user, subject->user))
		return te_wire_fail(err, TE_WIRE_MISMATCH, "user_id", "differs from the subject's");
	return true;
}

/*
 * The envelope is about the subject's tenant, whom we know; the producer is on that company's
 * list, or on the broadcast list; the token is right where one is due.
 */
static bool authorise(TeBatch *batch, TeArrival *a, TeWireError *err)
{
	const TeEnvelope *envelope = &a->message->envelope;
	const TeSubject *subject = &a->subject;
	const TeCache *cache = batch->lane->cache;
	TeCachedCompany *company = te_cache_company(batch->lane->cache, subject->company);
	const TeCachedProducer *producer;
	bool broadcast = strcmp(subject->company, TE_ALL) == 0;

	if (!check_tenant(subject, envelope->company_id, envelope->user_id, err))
		return false;
	if (!broadcast && company == NULL)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_COMPANY, "company_id",
		                    "is not in trading.companies");
	if (!broadcast && strcmp(subject->user, TE_ALL) != 0 &&
	    !te_company_has_user(company, subject->user))
		return te_wire_fail(err, TE_WIRE_UNKNOWN_USER, "user_id", "is not in trading.users");
	producer = a->producer = te_cache_producer(cache, subject->company, envelope->producer_id);
	if (a->input.authorised)
		return true;
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
 * Reading
 *----------------------------------------------------------------------*/

static bool belongs_on(const TeMessage *message, const TeSubject *subject)
{
	switch (message->kind) {
	case TE_MESSAGE_TICK:
		return subject->kind == TE_SUBJECT_MARKET;
	case TE_MESSAGE_EXECUTION:
		return subject->kind == TE_SUBJECT_EXECUTIONS;
	case TE_MESSAGE_PREDICTIONS:
		return subject->kind == TE_SUBJECT_PREDICTIONS;
	case TE_MESSAGE_HEARTBEAT:
		return subject->kind == TE_SUBJECT_PREDICTIONS || subject->kind == TE_SUBJECT_EXECUTIONS;
	default:
		return false;
	}
}

/* Is what the payload says of its sender the same as what the envelope says? */
static bool check_payload(const TeArrival *a, TeWireError *err)
{
	const TeMessage *m = a->message;

	switch (m->kind) {
	case TE_MESSAGE_PREDICTIONS:
		return check_tenant(&a->subject, m->as.batch.company_id, m->as.batch.user_id, err);
	case TE_MESSAGE_EXECUTION:
		return check_tenant(&a->subject, m->as.execution.company_id, m->as.execution.user_id, err);
	case TE_MESSAGE_HEARTBEAT:
		return strcmp(m->as.heartbeat.producer_id, m->envelope.producer_id) == 0 ||
		       te_wire_fail(err, TE_WIRE_MISMATCH, "producer_id", "envelope and heartbeat differ");
	default:
		return true;
	}
}

void te_arrival_read(TeBatch *batch, TeArrival *a)
{
	const TeWireLimits limits = {
		.max_message = te_guc_max_message_bytes,
		.max_predictions = te_guc_max_predictions_per_batch,
		.max_votes = MAX_VOTES,
	};
	TeWireError err = {0};

	if (te_wire_decode(a->input.data, a->input.len, &limits, batch->arena, a->message, &a->fault) &&
	    !belongs_on(a->message, &a->subject))
		(void)te_wire_fail(&a->fault, TE_WIRE_UNKNOWN_TYPE, "message_type",
		                   "does not belong on this subject");
	if (a->message->kind == TE_MESSAGE_NONE || a->subject.kind == TE_SUBJECT_MARKET)
		return;
	a->authorised = authorise(batch, a, &err);
	if (a->fault.code == TE_WIRE_OK && !a->authorised)
		a->fault = err;
	if (a->fault.code == TE_WIRE_OK)
		(void)check_payload(a, &a->fault);
}

bool te_arrival_is_sequenced(const TeArrival *a)
{
	return a->authorised && a->message->envelope.seq > 0;
}

/*----------------------------------------------------------------------
 * Identity
 *----------------------------------------------------------------------*/

static uint64 key_of(const TeArrival *a)
{
	const TeEnvelope *e = &a->message->envelope;

	return e->seq > 0 ? te_memory_sequence_key(a->subject.company, a->subject.user, e->producer_id,
	                                           e->producer_epoch, e->seq)
	                  : te_memory_batch_key(a->subject.company, a->subject.user, e->producer_id,
	                                        a->message->as.batch.batch_id);
}

bool te_admission_is_new(TeBatch *batch, const TeArrival *a)
{
	uint64 stored;

	if (!te_memory_seen(batch->lane->memory, key_of(a), &stored))
		return true;
	batch->counts.duplicates++;
	return false;
}

void te_admission_remember(TeBatch *batch, const TeArrival *a)
{
	if (te_arrival_is_sequenced(a) || a->message->kind == TE_MESSAGE_PREDICTIONS)
		te_memory_remember(batch->lane->memory, key_of(a),
		                   te_sha256_head(a->message->envelope.payload_hash));
}

/*----------------------------------------------------------------------
 * Steps
 *----------------------------------------------------------------------*/

static void record_gap(TeBatch *batch, const TeLaneProducer *producer, const TeSequenceStep *step,
                       uint64 to)
{
	TeProducerName name = te_memory_producer_name(producer);

	te_batch_add_gap(batch, &(TeBatchGap){.source = TE_SOURCE_PRODUCER,
	                                      .scope = name.scope,
	                                      .producer_id = name.producer,
	                                      .epoch = step->epoch,
	                                      .from = step->from,
	                                      .to = to,
	                                      .reason = te_gap_reason_enum.labels[step->reason]});
}

/* A message that has waited: what may take effect was perhaps changed meanwhile. */
static void apply_waiting(TeBatch *batch, uint32 slot)
{
	TeArrival *a = palloc0(sizeof(TeArrival));

	a->input = *te_waiting_at(batch->lane->waiting, slot);
	a->input.repeat = true;
	te_waiting_take(batch->lane->waiting, slot);
	te_batch_read(batch, a);
	te_batch_apply(batch, a);
}

static void tell_halt(const TeLaneProducer *producer, const TeSequenceStep *step)
{
	ereport(LOG,
	        errmsg("a message of producer %s is missing and must not be skipped", producer->key),
	        errdetail("It has the number " UINT64_FORMAT " of epoch " UINT64_FORMAT ".", step->from,
	                  step->epoch),
	        errhint("What follows waits until it comes, or until trading.release_gap()."));
}

static void take_step(TeBatch *batch, const TeSequenceStep *step)
{
	TeLaneProducer *producer = te_memory_producer_of(step->sequence);
	TeArrival *offered = batch->offered;

	batch->steps++;
	if (step->offered)
		batch->offered = NULL;
	if (step->kind != TE_STEP_PARK)
		te_memory_touch_producer(batch->lane->memory, producer);
	switch (step->kind) {
	case TE_STEP_APPLY:
		if (step->offered)
			te_batch_apply(batch, offered);
		else
			apply_waiting(batch, step->slot);
		break;
	case TE_STEP_GAP:
		record_gap(batch, producer, step, step->to);
		break;
	case TE_STEP_EPOCH:
		record_gap(batch, producer, step, step->from);
		break;
	case TE_STEP_PARK:
		te_waiting_keep(batch->lane->waiting, step->slot, &offered->input);
		batch->parked++;
		te_batch_note_read(batch, &offered->input);
		break;
	case TE_STEP_HALT:
		tell_halt(producer, step);
		break;
	}
}

/* Does the batch end before the message under this slot? */
static bool ends_before(const TeBatch *batch, uint32 slot)
{
	bool lost_if_left = batch->offered != NULL && batch->offered->input.origin < 0;

	return !lost_if_left &&
	       (te_batch_full(batch) ||
	        te_batch_ends_before(batch, te_waiting_at(batch->lane->waiting, slot)->subject));
}

void te_admission_proceed(TeBatch *batch)
{
	TeParking *parking = &batch->lane->memory->parking;
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TeSequenceStep step;

	batch->unfinished = false;
	for (;;) {
		uint32 slot = te_parking_next(parking);

		CHECK_FOR_INTERRUPTS();
		if (slot != 0 && ends_before(batch, slot)) {
			batch->unfinished = true;
			slot = te_parking_keep_offered(parking);
			if (slot != 0)
				take_step(batch, &(TeSequenceStep){.kind = TE_STEP_PARK,
				                                   .sequence = parking->ready,
				                                   .slot = slot,
				                                   .offered = true});
			break;
		}
		if (!te_parking_step(parking, &step))
			break;
		take_step(batch, &step);
	}
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * Offers
 *----------------------------------------------------------------------*/

/* On the clock of the sequences; simulated time says nothing about waiting. */
static TeTime expiry_of(const TeBatch *batch, const TeEnvelope *envelope)
{
	if (te_guc_clock != TE_CLOCK_SYSTEM || envelope->valid_until == TE_NO_TIME)
		return TE_NO_TIME;
	return batch->now + (envelope->valid_until - batch->at);
}

static void refuse(TeBatch *batch, TeArrival *a, const char *detail)
{
	(void)te_wire_fail(&a->fault, TE_WIRE_CONFLICT, "seq", "%s", detail);
	te_batch_turn_away(batch, a);
}

/* A message that has no effect.  What is read again was dealt with when it came first. */
static void note_verdict(TeBatch *batch, TeArrival *a, TeAdmitVerdict verdict)
{
	te_batch_note_read(batch, &a->input);
	if (a->input.repeat)
		return;
	switch (verdict) {
	case TE_ADMIT_STALE:
		batch->counts.stale++;
		break;
	case TE_ADMIT_DUPLICATE:
		batch->counts.duplicates++;
		break;
	case TE_ADMIT_LATE:
		batch->counts.late++;
		break;
	default:
		batch->counts.conflicts++;
		refuse(batch, a, "was used for other content");
	}
}

bool te_admission_offer(TeBatch *batch, TeArrival *a)
{
	TeMemory *m = batch->lane->memory;
	const TeEnvelope *e = &a->message->envelope;
	TeSequence *s =
		&te_memory_producer(m, a->subject.company, a->subject.user, e->producer_id)->sequence;
	uint64 stored;
	TeSequenceMessage message = {
		.epoch = e->producer_epoch,
		.seq = e->seq,
		.hash = te_sha256_head(e->payload_hash),
		.stored = te_memory_seen(m, key_of(a), &stored) ? &stored : NULL,
		.bytes = (uint32)(a->input.len + WAITING_OVERHEAD),
		.source = a->input.origin,
		.position = (uint64)a->input.seq,
		.expires_at = expiry_of(batch, e),
	};
	TeAdmitVerdict verdict;

	s->halts = a->producer != NULL && a->producer->halts;
	if (a->input.retry && message.stored == NULL &&
	    !te_admit_applies(te_admit_judge(&s->staged, message.epoch, message.seq, &message.hash,
	                                     NULL, sizeof(message.hash)))) {
		te_batch_apply(batch, a); /* its number was used up by the dead letter */
		return true;
	}
	verdict = te_sequence_offer(&m->parking, s, &message, batch->now);
	if (verdict == TE_ADMIT_FULL && a->input.origin < 0) {
		te_batch_note_read(batch, &a->input);
		refuse(batch, a, "comes before numbers that must not be skipped");
		return true;
	}
	if (verdict == TE_ADMIT_FULL)
		return false;
	if (!te_admit_applies(verdict)) {
		note_verdict(batch, a, verdict);
		return true;
	}
	batch->offered = a;
	te_admission_proceed(batch);
	return true;
}

void te_admission_hear(TeBatch *batch, const TeArrival *a)
{
	TeMemory *m = batch->lane->memory;
	const TeHeartbeat *h = &a->message->as.heartbeat;
	TeSequence *s =
		&te_memory_producer(m, a->subject.company, a->subject.user, h->producer_id)->sequence;

	s->halts = a->producer != NULL && a->producer->halts;
	te_sequence_heartbeat(&m->parking, s, h->producer_epoch, h->last_seq, batch->now);
}

void te_admission_follow_policies(const TeLaneContext *lane)
{
	for (TeSequence *s = lane->memory->parking.open; s != NULL; s = s->open_next) {
		TeProducerName name = te_memory_producer_name(te_memory_producer_of(s));
		const TeCachedProducer *producer =
			te_cache_producer(lane->cache, name.company, name.producer);

		s->halts = producer != NULL && producer->halts;
	}
}

void te_admission_release(TeBatch *batch, const TeInput *input)
{
	TeMemory *m = batch->lane->memory;
	TeLaneProducer *producer = te_memory_known_producer(m, input->release);

	te_batch_note_read(batch, input);
	if (producer == NULL)
		return;
	te_sequence_release(&m->parking, &producer->sequence);
	te_admission_proceed(batch);
}
