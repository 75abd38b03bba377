/*
 * record_fixture.h - what is recorded of the sound decision of core_fixture.h, for tests of
 * what is written to streams.
 */
#ifndef TE_TEST_RECORD_FIXTURE_H
#define TE_TEST_RECORD_FIXTURE_H

#include "core_fixture.h"
#include "wire/encode.h"

/* Points into the fixture: decide() it before it is encoded. */
static inline TeSignalRecord record_of(const Fixture *f)
{
	static const uint8_t id[TE_UUID_BYTES] = {0x01, 0x9b, 0x79, 0x6d, 0xd6, 0x7b, 0x7a, 0x4a,
	                                          0xb1, 0xea, 0x6f, 0xd9, 0x01, 0x87, 0x17, 0xf4};
	TeSignalRecord record = {
		.lane = 3,
		.epoch = 2,
		.seq = 17,
		.company_id = "acme",
		.user_id = "ann",
		.strategy_id = "default",
		.strategy_version = 5,
		.account_id = "a-1",
		.account_currency = "USD",
		.batch_id = "b1",
		.producer_id = "models-1",
		.correlation_id = "c-1",
		.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		.batch_predictions = 2,
		.decision_latency = 150,
		.prediction = &f->p,
		.strategy = &f->s,
		.instrument = &f->i,
		.decision = &f->out,
		.decided_at = NOON + 250,
		.core_version = "1.0",
		.original_position_size = NAN,
		.original_stop_loss = NAN,
	};

	memcpy(record.signal_id, id, sizeof(id));
	return record;
}

#endif
