/*
 * risk_service.c - a reference risk service: answers the engine's questions about signals.
 *
 *	risk_service [OPTION...]
 *
 *	--url URL         broker (nats://127.0.0.1:4222)
 *	--prefix P        of subjects (trading): questions come on P.risk.assess
 *	--risk X          percent of equity that one order may lose (1)
 *	--extreme X       percent of equity from which an order is turned down (5)
 *	--stop X          percent of the price that a stop may be away (1)
 *	--seconds X       stop after this time; by default it goes on until it is killed
 *	--quiet           don't print a line per answer
 *
 * For tests of what the engine makes of it:
 *
 *	--level L         say LOW, MEDIUM, HIGH or EXTREME, and nothing of its own
 *	--size-share X    recommend this share of the size
 *	--stop-share X    recommend this share of the stop's distance; above 1 is wider, below 0
 *	                  on the wrong side of the entry
 *	--delay-ms X      answer only after this time
 *	--wrong HOW       be wrong: silent, nan, infinity, negative, no-level, foreign (another
 *	                  signal's id), garbage (no protobuf), empty, twice (the same answer again)
 *	--wrong-every N   only every so many questions (1)
 *
 * What it recommends depends on the question alone, so that asking twice with one
 * signal_id has one effect.  Several of them share the questions.
 */
#include <getopt.h>
#include <math.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/risk.h"
#include "wire/subject.h"

#define NAME "risk_service"
#define QUEUE "risk"
#define WAIT_MS 200
#define RETRY_MS 200

#define WRONGS(X)                                                                                  \
	X(NOT, "not")                                                                                  \
	X(SILENT, "silent")                                                                            \
	X(NAN, "nan")                                                                                  \
	X(INFINITY, "infinity")                                                                        \
	X(NEGATIVE, "negative")                                                                        \
	X(NO_LEVEL, "no-level")                                                                        \
	X(FOREIGN, "foreign") X(GARBAGE, "garbage") X(EMPTY, "empty") X(TWICE, "twice")
#define WRONG_MEMBER(symbol, name) WRONG_##symbol,
typedef enum { WRONGS(WRONG_MEMBER) WRONG_COUNT } Wrong;
#define WRONG_NAME(symbol, name) name,
static const char *const wrong_names[WRONG_COUNT] = {WRONGS(WRONG_NAME)};

typedef struct Options
{
	const char *url, *prefix;
	double risk, extreme, stop; /* percent */
	double seconds;             /* 0: no end */
	bool quiet;
	int level; /* TE_RISK_LEVEL_UNSPECIFIED: judge */
	double size_share, stop_share;
	double delay_ms;
	Wrong wrong;
	long wrong_every;
} Options;

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

static void fail(const char *what, const char *why) __attribute__((noreturn));

static void fail(const char *what, const char *why)
{
	fprintf(stderr, NAME ": %s: %s\n", what, why);
	exit(1);
}

static void usage_error(const char *what, const char *value) __attribute__((noreturn));

static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, NAME ": %s: \"%s\"; --help lists the options\n", what, value);
	exit(2);
}

static void must(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		fail(what, natsStatus_GetText(status));
}

/*----------------------------------------------------------------------
 * Options
 *----------------------------------------------------------------------*/

static void help(void)
{
	puts(NAME " [OPTION...]: answers the trading engine's questions about signals\n"
	          "\n"
	          "  --url URL         broker (nats://127.0.0.1:4222)\n"
	          "  --prefix P        of subjects (trading)\n"
	          "  --risk X          percent of equity that one order may lose (1)\n"
	          "  --extreme X       percent of equity from which an order is turned down (5)\n"
	          "  --stop X          percent of the price that a stop may be away (1)\n"
	          "  --seconds X       stop after this time\n"
	          "  --quiet           don't print a line per answer\n"
	          "\n"
	          "for tests:\n"
	          "  --level L         say LOW, MEDIUM, HIGH or EXTREME, and nothing of its own\n"
	          "  --size-share X    recommend this share of the size\n"
	          "  --stop-share X    recommend this share of the stop's distance\n"
	          "  --delay-ms X      answer only after this time\n"
	          "  --wrong HOW       silent, nan, infinity, negative, no-level, foreign, garbage,\n"
	          "                    empty or twice\n"
	          "  --wrong-every N   only every so many questions (1)");
	exit(0);
}

static double number_of(const char *name, const char *text, double least)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value < least)
		usage_error(name, text);
	return value;
}

static int level_of(const char *text)
{
	for (int i = TE_RISK_LEVEL_LOW; i < TE_RISK_LEVEL_COUNT; i++)
		if (strcmp(text, te_risk_level_enum.labels[i]) == 0)
			return i;
	usage_error("--level", text);
}

static Wrong wrong_of(const char *text)
{
	for (int i = 0; i < WRONG_COUNT; i++)
		if (strcmp(text, wrong_names[i]) == 0)
			return (Wrong)i;
	usage_error("--wrong", text);
}

static void read_options(Options *o, int argc, char **argv)
{
	enum {
		URL,
		PREFIX,
		RISK,
		EXTREME,
		STOP,
		SECONDS,
		QUIET,
		LEVEL,
		SIZE_SHARE,
		STOP_SHARE,
		DELAY,
		WRONG,
		WRONG_EVERY,
		HELP
	};
	static const struct option names[] = {
		{"url", required_argument, NULL, URL},
		{"prefix", required_argument, NULL, PREFIX},
		{"risk", required_argument, NULL, RISK},
		{"extreme", required_argument, NULL, EXTREME},
		{"stop", required_argument, NULL, STOP},
		{"seconds", required_argument, NULL, SECONDS},
		{"quiet", no_argument, NULL, QUIET},
		{"level", required_argument, NULL, LEVEL},
		{"size-share", required_argument, NULL, SIZE_SHARE},
		{"stop-share", required_argument, NULL, STOP_SHARE},
		{"delay-ms", required_argument, NULL, DELAY},
		{"wrong", required_argument, NULL, WRONG},
		{"wrong-every", required_argument, NULL, WRONG_EVERY},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
		switch (option) {
		case URL:
			o->url = optarg;
			break;
		case PREFIX:
			if (!te_subject_prefix_valid(optarg))
				usage_error("--prefix", optarg);
			o->prefix = optarg;
			break;
		case RISK:
			o->risk = number_of("--risk", optarg, 0);
			break;
		case EXTREME:
			o->extreme = number_of("--extreme", optarg, 0);
			break;
		case STOP:
			o->stop = number_of("--stop", optarg, 0);
			break;
		case SECONDS:
			o->seconds = number_of("--seconds", optarg, 0);
			break;
		case QUIET:
			o->quiet = true;
			break;
		case LEVEL:
			o->level = level_of(optarg);
			break;
		case SIZE_SHARE:
			o->size_share = number_of("--size-share", optarg, 0);
			break;
		case STOP_SHARE:
			o->stop_share = number_of("--stop-share", optarg, -1000);
			break;
		case DELAY:
			o->delay_ms = number_of("--delay-ms", optarg, 0);
			break;
		case WRONG:
			o->wrong = wrong_of(optarg);
			break;
		case WRONG_EVERY:
			o->wrong_every = (long)number_of("--wrong-every", optarg, 1);
			break;
		case HELP:
			help();
			break;
		default:
			exit(2);
		}
	}
	if (optind < argc)
		usage_error("what is this", argv[optind]);
}

/*----------------------------------------------------------------------
 * Judging
 *----------------------------------------------------------------------*/

static TeTime wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (TeTime)now.tv_sec * TE_USEC_PER_SEC + now.tv_nsec / 1000;
}

static void recommend_size(TeRiskReply *r, double size)
{
	r->has_position_size = true;
	r->position_size = size;
}

static void recommend_stop(TeRiskReply *r, const TeRiskQuestion *q, double share)
{
	r->has_stop_loss = true;
	r->stop_loss = q->entry_price - (q->entry_price - q->stop_loss) * share;
}

/* What was asked for by option, whatever the question. */
static void as_told(const Options *o, const TeRiskQuestion *q, TeRiskAnswer *out)
{
	out->note = "as told";
	out->reply.level = o->level;
	if (te_known(o->size_share))
		recommend_size(&out->reply, q->position_size * o->size_share);
	if (te_known(o->stop_share))
		recommend_stop(&out->reply, q, o->stop_share);
}

/*
 * The level says what share of the equity the order can lose.  More than is allowed is cut
 * to it, a stop that is far away is drawn in.  What can't be judged is halved.
 */
static void judge(const Options *o, const TeRiskQuestion *q, TeRiskAnswer *out, char *note,
                  size_t note_size)
{
	TeRiskReply *r = &out->reply;
	double distance = fabs(q->entry_price - q->stop_loss) / q->entry_price * 100;
	double percent;

	out->note = note;
	if (!te_known(q->max_loss) || !(q->equity > 0)) {
		r->level = TE_RISK_LEVEL_HIGH;
		recommend_size(r, q->position_size / 2);
		snprintf(note, note_size, "what it can lose is not known: half of it");
		return;
	}
	percent = q->max_loss / q->equity * 100;
	r->level = percent >= o->extreme   ? TE_RISK_LEVEL_EXTREME
	           : percent > o->risk     ? TE_RISK_LEVEL_HIGH
	           : percent > o->risk / 2 ? TE_RISK_LEVEL_MEDIUM
	                                   : TE_RISK_LEVEL_LOW;
	if (percent > o->risk)
		recommend_size(r, q->position_size * o->risk / percent);
	if (distance > o->stop)
		recommend_stop(r, q, o->stop / distance);
	snprintf(note, note_size, "it can lose %.3g %% of the equity, its stop is %.3g %% away",
	         percent, distance);
}

/* Make a sound answer a wrong one. */
static void spoil(Wrong wrong, const TeRiskQuestion *q, TeRiskAnswer *a)
{
	switch (wrong) {
	case WRONG_NAN:
		recommend_size(&a->reply, NAN);
		break;
	case WRONG_INFINITY:
		recommend_size(&a->reply, INFINITY);
		break;
	case WRONG_NEGATIVE:
		recommend_size(&a->reply, -q->position_size);
		break;
	case WRONG_NO_LEVEL:
		a->reply.level = TE_RISK_LEVEL_UNSPECIFIED;
		break;
	case WRONG_FOREIGN:
		a->signal_id[TE_UUID_BYTES - 1] ^= 1;
		break;
	default:
		break;
	}
}

/*----------------------------------------------------------------------
 * Serving
 *----------------------------------------------------------------------*/

typedef struct Service
{
	Options options;
	natsConnection *connection;
	natsSubscription *questions;
	TeArena arena;
	long asked, answered, refused;
} Service;

static void connect_service(Service *s)
{
	natsOptions *nats = NULL;
	char subject[TE_SUBJECT_MAX];
	TeSubject parts = {.kind = TE_SUBJECT_RISK};

	must(natsOptions_Create(&nats), "options");
	must(natsOptions_SetURL(nats, s->options.url), s->options.url);
	must(natsOptions_SetName(nats, NAME), "name");
	must(natsOptions_SetMaxReconnect(nats, -1), "options");
	must(natsOptions_SetReconnectWait(nats, 100), "options");
	must(natsOptions_SetSendAsap(nats, true), "options");
	/* An answer that is late is none. */
	must(natsOptions_SetReconnectBufSize(nats, 0), "options");
	while (natsConnection_Connect(&s->connection, nats) != NATS_OK && !stopping)
		nats_Sleep(RETRY_MS);
	natsOptions_Destroy(nats);
	if (stopping)
		exit(0);
	if (!te_subject_format(s->options.prefix, &parts, subject))
		fail("prefix", "makes no subject");
	must(natsConnection_QueueSubscribeSync(&s->questions, s->connection, subject, QUEUE), subject);
	must(natsConnection_Flush(s->connection), "subscribe");
	printf(NAME ": listening on %s\n", subject);
	fflush(stdout);
}

static void send_bytes(Service *s, const char *reply, const void *data, size_t len)
{
	if (natsConnection_Publish(s->connection, reply, data, (int)len) == NATS_OK)
		s->answered++;
}

static void send_answer(Service *s, const char *reply, const TeRiskQuestion *q,
                        const TeRiskAnswer *a, bool twice)
{
	const uint8_t *data;
	size_t len;
	TeWireError err;

	if (!te_encode_risk_answer(a, NAME, q->correlation_id, wall_clock(), &s->arena, &data, &len,
	                           &err))
		fail(err.field, err.detail);
	send_bytes(s, reply, data, len);
	if (twice)
		send_bytes(s, reply, data, len);
}

static void report(const Service *s, const TeRiskQuestion *q, const TeRiskAnswer *a)
{
	if (s->options.quiet)
		return;
	printf("%s/%s/%s %s %s %g lots: %s", q->company_id, q->user_id, q->strategy_id, q->symbol,
	       te_direction_enum.labels[q->signal_type], q->position_size,
	       te_risk_level_enum.labels[a->reply.level]);
	if (a->reply.has_position_size)
		printf(", size %g", a->reply.position_size);
	if (a->reply.has_stop_loss)
		printf(", stop %g", a->reply.stop_loss);
	printf(" (%s)\n", a->note);
}

static void respond(Service *s, natsMsg *msg)
{
	const Options *o = &s->options;
	const char *reply = natsMsg_GetReply(msg);
	TeRiskAnswer a = {.note = ""};
	TeRiskQuestion q;
	TeWireError err;
	Wrong wrong = s->asked++ % o->wrong_every == 0 ? o->wrong : WRONG_NOT;
	char note[256];

	te_arena_reset(&s->arena);
	if (reply == NULL)
		return;
	if (!te_decode_risk_question((const uint8_t *)natsMsg_GetData(msg),
	                             (size_t)natsMsg_GetDataLength(msg), &s->arena, &q, &err)) {
		s->refused++;
		fprintf(stderr, NAME ": not a question: %s %s\n", err.field, err.detail);
		return;
	}
	memcpy(a.signal_id, q.signal_id, sizeof(a.signal_id));
	if (o->level != TE_RISK_LEVEL_UNSPECIFIED)
		as_told(o, &q, &a);
	else
		judge(o, &q, &a, note, sizeof(note));
	spoil(wrong, &q, &a);
	if (o->delay_ms > 0)
		nanosleep(&(struct timespec){(time_t)(o->delay_ms / 1000),
		                             (long)(fmod(o->delay_ms, 1000) * 1000000)},
		          NULL);
	if (wrong == WRONG_GARBAGE)
		send_bytes(s, reply, "certainly!", 10);
	else if (wrong == WRONG_EMPTY)
		send_bytes(s, reply, "", 0);
	else if (wrong != WRONG_SILENT)
		send_answer(s, reply, &q, &a, wrong == WRONG_TWICE);
	report(s, &q, &a);
}

int main(int argc, char **argv)
{
	static Service s = {.options = {.url = "nats://127.0.0.1:4222",
	                                .prefix = "trading",
	                                .risk = 1,
	                                .extreme = 5,
	                                .stop = 1,
	                                .size_share = NAN,
	                                .stop_share = NAN,
	                                .wrong_every = 1}};
	TeTime end;

	read_options(&s.options, argc, argv);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	setvbuf(stdout, NULL, _IOLBF, 0);
	te_arena_init(&s.arena, 16 * 1024, 16 * 1024 * 1024);
	connect_service(&s);
	end = wall_clock() + (TeTime)(s.options.seconds * TE_USEC_PER_SEC);
	while (!stopping && (s.options.seconds <= 0 || wall_clock() < end)) {
		natsMsg *msg = NULL;
		natsStatus status = natsSubscription_NextMsg(&msg, s.questions, WAIT_MS);

		if (status == NATS_OK)
			respond(&s, msg);
		else if (status != NATS_TIMEOUT && status != NATS_SLOW_CONSUMER)
			fail("questions", natsStatus_GetText(status));
		natsMsg_Destroy(msg);
	}
	printf(NAME ": %ld questions, %ld answers, %ld not understood\n", s.asked, s.answered,
	       s.refused);
	natsSubscription_Destroy(s.questions);
	natsConnection_Destroy(s.connection);
	nats_Close();
	te_arena_free(&s.arena);
	return 0;
}
