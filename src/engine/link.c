/*
 * link.c - the transport in the worker's wait set.
 */
#include "postgres.h"

#include <poll.h>

#include "engine/guc.h"
#include "engine/latency.h"
#include "engine/link.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* The broker's socket and the wake descriptor, for the server's count of open files. */
#define EXTERNAL_FDS 2

struct TeLink
{
	TeLaneSlot *slot;
	TeTransport *transport;
	WaitEventSet *set;
	uint64_t generation; /* of the socket in the set */
	int socket_at;       /* its position in the set, or -1 */
	bool want_write;
	char *settings;  /* that the transport was made with */
	uint64_t strays; /* of the transport, as far as they are counted */
};

static const char *set_or_null(const char *value)
{
	return value[0] ? value : NULL;
}

static int64_t bytes_or_unlimited(int megabytes)
{
	return megabytes > 0 ? (int64_t)megabytes * 1024 * 1024 : -1;
}

static void close_transport(int code pg_attribute_unused(), Datum arg)
{
	TeLink *link = (TeLink *)DatumGetPointer(arg);

	te_transport_destroy(link->transport);
	link->transport = NULL;
}

/* Everything that a change of calls for another connection. */
static char *connection_settings(void)
{
	return psprintf("%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", te_guc_nats_url,
	                te_guc_nats_credentials_file, te_guc_nats_nkey_file, te_guc_nats_ca_file,
	                te_guc_nats_cert_file, te_guc_nats_key_file, te_guc_subject_prefix,
	                te_guc_input_stream, te_guc_output_stream);
}

bool te_link_outdated(const TeLink *link)
{
	char *now = connection_settings();
	bool outdated = strcmp(now, link->settings) != 0;

	pfree(now);
	return outdated;
}

static TeTransport *create_transport(int lane, const char *installation)
{
	TeTransportConfig config;
	TeTransport *transport;
	char error[TE_TRANSPORT_ERROR_SIZE];
	char output_stream[2 * NAMEDATALEN];

	te_transport_config_init(&config);
	snprintf(output_stream, sizeof(output_stream), "%s_%d", te_guc_output_stream, lane);
	config.url = te_guc_nats_url;
	config.credentials_file = set_or_null(te_guc_nats_credentials_file);
	config.nkey_seed_file = set_or_null(te_guc_nats_nkey_file);
	config.tls_ca_file = set_or_null(te_guc_nats_ca_file);
	config.tls_cert_file = set_or_null(te_guc_nats_cert_file);
	config.tls_key_file = set_or_null(te_guc_nats_key_file);
	config.installation = installation;
	config.lane = lane;
	config.prefix = te_guc_subject_prefix;
	config.input_stream = te_guc_input_stream;
	config.output_stream = output_stream;
	config.replicas = te_guc_stream_replicas;
	config.input_max_age = te_guc_input_max_age * INT64_C(1000000);
	config.input_max_bytes = bytes_or_unlimited(te_guc_input_max_bytes);
	config.output_max_age = te_guc_output_max_age * INT64_C(1000000);
	config.output_max_bytes = bytes_or_unlimited(te_guc_output_max_bytes);
	config.output_window = te_guc_publish_window;
	config.ack_timeout = te_guc_publish_ack_timeout * INT64_C(1000);
	for (int i = 0; i < EXTERNAL_FDS; i++)
		ReserveExternalFD();
	transport = te_nats_create(&config, error, sizeof(error));
	if (transport == NULL)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
		        errmsg("the link to NATS can't be set up"), errdetail_internal("%s", error));
	return transport;
}

TeLink *te_link_create(TeLaneSlot *slot, int lane, const char *installation)
{
	TeLink *link = MemoryContextAllocZero(TopMemoryContext, sizeof(TeLink));

	link->slot = slot;
	link->settings = MemoryContextStrdup(TopMemoryContext, connection_settings());
	link->socket_at = -1;
	before_shmem_exit(close_transport, PointerGetDatum(link));
	if (te_guc_nats_url[0] != '\0')
		link->transport = create_transport(lane, installation);
	return link;
}

TeTransport *te_link_transport(const TeLink *link)
{
	return link->transport;
}

static uint32 socket_events(const TeTransportFds *fds)
{
	return WL_SOCKET_READABLE | (fds->want_write ? WL_SOCKET_WRITEABLE : 0);
}

/* The set with the socket of now; made anew when that is another one than before. */
static void update_set(TeLink *link)
{
	TeTransportFds fds = {.fd = -1, .wake_fd = -1};

	if (link->transport != NULL)
		te_transport_poll(link->transport, &fds);
	if (link->set != NULL && link->generation == fds.generation) {
		if (link->socket_at >= 0 && link->want_write != fds.want_write)
			ModifyWaitEvent(link->set, link->socket_at, socket_events(&fds), NULL);
		link->want_write = fds.want_write;
		return;
	}
	if (link->set != NULL)
		FreeWaitEventSet(link->set);
#if PG_VERSION_NUM >= 170000
	link->set = CreateWaitEventSet(NULL, 4);
#else
	link->set = CreateWaitEventSet(TopMemoryContext, 4);
#endif
	AddWaitEventToSet(link->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(link->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (fds.wake_fd >= 0)
		AddWaitEventToSet(link->set, WL_SOCKET_READABLE, fds.wake_fd, NULL, NULL);
	link->socket_at =
		fds.fd >= 0 ? AddWaitEventToSet(link->set, socket_events(&fds), fds.fd, NULL, NULL) : -1;
	link->generation = fds.generation;
	link->want_write = fds.want_write;
}

static unsigned process(TeLink *link, bool readable, bool writable)
{
	return link->transport
	           ? te_transport_process(link->transport, te_monotonic_us(), readable, writable)
	           : 0;
}

unsigned te_link_wait(TeLink *link, int64 until_us)
{
	WaitEvent events[4];
	bool readable = false, writable = false;
	int64 now = te_monotonic_us();
	int n;

	if (link->transport != NULL)
		until_us = Min(until_us, te_transport_deadline(link->transport));
	update_set(link);
	n = WaitEventSetWait(link->set, until_us > now ? (long)((until_us - now + 999) / 1000) : 0,
	                     events, lengthof(events), PG_WAIT_EXTENSION);
	for (int i = 0; i < n; i++) {
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].pos == link->socket_at) {
			readable |= (events[i].events & WL_SOCKET_READABLE) != 0;
			writable |= (events[i].events & WL_SOCKET_WRITEABLE) != 0;
		}
	}
	return process(link, readable, writable);
}

unsigned te_link_poll(TeLink *link)
{
	return process(link, true, link->want_write);
}

void te_link_await_replies(TeLink *link, int64 until_us)
{
	TeTransportFds fds;
	struct pollfd socket;
	struct timespec timeout;
	int64 left = until_us - te_monotonic_us();

	te_transport_poll(link->transport, &fds);
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

void te_link_report(TeLink *link)
{
	TeTransportSlot *shown = &link->slot->transports[TE_TRANSPORT_NATS];
	const TeTransportStats *stats;

	if (link->transport == NULL) {
		te_lane_report_transport(link->slot, TE_TRANSPORT_NATS, "", "", "");
		return;
	}
	stats = te_transport_stats(link->transport);
	te_lane_report_transport(link->slot, TE_TRANSPORT_NATS, te_transport_state_text(stats->state),
	                         stats->server_url, stats->last_error);
	te_gauge(&shown->connects, (int64)stats->connects);
	te_gauge(&shown->disconnects, (int64)stats->disconnects);
	te_gauge(&shown->errors, (int64)stats->errors);
	te_gauge(&shown->bytes_in, (int64)stats->received_bytes);
	te_count(&link->slot->counters.risk_strays, stats->strays - link->strays);
	link->strays = stats->strays;
	te_gauge(&link->slot->gauges.in_flight, stats->in_flight);
	te_gauge(&link->slot->gauges.input_pending, (int64)(stats->input_pending + stats->input_held));
}
