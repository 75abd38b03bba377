-- Two companies: acme (ann, its admin; tom, a trader; vic, a viewer) and beta (bob, a trader).
-- te_nobody is a tenant without a company, te_admin an administrator, te_stranger has no role of ours.
SET client_min_messages = warning;
-- No worker runs here, because its lanes aren't 0 to n: rows stay as they are.
BEGIN;
CREATE EXTENSION trading_engine;
UPDATE trading.lanes SET lane = lane + 100;
COMMIT;

DO $roles$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['te_ann', 'te_tom', 'te_vic', 'te_bob', 'te_nobody', 'te_admin', 'te_stranger'] LOOP
		EXECUTE format('CREATE ROLE %I LOGIN', name);
	END LOOP;
END
$roles$;
GRANT trading_tenant TO te_ann, te_tom, te_vic, te_bob, te_nobody;
GRANT trading_admin TO te_admin;

INSERT INTO trading.companies (company_id, tier) VALUES ('acme', 'PRO'), ('beta', 'FREE');
INSERT INTO trading.users (company_id, user_id, role) VALUES
	('acme', 'ann', 'admin'), ('acme', 'tom', 'trader'), ('acme', 'vic', 'viewer'), ('beta', 'bob', 'trader');
INSERT INTO trading.logins (role_name, company_id, user_id)
SELECT 'te_' || user_id, company_id, user_id FROM trading.users;
INSERT INTO trading.accounts (company_id, user_id, currency, equity)
SELECT company_id, user_id, 'USD', 10000 FROM trading.users;
INSERT INTO trading.producers (company_id, producer_id, token_sha256) VALUES
	('acme', 'acme_models', sha256('secret')), ('beta', 'beta_models', NULL), ('_all', 'everybody', NULL);
INSERT INTO trading.strategies (company_id, user_id, strategy_id)
SELECT company_id, user_id, 'main' FROM trading.users;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_spread_pips) VALUES ('acme', '_all', '_all', 2);

-- What a lane would write: something of every user, of each company as a whole, and a broadcast.
CREATE TEMP VIEW everybody AS
	SELECT company_id, user_id FROM trading.users UNION ALL SELECT company_id, '_all' FROM trading.companies
	UNION ALL SELECT '_all', '_all';
INSERT INTO trading.signals (lane, batch_no, position, ordinal, out_epoch, out_seq, signal_id, company_id, user_id, account_id, strategy_id,
	symbol, prediction_id, outcome, generated_at, decided_at, simulated, strategy_version, core_version, inputs)
SELECT 0, 1, 0, row_number() OVER (), 1, row_number() OVER (), gen_random_uuid(), company_id, user_id, 'main', 'main',
	'EURUSD', 'p1', 'SIGNAL', now(), now(), false, 1, 1, '\x' FROM trading.users;
INSERT INTO trading.signal_legs (company_id, user_id, signal_id, leg, order_type, entry_price, stop_loss,
	take_profit, position_size)
SELECT company_id, user_id, signal_id, 0, 'LIMIT', 1.1, 1.09, 1.12, 0.1 FROM trading.signals;
INSERT INTO trading.executions (company_id, user_id, execution_id, signal_id, account_id, symbol, status, executed_price, executed_size,
	executed_at, side, simulated, content_hash, source, lane, batch_no, position)
SELECT company_id, user_id, 'x1', signal_id, 'main', symbol, 'FILLED', 1.1, 0.1, now(), 1, false, sha256(''), 'nats', 0, 1, 0 FROM trading.signals;
INSERT INTO trading.trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
	confidence, position_size, pip_size, lot_step, contract_size, currency, base_currency, quote_currency, state, filled, closed, commission, working,
	stopped_out, reports, lane, batch_no)
SELECT company_id, signal_id, user_id, 'main', strategy_id, symbol, 1, prediction_id, false, generated_at, decided_at,
	0.9, 0.1, 0.0001, 0.01, 100000, 'USD', 'EUR', 'USD', 'OPEN', 0.1, 0, 0, false, false, 1, 0, 1 FROM trading.signals;
INSERT INTO trading.position_history (company_id, user_id, account_id, symbol, simulated, batch_no, lane, first, side, lots, realised,
	total_realised, total_commission, fills, cycles, steps, closed_steps, owed_steps, lot_step)
SELECT company_id, user_id, 'main', symbol, false, 1, 0, true, 1, 0.1, 0, 0, 0, 1, 1, 10, 0, 0, 0.01 FROM trading.signals;
INSERT INTO trading.account_history (company_id, user_id, account_id, simulated, batch_no, lane, realised, peak, settled_peak, day_start, fills)
SELECT company_id, user_id, 'main', false, 1, 0, 0, 0, 0, 0, 1 FROM trading.signals;
-- Of everybody's, of each company's, of each user's; the user's own and that of somebody above.
CREATE TEMP VIEW scopes AS
	SELECT 'OPERATOR' AS authority, NULL AS company_id, NULL AS user_id
	UNION ALL SELECT 'COMPANY', company_id, NULL FROM trading.companies
	UNION ALL SELECT unnest(ARRAY['OPERATOR', 'USER']), company_id, user_id FROM trading.users;
INSERT INTO trading.risk_limits (authority, company_id, user_id, max_leverage) SELECT authority, company_id, user_id, 10 FROM scopes;
INSERT INTO trading.protections (authority, company_id, user_id, kind) SELECT authority, company_id, user_id, 'COOL_DOWN' FROM scopes;
INSERT INTO trading.trading_switches (authority, company_id, user_id) SELECT authority, company_id, user_id FROM scopes WHERE company_id IS NOT NULL;
INSERT INTO trading.news_rules (authority, company_id, user_id) SELECT authority, company_id, user_id FROM scopes;
INSERT INTO trading.protection_locks (authority, company_id, user_id, protection, kind, locked_at, locked_until)
SELECT authority, company_id, user_id, '', 'COOL_DOWN', now(), now() FROM scopes WHERE company_id IS NOT NULL;
INSERT INTO trading.model_weights (company_id, model_id, factor) SELECT company_id, 'm', 1.2 FROM trading.companies UNION ALL SELECT '_all', 'm', 1.1;
INSERT INTO trading.strategy_adjustments (company_id, user_id, strategy_id, adjusted_at, version, size_before, size_after, size_reason, closed_trades, new_trades)
SELECT company_id, user_id, 'main', now(), 1, 1, 0.8, 'HIGH_DRAWDOWN', 30, 30 FROM trading.users;
INSERT INTO trading.performance_parts (company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, piece)
SELECT t.company_id, l.level, 'month', l.level_user, l.level_strategy, l.level_symbol, false, 'USD', '2026-01-01',
       trading.performance_piece('2026-01-01Z', 1, 1, 0.9, 'FILLED', 100, 0)
  FROM trading.trades AS t, trading.performance_levels(t.user_id, t.strategy_id, t.symbol) AS l GROUP BY 1, 2, 4, 5, 6;
INSERT INTO trading.performance_signals (company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, signals, risk_rejected)
SELECT company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, 7, 1 FROM trading.performance_parts;
INSERT INTO trading.prediction_scores (company_id, user_id, producer_id, prediction_id, generated_at, model_id, symbol, horizon, side,
	confidence, price, band, ends_at, end_price, correct)
SELECT company_id, user_id, 'p', 'x', now(), '', 'EURUSD', '1 hour', 1, 0.7, 1.1, 0.0001, now(), 1.2, true FROM everybody;
INSERT INTO trading.score_sums (company_id, grain, model_id, symbol, horizon, starts_on, bin, right_votes, wrong_votes, unresolved_votes, confidence_sum, brier_sum)
SELECT DISTINCT company_id, 'month', '', 'EURUSD', interval '1 hour', date '2026-01-01', 7, 2, 1, 0, 2.1, 0.5 FROM everybody;
INSERT INTO trading.decision_counts (company_id, user_id, strategy_id, minute, outcome, lane, decisions)
SELECT company_id, user_id, 'main', date_trunc('minute', now()), 'STALE', 0, 7 FROM trading.users;
INSERT INTO trading.confidence_counts (company_id, user_id, symbol, minute, confidence, lane, predictions)
SELECT company_id, user_id, 'EURUSD', date_trunc('minute', now()), 70, 0, 7 FROM everybody;
INSERT INTO trading.prediction_batches (lane, batch_no, position, source, company_id, user_id, payload_hash, predictions, decided_at, message)
SELECT 0, 1, 0, 'nats', company_id, user_id, sha256(''), 1, now(), '\x' FROM everybody;
INSERT INTO trading.dead_letters (lane, batch_no, source, company_id, user_id, reason, message)
SELECT 0, 1, 'nats', company_id, user_id, 'MALFORMED', bytea '\x' FROM everybody UNION ALL SELECT 0, 1, 'nats', NULL, NULL, 'MALFORMED', '\x';
INSERT INTO trading.breaker_changes (lane, batch_no, company_id, changed_at, from_state, to_state, cause, wait_until)
SELECT 0, 1, company_id, now(), 'CLOSED', 'OPEN', 'FAILURE_RATE', now() FROM trading.companies UNION ALL SELECT 0, 1, NULL, now(), 'OPEN', 'HALF_OPEN', 'WAITED', NULL;
INSERT INTO trading.outbox (lane, batch_no, epoch, first_seq, last_seq, frames) VALUES (0, 1, 1, 1, 4, '\x');
INSERT INTO trading.gap_fills (lane, batch_no, epoch, seq, reason) VALUES (0, 1, 1, 2, 'EXPIRED');
INSERT INTO trading.routes (lane, version, route_epoch, state, cause, via, from_epoch, from_seq, cut_epoch, cut_seq, dwell)
	VALUES (0, 1, 1, 'NATS', 'ACKS_RESUMED', 'NATS', 1, 0, 0, 0, '30 s');
INSERT INTO trading.batches (lane, batch_no, epoch) VALUES (0, 1, 1);
INSERT INTO trading.inbox (kind, company_id, user_id, payload, submitted_by) SELECT 'predictions', company_id, user_id, '\x', 'x' FROM everybody;
DROP VIEW everybody;
ANALYZE;
RESET client_min_messages;
