/*
 * resend.c - see resend.h.
 */
#include "postgres.h"

#include "engine/guc.h"
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

/* A lane that runs looks at each of its turns. */
#define PATIENCE_MS 10000
#define LOOK_MS 10

/* Behind the prefix. */
#define RESENT ".resent"

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

int te_resend_ask(int lane, int64 epoch, int64 from_seq, int64 to_seq)
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
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		        errmsg("lane %d can't send it again: %s", lane, answer.error),
		        errdetail("Messages sent: %d.", answer.sent));
	return answer.sent;
}

/*----------------------------------------------------------------------
 * A lane
 *----------------------------------------------------------------------*/

typedef struct Sending
{
	int lane;
	TeTransport *nats;
	TeArena arena;
	char subject[TE_SUBJECT_MAX + sizeof(RESENT)];
	int sent;
	bool failed;
} Sending;

/* <prefix>.resent.<the rest of the subject> */
static const char *resent_subject(Sending *s, const char *subject)
{
	int prefix = (int)strlen(te_guc_subject_prefix);

	snprintf(s->subject, sizeof(s->subject), "%.*s" RESENT "%s", prefix, subject, subject + prefix);
	return s->subject;
}

static bool send_again(void *arg, const TeQueuedMessage *queued)
{
	Sending *s = arg;
	char hash[TE_HASH_TEXT_SIZE];
	TeOutputMessage message;

	te_release_message(s->lane, queued, &s->arena, hash, &message);
	s->failed = !te_transport_publish_plain(s->nats, resent_subject(s, message.subject),
	                                        message.data, message.len);
	s->sent += !s->failed;
	return !s->failed;
}

static void answer(TeResend *resend, int sent, const char *error)
{
	LWLockAcquire(te_shmem->lock, LW_EXCLUSIVE);
	resend->sent = sent;
	strlcpy(resend->error, error, sizeof(resend->error));
	pg_atomic_write_u64(&resend->done, pg_atomic_read_u64(&resend->asked));
	LWLockRelease(te_shmem->lock);
}

void te_resend_serve(TeResend *resend, int lane, TeOutQueue *queue, TePlace released,
                     TeTransport *nats)
{
	Sending sending = {.lane = lane, .nats = nats};
	TePlace through;

	if (!waits(resend))
		return;
	if (nats == NULL || te_transport_stats(nats)->state != TE_TRANSPORT_READY) {
		answer(resend, 0, "there is no connection to NATS");
		return;
	}
	/* Nobody changes a request that waits. */
	pg_read_barrier();
	through = (TePlace){
		resend->epoch > 0 ? (uint64_t)resend->epoch : te_out_queue_last(queue).epoch,
		(uint64_t)resend->to_seq,
	};
	te_arena_init(&sending.arena, ARENA_BLOCK, ARENA_LIMIT);
	te_out_queue_scan(queue, (TePlace){through.epoch, (uint64_t)resend->from_seq - 1},
	                  te_place_compare(through, released) > 0 ? released : through, send_again,
	                  &sending);
	te_arena_free(&sending.arena);
	answer(resend, sending.sent, sending.failed ? "NATS takes no more at the moment" : "");
}
