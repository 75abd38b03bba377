-- Every parameter can be set by UPDATE, shows in the view, and changes a decision.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set decision :here '/include/decision.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_effective;
\c trading_effective
\set ECHO none
\i :companies
UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'acme';
DELETE FROM trading.strategies WHERE user_id = '_all';
\c - te_tom
\i :decision
\set ECHO all

-- For each parameter two values, the rest of the strategy, and the inputs (as changes to a plain decision) where
-- they make a difference.  Windows for repetitions and the parts of an order count after a decision: 140_duplicates.pl has them.
CREATE TEMP TABLE pair (name text PRIMARY KEY, one text NOT NULL, other text NOT NULL, rest jsonb DEFAULT '{}',
	prediction jsonb DEFAULT '{}', market jsonb DEFAULT '{}', account jsonb DEFAULT '{}');
INSERT INTO pair (name, one, other) VALUES
	('enabled', 'true', 'false'), ('available_instruments', '{EURUSD}', '{GBPUSD}'), ('min_confidence_threshold', '0.8', '0.95'), ('min_consensus_score', '0.5', '0.95'),
	('allowed_regimes', '{RANGING}', '{TRENDING}'), ('min_market_favorability', '0', '1'), ('max_prediction_age_ms', '500', '5000'), ('custom_rule', '1 == 1', '1 == 2'),
	('strength_weights', '{1,0,0,0,0}', '{0,0,0,1,0}'), ('prefer_market_orders', 'true', 'false'), ('limit_order_discount_pips', '1', '2'), ('max_limit_deviation_pips', '1', '10'),
	('stop_loss_pips', '10', '20'), ('reward_risk_ratio', '2', '3'), ('min_reward_risk_ratio', '1', '5'), ('position_sizing', 'FIXED_LOT', 'RISK_PERCENT'),
	('risk_percent', '0.5', '1'), ('max_position_size', '0.1', '0.2'), ('enable_multi_leg_strategies', 'true', 'false'), ('auto_execute', 'true', 'false'),
	('max_slippage_pips', '1', '2'), ('time_in_force', 'GTC', 'DAY'), ('execution_algorithm', 'NONE', 'TWAP'), ('signal_ttl_seconds', '100', '200');
INSERT INTO pair (name, one, other, rest) VALUES
	('advanced_features_enabled', 'true', 'false', '{"enable_multi_leg_strategies": true}'), ('custom_strategies_enabled', 'true', 'false', '{"custom_rule": "1 == 2"}'),
	('algorithmic_execution_enabled', 'true', 'false', '{"execution_algorithm": "TWAP"}'), ('take_profit_mode', 'PIPS', 'RISK_REWARD', '{"take_profit_pips": 50}'),
	('take_profit_pips', '50', '60', '{"take_profit_mode": "PIPS"}'), ('fixed_lot', '0.02', '0.03', '{"position_sizing": "FIXED_LOT"}'),
	('kelly_fraction', '0.01', '0.02', '{"position_sizing": "KELLY"}'), ('kelly_max_percent', '1', '2', '{"position_sizing": "KELLY", "kelly_fraction": 1}'),
	('leg_count', '2', '3', '{"enable_multi_leg_strategies": true}'), ('leg_spacing_pips', '5', '6', '{"enable_multi_leg_strategies": true}');
INSERT INTO pair (name, one, other, rest, prediction, market, account) VALUES
	('max_position_count', '1', '2', '{}', '{}', '{}', '{"open_positions": 1}'),
	('pattern_trading_enabled', 'true', 'false', '{}', '{"patterns": [{"name": "p", "direction": "BEARISH", "probability": 0.9}]}', '{}', '{}'),
	('min_pattern_probability', '0.5', '0.95', '{}', '{"patterns": [{"name": "p", "direction": "BEARISH", "probability": 0.9}]}', '{}', '{}'),
	('advanced_timing', 'true', 'false', '{}', '{}', '{"atr": 0.001, "ema": 1.09}', '{}'),
	('timing_extension_atr', '2', '3', '{"advanced_timing": true}', '{}', '{"atr": 0.001, "ema": 1.09}', '{}'),
	('volatility_mode', 'CONSERVATIVE', 'NEUTRAL', '{}', '{}', '{"regime": "HIGH_VOLATILITY"}', '{}'),
	('trend_following_enabled', 'true', 'false', '{}', '{"confidence": 0.8}', '{"trend": "DOWN"}', '{}'),
	('counter_trend_confidence_threshold', '0.7', '0.95', '{}', '{}', '{"trend": "DOWN"}', '{}'),
	('max_spread_pips', '1', '3', '{}', '{}', '{"spread_pips": 2}', '{}'),
	('limit_order_premium_pips', '1', '2', '{}', '{"direction": "SELL", "predicted_price": 1.09}', '{}', '{}'),
	('stop_loss_mode', 'PIPS', 'ATR', '{}', '{}', '{"atr": 0.002}', '{}'),
	('stop_loss_atr_multiple', '1', '2', '{"stop_loss_mode": "ATR"}', '{}', '{"atr": 0.002}', '{}'),
	('min_stop_spread_multiple', '2', '20', '{}', '{}', '{"spread_pips": 2}', '{}'),
	('target_volatility_percent', '0.1', '0.2', '{"position_sizing": "VOLATILITY_TARGET"}', '{}', '{"atr": 0.002}', '{}'),
	('weak_signal_size_factor', '0.5', '1', '{}', '{"direction": "WEAK_BUY"}', '{}', '{}');
SELECT name AS not_shown_here FROM trading.strategy_parameters() EXCEPT SELECT name FROM pair ORDER BY 1;

-- Set the strategy to one value, and decide with what the view shows; what a gate looked at doesn't count.
CREATE FUNCTION pg_temp.decide_with(p pair, value text, OUT shown boolean, OUT decision jsonb)
	LANGUAGE plpgsql
AS $$
DECLARE
	others text;
	view_row jsonb;
BEGIN
	SELECT string_agg(format('%I = %L::%s', s.name, CASE s.name WHEN p.name THEN value ELSE p.rest ->> s.name END, s.sql_type), ', ')
	  INTO others FROM trading.strategy_parameters() AS s;
	EXECUTE format('UPDATE trading.strategies SET %s WHERE user_id = ''tom''', others);
	SELECT to_jsonb(e) INTO STRICT view_row FROM trading.effective_strategies AS e WHERE e.user_id = 'tom';
	EXECUTE format('SELECT e.%1$I = %2$L::%3$s AND e.layers ->> %1$L = ''USER'' FROM trading.effective_strategies AS e WHERE e.user_id = ''tom''',
		p.name, value, (SELECT s.sql_type FROM trading.strategy_parameters() AS s WHERE s.name = p.name)) INTO STRICT shown;
	decision := pg_temp.decision(p.prediction,
		(SELECT jsonb_object_agg(s.name, view_row -> s.name) FROM trading.strategy_parameters() AS s WHERE view_row -> s.name <> 'null'),
		p.market, '{}', p.account) - 'steps';
END
$$;
CREATE TEMP TABLE result AS
	SELECT p.name, a.shown AND b.shown AS shown, a.decision AS one, b.decision AS other
	  FROM pair AS p, LATERAL pg_temp.decide_with(p, p.one) AS a, LATERAL pg_temp.decide_with(p, p.other) AS b;
SELECT count(*) AS parameters, count(*) FILTER (WHERE shown) AS shown, count(*) FILTER (WHERE one <> other) AS effective FROM result;
SELECT name, shown, one <> other AS effective, one, other FROM result WHERE (shown AND one <> other) IS NOT TRUE;
-- In what they differ.
SELECT r.name, r.one ->> 'outcome' AS one, r.other ->> 'outcome' AS other,
       (SELECT string_agg(key, ' ' ORDER BY key) FROM (SELECT o.key FROM jsonb_each(r.one || '{}') AS o WHERE r.other -> o.key IS DISTINCT FROM o.value
		UNION SELECT o.key FROM jsonb_each(r.other) AS o WHERE r.one -> o.key IS DISTINCT FROM o.value) AS k) AS differ
  FROM result AS r ORDER BY 1;

\c :home :superuser
DROP DATABASE trading_effective WITH (FORCE);
\set ECHO none
\i :no_companies
