-- Trades as the lanes would leave them, one per signal, spread over all strategies:
-- psql -v from=2025-01-01 -v days=31 -v trades=1000000.  Closes come in order, as they do in life,
-- and so do the ids of signals, whose heads are the time.
SELECT count(*) AS strategies FROM trading.strategies \gset
INSERT INTO trading.trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
	confidence, position_size, risk, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, entry_slippage_pips, profit, commission,
	r_multiple, latency_ms, closed_at, working, stopped_out, reports, lane, batch_no)
SELECT s.company_id, (lpad(to_hex((extract(epoch FROM t.at) * 1e6)::bigint), 16, '0') || lpad(to_hex(t.n), 16, '0'))::uuid, s.user_id, s.account_id, s.strategy_id,
       (ARRAY['EURUSD', 'GBPUSD', 'USDJPY'])[1 + t.n % 3], 1, 'p' || t.n, false, t.at, t.at, 0.6 + (t.n % 40) / 100.0, 0.1, 50, 0.0001, 0.01, 100000,
       'EUR', 'USD', 'USD', CASE WHEN t.closes THEN 'CLOSED' ELSE 'REJECTED' END, t.closes::integer, t.closes::integer, (t.n % 30 - 10) / 10.0,
       CASE WHEN t.closes THEN t.profit END, 0, CASE WHEN t.closes THEN t.profit / 50 END, 5 + random() * 300,
       CASE WHEN t.closes THEN t.at + random() * interval '3 hours' END, false, false, 2, 0, 1
  FROM (SELECT n, n % :strategies AS i, timestamptz :'from' + (n::float8 / :trades * :days) * interval '1 day' AS at,
	       random() >= 0.05 AS closes, round(random() * 10000 - 4800) / 100 AS profit
	  FROM generate_series(1, :trades) AS n) AS t
  JOIN (SELECT y.*, row_number() OVER (ORDER BY y.company_id, y.user_id, y.strategy_id) - 1 AS i FROM trading.strategies AS y) AS s ON s.i = t.i;
