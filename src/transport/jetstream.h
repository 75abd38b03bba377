/*
 * jetstream.h - the texts that JetStream's API speaks: JSON requests and
 * replies, reply subjects of delivered messages, header blocks.
 *
 * Pure functions over bytes that a stranger may have sent: every parser takes
 * any bytes, never reads outside of them, and returns false when they are not
 * what they should be.  An answer that is a proper error of the broker parses
 * well and has error.code set.  Times are microseconds since 1970-01-01 UTC.
 */
#ifndef TE_TRANSPORT_JETSTREAM_H
#define TE_TRANSPORT_JETSTREAM_H

#include "transport.h"

/* Error numbers of the broker (err_code) that mean more than "failed". */
#define TE_JS_STREAM_NOT_FOUND 10059
#define TE_JS_STREAM_NAME_IN_USE 10058
#define TE_JS_MESSAGE_NOT_FOUND 10037

typedef struct TeJsError
{
	int code; /* 0: no error */
	int err_code;
	char description[160];
} TeJsError;

/* A stream that the engine makes when it is missing. */
typedef struct TeJsStreamSpec
{
	const char *name;
	const char *subjects[3]; /* up to the first NULL */
	bool discard_new;
	int64_t max_age, duplicate_window; /* microseconds */
	int64_t max_bytes;
	int64_t max_per_subject; /* messages kept of each subject; 0: no limit */
	int replicas;
} TeJsStreamSpec;

typedef struct TeJsStream
{
	TeJsError error;
	int64_t created;
	uint64_t messages, first_seq, last_seq; /* first_seq is last_seq + 1 when it is empty */
	uint64_t deleted;                       /* between them */
	bool keeps_by_limits;                   /* retention limits: reading deletes nothing */
	bool has_subjects;                      /* all of those asked for */
} TeJsStream;

/* A stored message, and of its headers those that an engine writes. */
typedef struct TeJsMessage
{
	TeJsError error;
	uint64_t seq;
	int64_t time;
	bool from_engine; /* the members below are there and well-formed */
	char installation[TE_TRANSPORT_INSTALLATION_SIZE];
	int lane;
	uint64_t out_epoch, out_seq;
	char hash[TE_TRANSPORT_HASH_SIZE];
} TeJsMessage;

typedef struct TeJsPubAck
{
	TeJsError error;
	char stream[TE_TRANSPORT_NAME_SIZE];
	uint64_t seq;
	bool duplicate;
} TeJsPubAck;

typedef struct TeJsConsumer
{
	TeJsError error;
	uint64_t waiting; /* pull requests that the broker still holds */
} TeJsConsumer;

/* What the reply subject of a delivered message says. */
typedef struct TeJsDelivery
{
	const char *consumer; /* into the subject, not terminated */
	size_t consumer_len;
	uint64_t stream_seq, consumer_seq;
	uint64_t pending; /* messages of the stream behind this one */
	int64_t time;
} TeJsDelivery;

/* Requests, as text that the caller frees; NULL when memory ran out. */
char *te_js_build_stream(const TeJsStreamSpec *spec);
char *te_js_build_consumer(const char *stream, const char *name, uint64_t start_seq);

bool te_js_parse_stream(const char *data, size_t len, const TeJsStreamSpec *spec, TeJsStream *out);
bool te_js_parse_message(const char *data, size_t len, TeJsMessage *out);
bool te_js_parse_pub_ack(const char *data, size_t len, TeJsPubAck *out);
bool te_js_parse_consumer(const char *data, size_t len, TeJsConsumer *out);
bool te_js_parse_delivery(const char *reply_subject, TeJsDelivery *out);

/* RFC 3339, as JetStream writes it: any number of decimals, Z or an offset. */
bool te_js_parse_time(const char *text, int64_t *out);

/* Digits only, up to UINT64_MAX; len bytes. */
bool te_js_parse_u64(const char *text, size_t len, uint64_t *out);

#endif
