-- Executions by SQL: who may report what, what comes into the inbox, what is refused.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_executions;
\c trading_executions
\set ECHO none
\i :companies
\set ECHO all
DELETE FROM trading.inbox;
-- Everybody may know which signal is whose here; reports are about bob's, with something changed.
CREATE TABLE public.known AS SELECT user_id, signal_id FROM trading.signals;
GRANT SELECT ON public.known TO PUBLIC;
CREATE FUNCTION public.report(changes jsonb DEFAULT '{}', whose text DEFAULT 'bob') RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'execution_id', 'x1', 'signal_id', (SELECT k.signal_id FROM public.known AS k WHERE k.user_id = whose),
		'status', 'FILLED', 'executed_price', 1.1002, 'executed_size', 0.1, 'executed_at', '2026-01-05T10:00:00Z') || changes)
$$;

-- bob for himself: one row, in his transaction; company, user and symbol are the signal's.
\c - te_bob
BEGIN;
SELECT trading.report_execution(public.report());
COMMIT;
BEGIN;
SELECT trading.report_execution(public.report());
ROLLBACK;
-- The same with arguments: the same message, but for the times and ids of its envelope.
SELECT trading.report_execution('x1', signal_id, 'FILLED', '2026-01-05 12:00:00+02', executed_price => 1.1002, executed_size => 0.1)
  FROM public.known WHERE user_id = 'bob';
\c - te_admin
SELECT kind, company_id, user_id, submitted_by, position('EURUSD'::bytea IN payload) > 0 AS has_symbol FROM trading.inbox ORDER BY inbox_id;
SELECT count(DISTINCT substring(payload FROM position('x1'::bytea IN payload) FOR 85)) AS contents FROM trading.inbox;

-- Several at once: all or none, in their order.
\c - te_bob
SELECT trading.report_executions(jsonb_agg(public.report(jsonb_build_object('execution_id', 'several-' || n)) ORDER BY n)) FROM generate_series(1, 1000) AS n;
SELECT trading.report_executions('[]');
SELECT trading.report_executions(jsonb_build_array(public.report(), public.report('{"executed_size": -1}')));
SELECT trading.report_executions('{}');
SELECT trading.report_executions('"x"');
SELECT trading.report_executions('[1]');
SELECT trading.report_execution('[]');
\c - te_admin
SELECT count(*), bool_and(position(convert_to('several-' || n, 'UTF8') IN payload) > 0) AS in_order
  FROM (SELECT i.payload, row_number() OVER (ORDER BY i.inbox_id) AS n FROM trading.inbox AS i WHERE position('several-'::bytea IN i.payload) > 0) AS i;

-- An unknown signal is no error: the report is kept and flagged.  It has to say what else the signal would.
\c - te_bob
SELECT trading.report_execution(public.report('{"signal_id": "018f0000-0000-7001-8002-030405060708", "symbol": "EURUSD"}'));
SELECT trading.report_execution(public.report('{"signal_id": "018f0000-0000-7001-8002-030405060708"}'));
-- A colleague's, and another company's, are as unknown as that.
SELECT trading.report_execution(public.report('{}', 'tom'));
SELECT trading.report_execution(public.report('{"symbol": "GBPUSD"}', 'tom'));

-- Who may report for whom.
\c - :superuser
CREATE FUNCTION public.may(whose text, changes jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trading.report_execution(public.report(changes, whose));
	RETURN 'yes';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
\c - te_admin
SELECT public.may('tom') AS tom, public.may('bob') AS bob;
SELECT public.may('tom', '{"company_id": "nowhere"}');
SELECT public.may('tom', '{"user_id": "noone"}');
SELECT public.may('tom', '{"user_id": "_all"}');
SELECT public.may('tom', '{"company_id": "_all", "user_id": "_all", "symbol": "EURUSD"}');
\c - te_ann
SELECT public.may('ann') AS herself, public.may('tom') AS colleague, public.may('bob') AS stranger, public.may('bob', '{"company_id": "beta"}') AS openly;
\c - te_tom
SELECT public.may('tom') AS himself, public.may('ann') AS boss, public.may('ann', '{"user_id": "ann"}') AS openly;
\c - te_vic
SELECT public.may('vic');
\c - te_nobody
SELECT public.may('bob');
\c - te_stranger
SELECT public.may('bob');
\c - te_admin
SELECT company_id, user_id, submitted_by, count(*) FROM trading.inbox GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- What is refused, and why: the error names the field.
\c - te_bob
SELECT public.may('bob', change) FROM unnest(ARRAY[
	'{"execution_id": null}', '{"execution_id": ""}', '{"signal_id": null}', '{"signal_id": "x"}', '{"symbol": "GBPUSD"}',
	'{"symbol": "EUR/USD"}', '{"leg": 5}', '{"leg": -1}', '{"status": null}', '{"status": "DONE"}', '{"executed_at": null}',
	'{"executed_at": "yesterday"}', '{"executed_at": "2999-01-01T00:00:00Z"}', '{"executed_price": null}', '{"executed_price": 0}', '{"executed_price": "NaN"}',
	'{"executed_price": 1e400}', '{"executed_size": null}', '{"executed_size": 0}', '{"executed_size": -0.1}', '{"executed_size": 1e13}',
	'{"requested_price": -1}', '{"profit": 1e12}', '{"commission": -1e12}', '{"status": "CLOSED"}',
	'{"status": "CLOSED", "profit": 1, "executed_size": 0}', '{"unknown": 1}']::jsonb[]) WITH ORDINALITY AS c (change, n) ORDER BY n;
SELECT public.may('bob', jsonb_build_object('execution_id', repeat('x', 129)));
SELECT public.may('bob', jsonb_build_object('status', 'REJECTED', 'reason', repeat('x', 1025)));
SELECT public.may('bob', jsonb_build_object('broker_order_id', repeat('x', 129)));
SELECT trading.report_execution('x1', gen_random_uuid(), 'FILLED', '2026-01-05 12:00:00+02', executed_price => 'NaN', executed_size => 0.1, symbol => 'EURUSD');
SELECT trading.report_execution('x1', gen_random_uuid(), 'FILLED', 'infinity', executed_price => 1.1, executed_size => 0.1, symbol => 'EURUSD');
SELECT trading.report_execution('x1', gen_random_uuid(), 'FILLED', '2026-01-05 10:00Z BC', executed_price => 1.1, executed_size => 0.1, symbol => 'EURUSD');
SELECT trading.report_execution(NULL) IS NULL AS strict;

-- Reports can't be written, changed or deleted any other way.
INSERT INTO trading.executions (company_id) VALUES ('beta');
UPDATE trading.trades SET profit = 1e6;
DELETE FROM trading.executions;
UPDATE trading.position_history SET lots = 0;
DELETE FROM trading.account_history;
SELECT company_id, user_id, account_id, symbol, side, lots, fills FROM trading.positions;
SELECT company_id, user_id, account_id, currency, equity, open_trades, open_risk FROM trading.account_equity;
\c - te_admin
INSERT INTO trading.executions (company_id) VALUES ('beta');
UPDATE trading.trades SET profit = 1e6;
DELETE FROM trading.executions;
SELECT company_id, user_id, account_id, symbol, side, lots, fills FROM trading.positions ORDER BY 1, 2;

\c :home :superuser
DROP DATABASE trading_executions WITH (FORCE);
\set ECHO none
\i :no_companies
