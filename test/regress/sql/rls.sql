-- No table, view, function, error text or statistic shows a tenant what is another's.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_rls;
\c trading_rls
\set ECHO none
\i :companies
\set ECHO all

-- Row-level security is enabled and forced on every table and partition.
SELECT c.oid::regclass FROM pg_class AS c
 WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity);

-- Nobody but the owner has anything on a partition; nobody has TRUNCATE, REFERENCES or TRIGGER; PUBLIC has nothing.
SELECT c.oid::regclass, a.grantee::regrole, a.privilege_type
  FROM pg_class AS c, aclexplode(c.relacl) AS a
 WHERE c.relnamespace = 'trading'::regnamespace AND a.grantee <> c.relowner
   AND (c.relispartition OR a.grantee = 0 OR a.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER'));
SELECT p.oid::regprocedure
  FROM pg_proc AS p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a
 WHERE p.pronamespace = 'trading'::regnamespace AND a.grantee = 0;

-- Views that tenants read run as who reads them.
SELECT c.oid::regclass, c.reloptions FROM pg_class AS c
 WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind = 'v'
   AND has_table_privilege('trading_tenant', c.oid, 'SELECT') AND NOT 'security_invoker=true' = ANY (COALESCE(c.reloptions, '{}'));

-- Views over shared memory, which count for all tenants together, are not for tenants; that of replays shows each its own.
SELECT c.oid::regclass FROM pg_class AS c
 WHERE c.relnamespace = 'trading'::regnamespace AND c.relname ~ '^stat_' AND has_table_privilege('trading_tenant', c.oid, 'SELECT');

-- Functions that read something and that tenants may call; pure ones read nothing.
\a
SELECT p.oid::regprocedure AS function, p.prosecdef AS runs_as_owner, p.proconfig
  FROM pg_proc AS p
 WHERE p.pronamespace = 'trading'::regnamespace AND p.provolatile <> 'i'
   AND has_function_privilege('trading_tenant', p.oid, 'EXECUTE')
 ORDER BY p.proname, 1;
\a

-- A function that runs as its owner has a search_path of its own.
SELECT p.oid::regprocedure FROM pg_proc AS p
 WHERE p.pronamespace = 'trading'::regnamespace AND p.prosecdef
   AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE s = 'search_path=pg_catalog, pg_temp');

-- What a session sees of every relation in the schema: rows by company and user.
CREATE FUNCTION public.sees() RETURNS TABLE (relation text, rows text) LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT c.oid::regclass::text AS name,
			EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'user_id') AS has_user,
			EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'company_id') AS has_company
		   FROM pg_class AS c
		  WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
		    AND c.relname !~ '^stat_' ORDER BY c.relname
	LOOP
		BEGIN
			relation := r.name;
			EXECUTE format('SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT %s || ''='' || count(*) FROM %s %s) AS t (x)',
				CASE WHEN r.has_user THEN 'COALESCE(company_id, ''-'') || ''/'' || COALESCE(user_id, ''-'')' WHEN r.has_company THEN 'company_id' ELSE '''rows''' END,
				r.name, CASE WHEN r.has_company THEN 'GROUP BY company_id' || CASE WHEN r.has_user THEN ', user_id' ELSE '' END ELSE '' END)
			INTO rows;
			RETURN NEXT;
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
	END LOOP;
END $$;

-- ann, the admin of acme
\c - te_ann
SELECT * FROM public.sees();
SELECT trading.current_company(), trading.current_user_id(), trading.current_role_in_company();
-- tom, a trader of acme
\c - te_tom
SELECT * FROM public.sees();
-- bob, a trader of beta
\c - te_bob
SELECT * FROM public.sees();
-- a tenant that is nobody's
\c - te_nobody
SELECT * FROM public.sees();
SELECT trading.current_company(), trading.signal_channel();
-- somebody without a role of ours
\c - te_stranger
SELECT * FROM public.sees();
SELECT * FROM trading.signals;
SELECT trading.current_company();
-- an administrator sees all, but no secrets
\c - te_admin
SELECT * FROM public.sees();
SELECT notify_key FROM trading.installation;

-- Partitions have no way around.
\c - te_bob
SELECT count(*) FROM trading.batches_n0;
DO $$ BEGIN
	EXECUTE format('SELECT count(*) FROM trading.signals_p%s', to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'));
EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE 'permission denied for the partition';
END $$;

-- A cheap function of the tenant's own, called with every row that it may see, sees no other.
CREATE FUNCTION pg_temp.peek(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN RAISE NOTICE 'peek: %/%', $1, $2; RETURN true; END $$;
SELECT count(*) FROM trading.signals WHERE pg_temp.peek(company_id, user_id);
SELECT count(*) FROM trading.effective_strategies WHERE pg_temp.peek(company_id, user_id);
SELECT count(*) FROM trading.prediction_batches WHERE pg_temp.peek(company_id, user_id);
SELECT count(*) FROM trading.dead_letters WHERE pg_temp.peek(company_id, user_id);
-- nor what a producer's token is
SELECT message FROM trading.prediction_batches;
SELECT message FROM trading.dead_letters;

-- Writing for another company fails in the same words whether the row exists or not.
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'main');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'ann', 'new');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'noone', 'new');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('nowhere', 'noone', 'new');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('beta', 'noone', 'new');
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('beta', '_all', '_all');
INSERT INTO trading.strategies (company_id, user_id, strategy_id, custom_rule) VALUES ('acme', 'ann', 'new', '$.x > 1');
INSERT INTO trading.strategies (company_id, user_id, strategy_id, risk_percent) VALUES ('acme', 'ann', 'new', -1);
UPDATE trading.strategies SET name = 'mine' WHERE company_id = 'acme';
DELETE FROM trading.strategies WHERE company_id = 'acme';

-- Everything else is read only.
INSERT INTO trading.signals (company_id) VALUES ('beta');
UPDATE trading.signals SET position_size = 100;
DELETE FROM trading.decision_counts;
UPDATE trading.accounts SET equity = 1e9;
UPDATE trading.companies SET tier = 'ENTERPRISE';
UPDATE trading.users SET role = 'admin';
UPDATE trading.strategies SET version = 7;
UPDATE trading.tiers SET max_position_count = 1000;
TRUNCATE trading.strategies;
INSERT INTO trading.inbox (kind, company_id, user_id, payload, submitted_by) VALUES ('predictions', '_all', '_all', '\x', 'x');
SELECT * FROM trading.inbox;
SELECT * FROM trading.logins;
SELECT * FROM trading.outbox;
SELECT token_sha256 FROM trading.producers;
SELECT trading.channel_of('acme');
SELECT trading.adopt();
SELECT trading.set_lanes(1);
SELECT trading.ensure_partitions();
SELECT trading.drop_partitions('1 day');
SELECT trading.setup();

-- A viewer reads its own and writes nothing.
\c - te_vic
SELECT company_id, user_id, strategy_id FROM trading.strategies ORDER BY 2;
UPDATE trading.strategies SET name = 'mine';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'vic', 'other');

-- The admin of a company manages what is its company's.
\c - te_ann
UPDATE trading.strategies SET name = 'ours' RETURNING company_id, user_id, strategy_id;
SELECT company_id, producer_id, enabled FROM trading.producers;

-- The planner's statistics hold no company, user or id, so that row estimates say nothing either.
\c - :superuser
SELECT s.tablename, s.attname FROM pg_stats AS s
 WHERE s.schemaname = 'trading' AND s.most_common_vals::text ~ 'acme|beta|ann|bob|_models';
-- Nor any price, size or amount: equity, profit.
SELECT a.attrelid::regclass, a.attname
  FROM pg_attribute AS a JOIN trading.data_tables() AS t ON t.relation = a.attrelid
 WHERE a.attnum > 0 AND COALESCE(a.attstattarget, -1) <> 0
   AND (a.atttypid = 'float8'::regtype OR a.attname IN ('realised', 'peak', 'settled_peak', 'day_start'))
   AND EXISTS (SELECT FROM pg_attribute AS c WHERE c.attrelid = a.attrelid AND c.attname = 'company_id');
\c - te_bob
SELECT count(*) FROM pg_stats WHERE schemaname = 'trading' AND tablename ~ '^(signals|strategies|accounts|companies|users)';
CREATE FUNCTION pg_temp.estimate(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT pg_temp.estimate('SELECT FROM trading.decision_counts WHERE company_id = ''acme''')
     = pg_temp.estimate('SELECT FROM trading.decision_counts WHERE company_id = ''nowhere''') AS same_estimate;

-- Channels: one per company, and not to be guessed.
SELECT trading.signal_channel() ~ '^trading_[0-9a-f]{48}$' AS shape, trading.signal_channel() AS bob \gset
SELECT :'shape' AS shape;
\c - te_ann
SELECT trading.signal_channel() AS ann, trading.signal_channel() <> :'bob' AS differs \gset
SELECT :'differs' AS differs;
\c - te_tom
SELECT trading.signal_channel() = :'ann' AS same_company_same_channel;

\c :home :superuser
DROP DATABASE trading_rls WITH (FORCE);
\set ECHO none
\i :no_companies
