-- Installing, and what an installation finds or leaves behind.
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_setup;
\c trading_setup
CREATE ROLE te_mallory;

-- The schema must be in trusted hands.
CREATE SCHEMA trading AUTHORIZATION te_mallory;
CREATE EXTENSION trading_engine;
DROP SCHEMA trading;
CREATE SCHEMA trading;
GRANT CREATE ON SCHEMA trading TO PUBLIC;
CREATE EXTENSION trading_engine;
REVOKE CREATE ON SCHEMA trading FROM PUBLIC;
GRANT CREATE ON SCHEMA trading TO te_mallory;
CREATE EXTENSION trading_engine;
DROP SCHEMA trading;

-- A role of one of our names that already stands for somebody is refused.
BEGIN;
CREATE EXTENSION trading_engine;
UPDATE trading.lanes SET lane = lane + 100;
COMMIT;
SET client_min_messages = warning;
DROP EXTENSION trading_engine CASCADE;
DROP SCHEMA trading CASCADE;
RESET client_min_messages;
BEGIN;
COMMENT ON ROLE trading_admin IS 'somebody else''s';
GRANT trading_admin TO te_mallory;
CREATE EXTENSION trading_engine;
ROLLBACK;
BEGIN;
COMMENT ON ROLE trading_tenant IS NULL;
ALTER ROLE trading_tenant LOGIN CREATEDB PASSWORD 'x';
CREATE EXTENSION trading_engine;
ROLLBACK;
BEGIN;
COMMENT ON ROLE trading_tenant IS NULL;
GRANT pg_read_all_data TO trading_tenant;
CREATE EXTENSION trading_engine;
ROLLBACK;
-- The workers' role is nobody's, even if it has our mark.
BEGIN;
ALTER ROLE trading_worker PASSWORD 'x';
CREATE EXTENSION trading_engine;
ROLLBACK;
BEGIN;
ALTER ROLE trading_worker SUPERUSER;
CREATE EXTENSION trading_engine;
ROLLBACK;
BEGIN;
GRANT trading_worker TO te_mallory;
CREATE EXTENSION trading_engine;
ROLLBACK;
BEGIN;
ALTER ROLE trading_worker NOLOGIN;
CREATE EXTENSION trading_engine;
ROLLBACK;
-- Ours, with members, is what a second database of the cluster finds.
GRANT trading_tenant TO te_mallory;

-- Objects in public that look like what the script calls are not called.
CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.lower(name) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.sha256(text) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION public.trap(text, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = name, FUNCTION = public.trap);
CREATE FUNCTION public.trap(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.trap);
CREATE FUNCTION public.trap(text, integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = integer, FUNCTION = public.trap);
SET search_path = public, pg_catalog;
-- Nor do default privileges open what it makes.
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, te_mallory;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO te_mallory;
BEGIN;
CREATE EXTENSION trading_engine;
SELECT lane, epoch, adopt_requested, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS here,
       database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database
  FROM trading.lanes ORDER BY 1;
-- No worker runs here, because lanes aren't 0 to n: rows stay as they are.
UPDATE trading.lanes SET lane = lane + 100;
COMMIT;
RESET search_path;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, te_mallory;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM te_mallory;
SELECT c.oid::regclass, a.grantee::regrole, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a
 WHERE c.relnamespace = 'trading'::regnamespace AND a.grantee IN (0, 'te_mallory'::regrole);
SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a
 WHERE p.pronamespace = 'trading'::regnamespace AND a.grantee IN (0, 'te_mallory'::regrole);

-- No table, sequence, partition or view over tables is a member; functions are, and views over shared memory.
SELECT c.oid::regclass FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid
 WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trading_engine')
   AND d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relname !~ '^stat_';

-- Everything has a comment.
SELECT c.oid::regclass AS object FROM pg_class AS c
 WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT c.oid::regclass AS object, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname !~ '^stat_'
   AND col_description(c.oid, a.attnum) IS NULL;
SELECT p.oid::regprocedure AS object FROM pg_proc AS p
 WHERE p.pronamespace = 'trading'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.polrelid::regclass AS object, p.polname FROM pg_policy AS p WHERE obj_description(p.oid, 'pg_policy') IS NULL;
SELECT rolname FROM pg_roles WHERE rolname ~ '^trading_' AND shobj_description(oid, 'pg_authid') !~ '^created by trading_engine' ;

-- No column depends on the extension: dropping it takes none along.
SELECT d.objid::regclass, d.objsubid FROM pg_depend AS d JOIN pg_depend AS m ON m.classid = d.refclassid AND m.objid = d.refobjid
 WHERE m.deptype = 'e' AND m.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trading_engine')
   AND d.classid = 'pg_class'::regclass AND d.deptype <> 'e'
   AND (SELECT relkind FROM pg_class WHERE oid = d.objid) IN ('r', 'p');

-- What it starts with: 28 pairs of the majors with their pips, metals, crypto, indices.
SELECT asset_class, count(*), array_agg(DISTINCT pip_size ORDER BY pip_size) AS pips FROM trading.instruments GROUP BY 1 ORDER BY 1;
SELECT symbol, pip_size, tick_size, contract_size FROM trading.instruments
 WHERE symbol IN ('EURUSD', 'USDJPY', 'XAUUSD', 'BTCUSD', 'GER40') ORDER BY 1;
SELECT symbol FROM trading.instruments WHERE (pip_size <> 0.01) = (quote_currency = 'JPY') AND asset_class = 'forex';
SELECT count(*), max(octet_length(notify_key)) AS key_bytes FROM trading.installation;
-- OANDA's pip sizes (name, type, pipLocation, pip_size, ...), where that list is at hand.
\getenv shared TE_SHARED
\if :{?shared}
\set oanda :shared '/vectors/oanda_instruments.csv'
\else
\set oanda '/dev/null'
\endif
WITH oanda AS (
	SELECT split_part(line, ',', 1) AS name, split_part(line, ',', 4)::float8 AS pip_size
	  FROM regexp_split_to_table(pg_read_file(:'oanda'), '[\r\n]+') AS line
	 WHERE line ~ '^[A-Z0-9]+_[A-Z]{3},')
SELECT i.symbol, i.pip_size, o.pip_size AS oanda FROM trading.instruments AS i, oanda AS o
 WHERE i.pip_size <> o.pip_size
   AND (i.symbol = replace(o.name, '_', '') OR o.name = i.symbol || '_' || i.quote_currency
	OR (i.symbol, o.name) IN (('US500', 'SPX500_USD'), ('GER40', 'DE30_EUR'), ('JPN225', 'JP225Y_JPY')));

-- Setup can be called again; nothing is lost.
UPDATE trading.tiers SET max_position_count = 7 WHERE tier = 'PRO';
INSERT INTO trading.companies (company_id, tier) VALUES ('acme', 'PRO');
CREATE POLICY mine ON trading.companies FOR SELECT TO trading_tenant USING (false);
SELECT trading.setup();
-- Dropping needs CASCADE, and leaves the tables, closed.
\set VERBOSITY terse
DROP EXTENSION trading_engine;
SET client_min_messages = warning;
DROP EXTENSION trading_engine CASCADE;
RESET client_min_messages;
SELECT count(*) FROM trading.companies;
SET ROLE trading_tenant;
SELECT count(*) FROM trading.companies;
RESET ROLE;
SELECT polrelid::regclass, polname FROM pg_policy WHERE 'trading_tenant'::regrole = ANY (polroles) AND polqual IS NOT NULL AND pg_get_expr(polqual, polrelid) <> 'true' ORDER BY 1, 2;
-- Installing again brings them back to life.
CREATE EXTENSION trading_engine;
SELECT (SELECT max_position_count FROM trading.tiers WHERE tier = 'PRO') AS edited, (SELECT count(*) FROM trading.companies) AS companies,
       (SELECT count(*) FROM pg_policy WHERE polname = 'mine') AS own_policy, (SELECT count(*) FROM trading.instruments) AS instruments,
       (SELECT count(*) FROM pg_policy WHERE polrelid = 'trading.signals'::regclass) AS policies,
       (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'trading.strategies'::regclass AND NOT tgisinternal AND tgenabled = 'A') AS triggers;
-- Tables of another version are not touched.
SET client_min_messages = warning;
DROP EXTENSION trading_engine CASCADE;
RESET client_min_messages;
\set VERBOSITY default
UPDATE trading.installation SET schema_version = '0.9';
CREATE EXTENSION trading_engine;
-- Nor are tables that somebody else owns.
UPDATE trading.installation SET schema_version = '1.0';
ALTER TABLE trading.inbox OWNER TO te_mallory;
CREATE EXTENSION trading_engine;
SET client_min_messages = warning;
DROP SCHEMA trading CASCADE;
RESET client_min_messages;

-- While a dump is restored, the tables come from the dump.
SET row_security = off;
CREATE EXTENSION trading_engine;
SELECT count(*) FROM pg_class WHERE relnamespace = 'trading'::regnamespace AND relkind IN ('r', 'p');
RESET row_security;
-- From here on in one transaction, in which no worker takes part.
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT trading.setup();
SELECT count(*) > 20 AS made FROM pg_class WHERE relnamespace = 'trading'::regnamespace AND relkind IN ('r', 'p');

-- The number of lanes.
SELECT trading.set_lanes(4);
SELECT array_agg(lane ORDER BY lane) AS lanes, min(epoch) AS epoch FROM trading.lanes;
SELECT trading.set_lanes(2);
SELECT array_agg(lane ORDER BY lane) AS lanes, min(epoch) AS epoch FROM trading.lanes;
SELECT trading.set_lanes(0);
-- Not while lanes are at different places of the stream, or haven't read the inbox.
INSERT INTO trading.batches (lane, batch_no, epoch, input_created, input_seq, input_time, last_out_seq, publish_epoch, publish_seq, inbox_snapshot, state_full, state) VALUES
	(0, 1, 3, '2026-01-05 10:00+00', 7, '2026-01-05 10:01+00', 5, 3, 5, '3:3:', true, '\x1801'),
	(0, 2, 3, '2026-01-05 10:00+00', 8, '2026-01-05 10:01+00', 5, 3, 5, '3:3:', true, '\x1802'),
	(0, 3, 3, '2026-01-05 10:00+00', 9, '2026-01-05 10:01+00', 5, 3, 5, '3:3:', false, '\x1803'),
	(1, 1, 3, '2026-01-05 10:00+00', 8, '2026-01-05 10:01+00', 0, 0, 0, '3:3:', true, '\x1804');
SELECT trading.set_lanes(3);
UPDATE trading.batches SET input_seq = 9 WHERE lane = 1;
INSERT INTO trading.inbox (kind, company_id, user_id, payload, submitted_by) VALUES ('predictions', '_all', '_all', '\x01', 'x');
SELECT trading.set_lanes(3);
SELECT trading.prune('0 days') AS nothing_pruned;
DELETE FROM trading.inbox;
-- Every new lane gets the state of all, and goes on where they were, in a new epoch.
INSERT INTO trading.market_conditions (lane, symbol, bar_start, regime, trend, volatility_ratio, bars, last_close, atr, ema_fast, ema_slow, returns, var_fast, var_slow)
SELECT 0, 'EURUSD', t, 'RANGING', 'FLAT', 1, 50, 1.1, 0.001, 1.1, 1.1, 49, 0, 0 FROM (VALUES (timestamptz '2026-01-05 10:00+00'), ('2026-01-05 10:05+00')) AS b (t);
SELECT trading.set_lanes(3);
SELECT lane, batch_no, epoch, input_seq, last_out_seq, publish_epoch, publish_seq, state_full, state,
       pg_visible_in_snapshot('3', inbox_snapshot) AS inbox_read
  FROM trading.batches WHERE epoch > 3 ORDER BY 1, 2;
SELECT lane, epoch FROM trading.lanes ORDER BY 1;
SELECT lane, count(*), max(bar_start) = '2026-01-05 10:05+00' AS newest FROM trading.market_conditions GROUP BY 1 ORDER BY 1;
SELECT trading.set_lanes(1);
SELECT array_agg(lane ORDER BY lane) AS lanes, min(epoch) AS epoch FROM trading.lanes;
-- A copy on another cluster is adopted: what was read there is not read again, what wasn't is.
UPDATE trading.lanes SET system_identifier = 1;
INSERT INTO trading.inbox (xid, kind, company_id, user_id, payload, submitted_by) OVERRIDING SYSTEM VALUE VALUES
	('90', 'predictions', 'acme', 'ann', '\x01', 'x'), ('200', 'predictions', 'acme', 'ann', '\x02', 'x');
UPDATE trading.batches SET inbox_snapshot = '100:100:';
SELECT trading.set_lanes(2);
SELECT trading.adopt(5);
SELECT trading.adopt();
SELECT lane, adopt_requested, adopted_by = session_user AS by_me, system_identifier <> 1 AS here FROM trading.lanes;
SELECT payload, xid = pg_current_xact_id() AS of_this_cluster FROM trading.inbox;
ROLLBACK;

\c :home :superuser
DROP DATABASE trading_setup WITH (FORCE);
DROP ROLE te_mallory;
