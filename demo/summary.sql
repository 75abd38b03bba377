-- The end of the demo.
\pset border 0
\pset footer off
\pset null ''

\echo
\echo '== signals by strategy'
SELECT s.company_id || '/' || s.user_id || '/' || s.strategy_id AS strategy, c.tier,
       count(*) FILTER (WHERE s.outcome = 'SIGNAL') AS signals,
       count(*) FILTER (WHERE s.signal_type IN ('BUY', 'WEAK_BUY') AND s.outcome = 'SIGNAL') AS buys,
       count(*) FILTER (WHERE s.signal_type IN ('SELL', 'WEAK_SELL') AND s.outcome = 'SIGNAL') AS sells,
       count(*) FILTER (WHERE s.outcome = 'HOLD') AS holds,
       round(avg(s.position_size)::numeric, 2) AS mean_lots
  FROM trading.signals AS s JOIN trading.companies AS c ON c.company_id = s.company_id
 GROUP BY 1, 2 ORDER BY 1;

\echo '== what became of them: paper trades'
SELECT p.company_id || '/' || p.user_id || '/' || p.strategy_id AS strategy, p.filled, p.cancelled AS expired, p.trades,
       round(p.accuracy::numeric, 3) AS accuracy, round(p.profit::numeric, 2) AS profit, round(p.profit_factor::numeric, 2) AS profit_factor,
       round(p.sharpe_ratio::numeric, 3) AS sharpe, round(p.max_drawdown::numeric, 3) AS max_drawdown, p.losing_streak
  FROM trading.performance AS p WHERE p.level = 'strategy' AND p.period = 'all' ORDER BY 1;
SELECT a.company_id || '/' || a.user_id AS account, a.starting_equity, round(a.equity::numeric, 2) AS equity, a.open_trades
  FROM trading.account_equity AS a WHERE a.simulated ORDER BY 1;

\echo '== what confidence meant: models of the ensemble and the ensemble itself; a coin gets a Brier score of 0.25'
SELECT COALESCE(NULLIF(m.model_id, ''), 'the ensemble') AS model, m.symbol, m.horizon, m.votes, m.unresolved_votes AS unresolved,
       round(m.mean_confidence::numeric, 3) AS mean_confidence, round(m.accuracy::numeric, 3) AS accuracy,
       round(m.brier_score::numeric, 3) AS brier_score
  FROM trading.model_performance AS m WHERE m.company_id = '_all' AND m.period = 'all'
 ORDER BY m.symbol, m.model_id, m.horizon LIMIT 24;

\echo '== what self-adjustment would do now (a dry run), and why'
SELECT a.company_id || '/' || a.user_id || '/' || a.strategy_id AS strategy, a.verdict, a.closed_trades AS trades,
       round(a.accuracy::numeric, 3) AS accuracy, round(a.drawdown::numeric, 3) AS drawdown,
       a.threshold_before AS confidence, a.threshold_after AS to_confidence, a.size_before AS size, a.size_after AS to_size
  FROM trading.adjust_strategies(dry_run => true) AS a ORDER BY 1;

\echo '== risk service'
SELECT COALESCE(s.risk_status, 'nobody asked') AS asked, COALESCE(s.risk_level, '-') AS level, s.outcome, count(*) AS signals,
       round(avg(s.original_position_size)::numeric, 2) AS lots_before, round(avg(s.position_size)::numeric, 2) AS lots
  FROM trading.signals AS s WHERE s.outcome <> 'HOLD'
 GROUP BY 1, 2, 3 ORDER BY 4 DESC;
SELECT b.lane, b.state, b.calls, b.failures, b.refused, b.opened FROM trading.stat_breakers AS b;

\echo '== what became of every decision'
SELECT d.outcome, sum(d.count) AS decisions
  FROM trading.stat_decisions AS d GROUP BY d.outcome HAVING sum(d.count) > 0 ORDER BY 2 DESC;

\echo '== lanes'
SELECT b.lane, count(*) AS batches, sum(b.messages) AS messages, sum(b.predictions) AS predictions,
       sum(b.signals) AS signals, max(b.last_out_seq) AS published
  FROM trading.batches AS b GROUP BY b.lane ORDER BY b.lane;

\echo '== latency, milliseconds'
SELECT l.metric, l.count, round(l.p50_ms::numeric, 2) AS p50, round(l.p90_ms::numeric, 2) AS p90,
       round(l.p99_ms::numeric, 2) AS p99, round(l.p999_ms::numeric, 2) AS "p99.9", round(l.max_ms::numeric, 1) AS max
  FROM trading.stat_latency AS l WHERE l.lane IS NULL AND l.count > 0;
