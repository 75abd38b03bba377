/*
 * kafka_private.h - what the files of the Kafka transport share.
 *
 *	kafka_settings.c	settings, names of topics, librdkafka's configuration
 *	kafka_connect.c	producer and consumer, and the threads that make and free them
 *	kafka_topics.c	metadata; topics that are missing are made
 *	kafka_anchors.c	what the ends of the streams look like
 *	kafka_input.c	the ring of received messages
 *	kafka_output.c	the window of published messages
 *	kafka_loop.c	the object: states, events, tearing down
 *
 * librdkafka works in threads of its own, with all signals blocked, and puts what it has
 * to say into two queues, which wake the loop by a descriptor: no callback ever runs.
 * Whatever waits for a broker (looking up, making topics, reading anchors, freeing) is done
 * by a helper thread, which has producer and consumer to itself meanwhile.
 *
 * There is no connection that could be lost.  In its place stands a link: one producer and
 * one consumer.  When all brokers are down, an acknowledgement is overdue or an error can't be
 * borne, the link is dropped with all that is queued, and another one begins by checking.
 */
#ifndef TE_TRANSPORT_KAFKA_PRIVATE_H
#define TE_TRANSPORT_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "attempt.h"
#include "core/anchor.h"
#include "credentials.h"

#define TE_KAFKA_TOPIC_SIZE (TE_TRANSPORT_NAME_SIZE + 16)
#define TE_KAFKA_STREAM_SIZE (TE_KAFKA_TOPIC_SIZE + 12)
#define TE_KAFKA_HISTORY 16 /* committed positions that a LOST_TAIL may go back to */

/* Topics, in the order of their names. */
enum { TE_KAFKA_COMMANDS, TE_KAFKA_SIGNALS, TE_KAFKA_OUTPUTS };
enum { TE_KAFKA_EXECUTIONS, TE_KAFKA_MARKET, TE_KAFKA_PREDICTIONS, TE_KAFKA_INPUTS };

/* The configuration, owned and never changed; shared with threads that outlive us. */
typedef struct TeKafkaSettings
{
	atomic_int refs;
	TeTransportConfig config;
	char outputs[TE_KAFKA_OUTPUTS][TE_KAFKA_TOPIC_SIZE];
	char inputs[TE_KAFKA_INPUTS][TE_KAFKA_TOPIC_SIZE];
	char control[TE_KAFKA_TOPIC_SIZE], resent[TE_KAFKA_TOPIC_SIZE];
} TeKafkaSettings;

TeKafkaSettings *te_kafka_settings_create(const TeTransportConfig *config, char *error,
                                          size_t size);
TeKafkaSettings *te_kafka_settings_ref(TeKafkaSettings *settings);
void te_kafka_settings_release(TeKafkaSettings *settings);

/* What the settings of its files are called. */
extern const TeCredentialNames te_kafka_names;

/* NULL with `error` set, which never has a secret in it. */
rd_kafka_conf_t *te_kafka_conf(const TeKafkaSettings *settings, rd_kafka_type_t type, char *error,
                               size_t size);

/* Where a subject goes. */
typedef struct TeKafkaAddress
{
	const char *topic;
	int output;      /* index, or -1: not one of the outputs */
	const char *key; /* into the subject, not terminated */
	size_t key_len;
} TeKafkaAddress;

/* False when no topic has such subjects. */
bool te_kafka_address(const TeKafkaSettings *settings, const char *subject, TeKafkaAddress *out);

/* A producer and a consumer.  Freed, by a thread, when the last reference is gone. */
typedef struct TeKafkaLink
{
	atomic_int refs;
	rd_kafka_t *producer, *consumer;
	rd_kafka_queue_t *produced, *consumed;
	int wake_fd; /* a copy: librdkafka writes to it until the end */
	char cluster_id[TE_TRANSPORT_NAME_SIZE];
	int32_t partitions[TE_KAFKA_INPUTS]; /* of the input topics, when it was checked */
	atomic_bool looking;                 /* a thread asks a broker again */
	atomic_int changed;    /* it found other partitions than before: 1 + index of the topic */
	atomic_int unanswered; /* it got no answer so often in a row */
} TeKafkaLink;

/* Asks a broker for the input topics again, in a thread that notes what comes of it and wakes. */
void te_kafka_link_look(TeKafkaLink *link, TeKafkaSettings *settings);
/* Nothing wakes anybody any more. */
void te_kafka_link_silence(TeKafkaLink *link);
void te_kafka_link_release(TeKafkaLink *link);

/* Links and attempts of this process that are no longer wanted and not yet gone. */
extern TeLeftovers te_kafka_leftovers;

/* A stream's positions, by its name. */
typedef struct TeKafkaPlace
{
	char name[TE_KAFKA_STREAM_SIZE];
	TeInputPosition handed; /* last message handed out: where a new link goes on */
	TeInputPosition history[TE_KAFKA_HISTORY]; /* committed, newest first */
	int history_count;
} TeKafkaPlace;

/* An input stream as it was found. */
typedef struct TeKafkaFound
{
	char name[TE_KAFKA_STREAM_SIZE];
	int topic; /* index */
	int32_t partition;
	TeInputAnchor anchor; /* without index and name */
} TeKafkaFound;

/* What a check found. */
typedef struct TeKafkaCheck
{
	TeKafkaFound *found;
	int found_count;
	char refusal[TE_TRANSPORT_ERROR_SIZE]; /* why input is not read, or empty */
	TeOutputAnchor output;
	int64_t output_next[TE_KAFKA_OUTPUTS]; /* the offset that the next message will have */
} TeKafkaCheck;

/* One try to make a link and to check everything, in a thread of its own. */
typedef struct TeKafkaAttempt
{
	TeAttempt base; /* error is empty when all went well */
	atomic_bool checking;
	TeKafkaSettings *settings;
	TeKafkaLink *link;
	TeKafkaPlace *places; /* what is known of streams */
	int place_count;
	int64_t acked_end[TE_KAFKA_OUTPUTS]; /* of the lane's partitions */
	TeKafkaCheck check;
} TeKafkaAttempt;

/* NULL with `error` set when no thread could be started or too many hang already.  Takes the
 * places. */
TeKafkaAttempt *te_kafka_attempt_start(TeKafkaSettings *settings, TeKafkaPlace *places,
                                       int place_count, const int64_t *acked_end, int wake_fd,
                                       char *error, size_t size);
/* True when it ended: *link and *check are the result, link NULL with `error` when it failed. */
bool te_kafka_attempt_finish(TeKafkaAttempt *attempt, TeKafkaLink **link, TeKafkaCheck *check,
                             char *error, size_t size);

/* kafka_topics.c, in the attempt's thread */
bool te_kafka_check_topics(TeKafkaAttempt *attempt);
/* Partitions of a topic; 0: there is none.  -1 with `error`. */
int32_t te_kafka_count_partitions(rd_kafka_t *rk, const char *topic, int64_t timeout, char *error,
                                  size_t size);

/* kafka_anchors.c, in the attempt's thread */
bool te_kafka_check_input(TeKafkaAttempt *attempt);
bool te_kafka_check_output(TeKafkaAttempt *attempt);

/* A header's value, or NULL; it lives as long as the message. */
const char *te_kafka_header(const rd_kafka_headers_t *headers, const char *name);
int64_t te_kafka_message_time(const rd_kafka_message_t *message);

/* A message between queue and release; one block of memory has all of it. */
typedef struct TeKafkaSlot
{
	char *subject; /* the block */
	const char *message_id, *traceparent;
	const void *data;
	size_t len, bytes;
	int stream;
	uint64_t seq;
	int64_t time, read_at, stream_created;
} TeKafkaSlot;

typedef struct TeKafkaStream
{
	TeKafkaPlace place;
	int topic;
	int32_t partition;
	bool found;    /* on this link */
	bool anchored; /* the anchor waits for the caller */
	TeInputAnchor anchor;
	uint64_t expected;      /* the least seq that may come */
	uint64_t last;          /* received, or known to be none */
	uint64_t end;           /* of the partition, as far as is known */
	unsigned held;          /* in the ring */
	TeInputPosition newest; /* release_input()'s own: of what it frees */
} TeKafkaStream;

typedef struct TeKafkaInput
{
	TeKafkaStream *streams; /* TE_TRANSPORT_STREAMS_MAX; those in use never move */
	int stream_count;
	TeKafkaPlace *seeds;
	int seed_count;
	int anchors; /* that wait for the caller */
	bool reading;
	bool more; /* the queue may have something that wakes nobody */

	/* Counters that only grow; slot = counter % capacity.  head <= next <= high <= tail. */
	TeKafkaSlot *ring;
	uint64_t capacity, head, next, high, tail;
	int64_t held_bytes;
} TeKafkaInput;

typedef struct TeKafkaFlight
{
	uint64_t epoch, seq;
	int64_t sent_at, offset;
	uint8_t output; /* topic */
	bool acked, is_mark, is_resent;
} TeKafkaFlight;

typedef struct TeKafkaOutput
{
	bool anchored, resumed;
	TeOutputAnchor anchor;
	TeOutputCursor acked;
	size_t too_large; /* a message of so many bytes was refused by a broker; 0: none was */
	uint64_t alone;   /* so many are still to go one by one: a batch of them was too large */

	TeKafkaFlight *window; /* index % capacity */
	uint64_t capacity, oldest, next;
	uint64_t last_epoch, last_seq; /* last published on this link */
	bool marked; /* a mark was the last: the next message may have any later place */
	TeKafkaFlight marks[TE_KAFKA_OUTPUTS];
	int64_t next_offset[TE_KAFKA_OUTPUTS]; /* of the lane's partitions, when nobody else writes; -1:
	                                          not known */
	int64_t acked_end[TE_KAFKA_OUTPUTS];   /* behind the last one acknowledged; 0: none was */

	/* Outputs once more: those that are under way, and whether any was lost. */
	TeKafkaFlight resend; /* of all of them */
	uint64_t resending;
	bool resend_failed;
} TeKafkaOutput;

typedef struct TeKafka
{
	TeTransport base;
	TeKafkaSettings *settings;
	const TeTransportConfig *config;
	TeTransportStats stats;
	int wake_fd;
	uint64_t random;

	TeKafkaAttempt *attempt;
	TeKafkaLink *link;
	int64_t retry_at, ready_at, look_at;
	unsigned failures;                    /* in a row; sets the backoff */
	unsigned events;                      /* for the next process() to return */
	char detail[TE_TRANSPORT_ERROR_SIZE]; /* what librdkafka said last */

	TeKafkaInput in;
	TeKafkaOutput out;
} TeKafka;

/* Drops the link; a new one is made after the backoff.  Every failure ends here. */
void te_kafka_drop(TeKafka *k, int64_t now, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Notes an error with which the link can go on. */
void te_kafka_complain(TeKafka *k, int64_t now, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* kafka_input.c */
bool te_kafka_input_create(TeKafka *k);
void te_kafka_input_destroy(TeKafka *k);
void te_kafka_input_disconnected(TeKafka *k);
TeKafkaPlace *te_kafka_input_places(const TeKafka *k, int *count); /* malloc; NULL: no memory */
void te_kafka_input_found(TeKafka *k, const TeKafkaCheck *check);
bool te_kafka_input_has_room(const TeKafka *k);
void te_kafka_input_message(TeKafka *k, const rd_kafka_message_t *message, int64_t now);
void te_kafka_input_look(TeKafka *k); /* how much is unread */
void te_kafka_input_ended(TeKafka *k, const rd_kafka_topic_partition_t *at);
void te_kafka_seed_input(TeTransport *t, const char *stream_name,
                         const TeInputPosition *newest_first, int count);
const TeInputAnchor *te_kafka_input_anchor(const TeTransport *t);
void te_kafka_resume_input(TeTransport *t, int stream, uint64_t start_seq, int64_t now);
bool te_kafka_next_input(TeTransport *t, TeInputMessage *message);
void te_kafka_rewind_input(TeTransport *t);
void te_kafka_release_input(TeTransport *t, unsigned count);
uint64_t te_kafka_unread(const TeTransport *t, int stream);

/* kafka_output.c */
bool te_kafka_output_create(TeKafka *k);
void te_kafka_output_destroy(TeKafka *k);
void te_kafka_output_disconnected(TeKafka *k);
void te_kafka_output_found(TeKafka *k, const TeKafkaCheck *check);
void te_kafka_output_delivered(TeKafka *k, const rd_kafka_message_t *message, int64_t now);
int64_t te_kafka_output_deadline(const TeKafka *k);
void te_kafka_output_watch(TeKafka *k, int64_t now);
const TeOutputAnchor *te_kafka_output_anchor(const TeTransport *t);
void te_kafka_resume_output(TeTransport *t, uint64_t last_stream_seq, int64_t now);
TePublishResult te_kafka_publish(TeTransport *t, const TeOutputMessage *message, int64_t now);
bool te_kafka_publish_plain(TeTransport *t, const char *subject, const void *data, size_t len);
TePublishResult te_kafka_mark(TeTransport *t, const TeOutputMark *mark, int64_t now);
void te_kafka_resend_begin(TeTransport *t);
TePublishResult te_kafka_resend(TeTransport *t, const TeOutputMessage *message, int64_t now);
TeResent te_kafka_resent(TeTransport *t, int64_t now);
TeOutputCursor te_kafka_acked(const TeTransport *t);

#endif
