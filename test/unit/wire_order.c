/*
 * wire_order.c - what a message of ours asks for is read as it was written; what asks for
 * nothing that can be understood is refused by the name of its field.
 */
#include "wire/order.h"

#include <stdlib.h>

#include "wire/encode.h"

#include "core/work.h"

#include "record_fixture.h"
#include "wire_fixture.h"

#include "trading/execution.pb-c.h"
#include "trading/trading_signals.pb-c.h"

typedef struct Sent
{
	Fixture fixture;
	TeSignalRecord record;
	TeArena arena;
	TeEnvelope envelope;
	const uint8_t *data;
	size_t len;
	TeOrder order;
	TeWireError err;
} Sent;

static void begin(Sent *s)
{
	memset(s, 0, sizeof(*s));
	te_arena_init(&s->arena, 8192, 1024 * 1024);
	te_envelope_init(&s->envelope, TE_MESSAGE_NONE);
	s->envelope.company_id = "acme";
	s->envelope.user_id = "ann";
}

/*----------------------------------------------------------------------
 * What the engine writes
 *----------------------------------------------------------------------*/

static void prepare(Sent *s)
{
	begin(s);
	fixture(&s->fixture);
	s->record = record_of(&s->fixture);
	s->record.strategy_id = "trend";
}

typedef bool (*Encoder)(const TeSignalRecord *record, TeArena *arena, const uint8_t **data,
                        size_t *len, TeWireError *err);

static bool goes_round(Sent *s, Encoder encode)
{
	decide(&s->fixture);
	return encode(&s->record, &s->arena, &s->data, &s->len, &s->err) &&
	       te_order_read(s->data, s->len, &s->arena, &s->order, &s->err);
}

static void is_anns(const Sent *s, const char *what)
{
	is_text(s->order.company_id, "acme", what);
	is_text(s->order.user_id, "ann", "of the user");
	is_text(s->order.strategy_id, "trend", "of the strategy");
	is_text(s->order.account_id, "a-1", "on the account");
	is_text(s->order.symbol, "EURUSD", "of the symbol");
}

static void a_signal_is_an_order(void)
{
	Sent s;

	prepare(&s);
	ok(goes_round(&s, te_encode_signal), "a signal is read");
	is_anns(&s, "it is of the company");
	is_exactly(s.order.side, 1, "that buys");
	is_exactly(s.order.lots, s.fixture.out.position_size, "as many lots as were decided");
	ok(s.order.lots > 0, "which is something");
	te_arena_free(&s.arena);
}

static void a_command_is_one(void)
{
	Sent s;

	prepare(&s);
	s.fixture.p.direction = TE_DIR_SELL;
	s.fixture.p.predicted_price = s.fixture.p.current_price - 0.005;
	ok(goes_round(&s, te_encode_command), "a command is read");
	is_anns(&s, "it is of the company");
	is_exactly(s.order.side, te_direction_sign(s.fixture.out.signal_type), "of the same side");
	is_exactly(s.order.lots, s.fixture.out.position_size, "and size");
	te_arena_free(&s.arena);
}

static void a_hold_asks_for_nothing(void)
{
	Sent s;

	prepare(&s);
	s.fixture.p.direction = TE_DIR_HOLD;
	ok(goes_round(&s, te_encode_signal), "a hold is read");
	ok(s.fixture.out.outcome == TE_OUTCOME_HOLD, "as which it was decided");
	is_anns(&s, "it is of the company");
	ok(s.order.side == 0 && s.order.lots == 0, "and asks for no lots of either side");
	te_arena_free(&s.arena);
}

/*----------------------------------------------------------------------
 * What it never should have
 *----------------------------------------------------------------------*/

typedef struct Letter
{
	TradingEngine__TradingSignalBatch batch;
	TradingEngine__TradingSignal *list[2];
	TradingEngine__TradingSignal signal;
	TradingEngine__PositionSizing sizing;
	TradingEngine__ExecutionCommand command;
} Letter;

/* A sound signal of 0.5 lots, and a sound command of as many. */
static void write_letter(Letter *l)
{
	trading_engine__trading_signal_batch__init(&l->batch);
	trading_engine__trading_signal__init(&l->signal);
	trading_engine__position_sizing__init(&l->sizing);
	trading_engine__execution_command__init(&l->command);
	l->list[0] = l->list[1] = &l->signal;
	l->batch.signals = l->list;
	l->batch.n_signals = 1;
	l->signal.company_id = l->command.company_id = (char *)"acme";
	l->signal.user_id = l->command.user_id = (char *)"ann";
	l->signal.strategy_id = l->command.strategy_id = (char *)"trend";
	l->signal.account_id = l->command.account_id = (char *)"a-1";
	l->signal.symbol = l->command.symbol = (char *)"EURUSD";
	l->signal.outcome = TRADING_ENGINE__OUTCOME__OUTCOME_SIGNAL;
	l->signal.signal_type = l->command.signal_type = TRADING_ENGINE__DIRECTION__DIRECTION_SELL;
	l->signal.sizing = &l->sizing;
	TE_PROTO_SET(TRADING_ENGINE__POSITION_SIZING, &l->sizing, position_size, POSITION_SIZE, 0.5);
	TE_PROTO_SET(TRADING_ENGINE__EXECUTION_COMMAND, &l->command, position_size, POSITION_SIZE, 0.5);
}

static bool read_packed(Sent *s, TeMessageKind kind, ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *payload = te_arena_alloc(&s->arena, size + 1);

	s->envelope.kind = kind;
	s->envelope.payload = payload;
	s->envelope.payload_len = protobuf_c_message_pack(message, payload);
	s->err = (TeWireError){0};
	return te_envelope_encode(&s->envelope, &s->arena, &s->data, &s->len, &s->err) &&
	       te_order_read(s->data, s->len, &s->arena, &s->order, &s->err);
}

static bool reads_signal(Sent *s, Letter *l)
{
	return read_packed(s, TE_MESSAGE_SIGNALS, &l->batch.base);
}

static bool reads_command(Sent *s, Letter *l)
{
	return read_packed(s, TE_MESSAGE_COMMAND, &l->command.base);
}

/* Both messages are refused, and the errors name the field. */
static void is_refused(Sent *s, Letter *l, const char *field, const char *what)
{
	ok(!reads_signal(s, l), what);
	is_text(s->err.field, field, "it is the signal's field");
	ok(!reads_command(s, l), "and so is the command");
	is_text(s->err.field, field, "for the same");
}

static void directions_are_those_of_orders(void)
{
	static const int wrong[] = {0, 3, 6, -1, 1000};
	Letter l;
	Sent s;

	begin(&s);
	write_letter(&l);
	ok(reads_signal(&s, &l) && s.order.side == -1 && s.order.lots == 0.5, "a sound signal is read");
	ok(reads_command(&s, &l) && s.order.side == -1 && s.order.lots == 0.5, "and a sound command");
	for (int d = 1; d <= 5; d++) {
		l.signal.signal_type = (TradingEngine__Direction)d;
		if (d != 3)
			ok(reads_signal(&s, &l) && s.order.side == (d > 3 ? 1 : -1), "a side of an order");
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		l.signal.signal_type = l.command.signal_type = (TradingEngine__Direction)wrong[i];
		is_refused(&s, &l, "signal_type", "a signal without a side is refused");
	}
	te_arena_free(&s.arena);
}

static void sizes_are_numbers_above_0(void)
{
	static const double wrong[] = {0, -0.5, NAN, INFINITY, -INFINITY};
	Letter l;
	Sent s;

	begin(&s);
	write_letter(&l);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		l.sizing.position_size = l.command.position_size = wrong[i];
		is_refused(&s, &l, "position_size", "a signal of a size that is none is refused");
	}
	l.sizing.position_size = l.command.position_size = 1e300;
	ok(reads_signal(&s, &l) && s.order.lots == 1e300, "a size can be as large as it likes");
	l.sizing.has_position_size_case = 0;
	l.command.has_position_size_case = 0;
	is_refused(&s, &l, "position_size", "a signal without a size is refused");
	l.signal.sizing = NULL;
	ok(!reads_signal(&s, &l), "also without all of its sizing");
	te_arena_free(&s.arena);
}

static void names_are_there(void)
{
	Letter l;
	Sent s;

	begin(&s);
#define WITHOUT(field)                                                                             \
	write_letter(&l);                                                                              \
	l.signal.field = l.command.field = (char *)"";                                                 \
	is_refused(&s, &l, #field, "a signal without " #field " is refused")
	WITHOUT(company_id);
	WITHOUT(user_id);
	WITHOUT(strategy_id);
	WITHOUT(account_id);
	WITHOUT(symbol);
#undef WITHOUT
	te_arena_free(&s.arena);
}

static void other_messages_are_none(void)
{
	static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff};
	Letter l;
	Sent s;

	begin(&s);
	write_letter(&l);
	l.batch.n_signals = 2;
	ok(!reads_signal(&s, &l), "a message of two signals is refused");
	is_text(s.err.field, "payload", "for its payload");
	l.batch.n_signals = 0;
	ok(!reads_signal(&s, &l), "and one of none");
	l.batch.n_signals = 1;
	ok(!read_packed(&s, TE_MESSAGE_PREDICTIONS, &l.batch.base), "and one of another kind");
	is_text(s.err.field, "payload", "for its payload, too");
	for (int kind = 0; kind < 2; kind++) {
		s.envelope.kind = kind == 0 ? TE_MESSAGE_SIGNALS : TE_MESSAGE_COMMAND;
		s.envelope.payload = garbage;
		s.envelope.payload_len = sizeof(garbage);
		ok(te_envelope_encode(&s.envelope, &s.arena, &s.data, &s.len, &s.err) &&
		       !te_order_read(s.data, s.len, &s.arena, &s.order, &s.err),
		   "garbage is refused");
		is_text(s.err.field, "payload", "as such");
	}
	ok(!te_order_read(garbage, sizeof(garbage), &s.arena, &s.order, &s.err),
	   "and so is what isn't even an envelope");
	te_arena_free(&s.arena);
}

/* A message that is cut off is refused, or is whole but for fields that say nothing of the order.
 */
static void cut_messages_are_no_other_order(void)
{
	Letter l;
	Sent s;
	int others = 0, refused = 0;

	begin(&s);
	write_letter(&l);
	ok(reads_command(&s, &l), "a whole message is read");
	for (size_t len = 0; len < s.len; len++) {
		uint8_t *part = malloc(len + 1);

		memcpy(part, s.data, len);
		if (!te_order_read(part, len, &s.arena, &s.order, &s.err))
			refused++;
		else if (s.order.side != -1 || s.order.lots != 0.5 || strcmp(s.order.symbol, "EURUSD") != 0)
			others++;
		free(part);
	}
	ok(refused > 0, "parts of it are refused");
	is_exactly(others, 0, "and none is read as another order");
	te_arena_free(&s.arena);
}

static void memory_has_an_end(void)
{
	Letter l;
	Sent s;
	TeArena small;

	begin(&s);
	write_letter(&l);
	ok(reads_command(&s, &l), "a message is read");
	te_arena_init(&small, 64, 64);
	ok(!te_order_read(s.data, s.len, &small, &s.order, &s.err), "and refused without memory");
	te_arena_free(&small);
	te_arena_free(&s.arena);
}

int main(void)
{
	a_signal_is_an_order();
	a_command_is_one();
	a_hold_asks_for_nothing();
	directions_are_those_of_orders();
	sizes_are_numbers_above_0();
	names_are_there();
	other_messages_are_none();
	cut_messages_are_no_other_order();
	memory_has_an_end();
	return done_testing();
}
