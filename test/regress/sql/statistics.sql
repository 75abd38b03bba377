-- Aggregates that give figures of trades and of predictions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS trading_engine;
RESET client_min_messages;
SET timezone = 'UTC';
SET intervalstyle = 'postgres';

CREATE FUNCTION pg_temp.complaint(statement text) RETURNS text
	LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- Six closed trades and one that is open.  By hand: wins 20, 30, 40; losses 10, 20; one break-even.
-- Win rate 3 / 5, profit factor 90 / 30, payoff 30 / 15, expectancy 60 / 6.
-- Squares 400 + 100 + 900 + 0 + 400 + 1600 = 3400, less 6 * 10^2 = 2800, / 5 = 560: Sharpe 10 / sqrt(560) = 0.422577.
-- Squares of losses 100 + 400 = 500, / 6: Sortino 10 / sqrt(83.3) = 1.095445.  SQN sqrt(6) * 0.422577 = 1.035098.
-- Equity 100, 120, 110, 140, 140, 120, 160: drawdown 20 / 140 = 0.142857 of the peak; 10 / 120 is less.
-- Return 0.6 / 0.142857 = 4.2.  Recovered: 01:00 to 03:00, and from the last time at 140, 04:00, to 06:00.
CREATE TEMP TABLE trades (closed_at timestamptz, profit float8);
INSERT INTO trades
	SELECT timestamptz '2026-01-05' + n * interval '1 hour', p FROM unnest('{20,-10,30,0,-20,40,NULL}'::float8[]) WITH ORDINALITY AS t (p, n);
SELECT count(profit) AS trades, trading.win_rate(profit), trading.profit_factor(profit), trading.payoff_ratio(profit), trading.expectancy(profit),
       round(trading.sharpe_ratio(profit)::numeric, 6) AS sharpe, round(trading.sortino_ratio(profit)::numeric, 6) AS sortino, round(trading.sqn(profit)::numeric, 6) AS sqn
  FROM trades;
SELECT round(trading.max_drawdown(profit, closed_at, 100 ORDER BY closed_at)::numeric, 6) AS drawdown, trading.max_drawdown_amount(profit, closed_at, 100 ORDER BY closed_at) AS amount,
       round(trading.calmar_ratio(profit, closed_at, 100 ORDER BY closed_at)::numeric, 6) AS calmar, trading.recovery_time(profit, closed_at, 100 ORDER BY closed_at) AS recovery,
       trading.losing_streak(profit ORDER BY closed_at) AS streak
  FROM trades;

-- All closes of one instant are summed first: in one instant there is no drawdown.
SELECT trading.max_drawdown(profit, '2026-01-05', 100) FROM trades;
-- A drawdown that isn't recovered has no recovery time.
SELECT trading.recovery_time(profit, closed_at, 100 ORDER BY closed_at) FROM trades WHERE closed_at < '2026-01-05 06:00+00' AND closed_at > '2026-01-05 04:00+00' OR profit = 20;
-- 30 days and an hour.
SELECT trading.recovery_time(p, at, 100 ORDER BY at) FROM (VALUES (1::float8, '2026-01-05Z'::timestamptz), (-2, '2026-01-06Z'), (3, '2026-02-04 01:00Z')) AS t (p, at);

-- Too little: no figure at all, never 0 or infinity.
CREATE FUNCTION pg_temp.figures(VARIADIC profits float8[]) RETURNS text
	LANGUAGE sql
AS $$
	SELECT to_jsonb(f)::text FROM (
		SELECT trading.win_rate(p) AS win, trading.profit_factor(p) AS factor, trading.payoff_ratio(p) AS payoff, trading.expectancy(p) AS expectancy,
		       trading.sharpe_ratio(p) AS sharpe, trading.sortino_ratio(p) AS sortino, trading.sqn(p) AS sqn,
		       trading.max_drawdown(p, '2026-01-05Z'::timestamptz + n * interval '1 hour', 100 ORDER BY n) AS drawdown,
		       trading.max_drawdown_amount(p, '2026-01-05Z'::timestamptz + n * interval '1 hour', 100 ORDER BY n) AS amount,
		       trading.calmar_ratio(p, '2026-01-05Z'::timestamptz + n * interval '1 hour', 100 ORDER BY n) AS calmar,
		       trading.recovery_time(p, '2026-01-05Z'::timestamptz + n * interval '1 hour', 100 ORDER BY n) AS recovery,
		       trading.losing_streak(p ORDER BY n) AS streak
		  FROM unnest(profits) WITH ORDINALITY AS t (p, n)) AS f
$$;
SELECT about, pg_temp.figures(VARIADIC p) AS figures FROM (VALUES
	(1, 'no trade', '{}'::float8[]), (2, 'one trade', '{5}'), (3, 'one closed, one open', '{-5,NULL}'), (4, 'no loss', '{5,7}'), (5, 'no win', '{-5,-7}'),
	(6, 'equal losses', '{-5,-5}'), (7, 'break-even', '{0,0}')) AS t (n, about, p) ORDER BY n;

-- Against the textbook formulas of SQL's own aggregates, over 10,000 trades.
CREATE TABLE many_trades AS
	SELECT n, sin(n * n) * 100 + 3 AS profit FROM generate_series(1, 10000) AS n;
CREATE FUNCTION pg_temp.near(a float8, b float8) RETURNS boolean
	LANGUAGE sql AS 'SELECT abs(a - b) <= 1e-11 * abs(b)';
SELECT pg_temp.near(trading.win_rate(profit), count(*) FILTER (WHERE profit > 0) / count(*)::float8) AS win_rate,
       pg_temp.near(trading.profit_factor(profit), sum(profit) FILTER (WHERE profit > 0) / -sum(profit) FILTER (WHERE profit < 0)) AS profit_factor,
       pg_temp.near(trading.payoff_ratio(profit), avg(profit) FILTER (WHERE profit > 0) / -avg(profit) FILTER (WHERE profit < 0)) AS payoff_ratio,
       pg_temp.near(trading.expectancy(profit), avg(profit)) AS expectancy,
       pg_temp.near(trading.sharpe_ratio(profit), avg(profit) / stddev_samp(profit)) AS sharpe,
       pg_temp.near(trading.sortino_ratio(profit), avg(profit) / sqrt(avg(least(profit, 0) ^ 2))) AS sortino,
       pg_temp.near(trading.sqn(profit), sqrt(count(*)) * avg(profit) / stddev_samp(profit)) AS sqn
  FROM many_trades;
WITH curve AS (SELECT n, 1000 + sum(profit) OVER (ORDER BY n) AS equity FROM many_trades),
     peaks AS (SELECT n, equity, greatest(1000, max(equity) OVER (ORDER BY n)) AS peak FROM curve),
     want AS (SELECT max((peak - equity) / peak) AS fraction, max(peak - equity) AS amount FROM peaks)
SELECT pg_temp.near(trading.max_drawdown(t.profit, to_timestamp(t.n), 1000 ORDER BY t.n), w.fraction) AS drawdown,
       pg_temp.near(trading.max_drawdown_amount(t.profit, to_timestamp(t.n), 1000 ORDER BY t.n), w.amount) AS amount,
       pg_temp.near(trading.calmar_ratio(t.profit, to_timestamp(t.n), 1000 ORDER BY t.n), sum(t.profit) / 1000 / w.fraction) AS calmar
  FROM many_trades AS t, want AS w GROUP BY w.fraction, w.amount;

-- The same bits in any order, and in parallel workers.
CREATE TEMP TABLE one AS
	SELECT trading.win_rate(profit) AS w, trading.profit_factor(profit) AS f, trading.payoff_ratio(profit) AS p, trading.expectancy(profit) AS e, trading.sharpe_ratio(profit) AS s,
	       trading.sortino_ratio(profit) AS o, trading.sqn(profit) AS q, trading.brier_score(abs(profit) / 200, profit > 0) AS b, trading.reliability(abs(profit) / 200, profit > 0) AS r
	  FROM many_trades;
SELECT one = ROW(trading.win_rate(profit ORDER BY md5(n::text)), trading.profit_factor(profit ORDER BY md5(n::text)), trading.payoff_ratio(profit ORDER BY md5(n::text)),
                 trading.expectancy(profit ORDER BY md5(n::text)), trading.sharpe_ratio(profit ORDER BY md5(n::text)), trading.sortino_ratio(profit ORDER BY md5(n::text)),
                 trading.sqn(profit ORDER BY md5(n::text)), trading.brier_score(abs(profit) / 200, profit > 0 ORDER BY md5(n::text)),
                 trading.reliability(abs(profit) / 200, profit > 0 ORDER BY md5(n::text))) AS any_order
  FROM many_trades, one GROUP BY one;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 3;
CREATE FUNCTION pg_temp.plan(statement text) RETURNS SETOF text
	LANGUAGE plpgsql
AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement;
END
$$;
SELECT count(*) FILTER (WHERE line LIKE '%Partial Aggregate%') = 1 AS in_parallel
  FROM pg_temp.plan('SELECT trading.sharpe_ratio(profit), trading.reliability(abs(profit) / 200, profit > 0, 7), trading.brier_score(abs(profit) / 200, profit > 0) FROM many_trades') AS line;
SELECT o.w = m.w AND o.f = m.f AND o.p = m.p AND o.e = m.e AND o.s = m.s AND o.o = m.o AND o.q = m.q AND o.b = m.b AND o.r = m.r AS same_in_parallel
  FROM one AS o, (SELECT trading.win_rate(profit) AS w, trading.profit_factor(profit) AS f, trading.payoff_ratio(profit) AS p, trading.expectancy(profit) AS e, trading.sharpe_ratio(profit) AS s,
	       trading.sortino_ratio(profit) AS o, trading.sqn(profit) AS q, trading.brier_score(abs(profit) / 200, profit > 0) AS b, trading.reliability(abs(profit) / 200, profit > 0) AS r
	  FROM many_trades) AS m;
COMMIT;
DROP TABLE many_trades;

-- As window functions: the figure after each trade.
SELECT profit, trading.win_rate(profit) OVER w, trading.max_drawdown_amount(profit, closed_at, 100) OVER w AS drawdown, trading.losing_streak(profit) OVER w AS streak
  FROM trades WINDOW w AS (ORDER BY closed_at) ORDER BY closed_at;

-- Probabilities.  (0.75 - 1)^2 = 0.0625, (0.75 - 0)^2 = 0.5625, (0.25 - 0)^2 = 0.0625: 0.6875 / 3.
CREATE TEMP TABLE forecasts (confidence float8, correct boolean);
INSERT INTO forecasts VALUES (0.75, true), (0.75, false), (0.25, false), (NULL, true), (0.5, NULL);
SELECT round(trading.brier_score(confidence, correct)::numeric, 9) AS brier FROM forecasts;
SELECT trading.brier_score(confidence, correct), trading.reliability(confidence, correct) FROM forecasts WHERE confidence = 0.5;
SELECT b.* FROM (SELECT trading.reliability(confidence, correct, 4) AS bins FROM forecasts) AS r,
       jsonb_to_recordset(r.bins) AS b (low float8, high float8, count bigint, mean_confidence float8, hit_rate float8);
-- An edge belongs to the bin above it, 1 to the last.
SELECT b.low, b.count FROM (SELECT trading.reliability(c, true) AS bins FROM unnest('{0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1,0.0999}'::float8[]) AS c) AS r,
       jsonb_to_recordset(r.bins) AS b (low float8, count bigint);

-- What can't be right is an error.
SELECT c.call, pg_temp.complaint('SELECT ' || c.call || ' FROM trades') FROM (VALUES
	($$trading.expectancy('NaN')$$), ($$trading.sharpe_ratio('infinity')$$), ($$trading.sqn(-1e151)$$), ($$trading.losing_streak('NaN')$$),
	($$trading.brier_score(1.1, true)$$), ($$trading.brier_score(-0.1, true)$$), ($$trading.brier_score('NaN', true)$$), ($$trading.reliability(2, true)$$),
	($$trading.reliability(0.5, true, 0)$$), ($$trading.reliability(0.5, true, 1001)$$), ($$trading.reliability(0.5, true, NULL)$$),
	($$trading.reliability(0.5, true, CASE WHEN profit > 0 THEN 3 ELSE 4 END)$$),
	($$trading.max_drawdown(profit, closed_at, 0)$$), ($$trading.max_drawdown(profit, closed_at, 'NaN')$$), ($$trading.max_drawdown(profit, closed_at, NULL)$$),
	($$trading.max_drawdown(profit, closed_at, 100 + profit)$$), ($$trading.max_drawdown(profit, NULL, 100)$$), ($$trading.max_drawdown(profit, 'infinity', 100)$$),
	($$trading.max_drawdown(profit, closed_at, 100 ORDER BY closed_at DESC)$$)) AS c (call);
