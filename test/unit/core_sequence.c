/*
 * core_sequence.c - admission from several transports: the table case by case, and
 * random schedules with failed transactions and restarts.
 */
#include <stdlib.h>

#include "core/sequence.h"

#include "core_random.h"
#include "tap.h"

#define MSEC INT64_C(1000)
#define NATS 0
#define KAFKA 1

static TeSequenceSettings settings;
static TeParking parking;
static TeParked *entries;
static TeSequence sequence;
static char log_text[4096];

/* A parking, and a producer that has not been seen. */
static void start(void)
{
	settings = te_sequence_settings_default;
	settings.most_parked = 8;
	settings.most_per_producer = 6;
	free(entries);
	entries = calloc(te_parking_capacity(&settings), sizeof(*entries));
	te_parking_init(&parking, &settings, entries);
	sequence = (TeSequence){0};
}

static void log_step(const TeSequenceStep *step)
{
	static const char *const kinds[] = {"apply", "gap", "epoch", "park", "halt"};
	size_t used = strlen(log_text);

	if (step->kind == TE_STEP_GAP)
		snprintf(log_text + used, sizeof(log_text) - used, "%sgap %d:%d-%d %s", used ? ", " : "",
		         (int)step->epoch, (int)step->from, (int)step->to,
		         te_gap_reason_enum.labels[step->reason]);
	else
		snprintf(log_text + used, sizeof(log_text) - used, "%s%s %d:%d", used ? ", " : "",
		         kinds[step->kind], (int)step->epoch, (int)step->from);
}

static const char *steps(void)
{
	TeSequenceStep step;

	log_text[0] = '\0';
	while (te_parking_step(&parking, &step))
		log_step(&step);
	return log_text;
}

static TeAdmitVerdict verdict;

/* What becomes of a message; its hash is "content". */
static const char *offer_as(uint64_t epoch, uint64_t seq, uint64_t content, const uint64_t *stored,
                            int source, uint64_t position, TeTime now)
{
	static const char *const verdicts[] = {"in order",  "gap",  "new epoch", "stale",
	                                       "duplicate", "late", "conflict",  "full"};
	TeSequenceMessage message = {
		.epoch = epoch,
		.seq = seq,
		.hash = content,
		.stored = stored,
		.bytes = 100,
		.source = source,
		.position = position,
		.expires_at = TE_NO_TIME,
	};

	verdict = te_sequence_offer(&parking, &sequence, &message, now);
	(void)steps();
	return te_admit_applies(verdict) ? log_text : verdicts[verdict];
}

static const char *offer(uint64_t epoch, uint64_t seq, uint64_t position)
{
	return offer_as(epoch, seq, 1000 * epoch + seq, NULL, NATS, position, 0);
}

static const char *tick(TeTime now)
{
	static char text[4096];
	TeResendRequest requests[8];
	int n = te_parking_tick(&parking, now, true, requests, 8);
	const char *told = steps();

	text[0] = '\0';
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sask %d:%d-%d",
		         text[0] ? ", " : "", (int)requests[i].epoch, (int)requests[i].from,
		         (int)requests[i].to);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] && *told ? ", " : "",
	         told);
	return text;
}

static bool holds(int source, uint64_t want)
{
	uint64_t position;
	bool any = te_parking_hold(&parking, source, &position);

	return want == 0 ? !any : any && position == want;
}

static void settings_are_checked(void)
{
	const char *reason, *than;

	settings = te_sequence_settings_default;
	is_text(te_sequence_settings_check(&settings, &reason, &than), NULL, "the defaults pass");
#define NAMES(change, key)                                                                         \
	do {                                                                                           \
		settings = te_sequence_settings_default;                                                   \
		change;                                                                                    \
		is_text(te_sequence_settings_check(&settings, &reason, &than), key, #change);              \
	} while (0)
	NAMES(settings.most_parked = 1000001, "most_parked");
	NAMES(settings.most_per_producer = 4097, "most_per_producer");
	NAMES(settings.most_bytes_per_producer = settings.most_parked_bytes + 1,
	      "most_bytes_per_producer");
	NAMES(settings.resend_after = 0, "resend_after");
	NAMES(settings.resend_again = 0, "resend_again");
	NAMES(settings.resend_tries = -1, "resend_tries");
	NAMES(settings.requests_per_second = 0, "requests_per_second");
	NAMES(settings.give_up_after = settings.resend_after - 1, "give_up_after");
#undef NAMES
}

static void in_order(void)
{
	start();
	is_text(offer(5, 1, 1), "apply 5:1", "the first message of a producer applies");
	is_text(offer(5, 2, 2), "apply 5:2", "and so does the next");
	te_parking_apply(&parking);
	ok(sequence.committed.next_seq == 3 && sequence.committed.epoch == 5 && holds(NATS, 0),
	   "which the transaction makes lasting; no position is held");
}

static void parked(void)
{
	start();
	(void)offer(5, 1, 10);
	is_text(offer(5, 4, 11), "park 5:4", "a message that comes early waits");
	is_text(offer(5, 3, 12), "park 5:3", "and another");
	ok(holds(NATS, 11), "the position stays before the first that was read");
	ok(sequence.staged.next_seq == 2 && sequence.parked == 2, "the sequence hasn't moved");
	is_text(offer_as(5, 4, 5004, NULL, KAFKA, 70, 0), "duplicate",
	        "the other transport's copy of what waits is a duplicate");
	ok(holds(KAFKA, 70), "and holds that transport's position");
	is_text(offer_as(5, 4, 99, NULL, KAFKA, 71, 0), "conflict", "other content is a conflict");
	is_text(offer_as(5, 2, 5002, NULL, KAFKA, 72, 0), "apply 5:2, apply 5:3, apply 5:4",
	        "what was missing applies, and what waited for it, in order");
	ok(holds(NATS, 0) && holds(KAFKA, 0) && sequence.parked == 0, "nothing is held any more");
	te_parking_apply(&parking);
	ok(parking.changed == 0 && parking.open == NULL && sequence.committed.next_seq == 5,
	   "and nothing is left");
}

static void repeats(void)
{
	uint64_t same = 5001, other = 7;

	start();
	(void)offer(5, 1, 1);
	is_text(offer_as(5, 1, 5001, &same, KAFKA, 1, 0), "duplicate", "what was applied is known");
	is_text(offer_as(5, 1, 5001, &other, KAFKA, 1, 0), "conflict", "other content isn't");
	is_text(offer_as(5, 1, 5001, NULL, KAFKA, 1, 0), "late", "what was given up comes too late");
	is_text(offer(4, 1, 1), "stale", "an epoch that is over");
	is_text(offer(5, 0, 1), "conflict", "numbers start at 1");
	ok(steps()[0] == '\0' && sequence.staged.next_seq == 2, "nothing follows from these");
}

static void epochs(void)
{
	start();
	(void)offer(5, 1, 1);
	(void)offer(5, 3, 2);
	is_text(offer(6, 1, 3), "gap 5:2-2 ABANDONED, apply 5:3, epoch 5:4, apply 6:1",
	        "a new epoch closes the holes of the old one, applies what waits in it, and begins");
	is_text(offer(8, 3, 4), "epoch 6:2, park 8:3", "an epoch that doesn't begin with 1 has a hole");
	is_text(offer(9, 1, 5), "gap 8:1-2 ABANDONED, apply 8:3, epoch 8:4, apply 9:1",
	        "which the next epoch closes");
	te_sequence_heartbeat(&parking, &sequence, 9, 4, 0);
	is_text(offer(10, 1, 6), "gap 9:2-4 ABANDONED, epoch 9:5, apply 10:1",
	        "what a heartbeat told of the old epoch is recorded as missing");

	start();
	is_text(offer(7, 3, 1), "park 7:3", "a producer never seen that begins later than 1 waits");
	is_text(offer(7, 1, 2), "apply 7:1", "for 1");
	is_text(offer(7, 2, 3), "apply 7:2, apply 7:3", "and 2");
}

static void timers(void)
{
	start();
	(void)offer(5, 1, 1);
	(void)offer(5, 4, 2);
	ok(te_parking_deadline(&parking) == 200 * MSEC, "a hole is looked at after t1");
	is_text(tick(199 * MSEC), "", "until then it is only waited for");
	is_text(tick(200 * MSEC), "ask 5:2-3", "then the producer is asked");
	is_text(tick(1199 * MSEC), "", "not again within a second");
	is_text(tick(1200 * MSEC), "ask 5:2-3", "once more after it");
	is_text(tick(3200 * MSEC), "ask 5:2-3", "and after two");
	is_text(tick(9999 * MSEC), "", "three times in all");
	ok(te_parking_deadline(&parking) == 10000 * MSEC, "then there is t3");
	is_text(tick(10000 * MSEC), "gap 5:2-3 MISSING, apply 5:4", "when it is skipped");
	ok(te_parking_deadline(&parking) == INT64_MAX, "nothing is left to wait for");
	is_text(offer(5, 3, 3), "late", "what comes later has no effect");

	start();
	(void)offer(5, 1, 1);
	(void)offer_as(5, 3, 5003, NULL, NATS, 2, 0);
	(void)offer_as(5, 5, 5005, NULL, NATS, 3, 4000 * MSEC);
	is_text(tick(10000 * MSEC), "ask 5:4-4, gap 5:2-2 MISSING, apply 5:3",
	        "each hole has its own time");
	is_text(tick(14000 * MSEC), "gap 5:4-4 MISSING, apply 5:5", "since it was seen");

	start();
	(void)offer(5, 1, 1);
	(void)offer_as(5, 5, 5005, NULL, NATS, 2, 0);
	(void)offer_as(5, 3, 5003, NULL, NATS, 3, 9000 * MSEC);
	is_text(tick(10000 * MSEC), "gap 5:2-2 MISSING, apply 5:3, gap 5:4-4 MISSING, apply 5:5",
	        "a higher number shows all holes below it");
}

static void expiry(void)
{
	TeSequenceMessage message = {.epoch = 5, .seq = 3, .hash = 1, .source = NATS, .position = 2};

	start();
	(void)offer(5, 1, 1);
	message.expires_at = 3000 * MSEC;
	(void)te_sequence_offer(&parking, &sequence, &message, 0);
	(void)steps();
	is_text(tick(2999 * MSEC), "ask 5:2-2", "a message waits");
	is_text(tick(3000 * MSEC), "gap 5:2-2 MISSING, apply 5:3", "until it would be worth nothing");

	start();
	(void)offer(5, 1, 1);
	message.expires_at = -5;
	(void)te_sequence_offer(&parking, &sequence, &message, 0);
	(void)steps();
	is_text(tick(199 * MSEC), "", "t1 is waited even so");
	is_text(tick(200 * MSEC), "gap 5:2-2 MISSING, apply 5:3", "but no longer");
}

static void halting(void)
{
	start();
	sequence.halts = true;
	(void)offer(5, 1, 1);
	(void)offer(5, 3, 2);
	is_text(tick(10000 * MSEC), "ask 5:2-2, halt 5:2", "a sequence that halts doesn't skip");
	ok(sequence.halted, "it says so");
	is_text(tick(20000 * MSEC), "ask 5:2-2", "the alarm is raised once");
	is_text(offer(5, 2, 3), "apply 5:2, apply 5:3", "what was missing ends it");
	ok(!sequence.halted, "at once");
	(void)offer(5, 5, 4);
	(void)tick(40000 * MSEC);
	te_sequence_release(&parking, &sequence);
	is_text(steps(), "gap 5:4-4 RELEASED, apply 5:5", "a person can give up the hole");

	for (uint64_t n = 0; n < 6; n++)
		(void)offer(5, 7 + n, 5 + n);
	te_parking_apply(&parking);
	is_text(offer(5, 13, 20), "full", "where there is no room the lane has to stop reading");
	ok(sequence.parked == 6, "and nothing has happened");
	is_text(offer(5, 6, 21),
	        "apply 5:6, apply 5:7, apply 5:8, apply 5:9, apply 5:10, apply 5:11,"
	        " apply 5:12",
	        "what is missing is always taken");
}

static void overflow(void)
{
	TeSequence other = {0};
	TeSequenceMessage message = {.epoch = 1, .seq = 1, .hash = 1, .source = NATS, .position = 50};
	TeSequenceStep step;

	start();
	for (uint64_t n = 0; n < 6; n++)
		(void)offer(5, 2 + n + (n > 2), n + 1);
	ok(sequence.parked == 6, "a sequence has as much as it may");
	is_text(offer(5, 9, 9), "gap 5:1-1 OVERFLOW, apply 5:2, apply 5:3, apply 5:4, park 5:9",
	        "one more, and its first hole is given up");

	message.expires_at = TE_NO_TIME;
	for (uint64_t n = 3; n <= 6; n++) {
		message.seq = n;
		message.position++;
		(void)te_sequence_offer(&parking, &other, &message, 0);
		while (te_parking_step(&parking, &step))
			;
	}
	ok(parking.parked == 8 && other.parked == 4, "the lane is full");
	message.seq = 7;
	ok(te_sequence_offer(&parking, &other, &message, 0) == TE_ADMIT_GAP, "one more is taken");
	is_text(steps(), "gap 1:1-2 OVERFLOW, apply 1:3, apply 1:4, apply 1:5, apply 1:6, apply 1:7",
	        "the largest sequence's hole is given up");
	ok(sequence.parked == 4, "not the smaller one's");
}

static void not_waiting(void)
{
	start();
	(void)offer(5, 1, 1);
	(void)offer(5, 3, 2);
	is_text(offer_as(5, 5, 5005, NULL, -1, 0, 0),
	        "gap 5:2-2 OVERFLOW, apply 5:3, gap 5:4-4 OVERFLOW, apply 5:5",
	        "what can't be read again doesn't wait");
	sequence.halts = true;
	is_text(offer_as(5, 7, 5007, NULL, -1, 0, 0), "full", "a sequence that halts refuses it");
	is_text(tick(10000 * MSEC), "halt 5:6", "and the hole is known");
}

static void heartbeats(void)
{
	start();
	(void)offer(5, 1, 1);
	te_sequence_heartbeat(&parking, &sequence, 5, 1, 0);
	ok(te_parking_deadline(&parking) == INT64_MAX, "a heartbeat that tells nothing new");
	te_sequence_heartbeat(&parking, &sequence, 5, 3, 0);
	is_text(tick(200 * MSEC), "ask 5:2-3", "a lost tail is asked for");
	is_text(offer_as(5, 2, 5002, NULL, NATS, 2, 5000 * MSEC), "apply 5:2", "one comes");
	is_text(tick(10000 * MSEC), "ask 5:3-3", "progress starts the waiting anew");
	is_text(tick(15000 * MSEC), "gap 5:3-3 MISSING", "in the end it is given up");

	te_sequence_heartbeat(&parking, &sequence, 5, 6, 15000 * MSEC);
	(void)te_parking_tick(&parking, 30000 * MSEC, false, NULL, 0);
	is_text(steps(), "", "behind a backlog a missing tail is no loss");
	is_text(tick(39999 * MSEC), "ask 5:4-6", "only when all is read");
	is_text(tick(40000 * MSEC), "gap 5:4-6 MISSING", "it becomes one");

	te_sequence_heartbeat(&parking, &sequence, 7, 2, 40000 * MSEC);
	is_text(tick(40200 * MSEC), "ask 7:1-2", "a new epoch is asked for");
	is_text(offer_as(5, 7, 5007, NULL, NATS, 9, 40200 * MSEC), "apply 5:7",
	        "the old one goes on as long as none of the new has come");
	is_text(tick(50200 * MSEC), "epoch 5:8, gap 7:1-2 MISSING", "then it is over");
	te_sequence_heartbeat(&parking, &sequence, 6, 9, 50200 * MSEC);
	ok(te_parking_deadline(&parking) == INT64_MAX, "an old epoch's heartbeat tells nothing");
}

static void rates(void)
{
	static TeSequence many[50];
	TeResendRequest requests[64];
	TeSequenceStep step;
	int first, second;

	settings = te_sequence_settings_default;
	free(entries);
	entries = calloc(te_parking_capacity(&settings), sizeof(*entries));
	te_parking_init(&parking, &settings, entries);
	for (int i = 0; i < 50; i++) {
		TeSequenceMessage message = {.epoch = 1, .seq = 2, .hash = 1, .source = NATS};

		message.expires_at = TE_NO_TIME;
		message.position = (uint64_t)i + 1;
		(void)te_sequence_offer(&parking, &many[i], &message, 0);
		while (te_parking_step(&parking, &step))
			;
	}
	first = te_parking_tick(&parking, 200 * MSEC, true, requests, 64);
	second = te_parking_tick(&parking, 700 * MSEC, true, requests, 64);
	ok(first == 20 && second == 10, "requests of all sequences together have a rate");
	ok(te_parking_deadline(&parking) <= 900 * MSEC, "those that wait for it are looked at again");
}

static void failed_transactions(void)
{
	start();
	(void)offer(5, 1, 1);
	(void)offer(5, 3, 2);
	te_parking_apply(&parking);
	is_text(offer(5, 5, 3), "park 5:5", "a batch parks one");
	is_text(offer(5, 2, 4), "apply 5:2, apply 5:3", "and takes one that waited");
	te_parking_discard(&parking);
	ok(sequence.staged.next_seq == 2 && sequence.parked == 1 && holds(NATS, 2),
	   "when it fails, what waited waits again, and what it parked is gone");
	is_text(offer(5, 5, 3), "park 5:5", "it comes again");
	is_text(offer(5, 2, 4), "apply 5:2, apply 5:3", "and has the same effect");
	te_parking_apply(&parking);
	ok(te_parking_in_use(&parking, entries[0].status == TE_PARKED_KEPT ? 1 : 2),
	   "one copy is kept");
	is_text(tick(10000 * MSEC), "gap 5:4-4 MISSING, apply 5:5", "a hole is given up");
	te_parking_discard(&parking);
	is_text(tick(10000 * MSEC), "gap 5:4-4 MISSING, apply 5:5", "again when that failed");
	sequence.halts = true;
	te_parking_discard(&parking);
	(void)tick(10000 * MSEC);
	te_parking_discard(&parking);
	is_text(tick(10000 * MSEC), "halt 5:4", "so is an alarm raised");
}

/* A transaction ends before the steps do. */
static void steps_in_several_transactions(void)
{
	TeSequenceStep step;
	uint32_t slot;

	start();
	(void)offer(1, 1, 1);
	for (uint64_t seq = 3; seq <= 5; seq++)
		(void)offer(1, seq, seq);
	te_parking_apply(&parking);
	ok(te_parking_next(&parking) == 0, "nothing to apply while a number is missing");
	(void)te_sequence_offer(
		&parking, &sequence,
		&(TeSequenceMessage){.epoch = 1, .seq = 2, .position = 6, .expires_at = TE_NO_TIME}, 0);
	ok(te_parking_next(&parking) == 0 && te_parking_step(&parking, &step) && step.offered,
	   "the message on offer comes first");
	slot = te_parking_next(&parking);
	ok(slot != 0 && te_parking_keep_offered(&parking) == 0, "then one that waited may be left");
	te_parking_apply(&parking);
	ok(te_parking_next(&parking) == slot && holds(NATS, 3), "for the next transaction");
	ok(te_parking_step(&parking, &step) && step.slot == slot && step.from == 3, "which takes it");
	te_parking_discard(&parking);
	ok(te_parking_next(&parking) == slot, "and takes it again after a failure");
	is_text(steps(), "apply 1:3, apply 1:4, apply 1:5", "with all that follow");
	te_parking_apply(&parking);
	ok(te_parking_next(&parking) == 0 && holds(NATS, 0), "then nothing is left");

	(void)offer(1, 7, 7);
	te_parking_apply(&parking);
	(void)te_sequence_offer(
		&parking, &sequence,
		&(TeSequenceMessage){.epoch = 2, .seq = 1, .position = 8, .expires_at = TE_NO_TIME}, 0);
	ok(te_parking_step(&parking, &step) && step.kind == TE_STEP_GAP, "a gap is given");
	slot = te_parking_keep_offered(&parking);
	ok(te_parking_next(&parking) != 0 && slot != 0, "a message on offer waits when steps are left");
	te_parking_apply(&parking);
	ok(te_parking_in_use(&parking, slot) && holds(NATS, 7), "its copy is kept, its position held");
	is_text(steps(), "apply 1:7, epoch 1:8, apply 2:1", "its turn comes");
	te_parking_apply(&parking);
	ok(!te_parking_in_use(&parking, slot) && holds(NATS, 0), "once");
}

static void clock_runs_back(void)
{
	start();
	(void)offer_as(5, 1, 5001, NULL, NATS, 1, 100000 * MSEC);
	(void)offer_as(5, 3, 5003, NULL, NATS, 2, 100000 * MSEC);
	is_text(tick(50000 * MSEC), "", "a clock that ran back gives nothing up");
	is_text(tick(50200 * MSEC), "ask 5:2-2", "waiting starts anew");
	is_text(tick(60000 * MSEC), "gap 5:2-2 MISSING, apply 5:3", "and ends");
}

static void readings(void)
{
	TeReading r = {0};

	start();
	(void)offer(5, 1, 1);
	r = te_reading_after(&parking, NATS, r, 1);
	(void)offer(5, 3, 2);
	(void)offer(5, 4, 3);
	r = te_reading_after(&parking, NATS, r, 9);
	ok(r.resume == 1 && r.done == 9, "reading is done up to 9, and goes on behind 1");
	ok(te_reading_is_repeat(r, 9) && !te_reading_is_repeat(r, 10), "9 is a repeat, 10 isn't");
	r = te_reading_after(&parking, NATS, r, 4);
	ok(r.resume == 1 && r.done == 9, "what is read again doesn't lower it");
	(void)offer(5, 2, 10);
	r = te_reading_after(&parking, NATS, r, 10);
	ok(r.resume == 10 && r.done == 10, "when nothing waits, both are the same");
	(void)offer(5, 6, 11);
	te_parking_forget_source(&parking, NATS);
	ok(holds(NATS, 0) && sequence.parked == 1, "another stream's positions don't hold");
}

/* With room for nothing, the machine is te_admit. */
static void without_parking(void)
{
	TeProducerState state = {0};
	bool same = true;

	start();
	settings.most_parked = settings.most_per_producer = 0;
	te_parking_init(&parking, &settings, entries);
	for (int n = 0; n < 20000; n++) {
		uint64_t epoch = (uint64_t)(n / 2000 + below(2)), seq = state.next_seq + (uint64_t)below(5);
		uint64_t hash = epoch * 100000 + seq, stored = hash + (below(10) == 0);
		const uint64_t *known = below(4) ? &stored : NULL;
		TeAdmission want = te_admit(&state, epoch, seq, &hash, known, sizeof(hash));
		const char *got = offer_as(epoch, seq, hash, known, NATS, (uint64_t)n + 1, n);

		same = same && verdict == want.verdict && state.epoch == sequence.staged.epoch &&
		       state.next_seq == sequence.staged.next_seq;
		if (te_admit_applies(verdict))
			same = same && (want.gap_from > 0) == (strstr(got, "gap") != NULL) &&
			       (want.abandoned_from > 0) == (strstr(got, "epoch") != NULL);
		if (below(3) == 0)
			te_parking_apply(&parking);
	}
	ok(same && parking.parked == 0,
	   "without room for anything the machine does what te_admit does");
}

/*----------------------------------------------------------------------
 * Random schedules
 *----------------------------------------------------------------------*/

#define MESSAGES 400

/* A log with every number, disordered within a window, some repeated. */
static int make_log(uint64_t *log, int window)
{
	int n = 0;

	for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
		log[n++] = seq;
		if (below(10) == 0)
			log[n++] = (uint64_t)below((int)seq) + 1;
	}
	for (int i = 0; i < n; i++) {
		int j = i + below(window);
		uint64_t kept = log[i];

		if (j >= n)
			continue;
		log[i] = log[j];
		log[j] = kept;
	}
	return n;
}

/* Both logs, batch by batch, some of which fail, with restarts: applied is 1, 2, 3, ... once. */
static bool random_schedule(void)
{
	uint64_t logs[2][2 * MESSAGES], applied[2 * MESSAGES];
	int length[2] = {make_log(logs[0], 20), make_log(logs[1], 60)};
	TeReading stored[2] = {{0}}, read[2];
	TeProducerState durable = {0};
	int committed = 0;

	for (int turn = 0; turn < 100000 && durable.next_seq <= MESSAGES; turn++) {
		uint64_t position[2] = {stored[0].done, stored[1].done};
		int count = committed;
		bool stops;

		if (turn % 50 == 49) { /* a restart: only what was stored is left */
			sequence = (TeSequence){.committed = durable, .staged = durable};
			te_parking_init(&parking, &settings, entries);
			position[0] = stored[0].resume;
			position[1] = stored[1].resume;
		}
		while (te_parking_next(&parking) != 0) { /* what another transaction has left */
			TeSequenceStep step;

			if (!te_parking_step(&parking, &step) || step.kind != TE_STEP_APPLY)
				return false;
			applied[count++] = step.from;
		}
		stops = false;
		for (int n = below(30); n >= 0 && !stops; n--) {
			int source = below(2);
			uint64_t seq, hash = 0;
			TeSequenceMessage m = {.epoch = 1, .source = source, .expires_at = TE_NO_TIME};
			TeSequenceStep step;

			if (position[source] >= (uint64_t)length[source])
				continue;
			seq = logs[source][position[source]++];
			m.seq = seq;
			m.position = position[source];
			m.bytes = 10;
			m.stored = seq < sequence.staged.next_seq ? &hash : NULL;
			(void)te_sequence_offer(&parking, &sequence, &m, turn);
			while (!(stops = te_parking_next(&parking) != 0 && below(3) == 0) &&
			       te_parking_step(&parking, &step)) {
				if (step.kind == TE_STEP_APPLY)
					applied[count++] = step.from;
				if (step.kind == TE_STEP_GAP || parking.parked > settings.most_parked + 1)
					return false;
			}
		}
		for (int source = 0; source < 2; source++)
			read[source] = te_reading_after(&parking, source, stored[source], position[source]);
		if (below(4) == 0 && turn % 50 != 49) {
			te_parking_discard(&parking);
			continue;
		}
		te_parking_apply(&parking);
		/* Between a restart and its end of repetition, reading goes on where it is. */
		durable = sequence.committed;
		committed = count;
		for (int source = 0; source < 2; source++) {
			stored[source] = read[source];
			while (position[source] < stored[source].done) {
				uint64_t seq = logs[source][position[source]++], hash = 0;
				TeSequenceMessage m = {.epoch = 1, .seq = seq, .source = source};
				TeSequenceStep step;

				m.position = position[source];
				m.expires_at = TE_NO_TIME;
				m.stored = seq < sequence.staged.next_seq ? &hash : NULL;
				(void)te_sequence_offer(&parking, &sequence, &m, turn);
				while (te_parking_step(&parking, &step))
					if (step.kind != TE_STEP_PARK && step.kind != TE_STEP_APPLY)
						return false;
					else if (step.kind == TE_STEP_APPLY)
						applied[committed++] = step.from;
			}
			stored[source] = te_reading_after(&parking, source, stored[source], position[source]);
		}
		te_parking_apply(&parking);
		durable = sequence.committed;
	}
	for (int i = 0; i < committed; i++)
		if (applied[i] != (uint64_t)i + 1)
			return false;
	return committed == MESSAGES;
}

/* While messages wait. */
static void settings_are_changed(void)
{
	start();
	(void)offer(1, 1, 1);
	(void)offer(1, 3, 2);
	settings.give_up_after = 3600 * TE_USEC_PER_SEC;
	settings.resend_tries = 0;
	settings.most_parked = 1;
	te_parking_configure(&parking, &settings);
	is_text(tick(60 * TE_USEC_PER_SEC), "", "a longer time for what is missing counts at once");
	settings.give_up_after = settings.resend_after;
	te_parking_configure(&parking, &settings);
	is_text(tick(60 * TE_USEC_PER_SEC), "gap 1:2-2 MISSING, apply 1:3",
	        "and so does a shorter one");
	ok(parking.settings.most_parked == 8, "the bounds, which memory was made for, stay");
}

static void random_schedules(void)
{
	bool good = true;

	settings = te_sequence_settings_default;
	settings.most_parked = settings.most_per_producer = 200;
	free(entries);
	entries = calloc(te_parking_capacity(&settings), sizeof(*entries));
	for (int n = 0; n < 300 && good; n++) {
		te_parking_init(&parking, &settings, entries);
		sequence = (TeSequence){0};
		good = random_schedule();
	}
	ok(good, "two disordered, repeated inputs, failed batches and restarts: each once, in order");
}

int main(void)
{
	settings_are_checked();
	settings_are_changed();
	in_order();
	parked();
	repeats();
	epochs();
	timers();
	expiry();
	halting();
	overflow();
	not_waiting();
	heartbeats();
	rates();
	failed_transactions();
	steps_in_several_transactions();
	clock_runs_back();
	readings();
	without_parking();
	random_schedules();
	free(entries);
	return done_testing();
}
