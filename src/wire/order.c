/*
 * order.c - see order.h.
 */
#include "order.h"

#include "core/work.h"
#include "proto.h"
#include "rules.h"

#include "trading/execution.pb-c.h"

/* What an order has to say: a side, and a size above 0. */
static bool set_order(TeOrder *out, TradingEngine__Direction direction, double size,
                      TeWireError *err)
{
	if (direction < TRADING_ENGINE__DIRECTION__DIRECTION_SELL ||
	    direction > TRADING_ENGINE__DIRECTION__DIRECTION_BUY ||
	    direction == TRADING_ENGINE__DIRECTION__DIRECTION_HOLD)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "signal_type",
		                    "must be the direction of an order");
	if (!te_rule_above_zero("position_size", size, err))
		return false;
	out->side = te_direction_sign((TeDirection)((int)direction - 1));
	out->lots = size;
	return true;
}

static bool read_signal(const TradingEngine__TradingSignal *s, TeOrder *out, TeWireError *err)
{
	*out = (TeOrder){
		.company_id = s->company_id,
		.user_id = s->user_id,
		.strategy_id = s->strategy_id,
		.account_id = s->account_id,
		.symbol = s->symbol,
	};
	if (s->outcome != TRADING_ENGINE__OUTCOME__OUTCOME_SIGNAL)
		return true;
	return set_order(out, s->signal_type,
	                 s->sizing != NULL ? TE_PROTO_GET(s->sizing, position_size) : NAN, err);
}

static bool read_command(const TradingEngine__ExecutionCommand *c, TeOrder *out, TeWireError *err)
{
	*out = (TeOrder){
		.company_id = c->company_id,
		.user_id = c->user_id,
		.strategy_id = c->strategy_id,
		.account_id = c->account_id,
		.symbol = c->symbol,
	};
	return set_order(out, c->signal_type, TE_PROTO_GET(c, position_size), err);
}

/* Whose and of what, without which no switch would concern it. */
static bool check_names(const TeOrder *order, TeWireError *err)
{
	return te_rule_present("company_id", order->company_id[0] != '\0', err) &&
	       te_rule_present("user_id", order->user_id[0] != '\0', err) &&
	       te_rule_present("strategy_id", order->strategy_id[0] != '\0', err) &&
	       te_rule_present("account_id", order->account_id[0] != '\0', err) &&
	       te_rule_present("symbol", order->symbol[0] != '\0', err);
}

bool te_order_read(const uint8_t *message, size_t length, TeArena *arena, TeOrder *out,
                   TeWireError *err)
{
	const TradingEngine__TradingSignalBatch *batch;
	const TradingEngine__ExecutionCommand *command;
	ProtobufCAllocator *allocator = te_arena_protobuf(arena);
	TeEnvelope envelope;

	if (!te_envelope_decode(message, length, arena, &envelope, err))
		return false;
	if (envelope.kind == TE_MESSAGE_COMMAND) {
		command = trading_engine__execution_command__unpack(allocator, envelope.payload_len,
		                                                    envelope.payload);
		if (command == NULL)
			return te_wire_fail(err, TE_WIRE_MALFORMED, "payload", "is no ExecutionCommand");
		return read_command(command, out, err) && check_names(out, err);
	}
	batch = trading_engine__trading_signal_batch__unpack(allocator, envelope.payload_len,
	                                                     envelope.payload);
	if (envelope.kind != TE_MESSAGE_SIGNALS || batch == NULL || batch->n_signals != 1)
		return te_wire_fail(err, TE_WIRE_MALFORMED, "payload", "is no message of one signal");
	return read_signal(batch->signals[0], out, err) && check_names(out, err);
}
