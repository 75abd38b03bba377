/*
 * load.c - predictions at a steady rate to JetStream, see common/load.h; the answer counts
 * what was acknowledged.
 */
#include "common/load.h"

#include "te_nats.h"

typedef struct Target
{
	Client *client;
	uint64_t refused;
} Target;

static void count_refusal(jsCtx *stream, jsPubAckErr *error, void *context)
{
	Target *target = context;

	(void)stream;
	(void)error;
	__atomic_add_fetch(&target->refused, 1, __ATOMIC_RELAXED);
}

static void publish_batch(void *context, const char *subject, const char *company, const char *id,
                          const uint8_t *data, size_t length)
{
	Target *target = context;
	jsPubOptions options;

	(void)company;
	jsPubOptions_Init(&options);
	options.MsgId = id;
	check_status(js_PublishAsync(target->client->stream, subject, data, (int)length, &options),
	             subject);
}

int command_load(Client *client, Arguments *arguments)
{
	Target target = {client, 0};
	jsOptions options;
	jsPubOptions wait;
	LoadResult result;

	jsCtx_Destroy(client->stream);
	jsOptions_Init(&options);
	options.PublishAsync.MaxPending = 4096;
	options.PublishAsync.StallWait = NATS_PATIENCE_MS;
	options.PublishAsync.ErrHandler = count_refusal;
	options.PublishAsync.ErrHandlerClosure = &target;
	check_status(natsConnection_JetStream(&client->stream, client->connection, &options),
	             "JetStream");
	result = run_load(arguments, publish_batch, &target);
	jsPubOptions_Init(&wait);
	wait.MaxWait = NATS_PATIENCE_MS;
	check_status(js_PublishAsyncComplete(client->stream, &wait), "acknowledgements");
	return finish_load(&result, target.refused);
}
