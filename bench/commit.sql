-- The row that a decision stores, committed alone: what any durable engine has to pay.
INSERT INTO trading.signals (lane, batch_no, position, ordinal, out_epoch, out_seq, signal_id, company_id, user_id, account_id, strategy_id,
	symbol, prediction_id, batch_id, producer_id, correlation_id, outcome, signal_type, signal_strength,
	consensus_score, market_favorability, order_type, execution_urgency, entry_price, limit_price, stop_loss,
	take_profit, reward_risk_ratio, position_size, max_loss, timing_strategy, expires_at, auto_execute,
	max_slippage_pips, time_in_force, execution_algorithm, generated_at, decided_at, simulated, strategy_version,
	core_version, inputs)
VALUES (99, 1, 0, 0, 1, 1, gen_random_uuid(), 'bench0', 'trader', 'main', 's0', 'EURUSD', 'p', 'b', 'bench', 'c', 'SIGNAL', 'BUY', 0.9,
	0.9, 0.5, 'LIMIT', 'PATIENT', 1.0998, 1.0998, 1.0978, 1.1038, 2, 0.5, 100, 'IMMEDIATE', now(), false, 2, 'GTC',
	'NONE', now(), now(), true, 1, 1, sha256('x') || sha256('y') || sha256('z') || sha256('u') || sha256('v'));
