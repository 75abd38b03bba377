-- PUBLIC gets nothing.  Pure functions, which see no table, are for all three roles.
REVOKE ALL ON ALL ROUTINES IN SCHEMA trading FROM PUBLIC;

DO $grants$
DECLARE
	pure record;
BEGIN
	FOR pure IN
		SELECT p.oid::pg_catalog.regprocedure AS routine
		  FROM pg_catalog.pg_depend AS d
		  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
		  JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
		 WHERE e.extname = 'trading_engine' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
		   AND p.provolatile = 'i' AND NOT p.prosecdef
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO trading_admin, trading_tenant, trading_worker', pure.routine);
	END LOOP;
END
$grants$;

GRANT EXECUTE ON FUNCTION trading.current_company(), trading.current_user_id(),
	trading.current_role_in_company(), trading.login(), trading.logout(), trading.submit(jsonb),
	trading.signal_channel(), trading.merge_strategy(record, record, record)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.current_company(), trading.current_user_id(),
	trading.current_role_in_company(), trading.channel_of(text), trading.ensure_partitions(integer),
	trading.this_system()
	TO trading_worker;
GRANT EXECUTE ON FUNCTION trading.ensure_partitions(integer), trading.old_partitions(interval),
	trading.drop_partitions(interval, integer), trading.adopt(integer), trading.set_lanes(integer)
	TO trading_admin;
