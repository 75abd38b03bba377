/*
 * settings.c - see settings.h.
 */
#include "postgres.h"

#include "engine/guc.h"
#include "engine/settings.h"

#include "utils/guc.h"

#define MS INT64_C(1000) /* of the core's microseconds */
#define KB 1024

/* A field of the core's settings, the setting that it is made from, and that one's unit. */
#define ROUTE_FIELDS(X)                                                                            \
	X(window, publish_window, 1)                                                                   \
	X(ack_limit, publish_ack_timeout, MS)                                                          \
	X(suspect_limit, route_suspect_limit, MS)                                                      \
	X(kafka_limit, kafka_ack_timeout, MS)                                                          \
	X(failed_probes, route_failed_probes, 1)                                                       \
	X(dwell, route_dwell, MS)                                                                      \
	X(dwell_most, route_dwell_max, MS)                                                             \
	X(probe_wait, route_probe_wait, MS)                                                            \
	X(probe_wait_most, route_probe_wait_max, MS)                                                   \
	X(probe_limit, route_probe_limit, MS)                                                          \
	X(probe_successes, route_probe_successes, 1)                                                   \
	X(probe_span, route_probe_span, MS)                                                            \
	X(drain_limit, route_drain_limit, MS)

#define SEQUENCE_FIELDS(X)                                                                         \
	X(most_parked, parked_messages, 1)                                                             \
	X(most_parked_bytes, parked_bytes, KB)                                                         \
	X(most_per_producer, parked_messages_per_producer, 1)                                          \
	X(most_bytes_per_producer, parked_bytes_per_producer, KB)                                      \
	X(resend_after, gap_request_after, MS)                                                         \
	X(resend_again, gap_request_again, MS)                                                         \
	X(resend_tries, gap_requests, 1)                                                               \
	X(requests_per_second, gap_request_rate, 1)                                                    \
	X(give_up_after, gap_wait, MS)

#define SET_FIELD(field, setting, unit) s.field = te_guc_##setting * unit;
#define NAME_FIELD(field, setting, unit) {#field, "trading_engine." #setting},

static const struct
{
	const char *field, *setting;
} names[] = {ROUTE_FIELDS(NAME_FIELD) SEQUENCE_FIELDS(NAME_FIELD)};

TeRouteSettings te_settings_route(void)
{
	TeRouteSettings s = te_route_settings_default;

	ROUTE_FIELDS(SET_FIELD)
	return s;
}

/* A producer's bound above the lane's is none: that one holds. */
TeSequenceSettings te_settings_sequences(void)
{
	TeSequenceSettings s = te_sequence_settings_default;

	SEQUENCE_FIELDS(SET_FIELD)
	s.most_per_producer = Min(s.most_per_producer, s.most_parked);
	s.most_bytes_per_producer = Min(s.most_bytes_per_producer, s.most_parked_bytes);
	return s;
}

/* "trading_engine.route_dwell (30s)"; a field that no setting stands behind is named itself. */
static char *describe(const char *field)
{
	for (int i = 0; i < (int)lengthof(names); i++)
		if (strcmp(names[i].field, field) == 0)
			return psprintf("%s (%s)", names[i].setting,
			                GetConfigOptionByName(names[i].setting, NULL, false));
	return pstrdup(field);
}

char *te_settings_contradiction(void)
{
	TeRouteSettings route = te_settings_route();
	TeSequenceSettings sequences = te_settings_sequences();
	const char *reason, *than, *field = te_route_settings_check(&route, &reason, &than);

	if (field == NULL)
		field = te_sequence_settings_check(&sequences, &reason, &than);
	if (field == NULL)
		return NULL;
	return than != NULL ? psprintf("%s %s %s", describe(field), reason, describe(than))
	                    : psprintf("%s %s", describe(field), reason);
}

void te_settings_require(void)
{
	char *contradiction = te_settings_contradiction();

	if (contradiction != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg_internal("%s", contradiction),
		        errhint("Settings of lanes that contradict each other are not taken: change one of "
		                "them, and reload the configuration."));
}
