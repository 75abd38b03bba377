#include "transport.h"

#include <string.h>

#define MSEC INT64_C(1000)
#define SEC INT64_C(1000000)
#define MEGABYTE INT64_C(1048576)

void te_transport_config_init(TeTransportConfig *config)
{
	*config = (TeTransportConfig){
		.client_name = "trading_engine",
		.inbox_prefix = "_INBOX",
		.lanes = 1,
		.prefix = "trading",
		.want_input = true,
		.want_output = true,
		.replicas = 1,
		.input_max_age = 7 * 24 * 3600 * SEC,
		.input_max_bytes = -1,
		.output_max_age = 7 * 24 * 3600 * SEC,
		.output_max_bytes = -1,
		.duplicate_window = 120 * SEC,
		.input_ring = 8192,
		.input_buffer_bytes = 64 * MEGABYTE,
		.output_window = 1000,
		.output_buffer_bytes = 64 * MEGABYTE,
		.connect_timeout = 3 * SEC,
		.request_timeout = 2 * SEC,
		.ack_timeout = 1 * SEC,
		.heartbeat = 1 * SEC,
		.backoff_min = 100 * MSEC,
		.backoff_max = 2 * SEC,
		.look_every = 5 * SEC,
	};
}

const char *te_transport_state_text(TeTransportState state)
{
	static const char *const texts[] = {
#define LABEL(suffix, label) label,
		TE_TRANSPORT_STATES(LABEL)
#undef LABEL
	};

	return (unsigned)state < TE_TRANSPORT_STATE_COUNT ? texts[state] : "unknown";
}

const char *te_input_outcome_text(TeInputOutcome outcome)
{
	static const char *const texts[] = {
#define LABEL(suffix, label) label,
		TE_INPUT_OUTCOMES(LABEL)
#undef LABEL
	};

	return (unsigned)outcome < TE_INPUT_OUTCOME_COUNT ? texts[outcome] : "unknown";
}
