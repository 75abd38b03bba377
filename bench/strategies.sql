-- :strategies strategies of users with an account each, a hundred users to a company, spread over
-- ten symbols.  A prediction with confidence 0.8 passes a hundred of its symbol's, at any hour and
-- however many positions there are.
DELETE FROM trading.instrument_sessions;
UPDATE trading.tiers SET max_position_count = 10000;
INSERT INTO trading.companies (company_id, tier)
SELECT 'bench-' || n, 'ENTERPRISE' FROM generate_series(0, (:strategies - 1) / 100) AS n;
INSERT INTO trading.users (company_id, user_id)
SELECT c.company_id, 'trader-' || n FROM trading.companies AS c, generate_series(0, 99) AS n;
INSERT INTO trading.accounts (company_id, user_id, currency, equity, conversion_rate)
SELECT u.company_id, u.user_id, 'USD', 100000, 1 FROM trading.users AS u;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, available_instruments, allowed_regimes,
	min_confidence_threshold, min_consensus_score, stop_loss_pips, reward_risk_ratio, risk_percent, duplicate_window_seconds)
SELECT u.company_id, u.user_id, 'main',
       ARRAY[(ARRAY['EURUSD', 'GBPUSD', 'AUDUSD', 'NZDUSD', 'USDJPY', 'USDCAD', 'USDCHF', 'EURGBP', 'EURJPY', 'GBPJPY'])[1 + u.n % 10]],
       '{UNKNOWN,RANGING,TRENDING,LOW_VOLATILITY,HIGH_VOLATILITY}',
       CASE WHEN u.n < 1000 THEN 0.7 ELSE 0.9 + (u.n % 100) * 0.001 END, 0.65, 15 + u.n % 10, 1.5, 0.5, 0
  FROM (SELECT u.*, row_number() OVER (ORDER BY u.company_id, u.user_id) - 1 AS n FROM trading.users AS u) AS u;
INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'bench');
ANALYZE;
