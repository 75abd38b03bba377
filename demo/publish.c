/*
 * publish.c - predictions, prices and executions to JetStream.
 *
 * Messages are packed into a window and sent together, asynchronously.  When one is
 * not acknowledged, the whole window is sent again, in order: the broker knows
 * repeated messages by their ids, and the engine by producer, epoch and sequence.
 * So a broker that dies in between costs time, but neither a message nor the order.
 */
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/envelope.pb-c.h"
#include "market/market_data.pb-c.h"
#include "ml/ml_predictions.pb-c.h"
#include "wire/envelope.h"
#include "wire/proto.h"

#define WINDOW 512
#define ARENA_BLOCK (1 << 20)
#define ARENA_LIMIT (1 << 26)
#define ACK_WAIT_MS 2000
#define RETRY_MS 200
#define SUBJECT_SIZE 256
#define ID_SIZE 192

typedef struct QueuedMessage
{
	char subject[SUBJECT_SIZE];
	char id[ID_SIZE];
	const uint8_t *data;
	size_t length;
} QueuedMessage;

struct Publisher
{
	PublisherOptions options;
	natsConnection *connection;
	jsCtx *stream;
	TeArena arena; /* holds what is queued */
	QueuedMessage queue[WINDOW];
	int queued;
	uint64_t seq;
	uint64_t ticks;
	PublisherCounts counts;
	int refused; /* of the window that is being sent; written by the library's thread */
	char refusal[256];
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void give_up(const char *what, const char *why) __attribute__((noreturn));

static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "publisher: %s: %s\n", what, why);
	exit(1);
}

static void must(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		give_up(what, natsStatus_GetText(status));
}

/* Called by the library for every message of the window that the broker didn't take. */
static void note_refusal(jsCtx *stream, jsPubAckErr *error, void *context)
{
	Publisher *p = context;

	(void)stream;
	if (__atomic_fetch_add(&p->refused, 1, __ATOMIC_RELAXED) == 0)
		snprintf(p->refusal, sizeof(p->refusal), "%s",
		         error->ErrText != NULL ? error->ErrText : natsStatus_GetText(error->Err));
}

Publisher *publisher_create(const PublisherOptions *options)
{
	Publisher *p = calloc(1, sizeof(*p));
	natsOptions *nats = NULL;
	jsOptions stream;
	double end = seconds_now() + options->patience;
	natsStatus status;

	if (p == NULL)
		give_up("start", "out of memory");
	p->options = *options;
	te_arena_init(&p->arena, ARENA_BLOCK, ARENA_LIMIT);
	must(natsOptions_Create(&nats), "options");
	must(natsOptions_SetURL(nats, options->url), options->url);
	must(natsOptions_SetName(nats, options->producer), "name");
	must(natsOptions_SetMaxReconnect(nats, -1), "options");
	must(natsOptions_SetReconnectWait(nats, 100), "options");
	/* What the library kept for later could overtake the window that is sent again. */
	must(natsOptions_SetReconnectBufSize(nats, 0), "options");
	while ((status = natsConnection_Connect(&p->connection, nats)) != NATS_OK) {
		if (seconds_now() > end)
			give_up(options->url, natsStatus_GetText(status));
		nats_Sleep(RETRY_MS);
	}
	natsOptions_Destroy(nats);
	jsOptions_Init(&stream);
	stream.PublishAsync.MaxPending = WINDOW;
	stream.PublishAsync.ErrHandler = note_refusal;
	stream.PublishAsync.ErrHandlerClosure = p;
	must(natsConnection_JetStream(&p->stream, p->connection, &stream), "JetStream");
	return p;
}

/* Send the window once; true when every message was acknowledged. */
static bool send_window(Publisher *p)
{
	jsPubOptions wait;
	bool sent = true;

	__atomic_store_n(&p->refused, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < p->queued && sent; i++) {
		QueuedMessage *m = &p->queue[i];
		jsPubOptions options;
		natsStatus status;

		jsPubOptions_Init(&options);
		options.MsgId = m->id;
		options.MaxWait = ACK_WAIT_MS;
		status = js_PublishAsync(p->stream, m->subject, m->data, (int)m->length, &options);
		if (status != NATS_OK) {
			snprintf(p->refusal, sizeof(p->refusal), "%s", natsStatus_GetText(status));
			sent = false;
		}
	}
	jsPubOptions_Init(&wait);
	wait.MaxWait = 2 * ACK_WAIT_MS;
	if (js_PublishAsyncComplete(p->stream, &wait) != NATS_OK)
		sent = false;
	return sent && __atomic_load_n(&p->refused, __ATOMIC_RELAXED) == 0;
}

void publisher_flush(Publisher *p)
{
	double end = seconds_now() + p->options.patience;

	if (p->queued == 0)
		return;
	while (!send_window(p)) {
		if (seconds_now() > end)
			give_up("no acknowledgement", p->refusal);
		p->counts.repeated += (uint64_t)p->queued;
		nats_Sleep(RETRY_MS);
	}
	p->counts.acknowledged += (uint64_t)p->queued;
	p->queued = 0;
	te_arena_reset(&p->arena);
}

static void *take_memory(Publisher *p, size_t count, size_t size)
{
	void *memory = te_arena_array(&p->arena, count, size);

	if (memory == NULL)
		give_up("queue", "out of memory");
	return memory;
}

/* Wrap a payload in its envelope and put it at the end of the window. */
static QueuedMessage *enqueue(Publisher *p, TeEnvelope *envelope, const ProtobufCMessage *payload)
{
	size_t length = protobuf_c_message_get_packed_size(payload);
	QueuedMessage *m = &p->queue[p->queued];
	uint8_t *bytes = take_memory(p, 1, length + 1);
	TeWireError error;

	protobuf_c_message_pack(payload, bytes);
	envelope->service_source = p->options.producer;
	envelope->payload = bytes;
	envelope->payload_len = length;
	if (!te_envelope_encode(envelope, &p->arena, &m->data, &m->length, &error))
		give_up(error.field, error.detail);
	p->queued++;
	return m;
}

static double round_to_tick(double price, double tick)
{
	return round(price / tick) / round(1 / tick);
}

void publish_tick(Publisher *p, const char *symbol, TeTime at, double mid, double spread,
                  double tick)
{
	TradingEngine__MarketTick message = TRADING_ENGINE__MARKET_TICK__INIT;
	TeEnvelope envelope;
	QueuedMessage *m;

	if (p->queued == WINDOW)
		publisher_flush(p);
	message.symbol = (char *)symbol;
	message.at = at;
	if (isnan(spread)) {
		message.has_price_case = TRADING_ENGINE__MARKET_TICK__HAS_PRICE_PRICE;
		message.price = mid;
	} else {
		message.has_bid_case = TRADING_ENGINE__MARKET_TICK__HAS_BID_BID;
		message.bid = round_to_tick(mid - spread / 2, tick);
		message.has_ask_case = TRADING_ENGINE__MARKET_TICK__HAS_ASK_ASK;
		message.ask = round_to_tick(message.bid + spread, tick);
	}
	te_envelope_init(&envelope, TE_MESSAGE_TICK);
	envelope.company_id = envelope.user_id = TE_ALL;
	envelope.timestamp = at;
	m = enqueue(p, &envelope, &message.base);
	snprintf(m->subject, sizeof(m->subject), "%s.market.%s", p->options.prefix, symbol);
	snprintf(m->id, sizeof(m->id), "%s/%llu/tick/%llu", p->options.producer,
	         (unsigned long long)p->options.epoch, (unsigned long long)++p->ticks);
	p->counts.ticks++;
}

/* Wire values of an enum begin with UNSPECIFIED, those of the core don't. */
#define WIRE_ENUM(type, value) ((type)((int)(value) + 1))

static void fill_votes(Publisher *p, TradingEngine__Prediction *out, const Forecast *forecast)
{
	TradingEngine__ModelVote *votes = take_memory(p, MODEL_COUNT, sizeof(*votes));

	out->n_models = MODEL_COUNT;
	out->models = take_memory(p, MODEL_COUNT, sizeof(*out->models));
	for (int i = 0; i < MODEL_COUNT; i++) {
		trading_engine__model_vote__init(&votes[i]);
		votes[i].model_id = (char *)forecast->votes[i].model_id;
		votes[i].direction = WIRE_ENUM(TradingEngine__Direction, forecast->votes[i].direction);
		votes[i].has_confidence_case = TRADING_ENGINE__MODEL_VOTE__HAS_CONFIDENCE_CONFIDENCE;
		votes[i].confidence = forecast->votes[i].confidence;
		votes[i].has_weight_case = TRADING_ENGINE__MODEL_VOTE__HAS_WEIGHT_WEIGHT;
		votes[i].weight = forecast->votes[i].weight;
		out->models[i] = &votes[i];
	}
}

static void fill_patterns(Publisher *p, TradingEngine__Prediction *out, const Forecast *forecast)
{
	size_t count = (size_t)forecast->pattern_count;
	TradingEngine__PatternPrediction *patterns = take_memory(p, count + 1, sizeof(*patterns));

	out->n_patterns = count;
	out->patterns = take_memory(p, count + 1, sizeof(*out->patterns));
	for (size_t i = 0; i < count; i++) {
		trading_engine__pattern_prediction__init(&patterns[i]);
		patterns[i].name = (char *)forecast->patterns[i].name;
		patterns[i].direction = WIRE_ENUM(TradingEngine__Bias, forecast->patterns[i].direction);
		patterns[i].has_probability_case =
			TRADING_ENGINE__PATTERN_PREDICTION__HAS_PROBABILITY_PROBABILITY;
		patterns[i].probability = forecast->patterns[i].probability;
		out->patterns[i] = &patterns[i];
	}
}

static TradingEngine__Prediction *make_prediction(Publisher *p, TeTime at,
                                                  const PredictedSymbol *symbol)
{
	TradingEngine__Prediction *out = take_memory(p, 1, sizeof(*out));
	const Forecast *forecast = symbol->forecast;
	char *id = take_memory(p, 1, ID_SIZE);

	trading_engine__prediction__init(out);
	snprintf(id, ID_SIZE, "%s-%s-%lld", p->options.producer, symbol->symbol,
	         (long long)(at / TE_USEC_PER_SEC));
	out->prediction_id = id;
	out->symbol = (char *)symbol->symbol;
	out->generated_at = at;
	out->horizon_us = HORIZON * BAR_LENGTH;
	out->valid_until = at + out->horizon_us;
	out->has_current_price_case = TRADING_ENGINE__PREDICTION__HAS_CURRENT_PRICE_CURRENT_PRICE;
	out->current_price = symbol->price;
	out->has_predicted_price_case = TRADING_ENGINE__PREDICTION__HAS_PREDICTED_PRICE_PREDICTED_PRICE;
	out->predicted_price = round_to_tick(forecast->price, symbol->tick);
	if (!isnan(symbol->spread)) {
		out->has_bid_case = TRADING_ENGINE__PREDICTION__HAS_BID_BID;
		out->bid = round_to_tick(symbol->price - symbol->spread / 2, symbol->tick);
		out->has_ask_case = TRADING_ENGINE__PREDICTION__HAS_ASK_ASK;
		out->ask = round_to_tick(out->bid + symbol->spread, symbol->tick);
	}
	out->direction = WIRE_ENUM(TradingEngine__Direction, forecast->direction);
	out->has_confidence_case = TRADING_ENGINE__PREDICTION__HAS_CONFIDENCE_CONFIDENCE;
	out->confidence = forecast->confidence;
	if (!isnan(forecast->volume_confirmation)) {
		out->has_volume_confirmation_case =
			TRADING_ENGINE__PREDICTION__HAS_VOLUME_CONFIRMATION_VOLUME_CONFIRMATION;
		out->volume_confirmation = forecast->volume_confirmation;
	}
	fill_votes(p, out, forecast);
	fill_patterns(p, out, forecast);
	return out;
}

void publish_predictions(Publisher *p, TeTime at, const PredictedSymbol *symbols, int count)
{
	TradingEngine__MLPredictionBatch batch = TRADING_ENGINE__MLPREDICTION_BATCH__INIT;
	TeEnvelope envelope;
	QueuedMessage *m;
	char batch_id[ID_SIZE];

	if (p->queued == WINDOW)
		publisher_flush(p);
	snprintf(batch_id, sizeof(batch_id), "%s-%lld", p->options.producer,
	         (long long)(at / TE_USEC_PER_SEC));
	batch.batch_id = batch_id;
	batch.producer_id = (char *)p->options.producer;
	batch.company_id = TE_ALL;
	batch.user_id = TE_ALL;
	batch.generated_at = at;
	batch.model_version = "ensemble-1";
	batch.n_predictions = (size_t)count;
	batch.predictions = take_memory(p, (size_t)count, sizeof(*batch.predictions));
	for (int i = 0; i < count; i++)
		batch.predictions[i] = make_prediction(p, at, &symbols[i]);

	te_envelope_init(&envelope, TE_MESSAGE_PREDICTIONS);
	envelope.company_id = envelope.user_id = TE_ALL;
	envelope.timestamp = envelope.produced_at = at;
	envelope.correlation_id = batch_id;
	envelope.producer_id = p->options.producer;
	envelope.producer_epoch = p->options.epoch;
	envelope.seq = ++p->seq;
	m = enqueue(p, &envelope, &batch.base);
	snprintf(m->subject, sizeof(m->subject), "%s.predictions.%s.%s", p->options.prefix, TE_ALL,
	         TE_ALL);
	snprintf(m->id, sizeof(m->id), "%s/%llu/%llu", p->options.producer,
	         (unsigned long long)p->options.epoch, (unsigned long long)p->seq);
	p->counts.batches++;
	p->counts.predictions += (uint64_t)count;
}

void publish_execution(Publisher *p, const ExecutionReport *report)
{
	TradingEngine__ExecutionResult result = TRADING_ENGINE__EXECUTION_RESULT__INIT;
	TeEnvelope envelope;
	QueuedMessage *m;

	if (p->queued == WINDOW)
		publisher_flush(p);
	result.execution_id = (char *)report->execution_id;
	result.signal_id = (char *)report->signal_id;
	result.company_id = (char *)report->company;
	result.user_id = (char *)report->user;
	result.symbol = (char *)report->symbol;
	result.leg = report->leg;
	result.status = report->status;
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_RESULT, &result, requested_price, REQUESTED_PRICE,
	             report->requested);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_RESULT, &result, executed_price, EXECUTED_PRICE,
	             report->executed);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_RESULT, &result, executed_size, EXECUTED_SIZE,
	             report->lots);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_RESULT, &result, profit, PROFIT, report->profit);
	result.executed_at = report->at;
	if (report->reason != NULL)
		result.reason = (char *)report->reason;

	te_envelope_init(&envelope, TE_MESSAGE_EXECUTION);
	envelope.company_id = report->company;
	envelope.user_id = report->user;
	envelope.timestamp = report->at;
	envelope.producer_id = p->options.producer;
	m = enqueue(p, &envelope, &result.base);
	snprintf(m->subject, sizeof(m->subject), "%s.executions.%s.%s", p->options.prefix,
	         report->company, report->user);
	snprintf(m->id, sizeof(m->id), "%s/%s", p->options.producer, report->execution_id);
	p->counts.executions++;
}

natsConnection *publisher_connection(Publisher *p)
{
	return p->connection;
}

const PublisherCounts *publisher_counts(const Publisher *p)
{
	return &p->counts;
}

void publisher_destroy(Publisher *p)
{
	publisher_flush(p);
	jsCtx_Destroy(p->stream);
	natsConnection_Destroy(p->connection);
	nats_CloseAndWait(1000);
	te_arena_free(&p->arena);
	free(p);
}
