-- Predictions by SQL: who may submit what, what comes into the inbox, what is refused.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_submit;
\c trading_submit
\set ECHO none
\i :companies
\set ECHO all
DELETE FROM trading.inbox;
-- A sound batch, with something changed; what is NULL is left out.
CREATE FUNCTION public.batch(changes jsonb DEFAULT '{}', prediction jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'batch_id', 'b1', 'producer_id', 'desk', 'company_id', 'beta', 'user_id', 'bob',
		'generated_at', '2026-01-05T10:00:00Z',
		'predictions', jsonb_build_array(jsonb_build_object(
			'prediction_id', 'p1', 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105,
			'direction', 'BUY', 'confidence', 0.9,
			'models', jsonb_build_array(jsonb_build_object('model_id', 'm1', 'direction', 'BUY', 'confidence', 0.8))
		) || prediction)) || changes)
$$;

-- bob for himself: one row, in his transaction, with an envelope that names him; the id is its correlation id.
\c - te_bob
BEGIN;
SELECT trading.submit(public.batch()) AS id \gset
SELECT :'id' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' AS uuid;
COMMIT;
BEGIN;
SELECT trading.submit(public.batch()) IS NOT NULL AS submitted;
ROLLBACK;
\c - te_admin
SELECT kind, company_id, user_id, submitted_by, position(convert_to(:'id', 'UTF8') IN payload) > 0 AS has_correlation_id,
       position('EURUSD'::bytea IN payload) > 0 AS has_prediction
  FROM trading.inbox;

-- What is left out is filled in by the session's identity.
\c - te_bob
SELECT trading.submit(public.batch('{"company_id": null, "user_id": null, "producer_id": null, "batch_id": null}')) AS id \gset
\c - te_admin
SELECT company_id, user_id FROM trading.inbox ORDER BY inbox_id DESC LIMIT 1;
SELECT trading.submit(public.batch('{"company_id": null}'));

-- Who may submit for whom.
CREATE FUNCTION pg_temp.may(company text, "user" text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trading.submit(public.batch(jsonb_build_object('company_id', company, 'user_id', "user")));
	RETURN 'yes';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
SELECT pg_temp.may('_all', '_all') AS broadcast, pg_temp.may('acme', '_all') AS company, pg_temp.may('acme', 'tom') AS "user";
SELECT pg_temp.may('nowhere', '_all');
SELECT pg_temp.may('acme', 'noone');
SELECT pg_temp.may('_all', 'tom');
\c - te_ann
CREATE FUNCTION pg_temp.may(company text, "user" text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trading.submit(public.batch(jsonb_build_object('company_id', company, 'user_id', "user")));
	RETURN 'yes';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
SELECT pg_temp.may('acme', 'ann') AS herself, pg_temp.may('acme', 'tom') AS colleague, pg_temp.may('acme', '_all') AS company;
SELECT pg_temp.may('beta', 'bob');
SELECT pg_temp.may('nowhere', 'bob');
SELECT pg_temp.may('_all', '_all');
\c - te_tom
SELECT trading.submit(public.batch('{"company_id": "acme", "user_id": "tom"}')) IS NOT NULL AS himself;
SELECT trading.submit(public.batch('{"company_id": "acme", "user_id": "ann"}'));
SELECT trading.submit(public.batch('{"company_id": "acme", "user_id": "_all"}'));
SELECT trading.submit(public.batch('{"company_id": "beta", "user_id": "bob"}'));
\c - te_vic
SELECT trading.submit(public.batch('{"company_id": "acme", "user_id": "vic"}'));
\c - te_nobody
SELECT trading.submit(public.batch());
\c - te_stranger
SELECT trading.submit(public.batch());
-- A function that runs with its owner's rights doesn't lend them.
\c - :superuser
CREATE FUNCTION public.lend(batch jsonb) RETURNS uuid LANGUAGE sql SECURITY DEFINER AS 'SELECT trading.submit(batch)';
\c - te_bob
SELECT public.lend(public.batch('{"company_id": "acme", "user_id": "tom"}'));

-- What is refused, and why: the error names the field.
SELECT trading.submit('{}');
SELECT trading.submit('[]');
SELECT trading.submit('"text"');
SELECT trading.submit('null');
SELECT trading.submit(NULL) IS NULL AS strict;
SELECT trading.submit(public.batch('{"predictions": []}'));
SELECT trading.submit(public.batch('{"unknown": 1}'));
SELECT trading.submit(public.batch('{"generated_at": null}'));
SELECT trading.submit(public.batch('{"generated_at": "yesterday"}'));
SELECT trading.submit(public.batch('{"company_id": 7}'));
SELECT trading.submit(public.batch('{"producer_id": "a.b"}'));
SELECT trading.submit(public.batch('{}', '{"symbol": "NOSUCH"}'));
SELECT trading.submit(public.batch('{}', '{"symbol": "EUR/USD"}'));
SELECT trading.submit(public.batch('{}', '{"symbol": null}'));
SELECT trading.submit(public.batch('{}', '{"confidence": 1.01}'));
SELECT trading.submit(public.batch('{}', '{"confidence": "NaN"}'));
SELECT trading.submit(public.batch('{}', '{"confidence": null}'));
SELECT trading.submit(public.batch('{}', '{"current_price": -1}'));
SELECT trading.submit(public.batch('{}', '{"current_price": 1e400}'));
SELECT trading.submit(public.batch('{}', '{"bid": 1.1}'));
SELECT trading.submit(public.batch('{}', '{"bid": 1.2, "ask": 1.1}'));
SELECT trading.submit(public.batch('{}', '{"direction": "UP"}'));
SELECT trading.submit(public.batch('{}', '{"models": [{"model_id": "m1", "direction": "BUY", "confidence": 2}]}'));
SELECT trading.submit(public.batch('{}', '{"models": [{"model_id": "m1", "direction": "BUY", "confidence": 0.5, "weight": 0}]}'));
SELECT trading.submit(public.batch('{}', '{"patterns": {"name": "x"}}'));
SELECT trading.submit(public.batch('{}', jsonb_build_object('prediction_id', repeat('x', 129))));
-- One bad prediction is named, wherever it is; the batch goes in whole or not at all.
SELECT trading.submit(jsonb_set(public.batch(), '{predictions}', (
	SELECT jsonb_agg(public.batch() -> 'predictions' -> 0 || jsonb_build_object('prediction_id', 'p' || n, 'confidence', CASE n WHEN 7 THEN -1 ELSE 0.9 END))
	  FROM generate_series(0, 9) AS n)));
-- 10,000 predictions are a batch, 10,001 are too many.
SELECT trading.submit(jsonb_set(public.batch(), '{predictions}', (
	SELECT jsonb_agg(public.batch() -> 'predictions' -> 0 || jsonb_build_object('prediction_id', 'p' || n)) FROM generate_series(1, 10000) AS n))) IS NOT NULL AS submitted;
SELECT trading.submit(jsonb_set(public.batch(), '{predictions}', (
	SELECT jsonb_agg(public.batch() -> 'predictions' -> 0 || jsonb_build_object('prediction_id', 'p' || n)) FROM generate_series(1, 10001) AS n)));

\c - te_admin
SELECT submitted_by, company_id, user_id, count(*) FROM trading.inbox GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

\c :home :superuser
DROP DATABASE trading_submit WITH (FORCE);
\set ECHO none
\i :no_companies
