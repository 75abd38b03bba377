/*
 * transport.h - one interface to a message broker.
 *
 * A transport reads input streams from positions that the caller keeps, and
 * appends to one output with a gapless sequence.  It owns the connection and
 * nothing else: what was read counts when the caller has committed it, what was
 * written counts when the broker has acknowledged it.
 *
 * NATS has one input stream; Kafka has one per topic and partition.  There a
 * message's seq is its offset + 1, so that 0 is before the first, and a
 * stream's identity, here called its time of creation, is a number made of cluster, topic and
 * partition (core/anchor.h).
 *
 * Threads.  A transport belongs to one thread, and none of its functions
 * blocks, calls back, or touches a signal.  A helper thread connects, with all
 * signals blocked, and announces its result through the wake descriptor.
 *
 * Time.  The transport reads no clock.  `now` is monotonic, in microseconds.
 * Times that come from a broker (message time, stream creation) are
 * microseconds since 1970-01-01 UTC, truncated from the broker's nanoseconds.
 *
 * The caller's loop:
 *
 *	for (;;) {
 *		te_transport_poll(t, &fds);           // rebuild the set when fds.generation changed
 *		poll(fds..., te_transport_deadline(t));
 *		events = te_transport_process(t, now, readable, writable);
 *		if (events & TE_EVENT_INPUT_ANCHOR)   // each time a connection is made
 *			while (te_transport_input_anchor(t))  // one of each stream
 *				... record what it says, then te_transport_resume_input()
 *		if (events & TE_EVENT_OUTPUT_ANCHOR)
 *			... compare with the outbox, then te_transport_resume_output() or stay silent
 *		while (te_transport_next_input(t, &message))
 *			...
 *		commit; te_transport_release_input(t, messages);
 *		te_transport_publish(t, ...); te_transport_flush(t, now);
 *	}
 *
 * A service is asked with te_transport_ask(); what its replies are worth is the
 * caller's judgement.  Neither question nor reply is kept: who needs certainty
 * asks again.
 *
 * Whatever goes wrong ends in one way: the connection is dropped, made anew
 * with backoff for as long as it takes, and both anchors are checked again.
 */
#ifndef TE_TRANSPORT_TRANSPORT_H
#define TE_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TE_TRANSPORT_NEVER INT64_MAX

#define TE_TRANSPORT_INSTALLATION_SIZE 40 /* a uuid's text and room for its zero */
#define TE_TRANSPORT_HASH_SIZE 72         /* a SHA-256 in hex and room for its zero */
#define TE_TRANSPORT_ERROR_SIZE 256
#define TE_TRANSPORT_NAME_SIZE 128

/* Input streams of one transport. */
#define TE_TRANSPORT_STREAMS_MAX 63

/*
 * What a connection is doing.  X(symbol suffix, label); the label is the text of the view.
 * DISCONNECTED: waiting for the next attempt.  CONNECTING: a helper thread is at it.
 * CHECKING: streams are looked up or made, anchors are read.  READY: all is known; each
 * direction works as soon as the caller has resumed it.
 */
#define TE_TRANSPORT_STATES(X)                                                                     \
	X(DISCONNECTED, "disconnected")                                                                \
	X(CONNECTING, "connecting")                                                                    \
	X(CHECKING, "checking")                                                                        \
	X(READY, "ready")

#define TE_TRANSPORT_STATE_MEMBER(suffix, label) TE_TRANSPORT_##suffix,
typedef enum {
	TE_TRANSPORT_STATES(TE_TRANSPORT_STATE_MEMBER) TE_TRANSPORT_STATE_COUNT
} TeTransportState;

/* How the input stream looks, seen from the stored position. */
#define TE_INPUT_OUTCOMES(X)                                                                       \
	X(SAME, "same")   /* the stored message is there, and so is all that follows */                \
	X(FRESH, "fresh") /* nothing was stored, or another stream has this name now */                \
	X(LOST_TAIL,                                                                                   \
	  "lost_tail") /* the stream ends before, or has another message at, the position */           \
	X(GAP, "gap")  /* messages after the position were discarded before they were read */

#define TE_INPUT_OUTCOME_MEMBER(suffix, label) TE_INPUT_##suffix,
typedef enum { TE_INPUT_OUTCOMES(TE_INPUT_OUTCOME_MEMBER) TE_INPUT_OUTCOME_COUNT } TeInputOutcome;

/* What te_transport_process() tells; a set of bits. */
typedef enum {
	TE_EVENT_NONE = 0,
	TE_EVENT_FDS = 1 << 0,           /* te_transport_poll() answers differently now */
	TE_EVENT_CONNECTED = 1 << 1,     /* CHECKING began */
	TE_EVENT_DISCONNECTED = 1 << 2,  /* the connection is gone; in-flight outputs are unknown */
	TE_EVENT_INPUT_ANCHOR = 1 << 3,  /* te_transport_input_anchor() waits for resume_input */
	TE_EVENT_OUTPUT_ANCHOR = 1 << 4, /* te_transport_output_anchor() waits for resume_output */
	TE_EVENT_INPUT = 1 << 5,         /* te_transport_next_input() has something */
	TE_EVENT_ACKED = 1 << 6,         /* te_transport_acked() moved */
	TE_EVENT_PROBED = 1 << 7,        /* te_transport_probe_result() is known */
	TE_EVENT_RIVAL = 1 << 8,         /* another engine writes as this one; the last error tells */
} TeTransportEvent;

typedef enum {
	TE_PUBLISH_OK,
	TE_PUBLISH_FULL,      /* window or buffer is full: flush, wait for TE_EVENT_ACKED */
	TE_PUBLISH_NOT_READY, /* no connection, or the direction was not resumed */
	TE_PUBLISH_TOO_LARGE, /* larger than this broker takes, now and later */
	TE_PUBLISH_BAD_ORDER, /* not the successor of the last published (epoch, seq) */
} TePublishResult;

/*
 * The settings.  Strings are copied at creation; NULL means not set.  Call
 * te_transport_config_init() first, it fills in the defaults given here.
 */
typedef struct TeTransportConfig
{
	/* Where, and as whom.  NATS: several URLs are separated by commas and tried in turn. */
	const char *url; /* nats://[user:password@|token@]host:port; tls:// switches TLS on; Kafka:
	                    brokers, host:port separated by commas */
	const char *user;
	const char *password_file;     /* its first line; NATS, without a user: a token */
	const char *security_protocol; /* Kafka: plaintext, ssl, sasl_plaintext, sasl_ssl */
	const char *sasl_mechanism;    /* Kafka: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 */
	const char *credentials_file;  /* JWT and seed, as written by nsc */
	const char *nkey_seed_file;    /* a bare seed */
	const char *tls_ca_file;
	const char *tls_cert_file; /* client certificate; needs tls_key_file */
	const char *tls_key_file;
	const char *client_name;  /* "trading_engine" */
	const char *inbox_prefix; /* "_INBOX"; for accounts that permit only their own */

	/* Who we are: parts of message ids, subjects and names. */
	const char *installation; /* uuid text */
	int lane;
	int lanes;          /* Kafka: partitions that the output needs at least; 1 */
	const char *prefix; /* "trading": first tokens of every subject, start of every topic */

	bool want_input;  /* true */
	bool want_output; /* true */

	/* Streams are created with these when missing; one that exists is used as it is. */
	const char *input_stream;  /* default <prefix>_input */
	const char *output_stream; /* default <prefix>_output_<lane> */
	int replicas;              /* 1; Kafka: 0 is the brokers' default */
	int64_t input_max_age;     /* microseconds, 0 = none; 7 days */
	int64_t input_max_bytes;   /* -1 = none */
	int64_t output_max_age;    /* 7 days */
	int64_t output_max_bytes;  /* -1 */
	int64_t duplicate_window;  /* 2 minutes */

	/* Bounds of memory. */
	int input_ring;              /* messages held between socket and release; 8192 */
	int64_t input_buffer_bytes;  /* their bytes; 64 MB, at least twice the broker's max_payload */
	int output_window;           /* published and not acknowledged; 1000 */
	int64_t output_buffer_bytes; /* not yet taken by the socket; 64 MB */

	/* Times, in microseconds. */
	int64_t connect_timeout; /* an attempt is abandoned after this; 3 s */
	int64_t request_timeout; /* one answer of the broker's API; 2 s */
	int64_t ack_timeout;     /* the oldest output without acknowledgement; 1 s */
	int64_t heartbeat;       /* idle input: the broker must speak this often; 1 s */
	int64_t backoff_min;     /* 100 ms, doubled with jitter at each failure */
	int64_t backoff_max;     /* 2 s, so that an engine is back 2 s after its broker */
	int64_t look_every;      /* Kafka: the brokers are asked whether they live; 5 s */
} TeTransportConfig;

/* What to wait for.  fd is -1 while there is no connection. */
typedef struct TeTransportFds
{
	uint64_t generation; /* changes whenever fd means another socket than before */
	int fd;              /* the broker's socket; always wait until it is readable */
	bool want_write;     /* wait until it is writable too */
	int wake_fd;         /* an eventfd for the transport's whole life; wait until readable */
} TeTransportFds;

/* Where reading stands.  seq 0 is the start of a stream. */
typedef struct TeInputPosition
{
	int64_t stream_created; /* the stream's identity: its creation time */
	uint64_t seq;           /* last message read */
	int64_t message_time;   /* the broker's time of that message */
} TeInputPosition;

typedef struct TeInputAnchor
{
	int stream;              /* index in this transport: 0, 1, ..., the same for all its life */
	const char *stream_name; /* "<stream>", or "<topic>/<partition>"; lives as long as it */
	TeInputOutcome outcome;
	TeInputPosition stored; /* the position that was compared */
	TeInputPosition
		matched; /* LOST_TAIL: the newest older position that still matches, else seq 0 */
	int64_t stream_created;
	uint64_t first_seq, last_seq;
	uint64_t start_seq;          /* what te_transport_resume_input() should be given */
	uint64_t lost_from, lost_to; /* never to be read any more, 0 when nothing is */
} TeInputAnchor;

/*
 * The newest message of the output stream that an engine wrote.  Whether it is ours is the
 * caller's judgement (installation, epoch, hash against the outbox).
 */
typedef struct TeOutputAnchor
{
	int64_t stream_created;
	uint64_t last_stream_seq; /* 0: the stream never had a message */
	bool found;
	bool exhausted;   /* not found, though older messages were left unread */
	bool sparse;      /* Kafka: of two topics the newer end; something before it may be missing, so
	                     that sending goes on behind the lesser of it and the caller's cursor */
	unsigned skipped; /* newer messages that no engine wrote */
	uint64_t found_stream_seq;
	char installation[TE_TRANSPORT_INSTALLATION_SIZE];
	int lane;
	uint64_t epoch, seq;
	char hash[TE_TRANSPORT_HASH_SIZE];
} TeOutputAnchor;

/* A received message.  Pointers live until the message is released. */
typedef struct TeInputMessage
{
	const char *subject;
	const void *data;
	size_t len;
	const char *message_id;  /* Nats-Msg-Id, or NULL */
	const char *traceparent; /* W3C trace context, or NULL */
	int stream;              /* as in the anchor */
	int64_t stream_created;  /* with seq and message_time, the position after this message */
	uint64_t seq;
	int64_t message_time;
	int64_t read_at;             /* `now` of the process() call that took it off the socket */
	uint64_t lost_from, lost_to; /* messages missing right before this one, 0 when none is */
} TeInputMessage;

/*
 * A message to append to the output stream.  (epoch, seq) follows the previous one: the same
 * epoch and seq + 1, or a greater epoch.  Nothing is kept of it: after a reconnect the caller
 * publishes again from its outbox what the anchor does not show.
 */
typedef struct TeOutputMessage
{
	const char *subject;
	const void *data;
	size_t len;
	uint64_t epoch, seq;
	const char *hash;        /* of data, as text shorter than TE_TRANSPORT_HASH_SIZE */
	const char *traceparent; /* or NULL */
	uint64_t route_epoch;    /* under which it is sent; 0: none */
	bool backfill;           /* another transport has had it before */
	bool maybe_sent;         /* by us: before a restart, or over a connection that ended */
} TeOutputMessage;

/* What became of messages that were sent once more. */
typedef enum {
	TE_RESENT_WAITING,
	TE_RESENT_DONE, /* the broker has taken all of them */
	TE_RESENT_FAILED
} TeResent;

/* A notice between the outputs, for consumers: outside of their sequence, not acknowledged. */
typedef struct TeOutputMark
{
	const void *data; /* an envelope with a RouteMarker */
	size_t len;
	uint64_t route_epoch;
} TeOutputMark;

/* The highest output below which everything is acknowledged; all 0 before the first. */
typedef struct TeOutputCursor
{
	uint64_t epoch, seq;
	uint64_t stream_seq;
} TeOutputCursor;

/* What came of a question. */
typedef struct TeReply
{
	uint64_t token; /* of the question */
	bool nobody;    /* nobody listens on its subject: there is no data */
	const void *data;
	size_t len;
} TeReply;

/* Plain data for views and logs; never contains a secret. */
typedef struct TeTransportStats
{
	TeTransportState state;
	int64_t since; /* monotonic, of the last change of state */
	bool input_resumed, output_resumed;
	uint64_t connects, disconnects, connect_failures;
	uint64_t received, received_bytes; /* input messages off the socket */
	uint64_t lost;                     /* input messages found missing */
	uint64_t input_pending;            /* behind the last one received, as the broker said last */
	uint64_t published, acked;         /* outputs; published counts repetitions */
	uint64_t duplicates;               /* acknowledgements that said "had it already" */
	uint64_t dropped;                  /* plain messages that were not sent */
	uint64_t questions;                /* sent to services */
	uint64_t replies;                  /* that somebody waited for */
	uint64_t strays;                   /* replies that were late, came twice, or answered nothing */
	uint64_t errors;                   /* every time last_error was written */
	unsigned in_flight;                /* outputs without acknowledgement */
	unsigned input_held;               /* messages in the ring, released ones not counted */
	unsigned abandoned;                /* connect threads that were given up and still run */
	uint64_t input_seq;                /* last handed out */
	uint64_t output_stream_seq;        /* last acknowledged */
	char server_url[TE_TRANSPORT_NAME_SIZE], server_id[TE_TRANSPORT_NAME_SIZE];
	char last_error[TE_TRANSPORT_ERROR_SIZE];
	int64_t last_error_at; /* monotonic */
} TeTransportStats;

/* What an implementation provides; each member is described at the function that calls it. */
typedef struct TeTransport TeTransport;

typedef struct TeTransportOps
{
	void (*poll)(TeTransport *t, TeTransportFds *fds);
	int64_t (*deadline)(const TeTransport *t);
	unsigned (*process)(TeTransport *t, int64_t now, bool readable, bool writable);
	void (*seed_input)(TeTransport *t, const char *stream_name, const TeInputPosition *newest_first,
	                   int count);
	const TeInputAnchor *(*input_anchor)(const TeTransport *t);
	void (*resume_input)(TeTransport *t, int stream, uint64_t start_seq, int64_t now);
	bool (*next_input)(TeTransport *t, TeInputMessage *message);
	void (*rewind_input)(TeTransport *t);
	void (*release_input)(TeTransport *t, unsigned count);
	uint64_t (*unread)(const TeTransport *t, int stream);
	const TeOutputAnchor *(*output_anchor)(const TeTransport *t);
	void (*resume_output)(TeTransport *t, uint64_t last_stream_seq, int64_t now);
	TePublishResult (*publish)(TeTransport *t, const TeOutputMessage *message, int64_t now);
	bool (*publish_plain)(TeTransport *t, const char *subject, const void *data, size_t len);
	TePublishResult (*mark)(TeTransport *t, const TeOutputMark *mark, int64_t now);
	void (*resend_begin)(TeTransport *t);
	TePublishResult (*resend)(TeTransport *t, const TeOutputMessage *message, int64_t now);
	TeResent (*resent)(TeTransport *t, int64_t now);
	bool (*probe)(TeTransport *t, int64_t now);
	bool (*probe_result)(const TeTransport *t);
	uint64_t (*ask)(TeTransport *t, const char *subject, const void *data, size_t len, int64_t now);
	void (*read_replies)(TeTransport *t, int64_t now);
	bool (*next_reply)(TeTransport *t, TeReply *reply);
	unsigned (*unanswered)(const TeTransport *t);
	void (*give_up)(TeTransport *t);
	void (*flush)(TeTransport *t, int64_t now);
	TeOutputCursor (*acked)(const TeTransport *t);
	void (*reconnect)(TeTransport *t, const char *reason, int64_t now);
	const TeTransportStats *(*stats)(TeTransport *t);
	void (*destroy)(TeTransport *t);
} TeTransportOps;

/* Implementations put this first in their own struct. */
struct TeTransport
{
	const TeTransportOps *ops;
};

/* Sets every member to its default; what has none is NULL or 0. */
void te_transport_config_init(TeTransportConfig *config);

const char *te_transport_state_text(TeTransportState state);
const char *te_input_outcome_text(TeInputOutcome outcome);

/*
 * A transport over NATS JetStream.  Starts nothing: the first process() does.  NULL when
 * memory or descriptors ran out, or a setting is unusable; then `error` names it.
 */
TeTransport *te_nats_create(const TeTransportConfig *config, char *error, size_t error_size);

/*
 * A transport over Kafka.  NULL as well when it was built without librdkafka.
 */
TeTransport *te_kafka_create(const TeTransportConfig *config, char *error, size_t error_size);

/* The version of librdkafka; NULL when built without it. */
const char *te_kafka_version(void);

/* What to wait for, now. */
static inline void te_transport_poll(TeTransport *t, TeTransportFds *fds)
{
	t->ops->poll(t, fds);
}

/* When process() wants to be called though nothing happened; in the past means at once. */
static inline int64_t te_transport_deadline(const TeTransport *t)
{
	return t->ops->deadline(t);
}

/*
 * Does whatever can be done without waiting.  readable and writable speak of the socket of the
 * last te_transport_poll(); saying true when unsure costs one system call.  A set of
 * TeTransportEvent; anchors and INPUT are repeated for as long as they wait for the caller.
 */
static inline unsigned te_transport_process(TeTransport *t, int64_t now, bool readable,
                                            bool writable)
{
	return t->ops->process(t, now, readable, writable);
}

/*
 * Where the caller's store says reading of a stream stands: its newest committed positions, newest
 * first.  The first is where reading goes on; older ones (16 are kept) serve to find what a broker
 * still has when it lost the newest.  Called once for each stream that is stored, before the first
 * process().  A transport that has one stream takes any name for it.
 */
static inline void te_transport_seed_input(TeTransport *t, const char *stream_name,
                                           const TeInputPosition *newest_first, int count)
{
	t->ops->seed_input(t, stream_name, newest_first, count);
}

/*
 * What the check of an input stream found; NULL unless one waits for te_transport_resume_input(),
 * which lets the next stream's show.  The stored position is the last message handed out, or that
 * of te_transport_seed_input().
 */
static inline const TeInputAnchor *te_transport_input_anchor(const TeTransport *t)
{
	return t->ops->input_anchor(t);
}

/* Starts reading the stream that the anchor describes, at this sequence of it. */
static inline void te_transport_resume_input(TeTransport *t, int stream, uint64_t start_seq,
                                             int64_t now)
{
	t->ops->resume_input(t, stream, start_seq, now);
}

/*
 * The next message, in order of each stream; false when there is none yet.  After a reconnect no
 * message comes twice unless the stream itself changed (an anchor that is not SAME or GAP).
 */
static inline bool te_transport_next_input(TeTransport *t, TeInputMessage *message)
{
	return t->ops->next_input(t, message);
}

/* Hands out again, from the oldest, the messages that were handed out and not released: of all
 * streams, in the same order. */
static inline void te_transport_rewind_input(TeTransport *t)
{
	t->ops->rewind_input(t);
}

/*
 * Frees the oldest `count` messages that were handed out: they are committed.  The position after
 * the last of them, in each stream, becomes one that an anchor check may go back to.
 */
static inline void te_transport_release_input(TeTransport *t, unsigned count)
{
	t->ops->release_input(t, count);
}

/* How many messages the stream has that weren't released yet, as far as the broker has told. */
static inline uint64_t te_transport_unread(const TeTransport *t, int stream)
{
	return t->ops->unread(t, stream);
}

/* What the output stream ends with; NULL unless it waits for te_transport_resume_output(). */
static inline const TeOutputAnchor *te_transport_output_anchor(const TeTransport *t)
{
	return t->ops->output_anchor(t);
}

/*
 * Allows publishing; every message is conditional on its exact place behind last_stream_seq
 * (normally that of the anchor), so that a second writer or a lost message stops the chain.
 * Without this call the transport stays silent.
 */
static inline void te_transport_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now)
{
	t->ops->resume_output(t, last_stream_seq, now);
}

/* Appends one message.  OK means queued, no more; it counts when te_transport_acked() covers it. */
static inline TePublishResult te_transport_publish(TeTransport *t, const TeOutputMessage *message,
                                                   int64_t now)
{
	return t->ops->publish(t, message, now);
}

/* Sends without any promise (heartbeats, registration); false when it was dropped. */
static inline bool te_transport_publish_plain(TeTransport *t, const char *subject, const void *data,
                                              size_t len)
{
	return t->ops->publish_plain(t, subject, data, len);
}

/*
 * Puts a mark between the outputs; only Kafka keeps them, elsewhere it is OK and nothing happens.
 * Those that were published before come before it, the later ones behind.  Asks for resumed output.
 */
static inline TePublishResult te_transport_mark(TeTransport *t, const TeOutputMark *mark,
                                                int64_t now)
{
	return t->ops->mark != NULL ? t->ops->mark(t, mark, now) : TE_PUBLISH_OK;
}

/*
 * Begins to ask whether the broker stores messages, by storing one that is no output: with
 * connection and input alone a broker may still be dead for outputs.  False when that can't be
 * begun (no connection, another is under way, or Kafka, which isn't probed); else TE_EVENT_PROBED
 * follows exactly once, also when the connection is lost or nothing comes within request_timeout.
 */
static inline bool te_transport_probe(TeTransport *t, int64_t now)
{
	return t->ops->probe != NULL && t->ops->probe(t, now);
}

/* Was the last probe that ended acknowledged? */
static inline bool te_transport_probe_result(const TeTransport *t)
{
	return t->ops->probe_result(t);
}

/*
 * Outputs once more, for consumers that have lost them: outside of the output's sequence, with the
 * same identity, and header te-resent.  NATS: on their subjects with "resent" behind the prefix, to
 * whoever listens.  Kafka: in the lane's partition of topic <prefix>.resent.  begin() forgets what
 * was sent before; resent() tells, from then on, what became of it all, and comes to an end by
 * itself.
 */
static inline void te_transport_resend_begin(TeTransport *t)
{
	t->ops->resend_begin(t);
}

static inline TePublishResult te_transport_resend(TeTransport *t, const TeOutputMessage *message,
                                                  int64_t now)
{
	return t->ops->resend(t, message, now);
}

static inline TeResent te_transport_resent(TeTransport *t, int64_t now)
{
	return t->ops->resent(t, now);
}

/*
 * Asks whoever listens on a subject.  Its token, above those of all questions before it; 0 when it
 * could not be asked: no connection, larger than the broker takes, or too much waits for the
 * socket.
 */
static inline uint64_t te_transport_ask(TeTransport *t, const char *subject, const void *data,
                                        size_t len, int64_t now)
{
	return t->ops->ask(t, subject, data, len, now);
}

/*
 * Gives the socket the questions and takes from it some of what has come, without waiting, for a
 * caller that waits for replies on the descriptor of te_transport_poll().  What else has come is
 * told by the next process().
 */
static inline void te_transport_read_replies(TeTransport *t, int64_t now)
{
	t->ops->read_replies(t, now);
}

/*
 * The next reply to a question that is unanswered; false when there is none.  Its data lives until
 * the next call of this, of process() or of te_transport_give_up().
 */
static inline bool te_transport_next_reply(TeTransport *t, TeReply *reply)
{
	return t->ops->next_reply(t, reply);
}

/* Questions that may still be answered.  A connection that is gone leaves none. */
static inline unsigned te_transport_unanswered(const TeTransport *t)
{
	return t->ops->unanswered(t);
}

/* Waits no more for any question: what comes late is counted and thrown away. */
static inline void te_transport_give_up(TeTransport *t)
{
	t->ops->give_up(t);
}

/* Gives the socket what was published; process() does so too. */
static inline void te_transport_flush(TeTransport *t, int64_t now)
{
	t->ops->flush(t, now);
}

/* Survives reconnects: what was acknowledged stays so. */
static inline TeOutputCursor te_transport_acked(const TeTransport *t)
{
	return t->ops->acked(t);
}

/* Drops the connection and makes a new one (settings changed, the caller distrusts it). */
static inline void te_transport_reconnect(TeTransport *t, const char *reason, int64_t now)
{
	t->ops->reconnect(t, reason, now);
}

static inline const TeTransportStats *te_transport_stats(TeTransport *t)
{
	return t->ops->stats(t);
}

/* Frees everything within milliseconds; Kafka needs up to a second.  NULL is fine. */
static inline void te_transport_destroy(TeTransport *t)
{
	if (t != NULL)
		t->ops->destroy(t);
}

#endif
