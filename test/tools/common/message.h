/*
 * message.h - messages of either transport: made from JSON, and shown as JSON.
 *
 * A line that describes a message is an object:
 *
 *	subject   where to
 *	type      message of proto/, such as "MLPredictionBatch"; with
 *	payload   its fields, and
 *	envelope  fields of TradingProcessingEnvelope; what is missing of
 *	          message_type, payload_hash and timestamp is filled in
 *	bare      true: the payload without an envelope
 *	hex       instead of type: these bytes
 *	id        header Nats-Msg-Id
 *
 * and what te_nats or te_kafka add to that.
 */
#ifndef TE_TEST_MESSAGE_H
#define TE_TEST_MESSAGE_H

#include "common/tool.h"

typedef struct Header
{
	const char *name, *value;
} Header;

/* A message as it was received. */
typedef struct Message
{
	const char *subject;
	const Header *headers;
	size_t header_count;
	const void *data;
	size_t length;
} Message;

/* A header's value, or NULL. */
extern const char *message_header(const Message *message, const char *name);
/* Subject, headers, size, SHA-256, and the decoded envelope. */
extern json_t *describe_message(const Message *message);

/* A message to be sent; valid until the next one. */
typedef struct Draft
{
	json_t *line;
	const char *subject, *id;
	const uint8_t *data;
	size_t length;
} Draft;

/* Every line of standard input; ends with a usage error at one that describes no message. */
typedef void (*DraftSender)(void *context, const Draft *draft);
extern void read_drafts(DraftSender send, void *context);

/* Bytes of hexadecimal digits, allocated. */
extern uint8_t *bytes_of_hex(const char *hex, size_t *length);

#endif
