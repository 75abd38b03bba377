-- What the live view of the demo shows.
\pset border 0
\pset footer off
\pset null ''

\echo
\echo '-- latest signals'
SELECT to_char(s.decided_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS market_time,
       s.company_id || '/' || s.user_id || '/' || s.strategy_id AS strategy, s.symbol, s.signal_type AS signal,
       s.order_type AS order, s.entry_price AS entry, s.stop_loss AS stop, s.take_profit AS target,
       s.position_size AS lots, round(s.signal_strength::numeric, 2) AS strength
  FROM trading.signals AS s
 WHERE s.outcome = 'SIGNAL'
 ORDER BY s.recorded_at DESC, s.lane, s.batch_no DESC, s.position DESC
 LIMIT 6;

\echo '-- what became of signals'
SELECT t.company_id || '/' || t.user_id || '/' || t.strategy_id AS strategy,
       count(*) FILTER (WHERE t.state = 'OPEN') AS open, count(*) FILTER (WHERE t.state = 'CLOSED') AS closed,
       count(*) FILTER (WHERE t.state = 'CANCELLED') AS expired,
       round(100.0 * count(*) FILTER (WHERE t.profit > 0) / NULLIF(count(*) FILTER (WHERE t.profit <> 0), 0), 1) AS "wins, %",
       round(sum(t.profit)::numeric, 2) AS profit
  FROM trading.trades AS t GROUP BY 1 ORDER BY 1;

\echo '-- outcomes of decisions (a prediction below the confidence that a strategy asks for never reaches it)'
SELECT string_agg(o.outcome || ' ' || o.count, ', ' ORDER BY o.place) AS so_far
  FROM (SELECT d.outcome, sum(d.count) AS count, row_number() OVER (ORDER BY sum(d.count) DESC, d.outcome) - 1 AS place
	  FROM trading.stat_decisions AS d GROUP BY d.outcome HAVING sum(d.count) > 0) AS o
 GROUP BY o.place / 5 ORDER BY o.place / 5;

\echo '-- latency, milliseconds'
SELECT l.metric, l.count, round(l.p50_ms::numeric, 2) AS p50, round(l.p99_ms::numeric, 2) AS p99,
       round(l.max_ms::numeric, 1) AS max
  FROM trading.stat_latency AS l
 WHERE l.lane IS NULL AND l.count > 0;

\echo '-- health'
SELECT w.lane, w.state, t.state AS broker, w.predictions, w.signals, w.dead_letters,
       w.input_pending AS behind, w.outbox_pending AS unacknowledged, w.reason
  FROM trading.stat_workers AS w
  LEFT JOIN trading.stat_transports AS t ON t.lane = w.lane AND t.datname = w.datname
 ORDER BY w.lane;
