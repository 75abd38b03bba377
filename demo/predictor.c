/*
 * predictor.c - a stand-in for the model service.
 *
 * predictor --help lists the options.  After each bar of each symbol the ensemble of models.c
 * predicts the price a quarter of an hour ahead.  What is published depends on the bars alone: the
 * same input and epoch give the same messages.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "publish.h"
#include "wire/identity.h"
#include "wire/rfc3339.h"

#define MAX_SYMBOLS 32

typedef struct Options
{
	const char *file;
	uint64_t seed;
	TeTime start;
	uint64_t bars, skip;
	double speed, rate, seconds;
	int ticks;
	bool print;
	PublisherOptions publisher;
} Options;

typedef struct SymbolState
{
	const char *name;
	double tick;
	BarSource *source;
	Ensemble ensemble;
	Forecast forecast;
	Bar bar;
} SymbolState;

static void usage_error(const char *what, const char *value) __attribute__((noreturn));

static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "predictor: %s: \"%s\"; --help lists the options\n", what, value);
	exit(2);
}

static void help(void)
{
	puts("predictor - a stand-in for the model service\n"
	     "\n"
	     "  predictor [OPTION...] [SYMBOL...]\n"
	     "\n"
	     "  --file FILE     bars of the (one) symbol, CSV, may be gzipped; without it every\n"
	     "                  symbol follows a made-up market (EURUSD, GBPUSD, USDJPY)\n"
	     "  --seed N        of the made-up markets (1)\n"
	     "  --start TIME    begin of the made-up markets (2025-01-06T00:00:00Z), or \"now\"\n"
	     "  --bars N        stop after so many bars\n"
	     "  --skip N        publish nothing of the first bars, as somebody else has\n"
	     "  --speed X       history X times as fast as it was; 60 is a minute per second\n"
	     "  --rate X        X bars per second; with neither, as fast as the broker takes them\n"
	     "  --seconds X     stop after this time\n"
	     "  --ticks N       prices per bar: 0, 1 (close) or 4 (open, low, high, close; 4)\n"
	     "  --url URL       broker (nats://127.0.0.1:4222)\n"
	     "  --prefix P      of subjects (trading)\n"
	     "  --producer ID   (predictor)\n"
	     "  --epoch N       of the producer (microseconds since 1970, now)\n"
	     "  --patience X    seconds without an acknowledgement before giving up (60)\n"
	     "  --print         write the predictions to standard output instead, a line each\n"
	     "  --help          this");
}

static double monotonic_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static TeTime wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (TeTime)now.tv_sec * TE_USEC_PER_SEC + now.tv_nsec / 1000;
}

static double number_of(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0) || !isfinite(value))
		usage_error(name, text);
	return value;
}

static TeTime time_of(const char *text)
{
	TeTime at;

	if (strcmp(text, "now") == 0)
		return wall_clock() / BAR_LENGTH * BAR_LENGTH;
	if (!te_rfc3339_parse(text, &at))
		usage_error("--start is not RFC 3339", text);
	return at;
}

static void read_options(Options *o, int argc, char **argv)
{
	enum {
		FILE_NAME,
		SEED,
		START,
		BARS,
		SKIP,
		SPEED,
		RATE,
		SECONDS,
		TICKS,
		URL,
		PREFIX,
		PRODUCER,
		EPOCH,
		PATIENCE,
		PRINT,
		HELP
	};
	static const struct option names[] = {
		{"file", required_argument, NULL, FILE_NAME},
		{"seed", required_argument, NULL, SEED},
		{"start", required_argument, NULL, START},
		{"bars", required_argument, NULL, BARS},
		{"skip", required_argument, NULL, SKIP},
		{"speed", required_argument, NULL, SPEED},
		{"rate", required_argument, NULL, RATE},
		{"seconds", required_argument, NULL, SECONDS},
		{"ticks", required_argument, NULL, TICKS},
		{"url", required_argument, NULL, URL},
		{"prefix", required_argument, NULL, PREFIX},
		{"producer", required_argument, NULL, PRODUCER},
		{"epoch", required_argument, NULL, EPOCH},
		{"patience", required_argument, NULL, PATIENCE},
		{"print", no_argument, NULL, PRINT},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
		switch (option) {
		case FILE_NAME:
			o->file = optarg;
			break;
		case SEED:
			o->seed = (uint64_t)number_of("--seed", optarg);
			break;
		case START:
			o->start = time_of(optarg);
			break;
		case BARS:
			o->bars = (uint64_t)number_of("--bars", optarg);
			break;
		case SKIP:
			o->skip = (uint64_t)number_of("--skip", optarg);
			break;
		case SPEED:
			o->speed = number_of("--speed", optarg);
			break;
		case RATE:
			o->rate = number_of("--rate", optarg);
			break;
		case SECONDS:
			o->seconds = number_of("--seconds", optarg);
			break;
		case TICKS:
			o->ticks = (int)number_of("--ticks", optarg);
			if (o->ticks != 0 && o->ticks != 1 && o->ticks != 4)
				usage_error("--ticks is 0, 1 or 4", optarg);
			break;
		case URL:
			o->publisher.url = optarg;
			break;
		case PREFIX:
			o->publisher.prefix = optarg;
			break;
		case PRODUCER:
			if (!te_id_valid(optarg))
				usage_error("--producer is no id", optarg);
			o->publisher.producer = optarg;
			break;
		case EPOCH:
			o->publisher.epoch = (uint64_t)number_of("--epoch", optarg);
			break;
		case PATIENCE:
			o->publisher.patience = number_of("--patience", optarg);
			break;
		case PRINT:
			o->print = true;
			break;
		case HELP:
			help();
			exit(0);
		default:
			exit(2);
		}
	}
}

static int open_symbols(const Options *o, int count, char **names, SymbolState *symbols)
{
	static char *usual[] = {"EURUSD", "GBPUSD", "USDJPY"};

	if (count == 0) {
		names = usual;
		count = o->file != NULL ? 0 : 3;
	}
	if (o->file != NULL && count != 1)
		usage_error("a file has the bars of one symbol: name it", o->file);
	if (count > MAX_SYMBOLS)
		usage_error("too many symbols", names[MAX_SYMBOLS]);
	for (int i = 0; i < count; i++) {
		SymbolState *s = &symbols[i];

		if (!te_symbol_valid(names[i]))
			usage_error("no symbol", names[i]);
		s->name = names[i];
		s->tick = symbol_tick(s->name);
		if (o->file != NULL)
			s->source = bar_source_open(o->file);
		else
			s->source = bar_source_synthetic(o->seed * 1000 + (uint64_t)i, symbol_price(s->name),
			                                 s->tick, o->start);
	}
	return count;
}

/* The prices of a bar in the order that they are likely to have come in. */
static void publish_bar(Publisher *p, const SymbolState *s, int ticks)
{
	const Bar *bar = &s->bar;
	bool up = bar->close >= bar->open;
	double prices[4] = {bar->open, up ? bar->low : bar->high, up ? bar->high : bar->low,
	                    bar->close};

	for (int i = 4 - ticks; i < 4; i++)
		publish_tick(p, s->name, bar->start + (i * 19 + 1) * TE_USEC_PER_SEC, prices[i],
		             bar->spread, s->tick);
}

static void print_forecast(const SymbolState *s, TeTime at)
{
	char when[TE_RFC3339_SIZE];

	te_rfc3339_format(at, when);
	printf("%s %s %-9s %.4f price %.5f expected %.5f patterns %d\n", when, s->name,
	       te_direction_enum.labels[s->forecast.direction], s->forecast.confidence, s->bar.close,
	       s->forecast.price, s->forecast.pattern_count);
}

/* The models see the newest bars, and nobody else does. */
static void learn(SymbolState *symbols, int count)
{
	for (int i = 0; i < count; i++)
		(void)ensemble_add(&symbols[i].ensemble, &symbols[i].bar, &symbols[i].forecast);
}

/* Publishes or prints what follows from the newest bars, which all begin at the same time. */
static void predict(const Options *o, Publisher *p, SymbolState *symbols, int count)
{
	PredictedSymbol predicted[MAX_SYMBOLS];
	TeTime at = symbols[0].bar.start + BAR_LENGTH;
	int n = 0;

	for (int i = 0; i < count; i++) {
		SymbolState *s = &symbols[i];
		bool ready = ensemble_add(&s->ensemble, &s->bar, &s->forecast);

		if (o->print) {
			if (ready)
				print_forecast(s, at);
			continue;
		}
		publish_bar(p, s, o->ticks);
		if (ready)
			predicted[n++] =
				(PredictedSymbol){s->name, s->tick, s->bar.close, s->bar.spread, &s->forecast};
	}
	if (n > 0)
		publish_predictions(p, at, predicted, n);
}

/* Waits until it is time for the next bars; what is queued goes out first. */
static void keep_pace(const Options *o, Publisher *p, double start, uint64_t bars, TeTime history)
{
	double due;

	if (o->rate > 0)
		due = start + (double)bars / o->rate;
	else if (o->speed > 0)
		due = start + (double)history / (double)TE_USEC_PER_SEC / o->speed;
	else
		return;
	if (p != NULL)
		publisher_flush(p);
	due -= monotonic_seconds();
	if (due > 0) {
		struct timespec wait = {(time_t)due, (long)((due - floor(due)) * 1e9)};

		nanosleep(&wait, NULL);
	}
}

static bool next_bars(SymbolState *symbols, int count)
{
	for (int i = 0; i < count; i++)
		if (!bar_source_next(symbols[i].source, &symbols[i].bar))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	static SymbolState symbols[MAX_SYMBOLS];
	Options o = {
		.seed = 1,
		.start = time_of("2025-01-06T00:00:00Z"),
		.bars = UINT64_MAX,
		.seconds = INFINITY,
		.ticks = 4,
		.publisher = {"nats://127.0.0.1:4222", "trading", "predictor", (uint64_t)wall_clock(), 60},
	};
	Publisher *p = NULL;
	double start = monotonic_seconds();
	uint64_t bars = 0;
	TeTime first = TE_NO_TIME;
	int count;

	read_options(&o, argc, argv);
	count = open_symbols(&o, argc - optind, argv + optind, symbols);
	if (!o.print)
		p = publisher_create(&o.publisher);
	for (uint64_t i = 0; i < o.skip && next_bars(symbols, count); i++)
		learn(symbols, count);
	while (bars < o.bars && monotonic_seconds() - start < o.seconds && next_bars(symbols, count)) {
		if (first == TE_NO_TIME)
			first = symbols[0].bar.start;
		keep_pace(&o, p, start, bars, symbols[0].bar.start - first);
		predict(&o, p, symbols, count);
		bars++;
	}
	for (int i = 0; i < count; i++)
		bar_source_close(symbols[i].source);
	if (p != NULL) {
		const PublisherCounts *c = publisher_counts(p);

		publisher_flush(p);
		printf(
			"predictor: %llu predictions in %llu batches and %llu prices published, %llu of %llu "
			"messages acknowledged, %llu repeated, %.1f s\n",
			(unsigned long long)c->predictions, (unsigned long long)c->batches,
			(unsigned long long)c->ticks, (unsigned long long)c->acknowledged,
			(unsigned long long)(c->batches + c->ticks), (unsigned long long)c->repeated,
			monotonic_seconds() - start);
		publisher_destroy(p);
	}
	return 0;
}
