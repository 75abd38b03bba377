/*
 * intake.c - gathering batches from inbox and transports.
 */
#include "postgres.h"

#include "engine/inbox.h"
#include "engine/intake.h"
#include "engine/latency.h"

#include "utils/memutils.h"

/* Messages taken from each source by the batch at hand. */
typedef struct Taken
{
	int inbox, stream;
	bool held; /* the next message of the stream was looked at, and left for the next batch */
} Taken;

struct TeIntake
{
	const TeLaneContext *context;
	TeInbox *inbox;
	TeTransport *transport; /* NULL without a broker */
	Taken taken;

	/* What the next batch has to record about the input stream. */
	bool new_incarnation;
	TeInputPosition lost_until; /* seq > 0: reading goes on behind it */
	uint64 lost_from;

	/* After a failure. */
	int single;       /* so many messages are taken one by one */
	bool poisoned;    /* the next one failed alone: keep it as a dead letter */
	char poison[256]; /* why */
};

TeIntake *te_intake_create(const TeLaneContext *context)
{
	TeIntake *intake = MemoryContextAllocZero(TopMemoryContext, sizeof(TeIntake));

	intake->context = context;
	intake->inbox =
		te_inbox_create(context->lane, context->lane_count, context->memory->inbox_snapshot);
	te_inbox_read(intake->inbox);
	return intake;
}

void te_intake_attach(TeIntake *intake, TeLink *link)
{
	const TeMemory *m = intake->context->memory;

	intake->transport = te_link_transport(link, TE_VIA_NATS);
	if (intake->transport != NULL)
		te_transport_seed_input(intake->transport, NULL, m->history, m->history_count);
}

/*----------------------------------------------------------------------
 * Anchors
 *----------------------------------------------------------------------*/

void te_intake_resume(TeIntake *intake)
{
	const TeInputAnchor *anchor;
	bool had_position = intake->context->memory->committed.input.seq > 0;

	if (intake->transport == NULL)
		return;
	anchor = te_transport_input_anchor(intake->transport);
	if (anchor == NULL)
		return;
	if ((anchor->outcome == TE_INPUT_FRESH && had_position) ||
	    anchor->outcome == TE_INPUT_LOST_TAIL)
		intake->new_incarnation = true;
	if (anchor->lost_from > 0) {
		intake->lost_from = anchor->lost_from;
		intake->lost_until =
			(TeInputPosition){.stream_created = anchor->stream_created, .seq = anchor->lost_to};
	}
	te_transport_resume_input(intake->transport, anchor->stream, anchor->start_seq,
	                          te_monotonic_us());
}

static void record_lost(TeBatch *batch, uint64 from, uint64 to)
{
	if (from > 0)
		te_batch_add_gap(batch, NULL, NULL, 0, from, to, "DISCARDED");
}

/* What the anchor check found out goes into the first batch after it. */
static void record_anchor(TeIntake *intake, TeBatch *batch)
{
	TeLanePosition *staged = &intake->context->memory->staged;

	if (intake->new_incarnation)
		staged->incarnation++;
	if (intake->lost_from == 0)
		return;
	record_lost(batch, intake->lost_from, intake->lost_until.seq);
	staged->input = intake->lost_until;
}

/*----------------------------------------------------------------------
 * The inbox
 *----------------------------------------------------------------------*/

bool te_intake_stale(const TeIntake *intake)
{
	return te_inbox_stale(intake->inbox);
}

void te_intake_heed(TeIntake *intake)
{
	te_inbox_heed(intake->inbox);
}

void te_intake_read(TeIntake *intake)
{
	if (te_inbox_stale(intake->inbox))
		te_inbox_read(intake->inbox);
}

const char *te_intake_snapshot(const TeIntake *intake)
{
	return te_inbox_snapshot(intake->inbox, intake->taken.inbox);
}

const char *te_intake_applied(const TeIntake *intake)
{
	return te_inbox_snapshot(intake->inbox, 0);
}

/*----------------------------------------------------------------------
 * Gathering
 *----------------------------------------------------------------------*/

int te_intake_taken(const TeIntake *intake)
{
	return intake->taken.inbox + intake->taken.stream;
}

static bool may_take_more(const TeIntake *intake, const TeBatch *batch)
{
	return intake->single > 0 ? te_intake_taken(intake) == 0 : !te_batch_full(batch);
}

static void take(TeIntake *intake, TeBatch *batch, const TeInput *input)
{
	if (intake->poisoned)
		te_batch_add_dead(batch, input, intake->poison);
	else
		te_batch_add(batch, input);
}

static void take_message(TeIntake *intake, TeBatch *batch, const TeInputMessage *message)
{
	const TeInput input = {
		.source = TE_SOURCE_NATS,
		.seq = (int64)message->seq,
		.subject = message->subject,
		.data = message->data,
		.len = message->len,
		.traceparent = message->traceparent,
		.read_at = message->read_at,
	};

	intake->taken.stream++;
	record_lost(batch, message->lost_from, message->lost_to);
	intake->context->memory->staged.input = (TeInputPosition){
		.stream_created = message->stream_created,
		.seq = message->seq,
		.message_time = message->message_time,
	};
	take(intake, batch, &input);
}

bool te_intake_gather(TeIntake *intake, TeBatch *batch)
{
	Taken *taken = &intake->taken;
	TeInputMessage message;
	TeInput input;
	bool ends = false;

	*taken = (Taken){0};
	record_anchor(intake, batch);
	while (!ends && may_take_more(intake, batch) &&
	       te_inbox_peek(intake->inbox, taken->inbox, &input)) {
		ends = te_batch_ends_before(batch, input.subject);
		if (!ends) {
			taken->inbox++;
			take(intake, batch, &input);
		}
	}
	while (!ends && intake->transport != NULL && may_take_more(intake, batch) &&
	       te_transport_next_input(intake->transport, &message)) {
		ends = taken->held = te_batch_ends_before(batch, message.subject);
		if (!ends)
			take_message(intake, batch, &message);
	}
	return te_intake_taken(intake) > 0 || intake->lost_from > 0;
}

/*----------------------------------------------------------------------
 * What became of it
 *----------------------------------------------------------------------*/

void te_intake_committed(TeIntake *intake)
{
	const Taken *taken = &intake->taken;

	intake->new_incarnation = false;
	intake->lost_from = 0;
	intake->poisoned = false;
	if (intake->single > 0)
		intake->single--;
	te_inbox_release(intake->inbox, taken->inbox);
	if (taken->stream > 0)
		te_transport_release_input(intake->transport, taken->stream);
	if (taken->held)
		te_transport_rewind_input(intake->transport);
}

bool te_intake_failed(TeIntake *intake, const ErrorData *error, bool blameless)
{
	int messages = te_intake_taken(intake);

	if (intake->transport != NULL)
		te_transport_rewind_input(intake->transport);
	if (blameless || messages == 0 || intake->poisoned)
		return false;
	if (messages > 1)
		intake->single = messages;
	else {
		intake->poisoned = true;
		strlcpy(intake->poison, error->message, sizeof(intake->poison));
	}
	return true;
}

bool te_intake_retrying(const TeIntake *intake)
{
	return intake->single > 0 || intake->poisoned;
}
