-- Recompute every stored signal from its stored inputs: how many differ from what was stored?
SELECT count(*) AS signals,
       count(*) FILTER (WHERE (d ->> 'entry_price')::float8 IS DISTINCT FROM s.entry_price
			   OR (d ->> 'stop_loss')::float8 IS DISTINCT FROM s.stop_loss
			   OR (d ->> 'position_size')::float8 IS DISTINCT FROM s.position_size
			   OR (d ->> 'signal_strength')::float8 IS DISTINCT FROM s.signal_strength
			   OR d ->> 'outcome' IS DISTINCT FROM s.outcome) AS different
  FROM trading.signals AS s, trading.decision_inputs(s.inputs) AS i,
       trading.decide(i -> 'prediction', i -> 'strategy', i -> 'market', i -> 'instrument', i -> 'account',
		      (i ->> 'at')::timestamptz) AS d;
-- gives: 1|0
