/*
 * store.h - the rows of one batch, and the one transaction that writes them.
 *
 * The column lists below are the only place where the worker's columns are named;
 * they follow sql/30_tables.sql.
 */
#ifndef TE_ENGINE_STORE_H
#define TE_ENGINE_STORE_H

#include "postgres.h"

#include "engine/latency.h"
#include "engine/rows.h"

#define TE_MESSAGE_COLUMNS(X)                                                                      \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(position, int4)                                                                              \
	X(source, text)                                                                                \
	X(input_seq, int8)                                                                             \
	X(subject, text)                                                                               \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(batch_id, text)                                                                              \
	X(producer_id, text)                                                                           \
	X(producer_epoch, int8)                                                                        \
	X(producer_seq, int8)                                                                          \
	X(payload_hash, bytea)                                                                         \
	X(correlation_id, text)                                                                        \
	X(predictions, int4) X(decided_at, timestamptz) X(message, bytea) X(market, bytea)

#define TE_SIGNAL_COLUMNS(X)                                                                       \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(position, int4)                                                                              \
	X(ordinal, int4)                                                                               \
	X(out_epoch, int8)                                                                             \
	X(out_seq, int8)                                                                               \
	X(command_seq, int8)                                                                           \
	X(signal_id, uuid)                                                                             \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(account_id, text)                                                                            \
	X(strategy_id, text)                                                                           \
	X(symbol, text)                                                                                \
	X(prediction_id, text)                                                                         \
	X(batch_id, text)                                                                              \
	X(producer_id, text)                                                                           \
	X(correlation_id, text)                                                                        \
	X(outcome, text)                                                                               \
	X(hold_reason, text)                                                                           \
	X(signal_type, text)                                                                           \
	X(signal_strength, float8)                                                                     \
	X(consensus_score, float8)                                                                     \
	X(market_favorability, float8)                                                                 \
	X(order_type, text)                                                                            \
	X(execution_urgency, text)                                                                     \
	X(entry_price, float8)                                                                         \
	X(limit_price, float8)                                                                         \
	X(stop_loss, float8)                                                                           \
	X(take_profit, float8)                                                                         \
	X(reward_risk_ratio, float8)                                                                   \
	X(position_size, float8)                                                                       \
	X(max_loss, float8)                                                                            \
	X(timing_strategy, text)                                                                       \
	X(trigger_price, float8)                                                                       \
	X(expires_at, timestamptz)                                                                     \
	X(auto_execute, bool)                                                                          \
	X(max_slippage_pips, float8)                                                                   \
	X(time_in_force, text)                                                                         \
	X(execution_algorithm, text)                                                                   \
	X(generated_at, timestamptz)                                                                   \
	X(decided_at, timestamptz)                                                                     \
	X(risk_status, text)                                                                           \
	X(risk_level, text)                                                                            \
	X(cancellation_reason, text)                                                                   \
	X(risk_notes, lines)                                                                           \
	X(original_position_size, float8)                                                              \
	X(original_stop_loss, float8)                                                                  \
	X(assessment, bytea)                                                                           \
	X(simulated, bool) X(strategy_version, int8) X(core_version, int4) X(inputs, bytea)

#define TE_LEG_COLUMNS(X)                                                                          \
	X(signal_id, uuid)                                                                             \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(leg, int4)                                                                                   \
	X(order_type, text)                                                                            \
	X(entry_price, float8) X(stop_loss, float8) X(take_profit, float8) X(position_size, float8)

#define TE_OUTBOX_COLUMNS(X)                                                                       \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(epoch, int8) X(first_seq, int8) X(last_seq, int8) X(frames, bytea) X(expires_at, timestamptz)

#define TE_BAR_COLUMNS(X)                                                                          \
	X(lane, int4)                                                                                  \
	X(symbol, text)                                                                                \
	X(bar_start, timestamptz) X(open, float8) X(high, float8) X(low, float8) X(close, float8)

#define TE_CONDITION_COLUMNS(X)                                                                    \
	X(lane, int4)                                                                                  \
	X(symbol, text)                                                                                \
	X(bar_start, timestamptz)                                                                      \
	X(regime, text)                                                                                \
	X(trend, text)                                                                                 \
	X(volatility_ratio, float8)                                                                    \
	X(bars, int8)                                                                                  \
	X(last_close, float8)                                                                          \
	X(atr, float8)                                                                                 \
	X(ema_fast, float8) X(ema_slow, float8) X(returns, int8) X(var_fast, float8) X(var_slow, float8)

#define TE_DEAD_LETTER_COLUMNS(X)                                                                  \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(source, text)                                                                                \
	X(input_seq, int8)                                                                             \
	X(subject, text)                                                                               \
	X(company_id, text)                                                                            \
	X(user_id, text)                                                                               \
	X(producer_id, text) X(reason, text) X(detail, text) X(prediction_index, int4) X(message, bytea)

#define TE_GAP_COLUMNS(X)                                                                          \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(source, text)                                                                                \
	X(scope, text)                                                                                 \
	X(producer_id, text) X(epoch, int8) X(from_seq, int8) X(to_seq, int8) X(reason, text)

#define TE_FILL_COLUMNS(X)                                                                         \
	X(lane, int4) X(batch_no, int8) X(epoch, int8) X(seq, int8) X(reason, text)

#define TE_BREAKER_COLUMNS(X)                                                                      \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(company_id, text)                                                                            \
	X(changed_at, timestamptz)                                                                     \
	X(from_state, text) X(to_state, text) X(cause, text) X(wait_until, timestamptz)

#define TE_BATCH_COLUMNS(X)                                                                        \
	X(lane, int4)                                                                                  \
	X(batch_no, int8)                                                                              \
	X(epoch, int8)                                                                                 \
	X(lane_count, int4)                                                                            \
	X(decided_at, timestamptz)                                                                     \
	X(input_created, timestamptz)                                                                  \
	X(input_incarnation, int8)                                                                     \
	X(input_seq, int8)                                                                             \
	X(input_resume, int8)                                                                          \
	X(kafka_positions, jsonb)                                                                      \
	X(input_time, timestamptz)                                                                     \
	X(first_out_seq, int8)                                                                         \
	X(last_out_seq, int8)                                                                          \
	X(publish_epoch, int8)                                                                         \
	X(publish_seq, int8)                                                                           \
	X(publish_created, timestamptz)                                                                \
	X(publish_stream_seq, int8)                                                                    \
	X(kafka_epoch, int8)                                                                           \
	X(kafka_seq, int8)                                                                             \
	X(released_epoch, int8)                                                                        \
	X(released_seq, int8)                                                                          \
	X(system_identifier, int8)                                                                     \
	X(change_snapshot, pg_snapshot)                                                                \
	X(inbox_snapshot, pg_snapshot)                                                                 \
	X(lane_clock, timestamptz)                                                                     \
	X(messages, int4) X(predictions, int4) X(signals, int4) X(state_full, bool) X(state, bytea)

/* Tables of a batch: X(member, SQL name, columns, member prefix) in the order of writing. */
#define TE_BATCH_TABLES(X)                                                                         \
	X(batch, batches, TE_BATCH_COLUMNS, BATCH)                                                     \
	X(messages, prediction_batches, TE_MESSAGE_COLUMNS, MESSAGE)                                   \
	X(signals, signals, TE_SIGNAL_COLUMNS, SIGNAL)                                                 \
	X(legs, signal_legs, TE_LEG_COLUMNS, LEG)                                                      \
	X(outbox, outbox, TE_OUTBOX_COLUMNS, OUTBOX)                                                   \
	X(bars, market_bars, TE_BAR_COLUMNS, BAR)                                                      \
	X(conditions, market_conditions, TE_CONDITION_COLUMNS, CONDITION)                              \
	X(dead_letters, dead_letters, TE_DEAD_LETTER_COLUMNS, DEAD_LETTER)                             \
	X(gaps, input_gaps, TE_GAP_COLUMNS, GAP)                                                       \
	X(gap_fills, gap_fills, TE_FILL_COLUMNS, FILL)                                                 \
	X(breaker_changes, breaker_changes, TE_BREAKER_COLUMNS, BREAKER)

#define TE_MESSAGE_MEMBER(name, type) TE_MESSAGE_##name,
#define TE_SIGNAL_MEMBER(name, type) TE_SIGNAL_##name,
#define TE_LEG_MEMBER(name, type) TE_LEG_##name,
#define TE_OUTBOX_MEMBER(name, type) TE_OUTBOX_##name,
#define TE_BAR_MEMBER(name, type) TE_BAR_##name,
#define TE_CONDITION_MEMBER(name, type) TE_CONDITION_##name,
#define TE_DEAD_LETTER_MEMBER(name, type) TE_DEAD_LETTER_##name,
#define TE_GAP_MEMBER(name, type) TE_GAP_##name,
#define TE_FILL_MEMBER(name, type) TE_FILL_##name,
#define TE_BREAKER_MEMBER(name, type) TE_BREAKER_##name,
#define TE_BATCH_MEMBER(name, type) TE_BATCH_##name,
#define TE_COLUMN_ENUM(member, table, columns, prefix)                                             \
	enum { columns(TE_##prefix##_MEMBER) TE_##prefix##_COLUMN_COUNT };
TE_BATCH_TABLES(TE_COLUMN_ENUM)
#undef TE_COLUMN_ENUM

typedef struct TeBatchRows
{
#define TE_ROWS_FIELD(member, ...) TeRows member;
	TE_BATCH_TABLES(TE_ROWS_FIELD)
#undef TE_ROWS_FIELD
} TeBatchRows;

/* Empty rows in a batch's memory. */
extern void te_store_init(TeBatchRows *rows, MemoryContext context);

/*
 * Write all rows, then what "more" writes, and commit durably; times go to "latencies".  An
 * error leaves the transaction to the caller to abort.
 */
extern void te_store_commit(TeBatchRows *rows, TeLatencies *latencies, void (*more)(void *arg),
                            void *arg);

#endif
