-- Input errors of trading.decide(): every one is 22023 and names the key.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- The arguments themselves.
SELECT a.name, pg_temp.complaint(format('SELECT trading.decide(%s, %s, %s, %s, %s, %s)',
		CASE a.name WHEN 'prediction' THEN 'NULL' ELSE '''{}''' END, CASE a.name WHEN 'strategy' THEN 'NULL' ELSE '''{}''' END,
		CASE a.name WHEN 'market' THEN 'NULL' ELSE '''{}''' END, CASE a.name WHEN 'instrument' THEN 'NULL' ELSE '''{}''' END,
		CASE a.name WHEN 'account' THEN 'NULL' ELSE '''{}''' END, CASE a.name WHEN 'at' THEN 'NULL' ELSE '''2026-01-05T10:00:01Z''' END))
  FROM unnest('{prediction,strategy,market,instrument,account,at}'::text[]) AS a (name);
SELECT v.value, pg_temp.complaint(format('SELECT trading.decide(%L, ''{}'', ''{}'', ''{}'', ''{}'', ''2026-01-05T10:00:01Z'')', v.value))
  FROM unnest(ARRAY['null', '1', '"text"', 'true', '[]', '[{}]']) AS v (value);
SELECT t.at, pg_temp.refusal(at => t.at)
  FROM unnest('{infinity,-infinity,10000-01-01T00:00:00Z,0001-12-31T23:59:59Z BC}'::timestamptz[]) AS t (at);
SELECT pg_temp.refusal('{"generated_at": "9999-12-31T23:59:59Z"}', at => '9999-12-31T23:59:59Z') AS expires_in_the_year_10000,
       pg_temp.refusal('{"generated_at": "9999-12-31T23:59:59Z", "valid_until": "9999-12-31T23:59:59.999999Z"}', at => '9999-12-31T23:59:59Z') AS expires_before,
       pg_temp.refusal('{"generated_at": "0001-01-01T00:00:00Z"}', at => '0001-01-01T00:00:00Z') AS the_first_instant;

-- A whole input, from which the following takes away, adds to and changes one key at a time.
CREATE TEMP TABLE whole (object text PRIMARY KEY, value jsonb);
INSERT INTO whole VALUES
	('prediction', '{"prediction_id": "p-1", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "valid_until": "2026-01-05T11:00:00Z",
		"current_price": 1.1, "predicted_price": 1.11, "bid": 1.0999, "ask": 1.1001, "direction": "BUY", "confidence": 0.9,
		"models": [{"model_id": "m", "direction": "BUY", "confidence": 0.9, "weight": 2}], "patterns": [{"name": "x", "direction": "BULLISH", "probability": 0.7}],
		"volume_confirmation": 0.5}'),
	('strategy', '{}'),
	('market', '{"regime": "RANGING", "trend": "FLAT", "volatility_ratio": 1, "atr": 0.001, "ema": 1.1, "spread_pips": 1}'),
	('instrument', '{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001, "tick_size": 0.00001,
		"contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100, "min_stop_pips": 1}'),
	('account', '{"currency": "USD", "equity": 10000, "open_positions": 0, "hit_rate": 0.5, "position_size_multiplier": 1, "conversion_rate": 1}');
UPDATE whole SET value = (SELECT jsonb_object_agg(p.name, CASE
		WHEN p.sql_type IN ('boolean', 'integer', 'double precision') THEN p.default_value::jsonb
		WHEN p.sql_type = 'text[]' THEN to_jsonb(p.default_value::text[])
		WHEN p.sql_type = 'double precision[]' THEN to_jsonb(p.default_value::float8[])
		ELSE to_jsonb(COALESCE(p.default_value, '$.consensus > 0')) END) FROM trading.strategy_parameters() AS p)
 WHERE object = 'strategy';

CREATE FUNCTION pg_temp.with_path(object text, path text[], value jsonb) RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	input jsonb;
BEGIN
	SELECT jsonb_object_agg(w.object, CASE WHEN w.object <> with_path.object THEN w.value
			WHEN with_path.value IS NULL THEN w.value #- path ELSE jsonb_set(w.value, path, with_path.value) END)
	  INTO input FROM whole AS w;
	RETURN trading.decide(input -> 'prediction', input -> 'strategy', input -> 'market', input -> 'instrument', input -> 'account', '2026-01-05T10:00:01Z') ->> 'outcome';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT pg_temp.with_path('prediction', '{symbol}', '"EURUSD"') AS whole;

-- Missing keys: required, or with a default.
SELECT w.object, k.key, pg_temp.with_path(w.object, ARRAY[k.key], NULL)
  FROM whole AS w, jsonb_object_keys(w.value) AS k (key)
 WHERE w.object <> 'strategy' ORDER BY w.object, k.key COLLATE "C";
SELECT k.key, pg_temp.with_path('prediction', ARRAY['models', '0', k.key], NULL) FROM unnest('{model_id,direction,confidence,weight}'::text[]) AS k (key)
UNION ALL
SELECT k.key, pg_temp.with_path('prediction', ARRAY['patterns', '0', k.key], NULL) FROM unnest('{name,direction,probability}'::text[]) AS k (key);
-- Every strategy parameter has a default.
SELECT count(*), array_agg(DISTINCT pg_temp.with_path('strategy', ARRAY[p.name], NULL)) FROM trading.strategy_parameters() AS p;

-- Unknown keys.
SELECT w.object, pg_temp.with_path(w.object, '{foo}', '1') FROM whole AS w ORDER BY w.object;
SELECT pg_temp.with_path('prediction', '{models,0,foo}', '1'), pg_temp.with_path('prediction', '{patterns,0,""}', '1'), pg_temp.with_path('strategy', '{Enabled}', 'true');

-- Wrong types: each key with a value of every type but its own. Each is refused with 22023 and the key's name.
CREATE TEMP VIEW keys AS
	SELECT w.object, ARRAY[k.key] AS path, w.object || '.' || k.key AS name, jsonb_typeof(k.value) AS type
	  FROM whole AS w, jsonb_each(w.value) AS k (key, value)
	UNION ALL
	SELECT 'prediction', ARRAY['models', '0', k.key], 'prediction.models[0].' || k.key, jsonb_typeof(k.value)
	  FROM whole AS w, jsonb_each(w.value #> '{models,0}') AS k (key, value) WHERE w.object = 'prediction'
	UNION ALL
	SELECT 'prediction', ARRAY['patterns', '0', k.key], 'prediction.patterns[0].' || k.key, jsonb_typeof(k.value)
	  FROM whole AS w, jsonb_each(w.value #> '{patterns,0}') AS k (key, value) WHERE w.object = 'prediction'
	UNION ALL
	SELECT 'prediction', '{models,0}', 'prediction.models[0]', 'object'
	UNION ALL
	SELECT 'prediction', '{patterns,0}', 'prediction.patterns[0]', 'object'
	UNION ALL
	SELECT 'strategy', ARRAY[a, '0'], format('strategy.%s[0]', a), CASE a WHEN 'strength_weights' THEN 'number' ELSE 'string' END
	  FROM unnest('{available_instruments,allowed_regimes,strength_weights}'::text[]) AS a;
SELECT count(*) FROM keys;
SELECT count(*) AS tried, count(*) FILTER (WHERE r.result LIKE '22023 invalid value for "' || k.name || '": must be %, not ' || v.shown) AS refused
  FROM keys AS k,
       (VALUES ('null', 'null'::jsonb, 'null'), ('string', '"x"', 'a string'), ('string', '"NaN"', 'a string'), ('number', '0.5', 'a number'), ('boolean', 'true', 'a boolean'),
		('object', '{}', 'an object'), ('array', '[]', 'an array')) AS v (type, value, shown),
       LATERAL pg_temp.with_path(k.object, k.path, v.value) AS r (result)
 WHERE v.type <> k.type;
-- In words:
SELECT pg_temp.with_path('prediction', '{confidence}', '"NaN"'), pg_temp.with_path('prediction', '{confidence}', 'null'), pg_temp.with_path('market', '{atr}', '"Infinity"'),
       pg_temp.with_path('prediction', '{models}', '{}'), pg_temp.with_path('prediction', '{models,0}', '7'), pg_temp.with_path('strategy', '{enabled}', '1'),
       pg_temp.with_path('account', '{open_positions}', '"1"'), pg_temp.with_path('prediction', '{generated_at}', '1767607200'), pg_temp.with_path('strategy', '{allowed_regimes,0}', 'false') \gx

-- Enums: exact labels only.
SELECT k.object, k.path, pg_temp.with_path(k.object, k.path, v.value)
  FROM (VALUES ('prediction', '{direction}'::text[], 'BUY'), ('prediction', '{models,0,direction}', 'BUY'), ('prediction', '{patterns,0,direction}', 'NEUTRAL'),
		('market', '{regime}', 'RANGING'), ('market', '{trend}', 'UP'), ('strategy', '{volatility_mode}', 'NEUTRAL'), ('strategy', '{stop_loss_mode}', 'ATR'),
		('strategy', '{take_profit_mode}', 'PIPS'), ('strategy', '{position_sizing}', 'KELLY'), ('strategy', '{time_in_force}', 'DAY'), ('strategy', '{execution_algorithm}', 'TWAP'),
		('strategy', '{allowed_regimes,0}', 'TRENDING')) AS k (object, path, label),
       LATERAL (VALUES (to_jsonb(k.label)), (to_jsonb(lower(k.label))), ('""')) AS v (value);

-- Ranges of numbers: the least and the greatest are good, the next double beyond isn't.
SELECT k.object, k.path, v.value, pg_temp.with_path(k.object, k.path, v.value::jsonb)
  FROM (VALUES
	('prediction', '{confidence}'::text[], '{0,-5e-324,1,1.0000000000000002}'::text[]),
	('prediction', '{volume_confirmation}', '{0,-5e-324,1,1.0000000000000002}'),
	('prediction', '{models,0,confidence}', '{0,-5e-324,1,1.0000000000000002}'),
	('prediction', '{models,0,weight}', '{5e-324,0,-1,1e308,1e309}'),
	('prediction', '{patterns,0,probability}', '{0,-5e-324,1,1.0000000000000002}'),
	('prediction', '{current_price}', '{0.00001,0,-1.1,1e400}'),
	('prediction', '{predicted_price}', '{0.00001,0,-1.1,1e400}'),
	('prediction', '{bid}', '{5e-324,0,-1,1.1001,1.1001000000000003}'),
	('prediction', '{ask}', '{1.0999,1.0998999999999999,0,-1,1e400}'),
	('market', '{volatility_ratio}', '{5e-324,0,-1,1.7976931348623157e308,1.8e308}'),
	('market', '{atr}', '{0,-5e-324,1e400}'),
	('market', '{ema}', '{5e-324,0,-1,1e400}'),
	('market', '{spread_pips}', '{0,-5e-324,1e400}'),
	('instrument', '{pip_size}', '{1e-7,0,-1,1e400}'),
	('instrument', '{tick_size}', '{1e-8,0.000000009999,0,-1,1e400}'),
	('instrument', '{contract_size}', '{5e-324,0,-1,1e400}'),
	('instrument', '{lot_min}', '{0.01,0.03,0.015,0.009,0,-1,1e400}'),
	('instrument', '{lot_step}', '{0.01,0.005,0.003,0.02,9e-9,0,-1,1e400}'),
	('instrument', '{lot_max}', '{5e-324,0,-1,1e12,1.0000000000001e12,1e400}'),
	('instrument', '{min_stop_pips}', '{0,-5e-324,1e400}'),
	('account', '{equity}', '{0,-5e-324,1e400}'),
	('account', '{open_positions}', '{0,-1,0.5,1.00000000000000000001,3.000,9223372036854775807,1e30,-1e30}'),
	('account', '{hit_rate}', '{0,-5e-324,1,1.0000000000000002}'),
	('account', '{position_size_multiplier}', '{5e-324,0,-1,1,1.0000000000000002}'),
	('account', '{conversion_rate}', '{5e-324,0,-1,1e400}')) AS k (object, path, values),
       unnest(k.values) AS v (value);

-- Ranges of strategy parameters: the least, the greatest, and what is next to them outside.
SELECT p.name, v.value, pg_temp.with_path('strategy', ARRAY[p.name], v.value::jsonb)
  FROM trading.strategy_parameters() WITH ORDINALITY AS p,
       LATERAL (VALUES
		(1, CASE WHEN p.sql_type = 'integer' THEN p.low::text WHEN p.low_open THEN '5e-324' ELSE p.low::text END),
		(2, CASE WHEN p.sql_type = 'integer' THEN (p.low - 1)::text WHEN p.low_open THEN p.low::text ELSE '-5e-324' END),
		(3, CASE WHEN p.sql_type = 'integer' THEN (p.low + 0.5)::text END),
		(4, COALESCE(p.high::text, '1e308')),
		(5, CASE WHEN p.sql_type = 'integer' THEN (p.high + 1)::text WHEN p.high = 1 THEN '1.0000000000000002' WHEN p.high = 100 THEN '100.00000000000001' ELSE '1e400' END),
		(6, CASE WHEN p.sql_type = 'integer' THEN '1e30' END)) AS v (n, value)
 WHERE p.low IS NOT NULL AND v.value IS NOT NULL ORDER BY p.ordinality, v.n;

-- The other parameters.
SELECT k.path, v.value, pg_temp.with_path('strategy', k.path, v.value::jsonb)
  FROM (VALUES
	('{available_instruments}'::text[], '{"[\"*\", \"EURUSD\"]","[\"\"]","[\"EURUSD\", \"EURUSD\"]"}'::text[]),
	('{strength_weights}', '{"[1, 1, 1, 1]","[1, 1, 1, 1, 1, 1]","[0, 0, 0, 0, 0]","[1, 1, -1, 1, 1]","[1, 1, 1e400, 1, 1]","[1e308, 1e308, 0, 0, 0]","[0, 0, 0, 0, 5e-324]"}'),
	('{time_in_force}', '{"\"IOC\"","\"FOK\""}'),
	('{custom_rule}', '{"\"\"","\"$.consensus\"","\"$.consensus > \""}')) AS k (path, values),
       unnest(k.values) AS v (value);
SELECT pg_temp.refusal(strategy => '{"time_in_force": "IOC", "prefer_market_orders": false}'), pg_temp.refusal(strategy => '{"time_in_force": "FOK", "prefer_market_orders": true}');

-- Texts, and what has to fit together.
SELECT k.object, k.path, left(v.value::text, 20) AS value, pg_temp.with_path(k.object, k.path, v.value)
  FROM (VALUES
	('prediction', '{prediction_id}'::text[], ARRAY['""', to_jsonb(repeat('x', 128)), to_jsonb(repeat('x', 129)), to_jsonb(repeat('é', 128))]::jsonb[]),
	('prediction', '{symbol}', '{"\"\"","\"GBPUSD\"","\"eurusd\""}'),
	('instrument', '{symbol}', '{"\"\"","\"GBPUSD\""}'),
	('instrument', '{base_currency}', '{"\"\""}'),
	('instrument', '{quote_currency}', '{"\"\""}'),
	('account', '{currency}', '{"\"\""}')) AS k (object, path, values),
       unnest(k.values) AS v (value);
-- 1e9 ticks are the most for a price; 10 is 1e9 ticks of 1e-8.
SELECT pg_temp.decision('{"current_price": 10, "predicted_price": 10}', instrument => '{"tick_size": 1e-8}') ->> 'outcome' AS at_the_limit,
       pg_temp.refusal('{"current_price": 10.1, "predicted_price": 10}', instrument => '{"tick_size": 1e-8}') AS price_beyond,
       pg_temp.refusal('{"current_price": 10, "predicted_price": 10.1}', instrument => '{"tick_size": 1e-8}') AS predicted_price_beyond;

-- Timestamps: RFC 3339 with an offset, and nothing else.
SELECT t.text, pg_temp.with_path('prediction', '{generated_at}', to_jsonb(t.text))
  FROM unnest('{2026-01-05T10:00:00Z,2026-01-05t10:00:00z,2026-01-05T10:00:00.5Z,2026-01-05T10:00:00.123456Z,2026-01-05T15:30:00+05:30,2026-01-05T10:00:00-00:00,2024-02-29T00:00:00Z,
		2026-01-05T10:00:00.1234567Z,2026-01-05 10:00:00Z,2026-01-05T10:00:00,2026-01-05T10:00Z,2026-01-05T10:00:00.Z,2026-01-05T10:00:00+0530,2026-01-05T10:00:00+05,2026-01-05T10:00:00+24:00,
		2026-01-05T10:00:00+05:60,2026-01-05T24:00:00Z,2026-01-05T10:60:00Z,2026-01-05T10:00:60Z,2016-12-31T23:59:60Z,2026-02-29T00:00:00Z,2100-02-29T00:00:00Z,2026-04-31T00:00:00Z,2026-13-01T00:00:00Z,
		2026-00-05T10:00:00Z,2026-01-00T10:00:00Z,0000-01-01T00:00:00Z,10000-01-01T00:00:00Z,0001-01-01T00:00:00+00:01,9999-12-31T23:59:59-00:01,26-01-05T10:00:00Z,
		20260105T100000Z,2026-1-5T10:00:00Z,2026-01-05T10:00:00ZZ,2026-01-05T10:00:00 Z,now,infinity,-infinity,epoch,""}'::text[]) AS t (text);
SELECT pg_temp.with_path('prediction', '{valid_until}', '"tomorrow"');
