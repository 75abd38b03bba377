-- Strategies follow their results: measured hit rates, adjustments within bounds, and the way back.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_adjust;
\c trading_adjust
\set ECHO none
\i :companies
DELETE FROM trading.trades;
DELETE FROM trading.strategy_adjustments;
\set ECHO all

-- Closed trades of a strategy, one a minute after those that it has: so many, with so much profit each.
CREATE FUNCTION trade(company text, owner text, strategy text, n integer, profit float8, simulated boolean DEFAULT false, state text DEFAULT 'CLOSED')
	RETURNS void LANGUAGE sql SET search_path = trading, pg_catalog AS $$
	INSERT INTO trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
		confidence, position_size, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, commission, working, stopped_out, reports, lane, batch_no,
		profit, closed_at)
	SELECT company, gen_random_uuid(), owner, 'main', strategy, 'EURUSD', 1, 'p', simulated, now(), now(),
	       0.9, 0.1, 0.0001, 0.01, 100000, 'EUR', 'USD', 'USD', state, 0.1, 0.1, 0, false, false, 1, 0, 1, profit,
	       '2026-01-05Z'::timestamptz + (g.n + (SELECT count(*) FROM trades AS t WHERE (t.company_id, t.user_id, t.strategy_id) = (company, owner, strategy))) * interval '1 minute'
	  FROM generate_series(1, n) AS g (n)
$$;
CREATE FUNCTION later(t interval) RETURNS void LANGUAGE sql AS $$
	UPDATE trading.strategy_adjustments SET adjusted_at = adjusted_at - t
$$;
CREATE VIEW strategy AS
SELECT s.user_id, s.strategy_id, s.hit_rate, s.min_confidence_threshold AS threshold, s.position_size_multiplier AS size, s.version
  FROM trading.strategies AS s WHERE s.user_id <> '_all';
CREATE FUNCTION adjust(dry_run boolean DEFAULT false, owner text DEFAULT NULL, strategy text DEFAULT NULL)
	RETURNS TABLE (who text, verdict text, detail text, threshold text, why text, size text, because text, trades bigint, new bigint, accuracy numeric, fell numeric, is_down numeric)
	LANGUAGE sql AS $$
	SELECT a.user_id || '/' || a.strategy_id, a.verdict, a.detail, concat_ws(' -> ', a.threshold_before, a.threshold_after), a.threshold_reason,
	       concat_ws(' -> ', a.size_before, a.size_after), a.size_reason, a.closed_trades, a.new_trades, round(a.accuracy::numeric, 4),
	       round(a.max_drawdown::numeric, 4), round(a.drawdown::numeric, 4)
	  FROM trading.adjust_strategies(dry_run, "user" => owner, strategy => strategy) AS a
$$;

-- The hit rate: from 30 closed trades on, of the newest 100; open, simulated and break-even ones don't count.
SELECT trade('acme', 'tom', 'main', 18, 10), trade('acme', 'tom', 'main', 11, -5), trade('acme', 'tom', 'main', 5, 10, true), trade('acme', 'tom', 'main', 5, NULL, false, 'OPEN');
SELECT trading.measure_strategies();
SELECT trade('acme', 'tom', 'main', 1, -5);
SELECT trading.measure_strategies();
SELECT trade('acme', 'tom', 'main', 4, 0);
SELECT trading.measure_strategies();
SELECT * FROM strategy WHERE user_id = 'tom';
SELECT trade('acme', 'bob', 'main', 1, 1), trade('beta', 'bob', 'main', 60, -1), trade('beta', 'bob', 'main', 100, 1);
UPDATE trading.trades SET updated_at = '2026-02-01Z';
SELECT trading.measure_strategies(since => '2026-02-02Z'), trading.measure_strategies(since => '2026-02-01Z');
SELECT * FROM strategy WHERE user_id = 'bob';
-- In a database that goes by the input's clock the simulated ones do.
SET trading_engine.clock = input;
SET trading_engine.adjust_least_trades = 5;
SELECT trading.measure_strategies();
SELECT * FROM strategy WHERE user_id = 'tom';
RESET trading_engine.clock;
RESET trading_engine.adjust_least_trades;
SELECT trading.measure_strategies();

-- A tier that has become smaller doesn't keep one from measuring; parameters beyond it stay refused.
UPDATE trading.strategies SET max_position_count = 7 WHERE (company_id, user_id) = ('acme', 'tom');
UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'acme';
SELECT trade('acme', 'tom', 'main', 1, 10);
SELECT trading.measure_strategies();
SELECT round(hit_rate::numeric, 4) FROM strategy WHERE user_id = 'tom';
SELECT trade('acme', 'tom', 'main', 40, -1);
SELECT * FROM adjust(owner => 'tom');
UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'acme';
SELECT count(*) FROM trading.strategy_adjustments;

-- Too few trades, nothing to do; a dry run changes nothing.
DELETE FROM trading.trades;
SELECT * FROM adjust(true);
SELECT trade('acme', 'ann', 'main', 21, 10), trade('acme', 'ann', 'main', 9, -10);
SELECT trade('acme', 'tom', 'main', 17, 50), trade('acme', 'tom', 'main', 13, -50);
SELECT trade('beta', 'bob', 'main', 35, 50), trade('beta', 'bob', 'main', 5, -500);
SELECT * FROM adjust(true);
SELECT count(*) FROM trading.strategy_adjustments;
SELECT * FROM strategy WHERE user_id <> 'vic' ORDER BY 1;

-- The same, done: a threshold that wasn't set starts from the tier's.
SELECT * FROM adjust() WHERE verdict = 'ADJUSTED';
SELECT * FROM strategy WHERE user_id <> 'vic' ORDER BY 1;
SELECT user_id, threshold_before, threshold_from, threshold_after, threshold_reason, threshold_limit, size_before, size_after, size_reason, size_limit, closed_trades, new_trades, version
  FROM trading.strategy_adjustments ORDER BY user_id;
-- Not again before the pause is over, and only after 10 more trades.
SELECT * FROM adjust() WHERE who <> 'vic/main';
SELECT later('23:59:00');
SELECT who, verdict FROM adjust();
SELECT later('00:01:00');
SELECT who, verdict FROM adjust();
SELECT trade('acme', 'tom', 'main', 9, -1);
SELECT who, verdict FROM adjust(owner => 'tom');
SELECT trade('acme', 'tom', 'main', 1, -1);
SELECT * FROM adjust(owner => 'tom');

-- Undoing: the last one first; what wasn't set is not set again, and the pause stays.
SELECT min(adjustment_id) AS first, max(adjustment_id) AS last FROM trading.strategy_adjustments WHERE user_id = 'tom' \gset
\set VERBOSITY terse
DO $$ BEGIN PERFORM trading.undo_adjustment(min(adjustment_id)) FROM trading.strategy_adjustments WHERE user_id = 'tom';
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+$', 'N'); END $$;
SELECT trading.undo_adjustment(:last, 'too early');
SELECT trading.undo_adjustment(:first);
SELECT * FROM strategy WHERE user_id = 'tom';
SELECT undone_by = session_user AS by_me, undone_as, undo_reason, undone_at <= now() + interval '1 minute' AS has_time FROM trading.strategy_adjustments WHERE user_id = 'tom' ORDER BY adjustment_id;
SELECT who, verdict FROM adjust(owner => 'tom');
DO $$ BEGIN PERFORM trading.undo_adjustment(min(adjustment_id)) FROM trading.strategy_adjustments WHERE user_id = 'tom';
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N'); END $$;
SELECT trading.undo_adjustment(-1);
SELECT trading.undo_adjustment(NULL);

-- Refused where somebody has set another value since; the message says which.
SELECT later('2 days');
SELECT trade('acme', 'tom', 'main', 10, -1);
SELECT * FROM adjust(owner => 'tom');
UPDATE trading.strategies SET min_confidence_threshold = 0.8 WHERE (company_id, user_id) = ('acme', 'tom');
\set VERBOSITY default
DO $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM trading.undo_adjustment(max(adjustment_id)) FROM trading.strategy_adjustments WHERE user_id = 'tom';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '% | % | %', regexp_replace(SQLERRM, '\d+$', 'N'), detail, hint;
END
$$;
\set VERBOSITY terse
UPDATE trading.strategies SET min_confidence_threshold = 0.75 WHERE (company_id, user_id) = ('acme', 'tom');
SELECT trading.undo_adjustment(max(adjustment_id)) FROM trading.strategy_adjustments WHERE user_id = 'tom';
SELECT * FROM strategy WHERE user_id = 'tom';

-- Opted out; and a company's row that decides leaves the threshold alone, not the size.
UPDATE trading.strategies SET auto_adjust = false WHERE user_id = 'tom';
SELECT who, verdict FROM adjust(owner => 'tom');
UPDATE trading.strategies SET auto_adjust = true WHERE user_id = 'tom';
UPDATE trading.strategies SET min_confidence_threshold = 0.7 WHERE (company_id, user_id) = ('acme', '_all');
SELECT trade('acme', 'tom', 'main', 10, -500);
SELECT later('2 days');
SELECT * FROM adjust(owner => 'tom');
UPDATE trading.strategies SET min_confidence_threshold = NULL WHERE (company_id, user_id) = ('acme', '_all');
DELETE FROM trading.strategy_adjustments;

-- Who may do what. A tenant asks about its own, and undoes that; the engine's columns are not its own.
SELECT * FROM adjust(owner => 'tom');
SELECT max(adjustment_id) AS toms FROM trading.strategy_adjustments WHERE user_id = 'tom' \gset
GRANT EXECUTE ON FUNCTION adjust TO PUBLIC;
\c - te_tom
SELECT who, verdict FROM adjust(true);
SELECT who, verdict FROM adjust(true, 'ann');
SELECT trading.adjust_strategies(dry_run => true, company => 'beta');
SELECT trading.adjust_strategies();
SELECT trading.measure_strategies();
SELECT user_id, threshold_after FROM trading.strategy_adjustments;
UPDATE trading.strategies SET hit_rate = 1;
UPDATE trading.strategies SET position_size_multiplier = 1;
UPDATE trading.strategies SET auto_adjust = false, follow_model_accuracy = true WHERE user_id = 'tom';
UPDATE trading.strategies SET auto_adjust = true, follow_model_accuracy = false WHERE user_id = 'tom';
UPDATE trading.strategy_adjustments SET undone_at = now();
\c - te_bob
SELECT trading.undo_adjustment(:toms) AS none;
SELECT count(*) FROM trading.strategy_adjustments;
\c - te_vic
SELECT who, verdict FROM adjust(true);
\c - te_nobody
SELECT who, verdict FROM adjust(true);
\c - te_ann
SELECT who, verdict FROM adjust(true);
\c - te_tom
SELECT trading.undo_adjustment(:toms, 'I know better');
SELECT undone_by, undone_as, undo_reason FROM trading.strategy_adjustments;
\c - te_admin
SELECT who, verdict FROM adjust(true) ORDER BY 1;

-- The rule itself, for anybody's figures; settings that contradict each other are refused.
\c - :superuser
SELECT * FROM trading.adjustment(false, 0.7, 0.7, 1, NULL, 30, 30, 0.5, 0.2, 0.2, now());
SELECT * FROM trading.adjustment(false, NULL, 0.7, 1, NULL, 30, 30, 0.5, 0.2, 0.2, now());
SELECT * FROM trading.adjustment(false, 0.61, 0.7, 0.5, NULL, 30, 30, 0.9, 0.2, 0.01, now());
SELECT trading.adjustment(false, 2, 0.7, 1, NULL, 30, 30, 0.5, 0.2, 0.2, now());
SELECT trading.adjustment(false, 0.7, 0.7, 1, NULL, -1, 30, 0.5, 0.2, 0.2, now());
SET trading_engine.adjust_low_accuracy = 0.85;
SELECT trading.adjustment(false, 0.7, 0.7, 1, NULL, 30, 30, 0.5, 0.2, 0.2, now());
RESET trading_engine.adjust_low_accuracy;
SELECT trading.present_drawdown(p, t, 100 ORDER BY t) FROM (VALUES (-50::float8, now()), (20, now() + '1 s')) AS x (p, t);

-- Thousands of random series: 400 strategies over 10 days, each with its own luck that turns, thresholds set and not set, one tier
-- or another. Nothing leaves its bounds or moves twice in a window, and all goes back to exactly what it was.
SELECT setseed(0.25);
UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'acme';
DELETE FROM trading.trades;
DELETE FROM trading.strategy_adjustments;
DELETE FROM trading.strategies WHERE user_id <> '_all';
INSERT INTO trading.strategies (company_id, user_id, strategy_id, min_confidence_threshold, position_size_multiplier)
SELECT 'acme', 'ann', 's' || n, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN random() WHEN 2 THEN 0.5 + random() / 2 ELSE 0.96 END,
       CASE n % 5 WHEN 0 THEN 0.1 WHEN 1 THEN 1 - random() ELSE 1 END
  FROM generate_series(1, 400) AS n;
CREATE TABLE before AS SELECT strategy_id, min_confidence_threshold AS threshold, position_size_multiplier AS size FROM trading.strategies WHERE user_id = 'ann';
CREATE TABLE steps AS SELECT 0 AS day, s.strategy_id, s.min_confidence_threshold AS threshold, s.position_size_multiplier AS size FROM trading.strategies AS s WHERE s.user_id = 'ann';
CREATE PROCEDURE live(days integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR day IN 1 .. days LOOP
		INSERT INTO trading.trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at, decided_at,
			confidence, position_size, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, commission, working, stopped_out, reports, lane, batch_no,
			profit, closed_at)
		SELECT 'acme', gen_random_uuid(), 'ann', 'main', s.strategy_id, 'EURUSD', 1, 'p', false, now(), now(),
		       0.9, 0.1, 0.0001, 0.01, 100000, 'EUR', 'USD', 'USD', 'CLOSED', 0.1, 0.1, 0, false, false, 1, 0, 1,
		       CASE WHEN random() < luck.p THEN 80 ELSE -100 * random() END, '2026-01-05Z'::timestamptz + day * interval '1 day' + n * interval '1 minute'
		  FROM trading.strategies AS s
		 CROSS JOIN LATERAL (SELECT abs(sin(hashtext(s.strategy_id) + day / 4)) AS p, (random() * 25)::integer AS trades) AS luck
		 CROSS JOIN LATERAL generate_series(1, luck.trades) AS n
		 WHERE s.user_id = 'ann';
		-- Every half day somebody looks, and the second of two at once finds nothing to do.
		PERFORM trading.adjust_strategies();
		PERFORM later('12 hours');
		COMMIT;
		PERFORM trading.adjust_strategies();
		PERFORM later('12 hours');
		COMMIT;
		INSERT INTO steps SELECT live.day, s.strategy_id, s.min_confidence_threshold, s.position_size_multiplier FROM trading.strategies AS s, (SELECT day) AS live WHERE s.user_id = 'ann';
	END LOOP;
END
$$;
CALL live(10);
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE threshold_reason = 'LOW_ACCURACY') > 100 AS raised, count(*) FILTER (WHERE threshold_reason = 'HIGH_ACCURACY') > 100 AS lowered,
       count(*) FILTER (WHERE size_reason = 'HIGH_DRAWDOWN') > 100 AS reduced, count(*) FILTER (WHERE size_reason = 'DRAWDOWN_RECOVERED') > 100 AS grown
  FROM trading.strategy_adjustments;
-- Bounds, unless somebody had set a value beyond them; then it is not moved further away.
SELECT count(*) FROM trading.strategy_adjustments AS a
 WHERE threshold_after > GREATEST(0.95, threshold_from) OR threshold_after < LEAST(GREATEST(0.5, 0.6 - 0.1), threshold_from)
    OR size_after > 1 OR size_after < LEAST(0.2, size_before)
    OR threshold_reason = 'LOW_ACCURACY' AND NOT threshold_after > threshold_from OR threshold_reason = 'HIGH_ACCURACY' AND NOT threshold_after < threshold_from
    OR size_reason = 'HIGH_DRAWDOWN' AND NOT size_after < size_before OR size_reason = 'DRAWDOWN_RECOVERED' AND NOT size_after > size_before
    OR abs(threshold_after - threshold_from) > 0.05 + 1e-9 OR closed_trades < 30;
-- Never twice within a day, never without 10 trades more.
SELECT count(*) FROM (SELECT a.*, lag(adjusted_at) OVER w AS last, lag(closed_trades) OVER w AS had FROM trading.strategy_adjustments AS a
	WINDOW w AS (PARTITION BY strategy_id ORDER BY adjustment_id)) AS a
 WHERE adjusted_at < last + interval '1 day' OR closed_trades < had + 10 OR new_trades <> closed_trades - COALESCE(had, 0);
SELECT count(*) FROM (SELECT s.*, lag(threshold) OVER w AS had_threshold, lag(size) OVER w AS had_size, lag(day) OVER w AS had FROM steps AS s
	WINDOW w AS (PARTITION BY strategy_id ORDER BY day)) AS s
 WHERE had IS NOT NULL AND (abs(threshold - had_threshold) > 0.05 + 1e-9 OR size NOT BETWEEN had_size * 0.8 - 1e-9 AND had_size / 0.8 + 1e-9);
-- All the way back, to the bit.
CREATE PROCEDURE go_back() LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	FOR id IN SELECT adjustment_id FROM trading.strategy_adjustments ORDER BY adjustment_id DESC LOOP
		PERFORM trading.undo_adjustment(id);
		COMMIT;
	END LOOP;
END
$$;
CALL go_back();
SELECT count(*) AS moved FROM before AS b JOIN trading.strategies AS s ON s.user_id = 'ann' AND s.strategy_id = b.strategy_id
 WHERE float8send(s.min_confidence_threshold) IS DISTINCT FROM float8send(b.threshold) OR float8send(s.position_size_multiplier) <> float8send(b.size);
SELECT count(*) AS not_undone FROM trading.strategy_adjustments WHERE undone_at IS NULL;

\c :home :superuser
DROP DATABASE trading_adjust WITH (FORCE);
\set ECHO none
\i :no_companies
