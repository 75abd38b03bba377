-- How strategies did: figures of trades by strategy, user, symbol, company and period.
--
-- A piece (bytea) holds the trades of a level and a span of time in some hundred bytes; joined
-- in order of time, pieces say to the bit what one piece of all their trades would.
-- trading.roll_up() keeps a piece per level and day, and per month.  Whoever changes a trade
-- leaves its days in trading.performance_changes, in the same transaction; what is read takes
-- those days from the trades themselves, so that answers are always of now.

CREATE FUNCTION trading.performance_add(state internal, closed_at timestamptz, profit float8, r_multiple float8,
	confidence float8, fate text, latency_ms float8, slippage_pips float8) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_performance_add';
COMMENT ON FUNCTION trading.performance_add(internal, timestamptz, float8, float8, float8, text, float8, float8) IS
	'transition function of performance_piece';

CREATE FUNCTION trading.performance_join(state internal, piece bytea) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_performance_join';
COMMENT ON FUNCTION trading.performance_join(internal, bytea) IS 'transition function of performance_joined';

CREATE FUNCTION trading.performance_pack(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_performance_pack';
COMMENT ON FUNCTION trading.performance_pack(internal) IS 'final function of performance_piece and performance_joined';

CREATE AGGREGATE trading.performance_piece(closed_at timestamptz, profit float8, r_multiple float8, confidence float8,
	fate text, latency_ms float8, slippage_pips float8) (
	SFUNC = trading.performance_add,
	STYPE = internal,
	SSPACE = 24576,
	FINALFUNC = trading.performance_pack,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.performance_piece(timestamptz, float8, float8, float8, text, float8, float8) IS
	'a piece of performance; call with ORDER BY closed_at. What closed: closed_at, profit, and as far as known r_multiple and confidence. How an order went: fate (FILLED, REJECTED, CANCELLED), latency, slippage. Either may be NULL';

CREATE AGGREGATE trading.performance_joined(piece bytea) (
	SFUNC = trading.performance_join,
	STYPE = internal,
	SSPACE = 24576,
	FINALFUNC = trading.performance_pack,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.performance_joined(bytea) IS
	'pieces of performance joined to one; call with ORDER BY the time that they begin at';

CREATE FUNCTION trading.performance_net(piece bytea) RETURNS bigint
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_performance_net';
COMMENT ON FUNCTION trading.performance_net(bytea) IS
	'how far the equity curve of a piece goes, in 1/10,000 of the currency; 0 of NULL';

CREATE TYPE trading.figures AS (
	trades bigint,
	wins bigint,
	losses bigint,
	accuracy float8,
	profit float8,
	gross_profit float8,
	gross_loss float8,
	profit_factor float8,
	payoff_ratio float8,
	expectancy float8,
	sharpe_ratio float8,
	sortino_ratio float8,
	sqn float8,
	brier_score float8,
	calmar_ratio float8,
	max_drawdown float8,
	max_drawdown_amount float8,
	drawdown float8,
	losing_streak bigint,
	recovery_time interval,
	filled bigint,
	rejected bigint,
	cancelled bigint,
	fill_rate float8,
	latency_p50_ms float8,
	latency_p90_ms float8,
	latency_p99_ms float8,
	slippage_p50_pips float8,
	slippage_p90_pips float8,
	slippage_p99_pips float8
);
COMMENT ON TYPE trading.figures IS 'figures of a set of trades; one without enough data is NULL';
COMMENT ON COLUMN trading.figures.trades IS 'sample size: trades closed in the period';
COMMENT ON COLUMN trading.figures.wins IS 'trades with a profit';
COMMENT ON COLUMN trading.figures.losses IS 'trades with a loss';
COMMENT ON COLUMN trading.figures.accuracy IS 'wins / (wins + losses), break-even trades left out';
COMMENT ON COLUMN trading.figures.profit IS 'sum of profits, commissions taken off';
COMMENT ON COLUMN trading.figures.gross_profit IS 'sum of wins';
COMMENT ON COLUMN trading.figures.gross_loss IS 'sum of losses, positive';
COMMENT ON COLUMN trading.figures.profit_factor IS 'gross_profit / gross_loss';
COMMENT ON COLUMN trading.figures.payoff_ratio IS 'mean win / mean loss';
COMMENT ON COLUMN trading.figures.expectancy IS 'mean profit per trade, break-even trades included';
COMMENT ON COLUMN trading.figures.sharpe_ratio IS 'mean / sample standard deviation of per-trade returns, not annualised';
COMMENT ON COLUMN trading.figures.sortino_ratio IS 'mean / sqrt(mean of min(return, 0)^2), not annualised';
COMMENT ON COLUMN trading.figures.sqn IS 'sqrt(n) * mean / sample standard deviation of R multiples, of the trades whose risk is known';
COMMENT ON COLUMN trading.figures.brier_score IS 'mean of (confidence - (1 if won, else 0))^2, break-even trades left out';
COMMENT ON COLUMN trading.figures.calmar_ratio IS 'profit / equity at the start / max_drawdown, of the period, not annualised';
COMMENT ON COLUMN trading.figures.max_drawdown IS 'largest (peak - equity) / peak of the equity curve, closes of one instant together; broken only beyond a limit';
COMMENT ON COLUMN trading.figures.max_drawdown_amount IS 'largest peak - equity';
COMMENT ON COLUMN trading.figures.drawdown IS '(peak - equity) / peak at the end of the period';
COMMENT ON COLUMN trading.figures.losing_streak IS 'most losses in a row; a break-even trade neither ends nor lengthens the run';
COMMENT ON COLUMN trading.figures.recovery_time IS 'longest time from a peak until equity is there again, in whole minutes; drawdowns that haven''t recovered don''t count';
COMMENT ON COLUMN trading.figures.filled IS 'orders decided in the period that were filled, at least in part';
COMMENT ON COLUMN trading.figures.rejected IS 'orders decided in the period that the broker rejected';
COMMENT ON COLUMN trading.figures.cancelled IS 'orders decided in the period that ended without a fill otherwise';
COMMENT ON COLUMN trading.figures.fill_rate IS 'filled / (filled + rejected + cancelled)';
COMMENT ON COLUMN trading.figures.latency_p50_ms IS 'from the prediction to the first fill, milliseconds: median, within 1.6 %';
COMMENT ON COLUMN trading.figures.latency_p90_ms IS '90th percentile (nearest rank), within 1.6 %';
COMMENT ON COLUMN trading.figures.latency_p99_ms IS '99th percentile (nearest rank), within 1.6 %';
COMMENT ON COLUMN trading.figures.slippage_p50_pips IS 'of entries, positive is worse for the trader: median, within 1.6 %';
COMMENT ON COLUMN trading.figures.slippage_p90_pips IS '90th percentile (nearest rank), within 1.6 %';
COMMENT ON COLUMN trading.figures.slippage_p99_pips IS '99th percentile (nearest rank), within 1.6 %';

CREATE FUNCTION trading.performance_figures(piece bytea, equity float8, before bytea DEFAULT NULL) RETURNS trading.figures
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_performance_figures';
COMMENT ON FUNCTION trading.performance_figures(bytea, float8, bytea) IS
	'figures of a piece whose equity curve starts at equity, without which those of drawdown are NULL. With a piece of what was before, the curve starts there, and goes on from as far below its peak as that left it';

-- What a trade counts for.
CREATE FUNCTION trading.performance_levels(user_id text, strategy_id text, symbol text)
	RETURNS TABLE (level text, level_user text, level_strategy text, level_symbol text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	VALUES ('company', '*', '*', '*'), ('symbol', '*', '*', symbol), ('user', user_id, '*', '*'),
	       ('strategy', user_id, strategy_id, '*'), ('strategy_symbol', user_id, strategy_id, symbol)
$$;
COMMENT ON FUNCTION trading.performance_levels(text, text, text) IS 'the levels that a trade counts for; * stands for all';

CREATE TYPE trading.performance_place AS (company_id text, level text, user_id text, strategy_id text, symbol text);
COMMENT ON TYPE trading.performance_place IS 'what trades are counted together: a level, and what it tells apart';

CREATE FUNCTION trading.create_performance_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key constant text := 'company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on';
	columns constant text := 'company_id text NOT NULL,
		level text NOT NULL CHECK (level IN (''company'', ''symbol'', ''user'', ''strategy'', ''strategy_symbol'')),
		grain text NOT NULL CHECK (grain IN (''day'', ''month'')), user_id text NOT NULL, strategy_id text NOT NULL, symbol text NOT NULL,
		simulated boolean NOT NULL, currency text NOT NULL, starts_on date NOT NULL';
	place constant jsonb := jsonb_build_object(
		'level', 'what is counted together: company, symbol, user, strategy or strategy_symbol',
		'user_id', 'user, or * for all',
		'strategy_id', 'strategy of the user, or * for all',
		'symbol', 'instrument, or * for all',
		'simulated', 'of signals decided by the input''s clock',
		'currency', 'currency of the accounts',
		'grain', 'day or month, in UTC',
		'starts_on', 'first day');
BEGIN
	-- Of plain columns: behind row-level security no index of an expression is looked into.
	CREATE INDEX trades_closed_at ON trading.trades (company_id, closed_at) WHERE state = 'CLOSED';
	CREATE INDEX trades_unfilled ON trading.trades (company_id, user_id, strategy_id, decided_at) WHERE state IN ('REJECTED', 'CANCELLED');
	CREATE INDEX trades_decided_at ON trading.trades (company_id, decided_at);

	CREATE TABLE trading.performance_changes (
		change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		company_id text NOT NULL,
		user_id text NOT NULL,
		strategy_id text NOT NULL,
		symbol text NOT NULL,
		day date NOT NULL
	);
	CREATE INDEX ON trading.performance_changes (day);
	CREATE INDEX ON trading.performance_changes (company_id, user_id);
	PERFORM trading.describe('trading.performance_changes',
		'days whose trades have changed since trading.roll_up() last looked at them', jsonb_build_object(
		'change_id', 'order of insertion; says nothing about the order of commits',
		'day', 'day on which a trade was decided or closed, UTC'));

	EXECUTE format('CREATE TABLE trading.performance_parts (%s, piece bytea NOT NULL, PRIMARY KEY (%s))', columns, key);
	CREATE INDEX ON trading.performance_parts (starts_on, company_id); -- by which days and months are made anew
	PERFORM trading.describe('trading.performance_parts', 'trades of a level and a day or month as a piece: trading.performance_figures()',
		place || jsonb_build_object('piece', 'made by trading.performance_piece()'));

	EXECUTE format('CREATE TABLE trading.performance_signals (%s, signals bigint NOT NULL, risk_rejected bigint NOT NULL, PRIMARY KEY (%s))', columns, key);
	PERFORM trading.describe('trading.performance_signals',
		'signals of a level and a day or month; they stay when the signals themselves are dropped', place || jsonb_build_object(
		'signals', 'signals issued',
		'risk_rejected', 'signals that risk assessment turned into HOLDs'));

	CREATE TABLE trading.performance_marks (
		lane integer PRIMARY KEY,
		batch_no bigint NOT NULL,
		recorded_from timestamptz NOT NULL
	);
	PERFORM trading.describe('trading.performance_marks', 'how far trading.performance_signals counts each lane', jsonb_build_object(
		'batch_no', 'newest batch whose signals are counted',
		'recorded_from', 'later batches were recorded after this'));
END
$$;
COMMENT ON FUNCTION trading.create_performance_tables() IS 'part of trading.setup(): rollups of performance';

-- The days of changed trades, in the transaction that changes them.
CREATE FUNCTION trading.note_performance() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO trading.performance_changes (company_id, user_id, strategy_id, symbol, day)
		SELECT DISTINCT t.company_id, t.user_id, t.strategy_id, t.symbol, (at.instant AT TIME ZONE 'UTC')::date
		  FROM new_rows AS t, LATERAL (VALUES (t.decided_at), (t.closed_at)) AS at (instant)
		 WHERE isfinite(at.instant);
	END IF;
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO trading.performance_changes (company_id, user_id, strategy_id, symbol, day)
		SELECT DISTINCT t.company_id, t.user_id, t.strategy_id, t.symbol, (at.instant AT TIME ZONE 'UTC')::date
		  FROM old_rows AS t, LATERAL (VALUES (t.decided_at), (t.closed_at)) AS at (instant)
		 WHERE isfinite(at.instant);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.note_performance() IS 'trigger of trading.trades: the days that have to be rolled up again';

CREATE FUNCTION trading.create_performance_triggers() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.create_trigger('trading.trades', 'note_insert',
		'AFTER INSERT ON @ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.note_performance()');
	PERFORM trading.create_trigger('trading.trades', 'note_update',
		'AFTER UPDATE ON @ REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.note_performance()');
	PERFORM trading.create_trigger('trading.trades', 'note_delete',
		'AFTER DELETE ON @ REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.note_performance()');
END
$$;
COMMENT ON FUNCTION trading.create_performance_triggers() IS 'part of trading.setup(): trades say which days have changed';

-- Pieces that are made anew go first.  By company, too: a day of one is few of a day's pieces.
CREATE FUNCTION trading.clear_parts(grain text, starts_on date, places trading.performance_place[]) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM trading.performance_parts AS p
	 USING unnest(places) AS t
	 WHERE p.starts_on = clear_parts.starts_on AND p.company_id = ANY (ARRAY(SELECT DISTINCT c.company_id FROM unnest(places) AS c))
	   AND p.grain = clear_parts.grain
	   AND p.company_id = t.company_id AND p.level = t.level AND p.user_id = t.user_id
	   AND p.strategy_id = t.strategy_id AND p.symbol = t.symbol
$$;
COMMENT ON FUNCTION trading.clear_parts(text, date, trading.performance_place[]) IS
	'part of trading.roll_up(): takes away pieces of a day or month that are to be made anew';

CREATE FUNCTION trading.roll_up_day(day date, places trading.performance_place[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	companies constant text[] := ARRAY(SELECT DISTINCT t.company_id FROM unnest(places) AS t);
	begins constant timestamptz := day::timestamp AT TIME ZONE 'UTC';
	ends constant timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
	made bigint;
BEGIN
	PERFORM trading.clear_parts('day', day, places);
	INSERT INTO trading.performance_parts (company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, piece)
	SELECT t.company_id, t.level, 'day', t.user_id, t.strategy_id, t.symbol, m.simulated, m.currency, roll_up_day.day, m.piece
	  FROM (SELECT t.place, e.simulated, e.currency, -- by the number of the place: sorting by its names takes longer
		       trading.performance_piece(e.closed_at, e.profit, e.r_multiple, e.confidence, e.fate, e.latency_ms, e.slippage_pips
			ORDER BY e.closed_at, e.signal_id) AS piece
		  FROM (SELECT e.*, l.*
			  FROM trading.performance_events AS e
			 CROSS JOIN LATERAL trading.performance_levels(e.user_id, e.strategy_id, e.symbol) AS l
			 WHERE e.company_id = ANY (companies) AND e.at >= begins AND e.at < ends
			OFFSET 0) AS e -- first what a trade counts for, then whether that was touched: the join is by the whole key
		  JOIN unnest(places) WITH ORDINALITY AS t (company_id, level, user_id, strategy_id, symbol, place)
		    ON t.company_id = e.company_id AND t.level = e.level AND t.user_id = e.level_user
		   AND t.strategy_id = e.level_strategy AND t.symbol = e.level_symbol
		 GROUP BY t.place, e.simulated, e.currency) AS m
	  JOIN unnest(places) WITH ORDINALITY AS t (company_id, level, user_id, strategy_id, symbol, place) ON t.place = m.place;
	GET DIAGNOSTICS made = ROW_COUNT;
	RETURN made;
END
$$;
COMMENT ON FUNCTION trading.roll_up_day(date, trading.performance_place[]) IS 'part of trading.roll_up(): pieces of a day from its trades';

CREATE FUNCTION trading.roll_up_month(month date, places trading.performance_place[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	companies constant text[] := ARRAY(SELECT DISTINCT t.company_id FROM unnest(places) AS t);
BEGIN
	PERFORM trading.clear_parts('month', month, places);
	INSERT INTO trading.performance_parts (company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, piece)
	SELECT t.company_id, t.level, 'month', t.user_id, t.strategy_id, t.symbol, m.simulated, m.currency, month, m.piece
	  FROM (SELECT t.place, p.simulated, p.currency, trading.performance_joined(p.piece ORDER BY p.starts_on) AS piece
		  FROM trading.performance_parts AS p
		  JOIN unnest(places) WITH ORDINALITY AS t (company_id, level, user_id, strategy_id, symbol, place)
		    ON t.company_id = p.company_id AND t.level = p.level AND t.user_id = p.user_id
		   AND t.strategy_id = p.strategy_id AND t.symbol = p.symbol
		 WHERE p.grain = 'day' AND p.starts_on >= month AND p.starts_on < (month + interval '1 month')::date AND p.company_id = ANY (companies)
		 GROUP BY t.place, p.simulated, p.currency) AS m
	  JOIN unnest(places) WITH ORDINALITY AS t (company_id, level, user_id, strategy_id, symbol, place) ON t.place = m.place;
END
$$;
COMMENT ON FUNCTION trading.roll_up_month(date, trading.performance_place[]) IS 'part of trading.roll_up(): pieces of a month from those of its days';

-- What is deleted from performance_changes is what that statement sees.  Trades are read by a
-- later one, so the change is in them; who changes a trade meanwhile leaves a row that stays.
CREATE FUNCTION trading.roll_up_trades() RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a_month date;
	a_day date;
	of_day trading.performance_place[];
	of_month trading.performance_place[];
	made bigint := 0;
BEGIN
	FOR a_month IN SELECT DISTINCT date_trunc('month', c.day::timestamp)::date FROM trading.performance_changes AS c ORDER BY 1
	LOOP
		of_month := '{}';
		FOR a_day IN
			SELECT DISTINCT c.day FROM trading.performance_changes AS c
			 WHERE c.day >= a_month AND c.day < (a_month + interval '1 month')::date ORDER BY 1
		LOOP
			WITH gone AS (
				DELETE FROM trading.performance_changes AS c WHERE c.day = a_day
				RETURNING c.company_id, c.user_id, c.strategy_id, c.symbol)
			SELECT array_agg(ROW(p.*)::trading.performance_place) INTO of_day
			  FROM (SELECT DISTINCT g.company_id, l.level, l.level_user, l.level_strategy, l.level_symbol
				  FROM gone AS g, trading.performance_levels(g.user_id, g.strategy_id, g.symbol) AS l) AS p;
			made := made + trading.roll_up_day(a_day, of_day);
			of_month := ARRAY(SELECT p FROM unnest(of_month) AS p UNION SELECT p FROM unnest(of_day) AS p);
		END LOOP;
		PERFORM trading.roll_up_month(a_month, of_month);
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION trading.roll_up_trades() IS 'part of trading.roll_up(): days and months whose trades have changed';

-- Lanes that there are, or were: the number of lanes may have changed.
CREATE FUNCTION trading.lanes_with_batches() RETURNS TABLE (lane integer, newest bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE l (lane) AS (
		SELECT min(b.lane) FROM trading.batches AS b
		UNION ALL
		SELECT (SELECT min(b.lane) FROM trading.batches AS b WHERE b.lane > l.lane) FROM l WHERE l.lane IS NOT NULL)
	SELECT l.lane, (SELECT max(b.batch_no) FROM trading.batches AS b WHERE b.lane = l.lane) FROM l WHERE l.lane IS NOT NULL
$$;
COMMENT ON FUNCTION trading.lanes_with_batches() IS 'every lane that has written batches, with its newest';

-- One lane has one writer, so its batches are committed in their order: all up to the newest
-- one are there, with their signals.
CREATE FUNCTION trading.roll_up_signals() RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	span record;
	counted bigint;
	made bigint := 0;
BEGIN
	FOR span IN
		SELECT l.lane, COALESCE(m.batch_no, -1) AS after, l.newest, b.recorded_from, b.recorded_to
		  FROM trading.lanes_with_batches() AS l
		  LEFT JOIN trading.performance_marks AS m ON m.lane = l.lane,
		       LATERAL (SELECT min(b.recorded_at) AS recorded_from, max(b.recorded_at) AS recorded_to
				  FROM trading.batches AS b
				 WHERE b.lane = l.lane AND b.batch_no > COALESCE(m.batch_no, -1) AND b.batch_no <= l.newest) AS b
		 WHERE l.newest > COALESCE(m.batch_no, -1)
	LOOP
		INSERT INTO trading.performance_signals AS t
			(company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on, signals, risk_rejected)
		SELECT e.company_id, l.level, g.grain, l.level_user, l.level_strategy, l.level_symbol, e.simulated, e.currency,
		       date_trunc(g.grain, e.day::timestamp)::date, sum(e.signals), sum(e.risk_rejected)
		  FROM trading.performance_issued AS e,
		       trading.performance_levels(e.user_id, e.strategy_id, e.symbol) AS l, (VALUES ('day'), ('month')) AS g (grain)
		 WHERE e.lane = span.lane AND e.batch_no > span.after AND e.batch_no <= span.newest
		   AND e.recorded_at >= span.recorded_from AND e.recorded_at <= span.recorded_to
		 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
		    ON CONFLICT (company_id, level, grain, user_id, strategy_id, symbol, simulated, currency, starts_on)
		    DO UPDATE SET signals = t.signals + excluded.signals, risk_rejected = t.risk_rejected + excluded.risk_rejected;
		GET DIAGNOSTICS counted = ROW_COUNT;
		made := made + counted;
		-- A batch's transaction doesn't take an hour.
		INSERT INTO trading.performance_marks AS m (lane, batch_no, recorded_from)
		VALUES (span.lane, span.newest, GREATEST(span.recorded_to, now()) - interval '1 hour')
		    ON CONFLICT (lane) DO UPDATE SET batch_no = excluded.batch_no, recorded_from = excluded.recorded_from;
	END LOOP;
	-- Nothing new on the other lanes: what comes is younger still.
	UPDATE trading.performance_marks AS m SET recorded_from = now() - interval '1 hour'
	 WHERE m.recorded_from < now() - interval '2 hours';
	RETURN made;
END
$$;
COMMENT ON FUNCTION trading.roll_up_signals() IS 'part of trading.roll_up(): counts of signals since the last time';

-- Of ids no statistics are kept (trading.hide_statistics()), so that the planner takes the pieces
-- of a day for one or two: it is told to hash, as one does with many, and to look at how large the
-- tables have become each time.
CREATE FUNCTION trading.roll_up() RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
	-- One at a time; nobody who reads, and no lane, waits for it.
	LOCK TABLE trading.performance_parts IN SHARE UPDATE EXCLUSIVE MODE;
	RETURN trading.roll_up_trades() + trading.roll_up_signals();
END
$$;
COMMENT ON FUNCTION trading.roll_up() IS
	'brings the rollups behind trading.performance up to date; returns how many it wrote. Run it every minute: answers are right without it, only slower';
