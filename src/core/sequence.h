/*
 * sequence.h - admission of producers' messages from several transports at once.
 *
 * Every transport may bring every message, in any order, any number of times.  A
 * message takes effect in the order of its producer's numbers, once.  One that comes
 * early is parked: its copy waits with the caller under a slot, until what is missing
 * has come or is given up.  Judgement of numbers is admit.h's; with room for nothing
 * (most_parked 0) the machine does what te_admit does.
 *
 *	verdict = te_sequence_offer(parking, sequence, &message, now);
 *	while (te_parking_step(parking, &step))   // also after te_parking_tick()
 *		switch (step.kind) ...
 *
 * A hole in a sequence is waited for (resend_after), asked for again (a few times, at a
 * bounded rate), and given up after give_up_after: by default it is skipped and
 * recorded; a sequence that halts waits on, and its lane should stop.
 *
 * Transaction.  Everything that offers and steps change is staged until
 * te_parking_apply() (the transaction is durable) or te_parking_discard() (it
 * failed: whatever was offered since is going to be offered again).
 *
 * Positions.  A parked message is in memory only, so the stored position of the
 * transport that brought it must not pass it: te_parking_hold() says where to stop.
 * What is read again after a restart, from there up to where the lane had read, is
 * known: unsequenced messages are done, sequenced ones are offered as any other, and
 * only their APPLY, PARK and GAP mean anything (te_reading_is_repeat()).
 *
 * Times are monotonic microseconds; should the clock run back, waiting starts anew.
 * Source: shared protocol of input (stale, duplicate, conflict, park, gap: t1, t2, t3).
 */
#ifndef TE_CORE_SEQUENCE_H
#define TE_CORE_SEQUENCE_H

#include "admit.h"
#include "types.h"

#define TE_PARKING_SOURCES 64 /* streams or partitions that positions can be held on */
#define TE_PARKED_COPIES 2    /* of one message that hold a position */

typedef struct TeSequenceSettings
{
	/* Bounds; beyond them the largest waiting sequence's first hole is given up early. */
	uint32_t most_parked;             /* messages of all sequences (4096) */
	uint64_t most_parked_bytes;       /* (64 MB) */
	uint32_t most_per_producer;       /* (1024) */
	uint64_t most_bytes_per_producer; /* (16 MB) */

	TeTime resend_after;     /* t1: a hole is only waited for until here (200 ms) */
	TeTime resend_again;     /* t2: until the second request, doubled for each (1 s) */
	int resend_tries;        /* requests for one hole (3) */
	int requests_per_second; /* of all sequences together (20) */
	TeTime give_up_after;    /* t3: since the hole was seen (10 s) */
} TeSequenceSettings;

extern const TeSequenceSettings te_sequence_settings_default;

/*
 * The first setting out of its range, or NULL.  The reason is lower-case; "than" is the setting
 * that it compares with, or NULL.
 */
extern const char *te_sequence_settings_check(const TeSequenceSettings *s, const char **reason,
                                              const char **than);

/* Why numbers are given up. */
#define TE_GAP_REASONS(X)                                                                          \
	X(NONE)                                                                                        \
	X(MISSING)   /* waited and asked for in vain */                                                \
	X(ABANDONED) /* the producer began another epoch */                                            \
	X(OVERFLOW)  /* too much waits behind them, or what comes can't wait */                        \
	X(RELEASED)  /* by hand */
#define TE_GAP_REASON_MEMBER(label) TE_ENUM_MEMBER_(TE_GAP_REASON_, label)
typedef enum { TE_GAP_REASONS(TE_GAP_REASON_MEMBER) TE_GAP_REASON_COUNT } TeGapReason;
extern const TeEnum te_gap_reason_enum;

/*
 * The sequence of one producer in one tenant scope.  All zero: never seen.  Must not move in
 * memory while the parking knows it.  Of use to others: committed, staged (to be stored with
 * the batch; only these two numbers survive a restart), halts, halted, parked, parked_bytes.
 */
typedef struct TeSequence
{
	TeProducerState committed, staged;
	bool halts;  /* policy, set by the caller: a hole is never given up by itself */
	bool halted; /* a hole is due and the policy forbids to skip it */
	uint32_t parked;
	uint64_t parked_bytes;

	/* The rest is the machine's. */
	uint32_t first, last; /* parked, by (epoch, seq); 0: none */
	uint64_t skip_epoch, skip_below;
	TeGapReason skip_reason;
	uint64_t tail_epoch, tail_last; /* the newest number that a heartbeat told */
	TeTime tail_since, tail_request_at;
	int tail_tries;
	bool told; /* that it is halted */
	bool is_open, is_ready, is_touched;
	struct TeSequence *open_prev, *open_next, *ready_next, *touched_next;
} TeSequence;

/* A message that waits. */
typedef struct TeParked
{
	TeSequence *sequence;
	uint64_t epoch, seq, hash;
	struct
	{
		int source;
		uint64_t position;
	} copies[TE_PARKED_COPIES];
	int copy_count;
	uint32_t bytes;
	TeTime since; /* when it was seen that something is missing before it */
	TeTime expires_at;
	TeTime request_at; /* of the hole right before it */
	int tries;
	uint32_t prev, next;         /* in its sequence; next also among the free */
	uint32_t was_prev, was_next; /* among those that the transaction at hand changes */
	enum { TE_PARKED_FREE, TE_PARKED_NEW, TE_PARKED_KEPT, TE_PARKED_TAKEN } status;
} TeParked;

/* One per lane.  Plain data over memory of the caller. */
typedef struct TeParking
{
	TeSequenceSettings settings;
	TeParked *entries; /* slot n is entries[n - 1] */
	uint32_t capacity;
	uint32_t free, changed; /* first of each list; 0: none */
	uint32_t parked;        /* that wait */
	uint64_t parked_bytes;
	TeSequence *open;    /* something is missing */
	TeSequence *ready;   /* may have steps to give */
	TeSequence *touched; /* staged differs from committed, perhaps */
	TeTime deadline;
	TeTime request_free_at; /* rate of requests: when the bucket is full again */
	TeTime now;             /* of the last offer or tick */

	/* The message that was offered last and has not been settled by a step. */
	TeSequence *offered_to;
	uint32_t offered_slot; /* 0: it is in order and needs none */

	struct
	{
		bool any, stale;
		uint64_t lowest;
	} hold[TE_PARKING_SOURCES];

	uint64_t requests; /* ever */
} TeParking;

/* Slots that a parking needs so that nothing ever fails for want of one. */
extern uint32_t te_parking_capacity(const TeSequenceSettings *s);

/* entries: te_parking_capacity() of them. */
extern void te_parking_init(TeParking *p, const TeSequenceSettings *s, TeParked *entries);

/* Other times and numbers of requests from the next tick on; the bounds stay. */
extern void te_parking_configure(TeParking *p, const TeSequenceSettings *s);

typedef struct TeSequenceMessage
{
	uint64_t epoch, seq;
	uint64_t hash;          /* of the content */
	const uint64_t *stored; /* as for te_admit: the hash recorded under (epoch, seq), or NULL */
	uint32_t bytes;         /* that waiting costs */
	int source;             /* 0 .. TE_PARKING_SOURCES - 1; -1: can't be read again, never waits */
	uint64_t position;      /* there */
	TeTime expires_at;      /* on the clock of "now": it is worth nothing from here; TE_NO_TIME */
} TeSequenceMessage;

/*
 * Offer a message.  STALE, DUPLICATE, LATE, CONFLICT: no effect.  FULL: nothing has
 * happened, stop reading.  Otherwise (te_admit_applies) it was taken; what becomes of
 * it is said by the steps, all of which must be taken before the next offer (but not
 * in the same transaction: te_parking_next()).
 */
extern TeAdmitVerdict te_sequence_offer(TeParking *p, TeSequence *s,
                                        const TeSequenceMessage *message, TeTime now);

/*
 * A producer says that its newest number is last_seq.  What is missing up to it is a hole,
 * also with nothing parked.  A higher epoch is opened by its messages, or when the hole is given
 * up.
 */
extern void te_sequence_heartbeat(TeParking *p, TeSequence *s, uint64_t epoch, uint64_t last_seq,
                                  TeTime now);

/* Give up the first hole by hand, also of a halted sequence; then take the steps. */
extern void te_sequence_release(TeParking *p, TeSequence *s);

/* Ask the producer of the sequence to send from..to of the epoch again. */
typedef struct TeResendRequest
{
	TeSequence *sequence;
	uint64_t epoch, from, to;
} TeResendRequest;

/*
 * Let time pass: writes at most "most" requests to be sent, and returns how many; decides
 * what is given up, which the steps then say.  caught_up: nothing unread waits in any
 * transport; otherwise a hole behind the newest message is no loss yet.
 */
extern int te_parking_tick(TeParking *p, TeTime now, bool caught_up, TeResendRequest *requests,
                           int most);

/* When te_parking_tick() is due; INT64_MAX: nothing is waited for. */
extern TeTime te_parking_deadline(const TeParking *p);

typedef enum {
	TE_STEP_APPLY, /* the message takes effect now: the offered one, or the one under the slot */
	TE_STEP_GAP,   /* from..to of epoch are given up: record them */
	TE_STEP_EPOCH, /* epoch is over; "from" is its first number that was neither seen nor told of */
	TE_STEP_PARK,  /* the offered message waits: keep a copy under the slot */
	TE_STEP_HALT   /* something from "from" on is missing and must not be skipped: alarm */
} TeSequenceStepKind;

typedef struct TeSequenceStep
{
	TeSequenceStepKind kind;
	TeSequence *sequence;
	uint64_t epoch;
	uint64_t from, to; /* APPLY, PARK: both the message's number */
	TeGapReason reason;
	uint32_t slot; /* PARK: keep a copy under it (one that is there belongs to a message that this
	                  transaction has applied); APPLY: 0, or the copy's, to be kept until the end of
	                  the transaction */
	bool offered;  /* APPLY, PARK: it is the message just offered */
} TeSequenceStep;

/* The next thing to do, in order; false when there is none. */
extern bool te_parking_step(TeParking *p, TeSequenceStep *step);

/*
 * The slot of the waiting message that the next step applies; 0: that step is another one, or
 * there is none.  Before such a step a transaction may end: the next one goes on with it.  A
 * message on offer that no step has settled waits from then on: te_parking_keep_offered() says
 * under which slot a copy has to be kept (0: none).  One that can't be read again has to see all
 * steps.
 */
extern uint32_t te_parking_next(const TeParking *p);
extern uint32_t te_parking_keep_offered(TeParking *p);

/* The lowest position of this source that a parked message is at; false: none is held. */
extern bool te_parking_hold(TeParking *p, int source, uint64_t *position);

/* Another stream took the place of this source: its positions hold no more. */
extern void te_parking_forget_source(TeParking *p, int source);

extern void te_parking_apply(TeParking *p);
extern void te_parking_discard(TeParking *p);

/* After apply or discard: is the copy under this slot, seen in a step, still needed? */
extern bool te_parking_in_use(const TeParking *p, uint32_t slot);

/*
 * Where a lane stands in one source, as stored with a batch: everything up to "done" was
 * read, and reading goes on behind "resume", which a parked message may hold back.
 */
typedef struct TeReading
{
	uint64_t resume, done;
} TeReading;

/* After a batch that read up to "done".  What a restart reads again can't lower it. */
extern TeReading te_reading_after(TeParking *p, int source, TeReading before, uint64_t done);

/* Was this position read by a batch that was committed? */
static inline bool te_reading_is_repeat(TeReading reading, uint64_t position)
{
	return position <= reading.done;
}

#endif
