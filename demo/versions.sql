-- Signals of the strategy that the demo changes, by version of its row.
\pset border 0
\pset footer off

SELECT s.strategy_version AS version, count(*) AS signals, round(avg(s.position_size)::numeric, 2) AS mean_lots,
       round(avg(s.max_loss)::numeric, 2) AS mean_loss_at_stop,
       to_char(min(s.decided_at) AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS first_decided
  FROM trading.signals AS s
 WHERE s.company_id = 'birch' AND s.user_id = 'bob' AND s.strategy_id = 'market' AND s.outcome = 'SIGNAL'
 GROUP BY 1 ORDER BY 1;
