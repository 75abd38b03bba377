-- What may be stored as a strategy, and what follows from a change.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_strategies;
\c trading_strategies
\set ECHO none
\i :companies
\set ECHO all

-- Every parameter is a column of strategies and of tiers, with its range.
SELECT p.name FROM trading.strategy_parameters() AS p, (VALUES ('trading.strategies'::regclass), ('trading.tiers')) AS t (relation)
 WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
	WHERE a.attrelid = t.relation AND a.attname = p.name AND format_type(a.atttypid, -1) = p.sql_type
	  AND col_description(a.attrelid, a.attnum) = p.doc);
SELECT p.name FROM trading.strategy_parameters() AS p
 WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = 'trading.effective_strategies'::regclass AND a.attname = p.name);

-- The tiers that come with it (spec: FREE, PRO, ENTERPRISE).
SELECT tier, rank, min_confidence_threshold, min_consensus_score, max_position_count, pattern_trading_enabled AS pattern,
       advanced_features_enabled AS advanced, custom_strategies_enabled AS custom, algorithmic_execution_enabled AS algorithmic,
       (SELECT array_agg(i ORDER BY i) FROM unnest(available_instruments) AS i) AS instruments
  FROM trading.tiers ORDER BY rank;

\c - te_bob
-- Ranges: the edge is in, one step beyond is out, infinity and NaN always.
\set VERBOSITY terse
UPDATE trading.strategies SET risk_percent = 100, min_confidence_threshold = 1, leg_count = 5, max_prediction_age_ms = 1;
UPDATE trading.strategies SET risk_percent = 100.1;
UPDATE trading.strategies SET risk_percent = 0;
UPDATE trading.strategies SET min_confidence_threshold = -0.001;
UPDATE trading.strategies SET max_spread_pips = 'Infinity';
UPDATE trading.strategies SET max_spread_pips = 'NaN';
UPDATE trading.strategies SET leg_count = 6;
UPDATE trading.strategies SET volatility_mode = 'aggressive';
UPDATE trading.strategies SET allowed_regimes = '{TRENDING,NONSENSE}';
UPDATE trading.strategies SET strength_weights = '{0,0,0,0,0}';
UPDATE trading.strategies SET strength_weights = '{1,0,0,0}';
UPDATE trading.strategies SET available_instruments = '{*,EURUSD}';
-- IOC needs market orders.
UPDATE trading.strategies SET time_in_force = 'IOC';
UPDATE trading.strategies SET time_in_force = 'IOC', prefer_market_orders = true;

-- What the tier doesn't have: the error names the parameter, the tier, and who has it.
UPDATE trading.strategies SET custom_rule = '$.prediction.confidence > 0.9';
UPDATE trading.strategies SET execution_algorithm = 'TWAP';
UPDATE trading.strategies SET enable_multi_leg_strategies = true;
UPDATE trading.strategies SET advanced_features_enabled = true;
UPDATE trading.strategies SET max_position_count = 4;
UPDATE trading.strategies SET max_position_count = 3;
UPDATE trading.strategies SET available_instruments = '{EURUSD,USDJPY}';
-- Asking for less is always allowed.
UPDATE trading.strategies SET available_instruments = '{EURUSD}', custom_strategies_enabled = false, execution_algorithm = 'NONE';
-- More than one strategy per user needs advanced features.
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('beta', 'bob', 'second');
\c - te_tom
\set VERBOSITY terse
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', 'second');

-- The key stays, versions count, and created_at is the server's.
UPDATE trading.strategies SET name = 'renamed' WHERE strategy_id = 'second' RETURNING version, updated_at >= created_at AS touched;
UPDATE trading.strategies SET name = repeat('x', 1025) WHERE strategy_id = 'second';
UPDATE trading.strategies SET available_instruments = array_fill('EURUSD'::text, ARRAY[1000]) WHERE strategy_id = 'second';
UPDATE trading.strategies SET available_instruments = array_fill('EURUSD'::text, ARRAY[1001]) WHERE strategy_id = 'second';
UPDATE trading.strategies SET available_instruments = NULL WHERE strategy_id = 'second';
UPDATE trading.strategies SET strategy_id = 'third' WHERE strategy_id = 'second';
INSERT INTO trading.strategies (company_id, user_id, strategy_id, version) VALUES ('acme', 'tom', 'third', 9);
\c - te_admin
\set VERBOSITY terse
UPDATE trading.strategies SET strategy_id = 'third' WHERE strategy_id = 'second';
UPDATE trading.strategies SET version = 77, created_at = 'epoch' WHERE strategy_id = 'second' RETURNING version, created_at > 'epoch' AS kept;
-- A strategy needs its account; the company's row has none, and no name but _all.
INSERT INTO trading.strategies (company_id, user_id, strategy_id, account_id) VALUES ('acme', 'tom', 'third', 'savings');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', '_all', 'main');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', '_all');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', 'has space');
INSERT INTO trading.companies (company_id, tier) VALUES ('_all', 'PRO');
INSERT INTO trading.companies (company_id, tier) VALUES ('a.b', 'PRO');
INSERT INTO trading.users (company_id, user_id) VALUES ('acme', '_all');
INSERT INTO trading.users (company_id, user_id, role) VALUES ('acme', 'zoe', 'owner');
INSERT INTO trading.accounts (company_id, user_id, account_id, currency, equity) VALUES ('acme', 'tom', 'savings', 'USD', -1);
INSERT INTO trading.accounts (company_id, user_id, account_id, currency, equity) VALUES ('acme', 'tom', 'savings', 'USD', 'NaN');
INSERT INTO trading.instruments (symbol, asset_class, base_currency, quote_currency, pip_size, tick_size, contract_size, lot_min, lot_step, lot_max)
VALUES ('ODD', 'other', 'ODD', 'USD', 1, 1, 1, 0.05, 0.02, 1);

-- Layers: the tier's default, the user's own, the company's row, and what the tier doesn't lift.
UPDATE trading.strategies SET min_confidence_threshold = 0.9, max_spread_pips = 1, stop_loss_pips = 33, auto_execute = true
 WHERE user_id = 'ann';
UPDATE trading.strategies SET min_confidence_threshold = 0.8, max_spread_pips = 2, stop_loss_pips = 44, take_profit_pips = 55
 WHERE company_id = 'acme' AND user_id = '_all';
SELECT p.name, to_jsonb(e) ->> p.name AS value, e.layers ->> p.name AS layer
  FROM trading.effective_strategies AS e, trading.strategy_parameters() AS p
 WHERE e.user_id = 'ann' AND e.layers ->> p.name <> 'DEFAULT' ORDER BY 1;
-- A company that moves to a smaller tier loses what it lacks, without a change of its rows.
UPDATE trading.strategies SET enable_multi_leg_strategies = true, max_position_count = 8 WHERE user_id = 'ann';
UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'acme';
SELECT enable_multi_leg_strategies, max_position_count, available_instruments,
       layers ->> 'enable_multi_leg_strategies' AS legs_from, layers ->> 'max_position_count' AS count_from
  FROM trading.effective_strategies WHERE user_id = 'ann';
-- It has several strategies per user no more: the first of each, by creation and then by id, goes on.
SELECT user_id, strategy_id, enabled, layers ->> 'enabled' AS enabled_from FROM trading.effective_strategies ORDER BY 1, 2;
-- A company that does without advanced features is as one that lacks them.
BEGIN;
UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'acme';
SELECT strategy_id, enabled, layers ->> 'enabled' AS enabled_from FROM trading.effective_strategies WHERE user_id = 'tom' ORDER BY 1;
UPDATE trading.strategies SET advanced_features_enabled = false WHERE company_id = 'acme' AND user_id = '_all';
SELECT strategy_id, enabled, layers ->> 'enabled' AS enabled_from FROM trading.effective_strategies WHERE user_id = 'tom' ORDER BY 1;
ROLLBACK;
-- Who is no administrator sees the same of its own.
\c - te_tom
\set VERBOSITY terse
SELECT strategy_id, enabled, layers ->> 'enabled' AS enabled_from FROM trading.effective_strategies ORDER BY 1;
\c - te_admin
\set VERBOSITY terse
-- Such a row's parameters may be changed only into ones that the tier allows.
UPDATE trading.strategies SET name = 'still too much' WHERE user_id = 'ann';
UPDATE trading.strategies SET risk_percent = 0.3 WHERE user_id = 'ann';
UPDATE trading.strategies SET name = 'less', enable_multi_leg_strategies = NULL, max_position_count = NULL WHERE user_id = 'ann';

-- The log: one row per key, whatever the statement, in the transaction that made the change.
\c - :superuser
TRUNCATE trading.strategy_changes;
CREATE TEMP VIEW log AS SELECT kind, company_id, user_id, strategy_id, item, xid = pg_current_xact_id() AS mine FROM trading.strategy_changes;
BEGIN;
UPDATE trading.strategies SET name = 'new' WHERE company_id = 'acme' AND strategy_id = 'main';
UPDATE trading.tiers SET rank = rank + 10;
UPDATE trading.companies SET name = 'Beta' WHERE company_id = 'beta';
INSERT INTO trading.users (company_id, user_id) VALUES ('beta', 'joe');
UPDATE trading.users SET user_id = 'moe' WHERE user_id = 'joe';
INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES ('beta', 'moe', 'EUR', 1);
UPDATE trading.accounts SET equity = 2 WHERE user_id = 'moe' RETURNING updated_at = now() AS touched;
UPDATE trading.producers SET enabled = false WHERE company_id = '_all';
DELETE FROM trading.instruments WHERE symbol = 'ETHUSD';
DELETE FROM trading.users WHERE user_id = 'moe';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) SELECT 'beta', 'nobody', 'x' WHERE false;
SELECT * FROM log ORDER BY 1, 2, 3, 4, 5;
ROLLBACK;
SELECT count(*) FROM trading.strategy_changes;
-- Also as a replica, and for TRUNCATE.
SET session_replication_role = replica;
UPDATE trading.companies SET name = 'Acme' WHERE company_id = 'acme';
TRUNCATE trading.producers;
RESET session_replication_role;
SELECT kind, company_id, item FROM trading.strategy_changes ORDER BY change_id;
-- Deleting a company takes its configuration along, not its signals.
DELETE FROM trading.companies WHERE company_id = 'acme';
SELECT (SELECT count(*) FROM trading.strategies WHERE company_id = 'acme') AS strategies,
       (SELECT count(*) FROM trading.signals WHERE company_id = 'acme') AS signals;

\c :home :superuser
DROP DATABASE trading_strategies WITH (FORCE);
\set ECHO none
\i :no_companies
