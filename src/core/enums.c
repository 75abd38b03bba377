/*
 * enums.c - the labels of every enum, from the lists in types.h.
 */
#include "types.h"

#include <string.h>

#include "actions.h"
#include "adjust.h"
#include "breaker.h"
#include "execution.h"
#include "outcome.h"
#include "params.h"
#include "protections.h"
#include "risk.h"
#include "trace.h"

#define LABEL(label, ...) #label,

#define DEFINE_ENUM(variable, text, list)                                                          \
	static const char *const variable##_labels[] = {list(LABEL)};                                  \
	const TeEnum te_##variable##_enum = {                                                          \
		text, (int)(sizeof(variable##_labels) / sizeof(variable##_labels[0])), variable##_labels}

DEFINE_ENUM(direction, "direction", TE_DIRECTIONS);
DEFINE_ENUM(bias, "pattern direction", TE_BIASES);
DEFINE_ENUM(regime, "market regime", TE_REGIMES);
DEFINE_ENUM(trend, "trend", TE_TRENDS);
DEFINE_ENUM(volatility_mode, "volatility mode", TE_VOLATILITY_MODES);
DEFINE_ENUM(stop_loss_mode, "stop loss mode", TE_STOP_LOSS_MODES);
DEFINE_ENUM(take_profit_mode, "take profit mode", TE_TAKE_PROFIT_MODES);
DEFINE_ENUM(position_sizing, "position sizing", TE_POSITION_SIZINGS);
DEFINE_ENUM(time_in_force, "time in force", TE_TIMES_IN_FORCE);
DEFINE_ENUM(algorithm, "execution algorithm", TE_ALGORITHMS);
DEFINE_ENUM(order_type, "order type", TE_ORDER_TYPES);
DEFINE_ENUM(urgency, "execution urgency", TE_URGENCIES);
DEFINE_ENUM(timing, "timing strategy", TE_TIMINGS);
DEFINE_ENUM(hold_reason, "hold reason", TE_HOLD_REASONS);
DEFINE_ENUM(outcome, "outcome", TE_OUTCOMES);
DEFINE_ENUM(result, "result", TE_RESULTS);
DEFINE_ENUM(layer, "strategy layer", TE_LAYERS);
DEFINE_ENUM(part, "part of a decision", TE_PARTS);
DEFINE_ENUM(breaker_state, "breaker state", TE_BREAKER_STATES);
DEFINE_ENUM(breaker_cause, "cause of a breaker's change", TE_BREAKER_CAUSES);
DEFINE_ENUM(risk_level, "risk level", TE_RISK_LEVELS);
DEFINE_ENUM(risk_status, "risk status", TE_RISK_STATUSES);
DEFINE_ENUM(risk_note, "risk note", TE_RISK_NOTES);
DEFINE_ENUM(trading_state, "trading state", TE_TRADING_STATES);
DEFINE_ENUM(protection, "protection", TE_PROTECTIONS);
DEFINE_ENUM(drawdown_method, "drawdown method", TE_DRAWDOWN_METHODS);
DEFINE_ENUM(adjust_verdict, "adjustment verdict", TE_ADJUST_VERDICTS);
DEFINE_ENUM(adjust_reason, "adjustment reason", TE_ADJUST_REASONS);
DEFINE_ENUM(execution_status, "execution status", TE_EXECUTION_STATUSES);
DEFINE_ENUM(trade_state, "state of a trade", TE_TRADE_STATES);

#define TEXT(label, text) text,

const char *const te_risk_note_texts[] = {TE_RISK_NOTES(TEXT)};

int te_enum_value(const TeEnum *e, const char *label)
{
	for (int i = 0; i < e->count; i++)
		if (strcmp(e->labels[i], label) == 0)
			return i;
	return -1;
}
