-- Which gate would a prediction that never came fail at, in each of my strategies as they are now?
-- as tom
SELECT e.strategy_id, d #>> '{decision,outcome}' AS outcome, d #> '{gates,-1,value}' AS value, d #>> '{gates,-1,source}' AS threshold
  FROM trading.effective_strategies AS e,
       trading.explain_decision(
	'{"prediction_id": "x", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "direction": "BUY",
	  "confidence": 0.9, "current_price": 1.1, "predicted_price": 1.103}',
	(SELECT jsonb_strip_nulls(jsonb_object_agg(p.name, to_jsonb(e) -> p.name)) FROM trading.strategy_parameters() AS p),
	'{"regime": "RANGING", "spread_pips": 3.5}',
	(SELECT to_jsonb(i) - '{asset_class, margin_rate}'::text[] FROM trading.instruments AS i WHERE i.symbol = 'EURUSD'),
	'{"currency": "USD", "equity": 10000}', '2026-01-05T10:00:01Z') AS d
 ORDER BY e.strategy_id;
-- gives: main|UNFAVORABLE_MARKET|3.5|strategy.max_spread_pips
