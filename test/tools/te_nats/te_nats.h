/*
 * te_nats.h - parts of the test client, see te_nats.c.
 */
#ifndef TE_TEST_NATS_H
#define TE_TEST_NATS_H

#include <jansson.h>
#include <nats/nats.h>
#include <stdbool.h>
#include <stdint.h>

/* What is left of the command line. */
typedef struct Arguments
{
	int count;
	char **values;
} Arguments;

typedef struct Client
{
	natsConnection *connection;
	jsCtx *stream;
} Client;

/* Message and exit: tests see status 1 and the reason. */
extern void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
extern void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
extern void check_status(natsStatus status, const char *what);

/* The next positional argument, or a usage error that names it. */
extern char *take_argument(Arguments *arguments, const char *name);
/* The value of --NAME, removed from the arguments, or NULL; take_flag for one without a value. */
extern char *take_option(Arguments *arguments, const char *name);
extern bool take_flag(Arguments *arguments, const char *name);
extern double number_of(const char *text, const char *name, double otherwise);

/* Monotonic seconds. */
extern double seconds_now(void);

extern json_t *request_api(Client *client, const char *subject, json_t *body);
extern json_t *stream_info(Client *client, const char *stream);
/* One line of JSON on standard output; the reference is stolen. */
extern void print_json(json_t *value);
/* SHA-256 as lower-case hex, with its zero. */
extern void sha256_hex(const void *data, size_t length, char hex[65]);

/* Publish through JetStream and wait for the acknowledgement; NULL and *error where it refuses. */
extern json_t *publish_acknowledged(Client *client, const char *subject, const void *data,
                                    size_t length, const char *id, const char **error);

/* Called for every message of a stream, in order, from a sequence to its present end. */
typedef void (*StreamVisitor)(void *context, natsMsg *message, uint64_t seq, int64_t time_ns);
extern void read_stream(Client *client, const char *stream, uint64_t from, StreamVisitor visit,
                        void *context);

/* A received message as JSON: subject, headers, size, sha256, and the decoded envelope. */
extern json_t *describe_message(natsMsg *message);

extern int command_pub(Client *client, Arguments *arguments);
extern int command_pub_json(Client *client, Arguments *arguments);
extern int command_sub(Client *client, Arguments *arguments);
extern int command_stream_info(Client *client, Arguments *arguments);
extern int command_stream_dump(Client *client, Arguments *arguments);
extern int command_stream_check(Client *client, Arguments *arguments);
extern int command_wait(Client *client, Arguments *arguments);
extern int command_js_api(Client *client, Arguments *arguments);
extern int command_load(Client *client, Arguments *arguments);

#endif
