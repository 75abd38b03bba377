/*
 * publish.h - predictions, prices and executions to JetStream, each acknowledged.
 */
#ifndef TE_DEMO_PUBLISH_H
#define TE_DEMO_PUBLISH_H

#include <nats/nats.h>

#include "models.h"
#include "trading/execution.pb-c.h"

typedef struct PublisherOptions
{
	const char *url;
	const char *prefix;   /* of subjects */
	const char *producer; /* producer_id */
	uint64_t epoch;
	double patience; /* seconds without progress before it gives up */
} PublisherOptions;

typedef struct PublisherCounts
{
	uint64_t batches, predictions, ticks, executions; /* handed over */
	uint64_t acknowledged;                            /* messages */
	uint64_t repeated;                                /* messages that were sent again */
} PublisherCounts;

typedef struct Publisher Publisher;

/* Connects, or exits with a message when patience has run out. */
extern Publisher *publisher_create(const PublisherOptions *options);

/* Queue a price of a symbol; spread may be NAN. */
extern void publish_tick(Publisher *p, const char *symbol, TeTime at, double mid, double spread,
                         double tick);

/* One prediction of a batch. */
typedef struct PredictedSymbol
{
	const char *symbol;
	double tick; /* price step */
	double price, spread;
	const Forecast *forecast;
} PredictedSymbol;

/* Queue a batch of predictions for everybody. */
extern void publish_predictions(Publisher *p, TeTime at, const PredictedSymbol *symbols, int count);

/* What happened to an order; numbers that there aren't are NAN. */
typedef struct ExecutionReport
{
	char execution_id[128];
	const char *signal_id, *company, *user, *symbol;
	const char *reason; /* or NULL */
	unsigned leg;
	TradingEngine__ExecutionStatus status;
	double requested, executed; /* prices */
	double lots, profit;        /* profit in account currency */
	TeTime at;
} ExecutionReport;

/* Queue a report. */
extern void publish_execution(Publisher *p, const ExecutionReport *report);

/* Its connection, for subscriptions. */
extern natsConnection *publisher_connection(Publisher *p);

/* Send what is queued, and wait until all of it is acknowledged. */
extern void publisher_flush(Publisher *p);

extern const PublisherCounts *publisher_counts(const Publisher *p);

/* Flushes, and disconnects. */
extern void publisher_destroy(Publisher *p);

#endif
