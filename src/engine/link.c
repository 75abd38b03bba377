/*
 * link.c - the transports in the worker's wait set.
 */
#include "postgres.h"

#include <poll.h>

#include "engine/guc.h"
#include "engine/latency.h"
#include "engine/link.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/*
 * Descriptors that the server doesn't know of, for its count of open files.  NATS: socket and wake
 * descriptor.  Kafka: producer and consumer each have a socket and a pipe per broker, of which
 * three are usual, and some of their own.
 */
#define NATS_FDS 2
#define KAFKA_FDS 24

/* Latch, death of the postmaster, and two descriptors of each transport. */
#define SET_SIZE (2 + 2 * TE_VIA_COUNT)

/*
 * Different errors of one trouble that reach the log; one that repeats itself is logged once.  A
 * trouble is over when the connection has lasted for so long.
 */
#define TOLD_MAX 32
#define TROUBLE_OVER_US INT64CONST(10000000)

typedef struct Trouble
{
	uint64_t errors;       /* of the transport, as far as they are looked at */
	uint32 told[TOLD_MAX]; /* hashes of what the log has */
	int told_count;
} Trouble;

typedef struct End
{
	TeTransport *transport; /* NULL: not configured, or not to be had */
	uint64_t generation;    /* of the socket in the set */
	int socket_at;          /* its position in the set, or -1 */
	bool want_write;
	uint64_t strays; /* of the transport, as far as they are counted */
	char *refusal;   /* why there is no transport though it is configured, or NULL */
	Trouble trouble;
} End;

struct TeLink
{
	TeLaneSlot *slot;
	End ends[TE_VIA_COUNT];
	WaitEventSet *set;
	char *settings; /* that the transports were made with */
};

StaticAssertDecl((int)TE_VIA_COUNT == (int)TE_TRANSPORT_COUNT &&
                     (int)TE_VIA_KAFKA == (int)TE_TRANSPORT_KAFKA,
                 "transports are shown in the order of the route's");

static const char *set_or_null(const char *value)
{
	return value[0] ? value : NULL;
}

static int64_t bytes_or_unlimited(int megabytes)
{
	return megabytes > 0 ? (int64_t)megabytes * 1024 * 1024 : -1;
}

static void close_transports(int code pg_attribute_unused(), Datum arg)
{
	TeLink *link = (TeLink *)DatumGetPointer(arg);

	for (int via = 0; via < TE_VIA_COUNT; via++) {
		te_transport_destroy(link->ends[via].transport);
		link->ends[via].transport = NULL;
	}
}

/* Everything that a transport is made with; it takes no change of it. */
static char *connection_settings(void)
{
	const char *const texts[] = {
		te_guc_nats_url,
		te_guc_nats_credentials_file,
		te_guc_nats_nkey_file,
		te_guc_nats_ca_file,
		te_guc_nats_cert_file,
		te_guc_nats_key_file,
		te_guc_nats_username,
		te_guc_nats_password_file,
		te_guc_subject_prefix,
		te_guc_input_stream,
		te_guc_output_stream,
		te_guc_kafka_brokers,
		te_guc_kafka_ca_file,
		te_guc_kafka_cert_file,
		te_guc_kafka_key_file,
		te_guc_kafka_sasl_username,
		te_guc_kafka_sasl_password_file,
	};
	const int numbers[] = {
		te_guc_kafka_security_protocol,  te_guc_kafka_sasl_mechanism, te_guc_kafka_ack_timeout,
		te_guc_kafka_replication_factor, te_guc_publish_ack_timeout,  te_guc_publish_window,
		te_guc_stream_replicas,          te_guc_input_max_age,        te_guc_input_max_bytes,
		te_guc_output_max_age,           te_guc_output_max_bytes,
	};
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < (int)lengthof(texts); i++)
		appendStringInfo(&s, "%s\n", texts[i]);
	for (int i = 0; i < (int)lengthof(numbers); i++)
		appendStringInfo(&s, "%d ", numbers[i]);
	return s.data;
}

bool te_link_outdated(const TeLink *link)
{
	char *now = connection_settings();
	bool outdated = strcmp(now, link->settings) != 0;

	pfree(now);
	return outdated;
}

/* What both transports are told. */
static void init_config(TeTransportConfig *config, int lane, const char *installation)
{
	te_transport_config_init(config);
	config->installation = installation;
	config->lane = lane;
	config->prefix = te_guc_subject_prefix;
	config->input_max_age = te_guc_input_max_age * INT64_C(1000000);
	config->input_max_bytes = bytes_or_unlimited(te_guc_input_max_bytes);
	config->output_max_age = te_guc_output_max_age * INT64_C(1000000);
	config->output_max_bytes = bytes_or_unlimited(te_guc_output_max_bytes);
	config->output_window = te_guc_publish_window;
}

static TeTransport *create_nats(int lane, const char *installation)
{
	TeTransportConfig config;
	TeTransport *transport;
	char error[TE_TRANSPORT_ERROR_SIZE];
	char output_stream[2 * NAMEDATALEN];

	init_config(&config, lane, installation);
	snprintf(output_stream, sizeof(output_stream), "%s_%d", te_guc_output_stream, lane);
	config.url = te_guc_nats_url;
	config.user = set_or_null(te_guc_nats_username);
	config.password_file = set_or_null(te_guc_nats_password_file);
	config.credentials_file = set_or_null(te_guc_nats_credentials_file);
	config.nkey_seed_file = set_or_null(te_guc_nats_nkey_file);
	config.tls_ca_file = set_or_null(te_guc_nats_ca_file);
	config.tls_cert_file = set_or_null(te_guc_nats_cert_file);
	config.tls_key_file = set_or_null(te_guc_nats_key_file);
	config.input_stream = te_guc_input_stream;
	config.output_stream = output_stream;
	config.replicas = te_guc_stream_replicas;
	config.ack_timeout = te_guc_publish_ack_timeout * INT64_C(1000);
	for (int i = 0; i < NATS_FDS; i++)
		ReserveExternalFD();
	transport = te_nats_create(&config, error, sizeof(error));
	if (transport == NULL)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
		        errmsg("the link to NATS can't be set up: %s", error));
	return transport;
}

static void create_kafka(End *end, int lane, int lanes, const char *installation)
{
	TeTransportConfig config;
	char error[TE_TRANSPORT_ERROR_SIZE];

	init_config(&config, lane, installation);
	config.lanes = lanes;
	config.url = te_guc_kafka_brokers;
	config.security_protocol = te_guc_kafka_protocol_text();
	config.sasl_mechanism = te_guc_kafka_mechanism_text();
	config.user = set_or_null(te_guc_kafka_sasl_username);
	config.password_file = set_or_null(te_guc_kafka_sasl_password_file);
	config.tls_ca_file = set_or_null(te_guc_kafka_ca_file);
	config.tls_cert_file = set_or_null(te_guc_kafka_cert_file);
	config.tls_key_file = set_or_null(te_guc_kafka_key_file);
	config.replicas = te_guc_kafka_replication_factor;
	config.ack_timeout = te_guc_kafka_ack_timeout * INT64_C(1000);
	end->transport = te_kafka_create(&config, error, sizeof(error));
	if (end->transport != NULL) {
		for (int i = 0; i < KAFKA_FDS; i++)
			ReserveExternalFD();
		return;
	}
	end->refusal = MemoryContextStrdup(TopMemoryContext, error);
	ereport(WARNING, errcode(ERRCODE_CONFIG_FILE_ERROR),
	        errmsg("the link of lane %d to Kafka can't be set up", lane),
	        errdetail_internal("%s", error));
}

TeLink *te_link_create(TeLaneSlot *slot, int lane, int lanes, const char *installation)
{
	TeLink *link = MemoryContextAllocZero(TopMemoryContext, sizeof(TeLink));

	link->slot = slot;
	link->settings = MemoryContextStrdup(TopMemoryContext, connection_settings());
	for (int via = 0; via < TE_VIA_COUNT; via++)
		link->ends[via].socket_at = -1;
	before_shmem_exit(close_transports, PointerGetDatum(link));
	if (strchr(te_guc_nats_url, '@') != NULL)
		ereport(WARNING, errcode(ERRCODE_CONFIG_FILE_ERROR),
		        errmsg("trading_engine.nats_url has a password or token in it"),
		        errdetail("The server itself writes a setting's value to its log when it changes."),
		        errhint("Set trading_engine.nats_username and nats_password_file instead."));
	if (te_guc_nats_url[0] != '\0')
		link->ends[TE_VIA_NATS].transport = create_nats(lane, installation);
	if (te_guc_kafka_brokers[0] != '\0')
		create_kafka(&link->ends[TE_VIA_KAFKA], lane, lanes, installation);
	return link;
}

TeTransport *te_link_transport(const TeLink *link, TeVia via)
{
	return link->ends[via].transport;
}

bool te_link_has_broker(const TeLink *link)
{
	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (link->ends[via].transport != NULL)
			return true;
	return false;
}

static uint32 socket_events(const TeTransportFds *fds)
{
	return WL_SOCKET_READABLE | (fds->want_write ? WL_SOCKET_WRITEABLE : 0);
}

/* The sockets of now; false when the set has others. */
static bool look_at_sockets(TeLink *link, TeTransportFds fds[TE_VIA_COUNT])
{
	bool same = link->set != NULL;

	for (int via = 0; via < TE_VIA_COUNT; via++) {
		const End *end = &link->ends[via];

		fds[via] = (TeTransportFds){.fd = -1, .wake_fd = -1};
		if (end->transport != NULL)
			te_transport_poll(end->transport, &fds[via]);
		same = same && fds[via].generation == end->generation;
	}
	return same;
}

static void make_set(TeLink *link, const TeTransportFds fds[TE_VIA_COUNT])
{
	if (link->set != NULL)
		FreeWaitEventSet(link->set);
#if PG_VERSION_NUM >= 170000
	link->set = CreateWaitEventSet(NULL, SET_SIZE);
#else
	link->set = CreateWaitEventSet(TopMemoryContext, SET_SIZE);
#endif
	AddWaitEventToSet(link->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(link->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int via = 0; via < TE_VIA_COUNT; via++) {
		End *end = &link->ends[via];

		if (fds[via].wake_fd >= 0)
			AddWaitEventToSet(link->set, WL_SOCKET_READABLE, fds[via].wake_fd, NULL, NULL);
		end->socket_at = fds[via].fd >= 0 ? AddWaitEventToSet(link->set, socket_events(&fds[via]),
		                                                      fds[via].fd, NULL, NULL)
		                                  : -1;
		end->generation = fds[via].generation;
		end->want_write = fds[via].want_write;
	}
}

/* The set with the sockets of now; made anew when they are others than before. */
static void update_set(TeLink *link)
{
	TeTransportFds fds[TE_VIA_COUNT];

	if (!look_at_sockets(link, fds)) {
		make_set(link, fds);
		return;
	}
	for (int via = 0; via < TE_VIA_COUNT; via++) {
		End *end = &link->ends[via];

		if (end->socket_at >= 0 && end->want_write != fds[via].want_write)
			ModifyWaitEvent(link->set, end->socket_at, socket_events(&fds[via]), NULL);
		end->want_write = fds[via].want_write;
	}
}

TeLinkEvents te_link_wait(TeLink *link, int64 until_us)
{
	TeLinkEvents result = {{0}};
	WaitEvent events[SET_SIZE];
	uint32 seen[TE_VIA_COUNT] = {0};
	int64 now = te_monotonic_us();
	int n;

	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (link->ends[via].transport != NULL)
			until_us = Min(until_us, te_transport_deadline(link->ends[via].transport));
	update_set(link);
	n = WaitEventSetWait(link->set, until_us > now ? (long)((until_us - now + 999) / 1000) : 0,
	                     events, lengthof(events), PG_WAIT_EXTENSION);
	for (int i = 0; i < n; i++) {
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		for (int via = 0; via < TE_VIA_COUNT; via++)
			if (events[i].pos == link->ends[via].socket_at)
				seen[via] |= events[i].events;
	}
	now = te_monotonic_us();
	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (link->ends[via].transport != NULL)
			result.of[via] = te_transport_process(link->ends[via].transport, now,
			                                      (seen[via] & WL_SOCKET_READABLE) != 0,
			                                      (seen[via] & WL_SOCKET_WRITEABLE) != 0);
	return result;
}

TeLinkEvents te_link_poll(TeLink *link)
{
	TeLinkEvents result = {{0}};
	int64 now = te_monotonic_us();

	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (link->ends[via].transport != NULL)
			result.of[via] = te_transport_process(link->ends[via].transport, now, true,
			                                      link->ends[via].want_write);
	return result;
}

void te_link_await_replies(TeLink *link, int64 until_us)
{
	TeTransportFds fds;
	struct pollfd socket;
	struct timespec timeout;
	int64 left = until_us - te_monotonic_us();

	te_transport_poll(link->ends[TE_VIA_NATS].transport, &fds);
	if (left <= 0 || fds.fd < 0)
		return;
	socket = (struct pollfd){
		.fd = fds.fd,
		.events = (short)(POLLIN | (fds.want_write ? POLLOUT : 0)),
	};
	timeout = (struct timespec){
		.tv_sec = left / 1000000,
		.tv_nsec = (long)(left % 1000000) * 1000,
	};
	/* A signal ends the wait early, and so does an error: the caller looks again. */
	(void)ppoll(&socket, 1, &timeout, NULL);
}

static const char *const broker_names[TE_VIA_COUNT] = {"NATS", "Kafka"};

/* Each error of a trouble once, and its end. */
static void log_trouble(Trouble *trouble, TeVia via, int lane, const TeTransportStats *stats)
{
	uint32 hash;

	if (trouble->told_count > 0 && stats->state == TE_TRANSPORT_READY &&
	    te_monotonic_us() - stats->since > TROUBLE_OVER_US) {
		trouble->told_count = 0;
		ereport(LOG, errmsg("lane %d is connected to %s again", lane, broker_names[via]));
	}
	if (stats->errors == trouble->errors)
		return;
	trouble->errors = stats->errors;
	hash = hash_bytes((const unsigned char *)stats->last_error, (int)strlen(stats->last_error));
	for (int i = 0; i < trouble->told_count; i++)
		if (trouble->told[i] == hash)
			return;
	if (trouble->told_count == TOLD_MAX)
		return;
	trouble->told[trouble->told_count++] = hash;
	ereport(LOG, errcode(ERRCODE_CONNECTION_FAILURE),
	        errmsg("lane %d has trouble with %s", lane, broker_names[via]),
	        errdetail_internal("%s", stats->last_error));
}

/* One transport; returns its figures, or NULL where there is none. */
static const TeTransportStats *report_end(TeLink *link, TeVia via)
{
	End *end = &link->ends[via];
	TeTransportSlot *shown = &link->slot->transports[via];
	const TeTransportStats *stats;

	if (end->transport == NULL) {
		te_lane_report_transport(link->slot, (TeTransportKind)via,
		                         end->refusal != NULL ? "not available" : "", "",
		                         end->refusal != NULL ? end->refusal : "");
		return NULL;
	}
	stats = te_transport_stats(end->transport);
	te_lane_report_transport(link->slot, (TeTransportKind)via,
	                         te_transport_state_text(stats->state), stats->server_url,
	                         stats->last_error);
	log_trouble(&end->trouble, via, link->slot->lane, stats);
	te_gauge(&shown->connects, (int64)stats->connects);
	te_gauge(&shown->disconnects, (int64)stats->disconnects);
	te_gauge(&shown->errors, (int64)stats->errors);
	te_gauge(&shown->bytes_in, (int64)stats->received_bytes);
	te_gauge(&shown->input_pending, (int64)(stats->input_pending + stats->input_held));
	te_gauge(&shown->published, (int64)stats->published);
	te_gauge(&shown->acknowledged, (int64)stats->acked);
	te_gauge(&shown->in_flight, stats->in_flight);
	return stats;
}

void te_link_report(TeLink *link)
{
	int64 in_flight = 0, input_pending = 0;

	for (int via = 0; via < TE_VIA_COUNT; via++) {
		const TeTransportStats *stats = report_end(link, (TeVia)via);

		if (stats == NULL)
			continue;
		te_count(&link->slot->counters.risk_strays, stats->strays - link->ends[via].strays);
		link->ends[via].strays = stats->strays;
		in_flight += stats->in_flight;
		input_pending += (int64)(stats->input_pending + stats->input_held);
	}
	te_gauge(&link->slot->gauges.in_flight, in_flight);
	te_gauge(&link->slot->gauges.input_pending, input_pending);
}
