/*
 * latency.c - measures latencies for bench/run.
 *
 *   latency fsync DIR COUNT                    fdatasync of an 8 kB append, COUNT times
 *   latency floor URL RATE SECONDS BYTES       JetStream: publish to delivery
 *   latency engine URL RATE SECONDS LANES      prediction published to signal delivered
 *
 * Publishing is open-loop: message n is due at start + n / RATE, and its latency
 * counts from when it was due, so that a stall shows in all messages that it delays.
 * Prints one line: count, mean, p50, p90, p99, p99.9 and max in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nats/nats.h>

#include "core/histogram.h"
#include "ml/ml_predictions.pb-c.h"
#include "wire/envelope.h"

/* Symbols of the bench's strategies; see bench/companies.sql. */
static const char *const symbols[] = {"EURUSD", "GBPUSD", "AUDUSD", "NZDUSD", "USDJPY",
                                      "USDCAD", "USDCHF", "EURGBP", "EURJPY", "GBPJPY"};
#define SYMBOL_COUNT (sizeof(symbols) / sizeof(symbols[0]))

/* How long deliveries are waited for after the last message. */
#define PATIENCE_US INT64_C(10000000)

#define EPOCH_PRICE 1.1

typedef struct Run
{
	int64_t *due; /* when message n was due, monotonic microseconds */
	int64_t count;
	atomic_int_fast64_t delivered;
	pthread_mutex_t lock; /* guards the histogram: deliveries come on several threads */
	TeHistogram latencies;
} Run;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "latency: %s: %s\n", what, why);
	exit(1);
}

static void must(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		die(what, natsStatus_GetText(status));
}

static int64_t clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_until(int64_t us)
{
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void report(const TeHistogram *h)
{
	printf("%" PRIu64 " %.0f %.0f %.0f %.0f %.0f %" PRIu64 "\n", h->count, te_histogram_mean(h),
	       te_histogram_percentile(h, 0.5), te_histogram_percentile(h, 0.9),
	       te_histogram_percentile(h, 0.99), te_histogram_percentile(h, 0.999), h->max);
}

static void run_fsync(const char *dir, int64_t count)
{
	char path[4096], block[8192];
	TeHistogram h = {0};
	int fd;

	memset(block, 'x', sizeof(block));
	snprintf(path, sizeof(path), "%s/fsync.probe", dir);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0)
		die(path, strerror(errno));
	for (int64_t i = 0; i < count; i++) {
		int64_t start = clock_us(CLOCK_MONOTONIC);

		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(fd) != 0)
			die(path, strerror(errno));
		te_histogram_record(&h, clock_us(CLOCK_MONOTONIC) - start);
	}
	close(fd);
	unlink(path);
	report(&h);
}

static void delivered(Run *run, int64_t n)
{
	int64_t now = clock_us(CLOCK_MONOTONIC);

	if (n < 0 || n >= run->count)
		die("delivery", "a message that this run didn't send");
	pthread_mutex_lock(&run->lock);
	te_histogram_record(&run->latencies, now - run->due[n]);
	pthread_mutex_unlock(&run->lock);
	atomic_fetch_add(&run->delivered, 1);
}

static void on_floor(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	int64_t n;

	(void)nc;
	(void)sub;
	memcpy(&n, natsMsg_GetData(msg), sizeof(n));
	delivered(closure, n);
	natsMsg_Destroy(msg);
}

static void on_signal(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	TeArena arena;
	TeEnvelope envelope;
	TeWireError err;

	(void)nc;
	(void)sub;
	te_arena_init(&arena, 16384, 1 << 24);
	if (!te_envelope_decode((const uint8_t *)natsMsg_GetData(msg),
	                        (size_t)natsMsg_GetDataLength(msg), &arena, &envelope, &err))
		die("signal", err.detail);
	delivered(closure, strtoll(envelope.correlation_id, NULL, 10));
	te_arena_free(&arena);
	natsMsg_Destroy(msg);
}

/* New messages of a stream, pushed by an ephemeral consumer. */
static void subscribe(jsCtx *js, const char *stream, const char *subject, natsMsgHandler handler,
                      Run *run)
{
	natsSubscription *sub;
	jsSubOptions options;

	jsSubOptions_Init(&options);
	options.Stream = stream;
	options.ManualAck = true;
	options.Config.AckPolicy = js_AckNone;
	options.Config.DeliverPolicy = js_DeliverNew;
	must(js_Subscribe(&sub, js, subject, handler, run, NULL, &options, NULL), stream);
}

/* Publish every message when it is due, then wait for what is still on its way. */
static void drive(Run *run, jsCtx *js, int64_t rate, int64_t seconds,
                  void (*send)(jsCtx *js, int64_t n))
{
	int64_t start = clock_us(CLOCK_MONOTONIC) + 100000, last;

	run->count = rate * seconds;
	run->due = calloc((size_t)run->count, sizeof(int64_t));
	if (run->due == NULL)
		die("memory", strerror(errno));
	for (int64_t n = 0; n < run->count; n++)
		run->due[n] = start + n * 1000000 / rate;
	for (int64_t n = 0; n < run->count; n++) {
		sleep_until(run->due[n]);
		send(js, n);
	}
	must(js_PublishAsyncComplete(js, NULL), "publish");
	last = clock_us(CLOCK_MONOTONIC);
	while (atomic_load(&run->delivered) < run->count &&
	       clock_us(CLOCK_MONOTONIC) - last < PATIENCE_US)
		usleep(1000);
	if (atomic_load(&run->delivered) < run->count)
		die("deliveries", "not all messages came back");
	report(&run->latencies);
}

static int floor_bytes;

static void send_floor(jsCtx *js, int64_t n)
{
	char message[65536];

	memset(message, 'x', sizeof(message));
	memcpy(message, &n, sizeof(n));
	must(js_PublishAsync(js, "te_bench.floor", message, floor_bytes, NULL), "publish");
}

static void send_prediction(jsCtx *js, int64_t n)
{
	TradingEngine__MLPredictionBatch batch = TRADING_ENGINE__MLPREDICTION_BATCH__INIT;
	TradingEngine__Prediction prediction = TRADING_ENGINE__PREDICTION__INIT;
	TradingEngine__Prediction *predictions[] = {&prediction};
	const char *symbol = symbols[(size_t)n % SYMBOL_COUNT];
	static int64_t run; /* makes ids of batches unlike those of an earlier run */
	char id[32], batch_id[64], packed[4096];
	TeEnvelope envelope;
	TeArena arena;
	const uint8_t *data;
	size_t length;
	TeWireError err;

	if (run == 0)
		run = clock_us(CLOCK_REALTIME);
	snprintf(id, sizeof(id), "%" PRId64, n);
	snprintf(batch_id, sizeof(batch_id), "%" PRId64 "-%" PRId64, run, n);
	prediction.prediction_id = batch_id;
	prediction.symbol = (char *)symbol;
	prediction.has_current_price_case = TRADING_ENGINE__PREDICTION__HAS_CURRENT_PRICE_CURRENT_PRICE;
	prediction.has_predicted_price_case =
		TRADING_ENGINE__PREDICTION__HAS_PREDICTED_PRICE_PREDICTED_PRICE;
	prediction.has_confidence_case = TRADING_ENGINE__PREDICTION__HAS_CONFIDENCE_CONFIDENCE;
	prediction.current_price = strstr(symbol, "JPY") ? EPOCH_PRICE * 100 : EPOCH_PRICE;
	prediction.predicted_price = prediction.current_price * 1.01;
	prediction.direction = TRADING_ENGINE__DIRECTION__DIRECTION_BUY;
	prediction.confidence = 0.9;
	batch.batch_id = batch_id;
	batch.producer_id = "bench";
	batch.company_id = batch.user_id = "_all";
	batch.generated_at = clock_us(CLOCK_REALTIME);
	batch.n_predictions = 1;
	batch.predictions = predictions;

	te_envelope_init(&envelope, TE_MESSAGE_PREDICTIONS);
	envelope.company_id = envelope.user_id = "_all";
	envelope.producer_id = "bench";
	envelope.correlation_id = id;
	envelope.payload = (uint8_t *)packed;
	envelope.payload_len = trading_engine__mlprediction_batch__pack(&batch, (uint8_t *)packed);
	te_arena_init(&arena, 16384, 1 << 20);
	if (!te_envelope_encode(&envelope, &arena, &data, &length, &err))
		die("prediction", err.detail);
	must(js_PublishAsync(js, "trading.predictions._all._all", data, (int)length, NULL), "publish");
	te_arena_free(&arena);
}

static void run_floor(jsCtx *js, int64_t rate, int64_t seconds, int bytes)
{
	static Run run = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const char *subjects[] = {"te_bench.floor"};
	jsStreamConfig config;

	if (bytes < (int)sizeof(int64_t) || bytes > 65536)
		die("floor", "BYTES is 8 to 65536");
	floor_bytes = bytes;
	jsStreamConfig_Init(&config);
	config.Name = "te_bench";
	config.Subjects = subjects;
	config.SubjectsLen = 1;
	(void)js_DeleteStream(js, "te_bench", NULL, NULL);
	must(js_AddStream(NULL, js, &config, NULL, NULL), "stream");
	subscribe(js, "te_bench", "te_bench.floor", on_floor, &run);
	drive(&run, js, rate, seconds, send_floor);
	must(js_DeleteStream(js, "te_bench", NULL, NULL), "stream");
}

static void run_engine(jsCtx *js, int64_t rate, int64_t seconds, int lanes)
{
	static Run run = {.lock = PTHREAD_MUTEX_INITIALIZER};

	for (int lane = 0; lane < lanes; lane++) {
		char stream[64], subject[64];

		snprintf(stream, sizeof(stream), "trading_output_%d", lane);
		snprintf(subject, sizeof(subject), "trading.signals.%d.>", lane);
		subscribe(js, stream, subject, on_signal, &run);
	}
	drive(&run, js, rate, seconds, send_prediction);
}

int main(int argc, char **argv)
{
	natsConnection *nc;
	jsOptions options;
	jsCtx *js;

	if (argc == 4 && strcmp(argv[1], "fsync") == 0) {
		run_fsync(argv[2], atoll(argv[3]));
		return 0;
	}
	if (argc != 6 || (strcmp(argv[1], "floor") != 0 && strcmp(argv[1], "engine") != 0)) {
		fputs("usage: latency fsync DIR COUNT | floor URL RATE SECONDS BYTES |"
		      " engine URL RATE SECONDS LANES\n",
		      stderr);
		return 2;
	}
	must(natsConnection_ConnectTo(&nc, argv[2]), argv[2]);
	jsOptions_Init(&options);
	options.PublishAsync.MaxPending = 20000;
	must(natsConnection_JetStream(&js, nc, &options), "JetStream");
	if (strcmp(argv[1], "floor") == 0)
		run_floor(js, atoll(argv[3]), atoll(argv[4]), atoi(argv[5]));
	else
		run_engine(js, atoll(argv[3]), atoll(argv[4]), atoi(argv[5]));
	return 0;
}
