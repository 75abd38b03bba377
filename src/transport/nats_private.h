/*
 * nats_private.h - what the files of the NATS transport share.
 *
 *	nats_connect.c	settings, and the helper thread that makes a connection
 *	nats_guard.c	keeps TLS from blocking the loop
 *	nats_nkey.c	NKeys: the public one of a seed
 *	nats_loop.c	the object: event loop, states, timers, tearing down
 *	nats_check.c	requests to JetStream's API: streams, anchors, consumer
 *	nats_input.c	pull credit, the ring of received messages
 *	nats_output.c	the window of published messages
 *	nats_probe.c	does JetStream store what it is given?
 *	nats_request.c	questions to services, and their replies
 *
 * libnats runs in event-loop mode: it never reads or writes the socket unless
 * told, and publishing only appends to a buffer.  No synchronous function of
 * libnats may be called on this thread (nobody would read its answer), nor one
 * that needs a JetStream subscription: the API is spoken as plain messages.
 */
#ifndef TE_TRANSPORT_NATS_PRIVATE_H
#define TE_TRANSPORT_NATS_PRIVATE_H

#include <nats/nats.h>

#include "attempt.h"
#include "credentials.h"
#include "jetstream.h"

#define TE_NATS_SUBJECT_SIZE 256
#define TE_NATS_HISTORY 16 /* committed positions that a LOST_TAIL may go back to */
#define TE_NATS_URLS_MAX 16

/* The configuration, owned and never changed; shared with connect threads that outlive us. */
typedef struct TeNatsSettings TeNatsSettings;
TeNatsSettings *te_nats_settings_create(const TeTransportConfig *config, char *error, size_t size);
const TeTransportConfig *te_nats_settings_config(const TeNatsSettings *settings);
int te_nats_settings_urls(const TeNatsSettings *settings);
void te_nats_settings_release(TeNatsSettings *settings);

/* Removes user, password and token from the URLs that a text contains, in place. */
void te_nats_redact(char *text);

/*
 * libnats waits inside a read until the rest of a TLS record has come, and inside a write until
 * the socket takes it.  The guard is a thread that shuts the socket down when a call doesn't
 * return, so that a broker that freezes in the middle of a record can't freeze the caller.
 * All functions take NULL for "no TLS".
 */
typedef struct TeNatsGuard TeNatsGuard;
TeNatsGuard *te_nats_guard_start(int fd); /* NULL when it could not be started */
void te_nats_guard_enter(TeNatsGuard *guard);
void te_nats_guard_leave(TeNatsGuard *guard);
void te_nats_guard_forget(TeNatsGuard *guard); /* the descriptor is no longer ours */
void te_nats_guard_stop(TeNatsGuard *guard);

/* The public key of a user's seed (SU...), with its zero 57 bytes; false when it isn't one. */
#define TE_NKEY_SIZE 57
bool te_nkey_public(const char *seed, char public_key[TE_NKEY_SIZE]);
/* That of the first line of a file which is a seed; false with `error`. */
bool te_nkey_read(const char *file_name, const char *setting, char public_key[TE_NKEY_SIZE],
                  char *error, size_t size);

/* A connection as libnats sees it; belongs to one thread at a time. */
typedef struct TeNatsLink
{
	natsConnection *nc;
	natsSubscription *sub;     /* on <inbox>.*: what JetStream sends */
	natsSubscription *replies; /* on <reply_inbox>.*: what services answer */
	int fd;                    /* -1 once libnats is done with it */
	int close_fd;              /* libnats 3.10 leaves closing to us */
	bool want_write;
	bool tls;
	char inbox[TE_TRANSPORT_NAME_SIZE];
	size_t inbox_len;
	char reply_inbox[TE_TRANSPORT_NAME_SIZE];
	size_t reply_inbox_len;
	int64_t max_payload;
	char server_url[TE_TRANSPORT_NAME_SIZE];
	char server_id[TE_TRANSPORT_NAME_SIZE];
	TeNatsGuard *guard; /* TLS only */
} TeNatsLink;

/* Closes within microseconds: what is not yet written is dropped.  NULL is fine. */
void te_nats_link_close(TeNatsLink *link);
void te_nats_link_read(TeNatsLink *link);
void te_nats_link_write(TeNatsLink *link);

/* One try to connect, in a thread of its own. */
typedef struct TeNatsAttempt TeNatsAttempt;

/* NULL with `error` set when no thread could be started or too many hang already. */
TeNatsAttempt *te_nats_attempt_start(TeNatsSettings *settings, int url, int wake_fd, char *error,
                                     size_t size);
/* True when it ended: *link is the result, NULL with `error` set when it failed. */
bool te_nats_attempt_finish(TeNatsAttempt *attempt, TeNatsLink **link, char *error, size_t size);
/* Attempts that were given up and still hang. */
extern TeLeftovers te_nats_leftovers;

/* What the API was asked last; one question at a time. */
typedef enum {
	TE_ASK_NOTHING,
	TE_ASK_INPUT_INFO,
	TE_ASK_INPUT_CREATE,
	TE_ASK_INPUT_POSITION,
	TE_ASK_INPUT_LOOK,
	TE_ASK_OUTPUT_INFO,
	TE_ASK_OUTPUT_CREATE,
	TE_ASK_OUTPUT_LAST,
	TE_ASK_CONSUMER_CREATE,
	TE_ASK_CONSUMER_INFO,
} TeNatsAsk;

/* A message between socket and release. */
typedef struct TeNatsSlot
{
	natsMsg *msg;
	uint64_t seq, lost_from;
	int64_t time, read_at, stream_created;
	size_t bytes;
} TeNatsSlot;

typedef struct TeNatsInput
{
	bool anchored; /* the anchor waits for the caller */
	bool resumed, consuming;
	TeInputAnchor anchor;
	TeInputPosition handed; /* last message handed out: where a new connection goes on */
	TeInputPosition history[TE_NATS_HISTORY]; /* committed, newest first */
	int history_count, history_probe;

	/* Counters that only grow; slot = counter % capacity.  head <= next <= high <= tail. */
	TeNatsSlot *ring;
	uint64_t capacity, head, next, high, tail;
	int64_t held_bytes;

	char consumer[TE_TRANSPORT_NAME_SIZE];
	uint64_t expected_seq, expected_delivery;
	uint64_t pulls;       /* requests made on this connection */
	uint64_t credit;      /* messages that the broker may still send */
	int64_t credit_bytes; /* at most; 0 when credit is */
	int64_t heard_at;
	int64_t looked_at; /* when the broker said last how much is pending */
} TeNatsInput;

typedef struct TeNatsFlight
{
	uint64_t epoch, seq;
	int64_t sent_at;
	bool maybe_sent;
	bool acked;
} TeNatsFlight;

typedef struct TeNatsOutput
{
	bool anchored, resumed;
	TeOutputAnchor anchor;
	TeOutputCursor acked;
	uint64_t first_seq, probe_seq; /* of the stream, while looking for the anchor */

	/* Window: message p of this connection has stream sequence base_seq + p + 1. */
	TeNatsFlight *window;
	uint64_t capacity, oldest, next, flushed, base_seq;
	uint64_t last_epoch, last_seq; /* last published on this connection */
} TeNatsOutput;

/* A message that is stored in a stream of its own, which is looked up, and made, once for each
 * connection. */
typedef struct TeNatsProbe
{
	enum { TE_PROBE_IDLE, TE_PROBE_INFO, TE_PROBE_CREATE, TE_PROBE_STORE } step;
	uint64_t id; /* of the message that waits for its answer */
	int64_t deadline;
	bool stream_known, succeeded;
	char stream[TE_TRANSPORT_NAME_SIZE], subjects[TE_NATS_SUBJECT_SIZE];
	TeJsStreamSpec spec;
} TeNatsProbe;

/* Outputs that were sent once more, without acknowledgements of their own. */
typedef struct TeNatsResend
{
	bool open;   /* some were sent since the broker has answered last */
	bool failed; /* the connection was lost meanwhile */
	bool asking; /* the broker is asked something: its answer comes behind them */
	uint64_t id; /* of the question */
	int64_t deadline;
} TeNatsResend;

/* Questions without an answer that are remembered; a newer one takes the place of the oldest. */
#define TE_NATS_QUESTIONS 16384

/* GIVEN_UP: nobody waits any more, but the broker may still say that nobody listens. */
typedef enum { TE_QUESTION_SETTLED, TE_QUESTION_WAITING, TE_QUESTION_GIVEN_UP } TeNatsQuestionState;

typedef struct TeNatsQuestion
{
	int64_t asked_at;
	TeNatsQuestionState state;
} TeNatsQuestion;

/* Tokens oldest .. next - 1; place = token % TE_NATS_QUESTIONS. */
typedef struct TeNatsQuestions
{
	TeNatsQuestion *ring;
	uint64_t oldest, next;
	unsigned waiting;
	natsMsg *reply; /* the one that was handed out last */
} TeNatsQuestions;

typedef struct TeNats
{
	TeTransport base;
	TeNatsSettings *settings;
	const TeTransportConfig *config;
	TeTransportStats stats;
	int wake_fd;
	uint64_t random;

	TeNatsAttempt *attempt;
	int64_t attempt_deadline;
	TeNatsLink *link;
	uint64_t generation;
	int64_t retry_at;
	int64_t ready_at;
	unsigned failures; /* in a row; sets the backoff */
	unsigned next_url;
	unsigned events; /* for the next process() to return */

	TeJsStreamSpec input_spec, output_spec;
	char input_name[TE_TRANSPORT_NAME_SIZE], output_name[TE_TRANSPORT_NAME_SIZE];
	char subjects[5][TE_NATS_SUBJECT_SIZE];

	TeNatsAsk ask;
	uint64_t ask_id;
	int64_t ask_deadline;

	TeNatsInput in;
	TeNatsOutput out;
	TeNatsProbe probe;
	TeNatsResend resend;
	TeNatsQuestions questions;
} TeNats;

/* Drops the connection; a new one is made after the backoff.  Every failure ends here. */
void te_nats_drop(TeNats *n, int64_t now, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Publishes with a reply subject <inbox>.<suffix>; drops the connection when that fails. */
bool te_nats_send(TeNats *n, const char *subject, const char *suffix, const char *data, int len,
                  int64_t now);
void te_nats_set_state(TeNats *n, TeTransportState state, int64_t now);

/* nats_check.c */
void te_nats_check_start(TeNats *n, int64_t now);
void te_nats_check_reply(TeNats *n, uint64_t id, const char *data, size_t len, int64_t now);
void te_nats_ask_consumer(TeNats *n, uint64_t start_seq, int64_t now);
void te_nats_ask_probe(TeNats *n, int64_t now);
void te_nats_ask_look(TeNats *n, int64_t now);
const char *te_nats_ask_text(TeNatsAsk ask);

/* nats_input.c */
bool te_nats_input_create(TeNats *n);
void te_nats_input_destroy(TeNats *n);
void te_nats_input_disconnected(TeNats *n);
void te_nats_input_consume(TeNats *n, int64_t now); /* the consumer exists */
void te_nats_input_probed(TeNats *n, uint64_t waiting, int64_t now);
void te_nats_input_looked(TeNats *n, const TeJsStream *stream, int64_t now);
void te_nats_input_delete_consumer(TeNats *n); /* the last one made; nobody waits for an answer */
void te_nats_input_message(TeNats *n, natsMsg *msg, int64_t now); /* takes the message */
void te_nats_input_status(TeNats *n, natsMsg *msg, int64_t now);
void te_nats_input_pull(TeNats *n, int64_t now);
void te_nats_input_watch(TeNats *n, int64_t now);
int64_t te_nats_input_deadline(const TeNats *n);
void te_nats_seed_input(TeTransport *t, const char *stream_name,
                        const TeInputPosition *newest_first, int count);
const TeInputAnchor *te_nats_input_anchor(const TeTransport *t);
void te_nats_resume_input(TeTransport *t, int stream, uint64_t start_seq, int64_t now);
bool te_nats_next_input(TeTransport *t, TeInputMessage *message);
void te_nats_rewind_input(TeTransport *t);
void te_nats_release_input(TeTransport *t, unsigned count);
uint64_t te_nats_unread(const TeTransport *t, int stream);

/* nats_output.c */
bool te_nats_output_create(TeNats *n);
void te_nats_output_destroy(TeNats *n);
void te_nats_output_disconnected(TeNats *n);
void te_nats_output_ack(TeNats *n, uint64_t index, const char *data, size_t len, int64_t now);
void te_nats_output_flushed(TeNats *n, int64_t now);
void te_nats_output_watch(TeNats *n, int64_t now);
int64_t te_nats_output_deadline(const TeNats *n);
const TeOutputAnchor *te_nats_output_anchor(const TeTransport *t);
void te_nats_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now);
TePublishResult te_nats_publish(TeTransport *t, const TeOutputMessage *message, int64_t now);
/* Hand it to libnats by "send", if there is room for it. */
TePublishResult te_nats_send_output(TeNats *n, const TeOutputMessage *message,
                                    natsStatus (*send)(const TeNats *, const TeOutputMessage *),
                                    int64_t now);
natsStatus te_nats_set_identity(natsMsg *msg, const TeNats *n, const TeOutputMessage *message);
TeOutputCursor te_nats_acked(const TeTransport *t);

/* nats_probe.c */
void te_nats_probe_create(TeNats *n);
void te_nats_probe_disconnected(TeNats *n);
void te_nats_probe_reply(TeNats *n, uint64_t id, const char *data, size_t len, int64_t now);
void te_nats_probe_watch(TeNats *n, int64_t now);
int64_t te_nats_probe_deadline(const TeNats *n);
bool te_nats_probe(TeTransport *t, int64_t now);
bool te_nats_probe_result(const TeTransport *t);

/* nats_resend.c */
void te_nats_resend_disconnected(TeNats *n);
void te_nats_resend_reply(TeNats *n, uint64_t id);
void te_nats_resend_begin(TeTransport *t);
TePublishResult te_nats_resend(TeTransport *t, const TeOutputMessage *message, int64_t now);
TeResent te_nats_resent(TeTransport *t, int64_t now);

/* nats_request.c */
bool te_nats_questions_create(TeNats *n);
void te_nats_questions_destroy(TeNats *n);
void te_nats_questions_disconnected(TeNats *n);
void te_nats_discard_replies(TeNats *n); /* those that nobody waits for */
uint64_t te_nats_ask(TeTransport *t, const char *subject, const void *data, size_t len,
                     int64_t now);
bool te_nats_next_reply(TeTransport *t, TeReply *reply);
unsigned te_nats_unanswered(const TeTransport *t);
void te_nats_give_up(TeTransport *t);

#endif
