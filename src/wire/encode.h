/*
 * encode.h - decided signals, commands and gap records to the bytes that are sent.
 *
 * What is encoded once is stored in the outbox and sent as it is for ever after.
 */
#ifndef TE_WIRE_ENCODE_H
#define TE_WIRE_ENCODE_H

#include "core/decide.h"
#include "core/route.h"
#include "envelope.h"

/* Everything that a signal message says.  Texts may be NULL for none. */
typedef struct TeSignalRecord
{
	uint8_t signal_id[TE_UUID_BYTES];
	uint32_t lane;
	uint64_t epoch;
	uint64_t seq; /* output sequence */

	const char *company_id;
	const char *user_id;
	const char *strategy_id;
	int64_t strategy_version;
	const char *account_id;
	const char *account_currency;

	const char *batch_id;
	const char *producer_id;
	const char *correlation_id;
	const char *traceparent;
	const char *tracestate;
	uint32_t batch_predictions; /* predictions in the input batch; 0: no performance part */
	int64_t decision_latency;   /* microseconds from receipt to decision */

	const TePrediction *prediction;
	const TeStrategy *strategy;
	const TeInstrument *instrument;
	const TeDecision *decision; /* an order goes with outcome SIGNAL only */
	TeTime decided_at;
	bool simulated;
	const char *core_version;

	/* Of risk assessment; risk_status 0: nobody was asked. */
	int risk_status;                                   /* RISK_STATUS_... of proto */
	int risk_level;                                    /* RISK_LEVEL_... of proto */
	double original_position_size, original_stop_loss; /* NAN: unchanged */
	const char *cancellation_reason;
	size_t note_count;
	const char *const *notes;
} TeSignalRecord;

/* Envelope(TradingSignalBatch) with this one signal. */
extern bool te_encode_signal(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                             size_t *len, TeWireError *err);

/* Envelope(ExecutionCommand) for an approved signal of a strategy with auto_execute. */
extern bool te_encode_command(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                              size_t *len, TeWireError *err);

/*
 * Envelope(GapFill) for the missing sequences from..to.  It takes the place of
 * sequence "to": that is its out_seq.  Ids are those of the message it replaces.
 */
extern bool te_encode_gap_fill(uint32_t lane, uint64_t epoch, uint64_t from, uint64_t to,
                               const char *reason, const char *company_id, const char *user_id,
                               TeTime at, TeArena *arena, const uint8_t **data, size_t *len,
                               TeWireError *err);

/* Envelope(RouteMarker). */
extern bool te_encode_route_marker(uint32_t lane, const TeRouteMarker *marker, TeTime at,
                                   TeArena *arena, const uint8_t **data, size_t *len,
                                   TeWireError *err);

/* Envelope(Heartbeat): of a producer, used by model services in C. */
/* Asks a producer to send a range of its numbers for a tenant again. */
extern bool te_encode_resend_request(const char *company_id, const char *user_id,
                                     const char *producer_id, uint64_t producer_epoch,
                                     uint64_t from, uint64_t to, TeTime at, TeArena *arena,
                                     const uint8_t **data, size_t *len, TeWireError *err);

extern bool te_encode_heartbeat(const char *company_id, const char *user_id,
                                const char *producer_id, uint64_t producer_epoch, uint64_t last_seq,
                                TeTime at, TeArena *arena, const uint8_t **data, size_t *len,
                                TeWireError *err);

/* Value of service_source in everything that the engine sends. */
#define TE_SERVICE_NAME "trading_engine"

#endif
