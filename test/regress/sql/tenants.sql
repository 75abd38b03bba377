-- The identity of a session can't be forged.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_tenants;
\c trading_tenants
\set ECHO none
\i :companies
\set ECHO all
-- A tenant that may create objects has more to try.
GRANT CREATE ON DATABASE trading_tenants TO te_bob;
GRANT CREATE ON SCHEMA public TO te_bob;

-- The mapping of the role that opened the session, without logging in.
\c - te_bob
CREATE TEMP VIEW me AS SELECT trading.current_company() AS company, trading.current_user_id() AS "user",
	trading.current_role_in_company() AS role;
SELECT * FROM me;

-- Nobody but the login functions writes the settings.
SET trading_engine.company = 'acme';
SET LOCAL trading_engine.company = 'acme';
SET trading_engine."user" = 'ann';
SET trading_engine.role = 'admin';
SELECT set_config('trading_engine.company', 'acme', false);
SELECT set_config('trading_engine.role', 'admin', true);
RESET trading_engine.company;
SET trading_engine.company TO DEFAULT;
ALTER ROLE te_bob SET trading_engine.company = 'acme';
ALTER ROLE te_bob SET trading_engine.role = 'admin';
CREATE FUNCTION pg_temp.forge() RETURNS text LANGUAGE sql SET trading_engine.company = 'acme' AS 'SELECT trading.current_company()';
UPDATE pg_settings SET setting = 'acme' WHERE name = 'trading_engine.company';
SELECT * FROM me;

-- Logging in keeps the identity for the session; RESET can't take it, nor change it.
SELECT trading.login();
SHOW trading_engine.company;
SET trading_engine.company = 'acme';
RESET trading_engine.role;
SELECT * FROM me;

-- A failed transaction takes its login along, and its logout.
BEGIN;
SELECT trading.logout();
SHOW trading_engine.company;
ROLLBACK;
SHOW trading_engine.company;
SELECT trading.logout();
SHOW trading_engine.company;
BEGIN;
SELECT trading.login();
SHOW trading_engine.company;
ROLLBACK;
SHOW trading_engine.company;
BEGIN;
SAVEPOINT s;
SELECT trading.login();
ROLLBACK TO s;
SHOW trading_engine.company;
COMMIT;

-- DISCARD ALL, which poolers send, and RESET ALL forget it.
SELECT trading.login();
DISCARD ALL;
SHOW trading_engine.company;
SELECT trading.login();
RESET ALL;
SHOW trading_engine.company;

-- Who is nobody can't log in.
\c - te_nobody
SELECT trading.login();
SELECT trading.current_company() IS NULL AS nobody;

-- SET ROLE changes privileges, not who one is.
\c - te_bob
SET ROLE trading_tenant;
SELECT trading.current_company(), trading.current_user_id();
SELECT company_id FROM trading.companies;
SET ROLE te_ann;
RESET ROLE;
SET SESSION AUTHORIZATION te_ann;

-- Objects of the tenant's own in front of the search path change nothing.
CREATE SCHEMA mine;
CREATE FUNCTION mine.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR mine.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.equal);
CREATE FUNCTION mine.equal(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR mine.= (LEFTARG = name, RIGHTARG = name, FUNCTION = mine.equal);
CREATE FUNCTION mine.current_company() RETURNS text LANGUAGE sql AS $$SELECT 'acme'$$;
CREATE TABLE mine.logins (role_name name, company_id text, user_id text);
INSERT INTO mine.logins VALUES ('te_bob', 'acme', 'ann');
CREATE TEMP TABLE logins AS SELECT * FROM mine.logins;
CREATE TEMP TABLE users AS SELECT 'acme' AS company_id, 'ann' AS user_id, 'admin' AS role;
CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$SELECT '\x00'::bytea$$;
SET search_path = mine, public, pg_temp, pg_catalog;
SELECT trading.current_company(), trading.current_role_in_company();
SELECT company_id, count(*) FROM trading.signals GROUP BY 1;
SELECT trading.login();
SHOW trading_engine.company;
SELECT company_id FROM trading.effective_strategies;
UPDATE trading.strategies SET name = 'x' WHERE company_id OPERATOR(mine.=) 'acme' RETURNING company_id;
RESET search_path;

-- Nor can a tenant put anything into the schema.
CREATE FUNCTION trading.current_company(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE TABLE trading.mine ();
CREATE TEMP TABLE child () INHERITS (trading.companies);
ALTER FUNCTION trading.current_company() SET search_path = mine;
ALTER TABLE trading.signals DISABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON trading.signals USING (true);
CREATE TRIGGER mine BEFORE INSERT ON trading.strategies EXECUTE FUNCTION trading.announce();
CREATE TABLE refers (company_id text REFERENCES trading.companies);

-- row_security off is an error, not a way around.
SET row_security = off;
SELECT count(*) FROM trading.signals;
RESET row_security;

-- Parallel workers know who it is.
SELECT trading.login();
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode');
SELECT trading.current_company(), trading.current_user_id(), trading.current_role_in_company();
SELECT company_id FROM trading.companies;

-- A mapping that is taken away, and one that changes, hold for the next statement of who hasn't logged in.
\c - te_tom
SELECT * FROM (SELECT trading.current_company() AS company) AS me;
\c - te_admin
DELETE FROM trading.logins WHERE role_name = 'te_tom';
\c - te_tom
SELECT trading.current_company() AS company, count(*) FROM trading.signals;
\c - te_admin
INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_tom', 'beta', 'ann');
INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_tom', 'acme', 'vic');
\c - te_tom
SELECT trading.current_user_id(), trading.current_role_in_company();
-- A user that is deleted is nobody.
\c - te_admin
DELETE FROM trading.users WHERE user_id = 'vic';
SELECT role_name FROM trading.logins ORDER BY 1;
\c - te_tom
SELECT trading.current_company() AS company;

\c :home :superuser
DROP DATABASE trading_tenants WITH (FORCE);
\set ECHO none
\i :no_companies
