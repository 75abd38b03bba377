-- The other rollups of that year: each trade was a signal, and so many models have voted on each of
-- ten symbols for two horizons, every hour.  psql -v models=5
INSERT INTO trading.performance_signals
SELECT p.company_id, p.level, p.grain, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency, p.starts_on, f.filled + f.rejected + f.cancelled, 0
  FROM trading.performance_parts AS p, trading.performance_figures(p.piece, NULL) AS f;
INSERT INTO trading.score_sums (company_id, grain, model_id, symbol, horizon, starts_on, bin, right_votes, wrong_votes, unresolved_votes, confidence_sum, brier_sum)
SELECT '_all', g.grain, CASE m.n WHEN 0 THEN '' ELSE 'model' || m.n END, 'SYMBOL' || s.n, h.n * interval '1 hour', date_trunc(g.grain, d.day)::date, b.bin,
       sum(b.bin), sum(10 - b.bin), count(*), sum(10 * (b.bin + 0.5) / 10), sum(10 * 0.2)
  FROM generate_series(0, :models) AS m (n), generate_series(1, 10) AS s (n), (VALUES (1), (4)) AS h (n),
       generate_series(timestamp '2025-01-01', '2025-12-31', '1 day') AS d (day), generate_series(4, 9) AS b (bin), (VALUES ('day'), ('month')) AS g (grain)
 GROUP BY 1, 2, 3, 4, 5, 6, 7;
