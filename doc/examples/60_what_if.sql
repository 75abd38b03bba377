-- What would a threshold of 0.95 have done to the signals of the last day, and what became of them?
SELECT difference, symbol, prediction_id, changed, gate ->> 'gate' AS gate, gate -> 'value' AS value, gate -> 'threshold' AS threshold, result_before, profit_before
  FROM trading.what_if(now() - interval '1 day', now() + interval '1 minute', '{"min_confidence_threshold": 0.95}')
 ORDER BY decided_at;

-- An UPDATE that isn't committed yet, with the figures before and after.
BEGIN;
UPDATE trading.strategies SET stop_loss_pips = 30;
SELECT strategy_id, currency, signals_before, signals_after, sample_size_before, sample_size_after, expectancy_before, expectancy_after
  FROM trading.what_if_summary(now() - interval '1 day', now() + interval '1 minute', strategies => 'current');
ROLLBACK;

-- Which stop and threshold would a walk-forward test have chosen?  fold NULL is the honest total.
SELECT fold, parameters, in_trades, in_expectancy_r, out_trades, out_expectancy_r
  FROM trading.sweep(now() - interval '10 days', now() + interval '1 minute',
                     '{"stop_loss_pips": [15, 20, 25], "min_confidence_threshold": [0.7, 0.75, 0.8]}', metric => 'expectancy_r')
 WHERE chosen OR fold IS NULL;

-- Figures of trades of one's own, from any table.
SELECT count(profit) AS trades, trading.win_rate(profit), trading.profit_factor(profit), trading.expectancy(profit),
       trading.max_drawdown(profit, closed_at, 10000 ORDER BY closed_at)
  FROM (VALUES (timestamptz '2026-01-05 10:00Z', 200::float8), ('2026-01-05 11:00Z', -100), ('2026-01-05 12:30Z', 200)) AS my_trades (closed_at, profit);
-- gives: 3|0.6666666666666666|4|100|0.00980392156862745
