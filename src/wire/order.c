/*
 * order.c - see order.h.
 */
#include "order.h"

#include "core/work.h"
#include "proto.h"

#include "trading/execution.pb-c.h"

static double lots_of(double size)
{
	return te_known(size) ? size : 0;
}

static int side_of(TradingEngine__Direction direction)
{
	return te_direction_sign((TeDirection)((int)direction - 1));
}

static void read_signal(const TradingEngine__TradingSignal *s, TeOrder *out)
{
	*out = (TeOrder){
		.company_id = s->company_id,
		.user_id = s->user_id,
		.strategy_id = s->strategy_id,
		.account_id = s->account_id,
		.symbol = s->symbol,
	};
	if (s->outcome != TRADING_ENGINE__OUTCOME__OUTCOME_SIGNAL || s->sizing == NULL)
		return;
	out->side = side_of(s->signal_type);
	out->lots = lots_of(TE_PROTO_GET(s->sizing, position_size));
}

static void read_command(const TradingEngine__ExecutionCommand *c, TeOrder *out)
{
	*out = (TeOrder){
		.company_id = c->company_id,
		.user_id = c->user_id,
		.strategy_id = c->strategy_id,
		.account_id = c->account_id,
		.symbol = c->symbol,
		.side = side_of(c->signal_type),
		.lots = lots_of(TE_PROTO_GET(c, position_size)),
	};
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
		read_command(command, out);
		return true;
	}
	batch = trading_engine__trading_signal_batch__unpack(allocator, envelope.payload_len,
	                                                     envelope.payload);
	if (envelope.kind != TE_MESSAGE_SIGNALS || batch == NULL || batch->n_signals != 1)
		return te_wire_fail(err, TE_WIRE_MALFORMED, "payload", "is no message of one signal");
	read_signal(batch->signals[0], out);
	return true;
}
