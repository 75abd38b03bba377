/*
 * load.c - predictions at a steady rate, see load.h.
 */
#include "common/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ml/ml_predictions.pb-c.h"
#include "wire/envelope.h"

#define MAX_SYMBOLS 64
#define MAX_BATCH 10000

typedef struct Load
{
	char *symbols[MAX_SYMBOLS];
	int symbol_count;
	double rate;
	uint64_t count, batch;
	const char *company, *user, *producer;
	char subject[256];
	uint64_t epoch, seq, sent;
	LoadSender send;
	void *context;
} Load;

static void read_options(Load *load, Arguments *arguments)
{
	const char *prefix = take_option(arguments, "prefix");
	char *symbols;

	load->rate = number_of(take_option(arguments, "rate"), "--rate", 100);
	load->count = (uint64_t)number_of(take_option(arguments, "count"), "--count", 1000);
	load->batch = (uint64_t)number_of(take_option(arguments, "batch"), "--batch", 1);
	load->company = take_option(arguments, "company");
	load->user = take_option(arguments, "user");
	load->producer = take_option(arguments, "producer");
	if (load->company == NULL)
		load->company = TE_ALL;
	if (load->user == NULL)
		load->user = TE_ALL;
	if (load->producer == NULL)
		load->producer = "load";
	if (load->batch < 1 || load->batch > MAX_BATCH || load->rate <= 0)
		usage_error("--batch is 1 to %d, --rate more than 0", MAX_BATCH);
	snprintf(load->subject, sizeof(load->subject), "%s.predictions.%s.%s",
	         prefix != NULL ? prefix : "trading", load->company, load->user);
	load->epoch =
		(uint64_t)number_of(take_option(arguments, "epoch"), "--epoch", (double)wall_clock_us());
	symbols = take_argument(arguments, "SYMBOL");
	for (char *next = strtok(symbols, ","); next != NULL; next = strtok(NULL, ",")) {
		if (load->symbol_count == MAX_SYMBOLS)
			usage_error("more than %d symbols", MAX_SYMBOLS);
		load->symbols[load->symbol_count++] = next;
	}
}

static void fill_prediction(const Load *load, TradingEngine__Prediction *out, char *id,
                            size_t id_size, uint64_t number, int64_t at)
{
	double phase = (double)number / 50.0;
	double slope = cos(phase);
	double price = 1.25 + 0.005 * sin(phase);

	trading_engine__prediction__init(out);
	snprintf(id, id_size, "%s-%llu-%llu", load->producer, (unsigned long long)load->epoch,
	         (unsigned long long)number);
	out->prediction_id = id;
	out->symbol = load->symbols[number % (uint64_t)load->symbol_count];
	out->generated_at = at;
	out->has_current_price_case = TRADING_ENGINE__PREDICTION__HAS_CURRENT_PRICE_CURRENT_PRICE;
	out->has_predicted_price_case = TRADING_ENGINE__PREDICTION__HAS_PREDICTED_PRICE_PREDICTED_PRICE;
	out->has_confidence_case = TRADING_ENGINE__PREDICTION__HAS_CONFIDENCE_CONFIDENCE;
	out->current_price = round(price * 1e5) / 1e5;
	out->predicted_price = round((price + 0.002 * slope) * 1e5) / 1e5;
	out->direction = slope > 0 ? TRADING_ENGINE__DIRECTION__DIRECTION_BUY
	                           : TRADING_ENGINE__DIRECTION__DIRECTION_SELL;
	out->confidence = 0.5 + 0.5 * fabs(slope);
}

/* Pack and publish one batch of the next predictions. */
static void send_batch(Load *load, TeArena *arena, uint64_t size)
{
	static TradingEngine__Prediction predictions[MAX_BATCH];
	static TradingEngine__Prediction *pointers[MAX_BATCH];
	static char ids[MAX_BATCH][128];
	TradingEngine__MLPredictionBatch batch = TRADING_ENGINE__MLPREDICTION_BATCH__INIT;
	int64_t at = (int64_t)load->epoch + (int64_t)((double)load->sent / load->rate * 1e6);
	char batch_id[128];
	TeEnvelope envelope;
	TeWireError error;
	uint8_t *payload;
	const uint8_t *data;
	size_t length;

	te_arena_reset(arena);
	for (uint64_t i = 0; i < size; i++) {
		fill_prediction(load, &predictions[i], ids[i], sizeof(ids[i]), load->sent + i, at);
		pointers[i] = &predictions[i];
	}
	load->seq++;
	snprintf(batch_id, sizeof(batch_id), "%s-%llu-%llu", load->producer,
	         (unsigned long long)load->epoch, (unsigned long long)load->seq);
	batch.batch_id = batch_id;
	batch.producer_id = (char *)load->producer;
	batch.company_id = (char *)load->company;
	batch.user_id = (char *)load->user;
	batch.generated_at = at;
	batch.n_predictions = size;
	batch.predictions = pointers;
	length = trading_engine__mlprediction_batch__get_packed_size(&batch);
	payload = need_memory(te_arena_alloc(arena, length));
	trading_engine__mlprediction_batch__pack(&batch, payload);

	te_envelope_init(&envelope, TE_MESSAGE_PREDICTIONS);
	envelope.company_id = load->company;
	envelope.user_id = load->user;
	envelope.service_source = "load";
	envelope.correlation_id = batch_id;
	envelope.timestamp = envelope.produced_at = at;
	envelope.producer_id = load->producer;
	envelope.producer_epoch = load->epoch;
	envelope.seq = load->seq;
	envelope.payload = payload;
	envelope.payload_len = length;
	if (!te_envelope_encode(&envelope, arena, &data, &length, &error))
		fail("%s: %s", error.field, error.detail);

	load->send(load->context, load->subject, load->company, batch_id, data, length);
	load->sent += size;
}

LoadResult run_load(Arguments *arguments, LoadSender send, void *context)
{
	Load load = {.send = send, .context = context};
	double start = seconds_now();
	TeArena arena;

	read_options(&load, arguments);
	te_arena_init(&arena, 1 << 20, 1 << 28);
	while (load.sent < load.count) {
		uint64_t left = load.count - load.sent;
		double ahead = start + (double)load.sent / load.rate - seconds_now();

		if (ahead > 0.0005)
			sleep_seconds(ahead);
		send_batch(&load, &arena, left < load.batch ? left : load.batch);
	}
	te_arena_free(&arena);
	return (LoadResult){load.sent, load.seq, load.epoch, start};
}

int finish_load(const LoadResult *result, uint64_t refused)
{
	print_json(json_pack("{s:I, s:I, s:I, s:f, s:I}", "predictions",
	                     (json_int_t)result->predictions, "batches", (json_int_t)result->batches,
	                     "refused", (json_int_t)refused, "seconds", seconds_now() - result->started,
	                     "epoch", (json_int_t)result->epoch));
	return refused == 0 ? 0 : 1;
}
