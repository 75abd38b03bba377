-- Figures of trades by level and period, and over any time: against plain aggregates over the
-- trades, rolled up or not, and as tenants see them.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_performance;
\c trading_performance
\set ECHO none
\i :companies
DELETE FROM trading.trades;
TRUNCATE trading.performance_changes, trading.performance_parts, trading.performance_signals, trading.score_sums;
DELETE FROM trading.signals;
\set ECHO all
SET timezone = 'UTC';
SET intervalstyle = 'postgres';

-- Nothing was traded: no rows, and of a strategy figures that are not known.
SELECT count(*) FROM trading.performance;
SELECT count(*) FROM trading.performance_of('company', NULL, NULL);
SELECT count(*) FROM trading.model_performance;
SELECT f.trades, f.accuracy, f.profit, f.max_drawdown, f.filled FROM trading.strategy_figures('acme', 'tom', 'main') AS f;
SELECT f.trades, f.accuracy FROM trading.strategy_figures('acme', 'tom', 'not there') AS f;
SELECT company_id, user_id, strategy_id, trades, accuracy FROM trading.recent_performance ORDER BY 1, 2;
SELECT trading.roll_up();

-- What can't be is named.
SELECT * FROM trading.performance_of('account', NULL, NULL);
SELECT * FROM trading.performance_of(NULL, NULL, NULL);
SELECT * FROM trading.performance_of('user', '2026-02-02Z', '2026-02-02Z');
SELECT * FROM trading.performance_of('user', 'infinity', NULL);
SELECT * FROM trading.performance_of('company', NULL, NULL, user_id => 'tom');
SELECT * FROM trading.performance_of('user', NULL, NULL, strategy_id => 'main');
SELECT * FROM trading.performance_of('strategy', NULL, NULL, symbol => 'EURUSD');
SELECT trading.performance_piece(at, 1, NULL, NULL, NULL, NULL, NULL ORDER BY n) FROM (VALUES (1, '2026-02-02Z'::timestamptz), (2, '2026-02-01Z')) AS t (n, at);
SELECT trading.performance_piece('infinity', 1, NULL, NULL, NULL, NULL, NULL);
SELECT trading.performance_piece(NULL, NULL, NULL, NULL, 'LOST', NULL, NULL);
SELECT trading.performance_figures('\x00', 100);

-- Trades from 20 January to early March, four of each hundred simulated, some rejected, cancelled or open.
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'other');
CREATE FUNCTION trade(first integer, last integer) RETURNS void LANGUAGE sql SET search_path = trading, pg_catalog AS $$
	INSERT INTO trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
		confidence, position_size, risk, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, entry_slippage_pips,
		profit, commission, r_multiple, latency_ms, closed_at, working, stopped_out, reports, lane, batch_no)
	SELECT w.company_id, md5(n::text)::uuid, w.user_id, 'main', w.strategy_id, (ARRAY['EURUSD', 'GBPUSD'])[1 + n % 2], 1, 'p', n % 25 = 0, at.decided, at.decided,
	       0.5 + n % 50 / 100.0, 1, 50, 0.0001, 0.01, 100000, 'EUR', 'USD', 'USD', s.state, (s.state IN ('OPEN', 'CLOSED'))::integer, (s.state = 'CLOSED')::integer,
	       CASE WHEN s.state IN ('OPEN', 'CLOSED') THEN n % 7 - 2 END, CASE WHEN s.state = 'CLOSED' THEN s.profit END, 0,
	       CASE WHEN s.state = 'CLOSED' AND n % 3 > 0 THEN s.profit / 50 END, CASE WHEN s.state IN ('OPEN', 'CLOSED') THEN 20 + n % 200 END,
	       CASE WHEN s.state = 'CLOSED' THEN date_trunc('hour', at.decided + n % 40 * interval '1 hour') END, false, false, 1, 0, 1
	  FROM generate_series(first, last) AS n
	 CROSS JOIN LATERAL (SELECT timestamptz '2026-01-20Z' + n * interval '143 minutes' AS decided) AS at
	 CROSS JOIN LATERAL (SELECT CASE n % 10 WHEN 3 THEN 'REJECTED' WHEN 6 THEN 'CANCELLED' WHEN 9 THEN 'OPEN' ELSE 'CLOSED' END AS state,
		CASE n % 11 WHEN 0 THEN 0 ELSE (n * 7919 % 2003 - 950) / 10.0 END::float8 AS profit) AS s
	  JOIN (VALUES (0, 'acme', 'ann', 'main'), (1, 'acme', 'ann', 'other'), (2, 'acme', 'tom', 'main'), (3, 'beta', 'bob', 'main'))
		AS w (i, company_id, user_id, strategy_id) ON w.i = n * 31 % 53 % 4
$$;
SELECT trade(1, 450);

-- The same figures from the trades alone.
CREATE FUNCTION plain(from_time timestamptz, to_time timestamptz)
	RETURNS TABLE (level text, company_id text, user_id text, strategy_id text, symbol text, simulated boolean, figures jsonb)
	LANGUAGE sql AS $$
	WITH levels AS (
		SELECT t.*, l.level, l.level_user, l.level_strategy, l.level_symbol,
		       t.state = 'CLOSED' AND t.closed_at < to_time AS closes, t.state <> 'PENDING' AND t.state <> 'OPEN' OR t.filled > 0 AS decided
		  FROM trading.trades AS t
		 CROSS JOIN LATERAL (VALUES ('company', '*', '*', '*'), ('symbol', '*', '*', t.symbol), ('user', t.user_id, '*', '*'),
			('strategy', t.user_id, t.strategy_id, '*'), ('strategy_symbol', t.user_id, t.strategy_id, t.symbol)) AS l (level, level_user, level_strategy, level_symbol)),
	begins AS (
		SELECT l.level, l.company_id, l.level_user, l.level_strategy, l.level_symbol, l.simulated,
		       10000 * CASE WHEN l.level_user <> '*' THEN 1 ELSE (SELECT count(*) FROM trading.accounts AS a WHERE a.company_id = l.company_id) END
			+ COALESCE(sum(l.profit::numeric) FILTER (WHERE l.closes AND l.closed_at < from_time), 0)::float8 AS equity
		  FROM levels AS l GROUP BY 1, 2, 3, 4, 5, 6),
	within AS (SELECT l.*, b.equity, l.closes AND l.closed_at >= from_time AS counts, l.decided AND l.decided_at >= from_time AND l.decided_at < to_time AS ordered
		  FROM levels AS l JOIN begins AS b USING (level, company_id, level_user, level_strategy, level_symbol, simulated))
	SELECT w.level, w.company_id, w.level_user, w.level_strategy, w.level_symbol, w.simulated, to_jsonb(f)
	  FROM (SELECT w.level, w.company_id, w.level_user, w.level_strategy, w.level_symbol, w.simulated, w.equity,
		       count(*) FILTER (WHERE w.counts) AS trades, array_agg(w.profit ORDER BY w.closed_at, w.signal_id) FILTER (WHERE w.counts) AS profits,
		       count(*) FILTER (WHERE w.counts AND w.profit > 0) AS wins, count(*) FILTER (WHERE w.counts AND w.profit < 0) AS losses,
		       sum(w.profit) FILTER (WHERE w.counts) AS profit, avg(w.profit) FILTER (WHERE w.counts) AS expectancy, stddev_samp(w.profit) FILTER (WHERE w.counts) AS deviation,
		       sum(w.profit) FILTER (WHERE w.counts AND w.profit > 0) AS gross_profit, -sum(w.profit) FILTER (WHERE w.counts AND w.profit < 0) AS gross_loss,
		       sqrt(avg(LEAST(w.profit, 0) ^ 2) FILTER (WHERE w.counts)) AS downside, trading.sqn(w.r_multiple) FILTER (WHERE w.counts) AS sqn,
		       avg((w.confidence - (w.profit > 0)::integer) ^ 2) FILTER (WHERE w.counts AND w.profit <> 0) AS brier,
		       trading.max_drawdown(w.profit, w.closed_at, w.equity ORDER BY w.closed_at) FILTER (WHERE w.counts) AS max_drawdown,
		       trading.max_drawdown_amount(w.profit, w.closed_at, w.equity ORDER BY w.closed_at) FILTER (WHERE w.counts) AS max_drawdown_amount,
		       trading.present_drawdown(w.profit, w.closed_at, w.equity ORDER BY w.closed_at) FILTER (WHERE w.counts) AS drawdown,
		       trading.recovery_time(w.profit, w.closed_at, w.equity ORDER BY w.closed_at) FILTER (WHERE w.counts) AS recovery_time,
		       trading.losing_streak(w.profit ORDER BY w.closed_at, w.signal_id) FILTER (WHERE w.counts) AS losing_streak,
		       count(*) FILTER (WHERE w.ordered AND w.filled > 0) AS filled, count(*) FILTER (WHERE w.ordered AND w.state = 'REJECTED') AS rejected,
		       count(*) FILTER (WHERE w.ordered AND w.state = 'CANCELLED') AS cancelled
		  FROM within AS w WHERE w.counts OR w.ordered GROUP BY 1, 2, 3, 4, 5, 6, 7) AS w
	 CROSS JOIN LATERAL (SELECT w.equity, w.trades, w.wins, w.losses, w.profit, w.max_drawdown, w.max_drawdown_amount, w.drawdown, w.filled, w.rejected, w.cancelled, w.sqn,
		extract(epoch FROM w.recovery_time)::float8 AS recovery_seconds, w.losing_streak,
		CASE WHEN w.trades > 1 THEN w.wins / NULLIF(w.wins + w.losses, 0)::float8 END AS accuracy, CASE WHEN w.trades > 1 THEN w.expectancy END AS expectancy,
		CASE WHEN w.trades > 1 AND w.losses > 0 THEN COALESCE(w.gross_profit, 0) / w.gross_loss END AS profit_factor,
		CASE WHEN w.wins > 0 AND w.losses > 0 THEN w.gross_profit / w.wins / (w.gross_loss / w.losses) END AS payoff_ratio,
		w.expectancy / NULLIF(w.deviation, 0) AS sharpe_ratio, CASE WHEN w.trades > 1 THEN w.expectancy / NULLIF(w.downside, 0) END AS sortino_ratio,
		CASE WHEN w.wins + w.losses > 1 THEN w.brier END AS brier_score, w.profit / w.equity / NULLIF(w.max_drawdown, 0) AS calmar_ratio) AS f
$$;
-- How many rows agree, and what doesn't.
CREATE FUNCTION compared(from_time timestamptz, to_time timestamptz, OUT rows bigint, OUT differences text) LANGUAGE sql AS $$
	WITH ours AS (
		SELECT o.level, o.company_id, o.user_id, o.strategy_id, o.symbol, o.simulated,
		       to_jsonb(o) || jsonb_build_object('recovery_seconds', extract(epoch FROM o.recovery_time)::float8) AS figures
		  FROM unnest(ARRAY['company', 'symbol', 'user', 'strategy', 'strategy_symbol']) AS l (level)
		 CROSS JOIN LATERAL trading.performance_of(l.level, from_time, to_time) AS o)
	SELECT count(DISTINCT (level, company_id, user_id, strategy_id, symbol, simulated)),
	       string_agg(concat_ws(' ', level, company_id, user_id, strategy_id, symbol, simulated, key, o.figures -> key, p.figures -> key), E'\n')
		FILTER (WHERE o.figures IS NULL OR p.figures IS NULL
			OR NOT COALESCE(abs((o.figures ->> key)::float8 - (p.figures ->> key)::float8) <= 1e-9 * (1 + abs((p.figures ->> key)::float8)),
				COALESCE(o.figures ->> key, p.figures ->> key) IS NULL))
	  FROM ours AS o FULL JOIN plain(COALESCE(from_time, '-infinity'), COALESCE(to_time, 'infinity')) AS p
		USING (level, company_id, user_id, strategy_id, symbol, simulated)
	  LEFT JOIN LATERAL jsonb_object_keys(p.figures) AS key ON true
$$;
CREATE TABLE spans (n integer, from_time timestamptz, to_time timestamptz, about text);
INSERT INTO spans VALUES
	(1, NULL, NULL, 'all'), (2, '2026-02-01Z', '2026-03-01Z', 'a month'), (3, '2026-01-25Z', '2026-02-07Z', 'days'),
	(4, '2026-01-27 03:20:30Z', '2026-02-26 17:00Z', 'within days'), (5, '2026-02-10 00:00Z', '2026-02-10 08:00Z', 'a morning'),
	(6, '2026-02-10 08:00Z', '2026-02-10 12:30Z', 'hours of a day'), (7, NULL, '2026-02-14 09:00Z', 'until'), (8, '2026-02-14 09:00Z', NULL, 'since'),
	(9, '2026-02-14 09:00+02', '2026-02-16 09:00+02', 'in another time zone'), (10, '-infinity', 'infinity', 'infinite'), (11, '2027-01-01Z', NULL, 'nothing');
SELECT s.about, c.* FROM spans AS s, compared(s.from_time, s.to_time) AS c ORDER BY s.n;
SELECT trading.roll_up() > 100 AS rolled_up;
SELECT s.about, c.* FROM spans AS s, compared(s.from_time, s.to_time) AS c ORDER BY s.n;
SELECT trade(451, 480);
UPDATE trading.trades SET profit = profit - 1, closed_at = closed_at + interval '2 days' WHERE state = 'CLOSED' AND ascii(signal_id::text) = ascii('7');
DELETE FROM trading.trades WHERE state = 'CANCELLED' AND ascii(signal_id::text) = ascii('a');
SELECT count(*) > 20 AS not_rolled_up FROM trading.performance_stale;
SELECT s.about, c.* FROM spans AS s, compared(s.from_time, s.to_time) AS c ORDER BY s.n;

-- Whole periods are those of the view, to the bit; parts of one joined are the whole.
SELECT p.period, count(*) > 5 AS rows, count(*) FILTER (WHERE ROW(p.equity, p.signals, p.trades, p.profit, p.sharpe_ratio, p.brier_score, p.max_drawdown, p.calmar_ratio, p.recovery_time, p.latency_p90_ms, p.slippage_p50_pips)
	IS DISTINCT FROM ROW(o.equity, o.signals, o.trades, o.profit, o.sharpe_ratio, o.brier_score, o.max_drawdown, o.calmar_ratio, o.recovery_time, o.latency_p90_ms, o.slippage_p50_pips)) AS differ
  FROM trading.performance AS p
  LEFT JOIN LATERAL trading.performance_of(p.level, p.starts_on::timestamptz, p.ends_on::timestamptz, p.company_id, NULLIF(p.user_id, '*'), NULLIF(p.strategy_id, '*'), NULLIF(p.symbol, '*'), p.simulated) AS o ON true
 WHERE p.level IN ('company', 'strategy') AND p.period IN ('all', 'quarter', 'month', 'week') AND p.currency = 'USD'
 GROUP BY p.period ORDER BY p.period;
-- Signals are counted by day.
INSERT INTO trading.performance_signals
SELECT 'acme', 'company', g.grain, '*', '*', '*', false, 'USD', date_trunc(g.grain, d.day)::date, count(*), 1
  FROM generate_series(timestamp '2026-02-01', '2026-02-28', '1 day') AS d (day), (VALUES ('day'), ('month')) AS g (grain) GROUP BY 3, 9;
SELECT o.signals, o.risk_rejected FROM trading.performance_of('company', '2026-02-05Z', '2026-02-12Z', 'acme', simulated => false) AS o;
SELECT o.signals, o.risk_rejected FROM trading.performance_of('company', '2026-01-05Z', '2026-03-12Z', 'acme', simulated => false) AS o;
SELECT o.signals, o.risk_rejected FROM trading.performance_of('company', '2026-02-05 12:00Z', '2026-02-12Z', 'acme', simulated => false) AS o;

-- Narrowed down.
SELECT o.company_id, o.user_id, o.strategy_id, o.symbol, o.simulated, o.starts_at, o.ends_at, o.trades
  FROM trading.performance_of('strategy_symbol', '2026-02-01Z', '2026-02-10 12:00Z', 'acme', 'ann', 'main', 'GBPUSD', false) AS o;

-- The newest trades of a strategy on the curve of all: they fall from a peak that was before them.
UPDATE trading.trades SET profit = CASE WHEN closed_at < '2026-02-20Z' THEN 10 ELSE -10 END WHERE state = 'CLOSED' AND user_id = 'tom' AND NOT simulated;
SELECT f.trades, round(f.max_drawdown::numeric, 6) AS max_drawdown, round(f.drawdown::numeric, 6) AS drawdown, f.max_drawdown_amount, f.recovery_time
  FROM (VALUES (3), (1000)) AS n (newest), trading.strategy_figures('acme', 'tom', 'main', n.newest) AS f;
SELECT round((1 - equity / peak)::numeric, 6) AS drawdown, peak - equity AS amount
  FROM (SELECT 10000 + sum(profit) AS equity, 10000 + sum(profit) FILTER (WHERE profit > 0) AS peak FROM trading.trades WHERE state = 'CLOSED' AND user_id = 'tom' AND NOT simulated) AS t;
SELECT c.accuracy, round(c.max_drawdown::numeric, 6) AS max_drawdown, round(c.drawdown::numeric, 6) AS drawdown FROM trading.closed_trade_figures('acme', 'tom') AS c;

-- Models.
INSERT INTO trading.score_sums (company_id, grain, model_id, symbol, horizon, starts_on, bin, right_votes, wrong_votes, unresolved_votes, confidence_sum, brier_sum)
SELECT v.company_id, g.grain, 'm', 'EURUSD', '1 hour', date_trunc(g.grain, v.day::timestamp)::date, v.bin, sum(v.r), sum(v.w), sum(v.u), sum((v.r + v.w) * (v.bin + 0.5) / 10), sum(v.brier)
  FROM (VALUES ('acme', date '2026-01-31', 6, 3, 1, 0, 0.8), ('acme', '2026-02-01', 6, 1, 1, 2, 0.5), ('acme', '2026-02-03', 8, 4, 0, 1, 0.1), ('beta', '2026-02-03', 8, 1, 0, 0, 0.02))
	AS v (company_id, day, bin, r, w, u, brier), (VALUES ('day'), ('month')) AS g (grain)
 GROUP BY 1, 2, 6, 7;
SELECT company_id, period, starts_on, votes, right_votes, wrong_votes, unresolved_votes, accuracy, round(brier_score::numeric, 6) AS brier_score, round(mean_confidence::numeric, 6) AS mean_confidence
  FROM trading.model_performance ORDER BY company_id, period, starts_on;
SELECT company_id, period, starts_on, low::numeric(2, 1), high::numeric(2, 1), votes, unresolved_votes, mean_confidence, hit_rate FROM trading.model_reliability ORDER BY company_id, period, starts_on, low;

-- As tenants see it.  Rolled up or not, each sees his own; only an admin sees what is of all users.
CREATE FUNCTION seen() RETURNS TABLE (what text, who text) LANGUAGE sql AS $$
	SELECT 'performance', string_agg(DISTINCT concat_ws(' ', p.level, p.company_id, p.user_id), ', ') FROM trading.performance AS p WHERE p.period = 'all'
	UNION ALL
	SELECT 'performance_of ' || l.level, string_agg(DISTINCT concat_ws(' ', o.company_id, o.user_id, o.trades), ', ')
	  FROM (VALUES ('company'), ('user'), ('strategy')) AS l (level), trading.performance_of(l.level, '2026-02-01 07:00Z', '2026-02-01 21:00Z') AS o GROUP BY l.level
	UNION ALL
	SELECT 'recent_performance', string_agg(concat_ws(' ', r.company_id, r.user_id, r.strategy_id, r.trades), ', ' ORDER BY r.user_id, r.strategy_id) FROM trading.recent_performance AS r
	UNION ALL
	SELECT 'model_performance', string_agg(DISTINCT m.company_id, ', ') FROM trading.model_performance AS m
$$;
GRANT EXECUTE ON FUNCTION seen() TO PUBLIC;
\c - te_ann
SELECT * FROM seen();
\c - te_tom
SELECT * FROM seen();
-- Another's is as if it weren't there.
SELECT count(*) FROM trading.performance_of('strategy', NULL, NULL, 'beta');
SELECT count(*) FROM trading.performance_of('strategy', NULL, NULL, 'acme', 'ann');
SELECT f.trades, f.profit FROM trading.strategy_figures('beta', 'bob', 'main') AS f;
SELECT count(*) FROM trading.newest_trades(NULL, NULL, NULL, 100, NULL) AS n WHERE n."user" <> 'tom';
SELECT trading.roll_up();
SELECT trading.score_predictions();
\c - te_vic
SELECT * FROM seen();
\c - te_bob
SELECT * FROM seen();
\c - te_nobody
SELECT * FROM seen();
\c - te_stranger
SELECT * FROM trading.performance;
SELECT * FROM trading.performance_of('company', NULL, NULL);
\c - te_admin
SELECT trading.roll_up() > 10 AS rolled_up;
SELECT * FROM seen();
\c - te_ann
SELECT * FROM seen();
\c - te_tom
SELECT * FROM seen();

\c :home :superuser
DROP DATABASE trading_performance WITH (FORCE);
\set ECHO none
\i :no_companies
