-- What became of a prediction in each of my strategies, and how far was it from passing?
-- Run as a tenant: row-level security makes strategies mine, and explain answers for them alone.
-- as tom
SELECT s.strategy_id, e.outcome, e.quantity, e.value, e.threshold, e.parameter, e.layer
  FROM trading.strategies AS s,
       LATERAL (SELECT * FROM trading.explain('second', s.company_id, s.user_id, s.strategy_id) ORDER BY step DESC LIMIT 1) AS e
 WHERE s.user_id <> '_all'
 ORDER BY s.strategy_id;
-- gives: main|LOW_CONFIDENCE|confidence|0.65|0.7|min_confidence_threshold|TIER
