/*
 * te_nats.h - parts of the test client, see te_nats.c.
 */
#ifndef TE_TEST_NATS_H
#define TE_TEST_NATS_H

#include <nats/nats.h>

#include "common/message.h"

typedef struct Client
{
	natsConnection *connection;
	jsCtx *stream;
} Client;

extern void check_status(natsStatus status, const char *what);

extern json_t *request_api(Client *client, const char *subject, json_t *body);
extern json_t *stream_info(Client *client, const char *stream);

/* Publish through JetStream and wait for the acknowledgement; NULL and *error where it refuses. */
extern json_t *publish_acknowledged(Client *client, const char *subject, const void *data,
                                    size_t length, const char *id, const char **error);

/* Called for every message of a stream, in order, from a sequence to its present end. */
typedef void (*StreamVisitor)(void *context, const Message *message, uint64_t seq, int64_t time_ns);
extern void read_stream(Client *client, const char *stream, uint64_t from, StreamVisitor visit,
                        void *context);

/* Show one message; stream sequence and time are 0 where it comes from no stream. */
extern void visit_message(natsMsg *message, StreamVisitor visit, void *context);

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
