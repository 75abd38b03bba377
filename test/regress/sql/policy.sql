-- Limits, protections, switches and news: who may lay down what, and what isn't taken.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_policy;
\c trading_policy
\set ECHO none
\i :companies
DELETE FROM trading.risk_limits;
DELETE FROM trading.protections;
DELETE FROM trading.news_rules;
DELETE FROM trading.trading_switches WHERE company_id IS NOT NULL;
\set ECHO all

-- What is out of range is refused by the name of its column.
INSERT INTO trading.risk_limits (max_leverage) VALUES (-1);
INSERT INTO trading.risk_limits (max_open_positions) VALUES ('NaN');
INSERT INTO trading.risk_limits (min_free_margin_percent) VALUES (101);
INSERT INTO trading.risk_limits (user_id, max_leverage) VALUES ('tom', 1);
INSERT INTO trading.risk_limits (company_id, strategy_id, max_leverage) VALUES ('acme', 'main', 1);
INSERT INTO trading.risk_limits (company_id, user_id, strategy_id, max_leverage) VALUES ('acme', 'tom', 'mian', 1);
INSERT INTO trading.risk_limits (company_id, max_leverage) VALUES ('acne', 1);
INSERT INTO trading.risk_limits (company_id, user_id, max_leverage) VALUES ('acme', 'bob', 1);
INSERT INTO trading.risk_limits (symbol, max_leverage) VALUES ('EURUDS', 1);
INSERT INTO trading.risk_limits (authority, max_leverage) VALUES ('GOD', 1);
INSERT INTO trading.risk_limits (authority, company_id, max_leverage) VALUES ('USER', 'acme', 1);
INSERT INTO trading.protections (kind) VALUES ('HOPE');
INSERT INTO trading.protections (kind) VALUES ('MAX_DRAWDOWN');
INSERT INTO trading.protections (kind, lookback) VALUES ('LOW_PROFIT', '0');
INSERT INTO trading.protections (kind, lock_for) VALUES ('LOW_PROFIT', '-1 s');
INSERT INTO trading.protections (kind, trade_limit) VALUES ('LOW_PROFIT', 0);
INSERT INTO trading.protections (kind, unlock_at) VALUES ('COOL_DOWN', '12:00:01');
INSERT INTO trading.trading_switches (symbol, state) VALUES ('EURUSD', 'STOPPED');
INSERT INTO trading.news_rules (before) VALUES ('-1 min');
INSERT INTO trading.news_rules (least_impact) VALUES ('SOME');
INSERT INTO trading.news_events (event_time, currency, impact) VALUES ('infinity', 'USD', 'HIGH');
INSERT INTO trading.news_events (event_time, currency, impact, title) VALUES ('2026-01-02Z', 'USD', 'HIGH', repeat('é', 513));
INSERT INTO trading.news_calendar (known_from, known_until, source) VALUES ('2026-01-01Z', '2026-01-02Z', repeat('x', 1025));
INSERT INTO trading.rates (base_currency, quote_currency, rate, source) VALUES ('EUR', 'CZK', 25, repeat('x', 1025));
INSERT INTO trading.market_holidays (symbol, closed_from, closed_until, name) VALUES ('EURUSD', '2026-01-01Z', '2026-01-02Z', repeat('x', 1025));
UPDATE trading.users SET name = repeat('x', 1025);
SELECT trading.halt('acme', repeat('x', 1025));
SELECT trading.lift_lock(1, repeat('x', 1025));
INSERT INTO trading.news_events (event_time, currency, impact) VALUES (now(), 'usd', 'HIGH');
INSERT INTO trading.news_calendar (known_from, known_until) VALUES ('2026-01-02', '2026-01-01');
UPDATE trading.instruments SET margin_rate = 1.5 WHERE symbol = 'EURUSD';
SELECT asset_class, min(margin_rate), max(margin_rate) FROM trading.instruments GROUP BY 1 ORDER BY 1;

-- A scope has one row per authority.
INSERT INTO trading.risk_limits (max_open_positions) VALUES (100);
INSERT INTO trading.risk_limits (max_open_positions) VALUES (200);
INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('acme', 50);
INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('beta', 5);

-- ann, an admin of acme
\c - te_ann
INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('acme', 40);
INSERT INTO trading.risk_limits (company_id, user_id, strategy_id, symbol, max_open_positions) VALUES ('acme', 'tom', 'main', 'EURUSD', 4);
INSERT INTO trading.risk_limits (authority, company_id, user_id, max_open_positions) VALUES ('OPERATOR', 'acme', 'tom', 4);
INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('beta', 1);
INSERT INTO trading.risk_limits (symbol, max_open_positions) VALUES ('EURUSD', 1);
UPDATE trading.risk_limits SET max_open_positions = 1000 WHERE authority = 'OPERATOR';
DELETE FROM trading.risk_limits WHERE authority = 'OPERATOR';
SELECT scope, max_open_positions, NULLIF(changed_by, :'superuser') AS changed_by FROM trading.risk_limits ORDER BY scope;

-- tom, a trader of acme: for himself
\c - te_tom
INSERT INTO trading.risk_limits (company_id, user_id, max_open_positions) VALUES ('acme', 'tom', 2);
INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('acme', 2);
INSERT INTO trading.risk_limits (company_id, user_id, max_open_positions) VALUES ('acme', 'vic', 2);
INSERT INTO trading.risk_limits (authority, company_id, user_id, max_open_positions) VALUES ('COMPANY', 'acme', 'tom', 2);
UPDATE trading.risk_limits SET max_open_positions = 1000 WHERE authority <> 'USER';
UPDATE trading.risk_limits SET authority = 'COMPANY';
DELETE FROM trading.risk_limits WHERE authority <> 'USER';
SELECT scope, max_open_positions, NULLIF(changed_by, :'superuser') AS changed_by FROM trading.risk_limits ORDER BY scope;
INSERT INTO trading.news_events (event_time, currency, impact) VALUES (now(), 'USD', 'LOW');
INSERT INTO trading.protection_locks (authority, company_id, user_id, protection, kind, locked_at, locked_until)
VALUES ('USER', 'acme', 'tom', '', 'COOL_DOWN', now(), now());

-- vic, a viewer, for nobody; bob, of beta, sees what is his
\c - te_vic
INSERT INTO trading.risk_limits (company_id, user_id, max_open_positions) VALUES ('acme', 'vic', 2);
\c - te_bob
SELECT scope, max_open_positions FROM trading.risk_limits ORDER BY scope;
\c - te_nobody
INSERT INTO trading.risk_limits (max_open_positions) VALUES (1);
SELECT trading.halt('*', 'just so');

-- The kill switch.  Without a lane that runs, the place is the last message that was committed.
\c - te_tom
SELECT trading.halt('acme/tom', '');
SELECT trading.halt('', 'why');
SELECT trading.halt('acme//main', 'why');
SELECT trading.halt('acme/*/main', 'why');
SELECT trading.halt('acme/tom/main/EURUSD/5', 'why');
SELECT trading.halt('acme/tom/mian', 'why');
SELECT trading.halt('acme/tom', 'why', 'ACTIVE');
SELECT trading.halt('acme', 'not mine');
SELECT trading.halt('acme/vic', 'not mine');
SELECT trading.halt('beta', 'not mine');
SELECT trading.halt('*', 'not mine');
INSERT INTO trading.trading_switches (company_id, state) VALUES ('acme', 'HALTED');
INSERT INTO trading.trading_switches (company_id, user_id, state) VALUES ('acme', 'vic', 'HALTED');
INSERT INTO trading.trading_switches (state) VALUES ('HALTED');
SELECT trading.held_lanes('beta');
SELECT trading.held_lanes();
SELECT h.* FROM trading.halt('acme/tom', 'enough for today') AS h;
SELECT h.* FROM trading.halt('acme/tom/main', 'enough for today', 'REDUCING') AS h;
\c - te_ann
SELECT h.* FROM trading.halt('acme/tom', 'tom is ill') AS h;
\c - te_tom
SELECT trading.resume('acme/tom', 'rested');
SELECT trading.resume('acme/tom', 'rested');
SELECT trading.resume('acme', 'rested');
SELECT scope, state, reason, NULLIF(changed_by, :'superuser') AS changed_by FROM trading.trading_switches ORDER BY scope;
\c - te_ann
SELECT trading.resume('acme/tom', '  ');
SELECT trading.resume('acme/tom', 'tom is well');
\c - te_admin
SELECT (h).lane, (h).sequence FROM (SELECT trading.halt('*/*/*/XAUUSD', 'a broken feed') AS h) AS halted ORDER BY 1;
SELECT h.lane FROM trading.halt('*/*/*/XAUUSD', 'only closing', 'REDUCING') AS h ORDER BY 1;
UPDATE trading.trading_switches SET state = 'HALTED', reason = 'all' WHERE scope = 'OPERATOR */*/*/*';
SELECT scope, state, reason, NULLIF(changed_by, :'superuser') AS changed_by FROM trading.trading_switches ORDER BY scope;
SELECT item, operation, row_data ->> 'state' AS state, row_data ->> 'reason' AS reason, changed_as FROM trading.strategy_history
 WHERE kind = 'switch' AND item LIKE '% acme/tom/*/*' AND changed_as IS NOT NULL ORDER BY change_id;

-- Locks are lifted with a reason, once, by their authority or one above.
\c - te_tom
SELECT lock_id AS mine FROM trading.protection_locks WHERE authority = 'USER' \gset
SELECT lock_id AS theirs FROM trading.protection_locks WHERE authority = 'COMPANY' \gset
SELECT lock_id AS operators FROM trading.protection_locks WHERE authority = 'OPERATOR' \gset
SELECT trading.lift_lock(:mine, '');
SELECT trading.lift_lock(:theirs, 'I want to trade');
SELECT trading.lift_lock(:mine, 'I have slept');
SELECT trading.lift_lock(:mine, 'once more');
UPDATE trading.protection_locks SET lifted_at = NULL;
UPDATE trading.protection_locks SET lift_reason = NULL;
\c - te_ann
SELECT trading.lift_lock(:operators, 'I want him to trade');
UPDATE trading.protection_locks SET lift_reason = 'a good week' WHERE lock_id = :theirs;
\c - te_admin
SELECT trading.lift_lock(:operators, 'all is well');
SELECT trading.lift_lock(1000000, 'nothing');
SELECT authority, user_id, lifted_at IS NOT NULL AS lifted, lifted_by, lift_reason FROM trading.protection_locks
 WHERE company_id = 'acme' AND lifted_at IS NOT NULL ORDER BY authority;

-- A tenant has only so many protections, as a lane goes through all of them; an administrator any number.
\c - te_tom
INSERT INTO trading.protections (company_id, user_id, kind, name)
SELECT 'acme', 'tom', 'COOL_DOWN', 'n' || n FROM generate_series(1, 50 - (SELECT count(*)::integer FROM trading.protections WHERE authority = 'USER')) AS n;
INSERT INTO trading.protections (company_id, user_id, kind, name) VALUES ('acme', 'tom', 'COOL_DOWN', 'one too many');
\c - te_ann
INSERT INTO trading.protections (company_id, user_id, kind, name)
SELECT 'acme', 'tom', 'COOL_DOWN', 'n' || n FROM generate_series(1, 501 - (SELECT count(*)::integer FROM trading.protections WHERE authority = 'COMPANY')) AS n;
\c - te_admin
INSERT INTO trading.protections (company_id, user_id, kind, name) SELECT 'acme', 'tom', 'COOL_DOWN', 'n' || n FROM generate_series(1, 501) AS n;
DELETE FROM trading.protections WHERE name ~ '^n[0-9]+$';

-- Of strategies and limits, too.
\c - te_tom
INSERT INTO trading.strategies (company_id, user_id, strategy_id) SELECT 'acme', 'tom', 'n' || n FROM generate_series(1, 1001) AS n;
INSERT INTO trading.strategies (company_id, user_id, strategy_id)
SELECT 'acme', 'tom', 'n' || n FROM generate_series(1, 1000 - (SELECT count(*)::integer FROM trading.strategies WHERE user_id = 'tom')) AS n;
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', 'one_too_many');
INSERT INTO trading.risk_limits (company_id, user_id, strategy_id, max_leverage) SELECT 'acme', 'tom', 'n' || n, 10 FROM generate_series(1, 501) AS n;
INSERT INTO trading.risk_limits (company_id, user_id, strategy_id, max_leverage)
SELECT 'acme', 'tom', 'n' || n, 10 FROM generate_series(1, 500 - (SELECT count(*)::integer FROM trading.risk_limits WHERE authority = 'USER')) AS n;
INSERT INTO trading.risk_limits (company_id, user_id, strategy_id, max_leverage) VALUES ('acme', 'tom', 'n501', 10);
\c - te_admin
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', 'one_more');
DELETE FROM trading.risk_limits WHERE strategy_id ~ '^n[0-9]+$';
DELETE FROM trading.strategies WHERE strategy_id ~ '^n[0-9]+$' OR strategy_id = 'one_more';

-- Who may delete its own rows may not lock the table for all others: not itself, not by a view, not in a block of code.
\c - te_tom
BEGIN;
LOCK TABLE trading.trading_switches, trading.risk_limits IN ROW EXCLUSIVE MODE;
LOCK TABLE trading.trading_switches IN SHARE UPDATE EXCLUSIVE MODE;
ROLLBACK;
BEGIN;
CREATE TEMP TABLE own ();
LOCK TABLE own;
LOCK TABLE own, trading.strategies;
ROLLBACK;
CREATE TEMP VIEW all_strategies AS SELECT * FROM trading.strategies;
BEGIN;
LOCK TABLE all_strategies IN ACCESS EXCLUSIVE MODE;
ROLLBACK;
DO $$ BEGIN LOCK TABLE trading.news_rules IN SHARE MODE; END $$;
\c - te_nobody
BEGIN;
LOCK TABLE trading.protections;
ROLLBACK;
\c - te_admin
BEGIN;
LOCK TABLE trading.strategies;
ROLLBACK;

\c - :superuser
-- What a user or a company laid down goes with it, what is laid down for its strategy doesn't go with the strategy.
INSERT INTO trading.trading_switches (company_id, user_id, strategy_id, state) VALUES ('acme', 'tom', 'main', 'HALTED');
DELETE FROM trading.strategies WHERE company_id = 'acme' AND user_id = 'tom';
SELECT scope FROM trading.trading_switches WHERE strategy_id IS NOT NULL ORDER BY 1;
UPDATE trading.trading_switches SET state = 'REDUCING' WHERE strategy_id IS NOT NULL;
DELETE FROM trading.users WHERE user_id = 'tom';
SELECT scope FROM trading.trading_switches WHERE user_id = 'tom';

\set ECHO none
\c :home
DROP DATABASE trading_policy;
\i :no_companies
