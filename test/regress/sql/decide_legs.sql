-- Legs of trading.decide().
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- The legs, one a line: number, type, entry, stop loss, take profit, size.
CREATE FUNCTION pg_temp.legs(decision jsonb) RETURNS SETOF text
	LANGUAGE sql
AS $$
	SELECT format('%s %s %s %s %s %s', l.leg -> 'leg', l.leg ->> 'order_type', l.leg -> 'entry_price', l.leg -> 'stop_loss', l.leg -> 'take_profit', l.leg -> 'position_size')
	  FROM jsonb_array_elements(decision -> 'legs') WITH ORDINALITY AS l (leg, n) ORDER BY l.n
$$;

-- 0.5 lots at 1.0998, stop 200 ticks below, T = 400 ticks.
SELECT c.about, ARRAY(SELECT pg_temp.legs(d.d)) = c.legs AS as_expected, CASE WHEN ARRAY(SELECT pg_temp.legs(d.d)) <> c.legs THEN ARRAY(SELECT pg_temp.legs(d.d)) END AS got,
       (SELECT sum((l ->> 'position_size')::numeric) FROM jsonb_array_elements(d.d -> 'legs') AS l) - (d.d ->> 'position_size')::numeric AS missing
  FROM (VALUES
	('off', '{}'::jsonb, '{"enable_multi_leg_strategies": false}'::jsonb, '{}'::jsonb, '{}'::text[]),
	-- 50 steps: 16 each, and 2 more on leg 0. T / 3 = 133.3, 266.7, 400
	('three legs', '{}', '{}', '{}', '{0 LIMIT 1.0998 1.0978 1.10113 0.18,1 LIMIT 1.0993 1.0978 1.10246 0.16,2 LIMIT 1.0988 1.0978 1.1038 0.16}'),
	('SELL', '{"direction": "SELL"}', '{}', '{}', '{0 LIMIT 1.1002 1.1022 1.09887 0.18,1 LIMIT 1.1007 1.1022 1.09754 0.16,2 LIMIT 1.1012 1.1022 1.0962 0.16}'),
	('market: the others are limits', '{}', '{"prefer_market_orders": true}', '{}', '{0 MARKET 1.1 1.098 1.10133 0.18,1 LIMIT 1.0995 1.098 1.10266 0.16,2 LIMIT 1.099 1.098 1.104 0.16}'),
	('two legs', '{}', '{"leg_count": 2}', '{}', '{0 LIMIT 1.0998 1.0978 1.1018 0.25,1 LIMIT 1.0993 1.0978 1.1038 0.25}'),
	-- the fifth would enter at the stop: dropped, its size goes to leg 0
	('five legs, one too close to the stop', '{}', '{"leg_count": 5}', '{}', '{0 LIMIT 1.0998 1.0978 1.1006 0.2,1 LIMIT 1.0993 1.0978 1.1014 0.1,2 LIMIT 1.0988 1.0978 1.1022 0.1,3 LIMIT 1.0983 1.0978 1.103 0.1}'),
	('five legs, closer', '{}', '{"leg_count": 5, "leg_spacing_pips": 1}', '{}', '{0 LIMIT 1.0998 1.0978 1.1006 0.1,1 LIMIT 1.0997 1.0978 1.1014 0.1,2 LIMIT 1.0996 1.0978 1.1022 0.1,3 LIMIT 1.0995 1.0978 1.103 0.1,4 LIMIT 1.0994 1.0978 1.1038 0.1}'),
	-- 2.5 and 5 ticks
	('between ticks', '{}', '{"leg_spacing_pips": 0.25}', '{}', '{0 LIMIT 1.0998 1.0978 1.10113 0.18,1 LIMIT 1.09977 1.0978 1.10246 0.16,2 LIMIT 1.09975 1.0978 1.1038 0.16}'),
	('between ticks, SELL', '{"direction": "SELL"}', '{"leg_spacing_pips": 0.25}', '{}', '{0 LIMIT 1.1002 1.1022 1.09887 0.18,1 LIMIT 1.10023 1.1022 1.09754 0.16,2 LIMIT 1.10025 1.1022 1.0962 0.16}'),
	-- T = 300.7: 150.35 and 300.7, each rounded by itself
	('T is not rounded first', '{}', '{"leg_count": 2, "take_profit_mode": "PIPS", "take_profit_pips": 30.07}', '{}', '{0 LIMIT 1.0998 1.0978 1.1013 0.25,1 LIMIT 1.0993 1.0978 1.1028 0.25}'),
	('fixed lot', '{}', '{"leg_count": 2, "position_sizing": "FIXED_LOT", "fixed_lot": 0.05}', '{}', '{0 LIMIT 1.0998 1.0978 1.1018 0.03,1 LIMIT 1.0993 1.0978 1.1038 0.02}'),
	-- leg 1 enters 150 ticks from the stop, leg 2 100
	('100 ticks are enough', '{}', '{}', '{"min_stop_pips": 10}', '{0 LIMIT 1.0998 1.0978 1.10113 0.18,1 LIMIT 1.0993 1.0978 1.10246 0.16,2 LIMIT 1.0988 1.0978 1.1038 0.16}'),
	('100 ticks aren''t: to leg 0', '{}', '{}', '{"min_stop_pips": 10.1}', '{0 LIMIT 1.0998 1.0978 1.10113 0.34,1 LIMIT 1.0993 1.0978 1.10246 0.16}'),
	('150 ticks aren''t: single', '{}', '{}', '{"min_stop_pips": 15.1}', '{}'),
	-- fewer legs until each has lot_min
	('0.03 lots: three of five', '{}', '{"leg_count": 5, "leg_spacing_pips": 1, "max_position_size": 0.03}', '{}', '{0 LIMIT 1.0998 1.0978 1.10113 0.01,1 LIMIT 1.0997 1.0978 1.10246 0.01,2 LIMIT 1.0996 1.0978 1.1038 0.01}'),
	('0.01 lots: single', '{}', '{"max_position_size": 0.01}', '{}', '{}'),
	('0.35 lots of at least 0.1', '{}', '{"leg_count": 5, "leg_spacing_pips": 1, "max_position_size": 0.35}', '{"lot_min": 0.1}', '{0 LIMIT 1.0998 1.0978 1.10113 0.13,1 LIMIT 1.0997 1.0978 1.10246 0.11,2 LIMIT 1.0996 1.0978 1.1038 0.11}'),
	-- T = 2 ticks, a third of it is none
	('leg 0 would aim at its own entry: single', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 0.2, "min_reward_risk_ratio": 0}', '{}', '{}'),
	('T = 3 ticks', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 0.3, "min_reward_risk_ratio": 0}', '{}', '{0 LIMIT 1.0998 1.0978 1.09981 0.18,1 LIMIT 1.0993 1.0978 1.09982 0.16,2 LIMIT 1.0988 1.0978 1.09983 0.16}'),
	-- T = 200, half of it for leg 0. With the second entry 48 ticks lower:
	-- 25 * 100 + 25 * 248 + 50 = 8750 < 25 * 200 + 25 * 152 = 8800; with 49: 8775 = 8775
	('reward to risk of all legs: too little', '{}', '{"leg_count": 2, "reward_risk_ratio": 1, "leg_spacing_pips": 4.8}', '{}', '{}'),
	('a tick more: enough', '{}', '{"leg_count": 2, "reward_risk_ratio": 1, "leg_spacing_pips": 4.9}', '{}', '{0 LIMIT 1.0998 1.0978 1.1008 0.25,1 LIMIT 1.09931 1.0978 1.1018 0.25}')) AS c (about, prediction, strategy, instrument, legs),
	LATERAL pg_temp.decision(c.prediction, '{"enable_multi_leg_strategies": true}'::jsonb || c.strategy, instrument => c.instrument) AS d (d);

-- A pullback's legs start at the price that is waited for.
SELECT d ->> 'timing_strategy' AS timing, d -> 'entry_price' AS entry, pg_temp.legs(d)
  FROM pg_temp.decision(strategy => '{"enable_multi_leg_strategies": true, "advanced_timing": true, "leg_count": 2}', market => '{"atr": 0.001, "ema": 1.0979}') AS d;
-- The signal itself stays as it is.
SELECT pg_temp.verdict(pg_temp.decision(strategy => '{"enable_multi_leg_strategies": true}'),
	'{"outcome": "SIGNAL", "entry_price": 1.0998, "stop_loss": 1.0978, "take_profit": 1.1038, "position_size": 0.5, "reward_risk_ratio": 2, "max_loss": 100}');
