-- History: the log of versions, who may see it, and strategies as they were.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_history;
\c trading_history
\set ECHO none
\i :companies
\set ECHO all
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset
-- What the log has got since the last look.
CREATE FUNCTION public.news(INOUT seen bigint, OUT kind text, OUT key text, OUT operation text, OUT version bigint, OUT row_data jsonb, OUT changed_by name, OUT changed_as text)
	RETURNS SETOF record LANGUAGE sql AS $$
	SELECT c.change_id, c.kind, concat_ws('/', c.company_id, c.user_id, c.strategy_id, c.item), c.operation, c.version,
	       c.row_data - ARRAY['created_at', 'updated_at'], c.changed_by, c.changed_as
	  FROM trading.strategy_changes AS c WHERE c.change_id > news.seen ORDER BY c.change_id $$;

-- Everything that is there is in the log, as it is.
SELECT count(*) = (SELECT count(*) FROM trading.instruments) AS all_of_them FROM trading.strategy_changes WHERE kind = 'instrument';
SELECT c.item FROM trading.strategy_changes AS c JOIN trading.tiers AS t ON t.tier = c.item AND c.kind = 'tier'
 WHERE jsonb_populate_record(NULL::trading.tiers, c.row_data) IS DISTINCT FROM t;
SELECT s.* FROM trading.strategies AS s WHERE NOT EXISTS (SELECT FROM trading.strategy_changes AS c
 WHERE c.kind = 'strategy' AND jsonb_populate_record(NULL::trading.strategies, c.row_data) = s);
SELECT kind, count(*) FROM trading.strategy_changes GROUP BY 1 ORDER BY 1;
-- No secret is in it.
SELECT count(*) FROM trading.strategy_changes WHERE row_data ? 'token_sha256' OR strpos(row_data::text, encode(sha256('secret'), 'hex')) > 0;

-- One row for each row of a statement, whatever the statement is.
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name, min_confidence_threshold) VALUES ('acme', 'ann', 'second', 'x', 0.75);
UPDATE trading.strategies SET max_position_count = 2 WHERE company_id = 'acme' AND user_id = 'ann';
UPDATE trading.strategies SET name = name WHERE strategy_id = 'second';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'second'), ('acme', 'ann', 'third')
    ON CONFLICT (company_id, user_id, strategy_id) DO UPDATE SET name = 'upserted';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'third') ON CONFLICT DO NOTHING;
MERGE INTO trading.strategies AS s USING (VALUES ('second'), ('third'), ('fourth')) AS v (id) ON s.company_id = 'acme' AND s.user_id = 'ann' AND s.strategy_id = v.id
 WHEN MATCHED AND v.id = 'third' THEN DELETE
 WHEN MATCHED THEN UPDATE SET name = 'merged'
 WHEN NOT MATCHED THEN INSERT (company_id, user_id, strategy_id) VALUES ('acme', 'ann', v.id);
COPY trading.strategies (company_id, user_id, strategy_id, max_slippage_pips) FROM stdin;
acme	ann	third	1.5
\.
DELETE FROM trading.strategies WHERE strategy_id IN ('second', 'third', 'fourth');
UPDATE trading.strategies SET name = 'nobody' WHERE company_id = 'gamma';
SELECT kind, key, operation, version, row_data FROM public.news(:seen);
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset

-- What was deleted and is made again goes on counting.
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'third') RETURNING version;
UPDATE trading.strategies SET version = 1 WHERE strategy_id = 'third' RETURNING version;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, version) VALUES ('acme', 'ann', 'new', 99) RETURNING version;
DELETE FROM trading.strategies WHERE strategy_id IN ('third', 'new');
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset

-- Another key is another thing, and keys can be passed on. What refers to a tier follows it.
UPDATE trading.tiers SET tier = 'BASIC' WHERE tier = 'FREE';
INSERT INTO trading.users (company_id, user_id, name) VALUES ('beta', 'jim', 'Jim'), ('beta', 'joe', 'Joe');
UPDATE trading.users SET user_id = CASE user_id WHEN 'jim' THEN 'moe' ELSE 'jim' END WHERE user_id IN ('jim', 'joe');
UPDATE trading.users SET user_id = 'joe' WHERE user_id = 'jim';
INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES ('beta', 'joe', 'EUR', 0.1);
UPDATE trading.accounts SET account_id = 'other', equity = 0.1 + 0.2 WHERE user_id = 'joe';
UPDATE trading.instruments SET symbol = CASE symbol WHEN 'EURUSD' THEN 'EURUSD_' ELSE 'USDJPY_' END WHERE symbol IN ('EURUSD', 'USDJPY');
UPDATE trading.producers SET token_sha256 = sha256('other'), enabled = false WHERE producer_id = 'everybody';
DELETE FROM trading.users WHERE user_id IN ('joe', 'moe');
SELECT kind, key, operation, CASE WHEN kind NOT IN ('tier', 'instrument') THEN row_data END AS row_data FROM public.news(:seen);
UPDATE trading.instruments SET symbol = rtrim(symbol, '_');
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset

-- What isn't committed isn't there.
BEGIN;
UPDATE trading.companies SET name = 'gone';
SAVEPOINT s;
UPDATE trading.companies SET name = 'gone too';
ROLLBACK TO s;
SELECT kind, key, operation, row_data ->> 'name' AS name FROM public.news(:seen);
ROLLBACK;
SELECT kind, key, operation FROM public.news(:seen);

-- Numbers are kept to the last bit, and times to the microsecond, whatever the session's settings are.
SET extra_float_digits = 0;
SET datestyle = 'German';
SET timezone = 'America/New_York';
UPDATE trading.accounts SET equity = '0.1'::float8 + 0.2, conversion_rate = 1e-300 / 3 WHERE user_id = 'ann';
UPDATE trading.strategies SET max_slippage_pips = '-0', strength_weights = ARRAY[1.0::float8 / 3, 0.1, 0.2, 0, 5e-324], max_spread_pips = 1e300 / 7 WHERE user_id = 'ann';
RESET ALL;
SET extra_float_digits = 1;
SELECT a.* = p AS same, float8send(a.equity) = float8send(p.equity) AND float8send(a.conversion_rate) = float8send(p.conversion_rate) AS bits
  FROM trading.accounts AS a, trading.strategy_changes AS c, jsonb_populate_record(NULL::trading.accounts, c.row_data) AS p
 WHERE a.user_id = 'ann' AND c.kind = 'account' AND c.change_id > :seen;
SELECT s.* = p AS same, float8send(s.max_slippage_pips) = float8send(p.max_slippage_pips) AND float8send(s.max_spread_pips) = float8send(p.max_spread_pips) AS bits,
       (SELECT array_agg(float8send(w)) FROM unnest(s.strength_weights) AS w) = (SELECT array_agg(float8send(w)) FROM unnest(p.strength_weights) AS w) AS weights, c.row_data ->> 'max_slippage_pips' AS zero
  FROM trading.strategies AS s, trading.strategy_changes AS c, jsonb_populate_record(NULL::trading.strategies, c.row_data) AS p
 WHERE s.user_id = 'ann' AND c.kind = 'strategy' AND c.change_id > :seen;
SELECT DISTINCT right(row_data ->> 'updated_at', 1) AS zone FROM trading.strategy_changes WHERE row_data ? 'updated_at';
UPDATE trading.strategies SET max_slippage_pips = NULL, strength_weights = NULL, max_spread_pips = NULL, max_position_count = NULL WHERE user_id = 'ann';
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset

-- TRUNCATE ends every row, whatever the transaction's snapshot shows.
BEGIN ISOLATION LEVEL REPEATABLE READ;
TRUNCATE trading.producers;
SELECT kind, key, operation, row_data FROM public.news(:seen);
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = warning;
TRUNCATE trading.companies CASCADE;
SELECT kind, string_agg(DISTINCT operation, ' ') AS operation, count(*) FROM public.news(:seen) GROUP BY 1 ORDER BY 1;
SELECT l.kind, count(r.row) FROM trading.logged_tables() AS l,
       trading.rows_at(l.kind, format('%1$s:%1$s:', pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 10)::pg_snapshot, (SELECT system_identifier FROM pg_control_system())) AS r (row)
 WHERE l.company <> '' GROUP BY 1 ORDER BY 1;
ROLLBACK;
-- Triggers that somebody else makes with our functions say what is wrong with them.
CREATE TABLE public.other (id integer PRIMARY KEY, name text);
CREATE TRIGGER log_row AFTER INSERT ON public.other FOR EACH ROW EXECUTE FUNCTION trading.log_changes('x');
INSERT INTO public.other VALUES (1, 'x');
DROP TRIGGER log_row ON public.other;
CREATE TRIGGER log_some AFTER INSERT ON public.other REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes('x', 'id');
INSERT INTO public.other VALUES (1, 'x');
DROP TRIGGER log_some ON public.other;
CREATE TRIGGER log_nothing AFTER INSERT ON public.other REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes('x', '', '', '', 'nothing', '');
INSERT INTO public.other VALUES (1, 'x');
DROP TRIGGER log_nothing ON public.other;
CREATE TRIGGER log_number AFTER INSERT ON public.other REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes('x', '', '', '', 'id', '');
INSERT INTO public.other VALUES (1, 'x');
DROP TABLE public.other;
-- A replica's session logs as well; only the owner can change a trigger.
SET session_replication_role = replica;
UPDATE trading.companies SET name = 'Acme' WHERE company_id = 'acme';
RESET session_replication_role;
SELECT kind, key, operation, row_data ->> 'name' AS name FROM public.news(:seen);
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ '^log_' AND tgenabled <> 'A';
SELECT l.relation, count(t.oid) AS triggers FROM trading.logged_tables() AS l LEFT JOIN pg_trigger AS t ON t.tgrelid = l.relation AND t.tgname ~ '^log_'
 GROUP BY 1 HAVING count(t.oid) <> 4;
CREATE FUNCTION public.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
CREATE TABLE public.attempts (n serial, command text);
INSERT INTO public.attempts (command) VALUES
	('INSERT INTO trading.strategy_changes (system_identifier, kind, operation) VALUES (1, ''all'', ''RELOAD'')'),
	('UPDATE trading.strategy_changes SET changed_by = ''x'''),
	('DELETE FROM trading.strategy_changes'),
	('TRUNCATE trading.strategy_changes'),
	('ALTER TABLE trading.strategies DISABLE TRIGGER ALL'),
	('ALTER TABLE trading.strategies DISABLE TRIGGER log_update'),
	('DROP TRIGGER log_update ON trading.strategies'),
	('SET session_replication_role = replica'),
	('ALTER TABLE trading.strategy_changes DISABLE ROW LEVEL SECURITY'),
	('CREATE TRIGGER mine BEFORE INSERT ON trading.strategy_changes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
	('CREATE RULE mine AS ON INSERT TO trading.strategy_changes DO INSTEAD NOTHING'),
	('UPDATE trading.strategy_history SET row_data = NULL'),
	('DELETE FROM trading.strategy_history'),
	('SELECT trading.log_changes()'),
	('SELECT trading.log_truncate()'),
	('SELECT trading.guard_strategy()'),
	('SELECT trading.prune(keep_history => ''1 day'')'),
	('SELECT trading.upkeep(keep_history => ''1 day'')'),
	('SELECT xid FROM trading.strategy_changes'),
	('SELECT * FROM trading.rows_at(''strategy'', pg_current_snapshot(), 1)');
GRANT SELECT ON public.attempts TO PUBLIC;
\c - te_ann
SELECT n, command, public.attempt(command) FROM public.attempts ORDER BY n;
\c - te_admin
SELECT n, command, public.attempt(command) FROM public.attempts ORDER BY n;

-- A tenant's strategy goes on counting as well; for another's it waits for nobody.
\c - te_tom
DELETE FROM trading.strategies WHERE user_id = 'tom' RETURNING strategy_id, version;
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'tom', 'main') RETURNING version;
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('beta', 'bob', 'main');

-- Who did it: the role that opened the session, and the user that it was.
\c - te_tom
UPDATE trading.strategies SET name = 'tom''s' WHERE user_id = 'tom';
\c - te_ann
SELECT trading.login();
UPDATE trading.strategies SET name = 'ann''s' WHERE user_id = 'tom';
\c - te_admin
UPDATE trading.strategies SET name = 'their' WHERE user_id = 'tom';
\c - :superuser
SELECT row_data ->> 'name' AS name, version, changed_by = :'superuser' AS by_superuser, CASE WHEN changed_by <> :'superuser' THEN changed_by END AS changed_by, changed_as
  FROM trading.strategy_history WHERE kind = 'strategy' AND company_id = 'acme' AND user_id = 'tom' ORDER BY version;

-- A tenant sees the versions of what it may see itself.
CREATE FUNCTION public.sees_history() RETURNS TABLE (kind text, rows text) LANGUAGE sql AS $$
	SELECT h.kind, string_agg(DISTINCT concat_ws('/', h.company_id, h.user_id, h.strategy_id, CASE WHEN h.company_id IS NOT NULL THEN h.item ELSE '*' END), ' ')
	  FROM trading.strategy_history AS h GROUP BY 1 ORDER BY 1 $$;
\c - te_ann
SELECT * FROM public.sees_history();
\c - te_vic
SELECT * FROM public.sees_history();
SELECT count(*) FROM trading.strategy_history WHERE company_id = 'beta';
\c - te_bob
SELECT * FROM public.sees_history();
\c - te_nobody
SELECT * FROM public.sees_history();
\c - te_stranger
SELECT * FROM public.sees_history();

-- Ranges: without gaps, never reversed, whatever the clock did.
\c - :superuser
UPDATE trading.accounts SET equity = equity + 1 WHERE user_id = 'tom';
UPDATE trading.accounts SET equity = equity + 1 WHERE user_id = 'tom';
UPDATE trading.accounts SET equity = equity + 1 WHERE user_id = 'tom';
WITH t AS (SELECT change_id, row_number() OVER (ORDER BY change_id) AS n FROM trading.strategy_changes WHERE kind = 'account' AND user_id = 'tom')
UPDATE trading.strategy_changes AS c SET changed_at = timestamptz '2026-01-05 10:00+00' + CASE t.n WHEN 1 THEN '0' WHEN 2 THEN '2 min' WHEN 3 THEN '1 min' WHEN 4 THEN '3 min' END::interval
  FROM t WHERE t.change_id = c.change_id;
SET timezone = 'UTC';
SELECT row_data -> 'equity' AS equity, valid, isempty(valid) AS empty FROM trading.strategy_history WHERE kind = 'account' AND user_id = 'tom' ORDER BY change_id;
SELECT * FROM trading.strategy_history WHERE lower(valid) >= upper(valid);

-- A strategy as it was.
INSERT INTO trading.companies (company_id, tier) VALUES ('delta', 'PRO');
INSERT INTO trading.users (company_id, user_id) VALUES ('delta', 'dan');
INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES ('delta', 'dan', 'USD', 10000);
INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_count) VALUES ('delta', 'dan', 'main', 9);
UPDATE trading.strategies SET max_position_count = 8 WHERE company_id = 'delta';
INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_count) VALUES ('delta', '_all', '_all', 7);
UPDATE trading.tiers SET max_position_count = 6 WHERE tier = 'PRO';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('delta', 'dan', 'second');
UPDATE trading.companies SET tier = 'BASIC' WHERE company_id = 'delta';
DELETE FROM trading.strategies WHERE company_id = 'delta' AND strategy_id = 'main';
DELETE FROM trading.strategies WHERE company_id = 'delta' AND strategy_id = '_all';
-- One step per second, so that the times can be named.
WITH t AS (SELECT change_id, row_number() OVER (ORDER BY change_id) AS n FROM trading.strategy_changes
	    WHERE company_id = 'delta' OR kind = 'tier' AND operation = 'UPDATE' AND item = 'PRO')
UPDATE trading.strategy_changes AS c SET changed_at = timestamptz '2026-01-05 10:00+00' + (t.n - 1) * interval '1 s' FROM t WHERE t.change_id = c.change_id;
UPDATE trading.strategy_changes SET changed_at = '2026-01-05 09:00+00' WHERE kind = 'tier' AND operation = 'INSERT';
UPDATE trading.strategy_changes SET changed_at = '2026-01-05 09:30+00' WHERE kind = 'tier' AND item = 'FREE' AND operation = 'DELETE';
SELECT to_char(lower(valid), 'SS') AS since, kind, concat_ws('/', user_id, strategy_id, item) AS key, operation, version FROM trading.strategy_history
 WHERE company_id = 'delta' OR kind = 'tier' AND operation = 'UPDATE' ORDER BY change_id;
SELECT s AS second, a.version, a.tier, a.enabled, a.max_position_count AS positions, a.layers ->> 'max_position_count' AS layer, a.layers ->> 'enabled' AS enabled_by,
       to_char(lower(a.valid), 'HH24:MI:SS') || ' ' || COALESCE(to_char(upper(a.valid), 'HH24:MI:SS'), '') AS valid,
       (SELECT c.row_data ->> 'max_position_count' FROM trading.strategy_changes AS c WHERE c.change_id = a.change_id) AS own,
       (SELECT c.row_data ->> 'max_position_count' FROM trading.strategy_changes AS c WHERE c.change_id = a.override_change_id) AS company,
       (SELECT c.row_data ->> 'tier' FROM trading.strategy_changes AS c WHERE c.change_id = a.company_change_id) AS of_company,
       (SELECT concat(c.item, '/', c.row_data ->> 'max_position_count') FROM trading.strategy_changes AS c WHERE c.change_id = a.tier_change_id) AS of_tier
  FROM generate_series(3, 8) AS s, trading.strategy_at('delta', 'dan', 'main', timestamptz '2026-01-05 10:00:00.5+00' + s * interval '1 s') AS a;
SELECT s AS second, a.version, a.tier, a.enabled, a.layers ->> 'enabled' AS enabled_by, to_char(lower(a.valid), 'HH24:MI:SS') || ' ' || COALESCE(to_char(upper(a.valid), 'HH24:MI:SS'), '') AS valid
  FROM generate_series(7, 11) AS s, trading.strategy_at('delta', 'dan', 'second', timestamptz '2026-01-05 10:00:00.5+00' + s * interval '1 s') AS a;
-- Now, it is what the view shows.
SELECT count(*) AS strategies, count(*) FILTER (WHERE to_jsonb(e) = to_jsonb(a) - ARRAY['valid', 'change_id', 'override_change_id', 'company_change_id', 'tier_change_id']) AS same
  FROM trading.effective_strategies AS e, trading.strategy_at(e.company_id, e.user_id, e.strategy_id) AS a;
-- And what was deleted, never was, or isn't one.
SELECT version FROM trading.strategy_at('delta', 'dan', 'main', '2026-01-05 10:00:12+00');
SELECT version FROM trading.strategy_at('delta', 'dan', 'main', '2026-01-05 10:00:01+00');
SELECT version FROM trading.strategy_at('delta', '_all', '_all', '2026-01-05 10:00:08+00');
SELECT version FROM trading.strategy_at('delta', 'dan', 'other', '2026-01-05 10:00:08+00');
SELECT version FROM trading.strategy_at('acme', 'ann', 'main', '-infinity');
SELECT version > 1 AS found FROM trading.strategy_at('acme', 'ann', 'main', 'infinity');
SELECT version FROM trading.strategy_at('acme', 'ann', 'main', NULL);
SELECT version FROM trading.strategy_at('acme', NULL, 'main', '2026-01-05 10:00:08+00');
-- A tenant's own, and for everything else one error: a strategy of others is like one that isn't.
\c - te_tom
SET timezone = 'UTC';
SELECT company_id, user_id, version > 1 AS found FROM trading.strategy_at('acme', 'tom', 'main');
SELECT version FROM trading.strategy_at('acme', 'vic', 'main', '2126-01-05 10:00+00');
SELECT version FROM trading.strategy_at('acme', 'nil', 'main', '2126-01-05 10:00+00');
SELECT version FROM trading.strategy_at('beta', 'bob', 'main', '2126-01-05 10:00+00');
SELECT version FROM trading.strategy_at('none', 'bob', 'main', '2126-01-05 10:00+00');
\c - te_ann
SELECT count(*) AS of_company FROM (VALUES ('ann'), ('tom'), ('vic')) AS u (id), trading.strategy_at('acme', u.id, 'main');

-- The rows that a snapshot shows.
\c - :superuser
SELECT system_identifier AS system FROM pg_control_system() \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE then_snapshot AS SELECT pg_current_snapshot() AS snapshot;
CREATE TEMP TABLE then_strategies AS SELECT * FROM trading.strategies;
COMMIT;
UPDATE trading.strategies SET name = 'later';
DELETE FROM trading.strategies WHERE user_id = 'vic';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'later');
SELECT count(*) AS rows, count(*) FILTER (WHERE s.company_id IS NOT NULL AND r.row IS NOT NULL) AS same
  FROM trading.rows_at('strategy', (SELECT snapshot FROM then_snapshot), :system) AS r (row)
  FULL JOIN then_strategies AS s ON s = jsonb_populate_record(NULL::trading.strategies, r.row);
SELECT count(*) AS rows, count(*) FILTER (WHERE s.company_id IS NOT NULL AND r.row IS NOT NULL) AS same
  FROM trading.rows_at('strategy', pg_current_snapshot(), :system) AS r (row)
  FULL JOIN trading.strategies AS s ON s = jsonb_populate_record(NULL::trading.strategies, r.row);
SELECT string_agg(DISTINCT r.row ->> 'company_id', ' ') AS companies FROM trading.rows_at('strategy', pg_current_snapshot(), :system, '{acme,delta,none}') AS r (row);
SELECT count(*) FROM trading.rows_at('strategy', pg_current_snapshot(), :system, '{}');
SELECT l.kind FROM trading.logged_tables() AS l
 WHERE (SELECT count(*) FROM trading.rows_at(l.kind, pg_current_snapshot(), :system))
       <> (xpath('/row/count/text()', query_to_xml('SELECT count(*) FROM ' || l.relation, false, true, '')))[1]::text::bigint;
-- A copy on another cluster: what was there is the past of what it does, and nothing else is.
SELECT pg_current_snapshot() AS here \gset
SELECT count(*) AS then_count FROM trading.rows_at('company', :'here', :system) \gset
BEGIN;
UPDATE trading.strategy_changes SET system_identifier = 1, xid = '1000000000';
UPDATE trading.lanes SET system_identifier = 1;
-- Not before it is adopted, either.
SELECT count(*) = :then_count AS all FROM trading.rows_at('company', pg_current_snapshot(), :system);
SELECT trading.adopt() > 0 AS adopted;
SELECT kind, operation, system_identifier = :system AS here FROM trading.strategy_changes ORDER BY change_id DESC LIMIT 1;
INSERT INTO trading.companies (company_id, tier) VALUES ('eps', 'PRO');
UPDATE trading.companies SET name = 'new' WHERE company_id = 'acme';
-- A snapshot of then, one of there, and one that will see what this transaction has done.
SELECT count(*) = :then_count AS all FROM trading.rows_at('company', :'here', :system);
SELECT count(*) = :then_count AS all FROM trading.rows_at('company', '2000000000:2000000000:', 1);
SELECT count(*) FROM trading.rows_at('company', '1000000000:1000000000:', 1);
SELECT format('%1$s:%1$s:', pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 10) AS soon \gset
SELECT row ->> 'company_id' AS company, row ->> 'name' AS name FROM trading.rows_at('company', :'soon', :system) AS r (row) ORDER BY 1;
ROLLBACK;

-- Pruning: what was followed by another long ago, and what no lane and no stored prediction needs.
CREATE FUNCTION public.pruned(keep_history interval) RETURNS TABLE (deleted bigint, gone text) LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE before ON COMMIT DROP AS SELECT * FROM trading.strategy_changes;
	deleted := trading.prune('100 years', keep_history);
	SELECT string_agg(concat_ws('/', b.kind, b.user_id, b.strategy_id, b.item, b.version), ' ' ORDER BY b.change_id) INTO gone
	  FROM before AS b WHERE NOT EXISTS (SELECT FROM trading.strategy_changes AS c WHERE c.change_id = b.change_id);
	DROP TABLE before;
	RETURN NEXT;
END $$;
BEGIN;
TRUNCATE trading.batches, trading.prediction_batches;
UPDATE trading.lanes SET lane = lane - 100;
DELETE FROM trading.strategy_changes WHERE company_id IS DISTINCT FROM 'delta';
SELECT concat_ws('/', kind, user_id, strategy_id, item, version) AS key, operation, CASE WHEN changed_at < '2026-01-06' THEN to_char(changed_at, 'SS') END AS second FROM trading.strategy_changes ORDER BY change_id;
-- Not while a lane has read nothing,
SELECT * FROM public.pruned('0');
INSERT INTO trading.batches (lane, batch_no, epoch, system_identifier, change_snapshot) VALUES (0, 1, 1, :system, '3:3:'), (0, 2, 1, :system, :'here'), (1, 1, 1, :system, :'here');
-- or has a prediction that was decided before all this.
INSERT INTO trading.prediction_batches (lane, batch_no, position, source, company_id, user_id, payload_hash, predictions, decided_at, message)
SELECT 0, n, 0, 'nats', '_all', '_all', sha256(''), 1, now(), '\x' FROM generate_series(1, 2) AS n;
SELECT * FROM public.pruned('0');
DELETE FROM trading.prediction_batches WHERE batch_no = 1;
-- Then by age; the newest version stays, and what a strategy's versions are counted on from.
SELECT * FROM public.pruned(now() - '2026-01-05 10:00:08.5+00');
SELECT * FROM public.pruned('0');
SELECT count(*) FROM trading.strategy_changes;
UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'delta';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('delta', 'dan', 'main'), ('delta', '_all', '_all') RETURNING strategy_id, version;
-- What was pruned isn't taken for what never was.
SAVEPOINT s;
UPDATE trading.strategy_changes SET operation = 'INSERT', version = 1, row_data = jsonb_build_object('company_id', 'delta', 'user_id', 'dan', 'strategy_id', 'second', 'account_id', 'main',
	'name', '', 'version', 1, 'created_at', '2026-01-05T10:00:07Z', 'updated_at', '2026-01-05T10:00:07Z'), changed_at = '2026-01-05 10:00:07+00'
 WHERE kind = 'strategy' AND strategy_id = 'second' AND user_id = 'dan' AND version = 2;
SELECT version FROM trading.strategy_at('delta', 'dan', 'second', '2026-01-05 10:00:08.5+00');
ROLLBACK TO s;
-- A lane that doesn't see the newest version keeps the one before.
UPDATE trading.strategies SET name = 'newest' WHERE company_id = 'delta' AND strategy_id <> '_all';
UPDATE trading.strategy_changes SET changed_at = LEAST(changed_at, now()); -- they are older than prune()'s now
SELECT * FROM public.pruned('0');
-- What another cluster wrote before this one took over is old for it.
DELETE FROM trading.batches;
INSERT INTO trading.strategy_changes (system_identifier, kind, operation) VALUES (2, 'all', 'RELOAD');
INSERT INTO trading.batches (lane, batch_no, epoch, system_identifier, change_snapshot) VALUES (0, 2, 1, 2, '999999999:999999999:'), (1, 1, 1, 2, '999999999:999999999:');
SELECT * FROM public.pruned('0');
SELECT trading.prune(keep_history => '-1 day');
ROLLBACK;
SELECT trading.prune(keep_history => NULL);
SELECT trading.upkeep('30 days', NULL);

-- Tables that were changed while the extension was gone: what the log doesn't know is in it afterwards.
SET client_min_messages = warning;
DROP EXTENSION trading_engine CASCADE;
RESET client_min_messages;
SELECT count(*) > 0 AS log_is_there FROM trading.strategy_history;
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset
SELECT max(version) AS version FROM trading.strategy_changes WHERE company_id = 'acme' AND user_id = 'tom' AND kind = 'strategy' \gset
UPDATE trading.strategies SET name = 'changed' WHERE company_id = 'acme' AND user_id = 'ann' AND strategy_id = 'main';
DELETE FROM trading.strategies WHERE company_id = 'beta';
DELETE FROM trading.strategies WHERE company_id = 'acme' AND user_id = 'tom';
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name) VALUES ('acme', 'tom', 'main', 'again'), ('acme', 'tom', 'never_seen', 'new');
UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'acme';
DELETE FROM trading.instruments WHERE symbol = 'UK100';
DELETE FROM trading.strategy_changes WHERE kind = 'user';
BEGIN;
CREATE EXTENSION trading_engine;
SELECT kind, key, operation, version - CASE key WHEN 'acme/tom/main' THEN :version ELSE 0 END AS version, row_data ->> 'name' AS name, row_data ->> 'tier' AS tier
  FROM public.news(:seen) ORDER BY kind, key;
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset
SELECT trading.setup();
SELECT count(*) AS news FROM public.news(:seen);
-- Also what the owner did past the triggers while they were there.
ALTER TABLE trading.strategies DISABLE TRIGGER USER;
UPDATE trading.strategies SET name = 'past the triggers' WHERE company_id = 'acme' AND user_id = 'tom' AND strategy_id = 'main';
ALTER TABLE trading.strategies ENABLE TRIGGER USER;
SELECT trading.setup();
SELECT kind, key, operation, version - :version AS version, row_data ->> 'name' AS name FROM public.news(:seen);
SELECT tgname FROM pg_trigger WHERE tgrelid = 'trading.strategies'::regclass AND NOT tgisinternal AND tgenabled <> 'A';
SELECT max(change_id) AS seen FROM trading.strategy_changes \gset
UPDATE trading.strategies SET name = 'goes on' WHERE company_id = 'acme' AND user_id = 'tom' AND strategy_id = 'main' RETURNING version - :version AS version;
SELECT kind, key, operation, version - :version AS version FROM public.news(:seen);
COMMIT;

\c :home :superuser
DROP DATABASE trading_history WITH (FORCE);
\set ECHO none
\i :no_companies
