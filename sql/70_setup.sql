-- trading.setup() makes the tables and everything on them.
--
-- Tables hold users' data, so they are no members of the extension: pg_dump has to
-- save their rows, partitions made at run time, edited tiers and users' own policies,
-- and DROP EXTENSION must refuse to take the signals with it.  CREATE EXTENSION calls
-- setup and then drops what it made from membership, except while a dump is restored
-- (pg_dump's scripts set row_security off): then the dump brings the tables.

CREATE FUNCTION trading.seed_instruments() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- The 28 pairs of the eight major currencies: of two, the one that comes first here is the base.
	WITH majors AS (
		SELECT m.currency, m.n
		  FROM unnest(ARRAY['EUR', 'GBP', 'AUD', 'NZD', 'USD', 'CAD', 'CHF', 'JPY']) WITH ORDINALITY AS m (currency, n))
	INSERT INTO trading.instruments (symbol, asset_class, base_currency, quote_currency,
		pip_size, tick_size, contract_size, lot_min, lot_step, lot_max, margin_rate)
	SELECT b.currency || q.currency, 'forex', b.currency, q.currency,
	       CASE q.currency WHEN 'JPY' THEN 0.01 ELSE 0.0001 END,
	       CASE q.currency WHEN 'JPY' THEN 0.001 ELSE 0.00001 END,
	       100000, 0.01, 0.01, 100,
	       CASE WHEN b.currency IN ('AUD', 'NZD') OR q.currency IN ('AUD', 'NZD') THEN 0.05 ELSE 0.0333 END
	  FROM majors AS b JOIN majors AS q ON b.n < q.n;

	-- Pip sizes of metals and indices are OANDA's; many brokers call 0.1 of gold a pip.  Margin rates
	-- are the least that ESMA lets brokers ask of private clients.
	INSERT INTO trading.instruments (symbol, asset_class, base_currency, quote_currency,
		pip_size, tick_size, contract_size, lot_min, lot_step, lot_max, margin_rate)
	VALUES
		('XAUUSD', 'metal', 'XAU', 'USD', 0.01, 0.01, 100, 0.01, 0.01, 50, 0.05),
		('XAGUSD', 'metal', 'XAG', 'USD', 0.0001, 0.0001, 5000, 0.01, 0.01, 50, 0.1),
		('BTCUSD', 'crypto', 'BTC', 'USD', 1, 0.01, 1, 0.01, 0.01, 50, 0.5),
		('ETHUSD', 'crypto', 'ETH', 'USD', 0.1, 0.01, 1, 0.01, 0.01, 500, 0.5),
		('US30', 'index', 'US30', 'USD', 1, 0.1, 1, 0.1, 0.1, 1000, 0.05),
		('US500', 'index', 'US500', 'USD', 1, 0.1, 1, 0.1, 0.1, 10000, 0.05),
		('NAS100', 'index', 'NAS100', 'USD', 1, 0.1, 1, 0.1, 0.1, 2000, 0.05),
		('GER40', 'index', 'GER40', 'EUR', 1, 0.1, 1, 0.1, 0.1, 1000, 0.05),
		('UK100', 'index', 'UK100', 'GBP', 1, 0.1, 1, 0.1, 0.1, 500, 0.05),
		('JPN225', 'index', 'JPN225', 'JPY', 1, 1, 1, 1, 1, 100000, 0.05);
END
$$;
COMMENT ON FUNCTION trading.seed_instruments() IS 'part of trading.setup(): the instruments that come with it';

-- Tiers get the values that the parameters' declaration has for them.
CREATE FUNCTION trading.seed_tiers() RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO trading.tiers
	SELECT r.*
	  FROM unnest(trading.enum_labels('tier')) WITH ORDINALITY AS t (tier, rank),
	       LATERAL (SELECT jsonb_object_agg(p.name, to_jsonb(p) ->> lower(t.tier)) AS parameters
			  FROM trading.strategy_parameters() AS p) AS v,
	       LATERAL jsonb_populate_record(NULL::trading.tiers, to_jsonb(t) || v.parameters) AS r
$$;
COMMENT ON FUNCTION trading.seed_tiers() IS 'part of trading.setup(): the tiers that come with it';

CREATE FUNCTION trading.create_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made record;
BEGIN
	PERFORM trading.create_tenant_tables();
	PERFORM trading.create_market_tables();
	PERFORM trading.create_rate_tables();
	PERFORM trading.create_limit_tables();
	PERFORM trading.create_lane_tables();
	PERFORM trading.create_adjustment_tables();
	PERFORM trading.create_weight_tables();
	PERFORM trading.create_job_tables();
	PERFORM trading.create_execution_tables();
	PERFORM trading.create_breaker_tables();
	PERFORM trading.create_performance_tables();
	PERFORM trading.create_scoring_tables();
	FOR made IN SELECT t.relation FROM trading.data_tables() AS t
	LOOP
		PERFORM trading.close_relation(made.relation);
	END LOOP;
	PERFORM trading.hide_statistics();
	INSERT INTO trading.installation (notify_key, schema_version)
	VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
		split_part(trading.version(), ' ', 1));
END
$$;
COMMENT ON FUNCTION trading.create_tables() IS 'part of trading.setup(): tables';

-- Policies, privileges, triggers and views, made anew.
CREATE FUNCTION trading.attach() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.create_policies();
	PERFORM trading.grant_privileges();
	PERFORM trading.log_unlogged();
	PERFORM trading.create_triggers();
	PERFORM trading.create_views();
	PERFORM trading.create_rate_view();
	PERFORM trading.create_job_view();
	PERFORM trading.create_limit_views();
	PERFORM trading.create_position_view();
	PERFORM trading.create_execution_views();
	PERFORM trading.create_performance_triggers();
	PERFORM trading.create_performance_views();
	PERFORM trading.create_score_views();
	PERFORM trading.ensure_partitions();
END
$$;
COMMENT ON FUNCTION trading.attach() IS 'part of trading.setup(): what hangs on the tables';

CREATE FUNCTION trading.setup() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
	stranger record;
	found_version text;
BEGIN
	IF to_regclass('trading.installation') IS NULL THEN
		PERFORM trading.create_tables();
		PERFORM trading.attach();
		PERFORM trading.seed_tiers(); -- after the triggers, so that they are logged
		PERFORM trading.seed_instruments();
		PERFORM trading.seed_sessions();
		PERFORM trading.seed_switches();
		PERFORM trading.set_lanes(2);
		RETURN;
	END IF;

	-- Tables of an earlier installation, which DROP EXTENSION CASCADE left behind.
	FOR stranger IN
		SELECT t.relation, r.rolname
		  FROM trading.data_tables() AS t
		  JOIN pg_class AS c ON c.oid = t.relation
		  JOIN pg_roles AS r ON r.oid = c.relowner
		 WHERE NOT r.rolsuper
	LOOP
		RAISE EXCEPTION 'table % belongs to %, who is not a superuser', stranger.relation, quote_ident(stranger.rolname)
			USING ERRCODE = 'insufficient_privilege';
	END LOOP;
	SELECT i.schema_version INTO STRICT found_version FROM trading.installation AS i;
	IF found_version <> split_part(trading.version(), ' ', 1) THEN
		RAISE EXCEPTION 'the tables in schema "trading" are of version %, not %', found_version, split_part(trading.version(), ' ', 1)
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = format('CREATE EXTENSION trading_engine VERSION %L, then ALTER EXTENSION trading_engine UPDATE.', found_version);
	END IF;
	PERFORM trading.attach();
END
$$;
COMMENT ON FUNCTION trading.setup() IS 'makes the tables, or brings those of an earlier installation back to life; CREATE EXTENSION calls it';

DO $setup$
DECLARE
	made record;
	before constant oid[] := ARRAY(
		SELECT d.objid FROM pg_catalog.pg_depend AS d
		  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
		 WHERE e.extname = 'trading_engine' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass);
BEGIN
	IF NOT pg_catalog.current_setting('row_security')::boolean THEN
		RAISE NOTICE 'row_security is off, as in a restore of pg_dump: the tables are left to it'
			USING HINT = 'If no dump is being restored: SELECT trading.setup().';
		RETURN;
	END IF;
	PERFORM trading.setup();
	FOR made IN
		SELECT c.oid::pg_catalog.regclass AS relation,
		       CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
		  FROM pg_catalog.pg_depend AS d
		  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
		  JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
		 WHERE e.extname = 'trading_engine' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
		   AND c.oid <> ALL (before)
	LOOP
		EXECUTE pg_catalog.format('ALTER EXTENSION trading_engine DROP %s %s', made.kind, made.relation);
	END LOOP;
END
$setup$;
