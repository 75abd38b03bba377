-- Strategy parameters: the list, the columns' checks, the merge of tier, user and company, and what a tier allows.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS trading_engine;
RESET client_min_messages;

CREATE FUNCTION pg_temp.complaint(statement text) RETURNS text
	LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- The table of the specification.
SELECT p.name, p.sql_type, p.default_value, p.low, p.low_open, p.high, p.free, p.pro, p.enterprise FROM trading.strategy_parameters() AS p;
SELECT p.name, p.merge, p.entitlement, p.labels FROM trading.strategy_parameters() AS p WHERE p.merge <> 'REPLACE' OR p.entitlement <> 'FREELY' OR p.labels IS NOT NULL;
SELECT p.name, p.check_expression FROM trading.strategy_parameters() AS p WHERE p.sql_type <> 'boolean' AND (p.low IS NULL OR p.name IN ('risk_percent', 'fixed_lot', 'leg_count', 'min_reward_risk_ratio'));
SELECT count(*) AS parameters, count(DISTINCT p.name) AS names, count(p.doc) AS described, count(p.check_expression) AS checked FROM trading.strategy_parameters() AS p;

-- Rows with a column for each.
CREATE TEMP TABLE tier (tier text);
CREATE TEMP TABLE strategy (id text);
DO $$
DECLARE
	p record;
	t text;
BEGIN
	FOR p IN SELECT * FROM trading.strategy_parameters() LOOP
		FOREACH t IN ARRAY '{tier,strategy}'::text[] LOOP
			EXECUTE format('ALTER TABLE %I ADD COLUMN %I %s CHECK (%s)', t, p.name, p.sql_type, p.check_expression);
		END LOOP;
	END LOOP;
	FOREACH t IN ARRAY '{FREE,PRO,ENTERPRISE}'::text[] LOOP
		EXECUTE (SELECT format('INSERT INTO tier (tier, %s) VALUES (%L, %s)', string_agg(quote_ident(s.name), ', '), t, string_agg(quote_literal(to_jsonb(s) ->> lower(t)), ', '))
			FROM trading.strategy_parameters() AS s WHERE to_jsonb(s) ->> lower(t) IS NOT NULL);
	END LOOP;
END
$$;
SELECT t.tier, t.available_instruments, t.min_confidence_threshold, t.min_consensus_score, t.max_position_count, t.pattern_trading_enabled, t.advanced_features_enabled, t.custom_strategies_enabled, t.algorithmic_execution_enabled, t.risk_percent FROM tier AS t;

-- A value that the column's check lets pass is good for the engine, and the other way round.
CREATE TEMP TABLE tried (name text, value text, good boolean);
INSERT INTO tried
	SELECT p.name, v.value, v.good
	  FROM trading.strategy_parameters() AS p,
	       LATERAL (VALUES
		(p.default_value, true), (p.free, true),
		(CASE WHEN p.low IS NOT NULL THEN CASE WHEN p.sql_type = 'integer' THEN p.low::text WHEN p.low_open THEN '5e-324' ELSE p.low::text END END, true),
		(CASE WHEN p.low IS NOT NULL THEN CASE WHEN p.sql_type = 'integer' THEN (p.low - 1)::text WHEN p.low_open THEN p.low::text ELSE '-5e-324' END END, false),
		(p.high::text, true),
		(CASE WHEN p.high IS NOT NULL THEN CASE WHEN p.sql_type = 'integer' THEN (p.high + 1)::text ELSE (p.high * 1.0000000000000002)::text END END, false),
		(CASE WHEN p.sql_type = 'double precision' THEN 'NaN' END, false),
		(CASE WHEN p.sql_type = 'double precision' THEN 'Infinity' END, false),
		(CASE WHEN p.labels IS NOT NULL AND p.sql_type = 'text' THEN lower(p.labels[1]) END, false)) AS v (value, good)
	 WHERE v.value IS NOT NULL AND p.name <> 'time_in_force'
	UNION ALL
	SELECT p.name, l.label, true FROM trading.strategy_parameters() AS p, unnest(p.labels) AS l (label) WHERE p.sql_type = 'text' AND p.name <> 'time_in_force'
	UNION ALL VALUES
	('available_instruments', '{}', true), ('available_instruments', '{*}', true), ('available_instruments', '{B,A,B}', true), ('available_instruments', '{*,EURUSD}', false),
	('available_instruments', '{""}', false), ('available_instruments', '{EURUSD,NULL}', false), ('available_instruments', '{{EURUSD},{GBPUSD}}', false),
	('allowed_regimes', '{}', true), ('allowed_regimes', '{UNKNOWN,UNKNOWN}', true), ('allowed_regimes', '{unknown}', false), ('allowed_regimes', '{NULL}', false), ('allowed_regimes', '{{UNKNOWN}}', false),
	('strength_weights', '{1,1,1,1,1}', true), ('strength_weights', '{0,0,0,0,5e-324}', true), ('strength_weights', '{0,0,0,0,0}', false), ('strength_weights', '{}', false), ('strength_weights', '{1,1,1,1}', false),
	('strength_weights', '{1,1,1,1,1,1}', false), ('strength_weights', '{1,1,1,1,NULL}', false), ('strength_weights', '{1,1,1,1,NaN}', false), ('strength_weights', '{1,1,1,1,-1}', false),
	('strength_weights', '{1,1,1,1,Infinity}', false), ('strength_weights', '{{1,1,1,1,1}}', false),
	('custom_rule', '$.consensus > 0.5', true), ('custom_rule', '', false), ('custom_rule', '$.a == "' || repeat('x', 1015) || '"', true), ('custom_rule', '$.a == "' || repeat('x', 1016) || '"', false);
-- The engine alone: a row type without checks.
CREATE TEMP TABLE unchecked AS SELECT * FROM strategy LIMIT 0;
CREATE FUNCTION pg_temp.verdicts(name text, value text, OUT by_check boolean, OUT by_engine boolean, OUT complaint text)
	LANGUAGE plpgsql
AS $$
BEGIN
	BEGIN
		EXECUTE format('INSERT INTO strategy (%I) VALUES (%L)', name, value);
		DELETE FROM strategy;
		by_check := true;
	EXCEPTION WHEN check_violation OR array_subscript_error OR feature_not_supported THEN
		by_check := false;
	END;
	BEGIN
		EXECUTE format('INSERT INTO unchecked (%I) VALUES (%L)', name, value);
		PERFORM trading.check_strategy((SELECT t FROM tier AS t WHERE t.tier = 'ENTERPRISE'), u, NULL) FROM unchecked AS u;
		by_engine := true;
	EXCEPTION
		WHEN check_violation THEN
			by_engine := false;
			complaint := SQLERRM;
		WHEN insufficient_privilege THEN
			by_engine := true; -- no range's fault
	END;
	DELETE FROM unchecked;
END
$$;
SELECT count(*) AS tried, count(*) FILTER (WHERE t.good) AS good, count(*) FILTER (WHERE v.by_check = t.good) AS by_check, count(*) FILTER (WHERE v.by_engine = t.good) AS by_engine
  FROM tried AS t, LATERAL pg_temp.verdicts(t.name, t.value) AS v;
SELECT t.name, left(t.value, 30) AS value, t.good, v.by_check, v.by_engine, v.complaint FROM tried AS t, LATERAL pg_temp.verdicts(t.name, t.value) AS v WHERE t.good <> v.by_check OR t.good <> v.by_engine;
-- Each names the parameter and what is allowed.
SELECT t.name, left(t.value, 30) AS value, v.complaint FROM tried AS t, LATERAL pg_temp.verdicts(t.name, t.value) AS v WHERE NOT t.good
   AND t.name IN ('min_confidence_threshold', 'risk_percent', 'max_spread_pips', 'leg_count', 'volatility_mode', 'available_instruments', 'allowed_regimes', 'strength_weights', 'custom_rule', 'signal_ttl_seconds');
SELECT count(*) FROM tried AS t, LATERAL pg_temp.verdicts(t.name, t.value) AS v WHERE NOT t.good AND v.complaint NOT LIKE '%"' || t.name || '"%';

-- What belongs together, and what only the engine can judge.
SELECT s.columns, pg_temp.complaint(format('SELECT trading.check_strategy((SELECT t FROM tier AS t WHERE t.tier = ''ENTERPRISE''), jsonb_populate_record(NULL::strategy, %L), NULL)', s.columns))
  FROM (VALUES
	('{"time_in_force": "IOC"}'::jsonb), ('{"time_in_force": "FOK", "prefer_market_orders": false}'), ('{"time_in_force": "IOC", "prefer_market_orders": true}'), ('{"time_in_force": "FOK", "prefer_market_orders": true}'), ('{"time_in_force": "DAY"}'),
	('{"custom_rule": "$.consensus"}'), ('{"custom_rule": "$.** > 1"}'), ('{"custom_rule": "$.consensus >"}'), ('{"custom_rule": "$.consensus > 1"}'), ('{}')) AS s (columns);

-- What a tier allows: asking for less is fine, asking for more says which tiers have it.
SELECT t.tier, s.columns, pg_temp.complaint(format('SELECT trading.check_strategy((SELECT t FROM tier AS t WHERE t.tier = %L), jsonb_populate_record(NULL::strategy, %L), ARRAY(SELECT t FROM tier AS t))', t.tier, s.columns))
  FROM unnest('{FREE,PRO,ENTERPRISE}'::text[]) WITH ORDINALITY AS t (tier, rank),
       (VALUES
	(1, '{"available_instruments": ["EURUSD"]}'::jsonb), (2, '{"available_instruments": ["EURUSD", "USDJPY"]}'), (3, '{"available_instruments": ["XAUUSD"]}'), (4, '{"available_instruments": ["*"]}'), (5, '{"available_instruments": []}'),
	(6, '{"max_position_count": 3}'), (7, '{"max_position_count": 4}'), (8, '{"max_position_count": 50}'), (9, '{"max_position_count": 51}'),
	(10, '{"pattern_trading_enabled": true}'), (11, '{"pattern_trading_enabled": false}'), (12, '{"advanced_features_enabled": true}'), (13, '{"custom_strategies_enabled": true}'), (14, '{"algorithmic_execution_enabled": true}'),
	(15, '{"enable_multi_leg_strategies": true}'), (16, '{"enable_multi_leg_strategies": false}'), (17, '{"advanced_timing": true}'),
	(18, '{"custom_rule": "$.consensus > 0.5"}'), (19, '{"execution_algorithm": "NONE"}'), (20, '{"execution_algorithm": "TWAP"}'),
	(21, '{"min_confidence_threshold": 0.1, "risk_percent": 100, "max_position_size": 1000}')) AS s (n, columns)
 ORDER BY s.n, t.rank;
-- Without the list of tiers, or a tier.
SELECT pg_temp.complaint('SELECT trading.check_strategy((SELECT t FROM tier AS t WHERE t.tier = ''FREE''), jsonb_populate_record(NULL::strategy, ''{"advanced_timing": true}''), NULL)'),
       pg_temp.complaint('SELECT trading.check_strategy(NULL::tier, jsonb_populate_record(NULL::strategy, ''{"advanced_timing": true}''), NULL)');
SELECT pg_temp.complaint('SELECT trading.check_strategy(NULL::tier, NULL::strategy, NULL)') AS nothing_to_say;

-- The merge. One line per case: tier, user's row, company's row, the parameter's value and the layer it came from.
CREATE FUNCTION pg_temp.merged(tier_name text, own jsonb, company jsonb, parameter text) RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	result record;
BEGIN
	SELECT m.* INTO result
	  FROM trading.merge_strategy((SELECT t FROM tier AS t WHERE t.tier = tier_name),
		CASE WHEN own IS NOT NULL THEN jsonb_populate_record(NULL::strategy, own) END,
		CASE WHEN company IS NOT NULL THEN jsonb_populate_record(NULL::strategy, company) END) AS m;
	RETURN COALESCE(to_jsonb(result) ->> parameter, 'NULL') || ' ' || (result.layers ->> parameter);
END
$$;
SELECT c.tier, c.parameter, c.own, c.company, pg_temp.merged(c.tier, jsonb_build_object(c.parameter, c.own), jsonb_build_object(c.parameter, c.company), c.parameter) AS result, c.expected,
       pg_temp.merged(c.tier, jsonb_build_object(c.parameter, c.own), jsonb_build_object(c.parameter, c.company), c.parameter) = c.expected AS ok
  FROM (VALUES
	-- default, tier, user, company
	('FREE', 'stop_loss_pips', NULL::jsonb, NULL::jsonb, '20 DEFAULT'), ('FREE', 'min_confidence_threshold', NULL, NULL, '0.8 TIER'), ('ENTERPRISE', 'min_confidence_threshold', NULL, NULL, '0.6 TIER'),
	('FREE', 'stop_loss_pips', '30', NULL, '30 USER'), ('FREE', 'stop_loss_pips', NULL, '40', '40 COMPANY'), ('FREE', 'stop_loss_pips', '30', '10', '10 COMPANY'), ('FREE', 'stop_loss_pips', '30', '40', '40 COMPANY'),
	(NULL, 'stop_loss_pips', NULL, NULL, '20 DEFAULT'), (NULL, 'min_confidence_threshold', '0.5', NULL, '0.5 USER'),
	('FREE', 'volatility_mode', '"NEUTRAL"', '"AGGRESSIVE"', 'AGGRESSIVE COMPANY'), ('FREE', 'strength_weights', '[1, 0, 0, 0, 0]', NULL, '[1, 0, 0, 0, 0] USER'),
	-- the larger of two floors: a user may ask for less than the tier's default, but not for less than the company
	('FREE', 'min_confidence_threshold', '0.5', NULL, '0.5 USER'), ('FREE', 'min_confidence_threshold', '0.9', '0.75', '0.9 USER'), ('FREE', 'min_confidence_threshold', '0.6', '0.75', '0.75 COMPANY'),
	('FREE', 'counter_trend_confidence_threshold', '0.9', '0.8', '0.9 USER'), ('FREE', 'min_stop_spread_multiple', '1', '3', '3 COMPANY'), ('FREE', 'min_reward_risk_ratio', '2', '1.5', '2 USER'),
	-- the smaller of two ceilings
	('FREE', 'risk_percent', '0.5', '2', '0.5 USER'), ('FREE', 'risk_percent', '3', '2', '2 COMPANY'), ('FREE', 'max_spread_pips', '1', '2', '1 USER'), ('FREE', 'max_prediction_age_ms', '9000', '2000', '2000 COMPANY'),
	('FREE', 'kelly_fraction', '0.5', '0.1', '0.1 COMPANY'), ('FREE', 'kelly_max_percent', '1', '3', '1 USER'), ('FREE', 'target_volatility_percent', '1', '3', '1 USER'), ('FREE', 'weak_signal_size_factor', '0.2', '0.4', '0.2 USER'),
	('FREE', 'max_position_size', '5', '1', '1 COMPANY'), ('FREE', 'max_slippage_pips', '5', '1', '1 COMPANY'), ('FREE', 'max_limit_deviation_pips', '5', '1', '1 COMPANY'),
	-- only if both
	('FREE', 'enabled', 'true', 'false', 'false COMPANY'), ('FREE', 'enabled', 'false', 'true', 'false USER'), ('FREE', 'enabled', NULL, 'false', 'false COMPANY'), ('FREE', 'auto_execute', 'true', 'false', 'false COMPANY'),
	('FREE', 'auto_execute', 'true', 'true', 'true COMPANY'), ('FREE', 'auto_execute', 'false', 'true', 'false USER'), ('FREE', 'auto_execute', NULL, 'true', 'true COMPANY'),
	-- intersections
	('FREE', 'allowed_regimes', '["RANGING", "TRENDING"]', '["TRENDING", "UNKNOWN"]', '["TRENDING"] COMPANY'), ('FREE', 'allowed_regimes', '["TRENDING"]', '["TRENDING", "UNKNOWN"]', '["TRENDING"] USER'),
	('FREE', 'allowed_regimes', '["RANGING"]', '["TRENDING"]', '[] COMPANY'), ('FREE', 'allowed_regimes', NULL, '["UNKNOWN"]', '["UNKNOWN"] COMPANY'),
	('ENTERPRISE', 'available_instruments', '["EURUSD", "XAUUSD", "USDJPY"]', '["USDJPY", "EURUSD", "GBPUSD"]', '["EURUSD", "USDJPY"] COMPANY'), ('ENTERPRISE', 'available_instruments', '["*"]', '["EURUSD"]', '["EURUSD"] COMPANY'),
	('ENTERPRISE', 'available_instruments', '["EURUSD"]', '["*"]', '["EURUSD"] USER'), ('ENTERPRISE', 'available_instruments', NULL, NULL, '["*"] TIER'), ('ENTERPRISE', 'available_instruments', '["EURUSD"]', '["GBPUSD"]', '[] COMPANY'),
	-- ceilings of the tier
	('FREE', 'available_instruments', '["*"]', NULL, '["EURUSD", "GBPUSD"] CEILING'), ('FREE', 'available_instruments', '["USDJPY", "GBPUSD"]', NULL, '["GBPUSD"] CEILING'), ('FREE', 'available_instruments', NULL, '["*"]', '["EURUSD", "GBPUSD"] CEILING'),
	('FREE', 'max_position_count', '2', NULL, '2 USER'), ('FREE', 'max_position_count', '4', NULL, '3 CEILING'), ('PRO', 'max_position_count', '40', '20', '10 CEILING'), ('ENTERPRISE', 'max_position_count', '40', '20', '20 COMPANY'),
	('FREE', 'pattern_trading_enabled', 'true', NULL, 'false CEILING'), ('PRO', 'pattern_trading_enabled', NULL, NULL, 'true TIER'), ('PRO', 'pattern_trading_enabled', 'false', NULL, 'false USER'), ('FREE', 'advanced_features_enabled', NULL, 'true', 'false CEILING'),
	('FREE', 'enable_multi_leg_strategies', 'true', NULL, 'false CEILING'), ('PRO', 'enable_multi_leg_strategies', 'true', NULL, 'true USER'), ('PRO', 'enable_multi_leg_strategies', NULL, NULL, 'false DEFAULT'),
	('FREE', 'advanced_timing', NULL, 'true', 'false CEILING'), ('PRO', 'advanced_timing', NULL, 'true', 'true COMPANY'),
	('PRO', 'custom_rule', '"$.consensus > 0.5"', NULL, 'NULL CEILING'), ('ENTERPRISE', 'custom_rule', '"$.consensus > 0.5"', NULL, '$.consensus > 0.5 USER'), ('ENTERPRISE', 'custom_rule', NULL, NULL, 'NULL DEFAULT'),
	('PRO', 'execution_algorithm', '"TWAP"', NULL, 'NONE CEILING'), ('ENTERPRISE', 'execution_algorithm', '"TWAP"', '"ICEBERG"', 'ICEBERG COMPANY')) AS c (tier, parameter, own, company, expected);

-- No rows at all: the defaults. A row of another shape: what it has.
SELECT count(*) AS defaults FROM trading.merge_strategy(NULL::tier, NULL::strategy, NULL::strategy) AS m, LATERAL jsonb_each_text(to_jsonb(m)) AS e, trading.strategy_parameters() AS p
 WHERE p.name = e.key AND m.layers ->> p.name = 'DEFAULT'
   AND (CASE WHEN p.sql_type LIKE '%[]' THEN '{' || translate(e.value, '[]" ', '') || '}' ELSE e.value END) IS NOT DISTINCT FROM p.default_value;
SELECT m.risk_percent, m.enabled, m.layers ->> 'risk_percent' AS layer FROM (SELECT 3::float8 AS risk_percent, 'x' AS something) AS own, LATERAL trading.merge_strategy(NULL::tier, own, NULL::strategy) AS m;
SELECT pg_temp.complaint('SELECT trading.merge_strategy(NULL::tier, own, NULL::strategy) FROM (SELECT 3::integer AS risk_percent) AS own');

-- The merged strategy is what trading.decide() takes.
SELECT m.own, trading.decide('{"prediction_id": "p-1", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "current_price": 1.1, "predicted_price": 1.11, "direction": "BUY", "confidence": 0.75}',
	(SELECT jsonb_strip_nulls(to_jsonb(e) - 'layers') FROM trading.merge_strategy((SELECT t FROM tier AS t WHERE t.tier = 'FREE'), jsonb_populate_record(NULL::strategy, m.own), NULL::strategy) AS e), '{"regime": "RANGING"}',
	'{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001, "tick_size": 0.00001, "contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100}',
	'{"currency": "USD", "equity": 10000}', '2026-01-05T10:00:01Z') ->> 'outcome' AS outcome
  FROM (VALUES ('{}'::jsonb), ('{"min_confidence_threshold": 0.75}')) AS m (own);

-- Lanes: 64-bit FNV-1a of the id, mixed, modulo the number of lanes. Stored rows depend on it.
SELECT c.company, trading.lane_of(c.company, 1) AS of_1, trading.lane_of(c.company, 4) AS of_4, trading.lane_of(c.company, 7) AS of_7 FROM unnest('{acme,globex,initech,a,b}'::text[]) AS c (company);
SELECT pg_temp.complaint('SELECT trading.lane_of(''acme'', 0)'), pg_temp.complaint('SELECT trading.lane_of(''acme'', -1)');
SELECT min(n) > 200 AS spread FROM (SELECT count(*) AS n FROM generate_series(1, 1000) AS i GROUP BY trading.lane_of('company-' || i, 4)) AS lanes;
