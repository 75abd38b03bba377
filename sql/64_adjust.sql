-- Strategies follow their results: the hit rate that is measured of them, the two numbers
-- that move with it, and the way back.  doc/adjustment.md has the rules.

CREATE FUNCTION trading.create_adjustment_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.strategy_adjustments (
		adjustment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		company_id text NOT NULL,
		user_id text NOT NULL,
		strategy_id text NOT NULL,
		adjusted_at timestamptz NOT NULL,
		adjusted_by name NOT NULL DEFAULT session_user,
		version bigint NOT NULL,
		threshold_before float8,
		threshold_from float8,
		threshold_after float8,
		threshold_reason text,
		threshold_limit float8,
		size_before float8,
		size_after float8,
		size_reason text,
		size_limit float8,
		closed_trades bigint NOT NULL,
		new_trades bigint NOT NULL,
		accuracy float8,
		max_drawdown float8,
		drawdown float8,
		undone_at timestamptz,
		undone_by name,
		undone_as text,
		undo_reason text CONSTRAINT undo_reason_is_short CHECK (octet_length(undo_reason) <= 1024),
		CONSTRAINT something_changes CHECK (threshold_after IS NOT NULL OR size_after IS NOT NULL)
	);
	CREATE INDEX ON trading.strategy_adjustments (company_id, user_id, strategy_id, adjusted_at);
	PERFORM trading.describe('trading.strategy_adjustments',
		'every change that trading.adjust_strategies() made to a strategy: what, why, from which figures, and whether it was undone', jsonb_build_object(
		'adjustment_id', 'for trading.undo_adjustment()',
		'adjusted_at', 'when it was made: the next one comes no sooner than trading_engine.adjust_pause after it',
		'adjusted_by', 'role that opened the session',
		'version', 'version of the strategy''s row that it made',
		'threshold_before', 'min_confidence_threshold of the user''s row before; NULL: it wasn''t set, or isn''t changed',
		'threshold_from', 'the threshold that the step was made from: the row''s or else the tier''s; NULL: it isn''t changed',
		'threshold_after', 'min_confidence_threshold after; NULL: it isn''t changed',
		'threshold_reason', 'LOW_ACCURACY or HIGH_ACCURACY',
		'threshold_limit', 'accuracy that was passed',
		'size_before', 'position_size_multiplier before; NULL: it isn''t changed',
		'size_after', 'position_size_multiplier after; NULL: it isn''t changed',
		'size_reason', 'HIGH_DRAWDOWN or DRAWDOWN_RECOVERED',
		'size_limit', 'drawdown that was passed',
		'closed_trades', 'trades that the strategy had closed',
		'new_trades', 'of these, closed since the adjustment before',
		'accuracy', 'wins / (wins + losses) of the newest trading_engine.adjust_trades; NULL: none won or lost',
		'max_drawdown', 'largest fall of equity below its peak, as a share of the peak, since the first of the newest trading_engine.adjust_trades',
		'drawdown', 'how far equity was below its peak when it was adjusted',
		'undone_at', 'when trading.undo_adjustment() put the former values back; NULL: never',
		'undone_by', 'role that opened the session which undid it',
		'undone_as', 'company/user that the session was; NULL: none',
		'undo_reason', 'why it was undone, in somebody''s words'));
END
$$;
COMMENT ON FUNCTION trading.create_adjustment_tables() IS 'part of trading.setup(): adjustments of strategies';

-- The rule

CREATE FUNCTION trading.adjustment(opted_out boolean, threshold float8, tier_threshold float8, size_multiplier float8,
		last_adjusted_at timestamptz, closed_trades bigint, new_trades bigint, accuracy float8, max_drawdown float8,
		drawdown float8, at timestamptz,
		OUT verdict text, OUT threshold_after float8, OUT threshold_reason text, OUT threshold_limit float8,
		OUT size_after float8, OUT size_reason text, OUT size_limit float8)
	AS 'MODULE_PATHNAME', 'te_sql_adjustment'
	LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.adjustment(boolean, float8, float8, float8, timestamptz, bigint, bigint, float8, float8, float8, timestamptz) IS
	'what the settings trading_engine.adjust_* make of figures: ADJUSTED, OPTED_OUT, TOO_FEW_TRADES, TOO_SOON, TOO_FEW_NEW_TRADES or NOTHING_TO_DO, and the numbers after; a threshold that is NULL isn''t moved';

-- Trades count that were decided by the clock that the lanes go by: of a database that lives on
-- recorded input all are simulated, and elsewhere those that are say nothing.
CREATE FUNCTION trading.closed_trade_figures(company text DEFAULT NULL, "user" text DEFAULT NULL, strategy text DEFAULT NULL)
	RETURNS TABLE (company_id text, user_id text, strategy_id text, closed_trades bigint, accuracy float8,
		max_drawdown float8, drawdown float8)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.company, n."user", n.strategy, n.closed_trades, f.accuracy, f.max_drawdown, f.drawdown
	  FROM trading.newest_trades($1, $2, $3, current_setting('trading_engine.adjust_trades')::bigint, NULL) AS n
	 CROSS JOIN LATERAL trading.performance_figures(n.piece, n.equity, n.before) AS f
$$;
COMMENT ON FUNCTION trading.closed_trade_figures(text, text, text) IS
	'per strategy that is there: closed trades, and of the newest of them (trading_engine.adjust_trades) accuracy, largest and present drawdown, as trading.strategy_figures() has them';

-- Hit rates

CREATE FUNCTION trading.measure_strategies(since timestamptz DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
AS $$
DECLARE
	changed bigint;
BEGIN
	-- An old version of a row may be beyond what its tier has come to be: one that doesn't
	-- change its parameters is none of the guards' business, so all go in one statement.
	WITH ages AS (
		SELECT t.company_id, t.user_id, t.strategy_id, t.profit,
		       rank() OVER (PARTITION BY t.company_id, t.user_id, t.strategy_id ORDER BY t.closed_at DESC) AS age
		  FROM trading.trades AS t
		 WHERE t.state = 'CLOSED' AND t.profit IS NOT NULL
		   AND t.simulated = (current_setting('trading_engine.clock') = 'input')
		   AND (since IS NULL OR EXISTS (
			SELECT FROM trading.trades AS n
			 WHERE n.company_id = t.company_id AND n.user_id = t.user_id AND n.strategy_id = t.strategy_id
			   AND n.updated_at >= since))),
	measured AS (
		SELECT a.company_id, a.user_id, a.strategy_id, trading.win_rate(a.profit) AS hit_rate
		  FROM ages AS a
		 WHERE a.age <= current_setting('trading_engine.adjust_trades')::bigint
		 GROUP BY a.company_id, a.user_id, a.strategy_id
		HAVING count(*) >= current_setting('trading_engine.adjust_least_trades')::bigint),
	-- One that somebody holds waits for the next time, instead of all others for him.
	free AS MATERIALIZED (
		SELECT s.company_id, s.user_id, s.strategy_id, m.hit_rate
		  FROM measured AS m
		  JOIN trading.strategies AS s ON m.company_id = s.company_id AND m.user_id = s.user_id AND m.strategy_id = s.strategy_id
		 WHERE s.hit_rate IS DISTINCT FROM m.hit_rate
		   FOR NO KEY UPDATE OF s SKIP LOCKED)
	UPDATE trading.strategies AS s SET hit_rate = f.hit_rate
	  FROM free AS f
	 WHERE f.company_id = s.company_id AND f.user_id = s.user_id AND f.strategy_id = s.strategy_id;
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION trading.measure_strategies(timestamptz) IS
	'sets trading.strategies.hit_rate to the share of the newest closed trades (trading_engine.adjust_trades) that won, where there are trading_engine.adjust_least_trades and it has changed; since: only of strategies whose trades changed from then on. One that somebody is changing stays for the next time. Returns how many changed';

-- Adjusting

-- What a tenant may ask for, filled in: another's strategies are as if they weren't there.
CREATE FUNCTION trading.own_scope(INOUT company text, INOUT "user" text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF trading.session_is_admin() THEN
		RETURN;
	END IF;
	IF trading.current_company() IS NULL THEN
		RAISE EXCEPTION 'the session has no company' USING ERRCODE = 'insufficient_privilege', HINT = 'See trading.login().';
	END IF;
	IF COALESCE(company, trading.current_company()) <> trading.current_company()
		OR (COALESCE("user", trading.current_user_id()) <> trading.current_user_id() AND trading.current_role_in_company() <> 'admin')
	THEN
		RAISE EXCEPTION 'strategies of others are not yours to see' USING ERRCODE = 'insufficient_privilege';
	END IF;
	company := trading.current_company();
	IF trading.current_role_in_company() <> 'admin' THEN
		"user" := trading.current_user_id();
	END IF;
END
$$;
COMMENT ON FUNCTION trading.own_scope(text, text) IS 'company and user that a session may ask about: NULL is all that it may; an error where it asks for more';

-- What a strategy has and what the rule says of it.
CREATE TYPE trading.judged_strategy AS (
	company_id text, user_id text, strategy_id text, verdict text,
	own_threshold float8, threshold float8, threshold_after float8, threshold_reason text, threshold_limit float8,
	size float8, size_after float8, size_reason text, size_limit float8,
	closed_trades bigint, new_trades bigint, accuracy float8, max_drawdown float8, drawdown float8, company_decides boolean);
COMMENT ON TYPE trading.judged_strategy IS 'what a strategy has and what the rule of self-adjustment says of it';

CREATE FUNCTION trading.judge_strategies(company text, "user" text, strategy text) RETURNS SETOF trading.judged_strategy
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
AS $$
	WITH tiers AS MATERIALIZED (
		SELECT t.tier, m.min_confidence_threshold AS threshold
		  FROM trading.tiers AS t
		 CROSS JOIN LATERAL trading.merge_strategy(t, NULL::trading.strategies, NULL::trading.strategies, false) AS m),
	figures AS MATERIALIZED (SELECT f.* FROM trading.closed_trade_figures($1, $2, $3) AS f),
	last AS MATERIALIZED (
		SELECT a.company_id, a.user_id, a.strategy_id, max(a.adjusted_at) AS at, max(a.closed_trades) AS closed_trades
		  FROM trading.strategy_adjustments AS a
		 WHERE ($1 IS NULL OR a.company_id = $1) AND ($2 IS NULL OR a.user_id = $2) AND ($3 IS NULL OR a.strategy_id = $3)
		 GROUP BY a.company_id, a.user_id, a.strategy_id)
	SELECT s.company_id, s.user_id, s.strategy_id, j.verdict,
	       s.min_confidence_threshold, e.threshold, j.threshold_after, j.threshold_reason, j.threshold_limit,
	       s.position_size_multiplier, j.size_after, j.size_reason, j.size_limit,
	       e.closed_trades, e.new_trades, f.accuracy, f.max_drawdown, f.drawdown, e.company_decides
	  FROM trading.strategies AS s
	  JOIN trading.companies AS c ON c.company_id = s.company_id
	  JOIN tiers AS t ON t.tier = c.tier
	  LEFT JOIN trading.strategies AS o ON o.company_id = s.company_id AND o.user_id = '_all'
	  LEFT JOIN figures AS f ON f.company_id = s.company_id AND f.user_id = s.user_id AND f.strategy_id = s.strategy_id
	  LEFT JOIN last AS l ON l.company_id = s.company_id AND l.user_id = s.user_id AND l.strategy_id = s.strategy_id
	 CROSS JOIN LATERAL (
		SELECT COALESCE(s.min_confidence_threshold, t.threshold) AS threshold,
		       -- The larger of both holds: below the company's, the user's own has no effect.
		       COALESCE(o.min_confidence_threshold >= COALESCE(s.min_confidence_threshold, t.threshold), false) AS company_decides,
		       COALESCE(f.closed_trades, 0) AS closed_trades,
		       GREATEST(COALESCE(f.closed_trades, 0) - COALESCE(l.closed_trades, 0), 0) AS new_trades) AS e
	 CROSS JOIN LATERAL trading.adjustment(NOT s.auto_adjust, CASE WHEN NOT e.company_decides THEN e.threshold END, t.threshold,
		s.position_size_multiplier, l.at, e.closed_trades, e.new_trades, f.accuracy, f.max_drawdown, f.drawdown, clock_timestamp()) AS j
	 WHERE s.user_id <> '_all'
	   AND ($1 IS NULL OR s.company_id = $1) AND ($2 IS NULL OR s.user_id = $2) AND ($3 IS NULL OR s.strategy_id = $3)
	 ORDER BY s.company_id COLLATE "C", s.user_id COLLATE "C", s.strategy_id COLLATE "C"
$$;
COMMENT ON FUNCTION trading.judge_strategies(text, text, text) IS 'part of trading.adjust_strategies(): what the rule says of each strategy, as of now';

-- Change rows that were judged, unless they aren't what they were then; the company's row is asked
-- for nothing here, as it only ever makes a threshold matter less.
CREATE FUNCTION trading.apply_adjustments(judged trading.judged_strategy[])
	RETURNS TABLE (adjustment_id bigint, company_id text, user_id text, strategy_id text)
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	-- What somebody holds is being changed: waiting for one would keep all that were adjusted locked.
	WITH free AS MATERIALIZED (
		SELECT s.company_id, s.user_id, s.strategy_id
		  FROM unnest($1) AS j
		  JOIN trading.strategies AS s ON s.company_id = j.company_id AND s.user_id = j.user_id AND s.strategy_id = j.strategy_id
		   FOR NO KEY UPDATE OF s SKIP LOCKED),
	changed AS (
		UPDATE trading.strategies AS s
		   SET min_confidence_threshold = COALESCE(j.threshold_after, s.min_confidence_threshold),
		       position_size_multiplier = COALESCE(j.size_after, s.position_size_multiplier)
		  FROM unnest($1) AS j
		  JOIN free AS f ON f.company_id = j.company_id AND f.user_id = j.user_id AND f.strategy_id = j.strategy_id
		 WHERE s.company_id = j.company_id AND s.user_id = j.user_id AND s.strategy_id = j.strategy_id
		   AND s.auto_adjust AND s.min_confidence_threshold IS NOT DISTINCT FROM j.own_threshold AND s.position_size_multiplier = j.size
		RETURNING s.version, j.*)
	INSERT INTO trading.strategy_adjustments AS a (company_id, user_id, strategy_id, adjusted_at, version,
		threshold_before, threshold_from, threshold_after, threshold_reason, threshold_limit,
		size_before, size_after, size_reason, size_limit,
		closed_trades, new_trades, accuracy, max_drawdown, drawdown)
	SELECT j.company_id, j.user_id, j.strategy_id, clock_timestamp(), j.version,
	       CASE WHEN j.threshold_after IS NOT NULL THEN j.own_threshold END, CASE WHEN j.threshold_after IS NOT NULL THEN j.threshold END,
	       j.threshold_after, j.threshold_reason, j.threshold_limit,
	       CASE WHEN j.size_after IS NOT NULL THEN j.size END, j.size_after, j.size_reason, j.size_limit,
	       j.closed_trades, j.new_trades, j.accuracy, j.max_drawdown, j.drawdown
	  FROM changed AS j
	 ORDER BY j.company_id COLLATE "C", j.user_id COLLATE "C", j.strategy_id COLLATE "C"
	RETURNING a.adjustment_id, a.company_id, a.user_id, a.strategy_id
$$;
COMMENT ON FUNCTION trading.apply_adjustments(trading.judged_strategy[]) IS 'part of trading.adjust_strategies(): makes adjustments; those of strategies that were, or are being changed meanwhile are left out';

CREATE FUNCTION trading.adjust_strategies(dry_run boolean DEFAULT false, company text DEFAULT NULL, "user" text DEFAULT NULL, strategy text DEFAULT NULL)
	RETURNS TABLE (adjustment_id bigint, company_id text, user_id text, strategy_id text, verdict text, detail text,
		threshold_before float8, threshold_after float8, threshold_reason text,
		size_before float8, size_after float8, size_reason text,
		closed_trades bigint, new_trades bigint, accuracy float8, max_drawdown float8, drawdown float8)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_dry constant boolean := adjust_strategies.dry_run IS NOT FALSE;
	scope record;
	j trading.judged_strategy;
	judged trading.judged_strategy[];
	made bigint[] := '{}'; -- ids, one by one as the ADJUSTED among the judged are
	refusals text[] := '{}';
	n integer := 0;
BEGIN
	SELECT o.* INTO STRICT scope FROM trading.own_scope(adjust_strategies.company, adjust_strategies."user") AS o;
	IF NOT is_dry THEN
		IF NOT trading.session_is_admin() THEN
			RAISE EXCEPTION 'only trading_admin may adjust strategies'
				USING ERRCODE = 'insufficient_privilege', HINT = 'trading.adjust_strategies(dry_run => true) says what would be done.';
		END IF;
		-- Of two at once the second sees what the first has done.
		LOCK TABLE trading.strategy_adjustments IN SHARE UPDATE EXCLUSIVE MODE;
	END IF;
	judged := ARRAY(SELECT v FROM trading.judge_strategies(scope.company, scope."user", adjust_strategies.strategy) AS v);
	IF NOT is_dry THEN
		BEGIN
			SELECT array_agg(a.adjustment_id ORDER BY v.n) INTO made
			  FROM unnest(judged) WITH ORDINALITY AS v (company_id, user_id, strategy_id, verdict, own_threshold, threshold, threshold_after, threshold_reason,
				threshold_limit, size, size_after, size_reason, size_limit, closed_trades, new_trades, accuracy, max_drawdown, drawdown, company_decides, n)
			  LEFT JOIN trading.apply_adjustments(ARRAY(SELECT w FROM unnest(judged) AS w WHERE w.verdict = 'ADJUSTED')) AS a
			    ON a.company_id = v.company_id AND a.user_id = v.user_id AND a.strategy_id = v.strategy_id
			 WHERE v.verdict = 'ADJUSTED';
		EXCEPTION WHEN integrity_constraint_violation OR insufficient_privilege THEN
			-- One strategy that the guards refuse doesn't keep the others from it.
			made := '{}';
			FOREACH j IN ARRAY judged
			LOOP
				CONTINUE WHEN j.verdict <> 'ADJUSTED';
				BEGIN
					made := made || (SELECT a.adjustment_id FROM trading.apply_adjustments(ARRAY[j]) AS a);
					refusals := refusals || NULL::text;
				EXCEPTION WHEN integrity_constraint_violation OR insufficient_privilege THEN
					made := made || NULL::bigint;
					refusals := refusals || SQLERRM;
				END;
			END LOOP;
		END;
	END IF;
	FOREACH j IN ARRAY judged
	LOOP
		adjustment_id := NULL;
		company_id := j.company_id; user_id := j.user_id; strategy_id := j.strategy_id;
		verdict := j.verdict;
		detail := CASE WHEN j.company_decides AND j.verdict IN ('ADJUSTED', 'NOTHING_TO_DO') THEN
			'the company''s row decides min_confidence_threshold, so that it stays' END;
		threshold_before := j.threshold; threshold_after := j.threshold_after; threshold_reason := j.threshold_reason;
		size_before := j.size; size_after := j.size_after; size_reason := j.size_reason;
		closed_trades := j.closed_trades; new_trades := j.new_trades;
		accuracy := j.accuracy; max_drawdown := j.max_drawdown; drawdown := j.drawdown;
		IF j.verdict = 'ADJUSTED' AND NOT is_dry THEN
			n := n + 1;
			adjustment_id := made[n];
			IF adjustment_id IS NULL THEN
				verdict := CASE WHEN refusals[n] IS NULL THEN 'CHANGED_MEANWHILE' ELSE 'REFUSED' END;
				detail := COALESCE(refusals[n], 'somebody has changed the strategy since it was judged, or is changing it');
				threshold_after := NULL; threshold_reason := NULL;
				size_after := NULL; size_reason := NULL;
			END IF;
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.adjust_strategies(boolean, text, text, text) IS
	'moves min_confidence_threshold and position_size_multiplier of strategies that adjust themselves after their results, within bounds, and says what it did, or (dry_run) would do, and why; each change is a row of trading.strategy_adjustments';

-- The way back.  What was adjusted more than once goes back step by step, the last one first.
CREATE FUNCTION trading.undo_adjustment(adjustment_id bigint, reason text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a record;
	s record;
	later bigint;
BEGIN
	SELECT d.* INTO a FROM trading.strategy_adjustments AS d
	 WHERE d.adjustment_id = undo_adjustment.adjustment_id AND trading.is_own_strategy(d.company_id, d.user_id)
	   FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no adjustment %', COALESCE(undo_adjustment.adjustment_id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'Those that you may undo are in trading.strategy_adjustments.';
	END IF;
	IF NOT trading.session_is_admin() AND trading.current_role_in_company() NOT IN ('admin', 'trader') THEN
		RAISE EXCEPTION 'a viewer may not undo adjustments' USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF a.undone_at IS NOT NULL THEN
		RAISE EXCEPTION 'adjustment % is undone already', a.adjustment_id
			USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('By %s at %s.', a.undone_by, a.undone_at);
	END IF;
	SELECT d.min_confidence_threshold, d.position_size_multiplier, d.version INTO s FROM trading.strategies AS d
	 WHERE d.company_id = a.company_id AND d.user_id = a.user_id AND d.strategy_id = a.strategy_id
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'strategy "%" of user "%" is gone', a.strategy_id, a.user_id USING ERRCODE = 'no_data_found';
	END IF;
	IF a.threshold_after IS NOT NULL AND s.min_confidence_threshold IS DISTINCT FROM a.threshold_after
		OR a.size_after IS NOT NULL AND s.position_size_multiplier IS DISTINCT FROM a.size_after
	THEN
		SELECT min(d.adjustment_id) INTO later FROM trading.strategy_adjustments AS d
		 WHERE d.company_id = a.company_id AND d.user_id = a.user_id AND d.strategy_id = a.strategy_id
		   AND d.adjustment_id > a.adjustment_id AND d.undone_at IS NULL;
		RAISE EXCEPTION 'strategy "%" of user "%" was changed after adjustment %', a.strategy_id, a.user_id, a.adjustment_id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      DETAIL = concat_ws(' ',
				CASE WHEN a.threshold_after IS NOT NULL THEN format('min_confidence_threshold was set to %s and is %s.',
					a.threshold_after, COALESCE(s.min_confidence_threshold::text, 'not set')) END,
				CASE WHEN a.size_after IS NOT NULL THEN format('position_size_multiplier was set to %s and is %s.',
					a.size_after, s.position_size_multiplier) END),
			      HINT = CASE WHEN later IS NOT NULL THEN format('Undo later adjustments first, the last one before the others; the next after it is %s.', later)
				ELSE 'Set the values that you want by UPDATE trading.strategies; trading.strategy_history says who changed them.' END;
	END IF;
	UPDATE trading.strategies AS d
	   SET min_confidence_threshold = CASE WHEN a.threshold_after IS NOT NULL THEN a.threshold_before ELSE d.min_confidence_threshold END,
	       position_size_multiplier = COALESCE(a.size_before, d.position_size_multiplier)
	 WHERE d.company_id = a.company_id AND d.user_id = a.user_id AND d.strategy_id = a.strategy_id;
	UPDATE trading.strategy_adjustments AS d
	   SET undone_at = clock_timestamp(), undone_by = session_user, undo_reason = undo_adjustment.reason,
	       undone_as = trading.current_company() || '/' || trading.current_user_id()
	 WHERE d.adjustment_id = a.adjustment_id;
END
$$;
COMMENT ON FUNCTION trading.undo_adjustment(bigint, text) IS
	'puts back what an adjustment changed, to the bit, "not set" included; refused when the value isn''t the adjustment''s any more. The pause until the next adjustment stays';
