-- Replay: what its arguments may be, and who may replay what.  Runs over real messages are in test/t.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_replay;
\c trading_replay
\set ECHO none
\i :companies
\set ECHO all
-- What the arguments say, or the error; there is nothing to replay in 2020.
CREATE FUNCTION public.try_replay(arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
BEGIN
	EXECUTE 'SELECT count(*) FROM trading.replay(from_time => ''2020-01-01Z'', to_time => ''2021-01-01Z'''
		|| COALESCE(', ' || NULLIF(arguments, ''), '') || ')' INTO result;
	RETURN result || ' rows';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN format('%s %s%s', SQLSTATE, SQLERRM, COALESCE(' / ' || NULLIF(detail, ''), ''));
END
$$;

\c - te_admin
SELECT public.try_replay();

-- Times: half-open, finite, in order, and there.
SELECT count(*) FROM trading.replay('2020-01-01Z', '2020-01-01Z');
SELECT * FROM trading.replay('2020-01-02Z', '2020-01-01Z');
SELECT * FROM trading.replay(NULL, '2020-01-01Z');
SELECT * FROM trading.replay('2020-01-01Z', NULL);
SELECT * FROM trading.replay('-infinity', '2020-01-01Z');
SELECT * FROM trading.replay('2020-01-01Z', 'infinity');
SELECT * FROM trading.replay('4714-11-24Z BC', '294276-12-31 23:59:59.999999Z', symbol => 'all time');

-- Changes: parameters by name, of their type, in their range.
SELECT c.changes, public.try_replay(format('changes => %L', c.changes)) AS result
  FROM (VALUES
	('{}'), ('{"min_confidence_threshold": 0.9}'), ('{"stop_loss_pips": null, "leg_count": 3}'),
	('{"time_in_force": "IOC"}'),
	('[]'), ('"x"'), ('null'),
	('{"min_confidence": 0.9}'), ('{"min_confidence_threshold": 0.9, "Risk_percent": 1}'),
	('{"min_confidence_threshold": 1.1}'), ('{"min_confidence_threshold": "0.9"}'), ('{"min_confidence_threshold": "NaN"}'),
	('{"risk_percent": 1e400}'), ('{"risk_percent": 0}'), ('{"leg_count": 2.5}'), ('{"leg_count": 99999999999}'),
	('{"enabled": 1}'), ('{"stop_loss_mode": "pips"}'), ('{"allowed_regimes": ["CALM"]}'), ('{"allowed_regimes": "UNKNOWN"}'),
	('{"strength_weights": [1, 2]}'), ('{"strength_weights": [0, 0, 0, 0, 0]}'), ('{"available_instruments": ["EURUSD", null]}'),
	('{"custom_rule": "$.prediction.confidence >"}'), ('{"custom_rule": "$.a like_regex \"x\""}'),
	('{"custom_rule": "$.**.a > 1"}'), ('{"custom_rule": "$.a"}'), ('{"custom_rule": ""}'), ('{"custom_rule": 7}')) AS c (changes);
SELECT public.try_replay('changes => NULL') AS null_changes;

-- The other arguments.
SELECT a.arguments, public.try_replay(a.arguments) AS result
  FROM (VALUES
	($$strategies => 'current'$$), ($$strategies => 'Recorded'$$), ($$strategies => NULL$$),
	($$outcomes => '{}'$$), ($$outcomes => trading.enum_labels('outcome')$$), ($$outcomes => '{SIGNAL,WIN}'$$),
	($$outcomes => '{SIGNAL,NULL}'$$), ($$outcomes => NULL$$),
	($$workers => 0$$), ($$workers => 2$$), ($$workers => -1$$), ($$workers => 100000$$),
	($$company_id => 'acme'$$), ($$company_id => 'acm'$$), ($$company_id => ''$$), ($$company_id => '_all'$$),
	($$user_id => 'tom'$$), ($$company_id => 'beta', user_id => 'tom'$$),
	($$strategy_id => 'main'$$), ($$strategy_id => 'other'$$), ($$user_id => 'tom', strategy_id => 'main'$$),
	($$symbol => 'EURUSD'$$), ($$symbol => 'EUR/USD'$$)) AS a (arguments);

-- A tenant replays its own; of what isn't, it can't tell whether it exists.
\c - te_tom
SELECT a.arguments, public.try_replay(a.arguments) AS result
  FROM (VALUES
	(''), ($$company_id => 'acme'$$), ($$company_id => 'beta'$$), ($$company_id => 'nowhere'$$),
	($$user_id => 'tom'$$), ($$user_id => 'ann'$$), ($$user_id => 'nobody'$$), ($$company_id => 'beta', user_id => 'bob'$$),
	($$strategy_id => 'main'$$), ($$strategy_id => 'secret'$$)) AS a (arguments);
\c - te_ann
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'secret');
SELECT a.arguments, public.try_replay(a.arguments) AS result
  FROM (VALUES ($$user_id => 'tom'$$), ($$user_id => 'ann', strategy_id => 'secret'$$), ($$user_id => 'bob'$$), ($$company_id => 'beta'$$)) AS a (arguments);
\c - te_tom
SELECT public.try_replay($$strategy_id => 'secret'$$) AS of_a_colleague;
\c - te_bob
SELECT public.try_replay($$strategy_id => 'secret'$$) AS of_another_company;
SELECT public.try_replay($$changes => '{"custom_rule": "$.prediction.confidence > 0.5"}'$$) AS of_a_higher_tier;
\c - te_nobody
SELECT public.try_replay() AS nobody;
SELECT * FROM trading.stat_progress_replay;
\c - te_stranger
SELECT * FROM trading.replay('2020-01-01Z', '2021-01-01Z');
SELECT * FROM trading.stat_progress_replay;

-- Rows that can't be replayed say which they are.
\c - te_admin
SELECT * FROM trading.replay(now() - interval '1 hour', now() + interval '1 hour', workers => 0);
-- A read-only transaction will do.
BEGIN READ ONLY;
SELECT count(*) FROM trading.replay('2020-01-01Z', '2021-01-01Z', workers => 2);
COMMIT;
-- Nothing runs now.
SELECT * FROM trading.stat_progress_replay;

\c :home :superuser
DROP DATABASE trading_replay;
\i :no_companies
