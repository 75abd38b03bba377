-- Conversion between currencies over closed bars and trading.rates.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_rates;
\c trading_rates
\set ECHO none
\i :companies
\set ECHO all
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- Nothing is known yet: NULL, never 1; a currency in itself is 1.
SELECT trading.conversion_rate('EUR', 'USD') AS unknown, trading.conversion_rate('EUR', 'EUR') AS itself, trading.conversion_rate('XXX', 'XXX') AS any;
SELECT * FROM trading.conversion('EUR', 'USD');
SELECT * FROM trading.current_rates;

-- Bars of five minutes. A close counts from the end of its bar on, and for as long as the setting says, and a bar more.
INSERT INTO trading.market_bars (lane, symbol, bar_start, open, high, low, close)
VALUES (0, 'EURUSD', '2026-01-05T10:00Z', 1.1, 1.3, 1.1, 1.2), (0, 'EURUSD', '2026-01-05T10:05Z', 1.2, 1.3, 1.2, 1.25),
       (1, 'EURUSD', '2026-01-05T10:05Z', 1.2, 1.3, 1.2, 1.25),
       (1, 'USDJPY', '2026-01-05T10:00Z', 90, 100, 90, 100),
       (1, 'US500', '2026-01-05T10:00Z', 6000, 6000, 6000, 6000);
SELECT t.at, trading.conversion_rate('EUR', 'USD', t.at)
  FROM (VALUES ('2026-01-05T10:04:59.999999Z'::timestamptz), ('2026-01-05T10:05:00Z'), ('2026-01-05T10:09:59.999999Z'),
	('2026-01-05T10:10:00Z'), ('2026-01-05T10:20:00Z'), ('2026-01-05T10:20:00.000001Z')) AS t (at);
SELECT c.* FROM (VALUES ('EUR', 'USD'), ('USD', 'EUR'), ('USD', 'JPY'), ('EUR', 'JPY'), ('JPY', 'EUR'), ('US500', 'USD'), ('CHF', 'EUR')) AS p (a, b),
	trading.conversion(p.a, p.b, '2026-01-05T10:12Z') AS c;
SELECT trading.pip_value('EURUSD', 1, 'USD', '2026-01-05T10:12Z') AS quote, trading.pip_value('EURUSD', 0.5, 'EUR', '2026-01-05T10:12Z') AS base,
       trading.pip_value('USDJPY', 2, 'EUR', '2026-01-05T10:12Z') AS third, trading.pip_value('EURUSD', 1, 'GBP', '2026-01-05T10:12Z') AS unknown;

-- The settings count here too.
BEGIN;
SET LOCAL trading_engine.rate_max_age = 0;
SELECT trading.conversion_rate('EUR', 'USD', '2036-01-05T10:12Z') AS no_limit;
SET LOCAL trading_engine.rate_max_age = '1min';
SELECT trading.conversion_rate('EUR', 'USD', '2026-01-05T10:16Z') AS fresh, trading.conversion_rate('EUR', 'USD', '2026-01-05T10:16:00.000001Z') AS stale;
SET LOCAL trading_engine.bar_length = '1min';
SELECT trading.conversion_rate('EUR', 'USD', '2026-01-05T10:08Z') AS fresh, trading.conversion_rate('EUR', 'USD', '2026-01-05T10:08:00.000001Z') AS stale;
ROLLBACK;

-- Rows: the newest rate of a pair is used, whichever way it is quoted.
SET ROLE trading_admin;
INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of, source) VALUES ('USD', 'EUR', 0.5, '2026-01-05T10:11Z', 'desk');
INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of, max_age) VALUES ('USD', 'CHF', 0.75, '2026-01-05T10:00Z', '1 day');
RESET ROLE;
SELECT t.at, trading.conversion_rate('EUR', 'USD', t.at)
  FROM (VALUES ('2026-01-05T10:10:59Z'::timestamptz), ('2026-01-05T10:11:00Z'), ('2026-01-05T10:16:00Z'), ('2026-01-05T10:16:00.000001Z')) AS t (at);
SELECT c.* FROM trading.conversion('JPY', 'CHF', '2026-01-05T10:12Z') AS c;
SELECT trading.conversion_rate('USD', 'CHF', '2026-01-06T10:00Z') AS day, trading.conversion_rate('USD', 'CHF', '2026-01-06T10:00:00.000001Z') AS more;

-- The past stays as it was: from the log. A rate that is set without a time is as of now.
UPDATE trading.rates SET rate = 0.8 WHERE pair = 'USD/CHF';
SELECT rate, as_of > now() - interval '1 minute' AS now FROM trading.rates WHERE pair = 'USD/CHF';
SELECT trading.conversion_rate('USD', 'CHF', '2026-01-05T10:12Z') AS past, trading.conversion_rate('USD', 'CHF') AS present;
SELECT base_currency, quote_currency, rate, age < '1 minute' AS young, max_age, usable, source FROM trading.current_rates ORDER BY source, 1;
SELECT now() AS before_the_delete \gset
DELETE FROM trading.rates WHERE pair = 'USD/CHF';
SELECT trading.conversion_rate('USD', 'CHF', '2026-01-05T10:12Z') AS past, trading.conversion_rate('USD', 'CHF', :'before_the_delete') AS before,
       trading.conversion_rate('USD', 'CHF') AS present;
BEGIN;
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('USD', 'CHF', 0.9);
SELECT trading.conversion_rate('USD', 'CHF') AS uncommitted;
ROLLBACK;

-- What isn't a rate.
\set VERBOSITY terse
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'USD', 0);
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'USD', 'NaN');
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'USD', 'Infinity');
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'EUR', 1);
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('eur', 'USD', 1);
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'U', 1);
INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of) VALUES ('EUR', 'USD', 1, 'infinity');
INSERT INTO trading.rates (base_currency, quote_currency, rate, max_age) VALUES ('EUR', 'USD', 1, '-1 s');
SELECT trading.conversion_rate('EUR', 'USD', 'infinity');
SELECT trading.pip_value('NOSUCH', 1, 'USD');
SELECT trading.find_rate('EUR', 'USD', now(), '{EUR}', '{USD}', '{1}', ARRAY[now()], '{}');
SELECT trading.find_rate('EUR', 'USD', now(), '{EUR}', '{USD}', '{NULL}', ARRAY[now()], '{0}');
SELECT trading.find_rate('EUR', 'USD', now(), '{EUR}', '{USD}', '{-1}', ARRAY[now()], '{0}') AS no_price;

-- Adding many pairs takes minutes, and can be cancelled.
SELECT clock_timestamp() AS begun \gset
SET statement_timeout = '300ms';
SELECT count(trading.find_rate('A', 'B', now(), a.bases, a.quotes, array_fill(1.0::float8, ARRAY[a.n]), array_fill(now(), ARRAY[a.n]), array_fill(0::bigint, ARRAY[a.n])))
  FROM (SELECT array_agg('A' || i), array_agg('B' || i), count(*)::integer FROM generate_series(1, 100000) AS i) AS a (bases, quotes, n);
RESET statement_timeout;
SELECT clock_timestamp() - :'begun' < '20 s' AS at_once;

-- Tenants read rates and convert; only administrators change them, and workers read them alone.
\c - te_bob
SELECT trading.conversion_rate('EUR', 'JPY', '2026-01-05T10:10:30Z');
SELECT count(*) FROM trading.rates;
INSERT INTO trading.rates (base_currency, quote_currency, rate) VALUES ('EUR', 'GBP', 1);
UPDATE trading.rates SET rate = 1;
DELETE FROM trading.rates;

\c :home :superuser
DROP DATABASE trading_rates WITH (FORCE);
\set ECHO none
\i :no_companies
