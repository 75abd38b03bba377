/*
 * risk.h - the questions to a risk service, its answers, and news of its breaker.
 *
 * A service that speaks this protocol in C uses both sides (demo/risk_service.c).
 */
#ifndef TE_WIRE_RISK_H
#define TE_WIRE_RISK_H

#include "core/breaker.h"
#include "core/decide.h"
#include "core/risk.h"
#include "envelope.h"

/* A question.  Texts may be NULL for none, numbers NAN. */
typedef struct TeRiskQuestion
{
	uint8_t signal_id[TE_UUID_BYTES];
	const char *company_id, *user_id, *strategy_id;
	int64_t strategy_version;
	const char *account_id, *account_currency;
	double equity;
	const char *symbol;
	TeDirection signal_type;
	double entry_price, stop_loss, take_profit;
	double position_size, max_loss;
	TeTime decided_at, deadline_at;
	const char *correlation_id, *traceparent, *tracestate;
} TeRiskQuestion;

/* What a question says of a decision. */
extern void te_risk_question_about(const TeDecision *d, TeRiskQuestion *q);

/* Longest note of an answer, in bytes. */
#define TE_RISK_NOTE_MAX 1024

/* An answer.  The reply's numbers are finite, but else as they came (te_risk_reply_read). */
typedef struct TeRiskAnswer
{
	uint8_t signal_id[TE_UUID_BYTES];
	TeRiskReply reply;
	const char *note; /* never NULL */
} TeRiskAnswer;

extern bool te_encode_risk_question(const TeRiskQuestion *q, TeArena *arena, const uint8_t **data,
                                    size_t *len, TeWireError *err);
extern bool te_decode_risk_question(const uint8_t *data, size_t len, TeArena *arena,
                                    TeRiskQuestion *out, TeWireError *err);

/* The service says who it is, and may repeat the question's correlation id. */
extern bool te_encode_risk_answer(const TeRiskAnswer *answer, const char *service,
                                  const char *correlation_id, TeTime at, TeArena *arena,
                                  const uint8_t **data, size_t *len, TeWireError *err);

/* In an envelope or as it is; any bytes. */
extern bool te_decode_risk_answer(const uint8_t *data, size_t len, TeArena *arena,
                                  TeRiskAnswer *out, TeWireError *err);

/* company_id NULL: the breaker is the lane's. */
extern bool te_encode_breaker_change(uint32_t lane, const char *company_id,
                                     const TeBreakerChange *change, TeArena *arena,
                                     const uint8_t **data, size_t *len, TeWireError *err);

#endif
