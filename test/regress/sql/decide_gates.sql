-- The gates of trading.decide() up to the signal's type: each outcome, each boundary.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- The plain decision.
-- LIMIT entry: 1.1 - 2 pips; stop 20 pips below; take profit twice the risk above.
-- Size: 10000 * 1 % / (0.002 * 100000) = 0.5 lots, maximal loss 0.5 * 200 = 100.
-- Favorability: 0.5 + 0.25 * 0 (flat) + 0.25 * 1 (ratio 1). Strength: (0.3 * 0.9 + 0.15 * 0.75) / 0.45.
SELECT jsonb_pretty(pg_temp.decision());
SELECT pg_temp.verdict(pg_temp.decision(), '{"outcome": "SIGNAL", "signal_type": "BUY", "hold_reason": null,
	"signal_strength": 0.85, "consensus_score": 0.9, "market_favorability": 0.75,
	"order_type": "LIMIT", "execution_urgency": "PATIENT", "entry_price": 1.0998, "limit_price": 1.0998,
	"stop_loss": 1.0978, "take_profit": 1.1038, "reward_risk_ratio": 2, "position_size": 0.5, "max_loss": 100,
	"timing_strategy": "IMMEDIATE", "trigger_price": null, "legs": null, "expires_at": "2026-01-05T10:05:01.000000Z",
	"execution": {"auto_execute": false, "max_slippage_pips": 2, "time_in_force": "GTC", "execution_algorithm": "NONE"}}');

-- Gates run in this order, and a decision shows those that ran.
SELECT s.n, s.step ->> 'gate' AS gate, s.step ->> 'check' AS looked_at, s.step -> 'passed' AS passed,
       s.step -> 'value' AS value, s.step -> 'threshold' AS threshold
  FROM jsonb_array_elements(pg_temp.decision(strategy => '{"custom_rule": "$.consensus > 0"}') -> 'steps')
       WITH ORDINALITY AS s (step, n);

-- 1. DISABLED comes before everything, and computes nothing.
SELECT pg_temp.decision('{"direction": "HOLD", "generated_at": "2020-01-01T00:00:00Z"}', '{"enabled": false, "available_instruments": []}');

-- 2. INSTRUMENT_NOT_ALLOWED
SELECT c.instruments, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'consensus_score', c.consensus))
  FROM (VALUES
	('["*"]'::jsonb, 'SIGNAL', 0.9),
	('["EURUSD"]', 'SIGNAL', 0.9),
	('["USDJPY", "EURUSD", "AUDUSD", "EURUSD"]', 'SIGNAL', 0.9),
	('["USDJPY", "eurusd", "EURUS", "EURUSDX", "EURGBP"]', 'INSTRUMENT_NOT_ALLOWED', NULL),
	('[]', 'INSTRUMENT_NOT_ALLOWED', NULL)) AS c (instruments, outcome, consensus),
	LATERAL pg_temp.decision(strategy => jsonb_build_object('available_instruments', c.instruments)) AS d (d);

-- 3. STALE: expired, too old (a millisecond more), or from more than a second ahead.
SELECT c.at, c.about, c.prediction, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome)) AS verdict, pg_temp.last_step(d.d) ->> 'check' AS looked_at
  FROM (VALUES
	('{"valid_until": "2026-01-05T10:00:01.000001Z"}'::jsonb, '2026-01-05T10:00:01Z'::timestamptz, 'a microsecond to go', 'SIGNAL'),
	('{"valid_until": "2026-01-05T10:00:01Z"}', '2026-01-05T10:00:01Z', 'expires at this instant', 'STALE'),
	('{"valid_until": "2026-01-05T10:00:00.999999Z"}', '2026-01-05T10:00:01Z', 'expired', 'STALE'),
	('{}', '2026-01-05T10:00:05Z', '5000 ms old', 'SIGNAL'),
	('{}', '2026-01-05T10:00:05.000001Z', '5000.001 ms old', 'STALE'),
	('{}', '2026-01-05T09:59:59Z', '1 s ahead', 'SIGNAL'),
	('{}', '2026-01-05T09:59:58.999999Z', 'more than 1 s ahead', 'STALE')) AS c (prediction, at, about, outcome),
	LATERAL pg_temp.decision(c.prediction, at => c.at) AS d (d);
SELECT pg_temp.last_step(pg_temp.decision(at => '2026-01-05T10:00:05.000001Z')),
       pg_temp.last_step(pg_temp.decision(at => '2026-01-05T09:59:58.999999Z')),
       pg_temp.last_step(pg_temp.decision('{"valid_until": "2026-01-05T10:00:01Z"}'));
SELECT pg_temp.decision(strategy => '{"max_prediction_age_ms": 86400000}', at => '2026-01-06T10:00:00Z') ->> 'outcome' AS a_day,
       pg_temp.decision(strategy => '{"max_prediction_age_ms": 86400000}', at => '2026-01-06T10:00:00.000001Z') ->> 'outcome' AS a_day_and_a_bit,
       pg_temp.decision(strategy => '{"max_prediction_age_ms": 1}', at => '2026-01-05T10:00:00.001Z') ->> 'outcome' AS a_millisecond,
       pg_temp.decision(strategy => '{"max_prediction_age_ms": 1}', at => '2026-01-05T10:00:00.001001Z') ->> 'outcome' AS more;

-- A prediction of HOLD is a HOLD at once: before confidence, after staleness.
SELECT pg_temp.verdict(pg_temp.decision('{"direction": "HOLD", "confidence": 0}'),
	'{"outcome": "HOLD", "hold_reason": "NEUTRAL", "expires_at": "2026-01-05T10:05:01.000000Z", "signal_type": null,
	  "signal_strength": null, "consensus_score": null, "entry_price": null, "position_size": null, "execution": null}'),
       pg_temp.decision('{"direction": "HOLD"}', at => '2026-01-05T10:01:00Z') ->> 'outcome' AS old;

-- 4. LOW_CONFIDENCE
SELECT c.confidence, c.threshold, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'consensus_score', c.consensus, 'expires_at', c.expires))
  FROM (VALUES
	(0.7, 0.7, 'SIGNAL', 0.7, '2026-01-05T10:05:01.000000Z'),
	(0.69999, 0.7, 'LOW_CONFIDENCE', NULL, NULL),
	(0, 0, 'SIGNAL', 0, '2026-01-05T10:05:01.000000Z'),
	(1, 1, 'SIGNAL', 1, '2026-01-05T10:05:01.000000Z'),
	(0.99999, 1, 'LOW_CONFIDENCE', NULL, NULL)) AS c (confidence, threshold, outcome, consensus, expires),
	LATERAL pg_temp.decision(jsonb_build_object('confidence', c.confidence),
		jsonb_build_object('min_confidence_threshold', c.threshold, 'min_consensus_score', 0)) AS d (d);

-- 5. LOW_CONSENSUS: the share of weighted confidence on the prediction's side.
SELECT c.about, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'consensus_score', c.consensus))
  FROM (VALUES
	('3 of 5 equal votes are 0.6', 'BUY', '[{"model_id": "a", "direction": "BUY", "confidence": 0.7}, {"model_id": "b", "direction": "BUY", "confidence": 0.7},
		{"model_id": "c", "direction": "WEAK_BUY", "confidence": 0.7}, {"model_id": "d", "direction": "SELL", "confidence": 0.7}, {"model_id": "e", "direction": "HOLD", "confidence": 0.7}]'::jsonb, 0.6, 'SIGNAL'),
	-- (1 * 0.8 + 3 * 0.5) / (0.8 + 1.5 + 2 * 0.85) = 2.3 / 4
	('weights', 'WEAK_SELL', '[{"model_id": "a", "direction": "SELL", "confidence": 0.8}, {"model_id": "b", "direction": "WEAK_SELL", "confidence": 0.5, "weight": 3},
		{"model_id": "c", "direction": "BUY", "confidence": 0.85, "weight": 2}]', 0.575, 'LOW_CONSENSUS'),
	('HOLD is against', 'BUY', '[{"model_id": "a", "direction": "HOLD", "confidence": 1}]', 0, 'LOW_CONSENSUS'),
	('all agree', 'SELL', '[{"model_id": "a", "direction": "WEAK_SELL", "confidence": 0.1}]', 1, 'SIGNAL'),
	('no confidence at all: the prediction''s', 'BUY', '[{"model_id": "a", "direction": "SELL", "confidence": 0}]', 0.9, 'SIGNAL'),
	('no models: the prediction''s', 'BUY', '[]', 0.9, 'SIGNAL')) AS c (about, direction, models, consensus, outcome),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction, 'models', c.models)) AS d (d);
SELECT pg_temp.decision('{"confidence": 0.75}', '{"min_consensus_score": 0.75}') ->> 'outcome' AS equal,
       pg_temp.decision('{"confidence": 0.75}', '{"min_consensus_score": 0.7500001}') ->> 'outcome' AS below;

-- 6. UNFAVORABLE_MARKET. Regimes:
SELECT r.regime, a.allowed, pg_temp.decision(strategy => jsonb_build_object('allowed_regimes', jsonb_build_array(a.allowed)),
		market => jsonb_build_object('regime', r.regime)) ->> 'outcome' AS outcome
  FROM unnest('{UNKNOWN,RANGING,TRENDING,LOW_VOLATILITY,HIGH_VOLATILITY}'::text[]) WITH ORDINALITY AS r (regime, n),
       unnest('{UNKNOWN,RANGING,TRENDING,LOW_VOLATILITY,HIGH_VOLATILITY}'::text[]) WITH ORDINALITY AS a (allowed, n)
 ORDER BY r.n, a.n;
SELECT pg_temp.decision(market => '{"regime": null}') ->> 'outcome' AS unknown_by_default,
       pg_temp.decision(strategy => '{"allowed_regimes": []}') ->> 'outcome' AS none_allowed;
SELECT pg_temp.last_step(pg_temp.decision(market => '{"regime": "UNKNOWN"}'));

-- Spread: 3 pips at most, with 1e-6 of tolerance; an explicit one wins over the quotes'.
SELECT c.about, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome)), pg_temp.last_step(d.d) ->> 'check' AS looked_at
  FROM (VALUES
	('3 pips', NULL::jsonb, '{"spread_pips": 3}'::jsonb, 'SIGNAL'),
	('within the tolerance', NULL, '{"spread_pips": 3.0000009}', 'SIGNAL'),
	('beyond it', NULL, '{"spread_pips": 3.000002}', 'UNFAVORABLE_MARKET'),
	('quotes 3 pips apart', '{"bid": 1.1, "ask": 1.1003}', NULL, 'SIGNAL'),
	('quotes a tick more apart', '{"bid": 1.1, "ask": 1.10031}', NULL, 'UNFAVORABLE_MARKET'),
	('explicit, narrower than the quotes', '{"bid": 1.1, "ask": 1.1005}', '{"spread_pips": 1}', 'SIGNAL'),
	('explicit, wider than the quotes', '{"bid": 1.1, "ask": 1.1001}', '{"spread_pips": 4}', 'UNFAVORABLE_MARKET'),
	('no quotes: unknown, and no obstacle', NULL, NULL, 'SIGNAL')) AS c (about, prediction, market, outcome),
	LATERAL pg_temp.decision(c.prediction, '{"min_stop_spread_multiple": 0}', c.market) AS d (d);

-- Favorability: 0.5 + 0.25 * (trend with or against) + 0.25 * (1 - 2 * min(1, |ln ratio| / ln 3)).
SELECT c.about, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'market_favorability', c.favorability))
  FROM (VALUES
	('with the trend, calm', '{"trend": "UP", "regime": "TRENDING"}'::jsonb, 'BUY', 0, 1.0, 'SIGNAL'),
	('against the trend', '{"trend": "DOWN", "regime": "TRENDING"}', 'BUY', 0, 0.5, 'SIGNAL'),
	('a sell with the trend', '{"trend": "DOWN", "regime": "TRENDING"}', 'WEAK_SELL', 0, 1.0, 'SIGNAL'),
	('flat, three times the volatility', '{"volatility_ratio": 3}', 'BUY', 0, 0.25, 'SIGNAL'),
	('a third of it is as bad', '{"volatility_ratio": 0.3333333333333333}', 'BUY', 0, 0.25, 'SIGNAL'),
	('and more is not worse', '{"volatility_ratio": 100}', 'BUY', 0, 0.25, 'SIGNAL'),
	-- ln 9 / ln 3 = 2, so the square root of 3 is half way: 1 - 2 * 0.5 = 0
	('the square root of 3', '{"volatility_ratio": 1.7320508075688772}', 'BUY', 0, 0.5, 'SIGNAL'),
	('the worst', '{"trend": "DOWN", "volatility_ratio": 3}', 'BUY', 0, 0, 'SIGNAL'),
	('equal to the threshold', '{}', 'BUY', 0.75, 0.75, 'SIGNAL'),
	('below the threshold', '{}', 'BUY', 0.7500001, 0.75, 'UNFAVORABLE_MARKET'),
	('UNKNOWN is 0.5, whatever the rest', '{"regime": "UNKNOWN", "trend": "UP", "volatility_ratio": 3}', 'BUY', 0.5, 0.5, 'SIGNAL'),
	('UNKNOWN below the threshold', '{"regime": "UNKNOWN"}', 'BUY', 0.51, 0.5, 'UNFAVORABLE_MARKET')) AS c (about, market, direction, threshold, favorability, outcome),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction, 'confidence', 0.95),
		jsonb_build_object('min_market_favorability', c.threshold, 'allowed_regimes', '["UNKNOWN", "RANGING", "TRENDING"]'::jsonb), c.market) AS d (d);

-- 8. The signal's type. Directions are taken over:
SELECT c.direction, pg_temp.verdict(d.d, jsonb_build_object('outcome', 'SIGNAL', 'signal_type', c.direction))
  FROM unnest('{SELL,WEAK_SELL,WEAK_BUY,BUY}'::text[]) AS c (direction),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction)) AS d (d);

-- Patterns move the level by one, if they are likely enough, and if the strategy looks at them.
SELECT c.direction, c.bias, c.probability, c.enabled, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'signal_type', c.type, 'hold_reason', c.reason))
  FROM (VALUES
	('WEAK_BUY', 'BULLISH', 0.6, true, 'SIGNAL', 'BUY', NULL),
	('WEAK_BUY', 'BULLISH', 0.59999, true, 'SIGNAL', 'WEAK_BUY', NULL),
	('WEAK_BUY', 'BULLISH', 0.9, false, 'SIGNAL', 'WEAK_BUY', NULL),
	('WEAK_BUY', 'BEARISH', 0.6, true, 'HOLD', 'HOLD', 'NEUTRAL'),
	('WEAK_BUY', 'NEUTRAL', 0.9, true, 'SIGNAL', 'WEAK_BUY', NULL),
	('BUY', 'BULLISH', 0.9, true, 'SIGNAL', 'BUY', NULL),
	('BUY', 'BEARISH', 0.9, true, 'SIGNAL', 'WEAK_BUY', NULL),
	('SELL', 'BEARISH', 0.9, true, 'SIGNAL', 'SELL', NULL),
	('SELL', 'BULLISH', 0.9, true, 'SIGNAL', 'WEAK_SELL', NULL),
	('WEAK_SELL', 'BULLISH', 0.9, true, 'HOLD', 'HOLD', 'NEUTRAL'),
	('WEAK_SELL', 'BEARISH', 0.9, true, 'SIGNAL', 'SELL', NULL)) AS c (direction, bias, probability, enabled, outcome, type, reason),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction,
			'patterns', jsonb_build_array(jsonb_build_object('name', 'x', 'direction', c.bias, 'probability', c.probability))),
		jsonb_build_object('pattern_trading_enabled', c.enabled)) AS d (d);
-- The likeliest pattern counts, the first of equals.
SELECT pg_temp.decision('{"direction": "WEAK_BUY", "patterns": [{"name": "a", "direction": "BEARISH", "probability": 0.7}, {"name": "b", "direction": "BULLISH", "probability": 0.8}]}',
		'{"pattern_trading_enabled": true}') ->> 'signal_type' AS likeliest,
       pg_temp.decision('{"direction": "WEAK_BUY", "patterns": [{"name": "a", "direction": "BULLISH", "probability": 0.8}, {"name": "b", "direction": "BEARISH", "probability": 0.8}]}',
		'{"pattern_trading_enabled": true}') ->> 'signal_type' AS first_of_equals;
-- A level of 0 has a strength but no order.
SELECT pg_temp.verdict(pg_temp.decision('{"direction": "WEAK_BUY", "patterns": [{"name": "x", "direction": "BEARISH", "probability": 0.6}]}', '{"pattern_trading_enabled": true}'),
	-- (0.3 * 0.9 + 0.2 * (1 - 0.6) + 0.15 * 0.75) / 0.65 = 0.4625 / 0.65
	'{"outcome": "HOLD", "signal_strength": 0.7115384615384615, "consensus_score": 0.9, "market_favorability": 0.75,
	  "expires_at": "2026-01-05T10:05:01.000000Z", "entry_price": null, "order_type": null, "stop_loss": null, "position_size": null, "timing_strategy": null, "execution": null}');

-- High volatility.
SELECT c.mode, c.direction, pg_temp.verdict(d.d, jsonb_build_object('outcome', 'SIGNAL', 'signal_type', c.type))
  FROM (VALUES
	('CONSERVATIVE', 'BUY', 'WEAK_BUY'), ('CONSERVATIVE', 'WEAK_BUY', 'WEAK_BUY'), ('CONSERVATIVE', 'WEAK_SELL', 'WEAK_SELL'), ('CONSERVATIVE', 'SELL', 'WEAK_SELL'),
	('NEUTRAL', 'BUY', 'BUY'), ('NEUTRAL', 'WEAK_BUY', 'WEAK_BUY'), ('NEUTRAL', 'WEAK_SELL', 'WEAK_SELL'), ('NEUTRAL', 'SELL', 'SELL'),
	('AGGRESSIVE', 'BUY', 'BUY'), ('AGGRESSIVE', 'WEAK_BUY', 'BUY'), ('AGGRESSIVE', 'WEAK_SELL', 'SELL'), ('AGGRESSIVE', 'SELL', 'SELL')) AS c (mode, direction, type),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction), jsonb_build_object('volatility_mode', c.mode), '{"regime": "HIGH_VOLATILITY"}') AS d (d);
SELECT pg_temp.decision(market => '{"regime": "LOW_VOLATILITY"}') ->> 'signal_type' AS only_in_high_volatility;

-- Against the trend.
SELECT c.direction, c.trend, c.confidence, c.enabled, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'signal_type', c.type, 'hold_reason', c.reason))
  FROM (VALUES
	('BUY', 'DOWN', 0.85, true, 'SIGNAL', 'BUY', NULL),
	('BUY', 'DOWN', 0.84999, true, 'HOLD', 'HOLD', 'COUNTER_TREND'),
	('BUY', 'DOWN', 0.84999, false, 'SIGNAL', 'BUY', NULL),
	('BUY', 'UP', 0.8, true, 'SIGNAL', 'BUY', NULL),
	('BUY', 'FLAT', 0.8, true, 'SIGNAL', 'BUY', NULL),
	('WEAK_SELL', 'UP', 0.8, true, 'HOLD', 'HOLD', 'COUNTER_TREND'),
	('SELL', 'DOWN', 0.8, true, 'SIGNAL', 'SELL', NULL)) AS c (direction, trend, confidence, enabled, outcome, type, reason),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction, 'confidence', c.confidence),
		jsonb_build_object('trend_following_enabled', c.enabled), jsonb_build_object('trend', c.trend)) AS d (d);

-- Strength: the weighted mean of the factors that are there.
SELECT c.about, pg_temp.verdict(d.d, jsonb_build_object('signal_strength', c.strength))
  FROM (VALUES
	('confidence alone', '{}'::jsonb, '{}'::jsonb, '{"regime": "UNKNOWN"}'::jsonb, 0.9),
	-- (0.27 + 0.1 * 0.5) / 0.4
	('and volume', '{"volume_confirmation": 0.5}', '{}', '{"regime": "UNKNOWN"}', 0.8),
	-- (0.27 + 0.25 * 1) / 0.55
	('and models', '{"models": [{"model_id": "a", "direction": "BUY", "confidence": 0.5}]}', '{}', '{"regime": "UNKNOWN"}', 0.9454545454545454),
	-- (0.27 + 0.2 * 0.7) / 0.5
	('and a pattern its way', '{"patterns": [{"name": "a", "direction": "BULLISH", "probability": 0.7}]}', '{"pattern_trading_enabled": true}', '{"regime": "UNKNOWN"}', 0.82),
	('a pattern that is not looked at', '{"patterns": [{"name": "a", "direction": "BULLISH", "probability": 0.7}]}', '{}', '{"regime": "UNKNOWN"}', 0.9),
	-- (0.27 + 0.2 * 0.3) / 0.5
	('a pattern against it', '{"patterns": [{"name": "a", "direction": "BEARISH", "probability": 0.7}]}', '{"pattern_trading_enabled": true}', '{"regime": "UNKNOWN"}', 0.66),
	('a neutral pattern', '{"patterns": [{"name": "a", "direction": "NEUTRAL", "probability": 0.7}]}', '{"pattern_trading_enabled": true}', '{"regime": "UNKNOWN"}', 0.9),
	-- 0.27 + 0.25 * 1 + 0.2 * 0.5 + 0.15 * 0.75 + 0.1 * 0.4 = 0.7725
	('all five', '{"volume_confirmation": 0.4, "models": [{"model_id": "a", "direction": "BUY", "confidence": 0.5}], "patterns": [{"name": "a", "direction": "BULLISH", "probability": 0.5}]}',
		'{"pattern_trading_enabled": true}', '{}', 0.7725),
	-- Only volume counts, and it isn't there.
	('no weight left', '{}', '{"strength_weights": [0, 0, 0, 0, 1]}', '{}', 0),
	('only volume counts', '{"volume_confirmation": 0.25}', '{"strength_weights": [0, 0, 0, 0, 7]}', '{}', 0.25)) AS c (about, prediction, strategy, market, strength),
	LATERAL pg_temp.decision(c.prediction, c.strategy || '{"allowed_regimes": ["UNKNOWN", "RANGING"]}', c.market) AS d (d);

-- 11. MAX_POSITIONS: the last gate, so everything was computed.
SELECT c.open_positions, c.most, pg_temp.verdict(d.d, jsonb_build_object('outcome', c.outcome, 'position_size', 0.5, 'entry_price', 1.0998)), d.d ? 'execution' AS execution, d.d ? 'expires_at' AS expires
  FROM (VALUES (9, 10, 'SIGNAL'), (10, 10, 'MAX_POSITIONS'), (11, 10, 'MAX_POSITIONS'), (0, 0, 'MAX_POSITIONS'), (9999, 10000, 'SIGNAL'), (10000, 10000, 'MAX_POSITIONS')) AS c (open_positions, most, outcome),
	LATERAL pg_temp.decision(strategy => jsonb_build_object('max_position_count', c.most), account => jsonb_build_object('open_positions', c.open_positions)) AS d (d);

-- expires_at: signal_ttl_seconds after the decision, not later than the prediction is valid.
SELECT pg_temp.decision('{"valid_until": "2026-01-05T10:05:00.999999Z"}') ->> 'expires_at' AS valid_until,
       pg_temp.decision('{"valid_until": "2026-01-05T10:05:01.000001Z"}') ->> 'expires_at' AS ttl,
       pg_temp.decision(strategy => '{"signal_ttl_seconds": 1}') ->> 'expires_at' AS shortest,
       pg_temp.decision(strategy => '{"signal_ttl_seconds": 86400}') ->> 'expires_at' AS longest;

-- How the signal is to be executed.
SELECT c.strategy, pg_temp.decision(strategy => c.strategy) -> 'execution' AS execution
  FROM (VALUES
	('{"auto_execute": true, "max_slippage_pips": 0, "time_in_force": "DAY", "execution_algorithm": "TWAP"}'::jsonb),
	('{"prefer_market_orders": true, "time_in_force": "IOC", "execution_algorithm": "ICEBERG"}'),
	('{"prefer_market_orders": true, "time_in_force": "FOK", "max_slippage_pips": 0.7}'),
	('{"prefer_market_orders": true}')) AS c (strategy);
