-- Three companies of three tiers, and database roles for some of their users.
BEGIN;

INSERT INTO trading.companies (company_id, name, tier) VALUES
	('alder', 'Alder Savings', 'FREE'),
	('birch', 'Birch Brokers', 'PRO'),
	('cedar', 'Cedar Capital', 'ENTERPRISE');

INSERT INTO trading.users (company_id, user_id, name, role) VALUES
	('alder', 'amy', 'Amy', 'trader'),
	('alder', 'abe', 'Abe', 'trader'),
	('birch', 'bob', 'Bob', 'trader'),
	('birch', 'bea', 'Bea', 'admin'),
	('cedar', 'cid', 'Cid', 'admin'),
	('cedar', 'cleo', 'Cleo', 'trader');

INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES
	('alder', 'amy', 'USD', 5000),
	('alder', 'abe', 'USD', 2000),
	('birch', 'bob', 'USD', 50000),
	('birch', 'bea', 'USD', 80000),
	('cedar', 'cid', 'USD', 200000),
	('cedar', 'cleo', 'USD', 60000);

-- Anybody's predictions are accepted from the predictor, and from nobody else.
INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'predictor');
-- And reports about a company's orders from its terminal.
INSERT INTO trading.producers (company_id, producer_id) VALUES
	('alder', 'terminal'), ('birch', 'terminal'), ('cedar', 'terminal');

-- Whoever has no row of parameters trades by the tier's defaults.
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name) VALUES
	('alder', 'amy', 'default', 'what the tier gives'),
	('alder', 'abe', 'default', 'what the tier gives');

INSERT INTO trading.strategies (company_id, user_id, strategy_id, name,
	risk_percent, prefer_market_orders, time_in_force, signal_ttl_seconds) VALUES
	('birch', 'bob', 'market', 'market orders, 1 % at risk', 1, true, 'IOC', 120);
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name,
	position_sizing, stop_loss_mode, stop_loss_atr_multiple, volatility_mode, min_confidence_threshold) VALUES
	('birch', 'bea', 'volatility', 'size and stops by volatility', 'VOLATILITY_TARGET', 'ATR', 2, 'NEUTRAL', 0.75);
-- The company's own row overrides its users': none may risk more than 2 %, or trade a wide spread.
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name, risk_percent, max_spread_pips) VALUES
	('birch', '_all', '_all', 'house rules', 2, 2.5);

INSERT INTO trading.strategies (company_id, user_id, strategy_id, name,
	enable_multi_leg_strategies, leg_count, leg_spacing_pips, advanced_timing, auto_execute) VALUES
	('cedar', 'cid', 'legs', 'three legs, waits', true, 3, 4, true, true);
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name,
	position_sizing, kelly_fraction, min_confidence_threshold, take_profit_mode, take_profit_pips,
	stop_loss_pips, execution_algorithm) VALUES
	('cedar', 'cid', 'kelly', 'a quarter of Kelly', 'KELLY', 0.25, 0.8, 'PIPS', 30, 15, 'TWAP');
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name,
	custom_rule, trend_following_enabled, duplicate_window_seconds, duplicate_distance_pips) VALUES
	('cedar', 'cleo', 'rule', 'its own rule: tight spreads',
	 '$.consensus >= 0.8 && $.market.spread_pips < 2', false, 120, 2);

CREATE ROLE demo_amy LOGIN IN ROLE trading_tenant;
CREATE ROLE demo_bob LOGIN IN ROLE trading_tenant;
CREATE ROLE demo_cid LOGIN IN ROLE trading_tenant;
INSERT INTO trading.logins (role_name, company_id, user_id) VALUES
	('demo_amy', 'alder', 'amy'),
	('demo_bob', 'birch', 'bob'),
	('demo_cid', 'cedar', 'cid');

COMMIT;
