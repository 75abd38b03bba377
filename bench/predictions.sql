-- :count broadcasts, each of a message of its own, of which every strategy with a threshold of at
-- most 0.8 makes a signal; or, where the models disagree (:disagree), none.
SELECT count(trading.submit(jsonb_build_object('batch_id', :'name' || n, 'producer_id', 'bench', 'company_id', '_all', 'user_id', '_all',
	'generated_at', clock_timestamp(), 'predictions', jsonb_build_array(jsonb_build_object(
	'prediction_id', :'name' || n, 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.8)
	|| CASE WHEN :disagree THEN '{"models": [{"model_id": "a", "direction": "BUY", "confidence": 0.9},
		{"model_id": "b", "direction": "SELL", "confidence": 0.9}]}'::jsonb ELSE '{}' END))))
  FROM generate_series(1, :count) AS n;
