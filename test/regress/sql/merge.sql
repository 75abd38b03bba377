-- The effective strategy, over thousands of random combinations of tier, user's row and company's
-- row, against a formulation of its own in SQL, written from the rules and not from the code.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS trading_engine;
RESET client_min_messages;
SET extra_float_digits = 1;

-- Every parameter: its default by the specification, and values to choose from.
CREATE TEMP TABLE parameter (name text PRIMARY KEY, standard jsonb NOT NULL, pool jsonb NOT NULL);
INSERT INTO parameter
	SELECT unnest('{enabled,trend_following_enabled}'::text[]), 'true'::jsonb, '[true, false]'::jsonb
	UNION ALL
	SELECT unnest('{pattern_trading_enabled,advanced_features_enabled,custom_strategies_enabled,algorithmic_execution_enabled,
		enable_multi_leg_strategies,advanced_timing,prefer_market_orders,auto_execute}'::text[]), 'false'::jsonb, '[true, false]'::jsonb
	UNION ALL VALUES
	('available_instruments', '["*"]'::jsonb, '[["*"], [], ["EURUSD"], ["EURUSD", "GBPUSD"], ["USDJPY", "GBPUSD"], ["XAUUSD", "USDJPY", "EURUSD", "GBPUSD"], ["USDJPY", "EURUSD", "EURUSD"]]'::jsonb),
	('allowed_regimes', '["RANGING", "TRENDING", "LOW_VOLATILITY", "HIGH_VOLATILITY"]', '[[], ["UNKNOWN"], ["TRENDING", "RANGING"], ["RANGING", "RANGING", "UNKNOWN"], ["UNKNOWN", "RANGING", "TRENDING", "LOW_VOLATILITY", "HIGH_VOLATILITY"]]'),
	('custom_rule', 'null', '["$.consensus > 0.1", "$.consensus > 0.2"]'),
	('strength_weights', '[0.3, 0.25, 0.2, 0.15, 0.1]', '[[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]'),
	('volatility_mode', '"CONSERVATIVE"', '["CONSERVATIVE", "NEUTRAL", "AGGRESSIVE"]'),
	('stop_loss_mode', '"PIPS"', '["PIPS", "ATR"]'),
	('take_profit_mode', '"RISK_REWARD"', '["PIPS", "RISK_REWARD", "PREDICTED_PRICE"]'),
	('position_sizing', '"RISK_PERCENT"', '["FIXED_LOT", "RISK_PERCENT", "VOLATILITY_TARGET", "KELLY"]'),
	('time_in_force', '"GTC"', '["GTC", "DAY", "IOC", "FOK"]'),
	('execution_algorithm', '"NONE"', '["NONE", "TWAP", "ICEBERG"]');
-- Numbers: less than the default, the default, more.
INSERT INTO parameter
	SELECT n.name, n.standard, jsonb_build_array(n.less, n.standard, n.more)
	  FROM (VALUES
	('min_confidence_threshold', '0.7'::jsonb, '0.35'::jsonb, '0.9'::jsonb), ('min_consensus_score', '0.6', '0.3', '0.8'), ('max_position_count', '10', '3', '50'),
	('min_pattern_probability', '0.6', '0.1', '1'), ('counter_trend_confidence_threshold', '0.85', '0', '0.95'), ('min_market_favorability', '0', '0.3', '0.6'),
	('max_spread_pips', '3', '0.5', '7'), ('max_prediction_age_ms', '5000', '1', '86400000'), ('limit_order_discount_pips', '2', '0', '4'), ('limit_order_premium_pips', '2', '0', '4'),
	('max_limit_deviation_pips', '10', '1', '11'), ('stop_loss_pips', '20', '10', '30'), ('stop_loss_atr_multiple', '1.5', '1', '2'), ('min_stop_spread_multiple', '2', '0', '3'),
	('take_profit_pips', '40', '20', '80'), ('reward_risk_ratio', '2', '1', '3'), ('min_reward_risk_ratio', '1', '0', '2'), ('fixed_lot', '0.01', '0.001', '1'),
	('risk_percent', '1', '0.5', '100'), ('target_volatility_percent', '1', '0.1', '2'), ('kelly_fraction', '0.25', '0.1', '1'), ('kelly_max_percent', '2', '1', '3'),
	('max_position_size', '10', '5', '20'), ('weak_signal_size_factor', '0.5', '0.25', '1'), ('leg_count', '3', '2', '5'), ('leg_spacing_pips', '5', '0', '6'),
	('timing_extension_atr', '2', '1', '3'), ('max_slippage_pips', '2', '0', '3'), ('duplicate_window_seconds', '300', '0', '600'), ('duplicate_distance_pips', '5', '0', '6'),
	('signal_ttl_seconds', '300', '1', '86400'), ('twap_slices', '5', '2', '256'), ('twap_seconds', '300', '1', '3600'), ('iceberg_visible_lots', '1', '0.1', '5')) AS n (name, standard, less, more);
SELECT name FROM trading.strategy_parameters() EXCEPT SELECT name FROM parameter
UNION ALL
SELECT name FROM parameter EXCEPT SELECT name FROM trading.strategy_parameters();

-- The same numbers everywhere: 0 <= n < sides, of a name.
CREATE FUNCTION pg_temp.dice(seed text, sides integer) RETURNS integer
	LANGUAGE sql IMMUTABLE
AS $$ SELECT (('x' || left(md5(seed), 8))::bit(32)::bigint % sides)::integer $$;

-- 3,000 cases: what each layer says of each parameter; one in three is silent.
CREATE TEMP TABLE chosen AS
	SELECT n, p.name, p.standard,
	       CASE WHEN pg_temp.dice(concat_ws('/', n, p.name, 'tier?'), 3) > 0 THEN p.pool -> pg_temp.dice(concat_ws('/', n, p.name, 'tier'), jsonb_array_length(p.pool)) END AS tier,
	       CASE WHEN pg_temp.dice(concat_ws('/', n, p.name, 'own?'), 3) > 0 THEN p.pool -> pg_temp.dice(concat_ws('/', n, p.name, 'own'), jsonb_array_length(p.pool)) END AS own,
	       CASE WHEN pg_temp.dice(concat_ws('/', n, p.name, 'company?'), 3) > 0 THEN p.pool -> pg_temp.dice(concat_ws('/', n, p.name, 'company'), jsonb_array_length(p.pool)) END AS company
	  FROM generate_series(1, 3000) AS n, parameter AS p;

-- A set, whatever the order and repetitions; and what two sets have in common, "*" being all.
CREATE FUNCTION pg_temp.plain(a jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE
AS $$ SELECT COALESCE(jsonb_agg(DISTINCT e.e ORDER BY e.e), '[]') FROM jsonb_array_elements(a) AS e (e) $$;
CREATE FUNCTION pg_temp.common(a jsonb, b jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN a = '["*"]' THEN pg_temp.plain(b) WHEN b = '["*"]' THEN pg_temp.plain(a)
		ELSE (SELECT COALESCE(jsonb_agg(DISTINCT e.e ORDER BY e.e), '[]') FROM jsonb_array_elements(a) AS e (e) WHERE b @> jsonb_build_array(e.e)) END
$$;

-- The rules.  First user and company: which of the two it is, where both say something.
CREATE TEMP TABLE met AS
	SELECT c.n, c.name, COALESCE(c.tier, c.standard) AS bound, m.met,
	       CASE WHEN c.own IS NULL AND c.company IS NULL THEN CASE WHEN c.tier IS NULL THEN 'DEFAULT' ELSE 'TIER' END
		    WHEN c.company IS NULL THEN 'USER'
		    WHEN c.own IS NULL OR k.kind = 'wins' THEN 'COMPANY'
		    -- The user is named where it is more careful; where both say the same number or flag, the company.
		    WHEN k.kind = 'larger' THEN CASE WHEN c.own::numeric > c.company::numeric THEN 'USER' ELSE 'COMPANY' END
		    WHEN k.kind = 'smaller' THEN CASE WHEN c.own::numeric < c.company::numeric THEN 'USER' ELSE 'COMPANY' END
		    WHEN k.kind = 'both' THEN CASE WHEN c.own::boolean THEN 'COMPANY' ELSE 'USER' END
		    ELSE CASE WHEN m.met = pg_temp.plain(c.own) THEN 'USER' ELSE 'COMPANY' END END AS layer
	  FROM chosen AS c,
	       LATERAL (SELECT CASE
			WHEN c.name LIKE 'min\_%' OR c.name = 'counter_trend_confidence_threshold' THEN 'larger'
			WHEN c.name LIKE 'max\_%' OR c.name IN ('risk_percent', 'target_volatility_percent', 'kelly_fraction', 'kelly_max_percent', 'weak_signal_size_factor') THEN 'smaller'
			WHEN c.name IN ('allowed_regimes', 'available_instruments') THEN 'common'
			WHEN c.name IN ('enabled', 'auto_execute') THEN 'both'
			ELSE 'wins' END AS kind) AS k,
	       LATERAL (SELECT CASE
			WHEN c.own IS NULL OR c.company IS NULL THEN COALESCE(c.own, c.company, c.tier, c.standard)
			WHEN k.kind = 'larger' THEN CASE WHEN c.own::numeric > c.company::numeric THEN c.own ELSE c.company END
			WHEN k.kind = 'smaller' THEN CASE WHEN c.own::numeric < c.company::numeric THEN c.own ELSE c.company END
			WHEN k.kind = 'common' THEN pg_temp.common(c.own, c.company)
			WHEN k.kind = 'both' THEN to_jsonb(c.own::boolean AND c.company::boolean)
			ELSE c.company END AS met) AS m;

-- Then the ceilings: the tier's flags, its number of positions, its symbols.
CREATE TEMP TABLE bounded AS
	SELECT m.n, m.name, b.value,
	       CASE WHEN b.value <> CASE WHEN m.name IN ('available_instruments', 'allowed_regimes') THEN pg_temp.plain(m.met) ELSE m.met END THEN 'CEILING' ELSE m.layer END AS layer
	  FROM met AS m,
	       LATERAL (SELECT CASE
			WHEN m.name IN ('pattern_trading_enabled', 'advanced_features_enabled', 'custom_strategies_enabled', 'algorithmic_execution_enabled')
			THEN to_jsonb(m.met::boolean AND m.bound::boolean)
			WHEN m.name = 'max_position_count' THEN to_jsonb(least(m.met::integer, m.bound::integer))
			WHEN m.name = 'available_instruments' THEN pg_temp.common(m.met, m.bound)
			WHEN m.name = 'allowed_regimes' THEN pg_temp.plain(m.met)
			ELSE m.met END AS value) AS b;

-- Then what the flags lock; a further strategy, where the company may have only one per user; and orders that need the market.
CREATE TEMP TABLE expected AS
	WITH flags AS (
		SELECT b.n, bool_or(b.value::boolean) FILTER (WHERE b.name = 'advanced_features_enabled') AS advanced,
		       bool_or(b.value::boolean) FILTER (WHERE b.name = 'custom_strategies_enabled') AS custom,
		       bool_or(b.value::boolean) FILTER (WHERE b.name = 'algorithmic_execution_enabled') AS algorithmic,
		       bool_or(b.value::boolean) FILTER (WHERE b.name = 'prefer_market_orders') AS at_market,
		       max(b.layer) FILTER (WHERE b.name = 'prefer_market_orders') AS at_market_layer,
		       b.n % 3 = 0 AS further
		  FROM bounded AS b
		 WHERE b.name IN ('advanced_features_enabled', 'custom_strategies_enabled', 'algorithmic_execution_enabled', 'prefer_market_orders')
		 GROUP BY b.n),
	entitled AS (
		SELECT c.n, COALESCE(c.tier, c.standard)::boolean AND COALESCE(c.company::boolean, true) AS several
		  FROM chosen AS c WHERE c.name = 'advanced_features_enabled')
	SELECT b.n, b.name,
	       CASE WHEN l.locked THEN l.without
		    WHEN l.single THEN 'false'
		    WHEN l.market THEN '"GTC"' ELSE b.value END AS value,
	       CASE WHEN l.single OR (l.locked AND b.value <> l.without) THEN 'CEILING'
		    WHEN l.market THEN f.at_market_layer ELSE b.layer END AS layer
	  FROM bounded AS b
	  JOIN flags AS f ON f.n = b.n
	  JOIN entitled AS e ON e.n = b.n,
	       LATERAL (SELECT
			(b.name IN ('enable_multi_leg_strategies', 'advanced_timing') AND NOT f.advanced)
			OR (b.name = 'custom_rule' AND NOT f.custom) OR (b.name = 'execution_algorithm' AND NOT f.algorithmic) AS locked,
			CASE b.name WHEN 'custom_rule' THEN 'null'::jsonb WHEN 'execution_algorithm' THEN '"NONE"' ELSE 'false' END AS without,
			b.name = 'enabled' AND b.value::boolean AND f.further AND NOT e.several AS single,
			b.name = 'time_in_force' AND b.value IN ('"IOC"', '"FOK"') AND NOT f.at_market AS market) AS l;

-- The engine's answer.
CREATE TEMP TABLE actual AS
	SELECT r.n, v.key AS name, CASE WHEN v.key IN ('available_instruments', 'allowed_regimes') THEN pg_temp.plain(v.value) ELSE v.value END AS value,
	       r.layers ->> v.key AS layer
	  FROM (SELECT c.n, m.layers, to_jsonb(m) - 'layers' AS merged
		  FROM (SELECT n, jsonb_object_agg(name, tier) AS tier, jsonb_object_agg(name, own) AS own, jsonb_object_agg(name, company) AS company FROM chosen GROUP BY n) AS c,
		       LATERAL trading.merge_strategy(
			jsonb_populate_record(NULL::trading.tiers, jsonb_strip_nulls(c.tier)), jsonb_populate_record(NULL::trading.strategies, jsonb_strip_nulls(c.own)),
			jsonb_populate_record(NULL::trading.strategies, jsonb_strip_nulls(c.company)), c.n % 3 = 0) AS m) AS r,
	       LATERAL jsonb_each(r.merged) AS v;

-- No disagreement; else the first of them.
SELECT count(*) AS compared, count(*) FILTER (WHERE e.value = a.value AND e.layer = a.layer) AS agree
  FROM expected AS e FULL JOIN actual AS a USING (n, name);
SELECT n, name, c.tier, c.own, c.company, e.value AS expected, e.layer AS expected_layer, a.value AS actual, a.layer AS actual_layer
  FROM expected AS e FULL JOIN actual AS a USING (n, name) LEFT JOIN chosen AS c USING (n, name)
 WHERE (e.value = a.value AND e.layer = a.layer) IS NOT TRUE
 ORDER BY n, name LIMIT 1;
-- Every layer had its turn, with every parameter that it can decide.
SELECT layer, count(*) > 0 AS cases, count(DISTINCT name) AS parameters FROM actual GROUP BY layer ORDER BY layer;
SELECT string_agg(DISTINCT name, ' ' ORDER BY name) AS with_ceilings FROM actual WHERE layer = 'CEILING';

-- NULL rows are rows that say nothing.
SELECT count(*) AS of_51 FROM jsonb_each((SELECT to_jsonb(m) - 'layers' FROM trading.merge_strategy(NULL::trading.tiers, NULL::trading.strategies, NULL::trading.strategies, NULL) AS m)) AS v
  JOIN parameter AS p ON p.name = v.key AND v.value = p.standard;
