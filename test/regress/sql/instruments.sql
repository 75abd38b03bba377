-- Instruments: what may be stored, and when they trade.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_instruments;
\c trading_instruments
\set ECHO none
\i :companies
\set ECHO all
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- The edge is in, one step beyond is out, and the error names what is wrong.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.try(changes jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	wrong text;
BEGIN
	INSERT INTO trading.instruments
	SELECT i.* FROM jsonb_populate_record((SELECT e FROM trading.instruments AS e WHERE e.symbol = 'EURUSD'),
		'{"symbol": "TEST"}' || changes) AS i;
	DELETE FROM trading.instruments WHERE symbol LIKE 'TEST%';
	RETURN 'ok';
EXCEPTION WHEN check_violation OR not_null_violation THEN
	GET STACKED DIAGNOSTICS wrong = CONSTRAINT_NAME;
	RETURN COALESCE(NULLIF(wrong, ''), SQLERRM);
END
$$;
SELECT c.changes, pg_temp.try(c.changes)
  FROM unnest(ARRAY['{}', '{"symbol": "TEST.X"}', '{"symbol": ""}', '{"asset_class": "bond"}', '{"base_currency": "eur"}',
	'{"quote_currency": "$"}', '{"quote_currency": "EUR"}', '{"pip_size": 0}', '{"pip_size": "NaN"}', '{"pip_size": "Infinity"}',
	'{"pip_size": null}', '{"tick_size": 1e-8}', '{"tick_size": 0.9e-8}', '{"tick_size": "NaN"}', '{"contract_size": 0}',
	'{"lot_min": 0}', '{"lot_step": 0}', '{"lot_step": -0.01}', '{"lot_min": 0.9e-8, "lot_step": 0.9e-8}', '{"lot_min": 1e-8, "lot_step": 1e-8}', '{"lot_step": 0.003}', '{"lot_min": 0.07, "lot_step": 0.01}',
	'{"lot_min": 0.015, "lot_step": 0.01}', '{"lot_min": 0.01, "lot_step": 0.02}', '{"lot_max": 0.01}', '{"lot_max": 0.009}',
	'{"lot_max": "Infinity"}', '{"lot_max": "NaN"}', '{"lot_max": 1e12}', '{"lot_max": 1.1e12}', '{"min_stop_pips": 0}', '{"min_stop_pips": -1}']::jsonb[]) AS c (changes);

-- The same for accounts.
UPDATE trading.accounts SET currency = 'usd';
UPDATE trading.accounts SET equity = -0.01;
UPDATE trading.accounts SET equity = 'NaN';
UPDATE trading.accounts SET open_positions = -1;
UPDATE trading.accounts SET position_size_multiplier = 0;
UPDATE trading.accounts SET conversion_rate = 0;

-- Every instrument that comes with it has hours.
SELECT i.symbol FROM trading.instruments AS i WHERE NOT EXISTS (SELECT FROM trading.instrument_sessions AS s WHERE s.symbol = i.symbol);

-- The week of currencies: Sunday 17:00 to Friday 17:00 in New York, in winter 22:00 UTC, in summer 21:00 UTC.
-- Clocks there went forward on 8 March 2026 and go back on 1 November 2026.
SELECT * FROM trading.sessions('EURUSD', '2026-02-28T00:00Z', '2026-03-20T20:00Z');
SELECT * FROM trading.sessions('EURUSD', '2026-10-24T00:00Z', '2026-11-13T00:00Z');
SELECT t.at, trading.in_session('EURUSD', t.at), n.opens_at, n.closes_at
  FROM unnest(ARRAY['2026-03-01 21:59:59.999999Z', '2026-03-01 22:00Z', '2026-03-04 12:00Z', '2026-03-06 21:59:59.999999Z', '2026-03-06 22:00Z',
	'2026-03-08 20:59:59.999999Z', '2026-03-08 21:00Z', '2026-03-13 20:59:59.999999Z', '2026-03-13 21:00Z',
	'2026-10-30 20:59:59.999999Z', '2026-10-30 21:00Z', '2026-11-01 21:59:59.999999Z', '2026-11-01 22:00Z',
	'2026-11-06 21:59:59.999999Z', '2026-11-06 22:00Z']::timestamptz[]) AS t (at),
       LATERAL trading.next_session('EURUSD', t.at) AS n;
-- It doesn't depend on the session's zone.
SET timezone = 'Asia/Tokyo';
SELECT count(*) FROM trading.sessions('EURUSD', '2026-02-28T00:00Z', '2026-03-20T20:00Z') AS s
 WHERE (s.opens_at, s.closes_at) IN (('2026-03-01T22:00Z', '2026-03-06T22:00Z'), ('2026-03-08T21:00Z', '2026-03-13T21:00Z'), ('2026-03-15T21:00Z', '2026-03-20T21:00Z'));
SET timezone = 'UTC';

-- At 2,800 times of two years, against another formulation: by the clocks of New York.
SELECT count(*) AS times, count(*) FILTER (WHERE i.open) AS open, count(*) FILTER (WHERE i.open <> trading.in_session('EURUSD', h.at)) AS wrong
  FROM generate_series('2026-01-01T00:30Z'::timestamptz, '2027-12-31T23:30Z', '6 hours 10 minutes') AS h (at),
       LATERAL (SELECT h.at AT TIME ZONE 'America/New_York') AS l (at),
       LATERAL (SELECT CASE to_char(l.at, 'Dy') WHEN 'Sat' THEN false WHEN 'Sun' THEN l.at::time >= '17:00' WHEN 'Fri' THEN l.at::time < '17:00' ELSE true END) AS i (open);

-- Gold pauses for an hour, the London and Frankfurt indices at night; Europe's clocks change on other days (29 March 2026).
SELECT * FROM trading.sessions('XAUUSD', '2026-03-06T12:00Z', '2026-03-10T12:00Z');
SELECT * FROM trading.sessions('GER40', '2026-03-26T12:00Z', '2026-03-31T12:00Z');
SELECT * FROM trading.sessions('UK100', '2026-03-27T12:00Z', '2026-03-30T12:00Z');

-- Crypto always trades, so that nothing opens next.
SELECT * FROM trading.sessions('BTCUSD', '2026-03-06T12:00Z', '2026-03-10T12:00Z');
SELECT trading.in_session('BTCUSD', h.at) AS open, count(*) FROM generate_series('2026-03-01T00:00Z'::timestamptz, '2026-04-01T00:00Z', '1 hour') AS h (at) GROUP BY 1;
SELECT * FROM trading.next_session('BTCUSD', '2026-03-06T12:00Z');

-- Holidays: cut out of the session, at its edges, over a weekend.
INSERT INTO trading.market_holidays (symbol, closed_from, closed_until, name)
VALUES ('EURUSD', '2026-12-24T22:00Z', '2026-12-27T22:00Z', 'Christmas'), ('EURUSD', '2026-12-31T22:00Z', '2027-01-03T22:00Z', 'New Year'),
       ('BTCUSD', '2026-12-25T00:00Z', '2026-12-26T00:00Z', 'Christmas');
SELECT * FROM trading.sessions('EURUSD', '2026-12-19T00:00Z', '2027-01-09T00:00Z');
SELECT trading.in_session('EURUSD', '2026-12-24T21:59Z') AS before, trading.in_session('EURUSD', '2026-12-25T12:00Z') AS holiday, trading.in_session('EURUSD', '2026-12-27T22:00Z') AS after;
SELECT * FROM trading.next_session('EURUSD', '2026-12-24T12:00Z');
SELECT * FROM trading.sessions('BTCUSD', '2026-12-24T00:00Z', '2026-12-27T00:00Z');
-- A span without an end would be looked at for ever.
SELECT * FROM trading.sessions('EURUSD', '2026-01-01T00:00Z', 'infinity');
SELECT * FROM trading.sessions('EURUSD', '-infinity', '2026-01-01T00:00Z');
SELECT count(*) > 0 AS a_century FROM trading.sessions('EURUSD', '1950-01-01T00:00Z', '2050-01-01T00:00Z');
SELECT * FROM trading.sessions('EURUSD', '1950-01-01T00:00Z', '2050-01-03T00:00Z');
SELECT trading.in_session('EURUSD', 'infinity');
SELECT trading.next_session('EURUSD', '-infinity');

-- Hours of one's own: over midnight, into the next week, at a time that the clocks skip; unknown hours are NULL.
INSERT INTO trading.instruments SELECT 'TEST', 'other', 'TST', 'USD', 1, 1, 1, 1, 1, 1, 0;
SELECT trading.in_session('TEST') AS unknown, n.* FROM trading.next_session('TEST') AS n;
INSERT INTO trading.instrument_sessions VALUES ('TEST', 7, '22:00', 1, '02:00', 'Europe/London'), ('TEST', 7, '01:30', 7, '03:00', 'Europe/London');
SELECT * FROM trading.sessions('TEST', '2026-03-27T12:00Z', '2026-04-06T12:00Z');
UPDATE trading.instruments SET symbol = 'TEST2' WHERE symbol = 'TEST';
SELECT trading.in_session('TEST2', '2026-03-29T22:00Z') AS renamed;
DELETE FROM trading.instruments WHERE symbol = 'TEST2';
SELECT count(*) AS deleted_with_it FROM trading.instrument_sessions WHERE symbol = 'TEST2';

INSERT INTO trading.instrument_sessions VALUES ('EURUSD', 0, '22:00', 1, '02:00', 'Europe/London');
INSERT INTO trading.instrument_sessions VALUES ('EURUSD', 1, '22:00', 8, '02:00', 'Europe/London');
INSERT INTO trading.instrument_sessions VALUES ('EURUSD', 1, '22:00', 2, '02:00', 'EST');
INSERT INTO trading.instrument_sessions VALUES ('EURUSD', 1, '22:00', 2, '02:00', 'Europe/Lond');
INSERT INTO trading.instrument_sessions VALUES ('NOSUCH', 1, '22:00', 2, '02:00', 'UTC');
INSERT INTO trading.market_holidays VALUES ('EURUSD', '2026-12-24T22:00Z', '2026-12-24T22:00Z');
INSERT INTO trading.market_holidays VALUES ('EURUSD', '2026-12-24T22:00Z', 'infinity');
SELECT trading.in_session('NOSUCH');
SELECT trading.next_session('NOSUCH');

-- Hours and holidays have a history, as their instruments have.
UPDATE trading.instrument_sessions SET close_time = '16:59' WHERE symbol = 'EURUSD';
DELETE FROM trading.market_holidays WHERE symbol = 'BTCUSD';
SELECT c.kind, c.item, c.operation, c.row_data ->> 'close_time' AS close_time FROM trading.strategy_changes AS c
 WHERE c.kind = 'session' AND c.item = 'EURUSD 7 17:00:00' OR c.kind = 'holiday' AND c.item LIKE 'BTCUSD %' ORDER BY c.change_id;

-- Tenants read hours and change none.
\c - te_bob
SELECT trading.in_session('EURUSD', '2026-03-04 12:00Z'), count(*) > 0 AS rows FROM trading.instrument_sessions;
UPDATE trading.instrument_sessions SET close_day = 6;
INSERT INTO trading.market_holidays VALUES ('EURUSD', '2026-12-24T22:00Z', '2026-12-25T22:00Z');

\c :home :superuser
DROP DATABASE trading_instruments WITH (FORCE);
\set ECHO none
\i :no_companies
