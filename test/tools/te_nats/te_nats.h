/*
 * te_nats.h - parts of the test client, see te_nats.c.
 */
#ifndef TE_TEST_NATS_H
#define TE_TEST_NATS_H

#include "nats_client/nats_client.h"

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
