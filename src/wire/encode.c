/*
 * encode.c - see encode.h.
 */
#include "encode.h"

#include "core/slices.h"
#include "json.h"
#include "proto.h"

#include "common/envelope.pb-c.h"
#include "trading/execution.pb-c.h"
#include "trading/trading_signals.pb-c.h"

/* The parts of a signal that messages point to; they live on the stack of the encoding function. */
typedef struct SignalParts
{
	char signal_id[TE_UUID_TEXT_SIZE];
	TradingEngine__EntryStrategy entry;
	TradingEngine__ExecutionParameters execution;
	TradingEngine__PositionSizing sizing;
	TradingEngine__RiskAssessment risk;
	TradingEngine__SignalLeg legs[TE_MAX_LEGS];
	TradingEngine__SignalLeg *leg_list[TE_MAX_LEGS];
	TradingEngine__BatchPerformance performance;
} SignalParts;

static void fill_entry(const TeDecision *d, TradingEngine__EntryStrategy *out)
{
	trading_engine__entry_strategy__init(out);
	out->order_type = (TradingEngine__OrderType)(d->order_type + 1);
	out->execution_urgency = (TradingEngine__ExecutionUrgency)(d->urgency + 1);
	out->timing_strategy = (TradingEngine__TimingStrategy)(d->timing + 1);
	out->time_in_force = (TradingEngine__TimeInForce)(d->time_in_force + 1);
	TE_PROTO_SET(TRADING_ENGINE__ENTRY_STRATEGY, out, entry_price, ENTRY_PRICE, d->entry_price);
	TE_PROTO_SET(TRADING_ENGINE__ENTRY_STRATEGY, out, limit_price, LIMIT_PRICE, d->limit_price);
	TE_PROTO_SET(TRADING_ENGINE__ENTRY_STRATEGY, out, trigger_price, TRIGGER_PRICE,
	             d->trigger_price);
}

static void fill_execution(const TeSignalRecord *r, TradingEngine__ExecutionParameters *out)
{
	trading_engine__execution_parameters__init(out);
	out->auto_execute = r->strategy->auto_execute;
	out->time_in_force = (TradingEngine__TimeInForce)(r->decision->time_in_force + 1);
	out->execution_algorithm =
		(TradingEngine__ExecutionAlgorithm)(r->strategy->execution_algorithm + 1);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_PARAMETERS, out, max_slippage_pips, MAX_SLIPPAGE_PIPS,
	             r->strategy->max_slippage_pips);
}

static void fill_legs(const TeDecision *d, SignalParts *parts)
{
	for (int i = 0; i < d->leg_count; i++) {
		const TeLeg *leg = &d->legs[i];
		TradingEngine__SignalLeg *out = &parts->legs[i];

		trading_engine__signal_leg__init(out);
		out->leg = (uint32_t)i;
		out->order_type = (TradingEngine__OrderType)(leg->order_type + 1);
		TE_PROTO_SET(TRADING_ENGINE__SIGNAL_LEG, out, entry_price, ENTRY_PRICE, leg->entry_price);
		TE_PROTO_SET(TRADING_ENGINE__SIGNAL_LEG, out, stop_loss, STOP_LOSS, leg->stop_loss);
		TE_PROTO_SET(TRADING_ENGINE__SIGNAL_LEG, out, take_profit, TAKE_PROFIT, leg->take_profit);
		TE_PROTO_SET(TRADING_ENGINE__SIGNAL_LEG, out, position_size, POSITION_SIZE,
		             leg->position_size);
		parts->leg_list[i] = out;
	}
}

static void fill_sizing(const TeSignalRecord *r, TradingEngine__PositionSizing *out)
{
	trading_engine__position_sizing__init(out);
	TE_PROTO_SET(TRADING_ENGINE__POSITION_SIZING, out, position_size, POSITION_SIZE,
	             r->decision->position_size);
	TE_PROTO_SET(TRADING_ENGINE__POSITION_SIZING, out, max_loss, MAX_LOSS, r->decision->max_loss);
	out->currency = te_proto_text(r->account_currency);
}

static void fill_risk(const TeSignalRecord *r, TradingEngine__RiskAssessment *out)
{
	trading_engine__risk_assessment__init(out);
	out->status = (TradingEngine__RiskStatus)r->risk_status;
	out->risk_level = (TradingEngine__RiskLevel)r->risk_level;
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT, out, original_position_size,
	             ORIGINAL_POSITION_SIZE, r->original_position_size);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ASSESSMENT, out, original_stop_loss, ORIGINAL_STOP_LOSS,
	             r->original_stop_loss);
	out->n_notes = r->note_count;
	out->notes = (char **)r->notes;
}

/* What every signal says, a hold too. */
static void fill_head(const TeSignalRecord *r, const SignalParts *parts,
                      TradingEngine__TradingSignal *s)
{
	const TeDecision *d = r->decision;

	trading_engine__trading_signal__init(s);
	s->signal_id = te_proto_text(parts->signal_id);
	s->company_id = te_proto_text(r->company_id);
	s->user_id = te_proto_text(r->user_id);
	s->strategy_id = te_proto_text(r->strategy_id);
	s->strategy_version = r->strategy_version;
	s->prediction_id = te_proto_text(r->prediction->prediction_id);
	s->batch_id = te_proto_text(r->batch_id);
	s->producer_id = te_proto_text(r->producer_id);
	s->symbol = te_proto_text(r->prediction->symbol);
	s->generated_at = r->prediction->generated_at;
	s->decided_at = r->decided_at;
	s->expires_at = te_proto_from_time(d->expires_at);
	s->outcome = (TradingEngine__Outcome)(d->outcome + 1);
	s->hold_reason = (TradingEngine__HoldReason)(d->hold_reason + 1);
	s->cancellation_reason = te_proto_text(r->cancellation_reason);
	if (d->has_signal_type)
		s->signal_type = (TradingEngine__Direction)(d->signal_type + 1);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, signal_strength, SIGNAL_STRENGTH,
	             d->signal_strength);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, confidence, CONFIDENCE,
	             r->prediction->confidence);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, consensus_score, CONSENSUS_SCORE,
	             d->consensus_score);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, market_favorability, MARKET_FAVORABILITY,
	             d->market_favorability);
	s->account_id = te_proto_text(r->account_id);
	s->simulated = r->simulated;
	s->core_version = te_proto_text(r->core_version);
}

/* The order, of outcome SIGNAL. */
static void fill_order(const TeSignalRecord *r, SignalParts *parts, TradingEngine__TradingSignal *s)
{
	const TeDecision *d = r->decision;

	fill_entry(d, &parts->entry);
	fill_execution(r, &parts->execution);
	fill_sizing(r, &parts->sizing);
	fill_legs(d, parts);
	s->entry = &parts->entry;
	s->execution = &parts->execution;
	s->sizing = &parts->sizing;
	s->n_legs = (size_t)d->leg_count;
	s->legs = parts->leg_list;
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, stop_loss, STOP_LOSS, d->stop_loss);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, take_profit, TAKE_PROFIT, d->take_profit);
	TE_PROTO_SET(TRADING_ENGINE__TRADING_SIGNAL, s, reward_risk_ratio, REWARD_RISK_RATIO,
	             d->reward_risk_ratio);
}

static void fill_performance(const TeSignalRecord *r, TradingEngine__BatchPerformance *out)
{
	trading_engine__batch_performance__init(out);
	out->predictions = r->batch_predictions;
	out->signals = 1;
	out->decision_latency_us = r->decision_latency;
	out->prediction_age_us = r->decided_at - r->prediction->generated_at;
}

/* The envelope around a message about this signal. */
static bool wrap(const TeSignalRecord *r, TeMessageKind kind, const ProtobufCMessage *message,
                 TeArena *arena, const uint8_t **data, size_t *len, TeWireError *err)
{
	TeEnvelope e;

	te_envelope_init(&e, kind);
	e.company_id = r->company_id;
	e.user_id = r->user_id;
	e.service_source = TE_SERVICE_NAME;
	e.correlation_id = r->correlation_id;
	e.traceparent = r->traceparent;
	e.tracestate = r->tracestate;
	e.strategy_id = r->strategy_id;
	e.strategy_version = r->strategy_version;
	e.timestamp = r->decided_at;
	e.valid_until = r->decision->expires_at;
	e.lane = r->lane;
	e.epoch = r->epoch;
	e.out_seq = r->seq;
	return te_message_pack(message, arena, &e.payload, &e.payload_len, err) &&
	       te_envelope_encode(&e, arena, data, len, err);
}

bool te_encode_signal(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                      size_t *len, TeWireError *err)
{
	TradingEngine__TradingSignalBatch batch = TRADING_ENGINE__TRADING_SIGNAL_BATCH__INIT;
	TradingEngine__TradingSignal signal;
	TradingEngine__TradingSignal *signals[1] = {&signal};
	SignalParts parts;

	te_uuid_text(record->signal_id, parts.signal_id);
	fill_head(record, &parts, &signal);
	if (record->decision->outcome == TE_OUTCOME_SIGNAL)
		fill_order(record, &parts, &signal);
	if (record->risk_status != 0) {
		fill_risk(record, &parts.risk);
		signal.risk = &parts.risk;
	}
	if (record->batch_predictions > 0) {
		fill_performance(record, &parts.performance);
		batch.performance = &parts.performance;
	}
	batch.n_signals = 1;
	batch.signals = signals;
	return wrap(record, TE_MESSAGE_SIGNALS, &batch.base, arena, data, len, err);
}

/* The parts of one order; 0: it goes out whole. */
static int slice_order(const TeSignalRecord *r, double lots, TeSlice out[TE_MAX_SLICES])
{
	const TeStrategy *s = r->strategy;
	const TeInstrument *i = r->instrument;
	TeSliceTerms terms = {.lot_step = i->lot_step, .lot_min = i->lot_min};
	double visible = s->iceberg_visible_lots;
	int count;

	switch ((TeAlgorithm)s->execution_algorithm) {
	case TE_ALGORITHM_TWAP:
		return te_slices_twap(&terms, lots, s->twap_slices, r->decided_at,
		                      s->twap_seconds * TE_USEC_PER_SEC, out);
	case TE_ALGORITHM_ICEBERG:
		/* No part is below lot_min, and there is an end to their number: then more is shown. */
		visible = fmax(visible, i->lot_min);
		while ((count = te_slices_iceberg(&terms, lots, visible, r->decided_at, out)) == 0 &&
		       visible < lots)
			visible *= 2;
		return count;
	default:
		return 0;
	}
}

/* Add the parts of one order to those of the command. */
static bool add_slices(const TeSignalRecord *r, int leg, double lots, TeArena *arena,
                       TradingEngine__ExecutionCommand *command)
{
	TeSlice slices[TE_MAX_SLICES];
	int count = slice_order(r, lots, slices);
	TradingEngine__CommandSlice *list;

	if (count == 0)
		return true;
	list = te_arena_array(arena, (size_t)count, sizeof(*list));
	if (list == NULL)
		return false;
	for (int i = 0; i < count; i++) {
		trading_engine__command_slice__init(&list[i]);
		list[i].leg = (uint32_t)leg;
		list[i].not_before = te_proto_from_time(slices[i].at);
		TE_PROTO_SET(TRADING_ENGINE__COMMAND_SLICE, &list[i], position_size, POSITION_SIZE,
		             slices[i].lots);
		command->slices[command->n_slices++] = &list[i];
	}
	return true;
}

/* Every leg is worked by itself. */
static bool fill_slices(const TeSignalRecord *r, TeArena *arena,
                        TradingEngine__ExecutionCommand *command)
{
	const TeDecision *d = r->decision;
	size_t orders = d->leg_count > 0 ? (size_t)d->leg_count : 1;
	bool done = true;

	if (r->strategy->execution_algorithm == TE_ALGORITHM_NONE)
		return true;
	command->slices = te_arena_array(arena, orders * TE_MAX_SLICES, sizeof(*command->slices));
	if (command->slices == NULL)
		return false;
	for (int i = 0; done && i < d->leg_count; i++)
		done = add_slices(r, i, d->legs[i].position_size, arena, command);
	return d->leg_count > 0 ? done : add_slices(r, 0, d->position_size, arena, command);
}

bool te_encode_command(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                       size_t *len, TeWireError *err)
{
	TradingEngine__ExecutionCommand command = TRADING_ENGINE__EXECUTION_COMMAND__INIT;
	const TeDecision *d = record->decision;
	SignalParts parts;

	if (d->outcome != TE_OUTCOME_SIGNAL)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "outcome",
		                    "only a SIGNAL can be a command");
	te_uuid_text(record->signal_id, parts.signal_id);
	fill_entry(d, &parts.entry);
	fill_execution(record, &parts.execution);
	fill_legs(d, &parts);
	command.signal_id = parts.signal_id;
	command.company_id = te_proto_text(record->company_id);
	command.user_id = te_proto_text(record->user_id);
	command.strategy_id = te_proto_text(record->strategy_id);
	command.account_id = te_proto_text(record->account_id);
	command.symbol = te_proto_text(record->prediction->symbol);
	command.signal_type = (TradingEngine__Direction)(d->signal_type + 1);
	command.entry = &parts.entry;
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_COMMAND, &command, stop_loss, STOP_LOSS, d->stop_loss);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_COMMAND, &command, take_profit, TAKE_PROFIT,
	             d->take_profit);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_COMMAND, &command, position_size, POSITION_SIZE,
	             d->position_size);
	command.n_legs = (size_t)d->leg_count;
	command.legs = parts.leg_list;
	command.execution = &parts.execution;
	if (!fill_slices(record, arena, &command))
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, "slices", "need too much memory");
	command.decided_at = record->decided_at;
	command.expires_at = te_proto_from_time(d->expires_at);
	return wrap(record, TE_MESSAGE_COMMAND, &command.base, arena, data, len, err);
}

bool te_encode_gap_fill(uint32_t lane, uint64_t epoch, uint64_t from, uint64_t to,
                        const char *reason, const char *company_id, const char *user_id, TeTime at,
                        TeArena *arena, const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__GapFill gap = TRADING_ENGINE__GAP_FILL__INIT;
	TeEnvelope e;

	if (from > to)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "from", "must not be above to");
	gap.lane = lane;
	gap.epoch = epoch;
	gap.from = from;
	gap.to = to;
	gap.reason = te_proto_text(reason);
	te_envelope_init(&e, TE_MESSAGE_GAP_FILL);
	e.company_id = company_id;
	e.user_id = user_id;
	e.service_source = TE_SERVICE_NAME;
	e.timestamp = at;
	e.lane = lane;
	e.epoch = epoch;
	e.out_seq = to;
	return te_message_pack(&gap.base, arena, &e.payload, &e.payload_len, err) &&
	       te_envelope_encode(&e, arena, data, len, err);
}

bool te_encode_route_marker(uint32_t lane, const TeRouteMarker *marker, TeTime at, TeArena *arena,
                            const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__RouteMarker m = TRADING_ENGINE__ROUTE_MARKER__INIT;
	TeEnvelope e;

	m.lane = lane;
	m.route_epoch = marker->route_epoch;
	m.from = te_proto_text(te_via_enum.labels[marker->from_via]);
	m.to = te_proto_text(te_via_enum.labels[marker->to_via]);
	m.epoch = marker->place.epoch;
	m.seq = marker->place.seq;
	te_envelope_init(&e, TE_MESSAGE_ROUTE_MARKER);
	e.company_id = e.user_id = TE_ALL;
	e.service_source = TE_SERVICE_NAME;
	e.timestamp = at;
	e.lane = lane;
	return te_message_pack(&m.base, arena, &e.payload, &e.payload_len, err) &&
	       te_envelope_encode(&e, arena, data, len, err);
}

bool te_encode_heartbeat(const char *company_id, const char *user_id, const char *producer_id,
                         uint64_t producer_epoch, uint64_t last_seq, TeTime at, TeArena *arena,
                         const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__Heartbeat beat = TRADING_ENGINE__HEARTBEAT__INIT;
	TeEnvelope e;

	beat.producer_id = te_proto_text(producer_id);
	beat.producer_epoch = producer_epoch;
	beat.last_seq = last_seq;
	beat.at = at;
	beat.company_id = te_proto_text(company_id);
	beat.user_id = te_proto_text(user_id);
	te_envelope_init(&e, TE_MESSAGE_HEARTBEAT);
	e.company_id = company_id;
	e.user_id = user_id;
	e.producer_id = producer_id;
	e.timestamp = at;
	return te_message_pack(&beat.base, arena, &e.payload, &e.payload_len, err) &&
	       te_envelope_encode(&e, arena, data, len, err);
}

bool te_encode_resend_request(const char *company_id, const char *user_id, const char *producer_id,
                              uint64_t producer_epoch, uint64_t from, uint64_t to, TeTime at,
                              TeArena *arena, const uint8_t **data, size_t *len, TeWireError *err)
{
	TradingEngine__ResendRequest request = TRADING_ENGINE__RESEND_REQUEST__INIT;
	TeEnvelope e;

	request.producer_id = te_proto_text(producer_id);
	request.producer_epoch = producer_epoch;
	request.from = from;
	request.to = to;
	te_envelope_init(&e, TE_MESSAGE_RESEND);
	e.company_id = company_id;
	e.user_id = user_id;
	e.service_source = TE_SERVICE_NAME;
	e.timestamp = at;
	return te_message_pack(&request.base, arena, &e.payload, &e.payload_len, err) &&
	       te_envelope_encode(&e, arena, data, len, err);
}
