-- Ten companies, each with one strategy on a symbol of its own, so that every
-- prediction of the bench becomes one signal; and 990 strategies that none passes.
-- Signals that repeat themselves, at any time of the week, are what a bench is made of.
DELETE FROM trading.instrument_sessions;
UPDATE trading.tiers SET duplicate_window_seconds = 0, max_position_count = 10000;
INSERT INTO trading.companies (company_id, tier)
SELECT 'bench' || n, 'ENTERPRISE' FROM generate_series(0, 9) AS n;
INSERT INTO trading.users (company_id, user_id) SELECT c.company_id, 'trader' FROM trading.companies AS c;
INSERT INTO trading.accounts (company_id, user_id, currency, equity, conversion_rate)
SELECT u.company_id, u.user_id, 'USD', 100000, 1 FROM trading.users AS u;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, available_instruments, allowed_regimes, min_confidence_threshold)
SELECT c.company_id, 'trader', 's' || n,
       ARRAY[(ARRAY['EURUSD', 'GBPUSD', 'AUDUSD', 'NZDUSD', 'USDJPY', 'USDCAD', 'USDCHF', 'EURGBP', 'EURJPY', 'GBPJPY'])
	[1 + right(c.company_id, 1)::integer]],
       '{UNKNOWN,RANGING,TRENDING,LOW_VOLATILITY,HIGH_VOLATILITY}',
       CASE n WHEN 0 THEN 0.7 ELSE 0.95 END
  FROM trading.companies AS c, generate_series(0, 99) AS n;
INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'bench');
