-- What is read: rollups where they are up to date, trades and signals themselves where not.

-- What is of all users isn't for one of them, who would see his own share as if it were all.
CREATE FUNCTION trading.sees_all_users() RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.current_company() IS NULL OR trading.current_role_in_company() = 'admin'
$$;
COMMENT ON FUNCTION trading.sees_all_users() IS 'whether the session sees all users of the companies that it sees';

-- These need nothing of the extension, so those of an earlier installation are still there, and
-- are its own.
CREATE FUNCTION trading.create_performance_base() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('trading.performance_events') IS NOT NULL THEN
		RETURN;
	END IF;
	CREATE VIEW trading.performance_events WITH (security_invoker) AS
	SELECT t.company_id, t.user_id, t.strategy_id, t.symbol, t.simulated, t.currency, t.signal_id,
	       (t.closed_at AT TIME ZONE 'UTC')::date AS day, t.closed_at AS at, t.closed_at, t.profit, t.r_multiple, t.confidence,
	       NULL::text AS fate, NULL::float8 AS latency_ms, NULL::float8 AS slippage_pips
	  FROM trading.trades AS t
	 WHERE t.state = 'CLOSED' AND t.profit IS NOT NULL
	UNION ALL
	SELECT t.company_id, t.user_id, t.strategy_id, t.symbol, t.simulated, t.currency, t.signal_id,
	       (t.decided_at AT TIME ZONE 'UTC')::date, t.decided_at, NULL, NULL, NULL, NULL,
	       CASE WHEN t.filled > 0 THEN 'FILLED' ELSE t.state END, t.latency_ms, t.entry_slippage_pips
	  FROM trading.trades AS t
	 WHERE t.filled > 0 OR t.state IN ('REJECTED', 'CANCELLED');
	COMMENT ON VIEW trading.performance_events IS
		'trades as trading.performance_piece() takes them: once when they closed, once when they were decided';
	PERFORM trading.describe_like('trading.performance_events', 'trading.trades');
	COMMENT ON COLUMN trading.performance_events.day IS 'day that it counts for, UTC';
	COMMENT ON COLUMN trading.performance_events.at IS 'instant that it counts for';
	COMMENT ON COLUMN trading.performance_events.fate IS 'how its order went: FILLED, REJECTED or CANCELLED';
	COMMENT ON COLUMN trading.performance_events.slippage_pips IS 'of the entry; positive is worse for the trader';

	CREATE VIEW trading.performance_issued WITH (security_invoker) AS
	SELECT s.company_id, s.user_id, s.strategy_id, s.symbol, s.simulated, COALESCE(a.currency, '') AS currency,
	       (s.decided_at AT TIME ZONE 'UTC')::date AS day, s.lane, s.batch_no, s.recorded_at,
	       (s.outcome = 'SIGNAL')::integer AS signals, (s.outcome = 'RISK_REJECTED')::integer AS risk_rejected
	  FROM trading.signals AS s
	  LEFT JOIN trading.accounts AS a
	    ON a.company_id = s.company_id AND a.user_id = s.user_id AND a.account_id = s.account_id
	 WHERE s.outcome IN ('SIGNAL', 'RISK_REJECTED');
	COMMENT ON VIEW trading.performance_issued IS 'signals as trading.performance_signals counts them';
	PERFORM trading.describe_like('trading.performance_issued', 'trading.signals');
	COMMENT ON COLUMN trading.performance_issued.currency IS 'currency of its account';
	COMMENT ON COLUMN trading.performance_issued.day IS 'day that it was decided on, UTC';
	COMMENT ON COLUMN trading.performance_issued.signals IS '1: it was issued';
	COMMENT ON COLUMN trading.performance_issued.risk_rejected IS '1: risk assessment turned it into a HOLD';

	CREATE VIEW trading.performance_equity WITH (security_invoker) AS
	SELECT a.company_id, '*' AS user_id, '*' AS strategy_id, a.currency, sum(a.equity) AS equity
	  FROM trading.accounts AS a GROUP BY a.company_id, a.currency
	UNION ALL
	SELECT a.company_id, a.user_id, '*', a.currency, sum(a.equity)
	  FROM trading.accounts AS a GROUP BY a.company_id, a.user_id, a.currency
	UNION ALL
	SELECT s.company_id, s.user_id, s.strategy_id, a.currency, a.equity
	  FROM trading.strategies AS s
	  JOIN trading.accounts AS a ON a.company_id = s.company_id AND a.user_id = s.user_id AND a.account_id = s.account_id;
	COMMENT ON VIEW trading.performance_equity IS 'equity that the accounts of a level began with';
	PERFORM trading.describe_like('trading.performance_equity', 'trading.performance_parts');
	COMMENT ON COLUMN trading.performance_equity.company_id IS 'company that the accounts belong to';
	COMMENT ON COLUMN trading.performance_equity.equity IS 'sum of their equity';
END
$$;
COMMENT ON FUNCTION trading.create_performance_base() IS 'part of trading.setup(): trades, signals and accounts as trading.performance takes them';

CREATE FUNCTION trading.create_performance_sources() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE OR REPLACE VIEW trading.performance_stale WITH (security_invoker) AS
	SELECT DISTINCT c.company_id, l.level, g.grain, l.level_user AS user_id, l.level_strategy AS strategy_id,
	       l.level_symbol AS symbol, date_trunc(g.grain, c.day::timestamp)::date AS starts_on
	  FROM trading.performance_changes AS c, trading.performance_levels(c.user_id, c.strategy_id, c.symbol) AS l,
	       (VALUES ('day'), ('month')) AS g (grain)
	 WHERE l.level_user <> '*' OR (SELECT trading.sees_all_users());
	COMMENT ON VIEW trading.performance_stale IS 'days and months of levels whose trades have changed since they were rolled up';

	-- NOT IN, and IN with a test of its result, are looked up in a hash table, whatever the planner
	-- expects to be in it; a join of so many would be one row after the other.
	CREATE OR REPLACE VIEW trading.performance_pieces WITH (security_invoker) AS
	SELECT p.company_id, p.level, p.grain, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency, p.starts_on,
	       p.piece, 0::bigint AS signals, 0::bigint AS risk_rejected
	  FROM trading.performance_parts AS p
	 WHERE (p.company_id, p.level, p.grain, p.user_id, p.strategy_id, p.symbol, p.starts_on) NOT IN (
		SELECT s.company_id, s.level, s.grain, s.user_id, s.strategy_id, s.symbol, s.starts_on FROM trading.performance_stale AS s)
	UNION ALL
	SELECT p.company_id, p.level, 'month', p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency, p.starts_on, p.piece, 0, 0
	  FROM trading.performance_parts AS p
	 WHERE p.grain = 'day' AND p.starts_on >= (SELECT date_trunc('month', min(c.day)::timestamp)::date FROM trading.performance_changes AS c)
	   AND ((p.company_id, p.level, p.user_id, p.strategy_id, p.symbol, date_trunc('month', p.starts_on::timestamp)::date) IN (
		SELECT s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.starts_on FROM trading.performance_stale AS s
		 WHERE s.grain = 'month')) IS TRUE
	   AND (p.company_id, p.level, p.grain, p.user_id, p.strategy_id, p.symbol, p.starts_on) NOT IN (
		SELECT s.company_id, s.level, s.grain, s.user_id, s.strategy_id, s.symbol, s.starts_on FROM trading.performance_stale AS s)
	UNION ALL
	SELECT e.company_id, l.level, g.grain, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency, e.day,
	       trading.performance_piece(e.closed_at, e.profit, e.r_multiple, e.confidence, e.fate, e.latency_ms, e.slippage_pips
		ORDER BY e.closed_at, e.signal_id), 0, 0
	  FROM (SELECT DISTINCT c.company_id, c.day::timestamp AT TIME ZONE 'UTC' AS begins, (c.day + 1)::timestamp AT TIME ZONE 'UTC' AS ends
		  FROM trading.performance_changes AS c) AS c
	 CROSS JOIN LATERAL (SELECT e.* FROM trading.performance_events AS e
			     WHERE e.company_id = c.company_id AND e.at >= c.begins AND e.at < c.ends OFFSET 0) AS e -- each day by the index
	 CROSS JOIN LATERAL trading.performance_levels(e.user_id, e.strategy_id, e.symbol) AS l
	 CROSS JOIN (VALUES ('day'), ('month')) AS g (grain)
	 WHERE ((e.company_id, l.level, l.level_user, l.level_strategy, l.level_symbol, e.day) IN (
		SELECT s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.starts_on FROM trading.performance_stale AS s
		 WHERE s.grain = 'day')) IS TRUE
	 GROUP BY e.company_id, l.level, g.grain, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency, e.day
	UNION ALL
	SELECT n.company_id, n.level, n.grain, n.user_id, n.strategy_id, n.symbol, n.simulated, n.currency, n.starts_on,
	       NULL, n.signals, n.risk_rejected
	  FROM trading.performance_signals AS n
	UNION ALL
	SELECT e.company_id, l.level, g.grain, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency, e.day,
	       NULL, sum(e.signals), sum(e.risk_rejected)
	  FROM trading.performance_issued AS e
	  LEFT JOIN trading.performance_marks AS m ON m.lane = e.lane
	 CROSS JOIN LATERAL trading.performance_levels(e.user_id, e.strategy_id, e.symbol) AS l
	 CROSS JOIN (VALUES ('day'), ('month')) AS g (grain)
	 WHERE e.batch_no > COALESCE(m.batch_no, -1)
	   AND (l.level_user <> '*' OR (SELECT trading.sees_all_users()))
	   AND e.recorded_at >= COALESCE((SELECT min(w.recorded_from) FROM trading.performance_marks AS w), '-infinity')
	 GROUP BY e.company_id, l.level, g.grain, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency, e.day;
	COMMENT ON VIEW trading.performance_pieces IS 'pieces of days and months, as they are now; a month that is stale comes in days, signals come without a piece';
	PERFORM trading.describe_like('trading.performance_stale', 'trading.performance_parts');
	PERFORM trading.describe_like('trading.performance_pieces', 'trading.performance_parts');
	PERFORM trading.describe_like('trading.performance_pieces', 'trading.performance_signals');

END
$$;
COMMENT ON FUNCTION trading.create_performance_sources() IS 'part of trading.setup(): what trading.performance is made of';

-- One arm per period, so that a query for one period looks at no other.
CREATE FUNCTION trading.create_performance_views() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	arms text;
BEGIN
	PERFORM trading.create_performance_base();
	PERFORM trading.create_performance_sources();
	SELECT string_agg(format($arm$
	SELECT g.level, g.company_id, g.user_id, g.strategy_id, g.symbol, g.simulated, g.currency, %3$L::text AS period, g.starts_on,
	       %1$s AS ends_on, e.equity + g.before / 10000 AS equity, g.signals, g.risk_rejected, f.*
	  FROM (SELECT p.*, COALESCE(sum(trading.performance_net(p.piece)) OVER (
			PARTITION BY p.company_id, p.level, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency
			ORDER BY p.starts_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::float8 AS before
		  FROM (SELECT x.company_id, x.level, x.user_id, x.strategy_id, x.symbol, x.simulated, x.currency, %2$s AS starts_on,
			       trading.performance_joined(x.piece ORDER BY x.starts_on) AS piece,
			       sum(x.signals)::bigint AS signals, sum(x.risk_rejected)::bigint AS risk_rejected
			  FROM trading.performance_pieces AS x
			 WHERE x.grain = %4$L
			 GROUP BY x.company_id, x.level, x.user_id, x.strategy_id, x.symbol, x.simulated, x.currency%5$s) AS p) AS g
	  LEFT JOIN trading.performance_equity AS e
	    ON e.company_id = g.company_id AND e.user_id = g.user_id AND e.strategy_id = g.strategy_id AND e.currency = g.currency
	 CROSS JOIN LATERAL trading.performance_figures(g.piece, e.equity + g.before / 10000) AS f$arm$,
		CASE a.period WHEN 'all' THEN 'NULL::date' ELSE format('(g.starts_on + interval %L)::date', a.length) END,
		CASE a.period WHEN 'all' THEN 'NULL::date' ELSE format('date_trunc(%L, x.starts_on::timestamp)::date', a.period) END,
		a.period, a.grain, CASE a.period WHEN 'all' THEN '' ELSE ', 8' END), E'\n\tUNION ALL' ORDER BY a.n)
	  INTO arms
	  FROM (VALUES (1, 'all', 'month', NULL), (2, 'year', 'month', '1 year'), (3, 'quarter', 'month', '3 months'),
		(4, 'month', 'month', '1 month'), (5, 'week', 'day', '7 days'), (6, 'day', 'day', '1 day')) AS a (n, period, grain, length);
	EXECUTE 'CREATE OR REPLACE VIEW trading.performance WITH (security_invoker) AS' || arms;
	COMMENT ON VIEW trading.performance IS
		'figures of trades by level (strategy, strategy_symbol, symbol, user, company) and period (all, year, quarter, month, week, day in UTC); ask for one level and one period. NULL: not enough data';
	PERFORM trading.describe_like('trading.performance', 'trading.performance_parts');
	COMMENT ON COLUMN trading.performance.period IS 'all, year, quarter, month, week (from Monday) or day, in UTC';
	COMMENT ON COLUMN trading.performance.starts_on IS 'first day; NULL: from the first trade on';
	COMMENT ON COLUMN trading.performance.currency IS 'currency of the accounts: money of several isn''t added up';
	COMMENT ON COLUMN trading.performance.ends_on IS 'first day that doesn''t belong to it any more';
	COMMENT ON COLUMN trading.performance.equity IS 'equity at the start of the period: what the accounts began with, and what the level''s trades made before';
	COMMENT ON COLUMN trading.performance.signals IS 'signals issued in the period';
	COMMENT ON COLUMN trading.performance.risk_rejected IS 'signals that risk assessment turned into HOLDs';
	PERFORM trading.describe_like('trading.performance', 'trading.figures');

	CREATE OR REPLACE VIEW trading.recent_performance WITH (security_invoker) AS
	SELECT s.company_id, s.user_id, s.strategy_id, f.*
	  FROM trading.strategies AS s
	 CROSS JOIN LATERAL trading.strategy_figures(s.company_id, s.user_id, s.strategy_id) AS f
	 WHERE s.user_id <> '_all';
	COMMENT ON VIEW trading.recent_performance IS
		'figures of each strategy over its newest closed trades, as many as trading_engine.adjust_trades says';
	PERFORM trading.describe_like('trading.recent_performance', 'trading.strategies');
	PERFORM trading.describe_like('trading.recent_performance', 'trading.figures');

	PERFORM trading.let_tenants_read('trading.performance_events', 'trading.performance_issued', 'trading.performance_stale',
		'trading.performance_pieces', 'trading.performance_equity', 'trading.performance', 'trading.recent_performance');
END
$$;
COMMENT ON FUNCTION trading.create_performance_views() IS 'part of trading.setup(): trading.performance';

-- Newest closed trades of strategies, in the currency of their accounts, as a piece (with the oldest
-- of them all that closed at its instant, which moves the curve once); and a piece of all before, as drawdown is measured along the curve that starts at the account's equity.
-- Of ids no statistics are kept, so the planner is told to hash, as one does with many.
CREATE FUNCTION trading.newest_trades(company_id text, user_id text, strategy_id text, last_trades bigint, simulated boolean,
	OUT company text, OUT "user" text, OUT strategy text, OUT closed_trades bigint, OUT decided_from timestamptz,
	OUT piece bytea, OUT before bytea, OUT equity float8)
	RETURNS SETOF record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.company_id, c.user_id, c.strategy_id, count(*), min(c.decided_at) FILTER (WHERE c.age <= newest_trades.last_trades),
	       trading.performance_piece(c.closed_at, c.profit, c.r_multiple, c.confidence, 'FILLED', c.latency_ms, c.entry_slippage_pips
		ORDER BY c.closed_at, c.signal_id) FILTER (WHERE c.age <= newest_trades.last_trades),
	       trading.performance_piece(c.closed_at, c.profit, NULL, NULL, NULL, NULL, NULL
		ORDER BY c.closed_at, c.signal_id) FILTER (WHERE c.age > newest_trades.last_trades),
	       max(c.equity)
	  FROM (SELECT t.*, a.equity,
		       rank() OVER (PARTITION BY t.company_id, t.user_id, t.strategy_id ORDER BY t.closed_at DESC) AS age
		  FROM trading.trades AS t
		  JOIN trading.strategies AS s
		    ON s.company_id = t.company_id AND s.user_id = t.user_id AND s.strategy_id = t.strategy_id
		  JOIN trading.accounts AS a
		    ON a.company_id = s.company_id AND a.user_id = s.user_id AND a.account_id = s.account_id AND a.currency = t.currency
		 WHERE t.state = 'CLOSED' AND t.profit IS NOT NULL
		   AND t.simulated = COALESCE(newest_trades.simulated, current_setting('trading_engine.clock', true) = 'input', false)
		   AND (newest_trades.company_id IS NULL OR t.company_id = newest_trades.company_id)
		   AND (newest_trades.user_id IS NULL OR t.user_id = newest_trades.user_id)
		   AND (newest_trades.strategy_id IS NULL OR t.strategy_id = newest_trades.strategy_id)) AS c
	 GROUP BY c.company_id, c.user_id, c.strategy_id;
END
$$;
COMMENT ON FUNCTION trading.newest_trades(text, text, text, bigint, boolean) IS
	'closed trades of strategies that are there (NULL: all): how many, the newest as a piece, those before as another, and the equity of the account; simulated NULL: those that the lanes make with trading_engine.clock as it is';

CREATE FUNCTION trading.strategy_figures(company_id text, user_id text, strategy_id text, last_trades integer DEFAULT NULL,
	simulated boolean DEFAULT NULL)
	RETURNS trading.figures
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	WITH newest AS (
		SELECT n.* FROM trading.newest_trades(strategy_figures.company_id, strategy_figures.user_id, strategy_figures.strategy_id,
			COALESCE(strategy_figures.last_trades, current_setting('trading_engine.adjust_trades', true)::bigint, 100),
			strategy_figures.simulated) AS n),
	pieces AS (
		SELECT 1 AS i, n.piece FROM newest AS n
		UNION ALL
		SELECT 2, trading.performance_piece(NULL, NULL, NULL, NULL, t.state, NULL, NULL)
		  FROM newest AS n
		  JOIN trading.trades AS t
		    ON t.company_id = n.company AND t.user_id = n."user" AND t.strategy_id = n.strategy
		 WHERE t.state IN ('REJECTED', 'CANCELLED') AND t.decided_at >= n.decided_from
		   AND t.simulated = COALESCE(strategy_figures.simulated, current_setting('trading_engine.clock', true) = 'input', false))
	SELECT trading.performance_figures((SELECT trading.performance_joined(p.piece ORDER BY p.i) FROM pieces AS p),
		(SELECT n.equity FROM newest AS n), (SELECT n.before FROM newest AS n))
$$;
COMMENT ON FUNCTION trading.strategy_figures(text, text, text, integer, boolean) IS
	'figures of a strategy over its newest closed trades in its account''s currency (NULL: as many as trading_engine.adjust_trades says) and the orders rejected or cancelled since the first of them; simulated NULL: of those that the lanes make with trading_engine.clock as it is. The equity curve starts at the account''s equity; drawdowns are those along it from the first of these trades on';
