/*
 * resend.c - see resend.h.
 */
#include "postgres.h"

#include "engine/release.h"
#include "engine/resend.h"
#include "engine/shmem.h"
#include "wire/subject.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define ARENA_BLOCK ((size_t)16 * 1024)
#define ARENA_LIMIT ((size_t)16 * 1024 * 1024)

/* A lane that runs looks at each of its turns; a broker may keep it waiting. */
#define PATIENCE_MS 30000
#define LOOK_MS 10

/* Behind the prefix. */
#define RESENT_ ".resent"

void te_resend_init(TeResend *resend)
{
	memset(resend, 0, sizeof(*resend));
	pg_atomic_init_u64(&resend->asked, 0);
	pg_atomic_init_u64(&resend->done, 0);
}

static bool waits(TeResend *resend)
{
	return pg_atomic_read_u64(&resend->asked) > pg_atomic_read_u64(&resend->done);
}

/*----------------------------------------------------------------------
 * A session
 *----------------------------------------------------------------------*/

/* The lane's slot, with the lock held: an error unless it runs. */
static TeLaneSlot *running_lane(int lane)
{
	TeLaneSlot *slot = te_shmem_find_lane(MyDatabaseId, lane);

	if (slot == NULL || slot->pid == 0 || !te_lane_works(slot)) {
		LWLockRelease(te_shmem->lock);
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		        errmsg("lane %d doesn't run", lane));
	}
	return slot;
}

/* Leave the request; returns its number. */
static uint64 leave(int lane, int64 epoch, int64 from_seq, int64 to_seq)
{
	TeLaneSlot *slot;
	uint64 number;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	slot = running_lane(lane);
	if (waits(&slot->resend)) {
		LWLockRelease(te_shmem->lock);
		ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
		        errmsg("lane %d is being asked to send something again already", lane));
	}
	slot->resend.epoch = epoch;
	slot->resend.from_seq = from_seq;
	slot->resend.to_seq = to_seq;
	number = pg_atomic_add_fetch_u64(&slot->resend.asked, 1);
	SetLatch(&slot->proc->procLatch);
	LWLockRelease(te_shmem->lock);
	return number;
}

/* Is it answered?  Then the answer is copied. */
static bool answered(int lane, uint64 number, TeResend *answer)
{
	TeLaneSlot *slot;
	bool done;

	LWLockAcquire(te_shmem->lock, LW_SHARED);
	slot = running_lane(lane);
	done = pg_atomic_read_u64(&slot->resend.done) >= number;
	if (done)
		*answer = slot->resend;
	LWLockRelease(te_shmem->lock);
	return done;
}

int te_resend_ask(int lane, int64 epoch, int64 from_seq, int64 to_seq, TeVia *via)
{
	TimestampTz begun = GetCurrentTimestamp();
	uint64 number = leave(lane, epoch, from_seq, to_seq);
	TeResend answer;

	while (!answered(lane, number, &answer)) {
		if (TimestampDifferenceExceeds(begun, GetCurrentTimestamp(), PATIENCE_MS))
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			        errmsg("lane %d doesn't answer", lane));
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_MS,
		                PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (answer.error[0] != '\0')
		ereport(
			ERROR, errcode(ERRCODE_CONNECTION_FAILURE),
			errmsg("lane %d can't send it again: %s", lane, answer.error),
			errhint("Some of it may have been sent. Ask again: consumers drop what they have."));
	*via = answer.via;
	return answer.sent;
}

/*----------------------------------------------------------------------
 * A lane
 *----------------------------------------------------------------------*/

/* Messages sent in one turn; the worker has other duties. */
#define SENT_AT_ONCE 500

typedef struct Sending
{
	TeResender *resender;
	const TeResendParts *parts;
	int64 now;
	TeArena arena;
	int left; /* in this turn */
	TePublishResult result;
} Sending;

static void answer(const TeResendParts *parts, TeResender *resender, const char *error)
{
	TeResend *resend = parts->resend;

	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	resend->sent = resender->sent;
	resend->via = resender->via;
	strlcpy(resend->error, error, sizeof(resend->error));
	pg_atomic_write_u64(&resend->done, pg_atomic_read_u64(&resend->asked));
	LWLockRelease(te_shmem->lock);
	resender->sending = false;
}

/* The transport to try next: that of the output, or the other.  False: none is well and untried. */
static bool choose(TeResender *resender, const TeResendParts *parts)
{
	TeVia first = parts->route->record.via;
	const TeVia order[] = {first, first == TE_VIA_NATS ? TE_VIA_KAFKA : TE_VIA_NATS};

	for (int i = 0; i < (int)lengthof(order); i++) {
		TeVia via = order[i];

		if (parts->transports[via] == NULL || !te_route_is_well(parts->route, via) ||
		    (resender->tried & (1U << via)))
			continue;
		resender->via = via;
		resender->tried |= 1U << via;
		return true;
	}
	return false;
}

/* Begin with the first message, by a transport that wasn't tried. */
static void begin(TeResender *resender, const TeResendParts *parts)
{
	const TeResend *resend = parts->resend;
	TePlace released = parts->route->released;
	uint64 epoch =
		resend->epoch > 0 ? (uint64)resend->epoch : te_out_queue_last(parts->queue).epoch;
	TePlace through = {epoch, (uint64)resend->to_seq};

	resender->sending = true;
	resender->sent_all = false;
	resender->sent = 0;
	resender->next = (TePlace){epoch, (uint64)resend->from_seq - 1};
	resender->through = te_place_compare(through, released) > 0 ? released : through;
	if (choose(resender, parts))
		te_transport_resend_begin(parts->transports[resender->via]);
	else
		answer(parts, resender,
		       resender->tried == 0 ? "neither NATS nor Kafka can be reached"
		                            : "no broker has taken all of it");
}

static bool send_again(void *arg, const TeQueuedMessage *queued)
{
	Sending *s = arg;
	TeResender *resender = s->resender;
	char hash[TE_HASH_TEXT_SIZE];
	TeOutputMessage message;

	if (s->left-- == 0)
		return false;
	te_release_message(s->parts->lane, queued, &s->arena, hash, &message);
	s->result = te_transport_resend(s->parts->transports[resender->via], &message, s->now);
	if (s->result != TE_PUBLISH_OK)
		return false;
	resender->next = queued->place;
	resender->sent++;
	return true;
}

static void send_some(TeResender *resender, const TeResendParts *parts, int64 now)
{
	Sending sending = {resender, parts, now, .left = SENT_AT_ONCE, .result = TE_PUBLISH_OK};

	te_arena_init(&sending.arena, ARENA_BLOCK, ARENA_LIMIT);
	te_out_queue_scan(parts->queue, resender->next, resender->through, send_again, &sending);
	te_arena_free(&sending.arena);
	resender->pausing = sending.result == TE_PUBLISH_FULL;
	if (sending.result != TE_PUBLISH_OK && sending.result != TE_PUBLISH_FULL)
		begin(resender, parts);
	else if (sending.result == TE_PUBLISH_OK && sending.left >= 0)
		resender->sent_all = true;
}

void te_resend_serve(TeResender *resender, const TeResendParts *parts, int64_t now)
{
	TeResent became;

	if (!waits(parts->resend))
		return;
	/* Nobody changes a request that waits. */
	pg_read_barrier();
	if (!resender->sending) {
		resender->tried = 0;
		begin(resender, parts);
	}
	if (!resender->sending)
		return;
	if (!resender->sent_all) {
		send_some(resender, parts, now);
		return;
	}
	became = te_transport_resent(parts->transports[resender->via], now);
	if (became == TE_RESENT_DONE)
		answer(parts, resender, "");
	else if (became == TE_RESENT_FAILED)
		begin(resender, parts);
}
