-- A month of trades as the lanes would leave them, one per signal, spread over all strategies:
-- psql -v from=2025-01-01 -v days=31 -v trades=1000000.  Closes come in order, as they do in life.
INSERT INTO trading.trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
	confidence, position_size, risk, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, entry_slippage_pips, profit, commission,
	r_multiple, latency_ms, closed_at, working, stopped_out, reports, lane, batch_no)
SELECT s.company_id, gen_random_uuid(), s.user_id, s.account_id, s.strategy_id, (ARRAY['EURUSD', 'GBPUSD', 'USDJPY'])[1 + n % 3], 1, 'p' || n, false,
       d.at, d.at, 0.6 + (n % 40) / 100.0, 0.1, 50, 0.0001, 0.01, 100000, 'EUR', 'USD', 'USD', o.state,
       (o.state = 'CLOSED')::integer, (o.state = 'CLOSED')::integer, (n % 30 - 10) / 10.0, CASE o.state WHEN 'CLOSED' THEN o.profit END, 0,
       CASE o.state WHEN 'CLOSED' THEN o.profit / 50 END, 5 + random() * 300, CASE o.state WHEN 'CLOSED' THEN d.at + random() * interval '3 hours' END,
       false, false, 2, 0, 1
  FROM generate_series(1, :trades) AS n
  JOIN (SELECT y.*, row_number() OVER (ORDER BY y.company_id, y.user_id, y.strategy_id) - 1 AS i, count(*) OVER () AS all_of_them FROM trading.strategies AS y) AS s
    ON s.i = n % s.all_of_them
 CROSS JOIN LATERAL (SELECT timestamptz :'from' + (n::float8 / :trades * :days) * interval '1 day' AS at) AS d
 CROSS JOIN LATERAL (SELECT CASE WHEN random() < 0.05 THEN 'REJECTED' ELSE 'CLOSED' END AS state, round((random() * 100 - 48)::numeric, 2)::float8 AS profit WHERE n > 0) AS o;
