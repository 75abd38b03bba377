/*
 * decode.c - see decode.h.
 */
#include "decode.h"

#include <string.h>

#include "core/admit.h"
#include "core/book.h"
#include "core/decide.h"
#include "json.h"
#include "proto.h"
#include "rules.h"
#include "scan.h"

#include "common/envelope.pb-c.h"
#include "trading/execution.pb-c.h"

const TeWireLimits te_wire_limits_default = {
	.max_message = 1024 * 1024,
	.max_predictions = 1000,
	.max_votes = 256,
};

#define REASON_MAX 1024
#define PREDICTIONS_FIELD 6

/* No lot or price is beyond this, so that what is computed of them stays finite. */
#define MOST_LOTS_OR_PRICE 1e12

/* -0 is a zero that compares equal but has other bits; what is decided on has one zero. */
static double one_zero(double x)
{
	return x + 0.0;
}

static bool check_model(const TradingEngine__ModelVote *v, TeWireError *err)
{
	return te_rule_name("model_id", v->model_id, err) &&
	       te_rule_present("direction", v->direction != 0, err) &&
	       te_rule_present("confidence", v->has_confidence_case != 0, err) &&
	       te_rule_range("confidence", v->confidence, 0, 1, err) &&
	       (v->has_weight_case == 0 || te_rule_above_zero("weight", v->weight, err));
}

static bool check_pattern(const TradingEngine__PatternPrediction *t, TeWireError *err)
{
	return te_rule_name("name", t->name, err) &&
	       te_rule_present("direction", t->direction != 0, err) &&
	       te_rule_present("probability", t->has_probability_case != 0, err) &&
	       te_rule_range("probability", t->probability, 0, 1, err);
}

/* What proto says and the core doesn't: what has to be there, ids, votes by their index. */
static bool check_prediction(const TradingEngine__Prediction *p, TeWireError *err)
{
	if (!te_rule_present("prediction_id", p->prediction_id[0] != '\0', err) ||
	    !te_rule_symbol("symbol", p->symbol, err) ||
	    !te_rule_optional_time("generated_at", p->generated_at, err) ||
	    (p->has_valid_until_case != 0 &&
	     !te_rule_optional_time("valid_until", p->valid_until, err)) ||
	    !te_rule_present("current_price", p->has_current_price_case != 0, err) ||
	    !te_rule_present("predicted_price", p->has_predicted_price_case != 0, err) ||
	    !te_rule_present("direction", p->direction != 0, err) ||
	    !te_rule_present("confidence", p->has_confidence_case != 0, err))
		return false;
	if (p->horizon_us < 0)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "horizon_us", "must be >= 0");
	for (size_t i = 0; i < p->n_models; i++)
		if (!check_model(p->models[i], err)) {
			te_wire_fail_within(err, "models[%zu]", i);
			return false;
		}
	for (size_t i = 0; i < p->n_patterns; i++)
		if (!check_pattern(p->patterns[i], err)) {
			te_wire_fail_within(err, "patterns[%zu]", i);
			return false;
		}
	return true;
}

/* The core's own rules, in its own words. */
static bool check_core(const TePrediction *p, TeWireError *err)
{
	static const char object[] = "prediction.";
	const char *reason;
	const char *key = te_prediction_check(p, &reason);

	if (key == NULL)
		return true;
	if (strncmp(key, object, sizeof(object) - 1) == 0)
		key += sizeof(object) - 1;
	return te_wire_fail(err, TE_WIRE_INVALID_FIELD, key, "%s", reason);
}

static void unify_zeros(TradingEngine__Prediction *p)
{
	/* The other numbers are > 0. */
	p->confidence = one_zero(p->confidence);
	if (p->has_volume_confirmation_case != 0)
		p->volume_confirmation = one_zero(p->volume_confirmation);
	for (size_t i = 0; i < p->n_models; i++)
		p->models[i]->confidence = one_zero(p->models[i]->confidence);
	for (size_t i = 0; i < p->n_patterns; i++)
		p->patterns[i]->probability = one_zero(p->patterns[i]->probability);
}

/* One prediction; what is wrong with it is said relative to it.  False: it is not to be decided. */
static bool decode_prediction(const uint8_t *data, size_t len, const TeWireLimits *limits,
                              TeTime batch_generated_at, TeArena *arena, TePrediction *out,
                              TeTime *horizon, TeWireError *err)
{
	TradingEngine__Prediction *p = (TradingEngine__Prediction *)te_scan_unpack(
		&trading_engine__prediction__descriptor, data, len, limits->max_votes, arena, err);
	bool sound;

	*out = (TePrediction){.prediction_id = "", .symbol = "", .valid_until = TE_NO_TIME};
	*horizon = 0;
	if (p == NULL)
		return false;
	sound = check_prediction(p, err);
	if (sound)
		unify_zeros(p);
	if (!te_prediction_from_proto(p, arena, out))
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
	if (out->generated_at == 0)
		out->generated_at = batch_generated_at;
	if (out->valid_until == 0)
		out->valid_until = TE_NO_TIME;
	*horizon = p->horizon_us;
	return sound && check_core(out, err);
}

/* The batch without its predictions, copied together, and how many there are. */
static bool split_batch(const uint8_t *data, size_t len, TeArena *arena, uint8_t **rest,
                        size_t *rest_len, size_t *count, TeWireError *err)
{
	TeScan scan;
	TeScanField field;
	int got;

	*rest = te_arena_alloc(arena, len);
	if (*rest == NULL)
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
	*rest_len = 0;
	*count = 0;
	te_scan_begin(&scan, data, len);
	while ((got = te_scan_next(&scan, &field)) == 1) {
		size_t size = (size_t)(scan.at - field.begin);

		if (field.number == PREDICTIONS_FIELD &&
		    field.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
			++*count;
			continue;
		}
		memcpy(*rest + *rest_len, field.begin, size);
		*rest_len += size;
	}
	return got == 0 || te_wire_fail(err, TE_WIRE_MALFORMED, NULL, "isn't a protobuf message");
}

static bool check_batch(const TePredictionBatch *b, size_t max_predictions, TeWireError *err)
{
	if (!te_rule_name("batch_id", b->batch_id, err) ||
	    !te_rule_id("producer_id", b->producer_id, err) ||
	    !te_rule_tenant(b->company_id, b->user_id, err) ||
	    !te_rule_time("generated_at", b->generated_at, err) ||
	    !te_rule_text("model_version", b->model_version, TE_NAME_MAX, err))
		return false;
	if (b->count == 0)
		return te_wire_fail(err, TE_WIRE_EMPTY_BATCH, "predictions",
		                    "the batch has no predictions");
	if (b->count > max_predictions)
		return te_wire_fail(err, TE_WIRE_TOO_MANY, "predictions",
		                    "the batch has %zu predictions, at most %zu are allowed", b->count,
		                    max_predictions);
	return true;
}

/* Everything of the batch but the predictions. */
static bool decode_batch_head(const uint8_t *data, size_t len, const TeWireLimits *limits,
                              TeArena *arena, TePredictionBatch *out, TeWireError *err)
{
	TradingEngine__MLPredictionBatch *head;
	uint8_t *rest = NULL;
	size_t rest_len = 0;

	*out = (TePredictionBatch){.batch_id = "",
	                           .producer_id = "",
	                           .company_id = "",
	                           .user_id = "",
	                           .model_version = "",
	                           .generated_at = TE_NO_TIME};
	if (!split_batch(data, len, arena, &rest, &rest_len, &out->count, err))
		return false;
	head = (TradingEngine__MLPredictionBatch *)te_scan_unpack(
		&trading_engine__mlprediction_batch__descriptor, rest, rest_len, limits->max_predictions,
		arena, err);
	if (head == NULL)
		return false;
	out->batch_id = head->batch_id;
	out->producer_id = head->producer_id;
	out->company_id = head->company_id;
	out->user_id = head->user_id;
	out->model_version = head->model_version;
	out->generated_at = head->generated_at;
	return check_batch(out, limits->max_predictions, err);
}

bool te_decode_predictions(const uint8_t *data, size_t len, const TeWireLimits *limits,
                           TeArena *arena, TePredictionBatch *out, TeWireError *err)
{
	TeScan scan;
	TeScanField field;
	size_t i = 0;

	if (!decode_batch_head(data, len, limits, arena, out, err)) {
		out->count = 0;
		return false;
	}
	out->predictions = te_arena_array(arena, out->count, sizeof(*out->predictions));
	out->horizon = te_arena_array(arena, out->count, sizeof(*out->horizon));
	out->faults = te_arena_array(arena, out->count, sizeof(*out->faults));
	if (out->predictions == NULL || out->horizon == NULL || out->faults == NULL) {
		out->count = 0;
		return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL, "the message needs too much memory");
	}
	te_scan_begin(&scan, data, len);
	while (te_scan_next(&scan, &field) == 1) {
		if (field.number != PREDICTIONS_FIELD)
			continue;
		if (!decode_prediction(field.data, field.len, limits, out->generated_at, arena,
		                       &out->predictions[i], &out->horizon[i], &out->faults[i])) {
			if (out->faults[i].code == TE_WIRE_NO_MEMORY) {
				out->count = 0;
				return te_wire_fail(err, TE_WIRE_NO_MEMORY, NULL,
				                    "the batch needs too much memory");
			}
			te_wire_fail_within(&out->faults[i], "predictions[%zu]", i);
			out->fault_count++;
		}
		i++;
	}
	return true;
}

/* The envelope and its batch name the same tenant and producer; a bare batch names them for both.
 */
static bool agree(TeEnvelope *e, const TePredictionBatch *b, TeWireError *err)
{
	if (e->bare) {
		e->company_id = b->company_id;
		e->user_id = b->user_id;
		e->producer_id = b->producer_id;
		return true;
	}
	if (strcmp(e->company_id, b->company_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "company_id", "envelope and batch differ");
	if (strcmp(e->user_id, b->user_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "user_id", "envelope and batch differ");
	if (e->producer_id[0] != '\0' && strcmp(e->producer_id, b->producer_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "producer_id", "envelope and batch differ");
	e->producer_id = b->producer_id;
	return true;
}

static bool decode_batch(TeMessage *out, const TeWireLimits *limits, TeArena *arena,
                         TeWireError *err)
{
	TeEnvelope *e = &out->envelope;
	bool sound =
		te_decode_predictions(e->payload, e->payload_len, limits, arena, &out->as.batch, err);

	/* A batch that is turned away still says whose it was. */
	if (!sound) {
		if (e->bare)
			agree(e, &out->as.batch, NULL);
		return false;
	}
	return agree(e, &out->as.batch, err);
}

static bool decode_tick(const TeEnvelope *e, TeArena *arena, TeTick *out, TeWireError *err)
{
	TradingEngine__MarketTick *t = (TradingEngine__MarketTick *)te_scan_unpack(
		&trading_engine__market_tick__descriptor, e->payload, e->payload_len, 1, arena, err);

	if (t == NULL)
		return false;
	*out = (TeTick){.symbol = t->symbol,
	                .bid = TE_PROTO_GET(t, bid),
	                .ask = TE_PROTO_GET(t, ask),
	                .price = TE_PROTO_GET(t, price),
	                .at = t->at};
	if (!te_rule_symbol("symbol", t->symbol, err) || !te_rule_time("at", t->at, err))
		return false;
	if (te_known(out->price) && !te_rule_above_zero("price", out->price, err))
		return false;
	if (te_known(out->bid) || te_known(out->ask)) {
		if (!te_rule_present("bid", te_known(out->bid), err) ||
		    !te_rule_present("ask", te_known(out->ask), err) ||
		    !te_rule_above_zero("bid", out->bid, err) || !te_rule_above_zero("ask", out->ask, err))
			return false;
		if (out->bid > out->ask)
			return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "bid", "must not be above ask");
		/* Halves first: the sum of two large prices must not overflow. */
		out->price = out->bid / 2 + out->ask / 2;
	}
	return te_rule_present("price", te_known(out->price), err) &&
	       te_rule_above_zero("price", out->price, err);
}

static bool check_at_most(const char *field, double value, double most, TeWireError *err)
{
	if (!te_known(value) || fabs(value) <= most)
		return true;
	return te_wire_fail(err, TE_WIRE_INVALID_FIELD, field, "must not be beyond %g", most);
}

/* What has to be there, and what is too long or too much; the core's rules come after. */
static bool check_execution(const TradingEngine__ExecutionResult *x, const TeExecution *told,
                            TeWireError *err)
{
	uint8_t id[TE_UUID_BYTES];
	bool fill = te_execution_is_fill(told);

	if (!te_rule_name("execution_id", x->execution_id, err) ||
	    !te_rule_present("signal_id", x->signal_id[0] != '\0', err))
		return false;
	if (!te_uuid_parse(x->signal_id, id))
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "signal_id", "is not a UUID");
	if (!te_rule_tenant(x->company_id, x->user_id, err) ||
	    !te_rule_symbol("symbol", x->symbol, err) ||
	    !te_rule_present("status", x->status != 0, err) ||
	    !te_rule_time("executed_at", x->executed_at, err) ||
	    !te_rule_text("reason", x->reason, REASON_MAX, err) ||
	    !te_rule_text("broker_order_id", x->broker_order_id, TE_NAME_MAX, err))
		return false;
	if (x->leg >= TE_MAX_LEGS)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "leg", "must be from 0 to %d",
		                    TE_MAX_LEGS - 1);
	if (fill && (!te_rule_present("executed_price", te_known(told->executed_price), err) ||
	             !te_rule_present("executed_size", te_known(told->executed_size), err)))
		return false;
	if (told->status == TE_EXECUTION_CLOSED &&
	    !te_rule_present("profit", te_known(told->profit), err))
		return false;
	if (te_known(told->executed_size) && told->executed_size < 0)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "executed_size", "must be >= 0");
	return check_at_most("requested_price", told->requested_price, MOST_LOTS_OR_PRICE, err) &&
	       check_at_most("executed_price", told->executed_price, MOST_LOTS_OR_PRICE, err) &&
	       check_at_most("executed_size", told->executed_size, MOST_LOTS_OR_PRICE, err) &&
	       check_at_most("profit", told->profit, TE_BOOK_MOST, err) &&
	       check_at_most("commission", told->commission, TE_BOOK_MOST, err);
}

/* The same fields in one order, and with one zero, whoever packed them. */
static bool hash_execution(TradingEngine__ExecutionResult *x, TeArena *arena,
                           uint8_t hash[TE_SHA256_BYTES], TeWireError *err)
{
	const uint8_t *data;
	size_t len;

	x->executed_size = one_zero(x->executed_size);
	x->profit = one_zero(x->profit);
	x->commission = one_zero(x->commission);
	if (!te_message_pack(&x->base, arena, &data, &len, err))
		return false;
	te_sha256(data, len, hash);
	return true;
}

static bool decode_execution(const TeEnvelope *e, TeArena *arena, TeExecutionReport *out,
                             TeWireError *err)
{
	TradingEngine__ExecutionResult *x = (TradingEngine__ExecutionResult *)te_scan_unpack(
		&trading_engine__execution_result__descriptor, e->payload, e->payload_len, 1, arena, err);
	const char *field, *reason;

	if (x == NULL || !hash_execution(x, arena, out->content_hash, err))
		return false;
	out->execution_id = x->execution_id;
	out->company_id = x->company_id;
	out->user_id = x->user_id;
	out->symbol = x->symbol;
	out->leg = x->leg;
	out->reason = x->reason;
	out->broker_order_id = x->broker_order_id;
	out->told = (TeExecution){
		.id = te_key_of(x->execution_id, strlen(x->execution_id)),
		.at = x->executed_at,
		.status = (TeExecutionStatus)x->status,
		.requested_price = TE_PROTO_GET(x, requested_price),
		.executed_price = TE_PROTO_GET(x, executed_price),
		.executed_size = TE_PROTO_GET(x, executed_size),
		.profit = TE_PROTO_GET(x, profit),
		.commission = TE_PROTO_GET(x, commission),
	};
	if (!check_execution(x, &out->told, err))
		return false;
	field = te_execution_check(&out->told, &reason);
	if (field != NULL)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, field, "%s", reason);
	te_uuid_parse(x->signal_id, out->signal_id);
	if (strcmp(e->company_id, out->company_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "company_id", "envelope and result differ");
	if (strcmp(e->user_id, out->user_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "user_id", "envelope and result differ");
	return true;
}

static bool decode_heartbeat(const TeEnvelope *e, TeArena *arena, TeHeartbeat *out,
                             TeWireError *err)
{
	TradingEngine__Heartbeat *h = (TradingEngine__Heartbeat *)te_scan_unpack(
		&trading_engine__heartbeat__descriptor, e->payload, e->payload_len, 1, arena, err);

	if (h == NULL)
		return false;
	*out = (TeHeartbeat){.producer_id = h->producer_id,
	                     .producer_epoch = h->producer_epoch,
	                     .last_seq = h->last_seq,
	                     .at = h->at,
	                     .company_id = h->company_id,
	                     .user_id = h->user_id};
	if (!te_rule_id("producer_id", h->producer_id, err) ||
	    !te_rule_present("producer_epoch", h->producer_epoch != 0, err) ||
	    !te_rule_time("at", h->at, err) || !te_rule_tenant(h->company_id, h->user_id, err))
		return false;
	if (h->producer_epoch > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "producer_epoch", "is too large");
	if (h->last_seq > TE_ADMIT_MAX_NUMBER)
		return te_wire_fail(err, TE_WIRE_INVALID_FIELD, "last_seq", "is too large");
	if (strcmp(e->company_id, out->company_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "company_id", "envelope and heartbeat differ");
	if (strcmp(e->user_id, out->user_id) != 0)
		return te_wire_fail(err, TE_WIRE_MISMATCH, "user_id", "envelope and heartbeat differ");
	return true;
}

static bool decode_payload(TeMessage *out, const TeWireLimits *limits, TeArena *arena,
                           TeWireError *err)
{
	switch (out->kind) {
	case TE_MESSAGE_PREDICTIONS:
		return decode_batch(out, limits, arena, err);
	case TE_MESSAGE_TICK:
		return decode_tick(&out->envelope, arena, &out->as.tick, err);
	case TE_MESSAGE_EXECUTION:
		return decode_execution(&out->envelope, arena, &out->as.execution, err);
	case TE_MESSAGE_HEARTBEAT:
		return decode_heartbeat(&out->envelope, arena, &out->as.heartbeat, err);
	default:
		return te_wire_fail(err, TE_WIRE_UNKNOWN_TYPE, "message_type",
		                    "the engine doesn't receive messages of type %d", (int)out->kind);
	}
}

bool te_wire_decode(const uint8_t *data, size_t len, const TeWireLimits *limits, TeArena *arena,
                    TeMessage *out, TeWireError *err)
{
	memset(out, 0, sizeof(*out));
	te_envelope_init(&out->envelope, TE_MESSAGE_NONE);
	if (len > limits->max_message)
		return te_wire_fail(err, TE_WIRE_TOO_LARGE, NULL,
		                    "the message has %zu bytes, at most %zu are allowed", len,
		                    limits->max_message);
	if (!te_envelope_decode(data, len, arena, &out->envelope, err))
		return false;
	out->kind = out->envelope.kind;
	if (decode_payload(out, limits, arena, err))
		return true;
	if (!out->envelope.bare && err != NULL && err->code != TE_WIRE_UNKNOWN_TYPE &&
	    err->code != TE_WIRE_MISMATCH)
		te_wire_fail_within(err, "payload");
	return false;
}
