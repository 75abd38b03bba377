-- Stored predictions decided again: as they were, or as they would be with changes.

CREATE TYPE trading.replayed_decision AS (
	lane integer, batch_no bigint, position integer, prediction_index integer,
	signal_id uuid, company_id text, user_id text, strategy_id text, account_id text, symbol text, prediction_id text,
	batch_id text, producer_id text, correlation_id text,
	outcome text, hold_reason text, signal_type text,
	signal_strength float8, consensus_score float8, market_favorability float8,
	order_type text, execution_urgency text, entry_price float8, limit_price float8,
	stop_loss float8, take_profit float8, reward_risk_ratio float8, position_size float8, max_loss float8,
	timing_strategy text, trigger_price float8, expires_at timestamptz,
	auto_execute boolean, max_slippage_pips float8, time_in_force text, execution_algorithm text,
	risk_status text, risk_level text, cancellation_reason text, risk_notes text[],
	original_position_size float8, original_stop_loss float8,
	generated_at timestamptz, decided_at timestamptz, strategy_version bigint,
	legs jsonb, rule_failed boolean, inputs bytea);
COMMENT ON TYPE trading.replayed_decision IS
	'a decision as trading.replay() returns it: columns of trading.signals, and where the prediction is';
COMMENT ON COLUMN trading.replayed_decision.position IS 'message of the batch: position in trading.prediction_batches';
COMMENT ON COLUMN trading.replayed_decision.prediction_index IS 'prediction of the message, from 0';
COMMENT ON COLUMN trading.replayed_decision.signal_id IS 'the id that the signal has, or would have';
COMMENT ON COLUMN trading.replayed_decision.risk_status IS 'what follows was done to the signal that was recorded; NULL: nothing, or none was';
COMMENT ON COLUMN trading.replayed_decision.strategy_version IS 'version of the strategy''s row; changes don''t count it on';
COMMENT ON COLUMN trading.replayed_decision.legs IS 'legs of a position that is split, as trading.decide() writes them';
COMMENT ON COLUMN trading.replayed_decision.rule_failed IS 'the custom rule could not be evaluated';
COMMENT ON COLUMN trading.replayed_decision.inputs IS 'the six inputs of the decision, with with_inputs: trading.decision_inputs() shows them';

CREATE FUNCTION trading.replay(from_time timestamptz, to_time timestamptz, changes jsonb DEFAULT '{}',
		company_id text DEFAULT NULL, user_id text DEFAULT NULL, strategy_id text DEFAULT NULL,
		symbol text DEFAULT NULL, strategies text DEFAULT 'recorded',
		outcomes text[] DEFAULT '{SIGNAL,HOLD,RISK_REJECTED}', workers integer DEFAULT NULL,
		with_inputs boolean DEFAULT false)
	RETURNS SETOF trading.replayed_decision
	AS 'MODULE_PATHNAME', 'te_sql_replay'
	LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER COST 1000000 ROWS 10000
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.replay(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer, boolean) IS
	'decides stored predictions again, those of [from_time, to_time) by the lanes'' clock, with the strategies as they were (recorded) or as this transaction has them (current), and with changes laid over the users'' own rows; accounts and assessments are those recorded, repetitions are found anew';

CREATE FUNCTION trading.read_replay_progress(
	OUT pid integer, OUT function text, OUT company_id text, OUT user_id text, OUT phase text, OUT workers integer,
	OUT messages_done bigint, OUT messages_total bigint, OUT predictions_done bigint, OUT predictions_total bigint,
	OUT decisions bigint, OUT rows bigint, OUT started_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_read_replay_progress'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED SECURITY DEFINER ROWS 4 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_replay_progress() IS 'what trading.stat_progress_replay shows';

CREATE VIEW trading.stat_progress_replay WITH (security_invoker) AS
	SELECT * FROM trading.read_replay_progress() AS p;
COMMENT ON VIEW trading.stat_progress_replay IS
	'replays, what-ifs and sweeps that run now in this database: all of them for administrators, a tenant''s own for tenants';
COMMENT ON COLUMN trading.stat_progress_replay.pid IS 'process of the session; pg_cancel_backend(pid) ends the run and its workers';
COMMENT ON COLUMN trading.stat_progress_replay.function IS 'what runs: replay, what_if or sweep';
COMMENT ON COLUMN trading.stat_progress_replay.company_id IS 'company that it is limited to; NULL: all';
COMMENT ON COLUMN trading.stat_progress_replay.user_id IS 'user that it is limited to; NULL: all';
COMMENT ON COLUMN trading.stat_progress_replay.phase IS 'finding messages, deciding, finishing';
COMMENT ON COLUMN trading.stat_progress_replay.workers IS 'parallel workers that were asked for';
COMMENT ON COLUMN trading.stat_progress_replay.messages_total IS 'stored messages in the range; NULL while they are being found';
COMMENT ON COLUMN trading.stat_progress_replay.predictions_total IS 'predictions in them; NULL while they are being found';
COMMENT ON COLUMN trading.stat_progress_replay.decisions IS 'decisions made';
COMMENT ON COLUMN trading.stat_progress_replay.rows IS 'results handed to the session';

REVOKE ALL ON FUNCTION trading.replay(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer, boolean),
	trading.read_replay_progress() FROM PUBLIC;
REVOKE ALL ON trading.stat_progress_replay FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading.replay(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer, boolean),
	trading.read_replay_progress() TO trading_admin, trading_tenant;
GRANT SELECT ON trading.stat_progress_replay TO trading_admin, trading_tenant;
