-- Figures over any span of time: whole months and days from the rollups, what is left at its ends
-- from the trades.

DO $row$
DECLARE
	col record;
BEGIN
	CREATE TYPE trading.performance_span AS (
		level text, company_id text, user_id text, strategy_id text, symbol text, simulated boolean, currency text,
		starts_at timestamptz, ends_at timestamptz, equity float8, signals bigint, risk_rejected bigint);
	FOR col IN
		SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
		  FROM pg_catalog.pg_attribute AS a
		 WHERE a.attrelid = 'trading.figures'::pg_catalog.regclass AND a.attnum > 0
		 ORDER BY a.attnum
	LOOP
		EXECUTE pg_catalog.format('ALTER TYPE trading.performance_span ADD ATTRIBUTE %I %s', col.attname, col.type);
	END LOOP;
	COMMENT ON TYPE trading.performance_span IS 'a row of trading.performance_of(): its place, then the figures';
	COMMENT ON COLUMN trading.performance_span.starts_at IS 'from_time; NULL: from the first trade on';
	COMMENT ON COLUMN trading.performance_span.ends_at IS 'to_time; NULL: to the last trade';
	COMMENT ON COLUMN trading.performance_span.equity IS 'equity at starts_at: what the accounts began with, and what the level''s trades made before';
	COMMENT ON COLUMN trading.performance_span.signals IS 'signals issued; NULL: the span doesn''t begin and end at midnight UTC, and they are counted by day';
	COMMENT ON COLUMN trading.performance_span.risk_rejected IS 'signals that risk assessment turned into HOLDs; NULL as signals is';
END
$row$;

-- What is before the span is read, too: it made what equity begins with.
CREATE FUNCTION trading.performance_of(level text, from_time timestamptz, to_time timestamptz, company_id text DEFAULT NULL,
	user_id text DEFAULT NULL, strategy_id text DEFAULT NULL, symbol text DEFAULT NULL, simulated boolean DEFAULT NULL)
	RETURNS SETOF trading.performance_span
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	begins constant timestamp := COALESCE(from_time, '-infinity') AT TIME ZONE 'UTC';
	ends constant timestamp := COALESCE(to_time, 'infinity') AT TIME ZONE 'UTC';
	-- An end within a month or a day cuts it.
	cut_months constant date[] := ARRAY(SELECT DISTINCT date_trunc('month', e)::date FROM unnest(ARRAY[begins, ends]) AS e
		WHERE isfinite(e) AND date_trunc('month', e) <> e);
	cut_days constant date[] := ARRAY(SELECT DISTINCT date_trunc('day', e)::date FROM unnest(ARRAY[begins, ends]) AS e
		WHERE isfinite(e) AND date_trunc('day', e) <> e);
	wrong text;
	reason text := format('level "%s" doesn''t tell it apart', performance_of.level);
BEGIN
	CASE
	WHEN COALESCE(performance_of.level, '') <> ALL (ARRAY['strategy', 'strategy_symbol', 'symbol', 'user', 'company']) THEN
		wrong := 'level';
		reason := 'must be strategy, strategy_symbol, symbol, user or company';
	WHEN ends <= begins THEN
		wrong := 'to_time';
		reason := 'must be after from_time';
	WHEN performance_of.user_id IS NOT NULL AND performance_of.level IN ('company', 'symbol') THEN
		wrong := 'user_id';
	WHEN performance_of.strategy_id IS NOT NULL AND performance_of.level NOT IN ('strategy', 'strategy_symbol') THEN
		wrong := 'strategy_id';
	WHEN performance_of.symbol IS NOT NULL AND performance_of.level NOT IN ('symbol', 'strategy_symbol') THEN
		wrong := 'symbol';
	ELSE
	END CASE;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'invalid value for "%": %', wrong, reason USING ERRCODE = 'invalid_parameter_value';
	END IF;

	RETURN QUERY
	SELECT g.level, g.company_id, g.user_id, g.strategy_id, g.symbol, g.simulated, g.currency,
	       NULLIF(from_time, '-infinity'), NULLIF(to_time, 'infinity'), e.equity + g.before / 10000,
	       CASE WHEN cut_days = '{}' THEN g.signals END, CASE WHEN cut_days = '{}' THEN g.risk_rejected END, f.*
	  FROM (SELECT s.level, s.company_id, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency,
		       trading.performance_joined(s.piece ORDER BY s.at) FILTER (WHERE s.at >= begins) AS piece,
		       COALESCE(sum(trading.performance_net(s.piece)) FILTER (WHERE s.at < begins), 0)::float8 AS before,
		       (sum(s.signals) FILTER (WHERE s.at >= begins))::bigint AS signals,
		       (sum(s.risk_rejected) FILTER (WHERE s.at >= begins))::bigint AS risk_rejected
		  FROM (SELECT p.level, p.company_id, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency,
			       p.starts_on::timestamp AS at, p.piece, p.signals, p.risk_rejected
			  FROM trading.performance_pieces AS p
			 WHERE p.grain = 'month' AND p.starts_on < ends
			   AND date_trunc('month', p.starts_on::timestamp)::date <> ALL (cut_months)
			UNION ALL
			SELECT p.level, p.company_id, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency,
			       p.starts_on, p.piece, p.signals, p.risk_rejected
			  FROM trading.performance_pieces AS p
			 WHERE p.grain = 'day' AND p.starts_on < ends AND p.starts_on <> ALL (cut_days)
			   AND date_trunc('month', p.starts_on::timestamp)::date = ANY (cut_months)
			UNION ALL
			SELECT l.level, e.company_id, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency,
			       CASE WHEN e.at >= performance_of.from_time THEN GREATEST(e.day, begins) ELSE e.day END,
			       trading.performance_piece(e.closed_at, e.profit, e.r_multiple, e.confidence, e.fate, e.latency_ms, e.slippage_pips
				ORDER BY e.closed_at, e.signal_id), 0, 0
			  FROM (SELECT d.day::timestamp AT TIME ZONE 'UTC' AS day_begins,
				       LEAST((d.day + 1)::timestamp AT TIME ZONE 'UTC', performance_of.to_time) AS day_ends
				  FROM unnest(cut_days) AS d (day) OFFSET 0) AS d -- plain values: behind row-level security only those look into an index
			 CROSS JOIN LATERAL (SELECT e.* FROM trading.performance_events AS e
					     WHERE e.at >= d.day_begins AND e.at < d.day_ends
					       AND (performance_of.company_id IS NULL OR e.company_id = performance_of.company_id) OFFSET 0) AS e
			 CROSS JOIN LATERAL trading.performance_levels(e.user_id, e.strategy_id, e.symbol) AS l
			 WHERE l.level_user <> '*' OR (SELECT trading.sees_all_users())
			 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8) AS s
		 WHERE s.level = performance_of.level
		   AND (performance_of.company_id IS NULL OR s.company_id = performance_of.company_id)
		   AND (performance_of.user_id IS NULL OR s.user_id = performance_of.user_id)
		   AND (performance_of.strategy_id IS NULL OR s.strategy_id = performance_of.strategy_id)
		   AND (performance_of.symbol IS NULL OR s.symbol = performance_of.symbol)
		   AND (performance_of.simulated IS NULL OR s.simulated = performance_of.simulated)
		 GROUP BY s.level, s.company_id, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency
		HAVING bool_or(s.at >= begins)) AS g
	  LEFT JOIN trading.performance_equity AS e
	    ON e.company_id = g.company_id AND e.user_id = g.user_id AND e.strategy_id = g.strategy_id AND e.currency = g.currency
	 CROSS JOIN LATERAL trading.performance_figures(g.piece, e.equity + g.before / 10000) AS f;
END
$$;
COMMENT ON FUNCTION trading.performance_of(text, timestamptz, timestamptz, text, text, text, text, boolean) IS
	'figures of a level (strategy, strategy_symbol, symbol, user, company) over any time from from_time until before to_time, exact; NULL is no end on that side, and of the others all. What closed then, and how orders decided then went, as in trading.performance';
