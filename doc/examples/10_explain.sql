-- Which gates stand between a prediction and each of my strategies?
-- Run as a tenant: row-level security makes effective_strategies mine.
-- as tom
SELECT e.strategy_id, d ->> 'outcome' AS outcome, d -> 'steps' -> -1 ->> 'gate' AS last_gate
  FROM trading.effective_strategies AS e,
       trading.decide(
	'{"prediction_id": "x", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "direction": "BUY",
	  "confidence": 0.6, "current_price": 1.1, "predicted_price": 1.103}',
	to_jsonb(e) - ARRAY['company_id', 'user_id', 'strategy_id', 'name', 'account_id', 'version', 'tier', 'layers', 'custom_rule'],
	'{"regime": "RANGING"}',
	(SELECT to_jsonb(i) - 'asset_class' FROM trading.instruments AS i WHERE i.symbol = 'EURUSD'),
	'{"currency": "USD", "equity": 10000}', '2026-01-05T10:00:01Z') AS d
 ORDER BY e.strategy_id;
-- gives: main|LOW_CONFIDENCE|LOW_CONFIDENCE
