/*
 * assessment.c - see assessment.h.
 */
#include "assessment.h"

#include "json.h"
#include "proto.h"
#include "scan.h"

#include "trading/storage.pb-c.h"

static void action_to_proto(const TeRiskAction *a, TradingEngine__RiskAction *out)
{
	trading_engine__risk_action__init(out);
	out->kind = (TradingEngine__RiskActionKind)(a->kind + 1);
	out->status = (TradingEngine__RiskStatus)a->status;
	out->risk_level = (TradingEngine__RiskLevel)a->advice.level;
	TE_PROTO_SET(TRADING_ENGINE__RISK_ACTION, out, position_size, POSITION_SIZE,
	             a->advice.position_size);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ACTION, out, stop_loss, STOP_LOSS, a->advice.stop_loss);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ACTION, out, lots, LOTS, isfinite(a->lots) ? a->lots : NAN);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ACTION, out, value, VALUE, a->value);
	TE_PROTO_SET(TRADING_ENGINE__RISK_ACTION, out, threshold, THRESHOLD, a->threshold);
	if (a->kind != TE_RISK_ACTION_ADVICE)
		out->reason = te_proto_text(te_risk_note_enum.labels[a->reason]);
}

bool te_assessment_pack(const TeRiskActions *actions, TeArena *arena, const uint8_t **data,
                        size_t *len, TeWireError *err)
{
	TradingEngine__StoredAssessment out = TRADING_ENGINE__STORED_ASSESSMENT__INIT;
	TradingEngine__RiskAction list[TE_RISK_MOST_ACTIONS];
	TradingEngine__RiskAction *pointers[TE_RISK_MOST_ACTIONS];

	for (int i = 0; i < actions->count; i++) {
		action_to_proto(&actions->actions[i], &list[i]);
		pointers[i] = &list[i];
	}
	out.n_actions = (size_t)actions->count;
	out.actions = pointers;
	return te_message_pack(&out.base, arena, data, len, err);
}

static bool action_from_proto(const TradingEngine__RiskAction *a, TeRiskAction *out,
                              TeWireError *err)
{
	int reason = a->reason[0] != '\0' ? te_enum_value(&te_risk_note_enum, a->reason) : 0;

	if (a->kind == TRADING_ENGINE__RISK_ACTION_KIND__RISK_ACTION_KIND_UNSPECIFIED)
		return te_wire_fail(err, TE_WIRE_MISSING_FIELD, "kind", "is missing");
	if (reason < 0)
		return te_wire_fail(err, TE_WIRE_UNKNOWN_VERSION, "reason", "\"%s\" is not known",
		                    a->reason);
	*out = (TeRiskAction){
		.kind = (TeRiskActionKind)(a->kind - 1),
		.status = (TeRiskStatus)a->status,
		.advice = {(TeRiskLevel)a->risk_level, TE_PROTO_GET(a, position_size),
	               TE_PROTO_GET(a, stop_loss)},
		.lots = TE_PROTO_GET(a, lots),
		.reason = (TeRiskNoteKind)reason,
		.value = TE_PROTO_GET(a, value),
		.threshold = TE_PROTO_GET(a, threshold),
	};
	if (out->kind == TE_RISK_ACTION_LIMIT && !te_known(out->lots))
		out->lots = INFINITY;
	return true;
}

bool te_assessment_unpack(const uint8_t *data, size_t len, TeArena *arena, TeRiskActions *out,
                          TeWireError *err)
{
	TradingEngine__StoredAssessment *s = (TradingEngine__StoredAssessment *)te_scan_unpack(
		&trading_engine__stored_assessment__descriptor, data, len, SIZE_MAX, arena, err);

	if (s == NULL)
		return false;
	if (s->n_actions > TE_RISK_MOST_ACTIONS)
		return te_wire_fail(err, TE_WIRE_TOO_MANY, "actions", "are more than %d",
		                    TE_RISK_MOST_ACTIONS);
	out->count = (int)s->n_actions;
	for (int i = 0; i < out->count; i++)
		if (!action_from_proto(s->actions[i], &out->actions[i], err))
			return false;
	return true;
}
