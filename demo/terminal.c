/*
 * terminal.c - a stand-in for a trading terminal: paper trading of the engine's signals.
 *
 *	terminal [OPTION...]
 *
 *	--url URL         broker (nats://127.0.0.1:4222)
 *	--prefix P        of subjects (trading)
 *	--producer ID     who reports (terminal)
 *	--latency-ms N    from a signal's decision to the order at the market (150)
 *	--depth LOTS      what one price fills at most; the rest follows at the next prices (5)
 *	--seconds X       stop after this time; by default it goes on until it is told to stop
 *	--patience X      seconds without an acknowledgement before giving up (60)
 *
 * It listens to prices and to signals of all lanes, and reports what becomes of each as
 * ExecutionResult on <prefix>.executions.<company>.<user>.  Time is that of the prices, and
 * an order is taken through the prices since its signal was decided, however late the
 * signal comes: so it works as well on history at any speed.  One buys at the ask and
 * sells at the bid; a limit is filled at its limit, a stop at the price that triggers
 * it, which may be worse, a target at the target.
 */
#include <getopt.h>
#include <math.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "publish.h"
#include "trading/trading_signals.pb-c.h"
#include "wire/decode.h"
#include "wire/envelope.h"
#include "wire/subject.h"

#define MAX_MARKETS 64
#define PRICES 65536 /* remembered per symbol, a power of two */
#define MAX_MESSAGE ((size_t)8 * 1024 * 1024)
#define LOT_TOLERANCE 1e-9

typedef struct Price
{
	TeTime at;
	double bid, ask;
} Price;

typedef struct Market
{
	char symbol[TE_SYMBOL_MAX + 1];
	uint64_t count; /* prices seen */
	Price prices[PRICES];
} Market;

/* One order: a leg of a signal, or all of it. */
typedef struct Order
{
	struct Order *next;
	char signal_id[64], company[TE_ID_MAX + 1], user[TE_ID_MAX + 1];
	Market *market;
	uint64_t seen; /* prices that the order has been through */
	int sign;
	unsigned leg;
	bool at_market;
	TeTime from, expires_at;
	double entry, stop, target, size;
	double value; /* account currency per lot and unit of price */
	double filled, cost, closed;
	unsigned reports;
} Order;

typedef struct Options
{
	TeTime latency;
	double depth, seconds;
	PublisherOptions publisher;
} Options;

typedef struct Terminal
{
	Options options;
	Publisher *publisher;
	Market *markets[MAX_MARKETS];
	int market_count;
	Order *orders;
	TeArena arena;
	uint64_t signals, fills, closes, cancelled, unreadable;
} Terminal;

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void fail(const char *what, const char *why) __attribute__((noreturn));

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "terminal: %s: %s\n", what, why);
	exit(1);
}

static double monotonic_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*----------------------------------------------------------------------
 * Prices
 *----------------------------------------------------------------------*/

static Market *market_of(Terminal *t, const char *symbol)
{
	for (int i = 0; i < t->market_count; i++)
		if (strcmp(t->markets[i]->symbol, symbol) == 0)
			return t->markets[i];
	if (t->market_count == MAX_MARKETS)
		fail("too many symbols", symbol);
	Market *m = calloc(1, sizeof(*m));
	if (m == NULL)
		fail("start", "out of memory");
	snprintf(m->symbol, sizeof(m->symbol), "%s", symbol);
	t->markets[t->market_count++] = m;
	return m;
}

static const Price *price_at(const Market *m, uint64_t index)
{
	return &m->prices[index % PRICES];
}

/* The first price that is remembered and not before "at". */
static uint64_t first_price(const Market *m, TeTime at)
{
	uint64_t low = m->count > PRICES ? m->count - PRICES : 0, high = m->count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (price_at(m, middle)->at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_tick(Terminal *t, const TeTick *tick)
{
	Market *m = market_of(t, tick->symbol);
	double half = isnan(tick->bid) ? 0 : (tick->ask - tick->bid) / 2;

	if (m->count > 0 && tick->at < price_at(m, m->count - 1)->at)
		return;
	m->prices[m->count++ % PRICES] = (Price){tick->at, tick->price - half, tick->price + half};
}

/*----------------------------------------------------------------------
 * Orders
 *----------------------------------------------------------------------*/

static void report(Terminal *t, Order *o, TradingEngine__ExecutionStatus status,
                   const ExecutionReport *figures)
{
	ExecutionReport r = *figures;

	snprintf(r.execution_id, sizeof(r.execution_id), "%s/%u/%u", o->signal_id, o->leg,
	         ++o->reports);
	r.status = status;
	r.signal_id = o->signal_id;
	r.company = o->company;
	r.user = o->user;
	r.symbol = o->market->symbol;
	r.leg = o->leg;
	publish_execution(t->publisher, &r);
}

static void fill(Terminal *t, Order *o, const Price *at, double price)
{
	double lots = fmin(o->size - o->filled, t->options.depth);
	bool all = o->filled + lots >= o->size - LOT_TOLERANCE;

	o->filled = all ? o->size : o->filled + lots;
	o->cost += lots * price;
	t->fills++;
	report(
		t, o,
		all ? TRADING_ENGINE__EXECUTION_STATUS__EXECUTION_STATUS_FILLED
			: TRADING_ENGINE__EXECUTION_STATUS__EXECUTION_STATUS_PARTIALLY_FILLED,
		&(ExecutionReport){
			.requested = o->entry, .executed = price, .lots = lots, .profit = NAN, .at = at->at});
}

static void close_position(Terminal *t, Order *o, const Price *at, double requested, double price)
{
	double mean = o->cost / o->filled;

	t->closes++;
	o->closed = o->filled;
	report(t, o, TRADING_ENGINE__EXECUTION_STATUS__EXECUTION_STATUS_CLOSED,
	       &(ExecutionReport){
			   .requested = requested,
			   .executed = price,
			   .lots = o->filled,
			   .profit = round(o->sign * (price - mean) * o->filled * o->value * 100) / 100,
			   .at = at->at});
}

static void cancel(Terminal *t, Order *o, TeTime at, const char *reason)
{
	t->cancelled++;
	report(t, o, TRADING_ENGINE__EXECUTION_STATUS__EXECUTION_STATUS_CANCELLED,
	       &(ExecutionReport){.requested = NAN,
	                          .executed = NAN,
	                          .lots = NAN,
	                          .profit = NAN,
	                          .at = at,
	                          .reason = reason});
}

/* A stop-out takes what waits of the same signal with it. */
static void cancel_siblings(Terminal *t, const Order *stopped, TeTime at)
{
	for (Order *o = t->orders; o != NULL; o = o->next)
		if (o != stopped && o->filled == 0 && o->size > 0 &&
		    strcmp(o->signal_id, stopped->signal_id) == 0) {
			cancel(t, o, at, "another leg was stopped out");
			o->size = 0;
		}
}

/* Whether the order is over after this price. */
static bool meet_price(Terminal *t, Order *o, const Price *p)
{
	double entry = o->sign > 0 ? p->ask : p->bid, exit = o->sign > 0 ? p->bid : p->ask;

	if (o->size == 0)
		return true;
	if (o->filled < o->size && p->at < o->expires_at) {
		if (o->at_market)
			fill(t, o, p, entry);
		else if (o->sign * (entry - o->entry) <= 0)
			fill(t, o, p, o->entry);
	}
	if (o->filled == 0) {
		if (p->at < o->expires_at)
			return false;
		cancel(t, o, p->at, "expired");
		return true;
	}
	if (o->sign * (exit - o->stop) <= 0) {
		close_position(t, o, p, o->stop, exit);
		cancel_siblings(t, o, p->at);
		return true;
	}
	if (o->sign * (exit - o->target) >= 0) {
		close_position(t, o, p, o->target, o->target);
		return true;
	}
	return false;
}

static void work_orders(Terminal *t)
{
	for (Order **place = &t->orders; *place != NULL;) {
		Order *o = *place;
		bool over = false;

		while (!over && o->seen < o->market->count)
			over = meet_price(t, o, price_at(o->market, o->seen++));
		if (over) {
			*place = o->next;
			free(o);
		} else
			place = &o->next;
	}
}

/*----------------------------------------------------------------------
 * Signals
 *----------------------------------------------------------------------*/

static void place_order(Terminal *t, const TradingEngine__TradingSignal *s, unsigned leg,
                        bool at_market, double entry, double stop, double target, double size)
{
	Order *o = calloc(1, sizeof(*o));

	if (o == NULL)
		fail("order", "out of memory");
	snprintf(o->signal_id, sizeof(o->signal_id), "%s", s->signal_id);
	snprintf(o->company, sizeof(o->company), "%s", s->company_id);
	snprintf(o->user, sizeof(o->user), "%s", s->user_id);
	o->market = market_of(t, s->symbol);
	o->sign = s->signal_type >= TRADING_ENGINE__DIRECTION__DIRECTION_WEAK_BUY ? 1 : -1;
	o->leg = leg;
	o->at_market = at_market;
	o->from = s->decided_at + t->options.latency;
	o->expires_at = s->expires_at;
	o->entry = entry;
	o->stop = stop;
	o->target = target;
	o->size = size;
	o->value = s->sizing->max_loss /
	           (fabs(s->entry->entry_price - s->stop_loss) * s->sizing->position_size);
	o->seen = first_price(o->market, o->from);
	o->next = t->orders;
	t->orders = o;
}

static void take_signal(Terminal *t, const TradingEngine__TradingSignal *s)
{
	if (s->outcome != TRADING_ENGINE__OUTCOME__OUTCOME_SIGNAL)
		return;
	/* Without a rate the loss in the account's currency isn't known, and no profit could be told.
	 */
	if (s->entry == NULL || s->sizing == NULL || s->sizing->has_max_loss_case == 0) {
		t->unreadable++;
		return;
	}
	t->signals++;
	if (s->n_legs == 0)
		place_order(t, s, 0, s->entry->order_type == TRADING_ENGINE__ORDER_TYPE__ORDER_TYPE_MARKET,
		            s->entry->entry_price, s->stop_loss, s->take_profit, s->sizing->position_size);
	for (size_t i = 0; i < s->n_legs; i++) {
		const TradingEngine__SignalLeg *leg = s->legs[i];

		place_order(t, s, leg->leg,
		            leg->order_type == TRADING_ENGINE__ORDER_TYPE__ORDER_TYPE_MARKET,
		            leg->entry_price, leg->stop_loss, leg->take_profit, leg->position_size);
	}
}

static void take_message(Terminal *t, const void *data, size_t length)
{
	const TeWireLimits limits = {MAX_MESSAGE, 65536, 256};
	TradingEngine__TradingSignalBatch *batch;
	TeEnvelope envelope;
	TeMessage *message;
	TeWireError error;

	te_arena_reset(&t->arena);
	if (!te_envelope_decode(data, length, &t->arena, &envelope, &error)) {
		t->unreadable++;
		return;
	}
	switch (envelope.kind) {
	case TE_MESSAGE_TICK:
		message = te_arena_zalloc(&t->arena, sizeof(*message));
		if (message != NULL && te_wire_decode(data, length, &limits, &t->arena, message, &error))
			take_tick(t, &message->as.tick);
		else
			t->unreadable++;
		break;
	case TE_MESSAGE_SIGNALS:
		batch = trading_engine__trading_signal_batch__unpack(
			te_arena_protobuf(&t->arena), envelope.payload_len, envelope.payload);
		if (batch == NULL)
			t->unreadable++;
		for (size_t i = 0; batch != NULL && i < batch->n_signals; i++)
			take_signal(t, batch->signals[i]);
		break;
	default: /* gap records */
		break;
	}
}

/*----------------------------------------------------------------------
 * The program
 *----------------------------------------------------------------------*/

static double number_of(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0) || !isfinite(value))
		fail(name, text);
	return value;
}

static void read_options(Options *o, int argc, char **argv)
{
	enum { URL, PREFIX, PRODUCER, LATENCY, DEPTH, SECONDS, PATIENCE };
	static const struct option names[] = {
		{"url", required_argument, NULL, URL},
		{"prefix", required_argument, NULL, PREFIX},
		{"producer", required_argument, NULL, PRODUCER},
		{"latency-ms", required_argument, NULL, LATENCY},
		{"depth", required_argument, NULL, DEPTH},
		{"seconds", required_argument, NULL, SECONDS},
		{"patience", required_argument, NULL, PATIENCE},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case URL:
			o->publisher.url = optarg;
			break;
		case PREFIX:
			if (!te_subject_prefix_valid(optarg))
				fail("--prefix is none", optarg);
			o->publisher.prefix = optarg;
			break;
		case PRODUCER:
			if (!te_id_valid(optarg))
				fail("--producer is no id", optarg);
			o->publisher.producer = optarg;
			break;
		case LATENCY:
			o->latency = (TeTime)(number_of("--latency-ms", optarg) * 1000);
			break;
		case DEPTH:
			o->depth = number_of("--depth", optarg);
			if (o->depth <= 0)
				fail("--depth must be greater than 0", optarg);
			break;
		case SECONDS:
			o->seconds = number_of("--seconds", optarg);
			break;
		case PATIENCE:
			o->publisher.patience = number_of("--patience", optarg);
			break;
		default:
			exit(2);
		}
	}
	if (optind < argc)
		fail("unexpected argument", argv[optind]);
}

static natsSubscription *subscribe(Terminal *t, const char *subjects)
{
	natsSubscription *subscription = NULL;
	char subject[TE_SUBJECT_MAX];
	natsStatus status;

	snprintf(subject, sizeof(subject), "%s.%s", t->options.publisher.prefix, subjects);
	status =
		natsConnection_SubscribeSync(&subscription, publisher_connection(t->publisher), subject);
	if (status == NATS_OK)
		status = natsSubscription_SetPendingLimits(subscription, -1, -1);
	if (status != NATS_OK)
		fail(subject, natsStatus_GetText(status));
	return subscription;
}

/* Everything that waits, and a little while for the first message. */
static int drain(Terminal *t, natsSubscription *subscription, int64_t wait_ms)
{
	natsMsg *message;
	int taken = 0;

	while (natsSubscription_NextMsg(&message, subscription, taken == 0 ? wait_ms : 0) == NATS_OK) {
		take_message(t, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
		natsMsg_Destroy(message);
		taken++;
	}
	return taken;
}

int main(int argc, char **argv)
{
	static Terminal t = {.options = {
							 .latency = 150000,
							 .depth = 5,
							 .seconds = INFINITY,
							 .publisher = {"nats://127.0.0.1:4222", "trading", "terminal", 1, 60},
						 }};
	natsSubscription *prices, *signals;
	double start = monotonic_seconds();

	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	read_options(&t.options, argc, argv);
	te_arena_init(&t.arena, 1 << 20, 1 << 26);
	t.publisher = publisher_create(&t.options.publisher);
	prices = subscribe(&t, "market.>");
	signals = subscribe(&t, "signals.>");
	while (!stopping && monotonic_seconds() - start < t.options.seconds) {
		/* Prices first: a signal's own are there when it comes. */
		if (drain(&t, prices, 5) + drain(&t, signals, 5) == 0)
			continue;
		work_orders(&t);
		publisher_flush(t.publisher);
	}
	/* A signal of several legs is as many orders. */
	printf("terminal: %llu signals; orders: %llu fills, %llu closes, %llu cancelled; "
	       "%llu unreadable messages\n",
	       (unsigned long long)t.signals, (unsigned long long)t.fills, (unsigned long long)t.closes,
	       (unsigned long long)t.cancelled, (unsigned long long)t.unreadable);
	natsSubscription_Destroy(prices);
	natsSubscription_Destroy(signals);
	publisher_destroy(t.publisher);
	te_arena_free(&t.arena);
	return 0;
}
