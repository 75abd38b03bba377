/*
 * sim_world.h - the simulated world around a lane: time, chance, faults, producers, brokers.
 *
 * Everything that happens in a step follows from (seed, step), so that switching a
 * kind of fault off leaves the rest of a schedule as it was.
 */
#ifndef TE_TEST_SIM_WORLD_H
#define TE_TEST_SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/anchor.h"
#include "core/route.h"
#include "core/sequence.h"

#define MSEC INT64_C(1000)
#define SEC TE_USEC_PER_SEC

#define PRODUCERS 8
#define LOG_SIZE 32768
#define MOST_SEQ 8192 /* of a producer's epoch */
#define MOST_IDS 65536
#define MOST_OUT 65536
#define MOST_KAFKA 262144
#define EPOCHS 4096

/* What may go wrong. */
#define FAULTS(X)                                                                                  \
	X(CRASH)                                                                                       \
	X(COMMIT) /* a transaction fails, or the lane dies around it */                                \
	X(NATS_DOWN)                                                                                   \
	X(KAFKA_DOWN)                                                                                  \
	X(FREEZE) /* NATS is stopped, its connections stay */                                          \
	X(LOSE)   /* a message doesn't reach a broker */                                               \
	X(REPEAT)                                                                                      \
	X(DELAY)      /* and reorder */                                                                \
	X(INPUT_TAIL) /* NATS loses the end of the input stream */                                     \
	X(INPUT_NEW)  /* an input stream is deleted and made again */                                  \
	X(DISCARD)    /* an input stream discards unread messages */                                   \
	X(OUTPUT_TAIL)                                                                                 \
	X(OUTPUT_NEW)                                                                                  \
	X(CLOCK)     /* jumps */                                                                       \
	X(NEW_EPOCH) /* a producer loses its counter */                                                \
	X(BAD)       /* poison, conflicts, old epochs */                                               \
	X(ACKS)      /* acknowledgements come late */
#define FAULT_MEMBER(name) FAULT_##name,
typedef enum { FAULTS(FAULT_MEMBER) FAULT_COUNT } Fault;

/* What an engine might do wrong; the simulator must notice each. */
#define MUTATIONS(X)                                                                               \
	X(none)                                                                                        \
	X(drop_output)   /* one message isn't sent */                                                  \
	X(double_output) /* one is sent under two identities */                                        \
	X(swap_outputs)                                                                                \
	X(change_byte)     /* of one message on its way */                                             \
	X(forget_to_stage) /* memory changes though the transaction failed */                          \
	X(ack_before_commit)                                                                           \
	X(publish_before_commit)                                                                       \
	X(pass_parked) /* the position passes a parked message */                                      \
	X(hide_gap)    /* a skipped range isn't recorded */                                            \
	X(apply_twice)                                                                                 \
	X(apply_early)   /* a message that should wait isn't parked */                                 \
	X(replace_late)  /* an expired message is replaced although it may have been sent */           \
	X(send_unstored) /* before the change of route is stored */                                    \
	X(ignore_window)                                                                               \
	X(encode_again)     /* a republished message has other bytes */                                \
	X(believe_cursor)   /* the output anchor isn't looked at */                                    \
	X(believe_position) /* the input anchor isn't looked at */                                     \
	X(lose_dead_letter)                                                                            \
	X(switch_at_once) /* back to NATS without dwell, probes and cut */                             \
	X(park_without_bound)
#define MUTATION_MEMBER(name) MUTATE_##name,
typedef enum { MUTATIONS(MUTATION_MEMBER) MUTATION_COUNT } Mutation;

typedef struct InMessage
{
	enum { IN_SEQUENCED, IN_PLAIN, IN_BAD } kind;
	int producer;
	uint32_t epoch, seq;
	int version; /* of the content: 0, or 1 for a conflicting one */
	uint32_t id; /* PLAIN, BAD */
} InMessage;

/* An input stream of NATS, or a partition of Kafka. */
typedef struct InLog
{
	int64_t identity;
	uint64_t first, last;
	struct
	{
		InMessage m;
		int64_t time;
	} entries[LOG_SIZE];
} InLog;

typedef struct OutEntry
{
	uint64_t seq, hash;
} OutEntry;

/* The output: NATS' stream, which counts, or Kafka's partition. */
typedef struct OutLog
{
	int64_t identity;
	uint64_t last; /* number of entries */
	OutEntry entries[MOST_KAFKA];
	uint64_t newest;     /* greatest seq that it has or had */
	bool seen[MOST_OUT]; /* by seq */
} OutLog;

/* On its way to a broker. */
typedef struct OutSend
{
	uint64_t seq, hash, expected;
	uint64_t connection;
} OutSend;

typedef struct OutAck
{
	uint64_t seq, connection;
	bool refused;
	TeTime at;
} OutAck;

#define PIPE_SIZE 8192

typedef struct OutPipe
{
	OutSend sends[PIPE_SIZE];
	OutAck acks[PIPE_SIZE];
	int send_count, ack_count;
} OutPipe;

typedef struct Producer
{
	uint32_t epoch, next;
	uint32_t produced[EPOCHS]; /* per epoch */
} Producer;

typedef struct World
{
	uint64_t seed, step, random;
	uint64_t fault_mask;
	Mutation mutation;
	bool mutated; /* it has happened */
	bool calm;    /* no more faults: the world settles */
	TeTime now;
	int64_t broker_time;              /* of messages; unique */
	uint64_t jumped_in, tail_lost_in; /* the step in which the clock, or NATS' output, did so */
	int fault_odds, pace;             /* one step in so many; microseconds of a step */
	bool db_down;
	bool link[2], frozen; /* 0: NATS, 1: Kafka */
	TeTime link_until[2], frozen_until, frozen_since, db_until;
	Producer producers[PRODUCERS];
	InLog in[2];
	OutLog out[2];
	OutPipe pipes[2];
	struct
	{
		int source;
		InMessage m;
	} delayed[64];
	int delayed_count;
	InMessage inbox[16]; /* by SQL: read in the transaction that takes it, and never again */
	int inbox_count;
	int halting; /* the producer whose sequence halts; -1: none */
	uint32_t next_id;
	uint64_t acked_input; /* what NATS was told of the input */
	uint64_t taken;       /* of Kafka's */
	uint64_t nonce;
	jmp_buf failed;
	char why[512];
	uint64_t faults_done;
} World;

static World *w;
static bool patient; /* messages wait for what is missing as long as it takes */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b + UINT64_C(0x632be59bd9b4e019);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t chance_bits(void)
{
	w->random += UINT64_C(0x9e3779b97f4a7c15);
	return mix(w->random, 1);
}

/* 0 .. n - 1 */
static inline int pick(int n)
{
	return (int)(chance_bits() % (uint64_t)n);
}

static inline bool one_in(int n)
{
	return pick(n) == 0;
}

/* Does this kind of fault happen now?  Chance is drawn in any case. */
static inline bool fault(Fault kind, int odds)
{
	bool happens = one_in(odds);

	return happens && !w->calm && (w->fault_mask >> kind & 1);
}

/* Do wrong once, or now and then, if this is the mutation that is wanted. */
static inline bool mutate(Mutation m, int odds)
{
	if (w->mutation != m || !one_in(odds))
		return false;
	w->mutated = true;
	return true;
}

__attribute__((format(printf, 2, 3), noreturn)) static void violated(const char *invariant,
                                                                     const char *format, ...)
{
	va_list args;
	int n = snprintf(w->why, sizeof(w->why), "%s: ", invariant);

	va_start(args, format);
	vsnprintf(w->why + n, sizeof(w->why) - (size_t)n, format, args);
	va_end(args);
	longjmp(w->failed, 1);
}

static inline uint64_t content_hash(const InMessage *m)
{
	if (m->kind != IN_SEQUENCED)
		return mix(UINT64_C(77), m->id);
	return mix(mix((uint64_t)m->producer << 32 | m->epoch, m->seq), (uint64_t)m->version);
}

/*----------------------------------------------------------------------
 * Input
 *----------------------------------------------------------------------*/

static void in_append(int source, const InMessage *m)
{
	InLog *log = &w->in[source];

	if (!w->link[source])
		return;
	log->last++;
	if (log->last - log->first >= LOG_SIZE)
		log->first = log->last - LOG_SIZE + 1;
	log->entries[log->last % LOG_SIZE].m = *m;
	log->entries[log->last % LOG_SIZE].time = ++w->broker_time;
}

static void send_input(int source, const InMessage *m)
{
	if (fault(FAULT_LOSE, 20))
		return;
	if (fault(FAULT_DELAY, 10) && w->delayed_count < 64) {
		w->delayed[w->delayed_count].source = source;
		w->delayed[w->delayed_count++].m = *m;
		return;
	}
	in_append(source, m);
	if (fault(FAULT_REPEAT, 20))
		in_append(source, m);
}

static void send_both(const InMessage *m)
{
	send_input(0, m);
	send_input(1, m);
}

static void deliver_delayed(void)
{
	int n;

	if (w->delayed_count == 0)
		return;
	n = pick(w->delayed_count);
	in_append(w->delayed[n].source, &w->delayed[n].m);
	w->delayed[n] = w->delayed[--w->delayed_count];
}

static void produce(void)
{
	int n = pick(PRODUCERS);
	Producer *p = &w->producers[n];
	InMessage m = {.kind = IN_SEQUENCED, .producer = n, .epoch = p->epoch};

	/* Whoever can't reach a broker mostly waits. */
	if (p->next >= MOST_SEQ - 1 || (!w->link[0] && !w->link[1] && !one_in(20)))
		return;
	if (patient && w->in[1].last > w->taken + 1000)
		return;
	m.seq = p->next++;
	p->produced[p->epoch] = m.seq;
	send_both(&m);
}

/* A producer that uses SQL for once. */
static void produce_by_sql(void)
{
	int n = pick(PRODUCERS);
	Producer *p = &w->producers[n];
	InMessage m = {.kind = IN_SEQUENCED, .producer = n, .epoch = p->epoch};

	if (w->inbox_count == 16 || p->next >= MOST_SEQ - 1 || n == w->halting)
		return;
	m.seq = p->next++;
	p->produced[p->epoch] = m.seq;
	w->inbox[w->inbox_count++] = m;
}

/* Messages without a sequence are sent to one broker, and arrive if it is there. */
static void produce_plain(void)
{
	InMessage m = {.kind = one_in(4) ? IN_BAD : IN_PLAIN};

	if (w->next_id >= MOST_IDS - 1)
		return;
	m.id = w->next_id++;
	in_append(pick(2), &m);
}

/* What a producer does wrong: other content, an epoch that is over. */
static void produce_bad(void)
{
	int n = pick(PRODUCERS);
	Producer *p = &w->producers[n];
	InMessage m = {.kind = IN_SEQUENCED, .producer = n, .epoch = p->epoch};

	if (p->next > 1 && one_in(2)) {
		m.seq = 1 + (uint32_t)pick((int)p->next - 1);
		m.version = 1;
		send_both(&m);
	} else if (p->epoch > 1) {
		m.epoch--;
		m.seq = 1 + (uint32_t)pick(20);
		/* What was never produced isn't accounted for. */
		if (m.seq <= p->produced[m.epoch])
			send_both(&m);
	}
}

static void begin_producer_epoch(void)
{
	Producer *p = &w->producers[pick(PRODUCERS)];

	if (p->epoch + 2 >= EPOCHS)
		return;
	p->epoch += 1 + (uint32_t)pick(2);
	p->next = 1;
}

/* The producer sends a range again, if it still has that epoch. */
static void resend(const TeResendRequest *r, int n)
{
	InMessage m = {.kind = IN_SEQUENCED, .producer = n, .epoch = (uint32_t)r->epoch};

	if (!w->calm && one_in(4))
		return;
	for (uint64_t seq = r->from; seq <= r->to && seq < r->from + 64; seq++) {
		m.seq = (uint32_t)seq;
		if (r->epoch < EPOCHS && seq <= w->producers[n].produced[r->epoch] &&
		    r->epoch == w->producers[n].epoch)
			send_both(&m);
	}
}

/*----------------------------------------------------------------------
 * Output
 *----------------------------------------------------------------------*/

/* Of this connection some of what was sent arrives yet, and no acknowledgement. */
static void cut_pipe(int via)
{
	OutPipe *pipe = &w->pipes[via];

	if (pipe->send_count > 0)
		pipe->send_count = pick(pipe->send_count + 1);
	pipe->ack_count = 0;
}

static bool out_has(const OutLog *log, uint64_t seq)
{
	return log->seen[seq];
}

static void check_output_append(int via, uint64_t seq, uint64_t hash);

static void out_append(int via, uint64_t seq, uint64_t hash)
{
	OutLog *log = &w->out[via];

	check_output_append(via, seq, hash);
	if (log->last + 1 >= MOST_KAFKA)
		violated("bound", "the log of transport %d is full", via);
	log->entries[log->last++] = (OutEntry){seq, hash};
	log->seen[seq] = true;
	if (seq > log->newest)
		log->newest = seq;
}

static void acknowledge(int via, const OutSend *s, bool refused)
{
	OutPipe *pipe = &w->pipes[via];
	TeTime delay = fault(FAULT_ACKS, 200) ? pick(5000) * MSEC : pick(3) * MSEC;

	if (pipe->ack_count < PIPE_SIZE)
		pipe->acks[pipe->ack_count++] = (OutAck){s->seq, s->connection, refused, w->now + delay};
}

/* The oldest message on its way reaches the broker. */
static void deliver_one(int via)
{
	OutPipe *pipe = &w->pipes[via];
	OutLog *log = &w->out[via];
	OutSend s = pipe->sends[0];

	memmove(pipe->sends, pipe->sends + 1, sizeof(s) * (size_t)--pipe->send_count);
	if (via == 1 || (s.expected == log->last && !out_has(log, s.seq))) {
		out_append(via, s.seq, s.hash);
		acknowledge(via, &s, false);
	} else /* a repeated id is acknowledged as a duplicate; out of its place it is refused */
		acknowledge(via, &s, !out_has(log, s.seq));
}

static bool moves(int via)
{
	return w->link[via] && !(via == 0 && w->frozen);
}

static void deliver_some(int via)
{
	for (int n = 1 + pick(8); n > 0 && moves(via) && w->pipes[via].send_count > 0; n--)
		deliver_one(via);
}

static void lose_output_tail(void)
{
	OutLog *log = &w->out[0];
	uint64_t lost = log->last > 0 ? (uint64_t)pick((int)(log->last < 30 ? log->last : 30)) : 0;

	w->tail_lost_in = w->step;
	for (; lost > 0; lost--)
		log->seen[log->entries[--log->last].seq] = false;
	log->newest = log->last > 0 ? log->entries[log->last - 1].seq : 0;
}

static void renew_output(void)
{
	OutLog *log = &w->out[0];

	w->tail_lost_in = w->step;
	log->identity = ++w->broker_time;
	log->last = log->newest = 0;
	memset(log->seen, 0, sizeof(log->seen));
}

#endif
