/*
 * nats_client.h - connecting to NATS, asking JetStream, reading a stream.
 */
#ifndef TE_TEST_NATS_CLIENT_H
#define TE_TEST_NATS_CLIENT_H

#include <nats/nats.h>

#include "common/message.h"

/* Longer than any busy machine takes; that a broker is away shows at once. */
#define NATS_PATIENCE_MS 30000

typedef struct Client
{
	natsConnection *connection;
	jsCtx *stream;
} Client;

extern void check_status(natsStatus status, const char *what);
/* Connect, or end the program. */
extern void connect_client(Client *client, const char *url);
extern void close_client(Client *client);

extern json_t *request_api(Client *client, const char *subject, json_t *body);
extern json_t *stream_info(Client *client, const char *stream);
/* A number of that answer's "state", such as last_seq; 0 where there is none. */
extern uint64_t stream_number(json_t *info, const char *member);

/* Called for every message of a stream, in order, from a sequence to its present end. */
typedef void (*StreamVisitor)(void *context, const Message *message, uint64_t seq, int64_t time_ns);
extern void read_stream(Client *client, const char *stream, uint64_t from, StreamVisitor visit,
                        void *context);

/* Show one message; stream sequence and time are 0 where it comes from no stream. */
extern void visit_message(natsMsg *message, StreamVisitor visit, void *context);

#endif
